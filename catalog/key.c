/* SPDX-License-Identifier: Apache-2.0
 *
 * Order-preserving parts of keys. A descending part is the ascending one with all bytes inverted,
 * so every reader and writer here takes a mask of 00 or FF. */
#include "catalog/key.h"

#include <math.h>

#include "base/assert.h"

#define PRESENT   0x01
#define NULL_LAST 0x02

#define ESCAPE   0x00 /* in a string: a zero byte ... */
#define ESCAPED  0xFF /* ... if this follows */
#define END_MARK 0x01 /* the end, if this does */

static uint8_t mask_of(bool descending) {
    return descending ? 0xFF : 0x00;
}

/* Bytes of a fixed-width part; 0 for strings. */
static size_t part_width(enum lam_type type) {
    return type == LAM_TYPE_BOOLEAN ? 1 : coltype_width(type);
}

/* --- out --- */

static void put_be(uint8_t *out, uint64_t v, size_t width) {
    for (size_t i = width; i > 0; i--, v >>= 8)
        out[i - 1] = (uint8_t)v;
}

static void flip_i64(uint8_t *out, int64_t v, size_t width) {
    put_be(out, (uint64_t)v, width);
    out[0] ^= 0x80;
}

/* Positive numbers get their sign bit set, negative ones are inverted: larger magnitudes first. */
static uint64_t order_bits(uint64_t bits, unsigned width) {
    uint64_t sign = UINT64_C(1) << (width - 1);
    return bits & sign ? ~bits : bits | sign;
}

static void put_f64(uint8_t *out, double v, bool single) {
    if (isnan(v))
        v = (double)NAN;
    if (v == 0)
        v = 0; /* -0 too */
    if (single) {
        float f = (float)v;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        if (isnan(f))
            bits = UINT32_C(0x7FC00000);
        put_be(out, order_bits(bits, 32), 4);
        return;
    }
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (isnan(v))
        bits = UINT64_C(0x7FF8000000000000);
    put_be(out, order_bits(bits, 64), 8);
}

static void put_fixed(uint8_t *out, const struct value *v) {
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        out[0] = v->as.boolean;
        return;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        put_f64(out, v->as.f64, v->type.type == LAM_TYPE_FLOAT);
        return;
    case LAM_TYPE_DECIMAL:
        flip_i64(out, (int64_t)(v->as.i128 >> 64), 8);
        put_be64(out + 8, (uint64_t)v->as.i128);
        return;
    case LAM_TYPE_UUID:
        memcpy(out, v->as.uuid, 16);
        return;
    default:
        flip_i64(out, v->as.i64, coltype_width(v->type.type));
    }
}

static uint8_t *put_run(uint8_t *out, const uint8_t *run, size_t size, uint8_t mask) {
    if (size == 0)
        return out;
    if (!mask) {
        memcpy(out, run, size);
        return out + size;
    }
    for (size_t i = 0; i < size; i++)
        out[i] = run[i] ^ mask;
    return out + size;
}

static enum lam_code put_string(struct buf *out, struct lam_slice v, uint8_t mask,
                                struct lam_error *err) {
    size_t zeros = 0, size;
    for (size_t i = 0; i < v.size; i++)
        zeros += v.data[i] == ESCAPE;
    if (!size_add(v.size, zeros, &size) || !size_add(size, 2, &size))
        return mem_fail(err, v.size);
    TRY(buf_reserve(out, size, err));
    uint8_t *to = out->data + out->size;
    const uint8_t *at = v.data;
    for (; zeros > 0; zeros--) {
        const uint8_t *zero = memchr(at, ESCAPE, (size_t)(v.data + v.size - at));
        to = put_run(to, at, (size_t)(zero - at), mask);
        *to++ = ESCAPE ^ mask;
        *to++ = ESCAPED ^ mask;
        at = zero + 1;
    }
    if (v.size)
        to = put_run(to, at, (size_t)(v.data + v.size - at), mask);
    *to++ = ESCAPE ^ mask;
    *to++ = END_MARK ^ mask;
    LAM_ASSERT((size_t)(to - out->data) == out->size + size);
    out->size += size;
    return LAM_OK;
}

