/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparisons into truth bytes, IN and LIKE. Fixed-width types run in loops the compiler can
 * vectorise: a column against a column or against a constant (a constant on the left is turned
 * round). NaN equals itself and is above every number. */
#include <math.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "sql/kern.h"

/* --- integers --- */

#define COMPARE_LOOP(SIGN)                                                                         \
    do {                                                                                           \
        if (constant)                                                                              \
            for (uint32_t i = 0; i < count; i++)                                                   \
                tri[i] = a[i] SIGN y;                                                              \
        else                                                                                       \
            for (uint32_t i = 0; i < count; i++)                                                   \
                tri[i] = a[i] SIGN b[i];                                                           \
    } while (0)

#define COMPARE_KERNEL(name, T)                                                                    \
    static void name(enum expr_op op, const T *a, const T *b, bool constant, uint32_t count,       \
                     uint8_t *restrict tri) {                                                      \
        T y = b[0];                                                                                \
        switch (op) {                                                                              \
        case OP_EQ:                                                                                \
            COMPARE_LOOP(==);                                                                      \
            break;                                                                                 \
        case OP_NE:                                                                                \
            COMPARE_LOOP(!=);                                                                      \
            break;                                                                                 \
        case OP_LT:                                                                                \
            COMPARE_LOOP(<);                                                                       \
            break;                                                                                 \
        case OP_LE:                                                                                \
            COMPARE_LOOP(<=);                                                                      \
            break;                                                                                 \
        case OP_GT:                                                                                \
            COMPARE_LOOP(>);                                                                       \
            break;                                                                                 \
        default:                                                                                   \
            COMPARE_LOOP(>=);                                                                      \
        }                                                                                          \
    }
COMPARE_KERNEL(compare_i16, int16_t)
COMPARE_KERNEL(compare_i32, int32_t)
COMPARE_KERNEL(compare_i64, int64_t)

/* --- floats: < and = in a total order; the other four follow --- */

#define FLOAT_KERNEL(name, T)                                                                      \
    static void name(enum expr_op op, const T *a, const T *b, bool constant, uint32_t count,       \
                     uint8_t *restrict tri) {                                                      \
        uint32_t mask = constant ? 0 : UINT32_MAX;                                                 \
        bool equality = op == OP_EQ || op == OP_NE;                                                \
        bool swap = op == OP_GT || op == OP_LE;                                                    \
        uint8_t flip = op == OP_NE || op == OP_LE || op == OP_GE;                                  \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            T x = swap ? b[i & mask] : a[i], y = swap ? a[i] : b[i & mask];                        \
            uint8_t hit =                                                                          \
                equality ? (x == y) | ((x != x) & (y != y)) : (x < y) | ((x == x) & (y != y));     \
            tri[i] = hit ^ flip;                                                                   \
        }                                                                                          \
    }
FLOAT_KERNEL(compare_f32, float)
FLOAT_KERNEL(compare_f64, double)

/* --- the rest: an order, then what the operator makes of it --- */

