/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of CREATE TABLE: WITH (name = value) and the clauses that the parser puts in the same
 * form. */
#include "sql/table_options.h"

#include "base/arena.h"
#include "base/mem.h"

#define FLUSH_ROWS_MAX       1000000000ull
#define FLUSH_INTERVAL_MAX_S 31536000ull
#define RETENTION_HOURS_MAX  876000ull     /* a hundred years */
#define TTL_SECONDS_MAX      3153600000ull /* a hundred years */

static enum lam_code bad_value(const struct option *o, const char *allowed, struct lam_error *err) {
    return ERR_SQL(err, "22023", o->pos, "option %.*s: the value must be %s", (int)o->name.size,
                   (const char *)o->name.data, allowed);
}

static bool digits(struct lam_slice s, uint64_t *out) {
    uint64_t v = 0;
    if (s.size == 0 || s.size > 18)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out = v;
    return true;
}

static bool option_text(const struct option *o, struct lam_slice *out) {
    if (o->value.is_null || o->value.type.type != LAM_TYPE_TEXT)
        return false;
    *out = o->value.as.bytes;
    return true;
}

static enum lam_code option_number(const struct option *o, uint64_t min, uint64_t max,
                                   uint64_t *out, struct lam_error *err) {
    struct lam_slice text;
    char allowed[80];
    snprintf(allowed, sizeof allowed, "a whole number from %llu to %llu", (unsigned long long)min,
             (unsigned long long)max);
    if (option_text(o, &text)) {
        if (!digits(text, out))
            return bad_value(o, allowed, err);
    } else if (!o->value.is_null && coltype_is_integer(o->value.type.type) &&
               o->value.as.i64 >= 0) {
        *out = (uint64_t)o->value.as.i64;
    } else {
        return bad_value(o, allowed, err);
    }
    return *out < min || *out > max ? bad_value(o, allowed, err) : LAM_OK;
}

static struct lam_slice trimmed(struct lam_slice s) {
    while (s.size > 0 && s.data[0] == ' ') {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && s.data[s.size - 1] == ' ')
        s.size--;
    return s;
}

static enum lam_code policy_part(const struct option *o, struct lam_slice part,
                                 struct table_options *out, struct lam_error *err) {
    part = trimmed(part);
    bool rows = slice_starts_with(part, lam_slice_str("rows:"));
    bool interval = slice_starts_with(part, lam_slice_str("interval:"));
    size_t skip = rows ? 5 : 9;
    uint64_t n;
    if ((!rows && !interval) ||
        !digits(trimmed(lam_slice_of(part.data + skip, part.size - skip)), &n))
        return bad_value(o, "'rows:N', 'interval:SECONDS' or 'rows:N,interval:SECONDS'", err);
    if (rows ? out->flush_rows : out->flush_interval_s)
        return bad_value(o, rows ? "rows once" : "interval once", err);
    if (rows) {
        if (n < 1 || n > FLUSH_ROWS_MAX)
            return bad_value(o, "rows:N with N from 1 to 1000000000", err);
        out->flush_rows = n;
        return LAM_OK;
    }
    if (n < 1 || n > FLUSH_INTERVAL_MAX_S)
        return bad_value(o, "interval:S with S from 1 to 31536000 seconds", err);
    out->flush_interval_s = n;
    return LAM_OK;
}

static enum lam_code take_flush_policy(const struct option *o, struct arena *arena,
                                       struct table_options *out, struct lam_error *err) {
    (void)arena;
    struct lam_slice text;
    if (!option_text(o, &text))
        return bad_value(o, "'rows:N', 'interval:SECONDS' or both", err);
    while (true) {
        const uint8_t *comma = text.size ? memchr(text.data, ',', text.size) : NULL;
        size_t size = comma ? (size_t)(comma - text.data) : text.size;
        TRY(policy_part(o, lam_slice_of(text.data, size), out, err));
        if (!comma)
            return LAM_OK;
        text = lam_slice_of(comma + 1, text.size - size - 1);
    }
}

static enum lam_code take_storage(const struct option *o, struct arena *arena,
                                  struct table_options *out, struct lam_error *err) {
    (void)arena;
    struct lam_slice text;
    if (!option_text(o, &text) || text.size == 0 || text.size > IDENTIFIER_MAX)
        return bad_value(o, "the id of a storage", err);
    memset(out->storage, 0, sizeof out->storage);
    memcpy(out->storage, text.data, text.size);
    return LAM_OK;
}

static enum lam_code take_location(const struct option *o, struct arena *arena,
                                   struct table_options *out, struct lam_error *err) {
    struct lam_slice text;
    if (!option_text(o, &text))
        return bad_value(o, "a path template", err);
    out->location = arena_strdup_slice(arena, text);
    return out->location ? LAM_OK : mem_fail(err, text.size);
}

static enum lam_code take_retention(const struct option *o, struct arena *arena,
                                    struct table_options *out, struct lam_error *err) {
    (void)arena;
    struct lam_slice text;
    uint64_t hours = 0;
    if (!option_text(o, &text) || !slice_eq_str(text, "off"))
        TRY(option_number(o, 0, RETENTION_HOURS_MAX, &hours, err));
    out->deleted_retention_hours = (uint32_t)hours;
    return LAM_OK;
}

static enum lam_code take_ttl(const struct option *o, struct arena *arena,
                              struct table_options *out, struct lam_error *err) {
    (void)arena;
    return option_number(o, 1, TTL_SECONDS_MAX, &out->ttl_seconds, err);
}

