/* SPDX-License-Identifier: Apache-2.0
 *
 * What compaction chooses, on versions made by hand. */
#include "lsm/pick.h"

#include "base/mem.h"
#include "tests/lsm/metas.h"
#include "tests/support/oom.h"

static struct lam_error err;
static struct version_added added[64];
static size_t count;
static struct version *version;
static struct pick_job job;
static struct pick_input in;

#define S(text) lam_slice_str(text)

static struct file_meta *add(uint32_t level, struct file_meta *f) {
    added[count++] = (struct version_added){f, level};
    return f;
}

static struct file_meta *file(uint32_t level, uint64_t number, const char *from, const char *to) {
    return add(level, make_file(number, from, to));
}

static uint64_t full_upto; /* not 0: what a compaction on demand of all would do */

static void choose(void) {
    if (!version)
        ck_ok(version_apply(NULL, added, count, NULL, 0, &version, &err), &err);
    in.version = version;
    if (!in.base_bytes)
        in.base_bytes = 10 * FILE_BYTES;
    if (!in.file_bytes)
        in.file_bytes = FILE_BYTES;
    if (!in.oldest_snapshot)
        in.oldest_snapshot = UINT64_MAX;
    pick_job_fini(&job);
    if (full_upto) {
        struct pick_range all = {.sequence = full_upto};
        ck_ok(pick_in_range(&in, &all, &job, &err), &err);
        return;
    }
    ck_ok(pick_choose(&in, &job, &err), &err);
    ck_assert_int_eq(job.kind != PICK_NONE, pick_score(&in) >= 1);
}

static void done(void) {
    pick_job_fini(&job);
    version_unref(version);
    for (size_t i = 0; i < count; i++)
        file_meta_unref(added[i].file);
}

static bool has(int side, const struct file_meta *f) {
    for (size_t i = 0; i < job.inputs[side].count; i++)
        if (job.inputs[side].files[i] == f)
            return true;
    return false;
}

START_TEST(nothing_is_due_in_a_small_tree) {
    choose();
    file(0, 9, "a", "c");
    file(0, 8, "a", "c");
    file(0, 7, "a", "c");
    file(6, 1, "a", "z");
    version_unref(version);
    version = NULL;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

START_TEST(full_level_0_goes_to_the_last_level_with_what_it_overlaps) {
    for (uint64_t i = 0; i < 4; i++)
        file(0, 10 + i, "b", "d");
    struct file_meta *hit = file(6, 1, "c", "e"), *miss = file(6, 2, "f", "z");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.target, 6);
    ck_assert_uint_eq(job.inputs[0].count, 4);
    ck_assert(has(1, hit));
    ck_assert(!has(1, miss));
    done();
}
END_TEST

START_TEST(a_gap_between_inputs_takes_what_stands_in_it) {
    struct file_meta *gap = file(6, 1, "k", "m");
    file(0, 10, "a", "b");
    file(0, 11, "a", "b");
    file(0, 12, "x", "z");
    file(0, 13, "x", "z");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert(has(1, gap));
    done();
}
END_TEST

START_TEST(level_0_job_is_bounded_and_takes_the_oldest) {
    in.file_bytes = FILE_BYTES * 2 / 5; /* two files a job */
    struct file_meta *f[6];
    for (uint64_t i = 0; i < 6; i++)
        f[i] = file(0, 10 + i, "b", "d");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.inputs[0].count, 2);
    ck_assert(has(0, f[0]) && has(0, f[1]));
    done();
}
END_TEST

START_TEST(oldest_file_without_overlap_is_moved) {
    struct file_meta *oldest = file(0, 10, "a", "b");
    file(0, 11, "c", "d");
    file(0, 12, "e", "f");
    file(0, 13, "e", "f");
    file(6, 1, "x", "z");
    choose();
    ck_assert_int_eq(job.kind, PICK_MOVE);
    ck_assert(has(0, oldest));
    ck_assert_uint_eq(job.inputs[0].count, 1);
    ck_assert_uint_eq(job.target, 6);
    done();
}
END_TEST

