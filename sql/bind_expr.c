/* SPDX-License-Identifier: Apache-2.0
 *
 * From syntax trees to bound expressions: columns, literals, parameters and the walk over the rest;
 * operators and calls have files of their own. */
#include "base/assert.h"
#include "sql/bound_node.h"

/* --- columns --- */

static bool is_meant(const struct scope_column *c, const struct expr *e) {
    if (!slice_eq(c->name, e->name))
        return false;
    return e->table.size ? slice_eq(c->table, e->table) : !c->qualified_only;
}

int scope_find(const struct scope *scope, const struct expr *column) {
    int found = -1;
    for (uint32_t i = 0; scope && i < scope->count; i++)
        if (is_meant(&scope->columns[i], column)) {
            if (found >= 0)
                return -2;
            found = (int)i;
        }
    return found;
}

static bool has_table(const struct scope *scope, struct lam_slice table) {
    for (uint32_t i = 0; scope && i < scope->count; i++)
        if (slice_eq(scope->columns[i].table, table))
            return true;
    return false;
}

static enum lam_code fail_column(struct bind_context *ctx, const struct expr *e,
                                 struct lam_error *err) {
    const struct scope *scope = ctx->scope;
    uint32_t count = scope ? scope->count : 0;
    if (e->table.size && !has_table(scope, e->table))
        return ERR_SQL(err, "42P01", e->pos, "missing FROM entry for table \"%.*s\"",
                       (int)e->table.size, (const char *)e->table.data);
    enum lam_code rc = ERR_SQL(err, "42703", e->pos, "column \"%.*s\" does not exist",
                               (int)e->name.size, (const char *)e->name.data);
    struct lam_slice *names = arena_calloc(ctx->arena, count + 1, sizeof *names), near;
    if (!names)
        return mem_fail(err, count * sizeof *names);
    for (uint32_t i = 0; i < count; i++)
        names[i] = scope->columns[i].name;
    if (nearest_name(e->name, names, count, &near))
        return error_hint(err, rc, "did you mean \"%.*s\"?", (int)near.size,
                          (const char *)near.data);
    return rc;
}

static enum lam_code bind_column(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                 struct lam_error *err) {
    int i = scope_find(ctx->scope, e);
    if (i == -2)
        return ERR_SQL(err, "42702", e->pos, "column reference \"%.*s\" is ambiguous",
                       (int)e->name.size, (const char *)e->name.data);
    if (i < 0)
        return fail_column(ctx, e, err);
    if (ctx->grouped && !ctx->inside_aggregate)
        return ERR_SQL(err, "42803", e->pos,
                       "column \"%.*s\" must appear in GROUP BY or in an aggregate function",
                       (int)e->name.size, (const char *)e->name.data);
    const struct scope_column *c = &ctx->scope->columns[i];
    TRY(bound_new(ctx->arena, BOUND_COLUMN, c->type, e->pos, 0, out, err));
    (*out)->index = c->column;
    (*out)->row_free = false;
    return LAM_OK;
}

bool scope_same_column(void *arg, const struct expr *a, const struct expr *b) {
    const struct scope *scope = arg;
    int i = scope_find(scope, a);
    return i >= 0 && i == scope_find(scope, b);
}

/* The output column of an aggregation that the expression is, if it is one. */
static enum lam_code find_group(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                struct lam_error *err) {
    for (uint32_t i = 0; i < ctx->group_count; i++) {
        if (!expr_same_by(ctx->group_exprs[i], e, scope_same_column, (void *)ctx->scope))
            continue;
        struct bind_context input = *ctx;
        struct bound *b = NULL;
        input.grouped = input.allow_aggregates = false;
        TRY(bind_expr(&input, ctx->group_exprs[i], &b, err));
        TRY(bound_new_column(ctx->arena, i, b->type, out, err));
        (*out)->pos = e->pos;
        return LAM_OK;
    }
    return LAM_OK;
}

/* --- leaves --- */

static enum lam_code bind_literal(struct bind_context *ctx, const struct expr *e,
                                  struct bound **out, struct lam_error *err) {
    TRY(bound_new(ctx->arena, BOUND_CONSTANT, e->literal.type, e->pos, 0, out, err));
    (*out)->constant = e->literal;
    (*out)->untyped = e->untyped;
    return LAM_OK;
}

