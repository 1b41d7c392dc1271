/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed keys of the catalog, and what may be a name or a user id. */
#include "base/assert.h"
#include "base/utf8.h"
#include "catalog/key.h"

static enum lam_code finish(const struct cursor *c, const char *what, struct lam_error *err) {
    if (cursor_left(c) == 0)
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "key of a %s: %zu bytes behind its end at byte %zu", what,
               cursor_left(c), cursor_offset(c));
}

/* A key that is one string, which must not be empty. */
#define STRING_KEY(type, member)                                                                   \
    enum lam_code type##_encode(struct type key, struct buf *out, struct lam_error *err) {         \
        if (key.member.size == 0)                                                                  \
            return ERR(err, LAM_INVALID, #type " is empty");                                       \
        return key_put_string(out, key.member, err);                                               \
    }                                                                                              \
    enum lam_code type##_decode(struct lam_slice bytes, struct arena *arena, struct type *out,     \
                                struct lam_error *err) {                                           \
        struct cursor c = cursor_of(bytes);                                                        \
        struct type key;                                                                           \
        TRY(key_get_string(&c, arena, &key.member, err));                                          \
        TRY(finish(&c, #type, err));                                                               \
        if (key.member.size == 0)                                                                  \
            return ERR(err, LAM_CORRUPT, "key of a " #type ": is empty");                          \
        *out = key;                                                                                \
        return LAM_OK;                                                                             \
    }
STRING_KEY(namespace_id, name)
STRING_KEY(user_name, name)
STRING_KEY(storage_id, name)
STRING_KEY(job_id, text)

/* A key that is one number. */
#define NUMBER_KEY(type)                                                                           \
    enum lam_code type##_encode(struct type key, struct buf *out, struct lam_error *err) {         \
        return key_put_u64(out, key.number, err);                                                  \
    }                                                                                              \
    enum lam_code type##_decode(struct lam_slice bytes, struct arena *arena, struct type *out,     \
                                struct lam_error *err) {                                           \
        (void)arena;                                                                               \
        struct cursor c = cursor_of(bytes);                                                        \
        struct type key;                                                                           \
        TRY(key_get_u64(&c, &key.number, err));                                                    \
        TRY(finish(&c, #type, err));                                                               \
        *out = key;                                                                                \
        return LAM_OK;                                                                             \
    }
NUMBER_KEY(table_id)
NUMBER_KEY(live_query_id)

enum lam_code user_id_encode(struct user_id key, struct buf *out, struct lam_error *err) {
    TRY(user_id_check(key.bytes, err));
    return key_put_string(out, key.bytes, err);
}

static enum lam_code get_user(struct cursor *c, struct arena *arena, struct user_id *out,
                              struct lam_error *err) {
    struct user_id key;
    TRY(key_get_string(c, arena, &key.bytes, err));
    if (user_id_check(key.bytes, err) != LAM_OK)
        return ERR(err, LAM_CORRUPT, "key of a user_id: %zu bytes that may not be one",
                   key.bytes.size);
    *out = key;
    return LAM_OK;
}

enum lam_code user_id_decode(struct lam_slice bytes, struct arena *arena, struct user_id *out,
                             struct lam_error *err) {
    struct cursor c = cursor_of(bytes);
    struct user_id key;
    TRY(get_user(&c, arena, &key, err));
    TRY(finish(&c, "user_id", err));
    *out = key;
    return LAM_OK;
}

enum lam_code table_schema_id_encode(struct table_schema_id key, struct buf *out,
                                     struct lam_error *err) {
    TRY(buf_reserve(out, 12, err));
    TRY(key_put_u64(out, key.table.number, err));
    return key_put_u32(out, key.version, err);
}

enum lam_code table_schema_id_decode(struct lam_slice bytes, struct arena *arena,
                                     struct table_schema_id *out, struct lam_error *err) {
    (void)arena;
    struct cursor c = cursor_of(bytes);
    struct table_schema_id key;
    TRY(key_get_u64(&c, &key.table.number, err));
    TRY(key_get_u32(&c, &key.version, err));
    TRY(finish(&c, "table_schema_id", err));
    *out = key;
    return LAM_OK;
}

static enum lam_code put_row(struct buf *out, struct row_id row, struct lam_error *err) {
    struct value seq = value_i64(LAM_TYPE_BIGINT, row.seq);
    return key_put_value(out, &seq, false, false, err);
}

static enum lam_code get_row(struct cursor *c, struct row_id *out, struct lam_error *err) {
    struct value seq;
    TRY(key_get_value(c, coltype_of(LAM_TYPE_BIGINT), false, false, NULL, &seq, err));
    out->seq = seq.as.i64;
    return LAM_OK;
}

enum lam_code row_id_encode(struct row_id key, struct buf *out, struct lam_error *err) {
    return put_row(out, key, err);
}

enum lam_code row_id_decode(struct lam_slice bytes, struct arena *arena, struct row_id *out,
                            struct lam_error *err) {
    (void)arena;
    struct cursor c = cursor_of(bytes);
    struct row_id key;
    TRY(get_row(&c, &key, err));
    TRY(finish(&c, "row_id", err));
    *out = key;
    return LAM_OK;
}

enum lam_code user_row_id_encode(struct user_row_id key, struct buf *out, struct lam_error *err) {
    size_t size = out->size;
    TRY(user_id_encode(key.user, out, err));
    enum lam_code rc = put_row(out, key.row, err);
    if (rc != LAM_OK)
        out->size = size;
    return rc;
}

enum lam_code user_row_id_decode(struct lam_slice bytes, struct arena *arena,
                                 struct user_row_id *out, struct lam_error *err) {
    struct cursor c = cursor_of(bytes);
    struct user_row_id key;
    TRY(get_user(&c, arena, &key.user, err));
    TRY(get_row(&c, &key.row, err));
    TRY(finish(&c, "user_row_id", err));
    *out = key;
    return LAM_OK;
}

enum lam_code user_id_check(struct lam_slice bytes, struct lam_error *err) {
    size_t bad;
    if (bytes.size == 0)
        return ERR(err, LAM_INVALID, "user id is empty");
    if (bytes.size > USER_ID_MAX)
        return ERR(err, LAM_INVALID, "user id has %zu bytes, more than %d", bytes.size,
                   USER_ID_MAX);
    if (memchr(bytes.data, 0, bytes.size))
        return ERR(err, LAM_INVALID, "user id contains a zero byte");
    if (!utf8_valid(bytes, &bad))
        return ERR(err, LAM_INVALID, "user id is not UTF-8: byte 0x%02x at offset %zu",
                   bytes.data[bad], bad);
    return LAM_OK;
}

static bool is_letter(uint8_t c) {
    return c >= 'a' && c <= 'z';
}

static bool is_name_char(uint8_t c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

enum lam_code identifier_check(struct lam_slice name, const char *what, struct lam_error *err) {
    if (name.size == 0)
        return ERR_SQL(err, "42602", 0, "%s name is empty", what);
    int shown = name.size > IDENTIFIER_MAX ? IDENTIFIER_MAX : (int)name.size;
    const char *text = (const char *)name.data;
    if (name.size > IDENTIFIER_MAX)
        return ERR_SQL(err, "42602", 0, "%s name \"%.*s...\" has %zu characters, more than %d",
                       what, shown, text, name.size, IDENTIFIER_MAX);
    if (name.data[0] == '_')
        return ERR_SQL(err, "42602", 0,
                       "%s name \"%.*s\" is reserved: names that start with _ are the system's",
                       what, shown, text);
    for (size_t i = 0; i < name.size; i++)
        if (i == 0 ? !is_letter(name.data[i]) : !is_name_char(name.data[i]))
            return ERR_SQL(err, "42602", 0,
                           "%s name \"%.*s\" has a character that names may not have at %zu: they "
                           "start with a letter and go on with letters, digits and _",
                           what, shown, text, i + 1);
    return LAM_OK;
}
