/* SPDX-License-Identifier: Apache-2.0
 *
 * INSERT, UPDATE and DELETE with RETURNING. */
#include "sql/parse.h"

#include "base/assert.h"

static enum lam_code parse_returning(struct parser *p, struct select_item **items_out,
                                     uint32_t *count_out, struct lam_error *err) {
    bool taken = false;
    TRY(parser_accept_keyword(p, KW_RETURNING, &taken, err));
    return taken ? parse_select_items(p, items_out, count_out, err) : LAM_OK;
}

/* [AS] alias of an UPDATE's or DELETE's table. */
static enum lam_code parse_table_alias(struct parser *p, struct lam_slice *out,
                                       struct lam_error *err) {
    bool as = false;
    TRY(parser_accept_keyword(p, KW_AS, &as, err));
    bool bare = p->tok.kind == TOK_QUOTED ||
                (p->tok.kind == TOK_NAME && keyword_class(p->tok.keyword) == KEYWORD_FREE);
    return as || bare ? parse_name(p, "an alias", out, NULL, err) : LAM_OK;
}

/* An expression or DEFAULT (NULL). */
static enum lam_code parse_value(struct parser *p, struct expr **out, struct lam_error *err) {
    *out = NULL;
    if (parser_at_keyword(p, KW_DEFAULT))
        return parser_next(p, err);
    return parse_expr(p, out, err);
}

