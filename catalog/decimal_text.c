/* SPDX-License-Identifier: Apache-2.0
 *
 * Decimals as text. */
#include "base/assert.h"
#include "catalog/value_impl.h"

size_t decimal_format(int128 v, unsigned scale, char *out) {
    LAM_ASSERT(scale <= DECIMAL_PRECISION_MAX);
    char reversed[DECIMAL_TEXT_MAX];
    size_t count = 0, n = 0;
    unsigned __int128 m = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    while (m > 0 || count <= scale) { /* a digit before the point at least */
        reversed[count++] = (char)('0' + (int)(m % 10));
        m /= 10;
    }
    if (v < 0)
        out[n++] = '-';
    while (count > 0) {
        out[n++] = reversed[--count];
        if (count == scale && scale > 0)
            out[n++] = '.';
    }
    out[n] = '\0';
    LAM_ASSERT(n < DECIMAL_TEXT_MAX);
    return n;
}

/* Where the parts of a number's text lie. */
struct parts {
    bool negative;
    struct lam_slice mantissa; /* digits and at most one point */
    int64_t int_digits;        /* before the point */
    int64_t fraction_digits;
    int64_t exponent;
};

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool split_exponent(struct lam_slice s, int64_t *out) {
    size_t at = 0;
    bool negative = s.size > 0 && s.data[0] == '-';
    if (s.size > 0 && (s.data[0] == '-' || s.data[0] == '+'))
        at++;
    if (at == s.size)
        return false;
    for (; at < s.size; at++) {
        if (!is_digit(s.data[at]))
            return false;
        if (*out < INT64_C(1) << 40) /* larger ones mean the same: 0 or out of range */
            *out = *out * 10 + (s.data[at] - '0');
    }
    if (negative)
        *out = -*out;
    return true;
}

static bool split(struct lam_slice s, struct parts *out) {
    *out = (struct parts){0};
    size_t at = 0;
    if (s.size > 0 && (s.data[0] == '-' || s.data[0] == '+'))
        out->negative = s.data[at++] == '-';
    size_t start = at;
    bool after_point = false;
    for (; at < s.size && (is_digit(s.data[at]) || (s.data[at] == '.' && !after_point)); at++) {
        if (s.data[at] == '.')
            after_point = true;
        else if (after_point)
            out->fraction_digits++;
        else
            out->int_digits++;
    }
    out->mantissa = lam_slice_of(s.data + start, at - start);
    if (out->int_digits + out->fraction_digits == 0)
        return false;
    if (at == s.size)
        return true;
    return (s.data[at] | 0x20) == 'e' &&
           split_exponent(lam_slice_of(s.data + at + 1, s.size - at - 1), &out->exponent);
}

static bool push_digit(int128 *m, int digit) {
    if (!decimal_fits(*m, DECIMAL_PRECISION_MAX - 1))
        return false;
    *m = *m * 10 + digit;
    return true;
}

/* The number times 10^scale, rounded half away from zero; false past 38 digits. */
static bool scale_parts(const struct parts *p, int64_t scale, int128 *out) {
    int128 m = 0;
    int64_t power = p->int_digits + p->exponent + scale; /* of the digit just taken, plus one */
    for (size_t i = 0; i < p->mantissa.size && power >= 0; i++) {
        if (p->mantissa.data[i] == '.')
            continue;
        int digit = p->mantissa.data[i] - '0';
        power--;
        if (power < 0) {
            m += digit >= 5;
            break;
        }
        if (m == 0 && digit == 0)
            continue;
        if (!push_digit(&m, digit))
            return false;
    }
    for (; m != 0 && power > 0; power--)
        if (!push_digit(&m, 0))
            return false;
    *out = p->negative ? -m : m;
    return decimal_fits(m, DECIMAL_PRECISION_MAX);
}

enum text_result decimal_parse(struct lam_slice text, struct coltype *type, int128 *out) {
    struct parts p;
    if (!split(text, &p))
        return TEXT_BAD;
    int64_t scale = type->scale;
    if (type->precision == 0) {
        scale = p.fraction_digits - p.exponent;
        scale = scale < 0 ? 0 : scale;
        if (scale > DECIMAL_PRECISION_MAX)
            return TEXT_RANGE;
    }
    if (!scale_parts(&p, scale, out))
        return TEXT_RANGE;
    if (type->precision == 0) {
        unsigned digits = decimal_digits(*out);
        type->scale = (uint8_t)scale;
        type->precision = (uint8_t)(digits > scale ? digits : scale);
    }
    return decimal_fits(*out, type->precision) ? TEXT_OK : TEXT_RANGE;
}
