/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sql/parse.h"

START_TEST(a_select_has_its_parts) {
    struct select_stmt *s =
        parsed("SELECT DISTINCT a, b + 1 AS c, t.* FROM ns.t AS t WHERE a > 1 GROUP BY a, 2 "
               "HAVING count(*) > 1 ORDER BY a DESC, b NULLS FIRST, c LIMIT 10 OFFSET $2;")
            ->as.select;
    ck_assert(s->distinct);
    ck_assert_uint_eq(s->item_count, 3);
    expect_expr(s->items[1].expr, "b + 1");
    expect_name(s->items[1].alias, "c");
    ck_assert_int_eq(s->items[2].expr->kind, EXPR_STAR);
    expect_name(s->items[2].expr->table, "t");
    expect_name(s->from->table.namespace_name, "ns");
    expect_name(s->from->table.name, "t");
    expect_name(s->from->alias, "t");
    expect_expr(s->where, "a > 1");
    ck_assert_uint_eq(s->group_count, 2);
    expect_expr(s->having, "count(*) > 1");
    ck_assert_uint_eq(s->order_count, 3);
    ck_assert(s->order[0].descending && s->order[0].nulls_first);
    ck_assert(!s->order[1].descending && s->order[1].nulls_first);
    ck_assert(!s->order[2].descending && !s->order[2].nulls_first);
    expect_expr(s->limit, "10");
    expect_expr(s->offset, "$2");
}
END_TEST

START_TEST(from_is_not_needed) {
    struct select_stmt *s = parsed("select 1")->as.select;
    ck_assert(!s->from && !s->where);
    s = parsed("SELECT 1 WHERE FALSE")->as.select;
    expect_expr(s->where, "FALSE");
}
END_TEST

START_TEST(aliases_need_no_as) {
    struct select_stmt *s =
        parsed("SELECT a b, 1 \"C\", 2 AS select FROM t x WHERE 1=1")->as.select;
    expect_name(s->items[0].alias, "b");
    expect_name(s->items[1].alias, "C");
    expect_name(s->items[2].alias, "select");
    expect_name(s->from->alias, "x");
}
END_TEST

START_TEST(limits_come_in_any_spelling) {
    expect_expr(parsed("SELECT 1 FETCH FIRST 5 ROWS ONLY")->as.select->limit, "5");
    expect_expr(parsed("SELECT 1 FETCH NEXT ROW ONLY")->as.select->limit, "1");
    struct select_stmt *s = parsed("SELECT 1 OFFSET 3 ROWS FETCH FIRST 2 ROWS ONLY")->as.select;
    expect_expr(s->limit, "2");
    expect_expr(s->offset, "3");
    s = parsed("SELECT 1 LIMIT ALL OFFSET 2")->as.select;
    ck_assert(!s->limit);
    expect_expr(s->offset, "2");
    expect_error("SELECT 1 LIMIT 1, 2", "42601@17", NULL, "OFFSET");
    expect_error("SELECT 1 LIMIT 1 LIMIT 2", "42601@18", NULL, NULL);
}
END_TEST

START_TEST(parameters_are_counted) {
    ck_assert_uint_eq(parsed("SELECT $3, $1")->parameter_count, 3);
    ck_assert_uint_eq(parsed("SELECT ?, ? WHERE ? = 1")->parameter_count, 3);
    ck_assert_uint_eq(parsed("EXPLAIN SELECT ?")->as.explain.inner->parameter_count, 1);
    ck_assert_uint_eq(parsed("EXPLAIN SELECT ?")->parameter_count, 1);
    ck_assert_uint_eq(parsed("SELECT 1")->parameter_count, 0);
}
END_TEST

START_TEST(statements_are_taken_one_by_one) {
    struct arena arena = {0};
    struct lam_error err = {0};
    struct stmt *s = NULL;
    size_t tail = 0;
    const char *sql = " ; SELECT 1 ; SELECT 2 -- end\n";
    ck_ok(parse_statement(lam_slice_str(sql), &arena, &s, &tail, &err), &err);
    ck_assert(s && s->pos == 4);
    ck_assert_uint_eq(tail, 13);
    ck_ok(parse_statement(lam_slice_str(sql + tail), &arena, &s, &tail, &err), &err);
    ck_assert(s && tail == strlen(sql + 13));
    ck_ok(parse_statement(lam_slice_str(" -- nothing\n;;"), &arena, &s, &tail, &err), &err);
    ck_assert(!s);
    ck_assert_uint_eq(tail, 14);
    ck_ok(parse_statement(lam_slice_str(""), &arena, &s, &tail, &err), &err);
    ck_assert(!s);
    arena_fini(&arena);
}
END_TEST

START_TEST(mistakes_say_what_was_expected) {
    expect_error("SELECT a FORM t", "42601@10", "syntax error at \"FORM\": expected FROM", "FROM");
    expect_error("SELECT * FORM t", "42601@10", "expected FROM", "FROM");
    expect_error("SELECT a FROM t WEHRE a = 1", "42601@17", "expected WHERE", "WHERE");
    expect_error("SELCT a", "42601@1", "expected a statement", "select");
    expect_error("SELECT", "42601@7", "end of statement", NULL);
    expect_error("SELECT a FROM", "42601@14", "expected a table name", NULL);
    expect_error("SELECT a FROM order", "42601@15", NULL, "reserved");
    expect_error("SELECT a FROM t WHERE", "42601@22", "an expression", NULL);
    expect_error("SELECT a FROM t ORDER a", "42601@23", "expected BY", NULL);
}
END_TEST

