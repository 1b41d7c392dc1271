/* SPDX-License-Identifier: Apache-2.0
 *
 * SELECT: stars, grouping, output names, sort keys. */
#include "base/arena.h"
#include "base/assert.h"
#include "sql/plan.h"

/* Whether a tree calls an aggregate function; arguments of one are not looked into. */
static bool has_aggregate(const struct expr *e) {
    if (!e)
        return false;
    if (e->kind == EXPR_CALL && bind_is_aggregate(e->name))
        return true;
    if (has_aggregate(e->left) || has_aggregate(e->right))
        return true;
    for (uint32_t i = 0; i < e->arg_count; i++)
        if (has_aggregate(e->args[i]))
            return true;
    return false;
}

static bool star_matches(const struct expr *star, const struct scope_column *c) {
    return star->table.size == 0 || slice_eq(star->table, c->table);
}

static enum lam_code expand_star(struct planner *pl, const struct table_ref *ref,
                                 const struct expr *star, struct select_item *out, uint32_t *count,
                                 struct lam_error *err) {
    uint32_t before = *count;
    for (uint32_t i = 0; i < ref->scope.count; i++) {
        const struct scope_column *c = &ref->scope.columns[i];
        if (c->hidden || !star_matches(star, c))
            continue;
        struct expr *e = arena_alloc(pl->arena, sizeof *e);
        if (!e)
            return plan_out_of_memory(err);
        *e = (struct expr){
            .kind = EXPR_COLUMN, .pos = star->pos, .table = c->table, .name = c->name};
        out[(*count)++] = (struct select_item){.expr = e};
    }
    if (*count > before)
        return LAM_OK;
    if (star->table.size > 0)
        return ERR_SQL(err, "42P01", star->pos, "missing FROM entry for table \"%.*s\"",
                       (int)star->table.size, (const char *)star->table.data);
    return ERR_SQL(err, "42601", star->pos, "SELECT * needs a FROM");
}

enum lam_code plan_expand_items(struct planner *pl, const struct table_ref *ref,
                                const struct select_item *items, uint32_t count,
                                struct select_item **out, uint32_t *count_out,
                                struct lam_error *err) {
    /* A star gives at most this many; the list is full before it can pass its end. */
    size_t most = ref->scope.count + 1, room = 0;
    for (uint32_t i = 0; i < count && room <= SELECT_LIST_MAX; i++)
        room += items[i].expr->kind == EXPR_STAR ? most : 1;
    *out = arena_calloc(pl->arena, room + most, sizeof **out);
    if (!*out)
        return plan_out_of_memory(err);
    *count_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (*count_out > SELECT_LIST_MAX)
            break;
        if (items[i].expr->kind == EXPR_STAR)
            TRY(expand_star(pl, ref, items[i].expr, *out, count_out, err));
        else
            (*out)[(*count_out)++] = items[i];
    }
    if (*count_out <= SELECT_LIST_MAX)
        return LAM_OK;
    return ERR_SQL(err, "54011", items[0].expr->pos, "a query has at most %d result columns",
                   SELECT_LIST_MAX);
}

/* The select being planned. */
struct work {
    struct planner *pl;
    const struct select_stmt *ast;
    struct select_plan *plan;
    struct select_item *items; /* expanded */
    uint32_t item_count;
    const struct expr **groups; /* resolved: ordinals and aliases replaced */
    struct bind_context ctx;    /* of outputs */
};

static bool ordinal_of(const struct expr *e, int64_t *out) {
    if (e->kind != EXPR_LITERAL || e->literal.is_null || !coltype_is_integer(e->literal.type.type))
        return false;
    *out = e->literal.as.i64;
    return true;
}

static bool names_input(const struct work *w, struct lam_slice name) {
    const struct scope *scope = &w->plan->source.ref.scope;
    for (uint32_t i = 0; i < scope->count; i++)
        if (slice_eq(scope->columns[i].name, name))
            return true;
    return false;
}

static enum lam_code item_by_alias(const struct work *w, const struct expr *e, const char *what,
                                   int *item_out, struct lam_error *err) {
    *item_out = -1;
    if (e->kind != EXPR_COLUMN || e->table.size > 0)
        return LAM_OK;
    for (uint32_t i = 0; i < w->item_count; i++) {
        if (w->items[i].alias.size == 0 || !slice_eq(w->items[i].alias, e->name))
            continue;
        if (*item_out >= 0 && !expr_same(w->items[*item_out].expr, w->items[i].expr))
            return ERR_SQL(err, "42702", e->pos, "%s \"%.*s\" is ambiguous", what,
                           (int)e->name.size, (const char *)e->name.data);
        if (*item_out < 0)
            *item_out = (int)i;
    }
    return LAM_OK;
}

