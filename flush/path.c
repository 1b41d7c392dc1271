/* SPDX-License-Identifier: Apache-2.0
 *
 * Path templates, user ids in paths, names of segments. */
#include "flush/path.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/env.h"
#include "base/hash.h"

#define TEMPLATE_SHARED "{namespace}/{table}/"
#define TEMPLATE_USER   "{namespace}/{table}/${user_id}/"
/* Longest template, and longest name of a directory that one of its parts may become. */
#define TEMPLATE_MAX 512
#define NAME_BYTES   255
/* Longest encoded user id that stands for itself; longer ones are cut and hashed. With the longest
 * namespace and table beside it there are a few bytes left. */
#define USER_PLAIN_MAX 120
#define USER_CUT       40

/* --- user ids --- */

static bool stays(uint8_t b, bool first) {
    return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '-' ||
           (b == '_' && !first);
}

static enum lam_code put_encoded(struct lam_slice user, struct buf *out, struct lam_error *err) {
    for (size_t i = 0; i < user.size; i++) {
        if (stays(user.data[i], i == 0))
            TRY(buf_append_u8(out, user.data[i], err));
        else
            TRY(buf_append_format(out, err, "%%%02X", user.data[i]));
    }
    return LAM_OK;
}

enum lam_code flush_path_user(struct lam_slice user, struct buf *out, struct lam_error *err) {
    if (user.size == 0)
        return ERR(err, LAM_INVALID, "a user id in a path is empty");
    size_t start = out->size;
    TRY(put_encoded(user, out, err));
    if (out->size - start <= USER_PLAIN_MAX)
        return LAM_OK;
    /* No plain id starts with '_'. */
    uint8_t cut[USER_CUT], hash[32];
    hash_sha256(user.data, user.size, hash);
    memcpy(cut, out->data + start, USER_CUT);
    out->size = start;
    TRY(buf_append_u8(out, '_', err));
    TRY(buf_append(out, cut, USER_CUT, err));
    TRY(buf_append_u8(out, '_', err));
    for (size_t i = 0; i < sizeof hash; i++)
        TRY(buf_append_format(out, err, "%02x", hash[i]));
    return LAM_OK;
}

/* --- templates --- */

enum part_kind {
    PART_END,
    PART_TEXT,
    PART_SLASH,
    PART_NAMESPACE,
    PART_TABLE,
    PART_USER,
    PART_UNKNOWN,
};

static enum part_kind placeholder(struct lam_slice name) {
    if (slice_eq_str(name, "namespace"))
        return PART_NAMESPACE;
    if (slice_eq_str(name, "table") || slice_eq_str(name, "tableName") ||
        slice_eq_str(name, "table_name"))
        return PART_TABLE;
    if (slice_eq_str(name, "user_id") || slice_eq_str(name, "userId"))
        return PART_USER;
    return PART_UNKNOWN;
}

/* Takes the next piece off a template; `*piece_out` is its text, for placeholders with braces. */
static enum part_kind next_part(struct lam_slice *rest, struct lam_slice *piece_out) {
    if (rest->size == 0)
        return PART_END;
    const uint8_t *s = rest->data;
    size_t size = rest->size, n = 0;
    enum part_kind kind = PART_TEXT;
    if (s[0] == '/') {
        kind = PART_SLASH;
        n = 1;
    } else if (s[0] == '{' || (s[0] == '$' && size > 1 && s[1] == '{')) {
        size_t open = s[0] == '$' ? 2 : 1;
        const uint8_t *close = memchr(s, '}', size);
        n = close ? (size_t)(close - s) + 1 : size;
        kind = close ? placeholder(lam_slice_of(s + open, n - open - 1)) : PART_UNKNOWN;
    } else {
        n = 1;
        while (n < size && s[n] != '/' && s[n] != '{' && s[n] != '$')
            n++;
    }
    *piece_out = lam_slice_of(s, n);
    *rest = lam_slice_of(s + n, size - n);
    return kind;
}

static enum lam_code bad_template(struct lam_error *err, struct lam_slice t, const char *what) {
    return ERR_SQL(err, "22023", 0, "path template '%.*s' %s", (int)(t.size < 200 ? t.size : 200),
                   (const char *)t.data, what);
}

