/* SPDX-License-Identifier: Apache-2.0
 *
 * Types of arithmetic, comparison, IN, LIKE and CASE.
 *
 * Integers compute in BIGINT. DECIMAL: sums keep the larger scale, products add the scales,
 * quotients have max(6, both scales), remainders the larger scale; precision is what the result may
 * need, at most 38. Whatever meets a FLOAT or DOUBLE becomes DOUBLE. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "sql/bound_node.h"

static const char *const op_signs[] = {
    [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_MOD] = "%", [OP_POW] = "^",
    [OP_EQ] = "=",  [OP_NE] = "<>", [OP_LT] = "<",  [OP_LE] = "<=", [OP_GT] = ">",  [OP_GE] = ">=",
};

static unsigned larger(unsigned a, unsigned b) {
    return a > b ? a : b;
}

static struct coltype decimal_result(enum expr_op op, struct coltype a, struct coltype b) {
    unsigned scale = larger(a.scale, b.scale);
    unsigned whole = larger(a.precision - a.scale, b.precision - b.scale) + 1;
    unsigned precision = whole + scale;
    if (op == OP_MUL) {
        scale = a.scale + b.scale;
        precision = a.precision + b.precision;
    } else if (op == OP_DIV) {
        scale = larger(6, scale);
        precision = DECIMAL_PRECISION_MAX;
    } else if (op == OP_MOD) {
        precision = larger(a.precision - a.scale, b.precision - b.scale) + scale;
    }
    if (scale > DECIMAL_PRECISION_MAX)
        scale = DECIMAL_PRECISION_MAX;
    if (precision > DECIMAL_PRECISION_MAX)
        precision = DECIMAL_PRECISION_MAX;
    return (struct coltype){
        .type = LAM_TYPE_DECIMAL, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
}

static enum lam_code fail_operator(const char *sign, uint32_t pos, const struct bound *l,
                                   const struct bound *r, struct lam_error *err) {
    char left[40], right[40];
    enum lam_code rc = ERR_SQL(err, "42883", pos, "operator does not exist: %s %s %s",
                               bound_type_text(l, left), sign, bound_type_text(r, right));
    if (l->type.type == LAM_TYPE_TEXT || r->type.type == LAM_TYPE_TEXT)
        return error_hint(err, rc, "convert the text: CAST(x AS BIGINT), CAST(x AS DOUBLE) ...");
    if (l->type.type == LAM_TYPE_TIMESTAMP && r->type.type == LAM_TYPE_TIMESTAMP)
        return error_hint(err, rc, "subtract seconds: date_part('epoch', x)");
    return rc;
}

/* Unknown operands take the other's type. */
static enum lam_code settle_sides(struct bind_context *ctx, const char *sign, uint32_t pos,
                                  struct bound **l, struct bound **r, struct lam_error *err) {
    bool left = bound_unknown(*l), right = bound_unknown(*r);
    if (left && right) {
        bool nulls = (*l)->kind == BOUND_CONSTANT && (*l)->constant.is_null &&
                     (*r)->kind == BOUND_CONSTANT && (*r)->constant.is_null;
        if (!nulls) {
            enum lam_code rc = ERR_SQL(err, "42725", pos,
                                       "operator is not unique: unknown %s "
                                       "unknown",
                                       sign);
            return error_hint(err, rc, "say which type is meant: CAST(x AS BIGINT)");
        }
        TRY(bind_coerce(ctx, l, coltype_of(LAM_TYPE_BIGINT), CAST_IMPLICIT, err));
        return bind_coerce(ctx, r, coltype_of(LAM_TYPE_BIGINT), CAST_IMPLICIT, err);
    }
    struct bound **open = left ? l : r;
    struct coltype known = left ? (*r)->type : (*l)->type;
    if (!left && !right)
        return LAM_OK;
    if (known.type == LAM_TYPE_DATE && *sign == '+') /* a date takes days, or gives up a date */
        known = coltype_of(LAM_TYPE_BIGINT);
    else if (coltype_is_integer(known.type))
        known = coltype_of(LAM_TYPE_BIGINT);
    else if (known.type == LAM_TYPE_FLOAT)
        known = coltype_of(LAM_TYPE_DOUBLE);
    return bind_coerce(ctx, open, coltype_beside(known), CAST_IMPLICIT, err);
}

