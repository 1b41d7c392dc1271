/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: overloads of the function table, forms that are no functions (COALESCE, NULLIF), and
 * aggregates. */
#include <stdio.h>

#include "base/assert.h"
#include "sql/bound_node.h"

static const struct func_table *const tables[] = {
    &func_text_table, &func_math_table, &func_time_table, &func_json_table, &func_session_table};

const struct func *func_at(size_t i) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        if (i < tables[t]->count)
            return &tables[t]->funcs[i];
        i -= tables[t]->count;
    }
    return NULL;
}

/* --- overloads --- */

#define NO_MATCH UINT32_MAX

static enum lam_type parameter_of(const struct func *f, uint32_t i) {
    return (enum lam_type)f->args[i < f->arg_count ? i : f->arg_count - 1u];
}

/* How far the operands are from what the function takes: 0 is exact. */
static uint32_t match_cost(const struct func *f, struct bound *const *args, uint32_t count) {
    uint32_t cost = 0;
    if (count != f->arg_count && !((f->flags & FUNC_VARIADIC) && count > f->arg_count))
        return NO_MATCH;
    for (uint32_t i = 0; i < count; i++) {
        enum lam_type want = parameter_of(f, i), have = args[i]->type.type;
        if (want == LAM_TYPE_NULL)
            cost += 2;
        else if (bound_unknown(args[i]))
            cost += 1;
        else if (have == want)
            cost += 0;
        else if (cast_allowed(have, want, CAST_IMPLICIT))
            cost += 3 + (want > have ? (uint32_t)(want - have) : 0);
        else
            return NO_MATCH;
    }
    return cost;
}

static enum lam_code fail_call(struct bind_context *ctx, struct lam_slice name,
                               struct bound *const *args, uint32_t count, bool known, uint32_t pos,
                               struct lam_error *err) {
    struct buf text = {0};
    const char *list = "";
    char type[40];
    for (uint32_t i = 0; i < count && i < 8; i++)
        IGNORE(
            buf_append_format(&text, NULL, "%s%s", i ? ", " : "", bound_type_text(args[i], type)),
            "only a message");
    if (buf_cstr(&text, &list, NULL) != LAM_OK)
        list = "";
    enum lam_code rc =
        ERR_SQL(err, "42883", pos, "function %.*s(%s) does not exist",
                (int)(name.size < 64 ? name.size : 64), (const char *)name.data, list);
    buf_fini(&text);
    if (known)
        return error_hint(err, rc, "no form of the function takes these types; a CAST may help");
    size_t n = 0;
    while (func_at(n))
        n++;
    struct lam_slice *names = arena_calloc(ctx->arena, n, sizeof *names), near;
    if (!names)
        return mem_fail(err, n * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = lam_slice_str(func_at(i)->name);
    if (nearest_name(name, names, n, &near))
        return error_hint(err, rc, "did you mean %.*s?", (int)near.size, (const char *)near.data);
    return rc;
}

/* Result of round(x[, n]) and its like on DECIMAL. */
static struct coltype round_type(struct bound *const *args, uint32_t count) {
    struct coltype type = args[0]->type;
    unsigned whole = (unsigned)(type.precision - type.scale), scale = 0;
    struct value n;
    if (count > 1) {
        scale = type.scale;
        if (bound_constant(args[1], &n) && !n.is_null && n.type.type == LAM_TYPE_BIGINT)
            scale = n.as.i64 < 0                       ? 0
                    : n.as.i64 > DECIMAL_PRECISION_MAX ? DECIMAL_PRECISION_MAX
                                                       : (unsigned)n.as.i64;
    }
    unsigned precision = whole + scale + 1;
    if (precision > DECIMAL_PRECISION_MAX)
        precision = DECIMAL_PRECISION_MAX;
    type.precision = (uint8_t)precision;
    type.scale = (uint8_t)scale;
    return type;
}

static enum lam_code coerce_args(struct bind_context *ctx, const struct func *f,
                                 struct bound **args, uint32_t count, struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        enum lam_type want = parameter_of(f, i);
        struct coltype to = coltype_of(want);
        if (want == LAM_TYPE_NULL) {
            if (!bound_unknown(args[i]) || f->result_rule == RESULT_COMMON)
                continue;
            to = coltype_of(LAM_TYPE_TEXT);
        } else if (want == LAM_TYPE_DECIMAL) {
            if (args[i]->type.type == LAM_TYPE_DECIMAL)
                continue;
            to = bound_unknown(args[i]) ? (struct coltype){.type = LAM_TYPE_DECIMAL,
                                                           .precision = DECIMAL_PRECISION_MAX}
                                        : decimal_of(args[i]->type);
        }
        TRY(bind_coerce(ctx, &args[i], to, CAST_IMPLICIT, err));
    }
    return LAM_OK;
}

