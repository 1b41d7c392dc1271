/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements that change rows or nothing, each with the state it should lead to. */
#include "tests/sim/gen_sql.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const wsql_spaces[MSQL_NAMESPACES] = {"default", "n1", "n2"};
const char *const wsql_storages[MSQL_STORAGES] = {"local", "s1", "s2"};

const char *wsql_kind_name(enum wsql_kind kind) {
    static const char *const names[] = {
#define X(name, text) text,
        WSQL_KINDS(X)
#undef X
    };
    return names[kind];
}

const char *wsql_canary(enum msql_kind kind, unsigned owner) {
    static const char *const canaries[MSQL_OWNERS] = {"<canary of no 0>", "<canary of no 1>",
                                                      "<canary of no 2>", "<canary of no 3>"};
    return kind == MSQL_SHARED ? "<canary for all>" : canaries[owner];
}

/* --- text ----------------------------------------------------------------------------------- */

static void reserve(struct wsql_text *t, size_t more) {
    if (t->size + more + 1 <= t->capacity)
        return;
    t->capacity = (t->size + more + 1) * 2;
    t->data = realloc(t->data, t->capacity);
    if (!t->data)
        abort();
}

void wsql_put(struct wsql_text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    reserve(t, (size_t)n);
    va_start(args, format);
    vsnprintf(t->data + t->size, (size_t)n + 1, format, args);
    va_end(args);
    t->size += (size_t)n;
}

void wsql_put_quoted(struct wsql_text *t, const char *text, size_t size, char quote) {
    reserve(t, 2 * size + 2);
    t->data[t->size++] = quote;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == quote)
            t->data[t->size++] = quote;
        t->data[t->size++] = text[i];
    }
    t->data[t->size++] = quote;
    t->data[t->size] = 0;
}

#define SECONDS_2024 INT64_C(1704067200)

static void put_timestamp(struct wsql_text *t, int64_t us) {
    int64_t s = us / 1000000 - SECONDS_2024;
    wsql_put(t, "'2024-01-%02d %02d:%02d:%02d.%06d'", 1 + (int)(s / 86400), (int)(s / 3600 % 24),
             (int)(s / 60 % 60), (int)(s % 60), (int)(us % 1000000));
}

void wsql_put_value(struct wsql_text *t, const struct msql_type *type, const struct msql_value *v) {
    if (v->null) {
        wsql_put(t, "NULL");
        return;
    }
    switch (type->type) {
    case LAM_TYPE_TEXT:
        wsql_put_quoted(t, v->text, v->size, '\'');
        break;
    case LAM_TYPE_DECIMAL:
        wsql_put(t, "%" PRId64 ".%02d", v->n / 100, (int)(v->n % 100));
        break;
    case LAM_TYPE_TIMESTAMP:
        put_timestamp(t, v->n);
        break;
    case LAM_TYPE_BOOLEAN:
        wsql_put(t, v->n ? "TRUE" : "FALSE");
        break;
    case LAM_TYPE_DOUBLE:
        wsql_put(t, "%" PRId64 ".%02d", v->n / 4, (int)(v->n % 4) * 25);
        break;
    default:
        wsql_put(t, "%" PRId64, v->n);
        break;
    }
}

void wsql_put_table(struct wsql_text *t, const struct msql_table *table) {
    wsql_put(t, "%s.%s", wsql_spaces[table->space], table->name);
}

/* --- drawing -------------------------------------------------------------------------------- */

static const char *long_text(void) {
    static char text[701];
    if (!text[0])
        for (size_t i = 0; i < 700; i++)
            text[i] = (char)('a' + i * 7 % 26);
    return text;
}

struct msql_value gen_value(struct wsql *w, const struct msql_type *type) {
    static const char *const texts[] = {"a",   "b",  "c",      "",    "ab", "it's",
                                        "A b", "%_", "\"x\"y", "üñ€", "z",  "0123456789ab"};
    struct choice *c = w->choice;
    struct msql_value v = {0};
    switch (type->type) {
    case LAM_TYPE_TEXT:
        v.text = texts[choose(c, 12)];
        if (type->length == 0 && choose_one_in(c, 16))
            v.text = long_text() + choose(c, 400);
        v.size = (uint32_t)strlen(v.text);
        break;
    case LAM_TYPE_DECIMAL:
        v.n = choose(c, 10) * 111;
        break;
    case LAM_TYPE_TIMESTAMP:
        v.n = (SECONDS_2024 + (int64_t)choose(c, 12) * 3601) * 1000000 + choose(c, 2);
        break;
    case LAM_TYPE_BOOLEAN:
        v.n = choose(c, 2);
        break;
    default:
        v.n = choose(c, 10);
        break;
    }
    return v;
}