static enum lam_code check_piece(struct lam_slice whole, struct lam_slice piece,
                                 struct lam_error *err) {
    for (size_t i = 0; i < piece.size; i++) {
        uint8_t b = piece.data[i];
        if (b < 0x20 || b == 0x7f || b == '\\' || b == '}' || b == '$')
            return bad_template(err, whole,
                                "has a character that may not be in a path (control, '\\', '}', "
                                "'$')");
    }
    return LAM_OK;
}

/* Most bytes that a piece becomes. */
static size_t most_bytes(enum part_kind kind, struct lam_slice piece) {
    return kind == PART_USER ? USER_PLAIN_MAX : kind == PART_TEXT ? piece.size : IDENTIFIER_MAX;
}

enum lam_code flush_template_check(struct lam_slice t, bool user_table, struct lam_error *err) {
    struct lam_slice rest = t, piece, first = SLICE_EMPTY;
    unsigned users = 0, pieces = 0;
    size_t bytes = 0; /* that the part at hand may become */
    if (t.size == 0 || t.size > TEMPLATE_MAX)
        return bad_template(err, t, t.size ? "is longer than 512 characters" : "is empty");
    if (t.data[0] == '/')
        return bad_template(err, t,
                            "starts with '/': it is relative to the storage's base "
                            "directory");
    for (;;) {
        enum part_kind kind = next_part(&rest, &piece);
        if (kind == PART_SLASH || kind == PART_END) {
            if (pieces == 1 && (slice_eq_str(first, ".") || slice_eq_str(first, "..")))
                return bad_template(err, t, "has a part '.' or '..'");
            if (pieces == 0 && kind == PART_SLASH)
                return bad_template(err, t, "has an empty part ('//')");
            if (bytes > NAME_BYTES)
                return bad_template(err, t,
                                    "has a part that may become longer than the 255 bytes of a "
                                    "name (namespace and table up to 64, user id up to 120)");
            pieces = 0;
            bytes = 0;
            if (kind == PART_END)
                break;
            continue;
        }
        if (kind == PART_UNKNOWN)
            return bad_template(err, t,
                                "has an unknown placeholder; there are {namespace}, "
                                "{table} and ${user_id}");
        if (kind == PART_TEXT)
            TRY(check_piece(t, piece, err));
        if (pieces++ == 0)
            first = piece;
        else if (kind == PART_TEXT || kind == PART_USER)
            first = SLICE_EMPTY;
        users += kind == PART_USER;
        bytes += most_bytes(kind, piece);
    }
    if (user_table && users != 1)
        return bad_template(err, t, "must have ${user_id} once: a file never mixes users");
    if (!user_table && users)
        return bad_template(err, t, "has ${user_id}, which only USER tables have");
    return LAM_OK;
}

const char *path_template(const struct provider *p, const char *storage_template) {
    if (p->options.location)
        return p->options.location;
    if (storage_template && storage_template[0])
        return storage_template;
    return p->kind == TABLE_USER ? TEMPLATE_USER : TEMPLATE_SHARED;
}

static enum lam_code put_piece(enum part_kind kind, struct lam_slice piece,
                               const struct provider *p, struct lam_slice user, struct buf *out,
                               struct lam_error *err) {
    if (kind == PART_NAMESPACE)
        return buf_append_str(out, p->namespace_name, err);
    if (kind == PART_TABLE)
        return buf_append_str(out, p->name, err);
    if (kind == PART_USER)
        return flush_path_user(user, out, err);
    return buf_append_slice(out, piece, err);
}

static void trim_slash(struct buf *out, size_t start) {
    while (out->size > start && out->data[out->size - 1] == '/')
        out->size--;
}

enum lam_code path_expand(const char *template_text, const struct provider *p,
                          struct lam_slice user, struct buf *out, struct lam_error *err) {
    TRY(flush_template_check(lam_slice_str(template_text), p->kind == TABLE_USER, err));
    struct lam_slice rest = lam_slice_str(template_text), piece;
    size_t start = out->size;
    enum part_kind kind;
    while ((kind = next_part(&rest, &piece)) != PART_END)
        TRY(put_piece(kind, piece, p, user, out, err));
    trim_slash(out, start);
    return LAM_OK;
}