static enum lam_code bind_parameter(struct bind_context *ctx, const struct expr *e,
                                    struct bound **out, struct lam_error *err) {
    if (e->parameter > ctx->parameter_count)
        return ERR_SQL(err, "42P02", e->pos, "there is no parameter $%u", e->parameter);
    struct coltype type = ctx->parameter_types[e->parameter - 1];
    TRY(bound_new(ctx->arena, BOUND_PARAMETER, type, e->pos, 0, out, err));
    (*out)->index = e->parameter - 1;
    (*out)->reads_run = true;
    return LAM_OK;
}

/* --- logic --- */

/* An operand that must be BOOLEAN. */
static enum lam_code bind_boolean(struct bind_context *ctx, const struct expr *e, const char *what,
                                  struct bound **out, struct lam_error *err) {
    char type[40];
    TRY(bind_node(ctx, e, out, err));
    if (bound_unknown(*out))
        return bind_coerce(ctx, out, coltype_of(LAM_TYPE_BOOLEAN), CAST_IMPLICIT, err);
    if ((*out)->type.type != LAM_TYPE_BOOLEAN)
        return ERR_SQL(err, "42804", e->pos, "argument of %s must be of type BOOLEAN, not %s", what,
                       bound_type_text(*out, type));
    return LAM_OK;
}

static uint32_t chain_size(const struct expr *e, enum expr_op op) {
    if (e->kind != EXPR_BINARY || e->op != op)
        return 1;
    return chain_size(e->left, op) + chain_size(e->right, op);
}

static enum lam_code bind_chain(struct bind_context *ctx, const struct expr *e, enum expr_op op,
                                struct bound *list, uint32_t *count, struct lam_error *err) {
    if (e->kind == EXPR_BINARY && e->op == op) {
        TRY(bind_chain(ctx, e->left, op, list, count, err));
        return bind_chain(ctx, e->right, op, list, count, err);
    }
    return bind_boolean(ctx, e, op == OP_AND ? "AND" : "OR", &list->args[(*count)++], err);
}

/* x BETWEEN a AND b bound inside an AND gives its two comparisons to the AND. */
static enum lam_code flatten(struct bind_context *ctx, struct bound **out, struct lam_error *err) {
    struct bound *n = *out, *flat = NULL;
    uint32_t total = 0, at = 0;
    for (uint32_t i = 0; i < n->arg_count; i++)
        total += n->args[i]->kind == n->kind ? n->args[i]->arg_count : 1;
    if (total == n->arg_count)
        return LAM_OK;
    TRY(bound_new(ctx->arena, n->kind, n->type, n->pos, total, &flat, err));
    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (n->args[i]->kind != n->kind) {
            flat->args[at++] = n->args[i];
            continue;
        }
        for (uint32_t k = 0; k < n->args[i]->arg_count; k++)
            flat->args[at++] = n->args[i]->args[k];
    }
    *out = flat;
    return LAM_OK;
}

static enum lam_code bind_logic(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                struct lam_error *err) {
    uint32_t count = 0;
    TRY(bound_new(ctx->arena, e->op == OP_AND ? BOUND_AND : BOUND_OR, coltype_of(LAM_TYPE_BOOLEAN),
                  e->pos, chain_size(e, e->op), out, err));
    TRY(bind_chain(ctx, e, e->op, *out, &count, err));
    LAM_ASSERT(count == (*out)->arg_count);
    TRY(flatten(ctx, out, err));
    return bound_finish(ctx, out, err);
}

static enum lam_code bind_not(struct bind_context *ctx, const struct expr *e, struct bound **out,
                              struct lam_error *err) {
    TRY(bound_new(ctx->arena, BOUND_NOT, coltype_of(LAM_TYPE_BOOLEAN), e->pos, 1, out, err));
    TRY(bind_boolean(ctx, e->left, "NOT", &(*out)->args[0], err));
    return bound_finish(ctx, out, err);
}

