/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates and times as text (ISO 8601 with a blank or T). Digits of a fraction past the sixth round
 * it; 24:00 and leap seconds are out of range. */
#include "base/assert.h"
#include "catalog/value_impl.h"

/* --- out --- */

static char *put_digits(char *out, int64_t v, int width) {
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return out + width;
}

/* A year or hours, which keep all their digits should they be out of the range of their type. */
static char *put_wide(char *out, int64_t v, int width) {
    if (v < 0) {
        *out++ = '-';
        v = -v;
    }
    int digits = 1;
    for (int64_t rest = v / 10; rest > 0; rest /= 10)
        digits++;
    return put_digits(out, v, digits > width ? digits : width);
}

static char *put_date(char *out, int32_t days) {
    struct civil c;
    date_to_civil(days, &c);
    out = put_wide(out, c.year, 4);
    *out++ = '-';
    out = put_digits(out, c.month, 2);
    *out++ = '-';
    return put_digits(out, c.day, 2);
}

/* Zeros at the end of the fraction, and an empty one, are left away. */
static char *put_time(char *out, int64_t micros) {
    if (micros < 0)
        *out++ = '-';
    int64_t seconds = micros / 1000000, fraction = micros % 1000000;
    seconds = seconds < 0 ? -seconds : seconds;
    fraction = fraction < 0 ? -fraction : fraction;
    out = put_wide(out, seconds / 3600, 2);
    *out++ = ':';
    out = put_digits(out, seconds / 60 % 60, 2);
    *out++ = ':';
    out = put_digits(out, seconds % 60, 2);
    if (fraction == 0)
        return out;
    *out++ = '.';
    int width = 6;
    for (; fraction % 10 == 0; fraction /= 10)
        width--;
    return put_digits(out, fraction, width);
}

static size_t finish(const char *start, char *end) {
    *end = '\0';
    LAM_ASSERT(end - start < DATETIME_TEXT_MAX);
    return (size_t)(end - start);
}

size_t date_format(int32_t days, char *out) {
    return finish(out, put_date(out, days));
}

size_t time_format(int64_t micros, char *out) {
    return finish(out, put_time(out, micros));
}

size_t timestamp_format(int64_t micros, char *out) {
    char *end = put_date(out, timestamp_date(micros));
    *end++ = ' ';
    return finish(out, put_time(end, timestamp_time(micros)));
}

/* --- in --- */

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool take(struct cursor *s, char c) {
    if (cursor_left(s) == 0 || *s->at != (uint8_t)c)
        return false;
    s->at++;
    return true;
}

/* `least` to `most` digits. */
static bool take_number(struct cursor *s, int least, int most, int *out) {
    int count = 0;
    *out = 0;
    for (; count < most && cursor_left(s) > 0 && is_digit(*s->at); count++)
        *out = *out * 10 + (*s->at++ - '0');
    return count >= least && (cursor_left(s) == 0 || !is_digit(*s->at));
}

static bool take_date(struct cursor *s, struct civil *c) {
    return take_number(s, 4, 4, &c->year) && take(s, '-') && take_number(s, 1, 2, &c->month) &&
           take(s, '-') && take_number(s, 1, 2, &c->day);
}

/* Digits behind the point, as millionths rounded half up: up to 1000000. */
static bool take_fraction(struct cursor *s, int *micros_out) {
    int micros = 0, digits = 0, seventh = 0;
    for (; cursor_left(s) > 0 && is_digit(*s->at); digits++, s->at++) {
        if (digits < 6)
            micros = micros * 10 + (*s->at - '0');
        else if (digits == 6)
            seventh = *s->at - '0';
        else
            digits--; /* a text may have more digits than an int counts */
    }
    for (int i = digits; i < 6; i++)
        micros *= 10;
    *micros_out = micros + (seventh >= 5);
    return digits > 0;
}

