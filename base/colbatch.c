/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns in Arrow layout. The validity bitmap is made at the first null and kept from then on;
 * bits of `data` (BOOLEAN) and of validity past the last row are zero, so appending a zero bit is
 * only counting. An append makes all its room first and changes the column only when nothing can
 * fail any more. */
#include "base/colbatch.h"

#include "base/assert.h"
#include "base/mem.h"

size_t coltype_width(enum lam_type type) {
    switch (type) {
    case LAM_TYPE_SMALLINT:
        return 2;
    case LAM_TYPE_INT:
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DATE:
        return 4;
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_DOUBLE:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_TIME:
        return 8;
    case LAM_TYPE_DECIMAL:
    case LAM_TYPE_UUID:
        return 16;
    case LAM_TYPE_NULL:
    case LAM_TYPE_BOOLEAN:
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return 0;
    }
    UNREACHABLE();
}

bool coltype_is_variable(enum lam_type type) {
    return type == LAM_TYPE_TEXT || type == LAM_TYPE_BYTES || type == LAM_TYPE_JSON;
}

size_t bitmap_count(const uint8_t *bits, size_t n) {
    size_t count = 0, at = 0;
    for (; n - at * 8 >= 64; at += 8)
        count += (size_t)__builtin_popcountll(get_le64(bits + at));
    for (size_t i = at * 8; i < n; i++)
        count += bitmap_get(bits, i);
    return count;
}

void column_init(struct column *c, struct coltype type) {
    *c = (struct column){.type = type};
}

void column_fini(struct column *c) {
    mem_free(c->validity);
    mem_free(c->data);
    mem_free(c->offsets);
    *c = (struct column){.type = c->type};
}

void column_reset(struct column *c) {
    /* Appends rely on zero bits past the last row. */
    if (c->type.type == LAM_TYPE_BOOLEAN && c->data)
        memset(c->data, 0, c->data_capacity);
    if (c->validity)
        memset(c->validity, 0, c->validity_capacity);
    c->rows = 0;
    c->null_count = 0;
}

static size_t bitmap_bytes(size_t rows) {
    return (rows + 7) / 8;
}

/* Makes room for bits [0, rows), zero where the bitmap grows. */
static enum lam_code grow_bits(uint8_t **bits, size_t *capacity, size_t rows,
                               struct lam_error *err) {
    size_t before = *capacity;
    if (bitmap_bytes(rows) <= before)
        return LAM_OK;
    TRY(MEM_GROW(bits, capacity, bitmap_bytes(rows), err));
    memset(*bits + before, 0, *capacity - before);
    return LAM_OK;
}

static void set_bits(uint8_t *bits, size_t from, size_t to) {
    for (; from < to && (from & 7) != 0; from++)
        bitmap_set(bits, from);
    if (from < to) {
        memset(bits + from / 8, 0xFF, (to - from) / 8);
        for (from += (to - from) / 8 * 8; from < to; from++)
            bitmap_set(bits, from);
    }
}

/* Room in the validity bitmap for `rows` rows, made on the way to the first null. */
static enum lam_code start_validity(struct column *c, size_t rows, struct lam_error *err) {
    bool fresh = !c->validity;
    TRY(grow_bits(&c->validity, &c->validity_capacity, rows, err));
    if (fresh)
        set_bits(c->validity, 0, c->rows);
    return LAM_OK;
}

static inline enum lam_code reserve_data(struct column *c, size_t bytes, struct lam_error *err) {
    if (__builtin_expect(bytes <= c->data_capacity, 1))
        return LAM_OK;
    return MEM_GROW(&c->data, &c->data_capacity, bytes, err);
}

static enum lam_code reserve_offsets(struct column *c, size_t rows, struct lam_error *err) {
    if (__builtin_expect(rows + 1 <= c->offsets_capacity, 1))
        return LAM_OK;
    bool fresh = !c->offsets;
    TRY(MEM_GROW(&c->offsets, &c->offsets_capacity, rows + 1, err));
    if (fresh)
        c->offsets[0] = 0;
    return LAM_OK;
}

