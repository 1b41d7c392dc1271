/* SPDX-License-Identifier: Apache-2.0
 *
 * The bug museum's rooms of the operating system (test_museum.c has the others): locks that a close
 * lets go of, files that become the standard streams, mapped files. On a real disk. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lamina/lamina.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)

static struct lam_error err;

static const char *path_of(const char *name) {
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", test_dir(), name);
    return out;
}

static enum lam_code open_at(const char *name, lam_db **db) {
    return lam_db_open(path_of(name), NULL, db, &err);
}

static void fill(lam_db *db) {
    lam_partition *p;
    struct lam_write_options o = {LAM_DURABILITY_SYNC};
    char value[3000];
    memset(value, 'v', sizeof value);
    ck_ok(lam_partition_create(db, "p", NULL, &p, &err), &err);
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        ck_ok(lam_put(db, i % 8 ? NULL : &o, p, S(key), lam_slice_of(value, sizeof value), &err),
              &err);
        if (i == 20)
            ck_ok(lam_db_dump(db, &err), &err);
    }
    lam_partition_release(p);
}

static unsigned count(lam_db *db) {
    lam_partition *p;
    lam_iter *it;
    unsigned n = 0;
    ck_ok(lam_partition_open(db, "p", &p, &err), &err);
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        n++;
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    lam_partition_release(p);
    return n;
}

/* The exit status of `fn(arg)` in a child process. */
static int in_child(int (*fn)(void *), void *arg) {
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(fn(arg));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int open_in_child(void *name) {
    lam_db *db;
    struct lam_error e;
    return (int)lam_db_open(path_of(name), NULL, &db, &e);
}

/* Whether each of the two locks is held, whatever became of the other: a sum of 1 (file) and 2
 * (directory). */
static int locks_held(void *name) {
    char lock[64];
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(lock, sizeof lock, "%s/LOCK", (const char *)name);
    int file = open(path_of(lock), O_RDWR), directory = open(path_of(name), O_RDONLY);
    if (file < 0 || directory < 0 || fcntl(file, F_OFD_GETLK, &range) != 0)
        return 100;
    bool locked = flock(directory, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    return (range.l_type != F_UNLCK) + 2 * locked;
}

/* SQLite's "How to corrupt", 2.2, and reports on LMDB: a second opening in the same process, and
 * its close dropped the first one's lock, so that another process came in. Seen if the lock is a
 * record lock of the process (F_SETLK) or belongs to the name. */
START_TEST(h22_second_opening_is_refused_and_takes_no_lock_away) {
    lam_db *first, *second;
    char link[512], name[] = "db", linked[] = "link/db";
    ck_ok(open_at(name, &first), &err);
    fill(first);
    snprintf(link, sizeof link, "%s/link", test_dir());
    ck_assert_int_eq(symlink(test_dir(), link), 0);
    for (int i = 0; i < 3; i++) {
        ck_code(open_at(name, &second), LAM_BUSY);
        ck_code(open_at("./db", &second), LAM_BUSY);
        ck_code(open_at(linked, &second), LAM_BUSY);
        ck_code(lam_check(path_of(name), NULL, NULL, NULL, &err), LAM_BUSY);
        /* As a tool of the same process would look at the file. */
        int fd = open(path_of("db/LOCK"), O_RDWR);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ck_assert_int_eq(in_child(open_in_child, name), LAM_BUSY);
        ck_assert_int_eq(in_child(open_in_child, linked), LAM_BUSY);
        ck_assert_int_eq(in_child(locks_held, name), 3);
    }
    ck_assert_uint_eq(count(first), 40);
    ck_ok(lam_db_close(first, &err), &err);
    ck_assert_int_eq(in_child(locks_held, name), 0);
    ck_assert_int_eq(in_child(open_in_child, name), LAM_OK);
    ck_ok(open_at(name, &first), &err);
    ck_assert_uint_eq(count(first), 40);
    ck_ok(lam_db_close(first, &err), &err);
    ck_assert_int_eq(unlink(link), 0);
}
END_TEST

/* Warnings of the application, all through the life of a database whose process has closed its
 * standard streams. */
static int live_without_streams(void *arg) {
    static const char text[] = "warning: this text must not get into a database\n";
    lam_db *db;
    lam_partition *p;
    struct lam_error e;
    unsigned written = 0, taken = 0;
    (void)arg;
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    if (lam_db_open(path_of("db"), NULL, &db, &e) != LAM_OK ||
        lam_partition_create(db, "p", NULL, &p, &e) != LAM_OK)
        return 2;
    for (int i = 0; i < 40; i++) {
        char key[16];
        struct lam_write_options o = {LAM_DURABILITY_SYNC};
        snprintf(key, sizeof key, "k%03d", i);
        if (lam_put(db, &o, p, S(key), S(key), &e) != LAM_OK)
            return 3;
        if (i % 10 == 9 && lam_db_dump(db, &e) != LAM_OK)
            return 4;
        for (int fd = 0; fd <= 2; fd++)
            written += write(fd, text, sizeof text - 1) > 0;
        /* Nor does a directory have their numbers, which somebody may set to a file of his. */
        for (int fd = 0; fd <= 2; fd++)
            taken += fcntl(fd, F_GETFD) >= 0;
    }
    lam_partition_release(p);
    if (lam_db_close(db, &e) != LAM_OK)
        return 5;
    return written > 0 ? 6 : taken > 0 ? 7 : 0;
}

/* SQLite's "How to corrupt", 1.1: the library's file was descriptor 2, and what the application
 * printed to stderr went into it. Seen if a file or the held directory keeps a descriptor below 3
 * (posix_above_standard). */
START_TEST(h23_files_are_never_the_standard_streams) {
    lam_db *db;
    test_dir(); /* the parent's, which removes it */
    ck_assert_int_eq(in_child(live_without_streams, NULL), 0);
    ck_ok(lam_check(path_of("db"), NULL, NULL, NULL, &err), &err);
    ck_ok(open_at("db", &db), &err);
    ck_assert_uint_eq(count(db), 40);
    ck_ok(lam_db_close(db, &err), &err);
}
END_TEST

/* Mappings of files below the test's directory, but those of the log. */
static unsigned count_mappings(void) {
    char line[1024];
    unsigned n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps))
        n += strstr(line, test_dir()) != NULL && strstr(line, ".wal") == NULL;
    fclose(maps);
    return n;
}

