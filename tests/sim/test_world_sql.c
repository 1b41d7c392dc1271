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
          failing_operations_are_clean_errors, flushed_file_that_was_not_synced_is_found,
          folder_that_was_not_synced_is_found, log_that_was_not_synced_is_found,
          same_seed_runs_the_same)
