/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions by precedence climbing, with PostgreSQL's levels: OR, AND, NOT, IS, comparison (not
 * associative), LIKE/IN/BETWEEN, other operators, + -, * / %, ^, unary sign, ::. Chains of AND, OR
 * and || are gathered and built as balanced trees: evaluation order stays left to right. */
#include "sql/parse.h"

#include "base/assert.h"
#include "lamina/sql.h"

/* --- nodes --- */

enum lam_code expr_new(struct parser *p, enum expr_kind kind, uint32_t pos, struct expr **out,
                       struct lam_error *err) {
    struct expr *e = arena_alloc(p->arena, sizeof *e);
    if (!e)
        return mem_fail(err, sizeof *e);
    e->kind = kind;
    e->pos = pos;
    e->height = 1;
    *out = e;
    return LAM_OK;
}

static void raise_height(struct expr *e, const struct expr *child) {
    if (child && child->height >= e->height)
        e->height = (uint16_t)(child->height + 1);
}

/* Settles the node's height over its children. */
enum lam_code expr_finish(struct expr *e, struct lam_error *err) {
    raise_height(e, e->left);
    raise_height(e, e->right);
    for (uint32_t i = 0; i < e->arg_count; i++)
        raise_height(e, e->args[i]);
    if (e->height > EXPR_HEIGHT_MAX)
        return ERR_SQL(err, "54001", e->pos, "expression is nested deeper than %d levels",
                       EXPR_HEIGHT_MAX);
    return LAM_OK;
}

static enum lam_code new_binary(struct parser *p, enum expr_op op, uint32_t pos, struct expr *left,
                                struct expr *right, struct expr **out, struct lam_error *err) {
    struct expr *e = NULL;
    TRY(expr_new(p, EXPR_BINARY, pos, &e, err));
    e->op = op;
    e->left = left;
    e->right = right;
    *out = e;
    return expr_finish(e, err);
}

enum lam_code expr_list_add(struct parser *p, struct list *args, struct expr *e,
                            struct lam_error *err) {
    void *slot;
    TRY(list_add(p->arena, args, sizeof(struct expr *), &slot, err));
    *(struct expr **)slot = e;
    return LAM_OK;
}

void expr_set_args(struct expr *e, const struct list *args) {
    e->args = args->items;
    e->arg_count = args->count;
}

/* --- literals --- */

/* Digits of a number token as a scaled integer; false past 38 digits. */
static bool read_decimal(struct lam_slice text, struct value *out) {
    unsigned __int128 v = 0;
    unsigned digits = 0, scale = 0;
    bool point = false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.') {
            point = true;
            continue;
        }
        digits += v != 0 || text.data[i] != '0';
        scale += point;
        if (digits > DECIMAL_PRECISION_MAX || scale > DECIMAL_PRECISION_MAX)
            return false;
        v = v * 10 + (unsigned)(text.data[i] - '0');
    }
    unsigned precision = digits > scale ? digits : scale;
    *out = value_decimal((int128)v, (uint8_t)(precision ? precision : 1), (uint8_t)scale);
    return true;
}

static enum lam_code read_number(struct parser *p, struct value *out, struct lam_error *err) {
    struct lam_slice text = token_text(&p->lexer, &p->tok);
    if (p->tok.kind != TOK_FLOAT) {
        if (!read_decimal(text, out))
            return ERR_SQL(err, "22003", p->tok.pos,
                           "the number has more than %d digits; write it with an exponent",
                           DECIMAL_PRECISION_MAX);
        if (p->tok.kind == TOK_INTEGER && out->as.i128 <= INT64_MAX)
            *out = value_i64(LAM_TYPE_BIGINT, (int64_t)out->as.i128);
        return LAM_OK;
    }
    if (value_parse(text, coltype_of(LAM_TYPE_DOUBLE), p->arena, out, NULL) != LAM_OK)
        return ERR_SQL(err, "22003", p->tok.pos, "the number is out of range for DOUBLE");
    return LAM_OK;
}

