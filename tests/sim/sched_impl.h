/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the scheduler, shared by sched.c (who runs next), sched_thread.c (base/thread.h) and
 * sched_exec.c (lanes). All of it belongs to the baton's holder: nothing here is locked. */
#ifndef LAMINA_TESTS_SIM_SCHED_IMPL_H
#define LAMINA_TESTS_SIM_SCHED_IMPL_H

#include <semaphore.h>
#include <setjmp.h>

#include "base/thread.h"
#include "tests/sim/sched.h"

#define SIM_THREADS_MAX 1024
#define SIM_NEVER       UINT64_MAX

/* Mutexes that a real thread holds, in the order taken; ranks are checked above `base`. */
#define HELD_MAX  512
#define BASES_MAX 16
struct sim_held {
    struct mutex *mutexes[HELD_MAX];
    size_t count;
    size_t base;             /* below it: taken before the innermost sched_suspend */
    size_t bases[BASES_MAX]; /* those of the outer ones */
    size_t depth;            /* nested sched_suspends of this thread */
};

enum sim_state {
    SIM_READY,   /* runs or could */
    SIM_LOCKING, /* wants `mutex` */
    SIM_WAITING, /* on `cond`, and then wants `mutex` */
    SIM_JOINING, /* for the end of `join` */
    SIM_ENDED,
};

/* What kind of moment the baton may pass at; part of the schedule's hash. */
enum sim_kind {
    POINT_LOCK = 1,
    POINT_UNLOCK,
    POINT_WAIT,
    POINT_SIGNAL,
    POINT_START,
    POINT_END,
    POINT_JOIN,
    POINT_YIELD,
    POINT_ENV,
};

/* A real thread, used by one simulated thread after another. */
struct sim_real {
    sem_t sem;                 /* posted by who hands it the baton */
    jmp_buf base;              /* where it goes on when it is killed */
    struct sim_thread *thread; /* whom it carries */
    struct sim_real *next;     /* in the pool */
};

struct sim_thread {
    uint32_t index; /* 0 runs main_fn */
    enum sim_state state;
    bool killed;
    bool timed_out;       /* out of WAITING */
    struct mutex *mutex;  /* LOCKING, WAITING */
    struct cond *cond;    /* WAITING */
    uint64_t deadline_ns; /* WAITING; SIM_NEVER: none */
    struct sim_thread *join;
    uint64_t priority; /* PRIORITIES: the highest runs */
    uint64_t ran;      /* the point at which it last got or kept the baton */
    void (*fn)(void *arg);
    void *arg;
    struct sim_real *real;
    const struct sim_held *held; /* its real thread's */
};

/* The simulated thread that the calling thread carries; NULL outside of a run. */
struct sim_thread *sim_self(void);
/* The calling thread's, also outside of a run. */
struct sim_held *sim_held(void);
/* Locks, waits and submissions do not switch: sched_suspend is in force. */
bool sim_suspended(void);
/* Prints a message and who waits for whom, and aborts. */
void sim_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void sim_point(enum sim_kind kind);
void sim_lock(struct mutex *m);
void sim_unlock(struct mutex *m);
/* Until the deadline on sched_now_ns; false if that went by first. */
bool sim_wait(struct cond *c, struct mutex *m, uint64_t deadline_ns);
void sim_signal(struct cond *c, bool all);
/* Threads wait on it, which its end would strand. */
bool sim_is_awaited(const struct cond *c);
/* NULL: no thread can be had. */
struct sim_thread *sim_start(void (*fn)(void *arg), void *arg);
void sim_join(uint32_t index);

/* Who holds a mutex in a run: the index of a thread plus one, or 0. */
uint32_t sim_owner(const struct mutex *m);
void sim_set_owner(struct mutex *m, uint32_t owner);
int sim_rank(const struct mutex *m);

/* Lanes: a run begins; its main_fn has returned (they end when they are idle); its threads but one
 * are dead. */
void sim_exec_begin(void);
void sim_exec_end(void);
void sim_exec_kill(void);
/* sched_suspend and sched_resume, the outermost. */
void sim_exec_suspend(void);
void sim_exec_resume(void);

#endif
