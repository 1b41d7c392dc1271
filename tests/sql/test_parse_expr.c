/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/ast.h"
#include "tests/sql/expr_print.h"
#include "tests/support/test.h"

/* The expression as it is printed, with what it prints to when parsed again checked to be the same;
 * "!42601@3" for an error. */
static const char *printed(const char *text, struct arena *arena, struct lam_error *err) {
    struct expr *e = NULL, *again = NULL;
    struct buf out = {0}, out2 = {0};
    *err = (struct lam_error){0};
    enum lam_code rc = parse_expression(lam_slice_str(text), arena, &e, err);
    if (rc != LAM_OK)
        return arena_format(arena, "!%s@%u", err->sqlstate, err->pos);
    ck_ok(expr_print(e, &out, err), err);
    const char *result = arena_strdup_slice(arena, buf_slice(&out));
    rc = parse_expression(lam_slice_str(result), arena, &again, err);
    ck_assert_msg(rc == LAM_OK, "%s: \"%s\" does not parse: %s", text, result, err->message);
    ck_ok(expr_print(again, &out2, err), err);
    ck_assert_msg(slice_eq(buf_slice(&out), buf_slice(&out2)), "%s: %s prints as %.*s", text,
                  result, (int)out2.size, (char *)out2.data);
    ck_assert_msg(expr_same(e, again), "%s: %s is another tree", text, result);
    buf_fini(&out);
    buf_fini(&out2);
    return result;
}

struct row {
    const char *text, *printed;
};

static const struct row rows[] = {
    {"1+2*3", "1 + 2 * 3"},
    {"(1+2)*3", "(1 + 2) * 3"},
    {"1-(2-3)", "1 - (2 - 3)"},
    {"1-2-3", "1 - 2 - 3"},
    {"- -1", "1"},
    {"-(-x)", "- - x"},
    {"-5::INT", "- 5::INT"},
    {"(-5)::INT", "(-5)::INT"},
    {"-2^2", "-2 ^ 2"},
    {"2^-1", "2 ^ -1"},
    {"a.b.c", "a.b.c"},
    {"\"Weird Name\".\"select\"", "\"Weird Name\".\"select\""},
    {"NOT a = b", "NOT a = b"},
    {"(NOT a) = b", "(NOT a) = b"},
    {"NOT (a AND b)", "NOT (a AND b)"},
    {"a OR b AND c", "a OR b AND c"},
    {"(a OR b) AND c", "(a OR b) AND c"},
    {"a AND b AND c AND d", "a AND b AND c AND d"},
    {"a = b IS NULL", "a = b IS NULL"},
    {"a IS NOT NULL IS TRUE", "a IS NOT NULL IS TRUE"},
    {"a ISNULL", "a IS NULL"},
    {"a IS NOT DISTINCT FROM b + 1", "a IS NOT DISTINCT FROM b + 1"},
    {"a BETWEEN 1 AND 2 AND b", "a BETWEEN 1 AND 2 AND b"},
    {"a NOT BETWEEN (b OR c) AND 2", "a NOT BETWEEN (b OR c) AND 2"},
    {"a IN (1,2, 3)", "a IN (1, 2, 3)"},
    {"a NOT IN ('x')", "a NOT IN ('x')"},
    {"a LIKE 'x%' ESCAPE '\\'", "a LIKE 'x%' ESCAPE '\\'"},
    {"a NOT ILIKE b || '%'", "a NOT ILIKE b || '%'"},
    {"a || b || c", "a || b || c"},
    {"a || b -> c || d", "a || b -> c || d"},
    {"a || (b -> c) || d", "a || (b -> c) || d"},
    {"j -> 'a' ->> 0 = 'x'", "j -> 'a' ->> 0 = 'x'"},
    {"j ? 'k'", "j ? 'k'"},
    {"CASE WHEN a THEN 1 ELSE 2 END", "CASE WHEN a THEN 1 ELSE 2 END"},
    {"CASE x WHEN 1 THEN 'a' END", "CASE x WHEN 1 THEN 'a' END"},
    {"CAST(a AS DECIMAL(10,2))", "a::DECIMAL(10,2)"},
    {"CAST(a + b AS VARCHAR(5))", "(a + b)::VARCHAR(5)"},
    {"TRY_CAST(a AS int8)", "TRY_CAST(a AS BIGINT)"},
    {"a::double precision", "a::DOUBLE"},
    {"a::timestamp with time zone", "a::TIMESTAMP"},
    {"DATE '2024-01-01'", "'2024-01-01'::DATE"},
    {"COUNT(*)", "count(*)"},
    {"count(DISTINCT a)", "count(DISTINCT a)"},
    {"sum(a) FILTER (WHERE b > 1)", "sum(a) FILTER (WHERE b > 1)"},
    {"extract(YEAR FROM ts)", "extract('year', ts)"},
    {"substring(a FROM 2 FOR 3)", "substring(a, 2, 3)"},
    {"position('a' IN b)", "position('a', b)"},
    {"trim(LEADING 'x' FROM a)", "ltrim(a, 'x')"},
    {"trim(a)", "trim(a)"},
    {"CURRENT_TIMESTAMP", "current_timestamp"},
    {"current_user()", "current_user"},
    {"$1 + $3", "$1 + $3"},
    {"? + ?", "$1 + $2"},
    {"1.50", "1.50"},
    {"5.", "5."},
    {".5", "0.5"},
    {"1e3", "1000e0"},
    {"1e-7", "1e-07"},
    {"9223372036854775807", "9223372036854775807"},
    {"9223372036854775808", "9223372036854775808"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"'it''s'", "'it''s'"},
    {"E'a\\nb'", "'a\nb'"},
    {"NULL", "NULL"},
    {"true", "TRUE"},
    {"status = 'x' AND type = 1 AND user = 2 AND value > 3",
     "status = 'x' AND \"type\" = 1 AND \"user\" = 2 AND value > 3"},
    {"left(a, 2) || right(b, 1)", "left(a, 2) || right(b, 1)"},
    {"a = -1", "a = -1"},
    {"a--1\n", "a"},
    {"a == b", "a = b"},
    {"a <> b", "a <> b"},
    {"a % 2", "a % 2"},
};

