/* SPDX-License-Identifier: Apache-2.0
 *
 * Running SQL for people: the session, the statements of a text, results and errors. */
#include <errno.h>
#include <time.h>

#include "shell/output.h"
#include "shell/shell.h"

bool shell_open_session(struct shell *sh, const char *user, const enum lam_role *role) {
    struct lam_error err = {0};
    const char *name = user ? user : "system";
    enum lam_role number = role ? *role : LAM_ROLE_SYSTEM;
    enum lam_code rc = user && !role ? lam_session_open_user(sh->db, name, &sh->session, &err)
                                     : lam_session_open(sh->db, name, number, &sh->session, &err);
    if (rc == LAM_OK)
        return true;
    diag_error(&err);
    return false;
}

bool shell_close_session(struct shell *sh) {
    struct lam_error err = {0};
    if (lam_session_close(sh->session, &err) != LAM_OK) {
        diag_error(&err);
        return false;
    }
    sh->session = NULL;
    return true;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static enum lam_code fail_output(struct lam_error *err) {
    int number = errno;
    *err = (struct lam_error){.code = LAM_IO, .os_errno = number};
    snprintf(err->message, sizeof err->message, "write results: %s", strerror(number));
    return LAM_IO;
}

static enum lam_code fail_interrupted(struct lam_error *err) {
    *err = (struct lam_error){.code = LAM_SQL, .sqlstate = "57014"};
    snprintf(err->message, sizeof err->message, "statement interrupted");
    return LAM_SQL;
}

static enum lam_code print_rows(struct shell *sh, lam_stmt *stmt, struct lam_error *err) {
    struct output out;
    enum lam_code rc = LAM_OK;
    bool row = true;
    output_begin(&out, sh->mode, stmt);
    while (rc == LAM_OK && row) {
        rc = interrupt_seen() ? fail_interrupted(err) : lam_step(stmt, &row, err);
        if (rc == LAM_OK && row && !output_row(&out))
            rc = fail_output(err);
    }
    output_end(&out, rc != LAM_OK);
    return rc;
}

static enum lam_code run_one(struct shell *sh, lam_stmt *stmt, struct lam_error *err) {
    double start = now_ms();
    interrupt_watch(sh->session);
    enum lam_code rc = print_rows(sh, stmt, err);
    interrupt_watch(NULL);
    if (sh->timer) {
        fflush(stdout);
        fprintf(stderr, "Time: %.3f ms\n", now_ms() - start);
    }
    return rc;
}

bool shell_run(struct shell *sh, const char *sql, size_t size, const struct place *place) {
    struct lam_error err = {0};
    size_t at = 0;
    enum lam_code rc = lam_authorize(sh->session, sql, size, &err);
    while (rc == LAM_OK && at < size) {
        lam_stmt *stmt = NULL;
        size_t tail = 0;
        rc = lam_prepare(sh->session, sql + at, size - at, &stmt, &tail, &err);
        if (rc == LAM_OK && !stmt && tail == 0)
            break;
        if (stmt)
            rc = run_one(sh, stmt, &err);
        lam_finalize(stmt);
        if (rc == LAM_OK)
            at += tail;
        else if (err.pos > 0)
            err.pos += (uint32_t)utf8_count(sql, at);
    }
    if (rc == LAM_OK)
        return true;
    if (!(err.code == LAM_IO && err.os_errno == EPIPE && ferror(stdout)))
        diag_statement(sql, size, at, place, &err);
    return false;
}
