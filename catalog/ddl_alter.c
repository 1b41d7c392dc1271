/* SPDX-License-Identifier: Apache-2.0
 *
 * ALTER TABLE: every change that has an effect makes the next schema version, committed with the
 * table's record in one synced batch and published while all stripes are held, so that a writer
 * either committed under the old version before or is told to prepare again. A change without
 * effect makes nothing. */
#include "catalog/catalog_impl.h"

/* A change in the making. */
struct alter {
    struct catalog *c;
    const struct actor *who;
    const struct alter_spec *spec;
    struct provider *now;  /* current; borrowed */
    struct provider *next; /* version to come; owned until published */
    struct schema *schema; /* of `next`; borrowed from it */
    int column;            /* in `now` and, but for DROP, in `schema`; -1: none */
};

static enum lam_code refuse_key(const struct alter *a, const char *what, struct lam_error *err) {
    return ERR_SQL(err, "42P16", 0, "column \"%s\" is in the primary key of %s.%s and can't be %s",
                   a->now->schema->columns[a->column].name, a->now->namespace_name, a->now->name,
                   what);
}

/* Position of the index that has a column, or -1. */
static int index_with_column(const struct provider *p, uint32_t column_id) {
    for (uint32_t i = 0; i < p->index_count; i++) {
        for (uint32_t k = 0; k < p->indexes[i].column_count; k++) {
            if (p->indexes[i].column_ids[k] == column_id)
                return (int)i;
        }
    }
    return -1;
}

static enum lam_code refuse_indexed(const struct alter *a, const char *what,
                                    struct lam_error *err) {
    const struct schema_column *column = &a->now->schema->columns[a->column];
    int index = index_with_column(a->now, column->id);
    if (index < 0)
        return LAM_OK;
    enum lam_code rc = ERR_SQL(err, "2BP01", 0, "column \"%s\" can't be %s: index \"%s\" uses it",
                               column->name, what, a->now->indexes[index].name);
    return error_hint(err, rc, "drop the index first");
}

/* Without a callback any row at all stands in the way: it can't be told what it holds. */
static enum lam_code is_blocked(const struct alter *a, bool *blocked_out, struct lam_error *err) {
    if (a->spec->blocked)
        return a->spec->blocked(a->spec->blocked_arg, a->now, a->spec, blocked_out, err);
    lam_partition *places[] = {a->now->hot, a->now->segments};
    *blocked_out = false;
    for (size_t i = 0; i < 2 && !*blocked_out; i++) {
        lam_iter *it = NULL;
        struct lam_read_options options = {.keys_only = true};
        if (!places[i])
            continue;
        TRY(lam_iter_new(a->c->db, &options, places[i], &it, err));
        lam_iter_seek_first(it);
        *blocked_out = lam_iter_valid(it);
        enum lam_code rc = *blocked_out ? LAM_OK : lam_iter_status(it, err);
        lam_iter_free(it);
        TRY(rc);
    }
    return LAM_OK;
}

/* --- one function per kind. Each tells whether there is anything to do (a->schema is NULL if not)
 * and changes the derived schema. --- */

static enum lam_code derive_next(struct alter *a, int skip, uint32_t extra, struct lam_error *err) {
    struct schema *s = NULL;
    TRY(schema_derive(a->now->schema, skip, extra, &s, err));
    TRY(provider_add_schema(a->next, s, err));
    a->schema = s;
    return LAM_OK;
}

/* What rows written before get. A default that differs from row to row has no one value for them.
 */
static enum lam_code freeze_initial(struct alter *a, struct schema_column *column,
                                    struct lam_error *err) {
    struct value initial;
    switch (column->on_insert.kind) {
    case DEFAULT_NONE:
    case DEFAULT_SNOWFLAKE:
    case DEFAULT_UUID_V7:
    case DEFAULT_ULID:
        return LAM_OK;
    case DEFAULT_VALUE:
    case DEFAULT_NOW:
    case DEFAULT_CURRENT_USER:
    case DEFAULT_CURRENT_ROLE:
        break;
    }
    TRY(column_default_value(a->c, column, a->who->user, a->who->role, &a->schema->arena, &initial,
                             err));
    TRY(value_copy(&initial, &a->schema->arena, &column->initial, err));
    column->initial.type = column->type;
    return LAM_OK;
}

