/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sql/parse.h"

START_TEST(insert_takes_rows_of_values_and_defaults) {
    struct insert_stmt *s =
        parsed("INSERT INTO ns.t (a, b) VALUES (1, DEFAULT), ($1, 'x') RETURNING a, *")->as.insert;
    expect_name(s->table.namespace_name, "ns");
    ck_assert_uint_eq(s->column_count, 2);
    expect_name(s->columns[1], "b");
    ck_assert_uint_eq(s->column_pos[1], 22);
    ck_assert_uint_eq(s->row_count, 2);
    ck_assert_uint_eq(s->row_width, 2);
    expect_expr(s->rows[0][0], "1");
    ck_assert(!s->rows[0][1]);
    expect_expr(s->rows[1][1], "'x'");
    ck_assert_uint_eq(s->returning_count, 2);
    ck_assert_int_eq(s->on_conflict, CONFLICT_ERROR);
}
END_TEST

START_TEST(insert_has_other_sources) {
    ck_assert(parsed("INSERT INTO t DEFAULT VALUES")->as.insert->default_values);
    struct insert_stmt *s = parsed("INSERT INTO t AS x SELECT a FROM u")->as.insert;
    ck_assert(s->select && !s->rows && !s->columns);
    expect_name(s->alias, "x");
    expect_error("INSERT INTO t", "42601@14", "VALUES, SELECT or DEFAULT VALUES", NULL);
    expect_error("INSERT INTO t VALUES (1), (1, 2)", "42601@27", "same length", NULL);
    expect_error("INSERT INTO t VALUES ()", "42601@23", NULL, NULL);
    expect_error("INSERT t VALUES (1)", "42601@8", "INTO", NULL);
    expect_error("INSERT OR REPLACE INTO t VALUES (1)", "0A000@8", NULL, NULL);
}
END_TEST

START_TEST(conflicts_do_nothing_or_update) {
    struct insert_stmt *s =
        parsed("INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c + 1, d = "
               "DEFAULT WHERE t.c > 2")
            ->as.insert;
    ck_assert_int_eq(s->on_conflict, CONFLICT_UPDATE);
    ck_assert_uint_eq(s->conflict_column_count, 2);
    ck_assert_uint_eq(s->conflict_set_count, 2);
    expect_name(s->conflict_set[0].column, "c");
    expect_expr(s->conflict_set[0].value, "excluded.c + 1");
    ck_assert(!s->conflict_set[1].value);
    expect_expr(s->conflict_where, "t.c > 2");
    s = parsed("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING")->as.insert;
    ck_assert_int_eq(s->on_conflict, CONFLICT_NOTHING);
    ck_assert_uint_eq(s->conflict_column_count, 0);
    expect_error("INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", "42601@29",
                 "needs the columns", NULL);
    expect_error("INSERT INTO t VALUES (1) ON CONFLICT (a) DO x", "42601@45", "NOTHING or UPDATE",
                 NULL);
}
END_TEST

START_TEST(update_sets_columns) {
    struct update_stmt *s =
        parsed("UPDATE ns.t AS x SET a = a + 1, b = DEFAULT WHERE x.a = 1 RETURNING a b")
            ->as.update;
    expect_name(s->alias, "x");
    ck_assert_uint_eq(s->set_count, 2);
    expect_expr(s->set[0].value, "a + 1");
    ck_assert(!s->set[1].value);
    expect_expr(s->where, "x.a = 1");
    expect_name(s->returning[0].alias, "b");
    expect_name(parsed("UPDATE t x SET a = 1")->as.update->alias, "x");
    ck_assert_uint_eq(parsed("UPDATE t SET a = 1")->as.update->alias.size, 0);
    expect_error("UPDATE t SET", "42601@13", "a column name", NULL);
    expect_error("UPDATE t SET a 1", "42601@16", "=", NULL);
    expect_error("UPDATE t SET t.a = 1", "42601@15", NULL, NULL);
    expect_error("UPDATE t SET a = 1 FROM u", "0A000@20", NULL, NULL);
    expect_error("UPDATE t SET (a, b) = (1, 2)", "0A000@14", NULL, NULL);
}
END_TEST

START_TEST(delete_takes_a_condition) {
    struct delete_stmt *s = parsed("DELETE FROM ns.t x WHERE a = 1 RETURNING *")->as.delete_;
    expect_name(s->table.name, "t");
    expect_name(s->alias, "x");
    expect_expr(s->where, "a = 1");
    ck_assert_uint_eq(s->returning_count, 1);
    ck_assert(!parsed("DELETE FROM t")->as.delete_->where);
    expect_error("DELETE t", "42601@8", "FROM", NULL);
    expect_error("DELETE FROM t USING u", "0A000@15", NULL, NULL);
}
END_TEST

START_TEST(many_rows_parse_in_linear_time) {
    struct buf text = {0};
    struct lam_error err = {0};
    struct arena arena = {0};
    struct stmt *s = NULL;
    ck_ok(buf_append_str(&text, "INSERT INTO t VALUES (0, 'x')", &err), &err);
    for (int i = 1; i < 100000; i++)
        ck_ok(buf_append_format(&text, &err, ", (%d, 'row')", i), &err);
    ck_ok(parse_statement(buf_slice(&text), &arena, &s, NULL, &err), &err);
    ck_assert_uint_eq(s->as.insert->row_count, 100000);
    expect_expr(s->as.insert->rows[99999][0], "99999");
    buf_fini(&text);
    arena_fini(&arena);
}
END_TEST

TEST_MAIN("sql/parse_dml", insert_takes_rows_of_values_and_defaults, insert_has_other_sources,
          conflicts_do_nothing_or_update, update_sets_columns, delete_takes_a_condition,
          many_rows_parse_in_linear_time)
