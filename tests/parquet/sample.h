/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns of every type filled with values that find mistakes: extremes, repeats, runs, nulls. What
 * the Parquet tests and the generator of files for foreign readers share. */
#ifndef LAMINA_TESTS_PARQUET_SAMPLE_H
#define LAMINA_TESTS_PARQUET_SAMPLE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "tests/support/parquet.h"

/* How the values of a column are made. */
enum sample_kind {
    SAMPLE_WILD = 0,     /* extremes among random values; NaN and infinities */
    SAMPLE_SORTED = 1,   /* rising with the row, no NaN */
    SAMPLE_FEW = 2,      /* seven distinct values */
    SAMPLE_CONSTANT = 3, /* one value */
    SAMPLE_NULLS = 4,    /* nulls only, where nulls are allowed; else as CONSTANT */
    SAMPLE_LONG = 5,     /* text and bytes of up to 64 KiB with long common starts; else WILD */
    SAMPLE_SIGNED = 6,   /* small values around zero, -0.0 among them */
};

#define SAMPLE_TYPE_COUNT 18
static const struct coltype sample_types[SAMPLE_TYPE_COUNT] = {
    {.type = LAM_TYPE_BOOLEAN},
    {.type = LAM_TYPE_SMALLINT},
    {.type = LAM_TYPE_INT},
    {.type = LAM_TYPE_BIGINT},
    {.type = LAM_TYPE_FLOAT},
    {.type = LAM_TYPE_DOUBLE},
    {.type = LAM_TYPE_DECIMAL, .precision = 1, .scale = 0},
    {.type = LAM_TYPE_DECIMAL, .precision = 9, .scale = 2},
    {.type = LAM_TYPE_DECIMAL, .precision = 18, .scale = 5},
    {.type = LAM_TYPE_DECIMAL, .precision = 19, .scale = 4},
    {.type = LAM_TYPE_DECIMAL, .precision = 38, .scale = 10},
    {.type = LAM_TYPE_TEXT},
    {.type = LAM_TYPE_BYTES},
    {.type = LAM_TYPE_TIMESTAMP},
    {.type = LAM_TYPE_DATE},
    {.type = LAM_TYPE_TIME},
    {.type = LAM_TYPE_UUID},
    {.type = LAM_TYPE_JSON},
};
static const char *const sample_names[SAMPLE_TYPE_COUNT] = {
    "boolean",  "smallint", "int_",      "bigint",    "float_",    "double_",
    "decimal1", "decimal9", "decimal18", "decimal19", "decimal38", "text_",
    "bytes_",   "ts",       "date_",     "time_",     "uuid_",     "json_"};

#define SAMPLE_FIELD_COUNT (2 * SAMPLE_TYPE_COUNT)

/* Every type twice, NOT NULL and nullable ("_n"); field ids 100, 101, ... */
static inline void sample_fields(struct parquet_field *fields) {
    static char names[SAMPLE_FIELD_COUNT][24];
    for (int i = 0; i < SAMPLE_FIELD_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%s%s", sample_names[i / 2], i % 2 ? "_n" : "");
        fields[i] = (struct parquet_field){.name = names[i],
                                           .type = sample_types[i / 2],
                                           .nullable = i % 2 == 1,
                                           .field_id = 100 + i,
                                           .is_bloom = true};
    }
}

static inline int128 sample_power_of_ten(int digits) {
    int128 v = 1;
    while (digits-- > 0)
        v *= 10;
    return v;
}

