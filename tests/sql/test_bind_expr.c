/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sql/expr.h"

static struct expr *parse(struct expr_fixture *f, const char *text) {
    struct lam_error err = {0};
    struct expr *e = NULL;
    ck_ok(parse_expression(lam_slice_str(text), &f->arena, &e, &err), &err);
    return e;
}

static void expect_type(struct expr_fixture *f, const char *text, const char *type) {
    struct lam_error err = {0};
    struct bound *b = NULL;
    char name[40];
    enum lam_code rc = expr_bind(f, text, &b, &err);
    ck_assert_msg(rc == LAM_OK, "%s: %s", text, err.message);
    coltype_name(bound_type(b), name);
    ck_assert_msg(strcmp(name, type) == 0, "%s: expected %s, got %s", text, type, name);
}

static void expect_failure(struct expr_fixture *f, const char *text, const char *sqlstate,
                           uint32_t pos, const char *in_message, const char *in_hint) {
    struct lam_error err = {0};
    struct bound *b = NULL;
    ck_code(expr_bind(f, text, &b, &err), LAM_SQL);
    ck_assert_msg(strcmp(err.sqlstate, sqlstate) == 0 && err.pos == pos,
                  "%s: %s at %u, expected %s at %u", text, err.sqlstate, err.pos, sqlstate, pos);
    ck_assert_msg(strstr(err.message, in_message) != NULL, "%s: \"%s\"", text, err.message);
    ck_assert_msg(!in_hint || strstr(err.hint, in_hint), "%s: hint \"%s\"", text, err.hint);
}