static enum lam_code add_column(struct alter *a, struct lam_error *err) {
    const struct column_spec *added = &a->spec->added;
    struct schema_column *column = NULL;
    const struct schema *s = a->now->schema;
    TRY(column_name_check(added->name, err));
    if (schema_find(s, added->name) >= 0) {
        if (a->spec->if_not_exists)
            return LAM_OK;
        return ERR_SQL(err, "42701", 0, "table %s.%s has a column \"%.*s\" already",
                       a->now->namespace_name, a->now->name, (int)added->name.size,
                       added->name.data);
    }
    if (s->column_count >= COLUMNS_MAX)
        return ERR_SQL(err, "54011", 0, "table %s.%s has %u columns, the most there can be",
                       a->now->namespace_name, a->now->name, COLUMNS_MAX);
    TRY(derive_next(a, -1, 1, err));
    TRY(schema_append(a->schema, added, &column, err));
    TRY(freeze_initial(a, column, err));
    if (column->nullable || !column->initial.is_null)
        return LAM_OK;
    bool blocked = false;
    TRY(is_blocked(a, &blocked, err));
    if (!blocked)
        return LAM_OK;
    enum lam_code rc = ERR_SQL(err, "23502", 0,
                               "column \"%s\" can't be added as NOT NULL: %s.%s has rows, which "
                               "would have no value in it",
                               column->name, a->now->namespace_name, a->now->name);
    return error_hint(err, rc, "give it a constant DEFAULT");
}

static enum lam_code drop_column(struct alter *a, struct lam_error *err) {
    if (a->now->schema->columns[a->column].key_position >= 0)
        return refuse_key(a, "dropped", err);
    TRY(refuse_indexed(a, "dropped", err));
    return derive_next(a, a->column, 0, err);
}

static enum lam_code rename_column(struct alter *a, struct lam_error *err) {
    const struct schema *s = a->now->schema;
    if (a->now->kind == TABLE_STREAM && s->columns[a->column].key_position >= 0)
        return refuse_key(a, "renamed in a stream table", err);
    if (slice_eq_str(a->spec->new_name, s->columns[a->column].name))
        return LAM_OK;
    TRY(column_name_check(a->spec->new_name, err));
    if (schema_find(s, a->spec->new_name) >= 0)
        return ERR_SQL(err, "42701", 0, "table %s.%s has a column \"%.*s\" already",
                       a->now->namespace_name, a->now->name, (int)a->spec->new_name.size,
                       a->spec->new_name.data);
    TRY(derive_next(a, -1, 0, err));
    struct schema_column *column = &a->schema->columns[a->column];
    column->name = arena_strdup_slice(&a->schema->arena, a->spec->new_name);
    return column->name ? LAM_OK : mem_fail(err, a->spec->new_name.size + 1);
}

static bool same_default(const struct column_default *x, const struct column_default *y) {
    if (x->kind != y->kind)
        return false;
    return x->kind != DEFAULT_VALUE || value_cmp(&x->value, &y->value) == 0;
}

static enum lam_code set_default(struct alter *a, const struct column_default *wanted,
                                 struct lam_error *err) {
    const struct column_default *old = &a->now->schema->columns[a->column].on_insert;
    if (wanted->kind == DEFAULT_NONE && old->kind == DEFAULT_NONE)
        return LAM_OK;
    /* The cast to the column's type decides whether it is the same default: derive first. */
    struct schema *s = NULL;
    TRY(schema_derive(a->now->schema, -1, 0, &s, err));
    struct schema_column *column = &s->columns[a->column];
    enum lam_code rc = column_default_set(s, column, wanted, err);
    if (rc != LAM_OK || same_default(&column->on_insert, old)) {
        schema_unref(s);
        return rc;
    }
    TRY(provider_add_schema(a->next, s, err));
    a->schema = s;
    return LAM_OK;
}

