/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sql/expr.h"

struct row {
    const char *text, *expected;
};

static const struct row text_rows[] = {
    {"length('h\xc3\xa9llo')", "5"},
    {"length(t)", "5"},
    {"char_length('abc')", "3"},
    {"octet_length('h\xc3\xa9llo')", "6"},
    {"length(by)", "3"},
    {"length(NULL)", "NULL"},
    {"length(5)", "!42883"},
    {"lower('ABC \xc3\x84\xd0\x96')", "abc \xc3\xa4\xd0\xb6"},
    {"upper('abc \xc3\xa4\xd0\xb6')", "ABC \xc3\x84\xd0\x96"},
    {"trim('  a b  ')", "a b"},
    {"trim(BOTH 'x' FROM 'xxaxx')", "a"},
    {"trim(LEADING 'x' FROM 'xxaxx')", "axx"},
    {"trim(TRAILING 'x' FROM 'xxaxx')", "xxa"},
    {"trim('xy' FROM 'xyaxy')", "a"},
    {"trim('xxaxx', 'x')", "a"},
    {"trim(LEADING FROM '  a ')", "a "},
    {"ltrim('  a ')", "a "},
    {"rtrim(' a  ')", " a"},
    {"btrim('\xc3\xa4"
     "a\xc3\xa4', '\xc3\xa4')",
     "a"},
    {"btrim('')", ""},
    {"substr('hello', 2)", "ello"},
    {"substr('hello', 2, 3)", "ell"},
    {"substr('hello', -1, 3)", "h"},
    {"substr('hello', 0)", "hello"},
    {"substr('hello', 9)", ""},
    {"substr('hello', 2, -1)", "!22011"},
    {"substr('hello', 2, 9223372036854775807)", "ello"},
    {"substring('hello' FROM 2 FOR 2)", "el"},
    {"substring('hello' FROM 3)", "llo"},
    {"substring('hello' FOR 2)", "he"},
    {"substring('h\xc3\xa9llo', 2, 1)", "\xc3\xa9"},
    {"substr(by, 2, 1)", "\\x02"},
    {"left('hello', 2)", "he"},
    {"left('hello', -2)", "hel"},
    {"left('hello', -9)", ""},
    {"left('hello', 99)", "hello"},
    {"right('hello', 2)", "lo"},
    {"right('hello', -2)", "llo"},
    {"right('hello', 99)", "hello"},
    {"right('hello', -9223372036854775808)", ""},
    {"lpad('7', 3, '0')", "007"},
    {"lpad('hello', 3)", "hel"},
    {"lpad('a', 4, 'xy')", "xyxa"},
    {"lpad('a', 3)", "  a"},
    {"lpad('a', 8, 'x\xc3\xa4y')", "x\xc3\xa4yx\xc3\xa4yxa"},
    {"rpad('a', 3, '\xc3\xa4\xc3\xb6\xc3\xbc')", "a\xc3\xa4\xc3\xb6"},
    {"length(rpad('', 60000000, 'ab'))", "60000000"},
    {"length(repeat('abc', 20000000))", "60000000"},
    {"rpad('a', 4, 'xy')", "axyx"},
    {"rpad('a', 3, '')", "a"},
    {"lpad('a', -1)", ""},
    {"lpad('a', 999999999999)", "!54000"},
    {"replace('banana', 'an', 'AN')", "bANANa"},
    {"replace('banana', '', 'x')", "banana"},
    {"replace('banana', 'zz', 'x')", "banana"},
    {"concat('a', 1, NULL, TRUE, 2.5)", "a1true2.5"},
    {"concat(NULL)", ""},
    {"concat_ws('-', 'a', NULL, 'b', 3)", "a-b-3"},
    {"concat_ws(NULL, 'a', 'b')", "NULL"},
    {"'a' || 'b'", "ab"},
    {"t || i", "hello10"},
    {"i || t", "10hello"},
    {"'a' || NULL", "NULL"},
    {"i || s", "!42883"},
    {"by || '\\x00'", "\\x0102ff00"},
    {"'a' || 'b' || 1 || 'c'", "ab1c"},
    {"strpos('hello', 'l')", "3"},
    {"strpos('h\xc3\xa9llo', 'l')", "3"},
    {"strpos('hello', 'z')", "0"},
    {"strpos('hello', '')", "1"},
    {"position('l' IN 'hello')", "3"},
    {"position('l', 'hello')", "3"},
    {"split_part('a,b,c', ',', 2)", "b"},
    {"split_part('a,b,c', ',', 4)", ""},
    {"split_part('a,b,c', ',', -1)", "c"},
    {"split_part('a,b,c', ',', -3)", "a"},
    {"split_part('a,b,c', ',', -4)", ""},
    {"split_part('a,b,c', ',', 0)", "!22023"},
    {"split_part('abc', '', 1)", "abc"},
    {"starts_with('hello', 'he')", "true"},
    {"starts_with('hello', 'lo')", "false"},
    {"ends_with('hello', 'lo')", "true"},
    {"reverse('h\xc3\xa9llo')", "oll\xc3\xa9h"},
    {"repeat('ab', 3)", "ababab"},
    {"repeat('ab', 0)", ""},
    {"repeat('ab', 9999999999)", "!54000"},
    {"ascii('a')", "97"},
    {"chr(233)", "\xc3\xa9"},
    {"chr(0)", "!54000"},
    {"encode(by, 'hex')", "0102ff"},
    {"decode('0aFF', 'hex')", "\\x0aff"},
    {"nosuch(1)", "!42883"},
    {"lenght('a')", "!42883"},
    {"lower(DISTINCT 'A')", "!42809"},
};

