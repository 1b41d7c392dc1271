/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns of schemas under construction: names, types, defaults, and deriving the next version. */
#include "catalog/catalog_impl.h"

enum lam_code column_name_check(struct lam_slice name, struct lam_error *err) {
    if (name.size && name.data[0] == '_')
        return ERR_SQL(err, "42602", 0,
                       "column name \"%.*s\" is reserved: names that start with _ are the engine's",
                       name.size > 100 ? 100 : (int)name.size, (const char *)name.data);
    return identifier_check(name, "column", err);
}

enum lam_code column_type_check(struct lam_slice name, struct coltype type, struct lam_error *err) {
    int size = (int)name.size;
    if (type.type < LAM_TYPE_BOOLEAN || type.type > LAM_TYPE_JSON)
        return ERR_SQL(err, "42804", 0, "column \"%.*s\" has no type", size, name.data);
    if (type.type == LAM_TYPE_DECIMAL &&
        (type.precision < 1 || type.precision > DECIMAL_PRECISION_MAX ||
         type.scale > type.precision))
        return ERR_SQL(err, "22023", 0,
                       "column \"%.*s\": DECIMAL(%u,%u) must have 1 to 38 digits and a scale of at "
                       "most as many",
                       size, name.data, type.precision, type.scale);
    return LAM_OK;
}

enum lam_code value_copy(const struct value *v, struct arena *arena, struct value *out,
                         struct lam_error *err) {
    *out = *v;
    if (v->is_null || !coltype_is_variable(v->type.type))
        return LAM_OK;
    uint8_t *copy = arena_dup(arena, v->as.bytes.data, v->as.bytes.size);
    if (v->as.bytes.size && !copy)
        return mem_fail(err, v->as.bytes.size);
    out->as.bytes = lam_slice_of(copy, v->as.bytes.size);
    return LAM_OK;
}

static bool default_suits(enum default_kind kind, enum lam_type type) {
    switch (kind) {
    case DEFAULT_NONE:
    case DEFAULT_VALUE:
        return true;
    case DEFAULT_SNOWFLAKE:
        return type == LAM_TYPE_BIGINT || type == LAM_TYPE_TEXT;
    case DEFAULT_NOW:
        return type == LAM_TYPE_TIMESTAMP || type == LAM_TYPE_DATE || type == LAM_TYPE_TIME ||
               type == LAM_TYPE_TEXT;
    case DEFAULT_UUID_V7:
        return type == LAM_TYPE_UUID || type == LAM_TYPE_TEXT;
    case DEFAULT_CURRENT_USER:
    case DEFAULT_CURRENT_ROLE:
    case DEFAULT_ULID:
        return type == LAM_TYPE_TEXT;
    }
    return false;
}

enum lam_code column_default_set(struct schema *s, struct schema_column *column,
                                 const struct column_default *wanted, struct lam_error *err) {
    column->on_insert = (struct column_default){.kind = DEFAULT_NONE};
    column->on_insert.value = value_null(column->type);
    if (!default_suits(wanted->kind, column->type.type)) {
        char type[32];
        coltype_name(column->type, type);
        enum lam_code rc = ERR_SQL(
            err, "42804", 0, "the DEFAULT of column \"%s\" does not give a %s", column->name, type);
        if (wanted->kind == DEFAULT_SNOWFLAKE)
            error_hint(err, rc, "generated ids are BIGINT");
        return rc;
    }
    if (wanted->kind != DEFAULT_VALUE) {
        column->on_insert.kind = wanted->kind;
        return LAM_OK;
    }
    if (wanted->value.is_null)
        return LAM_OK;
    struct value cast;
    enum lam_code rc =
        value_cast(&wanted->value, column->type, CAST_ASSIGNMENT, &s->arena, &cast, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "DEFAULT of column \"%s\"", column->name);
    TRY(value_copy(&cast, &s->arena, &column->on_insert.value, err));
    column->on_insert.value.type = column->type;
    column->on_insert.kind = DEFAULT_VALUE;
    return LAM_OK;
}

static enum lam_code copy_column(const struct schema_column *from, struct schema *to,
                                 struct schema_column *out, struct lam_error *err) {
    *out = *from;
    out->name = arena_strdup(&to->arena, from->name);
    if (!out->name)
        return mem_fail(err, strlen(from->name));
    if (from->on_insert.kind == DEFAULT_VALUE)
        TRY(value_copy(&from->on_insert.value, &to->arena, &out->on_insert.value, err));
    return value_copy(&from->initial, &to->arena, &out->initial, err);
}

static enum lam_code derive(const struct schema *from, int skip, struct schema *s,
                            struct lam_error *err) {
    s->table = from->table;
    s->version = from->version + 1;
    s->next_column_id = from->next_column_id;
    s->next_ordinal = from->next_ordinal;
    s->key_count = from->key_count;
    s->column_count = 0;
    for (uint32_t i = 0; i < from->column_count; i++) {
        if ((int)i == skip)
            continue;
        struct schema_column *column = &s->columns[s->column_count];
        TRY(copy_column(&from->columns[i], s, column, err));
        if (column->key_position >= 0)
            s->key[column->key_position] = s->column_count;
        s->column_count++;
    }
    return LAM_OK;
}

enum lam_code schema_derive(const struct schema *from, int skip, uint32_t extra,
                            struct schema **schema_out, struct lam_error *err) {
    LAM_ASSERT(skip < 0 || from->columns[skip].key_position < 0);
    struct schema *s = NULL;
    TRY(schema_new(from->column_count + extra, &s, err));
    enum lam_code rc = derive(from, skip, s, err);
    if (rc != LAM_OK) {
        schema_unref(s);
        return rc;
    }
    *schema_out = s;
    return LAM_OK;
}

enum lam_code schema_append(struct schema *s, const struct column_spec *spec,
                            struct schema_column **column_out, struct lam_error *err) {
    TRY(column_name_check(spec->name, err));
    TRY(column_type_check(spec->name, spec->type, err));
    if (schema_find(s, spec->name) >= 0)
        return ERR_SQL(err, "42701", 0, "column \"%.*s\" appears twice", (int)spec->name.size,
                       spec->name.data);
    struct schema_column *column = &s->columns[s->column_count];
    memset(column, 0, sizeof *column);
    column->name = arena_strdup_slice(&s->arena, spec->name);
    if (!column->name)
        return mem_fail(err, spec->name.size + 1);
    column->id = s->next_column_id++;
    column->ordinal = s->next_ordinal++;
    column->type = spec->type;
    column->nullable = spec->nullable;
    column->key_position = -1;
    column->initial = value_null(spec->type);
    TRY(column_default_set(s, column, &spec->on_insert, err));
    s->column_count++;
    *column_out = column;
    return LAM_OK;
}

enum lam_code column_missing(const struct provider *p, struct lam_slice name,
                             struct lam_error *err) {
    enum lam_code rc =
        ERR_SQL(err, "42703", 0, "table %s.%s has no column \"%.*s\"", p->namespace_name, p->name,
                name.size > IDENTIFIER_MAX ? IDENTIFIER_MAX : (int)name.size, name.data);
    struct nearest near = {.wanted = name};
    for (uint32_t i = 0; i < p->schema->column_count; i++)
        nearest_offer(&near, lam_slice_str(p->schema->columns[i].name));
    if (near.name.size == 0)
        return rc;
    return error_hint(err, rc, "did you mean \"%.*s\"?", (int)near.name.size, near.name.data);
}
