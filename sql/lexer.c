/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens by one switch over byte classes; every byte is looked at a constant number of times. */
#include "sql/lexer.h"

#include "base/assert.h"
#include "base/utf8.h"

#define KEYWORD_SIZE_MAX 24

/* Names lie in the table itself: the search touches few cache lines. */
static const struct {
    char name[KEYWORD_SIZE_MAX]; /* zeros behind it */
    uint8_t size;
    uint8_t class;
} keywords[KW_COUNT] = {{"", 0, KEYWORD_FREE},
#define KEYWORD_ROW(name, cls) {#name, sizeof #name - 1, KEYWORD_##cls},
                        KEYWORDS(KEYWORD_ROW)
#undef KEYWORD_ROW
};

const char *keyword_name(enum keyword k) {
    LAM_ASSERT(k < KW_COUNT);
    return keywords[k].name;
}

enum keyword_class keyword_class(enum keyword k) {
    LAM_ASSERT(k < KW_COUNT);
    return (enum keyword_class)keywords[k].class;
}

static enum keyword find_keyword(const uint8_t *text, size_t size) {
    char upper[KEYWORD_SIZE_MAX] = {0};
    if (size < 2 || size >= sizeof upper)
        return KW_NONE;
    for (size_t i = 0; i < size; i++)
        upper[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : (char)text[i];
    size_t low = 1, high = KW_COUNT;
    while (low < high) {
        size_t mid = (low + high) / 2, i = 0;
        const char *name = keywords[mid].name;
        while (i < size && upper[i] == name[i])
            i++;
        if (i == size && name[i] == 0)
            return (enum keyword)mid;
        if ((uint8_t)upper[i] < (uint8_t)name[i])
            high = mid;
        else
            low = mid + 1;
    }
    return KW_NONE;
}

void lexer_init(struct lexer *lx, struct lam_slice text) {
    *lx = (struct lexer){.text = text, .at = 0, .pos = 1};
}

static inline int peek(const struct lexer *lx, size_t ahead) {
    return lx->at + ahead < lx->text.size ? lx->text.data[lx->at + ahead] : -1;
}

/* Moves over `bytes` of plain ASCII. */
static inline void skip_ascii(struct lexer *lx, size_t bytes) {
    lx->at += bytes;
    lx->pos += (uint32_t)bytes;
}

/* Moves to byte `end`, counting characters; the bytes between must be UTF-8 without NUL. */
static enum lam_code skip_text(struct lexer *lx, size_t end, struct lam_error *err) {
    bool high = false;
    uint32_t chars = 0;
    for (size_t i = lx->at; i < end; i++) {
        uint8_t c = lx->text.data[i];
        high |= c >= 0x80;
        chars += (c & 0xC0) != 0x80;
        if (c == 0)
            return ERR_SQL(err, "22021", lx->pos + chars - 1, "SQL text has a zero byte");
    }
    size_t bad = 0;
    struct lam_slice part = lam_slice_of(lx->text.data + lx->at, end - lx->at);
    if (high && !utf8_valid(part, &bad)) {
        uint32_t pos = lx->pos + (uint32_t)utf8_length(lam_slice_of(part.data, bad));
        return ERR_SQL(err, "22021", pos, "SQL text is not valid UTF-8: byte 0x%02x",
                       part.data[bad]);
    }
    lx->at = end;
    lx->pos += chars;
    return LAM_OK;
}

static enum lam_code skip_block_comment(struct lexer *lx, struct lam_error *err) {
    size_t i = lx->at + 2, depth = 1;
    const uint8_t *t = lx->text.data;
    for (; i < lx->text.size && depth > 0; i++) {
        if (i + 1 >= lx->text.size)
            continue;
        if (t[i] == '*' && t[i + 1] == '/') {
            depth--;
            i++;
        } else if (t[i] == '/' && t[i + 1] == '*') {
            depth++;
            i++;
        }
    }
    if (depth > 0)
        return ERR_SQL(err, "42601", lx->pos, "unterminated /* comment");
    return skip_text(lx, i, err);
}

static enum lam_code skip_blanks(struct lexer *lx, struct lam_error *err) {
    for (;;) {
        int c = peek(lx, 0);
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            skip_ascii(lx, 1);
        } else if (c == '-' && peek(lx, 1) == '-') {
            const uint8_t *from = lx->text.data + lx->at;
            const uint8_t *eol = memchr(from, '\n', lx->text.size - lx->at);
            TRY(skip_text(lx, eol ? (size_t)(eol - lx->text.data) + 1 : lx->text.size, err));
        } else if (c == '/' && peek(lx, 1) == '*') {
            TRY(skip_block_comment(lx, err));
        } else {
            return LAM_OK;
        }
    }
}