static enum lam_code take_access(const struct option *o, struct arena *arena,
                                 struct table_options *out, struct lam_error *err) {
    (void)arena;
    struct lam_slice text;
    if (!option_text(o, &text) || !access_level_lookup(text, &out->access))
        return bad_value(o, "public, private, restricted or dba", err);
    return LAM_OK;
}

static enum lam_code take_compression(const struct option *o, struct arena *arena,
                                      struct table_options *out, struct lam_error *err) {
    (void)arena;
    struct lam_slice text;
    if (!option_text(o, &text) || (!slice_eq_str(text, "lz4") && !slice_eq_str(text, "none")))
        return bad_value(o, "lz4 or none", err);
    out->lz4 = slice_eq_str(text, "lz4");
    return LAM_OK;
}

/* WITH (TYPE = 'USER'): the parser leaves it to us to compare it with the statement's own word. */
static enum lam_code take_type(const struct option *o, struct arena *arena,
                               struct table_options *out, struct lam_error *err) {
    (void)arena;
    (void)out;
    struct lam_slice text;
    enum table_kind kind;
    return option_text(o, &text) && table_kind_from(text, &kind)
               ? LAM_OK
               : bad_value(o, "user, shared or stream", err);
}

enum allowed_kinds {
    FOR_USER = 1 << TABLE_USER,
    FOR_SHARED = 1 << TABLE_SHARED,
    FOR_STREAM = 1 << TABLE_STREAM,
    FOR_ALL = FOR_USER | FOR_SHARED | FOR_STREAM,
};
static const struct option_rule {
    const char *name;
    unsigned kinds;
    const char *where; /* what kinds, for the error */
    enum lam_code (*take)(const struct option *o, struct arena *arena, struct table_options *out,
                          struct lam_error *err);
} rules[] = {
    {"storage", FOR_USER | FOR_SHARED, "USER and SHARED", take_storage},
    {"location", FOR_USER | FOR_SHARED, "USER and SHARED", take_location},
    {"flush_policy", FOR_USER | FOR_SHARED, "USER and SHARED", take_flush_policy},
    {"deleted_retention_hours", FOR_USER | FOR_SHARED, "USER and SHARED", take_retention},
    {"ttl_seconds", FOR_STREAM, "STREAM", take_ttl},
    {"access_level", FOR_SHARED, "SHARED", take_access},
    {"compression", FOR_USER | FOR_SHARED, "USER and SHARED", take_compression},
    {"type", FOR_ALL, "all", take_type},
};
#define RULE_COUNT (sizeof rules / sizeof rules[0])

bool table_kind_from(struct lam_slice text, enum table_kind *out) {
    static const struct {
        const char *lower, *upper;
        enum table_kind kind;
    } kinds[] = {{"user", "USER", TABLE_USER},
                 {"shared", "SHARED", TABLE_SHARED},
                 {"stream", "STREAM", TABLE_STREAM}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (slice_eq_str(text, kinds[i].lower) || slice_eq_str(text, kinds[i].upper)) {
            *out = kinds[i].kind;
            return true;
        }
    return false;
}

static enum lam_code unknown_option(const struct option *o, enum table_kind kind,
                                    struct lam_error *err) {
    enum lam_code rc = ERR_SQL(err, "42601", o->pos, "unknown table option \"%.*s\"",
                               (int)o->name.size, (const char *)o->name.data);
    char list[200];
    size_t used = 0;
    for (size_t i = 0; i < RULE_COUNT; i++)
        if (rules[i].kinds & (1u << kind))
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     rules[i].name);
    return error_hint(err, rc, "allowed for %s tables: %s", table_kind_name(kind), list);
}

static enum lam_code take_option(const struct option *o, enum table_kind kind, struct arena *arena,
                                 struct table_options *out, struct lam_error *err) {
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (!slice_eq_str(o->name, rules[i].name))
            continue;
        if (!(rules[i].kinds & (1u << kind)))
            return ERR_SQL(err, "42601", o->pos,
                           "option %s is for %s tables only, this is a %s table", rules[i].name,
                           rules[i].where, table_kind_name(kind));
        return rules[i].take(o, arena, out, err);
    }
    return unknown_option(o, kind, err);
}

static enum lam_code check_repeats(const struct option *options, uint32_t count,
                                   struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (slice_eq(options[i].name, options[k].name))
                return ERR_SQL(err, "42601", options[i].pos, "option %.*s is given twice",
                               (int)options[i].name.size, (const char *)options[i].name.data);
    return LAM_OK;
}

enum lam_code table_options_read(const struct create_table_stmt *ast, struct arena *arena,
                                 enum table_kind *kind_out, struct table_options *out,
                                 struct lam_error *err) {
    table_options_init(out);
    *kind_out = ast->kind;
    TRY(check_repeats(ast->options, ast->option_count, err));
    for (uint32_t i = 0; i < ast->option_count; i++) {
        const struct option *o = &ast->options[i];
        struct lam_slice text;
        enum table_kind kind;
        if (!slice_eq_str(o->name, "type") || !option_text(o, &text) ||
            !table_kind_from(text, &kind))
            continue;
        if (ast->kind_given && kind != ast->kind)
            return ERR_SQL(err, "42601", o->pos,
                           "option type = '%.*s' conflicts with CREATE %s TABLE", (int)text.size,
                           (const char *)text.data, table_kind_name(ast->kind));
        *kind_out = kind;
    }
    for (uint32_t i = 0; i < ast->option_count; i++)
        TRY(take_option(&ast->options[i], *kind_out, arena, out, err));
    return LAM_OK;
}
