/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser's hands (tokens, names, lists) and the small statements. */
#include "sql/parse.h"

#include "base/assert.h"
#include "lamina/sql.h"
#include "sql/bound.h"

enum lam_code parser_init(struct parser *p, struct lam_slice text, struct arena *arena,
                          struct lam_error *err) {
    *p = (struct parser){.arena = arena};
    lexer_init(&p->lexer, text);
    return lexer_next(&p->lexer, &p->tok, err);
}

enum lam_code parser_next(struct parser *p, struct lam_error *err) {
    p->end = p->tok.offset + p->tok.size;
    return lexer_next(&p->lexer, &p->tok, err);
}

enum lam_code parser_peek(const struct parser *p, struct token *out, struct lam_error *err) {
    struct lexer ahead = p->lexer;
    return lexer_next(&ahead, out, err);
}

enum lam_code parser_accept(struct parser *p, enum token_kind kind, bool *taken,
                            struct lam_error *err) {
    *taken = p->tok.kind == kind;
    return *taken ? parser_next(p, err) : LAM_OK;
}

enum lam_code parser_accept_keyword(struct parser *p, enum keyword k, bool *taken,
                                    struct lam_error *err) {
    *taken = parser_at_keyword(p, k);
    return *taken ? parser_next(p, err) : LAM_OK;
}

/* Bytes of an offending token that a message shows. */
#define SHOWN_BYTES 60

static int shown_size(struct lam_slice s) {
    if (s.size <= SHOWN_BYTES)
        return (int)s.size;
    size_t n = SHOWN_BYTES;
    while (n > 0 && (s.data[n] & 0xC0) == 0x80)
        n--;
    return (int)n;
}

/* Hint when a name was written that is nearly the capital word that `what` starts with. */
static enum lam_code hint_keyword(struct parser *p, const char *what, enum lam_code rc,
                                  struct lam_error *err) {
    struct lam_slice name = SLICE_EMPTY, near, wanted[1];
    char lower[32];
    size_t n = 0;
    for (; what[n] && ((what[n] >= 'A' && what[n] <= 'Z') || what[n] == '_'); n++) {
        if (n + 1 >= sizeof lower)
            return rc;
        lower[n] = (char)(what[n] == '_' ? '_' : what[n] + 32);
    }
    if (n < 2 || p->tok.kind != TOK_NAME || token_name(&p->lexer, &p->tok, p->arena, &name, NULL))
        return rc;
    wanted[0] = lam_slice_of(lower, n);
    if (nearest_name(name, wanted, 1, &near))
        return error_hint(err, rc, "did you mean %.*s?", (int)n, what);
    return rc;
}

enum lam_code parser_fail(struct parser *p, const char *what, struct lam_error *err) {
    struct lam_slice text = token_text(&p->lexer, &p->tok);
    if (p->tok.kind == TOK_END)
        return ERR_SQL(err, "42601", p->tok.pos, "syntax error at end of statement: expected %s",
                       what);
    /* What is in quotes may be a password, and errors end in logs. The position tells which. */
    if (p->tok.kind == TOK_STRING || p->tok.kind == TOK_ESTRING)
        return ERR_SQL(err, "42601", p->tok.pos, "syntax error at a string: expected %s", what);
    const char *more = text.size > SHOWN_BYTES ? "..." : "";
    enum lam_code rc = ERR_SQL(err, "42601", p->tok.pos, "syntax error at \"%.*s%s\": expected %s",
                               shown_size(text), (const char *)text.data, more, what);
    return hint_keyword(p, what, rc, err);
}

enum lam_code parser_unsupported(uint32_t pos, const char *what, struct lam_error *err) {
    return ERR_SQL(err, "0A000", pos, "%s is not supported yet", what);
}

enum lam_code parser_expect(struct parser *p, enum token_kind kind, const char *what,
                            struct lam_error *err) {
    if (p->tok.kind != kind)
        return parser_fail(p, what, err);
    return parser_next(p, err);
}

enum lam_code parser_expect_keyword(struct parser *p, enum keyword k, struct lam_error *err) {
    if (!parser_at_keyword(p, k))
        return parser_fail(p, keyword_name(k), err);
    return parser_next(p, err);
}