static enum lam_code bind_is(struct bind_context *ctx, const struct expr *e, struct bound **out,
                             struct lam_error *err) {
    bool null_test = e->kind == EXPR_IS_NULL;
    TRY(bound_new(ctx->arena, null_test ? BOUND_IS_NULL : BOUND_IS_BOOL,
                  coltype_of(LAM_TYPE_BOOLEAN), e->pos, 1, out, err));
    (*out)->op = e->op;
    (*out)->negated = e->negated;
    if (!null_test)
        TRY(bind_boolean(ctx, e->left, "IS", &(*out)->args[0], err));
    else
        TRY(bind_node(ctx, e->left, &(*out)->args[0], err));
    if (bound_unknown((*out)->args[0]))
        TRY(bind_coerce(ctx, &(*out)->args[0], coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err));
    return bound_finish(ctx, out, err);
}

static enum lam_code bind_binary(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                 struct lam_error *err) {
    static const char *const signs[] = {
        [OP_CONCAT] = "||", [OP_JSON_GET] = "->", [OP_JSON_TEXT] = "->>", [OP_JSON_HAS] = "?"};
    struct bound *args[2];
    if (e->op == OP_AND || e->op == OP_OR)
        return bind_logic(ctx, e, out, err);
    TRY(bind_node(ctx, e->left, &args[0], err));
    TRY(bind_node(ctx, e->right, &args[1], err));
    switch (e->op) {
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_POW:
        return bind_arith(ctx, e->op, e->pos, args[0], args[1], out, err);
    case OP_CONCAT:
    case OP_JSON_GET:
    case OP_JSON_TEXT:
    case OP_JSON_HAS:
        return bind_function(ctx, lam_slice_str(signs[e->op]), args, 2, e->pos, out, err);
    default:
        return bind_compare(ctx, e->op, e->pos, args[0], args[1], out, err);
    }
}

static enum lam_code bind_distinct(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err) {
    TRY(bound_new(ctx->arena, BOUND_DISTINCT, coltype_of(LAM_TYPE_BOOLEAN), e->pos, 2, out, err));
    (*out)->negated = e->negated;
    struct bound **args = (*out)->args;
    TRY(bind_node(ctx, e->left, &args[0], err));
    TRY(bind_node(ctx, e->right, &args[1], err));
    TRY(bind_pair(ctx, &args[0], &args[1], "IS DISTINCT FROM", e->pos, err));
    return bound_finish(ctx, out, err);
}

/* NOT x BETWEEN a AND b is NOT (x >= a AND x <= b). */
static enum lam_code bind_between(struct bind_context *ctx, const struct expr *e,
                                  struct bound **out, struct lam_error *err) {
    struct bound *x = NULL, *limit = NULL, *both = NULL;
    TRY(bound_new(ctx->arena, BOUND_AND, coltype_of(LAM_TYPE_BOOLEAN), e->pos, 2, &both, err));
    for (int i = 0; i < 2; i++) {
        /* Bound once for each side, as PostgreSQL does: the sides may meet it at other types. */
        TRY(bind_node(ctx, e->left, &x, err));
        TRY(bind_node(ctx, e->args[i], &limit, err));
        TRY(bind_compare(ctx, i == 0 ? OP_GE : OP_LE, e->pos, x, limit, &both->args[i], err));
    }
    *out = both;
    TRY(bound_finish(ctx, out, err));
    if (!e->negated)
        return LAM_OK;
    both = *out;
    TRY(bound_new(ctx->arena, BOUND_NOT, coltype_of(LAM_TYPE_BOOLEAN), e->pos, 1, out, err));
    (*out)->args[0] = both;
    return bound_finish(ctx, out, err);
}