static enum lam_code new_call(struct bind_context *ctx, const struct func *f, struct bound **args,
                              uint32_t count, uint32_t pos, struct bound **out,
                              struct lam_error *err) {
    struct coltype type = coltype_of((enum lam_type)f->result);
    TRY(coerce_args(ctx, f, args, count, err));
    if (f->result_rule == RESULT_ARG)
        type = args[0]->type;
    else if (f->result_rule == RESULT_ROUND)
        type = round_type(args, count);
    else if (f->result_rule == RESULT_COMMON)
        TRY(bind_common(ctx, args, count, f->name, &type, err));
    TRY(bound_new(ctx->arena, BOUND_CALL, type, pos, count, out, err));
    (*out)->func = f;
    if (count)
        memcpy((*out)->args, args, count * sizeof *args);
    return bound_finish(ctx, out, err);
}

enum lam_code bind_function(struct bind_context *ctx, struct lam_slice name, struct bound **args,
                            uint32_t count, uint32_t pos, struct bound **out,
                            struct lam_error *err) {
    const struct func *best = NULL;
    uint32_t best_cost = NO_MATCH;
    bool known = false;
    if (count > CALL_ARGS_MAX)
        return ERR_SQL(err, "54023", pos, "a call has at most %d arguments", CALL_ARGS_MAX);
    for (size_t i = 0; func_at(i); i++) {
        const struct func *f = func_at(i);
        if (!slice_eq_str(name, f->name))
            continue;
        known = true;
        uint32_t cost = match_cost(f, args, count);
        if (cost < best_cost) {
            best_cost = cost;
            best = f;
        }
    }
    if (!best)
        return fail_call(ctx, name, args, count, known, pos, err);
    return new_call(ctx, best, args, count, pos, out, err);
}

/* --- forms --- */

static enum lam_code bind_args(struct bind_context *ctx, const struct expr *e, struct bound ***out,
                               struct lam_error *err) {
    *out = arena_calloc(ctx->arena, e->arg_count + 1u, sizeof **out);
    if (!*out)
        return mem_fail(err, e->arg_count * sizeof **out);
    for (uint32_t i = 0; i < e->arg_count; i++)
        TRY(bind_node(ctx, e->args[i], &(*out)[i], err));
    return LAM_OK;
}

static enum lam_code bind_coalesce(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err) {
    struct bound **args = NULL;
    struct coltype type;
    if (e->arg_count == 0)
        return ERR_SQL(err, "42883", e->pos, "COALESCE needs an argument");
    TRY(bind_args(ctx, e, &args, err));
    TRY(bind_common(ctx, args, e->arg_count, "COALESCE", &type, err));
    TRY(bound_new(ctx->arena, BOUND_COALESCE, type, e->pos, e->arg_count, out, err));
    memcpy((*out)->args, args, e->arg_count * sizeof *args);
    return bound_finish(ctx, out, err);
}

/* NULLIF(a, b) is CASE WHEN a = b THEN NULL ELSE a END. */
static enum lam_code bind_nullif(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                 struct lam_error *err) {
    struct bound **args = NULL, *test = NULL, *null = NULL, *a = NULL;
    if (e->arg_count != 2)
        return ERR_SQL(err, "42883", e->pos, "NULLIF takes two arguments");
    TRY(bind_args(ctx, e, &args, err));
    TRY(bind_compare(ctx, OP_EQ, e->pos, args[0], args[1], &test, err));
    TRY(bind_node(ctx, e->args[0], &a, err));
    if (bound_unknown(a))
        TRY(bind_coerce(ctx, &a, coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err));
    struct value nothing = value_null(a->type);
    TRY(bound_new_constant(ctx->arena, &nothing, &null, err));
    TRY(bound_new(ctx->arena, BOUND_CASE, a->type, e->pos, 3, out, err));
    (*out)->args[0] = test;
    (*out)->args[1] = null;
    (*out)->args[2] = a;
    return bound_finish(ctx, out, err);
}

/* --- aggregates --- */

