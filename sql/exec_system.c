/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of system.* (entities) and information_schema. */
#include "base/assert.h"
#include "sql/exec.h"

/* A visit of an entity store or the providers, adding rows to a list. */
struct visit {
    lam_stmt *stmt;
    const struct table_ref *ref;
    struct rowlist *rows;
    enum lam_code rc;
    struct lam_error *err;
    struct value values[64]; /* one row; no system table is wider */
};

static bool add_record(void *arg, const struct value *record) {
    struct visit *v = arg;
    const struct entity_def *def = entity_definition(v->ref->entity);
    for (uint32_t i = 0; i < v->ref->scope.count; i++) {
        uint32_t field = v->ref->column_ids[i];
        v->values[i] = record[field];
        if (def->fields[field].secret && v->stmt->identity.role != LAM_ROLE_SYSTEM)
            v->values[i] = value_null(v->ref->types[i]);
    }
    v->rc = rowlist_add(v->rows, v->values, v->err);
    return v->rc == LAM_OK;
}

static bool may_see(const struct visit *v, const struct provider *p) {
    return access_may_read(v->stmt->identity.role, p->kind, p->options.access);
}

static bool add_table(void *arg, struct provider *p) {
    struct visit *v = arg;
    if (!may_see(v, p))
        return true;
    v->values[0] = value_text("lamina");
    v->values[1] = value_text(p->namespace_name);
    v->values[2] = value_text(p->name);
    v->values[3] = value_text("BASE TABLE");
    v->rc = rowlist_add(v->rows, v->values, v->err);
    return v->rc == LAM_OK;
}

static bool add_columns(void *arg, struct provider *p) {
    struct visit *v = arg;
    if (!may_see(v, p))
        return true;
    for (uint32_t i = 0; i < p->schema->column_count && v->rc == LAM_OK; i++) {
        const struct schema_column *c = &p->schema->columns[i];
        char type[32];
        coltype_name(c->type, type);
        struct value text = value_null(coltype_of(LAM_TYPE_TEXT));
        v->rc = column_default_text(c, v->stmt->run.arena, &text, v->err);
        if (v->rc != LAM_OK)
            break;
        v->values[0] = value_text("lamina");
        v->values[1] = value_text(p->namespace_name);
        v->values[2] = value_text(p->name);
        v->values[3] = value_text(c->name);
        v->values[4] = value_i64(LAM_TYPE_INT, c->ordinal);
        v->values[5] = text;
        v->values[6] = value_text(c->nullable ? "YES" : "NO");
        v->values[7] = value_text(type);
        v->rc = rowlist_add(v->rows, v->values, v->err);
    }
    return v->rc == LAM_OK;
}

enum lam_code column_default_text(const struct schema_column *c, struct arena *arena,
                                  struct value *out, struct lam_error *err) {
    static const char *const names[] = {
        [DEFAULT_SNOWFLAKE] = "SNOWFLAKE_ID()",  [DEFAULT_NOW] = "NOW()",
        [DEFAULT_CURRENT_USER] = "CURRENT_USER", [DEFAULT_CURRENT_ROLE] = "CURRENT_ROLE",
        [DEFAULT_UUID_V7] = "UUID_V7()",         [DEFAULT_ULID] = "ULID()",
    };
    *out = value_null(coltype_of(LAM_TYPE_TEXT));
    if (c->on_insert.kind == DEFAULT_NONE)
        return LAM_OK;
    if (c->on_insert.kind != DEFAULT_VALUE) {
        *out = value_text(names[c->on_insert.kind]);
        return LAM_OK;
    }
    OWNED(buf_fini) struct buf text = {0};
    enum lam_code rc = value_format(&c->on_insert.value, &text, err);
    if (rc == LAM_OK && !c->on_insert.value.is_null) {
        char *copy = arena_strdup_slice(arena, buf_slice(&text));
        if (copy)
            *out = value_text(copy);
        else
            rc = mem_fail(err, text.size);
    }
    return rc;
}

enum lam_code system_rows(const struct table_ref *ref, lam_stmt *stmt, struct rowlist *rows,
                          struct lam_error *err) {
    struct visit v = {.stmt = stmt, .ref = ref, .rows = rows, .err = err};
    LAM_ASSERT(ref->scope.count <= sizeof v.values / sizeof v.values[0]);
    TRY(rowlist_init(rows, ref->types, ref->scope.count, err));
    struct catalog *c = stmt->session->catalog;
    if (ref->kind == SOURCE_SYSTEM)
        TRY(entity_scan(catalog_entity(c, ref->entity), stmt->snapshot, NULL, 0, add_record, &v,
                        err));
    else
        TRY(catalog_each_provider(
            c, ref->information == INFORMATION_TABLES ? add_table : add_columns, &v, err));
    return v.rc;
}
