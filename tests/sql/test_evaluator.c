/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sql/expr.h"

struct row {
    const char *text, *expected; /* in row 0 of the batch; "!" and SQLSTATE for an error */
};

static const struct row arithmetic[] = {
    {"1 + 2", "3"},
    {"7 / 2", "3"},
    {"-7 / 2", "-3"},
    {"7 % 3", "1"},
    {"-7 % 3", "-1"},
    {"1 / 0", "!22012"},
    {"1 % 0", "!22012"},
    {"i / (i - 10)", "!22012"},
    {"9223372036854775807 + 1", "!22003"},
    {"-9223372036854775808 - 1", "!22003"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"-(-9223372036854775808)", "9223372036854775808"},
    {"-9223372036854775808 / -1", "!22003"},
    {"-9223372036854775808 % -1", "0"},
    {"3037000500 * 3037000500", "!22003"},
    {"i * 1000000000", "10000000000"},
    {"s + i", "17"},
    {"s * s", "49"},
    {"- i", "-10"},
    {"+ i", "10"},
    {"- s", "-7"},
    {"1.5 + 1", "2.5"},
    {"1.50 + 1.5", "3.00"},
    {"1.5 * 1.5", "2.25"},
    {"0.1 + 0.2", "0.3"},
    {"1.0 / 3", "0.333333"},
    {"2.0 / 3", "0.666667"},
    {"1.0 / 0", "!22012"},
    {"10.5 % 3", "1.5"},
    {"n + 1", "13.34"},
    {"n * 2", "24.68"},
    {"n * n", "152.2756"},
    {"n / 2", "6.170000"},
    {"-n", "-12.34"},
    {"99999999999999999999999999999999999999 + 1", "!22003"},
    {"99999999999999999999999999999999999999 * 10", "!22003"},
    {"d + 1", "3.5"},
    {"d * n", "30.85"},
    {"d / 0", "!22012"},
    {"1e308 * 10", "!22003"},
    {"1e0 / 3", "0.3333333333333333"},
    {"f + f", "3"},
    {"f * 2", "3"},
    {"2 ^ 10", "1024"},
    {"-2 ^ 2", "4"},
    {"2 ^ 3 ^ 2", "64"},
    {"1 + 2 * 3", "7"},
    {"(1 + 2) * 3", "9"},
    {"10 - 4 - 3", "3"},
    {"i + NULL", "NULL"},
    {"NULL + NULL", "NULL"},
    {"'5' + 1", "6"},
    {"'x' + 1", "!22P02"},
    {"i + '1.5'", "!22P02"},
    {"n + '1.255'", "13.595"},
    {"'a' + 'b'", "!42725"},
    {"t + 1", "!42883"},
    {"o + 1", "!42883"},
    {"- t", "!42883"},
    {"dt + 1", "2024-03-01"},
    {"1 + dt", "2024-03-01"},
    {"dt - 60", "2023-12-31"},
    {"dt - DATE '2024-01-01'", "59"},
    {"DATE '9999-12-31' + 1", "!22008"},
    {"dt + '2'", "2024-03-02"},
    {"dt - '2024-02-01'", "28"},
    {"ts - ts", "!42883"},
};

