/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of a database as part of a process share: children, a database with something of
 * every kind in it, and its whole directory as one number. They link the product as it is, with its
 * own threads and the system's files. */
#ifndef LAMINA_TESTS_PROCESS_PROCESS_H
#define LAMINA_TESTS_PROCESS_PROCESS_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lamina/lamina.h"
#include "tests/support/test.h"

/* For -Wunused-function: a test uses some of these. */
#define HELPER __attribute__((unused)) static

static struct lam_error err;

/* "<test directory>/<name>" in one of a few static buffers. */
HELPER const char *at(const char *name) {
    static char paths[64][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 64];
    snprintf(path, PATH_MAX, "%s/%s", test_dir(), name);
    return path;
}

/* --- children ------------------------------------------------------------------------------- */

/* Runs `fn` in a child and gives its exit status; the test fails if a signal ended it. */
HELPER int in_child(int (*fn)(void *), void *arg) {
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(fn(arg));
    int status;
    while (waitpid(child, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    ck_assert_msg(WIFEXITED(status), "the child ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* In a child: a failed expectation ends it with its line, as far as an exit status can tell. */
#define child_check(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, err.message);      \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* A call whose result is of no interest. */
#define IGNORE_CODE(call)                                                                          \
    do {                                                                                           \
        if ((call) != LAM_OK)                                                                      \
            err.code = LAM_OK;                                                                     \
    } while (0)

/* Zeroed memory shared with children. */
HELPER void *shared_memory(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    return p;
}

/* --- databases ------------------------------------------------------------------------------ */

HELPER enum lam_code open_code(const char *path, lam_db **out) {
    struct lam_options options = {.memory_budget = 8u << 20};
    return lam_db_open(path, &options, out, &err);
}

HELPER lam_db *open_db(const char *path) {
    lam_db *db = NULL;
    ck_ok(open_code(path, &db), &err);
    return db;
}

HELPER void close_db(lam_db *db) {
    ck_ok(lam_db_close(db, &err), &err);
}

HELPER lam_session *session_of(lam_db *db, const char *user, enum lam_role role) {
    lam_session *s = NULL;
    ck_ok(lam_session_open(db, user, role, &s, &err), &err);
    return s;
}

HELPER enum lam_code exec_code(lam_session *s, const char *sql) {
    return lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err);
}

HELPER void exec(lam_session *s, const char *sql) {
    enum lam_code rc = exec_code(s, sql);
    ck_assert_msg(rc == LAM_OK, "%.200s: %s: %s", sql, lam_code_name(rc), err.message);
}

HELPER void exec_as(lam_db *db, const char *user, enum lam_role role, const char *sql) {
    lam_session *s = session_of(db, user, role);
    exec(s, sql);
    ck_ok(lam_session_close(s, &err), &err);
}

struct helper_text {
    char *out;
    size_t size, used;
};
HELPER bool helper_row(void *arg, lam_stmt *stmt) {
    struct helper_text *t = arg;
    for (uint32_t i = 0; i < lam_column_count(stmt); i++) {
        struct lam_slice v = lam_column_text(stmt, i);
        t->used += (size_t)snprintf(t->out + t->used, t->size - t->used, "%s%.*s", i ? "," : "",
                                    (int)v.size, (const char *)v.data);
    }
    t->used += (size_t)snprintf(t->out + t->used, t->size - t->used, ";");
    return true;
}
/* The rows of a query as "a,b;c,d;" in a static buffer; NULL if it fails. */
HELPER const char *rows_or_null(lam_session *s, const char *sql) {
    static char text[1 << 16];
    struct helper_text t = {text, sizeof text, 0};
    text[0] = 0;
    return lam_exec(s, sql, strlen(sql), helper_row, &t, NULL, &err) == LAM_OK ? text : NULL;
}
HELPER const char *rows(lam_session *s, const char *sql) {
    const char *text = rows_or_null(s, sql);
    ck_assert_msg(text != NULL, "%s: %s", sql, err.message);
    return text;
}

/* A database with every kind of file: rows hot and cold of two users and a shared table, SSTs of
 * two levels, a log that is not empty. */
#define SETTLED_ROWS 300
HELPER void fill_db(lam_db *db) {
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    lam_session *ann = session_of(db, "ann", LAM_ROLE_USER);
    lam_session *bob = session_of(db, "bob", LAM_ROLE_USER);
    lam_session *all[] = {root, ann, bob};
    char sql[200];
    exec(root, "CREATE NAMESPACE app;"
               "CREATE USER TABLE app.t (id BIGINT PRIMARY KEY, a INT, b TEXT);"
               "CREATE SHARED TABLE app.s (id BIGINT PRIMARY KEY, a INT, b TEXT);"
               "CREATE INDEX t_a ON app.t (a)");
    for (int i = 0; i < SETTLED_ROWS; i++)
        for (int w = 0; w < 3; w++) {
            snprintf(sql, sizeof sql, "INSERT INTO app.%s VALUES (%d, %d, 'row %d of %d')",
                     w ? "t" : "s", i, i % 7, i, w);
            exec(all[w], sql);
            if (i == SETTLED_ROWS / 2 && w == 2) {
                exec(root, "STORAGE FLUSH TABLE app.t; STORAGE FLUSH TABLE app.s");
                ck_ok(lam_db_dump(db, &err), &err);
                ck_ok(lam_db_compact(db, NULL, &err), &err);
            }
        }
    ck_ok(lam_db_dump(db, &err), &err);
    exec(root, "INSERT INTO app.s VALUES (100000, 0, 'hot')");
    for (int w = 0; w < 3; w++)
        ck_ok(lam_session_close(all[w], &err), &err);
}

/* Whether all of fill_db's rows are there; in a child too. */
HELPER bool filled_db_is_whole(lam_db *db) {
    static const char *const users[] = {"root", "ann", "bob"};
    bool whole = true;
    for (int w = 0; w < 3 && whole; w++) {
        lam_session *s;
        if (lam_session_open(db, users[w], w ? LAM_ROLE_USER : LAM_ROLE_SYSTEM, &s, &err) != LAM_OK)
            return false;
        char sql[200], expected[40];
        snprintf(sql, sizeof sql,
                 "SELECT COUNT(*) FROM app.%s WHERE id < 100000 AND b = 'row ' || CAST(id AS TEXT) "
                 "|| ' of %d'",
                 w ? "t" : "s", w);
        snprintf(expected, sizeof expected, "%d;", SETTLED_ROWS);
        const char *found = rows_or_null(s, sql);
        whole = found && strcmp(found, expected) == 0;
        if (found && !whole)
            snprintf(err.message, sizeof err.message, "%.40s of %s rows of %s", found, expected,
                     users[w]);
        if (lam_session_close(s, NULL) != LAM_OK)
            return false;
    }
    return whole;
}

HELPER void check_db(lam_db *db) {
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
}

/* --- directories ---------------------------------------------------------------------------- */

static uint64_t helper_sum;
static size_t helper_names;
static size_t helper_root;
HELPER int helper_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    uint64_t h = 1469598103934665603u;
    (void)ftw;
    for (const char *p = path + helper_root; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    h = (h ^ st->st_mode) * 1099511628211u;
    if (type == FTW_F) {
        FILE *f = fopen(path, "rb");
        ck_assert_msg(f != NULL, "%s", path);
        for (int c; (c = getc(f)) != EOF;)
            h = (h ^ (uint8_t)c) * 1099511628211u;
        fclose(f);
    }
    helper_sum += h * h;
    helper_names++;
    return 0;
}
/* Of all names, modes and bytes below a directory. */
HELPER uint64_t sum_of(const char *path) {
    helper_sum = helper_names = 0;
    helper_root = strlen(path);
    ck_assert_int_eq(nftw(path, helper_entry, 16, FTW_PHYS), 0);
    return helper_sum;
}
/* Names in a directory and below, without itself. */
HELPER size_t names_in(const char *path) {
    sum_of(path);
    return helper_names - 1;
}

#endif