START_TEST(types_follow_the_operands) {
    static const char *const rows[][2] = {
        {"1", "BIGINT"},
        {"i", "INT"},
        {"i + i", "BIGINT"},
        {"s * s", "BIGINT"},
        {"-i", "BIGINT"},
        {"1.5", "DECIMAL(2,1)"},
        {"0.05", "DECIMAL(2,2)"},
        {"n + 1.5", "DECIMAL(11,2)"},
        {"n * n", "DECIMAL(20,4)"},
        {"n / n", "DECIMAL(38,6)"},
        {"n % 7", "DECIMAL(21,2)"},
        {"n + b", "DECIMAL(22,2)"},
        {"n + d", "DOUBLE"},
        {"i + f", "DOUBLE"},
        {"f + f", "FLOAT"},
        {"-f", "FLOAT"},
        {"i ^ 2", "DOUBLE"},
        {"1e3", "DOUBLE"},
        {"i = s", "BOOLEAN"},
        {"t", "TEXT"},
        {"v", "VARCHAR(5)"},
        {"v || 'x'", "TEXT"},
        {"'x'", "TEXT"},
        {"NULL", "TEXT"},
        {"$8", "TEXT"},
        {"dt + 1", "DATE"},
        {"dt - dt", "BIGINT"},
        {"CASE WHEN o THEN s ELSE i END", "INT"},
        {"CASE WHEN o THEN 1 ELSE n END", "DECIMAL(21,2)"},
        {"COALESCE(n, '0.12345')", "DECIMAL(13,5)"},
        {"COALESCE(dt, ts)", "TIMESTAMP"},
        {"round(n)", "DECIMAL(9,0)"},
        {"round(n, 1)", "DECIMAL(10,1)"},
        {"abs(n)", "DECIMAL(10,2)"},
        {"length(t)", "BIGINT"},
        {"j -> 'a'", "JSON"},
        {"j ->> 'a'", "TEXT"},
        {"now()", "TIMESTAMP"},
        {"CAST(i AS VARCHAR(3))", "VARCHAR(3)"},
        {"GREATEST(i, b)", "BIGINT"},
    };
    struct expr_fixture f;
    expr_setup(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_type(&f, rows[i][0], rows[i][1]);
    expr_teardown(&f);
}
END_TEST

START_TEST(names_are_found_or_explained) {
    struct expr_fixture f;
    expr_setup(&f);
    expect_type(&f, "x.i", "INT");
    expect_type(&f, "x.\"user\"", "TEXT");
    expect_failure(&f, "usr = 'a'", "42703", 1, "column \"usr\" does not exist", "\"user\"");
    expect_failure(&f, "1 + y.i", "42P01", 5, "table \"y\"", NULL);
    expect_failure(&f, "x.zzz", "42703", 1, "\"zzz\"", NULL);
    expect_failure(&f, "1 + *", "42601", 5, "", NULL);
    expr_teardown(&f);
}
END_TEST

START_TEST(ambiguous_names_need_a_table) {
    struct lam_error err = {0};
    struct arena arena = {0};
    struct expr *e = NULL;
    struct bound *b = NULL;
    uint32_t column = 99;
    struct scope_column columns[] = {
        {.table = lam_slice_str("t"),
         .name = lam_slice_str("a"),
         .type = coltype_of(LAM_TYPE_INT),
         .column = 0},
        {.table = lam_slice_str("excluded"),
         .name = lam_slice_str("a"),
         .type = coltype_of(LAM_TYPE_INT),
         .column = 1},
    };
    struct scope scope = {columns, 2};
    struct bind_context ctx = {.arena = &arena, .scope = &scope};
    ck_ok(parse_expression(lam_slice_str("a"), &arena, &e, &err), &err);
    ck_code(bind_expr(&ctx, e, &b, &err), LAM_SQL);
    ck_assert_str_eq(err.sqlstate, "42702");
    columns[1].qualified_only = true;
    ck_ok(bind_expr(&ctx, e, &b, &err), &err);
    ck_assert(bound_column(b, &column) && column == 0);
    ck_ok(parse_expression(lam_slice_str("excluded.a"), &arena, &e, &err), &err);
    ck_ok(bind_expr(&ctx, e, &b, &err), &err);
    ck_assert(bound_column(b, &column) && column == 1);
    arena_fini(&arena);
}
END_TEST

START_TEST(mismatches_name_both_types) {
    struct expr_fixture f;
    expr_setup(&f);
    expect_failure(&f, "i = t", "42883", 3, "INT = TEXT", "CAST");
    expect_failure(&f, "t + 1", "42883", 3, "TEXT + BIGINT", "CAST");
    expect_failure(&f, "i = 'x'", "22P02", 5, "", NULL);
    expect_failure(&f, "CASE WHEN o THEN i ELSE t END", "42804", 25, "INT and TEXT", NULL);
    expect_failure(&f, "i LIKE 'a'", "42883", 1, "INT", "CAST");
    expect_failure(&f, "t LIKE 'a' ESCAPE 'xy'", "22025", 19, "ESCAPE", NULL);
    expect_failure(&f, "t LIKE 'a\\'", "22025", 8, "", NULL);
    expect_failure(&f, "$9", "42P02", 1, "$9", NULL);
    expr_teardown(&f);
}
END_TEST

START_TEST(parameters_learn_their_types) {
    struct expr_fixture f;
    struct bound *b = NULL;
    struct lam_error err = {0};
    expr_setup(&f);
    ck_ok(expr_bind(&f,
                    "i = $1 AND $2 > n AND t LIKE $3 AND $4 AND ts < $5 AND $6 + b = 1 AND x.v "
                    "= $7",
                    &b, &err),
          &err);
    enum lam_type expected[] = {LAM_TYPE_INT,     LAM_TYPE_DECIMAL,   LAM_TYPE_TEXT,
                                LAM_TYPE_BOOLEAN, LAM_TYPE_TIMESTAMP, LAM_TYPE_BIGINT,
                                LAM_TYPE_TEXT};
    for (int k = 0; k < 7; k++)
        ck_assert_msg(f.parameter_types[k].type == expected[k], "$%d is %d", k + 1,
                      f.parameter_types[k].type);
    ck_assert_uint_eq(f.parameter_types[1].precision, 38);
    ck_assert_uint_eq(f.parameter_types[6].length, 0);
    f.parameters[0] = value_i64(LAM_TYPE_INT, 10);
    ck_assert_str_eq(expr_text(&f, "$1 * 2", 0, &err), "20");
    ck_assert_str_eq(expr_text(&f, "i = $1", 0, &err), "true");
    expr_teardown(&f);
}
END_TEST

START_TEST(constants_fold_and_failures_wait) {
    struct expr_fixture f;
    struct bound *b = NULL;
    struct lam_error err = {0};
    struct value v;
    expr_setup(&f);
    ck_ok(expr_bind(&f, "1 + 2 * 3", &b, &err), &err);
    ck_assert(bound_constant(b, &v) && v.as.i64 == 7);
    ck_ok(expr_bind(&f, "upper('a') || 'b'", &b, &err), &err);
    ck_assert(bound_constant(b, &v) && slice_eq_str(v.as.bytes, "Ab"));
    ck_ok(expr_bind(&f, "1 / 0", &b, &err), &err);
    ck_assert(!bound_constant(b, &v) && bound_is_row_free(b));
    ck_ok(expr_bind(&f, "now()", &b, &err), &err);
    ck_assert(!bound_constant(b, &v) && bound_is_row_free(b));
    ck_ok(expr_bind(&f, "random()", &b, &err), &err);
    ck_assert(!bound_constant(b, &v) && !bound_is_row_free(b));
    ck_ok(expr_bind(&f, "$1::INT + 1", &b, &err), &err);
    ck_assert(!bound_constant(b, &v) && bound_is_row_free(b));
    ck_ok(expr_bind(&f, "i + 1", &b, &err), &err);
    ck_assert(!bound_is_row_free(b));
    expr_teardown(&f);
}
END_TEST

START_TEST(conjuncts_offer_comparisons) {
    static const struct {
        const char *text;
        uint32_t column;
        enum expr_op op;
    } rows[] = {
        {"i = 5", 1, OP_EQ},           {"5 < i", 1, OP_GT},       {"i >= $1", 1, OP_GE},
        {"t = 'x' || 'y'", 6, OP_EQ},  {"b = i", 99, OP_NONE},    {"i + 1 = 5", 99, OP_NONE},
        {"i = 99999999999", 1, OP_EQ}, {"s <> 3", 0, OP_NE},      {"i = 1.5", 1, OP_EQ},
        {"dt < ts", 99, OP_NONE},      {"dt < now()", 10, OP_LT}, {"b = 1e0", 99, OP_NONE},
        {"i = 1e0", 1, OP_EQ},         {"o", 99, OP_NONE},        {"i IN (4)", 1, OP_EQ}};
    struct expr_fixture f;
    struct lam_error err = {0};
    expr_setup(&f);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct bound *b = NULL, *other = NULL;
        uint32_t column = 99;
        enum expr_op op = OP_NONE;
        ck_ok(expr_bind(&f, rows[k].text, &b, &err), &err);
        bool is = bound_comparison(b, &column, &op, &other);
        ck_assert_msg(is == (rows[k].column != 99), "%s", rows[k].text);
        if (is)
            ck_assert_msg(column == rows[k].column && op == rows[k].op, "%s", rows[k].text);
    }
    struct bound *b = NULL, **parts = NULL;
    uint32_t count = 0;
    ck_ok(expr_bind(&f, "i BETWEEN 1 AND 5 AND (t = 'x' AND s = 1) AND (o OR b = 1)", &b, &err),
          &err);
    ck_ok(bound_conjuncts(&f.arena, b, &parts, &count, &err), &err);
    ck_assert_uint_eq(count, 5);
    bool used[16] = {false};
    bound_mark_columns(b, used);
    ck_assert(used[1] && used[6] && used[0] && used[8] && used[2] && !used[3] && !used[5]);
    expr_teardown(&f);
}
END_TEST

