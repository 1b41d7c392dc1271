/* SPDX-License-Identifier: Apache-2.0
 *
 * A thin slice of the corruption sweep (prog_corrupt.c), for sanitizers, and proof that its survey
 * can fail. */
#include "base/env.h"
#include "tests/fault/corrupt.h"
#include "tests/support/test.h"

static struct corrupt_built built, other;
static struct corrupt_answers *answers;
static struct corrupt_target *target;
static struct lam_error err;

static void build(void) {
    corrupt_build(&(struct corrupt_shape){.seed = 1}, &built);
    corrupt_build(&(struct corrupt_shape){.seed = 2}, &other);
    answers = corrupt_answers_new();
    corrupt_learn(built.now, answers);
    target = corrupt_target_new(built.now, built.old, built.sibling, other.now);
}

static void tidy(void) {
    corrupt_target_free(target);
    corrupt_answers_free(answers);
    corrupt_built_fini(&built);
    corrupt_built_fini(&other);
}

/* Mutations of one kind, spread evenly; how many of them were noticed. */
static unsigned sample(enum corrupt_kind kind, uint64_t most) {
    uint64_t count = corrupt_count(target, kind);
    uint64_t step = count > most ? count / most : 1;
    unsigned detected = 0;
    for (uint64_t i = 0; i < count; i += step) {
        struct corrupt_damage damage;
        struct corrupt_finding finding;
        struct simfs *fs = corrupt_apply(target, kind, i, &damage);
        struct corrupt_how how = {
            .read_only = i / step % 2,
            .any_error = kind == CORRUPT_DIRECTORY,
            .named = damage.path[0] ? damage.path : NULL,
            .portion = 4,
            .turn = i / step,
        };
        corrupt_verify(fs, answers, &how, &finding);
        ck_assert_msg(finding.verdict != CORRUPT_HARM, "%s %llu: %s: %s", corrupt_kind_name(kind),
                      (unsigned long long)i, damage.text, finding.text);
        detected += finding.verdict == CORRUPT_DETECTED;
        simfs_free(fs);
    }
    return detected;
}

START_TEST(flipped_bit_of_a_closed_database_is_noticed_or_harmless) {
    build();
    ck_assert_uint_gt(sample(CORRUPT_BIT, 500), 250);
    tidy();
}
END_TEST

START_TEST(cut_or_longer_file_is_noticed_or_harmless) {
    build();
    ck_assert_uint_gt(sample(CORRUPT_TRUNCATE, 250), 150);
    ck_assert_uint_gt(sample(CORRUPT_EXTEND, 100), 40);
    tidy();
}
END_TEST

START_TEST(changed_zeroed_or_moved_bytes_are_noticed_or_harmless) {
    build();
    ck_assert_uint_gt(sample(CORRUPT_BYTE, 150), 40);
    ck_assert_uint_gt(sample(CORRUPT_ZEROS, 100), 40);
    ck_assert_uint_gt(sample(CORRUPT_SECTOR, 100), 20);
    tidy();
}
END_TEST

START_TEST(missing_swapped_stale_and_foreign_files_are_noticed_or_harmless) {
    build();
    ck_assert_uint_gt(sample(CORRUPT_REMOVE, 100), 20);
    ck_assert_uint_gt(sample(CORRUPT_REMOVE_2, 40), 30);
    ck_assert_uint_gt(sample(CORRUPT_SWAP, 40), 30);
    ck_assert_uint_gt(sample(CORRUPT_STALE, 60), 40);
    ck_assert_uint_gt(sample(CORRUPT_FOREIGN, 60), 40);
    ck_assert_uint_gt(sample(CORRUPT_SIBLING, 100), 10);
    ck_assert_uint_gt(sample(CORRUPT_DIRECTORY, 100), 20);
    ck_assert_uint_eq(sample(CORRUPT_NO_DIRECTORY, 100),
                      corrupt_count(target, CORRUPT_NO_DIRECTORY));
    tidy();
}
END_TEST

START_TEST(stray_files_and_copies_change_nothing) {
    build();
    ck_assert_uint_eq(sample(CORRUPT_STRAY, 100), 0);
    ck_assert_uint_eq(sample(CORRUPT_DOUBLE, 100), 0);
    tidy();
}
END_TEST

/* The disk is right and a read is not: an error, and all is there afterwards. */
START_TEST(wrong_bytes_of_one_read_are_noticed_and_not_kept) {
    static const enum simfs_effect effects[] = {SIMFS_FLIP, SIMFS_SHORT, SIMFS_MISDIRECT};
    unsigned fired = 0;
    build();
    for (unsigned i = 0; i < 240; i++) {
        struct simfs *fs = simfs_clone(built.now);
        struct simfs_fault fault = {
            .ops = SIMFS_READ, .nth = 1 + i * 3, .effect = effects[i % 3], .code = LAM_IO};
        struct corrupt_how how = {.read_only = i / 3 % 2, .transient = true, .portion = 2};
        struct corrupt_finding finding;
        simfs_arm(fs, 0, &fault);
        corrupt_verify(fs, answers, &how, &finding);
        fired += simfs_fired(fs, 0) > 0;
        simfs_disarm(fs);
        ck_assert_msg(finding.verdict != CORRUPT_HARM, "read %u: %s", i * 3 + 1, finding.text);
        how = (struct corrupt_how){.read_only = true, .transient = true, .tables_only = true};
        corrupt_verify(fs, answers, &how, &finding);
        ck_assert_msg(finding.verdict == CORRUPT_RIGHT, "after read %u: %s", i * 3 + 1,
                      finding.text);
        simfs_free(fs);
    }
    ck_assert_uint_gt(fired, 100);
    tidy();
}
END_TEST