/* FLOAT with FLOAT stays FLOAT: computed in DOUBLE, then rounded. */
static enum lam_code round_float(struct bind_context *ctx, struct bound **out,
                                 struct lam_error *err) {
    return bind_coerce(ctx, out, coltype_of(LAM_TYPE_FLOAT), CAST_ASSIGNMENT, err);
}

static enum lam_code bind_power(struct bind_context *ctx, uint32_t pos, struct bound **args,
                                struct bound **out, struct lam_error *err) {
    for (int i = 0; i < 2; i++)
        if (bound_unknown(args[i]))
            TRY(bind_coerce(ctx, &args[i], coltype_of(LAM_TYPE_DOUBLE), CAST_IMPLICIT, err));
    return bind_function(ctx, lam_slice_str("power"), args, 2, pos, out, err);
}

enum lam_code bind_arith(struct bind_context *ctx, enum expr_op op, uint32_t pos, struct bound *l,
                         struct bound *r, struct bound **out, struct lam_error *err) {
    struct bound *args[2] = {l, r};
    if (op == OP_POW)
        return bind_power(ctx, pos, args, out, err);
    TRY(settle_sides(ctx, op_signs[op], pos, &args[0], &args[1], err));
    struct coltype a = args[0]->type, b = args[1]->type, to;
    if (!coltype_is_number(a.type) || !coltype_is_number(b.type)) {
        enum lam_code rc = bind_function(ctx, lam_slice_str(op_signs[op]), args, 2, pos, out, NULL);
        return rc == LAM_SQL ? fail_operator(op_signs[op], pos, args[0], args[1], err) : rc;
    }
    bool floats = coltype_is_float(a.type) || coltype_is_float(b.type);
    bool decimals = a.type == LAM_TYPE_DECIMAL || b.type == LAM_TYPE_DECIMAL;
    if (!floats && decimals) {
        a = decimal_of(a);
        b = decimal_of(b);
        if (op == OP_MUL && a.scale + b.scale > DECIMAL_PRECISION_MAX)
            return ERR_SQL(err, "22003", pos,
                           "the product of scales %u and %u has more than %d decimals", a.scale,
                           b.scale, DECIMAL_PRECISION_MAX);
        to = decimal_result(op, a, b);
        TRY(bind_coerce(ctx, &args[0], a, CAST_IMPLICIT, err));
        TRY(bind_coerce(ctx, &args[1], b, CAST_IMPLICIT, err));
    } else {
        to = coltype_of(floats ? LAM_TYPE_DOUBLE : LAM_TYPE_BIGINT);
        TRY(bind_coerce(ctx, &args[0], to, CAST_IMPLICIT, err));
        TRY(bind_coerce(ctx, &args[1], to, CAST_IMPLICIT, err));
    }
    TRY(bound_new(ctx->arena, BOUND_ARITH, to, pos, 2, out, err));
    (*out)->op = op;
    memcpy((*out)->args, args, sizeof args);
    TRY(bound_finish(ctx, out, err));
    if (a.type == LAM_TYPE_FLOAT && b.type == LAM_TYPE_FLOAT)
        return round_float(ctx, out, err);
    return LAM_OK;
}

enum lam_code bind_negative(struct bind_context *ctx, const struct expr *e, struct bound **out,
                            struct lam_error *err) {
    struct bound *x = NULL;
    char type[40];
    TRY(bind_node(ctx, e->left, &x, err));
    if (bound_unknown(x))
        TRY(bind_coerce(ctx, &x, coltype_of(LAM_TYPE_DOUBLE), CAST_IMPLICIT, err));
    if (!coltype_is_number(x->type.type))
        return ERR_SQL(err, "42883", e->pos, "operator does not exist: %s %s",
                       e->op == OP_NEG ? "-" : "+", bound_type_text(x, type));
    *out = x;
    if (e->op == OP_PLUS)
        return LAM_OK;
    bool single = x->type.type == LAM_TYPE_FLOAT;
    if (coltype_is_integer(x->type.type))
        TRY(bind_coerce(ctx, &x, coltype_of(LAM_TYPE_BIGINT), CAST_IMPLICIT, err));
    if (single)
        TRY(bind_coerce(ctx, &x, coltype_of(LAM_TYPE_DOUBLE), CAST_IMPLICIT, err));
    TRY(bound_new(ctx->arena, BOUND_NEG, x->type, e->pos, 1, out, err));
    (*out)->args[0] = x;
    TRY(bound_finish(ctx, out, err));
    return single ? round_float(ctx, out, err) : LAM_OK;
}