/* LevelDB on macOS (a bounty of Bitcoin's): pages of a mapped file were written back torn. No file
 * of a database is mapped but a window of its log, where a torn page is a torn record and no call's
 * success says more: what counts is written back by a sync, and a store is asked for beforehand
 * (base/env_posix_log.h). Elsewhere nothing is written that no call asked for, and a file cut by
 * somebody else is an error, not a SIGBUS. Seen if any other reader or writer maps. */
START_TEST(h26_no_file_but_the_log_is_mapped) {
    lam_db *db;
    lam_session *s;
    const char *sql = "CREATE TABLE t (id INT PRIMARY KEY, v TEXT);"
                      "INSERT INTO t VALUES (1, 'a'), (2, 'b'); STORAGE FLUSH TABLE t;"
                      "SELECT * FROM t";
    ck_ok(open_at("db", &db), &err);
    fill(db);
    ck_ok(lam_session_open(db, "root", LAM_ROLE_SYSTEM, &s, &err), &err);
    ck_ok(lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err), &err);
    ck_assert_uint_eq(count(db), 40);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    ck_assert_uint_eq(count(db), 40);
    ck_assert_uint_eq(count_mappings(), 0);
    ck_ok(lam_session_close(s, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
}
END_TEST

TEST_MAIN("crash/museum_os", h22_second_opening_is_refused_and_takes_no_lock_away,
          h23_files_are_never_the_standard_streams, h26_no_file_but_the_log_is_mapped)
