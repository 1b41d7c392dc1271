/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/like.h"

#include "base/utf8.h"
#include "tests/support/test.h"

static bool like(const char *text, const char *pattern, const char *escape, bool fold) {
    struct arena arena = {0};
    struct like_scratch scratch = {0};
    const struct like_pattern *p = NULL;
    struct lam_error err = {0};
    bool match = false;
    ck_ok(like_compile(lam_slice_str(pattern), lam_slice_str(escape), fold, &arena, &p, &err),
          &err);
    ck_ok(like_match(p, lam_slice_str(text), &scratch, &match, &err), &err);
    like_scratch_fini(&scratch);
    arena_fini(&arena);
    return match;
}

static const struct {
    const char *text, *pattern;
    bool match;
} rows[] = {
    {"abc", "abc", true},
    {"abc", "ABC", false},
    {"abc", "a%", true},
    {"abc", "%c", true},
    {"abc", "%b%", true},
    {"abc", "a_c", true},
    {"abc", "___", true},
    {"abc", "__", false},
    {"abc", "____", false},
    {"", "", true},
    {"", "%", true},
    {"", "_", false},
    {"abc", "%", true},
    {"abc", "%%", true},
    {"abc", "%%%c", true},
    {"abc", "a%b%c", true},
    {"abc", "a%c%b", false},
    {"aab", "a%ab", true},
    {"ab", "a%ab", false},
    {"aa", "a%a", true},
    {"a", "a%a", false},
    {"abcabc", "%abc", true},
    {"abcabd", "%abc", false},
    {"xaybz", "%a_b%", true},
    {"xabz", "%a_b%", false},
    {"a%c", "a\\%c", true},
    {"abc", "a\\%c", false},
    {"a_c", "a\\_c", true},
    {"abc", "a\\_c", false},
    {"a\\c", "a\\\\c", true},
    {"h\xc3\xa9llo", "h_llo", true},
    {"h\xc3\xa9llo", "h__llo", false},
    {"\xf0\x9f\x98\x80x", "_x", true},
    {"\xc3\xa9\xc3\xa9", "%_\xc3\xa9", true},
    {"mississippi", "%iss%ip%", true},
    {"mississippi", "m%i_s%pi", true},
    {"mississippi", "%s_s%s_p%", true},
    {"mississippi", "%s_s%s_p%i_", false},
    {"aXbXc", "%X%X%", true},
    {"abc", "_%_%_", true},
    {"ab", "_%_%_", false},
    {"abab", "%_b", true},
    {"b", "%_b", false},
};

START_TEST(patterns_match_as_in_sql) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(like(rows[i].text, rows[i].pattern, "\\", false) == rows[i].match,
                      "'%s' LIKE '%s'", rows[i].text, rows[i].pattern);
}
END_TEST

START_TEST(ilike_folds_case) {
    ck_assert(like("Hello", "hELLO", "\\", true));
    ck_assert(like("\xc3\x84rger", "\xc3\xa4%", "\\", true));
    ck_assert(like("\xd0\x96", "\xd0\xb6", "\\", true));
    ck_assert(!like("Hello", "hELL", "\\", true));
}
END_TEST

START_TEST(the_escape_may_be_chosen_or_none) {
    ck_assert(like("a%c", "a!%c", "!", false));
    ck_assert(!like("abc", "a!%c", "!", false));
    ck_assert(like("a\\bc", "a\\%c", "", false));
}
END_TEST

START_TEST(a_pattern_must_not_end_in_its_escape) {
    struct arena arena = {0};
    const struct like_pattern *p = NULL;
    struct lam_error err = {0};
    ck_code(like_compile(lam_slice_str("ab\\"), lam_slice_str("\\"), false, &arena, &p, &err),
            LAM_SQL);
    ck_assert_str_eq(err.sqlstate, "22025");
    arena_fini(&arena);
}
END_TEST

/* The definition, tried at every place. */
static bool model(const char *text, const char *pattern) {
    if (*pattern == 0)
        return *text == 0;
    if (*pattern == '%')
        return model(text, pattern + 1) || (*text && model(text + 1, pattern));
    return *text && (*pattern == '_' || *pattern == *text) && model(text + 1, pattern + 1);
}

START_TEST(random_patterns_agree_with_the_definition) {
    uint64_t seed = test_seed("like");
    for (int round = 0; round < 20000; round++) {
        char text[12], pattern[10];
        size_t n = 0, m = 0;
        for (; n < 11; n++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            if ((seed >> 40) % 9 == 0)
                break;
            text[n] = "ab"[(seed >> 50) & 1];
        }
        for (; m < 9; m++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            if ((seed >> 40) % 9 == 0)
                break;
            pattern[m] = "ab%_"[(seed >> 50) & 3];
        }
        text[n] = pattern[m] = 0;
        ck_assert_msg(like(text, pattern, "\\", false) == model(text, pattern), "'%s' LIKE '%s'",
                      text, pattern);
    }
}
END_TEST

START_TEST(hostile_patterns_take_linear_time) {
    enum { N = 1 << 18 };
    static char text[N + 1], pattern[4001];
    memset(text, 'a', N);
    for (int i = 0; i < 4000; i++)
        pattern[i] = i % 2 ? 'a' : '%';
    pattern[3999] = 'b';
    ck_assert(!like(text, pattern, "\\", false));
    for (int i = 0; i < 4000; i++)
        pattern[i] = i == 0 || i == 3999 ? '%' : i == 3998 ? 'b' : i % 50 ? 'a' : '_';
    ck_assert(!like(text, pattern, "\\", false));
    text[N - 1] = 'b';
    ck_assert(like(text, pattern, "\\", false));
}
END_TEST

TEST_MAIN("sql/like", patterns_match_as_in_sql, ilike_folds_case, the_escape_may_be_chosen_or_none,
          a_pattern_must_not_end_in_its_escape, random_patterns_agree_with_the_definition,
          hostile_patterns_take_linear_time)