static inline uint8_t judge(enum expr_op op, int order) {
    switch (op) {
    case OP_EQ:
        return order == 0;
    case OP_NE:
        return order != 0;
    case OP_LT:
        return order < 0;
    case OP_LE:
        return order <= 0;
    case OP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static void compare_bytes(enum expr_op op, const struct vec *a, const struct vec *b, uint32_t count,
                          uint8_t *tri) {
    bool equality = op == OP_EQ || op == OP_NE;
    for (uint32_t i = 0; i < count; i++) {
        struct lam_slice x = column_bytes(a->col, vec_row(a, i));
        struct lam_slice y = column_bytes(b->col, vec_row(b, i));
        tri[i] = equality ? slice_eq(x, y) == (op == OP_EQ) : judge(op, slice_cmp(x, y));
    }
}

/* DECIMALs of any scales; when one can't be brought to the other's scale it is the larger. */
static int order_decimal(int128 x, unsigned sx, int128 y, unsigned sy) {
    int128 wide;
    if (sx < sy) {
        if (__builtin_mul_overflow(x, decimal_pow10(sy - sx), &wide))
            return x < 0 ? -1 : 1;
        x = wide;
    } else if (sy < sx) {
        if (__builtin_mul_overflow(y, decimal_pow10(sx - sy), &wide))
            return y < 0 ? 1 : -1;
        y = wide;
    }
    return x < y ? -1 : x > y;
}

static void compare_decimal(enum expr_op op, const struct vec *a, const struct vec *b,
                            uint32_t count, uint8_t *tri) {
    unsigned sa = a->col->type.scale, sb = b->col->type.scale;
    for (uint32_t i = 0; i < count; i++)
        tri[i] = judge(op, order_decimal(column_i128(a->col, vec_row(a, i)), sa,
                                         column_i128(b->col, vec_row(b, i)), sb));
}

static void compare_bool(enum expr_op op, const struct vec *a, const struct vec *b, uint32_t count,
                         uint8_t *tri) {
    for (uint32_t i = 0; i < count; i++)
        tri[i] = judge(op, (int)column_bool(a->col, vec_row(a, i)) -
                               (int)column_bool(b->col, vec_row(b, i)));
}

static enum lam_code compare_fixed(struct evaluator *e, enum expr_op op, const struct vec *a,
                                   const struct vec *b, uint32_t count, uint8_t *tri,
                                   struct lam_error *err) {
    enum lam_type type = a->col->type.type;
    size_t width = coltype_width(type);
    const void *x, *y;
    TRY(vec_fixed(e, a, width, count, &x, err));
    TRY(vec_fixed(e, b, width, count, &y, err));
    if (type == LAM_TYPE_FLOAT)
        compare_f32(op, x, y, b->constant, count, tri);
    else if (type == LAM_TYPE_DOUBLE)
        compare_f64(op, x, y, b->constant, count, tri);
    else if (width == 2)
        compare_i16(op, x, y, b->constant, count, tri);
    else if (width == 4)
        compare_i32(op, x, y, b->constant, count, tri);
    else
        compare_i64(op, x, y, b->constant, count, tri);
    return LAM_OK;
}

enum lam_code kern_compare(struct evaluator *e, enum expr_op op, const struct vec *a,
                           const struct vec *b, uint32_t count, uint8_t *tri,
                           struct lam_error *err) {
    if (count == 0)
        return LAM_OK;
    if (a->constant && !b->constant) {
        const struct vec *spare = a;
        a = b;
        b = spare;
        op = expr_op_mirrored(op);
    }
    LAM_ASSERT(a->col->type.type == b->col->type.type);
    LAM_ASSERT(!a->constant || count == 1);
    switch (a->col->type.type) {
    case LAM_TYPE_BOOLEAN:
        compare_bool(op, a, b, count, tri);
        return LAM_OK;
    case LAM_TYPE_DECIMAL:
        compare_decimal(op, a, b, count, tri);
        return LAM_OK;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
    case LAM_TYPE_UUID:
        compare_bytes(op, a, b, count, tri);
        return LAM_OK;
    default:
        return compare_fixed(e, op, a, b, count, tri, err);
    }
}

/* --- IN --- */

static bool in_set(const struct in_set *set, const struct value *v) {
    uint32_t at = (uint32_t)value_hash(v, 0) & set->mask;
    while (set->slots[at]) {
        if (value_cmp(&set->values[set->slots[at] - 1], v) == 0)
            return true;
        at = (at + 1) & set->mask;
    }
    return false;
}

enum lam_code kern_in(struct evaluator *e, const struct bound *b, const struct vec *x,
                      const struct vec *items, uint32_t item_count, uint32_t count, uint8_t *tri,
                      struct lam_error *err) {
    (void)e;
    (void)err;
    for (uint32_t i = 0; i < count; i++) {
        struct value v = column_value(x->col, vec_row(x, i));
        bool hit = false, null = v.is_null || (b->set && b->set->has_null);
        if (!v.is_null && b->set)
            hit = in_set(b->set, &v);
        for (uint32_t k = 0; !v.is_null && !hit && k < item_count; k++) {
            struct value item = column_value(items[k].col, vec_row(&items[k], i));
            if (item.is_null)
                null = true;
            else
                hit = value_cmp(&v, &item) == 0;
        }
        tri[i] = hit ? !b->negated : null ? TRI_NULL : b->negated;
    }
    return LAM_OK;
}

/* --- LIKE --- */

/* Compiles the pattern of one row, unless it is the last row's. */
static enum lam_code row_pattern(struct evaluator *e, const struct bound *b, const struct vec *args,
                                 uint32_t i, struct lam_slice *last,
                                 const struct like_pattern **out, struct lam_error *err) {
    struct lam_slice escape = lam_slice_str("\\");
    struct lam_slice pattern = column_bytes(args[1].col, vec_row(&args[1], i));
    bool fixed_escape = b->arg_count < 3;
    if (*out && fixed_escape && slice_eq(pattern, *last))
        return LAM_OK;
    if (!fixed_escape)
        escape = column_bytes(args[2].col, vec_row(&args[2], i));
    if (utf8_length(escape) > 1)
        return ERR_SQL(err, "22025", b->pos, "ESCAPE must be one character or empty");
    *last = pattern;
    return error_at(err, like_compile(pattern, escape, b->op == OP_ILIKE, &e->arena, out, err),
                    b->pos);
}

enum lam_code kern_like(struct evaluator *e, const struct bound *b, const struct vec *args,
                        uint32_t count, uint8_t *tri, struct lam_error *err) {
    const struct like_pattern *p = b->pattern;
    struct lam_slice last = SLICE_EMPTY;
    for (uint32_t i = 0; i < count; i++) {
        bool match = false, null = false;
        for (uint32_t k = 0; k < b->arg_count; k++)
            null = null || vec_is_null(&args[k], i);
        if (null) {
            tri[i] = TRI_NULL;
            continue;
        }
        if (!b->pattern)
            TRY(row_pattern(e, b, args, i, &last, &p, err));
        TRY(like_match(p, column_bytes(args[0].col, vec_row(&args[0], i)), &e->like, &match, err));
        tri[i] = match != b->negated;
    }
    return LAM_OK;
}