static inline bool is_digit(int c) {
    return c >= '0' && c <= '9';
}
static inline bool is_name_start(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}
static inline bool is_name_part(int c) {
    return is_name_start(c) || is_digit(c) || c == '$';
}

static enum lam_code lex_name(struct lexer *lx, struct token *out, struct lam_error *err) {
    size_t n = 1;
    while (is_name_part(peek(lx, n)))
        n++;
    out->kind = TOK_NAME;
    out->keyword = find_keyword(lx->text.data + lx->at, n);
    return skip_text(lx, lx->at + n, err);
}

static enum lam_code lex_number(struct lexer *lx, struct token *out, struct lam_error *err) {
    size_t n = 0;
    out->kind = TOK_INTEGER;
    while (is_digit(peek(lx, n)))
        n++;
    if (peek(lx, n) == '.') {
        out->kind = TOK_DECIMAL;
        n++;
        while (is_digit(peek(lx, n)))
            n++;
    }
    int c = peek(lx, n);
    if (c == 'e' || c == 'E') {
        size_t sign = peek(lx, n + 1) == '+' || peek(lx, n + 1) == '-';
        if (is_digit(peek(lx, n + 1 + sign))) {
            out->kind = TOK_FLOAT;
            n += 1 + sign;
            while (is_digit(peek(lx, n)))
                n++;
        }
    }
    if (is_name_start(peek(lx, n)))
        return ERR_SQL(err, "42601", lx->pos, "trailing junk after the number \"%.*s\"",
                       (int)(n < 40 ? n : 40), (const char *)lx->text.data + lx->at);
    skip_ascii(lx, n);
    return LAM_OK;
}

/* A run between `quote`s that start at byte lx->at + skip; a doubled quote is part of it. */
static enum lam_code lex_quoted(struct lexer *lx, size_t skip, uint8_t quote, bool escapes,
                                const char *what, struct lam_error *err) {
    const uint8_t *t = lx->text.data;
    size_t i = lx->at + skip + 1;
    for (; i < lx->text.size; i++) {
        if (escapes && t[i] == '\\') {
            i++;
        } else if (t[i] == quote) {
            if (i + 1 >= lx->text.size || t[i + 1] != quote)
                return skip_text(lx, i + 1, err);
            i++;
        }
    }
    return ERR_SQL(err, "42601", lx->pos, "unterminated %s", what);
}

/* Size of the `$tag$` at byte `at`, 0 if there is none. */
static size_t dollar_tag(const struct lexer *lx, size_t at) {
    struct lam_slice t = lx->text;
    size_t i = at + 1;
    while (i < t.size && t.data[i] != '$' &&
           (is_name_start(t.data[i]) || (i > at + 1 && is_digit(t.data[i]))))
        i++;
    return i < t.size && t.data[i] == '$' ? i + 1 - at : 0;
}

static enum lam_code lex_dollar(struct lexer *lx, struct token *out, struct lam_error *err) {
    if (is_digit(peek(lx, 1))) {
        size_t n = 1;
        while (is_digit(peek(lx, n)))
            n++;
        out->kind = TOK_PARAMETER;
        skip_ascii(lx, n);
        return LAM_OK;
    }
    size_t tag = dollar_tag(lx, lx->at);
    if (tag == 0)
        return ERR_SQL(err, "42601", lx->pos, "syntax error at \"$\"");
    const uint8_t *t = lx->text.data;
    for (size_t i = lx->at + tag; i + tag <= lx->text.size; i++) {
        const uint8_t *hit = memchr(t + i, '$', lx->text.size - tag + 1 - i);
        if (!hit)
            break;
        i = (size_t)(hit - t);
        if (memcmp(hit, t + lx->at, tag) == 0) {
            out->kind = TOK_DOLLAR;
            return skip_text(lx, i + tag, err);
        }
    }
    return ERR_SQL(err, "42601", lx->pos, "unterminated dollar-quoted string");
}

