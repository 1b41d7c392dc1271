/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/lexer.h"
#include "tests/support/test.h"

static enum lam_code lex_all(const char *text, size_t size, struct token *tokens, size_t room,
                             size_t *count, struct lam_error *err) {
    struct lexer lx;
    lexer_init(&lx, lam_slice_of(text, size));
    for (*count = 0; *count < room; (*count)++) {
        enum lam_code rc = lexer_next(&lx, &tokens[*count], err);
        if (rc != LAM_OK || tokens[*count].kind == TOK_END)
            return rc;
    }
    ck_abort_msg("too many tokens");
}

static void expect_kinds(const char *text, const enum token_kind *kinds, size_t n) {
    struct token tokens[64];
    struct lam_error err = {0};
    size_t count;
    ck_ok(lex_all(text, strlen(text), tokens, 64, &count, &err), &err);
    ck_assert_msg(count == n, "%s: %zu tokens, expected %zu", text, count, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(tokens[i].kind == kinds[i], "%s: token %zu is %d, expected %d", text, i,
                      tokens[i].kind, kinds[i]);
}
#define KINDS(text, ...)                                                                           \
    do {                                                                                           \
        enum token_kind k[] = {__VA_ARGS__};                                                       \
        expect_kinds(text, k, sizeof k / sizeof k[0]);                                             \
    } while (0)

static void expect_error(const char *text, size_t size, const char *sqlstate, uint32_t pos) {
    struct token tokens[64];
    struct lam_error err = {0};
    size_t count;
    ck_code(lex_all(text, size, tokens, 64, &count, &err), LAM_SQL);
    ck_assert_msg(strcmp(err.sqlstate, sqlstate) == 0 && err.pos == pos,
                  "%s: %s at %u (%s), expected %s at %u", text, err.sqlstate, err.pos, err.message,
                  sqlstate, pos);
}

START_TEST(operators_take_the_longest_match) {
    KINDS("a->>b->c", TOK_NAME, TOK_ARROW_TEXT, TOK_NAME, TOK_ARROW, TOK_NAME);
    KINDS("<> != <= >= < > = ==", TOK_NE, TOK_NE, TOK_LE, TOK_GE, TOK_LT, TOK_GT, TOK_EQ, TOK_EQ);
    KINDS("a::b||c", TOK_NAME, TOK_CAST, TOK_NAME, TOK_CONCAT, TOK_NAME);
    KINDS("a -b", TOK_NAME, TOK_MINUS, TOK_NAME);
    KINDS("? $12 (,);[]", TOK_QUESTION, TOK_PARAMETER, TOK_LPAREN, TOK_COMMA, TOK_RPAREN,
          TOK_SEMICOLON, TOK_LBRACKET, TOK_RBRACKET);
    KINDS("a ~ b & c | d # e @ f ! g : h", TOK_NAME, TOK_OTHER, TOK_NAME, TOK_OTHER, TOK_NAME,
          TOK_OTHER, TOK_NAME, TOK_OTHER, TOK_NAME, TOK_OTHER, TOK_NAME, TOK_OTHER, TOK_NAME,
          TOK_OTHER, TOK_NAME);
}
END_TEST

START_TEST(numbers_come_in_three_kinds) {
    KINDS("1 1.5 .5 5. 1e3 1.5E-3 1.e+2", TOK_INTEGER, TOK_DECIMAL, TOK_DECIMAL, TOK_DECIMAL,
          TOK_FLOAT, TOK_FLOAT, TOK_FLOAT);
    expect_error("12abc", 5, "42601", 1);
    expect_error("1 2e", 4, "42601", 3);
}
END_TEST

START_TEST(comments_are_blanks_and_nest) {
    KINDS("a -- b\n c", TOK_NAME, TOK_NAME);
    KINDS("a /* x /* y */ z */ b", TOK_NAME, TOK_NAME);
    {
        struct token t[2];
        struct lam_error err = {0};
        size_t count;
        ck_ok(lex_all("-- only", 7, t, 2, &count, &err), &err);
        ck_assert_uint_eq(count, 0);
    }
    expect_error("a /* x /* */", 12, "42601", 3);
}
END_TEST

START_TEST(strings_are_decoded) {
    const struct {
        const char *text, *content;
    } rows[] = {{"'a''b'", "a'b"},
                {"''", ""},
                {"E'a\\n\\'b\\x41\\u00e9'", "a\n'bA\xc3\xa9"},
                {"e'\\101''x'", "A'x"},
                {"$$a'b$$", "a'b"},
                {"$q$ $$ $q$", " $$ "},
                {"'a\\n'", "a\\n"},
                {"E'\\U0001F600'", "\xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct lexer lx;
        struct token t;
        struct lam_slice s;
        struct lam_error err = {0};
        lexer_init(&lx, lam_slice_str(rows[i].text));
        ck_ok(lexer_next(&lx, &t, &err), &err);
        ck_assert(token_is_string(&t));
        ck_ok(token_string(&lx, &t, &arena, &s, &err), &err);
        ck_assert_msg(slice_eq_str(s, rows[i].content), "%s", rows[i].text);
        arena_fini(&arena);
    }
}
END_TEST

START_TEST(bad_strings_are_errors) {
    struct arena arena = {0};
    struct lexer lx;
    struct token t;
    struct lam_slice s;
    struct lam_error err = {0};
    expect_error("a 'b", 4, "42601", 3);
    expect_error("\"b", 2, "42601", 1);
    expect_error("$$ b", 4, "42601", 1);
    expect_error("E'\\'", 4, "42601", 1);
    const char *bad[] = {"E'\\uD800'", "E'\\xff'", "E'\\000'", "E'\\u12'"};
    for (size_t i = 0; i < 4; i++) {
        lexer_init(&lx, lam_slice_str(bad[i]));
        ck_ok(lexer_next(&lx, &t, &err), &err);
        ck_code(token_string(&lx, &t, &arena, &s, &err), LAM_SQL);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(names_fold_and_quotes_keep) {
    struct arena arena = {0};
    struct lexer lx;
    struct token t;
    struct lam_slice s;
    struct lam_error err = {0};
    const char *text = "FooBar \"Foo\"\"Bar\" SELECT _x1";
    const char *names[] = {"foobar", "Foo\"Bar", "select", "_x1"};
    lexer_init(&lx, lam_slice_str(text));
    for (int i = 0; i < 4; i++) {
        ck_ok(lexer_next(&lx, &t, &err), &err);
        ck_assert_int_eq(t.keyword, i == 2 ? KW_SELECT : KW_NONE);
        ck_ok(token_name(&lx, &t, &arena, &s, &err), &err);
        ck_assert(slice_eq_str(s, names[i]));
    }
    lexer_init(&lx, lam_slice_str("\"\""));
    ck_ok(lexer_next(&lx, &t, &err), &err);
    ck_code(token_name(&lx, &t, &arena, &s, &err), LAM_SQL);
    arena_fini(&arena);
}
END_TEST

START_TEST(positions_count_characters) {
    struct token tokens[8];
    struct lam_error err = {0};
    size_t count;
    const char *text = "'\xc3\xa9\xf0\x9f\x98\x80' /* \xc3\xa9 */ x \"\xc3\xa4\" y";
    ck_ok(lex_all(text, strlen(text), tokens, 8, &count, &err), &err);
    ck_assert_uint_eq(count, 4);
    ck_assert_uint_eq(tokens[0].pos, 1);
    ck_assert_uint_eq(tokens[1].pos, 14);
    ck_assert_uint_eq(tokens[2].pos, 16);
    ck_assert_uint_eq(tokens[3].pos, 20);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_refused) {
    expect_error("a '\xff'", 5, "22021", 4);
    expect_error("\xc3\x28", 2, "22021", 1);
    expect_error("-- \xc3", 4, "22021", 4);
    expect_error("a\0b", 3, "22021", 2);
    expect_error("'a\0b'", 5, "22021", 3);
}
END_TEST

START_TEST(keywords_are_sorted_so_that_search_finds_each) {
    for (int k = 1; k < KW_COUNT; k++) {
        struct lexer lx;
        struct token t;
        struct lam_error err = {0};
        lexer_init(&lx, lam_slice_str(keyword_name((enum keyword)k)));
        ck_ok(lexer_next(&lx, &t, &err), &err);
        ck_assert_msg(t.keyword == (enum keyword)k, "%s is not found",
                      keyword_name((enum keyword)k));
    }
}
END_TEST

TEST_MAIN("sql/lexer", operators_take_the_longest_match, numbers_come_in_three_kinds,
          comments_are_blanks_and_nest, strings_are_decoded, bad_strings_are_errors,
          names_fold_and_quotes_keep, positions_count_characters, text_that_is_not_utf8_is_refused,
          keywords_are_sorted_so_that_search_finds_each)
