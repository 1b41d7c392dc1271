/* SPDX-License-Identifier: Apache-2.0
 *
 * Execution: operators that pull batches of rows from their child. What `next` hands over stays
 * valid until the next call on the same operator. One run, one thread. */
#ifndef LAMINA_SQL_EXEC_H
#define LAMINA_SQL_EXEC_H

#include "sql/plan.h"

/* Some rows of a batch: sel[0..count), or rows 0..count where sel is NULL. batch NULL is the end.
 */
struct rowset {
    const struct colbatch *batch;
    const uint32_t *sel;
    uint32_t count;
};

struct operator_ops {
    enum lam_code (*next)(struct exec_operator *op, struct run_context *run, struct rowset *out,
                          struct lam_error *err);
    void (*free)(struct exec_operator *op); /* itself and its child */
};
struct exec_operator {
    const struct operator_ops *ops;
    struct exec_operator *child; /* owned, or NULL */
};

static inline enum lam_code operator_next(struct exec_operator *op, struct run_context *run,
                                          struct rowset *out, struct lam_error *err) {
    return op->ops->next(op, run, out, err);
}
void operator_free(struct exec_operator *op); /* NULL is allowed */
/* A zeroed operator of `size` bytes that begins with a struct exec_operator and owns `child`;
 * without memory the child is freed, the error raised and NULL returned. */
void *operator_new(size_t size, const struct operator_ops *ops, struct exec_operator *child,
                   struct lam_error *err);

/* Each takes its child (freed with it, and on failure). Plans are borrowed. */
MUST_CHECK enum lam_code source_operator(const struct source_plan *plan, lam_stmt *stmt,
                                         struct exec_operator **out, struct lam_error *err);
MUST_CHECK enum lam_code filter_operator(struct exec_operator *child, const struct bound *predicate,
                                         struct exec_operator **out, struct lam_error *err);
MUST_CHECK enum lam_code project_operator(struct exec_operator *child, struct bound *const *items,
                                          uint32_t count, struct exec_operator **out,
                                          struct lam_error *err);
MUST_CHECK enum lam_code aggregate_operator(struct exec_operator *child,
                                            const struct select_plan *plan,
                                            struct exec_operator **out, struct lam_error *err);
MUST_CHECK enum lam_code distinct_operator(struct exec_operator *child, uint32_t columns,
                                           struct exec_operator **out, struct lam_error *err);
MUST_CHECK enum lam_code sort_operator(struct exec_operator *child, const struct sort_key *keys,
                                       uint32_t key_count, struct exec_operator **out,
                                       struct lam_error *err);
/* `limit` negative: none. */
MUST_CHECK enum lam_code limit_operator(struct exec_operator *child, int64_t limit, int64_t offset,
                                        struct exec_operator **out, struct lam_error *err);
/* Hands over ready-made rows; takes the list's content. */
MUST_CHECK enum lam_code rows_operator(struct rowlist *rows, struct exec_operator **out,
                                       struct lam_error *err);

/* stmt.c: a run by batches, for readers other than lam_step. Start wants a statement that is ready;
 * a failed start has ended the run. The rows last until the next call; batch NULL is the end. The
 * reader calls stmt_end after it or after an error. */
MUST_CHECK enum lam_code stmt_start(lam_stmt *stmt, struct lam_error *err);
MUST_CHECK enum lam_code stmt_next_rows(lam_stmt *stmt, struct rowset *out, struct lam_error *err);
void stmt_end(lam_stmt *stmt);

/* Gives an operator made of an empty list its rows. Cannot fail, for use after a commit. */
void rows_operator_fill(struct exec_operator *op, struct rowlist *rows);

/* exec_select.c: the whole tree of a SELECT. */
MUST_CHECK enum lam_code select_operator(const struct select_plan *plan, lam_stmt *stmt,
                                         struct exec_operator **out, struct lam_error *err);
/* exec_system.c: rows of a system or information_schema table. */
MUST_CHECK enum lam_code system_rows(const struct table_ref *ref, lam_stmt *stmt,
                                     struct rowlist *rows, struct lam_error *err);

/* Whose rows of a table the user means: nobody's where all users share them. */
static inline struct lam_slice row_owner(const struct provider *p, struct lam_slice user) {
    return p->kind == TABLE_SHARED ? SLICE_EMPTY : user;
}

/* Default of a column as text, NULL without one. */
MUST_CHECK enum lam_code column_default_text(const struct schema_column *c, struct arena *arena,
                                             struct value *out, struct lam_error *err);

/* exec_insert.c, exec_change.c: run to the end; `returned` gets RETURNING's rows. CONFLICT when the
 * table was altered since planning. */
MUST_CHECK enum lam_code insert_run(lam_stmt *stmt, const struct insert_plan *plan,
                                    struct rowlist *returned, struct lam_error *err);
