/* SPDX-License-Identifier: Apache-2.0
 *
 * Path helpers, and durable replacement under every fault and crash. */
#include "base/env.h"

#include "tests/support/env_fault.h"
#include "tests/support/test.h"

static struct lam_error err;

START_TEST(paths_are_joined_and_taken_apart) {
    struct buf b = {0};
    const char *text;
    static const char *const joins[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < 4; i++) {
        ck_ok(env_path_join(&b, joins[i][0], joins[i][1], &text, &err), &err);
        ck_assert_str_eq(text, joins[i][2]);
        ck_assert_uint_eq(b.size, strlen(joins[i][2]));
    }
    static const char *const parents[][2] = {{"a", "."}, {"a/b", "a"},    {"/a", "/"},
                                             {"/", "/"}, {"a//b//", "a"}, {"/a/b/c", "/a/b"},
                                             {"", "."},  {"a/", "."}};
    for (size_t i = 0; i < 8; i++) {
        ck_ok(env_path_parent(&b, parents[i][0], &text, &err), &err);
        ck_assert_str_eq(text, parents[i][1]);
    }
    buf_fini(&b);
}
END_TEST

static bool holds(lam_env *env, const char *path, const char *text) {
    struct buf b = {0};
    ck_ok(env_read_file(env, path, 100, &b, &err), &err);
    bool same = slice_eq_str(buf_slice(&b), text);
    buf_fini(&b);
    return same;
}

/* Freezes the environment at each operation of a replacement, then crashes it in each mode: the
 * file is whole, old or new, and new if the replacement was said to have worked. */
START_TEST(replacement_survives_a_crash_at_every_operation) {
    for (uint64_t nth = 1;; nth++) {
        lam_env *inner = NULL;
        ck_ok(lam_env_mem_new(&inner, &err), &err);
        ck_ok(env_write_file(inner, "/f", lam_slice_str("old"), &err), &err);
        lam_env *env = env_fault_new(inner);
        env_fault_arm(env, FAULT_MUTATE | FAULT_TORN, nth, LAM_IO, true);
        enum lam_code rc = env_write_file(env, "/f", lam_slice_str("newer"), &err);
        bool fired = env_fault_fired(env) > 0;
        ck_assert_int_eq(rc, fired ? LAM_IO : LAM_OK);
        env_fault_free(env);
        for (uint64_t seed = 0; seed < 60; seed++) {
            lam_env *image = NULL;
            enum lam_crash_mode mode = seed < 2 ? (enum lam_crash_mode)seed : LAM_CRASH_POWER_ANY;
            ck_ok(lam_env_mem_crash(inner, mode, seed, &image, &err), &err);
            ck_assert(holds(image, "/f", "newer") || (fired && holds(image, "/f", "old")));
            lam_env_mem_free(image);
        }
        lam_env_mem_free(inner);
        if (!fired) {
            ck_assert_uint_eq(nth, 6);
            return;
        }
    }
}
END_TEST

START_TEST(every_single_fault_is_reported) {
    for (uint64_t nth = 1;; nth++) {
        lam_env *inner = NULL;
        ck_ok(lam_env_mem_new(&inner, &err), &err);
        lam_env *env = env_fault_new(inner);
        env_fault_arm(env, FAULT_ALL & ~(unsigned)FAULT_CLOSE, nth, LAM_NO_SPACE, false);
        struct buf b = {0};
        enum lam_code rc = env_dir_create_all(env, "/a/b", &err);
        if (rc == LAM_OK)
            rc = env_write_file(env, "/a/b/f", lam_slice_str("text"), &err);
        if (rc == LAM_OK)
            rc = env_read_file(env, "/a/b/f", 100, &b, &err);
        bool fired = env_fault_fired(env) > 0;
        ck_assert_int_eq(rc, fired ? LAM_NO_SPACE : LAM_OK);
        if (fired)
            ck_contains(err.message, "injected fault");
        ck_assert_uint_eq(b.size, fired ? 0 : 4);
        buf_fini(&b);
        env_fault_free(env);
        lam_env_mem_free(inner);
        if (!fired)
            return;
    }
}
END_TEST

START_TEST(faults_count_only_their_kinds) {
    lam_env *inner = NULL;
    ck_ok(lam_env_mem_new(&inner, &err), &err);
    lam_env *env = env_fault_new(inner);
    env_fault_arm(env, FAULT_SYNC, 0, LAM_IO, true);
    ck_ok(env_write_file(env, "/f", lam_slice_str("text"), &err), &err);
    ck_assert_uint_eq(env_fault_count(env), 2);
    ck_assert_uint_eq(env_fault_fired(env), 0);
    env_fault_arm(env, FAULT_READ, 1, LAM_CORRUPT, false);
    struct buf b = {0};
    ck_code(env_read_file(env, "/f", 100, &b, &err), LAM_CORRUPT);
    ck_ok(env_read_file(env, "/f", 100, &b, &err), &err);
    lam_file_lock *lock = NULL, *second = NULL;
    ck_ok(env->ops->file_lock(env, "/L", &lock, &err), &err);
    ck_code(env->ops->file_lock(env, "/L", &second, &err), LAM_BUSY);
    env->ops->file_unlock(lock);
    buf_fini(&b);
    env_fault_free(env);
    lam_env_mem_free(inner);
}
END_TEST

TEST_MAIN("base/env", paths_are_joined_and_taken_apart,
          replacement_survives_a_crash_at_every_operation, every_single_fault_is_reported,
          faults_count_only_their_kinds)