static const struct row comparisons[] = {
    {"1 = 1", "true"},
    {"1 == 1", "true"},
    {"1 <> 1", "false"},
    {"1 != 2", "true"},
    {"1 < 2", "true"},
    {"2 <= 1", "false"},
    {"2 > 1", "true"},
    {"1 >= 2", "false"},
    {"i = 10", "true"},
    {"10 = i", "true"},
    {"5 < i", "true"},
    {"i < 99999999999", "true"},
    {"s = 70000", "false"},
    {"b = 100.0", "true"},
    {"i = 10.5", "false"},
    {"n = 12.34", "true"},
    {"n = 12.340", "true"},
    {"n > 12", "true"},
    {"n < 12.345", "true"},
    {"d = 2.5", "true"},
    {"d > i", "false"},
    {"f = 1.5", "true"},
    {"f < d", "true"},
    {"t = 'hello'", "true"},
    {"t < 'help'", "true"},
    {"t > 'hell'", "true"},
    {"t <> v", "true"},
    {"'abc' = v", "true"},
    {"'abcdefgh' = v", "false"},
    {"o = true", "true"},
    {"o > false", "true"},
    {"o = 't'", "true"},
    {"ts > '2024-01-01'", "true"},
    {"ts = '2024-02-29T13:45:56.789012Z'", "true"},
    {"ts > dt", "true"},
    {"dt = '2024-02-29'", "true"},
    {"dt < ts", "true"},
    {"dt = 'nonsense'", "!22007"},
    {"tm = '13:45:56'", "true"},
    {"u = '00112233-4455-6677-8899-AABBCCDDEEFF'", "true"},
    {"u < 'ffffffff-ffff-ffff-ffff-ffffffffffff'", "true"},
    {"u = 'zz'", "!22P02"},
    {"by = '\\x0102ff'", "true"},
    {"i = '10'", "true"},
    {"i = 'ten'", "!22P02"},
    {"i = t", "!42883"},
    {"t = 5", "!42883"},
    {"o = 1", "!42883"},
    {"u = t", "!42883"},
    {"NULL = NULL", "NULL"},
    {"i = NULL", "NULL"},
    {"NULL <> 1", "NULL"},
    {"1e0 / 3 = 0.3333333333333333", "true"},
    {"'NaN'::DOUBLE = 'NaN'::DOUBLE", "true"},
    {"'NaN'::DOUBLE > 'Infinity'::DOUBLE", "true"},
    {"'NaN'::DOUBLE < 1e0", "false"},
    {"-0e0 = 0e0", "true"},
    {"i IS NULL", "false"},
    {"i IS NOT NULL", "true"},
    {"i ISNULL", "false"},
    {"i NOTNULL", "true"},
    {"NULL IS NULL", "true"},
    {"i IS DISTINCT FROM 10", "false"},
    {"i IS DISTINCT FROM NULL", "true"},
    {"NULL IS DISTINCT FROM NULL", "false"},
    {"NULL IS NOT DISTINCT FROM NULL", "true"},
    {"i IS NOT DISTINCT FROM 10", "true"},
    {"i BETWEEN 1 AND 10", "true"},
    {"i BETWEEN 11 AND 20", "false"},
    {"i NOT BETWEEN 11 AND 20", "true"},
    {"i BETWEEN NULL AND 5", "false"},
    {"i BETWEEN NULL AND 50", "NULL"},
    {"i NOT BETWEEN NULL AND 5", "true"},
    {"t BETWEEN 'a' AND 'i'", "true"},
    {"i IN (1, 10)", "true"},
    {"i IN (1, 2)", "false"},
    {"i IN (10)", "true"},
    {"i NOT IN (10)", "false"},
    {"i IN (1, NULL)", "NULL"},
    {"i IN (10, NULL)", "true"},
    {"i NOT IN (1, NULL)", "NULL"},
    {"i NOT IN (10, NULL)", "false"},
    {"i NOT IN (1, 2, 3)", "true"},
    {"NULL IN (1, 2)", "NULL"},
    {"i IN (1, s + 3)", "true"},
    {"i IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)", "true"},
    {"i IN (1, 99999999999)", "false"},
    {"i IN (1, 10.0)", "true"},
    {"i IN ('1', '10')", "true"},
    {"i IN ('1', 'x')", "!22P02"},
    {"i IN (1, t)", "!42883"},
    {"t IN ('a', 'hello')", "true"},
    {"n IN (12.34, 1)", "true"},
    {"n IN (12.3400, 1.5)", "true"},
    {"d IN (1, 2.5)", "true"},
    {"'a' IN ('a', 'b')", "true"},
    {"dt IN ('2024-02-29', '2024-03-01')", "true"},
};

