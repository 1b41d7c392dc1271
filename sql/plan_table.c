/* SPDX-License-Identifier: Apache-2.0
 *
 * What a table name means, and how its rows are reached. */
#include "base/arena.h"
#include "base/assert.h"
#include "sql/plan.h"

enum lam_code plan_out_of_memory(struct lam_error *err) {
    return ERR(err, LAM_NO_MEMORY, "plan statement: out of memory");
}

static struct lam_slice namespace_of(const struct planner *pl, const struct name_ref *name) {
    return name->namespace_name.size ? name->namespace_name
                                     : lam_slice_str(pl->session->namespace_name);
}

static enum lam_code hold_provider(struct planner *pl, struct provider *p, struct lam_error *err) {
    struct plan *plan = pl->plan;
    if (plan->provider_count == plan->provider_capacity) {
        uint32_t capacity = plan->provider_capacity ? plan->provider_capacity * 2 : 4;
        struct provider **grown = arena_calloc(pl->arena, capacity, sizeof *grown);
        if (!grown) {
            provider_unref(p);
            return plan_out_of_memory(err);
        }
        if (plan->provider_count)
            memcpy(grown, plan->providers, plan->provider_count * sizeof *grown);
        plan->providers = grown;
        plan->provider_capacity = capacity;
    }
    plan->providers[plan->provider_count++] = p;
    return LAM_OK;
}

void plan_release(struct plan *plan) {
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->provider_count; i++)
        provider_unref(plan->providers[i]);
    plan->provider_count = 0;
}

static enum lam_code reserve_columns(struct planner *pl, struct table_ref *ref, uint32_t count,
                                     struct lam_error *err) {
    ref->scope.columns = arena_calloc(pl->arena, count, sizeof *ref->scope.columns);
    ref->column_ids = arena_calloc(pl->arena, count, sizeof *ref->column_ids);
    ref->types = arena_calloc(pl->arena, count, sizeof *ref->types);
    if (!ref->scope.columns || !ref->column_ids || !ref->types)
        return plan_out_of_memory(err);
    return LAM_OK;
}

static void add_column(struct table_ref *ref, struct lam_slice table, struct lam_slice name,
                       uint32_t id, struct coltype type, bool nullable, bool hidden) {
    uint32_t i = ref->scope.count++;
    ((struct scope_column *)ref->scope.columns)[i] = (struct scope_column){.table = table,
                                                                           .name = name,
                                                                           .type = type,
                                                                           .nullable = nullable,
                                                                           .hidden = hidden,
                                                                           .column = i};
    ref->column_ids[i] = id;
    ref->types[i] = type;
}

static enum lam_code describe_provider(struct planner *pl, struct provider *p,
                                       struct lam_slice alias, struct table_ref *ref,
                                       struct lam_error *err) {
    const struct schema *s = p->schema;
    TRY(reserve_columns(pl, ref, s->column_count + 3, err));
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct schema_column *c = &s->columns[i];
        add_column(ref, alias, lam_slice_str(c->name), c->id, c->type, c->nullable, false);
    }
    add_column(ref, alias, lam_slice_str("_seq"), COLUMN_ID_SEQ, coltype_of(LAM_TYPE_BIGINT), false,
               true);
    ref->deleted_column = UINT32_MAX;
    if (p->kind != TABLE_STREAM) {
        add_column(ref, alias, lam_slice_str("_updated"), COLUMN_ID_UPDATED,
                   coltype_of(LAM_TYPE_TIMESTAMP), false, true);
        ref->deleted_column = ref->scope.count;
        add_column(ref, alias, lam_slice_str("_deleted"), COLUMN_ID_DELETED,
                   coltype_of(LAM_TYPE_BOOLEAN), false, true);
    }
    return LAM_OK;
}

static enum lam_code describe_entity(struct planner *pl, const struct entity_def *def,
                                     struct lam_slice alias, struct table_ref *ref,
                                     struct lam_error *err) {
    TRY(reserve_columns(pl, ref, def->field_count, err));
    for (uint32_t i = 0; i < def->field_count; i++) {
        const struct entity_field *f = &def->fields[i];
        if (!f->hidden)
            add_column(ref, alias, lam_slice_str(f->name), i, coltype_of(f->type), f->nullable,
                       false);
    }
    ref->deleted_column = UINT32_MAX;
    return LAM_OK;
}

