/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparison of expressions; comparisons turned round; names of select items. */
#include "sql/ast.h"

enum expr_op expr_op_mirrored(enum expr_op op) {
    switch (op) {
    case OP_LT:
        return OP_GT;
    case OP_LE:
        return OP_GE;
    case OP_GT:
        return OP_LT;
    case OP_GE:
        return OP_LE;
    default:
        return op;
    }
}

static bool same_literal(const struct value *a, const struct value *b) {
    if (!coltype_eq(a->type, b->type) || a->is_null != b->is_null)
        return false;
    return a->is_null || value_cmp(a, b) == 0;
}

static bool same_shape(const struct expr *a, const struct expr *b) {
    if (a->kind != b->kind || a->op != b->op || a->negated != b->negated ||
        a->distinct != b->distinct || a->parameter != b->parameter || a->arg_count != b->arg_count)
        return false;
    if (a->kind == EXPR_LITERAL && !same_literal(&a->literal, &b->literal))
        return false;
    return a->kind != EXPR_CAST || coltype_eq(a->type, b->type);
}

bool expr_same_by(const struct expr *a, const struct expr *b, expr_column_fn same_column,
                  void *arg) {
    if (!a || !b)
        return a == b;
    if (!same_shape(a, b))
        return false;
    if (a->kind == EXPR_COLUMN && same_column)
        return same_column(arg, a, b);
    if (!slice_eq(a->name, b->name) || !slice_eq(a->table, b->table) ||
        !slice_eq(a->namespace_name, b->namespace_name))
        return false;
    if (!expr_same_by(a->left, b->left, same_column, arg) ||
        !expr_same_by(a->right, b->right, same_column, arg))
        return false;
    for (uint32_t i = 0; i < a->arg_count; i++)
        if (!expr_same_by(a->args[i], b->args[i], same_column, arg))
            return false;
    return true;
}

bool expr_same(const struct expr *a, const struct expr *b) {
    return expr_same_by(a, b, NULL, NULL);
}

struct lam_slice select_item_name(const struct select_item *item) {
    const struct expr *e = item->expr;
    if (item->alias.size)
        return item->alias;
    while (e->kind == EXPR_CAST && (e->left->kind == EXPR_CAST || e->left->kind == EXPR_COLUMN ||
                                    e->left->kind == EXPR_CALL))
        e = e->left;
    if (e->kind == EXPR_COLUMN || e->kind == EXPR_CALL)
        return e->name;
    if (e->kind == EXPR_CASE)
        return lam_slice_str("case");
    return lam_slice_str("?column?");
}
