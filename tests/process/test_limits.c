/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits that the system sets: descriptors, size of files, permissions, read-only places. Real
 * limits, in children that set them for themselves. */
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

#include "tests/process/process.h"

/* --- descriptors ---------------------------------------------------------------------------- */

#define TABLES 12

/* Many cold files and SSTs. */
static void make_many_files(const char *path) {
    struct lam_options options = {.memory_budget = 8u << 20, .open_files = 16};
    lam_db *db = NULL;
    char sql[200];
    ck_ok(lam_db_open(path, &options, &db, &err), &err);
    fill_db(db);
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    for (int t = 0; t < TABLES; t++) {
        snprintf(sql, sizeof sql,
                 "CREATE TABLE app.f%d (id INT PRIMARY KEY, v TEXT);"
                 "INSERT INTO app.f%d VALUES (1, 'cold %d'), (2, 'cold');"
                 "STORAGE FLUSH TABLE app.f%d",
                 t, t, t, t);
        exec(root, sql);
        snprintf(sql, sizeof sql, "INSERT INTO app.f%d VALUES (3, 'settled')", t);
        exec(root, sql);
        ck_ok(lam_db_dump(db, &err), &err);
    }
    ck_ok(lam_session_close(root, &err), &err);
    close_db(db);
}

/* From now on the process can have `spare` more descriptors. */
static void limit_fds(unsigned spare) {
    struct rlimit limit;
    int filler, last = -1;
    child_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int fd = 0; fd < 1000; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            last = fd;
    /* The limit is on their numbers: holes below are filled. */
    while ((filler = open("/dev/null", O_RDONLY | O_CLOEXEC)) < last)
        child_check(filler >= 0);
    close(filler);
    limit.rlim_cur = (rlim_t)last + 1 + spare;
    child_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Right, or a clean error that says why. */
static bool out_of_files(const char *call, enum lam_code rc) {
    bool fine = rc == LAM_OK || strstr(err.message, "Too many open files");
    if (!fine)
        fprintf(stderr, "%s: %s: %s\n", call, lam_code_name(rc), err.message);
    return fine;
}

static int read_all(lam_session *s, unsigned *good) {
    char sql[100], expected[100];
    for (int t = 0; t < TABLES; t++) {
        snprintf(sql, sizeof sql, "SELECT id, v FROM app.f%d WHERE id < 100 ORDER BY id", t);
        snprintf(expected, sizeof expected, "1,cold %d;2,cold;3,settled;", t);
        const char *found = rows_or_null(s, sql);
        if (found && strcmp(found, expected) != 0)
            fprintf(stderr, "%s: %s\n", sql, found);
        child_check(found ? strcmp(found, expected) == 0 : out_of_files("read", err.code));
        *good += found != NULL;
    }
    return 0;
}

/* With `spare` descriptors above those of an open database: everything is done or fails cleanly;
 * then, with enough of them, everything is there and works. */
static int use_with_spare(void *arg) {
    unsigned spare = *(const unsigned *)arg, good = 0;
    struct rlimit before;
    struct lam_options options = {.memory_budget = 8u << 20, .open_files = 16};
    lam_db *db = NULL, *second = NULL;
    char sql[100];
    unsigned acked = 0;
    child_check(getrlimit(RLIMIT_NOFILE, &before) == 0);
    child_check(lam_db_open(at("copy"), &options, &db, &err) == LAM_OK);
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    child_check(rows_or_null(s, "SELECT COUNT(*) FROM app.s") != NULL);
    limit_fds(spare);
    read_all(s, &good);
    for (int i = 0; i < 30; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO app.f%d VALUES (%d, 'late')", i % TABLES, 100 + i);
        err = (struct lam_error){0};
        enum lam_code rc = exec_code(s, sql);
        child_check(out_of_files("insert", rc));
        acked += rc == LAM_OK;
        if (i % 5 == 1)
            child_check(out_of_files("dump", lam_db_dump(db, &err)));
        if (i % 10 == 2)
            child_check(out_of_files("compact", lam_db_compact(db, NULL, &err)));
        if (i % 10 == 3)
            child_check(out_of_files("flush", exec_code(s, "STORAGE FLUSH TABLE app.f1")));
        if (i % 10 == 4)
            child_check(out_of_files("create", exec_code(s, "CREATE TABLE IF NOT EXISTS app.late "
                                                            "(id INT PRIMARY KEY)")));
    }
    read_all(s, &good);
    child_check(out_of_files("open", lam_db_open(at("second"), NULL, &second, &err)));
    if (second)
        child_check(out_of_files("close", lam_db_close(second, &err)));
    /* The writes since are in memory or logged: none of them is lost. */
    child_check(setrlimit(RLIMIT_NOFILE, &before) == 0);
    for (int t = 0, count = 0; t < TABLES; t++) {
        snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM app.f%d WHERE v = 'late'", t);
        const char *found = rows_or_null(s, sql);
        child_check(found != NULL);
        count += atoi(found);
        child_check(t < TABLES - 1 || count == (int)acked);
    }
    child_check(filled_db_is_whole(db));
    child_check(exec_code(s, "INSERT INTO app.f0 VALUES (999, 'again'); STORAGE FLUSH ALL") ==
                LAM_OK);
    child_check(lam_db_dump(db, &err) == LAM_OK);
    child_check(lam_db_check(db, NULL, NULL, &err) == LAM_OK);
    child_check(lam_session_close(s, &err) == LAM_OK);
    child_check(lam_db_close(db, &err) == LAM_OK);
    child_check(open_code(at("copy"), &db) == LAM_OK);
    child_check(filled_db_is_whole(db));
    child_check(lam_db_close(db, &err) == LAM_OK);
    /* What is cached is given up for what is read. */
    child_check(good == 2 * TABLES);
    return 0;
}

START_TEST(running_out_of_descriptors_is_a_clean_error_or_hidden) {
    make_many_files(at("db"));
    for (unsigned spare = 0; spare < 14; spare++) {
        char command[2 * PATH_MAX + 60];
        snprintf(command, sizeof command, "rm -rf '%s' '%s'; cp -a '%s' '%s'", at("copy"),
                 at("second"), at("db"), at("copy"));
        ck_assert_int_eq(system(command), 0);
        ck_assert_msg(in_child(use_with_spare, &spare) == 0, "spare descriptors: %u", spare);
    }
}
END_TEST

/* --- sizes of files --------------------------------------------------------------------------- */

static bool too_large(const char *call, enum lam_code rc) {
    bool fine = rc == LAM_OK || rc == LAM_READ_ONLY || strstr(err.message, "File too large");
    if (!fine)
        fprintf(stderr, "%s: %s: %s\n", call, lam_code_name(rc), err.message);
    return fine;
}

/* The host ignores SIGXFSZ: writes beyond the limit fail instead of killing. */
static int use_with_small_files(void *arg) {
    struct rlimit before, limit;
    const rlim_t *most = arg;
    lam_db *db = NULL;
    lam_session *s;
    char sql[3000], text[2000];
    unsigned acked = 0;
    signal(SIGXFSZ, SIG_IGN);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    child_check(open_code(at("db"), &db) == LAM_OK);
    s = session_of(db, "root", LAM_ROLE_SYSTEM);
    child_check(getrlimit(RLIMIT_FSIZE, &before) == 0);
    limit = before;
    limit.rlim_cur = *most;
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (int i = 0; i < 200; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO app.big VALUES (%d, '%d%s')", i, i, text);
        err = (struct lam_error){0};
        enum lam_code rc = exec_code(s, sql);
        child_check(too_large("insert", rc));
        acked += rc == LAM_OK;
        if (i % 40 == 20)
            child_check(too_large("dump", lam_db_dump(db, &err)));
        if (i % 40 == 30)
            child_check(too_large("flush", exec_code(s, "STORAGE FLUSH TABLE app.big")));
    }
    child_check(filled_db_is_whole(db));
    child_check(setrlimit(RLIMIT_FSIZE, &before) == 0);
    child_check(lam_session_close(s, &err) == LAM_OK);
    IGNORE_CODE(lam_db_close(db, &err));
    child_check(open_code(at("db"), &db) == LAM_OK);
    s = session_of(db, "root", LAM_ROLE_SYSTEM);
    const char *found = rows_or_null(s, "SELECT COUNT(*) FROM app.big WHERE LENGTH(v) > 1999");
    child_check(found && (unsigned)atoi(found) >= acked);
    child_check(exec_code(s, "DELETE FROM app.big") == LAM_OK);
    child_check(filled_db_is_whole(db));
    child_check(lam_session_close(s, &err) == LAM_OK);
    child_check(lam_db_check(db, NULL, NULL, &err) == LAM_OK);
    child_check(lam_db_close(db, &err) == LAM_OK);
    return 0;
}

START_TEST(limit_on_file_size_is_a_clean_error_where_the_host_ignores_the_signal) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    exec_as(db, "root", LAM_ROLE_SYSTEM, "CREATE TABLE app.big (id INT PRIMARY KEY, v TEXT)");
    close_db(db);
    static const rlim_t sizes[] = {0, 100, 5000, 70000, 300000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        ck_assert_msg(in_child(use_with_small_files, (void *)&sizes[i]) == 0, "limit %llu",
                      (unsigned long long)sizes[i]);
}
END_TEST

/* --- permissions ---------------------------------------------------------------------------- */

/* As the owner of the directory, whom modes bind; root hands it over first. */
static void become_owner(void) {
    char command[2 * PATH_MAX + 80];
    if (geteuid() != 0)
        return;
    snprintf(command, sizeof command, "chown -R 65534:65534 '%s' && chmod 711 '%s'", at("db"),
             test_dir());
    child_check(system(command) == 0);
    child_check(setgid(65534) == 0 && setuid(65534) == 0);
}

static int open_forbidden(void *arg) {
    (void)arg;
    lam_db *db = NULL;
    struct lam_options read_only = {.read_only = true};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", at("db"));
    become_owner();
    child_check(chmod(path, 0000) == 0);
    child_check(open_code(path, &db) == LAM_IO && err.os_errno == EACCES);
    child_check(lam_db_open(path, &read_only, &db, &err) == LAM_IO && err.os_errno == EACCES);
    child_check(chmod(path, 0700) == 0);
    child_check(open_code(path, &db) == LAM_OK && filled_db_is_whole(db));
    child_check(lam_db_close(db, &err) == LAM_OK);
    return 0;
}

START_TEST(directory_without_permissions_is_an_error_and_keeps_its_files) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    close_db(db);
    ck_assert_int_eq(in_child(open_forbidden, NULL), 0);
}
END_TEST