enum lam_code parser_enter(struct parser *p, struct lam_error *err) {
    if (p->depth >= AST_DEPTH_MAX)
        return ERR_SQL(err, "54001", p->tok.pos, "statement is nested deeper than %d levels",
                       AST_DEPTH_MAX);
    p->depth++;
    return LAM_OK;
}

void parser_leave(struct parser *p) {
    LAM_ASSERT(p->depth > 0);
    p->depth--;
}

enum lam_code list_add(struct arena *arena, struct list *list, size_t elem, void **slot_out,
                       struct lam_error *err) {
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 4;
        void *items = arena_calloc(arena, capacity, elem);
        if (!items)
            return mem_fail(err, (size_t)capacity * elem);
        if (list->count)
            memcpy(items, list->items, (size_t)list->count * elem);
        list->items = items;
        list->capacity = capacity;
    }
    *slot_out = (uint8_t *)list->items + (size_t)list->count * elem;
    list->count++;
    return LAM_OK;
}

/* `namespace`: the word DEFAULT is a name too, that of the namespace every database has. */
static enum lam_code parse_some_name(struct parser *p, const char *what, bool namespace,
                                     struct lam_slice *out, uint32_t *pos_out,
                                     struct lam_error *err) {
    if (pos_out)
        *pos_out = p->tok.pos;
    bool reserved = p->tok.kind == TOK_NAME && keyword_class(p->tok.keyword) == KEYWORD_RESERVED &&
                    !(namespace && p->tok.keyword == KW_DEFAULT);
    if ((p->tok.kind != TOK_NAME && p->tok.kind != TOK_QUOTED) || reserved) {
        enum lam_code rc = parser_fail(p, what, err);
        if (reserved)
            return error_hint(err, rc, "%s is a reserved word: write \"%s\" in double quotes",
                              keyword_name(p->tok.keyword), "name");
        return rc;
    }
    TRY(token_name(&p->lexer, &p->tok, p->arena, out, err));
    return parser_next(p, err);
}

enum lam_code parse_name(struct parser *p, const char *what, struct lam_slice *out,
                         uint32_t *pos_out, struct lam_error *err) {
    return parse_some_name(p, what, false, out, pos_out, err);
}

enum lam_code parse_namespace(struct parser *p, struct lam_slice *out, uint32_t *pos_out,
                              struct lam_error *err) {
    return parse_some_name(p, "a namespace name", true, out, pos_out, err);
}

enum lam_code parse_string(struct parser *p, const char *what, struct lam_slice *out,
                           struct lam_error *err) {
    if (!token_is_string(&p->tok))
        return parser_fail(p, what, err);
    TRY(token_string(&p->lexer, &p->tok, p->arena, out, err));
    return parser_next(p, err);
}

enum lam_code parse_name_or_string(struct parser *p, const char *what, struct lam_slice *out,
                                   uint32_t *pos_out, struct lam_error *err) {
    if (!token_is_string(&p->tok))
        return parse_name(p, what, out, pos_out, err);
    if (pos_out)
        *pos_out = p->tok.pos;
    return parse_string(p, what, out, err);
}

enum lam_code parse_name_ref(struct parser *p, const char *what, struct name_ref *out,
                             struct lam_error *err) {
    *out = (struct name_ref){0};
    TRY(parse_some_name(p, what, true, &out->name, &out->pos, err));
    if (!parser_at(p, TOK_DOT))
        return LAM_OK;
    TRY(parser_next(p, err));
    out->namespace_name = out->name;
    return parse_name(p, what, &out->name, NULL, err);
}

enum lam_code parse_count(struct parser *p, const char *what, int64_t *out, struct lam_error *err) {
    if (!parser_at(p, TOK_INTEGER))
        return parser_fail(p, what, err);
    struct lam_slice text = token_text(&p->lexer, &p->tok);
    int64_t v = 0;
    for (size_t i = 0; i < text.size; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text.data[i] - '0', &v))
            return ERR_SQL(err, "22003", p->tok.pos, "%s is out of range: %.*s", what,
                           shown_size(text), (const char *)text.data);
    *out = v;
    return parser_next(p, err);
}

