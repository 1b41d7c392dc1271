/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON: the check of values, the operators over them, and the shell's reader. Both readers take the
 * same texts up to the nesting that each allows; a string the shell writes reads back as it was;
 * operators on a sound value give sound values or NULL. */
#include "base/utf8.h"
#include "sql/bound.h"
#include "tests/fuzz/fuzz.h"

/* As the linked objects of the shell have them. */
#define utf8_offset  shell_utf8_offset
#define nearest_name shell_nearest_name
#include "shell/json.h"
#include "shell/value.h"

static size_t nesting(struct lam_slice text) {
    size_t depth = 0, most = 0;
    bool inside = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (inside) {
            i += c == '\\';
            inside = c != '"';
        } else if (c == '"') {
            inside = true;
        } else if (c == '[' || c == '{') {
            most = ++depth > most ? depth : most;
        } else if (depth > 0 && (c == ']' || c == '}')) {
            depth--;
        }
    }
    return most;
}

/* Halves of surrogate pairs, which only the shell refuses. */
static bool has_half(struct lam_slice text) {
    for (size_t i = 0; i + 3 < text.size; i++)
        if (text.data[i] == '\\' && text.data[i + 1] == 'u' && (text.data[i + 2] | 32) == 'd' &&
            text.data[i + 3] >= '8')
            return true;
    return false;
}

static void compare_readers(struct lam_slice text) {
    struct text strings = {0};
    struct json_reader r;
    struct json_value v;
    text_str(&strings);
    json_init(&r, (const char *)text.data, text.size, &strings);
    bool read = json_read(&r, &v) && json_finish(&r);
    bool valid = json_valid(text, NULL);
    REQUIRE(read || (r.problem && r.problem_at <= text.size));
    if (read)
        REQUIRE(valid || nesting(text) > 190);
    if (valid && !read)
        REQUIRE(has_half(text) || nesting(text) >= JSON_DEPTH_MAX ||
                memchr(text.data, 'e', text.size) || memchr(text.data, 'E', text.size));
    if (read && v.kind == JSON_STRING)
        REQUIRE(v.string_at + v.string_size <= strings.size);
    text_fini(&strings);
}

static void try_string(struct lam_slice bytes) {
    struct text out = {0}, strings = {0};
    struct json_reader r;
    struct json_value v;
    json_add_string(&out, (const char *)bytes.data, bytes.size);
    text_str(&strings);
    json_init(&r, out.data, out.size, &strings);
    REQUIRE(json_read(&r, &v) && json_finish(&r) && v.kind == JSON_STRING);
    REQUIRE(json_valid(lam_slice_of(out.data, out.size), NULL));
    if (utf8_valid(bytes, NULL))
        REQUIRE(slice_eq(lam_slice_of(strings.data + v.string_at, v.string_size), bytes));
    text_reset(&out);
    text_add_visible(&out, (const char *)bytes.data, bytes.size);
    REQUIRE(utf8_valid(lam_slice_of(out.data, out.size), NULL));
    REQUIRE(!out.size || !memchr(out.data, '\n', out.size));
    text_fini(&out);
    text_fini(&strings);
}

static const char *const operators[] = {
    "$1::JSON -> $2::TEXT",    "$1::JSON ->> $2::TEXT", "$1::JSON -> $3::BIGINT",
    "$1::JSON ->> $3::BIGINT", "$1::JSON ? $2::TEXT",   "json_array_length($1::JSON)",
    "json_typeof($1::JSON)",   "json_valid($1::TEXT)",
};

/* Operators with the text as value and a piece of it as the member's name. */
static void try_operator(uint8_t pick, struct lam_slice text, struct lam_slice member) {
    struct arena arena = {0};
    struct expr *e;
    struct bound *b;
    struct value v,
        given[3] = {value_bytes(LAM_TYPE_JSON, text), value_bytes(LAM_TYPE_TEXT, member),
                    value_i64(LAM_TYPE_BIGINT, (int8_t)pick)};
    struct coltype types[3] = {given[0].type, given[1].type, given[2].type};
    struct scope none = {0};
    struct bind_context ctx = {
        .arena = &arena, .scope = &none, .parameter_types = types, .parameter_count = 3};
    struct run_context run = {
        .arena = &arena, .user = lam_slice_str("u"), .parameters = given, .parameter_count = 3};
    struct lam_slice source = lam_slice_str(operators[pick % 8]);
    if (pick % 8 == 7)
        given[0].type = types[0] = coltype_of(LAM_TYPE_TEXT);
    struct lam_error err = {0};
    if (parse_expression(source, &arena, &e, &err) == LAM_OK &&
        bind_expr(&ctx, e, &b, &err) == LAM_OK) {
        enum lam_code rc = bound_value(&run, b, &v, &err);
        REQUIRE(rc == LAM_OK || rc == LAM_SQL);
        bool has_value = rc == LAM_OK && !v.is_null && json_valid(text, NULL);
        if (has_value && v.type.type == LAM_TYPE_JSON)
            REQUIRE(json_valid(v.as.bytes, NULL));
        if (has_value && v.type.type == LAM_TYPE_TEXT)
            REQUIRE(utf8_valid(v.as.bytes, NULL));
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    uint8_t pick = cursor_u8(&c), member_size = cursor_u8(&c) % 16;
    struct lam_slice text = fuzz_rest(&c);
    if (text.size == 0)
        return 0;
    compare_readers(text);
    try_string(text);
    size_t from = pick % text.size;
    struct lam_slice member = lam_slice_of(
        text.data + from, member_size < text.size - from ? member_size : text.size - from);
    /* Rows are not checked for sound JSON when they are read, so any bytes may come here. */
    try_operator(pick, text, member);
    return 0;
}