enum lam_code bind_compare(struct bind_context *ctx, enum expr_op op, uint32_t pos, struct bound *l,
                           struct bound *r, struct bound **out, struct lam_error *err) {
    TRY(bind_pair(ctx, &l, &r, op_signs[op], pos, err));
    TRY(bound_new(ctx->arena, BOUND_COMPARE, coltype_of(LAM_TYPE_BOOLEAN), pos, 2, out, err));
    (*out)->op = op;
    (*out)->args[0] = l;
    (*out)->args[1] = r;
    return bound_finish(ctx, out, err);
}

/* --- IN --- */

static bool all_constant(struct bound *const *args, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (args[i]->kind != BOUND_CONSTANT)
            return false;
    return true;
}

/* Lists shorter than this are compared one by one. */
#define IN_SET_MIN 2

static enum lam_code build_set(struct arena *arena, struct bound *const *items, uint32_t count,
                               struct coltype type, const struct in_set **out,
                               struct lam_error *err) {
    struct in_set *set = arena_alloc(arena, sizeof *set);
    struct value *values = arena_calloc(arena, count, sizeof *values);
    uint32_t slots = 8;
    while (slots < count * 2)
        slots *= 2;
    if (!set || !values)
        return mem_fail(err, count * sizeof *values);
    set->slots = arena_calloc(arena, slots, sizeof *set->slots);
    if (!set->slots)
        return mem_fail(err, slots * sizeof *set->slots);
    set->mask = slots - 1;
    set->values = values;
    for (uint32_t i = 0; i < count; i++) {
        const struct value *v = &items[i]->constant;
        if (v->is_null) {
            set->has_null = true;
            continue;
        }
        uint32_t at = (uint32_t)value_hash(v, 0) & set->mask;
        while (set->slots[at] && value_cmp(&values[set->slots[at] - 1], v) != 0)
            at = (at + 1) & set->mask;
        if (set->slots[at])
            continue;
        values[set->count] = *v;
        values[set->count].type = type;
        if (type.type == LAM_TYPE_DECIMAL)
            values[set->count].type = v->type;
        set->slots[at] = ++set->count;
    }
    *out = set;
    return LAM_OK;
}

/* The operand keeps its type when all of the list can take it: the planner then sees a plain
 * column. */
static enum lam_code bind_in_types(struct bind_context *ctx, struct bound **args, uint32_t count,
                                   uint32_t pos, struct lam_error *err) {
    struct coltype common = {0};
    for (uint32_t i = 1; i < count; i++) {
        struct bound *left = args[0];
        TRY(bind_pair(ctx, &left, &args[i], "=", pos, err));
        if (i == 1 || left->type.type != args[0]->type.type)
            common = left->type;
        if (bound_unknown(args[0]))
            args[0] = left;
    }
    if (args[0]->type.type == common.type)
        return LAM_OK;
    return bind_common(ctx, args, count, "IN", &common, err);
}

enum lam_code bind_in(struct bind_context *ctx, const struct expr *e, struct bound **out,
                      struct lam_error *err) {
    uint32_t count = e->arg_count + 1;
    TRY(bound_new(ctx->arena, BOUND_IN, coltype_of(LAM_TYPE_BOOLEAN), e->pos, count, out, err));
    struct bound **args = (*out)->args;
    (*out)->negated = e->negated;
    TRY(bind_node(ctx, e->left, &args[0], err));
    for (uint32_t i = 1; i < count; i++)
        TRY(bind_node(ctx, e->args[i - 1], &args[i], err));
    if (count == 2) {
        struct bound *x = args[0], *item = args[1];
        return bind_compare(ctx, e->negated ? OP_NE : OP_EQ, e->pos, x, item, out, err);
    }
    TRY(bind_in_types(ctx, args, count, e->pos, err));
    if (count > IN_SET_MIN && all_constant(args + 1, count - 1)) {
        TRY(build_set(ctx->arena, args + 1, count - 1, args[0]->type, &(*out)->set, err));
        (*out)->arg_count = 1;
    }
    return bound_finish(ctx, out, err);
}

/* --- LIKE --- */

static enum lam_code bind_text(struct bind_context *ctx, const struct expr *e, const char *what,
                               struct bound **out, struct lam_error *err) {
    char type[40];
    TRY(bind_node(ctx, e, out, err));
    if (bound_unknown(*out))
        return bind_coerce(ctx, out, coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err);
    if ((*out)->type.type != LAM_TYPE_TEXT) {
        enum lam_code rc = ERR_SQL(err, "42883", e->pos, "%s works on TEXT, not on %s", what,
                                   bound_type_text(*out, type));
        return error_hint(err, rc, "convert it: CAST(x AS TEXT)");
    }
    return LAM_OK;
}

