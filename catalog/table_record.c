/* SPDX-License-Identifier: Apache-2.0
 *
 * Providers as records of system.tables and system.table_schemas, and back.
 *
 * Definition, the binary field of system.tables: u8 format 1; u8 kind; u8 access level; u8 flags
 * (1: lz4, 2: has a location); storage; location if there; varints: flush rows, flush interval in
 * seconds, deleted retention in hours, ttl in seconds, next index number, indexes; each index:
 * varint number, name, u8 unique, varint columns, their ids as varints. Strings are led by a varint
 * length. */
#include <stdio.h>

#include "base/utf8.h"
#include "catalog/catalog_impl.h"

#define DEFINITION_FORMAT 1
#define FLAG_LZ4          1
#define FLAG_LOCATION     2

/* --- definition --- */

static enum lam_code encode_index(const struct table_index *index, struct buf *out,
                                  struct lam_error *err) {
    TRY(buf_append_varint(out, index->number, err));
    TRY(buf_append_prefixed(out, lam_slice_str(index->name), err));
    TRY(buf_append_u8(out, index->unique, err));
    TRY(buf_append_varint(out, index->column_count, err));
    for (uint32_t i = 0; i < index->column_count; i++)
        TRY(buf_append_varint(out, index->column_ids[i], err));
    return LAM_OK;
}

static enum lam_code encode_definition(const struct provider *p, struct buf *out,
                                       struct lam_error *err) {
    const struct table_options *o = &p->options;
    TRY(buf_append_u8(out, DEFINITION_FORMAT, err));
    TRY(buf_append_u8(out, (uint8_t)p->kind, err));
    TRY(buf_append_u8(out, (uint8_t)o->access, err));
    uint8_t flags = (uint8_t)((o->lz4 ? FLAG_LZ4 : 0) | (o->location ? FLAG_LOCATION : 0));
    TRY(buf_append_u8(out, flags, err));
    TRY(buf_append_prefixed(out, lam_slice_str(o->storage), err));
    if (o->location)
        TRY(buf_append_prefixed(out, lam_slice_str(o->location), err));
    TRY(buf_append_varint(out, o->flush_rows, err));
    TRY(buf_append_varint(out, o->flush_interval_s, err));
    TRY(buf_append_varint(out, o->deleted_retention_hours, err));
    TRY(buf_append_varint(out, o->ttl_seconds, err));
    TRY(buf_append_varint(out, p->next_index_number, err));
    TRY(buf_append_varint(out, p->index_count, err));
    for (uint32_t i = 0; i < p->index_count; i++)
        TRY(encode_index(&p->indexes[i], out, err));
    return LAM_OK;
}

/* Copies a name into a fixed field; fails the cursor if it does not fit or is no text. */
static void get_name(struct cursor *c, char *out) {
    struct lam_slice s = cursor_prefixed(c);
    if (s.size == 0 || s.size > IDENTIFIER_MAX || memchr(s.data, 0, s.size) ||
        !utf8_valid(s, NULL)) {
        c->failed = true;
        return;
    }
    memcpy(out, s.data, s.size);
    out[s.size] = 0;
}

static void decode_index(struct cursor *c, const struct schema *schema, struct table_index *out) {
    memset(out, 0, sizeof *out);
    out->number = cursor_varint32(c);
    get_name(c, out->name);
    uint8_t unique = cursor_u8(c);
    out->unique = unique == 1;
    out->column_count = cursor_varint32(c);
    if (unique > 1 || out->column_count == 0 || out->column_count > INDEX_COLUMNS_MAX)
        c->failed = true;
    for (uint32_t i = 0; !c->failed && i < out->column_count; i++) {
        out->column_ids[i] = cursor_varint32(c);
        if (schema_find_id(schema, out->column_ids[i]) < 0)
            c->failed = true;
    }
}