/* Kind of the operator at the next byte and its size. */
static enum token_kind lex_operator(const struct lexer *lx, size_t *size_out) {
    int c = peek(lx, 0), d = peek(lx, 1);
    *size_out = 2;
    if (c == '|' && d == '|')
        return TOK_CONCAT;
    if (c == '=' && d == '=')
        return TOK_EQ;
    if ((c == '<' && d == '>') || (c == '!' && d == '='))
        return TOK_NE;
    if (c == '<' && d == '=')
        return TOK_LE;
    if (c == '>' && d == '=')
        return TOK_GE;
    if (c == ':' && d == ':')
        return TOK_CAST;
    if (c == '-' && d == '>') {
        if (peek(lx, 2) != '>')
            return TOK_ARROW;
        *size_out = 3;
        return TOK_ARROW_TEXT;
    }
    static const char single[] = "()[],;.+-*/%^=<>?";
    static const uint8_t kinds[] = {
        TOK_LPAREN, TOK_RPAREN, TOK_LBRACKET, TOK_RBRACKET, TOK_COMMA,   TOK_SEMICOLON,
        TOK_DOT,    TOK_PLUS,   TOK_MINUS,    TOK_STAR,     TOK_SLASH,   TOK_PERCENT,
        TOK_CARET,  TOK_EQ,     TOK_LT,       TOK_GT,       TOK_QUESTION};
    *size_out = 1;
    const char *hit = c > 0 ? strchr(single, c) : NULL;
    if (hit)
        return (enum token_kind)kinds[hit - single];
    return c > 0 && strchr("~#&|@!:", c) ? TOK_OTHER : TOK_END;
}

enum lam_code lexer_next(struct lexer *lx, struct token *out, struct lam_error *err) {
    TRY(skip_blanks(lx, err));
    *out = (struct token){.kind = TOK_END, .pos = lx->pos, .offset = lx->at};
    int c = peek(lx, 0), d = peek(lx, 1);
    enum lam_code rc = LAM_OK;
    if (c < 0)
        return LAM_OK;
    if ((c == 'e' || c == 'E') && d == '\'') {
        out->kind = TOK_ESTRING;
        rc = lex_quoted(lx, 1, '\'', true, "quoted string", err);
    } else if (is_name_start(c)) {
        rc = lex_name(lx, out, err);
    } else if (is_digit(c) || (c == '.' && is_digit(d))) {
        rc = lex_number(lx, out, err);
    } else if (c == '\'') {
        out->kind = TOK_STRING;
        rc = lex_quoted(lx, 0, '\'', false, "quoted string", err);
    } else if (c == '"') {
        out->kind = TOK_QUOTED;
        rc = lex_quoted(lx, 0, '"', false, "quoted name", err);
    } else if (c == '$') {
        rc = lex_dollar(lx, out, err);
    } else {
        size_t size = 0;
        out->kind = lex_operator(lx, &size);
        if (c == 0)
            return ERR_SQL(err, "22021", lx->pos, "SQL text has a zero byte");
        if (out->kind == TOK_END)
            return ERR_SQL(err, "42601", lx->pos, "syntax error at character 0x%02x", (unsigned)c);
        skip_ascii(lx, size);
    }
    out->size = lx->at - out->offset;
    return rc;
}

struct lam_slice token_text(const struct lexer *lx, const struct token *t) {
    return lam_slice_of(lx->text.data + t->offset, t->size);
}

bool token_is_word(const struct lexer *lx, const struct token *t, const char *word) {
    struct lam_slice text = token_text(lx, t);
    if (t->kind != TOK_NAME || strlen(word) != text.size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
            return false;
    }
    return true;
}

