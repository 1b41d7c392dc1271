/* SPDX-License-Identifier: Apache-2.0
 *
 * The scheduler finds what it is for in toys, repeats itself, and does no harm to what is right. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/thread.h"
#include "tests/sim/sched.h"
#include "tests/support/test.h"

#define THREADS 4
#define SEEDS   200

static struct thread threads[16];

static void start(struct thread *t, void (*fn)(void *), void *arg) {
    struct lam_error err = {0};
    ck_ok(thread_start(t, fn, arg, &err), &err);
}

static void start_all(size_t count, void (*fn)(void *)) {
    for (size_t i = 0; i < count; i++)
        start(&threads[i], fn, (void *)i);
}

static void join_all(size_t count) {
    for (size_t i = 0; i < count; i++)
        thread_join(&threads[i]);
}

static uint64_t run(uint64_t seed, const struct sched_options *options, void (*fn)(void *)) {
    struct choice c;
    choice_seed(&c, seed);
    sched_run(&c, options, fn, NULL);
    choice_fini(&c);
    return sched_hash();
}

/* Runs `fn` under the scheduler in a child process; what it wrote to stderr, or NULL if it ended
 * well. The caller has no threads yet. */
static const char *run_in_child(uint64_t seed, const struct sched_options *options,
                                void (*fn)(void *)) {
    static char text[4096];
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        run(seed, options, fn);
        kill(getpid(), SIGKILL); /* at once, whatever a sanitizer would do at exit */
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t n;
    while ((n = read(ends[0], text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)n;
    text[size] = '\0';
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? NULL : text;
}

/* --- mutexes -------------------------------------------------------------------------------- */

static struct mutex mu;
static struct cond changed;
static bool unlocked; /* the toy forgets to lock */
static unsigned counter;

static NO_THREAD_SAFETY void increment(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        if (!unlocked)
            mutex_lock(&mu);
        unsigned was = counter;
        sched_point();
        counter = was + 1;
        if (!unlocked)
            mutex_unlock(&mu);
    }
}

static void count_main(void *arg) {
    (void)arg;
    counter = 0;
    mutex_init(&mu, RANK_LEAF);
    start_all(THREADS, increment);
    join_all(THREADS);
    mutex_fini(&mu);
}

START_TEST(mutexes_exclude_under_every_policy) {
    for (unsigned policy = 0; policy < SCHED_POLICIES; policy++) {
        struct sched_options options = {.policy = policy, .depth = 3, .length = 100};
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            run(seed, &options, count_main);
            ck_assert_uint_eq(counter, THREADS * 5);
        }
    }
}
END_TEST

START_TEST(a_forgotten_lock_loses_updates) {
    unlocked = true;
    unsigned found = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, NULL, count_main);
        found += counter != THREADS * 5;
    }
    ck_assert_uint_gt(found, SEEDS / 2);
}
END_TEST

/* --- bugs to be found ----------------------------------------------------------------------- */

static bool flag;

/* Looks at the flag without the mutex and then waits for a signal that may have come between. */
static void wait_badly(void *arg) {
    (void)arg;
    bool set = flag;
    sched_point();
    mutex_lock(&mu);
    if (!set)
        cond_wait(&changed, &mu);
    mutex_unlock(&mu);
}

static void set_flag(void *arg) {
    (void)arg;
    mutex_lock(&mu);
    flag = true;
    cond_signal(&changed);
    mutex_unlock(&mu);
}

static void lost_wakeup_main(void *arg) {
    (void)arg;
    flag = false;
    mutex_init(&mu, RANK_LEAF);
    cond_init(&changed);
    start(&threads[0], wait_badly, NULL);
    start(&threads[1], set_flag, NULL);
    join_all(2);
    cond_fini(&changed);
    mutex_fini(&mu);
}

START_TEST(a_lost_wakeup_is_found_as_a_deadlock) {
    unsigned found = 0, good = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const char *text = run_in_child(seed, NULL, lost_wakeup_main);
        if (text) {
            ck_contains(text, "deadlock");
            ck_contains(text, "waits on a condition");
            found++;
        } else {
            good++;
        }
    }
    ck_assert_uint_gt(found, 0);
    ck_assert_uint_gt(good, 0);
}
END_TEST

static struct mutex stripes[2];

