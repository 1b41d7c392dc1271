/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include "tests/support/test.h"

/* First outputs of splitmix64 from seed 0 are the published ones, and they are the state. */
START_TEST(seeding_is_splitmix64) {
    struct rng r;
    rng_init(&r, 0);
    ck_assert(r.s[0] == UINT64_C(0xE220A8397B1DCDAF));
    ck_assert(r.s[1] == UINT64_C(0x6E789E6AA1B965F4));
    ck_assert(r.s[2] == UINT64_C(0x06C45D188009454F));
    ck_assert(r.s[3] == UINT64_C(0xF88BB8A8724C81EC));
}
END_TEST

/* State 1, 2, 3, 4 gives these by the definition of xoshiro256**. */
START_TEST(sequence_is_xoshiro256starstar) {
    struct rng r = {{1, 2, 3, 4}};
    ck_assert(rng_next(&r) == 11520);
    ck_assert(rng_next(&r) == 0);
    ck_assert(rng_next(&r) == 1509978240);
    ck_assert(rng_next(&r) == UINT64_C(1215971899390074240));
}
END_TEST

START_TEST(same_seed_same_sequence) {
    struct rng a, b, c;
    rng_init(&a, 7);
    rng_init(&b, 7);
    rng_init(&c, 8);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t v = rng_next(&a);
        ck_assert(v == rng_next(&b));
        differs |= v != rng_next(&c);
    }
    ck_assert(differs);
}
END_TEST

START_TEST(below_stays_below_and_spreads_evenly) {
    struct rng r;
    rng_init(&r, 1);
    unsigned counts[10] = {0};
    for (int i = 0; i < 100000; i++)
        counts[rng_below(&r, 10)]++;
    for (int i = 0; i < 10; i++)
        ck_assert_msg(counts[i] > 9500 && counts[i] < 10500, "%d: %u", i, counts[i]);
    for (int i = 0; i < 100; i++) {
        ck_assert(rng_below(&r, 1) == 0);
        ck_assert(rng_below(&r, UINT64_MAX) < UINT64_MAX);
    }
}
END_TEST

TEST_MAIN("base/rng", seeding_is_splitmix64, sequence_is_xoshiro256starstar,
          same_seed_same_sequence, below_stays_below_and_spreads_evenly)
