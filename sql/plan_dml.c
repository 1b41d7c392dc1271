/* SPDX-License-Identifier: Apache-2.0
 *
 * INSERT, UPDATE, DELETE: targets, assignments, conflict clauses, RETURNING. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sql/plan.h"

static enum lam_code target_column(const struct table_ref *ref, struct lam_slice name, uint32_t pos,
                                   uint32_t *out, struct lam_error *err) {
    const struct schema *s = ref->provider->schema;
    int i = schema_find(s, name);
    if (i >= 0) {
        *out = (uint32_t)i;
        return LAM_OK;
    }
    if (name.size > 0 && name.data[0] == '_')
        return ERR_SQL(err, "428C9", pos, "column \"%.*s\" is set by the engine only",
                       (int)name.size, (const char *)name.data);
    enum lam_code rc = ERR_SQL(err, "42703", pos, "column \"%.*s\" of table \"%s\" does not exist",
                               (int)name.size, (const char *)name.data, ref->display);
    struct lam_slice names[COLUMNS_MAX], near;
    for (uint32_t k = 0; k < s->column_count; k++)
        names[k] = lam_slice_str(s->columns[k].name);
    if (nearest_name(name, names, s->column_count, &near))
        return error_hint(err, rc, "did you mean \"%.*s\"?", (int)near.size,
                          (const char *)near.data);
    return rc;
}

/* _seq and _updated of a written row are known at the commit only, too late for an expression that
 * may fail. */
static enum lam_code refuse_seq_inside(struct planner *pl, const struct table_ref *ref,
                                       const struct bound *b, uint32_t pos, struct lam_error *err) {
    uint32_t column, seq = ref->provider->schema->column_count;
    bool *used = arena_calloc(pl->arena, ref->scope.count, sizeof *used);
    if (!used)
        return plan_out_of_memory(err);
    bound_mark_columns(b, used);
    bool reads = used[seq] || (ref->scope.count > seq + 1 && used[seq + 1]);
    if (!reads || bound_column(b, &column))
        return LAM_OK;
    return ERR_SQL(err, "0A000", pos,
                   "RETURNING gives _seq and _updated as they are only, not in an expression");
}

static enum lam_code plan_returning(struct planner *pl, const struct table_ref *ref, bool written,
                                    const struct select_item *ast, uint32_t count,
                                    struct returning_plan *out, struct lam_error *err) {
    *out = (struct returning_plan){0};
    if (count == 0)
        return LAM_OK;
    struct select_item *items;
    uint32_t item_count;
    TRY(plan_expand_items(pl, ref, ast, count, &items, &item_count, err));
    out->items = arena_calloc(pl->arena, item_count + 1, sizeof *out->items);
    out->names = arena_calloc(pl->arena, item_count + 1, sizeof *out->names);
    if (!out->items || !out->names)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < item_count; i++) {
        struct bind_context ctx = planner_bind(pl, &ref->scope);
        TRY(bind_expr(&ctx, items[i].expr, &out->items[i], err));
        if (written)
            TRY(refuse_seq_inside(pl, ref, out->items[i], items[i].expr->pos, err));
        out->names[i] = arena_strdup_slice(pl->arena, select_item_name(&items[i]));
        if (!out->names[i])
            return plan_out_of_memory(err);
    }
    out->count = item_count;
    return LAM_OK;
}

static enum lam_code plan_set(struct planner *pl, const struct table_ref *ref,
                              const struct scope *scope, const struct assignment *ast,
                              uint32_t count, struct set_item **out, struct lam_error *err) {
    struct set_item *items = arena_calloc(pl->arena, count + 1, sizeof *items);
    if (!items)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        TRY(target_column(ref, ast[i].column, ast[i].pos, &items[i].column, err));
        for (uint32_t k = 0; k < i; k++)
            if (items[k].column == items[i].column)
                return ERR_SQL(err, "42601", ast[i].pos, "column \"%.*s\" is assigned twice",
                               (int)ast[i].column.size, (const char *)ast[i].column.data);
        if (!ast[i].value)
            continue;
        const struct schema_column *c = &ref->provider->schema->columns[items[i].column];
        struct bind_context ctx = planner_bind(pl, scope);
        TRY(bind_expr_as(&ctx, ast[i].value, c->type, c->name, &items[i].value, err));
    }
    *out = items;
    return LAM_OK;
}

