/* SPDX-License-Identifier: Apache-2.0
 *
 * Floating-point numbers as text. The C library does the conversions, always on digits with an
 * exponent and without a point ("15e-1"), which no locale changes. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "catalog/value_impl.h"

/* No double needs more significant digits than this to be rounded rightly: beyond them it is only
 * asked whether anything but zeros follows. */
#define SIGNIFICANT_MAX 800

static double read_digits(const char *text, bool single) {
    return single ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* Digits of |v| rounded to `precision` of them; the exponent is that of the last one. */
static void round_to(double v, int precision, struct float_digits *out) {
    char text[48];
    snprintf(text, sizeof text, "%.*e", precision - 1, fabs(v));
    out->count = 0;
    const char *at = text;
    for (; *at != 'e'; at++) /* skips the point, whatever the locale calls it */
        if (*at >= '0' && *at <= '9')
            out->digits[out->count++] = *at;
    LAM_ASSERT(out->count == precision);
    out->exponent = (int)strtol(at + 1, NULL, 10) - (precision - 1);
    while (out->count > 1 && out->digits[out->count - 1] == '0') {
        out->count--;
        out->exponent++;
    }
    out->digits[out->count] = '\0';
}

static bool reads_back(double v, bool single, const struct float_digits *d) {
    char text[48];
    snprintf(text, sizeof text, "%se%d", d->digits, d->exponent);
    return read_digits(text, single) == fabs(v);
}

void float_shortest(double v, bool single, struct float_digits *out) {
    LAM_ASSERT(isfinite(v));
    *out = (struct float_digits){.negative = signbit(v) != 0, .digits = "0", .count = 1};
    if (v == 0)
        return;
    /* Every normal double keeps 15 digits (float: 6), so that many, with zeros cut off, are the
     * shortest if they read back. Subnormals keep fewer. */
    bool normal = fabs(v) >= (single ? (double)1.17549435e-38F : 2.2250738585072014e-308);
    int most = single ? 9 : 17;
    for (int precision = normal ? most - (single ? 3 : 2) : 1; precision <= most; precision++) {
        round_to(v, precision, out);
        if (reads_back(v, single, out))
            return;
    }
    UNREACHABLE(); /* 17 digits (9) tell any two apart */
}

static size_t put_scientific(const struct float_digits *d, char *out) {
    size_t n = 0;
    out[n++] = d->digits[0];
    if (d->count > 1) {
        out[n++] = '.';
        memcpy(out + n, d->digits + 1, (size_t)d->count - 1);
        n += (size_t)d->count - 1;
    }
    int exponent = d->exponent + d->count - 1;
    out[n++] = 'e';
    out[n++] = exponent < 0 ? '-' : '+';
    exponent = abs(exponent);
    if (exponent >= 100)
        out[n++] = (char)('0' + exponent / 100);
    out[n++] = (char)('0' + exponent / 10 % 10);
    out[n++] = (char)('0' + exponent % 10);
    return n;
}

/* `point`: digits before the point, -3 to 15. */
static size_t put_plain(const struct float_digits *d, int point, char *out) {
    size_t n = 0;
    if (point <= 0) {
        out[n++] = '0';
        out[n++] = '.';
        for (int i = point; i < 0; i++)
            out[n++] = '0';
    }
    for (int i = 0; i < d->count || i < point; i++) {
        if (i == point && point > 0)
            out[n++] = '.';
        out[n++] = i < d->count ? d->digits[i] : '0';
    }
    return n;
}

void float_text(double v, bool single, char *out) {
    if (!isfinite(v)) {
        const char *name = isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
        memcpy(out, name, strlen(name) + 1);
        return;
    }
    struct float_digits d;
    float_shortest(v, single, &d);
    size_t n = 0;
    if (d.negative)
        out[n++] = '-';
    int point = d.exponent + d.count;
    int most = single ? 6 : 15;
    n += point > -4 && point <= most ? put_plain(&d, point, out + n) : put_scientific(&d, out + n);
    out[n] = '\0';
}

void double_format(double v, char *out) {
    float_text(v, false, out);
}

void float_format(float v, char *out) {
    float_text((double)v, true, out);
}

/* The words for what is not a number; `s` has no sign. */
static bool parse_special(struct lam_slice s, double *out) {
    if (text_is_word(s, "nan"))
        *out = (double)NAN;
    else if (text_is_word(s, "infinity") || text_is_word(s, "inf"))
        *out = (double)INFINITY;
    else
        return false;
    return true;
}

/* A number's text brought to digits and an exponent. */
struct number_text {
    char text[SIGNIFICANT_MAX + 32];
    size_t digits;    /* in `text`, without leading zeros */
    int64_t exponent; /* power of ten of the last digit in `text` */
    bool any;         /* a digit was seen, zeros included */
};

static void take_digit(struct number_text *n, char digit, bool after_point) {
    n->any = true;
    n->exponent -= after_point;
    if (n->digits == 0 && digit == '0')
        return;
    if (n->digits < SIGNIFICANT_MAX) {
        n->text[n->digits++] = digit;
        return;
    }
    n->exponent++;
    if (digit != '0')
        n->text[SIGNIFICANT_MAX - 1] = (char)(n->text[SIGNIFICANT_MAX - 1] | 1); /* '0' -> '1' */
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

/* e[sign]digits at `at`, to the end of the text. */
static bool take_exponent(struct lam_slice s, size_t at, int64_t *out) {
    bool negative = at < s.size && s.data[at] == '-';
    if (at < s.size && (s.data[at] == '-' || s.data[at] == '+'))
        at++;
    if (at == s.size)
        return false;
    int64_t exponent = 0;
    for (; at < s.size; at++) {
        if (!is_digit(s.data[at]))
            return false;
        if (exponent < INT64_C(1) << 40) /* larger ones mean the same: 0 or out of range */
            exponent = exponent * 10 + (s.data[at] - '0');
    }
    *out += negative ? -exponent : exponent;
    return true;
}

static bool split_number(struct lam_slice s, struct number_text *n) {
    bool after_point = false;
    size_t at = 0;
    for (; at < s.size && (is_digit(s.data[at]) || (s.data[at] == '.' && !after_point)); at++) {
        if (s.data[at] == '.')
            after_point = true;
        else
            take_digit(n, (char)s.data[at], after_point);
    }
    if (!n->any)
        return false;
    if (at == s.size)
        return true;
    return (s.data[at] | 0x20) == 'e' && take_exponent(s, at + 1, &n->exponent);
}

enum text_result float_parse(struct lam_slice text, bool single, double *out) {
    bool negative = text.size > 0 && text.data[0] == '-';
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        text = lam_slice_of(text.data + 1, text.size - 1);
    double v = 0;
    struct number_text n;
    n.digits = 0;
    n.exponent = 0;
    n.any = false;
    if (!parse_special(text, &v)) {
        if (!split_number(text, &n))
            return TEXT_BAD;
        if (n.digits) {
            int64_t e = n.exponent;
            e = e > 100000 ? 100000 : e < -100000 ? -100000 : e;
            snprintf(n.text + n.digits, 16, "e%d", (int)e);
            v = read_digits(n.text, single);
            if (v == 0 || isinf(v))
                return TEXT_RANGE;
        }
    }
    *out = negative ? -v : v;
    return TEXT_OK;
}
