/* SPDX-License-Identifier: Apache-2.0
 *
 * Decimal arithmetic on 128-bit integers of at most 38 digits. 10^38 < 2^127, so a sum of two
 * decimals and twice a remainder fit unsigned 128 bits; what may be longer is checked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "catalog/value_impl.h"

typedef unsigned __int128 uint128;

#define E19  ((int128)UINT64_C(10000000000000000000))
#define E(n) ((int128)INT64_C(1##n))

static const int128 powers[DECIMAL_PRECISION_MAX + 1] = {
    E(),
    E(0),
    E(00),
    E(000),
    E(0000),
    E(00000),
    E(000000),
    E(0000000),
    E(00000000),
    E(000000000),
    E(0000000000),
    E(00000000000),
    E(000000000000),
    E(0000000000000),
    E(00000000000000),
    E(000000000000000),
    E(0000000000000000),
    E(00000000000000000),
    E(000000000000000000),
    E19,
    E19 *E(0),
    E19 *E(00),
    E19 *E(000),
    E19 *E(0000),
    E19 *E(00000),
    E19 *E(000000),
    E19 *E(0000000),
    E19 *E(00000000),
    E19 *E(000000000),
    E19 *E(0000000000),
    E19 *E(00000000000),
    E19 *E(000000000000),
    E19 *E(0000000000000),
    E19 *E(00000000000000),
    E19 *E(000000000000000),
    E19 *E(0000000000000000),
    E19 *E(00000000000000000),
    E19 *E(000000000000000000),
    E19 *E19,
};

int128 decimal_pow10(unsigned n) {
    LAM_ASSERT(n <= DECIMAL_PRECISION_MAX);
    return powers[n];
}

bool decimal_fits(int128 v, unsigned precision) {
    int128 end = decimal_pow10(precision);
    return v < end && v > -end;
}

static uint128 magnitude(int128 v) {
    return v < 0 ? -(uint128)v : (uint128)v;
}

unsigned decimal_digits(int128 v) {
    uint128 m = magnitude(v);
    unsigned digits = 1;
    while (digits <= DECIMAL_PRECISION_MAX && m >= (uint128)powers[digits])
        digits++;
    return digits;
}

/* Quotient of magnitudes, rounded half away from zero. */
static uint128 divide_rounding(uint128 a, uint128 b) {
    uint128 quotient = a / b, rest = a % b;
    return quotient + (rest >= b - rest);
}

bool decimal_rescale(int128 v, unsigned from_scale, unsigned to_scale, int128 *out) {
    LAM_ASSERT(from_scale <= DECIMAL_PRECISION_MAX && to_scale <= DECIMAL_PRECISION_MAX);
    if (to_scale >= from_scale) {
        int128 scaled;
        if (__builtin_mul_overflow(v, powers[to_scale - from_scale], &scaled) ||
            !decimal_fits(scaled, DECIMAL_PRECISION_MAX))
            return false;
        *out = scaled;
        return true;
    }
    int128 m = (int128)divide_rounding(magnitude(v), (uint128)powers[from_scale - to_scale]);
    *out = v < 0 ? -m : m;
    return true;
}

bool decimal_add(int128 a, int128 b, int128 *out) {
    int128 sum;
    if (__builtin_add_overflow(a, b, &sum) || !decimal_fits(sum, DECIMAL_PRECISION_MAX))
        return false;
    *out = sum;
    return true;
}

bool decimal_mul(int128 a, int128 b, int128 *out) {
    int128 product;
    if (__builtin_mul_overflow(a, b, &product) || !decimal_fits(product, DECIMAL_PRECISION_MAX))
        return false;
    *out = product;
    return true;
}

/* A number and its remainder: value = quotient + rest / b, rest < b < 2^127. */
struct fraction {
    uint128 quotient;
    uint128 rest;
};

static struct fraction sum_of(struct fraction x, struct fraction y, uint128 b) {
    struct fraction sum = {x.quotient + y.quotient, x.rest + y.rest};
    if (sum.rest >= b) {
        sum.rest -= b;
        sum.quotient++;
    }
    return sum;
}

/* a * 10^steps / b, rounded; false past 38 digits. Long division, a digit a step: nothing gets
 * longer than 128 bits. */