static const struct row math_rows[] = {
    {"abs(-5)", "5"},
    {"abs(-2.50)", "2.50"},
    {"abs(-1e0)", "1"},
    {"abs(-9223372036854775808)", "!22003"},
    {"sign(-3)", "-1"},
    {"sign(0.5)", "1"},
    {"round(2.5)", "3"},
    {"round(-2.5)", "-3"},
    {"round(2.345, 2)", "2.35"},
    {"round(2.345, 5)", "2.34500"},
    {"round(1234.5, -2)", "1200"},
    {"round(2.5e0)", "2"},
    {"round(2.345e0, 2)", "2.35"},
    {"round(1250, -2)", "1300"},
    {"round(1250, 2)", "1250"},
    {"round(9223372036854775807, -1)", "!22003"},
    {"ceil(1.2)", "2"},
    {"ceil(-1.2)", "-1"},
    {"ceiling(1.2e0)", "2"},
    {"floor(-1.2)", "-2"},
    {"floor(1.9e0)", "1"},
    {"floor(7)", "7"},
    {"trunc(1.99)", "1"},
    {"trunc(-1.99, 1)", "-1.9"},
    {"trunc(1259, -2)", "1200"},
    {"mod(7, 3)", "1"},
    {"mod(-7, 3)", "-1"},
    {"mod(7.5, 2)", "1.5"},
    {"mod(7, 0)", "!22012"},
    {"power(2, 10)", "1024"},
    {"pow(2, 0.5)", "1.4142135623730951"},
    {"power(0, -1)", "!2201F"},
    {"power(-8, 0.5)", "!2201F"},
    {"power(10, 400)", "!22003"},
    {"sqrt(16)", "4"},
    {"sqrt(-1)", "!2201F"},
    {"exp(0)", "1"},
    {"exp(1000)", "!22003"},
    {"ln(1)", "0"},
    {"ln(0)", "!2201E"},
    {"log(100)", "2"},
    {"log10(1000)", "3"},
    {"log(2, 8)", "3"},
    {"ln(-1)", "!2201E"},
    {"pi()", "3.141592653589793"},
    {"sqrt(NULL)", "NULL"},
    {"abs('x')", "!22P02"},
    {"abs('-5')", "5"},
    {"sqrt(t)", "!42883"},
};

