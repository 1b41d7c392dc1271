/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as text and back. */
#include "base/assert.h"
#include "base/utf8.h"
#include "catalog/value_impl.h"

/* --- out --- */

static const char hex_digits[] = "0123456789abcdef";

static void put_hex(const uint8_t *bytes, size_t size, char *out) {
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
}

static enum lam_code format_bytes(struct lam_slice v, struct buf *out, struct lam_error *err) {
    size_t size;
    if (!size_mul(v.size, 2, &size) || !size_add(size, 2, &size))
        return mem_fail(err, v.size);
    TRY(buf_reserve(out, size, err));
    memcpy(out->data + out->size, "\\x", 2);
    put_hex(v.data, v.size, (char *)out->data + out->size + 2);
    out->size += size;
    return LAM_OK;
}

static size_t format_uuid(const uint8_t *uuid, char *out) {
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    size_t n = 0;
    for (size_t g = 0; g < sizeof groups; g++) {
        if (g > 0)
            out[n++] = '-';
        put_hex(uuid, groups[g], out + n);
        uuid += groups[g];
        n += 2u * groups[g];
    }
    return n;
}

static size_t format_i64(int64_t v, char *out) {
    char reversed[20];
    size_t count = 0, n = 0;
    uint64_t m = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        reversed[count++] = (char)('0' + m % 10);
        m /= 10;
    } while (m > 0);
    if (v < 0)
        out[n++] = '-';
    while (count > 0)
        out[n++] = reversed[--count];
    return n;
}

