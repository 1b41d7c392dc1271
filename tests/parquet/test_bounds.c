/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounds: finding, cutting, merging, storing. */
#include <math.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "flush/parquet/bounds.h"
#include "tests/support/test.h"

static struct lam_error err;
static struct arena arena;

static struct pq_leaf leaf_of(enum lam_type type, uint8_t precision, uint8_t scale) {
    struct parquet_field f = {.name = "f",
                              .type = {.type = type, .precision = precision, .scale = scale}};
    return pq_leaf_of(&f);
}

static struct pq_bounds text_bounds(struct lam_slice min, struct lam_slice max) {
    return (struct pq_bounds){.state = PQ_BOUNDS_KNOWN,
                              .min_exact = true,
                              .max_exact = true,
                              .min = {.bytes = min},
                              .max = {.bytes = max}};
}

static struct pq_bounds settle(struct pq_bounds b, enum lam_type type) {
    struct pq_bounds out;
    ck_ok(pq_bounds_settle(&b, type, &arena, &out, &err), &err);
    return out;
}

START_TEST(fixed_decimals_compare_as_signed_numbers) {
    uint8_t data[3 * 16];
    struct pq_leaf leaf = leaf_of(LAM_TYPE_DECIMAL, 38, 0);
    ck_assert_uint_eq(leaf.type_length, 16);
    pq_decimal_store(0, data, 16);
    pq_decimal_store(-2000000000, data + 16, 16);
    pq_decimal_store(7, data + 32, 16);
    struct pq_values v = {.count = 3, .width = 16, .data = data};
    struct pq_bounds b = pq_bounds_of(&v, LAM_TYPE_DECIMAL, &leaf, 0, 3);
    ck_assert(b.min.i128 == -2000000000 && b.max.i128 == 7);
}
END_TEST

START_TEST(nan_leaves_no_bounds) {
    double data[3] = {1, NAN, 2};
    struct pq_leaf leaf = leaf_of(LAM_TYPE_DOUBLE, 0, 0);
    struct pq_values v = {.count = 3, .width = 8, .data = (const uint8_t *)data};
    ck_assert_int_eq(pq_bounds_of(&v, LAM_TYPE_DOUBLE, &leaf, 0, 3).state, PQ_BOUNDS_UNKNOWN);
    ck_assert_int_eq(pq_bounds_of(&v, LAM_TYPE_DOUBLE, &leaf, 0, 1).state, PQ_BOUNDS_KNOWN);
    struct pq_bounds all = pq_bounds_of(&v, LAM_TYPE_DOUBLE, &leaf, 0, 1);
    struct pq_bounds nan = pq_bounds_of(&v, LAM_TYPE_DOUBLE, &leaf, 1, 1);
    pq_bounds_merge(&all, LAM_TYPE_DOUBLE, &nan);
    ck_assert_int_eq(all.state, PQ_BOUNDS_UNKNOWN);
}
END_TEST

START_TEST(zeros_are_stored_as_minus_below_and_plus_above) {
    for (int sign = 0; sign < 2; sign++) {
        double zero = sign ? -0.0 : 0.0;
        struct pq_leaf leaf = leaf_of(LAM_TYPE_DOUBLE, 0, 0);
        struct pq_values v = {.count = 1, .width = 8, .data = (const uint8_t *)&zero};
        struct pq_bounds b =
            settle(pq_bounds_of(&v, LAM_TYPE_DOUBLE, &leaf, 0, 1), LAM_TYPE_DOUBLE);
        ck_assert(signbit(b.min.f64) && !signbit(b.max.f64));
    }
}
END_TEST

START_TEST(short_text_is_kept_exact) {
    struct pq_bounds b =
        settle(text_bounds(lam_slice_str("app"), lam_slice_str("apple")), LAM_TYPE_TEXT);
    ck_assert(slice_eq_str(b.min.bytes, "app") && slice_eq_str(b.max.bytes, "apple"));
    ck_assert(b.min_exact && b.max_exact);
}
END_TEST

START_TEST(long_text_is_cut_to_true_bounds) {
    char text[201];
    memset(text, 'x', 200);
    text[200] = 0;
    struct lam_slice s = lam_slice_str(text);
    struct pq_bounds b = settle(text_bounds(s, s), LAM_TYPE_TEXT);
    ck_assert(!b.min_exact && !b.max_exact);
    ck_assert_uint_eq(b.min.bytes.size, 64);
    ck_assert_uint_le(b.max.bytes.size, 68);
    ck_assert_int_lt(slice_cmp(b.min.bytes, s), 0);
    ck_assert_int_gt(slice_cmp(b.max.bytes, s), 0);
}
END_TEST

START_TEST(text_is_cut_between_characters) {
    char text[200];
    memset(text, 'a', 63);
    memcpy(text + 63, "éééééé", 12);
    struct lam_slice s = lam_slice_of(text, 75);
    struct pq_bounds b = settle(text_bounds(s, s), LAM_TYPE_TEXT);
    ck_assert_uint_eq(b.min.bytes.size, 63);
    ck_assert(utf8_valid(b.min.bytes, NULL) && utf8_valid(b.max.bytes, NULL));
    ck_assert_int_gt(slice_cmp(b.max.bytes, s), 0);
}
END_TEST

START_TEST(last_character_of_all_is_passed_over_when_raising) {
    char text[100] = "b";
    for (int i = 0; i < 20; i++)
        memcpy(text + 1 + i * 4, "\xf4\x8f\xbf\xbf", 4);
    struct lam_slice s = lam_slice_of(text, 81);
    struct pq_bounds b = settle(text_bounds(s, s), LAM_TYPE_TEXT);
    ck_assert(slice_eq_str(b.max.bytes, "c"));
    ck_assert(!b.max_exact);
}
END_TEST

