/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions back to text, with the fewest parentheses that parse to the same tree: what parsing
 * is compared by. */
#ifndef LAMINA_TESTS_SQL_EXPR_PRINT_H
#define LAMINA_TESTS_SQL_EXPR_PRINT_H

#include <math.h>

#include "base/assert.h"
#include "sql/ast.h"
#include "sql/lexer.h"

static enum lam_code expr_print(const struct expr *e, struct buf *out, struct lam_error *err);

/* Levels as the parser has them; what is lower than its place asks for gets parentheses. */
enum {
    P_OR = 1,
    P_AND,
    P_NOT,
    P_IS,
    P_COMPARE,
    P_LIKE,
    P_OTHER,
    P_ADD,
    P_MUL,
    P_POW,
    P_SIGN,
    P_CAST,
    P_PRIMARY
};

static const struct {
    const char *text;
    int level;
} binary_ops[] = {
    [OP_ADD] = {"+", P_ADD},
    [OP_SUB] = {"-", P_ADD},
    [OP_MUL] = {"*", P_MUL},
    [OP_DIV] = {"/", P_MUL},
    [OP_MOD] = {"%", P_MUL},
    [OP_POW] = {"^", P_POW},
    [OP_CONCAT] = {"||", P_OTHER},
    [OP_EQ] = {"=", P_COMPARE},
    [OP_NE] = {"<>", P_COMPARE},
    [OP_LT] = {"<", P_COMPARE},
    [OP_LE] = {"<=", P_COMPARE},
    [OP_GT] = {">", P_COMPARE},
    [OP_GE] = {">=", P_COMPARE},
    [OP_AND] = {"AND", P_AND},
    [OP_OR] = {"OR", P_OR},
    [OP_JSON_GET] = {"->", P_OTHER},
    [OP_JSON_TEXT] = {"->>", P_OTHER},
    [OP_JSON_HAS] = {"?", P_OTHER},
};

static bool negative_number(const struct expr *e) {
    if (e->kind != EXPR_LITERAL || e->literal.is_null)
        return false;
    switch (e->literal.type.type) {
    case LAM_TYPE_BIGINT:
        return e->literal.as.i64 < 0;
    case LAM_TYPE_DECIMAL:
        return e->literal.as.i128 < 0;
    case LAM_TYPE_DOUBLE:
        return signbit(e->literal.as.f64);
    default:
        return false;
    }
}

static int level_of(const struct expr *e) {
    switch (e->kind) {
    case EXPR_LITERAL:
        return negative_number(e) ? P_SIGN : P_PRIMARY;
    case EXPR_UNARY:
        return e->op == OP_NOT ? P_NOT : P_SIGN;
    case EXPR_BINARY:
        return binary_ops[e->op].level;
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
    case EXPR_DISTINCT:
        return P_IS;
    case EXPR_BETWEEN:
    case EXPR_IN:
    case EXPR_LIKE:
        return P_LIKE;
    case EXPR_CAST:
        return e->op == OP_TRY ? P_PRIMARY : P_CAST;
    default:
        return P_PRIMARY;
    }
}

static enum lam_code print_at(const struct expr *e, int level, struct buf *out,
                              struct lam_error *err) {
    bool paren = level_of(e) < level;
    if (paren)
        TRY(buf_append_u8(out, '(', err));
    TRY(expr_print(e, out, err));
    return paren ? buf_append_u8(out, ')', err) : LAM_OK;
}

static enum lam_code print_quoted(struct lam_slice s, uint8_t quote, struct buf *out,
                                  struct lam_error *err) {
    TRY(buf_append_u8(out, quote, err));
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == quote)
            TRY(buf_append_u8(out, quote, err));
        TRY(buf_append_u8(out, s.data[i], err));
    }
    return buf_append_u8(out, quote, err);
}

/* Bare where it lexes back to itself, else in quotes. */
static enum lam_code print_name(struct lam_slice name, struct buf *out, struct lam_error *err) {
    struct lexer lx;
    struct token t;
    bool bare = name.size > 0;
    for (size_t i = 0; i < name.size; i++)
        bare = bare && ((name.data[i] >= 'a' && name.data[i] <= 'z') || name.data[i] == '_' ||
                        (i > 0 && name.data[i] >= '0' && name.data[i] <= '9'));
    lexer_init(&lx, name);
    /* A name that is any keyword or a special form's stays quoted: it is always safe. */
    bare =
        bare && lexer_next(&lx, &t, NULL) == LAM_OK && t.kind == TOK_NAME && t.keyword == KW_NONE;
    return bare ? buf_append_slice(out, name, err) : print_quoted(name, '"', out, err);
}

