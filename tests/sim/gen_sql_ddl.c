/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements that change what there is, and things done to the database as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/gen_sql.h"

/* Ids have room for some decades. */
#define EXPIRIES_MAX 3u

/* The state after a schema change, which is durable once acknowledged. */
static struct msql_state *change(struct wsql *w, struct wsql_step *step) {
    step->synced = true;
    return step->after = msql_state_copy(wsql_now(w));
}

static bool root_only(struct wsql_step *step) {
    step->who = -1;
    return true;
}

/* --- namespaces, storages, users ------------------------------------------------------------- */

static bool gen_create_namespace(struct wsql *w, struct wsql_step *step) {
    unsigned space = 1 + choose(w->choice, MSQL_NAMESPACES - 1);
    struct msql_state *after = change(w, step);
    bool if_not = choose(w->choice, 2);
    wsql_put(&step->sql, "CREATE NAMESPACE %s%s", if_not ? "IF NOT EXISTS " : "",
             wsql_spaces[space]);
    if (after->spaces[space] && !if_not)
        gen_refuse(step);
    else
        after->spaces[space] = true;
    return root_only(step);
}

static bool gen_drop_namespace(struct wsql *w, struct wsql_step *step) {
    unsigned space = 1 + choose(w->choice, MSQL_NAMESPACES - 1);
    struct msql_state *after = change(w, step);
    bool cascade = choose(w->choice, 2), empty = true;
    if (!after->spaces[space] && !choose_one_in(w->choice, 8))
        return false;
    wsql_put(&step->sql, "DROP NAMESPACE %s%s", wsql_spaces[space], cascade ? " CASCADE" : "");
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        struct msql_table *t = after->tables[i];
        if (!t || t->space != space)
            continue;
        empty = false;
        msql_table_remove(after, t);
    }
    if (!after->spaces[space] || (!cascade && !empty))
        gen_refuse(step);
    else
        after->spaces[space] = false;
    return root_only(step);
}

static bool gen_create_storage(struct wsql *w, struct wsql_step *step) {
    static const char *const bases[MSQL_STORAGES] = {"", "cold2/deep", "/outside"};
    unsigned storage = 1 + choose(w->choice, MSQL_STORAGES - 1);
    struct msql_state *after = change(w, step);
    wsql_put(&step->sql, "CREATE STORAGE %s TYPE filesystem BASE_DIRECTORY '%s'",
             wsql_storages[storage], bases[storage]);
    if (storage == 2)
        wsql_put(&step->sql, " SHARED_TABLES_TEMPLATE 'all/{namespace}-{table}' "
                             "USER_TABLES_TEMPLATE 'u-${user_id}/{namespace}.{table}'");
    if (after->storages[storage])
        gen_refuse(step);
    else
        after->storages[storage] = true;
    return root_only(step);
}

static bool gen_drop_storage(struct wsql *w, struct wsql_step *step) {
    unsigned storage = 1 + choose(w->choice, MSQL_STORAGES - 1);
    struct msql_state *after = change(w, step);
    bool used = false;
    if (!after->storages[storage] && !choose_one_in(w->choice, 8))
        return false;
    wsql_put(&step->sql, "DROP STORAGE %s", wsql_storages[storage]);
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        used = used || (after->tables[i] && after->tables[i]->storage == storage);
    if (!after->storages[storage] || used)
        gen_refuse(step);
    else
        after->storages[storage] = false;
    return root_only(step);
}

static bool gen_create_user(struct wsql *w, struct wsql_step *step) {
    unsigned owner = choose(w->choice, MSQL_OWNERS);
    struct msql_state *after = change(w, step);
    bool if_not = choose_one_in(w->choice, 3);
    wsql_put(&step->sql, "CREATE USER %s", if_not ? "IF NOT EXISTS " : "");
    wsql_put_quoted(&step->sql, w->owners[owner], strlen(w->owners[owner]), '\'');
    wsql_put(&step->sql, " ROLE user EMAIL 'mail@%u'", owner);
    if (after->users[owner] == MSQL_DROPPED || (after->users[owner] == MSQL_LIVE && !if_not))
        gen_refuse(step);
    else
        after->users[owner] = MSQL_LIVE;
    return root_only(step);
}