/* A number within [-limit, limit], by kind; `row` of `rows`. */
static inline int128 sample_number(struct rng *r, enum sample_kind kind, uint32_t row,
                                   uint32_t rows, int128 low, int128 high) {
    unsigned __int128 span = (unsigned __int128)high - (unsigned __int128)low;
    switch (kind) {
    case SAMPLE_SORTED:
        return (int128)((unsigned __int128)low + span / (rows + 1) * (row + 1));
    case SAMPLE_FEW:
        return (int128)((unsigned __int128)low + span / 8 * (1 + rng_below(r, 7)));
    case SAMPLE_CONSTANT:
    case SAMPLE_NULLS:
        return high < 42 ? high : 42;
    case SAMPLE_SIGNED: {
        int128 v = (int128)rng_below(r, 9) - 4;
        return v < low ? low : v > high ? high : v;
    }
    case SAMPLE_WILD:
    case SAMPLE_LONG:
        break;
    }
    switch (rng_below(r, 8)) {
    case 0:
        return low;
    case 1:
        return high;
    case 2:
        return low <= 0 && high >= 0 ? 0 : low;
    case 3:
        return low + (span > 100 ? (int128)rng_below(r, 100) : 0);
    default: {
        unsigned __int128 v = (unsigned __int128)rng_next(r) << 64 | rng_next(r);
        return (int128)((unsigned __int128)low + v % (span + 1));
    }
    }
}

static inline double sample_double(struct rng *r, enum sample_kind kind, uint32_t row,
                                   uint32_t rows, bool is_float) {
    static const double wild[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0};
    double greatest = is_float ? 3.402823466e38 : 1.7976931348623157e308;
    switch (kind) {
    case SAMPLE_SORTED:
        return ((double)row - rows / 2.0) * 0.125;
    case SAMPLE_FEW:
        return (double)rng_below(r, 7) * 1.5 - 4.5;
    case SAMPLE_CONSTANT:
    case SAMPLE_NULLS:
        return -2.5;
    case SAMPLE_SIGNED: {
        double v = (double)rng_below(r, 5) - 2;
        return v == 0 && rng_below(r, 2) ? -0.0 : v;
    }
    case SAMPLE_WILD:
    case SAMPLE_LONG:
        break;
    }
    uint64_t pick = rng_below(r, 20);
    if (pick < 5)
        return wild[pick];
    if (pick == 5)
        return greatest;
    if (pick == 6)
        return is_float ? 1.401298464e-45 : 4.9406564584124654e-324;
    return ((double)rng_next(r) / 1e19 - 0.9) * (double)(1 + rng_below(r, 1000000));
}

/* Text of valid UTF-8 of 1 to 4 byte characters into `out`, of at most `size` bytes. */
static inline size_t sample_text(struct rng *r, char *out, size_t size) {
    static const char *const letters[] = {"a",  "b",  "Z", "~",      " ",      "'",
                                          "\"", "\\", "é", "\u07ff", "\uffff", "😀"};
    size_t n = 0;
    for (;;) {
        const char *s = letters[rng_below(r, 12)];
        if (n + strlen(s) > size)
            return n;
        memcpy(out + n, s, strlen(s));
        n += strlen(s);
    }
}

/* Bytes of a text, json, bytes or uuid value into `out` (room for 64 KiB + 64). */
static inline size_t sample_bytes(struct rng *r, enum sample_kind kind, uint32_t row,
                                  enum lam_type type, char *out) {
    size_t n = 0;
    if (type == LAM_TYPE_UUID) {
        uint64_t high = kind == SAMPLE_WILD || kind == SAMPLE_LONG ? rng_next(r)
                        : kind == SAMPLE_SORTED                    ? row
                        : kind == SAMPLE_CONSTANT || kind == SAMPLE_NULLS
                            ? 7
                            : rng_below(r, 7) * UINT64_C(0x2492492492492492);
        put_be64(out, high);
        put_be64(out + 8, high * 31);
        return 16;
    }
    if (type == LAM_TYPE_JSON)
        n = (size_t)sprintf(out, "{\"k\": \"");
    switch (kind) {
    case SAMPLE_SORTED:
        n += (size_t)sprintf(out + n, "key-%08u", row);
        break;
    case SAMPLE_FEW:
    case SAMPLE_SIGNED:
        n += (size_t)sprintf(out + n, "value %u", (unsigned)rng_below(r, 7));
        break;
    case SAMPLE_CONSTANT:
    case SAMPLE_NULLS:
        n += (size_t)sprintf(out + n, "always");
        break;
    case SAMPLE_LONG: {
        size_t length = rng_below(r, 40) == 0 ? 65536 : 50 + rng_below(r, 40);
        memset(out + n, type == LAM_TYPE_BYTES ? 0xff : 'x', length);
        n += length;
        if (type == LAM_TYPE_TEXT && rng_below(r, 2))
            n += (size_t)sprintf(out + n, "é");
        break;
    }
    case SAMPLE_WILD:
        if (type == LAM_TYPE_JSON) {
            n += (size_t)sprintf(out + n, "%llx", (unsigned long long)rng_next(r));
        } else if (type == LAM_TYPE_TEXT) {
            n = sample_text(r, out, rng_below(r, 4) ? rng_below(r, 20) : rng_below(r, 200));
        } else {
            n = rng_below(r, 4) ? rng_below(r, 20) : rng_below(r, 200);
            for (size_t i = 0; i < n; i++)
                out[i] = (char)(rng_below(r, 3) ? rng_next(r) : 0xff);
        }
        break;
    }
    if (type == LAM_TYPE_JSON)
        n += (size_t)sprintf(out + n, "\"}");
    return n;
}