/* Files and directories lose their write bits: a place that can only be read. */
static int use_unwritable(void *arg) {
    (void)arg;
    lam_db *db = NULL, *second = NULL;
    struct lam_options read_only = {.read_only = true};
    char command[PATH_MAX + 80], path[PATH_MAX];
    snprintf(path, sizeof path, "%s", at("db"));
    become_owner();
    snprintf(command, sizeof command, "chmod -R a-w '%s'", path);
    child_check(system(command) == 0);
    uint64_t before = sum_of(path);
    enum lam_code rc = open_code(path, &db);
    child_check(rc == LAM_IO && err.os_errno == EACCES);
    child_check(lam_db_open(path, &read_only, &db, &err) == LAM_OK);
    /* Readers share such a place. */
    child_check(lam_db_open(path, &read_only, &second, &err) == LAM_OK);
    child_check(filled_db_is_whole(db) && filled_db_is_whole(second));
    child_check(lam_db_close(second, &err) == LAM_OK);
    child_check(lam_db_close(db, &err) == LAM_OK);
    child_check(sum_of(path) == before);
    return 0;
}

START_TEST(place_that_cannot_be_written_is_read_by_many_and_refused_to_writers) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    close_db(db);
    ck_assert_int_eq(in_child(use_unwritable, NULL), 0);
}
END_TEST

