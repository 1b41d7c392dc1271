/* SPDX-License-Identifier: Apache-2.0 */
#include "flush/policy.h"
#include "tests/flush/env_clock.h"
#include "tests/flush/world.h"

#define SECOND 1000000ull

/* --- decisions --- */

START_TEST(decisions_follow_rows_interval_and_retry) {
    struct policy_input in = {.now_us = 100 * SECOND, .interval_from_us = 40 * SECOND};
    ck_assert_int_eq(policy_decide(&in), POLICY_NONE);
    ck_assert_uint_eq(policy_next_us(&in), FLUSH_NEVER);
    in.rows_due = true; /* without a rows policy */
    ck_assert_int_eq(policy_decide(&in), POLICY_NONE);
    in.flush_rows = 5;
    ck_assert_int_eq(policy_decide(&in), POLICY_ROWS);
    ck_assert_uint_eq(policy_next_us(&in), in.now_us);
    in.rows_due = false;
    in.flush_interval_s = 61;
    ck_assert_int_eq(policy_decide(&in), POLICY_NONE);
    ck_assert_uint_eq(policy_next_us(&in), 101 * SECOND);
    in.flush_interval_s = 60;
    ck_assert_int_eq(policy_decide(&in), POLICY_INTERVAL);
    in.retry_at_us = 130 * SECOND;
    ck_assert_int_eq(policy_decide(&in), POLICY_NONE);
    ck_assert_uint_eq(policy_next_us(&in), 130 * SECOND);
    in.rows_due = true;
    ck_assert_int_eq(policy_decide(&in), POLICY_NONE);
    ck_assert_uint_eq(policy_next_us(&in), 130 * SECOND);
}
END_TEST

/* --- with a database whose time the test drives --- */

struct timed {
    struct world w;
    struct clock_env clock;
    lam_env *inner;
};
static void timed_open(struct timed *t) {
    memset(&t->w, 0, sizeof t->w);
    ck_ok(lam_env_mem_new(&t->inner, &t->w.err), &t->w.err);
    clock_env_init(&t->clock, t->inner);
    t->w.env = &t->clock.base;
    t->w.manual = true;
    world_open_db(&t->w);
}
static void timed_close(struct timed *t) {
    world_close_db(&t->w);
    lam_env_mem_free(t->inner);
}
static struct provider *make_table(struct timed *t, enum table_kind kind, uint64_t rows,
                                   uint64_t interval_s) {
    struct table_options options;
    table_options_init(&options);
    options.flush_rows = rows;
    options.flush_interval_s = interval_s;
    world_table(&t->w, "t", kind, &options);
    return world_provider(&t->w, "t");
}

