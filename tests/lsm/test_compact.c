/* SPDX-License-Identifier: Apache-2.0
 *
 * Compactions over the whole engine: shapes of levels that a job has to cope with. */
#include "base/env.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

static lam_env *env;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;

static void start(void) {
    ck_ok(lam_env_mem_new(&env, &err), &err);
    struct lam_options options = {.env = env, .memory_budget = 4u << 20, .manual_background = true};
    ck_ok(lam_db_open("/db", &options, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}

static void put(const char *key) {
    ck_ok(lam_put(db, NULL, part, lam_slice_str(key), lam_slice_str(key), &err), &err);
}

static void dump(void) {
    ck_ok(lam_db_dump(db, &err), &err);
}

static void compact(void) {
    ck_ok(lam_db_compact(db, part, &err), &err);
}

static void expect(const char *keys) {
    struct lam_value value = {0};
    for (char key[2] = {0}; *keys; keys++) {
        key[0] = *keys;
        ck_ok(lam_get(db, NULL, part, lam_slice_str(key), &value, &err), &err);
    }
    lam_value_release(&value);
}

/* Two files of level 0 with a gap between them, in which a file of the last level lies. */
START_TEST(file_in_the_gap_between_inputs_is_merged_too) {
    start();
    put("m");
    put("n");
    dump();
    compact();
    put("a");
    dump();
    put("z");
    dump();
    compact();
    expect("amnz");
    stop();
}
END_TEST

TEST_MAIN("lsm/compact", file_in_the_gap_between_inputs_is_merged_too)
