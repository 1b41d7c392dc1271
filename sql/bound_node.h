/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of bound expressions: the nodes that the binder makes and the evaluator runs. Operands of
 * a node have the types its kind asks for: the binder has put casts wherever they differ. */
#ifndef LAMINA_SQL_BOUND_NODE_H
#define LAMINA_SQL_BOUND_NODE_H

#include "sql/bound.h"
#include "sql/func.h"
#include "sql/like.h"

enum bound_kind {
    BOUND_CONSTANT,  /* constant */
    BOUND_PARAMETER, /* index: number - 1 */
    BOUND_COLUMN,    /* index: column of the batch */
    BOUND_NEG,       /* args[0]: BIGINT, DECIMAL or DOUBLE */
    BOUND_ARITH,     /* op; both BIGINT, both DECIMAL (scales may differ) or both DOUBLE */
    BOUND_COMPARE,   /* op; both of one type (DECIMAL scales may differ) */
    BOUND_DISTINCT,  /* as COMPARE; negated: IS NOT DISTINCT FROM */
    BOUND_AND,       /* any number of BOOLEANs */
    BOUND_OR,
    BOUND_NOT,
    BOUND_IS_NULL, /* negated */
    BOUND_IS_BOOL, /* op, negated */
    BOUND_IN,      /* args[0] in args[1..], all of one type; or in `set`; negated */
    BOUND_LIKE,    /* args[0] LIKE args[1] [ESCAPE args[2]]; op, negated; `pattern` if constant */
    BOUND_CASE,    /* when, then, when, then, ..., else */
    BOUND_COALESCE,
    BOUND_CAST, /* args[0] to type, by `cast`; op OP_TRY: NULL where it fails */
    BOUND_CALL, /* func(args) */
};

/* Constants of a long IN list, hashed. NULLs among them are only noted. */
struct in_set {
    const struct value *values; /* all of the operand's type */
    uint32_t count;
    bool has_null;
    uint32_t *slots; /* open addressing: index + 1 into values; 0 is free */
    uint32_t mask;   /* slots - 1 */
};

struct bound {
    enum bound_kind kind;
    enum expr_op op;
    struct coltype type;
    uint32_t pos;
    uint32_t index;
    bool negated;
    bool untyped;     /* CONSTANT: a string literal that may still take another type */
    bool row_free;    /* one value for all rows of a run */
    bool reads_run;   /* in it: parameters, or functions of the session; not foldable */
    bool is_volatile; /* in it: a function that gives each row another value */
    enum cast_kind cast;
    struct value constant;
    const struct func *func;
    const struct in_set *set;
    const struct like_pattern *pattern;
    struct bound **args;
    uint32_t arg_count;
};

/* --- bind_types.c --- */
MUST_CHECK enum lam_code bound_new(struct arena *arena, enum bound_kind kind, struct coltype type,
                                   uint32_t pos, uint32_t arg_count, struct bound **out,
                                   struct lam_error *err);
/* Settles row_free and its like from the operands and folds a node of constants. An evaluation that
 * fails is left for the run: the row may never be reached. */
MUST_CHECK enum lam_code bound_finish(struct bind_context *ctx, struct bound **b,
                                      struct lam_error *err);
/* A string literal, NULL or parameter that has no type yet. */
bool bound_unknown(const struct bound *b);
/* Gives an operand a type: literals are read, parameters settled, else a cast is put around. */
MUST_CHECK enum lam_code bind_coerce(struct bind_context *ctx, struct bound **b, struct coltype to,
                                     enum cast_kind kind, struct lam_error *err);
/* The type that operands of both types meet at; false if there is none. */
bool common_type(struct coltype a, struct coltype b, struct coltype *out);
/* Brings two operands of a comparison to one type. `op` is for the message. */
MUST_CHECK enum lam_code bind_pair(struct bind_context *ctx, struct bound **a, struct bound **b,
                                   const char *op, uint32_t pos, struct lam_error *err);
/* Brings operands to their common type (TEXT if none has a type); 42804 naming `what`. */
MUST_CHECK enum lam_code bind_common(struct bind_context *ctx, struct bound **items, uint32_t count,
                                     const char *what, struct coltype *type_out,
                                     struct lam_error *err);
/* Type of a parameter or literal that stands beside one of `type`. */
struct coltype coltype_beside(struct coltype type);
/* DECIMAL that holds every value of an integer or DECIMAL type. */
struct coltype decimal_of(struct coltype type);
const char *bound_type_text(const struct bound *b, char *out32);
/* Puts a position on an SQL error that has none. */
enum lam_code error_at(struct lam_error *err, enum lam_code rc, uint32_t pos);

/* --- bind_expr.c --- */
MUST_CHECK enum lam_code bind_node(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err);
/* Index in scope->columns; -1: none, -2: several. */
int scope_find(const struct scope *scope, const struct expr *column);
/* Whether two column references mean one column of a scope (`arg`); for expr_same_by. */
bool scope_same_column(void *arg, const struct expr *a, const struct expr *b);
/* --- bind_operator.c --- */
MUST_CHECK enum lam_code bind_arith(struct bind_context *ctx, enum expr_op op, uint32_t pos,
                                    struct bound *l, struct bound *r, struct bound **out,
                                    struct lam_error *err);
MUST_CHECK enum lam_code bind_compare(struct bind_context *ctx, enum expr_op op, uint32_t pos,
                                      struct bound *l, struct bound *r, struct bound **out,
                                      struct lam_error *err);
MUST_CHECK enum lam_code bind_negative(struct bind_context *ctx, const struct expr *e,
                                       struct bound **out, struct lam_error *err);
MUST_CHECK enum lam_code bind_in(struct bind_context *ctx, const struct expr *e, struct bound **out,
                                 struct lam_error *err);
MUST_CHECK enum lam_code bind_like(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err);
MUST_CHECK enum lam_code bind_case(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err);
/* --- bind_call.c --- */
MUST_CHECK enum lam_code bind_call(struct bind_context *ctx, const struct expr *e,
                                   struct bound **out, struct lam_error *err);
/* A function of the table over bound operands; 42883 with the operand types if none suits. */
MUST_CHECK enum lam_code bind_function(struct bind_context *ctx, struct lam_slice name,
                                       struct bound **args, uint32_t count, uint32_t pos,
                                       struct bound **out, struct lam_error *err);

#endif
