/* SPDX-License-Identifier: Apache-2.0
 *
 * Types of operands: what unknown literals and parameters become, where types meet, where casts go,
 * and folding of constants. */
#include <stdio.h>

#include "base/assert.h"
#include "sql/bound_node.h"

enum lam_code error_at(struct lam_error *err, enum lam_code rc, uint32_t pos) {
    if (rc == LAM_SQL && err && err->pos == 0)
        err->pos = pos;
    return rc;
}

enum lam_code bound_new(struct arena *arena, enum bound_kind kind, struct coltype type,
                        uint32_t pos, uint32_t arg_count, struct bound **out,
                        struct lam_error *err) {
    struct bound *b = arena_alloc(arena, sizeof *b);
    if (!b)
        return mem_fail(err, sizeof *b);
    b->kind = kind;
    b->type = type;
    b->pos = pos;
    b->arg_count = arg_count;
    b->row_free = true;
    if (arg_count) {
        b->args = arena_calloc(arena, arg_count, sizeof *b->args);
        if (!b->args)
            return mem_fail(err, arg_count * sizeof *b->args);
    }
    *out = b;
    return LAM_OK;
}

static enum lam_code new_constant(struct arena *arena, const struct value *v, uint32_t pos,
                                  struct bound **out, struct lam_error *err) {
    TRY(bound_new(arena, BOUND_CONSTANT, v->type, pos, 0, out, err));
    (*out)->constant = *v;
    return LAM_OK;
}

static bool foldable(const struct bound *b) {
    if (!b->row_free || b->reads_run || b->is_volatile || b->arg_count == 0)
        return false;
    for (uint32_t i = 0; i < b->arg_count; i++)
        if (b->args[i]->kind != BOUND_CONSTANT)
            return false;
    return true;
}

enum lam_code bound_finish(struct bind_context *ctx, struct bound **b, struct lam_error *err) {
    struct bound *n = *b;
    struct run_context run = {.arena = ctx->arena};
    struct value v;
    if (n->func) {
        n->is_volatile = n->func->flags & FUNC_VOLATILE;
        n->reads_run = n->func->flags & FUNC_RUN;
    }
    n->row_free = !n->is_volatile;
    for (uint32_t i = 0; i < n->arg_count; i++) {
        n->row_free = n->row_free && n->args[i]->row_free;
        n->reads_run = n->reads_run || n->args[i]->reads_run;
        n->is_volatile = n->is_volatile || n->args[i]->is_volatile;
    }
    if (!foldable(n))
        return LAM_OK;
    enum lam_code rc = bound_value(&run, n, &v, NULL);
    if (rc == LAM_SQL || rc == LAM_LIMIT)
        return LAM_OK;
    if (rc != LAM_OK)
        return ERR(err, rc, "folding a constant expression");
    v.type = n->type;
    return new_constant(ctx->arena, &v, n->pos, b, err);
}

bool bound_unknown(const struct bound *b) {
    if (b->kind == BOUND_CONSTANT)
        return b->untyped || (b->constant.is_null && b->type.type == LAM_TYPE_NULL);
    return b->kind == BOUND_PARAMETER && b->type.type == LAM_TYPE_NULL;
}

/* Decimal digits that a parameter keeps behind the point beside a DECIMAL or alone as one. */
#define PARAMETER_SCALE 9

struct coltype coltype_beside(struct coltype type) {
    if (type.type == LAM_TYPE_TEXT)
        type.length = 0;
    return type;
}

static struct coltype parameter_type(struct coltype to) {
    if (to.type == LAM_TYPE_DECIMAL) {
        to.precision = DECIMAL_PRECISION_MAX;
        to.scale = to.scale > PARAMETER_SCALE ? to.scale : PARAMETER_SCALE;
    }
    return to;
}

