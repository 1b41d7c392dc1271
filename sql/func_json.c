/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON operators and functions over JSON text (RFC 8259) that was checked when it was written: a
 * value is skipped by counting brackets outside of strings, nothing is built. On other text, which
 * only a forged file holds, they give anything, in time linear in the text. Of members with one
 * name the last counts, as when an object is read into a map. */
#include "base/assert.h"
#include "base/utf8.h"
#include "sql/func.h"

#define FUNC(name)                                                                                 \
    static enum lam_code name(struct call *c, const struct value *args, struct value *out,         \
                              struct lam_error *err)

static void skip_space(struct lam_slice s, size_t *at) {
    while (*at < s.size && (s.data[*at] == ' ' || s.data[*at] == '\t' || s.data[*at] == '\n' ||
                            s.data[*at] == '\r'))
        (*at)++;
}

/* Past the string whose quote is at *at; its raw content. */
static struct lam_slice skip_string(struct lam_slice s, size_t *at) {
    size_t from = ++*at;
    while (*at < s.size && s.data[*at] != '"')
        *at += s.data[*at] == '\\' ? 2 : 1;
    size_t to = *at < s.size ? *at : s.size;
    *at = to < s.size ? to + 1 : to;
    return lam_slice_of(s.data + from, to - from);
}

/* Past the value at *at; the value. */
static struct lam_slice skip_value(struct lam_slice s, size_t *at) {
    size_t from = *at, depth = 0;
    while (*at < s.size) {
        uint8_t c = s.data[*at];
        if (c == '"') {
            (void)skip_string(s, at);
        } else if (c == '{' || c == '[') {
            depth++;
            (*at)++;
            continue;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                break;
            depth--;
            (*at)++;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            break;
        } else {
            (*at)++;
            continue;
        }
        if (depth == 0)
            break;
    }
    return lam_slice_of(s.data + from, *at - from);
}