static enum lam_code parse_number(struct parser *p, struct expr **out, struct lam_error *err) {
    TRY(expr_new(p, EXPR_LITERAL, p->tok.pos, out, err));
    TRY(read_number(p, &(*out)->literal, err));
    return parser_next(p, err);
}

static enum lam_code parse_text(struct parser *p, struct expr **out, struct lam_error *err) {
    struct lam_slice text = SLICE_EMPTY;
    TRY(expr_new(p, EXPR_LITERAL, p->tok.pos, out, err));
    TRY(parse_string(p, "a string", &text, err));
    (*out)->literal = value_bytes(LAM_TYPE_TEXT, text);
    (*out)->untyped = true;
    return LAM_OK;
}

static enum lam_code parse_constant(struct parser *p, struct value v, struct expr **out,
                                    struct lam_error *err) {
    TRY(expr_new(p, EXPR_LITERAL, p->tok.pos, out, err));
    (*out)->literal = v;
    return parser_next(p, err);
}

static enum lam_code parse_parameter(struct parser *p, struct expr **out, struct lam_error *err) {
    uint64_t n = 0;
    struct lam_slice text = token_text(&p->lexer, &p->tok);
    TRY(expr_new(p, EXPR_PARAMETER, p->tok.pos, out, err));
    if (p->tok.kind == TOK_QUESTION) {
        n = (uint64_t)p->parameter_count + 1;
    } else {
        for (size_t i = 1; i < text.size && n <= LAM_PARAMETERS_MAX; i++)
            n = n * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (n == 0)
        return ERR_SQL(err, "42P02", p->tok.pos, "there is no parameter $0: they count from 1");
    if (n > LAM_PARAMETERS_MAX)
        return ERR_SQL(err, "54000", p->tok.pos, "a statement has at most %d parameters",
                       LAM_PARAMETERS_MAX);
    (*out)->parameter = (uint32_t)n;
    if (n > p->parameter_count)
        p->parameter_count = (uint32_t)n;
    return parser_next(p, err);
}

/* Numbers take their sign at once, so that the smallest integer can be written. */
static bool negate_literal(struct expr *e) {
    struct value *v = &e->literal;
    if (e->kind != EXPR_LITERAL || v->is_null)
        return false;
    if (v->type.type == LAM_TYPE_DOUBLE) {
        v->as.f64 = -v->as.f64;
    } else if (v->type.type == LAM_TYPE_DECIMAL) {
        v->as.i128 = -v->as.i128;
        if (v->type.scale == 0 && v->as.i128 == INT64_MIN)
            *v = value_i64(LAM_TYPE_BIGINT, INT64_MIN);
    } else if (v->type.type == LAM_TYPE_BIGINT) {
        if (v->as.i64 == INT64_MIN)
            *v = value_decimal(-(int128)INT64_MIN, 19, 0);
        else
            v->as.i64 = -v->as.i64;
    } else {
        return false;
    }
    return true;
}

/* --- primaries --- */

static enum lam_code parse_case(struct parser *p, struct expr **out, struct lam_error *err) {
    struct list args = {0};
    struct expr *e = NULL;
    bool more = true;
    TRY(expr_new(p, EXPR_CASE, p->tok.pos, &e, err));
    TRY(parser_next(p, err));
    if (!parser_at_keyword(p, KW_WHEN))
        TRY(parse_expr(p, &e->left, err));
    TRY(parser_expect_keyword(p, KW_WHEN, err));
    while (more) {
        TRY(parse_arg(p, &args, err));
        TRY(parser_expect_keyword(p, KW_THEN, err));
        TRY(parse_arg(p, &args, err));
        TRY(parser_accept_keyword(p, KW_WHEN, &more, err));
    }
    bool otherwise = false;
    TRY(parser_accept_keyword(p, KW_ELSE, &otherwise, err));
    if (otherwise)
        TRY(parse_expr(p, &e->right, err));
    expr_set_args(e, &args);
    *out = e;
    TRY(expr_finish(e, err));
    return parser_expect_keyword(p, KW_END, err);
}

/* CAST(x AS type), TRY_CAST(x AS type); `op` says which. */
static enum lam_code parse_cast(struct parser *p, enum expr_op op, struct expr **out,
                                struct lam_error *err) {
    struct expr *e = NULL;
    TRY(expr_new(p, EXPR_CAST, p->tok.pos, &e, err));
    e->op = op;
    TRY(parser_next(p, err));
    TRY(parser_expect(p, TOK_LPAREN, "(", err));
    TRY(parse_expr(p, &e->left, err));
    TRY(parser_expect_keyword(p, KW_AS, err));
    TRY(parse_type(p, &e->type, NULL, err));
    TRY(expr_finish(e, err));
    *out = e;
    return parser_expect(p, TOK_RPAREN, ")", err);
}

/* DATE '...': a type's name right before a string. */
static enum lam_code parse_typed_literal(struct parser *p, struct lam_slice name, uint32_t pos,
                                         struct expr **out, struct lam_error *err) {
    struct expr *e = NULL;
    TRY(expr_new(p, EXPR_CAST, pos, &e, err));
    if (!type_lookup(name, &e->type, NULL))
        return parser_fail(p, "an operator or the end of the expression", err);
    TRY(parse_text(p, &e->left, err));
    *out = e;
    return expr_finish(e, err);
}

/* A column or a call: [[namespace.]table.]name or name(...). */
static enum lam_code parse_reference(struct parser *p, struct expr **out, struct lam_error *err) {
    struct expr *e = NULL;
    struct lam_slice name;
    uint32_t pos;
    bool quoted = parser_at(p, TOK_QUOTED);
    bool dot = false;
    TRY(parse_name(p, "an expression", &name, &pos, err));
    if (parser_at(p, TOK_LPAREN) && !quoted)
        return parse_call(p, name, pos, out, err);
    if (token_is_string(&p->tok) && !quoted)
        return parse_typed_literal(p, name, pos, out, err);
    TRY(expr_new(p, EXPR_COLUMN, pos, &e, err));
    e->name = name;
    *out = e;
    for (int parts = 1; parts < 4; parts++) {
        TRY(parser_accept(p, TOK_DOT, &dot, err));
        if (!dot)
            return LAM_OK;
        if (parts == 3)
            return parser_fail(p, "at most namespace.table.column", err);
        e->namespace_name = e->table;
        e->table = e->name;
        e->name = SLICE_EMPTY;
        if (parser_at(p, TOK_STAR)) {
            e->kind = EXPR_STAR;
            return parser_next(p, err);
        }
        TRY(parse_name(p, "a column name", &e->name, NULL, err));
    }
    return LAM_OK;
}

static enum lam_code parse_paren(struct parser *p, struct expr **out, struct lam_error *err) {
    TRY(parser_next(p, err));
    if (parser_at_keyword(p, KW_SELECT) || parser_at_keyword(p, KW_WITH))
        return parser_unsupported(p->tok.pos, "a subquery", err);
    TRY(parse_expr(p, out, err));
    if (parser_at(p, TOK_COMMA))
        return parser_unsupported(p->tok.pos, "a row value", err);
    return parser_expect(p, TOK_RPAREN, ")", err);
}

static enum lam_code parse_keyword_primary(struct parser *p, struct expr **out,
                                           struct lam_error *err) {
    struct token ahead;
    TRY(parser_peek(p, &ahead, err));
    switch (p->tok.keyword) {
    case KW_NULL:
        return parse_constant(p, value_null(coltype_of(LAM_TYPE_NULL)), out, err);
    case KW_TRUE:
        return parse_constant(p, value_bool(true), out, err);
    case KW_FALSE:
        return parse_constant(p, value_bool(false), out, err);
    case KW_CASE:
        return parse_case(p, out, err);
    case KW_CAST:
        return parse_cast(p, OP_NONE, out, err);
    case KW_CURRENT_DATE:
        return parse_niladic(p, "current_date", out, err);
    case KW_CURRENT_TIME:
        return parse_niladic(p, "current_time", out, err);
    case KW_CURRENT_TIMESTAMP:
        return parse_niladic(p, "current_timestamp", out, err);
    case KW_CURRENT_USER:
        return parse_niladic(p, "current_user", out, err);
    case KW_CURRENT_ROLE:
        return parse_niladic(p, "current_role", out, err);
    case KW_EXISTS:
        if (ahead.kind == TOK_LPAREN)
            return parser_unsupported(p->tok.pos, "EXISTS", err);
        return parse_reference(p, out, err);
    case KW_INTERVAL:
        if (token_is_string(&ahead))
            return parser_unsupported(p->tok.pos, "an INTERVAL literal", err);
        return parse_reference(p, out, err);
    case KW_ARRAY:
        return parser_unsupported(p->tok.pos, "ARRAY", err);
    case KW_ROW:
        if (ahead.kind == TOK_LPAREN)
            return parser_unsupported(p->tok.pos, "a row value", err);
        return parse_reference(p, out, err);
    case KW_DEFAULT:
        return ERR_SQL(err, "42601", p->tok.pos,
                       "DEFAULT stands only alone in VALUES or behind SET column =");
    default:
        return parse_reference(p, out, err);
    }
}

static enum lam_code parse_primary(struct parser *p, struct expr **out, struct lam_error *err) {
    switch (p->tok.kind) {
    case TOK_INTEGER:
    case TOK_DECIMAL:
    case TOK_FLOAT:
        return parse_number(p, out, err);
    case TOK_STRING:
    case TOK_ESTRING:
    case TOK_DOLLAR:
        return parse_text(p, out, err);
    case TOK_PARAMETER:
    case TOK_QUESTION:
        return parse_parameter(p, out, err);
    case TOK_LPAREN:
        return parse_paren(p, out, err);
    case TOK_QUOTED:
        return parse_reference(p, out, err);
    case TOK_NAME: {
        struct token ahead;
        if (p->tok.keyword)
            return parse_keyword_primary(p, out, err);
        if (token_is_word(&p->lexer, &p->tok, "try_cast")) {
            TRY(parser_peek(p, &ahead, err));
            if (ahead.kind == TOK_LPAREN)
                return parse_cast(p, OP_TRY, out, err);
        }
        return parse_reference(p, out, err);
    }
    default:
        return parser_fail(p, "an expression", err);
    }
}

static enum lam_code parse_prefix(struct parser *p, enum level min, struct expr **out,
                                  struct lam_error *err) {
    struct expr *e = NULL;
    uint32_t pos = p->tok.pos;
    bool minus = parser_at(p, TOK_MINUS);
    if (parser_at_keyword(p, KW_NOT)) {
        if (min > LEVEL_NOT)
            return parser_fail(p, "an operand (put NOT ... in parentheses)", err);
        TRY(parser_next(p, err));
        TRY(expr_new(p, EXPR_UNARY, pos, &e, err));
        e->op = OP_NOT;
        TRY(parse_level(p, LEVEL_NOT, &e->left, err));
        *out = e;
        return expr_finish(e, err);
    }
    if (!minus && !parser_at(p, TOK_PLUS))
        return parse_primary(p, out, err);
    TRY(parser_next(p, err));
    TRY(parse_level(p, LEVEL_SIGN, out, err));
    if (minus && negate_literal(*out)) {
        (*out)->pos = pos;
        return LAM_OK;
    }
    TRY(expr_new(p, EXPR_UNARY, pos, &e, err));
    e->op = minus ? OP_NEG : OP_PLUS;
    e->left = *out;
    *out = e;
    return expr_finish(e, err);
}

/* --- operators behind an operand --- */

struct infix {
    enum level level;
    enum expr_op op;
};

static struct infix infix_of(const struct parser *p) {
    switch (p->tok.kind) {
    case TOK_PLUS:
        return (struct infix){LEVEL_ADD, OP_ADD};
    case TOK_MINUS:
        return (struct infix){LEVEL_ADD, OP_SUB};
    case TOK_STAR:
        return (struct infix){LEVEL_MUL, OP_MUL};
    case TOK_SLASH:
        return (struct infix){LEVEL_MUL, OP_DIV};
    case TOK_PERCENT:
        return (struct infix){LEVEL_MUL, OP_MOD};
    case TOK_CARET:
        return (struct infix){LEVEL_POW, OP_POW};
    case TOK_CONCAT:
        return (struct infix){LEVEL_OTHER, OP_CONCAT};
    case TOK_ARROW:
        return (struct infix){LEVEL_OTHER, OP_JSON_GET};
    case TOK_ARROW_TEXT:
        return (struct infix){LEVEL_OTHER, OP_JSON_TEXT};
    case TOK_QUESTION:
        return (struct infix){LEVEL_OTHER, OP_JSON_HAS};
    case TOK_EQ:
        return (struct infix){LEVEL_COMPARE, OP_EQ};
    case TOK_NE:
        return (struct infix){LEVEL_COMPARE, OP_NE};
    case TOK_LT:
        return (struct infix){LEVEL_COMPARE, OP_LT};
    case TOK_LE:
        return (struct infix){LEVEL_COMPARE, OP_LE};
    case TOK_GT:
        return (struct infix){LEVEL_COMPARE, OP_GT};
    case TOK_GE:
        return (struct infix){LEVEL_COMPARE, OP_GE};
    case TOK_CAST:
        return (struct infix){LEVEL_CAST, OP_NONE};
    case TOK_OTHER:
    case TOK_LBRACKET:
        return (struct infix){LEVEL_OTHER, OP_NONE};
    case TOK_NAME:
        break;
    default:
        return (struct infix){LEVEL_NONE, OP_NONE};
    }
    switch (p->tok.keyword) {
    case KW_OR:
        return (struct infix){LEVEL_OR, OP_OR};
    case KW_AND:
        return (struct infix){LEVEL_AND, OP_AND};
    case KW_IS:
    case KW_ISNULL:
    case KW_NOTNULL:
        return (struct infix){LEVEL_IS, OP_NONE};
    case KW_LIKE:
        return (struct infix){LEVEL_LIKE, OP_LIKE};
    case KW_ILIKE:
        return (struct infix){LEVEL_LIKE, OP_ILIKE};
    case KW_IN:
    case KW_BETWEEN:
    case KW_NOT:
        return (struct infix){LEVEL_LIKE, OP_NONE};
    case KW_COLLATE:
        return (struct infix){LEVEL_CAST, OP_NONE};
    default:
        return (struct infix){LEVEL_NONE, OP_NONE};
    }
}

/* x AND y AND z ... of one operator as a balanced tree over items[0..count). */
static enum lam_code balance(struct parser *p, enum expr_op op, struct expr **items, uint32_t count,
                             const uint32_t *positions, struct expr **out, struct lam_error *err) {
    if (count == 1) {
        *out = items[0];
        return LAM_OK;
    }
    struct expr *left = NULL, *right = NULL;
    uint32_t half = count / 2;
    TRY(balance(p, op, items, half, positions, &left, err));
    TRY(balance(p, op, items + half, count - half, positions + half, &right, err));
    return new_binary(p, op, positions[half], left, right, out, err);
}

/* The rest of a chain of one associative operator, whose first operand is *out. */
static enum lam_code parse_chain(struct parser *p, struct infix in, struct expr **out,
                                 struct lam_error *err) {
    struct list items = {0}, positions = {0};
    struct infix next = in;
    uint32_t pos = (*out)->pos;
    struct expr *e = *out;
    for (;;) {
        void *slot;
        TRY(expr_list_add(p, &items, e, err));
        TRY(list_add(p->arena, &positions, sizeof pos, &slot, err));
        *(uint32_t *)slot = pos;
        next = infix_of(p);
        if (next.level != in.level || next.op != in.op)
            break;
        pos = p->tok.pos;
        TRY(parser_next(p, err));
        TRY(parse_level(p, (enum level)(in.level + 1), &e, err));
    }
    return balance(p, in.op, items.items, items.count, positions.items, out, err);
}

static enum lam_code parse_is(struct parser *p, struct expr **out, struct lam_error *err) {
    struct expr *e = NULL;
    enum keyword k = p->tok.keyword;
    TRY(expr_new(p, EXPR_IS_NULL, p->tok.pos, &e, err));
    e->left = *out;
    *out = e;
    e->negated = k == KW_NOTNULL;
    TRY(parser_next(p, err));
    if (k != KW_IS)
        return expr_finish(e, err);
    TRY(parser_accept_keyword(p, KW_NOT, &e->negated, err));
    switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
    case KW_NULL:
        break;
    case KW_TRUE:
    case KW_FALSE:
    case KW_UNKNOWN:
        e->kind = EXPR_IS_BOOL;
        e->op = p->tok.keyword == KW_TRUE    ? OP_IS_TRUE
                : p->tok.keyword == KW_FALSE ? OP_IS_FALSE
                                             : OP_IS_UNKNOWN;
        break;
    case KW_DISTINCT:
        e->kind = EXPR_DISTINCT;
        TRY(parser_next(p, err));
        TRY(parser_expect_keyword(p, KW_FROM, err));
        TRY(parse_level(p, LEVEL_COMPARE, &e->right, err));
        return expr_finish(e, err);
    default:
        return parser_fail(p, "NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM", err);
    }
    TRY(expr_finish(e, err));
    return parser_next(p, err);
}

