/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking JSON text (RFC 8259) without recursion: a bit per open level says whether it is an
 * object. */
#include "base/assert.h"
#include "base/utf8.h"
#include "catalog/value.h"

#define NESTING_MAX 200

struct scan {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t depth;
    uint8_t is_object[NESTING_MAX / 8]; /* bit d: level d is an object */
};

static void skip_blanks(struct scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

static bool take(struct scan *s, char c) {
    if (s->at == s->end || *s->at != (uint8_t)c)
        return false;
    s->at++;
    return true;
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool take_digits(struct scan *s) {
    const uint8_t *start = s->at;
    while (s->at < s->end && is_digit(*s->at))
        s->at++;
    return s->at > start;
}

static bool take_number(struct scan *s) {
    take(s, '-');
    if (!take(s, '0') && !take_digits(s))
        return false;
    if (take(s, '.') && !take_digits(s))
        return false;
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (!take(s, '+'))
            take(s, '-');
        return take_digits(s);
    }
    return true;
}

static bool take_escape(struct scan *s) {
    if (s->at == s->end)
        return false;
    uint8_t c = *s->at;
    if (c != 'u') {
        if (!memchr("\"\\/bfnrt", c, 8))
            return false;
        s->at++;
        return true;
    }
    s->at++;
    for (int i = 0; i < 4; i++, s->at++)
        if (s->at == s->end || !is_hex(*s->at))
            return false;
    return true;
}

static bool take_string(struct scan *s) {
    if (!take(s, '"'))
        return false;
    while (s->at < s->end && *s->at >= 0x20) {
        uint8_t c = *s->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !take_escape(s))
            return false;
    }
    return false;
}

static bool take_word(struct scan *s, const char *word) {
    for (; *word; word++)
        if (!take(s, *word))
            return false;
    return true;
}

static bool take_scalar(struct scan *s) {
    if (s->at == s->end)
        return false;
    switch (*s->at) {
    case '"':
        return take_string(s);
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    case 'n':
        return take_word(s, "null");
    default:
        return take_number(s);
    }
}

/* "name" : */
static bool take_name(struct scan *s) {
    skip_blanks(s);
    if (!take_string(s))
        return false;
    skip_blanks(s);
    return take(s, ':');
}

static bool in_object(const struct scan *s) {
    return bitmap_get(s->is_object, s->depth - 1);
}

/* Brackets that open in front of a value. `*empty_out`: the last one closed again at once. */
static bool open_levels(struct scan *s, bool *empty_out) {
    *empty_out = false;
    for (;;) {
        skip_blanks(s);
        bool object = s->at < s->end && *s->at == '{';
        if (!object && (s->at == s->end || *s->at != '['))
            return true;
        if (s->depth == NESTING_MAX)
            return false;
        s->at++;
        if (object)
            bitmap_set(s->is_object, s->depth);
        else
            bitmap_clear(s->is_object, s->depth);
        s->depth++;
        skip_blanks(s);
        if (take(s, object ? '}' : ']')) {
            s->depth--;
            *empty_out = true;
            return true;
        }
        if (object && !take_name(s))
            return false;
    }
}

/* What may follow a value inside brackets. `*more_out`: a comma, so another value comes. */
static bool close_levels(struct scan *s, bool *more_out) {
    *more_out = false;
    while (s->depth > 0) {
        skip_blanks(s);
        if (take(s, ',')) {
            *more_out = true;
            return !in_object(s) || take_name(s);
        }
        if (!take(s, in_object(s) ? '}' : ']'))
            return false;
        s->depth--;
    }
    return true;
}

static bool take_value(struct scan *s) {
    bool more = true;
    while (more) {
        bool empty;
        if (!open_levels(s, &empty) || (!empty && !take_scalar(s)) || !close_levels(s, &more))
            return false;
    }
    skip_blanks(s);
    return s->at == s->end;
}

bool json_valid(struct lam_slice text, size_t *bad_out) {
    if (!utf8_valid(text, bad_out))
        return false;
    if (text.size == 0) {
        if (bad_out)
            *bad_out = 0;
        return false;
    }
    struct scan s = {.at = text.data, .end = text.data + text.size};
    bool valid = take_value(&s);
    LAM_ASSERT(s.depth <= NESTING_MAX && s.at <= s.end);
    if (!valid && bad_out)
        *bad_out = (size_t)(s.at - text.data);
    return valid;
}

/* The escape of a character that JSON strings don't take as it is. */
static enum lam_code append_escape(struct buf *out, uint8_t c, struct lam_error *err) {
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *s = shorts; *s; s += 2)
        if ((uint8_t)s[0] == c)
            return buf_append(out, (const char[]){'\\', s[1]}, 2, err);
    return buf_append_format(out, err, "\\u%04x", c);
}

enum lam_code json_append_string(struct buf *out, struct lam_slice text, struct lam_error *err) {
    TRY(buf_append_u8(out, '"', err));
    size_t done = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        TRY(buf_append(out, text.data + done, i - done, err));
        TRY(append_escape(out, c, err));
        done = i + 1;
    }
    if (done < text.size)
        TRY(buf_append(out, text.data + done, text.size - done, err));
    return buf_append_u8(out, '"', err);
}
