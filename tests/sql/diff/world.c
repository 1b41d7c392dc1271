/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a step on Lamina and on SQLite and compares what they answer. */
#include <math.h>

#include "tests/sql/diff/diff.h"

struct cell {
    bool null;
    char *text;
};

struct answer {
    enum { DONE, RAISED, CONSTRAINT, FAILED } outcome; /* RAISED: overflow or division by zero */
    char message[600];
    uint32_t columns;
    enum lam_type *types; /* Lamina's only */
    struct cell *cells;
    size_t count, capacity; /* of cells */
    uint64_t changes;
};

static void die(const char *what, const char *message) {
    fprintf(stderr, "diff: %s: %s\n", what, message);
    abort();
}

static void answer_free(struct answer *a) {
    for (size_t i = 0; i < a->count; i++)
        free(a->cells[i].text);
    free(a->cells);
    free(a->types);
    *a = (struct answer){0};
}

static void keep(struct answer *a, bool null, const void *data, size_t size) {
    if (a->count == a->capacity) {
        a->capacity = a->capacity ? a->capacity * 2 : 64;
        a->cells = realloc(a->cells, a->capacity * sizeof *a->cells);
        if (!a->cells)
            abort();
    }
    char *text = malloc(size + 1);
    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    a->cells[a->count++] = (struct cell){null, text};
}

/* --- Lamina --------------------------------------------------------------------------------- */

static void open_lamina(struct world *w) {
    struct lam_error err = {0};
    struct lam_options options = {.env = w->env, .memory_budget = 8u << 20};
    if (lam_db_open("db", &options, &w->db, &err) != LAM_OK)
        die("open", err.message);
    for (int i = 0; i < SESSIONS; i++) {
        char name[20];
        snprintf(name, sizeof name, "user%d", i);
        enum lam_role role = i == ADMIN ? LAM_ROLE_SYSTEM : LAM_ROLE_SERVICE;
        if (lam_session_open(w->db, name, role, &w->session[i], &err) != LAM_OK)
            die("open session", err.message);
    }
}

static void close_lamina(struct world *w) {
    struct lam_error err = {0};
    for (int i = 0; i < SESSIONS; i++)
        if (lam_session_close(w->session[i], &err) != LAM_OK)
            die("close session", err.message);
    if (lam_db_close(w->db, &err) != LAM_OK)
        die("close", err.message);
}

static void failed(struct answer *a, const struct lam_error *err) {
    static const char *const raised[] = {"22003", "22012", "2201F"};
    a->outcome = strncmp(err->sqlstate, "23", 2) == 0 ? CONSTRAINT : FAILED;
    for (int i = 0; i < 3; i++)
        if (strcmp(err->sqlstate, raised[i]) == 0)
            a->outcome = RAISED;
    snprintf(a->message, sizeof a->message, "%s %.500s", err->sqlstate, err->message);
}

static enum lam_code bind_all(lam_stmt *stmt, const struct step *s, struct lam_error *err) {
    for (int i = 0; i < s->parameters; i++) {
        const struct parameter *p = &s->parameter[i];
        uint32_t n = (uint32_t)i + 1;
        enum lam_code rc = p->is_int ? lam_bind_int64(stmt, n, atoll(p->value), err)
                                     : lam_bind_text(stmt, n, p->value, strlen(p->value), err);
        if (rc != LAM_OK)
            return rc;
    }
    return LAM_OK;
}

static void run_lamina(struct world *w, const struct step *s, struct answer *a) {
    struct lam_error err = {0};
    lam_stmt *stmt = NULL;
    bool row = true;
    enum lam_code rc =
        lam_prepare(w->session[s->session], s->lam, strlen(s->lam), &stmt, NULL, &err);
    if (rc == LAM_OK)
        rc = bind_all(stmt, s, &err);
    if (rc == LAM_OK) {
        a->columns = lam_column_count(stmt);
        a->types = calloc(a->columns + 1, sizeof *a->types);
        for (uint32_t i = 0; i < a->columns; i++)
            a->types[i] = lam_column_type(stmt, i);
    }
    while (rc == LAM_OK && row) {
        rc = lam_step(stmt, &row, &err);
        for (uint32_t i = 0; rc == LAM_OK && row && i < a->columns; i++) {
            struct lam_slice v = lam_column_text(stmt, i);
            keep(a, lam_column_is_null(stmt, i), v.data, v.size);
        }
    }
    if (rc != LAM_OK)
        failed(a, &err);
    else
        a->changes = lam_changes(stmt);
    lam_finalize(stmt);
}