MUST_CHECK enum lam_code change_run(lam_stmt *stmt, const struct change_plan *plan,
                                    struct rowlist *returned, struct lam_error *err);

/* --- bytes_map.c: encoded keys to numbers 0, 1, 2 .. in order of arrival --- */
struct bytes_map {
    struct arena arena;     /* key bytes */
    struct lam_slice *keys; /* [count] */
    uint64_t *hashes;       /* [count] */
    uint32_t *slots;        /* number + 1, or 0; power of two */
    size_t count, capacity, slot_count;
};
void bytes_map_fini(struct bytes_map *m);
/* The number of `key`, adding it if need be. */
MUST_CHECK enum lam_code bytes_map_add(struct bytes_map *m, struct lam_slice key,
                                       uint32_t *number_out, bool *added_out,
                                       struct lam_error *err);
/* Its number; false if it is not there. */
bool bytes_map_find(const struct bytes_map *m, struct lam_slice key, uint32_t *number_out);

/* --- dml.c: what INSERT, UPDATE and DELETE share --- */

/* A run of row changes on one table under its stripe: all go into one batch, one commit. */
struct dml {
    lam_stmt *stmt;
    struct provider *p;
    struct lam_slice owner; /* whose rows; empty where all users share them */
    lam_batch *batch;
    struct seq_stamps stamps;
    lam_snapshot *snapshot; /* taken under the stripe */
    unsigned stripe;
    bool locked;
    struct bytes_map keys;            /* keys written by this statement */
    struct bytes_map removed;         /* keys taken away */
    struct bytes_map *uniques;        /* [index_count]: unique values written */
    struct bytes_map *unique_removed; /* [index_count]: unique values given up */
    struct buf *pending;              /* [index_count]: unique values of the row at hand */
    struct buf key;
    struct colbatch kept; /* rows for RETURNING in the scope's layout; owned */
    size_t *kept_stamps;  /* [kept.rows]: place in `stamps`, or NO_STAMP; owned */
    size_t kept_capacity;
};
#define NO_STAMP SIZE_MAX
/* Locks the stripe and takes the snapshot. On failure nothing is held. */
MUST_CHECK enum lam_code dml_begin(struct dml *d, lam_stmt *stmt, struct provider *p,
                                   struct lam_error *err);
void dml_end(struct dml *d);
/* Commits what was batched; unlocks; waits for durability; tells the flush policies. */
MUST_CHECK enum lam_code dml_commit(struct dml *d, uint64_t rows, struct lam_error *err);
/* NOT NULL (23502) of a whole row. */
MUST_CHECK enum lam_code dml_check_nulls(const struct provider *p, const struct value *values,
                                         struct lam_error *err);
/* Unique indexes (23505) against table and statement; notes the row's values if there is no
 * conflict. `conflict_out` (may be NULL: raise) is set instead of raising. */
MUST_CHECK enum lam_code dml_check_unique(struct dml *d, const struct value *values,
                                          struct lam_slice own_key, bool *conflict_out,
                                          struct lam_error *err);
/* Notes that a row's unique values are given up by this statement. */
MUST_CHECK enum lam_code dml_give_up_unique(struct dml *d, const struct value *values,
                                            struct lam_error *err);
enum lam_code dml_duplicate_key(const struct provider *p, const struct value *values,
                                struct lam_error *err);
/* Appends one row of the table's scope (user columns, _seq, _updated, _deleted) to a batch. */
MUST_CHECK enum lam_code dml_scope_row(const struct provider *p, const struct value *values,
                                       int64_t seq, bool deleted, struct colbatch *out,
                                       struct lam_error *err);
/* Copies a value's bytes to an arena. */
MUST_CHECK enum lam_code dml_copy_value(struct arena *arena, struct value v, struct value *out,
                                        struct lam_error *err);
/* Whether two values are the same for UPDATE: NULL equals NULL. */
bool dml_same_value(const struct value *a, const struct value *b);
/* Keeps a row for RETURNING. `written`: it is the newest put of the batch, whose _seq the commit
 * will tell; else `seq` is its own. */
MUST_CHECK enum lam_code dml_keep(struct dml *d, const struct table_ref *ref,
                                  const struct value *values, int64_t seq, bool written,
                                  struct lam_error *err);
/* RETURNING is evaluated before the commit, so that its errors undo the statement; the _seq and
 * _updated of written rows are filled in after it. */
void dml_stamp_returned(const struct dml *d, const struct returning_plan *plan, uint32_t seq_column,
                        struct rowlist *returned);
/* Evaluates RETURNING over rows of the scope. */
MUST_CHECK enum lam_code dml_returning(lam_stmt *stmt, const struct returning_plan *plan,
                                       const struct colbatch *rows, struct rowlist *returned,
                                       struct lam_error *err);

#endif
