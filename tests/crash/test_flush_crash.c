/* SPDX-License-Identifier: Apache-2.0
 *
 * Power loss before each change that a flush makes to the disk: after reopening all rows are there
 * once, whatever was lost, and no file is left that no manifest names. And each such change
 * failing: the table stays as it was. */
#include "tests/flush/world.h"
#include "tests/support/env_fault.h"

struct crash_run {
    struct world w;
    lam_env *inner;
    char *expected[2]; /* rows of users a and b, system columns too */
};
static const char *const owners[2] = {"a", "../b"};

/* Two users, one with an older segment that the flush makes dead rows in; an index. */
static void prepare(struct crash_run *c) {
    memset(c, 0, sizeof *c);
    struct world *w = &c->w;
    ck_ok(lam_env_mem_new(&c->inner, &w->err), &w->err);
    w->env = env_fault_new(c->inner);
    w->manual = true;
    world_open_db(w);
    world_table(w, "t", TABLE_USER, NULL);
    struct lam_slice column = S("name");
    struct index_spec spec = {.name = S("t_name"),
                              .namespace_name = S("default"),
                              .table = S("t"),
                              .columns = &column,
                              .column_count = 1};
    bool created;
    ck_ok(catalog_create_index(w->c, &world_root, &spec, &created, &w->err), &w->err);
    struct provider *p = world_provider(w, "t");
    for (int i = 0; i < 20; i++)
        world_put(w, p, "a", i, "old", i);
    world_flush(w, p);
    for (int i = 0; i < 20; i += 3)
        world_put(w, p, "a", i, "new", i);
    world_delete(w, p, "a", 1);
    for (int i = 0; i < 5; i++)
        world_put(w, p, "../b", i, "b", i);
    struct lam_stats stats;
    lam_db_stats(w->db, &stats);
    ck_ok(lam_sync(w->db, stats.sequence, &w->err), &w->err);
    for (int u = 0; u < 2; u++)
        c->expected[u] = world_dump(w, p, owners[u], true);
    provider_unref(p);
}

static void check_rows(struct world *w, char *const expected[2]) {
    struct provider *p = world_provider(w, "t");
    for (int u = 0; u < 2; u++) {
        char *got = world_dump(w, p, owners[u], true);
        ck_assert_str_eq(got, expected[u]);
        mem_free(got);
    }
    ck_assert_uint_eq(count_cold(w->env, ".parquet"), count_segments(w, p));
    ck_assert_uint_eq(count_cold(w->env, ".tmp"), 0);
    provider_unref(p);
}

/* A flush still works, and leaves nothing hot. */
static void check_flush(struct world *w, char *const expected[2]) {
    struct provider *p = world_provider(w, "t");
    world_flush(w, p);
    ck_assert_uint_eq(world_hot_rows(w, p), 0);
    provider_unref(p);
    check_rows(w, expected);
}

static void open_image(struct crash_run *c, enum lam_crash_mode mode, uint64_t seed) {
    struct world image = {0};
    ck_ok(lam_env_mem_crash(c->inner, mode, seed, &image.env, &image.err), &image.err);
    image.manual = true;
    world_open_db(&image);
    check_rows(&image, c->expected);
    check_flush(&image, c->expected);
    world_close(&image);
}

static void finish(struct crash_run *c) {
    for (int u = 0; u < 2; u++)
        mem_free(c->expected[u]);
    env_fault_arm(c->w.env, FAULT_ALL, 0, LAM_IO, false);
    IGNORE(lam_db_close(c->w.db, &c->w.err), "it may have lost its disk");
    env_fault_free(c->w.env);
    lam_env_mem_free(c->inner);
}

/* A flush in which the `nth` operation of `kinds` fails, and all after it if `sticky`. */
static enum lam_code flush_failing(struct crash_run *c, struct provider *p, unsigned kinds,
                                   uint64_t nth, enum lam_code code, bool sticky, bool *fired) {
    struct flush_result r;
    env_fault_arm(c->w.env, kinds, nth, code, sticky);
    enum lam_code rc = flush_table(c->w.f, p, &r, &c->w.err);
    *fired = env_fault_fired(c->w.env) > 0;
    return rc;
}