static const struct row logic[] = {
    {"TRUE AND TRUE", "true"},
    {"TRUE AND FALSE", "false"},
    {"TRUE AND NULL", "NULL"},
    {"FALSE AND NULL", "false"},
    {"NULL AND NULL", "NULL"},
    {"NULL AND FALSE", "false"},
    {"TRUE OR NULL", "true"},
    {"FALSE OR NULL", "NULL"},
    {"NULL OR TRUE", "true"},
    {"FALSE OR FALSE", "false"},
    {"NOT TRUE", "false"},
    {"NOT NULL", "NULL"},
    {"NOT i = 10", "false"},
    {"NOT NOT o", "true"},
    {"o AND i = 10", "true"},
    {"o AND 'true'", "true"},
    {"o AND 1", "!42804"},
    {"o AND t", "!42804"},
    {"NOT i", "!42804"},
    {"i = 10 AND s = 7 AND b = 100 AND t = 'hello'", "true"},
    {"i = 1 OR s = 1 OR b = 100", "true"},
    {"FALSE AND 1 / 0 = 1", "false"},
    {"TRUE OR 1 / 0 = 1", "true"},
    {"i <> 10 AND i / (i - 10) = 1", "false"},
    {"i = 10 OR i / (i - 10) = 1", "true"},
    {"TRUE AND 1 / 0 = 1", "!22012"},
    {"o IS TRUE", "true"},
    {"o IS NOT TRUE", "false"},
    {"o IS FALSE", "false"},
    {"NULL IS TRUE", "false"},
    {"NULL IS NOT TRUE", "true"},
    {"NULL IS UNKNOWN", "true"},
    {"o IS NOT UNKNOWN", "true"},
    {"i IS TRUE", "!42804"},
    {"CASE WHEN i = 10 THEN 'ten' ELSE 'other' END", "ten"},
    {"CASE WHEN i = 11 THEN 'ten' END", "NULL"},
    {"CASE i WHEN 1 THEN 'one' WHEN 10 THEN 'ten' END", "ten"},
    {"CASE NULL WHEN NULL THEN 1 ELSE 2 END", "2"},
    {"CASE WHEN NULL THEN 1 ELSE 2 END", "2"},
    {"CASE WHEN i = 10 THEN 1 ELSE 1 / 0 END", "1"},
    {"CASE WHEN i = 10 THEN 1 / (i - 10) ELSE 0 END", "!22012"},
    {"CASE WHEN i = 0 THEN 0 ELSE 100 / i END", "10"},
    {"CASE WHEN o THEN 1 ELSE 2.5 END", "1.0"},
    {"CASE WHEN o THEN 1 ELSE 2e0 END", "1"},
    {"CASE WHEN o THEN 1 ELSE 'x' END", "!22P02"},
    {"CASE WHEN o THEN i ELSE t END", "!42804"},
    {"CASE WHEN o THEN NULL ELSE NULL END", "NULL"},
    {"CASE WHEN i THEN 1 END", "!42804"},
    {"COALESCE(NULL, i, 5)", "10"},
    {"COALESCE(NULL, NULL)", "NULL"},
    {"COALESCE(i, 1 / 0)", "10"},
    {"COALESCE(NULL, 'x')", "x"},
    {"COALESCE(i, 'x')", "!22P02"},
    {"COALESCE(i, t)", "!42804"},
    {"IFNULL(NULL, 3)", "3"},
    {"NVL(i, 3)", "10"},
    {"NULLIF(i, 10)", "NULL"},
    {"NULLIF(i, 11)", "10"},
    {"NULLIF('a', 'b')", "a"},
    {"GREATEST(1, 5, 3)", "5"},
    {"GREATEST(1, NULL, 3)", "3"},
    {"GREATEST(NULL, NULL)", "NULL"},
    {"LEAST(1, 2.5, -3)", "-3.0"},
    {"LEAST('b', 'a')", "a"},
    {"GREATEST(i, n)", "12.34"},
};

