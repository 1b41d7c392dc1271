/* SPDX-License-Identifier: Apache-2.0
 *
 * Values: making them, comparing and hashing them, moving them in and out of columns. */
#include "catalog/value.h"

#include <math.h>

#include "base/assert.h"
#include "base/hash.h"

static bool is_integral(enum lam_type type) {
    return coltype_is_integer(type) || type == LAM_TYPE_TIMESTAMP || type == LAM_TYPE_DATE ||
           type == LAM_TYPE_TIME;
}

struct value value_null(struct coltype type) {
    return (struct value){.type = type, .is_null = true};
}

struct value value_bool(bool v) {
    return (struct value){.type = coltype_of(LAM_TYPE_BOOLEAN), .as.boolean = v};
}

struct value value_i64(enum lam_type type, int64_t v) {
    LAM_ASSERT(is_integral(type));
    return (struct value){.type = coltype_of(type), .as.i64 = v};
}

struct value value_f64(enum lam_type type, double v) {
    LAM_ASSERT(coltype_is_float(type));
    /* Overflow to infinity is what rounding to float means here. */
    return (struct value){.type = coltype_of(type),
                          .as.f64 = type == LAM_TYPE_FLOAT ? (double)(float)v : v};
}

struct value value_decimal(int128 v, uint8_t precision, uint8_t scale) {
    LAM_ASSERT(precision >= 1 && precision <= DECIMAL_PRECISION_MAX && scale <= precision);
    return (struct value){
        .type = {.type = LAM_TYPE_DECIMAL, .precision = precision, .scale = scale}, .as.i128 = v};
}

struct value value_bytes(enum lam_type type, struct lam_slice v) {
    LAM_ASSERT(coltype_is_variable(type));
    return (struct value){.type = coltype_of(type), .as.bytes = v};
}

struct value value_text(const char *text) {
    return value_bytes(LAM_TYPE_TEXT, lam_slice_str(text));
}

struct value value_uuid(const uint8_t *bytes) {
    struct value v = {.type = coltype_of(LAM_TYPE_UUID)};
    memcpy(v.as.uuid, bytes, sizeof v.as.uuid);
    return v;
}

bool value_in_range(const struct value *v) {
    struct value rounded;
    switch (v->type.type) {
    case LAM_TYPE_SMALLINT:
        return v->as.i64 >= INT16_MIN && v->as.i64 <= INT16_MAX;
    case LAM_TYPE_INT:
    case LAM_TYPE_DATE:
        return v->as.i64 >= INT32_MIN && v->as.i64 <= INT32_MAX;
    case LAM_TYPE_TIME:
        return v->as.i64 >= 0 && v->as.i64 < DAY_MICROS;
    case LAM_TYPE_FLOAT:
        rounded = value_f64(LAM_TYPE_FLOAT, v->as.f64);
        return value_cmp(&rounded, v) == 0;
    case LAM_TYPE_DECIMAL:
        return decimal_fits(v->as.i128, v->type.precision);
    default:
        return true;
    }
}

static int cmp_f64(double a, double b) {
    if (isnan(a) || isnan(b))
        return isnan(a) != 0 ? isnan(b) == 0 : -1;
    return a < b ? -1 : a > b;
}

int value_cmp(const struct value *a, const struct value *b) {
    LAM_ASSERT(a->type.type == b->type.type);
    LAM_ASSERT(!a->is_null && !b->is_null);
    switch (a->type.type) {
    case LAM_TYPE_BOOLEAN:
        return (int)a->as.boolean - (int)b->as.boolean;
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return a->as.i64 < b->as.i64 ? -1 : a->as.i64 > b->as.i64;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return cmp_f64(a->as.f64, b->as.f64);
    case LAM_TYPE_DECIMAL:
        return decimal_cmp(a->as.i128, a->type.scale, b->as.i128, b->type.scale);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return slice_cmp(a->as.bytes, b->as.bytes);
    case LAM_TYPE_UUID:
        return memcmp(a->as.uuid, b->as.uuid, 16);
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

/* Equal numbers have one form: without zeros at the end. */
static uint64_t hash_decimal(int128 v, unsigned scale, uint64_t seed) {
    while (scale > 0 && v % 10 == 0) {
        v /= 10;
        scale--;
    }
    uint8_t bytes[17];
    memcpy(bytes, &v, 16);
    bytes[16] = v ? (uint8_t)scale : 0;
    return hash_xxh3(bytes, sizeof bytes, seed);
}

static uint64_t hash_f64(double v, uint64_t seed) {
    if (isnan(v))
        v = (double)NAN;
    if (v == 0)
        v = 0; /* -0 too */
    return hash_xxh3(&v, sizeof v, seed);
}

uint64_t value_hash(const struct value *v, uint64_t seed) {
    if (v->is_null)
        return hash_mix(seed, UINT64_C(0x6e756c6c));
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        return hash_mix(seed, v->as.boolean ? 2 : 1);
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return hash_xxh3(&v->as.i64, sizeof v->as.i64, seed);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return hash_f64(v->as.f64, seed);
    case LAM_TYPE_DECIMAL:
        return hash_decimal(v->as.i128, v->type.scale, seed);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return hash_xxh3(v->as.bytes.data, v->as.bytes.size, seed);
    case LAM_TYPE_UUID:
        return hash_xxh3(v->as.uuid, 16, seed);
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

enum lam_code column_append_value(struct column *c, const struct value *v, struct lam_error *err) {
    if (v->is_null)
        return column_append_null(c, err);
    LAM_ASSERT(c->type.type == v->type.type);
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        return column_append_bool(c, v->as.boolean, err);
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return column_append_i64(c, v->as.i64, err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return column_append_f64(c, v->as.f64, err);
    case LAM_TYPE_DECIMAL:
        LAM_ASSERT(c->type.scale == v->type.scale);
        return column_append_i128(c, v->as.i128, err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return column_append_bytes(c, v->as.bytes, err);
    case LAM_TYPE_UUID:
        return column_append_bytes(c, lam_slice_of(v->as.uuid, 16), err);
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

struct value column_value(const struct column *c, uint32_t row) {
    LAM_ASSERT(row < c->rows);
    struct value v = {.type = c->type};
    if (c->type.type == LAM_TYPE_NULL || column_is_null(c, row)) {
        v.is_null = true;
    } else if (is_integral(c->type.type)) {
        v.as.i64 = column_i64(c, row);
    } else if (coltype_is_float(c->type.type)) {
        v.as.f64 = column_f64(c, row);
    } else if (c->type.type == LAM_TYPE_BOOLEAN) {
        v.as.boolean = column_bool(c, row);
    } else if (c->type.type == LAM_TYPE_DECIMAL) {
        v.as.i128 = column_i128(c, row);
    } else if (c->type.type == LAM_TYPE_UUID) {
        memcpy(v.as.uuid, column_bytes(c, row).data, 16);
    } else {
        v.as.bytes = column_bytes(c, row);
    }
    return v;
}