START_TEST(key_values_convert_only_without_loss) {
    static const struct {
        const char *text;
        struct coltype type;
        const char *value; /* "-": not usable; "NULL": never */
    } rows[] = {
        {"5", {.type = LAM_TYPE_INT}, "5"},
        {"99999999999", {.type = LAM_TYPE_INT}, "-"},
        {"5.0", {.type = LAM_TYPE_INT}, "5"},
        {"5.5", {.type = LAM_TYPE_INT}, "-"},
        {"5e0", {.type = LAM_TYPE_BIGINT}, "5"},
        {"5.5e0", {.type = LAM_TYPE_BIGINT}, "-"},
        {"'NaN'::DOUBLE", {.type = LAM_TYPE_BIGINT}, "-"},
        {"NULL", {.type = LAM_TYPE_INT}, "NULL"},
        {"1.50", {.type = LAM_TYPE_DECIMAL, .precision = 5, .scale = 1}, "1.5"},
        {"1.55", {.type = LAM_TYPE_DECIMAL, .precision = 5, .scale = 1}, "-"},
        {"123456", {.type = LAM_TYPE_DECIMAL, .precision = 5, .scale = 1}, "-"},
        {"12", {.type = LAM_TYPE_DECIMAL, .precision = 5, .scale = 1}, "12.0"},
        {"0.5e0", {.type = LAM_TYPE_FLOAT}, "0.5"},
        {"0.1e0", {.type = LAM_TYPE_FLOAT}, "-"},
        {"TIMESTAMP '2024-01-02'", {.type = LAM_TYPE_DATE}, "2024-01-02"},
        {"TIMESTAMP '2024-01-02 00:00:01'", {.type = LAM_TYPE_DATE}, "-"},
        {"'x'", {.type = LAM_TYPE_TEXT, .length = 5}, "x"},
    };
    struct expr_fixture f;
    struct lam_error err = {0};
    expr_setup(&f);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct bound *b = NULL;
        struct value v;
        struct buf out = {0};
        bool usable = false;
        ck_ok(expr_bind(&f, rows[k].text, &b, &err), &err);
        ck_ok(bound_key_value(&f.run, b, rows[k].type, &usable, &v, &err), &err);
        if (!usable)
            ck_ok(buf_append_str(&out, "-", &err), &err);
        else if (v.is_null)
            ck_ok(buf_append_str(&out, "NULL", &err), &err);
        else
            ck_ok(value_format(&v, &out, &err), &err);
        ck_assert_msg(slice_eq_str(buf_slice(&out), rows[k].value), "%s: %.*s", rows[k].text,
                      (int)out.size, (const char *)out.data);
        buf_fini(&out);
    }
    expr_teardown(&f);
}
END_TEST

