/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift compact protocol. */
#include "base/rng.h"
#include "flush/parquet/thrift.h"
#include "tests/support/test.h"

static struct lam_error err;

START_TEST(fields_are_read_back) {
    struct buf b = {0};
    struct pq_thrift_writer w = pq_thrift_writer_of(&b, &err);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_bool(&w, 1, true);
    pq_thrift_i8(&w, 2, -7);
    pq_thrift_i64(&w, 40, INT64_MIN);
    pq_thrift_binary(&w, 41, lam_slice_str("text"));
    int16_t inner = pq_thrift_begin(&w, 42);
    pq_thrift_i32(&w, 1, INT32_MAX);
    pq_thrift_end(&w, inner);
    pq_thrift_bool(&w, 43, false);
    pq_thrift_list(&w, 44, PQ_THRIFT_I32, 20);
    for (int i = 0; i < 20; i++)
        pq_thrift_item_int(&w, i - 10);
    pq_thrift_end(&w, outer);
    ck_ok(w.code, &err);

    struct pq_thrift_reader r = pq_thrift_reader_of(buf_slice(&b));
    int16_t saved = pq_thrift_enter(&r);
    ck_assert(pq_thrift_next(&r) && r.id == 1 && pq_thrift_get_bool(&r));
    ck_assert(pq_thrift_next(&r) && r.id == 2 && pq_thrift_get_int(&r) == -7);
    ck_assert(pq_thrift_next(&r) && r.id == 40 && pq_thrift_get_int(&r) == INT64_MIN);
    ck_assert(pq_thrift_next(&r) && r.id == 41);
    ck_assert(slice_eq_str(pq_thrift_get_binary(&r), "text"));
    ck_assert(pq_thrift_next(&r) && r.id == 42 && pq_thrift_is_struct(&r));
    int16_t nested = pq_thrift_enter(&r);
    ck_assert(pq_thrift_next(&r) && pq_thrift_get_u32(&r) == INT32_MAX);
    ck_assert(!pq_thrift_next(&r));
    pq_thrift_leave(&r, nested);
    ck_assert(pq_thrift_next(&r) && r.id == 43 && !pq_thrift_get_bool(&r));
    ck_assert(pq_thrift_next(&r) && r.id == 44);
    ck_assert_uint_eq(pq_thrift_get_list(&r, PQ_THRIFT_I32), 20);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(pq_thrift_get_item_int(&r), i - 10);
    ck_assert(!pq_thrift_next(&r) && !r.in.failed);
    pq_thrift_leave(&r, saved);
    ck_assert_uint_eq(cursor_left(&r.in), 0);
    buf_fini(&b);
}
END_TEST

START_TEST(unknown_fields_of_every_type_are_skipped) {
    static const uint8_t bytes[] = {
        0x11,                                    /* 1: true */
        0x13, 5,                                 /* 2: i8 */
        0x14, 2,                                 /* 3: i16 */
        0x17, 1,    2,    3,    4, 5,   6, 7, 8, /* 4: double */
        0x18, 2,    'a',  'b',                   /* 5: binary */
        0x19, 0x21, 1,    2,                     /* 6: list of two bools */
        0x1a, 0x15, 6,                           /* 7: set of one i32 */
        0x1b, 1,    0x58, 2,    1, 'x',          /* 8: map i32 to binary */
        0x1c, 0x15, 4,    0,                     /* 9: struct */
        0x1d, 0,    1,    2,    3, 4,   5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, /* 10: uuid */
        0x05, 0xfe, 0xff, 0x03, 8,                                             /* 32767: i32 4 */
        0,
    };
    struct pq_thrift_reader r = pq_thrift_reader_of(lam_slice_of(bytes, sizeof bytes));
    int16_t outer = pq_thrift_enter(&r);
    for (int i = 0; i < 10; i++) {
        ck_assert(pq_thrift_next(&r));
        ck_assert_int_eq(r.id, i + 1);
        pq_thrift_skip(&r);
    }
    ck_assert(pq_thrift_next(&r));
    ck_assert_int_eq(r.id, 32767);
    ck_assert_int_eq(pq_thrift_get_int(&r), 4);
    ck_assert(!pq_thrift_next(&r) && !r.in.failed);
    pq_thrift_leave(&r, outer);
}
END_TEST

START_TEST(list_longer_than_its_bytes_fails) {
    static const uint8_t bytes[] = {0x19, 0xf5, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3};
    struct pq_thrift_reader r = pq_thrift_reader_of(lam_slice_of(bytes, sizeof bytes));
    int16_t outer = pq_thrift_enter(&r);
    ck_assert(pq_thrift_next(&r));
    ck_assert_uint_eq(pq_thrift_get_list(&r, PQ_THRIFT_I32), 0);
    ck_assert(r.in.failed);
    pq_thrift_leave(&r, outer);
}
END_TEST

START_TEST(endless_nesting_fails) {
    uint8_t bytes[4096];
    memset(bytes, 0x1c, sizeof bytes);
    struct pq_thrift_reader r = pq_thrift_reader_of(lam_slice_of(bytes, sizeof bytes));
    int16_t outer = pq_thrift_enter(&r);
    ck_assert(pq_thrift_next(&r));
    pq_thrift_skip(&r);
    ck_assert(r.in.failed);
    pq_thrift_leave(&r, outer);
    memset(bytes, 0x19, sizeof bytes);
    r = pq_thrift_reader_of(lam_slice_of(bytes, sizeof bytes));
    outer = pq_thrift_enter(&r);
    ck_assert(pq_thrift_next(&r));
    pq_thrift_skip(&r);
    ck_assert(r.in.failed);
    pq_thrift_leave(&r, outer);
}
END_TEST

START_TEST(field_of_another_type_fails) {
    static const uint8_t bytes[] = {0x15, 2, 0};
    struct pq_thrift_reader r = pq_thrift_reader_of(lam_slice_of(bytes, sizeof bytes));
    int16_t outer = pq_thrift_enter(&r);
    ck_assert(pq_thrift_next(&r));
    (void)pq_thrift_get_binary(&r);
    ck_assert(r.in.failed && !pq_thrift_next(&r));
    pq_thrift_leave(&r, outer);
}
END_TEST

START_TEST(random_bytes_end_in_failure_or_stop) {
    struct rng rng;
    rng_init(&rng, test_seed("random_bytes_end_in_failure_or_stop"));
    int stopped = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t size = rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)rng_next(&rng);
        struct pq_thrift_reader r = pq_thrift_reader_of(lam_slice_of(bytes, size));
        int16_t outer = pq_thrift_enter(&r);
        while (pq_thrift_next(&r))
            pq_thrift_skip(&r);
        pq_thrift_leave(&r, outer);
        stopped += !r.in.failed;
        ck_assert_uint_le(cursor_offset(&r.in), size);
    }
    ck_assert_int_gt(stopped, 0);
}
END_TEST

TEST_MAIN("parquet/thrift", fields_are_read_back, unknown_fields_of_every_type_are_skipped,
          list_longer_than_its_bytes_fails, endless_nesting_fails, field_of_another_type_fails,
          random_bytes_end_in_failure_or_stop)
