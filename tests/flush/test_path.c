/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "flush/path.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)

static struct lam_error err;

static const char *encoded(const char *user) {
    static struct buf out;
    const char *text;
    buf_reset(&out);
    ck_ok(flush_path_user(S(user), &out, &err), &err);
    ck_ok(buf_cstr(&out, &text, &err), &err);
    return text;
}

START_TEST(plain_ids_stay_and_others_are_escaped) {
    ck_assert_str_eq(encoded("alice-7_B"), "alice-7_B");
    ck_assert_str_eq(encoded("_x"), "%5Fx");
    ck_assert_str_eq(encoded("."), "%2E");
    ck_assert_str_eq(encoded(".."), "%2E%2E");
    ck_assert_str_eq(encoded("../x"), "%2E%2E%2Fx");
    ck_assert_str_eq(encoded("a/b\\c"), "a%2Fb%5Cc");
    ck_assert_str_eq(encoded("%41"), "%2541");
    ck_assert_str_eq(encoded("\xc3\xa9"), "%C3%A9");
    struct buf out = {0};
    ck_code(flush_path_user(S(""), &out, &err), LAM_INVALID);
    buf_fini(&out);
}
END_TEST

START_TEST(encoded_ids_fit_a_file_name_and_stay_apart) {
    char a[257], b[257];
    memset(a, '/', 256);
    a[256] = 0;
    memcpy(b, a, 257);
    b[255] = '.';
    char first[300];
    snprintf(first, sizeof first, "%s", encoded(a));
    ck_assert_uint_le(strlen(first), 200);
    ck_assert_int_eq(first[0], '_');
    ck_assert_str_ne(first, encoded(b));
    ck_assert_ptr_null(strchr(encoded(b), '/'));
}
END_TEST

/* As FORMAT.md has it: the whole of a hash of which nobody can make two ids meet. */
START_TEST(long_ids_are_cut_and_end_in_their_sha_256) {
    char id[122];
    memset(id, 'x', 121);
    id[121] = 0;
    ck_assert_str_eq(encoded(id),
                     "_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_"
                     "79072a47bfaa54e6057a9ee21e0dea64b9edbfd160c4ccadbb657e64b6d22ee4");
    ck_assert_str_eq(encoded(id + 1), id + 1);
    memset(id, '/', 41);
    id[41] = 0;
    ck_assert_str_eq(encoded(id),
                     "_%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F%_"
                     "bb432be69e6fe66042488d3161e20c6404e398defd27456fc456009e88788064");
}
END_TEST

