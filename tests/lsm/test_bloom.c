/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/bloom.h"

#include "base/hash.h"
#include "tests/support/test.h"

static uint64_t key_hash(uint64_t i) {
    return hash_xxh3(&i, sizeof i, 42);
}

/* Share of absent keys that pass, in 1/10000. */
static uint64_t false_positives(uint64_t keys, uint32_t bits_per_key) {
    uint32_t lines = bloom_lines(keys, bits_per_key);
    uint32_t probes = bloom_probes(bits_per_key);
    uint8_t *bits = calloc(lines, BLOOM_LINE_BYTES);
    ck_assert_ptr_nonnull(bits);
    for (uint64_t i = 0; i < keys; i++)
        bloom_add(bits, lines, probes, key_hash(i));
    for (uint64_t i = 0; i < keys; i++)
        if (!bloom_test(bits, lines, probes, key_hash(i)))
            ck_abort_msg("key %llu is denied", (unsigned long long)i);
    uint64_t passed = 0;
    for (uint64_t i = 0; i < 100000; i++)
        passed += bloom_test(bits, lines, probes, key_hash(keys + i));
    free(bits);
    return passed / 10;
}

START_TEST(keys_pass_and_few_others_do) {
    ck_assert_uint_le(false_positives(100000, 10), 150);
    ck_assert_uint_le(false_positives(1000, 10), 150);
    ck_assert_uint_le(false_positives(100000, 16), 30);
    ck_assert_uint_ge(false_positives(100000, 4), 500);
    ck_assert_uint_le(false_positives(1, 10), 150);
}
END_TEST

START_TEST(sizes_follow_keys_and_bits) {
    ck_assert_uint_eq(bloom_lines(0, 10), 1);
    ck_assert_uint_eq(bloom_lines(51, 10), 1);
    ck_assert_uint_eq(bloom_lines(52, 10), 2);
    ck_assert_uint_eq(bloom_lines(512, 10), 10);
    ck_assert_uint_eq(bloom_lines(UINT64_MAX, 10), UINT32_MAX);
    ck_assert_uint_eq(bloom_lines(UINT64_MAX / 10, 10), UINT32_MAX);
    ck_assert_uint_eq(bloom_probes(10), 6);
    ck_assert_uint_eq(bloom_probes(0), 1);
    ck_assert_uint_eq(bloom_probes(UINT32_MAX), 16);
}
END_TEST

START_TEST(empty_filter_denies) {
    uint8_t bits[BLOOM_LINE_BYTES] = {0};
    for (uint64_t i = 0; i < 1000; i++)
        ck_assert(!bloom_test(bits, 1, 6, key_hash(i)));
}
END_TEST

/* Filters from thin to crowded, so that tests end at each bit. */
START_TEST(a_filter_says_the_same_at_every_vector_level) {
    uint8_t bits[3 * BLOOM_LINE_BYTES + 1];
    for (uint32_t probes = 1; probes <= 16; probes++) {
        uint64_t differ = 0, passed = 0;
        for (uint64_t keys = 1; keys <= 256; keys *= 2) {
            memset(bits, 0, sizeof bits);
            for (uint64_t i = 0; i < keys; i++)
                bloom_add(bits + 1, 3, probes, key_hash(i));
            for (uint64_t i = 0; i < 5000; i++) {
                simd_most_ = SIMD_PLAIN;
                bool plain = bloom_test(bits + 1, 3, probes, key_hash(i));
                simd_most_ = SIMD_AVX2;
                differ += bloom_test(bits + 1, 3, probes, key_hash(i)) != plain;
                passed += plain;
            }
        }
        ck_assert_uint_eq(differ, 0);
        ck_assert_uint_gt(passed, 500);
    }
}
END_TEST

TEST_MAIN("lsm/bloom", keys_pass_and_few_others_do, sizes_follow_keys_and_bits, empty_filter_denies,
          a_filter_says_the_same_at_every_vector_level)