enum lam_code value_format(const struct value *v, struct buf *out, struct lam_error *err) {
    char text[64];
    if (v->is_null)
        return LAM_OK;
    switch (v->type.type) {
    case LAM_TYPE_BOOLEAN:
        return buf_append_str(out, v->as.boolean ? "true" : "false", err);
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
        return buf_append(out, text, format_i64(v->as.i64, text), err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        float_text(v->as.f64, v->type.type == LAM_TYPE_FLOAT, text);
        return buf_append_str(out, text, err);
    case LAM_TYPE_DECIMAL:
        return buf_append(out, text, decimal_format(v->as.i128, v->type.scale, text), err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_JSON:
        return buf_append_slice(out, v->as.bytes, err);
    case LAM_TYPE_BYTES:
        return format_bytes(v->as.bytes, out, err);
    case LAM_TYPE_TIMESTAMP:
        return buf_append(out, text, timestamp_format(v->as.i64, text), err);
    case LAM_TYPE_DATE:
        return buf_append(out, text, date_format((int32_t)v->as.i64, text), err);
    case LAM_TYPE_TIME:
        return buf_append(out, text, time_format(v->as.i64, text), err);
    case LAM_TYPE_UUID:
        return buf_append(out, text, format_uuid(v->as.uuid, text), err);
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

/* --- in --- */

#define QUOTE_MAX 60

/* Raises `sqlstate`: "<what> for type T: "text"", the text cut to what helps. */
static enum lam_code fail(struct lam_error *err, const char *sqlstate, const char *what,
                          struct coltype type, struct lam_slice text) {
    char name[32];
    coltype_name(type, name);
    size_t size = text.size;
    if (size > QUOTE_MAX)
        for (size = QUOTE_MAX; size > 0 && (text.data[size] & 0xC0) == 0x80;)
            size--; /* not within a character */
    return ERR_SQL(err, sqlstate, 0, "%s for type %s: \"%.*s\"%s", what, name, (int)size,
                   size ? (const char *)text.data : "", size < text.size ? "..." : "");
}

static enum lam_code fail_form(struct lam_error *err, struct coltype type, struct lam_slice text) {
    bool civil =
        type.type == LAM_TYPE_DATE || type.type == LAM_TYPE_TIME || type.type == LAM_TYPE_TIMESTAMP;
    return fail(err, civil ? "22007" : "22P02", "invalid input", type, text);
}

static enum lam_code fail_result(struct lam_error *err, enum text_result result,
                                 struct coltype type, struct lam_slice text) {
    if (result == TEXT_BAD)
        return fail_form(err, type, text);
    bool civil =
        type.type == LAM_TYPE_DATE || type.type == LAM_TYPE_TIME || type.type == LAM_TYPE_TIMESTAMP;
    return fail(err, civil ? "22008" : "22003", "value out of range", type, text);
}

static bool is_blank(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct lam_slice trim(struct lam_slice s) {
    while (s.size > 0 && is_blank(s.data[0]))
        s = lam_slice_of(s.data + 1, s.size - 1);
    while (s.size > 0 && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

static bool parse_bool(struct lam_slice s, bool *out) {
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"t", true},  {"yes", true},    {"y", true},
                 {"on", true},   {"1", true},  {"false", false}, {"f", false},
                 {"no", false},  {"n", false}, {"off", false},   {"0", false}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (text_is_word(s, words[i].word)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

static enum text_result parse_i64(struct lam_slice s, enum lam_type type, int64_t *out) {
    size_t at = 0;
    bool negative = s.size > 0 && s.data[0] == '-', fits = true;
    if (s.size > 0 && (s.data[0] == '-' || s.data[0] == '+'))
        at++;
    if (at == s.size)
        return TEXT_BAD;
    int64_t v = 0;
    for (; at < s.size; at++) {
        if (s.data[at] < '0' || s.data[at] > '9')
            return TEXT_BAD;
        int digit = s.data[at] - '0';
        /* Down from zero, so that the least number fits; the rest is still checked for form. */
        fits = fits && !__builtin_mul_overflow(v, 10, &v) && !__builtin_sub_overflow(v, digit, &v);
    }
    fits = fits && (negative || !__builtin_sub_overflow(0, v, &v));
    if (type == LAM_TYPE_SMALLINT)
        fits = fits && v >= INT16_MIN && v <= INT16_MAX;
    else if (type == LAM_TYPE_INT)
        fits = fits && v >= INT32_MIN && v <= INT32_MAX;
    *out = v;
    return fits ? TEXT_OK : TEXT_RANGE;
}

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum lam_code parse_bytes(struct lam_slice s, struct arena *arena, struct value *out,
                                 struct lam_error *err) {
    if (s.size < 2 || s.size % 2 || s.data[0] != '\\' || (s.data[1] | 0x20) != 'x')
        return error_hint(err, fail_form(err, out->type, s), "write bytes as '\\x' and hex digits");
    size_t size = s.size / 2 - 1;
    uint8_t *bytes = arena_alloc(arena, size + 1);
    if (!bytes)
        return mem_fail(err, size + 1);
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(s.data[2 + 2 * i]), low = hex_value(s.data[3 + 2 * i]);
        if (high < 0 || low < 0)
            return fail_form(err, out->type, s);
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    out->as.bytes = lam_slice_of(bytes, size);
    return LAM_OK;
}

/* 32 hex digits, braces around and hyphens behind any four digits allowed. */
static bool parse_uuid(struct lam_slice s, uint8_t *out) {
    if (s.size >= 2 && s.data[0] == '{' && s.data[s.size - 1] == '}')
        s = lam_slice_of(s.data + 1, s.size - 2);
    size_t at = 0;
    for (int digit = 0; digit < 32; digit++, at++) {
        if (digit > 0 && digit % 4 == 0 && at < s.size && s.data[at] == '-')
            at++;
        int v = at < s.size ? hex_value(s.data[at]) : -1;
        if (v < 0)
            return false;
        out[digit / 2] = (uint8_t)(out[digit / 2] << 4 | v);
    }
    return at == s.size;
}

static enum lam_code check_utf8(struct lam_slice text, struct coltype type, struct lam_error *err) {
    size_t bad;
    if (utf8_valid(text, &bad))
        return LAM_OK;
    char name[32];
    coltype_name(type, name);
    return ERR_SQL(err, "22021", 0, "text for type %s is not UTF-8: byte 0x%02x at offset %zu",
                   name, text.data[bad], bad);
}

static enum lam_code dup_text(struct lam_slice text, struct arena *arena, struct value *out,
                              struct lam_error *err) {
    const void *copy = "";
    if (text.size > 0 && !(copy = arena_dup(arena, text.data, text.size)))
        return mem_fail(err, text.size);
    out->as.bytes = lam_slice_of(copy, text.size);
    return LAM_OK;
}

static enum lam_code parse_text(struct lam_slice text, struct arena *arena, struct value *out,
                                struct lam_error *err) {
    TRY(check_utf8(text, out->type, err));
    if (out->type.length && utf8_length(text) > out->type.length)
        return ERR_SQL(err, "22001", 0, "value of %zu characters is too long for type VARCHAR(%u)",
                       utf8_length(text), out->type.length);
    return dup_text(text, arena, out, err);
}

static enum lam_code parse_json(struct lam_slice text, struct arena *arena, struct value *out,
                                struct lam_error *err) {
    TRY(check_utf8(text, out->type, err));
    size_t bad = 0;
    if (!json_valid(text, &bad))
        return error_hint(err, fail_form(err, out->type, text), "not JSON at character %zu",
                          utf8_length(lam_slice_of(text.data, bad)) + 1);
    return dup_text(text, arena, out, err);
}

static enum lam_code parse_fixed(struct lam_slice text, struct value *out, struct lam_error *err) {
    struct coltype type = out->type;
    enum text_result result = TEXT_BAD;
    switch (type.type) {
    case LAM_TYPE_BOOLEAN:
        result = parse_bool(text, &out->as.boolean) ? TEXT_OK : TEXT_BAD;
        break;
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
        result = parse_i64(text, type.type, &out->as.i64);
        break;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        result = float_parse(text, type.type == LAM_TYPE_FLOAT, &out->as.f64);
        break;
    case LAM_TYPE_DECIMAL:
        result = decimal_parse(text, &out->type, &out->as.i128);
        break;
    case LAM_TYPE_TIMESTAMP:
        result = timestamp_parse(text, &out->as.i64);
        break;
    case LAM_TYPE_DATE:
        result = date_parse(text, &out->as.i64);
        break;
    case LAM_TYPE_TIME:
        result = time_parse(text, &out->as.i64);
        break;
    case LAM_TYPE_UUID:
        result = parse_uuid(text, out->as.uuid) ? TEXT_OK : TEXT_BAD;
        break;
    default:
        UNREACHABLE();
    }
    return result == TEXT_OK ? LAM_OK : fail_result(err, result, type, text);
}

enum lam_code value_parse(struct lam_slice text, struct coltype type, struct arena *arena,
                          struct value *out, struct lam_error *err) {
    LAM_ASSERT(type.type != LAM_TYPE_NULL);
    struct value v = {.type = type};
    switch (type.type) {
    case LAM_TYPE_TEXT:
        TRY(parse_text(text, arena, &v, err));
        break;
    case LAM_TYPE_JSON:
        TRY(parse_json(text, arena, &v, err));
        break;
    case LAM_TYPE_BYTES:
        TRY(parse_bytes(trim(text), arena, &v, err));
        break;
    default:
        TRY(parse_fixed(trim(text), &v, err));
    }
    *out = v;
    return LAM_OK;
}