static const struct row errors[] = {
    {"", "!42601@1"},
    {"1 +", "!42601@4"},
    {"(1", "!42601@3"},
    {"1)", "!42601@2"},
    {"a b", "!42601@3"},
    {"a < b < c", "!42601@7"},
    {"a = b = c", "!42601@7"},
    {"a LIKE b LIKE c", "!42601@10"},
    {"a NOT b", "!42601@7"},
    {"a IS 5", "!42601@6"},
    {"a IN 5", "!42601@6"},
    {"a IN ()", "!42601@7"},
    {"a BETWEEN 1", "!42601@12"},
    {"CASE END", "!42601@6"},
    {"CASE WHEN a THEN b", "!42601@19"},
    {"CAST(a)", "!42601@7"},
    {"CAST(a AS nosuch)", "!42704@11"},
    {"a::DECIMAL(39)", "!22023@12"},
    {"a::INT(4)", "!42601@4"},
    {"a::DECIMAL(5,6)", "!22023@14"},
    {"select", "!42601@1"},
    {"a.b.c.d", "!42601@7"},
    {"f(a,)", "!42601@5"},
    {"EXISTS (SELECT 1)", "!0A000@1"},
    {"(SELECT 1)", "!0A000@2"},
    {"a IN (SELECT 1)", "!0A000@7"},
    {"a = ANY(b)", "!0A000@5"},
    {"(a, b) = (1, 2)", "!0A000@3"},
    {"a ~ 'x'", "!0A000@3"},
    {"INTERVAL '1 day'", "!0A000@1"},
    {"sum(a) OVER ()", "!0A000@8"},
    {"a COLLATE c", "!0A000@3"},
    {"ARRAY[1]", "!0A000@1"},
    {"a[1]", "!0A000@2"},
    {"ts AT TIME ZONE 'UTC'", "!0A000@4"},
    {"$0", "!42P02@1"},
    {"$99999", "!54000@1"},
    {"DEFAULT", "!42601@1"},
    {"1e999", "!22003@1"},
    {"123456789012345678901234567890123456789", "!22003@1"},
    {"'\xc3\xa9' + ) ", "!42601@7"},
};

