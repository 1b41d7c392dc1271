/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions that planners ask of bound expressions. */
#include "sql/bound_node.h"

#include <math.h>

#include "base/assert.h"

struct coltype bound_type(const struct bound *b) {
    return b->type;
}

bool bound_constant(const struct bound *b, struct value *out) {
    if (b->kind != BOUND_CONSTANT)
        return false;
    *out = b->constant;
    return true;
}

bool bound_is_constant(const struct bound *b) {
    return b->row_free && !b->reads_run;
}

bool bound_is_row_free(const struct bound *b) {
    return b->row_free;
}

bool bound_column(const struct bound *b, uint32_t *column_out) {
    if (b->kind != BOUND_COLUMN)
        return false;
    *column_out = b->index;
    return true;
}

/* Casts that keep order and lose nothing: what is asked of the cast can be asked of the column. */
static bool exact_cast(struct coltype from, struct coltype to) {
    if (coltype_is_integer(from.type) && coltype_is_integer(to.type))
        return to.type > from.type;
    if (coltype_is_integer(from.type) && to.type == LAM_TYPE_DECIMAL)
        return to.precision - to.scale >= decimal_of(from).precision;
    if (to.type == LAM_TYPE_DOUBLE)
        return from.type == LAM_TYPE_SMALLINT || from.type == LAM_TYPE_INT ||
               from.type == LAM_TYPE_FLOAT;
    return from.type == LAM_TYPE_DATE && to.type == LAM_TYPE_TIMESTAMP;
}

static bool column_under(const struct bound *b, uint32_t *column_out) {
    if (b->kind == BOUND_CAST && b->op != OP_TRY && exact_cast(b->args[0]->type, b->type))
        b = b->args[0];
    return bound_column(b, column_out);
}

bool bound_comparison(const struct bound *b, uint32_t *column_out, enum expr_op *op_out,
                      struct bound **other_out) {
    if (b->kind != BOUND_COMPARE)
        return false;
    for (int side = 0; side < 2; side++)
        if (b->args[1 - side]->row_free && column_under(b->args[side], column_out)) {
            *op_out = side == 0 ? b->op : expr_op_mirrored(b->op);
            *other_out = b->args[1 - side];
            return true;
        }
    return false;
}

enum lam_code bound_conjuncts(struct arena *arena, struct bound *b, struct bound ***parts_out,
                              uint32_t *count_out, struct lam_error *err) {
    bool several = b->kind == BOUND_AND;
    uint32_t count = several ? b->arg_count : 1;
    *parts_out = arena_calloc(arena, count, sizeof **parts_out);
    if (!*parts_out)
        return mem_fail(err, count * sizeof **parts_out);
    for (uint32_t i = 0; i < count; i++)
        (*parts_out)[i] = several ? b->args[i] : b;
    *count_out = count;
    return LAM_OK;
}

void bound_mark_columns(const struct bound *b, bool *used) {
    if (b->kind == BOUND_COLUMN)
        used[b->index] = true;
    for (uint32_t i = 0; i < b->arg_count; i++)
        bound_mark_columns(b->args[i], used);
}

enum lam_code bound_new_column(struct arena *arena, uint32_t index, struct coltype type,
                               struct bound **out, struct lam_error *err) {
    TRY(bound_new(arena, BOUND_COLUMN, type, 0, 0, out, err));
    (*out)->index = index;
    (*out)->row_free = false;
    return LAM_OK;
}

enum lam_code bound_new_constant(struct arena *arena, const struct value *v, struct bound **out,
                                 struct lam_error *err) {
    TRY(bound_new(arena, BOUND_CONSTANT, v->type, 0, 0, out, err));
    (*out)->constant = *v;
    return LAM_OK;
}

/* --- values as key columns hold them --- */

static bool integer_fits(enum lam_type type, int128 v) {
    switch (type) {
    case LAM_TYPE_SMALLINT:
        return v >= INT16_MIN && v <= INT16_MAX;
    case LAM_TYPE_INT:
        return v >= INT32_MIN && v <= INT32_MAX;
    default:
        return v >= INT64_MIN && v <= INT64_MAX;
    }
}

/* The value as a whole number, if it is one. */
static bool as_integer(const struct value *v, int128 *out) {
    if (coltype_is_integer(v->type.type)) {
        *out = v->as.i64;
        return true;
    }
    if (v->type.type == LAM_TYPE_DECIMAL) {
        int128 unit = decimal_pow10(v->type.scale);
        *out = v->as.i128 / unit;
        return v->as.i128 % unit == 0;
    }
    if (!coltype_is_float(v->type.type) || !(fabs(v->as.f64) < 9e15) ||
        v->as.f64 != floor(v->as.f64))
        return false;
    *out = (int128)v->as.f64;
    return true;
}

static bool as_decimal(const struct value *v, struct coltype type, int128 *out) {
    if (v->type.type == LAM_TYPE_DECIMAL) {
        int128 back;
        if (!decimal_rescale(v->as.i128, v->type.scale, type.scale, out) ||
            !decimal_rescale(*out, type.scale, v->type.scale, &back) || back != v->as.i128)
            return false;
    } else if (!coltype_is_integer(v->type.type) ||
               !decimal_rescale(v->as.i64, 0, type.scale, out)) {
        return false;
    }
    return decimal_fits(*out, type.precision);
}

#define DAY_US 86400000000ll

/* Converts without any change of meaning; false where that can't be. */
static bool convert_exactly(const struct value *v, struct coltype to, struct value *out) {
    int128 n;
    *out = *v;
    out->type = to;
    if (coltype_is_integer(to.type)) {
        if (!as_integer(v, &n) || !integer_fits(to.type, n))
            return false;
        out->as.i64 = (int64_t)n;
        return true;
    }
    switch (to.type) {
    case LAM_TYPE_DECIMAL:
        if (!as_decimal(v, to, &n))
            return false;
        out->as.i128 = n;
        return true;
    case LAM_TYPE_FLOAT:
        return coltype_is_float(v->type.type) && (double)(float)v->as.f64 == v->as.f64;
    case LAM_TYPE_DATE:
        if (v->type.type == LAM_TYPE_TIMESTAMP) {
            out->as.i64 = v->as.i64 / DAY_US;
            return v->as.i64 % DAY_US == 0;
        }
        return v->type.type == LAM_TYPE_DATE;
    default:
        return v->type.type == to.type;
    }
}

enum lam_code bound_key_value(struct run_context *run, const struct bound *other,
                              struct coltype column_type, bool *usable_out, struct value *out,
                              struct lam_error *err) {
    struct value v;
    TRY(bound_value(run, other, &v, err));
    if (v.is_null) {
        *out = value_null(column_type);
        *usable_out = true;
        return LAM_OK;
    }
    *usable_out = convert_exactly(&v, column_type, out);
    return LAM_OK;
}
