/* SPDX-License-Identifier: Apache-2.0
 *
 * A deterministic scheduler. Threads are real, but only the one that holds the baton runs; at every
 * lock, unlock, wait, signal, thread start and end, sleep and environment operation the baton may
 * pass to another, as `choice` says. So a history is replayed by its seed while sanitizers and
 * debuggers see ordinary threads.
 *
 * It takes the place of base/env_posix_thread.c when linked before the archives: base/thread.h's
 * mutexes, conditions and threads are defined in sched_thread.c. Outside of sched_run they behave
 * as the ordinary ones over pthread, so that a program may mix both, though not on one object at
 * one time. Ranks of mutexes are asserted always.
 *
 * Passing the baton orders all that was done before it ahead of all that comes after. So no
 * sanitizer sees a data race inside of a run: those are for tests with free-running threads. What
 * is found here are wrong orders of whole critical sections and operations.
 *
 * Background tasks of a simfs environment run in one simulated thread a lane (as in env_posix).
 * The clock is virtual and advances only when every thread waits. */
#ifndef LAMINA_TESTS_SIM_SCHED_H
#define LAMINA_TESTS_SIM_SCHED_H

#include "lamina/env.h"
#include "tests/sim/choice.h"

enum sched_policy {
    SCHED_RANDOM, /* any runnable thread, at one in `one_in` points */
    SCHED_RUN_TO_BLOCK,
    SCHED_PRIORITIES, /* PCT (Burckhardt et al. 2010): random priorities, `depth` changes of them */
    SCHED_ROUND_ROBIN,
    SCHED_STARVE, /* one thread runs only when no other can */
    SCHED_STALL, /* RANDOM, and now and then one is held up, for a few or for thousands of points */
    SCHED_POLICIES
};

struct sched_options {
    enum sched_policy policy;
    uint32_t one_in;    /* RANDOM, STALL: 0 is 1 */
    uint32_t depth;     /* PRIORITIES: number of change points */
    uint32_t length;    /* PRIORITIES: they lie in this many first switching points; 0: 1000 */
    uint64_t steps_max; /* livelock: more switching points than this is a failure; 0: 50 million */
    bool no_threads;    /* thread_start fails with BUSY: submitters run tasks themselves */
};

/* Runs `main_fn(arg)` as the first simulated thread, until it returned and all threads ended.
 * Aborts with the wait graph on a deadlock. Not to be nested. Lanes run what is due when main_fn
 * returns, then end; what is due later is dropped. */
void sched_run(struct choice *choice, const struct sched_options *options, void (*main_fn)(void *),
               void *arg);
/* The caller is a simulated thread. */
bool sched_active(void);
/* What the caller does until the matching resume is not scheduled, for checks that open other
 * databases in the middle of anything: locks must be free, a wait with a timeout is over at once,
 * threads can't be had, and submitted tasks run in the submitter. The ranks of the mutexes held are
 * set aside; outside of a run that is all it does. Nests. */
void sched_suspend(void);
void sched_resume(void);
/* A point where the baton may pass. */
void sched_point(void);
/* Waits on the virtual clock: others run until all of them wait. Nothing while suspended. */
void sched_sleep_us(uint64_t us);
/* Switching points and switches so far, and a hash of the schedule. */
uint64_t sched_points(void);
uint64_t sched_switches(void);
uint64_t sched_hash(void);

/* The process dies: threads other than the caller never run again, and sched_run returns when the
 * caller does (their stacks are given up, their memory leaks on purpose). */
void sched_kill_others(void);
/* The same, and the caller ends as well. Outside of mutexes' and the product's code there is
 * nothing left to return to: this is for a caller in the middle of that. */
void sched_kill_all(void) __attribute__((noreturn));

/* Virtual monotonic time of the run. */
uint64_t sched_now_ns(void);

/* Executor for environments: as lam_env's submit and cancel. */
enum lam_code sched_submit(enum lam_lane lane, uint64_t delay_us, lam_task_fn fn, void *arg,
                           struct lam_error *err);
void sched_cancel(void *arg);

#endif
