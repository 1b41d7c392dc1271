/* SPDX-License-Identifier: Apache-2.0
 *
 * Order, identity and columns of values. */
#include "catalog/value.h"
#include "tests/catalog/values.h"
#include "tests/support/test.h"

static struct lam_error err;

START_TEST(floats_sort_nan_last_and_zeros_equal) {
    struct value inf = value_f64(LAM_TYPE_DOUBLE, INFINITY), nan = value_f64(LAM_TYPE_DOUBLE, NAN);
    struct value zero = value_f64(LAM_TYPE_DOUBLE, 0.0), minus = value_f64(LAM_TYPE_DOUBLE, -0.0);
    struct value other_nan = value_f64(LAM_TYPE_DOUBLE, -NAN);
    ck_assert_int_lt(value_cmp(&inf, &nan), 0);
    ck_assert_int_gt(value_cmp(&nan, &inf), 0);
    ck_assert_int_eq(value_cmp(&nan, &other_nan), 0);
    ck_assert_int_eq(value_cmp(&zero, &minus), 0);
    ck_assert_uint_eq(value_hash(&zero, 7), value_hash(&minus, 7));
    ck_assert_uint_eq(value_hash(&nan, 7), value_hash(&other_nan, 7));
}
END_TEST

START_TEST(decimals_of_different_scales_compare_by_number) {
    struct value a = value_decimal(150, 3, 2), b = value_decimal(15, 2, 1);
    struct value c = value_decimal(1, 1, 0), huge = value_decimal(decimal_pow10(38) - 1, 38, 0);
    struct value tiny = value_decimal(decimal_pow10(38) - 1, 38, 38);
    struct value least = value_decimal(1 - decimal_pow10(38), 38, 0);
    ck_assert_int_eq(value_cmp(&a, &b), 0);
    ck_assert_uint_eq(value_hash(&a, 1), value_hash(&b, 1));
    ck_assert_int_gt(value_cmp(&a, &c), 0);
    ck_assert_int_gt(value_cmp(&huge, &tiny), 0);
    ck_assert_int_lt(value_cmp(&tiny, &huge), 0);
    ck_assert_int_lt(value_cmp(&least, &tiny), 0);
    ck_assert_int_gt(value_cmp(&tiny, &least), 0);
}
END_TEST

START_TEST(zero_hashes_alike_in_all_scales) {
    struct value a = value_decimal(0, 10, 0), b = value_decimal(0, 10, 5);
    ck_assert_int_eq(value_cmp(&a, &b), 0);
    ck_assert_uint_eq(value_hash(&a, 3), value_hash(&b, 3));
}
END_TEST

START_TEST(order_is_total_and_equal_values_hash_alike) {
    struct rng r;
    struct arena arena = {0};
    rng_init(&r, test_seed("order"));
    for (int round = 0; round < 20000; round++) {
        struct coltype type = random_coltype(&r);
        struct value a = random_value(&r, type, &arena), b = random_value(&r, type, &arena);
        struct value c = random_value(&r, type, &arena);
        ck_assert_int_eq(value_cmp(&a, &a), 0);
        int ab = value_cmp(&a, &b), ba = value_cmp(&b, &a), bc = value_cmp(&b, &c);
        ck_assert_int_eq((ab > 0) - (ab < 0), (ba < 0) - (ba > 0));
        if (ab <= 0 && bc <= 0)
            ck_assert_int_le(value_cmp(&a, &c), 0);
        if (ab == 0)
            ck_assert_uint_eq(value_hash(&a, 9), value_hash(&b, 9));
        if (round % 1000 == 0)
            arena_reset(&arena);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(columns_give_back_what_was_appended) {
    struct rng r;
    struct arena arena = {0};
    rng_init(&r, test_seed("columns"));
    for (int t = LAM_TYPE_BOOLEAN; t <= LAM_TYPE_JSON; t++) {
        struct coltype type = coltype_of((enum lam_type)t);
        if (t == LAM_TYPE_DECIMAL)
            type = (struct coltype){LAM_TYPE_DECIMAL, 38, 9, 0};
        struct column column;
        struct value values[300];
        column_init(&column, type);
        for (int i = 0; i < 300; i++) {
            values[i] = rng_below(&r, 4) ? random_value(&r, type, &arena) : value_null(type);
            ck_ok(column_append_value(&column, &values[i], &err), &err);
        }
        for (uint32_t i = 0; i < 300; i++) {
            struct value got = column_value(&column, i);
            ck_assert(coltype_eq(got.type, type));
            ck_assert(value_same(&got, &values[i]));
        }
        column_fini(&column);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(an_untyped_null_fits_any_column) {
    struct column column;
    struct value null = {.is_null = true};
    column_init(&column, coltype_of(LAM_TYPE_TEXT));
    ck_ok(column_append_value(&column, &null, &err), &err);
    ck_assert(column_value(&column, 0).is_null);
    column_fini(&column);
}
END_TEST

START_TEST(floats_are_rounded_when_made) {
    ck_assert(value_f64(LAM_TYPE_FLOAT, 0.1).as.f64 == (double)0.1F);
    ck_assert(value_f64(LAM_TYPE_DOUBLE, 0.1).as.f64 == 0.1);
}
END_TEST

TEST_MAIN("catalog/value", floats_sort_nan_last_and_zeros_equal,
          decimals_of_different_scales_compare_by_number, zero_hashes_alike_in_all_scales,
          order_is_total_and_equal_values_hash_alike, columns_give_back_what_was_appended,
          an_untyped_null_fits_any_column, floats_are_rounded_when_made)
