/* SPDX-License-Identifier: Apache-2.0
 *
 * Bound expressions: names resolved, types known, casts explicit, run batch at a time over columns.
 *
 * A bound expression is immutable and lives in its statement's arena. Running it needs a `struct
 * evaluator` (registers, scratch), which is one thread's. Errors inside CASE, AND and OR are raised
 * only for rows that reach them: evaluation takes a selection. */
#ifndef LAMINA_SQL_BOUND_H
#define LAMINA_SQL_BOUND_H

#include "sql/ast.h"

/* What a column name may mean while binding. */
struct scope_column {
    struct lam_slice table; /* alias or table name; "excluded" for the proposed row */
    struct lam_slice name;
    struct coltype type;
    bool nullable;
    bool hidden;         /* not part of * (system columns) */
    bool qualified_only; /* found by table.name only (`excluded`) */
    uint32_t column;     /* index into the input batch */
};
struct scope {
    const struct scope_column *columns;
    uint32_t count;
};

/* Session facts that expressions read: fixed for one run of a statement. */
struct run_context {
    struct catalog *catalog;
    struct lam_slice user;
    enum lam_role role;
    int64_t now_us;                 /* start of the statement: NOW() is the same everywhere in it */
    const struct value *parameters; /* [parameter_count], already of the types in bind_context */
    uint32_t parameter_count;
    struct arena *arena;      /* lives for the run */
    atomic_bool *interrupted; /* NULL or set to stop with 57014 */
};

/* State of binding one statement. */
struct bind_context {
    struct arena *arena;
    const struct scope *scope;
    struct coltype
        *parameter_types; /* [parameter_count]; NULL type: not known yet; binding fills in */
    uint32_t parameter_count;
    bool allow_aggregates;               /* collects them in `aggregates` */
    struct bound_aggregate **aggregates; /* array in the arena, grown as found */
    uint32_t aggregate_count, aggregate_capacity;
    bool inside_aggregate;
    /* `grouped`: the expressions run over an aggregation's output, whose columns are the group
     * expressions, then the aggregates: an expression equal to group_exprs[i] (compared as syntax
     * trees, columns by what they resolve to) becomes a reference to column i, aggregate j one to
     * column group_count + j; another column of the scope is 42803. Arguments and filters of
     * aggregates are bound over `scope` as usual. */
    bool grouped;
    const struct expr *const *group_exprs;
    uint32_t group_count;
};

struct bound; /* opaque: an expression tree */

struct bound_aggregate {
    enum aggregate_kind {
        AGG_COUNT_STAR,
        AGG_COUNT,
        AGG_SUM,
        AGG_AVG,
        AGG_MIN,
        AGG_MAX,
        AGG_BOOL_AND,
        AGG_BOOL_OR,
        AGG_STRING_AGG,
    } kind;
    bool distinct;
    struct bound *argument;  /* NULL for COUNT(*) */
    struct bound *argument2; /* STRING_AGG's separator */
    struct bound *filter;    /* FILTER (WHERE ..) or NULL */
    struct coltype type;     /* of the result */
    uint32_t pos;
    const struct expr *source; /* the call; one written again is the same aggregate */
};

/* Whether a function of this (folded) name is an aggregate. */
bool bind_is_aggregate(struct lam_slice name);

/* Binds an expression over ctx->scope. Errors: 42703 (column, with the nearest name as hint), 42883
 * (function or operator, naming the argument types), 42804 (types), 42803 (grouping), 42P02
 * (parameter). */
MUST_CHECK enum lam_code bind_expr(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err);
/* The same, then converts to `type`: as an assignment into a column (untyped literals and
 * parameters take the type; else an assignment cast), or, for `what` = "WHERE" and the like,
 * requires BOOLEAN. */
MUST_CHECK enum lam_code bind_expr_as(struct bind_context *ctx, const struct expr *e,
                                      struct coltype type, const char *what, struct bound **out,
                                      struct lam_error *err);