static const char *assigned(struct expr_fixture *f, const char *text, struct coltype type,
                            const char *what, struct lam_error *err) {
    struct bound *b = NULL;
    struct value v;
    struct buf out = {0};
    struct bind_context ctx = {.arena = &f->arena,
                               .scope = &f->scope,
                               .parameter_types = f->parameter_types,
                               .parameter_count = 8};
    *err = (struct lam_error){0};
    if (bind_expr_as(&ctx, parse(f, text), type, what, &b, err) != LAM_OK ||
        bound_value(&f->run, b, &v, err) != LAM_OK)
        return arena_format(&f->arena, "!%s", err->sqlstate);
    ck_assert(coltype_eq(bound_type(b), type));
    if (v.is_null)
        return "NULL";
    ck_ok(value_format(&v, &out, err), err);
    const char *result = arena_strdup_slice(&f->arena, buf_slice(&out));
    buf_fini(&out);
    return result;
}

START_TEST(assignments_convert_to_the_column) {
    struct expr_fixture f;
    struct lam_error err = {0};
    struct coltype price = {.type = LAM_TYPE_DECIMAL, .precision = 5, .scale = 2};
    struct coltype code = {.type = LAM_TYPE_TEXT, .length = 3};
    struct coltype small = coltype_of(LAM_TYPE_SMALLINT), logic = coltype_of(LAM_TYPE_BOOLEAN);
    expr_setup(&f);
    ck_assert_str_eq(assigned(&f, "5", small, "c", &err), "5");
    ck_assert_str_eq(assigned(&f, "70000", small, "c", &err), "!22003");
    ck_assert_str_eq(assigned(&f, "'5'", small, "c", &err), "5");
    ck_assert_str_eq(assigned(&f, "NULL", small, "c", &err), "NULL");
    ck_assert_str_eq(assigned(&f, "1.5", price, "c", &err), "1.50");
    ck_assert_str_eq(assigned(&f, "'1.5'", price, "c", &err), "1.50");
    ck_assert_str_eq(assigned(&f, "1.505", price, "c", &err), "1.51");
    ck_assert_str_eq(assigned(&f, "12345", price, "c", &err), "!22003");
    ck_assert_str_eq(assigned(&f, "'abcd'", code, "c", &err), "!22001");
    ck_assert_str_eq(assigned(&f, "upper('ab')", code, "c", &err), "AB");
    ck_assert_str_eq(assigned(&f, "'a' || 'bcd'", code, "c", &err), "!22001");
    ck_assert_str_eq(assigned(&f, "TRUE", small, "c", &err), "!42804");
    ck_assert_ptr_nonnull(strstr(err.message, "\"c\" is of type SMALLINT"));
    ck_assert_str_eq(assigned(&f, "1", logic, "WHERE", &err), "!42804");
    ck_assert_ptr_nonnull(strstr(err.message, "argument of WHERE must be of type BOOLEAN"));
    ck_assert_str_eq(assigned(&f, "1 = 1", logic, "WHERE", &err), "true");
    ck_assert_str_eq(assigned(&f, "'2024-01-01'", coltype_of(LAM_TYPE_TIMESTAMP), "c", &err),
                     "2024-01-01 00:00:00");
    ck_assert_str_eq(assigned(&f, "'{'", coltype_of(LAM_TYPE_JSON), "c", &err), "!22P02");
    expr_teardown(&f);
}
END_TEST

