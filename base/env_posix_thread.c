/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutexes, condition variables and threads over pthread. In debug builds each thread keeps the
 * stack of the mutexes it holds: rising rank is asserted at every lock, so an order that could
 * deadlock aborts on the first run that takes it, not on the first unlucky one. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (8u << 20)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_BYTES (8u << 20)
#endif
#endif
#ifndef STACK_BYTES
#define STACK_BYTES (1u << 20)
#endif

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct mutex *)0)->os), "a mutex fits");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(((struct cond *)0)->os), "a cond fits");
_Static_assert(sizeof(pthread_t) <= sizeof(uint64_t), "a thread fits");

static pthread_mutex_t *os_mutex(struct mutex *m) {
    return (pthread_mutex_t *)(void *)&m->os;
}
static pthread_cond_t *os_cond(struct cond *c) {
    return (pthread_cond_t *)(void *)&c->os;
}

/* pthread calls here fail only on misuse. */
#define MUST(expr)                                                                                 \
    do {                                                                                           \
        int must_rc_ = (expr);                                                                     \
        LAM_ASSERT(must_rc_ == 0);                                                                 \
    } while (0)

#ifdef LAM_DEBUG
/* All write stripes of a table and then some. */
#define HELD_MAX 512
static _Thread_local struct {
    struct mutex *mutexes[HELD_MAX]; /* in the order taken, so by rising rank */
    size_t count;
} held;

static void check_rank(const struct mutex *m) {
    if (held.count == 0)
        return;
    int top = held.mutexes[held.count - 1]->rank;
    LAM_ASSERT(m->rank > top || (m->rank == top && m->rank == RANK_STRIPE));
}
static void push_held(struct mutex *m) {
    LAM_ASSERT(held.count < HELD_MAX);
    held.mutexes[held.count++] = m;
}
static void pop_held(struct mutex *m) {
    size_t i = held.count;
    while (i > 0 && held.mutexes[i - 1] != m)
        i--;
    LAM_ASSERT(i > 0);
    for (held.count--; i <= held.count; i++)
        held.mutexes[i - 1] = held.mutexes[i];
}
static void check_held(const struct mutex *m) {
    size_t i = held.count;
    while (i > 0 && held.mutexes[i - 1] != m)
        i--;
    LAM_ASSERT(i > 0);
}
#else
#define check_rank(m) ((void)(m))
#define push_held(m)  ((void)(m))
#define pop_held(m)   ((void)(m))
#define check_held(m) ((void)(m))
#endif

void mutex_init(struct mutex *m, enum mutex_rank rank) {
    MUST(pthread_mutex_init(os_mutex(m), NULL));
    m->rank = rank;
}

void mutex_fini(struct mutex *m) {
    MUST(pthread_mutex_destroy(os_mutex(m)));
}

NO_THREAD_SAFETY void mutex_lock(struct mutex *m) {
    check_rank(m);
    MUST(pthread_mutex_lock(os_mutex(m)));
    push_held(m);
}

NO_THREAD_SAFETY void mutex_unlock(struct mutex *m) {
    pop_held(m);
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
    MUST(pthread_cond_destroy(os_cond(c)));
}

void cond_wait(struct cond *c, struct mutex *m) {
    check_held(m);
    MUST(pthread_cond_wait(os_cond(c), os_mutex(m)));
}

bool cond_wait_for(struct cond *c, struct mutex *m, uint64_t timeout_us) {
    check_held(m);
    /* A century is as good as for ever, and does not overflow. */
    const uint64_t longest_us = UINT64_C(100) * 366 * 86400 * 1000000;
    if (timeout_us > longest_us)
        timeout_us = longest_us;
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
    MUST(pthread_cond_signal(os_cond(c)));
}

void cond_broadcast(struct cond *c) {
    MUST(pthread_cond_broadcast(os_cond(c)));
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout) {
    return syscall(SYS_futex, (void *)word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL,
                   0);
}

/* A refused wait (the value has changed, a signal came, the time is over) is one without reason. */
void word_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_us) {
    struct timespec timeout = {.tv_sec = (time_t)(timeout_us / 1000000),
                               .tv_nsec = (long)(timeout_us % 1000000) * 1000};
    (void)futex(word, FUTEX_WAIT, seen, timeout_us == UINT64_MAX ? NULL : &timeout);
}

void word_wake_all(_Atomic uint32_t *word) {
    (void)futex(word, FUTEX_WAKE, INT_MAX, NULL);
}

struct start {
    void (*fn)(void *arg);
    void *arg;
};

static void *run(void *arg) {
    struct start start = *(struct start *)arg;
    mem_free(arg);
    start.fn(start.arg);
    return NULL;
}

/* Signals are blocked around the creation, since a thread inherits its maker's mask: an
 * application's handlers never run on our stacks. */
static int create(pthread_t *thread, struct start *start) {
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0)
        return rc;
    sigset_t all, before;
    sigfillset(&all);
    rc = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (rc == 0)
        rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc == 0) {
        rc = pthread_create(thread, &attr, run, start);
        MUST(pthread_sigmask(SIG_SETMASK, &before, NULL));
    }
    MUST(pthread_attr_destroy(&attr));
    return rc;
}

enum lam_code thread_start(struct thread *t, void (*fn)(void *arg), void *arg,
                           struct lam_error *err) {
    struct start *start = mem_alloc(sizeof *start);
    if (!start)
        return mem_fail(err, sizeof *start);
    *start = (struct start){fn, arg};
    pthread_t thread;
    int rc = create(&thread, start);
    if (rc != 0) {
        mem_free(start);
        ERR(err, LAM_BUSY, "starting a thread: %s", strerror(rc));
        if (err)
            err->os_errno = rc;
        return LAM_BUSY;
    }
    t->os = 0;
    memcpy(&t->os, &thread, sizeof thread);
    return LAM_OK;
}

void thread_join(struct thread *t) {
    pthread_t thread;
    memcpy(&thread, &t->os, sizeof thread);
    MUST(pthread_join(thread, NULL));
    t->os = 0;
}

void thread_yield(void) {
    sched_yield();
}

uint64_t thread_self(void) {
    /* Bumped by each thread once, read by nobody else: no ordering is needed. */
    static _Atomic uint64_t last;
    static _Thread_local uint64_t self;
    if (self == 0)
        self = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    return self;
}