/* Limits of the integer types. `foreign` keeps to what other systems can show. */
static inline void sample_limits(const struct coltype *t, bool foreign, int128 *low, int128 *high) {
    switch ((int)t->type) {
    case LAM_TYPE_BOOLEAN:
        *low = 0, *high = 1;
        break;
    case LAM_TYPE_SMALLINT:
        *low = INT16_MIN, *high = INT16_MAX;
        break;
    case LAM_TYPE_DATE:
        *low = foreign ? -700000 : INT32_MIN, *high = foreign ? 2900000 : INT32_MAX;
        break;
    case LAM_TYPE_INT:
        *low = INT32_MIN, *high = INT32_MAX;
        break;
    case LAM_TYPE_TIME:
        *low = 0, *high = INT64_C(86399999999);
        break;
    case LAM_TYPE_TIMESTAMP:
        *low = foreign ? -INT64_C(62135596800000000) : INT64_MIN;
        *high = foreign ? INT64_C(253402300799999999) : INT64_MAX;
        break;
    case LAM_TYPE_DECIMAL:
        *high = sample_power_of_ten(t->precision) - 1;
        *low = -*high;
        break;
    default:
        *low = INT64_MIN, *high = INT64_MAX;
    }
}

static inline enum lam_code sample_append(struct column *c, struct rng *r, enum sample_kind kind,
                                          uint32_t row, uint32_t rows, bool nullable, bool foreign,
                                          struct lam_error *err) {
    static char room[65536 + 128];
    int128 low, high;
    if (nullable && (kind == SAMPLE_NULLS || rng_below(r, 5) == 0))
        return column_append_null(c, err);
    sample_limits(&c->type, foreign, &low, &high);
    switch (c->type.type) {
    case LAM_TYPE_BOOLEAN:
        return column_append_bool(
            c, kind == SAMPLE_SORTED ? row > rows / 2 : sample_number(r, kind, row, rows, 0, 1) > 0,
            err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return column_append_f64(
            c, sample_double(r, kind, row, rows, c->type.type == LAM_TYPE_FLOAT), err);
    case LAM_TYPE_DECIMAL:
        return column_append_i128(c, sample_number(r, kind, row, rows, low, high), err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
    case LAM_TYPE_UUID: {
        size_t n = sample_bytes(r, kind, row, c->type.type, room);
        return column_append_bytes(c, lam_slice_of(room, n), err);
    }
    default:
        return column_append_i64(c, (int64_t)sample_number(r, kind, row, rows, low, high), err);
    }
}

/* Appends rows [first, first + count) of a table of `rows` rows to every column of `b`. */
static inline enum lam_code sample_batch(struct colbatch *b, const struct parquet_field *fields,
                                         struct rng *r, enum sample_kind kind, uint32_t first,
                                         uint32_t count, uint32_t rows, bool foreign,
                                         struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t f = 0; f < b->column_count; f++)
            TRY(sample_append(&b->columns[f], r, kind, first + i, rows, fields[f].nullable, foreign,
                              err));
    b->rows += count;
    return LAM_OK;
}

#endif
