/* SPDX-License-Identifier: Apache-2.0
 *
 * The same random statements on two tables: `plain` stays hot, and its comparisons are written so
 * that no key or index serves them; `fast` has indexes, is flushed and reopened. Answers, counts
 * and errors must be equal. */
#include "base/rng.h"
#include "tests/sql/database.h"

#define STATEMENTS 1500

static struct database d;
static struct rng rng;

/* A text for each table, written side by side. */
struct pair {
    char plain[2000], fast[2000];
};

static void both(struct pair *p, const char *text) {
    strcat(p->plain, text);
    strcat(p->fast, text);
}

/* The table's name; in `plain`, columns in comparisons come out of an expression. */
static void table(struct pair *p) {
    strcat(p->plain, "plain");
    strcat(p->fast, "fast");
}

enum column { K1, K2, V, W, N, COLUMNS };

static void column(struct pair *p, enum column c) {
    static const char *const hidden[] = {"(k1 + 0)", "(k2 || '')", "(v + 0)", "(w || '')",
                                         "(n + 0)"};
    static const char *const open[] = {"k1", "k2", "v", "w", "n"};
    strcat(p->plain, hidden[c]);
    strcat(p->fast, open[c]);
}

static const char *pick(const char *const *texts, size_t count) {
    return texts[rng_below(&rng, count)];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){__VA_ARGS__},                                                       \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void number(struct pair *p, int64_t most) {
    char text[40];
    snprintf(text, sizeof text, "%lld", (long long)rng_below(&rng, (uint64_t)most) - most / 3);
    both(p, text);
}

static void decimal(struct pair *p) {
    char text[40];
    snprintf(text, sizeof text, "%d.%02d", (int)rng_below(&rng, 9) - 4, (int)rng_below(&rng, 100));
    both(p, text);
}

static void text(struct pair *p) {
    both(p, PICK("''", "'a'", "'ab'", "'b'", "'B'", "'ä'", "'zz'", "'a''b'"));
}

static void value(struct pair *p, enum column c, bool wild) {
    if (wild && rng_below(&rng, 12) == 0) {
        both(p, "NULL");
        return;
    }
    if (c == K2 || c == W) {
        text(p);
    } else if (c == N) {
        decimal(p);
    } else if (wild && rng_below(&rng, 6) == 0) {
        both(p, PICK("1.5", "2.0", "-0.5", "3000000000", "-3000000000", "'3'", "0.0"));
    } else {
        number(p, c == K1 ? 12 : 30);
    }
}

static void comparison(struct pair *p) {
    enum column c = (enum column)rng_below(&rng, COLUMNS);
    unsigned shape = (unsigned)rng_below(&rng, 10);
    column(p, c);
    if (shape == 0) {
        both(p, " IS NULL");
    } else if (shape == 1) {
        both(p, " BETWEEN ");
        value(p, c, true);
        both(p, " AND ");
        value(p, c, true);
    } else if (shape == 2) {
        both(p, " IN (");
        value(p, c, true);
        both(p, ", ");
        value(p, c, true);
        both(p, ")");
    } else {
        both(p, PICK(" = ", " = ", " = ", " < ", " <= ", " > ", " >= ", " <> "));
        value(p, c, true);
    }
}

static void where(struct pair *p) {
    unsigned count = (unsigned)rng_below(&rng, 4);
    for (unsigned i = 0; i < count; i++) {
        both(p, i == 0 ? " WHERE " : rng_below(&rng, 5) ? " AND " : " OR ");
        comparison(p);
    }
}

static void insert(struct pair *p) {
    unsigned rows = 1 + (unsigned)rng_below(&rng, 3);
    both(p, "INSERT INTO ");
    table(p);
    both(p, " VALUES ");
    for (unsigned i = 0; i < rows; i++) {
        both(p, i ? ", (" : "(");
        for (enum column c = K1; c < COLUMNS; c++) {
            if (c > K1)
                both(p, ", ");
            if (c == N && rng_below(&rng, 3))
                both(p, "NULL");
            else
                value(p, c, false);
        }
        both(p, ")");
    }
    unsigned conflict = (unsigned)rng_below(&rng, 4);
    if (conflict == 1)
        both(p, " ON CONFLICT DO NOTHING");
    if (conflict == 2)
        both(p, " ON CONFLICT (k1, k2) DO UPDATE SET v = excluded.v, w = excluded.w");
    if (conflict == 3 && rows == 1)
        both(p, " ON CONFLICT (k2, k1) DO UPDATE SET n = excluded.n WHERE excluded.v > 5");
}

