/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding, merging, cutting and ordering bounds. */
#include "flush/parquet/bounds.h"

#include <math.h>

#include "base/assert.h"
#include "base/utf8.h"

/* A greatest value that can't be cut is stored whole up to this size. */
#define MAX_UNCUT_BYTES 4096

enum parquet_member parquet_member_of(enum lam_type type) {
    switch (type) {
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return PARQUET_F64;
    case LAM_TYPE_DECIMAL:
        return PARQUET_I128;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
    case LAM_TYPE_UUID:
        return PARQUET_BYTES;
    case LAM_TYPE_BOOLEAN:
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return PARQUET_I64;
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

int parquet_value_compare(enum lam_type type, struct parquet_value a, struct parquet_value b) {
    switch (parquet_member_of(type)) {
    case PARQUET_F64:
        DEBUG_ASSERT(!isnan(a.f64) && !isnan(b.f64));
        return a.f64 < b.f64 ? -1 : a.f64 > b.f64;
    case PARQUET_I128:
        return a.i128 < b.i128 ? -1 : a.i128 > b.i128;
    case PARQUET_BYTES:
        return slice_cmp(a.bytes, b.bytes);
    case PARQUET_I64:
        break;
    }
    return a.i64 < b.i64 ? -1 : a.i64 > b.i64;
}

struct parquet_value parquet_value_of(const struct column *c, uint32_t row) {
    DEBUG_ASSERT(row < c->rows && !column_is_null(c, row));
    switch (parquet_member_of(c->type.type)) {
    case PARQUET_F64:
        return (struct parquet_value){.f64 = column_f64(c, row)};
    case PARQUET_I128:
        return (struct parquet_value){.i128 = column_i128(c, row)};
    case PARQUET_BYTES:
        return (struct parquet_value){.bytes = column_bytes(c, row)};
    case PARQUET_I64:
        break;
    }
    bool is_bool = c->type.type == LAM_TYPE_BOOLEAN;
    return (struct parquet_value){.i64 = is_bool ? column_bool(c, row) : column_i64(c, row)};
}

/* Plain loops over one physical type each, which the compiler turns into vector code. */
static void find_i32(const uint8_t *p, uint32_t count, int64_t *min_out, int64_t *max_out) {
    int32_t min = INT32_MAX, max = INT32_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int32_t v = (int32_t)get_le32(p + (size_t)i * 4);
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    *min_out = min;
    *max_out = max;
}

static void find_i64(const uint8_t *p, uint32_t count, int64_t *min_out, int64_t *max_out) {
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int64_t v = (int64_t)get_le64(p + (size_t)i * 8);
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    *min_out = min;
    *max_out = max;
}

static void find_bits(const struct pq_values *v, uint32_t first, uint32_t count, int64_t *min_out,
                      int64_t *max_out) {
    *min_out = 1;
    *max_out = 0;
    for (uint32_t i = first; i < first + count; i++) {
        int64_t bit = bitmap_get(v->data, i);
        *min_out &= bit;
        *max_out |= bit;
    }
}

static void find_integers(const struct pq_values *v, uint32_t first, uint32_t count,
                          int64_t *min_out, int64_t *max_out) {
    if (v->width == 4)
        find_i32(v->data + (size_t)first * 4, count, min_out, max_out);
    else if (v->width == 8)
        find_i64(v->data + (size_t)first * 8, count, min_out, max_out);
    else
        find_bits(v, first, count, min_out, max_out);
}

static double load_float(const struct pq_values *v, uint32_t i) {
    float f;
    double d;
    if (v->width == 4) {
        memcpy(&f, v->data + (size_t)i * 4, 4);
        return f;
    }
    memcpy(&d, v->data + (size_t)i * 8, 8);
    return d;
}

/* False if there is a NaN. */
static bool find_floats(const struct pq_values *v, uint32_t first, uint32_t count, double *min_out,
                        double *max_out) {
    double min = INFINITY, max = -INFINITY;
    bool nan = false;
    for (uint32_t i = first; i < first + count; i++) {
        double d = load_float(v, i);
        nan |= d != d;
        min = d < min ? d : min;
        max = d > max ? d : max;
    }
    *min_out = min;
    *max_out = max;
    return !nan;
}

static void find_decimals(const struct pq_values *v, uint32_t first, uint32_t count,
                          struct pq_bounds *b) {
    for (uint32_t i = first; i < first + count; i++) {
        int128 d = pq_decimal_load(v->data + (size_t)i * v->width, v->width);
        b->min.i128 = i == first || d < b->min.i128 ? d : b->min.i128;
        b->max.i128 = i == first || d > b->max.i128 ? d : b->max.i128;
    }
}

static void find_bytes(const struct pq_values *v, uint32_t first, uint32_t count,
                       struct pq_bounds *b) {
    b->min.bytes = b->max.bytes = pq_values_bytes(v, first);
    for (uint32_t i = first + 1; i < first + count; i++) {
        struct lam_slice s = pq_values_bytes(v, i);
        if (slice_cmp(s, b->min.bytes) < 0)
            b->min.bytes = s;
        else if (slice_cmp(s, b->max.bytes) > 0)
            b->max.bytes = s;
    }
}

struct pq_bounds pq_bounds_of(const struct pq_values *v, enum lam_type type,
                              const struct pq_leaf *leaf, uint32_t first, uint32_t count) {
    struct pq_bounds b = {.min = {.i128 = 0}, .max = {.i128 = 0}};
    LAM_ASSERT(first <= v->count && count <= v->count - first);
    if (count == 0)
        return b;
    b.state = PQ_BOUNDS_KNOWN;
    b.min_exact = b.max_exact = true;
    if (type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE) {
        if (!find_floats(v, first, count, &b.min.f64, &b.max.f64))
            b.state = PQ_BOUNDS_UNKNOWN;
    } else if (type == LAM_TYPE_DECIMAL && leaf->physical == PQ_FIXED) {
        find_decimals(v, first, count, &b);
    } else if (type == LAM_TYPE_UUID || leaf->physical == PQ_BYTE_ARRAY) {
        find_bytes(v, first, count, &b);
    } else {
        int64_t min, max;
        find_integers(v, first, count, &min, &max);
        if (type == LAM_TYPE_DECIMAL) {
            b.min.i128 = min;
            b.max.i128 = max;
        } else {
            b.min.i64 = min;
            b.max.i64 = max;
        }
    }
    return b;
}

void pq_bounds_merge(struct pq_bounds *into, enum lam_type type, const struct pq_bounds *b) {
    if (b->state == PQ_BOUNDS_EMPTY || into->state == PQ_BOUNDS_UNKNOWN)
        return;
    if (into->state == PQ_BOUNDS_EMPTY || b->state == PQ_BOUNDS_UNKNOWN) {
        *into = *b;
        return;
    }
    int min = parquet_value_compare(type, b->min, into->min);
    int max = parquet_value_compare(type, b->max, into->max);
    if (min < 0) {
        into->min = b->min;
        into->min_exact = b->min_exact;
    } else if (min == 0) {
        into->min_exact |= b->min_exact;
    }
    if (max > 0) {
        into->max = b->max;
        into->max_exact = b->max_exact;
    } else if (max == 0) {
        into->max_exact |= b->max_exact;
    }
}

/* The longest prefix of at most `limit` bytes, in text ending on a whole character. */
static size_t prefix_size(struct lam_slice s, size_t limit, bool is_text) {
    size_t n = s.size < limit ? s.size : limit;
    if (!is_text || n == s.size)
        return n;
    size_t whole = n;
    while (whole > 0 && n - whole < 4 && (s.data[whole] & 0xc0) == 0x80)
        whole--;
    return (s.data[whole] & 0xc0) == 0x80 ? n : whole;
}

/* The smallest text above all that begin with `s` is found by raising the last character that has
 * a next one and dropping what follows. Character order is byte order in UTF-8. */
static size_t raise_text(struct lam_slice s, uint8_t *out) {
    for (size_t n = s.size; n > 0;) {
        size_t start = n - 1;
        while (start > 0 && (s.data[start] & 0xc0) == 0x80)
            start--;
        size_t at = start;
        uint32_t next = utf8_next(s, &at) + 1;
        next = next == 0xd800 ? 0xe000 : next;
        if (next <= 0x10ffff) {
            memcpy(out, s.data, start);
            return start + utf8_put(out + start, next);
        }
        n = start;
    }
    return 0;
}

static size_t raise_bytes(struct lam_slice s, uint8_t *out) {
    size_t n = s.size;
    while (n > 0 && s.data[n - 1] == 0xff)
        n--;
    if (n == 0)
        return 0;
    memcpy(out, s.data, n);
    out[n - 1]++;
    return n;
}

static bool is_text_type(enum lam_type type) {
    return type == LAM_TYPE_TEXT || type == LAM_TYPE_JSON;
}

/* Cuts an upper bound; false if there is none of sane size. */
static bool cut_max(struct lam_slice s, bool is_text, uint8_t *room, struct lam_slice *out,
                    bool *exact_out) {
    struct lam_slice prefix = lam_slice_of(s.data, prefix_size(s, PARQUET_BOUND_BYTES, is_text));
    *exact_out = prefix.size == s.size;
    *out = s;
    if (*exact_out)
        return true;
    bool valid = is_text && utf8_valid(prefix, NULL);
    size_t size = valid ? raise_text(prefix, room) : raise_bytes(prefix, room);
    *exact_out = size == 0;
    if (size > 0)
        *out = lam_slice_of(room, size);
    return size > 0 || s.size <= MAX_UNCUT_BYTES;
}

static enum lam_code keep(struct arena *a, struct lam_slice s, struct lam_slice *out,
                          struct lam_error *err) {
    const uint8_t *copy = arena_dup(a, s.size ? s.data : (const uint8_t *)"", s.size ? s.size : 1);
    if (!copy)
        return mem_fail(err, s.size);
    *out = lam_slice_of(copy, s.size);
    return LAM_OK;
}

static enum lam_code settle_bytes(const struct pq_bounds *b, enum lam_type type, struct arena *a,
                                  struct pq_bounds *out, struct lam_error *err) {
    uint8_t room[PARQUET_BOUND_BYTES + 4];
    bool is_text = is_text_type(type), exact;
    struct lam_slice min = b->min.bytes, max;
    size_t min_size = prefix_size(min, PARQUET_BOUND_BYTES, is_text);
    if (!cut_max(b->max.bytes, is_text, room, &max, &exact)) {
        out->state = PQ_BOUNDS_UNKNOWN;
        return LAM_OK;
    }
    out->min_exact &= min_size == min.size;
    out->max_exact &= exact;
    TRY(keep(a, lam_slice_of(min.data, min_size), &out->min.bytes, err));
    return keep(a, max, &out->max.bytes, err);
}

enum lam_code pq_bounds_settle(const struct pq_bounds *b, enum lam_type type, struct arena *a,
                               struct pq_bounds *out, struct lam_error *err) {
    *out = *b;
    if (b->state != PQ_BOUNDS_KNOWN)
        return LAM_OK;
    if (type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE) {
        out->min.f64 = b->min.f64 == 0 ? -0.0 : b->min.f64;
        out->max.f64 = b->max.f64 == 0 ? +0.0 : b->max.f64;
    } else if (coltype_is_variable(type) || type == LAM_TYPE_UUID) {
        TRY(settle_bytes(b, type, a, out, err));
    }
    return LAM_OK;
}

void pq_order_add(struct pq_order *o, enum lam_type type, const struct pq_bounds *b) {
    LAM_ASSERT(b->state == PQ_BOUNDS_KNOWN);
    if (o->has_last) {
        int min = parquet_value_compare(type, b->min, o->last_min);
        int max = parquet_value_compare(type, b->max, o->last_max);
        o->ascends |= min > 0 || max > 0;
        o->descends |= min < 0 || max < 0;
    }
    o->has_last = true;
    o->last_min = b->min;
    o->last_max = b->max;
}

enum pq_boundary_order pq_order_result(const struct pq_order *o) {
    if (!o->descends)
        return PQ_ASCENDING;
    return o->ascends ? PQ_UNORDERED : PQ_DESCENDING;
}