START_TEST(at_rest_files_above_the_last_level_are_few) {
    struct file_meta *a = file(0, 10, "b", "d"), *b = file(0, 11, "b", "d");
    for (uint64_t i = 0; i < 5; i++)
        file(6, 1 + i, (const char *[]){"a", "c", "e", "g", "i"}[i],
             (const char *[]){"b", "d", "f", "h", "k"}[i]);
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    in.rest_share = 16;
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert(has(0, a) && has(0, b));
    /* What is little beside the base level's target stays. */
    in.base_bytes = 40 * FILE_BYTES;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

START_TEST(at_rest_full_levels_between_stay) {
    struct file_meta *between = file(5, 10, "b", "d");
    between->size_bytes = 700;
    in.base_bytes = 800;
    for (uint64_t i = 0; i < 8; i++)
        file(6, 1 + i, (const char *[]){"a", "c", "e", "g", "i", "l", "n", "p"}[i],
             (const char *[]){"b", "d", "f", "h", "k", "m", "o", "q"}[i]);
    in.rest_share = 16;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

START_TEST(files_that_overlap_in_level_0_are_merged_not_moved) {
    for (uint64_t i = 0; i < 4; i++)
        file(0, 10 + i, "b", "d");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.inputs[0].count, 4);
    done();
}
END_TEST

START_TEST(a_file_with_tombstones_is_not_moved_to_where_they_could_go) {
    struct file_meta *oldest = file(0, 10, "a", "b");
    oldest->properties.deletes = 3;
    for (uint64_t i = 11; i < 14; i++)
        file(0, i, "c", "d");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    done();
}
END_TEST

START_TEST(targets_shrink_tenfold_up_to_the_base) {
    uint64_t targets[VERSION_LEVELS];
    struct file_meta *f = make_file(1, "a", "b");
    f->size_bytes = 5000;
    struct version_added big = {f, 6};
    ck_ok(version_apply(NULL, &big, 1, NULL, 0, &version, &err), &err);
    ck_assert_uint_eq(pick_targets(version, 40, targets), 4);
    ck_assert_uint_eq(targets[6], 5000);
    ck_assert_uint_eq(targets[5], 500);
    ck_assert_uint_eq(targets[4], 50);
    ck_assert_uint_eq(targets[3], 0);
    ck_assert_uint_eq(pick_targets(version, 6000, targets), 6);
    ck_assert_uint_eq(pick_debt(version, 40), 0);
    version_unref(version);
    version = NULL;
    file_meta_unref(f);
}
END_TEST

START_TEST(too_large_level_gives_the_file_that_overlaps_least) {
    in.base_bytes = 400;
    file(6, 1, "a", "m")->size_bytes = 8000;
    file(6, 2, "n", "z")->size_bytes = 100;
    file(5, 3, "b", "c");
    struct file_meta *cheap = file(5, 4, "o", "p");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.level, 5);
    ck_assert_uint_eq(job.target, 6);
    ck_assert(has(0, cheap));
    ck_assert_uint_eq(job.inputs[1].count, 1);
    ck_assert_uint_gt(pick_debt(version, 400), 0);
    done();
}
END_TEST

START_TEST(level_0_does_not_pass_older_files_above_the_base) {
    /* A shrunken tree: the base is the last level, but level 3 still holds a file. */
    struct file_meta *between = file(3, 1, "a", "z");
    for (uint64_t i = 10; i < 30; i++)
        file(0, i, "b", "d");
    choose();
    ck_assert_uint_eq(job.level, 0);
    ck_assert_uint_eq(job.target, 3);
    ck_assert(has(1, between));
    done();
}
END_TEST

START_TEST(wholly_hidden_files_are_dropped_unless_a_snapshot_sees_them) {
    struct range_tombstone t = {S("b"), S("m"), 10, 20};
    add(0, make_file_with(50, "b", "m", &t, 1));
    struct file_meta *inside = file(6, 1, "c", "e"), *across = file(6, 2, "l", "p"),
                     *newer = file(5, 3, "f", "g"), *up = file(0, 40, "d", "e");
    newer->properties.sequence_max = 11;
    choose();
    ck_assert_int_eq(job.kind, PICK_DROP);
    ck_assert_uint_eq(job.inputs[0].count, 2);
    ck_assert(has(0, inside) && has(0, up));
    ck_assert(!has(0, across) && !has(0, newer));
    for (size_t i = 0; i < 2; i++)
        ck_assert_uint_eq(job.levels[i], job.inputs[0].files[i] == up ? 0 : 6);
    in.oldest_snapshot = 19;
    choose();
    ck_assert_int_ne(job.kind, PICK_DROP);
    in.oldest_snapshot = 20;
    choose();
    ck_assert_int_eq(job.kind, PICK_DROP);
    done();
}
END_TEST

