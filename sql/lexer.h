/* SPDX-License-Identifier: Apache-2.0
 *
 * Splits SQL text into tokens, one at a time. Blanks and comments (`--` to the end of line, nested
 * block comments) are skipped. The text need not be valid UTF-8 as a whole: what is read is
 * checked. */
#ifndef LAMINA_SQL_LEXER_H
#define LAMINA_SQL_LEXER_H

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "sql/token.h"

struct lexer {
    struct lam_slice text; /* borrowed */
    size_t at;             /* byte to read next */
    uint32_t pos;          /* its 1-based character position */
};

void lexer_init(struct lexer *lx, struct lam_slice text);
/* The next token, TOK_END at the end. 42601 for what is no token (an unterminated string, a stray
 * character), 22021 for bytes that are not UTF-8. */
MUST_CHECK enum lam_code lexer_next(struct lexer *lx, struct token *out, struct lam_error *err);

/* Bytes of the token as written; borrows the text. */
struct lam_slice token_text(const struct lexer *lx, const struct token *t);
/* Whether the token is an unquoted name of these lower-case letters, in any case. */
bool token_is_word(const struct lexer *lx, const struct token *t, const char *word);
/* Content of a NAME (folded) or QUOTED token, in the arena. */
MUST_CHECK enum lam_code token_name(const struct lexer *lx, const struct token *t,
                                    struct arena *arena, struct lam_slice *out,
                                    struct lam_error *err);
/* Content of a string token, in the arena. 22025 and 22021 for bad escapes. */
MUST_CHECK enum lam_code token_string(const struct lexer *lx, const struct token *t,
                                      struct arena *arena, struct lam_slice *out,
                                      struct lam_error *err);
static inline bool token_is_string(const struct token *t) {
    return t->kind == TOK_STRING || t->kind == TOK_ESTRING || t->kind == TOK_DOLLAR;
}
/* The keyword's name in capitals, and where it may be a name. */
const char *keyword_name(enum keyword k);
enum keyword_class keyword_class(enum keyword k);

#endif