/* Reads an unknown operand as a type. With `exact`, as that very type: into a column. */
static enum lam_code settle_unknown(struct bind_context *ctx, struct bound **b, struct coltype to,
                                    bool exact, struct lam_error *err) {
    struct bound *n = *b;
    struct value v;
    if (n->kind == BOUND_PARAMETER) {
        n->type = exact ? to : parameter_type(to);
        ctx->parameter_types[n->index] = n->type;
        return LAM_OK;
    }
    if (n->constant.is_null) {
        v = value_null(to);
        return new_constant(ctx->arena, &v, n->pos, b, err);
    }
    if (to.type == LAM_TYPE_DECIMAL && !exact)
        to.precision = to.scale = 0; /* all digits that the literal has */
    TRY(error_at(err, value_parse(n->constant.as.bytes, to, ctx->arena, &v, err), n->pos));
    if (to.type == LAM_TYPE_DECIMAL && v.type.precision == 0)
        v.type.precision = DECIMAL_PRECISION_MAX;
    return new_constant(ctx->arena, &v, n->pos, b, err);
}

/* Whether values of `a` stand in a column of `b` as they are. */
static bool same_type(struct coltype a, struct coltype b) {
    if (a.type != b.type)
        return false;
    if (a.type == LAM_TYPE_DECIMAL)
        return a.scale == b.scale && a.precision <= b.precision;
    return a.type != LAM_TYPE_TEXT || b.length == 0 || a.length == b.length;
}

enum lam_code bind_coerce(struct bind_context *ctx, struct bound **b, struct coltype to,
                          enum cast_kind kind, struct lam_error *err) {
    struct bound *n = NULL;
    if (bound_unknown(*b))
        return settle_unknown(ctx, b, to, kind != CAST_IMPLICIT, err);
    if (kind == CAST_IMPLICIT ? same_type((*b)->type, to) : coltype_eq((*b)->type, to))
        return LAM_OK;
    TRY(bound_new(ctx->arena, BOUND_CAST, to, (*b)->pos, 1, &n, err));
    n->cast = kind;
    n->args[0] = *b;
    *b = n;
    return bound_finish(ctx, b, err);
}

struct coltype decimal_of(struct coltype type) {
    struct coltype d = {.type = LAM_TYPE_DECIMAL};
    switch (type.type) {
    case LAM_TYPE_DECIMAL:
        return type;
    case LAM_TYPE_SMALLINT:
        d.precision = 5;
        return d;
    case LAM_TYPE_INT:
        d.precision = 10;
        return d;
    default:
        d.precision = 19;
        return d;
    }
}