static enum lam_code decode_options(struct cursor *c, struct provider *p, struct lam_error *err) {
    struct table_options *o = &p->options;
    uint8_t format = cursor_u8(c);
    uint8_t kind = cursor_u8(c);
    uint8_t access = cursor_u8(c);
    uint8_t flags = cursor_u8(c);
    if (format != DEFINITION_FORMAT || kind < TABLE_USER || kind > TABLE_STREAM ||
        access > ACCESS_DBA || flags > (FLAG_LZ4 | FLAG_LOCATION))
        c->failed = true;
    p->kind = (enum table_kind)kind;
    o->access = (enum access_level)access;
    o->lz4 = (flags & FLAG_LZ4) != 0;
    get_name(c, o->storage);
    if (!c->failed && (flags & FLAG_LOCATION)) {
        struct lam_slice location = cursor_prefixed(c);
        o->location = mem_alloc(location.size + 1);
        if (!o->location)
            return mem_fail(err, location.size + 1);
        if (location.size)
            memcpy(o->location, location.data, location.size);
        o->location[location.size] = 0;
    }
    o->flush_rows = cursor_varint(c);
    o->flush_interval_s = cursor_varint(c);
    o->deleted_retention_hours = cursor_varint32(c);
    o->ttl_seconds = cursor_varint(c);
    p->next_index_number = cursor_varint32(c);
    return LAM_OK;
}

static enum lam_code decode_definition(struct cursor *c, struct provider *p,
                                       struct lam_error *err) {
    TRY(decode_options(c, p, err));
    uint32_t count = cursor_varint32(c);
    for (uint32_t i = 0; i < count && !c->failed; i++) {
        struct table_index index;
        decode_index(c, p->schema, &index);
        if (!c->failed)
            TRY(provider_add_index(p, &index, err));
    }
    if (c->failed || cursor_left(c) != 0)
        return ERR(err, LAM_CORRUPT, "system.tables: definition of %s.%s is malformed at byte %zu",
                   p->namespace_name, p->name, cursor_offset(c));
    return LAM_OK;
}

/* --- JSON for people --- */

static enum lam_code policy_json(const struct table_options *o, struct buf *out,
                                 struct lam_error *err) {
    if (!o->flush_rows && !o->flush_interval_s)
        return LAM_OK;
    TRY(buf_append_str(out, ",\"flush_policy\":\"", err));
    if (o->flush_rows)
        TRY(buf_append_format(out, err, "rows:%llu", (unsigned long long)o->flush_rows));
    if (o->flush_interval_s)
        TRY(buf_append_format(out, err, "%sinterval:%llu", o->flush_rows ? "," : "",
                              (unsigned long long)o->flush_interval_s));
    return buf_append_str(out, "\"", err);
}

static enum lam_code indexes_json(const struct provider *p, struct buf *out,
                                  struct lam_error *err) {
    if (!p->index_count)
        return LAM_OK;
    TRY(buf_append_str(out, ",\"indexes\":[", err));
    for (uint32_t i = 0; i < p->index_count; i++) {
        const struct table_index *index = &p->indexes[i];
        TRY(buf_append_format(out, err, "%s{\"name\":\"%s\",\"unique\":%s,\"columns\":[",
                              i ? "," : "", index->name, index->unique ? "true" : "false"));
        for (uint32_t k = 0; k < index->column_count; k++) {
            int column = schema_find_id(p->schema, index->column_ids[k]);
            LAM_ASSERT(column >= 0);
            TRY(buf_append_format(out, err, "%s\"%s\"", k ? "," : "",
                                  p->schema->columns[column].name));
        }
        TRY(buf_append_str(out, "]}", err));
    }
    return buf_append_str(out, "]", err);
}

static enum lam_code options_json(const struct provider *p, struct buf *out,
                                  struct lam_error *err) {
    const struct table_options *o = &p->options;
    TRY(buf_append_format(out, err, "{\"storage\":\"%s\"", o->storage));
    if (o->location) {
        TRY(buf_append_str(out, ",\"location\":", err));
        TRY(json_append_string(out, lam_slice_str(o->location), err));
    }
    if (p->kind == TABLE_STREAM) {
        TRY(buf_append_format(out, err, ",\"ttl_seconds\":%llu",
                              (unsigned long long)o->ttl_seconds));
    } else {
        TRY(policy_json(o, out, err));
        TRY(buf_append_format(out, err, ",\"deleted_retention_hours\":%u,\"compression\":\"%s\"",
                              o->deleted_retention_hours, o->lz4 ? "lz4" : "none"));
    }
    if (o->access != ACCESS_NONE)
        TRY(buf_append_format(out, err, ",\"access_level\":\"%s\"", access_level_name(o->access)));
    TRY(indexes_json(p, out, err));
    return buf_append_str(out, "}", err);
}