enum lam_code key_put_value(struct buf *out, const struct value *v, bool nullable, bool descending,
                            struct lam_error *err) {
    LAM_ASSERT(nullable || !v->is_null);
    uint8_t mask = mask_of(descending);
    if (nullable)
        TRY(buf_append_u8(out, (v->is_null ? NULL_LAST : PRESENT) ^ mask, err));
    if (v->is_null)
        return LAM_OK;
    enum lam_code rc;
    if (coltype_is_variable(v->type.type)) {
        rc = put_string(out, v->as.bytes, mask, err);
    } else {
        uint8_t bytes[16];
        size_t width = part_width(v->type.type);
        put_fixed(bytes, v);
        for (size_t i = 0; mask && i < width; i++)
            bytes[i] ^= mask;
        rc = buf_append(out, bytes, width, err);
    }
    if (rc != LAM_OK && nullable)
        out->size--; /* as it was */
    return rc;
}

enum lam_code key_put_u64(struct buf *out, uint64_t v, struct lam_error *err) {
    uint8_t bytes[8];
    put_be64(bytes, v);
    return buf_append(out, bytes, sizeof bytes, err);
}

enum lam_code key_put_u32(struct buf *out, uint32_t v, struct lam_error *err) {
    uint8_t bytes[4];
    put_be32(bytes, v);
    return buf_append(out, bytes, sizeof bytes, err);
}

enum lam_code key_put_string(struct buf *out, struct lam_slice v, struct lam_error *err) {
    return put_string(out, v, 0, err);
}

void key_prefix_end(struct buf *key) {
    while (key->size > 0 && key->data[key->size - 1] == 0xFF)
        key->size--;
    if (key->size > 0)
        key->data[key->size - 1]++;
}

/* --- in --- */

static enum lam_code corrupt(const struct cursor *c, struct lam_error *err, const char *what) {
    return ERR(err, LAM_CORRUPT, "key: %s at byte %zu of %zu", what, cursor_offset(c),
               (size_t)(c->end - c->start));
}

static uint64_t get_be(const uint8_t *p, size_t width) {
    uint64_t v = 0;
    for (size_t i = 0; i < width; i++)
        v = v << 8 | p[i];
    return v;
}

/* Sign flipped back and extended. */
static int64_t get_i64(const uint8_t *p, size_t width) {
    unsigned unused = 64 - 8 * (unsigned)width;
    uint64_t v = get_be(p, width) ^ UINT64_C(1) << (8 * width - 1);
    return (int64_t)(v << unused) >> unused;
}

/* False for forms that are never written: another NaN, -0. */
static bool get_f64(const uint8_t *p, bool single, double *out) {
    unsigned width = single ? 32 : 64;
    uint64_t ordered = get_be(p, width / 8), sign = UINT64_C(1) << (width - 1);
    uint64_t bits = ordered & sign ? ordered ^ sign : ~ordered;
    if (single) {
        uint32_t narrow = (uint32_t)bits;
        float f;
        memcpy(&f, &narrow, sizeof f);
        *out = (double)f;
        return narrow != UINT32_C(0x80000000) && (!isnan(f) || narrow == UINT32_C(0x7FC00000));
    }
    memcpy(out, &bits, sizeof *out);
    return bits != sign && (!isnan(*out) || bits == UINT64_C(0x7FF8000000000000));
}

static bool get_fixed(const uint8_t *p, struct value *out) {
    switch (out->type.type) {
    case LAM_TYPE_BOOLEAN:
        out->as.boolean = p[0] == 1;
        return p[0] <= 1;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return get_f64(p, out->type.type == LAM_TYPE_FLOAT, &out->as.f64);
    case LAM_TYPE_DECIMAL: {
        unsigned precision = out->type.precision;
        out->as.i128 = (int128)((unsigned __int128)(uint64_t)get_i64(p, 8) << 64 | get_be64(p + 8));
        return decimal_fits(out->as.i128, precision ? precision : DECIMAL_PRECISION_MAX);
    }
    case LAM_TYPE_UUID:
        memcpy(out->as.uuid, p, 16);
        return true;
    default:
        out->as.i64 = get_i64(p, coltype_width(out->type.type));
        return true;
    }
}