static struct coltype common_decimal(struct coltype a, struct coltype b) {
    a = decimal_of(a);
    b = decimal_of(b);
    unsigned scale = a.scale > b.scale ? a.scale : b.scale;
    unsigned whole = a.precision - a.scale > b.precision - b.scale
                         ? (unsigned)(a.precision - a.scale)
                         : (unsigned)(b.precision - b.scale);
    unsigned precision = whole + scale;
    if (precision > DECIMAL_PRECISION_MAX)
        precision = DECIMAL_PRECISION_MAX;
    return (struct coltype){
        .type = LAM_TYPE_DECIMAL, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
}

bool common_type(struct coltype a, struct coltype b, struct coltype *out) {
    *out = a;
    if (a.type == b.type) {
        if (a.type == LAM_TYPE_DECIMAL)
            *out = common_decimal(a, b);
        if (a.type == LAM_TYPE_TEXT && a.length != b.length)
            out->length = 0;
        return true;
    }
    if (coltype_is_number(a.type) && coltype_is_number(b.type)) {
        if (coltype_is_float(a.type) || coltype_is_float(b.type))
            *out = coltype_of(LAM_TYPE_DOUBLE);
        else if (a.type == LAM_TYPE_DECIMAL || b.type == LAM_TYPE_DECIMAL)
            *out = common_decimal(a, b);
        else
            *out = a.type > b.type ? a : b;
        return true;
    }
    if ((a.type == LAM_TYPE_DATE && b.type == LAM_TYPE_TIMESTAMP) ||
        (a.type == LAM_TYPE_TIMESTAMP && b.type == LAM_TYPE_DATE)) {
        *out = coltype_of(LAM_TYPE_TIMESTAMP);
        return true;
    }
    return false;
}

const char *bound_type_text(const struct bound *b, char *out32) {
    if (bound_unknown(b))
        return "unknown";
    coltype_name(b->type, out32);
    return out32;
}

static enum lam_code fail_pair(const struct bound *a, const struct bound *b, const char *op,
                               uint32_t pos, struct lam_error *err) {
    char left[40], right[40];
    enum lam_code rc = ERR_SQL(err, "42883", pos, "operator does not exist: %s %s %s",
                               bound_type_text(a, left), op, bound_type_text(b, right));
    return error_hint(err, rc, "convert one side: CAST(x AS %s) or CAST(x AS %s)",
                      bound_type_text(a, left), bound_type_text(b, right));
}

/* An integer constant beside a narrower integer takes its type if it fits: no cast of columns. */
static bool narrow_constant(struct bind_context *ctx, struct bound **b, struct coltype to,
                            struct lam_error *err) {
    struct value v;
    if ((*b)->kind != BOUND_CONSTANT || !coltype_is_integer((*b)->type.type) ||
        !coltype_is_integer(to.type) || (*b)->type.type <= to.type)
        return false;
    return value_cast(&(*b)->constant, to, CAST_ASSIGNMENT, ctx->arena, &v, NULL) == LAM_OK &&
           new_constant(ctx->arena, &v, (*b)->pos, b, err) == LAM_OK;
}

enum lam_code bind_pair(struct bind_context *ctx, struct bound **a, struct bound **b,
                        const char *op, uint32_t pos, struct lam_error *err) {
    struct coltype common;
    if (bound_unknown(*a) && bound_unknown(*b)) {
        TRY(bind_coerce(ctx, a, coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err));
        return bind_coerce(ctx, b, coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err);
    }
    if (bound_unknown(*a))
        return bind_coerce(ctx, a, coltype_beside((*b)->type), CAST_IMPLICIT, err);
    if (bound_unknown(*b))
        return bind_coerce(ctx, b, coltype_beside((*a)->type), CAST_IMPLICIT, err);
    if (narrow_constant(ctx, a, (*b)->type, err) || narrow_constant(ctx, b, (*a)->type, err))
        return LAM_OK;
    if (!common_type((*a)->type, (*b)->type, &common))
        return fail_pair(*a, *b, op, pos, err);
    if (common.type == LAM_TYPE_DECIMAL) { /* comparison and arithmetic take any scales */
        TRY(bind_coerce(ctx, a, decimal_of((*a)->type), CAST_IMPLICIT, err));
        return bind_coerce(ctx, b, decimal_of((*b)->type), CAST_IMPLICIT, err);
    }
    common = coltype_beside(common);
    TRY(bind_coerce(ctx, a, common, CAST_IMPLICIT, err));
    return bind_coerce(ctx, b, common, CAST_IMPLICIT, err);
}

enum lam_code bind_common(struct bind_context *ctx, struct bound **items, uint32_t count,
                          const char *what, struct coltype *type_out, struct lam_error *err) {
    struct coltype type = {0};
    bool known = false;
    for (uint32_t i = 0; i < count; i++) {
        struct coltype wider;
        if (bound_unknown(items[i]))
            continue;
        if (known && !common_type(type, items[i]->type, &wider)) {
            char left[40], right[40];
            coltype_name(type, left);
            return ERR_SQL(err, "42804", items[i]->pos, "%s types %s and %s cannot be matched",
                           what, left, bound_type_text(items[i], right));
        }
        type = known ? wider : items[i]->type;
        known = true;
    }
    if (!known)
        type = coltype_of(LAM_TYPE_TEXT);
    /* Literals of unknown type may have more decimals than the known operands. */
    for (uint32_t i = 0; known && type.type == LAM_TYPE_DECIMAL && i < count; i++)
        if (bound_unknown(items[i])) {
            TRY(bind_coerce(ctx, &items[i], type, CAST_IMPLICIT, err));
            type = common_decimal(type, items[i]->type);
        }
    type = coltype_beside(type);
    for (uint32_t i = 0; i < count; i++)
        TRY(bind_coerce(ctx, &items[i], type, CAST_IMPLICIT, err));
    *type_out = type;
    return LAM_OK;
}
