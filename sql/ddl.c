/* SPDX-License-Identifier: Apache-2.0
 *
 * CREATE, DROP, ALTER, USE: from tree to the catalog's calls. Checks that need rows (NOT NULL on a
 * table that has some, duplicates under a unique index) are given to the catalog as questions,
 * which it asks under the table's locks. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sql/plan.h"
#include "sql/table_options.h"

/* One DDL statement at work. */
struct ddl {
    lam_stmt *stmt;
    lam_session *session;
    struct catalog *catalog;
    struct actor who;
    struct arena *arena;
};

static struct lam_slice namespace_of(const struct ddl *d, const struct name_ref *name) {
    return name->namespace_name.size ? name->namespace_name
                                     : lam_slice_str(d->session->namespace_name);
}

/* Gives an error of the catalog the place in the statement that caused it. */
static enum lam_code at(enum lam_code rc, uint32_t pos, struct lam_error *err) {
    if (rc != LAM_OK && err && err->pos == 0)
        err->pos = pos;
    return rc;
}

/* --- defaults --- */

struct default_function {
    const char *name;
    enum default_kind kind;
    enum lam_type types[3]; /* columns it fits; NULL ends */
};
static const struct default_function default_functions[] = {
    {"now", DEFAULT_NOW, {LAM_TYPE_TIMESTAMP, LAM_TYPE_DATE, LAM_TYPE_TIME}},
    {"current_timestamp", DEFAULT_NOW, {LAM_TYPE_TIMESTAMP, LAM_TYPE_DATE, LAM_TYPE_TIME}},
    {"current_date", DEFAULT_NOW, {LAM_TYPE_DATE, LAM_TYPE_TIMESTAMP}},
    {"current_time", DEFAULT_NOW, {LAM_TYPE_TIME}},
    {"snowflake_id", DEFAULT_SNOWFLAKE, {LAM_TYPE_BIGINT}},
    {"uuid_v7", DEFAULT_UUID_V7, {LAM_TYPE_UUID, LAM_TYPE_TEXT}},
    {"ulid", DEFAULT_ULID, {LAM_TYPE_TEXT}},
    {"current_user", DEFAULT_CURRENT_USER, {LAM_TYPE_TEXT}},
    {"current_user_id", DEFAULT_CURRENT_USER, {LAM_TYPE_TEXT}},
    {"current_role", DEFAULT_CURRENT_ROLE, {LAM_TYPE_TEXT}},
};
#define DEFAULT_FUNCTIONS (sizeof default_functions / sizeof default_functions[0])

static enum lam_code function_default(const struct expr *e, struct coltype type, const char *column,
                                      bool *matched, struct column_default *out,
                                      struct lam_error *err) {
    *matched = false;
    if (e->kind != EXPR_CALL || e->arg_count > 0)
        return LAM_OK;
    for (size_t i = 0; i < DEFAULT_FUNCTIONS; i++) {
        const struct default_function *f = &default_functions[i];
        if (!slice_eq_str(e->name, f->name))
            continue;
        *matched = true;
        out->kind = f->kind;
        for (int t = 0; t < 3 && f->types[t] != LAM_TYPE_NULL; t++)
            if (f->types[t] == type.type)
                return LAM_OK;
        char name[32];
        coltype_name(type, name);
        return ERR_SQL(err, "42804", e->pos, "DEFAULT %s() does not fit column \"%s\" of type %s",
                       f->name, column, name);
    }
    return LAM_OK;
}

static enum lam_code read_default(struct ddl *d, const struct expr *e, struct coltype type,
                                  struct lam_slice column, struct column_default *out,
                                  struct lam_error *err) {
    static const struct scope none = {0};
    *out = (struct column_default){0};
    if (!e)
        return LAM_OK;
    char *name = arena_strdup_slice(d->arena, column);
    if (!name)
        return plan_out_of_memory(err);
    bool matched;
    TRY(function_default(e, type, name, &matched, out, err));
    if (matched)
        return LAM_OK;
    struct bind_context ctx = {.arena = d->arena, .scope = &none};
    struct bound *b;
    TRY(bind_expr_as(&ctx, e, type, name, &b, err));
    struct run_context run = {.arena = d->arena};
    if (bound_is_constant(b)) /* one that cannot be computed says why */
        TRY(bound_value(&run, b, &out->value, err));
    else if (!bound_constant(b, &out->value))
        return error_hint(
            err, ERR_SQL(err, "0A000", e->pos, "DEFAULT of column \"%s\" is no constant", name),
            "constants, NOW(), CURRENT_TIMESTAMP, CURRENT_USER, CURRENT_ROLE, "
            "SNOWFLAKE_ID(), UUID_V7() and ULID() are allowed");
    out->kind = out->value.is_null ? DEFAULT_NONE : DEFAULT_VALUE;
    return LAM_OK;
}

