/* SPDX-License-Identifier: Apache-2.0
 *
 * Split-block bloom filters. */
#include "base/rng.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/meta.h"
#include "tests/support/test.h"

static struct lam_error err;

START_TEST(added_values_are_found_and_few_others) {
    enum { COUNT = 20000 };
    uint32_t bytes = pq_bloom_size(COUNT);
    uint8_t *filter = calloc(bytes, 1), plain[8];
    int wrong = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        put_le64(plain, i);
        pq_bloom_add(filter, bytes, pq_bloom_hash(lam_slice_of(plain, 8)));
    }
    for (uint64_t i = 0; i < 2 * COUNT; i++) {
        put_le64(plain, i);
        bool may = pq_bloom_may_contain(filter, bytes, pq_bloom_hash(lam_slice_of(plain, 8)));
        if (i < COUNT)
            ck_assert(may);
        else
            wrong += may;
    }
    ck_assert_int_lt(wrong, COUNT / 50);
    free(filter);
}
END_TEST

/* Word k of the block has the bit that the top five bits of hash * salt k name. */
START_TEST(one_value_sets_one_bit_a_word) {
    uint8_t filter[64] = {0};
    pq_bloom_add(filter, 64, UINT64_C(0x8000000000000001));
    static const uint8_t zeros[32];
    ck_assert_mem_eq(filter, zeros, 32);
    static const uint32_t salts[8] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
                                      0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq(get_le32(filter + 32 + i * 4), 1u << (salts[i] >> 27));
}
END_TEST

START_TEST(sizes_are_powers_of_two_within_limits) {
    ck_assert_uint_eq(pq_bloom_size(0), 32);
    ck_assert_uint_eq(pq_bloom_size(1), 32);
    ck_assert_uint_eq(pq_bloom_size(122880), 262144);
    ck_assert_uint_eq(pq_bloom_size(UINT32_MAX), PQ_BLOOM_MAX);
}
END_TEST

START_TEST(header_is_read_back) {
    struct buf b = {0};
    uint32_t bytes;
    size_t size;
    ck_ok(pq_bloom_header_encode(1024, &b, &err), &err);
    ck_assert(pq_bloom_header_decode(buf_slice(&b), &bytes, &size));
    ck_assert_uint_eq(bytes, 1024);
    ck_assert_uint_eq(size, b.size);
    for (size_t n = 0; n < b.size; n++)
        ck_assert(!pq_bloom_header_decode(lam_slice_of(b.data, n), &bytes, &size));
    buf_fini(&b);
}
END_TEST

TEST_MAIN("parquet/bloom", added_values_are_found_and_few_others, one_value_sets_one_bit_a_word,
          sizes_are_powers_of_two_within_limits, header_is_read_back)
