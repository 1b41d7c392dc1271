/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile names: whatever a user or a table is called, its files lie in folders of its own below
 * the database directory. LAM_LONG=1 takes a million user ids instead of a hundred thousand. */
#include "base/rng.h"
#include "flush/path.h"
#include "tests/process/process.h"

#define NAME_BYTES 256

/* --- user ids in paths ---------------------------------------------------------------------- */

static const char *const pieces[] = {
    "/",
    "\\",
    ".",
    "..",
    "../",
    "%",
    "%2F",
    "%2e",
    "_",
    "__",
    "-",
    " ",
    "~",
    ":",
    "*",
    "$",
    "{",
    "}",
    "${user_id}",
    "\n",
    "\t",
    "\x01",
    "\x7f",
    "a",
    "A",
    "z",
    "0",
    "9",
    "\xc3\xa9",
    "e\xcc\x81",
    "\xe2\x80\xae",
    "\xef\xbb\xbf",
    "\xf0\x9f\x98\x80",
    "con",
    "nul",
    ".tmp",
    "batch-1-00000000.parquet",
    "manifest.json",
    "cold",
    "LOCK",
    "ROOT",
    "'",
    "\"",
    ";",
    "--",
    "0123456789abcdef",
};

static size_t draw_id(struct rng *r, uint8_t *out) {
    size_t size = 0, count = 1 + rng_below(r, rng_below(r, 10) ? 6 : 200);
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[rng_below(r, sizeof pieces / sizeof pieces[0])];
        if (size + strlen(piece) > NAME_BYTES)
            break;
        memcpy(out + size, piece, strlen(piece));
        size += strlen(piece);
    }
    return size;
}

/* Ids and what became of them, to be sorted. */
struct named {
    uint8_t id_size;
    uint8_t *id; /* in one allocation with the name */
    char *name;
};

static int by_id(const void *x, const void *y) {
    const struct named *a = x, *b = y;
    size_t least = a->id_size < b->id_size ? a->id_size : b->id_size;
    int order = memcmp(a->id, b->id, least);
    return order ? order : a->id_size - b->id_size;
}
static int by_name(const void *x, const void *y) {
    return strcmp(((const struct named *)x)->name, ((const struct named *)y)->name);
}

/* One part of a path: no separator, no climbing, nothing that a shell or a terminal reads. */
static bool is_contained(const char *name) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_%";
    size_t size = strlen(name);
    return size >= 1 && size <= 200 && strspn(name, letters) == size;
}

/* Check notes every assertion in a file: in loops only the failing one is made. */
#define expect(condition, text)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s: %s", #condition, text);                                              \
    } while (0)

START_TEST(a_hundred_thousand_hostile_user_ids_have_distinct_contained_folders) {
    struct rng r;
    struct buf out = {0};
    size_t count = getenv("LAM_LONG") ? 1000000 : 100000, distinct = 1;
    struct named *all = calloc(count, sizeof *all);
    ck_assert(all != NULL);
    rng_init(&r, test_seed("hostile_user_ids"));
    for (size_t i = 0; i < count; i++) {
        uint8_t id[NAME_BYTES];
        size_t size = draw_id(&r, id);
        if (size > UINT8_MAX)
            size = UINT8_MAX;
        /* Each name is tried as an id again: an encoding must not be its own input. */
        if (i % 4 == 3 && strlen(all[i - 1].name) <= UINT8_MAX) {
            size = strlen(all[i - 1].name);
            memcpy(id, all[i - 1].name, size);
        }
        const char *text;
        buf_reset(&out);
        expect(flush_path_user(lam_slice_of(id, size), &out, &err) == LAM_OK, err.message);
        expect(buf_cstr(&out, &text, &err) == LAM_OK, err.message);
        expect(is_contained(text), text);
        all[i].id_size = (uint8_t)size;
        all[i].id = malloc(size + strlen(text) + 1);
        expect(all[i].id, "out of memory");
        memcpy(all[i].id, id, size);
        all[i].name = (char *)all[i].id + size;
        memcpy(all[i].name, text, strlen(text) + 1);
    }
    /* As many names as ids, and sorted by either the same ones are neighbours. */
    qsort(all, count, sizeof *all, by_id);
    for (size_t i = 1; i < count; i++) {
        bool same = by_id(&all[i - 1], &all[i]) == 0;
        expect(same == (by_name(&all[i - 1], &all[i]) == 0), all[i].name);
        distinct += !same;
    }
    qsort(all, count, sizeof *all, by_name);
    size_t names = 1;
    for (size_t i = 1; i < count; i++)
        names += by_name(&all[i - 1], &all[i]) != 0;
    ck_assert_uint_eq(names, distinct);
    ck_assert_uint_gt(distinct, count / 4);
    for (size_t i = 0; i < count; i++)
        free(all[i].id);
    free(all);
    buf_fini(&out);
}
END_TEST

/* --- through SQL, onto the disk ------------------------------------------------------------- */

static const char *const hostile_users[] = {
    ".",
    "..",
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "a/b",
    "a",
    "A",
    "a%2Fb",
    "_",
    "~root",
    "$(reboot)",
    "'; DROP TABLE app.t; --",
    "%00",
    "\xe2\x80\xae",
    "batch-1-00000000.parquet",
    "${user_id}",
    "manifest.json",
    " ",
    "a\nb",
};
#define USERS (sizeof hostile_users / sizeof hostile_users[0])

static char root_path[PATH_MAX];
static size_t parquet_files;

