/* SPDX-License-Identifier: Apache-2.0
 *
 * Ctrl-C. The handler only stores to atomics, calls lam_session_interrupt (which may be called
 * from anywhere) and, at the prompt, jumps out of the line editor. */
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "shell/shell.h"

static _Atomic(lam_session *) watched;
static _Atomic(void *) jump;
static atomic_int seen;

static void on_interrupt(int number) {
    void *to = atomic_exchange(&jump, NULL);
    if (to)
        siglongjmp(*(sigjmp_buf *)to, 1);
    /* Two were not heeded: the third ends the program. */
    if (atomic_fetch_add(&seen, 1) >= 2) {
        signal(number, SIG_DFL);
        raise(number);
    }
    lam_session *session = atomic_load(&watched);
    if (session)
        lam_session_interrupt(session);
}

void interrupt_install(void) {
    /* Without SA_RESTART a read that waits for input ends. */
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void interrupt_watch(lam_session *session) {
    atomic_store(&watched, session);
}

bool interrupt_seen(void) {
    return atomic_load(&seen) > 0;
}

void interrupt_clear(void) {
    atomic_store(&seen, 0);
}

void interrupt_jump(void *sigjmp) {
    atomic_store(&jump, sigjmp);
}