START_TEST(expired_files_wait_for_older_ones_they_overlap) {
    in.ttl_seconds = 10;
    in.now_us = 100 * 1000000ll;
    struct file_meta *fresh = file(6, 1, "a", "c"), *old = file(0, 40, "b", "b"),
                     *alone = file(6, 2, "x", "z");
    fresh->properties.written_us = in.now_us - 1;
    old->properties.written_us = 1;
    alone->properties.written_us = 1;
    choose();
    ck_assert_int_eq(job.kind, PICK_DROP);
    ck_assert_uint_eq(job.inputs[0].count, 1);
    ck_assert(has(0, alone));
    fresh->properties.written_us = 5;
    choose();
    ck_assert_uint_eq(job.inputs[0].count, 3);
    in.oldest_snapshot = 1000;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

/* What an ingest replaces is dumped in its course: later by the clock and by its number. */
START_TEST(expired_ingested_files_wait_for_what_they_replaced) {
    in.ttl_seconds = 10;
    in.now_us = 100 * 1000000ll;
    struct file_meta *ingested = file(0, 3, "b", "c"), *replaced = file(0, 40, "a", "c");
    ingested->properties.sequence_max = replaced->properties.sequence_max + 1;
    ingested->properties.written_us = in.now_us - 10 * 1000000ll - 1;
    replaced->properties.written_us = ingested->properties.written_us + 1;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    in.now_us++;
    choose();
    ck_assert_int_eq(job.kind, PICK_DROP);
    ck_assert_uint_eq(job.inputs[0].count, 2);
    done();
}
END_TEST

/* `held` may not go because of `fresh`, which `top` does not overlap; without `top`, what `top`
 * deleted would show again in `held`. */
START_TEST(expired_files_wait_for_older_ones_that_are_held_back) {
    in.ttl_seconds = 10;
    in.now_us = 100 * 1000000ll;
    struct file_meta *fresh = file(6, 1, "a", "c"), *held = file(5, 20, "b", "m"),
                     *top = file(0, 40, "k", "m");
    fresh->properties.written_us = in.now_us - 1;
    held->properties.written_us = 1;
    top->properties.written_us = 1;
    choose();
    ck_assert_int_ne(job.kind, PICK_DROP);
    fresh->properties.written_us = 5;
    choose();
    ck_assert_int_eq(job.kind, PICK_DROP);
    ck_assert_uint_eq(job.inputs[0].count, 3);
    done();
}
END_TEST

START_TEST(dense_tombstones_are_due_when_no_snapshot_holds_them) {
    struct file_meta *f = file(6, 1, "a", "c");
    f->properties.deletes = 60;
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.level, 6);
    ck_assert_uint_eq(job.target, 6);
    ck_assert_uint_eq(job.inputs[0].count, 1);
    ck_assert_uint_eq(job.inputs[1].count, 0);
    in.oldest_snapshot = 9;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

START_TEST(a_file_that_iterators_step_through_goes_once_that_has_cost_more) {
    in.passed_steps = 10;
    struct file_meta *f = file(0, 40, "a", "c");
    f->properties.deletes = 30;
    file(6, 1, "b", "d");
    atomic_store(&f->passed, 10 + 100 + FILE_BYTES / PICK_STEP_BYTES - 1);
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    atomic_store(&f->passed, 10 + 100 + FILE_BYTES / PICK_STEP_BYTES);
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.level, 0);
    in.oldest_snapshot = 9;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    in.oldest_snapshot = UINT64_MAX;
    f->properties.deletes = 0;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

START_TEST(full_compaction_takes_every_level_down) {
    full_upto = 10;
    file(0, 40, "b", "b");
    file(6, 2, "x", "z");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.level, 0);
    done();
    count = 0;
    version = NULL;
    memset(&job, 0, sizeof job);
    file(6, 2, "x", "z");
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

START_TEST(full_compaction_leaves_what_came_after_it_was_asked_for) {
    full_upto = 10;
    for (uint64_t i = 40; i < 50; i++)
        file(0, i, "b", "b")->properties.sequence_min = 11;
    struct file_meta *later = file(5, 1, "a", "c"), *old = file(5, 2, "m", "p");
    later->properties.sequence_min = 11;
    file(6, 3, "n", "o");
    choose();
    ck_assert_int_eq(job.kind, PICK_MERGE);
    ck_assert_uint_eq(job.level, 5);
    ck_assert_uint_eq(job.inputs[0].count, 1);
    ck_assert(has(0, old));
    old->properties.sequence_min = 11;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    done();
}
END_TEST

/* Every allocation of the choice made by `choose` fails once. */
static void sweep_memory(void) {
    choose();
    enum pick_kind kind = job.kind;
    for (size_t nth = 1;; nth++) {
        struct pick_job other;
        oom_arm_once(nth);
        enum lam_code rc = pick_choose(&in, &other, &err);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            ck_assert_int_eq(other.kind, kind);
            ck_assert_uint_gt(nth, 1);
            pick_job_fini(&other);
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
        /* What can't be told is due: the job itself will say that memory is missing. */
        oom_arm_once(nth);
        double score = pick_score(&in);
        bool fired = oom_fired();
        ck_assert(!fired || score >= 1);
    }
}

START_TEST(choice_without_memory_is_no_choice_and_stays_due) {
    for (uint64_t i = 0; i < 4; i++)
        file(0, 10 + i, "b", "d");
    file(6, 1, "c", "e");
    sweep_memory();
    done();
    count = 0;
    version = NULL;
    memset(&job, 0, sizeof job);
    file(0, 10, "a", "b"); /* moved alone */
    file(0, 11, "c", "d");
    file(0, 12, "e", "f");
    file(0, 13, "g", "h");
    sweep_memory();
    ck_assert_int_eq(job.kind, PICK_MOVE);
    done();
    count = 0;
    version = NULL;
    memset(&job, 0, sizeof job);
    struct range_tombstone t = {S("a"), S("x"), 20, 30};
    struct file_meta *f = add(0, make_file_with(40, "a", "x", &t, 1));
    f->properties.sequence_max = 30;
    for (uint64_t i = 1; i < 9; i++)
        file(6, i, i < 5 ? "b" : "k", i < 5 ? "c" : "l")->properties.sequence_max = 5;
    sweep_memory();
    ck_assert_int_eq(job.kind, PICK_DROP);
    done();
    count = 0;
    version = NULL;
    memset(&job, 0, sizeof job);
    in.ttl_seconds = 1;
    in.now_us = 1000000000;
    for (uint64_t i = 1; i < 9; i++)
        file(0, i, "a", "b");
    sweep_memory();
    ck_assert_int_eq(job.kind, PICK_DROP);
    ck_assert_uint_eq(job.inputs[0].count, 8);
    done();
}
END_TEST

START_TEST(huge_last_level_has_a_target_on_every_level) {
    uint64_t targets[VERSION_LEVELS];
    struct file_meta *f = file(6, 1, "a", "z");
    f->size_bytes = 1ull << 60;
    ck_ok(version_apply(NULL, added, count, NULL, 0, &version, &err), &err);
    ck_assert_uint_eq(pick_targets(version, FILE_BYTES, targets), 1);
    for (uint32_t level = 1; level < 6; level++)
        ck_assert_uint_eq(targets[level], targets[level + 1] / 10);
    done();
}
END_TEST

START_TEST(tombstone_that_ends_hides_no_file_that_does_not) {
    struct range_tombstone t = {S("a"), S("x"), 20, 30};
    struct file_meta *f = add(0, make_file_with(40, "a", "x", &t, 1));
    f->properties.sequence_max = 30;
    struct file_meta *open = file(6, 1, "b", "c");
    open->largest_open = true;
    choose();
    ck_assert_int_eq(job.kind, PICK_NONE);
    open->largest_open = false;
    choose();
    ck_assert_int_eq(job.kind, PICK_DROP);
    ck_assert(has(0, open));
    done();
}
END_TEST

TEST_MAIN("lsm/pick", nothing_is_due_in_a_small_tree,
          full_level_0_goes_to_the_last_level_with_what_it_overlaps,
          a_gap_between_inputs_takes_what_stands_in_it, level_0_job_is_bounded_and_takes_the_oldest,
          oldest_file_without_overlap_is_moved, at_rest_files_above_the_last_level_are_few,
          at_rest_full_levels_between_stay, files_that_overlap_in_level_0_are_merged_not_moved,
          a_file_with_tombstones_is_not_moved_to_where_they_could_go,
          targets_shrink_tenfold_up_to_the_base, too_large_level_gives_the_file_that_overlaps_least,
          level_0_does_not_pass_older_files_above_the_base,
          wholly_hidden_files_are_dropped_unless_a_snapshot_sees_them,
          expired_files_wait_for_older_ones_they_overlap,
          expired_ingested_files_wait_for_what_they_replaced,
          expired_files_wait_for_older_ones_that_are_held_back,
          dense_tombstones_are_due_when_no_snapshot_holds_them,
          a_file_that_iterators_step_through_goes_once_that_has_cost_more,
          full_compaction_takes_every_level_down,
          full_compaction_leaves_what_came_after_it_was_asked_for,
          choice_without_memory_is_no_choice_and_stays_due,
          huge_last_level_has_a_target_on_every_level,
          tombstone_that_ends_hides_no_file_that_does_not)