/* --- SQLite --------------------------------------------------------------------------------- */

/* The statement for one user: '@' becomes his suffix, or nothing. */
static char *expand(const struct step *s, int user) {
    struct text t = {0};
    for (const char *p = s->lite; *p; p++)
        if (*p == '@' && s->of_user)
            text_add(&t, "_u%d", user);
        else
            text_add(&t, "%c", *p);
    return t.data;
}

static void keep_lite(struct answer *a, sqlite3_stmt *stmt, int i) {
    const uint8_t *data = sqlite3_column_blob(stmt, i);
    int size = sqlite3_column_bytes(stmt, i);
    if (sqlite3_column_type(stmt, i) == SQLITE_BLOB) {
        struct text hex = {0};
        text_add(&hex, "\\x");
        for (int k = 0; k < size; k++)
            text_add(&hex, "%02x", data[k]);
        keep(a, false, hex.data, hex.size);
        text_clear(&hex);
    } else if (sqlite3_column_type(stmt, i) == SQLITE_FLOAT) {
        char text[40];
        snprintf(text, sizeof text, "%.17g", sqlite3_column_double(stmt, i));
        keep(a, false, text, strlen(text));
    } else {
        const uint8_t *text = sqlite3_column_text(stmt, i);
        keep(a, sqlite3_column_type(stmt, i) == SQLITE_NULL, text,
             (size_t)sqlite3_column_bytes(stmt, i));
    }
}

static void lite_failed(struct world *w, struct answer *a) {
    int code = sqlite3_errcode(w->lite);
    const char *message = sqlite3_errmsg(w->lite);
    a->outcome = code == SQLITE_CONSTRAINT                  ? CONSTRAINT
                 : strstr(message, "integer overflow") != 0 ? RAISED
                                                            : FAILED;
    snprintf(a->message, sizeof a->message, "%s", message);
}

static void run_one_lite(struct world *w, const char *sql, struct answer *a) {
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(w->lite, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        lite_failed(w, a);
        return;
    }
    a->columns = (uint32_t)sqlite3_column_count(stmt);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        for (uint32_t i = 0; i < a->columns; i++)
            keep_lite(a, stmt, (int)i);
    if (rc != SQLITE_DONE)
        lite_failed(w, a);
    else if (!sqlite3_stmt_readonly(stmt))
        a->changes = (uint64_t)sqlite3_changes64(w->lite);
    sqlite3_finalize(stmt);
}

