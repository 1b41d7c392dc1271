/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the parser: recursive descent for statements, precedence climbing for expressions, one
 * token in hand. Errors are 42601 at the token that does not fit, 0A000 for SQL that the dialect
 * has no room for yet. Every recursion passes parser_enter, so no text can exhaust the stack. */
#ifndef LAMINA_SQL_PARSE_H
#define LAMINA_SQL_PARSE_H

#include "sql/ast.h"
#include "sql/lexer.h"

/* Height of an expression tree: chains like a + b + c + ... nest to the left without recursion of
 * the parser, but later walks recurse over them. AND, OR and || are balanced and don't count. */
#define EXPR_HEIGHT_MAX 1000

struct parser {
    struct lexer lexer; /* behind `tok` */
    struct arena *arena;
    struct token tok;         /* to be read next */
    size_t end;               /* byte after the last token taken */
    unsigned depth;           /* of nested expressions and statements */
    uint32_t parameter_count; /* highest number so far */
};

MUST_CHECK enum lam_code parser_init(struct parser *p, struct lam_slice text, struct arena *arena,
                                     struct lam_error *err);

/* --- tokens (parse_misc.c) --- */
/* Takes the token in hand. */
MUST_CHECK enum lam_code parser_next(struct parser *p, struct lam_error *err);
/* The token after the one in hand. */
MUST_CHECK enum lam_code parser_peek(const struct parser *p, struct token *out,
                                     struct lam_error *err);
static inline bool parser_at(const struct parser *p, enum token_kind kind) {
    return p->tok.kind == kind;
}
static inline bool parser_at_keyword(const struct parser *p, enum keyword k) {
    return p->tok.kind == TOK_NAME && p->tok.keyword == k;
}
/* Takes the token if it is the one named; says whether. */
MUST_CHECK enum lam_code parser_accept(struct parser *p, enum token_kind kind, bool *taken,
                                       struct lam_error *err);
MUST_CHECK enum lam_code parser_accept_keyword(struct parser *p, enum keyword k, bool *taken,
                                               struct lam_error *err);
/* Takes it or fails. */
MUST_CHECK enum lam_code parser_expect(struct parser *p, enum token_kind kind, const char *what,
                                       struct lam_error *err);
MUST_CHECK enum lam_code parser_expect_keyword(struct parser *p, enum keyword k,
                                               struct lam_error *err);
/* 42601 at the token in hand: syntax error at "x": expected <what>. A hint if it is nearly `what`.
 */
enum lam_code parser_fail(struct parser *p, const char *what, struct lam_error *err);
/* 0A000: <what> is not supported yet. */
enum lam_code parser_unsupported(uint32_t pos, const char *what, struct lam_error *err);
/* Counts one level of recursion, 54001 past AST_DEPTH_MAX; parser_leave undoes it. */
MUST_CHECK enum lam_code parser_enter(struct parser *p, struct lam_error *err);
void parser_leave(struct parser *p);

/* --- names, lists, memory (parse_misc.c) --- */
/* An identifier; `what` names it in errors ("table name"). */
MUST_CHECK enum lam_code parse_name(struct parser *p, const char *what, struct lam_slice *out,
                                    uint32_t *pos_out, struct lam_error *err);
/* An identifier or a string. */
MUST_CHECK enum lam_code parse_name_or_string(struct parser *p, const char *what,
                                              struct lam_slice *out, uint32_t *pos_out,
                                              struct lam_error *err);
MUST_CHECK enum lam_code parse_string(struct parser *p, const char *what, struct lam_slice *out,
                                      struct lam_error *err);
/* A namespace's name, DEFAULT among them. */
MUST_CHECK enum lam_code parse_namespace(struct parser *p, struct lam_slice *out, uint32_t *pos_out,
                                         struct lam_error *err);
MUST_CHECK enum lam_code parse_name_ref(struct parser *p, const char *what, struct name_ref *out,
                                        struct lam_error *err);
/* An unsigned integer that fits int64. */
MUST_CHECK enum lam_code parse_count(struct parser *p, const char *what, int64_t *out,
                                     struct lam_error *err);
