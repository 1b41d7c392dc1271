/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic. BIGINT and DOUBLE in loops that only note that something overflowed; if so, a second
 * look finds the first row that is not null and raises. DECIMAL row by row in 128 bits. Float sums
 * and products that leave the range from finite operands are errors, as division by zero is. */
#include <math.h>

#include "base/assert.h"
#include "sql/kern.h"

static enum lam_code fail_zero(const struct bound *b, struct lam_error *err) {
    return ERR_SQL(err, "22012", b->pos, "division by zero");
}

static enum lam_code fail_range(const struct bound *b, struct lam_error *err) {
    char type[40];
    coltype_name(b->type, type);
    return ERR_SQL(err, "22003", b->pos, "%s out of range", type);
}

static inline bool is_present(const uint8_t *bits, uint32_t i) {
    return !bits || bitmap_get(bits, i);
}

/* --- BIGINT --- */

static bool divide_i64(int64_t a, int64_t b, int64_t *out) {
    if (b == 0 || (b == -1 && a == INT64_MIN))
        return true;
    *out = a / b;
    return false;
}

static bool modulo_i64(int64_t a, int64_t b, int64_t *out) {
    if (b == 0)
        return true;
    *out = b == -1 ? 0 : a % b;
    return false;
}

/* Three loops: both columns, right constant, left constant. */
#define LOOP_I64(STEP)                                                                             \
    do {                                                                                           \
        if (b_constant) {                                                                          \
            int64_t y = b[0];                                                                      \
            for (uint32_t i = 0; i < count; i++)                                                   \
                bad |= STEP(a[i], y, &out[i]);                                                     \
        } else if (a_constant) {                                                                   \
            int64_t x = a[0];                                                                      \
            for (uint32_t i = 0; i < count; i++)                                                   \
                bad |= STEP(x, b[i], &out[i]);                                                     \
        } else {                                                                                   \
            for (uint32_t i = 0; i < count; i++)                                                   \
                bad |= STEP(a[i], b[i], &out[i]);                                                  \
        }                                                                                          \
    } while (0)

static bool step_i64(enum expr_op op, int64_t a, int64_t b, int64_t *out) {
    switch (op) {
    case OP_ADD:
        return __builtin_add_overflow(a, b, out);
    case OP_SUB:
        return __builtin_sub_overflow(a, b, out);
    case OP_MUL:
        return __builtin_mul_overflow(a, b, out);
    case OP_DIV:
        return divide_i64(a, b, out);
    default:
        return modulo_i64(a, b, out);
    }
}

static bool run_i64(enum expr_op op, const int64_t *a, bool a_constant, const int64_t *b,
                    bool b_constant, int64_t *out, uint32_t count) {
    bool bad = false;
    switch (op) {
    case OP_ADD:
        LOOP_I64(__builtin_add_overflow);
        break;
    case OP_SUB:
        LOOP_I64(__builtin_sub_overflow);
        break;
    case OP_MUL:
        LOOP_I64(__builtin_mul_overflow);
        break;
    case OP_DIV:
        LOOP_I64(divide_i64);
        break;
    case OP_MOD:
        LOOP_I64(modulo_i64);
        break;
    default:
        UNREACHABLE();
    }
    return bad;
}

static enum lam_code arith_i64(struct evaluator *e, struct node *n, const struct vec *va,
                               const struct vec *vb, const uint8_t *bits, uint32_t count,
                               struct lam_error *err) {
    const void *pa, *pb;
    TRY(vec_fixed(e, va, 8, count, &pa, err));
    TRY(vec_fixed(e, vb, 8, count, &pb, err));
    const int64_t *a = pa, *b = pb;
    int64_t *out = (int64_t *)(void *)n->out.data;
    if (!run_i64(n->b->op, a, va->constant, b, vb->constant, out, count))
        return LAM_OK;
    for (uint32_t i = 0; i < count; i++) {
        int64_t x = a[va->constant ? 0 : i], y = b[vb->constant ? 0 : i], spare;
        if (!is_present(bits, i) || !step_i64(n->b->op, x, y, &spare))
            continue;
        bool divides = n->b->op == OP_DIV || n->b->op == OP_MOD;
        return divides && y == 0 ? fail_zero(n->b, err) : fail_range(n->b, err);
    }
    return LAM_OK;
}

/* --- DOUBLE --- */

static double step_f64(enum expr_op op, double a, double b) {
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_MUL:
        return a * b;
    case OP_DIV:
        return a / b;
    default:
        return fmod(a, b);
    }
}

#define LOOP_F64(OPERATION)                                                                        \
    do {                                                                                           \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            double x = a[i & a_mask], y = b[i & b_mask];                                           \
            out[i] = OPERATION;                                                                    \
        }                                                                                          \
    } while (0)

static void run_f64(enum expr_op op, const double *a, uint32_t a_mask, const double *b,
                    uint32_t b_mask, double *out, uint32_t count) {
    switch (op) {
    case OP_ADD:
        LOOP_F64(x + y);
        break;
    case OP_SUB:
        LOOP_F64(x - y);
        break;
    case OP_MUL:
        LOOP_F64(x * y);
        break;
    case OP_DIV:
        LOOP_F64(x / y);
        break;
    default:
        LOOP_F64(fmod(x, y));
    }
}

