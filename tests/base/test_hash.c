/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/rng.h"
#include "base/simd.h"
#include "tests/support/test.h"

/* Values from the formats' published test vectors. */
START_TEST(known_values_are_met) {
    ck_assert(hash_xxh64("", 0) == UINT64_C(0xEF46DB3751D8E999));
    ck_assert(hash_xxh64("a", 1) == UINT64_C(0xD24EC4F1A98C6E5B));
    ck_assert(hash_xxh3("", 0, 0) == UINT64_C(0x2D06800538D394C2));
    ck_assert_uint_eq(hash_crc32(0, "123456789", 9), 0xCBF43926u);
    ck_assert_uint_eq(hash_crc32(0, "", 0), 0);
    ck_assert_uint_eq(hash_crc32(0, "The quick brown fox jumps over the lazy dog", 43),
                      0x414FA339u);
}
END_TEST

static uint32_t crc_by_bits(const uint8_t *data, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static const char *sha256_of(const void *data, size_t size) {
    static char text[65];
    uint8_t hash[32];
    hash_sha256(data, size, hash);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return text;
}

/* From FIPS 180-4's examples and its validation set: one block, two, and many. */
START_TEST(sha256_meets_its_vectors) {
    ck_assert_str_eq(sha256_of("", 0),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_str_eq(sha256_of("abc", 3),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    ck_assert_str_eq(sha256_of(two, 56),
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static char many[1000000];
    memset(many, 'a', sizeof many);
    ck_assert_str_eq(sha256_of(many, sizeof many),
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    ck_assert_str_eq(sha256_of(many, 64),
                     "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}
END_TEST

START_TEST(crc_agrees_with_its_definition_and_continues) {
    struct rng rng;
    rng_init(&rng, test_seed("crc_agrees_with_its_definition_and_continues"));
    uint8_t data[300];
    for (int round = 0; round < 500; round++) {
        size_t size = (size_t)rng_below(&rng, sizeof data);
        size_t cut = (size_t)rng_below(&rng, size + 1);
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)rng_next(&rng);
        uint32_t whole = crc_by_bits(data, size);
        ck_assert_uint_eq(hash_crc32(0, data, size), whole);
        ck_assert_uint_eq(hash_crc32(hash_crc32(0, data, cut), data + cut, size - cut), whole);
    }
}
END_TEST

START_TEST(pair_is_the_hash_of_both_in_one_run) {
    struct rng rng;
    rng_init(&rng, test_seed("pair_is_the_hash_of_both_in_one_run"));
    static uint8_t data[2000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)rng_next(&rng);
    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)rng_below(&rng, round % 2 ? 600 : sizeof data);
        size_t cut = (size_t)rng_below(&rng, size + 1);
        uint64_t seed = round % 3 ? rng_next(&rng) : 0;
        uint64_t pair =
            hash_xxh3_pair(lam_slice_of(data, cut), lam_slice_of(data + cut, size - cut), seed);
        ck_assert(pair == hash_xxh3(data, size, seed));
    }
}
END_TEST

/* Past short and middle sizes, over stripes and blocks of XXH3 (64 and 1024 bytes). */
START_TEST(hash_is_the_same_at_every_vector_level) {
    struct rng rng;
    rng_init(&rng, test_seed("hash_is_the_same_at_every_vector_level"));
    static uint8_t data[20000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)rng_next(&rng);
    for (int round = 0; round < 20000; round++) {
        size_t from = rng_below(&rng, 64);
        size_t size = round < 3000 ? (size_t)round : rng_below(&rng, sizeof data - from);
        uint64_t seed = rng_next(&rng);
        simd_most_ = SIMD_PLAIN;
        uint64_t plain = hash_xxh3(data + from, size, seed);
        simd_most_ = SIMD_AVX2;
        ck_assert_msg(hash_xxh3(data + from, size, seed) == plain, "%zu bytes", size);
    }
}
END_TEST

START_TEST(seed_and_order_matter) {
    ck_assert(hash_xxh3("a", 1, 1) != hash_xxh3("a", 1, 2));
    ck_assert(hash_mix(1, 2) != hash_mix(2, 1));
    ck_assert(hash_mix(0, 1) != hash_mix(0, 2));
}
END_TEST

TEST_MAIN("base/hash", known_values_are_met, sha256_meets_its_vectors,
          crc_agrees_with_its_definition_and_continues, pair_is_the_hash_of_both_in_one_run,
          hash_is_the_same_at_every_vector_level, seed_and_order_matter)
