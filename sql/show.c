/* SPDX-License-Identifier: Apache-2.0
 *
 * SHOW, DESCRIBE, EXPLAIN and STORAGE FLUSH: statements whose rows are made at once. What a role
 * may not read is not listed. */
#include "base/assert.h"
#include "catalog/entities.h"
#include "sql/exec.h"

#define T LAM_TYPE_TEXT
static const char *const table_names[] = {"namespace", "table_name", "table_type", "access_level"};
static const enum lam_type table_types[] = {T, T, T, T};
static const char *const namespace_names[] = {"namespace"};
static const enum lam_type namespace_types[] = {T};
static const char *const job_names[] = {"job_id",     "job_type", "status",     "namespace",
                                        "table_name", "message",  "created_at", "finished_at"};
static const enum lam_type job_types[] = {T, T, T, T, T, T, LAM_TYPE_TIMESTAMP, LAM_TYPE_TIMESTAMP};
static const char *const user_names[] = {"user_id", "role", "email", "created_at"};
static const enum lam_type user_types[] = {T, T, T, LAM_TYPE_TIMESTAMP};
static const char *const storage_names[] = {"storage_id", "storage_type", "base_directory",
                                            "shared_tables_template", "user_tables_template"};
static const enum lam_type storage_types[] = {T, T, T, T, T};
static const char *const index_names[] = {"namespace", "table_name", "index_name", "is_unique",
                                          "columns"};
static const enum lam_type index_types[] = {T, T, T, LAM_TYPE_BOOLEAN, T};
static const char *const describe_names[] = {"column_name",    "data_type",      "is_nullable",
                                             "is_primary_key", "column_default", "ordinal_position",
                                             "column_id",      "schema_version"};
static const enum lam_type describe_types[] = {
    T, T, LAM_TYPE_BOOLEAN, LAM_TYPE_BOOLEAN, T, LAM_TYPE_INT, LAM_TYPE_INT, LAM_TYPE_INT};
static const char *const flush_names[] = {"job_id", "namespace", "table_name",
                                          "status", "rows",      "files"};
static const enum lam_type flush_types[] = {T, T, T, T, LAM_TYPE_BIGINT, LAM_TYPE_BIGINT};
static const char *const explain_names[] = {"plan"};
static const enum lam_type explain_types[] = {T};
#undef T

/* A statement's rows in the making. */
struct show {
    lam_stmt *stmt;
    struct rowlist *rows;
    const struct stmt *ast;
    enum lam_code rc;
    struct lam_error *err;
    struct buf text;
};

static bool add(struct show *s, const struct value *values) {
    s->rc = rowlist_add(s->rows, values, s->err);
    return s->rc == LAM_OK;
}

static bool wanted_namespace(const struct show *s, const char *name) {
    struct lam_slice only = s->ast->as.show.namespace_name;
    return only.size == 0 || slice_eq_str(only, name);
}

static bool may_see(const struct show *s, const struct provider *p) {
    return access_may_read(s->stmt->identity.role, p->kind, p->options.access);
}

static bool show_table(void *arg, struct provider *p) {
    struct show *s = arg;
    if (!wanted_namespace(s, p->namespace_name) || !may_see(s, p))
        return true;
    struct value level = value_null(coltype_of(LAM_TYPE_TEXT));
    if (p->kind == TABLE_SHARED)
        level = value_text(access_level_name(p->options.access));
    struct value values[] = {value_text(p->namespace_name), value_text(p->name),
                             value_text(table_kind_name(p->kind)), level};
    return add(s, values);
}

static bool show_indexes_of(void *arg, struct provider *p) {
    struct show *s = arg;
    if (!may_see(s, p))
        return true;
    for (uint32_t i = 0; i < p->index_count; i++) {
        const struct table_index *index = &p->indexes[i];
        buf_reset(&s->text);
        for (uint32_t k = 0; k < index->column_count && s->rc == LAM_OK; k++) {
            int column = schema_find_id(p->schema, index->column_ids[k]);
            s->rc = buf_append_format(&s->text, s->err, "%s%s", k ? ", " : "",
                                      column < 0 ? "?" : p->schema->columns[column].name);
        }
        struct value values[] = {value_text(p->namespace_name), value_text(p->name),
                                 value_text(index->name), value_bool(index->unique),
                                 value_bytes(LAM_TYPE_TEXT, buf_slice(&s->text))};
        if (s->rc != LAM_OK || !add(s, values))
            return false;
    }
    return true;
}

static bool show_namespace(void *arg, const struct value *r) {
    return add(arg, &r[NAMESPACES_NAMESPACE_ID]);
}

static bool show_job(void *arg, const struct value *r) {
    struct value values[] = {r[JOBS_JOB_ID],     r[JOBS_JOB_TYPE],   r[JOBS_STATUS],
                             r[JOBS_NAMESPACE],  r[JOBS_TABLE_NAME], r[JOBS_MESSAGE],
                             r[JOBS_CREATED_AT], r[JOBS_FINISHED_AT]};
    return add(arg, values);
}