struct msql_table *gen_table(struct wsql *w, const struct msql_state *s, unsigned kinds) {
    struct msql_table *found[MSQL_TABLES];
    unsigned count = 0;
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        if (s->tables[i] && (kinds >> s->tables[i]->kind & 1))
            found[count++] = s->tables[i];
    return count ? found[choose(w->choice, count)] : NULL;
}

/* A fresh row of an owner. */
static struct msql_row *draw_row(struct wsql *w, const struct msql_table *t, unsigned owner,
                                 bool *given, int64_t serial) {
    struct msql_value values[MSQL_COLUMNS];
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct msql_column *c = &t->columns[i];
        values[i] = (struct msql_value){.null = true};
        if (!strcmp(c->name, "own")) {
            values[i] = (struct msql_value){.text = wsql_canary(t->kind, owner), .size = 16};
        } else if (!strcmp(c->name, "ver")) {
            values[i] = (struct msql_value){.n = (int64_t)w->number};
        } else if (!given[i]) {
            if (c->has_default)
                values[i] = c->def;
        } else if (!c->nullable || !choose_one_in(w->choice, 5)) {
            values[i] = gen_value(w, &c->type);
            if (c->is_key && !values[i].text && c->type.type != LAM_TYPE_TIMESTAMP)
                values[i].n = serial >= 0 ? serial : (int64_t)choose(w->choice, 24);
        }
    }
    return msql_row_new(values, t->column_count);
}

/* Which columns a statement names. */
static void draw_given(struct wsql *w, const struct msql_table *t, bool *given) {
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct msql_column *c = &t->columns[i];
        bool needed = c->is_key || (!c->nullable && !c->has_default);
        given[i] = needed || !choose_one_in(w->choice, 4);
    }
}

static void put_rows(struct wsql_text *sql, const struct msql_table *t, const bool *given,
                     struct msql_row **rows, size_t count) {
    const char *comma = "";
    wsql_put(sql, "INSERT INTO ");
    wsql_put_table(sql, t);
    wsql_put(sql, " (");
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (given[i]) {
            wsql_put(sql, "%s%s", comma, t->columns[i].name);
            comma = ", ";
        }
    }
    wsql_put(sql, ") VALUES ");
    for (size_t r = 0; r < count; r++) {
        wsql_put(sql, r ? ", (" : "(");
        comma = "";
        for (uint32_t i = 0; i < t->column_count; i++) {
            if (!given[i])
                continue;
            wsql_put(sql, "%s", comma);
            wsql_put_value(sql, &t->columns[i].type, &rows[r]->values[i]);
            comma = ", ";
        }
        wsql_put(sql, ")");
    }
}

/* Columns that ON CONFLICT takes from the proposed row: at least one. */
static size_t put_conflict(struct wsql *w, struct wsql_text *sql, const struct msql_table *t,
                           enum msql_conflict conflict, struct msql_set *sets) {
    size_t count = 0;
    wsql_put(sql, " ON CONFLICT");
    if (conflict != MSQL_NOTHING) {
        wsql_put(sql, " (");
        for (uint32_t i = 0; i < t->key_count; i++)
            wsql_put(sql, "%s%s", i ? ", " : "", t->columns[t->keys[i]].name);
        wsql_put(sql, ")");
    }
    if (conflict != MSQL_DO_UPDATE) {
        wsql_put(sql, " DO NOTHING");
        return 0;
    }
    wsql_put(sql, " DO UPDATE SET ");
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct msql_column *c = &t->columns[i];
        if (c->is_key || (strcmp(c->name, "ver") != 0 && choose_one_in(w->choice, 3)))
            continue;
        wsql_put(sql, "%s%s = excluded.%s", count ? ", " : "", c->name, c->name);
        sets[count++] = (struct msql_set){.column = i, .excluded = true};
    }
    return count;
}

/* The state to come, in which the statement's table is changed. */
static struct msql_table *copy_for(struct wsql_step *step, const struct msql_state *now,
                                   const struct msql_table *t) {
    step->after = msql_state_copy(now);
    return msql_table_find(step->after, t->space, t->name);
}

void gen_refuse(struct wsql_step *step) {
    msql_state_unref(step->after);
    step->after = NULL;
    step->expect = WSQL_REFUSED;
}

#define BULK 90

