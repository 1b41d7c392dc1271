/* SPDX-License-Identifier: Apache-2.0
 *
 * SELECT over one table or none. Joins, set operations, subqueries and the like are refused by name
 * where they stand. */
#include "sql/parse.h"

#include "base/assert.h"
#include "sql/bound.h"

/* A misspelt FROM or WHERE reads as an alias with a stray word behind it: blame the right one. */
static enum lam_code check_alias(struct parser *p, const char *const *words,
                                 struct lam_error *err) {
    struct token ahead;
    struct lam_slice name, near;
    if (p->tok.kind != TOK_NAME)
        return LAM_OK;
    TRY(parser_peek(p, &ahead, err));
    bool ends = ahead.kind != TOK_NAME && ahead.kind != TOK_QUOTED && ahead.kind != TOK_INTEGER &&
                ahead.kind != TOK_STRING;
    if (ends || (ahead.keyword && keyword_class(ahead.keyword) != KEYWORD_FREE))
        return LAM_OK;
    TRY(token_name(&p->lexer, &p->tok, p->arena, &name, err));
    for (; *words; words++) {
        char lower[16];
        size_t n = strlen(*words);
        LAM_ASSERT(n < sizeof lower);
        for (size_t i = 0; i < n; i++)
            lower[i] = (char)((*words)[i] | 32);
        struct lam_slice wanted = lam_slice_of(lower, n);
        if (nearest_name(name, &wanted, 1, &near))
            return parser_fail(p, *words, err);
    }
    return LAM_OK;
}

static const char *const words_after_item[] = {"FROM", NULL};
static const char *const words_after_table[] = {"WHERE", "ORDER", "GROUP", "LIMIT", "HAVING", NULL};

static enum lam_code parse_alias(struct parser *p, const char *const *words, struct lam_slice *out,
                                 struct lam_error *err) {
    bool as = false;
    TRY(parser_accept_keyword(p, KW_AS, &as, err));
    if (as) {
        /* Behind AS even a reserved word is a name: there is no other reading. */
        if (p->tok.kind != TOK_NAME && p->tok.kind != TOK_QUOTED)
            return parser_fail(p, "an alias", err);
        TRY(token_name(&p->lexer, &p->tok, p->arena, out, err));
        return parser_next(p, err);
    }
    bool bare = p->tok.kind == TOK_QUOTED ||
                (p->tok.kind == TOK_NAME && keyword_class(p->tok.keyword) == KEYWORD_FREE);
    if (!bare)
        return LAM_OK;
    TRY(check_alias(p, words, err));
    return parse_name(p, "an alias", out, NULL, err);
}

static enum lam_code parse_item(struct parser *p, struct select_item *item, struct lam_error *err) {
    if (parser_at(p, TOK_STAR)) {
        struct expr *star = arena_alloc(p->arena, sizeof *star);
        if (!star)
            return mem_fail(err, sizeof *star);
        star->kind = EXPR_STAR;
        star->pos = p->tok.pos;
        star->height = 1;
        item->expr = star;
        return parser_next(p, err);
    }
    TRY(parse_expr(p, &item->expr, err));
    return item->expr->kind == EXPR_STAR ? LAM_OK
                                         : parse_alias(p, words_after_item, &item->alias, err);
}

/* `count` entries are too many already. */
static enum lam_code check_room(const struct parser *p, uint32_t count, const char *what,
                                struct lam_error *err) {
    if (count <= SELECT_LIST_MAX)
        return LAM_OK;
    return ERR_SQL(err, "54011", p->tok.pos, "%s has at most %d entries", what, SELECT_LIST_MAX);
}

