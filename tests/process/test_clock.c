/* SPDX-License-Identifier: Apache-2.0
 *
 * A wall clock that stands, jumps, goes back, or is of 1970, 2106 or before Christ, between and in
 * the middle of sessions: ids stay unique and rise, order and durability do not depend on it, what
 * has expired stays so. */
#include "lamina/check.h"
#include "tests/process/process.h"

/* The system's environment with a wall clock of our own. Its operations use no other part of it. */
static _Atomic int64_t clock_us;
static int64_t told_us(lam_env *env) {
    (void)env;
    return atomic_load(&clock_us);
}

static lam_env *clock_env(void) {
    static struct lam_env_ops ops;
    static struct lam_env env;
    if (!env.ops) {
        ops = *lam_env_posix()->ops;
        ops.now_us = told_us;
        env.ops = &ops;
    }
    return &env;
}

#define SECOND INT64_C(1000000)
#define DAY    (86400 * SECOND)
#define YEAR   (365 * DAY)
#define Y2025  (55 * YEAR + 14 * DAY)

static lam_db *open_at(const char *path) {
    struct lam_options options = {.env = clock_env(), .memory_budget = 8u << 20};
    lam_db *db = NULL;
    ck_ok(lam_db_open(path, &options, &db, &err), &err);
    return db;
}

/* In this order; each in a session of its own and then again in the middle of one. */
static const int64_t times[] = {
    Y2025,
    Y2025 + 1,
    Y2025, /* stands */
    0,     /* 1970 */
    -1,    /* and just before */
    Y2025 + 10 * YEAR,
    Y2025,
    Y2025 - 10 * YEAR,
    68 * YEAR + 36 * DAY,   /* 2038: 31 bits of seconds */
    136 * YEAR + 200 * DAY, /* 2106: 32 bits */
    123 * YEAR + 335 * DAY, /* 2093: near the end of ids */
    124 * YEAR,             /* and after it */
    INT64_MAX,
    INT64_MIN,
    -3000 * YEAR,
    Y2025 + DAY,
};
#define TIMES (sizeof times / sizeof times[0])
#define ROWS  40

/* Inserts rows; each id, `_seq` and place in the count is above the one before. */
static void insert_rows(lam_db *db, int turn) {
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    char sql[200];
    for (int i = 0; i < ROWS; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO app.log (turn, n) VALUES (%d, %d), (%d, %d)", turn,
                 2 * i, turn, 2 * i + 1);
        exec(s, sql);
    }
    exec(s, "INSERT INTO app.other SELECT turn, n FROM app.log WHERE n = 0 ON CONFLICT DO NOTHING");
    /* The time itself may be none that can be told. */
    IGNORE_CODE(exec_code(s, "SELECT NOW(), CAST(NOW() AS TEXT), CURRENT_DATE, UUID_V7(), ULID()"));
    if (turn % 3 == 1)
        exec(s, "STORAGE FLUSH TABLE app.log");
    if (turn % 4 == 1)
        ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_session_close(s, &err), &err);
}

struct rising {
    int64_t id, seq, turn, n;
    size_t count;
};
static bool note_rising(void *arg, lam_stmt *stmt) {
    struct rising *r = arg;
    int64_t id = lam_column_int64(stmt, 0), seq = lam_column_int64(stmt, 1);
    int64_t turn = lam_column_int64(stmt, 2), n = lam_column_int64(stmt, 3);
    ck_assert_int_gt(id, 0);
    ck_assert_int_gt(id, r->id);
    ck_assert_int_gt(seq, r->seq);
    ck_assert_msg(turn > r->turn || (turn == r->turn && n > r->n), "turn %lld, row %lld",
                  (long long)turn, (long long)n);
    *r = (struct rising){id, seq, turn, n, r->count + 1};
    return true;
}

static void assert_rising(lam_db *db, size_t turns) {
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    const char *sql = "SELECT id, _seq, turn, n FROM app.log ORDER BY id";
    struct rising r = {.turn = -1};
    ck_ok(lam_exec(s, sql, strlen(sql), note_rising, &r, NULL, &err), &err);
    ck_assert_uint_eq(r.count, turns * 2 * ROWS);
    ck_assert_str_eq(rows(s, "SELECT COUNT(*) FROM system.jobs WHERE status <> 'completed'"), "0;");
    ck_ok(lam_session_close(s, &err), &err);
}

START_TEST(ids_and_order_do_not_depend_on_the_clock) {
    int turn = 0;
    atomic_store(&clock_us, Y2025);
    lam_db *db = open_at(at("db"));
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE NAMESPACE app;"
            "CREATE TABLE app.log (id BIGINT PRIMARY KEY DEFAULT SNOWFLAKE_ID(), turn INT, n INT);"
            "CREATE TABLE app.other (turn INT PRIMARY KEY, n INT)");
    for (size_t i = 0; i < TIMES; i++) {
        insert_rows(db, turn++);
        atomic_store(&clock_us, times[i]);
        insert_rows(db, turn++);
        assert_rising(db, (size_t)turn);
        if (i % 2)
            close_db(db);
        else
            ck_ok(lam_db_dump(db, &err), &err);
        if (i % 2) {
            db = open_at(at("db"));
            assert_rising(db, (size_t)turn);
        }
        check_db(db);
    }
    close_db(db);
}
END_TEST