static enum lam_code read_column(struct ddl *d, const struct column_decl *c,
                                 struct column_spec *out, struct lam_error *err) {
    *out = (struct column_spec){.name = c->name, .type = c->type, .nullable = !c->not_null};
    TRY(read_default(d, c->default_expr, c->type, c->name, &out->on_insert, err));
    if (!c->auto_increment)
        return LAM_OK;
    if (c->type.type != LAM_TYPE_BIGINT)
        return ERR_SQL(err, "42804", c->pos,
                       "column \"%.*s\": generated ids are snowflakes and need type BIGINT",
                       (int)c->name.size, (const char *)c->name.data);
    out->on_insert = (struct column_default){.kind = DEFAULT_SNOWFLAKE};
    return LAM_OK;
}

/* --- tables --- */

static enum lam_code key_column(const struct create_table_stmt *ast, struct lam_slice name,
                                uint32_t pos, uint32_t *out, struct lam_error *err) {
    for (uint32_t i = 0; i < ast->column_count; i++)
        if (slice_eq(ast->columns[i].name, name)) {
            *out = i;
            return LAM_OK;
        }
    return ERR_SQL(err, "42703", pos, "PRIMARY KEY names column \"%.*s\", which does not exist",
                   (int)name.size, (const char *)name.data);
}

static enum lam_code read_key(const struct create_table_stmt *ast, struct table_spec *spec,
                              struct lam_error *err) {
    if (ast->key_count > KEY_COLUMNS_MAX)
        return ERR_SQL(err, "54011", ast->key_pos[KEY_COLUMNS_MAX],
                       "a primary key has at most %d columns", KEY_COLUMNS_MAX);
    for (uint32_t i = 0; i < ast->key_count; i++) {
        TRY(key_column(ast, ast->key[i], ast->key_pos[i], &spec->key[i], err));
        for (uint32_t k = 0; k < i; k++)
            if (spec->key[k] == spec->key[i])
                return ERR_SQL(err, "42701", ast->key_pos[i], "PRIMARY KEY names \"%.*s\" twice",
                               (int)ast->key[i].size, (const char *)ast->key[i].data);
        spec->key_count++;
    }
    for (uint32_t i = 0; i < ast->column_count; i++) {
        if (!ast->columns[i].primary_key)
            continue;
        if (spec->key_count > 0)
            return ERR_SQL(err, "42P16", ast->columns[i].pos,
                           "table \"%.*s\" has more than one primary key",
                           (int)ast->table.name.size, (const char *)ast->table.name.data);
        spec->key[spec->key_count++] = i;
    }
    return LAM_OK;
}

/* What no flush could expand is refused at once; the catalog has words of its own for URLs and for
 * a USER table's files without a user. */
static enum lam_code check_location(const struct table_spec *spec, struct lam_error *err) {
    const char *location = spec->options.location;
    bool user = spec->kind == TABLE_USER;
    if (!location || strstr(location, "://") || user != (strstr(location, "${user_id}") != NULL))
        return LAM_OK;
    return flush_template_check(lam_slice_str(location), user, err);
}

static enum lam_code create_table(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct create_table_stmt *ast = stmt->as.create_table;
    struct table_spec spec = {
        .namespace_name = namespace_of(d, &ast->table),
        .name = ast->table.name,
        .column_count = ast->column_count,
        .if_not_exists = ast->if_not_exists,
    };
    TRY(table_options_read(ast, d->arena, &spec.kind, &spec.options, err));
    TRY(at(check_location(&spec, err), ast->table.pos, err));
    if (ast->column_count > COLUMNS_MAX)
        return ERR_SQL(err, "54011", ast->table.pos, "a table has at most %d columns", COLUMNS_MAX);
    struct column_spec *columns = arena_calloc(d->arena, ast->column_count + 1, sizeof *columns);
    if (!columns)
        return plan_out_of_memory(err);
    for (uint32_t i = 0; i < ast->column_count; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (slice_eq(ast->columns[k].name, ast->columns[i].name))
                return ERR_SQL(err, "42701", ast->columns[i].pos,
                               "column \"%.*s\" is declared twice", (int)ast->columns[i].name.size,
                               (const char *)ast->columns[i].name.data);
        TRY(at(identifier_check(ast->columns[i].name, "column", err), ast->columns[i].pos, err));
        TRY(read_column(d, &ast->columns[i], &columns[i], err));
    }
    spec.columns = columns;
    TRY(read_key(ast, &spec, err));
    bool created;
    return at(catalog_create_table(d->catalog, &d->who, &spec, &created, err), ast->table.pos, err);
}

