/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as JSON. The text form of a number is a JSON number already, but for NaN and infinity. */
#include "shell/value.h"

/* Bytes of `data` that need no escape. */
static size_t plain_run(const char *data, size_t size) {
    size_t n = 0;
    while (n < size && (unsigned char)data[n] >= 0x20 && (unsigned char)data[n] < 0x7F &&
           data[n] != '"' && data[n] != '\\')
        n++;
    return n;
}

static void add_escaped(struct text *out, unsigned char c) {
    static const char *const names[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
        ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    if (c < sizeof names / sizeof names[0] && names[c])
        text_add_str(out, names[c]);
    else if (c < 0x20 || c == 0x7F)
        text_add_format(out, "\\u%04x", c);
    else
        text_add_char(out, (char)c);
}

void json_add_string(struct text *out, const char *data, size_t size) {
    text_add_char(out, '"');
    for (size_t i = 0; i < size;) {
        size_t plain = plain_run(data + i, size - i);
        text_add(out, data + i, plain);
        i += plain;
        if (i == size)
            break;
        if ((unsigned char)data[i] < 0x80) {
            add_escaped(out, (unsigned char)data[i++]);
            continue;
        }
        uint32_t code;
        size_t length = utf8_decode(data + i, size - i, &code);
        if (code == 0xFFFD)
            text_add_str(out, "\xEF\xBF\xBD");
        else
            text_add(out, data + i, length);
        i += length;
    }
    text_add_char(out, '"');
}

static void add_integer(struct text *out, int64_t v) {
    char digits[20];
    size_t n = sizeof digits;
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--n] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (v < 0)
        text_add_char(out, '-');
    text_add(out, digits + n, sizeof digits - n);
}

static bool is_number_text(struct lam_slice s) {
    size_t sign = s.size > 0 && s.data[0] == '-';
    return s.size > sign && s.data[sign] >= '0' && s.data[sign] <= '9';
}

void value_add_json(struct text *out, lam_stmt *stmt, uint32_t column) {
    if (lam_column_is_null(stmt, column)) {
        text_add_str(out, "null");
        return;
    }
    enum lam_type type = lam_column_type(stmt, column);
    if (type == LAM_TYPE_BOOLEAN) {
        text_add_str(out, lam_column_bool(stmt, column) ? "true" : "false");
    } else if (type >= LAM_TYPE_SMALLINT && type <= LAM_TYPE_BIGINT) {
        add_integer(out, lam_column_int64(stmt, column));
    } else {
        struct lam_slice s = lam_column_text(stmt, column);
        if (type_is_number(type) && is_number_text(s))
            text_add(out, s.data, s.size);
        else
            json_add_string(out, (const char *)s.data, s.size);
    }
}