static bool gen_drop_user(struct wsql *w, struct wsql_step *step) {
    unsigned owner = choose(w->choice, MSQL_OWNERS);
    struct msql_state *after = change(w, step);
    if (after->users[owner] != MSQL_LIVE && !choose_one_in(w->choice, 8))
        return false;
    wsql_put(&step->sql, "DROP USER ");
    wsql_put_quoted(&step->sql, w->owners[owner], strlen(w->owners[owner]), '\'');
    if (after->users[owner] != MSQL_LIVE)
        gen_refuse(step);
    else
        after->users[owner] = MSQL_DROPPED;
    return root_only(step);
}

/* --- tables ---------------------------------------------------------------------------------- */

static const struct msql_type types[] = {
    {LAM_TYPE_INT, 0, 0, 0},       {LAM_TYPE_TEXT, 0, 0, 0},    {LAM_TYPE_BIGINT, 0, 0, 0},
    {LAM_TYPE_TIMESTAMP, 0, 0, 0}, {LAM_TYPE_DECIMAL, 8, 2, 0}, {LAM_TYPE_TEXT, 0, 0, 12},
    {LAM_TYPE_SMALLINT, 0, 0, 0},  {LAM_TYPE_BOOLEAN, 0, 0, 0}, {LAM_TYPE_DOUBLE, 0, 0, 0},
};
#define TYPES     (sizeof types / sizeof types[0])
#define KEY_TYPES 4

static void put_type(struct wsql_text *sql, const struct msql_type *t) {
    static const char *const names[] = {
        [LAM_TYPE_BOOLEAN] = "BOOLEAN", [LAM_TYPE_SMALLINT] = "SMALLINT",  [LAM_TYPE_INT] = "INT",
        [LAM_TYPE_BIGINT] = "BIGINT",   [LAM_TYPE_DOUBLE] = "DOUBLE",      [LAM_TYPE_TEXT] = "TEXT",
        [LAM_TYPE_DECIMAL] = "DECIMAL", [LAM_TYPE_TIMESTAMP] = "TIMESTAMP"};
    if (t->type == LAM_TYPE_DECIMAL)
        wsql_put(sql, "DECIMAL(%u, %u)", t->precision, t->scale);
    else if (t->type == LAM_TYPE_TEXT && t->length)
        wsql_put(sql, "VARCHAR(%u)", t->length);
    else
        wsql_put(sql, "%s", names[t->type]);
}