enum lam_code parse_if_not_exists(struct parser *p, bool *out, struct lam_error *err) {
    struct token ahead;
    *out = false;
    if (!parser_at_keyword(p, KW_IF))
        return LAM_OK;
    TRY(parser_peek(p, &ahead, err));
    if (ahead.keyword != KW_NOT)
        return LAM_OK;
    TRY(parser_next(p, err));
    TRY(parser_next(p, err));
    *out = true;
    return parser_expect_keyword(p, KW_EXISTS, err);
}

enum lam_code parse_if_exists(struct parser *p, bool *out, struct lam_error *err) {
    struct token ahead;
    *out = false;
    if (!parser_at_keyword(p, KW_IF))
        return LAM_OK;
    TRY(parser_peek(p, &ahead, err));
    if (ahead.keyword != KW_EXISTS)
        return LAM_OK;
    TRY(parser_next(p, err));
    *out = true;
    return parser_next(p, err);
}

enum lam_code parse_name_list(struct parser *p, const char *what, struct lam_slice **names_out,
                              uint32_t **pos_out, uint32_t *count_out, struct lam_error *err) {
    struct list names = {0}, positions = {0};
    bool more = true;
    TRY(parser_expect(p, TOK_LPAREN, "(", err));
    while (more) {
        void *name = NULL, *pos = NULL;
        TRY(list_add(p->arena, &names, sizeof(struct lam_slice), &name, err));
        TRY(list_add(p->arena, &positions, sizeof(uint32_t), &pos, err));
        TRY(parse_name(p, what, name, pos, err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    TRY(parser_expect(p, TOK_RPAREN, ", or )", err));
    *names_out = names.items;
    if (pos_out)
        *pos_out = positions.items;
    *count_out = names.count;
    return LAM_OK;
}

/* --- small statements --- */

static enum lam_code parse_inner(struct parser *p, struct stmt **out, struct lam_error *err);

static enum lam_code parse_explain(struct parser *p, struct stmt *s, struct lam_error *err) {
    s->kind = STMT_EXPLAIN;
    TRY(parser_next(p, err));
    TRY(parser_accept_keyword(p, KW_ANALYZE, &s->as.explain.analyze, err));
    TRY(parse_inner(p, &s->as.explain.inner, err));
    struct stmt *inner = s->as.explain.inner;
    const struct stmt *subject =
        inner->kind == STMT_EXECUTE_AS ? inner->as.execute_as.inner : inner;
    if (subject->kind > STMT_DELETE)
        return ERR_SQL(err, "42601", inner->pos,
                       "EXPLAIN takes a SELECT, INSERT, UPDATE or DELETE statement");
    return LAM_OK;
}

static enum lam_code parse_execute(struct parser *p, struct stmt *s, struct lam_error *err) {
    bool paren = false;
    s->kind = STMT_EXECUTE_AS;
    TRY(parser_next(p, err));
    TRY(parser_expect_keyword(p, KW_AS, err));
    TRY(parser_expect_keyword(p, KW_USER, err));
    TRY(parse_name_or_string(p, "a user name", &s->as.execute_as.user, &s->as.execute_as.user_pos,
                             err));
    TRY(parser_accept(p, TOK_LPAREN, &paren, err));
    TRY(parse_inner(p, &s->as.execute_as.inner, err));
    if (s->as.execute_as.inner->kind == STMT_EXECUTE_AS)
        return ERR_SQL(err, "42601", s->as.execute_as.inner->pos,
                       "EXECUTE AS USER can't be inside another");
    bool semicolon = false;
    if (paren)
        TRY(parser_accept(p, TOK_SEMICOLON, &semicolon, err));
    return paren ? parser_expect(p, TOK_RPAREN, ") after the statement", err) : LAM_OK;
}

static enum lam_code parse_show(struct parser *p, struct stmt *s, struct lam_error *err) {
    static const struct {
        enum keyword word;
        enum show_kind kind;
    } kinds[] = {
        {KW_TABLES, SHOW_TABLES},   {KW_NAMESPACES, SHOW_NAMESPACES}, {KW_SCHEMAS, SHOW_NAMESPACES},
        {KW_JOBS, SHOW_JOBS},       {KW_USERS, SHOW_USERS},           {KW_STORAGES, SHOW_STORAGES},
        {KW_INDEXES, SHOW_INDEXES},
    };
    s->kind = STMT_SHOW;
    TRY(parser_next(p, err));
    size_t i = 0, n = sizeof kinds / sizeof kinds[0];
    while (i < n && !parser_at_keyword(p, kinds[i].word))
        i++;
    if (i == n)
        return parser_fail(p, "TABLES, NAMESPACES, INDEXES, JOBS, USERS or STORAGES", err);
    s->as.show.kind = kinds[i].kind;
    TRY(parser_next(p, err));
    if (s->as.show.kind != SHOW_TABLES && s->as.show.kind != SHOW_INDEXES)
        return LAM_OK;
    if (!parser_at_keyword(p, KW_IN) && !parser_at_keyword(p, KW_FROM))
        return LAM_OK;
    TRY(parser_next(p, err));
    bool word = false;
    struct token ahead;
    if (parser_at_keyword(p, KW_NAMESPACE) || parser_at_keyword(p, KW_SCHEMA)) {
        TRY(parser_peek(p, &ahead, err));
        word = ahead.kind == TOK_NAME || ahead.kind == TOK_QUOTED;
    }
    if (word)
        TRY(parser_next(p, err));
    return parse_namespace(p, &s->as.show.namespace_name, NULL, err);
}

static enum lam_code parse_describe(struct parser *p, struct stmt *s, struct lam_error *err) {
    bool word = false;
    s->kind = STMT_DESCRIBE;
    TRY(parser_next(p, err));
    TRY(parser_accept_keyword(p, KW_TABLE, &word, err));
    return parse_name_ref(p, "a table name", &s->as.target, err);
}

static enum lam_code parse_use(struct parser *p, struct stmt *s, struct lam_error *err) {
    struct token ahead;
    s->kind = STMT_USE;
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_NAMESPACE) || parser_at_keyword(p, KW_SCHEMA)) {
        TRY(parser_peek(p, &ahead, err));
        if (ahead.kind == TOK_NAME || ahead.kind == TOK_QUOTED)
            TRY(parser_next(p, err));
    }
    return parse_namespace(p, &s->as.target.name, &s->as.target.pos, err);
}

static enum lam_code parse_storage(struct parser *p, struct stmt *s, struct lam_error *err) {
    bool all = false;
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_COMPACT))
        return parser_unsupported(p->tok.pos, "STORAGE COMPACT", err);
    TRY(parser_expect_keyword(p, KW_FLUSH, err));
    TRY(parser_accept_keyword(p, KW_ALL, &all, err));
    s->kind = all ? STMT_FLUSH_ALL : STMT_FLUSH_TABLE;
    if (all)
        return LAM_OK;
    if (!parser_at_keyword(p, KW_TABLE))
        return parser_fail(p, "TABLE or ALL", err);
    TRY(parser_next(p, err));
    return parse_name_ref(p, "a table name", &s->as.target, err);
}