static void lock_both(void *arg) {
    size_t first = (size_t)arg;
    mutex_lock(&stripes[first]);
    mutex_lock(&stripes[1 - first]);
    mutex_unlock(&stripes[1 - first]);
    mutex_unlock(&stripes[first]);
}

/* Ranks say nothing of the order within a table's stripes. */
static void embrace_main(void *arg) {
    (void)arg;
    mutex_init(&stripes[0], RANK_STRIPE);
    mutex_init(&stripes[1], RANK_STRIPE);
    start_all(2, lock_both);
    join_all(2);
}

START_TEST(a_deadly_embrace_is_told_with_owners_and_ranks) {
    unsigned found = 0, good = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const char *text = run_in_child(seed, NULL, embrace_main);
        if (text) {
            ck_contains(text, "deadlock");
            ck_contains(text, "thread 1 wants a mutex of rank 40 that thread 2 holds");
            ck_contains(text, "thread 2 wants a mutex of rank 40 that thread 1 holds");
            ck_contains(text, "thread 0 joins thread 1");
            found++;
        } else {
            good++;
        }
    }
    ck_assert_uint_gt(found, 0);
    ck_assert_uint_gt(good, 0);
}
END_TEST

static void lock_against_rank(void *arg) {
    (void)arg;
    mutex_init(&stripes[0], RANK_CACHE);
    mutex_init(&stripes[1], RANK_DB_COMMIT);
    lock_both(NULL);
}

START_TEST(ranks_are_asserted_in_every_build) {
    const char *text = run_in_child(1, NULL, lock_against_rank);
    ck_assert_ptr_nonnull(text);
    ck_contains(text, "lock order: a mutex of rank 70");
}
END_TEST

static void spin(void *arg) {
    (void)arg;
    for (;;)
        thread_yield();
}

START_TEST(a_livelock_is_found_by_the_cap) {
    struct sched_options options = {.steps_max = 1000};
    const char *text = run_in_child(1, &options, spin);
    ck_assert_ptr_nonnull(text);
    ck_contains(text, "livelock");
}
END_TEST

static void *shared;
static bool used_after;

static void use_shared(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++)
        sched_point();
    bool there = shared != NULL;
    sched_point();
    if (there && !shared)
        used_after = true;
    for (int i = 0; i < 20; i++)
        sched_point();
}

static void clear_shared(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++)
        sched_point();
    shared = NULL;
}

static void depth_two_main(void *arg) {
    (void)arg;
    shared = &shared;
    start(&threads[0], use_shared, NULL);
    start(&threads[1], clear_shared, NULL);
    join_all(2);
}

/* The bug wants two orders: checked before cleared, cleared before used. One change of priorities
 * finds it with a chance of at least 1 in 3 threads x 100 points; none can't find it. */
START_TEST(priorities_find_a_bug_of_depth_two) {
    for (uint32_t depth = 0; depth < 2; depth++) {
        struct sched_options options = {.policy = SCHED_PRIORITIES, .depth = depth, .length = 100};
        unsigned found = 0;
        for (uint64_t seed = 0; seed < 2000; seed++) {
            used_after = false;
            run(seed, &options, depth_two_main);
            found += used_after;
        }
        if (depth == 0)
            ck_assert_uint_eq(found, 0);
        else
            ck_assert_uint_ge(found, 3);
    }
}
END_TEST

static unsigned progress[3];

static void go_on(void *arg) {
    size_t me = (size_t)arg;
    for (int i = 0; i < 10; i++) {
        progress[me]++;
        sched_point();
    }
    if (me == 0)
        flag = progress[1] == 10 && progress[2] == 10;
}

static void starve_main(void *arg) {
    (void)arg;
    memset(progress, 0, sizeof progress);
    flag = false;
    start_all(3, go_on);
    join_all(3);
}

START_TEST(a_starved_thread_runs_last) {
    struct sched_options options = {.policy = SCHED_STARVE};
    unsigned last = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, &options, starve_main);
        last += flag;
    }
    /* It is the victim in one of six runs. */
    ck_assert_uint_gt(last, SEEDS / 12);
}
END_TEST

