/* SPDX-License-Identifier: Apache-2.0
 *
 * Decimal arithmetic at its edges, and against wider or slower sums. */
#include <math.h>

#include "base/rng.h"
#include "catalog/value.h"
#include "tests/support/test.h"

#define MOST (decimal_pow10(38) - 1)

static bool same(int128 a, int128 b) {
    return a == b;
}

START_TEST(powers_are_powers) {
    int128 p = 1;
    for (unsigned n = 0; n <= 38; n++, p *= n <= 38 ? 10 : 1)
        ck_assert(same(decimal_pow10(n), p));
}
END_TEST

START_TEST(digits_are_counted) {
    ck_assert_uint_eq(decimal_digits(0), 1);
    ck_assert_uint_eq(decimal_digits(-9), 1);
    ck_assert_uint_eq(decimal_digits(10), 2);
    ck_assert_uint_eq(decimal_digits(MOST), 38);
    ck_assert_uint_eq(decimal_digits(-decimal_pow10(37)), 38);
}
END_TEST

START_TEST(rescaling_rounds_half_away_from_zero) {
    int128 v;
    ck_assert(decimal_rescale(25, 1, 0, &v) && v == 3);
    ck_assert(decimal_rescale(-25, 1, 0, &v) && v == -3);
    ck_assert(decimal_rescale(24, 1, 0, &v) && v == 2);
    ck_assert(decimal_rescale(-249, 2, 0, &v) && v == -2);
    ck_assert(decimal_rescale(7, 0, 37, &v) && same(v, 7 * decimal_pow10(37)));
    ck_assert(!decimal_rescale(10, 0, 37, &v));
    ck_assert(decimal_rescale(MOST, 38, 0, &v) && v == 1);
    ck_assert(decimal_rescale(decimal_pow10(38) / 2, 38, 0, &v) && v == 1);
    ck_assert(decimal_rescale(decimal_pow10(38) / 2 - 1, 38, 0, &v) && v == 0);
}
END_TEST

START_TEST(sums_and_products_past_38_digits_overflow) {
    int128 v;
    ck_assert(decimal_add(MOST, 0, &v) && same(v, MOST));
    ck_assert(!decimal_add(MOST, 1, &v));
    ck_assert(!decimal_add(-MOST, -1, &v));
    ck_assert(decimal_add(MOST, -MOST, &v) && v == 0);
    ck_assert(decimal_mul(MOST, -1, &v) && same(v, -MOST));
    ck_assert(!decimal_mul(MOST, 2, &v));
    ck_assert(!decimal_mul(decimal_pow10(19), decimal_pow10(19), &v));
    ck_assert(decimal_mul(decimal_pow10(19), -decimal_pow10(18), &v));
    ck_assert(same(v, -decimal_pow10(37)));
}
END_TEST

START_TEST(division_rounds_at_the_scale_asked_for) {
    int128 v;
    ck_assert(decimal_div(1, 0, 3, 0, 6, &v) && v == 333333);
    ck_assert(decimal_div(2, 0, 3, 0, 6, &v) && v == 666667);
    ck_assert(decimal_div(-2, 0, 3, 0, 6, &v) && v == -666667);
    ck_assert(decimal_div(1, 0, -2, 0, 0, &v) && v == -1);
    ck_assert(decimal_div(100, 2, 4, 0, 0, &v) && v == 0); /* 1.00 / 4 = 0.25 */
    ck_assert(decimal_div(100, 2, 4, 0, 2, &v) && v == 25);
    ck_assert(decimal_div(15, 1, 5, 1, 0, &v) && v == 3); /* 1.5 / 0.5 */
}
END_TEST

