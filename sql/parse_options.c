/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of CREATE TABLE: WITH (name = value, ...) and the clauses STORAGE, LOCATION, FLUSH
 * POLICY, DELETED_RETENTION, TTL and ACCESS, all brought to one form. Whether an option suits the
 * table's kind, and its range, is checked where the table is made. */
#include "sql/parse.h"

#include <stdio.h>

#include "base/assert.h"

static const struct {
    const char *name, *canonical;
} option_names[] = {
    {"storage", "storage"},
    {"storage_id", "storage"},
    {"location", "location"},
    {"flush_policy", "flush_policy"},
    {"deleted_retention_hours", "deleted_retention_hours"},
    {"deleted_retention", "deleted_retention_hours"},
    {"ttl_seconds", "ttl_seconds"},
    {"ttl", "ttl_seconds"},
    {"access_level", "access_level"},
    {"access", "access_level"},
    {"compression", "compression"},
    {"type", "type"},
};

static const char *canonical_name(struct lam_slice name) {
    for (size_t i = 0; i < sizeof option_names / sizeof option_names[0]; i++)
        if (slice_eq_str(name, option_names[i].name))
            return option_names[i].canonical;
    return NULL;
}

static enum lam_code add_option(struct parser *p, struct list *options, const char *name,
                                uint32_t pos, struct value v, struct lam_error *err) {
    const struct option *have = options->items;
    void *slot;
    for (uint32_t i = 0; i < options->count; i++)
        if (slice_eq_str(have[i].name, name))
            return ERR_SQL(err, "42601", pos, "option %s is given twice", name);
    TRY(list_add(p->arena, options, sizeof(struct option), &slot, err));
    struct option o = {.name = lam_slice_str(name), .value = v, .pos = pos};
    memcpy(slot, &o, sizeof o);
    return LAM_OK;
}

/* A count and its unit, "7d", "30 minutes", "90": seconds, the bare number in `unit_s`. */
static bool read_duration(struct lam_slice s, int64_t unit_s, int64_t *out) {
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"s", 1},         {"sec", 1},      {"second", 1},   {"seconds", 1},
                 {"m", 60},        {"min", 60},     {"minute", 60},  {"minutes", 60},
                 {"h", 3600},      {"hour", 3600},  {"hours", 3600}, {"d", 86400},
                 {"day", 86400},   {"days", 86400}, {"w", 604800},   {"week", 604800},
                 {"weeks", 604800}};
    size_t i = 0, start;
    int64_t v = 0;
    char word[12];
    while (i < s.size && s.data[i] == ' ')
        i++;
    start = i;
    for (; i < s.size && s.data[i] >= '0' && s.data[i] <= '9'; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.data[i] - '0', &v))
            return false;
    if (i == start)
        return false;
    while (i < s.size && s.data[i] == ' ')
        i++;
    size_t n = 0;
    for (; i < s.size && s.data[i] != ' ' && n + 1 < sizeof word; i++)
        word[n++] = (char)(s.data[i] | 32);
    word[n] = 0;
    while (i < s.size && s.data[i] == ' ')
        i++;
    if (i < s.size)
        return false;
    if (n == 0)
        return !__builtin_mul_overflow(v, unit_s, out);
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
        if (strcmp(word, units[u].name) == 0)
            return !__builtin_mul_overflow(v, units[u].seconds, out);
    return false;
}

static bool is_off(struct lam_slice s) {
    return s.size == 3 && (s.data[0] | 32) == 'o' && (s.data[1] | 32) == 'f' &&
           (s.data[2] | 32) == 'f';
}

