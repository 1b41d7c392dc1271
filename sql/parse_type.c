/* SPDX-License-Identifier: Apache-2.0
 *
 * Types: names of one or several words, parameters, SERIAL. */
#include "sql/parse.h"

#include "base/assert.h"

static enum lam_code parse_type_number(struct parser *p, int64_t low, int64_t high,
                                       const char *what, int64_t *out, struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    TRY(parse_count(p, what, out, err));
    if (*out < low || *out > high)
        return ERR_SQL(err, "22023", pos, "%s must be from %lld to %lld", what, (long long)low,
                       (long long)high);
    return LAM_OK;
}

#define VARCHAR_MAX 10485760

static enum lam_code parse_type_parameters(struct parser *p, struct lam_slice name, uint32_t pos,
                                           struct coltype *out, struct lam_error *err) {
    int64_t n = 0, scale = 0;
    bool more = false;
    TRY(parser_next(p, err));
    if (out->type == LAM_TYPE_DECIMAL) {
        TRY(parse_type_number(p, 1, DECIMAL_PRECISION_MAX, "precision", &n, err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
        if (more)
            TRY(parse_type_number(p, 0, n, "scale", &scale, err));
        out->precision = (uint8_t)n;
        out->scale = (uint8_t)scale;
    } else if (out->type == LAM_TYPE_TEXT && !slice_eq_str(name, "text") &&
               !slice_eq_str(name, "string")) {
        TRY(parse_type_number(p, 1, VARCHAR_MAX, "length", &n, err));
        out->length = (uint32_t)n;
    } else if (out->type == LAM_TYPE_TIMESTAMP || out->type == LAM_TYPE_TIME) {
        TRY(parse_type_number(p, 6, 6, "time precision", &n, err));
    } else {
        return ERR_SQL(err, "42601", pos, "type %.*s takes no parameters", (int)name.size,
                       (const char *)name.data);
    }
    return parser_expect(p, TOK_RPAREN, ")", err);
}

/* Words after the first of a type's name: DOUBLE PRECISION, CHARACTER VARYING, ... TIME ZONE. */
static enum lam_code parse_type_tail(struct parser *p, struct lam_slice name,
                                     struct lam_error *err) {
    struct lam_slice word;
    struct token ahead;
    if (p->tok.kind != TOK_NAME)
        return LAM_OK;
    TRY(token_name(&p->lexer, &p->tok, p->arena, &word, err));
    bool wide = slice_eq_str(name, "double") && slice_eq_str(word, "precision");
    bool varying = (slice_eq_str(name, "character") || slice_eq_str(name, "char")) &&
                   slice_eq_str(word, "varying");
    if (wide || varying)
        return parser_next(p, err);
    bool timed = slice_eq_str(name, "timestamp") || slice_eq_str(name, "time");
    if (!timed || (p->tok.keyword != KW_WITH && !slice_eq_str(word, "without")))
        return LAM_OK;
    TRY(parser_peek(p, &ahead, err));
    if (ahead.kind != TOK_NAME)
        return LAM_OK;
    TRY(token_name(&p->lexer, &ahead, p->arena, &word, err));
    if (!slice_eq_str(word, "time"))
        return LAM_OK;
    for (int i = 0; i < 2; i++)
        TRY(parser_next(p, err));
    if (p->tok.kind == TOK_NAME)
        TRY(token_name(&p->lexer, &p->tok, p->arena, &word, err));
    return slice_eq_str(word, "zone") ? parser_next(p, err) : parser_fail(p, "ZONE", err);
}

bool type_lookup(struct lam_slice name, struct coltype *out, bool *serial) {
    static const struct {
        const char *name;
        enum lam_type type;
    } serials[] = {{"serial", LAM_TYPE_BIGINT},
                   {"bigserial", LAM_TYPE_BIGINT},
                   {"serial4", LAM_TYPE_BIGINT},
                   {"serial8", LAM_TYPE_BIGINT}};
    for (size_t i = 0; serial && i < sizeof serials / sizeof serials[0]; i++)
        if (slice_eq_str(name, serials[i].name)) {
            *out = coltype_of(serials[i].type);
            *serial = true;
            return true;
        }
    enum lam_type type;
    if (!coltype_lookup(name, &type) || type == LAM_TYPE_NULL)
        return false;
    *out = coltype_of(type);
    if (type == LAM_TYPE_DECIMAL) {
        out->precision = DECIMAL_PRECISION_MAX;
        out->scale = 10;
    }
    return true;
}

enum lam_code parse_type(struct parser *p, struct coltype *out, bool *serial_out,
                         struct lam_error *err) {
    struct lam_slice name;
    uint32_t pos;
    if (parser_at_keyword(p, KW_INTERVAL))
        return parser_unsupported(p->tok.pos, "the type INTERVAL", err);
    TRY(parse_name(p, "a type", &name, &pos, err));
    if (!type_lookup(name, out, serial_out))
        return ERR_SQL(err, "42704", pos, "type \"%.*s\" does not exist",
                       (int)(name.size < 64 ? name.size : 64), (const char *)name.data);
    TRY(parse_type_tail(p, name, err));
    if (parser_at(p, TOK_LPAREN))
        TRY(parse_type_parameters(p, name, pos, out, err));
    if ((slice_eq_str(name, "timestamp") || slice_eq_str(name, "time")))
        TRY(parse_type_tail(p, name, err));
    if (parser_at(p, TOK_LBRACKET) || parser_at_keyword(p, KW_ARRAY))
        return parser_unsupported(p->tok.pos, "an array type", err);
    return LAM_OK;
}
