/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing a column's non-null values, and PLAIN encoding. A column without nulls whose memory form
 * is already Parquet's is used in place. */
#include "flush/parquet/values.h"

#include "base/assert.h"

void pq_values_scratch_fini(struct pq_values_scratch *s) {
    buf_fini(&s->data);
    mem_free(s->offsets);
    *s = (struct pq_values_scratch){0};
}

static enum lam_code room_for(struct pq_values_scratch *s, size_t bytes, struct lam_error *err) {
    buf_reset(&s->data);
    TRY(buf_reserve(&s->data, bytes ? bytes : 1, err));
    s->data.size = bytes;
    return LAM_OK;
}

static inline void pack_fixed(const struct column *c, uint8_t *out, size_t width) {
    for (uint32_t row = 0; row < c->rows; row++) {
        if (column_is_null(c, row))
            continue;
        memcpy(out, c->data + (size_t)row * width, width);
        out += width;
    }
}

static enum lam_code take_fixed(const struct column *c, struct pq_values_scratch *s,
                                struct pq_values *out, struct lam_error *err) {
    out->data = c->data;
    if (c->null_count == 0)
        return LAM_OK;
    TRY(room_for(s, (size_t)out->count * out->width, err));
    if (out->width == 4)
        pack_fixed(c, s->data.data, 4);
    else if (out->width == 8)
        pack_fixed(c, s->data.data, 8);
    else
        pack_fixed(c, s->data.data, out->width);
    out->data = s->data.data;
    return LAM_OK;
}

static enum lam_code take_smallint(const struct column *c, struct pq_values_scratch *s,
                                   struct pq_values *out, struct lam_error *err) {
    TRY(room_for(s, (size_t)out->count * 4, err));
    uint8_t *p = s->data.data;
    for (uint32_t row = 0; row < c->rows; row++) {
        if (column_is_null(c, row))
            continue;
        put_le32(p, (uint32_t)(int16_t)get_le16(c->data + (size_t)row * 2));
        p += 4;
    }
    out->data = s->data.data;
    return LAM_OK;
}

static enum lam_code take_decimal(const struct column *c, const struct pq_leaf *leaf,
                                  struct pq_values_scratch *s, struct pq_values *out,
                                  struct lam_error *err) {
    int128 limit = pq_power_of_ten(leaf->precision);
    TRY(room_for(s, (size_t)out->count * out->width, err));
    uint8_t *p = s->data.data;
    for (uint32_t row = 0; row < c->rows; row++) {
        if (column_is_null(c, row))
            continue;
        int128 v = column_i128(c, row);
        if (!pq_decimal_fits(v, limit))
            return ERR(err, LAM_INVALID,
                       "Parquet field \"%s\": decimal with more than %u digits in row %u",
                       leaf->name, leaf->precision, row);
        if (leaf->physical == PQ_INT32)
            put_le32(p, (uint32_t)v);
        else if (leaf->physical == PQ_INT64)
            put_le64(p, (uint64_t)v);
        else
            pq_decimal_store(v, p, out->width);
        p += out->width;
    }
    out->data = s->data.data;
    return LAM_OK;
}

static enum lam_code take_bits(const struct column *c, struct pq_values_scratch *s,
                               struct pq_values *out, struct lam_error *err) {
    out->data = c->data;
    if (c->null_count == 0)
        return LAM_OK;
    TRY(room_for(s, ((size_t)out->count + 7) / 8, err));
    memset(s->data.data, 0, s->data.size);
    uint32_t at = 0;
    for (uint32_t row = 0; row < c->rows; row++) {
        if (column_is_null(c, row))
            continue;
        if (column_bool(c, row))
            bitmap_set(s->data.data, at);
        at++;
    }
    out->data = s->data.data;
    return LAM_OK;
}

/* Nulls are empty in the column's bytes, so only the offsets need packing. */
static enum lam_code take_variable(const struct column *c, struct pq_values_scratch *s,
                                   struct pq_values *out, struct lam_error *err) {
    static const int32_t none[1] = {0};
    out->data = c->data;
    out->offsets = c->rows ? c->offsets : none;
    if (c->null_count == 0)
        return LAM_OK;
    TRY(MEM_GROW(&s->offsets, &s->offsets_capacity, (size_t)out->count + 1, err));
    uint32_t at = 0;
    s->offsets[0] = 0;
    for (uint32_t row = 0; row < c->rows; row++) {
        if (!column_is_null(c, row))
            s->offsets[++at] = c->offsets[row + 1];
    }
    LAM_ASSERT(at == out->count);
    out->offsets = s->offsets;
    return LAM_OK;
}

enum lam_code pq_values_take(const struct column *c, const struct pq_leaf *leaf,
                             struct pq_values_scratch *s, struct pq_values *out,
                             struct lam_error *err) {
    *out = (struct pq_values){.count = c->rows - c->null_count, .width = pq_leaf_width(leaf)};
    if (c->type.type == LAM_TYPE_DECIMAL)
        return take_decimal(c, leaf, s, out, err);
    if (c->type.type == LAM_TYPE_SMALLINT)
        return take_smallint(c, s, out, err);
    if (leaf->physical == PQ_BOOLEAN)
        return take_bits(c, s, out, err);
    if (leaf->physical == PQ_BYTE_ARRAY)
        return take_variable(c, s, out, err);
    LAM_ASSERT(out->width == coltype_width(c->type.type));
    return take_fixed(c, s, out, err);
}

uint64_t pq_values_plain_size(const struct pq_values *v, uint32_t first, uint32_t count) {
    LAM_ASSERT(first <= v->count && count <= v->count - first);
    if (v->offsets)
        return (uint64_t)count * 4 + (uint64_t)(v->offsets[first + count] - v->offsets[first]);
    return v->width ? (uint64_t)count * v->width : ((uint64_t)count + 7) / 8;
}

static void plain_bits(const uint8_t *bits, uint32_t first, uint32_t count, uint8_t *out) {
    memset(out, 0, ((size_t)count + 7) / 8);
    for (uint32_t i = 0; i < count; i++)
        if (bitmap_get(bits, (size_t)first + i))
            bitmap_set(out, i);
}

static void plain_variable(const struct pq_values *v, uint32_t first, uint32_t count,
                           uint8_t *out) {
    for (uint32_t i = first; i < first + count; i++) {
        struct lam_slice s = pq_values_bytes(v, i);
        put_le32(out, (uint32_t)s.size);
        if (s.size)
            memcpy(out + 4, s.data, s.size);
        out += 4 + s.size;
    }
}

enum lam_code pq_values_plain(const struct pq_values *v, uint32_t first, uint32_t count,
                              struct buf *out, struct lam_error *err) {
    size_t size = (size_t)pq_values_plain_size(v, first, count);
    TRY(buf_reserve(out, size, err));
    uint8_t *p = out->data + out->size;
    if (v->offsets)
        plain_variable(v, first, count, p);
    else if (v->width == 0)
        plain_bits(v->data, first, count, p);
    else if (size)
        memcpy(p, v->data + (size_t)first * v->width, size);
    out->size += size;
    return LAM_OK;
}