START_TEST(power_loss_at_any_step_of_a_flush_loses_and_repeats_nothing) {
    uint64_t seed = test_seed("flush crash"), steps = 0, committed = 0;
    for (uint64_t nth = 1;; nth++) {
        struct crash_run c;
        bool fired;
        prepare(&c);
        struct provider *p = world_provider(&c.w, "t");
        enum lam_code rc = flush_failing(&c, p, FAULT_MUTATE, nth, LAM_IO, true, &fired);
        provider_unref(p);
        committed += rc == LAM_OK && fired;
        open_image(&c, LAM_CRASH_POWER, 0);
        open_image(&c, LAM_CRASH_PROCESS, 0);
        for (uint64_t i = 0; i < 3; i++)
            open_image(&c, LAM_CRASH_POWER_ANY, seed + nth * 3 + i);
        finish(&c);
        steps++;
        if (!fired)
            break;
    }
    ck_assert_uint_gt(steps, 20);
    ck_assert_uint_gt(committed, 0); /* the derived files come after the commit */
}
END_TEST

START_TEST(failure_at_any_step_leaves_the_table_as_it_was) {
    for (uint64_t nth = 1;; nth++) {
        struct crash_run c;
        bool fired;
        prepare(&c);
        struct provider *p = world_provider(&c.w, "t");
        enum lam_code rc = flush_failing(&c, p, FAULT_MUTATE, nth, LAM_NO_SPACE, false, &fired);
        env_fault_arm(c.w.env, FAULT_MUTATE, 0, LAM_IO, false);
        for (int u = 0; u < 2; u++) {
            char *got = world_dump(&c.w, p, owners[u], true);
            ck_assert_str_eq(got, c.expected[u]);
            mem_free(got);
        }
        if (rc != LAM_OK)
            ck_assert_uint_gt(strlen(c.w.err.message), 0);
        /* A commit that is known to have failed, for want of space, say, leaves no file. */
        if (rc != LAM_OK && rc != LAM_UNKNOWN_OUTCOME)
            ck_assert_uint_eq(count_cold(c.w.env, ".parquet"), count_segments(&c.w, p));
        provider_unref(p);
        IGNORE(lam_db_close(c.w.db, &c.w.err), "a failed sync is told again");
        world_open_db(&c.w);
        check_rows(&c.w, c.expected);
        check_flush(&c.w, c.expected);
        finish(&c);
        if (!fired)
            break;
    }
}
END_TEST

START_TEST(failing_reads_fail_the_flush_or_the_query) {
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct crash_run c;
        bool fired;
        prepare(&c);
        struct provider *p = world_provider(&c.w, "t");
        enum lam_code rc =
            flush_failing(&c, p, FAULT_READ | FAULT_OPEN, nth, LAM_IO, false, &fired);
        env_fault_arm(c.w.env, FAULT_READ | FAULT_OPEN, 0, LAM_IO, false);
        provider_unref(p);
        check_rows(&c.w, c.expected);
        if (rc != LAM_OK)
            check_flush(&c.w, c.expected);
        finish(&c);
        if (!fired)
            break;
        ck_assert_uint_lt(nth, 199);
    }
}
END_TEST

/* Up to the commit each sync stands for something, of which a failure is told: the files, their
 * directories, those above, the log. What follows are derived files. */
START_TEST(each_failed_sync_before_the_commit_fails_the_flush) {
    unsigned failed = 0, passed = 0;
    for (uint64_t nth = 1;; nth++) {
        struct crash_run c;
        bool fired;
        prepare(&c);
        struct provider *p = world_provider(&c.w, "t");
        enum lam_code rc = flush_failing(&c, p, FAULT_SYNC, nth, LAM_IO, false, &fired);
        provider_unref(p);
        finish(&c);
        if (!fired)
            break;
        failed += rc != LAM_OK;
        passed += rc == LAM_OK;
        ck_assert_msg(rc == LAM_OK || passed == 0, "sync %u fails the flush, an earlier one not",
                      (unsigned)nth);
    }
    /* Two files, their two directories, four above these, the log. */
    ck_assert_uint_eq(failed, 9);
    ck_assert_uint_gt(passed, 0);
}
END_TEST

