/* SPDX-License-Identifier: Apache-2.0
 *
 * base/thread.h for simulations: by the scheduler inside of a run, over pthread outside. A mutex
 * keeps its pthread mutex for the latter and, in the upper half of `rank`, its owner in a run; a
 * condition has no state in a run, since threads know what they wait for. Ranks are asserted in
 * every build. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/sim/sched_impl.h"

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct mutex *)0)->os), "a mutex fits");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(((struct cond *)0)->os), "a cond fits");
_Static_assert(sizeof(pthread_t) <= sizeof(uint64_t), "a thread fits");
_Static_assert(SIM_THREADS_MAX < 0x7fff, "an owner fits");

#define MUST(expr)                                                                                 \
    do {                                                                                           \
        int must_rc_ = (expr);                                                                     \
        LAM_ASSERT(must_rc_ == 0);                                                                 \
    } while (0)

static pthread_mutex_t *os_mutex(struct mutex *m) {
    return (pthread_mutex_t *)(void *)&m->os;
}
static pthread_cond_t *os_cond(struct cond *c) {
    return (pthread_cond_t *)(void *)&c->os;
}

uint32_t sim_owner(const struct mutex *m) {
    return (uint32_t)m->rank >> 16;
}
int sim_rank(const struct mutex *m) {
    return (int)((uint32_t)m->rank & 0xffff);
}
void sim_set_owner(struct mutex *m, uint32_t owner) {
    m->rank = (int)(owner << 16 | (uint32_t)sim_rank(m));
}

/* --- ranks ---------------------------------------------------------------------------------- */

static _Thread_local struct sim_held held;

struct sim_held *sim_held(void) {
    return &held;
}

static void check_rank(const struct mutex *m) {
    if (held.count == held.base)
        return;
    int top = sim_rank(held.mutexes[held.count - 1]), rank = sim_rank(m);
    if (rank > top || (rank == top && rank == RANK_STRIPE))
        return;
    fprintf(stderr,
            "lock order: a mutex of rank %d is taken while one of rank %d is held (a check that "
            "runs in the middle of another database's work stands between sched_suspend and "
            "sched_resume)\n",
            rank, top);
    LAM_ASSERT(rank > top);
}

static void push_held(struct mutex *m) {
    LAM_ASSERT(held.count < HELD_MAX);
    held.mutexes[held.count++] = m;
}

static void check_held(const struct mutex *m) {
    size_t i = held.count;
    while (i > 0 && held.mutexes[i - 1] != m)
        i--;
    LAM_ASSERT(i > 0);
}

static void pop_held(const struct mutex *m) {
    check_held(m);
    size_t i = held.count;
    while (held.mutexes[i - 1] != m)
        i--;
    for (held.count--; i <= held.count; i++)
        held.mutexes[i - 1] = held.mutexes[i];
}

/* --- mutexes and conditions ----------------------------------------------------------------- */

void mutex_init(struct mutex *m, enum mutex_rank rank) {
    MUST(pthread_mutex_init(os_mutex(m), NULL));
    m->rank = (int)rank;
}

void mutex_fini(struct mutex *m) {
    LAM_ASSERT(sim_owner(m) == 0);
    MUST(pthread_mutex_destroy(os_mutex(m)));
}

NO_THREAD_SAFETY void mutex_lock(struct mutex *m) {
    check_rank(m);
    if (sim_self())
        sim_lock(m);
    else
        MUST(pthread_mutex_lock(os_mutex(m)));
    push_held(m);
}

NO_THREAD_SAFETY void mutex_unlock(struct mutex *m) {
    pop_held(m);
    if (sim_self())
        sim_unlock(m);
    else
        MUST(pthread_mutex_unlock(os_mutex(m)));
}