static enum lam_code drop_table(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct drop_stmt *ast = stmt->as.drop;
    bool dropped;
    return at(catalog_drop_table(d->catalog, &d->who, namespace_of(d, &ast->name), ast->name.name,
                                 ast->kind, ast->if_exists, &dropped, err),
              ast->name.pos, err);
}

static enum lam_code alter_blocked(void *arg, struct provider *p, const struct alter_spec *spec,
                                   bool *blocked_out, struct lam_error *err) {
    (void)arg;
    uint32_t id = 0;
    if (spec->kind == ALTER_SET_NOT_NULL) {
        int column = schema_find(p->schema, spec->column);
        LAM_ASSERT(column >= 0);
        id = p->schema->columns[column].id;
    }
    return rows_exist(p, id, blocked_out, err);
}

static enum lam_code altered_column_type(struct ddl *d, const struct alter_table_stmt *ast,
                                         struct coltype *out, struct lam_error *err) {
    struct provider *p;
    TRY(at(catalog_provider(d->catalog, namespace_of(d, &ast->table), ast->table.name, &p, err),
           ast->table.pos, err));
    int column = schema_find(p->schema, ast->column.name);
    if (column >= 0)
        *out = p->schema->columns[column].type;
    provider_unref(p);
    if (column < 0)
        return ERR_SQL(err, "42703", ast->column.pos, "column \"%.*s\" does not exist",
                       (int)ast->column.name.size, (const char *)ast->column.name.data);
    return LAM_OK;
}

static enum lam_code alter_table(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct alter_table_stmt *ast = stmt->as.alter_table;
    struct lam_slice ns = namespace_of(d, &ast->table);
    if (ast->if_exists_table) {
        struct provider *p;
        if (catalog_provider(d->catalog, ns, ast->table.name, &p, NULL) != LAM_OK)
            return LAM_OK;
        provider_unref(p);
    }
    struct alter_spec spec = {
        .kind = ast->kind,
        .column = ast->column.name,
        .new_name = ast->new_name,
        .if_not_exists = ast->if_not_exists,
        .if_exists = ast->if_exists,
        .type = ast->type,
        .blocked = alter_blocked,
    };
    uint32_t pos = ast->column.pos ? ast->column.pos : ast->table.pos;
    struct provider *found;
    if (catalog_provider(d->catalog, ns, ast->table.name, &found, NULL) == LAM_OK)
        provider_unref(found);
    else
        pos = ast->table.pos;
    if (ast->kind == ALTER_ADD_COLUMN)
        TRY(read_column(d, &ast->column, &spec.added, err));
    if (ast->kind == ALTER_SET_DEFAULT) {
        struct coltype type;
        TRY(altered_column_type(d, ast, &type, err));
        TRY(read_default(d, ast->default_expr, type, ast->column.name, &spec.on_insert, err));
    }
    if (ast->kind == ALTER_ACCESS_LEVEL && !access_level_lookup(ast->access_level, &spec.access))
        return ERR_SQL(err, "22023", ast->access_pos,
                       "access level must be public, private, restricted or dba");
    bool changed;
    return at(catalog_alter_table(d->catalog, &d->who, ns, ast->table.name, &spec, &changed, err),
              pos, err);
}

/* --- namespaces, indexes, users, storages --- */

static enum lam_code create_namespace(struct ddl *d, const struct stmt *stmt,
                                      struct lam_error *err) {
    bool created;
    return at(catalog_create_namespace(d->catalog, &d->who, stmt->as.create_namespace.name.name,
                                       stmt->as.create_namespace.if_not_exists, &created, err),
              stmt->as.create_namespace.name.pos, err);
}

static enum lam_code drop_namespace(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct drop_stmt *ast = stmt->as.drop;
    bool dropped;
    return at(catalog_drop_namespace(d->catalog, &d->who, ast->name.name, ast->if_exists,
                                     ast->cascade, &dropped, err),
              ast->name.pos, err);
}

static enum lam_code has_duplicates(void *arg, struct provider *p, const struct table_index *index,
                                    bool *duplicate_out, struct lam_error *err) {
    (void)arg;
    return index_has_duplicates(p, index, duplicate_out, err);
}

static enum lam_code create_index(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct create_index_stmt *ast = stmt->as.create_index;
    struct index_spec spec = {
        .name = ast->name,
        .namespace_name = namespace_of(d, &ast->table),
        .table = ast->table.name,
        .unique = ast->unique,
        .if_not_exists = ast->if_not_exists,
        .columns = ast->columns,
        .column_count = ast->column_count,
        .duplicate = has_duplicates,
    };
    bool created;
    return at(catalog_create_index(d->catalog, &d->who, &spec, &created, err), ast->table.pos, err);
}