static int note_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    char real[PATH_MAX];
    (void)st;
    (void)ftw;
    const char *dot = strrchr(path, '.');
    if (type != FTW_F || !dot || strcmp(dot, ".parquet") != 0)
        return 0;
    ck_assert(realpath(path, real) != NULL);
    ck_assert_msg(strncmp(real, root_path, strlen(root_path)) == 0, "%s", real);
    parquet_files++;
    return 0;
}

START_TEST(hostile_users_keep_their_rows_below_the_database_and_to_themselves) {
    char sql[200], expected[200];
    ck_assert(realpath(test_dir(), root_path) != NULL);
    snprintf(root_path + strlen(root_path), 40, "/db/cold/");
    lam_db *db = open_db(at("db"));
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE NAMESPACE app; CREATE USER TABLE app.t (id BIGINT PRIMARY KEY, v TEXT)");
    for (size_t i = 0; i < USERS; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO app.t VALUES (1, 'of user %zu')", i);
        exec_as(db, hostile_users[i], LAM_ROLE_USER, sql);
    }
    exec_as(db, "root", LAM_ROLE_SYSTEM, "STORAGE FLUSH TABLE app.t");
    ck_assert_uint_eq(names_in(test_dir()), names_in(at("db")) + 1);
    ck_assert_int_eq(nftw(at("db"), note_file, 16, FTW_PHYS), 0);
    ck_assert_uint_eq(parquet_files, USERS);
    close_db(db);
    db = open_db(at("db"));
    for (size_t i = 0; i < USERS; i++) {
        lam_session *s = session_of(db, hostile_users[i], LAM_ROLE_USER);
        snprintf(expected, sizeof expected, "1,of user %zu;", i);
        ck_assert_str_eq(rows(s, "SELECT id, v FROM app.t"), expected);
        ck_ok(lam_session_close(s, &err), &err);
    }
    close_db(db);
}
END_TEST

START_TEST(ids_that_are_none_are_refused) {
    lam_db *db = open_db(at("db"));
    lam_session *s;
    char long_id[NAME_BYTES + 2];
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = 0;
    ck_code(lam_session_open(db, "", LAM_ROLE_USER, &s, &err), LAM_INVALID);
    ck_code(lam_session_open(db, "\xff\xfe", LAM_ROLE_USER, &s, &err), LAM_INVALID);
    ck_code(lam_session_open(db, "\xed\xa0\x80", LAM_ROLE_USER, &s, &err), LAM_INVALID);
    ck_code(lam_session_open(db, "\xc0\xaf", LAM_ROLE_USER, &s, &err), LAM_INVALID);
    ck_code(lam_session_open(db, long_id, LAM_ROLE_USER, &s, &err), LAM_INVALID);
    long_id[NAME_BYTES] = 0;
    ck_ok(lam_session_open(db, long_id, LAM_ROLE_USER, &s, &err), &err);
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

/* Names of namespaces, tables, columns and indexes are [a-z][a-z0-9_]*: nothing else gets a file.
 */
START_TEST(names_of_tables_that_could_leave_are_refused) {
    static const char *const bad[] = {"..",    "../x", "/x",  "a/b", "a\\b", "",
                                      "_x",    "1x",   "a.b", "a b", "a\nb", "\xc3\xa9",
                                      "a%2fb", "${x}", "a-b", "x;y"};
    char sql[300];
    lam_db *db = open_db(at("db"));
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    exec(s,
         "CREATE TABLE fine (id INT PRIMARY KEY); INSERT INTO fine VALUES (1); STORAGE FLUSH ALL");
    uint64_t before = sum_of(at("db/cold"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE \"%s\" (id INT PRIMARY KEY)", bad[i]);
        ck_code(exec_code(s, sql), LAM_SQL);
        snprintf(sql, sizeof sql, "CREATE NAMESPACE \"%s\"", bad[i]);
        ck_code(exec_code(s, sql), LAM_SQL);
        snprintf(sql, sizeof sql, "ALTER TABLE fine ADD COLUMN \"%s\" INT", bad[i]);
        ck_code(exec_code(s, sql), LAM_SQL);
        snprintf(sql, sizeof sql, "CREATE INDEX \"%s\" ON fine (id)", bad[i]);
        ck_code(exec_code(s, sql), LAM_SQL);
    }
    static const char *const templates[] = {"../{table}", "/abs/{table}", "a/../../{table}",
                                            "a//{table}", "{table}/..",   "./{table}"};
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        snprintf(sql, sizeof sql,
                 "CREATE TABLE t%zu (id INT PRIMARY KEY) WITH (storage = 'local') LOCATION '%s'", i,
                 templates[i]);
        ck_code(exec_code(s, sql), LAM_SQL);
        snprintf(sql, sizeof sql,
                 "CREATE STORAGE s%zu TYPE 'filesystem' BASE_DIRECTORY 'x' SHARED_TABLES_TEMPLATE "
                 "'%s'",
                 i, templates[i]);
        ck_code(exec_code(s, sql), LAM_SQL);
    }
    exec(s, "STORAGE FLUSH ALL");
    ck_assert_uint_eq(sum_of(at("db/cold")), before);
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

TEST_MAIN("process/names", a_hundred_thousand_hostile_user_ids_have_distinct_contained_folders,
          hostile_users_keep_their_rows_below_the_database_and_to_themselves,
          ids_that_are_none_are_refused, names_of_tables_that_could_leave_are_refused)
