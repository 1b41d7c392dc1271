/* SPDX-License-Identifier: Apache-2.0
 *
 * ROOT after a failed sync that left its new content in the kernel's memory only: whatever a later
 * power loss keeps, the database opens. */
#include <stdlib.h>

#include "lamina/db.h"
#include "tests/sim/simfs.h"
#include "tests/support/test.h"

struct crashes {
    struct simfs *fs;
    struct choice *choice;
    struct simfs **images;
    size_t count;
};

static void take_images(void *arg, const struct simfs_event *event) {
    struct crashes *c = arg;
    if (event->phase != 0)
        return;
    c->images = realloc(c->images, (c->count + 3) * sizeof *c->images);
    if (!c->images)
        abort();
    c->images[c->count++] = simfs_crash_old(c->fs);
    for (int i = 0; i < 2; i++)
        c->images[c->count++] = simfs_crash(c->fs, SIMFS_POWER, c->choice);
}

static enum lam_code open_db(struct simfs *fs, lam_db **db, struct lam_error *err) {
    struct lam_options options = {
        .env = simfs_env(fs), .memory_budget = 4u << 20, .manual_background = true};
    return lam_db_open("/db", &options, db, err);
}

/* The `nth` sync of ROOT fails while the database is closed; then it is opened again. */
static void fail_and_reopen(struct choice *choice, enum simfs_effect effect, uint64_t nth) {
    struct simfs_options options = {.granule = 512};
    struct simfs *fs = simfs_new(&options, choice);
    struct crashes crashes = {.fs = fs, .choice = choice};
    struct lam_error err;
    lam_db *db;
    struct simfs_fault fault = {
        .ops = SIMFS_SYNC, .pattern = "/ROOT", .nth = nth, .effect = effect, .code = LAM_IO};
    ck_ok(open_db(fs, &db, &err), &err);
    simfs_arm(fs, 0, &fault);
    ck_code(lam_db_close(db, &err), LAM_IO);
    ck_assert_uint_eq(simfs_fired(fs, 0), 1);
    simfs_disarm(fs);
    simfs_observe(fs, take_images, &crashes);
    ck_ok(open_db(fs, &db, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    simfs_observe(fs, NULL, NULL);
    for (size_t i = 0; i < crashes.count; i++) {
        ck_ok(open_db(crashes.images[i], &db, &err), &err);
        ck_ok(lam_db_close(db, &err), &err);
        simfs_free(crashes.images[i]);
    }
    ck_assert_uint_gt(crashes.count, 20);
    free(crashes.images);
    simfs_free(fs);
}

START_TEST(slot_that_a_failed_sync_left_in_memory_does_not_outlast_a_reopening) {
    struct choice choice;
    choice_seed(&choice, test_seed("root"));
    for (uint64_t nth = 1; nth <= 2; nth++) {
        fail_and_reopen(&choice, SIMFS_FSYNC_EXT4, nth);
        fail_and_reopen(&choice, SIMFS_FSYNC_BTRFS, nth);
    }
    choice_fini(&choice);
}
END_TEST

TEST_MAIN("sim/root", slot_that_a_failed_sync_left_in_memory_does_not_outlast_a_reopening)
