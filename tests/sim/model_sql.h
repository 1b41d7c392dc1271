/* SPDX-License-Identifier: Apache-2.0
 *
 * What a database should hold at the level of SQL: namespaces, tables with columns and indexes, the
 * rows of each user, users, storages, records of an entity. Plain lists and loops; it shares no
 * code with the product. A state is made by copying the one before and changing the copy; a history
 * is a list of states. States are compared by a 128-bit sum over all they hold, which does not
 * depend on order. */
#ifndef LAMINA_TESTS_SIM_MODEL_SQL_H
#define LAMINA_TESTS_SIM_MODEL_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lamina/types.h"

enum {
    MSQL_OWNERS = 4, /* users with rows; a SHARED table has one owner, 0 */
    MSQL_TABLES = 6,
    MSQL_COLUMNS = 14,
    MSQL_KEYS = 2,
    MSQL_INDEXES = 4,
    MSQL_INDEX_COLUMNS = 2,
    MSQL_NAMESPACES = 3, /* 0 is the built-in one */
    MSQL_STORAGES = 3,   /* 0 is the built-in one */
    MSQL_NAME = 16,
};
enum msql_kind { MSQL_USER = 1, MSQL_SHARED = 2, MSQL_STREAM = 3 };
enum msql_user { MSQL_ABSENT, MSQL_LIVE, MSQL_DROPPED };

struct msql_hash {
    uint64_t low, high;
};
static inline bool msql_hash_eq(struct msql_hash a, struct msql_hash b) {
    return a.low == b.low && a.high == b.high;
}
/* Chains bytes to a hash. */
void msql_hash_bytes(struct msql_hash *h, const void *data, size_t size);
void msql_hash_u64(struct msql_hash *h, uint64_t value);
/* Adds an item to a sum that knows no order. */
void msql_hash_add(struct msql_hash *sum, struct msql_hash item);

struct msql_type {
    enum lam_type type;
    uint8_t precision, scale; /* DECIMAL */
    uint32_t length;          /* TEXT: most characters; 0: any */
};
/* `n`: integers, DECIMAL scaled, TIMESTAMP in microseconds, BOOLEAN, DOUBLE in quarters. */
struct msql_value {
    bool null;
    int64_t n;
    const char *text;
    uint32_t size;
};
bool msql_value_eq(const struct msql_value *a, const struct msql_value *b);

/* Immutable and shared by states. */
struct msql_row {
    unsigned refs;
    int64_t seq; /* as the database gave it; 0 until it was read */
    struct msql_hash hash;
    uint32_t count;
    struct msql_value values[]; /* texts stand behind */
};
struct msql_row *msql_row_new(const struct msql_value *values, uint32_t count);
struct msql_row *msql_row_ref(struct msql_row *row);
void msql_row_unref(struct msql_row *row);

struct msql_rows {
    struct msql_row **items; /* references; owned array */
    size_t count, capacity;
};
void msql_rows_add(struct msql_rows *rows, struct msql_row *row); /* takes the reference */
void msql_rows_remove(struct msql_rows *rows, size_t at);
void msql_rows_fini(struct msql_rows *rows);

struct msql_column {
    char name[MSQL_NAME];
    struct msql_type type;
    bool nullable;
    bool is_key;
    bool has_default;
    struct msql_value def; /* text: of a constant */
};
struct msql_index {
    char name[MSQL_NAME];
    bool unique;
    uint32_t count;
    uint32_t columns[MSQL_INDEX_COLUMNS]; /* positions */
};
struct msql_table {
    unsigned space;   /* namespace */
    unsigned storage; /* of its cold files */
    char name[MSQL_NAME];
    enum msql_kind kind;
    uint32_t column_count;
    struct msql_column columns[MSQL_COLUMNS];
    uint32_t key_count;
    uint32_t keys[MSQL_KEYS]; /* positions */
    uint32_t index_count;
    struct msql_index indexes[MSQL_INDEXES];
    struct msql_rows rows[MSQL_OWNERS];
};

