/* SPDX-License-Identifier: Apache-2.0
 *
 * What must not be told: passwords, in any text, table or file; and one user's values to another,
 * by rows, plans, statistics or the text of errors, whatever he asks. */
#include "tests/process/process.h"

#define PASSWORD "canary-password-4711"
#define VALUE    "canary-value-0815"
#define NUMBER   "918273645"

static char told[1 << 20]; /* everything that was answered */
static size_t told_size;

static void note(const char *text, size_t size) {
    if (size > 0 && told_size + size + 1 < sizeof told) {
        memcpy(told + told_size, text, size);
        told_size += size;
        told[told_size++] = '\n';
        told[told_size] = 0;
    }
}

static bool note_row(void *arg, lam_stmt *stmt) {
    (void)arg;
    for (uint32_t i = 0; i < lam_column_count(stmt); i++) {
        struct lam_slice v = lam_column_text(stmt, i);
        note((const char *)v.data, v.size);
        note(lam_column_name(stmt, i), strlen(lam_column_name(stmt, i)));
    }
    return true;
}

/* Runs it, whatever comes of it, and notes every word of the answer. */
static void ask(lam_session *s, const char *sql) {
    err = (struct lam_error){0};
    if (lam_exec(s, sql, strlen(sql), note_row, NULL, NULL, &err) != LAM_OK) {
        note(err.message, strlen(err.message));
        note(err.hint, strlen(err.hint));
    }
}

static void assert_untold(const char *secret, const char *after) {
    ck_assert_msg(!strstr(told, secret), "%s told %s", after, secret);
}

/* --- passwords
 * ------------------------------------------------------------------------------------ */

static const char *searched;
static int search_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)ftw;
    if (type != FTW_F)
        return 0;
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    static char bytes[8 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (memmem(bytes, size, searched, strlen(searched)))
        ck_abort_msg("%s holds %s", path, searched);
    return 0;
}

START_TEST(passwords_are_in_no_text_no_table_and_no_file) {
    static const char *const questions[] = {
        "CREATE USER 'eve' WITH PASSWORD '" PASSWORD "' ROLE 'user'",
        "CREATE USER 'eve' WITH PASSWORD '" PASSWORD "' ROLE 'user'", /* exists */
        "CREATE USER 'eva' WITH PASSWORD '" PASSWORD "' ROLE 'emperor'",
        "CREATE USER 'eva' WITH PASSWORD '" PASSWORD "' ROLE 'user' AND MORE",
        "CREATE USER 'eva' WITH PASSWORD '" PASSWORD "',",
        "CREATE USER 'eva' WITH PASSWORD '" PASSWORD "' '" PASSWORD "'",
        "CREATE USER eva PASSWORD '" PASSWORD "'",
        "CREATE USER 'eva' WITH PASSWORD 'long enough' E'" PASSWORD "'",
        "CREATE USER 'eva' WITH PASSWORT '" PASSWORD "'",
        "EXPLAIN CREATE USER 'eva' WITH PASSWORD '" PASSWORD "' ROLE 'user'",
        "EXECUTE AS USER 'eve' (CREATE USER 'eva' WITH PASSWORD '" PASSWORD "' ROLE 'user')",
        "ALTER USER 'eve' SET PASSWORD '" PASSWORD "'",
        "ALTER USER 'nobody' SET PASSWORD '" PASSWORD "'",
        "DROP USER 'eva' PASSWORD '" PASSWORD "'",
        "SELECT * FROM system.users",
        "SELECT * FROM system.audit_log",
        "SELECT * FROM system.jobs",
        "SHOW USERS",
        "SHOW TABLES",
    };
    lam_db *db = open_db(at("db"));
    lam_session *root = session_of(db, "root", LAM_ROLE_SYSTEM);
    lam_session *eve = session_of(db, "mallory", LAM_ROLE_USER);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        ask(root, questions[i]);
        assert_untold(PASSWORD, questions[i]);
        ask(eve, questions[i]);
        assert_untold(PASSWORD, questions[i]);
    }
    ck_ok(lam_user_verify_password(db, lam_slice_str("eve"), lam_slice_str(PASSWORD), &err), &err);
    /* A wrong guess and an unknown user get the same words. */
    char wrong[sizeof err.message];
    ck_code(lam_user_verify_password(db, lam_slice_str("eve"), lam_slice_str(PASSWORD "x"), &err),
            LAM_DENIED);
    memcpy(wrong, err.message, sizeof wrong);
    ck_assert(!strstr(wrong, PASSWORD));
    ck_code(lam_user_verify_password(db, lam_slice_str("noone"), lam_slice_str(PASSWORD), &err),
            LAM_DENIED);
    /* But for the name that was asked about. */
    const char *known = strstr(wrong, "\"eve\""), *unknown = strstr(err.message, "\"noone\"");
    ck_assert(known && unknown && known - wrong == unknown - err.message);
    ck_assert_int_eq(strncmp(wrong, err.message, (size_t)(known - wrong)), 0);
    ck_assert_str_eq(known + 5, unknown + 7);
    ck_ok(lam_session_close(root, &err), &err);
    ck_ok(lam_session_close(eve, &err), &err);
    ck_ok(lam_db_dump(db, &err), &err);
    searched = PASSWORD;
    ck_assert_int_eq(nftw(at("db"), search_file, 16, FTW_PHYS), 0);
    close_db(db);
    ck_assert_int_eq(nftw(at("db"), search_file, 16, FTW_PHYS), 0);
}
END_TEST

