/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/filename.h"

#include "tests/support/test.h"

static void expect(const char *name, enum file_type type, uint64_t number) {
    uint64_t found = 77;
    enum file_type t = filename_parse(name, &found);
    ck_assert_msg(t == type && found == number, "%s: type %d number %llu", name, t,
                  (unsigned long long)found);
}

START_TEST(made_names_parse_back) {
    static const uint64_t numbers[] = {0, 1, 42, 999999, 1000000, 123456789012ull, UINT64_MAX};
    static const enum file_type types[] = {FILE_MANIFEST, FILE_WAL, FILE_SST, FILE_TEMP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
            char name[FILENAME_MAX_BYTES];
            filename_make(types[t], numbers[i], name);
            expect(name, types[t], numbers[i]);
        }
    }
    char name[FILENAME_MAX_BYTES];
    filename_make(FILE_WAL, 7, name);
    ck_assert_str_eq(name, "000007.wal");
    filename_make(FILE_MANIFEST, 12, name);
    ck_assert_str_eq(name, "MANIFEST-000012");
    expect("ROOT", FILE_ROOT, 0);
    expect("LOCK", FILE_LOCK, 0);
}
END_TEST

START_TEST(only_one_spelling_of_a_number_is_ours) {
    expect("7.wal", FILE_OTHER, 0);
    expect("0000007.wal", FILE_OTHER, 0);
    expect("+00007.sst", FILE_OTHER, 0);
    expect("000007.sst ", FILE_OTHER, 0);
    expect("000007", FILE_OTHER, 0);
    expect("MANIFEST-", FILE_OTHER, 0);
    expect("MANIFEST-7", FILE_OTHER, 0);
    expect("MANIFEST-000007.wal", FILE_OTHER, 0);
    expect("18446744073709551616.sst", FILE_OTHER, 0);
    expect("99999999999999999999999999999999999999999999.sst", FILE_OTHER, 0);
    expect("root", FILE_OTHER, 0);
    expect("", FILE_OTHER, 0);
}
END_TEST

START_TEST(temporary_names_are_ours_only_over_our_names) {
    expect("ROOT.tmp", FILE_TEMP, 0);
    expect("000031.sst.tmp", FILE_TEMP, 31);
    expect("MANIFEST-000031.tmp", FILE_TEMP, 31);
    expect("000031.tmp", FILE_TEMP, 31);
    expect("notes.tmp", FILE_OTHER, 0);
    expect(".tmp", FILE_OTHER, 0);
}
END_TEST

START_TEST(path_joins_directory_and_name) {
    struct buf out = {0};
    struct lam_error err = {0};
    const char *text;
    ck_ok(filename_path(&out, "/a/b", FILE_SST, 5, &text, &err), &err);
    ck_assert_str_eq(text, "/a/b/000005.sst");
    buf_fini(&out);
}
END_TEST

TEST_MAIN("lsm/filename", made_names_parse_back, only_one_spelling_of_a_number_is_ours,
          temporary_names_are_ours_only_over_our_names, path_joins_directory_and_name)