static bool gen_insert(struct wsql *w, struct wsql_step *step, const struct msql_table *t,
                       unsigned owner, bool upsert) {
    struct msql_row *rows[BULK];
    struct msql_set sets[MSQL_COLUMNS];
    bool given[MSQL_COLUMNS];
    struct choice *c = w->choice;
    size_t count = 1 + choose(c, 5), set_count = 0;
    int64_t serial = -1;
    enum msql_conflict conflict = MSQL_FAIL;
    draw_given(w, t, given);
    enum lam_type first = t->columns[t->keys[0]].type.type;
    if (!choose_one_in(c, 3))
        serial = (int64_t)(w->number * 8);
    if (choose_one_in(c, 12) && first != LAM_TYPE_TEXT && first != LAM_TYPE_TIMESTAMP) {
        count = BULK;
        serial = 30 + choose(c, 3) * 60;
    }
    for (size_t i = 0; i < count; i++)
        rows[i] = draw_row(w, t, owner, given, serial < 0 ? -1 : serial + (int64_t)i);
    put_rows(&step->sql, t, given, rows, count);
    if (upsert) {
        conflict = (enum msql_conflict)(1 + choose(c, 3));
        set_count = put_conflict(w, &step->sql, t, conflict, sets);
    }
    struct msql_table *next = copy_for(step, wsql_now(w), t);
    if (!msql_insert(next, owner, rows, count, conflict, sets, set_count))
        gen_refuse(step);
    return true;
}

/* --- conditions ------------------------------------------------------------------------------ */

static const struct msql_value *value_there(struct wsql *w, const struct msql_table *t,
                                            unsigned owner, uint32_t column) {
    const struct msql_rows *rows = &t->rows[owner];
    if (rows->count == 0 || choose_one_in(w->choice, 5))
        return NULL;
    return &rows->items[choose(w->choice, (uint32_t)rows->count)]->values[column];
}

static void draw_key(struct wsql *w, const struct msql_table *t, unsigned owner,
                     struct msql_where *where) {
    const struct msql_rows *rows = &t->rows[owner];
    bool there = rows->count > 0 && !choose_one_in(w->choice, 6);
    const struct msql_row *row =
        there ? rows->items[choose(w->choice, (uint32_t)rows->count)] : NULL;
    where->cond = MSQL_KEY;
    for (uint32_t i = 0; i < t->key_count; i++)
        where->key[i] = row ? row->values[t->keys[i]] : gen_value(w, &t->columns[t->keys[i]].type);
}

static void draw_where(struct wsql *w, const struct msql_table *t, unsigned owner,
                       struct msql_where *where) {
    struct choice *c = w->choice;
    *where = (struct msql_where){.column = choose(c, t->column_count)};
    const struct msql_value *there = value_there(w, t, owner, where->column);
    unsigned pick = choose(c, 12);
    if (pick < 5) {
        draw_key(w, t, owner, where);
    } else if (pick < 7) {
        where->cond = MSQL_RANGE;
        where->a = gen_value(w, &t->columns[t->keys[0]].type);
        where->b = gen_value(w, &t->columns[t->keys[0]].type);
    } else if (pick < 10) {
        where->cond = MSQL_EQ;
        if (t->index_count > 0 && choose(c, 2))
            where->column = t->indexes[choose(c, t->index_count)].columns[0];
        there = value_there(w, t, owner, where->column);
        where->a = there ? *there : gen_value(w, &t->columns[where->column].type);
    } else if (pick == 10) {
        where->cond = choose(c, 2) ? MSQL_IS_NULL : MSQL_LESS;
        where->a = gen_value(w, &t->columns[where->column].type);
        if (t->columns[where->column].type.type == LAM_TYPE_BOOLEAN)
            where->cond = MSQL_IS_NULL;
    }
}

static void put_where(struct wsql_text *sql, const struct msql_table *t,
                      const struct msql_where *w) {
    const struct msql_column *c = &t->columns[w->column], *k = &t->columns[t->keys[0]];
    switch (w->cond) {
    case MSQL_ALL:
        break;
    case MSQL_KEY:
        for (uint32_t i = 0; i < t->key_count; i++) {
            k = &t->columns[t->keys[i]];
            wsql_put(sql, "%s%s = ", i ? " AND " : " WHERE ", k->name);
            wsql_put_value(sql, &k->type, &w->key[i]);
        }
        break;
    case MSQL_RANGE:
        wsql_put(sql, " WHERE %s >= ", k->name);
        wsql_put_value(sql, &k->type, &w->a);
        wsql_put(sql, " AND %s <= ", k->name);
        wsql_put_value(sql, &k->type, &w->b);
        break;
    case MSQL_IS_NULL:
        wsql_put(sql, " WHERE %s IS NULL", c->name);
        break;
    case MSQL_EQ:
    case MSQL_LESS:
        wsql_put(sql, " WHERE %s %s ", c->name, w->cond == MSQL_EQ ? "=" : "<");
        wsql_put_value(sql, &c->type, &w->a);
        break;
    }
}

static bool is_integer(enum lam_type t) {
    return t == LAM_TYPE_SMALLINT || t == LAM_TYPE_INT || t == LAM_TYPE_BIGINT;
}

