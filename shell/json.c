/* SPDX-License-Identifier: Apache-2.0
 *
 * Recursive descent; the depth limit keeps the stack small. */
#include "shell/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void json_init(struct json_reader *r, const char *text, size_t size, struct text *strings) {
    *r = (struct json_reader){.text = text, .size = size, .strings = strings};
}

static bool fail_at(struct json_reader *r, size_t at, const char *problem) {
    if (!r->problem) {
        r->problem = problem;
        r->problem_at = at;
    }
    return false;
}

static void skip_blanks(struct json_reader *r) {
    while (r->at < r->size && (r->text[r->at] == ' ' || r->text[r->at] == '\t' ||
                               r->text[r->at] == '\n' || r->text[r->at] == '\r'))
        r->at++;
}

static bool at_char(const struct json_reader *r, char c) {
    return r->at < r->size && r->text[r->at] == c;
}

static bool at_digit(const struct json_reader *r) {
    return r->at < r->size && r->text[r->at] >= '0' && r->text[r->at] <= '9';
}

/* --- strings --- */

static bool read_hex(struct json_reader *r, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        char c = r->at < r->size ? r->text[r->at] : '\0';
        char low = (char)(c | 32);
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            *out = *out << 4 | (uint32_t)(low - 'a' + 10);
        else
            return fail_at(r, r->at, "four hex digits must follow \\u");
    }
    return true;
}

static void add_utf8(struct text *out, uint32_t code) {
    char b[4];
    if (code < 0x80) {
        text_add_char(out, (char)code);
    } else if (code < 0x800) {
        b[0] = (char)(0xC0 | code >> 6);
        b[1] = (char)(0x80 | (code & 0x3F));
        text_add(out, b, 2);
    } else if (code < 0x10000) {
        b[0] = (char)(0xE0 | code >> 12);
        b[1] = (char)(0x80 | (code >> 6 & 0x3F));
        b[2] = (char)(0x80 | (code & 0x3F));
        text_add(out, b, 3);
    } else {
        b[0] = (char)(0xF0 | code >> 18);
        b[1] = (char)(0x80 | (code >> 12 & 0x3F));
        b[2] = (char)(0x80 | (code >> 6 & 0x3F));
        b[3] = (char)(0x80 | (code & 0x3F));
        text_add(out, b, 4);
    }
}