static const struct row casts[] = {
    {"CAST(1 AS TEXT)", "1"},
    {"1::TEXT || 'x'", "1x"},
    {"'12'::INT", "12"},
    {"' 12 '::INT", "12"},
    {"'12x'::INT", "!22P02"},
    {"CAST('1.5' AS DECIMAL(5, 2))", "1.50"},
    {"1.005::DECIMAL(5,2)", "1.01"},
    {"12345.6::DECIMAL(5,2)", "!22003"},
    {"2.5::INT", "3"},
    {"-2.5::INT", "-3"},
    {"300000::SMALLINT", "!22003"},
    {"99999999999::INT", "!22003"},
    {"TRUE::INT", "1"},
    {"0::BOOLEAN", "false"},
    {"'yes'::BOOLEAN", "true"},
    {"'maybe'::BOOLEAN", "!22P02"},
    {"i::DOUBLE", "10"},
    {"d::TEXT", "2.5"},
    {"n::TEXT", "12.34"},
    {"o::TEXT", "true"},
    {"dt::TIMESTAMP", "2024-02-29 00:00:00"},
    {"ts::DATE", "2024-02-29"},
    {"ts::TEXT", "2024-02-29 13:45:56.789012"},
    {"'2024-13-01'::DATE", "!22008"},
    {"DATE '2024-02-30'", "!22008"},
    {"TIMESTAMP '2024-01-01 10:00:00+02:00'", "2024-01-01 08:00:00"},
    {"TIME '10:11:12'", "10:11:12"},
    {"'abcdef'::VARCHAR(3)", "abc"},
    {"t::VARCHAR(2)", "he"},
    {"'{\"a\":1}'::JSON", "{\"a\":1}"},
    {"'{a}'::JSON", "!22P02"},
    {"TRY_CAST('x' AS INT)", "NULL"},
    {"TRY_CAST('5' AS INT)", "5"},
    {"TRY_CAST(t AS DOUBLE)", "NULL"},
    {"TRY_CAST(99999999999 AS INT)", "NULL"},
    {"CAST(o AS DATE)", "!42846"},
    {"CAST(u AS INT)", "!42846"},
    {"NULL::INT", "NULL"},
    {"i::INT::TEXT::INT", "10"},
    {"1e3::INT", "1000"},
    {"1e30::INT", "!22003"},
    {"'NaN'::DOUBLE", "NaN"},
    {"5::nosuch", "!42704"},
};

static const struct row parameters[] = {
    {"$1", "NULL"},     {"$1 IS NULL", "true"}, {"COALESCE($1, 5)", "5"},
    {"i = $1", "NULL"}, {"$1 + $2", "!42725"},  {"?::INT", "NULL"},
};

static void check(const struct row *rows, size_t count) {
    struct expr_fixture f;
    struct lam_error err;
    for (size_t k = 0; k < count; k++) {
        expr_setup(&f);
        const char *got = expr_text(&f, rows[k].text, 0, &err);
        ck_assert_msg(strcmp(got, rows[k].expected) == 0, "%s: expected %s, got %s (%s)",
                      rows[k].text, rows[k].expected, got, err.message);
        if (got[0] == '!')
            ck_assert_msg(err.pos > 0 && err.pos <= strlen(rows[k].text), "%s: pos %u",
                          rows[k].text, err.pos);
        expr_teardown(&f);
    }
}
#define CHECK(rows) check(rows, sizeof rows / sizeof rows[0])

START_TEST(arithmetic_follows_postgresql) {
    CHECK(arithmetic);
}
END_TEST

START_TEST(comparisons_follow_postgresql) {
    CHECK(comparisons);
}
END_TEST

START_TEST(logic_is_three_valued_and_lazy) {
    CHECK(logic);
}
END_TEST

START_TEST(casts_convert_or_say_why_not) {
    CHECK(casts);
}
END_TEST

START_TEST(parameters_take_types_of_their_places) {
    CHECK(parameters);
}
END_TEST

