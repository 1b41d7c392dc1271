/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "tests/support/test.h"

START_TEST(every_code_has_its_name_and_text) {
    ck_assert_str_eq(lam_code_name(LAM_OK), "LAM_OK");
    ck_assert_str_eq(lam_code_name(LAM_UNKNOWN_OUTCOME), "LAM_UNKNOWN_OUTCOME");
    ck_assert_str_eq(lam_code_text(LAM_CORRUPT), "corrupt data");
    ck_assert_str_eq(lam_code_name((enum lam_code)99), "LAM_?");
}
END_TEST

START_TEST(set_fills_all_fields_and_clears_older_ones) {
    struct lam_error err = {0};
    ck_code(ERR_SQL(&err, "42P01", 7, "no table %s", "t"), LAM_SQL);
    ck_code(error_hint(&err, LAM_SQL, "try %d", 2), LAM_SQL);
    ck_assert_str_eq(err.sqlstate, "42P01");
    ck_assert_uint_eq(err.pos, 7);
    ck_assert_str_eq(err.hint, "try 2");
    err.os_errno = 5;
    ck_code(ERR(&err, LAM_IO, "reading %s", "x"), LAM_IO);
    int line = __LINE__ - 1;
    ck_assert_int_eq(err.code, LAM_IO);
    ck_assert_str_eq(err.message, "reading x");
    ck_assert_str_eq(err.sqlstate, "");
    ck_assert_str_eq(err.hint, "");
    ck_assert_int_eq(err.os_errno, 0);
    ck_assert_uint_eq(err.pos, 0);
    ck_assert_int_eq(err.line, line);
    ck_contains(err.file, "test_error.c");
}
END_TEST

START_TEST(null_error_is_accepted_everywhere) {
    ck_code(ERR(NULL, LAM_BUSY, "x"), LAM_BUSY);
    ck_code(ERR_SQL(NULL, "00000", 0, "x"), LAM_SQL);
    ck_code(error_hint(NULL, LAM_BUSY, "x"), LAM_BUSY);
    ck_code(error_context(NULL, LAM_BUSY, "x"), LAM_BUSY);
}
END_TEST

START_TEST(context_goes_before_the_message) {
    struct lam_error err;
    ERR(&err, LAM_CORRUPT, "bad block");
    ck_code(error_context(&err, LAM_CORRUPT, "opening %s", "db"), LAM_CORRUPT);
    ck_assert_str_eq(err.message, "opening db: bad block");
}
END_TEST

START_TEST(own_message_may_be_an_argument) {
    struct lam_error err;
    ERR(&err, LAM_IO, "inner");
    ERR(&err, LAM_CORRUPT, "outer (%s)", err.message);
    ck_assert_str_eq(err.message, "outer (inner)");
}
END_TEST

START_TEST(long_text_ends_in_dots) {
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct lam_error err;
    ERR(&err, LAM_IO, "%s", text);
    size_t length = sizeof err.message - 1;
    ck_assert_uint_eq(strlen(err.message), length);
    ck_assert_str_eq(err.message + length - 4, "a...");
    error_context(&err, LAM_IO, "context");
    ck_assert_uint_eq(strlen(err.message), length);
    ck_assert(strncmp(err.message, "context: aaa", 12) == 0);
    ck_assert_str_eq(err.message + length - 4, "a...");
    error_hint(&err, LAM_IO, "%s", text);
    ck_assert_str_eq(err.hint + sizeof err.hint - 5, "a...");
}
END_TEST

/* "é" is two bytes: at every alignment the text before the dots is whole characters. */
START_TEST(cut_does_not_split_a_character) {
    for (int shift = 0; shift < 2; shift++) {
        char text[2001] = "";
        if (shift)
            strcat(text, "a");
        while (strlen(text) < 1998)
            strcat(text, "\xC3\xA9");
        struct lam_error err;
        ERR(&err, LAM_IO, "%s", text);
        size_t length = strlen(err.message);
        ck_assert_str_eq(err.message + length - 3, "...");
        ck_assert_uint_eq((unsigned char)err.message[length - 4], 0xA9);
    }
}
END_TEST

static enum lam_code fail_when(bool fail, struct lam_error *err) {
    return fail ? ERR(err, LAM_LIMIT, "failed") : LAM_OK;
}

static enum lam_code try_both(bool first, bool second, int *passed, struct lam_error *err) {
    enum lam_code rc;
    TRY(fail_when(first, err));
    ++*passed;
    TRY_GOTO(fail_when(second, err));
    ++*passed;
out:
    return rc;
}

START_TEST(try_macros_stop_at_the_first_failure) {
    int passed = 0;
    ck_code(try_both(true, true, &passed, NULL), LAM_LIMIT);
    ck_assert_int_eq(passed, 0);
    ck_code(try_both(false, true, &passed, NULL), LAM_LIMIT);
    ck_assert_int_eq(passed, 1);
    ck_code(try_both(false, false, &passed, NULL), LAM_OK);
    ck_assert_int_eq(passed, 3);
}
END_TEST

TEST_MAIN("base/error", every_code_has_its_name_and_text,
          set_fills_all_fields_and_clears_older_ones, null_error_is_accepted_everywhere,
          context_goes_before_the_message, own_message_may_be_an_argument, long_text_ends_in_dots,
          cut_does_not_split_a_character, try_macros_stop_at_the_first_failure)