/* Statements that the dialect knows and this library does not do yet. */
static enum lam_code refuse_statement(struct parser *p, struct lam_error *err) {
    enum keyword k = p->tok.keyword;
    if (k == KW_BEGIN || k == KW_START || k == KW_COMMIT || k == KW_ROLLBACK || k == KW_SAVEPOINT ||
        k == KW_END) {
        enum lam_code rc = ERR_SQL(err, "0A000", p->tok.pos,
                                   "transactions over several statements (%s) are not supported "
                                   "yet",
                                   keyword_name(k));
        return error_hint(err, rc, "each statement is atomic by itself");
    }
    if (k == KW_WITH)
        return parser_unsupported(p->tok.pos, "WITH", err);
    if (k == KW_VALUES)
        return parser_unsupported(p->tok.pos, "VALUES as a statement", err);
    if (k == KW_COPY || k == KW_KILL || k == KW_TABLE || k == KW_SET)
        return parser_unsupported(p->tok.pos, keyword_name(k), err);
    if (p->tok.kind == TOK_LPAREN)
        return parser_unsupported(p->tok.pos, "a parenthesized query", err);
    return LAM_OK;
}

/* The keyword a misspelt statement may have meant, as a hint. */
static enum lam_code fail_statement(struct parser *p, struct lam_error *err) {
    static const char *const words[] = {"select",  "insert",  "update", "delete", "create",
                                        "drop",    "alter",   "show",   "use",    "describe",
                                        "explain", "execute", "storage"};
    enum { WORDS = sizeof words / sizeof words[0] };
    struct lam_slice names[WORDS], name, near;
    enum lam_code rc = parser_fail(p, "a statement", err);
    for (size_t i = 0; i < WORDS; i++)
        names[i] = lam_slice_str(words[i]);
    if (p->tok.kind == TOK_NAME && !token_name(&p->lexer, &p->tok, p->arena, &name, NULL) &&
        nearest_name(name, names, WORDS, &near))
        return error_hint(err, rc, "did you mean %.*s?", (int)near.size, (const char *)near.data);
    return rc;
}