static enum lam_code print_column(const struct expr *e, struct buf *out, struct lam_error *err) {
    if (e->namespace_name.size) {
        TRY(print_name(e->namespace_name, out, err));
        TRY(buf_append_u8(out, '.', err));
    }
    if (e->table.size) {
        TRY(print_name(e->table, out, err));
        TRY(buf_append_u8(out, '.', err));
    }
    return e->kind == EXPR_STAR ? buf_append_u8(out, '*', err) : print_name(e->name, out, err);
}

static enum lam_code print_double(double v, struct buf *out, struct lam_error *err) {
    char text[40];
    double_format(v, text);
    TRY(buf_append_str(out, text, err));
    return strchr(text, 'e') ? LAM_OK : buf_append_str(out, "e0", err);
}

static enum lam_code print_literal(const struct value *v, struct buf *out, struct lam_error *err) {
    if (v->is_null)
        return buf_append_str(out, "NULL", err);
    switch (v->type.type) {
    case LAM_TYPE_TEXT:
        return print_quoted(v->as.bytes, '\'', out, err);
    case LAM_TYPE_DOUBLE:
        return print_double(v->as.f64, out, err);
    case LAM_TYPE_BOOLEAN:
        return buf_append_str(out, v->as.boolean ? "TRUE" : "FALSE", err);
    case LAM_TYPE_DECIMAL:
        TRY(value_format(v, out, err));
        /* Without the point it would read back as a BIGINT. */
        if (v->type.scale == 0 && v->as.i128 >= INT64_MIN && v->as.i128 <= INT64_MAX)
            return buf_append_u8(out, '.', err);
        return LAM_OK;
    default:
        return value_format(v, out, err);
    }
}

static enum lam_code print_list(struct expr *const *args, uint32_t count, struct buf *out,
                                struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            TRY(buf_append_str(out, ", ", err));
        TRY(expr_print(args[i], out, err));
    }
    return LAM_OK;
}

static bool is_niladic(struct lam_slice name) {
    return slice_eq_str(name, "current_user") || slice_eq_str(name, "current_role") ||
           slice_eq_str(name, "current_date") || slice_eq_str(name, "current_time") ||
           slice_eq_str(name, "current_timestamp");
}

/* position's arguments stop before IN when it is written with one, so theirs need parentheses. */
static enum lam_code print_args(const struct expr *e, struct buf *out, struct lam_error *err) {
    if (slice_eq_str(e->name, "position") && e->arg_count > 0) {
        TRY(print_at(e->args[0], P_OTHER, out, err));
        if (e->arg_count > 1)
            TRY(buf_append_str(out, ", ", err));
        return print_list(e->args + 1, e->arg_count - 1, out, err);
    }
    return print_list(e->args, e->arg_count, out, err);
}

static enum lam_code print_call(const struct expr *e, struct buf *out, struct lam_error *err) {
    if (is_niladic(e->name))
        return buf_append_slice(out, e->name, err);
    TRY(buf_append_slice(out, e->name, err));
    TRY(buf_append_str(out, e->distinct ? "(DISTINCT " : "(", err));
    TRY(print_args(e, out, err));
    TRY(buf_append_u8(out, ')', err));
    if (!e->right)
        return LAM_OK;
    TRY(buf_append_str(out, " FILTER (WHERE ", err));
    TRY(expr_print(e->right, out, err));
    return buf_append_u8(out, ')', err);
}

static enum lam_code print_case(const struct expr *e, struct buf *out, struct lam_error *err) {
    TRY(buf_append_str(out, "CASE", err));
    if (e->left) {
        TRY(buf_append_u8(out, ' ', err));
        TRY(expr_print(e->left, out, err));
    }
    for (uint32_t i = 0; i + 1 < e->arg_count; i += 2) {
        TRY(buf_append_str(out, " WHEN ", err));
        TRY(expr_print(e->args[i], out, err));
        TRY(buf_append_str(out, " THEN ", err));
        TRY(expr_print(e->args[i + 1], out, err));
    }
    if (e->right) {
        TRY(buf_append_str(out, " ELSE ", err));
        TRY(expr_print(e->right, out, err));
    }
    return buf_append_str(out, " END", err);
}

static enum lam_code print_cast(const struct expr *e, struct buf *out, struct lam_error *err) {
    char type[40];
    coltype_name(e->type, type);
    if (e->op == OP_TRY) {
        TRY(buf_append_str(out, "TRY_CAST(", err));
        TRY(expr_print(e->left, out, err));
        return buf_append_format(out, err, " AS %s)", type);
    }
    TRY(print_at(e->left, P_CAST, out, err));
    return buf_append_format(out, err, "::%s", type);
}

