/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out at any allocation of a statement: it fails with NO_MEMORY, has no effect,
 * and succeeds once there is memory again. */
#include "tests/sql/database.h"
#include "tests/support/oom.h"

static struct database d;

static const char state[] = "SELECT * FROM t ORDER BY id; SELECT count(*) FROM t WHERE v = 'a'; "
                            "SELECT id FROM t WHERE _deleted ORDER BY id";

static void setup(void) {
    database_open(&d);
    run(&d, "CREATE NAMESPACE a; USE a; CREATE TABLE t (id INT PRIMARY KEY, v TEXT, n INT); "
            "CREATE UNIQUE INDEX t_n ON t (n); CREATE INDEX t_v ON t (v); "
            "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3); STORAGE FLUSH TABLE t; "
            "INSERT INTO t VALUES (4, 'd', 4), (5, 'e', 5)");
}

static enum lam_code exec_once(const char *sql) {
    return lam_exec(d.s, sql, strlen(sql), NULL, NULL, NULL, &d.err);
}

/* Closing tells that the database had failed. */
static void reopen_failed(void) {
    ck_ok(lam_session_close(d.s, &d.err), &d.err);
    ck_code(lam_db_close(d.db, &d.err), LAM_READ_ONLY);
    d.db = NULL;
    database_reopen(&d);
    run(&d, "USE a");
}

/* Fails the n-th allocation and those after it for n = 1, 2 ... until the statement succeeds. */
static void sweep(const char *sql) {
    char *before = strdup(run(&d, state));
    size_t n = 1;
    for (;; n++) {
        oom_arm(n);
        enum lam_code rc = exec_once(sql);
        oom_arm(0);
        if (rc == LAM_OK)
            break;
        /* The engine itself gave up: what stands is told by opening it again. A statement that was
         * refused has had no effect for certain. */
        if (rc == LAM_UNKNOWN_OUTCOME || rc == LAM_READ_ONLY) {
            reopen_failed();
            if (strcmp(run(&d, state), before) != 0) {
                ck_assert_int_eq(rc, LAM_UNKNOWN_OUTCOME);
                break;
            }
            continue;
        }
        ck_assert_msg(rc == LAM_NO_MEMORY, "%s: allocation %zu: %s %s", sql, n, lam_code_name(rc),
                      d.err.message);
        ck_assert_msg(strcmp(run(&d, state), before) == 0, "%s: allocation %zu changed rows:\n%s",
                      sql, n, d.text);
    }
    ck_assert_uint_gt(n, 3);
    free(before);
}

START_TEST(queries_fail_cleanly) {
    setup();
    sweep("SELECT v, count(*), sum(n) FROM t WHERE n > 0 GROUP BY v HAVING count(*) > 0 "
          "ORDER BY v DESC LIMIT 3");
    sweep("SELECT DISTINCT upper(v) || '!' FROM t WHERE id BETWEEN 1 AND 4 OR v LIKE 'e%'");
    sweep("SELECT * FROM t WHERE id = 2");
    sweep("SELECT * FROM t WHERE v = 'd'");
    sweep("EXPLAIN SELECT * FROM t WHERE v = 'd'");
    sweep("SHOW TABLES; DESCRIBE t; SELECT * FROM system.tables");
    database_close(&d);
}
END_TEST

START_TEST(inserts_fail_whole) {
    setup();
    sweep("INSERT INTO t VALUES (10, 'x', 10), (11, 'y', 11)");
    ck_assert_str_eq(run(&d, "SELECT id FROM t WHERE n IN (10, 11) ORDER BY id"), "10\n11\n");
    sweep("INSERT INTO t VALUES (1, 'up', 1), (20, 'new', 20) ON CONFLICT (id) DO UPDATE "
          "SET v = excluded.v, n = t.n + 100 WHERE t.n > 0 RETURNING id, v, _seq");
    ck_assert_str_eq(run(&d, "SELECT v, n FROM t WHERE id IN (1, 20) ORDER BY id"),
                     "up|101\nnew|20\n");
    sweep("INSERT INTO t SELECT id + 100, v, NULL FROM t WHERE id < 4");
    database_close(&d);
}
END_TEST

START_TEST(updates_and_deletes_fail_whole) {
    setup();
    sweep("UPDATE t SET v = v || '!', n = n + 1 WHERE id >= 2 RETURNING *, _updated");
    ck_assert_str_eq(run(&d, "SELECT v, n FROM t ORDER BY id"), "a|1\nb!|3\nc!|4\nd!|5\ne!|6\n");
    sweep("UPDATE t SET id = id + 1");
    ck_assert_str_eq(run(&d, "SELECT id FROM t ORDER BY id"), "2\n3\n4\n5\n6\n");
    sweep("DELETE FROM t WHERE v > 'b'  RETURNING id");
    ck_assert_str_eq(run(&d, "SELECT id FROM t"), "2\n");
    database_close(&d);
}
END_TEST

TEST_MAIN("sql/stmt_oom", queries_fail_cleanly, inserts_fail_whole, updates_and_deletes_fail_whole)