struct information_column {
    const char *name;
    enum lam_type type;
};
static const struct information_column tables_columns[] = {
    {"table_catalog", LAM_TYPE_TEXT},
    {"table_schema", LAM_TYPE_TEXT},
    {"table_name", LAM_TYPE_TEXT},
    {"table_type", LAM_TYPE_TEXT},
};
static const struct information_column columns_columns[] = {
    {"table_catalog", LAM_TYPE_TEXT},   {"table_schema", LAM_TYPE_TEXT},
    {"table_name", LAM_TYPE_TEXT},      {"column_name", LAM_TYPE_TEXT},
    {"ordinal_position", LAM_TYPE_INT}, {"column_default", LAM_TYPE_TEXT},
    {"is_nullable", LAM_TYPE_TEXT},     {"data_type", LAM_TYPE_TEXT},
};
#define COUNT(a) (uint32_t)(sizeof(a) / sizeof(a)[0])

static enum lam_code describe_information(struct planner *pl, struct lam_slice alias,
                                          struct table_ref *ref, struct lam_error *err) {
    bool tables = ref->information == INFORMATION_TABLES;
    const struct information_column *columns = tables ? tables_columns : columns_columns;
    uint32_t count = tables ? COUNT(tables_columns) : COUNT(columns_columns);
    TRY(reserve_columns(pl, ref, count, err));
    for (uint32_t i = 0; i < count; i++)
        add_column(ref, alias, lam_slice_str(columns[i].name), i, coltype_of(columns[i].type), true,
                   false);
    ref->deleted_column = UINT32_MAX;
    return LAM_OK;
}

static enum lam_code unknown_table(struct lam_slice ns, const struct name_ref *name,
                                   struct lam_error *err) {
    return ERR_SQL(err, "42P01", name->pos, "table \"%.*s.%.*s\" does not exist", (int)ns.size,
                   (const char *)ns.data, (int)name->name.size, (const char *)name->name.data);
}

static enum lam_code system_table(struct planner *pl, const struct name_ref *name,
                                  struct lam_slice alias, bool write, struct table_ref *out,
                                  struct lam_error *err) {
    struct lam_slice ns = lam_slice_str("system");
    if (write)
        return error_set_sql(err, __FILE__, __LINE__, "42501", name->pos,
                             "system.%.*s is changed by statements such as CREATE USER only",
                             (int)name->name.size, (const char *)name->name.data);
    if (!access_may(pl->who->role, ACTION_READ_SYSTEM, TABLE_SYSTEM))
        return access_denied(err, pl->who->user, pl->who->role, "read system.%.*s",
                             (int)name->name.size, (const char *)name->name.data);
    out->kind = SOURCE_SYSTEM;
    if (!entity_lookup(name->name, &out->entity))
        return unknown_table(ns, name, err);
    return describe_entity(pl, entity_definition(out->entity), alias, out, err);
}

static enum lam_code information_table(struct planner *pl, const struct name_ref *name,
                                       struct lam_slice alias, bool write, struct table_ref *out,
                                       struct lam_error *err) {
    struct lam_slice ns = lam_slice_str("information_schema");
    out->kind = SOURCE_INFORMATION;
    if (slice_eq_str(name->name, "tables"))
        out->information = INFORMATION_TABLES;
    else if (slice_eq_str(name->name, "columns"))
        out->information = INFORMATION_COLUMNS;
    else
        return unknown_table(ns, name, err);
    if (write)
        return ERR_SQL(err, "42501", name->pos, "information_schema is read only");
    return describe_information(pl, alias, out, err);
}