/* --- other users' values
 * ---------------------------------------------------------------------------- */

/* Bob's rows, hot and cold, hold the canaries; Ann asks for whatever might touch them. */
static const char *const curious[] = {
    "SELECT * FROM app.t",
    "SELECT *, _seq, _updated, _deleted FROM app.t",
    "SELECT COUNT(*), MIN(v), MAX(v), SUM(n), STRING_AGG(v, ',') FROM app.t",
    "SELECT DISTINCT v FROM app.t ORDER BY v DESC",
    "SELECT * FROM app.t WHERE v LIKE 'canary%'",
    "SELECT * FROM app.t WHERE v > 'a' OR true",
    "SELECT * FROM app.t WHERE id = 1",
    "SELECT * FROM app.t WHERE n = " NUMBER,
    "SELECT * FROM app.t WHERE _deleted OR NOT _deleted",
    "EXPLAIN SELECT * FROM app.t WHERE v = 'x'",
    "EXPLAIN ANALYZE SELECT * FROM app.t",
    "SELECT CAST(v AS INT) FROM app.t",
    "SELECT 1 / (n - " NUMBER ") FROM app.t",
    "INSERT INTO app.t VALUES (1, 'mine', 1)",
    "INSERT INTO app.t VALUES (1, 'mine', 1) ON CONFLICT (id) DO UPDATE SET v = app.t.v RETURNING "
    "*",
    "INSERT INTO app.t VALUES (7, 'own', 7) RETURNING *",
    "UPDATE app.t SET v = v || '!' RETURNING *",
    "UPDATE app.t SET n = n + 1 WHERE id > 0",
    "DELETE FROM app.t WHERE id = 1 RETURNING *",
    "DELETE FROM app.t",
    "CREATE UNIQUE INDEX one_v ON app.t (w)",
    "CREATE INDEX some_v ON app.t (v)",
    "ALTER TABLE app.t ALTER COLUMN v TYPE INT",
    "ALTER TABLE app.t ALTER COLUMN w SET NOT NULL",
    "ALTER TABLE app.t ADD COLUMN m INT NOT NULL",
    "DESCRIBE app.t",
    "SHOW TABLES",
    "SHOW STATS FOR app.t",
    "SELECT * FROM system.tables",
    "SELECT * FROM system.jobs",
    "SELECT * FROM system.audit_log",
    "SELECT * FROM information_schema.columns",
    "EXECUTE AS USER 'bob' (SELECT * FROM app.t)",
    "STORAGE FLUSH TABLE app.t",
    "INSERT INTO app.s SELECT id, v FROM app.t",
    "SELECT * FROM app.s",
    "SELECT * FROM app.hidden",
    "INSERT INTO app.hidden VALUES (1, 'x')",
    "DROP TABLE app.t",
};

