/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans of SELECT, INSERT, UPDATE and DELETE: what the binder and the access chooser decided, free
 * of any user's data, in the statement's plan arena. Executors (exec.h) only follow them. */
#ifndef LAMINA_SQL_PLAN_H
#define LAMINA_SQL_PLAN_H

#include "sql/sql.h"

enum source_kind {
    SOURCE_NONE,        /* SELECT without FROM: one row without columns */
    SOURCE_TABLE,       /* a provider */
    SOURCE_SYSTEM,      /* system.<entity> */
    SOURCE_INFORMATION, /* information_schema.<table> */
};
enum information_table {
    INFORMATION_TABLES,
    INFORMATION_COLUMNS,
};

/* What a table name means. Columns of a table: the schema's, then _seq, _updated, _deleted (STREAM:
 * _seq only), hidden; batches of a source have this layout, columns not wanted being empty. */
struct table_ref {
    enum source_kind kind;
    struct provider *provider; /* TABLE; reference owned by the plan */
    enum entity_id entity;
    enum information_table information;
    struct scope scope;
    uint32_t *column_ids;    /* TABLE: [scope.count] */
    struct coltype *types;   /* [scope.count] */
    uint32_t deleted_column; /* index of _deleted; UINT32_MAX without one */
    const char *display;     /* ns.name */
};

/* A conjunct `column op value`, value free of rows. */
struct access_term {
    uint32_t column; /* of the scope */
    enum expr_op op; /* EQ, LT, LE, GT, GE */
    struct bound *value;
};
enum path_kind {
    PATH_SCAN,      /* all rows of the user or table */
    PATH_KEY,       /* equality on the whole primary key: at most one row */
    PATH_KEY_RANGE, /* equality on leading key columns and perhaps bounds on the next */
    PATH_INDEX,     /* equality on leading index columns, hot; cold by pruning */
};
#define PATH_COLUMNS_MAX 16
struct access_path {
    enum path_kind kind;
    uint32_t index;                /* PATH_INDEX: place in the provider's indexes */
    uint32_t eq_count;             /* leading columns fixed by equality */
    uint32_t eq[PATH_COLUMNS_MAX]; /* terms, in column order */
    int lower, upper;              /* terms bounding the next key column, or -1 */
};
/* Chooses the path: whole key, then unique index with all columns, then the longest equality prefix
 * (key before index), then bounds on the first key column, else a scan. Pure. */
void access_choose(const struct schema *schema, const struct table_index *indexes,
                   uint32_t index_count, bool indexes_allowed, const struct access_term *terms,
                   uint32_t term_count, struct access_path *out);

struct source_plan {
    struct table_ref ref;
    bool *used;           /* [scope.count] */
    bool with_deleted;    /* the statement names _deleted */
    struct bound *filter; /* WHERE, whole; NULL: none */
    struct access_term *terms;
    uint32_t term_count;
    struct access_path path;
};

struct sort_key {
    uint32_t column; /* of the projected batch */
    bool descending, nulls_first;
};

struct select_plan {
    struct source_plan source;
    bool aggregated;
    struct bound **groups;
    uint32_t group_count;
    struct bound_aggregate **aggregates;
    uint32_t aggregate_count;
    struct bound *having;
    struct bound **items;                 /* outputs, then hidden sort columns */
    const struct select_item *item_exprs; /* [output_count]: as written, stars expanded */
    const char **names;                   /* of the outputs */
    uint32_t item_count;                  /* with the hidden */
    uint32_t output_count;
    bool distinct;
    struct sort_key *sort;
    uint32_t sort_count;
    struct bound *limit, *offset; /* BIGINT, row-free; NULL: none */
};

struct returning_plan { /* over the table's scope */
    struct bound **items;
    const char **names;
    uint32_t count; /* 0: no RETURNING */
};

struct set_item {
    uint32_t column;     /* of the schema */
    struct bound *value; /* over the target's scope (+ excluded); NULL: DEFAULT */
};

struct insert_plan {
    struct table_ref ref;
    int *targets;         /* [schema column_count]: place in a row, or -1: default */
    struct bound ***rows; /* [row_count][width]; NULL entry: DEFAULT */
    uint32_t row_count, width;
    struct select_plan *select;  /* or NULL */
    struct bound **select_casts; /* [width] over the select's output */
    enum conflict_action on_conflict;
    bool conflict_is_key; /* the clause names the key: conflicts in unique indexes are errors */
    struct set_item *conflict_set; /* scope: target columns, then excluded's */
    uint32_t conflict_set_count;
    struct bound *conflict_where;
    struct returning_plan returning;
};

struct change_plan { /* UPDATE and DELETE */
    struct source_plan source;
    bool is_delete;
    struct set_item *set;
    uint32_t set_count;
    struct returning_plan returning;
};

struct plan {
    enum stmt_kind kind; /* SELECT, INSERT, UPDATE, DELETE */
    struct select_plan *select;
    struct insert_plan *insert;
    struct change_plan *change;
    struct provider **providers; /* references held: released by plan_release */
    uint32_t provider_count, provider_capacity;
};

struct planner {
    lam_session *session;
    const struct identity *who;
    struct arena *arena;
    struct coltype *parameter_types;
    uint32_t parameter_count;
    struct plan *plan;
};

/* Plans a statement; sets the plan's result columns. On failure nothing is held. */
MUST_CHECK enum lam_code plan_statement(struct planner *pl, const struct stmt *ast,
                                        struct result_column **columns_out, uint32_t *count_out,
                                        struct lam_error *err);
/* Gives back the providers; the rest goes with the arena. NULL is allowed. */
void plan_release(struct plan *plan);

/* plan_table.c */
MUST_CHECK enum lam_code plan_table(struct planner *pl, const struct name_ref *name,
                                    struct lam_slice alias, bool write, struct table_ref *out,
                                    struct lam_error *err);
MUST_CHECK enum lam_code plan_source(struct planner *pl, struct source_plan *source,
                                     const struct expr *where, struct lam_error *err);
/* Splits the filter and chooses the path, once all columns used are marked. */
MUST_CHECK enum lam_code plan_access(struct planner *pl, struct source_plan *source,
                                     struct lam_error *err);
struct bind_context planner_bind(struct planner *pl, const struct scope *scope);
enum lam_code plan_out_of_memory(struct lam_error *err);

/* plan_select.c, plan_dml.c */
MUST_CHECK enum lam_code plan_select(struct planner *pl, const struct select_stmt *ast,
                                     struct select_plan **out, struct lam_error *err);
MUST_CHECK enum lam_code plan_insert(struct planner *pl, const struct insert_stmt *ast,
                                     struct insert_plan **out, struct lam_error *err);
MUST_CHECK enum lam_code plan_update(struct planner *pl, const struct update_stmt *ast,
                                     struct change_plan **out, struct lam_error *err);
MUST_CHECK enum lam_code plan_delete(struct planner *pl, const struct delete_stmt *ast,
                                     struct change_plan **out, struct lam_error *err);
/* Expands stars of a select list into an arena array. */
MUST_CHECK enum lam_code plan_expand_items(struct planner *pl, const struct table_ref *ref,
                                           const struct select_item *items, uint32_t count,
                                           struct select_item **out, uint32_t *count_out,
                                           struct lam_error *err);

/* explain.c: one line a row */
MUST_CHECK enum lam_code explain_plan(const struct plan *plan, struct rowlist *rows,
                                      struct lam_error *err);

#endif