static struct msql_column *add_column(struct msql_table *t, const char *name,
                                      const struct msql_type *type) {
    struct msql_column *c = &t->columns[t->column_count++];
    *c = (struct msql_column){.type = *type};
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

static void draw_default(struct wsql *w, struct msql_column *c) {
    c->has_default = true;
    c->def = gen_value(w, &c->type);
    if (c->def.text && c->def.size > 12)
        c->def = (struct msql_value){.text = "dflt", .size = 4};
}

static void put_column(struct wsql_text *sql, const struct msql_column *c) {
    wsql_put(sql, "%s ", c->name);
    put_type(sql, &c->type);
    if (!c->nullable)
        wsql_put(sql, " NOT NULL");
    if (c->has_default) {
        wsql_put(sql, " DEFAULT ");
        wsql_put_value(sql, &c->type, &c->def);
    }
}

static void draw_columns(struct wsql *w, struct msql_table *t) {
    struct choice *c = w->choice;
    static const struct msql_type text = {LAM_TYPE_TEXT, 0, 0, 0}, big = {LAM_TYPE_BIGINT, 0, 0, 0};
    char name[MSQL_NAME];
    t->key_count = 1 + choose_one_in(c, 3);
    for (uint32_t i = 0; i < t->key_count; i++) {
        snprintf(name, sizeof name, "k%u", i);
        add_column(t, name, &types[choose(c, KEY_TYPES)])->is_key = true;
        t->keys[i] = i;
    }
    add_column(t, "own", &text);
    add_column(t, "ver", &big);
    uint32_t more = 1 + choose(c, 4);
    for (uint32_t i = 0; i < more; i++) {
        snprintf(name, sizeof name, "c%u", i);
        struct msql_column *col = add_column(t, name, &types[choose(c, TYPES)]);
        col->nullable = !choose_one_in(c, 3);
        if (choose_one_in(c, 4))
            draw_default(w, col);
    }
    if (t->key_count == 2 && choose(c, 2)) {
        t->keys[0] = 1;
        t->keys[1] = 0;
    }
}

static void put_columns(struct wsql_text *sql, const struct msql_table *t) {
    wsql_put(sql, " (");
    for (uint32_t i = 0; i < t->column_count; i++) {
        wsql_put(sql, i ? ", " : "");
        put_column(sql, &t->columns[i]);
    }
    wsql_put(sql, ", PRIMARY KEY (");
    for (uint32_t i = 0; i < t->key_count; i++)
        wsql_put(sql, "%s%s", i ? ", " : "", t->columns[t->keys[i]].name);
    wsql_put(sql, "))");
}

static void put_options(struct wsql *w, struct wsql_text *sql, const struct msql_table *t) {
    if (t->kind == MSQL_SHARED)
        wsql_put(sql, " WITH (access_level = 'public', storage = '%s'", wsql_storages[t->storage]);
    else if (t->kind == MSQL_STREAM)
        wsql_put(sql, " WITH (ttl_seconds = %lld", (long long)WSQL_TTL_SECONDS);
    else
        wsql_put(sql, " WITH (storage = '%s'", wsql_storages[t->storage]);
    if (t->kind != MSQL_STREAM && choose_one_in(w->choice, 6))
        wsql_put(sql, ", flush_policy = 'rows:%u'", 3 + choose(w->choice, 10));
    if (t->kind != MSQL_STREAM && choose_one_in(w->choice, 3))
        wsql_put(sql, ", compression = 'none'");
    wsql_put(sql, ")");
}

static bool gen_create_table(struct wsql *w, struct wsql_step *step) {
    static const char *const kinds[] = {"", "USER", "SHARED", "STREAM"};
    struct choice *c = w->choice;
    struct msql_state *after = change(w, step);
    char name[MSQL_NAME];
    unsigned space = choose(c, MSQL_NAMESPACES);
    snprintf(name, sizeof name, "t%u", choose(c, 3));
    bool exists = msql_table_find(after, space, name) != NULL;
    if (!after->spaces[space] || (exists && !choose_one_in(c, 8)))
        return false;
    struct msql_table scratch = {.space = space}, *t = exists ? &scratch : NULL;
    if (!t)
        t = msql_table_add(after, space, name);
    if (!t)
        return false;
    memcpy(t->name, name, sizeof name);
    unsigned kind = choose(c, 8);
    t->kind = kind < 5 ? MSQL_USER : kind < 7 ? MSQL_SHARED : MSQL_STREAM;
    t->storage = t->kind == MSQL_STREAM ? 0 : choose(c, MSQL_STORAGES);
    if (!after->storages[t->storage] && !choose_one_in(c, 8))
        t->storage = 0;
    draw_columns(w, t);
    wsql_put(&step->sql, "CREATE %s TABLE ", kinds[t->kind]);
    wsql_put_table(&step->sql, t);
    put_columns(&step->sql, t);
    put_options(w, &step->sql, t);
    if (exists || !after->storages[t->storage])
        gen_refuse(step);
    return root_only(step);
}

static bool gen_drop_table(struct wsql *w, struct wsql_step *step) {
    struct msql_state *after = change(w, step);
    struct msql_table *t = gen_table(w, after, ~0u);
    if (!t)
        return false;
    wsql_put(&step->sql, "DROP TABLE ");
    wsql_put_table(&step->sql, t);
    msql_table_remove(after, t);
    return root_only(step);
}

/* --- indexes --------------------------------------------------------------------------------- */

static bool index_exists(const struct msql_state *s, unsigned space, const char *name) {
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        for (uint32_t k = 0; s->tables[i] && k < s->tables[i]->index_count; k++)
            if (s->tables[i]->space == space && !strcmp(s->tables[i]->indexes[k].name, name))
                return true;
    return false;
}

static bool gen_create_index(struct wsql *w, struct wsql_step *step) {
    struct choice *c = w->choice;
    struct msql_state *after = change(w, step);
    struct msql_table *t = gen_table(w, after, ~0u);
    struct msql_index x = {.unique = choose_one_in(c, 3), .count = 1 + choose_one_in(c, 3)};
    if (!t || t->index_count == MSQL_INDEXES)
        return false;
    snprintf(x.name, sizeof x.name, "i%u", choose(c, 8));
    for (uint32_t i = 0; i < x.count; i++)
        x.columns[i] = choose(c, t->column_count);
    if (x.count == 2 && x.columns[0] == x.columns[1])
        x.count = 1;
    wsql_put(&step->sql, "CREATE %sINDEX %s ON ", x.unique ? "UNIQUE " : "", x.name);
    wsql_put_table(&step->sql, t);
    for (uint32_t i = 0; i < x.count; i++)
        wsql_put(&step->sql, "%s%s", i ? ", " : " (", t->columns[x.columns[i]].name);
    wsql_put(&step->sql, ")");
    if (index_exists(after, t->space, x.name) || (x.unique && msql_has_duplicates(t, &x)))
        gen_refuse(step);
    else
        t->indexes[t->index_count++] = x;
    return root_only(step);
}

static bool gen_drop_index(struct wsql *w, struct wsql_step *step) {
    struct msql_state *after = change(w, step);
    struct msql_table *t = gen_table(w, after, ~0u);
    if (!t || t->index_count == 0)
        return false;
    uint32_t at = choose(w->choice, t->index_count);
    wsql_put(&step->sql, "DROP INDEX %s.%s", wsql_spaces[t->space], t->indexes[at].name);
    for (uint32_t i = at; i + 1 < t->index_count; i++)
        t->indexes[i] = t->indexes[i + 1];
    t->index_count--;
    return root_only(step);
}

/* --- columns --------------------------------------------------------------------------------- */

static struct msql_table *begin_alter(struct wsql *w, struct wsql_step *step) {
    struct msql_table *t = gen_table(w, change(w, step), ~0u);
    if (!t)
        return NULL;
    wsql_put(&step->sql, "ALTER TABLE ");
    wsql_put_table(&step->sql, t);
    return t;
}

/* A column other than those that every table has. */
static struct msql_column *draw_column(struct wsql *w, struct msql_table *t) {
    uint32_t fixed = t->key_count + 2;
    if (t->column_count <= fixed)
        return NULL;
    return &t->columns[fixed + choose(w->choice, t->column_count - fixed)];
}

static bool fresh_name(struct wsql *w, const struct msql_table *t, char *name) {
    snprintf(name, MSQL_NAME, "c%u", choose(w->choice, 12));
    return msql_column_find(t, name) < 0;
}

static bool gen_add_column(struct wsql *w, struct wsql_step *step) {
    char name[MSQL_NAME];
    struct msql_table *t = begin_alter(w, step);
    if (!t || t->column_count == MSQL_COLUMNS || !fresh_name(w, t, name))
        return false;
    struct msql_column *c = add_column(t, name, &types[choose(w->choice, TYPES)]);
    c->nullable = !choose_one_in(w->choice, 3);
    if (choose(w->choice, 2))
        draw_default(w, c);
    wsql_put(&step->sql, " ADD COLUMN ");
    put_column(&step->sql, c);
    struct msql_value initial = c->has_default ? c->def : (struct msql_value){.null = true};
    if (c->nullable || c->has_default || msql_table_rows(t) == 0) {
        /* Rows that were deleted stand in the way too. */
        step->expect = c->nullable || c->has_default ? WSQL_OK : WSQL_EITHER;
        msql_reshape(t, t->column_count - 1, &initial);
    } else {
        gen_refuse(step);
    }
    return root_only(step);
}

static bool gen_drop_column(struct wsql *w, struct wsql_step *step) {
    struct msql_table *t = begin_alter(w, step);
    struct msql_column *c = t ? draw_column(w, t) : NULL;
    if (!c)
        return false;
    uint32_t at = (uint32_t)(c - t->columns);
    wsql_put(&step->sql, " DROP COLUMN %s", c->name);
    root_only(step);
    if (msql_index_with(t, at) >= 0) {
        gen_refuse(step);
        return true;
    }
    msql_reshape(t, at, NULL);
    memmove(c, c + 1, (t->column_count - at - 1) * sizeof *c);
    t->column_count--;
    for (uint32_t i = 0; i < t->index_count; i++)
        for (uint32_t k = 0; k < t->indexes[i].count; k++)
            t->indexes[i].columns[k] -= t->indexes[i].columns[k] > at;
    return true;
}

static bool gen_rename_column(struct wsql *w, struct wsql_step *step) {
    char name[MSQL_NAME];
    struct msql_table *t = begin_alter(w, step);
    struct msql_column *c = t ? draw_column(w, t) : NULL;
    if (!c || !fresh_name(w, t, name))
        return false;
    wsql_put(&step->sql, " RENAME COLUMN %s TO %s", c->name, name);
    memcpy(c->name, name, sizeof name);
    return root_only(step);
}

static bool gen_retype_column(struct wsql *w, struct wsql_step *step) {
    struct msql_table *t = begin_alter(w, step);
    struct msql_column *c = t ? draw_column(w, t) : NULL;
    if (!c)
        return false;
    struct msql_type to = c->type;
    if (to.type == LAM_TYPE_SMALLINT)
        to.type = choose(w->choice, 2) ? LAM_TYPE_INT : LAM_TYPE_BIGINT;
    else if (to.type == LAM_TYPE_INT)
        to.type = LAM_TYPE_BIGINT;
    else if (to.type == LAM_TYPE_DECIMAL && to.precision < 30)
        to.precision = (uint8_t)(to.precision + 2);
    else if (to.type == LAM_TYPE_TEXT && to.length)
        to.length = choose(w->choice, 2) ? to.length + 5 : 0;
    else
        return false;
    wsql_put(&step->sql, " ALTER COLUMN %s TYPE ", c->name);
    put_type(&step->sql, &to);
    /* Index entries are encoded by the width of the type. */
    if (to.type != c->type.type && msql_index_with(t, (uint32_t)(c - t->columns)) >= 0)
        gen_refuse(step);
    else
        c->type = to;
    return root_only(step);
}

static bool gen_set_default(struct wsql *w, struct wsql_step *step) {
    struct msql_table *t = begin_alter(w, step);
    struct msql_column *c = t ? draw_column(w, t) : NULL;
    if (!c)
        return false;
    wsql_put(&step->sql, " ALTER COLUMN %s ", c->name);
    if (c->has_default && choose(w->choice, 2)) {
        wsql_put(&step->sql, "DROP DEFAULT");
        c->has_default = false;
        return root_only(step);
    }
    draw_default(w, c);
    wsql_put(&step->sql, "SET DEFAULT ");
    wsql_put_value(&step->sql, &c->type, &c->def);
    return root_only(step);
}

static bool gen_set_null(struct wsql *w, struct wsql_step *step) {
    struct msql_table *t = begin_alter(w, step);
    struct msql_column *c = t ? draw_column(w, t) : NULL;
    if (!c)
        return false;
    uint32_t at = (uint32_t)(c - t->columns);
    bool has_null = false, to_null = !c->nullable;
    wsql_put(&step->sql, " ALTER COLUMN %s %s NOT NULL", c->name, to_null ? "DROP" : "SET");
    for (unsigned o = 0; o < MSQL_OWNERS; o++)
        for (size_t i = 0; i < t->rows[o].count; i++)
            has_null = has_null || t->rows[o].items[i]->values[at].null;
    root_only(step);
    if (!to_null && has_null) {
        gen_refuse(step);
        return true;
    }
    step->expect = to_null ? WSQL_OK : WSQL_EITHER; /* deleted rows count too */
    c->nullable = to_null;
    return true;
}

/* --- flush ----------------------------------------------------------------------------------- */

static bool gen_flush(struct wsql *w, struct wsql_step *step) {
    const struct msql_table *t = gen_table(w, wsql_now(w), ~0u);
    if (!t || (t->kind == MSQL_STREAM && !choose_one_in(w->choice, 10)))
        return false;
    wsql_put(&step->sql, "STORAGE FLUSH TABLE ");
    wsql_put_table(&step->sql, t);
    step->after = msql_state_copy(wsql_now(w));
    if (t->kind == MSQL_STREAM)
        gen_refuse(step);
    else
        step->after->flushes++;
    return root_only(step);
}

static bool gen_flush_all(struct wsql *w, struct wsql_step *step) {
    wsql_put(&step->sql, "STORAGE FLUSH ALL");
    step->after = msql_state_copy(wsql_now(w));
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *t = step->after->tables[i];
        step->after->flushes += t && t->kind != MSQL_STREAM;
    }
    return root_only(step);
}

