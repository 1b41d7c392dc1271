/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions in threads: keys and unique values have one winner, changes are not lost, schema changes
 * and flushes may come at any time. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/sql/database.h"

#define THREADS 4

static struct database d;
static pthread_barrier_t start;
static atomic_uint won, lost;
static atomic_bool stop;

static void setup(const char *sql) {
    database_open(&d);
    run(&d, "CREATE NAMESPACE a; USE a");
    run(&d, sql);
    atomic_store(&won, 0);
    atomic_store(&lost, 0);
    atomic_store(&stop, false);
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, THREADS), 0);
}

struct worker {
    int number;
    lam_session *s;
};

static void in_threads(void *(*work)(void *)) {
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.number = i};
        ck_ok(lam_session_open(d.db, "root", LAM_ROLE_SYSTEM, &workers[i].s, &d.err), &d.err);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_ok(lam_session_close(workers[i].s, &d.err), &d.err);
    }
    pthread_barrier_destroy(&start);
}

/* Runs a statement; true if it succeeded, false if it failed with one of the states given; another
 * failure ends the test. */
static bool attempt(struct worker *w, const char *sql, const char *states, uint64_t *changes) {
    struct lam_error err = {0};
    enum lam_code rc = lam_exec(w->s, sql, strlen(sql), NULL, NULL, changes, &err);
    if (rc == LAM_OK)
        return true;
    if (rc != LAM_SQL || !strstr(states, err.sqlstate)) {
        fprintf(stderr, "%s: %s %s\n", sql, err.sqlstate, err.message);
        abort();
    }
    return false;
}

static void *insert_same_keys(void *arg) {
    struct worker *w = arg;
    char sql[100];
    pthread_barrier_wait(&start);
    for (int i = 0; i < 200; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO a.t VALUES (%d, %d)", i, w->number);
        atomic_fetch_add(attempt(w, sql, "23505", NULL) ? &won : &lost, 1);
    }
    return NULL;
}

START_TEST(of_inserts_of_one_key_one_wins) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, who INT)");
    in_threads(insert_same_keys);
    ck_assert_uint_eq(won, 200);
    ck_assert_uint_eq(lost, 200 * (THREADS - 1));
    ck_assert_str_eq(run(&d, "SELECT count(*), count(DISTINCT id) FROM t"), "200|200\n");
    database_close(&d);
}
END_TEST

static void *insert_same_values(void *arg) {
    struct worker *w = arg;
    char sql[100];
    pthread_barrier_wait(&start);
    for (int i = 0; i < 200; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO a.t VALUES (%d, 'v%d')", i * THREADS + w->number, i);
        atomic_fetch_add(attempt(w, sql, "23505", NULL) ? &won : &lost, 1);
    }
    return NULL;
}

START_TEST(of_rows_with_one_unique_value_one_wins) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, v TEXT); CREATE UNIQUE INDEX t_v ON t (v)");
    in_threads(insert_same_values);
    ck_assert_uint_eq(won, 200);
    ck_assert_str_eq(run(&d, "SELECT count(*), count(DISTINCT v) FROM t"), "200|200\n");
    database_close(&d);
}
END_TEST

static void *count_up(void *arg) {
    struct worker *w = arg;
    pthread_barrier_wait(&start);
    for (int i = 0; i < 250; i++)
        attempt(w, "UPDATE a.t SET n = n + 1 WHERE id = 1", "", NULL);
    return NULL;
}

START_TEST(updates_of_one_row_are_not_lost) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 0)");
    in_threads(count_up);
    ck_assert_str_eq(run(&d, "SELECT n FROM t"), "1000\n");
    database_close(&d);
}
END_TEST

static void *upsert(void *arg) {
    struct worker *w = arg;
    pthread_barrier_wait(&start);
    for (int i = 0; i < 250; i++)
        attempt(w,
                "INSERT INTO a.t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n",
                "", NULL);
    return NULL;
}

START_TEST(upserts_of_one_row_are_not_lost) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)");
    in_threads(upsert);
    ck_assert_str_eq(run(&d, "SELECT n FROM t"), "1000\n");
    database_close(&d);
}
END_TEST

/* Two accounts; the sum must be seen unchanged by every reader. */
static bool check_sum(void *arg, lam_stmt *stmt) {
    (void)arg;
    if (lam_column_int64(stmt, 0) != 100)
        abort();
    return true;
}