static bool show_user(void *arg, const struct value *r) {
    if (!r[USERS_DELETED_AT].is_null)
        return true;
    struct value values[] = {r[USERS_USER_ID], r[USERS_ROLE], r[USERS_EMAIL], r[USERS_CREATED_AT]};
    return add(arg, values);
}

static bool show_storage(void *arg, const struct value *r) {
    struct value values[] = {r[STORAGES_STORAGE_ID], r[STORAGES_STORAGE_TYPE],
                             r[STORAGES_BASE_DIRECTORY], r[STORAGES_SHARED_TABLES_TEMPLATE],
                             r[STORAGES_USER_TABLES_TEMPLATE]};
    return add(arg, values);
}

static enum lam_code show_entity(struct show *s, enum entity_id id, entity_fn fn) {
    TRY(entity_scan(catalog_entity(s->stmt->session->catalog, id), s->stmt->snapshot, NULL, 0, fn,
                    s, s->err));
    return s->rc;
}

static enum lam_code show_providers(struct show *s, provider_fn fn) {
    TRY(catalog_each_provider(s->stmt->session->catalog, fn, s, s->err));
    return s->rc;
}

static enum lam_code run_show(struct show *s) {
    struct lam_slice ns = s->ast->as.show.namespace_name;
    if (ns.size > 0 && !catalog_has_namespace(s->stmt->session->catalog, ns))
        return ERR_SQL(s->err, "3F000", s->ast->pos, "namespace \"%.*s\" does not exist",
                       (int)ns.size, (const char *)ns.data);
    switch (s->ast->as.show.kind) {
    case SHOW_TABLES:
        return show_providers(s, show_table);
    case SHOW_INDEXES:
        return show_providers(s, show_indexes_of);
    case SHOW_NAMESPACES:
        return show_entity(s, ENTITY_NAMESPACES, show_namespace);
    case SHOW_JOBS:
        return show_entity(s, ENTITY_JOBS, show_job);
    case SHOW_USERS:
        return show_entity(s, ENTITY_USERS, show_user);
    case SHOW_STORAGES:
        return show_entity(s, ENTITY_STORAGES, show_storage);
    }
    UNREACHABLE();
}

static enum lam_code describe_column(struct show *s, const struct provider *p, uint32_t i) {
    const struct schema_column *c = &p->schema->columns[i];
    char type[32];
    coltype_name(c->type, type);
    struct value text;
    TRY(column_default_text(c, s->stmt->run.arena, &text, s->err));
    struct value values[] = {
        value_text(c->name),
        value_text(type),
        value_bool(c->nullable),
        value_bool(c->key_position >= 0),
        text,
        value_i64(LAM_TYPE_INT, c->ordinal),
        value_i64(LAM_TYPE_INT, c->id),
        value_i64(LAM_TYPE_INT, p->schema->version),
    };
    return rowlist_add(s->rows, values, s->err);
}

static enum lam_code describe_entity(struct show *s, enum entity_id id) {
    const struct entity_def *def = entity_definition(id);
    for (uint32_t i = 0; i < def->field_count; i++) {
        const struct entity_field *f = &def->fields[i];
        char type[32];
        coltype_name(coltype_of(f->type), type);
        struct value values[] = {
            value_text(f->name),
            value_text(type),
            value_bool(f->nullable),
            value_bool(f->key),
            value_null(coltype_of(LAM_TYPE_TEXT)),
            value_i64(LAM_TYPE_INT, i + 1),
            value_i64(LAM_TYPE_INT, i + 1),
            value_i64(LAM_TYPE_INT, 1),
        };
        if (!f->hidden)
            TRY(rowlist_add(s->rows, values, s->err));
    }
    return LAM_OK;
}

static enum lam_code resolve(struct show *s, struct provider **out) {
    const struct name_ref *name = &s->ast->as.target;
    struct lam_slice ns = name->namespace_name.size
                              ? name->namespace_name
                              : lam_slice_str(s->stmt->session->namespace_name);
    enum lam_code rc = catalog_provider(s->stmt->session->catalog, ns, name->name, out, s->err);
    if (rc != LAM_OK && s->err)
        s->err->pos = name->pos;
    return rc;
}

static enum lam_code run_describe(struct show *s) {
    const struct name_ref *name = &s->ast->as.target;
    enum entity_id id;
    bool system =
        slice_eq_str(name->namespace_name, "system") ||
        (name->namespace_name.size == 0 && strcmp(s->stmt->session->namespace_name, "system") == 0);
    if (system && entity_lookup(name->name, &id))
        return describe_entity(s, id);
    struct provider *p;
    TRY(resolve(s, &p));
    enum lam_code rc = LAM_OK;
    for (uint32_t i = 0; i < p->schema->column_count && rc == LAM_OK; i++)
        rc = describe_column(s, p, i);
    provider_unref(p);
    return rc;
}

