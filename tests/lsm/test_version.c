/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions: adding and removing files, order of levels, finding a key's file, range tombstones. */
#include "lsm/version.h"

#include "tests/lsm/metas.h"
#include "tests/support/oom.h"
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
    ck_assert_uint_eq(v->levels[0]->count, 3);
    ck_assert_uint_eq(v->levels[0]->files[0]->number, 9);
    ck_assert_uint_eq(v->levels[0]->files[1]->number, 7);
    ck_assert_uint_eq(v->levels[0]->files[2]->number, 5);
    ck_assert_uint_eq(v->levels[2]->files[0]->number, 4);
    ck_assert_uint_eq(v->levels[2]->files[1]->number, 3);
    ck_assert_uint_eq(v->levels[0]->bytes, 3 * FILE_BYTES);
    ck_ok(version_check(v, &err), &err);
    version_unref(v);
    for (size_t i = 0; i < 5; i++)
        file_meta_unref(added[i].file);
}
END_TEST

START_TEST(applying_leaves_the_base_as_it_was) {
    struct version_added first = {make_file(5, "a", "c"), 0}, second = {make_file(6, "a", "c"), 1};
    /* The first is of another level. */
    struct manifest_removed removed[] = {{1, 1, 5}, {1, 0, 5}};
    struct version *v, *w;
    ck_ok(version_apply(NULL, &first, 1, NULL, 0, &v, &err), &err);
    ck_ok(version_apply(v, &second, 1, removed, 1, &w, &err), &err);
    ck_assert_uint_eq(w->levels[0]->count, 1);
    version_unref(w);
    ck_ok(version_apply(v, &second, 1, removed, 2, &w, &err), &err);
    ck_assert_uint_eq(v->levels[0]->count, 1);
    ck_assert_uint_eq(v->levels[1]->count, 0);
    ck_assert_uint_eq(w->levels[0]->count, 0);
    ck_assert_uint_eq(w->levels[1]->count, 1);
    file_meta_unref(first.file);
    file_meta_unref(second.file);
    version_unref(v);
    ck_assert_uint_eq(w->levels[1]->files[0]->number, 6);
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
    const struct version_level *l = v->levels[1];
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
    /* One without end is over all that follow; and no two begin with the same key. */
    struct version_added open[] = {{make_file(1, "b", "c"), 1}, {make_file(2, "d", "f"), 1}};
    open[0].file->largest_open = true;
    ck_ok(version_apply(NULL, open, 2, NULL, 0, &v, &err), &err);
    ck_code(version_check(v, &err), LAM_CORRUPT);
    version_unref(v);
    file_meta_unref(open[0].file);
    file_meta_unref(open[1].file);
    struct version_added same[] = {{make_file(1, "b", "b"), 1}, {make_file(2, "b", "b"), 1}};
    ck_ok(version_apply(NULL, same, 2, NULL, 0, &v, &err), &err);
    ck_code(version_check(v, &err), LAM_CORRUPT);
    version_unref(v);
    file_meta_unref(same[0].file);
    file_meta_unref(same[1].file);
    version_unref(NULL);
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

/* Whether the two tombstones become one in a version, and where it then ends. */
static size_t join(struct range_tombstone a, struct range_tombstone b, struct lam_slice *to) {
    struct version_added added[] = {{make_file_with(1, "a", "z", &a, 1), 0},
                                    {make_file_with(2, "a", "z", &b, 1), 0}};
    struct version *v;
    size_t n;
    ck_ok(version_apply(NULL, added, 2, NULL, 0, &v, &err), &err);
    const struct range_tombstone *items = range_set_items(v->ranges, &n);
    static char text[8];
    *to = lam_slice_of(text, items[0].to.size);
    if (items[0].to.size)
        memcpy(text, items[0].to.data, items[0].to.size);
    version_unref(v);
    file_meta_unref(added[0].file);
    file_meta_unref(added[1].file);
    return n;
}

START_TEST(only_pieces_of_one_tombstone_that_touch_are_joined) {
    struct lam_slice to;
    struct range_tombstone left = {S("a"), S("m"), 4, 9};
    ck_assert_uint_eq(join(left, (struct range_tombstone){S("n"), S("z"), 4, 9}, &to), 2);
    ck_assert_uint_eq(join(left, (struct range_tombstone){S("m"), S("z"), 4, 8}, &to), 2);
    ck_assert_uint_eq(join(left, (struct range_tombstone){S("m"), S("z"), 3, 9}, &to), 2);
    /* Pieces may lie over each other, inside each other, or have no end. */
    ck_assert_uint_eq(join(left, (struct range_tombstone){S("b"), S("c"), 4, 9}, &to), 1);
    ck_assert(slice_eq_str(to, "m"));
    ck_assert_uint_eq(join(left, (struct range_tombstone){S("m"), SLICE_EMPTY, 4, 9}, &to), 1);
    ck_assert_uint_eq(to.size, 0);
    left.to = SLICE_EMPTY;
    ck_assert_uint_eq(join(left, (struct range_tombstone){S("m"), S("z"), 4, 9}, &to), 1);
    ck_assert_uint_eq(to.size, 0);
}
END_TEST

START_TEST(version_without_memory_is_none) {
    struct range_tombstone t[] = {{S("a"), S("m"), 4, 9}, {S("b"), S("z"), 5, 10}};
    struct version_added added[] = {{make_file_with(1, "a", "z", t, 2), 0},
                                    {make_file(2, "b", "c"), 3}};
    for (size_t nth = 1;; nth++) {
        struct version *v = NULL;
        oom_arm_once(nth);
        enum lam_code rc = version_apply(NULL, added, 2, NULL, 0, &v, &err);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            ck_assert_uint_gt(nth, 6);
            version_unref(v);
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
    }
    file_meta_unref(added[0].file);
    file_meta_unref(added[1].file);
}
END_TEST

TEST_MAIN("lsm/version", levels_are_sorted_and_level_0_is_newest_first,
          applying_leaves_the_base_as_it_was, a_key_has_at_most_one_file_in_a_deeper_level,
          overlap_in_a_deeper_level_is_corrupt, pieces_of_a_range_tombstone_are_joined,
          only_pieces_of_one_tombstone_that_touch_are_joined, version_without_memory_is_none)
