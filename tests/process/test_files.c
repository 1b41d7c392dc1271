/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a database in a hostile directory: whose they are, and what stands in their place -
 * symbolic links, hard links, FIFOs, devices, directories - before it is opened and while it works.
 */
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/process/process.h"

/* --- modes ---------------------------------------------------------------------------------- */

static size_t files_seen, directories_seen;

static int check_mode(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)ftw;
    mode_t mode = st->st_mode & 07777;
    if (type == FTW_D ? mode != 0700 : mode != 0600) {
        fprintf(stderr, "%s: mode %o\n", path, (unsigned)mode);
        return 1;
    }
    files_seen += type == FTW_F;
    directories_seen += type == FTW_D;
    return 0;
}

/* As somebody whom file modes bind; root is bound by none. */
static void become_nobody(const char *dir) {
    if (geteuid() != 0)
        return;
    child_check(chown(dir, 65534, 65534) == 0);
    child_check(chmod(test_dir(), 0755) == 0);
    child_check(setgid(65534) == 0 && setuid(65534) == 0);
}

static int fill_under_umask(void *arg) {
    char dir[PATH_MAX];
    const mode_t *mask = arg;
    snprintf(dir, sizeof dir, "%s", at("home"));
    child_check(mkdir(dir, 0700) == 0 || errno == EEXIST);
    become_nobody(dir);
    umask(*mask);
    snprintf(dir, sizeof dir, "%s", at("home/db"));
    for (int life = 0; life < 2; life++) {
        lam_db *db = NULL;
        child_check(open_code(dir, &db) == LAM_OK);
        if (life == 0)
            fill_db(db);
        child_check(filled_db_is_whole(db));
        child_check(nftw(dir, check_mode, 16, FTW_PHYS) == 0);
        child_check(lam_db_close(db, &err) == LAM_OK);
        child_check(nftw(dir, check_mode, 16, FTW_PHYS) == 0);
    }
    child_check(files_seen > 20 && directories_seen > 8);
    umask(077);
    char command[PATH_MAX + 20];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    child_check(system(command) == 0);
    return 0;
}

START_TEST(files_are_for_their_owner_only_whatever_the_umask) {
    static const mode_t masks[] = {0, 022, 077, 0277, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        ck_assert_int_eq(in_child(fill_under_umask, (void *)&masks[i]), 0);
}
END_TEST

/* --- what stands in the place of a file ----------------------------------------------------- */

#define NAMES_MAX 100
static char names[NAMES_MAX][PATH_MAX]; /* of every file and directory, relative */
static bool is_directory[NAMES_MAX];
static size_t name_count;

static int note_name(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    if (ftw->level == 0)
        return 0;
    ck_assert_uint_lt(name_count, NAMES_MAX);
    snprintf(names[name_count], PATH_MAX, "%s", path + strlen(at("db")) + 1);
    is_directory[name_count++] = type == FTW_D;
    return 0;
}

static void make_closed_db(void) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    close_db(db);
    ck_assert_int_eq(nftw(at("db"), note_name, 16, FTW_PHYS), 0);
    ck_assert_uint_gt(name_count, 12);
}

/* Exports for people, which the database never reads. */
static bool is_export(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".json") == 0;
}

/* Opens, reads, writes, flushes; the first failure. A hang is ended by the alarm. */
static enum lam_code use(const char *path) {
    lam_db *db = NULL;
    alarm(120);
    enum lam_code rc = open_code(path, &db);
    if (rc != LAM_OK)
        return rc;
    lam_session *root = NULL;
    rc = lam_session_open(db, "root", LAM_ROLE_SYSTEM, &root, &err);
    if (rc == LAM_OK && !filled_db_is_whole(db))
        rc = err.code ? err.code : LAM_CORRUPT;
    if (rc == LAM_OK)
        rc = exec_code(root, "INSERT INTO app.s VALUES (500000, 1, 'more');"
                             "INSERT INTO app.t VALUES (500000, 1, 'more');"
                             "STORAGE FLUSH TABLE app.s; STORAGE FLUSH TABLE app.t");
    if (rc == LAM_OK)
        rc = lam_db_dump(db, &err);
    struct lam_error kept = err;
    if (root)
        ck_ok(lam_session_close(root, &err), &err);
    enum lam_code closed = lam_db_close(db, &err);
    if (rc != LAM_OK)
        err = kept;
    return rc != LAM_OK ? rc : closed;
}

