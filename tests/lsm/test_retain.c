/* SPDX-License-Identifier: Apache-2.0
 *
 * Which versions are kept: whatever a reader at any open snapshot, or at the newest state, sees is
 * the same before and after. */
#include "lsm/retain.h"

#include "base/rng.h"
#include "tests/support/test.h"

#define VERSIONS 12

static struct lam_error err;

static struct entry entry_of(const char *key, uint64_t sequence, enum entry_kind kind) {
    return (struct entry){lam_slice_str(key), sequence, kind, SLICE_EMPTY};
}

/* Newest visible version at `snapshot`; 0: none. Tombstones hide. */
static uint64_t visible(const struct entry *list, const bool *kept, size_t n,
                        const struct range_set *ranges, struct lam_slice key, uint64_t snapshot) {
    for (size_t i = 0; i < n; i++) {
        if ((kept && !kept[i]) || list[i].sequence > snapshot || !slice_eq(list[i].key, key))
            continue;
        bool hidden = range_set_upto(ranges, key, snapshot) >= list[i].sequence;
        return list[i].kind == ENTRY_PUT && !hidden ? list[i].sequence : 0;
    }
    return 0;
}

START_TEST(no_reader_sees_a_difference) {
    struct rng rng;
    rng_init(&rng, test_seed("retain"));
    size_t dropped = 0;
    for (int round = 0; round < 3000; round++) {
        uint64_t snapshots[4];
        size_t snapshot_count = rng_below(&rng, 4);
        for (size_t i = 0; i < snapshot_count; i++)
            snapshots[i] = (i ? snapshots[i - 1] : 0) + 1 + rng_below(&rng, 30);
        struct range_tombstone t[3];
        size_t ranges = rng_below(&rng, 3);
        for (size_t i = 0; i < ranges; i++) {
            uint64_t sequence = 1 + rng_below(&rng, 100);
            t[i] = (struct range_tombstone){lam_slice_str(rng_below(&rng, 2) ? "a" : "b"),
                                            SLICE_EMPTY, rng_below(&rng, sequence), sequence};
        }
        struct range_set *set = NULL;
        ck_ok(range_set_new(t, ranges, &set, &err), &err);
        struct entry list[2 * VERSIONS];
        size_t n = 0;
        for (int k = 0; k < 2; k++) {
            uint64_t sequence = 100;
            for (int i = 0; i < VERSIONS && sequence > 12; i++) {
                sequence -= 1 + rng_below(&rng, 11);
                list[n++] = entry_of(k ? "b" : "a", sequence,
                                     rng_below(&rng, 3) ? ENTRY_PUT : ENTRY_DELETE);
            }
        }
        bool kept[2 * VERSIONS], nothing_below = rng_below(&rng, 2);
        struct retain r;
        retain_init(&r, snapshots, snapshot_count, set);
        for (size_t i = 0; i < n; i++) {
            enum retain_step step;
            ck_ok(retain_next(&r, &list[i], &step, &err), &err);
            bool new_key = i == 0 || !slice_eq(list[i].key, list[i - 1].key);
            ck_assert_int_eq(step, new_key ? RETAIN_NEW_KEY : RETAIN_SAME_KEY);
            kept[i] = retain_entry(&r, &list[i], new_key, nothing_below);
            dropped += !kept[i];
        }
        for (size_t s = 0; s <= snapshot_count; s++)
            for (int k = 0; k < 2; k++) {
                uint64_t at = s < snapshot_count ? snapshots[s] : UINT64_MAX;
                struct lam_slice key = lam_slice_str(k ? "b" : "a");
                ck_assert_uint_eq(visible(list, kept, n, set, key, at),
                                  visible(list, NULL, n, set, key, at));
            }
        retain_fini(&r);
        range_set_free(set);
    }
    ck_assert_uint_gt(dropped, 20000);
}
END_TEST

START_TEST(tombstone_stays_while_something_may_lie_below_or_a_snapshot_is_older) {
    uint64_t snapshot = 5;
    struct entry e = entry_of("k", 7, ENTRY_DELETE);
    struct retain r;
    enum retain_step step;
    for (int open = 0; open < 2; open++)
        for (int below = 0; below < 2; below++) {
            retain_init(&r, &snapshot, (size_t)open, NULL);
            ck_ok(retain_next(&r, &e, &step, &err), &err);
            ck_assert_int_eq(retain_entry(&r, &e, step == RETAIN_NEW_KEY, !below), below || open);
            retain_fini(&r);
        }
}
END_TEST

START_TEST(repeated_range_tombstones_of_a_stripe_become_one) {
    uint64_t snapshot = 15;
    struct lam_slice a = lam_slice_str("a"), b = lam_slice_str("b"), c = lam_slice_str("c");
    struct range_tombstone t[] = {{a, b, 9, 10}, {a, b, 11, 12}, {a, b, 19, 20},
                                  {a, b, 3, 21}, {a, c, 1, 11},  {a, b, 29, 30}};
    struct retain r;
    retain_init(&r, &snapshot, 1, NULL);
    /* [a,b): of 10 and 12 the newer, of 20, 21 and 30 the newest; [a,c) is another range. */
    size_t n = retain_ranges(&r, t, 6);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(t[0].sequence, 30);
    ck_assert_uint_eq(t[1].sequence, 12);
    ck_assert_uint_eq(t[2].sequence, 11);
    ck_assert_uint_eq(retain_ranges(&r, NULL, 0), 0);
    retain_fini(&r);
}
END_TEST

START_TEST(entries_that_do_not_come_in_order_are_told_of) {
    static const struct {
        const char *key;
        uint64_t sequence;
        enum retain_step step;
    } cases[] = {
        {"b", 5, RETAIN_NEW_KEY},  {"b", 4, RETAIN_SAME_KEY}, {"b", 4, RETAIN_SAME_KEY},
        {"b", 5, RETAIN_DISORDER}, {"a", 9, RETAIN_DISORDER}, {"b", 3, RETAIN_SAME_KEY},
        {"ba", 9, RETAIN_NEW_KEY}, {"b", 1, RETAIN_DISORDER},
    };
    struct retain r;
    retain_init(&r, NULL, 0, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entry e = entry_of(cases[i].key, cases[i].sequence, ENTRY_PUT);
        enum retain_step step;
        ck_ok(retain_next(&r, &e, &step, &err), &err);
        ck_assert_int_eq(step, cases[i].step);
    }
    retain_fini(&r);
}
END_TEST

TEST_MAIN("lsm/retain", no_reader_sees_a_difference,
          tombstone_stays_while_something_may_lie_below_or_a_snapshot_is_older,
          repeated_range_tombstones_of_a_stripe_become_one,
          entries_that_do_not_come_in_order_are_told_of)