enum lam_code parse_select_items(struct parser *p, struct select_item **items_out,
                                 uint32_t *count_out, struct lam_error *err) {
    struct list items = {0};
    bool more = true;
    while (more) {
        struct select_item item = {0};
        void *slot;
        TRY(parse_item(p, &item, err));
        TRY(list_add(p->arena, &items, sizeof item, &slot, err));
        *(struct select_item *)slot = item;
        TRY(check_room(p, items.count, "a select list", err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    *items_out = items.items;
    *count_out = items.count;
    return LAM_OK;
}

/* Refuses what may follow a FROM entry and is not done yet. */
static enum lam_code refuse_join(struct parser *p, struct lam_error *err) {
    switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_JOIN:
    case KW_INNER:
    case KW_LEFT:
    case KW_RIGHT:
    case KW_FULL:
    case KW_CROSS:
    case KW_NATURAL:
        return parser_unsupported(p->tok.pos, "a JOIN", err);
    default:
        break;
    }
    if (parser_at(p, TOK_COMMA))
        return parser_unsupported(p->tok.pos, "a list of tables in FROM", err);
    return LAM_OK;
}

static enum lam_code parse_from(struct parser *p, struct select_stmt *s, struct lam_error *err) {
    bool from = false;
    TRY(parser_accept_keyword(p, KW_FROM, &from, err));
    if (!from)
        return LAM_OK;
    if (parser_at(p, TOK_LPAREN))
        return parser_unsupported(p->tok.pos, "a subquery in FROM", err);
    if (parser_at_keyword(p, KW_LATERAL))
        return parser_unsupported(p->tok.pos, "LATERAL", err);
    s->from = arena_alloc(p->arena, sizeof *s->from);
    if (!s->from)
        return mem_fail(err, sizeof *s->from);
    TRY(parse_name_ref(p, "a table name", &s->from->table, err));
    if (parser_at(p, TOK_LPAREN))
        return parser_unsupported(p->tok.pos, "a table function", err);
    TRY(refuse_join(p, err));
    TRY(parse_alias(p, words_after_table, &s->from->alias, err));
    if (parser_at(p, TOK_LPAREN) && s->from->alias.size)
        return parser_unsupported(p->tok.pos, "a list of column aliases", err);
    return refuse_join(p, err);
}

static enum lam_code parse_group(struct parser *p, struct select_stmt *s, struct lam_error *err) {
    struct list group = {0};
    bool more = false;
    TRY(parser_accept_keyword(p, KW_GROUP, &more, err));
    if (!more)
        return LAM_OK;
    TRY(parser_expect_keyword(p, KW_BY, err));
    while (more) {
        void *slot;
        struct expr *e = NULL;
        TRY(parse_expr(p, &e, err));
        TRY(list_add(p->arena, &group, sizeof e, &slot, err));
        *(struct expr **)slot = e;
        TRY(check_room(p, group.count, "GROUP BY", err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    s->group = group.items;
    s->group_count = group.count;
    return LAM_OK;
}

static enum lam_code parse_order_item(struct parser *p, struct order_item *item,
                                      struct lam_error *err) {
    bool asc = false, nulls = false;
    TRY(parse_expr(p, &item->expr, err));
    TRY(parser_accept_keyword(p, KW_DESC, &item->descending, err));
    if (!item->descending)
        TRY(parser_accept_keyword(p, KW_ASC, &asc, err));
    item->nulls_first = item->descending;
    TRY(parser_accept_keyword(p, KW_NULLS, &nulls, err));
    if (!nulls)
        return LAM_OK;
    if (!parser_at_keyword(p, KW_FIRST) && !parser_at_keyword(p, KW_LAST))
        return parser_fail(p, "FIRST or LAST", err);
    item->nulls_first = parser_at_keyword(p, KW_FIRST);
    return parser_next(p, err);
}

static enum lam_code parse_order(struct parser *p, struct select_stmt *s, struct lam_error *err) {
    struct list order = {0};
    bool more = false;
    TRY(parser_accept_keyword(p, KW_ORDER, &more, err));
    if (!more)
        return LAM_OK;
    TRY(parser_expect_keyword(p, KW_BY, err));
    while (more) {
        struct order_item item = {0};
        void *slot;
        TRY(parse_order_item(p, &item, err));
        TRY(list_add(p->arena, &order, sizeof item, &slot, err));
        *(struct order_item *)slot = item;
        TRY(check_room(p, order.count, "ORDER BY", err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    s->order = order.items;
    s->order_count = order.count;
    return LAM_OK;
}

/* FETCH {FIRST|NEXT} [n] {ROW|ROWS} ONLY. */
static enum lam_code parse_fetch(struct parser *p, struct select_stmt *s, struct lam_error *err) {
    TRY(parser_next(p, err));
    if (!parser_at_keyword(p, KW_FIRST) && !parser_at_keyword(p, KW_NEXT))
        return parser_fail(p, "FIRST or NEXT", err);
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_ROW) || parser_at_keyword(p, KW_ROWS)) {
        s->limit = arena_alloc(p->arena, sizeof *s->limit);
        if (!s->limit)
            return mem_fail(err, sizeof *s->limit);
        s->limit->kind = EXPR_LITERAL;
        s->limit->height = 1;
        s->limit->pos = p->tok.pos;
        s->limit->literal = value_i64(LAM_TYPE_BIGINT, 1);
    } else {
        TRY(parse_expr(p, &s->limit, err));
    }
    if (!parser_at_keyword(p, KW_ROW) && !parser_at_keyword(p, KW_ROWS))
        return parser_fail(p, "ROW or ROWS", err);
    TRY(parser_next(p, err));
    return parser_expect_keyword(p, KW_ONLY, err);
}

static enum lam_code parse_limit(struct parser *p, struct select_stmt *s, struct lam_error *err) {
    bool all = false;
    for (;;) {
        if (parser_at_keyword(p, KW_LIMIT) && !s->limit && !all) {
            TRY(parser_next(p, err));
            TRY(parser_accept_keyword(p, KW_ALL, &all, err));
            if (!all)
                TRY(parse_expr(p, &s->limit, err));
            if (parser_at(p, TOK_COMMA)) {
                enum lam_code rc = parser_fail(p, "LIMIT n OFFSET m", err);
                return error_hint(err, rc, "write LIMIT count OFFSET start");
            }
        } else if (parser_at_keyword(p, KW_OFFSET) && !s->offset) {
            TRY(parser_next(p, err));
            TRY(parse_expr(p, &s->offset, err));
            if (parser_at_keyword(p, KW_ROW) || parser_at_keyword(p, KW_ROWS))
                TRY(parser_next(p, err));
        } else if (parser_at_keyword(p, KW_FETCH) && !s->limit && !all) {
            TRY(parse_fetch(p, s, err));
        } else {
            return LAM_OK;
        }
    }
}

static enum lam_code refuse_tail(struct parser *p, struct lam_error *err) {
    switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_UNION:
    case KW_EXCEPT:
    case KW_INTERSECT:
    case KW_WINDOW:
        return parser_unsupported(p->tok.pos, keyword_name(p->tok.keyword), err);
    case KW_FOR:
        return parser_unsupported(p->tok.pos, "FOR UPDATE or FOR SHARE", err);
    case KW_INTO:
        return parser_unsupported(p->tok.pos, "SELECT INTO", err);
    default:
        return LAM_OK;
    }
}

static enum lam_code parse_distinct(struct parser *p, struct select_stmt *s,
                                    struct lam_error *err) {
    bool all = false;
    TRY(parser_accept_keyword(p, KW_DISTINCT, &s->distinct, err));
    if (s->distinct && parser_at_keyword(p, KW_ON))
        return parser_unsupported(p->tok.pos, "DISTINCT ON", err);
    if (!s->distinct)
        TRY(parser_accept_keyword(p, KW_ALL, &all, err));
    return LAM_OK;
}

enum lam_code parse_select(struct parser *p, struct select_stmt **out, struct lam_error *err) {
    struct select_stmt *s = arena_alloc(p->arena, sizeof *s);
    bool taken = false;
    if (!s)
        return mem_fail(err, sizeof *s);
    *out = s;
    s->pos = p->tok.pos;
    TRY(parser_expect_keyword(p, KW_SELECT, err));
    TRY(parse_distinct(p, s, err));
    TRY(parse_select_items(p, &s->items, &s->item_count, err));
    TRY(refuse_tail(p, err));
    if (p->tok.kind == TOK_NAME && !parser_at_keyword(p, KW_FROM) &&
        keyword_class(p->tok.keyword) != KEYWORD_RESERVED)
        return parser_fail(p, "FROM", err);
    TRY(parse_from(p, s, err));
    TRY(parser_accept_keyword(p, KW_WHERE, &taken, err));
    if (taken)
        TRY(parse_expr(p, &s->where, err));
    TRY(parse_group(p, s, err));
    TRY(parser_accept_keyword(p, KW_HAVING, &taken, err));
    if (taken)
        TRY(parse_expr(p, &s->having, err));
    TRY(refuse_tail(p, err));
    TRY(parse_order(p, s, err));
    TRY(parse_limit(p, s, err));
    return refuse_tail(p, err);
}