/* A storage whose directory nobody sweeps but for the tables that are there. */
static void make_outside(struct world *w, const char *base) {
    struct storage_spec spec = {.id = S("far"),
                                .type = S("filesystem"),
                                .base_directory = S(base),
                                .shared_template = S("{namespace}/{table}"),
                                .user_template = S("{namespace}/{table}/${user_id}")};
    bool created;
    ck_ok(catalog_create_storage(w->c, &world_root, &spec, &created, &w->err), &w->err);
}

/* A USER table "t" there with a hot row of user b and, if `segment`, a cold one of user a. */
static struct provider *outside_table(struct world *w, bool segment) {
    struct table_options options;
    make_outside(w, "/far");
    table_options_init(&options);
    strcpy(options.storage, "far");
    world_table(w, "t", TABLE_USER, &options);
    struct provider *p = world_provider(w, "t");
    world_put(w, p, "a", 1, "x", 1);
    if (segment)
        world_flush(w, p);
    world_put(w, p, "b", 1, "x", 1);
    ck_assert_uint_eq(count_files(w->env, "/far", "/a/"), segment ? 2 : 0);
    return p;
}

/* Drops the table for good; no crash after that leaves a file of it. */
static void drop_and_crash(struct world *w, lam_env *inner, uint64_t seed) {
    struct lam_stats stats;
    bool dropped;
    ck_ok(catalog_drop_table(w->c, &world_root, S("default"), S("t"), TABLE_USER, false, &dropped,
                             &w->err),
          &w->err);
    lam_db_stats(w->db, &stats);
    ck_ok(lam_sync(w->db, stats.sequence, &w->err), &w->err);
    for (uint64_t i = 0; i < 8; i++) {
        struct world image = {.manual = true};
        enum lam_crash_mode mode = i ? LAM_CRASH_POWER_ANY : LAM_CRASH_POWER;
        ck_ok(lam_env_mem_crash(inner, mode, seed + i, &image.env, &image.err), &image.err);
        world_open_db(&image);
        ck_assert_uint_eq(count_files(image.env, "/far", ""), 0);
        world_close(&image);
    }
}

START_TEST(power_loss_brings_no_file_of_a_dropped_table_back) {
    struct world w = {.manual = true};
    ck_ok(lam_env_mem_new(&w.env, &w.err), &w.err);
    world_open_db(&w);
    provider_unref(outside_table(&w, true));
    drop_and_crash(&w, w.env, test_seed("drop crash"));
    world_close(&w);
}
END_TEST

static bool takes_writes(struct world *w) {
    struct lam_stats stats;
    lam_db_stats(w->db, &stats);
    return lam_sync(w->db, stats.sequence, NULL) == LAM_OK;
}

/* How a flush that fails ends. */
enum ending { GOES_ON, IS_KILLED, ENDINGS };

/* Files of a flush that failed are removed by it, or by the next open. In neither case may they be
 * back when the table, which alone led to them, is gone. False: nothing failed. */
static bool fail_drop_and_crash(bool segment, enum ending ending, uint64_t nth, uint64_t seed) {
    struct crash_run c = {.w.manual = true};
    struct world *w = &c.w, next = {.manual = true};
    bool fired;
    ck_ok(lam_env_mem_new(&c.inner, &w->err), &w->err);
    w->env = env_fault_new(c.inner);
    world_open_db(w);
    struct provider *p = outside_table(w, segment);
    enum lam_code rc = flush_failing(&c, p, FAULT_MUTATE, nth, LAM_IO, ending == IS_KILLED, &fired);
    provider_unref(p);
    if (ending == IS_KILLED) {
        ck_ok(lam_env_mem_crash(c.inner, LAM_CRASH_PROCESS, 0, &next.env, &next.err), &next.err);
        world_open_db(&next);
        drop_and_crash(&next, next.env, seed);
        world_close(&next);
    } else {
        env_fault_arm(w->env, FAULT_MUTATE, 0, LAM_IO, false);
        if (rc == LAM_OK || takes_writes(w))
            drop_and_crash(w, c.inner, seed);
    }
    finish(&c);
    return fired;
}