/* hh:mm[:ss[.f]]; `*micros_out` may be 1000000. */
static bool take_time(struct cursor *s, struct civil *c, int *micros_out) {
    if (!take_number(s, 1, 2, &c->hour) || !take(s, ':') || !take_number(s, 2, 2, &c->minute))
        return false;
    if (!take(s, ':'))
        return true;
    if (!take_number(s, 2, 2, &c->second))
        return false;
    return !take(s, '.') || take_fraction(s, micros_out);
}

static bool take_word(struct cursor *s, const char *word) {
    if (!text_is_word(lam_slice_of(s->at, cursor_left(s)), word))
        return false;
    s->at = s->end;
    return true;
}

/* Nothing, Z, UTC, GMT or +hh[[:]mm[:ss]] to the end of the text. */
static enum text_result take_offset(struct cursor *s, int64_t *seconds_out) {
    *seconds_out = 0;
    while (take(s, ' '))
        ;
    if (cursor_left(s) == 0 || take_word(s, "z") || take_word(s, "utc") || take_word(s, "gmt"))
        return TEXT_OK;
    bool negative = *s->at == '-';
    if (!take(s, '-') && !take(s, '+'))
        return TEXT_BAD;
    int hours = 0, minutes = 0, seconds = 0;
    struct cursor at_hours = *s;
    if (take_number(s, 4, 4, &hours)) {
        minutes = hours % 100;
        hours /= 100;
    } else {
        *s = at_hours;
        if (!take_number(s, 1, 2, &hours) || (take(s, ':') && !take_number(s, 2, 2, &minutes)) ||
            (take(s, ':') && !take_number(s, 2, 2, &seconds)))
            return TEXT_BAD;
    }
    if (cursor_left(s) > 0)
        return TEXT_BAD;
    if (hours > 15 || minutes > 59 || seconds > 59)
        return TEXT_RANGE;
    int64_t offset = (hours * INT64_C(60) + minutes) * 60 + seconds;
    *seconds_out = negative ? -offset : offset;
    return TEXT_OK;
}

enum text_result date_parse(struct lam_slice text, int64_t *days_out) {
    struct cursor s = cursor_of(text);
    struct civil c = {0};
    if (!take_date(&s, &c) || cursor_left(&s) > 0)
        return TEXT_BAD;
    if (!civil_valid(&c))
        return TEXT_RANGE;
    *days_out = date_from_civil(c.year, c.month, c.day);
    return TEXT_OK;
}

enum text_result time_parse(struct lam_slice text, int64_t *micros_out) {
    struct cursor s = cursor_of(text);
    struct civil c = {.year = 1970, .month = 1, .day = 1};
    int micros = 0;
    if (!take_time(&s, &c, &micros) || cursor_left(&s) > 0)
        return TEXT_BAD;
    if (!civil_valid(&c))
        return TEXT_RANGE;
    *micros_out = timestamp_from_civil(&c) + micros;
    return *micros_out < DAY_MICROS ? TEXT_OK : TEXT_RANGE;
}

enum text_result timestamp_parse(struct lam_slice text, int64_t *micros_out) {
    struct cursor s = cursor_of(text);
    struct civil c = {0};
    int micros = 0;
    int64_t offset = 0;
    if (!take_date(&s, &c))
        return TEXT_BAD;
    if (cursor_left(&s) > 0) {
        if (!take(&s, 'T') && !take(&s, 't') && !take(&s, ' '))
            return TEXT_BAD;
        while (take(&s, ' '))
            ;
        if (!take_time(&s, &c, &micros))
            return TEXT_BAD;
        enum text_result zone = take_offset(&s, &offset);
        if (zone != TEXT_OK)
            return zone;
    }
    if (!civil_valid(&c))
        return TEXT_RANGE;
    *micros_out = timestamp_from_civil(&c) + micros - offset * 1000000;
    return *micros_out >= TIMESTAMP_MIN && *micros_out <= TIMESTAMP_MAX ? TEXT_OK : TEXT_RANGE;
}