/* Number or text of a duration as a count of `unit_s`; 22023 naming the option. */
static enum lam_code duration_value(const char *name, uint32_t pos, int64_t unit_s,
                                    bool off_allowed, struct value *v, struct lam_error *err) {
    int64_t seconds = 0;
    if (v->type.type == LAM_TYPE_BIGINT)
        return LAM_OK;
    if (v->type.type == LAM_TYPE_TEXT && off_allowed && is_off(v->as.bytes)) {
        *v = value_i64(LAM_TYPE_BIGINT, 0);
        return LAM_OK;
    }
    if (v->type.type != LAM_TYPE_TEXT || !read_duration(v->as.bytes, unit_s, &seconds) ||
        seconds % unit_s != 0) {
        enum lam_code rc = ERR_SQL(err, "22023", pos, "option %s is no duration", name);
        return error_hint(err, rc, "write a number of %s or a text such as '7d', '12h'%s%s",
                          unit_s == 3600 ? "hours" : "seconds", unit_s == 1 ? ", '30s'" : "",
                          off_allowed ? ", 'off'" : "");
    }
    *v = value_i64(LAM_TYPE_BIGINT, seconds / unit_s);
    return LAM_OK;
}

/* Brings the value to what the option's name says. */
static enum lam_code settle(const char *name, uint32_t pos, struct value *v,
                            struct lam_error *err) {
    if (strcmp(name, "deleted_retention_hours") == 0)
        return duration_value(name, pos, 3600, true, v, err);
    if (strcmp(name, "ttl_seconds") == 0)
        return duration_value(name, pos, 1, false, v, err);
    if (v->type.type != LAM_TYPE_TEXT)
        return ERR_SQL(err, "22023", pos, "option %s takes a text in quotes", name);
    return LAM_OK;
}

/* A string, a number, TRUE/FALSE or a bare word (as text). */
static enum lam_code parse_option_value(struct parser *p, struct value *out,
                                        struct lam_error *err) {
    struct lam_slice text = SLICE_EMPTY;
    int64_t n = 0;
    bool minus = false;
    if (p->tok.kind == TOK_NAME) {
        /* Any word will do, reserved ones too. */
        TRY(token_name(&p->lexer, &p->tok, p->arena, &text, err));
        *out = value_bytes(LAM_TYPE_TEXT, text);
        return parser_next(p, err);
    }
    if (token_is_string(&p->tok)) {
        TRY(parse_string(p, "a value", &text, err));
        *out = value_bytes(LAM_TYPE_TEXT, text);
        return LAM_OK;
    }
    TRY(parser_accept(p, TOK_MINUS, &minus, err));
    TRY(parse_count(p, "a value (text in quotes or a whole number)", &n, err));
    *out = value_i64(LAM_TYPE_BIGINT, minus ? -n : n);
    return LAM_OK;
}

static enum lam_code parse_with(struct parser *p, struct list *options, struct lam_error *err) {
    bool more = true;
    TRY(parser_next(p, err));
    TRY(parser_expect(p, TOK_LPAREN, "(", err));
    while (more) {
        struct lam_slice name;
        struct value v;
        uint32_t pos;
        TRY(parse_name(p, "an option name", &name, &pos, err));
        const char *canonical = canonical_name(name);
        if (!canonical) {
            enum lam_code rc =
                ERR_SQL(err, "22023", pos, "there is no table option \"%.*s\"",
                        (int)(name.size < 64 ? name.size : 64), (const char *)name.data);
            return error_hint(err, rc,
                              "allowed: storage, location, flush_policy, deleted_retention_hours, "
                              "ttl_seconds, access_level, compression, type");
        }
        TRY(parser_expect(p, TOK_EQ, "=", err));
        TRY(parse_option_value(p, &v, err));
        TRY(settle(canonical, pos, &v, err));
        TRY(add_option(p, options, canonical, pos, v, err));
        TRY(parser_accept(p, TOK_COMMA, &more, err));
    }
    return parser_expect(p, TOK_RPAREN, ", or )", err);
}

/* INTERVAL n | 'n minutes': seconds. */
static enum lam_code parse_interval(struct parser *p, int64_t *out, struct lam_error *err) {
    uint32_t pos;
    struct lam_slice text;
    TRY(parser_next(p, err));
    pos = p->tok.pos;
    if (!token_is_string(&p->tok))
        return parse_count(p, "a number of seconds or a text such as '5 minutes'", out, err);
    TRY(parse_string(p, "an interval", &text, err));
    if (!read_duration(text, 1, out))
        return ERR_SQL(err, "22023", pos,
                       "\"%.*s\" is no interval: write '30 seconds', '5 minutes'",
                       (int)(text.size < 64 ? text.size : 64), (const char *)text.data);
    return LAM_OK;
}