START_TEST(flipped_bit_of_a_crashed_database_costs_the_unclaimed_end_at_most) {
    unsigned detected = 0;
    for (unsigned shape = 0; shape < CRASHED_SHAPES; shape++) {
        struct corrupt_crashed c;
        corrupt_build_crashed(shape, 1, &c);
        struct corrupt_target *t = corrupt_target_new(c.fs, NULL, NULL, NULL);
        uint64_t count = corrupt_count(t, CORRUPT_BIT);
        for (uint64_t i = 0; i < count; i += count / 160) {
            struct corrupt_damage damage;
            struct corrupt_finding finding;
            struct simfs *fs = corrupt_apply(t, CORRUPT_BIT, i, &damage);
            corrupt_verify_crashed(fs, &c, i % 2, &finding);
            ck_assert_msg(finding.verdict != CORRUPT_HARM, "shape %u, %llu: %s: %s", shape,
                          (unsigned long long)i, damage.text, finding.text);
            detected += finding.verdict == CORRUPT_DETECTED;
            simfs_free(fs);
        }
        corrupt_target_free(t);
        corrupt_crashed_fini(&c);
    }
    ck_assert_uint_gt(detected, 100);
}
END_TEST

/* --- the survey itself ---------------------------------------------------------------------- */

static void expect_harm(struct simfs *fs, const char *about) {
    struct corrupt_finding finding;
    corrupt_verify(fs, answers, &(struct corrupt_how){.read_only = true, .portion = 1}, &finding);
    ck_assert_int_eq(finding.verdict, CORRUPT_HARM);
    ck_contains(finding.text, about);
    simfs_free(fs);
}

static lam_db *open_for_writing(struct simfs *fs, lam_partition **packed) {
    struct lam_options o = corrupt_options(simfs_env(fs), false);
    lam_db *db;
    ck_ok(lam_db_open(CORRUPT_DIR, &o, &db, &err), &err);
    ck_ok(lam_partition_open(db, "packed", packed, &err), &err);
    return db;
}

START_TEST(survey_sees_a_changed_a_missing_and_an_added_row) {
    lam_partition *p;
    build();
    for (int change = 0; change < 3; change++) {
        struct simfs *fs = simfs_clone(built.now);
        lam_db *db = open_for_writing(fs, &p);
        struct lam_slice key = lam_slice_str(change == 2 ? "key-99999" : "key-00000");
        if (change == 1)
            ck_ok(lam_delete(db, NULL, p, key, &err), &err);
        else
            ck_ok(lam_put(db, NULL, p, key, lam_slice_str("other"), &err), &err);
        lam_partition_release(p);
        ck_ok(lam_db_close(db, &err), &err);
        expect_harm(fs, change == 0 ? "not what it was" : "row");
    }
    tidy();
}
END_TEST

START_TEST(survey_sees_a_missing_partition_and_another_answer_of_sql) {
    lam_partition *p;
    lam_session *s;
    build();
    struct simfs *fs = simfs_clone(built.now);
    lam_db *db = open_for_writing(fs, &p);
    ck_ok(lam_partition_drop(db, p, &err), &err);
    lam_partition_release(p);
    ck_ok(lam_db_close(db, &err), &err);
    expect_harm(fs, "partitions");
    fs = simfs_clone(built.now);
    db = open_for_writing(fs, &p);
    lam_partition_release(p);
    const char *sql = "UPDATE notes SET title = 'x' WHERE id = 2";
    ck_ok(lam_session_open(db, "root", LAM_ROLE_SYSTEM, &s, &err), &err);
    ck_ok(lam_exec(s, sql, strlen(sql), NULL, NULL, NULL, &err), &err);
    ck_ok(lam_session_close(s, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    struct corrupt_finding finding;
    struct corrupt_how how = {.read_only = true, .transient = true, .tables_only = true};
    corrupt_verify(fs, answers, &how, &finding);
    ck_assert_int_eq(finding.verdict, CORRUPT_HARM);
    ck_contains(finding.text, "SELECT * FROM notes");
    simfs_free(fs);
    tidy();
}
END_TEST

TEST_MAIN("fault/corrupt", flipped_bit_of_a_closed_database_is_noticed_or_harmless,
          cut_or_longer_file_is_noticed_or_harmless,
          changed_zeroed_or_moved_bytes_are_noticed_or_harmless,
          missing_swapped_stale_and_foreign_files_are_noticed_or_harmless,
          stray_files_and_copies_change_nothing, wrong_bytes_of_one_read_are_noticed_and_not_kept,
          flipped_bit_of_a_crashed_database_costs_the_unclaimed_end_at_most,
          survey_sees_a_changed_a_missing_and_an_added_row,
          survey_sees_a_missing_partition_and_another_answer_of_sql)