struct coltype bound_type(const struct bound *b);
/* A constant (no columns, parameters or volatile functions): folded already; its value. */
bool bound_constant(const struct bound *b, struct value *out);
/* Whether the value never changes; unlike with bound_constant, computing it may fail. */
bool bound_is_constant(const struct bound *b);
/* Depends on no column (constants, parameters, NOW() ...): can be run once per statement. */
bool bound_is_row_free(const struct bound *b);
/* A plain column reference; its index in the scope's batch. */
bool bound_column(const struct bound *b, uint32_t *column_out);
/* If `b` is `column <op> row-free` or the mirror of it (op made to fit), says so; BETWEEN and IN
 * are offered by bound_conjuncts as separate comparisons where that is exact. */
bool bound_comparison(const struct bound *b, uint32_t *column_out, enum expr_op *op_out,
                      struct bound **other_out);
/* Splits a predicate into its ANDed parts, into an arena array. */
MUST_CHECK enum lam_code bound_conjuncts(struct arena *arena, struct bound *b,
                                         struct bound ***parts_out, uint32_t *count_out,
                                         struct lam_error *err);
/* Sets used[column] for each column of the batch that `b` reads. */
void bound_mark_columns(const struct bound *b, bool *used);
/* Reference to column `index` of a batch, for operators that build plans themselves. */
MUST_CHECK enum lam_code bound_new_column(struct arena *arena, uint32_t index, struct coltype type,
                                          struct bound **out, struct lam_error *err);
MUST_CHECK enum lam_code bound_new_constant(struct arena *arena, const struct value *v,
                                            struct bound **out, struct lam_error *err);
/* The value of `other` as a column of `column_type` would hold it, to look for in keys and indexes.
 * `*usable_out` is false where no such value means just the same (out of range, too many decimals):
 * filter rows instead. A NULL value: no row can match. */
MUST_CHECK enum lam_code bound_key_value(struct run_context *run, const struct bound *other,
                                         struct coltype column_type, bool *usable_out,
                                         struct value *out, struct lam_error *err);

/* Runs over `sel[0..count)` rows of a batch (sel NULL: rows 0..count). The result column belongs to
 * the evaluator until its next run: row i of it answers sel[i]. */
struct evaluator;
MUST_CHECK enum lam_code evaluator_new(const struct bound *b, struct evaluator **out,
                                       struct lam_error *err);
void evaluator_free(struct evaluator *e);
MUST_CHECK enum lam_code evaluator_run(struct evaluator *e, struct run_context *run,
                                       const struct colbatch *batch, const uint32_t *sel,
                                       uint32_t count, const struct column **result_out,
                                       struct lam_error *err);
/* Predicate: keeps in sel_out (room for count) the rows where it is true. */
MUST_CHECK enum lam_code evaluator_filter(struct evaluator *e, struct run_context *run,
                                          const struct colbatch *batch, const uint32_t *sel,
                                          uint32_t count, uint32_t *sel_out, uint32_t *count_out,
                                          struct lam_error *err);
/* An expression without columns to one value; bytes live in run->arena. */
MUST_CHECK enum lam_code bound_value(struct run_context *run, const struct bound *b,
                                     struct value *out, struct lam_error *err);

/* --- aggregate states: flat, one per group --- */
/* Bytes of a state, which must be aligned to 16. */
size_t aggregate_state_size(const struct bound_aggregate *a);
void aggregate_init(const struct bound_aggregate *a, void *state);
/* Adds argument rows rows[0..count) to states[i]; NULL arguments are skipped. DISTINCT and FILTER
 * are the operator's (it passes only rows that count). Variable-length state lives in `arena`. */
MUST_CHECK enum lam_code aggregate_update(const struct bound_aggregate *a, void **states,
                                          const struct column *argument,
                                          const struct column *argument2, uint32_t count,
                                          struct arena *arena, struct lam_error *err);
MUST_CHECK enum lam_code aggregate_result(const struct bound_aggregate *a, const void *state,
                                          struct column *out, struct lam_error *err);

#endif