static enum lam_code parse_any(struct parser *p, struct stmt *s, struct lam_error *err) {
    TRY(refuse_statement(p, err));
    switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_SELECT:
        s->kind = STMT_SELECT;
        return parse_select(p, &s->as.select, err);
    case KW_INSERT:
        return parse_insert(p, s, err);
    case KW_UPDATE:
        return parse_update(p, s, err);
    case KW_DELETE:
        return parse_delete(p, s, err);
    case KW_CREATE:
        return parse_create(p, s, err);
    case KW_DROP:
        return parse_drop(p, s, err);
    case KW_ALTER:
        return parse_alter(p, s, err);
    case KW_EXPLAIN:
        return parse_explain(p, s, err);
    case KW_SHOW:
        return parse_show(p, s, err);
    case KW_DESCRIBE:
    case KW_DESC:
        return parse_describe(p, s, err);
    case KW_USE:
        return parse_use(p, s, err);
    case KW_STORAGE:
        return parse_storage(p, s, err);
    case KW_EXECUTE:
        return parse_execute(p, s, err);
    default:
        return fail_statement(p, err);
    }
}

static enum lam_code parse_inner(struct parser *p, struct stmt **out, struct lam_error *err) {
    struct stmt *s = arena_alloc(p->arena, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->pos = p->tok.pos;
    TRY(parser_enter(p, err));
    TRY(parse_any(p, s, err));
    parser_leave(p);
    s->parameter_count = p->parameter_count;
    *out = s;
    return LAM_OK;
}

enum lam_code parse_statement(struct lam_slice sql, struct arena *arena, struct stmt **stmt_out,
                              size_t *tail_out, struct lam_error *err) {
    struct parser p;
    bool semicolon = true;
    *stmt_out = NULL;
    if (sql.size > LAM_SQL_TEXT_MAX)
        return ERR_SQL(err, "54000", 0, "SQL text has %zu bytes, at most %u are allowed", sql.size,
                       LAM_SQL_TEXT_MAX);
    TRY(parser_init(&p, sql, arena, err));
    while (semicolon)
        TRY(parser_accept(&p, TOK_SEMICOLON, &semicolon, err));
    if (!parser_at(&p, TOK_END)) {
        TRY(parse_inner(&p, stmt_out, err));
        if (!parser_at(&p, TOK_SEMICOLON) && !parser_at(&p, TOK_END))
            return parser_fail(&p, "; or the end of the statement", err);
        p.end = p.tok.offset + p.tok.size;
    } else {
        p.end = sql.size;
    }
    if (tail_out)
        *tail_out = p.end;
    return LAM_OK;
}

enum lam_code parse_expression(struct lam_slice text, struct arena *arena, struct expr **expr_out,
                               struct lam_error *err) {
    struct parser p;
    TRY(parser_init(&p, text, arena, err));
    TRY(parse_expr(&p, expr_out, err));
    return parser_at(&p, TOK_END) ? LAM_OK : parser_fail(&p, "the end of the expression", err);
}
