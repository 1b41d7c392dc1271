/* SPDX-License-Identifier: Apache-2.0
 *
 * A few histories of SQL statements, crashed and failed, for sanitizers; and the proof that lost
 * rows are seen: with disks that lie about syncs of flushed files every run must fail. */
#include "tests/sim/world_sql.h"
#include "tests/support/test.h"

static bool run(uint64_t seed, unsigned steps, const struct wsql_options *options,
                struct wsql_stats *stats, char *message) {
    struct choice c;
    choice_seed(&c, seed);
    c.keep = false;
    struct wsql *w = wsql_new(&c, NULL, options, stats);
    wsql_history(w, steps);
    wsql_end(w);
    bool good = !w->failed;
    snprintf(message, 400, "%.399s", w->message);
    wsql_free(w);
    choice_fini(&c);
    return good;
}

START_TEST(every_crash_leaves_a_state_of_the_history) {
    struct wsql_options options = {.images = 2, .depth = 2};
    struct wsql_stats stats = {0};
    char message[400];
    for (uint64_t seed = 0; seed < 8; seed++)
        ck_assert_msg(run(seed, 50, &options, &stats, message), "seed %d: %s", (int)seed, message);
    ck_assert_uint_gt(stats.images, 300);
    ck_assert_uint_gt(stats.nested, 50);
    ck_assert_uint_gt(stats.index_checks, 1000);
    ck_assert_uint_gt(stats.cold_files, 100);
    ck_assert_uint_eq(stats.leaks, 0);
}
END_TEST

START_TEST(failing_operations_are_clean_errors) {
    struct wsql_options options = {.faults = 3};
    struct wsql_stats stats = {0};
    char message[400];
    for (uint64_t seed = 100; seed < 110; seed++)
        ck_assert_msg(run(seed, 50, &options, &stats, message), "seed %d: %s", (int)seed, message);
    ck_assert_uint_gt(stats.faults, 20);
    ck_assert_uint_gt(stats.faults_survived, 0);
}
END_TEST

static void exec(lam_session *session, const char *sql, enum lam_code expected) {
    struct lam_error err = {0};
    ck_code(lam_exec(session, sql, strlen(sql), NULL, NULL, NULL, &err), expected);
}

/* An opening may fail when the file is made already, for example if its mode can't be set. */
START_TEST(segment_whose_making_failed_is_removed) {
    struct choice c;
    struct lam_error err = {0};
    lam_db *db;
    lam_session *session;
    choice_seed(&c, 1);
    struct simfs *fs = simfs_new(&(struct simfs_options){0}, &c);
    struct lam_options options = {.env = simfs_env(fs), .manual_background = true};
    struct simfs_fault fault = {.ops = SIMFS_CREATE,
                                .pattern = ".parquet.tmp",
                                .effect = SIMFS_FAIL_DONE,
                                .nth = 1,
                                .code = LAM_IO};
    ck_ok(lam_db_open("/db", &options, &db, &err), &err);
    ck_ok(lam_session_open(db, "root", LAM_ROLE_SYSTEM, &session, &err), &err);
    exec(session, "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)", LAM_OK);
    simfs_arm(fs, 0, &fault);
    exec(session, "STORAGE FLUSH TABLE t", LAM_IO);
    ck_assert_uint_eq(simfs_fired(fs, 0), 1);
    simfs_disarm(fs);
    for (size_t i = 0; i < simfs_file_count(fs); i++)
        ck_assert_ptr_null(strstr(simfs_file_path(fs, i), ".parquet"));
    exec(session, "STORAGE FLUSH TABLE t", LAM_OK);
    ck_ok(lam_session_close(session, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    simfs_free(fs);
    choice_fini(&c);
}
END_TEST

/* Number of histories until one fails. */
static unsigned until_found(unsigned ops, const char *pattern) {
    struct wsql_options options = {.images = 6, .depth = 1, .skip = ops, .skip_pattern = pattern};
    struct wsql_stats stats = {0};
    char message[400];
    for (unsigned seed = 0; seed < 10; seed++)
        if (!run(seed, 80, &options, &stats, message))
            return seed + 1;
    return 0;
}

START_TEST(flushed_file_that_was_not_synced_is_found) {
    ck_assert_uint_gt(until_found(SIMFS_SYNC, ".parquet"), 0);
}
END_TEST

START_TEST(folder_that_was_not_synced_is_found) {
    ck_assert_uint_gt(until_found(SIMFS_DIR_SYNC, "/cold"), 0);
}
END_TEST

START_TEST(log_that_was_not_synced_is_found) {
    ck_assert_uint_gt(until_found(SIMFS_SYNC, ".wal"), 0);
}
END_TEST

START_TEST(same_seed_runs_the_same) {
    uint64_t traces[2];
    for (int i = 0; i < 2; i++) {
        struct wsql_options options = {.images = 2, .depth = 1};
        struct wsql_stats stats = {0};
        struct choice c;
        choice_seed(&c, 4711);
        c.keep = false;
        struct wsql *w = wsql_new(&c, NULL, &options, &stats);
        wsql_history(w, 40);
        wsql_end(w);
        ck_assert_msg(!w->failed, "%s", w->message);
        traces[i] = simfs_trace(w->live.fs) * 31 + stats.images;
        wsql_free(w);
        choice_fini(&c);
    }
    ck_assert_uint_eq(traces[0], traces[1]);
}
END_TEST

TEST_MAIN("sim/world_sql", every_crash_leaves_a_state_of_the_history,
          failing_operations_are_clean_errors, segment_whose_making_failed_is_removed,
          flushed_file_that_was_not_synced_is_found, folder_that_was_not_synced_is_found,
          log_that_was_not_synced_is_found, same_seed_runs_the_same)