static enum lam_code row_limit(const struct column *c, size_t extra, struct lam_error *err) {
    if (__builtin_expect(extra > UINT32_MAX - (size_t)c->rows, 0))
        return ERR(err, LAM_LIMIT, "column of %u rows can't take %zu more", c->rows, extra);
    return LAM_OK;
}

/* Room for `extra` rows whose values take `var_bytes` of variable data. */
static inline enum lam_code reserve_rows(struct column *c, size_t extra, size_t var_bytes,
                                         struct lam_error *err) {
    TRY(row_limit(c, extra, err));
    size_t rows = (size_t)c->rows + extra;
    if (c->validity)
        TRY(grow_bits(&c->validity, &c->validity_capacity, rows, err));
    if (c->type.type == LAM_TYPE_BOOLEAN)
        return grow_bits(&c->data, &c->data_capacity, rows, err);
    if (!coltype_is_variable(c->type.type))
        return reserve_data(c, rows * coltype_width(c->type.type), err);
    size_t used = column_var_bytes(c);
    if (var_bytes > (size_t)INT32_MAX - used)
        return ERR(err, LAM_LIMIT, "column of %zu variable bytes can't take %zu more (at most %d)",
                   used, var_bytes, INT32_MAX);
    /* One byte at least: readers may do arithmetic on `data` of an empty string. */
    TRY(reserve_data(c, used + var_bytes + !c->data, err));
    return reserve_offsets(c, rows, err);
}

enum lam_code column_reserve(struct column *c, size_t extra, bool nulls, struct lam_error *err) {
    TRY(reserve_rows(c, extra, 0, err));
    return nulls ? start_validity(c, (size_t)c->rows + extra, err) : LAM_OK;
}

/* Counts a present row whose value is in place. */
static inline void count_present(struct column *c) {
    if (c->validity)
        bitmap_set(c->validity, c->rows);
    c->rows++;
}

enum lam_code column_append_null(struct column *c, struct lam_error *err) {
    TRY(row_limit(c, 1, err));
    size_t width = coltype_width(c->type.type);
    TRY(reserve_rows(c, 1, 0, err));
    TRY(start_validity(c, (size_t)c->rows + 1, err));
    if (width)
        memset(c->data + (size_t)c->rows * width, 0, width);
    if (coltype_is_variable(c->type.type))
        c->offsets[c->rows + 1] = c->offsets[c->rows];
    c->rows++;
    c->null_count++;
    return LAM_OK;
}

enum lam_code column_append_bool(struct column *c, bool v, struct lam_error *err) {
    DEBUG_ASSERT(c->type.type == LAM_TYPE_BOOLEAN);
    TRY(reserve_rows(c, 1, 0, err));
    if (v)
        bitmap_set(c->data, c->rows);
    count_present(c);
    return LAM_OK;
}

/* Puts `v`, which fits, into row `row`. */
static void store_i64(struct column *c, size_t row, int64_t v) {
    switch (coltype_width(c->type.type)) {
    case 2:
        LAM_ASSERT(v >= INT16_MIN && v <= INT16_MAX);
        put_le16(c->data + row * 2, (uint16_t)v);
        return;
    case 4:
        LAM_ASSERT(v >= INT32_MIN && v <= INT32_MAX);
        put_le32(c->data + row * 4, (uint32_t)v);
        return;
    default:
        put_le64(c->data + row * 8, (uint64_t)v);
    }
}

static bool is_integral(enum lam_type type) {
    return type == LAM_TYPE_SMALLINT || type == LAM_TYPE_INT || type == LAM_TYPE_BIGINT ||
           type == LAM_TYPE_TIMESTAMP || type == LAM_TYPE_DATE || type == LAM_TYPE_TIME;
}

enum lam_code column_append_i64(struct column *c, int64_t v, struct lam_error *err) {
    LAM_ASSERT(is_integral(c->type.type));
    TRY(reserve_rows(c, 1, 0, err));
    store_i64(c, c->rows, v);
    count_present(c);
    return LAM_OK;
}

