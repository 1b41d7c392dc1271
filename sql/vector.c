/* SPDX-License-Identifier: Apache-2.0
 *
 * Operand vectors and result columns: reading in row order, nulls, truth values. */
#include "base/assert.h"
#include "sql/kern.h"

void *kern_alloc(struct evaluator *e, size_t count, size_t size, struct lam_error *err) {
    void *p = arena_calloc(&e->arena, count ? count : 1, size);
    if (!p)
        IGNORE(mem_fail(err, count * size), "the caller returns LAM_NO_MEMORY");
    return p;
}

#define GATHER(T)                                                                                  \
    for (uint32_t i = 0; i < count; i++)                                                           \
        memcpy(to + (size_t)i * sizeof(T), from + (size_t)v->map[i] * sizeof(T), sizeof(T));       \
    break

static void gather_fixed(const struct vec *v, size_t width, uint32_t count, uint8_t *to) {
    const uint8_t *from = v->col->data;
    switch (width) {
    case 2:
        GATHER(uint16_t);
    case 4:
        GATHER(uint32_t);
    case 8:
        GATHER(uint64_t);
    default:
        LAM_ASSERT(width == 16);
        GATHER(int128);
    }
}

enum lam_code vec_fixed(struct evaluator *e, const struct vec *v, size_t width, uint32_t count,
                        const void **out, struct lam_error *err) {
    *out = v->col->data;
    if (!v->map || v->constant)
        return LAM_OK;
    uint8_t *to = kern_alloc(e, count, width, err);
    if (!to)
        return LAM_NO_MEMORY;
    gather_fixed(v, width, count, to);
    *out = to;
    return LAM_OK;
}

static size_t bit_bytes(uint32_t rows) {
    return ((size_t)rows + 7) / 8;
}

enum lam_code vec_validity(struct evaluator *e, const struct vec *const *vecs, unsigned n,
                           uint32_t count, uint8_t **out, struct lam_error *err) {
    uint8_t *bits = NULL;
    size_t bytes = bit_bytes(count);
    *out = NULL;
    for (unsigned k = 0; k < n; k++) {
        const struct vec *v = vecs[k];
        if (v->col->null_count == 0 || (v->constant && !column_is_null(v->col, 0)))
            continue;
        if (!bits) {
            bits = kern_alloc(e, bytes + 8, 1, err);
            if (!bits)
                return LAM_NO_MEMORY;
            memset(bits, 0xFF, bytes);
        }
        if (v->constant) {
            memset(bits, 0, bytes);
        } else if (!v->map) {
            for (size_t i = 0; i < bytes; i++)
                bits[i] &= v->col->validity[i];
        } else {
            for (uint32_t i = 0; i < count; i++)
                if (!bitmap_get(v->col->validity, v->map[i]))
                    bitmap_clear(bits, i);
        }
    }
    if (bits && (count & 7)) /* bits past the last row are zero */
        bits[bytes - 1] &= (uint8_t)((1u << (count & 7)) - 1);
    *out = bits;
    return LAM_OK;
}

enum lam_code vec_read_tri(const struct vec *v, uint32_t count, uint8_t *tri) {
    const struct column *c = v->col;
    LAM_ASSERT(c->type.type == LAM_TYPE_BOOLEAN);
    if (v->constant) {
        memset(tri, column_is_null(c, 0) ? TRI_NULL : column_bool(c, 0), count);
        return LAM_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = v->map ? v->map[i] : i;
        tri[i] = bitmap_get(c->data, row);
    }
    if (c->null_count)
        for (uint32_t i = 0; i < count; i++)
            if (column_is_null(c, v->map ? v->map[i] : i))
                tri[i] = TRI_NULL;
    return LAM_OK;
}

static enum lam_code grow_bits(uint8_t **bits, size_t *capacity, uint32_t rows,
                               struct lam_error *err) {
    size_t before = *capacity;
    if (bit_bytes(rows) <= before)
        return LAM_OK;
    TRY(MEM_GROW(bits, capacity, bit_bytes(rows), err));
    memset(*bits + before, 0, *capacity - before);
    return LAM_OK;
}

static void set_first_bits(uint8_t *bits, uint32_t count) {
    memset(bits, 0xFF, count / 8);
    if (count & 7)
        bits[count / 8] = (uint8_t)((1u << (count & 7)) - 1);
}