static enum lam_code set_not_null(struct alter *a, struct lam_error *err) {
    const struct schema_column *column = &a->now->schema->columns[a->column];
    bool blocked = false;
    if (!column->nullable)
        return LAM_OK;
    TRY(is_blocked(a, &blocked, err));
    if (blocked)
        return ERR_SQL(err, "23502", 0, "column \"%s\" of %s.%s holds NULLs", column->name,
                       a->now->namespace_name, a->now->name);
    TRY(derive_next(a, -1, 0, err));
    a->schema->columns[a->column].nullable = false;
    return LAM_OK;
}

static enum lam_code drop_not_null(struct alter *a, struct lam_error *err) {
    const struct schema_column *column = &a->now->schema->columns[a->column];
    if (column->key_position >= 0)
        return refuse_key(a, "nullable", err);
    if (column->nullable)
        return LAM_OK;
    TRY(derive_next(a, -1, 0, err));
    a->schema->columns[a->column].nullable = true;
    return LAM_OK;
}

static bool widens(struct coltype from, struct coltype to) {
    if (coltype_is_integer(from.type) && coltype_is_integer(to.type))
        return from.type < to.type;
    if (from.type == LAM_TYPE_FLOAT)
        return to.type == LAM_TYPE_DOUBLE;
    if (from.type != to.type)
        return false;
    if (from.type == LAM_TYPE_DECIMAL)
        return from.scale == to.scale && from.precision < to.precision;
    if (from.type == LAM_TYPE_TEXT)
        return from.length && (to.length == 0 || from.length < to.length);
    return false;
}

static enum lam_code retype_value(struct value *v, struct coltype type, struct schema *s,
                                  struct lam_error *err) {
    struct value cast;
    if (v->is_null) {
        *v = value_null(type);
        return LAM_OK;
    }
    TRY(value_cast(v, type, CAST_ASSIGNMENT, &s->arena, &cast, err));
    TRY(value_copy(&cast, &s->arena, v, err));
    v->type = type;
    return LAM_OK;
}

static enum lam_code change_type(struct alter *a, struct lam_error *err) {
    const struct schema_column *old = &a->now->schema->columns[a->column];
    struct coltype to = a->spec->type;
    TRY(column_type_check(lam_slice_str(old->name), to, err));
    if (coltype_eq(old->type, to))
        return LAM_OK;
    if (old->key_position >= 0)
        return refuse_key(a, "retyped", err);
    if (!widens(old->type, to)) {
        char from_name[32], to_name[32];
        coltype_name(old->type, from_name);
        coltype_name(to, to_name);
        enum lam_code rc = ERR_SQL(err, "42804", 0, "column \"%s\" can't change from %s to %s",
                                   old->name, from_name, to_name);
        return error_hint(err, rc,
                          "types only widen: SMALLINT, INT, BIGINT; FLOAT, DOUBLE; DECIMAL "
                          "with more digits; longer VARCHAR");
    }
    /* Entries are encoded by the width of the type. */
    if (old->type.type != to.type)
        TRY(refuse_indexed(a, "retyped", err));
    TRY(derive_next(a, -1, 0, err));
    struct schema_column *column = &a->schema->columns[a->column];
    column->type = to;
    TRY(retype_value(&column->initial, to, a->schema, err));
    if (column->on_insert.kind != DEFAULT_VALUE)
        return LAM_OK;
    return retype_value(&column->on_insert.value, to, a->schema, err);
}

static enum lam_code change_access(struct alter *a, struct lam_error *err) {
    if (a->now->kind != TABLE_SHARED)
        return ERR_SQL(err, "42P16", 0, "%s tables have no access level; %s.%s is one",
                       table_kind_name(a->now->kind), a->now->namespace_name, a->now->name);
    if (a->spec->access < ACCESS_PUBLIC || a->spec->access > ACCESS_DBA)
        return ERR_SQL(err, "22023", 0, "the access level is public, private, restricted or dba");
    if (a->now->options.access == a->spec->access)
        return LAM_OK;
    a->next->options.access = a->spec->access;
    return derive_next(a, -1, 0, err);
}