/* --- repetition ----------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

START_TEST(a_seed_gives_one_schedule_and_another_seed_another) {
    for (unsigned policy = 0; policy < SCHED_POLICIES; policy++) {
        struct sched_options options = {.policy = policy, .depth = 3, .length = 100};
        uint64_t hashes[SEEDS];
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            hashes[seed] = run(seed, &options, count_main);
            uint64_t points = sched_points(), switches = sched_switches();
            ck_assert_uint_eq(run(seed, &options, count_main), hashes[seed]);
            ck_assert_uint_eq(sched_points(), points);
            ck_assert_uint_eq(sched_switches(), switches);
        }
        qsort(hashes, SEEDS, sizeof *hashes, compare_hashes);
        unsigned distinct = 1;
        for (size_t i = 1; i < SEEDS; i++)
            distinct += hashes[i] != hashes[i - 1];
        /* Round robin leaves no choice but spurious wakes. */
        unsigned want = policy == SCHED_RANDOM       ? SEEDS
                        : policy == SCHED_STALL      ? SEEDS
                        : policy == SCHED_PRIORITIES ? SEEDS / 2
                        : policy == SCHED_STARVE     ? SEEDS / 2
                                                     : 1;
        ck_assert_msg(distinct >= want, "policy %u: %u distinct schedules", policy, distinct);
    }
}
END_TEST

static void two_steps(void *arg) {
    (void)arg;
    sched_point();
    sched_point();
}

static void two_threads_main(void *arg) {
    (void)arg;
    start_all(2, two_steps);
    join_all(2);
}

START_TEST(an_odometer_goes_through_all_schedules) {
    struct choice c;
    choice_odometer(&c);
    unsigned runs = 0;
    do {
        sched_run(&c, NULL, two_threads_main, NULL);
        runs++;
    } while (choice_next(&c));
    choice_fini(&c);
    ck_assert_uint_gt(runs, 50);
    ck_assert_uint_lt(runs, 100000);
}
END_TEST

/* --- time ----------------------------------------------------------------------------------- */

static unsigned fired[3], fired_count;

static void sleep_hours(void *arg) {
    unsigned hours = (unsigned)(size_t)arg;
    uint64_t until = sched_now_ns() + hours * UINT64_C(3600000000000);
    mutex_lock(&mu);
    while (sched_now_ns() < until)
        cond_wait_for(&changed, &mu, (until - sched_now_ns()) / 1000);
    fired[fired_count++] = hours;
    mutex_unlock(&mu);
}

static void sleep_main(void *arg) {
    (void)arg;
    fired_count = 0;
    mutex_init(&mu, RANK_LEAF);
    cond_init(&changed);
    uint64_t begin = sched_now_ns();
    start(&threads[0], sleep_hours, (void *)3);
    start(&threads[1], sleep_hours, (void *)1);
    start(&threads[2], sleep_hours, (void *)2);
    join_all(3);
    ck_assert_uint_eq(sched_now_ns() - begin, UINT64_C(3) * 3600000000000);
    cond_fini(&changed);
    mutex_fini(&mu);
}

START_TEST(timeouts_come_in_order_and_take_no_time) {
    time_t begin = time(NULL);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, NULL, sleep_main);
        ck_assert_uint_eq(fired_count, 3);
        for (unsigned i = 0; i < 3; i++)
            ck_assert_uint_eq(fired[i], i + 1);
    }
    ck_assert_int_lt(time(NULL) - begin, 3600);
}
END_TEST

static void sleep_for(void *arg) {
    unsigned us = (unsigned)(size_t)arg;
    uint64_t begin = sched_now_ns();
    sched_sleep_us(us);
    ck_assert_uint_eq(sched_now_ns() - begin, us * UINT64_C(1000));
    fired[fired_count++] = us;
}

static void sleepers_main(void *arg) {
    (void)arg;
    fired_count = 0;
    start(&threads[0], sleep_for, (void *)30);
    start(&threads[1], sleep_for, (void *)20);
    sleep_for((void *)10);
    join_all(2);
}

START_TEST(sleepers_wake_in_order) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, NULL, sleepers_main);
        for (unsigned i = 0; i < 3; i++)
            ck_assert_uint_eq(fired[i], 10 * (i + 1));
    }
}
END_TEST

static unsigned woken;

static void await_flag(void *arg) {
    (void)arg;
    mutex_lock(&mu);
    bool in_time = true;
    while (!flag && in_time)
        in_time = cond_wait_for(&changed, &mu, 1000000);
    woken += in_time;
    mutex_unlock(&mu);
}

