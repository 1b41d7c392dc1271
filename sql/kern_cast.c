/* SPDX-License-Identifier: Apache-2.0
 *
 * Casts of columns: widening of numbers in loops, everything else value by value. */
#include "base/assert.h"
#include "sql/kern.h"

#define WIDEN(FROM, TO)                                                                            \
    do {                                                                                           \
        const FROM *from = source;                                                                 \
        TO *to = (TO *)(void *)n->out.data;                                                        \
        for (uint32_t i = 0; i < count; i++)                                                       \
            to[i] = (TO)from[i];                                                                   \
    } while (0)

enum widening {
    WIDEN_NONE = 0,
    WIDEN_I16_I32,
    WIDEN_I16_I64,
    WIDEN_I32_I64,
    WIDEN_I16_F64,
    WIDEN_I32_F64,
    WIDEN_I64_F64,
    WIDEN_F32_F64,
};

static enum widening widening_of(enum lam_type from, enum lam_type to) {
    switch (from) {
    case LAM_TYPE_SMALLINT:
        return to == LAM_TYPE_INT      ? WIDEN_I16_I32
               : to == LAM_TYPE_BIGINT ? WIDEN_I16_I64
               : to == LAM_TYPE_DOUBLE ? WIDEN_I16_F64
                                       : WIDEN_NONE;
    case LAM_TYPE_INT:
        return to == LAM_TYPE_BIGINT   ? WIDEN_I32_I64
               : to == LAM_TYPE_DOUBLE ? WIDEN_I32_F64
                                       : WIDEN_NONE;
    case LAM_TYPE_BIGINT:
        return to == LAM_TYPE_DOUBLE ? WIDEN_I64_F64 : WIDEN_NONE;
    case LAM_TYPE_FLOAT:
        return to == LAM_TYPE_DOUBLE ? WIDEN_F32_F64 : WIDEN_NONE;
    default:
        return WIDEN_NONE;
    }
}

static void widen(struct node *n, enum widening kind, const void *source, uint32_t count) {
    switch (kind) {
    case WIDEN_I16_I32:
        WIDEN(int16_t, int32_t);
        break;
    case WIDEN_I16_I64:
        WIDEN(int16_t, int64_t);
        break;
    case WIDEN_I32_I64:
        WIDEN(int32_t, int64_t);
        break;
    case WIDEN_I16_F64:
        WIDEN(int16_t, double);
        break;
    case WIDEN_I32_F64:
        WIDEN(int32_t, double);
        break;
    case WIDEN_I64_F64:
        WIDEN(int64_t, double);
        break;
    case WIDEN_F32_F64:
        WIDEN(float, double);
        break;
    case WIDEN_NONE:
        UNREACHABLE();
    }
}

static enum lam_code cast_row(struct evaluator *e, struct node *n, const struct vec *a, uint32_t i,
                              struct lam_error *err) {
    const struct bound *b = n->b;
    struct value v = column_value(a->col, vec_row(a, i)), out;
    if (v.is_null)
        return column_append_null(&n->out, err);
    bool try = b->op == OP_TRY;
    enum lam_code rc = value_cast(&v, b->type, b->cast, &e->arena, &out, try ? NULL : err);
    if (rc == LAM_SQL && try)
        return column_append_null(&n->out, err);
    TRY(error_at(err, rc, b->pos));
    if (out.is_null)
        return column_append_null(&n->out, err);
    out.type = b->type;
    return column_append_value(&n->out, &out, err);
}

enum lam_code kern_cast(struct evaluator *e, struct node *n, const struct vec *a, uint32_t count,
                        struct lam_error *err) {
    struct coltype from = a->col->type;
    enum widening kind = widening_of(from.type, n->b->type.type);
    if (kind != WIDEN_NONE) {
        const void *source;
        uint8_t *bits = NULL;
        TRY(vec_validity(e, &a, 1, count, &bits, err));
        TRY(vec_fixed(e, a, coltype_width(from.type), count, &source, err));
        TRY(column_shape(&n->out, n->b->type, count, err));
        widen(n, kind, source, count);
        return column_set_validity(&n->out, bits, err);
    }
    column_reset(&n->out);
    n->out.type = n->b->type;
    for (uint32_t i = 0; i < count; i++)
        TRY(cast_row(e, n, a, i, err));
    return LAM_OK;
}