static void update(struct pair *p) {
    both(p, "UPDATE ");
    table(p);
    both(p, PICK(" SET v = v + 1", " SET w = k2, v = k1", " SET n = NULL", " SET v = NULL",
                 " SET k1 = k1 + 1", " SET k2 = 'moved', v = 1", " SET w = w", " SET n = n + 0.01",
                 " SET w = 'a', v = 3"));
    where(p);
}

static void delete_(struct pair *p) {
    both(p, "DELETE FROM ");
    table(p);
    where(p);
    if (!strstr(p->fast, "WHERE"))
        both(p, rng_below(&rng, 8) ? " WHERE k1 = 1" : "");
}

static void select_(struct pair *p) {
    unsigned shape = (unsigned)rng_below(&rng, 4);
    both(p, shape == 0   ? "SELECT count(*), sum(v), min(n), max(w) FROM "
            : shape == 1 ? "SELECT w, count(*), sum(v) FROM "
            : shape == 2 ? "SELECT k2, n, _deleted FROM "
                         : "SELECT * FROM ");
    table(p);
    where(p);
    both(p, shape == 1   ? " GROUP BY w ORDER BY w"
            : shape == 2 ? " ORDER BY k1, k2"
            : shape == 3 ? " ORDER BY k1, k2 LIMIT 50"
                         : "");
}

static void make_tables(void) {
    run(&d, "CREATE NAMESPACE a; USE a");
    run(&d, "CREATE TABLE plain (k1 INT, k2 TEXT, v INT, w TEXT, n DECIMAL(6,2), "
            "PRIMARY KEY (k1, k2)); CREATE UNIQUE INDEX plain_n ON plain (n)");
    run(&d, "CREATE TABLE fast (k1 INT, k2 TEXT, v INT, w TEXT, n DECIMAL(6,2), "
            "PRIMARY KEY (k1, k2)); CREATE UNIQUE INDEX fast_n ON fast (n); "
            "CREATE INDEX fast_v ON fast (v); CREATE INDEX fast_wv ON fast (w, v)");
}

static void agree(const struct pair *p) {
    enum lam_code plain_rc = database_try(&d, p->plain);
    char *plain_text = strdup(d.text), plain_state[6];
    uint64_t plain_changes = d.changes;
    memcpy(plain_state, d.err.sqlstate, sizeof plain_state);
    enum lam_code fast_rc = database_try(&d, p->fast);
    ck_assert_msg(plain_rc == fast_rc && strcmp(plain_state, d.err.sqlstate) == 0,
                  "%s\n plain: %s\n fast: %s %s", p->fast, plain_state, d.err.sqlstate,
                  d.err.message);
    ck_assert_msg(plain_changes == d.changes, "%s\n plain: %d rows\n fast: %d rows", p->fast,
                  (int)plain_changes, (int)d.changes);
    ck_assert_msg(strcmp(plain_text, d.text) == 0, "%s\n plain:\n%.1500s\n fast:\n%.1500s", p->fast,
                  plain_text, d.text);
    free(plain_text);
}

START_TEST(every_access_path_gives_the_same_answers) {
    rng_init(&rng, test_seed("paths"));
    database_open(&d);
    make_tables();
    for (int i = 0; i < STATEMENTS; i++) {
        static struct pair p;
        p = (struct pair){0};
        unsigned kind = (unsigned)rng_below(&rng, 100);
        if (kind < 35)
            insert(&p);
        else if (kind < 50)
            update(&p);
        else if (kind < 55)
            delete_(&p);
        else if (kind < 92)
            select_(&p);
        if (*p.plain)
            agree(&p);
        else if (kind < 99)
            run(&d, "STORAGE FLUSH TABLE fast");
        else {
            database_reopen(&d);
            run(&d, "USE a");
        }
    }
    database_close(&d);
}
END_TEST

TEST_MAIN("sql/paths_agree", every_access_path_gives_the_same_answers)