static void signal_main(void *arg) {
    (void)arg;
    woken = 0;
    flag = false;
    mutex_init(&mu, RANK_LEAF);
    cond_init(&changed);
    start_all(THREADS, await_flag);
    set_flag(NULL);
    join_all(THREADS);
    cond_fini(&changed);
    mutex_fini(&mu);
}

START_TEST(a_signal_wakes_one_and_its_like_time_out) {
    bool some_slept = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, NULL, signal_main);
        ck_assert_uint_ge(woken, 1);
        some_slept |= woken < THREADS;
    }
    ck_assert(some_slept);
}
END_TEST

/* --- lanes ---------------------------------------------------------------------------------- */

static unsigned running[LAM_LANE_COUNT], most_running, done[LAM_LANE_COUNT];

static void lane_task(void *arg) {
    unsigned lane = (unsigned)(size_t)arg / 100, number = (unsigned)(size_t)arg % 100;
    ck_assert_uint_eq(running[lane]++, 0);
    sched_point();
    unsigned all = running[0] + running[1] + running[2];
    most_running = all > most_running ? all : most_running;
    ck_assert_uint_eq(done[lane], number);
    done[lane]++;
    sched_point();
    running[lane]--;
}

static void submit(enum lam_lane lane, uint64_t delay_us, lam_task_fn fn, void *arg) {
    struct lam_error err = {0};
    ck_ok(sched_submit(lane, delay_us, fn, arg, &err), &err);
}

static void lanes_main(void *arg) {
    (void)arg;
    memset(done, 0, sizeof done);
    submit(LAM_LANE_DUMP, 2000, lane_task, (void *)9);
    for (size_t i = 0; i < 9; i++)
        for (size_t lane = 0; lane < LAM_LANE_COUNT; lane++)
            submit((enum lam_lane)lane, lane == 2 ? 100 * i : 0, lane_task,
                   (void *)(lane * 100 + i));
    mutex_init(&mu, RANK_LEAF);
    cond_init(&changed);
    sleep_hours((void *)1);
    fired_count = 0;
    ck_assert_uint_eq(done[0], 10);
    ck_assert_uint_eq(done[1], 9);
    ck_assert_uint_eq(done[2], 9);
    cond_fini(&changed);
    mutex_fini(&mu);
}

START_TEST(lanes_are_serial_each_and_parallel_to_one_another) {
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, NULL, lanes_main);
    ck_assert_uint_eq(most_running, 3);
}
END_TEST

static unsigned resubmitted;

static void resubmit(void *arg) {
    ck_assert_uint_eq(running[0]++, 0);
    resubmitted++;
    if (resubmitted < 3)
        submit(LAM_LANE_DUMP, 0, resubmit, arg);
    running[0]--;
}

static void end_with_tasks_main(void *arg) {
    resubmitted = 0;
    submit(LAM_LANE_DUMP, 0, resubmit, arg);
    submit(LAM_LANE_COMPACT, 1000, spin, arg);
}

START_TEST(lanes_end_with_the_run_after_what_is_due) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, NULL, end_with_tasks_main);
        ck_assert_uint_eq(resubmitted, 3);
    }
}
END_TEST

static void inline_main(void *arg) {
    struct thread t;
    ck_assert_int_eq(thread_start(&t, spin, NULL, NULL), LAM_BUSY);
    resubmitted = 0;
    submit(LAM_LANE_DUMP, 0, resubmit, arg);
    ck_assert_uint_eq(resubmitted, 3);
    ck_assert_int_eq(sched_submit(LAM_LANE_DUMP, 1, resubmit, arg, NULL), LAM_BUSY);
    sched_cancel(arg);
}

START_TEST(submitters_run_tasks_where_no_thread_can_be_had) {
    struct sched_options options = {.no_threads = true};
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, &options, inline_main);
}
END_TEST

static unsigned begun, ended;
static bool again;

static void slow_task(void *arg) {
    begun++;
    for (int i = 0; i < 5; i++)
        sched_point();
    if (again)
        submit(LAM_LANE_COMPACT, 0, slow_task, arg);
    sched_point();
    ended++;
}

static void other_task(void *arg) {
    (void)arg;
    counter++;
}