static enum lam_code user_table(struct planner *pl, struct lam_slice ns,
                                const struct name_ref *name, struct lam_slice alias, bool write,
                                struct table_ref *out, struct lam_error *err) {
    struct provider *p;
    enum lam_code rc = catalog_provider(pl->session->catalog, ns, name->name, &p, err);
    if (rc == LAM_SQL && err && strcmp(err->sqlstate, "3F000") == 0)
        return error_hint(err, unknown_table(ns, name, err),
                          "there is no namespace \"%.*s\": CREATE NAMESPACE %.*s makes it",
                          (int)ns.size, (const char *)ns.data, (int)ns.size, (const char *)ns.data);
    if (rc != LAM_OK) {
        if (err && rc == LAM_SQL)
            err->pos = name->pos;
        return rc;
    }
    TRY(hold_provider(pl, p, err));
    TRY(authorise_table(pl->who, p, write, err));
    out->kind = SOURCE_TABLE;
    out->provider = p;
    return describe_provider(pl, p, alias, out, err);
}

enum lam_code plan_table(struct planner *pl, const struct name_ref *name, struct lam_slice alias,
                         bool write, struct table_ref *out, struct lam_error *err) {
    *out = (struct table_ref){0};
    struct lam_slice ns = namespace_of(pl, name);
    if (alias.size == 0)
        alias = name->name;
    out->display = arena_format(pl->arena, "%.*s.%.*s", (int)ns.size, (const char *)ns.data,
                                (int)name->name.size, (const char *)name->name.data);
    if (!out->display)
        return plan_out_of_memory(err);
    if (pl->who->impersonated &&
        (slice_eq_str(ns, "system") || slice_eq_str(ns, "information_schema")))
        return ERR_SQL(err, "42501", name->pos,
                       "EXECUTE AS USER works on USER and STREAM tables only, not on %s",
                       out->display);
    if (slice_eq_str(ns, "system"))
        return system_table(pl, name, alias, write, out, err);
    if (slice_eq_str(ns, "information_schema"))
        return information_table(pl, name, alias, write, out, err);
    return user_table(pl, ns, name, alias, write, out, err);
}

struct bind_context planner_bind(struct planner *pl, const struct scope *scope) {
    return (struct bind_context){
        .arena = pl->arena,
        .scope = scope,
        .parameter_types = pl->parameter_types,
        .parameter_count = pl->parameter_count,
    };
}

enum lam_code plan_source(struct planner *pl, struct source_plan *source, const struct expr *where,
                          struct lam_error *err) {
    uint32_t count = source->ref.scope.count;
    source->used = arena_calloc(pl->arena, count + 1, sizeof *source->used);
    if (!source->used)
        return plan_out_of_memory(err);
    if (!where)
        return LAM_OK;
    struct bind_context ctx = planner_bind(pl, &source->ref.scope);
    TRY(bind_expr_as(&ctx, where, coltype_of(LAM_TYPE_BOOLEAN), "WHERE", &source->filter, err));
    bound_mark_columns(source->filter, source->used);
    return LAM_OK;
}

static bool is_path_op(enum expr_op op) {
    return op == OP_EQ || op == OP_LT || op == OP_LE || op == OP_GT || op == OP_GE;
}

static enum lam_code collect_terms(struct planner *pl, struct source_plan *source,
                                   struct lam_error *err) {
    if (!source->filter)
        return LAM_OK;
    struct bound **parts;
    uint32_t count;
    TRY(bound_conjuncts(pl->arena, source->filter, &parts, &count, err));
    source->terms = arena_calloc(pl->arena, count ? count : 1, sizeof *source->terms);
    if (!source->terms)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        struct access_term t;
        if (bound_comparison(parts[i], &t.column, &t.op, &t.value) && is_path_op(t.op))
            source->terms[source->term_count++] = t;
    }
    return LAM_OK;
}

enum lam_code plan_access(struct planner *pl, struct source_plan *source, struct lam_error *err) {
    const struct table_ref *ref = &source->ref;
    if (ref->kind != SOURCE_TABLE)
        return LAM_OK;
    source->with_deleted = ref->deleted_column != UINT32_MAX && source->used[ref->deleted_column];
    TRY(collect_terms(pl, source, err));
    access_choose(ref->provider->schema, ref->provider->indexes, ref->provider->index_count,
                  !source->with_deleted, source->terms, source->term_count, &source->path);
    return LAM_OK;
}