static const struct row time_rows[] = {
    {"now()", "2023-11-14 22:13:20.123456"},
    {"CURRENT_TIMESTAMP", "2023-11-14 22:13:20.123456"},
    {"current_timestamp()", "2023-11-14 22:13:20.123456"},
    {"CURRENT_DATE", "2023-11-14"},
    {"CURRENT_TIME", "22:13:20.123456"},
    {"date_trunc('hour', ts)", "2024-02-29 13:00:00"},
    {"date_trunc('DAY', ts)", "2024-02-29 00:00:00"},
    {"date_trunc('week', ts)", "2024-02-26 00:00:00"},
    {"date_trunc('month', ts)", "2024-02-01 00:00:00"},
    {"date_trunc('quarter', dt)", "2024-01-01 00:00:00"},
    {"date_trunc('year', ts)", "2024-01-01 00:00:00"},
    {"date_trunc('century', ts)", "2001-01-01 00:00:00"},
    {"date_trunc('second', TIMESTAMP '1969-12-31 23:59:59.5')", "1969-12-31 23:59:59"},
    {"date_trunc('dow', ts)", "!22023"},
    {"date_trunc('nonsense', ts)", "!22023"},
    {"date_part('year', ts)", "2024"},
    {"extract(month FROM ts)", "2"},
    {"extract(DAY FROM dt)", "29"},
    {"extract('hour' FROM ts)", "13"},
    {"extract(second FROM ts)", "56.789012"},
    {"extract(milliseconds FROM ts)", "56789.012"},
    {"extract(epoch FROM TIMESTAMP '1970-01-02')", "86400"},
    {"extract(dow FROM dt)", "4"},
    {"extract(isodow FROM DATE '2024-03-03')", "7"},
    {"extract(dow FROM DATE '2024-03-03')", "0"},
    {"extract(doy FROM dt)", "60"},
    {"extract(week FROM DATE '2021-01-03')", "53"},
    {"extract(isoyear FROM DATE '2021-01-03')", "2020"},
    {"extract(quarter FROM dt)", "1"},
    {"extract(minute FROM tm)", "45"},
    {"extract(year FROM tm)", "!22023"},
    {"extract(hour FROM dt)", "!22023"},
    {"to_timestamp(0)", "1970-01-01 00:00:00"},
    {"to_timestamp(1.5)", "1970-01-01 00:00:01.5"},
    {"to_timestamp(1e18)", "!22008"},
    {"make_date(2024, 2, 29)", "2024-02-29"},
    {"make_date(2023, 2, 29)", "!22008"},
    {"ts > now()", "true"},
};

static const struct row json_rows[] = {
    {"j -> 'a'", "1"},
    {"j ->> 'a'", "1"},
    {"j -> 'b' -> 1", "\"x\""},
    {"j -> 'b' ->> 1", "x"},
    {"j -> 'b' ->> 2", "NULL"},
    {"j -> 'b' -> 2", "null"},
    {"j -> 'b' -> 3 -> 'c'", "true"},
    {"j -> 'b' -> -1 ->> 'c'", "true"},
    {"j -> 'b' -> 9", "NULL"},
    {"j -> 'b' -> -9", "NULL"},
    {"j ->> 'key'", "q\"\xc3\xa9"},
    {"j -> 'none'", "NULL"},
    {"j -> 0", "NULL"},
    {"j ? 'a'", "true"},
    {"j ? 'key'", "true"},
    {"j ? 'zz'", "false"},
    {"'[\"p\", \"q\"]'::JSON ? 'q'", "true"},
    {"'{\"a\":1,\"a\":2}'::JSON ->> 'a'", "2"},
    {"'{\"a\": {\"b\": \"}\"}, \"c\": 3}'::JSON ->> 'c'", "3"},
    {"'\"\\ud83d\\ude00\"'::JSON -> 'a'", "NULL"},
    {"('[\"\\ud83d\\ude00\"]'::JSON ->> 0)", "\xf0\x9f\x98\x80"},
    {"'[1.5e3]'::JSON ->> 0", "1.5e3"},
    {"json_typeof(j)", "object"},
    {"json_typeof(j -> 'b')", "array"},
    {"json_typeof('null')", "null"},
    {"json_typeof('-1')", "number"},
    {"json_typeof('  \"x\"')", "string"},
    {"json_array_length(j -> 'b')", "4"},
    {"json_array_length('[]')", "0"},
    {"json_array_length(j)", "!22023"},
    {"json_valid('{\"a\": [1, 2]}')", "true"},
    {"json_valid('{a}')", "false"},
    {"t -> 'a'", "!42883"},
    {"(j ->> 'a')::INT + 1", "2"},
};

static const struct row session_rows[] = {
    {"CURRENT_USER", "alice"},
    {"current_user()", "alice"},
    {"CURRENT_ROLE", "service"},
    {"random() BETWEEN 0 AND 1", "true"},
    {"length(gen_random_uuid()::TEXT)", "36"},
    {"substr(gen_random_uuid()::TEXT, 15, 1)", "4"},
    {"count(*)", "!42803"},
    {"sum(i)", "!42803"},
};