struct msql_state {
    unsigned refs;
    bool spaces[MSQL_NAMESPACES];
    bool storages[MSQL_STORAGES];
    enum msql_user users[MSQL_OWNERS];
    struct msql_table *tables[MSQL_TABLES]; /* owned; NULL: none */
    struct msql_rows things;                /* records of the entity: id, tag, n */
    /* Rows of system.jobs that tell of a completed flush, and of the audit log: they grow beside
     * the rest and are not in the sums. */
    uint64_t flushes, audits;
    /* Set by msql_state_seal. `with_seq` counts the versions too, if all are known. */
    struct msql_hash plain, with_seq;
    bool seq_known;
};
struct msql_state *msql_state_new(void);
struct msql_state *msql_state_copy(const struct msql_state *s);
/* Without the rows of STREAM tables; sealed. */
struct msql_state *msql_state_expired(const struct msql_state *s);
/* Rows of STREAM tables. */
size_t msql_state_stream_rows(const struct msql_state *s);
struct msql_state *msql_state_ref(struct msql_state *s);
void msql_state_unref(struct msql_state *s);
/* Works out the sums; again whenever versions have become known. */
void msql_state_seal(struct msql_state *s);

struct msql_table *msql_table_add(struct msql_state *s, unsigned space, const char *name);
void msql_table_remove(struct msql_state *s, struct msql_table *t);
struct msql_table *msql_table_find(const struct msql_state *s, unsigned space, const char *name);
int msql_column_find(const struct msql_table *t, const char *name);
/* The index a column is in, or -1. */
int msql_index_with(const struct msql_table *t, uint32_t column);
size_t msql_table_rows(const struct msql_table *t);

/* --- items of the sums, as a reader of a database adds them too --- */

struct msql_hash msql_item_name(char kind, const char *name, uint64_t number);
/* The definition of a table: all but its rows and indexes. */
struct msql_hash msql_item_table(const struct msql_table *t);
struct msql_hash msql_item_index(const struct msql_table *t, const struct msql_index *index);
/* `seq` 0: without version. */
struct msql_hash msql_item_row(const struct msql_table *t, unsigned owner,
                               const struct msql_row *row, int64_t seq);
struct msql_hash msql_item_thing(const struct msql_row *row);

/* --- changes of rows --- */

enum msql_cond { MSQL_ALL, MSQL_KEY, MSQL_RANGE, MSQL_EQ, MSQL_IS_NULL, MSQL_LESS };
struct msql_where {
    enum msql_cond cond;
    uint32_t column;        /* EQ, IS_NULL, LESS */
    struct msql_value a, b; /* EQ, LESS: a; RANGE of the first key column: [a, b] */
    struct msql_value key[MSQL_KEYS];
};
bool msql_matches(const struct msql_table *t, const struct msql_row *row,
                  const struct msql_where *where);
struct msql_set {
    uint32_t column;
    bool add;      /* column = column + value */
    bool excluded; /* of ON CONFLICT: column = excluded.column */
    struct msql_value value;
};
enum msql_conflict { MSQL_FAIL, MSQL_NOTHING, MSQL_NOTHING_KEY, MSQL_DO_UPDATE };
/* What a statement does to the rows of an owner. False: it must be refused, and `t` is of no more
 * use. `rows`: references are taken. */
bool msql_insert(struct msql_table *t, unsigned owner, struct msql_row **rows, size_t count,
                 enum msql_conflict conflict, const struct msql_set *sets, size_t set_count);
bool msql_update(struct msql_table *t, unsigned owner, const struct msql_where *where,
                 const struct msql_set *sets, size_t set_count);
void msql_delete(struct msql_table *t, unsigned owner, const struct msql_where *where);
/* Whether rows of one owner share the values of a unique index. */
bool msql_has_duplicates(const struct msql_table *t, const struct msql_index *index);
/* Rewrites all rows with column `at` inserted with a value, or (value NULL) removed. */
void msql_reshape(struct msql_table *t, uint32_t at, const struct msql_value *value);

#endif