static void copy_db(const char *to) {
    char command[2 * PATH_MAX + 40];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, at("db"), to);
    ck_assert_int_eq(system(command), 0);
}

/* Whether the failure is a clean one for something that is not what it should be. */
static bool refuses(enum lam_code rc) {
    return rc == LAM_INVALID || rc == LAM_CORRUPT || rc == LAM_IO || rc == LAM_EXISTS;
}

/* The link leads to the very bytes: only that it is a link is wrong. */
START_TEST(symbolic_link_in_place_of_any_file_or_directory_is_not_followed) {
    make_closed_db();
    char name[PATH_MAX], away[PATH_MAX];
    snprintf(away, sizeof away, "%s", at("away"));
    for (size_t i = 0; i < name_count; i++) {
        copy_db(at("copy"));
        snprintf(name, sizeof name, "%.2000s/%.2000s", at("copy"), names[i]);
        ck_assert_int_eq(rename(name, away), 0);
        ck_assert_int_eq(symlink(away, name), 0);
        uint64_t before = sum_of(away);
        enum lam_code rc = use(at("copy"));
        if (is_export(names[i]))
            ck_assert_msg(rc == LAM_OK, "%s: %s", names[i], err.message);
        else
            ck_assert_msg(refuses(rc), "%s: %s: %s", names[i], lam_code_name(rc), err.message);
        ck_assert_msg(sum_of(away) == before, "%s was followed", names[i]);
        char command[PATH_MAX + 20];
        snprintf(command, sizeof command, "rm -rf '%s'", away);
        ck_assert_int_eq(system(command), 0);
    }
}
END_TEST

static void put_fifo(const char *name) {
    ck_assert_int_eq(mkfifo(name, 0600), 0);
}
static void put_directory(const char *name) {
    ck_assert_int_eq(mkdir(name, 0700), 0);
}
static void put_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(s, 0);
    ck_assert_uint_lt(strlen(name), sizeof address.sun_path);
    memcpy(address.sun_path, name, strlen(name));
    ck_assert_int_eq(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    close(s);
}
/* Where devices can't be made, a link to one does. */
static void put_device(const char *name) {
    if (mknod(name, S_IFCHR | 0600, makedev(1, 5)) != 0)
        ck_assert_int_eq(symlink("/dev/zero", name), 0);
}

START_TEST(what_is_no_regular_file_is_refused_at_once) {
    static void (*const puts[])(const char *) = {put_fifo, put_directory, put_socket, put_device};
    make_closed_db();
    ck_assert_int_eq(chdir(test_dir()), 0); /* socket names are short */
    char name[PATH_MAX];
    for (size_t i = 0; i < name_count; i++) {
        if (is_directory[i])
            continue;
        copy_db(at("copy"));
        snprintf(name, sizeof name, "copy/%s", names[i]);
        ck_assert_int_eq(unlink(name), 0);
        puts[i % 4](name);
        enum lam_code rc = use(at("copy"));
        if (is_export(names[i]))
            ck_assert_msg(rc == LAM_OK || refuses(rc), "%s: %s", names[i], err.message);
        else
            ck_assert_msg(refuses(rc), "%s: %s: %s", names[i], lam_code_name(rc), err.message);
    }
}
END_TEST

/* --- while it works ------------------------------------------------------------------------- */

static void put_symbolic(const char *victim, const char *name) {
    if (symlink(victim, name) != 0)
        ck_assert_int_eq(errno, EEXIST);
}
static void put_hard(const char *victim, const char *name) {
    if (link(victim, name) != 0)
        ck_assert_int_eq(errno, EEXIST);
}