static enum lam_code item_by_ordinal(const struct work *w, const struct expr *e, const char *what,
                                     int *item_out, struct lam_error *err) {
    int64_t n;
    *item_out = -1;
    if (!ordinal_of(e, &n))
        return LAM_OK;
    if (n < 1 || n > w->item_count)
        return ERR_SQL(err, "42P10", e->pos, "%s position %lld is not in the select list", what,
                       (long long)n);
    *item_out = (int)n - 1;
    return LAM_OK;
}

/* GROUP BY 1 and GROUP BY alias mean the output; a column of the table wins over an alias. */
static enum lam_code resolve_groups(struct work *w, struct lam_error *err) {
    const struct select_stmt *ast = w->ast;
    w->groups = arena_calloc(w->pl->arena, ast->group_count + 1, sizeof *w->groups);
    if (!w->groups)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < ast->group_count; i++) {
        const struct expr *e = ast->group[i];
        int item;
        TRY(item_by_ordinal(w, e, "GROUP BY", &item, err));
        if (item < 0 && e->kind == EXPR_COLUMN && !names_input(w, e->name))
            TRY(item_by_alias(w, e, "GROUP BY", &item, err));
        w->groups[i] = item >= 0 ? w->items[item].expr : e;
        if (has_aggregate(w->groups[i]))
            return ERR_SQL(err, "42803", e->pos, "aggregates are not allowed in GROUP BY");
    }
    return LAM_OK;
}

static bool is_aggregated(const struct work *w) {
    const struct select_stmt *ast = w->ast;
    if (ast->group_count > 0 || ast->having)
        return true;
    for (uint32_t i = 0; i < w->item_count; i++)
        if (has_aggregate(w->items[i].expr))
            return true;
    for (uint32_t i = 0; i < ast->order_count; i++)
        if (has_aggregate(ast->order[i].expr))
            return true;
    return false;
}

static enum lam_code bind_groups(struct work *w, struct lam_error *err) {
    struct select_plan *plan = w->plan;
    plan->groups = arena_calloc(w->pl->arena, w->ast->group_count + 1, sizeof *plan->groups);
    if (!plan->groups)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < w->ast->group_count; i++) {
        struct bind_context ctx = planner_bind(w->pl, &plan->source.ref.scope);
        TRY(bind_expr(&ctx, w->groups[i], &plan->groups[i], err));
        bound_mark_columns(plan->groups[i], plan->source.used);
        plan->group_count++;
    }
    w->ctx.grouped = true;
    w->ctx.allow_aggregates = true;
    w->ctx.group_exprs = w->groups;
    w->ctx.group_count = w->ast->group_count;
    if (w->ast->having)
        TRY(bind_expr_as(&w->ctx, w->ast->having, coltype_of(LAM_TYPE_BOOLEAN), "HAVING",
                         &plan->having, err));
    return LAM_OK;
}

static enum lam_code bind_items(struct work *w, struct lam_error *err) {
    struct select_plan *plan = w->plan;
    size_t room = (size_t)w->item_count + w->ast->order_count + 1;
    plan->items = arena_calloc(w->pl->arena, room, sizeof *plan->items);
    plan->names = arena_calloc(w->pl->arena, room, sizeof *plan->names);
    if (!plan->items || !plan->names)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < w->item_count; i++) {
        TRY(bind_expr(&w->ctx, w->items[i].expr, &plan->items[i], err));
        struct lam_slice name = select_item_name(&w->items[i]);
        plan->names[i] = arena_strdup_slice(w->pl->arena, name);
        if (!plan->names[i])
            return plan_out_of_memory(err);
    }
    plan->item_exprs = w->items;
    plan->item_count = plan->output_count = w->item_count;
    return LAM_OK;
}

static bool same_column(const struct bound *a, const struct bound *b) {
    uint32_t x, y;
    return bound_column(a, &x) && bound_column(b, &y) && x == y;
}