/* A batch, its rows one by one, and selections of it all answer alike. */
static void check_batch(struct expr_fixture *f, const char *text) {
    struct lam_error err;
    const char *rows[EXPR_ROWS], *all = expr_all(f, text, &err);
    bool failed = false;
    for (uint32_t r = 0; r < EXPR_ROWS; r++) {
        rows[r] = expr_text(f, text, r, &err);
        failed = failed || rows[r][0] == '!';
    }
    if (failed) {
        ck_assert_msg(all[0] == '!', "%s: a row fails but the batch gives %s", text, all);
        return;
    }
    const char *joined = arena_format(&f->arena, "%s|%s|%s|%s", rows[0], rows[1], rows[2], rows[3]);
    ck_assert_msg(strcmp(all, joined) == 0, "%s: batch %s, rows %s", text, all, joined);
}

START_TEST(batches_answer_as_their_rows) {
    const struct {
        const struct row *rows;
        size_t count;
    } tables[] = {{arithmetic, sizeof arithmetic / sizeof arithmetic[0]},
                  {comparisons, sizeof comparisons / sizeof comparisons[0]},
                  {logic, sizeof logic / sizeof logic[0]},
                  {casts, sizeof casts / sizeof casts[0]}};
    struct expr_fixture f;
    for (size_t k = 0; k < sizeof tables / sizeof tables[0]; k++)
        for (size_t i = 0; i < tables[k].count; i++) {
            expr_setup(&f);
            check_batch(&f, tables[k].rows[i].text);
            expr_teardown(&f);
        }
}
END_TEST

static const struct row whole_batches[] = {
    {"i + 1", "11|21|NULL|2147483648"},
    {"b + 1", "!22003"},
    {"s % 4", "3|-3|NULL|3"},
    {"i > 15", "false|true|NULL|true"},
    {"o AND i > 15", "false|false|NULL|true"},
    {"o OR i > 15", "true|true|NULL|true"},
    {"NOT o", "false|true|NULL|false"},
    {"i IS NULL", "false|false|true|false"},
    {"t LIKE '%l%'", "true|true|NULL|false"},
    {"CASE WHEN i = 10 THEN 'a' WHEN i IS NULL THEN t ELSE upper(t) END", "a|W\xc3\x96RLD|NULL|"},
    {"COALESCE(t, v, 'none')", "hello|W\xc3\xb6rld|none|"},
    {"COALESCE(i, 0) / COALESCE(s, 1)", "1|-2|0|65538"},
    {"CASE WHEN b > 1000 THEN 0 ELSE b * 1000 END", "100000|-3000|NULL|0"},
    {"d IS DISTINCT FROM 2.5", "false|true|true|true"},
    {"n * 2", "24.68|-0.10|NULL|199999999.98"},
    {"i IN (10, 20)", "true|true|NULL|false"},
    {"length(t)", "5|5|NULL|0"},
    {"v || '!'", "abc!|b%_!|NULL|xyz!"},
    {"-d", "-2.5|0.25|NULL|NaN"},
    {"f::DOUBLE", "1.5|0.10000000149011612|NULL|Infinity"},
    {"u", "00112233-4455-6677-8899-aabbccddeeff|ffffffff-ffff-ffff-ffff-ffffffffffff|NULL|00000000-"
          "0000-0000-0000-000000000000"},
    {"42", "42|42|42|42"},
    {"'x'", "x|x|x|x"},
    {"NULL", "NULL|NULL|NULL|NULL"},
    {"CURRENT_USER", "alice|alice|alice|alice"},
};

START_TEST(results_stand_in_row_order) {
    struct expr_fixture f;
    struct lam_error err;
    for (size_t k = 0; k < sizeof whole_batches / sizeof whole_batches[0]; k++) {
        expr_setup(&f);
        const char *got = expr_all(&f, whole_batches[k].text, &err);
        ck_assert_msg(strcmp(got, whole_batches[k].expected) == 0, "%s: expected %s, got %s (%s)",
                      whole_batches[k].text, whole_batches[k].expected, got, err.message);
        expr_teardown(&f);
    }
}
END_TEST

