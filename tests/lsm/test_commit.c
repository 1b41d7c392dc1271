/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits that have to wait for a dump while others come and go. */
#include <stdatomic.h>

#include "base/env.h"
#include "lsm/lsm.h"
#include "tests/support/test.h"

#define VALUE_BYTES 4096u

/* What the environment does when an SST is made. */
static struct {
    struct lam_env_ops ops;
    enum lam_code (*file_open)(lam_env *env, const char *path, unsigned flags, lam_file **file_out,
                               struct lam_error *err);
    atomic_bool failing; /* no SST can be made */
    lam_db *db;          /* set: another writer's bad calls come first */
    lam_partition *partition;
    int calls;
} hook;

static enum lam_code open_hooked(lam_env *env, const char *path, unsigned flags,
                                 lam_file **file_out, struct lam_error *err) {
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".sst") != 0 || !(flags & LAM_OPEN_CREATE))
        return hook.file_open(env, path, flags, file_out, err);
    if (hook.failing)
        return ERR(err, LAM_NO_SPACE, "%s: no room in this test", path);
    lam_db *db = hook.db;
    hook.db = NULL;
    if (db) {
        hook.calls++;
        ck_code(lam_put(db, NULL, hook.partition, SLICE_EMPTY, SLICE_EMPTY, NULL), LAM_INVALID);
        ck_code(lam_delete(db, NULL, hook.partition, SLICE_EMPTY, NULL), LAM_INVALID);
    }
    return hook.file_open(env, path, flags, file_out, err);
}

static lam_env *hooked_env(void) {
    struct lam_error err;
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    memset(&hook, 0, sizeof hook);
    hook.ops = *env->ops;
    hook.file_open = env->ops->file_open;
    hook.ops.file_open = open_hooked;
    env->ops = &hook.ops;
    return env;
}

static enum lam_code put_number(lam_db *db, lam_partition *p, uint32_t number,
                                struct lam_error *err) {
    static uint8_t value[VALUE_BYTES];
    char key[16];
    int n = snprintf(key, sizeof key, "%08u", number);
    return lam_put(db, NULL, p, lam_slice_of(key, (size_t)n), lam_slice_of(value, sizeof value),
                   err);
}

/* A put waits for a dump; a call of another writer fails meanwhile. The put still says the truth.
 */
START_TEST(put_that_waited_is_there_though_another_failed) {
    struct lam_error err;
    lam_env *env = hooked_env();
    struct lam_options options = {.env = env, .memory_budget = 4u << 20, .manual_background = true};
    lam_db *db;
    lam_partition *p;
    ck_ok(lam_db_open("/db", &options, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    hook.failing = true;
    uint32_t count = 0;
    while (put_number(db, p, count, &err) == LAM_OK)
        ck_assert_uint_lt(++count, 100000);
    ck_assert_int_eq(err.code, LAM_NO_SPACE);

    hook.failing = false;
    hook.db = db;
    hook.partition = p;
    ck_ok(put_number(db, p, count, &err), &err);
    ck_assert_int_eq(hook.calls, 1);
    for (uint32_t i = 0; i <= count; i++) {
        char key[16];
        struct lam_value value = {0};
        int n = snprintf(key, sizeof key, "%08u", i);
        ck_ok(lam_get(db, NULL, p, lam_slice_of(key, (size_t)n), &value, &err), &err);
        ck_assert_uint_eq(value.bytes.size, VALUE_BYTES);
        lam_value_release(&value);
    }
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

/* Dumps on their own thread fail, one after the other; a put that needs room is told each time. */
START_TEST(put_never_waits_for_a_dump_that_has_failed) {
    struct lam_error err;
    lam_env *env = hooked_env();
    struct lam_options options = {.env = env, .memory_budget = 4u << 20};
    lam_db *db;
    lam_partition *p;
    ck_ok(lam_db_open("/db", &options, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    hook.failing = true;
    uint32_t count = 0;
    for (int failures = 0; failures < 5000;) {
        enum lam_code rc = put_number(db, p, count, &err);
        failures += rc != LAM_OK;
        count += rc == LAM_OK;
        ck_assert(rc == LAM_OK || rc == LAM_NO_SPACE);
    }
    hook.failing = false;
    /* The dump under way may have failed already. */
    if (put_number(db, p, count, &err) != LAM_OK)
        ck_ok(put_number(db, p, count, &err), &err);
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(env);
}
END_TEST

TEST_MAIN("lsm/commit", put_that_waited_is_there_though_another_failed,
          put_never_waits_for_a_dump_that_has_failed)