static uint32_t hex_value(uint8_t c) {
    return (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
}

static uint32_t read_unit(struct lam_slice s, size_t at) {
    uint32_t v = 0;
    for (size_t i = at; i < at + 4 && i < s.size; i++)
        v = v << 4 | (hex_value(s.data[i]) & 15);
    return v;
}

/* The \u escape whose 'u' is at *at, with its other half; a half alone is U+FFFD. */
static uint32_t read_escape(struct lam_slice s, size_t *at) {
    uint32_t v = read_unit(s, *at + 1);
    *at += 5;
    if (v < 0xD800 || v > 0xDFFF)
        return v;
    if (v <= 0xDBFF && *at + 6 <= s.size && s.data[*at] == '\\' && s.data[*at + 1] == 'u') {
        uint32_t low = read_unit(s, *at + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *at += 6;
            return 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return 0xFFFD;
}

/* Appends the content of a string without its escapes. */
static enum lam_code unescape(struct lam_slice raw, struct buf *out, struct lam_error *err) {
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    for (size_t i = 0; i < raw.size;) {
        const uint8_t *slash = memchr(raw.data + i, '\\', raw.size - i);
        size_t plain = slash ? (size_t)(slash - raw.data) : raw.size;
        TRY(buf_append(out, raw.data + i, plain - i, err));
        i = plain;
        if (!slash || i + 1 >= raw.size)
            break;
        uint8_t c = raw.data[++i];
        const char *hit = strchr(names, c);
        uint8_t bytes[4] = {c};
        size_t n = 1;
        if (c == 'u') {
            n = utf8_put(bytes, read_escape(raw, &i));
        } else {
            if (hit)
                bytes[0] = (uint8_t)values[hit - names];
            i++;
        }
        TRY(buf_append(out, bytes, n, err));
    }
    return LAM_OK;
}

static enum lam_code same_key(struct lam_slice raw, struct lam_slice key, struct buf *scratch,
                              bool *same, struct lam_error *err) {
    if (!raw.size || !memchr(raw.data, '\\', raw.size)) {
        *same = slice_eq(raw, key);
        return LAM_OK;
    }
    buf_reset(scratch);
    TRY(unescape(raw, scratch, err));
    *same = slice_eq(buf_slice(scratch), key);
    return LAM_OK;
}

static uint8_t first_byte(struct lam_slice s, size_t *at) {
    *at = 0;
    skip_space(s, at);
    return *at < s.size ? s.data[*at] : 0;
}

/* Member `key` of an object; *found is false for anything else. */
static enum lam_code find_member(struct lam_slice s, struct lam_slice key, struct buf *scratch,
                                 struct lam_slice *out, bool *found, struct lam_error *err) {
    size_t at;
    *found = false;
    if (first_byte(s, &at) != '{')
        return LAM_OK;
    at++;
    for (skip_space(s, &at); at < s.size && s.data[at] == '"'; skip_space(s, &at)) {
        bool same = false;
        TRY(same_key(skip_string(s, &at), key, scratch, &same, err));
        skip_space(s, &at);
        at += at < s.size; /* : */
        skip_space(s, &at);
        struct lam_slice value = skip_value(s, &at);
        if (same) {
            *out = value;
            *found = true;
        }
        skip_space(s, &at);
        if (at < s.size && s.data[at] == ',')
            at++;
    }
    return LAM_OK;
}

/* Takes the next element of an array; `*at` starts after its bracket. False at the array's end. */
static bool next_element(struct lam_slice s, size_t *at, struct lam_slice *out) {
    skip_space(s, at);
    if (*at >= s.size || s.data[*at] == ']')
        return false;
    *out = skip_value(s, at);
    skip_space(s, at);
    if (*at < s.size && s.data[*at] == ',')
        (*at)++;
    return out->size > 0;
}

/* Elements of an array, and the one of an index if there is one. */
static int64_t walk_array(struct lam_slice s, int64_t index, struct lam_slice *out, bool *found) {
    size_t at;
    int64_t count = 0;
    struct lam_slice value;
    *found = false;
    if (first_byte(s, &at) != '[')
        return -1;
    at++;
    for (; next_element(s, &at, &value); count++)
        if (count == index) {
            *out = value;
            *found = true;
        }
    return count;
}

static bool find_element(struct lam_slice s, int64_t index, struct lam_slice *out) {
    bool found = false;
    if (index < 0) {
        int64_t count = walk_array(s, -1, out, &found);
        index = count < 0 || index < -count ? INT64_MAX : index + count;
    }
    return walk_array(s, index, out, &found) >= 0 && found;
}

/* The value as text: strings without quotes and escapes, null as NULL. */
static enum lam_code as_text(struct call *c, struct lam_slice v, struct value *out,
                             struct lam_error *err) {
    if (v.size && v.data[0] == '"') {
        size_t at = 0;
        buf_reset(c->scratch);
        TRY(unescape(skip_string(v, &at), c->scratch, err));
        if (c->scratch->size && memchr(c->scratch->data, 0, c->scratch->size))
            return ERR_SQL(err, "22P05", 0, "\\u0000 cannot be converted to text");
        out->as.bytes = buf_slice(c->scratch);
        return LAM_OK;
    }
    out->is_null = slice_eq_str(v, "null");
    out->as.bytes = v;
    return LAM_OK;
}

FUNC(get_member) {
    bool found = false;
    TRY(find_member(args[0].as.bytes, args[1].as.bytes, c->scratch, &out->as.bytes, &found, err));
    out->is_null = !found;
    return LAM_OK;
}

FUNC(get_element) {
    (void)c;
    (void)err;
    out->is_null = !find_element(args[0].as.bytes, args[1].as.i64, &out->as.bytes);
    return LAM_OK;
}

FUNC(member_text) {
    struct lam_slice v;
    bool found = false;
    TRY(find_member(args[0].as.bytes, args[1].as.bytes, c->scratch, &v, &found, err));
    out->is_null = !found;
    return found ? as_text(c, v, out, err) : LAM_OK;
}

FUNC(element_text) {
    struct lam_slice v;
    out->is_null = !find_element(args[0].as.bytes, args[1].as.i64, &v);
    return out->is_null ? LAM_OK : as_text(c, v, out, err);
}

/* Whether a member of that name or an element that is that string is there. */
FUNC(has_key) {
    struct lam_slice s = args[0].as.bytes, v;
    size_t at;
    bool found = false;
    if (first_byte(s, &at) == '[') {
        at++;
        while (!found && next_element(s, &at, &v))
            if (v.data[0] == '"') {
                size_t start = 0;
                TRY(same_key(skip_string(v, &start), args[1].as.bytes, c->scratch, &found, err));
            }
    } else {
        TRY(find_member(s, args[1].as.bytes, c->scratch, &v, &found, err));
    }
    out->as.boolean = found;
    return LAM_OK;
}

FUNC(json_typeof) {
    (void)c;
    (void)err;
    size_t at;
    const char *name = "number";
    switch (first_byte(args[0].as.bytes, &at)) {
    case '{':
        name = "object";
        break;
    case '[':
        name = "array";
        break;
    case '"':
        name = "string";
        break;
    case 't':
    case 'f':
        name = "boolean";
        break;
    case 'n':
        name = "null";
        break;
    default:
        break;
    }
    out->as.bytes = lam_slice_str(name);
    return LAM_OK;
}

FUNC(json_array_length) {
    (void)c;
    struct lam_slice v;
    bool found;
    out->as.i64 = walk_array(args[0].as.bytes, -1, &v, &found);
    if (out->as.i64 < 0)
        return ERR_SQL(err, "22023", 0, "cannot get array length of a JSON value that is no array");
    return LAM_OK;
}

FUNC(is_json) {
    (void)c;
    (void)err;
    out->as.boolean = json_valid(args[0].as.bytes, NULL);
    return LAM_OK;
}

#define T LAM_TYPE_TEXT
#define I LAM_TYPE_BIGINT
#define J LAM_TYPE_JSON
#define L LAM_TYPE_BOOLEAN
#define F(name, n, result, run, ...)                                                               \
    { name, n, 0, RESULT_FIXED, result, {__VA_ARGS__}, run }

static const struct func funcs[] = {
    F("->", 2, J, get_member, J, T),
    F("->", 2, J, get_element, J, I),
    F("->>", 2, T, member_text, J, T),
    F("->>", 2, T, element_text, J, I),
    F("?", 2, L, has_key, J, T),
    F("json_typeof", 1, T, json_typeof, J),
    F("jsonb_typeof", 1, T, json_typeof, J),
    F("json_array_length", 1, I, json_array_length, J),
    F("jsonb_array_length", 1, I, json_array_length, J),
    F("json_valid", 1, L, is_json, T),
    F("json_valid", 1, L, is_json, J),
};

const struct func_table func_json_table = {funcs, sizeof funcs / sizeof funcs[0]};