/* --- INSERT --- */

/* Where the value at `place` of the first row stands, as far as that is known. */
static uint32_t value_pos(const struct insert_stmt *ast, uint32_t place) {
    const struct expr *e =
        ast->row_count > 0 && place < ast->row_width ? ast->rows[0][place] : NULL;
    return e ? e->pos : ast->table.pos;
}

static enum lam_code plan_targets(struct planner *pl, const struct insert_stmt *ast,
                                  struct insert_plan *plan, struct lam_error *err) {
    const struct schema *s = plan->ref.provider->schema;
    plan->targets = arena_calloc(pl->arena, s->column_count + 1, sizeof *plan->targets);
    if (!plan->targets)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < s->column_count; i++)
        plan->targets[i] = -1;
    if (!ast->columns) {
        if (plan->width > s->column_count)
            return ERR_SQL(err, "42601", value_pos(ast, s->column_count),
                           "INSERT has more values (%u) than table %s has columns (%u)",
                           plan->width, plan->ref.display, s->column_count);
        for (uint32_t i = 0; i < plan->width; i++)
            plan->targets[i] = (int)i;
        return LAM_OK;
    }
    for (uint32_t i = 0; i < ast->column_count; i++) {
        uint32_t column;
        TRY(target_column(&plan->ref, ast->columns[i], ast->column_pos[i], &column, err));
        if (plan->targets[column] >= 0)
            return ERR_SQL(err, "42701", ast->column_pos[i], "column \"%.*s\" is named twice",
                           (int)ast->columns[i].size, (const char *)ast->columns[i].data);
        plan->targets[column] = (int)i;
    }
    uint32_t pos = plan->width < ast->column_count ? ast->column_pos[plan->width]
                                                   : value_pos(ast, ast->column_count);
    if (!ast->default_values && plan->width != ast->column_count)
        return ERR_SQL(err, "42601", pos, "INSERT names %u columns but gives %u values",
                       ast->column_count, plan->width);
    return LAM_OK;
}

static const struct schema_column *column_at(const struct insert_plan *plan, uint32_t place) {
    const struct schema *s = plan->ref.provider->schema;
    for (uint32_t i = 0; i < s->column_count; i++)
        if (plan->targets[i] == (int)place)
            return &s->columns[i];
    UNREACHABLE();
}

static enum lam_code plan_values(struct planner *pl, const struct insert_stmt *ast,
                                 struct insert_plan *plan, struct lam_error *err) {
    static const struct scope none = {0};
    plan->row_count = ast->default_values ? 1 : ast->row_count;
    plan->rows = arena_calloc(pl->arena, plan->row_count + 1, sizeof *plan->rows);
    if (!plan->rows)
        return plan_out_of_memory(err);
    const struct schema_column **columns =
        arena_calloc(pl->arena, plan->width + 1, sizeof *columns);
    if (!columns)
        return plan_out_of_memory(err);
    for (uint32_t j = 0; j < plan->width; j++)
        columns[j] = column_at(plan, j);
    for (uint32_t i = 0; i < plan->row_count; i++) {
        plan->rows[i] = arena_calloc(pl->arena, plan->width + 1, sizeof **plan->rows);
        if (!plan->rows[i])
            return plan_out_of_memory(err);
        for (uint32_t j = 0; j < plan->width; j++) {
            if (!ast->rows[i][j])
                continue;
            struct bind_context ctx = planner_bind(pl, &none);
            TRY(bind_expr_as(&ctx, ast->rows[i][j], columns[j]->type, columns[j]->name,
                             &plan->rows[i][j], err));
        }
    }
    return LAM_OK;
}

/* The column that a place of the input goes to; NULL without one. */
static const struct schema_column *insert_target(const struct insert_stmt *ast,
                                                 const struct schema *s, uint32_t place) {
    if (!ast->columns)
        return place < s->column_count ? &s->columns[place] : NULL;
    int column = place < ast->column_count ? schema_find(s, ast->columns[place]) : -1;
    return column < 0 ? NULL : &s->columns[column];
}