enum lam_code column_append_f64(struct column *c, double v, struct lam_error *err) {
    LAM_ASSERT(c->type.type == LAM_TYPE_DOUBLE || c->type.type == LAM_TYPE_FLOAT);
    TRY(reserve_rows(c, 1, 0, err));
    if (c->type.type == LAM_TYPE_DOUBLE) {
        memcpy(c->data + (size_t)c->rows * sizeof v, &v, sizeof v);
    } else {
        float narrow = (float)v;
        memcpy(c->data + (size_t)c->rows * sizeof narrow, &narrow, sizeof narrow);
    }
    count_present(c);
    return LAM_OK;
}

enum lam_code column_append_i128(struct column *c, int128 v, struct lam_error *err) {
    LAM_ASSERT(c->type.type == LAM_TYPE_DECIMAL);
    TRY(reserve_rows(c, 1, 0, err));
    memcpy(c->data + (size_t)c->rows * sizeof v, &v, sizeof v);
    count_present(c);
    return LAM_OK;
}

enum lam_code column_append_bytes(struct column *c, struct lam_slice v, struct lam_error *err) {
    if (c->type.type == LAM_TYPE_UUID) {
        LAM_ASSERT(v.size == 16);
        TRY(reserve_rows(c, 1, 0, err));
        memcpy(c->data + (size_t)c->rows * 16, v.data, 16);
        count_present(c);
        return LAM_OK;
    }
    LAM_ASSERT(coltype_is_variable(c->type.type));
    TRY(reserve_rows(c, 1, v.size, err));
    int32_t at = c->offsets[c->rows];
    if (v.size)
        memcpy(c->data + at, v.data, v.size);
    c->offsets[c->rows + 1] = at + (int32_t)v.size;
    count_present(c);
    return LAM_OK;
}

enum lam_code column_append_row(struct column *c, const struct column *from, uint32_t row,
                                struct lam_error *err) {
    return column_append_rows(c, from, &row, 1, err);
}

static inline uint32_t source_row(const uint32_t *sel, uint32_t i) {
    return sel ? sel[i] : i;
}

/* Values of `width` bytes from `from` to the end of `c`, which has room. */
static inline __attribute__((always_inline)) void gather(struct column *c,
                                                         const struct column *from,
                                                         const uint32_t *sel, uint32_t count,
                                                         size_t width) {
    uint8_t *out = c->data + (size_t)c->rows * width;
    for (uint32_t i = 0; i < count; i++, out += width)
        memcpy(out, from->data + (size_t)sel[i] * width, width);
}

/* Constant widths make each copy one move. */
static void append_fixed(struct column *c, const struct column *from, const uint32_t *sel,
                         uint32_t count) {
    size_t width = coltype_width(c->type.type);
    if (!sel) {
        memcpy(c->data + (size_t)c->rows * width, from->data, (size_t)count * width);
        return;
    }
    switch (width) {
    case 2:
        gather(c, from, sel, count, 2);
        return;
    case 4:
        gather(c, from, sel, count, 4);
        return;
    case 8:
        gather(c, from, sel, count, 8);
        return;
    default:
        DEBUG_ASSERT(width == 16);
        gather(c, from, sel, count, 16);
    }
}

static void append_bits(uint8_t *bits, size_t at, const uint8_t *from, const uint32_t *sel,
                        uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (bitmap_get(from, source_row(sel, i)))
            bitmap_set(bits, at + i);
}

static void append_variable(struct column *c, const struct column *from, const uint32_t *sel,
                            uint32_t count) {
    int32_t *offsets = c->offsets + c->rows;
    int32_t at = offsets[0];
    if (!sel) {
        int32_t base = from->offsets[0];
        int32_t bytes = from->offsets[count] - base;
        if (bytes > 0)
            memcpy(c->data + at, from->data + base, (size_t)bytes);
        for (uint32_t i = 1; i <= count; i++)
            offsets[i] = at + (from->offsets[i] - base);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        int32_t start = from->offsets[sel[i]];
        int32_t size = from->offsets[sel[i] + 1] - start;
        if (size > 0)
            memcpy(c->data + at, from->data + start, (size_t)size);
        at += size;
        offsets[i + 1] = at;
    }
}

static size_t selected_bytes(const struct column *from, const uint32_t *sel, uint32_t count) {
    if (!sel)
        return (size_t)(from->offsets[count] - from->offsets[0]);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += (size_t)(from->offsets[sel[i] + 1] - from->offsets[sel[i]]);
    return bytes;
}