/* After "\u". */
static bool read_unicode(struct json_reader *r) {
    size_t start = r->at - 2;
    uint32_t code, low;
    if (!read_hex(r, &code))
        return false;
    if (code >= 0xDC00 && code <= 0xDFFF)
        return fail_at(r, start, "low surrogate without a high one");
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (!at_char(r, '\\') || r->at + 1 >= r->size || r->text[r->at + 1] != 'u')
            return fail_at(r, start, "high surrogate without a low one");
        r->at += 2;
        if (!read_hex(r, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail_at(r, start, "high surrogate without a low one");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    add_utf8(r->strings, code);
    return true;
}

static bool read_escape(struct json_reader *r) {
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    char c = r->at + 1 < r->size ? r->text[r->at + 1] : '\0';
    r->at += 2;
    if (c == 'u')
        return read_unicode(r);
    const char *hit = c ? strchr(letters, c) : NULL;
    if (!hit)
        return fail_at(r, r->at - 2, "unknown escape in a string");
    text_add_char(r->strings, bytes[hit - letters]);
    return true;
}

static bool read_string(struct json_reader *r, struct json_value *out) {
    size_t start = r->at++;
    out->kind = JSON_STRING;
    out->string_at = r->strings->size;
    while (r->at < r->size && r->text[r->at] != '"') {
        size_t from = r->at;
        unsigned char c = 0;
        while (r->at < r->size && (c = (unsigned char)r->text[r->at]) >= 0x20 && c < 0x80 &&
               c != '"' && c != '\\')
            r->at++;
        text_add(r->strings, r->text + from, r->at - from);
        if (r->at == r->size || c == '"')
            continue;
        if (c == '\\') {
            if (!read_escape(r))
                return false;
        } else if (c < 0x20) {
            return fail_at(r, r->at, "control character in a string");
        } else {
            uint32_t code;
            size_t length = utf8_decode(r->text + r->at, r->size - r->at, &code);
            if (length == 1)
                return fail_at(r, r->at, "text is not valid UTF-8");
            text_add(r->strings, r->text + r->at, length);
            r->at += length;
        }
    }
    if (r->at == r->size)
        return fail_at(r, start, "unterminated string");
    r->at++;
    out->string_size = r->strings->size - out->string_at;
    return true;
}

/* --- numbers --- */

static bool read_digits(struct json_reader *r) {
    if (!at_digit(r))
        return fail_at(r, r->at, "a digit must follow");
    while (at_digit(r))
        r->at++;
    return true;
}

/* The number's text is [start, at). */
static bool convert_number(struct json_reader *r, size_t start, bool whole,
                           struct json_value *out) {
    out->string_at = r->strings->size;
    out->string_size = r->at - start;
    text_add(r->strings, r->text + start, r->at - start);
    const char *digits = text_str(r->strings) + out->string_at;
    errno = 0;
    if (whole) {
        out->integer = strtoll(digits, NULL, 10);
        out->kind = errno == ERANGE ? JSON_DIGITS : JSON_INTEGER;
        return true;
    }
    out->kind = JSON_DOUBLE;
    out->number = strtod(digits, NULL);
    return isfinite(out->number) || fail_at(r, start, "number is out of range");
}

static bool read_number(struct json_reader *r, struct json_value *out) {
    size_t start = r->at;
    bool whole = true;
    if (at_char(r, '-'))
        r->at++;
    size_t first = r->at;
    if (!read_digits(r))
        return false;
    if (r->text[first] == '0' && r->at - first > 1)
        return fail_at(r, first, "number starts with 0");
    if (at_char(r, '.')) {
        whole = false;
        r->at++;
        if (!read_digits(r))
            return false;
    }
    if (at_char(r, 'e') || at_char(r, 'E')) {
        whole = false;
        r->at++;
        if (at_char(r, '+') || at_char(r, '-'))
            r->at++;
        if (!read_digits(r))
            return false;
    }
    return convert_number(r, start, whole, out);
}

/* --- values --- */

static bool read_word(struct json_reader *r, const char *word, enum json_kind kind,
                      struct json_value *out) {
    size_t size = strlen(word);
    if (r->size - r->at < size || memcmp(r->text + r->at, word, size) != 0)
        return fail_at(r, r->at, "a JSON value was expected");
    r->at += size;
    out->kind = kind;
    return true;
}

static bool read_value(struct json_reader *r, struct json_value *out, unsigned depth);

static bool skip_container(struct json_reader *r, bool object, unsigned depth) {
    char close = object ? '}' : ']';
    struct json_value ignored;
    bool more = true;
    if (depth == JSON_DEPTH_MAX)
        return fail_at(r, r->at, "nested too deep");
    if (!json_enter(r, object ? '{' : '['))
        return false;
    for (bool first = true;; first = false) {
        if (!json_next(r, close, first, &more))
            return false;
        if (!more)
            return true;
        size_t keep = r->strings->size;
        if (object && !json_key(r, &ignored))
            return false;
        if (!read_value(r, &ignored, depth + 1))
            return false;
        r->strings->size = keep;
    }
}

static bool read_value(struct json_reader *r, struct json_value *out, unsigned depth) {
    skip_blanks(r);
    *out = (struct json_value){.raw = r->text + r->at};
    size_t start = r->at;
    char c = r->at < r->size ? r->text[r->at] : '\0';
    bool ok;
    if (c == '"')
        ok = read_string(r, out);
    else if (c == '-' || (c >= '0' && c <= '9'))
        ok = read_number(r, out);
    else if (c == '{' || c == '[') {
        out->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        ok = skip_container(r, c == '{', depth);
    } else if (c == 't')
        ok = read_word(r, "true", JSON_TRUE, out);
    else if (c == 'f')
        ok = read_word(r, "false", JSON_FALSE, out);
    else
        ok = read_word(r, "null", JSON_NULL, out);
    out->raw_size = r->at - start;
    return ok;
}

bool json_read(struct json_reader *r, struct json_value *out) {
    return read_value(r, out, 0);
}

bool json_enter(struct json_reader *r, char bracket) {
    skip_blanks(r);
    if (!at_char(r, bracket))
        return fail_at(r, r->at,
                       bracket == '{' ? "an object was expected" : "an array was expected");
    r->at++;
    return true;
}

bool json_next(struct json_reader *r, char close, bool first, bool *more_out) {
    skip_blanks(r);
    *more_out = false;
    if (at_char(r, close)) {
        r->at++;
        return true;
    }
    *more_out = true;
    if (first)
        return true;
    if (!at_char(r, ','))
        return fail_at(r, r->at,
                       close == '}' ? "',' or '}' was expected" : "',' or ']' was expected");
    r->at++;
    return true;
}

bool json_key(struct json_reader *r, struct json_value *key_out) {
    skip_blanks(r);
    *key_out = (struct json_value){.raw = r->text + r->at};
    if (!at_char(r, '"'))
        return fail_at(r, r->at, "a member's name was expected");
    if (!read_string(r, key_out))
        return false;
    skip_blanks(r);
    if (!at_char(r, ':'))
        return fail_at(r, r->at, "':' was expected");
    r->at++;
    return true;
}

bool json_finish(struct json_reader *r) {
    skip_blanks(r);
    return r->at == r->size || fail_at(r, r->at, "text after the end of the object");
}
