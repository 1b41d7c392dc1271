/* SPDX-License-Identifier: Apache-2.0
 *
 * Prepared statements: parameters, rows, plans that outlive changes, misuse. */
#include "tests/sql/database.h"

static struct database d;

static void setup(void) {
    database_open(&d);
    run(&d, "CREATE NAMESPACE a; USE a; CREATE TABLE t (id INT PRIMARY KEY, x TEXT, n BIGINT, "
            "f DOUBLE, dec DECIMAL(8,2), ts TIMESTAMP, u UUID, b BOOLEAN, y BYTES)");
}

static const char *text_of(lam_stmt *stmt, uint32_t column) {
    static char text[200];
    struct lam_slice v = lam_column_text(stmt, column);
    snprintf(text, sizeof text, "%.*s", (int)v.size, (const char *)v.data);
    return text;
}

START_TEST(bound_values_are_inserted_and_stay_bound_over_reset) {
    setup();
    lam_stmt *stmt = prepare(&d, "INSERT INTO t (id, x) VALUES ($1, $2)");
    ck_assert_uint_eq(lam_parameter_count(stmt), 2);
    ck_ok(lam_bind_text(stmt, 2, "same", 4, &d.err), &d.err);
    for (int64_t i = 1; i <= 3; i++) {
        ck_ok(lam_bind_int64(stmt, 1, i, &d.err), &d.err);
        ck_assert(!step(&d, stmt));
        ck_assert_uint_eq(lam_changes(stmt), 1);
        lam_reset(stmt);
    }
    lam_finalize(stmt);
    ck_assert_str_eq(run(&d, "SELECT id, x FROM t ORDER BY id"), "1|same\n2|same\n3|same\n");
    database_close(&d);
}
END_TEST