static enum lam_code check_f64(const struct bound *b, double x, double y, double result,
                               struct lam_error *err) {
    bool divides = b->op == OP_DIV || b->op == OP_MOD;
    if (divides && y == 0 && !isnan(x))
        return fail_zero(b, err);
    if (isinf(result) && isfinite(x) && isfinite(y))
        return fail_range(b, err);
    return LAM_OK;
}

static enum lam_code arith_f64(struct evaluator *e, struct node *n, const struct vec *va,
                               const struct vec *vb, const uint8_t *bits, uint32_t count,
                               struct lam_error *err) {
    const void *pa, *pb;
    TRY(vec_fixed(e, va, 8, count, &pa, err));
    TRY(vec_fixed(e, vb, 8, count, &pb, err));
    const double *a = pa, *b = pb;
    uint32_t a_mask = va->constant ? 0 : UINT32_MAX, b_mask = vb->constant ? 0 : UINT32_MAX;
    double *out = (double *)(void *)n->out.data;
    run_f64(n->b->op, a, a_mask, b, b_mask, out, count);
    bool finite = true;
    for (uint32_t i = 0; i < count; i++)
        finite &= out[i] - out[i] == 0;
    for (uint32_t i = 0; !finite && i < count; i++)
        if (is_present(bits, i) && !isfinite(out[i]))
            TRY(check_f64(n->b, a[i & a_mask], b[i & b_mask],
                          step_f64(n->b->op, a[i & a_mask], b[i & b_mask]), err));
    return LAM_OK;
}

/* --- DECIMAL --- */

/* False when it overflows. */
static bool step_decimal(const struct bound *n, int128 a, int128 b, int128 *out) {
    unsigned sa = n->args[0]->type.scale, sb = n->args[1]->type.scale, scale = n->type.scale;
    int128 x = a, y = b;
    if (n->op == OP_MUL)
        return decimal_mul(a, b, out);
    if (n->op == OP_DIV)
        return decimal_div(a, sa, b, sb, scale, out);
    if ((sa != scale && !decimal_rescale(a, sa, scale, &x)) ||
        (sb != scale && !decimal_rescale(b, sb, scale, &y)))
        return false;
    if (n->op == OP_MOD) {
        *out = x % y;
        return true;
    }
    return decimal_add(x, n->op == OP_SUB ? -y : y, out);
}

static enum lam_code arith_decimal(struct node *n, const struct vec *va, const struct vec *vb,
                                   const uint8_t *bits, uint32_t count, struct lam_error *err) {
    const struct bound *b = n->b;
    bool divides = b->op == OP_DIV || b->op == OP_MOD;
    for (uint32_t i = 0; i < count; i++) {
        int128 result = 0;
        if (is_present(bits, i)) {
            int128 x = column_i128(va->col, vec_row(va, i));
            int128 y = column_i128(vb->col, vec_row(vb, i));
            if (divides && y == 0)
                return fail_zero(b, err);
            if (!step_decimal(b, x, y, &result))
                return fail_range(b, err);
        }
        memcpy(n->out.data + (size_t)i * 16, &result, 16);
    }
    return LAM_OK;
}

enum lam_code kern_arith(struct evaluator *e, struct node *n, const struct vec *a,
                         const struct vec *b, uint32_t count, struct lam_error *err) {
    const struct vec *both[2] = {a, b};
    uint8_t *bits = NULL;
    TRY(vec_validity(e, both, 2, count, &bits, err));
    TRY(column_shape(&n->out, n->b->type, count, err));
    switch (n->b->type.type) {
    case LAM_TYPE_BIGINT:
        TRY(arith_i64(e, n, a, b, bits, count, err));
        break;
    case LAM_TYPE_DOUBLE:
        TRY(arith_f64(e, n, a, b, bits, count, err));
        break;
    case LAM_TYPE_DECIMAL:
        TRY(arith_decimal(n, a, b, bits, count, err));
        break;
    default:
        UNREACHABLE();
    }
    return column_set_validity(&n->out, bits, err);
}

enum lam_code kern_negate(struct evaluator *e, struct node *n, const struct vec *a, uint32_t count,
                          struct lam_error *err) {
    uint8_t *bits = NULL;
    TRY(vec_validity(e, &a, 1, count, &bits, err));
    TRY(column_shape(&n->out, n->b->type, count, err));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = vec_row(a, i);
        if (n->b->type.type == LAM_TYPE_BIGINT) {
            int64_t v = column_i64(a->col, row);
            if (v == INT64_MIN)
                return fail_range(n->b, err);
            put_le64(n->out.data + (size_t)i * 8, (uint64_t)-v);
        } else if (n->b->type.type == LAM_TYPE_DOUBLE) {
            double v = -column_f64(a->col, row);
            memcpy(n->out.data + (size_t)i * 8, &v, 8);
        } else {
            int128 v = -column_i128(a->col, row);
            memcpy(n->out.data + (size_t)i * 16, &v, 16);
        }
    }
    return column_set_validity(&n->out, bits, err);
}
