/* SPDX-License-Identifier: Apache-2.0
 *
 * Interleavings of the engine's threads that were once wrong, each set up by slow file operations
 * under the scheduler; and a few concurrent worlds, so that sanitizers see them. */
#include "base/thread.h"
#include "lamina/db.h"
#include "tests/sim/sched.h"
#include "tests/sim/simfs.h"
#include "tests/sim/world_threads.h"
#include "tests/support/test.h"

static struct choice choice;
static struct simfs *fs;
static lam_db *db;
static lam_partition *partition;

static void put(const char *key, enum lam_durability durability) {
    struct lam_write_options options = {durability};
    struct lam_error err = {0};
    ck_ok(lam_put(db, &options, partition, lam_slice_str(key), lam_slice_str("value"), &err), &err);
}

static void dump(void) {
    struct lam_error err = {0};
    ck_ok(lam_db_dump(db, &err), &err);
}

static void open_db(void) {
    struct lam_options options = {.env = simfs_env(fs), .manual_background = true};
    struct lam_error err = {0};
    ck_ok(lam_db_open("db", &options, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &partition, &err), &err);
}

static void close_db(void) {
    struct lam_error err = {0};
    lam_partition_release(partition);
    ck_ok(lam_db_close(db, &err), &err);
}

static void run(uint64_t seed, simfs_observer observer, void (*fn)(void *)) {
    struct simfs_options fs_options = {0};
    struct sched_options options = {.policy = SCHED_RUN_TO_BLOCK};
    choice_seed(&choice, seed);
    fs = simfs_new(&fs_options, &choice);
    simfs_observe(fs, observer, NULL);
    sched_run(&choice, &options, fn, NULL);
    ck_assert_uint_eq(simfs_open_handles(fs), 0);
    ck_assert_msg(!simfs_violation(fs), "%s", simfs_violation(fs));
    simfs_free(fs);
    choice_fini(&choice);
}

/* --- recycling ------------------------------------------------------------------------------- */

static bool slow_ssts, slow_logs;
static char syncing[64]; /* the log segment that is being synced */

static bool ends_in(const char *path, const char *end) {
    size_t size = strlen(path), end_size = strlen(end);
    return size > end_size && strcmp(path + size - end_size, end) == 0;
}

static void watch_recycling(void *arg, const struct simfs_event *event) {
    (void)arg;
    if (event->phase != 0)
        return;
    if (event->op == SIMFS_SYNC && slow_ssts && ends_in(event->path, ".sst"))
        sched_sleep_us(1000);
    if (event->op == SIMFS_SYNC && slow_logs && ends_in(event->path, ".wal")) {
        slow_logs = false;
        snprintf(syncing, sizeof syncing, "%s", event->path);
        sched_sleep_us(1000000);
        syncing[0] = '\0';
    }
    if (event->op == SIMFS_RENAME && syncing[0])
        ck_assert_str_ne(event->path, syncing);
}

/* Seals the log segment and dumps; then again, which asks for a segment to recycle. */
static void dump_twice(void *arg) {
    (void)arg;
    dump();
    slow_ssts = false;
    for (int i = 0; i < 3; i++) {
        put("dumped", LAM_DURABILITY_OS);
        dump();
    }
}

static void recycle_main(void *arg) {
    (void)arg;
    struct thread dumper;
    struct lam_error err = {0};
    open_db();
    put("first", LAM_DURABILITY_SYNC);
    slow_ssts = true;
    ck_ok(thread_start(&dumper, dump_twice, NULL, &err), &err);
    sched_sleep_us(500);
    /* The dump has finished the segment and not released it: this leads with its sync. */
    slow_logs = true;
    put("second", LAM_DURABILITY_SYNC);
    ck_assert(!slow_logs);
    thread_join(&dumper);
    close_db();
}

START_TEST(a_log_segment_that_is_being_synced_is_not_recycled) {
    run(1, watch_recycling, recycle_main);
}
END_TEST

/* --- worlds ---------------------------------------------------------------------------------- */

static void world_failed(void) {
    fflush(stdout);
    ck_abort_msg("a world has failed");
}

START_TEST(worlds_hold_and_take_the_same_course_again) {
    struct threads_report report = {0};
    struct threads_trace first, second;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        threads_world(seed, &report, &first, world_failed);
        threads_world(seed, &report, &second, world_failed);
        ck_assert_mem_eq(&first, &second, sizeof first);
    }
    ck_assert_uint_gt(report.images, 100);
}
END_TEST

TEST_MAIN("sim/threads", a_log_segment_that_is_being_synced_is_not_recycled,
          worlds_hold_and_take_the_same_course_again)