START_TEST(raising_jumps_over_surrogates) {
    char text[100];
    for (int i = 0; i < 30; i++)
        memcpy(text + i * 3, "\xed\x9f\xbf", 3);
    struct lam_slice s = lam_slice_of(text, 90);
    struct pq_bounds b = settle(text_bounds(s, s), LAM_TYPE_TEXT);
    ck_assert(utf8_valid(b.max.bytes, NULL));
    ck_assert_int_gt(slice_cmp(b.max.bytes, s), 0);
}
END_TEST

START_TEST(bytes_of_ff_are_kept_whole_or_dropped_together) {
    static uint8_t data[10000];
    memset(data, 0xff, sizeof data);
    struct lam_slice s = lam_slice_of(data, 100);
    struct pq_bounds b = settle(text_bounds(s, s), LAM_TYPE_BYTES);
    ck_assert_int_eq(b.state, PQ_BOUNDS_KNOWN);
    ck_assert(b.max_exact && slice_eq(b.max.bytes, s));
    s = lam_slice_of(data, 10000);
    ck_assert_int_eq(settle(text_bounds(s, s), LAM_TYPE_BYTES).state, PQ_BOUNDS_UNKNOWN);
}
END_TEST

START_TEST(random_cut_bounds_stay_bounds) {
    struct rng rng;
    rng_init(&rng, test_seed("random_cut_bounds_stay_bounds"));
    for (int round = 0; round < 20000; round++) {
        uint8_t text[120];
        size_t n = 0;
        bool is_text = rng_below(&rng, 2);
        while (n + 4 <= sizeof text && rng_below(&rng, 60) != 0) {
            uint32_t c = (uint32_t)rng_below(&rng, rng_below(&rng, 3) ? 0x80 : 0x110000);
            if (c >= 0xd800 && c < 0xe000)
                continue;
            if (rng_below(&rng, 2))
                c = 0x10ffff;
            if (is_text)
                n += utf8_put(text + n, c);
            else
                text[n++] = rng_below(&rng, 2) ? 0xff : (uint8_t)c;
        }
        enum lam_type type = is_text ? LAM_TYPE_TEXT : LAM_TYPE_BYTES;
        struct lam_slice s = lam_slice_of(text, n);
        struct pq_bounds b = settle(text_bounds(s, s), type);
        ck_assert_int_eq(b.state, PQ_BOUNDS_KNOWN);
        ck_assert_int_le(slice_cmp(b.min.bytes, s), 0);
        ck_assert_int_ge(slice_cmp(b.max.bytes, s), 0);
        ck_assert_int_eq(b.min_exact, slice_eq(b.min.bytes, s));
        ck_assert_int_eq(b.max_exact, slice_eq(b.max.bytes, s));
        ck_assert(!is_text || (utf8_valid(b.min.bytes, NULL) && utf8_valid(b.max.bytes, NULL)));
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(decimals_take_the_fewest_bytes) {
    static const struct {
        uint8_t precision;
        uint32_t bytes;
    } cases[] = {{19, 9}, {20, 9}, {21, 9}, {22, 10}, {28, 12}, {36, 16}, {38, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pq_leaf leaf = leaf_of(LAM_TYPE_DECIMAL, cases[i].precision, 0);
        ck_assert_int_eq(leaf.physical, PQ_FIXED);
        ck_assert_uint_eq(leaf.type_length, cases[i].bytes);
        uint8_t room[16];
        int128 greatest = pq_power_of_ten(cases[i].precision) - 1;
        pq_decimal_store(-greatest, room, leaf.type_length);
        ck_assert(pq_decimal_load(room, leaf.type_length) == -greatest);
        pq_decimal_store(greatest, room, leaf.type_length);
        ck_assert(pq_decimal_load(room, leaf.type_length) == greatest);
    }
}
END_TEST

static enum pq_boundary_order order_of(const int64_t (*pages)[2], size_t count) {
    struct pq_order o = {0};
    for (size_t i = 0; i < count; i++) {
        struct pq_bounds b = {
            .state = PQ_BOUNDS_KNOWN, .min = {.i64 = pages[i][0]}, .max = {.i64 = pages[i][1]}};
        pq_order_add(&o, LAM_TYPE_BIGINT, &b);
    }
    return pq_order_result(&o);
}

START_TEST(boundary_order_needs_both_bounds) {
    static const int64_t up[][2] = {{1, 2}, {1, 3}, {2, 3}};
    static const int64_t down[][2] = {{5, 9}, {4, 9}, {4, 8}};
    static const int64_t mixed[][2] = {{1, 9}, {2, 8}};
    ck_assert_int_eq(order_of(up, 3), PQ_ASCENDING);
    ck_assert_int_eq(order_of(down, 3), PQ_DESCENDING);
    ck_assert_int_eq(order_of(mixed, 2), PQ_UNORDERED);
    ck_assert_int_eq(order_of(up, 1), PQ_ASCENDING);
}
END_TEST

TEST_MAIN("parquet/bounds", fixed_decimals_compare_as_signed_numbers, nan_leaves_no_bounds,
          zeros_are_stored_as_minus_below_and_plus_above, short_text_is_kept_exact,
          long_text_is_cut_to_true_bounds, text_is_cut_between_characters,
          last_character_of_all_is_passed_over_when_raising, raising_jumps_over_surrogates,
          bytes_of_ff_are_kept_whole_or_dropped_together, random_cut_bounds_stay_bounds,
          decimals_take_the_fewest_bytes, boundary_order_needs_both_bounds)
