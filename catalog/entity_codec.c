/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of entities to bytes and back, driven by the field descriptions. */
#include "base/assert.h"
#include "catalog/entity_impl.h"

#define RECORD_FORMAT 1

void entity_record_init(const struct entity_def *def, struct value *record) {
    for (uint32_t i = 0; i < def->field_count; i++)
        record[i] = value_null(entity_field_type(&def->fields[i]));
}

uint32_t record_key_count(const struct entity_def *def) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < def->field_count; i++)
        n += def->fields[i].key;
    return n;
}

static enum lam_code put_field(const struct value *v, struct buf *out, struct lam_error *err) {
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        return buf_append_u8(out, v->as.boolean, err);
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return buf_append_varint(out, zigzag_encode(v->as.i64), err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return buf_append(out, &v->as.f64, sizeof v->as.f64, err);
    case LAM_TYPE_UUID:
        return buf_append(out, v->as.uuid, sizeof v->as.uuid, err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        return buf_append_prefixed(out, v->as.bytes, err);
    case LAM_TYPE_DECIMAL:
        return buf_append(out, &v->as.i128, sizeof v->as.i128, err);
    case LAM_TYPE_NULL:
        break;
    }
    return ERR(err, LAM_UNSUPPORTED, "entities have no fields of type %d", (int)v->type.type);
}

static void get_field(struct cursor *c, struct value *out) {
    switch (out->type.type) {
    case LAM_TYPE_BOOLEAN: {
        uint8_t b = cursor_u8(c);
        if (b > 1)
            c->failed = true;
        out->as.boolean = b != 0;
        break;
    }
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        out->as.i64 = zigzag_decode(cursor_varint(c));
        break;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE: {
        struct lam_slice s = cursor_bytes(c, sizeof out->as.f64);
        if (s.size)
            memcpy(&out->as.f64, s.data, s.size);
        break;
    }
    case LAM_TYPE_UUID: {
        struct lam_slice s = cursor_bytes(c, sizeof out->as.uuid);
        if (s.size)
            memcpy(out->as.uuid, s.data, s.size);
        break;
    }
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        out->as.bytes = cursor_prefixed(c);
        break;
    case LAM_TYPE_DECIMAL: {
        struct lam_slice s = cursor_bytes(c, sizeof out->as.i128);
        if (s.size)
            memcpy(&out->as.i128, s.data, s.size);
        break;
    }
    case LAM_TYPE_NULL:
        c->failed = true;
        return;
    }
    if (!c->failed && !value_in_range(out))
        c->failed = true;
}

static enum lam_code check_field(const struct entity_def *def, const struct entity_field *field,
                                 const struct value *v, struct lam_error *err) {
    if (v->is_null && (field->key || !field->nullable))
        return ERR(err, LAM_INVALID, "%s%s: %s may not be NULL", entity_label(def), def->name,
                   field->name);
    if (!v->is_null && v->type.type != field->type)
        return ERR(err, LAM_INVALID, "%s%s: %s has type %d, not %d", entity_label(def), def->name,
                   field->name, (int)field->type, (int)v->type.type);
    return LAM_OK;
}

enum lam_code record_encode(const struct entity_def *def, const struct value *record,
                            struct buf *out, struct lam_error *err) {
    uint32_t count = def->field_count - record_key_count(def);
    TRY(buf_append_u8(out, RECORD_FORMAT, err));
    TRY(buf_append_varint(out, count, err));
    size_t bitmap = out->size;
    TRY(buf_append_zeros(out, (count + 7) / 8, err));
    uint32_t bit = 0;
    for (uint32_t i = 0; i < def->field_count; i++) {
        const struct entity_field *field = &def->fields[i];
        TRY(check_field(def, field, &record[i], err));
        if (field->key)
            continue;
        if (!record[i].is_null) {
            bitmap_set(out->data + bitmap, bit);
            TRY(put_field(&record[i], out, err));
        }
        bit++;
    }
    DEBUG_ASSERT(bit == count);
    return LAM_OK;
}

enum lam_code record_key(const struct entity_def *def, const struct value *record, struct buf *out,
                         struct lam_error *err) {
    for (uint32_t i = 0; i < def->field_count; i++) {
        if (!def->fields[i].key)
            continue;
        TRY(check_field(def, &def->fields[i], &record[i], err));
        TRY(key_put_value(out, &record[i], false, false, err));
    }
    return LAM_OK;
}

enum lam_code record_key_prefix(const struct entity_def *def, const struct value *key,
                                uint32_t count, struct buf *out, struct lam_error *err) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < def->field_count && at < count; i++) {
        if (!def->fields[i].key)
            continue;
        TRY(check_field(def, &def->fields[i], &key[at], err));
        TRY(key_put_value(out, &key[at], false, false, err));
        at++;
    }
    if (at < count)
        return ERR(err, LAM_INVALID, "%s%s has a key of %u fields, not %u", entity_label(def),
                   def->name, at, count);
    return LAM_OK;
}

static enum lam_code corrupt(const char *where, const struct cursor *c, const char *what,
                             struct lam_error *err) {
    return ERR(err, LAM_CORRUPT, "partition %s: %s at byte %zu of a record", where, what,
               cursor_offset(c));
}

enum lam_code record_decode(const struct entity_def *def, const char *where, struct lam_slice key,
                            struct lam_slice value, struct arena *arena, struct value *record_out,
                            struct lam_error *err) {
    struct cursor k = cursor_of(key);
    struct cursor c = cursor_of(value);
    uint8_t format = cursor_u8(&c);
    uint32_t count = cursor_varint32(&c);
    struct lam_slice bitmap = cursor_bytes(&c, (size_t)(count / 8) + (count % 8 != 0));
    uint32_t known = def->field_count - record_key_count(def);
    if (!c.failed && count % 8 != 0 && bitmap.data[bitmap.size - 1] >> count % 8 != 0)
        c.failed = true;
    if (c.failed || format != RECORD_FORMAT || count > known)
        return corrupt(where, &c, "bad header", err);
    uint32_t bit = 0;
    for (uint32_t i = 0; i < def->field_count; i++) {
        const struct entity_field *field = &def->fields[i];
        struct value *v = &record_out[i];
        *v = value_null(entity_field_type(field));
        if (field->key) {
            TRY(key_get_value(&k, v->type, false, false, arena, v, err));
            continue;
        }
        bool present = bit < count && bitmap_get(bitmap.data, bit);
        bit++;
        if (!present && !field->nullable)
            return corrupt(where, &c, "a field that may not be NULL is", err);
        if (!present)
            continue;
        v->is_null = false;
        get_field(&c, v);
        if (c.failed)
            return corrupt(where, &c, "a field is cut short or malformed", err);
    }
    if (cursor_left(&c) != 0 || cursor_left(&k) != 0)
        return corrupt(where, &c, "bytes are left over", err);
    return LAM_OK;
}
