/* SPDX-License-Identifier: Apache-2.0
 *
 * What is JSON and what is not. */
#include "base/buf.h"
#include "catalog/value.h"
#include "tests/support/test.h"

static bool valid(const char *text) {
    return json_valid(lam_slice_str(text), NULL);
}

static size_t bad_at(const char *text) {
    size_t bad = 9999;
    ck_assert(!json_valid(lam_slice_str(text), &bad));
    return bad;
}

START_TEST(values_of_every_kind_are_valid) {
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5",
        "1e5",
        "1E+5",
        "0.1e-10",
        "\"\"",
        "\"a\\n\\u00e4\\\\\\\"\\/\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        " [1 , 2 ] ",
        "{\"a\":1}",
        "{\"a\" : {\"b\":[[],{}]} , \"\":null}",
        "\t\r\n 1 \t",
        "[[[[]]]]",
        "\"\xe2\x82\xac\"",
        "\"\\ud800\"",
        "\"\x7f\"",
        "{\"a\":1,\"a\":2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!valid(texts[i]))
            ck_abort_msg("%s is JSON", texts[i]);
}
END_TEST

START_TEST(what_is_not_json_is_refused) {
    static const char *const texts[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "NaN",
        "Infinity",
        "'a'",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"\n\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "[] []",
        "{}x",
        "[:]",
        "{,}",
        "\"a\"\"b\"",
        "\"\xff\"",
        "\"\xed\xa0\x80\"",
        "[1]]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (valid(texts[i]))
            ck_abort_msg("%s is not JSON", texts[i]);
    ck_assert(!json_valid(lam_slice_of("1\0", 2), NULL));
    ck_assert(!json_valid(lam_slice_of("\"\0\"", 3), NULL));
    ck_assert(!json_valid(SLICE_EMPTY, NULL));
}
END_TEST

START_TEST(the_offset_points_at_the_fault) {
    ck_assert_uint_eq(bad_at(""), 0);
    ck_assert_uint_eq(bad_at("[1,]"), 3);
    ck_assert_uint_eq(bad_at("{\"a\" 1}"), 5);
    ck_assert_uint_eq(bad_at("1 x"), 2);
    ck_assert_uint_eq(bad_at("\"ab\xff\""), 3);
}
END_TEST

START_TEST(nesting_ends_at_200) {
    char text[1000];
    for (int depth = 199; depth <= 201; depth++) {
        int n = 0;
        for (int i = 0; i < depth; i++)
            n += sprintf(text + n, "%s", i % 2 ? "[" : "{\"\":");
        text[n++] = '1';
        for (int i = depth - 1; i >= 0; i--)
            text[n++] = i % 2 ? ']' : '}';
        ck_assert_int_eq(json_valid(lam_slice_of(text, (size_t)n), NULL), depth <= 200);
    }
}
END_TEST

START_TEST(a_million_brackets_do_not_overflow_the_stack) {
    size_t size = 1000000;
    char *text = malloc(size);
    memset(text, '[', size);
    ck_assert(!json_valid(lam_slice_of(text, size), NULL));
    free(text);
}
END_TEST

START_TEST(strings_are_escaped_to_valid_json) {
    struct buf out = {0};
    struct lam_error err;
    char all[0x80];
    for (int i = 0; i < 0x80; i++)
        all[i] = (char)i;
    ck_ok(json_append_string(&out, lam_slice_of(all, sizeof all), &err), &err);
    ck_assert(json_valid(buf_slice(&out), NULL));
    buf_reset(&out);
    ck_ok(json_append_string(&out, lam_slice_str("a\"\\\n\x01\xc3\xa4"), &err), &err);
    ck_assert(slice_eq_str(buf_slice(&out), "\"a\\\"\\\\\\n\\u0001\xc3\xa4\""));
    buf_reset(&out);
    ck_ok(json_append_string(&out, SLICE_EMPTY, &err), &err);
    ck_assert(slice_eq_str(buf_slice(&out), "\"\""));
    buf_fini(&out);
}
END_TEST

TEST_MAIN("catalog/json", values_of_every_kind_are_valid, what_is_not_json_is_refused,
          the_offset_points_at_the_fault, nesting_ends_at_200,
          a_million_brackets_do_not_overflow_the_stack, strings_are_escaped_to_valid_json)
