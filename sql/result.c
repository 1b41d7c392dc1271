/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of a statement's current row. */
#include "base/mem.h"
#include "sql/sql.h"

uint32_t lam_column_count(const lam_stmt *s) {
    return s ? s->column_count : 0;
}

const char *lam_column_name(const lam_stmt *s, uint32_t column) {
    return s && column < s->column_count ? s->columns[column].name : "";
}

enum lam_type lam_column_type(const lam_stmt *s, uint32_t column) {
    return s && column < s->column_count ? s->columns[column].type.type : LAM_TYPE_NULL;
}

/* The value, or a NULL where there is no row or column. */
static struct value current(const lam_stmt *s, uint32_t column) {
    if (!s || !s->batch || column >= s->column_count)
        return value_null(coltype_of(LAM_TYPE_NULL));
    uint32_t row = s->sel ? s->sel[s->row] : s->row;
    return column_value(&s->batch->columns[column], row);
}

bool lam_column_is_null(const lam_stmt *s, uint32_t column) {
    return current(s, column).is_null;
}

bool lam_column_bool(const lam_stmt *s, uint32_t column) {
    struct value v = current(s, column);
    if (v.is_null)
        return false;
    return v.type.type == LAM_TYPE_BOOLEAN ? v.as.boolean : lam_column_int64(s, column) != 0;
}

double lam_column_double(const lam_stmt *s, uint32_t column) {
    struct value v = current(s, column);
    if (v.is_null)
        return 0;
    if (coltype_is_float(v.type.type))
        return v.as.f64;
    if (v.type.type == LAM_TYPE_DECIMAL)
        return decimal_to_double(v.as.i128, v.type.scale);
    return (double)lam_column_int64(s, column);
}

static int64_t from_double(double d) {
    return d >= -9223372036854775808.0 && d < 9223372036854775808.0 ? (int64_t)d : 0;
}

int64_t lam_column_int64(const lam_stmt *s, uint32_t column) {
    struct value v = current(s, column);
    if (v.is_null || coltype_is_variable(v.type.type) || v.type.type == LAM_TYPE_UUID)
        return 0;
    if (v.type.type == LAM_TYPE_BOOLEAN)
        return v.as.boolean;
    if (coltype_is_float(v.type.type))
        return from_double(v.as.f64);
    if (v.type.type == LAM_TYPE_DECIMAL) {
        int128 whole = v.as.i128 / decimal_pow10(v.type.scale);
        return whole >= INT64_MIN && whole <= INT64_MAX ? (int64_t)whole : 0;
    }
    return v.as.i64;
}

static struct buf *text_buffer(lam_stmt *s, uint32_t column) {
    if (s->text_count < s->column_count) {
        struct buf *grown = mem_realloc(s->texts, s->column_count * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + s->text_count, 0, (s->column_count - s->text_count) * sizeof *grown);
        s->texts = grown;
        s->text_count = s->column_count;
    }
    return &s->texts[column];
}

struct lam_slice lam_column_text(lam_stmt *s, uint32_t column) {
    struct value v = current(s, column);
    if (v.is_null)
        return SLICE_EMPTY;
    if (v.type.type == LAM_TYPE_TEXT || v.type.type == LAM_TYPE_JSON)
        return v.as.bytes;
    struct buf *text = text_buffer(s, column);
    if (!text)
        return SLICE_EMPTY;
    buf_reset(text);
    if (value_format(&v, text, NULL) != LAM_OK)
        return SLICE_EMPTY;
    return buf_slice(text);
}

struct lam_slice lam_column_bytes(lam_stmt *s, uint32_t column) {
    struct value v = current(s, column);
    if (v.is_null)
        return SLICE_EMPTY;
    if (v.type.type == LAM_TYPE_UUID) {
        uint32_t row = s->sel ? s->sel[s->row] : s->row;
        return column_bytes(&s->batch->columns[column], row);
    }
    return coltype_is_variable(v.type.type) ? v.as.bytes : SLICE_EMPTY;
}