enum lam_code column_shape(struct column *out, struct coltype type, uint32_t rows,
                           struct lam_error *err) {
    size_t width = coltype_width(type.type);
    LAM_ASSERT(!coltype_is_variable(type.type));
    column_reset(out);
    out->type = type;
    if (type.type == LAM_TYPE_BOOLEAN)
        TRY(grow_bits(&out->data, &out->data_capacity, rows, err));
    else if (rows * width > out->data_capacity)
        TRY(MEM_GROW(&out->data, &out->data_capacity, rows * width, err));
    out->rows = rows;
    if (out->validity) {
        TRY(grow_bits(&out->validity, &out->validity_capacity, rows, err));
        set_first_bits(out->validity, rows);
    }
    return LAM_OK;
}

static void zero_under(struct column *c, uint32_t row) {
    size_t width = coltype_width(c->type.type);
    if (c->type.type == LAM_TYPE_BOOLEAN)
        bitmap_clear(c->data, row);
    else
        memset(c->data + row * width, 0, width);
}

enum lam_code column_set_validity(struct column *out, const uint8_t *bits, struct lam_error *err) {
    if (!bits)
        return LAM_OK;
    TRY(grow_bits(&out->validity, &out->validity_capacity, out->rows, err));
    if (out->rows)
        memcpy(out->validity, bits, bit_bytes(out->rows));
    out->null_count = out->rows - (uint32_t)bitmap_count(out->validity, out->rows);
    if (out->null_count)
        for (uint32_t i = 0; i < out->rows; i++)
            if (!bitmap_get(out->validity, i))
                zero_under(out, i);
    return LAM_OK;
}

/* Eight truth bytes of 0 and 1 as bits. */
static uint8_t pack8(const uint8_t *bytes) {
    return (uint8_t)((get_le64(bytes) * 0x0102040810204080ull) >> 56);
}

enum lam_code column_from_tri(struct column *out, const uint8_t *tri, uint32_t count,
                              struct lam_error *err) {
    uint8_t any = 0;
    uint32_t i = 0;
    TRY(column_shape(out, coltype_of(LAM_TYPE_BOOLEAN), count, err));
    for (uint32_t k = 0; k < count; k++)
        any |= tri[k];
    if (!(any & TRI_NULL)) {
        for (; i + 8 <= count; i += 8)
            out->data[i / 8] = pack8(tri + i);
        for (; i < count; i++)
            if (tri[i])
                bitmap_set(out->data, i);
        return LAM_OK;
    }
    TRY(grow_bits(&out->validity, &out->validity_capacity, count, err));
    set_first_bits(out->validity, count);
    for (; i < count; i++) {
        if (tri[i] == TRI_NULL) {
            bitmap_clear(out->validity, i);
            out->null_count++;
        } else if (tri[i]) {
            bitmap_set(out->data, i);
        }
    }
    return LAM_OK;
}

enum lam_code column_copy_row(struct column *out, const struct column *from, uint32_t row,
                              struct lam_error *err) {
    if (column_is_null(from, row))
        return column_append_null(out, err);
    switch (out->type.type) {
    case LAM_TYPE_BOOLEAN:
        return column_append_bool(out, column_bool(from, row), err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return column_append_f64(out, column_f64(from, row), err);
    case LAM_TYPE_DECIMAL:
        return column_append_i128(out, column_i128(from, row), err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
    case LAM_TYPE_UUID:
        return column_append_bytes(out, column_bytes(from, row), err);
    case LAM_TYPE_NULL:
        return column_append_null(out, err);
    default:
        return column_append_i64(out, column_i64(from, row), err);
    }
}

enum lam_code vec_gather(const struct vec *v, uint32_t count, struct column *out,
                         struct lam_error *err) {
    struct coltype type = v->col->type;
    column_reset(out);
    out->type = type;
    if (type.type != LAM_TYPE_BOOLEAN && !coltype_is_variable(type.type) && v->map &&
        !v->constant && v->col->null_count == 0 && type.type != LAM_TYPE_NULL) {
        TRY(column_shape(out, type, count, err));
        gather_fixed(v, coltype_width(type.type), count, out->data);
        return LAM_OK;
    }
    for (uint32_t i = 0; i < count; i++)
        TRY(column_copy_row(out, v->col, vec_row(v, i), err));
    return LAM_OK;
}