/* FLUSH POLICY [ROWS n] [INTERVAL i] */
static enum lam_code parse_flush_policy(struct parser *p, struct list *options,
                                        struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    int64_t rows = -1, interval = -1;
    TRY(parser_next(p, err));
    TRY(parser_expect_keyword(p, KW_POLICY, err));
    while (parser_at_keyword(p, KW_ROWS) || parser_at_keyword(p, KW_INTERVAL)) {
        bool is_rows = parser_at_keyword(p, KW_ROWS);
        if ((is_rows ? rows : interval) >= 0)
            return ERR_SQL(err, "42601", p->tok.pos, "%s is given twice",
                           is_rows ? "ROWS" : "INTERVAL");
        if (is_rows) {
            TRY(parser_next(p, err));
            TRY(parse_count(p, "a number of rows", &rows, err));
        } else {
            TRY(parse_interval(p, &interval, err));
        }
    }
    if (rows < 0 && interval < 0)
        return parser_fail(p, "ROWS or INTERVAL", err);
    char text[80];
    if (rows >= 0 && interval >= 0)
        snprintf(text, sizeof text, "rows:%lld,interval:%lld", (long long)rows,
                 (long long)interval);
    else
        snprintf(text, sizeof text, "%s:%lld", rows >= 0 ? "rows" : "interval",
                 (long long)(rows >= 0 ? rows : interval));
    const char *copy = arena_strdup(p->arena, text);
    if (!copy)
        return mem_fail(err, sizeof text);
    return add_option(p, options, "flush_policy", pos, value_text(copy), err);
}

/* LOCATION '..' or LOCATION REFERENCE 'id'. */
static enum lam_code parse_location(struct parser *p, struct list *options, struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    struct lam_slice text;
    bool reference = false;
    TRY(parser_next(p, err));
    TRY(parser_accept_keyword(p, KW_REFERENCE, &reference, err));
    if (reference)
        TRY(parse_name_or_string(p, "a storage id", &text, NULL, err));
    else
        TRY(parse_string(p, "a path in quotes or REFERENCE", &text, err));
    return add_option(p, options, reference ? "storage" : "location", pos,
                      value_bytes(LAM_TYPE_TEXT, text), err);
}

/* STORAGE x, DELETED_RETENTION x, TTL x, ACCESS [LEVEL] x. */
static enum lam_code parse_clause(struct parser *p, struct list *options, const char *name,
                                  struct lam_error *err) {
    uint32_t pos = p->tok.pos;
    struct value v;
    bool word = false;
    bool access = parser_at_keyword(p, KW_ACCESS);
    TRY(parser_next(p, err));
    if (access)
        TRY(parser_accept_keyword(p, KW_LEVEL, &word, err));
    TRY(parse_option_value(p, &v, err));
    TRY(settle(name, pos, &v, err));
    return add_option(p, options, name, pos, v, err);
}

enum lam_code parse_table_options(struct parser *p, struct create_table_stmt *t,
                                  struct lam_error *err) {
    struct list options = {0};
    for (bool more = true; more;) {
        switch (p->tok.kind == TOK_NAME ? p->tok.keyword : KW_NONE) {
        case KW_WITH:
            TRY(parse_with(p, &options, err));
            break;
        case KW_FLUSH:
            TRY(parse_flush_policy(p, &options, err));
            break;
        case KW_LOCATION:
            TRY(parse_location(p, &options, err));
            break;
        case KW_STORAGE:
            TRY(parse_clause(p, &options, "storage", err));
            break;
        case KW_DELETED_RETENTION:
            TRY(parse_clause(p, &options, "deleted_retention_hours", err));
            break;
        case KW_TTL:
            TRY(parse_clause(p, &options, "ttl_seconds", err));
            break;
        case KW_ACCESS:
            TRY(parse_clause(p, &options, "access_level", err));
            break;
        default:
            more = false;
        }
    }
    t->options = options.items;
    t->option_count = options.count;
    return LAM_OK;
}