static void check(const struct row *rows, size_t count) {
    struct expr_fixture f;
    struct lam_error err;
    for (size_t k = 0; k < count; k++) {
        expr_setup(&f);
        const char *got = expr_text(&f, rows[k].text, 0, &err);
        ck_assert_msg(strcmp(got, rows[k].expected) == 0, "%s: expected %s, got %s (%s)",
                      rows[k].text, rows[k].expected, got, err.message);
        const char *null = expr_text(&f, rows[k].text, 2, &err);
        ck_assert_msg(null != NULL, "%s", rows[k].text);
        expr_teardown(&f);
    }
}
#define CHECK(rows) check(rows, sizeof rows / sizeof rows[0])

START_TEST(text_functions_count_characters) {
    CHECK(text_rows);
}
END_TEST

START_TEST(math_functions_check_domain_and_range) {
    CHECK(math_rows);
}
END_TEST

START_TEST(time_functions_work_in_utc) {
    CHECK(time_rows);
}
END_TEST

START_TEST(json_operators_walk_the_text) {
    CHECK(json_rows);
}
END_TEST

START_TEST(session_functions_read_the_run) {
    CHECK(session_rows);
}
END_TEST

START_TEST(a_misspelt_function_brings_a_hint) {
    struct expr_fixture f;
    struct lam_error err;
    expr_setup(&f);
    ck_assert_str_eq(expr_text(&f, "lenght('a')", 0, &err), "!42883");
    ck_assert_str_eq(err.hint, "did you mean length?");
    ck_assert_str_eq(expr_text(&f, "length(dt)", 0, &err), "!42883");
    ck_assert_str_eq(err.message, "function length(DATE) does not exist");
    expr_teardown(&f);
}
END_TEST

/* Runs `text` with $1, a JSON value of these bytes. */
static const char *json_text(struct expr_fixture *f, struct lam_slice bytes, const char *text) {
    struct lam_error err;
    f->parameter_types[0] = coltype_of(LAM_TYPE_JSON);
    f->parameters[0] = value_bytes(LAM_TYPE_JSON, bytes);
    return expr_text(f, text, 0, &err);
}

/* Rows are not checked again when they are read, and a forged file holds what it likes. */
START_TEST(json_operators_come_to_an_end_on_any_bytes) {
    static const char *const forged[] = {"[}",      "[1}2",   "[,",         "{\"a\"",
                                         "{\"a\":", "[\"\\u", "[\"\\ud8zz", "{\"\\uzzzz\":1}",
                                         "[\"\\",   "[[[",    "{\"a\" 1"};
    struct expr_fixture f;
    expr_setup(&f);
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        struct lam_slice bytes = lam_slice_str(forged[i]);
        json_text(&f, bytes, "json_array_length($1)");
        json_text(&f, bytes, "$1 ->> 0");
        json_text(&f, bytes, "$1 ->> -1");
        json_text(&f, bytes, "$1 ->> 'a'");
        json_text(&f, bytes, "$1 ? 'a'");
    }
    ck_assert_str_eq(json_text(&f, lam_slice_str("[1}2"), "$1 ->> 1"), "NULL");
    expr_teardown(&f);
}
END_TEST

START_TEST(json_has_walks_an_array_once) {
    struct expr_fixture f;
    struct buf array = {0};
    expr_setup(&f);
    ck_assert(buf_append_str(&array, "[0", NULL) == LAM_OK);
    for (int i = 0; i < 300000; i++)
        ck_assert(buf_append_str(&array, ",\"y\"", NULL) == LAM_OK);
    ck_assert(buf_append_str(&array, ",\"last\"]", NULL) == LAM_OK);
    ck_assert_str_eq(json_text(&f, buf_slice(&array), "$1 ? 'last'"), "true");
    ck_assert_str_eq(json_text(&f, buf_slice(&array), "$1 ? 'none'"), "false");
    buf_fini(&array);
    expr_teardown(&f);
}
END_TEST

TEST_MAIN("sql/func", text_functions_count_characters, math_functions_check_domain_and_range,
          time_functions_work_in_utc, json_operators_walk_the_text, session_functions_read_the_run,
          a_misspelt_function_brings_a_hint, json_operators_come_to_an_end_on_any_bytes,
          json_has_walks_an_array_once)