enum lam_code token_name(const struct lexer *lx, const struct token *t, struct arena *arena,
                         struct lam_slice *out, struct lam_error *err) {
    LAM_ASSERT(t->kind == TOK_NAME || t->kind == TOK_QUOTED);
    const uint8_t *from = lx->text.data + t->offset;
    uint8_t *to = arena_alloc(arena, t->size);
    size_t n = 0;
    if (!to)
        return mem_fail(err, t->size);
    if (t->kind == TOK_NAME) {
        for (; n < t->size; n++)
            to[n] = from[n] >= 'A' && from[n] <= 'Z' ? (uint8_t)(from[n] + 32) : from[n];
    } else {
        for (size_t i = 1; i + 1 < t->size; i++) {
            to[n++] = from[i];
            i += from[i] == '"';
        }
        if (n == 0)
            return ERR_SQL(err, "42601", t->pos, "zero-length quoted name");
    }
    *out = lam_slice_of(to, n);
    return LAM_OK;
}

static int hex_digit(uint8_t c) {
    if (is_digit(c))
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads exactly (or, `loose`, up to) `digits` hex digits at *at. */
static bool read_hex(struct lam_slice s, size_t *at, unsigned digits, bool loose, uint32_t *out) {
    uint32_t v = 0;
    unsigned n = 0;
    for (; n < digits && *at < s.size && hex_digit(s.data[*at]) >= 0; n++, (*at)++)
        v = v * 16 + (uint32_t)hex_digit(s.data[*at]);
    *out = v;
    return loose ? n > 0 : n == digits;
}

/* Decodes the escape after the backslash at s[*at]; appends it to `to`. */
static enum lam_code decode_escape(struct lam_slice s, size_t *at, uint8_t *to, size_t *n,
                                   uint32_t pos, struct lam_error *err) {
    uint8_t c = s.data[(*at)++];
    uint32_t v = 0;
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *hit = c ? strchr(names, c) : NULL;
    if (hit) {
        to[(*n)++] = (uint8_t)values[hit - names];
    } else if (c == 'x' && read_hex(s, at, 2, true, &v)) {
        to[(*n)++] = (uint8_t)v;
    } else if (c == 'u' || c == 'U') {
        if (!read_hex(s, at, c == 'u' ? 4 : 8, false, &v) || v > 0x10FFFF ||
            (v >= 0xD800 && v <= 0xDFFF))
            return ERR_SQL(err, "22025", pos, "invalid Unicode escape in a string");
        *n += utf8_put(to + *n, v);
    } else if (c >= '0' && c <= '7') {
        v = c - '0';
        for (int i = 0; i < 2 && *at < s.size && s.data[*at] >= '0' && s.data[*at] <= '7'; i++)
            v = v * 8 + (s.data[(*at)++] - '0');
        to[(*n)++] = (uint8_t)v;
    } else {
        to[(*n)++] = c;
    }
    return LAM_OK;
}

static enum lam_code decode_estring(struct lam_slice body, uint8_t *to, size_t *n, uint32_t pos,
                                    struct lam_error *err) {
    for (size_t i = 0; i < body.size;) {
        uint8_t c = body.data[i++];
        if (c == '\\' && i < body.size) {
            TRY(decode_escape(body, &i, to, n, pos, err));
        } else {
            to[(*n)++] = c;
            i += c == '\'';
        }
    }
    struct lam_slice done = lam_slice_of(to, *n);
    if (!utf8_valid(done, NULL) || (*n && memchr(to, 0, *n)))
        return ERR_SQL(err, "22021", pos, "the string's escapes do not give valid UTF-8 text");
    return LAM_OK;
}

enum lam_code token_string(const struct lexer *lx, const struct token *t, struct arena *arena,
                           struct lam_slice *out, struct lam_error *err) {
    LAM_ASSERT(token_is_string(t));
    struct lam_slice all = token_text(lx, t);
    uint8_t *to = arena_alloc(arena, all.size);
    size_t n = 0;
    if (!to)
        return mem_fail(err, all.size);
    if (t->kind == TOK_DOLLAR) {
        size_t tag = dollar_tag(lx, t->offset);
        n = all.size - 2 * tag;
        memcpy(to, all.data + tag, n);
    } else if (t->kind == TOK_ESTRING) {
        TRY(decode_estring(lam_slice_of(all.data + 2, all.size - 3), to, &n, t->pos, err));
    } else {
        for (size_t i = 1; i + 1 < all.size; i++) {
            to[n++] = all.data[i];
            i += all.data[i] == '\'';
        }
    }
    *out = lam_slice_of(to, n);
    return LAM_OK;
}