/* --- records --- */

enum lam_code table_record_make(const struct provider *p, struct buf *definition, struct buf *json,
                                struct value *record, struct lam_error *err) {
    TRY(encode_definition(p, definition, err));
    TRY(options_json(p, json, err));
    entity_record_init(entity_definition(ENTITY_TABLES), record);
    record[TABLES_TABLE_ID] = value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number);
    record[TABLES_NAMESPACE] = value_text(p->namespace_name);
    record[TABLES_TABLE_NAME] = value_text(p->name);
    record[TABLES_TABLE_TYPE] = value_text(table_kind_name(p->kind));
    record[TABLES_STORAGE_ID] = value_text(p->options.storage);
    if (p->options.access != ACCESS_NONE)
        record[TABLES_ACCESS_LEVEL] = value_text(access_level_name(p->options.access));
    record[TABLES_SCHEMA_VERSION] = value_i64(LAM_TYPE_INT, p->schema->version);
    record[TABLES_OPTIONS] = value_bytes(LAM_TYPE_JSON, buf_slice(json));
    record[TABLES_CREATED_AT] = value_timestamp(p->created_us);
    record[TABLES_UPDATED_AT] = value_timestamp(env_now_us(p->catalog->env));
    record[TABLES_DEFINITION] = value_bytes(LAM_TYPE_BYTES, buf_slice(definition));
    return LAM_OK;
}

enum lam_code table_record_put(struct provider *p, lam_batch *batch, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct buf definition = {0}, json = {0};
    enum lam_code rc = table_record_make(p, &definition, &json, record, err);
    if (rc == LAM_OK)
        rc = entity_batch_put(p->catalog->stores[ENTITY_TABLES], batch, record, err);
    buf_fini(&definition);
    buf_fini(&json);
    return rc;
}

enum lam_code table_schema_record_make(const struct provider *p, const struct schema *schema,
                                       bool is_latest, struct buf *definition, struct buf *json,
                                       struct value *record, struct lam_error *err) {
    TRY(schema_encode(schema, definition, err));
    TRY(schema_to_json(schema, json, err));
    entity_record_init(entity_definition(ENTITY_TABLE_SCHEMAS), record);
    record[TABLE_SCHEMAS_TABLE_ID] = value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number);
    record[TABLE_SCHEMAS_SCHEMA_VERSION] = value_i64(LAM_TYPE_INT, schema->version);
    record[TABLE_SCHEMAS_NAMESPACE] = value_text(p->namespace_name);
    record[TABLE_SCHEMAS_TABLE_NAME] = value_text(p->name);
    record[TABLE_SCHEMAS_COLUMNS] = value_bytes(LAM_TYPE_JSON, buf_slice(json));
    record[TABLE_SCHEMAS_IS_LATEST] = value_bool(is_latest);
    record[TABLE_SCHEMAS_DEFINITION] = value_bytes(LAM_TYPE_BYTES, buf_slice(definition));
    return LAM_OK;
}

/* When a version was made: kept as it was stored, now for a fresh one. */
static enum lam_code schema_created_us(struct provider *p, const struct schema *schema,
                                       int64_t *out, struct lam_error *err) {
    struct value key[2] = {value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number),
                           value_i64(LAM_TYPE_INT, schema->version)};
    struct value record[ENTITY_FIELDS_MAX];
    struct arena arena = {0};
    struct lam_error missing = {0};
    enum lam_code rc =
        entity_get(p->catalog->stores[ENTITY_TABLE_SCHEMAS], NULL, key, &arena, record, &missing);
    if (rc == LAM_OK)
        *out = record[TABLE_SCHEMAS_CREATED_AT].as.i64;
    else if (rc == LAM_NOT_FOUND)
        *out = env_now_us(p->catalog->env);
    else if (err)
        *err = missing;
    arena_fini(&arena);
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