static enum lam_code flush_one(struct show *s, struct provider *p) {
    struct flush_result r;
    TRY(flush_table(s->stmt->session->flush, p, &r, s->err));
    struct value values[] = {
        value_text(r.job_id),
        value_text(p->namespace_name),
        value_text(p->name),
        value_text(r.status),
        value_i64(LAM_TYPE_BIGINT, (int64_t)r.rows),
        value_i64(LAM_TYPE_BIGINT, (int64_t)r.files),
    };
    return rowlist_add(s->rows, values, s->err);
}

static enum lam_code run_flush_table(struct show *s) {
    struct provider *p;
    TRY(resolve(s, &p));
    enum lam_code rc = flush_one(s, p);
    if (rc == LAM_SQL && s->err && s->err->pos == 0)
        s->err->pos = s->ast->as.target.pos;
    provider_unref(p);
    return rc;
}

/* Tables to flush are collected first: a flush must not run inside the walk of the registry. */
struct flushable {
    struct provider **items; /* references */
    size_t count, capacity;
    enum lam_code rc;
    struct lam_error *err;
};

static bool collect_flushable(void *arg, struct provider *p) {
    struct flushable *f = arg;
    if (p->kind != TABLE_USER && p->kind != TABLE_SHARED)
        return true;
    f->rc = MEM_GROW(&f->items, &f->capacity, f->count + 1, f->err);
    if (f->rc == LAM_OK)
        f->items[f->count++] = provider_ref(p);
    return f->rc == LAM_OK;
}

static enum lam_code run_flush_all(struct show *s) {
    struct flushable f = {.err = s->err};
    enum lam_code rc =
        catalog_each_provider(s->stmt->session->catalog, collect_flushable, &f, s->err);
    if (rc == LAM_OK)
        rc = f.rc;
    for (size_t i = 0; i < f.count; i++) {
        if (rc == LAM_OK)
            rc = flush_one(s, f.items[i]);
        provider_unref(f.items[i]);
    }
    mem_free(f.items);
    return rc;
}

/* EXPLAIN of what has no plan says what it is. */
static enum lam_code run_explain(struct show *s) {
    if (s->stmt->plan)
        return explain_plan(s->stmt->plan, s->rows, s->err);
    struct value line = value_text("Utility statement");
    return rowlist_add(s->rows, &line, s->err);
}

#define COLUMNS(kind)                                                                              \
    do {                                                                                           \
        *names_out = kind##_names;                                                                 \
        *types_out = kind##_types;                                                                 \
        *count_out = (uint32_t)(sizeof kind##_names / sizeof kind##_names[0]);                     \
        return true;                                                                               \
    } while (0)

static bool list_columns(enum show_kind kind, const char *const **names_out,
                         const enum lam_type **types_out, uint32_t *count_out) {
    switch (kind) {
    case SHOW_TABLES:
        COLUMNS(table);
    case SHOW_NAMESPACES:
        COLUMNS(namespace);
    case SHOW_JOBS:
        COLUMNS(job);
    case SHOW_USERS:
        COLUMNS(user);
    case SHOW_STORAGES:
        COLUMNS(storage);
    case SHOW_INDEXES:
        COLUMNS(index);
    }
    UNREACHABLE();
}

bool show_columns(const struct stmt *ast, const char *const **names_out,
                  const enum lam_type **types_out, uint32_t *count_out) {
    if (ast->kind == STMT_SHOW)
        return list_columns(ast->as.show.kind, names_out, types_out, count_out);
    if (ast->kind == STMT_DESCRIBE)
        COLUMNS(describe);
    if (ast->kind == STMT_FLUSH_TABLE || ast->kind == STMT_FLUSH_ALL)
        COLUMNS(flush);
    if (ast->kind == STMT_EXPLAIN)
        COLUMNS(explain);
    return false;
}

enum lam_code show_run(lam_stmt *stmt, const struct stmt *ast, struct rowlist *rows,
                       struct lam_error *err) {
    const char *const *names;
    const enum lam_type *types;
    struct coltype coltypes[16];
    uint32_t count;
    bool known = show_columns(ast, &names, &types, &count);
    LAM_ASSERT(known && count <= 16);
    for (uint32_t i = 0; i < count; i++)
        coltypes[i] = coltype_of(types[i]);
    TRY(rowlist_init(rows, coltypes, count, err));
    struct show s = {.stmt = stmt, .rows = rows, .ast = ast, .err = err};
    enum lam_code rc = ast->kind == STMT_SHOW          ? run_show(&s)
                       : ast->kind == STMT_DESCRIBE    ? run_describe(&s)
                       : ast->kind == STMT_FLUSH_TABLE ? run_flush_table(&s)
                       : ast->kind == STMT_FLUSH_ALL   ? run_flush_all(&s)
                                                       : run_explain(&s);
    buf_fini(&s.text);
    return rc;
}