/* Compiles a constant pattern; NULL in it leaves `pattern` empty. */
static enum lam_code compile_like(struct bind_context *ctx, struct bound *b,
                                  struct lam_error *err) {
    const struct bound *pattern = b->args[1], *escape = b->arg_count > 2 ? b->args[2] : NULL;
    struct lam_slice esc = lam_slice_str("\\");
    if (pattern->kind != BOUND_CONSTANT || (escape && escape->kind != BOUND_CONSTANT) ||
        pattern->constant.is_null || (escape && escape->constant.is_null))
        return LAM_OK;
    if (escape)
        esc = escape->constant.as.bytes;
    if (utf8_length(esc) > 1)
        return ERR_SQL(err, "22025", escape->pos, "ESCAPE must be one character or empty");
    return error_at(err,
                    like_compile(pattern->constant.as.bytes, esc, b->op == OP_ILIKE, ctx->arena,
                                 &b->pattern, err),
                    pattern->pos);
}

enum lam_code bind_like(struct bind_context *ctx, const struct expr *e, struct bound **out,
                        struct lam_error *err) {
    const char *what = e->op == OP_ILIKE ? "ILIKE" : "LIKE";
    TRY(bound_new(ctx->arena, BOUND_LIKE, coltype_of(LAM_TYPE_BOOLEAN), e->pos, 2 + e->arg_count,
                  out, err));
    (*out)->op = e->op;
    (*out)->negated = e->negated;
    TRY(bind_text(ctx, e->left, what, &(*out)->args[0], err));
    TRY(bind_text(ctx, e->right, what, &(*out)->args[1], err));
    if (e->arg_count)
        TRY(bind_text(ctx, e->args[0], "ESCAPE", &(*out)->args[2], err));
    TRY(compile_like(ctx, *out, err));
    return bound_finish(ctx, out, err);
}

/* --- CASE --- */

static enum lam_code bind_when(struct bind_context *ctx, const struct expr *e, uint32_t i,
                               struct bound **out, struct lam_error *err) {
    char type[40];
    struct bound *operand = NULL;
    TRY(bind_node(ctx, e->args[i], out, err));
    if (e->left) {
        TRY(bind_node(ctx, e->left, &operand, err));
        return bind_compare(ctx, OP_EQ, e->args[i]->pos, operand, *out, out, err);
    }
    if (bound_unknown(*out))
        return bind_coerce(ctx, out, coltype_of(LAM_TYPE_BOOLEAN), CAST_IMPLICIT, err);
    if ((*out)->type.type != LAM_TYPE_BOOLEAN)
        return ERR_SQL(err, "42804", e->args[i]->pos,
                       "argument of WHEN must be of type BOOLEAN, "
                       "not %s",
                       bound_type_text(*out, type));
    return LAM_OK;
}

enum lam_code bind_case(struct bind_context *ctx, const struct expr *e, struct bound **out,
                        struct lam_error *err) {
    uint32_t pairs = e->arg_count / 2, n = pairs + 1;
    struct coltype type;
    struct bound **results = arena_calloc(ctx->arena, n, sizeof *results);
    if (!results)
        return mem_fail(err, n * sizeof *results);
    TRY(bound_new(ctx->arena, BOUND_CASE, coltype_of(LAM_TYPE_TEXT), e->pos, 2 * pairs + 1, out,
                  err));
    struct bound *b = *out;
    for (uint32_t i = 0; i < pairs; i++) {
        TRY(bind_when(ctx, e, 2 * i, &b->args[2 * i], err));
        TRY(bind_node(ctx, e->args[2 * i + 1], &results[i], err));
    }
    if (e->right) {
        TRY(bind_node(ctx, e->right, &results[pairs], err));
    } else {
        struct value null = value_null(coltype_of(LAM_TYPE_NULL));
        TRY(bound_new_constant(ctx->arena, &null, &results[pairs], err));
    }
    TRY(bind_common(ctx, results, n, "CASE", &type, err));
    b->type = type;
    for (uint32_t i = 0; i < pairs; i++)
        b->args[2 * i + 1] = results[i];
    b->args[2 * pairs] = results[pairs];
    return bound_finish(ctx, out, err);
}