/* Moves over an escaped string; its bytes with escapes but without the end, and how many escapes
 * there are. */
static enum lam_code scan_string(struct cursor *c, uint8_t mask, struct lam_slice *raw_out,
                                 size_t *escapes_out, struct lam_error *err) {
    const uint8_t *start = c->at, zero = ESCAPE ^ mask;
    *escapes_out = 0;
    for (;;) {
        const uint8_t *at = cursor_left(c) ? memchr(c->at, zero, cursor_left(c)) : NULL;
        if (!at || c->end - at < 2)
            return corrupt(c, err, "string has no end");
        c->at = at + 2;
        uint8_t next = at[1] ^ mask;
        if (next == END_MARK) {
            *raw_out = lam_slice_of(start, (size_t)(at - start));
            return LAM_OK;
        }
        if (next != ESCAPED)
            return corrupt(c, err, "bad escape");
        ++*escapes_out;
    }
}

static enum lam_code get_string(struct cursor *c, uint8_t mask, struct arena *arena,
                                struct lam_slice *out, struct lam_error *err) {
    struct lam_slice raw = {0};
    size_t escapes = 0;
    TRY(scan_string(c, mask, &raw, &escapes, err));
    if (raw.size == 0) {
        *out = lam_slice_of("", 0);
        return LAM_OK;
    }
    size_t size = raw.size - escapes, n = 0;
    uint8_t *bytes = arena_alloc(arena, size);
    if (!bytes)
        return mem_fail(err, size);
    for (size_t i = 0; i < raw.size; i++) {
        bytes[n] = raw.data[i] ^ mask;
        i += bytes[n++] == ESCAPE;
    }
    LAM_ASSERT(n == size);
    *out = lam_slice_of(bytes, size);
    return LAM_OK;
}

/* The null marker, if the part has one. */
static enum lam_code get_marker(struct cursor *c, bool nullable, uint8_t mask, bool *is_null_out,
                                struct lam_error *err) {
    *is_null_out = false;
    if (!nullable)
        return LAM_OK;
    uint8_t marker = cursor_u8(c) ^ mask;
    if (c->failed)
        return corrupt(c, err, "part is cut");
    *is_null_out = marker == NULL_LAST;
    return marker == PRESENT || marker == NULL_LAST ? LAM_OK : corrupt(c, err, "bad null marker");
}

enum lam_code key_get_value(struct cursor *c, struct coltype type, bool nullable, bool descending,
                            struct arena *arena, struct value *out, struct lam_error *err) {
    LAM_ASSERT(type.type != LAM_TYPE_NULL);
    uint8_t mask = mask_of(descending);
    struct value v = {.type = type};
    TRY(get_marker(c, nullable, mask, &v.is_null, err));
    if (v.is_null) {
        *out = v;
        return LAM_OK;
    }
    if (coltype_is_variable(type.type)) {
        TRY(get_string(c, mask, arena, &v.as.bytes, err));
    } else {
        uint8_t bytes[16];
        struct lam_slice part = cursor_bytes(c, part_width(type.type));
        if (c->failed)
            return corrupt(c, err, "part is cut");
        for (size_t i = 0; i < part.size; i++)
            bytes[i] = part.data[i] ^ mask;
        if (!get_fixed(bytes, &v))
            return corrupt(c, err, "value that is never written");
    }
    *out = v;
    return LAM_OK;
}

enum lam_code key_get_u64(struct cursor *c, uint64_t *out, struct lam_error *err) {
    struct lam_slice part = cursor_bytes(c, 8);
    if (c->failed)
        return corrupt(c, err, "part is cut");
    *out = get_be64(part.data);
    return LAM_OK;
}

enum lam_code key_get_u32(struct cursor *c, uint32_t *out, struct lam_error *err) {
    struct lam_slice part = cursor_bytes(c, 4);
    if (c->failed)
        return corrupt(c, err, "part is cut");
    *out = get_be32(part.data);
    return LAM_OK;
}

enum lam_code key_get_string(struct cursor *c, struct arena *arena, struct lam_slice *out,
                             struct lam_error *err) {
    return get_string(c, 0, arena, out, err);
}
