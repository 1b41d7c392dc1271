/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "base/thread.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static struct lam_error err;

enum { LOG = 1000 };

/* What tasks did, in order. */
static struct {
    struct mutex mu;
    struct cond cond;
    int log[LOG]; /* the last LOG of them, at number modulo LOG */
    size_t count;
    bool release; /* lets blocked tasks end */
    size_t blocked;
} seen;

struct step {
    int number;
};

static void setup(void) {
    mutex_init(&seen.mu, RANK_LEAF);
    cond_init(&seen.cond);
}

static NO_THREAD_SAFETY void note(void *arg) {
    mutex_lock(&seen.mu);
    seen.log[seen.count++ % LOG] = ((struct step *)arg)->number;
    cond_broadcast(&seen.cond);
    mutex_unlock(&seen.mu);
}

static NO_THREAD_SAFETY void block(void *arg) {
    mutex_lock(&seen.mu);
    seen.blocked++;
    cond_broadcast(&seen.cond);
    while (!seen.release)
        cond_wait(&seen.cond, &seen.mu);
    mutex_unlock(&seen.mu);
    note(arg);
}

static NO_THREAD_SAFETY void wait_count(size_t count) {
    mutex_lock(&seen.mu);
    while (seen.count < count)
        cond_wait(&seen.cond, &seen.mu);
    mutex_unlock(&seen.mu);
}

static NO_THREAD_SAFETY void wait_blocked(size_t count) {
    mutex_lock(&seen.mu);
    while (seen.blocked < count)
        cond_wait(&seen.cond, &seen.mu);
    mutex_unlock(&seen.mu);
}

static NO_THREAD_SAFETY void release(void) {
    mutex_lock(&seen.mu);
    seen.release = true;
    cond_broadcast(&seen.cond);
    mutex_unlock(&seen.mu);
}

static void submit(enum lam_lane lane, uint64_t delay_us, lam_task_fn fn, void *arg) {
    ck_ok(env_submit(lam_env_posix(), lane, delay_us, fn, arg, &err), &err);
}

static void cancel(void *arg) {
    lam_env_posix()->ops->cancel(lam_env_posix(), arg);
}

START_TEST(one_lane_runs_in_order_of_submission) {
    setup();
    static struct step steps[500];
    for (int i = 0; i < 500; i++) {
        steps[i].number = i;
        submit(LAM_LANE_DUMP, 0, note, &steps[i]);
    }
    wait_count(500);
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(seen.log[i], i);
}
END_TEST

/* The lane is blocked while the tasks are queued: when it goes on, due time alone decides. */
START_TEST(delays_order_tasks_by_due_time) {
    setup();
    static struct step steps[5] = {{0}, {1}, {2}, {3}, {4}};
    submit(LAM_LANE_DUMP, 0, block, &steps[0]);
    wait_blocked(1);
    submit(LAM_LANE_DUMP, 200000, note, &steps[4]);
    submit(LAM_LANE_DUMP, 100000, note, &steps[3]);
    submit(LAM_LANE_DUMP, 0, note, &steps[1]);
    submit(LAM_LANE_DUMP, 0, note, &steps[2]);
    uint64_t start = env_monotonic_ns(lam_env_posix());
    release();
    wait_count(5);
    ck_assert_uint_ge(env_monotonic_ns(lam_env_posix()) - start, 100000000);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(seen.log[i], i);
}
END_TEST

START_TEST(lanes_run_at_the_same_time) {
    setup();
    static struct step steps[3] = {{0}, {1}, {2}};
    submit(LAM_LANE_DUMP, 0, block, &steps[0]);
    submit(LAM_LANE_COMPACT, 0, block, &steps[1]);
    submit(LAM_LANE_FLUSH, 0, block, &steps[2]);
    wait_blocked(3);
    release();
    wait_count(3);
}
END_TEST

START_TEST(cancel_takes_back_only_the_tasks_of_its_arg) {
    setup();
    static struct step gate = {0}, gone = {1}, stays = {2};
    submit(LAM_LANE_DUMP, 0, block, &gate);
    wait_blocked(1);
    submit(LAM_LANE_DUMP, 0, note, &gone);
    submit(LAM_LANE_DUMP, 3600000000u, note, &gone);
    submit(LAM_LANE_COMPACT, 3600000000u, note, &gone);
    submit(LAM_LANE_DUMP, 0, note, &stays);
    cancel(&gone);
    release();
    wait_count(2);
    ck_assert_int_eq(seen.log[0], 0);
    ck_assert_int_eq(seen.log[1], 2);
}
END_TEST