enum lam_code path_expand_root(const char *template_text, const struct provider *p, struct buf *out,
                               unsigned *levels_out, struct lam_error *err) {
    TRY(flush_template_check(lam_slice_str(template_text), p->kind == TABLE_USER, err));
    struct lam_slice rest = lam_slice_str(template_text), piece;
    size_t start = out->size, part = out->size;
    enum part_kind kind;
    while ((kind = next_part(&rest, &piece)) != PART_END && kind != PART_USER) {
        TRY(put_piece(kind, piece, p, SLICE_EMPTY, out, err));
        if (kind == PART_SLASH)
            part = out->size;
    }
    unsigned levels = 0;
    if (kind == PART_USER) {
        out->size = part; /* what stands before the user in his part names no directory */
        levels = 1;
        while ((kind = next_part(&rest, &piece)) != PART_END)
            levels += kind == PART_SLASH && rest.size > 0;
    }
    trim_slash(out, start);
    if (levels_out)
        *levels_out = levels;
    return LAM_OK;
}

/* --- file names --- */

void path_file_name(uint64_t number, uint32_t tag, char out[SEGMENT_NAME_BYTES]) {
    snprintf(out, SEGMENT_NAME_BYTES, "batch-%llu-%08x.parquet", (unsigned long long)number, tag);
}

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool path_file_name_parse(const char *name, uint64_t *number_out, uint32_t *tag_out) {
    uint64_t number = 0;
    uint32_t tag = 0;
    unsigned digits = 0;
    if (strncmp(name, "batch-", 6) != 0)
        return false;
    const char *at = name + 6;
    for (; *at >= '0' && *at <= '9' && digits < 19; at++, digits++)
        number = number * 10 + (uint64_t)(*at - '0');
    if (digits == 0 || *at++ != '-')
        return false;
    for (digits = 0; is_hex(*at) && digits < 8; at++, digits++)
        tag = tag << 4 | (uint32_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    if (digits != 8 || strncmp(at, ".parquet", 8) != 0)
        return false;
    at += 8;
    if (*at != 0 && strcmp(at, ".tmp") != 0)
        return false;
    *number_out = number;
    *tag_out = tag;
    return true;
}

bool path_is_export(const char *name, bool *unfinished_out) {
    static const char *const fixed[] = {"manifest.json", "current.json"};
    unsigned version;
    int used = 0;
    for (size_t i = 0; used == 0 && i < 2; i++)
        used = strncmp(name, fixed[i], strlen(fixed[i])) == 0 ? (int)strlen(fixed[i]) : 0;
    if (used == 0 && (sscanf(name, "schema_v%9u.json%n", &version, &used) != 1 || used == 0))
        return false;
    *unfinished_out = strcmp(name + used, ".tmp") == 0;
    return *unfinished_out || name[used] == 0;
}

bool path_base_is_ours(const char *base) {
    for (const char *at = base; *at; at += strcspn(at, "/"), at += *at == '/') {
        if (strcspn(at, "/") == 2 && at[0] == '.' && at[1] == '.')
            return false;
    }
    return base[0] != 0 && base[0] != '/';
}

enum lam_code path_in_base(const char *db_directory, const char *base, struct lam_slice relative,
                           struct buf *out, struct lam_error *err) {
    size_t start = out->size;
    if (base[0] != '/') {
        TRY(buf_append_str(out, db_directory, err));
        TRY(buf_append_u8(out, '/', err));
    }
    TRY(buf_append_str(out, base, err));
    if (out->size > start + 1)
        trim_slash(out, start + 1);
    if (relative.size == 0)
        return LAM_OK;
    if (out->data[out->size - 1] != '/')
        TRY(buf_append_u8(out, '/', err));
    return buf_append_slice(out, relative, err);
}

enum lam_code path_below_database(const char *base, struct lam_slice relative, struct buf *out,
                                  const char **text_out, struct lam_error *err) {
    buf_reset(out);
    TRY(buf_append_str(out, base, err));
    if (out->size && out->data[out->size - 1] != '/')
        TRY(buf_append_u8(out, '/', err));
    TRY(buf_append_slice(out, relative, err));
    return buf_cstr(out, text_out, err);
}
