/* SPDX-License-Identifier: Apache-2.0
 *
 * A database in memory with one session of role system, for tests of statements. */
#ifndef LAMINA_TESTS_SQL_DATABASE_H
#define LAMINA_TESTS_SQL_DATABASE_H

#include "lamina/lamina.h"
#include "tests/support/test.h"

struct database {
    lam_env *env;
    lam_db *db;
    lam_session *s;
    struct lam_error err;
    char *text; /* answer of the last query; owned */
    uint64_t changes;
};

__attribute__((unused)) static void database_reopen(struct database *d) {
    struct lam_options options = {.env = d->env, .memory_budget = 8u << 20};
    if (d->db) {
        ck_ok(lam_session_close(d->s, &d->err), &d->err);
        ck_ok(lam_db_close(d->db, &d->err), &d->err);
    }
    ck_ok(lam_db_open("db", &options, &d->db, &d->err), &d->err);
    ck_ok(lam_session_open(d->db, "root", LAM_ROLE_SYSTEM, &d->s, &d->err), &d->err);
}

__attribute__((unused)) static void database_open(struct database *d) {
    memset(d, 0, sizeof *d);
    ck_ok(lam_env_mem_new(&d->env, &d->err), &d->err);
    database_reopen(d);
}

__attribute__((unused)) static void database_close(struct database *d) {
    ck_ok(lam_session_close(d->s, &d->err), &d->err);
    ck_ok(lam_db_close(d->db, &d->err), &d->err);
    struct lam_check_options check = {.env = d->env};
    ck_ok(lam_check_full("db", &check, &d->err), &d->err);
    lam_env_mem_free(d->env);
    free(d->text);
}

__attribute__((unused)) static bool database_row(void *arg, lam_stmt *stmt) {
    FILE *out = arg;
    for (uint32_t i = 0; i < lam_column_count(stmt); i++) {
        struct lam_slice v = lam_column_text(stmt, i);
        if (i > 0)
            fputc('|', out);
        if (lam_column_is_null(stmt, i))
            fputs("NULL", out);
        else if (v.size > 0)
            fwrite(v.data, 1, v.size, out);
    }
    fputc('\n', out);
    return true;
}

/* Runs statements; the answer's rows become d->text, a line each. */
__attribute__((unused)) static enum lam_code database_try(struct database *d, const char *sql) {
    size_t size;
    free(d->text);
    d->text = NULL;
    memset(&d->err, 0, sizeof d->err);
    FILE *out = open_memstream(&d->text, &size);
    enum lam_code rc = lam_exec(d->s, sql, strlen(sql), database_row, out, &d->changes, &d->err);
    fclose(out);
    return rc;
}

__attribute__((unused)) static const char *run(struct database *d, const char *sql) {
    enum lam_code rc = database_try(d, sql);
    if (rc != LAM_OK)
        ck_abort_msg("%.300s: %s %.300s", sql, d->err.sqlstate, d->err.message);
    return d->text;
}

/* The statement fails with this SQLSTATE. */
__attribute__((unused)) static void fails(struct database *d, const char *sql, const char *state) {
    enum lam_code rc = database_try(d, sql);
    ck_assert_msg(rc != LAM_OK, "%.300s: succeeded, expected %s", sql, state);
    ck_assert_msg(strcmp(d->err.sqlstate, state) == 0, "%.300s: expected %s, got %s %.300s", sql,
                  state, d->err.sqlstate, d->err.message);
}

__attribute__((unused)) static lam_stmt *prepare(struct database *d, const char *sql) {
    lam_stmt *stmt = NULL;
    ck_ok(lam_prepare(d->s, sql, strlen(sql), &stmt, NULL, &d->err), &d->err);
    ck_assert_ptr_nonnull(stmt);
    return stmt;
}

/* Steps to the next row (true) or the end (false). */
__attribute__((unused)) static bool step(struct database *d, lam_stmt *stmt) {
    bool row;
    ck_ok(lam_step(stmt, &row, &d->err), &d->err);
    return row;
}

/* The run fails with this SQLSTATE at its first step. */
static void __attribute__((unused))
step_fails(struct database *d, lam_stmt *stmt, const char *state) {
    bool row;
    memset(&d->err, 0, sizeof d->err);
    enum lam_code rc = lam_step(stmt, &row, &d->err);
    ck_assert_msg(rc != LAM_OK, "expected %s, the step succeeded", state);
    ck_assert_msg(strcmp(d->err.sqlstate, state) == 0, "expected %s, got %s %s", state,
                  d->err.sqlstate, d->err.message);
}

#endif
