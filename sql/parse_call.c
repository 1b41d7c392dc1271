/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls, and the forms of SQL that are calls written otherwise: extract, substring, position, trim,
 * CURRENT_USER. They come out as plain calls. */
#include "sql/parse.h"

#include "base/assert.h"

static enum lam_code new_call(struct parser *p, const char *name, uint32_t pos, struct expr **out,
                              struct lam_error *err) {
    TRY(expr_new(p, EXPR_CALL, pos, out, err));
    (*out)->name = lam_slice_str(name);
    return LAM_OK;
}

enum lam_code parse_args(struct parser *p, struct list *args, struct lam_error *err) {
    bool more = true;
    while (more) {
        struct expr *e = NULL;
        TRY(parse_expr(p, &e, err));
        TRY(expr_list_add(p, args, e, err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    return parser_expect(p, TOK_RPAREN, ", or )", err);
}

enum lam_code parse_arg(struct parser *p, struct list *args, struct lam_error *err) {
    struct expr *e = NULL;
    TRY(parse_expr(p, &e, err));
    return expr_list_add(p, args, e, err);
}

/* extract(field FROM x), after the parenthesis. */
static enum lam_code parse_extract(struct parser *p, struct list *args, struct lam_error *err) {
    struct token ahead;
    TRY(parser_peek(p, &ahead, err));
    if (ahead.keyword != KW_FROM || ahead.kind != TOK_NAME)
        return parse_args(p, args, err);
    struct expr *field = NULL;
    struct lam_slice text = SLICE_EMPTY;
    TRY(expr_new(p, EXPR_LITERAL, p->tok.pos, &field, err));
    TRY(parse_name_or_string(p, "a field (year, month, day ...)", &text, NULL, err));
    field->literal = value_bytes(LAM_TYPE_TEXT, text);
    field->untyped = true;
    TRY(expr_list_add(p, args, field, err));
    TRY(parser_next(p, err));
    return parse_args(p, args, err);
}

/* substring(x FROM a [FOR b]), substring(x FOR b), substring(x, a, b). */
static enum lam_code parse_substring(struct parser *p, struct list *args, struct lam_error *err) {
    TRY(parse_arg(p, args, err));
    bool from = parser_at_keyword(p, KW_FROM);
    if (!from && !parser_at_keyword(p, KW_FOR)) {
        if (parser_at(p, TOK_RPAREN))
            return parser_next(p, err);
        TRY(parser_expect(p, TOK_COMMA, ", or FROM", err));
        return parse_args(p, args, err);
    }
    if (from) {
        TRY(parser_next(p, err));
        TRY(parse_arg(p, args, err));
    } else {
        struct expr *one = NULL;
        TRY(expr_new(p, EXPR_LITERAL, p->tok.pos, &one, err));
        one->literal = value_i64(LAM_TYPE_BIGINT, 1);
        TRY(expr_list_add(p, args, one, err));
    }
    bool length = false;
    TRY(parser_accept_keyword(p, KW_FOR, &length, err));
    if (length)
        TRY(parse_arg(p, args, err));
    return parser_expect(p, TOK_RPAREN, ")", err);
}

/* position(x IN y), position(x, y): the first argument stops before IN. */
static enum lam_code parse_position(struct parser *p, struct list *args, struct lam_error *err) {
    struct expr *e = NULL;
    TRY(parse_level(p, LEVEL_OTHER, &e, err));
    TRY(expr_list_add(p, args, e, err));
    if (parser_at_keyword(p, KW_IN))
        TRY(parser_next(p, err));
    else
        TRY(parser_expect(p, TOK_COMMA, "IN or ,", err));
    return parse_args(p, args, err);
}

/* trim([BOTH|LEADING|TRAILING] [chars] [FROM] x) and trim(x, chars). */
static enum lam_code parse_trim(struct parser *p, struct expr *call, struct list *args,
                                struct lam_error *err) {
    static const struct {
        enum keyword word;
        const char *name;
    } sides[] = {{KW_BOTH, "btrim"}, {KW_LEADING, "ltrim"}, {KW_TRAILING, "rtrim"}};
    struct token ahead;
    bool side = false, from = false;
    TRY(parser_peek(p, &ahead, err));
    for (size_t i = 0; i < 3 && !side; i++)
        if (parser_at_keyword(p, sides[i].word) && ahead.kind != TOK_RPAREN &&
            ahead.kind != TOK_COMMA && ahead.kind != TOK_DOT) {
            call->name = lam_slice_str(sides[i].name);
            side = true;
        }
    if (side)
        TRY(parser_next(p, err));
    if (side)
        TRY(parser_accept_keyword(p, KW_FROM, &from, err));
    if (from)
        return parse_args(p, args, err);
    TRY(parse_arg(p, args, err));
    TRY(parser_accept_keyword(p, KW_FROM, &from, err));
    if (from) {
        if (!side)
            call->name = lam_slice_str("btrim");
        struct expr *chars = ((struct expr **)args->items)[0], *text = NULL;
        TRY(parse_expr(p, &text, err));
        ((struct expr **)args->items)[0] = text;
        TRY(expr_list_add(p, args, chars, err));
        return parser_expect(p, TOK_RPAREN, ")", err);
    }
    bool comma = false;
    TRY(parser_accept(p, TOK_COMMA, &comma, err));
    return comma ? parse_args(p, args, err) : parser_expect(p, TOK_RPAREN, ")", err);
}

static enum lam_code parse_call_end(struct parser *p, struct expr *call, struct lam_error *err) {
    struct token ahead;
    if (parser_at_keyword(p, KW_FILTER)) {
        TRY(parser_peek(p, &ahead, err));
        if (ahead.kind == TOK_LPAREN) {
            TRY(parser_next(p, err));
            TRY(parser_next(p, err));
            TRY(parser_expect_keyword(p, KW_WHERE, err));
            TRY(parse_expr(p, &call->right, err));
            TRY(parser_expect(p, TOK_RPAREN, ")", err));
        }
    }
    if (parser_at_keyword(p, KW_OVER)) {
        TRY(parser_peek(p, &ahead, err));
        if (ahead.kind == TOK_LPAREN || ahead.kind == TOK_NAME || ahead.kind == TOK_QUOTED)
            return parser_unsupported(p->tok.pos, "a window function", err);
    }
    return expr_finish(call, err);
}

static enum lam_code parse_plain_args(struct parser *p, struct expr *call, struct list *args,
                                      struct lam_error *err) {
    bool taken = false;
    if (parser_at(p, TOK_STAR)) {
        struct expr *star = NULL;
        TRY(expr_new(p, EXPR_STAR, p->tok.pos, &star, err));
        TRY(expr_list_add(p, args, star, err));
        TRY(parser_next(p, err));
        return parser_expect(p, TOK_RPAREN, ")", err);
    }
    TRY(parser_accept(p, TOK_RPAREN, &taken, err));
    if (taken)
        return LAM_OK;
    TRY(parser_accept_keyword(p, KW_DISTINCT, &call->distinct, err));
    if (!call->distinct)
        TRY(parser_accept_keyword(p, KW_ALL, &taken, err));
    bool more = true;
    while (more) {
        TRY(parse_arg(p, args, err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    if (parser_at_keyword(p, KW_ORDER))
        return parser_unsupported(p->tok.pos, "ORDER BY inside a call", err);
    return parser_expect(p, TOK_RPAREN, ", or )", err);
}

enum lam_code parse_call(struct parser *p, struct lam_slice name, uint32_t pos, struct expr **out,
                         struct lam_error *err) {
    struct list args = {0};
    struct expr *call = NULL;
    TRY(expr_new(p, EXPR_CALL, pos, &call, err));
    call->name = name;
    TRY(parser_next(p, err));
    if (slice_eq_str(name, "extract") && !parser_at(p, TOK_RPAREN))
        TRY(parse_extract(p, &args, err));
    else if (slice_eq_str(name, "substring") && !parser_at(p, TOK_RPAREN))
        TRY(parse_substring(p, &args, err));
    else if (slice_eq_str(name, "position") && !parser_at(p, TOK_RPAREN))
        TRY(parse_position(p, &args, err));
    else if (slice_eq_str(name, "trim") && !parser_at(p, TOK_RPAREN))
        TRY(parse_trim(p, call, &args, err));
    else
        TRY(parse_plain_args(p, call, &args, err));
    expr_set_args(call, &args);
    *out = call;
    return parse_call_end(p, call, err);
}

enum lam_code parse_niladic(struct parser *p, const char *name, struct expr **out,
                            struct lam_error *err) {
    bool paren = false;
    TRY(new_call(p, name, p->tok.pos, out, err));
    TRY(parser_next(p, err));
    TRY(parser_accept(p, TOK_LPAREN, &paren, err));
    return paren ? parser_expect(p, TOK_RPAREN, ")", err) : LAM_OK;
}
