/* SPDX-License-Identifier: Apache-2.0
 *
 * Dictionaries. */
#include "base/rng.h"
#include "flush/parquet/dict.h"
#include "tests/support/test.h"

static struct lam_error err;

static struct lam_slice dict_entry(const struct pq_dict *d, uint32_t code, uint32_t width) {
    if (width)
        return lam_slice_of(d->plain.data + (size_t)code * width, width);
    const uint8_t *p = d->plain.data + d->starts[code];
    return lam_slice_of(p + 4, get_le32(p));
}

static void check_codes(const struct pq_dict *d, const struct pq_values *v) {
    for (uint32_t i = 0; i < v->count; i++) {
        ck_assert_uint_lt(d->codes[i], d->count);
        ck_assert(
            slice_eq(dict_entry(d, d->codes[i], v->offsets ? 0 : v->width), pq_values_bytes(v, i)));
    }
}

static struct pq_values fill(uint8_t *data, uint32_t count, uint32_t width, uint32_t distinct,
                             struct rng *rng) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t v = rng_below(rng, distinct) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - 31);
        memset(data + (size_t)i * width, 0, width);
        put_le32(data + (size_t)i * width, (uint32_t)v);
    }
    return (struct pq_values){.count = count, .width = width, .data = data};
}

START_TEST(codes_name_their_values) {
    struct rng rng;
    rng_init(&rng, test_seed("codes_name_their_values"));
    static uint8_t data[30000 * 16];
    static const uint32_t widths[] = {4, 8, 16};
    struct pq_dict d = {0};
    for (int i = 0; i < 3; i++) {
        for (uint32_t distinct = 1; distinct <= 4096; distinct *= 4) {
            struct pq_values v = fill(data, 30000, widths[i], distinct, &rng);
            bool built;
            ck_ok(pq_dict_build(&d, &v, &built, &err), &err);
            ck_assert(built);
            ck_assert_uint_le(d.count, distinct);
            ck_assert_uint_ge((uint64_t)1 << d.bits, d.count);
            check_codes(&d, &v);
        }
    }
    pq_dict_fini(&d);
}
END_TEST

START_TEST(texts_with_empty_ones_are_told_apart) {
    static const char text[] = "abcabcabab";
    static const int32_t offsets[] = {0, 3, 6, 8, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10};
    struct pq_values v = {.count = 15, .data = (const uint8_t *)text, .offsets = offsets};
    struct pq_dict d = {0};
    bool built;
    ck_ok(pq_dict_build(&d, &v, &built, &err), &err);
    ck_assert(built);
    ck_assert_uint_eq(d.count, 3);
    check_codes(&d, &v);
    pq_dict_fini(&d);
}
END_TEST

START_TEST(one_entry_takes_one_bit) {
    static uint8_t data[100 * 8];
    struct pq_values v = {.count = 100, .width = 8, .data = data};
    struct pq_dict d = {0};
    bool built;
    ck_ok(pq_dict_build(&d, &v, &built, &err), &err);
    ck_assert(built);
    ck_assert_uint_eq(d.count, 1);
    ck_assert_uint_eq(d.bits, 1);
    pq_dict_fini(&d);
}
END_TEST

START_TEST(many_distinct_values_are_given_up) {
    static uint8_t data[100000 * 8];
    for (uint32_t i = 0; i < 100000; i++)
        put_le64(data + (size_t)i * 8, i * UINT64_C(7919));
    struct pq_values v = {.count = 100000, .width = 8, .data = data};
    struct pq_dict d = {0};
    bool built;
    ck_ok(pq_dict_build(&d, &v, &built, &err), &err);
    ck_assert(!built);
    ck_assert_uint_le(d.count, 8192);
    pq_dict_fini(&d);
}
END_TEST

/* 20,000 users among 122,880 rows: nearly all of the first are new, yet a dictionary pays. */
START_TEST(column_that_starts_with_new_values_is_not_given_up_too_soon) {
    struct rng rng;
    rng_init(&rng, 5);
    static uint8_t data[122880 * 8];
    struct pq_values v = fill(data, 122880, 8, 20000, &rng);
    struct pq_dict d = {0};
    bool built;
    ck_ok(pq_dict_build(&d, &v, &built, &err), &err);
    ck_assert(built);
    check_codes(&d, &v);
    pq_dict_fini(&d);
}
END_TEST

START_TEST(large_dictionaries_are_given_up) {
    enum { COUNT = 200, SIZE = 100000 };
    uint8_t *data = calloc(COUNT, SIZE);
    int32_t offsets[COUNT + 1] = {0};
    for (int i = 0; i < COUNT; i++) {
        data[(size_t)i * SIZE] = (uint8_t)(i % 20);
        offsets[i + 1] = (i + 1) * SIZE;
    }
    struct pq_values v = {.count = COUNT, .data = data, .offsets = offsets};
    struct pq_dict d = {0};
    bool built;
    ck_ok(pq_dict_build(&d, &v, &built, &err), &err);
    ck_assert(!built);
    pq_dict_fini(&d);
    free(data);
}
END_TEST

TEST_MAIN("parquet/dict", codes_name_their_values, texts_with_empty_ones_are_told_apart,
          one_entry_takes_one_bit, many_distinct_values_are_given_up,
          column_that_starts_with_new_values_is_not_given_up_too_soon,
          large_dictionaries_are_given_up)