enum lam_code table_schema_record_put(struct provider *p, const struct schema *schema,
                                      bool is_latest, lam_batch *batch, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct buf definition = {0}, json = {0};
    int64_t created_us = 0;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(table_schema_record_make(p, schema, is_latest, &definition, &json, record, err));
    TRY_GOTO(schema_created_us(p, schema, &created_us, err));
    record[TABLE_SCHEMAS_CREATED_AT] = value_timestamp(created_us);
    rc = entity_batch_put(p->catalog->stores[ENTITY_TABLE_SCHEMAS], batch, record, err);
out:
    buf_fini(&definition);
    buf_fini(&json);
    return rc;
}

/* --- loading --- */

struct schema_load {
    struct provider *p;
    enum lam_code rc;
    struct lam_error *err;
};

static bool load_schema(void *arg, const struct value *record) {
    struct schema_load *load = arg;
    struct provider *p = load->p;
    struct schema *schema = NULL;
    load->rc = schema_decode(record[TABLE_SCHEMAS_DEFINITION].as.bytes, &schema, load->err);
    if (load->rc != LAM_OK)
        return false;
    if (schema->table.number != p->table.number || schema->version != p->schema_count + 1 ||
        record[TABLE_SCHEMAS_SCHEMA_VERSION].as.i64 != schema->version) {
        schema_unref(schema);
        load->rc =
            ERR(load->err, LAM_CORRUPT, "system.table_schemas: %s.%s has no schema version %u",
                p->namespace_name, p->name, p->schema_count + 1);
        return false;
    }
    load->rc = provider_add_schema(p, schema, load->err);
    return load->rc == LAM_OK;
}

static enum lam_code copy_name(const struct value *v, char *out, struct lam_error *err) {
    size_t bad;
    if (v->as.bytes.size == 0 || v->as.bytes.size > IDENTIFIER_MAX)
        return ERR(err, LAM_CORRUPT, "system.tables: a name of %zu bytes", v->as.bytes.size);
    if (memchr(v->as.bytes.data, 0, v->as.bytes.size) || !utf8_valid(v->as.bytes, &bad))
        return ERR(err, LAM_CORRUPT, "system.tables: a name that is no text");
    memcpy(out, v->as.bytes.data, v->as.bytes.size);
    out[v->as.bytes.size] = 0;
    return LAM_OK;
}

static enum lam_code load(struct provider *p, const struct value *record, struct lam_error *err) {
    TRY(copy_name(&record[TABLES_NAMESPACE], p->namespace_name, err));
    TRY(copy_name(&record[TABLES_TABLE_NAME], p->name, err));
    p->table.number = (uint64_t)record[TABLES_TABLE_ID].as.i64;
    p->created_us = record[TABLES_CREATED_AT].as.i64;
    struct schema_load schemas = {.p = p, .rc = LAM_OK, .err = err};
    TRY(entity_scan(p->catalog->stores[ENTITY_TABLE_SCHEMAS], NULL, &record[TABLES_TABLE_ID], 1,
                    load_schema, &schemas, err));
    TRY(schemas.rc);
    if (!p->schema || p->schema->version != record[TABLES_SCHEMA_VERSION].as.i64)
        return ERR(err, LAM_CORRUPT, "system.table_schemas: %s.%s has %u versions, not %lld",
                   p->namespace_name, p->name, p->schema_count,
                   (long long)record[TABLES_SCHEMA_VERSION].as.i64);
    struct cursor c = cursor_of(record[TABLES_DEFINITION].as.bytes);
    TRY(decode_definition(&c, p, err));
    return provider_open_partitions(p, err);
}

enum lam_code table_record_load(struct catalog *c, const struct value *record,
                                struct provider **provider_out, struct lam_error *err) {
    struct provider *p = NULL;
    TRY(provider_new(c, &p, err));
    enum lam_code rc = load(p, record, err);
    if (rc != LAM_OK) {
        provider_unref(p);
        return rc;
    }
    *provider_out = p;
    return LAM_OK;
}