/* IF NOT EXISTS / IF EXISTS. */
MUST_CHECK enum lam_code parse_if_not_exists(struct parser *p, bool *out, struct lam_error *err);
MUST_CHECK enum lam_code parse_if_exists(struct parser *p, bool *out, struct lam_error *err);
/* `(a, b)`; positions may be NULL. */
MUST_CHECK enum lam_code parse_name_list(struct parser *p, const char *what,
                                         struct lam_slice **names_out, uint32_t **pos_out,
                                         uint32_t *count_out, struct lam_error *err);
/* Makes room for one more element of an arena array, doubling; *count is not changed. */
struct list {
    void *items;
    uint32_t count, capacity;
};
MUST_CHECK enum lam_code list_add(struct arena *arena, struct list *list, size_t elem,
                                  void **slot_out, struct lam_error *err);

/* --- expressions (parse_expr.c) --- */
/* How tightly operators bind, loosest first. */
enum level {
    LEVEL_NONE = 0,
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_IS,
    LEVEL_COMPARE,
    LEVEL_LIKE,
    LEVEL_OTHER,
    LEVEL_ADD,
    LEVEL_MUL,
    LEVEL_POW,
    LEVEL_SIGN,
    LEVEL_CAST,
};
MUST_CHECK enum lam_code parse_expr(struct parser *p, struct expr **out, struct lam_error *err);
/* An expression of operators that bind at least as tightly as `min`. */
MUST_CHECK enum lam_code parse_level(struct parser *p, enum level min, struct expr **out,
                                     struct lam_error *err);
MUST_CHECK enum lam_code expr_new(struct parser *p, enum expr_kind kind, uint32_t pos,
                                  struct expr **out, struct lam_error *err);
/* Settles the node's height over its children; 54001 if it is too high. */
MUST_CHECK enum lam_code expr_finish(struct expr *e, struct lam_error *err);
MUST_CHECK enum lam_code expr_list_add(struct parser *p, struct list *args, struct expr *e,
                                       struct lam_error *err);
void expr_set_args(struct expr *e, const struct list *args);
/* --- types (parse_type.c) --- */
/* A type. `serial_out` (may be NULL: no SERIAL here) is set for SERIAL and BIGSERIAL. */
MUST_CHECK enum lam_code parse_type(struct parser *p, struct coltype *out, bool *serial_out,
                                    struct lam_error *err);
/* A type by a name of one word. */
bool type_lookup(struct lam_slice name, struct coltype *out, bool *serial);
/* --- calls (parse_call.c) --- */
/* A call whose name has been read, at its parenthesis. */
MUST_CHECK enum lam_code parse_call(struct parser *p, struct lam_slice name, uint32_t pos,
                                    struct expr **out, struct lam_error *err);
/* CURRENT_USER and its kind: parentheses are optional. */
MUST_CHECK enum lam_code parse_niladic(struct parser *p, const char *name, struct expr **out,
                                       struct lam_error *err);
/* One expression into `args`. */
MUST_CHECK enum lam_code parse_arg(struct parser *p, struct list *args, struct lam_error *err);
/* Comma list up to and with the closing parenthesis; `args` may hold some already. */
MUST_CHECK enum lam_code parse_args(struct parser *p, struct list *args, struct lam_error *err);
/* --- statements --- */
MUST_CHECK enum lam_code parse_select(struct parser *p, struct select_stmt **out,
                                      struct lam_error *err);
MUST_CHECK enum lam_code parse_select_items(struct parser *p, struct select_item **items_out,
                                            uint32_t *count_out, struct lam_error *err);
MUST_CHECK enum lam_code parse_insert(struct parser *p, struct stmt *s, struct lam_error *err);
MUST_CHECK enum lam_code parse_update(struct parser *p, struct stmt *s, struct lam_error *err);
MUST_CHECK enum lam_code parse_delete(struct parser *p, struct stmt *s, struct lam_error *err);
MUST_CHECK enum lam_code parse_create(struct parser *p, struct stmt *s, struct lam_error *err);
MUST_CHECK enum lam_code parse_drop(struct parser *p, struct stmt *s, struct lam_error *err);
MUST_CHECK enum lam_code parse_alter(struct parser *p, struct stmt *s, struct lam_error *err);
/* Options of CREATE TABLE (parse_options.c): WITH (...) and the clauses, until none follows. */
MUST_CHECK enum lam_code parse_table_options(struct parser *p, struct create_table_stmt *t,
                                             struct lam_error *err);

#endif
