/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of scalar functions: overloads by name and argument types, each with a kernel for one
 * row. Operators that are not arithmetic or comparison (||, ->, date + integer) are in it by their
 * sign. */
#ifndef LAMINA_SQL_FUNC_H
#define LAMINA_SQL_FUNC_H

#include "sql/bound.h"

#define FUNC_ARGS_MAX 4
/* Arguments of a variadic call. */
#define CALL_ARGS_MAX 1000
/* Bytes of text that one call may make. */
#define FUNC_TEXT_MAX (64u << 20)

/* One call for one row. */
struct call {
    struct run_context *run;
    struct coltype type; /* of the result */
    uint32_t arg_count;
    struct arena *arena; /* lives to the end of the batch */
    struct buf *scratch; /* empty; may hold the result's bytes */
};
/* Computes *out (its type is set by the caller); bytes may borrow the arguments, the scratch or the
 * arena. A NULL argument comes only to functions with `nulls`. */
typedef enum lam_code (*func_fn)(struct call *c, const struct value *args, struct value *out,
                                 struct lam_error *err);

enum func_result {
    RESULT_FIXED = 0, /* `result` */
    RESULT_ARG,       /* type of the first argument */
    RESULT_COMMON,    /* of all arguments, which are brought to it */
    RESULT_ROUND,     /* DECIMAL: scale from the second argument, 0 without one */
};
enum func_flags {
    FUNC_NULLS = 1,    /* is called with NULLs; others give NULL for one */
    FUNC_VOLATILE = 2, /* another value for each row */
    FUNC_RUN = 4,      /* reads the run context: not folded, one value a run */
    FUNC_VARIADIC = 8, /* the last argument's type may repeat */
};

struct func {
    const char *name; /* folded */
    uint8_t arg_count;
    uint8_t flags;
    uint8_t result_rule;         /* enum func_result */
    uint8_t result;              /* enum lam_type */
    uint8_t args[FUNC_ARGS_MAX]; /* enum lam_type; NULL type: any */
    func_fn run;
};

/* Functions by name; each folder of them is one table. */
struct func_table {
    const struct func *funcs;
    size_t count;
};
extern const struct func_table func_text_table, func_math_table, func_time_table, func_json_table,
    func_session_table;
/* The i-th function of all tables; NULL past the end. */
const struct func *func_at(size_t i);

/* --- shared by the tables --- */
enum lam_code func_out_of_range(struct lam_error *err);
enum lam_code func_too_long(struct lam_error *err);

#endif