static enum lam_code apply(struct alter *a, struct lam_error *err) {
    static const struct column_default none = {.kind = DEFAULT_NONE};
    enum alter_kind kind = a->spec->kind;
    if (kind != ALTER_ADD_COLUMN && kind != ALTER_ACCESS_LEVEL) {
        a->column = schema_find(a->now->schema, a->spec->column);
        if (a->column < 0 && kind == ALTER_DROP_COLUMN && a->spec->if_exists)
            return LAM_OK;
        if (a->column < 0)
            return column_missing(a->now, a->spec->column, err);
    }
    switch (kind) {
    case ALTER_ADD_COLUMN:
        return add_column(a, err);
    case ALTER_DROP_COLUMN:
        return drop_column(a, err);
    case ALTER_RENAME_COLUMN:
        return rename_column(a, err);
    case ALTER_SET_DEFAULT:
        return set_default(a, &a->spec->on_insert, err);
    case ALTER_DROP_DEFAULT:
        return set_default(a, &none, err);
    case ALTER_SET_NOT_NULL:
        return set_not_null(a, err);
    case ALTER_DROP_NOT_NULL:
        return drop_not_null(a, err);
    case ALTER_COLUMN_TYPE:
        return change_type(a, err);
    case ALTER_ACCESS_LEVEL:
        return change_access(a, err);
    }
    UNREACHABLE();
}

static enum lam_code commit_alter(struct alter *a, bool *visible_out, struct lam_error *err) {
    lam_batch *batch = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_batch_new(a->c->db, &batch, err));
    TRY_GOTO(schema_seal(a->schema, err));
    TRY_GOTO(table_schema_record_put(a->next, a->now->schema, false, batch, err));
    TRY_GOTO(table_schema_record_put(a->next, a->schema, true, batch, err));
    TRY_GOTO(table_record_put(a->next, batch, err));
    rc = ddl_commit(a->c, batch, visible_out, err);
out:
    lam_batch_free(batch);
    return rc;
}

/* The caller holds all stripes. */
static enum lam_code alter_striped(struct alter *a, bool *changed_out, struct lam_error *err) {
    TRY(provider_clone(a->now, &a->next, err));
    TRY(apply(a, err));
    if (!a->schema)
        return LAM_OK;
    DEBUG_ASSERT(a->schema->version == a->now->schema->version + 1);
    TRY(registry_reserve(&a->c->registry, err));
    bool visible = false;
    enum lam_code rc = commit_alter(a, &visible, err);
    if (!visible)
        return rc;
    provider_advance(a->next);
    registry_publish(&a->c->registry, a->next);
    a->next = NULL;
    catalog_bump(a->c);
    *changed_out = rc == LAM_OK;
    return rc;
}

static enum lam_code alter_locked(struct catalog *c, const struct actor *who, struct provider *p,
                                  const struct alter_spec *spec, bool *changed_out,
                                  struct lam_error *err) REQUIRES(c->ddl) {
    enum action action =
        spec->kind == ALTER_ACCESS_LEVEL ? ACTION_SET_ACCESS_LEVEL : ACTION_ALTER_TABLE;
    if (!access_may(who->role, action, p->kind))
        return access_denied(err, who->user, who->role, "alter %s table %s.%s",
                             table_kind_name(p->kind), p->namespace_name, p->name);
    struct alter a = {.c = c, .who = who, .spec = spec, .now = p, .column = -1};
    provider_lock_all(p);
    enum lam_code rc = alter_striped(&a, changed_out, err);
    provider_unlock_all(p);
    provider_unref(a.next);
    return rc;
}

enum lam_code catalog_alter_table(struct catalog *c, const struct actor *who,
                                  struct lam_slice namespace_name, struct lam_slice name,
                                  const struct alter_spec *spec, bool *changed_out,
                                  struct lam_error *err) {
    bool changed = false;
    TRY(namespace_require(c, namespace_name, err));
    mutex_lock(&c->ddl);
    enum lam_code rc = LAM_OK;
    struct provider *p = registry_find(&c->registry, namespace_name, name);
    if (p)
        rc = alter_locked(c, who, p, spec, &changed, err);
    mutex_unlock(&c->ddl);
    if (!p)
        rc = table_missing(c, namespace_name, name, err);
    provider_unref(p);
    if (rc == LAM_OK && changed_out)
        *changed_out = changed;
    return rc;
}