static size_t draw_sets(struct wsql *w, struct wsql_text *sql, const struct msql_table *t,
                        struct msql_set *sets) {
    struct choice *c = w->choice;
    size_t count = 0;
    for (uint32_t tries = 1 + choose(c, 2); tries > 0; tries--) {
        struct msql_set s = {.column = choose(c, t->column_count)};
        const struct msql_column *col = &t->columns[s.column];
        bool twice = count > 0 && sets[0].column == s.column;
        if (twice || !strcmp(col->name, "own") || !strcmp(col->name, "ver") ||
            (col->is_key && !choose_one_in(c, 3)))
            continue;
        s.add = is_integer(col->type.type) && choose(c, 2);
        s.value = s.add ? (struct msql_value){.n = 1 + choose(c, 3)} : gen_value(w, &col->type);
        if (!s.add && choose_one_in(c, 6))
            s.value = (struct msql_value){.null = true};
        sets[count++] = s;
    }
    if (count == 0 || !choose_one_in(c, 4))
        sets[count++] = (struct msql_set){.column = (uint32_t)msql_column_find(t, "ver"),
                                          .value = {.n = (int64_t)w->number}};
    for (size_t i = 0; i < count; i++) {
        const struct msql_column *col = &t->columns[sets[i].column];
        wsql_put(sql, "%s%s = ", i ? ", " : " SET ", col->name);
        if (sets[i].add)
            wsql_put(sql, "%s + ", col->name);
        wsql_put_value(sql, &col->type, &sets[i].value);
    }
    return count;
}

static bool gen_update(struct wsql *w, struct wsql_step *step, const struct msql_table *t,
                       unsigned owner) {
    struct msql_set sets[MSQL_COLUMNS];
    struct msql_where where;
    wsql_put(&step->sql, "UPDATE ");
    wsql_put_table(&step->sql, t);
    size_t count = draw_sets(w, &step->sql, t, sets);
    draw_where(w, t, owner, &where);
    put_where(&step->sql, t, &where);
    struct msql_table *next = copy_for(step, wsql_now(w), t);
    if (t->kind == MSQL_STREAM || !msql_update(next, owner, &where, sets, count))
        gen_refuse(step);
    return true;
}

static bool gen_delete(struct wsql *w, struct wsql_step *step, const struct msql_table *t,
                       unsigned owner) {
    struct msql_where where;
    wsql_put(&step->sql, "DELETE FROM ");
    wsql_put_table(&step->sql, t);
    draw_where(w, t, owner, &where);
    if (where.cond == MSQL_ALL && !choose_one_in(w->choice, 4))
        draw_key(w, t, owner, &where);
    put_where(&step->sql, t, &where);
    msql_delete(copy_for(step, wsql_now(w), t), owner, &where);
    return true;
}

/* --- one of them ----------------------------------------------------------------------------- */

static bool change_rows(struct wsql *w, enum wsql_kind kind, struct wsql_step *step,
                        const struct msql_table *t, unsigned owner) {
    switch (kind) {
    case WSQL_INSERT:
        return gen_insert(w, step, t, owner, false);
    case WSQL_UPSERT:
        return gen_insert(w, step, t, owner, true);
    case WSQL_UPDATE:
        return gen_update(w, step, t, owner);
    default:
        return gen_delete(w, step, t, owner);
    }
}

bool gen_rows(struct wsql *w, enum wsql_kind kind, struct wsql_step *step) {
    const struct msql_table *t = gen_table(w, wsql_now(w), ~0u);
    if (!t)
        return false;
    if (t->kind == MSQL_STREAM && kind == WSQL_UPDATE && !choose_one_in(w->choice, 4))
        return false;
    unsigned owner = t->kind == MSQL_SHARED ? 0 : choose(w->choice, MSQL_OWNERS);
    step->who = t->kind == MSQL_SHARED ? -1 : (int)owner;
    return change_rows(w, kind, step, t, owner);
}

bool gen_execute_as(struct wsql *w, struct wsql_step *step) {
    static const enum wsql_kind kinds[] = {WSQL_INSERT, WSQL_UPSERT, WSQL_UPDATE, WSQL_DELETE};
    const struct msql_state *now = wsql_now(w);
    const struct msql_table *t = gen_table(w, now, 1u << MSQL_USER);
    unsigned owner = choose(w->choice, MSQL_OWNERS);
    if (!t || now->users[owner] != MSQL_LIVE)
        return false;
    wsql_put(&step->sql, "EXECUTE AS USER ");
    wsql_put_quoted(&step->sql, w->owners[owner], strlen(w->owners[owner]), '\'');
    wsql_put(&step->sql, " ");
    if (!change_rows(w, kinds[choose(w->choice, 4)], step, t, owner))
        return false;
    if (step->after)
        step->after->audits++;
    return true;
}
