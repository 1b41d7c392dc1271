/* SPDX-License-Identifier: Apache-2.0
 *
 * Random values for tests of the catalog: the ends of each type's range and what is next to them
 * come up often. */
#ifndef LAMINA_TESTS_CATALOG_VALUES_H
#define LAMINA_TESTS_CATALOG_VALUES_H

#include <math.h>

#include "base/rng.h"
#include "catalog/value.h"

static inline struct coltype random_coltype(struct rng *r) {
    struct coltype t = coltype_of((enum lam_type)(1 + rng_below(r, LAM_TYPE_JSON)));
    if (t.type == LAM_TYPE_DECIMAL) {
        t.precision = (uint8_t)(1 + rng_below(r, 38));
        t.scale = (uint8_t)rng_below(r, t.precision + 1u);
    }
    return t;
}

static inline int64_t random_between(struct rng *r, int64_t low, int64_t high) {
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t near = rng_below(r, 4);
    switch (rng_below(r, 5)) {
    case 0:
        return low + (int64_t)(near < span ? near : 0);
    case 1:
        return high - (int64_t)(near < span ? near : 0);
    case 2:
        return low < -2 && high > 2 ? (int64_t)near - 2 : low;
    default:
        return (int64_t)((uint64_t)low +
                         (span == UINT64_MAX ? rng_next(r) : rng_below(r, span + 1)));
    }
}

static inline double random_double(struct rng *r) {
    static const double ends[] = {0.0,     -0.0,     1.0,      -1.0,      5e-324, -5e-324,
                                  1.7e308, -1.7e308, INFINITY, -INFINITY, NAN,    2.5e-308};
    if (rng_below(r, 2))
        return ends[rng_below(r, sizeof ends / sizeof ends[0])];
    uint64_t bits = rng_next(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return isnan(v) ? NAN : v;
}

/* Few different bytes, so that prefixes and equal texts come up; UTF-8, zero bytes included. */
static inline struct lam_slice random_text(struct rng *r, struct arena *arena, size_t most) {
    static const char *const pieces[] = {"a",    "b",        "\0",           "\x01",
                                         "\x7f", "\xc3\xbf", "\xe2\x82\xac", "\xf4\x8f\xbf\xbf"};
    static const uint8_t sizes[] = {1, 1, 1, 1, 1, 2, 3, 4};
    size_t count = rng_below(r, most + 1), size = 0;
    uint8_t *bytes = arena_alloc(arena, count * 4 + 1);
    for (size_t i = 0; i < count; i++) {
        size_t p = rng_below(r, 8);
        memcpy(bytes + size, pieces[p], sizes[p]);
        size += sizes[p];
    }
    return lam_slice_of(bytes, size);
}

static inline struct lam_slice random_bytes(struct rng *r, struct arena *arena, size_t most) {
    static const uint8_t pool[] = {0x00, 0x01, 0x02, 0xfe, 0xff};
    size_t size = rng_below(r, most + 1);
    uint8_t *bytes = arena_alloc(arena, size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pool[rng_below(r, sizeof pool)];
    return lam_slice_of(bytes, size);
}

static inline struct value random_value(struct rng *r, struct coltype type, struct arena *arena) {
    struct value v = {.type = type};
    static const char *const json[] = {"1", "null", "{}", "[1,2]", "{\"a\":[true]}", "\"\\u00e4\""};
    switch (type.type) {
    case LAM_TYPE_BOOLEAN:
        v.as.boolean = rng_below(r, 2);
        break;
    case LAM_TYPE_SMALLINT:
        v.as.i64 = random_between(r, INT16_MIN, INT16_MAX);
        break;
    case LAM_TYPE_INT:
        v.as.i64 = random_between(r, INT32_MIN, INT32_MAX);
        break;
    case LAM_TYPE_BIGINT:
        v.as.i64 = random_between(r, INT64_MIN, INT64_MAX);
        break;
    case LAM_TYPE_TIMESTAMP:
        v.as.i64 = random_between(r, TIMESTAMP_MIN, TIMESTAMP_MAX);
        break;
    case LAM_TYPE_DATE:
        v.as.i64 = random_between(r, DATE_MIN, DATE_MAX);
        break;
    case LAM_TYPE_TIME:
        v.as.i64 = random_between(r, 0, DAY_MICROS - 1);
        break;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return value_f64(type.type, random_double(r));
    case LAM_TYPE_DECIMAL: {
        int128 end = decimal_pow10(type.precision);
        int128 any = (int128)((unsigned __int128)rng_next(r) << 64 | rng_next(r));
        uint64_t pick = rng_below(r, 4);
        v.as.i128 = pick == 0 ? end - 1 : pick == 1 ? 1 - end : pick == 2 ? 0 : any % end;
        break;
    }
    case LAM_TYPE_UUID:
        for (int i = 0; i < 16; i++)
            v.as.uuid[i] = rng_below(r, 2) ? (uint8_t)rng_next(r) : 0xff;
        break;
    case LAM_TYPE_BYTES:
        v.as.bytes = random_bytes(r, arena, 12);
        break;
    case LAM_TYPE_JSON:
        v.as.bytes = lam_slice_str(json[rng_below(r, 6)]);
        break;
    default:
        v.as.bytes = random_text(r, arena, 12);
    }
    return v;
}

/* Equal to the last bit, NaN and -0 included. */
static inline bool value_same(const struct value *a, const struct value *b) {
    if (a->is_null || b->is_null)
        return a->is_null && b->is_null;
    if (a->type.type != b->type.type || value_cmp(a, b) != 0)
        return false;
    return !coltype_is_float(a->type.type) || isnan(a->as.f64) ||
           signbit(a->as.f64) == signbit(b->as.f64);
}

#endif