static uint32_t selected_nulls(const struct column *from, const uint32_t *sel, uint32_t count) {
    if (from->null_count == 0)
        return 0;
    if (!sel)
        return count - (uint32_t)bitmap_count(from->validity, count);
    uint32_t nulls = 0;
    for (uint32_t i = 0; i < count; i++)
        nulls += !bitmap_get(from->validity, sel[i]);
    return nulls;
}

static void append_validity(struct column *c, const struct column *from, const uint32_t *sel,
                            uint32_t count, uint32_t nulls) {
    if (!c->validity)
        return;
    if (nulls == 0)
        set_bits(c->validity, c->rows, (size_t)c->rows + count);
    else
        append_bits(c->validity, c->rows, from->validity, sel, count);
}

enum lam_code column_append_rows(struct column *c, const struct column *from, const uint32_t *sel,
                                 uint32_t count, struct lam_error *err) {
    LAM_ASSERT(c->type.type == from->type.type && c != from);
    LAM_ASSERT(sel || count <= from->rows);
    if (count == 0)
        return LAM_OK;
    bool variable = coltype_is_variable(c->type.type);
    uint32_t nulls = selected_nulls(from, sel, count);
    TRY(reserve_rows(c, count, variable ? selected_bytes(from, sel, count) : 0, err));
    if (nulls > 0)
        TRY(start_validity(c, (size_t)c->rows + count, err));
    if (variable)
        append_variable(c, from, sel, count);
    else if (c->type.type == LAM_TYPE_BOOLEAN)
        append_bits(c->data, c->rows, from->data, sel, count);
    else if (coltype_width(c->type.type) > 0)
        append_fixed(c, from, sel, count);
    append_validity(c, from, sel, count, nulls);
    c->rows += count;
    c->null_count += nulls;
    DEBUG_ASSERT(c->null_count <= c->rows);
    return LAM_OK;
}

int64_t column_i64(const struct column *c, uint32_t row) {
    DEBUG_ASSERT(is_integral(c->type.type) && row < c->rows);
    switch (coltype_width(c->type.type)) {
    case 2:
        return (int16_t)get_le16(c->data + (size_t)row * 2);
    case 4:
        return (int32_t)get_le32(c->data + (size_t)row * 4);
    default:
        return (int64_t)get_le64(c->data + (size_t)row * 8);
    }
}

double column_f64(const struct column *c, uint32_t row) {
    DEBUG_ASSERT(c->type.type == LAM_TYPE_DOUBLE || c->type.type == LAM_TYPE_FLOAT);
    if (c->type.type == LAM_TYPE_DOUBLE) {
        double v;
        memcpy(&v, c->data + (size_t)row * sizeof v, sizeof v);
        return v;
    }
    float v;
    memcpy(&v, c->data + (size_t)row * sizeof v, sizeof v);
    return v;
}

enum lam_code colbatch_init(struct colbatch *b, const struct coltype *types, uint32_t count,
                            struct lam_error *err) {
    *b = (struct colbatch){0};
    if (count == 0)
        return LAM_OK;
    b->columns = mem_calloc(count, sizeof *b->columns);
    if (!b->columns)
        return mem_fail(err, count * sizeof *b->columns);
    b->column_count = count;
    for (uint32_t i = 0; i < count; i++)
        column_init(&b->columns[i], types[i]);
    return LAM_OK;
}

void colbatch_fini(struct colbatch *b) {
    for (uint32_t i = 0; i < b->column_count; i++)
        column_fini(&b->columns[i]);
    mem_free(b->columns);
    *b = (struct colbatch){0};
}

void colbatch_reset(struct colbatch *b) {
    for (uint32_t i = 0; i < b->column_count; i++)
        column_reset(&b->columns[i]);
    b->rows = 0;
}

bool colbatch_is_full(const struct colbatch *b) {
    if (b->rows >= COLBATCH_ROWS)
        return true;
    for (uint32_t i = 0; i < b->column_count; i++)
        if (column_var_bytes(&b->columns[i]) >= COLBATCH_BYTES)
            return true;
    return false;
}