/* The same through deaths: the clock may lie between the last life and this one. */
static int insert_and_die(void *arg) {
    const int *turn = arg;
    lam_db *db = open_at(at("db"));
    insert_rows(db, *turn);
    return 0;
}

START_TEST(ids_rise_over_deaths_of_the_process) {
    atomic_store(&clock_us, Y2025);
    lam_db *db = open_at(at("db"));
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE NAMESPACE app;"
            "CREATE TABLE app.log (id BIGINT PRIMARY KEY DEFAULT SNOWFLAKE_ID(), turn INT, n INT);"
            "CREATE TABLE app.other (turn INT PRIMARY KEY, n INT)");
    close_db(db);
    int turn = 0;
    for (size_t i = 0; i < TIMES; i++, turn++) {
        atomic_store(&clock_us, times[i]);
        ck_assert_int_eq(in_child(insert_and_die, &turn), 0);
    }
    db = open_at(at("db"));
    assert_rising(db, (size_t)turn);
    close_db(db);
}
END_TEST

/* A clock that was wrong once does not use ids up: after 2106 there are ids for the right time. */
START_TEST(a_clock_beyond_the_ids_does_not_take_them_along) {
    atomic_store(&clock_us, 136 * YEAR + 200 * DAY);
    lam_db *db = open_at(at("db"));
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE TABLE t (id BIGINT PRIMARY KEY DEFAULT SNOWFLAKE_ID(), v INT);"
            "INSERT INTO t (v) VALUES (1)");
    close_db(db);
    atomic_store(&clock_us, Y2025);
    db = open_at(at("db"));
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    exec(s, "INSERT INTO t (v) VALUES (2)");
    /* 41 bits of milliseconds since 2024 */
    ck_assert_str_eq(
        rows(s, "SELECT v FROM t WHERE id / 4194304 BETWEEN 31000000000 AND 40000000000"), "2;");
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

static void assert_rows(lam_session *s, const char *expected) {
    ck_assert_str_eq(rows(s, "SELECT n FROM app.events ORDER BY n"), expected);
}

/* Also once the clock is back at a time when they were not. */
START_TEST(expired_rows_older_than_a_not_null_column_are_no_damage) {
    struct lam_error e = {0};
    atomic_store(&clock_us, Y2025);
    lam_db *db = open_at(at("db"));
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE NAMESPACE app;"
            "CREATE STREAM TABLE app.events (n INT PRIMARY KEY) WITH (ttl_seconds = 60)");
    exec_as(db, "ann", LAM_ROLE_USER, "INSERT INTO app.events VALUES (1)");
    atomic_store(&clock_us, Y2025 + 61 * SECOND);
    exec_as(db, "root", LAM_ROLE_SYSTEM, "ALTER TABLE app.events ADD COLUMN m INT NOT NULL");
    exec_as(db, "ann", LAM_ROLE_USER, "INSERT INTO app.events VALUES (2, 2)");
    close_db(db);
    for (int back = 0; back < 2; back++) {
        atomic_store(&clock_us, Y2025 + (back ? 1 : 62) * SECOND);
        struct lam_check_options o = {.env = clock_env()};
        ck_ok(lam_check_full(at("db"), &o, &e), &e);
    }
}
END_TEST

START_TEST(expired_rows_stay_expired_beside_later_ones) {
    int64_t now = Y2025;
    atomic_store(&clock_us, now);
    lam_db *db = open_at(at("db"));
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE NAMESPACE app;"
            "CREATE STREAM TABLE app.events (n INT PRIMARY KEY) WITH (ttl_seconds = 60)");
    lam_session *s = session_of(db, "ann", LAM_ROLE_USER);
    exec(s, "INSERT INTO app.events VALUES (1)");
    atomic_store(&clock_us, now + 59 * SECOND);
    assert_rows(s, "1;");
    atomic_store(&clock_us, now + 61 * SECOND);
    assert_rows(s, "");
    /* The key is free again. */
    exec(s, "INSERT INTO app.events VALUES (1), (2)");
    exec(s, "INSERT INTO app.events VALUES (3)");
    atomic_store(&clock_us, now + 122 * SECOND);
    exec(s, "INSERT INTO app.events VALUES (4)");
    assert_rows(s, "4;");
    /* Back by ten years: what was gone when row 4 came stays so, row 4 lives. */
    atomic_store(&clock_us, now - 10 * YEAR);
    assert_rows(s, "4;");
    exec(s, "INSERT INTO app.events VALUES (5), (1)");
    assert_rows(s, "1;4;5;");
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
    db = open_at(at("db"));
    s = session_of(db, "ann", LAM_ROLE_USER);
    assert_rows(s, "1;4;5;");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    assert_rows(s, "1;4;5;");
    atomic_store(&clock_us, now + 1000 * SECOND);
    assert_rows(s, "");
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

TEST_MAIN("process/clock", ids_and_order_do_not_depend_on_the_clock,
          ids_rise_over_deaths_of_the_process, a_clock_beyond_the_ids_does_not_take_them_along,
          expired_rows_older_than_a_not_null_column_are_no_damage,
          expired_rows_stay_expired_beside_later_ones)