/* Binds items over GROUP BY lower(x.t), i: "g0", "a1" ... for group and aggregate columns. */
static const char *grouped(struct expr_fixture *f, const char *text, struct lam_error *err) {
    const struct expr *groups[] = {parse(f, "lower(x.t)"), parse(f, "i")};
    struct bind_context ctx = {.arena = &f->arena,
                               .scope = &f->scope,
                               .allow_aggregates = true,
                               .grouped = true,
                               .group_exprs = groups,
                               .group_count = 2};
    struct bound *b = NULL;
    uint32_t column;
    *err = (struct lam_error){0};
    if (bind_expr(&ctx, parse(f, text), &b, err) != LAM_OK)
        return arena_format(&f->arena, "!%s", err->sqlstate);
    if (bound_column(b, &column))
        return arena_format(&f->arena, "%c%u of %u", column < 2 ? 'g' : 'a',
                            column < 2 ? column : column - 2, ctx.aggregate_count);
    return arena_format(&f->arena, "expression of %u", ctx.aggregate_count);
}

START_TEST(grouped_expressions_see_groups_and_aggregates) {
    struct expr_fixture f;
    struct lam_error err = {0};
    expr_setup(&f);
    ck_assert_str_eq(grouped(&f, "i", &err), "g1 of 0");
    ck_assert_str_eq(grouped(&f, "x.i", &err), "g1 of 0");
    ck_assert_str_eq(grouped(&f, "lower(t)", &err), "g0 of 0");
    ck_assert_str_eq(grouped(&f, "i + 1", &err), "expression of 0");
    ck_assert_str_eq(grouped(&f, "t", &err), "!42803");
    ck_assert_str_eq(grouped(&f, "upper(t)", &err), "!42803");
    ck_assert_str_eq(grouped(&f, "count(*)", &err), "a0 of 1");
    ck_assert_str_eq(grouped(&f, "sum(b) + sum(x.b)", &err), "expression of 1");
    ck_assert_str_eq(grouped(&f, "sum(b) + sum(DISTINCT b)", &err), "expression of 2");
    ck_assert_str_eq(grouped(&f, "max(t) FILTER (WHERE o)", &err), "a0 of 1");
    ck_assert_str_eq(grouped(&f, "sum(count(*))", &err), "!42803");
    ck_assert_str_eq(grouped(&f, "sum(t)", &err), "!42883");
    ck_assert_str_eq(grouped(&f, "sum(*)", &err), "!42883");
    ck_assert_str_eq(grouped(&f, "sum(i, b)", &err), "!42883");
    ck_assert_str_eq(grouped(&f, "count(*) FILTER (WHERE i)", &err), "!42804");
    ck_assert_str_eq(grouped(&f, "1 + 1", &err), "expression of 0");
    ck_assert(bind_is_aggregate(lam_slice_str("sum")));
    ck_assert(!bind_is_aggregate(lam_slice_str("lower")));
    expr_teardown(&f);
}
END_TEST

START_TEST(near_names_are_offered) {
    struct lam_slice names[] = {lam_slice_str("name"), lam_slice_str("email"),
                                lam_slice_str("created_at")};
    struct lam_slice near;
    ck_assert(nearest_name(lam_slice_str("nmae"), names, 3, &near) && slice_eq_str(near, "name"));
    ck_assert(nearest_name(lam_slice_str("creatd_at"), names, 3, &near) &&
              slice_eq_str(near, "created_at"));
    ck_assert(!nearest_name(lam_slice_str("x"), names, 3, &near));
    ck_assert(!nearest_name(lam_slice_str("phone_number"), names, 3, &near));
    ck_assert(!nearest_name(lam_slice_str(""), names, 3, &near));
}
END_TEST

TEST_MAIN("sql/bind_expr", types_follow_the_operands, names_are_found_or_explained,
          ambiguous_names_need_a_table, mismatches_name_both_types, parameters_learn_their_types,
          constants_fold_and_failures_wait, conjuncts_offer_comparisons,
          key_values_convert_only_without_loss, assignments_convert_to_the_column,
          grouped_expressions_see_groups_and_aggregates, near_names_are_offered)