static void cancel_main(void *arg) {
    (void)arg;
    begun = ended = counter = 0;
    again = true;
    submit(LAM_LANE_DUMP, 0, slow_task, &begun);
    submit(LAM_LANE_DUMP, 0, slow_task, &begun);
    submit(LAM_LANE_DUMP, 0, other_task, &counter);
    for (uint32_t i = 0; i < 10; i++)
        sched_point();
    sched_cancel(&begun);
    ck_assert_uint_eq(begun, ended);
    unsigned before = begun;
    for (uint32_t i = 0; i < 100; i++)
        thread_yield();
    ck_assert_uint_eq(begun, before);
    ck_assert_uint_eq(counter, 1);
    fired[before < 2 ? before : 2]++;
}

START_TEST(cancel_takes_back_what_waits_and_waits_for_what_runs) {
    memset(fired, 0, sizeof fired);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, NULL, cancel_main);
    /* Both ways were seen: cancelled before the first began, and while one ran. */
    ck_assert_uint_gt(fired[0] + fired[1], 0);
    ck_assert_uint_gt(fired[1] + fired[2], 0);
}
END_TEST

static void cancel_itself(void *arg) {
    sched_cancel(arg);
    ended++;
}

static void cancel_itself_main(void *arg) {
    (void)arg;
    ended = 0;
    submit(LAM_LANE_DUMP, 0, cancel_itself, &ended);
}

START_TEST(a_task_may_cancel_itself) {
    run(1, NULL, cancel_itself_main);
    ck_assert_uint_eq(ended, 1);
}
END_TEST

/* --- suspension and death ------------------------------------------------------------------- */

static void busy(void *arg) {
    (void)arg;
    for (int i = 0; i < 50; i++) {
        mutex_lock(&mu);
        counter++;
        mutex_unlock(&mu);
    }
}

static void suspend_main(void *arg) {
    (void)arg;
    static struct mutex state, low, inner;
    static struct cond inner_cond;
    counter = 0;
    mutex_init(&mu, RANK_LEAF);
    mutex_init(&state, RANK_DB_STATE);
    mutex_init(&low, RANK_DDL);
    start_all(2, busy);
    mutex_lock(&state);
    sched_suspend();
    unsigned was = counter;
    uint64_t switches = sched_switches(), points = sched_points();
    mutex_init(&inner, RANK_DB_STATE);
    cond_init(&inner_cond);
    mutex_lock(&low); /* the rank of `state` is set aside */
    mutex_lock(&inner);
    ck_assert(!cond_wait_for(&inner_cond, &inner, 5));
    mutex_unlock(&inner);
    sched_suspend();
    mutex_lock(&inner);
    mutex_unlock(&inner);
    sched_resume();
    cond_broadcast(&inner_cond);
    mutex_unlock(&low);
    for (int i = 0; i < 100; i++)
        thread_yield();
    resubmitted = 0;
    submit(LAM_LANE_DUMP, 0, resubmit, arg);
    ck_assert_uint_eq(resubmitted, 3);
    ck_assert_int_eq(thread_start(&threads[5], busy, NULL, NULL), LAM_BUSY);
    cond_fini(&inner_cond);
    mutex_fini(&inner);
    ck_assert_uint_eq(counter, was);
    ck_assert_uint_eq(sched_switches(), switches);
    ck_assert_uint_eq(sched_points(), points);
    sched_resume();
    mutex_unlock(&state);
    join_all(2);
    ck_assert_uint_eq(counter, 100);
    mutex_fini(&low);
    mutex_fini(&state);
    mutex_fini(&mu);
}

START_TEST(nobody_else_runs_while_scheduling_is_suspended) {
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, NULL, suspend_main);
}
END_TEST

static void hold_and_wait(void *arg) {
    (void)arg;
    mutex_lock(&mu);
    flag = true;
    for (int i = 0; i < 100; i++)
        sched_point();
    mutex_unlock(&mu);
}

static void suspended_lock_main(void *arg) {
    flag = false;
    mutex_init(&mu, RANK_LEAF);
    start(&threads[0], hold_and_wait, arg);
    while (!flag)
        thread_yield();
    sched_suspend();
    mutex_lock(&mu);
}

START_TEST(a_suspended_thread_that_would_block_is_a_bug) {
    const char *text = run_in_child(1, NULL, suspended_lock_main);
    ck_assert_ptr_nonnull(text);
    ck_contains(text,
                "wants a mutex of rank 110 that thread 1 holds, while scheduling is suspended");
}
END_TEST