START_TEST(division_is_exact_where_numerators_are_longer_than_128_bits) {
    int128 v;
    ck_assert(decimal_div(MOST, 0, MOST, 0, 37, &v) && same(v, decimal_pow10(37)));
    ck_assert(!decimal_div(MOST, 0, MOST, 0, 38, &v));
    ck_assert(decimal_div(MOST, 38, MOST, 0, 38, &v) && v == 1);
    ck_assert(decimal_div(1, 38, MOST, 38, 37, &v) && v == 0);
    ck_assert(decimal_div(MOST, 38, 1, 38, 0, &v) && same(v, MOST));
    ck_assert(!decimal_div(MOST, 0, 1, 38, 0, &v));
    ck_assert(decimal_div(1, 0, 7, 0, 37, &v));
    ck_assert(same(v, (int128)INT64_C(1428571428571428571) * decimal_pow10(18) +
                          INT64_C(428571428571428571)));
    /* Divisors that don't fit 128 bits. */
    ck_assert(decimal_div(MOST, 38, MOST, 0, 0, &v) && v == 0);
    ck_assert(decimal_div(MOST, 38, 2, 0, 0, &v) && v == 0);
    ck_assert(decimal_div(MOST, 38, 1, 0, 0, &v) && v == 1);
}
END_TEST

START_TEST(division_inverts_multiplication) {
    struct rng r;
    rng_init(&r, test_seed("divide"));
    for (int i = 0; i < 20000; i++) {
        int128 a = (int128)(int64_t)rng_next(&r) >> rng_below(&r, 63);
        int128 b = (int128)(int64_t)rng_next(&r) >> rng_below(&r, 63), product, v;
        if (b == 0 || !decimal_mul(a, b, &product))
            continue;
        unsigned a_scale = (unsigned)rng_below(&r, 20), b_scale = (unsigned)rng_below(&r, 19);
        ck_assert(decimal_div(product, a_scale + b_scale, b, b_scale, a_scale, &v));
        ck_assert(same(v, a));
    }
}
END_TEST

START_TEST(doubles_are_the_nearest) {
    ck_assert(decimal_to_double(1, 1) == 0.1);
    ck_assert(decimal_to_double(-123456789, 4) == -12345.6789);
    ck_assert(decimal_to_double(MOST, 0) == 1e38);
    ck_assert(decimal_to_double(MOST, 38) == 1.0);
    ck_assert(decimal_to_double(1, 38) == 1e-38);
    ck_assert(decimal_to_double((int128)INT64_C(9007199254740993) * 10 + 5, 1) ==
              9007199254740994.0);
}
END_TEST

START_TEST(doubles_become_the_decimal_they_print_as) {
    int128 v;
    ck_assert(decimal_from_double(0.1, 20, &v) && same(v, decimal_pow10(19)));
    ck_assert(decimal_from_double(2.675, 2, &v) && v == 268);
    ck_assert(decimal_from_double(-0.5, 0, &v) && v == -1);
    ck_assert(decimal_from_double(1e37, 0, &v) && same(v, decimal_pow10(37)));
    ck_assert(!decimal_from_double(1e38, 0, &v));
    ck_assert(!decimal_from_double(1.0, 38, &v));
    ck_assert(decimal_from_double(0.0, 38, &v) && v == 0);
    ck_assert(decimal_from_double(5e-324, 38, &v) && v == 0);
    ck_assert(!decimal_from_double(NAN, 0, &v));
    ck_assert(!decimal_from_double(-INFINITY, 0, &v));
    ck_assert(!decimal_from_double(1.7e308, 0, &v));
}
END_TEST

START_TEST(fits_counts_digits_on_both_sides_of_zero) {
    ck_assert(decimal_fits(999, 3) && decimal_fits(-999, 3));
    ck_assert(!decimal_fits(1000, 3) && !decimal_fits(-1000, 3));
    ck_assert(decimal_fits(MOST, 38) && !decimal_fits(MOST + 1, 38));
    ck_assert(!decimal_fits((int128)1 << 126, 37));
    ck_assert(!decimal_fits((int128)((unsigned __int128)1 << 127), 38));
}
END_TEST

TEST_MAIN("catalog/decimal", powers_are_powers, digits_are_counted,
          rescaling_rounds_half_away_from_zero, sums_and_products_past_38_digits_overflow,
          division_rounds_at_the_scale_asked_for,
          division_is_exact_where_numerators_are_longer_than_128_bits,
          division_inverts_multiplication, doubles_are_the_nearest,
          doubles_become_the_decimal_they_print_as, fits_counts_digits_on_both_sides_of_zero)
