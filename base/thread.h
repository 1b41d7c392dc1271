/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutexes with ranks, condition variables and atomics; defined in env_posix_thread.c, the only
 * object that calls pthread. Threads themselves belong to the environment's executor.
 *
 * Lock order: a thread takes mutexes in strictly rising rank (equal ranks are allowed only for
 * RANK_STRIPE, whose takers go by rising index). Debug builds assert it.
 *
 * What a mutex guards sits in one nested struct reached only through an accessor that REQUIRES the
 * mutex; clang's -Wthread-safety then proves every access. */
#ifndef LAMINA_BASE_THREAD_H
#define LAMINA_BASE_THREAD_H

#include <stdatomic.h>

#include "base/error.h"

#if defined(__clang__)
#define THREAD_ATTR(x) __attribute__((x))
#else
#define THREAD_ATTR(x)
#endif
#define CAPABILITY(name) THREAD_ATTR(capability(name))
#define REQUIRES(...)    THREAD_ATTR(requires_capability(__VA_ARGS__))
#define ACQUIRE(...)     THREAD_ATTR(acquire_capability(__VA_ARGS__))
#define RELEASE(...)     THREAD_ATTR(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY THREAD_ATTR(no_thread_safety_analysis)

/* Ranks, lowest taken first. DESIGN.md's table of locks is this list. */
enum mutex_rank {
    RANK_DDL = 20,         /* catalog: one schema change at a time */
    RANK_FLUSH = 30,       /* flush: job table */
    RANK_STRIPE = 40,      /* catalog: write stripes of a table, by rising index */
    RANK_COLD = 55,        /* flush: open segment cache */
    RANK_DB_OPEN = 60,     /* lsm: attachments */
    RANK_REGISTRY = 62,    /* catalog: provider registry and caches; layers attach through it */
    RANK_STORE = 65,       /* catalog: writers of one entity store */
    RANK_DB_PARTS = 68,    /* lsm: making and dropping partitions */
    RANK_DB_COMMIT = 70,   /* lsm: the write path */
    RANK_CLOCK = 75,       /* catalog: snowflake generator, taken inside a commit */
    RANK_DB_LOG = 77,      /* lsm: one log segment is made at a time */
    RANK_DB_MANIFEST = 80, /* lsm: one manifest edit at a time */
    RANK_DB_STATE = 85,    /* lsm: partitions, versions, snapshots */
    RANK_DB_SYNC = 90,     /* lsm: group of waiting sync commits */
    RANK_DB_IDLE = 92,     /* lsm: who is asked to close idle files */
    RANK_CACHE = 95,       /* lsm: block and file caches; flush: open cold files */
    RANK_ENV = 100,        /* environments */
    RANK_LEAF = 110,       /* anything that takes no other lock */
};

struct CAPABILITY("mutex") mutex {
    union {
        uint64_t words[6]; /* a pthread_mutex_t */
        void *align;
    } os;
    int rank;
};

struct cond {
    union {
        uint64_t words[6]; /* a pthread_cond_t, on the monotonic clock */
        void *align;
    } os;
};

void mutex_init(struct mutex *m, enum mutex_rank rank);
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRE(m);
void mutex_unlock(struct mutex *m) RELEASE(m);

void cond_init(struct cond *c);
void cond_fini(struct cond *c);
/* Waits with `m` released; may wake without reason. */
void cond_wait(struct cond *c, struct mutex *m) REQUIRES(m);
/* Returns false if `timeout_us` went by first. */
bool cond_wait_for(struct cond *c, struct mutex *m, uint64_t timeout_us) REQUIRES(m);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* Sleeping on a word, for waiters who can tell by it without a mutex. Returns when `*word` is not
 * `seen`, at a wake, after the timeout (UINT64_MAX: never), or without reason. Who changes the word
 * wakes after it. */
void word_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_us);
void word_wake_all(_Atomic uint32_t *word);

/* Starts a joinable thread with all signals blocked. For executors and tests; the layers above use
 * lam_env's submit. */
struct thread {
    uint64_t os; /* a pthread_t */
};
MUST_CHECK enum lam_code thread_start(struct thread *t, void (*fn)(void *arg), void *arg,
                                      struct lam_error *err);
void thread_join(struct thread *t);
void thread_yield(void);
/* A number of the calling thread, never 0, stable while it lives. */
uint64_t thread_self(void);

#endif