static enum lam_code parse_in(struct parser *p, struct expr *e, struct lam_error *err) {
    struct list args = {0};
    e->kind = EXPR_IN;
    TRY(parser_next(p, err));
    TRY(parser_expect(p, TOK_LPAREN, "( and a list", err));
    if (parser_at_keyword(p, KW_SELECT) || parser_at_keyword(p, KW_WITH))
        return parser_unsupported(p->tok.pos, "a subquery", err);
    TRY(parse_args(p, &args, err));
    expr_set_args(e, &args);
    return LAM_OK;
}

static enum lam_code parse_between(struct parser *p, struct expr *e, struct lam_error *err) {
    struct list args = {0};
    struct expr *bound = NULL;
    e->kind = EXPR_BETWEEN;
    TRY(parser_next(p, err));
    TRY(parse_level(p, LEVEL_OTHER, &bound, err));
    TRY(expr_list_add(p, &args, bound, err));
    TRY(parser_expect_keyword(p, KW_AND, err));
    TRY(parse_level(p, LEVEL_OTHER, &bound, err));
    TRY(expr_list_add(p, &args, bound, err));
    expr_set_args(e, &args);
    return LAM_OK;
}

static enum lam_code parse_like(struct parser *p, struct expr *e, struct lam_error *err) {
    struct list args = {0};
    e->kind = EXPR_LIKE;
    e->op = p->tok.keyword == KW_ILIKE ? OP_ILIKE : OP_LIKE;
    TRY(parser_next(p, err));
    TRY(parse_level(p, LEVEL_OTHER, &e->right, err));
    if (!parser_at_keyword(p, KW_ESCAPE))
        return LAM_OK;
    struct expr *escape = NULL;
    TRY(parser_next(p, err));
    TRY(parse_level(p, LEVEL_OTHER, &escape, err));
    TRY(expr_list_add(p, &args, escape, err));
    expr_set_args(e, &args);
    return LAM_OK;
}

