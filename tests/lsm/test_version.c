/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions: adding and removing files, order of levels, finding a key's file, range tombstones. */
#include "lsm/version.h"

#include "tests/lsm/metas.h"
#include "tests/support/test.h"

static struct lam_error err;

#define S(text) lam_slice_str(text)

START_TEST(levels_are_sorted_and_level_0_is_newest_first) {
    struct version_added added[] = {{make_file(5, "a", "c"), 0},
                                    {make_file(9, "b", "d"), 0},
                                    {make_file(7, "x", "z"), 0},
                                    {make_file(3, "m", "p"), 2},
                                    {make_file(4, "a", "c"), 2}};
    struct version *v;
    ck_ok(version_apply(NULL, added, 5, NULL, 0, &v, &err), &err);
    ck_assert_uint_eq(v->levels[0].count, 3);
    ck_assert_uint_eq(v->levels[0].files[0]->number, 9);
    ck_assert_uint_eq(v->levels[0].files[1]->number, 7);
    ck_assert_uint_eq(v->levels[0].files[2]->number, 5);
    ck_assert_uint_eq(v->levels[2].files[0]->number, 4);
    ck_assert_uint_eq(v->levels[2].files[1]->number, 3);
    ck_assert_uint_eq(v->levels[0].bytes, 3 * FILE_BYTES);
    ck_ok(version_check(v, &err), &err);
    version_unref(v);
    for (size_t i = 0; i < 5; i++)
        file_meta_unref(added[i].file);
}
END_TEST

START_TEST(applying_leaves_the_base_as_it_was) {
    struct version_added first = {make_file(5, "a", "c"), 0}, second = {make_file(6, "a", "c"), 1};
    struct manifest_removed removed = {1, 0, 5};
    struct version *v, *w;
    ck_ok(version_apply(NULL, &first, 1, NULL, 0, &v, &err), &err);
    ck_ok(version_apply(v, &second, 1, &removed, 1, &w, &err), &err);
    ck_assert_uint_eq(v->levels[0].count, 1);
    ck_assert_uint_eq(v->levels[1].count, 0);
    ck_assert_uint_eq(w->levels[0].count, 0);
    ck_assert_uint_eq(w->levels[1].count, 1);
    file_meta_unref(first.file);
    file_meta_unref(second.file);
    version_unref(v);
    ck_assert_uint_eq(w->levels[1].files[0]->number, 6);
    version_unref(w);
}
END_TEST

START_TEST(a_key_has_at_most_one_file_in_a_deeper_level) {
    /* The first file's largest is the exclusive end of a range: the key is the second one's. */
    struct version_added added[] = {
        {make_file(1, "b", "d"), 1}, {make_file(2, "d", "f"), 1}, {make_file(3, "h", "k"), 1}};
    struct version *v;
    ck_ok(version_apply(NULL, added, 3, NULL, 0, &v, &err), &err);
    ck_ok(version_check(v, &err), &err);
    const struct version_level *l = &v->levels[1];
    ck_assert_ptr_null(version_find(l, S("a")));
    ck_assert_ptr_eq(version_find(l, S("b")), added[0].file);
    ck_assert_ptr_eq(version_find(l, S("c")), added[0].file);
    ck_assert_ptr_eq(version_find(l, S("d")), added[1].file);
    ck_assert_ptr_null(version_find(l, S("g")));
    ck_assert_ptr_eq(version_find(l, S("k")), added[2].file);
    ck_assert_ptr_null(version_find(l, S("l")));
    added[2].file->largest_open = true;
    ck_assert_ptr_eq(version_find(l, S("zzz")), added[2].file);
    version_unref(v);
    for (size_t i = 0; i < 3; i++)
        file_meta_unref(added[i].file);
}
END_TEST

START_TEST(overlap_in_a_deeper_level_is_corrupt) {
    struct version_added added[] = {{make_file(1, "b", "e"), 1}, {make_file(2, "d", "f"), 1}};
    struct version *v;
    ck_ok(version_apply(NULL, added, 2, NULL, 0, &v, &err), &err);
    ck_code(version_check(v, &err), LAM_CORRUPT);
    ck_contains(err.message, "overlap");
    version_unref(v);
    file_meta_unref(added[0].file);
    file_meta_unref(added[1].file);
}
END_TEST

START_TEST(pieces_of_a_range_tombstone_are_joined) {
    struct range_tombstone whole = {S("a"), S("m"), 4, 9}, rest = {S("m"), S("z"), 4, 9};
    struct version_added added[] = {{make_file_with(1, "a", "m", &whole, 1), 1},
                                    {make_file_with(2, "m", "z", &rest, 1), 1}};
    struct version *v;
    ck_ok(version_apply(NULL, added, 2, NULL, 0, &v, &err), &err);
    size_t n;
    const struct range_tombstone *items = range_set_items(v->ranges, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert(slice_eq_str(items[0].from, "a") && slice_eq_str(items[0].to, "z"));
    ck_assert_uint_eq(range_set_upto(v->ranges, S("m"), 100), 4);
    version_unref(v);
    file_meta_unref(added[0].file);
    file_meta_unref(added[1].file);
}
END_TEST

TEST_MAIN("lsm/version", levels_are_sorted_and_level_0_is_newest_first,
          applying_leaves_the_base_as_it_was, a_key_has_at_most_one_file_in_a_deeper_level,
          overlap_in_a_deeper_level_is_corrupt, pieces_of_a_range_tombstone_are_joined)