START_TEST(encoding_is_one_to_one_on_random_ids) {
    struct rng r;
    rng_init(&r, test_seed("path"));
    static const char letters[] = "a_%./-2F5";
    enum { COUNT = 400 };
    static char ids[COUNT][8], names[COUNT][64];
    for (int i = 0; i < COUNT; i++) {
        size_t n = 1 + rng_below(&r, 6);
        for (size_t k = 0; k < n; k++)
            ids[i][k] = letters[rng_below(&r, sizeof letters - 1)];
        snprintf(names[i], sizeof names[i], "%s", encoded(ids[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < i; k++)
            ck_assert_int_eq(strcmp(ids[i], ids[k]) == 0, strcmp(names[i], names[k]) == 0);
    }
}
END_TEST

static void refused(const char *text, bool user_table, const char *why) {
    err = (struct lam_error){0};
    ck_code(flush_template_check(S(text), user_table, &err), LAM_SQL);
    ck_assert_str_eq(err.sqlstate, "22023");
    ck_contains(err.message, why);
}

START_TEST(templates_are_checked) {
    ck_ok(flush_template_check(S("{namespace}/{table}/${user_id}/"), true, &err), &err);
    ck_ok(flush_template_check(S("{namespace}/{tableName}/u-{userId}"), true, &err), &err);
    ck_ok(flush_template_check(S("a.b/{table}"), false, &err), &err);
    refused("", false, "is empty");
    refused("/data", false, "starts with '/'");
    refused("a/../b", false, "'..'");
    refused("a/./b", false, "'.'");
    refused("a//b", false, "empty part");
    refused("a\\b", false, "character");
    refused("{table}", true, "${user_id} once");
    refused("${user_id}/${user_id}", true, "${user_id} once");
    refused("${user_id}", false, "only USER tables");
    refused("{tabel}", false, "unknown placeholder");
    refused("{table", false, "unknown placeholder");
    refused("a$b", false, "character");
}
END_TEST

START_TEST(no_part_of_a_template_can_outgrow_a_name) {
    char text[300];
    ck_ok(flush_template_check(S("{namespace}_{table}_${user_id}/x"), true, &err), &err);
    ck_ok(flush_template_check(S("{namespace}{table}{table}"), false, &err), &err);
    refused("{namespace}{table}{table}{table}", false, "255 bytes");
    refused("a/${user_id}_{namespace}_{table}_{table}/b", true, "255 bytes");
    memset(text, 'x', sizeof text);
    text[256] = 0;
    refused(text, false, "255 bytes");
    text[255] = 0;
    ck_ok(flush_template_check(S(text), false, &err), &err);
    memcpy(text + 136, "${user_id}", 11);
    refused(text, true, "255 bytes");
    ck_ok(flush_template_check(S(text + 1), true, &err), &err);
}
END_TEST

static const char *expanded(const char *template_text, enum table_kind kind, const char *user) {
    static struct buf out;
    struct provider p = {.kind = kind, .namespace_name = "ns", .name = "t"};
    const char *text;
    buf_reset(&out);
    ck_ok(path_expand(template_text, &p, S(user), &out, &err), &err);
    ck_ok(buf_cstr(&out, &text, &err), &err);
    return text;
}

START_TEST(templates_are_filled_in) {
    ck_assert_str_eq(expanded("{namespace}/{table}/${user_id}/", TABLE_USER, "../x"),
                     "ns/t/%2E%2E%2Fx");
    ck_assert_str_eq(expanded("cold-{table}/by/u{userId}", TABLE_USER, "bob"), "cold-t/by/ubob");
    ck_assert_str_eq(expanded("{namespace}_{table_name}", TABLE_SHARED, ""), "ns_t");
    struct provider p = {.kind = TABLE_USER, .namespace_name = "ns", .name = "t"};
    struct buf root = {0};
    unsigned levels;
    const char *text;
    ck_ok(path_expand_root("x/{table}/u-${user_id}/deep/er/", &p, &root, &levels, &err), &err);
    ck_ok(buf_cstr(&root, &text, &err), &err);
    ck_assert_str_eq(text, "x/t");
    ck_assert_uint_eq(levels, 3);
    buf_fini(&root);
}
END_TEST

START_TEST(segment_names_are_told_from_others) {
    char name[SEGMENT_NAME_BYTES];
    uint64_t number;
    uint32_t tag;
    path_file_name(12, 0xab, name);
    ck_assert_str_eq(name, "batch-12-000000ab.parquet");
    ck_assert(path_file_name_parse(name, &number, &tag));
    ck_assert_uint_eq(number, 12);
    ck_assert_uint_eq(tag, 0xab);
    ck_assert(path_file_name_parse("batch-1-deadbeef.parquet.tmp", &number, &tag));
    static const char *const others[] = {"batch-1-deadbee.parquet",
                                         "batch-1-deadbeef.parquet.bak",
                                         "batch--deadbeef.parquet",
                                         "batch-1-DEADBEEF.parquet",
                                         "batch-1-deadbeef0.parquet",
                                         "xbatch-1-deadbeef.parquet",
                                         "batch-1-deadbeef.json",
                                         "manifest.json",
                                         "",
                                         "batch-"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert(!path_file_name_parse(others[i], &number, &tag));
}
END_TEST

START_TEST(only_bases_in_the_database_directory_are_ours) {
    ck_assert(path_base_is_ours("cold/"));
    ck_assert(path_base_is_ours("a/b..c"));
    ck_assert(!path_base_is_ours("/data"));
    ck_assert(!path_base_is_ours("../cold"));
    ck_assert(!path_base_is_ours("a/../../b"));
    ck_assert(!path_base_is_ours(""));
}
END_TEST

TEST_MAIN("flush/path", plain_ids_stay_and_others_are_escaped,
          encoded_ids_fit_a_file_name_and_stay_apart, long_ids_are_cut_and_end_in_their_sha_256,
          encoding_is_one_to_one_on_random_ids, templates_are_checked,
          no_part_of_a_template_can_outgrow_a_name, templates_are_filled_in,
          segment_names_are_told_from_others, only_bases_in_the_database_directory_are_ours)
