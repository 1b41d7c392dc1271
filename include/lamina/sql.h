/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL over a database: sessions, prepared statements, results. A session is a (user, role) pair;
 * the embedder has authenticated it. A user sees his own rows of USER and STREAM tables only.
 *
 * A session and its statements are one thread's at a time; any number of sessions may work on one
 * database at once. Errors of statements are LAM_SQL (or LAM_DENIED) with sqlstate, message, pos
 * (1-based character of the SQL text given to the call) and, where one helps, a hint. */
#ifndef LAMINA_SQL_H
#define LAMINA_SQL_H

#include "lamina/db.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAM_SQL_TEXT_MAX   (64u << 20)
#define LAM_PARAMETERS_MAX 32767

/* Opens a session. `user`: 1 to 256 bytes of UTF-8 without NUL. Cheap: makes no partition, no row.
 * The current namespace is `default`. Returns owned; lam_session_close. */
LAM_API LAM_MUST_CHECK enum lam_code lam_session_open(lam_db *db, const char *user,
                                                      enum lam_role role, lam_session **session_out,
                                                      struct lam_error *err);
/* Opens a session as a user with the role that system.users gives him; role user if he is not
 * there. */
LAM_API LAM_MUST_CHECK enum lam_code lam_session_open_user(lam_db *db, const char *user,
                                                           lam_session **session_out,
                                                           struct lam_error *err);
/* Statements must be finalized first: BUSY otherwise. NULL is allowed. */
LAM_API enum lam_code lam_session_close(lam_session *session, struct lam_error *err);
/* Valid as long as the session (namespace: until USE changes it). */
LAM_API const char *lam_session_user(const lam_session *session);
LAM_API enum lam_role lam_session_role(const lam_session *session);
LAM_API const char *lam_session_namespace(const lam_session *session);
/* How durable the session's writes are; DEFAULT: as the database was opened. */
LAM_API void lam_session_set_durability(lam_session *session, enum lam_durability durability);
/* Stops the running statement of a session soon, from any thread: it fails with 57014. */
LAM_API void lam_session_interrupt(lam_session *session);

/* Prepares the first statement of `sql` (`size` bytes). `*tail_out` (may be NULL) gets the offset
 * after it and its semicolon. A text with only blanks and comments gives no statement: *stmt_out is
 * NULL and the call OK. Returns owned; lam_finalize. Access is checked here and at each run. */
LAM_API LAM_MUST_CHECK enum lam_code lam_prepare(lam_session *session, const char *sql, size_t size,
                                                 lam_stmt **stmt_out, size_t *tail_out,
                                                 struct lam_error *err);
LAM_API void lam_finalize(lam_stmt *stmt);

/* Parameters $1.. are numbered from 1; unbound ones are NULL. Values are copied and stay bound over
 * lam_reset. INVALID for a number the statement does not have. */
LAM_API uint32_t lam_parameter_count(const lam_stmt *stmt);
LAM_API LAM_MUST_CHECK enum lam_code lam_bind_null(lam_stmt *stmt, uint32_t index,
                                                   struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_bind_bool(lam_stmt *stmt, uint32_t index, bool value,
                                                   struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_bind_int64(lam_stmt *stmt, uint32_t index, int64_t value,
                                                    struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_bind_double(lam_stmt *stmt, uint32_t index, double value,
                                                     struct lam_error *err);
/* Text takes the type that its place wants (a timestamp, a decimal, a UUID ...), as a literal does.
 * It is UTF-8 without NUL: 22021 otherwise. */
LAM_API LAM_MUST_CHECK enum lam_code lam_bind_text(lam_stmt *stmt, uint32_t index, const char *text,
                                                   size_t size, struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_bind_bytes(lam_stmt *stmt, uint32_t index,
                                                    const void *data, size_t size,
                                                    struct lam_error *err);

/* Runs to the next row. `*row_out`: there is one; false: done (all effects committed). After an
 * error or the end, lam_reset makes the statement ready to run again. A failed statement has had no
 * effect. */
LAM_API LAM_MUST_CHECK enum lam_code lam_step(lam_stmt *stmt, bool *row_out, struct lam_error *err);
LAM_API void lam_reset(lam_stmt *stmt);

/* Result columns; known after lam_prepare. 0 columns: a statement without rows. */
LAM_API uint32_t lam_column_count(const lam_stmt *stmt);
/* Valid as long as the statement; "" out of range. */
LAM_API const char *lam_column_name(const lam_stmt *stmt, uint32_t column);
LAM_API enum lam_type lam_column_type(const lam_stmt *stmt, uint32_t column);
/* Values of the current row. Conversions: int64 and double from any number or BOOLEAN (out of range
 * gives 0); text of any type in its text form; bytes of TEXT, BYTES, JSON and UUID. Pointers are
 * valid until the next lam_step, lam_reset or lam_finalize. Out of range reads as NULL. */
LAM_API bool lam_column_is_null(const lam_stmt *stmt, uint32_t column);
LAM_API bool lam_column_bool(const lam_stmt *stmt, uint32_t column);
LAM_API int64_t lam_column_int64(const lam_stmt *stmt, uint32_t column);
LAM_API double lam_column_double(const lam_stmt *stmt, uint32_t column);
LAM_API struct lam_slice lam_column_text(lam_stmt *stmt, uint32_t column);
LAM_API struct lam_slice lam_column_bytes(lam_stmt *stmt, uint32_t column);
/* Rows inserted, updated or deleted by the finished statement; rows returned by a query. */
LAM_API uint64_t lam_changes(const lam_stmt *stmt);
/* What the statement was: "INSERT", "SELECT", "CREATE TABLE" ...; static. */
LAM_API const char *lam_command_tag(const lam_stmt *stmt);

/* Whether the session may run all statements of `sql`, told before any of them runs: DENIED with
 * the first that it may not. Tables that do not exist (yet) and statements that do not parse are
 * passed over: running tells. lam_exec does this itself. */
LAM_API LAM_MUST_CHECK enum lam_code lam_authorize(lam_session *session, const char *sql,
                                                   size_t size, struct lam_error *err);

/* Runs all statements of `sql`, authorising the whole text before the first runs; stops at the
 * first error (statements before it stay done). `fn` (may be NULL) gets each row as the statement
 * steps; false stops with 57014. `changes_out` (may be NULL) gets the last statement's count. */
typedef bool (*lam_row_fn)(void *arg, lam_stmt *stmt);
LAM_API LAM_MUST_CHECK enum lam_code lam_exec(lam_session *session, const char *sql, size_t size,
                                              lam_row_fn fn, void *arg, uint64_t *changes_out,
                                              struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