static enum lam_code print_unary(const struct expr *e, struct buf *out, struct lam_error *err) {
    if (e->op == OP_NOT) {
        TRY(buf_append_str(out, "NOT ", err));
        return print_at(e->left, P_NOT, out, err);
    }
    TRY(buf_append_str(out, e->op == OP_NEG ? "- " : "+ ", err));
    return print_at(e->left, P_SIGN, out, err);
}

/* The operands of a chain in order: however it is balanced, it reads back balanced the same way.
 * Only the first may be of the chain's own level. */
static enum lam_code print_chain(const struct expr *e, enum expr_op op, bool first, struct buf *out,
                                 struct lam_error *err) {
    int level = binary_ops[op].level;
    if (e->kind != EXPR_BINARY || e->op != op)
        return print_at(e, first ? level : level + 1, out, err);
    TRY(print_chain(e->left, op, first, out, err));
    TRY(buf_append_format(out, err, " %s ", binary_ops[op].text));
    return print_chain(e->right, op, false, out, err);
}

static enum lam_code print_binary(const struct expr *e, struct buf *out, struct lam_error *err) {
    int level = binary_ops[e->op].level;
    if (e->op == OP_AND || e->op == OP_OR || e->op == OP_CONCAT)
        return print_chain(e, e->op, true, out, err);
    TRY(print_at(e->left, level + (level == P_COMPARE), out, err));
    TRY(buf_append_format(out, err, " %s ", binary_ops[e->op].text));
    return print_at(e->right, level + 1, out, err);
}

static enum lam_code print_is(const struct expr *e, struct buf *out, struct lam_error *err) {
    TRY(print_at(e->left, P_IS, out, err));
    TRY(buf_append_str(out, e->negated ? " IS NOT " : " IS ", err));
    if (e->kind == EXPR_IS_NULL)
        return buf_append_str(out, "NULL", err);
    if (e->kind == EXPR_IS_BOOL)
        return buf_append_str(out,
                              e->op == OP_IS_TRUE    ? "TRUE"
                              : e->op == OP_IS_FALSE ? "FALSE"
                                                     : "UNKNOWN",
                              err);
    TRY(buf_append_str(out, "DISTINCT FROM ", err));
    return print_at(e->right, P_COMPARE, out, err);
}

static enum lam_code print_matching(const struct expr *e, struct buf *out, struct lam_error *err) {
    TRY(print_at(e->left, P_OTHER, out, err));
    TRY(buf_append_str(out, e->negated ? " NOT " : " ", err));
    if (e->kind == EXPR_IN) {
        TRY(buf_append_str(out, "IN (", err));
        TRY(print_list(e->args, e->arg_count, out, err));
        return buf_append_u8(out, ')', err);
    }
    if (e->kind == EXPR_BETWEEN) {
        TRY(buf_append_str(out, "BETWEEN ", err));
        TRY(print_at(e->args[0], P_OTHER, out, err));
        TRY(buf_append_str(out, " AND ", err));
        return print_at(e->args[1], P_OTHER, out, err);
    }
    TRY(buf_append_str(out, e->op == OP_ILIKE ? "ILIKE " : "LIKE ", err));
    TRY(print_at(e->right, P_OTHER, out, err));
    if (e->arg_count == 0)
        return LAM_OK;
    TRY(buf_append_str(out, " ESCAPE ", err));
    return print_at(e->args[0], P_OTHER, out, err);
}

__attribute__((unused)) static enum lam_code expr_print(const struct expr *e, struct buf *out,
                                                        struct lam_error *err) {
    switch (e->kind) {
    case EXPR_LITERAL:
        return print_literal(&e->literal, out, err);
    case EXPR_PARAMETER:
        return buf_append_format(out, err, "$%u", e->parameter);
    case EXPR_COLUMN:
    case EXPR_STAR:
        return print_column(e, out, err);
    case EXPR_UNARY:
        return print_unary(e, out, err);
    case EXPR_BINARY:
        return print_binary(e, out, err);
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
    case EXPR_DISTINCT:
        return print_is(e, out, err);
    case EXPR_BETWEEN:
    case EXPR_IN:
    case EXPR_LIKE:
        return print_matching(e, out, err);
    case EXPR_CASE:
        return print_case(e, out, err);
    case EXPR_CAST:
        return print_cast(e, out, err);
    case EXPR_CALL:
        return print_call(e, out, err);
    case EXPR_SUBQUERY:
        break;
    }
    UNREACHABLE();
}

#endif