static enum lam_code drop_index(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct drop_stmt *ast = stmt->as.drop;
    bool dropped;
    return at(catalog_drop_index(d->catalog, &d->who, namespace_of(d, &ast->name), ast->name.name,
                                 ast->if_exists, &dropped, err),
              ast->name.pos, err);
}

static enum lam_code create_user(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct create_user_stmt *ast = stmt->as.create_user;
    struct user_spec spec = {.name = ast->name,
                             .password = ast->password,
                             .role = LAM_ROLE_USER,
                             .email = ast->email,
                             .if_not_exists = ast->if_not_exists};
    if (ast->role.size > 0 && !role_lookup(ast->role, &spec.role))
        return error_hint(err,
                          ERR_SQL(err, "22023", ast->role_pos, "\"%.*s\" is not a role",
                                  (int)ast->role.size, (const char *)ast->role.data),
                          "roles: anonymous, user, service, dba, system");
    if (ast->has_password && ast->password.size == 0)
        return ERR_SQL(err, "22023", stmt->pos, "a password has 8 to 1024 bytes");
    bool created;
    return at(catalog_create_user(d->catalog, &d->who, &spec, &created, err), stmt->pos, err);
}

static enum lam_code drop_user(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct drop_stmt *ast = stmt->as.drop;
    bool dropped;
    return at(catalog_drop_user(d->catalog, &d->who, ast->name.name, ast->if_exists, &dropped, err),
              ast->name.pos, err);
}

static enum lam_code create_storage(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct create_storage_stmt *ast = stmt->as.create_storage;
    if (ast->shared_template.size > 0)
        TRY(at(flush_template_check(ast->shared_template, false, err), ast->pos, err));
    if (ast->user_template.size > 0)
        TRY(at(flush_template_check(ast->user_template, true, err), ast->pos, err));
    struct storage_spec spec = {
        .id = ast->name,
        .type = ast->type,
        .base_directory = ast->base_directory,
        .shared_template = ast->shared_template,
        .user_template = ast->user_template,
        .if_not_exists = ast->if_not_exists,
    };
    bool created;
    return at(catalog_create_storage(d->catalog, &d->who, &spec, &created, err), ast->pos, err);
}

static enum lam_code drop_storage(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    const struct drop_stmt *ast = stmt->as.drop;
    bool dropped;
    return at(
        catalog_drop_storage(d->catalog, &d->who, ast->name.name, ast->if_exists, &dropped, err),
        ast->name.pos, err);
}

static enum lam_code use_namespace(struct ddl *d, const struct stmt *stmt, struct lam_error *err) {
    struct lam_slice name = stmt->as.target.name;
    bool known = slice_eq_str(name, "system") || slice_eq_str(name, "information_schema") ||
                 catalog_has_namespace(d->catalog, name);
    if (!known || name.size > IDENTIFIER_MAX)
        return error_hint(
            err,
            ERR_SQL(err, "3F000", stmt->as.target.pos, "namespace \"%.*s\" does not exist",
                    (int)name.size, (const char *)name.data),
            "create it first with CREATE NAMESPACE %.*s",
            name.size > IDENTIFIER_MAX ? IDENTIFIER_MAX : (int)name.size, (const char *)name.data);
    memcpy(d->session->namespace_name, name.data, name.size);
    d->session->namespace_name[name.size] = 0;
    return LAM_OK;
}

typedef enum lam_code (*ddl_fn)(struct ddl *d, const struct stmt *stmt, struct lam_error *err);
static const ddl_fn handlers[] = {
    [STMT_CREATE_NAMESPACE] = create_namespace,
    [STMT_DROP_NAMESPACE] = drop_namespace,
    [STMT_CREATE_TABLE] = create_table,
    [STMT_DROP_TABLE] = drop_table,
    [STMT_ALTER_TABLE] = alter_table,
    [STMT_CREATE_INDEX] = create_index,
    [STMT_DROP_INDEX] = drop_index,
    [STMT_CREATE_USER] = create_user,
    [STMT_DROP_USER] = drop_user,
    [STMT_CREATE_STORAGE] = create_storage,
    [STMT_DROP_STORAGE] = drop_storage,
    [STMT_USE] = use_namespace,
};

enum lam_code ddl_run(lam_stmt *stmt, const struct stmt *ast, struct lam_error *err) {
    LAM_ASSERT((size_t)ast->kind < sizeof handlers / sizeof handlers[0] && handlers[ast->kind]);
    struct ddl d = {.stmt = stmt,
                    .session = stmt->session,
                    .catalog = stmt->session->catalog,
                    .who = {stmt->identity.user, stmt->identity.role},
                    .arena = &stmt->run_arena};
    return handlers[ast->kind](&d, ast, err);
}
