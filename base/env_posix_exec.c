/* SPDX-License-Identifier: Apache-2.0
 *
 * Background work: one thread a lane, started at the lane's first task and never ended; process
 * exit does not wait for it. A lane's queue is ordered by due time, then submission.
 *
 * When no thread can be had, submitters run what is due themselves, one of them at a time: a lane
 * stays serial either way, and a task that submits to its own lane queues behind itself. */
#include <pthread.h>

#include "base/assert.h"
#include "base/env_posix.h"
#include "base/thread.h"

struct task {
    struct task *next;
    lam_task_fn fn;
    void *arg;
    uint64_t due_ns; /* on the monotonic clock */
};

struct lane {
    struct task *first;   /* by due time; owned */
    bool started;         /* it has a thread */
    uint64_t runner;      /* thread_self of who runs a task now, or 0 */
    void *running;        /* that task's arg */
    struct thread thread; /* if started */
};

static struct exec {
    struct mutex mu;                  /* RANK_ENV */
    struct cond wake[LAM_LANE_COUNT]; /* the head of a lane's queue changed */
    struct cond done;                 /* a task ended */
    struct exec_guarded {
        struct lane lanes[LAM_LANE_COUNT];
    } guarded_; /* by mu */
} exec;

static inline struct lane *lane_of(struct exec *e, size_t index) REQUIRES(e->mu) {
    return &e->guarded_.lanes[index];
}

void posix_exec_init(void) {
    mutex_init(&exec.mu, RANK_ENV);
    cond_init(&exec.done);
    for (size_t i = 0; i < LAM_LANE_COUNT; i++)
        cond_init(&exec.wake[i]);
}

/* A forked child has none of the lanes' threads, and the parent's tasks are not its own: it starts
 * anew. */
NO_THREAD_SAFETY void posix_exec_before_fork(void) {
    mutex_lock(&exec.mu);
}
NO_THREAD_SAFETY void posix_exec_after_fork(bool child) {
    mutex_unlock(&exec.mu);
    if (!child)
        return;
    for (size_t i = 0; i < LAM_LANE_COUNT; i++) {
        struct lane *lane = &exec.guarded_.lanes[i];
        while (lane->first) {
            struct task *t = lane->first;
            lane->first = t->next;
            mem_free(t);
        }
        *lane = (struct lane){0};
    }
    posix_exec_init();
}

/* Takes the first task off the lane and runs it with the mutex released. */
static void run_first_locked(size_t index) REQUIRES(exec.mu) {
    struct lane *lane = lane_of(&exec, index);
    struct task task = *lane->first;
    LAM_ASSERT(lane->runner == 0);
    mem_free(lane->first);
    lane->first = task.next;
    lane->runner = thread_self();
    lane->running = task.arg;
    mutex_unlock(&exec.mu);
    task.fn(task.arg);
    mutex_lock(&exec.mu);
    lane->runner = 0;
    lane->running = NULL;
    cond_broadcast(&exec.done);
}

static NO_THREAD_SAFETY void run_lane(void *arg) {
    struct cond *wake = arg;
    size_t index = (size_t)(wake - exec.wake);
    mutex_lock(&exec.mu);
    for (;;) {
        struct lane *lane = lane_of(&exec, index);
        if (!lane->first || lane->runner) {
            cond_wait(wake, &exec.mu);
            continue;
        }
        uint64_t now = posix_monotonic_ns(NULL);
        if (lane->first->due_ns <= now)
            run_first_locked(index);
        else
            cond_wait_for(wake, &exec.mu, (lane->first->due_ns - now + 999) / 1000);
    }
}

static void insert_locked(size_t index, struct task *task) REQUIRES(exec.mu) {
    struct task **link = &lane_of(&exec, index)->first;
    while (*link && (*link)->due_ns <= task->due_ns)
        link = &(*link)->next;
    task->next = *link;
    *link = task;
}

static bool start_locked(size_t index) REQUIRES(exec.mu) {
    struct lane *lane = lane_of(&exec, index);
    if (!lane->started)
        lane->started = thread_start(&lane->thread, run_lane, &exec.wake[index], NULL) == LAM_OK;
    return lane->started;
}

enum lam_code posix_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                           void *arg, struct lam_error *err) {
    LAM_ASSERT((unsigned)lane < LAM_LANE_COUNT);
    posix_init();
    struct task *task = mem_alloc(sizeof *task);
    if (!task)
        return mem_fail(err, sizeof *task);
    uint64_t now = posix_monotonic_ns(env);
    /* A delay past the end of the clock is never due. */
    uint64_t delay_ns, due_ns;
    if (__builtin_mul_overflow(delay_us, 1000u, &delay_ns) ||
        __builtin_add_overflow(now, delay_ns, &due_ns))
        due_ns = UINT64_MAX;
    *task = (struct task){.fn = fn, .arg = arg, .due_ns = due_ns};
    mutex_lock(&exec.mu);
    if (start_locked(lane)) {
        insert_locked(lane, task);
        cond_signal(&exec.wake[lane]);
    } else if (delay_us > 0) {
        mutex_unlock(&exec.mu);
        mem_free(task);
        return ERR(err, LAM_BUSY, "background work: no thread could be started for lane %d", lane);
    } else {
        insert_locked(lane, task);
        /* A task may run long enough for a later submitter to get a thread after all. */
        const struct lane *l = lane_of(&exec, lane);
        while (!l->started && l->runner == 0 && l->first)
            run_first_locked(lane);
        cond_signal(&exec.wake[lane]);
    }
    mutex_unlock(&exec.mu);
    return LAM_OK;
}

static void drop_locked(struct lane *lane, const void *arg) {
    for (struct task **link = &lane->first; *link;) {
        struct task *task = *link;
        if (task->arg != arg) {
            link = &task->next;
            continue;
        }
        *link = task->next;
        mem_free(task);
    }
}

void posix_cancel(lam_env *env, void *arg) {
    (void)env;
    posix_init();
    uint64_t self = thread_self();
    mutex_lock(&exec.mu);
    for (;;) {
        bool running = false;
        /* Dropped anew after each wait: a running task may have submitted again. */
        for (size_t i = 0; i < LAM_LANE_COUNT; i++) {
            struct lane *lane = lane_of(&exec, i);
            drop_locked(lane, arg);
            running |= lane->runner && lane->runner != self && lane->running == arg;
        }
        if (!running)
            break;
        cond_wait(&exec.done, &exec.mu);
    }
    mutex_unlock(&exec.mu);
}