static void make_rows(lam_db *db) {
    exec_as(
        db, "root", LAM_ROLE_SYSTEM,
        "CREATE NAMESPACE app;"
        "CREATE USER TABLE app.t (id BIGINT PRIMARY KEY, v TEXT, n BIGINT, w TEXT);"
        "CREATE UNIQUE INDEX t_v ON app.t (v);"
        "CREATE SHARED TABLE app.s (id BIGINT PRIMARY KEY, v TEXT) WITH (access_level = 'public');"
        "CREATE SHARED TABLE app.hidden (id BIGINT PRIMARY KEY, v TEXT);"
        "INSERT INTO app.hidden VALUES (1, '" VALUE "')");
    exec_as(db, "bob", LAM_ROLE_USER,
            "INSERT INTO app.t VALUES (1, '" VALUE "1', " NUMBER ", '" VALUE "'),"
            "(2, '" VALUE "2', " NUMBER ", '" VALUE "'), (3, '" VALUE "3', " NUMBER ", NULL)");
    exec_as(db, "root", LAM_ROLE_SYSTEM, "STORAGE FLUSH TABLE app.t");
    exec_as(db, "bob", LAM_ROLE_USER,
            "INSERT INTO app.t VALUES (4, '" VALUE "4', " NUMBER ", '" VALUE "');"
            "DELETE FROM app.t WHERE id = 2");
    exec_as(db, "ann", LAM_ROLE_USER, "INSERT INTO app.t VALUES (1, 'hers', 1, 'w')");
}

static void ask_all(lam_db *db, enum lam_role role) {
    lam_session *ann = session_of(db, "ann", role);
    for (size_t i = 0; i < sizeof curious / sizeof curious[0]; i++) {
        told_size = 0;
        told[0] = 0;
        ask(ann, curious[i]);
        assert_untold(VALUE, curious[i]);
        /* Her own question has the number in it. */
        if (!strstr(curious[i], NUMBER))
            assert_untold(NUMBER, curious[i]);
    }
    ck_ok(lam_session_close(ann, &err), &err);
}

START_TEST(no_answer_tells_a_user_what_another_one_has) {
    lam_db *db = open_db(at("db"));
    make_rows(db);
    ask_all(db, LAM_ROLE_ANONYMOUS);
    ask_all(db, LAM_ROLE_USER);
    ck_assert_int_ge(told_size, 0);
    lam_session *bob = session_of(db, "bob", LAM_ROLE_USER);
    ck_assert_str_eq(rows(bob, "SELECT id, v FROM app.t ORDER BY id"),
                     "1," VALUE "1;3," VALUE "3;4," VALUE "4;");
    ck_ok(lam_session_close(bob, &err), &err);
    close_db(db);
}
END_TEST

/* Whatever his role, who asks for his own rows gets no other's: only by EXECUTE AS USER, which is
 * written down. The canaries of the shared table are a service's to see. */
START_TEST(higher_roles_see_their_own_rows_only) {
    static const enum lam_role roles[] = {LAM_ROLE_SERVICE, LAM_ROLE_DBA, LAM_ROLE_SYSTEM};
    lam_db *db = open_db(at("db"));
    make_rows(db);
    for (size_t r = 0; r < 3; r++) {
        lam_session *s = session_of(db, "ann", roles[r]);
        for (size_t i = 0; i < 13; i++) {
            told_size = 0;
            told[0] = 0;
            ask(s, curious[i]);
            assert_untold(VALUE, curious[i]);
        }
        ck_ok(lam_session_close(s, &err), &err);
    }
    close_db(db);
}
END_TEST

/* A unique index that other users' rows forbid: the error names no value of theirs. */
START_TEST(failed_schema_changes_name_no_value_of_other_users) {
    lam_db *db = open_db(at("db"));
    make_rows(db);
    exec_as(db, "bob", LAM_ROLE_USER, "INSERT INTO app.t VALUES (5, 'v', 1, '" VALUE "')");
    static const char *const changes[] = {
        "CREATE UNIQUE INDEX one_w ON app.t (w)",
        "ALTER TABLE app.t ALTER COLUMN w SET NOT NULL",
        "ALTER TABLE app.t ALTER COLUMN v TYPE BIGINT",
        "ALTER TABLE app.t ALTER COLUMN n TYPE SMALLINT",
    };
    static const enum lam_role roles[] = {LAM_ROLE_USER, LAM_ROLE_SERVICE, LAM_ROLE_DBA};
    for (size_t r = 0; r < 3; r++) {
        lam_session *s = session_of(db, "ann", roles[r]);
        for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
            told_size = 0;
            told[0] = 0;
            ask(s, changes[i]);
            ck_assert_msg(told[0] != 0, "%s succeeded", changes[i]);
            assert_untold(VALUE, changes[i]);
            assert_untold(NUMBER, changes[i]);
        }
        ck_ok(lam_session_close(s, &err), &err);
    }
    close_db(db);
}
END_TEST

TEST_MAIN("process/secrets", passwords_are_in_no_text_no_table_and_no_file,
          no_answer_tells_a_user_what_another_one_has, higher_roles_see_their_own_rows_only,
          failed_schema_changes_name_no_value_of_other_users)
