/* SPDX-License-Identifier: Apache-2.0
 *
 * Schemas as bytes (docs/FORMAT.md "Schema record") and as JSON. */
#include "base/assert.h"
#include "catalog/schema.h"

#define RECORD_FORMAT 1
#define FLAG_NULLABLE 0x01

/* --- binary out --- */

static enum lam_code put_value(const struct value *v, struct coltype type, struct buf *out,
                               struct lam_error *err) {
    TRY(buf_append_u8(out, !v->is_null, err));
    if (v->is_null)
        return LAM_OK;
    switch (type.type) {
    case LAM_TYPE_BOOLEAN:
        return buf_append_u8(out, v->as.boolean, err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return buf_append(out, &v->as.f64, 8, err);
    case LAM_TYPE_DECIMAL:
        return buf_append(out, &v->as.i128, 16, err);
    case LAM_TYPE_UUID:
        return buf_append(out, v->as.uuid, 16, err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return buf_append_prefixed(out, v->as.bytes, err);
    default:
        return buf_append_varint(out, zigzag_encode(v->as.i64), err);
    }
}

static enum lam_code put_column(const struct schema_column *c, struct buf *out,
                                struct lam_error *err) {
    TRY(buf_append_varint(out, c->id, err));
    TRY(buf_append_varint(out, c->ordinal, err));
    TRY(buf_append_prefixed(out, lam_slice_str(c->name), err));
    TRY(buf_append_u8(out, (uint8_t)c->type.type, err));
    TRY(buf_append_u8(out, c->type.precision, err));
    TRY(buf_append_u8(out, c->type.scale, err));
    TRY(buf_append_varint(out, c->type.length, err));
    TRY(buf_append_u8(out, c->nullable ? FLAG_NULLABLE : 0, err));
    TRY(buf_append_u8(out, (uint8_t)c->on_insert.kind, err));
    if (c->on_insert.kind == DEFAULT_VALUE)
        TRY(put_value(&c->on_insert.value, c->type, out, err));
    return put_value(&c->initial, c->type, out, err);
}

enum lam_code schema_encode(const struct schema *s, struct buf *out, struct lam_error *err) {
    TRY(schema_check(s, err));
    TRY(buf_append_u8(out, RECORD_FORMAT, err));
    TRY(buf_append_varint(out, s->table.number, err));
    TRY(buf_append_varint(out, s->version, err));
    TRY(buf_append_varint(out, s->next_column_id, err));
    TRY(buf_append_varint(out, s->next_ordinal, err));
    TRY(buf_append_varint(out, s->column_count, err));
    for (uint32_t i = 0; i < s->column_count; i++)
        TRY(put_column(&s->columns[i], out, err));
    TRY(buf_append_varint(out, s->key_count, err));
    for (uint32_t k = 0; k < s->key_count; k++)
        TRY(buf_append_varint(out, s->key[k], err));
    return LAM_OK;
}

/* --- binary in --- */

static enum lam_code cut(const struct cursor *c, struct lam_error *err) {
    return ERR(err, LAM_CORRUPT, "schema record: cut or malformed at byte %zu of %zu",
               cursor_offset(c), (size_t)(c->end - c->start));
}

static enum lam_code get_bytes(struct cursor *c, struct arena *arena, struct lam_slice *out,
                               struct lam_error *err) {
    struct lam_slice s = cursor_prefixed(c);
    *out = lam_slice_of("", 0);
    if (s.size == 0)
        return LAM_OK;
    void *copy = arena_dup(arena, s.data, s.size);
    if (!copy)
        return mem_fail(err, s.size);
    *out = lam_slice_of(copy, s.size);
    return LAM_OK;
}

/* Leaves the cursor failed where bytes are missing or bad. */
static enum lam_code get_value(struct cursor *c, struct coltype type, struct arena *arena,
                               struct value *out, struct lam_error *err) {
    *out = value_null(type);
    uint8_t present = cursor_u8(c), flag;
    if (present > 1)
        c->failed = true;
    if (present != 1)
        return LAM_OK;
    out->is_null = false;
    switch (type.type) {
    case LAM_TYPE_BOOLEAN:
        flag = cursor_u8(c);
        out->as.boolean = flag == 1;
        c->failed |= flag > 1;
        return LAM_OK;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE: {
        uint64_t bits = cursor_le64(c);
        memcpy(&out->as.f64, &bits, 8);
        if (type.type == LAM_TYPE_FLOAT) {
            /* A float widened: nothing but zeros in the bits that floats lack. */
            struct value rounded = value_f64(LAM_TYPE_FLOAT, out->as.f64);
            c->failed |= value_cmp(&rounded, out) != 0;
        }
        return LAM_OK;
    }
    case LAM_TYPE_DECIMAL: {
        struct lam_slice s = cursor_bytes(c, 16);
        if (s.size)
            memcpy(&out->as.i128, s.data, 16);
        return LAM_OK;
    }
    case LAM_TYPE_UUID: {
        struct lam_slice s = cursor_bytes(c, 16);
        if (s.size)
            memcpy(out->as.uuid, s.data, 16);
        return LAM_OK;
    }
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return get_bytes(c, arena, &out->as.bytes, err);
    default:
        out->as.i64 = zigzag_decode(cursor_varint(c));
        return LAM_OK;
    }
}

static enum lam_code get_column(struct cursor *c, struct arena *arena, struct schema_column *out,
                                struct lam_error *err) {
    out->id = cursor_varint32(c);
    out->ordinal = cursor_varint32(c);
    struct lam_slice name = cursor_prefixed(c);
    out->type.type = (enum lam_type)cursor_u8(c);
    out->type.precision = cursor_u8(c);
    out->type.scale = cursor_u8(c);
    out->type.length = cursor_varint32(c);
    uint8_t flags = cursor_u8(c), kind = cursor_u8(c);
    out->nullable = flags & FLAG_NULLABLE;
    out->on_insert.kind = (enum default_kind)kind;
    if (c->failed || (flags & ~FLAG_NULLABLE) || kind > DEFAULT_ULID || !coltype_valid(out->type) ||
        memchr(name.data, 0, name.size))
        return cut(c, err);
    out->name = arena_strdup_slice(arena, name);
    if (!out->name)
        return mem_fail(err, name.size);
    if (kind == DEFAULT_VALUE)
        TRY(get_value(c, out->type, arena, &out->on_insert.value, err));
    TRY(get_value(c, out->type, arena, &out->initial, err));
    return c->failed ? cut(c, err) : LAM_OK;
}

static enum lam_code get_key(struct cursor *c, struct schema *s, struct lam_error *err) {
    s->key_count = cursor_varint32(c);
    if (c->failed || s->key_count < 1 || s->key_count > KEY_COLUMNS_MAX)
        return cut(c, err);
    for (uint32_t k = 0; k < s->key_count; k++) {
        s->key[k] = cursor_varint32(c);
        if (c->failed || s->key[k] >= s->column_count || s->columns[s->key[k]].key_position >= 0)
            return cut(c, err);
        s->columns[s->key[k]].key_position = (int)k;
    }
    return cursor_left(c) > 0 ? cut(c, err) : LAM_OK;
}

/* What the head of a record says. */
struct head {
    uint64_t table;
    uint32_t version;
    uint32_t next_column_id;
    uint32_t next_ordinal;
    uint32_t column_count;
};

static enum lam_code get_head(struct cursor *c, struct head *out, struct lam_error *err) {
    uint8_t format = cursor_u8(c);
    if (c->failed || format != RECORD_FORMAT)
        return ERR(err, LAM_CORRUPT, "schema record: format %u, not %d", format, RECORD_FORMAT);
    out->table = cursor_varint(c);
    out->version = cursor_varint32(c);
    out->next_column_id = cursor_varint32(c);
    out->next_ordinal = cursor_varint32(c);
    out->column_count = cursor_varint32(c);
    if (c->failed || out->version == 0 || out->column_count < 1 || out->column_count > COLUMNS_MAX)
        return cut(c, err);
    return LAM_OK;
}

static enum lam_code get_body(struct cursor *c, struct schema *s, struct lam_error *err) {
    for (uint32_t i = 0; i < s->column_count; i++)
        TRY(get_column(c, &s->arena, &s->columns[i], err));
    TRY(get_key(c, s, err));
    TRY(schema_seal(s, err));
    struct lam_error why;
    if (schema_check(s, &why) != LAM_OK)
        return ERR(err, LAM_CORRUPT, "schema record: %s", why.message);
    return LAM_OK;
}

enum lam_code schema_decode(struct lam_slice bytes, struct schema **schema_out,
                            struct lam_error *err) {
    struct cursor c = cursor_of(bytes);
    struct head head = {0};
    TRY(get_head(&c, &head, err));
    struct schema *s;
    TRY(schema_new(head.column_count, &s, err));
    s->column_count = head.column_count;
    s->table.number = head.table;
    s->version = head.version;
    s->next_column_id = head.next_column_id;
    s->next_ordinal = head.next_ordinal;
    enum lam_code rc = get_body(&c, s, err);
    if (rc != LAM_OK) {
        schema_unref(s);
        return rc;
    }
    *schema_out = s;
    return LAM_OK;
}

/* --- JSON --- */

static const char *default_function(enum default_kind kind) {
    switch (kind) {
    case DEFAULT_SNOWFLAKE:
        return "SNOWFLAKE_ID()";
    case DEFAULT_NOW:
        return "NOW()";
    case DEFAULT_CURRENT_USER:
        return "CURRENT_USER";
    case DEFAULT_CURRENT_ROLE:
        return "CURRENT_ROLE";
    case DEFAULT_UUID_V7:
        return "UUID_V7()";
    case DEFAULT_ULID:
        return "ULID()";
    case DEFAULT_NONE:
    case DEFAULT_VALUE:
        break;
    }
    UNREACHABLE();
}

/* ,"<key>":"<text form>" or null. */
static enum lam_code json_value(const char *key, const struct value *v, struct buf *out,
                                struct lam_error *err) {
    TRY(buf_append_format(out, err, ",\"%s\":", key));
    if (v->is_null)
        return buf_append_str(out, "null", err);
    OWNED(buf_fini) struct buf text = {0};
    TRY(value_format(v, &text, err));
    return json_append_string(out, buf_slice(&text), err);
}

static enum lam_code json_column(const struct schema_column *c, struct buf *out,
                                 struct lam_error *err) {
    char type[32];
    coltype_name(c->type, type);
    TRY(buf_append_format(out, err, "{\"id\":%u,\"ordinal\":%u,\"name\":", c->id, c->ordinal));
    TRY(json_append_string(out, lam_slice_str(c->name), err));
    TRY(buf_append_format(out, err, ",\"type\":\"%s\",\"nullable\":%s", type,
                          c->nullable ? "true" : "false"));
    if (c->key_position >= 0)
        TRY(buf_append_format(out, err, ",\"primary_key\":%d", c->key_position + 1));
    if (c->on_insert.kind == DEFAULT_VALUE)
        TRY(json_value("default", &c->on_insert.value, out, err));
    else if (c->on_insert.kind != DEFAULT_NONE)
        TRY(buf_append_format(out, err, ",\"default_function\":\"%s\"",
                              default_function(c->on_insert.kind)));
    if (!c->initial.is_null)
        TRY(json_value("initial", &c->initial, out, err));
    return buf_append_u8(out, '}', err);
}

enum lam_code schema_to_json(const struct schema *s, struct buf *out, struct lam_error *err) {
    for (uint32_t i = 0; i < s->column_count; i++) {
        TRY(buf_append_u8(out, i == 0 ? '[' : ',', err));
        TRY(json_column(&s->columns[i], out, err));
    }
    return buf_append_u8(out, ']', err);
}