static bool divide_long(uint128 a, uint128 b, unsigned steps, uint128 *out) {
    uint128 end = (uint128)powers[DECIMAL_PRECISION_MAX];
    struct fraction f = {a / b, a % b};
    for (unsigned i = 0; i < steps; i++) {
        if (f.quotient >= end / 10 + 1)
            return false;
        if (f.rest == 0) {
            f.quotient *= 10;
            continue;
        }
        struct fraction one = {0, f.rest};
        struct fraction two = sum_of(one, one, b);
        struct fraction five = sum_of(sum_of(two, two, b), one, b);
        struct fraction ten = sum_of(five, five, b);
        f = (struct fraction){f.quotient * 10 + ten.quotient, ten.rest};
    }
    *out = f.quotient + (f.rest >= b - f.rest);
    return *out < end;
}

bool decimal_div(int128 a, unsigned a_scale, int128 b, unsigned b_scale, unsigned scale,
                 int128 *out) {
    LAM_ASSERT(b != 0 && decimal_fits(a, DECIMAL_PRECISION_MAX));
    LAM_ASSERT(a_scale <= DECIMAL_PRECISION_MAX && b_scale <= DECIMAL_PRECISION_MAX);
    LAM_ASSERT(scale <= DECIMAL_PRECISION_MAX && decimal_fits(b, DECIMAL_PRECISION_MAX));
    uint128 ma = magnitude(a), mb = magnitude(b), m;
    int shift = (int)scale + (int)b_scale - (int)a_scale;
    if (shift >= 0) {
        uint128 scaled;
        if (shift <= DECIMAL_PRECISION_MAX &&
            !__builtin_mul_overflow(ma, (uint128)powers[shift], &scaled))
            m = divide_rounding(scaled, mb);
        else if (!divide_long(ma, mb, (unsigned)shift, &m))
            return false;
    } else {
        /* A divisor past 2^128 is more than twice any decimal: the quotient rounds to 0. */
        uint128 divisor;
        m = __builtin_mul_overflow(mb, (uint128)powers[-shift], &divisor)
                ? 0
                : divide_rounding(ma, divisor);
    }
    if (m >= (uint128)powers[DECIMAL_PRECISION_MAX])
        return false;
    *out = (a < 0) != (b < 0) ? -(int128)m : (int128)m;
    return true;
}

int decimal_cmp(int128 a, unsigned a_scale, int128 b, unsigned b_scale) {
    int128 scaled;
    if (a_scale < b_scale) {
        /* What overflows is beyond any decimal on its side of zero. */
        if (__builtin_mul_overflow(a, decimal_pow10(b_scale - a_scale), &scaled))
            return a < 0 ? -1 : 1;
        a = scaled;
    } else if (b_scale < a_scale) {
        if (__builtin_mul_overflow(b, decimal_pow10(a_scale - b_scale), &scaled))
            return b < 0 ? 1 : -1;
        b = scaled;
    }
    return a < b ? -1 : a > b;
}

double decimal_to_double(int128 v, unsigned scale) {
    uint128 m = magnitude(v);
    /* Both exact in a double: one rounding, in the division. */
    if (m <= UINT64_C(1) << 53 && scale <= 22) {
        double d = (double)(uint64_t)m / (double)powers[scale];
        return v < 0 ? -d : d;
    }
    char text[DECIMAL_TEXT_MAX + 8];
    size_t size = decimal_format(v, 0, text);
    snprintf(text + size, 8, "e-%u", scale);
    return strtod(text, NULL);
}

bool decimal_from_digits(const struct float_digits *digits, unsigned scale, int128 *out) {
    int128 m = strtoll(digits->digits, NULL, 10); /* at most 17 digits */
    int shift = digits->exponent + (int)scale;
    if (m == 0 || shift < -DECIMAL_PRECISION_MAX) {
        m = 0;
    } else if (shift < 0) {
        m = (int128)divide_rounding((uint128)m, (uint128)powers[-shift]);
    } else if (shift >= DECIMAL_PRECISION_MAX || !decimal_rescale(m, 0, (unsigned)shift, &m)) {
        return false;
    }
    *out = digits->negative ? -m : m;
    return true;
}

bool decimal_from_double(double v, unsigned scale, int128 *out) {
    LAM_ASSERT(scale <= DECIMAL_PRECISION_MAX);
    if (!isfinite(v))
        return false;
    struct float_digits digits;
    float_shortest(v, false, &digits);
    return decimal_from_digits(&digits, scale, out);
}
