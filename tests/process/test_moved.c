/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory of an open database is renamed, replaced or removed, or the process changes its
 * working directory: work goes on where the database is, or fails, and never touches what has its
 * name meanwhile. */
#include "tests/process/process.h"

/* Everything that makes, renames and removes files: rows, dumps, compactions, a flush, and enough
 * log for a segment to be recycled. Stops at the first failure. */
static enum lam_code work(lam_db *db, int turn) {
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    enum lam_code rc = LAM_OK;
    char sql[200];
    for (int i = 0; i < 60 && rc == LAM_OK; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO app.s VALUES (%d, %d, 'turn')",
                 1000000 + turn * 1000 + i, i);
        rc = exec_code(root, sql);
        if (rc == LAM_OK && i % 20 == 19)
            rc = lam_db_dump(db, &err);
    }
    if (rc == LAM_OK)
        rc = lam_db_compact(db, NULL, &err);
    if (rc == LAM_OK)
        rc = exec_code(root, "STORAGE FLUSH TABLE app.s");
    if (rc == LAM_OK)
        rc = exec_code(root, "STORAGE FLUSH TABLE app.t");
    struct lam_error kept = err;
    ck_ok(lam_session_close(root, &err), &err);
    err = kept;
    return rc;
}

static void assert_worked(lam_db *db, int turns) {
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    char expected[40];
    snprintf(expected, sizeof expected, "%d;", turns * 60);
    ck_assert_str_eq(rows(root, "SELECT COUNT(*) FROM app.s WHERE id >= 1000000"), expected);
    ck_ok(lam_session_close(root, &err), &err);
    ck_assert(filled_db_is_whole(db));
    check_db(db);
}

START_TEST(renamed_directory_goes_on_in_use) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    ck_assert_int_eq(rename(at("db"), at("moved")), 0);
    ck_assert_int_eq(mkdir(at("db"), 0700), 0);
    ck_ok(work(db, 0), &err);
    ck_assert_int_eq(rename(at("moved"), at("moved2")), 0);
    ck_ok(work(db, 1), &err);
    assert_worked(db, 2);
    close_db(db);
    ck_assert_uint_eq(names_in(at("db")), 0);
    db = open_db(at("moved2"));
    assert_worked(db, 2);
    close_db(db);
}
END_TEST

/* The files of the two have the same names: numbers begin alike. */
START_TEST(another_database_in_its_place_is_not_touched) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    lam_db *other = open_db(at("other"));
    fill_db(other);
    close_db(other);
    uint64_t before = sum_of(at("other"));
    ck_assert_int_eq(rename(at("db"), at("moved")), 0);
    ck_assert_int_eq(rename(at("other"), at("db")), 0);
    for (int i = 0; i < 3; i++)
        ck_ok(work(db, i), &err);
    assert_worked(db, 3);
    ck_assert_uint_eq(sum_of(at("db")), before);
    /* Nor can it be opened by this process: its path is the open one's. */
    ck_code(open_code(at("db"), &other), LAM_BUSY);
    ck_contains(err.message, "open");
    close_db(db);
    ck_assert_uint_eq(sum_of(at("db")), before);
    other = open_db(at("db"));
    ck_assert(filled_db_is_whole(other));
    check_db(other);
    close_db(other);
}
END_TEST

START_TEST(link_in_its_place_is_not_followed) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    ck_assert_int_eq(mkdir(at("elsewhere"), 0700), 0);
    ck_assert_int_eq(rename(at("db"), at("moved")), 0);
    ck_assert_int_eq(symlink("elsewhere", at("db")), 0);
    ck_ok(work(db, 0), &err);
    assert_worked(db, 1);
    close_db(db);
    ck_assert_uint_eq(names_in(at("elsewhere")), 0);
}
END_TEST

/* What needs a new file fails; nothing is made where the directory was. */
START_TEST(removed_directory_is_not_made_again) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    char command[PATH_MAX + 20];
    snprintf(command, sizeof command, "rm -rf '%s'", at("db"));
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(mkdir(at("db"), 0700), 0);
    enum lam_code rc = LAM_OK;
    for (int i = 0; i < 20 && rc == LAM_OK; i++)
        rc = work(db, i);
    ck_assert_int_ne(rc, LAM_OK);
    ck_assert_int_ne(rc, LAM_SQL);
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    exec_code(root, "CREATE TABLE late (id INT PRIMARY KEY)");
    exec_code(root, "STORAGE FLUSH ALL");
    ck_ok(lam_session_close(root, &err), &err);
    if (lam_db_close(db, &err) == LAM_OK)
        ck_abort_msg("a database without files was sealed");
    ck_assert_uint_eq(names_in(at("db")), 0);
    db = open_db(at("db"));
    close_db(db);
}
END_TEST

START_TEST(relative_path_means_the_directory_it_meant) {
    ck_assert_int_eq(mkdir(at("a"), 0700), 0);
    ck_assert_int_eq(mkdir(at("b"), 0700), 0);
    ck_assert_int_eq(chdir(at("a")), 0);
    lam_db *db = open_db("db");
    fill_db(db);
    ck_assert_int_eq(chdir(at("b")), 0);
    ck_ok(work(db, 0), &err);
    ck_assert_int_eq(mkdir("db", 0700), 0);
    ck_ok(work(db, 1), &err);
    assert_worked(db, 2);
    close_db(db);
    ck_assert_uint_eq(names_in(at("b")), 1);
    db = open_db(at("a/db"));
    assert_worked(db, 2);
    close_db(db);
}
END_TEST

START_TEST(databases_side_by_side_and_inside_each_other_stay_apart) {
    lam_db *outer = open_db(at("db"));
    fill_db(outer);
    lam_db *inner = open_db(at("db/inner"));
    fill_db(inner);
    lam_db *beside = open_db(at("db2"));
    fill_db(beside);
    ck_assert_int_eq(rename(at("db/inner"), at("inner")), 0);
    ck_assert_int_eq(rename(at("db"), at("outer")), 0);
    ck_ok(work(outer, 0), &err);
    ck_ok(work(inner, 0), &err);
    ck_ok(work(beside, 0), &err);
    assert_worked(outer, 1);
    assert_worked(inner, 1);
    assert_worked(beside, 1);
    close_db(inner);
    close_db(outer);
    close_db(beside);
    inner = open_db(at("inner"));
    assert_worked(inner, 1);
    close_db(inner);
}
END_TEST

TEST_MAIN("process/moved", renamed_directory_goes_on_in_use,
          another_database_in_its_place_is_not_touched, link_in_its_place_is_not_followed,
          removed_directory_is_not_made_again, relative_path_means_the_directory_it_meant,
          databases_side_by_side_and_inside_each_other_stay_apart)
