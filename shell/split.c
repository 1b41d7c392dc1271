/* SPDX-License-Identifier: Apache-2.0
 *
 * One byte at a time; where two bytes decide and the second has not come, the scan stops before
 * the first. */
#include "shell/split.h"

#include <stdint.h>
#include <string.h>

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Opens a dollar quote, or steps over a '$' that is none; false: more text decides. */
static bool scan_dollar(struct splitter *s, const char *text, size_t size, bool last) {
    size_t i = s->at + 1;
    while (i < size && text[i] != '$' && is_name_byte(text[i]) &&
           !(i == s->at + 1 && text[i] >= '0' && text[i] <= '9'))
        i++;
    if (i == size && !last)
        return false;
    s->content = true;
    if (i < size && text[i] == '$') {
        s->tag_at = s->at;
        s->tag_size = i + 1 - s->at;
        s->state = SPLIT_DOLLAR;
        s->at = i + 1;
    } else {
        s->state = SPLIT_NAME;
        s->at++;
    }
    return true;
}

/* Outside everything; false: stop here. */
static bool scan_plain(struct splitter *s, const char *text, size_t size, bool last) {
    char c = text[s->at];
    char next = s->at + 1 < size ? text[s->at + 1] : '\0';
    bool two = c == '-' || c == '/' || c == 'e' || c == 'E';
    if (two && s->at + 1 == size && !last)
        return false;
    if (c == '$')
        return scan_dollar(s, text, size, last);
    if (c == '-' && next == '-') {
        s->state = SPLIT_LINE;
        s->at += 2;
        return true;
    }
    if (c == '/' && next == '*') {
        s->state = SPLIT_BLOCK;
        s->depth = 1;
        s->at += 2;
        return true;
    }
    s->content |= !is_blank(c);
    if ((c == 'e' || c == 'E') && next == '\'') {
        s->state = SPLIT_ESTRING;
        s->at++;
    } else if (c == '\'') {
        s->state = SPLIT_STRING;
    } else if (c == '"') {
        s->state = SPLIT_QUOTED;
    } else if (c == '(') {
        s->parens++;
    } else if (c == ')') {
        s->parens -= s->parens > 0;
    } else if (is_name_byte(c)) {
        s->state = SPLIT_NAME;
    }
    s->at++;
    return true;
}

static bool scan_estring(struct splitter *s, const char *text, size_t size, bool last) {
    char c = text[s->at];
    if (c != '\\' && c != '\'') {
        s->at++;
        return true;
    }
    if (s->at + 1 == size && !last)
        return false;
    bool pair = s->at + 1 < size && (c == '\\' || text[s->at + 1] == '\'');
    if (!pair && c == '\'')
        s->state = SPLIT_PLAIN;
    s->at += pair ? 2 : 1;
    return true;
}

static bool scan_block(struct splitter *s, const char *text, size_t size, bool last) {
    char c = text[s->at];
    if (c != '*' && c != '/') {
        s->at++;
        return true;
    }
    if (s->at + 1 == size && !last)
        return false;
    char next = s->at + 1 < size ? text[s->at + 1] : '\0';
    bool pair = (c == '*' && next == '/') || (c == '/' && next == '*');
    if (pair)
        s->depth += c == '/' ? 1 : (size_t)-1;
    if (s->depth == 0)
        s->state = SPLIT_PLAIN;
    s->at += pair ? 2 : 1;
    return true;
}

static bool scan_dollar_body(struct splitter *s, const char *text, size_t size) {
    const char *tag = text + s->tag_at;
    const char *hit = memmem(text + s->at, size - s->at, tag, s->tag_size);
    if (hit) {
        s->at = (size_t)(hit - text) + s->tag_size;
        s->state = SPLIT_PLAIN;
        return true;
    }
    /* The tag may have come half. */
    size_t keep = s->tag_size - 1;
    s->at = size - s->at > keep ? size - keep : s->at;
    return false;
}

/* Until the byte `end`, which is passed over. */
static bool scan_until(struct splitter *s, const char *text, size_t size, char end) {
    const char *hit = memchr(text + s->at, end, size - s->at);
    s->at = hit ? (size_t)(hit - text) + 1 : size;
    if (hit)
        s->state = SPLIT_PLAIN;
    return hit != NULL;
}

static bool scan_name(struct splitter *s, const char *text, size_t size) {
    while (s->at < size && is_name_byte(text[s->at]))
        s->at++;
    if (s->at < size)
        s->state = SPLIT_PLAIN;
    return s->at < size;
}

enum split_result split_scan(struct splitter *s, const char *text, size_t size, bool last) {
    bool go = true;
    while (go && s->at < size) {
        switch (s->state) {
        case SPLIT_PLAIN:
            if (text[s->at] == '.' && !s->content)
                return SPLIT_DOT;
            if (text[s->at] == ';' && s->parens == 0) {
                s->at++;
                return SPLIT_STATEMENT;
            }
            go = scan_plain(s, text, size, last);
            break;
        case SPLIT_NAME:
            go = scan_name(s, text, size);
            break;
        case SPLIT_STRING:
            go = scan_until(s, text, size, '\'');
            break;
        case SPLIT_QUOTED:
            go = scan_until(s, text, size, '"');
            break;
        case SPLIT_LINE:
            go = scan_until(s, text, size, '\n');
            break;
        case SPLIT_ESTRING:
            go = scan_estring(s, text, size, last);
            break;
        case SPLIT_BLOCK:
            go = scan_block(s, text, size, last);
            break;
        case SPLIT_DOLLAR:
            go = scan_dollar_body(s, text, size);
            break;
        }
    }
    return SPLIT_MORE;
}