static void release_task(void *arg) {
    (void)arg;
    release();
}

START_TEST(cancel_waits_for_a_running_task) {
    setup();
    static struct step one = {1};
    submit(LAM_LANE_DUMP, 0, block, &one);
    wait_blocked(1);
    submit(LAM_LANE_COMPACT, 20000, release_task, NULL);
    cancel(&one);
    mutex_lock(&seen.mu);
    size_t count = seen.count;
    mutex_unlock(&seen.mu);
    ck_assert_uint_eq(count, 1);
}
END_TEST

static void resubmit(void *arg) {
    note(arg);
    submit(LAM_LANE_DUMP, 0, resubmit, arg);
}

START_TEST(cancel_ends_a_task_that_resubmits_itself) {
    setup();
    static struct step one = {1};
    submit(LAM_LANE_DUMP, 0, resubmit, &one);
    wait_count(3);
    cancel(&one);
    mutex_lock(&seen.mu);
    size_t count = seen.count;
    mutex_unlock(&seen.mu);
    static struct step after = {2};
    submit(LAM_LANE_DUMP, 0, note, &after);
    wait_count(count + 1);
    ck_assert_int_eq(seen.log[count % LOG], 2);
}
END_TEST

static void cancel_self(void *arg) {
    submit(LAM_LANE_COMPACT, 3600000000u, note, arg);
    cancel(arg);
    note(arg);
}

START_TEST(task_may_cancel_its_own_arg) {
    setup();
    static struct step one = {1};
    submit(LAM_LANE_DUMP, 0, cancel_self, &one);
    wait_count(1);
    cancel(&one);
    ck_assert_uint_eq(seen.count, 1);
}
END_TEST

/* The thread sanitizer does not support threads started after such a fork. */
#ifndef __SANITIZE_THREAD__
START_TEST(forked_child_has_an_executor_of_its_own) {
    setup();
    static struct step gate = {0}, one = {1};
    submit(LAM_LANE_DUMP, 0, block, &gate);
    wait_blocked(1);
    fflush(stdout);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        setup();
        alarm(60);
        submit(LAM_LANE_DUMP, 0, note, &one);
        wait_count(1);
        _exit(seen.log[0] == 1 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    release();
    wait_count(1);
}
END_TEST

#define FORK_TESTS forked_child_has_an_executor_of_its_own,
#else
#define FORK_TESTS
#endif

/* The second allocation of a first submit is the thread's. */
START_TEST(without_a_thread_the_caller_runs_what_is_due) {
    setup();
    static struct step one = {1}, two = {2};
    oom_arm(2);
    enum lam_code now = env_submit(lam_env_posix(), LAM_LANE_DUMP, 0, note, &one, &err);
    size_t count = seen.count;
    oom_arm(2);
    enum lam_code later = env_submit(lam_env_posix(), LAM_LANE_DUMP, 1, note, &one, &err);
    oom_arm(1);
    enum lam_code none = env_submit(lam_env_posix(), LAM_LANE_DUMP, 0, note, &one, &err);
    oom_arm(0);
    ck_code(now, LAM_OK);
    ck_assert_uint_eq(count, 1);
    ck_code(later, LAM_BUSY);
    ck_code(none, LAM_NO_MEMORY);
    submit(LAM_LANE_DUMP, 1, note, &two);
    wait_count(2);
    ck_assert_int_eq(seen.log[1], 2);
}
END_TEST

TEST_MAIN("base/exec", FORK_TESTS without_a_thread_the_caller_runs_what_is_due,
          one_lane_runs_in_order_of_submission, delays_order_tasks_by_due_time,
          lanes_run_at_the_same_time, cancel_takes_back_only_the_tasks_of_its_arg,
          cancel_waits_for_a_running_task, cancel_ends_a_task_that_resubmits_itself,
          task_may_cancel_its_own_arg)
