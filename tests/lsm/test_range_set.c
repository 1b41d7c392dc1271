/* SPDX-License-Identifier: Apache-2.0
 *
 * Range sets against a walk over all tombstones. */
#include "lsm/range_set.h"

#include "base/rng.h"
#include "tests/support/test.h"

#define COUNT 300

static struct lam_error err;

static uint64_t naive(const struct range_tombstone *t, size_t n, struct lam_slice key,
                      uint64_t snapshot) {
    uint64_t best = 0;
    for (size_t i = 0; i < n; i++)
        if (t[i].sequence <= snapshot && t[i].upto > best && range_tombstone_covers(&t[i], key))
            best = t[i].upto;
    return best;
}

static char keys[64][4];

static struct lam_slice key_of(uint64_t i) {
    snprintf(keys[i], sizeof keys[i], "%02u", (unsigned)i);
    return lam_slice_of(keys[i], 2);
}

START_TEST(answers_equal_a_walk_over_all_tombstones) {
    struct rng rng;
    rng_init(&rng, test_seed("range_set"));
    struct range_tombstone t[COUNT];
    for (int round = 0; round < 60; round++) {
        size_t n = rng_below(&rng, COUNT);
        for (size_t i = 0; i < n; i++) {
            t[i].from = key_of(rng_below(&rng, 64));
            t[i].to = rng_below(&rng, 9) ? key_of(rng_below(&rng, 64)) : SLICE_EMPTY;
            t[i].sequence = 1 + rng_below(&rng, 500);
            t[i].upto = rng_below(&rng, t[i].sequence);
            if (rng_below(&rng, 20) == 0)
                t[i].from = SLICE_EMPTY;
        }
        struct range_set *s;
        ck_ok(range_set_new(t, n, &s, &err), &err);
        for (uint64_t k = 0; k < 64; k++)
            for (uint64_t snapshot = 0; snapshot <= 510; snapshot += 1 + rng_below(&rng, 60))
                ck_assert_uint_eq(range_set_upto(s, key_of(k), snapshot),
                                  naive(t, n, key_of(k), snapshot));
        range_set_free(s);
    }
}
END_TEST

START_TEST(bounds_are_inclusive_and_exclusive) {
    struct range_tombstone t = {lam_slice_str("b"), lam_slice_str("d"), 5, 9};
    struct range_set *s;
    ck_ok(range_set_new(&t, 1, &s, &err), &err);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_str("a"), 100), 0);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_str("b"), 100), 5);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_str("czz"), 9), 5);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_str("czz"), 8), 0);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_str("d"), 100), 0);
    range_set_free(s);
    ck_assert_uint_eq(range_set_upto(NULL, lam_slice_str("d"), 100), 0);
    ck_ok(range_set_new(NULL, 0, &s, &err), &err);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_str("d"), 100), 0);
    range_set_free(s);
}
END_TEST

START_TEST(nested_ranges_cost_no_square) {
    /* 20,000 ranges, each inside the one before: a list per key would hold 200 million. */
    enum { N = 20000 };
    struct range_tombstone *t = calloc(N, sizeof *t);
    uint8_t *bytes = calloc(N, 8);
    for (uint32_t i = 0; i < N; i++) {
        put_be32(bytes + i * 8, i);
        put_be32(bytes + i * 8 + 4, 2 * N + 1 - i);
        t[i] = (struct range_tombstone){lam_slice_of(bytes + i * 8, 4),
                                        lam_slice_of(bytes + i * 8 + 4, 4), i, i + 1};
    }
    struct range_set *s;
    ck_ok(range_set_new(t, N, &s, &err), &err);
    uint8_t key[4];
    put_be32(key, N / 2);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_of(key, 4), UINT64_MAX), N / 2);
    ck_assert_uint_eq(range_set_upto(s, lam_slice_of(key, 4), 100), 99);
    range_set_free(s);
    free(t);
    free(bytes);
}
END_TEST

TEST_MAIN("lsm/range_set", answers_equal_a_walk_over_all_tombstones,
          bounds_are_inclusive_and_exclusive, nested_ranges_cost_no_square)