START_TEST(expressions_print_as_they_parse) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct lam_error err;
        const char *got = printed(rows[i].text, &arena, &err);
        ck_assert_msg(strcmp(got, rows[i].printed) == 0, "%s: expected %s, got %s (%s)",
                      rows[i].text, rows[i].printed, got, err.message);
        arena_fini(&arena);
    }
}
END_TEST

START_TEST(errors_stand_at_the_token_that_does_not_fit) {
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct arena arena = {0};
        struct lam_error err;
        const char *got = printed(errors[i].text, &arena, &err);
        ck_assert_msg(strcmp(got, errors[i].printed) == 0, "%s: expected %s, got %s (%s)",
                      errors[i].text, errors[i].printed, got, err.message);
        arena_fini(&arena);
    }
}
END_TEST

static void expect_too_deep(const char *unit, const char *last) {
    struct arena arena = {0};
    struct buf text = {0};
    struct lam_error err = {0};
    struct expr *e = NULL;
    for (int i = 0; i < 1000000; i++)
        ck_ok(buf_append_str(&text, unit, &err), &err);
    ck_ok(buf_append_str(&text, last, &err), &err);
    ck_code(parse_expression(buf_slice(&text), &arena, &e, &err), LAM_SQL);
    ck_assert_msg(strcmp(err.sqlstate, "54001") == 0, "%s...: %s %s", unit, err.sqlstate,
                  err.message);
    ck_assert_uint_lt(arena.bytes, 16u << 20);
    buf_fini(&text);
    arena_fini(&arena);
}

START_TEST(a_million_levels_are_refused_at_once) {
    expect_too_deep("(", "1");
    expect_too_deep("NOT ", "a");
    expect_too_deep("- ", "a");
    expect_too_deep("1+", "1");
    expect_too_deep("f(", "1");
    expect_too_deep("CASE WHEN ", "a");
    expect_too_deep("a IN (", "1");
    expect_too_deep("CAST(", "1");
    expect_too_deep("2 ^ ", "1");
}
END_TEST

START_TEST(long_chains_of_and_or_are_no_depth) {
    struct arena arena = {0};
    struct buf text = {0};
    struct lam_error err = {0};
    struct expr *e = NULL;
    ck_ok(buf_append_str(&text, "a", &err), &err);
    for (int i = 0; i < 100000; i++)
        ck_ok(buf_append_str(&text, i % 3 ? " AND a" : " OR a", &err), &err);
    ck_ok(parse_expression(buf_slice(&text), &arena, &e, &err), &err);
    ck_assert_int_eq(e->op, OP_OR);
    ck_assert_uint_lt(e->height, 40);
    buf_fini(&text);
    arena_fini(&arena);
}
END_TEST

START_TEST(item_names_follow_the_expression) {
    const struct {
        const char *text, *name;
    } names[] = {{"a", "a"},
                 {"x.a", "a"},
                 {"COUNT(*)", "count"},
                 {"a::INT", "a"},
                 {"a + 1", "?column?"},
                 {"CASE WHEN a THEN 1 END", "case"},
                 {"lower(a)::TEXT", "lower"},
                 {"CURRENT_USER", "current_user"},
                 {"1", "?column?"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct arena arena = {0};
        struct lam_error err = {0};
        struct select_item item = {0};
        ck_ok(parse_expression(lam_slice_str(names[i].text), &arena, &item.expr, &err), &err);
        ck_assert_msg(slice_eq_str(select_item_name(&item), names[i].name), "%s", names[i].text);
        arena_fini(&arena);
    }
}
END_TEST

TEST_MAIN("sql/parse_expr", expressions_print_as_they_parse,
          errors_stand_at_the_token_that_does_not_fit, a_million_levels_are_refused_at_once,
          long_chains_of_and_or_are_no_depth, item_names_follow_the_expression)