/* [NOT] LIKE, ILIKE, IN, BETWEEN. */
static enum lam_code parse_matching(struct parser *p, struct expr **out, struct lam_error *err) {
    struct expr *e = NULL;
    TRY(expr_new(p, EXPR_LIKE, p->tok.pos, &e, err));
    e->left = *out;
    *out = e;
    TRY(parser_accept_keyword(p, KW_NOT, &e->negated, err));
    if (parser_at_keyword(p, KW_IN))
        TRY(parse_in(p, e, err));
    else if (parser_at_keyword(p, KW_BETWEEN))
        TRY(parse_between(p, e, err));
    else if (parser_at_keyword(p, KW_LIKE) || parser_at_keyword(p, KW_ILIKE))
        TRY(parse_like(p, e, err));
    else
        return parser_fail(p, "IN, BETWEEN, LIKE or ILIKE", err);
    return expr_finish(e, err);
}

static enum lam_code parse_postfix_cast(struct parser *p, struct expr **out,
                                        struct lam_error *err) {
    struct expr *e = NULL;
    if (parser_at_keyword(p, KW_COLLATE))
        return parser_unsupported(p->tok.pos, "COLLATE", err);
    TRY(expr_new(p, EXPR_CAST, p->tok.pos, &e, err));
    e->left = *out;
    *out = e;
    TRY(parser_next(p, err));
    TRY(parse_type(p, &e->type, NULL, err));
    return expr_finish(e, err);
}