/* A parameter that the select hands on as it is takes the type of its column. */
static void settle_selected_parameters(struct planner *pl, const struct insert_stmt *ast,
                                       const struct schema *s) {
    for (uint32_t i = 0; i < ast->select->item_count; i++) {
        const struct expr *e = ast->select->items[i].expr;
        const struct schema_column *c = insert_target(ast, s, i);
        if (e->kind == EXPR_STAR)
            return;
        if (e->kind == EXPR_PARAMETER && c && e->parameter >= 1 &&
            e->parameter <= pl->parameter_count &&
            pl->parameter_types[e->parameter - 1].type == LAM_TYPE_NULL)
            pl->parameter_types[e->parameter - 1] = c->type;
    }
}

/* The select's outputs become the input batch of one assignment cast per column. */
static enum lam_code plan_insert_select(struct planner *pl, struct insert_plan *plan,
                                        struct lam_error *err) {
    struct scope_column *columns = arena_calloc(pl->arena, plan->width + 1, sizeof *columns);
    plan->select_casts = arena_calloc(pl->arena, plan->width + 1, sizeof *plan->select_casts);
    if (!columns || !plan->select_casts)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < plan->width; i++) {
        char *name = arena_format(pl->arena, "%u", i);
        if (!name)
            return plan_out_of_memory(err);
        columns[i] = (struct scope_column){.name = lam_slice_str(name),
                                           .type = bound_type(plan->select->items[i]),
                                           .nullable = true,
                                           .column = i};
    }
    struct scope scope = {columns, plan->width};
    for (uint32_t i = 0; i < plan->width; i++) {
        const struct schema_column *c = column_at(plan, i);
        const struct expr *item = plan->select->item_exprs[i].expr;
        struct expr e = {.kind = EXPR_COLUMN, .pos = item->pos, .name = columns[i].name};
        /* A literal takes the type of its column, as in VALUES. */
        bool literal = item->kind == EXPR_LITERAL && (item->untyped || item->literal.is_null);
        struct bind_context ctx = planner_bind(pl, &scope);
        TRY(bind_expr_as(&ctx, literal ? item : &e, c->type, c->name, &plan->select_casts[i], err));
    }
    return LAM_OK;
}

/* Target columns as they stand, then the proposed row as `excluded`. */
static enum lam_code conflict_scope(struct planner *pl, const struct table_ref *ref,
                                    struct scope *out, struct lam_error *err) {
    uint32_t n = ref->provider->schema->column_count;
    struct scope_column *columns = arena_calloc(pl->arena, ref->scope.count + n, sizeof *columns);
    if (!columns)
        return plan_out_of_memory(err);
    memcpy(columns, ref->scope.columns, ref->scope.count * sizeof *columns);
    for (uint32_t i = 0; i < n; i++) {
        columns[ref->scope.count + i] = ref->scope.columns[i];
        columns[ref->scope.count + i].table = lam_slice_str("excluded");
        columns[ref->scope.count + i].column = ref->scope.count + i;
        columns[ref->scope.count + i].hidden = true;
        columns[ref->scope.count + i].qualified_only = true;
    }
    *out = (struct scope){columns, ref->scope.count + n};
    return LAM_OK;
}

static bool is_primary_key(const struct schema *s, const struct lam_slice *names, uint32_t count) {
    if (count != s->key_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        int column = schema_find(s, names[i]);
        if (column < 0 || s->columns[column].key_position < 0)
            return false;
        for (uint32_t k = 0; k < i; k++)
            if (slice_eq(names[k], names[i]))
                return false;
    }
    return true;
}