static void *move_and_read(void *arg) {
    struct worker *w = arg;
    struct lam_error err;
    static const char sum[] = "SELECT sum(n) FROM a.t";
    pthread_barrier_wait(&start);
    for (int i = 0; i < 150; i++) {
        if (w->number < 2)
            attempt(w,
                    "UPDATE a.t SET n = n + CASE id WHEN 1 THEN -1 ELSE 1 END WHERE id IN (1, 2)",
                    "", NULL);
        else if (w->number == 2 && i % 10 == 0)
            attempt(w, "STORAGE FLUSH TABLE a.t", "", NULL);
        else if (lam_exec(w->s, sum, strlen(sum), check_sum, NULL, NULL, &err) != LAM_OK)
            abort();
    }
    return NULL;
}

START_TEST(readers_see_whole_statements_while_rows_move_and_are_flushed) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 50), (2, 50)");
    in_threads(move_and_read);
    ck_assert_str_eq(run(&d, "SELECT id, n FROM t ORDER BY id"), "1|-250\n2|350\n");
    database_close(&d);
}
END_TEST

/* Thread 0 alters, indexes and flushes; the others insert all the time. */
static void *insert_while_altered(void *arg) {
    struct worker *w = arg;
    char sql[160];
    pthread_barrier_wait(&start);
    if (w->number == 0) {
        for (int i = 0; i < 12; i++) {
            while (atomic_load(&won) < 20u * (unsigned)i) /* the others are at it */
                sched_yield();
            snprintf(sql, sizeof sql, "ALTER TABLE a.t ADD COLUMN c%d INT DEFAULT %d", i, i);
            attempt(w, sql, "", NULL);
            attempt(w, i % 2 ? "CREATE INDEX t_n ON a.t (n)" : "DROP INDEX IF EXISTS a.t_n", "",
                    NULL);
            attempt(w, "STORAGE FLUSH TABLE a.t", "", NULL);
        }
        atomic_store(&stop, true);
        return NULL;
    }
    for (int i = 0; !atomic_load(&stop); i++) {
        snprintf(sql, sizeof sql, "INSERT INTO a.t (id, n) VALUES (%d, %d)",
                 i * THREADS + w->number, i);
        attempt(w, sql, "", NULL);
        atomic_fetch_add(&won, 1);
        attempt(w, "SELECT count(*) FROM a.t WHERE n = 5", "", NULL);
        attempt(w, "SELECT * FROM a.t WHERE id = 5", "", NULL);
        if (i % 7 == 0) {
            uint64_t changes;
            snprintf(sql, sizeof sql, "UPDATE a.t SET n = -n WHERE id = %d",
                     i * THREADS + w->number);
            attempt(w, sql, "", &changes);
            if (changes != 1)
                abort();
        }
    }
    return NULL;
}

START_TEST(schema_changes_lose_no_row) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)");
    in_threads(insert_while_altered);
    char expected[100];
    snprintf(expected, sizeof expected, "%u|11\n", (unsigned)won);
    ck_assert_str_eq(run(&d, "SELECT count(*), max(c11) FROM t"), expected);
    char by_index[20];
    snprintf(by_index, sizeof by_index, "%s", run(&d, "SELECT count(*) FROM t WHERE n = 1"));
    ck_assert_str_eq(by_index, run(&d, "SELECT count(*) FROM t WHERE n + 0 = 1"));
    database_close(&d);
}
END_TEST

/* Thread 0 drops and makes the table; the others insert into whatever stands. */
static void *insert_while_dropped(void *arg) {
    struct worker *w = arg;
    char sql[160];
    pthread_barrier_wait(&start);
    if (w->number == 0) {
        for (int i = 0; i < 15; i++) {
            attempt(w, "DROP TABLE a.t", "", NULL);
            attempt(w, "CREATE TABLE a.t (id INT PRIMARY KEY, n INT)", "", NULL);
            attempt(w, "STORAGE FLUSH ALL", "", NULL);
        }
        atomic_store(&stop, true);
        return NULL;
    }
    for (int i = 0; !atomic_load(&stop); i++) {
        snprintf(sql, sizeof sql, "INSERT INTO a.t VALUES (%d, %d)", i * THREADS + w->number, i);
        attempt(w, sql, "42P01", NULL);
        attempt(w, "SELECT sum(n) FROM a.t", "42P01", NULL);
    }
    return NULL;
}

START_TEST(tables_may_vanish_under_statements) {
    setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)");
    in_threads(insert_while_dropped);
    run(&d, "INSERT INTO t VALUES (-1, 0)");
    ck_assert_str_eq(run(&d, "SELECT id FROM t WHERE id < 0"), "-1\n");
    database_close(&d);
}
END_TEST

TEST_MAIN("sql/dml_concurrency", of_inserts_of_one_key_one_wins,
          of_rows_with_one_unique_value_one_wins, updates_of_one_row_are_not_lost,
          upserts_of_one_row_are_not_lost,
          readers_see_whole_statements_while_rows_move_and_are_flushed, schema_changes_lose_no_row,
          tables_may_vanish_under_statements)