START_TEST(power_loss_brings_no_file_of_a_failed_flush_back) {
    uint64_t seed = test_seed("failed flush crash");
    for (int segment = 0; segment < 2; segment++)
        for (enum ending e = 0; e < ENDINGS; e++) {
            uint64_t nth = 1;
            while (fail_drop_and_crash(segment, e, nth, seed + nth * 8))
                nth++;
            ck_assert_uint_gt(nth, 20);
        }
}
END_TEST

/* What a killed process did to the disk is there for the next one and not yet durable: folders
 * that it made, say, above those that the next one makes and syncs. The killed one's environment
 * refuses everything from some change on; its successor finds it as it is. */
START_TEST(flush_builds_on_nothing_of_a_killed_one_that_is_not_durable) {
    uint64_t seed = test_seed("killed flush crash");
    for (uint64_t nth = 1;; nth++) {
        struct crash_run c = {.w.manual = true};
        struct world *w = &c.w;
        struct table_options options;
        bool fired;
        ck_ok(lam_env_mem_new(&c.inner, &w->err), &w->err);
        w->env = env_fault_new(c.inner);
        world_open_db(w);
        make_outside(w, "/far/deep/cold");
        table_options_init(&options);
        strcpy(options.storage, "far");
        world_table(w, "t", TABLE_USER, &options);
        struct provider *p = world_provider(w, "t");
        for (int u = 0; u < 2; u++) {
            world_put(w, p, owners[u], 1, "x", 1);
            c.expected[u] = world_dump(w, p, owners[u], true);
        }
        IGNORE(flush_failing(&c, p, FAULT_MUTATE, nth, LAM_IO, true, &fired), "killed");
        provider_unref(p);
        IGNORE(lam_db_close(w->db, &w->err), "the same");
        env_fault_arm(w->env, FAULT_MUTATE, 0, LAM_IO, false);
        world_open_db(w);
        p = world_provider(w, "t");
        world_flush(w, p);
        provider_unref(p);
        for (uint64_t i = 0; i < 4; i++) {
            struct world image = {.manual = true};
            enum lam_crash_mode mode = i ? LAM_CRASH_POWER_ANY : LAM_CRASH_POWER;
            ck_ok(lam_env_mem_crash(c.inner, mode, seed + nth * 4 + i, &image.env, &image.err),
                  &image.err);
            world_open_db(&image);
            p = world_provider(&image, "t");
            for (int u = 0; u < 2; u++) {
                char *got = world_dump(&image, p, owners[u], true);
                ck_assert_str_eq(got, c.expected[u]);
                mem_free(got);
            }
            provider_unref(p);
            world_close(&image);
        }
        finish(&c);
        if (!fired)
            break;
        ck_assert_uint_lt(nth, 199);
    }
}
END_TEST

static unsigned failing_syncs(enum lam_code code) {
    unsigned failed = 0;
    for (uint64_t nth = 1;; nth++) {
        struct crash_run c = {.w.manual = true};
        bool fired;
        ck_ok(lam_env_mem_new(&c.inner, &c.w.err), &c.w.err);
        c.w.env = env_fault_new(c.inner);
        world_open_db(&c.w);
        struct provider *p = outside_table(&c.w, false);
        failed += flush_failing(&c, p, FAULT_SYNC, nth, code, false, &fired) != LAM_OK;
        provider_unref(p);
        finish(&c);
        if (!fired)
            return failed;
    }
}

START_TEST(folders_above_a_storage_need_not_be_readable) {
    /* Two files with their folders and the log; and /far/default/t, /far/default, /far and /. */
    ck_assert_uint_eq(failing_syncs(LAM_IO), 9);
    ck_assert_uint_eq(failing_syncs(LAM_DENIED), 5);
}
END_TEST

TEST_MAIN("crash/flush", each_failed_sync_before_the_commit_fails_the_flush,
          power_loss_at_any_step_of_a_flush_loses_and_repeats_nothing,
          failure_at_any_step_leaves_the_table_as_it_was, failing_reads_fail_the_flush_or_the_query,
          power_loss_brings_no_file_of_a_dropped_table_back,
          power_loss_brings_no_file_of_a_failed_flush_back,
          flush_builds_on_nothing_of_a_killed_one_that_is_not_durable,
          folders_above_a_storage_need_not_be_readable)
