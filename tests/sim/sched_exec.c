/* SPDX-License-Identifier: Apache-2.0
 *
 * Background work in a run: one simulated thread a lane, started at its first task; queues in the
 * order of due time, then submission. Without threads submitters run what is due themselves, one at
 * a time, so a task that submits to its own lane queues behind itself. While scheduling is
 * suspended tasks go to lanes of their own, which live as long as that. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/sched_impl.h"

struct task {
    struct task *next;
    lam_task_fn fn;
    void *arg;
    uint64_t due_ns;
};

struct lane {
    struct task *first;        /* owned */
    bool started;              /* it has a thread */
    struct sim_thread *runner; /* who runs a task now, or NULL */
    void *running;             /* that task's arg */
};

struct exec {
    struct mutex mu; /* RANK_ENV */
    struct cond wake[LAM_LANE_COUNT];
    struct cond done;
    struct lane lanes[LAM_LANE_COUNT];
    bool ending;         /* main_fn has returned */
    uint64_t generation; /* threads of an older one are to end */
};
static struct exec normal;
static struct exec aside; /* between sched_suspend and sched_resume */

static struct exec *exec_now(void) {
    return sim_suspended() ? &aside : &normal;
}

static void drop_tasks(struct lane *lane, const void *arg, bool all) {
    for (struct task **link = &lane->first; *link;) {
        struct task *t = *link;
        if (!all && t->arg != arg) {
            link = &t->next;
            continue;
        }
        *link = t->next;
        free(t);
    }
}

static void run_first_locked(struct exec *e, struct lane *lane) REQUIRES(e->mu) {
    struct task task = *lane->first;
    LAM_ASSERT(!lane->runner);
    free(lane->first);
    lane->first = task.next;
    lane->runner = sim_self();
    lane->running = task.arg;
    uint64_t generation = e->generation;
    mutex_unlock(&e->mu);
    task.fn(task.arg);
    mutex_lock(&e->mu);
    if (generation != e->generation)
        return; /* killed meanwhile, all but this thread */
    lane->runner = NULL;
    lane->running = NULL;
    cond_broadcast(&e->done);
}

static NO_THREAD_SAFETY void run_lane(void *arg) {
    struct exec *e = &normal;
    struct lane *lane = arg;
    struct cond *wake = &e->wake[lane - e->lanes];
    mutex_lock(&e->mu);
    uint64_t generation = e->generation;
    while (generation == e->generation) {
        uint64_t now = sched_now_ns();
        if (lane->runner)
            cond_wait(wake, &e->mu);
        else if (lane->first && lane->first->due_ns <= now)
            run_first_locked(e, lane);
        else if (e->ending)
            break;
        else if (lane->first)
            cond_wait_for(wake, &e->mu, (lane->first->due_ns - now + 999) / 1000);
        else
            cond_wait(wake, &e->mu);
    }
    mutex_unlock(&e->mu);
}

static void insert_locked(struct lane *lane, struct task *task) {
    struct task **link = &lane->first;
    while (*link && (*link)->due_ns <= task->due_ns)
        link = &(*link)->next;
    task->next = *link;
    *link = task;
}

static bool start_locked(struct exec *e, struct lane *lane) REQUIRES(e->mu) {
    if (!lane->started && !e->ending)
        lane->started = sim_start(run_lane, lane) != NULL;
    return lane->started;
}

static uint64_t due_after(uint64_t delay_us) {
    uint64_t delay_ns, due_ns;
    if (__builtin_mul_overflow(delay_us, 1000u, &delay_ns) ||
        __builtin_add_overflow(sched_now_ns(), delay_ns, &due_ns))
        due_ns = SIM_NEVER;
    return due_ns;
}

enum lam_code sched_submit(enum lam_lane lane, uint64_t delay_us, lam_task_fn fn, void *arg,
                           struct lam_error *err) {
    LAM_ASSERT(sched_active() && (unsigned)lane < LAM_LANE_COUNT);
    struct exec *e = exec_now();
    struct lane *l = &e->lanes[lane];
    uint64_t due_ns = due_after(delay_us);
    mutex_lock(&e->mu);
    bool started = start_locked(e, l);
    if (!started && delay_us > 0) {
        mutex_unlock(&e->mu);
        return ERR(err, LAM_BUSY, "background work: no thread could be started for lane %d", lane);
    }
    /* The thread may be killed where it waits: it holds no task then. */
    struct task *task = malloc(sizeof *task);
    LAM_ASSERT(task);
    *task = (struct task){.fn = fn, .arg = arg, .due_ns = due_ns};
    insert_locked(l, task);
    if (started)
        cond_signal(&e->wake[lane]);
    while (!started && !l->started && !l->runner && l->first)
        run_first_locked(e, l);
    mutex_unlock(&e->mu);
    return LAM_OK;
}

/* Drops the tasks of `arg`; true if another thread runs one. */
static bool drop_locked(struct exec *e, const void *arg) REQUIRES(e->mu) {
    bool running = false;
    for (size_t i = 0; i < LAM_LANE_COUNT; i++) {
        struct lane *l = &e->lanes[i];
        drop_tasks(l, arg, false);
        running |= l->runner && l->runner != sim_self() && l->running == arg;
    }
    return running;
}

void sched_cancel(void *arg) {
    LAM_ASSERT(sched_active());
    struct exec *e = exec_now();
    mutex_lock(&e->mu);
    while (drop_locked(e, arg))
        cond_wait(&e->done, &e->mu);
    mutex_unlock(&e->mu);
}

/* Blank, whatever it was: its threads may have died with its mutex. */
static void restart(struct exec *e) {
    for (size_t i = 0; i < LAM_LANE_COUNT; i++) {
        drop_tasks(&e->lanes[i], NULL, true);
        e->lanes[i] = (struct lane){0};
        cond_init(&e->wake[i]);
    }
    mutex_init(&e->mu, RANK_ENV);
    cond_init(&e->done);
    e->ending = false;
    e->generation++;
}

void sim_exec_begin(void) {
    restart(&normal);
}

void sim_exec_end(void) {
    mutex_lock(&normal.mu);
    normal.ending = true;
    for (size_t i = 0; i < LAM_LANE_COUNT; i++)
        cond_broadcast(&normal.wake[i]);
    mutex_unlock(&normal.mu);
}

void sim_exec_kill(void) {
    restart(&normal);
}

void sim_exec_suspend(void) {
    restart(&aside);
}

void sim_exec_resume(void) {
    for (size_t i = 0; i < LAM_LANE_COUNT; i++)
        LAM_ASSERT(!aside.lanes[i].first && !aside.lanes[i].runner);
}