static enum lam_code bind_cast(struct bind_context *ctx, const struct expr *e, struct bound **out,
                               struct lam_error *err) {
    struct bound *x = NULL;
    char from[40], to[40];
    TRY(bind_node(ctx, e->left, &x, err));
    coltype_name(e->type, to);
    if (bound_unknown(x) && (e->op != OP_TRY || x->kind == BOUND_PARAMETER)) {
        /* 'text'::VARCHAR(2) cuts, which reading the literal would refuse. */
        bool cut = e->type.type == LAM_TYPE_TEXT && e->type.length > 0;
        TRY(bind_coerce(ctx, &x, cut ? coltype_of(LAM_TYPE_TEXT) : e->type, CAST_EXPLICIT, err));
    } else if (bound_unknown(x)) {
        TRY(bind_coerce(ctx, &x, coltype_of(LAM_TYPE_TEXT), CAST_EXPLICIT, err));
    }
    if (!cast_allowed(x->type.type, e->type.type, CAST_EXPLICIT))
        return ERR_SQL(err, "42846", e->pos, "cannot cast type %s to %s", bound_type_text(x, from),
                       to);
    if (coltype_eq(x->type, e->type)) {
        *out = x;
        return LAM_OK;
    }
    TRY(bound_new(ctx->arena, BOUND_CAST, e->type, e->pos, 1, out, err));
    (*out)->op = e->op;
    (*out)->cast = CAST_EXPLICIT;
    (*out)->args[0] = x;
    return bound_finish(ctx, out, err);
}

static enum lam_code bind_unary(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                struct lam_error *err) {
    return e->op == OP_NOT ? bind_not(ctx, e, out, err) : bind_negative(ctx, e, out, err);
}

enum lam_code bind_node(struct bind_context *ctx, const struct expr *e, struct bound **out,
                        struct lam_error *err) {
    *out = NULL;
    if (ctx->grouped && !ctx->inside_aggregate && e->kind != EXPR_LITERAL) {
        TRY(find_group(ctx, e, out, err));
        if (*out)
            return LAM_OK;
    }
    switch (e->kind) {
    case EXPR_LITERAL:
        return bind_literal(ctx, e, out, err);
    case EXPR_PARAMETER:
        return bind_parameter(ctx, e, out, err);
    case EXPR_COLUMN:
        return bind_column(ctx, e, out, err);
    case EXPR_STAR:
        return ERR_SQL(err, "42601", e->pos, "* stands only in a select list or in count(*)");
    case EXPR_UNARY:
        return bind_unary(ctx, e, out, err);
    case EXPR_BINARY:
        return bind_binary(ctx, e, out, err);
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
        return bind_is(ctx, e, out, err);
    case EXPR_DISTINCT:
        return bind_distinct(ctx, e, out, err);
    case EXPR_BETWEEN:
        return bind_between(ctx, e, out, err);
    case EXPR_IN:
        return bind_in(ctx, e, out, err);
    case EXPR_LIKE:
        return bind_like(ctx, e, out, err);
    case EXPR_CASE:
        return bind_case(ctx, e, out, err);
    case EXPR_CAST:
        return bind_cast(ctx, e, out, err);
    case EXPR_CALL:
        return bind_call(ctx, e, out, err);
    case EXPR_SUBQUERY:
        break;
    }
    UNREACHABLE();
}

enum lam_code bind_expr(struct bind_context *ctx, const struct expr *e, struct bound **out,
                        struct lam_error *err) {
    TRY(bind_node(ctx, e, out, err));
    if (bound_unknown(*out))
        return bind_coerce(ctx, out, coltype_of(LAM_TYPE_TEXT), CAST_IMPLICIT, err);
    return LAM_OK;
}

/* WHERE and its like: written in capitals, unlike columns. */
static bool is_clause(const char *what) {
    return what && what[0] >= 'A' && what[0] <= 'Z';
}

enum lam_code bind_expr_as(struct bind_context *ctx, const struct expr *e, struct coltype type,
                           const char *what, struct bound **out, struct lam_error *err) {
    char from[40], to[40];
    enum lam_code rc;
    TRY(bind_node(ctx, e, out, err));
    if (bound_unknown(*out))
        return bind_coerce(ctx, out, type, CAST_ASSIGNMENT, err);
    if ((*out)->type.type == type.type ||
        cast_allowed((*out)->type.type, type.type, CAST_ASSIGNMENT))
        return bind_coerce(ctx, out, type, CAST_ASSIGNMENT, err);
    coltype_name(type, to);
    bound_type_text(*out, from);
    if (is_clause(what))
        return ERR_SQL(err, "42804", e->pos, "argument of %s must be of type %s, not %s", what, to,
                       from);
    rc = ERR_SQL(err, "42804", e->pos,
                 "column \"%s\" is of type %s but the expression is of type %s", what ? what : "?",
                 to, from);
    return error_hint(err, rc, "convert it: CAST(x AS %s)", to);
}