/* --- records of the entity ------------------------------------------------------------------- */

const struct lam_entity_desc *wsql_things(void) {
    static const struct lam_entity_field fields[] = {
        {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
        {.name = "tag", .type = LAM_TYPE_TEXT, .nullable = true},
        {.name = "n", .type = LAM_TYPE_INT},
    };
    static const struct lam_entity_part tag[] = {{.field = "tag"}};
    static const struct lam_entity_part n[] = {{.field = "n", .descending = true},
                                               {.field = "tag"}};
    static const struct lam_entity_index indexes[] = {
        {.name = "by_tag", .unique = true, .parts = tag, .part_count = 1},
        {.name = "by_n", .parts = n, .part_count = 2},
    };
    static const struct lam_entity_desc desc = {"things", fields, 3, indexes, 2};
    return &desc;
}

static size_t thing_at(const struct msql_state *s, int64_t id) {
    size_t i = 0;
    while (i < s->things.count && s->things.items[i]->values[0].n != id)
        i++;
    return i;
}

static bool gen_thing_put(struct wsql *w, struct wsql_step *step) {
    static const struct msql_type text = {LAM_TYPE_TEXT, 0, 0, 12};
    struct msql_value values[3] = {{.n = choose(w->choice, 8)}, gen_value(w, &text), {.n = 0}};
    struct msql_state *after = step->after = msql_state_copy(wsql_now(w));
    if (choose_one_in(w->choice, 4))
        values[1] = (struct msql_value){.null = true};
    values[2].n = choose(w->choice, 4);
    step->thing = msql_row_new(values, 3);
    step->insert = choose_one_in(w->choice, 3);
    size_t at = thing_at(after, values[0].n);
    bool refused = step->insert && at < after->things.count;
    for (size_t i = 0; i < after->things.count; i++)
        refused = refused || (i != at && !values[1].null &&
                              msql_value_eq(&after->things.items[i]->values[1], &values[1]));
    wsql_put(&step->sql, "%s thing %d", step->insert ? "insert" : "put", (int)values[0].n);
    if (refused) {
        gen_refuse(step);
        return true;
    }
    if (at < after->things.count)
        msql_rows_remove(&after->things, at);
    msql_rows_add(&after->things, msql_row_ref(step->thing));
    return true;
}

static bool gen_thing_delete(struct wsql *w, struct wsql_step *step) {
    struct msql_value id = {.n = choose(w->choice, 8)};
    struct msql_state *after = step->after = msql_state_copy(wsql_now(w));
    if (!choose_one_in(w->choice, 8)) {
        if (after->things.count == 0)
            return false;
        id = after->things.items[choose(w->choice, (uint32_t)after->things.count)]->values[0];
    }
    size_t at = thing_at(after, id.n);
    step->thing = msql_row_new(&id, 1);
    wsql_put(&step->sql, "delete thing %d", (int)id.n);
    if (at < after->things.count)
        msql_rows_remove(&after->things, at);
    else
        gen_refuse(step);
    return true;
}

static bool gen_thing_drop(struct wsql *w, struct wsql_step *step) {
    struct msql_state *after = change(w, step);
    while (after->things.count > 0)
        msql_rows_remove(&after->things, 0);
    wsql_put(&step->sql, "drop things");
    return w->has_things;
}

/* --- all ------------------------------------------------------------------------------------- */

static bool generate(struct wsql *w, enum wsql_kind kind, struct wsql_step *step) {
    switch (kind) {
    case WSQL_CREATE_NAMESPACE:
        return gen_create_namespace(w, step);
    case WSQL_DROP_NAMESPACE:
        return gen_drop_namespace(w, step);
    case WSQL_CREATE_TABLE:
        return gen_create_table(w, step);
    case WSQL_DROP_TABLE:
        return gen_drop_table(w, step);
    case WSQL_CREATE_INDEX:
        return gen_create_index(w, step);
    case WSQL_DROP_INDEX:
        return gen_drop_index(w, step);
    case WSQL_ADD_COLUMN:
        return gen_add_column(w, step);
    case WSQL_DROP_COLUMN:
        return gen_drop_column(w, step);
    case WSQL_RENAME_COLUMN:
        return gen_rename_column(w, step);
    case WSQL_RETYPE_COLUMN:
        return gen_retype_column(w, step);
    case WSQL_SET_DEFAULT:
        return gen_set_default(w, step);
    case WSQL_SET_NULL:
        return gen_set_null(w, step);
    case WSQL_INSERT:
    case WSQL_UPSERT:
    case WSQL_UPDATE:
    case WSQL_DELETE:
        return gen_rows(w, kind, step);
    case WSQL_EXECUTE_AS:
        return gen_execute_as(w, step);
    case WSQL_FLUSH:
        return gen_flush(w, step);
    case WSQL_FLUSH_ALL:
        return gen_flush_all(w, step);
    case WSQL_CREATE_USER:
        return gen_create_user(w, step);
    case WSQL_DROP_USER:
        return gen_drop_user(w, step);
    case WSQL_CREATE_STORAGE:
        return gen_create_storage(w, step);
    case WSQL_DROP_STORAGE:
        return gen_drop_storage(w, step);
    case WSQL_THING_PUT:
        return gen_thing_put(w, step);
    case WSQL_THING_DELETE:
        return gen_thing_delete(w, step);
    case WSQL_THING_DROP:
        return gen_thing_drop(w, step);
    case WSQL_EXPIRE:
        wsql_put(&step->sql, "(%s)", wsql_kind_name(kind));
        return w->expiries < EXPIRIES_MAX && msql_state_stream_rows(wsql_now(w)) > 0;
    default:
        wsql_put(&step->sql, "(%s)", wsql_kind_name(kind));
        if (kind == WSQL_TICK)
            step->after = msql_state_copy(wsql_now(w));
        return true;
    }
}

bool wsql_generate(struct wsql *w, enum wsql_kind kind, struct wsql_step *step) {
    *step = (struct wsql_step){.kind = kind, .who = -1};
    w->number++;
    bool made = generate(w, kind, step);
    step->durability = choose_one_in(w->choice, 3) ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS;
    if (!made)
        wsql_step_fini(step);
    else if (step->after)
        msql_state_seal(step->after);
    return made;
}

void wsql_step_fini(struct wsql_step *step) {
    free(step->sql.data);
    msql_state_unref(step->after);
    msql_row_unref(step->thing);
    memset(step, 0, sizeof *step);
}