/* Rows that a predicate keeps, as digits. */
static const char *filter(struct expr_fixture *f, const char *text, const uint32_t *sel,
                          uint32_t count) {
    struct lam_error err = {0};
    struct bound *b = NULL;
    struct evaluator *e = NULL;
    static char digits[EXPR_ROWS + 1];
    uint32_t out[EXPR_ROWS], n = 0;
    ck_ok(expr_bind(f, text, &b, &err), &err);
    ck_ok(evaluator_new(b, &e, &err), &err);
    ck_ok(evaluator_filter(e, &f->run, &f->batch, sel, count, out, &n, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        digits[i] = (char)('0' + out[i]);
    digits[n] = 0;
    evaluator_free(e);
    return digits;
}

START_TEST(filter_keeps_true_rows_in_order) {
    struct expr_fixture f;
    uint32_t sel[] = {3, 1};
    expr_setup(&f);
    ck_assert_str_eq(filter(&f, "i > 15", NULL, EXPR_ROWS), "13");
    ck_assert_str_eq(filter(&f, "i > 15", sel, 2), "31");
    ck_assert_str_eq(filter(&f, "i > 5 AND t LIKE '%l%' AND o IS NOT NULL", NULL, EXPR_ROWS), "01");
    ck_assert_str_eq(filter(&f, "TRUE", NULL, EXPR_ROWS), "0123");
    ck_assert_str_eq(filter(&f, "NULL::BOOLEAN", NULL, EXPR_ROWS), "");
    ck_assert_str_eq(filter(&f, "o", NULL, EXPR_ROWS), "03");
    ck_assert_str_eq(filter(&f, "i IS NULL OR s < 0", sel, 2), "1");
    ck_assert_str_eq(filter(&f, "TRUE", NULL, 0), "");
    expr_teardown(&f);
}
END_TEST

START_TEST(an_evaluator_runs_again_over_other_rows) {
    struct expr_fixture f;
    struct lam_error err = {0};
    struct bound *b = NULL;
    struct evaluator *e = NULL;
    const struct column *result = NULL;
    expr_setup(&f);
    ck_ok(expr_bind(&f, "COALESCE(i, 0) + 1", &b, &err), &err);
    ck_ok(evaluator_new(b, &e, &err), &err);
    for (int round = 0; round < 3; round++) {
        uint32_t sel[] = {2, 0, 1};
        ck_ok(evaluator_run(e, &f.run, &f.batch, sel, 3, &result, &err), &err);
        ck_assert_uint_eq(result->rows, 3);
        ck_assert_int_eq(column_i64(result, 0), 1);
        ck_assert_int_eq(column_i64(result, 1), 11);
        ck_assert_int_eq(column_i64(result, 2), 21);
        ck_ok(evaluator_run(e, &f.run, &f.batch, sel, 0, &result, &err), &err);
        ck_assert_uint_eq(result->rows, 0);
    }
    evaluator_free(e);
    expr_teardown(&f);
}
END_TEST

START_TEST(volatile_functions_differ_by_row_and_are_not_folded) {
    struct expr_fixture f;
    struct lam_error err = {0};
    struct bound *b = NULL;
    struct evaluator *e = NULL;
    const struct column *result = NULL;
    expr_setup(&f);
    ck_ok(expr_bind(&f, "gen_random_uuid()", &b, &err), &err);
    ck_assert(!bound_is_row_free(b));
    ck_ok(evaluator_new(b, &e, &err), &err);
    ck_ok(evaluator_run(e, &f.run, &f.batch, NULL, 2, &result, &err), &err);
    ck_assert(!slice_eq(column_bytes(result, 0), column_bytes(result, 1)));
    evaluator_free(e);
    ck_assert_str_eq(expr_text(&f, "random() < 1 AND random() >= 0", 0, &err), "true");
    expr_teardown(&f);
}
END_TEST

START_TEST(deep_trees_run_without_exhausting_the_stack) {
    struct expr_fixture f;
    struct lam_error err = {0};
    struct buf text = {0};
    const char *sql;
    expr_setup(&f);
    ck_ok(buf_append_str(&text, "i", &err), &err);
    for (int k = 0; k < 990; k++)
        ck_ok(buf_append_str(&text, " + 1", &err), &err);
    ck_ok(buf_cstr(&text, &sql, &err), &err);
    ck_assert_str_eq(expr_text(&f, sql, 0, &err), "1000");
    buf_reset(&text);
    ck_ok(buf_append_str(&text, "i = 0", &err), &err);
    for (int k = 1; k < 5000; k++)
        ck_ok(buf_append_format(&text, &err, " OR i = %d", k + 10), &err);
    ck_ok(buf_cstr(&text, &sql, &err), &err);
    ck_assert_str_eq(expr_text(&f, sql, 0, &err), "false");
    ck_assert_str_eq(expr_text(&f, sql, 1, &err), "true");
    buf_fini(&text);
    expr_teardown(&f);
}
END_TEST

START_TEST(large_batches_equal_plain_loops) {
    struct lam_error err = {0};
    struct arena arena = {0};
    struct coltype types[] = {{.type = LAM_TYPE_BIGINT}, {.type = LAM_TYPE_INT}};
    struct colbatch batch;
    struct scope_column columns[] = {
        {.name = lam_slice_str("a"), .type = types[0], .nullable = true, .column = 0},
        {.name = lam_slice_str("c"), .type = types[1], .nullable = true, .column = 1}};
    struct scope scope = {columns, 2};
    struct run_context run = {.arena = &arena};
    struct bind_context ctx = {.arena = &arena, .scope = &scope};
    uint64_t seed = test_seed("large_batches");
    ck_ok(colbatch_init(&batch, types, 2, &err), &err);
    enum { N = 2048 };
    static int64_t a[N], c[N];
    static bool null[N];
    for (int i = 0; i < N; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        a[i] = (int64_t)(seed >> 33) % 1000;
        c[i] = (int64_t)(seed >> 20) % 100;
        null[i] = (seed >> 60) == 3;
        ck_ok(null[i] ? column_append_null(&batch.columns[0], &err)
                      : column_append_i64(&batch.columns[0], a[i], &err),
              &err);
        ck_ok(column_append_i64(&batch.columns[1], c[i], &err), &err);
    }
    batch.rows = N;
    struct expr *e = NULL;
    struct bound *b = NULL;
    struct evaluator *ev = NULL;
    uint32_t sel[N], kept = 0, expected = 0;
    const char *text = "a * 2 - c > 500 AND c < 50 OR a IS NULL";
    ck_ok(parse_expression(lam_slice_str(text), &arena, &e, &err), &err);
    ck_ok(bind_expr(&ctx, e, &b, &err), &err);
    ck_ok(evaluator_new(b, &ev, &err), &err);
    ck_ok(evaluator_filter(ev, &run, &batch, NULL, N, sel, &kept, &err), &err);
    for (uint32_t i = 0; i < N; i++)
        if (null[i] || (a[i] * 2 - c[i] > 500 && c[i] < 50)) {
            ck_assert_uint_lt(expected, kept);
            ck_assert_uint_eq(sel[expected], i);
            expected++;
        }
    ck_assert_uint_eq(kept, expected);
    evaluator_free(ev);
    colbatch_fini(&batch);
    arena_fini(&arena);
}
END_TEST

TEST_MAIN("sql/evaluator", arithmetic_follows_postgresql, comparisons_follow_postgresql,
          logic_is_three_valued_and_lazy, casts_convert_or_say_why_not,
          parameters_take_types_of_their_places, batches_answer_as_their_rows,
          results_stand_in_row_order, filter_keeps_true_rows_in_order,
          an_evaluator_runs_again_over_other_rows,
          volatile_functions_differ_by_row_and_are_not_folded,
          deep_trees_run_without_exhausting_the_stack, large_batches_equal_plain_loops)