/* Any binary operator without a form of its own. */
static enum lam_code parse_binary(struct parser *p, struct infix in, struct expr **out,
                                  struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    struct expr *right = NULL;
    if (in.op == OP_NONE) {
        struct lam_slice text = token_text(&p->lexer, &p->tok);
        return ERR_SQL(err, "0A000", pos, "the operator %.*s is not supported yet", (int)text.size,
                       (const char *)text.data);
    }
    TRY(parser_next(p, err));
    if (in.level == LEVEL_COMPARE &&
        (parser_at_keyword(p, KW_ANY) || parser_at_keyword(p, KW_ALL) ||
         parser_at_keyword(p, KW_SOME)))
        return parser_unsupported(p->tok.pos, "a comparison with ANY, SOME or ALL", err);
    TRY(parse_level(p, (enum level)(in.level + 1), &right, err));
    return new_binary(p, in.op, pos, *out, right, out, err);
}

static enum lam_code parse_infix(struct parser *p, struct infix in, struct expr **out,
                                 struct lam_error *err) {
    if (in.op == OP_AND || in.op == OP_OR || in.op == OP_CONCAT)
        return parse_chain(p, in, out, err);
    if (in.level == LEVEL_IS)
        return parse_is(p, out, err);
    if (in.level == LEVEL_LIKE)
        return parse_matching(p, out, err);
    if (in.level == LEVEL_CAST)
        return parse_postfix_cast(p, out, err);
    return parse_binary(p, in, out, err);
}