static enum lam_code plan_conflict(struct planner *pl, const struct insert_stmt *ast,
                                   struct insert_plan *plan, struct lam_error *err) {
    plan->on_conflict = ast->on_conflict;
    if (ast->on_conflict == CONFLICT_ERROR)
        return LAM_OK;
    const struct schema *s = plan->ref.provider->schema;
    bool target = ast->conflict_column_count > 0;
    if (target && !is_primary_key(s, ast->conflict_columns, ast->conflict_column_count))
        return ERR_SQL(err, "42P10", ast->table.pos, "ON CONFLICT must name the primary key of %s",
                       plan->ref.display);
    plan->conflict_is_key = target;
    if (ast->on_conflict == CONFLICT_NOTHING)
        return LAM_OK;
    if (!target)
        return ERR_SQL(err, "42601", ast->table.pos,
                       "ON CONFLICT DO UPDATE needs the key columns: ON CONFLICT (...)");
    struct scope scope;
    TRY(conflict_scope(pl, &plan->ref, &scope, err));
    plan->conflict_set_count = ast->conflict_set_count;
    TRY(plan_set(pl, &plan->ref, &scope, ast->conflict_set, ast->conflict_set_count,
                 &plan->conflict_set, err));
    for (uint32_t i = 0; i < plan->conflict_set_count; i++)
        if (s->columns[plan->conflict_set[i].column].key_position >= 0)
            return ERR_SQL(err, "0A000", ast->conflict_set[i].pos,
                           "ON CONFLICT DO UPDATE can't change key column \"%s\"",
                           s->columns[plan->conflict_set[i].column].name);
    if (!ast->conflict_where)
        return LAM_OK;
    struct bind_context ctx = planner_bind(pl, &scope);
    return bind_expr_as(&ctx, ast->conflict_where, coltype_of(LAM_TYPE_BOOLEAN), "WHERE",
                        &plan->conflict_where, err);
}

enum lam_code plan_insert(struct planner *pl, const struct insert_stmt *ast,
                          struct insert_plan **out, struct lam_error *err) {
    struct insert_plan *plan = arena_calloc(pl->arena, 1, sizeof *plan);
    if (!plan)
        return plan_out_of_memory(err);
    TRY(plan_table(pl, &ast->table, ast->alias, true, &plan->ref, err));
    plan->width = ast->default_values ? 0 : ast->row_width;
    if (ast->select) {
        settle_selected_parameters(pl, ast, plan->ref.provider->schema);
        TRY(plan_select(pl, ast->select, &plan->select, err));
        plan->width = plan->select->output_count;
    }
    TRY(plan_targets(pl, ast, plan, err));
    TRY(ast->select ? plan_insert_select(pl, plan, err) : plan_values(pl, ast, plan, err));
    TRY(plan_conflict(pl, ast, plan, err));
    TRY(plan_returning(pl, &plan->ref, true, ast->returning, ast->returning_count, &plan->returning,
                       err));
    *out = plan;
    return LAM_OK;
}

/* --- UPDATE, DELETE --- */

static enum lam_code plan_change(struct planner *pl, const struct name_ref *table,
                                 struct lam_slice alias, const struct expr *where,
                                 struct change_plan *plan, struct lam_error *err) {
    TRY(plan_table(pl, table, alias, true, &plan->source.ref, err));
    TRY(plan_source(pl, &plan->source, where, err));
    TRY(plan_access(pl, &plan->source, err));
    /* Naming _deleted lets a query see deleted rows; only live ones are changed. */
    plan->source.with_deleted = false;
    for (uint32_t i = 0; i < plan->source.ref.scope.count; i++)
        plan->source.used[i] = true;
    return LAM_OK;
}

enum lam_code plan_update(struct planner *pl, const struct update_stmt *ast,
                          struct change_plan **out, struct lam_error *err) {
    struct change_plan *plan = arena_calloc(pl->arena, 1, sizeof *plan);
    if (!plan)
        return plan_out_of_memory(err);
    TRY(plan_change(pl, &ast->table, ast->alias, ast->where, plan, err));
    const struct table_ref *ref = &plan->source.ref;
    if (ref->provider->kind == TABLE_STREAM)
        return ERR_SQL(err, "0A000", ast->table.pos, "UPDATE is not supported on STREAM table %s",
                       ref->display);
    plan->set_count = ast->set_count;
    TRY(plan_set(pl, ref, &ref->scope, ast->set, ast->set_count, &plan->set, err));
    TRY(plan_returning(pl, ref, true, ast->returning, ast->returning_count, &plan->returning, err));
    *out = plan;
    return LAM_OK;
}

enum lam_code plan_delete(struct planner *pl, const struct delete_stmt *ast,
                          struct change_plan **out, struct lam_error *err) {
    struct change_plan *plan = arena_calloc(pl->arena, 1, sizeof *plan);
    if (!plan)
        return plan_out_of_memory(err);
    plan->is_delete = true;
    TRY(plan_change(pl, &ast->table, ast->alias, ast->where, plan, err));
    TRY(plan_returning(pl, &plan->source.ref, false, ast->returning, ast->returning_count,
                       &plan->returning, err));
    *out = plan;
    return LAM_OK;
}
