/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys to numbers in order of arrival. */
#include "sql/exec.h"
#include "tests/support/test.h"

static struct lam_error err;

static uint32_t add(struct bytes_map *m, struct lam_slice key, bool expected_new) {
    uint32_t number;
    bool added;
    ck_ok(bytes_map_add(m, key, &number, &added, &err), &err);
    ck_assert_int_eq(added, expected_new);
    return number;
}

START_TEST(keys_are_numbered_as_they_come) {
    struct bytes_map m = {0};
    uint32_t number;
    ck_assert(!bytes_map_find(&m, lam_slice_str("a"), &number));
    ck_assert_uint_eq(add(&m, lam_slice_str("a"), true), 0);
    ck_assert_uint_eq(add(&m, lam_slice_str("b"), true), 1);
    ck_assert_uint_eq(add(&m, lam_slice_str("a"), false), 0);
    ck_assert(bytes_map_find(&m, lam_slice_str("b"), &number));
    ck_assert_uint_eq(number, 1);
    ck_assert(!bytes_map_find(&m, lam_slice_str("c"), &number));
    bytes_map_fini(&m);
}
END_TEST

START_TEST(the_empty_key_and_zero_bytes_are_keys) {
    struct bytes_map m = {0};
    ck_assert_uint_eq(add(&m, lam_slice_of(NULL, 0), true), 0);
    ck_assert_uint_eq(add(&m, lam_slice_of("\0", 1), true), 1);
    ck_assert_uint_eq(add(&m, lam_slice_of("\0\0", 2), true), 2);
    ck_assert_uint_eq(add(&m, lam_slice_of("", 0), false), 0);
    ck_assert_uint_eq(add(&m, lam_slice_of("\0", 1), false), 1);
    bytes_map_fini(&m);
}
END_TEST

START_TEST(keys_are_copied) {
    struct bytes_map m = {0};
    char text[] = "first";
    add(&m, lam_slice_str(text), true);
    memcpy(text, "other", 5);
    add(&m, lam_slice_str(text), true);
    add(&m, lam_slice_str("first"), false);
    bytes_map_fini(&m);
}
END_TEST

START_TEST(many_keys_are_all_found_again) {
    struct bytes_map m = {0};
    for (uint32_t i = 0; i < 50000; i++) {
        uint64_t key = i * 0x9e3779b97f4a7c15u;
        ck_assert_uint_eq(add(&m, lam_slice_of(&key, sizeof key), true), i);
    }
    for (uint32_t i = 0; i < 50000; i++) {
        uint64_t key = i * 0x9e3779b97f4a7c15u;
        uint32_t number;
        ck_assert(bytes_map_find(&m, lam_slice_of(&key, sizeof key), &number));
        ck_assert_uint_eq(number, i);
        ck_assert(!bytes_map_find(&m, lam_slice_of(&key, sizeof key - 1), &number));
    }
    bytes_map_fini(&m);
}
END_TEST

TEST_MAIN("sql/bytes_map", keys_are_numbered_as_they_come, the_empty_key_and_zero_bytes_are_keys,
          keys_are_copied, many_keys_are_all_found_again)