static enum lam_code parse_row(struct parser *p, struct insert_stmt *s, struct expr ***row_out,
                               struct lam_error *err) {
    struct list row = {.capacity = 0};
    uint32_t pos = p->tok.pos;
    bool more = true;
    if (s->row_width) {
        row.items = arena_calloc(p->arena, s->row_width, sizeof(struct expr *));
        row.capacity = s->row_width;
        if (!row.items)
            return mem_fail(err, s->row_width * sizeof(struct expr *));
    }
    TRY(parser_expect(p, TOK_LPAREN, "( and a row of values", err));
    while (more) {
        void *slot;
        struct expr *e = NULL;
        TRY(parse_value(p, &e, err));
        TRY(list_add(p->arena, &row, sizeof e, &slot, err));
        *(struct expr **)slot = e;
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    TRY(parser_expect(p, TOK_RPAREN, ", or )", err));
    if (s->row_width && row.count != s->row_width)
        return ERR_SQL(err, "42601", pos,
                       "VALUES rows must all be of the same length: this one has %u values, the "
                       "first %u",
                       row.count, s->row_width);
    s->row_width = row.count;
    *row_out = row.items;
    return LAM_OK;
}

static enum lam_code parse_rows(struct parser *p, struct insert_stmt *s, struct lam_error *err) {
    struct list rows = {0};
    bool more = true;
    while (more) {
        void *slot;
        struct expr **row = NULL;
        TRY(parse_row(p, s, &row, err));
        TRY(list_add(p->arena, &rows, sizeof row, &slot, err));
        *(struct expr ***)slot = row;
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    s->rows = rows.items;
    s->row_count = rows.count;
    return LAM_OK;
}

static enum lam_code parse_source(struct parser *p, struct insert_stmt *s, struct lam_error *err) {
    if (parser_at_keyword(p, KW_VALUES)) {
        TRY(parser_next(p, err));
        return parse_rows(p, s, err);
    }
    if (parser_at_keyword(p, KW_DEFAULT)) {
        TRY(parser_next(p, err));
        s->default_values = true;
        return parser_expect_keyword(p, KW_VALUES, err);
    }
    if (parser_at_keyword(p, KW_SELECT))
        return parse_select(p, &s->select, err);
    if (parser_at_keyword(p, KW_WITH))
        return parser_unsupported(p->tok.pos, "WITH", err);
    return parser_fail(p, "VALUES, SELECT or DEFAULT VALUES", err);
}

/* column = value, ... */
static enum lam_code parse_assignments(struct parser *p, struct assignment **set_out,
                                       uint32_t *count_out, struct lam_error *err) {
    struct list set = {0};
    bool more = true;
    while (more) {
        struct assignment a = {0};
        void *slot;
        if (parser_at(p, TOK_LPAREN))
            return parser_unsupported(p->tok.pos, "SET (a, b) = (...)", err);
        TRY(parse_name(p, "a column name", &a.column, &a.pos, err));
        if (parser_at(p, TOK_DOT))
            return ERR_SQL(err, "42601", p->tok.pos, "a column to set is named without its table");
        TRY(parser_expect(p, TOK_EQ, "=", err));
        TRY(parse_value(p, &a.value, err));
        TRY(list_add(p->arena, &set, sizeof a, &slot, err));
        *(struct assignment *)slot = a;
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    *set_out = set.items;
    *count_out = set.count;
    return LAM_OK;
}

static enum lam_code parse_conflict(struct parser *p, struct insert_stmt *s,
                                    struct lam_error *err) {
    bool taken = false;
    TRY(parser_accept_keyword(p, KW_ON, &taken, err));
    if (!taken)
        return LAM_OK;
    uint32_t pos = p->tok.pos;
    TRY(parser_expect_keyword(p, KW_CONFLICT, err));
    if (parser_at_keyword(p, KW_ON))
        return parser_unsupported(p->tok.pos, "ON CONFLICT ON CONSTRAINT", err);
    if (parser_at(p, TOK_LPAREN))
        TRY(parse_name_list(p, "a column name", &s->conflict_columns, NULL,
                            &s->conflict_column_count, err));
    TRY(parser_expect_keyword(p, KW_DO, err));
    TRY(parser_accept_keyword(p, KW_NOTHING, &taken, err));
    if (taken) {
        s->on_conflict = CONFLICT_NOTHING;
        return LAM_OK;
    }
    if (!parser_at_keyword(p, KW_UPDATE))
        return parser_fail(p, "NOTHING or UPDATE", err);
    TRY(parser_next(p, err));
    if (s->conflict_column_count == 0)
        return ERR_SQL(err, "42601", pos,
                       "ON CONFLICT DO UPDATE needs the columns: ON CONFLICT "
                       "(...) DO UPDATE");
    s->on_conflict = CONFLICT_UPDATE;
    TRY(parser_expect_keyword(p, KW_SET, err));
    TRY(parse_assignments(p, &s->conflict_set, &s->conflict_set_count, err));
    TRY(parser_accept_keyword(p, KW_WHERE, &taken, err));
    return taken ? parse_expr(p, &s->conflict_where, err) : LAM_OK;
}

enum lam_code parse_insert(struct parser *p, struct stmt *stmt, struct lam_error *err) {
    struct insert_stmt *s = arena_alloc(p->arena, sizeof *s);
    bool as = false;
    if (!s)
        return mem_fail(err, sizeof *s);
    stmt->kind = STMT_INSERT;
    stmt->as.insert = s;
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_OR))
        return parser_unsupported(p->tok.pos, "INSERT OR ...", err);
    TRY(parser_expect_keyword(p, KW_INTO, err));
    TRY(parse_name_ref(p, "a table name", &s->table, err));
    TRY(parser_accept_keyword(p, KW_AS, &as, err));
    if (as)
        TRY(parse_name(p, "an alias", &s->alias, NULL, err));
    if (parser_at(p, TOK_LPAREN)) {
        struct token ahead;
        TRY(parser_peek(p, &ahead, err));
        if (ahead.kind == TOK_NAME && ahead.keyword == KW_SELECT)
            return parser_unsupported(p->tok.pos, "a parenthesized query", err);
        TRY(parse_name_list(p, "a column name", &s->columns, &s->column_pos, &s->column_count,
                            err));
    }
    TRY(parse_source(p, s, err));
    TRY(parse_conflict(p, s, err));
    return parse_returning(p, &s->returning, &s->returning_count, err);
}

enum lam_code parse_update(struct parser *p, struct stmt *stmt, struct lam_error *err) {
    struct update_stmt *s = arena_alloc(p->arena, sizeof *s);
    bool where = false;
    if (!s)
        return mem_fail(err, sizeof *s);
    stmt->kind = STMT_UPDATE;
    stmt->as.update = s;
    TRY(parser_next(p, err));
    TRY(parse_name_ref(p, "a table name", &s->table, err));
    TRY(parse_table_alias(p, &s->alias, err));
    TRY(parser_expect_keyword(p, KW_SET, err));
    TRY(parse_assignments(p, &s->set, &s->set_count, err));
    if (parser_at_keyword(p, KW_FROM))
        return parser_unsupported(p->tok.pos, "UPDATE ... FROM", err);
    TRY(parser_accept_keyword(p, KW_WHERE, &where, err));
    if (where)
        TRY(parse_expr(p, &s->where, err));
    return parse_returning(p, &s->returning, &s->returning_count, err);
}

enum lam_code parse_delete(struct parser *p, struct stmt *stmt, struct lam_error *err) {
    struct delete_stmt *s = arena_alloc(p->arena, sizeof *s);
    bool where = false;
    if (!s)
        return mem_fail(err, sizeof *s);
    stmt->kind = STMT_DELETE;
    stmt->as.delete_ = s;
    TRY(parser_next(p, err));
    TRY(parser_expect_keyword(p, KW_FROM, err));
    TRY(parse_name_ref(p, "a table name", &s->table, err));
    TRY(parse_table_alias(p, &s->alias, err));
    if (parser_at_keyword(p, KW_USING))
        return parser_unsupported(p->tok.pos, "DELETE ... USING", err);
    TRY(parser_accept_keyword(p, KW_WHERE, &where, err));
    if (where)
        TRY(parse_expr(p, &s->where, err));
    return parse_returning(p, &s->returning, &s->returning_count, err);
}