static void lite_do(struct world *w, const char *sql) {
    if (sqlite3_exec(w->lite, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(w->lite));
}

static void run_lite(struct world *w, const struct step *s, struct answer *a) {
    int first = s->for_all ? 0 : s->session, last = s->for_all ? SESSIONS - 1 : s->session;
    lite_do(w, "SAVEPOINT step");
    for (int user = first; user <= last && a->outcome == DONE; user++) {
        char *sql = expand(s, user);
        run_one_lite(w, sql, a);
        free(sql);
    }
    if (a->outcome != DONE)
        lite_do(w, "ROLLBACK TO step");
    lite_do(w, "RELEASE step");
}

void world_open(struct world *w) {
    struct lam_error err = {0};
    if (lam_env_mem_new(&w->env, &err) != LAM_OK)
        die("environment", err.message);
    open_lamina(w);
    if (sqlite3_open(":memory:", &w->lite) != SQLITE_OK)
        die("sqlite", "open");
    lite_do(w, "PRAGMA case_sensitive_like = ON");
}

void world_close(struct world *w) {
    close_lamina(w);
    lam_env_mem_free(w->env);
    sqlite3_close(w->lite);
}

/* --- comparing ------------------------------------------------------------------------------ */

static bool same_number(const char *a, const char *b, double within) {
    double x = strtod(a, NULL), y = strtod(b, NULL);
    return fabs(x - y) <= within * fmax(1, fmax(fabs(x), fabs(y)));
}

static bool same_cell(enum lam_type type, const struct cell *lam, const struct cell *lite) {
    if (lam->null || lite->null)
        return lam->null && lite->null;
    switch (type) {
    case LAM_TYPE_BOOLEAN:
        return strcmp(lam->text, strcmp(lite->text, "0") ? "true" : "false") == 0;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return same_number(lam->text, lite->text, 1e-9);
    case LAM_TYPE_DECIMAL: /* an average has eight digits or so after the point */
        return same_number(lam->text, lite->text, 1e-7);
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
        return strcmp(lam->text, lite->text) == 0 ||
               (strpbrk(lite->text, ".e") && same_number(lam->text, lite->text, 1e-9));
    default:
        return strcmp(lam->text, lite->text) == 0;
    }
}

/* qsort has no argument to pass these in. */
static uint32_t sort_columns;
static const enum lam_type *sort_types;

static int order_rows(const void *a, const void *b) {
    const struct cell *x = a, *y = b;
    for (uint32_t i = 0; i < sort_columns; i++) {
        int c = x[i].null - y[i].null;
        enum lam_type type = sort_types[i];
        bool number = type >= LAM_TYPE_BOOLEAN && type <= LAM_TYPE_DECIMAL;
        double m = 0, n = 0;
        if (number && !c && !x[i].null) {
            m = *x[i].text == 't' ? 1 : strtod(x[i].text, NULL);
            n = *y[i].text == 't' ? 1 : strtod(y[i].text, NULL);
        }
        if (c == 0 && !x[i].null)
            c = number ? (m > n) - (m < n) : strcmp(x[i].text, y[i].text);
        if (c)
            return c;
    }
    return 0;
}

static void sort_rows(struct answer *a, const enum lam_type *types) {
    sort_columns = a->columns;
    sort_types = types;
    if (a->count)
        qsort(a->cells, a->count / a->columns, a->columns * sizeof *a->cells, order_rows);
}

static bool same_answer(const struct step *s, struct answer *lam, struct answer *lite) {
    if (lam->columns != lite->columns || lam->count != lite->count)
        return false;
    if (s->any_order) {
        sort_rows(lam, lam->types);
        sort_rows(lite, lam->types);
    }
    for (size_t i = 0; i < lam->count; i++)
        if (!same_cell(lam->types[i % lam->columns], &lam->cells[i], &lite->cells[i]))
            return false;
    bool writes = strncmp(s->lam, "INS", 3) == 0 || strncmp(s->lam, "UPD", 3) == 0 ||
                  strncmp(s->lam, "DEL", 3) == 0;
    return !writes || lam->changes == lite->changes;
}

static void describe(struct text *report, const char *who, const struct answer *a) {
    text_add(report, "%s: %s %d rows, changes %d\n", who, a->message,
             a->columns ? (int)(a->count / a->columns) : 0, (int)a->changes);
    for (size_t i = 0; i < a->count && i < 400; i++)
        text_add(report, "%s%s", a->cells[i].null ? "NULL" : a->cells[i].text,
                 (i + 1) % a->columns ? "|" : "\n");
}

static enum verdict judge(const struct step *s, struct answer *lam, struct answer *lite) {
    if (lam->outcome == RAISED || lite->outcome == RAISED)
        return SKIPPED;
    if (lam->outcome != lite->outcome)
        return DIVERGE;
    if (lam->outcome == FAILED)
        return BOTH_FAIL;
    if (lam->outcome == CONSTRAINT)
        return CONSTRAINT_IN_BOTH;
    return same_answer(s, lam, lite) ? AGREE : DIVERGE;
}

static void flush(struct world *w) {
    static const char sql[] = "STORAGE FLUSH ALL";
    struct lam_error err = {0};
    if (lam_exec(w->session[ADMIN], sql, strlen(sql), NULL, NULL, NULL, &err) != LAM_OK)
        die(sql, err.message);
}

enum verdict world_run(struct world *w, const struct step *s, struct text *report) {
    if (s->kind == STEP_FLUSH) {
        flush(w);
        return AGREE;
    }
    if (s->kind == STEP_REOPEN) {
        close_lamina(w);
        open_lamina(w);
        return AGREE;
    }
    struct answer lam = {0}, lite = {0};
    run_lamina(w, s, &lam);
    if (lam.outcome != RAISED)
        run_lite(w, s, &lite);
    enum verdict verdict = judge(s, &lam, &lite);
    w->with_rows += verdict == AGREE && lam.count > 0;
    if (verdict == DIVERGE || verdict == BOTH_FAIL) {
        describe(report, "lamina", &lam);
        describe(report, "sqlite", &lite);
    }
    answer_free(&lam);
    answer_free(&lite);
    return verdict;
}
