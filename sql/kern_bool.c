/* SPDX-License-Identifier: Apache-2.0
 *
 * Three-valued logic over truth bytes. AND asks its operands from left to right, each only for the
 * rows that are not false yet (OR: not true yet): errors of an operand are those of rows that
 * reach it. */
#include "base/assert.h"
#include "sql/kern.h"

static enum lam_code tri_from_vec(struct evaluator *e, struct node *n, const uint32_t *sel,
                                  uint32_t count, uint8_t *tri, struct lam_error *err) {
    struct vec v;
    TRY(eval(e, n, sel, count, &v, err));
    return vec_read_tri(&v, count, tri);
}

/* Combines one operand's answer with what stands. `done` is the value that decides: false for AND,
 * true for OR. */
static inline uint8_t combine(uint8_t stands, uint8_t answer, uint8_t done) {
    if (stands == done || answer == done)
        return done;
    return stands == TRI_NULL || answer == TRI_NULL ? TRI_NULL : answer;
}

static enum lam_code chain_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                               uint32_t count, uint8_t *tri, struct lam_error *err) {
    uint8_t done = n->b->kind == BOUND_AND ? TRI_FALSE : TRI_TRUE;
    uint8_t *marks = kern_alloc(e, count, 1, err), *answer = kern_alloc(e, count, 1, err);
    if (!marks || !answer)
        return LAM_NO_MEMORY;
    TRY(eval_tri(e, n->args[0], sel, count, tri, err));
    for (uint32_t k = 1; k < n->arg_count; k++) {
        struct subset open;
        for (uint32_t i = 0; i < count; i++)
            marks[i] = tri[i] != done;
        TRY(subset_of(e, sel, count, marks, &open, err));
        if (open.count == 0)
            return LAM_OK;
        TRY(eval_tri(e, n->args[k], open.rows, open.count, answer, err));
        for (uint32_t i = 0; i < open.count; i++) {
            uint8_t *at = &tri[open.places ? open.places[i] : i];
            *at = combine(*at, answer[i], done);
        }
    }
    return LAM_OK;
}

static enum lam_code compare_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                                 uint32_t count, uint8_t *tri, struct lam_error *err) {
    struct vec a, b;
    const struct vec *both[2] = {&a, &b};
    uint8_t *bits = NULL;
    TRY(eval(e, n->args[0], sel, count, &a, err));
    TRY(eval(e, n->args[1], sel, count, &b, err));
    TRY(kern_compare(e, n->b->op, &a, &b, count, tri, err));
    TRY(vec_validity(e, both, 2, count, &bits, err));
    for (uint32_t i = 0; bits && i < count; i++)
        if (!bitmap_get(bits, i))
            tri[i] = TRI_NULL;
    return LAM_OK;
}

static enum lam_code distinct_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                                  uint32_t count, uint8_t *tri, struct lam_error *err) {
    struct vec a, b;
    TRY(eval(e, n->args[0], sel, count, &a, err));
    TRY(eval(e, n->args[1], sel, count, &b, err));
    TRY(kern_compare(e, OP_NE, &a, &b, count, tri, err));
    for (uint32_t i = 0; i < count; i++) {
        bool x = vec_is_null(&a, i), y = vec_is_null(&b, i);
        if (x || y)
            tri[i] = x != y;
        tri[i] ^= n->b->negated;
    }
    return LAM_OK;
}

static enum lam_code is_null_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                                 uint32_t count, uint8_t *tri, struct lam_error *err) {
    struct vec a;
    TRY(eval(e, n->args[0], sel, count, &a, err));
    if (a.col->null_count == 0) {
        memset(tri, n->b->negated, count);
        return LAM_OK;
    }
    for (uint32_t i = 0; i < count; i++)
        tri[i] = vec_is_null(&a, i) != n->b->negated;
    return LAM_OK;
}

static enum lam_code is_bool_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                                 uint32_t count, uint8_t *tri, struct lam_error *err) {
    uint8_t wanted = n->b->op == OP_IS_TRUE    ? TRI_TRUE
                     : n->b->op == OP_IS_FALSE ? TRI_FALSE
                                               : TRI_NULL;
    TRY(eval_tri(e, n->args[0], sel, count, tri, err));
    for (uint32_t i = 0; i < count; i++)
        tri[i] = (tri[i] == wanted) != n->b->negated;
    return LAM_OK;
}

static enum lam_code args_tri(struct evaluator *e, struct node *n, const uint32_t *sel,
                              uint32_t count, uint8_t *tri, struct lam_error *err) {
    struct vec *args = kern_alloc(e, n->arg_count, sizeof *args, err);
    if (!args)
        return LAM_NO_MEMORY;
    for (uint32_t k = 0; k < n->arg_count; k++)
        TRY(eval(e, n->args[k], sel, count, &args[k], err));
    if (n->b->kind == BOUND_LIKE)
        return kern_like(e, n->b, args, count, tri, err);
    return kern_in(e, n->b, &args[0], args + 1, n->arg_count - 1, count, tri, err);
}

enum lam_code eval_tri(struct evaluator *e, struct node *n, const uint32_t *sel, uint32_t count,
                       uint8_t *tri, struct lam_error *err) {
    if (n->b->row_free && count > 1) { /* once is enough */
        TRY(eval_tri(e, n, sel, 1, tri, err));
        memset(tri + 1, tri[0], count - 1);
        return LAM_OK;
    }
    switch (n->b->kind) {
    case BOUND_AND:
    case BOUND_OR:
        return chain_tri(e, n, sel, count, tri, err);
    case BOUND_NOT:
        TRY(eval_tri(e, n->args[0], sel, count, tri, err));
        for (uint32_t i = 0; i < count; i++)
            tri[i] = tri[i] == TRI_NULL ? TRI_NULL : !tri[i];
        return LAM_OK;
    case BOUND_COMPARE:
        return compare_tri(e, n, sel, count, tri, err);
    case BOUND_DISTINCT:
        return distinct_tri(e, n, sel, count, tri, err);
    case BOUND_IS_NULL:
        return is_null_tri(e, n, sel, count, tri, err);
    case BOUND_IS_BOOL:
        return is_bool_tri(e, n, sel, count, tri, err);
    case BOUND_IN:
    case BOUND_LIKE:
        return args_tri(e, n, sel, count, tri, err);
    default:
        return tri_from_vec(e, n, sel, count, tri, err);
    }
}
