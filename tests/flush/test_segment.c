/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "flush/segment.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)

static struct lam_error err;

static struct segment sample(struct segment_column *columns) {
    columns[0] = (struct segment_column){.column_id = 1,
                                         .type = {.type = LAM_TYPE_BIGINT},
                                         .has_bounds = true,
                                         .min_exact = true,
                                         .max_exact = true,
                                         .has_null_count = true,
                                         .null_count = 0,
                                         .min = S("aaaaaaaa"),
                                         .max = S("aaaaaaab")};
    columns[1] = (struct segment_column){.column_id = 7,
                                         .type = {.type = LAM_TYPE_DECIMAL, 10, 2, 0},
                                         .has_null_count = true,
                                         .null_count = 12};
    return (struct segment){.number = 42,
                            .path = S("ns/t/batch-42-00c0ffee.parquet"),
                            .storage = S("local"),
                            .user = S("alice"),
                            .rows = 1000,
                            .deleted_rows = 3,
                            .bytes = 123456,
                            .footer_hash = 0xfeedfacecafebeefull,
                            .schema_version = 2,
                            .min_seq = -5,
                            .max_seq = 1ll << 60,
                            .created_us = 1700000000000000,
                            .first_key = S("k1"),
                            .last_key = S("k9"),
                            .columns = columns,
                            .column_count = 2};
}

START_TEST(entry_comes_back_as_it_was) {
    struct segment_column columns[2];
    struct segment s = sample(columns), back;
    struct buf bytes = {0}, again = {0};
    struct arena arena = {0};
    ck_ok(segment_encode(&s, &bytes, &err), &err);
    ck_ok(segment_decode(buf_slice(&bytes), "p", &arena, &back, &err), &err);
    ck_assert_uint_eq(back.number, 42);
    ck_assert(slice_eq(back.path, s.path) && slice_eq(back.user, s.user));
    ck_assert(slice_eq(back.first_key, s.first_key) && slice_eq(back.last_key, s.last_key));
    ck_assert_int_eq(back.min_seq, -5);
    ck_assert_uint_eq(back.footer_hash, s.footer_hash);
    ck_assert_uint_eq(back.column_count, 2);
    ck_assert(back.columns[0].has_bounds && slice_eq(back.columns[0].max, S("aaaaaaab")));
    ck_assert_uint_eq(back.columns[1].null_count, 12);
    ck_assert_uint_eq(back.columns[1].type.scale, 2);
    ck_ok(segment_encode(&back, &again, &err), &err);
    ck_assert(slice_eq(buf_slice(&bytes), buf_slice(&again)));
    buf_fini(&bytes);
    buf_fini(&again);
    arena_fini(&arena);
}
END_TEST

START_TEST(cut_or_longer_entry_is_corrupt) {
    struct segment_column columns[2];
    struct segment s = sample(columns), back;
    struct buf bytes = {0};
    struct arena arena = {0};
    ck_ok(segment_encode(&s, &bytes, &err), &err);
    for (size_t n = 0; n < bytes.size; n++)
        ck_code(segment_decode(lam_slice_of(bytes.data, n), "p", &arena, &back, &err), LAM_CORRUPT);
    ck_ok(buf_append_u8(&bytes, 0, &err), &err);
    ck_code(segment_decode(buf_slice(&bytes), "p", &arena, &back, &err), LAM_CORRUPT);
    ck_contains(err.message, "p: 1 bytes after");
    buf_fini(&bytes);
    arena_fini(&arena);
}
END_TEST

START_TEST(flipped_entry_never_crashes_the_decoder) {
    struct segment_column columns[2];
    struct segment s = sample(columns), back;
    struct buf bytes = {0};
    struct arena arena = {0};
    ck_ok(segment_encode(&s, &bytes, &err), &err);
    size_t refused = 0;
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        arena_reset(&arena);
        refused += segment_decode(buf_slice(&bytes), "p", &arena, &back, NULL) != LAM_OK;
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    ck_assert_uint_gt(refused, 0);
    buf_fini(&bytes);
    arena_fini(&arena);
}
END_TEST

START_TEST(dead_rows_come_back_in_both_forms) {
    struct rng r;
    rng_init(&r, test_seed("dead_rows"));
    for (int round = 0; round < 300; round++) {
        uint64_t rows = 1 + rng_below(&r, 3000), dead = rng_below(&r, rows + 1);
        uint8_t bits[400] = {0}, *back;
        uint64_t count;
        struct buf bytes = {0};
        struct arena arena = {0};
        for (uint64_t i = 0; i < dead; i++)
            bitmap_set(bits, (size_t)rng_below(&r, rows));
        ck_ok(dead_rows_encode(bits, rows, &bytes, &err), &err);
        ck_ok(dead_rows_decode(buf_slice(&bytes), rows, "p", &arena, &back, &count, &err), &err);
        ck_assert_int_eq(memcmp(bits, back, (rows + 7) / 8), 0);
        ck_assert_uint_eq(count, bitmap_count(bits, rows));
        for (size_t n = 0; n < bytes.size; n++)
            ck_code(dead_rows_decode(lam_slice_of(bytes.data, n), rows, "p", &arena, &back, &count,
                                     &err),
                    LAM_CORRUPT);
        ck_code(dead_rows_decode(buf_slice(&bytes), rows + 1, "p", &arena, &back, &count, &err),
                LAM_CORRUPT);
        buf_fini(&bytes);
        arena_fini(&arena);
    }
}
END_TEST

START_TEST(few_dead_rows_take_few_bytes) {
    static uint8_t bits[125000];
    struct buf bytes = {0};
    bitmap_set(bits, 999999);
    bitmap_set(bits, 5);
    ck_ok(dead_rows_encode(bits, 1000000, &bytes, &err), &err);
    ck_assert_uint_lt(bytes.size, 16);
    buf_fini(&bytes);
}
END_TEST

START_TEST(keys_of_users_and_table_are_told_apart) {
    struct buf key = {0};
    struct arena arena = {0};
    struct lam_slice user;
    char kind;
    uint64_t number;
    ck_ok(segment_key(S("bob"), SEGMENT_KIND_ENTRY, 9, &key, &err), &err);
    ck_ok(segment_key_decode(buf_slice(&key), true, "p", &arena, &user, &kind, &number, &err),
          &err);
    ck_assert(slice_eq_str(user, "bob"));
    ck_assert_int_eq(kind, 'S');
    ck_assert_uint_eq(number, 9);
    ck_ok(segment_key_decode(segment_next_key(), true, "p", &arena, &user, &kind, &number, &err),
          &err);
    ck_assert_int_eq(kind, 0);
    key.data[key.size - 9] = 'X';
    ck_code(segment_key_decode(buf_slice(&key), true, "p", &arena, &user, &kind, &number, &err),
            LAM_CORRUPT);
    buf_reset(&key);
    ck_ok(segment_key(lam_slice_of(NULL, 0), SEGMENT_KIND_DEAD, 1, &key, &err), &err);
    ck_ok(segment_key_decode(buf_slice(&key), false, "p", &arena, &user, &kind, &number, &err),
          &err);
    ck_assert_int_eq(kind, 'D');
    buf_fini(&key);
    arena_fini(&arena);
}
END_TEST

TEST_MAIN("flush/segment", entry_comes_back_as_it_was, cut_or_longer_entry_is_corrupt,
          flipped_entry_never_crashes_the_decoder, dead_rows_come_back_in_both_forms,
          few_dead_rows_take_few_bytes, keys_of_users_and_table_are_told_apart)