static enum lam_code bind_order(struct work *w, struct lam_error *err) {
    struct select_plan *plan = w->plan;
    plan->sort = arena_calloc(w->pl->arena, w->ast->order_count + 1, sizeof *plan->sort);
    if (!plan->sort)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < w->ast->order_count; i++) {
        const struct order_item *o = &w->ast->order[i];
        int item;
        TRY(item_by_ordinal(w, o->expr, "ORDER BY", &item, err));
        if (item < 0)
            TRY(item_by_alias(w, o->expr, "ORDER BY", &item, err));
        for (uint32_t k = 0; k < w->item_count && item < 0; k++)
            if (expr_same(w->items[k].expr, o->expr))
                item = (int)k;
        if (item < 0) {
            struct bound *b;
            TRY(bind_expr(&w->ctx, o->expr, &b, err));
            for (uint32_t k = 0; k < plan->output_count && item < 0; k++)
                if (same_column(plan->items[k], b))
                    item = (int)k;
            if (item < 0 && plan->distinct)
                return ERR_SQL(err, "42P10", o->expr->pos,
                               "for SELECT DISTINCT, ORDER BY expressions must appear in the "
                               "select list");
            if (item < 0) {
                item = (int)plan->item_count;
                plan->items[plan->item_count++] = b;
            }
        }
        plan->sort[plan->sort_count++] = (struct sort_key){
            .column = (uint32_t)item, .descending = o->descending, .nulls_first = o->nulls_first};
    }
    return LAM_OK;
}

static enum lam_code bind_limit(struct planner *pl, const struct expr *e, const char *what,
                                struct bound **out, struct lam_error *err) {
    static const struct scope none = {0};
    if (!e)
        return LAM_OK;
    struct bind_context ctx = planner_bind(pl, &none);
    return bind_expr_as(&ctx, e, coltype_of(LAM_TYPE_BIGINT), what, out, err);
}

/* Marks what outputs read: of the source, or through the aggregation's arguments. */
static void mark_outputs(struct work *w) {
    struct select_plan *plan = w->plan;
    if (!plan->aggregated) {
        for (uint32_t i = 0; i < plan->item_count; i++)
            bound_mark_columns(plan->items[i], plan->source.used);
        return;
    }
    for (uint32_t i = 0; i < plan->aggregate_count; i++) {
        const struct bound_aggregate *a = plan->aggregates[i];
        if (a->argument)
            bound_mark_columns(a->argument, plan->source.used);
        if (a->argument2)
            bound_mark_columns(a->argument2, plan->source.used);
        if (a->filter)
            bound_mark_columns(a->filter, plan->source.used);
    }
}

static enum lam_code plan_from(struct planner *pl, const struct select_stmt *ast,
                               struct select_plan *plan, struct lam_error *err) {
    if (ast->from)
        TRY(plan_table(pl, &ast->from->table, ast->from->alias, false, &plan->source.ref, err));
    else
        plan->source.ref.deleted_column = UINT32_MAX;
    return plan_source(pl, &plan->source, ast->where, err);
}

enum lam_code plan_select(struct planner *pl, const struct select_stmt *ast,
                          struct select_plan **out, struct lam_error *err) {
    struct select_plan *plan = arena_calloc(pl->arena, 1, sizeof *plan);
    if (!plan)
        return plan_out_of_memory(err);
    TRY(plan_from(pl, ast, plan, err));
    plan->distinct = ast->distinct;
    struct work w = {.pl = pl, .ast = ast, .plan = plan};
    TRY(plan_expand_items(pl, &plan->source.ref, ast->items, ast->item_count, &w.items,
                          &w.item_count, err));
    TRY(resolve_groups(&w, err));
    w.ctx = planner_bind(pl, &plan->source.ref.scope);
    plan->aggregated = is_aggregated(&w);
    if (plan->aggregated)
        TRY(bind_groups(&w, err));
    TRY(bind_items(&w, err));
    TRY(bind_order(&w, err));
    plan->aggregates = w.ctx.aggregates;
    plan->aggregate_count = w.ctx.aggregate_count;
    TRY(bind_limit(pl, ast->limit, "LIMIT", &plan->limit, err));
    TRY(bind_limit(pl, ast->offset, "OFFSET", &plan->offset, err));
    mark_outputs(&w);
    TRY(plan_access(pl, &plan->source, err));
    *out = plan;
    return LAM_OK;
}