START_TEST(rows_policy_counts_per_user_and_flushes_him_alone) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_USER, 5, 0);
    for (int i = 0; i < 4; i++) {
        world_put(&t.w, p, "a", i, "x", i);
        world_put(&t.w, p, "b", i, "x", i);
    }
    clock_advance(&t.clock, SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 8);
    world_put(&t.w, p, "a", 4, "x", 4);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 9); /* in the background, not here */
    clock_advance(&t.clock, 0);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 4);
    world_check(&t.w, p, "a", "0|x|0\n1|x|1\n2|x|2\n3|x|3\n4|x|4\n");
    world_check(&t.w, p, "b", "0|x|0\n1|x|1\n2|x|2\n3|x|3\n");
    /* The count begins again. */
    for (int i = 5; i < 9; i++)
        world_put(&t.w, p, "a", i, "x", i);
    clock_advance(&t.clock, SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 8);
    world_put(&t.w, p, "a", 9, "x", 9);
    clock_advance(&t.clock, 0);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 4);
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(rows_policy_counts_the_whole_of_a_shared_table) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_SHARED, 3, 0);
    world_put(&t.w, p, "", 1, "x", 1);
    world_put(&t.w, p, "", 2, "x", 1);
    clock_advance(&t.clock, SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 2);
    world_put(&t.w, p, "", 3, "x", 1);
    clock_advance(&t.clock, 0);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(rows_of_before_the_open_count_too) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_USER, 5, 0);
    for (int i = 0; i < 4; i++)
        world_put(&t.w, p, "a", i, "x", i);
    provider_unref(p);
    world_reopen(&t.w);
    p = world_provider(&t.w, "t");
    world_put(&t.w, p, "a", 4, "x", 4);
    clock_advance(&t.clock, 0);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(interval_policy_flushes_again_and_again) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_SHARED, 0, 60);
    world_put(&t.w, p, "", 1, "x", 1);
    clock_advance(&t.clock, 59 * SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 1);
    clock_advance(&t.clock, SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    /* Nothing to flush makes no job and no file. */
    clock_advance(&t.clock, 300 * SECOND);
    ck_assert_uint_eq(count_segments(&t.w, p), 1);
    world_put(&t.w, p, "", 2, "x", 1);
    clock_advance(&t.clock, 60 * SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    ck_assert_uint_eq(count_segments(&t.w, p), 2);
    ck_assert_uint_le(t.clock.task_count, 2);
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(interval_policy_runs_after_a_reopen_without_a_write) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_USER, 0, 60);
    world_put(&t.w, p, "a", 1, "x", 1);
    provider_unref(p);
    world_reopen(&t.w);
    clock_advance(&t.clock, 61 * SECOND);
    p = world_provider(&t.w, "t");
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    world_check(&t.w, p, "a", "1|x|1\n");
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(whichever_of_both_policies_comes_first_flushes) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_SHARED, 3, 60);
    for (int i = 0; i < 3; i++)
        world_put(&t.w, p, "", i, "x", i);
    clock_advance(&t.clock, SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    world_put(&t.w, p, "", 9, "x", 9);
    clock_advance(&t.clock, 58 * SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 1); /* counted from the last flush */
    clock_advance(&t.clock, 2 * SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(failed_flush_is_tried_again_later) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_SHARED, 2, 0);
    ck_ok(env_write_file(t.w.env, "/db/cold", S("in the way"), &t.w.err), &t.w.err);
    for (int i = 0; i < 4; i++) {
        world_put(&t.w, p, "", i, "x", i);
        clock_advance(&t.clock, SECOND);
    }
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 4);
    ck_ok(env_file_remove(t.w.env, "/db/cold", &t.w.err), &t.w.err);
    clock_advance(&t.clock, 25 * SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 4);
    clock_advance(&t.clock, 10 * SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    provider_unref(p);
    timed_close(&t);
}
END_TEST

START_TEST(database_with_policies_closes_at_once) {
    static struct timed t;
    timed_open(&t);
    struct provider *p = make_table(&t, TABLE_SHARED, 2, 3600);
    for (int i = 0; i < 4; i++)
        world_put(&t.w, p, "", i, "x", i);
    lam_snapshot *snapshot;
    ck_ok(lam_snapshot_new(t.w.db, &snapshot, &t.w.err), &t.w.err);
    provider_unref(p);
    ck_code(lam_db_close(t.w.db, &t.w.err), LAM_BUSY);
    lam_snapshot_free(snapshot);
    /* It stayed open: the next written row brings the policies back. */
    p = world_provider(&t.w, "t");
    world_put(&t.w, p, "", 9, "x", 9);
    clock_advance(&t.clock, SECOND);
    ck_assert_uint_eq(world_hot_rows(&t.w, p), 0);
    provider_unref(p);
    timed_close(&t);
    ck_assert_uint_eq(t.clock.task_count, 0);
}
END_TEST

TEST_MAIN("flush/policy", decisions_follow_rows_interval_and_retry,
          rows_policy_counts_per_user_and_flushes_him_alone,
          rows_policy_counts_the_whole_of_a_shared_table, rows_of_before_the_open_count_too,
          interval_policy_flushes_again_and_again,
          interval_policy_runs_after_a_reopen_without_a_write,
          whichever_of_both_policies_comes_first_flushes, failed_flush_is_tried_again_later,
          database_with_policies_closes_at_once)