static const struct {
    const char *name;
    enum aggregate_kind kind;
    uint32_t args;
} aggregate_names[] = {
    {"count", AGG_COUNT, 1},    {"sum", AGG_SUM, 1},         {"avg", AGG_AVG, 1},
    {"min", AGG_MIN, 1},        {"max", AGG_MAX, 1},         {"bool_and", AGG_BOOL_AND, 1},
    {"every", AGG_BOOL_AND, 1}, {"bool_or", AGG_BOOL_OR, 1}, {"string_agg", AGG_STRING_AGG, 2},
};
#define AGGREGATES (sizeof aggregate_names / sizeof aggregate_names[0])

static size_t find_aggregate(struct lam_slice name) {
    size_t i = 0;
    while (i < AGGREGATES && !slice_eq_str(name, aggregate_names[i].name))
        i++;
    return i;
}

bool bind_is_aggregate(struct lam_slice name) {
    return find_aggregate(name) < AGGREGATES;
}

static enum lam_code fail_argument(const char *name, const struct bound *x, uint32_t pos,
                                   struct lam_error *err) {
    char type[40];
    return ERR_SQL(err, "42883", pos, "function %s(%s) does not exist", name,
                   bound_type_text(x, type));
}

#define AVG_SCALE 6

/* Settles argument and result types. */
static enum lam_code type_aggregate(struct bind_context *ctx, struct bound_aggregate *a,
                                    const char *name, struct lam_error *err) {
    struct bound **x = &a->argument;
    if (bound_unknown(*x)) {
        bool text = a->kind == AGG_STRING_AGG || a->kind == AGG_MIN || a->kind == AGG_MAX ||
                    a->kind == AGG_COUNT;
        bool logic = a->kind == AGG_BOOL_AND || a->kind == AGG_BOOL_OR;
        TRY(bind_coerce(ctx, x,
                        coltype_of(text    ? LAM_TYPE_TEXT
                                   : logic ? LAM_TYPE_BOOLEAN
                                           : LAM_TYPE_DOUBLE),
                        CAST_IMPLICIT, err));
    }
    struct coltype type = (*x)->type;
    switch (a->kind) {
    case AGG_COUNT_STAR:
    case AGG_COUNT:
        a->type = coltype_of(LAM_TYPE_BIGINT);
        return LAM_OK;
    case AGG_SUM:
    case AGG_AVG:
        if (!coltype_is_number(type.type))
            return fail_argument(name, *x, a->pos, err);
        a->type = coltype_of(a->kind == AGG_SUM && coltype_is_integer(type.type) ? LAM_TYPE_BIGINT
                                                                                 : LAM_TYPE_DOUBLE);
        if (type.type == LAM_TYPE_DECIMAL) {
            unsigned scale = type.scale + (a->kind == AGG_AVG ? AVG_SCALE : 0u);
            a->type = (struct coltype){
                .type = LAM_TYPE_DECIMAL,
                .precision = DECIMAL_PRECISION_MAX,
                .scale = (uint8_t)(scale > DECIMAL_PRECISION_MAX ? DECIMAL_PRECISION_MAX : scale)};
        }
        return LAM_OK;
    case AGG_MIN:
    case AGG_MAX:
        a->type = type;
        return LAM_OK;
    case AGG_BOOL_AND:
    case AGG_BOOL_OR:
        a->type = coltype_of(LAM_TYPE_BOOLEAN);
        return type.type == LAM_TYPE_BOOLEAN ? LAM_OK : fail_argument(name, *x, a->pos, err);
    case AGG_STRING_AGG:
        a->type = coltype_of(LAM_TYPE_TEXT);
        if (bound_unknown(a->argument2))
            TRY(bind_coerce(ctx, &a->argument2, coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err));
        if (a->argument2->type.type != LAM_TYPE_TEXT)
            return fail_argument(name, a->argument2, a->pos, err);
        return type.type == LAM_TYPE_TEXT ? LAM_OK : fail_argument(name, *x, a->pos, err);
    }
    UNREACHABLE();
}

/* Binds argument, separator and filter over the input rows. */
static enum lam_code bind_aggregate_args(struct bind_context *ctx, const struct expr *e,
                                         struct bound_aggregate *a, const char *name,
                                         struct lam_error *err) {
    ctx->inside_aggregate = true;
    if (a->kind != AGG_COUNT_STAR) {
        TRY(bind_node(ctx, e->args[0], &a->argument, err));
        if (e->arg_count > 1)
            TRY(bind_node(ctx, e->args[1], &a->argument2, err));
        TRY(type_aggregate(ctx, a, name, err));
    } else {
        a->type = coltype_of(LAM_TYPE_BIGINT);
    }
    if (e->right)
        TRY(bind_expr_as(ctx, e->right, coltype_of(LAM_TYPE_BOOLEAN), "FILTER", &a->filter, err));
    ctx->inside_aggregate = false;
    return LAM_OK;
}

