/* SPDX-License-Identifier: Apache-2.0
 *
 * Random statements over a few tables, in both dialects at once. */
#include "tests/sql/diff/diff.h"

uint64_t random_next(struct random *r) {
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int below(struct random *r, int n) {
    return (int)(random_next(r) % (uint64_t)n);
}

static void *must(void *p) {
    if (!p)
        abort();
    return p;
}

static void add(struct text *t, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(t->data + t->size, t->capacity - t->size, format, again);
    va_end(again);
    if (t->size + (size_t)n + 1 > t->capacity) {
        t->capacity = (t->size + (size_t)n + 1) * 2;
        t->data = must(realloc(t->data, t->capacity));
        vsnprintf(t->data + t->size, t->capacity - t->size, format, args);
    }
    t->size += (size_t)n;
}

void text_add(struct text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(t, format, args);
    va_end(args);
}

void text_clear(struct text *t) {
    free(t->data);
    *t = (struct text){0};
}

void both(struct generator *g, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(&g->lam, format, args);
    va_end(args);
    va_start(args, format);
    add(&g->lite, format, args);
    va_end(args);
}

void each(struct generator *g, const char *lam, const char *lite) {
    text_add(&g->lam, "%s", lam);
    text_add(&g->lite, "%s", lite);
}

void step_free(struct step *s) {
    free(s->lam);
    free(s->lite);
    *s = (struct step){0};
}

static int roll(struct generator *g, int n) {
    return below(&g->random, n);
}

/* --- tables --------------------------------------------------------------------------------- */

static const struct {
    enum type type;
    const char *lam, *lite;
} column_types[] = {
    {INT, "INT", "INT"},
    {INT, "BIGINT", "BIGINT"},
    {INT, "SMALLINT", "INT"},
    {TEXT, "TEXT", "TEXT"},
    {TEXT, "VARCHAR", "TEXT"},
    {DOUBLE, "DOUBLE", "REAL"},
    {DECIMAL, "DECIMAL(12,2)", "REAL"},
    {BOOL, "BOOLEAN", "INT"},
    {DATE, "DATE", "TEXT"},
    {TIMESTAMP, "TIMESTAMP", "TEXT"},
    {BYTES, "BYTES", "BLOB"},
    {UUID, "UUID", "TEXT"},
    {FLOAT, "FLOAT4", "REAL"},
};
#define COLUMN_TYPES (int)(sizeof column_types / sizeof *column_types)

static void write_table(struct generator *g, const struct table *t) {
    each(g, t->name, t->name);
    if (t->kind != SHARED_TABLE)
        each(g, "", "@");
}

/* Writes a definition and remembers it. */
static void define_column(struct generator *g, struct table *t, bool key, bool added) {
    struct column *c = &t->column[t->columns++];
    int pick = key ? (int[]){0, 0, 1, 3, 3, 8, 11, 2, 6}[roll(g, 9)] : roll(g, COLUMN_TYPES);
    *c = (struct column){.type = column_types[pick].type, .lam_type = column_types[pick].lam};
    snprintf(c->name, sizeof c->name, "c%d", g->names++);
    both(g, "%s ", c->name);
    each(g, column_types[pick].lam, column_types[pick].lite);
    c->has_default = !key && chance(g, 30);
    c->not_null = key || (chance(g, 25) && (!added || c->has_default));
    if (c->not_null)
        both(g, " NOT NULL");
    if (c->has_default) {
        both(g, " DEFAULT (");
        if (c->type == INT) /* an odd one may be out of range */
            both(g, "%d", roll(g, 20));
        else
            literal(g, c->type);
        both(g, ")");
    }
}

static void create_table(struct generator *g) {
    struct table *t = &g->after;
    *t = (struct table){.kind = (int)(roll(g, 5) ? roll(g, 2) : STREAM_TABLE)};
    snprintf(t->name, sizeof t->name, "t%d", g->names++);
    g->changed = g->tables;
    each(g,
         (const char *[]){"CREATE SHARED TABLE ", "CREATE USER TABLE ",
                          "CREATE STREAM TABLE "}[t->kind],
         "CREATE TABLE ");
    write_table(g, t);
    both(g, " (");
    int columns = 3 + roll(g, 5);
    t->key_columns = 1 + (roll(g, 3) == 0);
    for (int i = 0; i < columns; i++) {
        define_column(g, t, i < t->key_columns, false);
        both(g, ", ");
    }
    both(g, "PRIMARY KEY (%s", t->column[0].name);
    if (t->key_columns == 2)
        both(g, ", %s", t->column[1].name);
    both(g, "))");
    each(g, t->kind == STREAM_TABLE ? " TTL 864000" : "", "");
}

static void create_index(struct generator *g, struct table *t) {
    if (t->indexes == INDEXES_MAX)
        return;
    int n = t->indexes++;
    bool unique = t->index[n].unique = chance(g, 30);
    snprintf(t->index[n].name, sizeof t->index[n].name, "i%d", g->names++);
    t->index[n].columns = chance(g, 25) && t->columns > 1 ? 2 : 1;
    both(g, unique ? "CREATE UNIQUE INDEX %s" : "CREATE INDEX %s", t->index[n].name);
    each(g, "", t->kind == SHARED_TABLE ? "" : "@");
    both(g, " ON ");
    write_table(g, t);
    both(g, " (");
    int first = roll(g, t->columns);
    for (int i = 0; i < t->index[n].columns; i++) {
        int c = (first + i) % t->columns;
        t->index[n].column[i] = c;
        t->column[c].unique |= unique;
        t->column[c].indexes++;
        both(g, i ? ", %s" : "%s", t->column[c].name);
    }
    both(g, ")");
}

static void drop_index(struct generator *g, struct table *t) {
    if (!t->indexes)
        return;
    int n = roll(g, t->indexes);
    both(g, "DROP INDEX %s", t->index[n].name);
    each(g, "", t->kind == SHARED_TABLE ? "" : "@");
    for (int i = 0; i < t->index[n].columns; i++)
        t->column[t->index[n].column[i]].indexes--;
    t->index[n] = t->index[--t->indexes];
    for (int c = 0; c < t->columns; c++)
        t->column[c].unique = false;
    for (n = 0; n < t->indexes; n++)
        for (int i = 0; i < t->index[n].columns; i++)
            t->column[t->index[n].column[i]].unique |= t->index[n].unique;
}

static void alter_table(struct generator *g, struct table *t) {
    int c = roll(g, t->columns), kind = roll(g, 3);
    if (t->kind == STREAM_TABLE && c < t->key_columns)
        return; /* a stream's key stays as it is */
    bool drops = kind == 0 && c >= t->key_columns && !t->column[c].indexes && t->columns > 3;
    bool adds = !drops && kind < 2;
    if (adds && t->columns == COLUMNS_MAX)
        return;
    both(g, "ALTER TABLE ");
    write_table(g, t);
    if (adds) {
        both(g, " ADD COLUMN ");
        define_column(g, t, false, true);
    } else if (drops) {
        both(g, " DROP COLUMN %s", t->column[c].name);
        memmove(&t->column[c], &t->column[c + 1], sizeof *t->column * (size_t)(--t->columns - c));
        for (int n = 0; n < t->indexes; n++)
            for (int i = 0; i < t->index[n].columns; i++)
                t->index[n].column[i] -= t->index[n].column[i] > c;
    } else {
        both(g, " RENAME COLUMN %s TO ", t->column[c].name);
        snprintf(t->column[c].name, sizeof t->column[c].name, "c%d", g->names++);
        both(g, "%s", t->column[c].name);
    }
}

static void change_table(struct generator *g, int n) {
    int kind = roll(g, 10);
    g->changed = n;
    g->after = g->table[n];
    if (kind < 4)
        create_index(g, &g->after);
    else if (kind < 6)
        drop_index(g, &g->after);
    else
        alter_table(g, &g->after);
}

/* --- writing -------------------------------------------------------------------------------- */

static void where(struct generator *g, int percent) {
    if (!chance(g, percent))
        return;
    both(g, " WHERE ");
    condition(g, 1 + roll(g, 3));
}

static void key_equals(struct generator *g, const struct table *t) {
    for (int i = 0; i < t->key_columns; i++) {
        both(g, i ? " AND %s = " : " WHERE %s = ", t->column[i].name);
        literal(g, t->column[i].type);
    }
}

static void returning(struct generator *g, const struct table *t) {
    if (!chance(g, 20))
        return;
    g->step->any_order = true;
    both(g, " RETURNING ");
    int count = 1 + roll(g, 3);
    for (int i = 0; i < count; i++) {
        const struct column *c = &t->column[roll(g, t->columns)];
        both(g, i ? ", " : "");
        /* Nothing with conditions: SQLite 3.40 answers CASE with IN here wrongly. */
        if (chance(g, 50)) {
            both(g, "COALESCE(%s, ", c->name);
            literal(g, c->type);
            both(g, ")");
        } else {
            both(g, "%s", c->name);
        }
    }
}

/* A value that fits its column most of the time; sums of such columns are exact. */
static void value(struct generator *g, const struct column *c, int depth) {
    if (!c->not_null && chance(g, 12)) {
        both(g, "NULL");
    } else if (depth == 0 || chance(g, 30)) {
        literal(g, c->type);
    } else if (c->type == INT && chance(g, 80)) {
        both(g, "((");
        expression(g, INT, depth);
        both(g, ") %% 1000)");
    } else if (c->type == TEXT) {
        both(g, "substr(");
        expression(g, TEXT, depth);
        both(g, ", 1, 12)");
    } else {
        expression(g, c->type, depth);
    }
}

static bool has_unique(const struct table *t) {
    for (int n = 0; n < t->indexes; n++)
        if (t->index[n].unique)
            return true;
    return false;
}

static void set_list(struct generator *g, const struct table *t, int depth) {
    int count = 1 + roll(g, 2), start = t->key_columns + roll(g, t->columns - t->key_columns);
    bool first = true;
    for (int i = 0; i < count; i++) {
        int n = start + i;
        if (n >= t->columns)
            break;
        const struct column *c = &t->column[n];
        both(g, first ? "%s = " : ", %s = ", c->name);
        first = false;
        value(g, c, c->unique ? 0 : depth);
    }
}

static void conflict(struct generator *g, const struct table *t, int rows) {
    int kind = roll(g, 6);
    if (kind == 0) {
        both(g, " ON CONFLICT DO NOTHING");
        return;
    }
    if (kind > 2 || (kind == 1 && t->kind == STREAM_TABLE))
        return;
    both(g, " ON CONFLICT (%s", t->column[0].name);
    if (t->key_columns == 2)
        both(g, ", %s", t->column[1].name);
    if (kind == 1 || rows > 1 || t->kind == STREAM_TABLE) {
        both(g, ") DO NOTHING");
        return;
    }
    both(g, ") DO UPDATE SET ");
    g->qualifier = chance(g, 50) ? "excluded." : NULL;
    set_list(g, t, roll(g, 3));
    where(g, 25);
    g->qualifier = NULL;
}

/* Enough rows for several batches, blocks and pages. */
static void bulk_insert(struct generator *g, const struct table *t) {
    int rows = 200 + roll(g, 1200);
    both(g, "INSERT INTO ");
    write_table(g, t);
    both(g, " VALUES ");
    g->bind = false;
    g->scope = NULL;
    for (int row = 0; row < rows; row++) {
        for (int i = 0; i < t->columns; i++) {
            both(g, "%s", i ? ", " : row ? ", (" : "(");
            if (i == 0)
                both(g, "%d", row + 100);
            else if (t->column[i].type == INT)
                both(g, "%d", roll(g, 20000));
            else
                literal(g, t->column[i].type);
        }
        both(g, ")");
    }
    both(g, " ON CONFLICT DO NOTHING");
}

static void insert(struct generator *g, const struct table *t) {
    if (chance(g, 1) && t->column[0].type == INT) {
        bulk_insert(g, t);
        return;
    }
    int rows = 1 + (chance(g, 50) ? roll(g, 6) : 0), left_out = -1;
    both(g, "INSERT INTO ");
    write_table(g, t);
    if (chance(g, 40))
        left_out = t->key_columns + roll(g, t->columns - t->key_columns);
    if (left_out >= 0 && t->column[left_out].not_null && !t->column[left_out].has_default)
        left_out = -1;
    both(g, " (");
    for (int i = 0, n = 0; i < t->columns; i++)
        if (i != left_out)
            both(g, n++ ? ", %s" : "%s", t->column[i].name);
    both(g, ") VALUES ");
    g->scope = NULL;
    for (int row = 0; row < rows; row++) {
        both(g, row ? ", (" : "(");
        for (int i = 0, n = 0; i < t->columns; i++) {
            if (i == left_out)
                continue;
            both(g, n++ ? ", " : "");
            if (i < t->key_columns)
                literal(g, t->column[i].type);
            else
                value(g, &t->column[i], roll(g, 8) == 0);
        }
        both(g, ")");
    }
    g->scope = t;
    conflict(g, t, rows);
    returning(g, t);
}

/* Copies rows under keys that are free, or nearly. */
static void insert_select(struct generator *g, const struct table *t) {
    if (t->column[0].type != INT) {
        insert(g, t);
        return;
    }
    both(g, "INSERT INTO ");
    write_table(g, t);
    both(g, " SELECT %s + %d", t->column[0].name, 100 + 50 * roll(g, 10));
    for (int i = 1; i < t->columns; i++) {
        both(g, ", ");
        if (i >= t->key_columns && chance(g, 20))
            value(g, &t->column[i], 1);
        else
            both(g, "%s", t->column[i].name);
    }
    both(g, " FROM ");
    write_table(g, t);
    both(g, " WHERE %s < 100", t->column[0].name);
    if (chance(g, 60)) {
        both(g, " AND (");
        condition(g, 2);
        both(g, ")");
    }
}

/* Several rows may not swap unique values: SQLite checks after each row. */
static void update(struct generator *g, const struct table *t) {
    bool key = chance(g, 15) && t->column[0].type == INT && !has_unique(t);
    both(g, "UPDATE ");
    write_table(g, t);
    both(g, " SET ");
    if (key) {
        both(g, "%s = %s + 1000 WHERE %s BETWEEN 0 AND 999", t->column[0].name, t->column[0].name,
             t->column[0].name);
        if (chance(g, 80)) {
            both(g, " AND (");
            condition(g, 2);
            both(g, ")");
        }
        returning(g, t);
        return;
    }
    if (chance(g, 10)) {
        both(g, "%s = ", t->column[0].name);
        literal(g, t->column[0].type);
        key_equals(g, t);
        returning(g, t);
        return;
    }
    set_list(g, t, 1 + roll(g, 2));
    if (chance(g, 30))
        key_equals(g, t);
    else
        where(g, 92);
    returning(g, t);
}

static void delete_rows(struct generator *g, const struct table *t) {
    both(g, "DELETE FROM ");
    write_table(g, t);
    if (chance(g, 40))
        key_equals(g, t);
    else
        where(g, 96);
    returning(g, t);
}

/* --- reading -------------------------------------------------------------------------------- */

static void direction(struct generator *g) {
    both(g, "%s", chance(g, 50) ? " ASC" : " DESC");
    both(g, "%s", chance(g, 50) ? " NULLS FIRST" : " NULLS LAST");
}

static void limit(struct generator *g) {
    if (!chance(g, 35))
        return;
    bool rows = chance(g, 80);
    if (rows)
        both(g, " LIMIT %d", roll(g, 12));
    if (!rows || chance(g, 40)) {
        each(g, "", rows ? "" : " LIMIT -1");
        both(g, " OFFSET %d", roll(g, 8));
    }
}

static void plain_select(struct generator *g, const struct table *t) {
    bool distinct = chance(g, 20);
    int count = 1 + roll(g, 4);
    both(g, distinct ? "SELECT DISTINCT " : "SELECT ");
    if (!distinct && chance(g, 25)) {
        both(g, "*");
    } else {
        for (int i = 0; i < count; i++) {
            both(g, i ? ", " : "");
            expression(g, t->column[roll(g, t->columns)].type, distinct ? roll(g, 2) : roll(g, 4));
        }
    }
    both(g, " FROM ");
    write_table(g, t);
    if (chance(g, 20))
        key_equals(g, t);
    else
        where(g, 75);
    both(g, " ORDER BY ");
    if (distinct) {
        for (int i = 0; i < count; i++) {
            both(g, i ? ", %d" : "%d", i + 1);
            direction(g);
        }
    } else {
        for (int i = roll(g, 3); i > 0; i--) {
            enum type type = t->column[roll(g, t->columns)].type;
            if (chance(g, 60)) {
                both(g, "%s", t->column[roll(g, t->columns)].name);
            } else {
                both(g, "COALESCE(");
                expression(g, type, 2);
                both(g, ", ");
                literal(g, type);
                both(g, ")");
            }
            direction(g);
            both(g, ", ");
        }
        for (int i = 0; i < t->key_columns; i++) {
            both(g, i ? ", %s" : "%s", t->column[i].name);
            both(g, "%s", i == 0 && chance(g, 40) ? " DESC" : "");
        }
    }
    limit(g);
}

static void aggregate(struct generator *g) {
    int kind = roll(g, 12);
    bool distinct = chance(g, 25);
    g->exact = true;
    if (kind < 2) {
        both(g, "count(*)");
    } else if (kind < 4) {
        both(g, distinct ? "count(DISTINCT " : "count(");
        expression(g, (enum type)roll(g, TYPES), 1);
        both(g, ")");
    } else if (kind < 8) {
        both(g, kind < 6 ? "sum(" : "avg(");
        both(g, distinct ? "DISTINCT " : "");
        expression(g, roll(g, 2) ? INT : roll(g, 2) ? DOUBLE : DECIMAL, 2);
        both(g, ")");
    } else if (kind < 11) {
        static const enum type types[] = {INT, DOUBLE, DECIMAL, TEXT, DATE, TIMESTAMP, FLOAT};
        both(g, kind < 10 ? "min(" : "max(");
        expression(g, types[roll(g, 7)], 1);
        both(g, ")");
    } else {
        bool all = chance(g, 50);
        each(g, all ? "bool_and(" : "bool_or(", all ? "min(" : "max(");
        expression(g, BOOL, 2);
        both(g, ")");
    }
    g->exact = false;
    if (chance(g, 15)) {
        both(g, " FILTER (WHERE ");
        condition(g, 2);
        both(g, ")");
    }
}

static void grouped_select(struct generator *g, const struct table *t) {
    int groups = roll(g, 3), aggregates = 1 + roll(g, 3);
    char *group[2] = {0}, *lite_group[2] = {0};
    both(g, "SELECT ");
    for (int i = 0; i < groups; i++) {
        size_t lam_at = g->lam.size, lite_at = g->lite.size;
        expression(g, t->column[roll(g, t->columns)].type, roll(g, 2));
        group[i] = must(strdup(g->lam.data + lam_at));
        lite_group[i] = must(strdup(g->lite.data + lite_at));
        both(g, chance(g, 20) ? " AS g%d, " : ", ", i);
    }
    for (int i = 0; i < aggregates; i++) {
        both(g, i ? ", " : "");
        aggregate(g);
    }
    both(g, " FROM ");
    write_table(g, t);
    where(g, 60);
    bool ordinals = chance(g, 60) || strchr(groups ? group[0] : "", '$') ||
                    strchr(groups > 1 ? group[1] : "", '$');
    for (int i = 0; i < groups; i++) {
        both(g, i ? ", " : " GROUP BY ");
        /* A plain literal would be an ordinal. */
        if (ordinals || strchr("(0123456789'-", *group[i]) || *group[i] < 'a')
            both(g, "%d", i + 1);
        else
            each(g, group[i], lite_group[i]);
    }
    if (chance(g, 30)) {
        both(g, " HAVING ");
        if (chance(g, 50)) {
            both(g, "count(*) > %d", roll(g, 4));
        } else {
            both(g, "sum(");
            g->exact = true;
            expression(g, INT, 1);
            g->exact = false;
            both(g, ")%s%d", chance(g, 50) ? " > " : " <= ", roll(g, 30));
        }
    }
    for (int i = 0; i < groups; i++) {
        both(g, i ? ", %d" : " ORDER BY %d", i + 1);
        direction(g);
        free(group[i]);
        free(lite_group[i]);
    }
    if (groups)
        limit(g);
}

/* --- steps ---------------------------------------------------------------------------------- */

static void statement(struct generator *g, struct step *s) {
    int n = roll(g, g->tables), kind = roll(g, 100);
    const struct table *t = &g->table[n];
    s->session = roll(g, USERS);
    s->of_user = t->kind != SHARED_TABLE;
    s->for_all = false;
    g->changed = -1;
    g->scope = t;
    g->bind = kind >= 4 && chance(g, 25);
    if (kind < 4) {
        s->session = ADMIN;
        s->for_all = s->of_user;
        g->scope = NULL;
        change_table(g, n);
    } else if (kind < 30) {
        insert(g, t);
    } else if (kind < 33) {
        insert_select(g, t);
    } else if (kind < 46 && t->kind != STREAM_TABLE) {
        update(g, t);
    } else if (kind < 51) {
        delete_rows(g, t);
    } else if (kind < 75) {
        plain_select(g, t);
    } else {
        grouped_select(g, t);
    }
}

void generate(struct generator *g, struct step *s) {
    *s = (struct step){0};
    g->step = s;
    g->changed = -1;
    g->lam.size = g->lite.size = 0;
    g->bind = g->exact = false;
    g->scope = NULL;
    g->qualifier = NULL;
    int kind = roll(g, 100);
    if (g->tables == 0 || (g->tables < TABLES_MAX && kind < 2)) {
        s->session = ADMIN;
        create_table(g);
        s->of_user = s->for_all = g->after.kind != SHARED_TABLE;
    } else if (kind < 6) {
        s->kind = STEP_FLUSH;
    } else if (kind < 7) {
        s->kind = STEP_REOPEN;
    } else {
        while (g->lam.size == 0)
            statement(g, s);
    }
    if (s->kind == STEP_SQL) {
        s->lam = must(strdup(g->lam.data));
        s->lite = must(strdup(g->lite.data));
    }
}

void generated_ok(struct generator *g) {
    if (g->changed < 0)
        return;
    if (g->changed == g->tables)
        g->tables++;
    g->table[g->changed] = g->after;
}

void generator_init(struct generator *g, uint64_t seed) {
    *g = (struct generator){.random = {seed}};
}

void generator_free(struct generator *g) {
    text_clear(&g->lam);
    text_clear(&g->lite);
}