/* The directory becomes unwritable while it is open: new files fail, rows stay right. */
static int lose_write_permission(void *arg) {
    (void)arg;
    lam_db *db = NULL;
    lam_session *s;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", at("db"));
    become_owner();
    child_check(open_code(path, &db) == LAM_OK);
    s = session_of(db, "root", LAM_ROLE_SYSTEM);
    child_check(chmod(path, 0500) == 0);
    child_check(lam_db_dump(db, &err) == LAM_IO && err.os_errno == EACCES);
    child_check(filled_db_is_whole(db));
    child_check(chmod(path, 0700) == 0);
    child_check(exec_code(s, "INSERT INTO app.s VALUES (700000, 1, 'after')") == LAM_OK);
    child_check(lam_db_dump(db, &err) == LAM_OK);
    child_check(filled_db_is_whole(db));
    child_check(lam_session_close(s, &err) == LAM_OK);
    child_check(lam_db_close(db, &err) == LAM_OK);
    return 0;
}

START_TEST(lost_permission_fails_what_needs_it_and_nothing_else) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    close_db(db);
    ck_assert_int_eq(in_child(lose_write_permission, NULL), 0);
}
END_TEST

/* A mount that is read-only, where the system lets a user namespace have one. */
static int use_read_only_mount(void *arg) {
    (void)arg;
    lam_db *db = NULL;
    struct lam_options read_only = {.read_only = true};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", at("db"));
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(path, path, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0)
        return 77;
    child_check(open_code(path, &db) == LAM_IO && err.os_errno == EROFS);
    child_check(lam_db_open(path, &read_only, &db, &err) == LAM_OK);
    child_check(filled_db_is_whole(db));
    child_check(lam_db_close(db, &err) == LAM_OK);
    return 0;
}

START_TEST(read_only_mount_is_read_and_refused_to_writers) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    close_db(db);
    int status = in_child(use_read_only_mount, NULL);
    if (status == 77)
        fprintf(stderr, "read_only_mount: skipped, mounts are not allowed here\n");
    else
        ck_assert_int_eq(status, 0);
}
END_TEST

TEST_MAIN("process/limits", running_out_of_descriptors_is_a_clean_error_or_hidden,
          limit_on_file_size_is_a_clean_error_where_the_host_ignores_the_signal,
          directory_without_permissions_is_an_error_and_keeps_its_files,
          place_that_cannot_be_written_is_read_by_many_and_refused_to_writers,
          lost_permission_fails_what_needs_it_and_nothing_else,
          read_only_mount_is_read_and_refused_to_writers)