static enum lam_code add_aggregate(struct bind_context *ctx, struct bound_aggregate *a,
                                   struct lam_error *err) {
    if (ctx->aggregate_count == ctx->aggregate_capacity) {
        uint32_t capacity = ctx->aggregate_capacity ? ctx->aggregate_capacity * 2 : 4;
        struct bound_aggregate **list = arena_calloc(ctx->arena, capacity, sizeof *list);
        if (!list)
            return mem_fail(err, capacity * sizeof *list);
        if (ctx->aggregate_count)
            memcpy(list, ctx->aggregates, ctx->aggregate_count * sizeof *list);
        ctx->aggregates = list;
        ctx->aggregate_capacity = capacity;
    }
    ctx->aggregates[ctx->aggregate_count++] = a;
    return LAM_OK;
}

static enum lam_code check_aggregate(struct bind_context *ctx, const struct expr *e, size_t which,
                                     struct lam_error *err) {
    const char *name = aggregate_names[which].name;
    if (ctx->inside_aggregate)
        return ERR_SQL(err, "42803", e->pos, "aggregate functions can't be nested");
    if (!ctx->allow_aggregates)
        return ERR_SQL(err, "42803", e->pos, "aggregate function %s is not allowed here", name);
    bool star = e->arg_count == 1 && e->args[0]->kind == EXPR_STAR;
    if (star && (aggregate_names[which].kind != AGG_COUNT || e->distinct))
        return ERR_SQL(err, "42883", e->pos, "%s%s(*) does not exist", name,
                       e->distinct ? " DISTINCT" : "");
    if (e->arg_count != aggregate_names[which].args)
        return ERR_SQL(err, "42883", e->pos, "aggregate function %s takes %u argument%s", name,
                       aggregate_names[which].args, aggregate_names[which].args == 1 ? "" : "s");
    return LAM_OK;
}

static enum lam_code bind_aggregate(struct bind_context *ctx, const struct expr *e, size_t which,
                                    struct bound **out, struct lam_error *err) {
    uint32_t index = 0;
    TRY(check_aggregate(ctx, e, which, err));
    while (index < ctx->aggregate_count &&
           !expr_same_by(ctx->aggregates[index]->source, e, scope_same_column, (void *)ctx->scope))
        index++;
    if (index == ctx->aggregate_count) {
        struct bound_aggregate *a = arena_alloc(ctx->arena, sizeof *a);
        if (!a)
            return mem_fail(err, sizeof *a);
        a->kind = e->args[0]->kind == EXPR_STAR ? AGG_COUNT_STAR : aggregate_names[which].kind;
        a->pos = e->pos;
        a->source = e;
        /* The smallest of distinct values is the smallest of all. */
        a->distinct = e->distinct && a->kind != AGG_MIN && a->kind != AGG_MAX &&
                      a->kind != AGG_BOOL_AND && a->kind != AGG_BOOL_OR;
        TRY(bind_aggregate_args(ctx, e, a, aggregate_names[which].name, err));
        TRY(add_aggregate(ctx, a, err));
    }
    TRY(bound_new_column(ctx->arena, ctx->group_count + index, ctx->aggregates[index]->type, out,
                         err));
    (*out)->pos = e->pos;
    return LAM_OK;
}

enum lam_code bind_call(struct bind_context *ctx, const struct expr *e, struct bound **out,
                        struct lam_error *err) {
    struct bound **args = NULL;
    size_t which = find_aggregate(e->name);
    if (which < AGGREGATES)
        return bind_aggregate(ctx, e, which, out, err);
    if (e->distinct || e->right)
        return ERR_SQL(err, "42809", e->pos, "%s is for aggregate functions, which %.*s is not",
                       e->distinct ? "DISTINCT" : "FILTER",
                       (int)(e->name.size < 64 ? e->name.size : 64), (const char *)e->name.data);
    if (slice_eq_str(e->name, "coalesce") ||
        ((slice_eq_str(e->name, "ifnull") || slice_eq_str(e->name, "nvl")) && e->arg_count == 2))
        return bind_coalesce(ctx, e, out, err);
    if (slice_eq_str(e->name, "nullif"))
        return bind_nullif(ctx, e, out, err);
    TRY(bind_args(ctx, e, &args, err));
    return bind_function(ctx, e->name, args, e->arg_count, e->pos, out, err);
}