/* Names that the database will want next are taken by links to a file of somebody else's. */
static void take_next_names(void (*put)(const char *, const char *)) {
    char name[100], victim[PATH_MAX];
    snprintf(victim, sizeof victim, "%s", at("victim"));
    put(victim, at("db/ROOT.tmp"));
    for (int n = 1; n < 150; n++) {
        snprintf(name, sizeof name, "db/%06d.wal", n);
        put(victim, at(name));
        snprintf(name, sizeof name, "db/%06d.sst", n);
        put(victim, at(name));
        snprintf(name, sizeof name, "db/MANIFEST-%06d", n);
        put(victim, at(name));
    }
}

static int work_among_links(void *arg) {
    void (*put)(const char *, const char *) = *(void (**)(const char *, const char *))arg;
    lam_db *db = open_db(at("db"));
    fill_db(db);
    take_next_names(put);
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    for (int i = 0; i < 10; i++) {
        exec_code(root, "INSERT INTO app.s (id) VALUES (600000) ON CONFLICT DO NOTHING");
        IGNORE_CODE(lam_db_dump(db, &err));
        IGNORE_CODE(lam_db_compact(db, NULL, &err));
        exec_code(root, "STORAGE FLUSH TABLE app.s");
    }
    child_check(filled_db_is_whole(db));
    child_check(lam_session_close(root, &err) == LAM_OK);
    IGNORE_CODE(lam_db_close(db, &err));
    return 0;
}

static void assert_victim_whole(void (*put)(const char *, const char *)) {
    FILE *f = fopen(at("victim"), "w");
    ck_assert(f != NULL);
    fputs("somebody else's", f);
    fclose(f);
    uint64_t before = sum_of(at("victim"));
    ck_assert_int_eq(in_child(work_among_links, &put), 0);
    ck_assert_uint_eq(sum_of(at("victim")), before);
}

START_TEST(links_in_place_of_the_next_files_are_not_written_through) {
    assert_victim_whole(put_symbolic);
}
END_TEST

START_TEST(file_of_two_names_is_not_written) {
    assert_victim_whole(put_hard);
}
END_TEST

START_TEST(copy_by_hard_links_stays_as_it_was) {
    make_closed_db();
    char command[2 * PATH_MAX + 40];
    snprintf(command, sizeof command, "cp -al '%s' '%s'", at("db"), at("copy"));
    ck_assert_int_eq(system(command), 0);
    uint64_t before = sum_of(at("copy"));
    ck_code(use(at("db")), LAM_INVALID);
    ck_contains(err.message, "another name");
    ck_assert_uint_eq(sum_of(at("copy")), before);
    /* To read it is enough to read. */
    struct lam_options options = {.read_only = true};
    lam_db *db = NULL;
    ck_ok(lam_db_open(at("db"), &options, &db, &err), &err);
    ck_assert(filled_db_is_whole(db));
    close_db(db);
    ck_assert_uint_eq(sum_of(at("copy")), before);
}
END_TEST

/* A flush into the folder of a user, which is a link by now. */
START_TEST(folder_that_became_a_link_gets_no_file) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    ck_assert_int_eq(mkdir(at("away"), 0700), 0);
    ck_assert_int_eq(rename(at("db/cold/app/t/ann"), at("ann")), 0);
    ck_assert_int_eq(symlink(at("away"), at("db/cold/app/t/ann")), 0);
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    ck_assert_int_ne(exec_code(root, "STORAGE FLUSH TABLE app.t"), LAM_OK);
    ck_assert_uint_eq(names_in(at("away")), 0);
    ck_assert_int_eq(unlink(at("db/cold/app/t/ann")), 0);
    ck_assert_int_eq(rename(at("ann"), at("db/cold/app/t/ann")), 0);
    exec(root, "STORAGE FLUSH TABLE app.t");
    ck_ok(lam_session_close(root, &err), &err);
    ck_assert(filled_db_is_whole(db));
    close_db(db);
}
END_TEST

TEST_MAIN("process/files", files_are_for_their_owner_only_whatever_the_umask,
          symbolic_link_in_place_of_any_file_or_directory_is_not_followed,
          what_is_no_regular_file_is_refused_at_once,
          links_in_place_of_the_next_files_are_not_written_through,
          file_of_two_names_is_not_written, copy_by_hard_links_stays_as_it_was,
          folder_that_became_a_link_gets_no_file)