static void die_in_the_middle(void *arg) {
    bool all = arg != NULL;
    for (int i = 0; i < 20; i++)
        sched_point();
    if (all)
        sched_kill_all();
    sched_kill_others();
    unsigned was = counter;
    for (int i = 0; i < 20; i++)
        sched_point();
    ck_assert_uint_eq(counter, was);
    /* A new process may begin where the old one ended. */
    resubmitted = 0;
    submit(LAM_LANE_DUMP, 0, resubmit, NULL);
    start(&threads[9], two_steps, NULL);
    thread_join(&threads[9]);
    while (resubmitted < 3)
        thread_yield();
    woken = 1;
}

static void count_for_ever(void *arg) {
    (void)arg;
    for (;;) {
        mutex_lock(&mu);
        counter++;
        mutex_unlock(&mu);
    }
}

static void death_main(void *arg) {
    (void)arg;
    running[0] = 0;
    woken = 0;
    mutex_init(&mu, RANK_LEAF);
    start_all(3, count_for_ever);
    submit(LAM_LANE_COMPACT, 0, count_for_ever, NULL);
    start(&threads[3], die_in_the_middle, flag ? &flag : NULL);
    join_all(3);
    ck_abort_msg("the first thread is dead");
}

START_TEST(a_killed_process_leaves_only_its_killer) {
    flag = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run(seed, NULL, death_main);
        ck_assert_uint_eq(woken, 1);
    }
    flag = true;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, NULL, death_main);
    unlocked = false;
    run(1, NULL, count_main);
    ck_assert_uint_eq(counter, THREADS * 5);
}
END_TEST

/* --- outside of runs ------------------------------------------------------------------------ */

static void wait_turn(void *arg) {
    unsigned me = (unsigned)(size_t)arg;
    for (unsigned i = 0; i < 100; i++) {
        mutex_lock(&mu);
        while (counter % THREADS != me)
            cond_wait(&changed, &mu);
        counter++;
        cond_broadcast(&changed);
        mutex_unlock(&mu);
    }
}

START_TEST(threads_are_the_systems_outside_of_runs) {
    for (int round = 0; round < 2; round++) {
        counter = 0;
        mutex_init(&mu, RANK_LEAF);
        cond_init(&changed);
        ck_assert(!sched_active());
        start_all(THREADS, wait_turn);
        join_all(THREADS);
        ck_assert_uint_eq(counter, THREADS * 100);
        mutex_lock(&mu);
        ck_assert(!cond_wait_for(&changed, &mu, 100));
        sched_suspend();
        struct mutex low;
        mutex_init(&low, RANK_DDL);
        mutex_lock(&low);
        mutex_unlock(&low);
        mutex_fini(&low);
        sched_resume();
        mutex_unlock(&mu);
        cond_fini(&changed);
        mutex_fini(&mu);
        uint64_t me = thread_self();
        run(1, NULL, count_main);
        ck_assert_uint_eq(counter, THREADS * 5);
        ck_assert_uint_eq(thread_self(), me);
    }
}
END_TEST

TEST_MAIN("sched", mutexes_exclude_under_every_policy, a_forgotten_lock_loses_updates,
          a_lost_wakeup_is_found_as_a_deadlock, a_deadly_embrace_is_told_with_owners_and_ranks,
          ranks_are_asserted_in_every_build, a_livelock_is_found_by_the_cap,
          priorities_find_a_bug_of_depth_two, a_starved_thread_runs_last,
          a_seed_gives_one_schedule_and_another_seed_another,
          an_odometer_goes_through_all_schedules, timeouts_come_in_order_and_take_no_time,
          sleepers_wake_in_order, a_signal_wakes_one_and_its_like_time_out,
          lanes_are_serial_each_and_parallel_to_one_another,
          lanes_end_with_the_run_after_what_is_due, submitters_run_tasks_where_no_thread_can_be_had,
          cancel_takes_back_what_waits_and_waits_for_what_runs, a_task_may_cancel_itself,
          nobody_else_runs_while_scheduling_is_suspended,
          a_suspended_thread_that_would_block_is_a_bug, a_killed_process_leaves_only_its_killer,
          threads_are_the_systems_outside_of_runs)
