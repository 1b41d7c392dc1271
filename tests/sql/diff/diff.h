/* SPDX-License-Identifier: Apache-2.0
 *
 * Random statements on Lamina and SQLite side by side. A statement is made once and written in both
 * dialects; a USER table has one SQLite table for each user. Arithmetic that overflows or divides
 * by zero raises in Lamina only: such statements are skipped on SQLite.
 *
 *   world.c       runs a step on both and compares the answers
 *   expression.c  random typed expressions
 *   statement.c   random statements over the tables of a round
 *   run_diff.c    rounds, seeds, the shortest script of a divergence */
#ifndef LAMINA_TESTS_SQL_DIFF_H
#define LAMINA_TESTS_SQL_DIFF_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lamina/lamina.h"

#define USERS          3
#define ADMIN          USERS /* the session that runs DDL and flushes */
#define SESSIONS       (USERS + 1)
#define TABLES_MAX     3
#define COLUMNS_MAX    12
#define INDEXES_MAX    6
#define PARAMETERS_MAX 8

/* --- random numbers (splitmix64) ------------------------------------------------------------ */

struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
int below(struct random *r, int n);

/* --- text that grows ------------------------------------------------------------------------ */

struct text {
    char *data; /* ends in NUL */
    size_t size, capacity;
};
__attribute__((format(printf, 2, 3))) void text_add(struct text *t, const char *format, ...);
void text_clear(struct text *t);

/* --- steps ---------------------------------------------------------------------------------- */

enum step_kind { STEP_SQL, STEP_FLUSH, STEP_REOPEN };

/* A literal's type, as Lamina names it; ints are bound as int64, the rest as text. */
struct parameter {
    bool is_int;
    char value[40];
};

struct step {
    enum step_kind kind;
    int session;      /* who runs it */
    bool of_user;     /* names a USER or STREAM table: '@' in `lite` is the user's suffix */
    bool for_all;     /* DDL of such a table: run for every user */
    bool any_order;   /* rows are compared as a set */
    char *lam, *lite; /* the statement in both dialects; owned */
    int parameters;   /* $1.. in `lam`; written out in `lite` */
    struct parameter parameter[PARAMETERS_MAX];
};
void step_free(struct step *s);

enum verdict {
    AGREE,
    CONSTRAINT_IN_BOTH,
    BOTH_FAIL, /* for another reason: the generator made nonsense */
    SKIPPED,   /* Lamina raised where SQLite computes on */
    DIVERGE,
};

/* --- the two databases ---------------------------------------------------------------------- */

struct world {
    lam_env *env;
    lam_db *db;
    lam_session *session[SESSIONS];
    sqlite3 *lite;
    long with_rows; /* answers compared that have rows */
};
void world_open(struct world *w);
void world_close(struct world *w);
/* Runs a step; `report` gets both answers when they differ or both fail. */
enum verdict world_run(struct world *w, const struct step *s, struct text *report);

/* --- tables and generation ------------------------------------------------------------------ */

enum type { INT, DOUBLE, DECIMAL, TEXT, BOOL, DATE, TIMESTAMP, BYTES, UUID, FLOAT, TYPES };

struct column {
    char name[16];
    enum type type;
    const char *lam_type;
    bool not_null;
    bool has_default; /* INSERT may leave it out */
    bool unique;      /* a unique index holds it: updates set constants only */
    int indexes;      /* that hold it: it is not dropped */
};

struct table {
    char name[16];
    enum { SHARED_TABLE, USER_TABLE, STREAM_TABLE } kind;
    struct column column[COLUMNS_MAX];
    int columns, key_columns; /* the key comes first */
    struct {
        char name[16];
        int column[2], columns;
        bool unique;
    } index[INDEXES_MAX];
    int indexes;
};

struct generator {
    struct random random;
    struct table table[TABLES_MAX];
    int tables;
    int names;                 /* counts names given, so that none comes twice */
    const struct table *scope; /* whose columns an expression may name; NULL: none */
    const char *qualifier;     /* written before them when a name could mean two: "t0." */
    bool exact;                /* doubles by + and - only: sums don't depend on the order */
    bool bind;                 /* literals may become parameters */
    struct table after;        /* what DDL makes of `changed` */
    int changed;               /* -1: no DDL */
    struct text lam, lite;     /* the statement being made */
    struct step *step;
};

/* Adds to both dialects. */
__attribute__((format(printf, 2, 3))) void both(struct generator *g, const char *format, ...);
/* Adds each dialect's own. */
void each(struct generator *g, const char *lam, const char *lite);
bool chance(struct generator *g, int percent);

void expression(struct generator *g, enum type type, int depth);
void condition(struct generator *g, int depth);
/* A constant of the column's type, often one that is there already. */
void literal(struct generator *g, enum type type);
void null_of(struct generator *g, enum type type);

void generator_init(struct generator *g, uint64_t seed);
void generator_free(struct generator *g);
/* The next step; the first ones make tables. */
void generate(struct generator *g, struct step *s);
/* Tells that the step has been done by both. */
void generated_ok(struct generator *g);

#endif