void cond_init(struct cond *c) {
    pthread_condattr_t attr;
    MUST(pthread_condattr_init(&attr));
    MUST(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    MUST(pthread_cond_init(os_cond(c), &attr));
    MUST(pthread_condattr_destroy(&attr));
}

void cond_fini(struct cond *c) {
    if (sim_self())
        LAM_ASSERT(!sim_is_awaited(c));
    MUST(pthread_cond_destroy(os_cond(c)));
}

void cond_wait(struct cond *c, struct mutex *m) {
    check_held(m);
    if (sim_self())
        sim_wait(c, m, SIM_NEVER);
    else
        MUST(pthread_cond_wait(os_cond(c), os_mutex(m)));
}

bool cond_wait_for(struct cond *c, struct mutex *m, uint64_t timeout_us) {
    check_held(m);
    /* A century is as good as for ever, and does not overflow. */
    const uint64_t longest_us = UINT64_C(100) * 366 * 86400 * 1000000;
    if (timeout_us > longest_us)
        timeout_us = longest_us;
    if (sim_self())
        return sim_wait(c, m, sched_now_ns() + timeout_us * 1000);
    struct timespec until;
    MUST(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += (time_t)(timeout_us / 1000000);
    until.tv_nsec += (long)(timeout_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int rc = pthread_cond_timedwait(os_cond(c), os_mutex(m), &until);
    LAM_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void cond_signal(struct cond *c) {
    if (sim_self())
        sim_signal(c, false);
    else
        MUST(pthread_cond_signal(os_cond(c)));
}

void cond_broadcast(struct cond *c) {
    if (sim_self())
        sim_signal(c, true);
    else
        MUST(pthread_cond_broadcast(os_cond(c)));
}

/* --- words ---------------------------------------------------------------------------------- */

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout) {
    return syscall(SYS_futex, (void *)word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL,
                   0);
}

/* In a run the word's address stands for a condition: nothing can happen between the look at it and
 * the sleep. */
void word_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_us) {
    struct timespec timeout = {.tv_sec = (time_t)(timeout_us / 1000000),
                               .tv_nsec = (long)(timeout_us % 1000000) * 1000};
    bool for_ever = timeout_us == UINT64_MAX;
    if (!sim_self()) {
        (void)futex(word, FUTEX_WAIT, seen, for_ever ? NULL : &timeout);
        return;
    }
    struct mutex own = {.rank = RANK_LEAF};
    sim_lock(&own);
    if (atomic_load(word) == seen)
        sim_wait((struct cond *)(void *)word, &own,
                 for_ever ? SIM_NEVER : sched_now_ns() + timeout_us * 1000);
    sim_unlock(&own);
}

void word_wake_all(_Atomic uint32_t *word) {
    if (sim_self())
        sim_signal((struct cond *)(void *)word, true);
    else
        (void)futex(word, FUTEX_WAKE, INT_MAX, NULL);
}

/* --- threads -------------------------------------------------------------------------------- */

struct start {
    void (*fn)(void *arg);
    void *arg;
};

static void *run(void *arg) {
    struct start start = *(struct start *)arg;
    free(arg);
    start.fn(start.arg);
    return NULL;
}

static int create(pthread_t *thread, struct start *start) {
    sigset_t all, before;
    sigfillset(&all);
    MUST(pthread_sigmask(SIG_SETMASK, &all, &before));
    int rc = pthread_create(thread, NULL, run, start);
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL));
    return rc;
}

enum lam_code thread_start(struct thread *t, void (*fn)(void *arg), void *arg,
                           struct lam_error *err) {
    if (sim_self()) {
        struct sim_thread *s = sim_start(fn, arg);
        if (!s)
            return ERR(err, LAM_BUSY, "starting a thread: none can be had");
        t->os = s->index + 1;
        return LAM_OK;
    }
    struct start *start = malloc(sizeof *start);
    LAM_ASSERT(start);
    *start = (struct start){fn, arg};
    pthread_t thread;
    int rc = create(&thread, start);
    if (rc != 0) {
        free(start);
        return ERR(err, LAM_BUSY, "starting a thread: %s", strerror(rc));
    }
    t->os = 0;
    memcpy(&t->os, &thread, sizeof thread);
    return LAM_OK;
}

void thread_join(struct thread *t) {
    if (sim_self()) {
        LAM_ASSERT(t->os > 0 && t->os <= SIM_THREADS_MAX);
        sim_join((uint32_t)t->os - 1);
    } else {
        pthread_t thread;
        memcpy(&thread, &t->os, sizeof thread);
        MUST(pthread_join(thread, NULL));
    }
    t->os = 0;
}

void thread_yield(void) {
    if (sim_self())
        sim_point(POINT_YIELD);
    else
        sched_yield();
}

/* Simulated threads are numbered apart, by their order in the run. */
uint64_t thread_self(void) {
    static _Atomic uint64_t last;
    static _Thread_local uint64_t self;
    if (sim_self())
        return (UINT64_C(1) << 32) + sim_self()->index;
    if (self == 0)
        self = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    return self;
}
