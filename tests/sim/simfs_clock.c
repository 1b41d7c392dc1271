/* SPDX-License-Identifier: Apache-2.0
 *
 * Time, randomness and background work of a simulated environment. */
#include "tests/sim/simfs_impl.h"

#define TICK_NS 1000

/* --- time ------------------------------------------------------------------------------------ */

static void advance(struct simfs *fs, uint64_t ns) {
    uint64_t before_us = fs->mono_ns / 1000;
    fs->mono_ns += ns;
    fs->wall_us += (int64_t)(fs->mono_ns / 1000 - before_us);
}

/* Takes over what went by on the scheduler's clock, which starts anew with every run. */
static void follow_scheduler(struct simfs *fs) {
    if (!sched_active())
        return;
    uint64_t now = sched_now_ns();
    if (now > fs->sched_seen_ns)
        advance(fs, now - fs->sched_seen_ns);
    fs->sched_seen_ns = now;
}

void sim_tick(struct simfs *fs) {
    follow_scheduler(fs);
    advance(fs, TICK_NS);
}

int64_t sim_now_us(lam_env *env) {
    sim_tick(simfs_of(env));
    return simfs_of(env)->wall_us;
}

uint64_t sim_monotonic_ns(lam_env *env) {
    sim_tick(simfs_of(env));
    return simfs_of(env)->mono_ns;
}

int64_t simfs_now_us(const struct simfs *fs) {
    return fs->wall_us;
}

void simfs_advance_us(struct simfs *fs, int64_t wall_us) {
    if (wall_us > 0)
        advance(fs, (uint64_t)wall_us * 1000);
    else
        fs->wall_us += wall_us;
}

/* --- randomness ------------------------------------------------------------------------------ */

uint32_t sim_choose(struct simfs *fs, uint32_t n) {
    return fs->choice->source == CHOICE_ODOMETER ? 0 : choose(fs->choice, n);
}

/* One choice; counted as well, so that numbers differ even where all choices are the same. */
void sim_random_bytes(lam_env *env, void *data, size_t size) {
    struct simfs *fs = simfs_of(env);
    uint64_t salt = fs->choice->source == CHOICE_ODOMETER ? 0 : choose_salt(fs->choice);
    struct rng rng;
    rng_init(&rng, hash_mix(salt, ++fs->random_count));
    uint8_t *to = data;
    while (size > 0) {
        uint64_t bits = rng_next(&rng);
        size_t part = size < sizeof bits ? size : sizeof bits;
        memcpy(to, &bits, part);
        to += part;
        size -= part;
    }
}

/* --- tasks ----------------------------------------------------------------------------------- */

static enum lam_code queue(struct simfs *fs, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                           void *arg) {
    uint64_t delay_ns, due_ns;
    if (__builtin_mul_overflow(delay_us, 1000u, &delay_ns) ||
        __builtin_add_overflow(fs->mono_ns, delay_ns, &due_ns))
        due_ns = UINT64_MAX;
    fs->tasks = sim_grow(fs->tasks, &fs->task_capacity, fs->task_count + 1u, sizeof *fs->tasks);
    fs->tasks[fs->task_count++] = (struct sim_task){due_ns, ++fs->task_number, lane, fn, arg};
    return LAM_OK;
}

enum lam_code sim_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                         void *arg, struct lam_error *err) {
    static const char *const lanes[] = {"lane dump", "lane compact", "lane flush", "lane log",
                                        "lane event"};
    LAM_ASSERT((unsigned)lane < LAM_LANE_COUNT);
    struct call c = {.fs = simfs_of(env), .op = SIMFS_SUBMIT, .path = lanes[lane]};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK && !call_skips(&c))
        rc = sched_active() ? sched_submit(lane, delay_us, fn, arg, err)
                            : queue(c.fs, lane, delay_us, fn, arg);
    return call_end(&c, rc, err);
}

static void drop_task(struct simfs *fs, uint32_t i) {
    memmove(fs->tasks + i, fs->tasks + i + 1, (fs->task_count - i - 1) * sizeof *fs->tasks);
    fs->task_count--;
}

void sim_cancel(lam_env *env, void *arg) {
    struct simfs *fs = simfs_of(env);
    for (uint32_t i = fs->task_count; i-- > 0;)
        if (fs->tasks[i].arg == arg)
            drop_task(fs, i);
    if (sched_active())
        sched_cancel(arg);
}

/* Index of the lane's first task by due time, then submission, among those numbered up to `last` or
 * due; or task_count. */
static uint32_t first_of(const struct simfs *fs, enum lam_lane lane, uint64_t last) {
    uint32_t best = fs->task_count;
    for (uint32_t i = 0; i < fs->task_count; i++) {
        const struct sim_task *t = &fs->tasks[i];
        if (t->lane != lane || (t->number > last && t->due_ns > fs->mono_ns))
            continue;
        if (best == fs->task_count || t->due_ns < fs->tasks[best].due_ns)
            best = i;
    }
    return best;
}

/* Which lane goes next is chosen among those that have something due; if none has, it is the one
 * whose task is due first. */
static uint32_t pick_task(struct simfs *fs, uint64_t last) {
    uint32_t heads[LAM_LANE_COUNT], due[LAM_LANE_COUNT], count = 0, due_count = 0, soonest = 0;
    for (unsigned lane = 0; lane < LAM_LANE_COUNT; lane++) {
        uint32_t i = first_of(fs, (enum lam_lane)lane, last);
        if (i == fs->task_count)
            continue;
        if (fs->tasks[i].due_ns <= fs->mono_ns)
            due[due_count++] = i;
        heads[count++] = i;
    }
    if (due_count > 0)
        return due[due_count > 1 ? sim_choose(fs, due_count) : 0];
    for (uint32_t i = 1; i < count; i++)
        if (fs->tasks[heads[i]].due_ns < fs->tasks[heads[soonest]].due_ns)
            soonest = i;
    return count ? heads[soonest] : fs->task_count;
}

/* With `all`, tasks that the run itself queues for later stay, or a task that queues itself again
 * would keep it going. */
void simfs_run_tasks(struct simfs *fs, bool all) {
    uint64_t last = all ? fs->task_number : 0;
    for (;;) {
        uint32_t i = pick_task(fs, last);
        if (i == fs->task_count)
            return;
        struct sim_task task = fs->tasks[i];
        drop_task(fs, i);
        if (task.due_ns > fs->mono_ns && task.due_ns != UINT64_MAX)
            advance(fs, task.due_ns - fs->mono_ns);
        task.fn(task.arg);
    }
}