START_TEST(what_is_not_done_yet_is_named) {
    expect_error("SELECT a FROM t JOIN u ON 1=1", "0A000@17", "JOIN", NULL);
    expect_error("SELECT a FROM t LEFT JOIN u ON 1=1", "0A000@17", "JOIN", NULL);
    expect_error("SELECT a FROM t x, u", "0A000@18", "list of tables", NULL);
    expect_error("SELECT a FROM (SELECT 1)", "0A000@15", "subquery", NULL);
    expect_error("SELECT 1 UNION SELECT 2", "0A000@10", "UNION", NULL);
    expect_error("WITH x AS (SELECT 1) SELECT 1", "0A000@1", "WITH", NULL);
    expect_error("SELECT a FROM t FOR UPDATE", "0A000@17", "FOR UPDATE", NULL);
    expect_error("SELECT DISTINCT ON (a) a FROM t", "0A000@17", "DISTINCT ON", NULL);
    expect_error("SELECT a FROM generate_series(1, 2)", "0A000@30", "table function", NULL);
    expect_error("VALUES (1)", "0A000@1", NULL, NULL);
    expect_error("BEGIN", "0A000@1", "transactions", "atomic");
    expect_error("COMMIT", "0A000@1", "transactions", NULL);
    expect_error("(SELECT 1)", "0A000@1", NULL, NULL);
}
END_TEST

START_TEST(small_statements_parse) {
    struct stmt *s = parsed("SHOW TABLES IN chat");
    ck_assert_int_eq(s->as.show.kind, SHOW_TABLES);
    expect_name(s->as.show.namespace_name, "chat");
    expect_name(parsed("SHOW TABLES FROM NAMESPACE chat")->as.show.namespace_name, "chat");
    ck_assert_int_eq(parsed("show namespaces")->as.show.kind, SHOW_NAMESPACES);
    ck_assert_int_eq(parsed("SHOW SCHEMAS")->as.show.kind, SHOW_NAMESPACES);
    ck_assert_int_eq(parsed("SHOW JOBS")->as.show.kind, SHOW_JOBS);
    ck_assert_int_eq(parsed("SHOW USERS")->as.show.kind, SHOW_USERS);
    ck_assert_int_eq(parsed("SHOW STORAGES")->as.show.kind, SHOW_STORAGES);
    ck_assert_int_eq(parsed("SHOW INDEXES")->as.show.kind, SHOW_INDEXES);
    expect_error("SHOW x", "42601@6", "TABLES", NULL);
    s = parsed("DESCRIBE TABLE a.b");
    expect_name(s->as.target.namespace_name, "a");
    expect_name(s->as.target.name, "b");
    ck_assert_int_eq(parsed("DESC t")->kind, STMT_DESCRIBE);
    expect_name(parsed("USE chat")->as.target.name, "chat");
    expect_name(parsed("USE NAMESPACE chat")->as.target.name, "chat");
    expect_name(parsed("USE namespace")->as.target.name, "namespace");
    ck_assert_int_eq(parsed("STORAGE FLUSH ALL")->kind, STMT_FLUSH_ALL);
    s = parsed("STORAGE FLUSH TABLE a.b");
    ck_assert_int_eq(s->kind, STMT_FLUSH_TABLE);
    expect_name(s->as.target.name, "b");
    expect_error("STORAGE COMPACT TABLE a", "0A000@9", NULL, NULL);
}
END_TEST

START_TEST(statements_may_hold_others) {
    struct stmt *s = parsed("EXPLAIN ANALYZE SELECT 1");
    ck_assert(s->as.explain.analyze && s->as.explain.inner->kind == STMT_SELECT);
    s = parsed("EXECUTE AS USER 'Bob' (SELECT 1;);");
    expect_name(s->as.execute_as.user, "Bob");
    ck_assert_int_eq(s->as.execute_as.inner->kind, STMT_SELECT);
    s = parsed("EXECUTE AS USER bob DELETE FROM t");
    ck_assert_int_eq(s->as.execute_as.inner->kind, STMT_DELETE);
    s = parsed("EXPLAIN EXECUTE AS USER 'b' (UPDATE t SET a = 1)");
    ck_assert_int_eq(s->as.explain.inner->as.execute_as.inner->kind, STMT_UPDATE);
    expect_error("EXPLAIN USE x", "42601@9", "EXPLAIN takes", NULL);
    expect_error("EXECUTE AS USER 'a' (EXECUTE AS USER 'b' (SELECT 1))", "42601@22", NULL, NULL);
    expect_error("EXECUTE AS USER 'a' (SELECT 1", "42601@30", NULL, NULL);
}
END_TEST

START_TEST(nested_statements_are_limited) {
    struct buf text = {0};
    struct lam_error err = {0};
    struct arena arena = {0};
    struct stmt *s = NULL;
    for (int i = 0; i < 100000; i++)
        ck_ok(buf_append_str(&text, "EXPLAIN ", &err), &err);
    ck_code(parse_statement(buf_slice(&text), &arena, &s, NULL, &err), LAM_SQL);
    ck_assert_str_eq(err.sqlstate, "54001");
    buf_fini(&text);
    arena_fini(&arena);
}
END_TEST

TEST_MAIN("sql/parse_select", a_select_has_its_parts, from_is_not_needed, aliases_need_no_as,
          limits_come_in_any_spelling, parameters_are_counted, statements_are_taken_one_by_one,
          mistakes_say_what_was_expected, what_is_not_done_yet_is_named, small_statements_parse,
          statements_may_hold_others, nested_statements_are_limited)