START_TEST(unbound_parameters_are_null) {
    setup();
    lam_stmt *stmt = prepare(&d, "SELECT $1 IS NULL, $2");
    ck_assert(step(&d, stmt));
    ck_assert(lam_column_bool(stmt, 0));
    ck_assert(lam_column_is_null(stmt, 1));
    ck_assert(!step(&d, stmt));
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(an_int64_too_big_for_its_column_is_out_of_range) {
    setup();
    lam_stmt *stmt = prepare(&d, "INSERT INTO t (id) VALUES ($1)");
    ck_ok(lam_bind_int64(stmt, 1, 3000000000, &d.err), &d.err);
    step_fails(&d, stmt, "22003");
    lam_reset(stmt);
    ck_ok(lam_bind_int64(stmt, 1, 7, &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_finalize(stmt);
    ck_assert_str_eq(run(&d, "SELECT id FROM t"), "7\n");
    database_close(&d);
}
END_TEST

START_TEST(an_int64_beyond_the_key_type_finds_no_row) {
    setup();
    run(&d, "INSERT INTO t (id) VALUES (1)");
    lam_stmt *stmt = prepare(&d, "SELECT id FROM t WHERE id = $1");
    ck_ok(lam_bind_int64(stmt, 1, 4294967297, &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_reset(stmt);
    ck_ok(lam_bind_double(stmt, 1, 1.0, &d.err), &d.err);
    ck_assert(step(&d, stmt));
    lam_reset(stmt);
    ck_ok(lam_bind_double(stmt, 1, 1.5, &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_reset(stmt);
    ck_ok(lam_bind_null(stmt, 1, &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_reset(stmt);
    ck_ok(lam_bind_text(stmt, 1, "1", 1, &d.err), &d.err);
    ck_assert(step(&d, stmt));
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(text_takes_the_type_of_its_place) {
    setup();
    static const char *const texts[] = {"1",
                                        "x",
                                        "-9",
                                        "1.5",
                                        "12.345",
                                        "2024-02-29 01:02:03",
                                        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                                        "true",
                                        "\\xff00"};
    lam_stmt *stmt = prepare(&d, "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    for (uint32_t i = 0; i < 9; i++)
        ck_ok(lam_bind_text(stmt, i + 1, texts[i], strlen(texts[i]), &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_finalize(stmt);
    ck_assert_str_eq(run(&d, "SELECT * FROM t"),
                     "1|x|-9|1.5|12.35|2024-02-29 01:02:03|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|"
                     "true|\\xff00\n");
    stmt = prepare(&d, "SELECT id FROM t WHERE ts < $1 AND dec = $2 AND u = $3");
    ck_ok(lam_bind_text(stmt, 1, "2024-03-01", 10, &d.err), &d.err);
    ck_ok(lam_bind_text(stmt, 2, "12.35", 5, &d.err), &d.err);
    ck_ok(lam_bind_text(stmt, 3, texts[6], strlen(texts[6]), &d.err), &d.err);
    ck_assert(step(&d, stmt));
    lam_reset(stmt);
    ck_ok(lam_bind_text(stmt, 1, "soon", 4, &d.err), &d.err);
    step_fails(&d, stmt, "22007");
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(a_selected_parameter_takes_the_type_of_its_target) {
    setup();
    lam_stmt *stmt = prepare(&d, "INSERT INTO t (id, dec, ts) SELECT 1, $1, $2");
    ck_ok(lam_bind_text(stmt, 1, "1.5", 3, &d.err), &d.err);
    ck_ok(lam_bind_text(stmt, 2, "2024-01-01", 10, &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_finalize(stmt);
    ck_assert_str_eq(run(&d, "SELECT dec, ts FROM t"), "1.50|2024-01-01 00:00:00\n");
    database_close(&d);
}
END_TEST

START_TEST(bytes_and_booleans_are_bound) {
    setup();
    lam_stmt *stmt = prepare(&d, "INSERT INTO t (id, y, b, f) VALUES (1, $1, $2, $3)");
    ck_ok(lam_bind_bytes(stmt, 1, "\0\1\377", 3, &d.err), &d.err);
    ck_ok(lam_bind_bool(stmt, 2, true, &d.err), &d.err);
    ck_ok(lam_bind_double(stmt, 3, -0.25, &d.err), &d.err);
    ck_assert(!step(&d, stmt));
    lam_finalize(stmt);
    stmt = prepare(&d, "SELECT y, b, f FROM t");
    ck_assert(step(&d, stmt));
    struct lam_slice y = lam_column_bytes(stmt, 0);
    ck_assert_uint_eq(y.size, 3);
    ck_assert_mem_eq(y.data, "\0\1\377", 3);
    ck_assert(lam_column_bool(stmt, 1));
    ck_assert(lam_column_double(stmt, 2) == -0.25);
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(a_statement_is_planned_again_after_alter) {
    setup();
    run(&d, "INSERT INTO t (id, x) VALUES (1, 'one')");
    lam_stmt *all = prepare(&d, "SELECT * FROM t");
    lam_stmt *put = prepare(&d, "INSERT INTO t (id, x) VALUES ($1, 'more')");
    ck_assert_uint_eq(lam_column_count(all), 9);
    ck_assert(step(&d, all));
    lam_reset(all);
    run(&d, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 42");
    ck_assert(step(&d, all));
    ck_assert_uint_eq(lam_column_count(all), 10);
    ck_assert_str_eq(lam_column_name(all, 9), "extra");
    ck_assert_int_eq(lam_column_int64(all, 9), 42);
    ck_assert_str_eq(text_of(all, 9), "42");
    lam_reset(all);
    ck_ok(lam_bind_int64(put, 1, 2, &d.err), &d.err);
    ck_assert(!step(&d, put));
    run(&d, "ALTER TABLE t DROP COLUMN x");
    lam_reset(put);
    step_fails(&d, put, "42703");
    ck_assert(step(&d, all));
    ck_assert_uint_eq(lam_column_count(all), 9);
    lam_finalize(all);
    lam_finalize(put);
    ck_assert_str_eq(run(&d, "SELECT id, extra FROM t ORDER BY id"), "1|42\n2|42\n");
    database_close(&d);
}
END_TEST

START_TEST(a_prepared_statement_never_reads_a_table_made_anew) {
    setup();
    run(&d, "INSERT INTO t (id) VALUES (1)");
    lam_stmt *stmt = prepare(&d, "SELECT id FROM t");
    run(&d, "DROP TABLE t");
    step_fails(&d, stmt, "42P01");
    lam_reset(stmt);
    run(&d, "CREATE TABLE t (id TEXT PRIMARY KEY); INSERT INTO t VALUES ('new')");
    ck_assert(step(&d, stmt));
    ck_assert_int_eq(lam_column_type(stmt, 0), LAM_TYPE_TEXT);
    ck_assert_str_eq(text_of(stmt, 0), "new");
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(rights_are_checked_at_each_run) {
    setup();
    run(&d, "ALTER TABLE t SET ACCESS LEVEL public; INSERT INTO t (id) VALUES (1)");
    lam_session *user;
    ck_ok(lam_session_open(d.db, "u1", LAM_ROLE_USER, &user, &d.err), &d.err);
    lam_stmt *stmt;
    static const char sql[] = "SELECT id FROM a.t";
    ck_ok(lam_prepare(user, sql, strlen(sql), &stmt, NULL, &d.err), &d.err);
    ck_assert(step(&d, stmt));
    lam_reset(stmt);
    run(&d, "ALTER TABLE t SET ACCESS LEVEL private");
    step_fails(&d, stmt, "42501");
    ck_assert_int_eq(d.err.code, LAM_DENIED);
    lam_finalize(stmt);
    ck_ok(lam_session_close(user, &d.err), &d.err);
    database_close(&d);
}
END_TEST

START_TEST(an_open_query_reads_its_snapshot) {
    setup();
    run(&d, "INSERT INTO t (id) VALUES (1), (2), (3)");
    lam_stmt *stmt = prepare(&d, "SELECT id FROM t ORDER BY id");
    ck_assert(step(&d, stmt));
    run(&d, "DELETE FROM t; INSERT INTO t (id) VALUES (4); STORAGE FLUSH TABLE t");
    ck_assert(step(&d, stmt));
    ck_assert_int_eq(lam_column_int64(stmt, 0), 2);
    ck_assert(step(&d, stmt));
    ck_assert_int_eq(lam_column_int64(stmt, 0), 3);
    ck_assert(!step(&d, stmt));
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(values_convert_or_read_as_nothing) {
    setup();
    lam_stmt *stmt = prepare(
        &d, "SELECT 42, '42', 2.75, CAST(-1.5 AS DOUBLE), true, NULL, CAST(1e300 AS DOUBLE), "
            "DECIMAL '99999999999999999999', "
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID, DATE '1970-01-02'");
    ck_assert(step(&d, stmt));
    ck_assert(lam_column_double(stmt, 0) == 42);
    ck_assert_str_eq(text_of(stmt, 0), "42");
    ck_assert_int_eq(lam_column_int64(stmt, 1), 0);
    ck_assert_int_eq(lam_column_int64(stmt, 2), 2);
    ck_assert(lam_column_double(stmt, 2) == 2.75);
    ck_assert_int_eq(lam_column_int64(stmt, 3), -1);
    ck_assert_int_eq(lam_column_int64(stmt, 4), 1);
    ck_assert_str_eq(text_of(stmt, 4), "true");
    ck_assert(lam_column_is_null(stmt, 5));
    ck_assert_uint_eq(lam_column_text(stmt, 5).size, 0);
    ck_assert_int_eq(lam_column_int64(stmt, 5), 0);
    ck_assert_int_eq(lam_column_int64(stmt, 6), 0);
    ck_assert_int_eq(lam_column_int64(stmt, 7), 0);
    ck_assert_uint_eq(lam_column_bytes(stmt, 8).size, 16);
    ck_assert_uint_eq(lam_column_bytes(stmt, 8).data[0], 0xa0);
    ck_assert_str_eq(text_of(stmt, 9), "1970-01-02");
    ck_assert(lam_column_is_null(stmt, 99));
    ck_assert_str_eq(lam_column_name(stmt, 99), "");
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(prepare_gives_one_statement_and_where_it_ends) {
    setup();
    static const char sql[] = "SELECT 1; SELECT 2";
    size_t tail;
    lam_stmt *stmt;
    ck_ok(lam_prepare(d.s, sql, strlen(sql), &stmt, &tail, &d.err), &d.err);
    ck_assert_uint_eq(tail, 9);
    lam_finalize(stmt);
    ck_ok(lam_prepare(d.s, " -- nothing\n", 12, &stmt, &tail, &d.err), &d.err);
    ck_assert_ptr_null(stmt);
    ck_ok(lam_prepare(d.s, NULL, 0, &stmt, NULL, &d.err), &d.err);
    ck_assert_ptr_null(stmt);
    database_close(&d);
}
END_TEST

START_TEST(misuse_is_invalid_and_harmless) {
    setup();
    bool row;
    lam_stmt *stmt = NULL;
    ck_code(lam_prepare(NULL, "SELECT 1", 8, &stmt, NULL, &d.err), LAM_INVALID);
    ck_code(lam_prepare(d.s, NULL, 8, &stmt, NULL, &d.err), LAM_INVALID);
    ck_code(lam_prepare(d.s, "SELECT 1", 8, NULL, NULL, &d.err), LAM_INVALID);
    ck_code(lam_step(NULL, &row, &d.err), LAM_INVALID);
    ck_code(lam_bind_null(NULL, 1, &d.err), LAM_INVALID);
    ck_code(lam_exec(NULL, "SELECT 1", 8, NULL, NULL, NULL, &d.err), LAM_INVALID);
    stmt = prepare(&d, "SELECT $1 WHERE true");
    ck_code(lam_bind_int64(stmt, 0, 1, &d.err), LAM_INVALID);
    ck_code(lam_bind_int64(stmt, 2, 1, &d.err), LAM_INVALID);
    ck_code(lam_bind_text(stmt, 1, NULL, 3, &d.err), LAM_INVALID);
    ck_code(lam_step(stmt, NULL, &d.err), LAM_INVALID);
    ck_assert_uint_eq(lam_column_text(stmt, 0).size, 0);
    ck_assert(step(&d, stmt));
    ck_code(lam_bind_int64(stmt, 1, 1, &d.err), LAM_INVALID);
    ck_assert(!step(&d, stmt));
    ck_code(lam_step(stmt, &row, &d.err), LAM_INVALID);
    lam_reset(stmt);
    ck_assert(step(&d, stmt));
    lam_finalize(stmt);
    lam_finalize(NULL);
    lam_reset(NULL);
    lam_session *none;
    ck_code(lam_session_open(d.db, "", LAM_ROLE_USER, &none, &d.err), LAM_INVALID);
    ck_code(lam_session_open(d.db, "u", (enum lam_role)9, &none, &d.err), LAM_INVALID);
    ck_code(lam_session_open(NULL, "u", LAM_ROLE_USER, &none, &d.err), LAM_INVALID);
    ck_assert_ptr_null(none);
    ck_ok(lam_session_close(NULL, &d.err), &d.err);
    database_close(&d);
}
END_TEST

START_TEST(bound_text_is_utf8_without_nul) {
    setup();
    lam_stmt *stmt = prepare(&d, "SELECT $1");
    ck_ok(lam_bind_text(stmt, 1, "\xc3\xa4", 2, &d.err), &d.err);
    ck_code(lam_bind_text(stmt, 1, "a\0b", 3, &d.err), LAM_SQL);
    ck_assert_str_eq(d.err.sqlstate, "22021");
    ck_code(lam_bind_text(stmt, 1, "a\xff", 2, &d.err), LAM_SQL);
    ck_assert_str_eq(d.err.sqlstate, "22021");
    ck_assert(step(&d, stmt)); /* with the value that was bound before */
    ck_assert_uint_eq(lam_column_text(stmt, 0).size, 2);
    lam_finalize(stmt);
    database_close(&d);
}
END_TEST

START_TEST(open_statements_and_sessions_hold_what_they_need) {
    setup();
    lam_stmt *stmt = prepare(&d, "SELECT 1");
    ck_code(lam_session_close(d.s, &d.err), LAM_BUSY);
    ck_code(lam_db_close(d.db, &d.err), LAM_BUSY);
    ck_assert(step(&d, stmt));
    lam_finalize(stmt);
    ck_code(lam_db_close(d.db, &d.err), LAM_BUSY);
    ck_assert_str_eq(run(&d, "SELECT 2"), "2\n");
    database_close(&d);
}
END_TEST

static bool stop_at_second(void *arg, lam_stmt *stmt) {
    int *rows = arg;
    (void)stmt;
    return ++*rows < 2;
}

START_TEST(a_row_callback_may_stop_the_text) {
    setup();
    int rows = 0;
    static const char sql[] =
        "INSERT INTO t (id) VALUES (1), (2), (3); SELECT id FROM t; DELETE FROM t";
    ck_code(lam_exec(d.s, sql, strlen(sql), stop_at_second, &rows, NULL, &d.err), LAM_SQL);
    ck_assert_str_eq(d.err.sqlstate, "57014");
    ck_assert_int_eq(rows, 2);
    ck_assert_str_eq(run(&d, "SELECT count(*) FROM t"), "3\n");
    database_close(&d);
}
END_TEST

static bool interrupt_session(void *arg, lam_stmt *stmt) {
    (void)stmt;
    lam_session_interrupt(arg);
    return true;
}

START_TEST(an_interrupt_stops_the_running_statement_only) {
    setup();
    run(&d, "INSERT INTO t (id) VALUES (0), (1), (2), (3)");
    for (int size = 4; size < 8192; size *= 2) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO t (id) SELECT id + %d FROM t", size);
        run(&d, sql);
    }
    static const char sql[] = "SELECT id FROM t";
    ck_code(lam_exec(d.s, sql, strlen(sql), interrupt_session, d.s, NULL, &d.err), LAM_SQL);
    ck_assert_str_eq(d.err.sqlstate, "57014");
    ck_assert_str_eq(run(&d, "SELECT count(*) FROM t"), "8192\n");
    database_close(&d);
}
END_TEST

START_TEST(authorize_tells_before_anything_runs) {
    setup();
    lam_session *user;
    ck_ok(lam_session_open(d.db, "u1", LAM_ROLE_USER, &user, &d.err), &d.err);
    static const char bad[] = "SELECT 1; SELECT * FROM a.t; nonsense";
    static const char good[] = "SELECT 1; SELECT * FROM a.unknown; nonsense";
    ck_code(lam_authorize(user, bad, strlen(bad), &d.err), LAM_DENIED);
    ck_assert_str_eq(d.err.sqlstate, "42501");
    ck_ok(lam_authorize(user, good, strlen(good), &d.err), &d.err);
    ck_ok(lam_session_close(user, &d.err), &d.err);
    database_close(&d);
}
END_TEST

START_TEST(positions_count_characters_of_the_whole_text) {
    setup();
    fails(&d, "SELECT 'äöü'; SELECT nope", "42703");
    ck_assert_uint_eq(d.err.pos, 22);
    database_close(&d);
}
END_TEST

START_TEST(returning_gives_the_version_that_was_written) {
    setup();
    run(&d, "INSERT INTO t (id, n) VALUES (1, 1), (2, 2) RETURNING id, _seq");
    char inserted[200];
    snprintf(inserted, sizeof inserted, "%s", d.text);
    ck_assert_str_eq(run(&d, "SELECT id, _seq FROM t ORDER BY id"), inserted);
    run(&d, "UPDATE t SET n = 1 WHERE id IN (1, 2) RETURNING id, _seq, _updated");
    char updated[200];
    snprintf(updated, sizeof updated, "%s", d.text);
    ck_assert_str_eq(run(&d, "SELECT id, _seq, _updated FROM t ORDER BY id"), updated);
    fails(&d, "UPDATE t SET n = 5 RETURNING _seq + 1", "0A000");
    ck_assert_str_eq(run(&d, "SELECT n FROM t"), "1\n1\n");
    database_close(&d);
}
END_TEST

START_TEST(an_update_that_changes_nothing_keeps_the_version) {
    setup();
    run(&d, "INSERT INTO t (id, n) VALUES (1, 1), (2, 2)");
    char before[200];
    snprintf(before, sizeof before, "%s", run(&d, "SELECT id, _seq FROM t ORDER BY id"));
    run(&d, "UPDATE t SET n = n");
    ck_assert_uint_eq(d.changes, 2);
    ck_assert_str_eq(run(&d, "SELECT id, _seq FROM t ORDER BY id"), before);
    database_close(&d);
}
END_TEST

START_TEST(a_table_of_the_most_columns_works_hot_and_cold) {
    database_open(&d);
    char *create = NULL, *insert = NULL;
    size_t size;
    FILE *c = open_memstream(&create, &size), *i = open_memstream(&insert, &size);
    fputs("CREATE NAMESPACE a; USE a; CREATE TABLE w (id INT PRIMARY KEY", c);
    fputs("INSERT INTO w VALUES (1", i);
    for (int k = 1; k < 1000; k++) {
        fprintf(c, ", c%d INT", k);
        fprintf(i, ", %d", k);
    }
    fputs(")", c);
    fputs(")", i);
    fclose(c);
    fclose(i);
    run(&d, create);
    run(&d, insert);
    ck_assert_str_eq(run(&d, "SELECT c1, c500, c999 FROM w"), "1|500|999\n");
    run(&d, "STORAGE FLUSH TABLE w; UPDATE w SET c500 = -1");
    ck_assert_str_eq(run(&d, "SELECT c1, c500, c999 FROM w"), "1|-1|999\n");
    free(create);
    free(insert);
    database_close(&d);
}
END_TEST

START_TEST(ten_thousand_rows_go_in_by_one_statement) {
    setup();
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);
    fputs("INSERT INTO t (id, x) VALUES (0, 'row')", out);
    for (int i = 1; i < 10000; i++)
        fprintf(out, ", (%d, 'row %d')", i, i);
    fclose(out);
    run(&d, sql);
    ck_assert_uint_eq(d.changes, 10000);
    free(sql);
    ck_assert_str_eq(run(&d, "SELECT count(*), min(id), max(id), count(DISTINCT x) FROM t"),
                     "10000|0|9999|10000\n");
    run(&d, "UPDATE t SET id = id + 1");
    ck_assert_uint_eq(d.changes, 10000);
    ck_assert_str_eq(run(&d, "SELECT count(*), min(id), max(id) FROM t"), "10000|1|10000\n");
    run(&d, "DELETE FROM t WHERE id > 10");
    ck_assert_uint_eq(d.changes, 9990);
    database_close(&d);
}
END_TEST

TEST_MAIN("sql/stmt", bound_values_are_inserted_and_stay_bound_over_reset,
          unbound_parameters_are_null, an_int64_too_big_for_its_column_is_out_of_range,
          an_int64_beyond_the_key_type_finds_no_row, text_takes_the_type_of_its_place,
          a_selected_parameter_takes_the_type_of_its_target, bytes_and_booleans_are_bound,
          a_statement_is_planned_again_after_alter,
          a_prepared_statement_never_reads_a_table_made_anew, rights_are_checked_at_each_run,
          an_open_query_reads_its_snapshot, values_convert_or_read_as_nothing,
          prepare_gives_one_statement_and_where_it_ends, misuse_is_invalid_and_harmless,
          bound_text_is_utf8_without_nul, open_statements_and_sessions_hold_what_they_need,
          a_row_callback_may_stop_the_text, an_interrupt_stops_the_running_statement_only,
          authorize_tells_before_anything_runs, positions_count_characters_of_the_whole_text,
          returning_gives_the_version_that_was_written,
          an_update_that_changes_nothing_keeps_the_version,
          a_table_of_the_most_columns_works_hot_and_cold, ten_thousand_rows_go_in_by_one_statement)