static enum lam_code parse_climb(struct parser *p, enum level min, struct expr **out,
                                 struct lam_error *err) {
    enum level last = LEVEL_NONE;
    TRY(parse_prefix(p, min, out, err));
    for (;;) {
        struct infix in = infix_of(p);
        if (parser_at_keyword(p, KW_NOT)) { /* a column's DEFAULT may be followed by NOT NULL */
            struct token ahead;
            TRY(parser_peek(p, &ahead, err));
            if (ahead.keyword == KW_NULL)
                return LAM_OK;
        }
        if (in.level == LEVEL_NONE || in.level < min)
            return LAM_OK;
        if (in.level == last && (in.level == LEVEL_COMPARE || in.level == LEVEL_LIKE))
            return parser_fail(p, "parentheses: comparisons can't be chained", err);
        last = in.level;
        TRY(parse_infix(p, in, out, err));
    }
}

enum lam_code parse_level(struct parser *p, enum level min, struct expr **out,
                          struct lam_error *err) {
    TRY(parser_enter(p, err));
    TRY(parse_climb(p, min, out, err));
    parser_leave(p);
    if (parser_at_keyword(p, KW_AT)) {
        struct token ahead;
        TRY(parser_peek(p, &ahead, err));
        if (token_is_word(&p->lexer, &ahead, "time"))
            return parser_unsupported(p->tok.pos, "AT TIME ZONE", err);
    }
    return LAM_OK;
}

enum lam_code parse_expr(struct parser *p, struct expr **out, struct lam_error *err) {
    return parse_level(p, LEVEL_OR, out, err);
}
