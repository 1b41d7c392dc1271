/* SPDX-License-Identifier: Apache-2.0
 *
 * Door of SQL, and what its files share: sessions, statements, the identity a statement runs under.
 *
 * The life of a statement: lam_prepare parses into `ast_arena` and plans into `plan_arena`; the
 * first lam_step of a run takes a snapshot, builds operators and pulls batches; lam_reset drops
 * them. A plan is remade when the catalog changed or parameters came with other types. */
#ifndef LAMINA_SQL_SQL_H
#define LAMINA_SQL_SQL_H

#include "flush/flush.h"
#include "lamina/sql.h"
#include "sql/ast.h"
#include "sql/bound.h"

struct plan;
struct exec_operator;

struct lam_session {
    lam_db *db;              /* borrowed */
    struct catalog *catalog; /* borrowed */
    struct flush *flush;     /* borrowed */
    struct sql_layer *layer; /* borrowed; counts sessions */
    struct lam_slice user;   /* owned bytes, NUL after them */
    enum lam_role role;
    char namespace_name[IDENTIFIER_MAX + 1]; /* current; USE changes it */
    enum lam_durability durability;
    atomic_bool interrupted; /* set by any thread, cleared when a statement starts */
    uint32_t open_statements;
};

/* Who a statement acts as: the session's user, or EXECUTE AS's. */
struct identity {
    struct lam_slice user;
    enum lam_role role;
    bool impersonated; /* USER and STREAM tables only */
};

struct result_column {
    const char *name; /* in the plan arena */
    struct coltype type;
};

enum stmt_state {
    STMT_READY,   /* may start a run */
    STMT_RUNNING, /* rows may follow */
    STMT_DONE,    /* ended or failed: lam_reset before the next run */
};

/* A parameter as it was bound: text has no type of its own yet. */
struct parameter {
    struct value value; /* bytes owned by `bytes` */
    bool is_text;       /* takes the type of its place */
    struct buf bytes;
};

struct lam_stmt {
    lam_session *session;   /* borrowed */
    struct arena ast_arena; /* syntax tree */
    struct arena plan_arena;
    struct arena run_arena; /* one run's values */
    struct stmt *ast;
    struct identity identity;
    struct plan *plan;               /* in plan_arena; NULL for statements that need none */
    uint64_t planned_version;        /* catalog_version of the plan */
    struct parameter *parameters;    /* [parameter_count]; owned */
    struct coltype *parameter_types; /* [parameter_count]: as the plan wants them; in plan_arena */
    struct coltype *preset_types; /* [parameter_count]: what binding started from; in ast_arena */
    uint32_t parameter_count;
    struct result_column *columns; /* in plan_arena */
    uint32_t column_count;
    enum stmt_state state;
    struct run_context run;
    lam_snapshot *snapshot;       /* of this run; owned */
    struct exec_operator *root;   /* of this run; owned */
    const struct colbatch *batch; /* current rows; the operator's */
    const uint32_t *sel;
    uint32_t batch_rows;
    uint32_t row; /* current row's place in the batch, from 0 */
    bool primed;  /* the batch was pulled when the run started and not yet stepped to */
    uint64_t changes;
    struct arrow_stream *stream; /* reads this run; NULL: none. Owned by the stream's consumer */
    struct buf *texts;           /* [column_count] scratch of lam_column_text; owned */
    uint32_t text_count;
};

/* Ready-made rows: results of SHOW, DESCRIBE, EXPLAIN, system tables, RETURNING. All-zero is none.
 * Rows are appended to the last batch; a full one starts another. */
struct rowlist {
    struct coltype *types; /* owned copy */
    uint32_t column_count;
    struct colbatch *batches; /* owned */
    size_t count, capacity;
};
MUST_CHECK enum lam_code rowlist_init(struct rowlist *r, const struct coltype *types,
                                      uint32_t column_count, struct lam_error *err);
void rowlist_fini(struct rowlist *r);
/* The batch to append the next row to; call rowlist_added after each row. */
MUST_CHECK enum lam_code rowlist_batch(struct rowlist *r, struct colbatch **out,
                                       struct lam_error *err);
static inline void rowlist_added(struct colbatch *b) {
    b->rows++;
}
/* Appends one row of values (types must match, NULLs may be untyped). */
MUST_CHECK enum lam_code rowlist_add(struct rowlist *r, const struct value *values,
                                     struct lam_error *err);
uint64_t rowlist_rows(const struct rowlist *r);

/* The time by which a table's rows have expired; of account for STREAM tables only. */
int64_t run_expiry_us(const struct run_context *run, const struct provider *p);
/* Fails with 57014 if the session was interrupted. */
MUST_CHECK enum lam_code run_check(const struct run_context *run, struct lam_error *err);

/* --- arrow.c --- */

/* Takes the statement from the Arrow stream that reads it, whose next batch fails from now on. */
void arrow_stream_detach(lam_stmt *stmt);

/* --- authorise.c --- */

/* Whether the identity may run the statement, as far as can be told without running what stands
 * before it: tables that do not exist are passed over. */
MUST_CHECK enum lam_code authorise_statement(lam_session *session, const struct stmt *ast,
                                             struct lam_error *err);
/* Who the statement acts as, and the statement inside EXECUTE AS. Checks that this is allowed. */
MUST_CHECK enum lam_code authorise_identity(lam_session *session, const struct stmt *ast,
                                            struct arena *arena, struct identity *identity_out,
                                            const struct stmt **inner_out, struct lam_error *err);
/* Read or write access to a table for an identity: 42501. */
MUST_CHECK enum lam_code authorise_table(const struct identity *who, const struct provider *p,
                                         bool write, struct lam_error *err);

/* --- ddl.c, show.c: statements without a plan --- */

MUST_CHECK enum lam_code ddl_run(lam_stmt *stmt, const struct stmt *ast, struct lam_error *err);
/* Result columns of SHOW, DESCRIBE, EXPLAIN, STORAGE FLUSH; false if the kind has none. */
bool show_columns(const struct stmt *ast, const char *const **names_out,
                  const enum lam_type **types_out, uint32_t *count_out);
MUST_CHECK enum lam_code show_run(lam_stmt *stmt, const struct stmt *ast, struct rowlist *rows,
                                  struct lam_error *err);

#endif
