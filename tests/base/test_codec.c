/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

#include "base/rng.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static struct lam_error err;

/* Random bytes of which a share repeats what came before. */
static void fill(struct rng *rng, uint8_t *data, size_t size, bool repetitive) {
    for (size_t i = 0; i < size; i++)
        data[i] = repetitive && i > 40 ? data[i - 37] : (uint8_t)rng_next(rng);
}

START_TEST(round_trip_at_every_kind_of_size) {
    struct rng rng;
    rng_init(&rng, test_seed("round_trip_at_every_kind_of_size"));
    static uint8_t data[70000], back[70000];
    for (int round = 0; round < 200; round++) {
        size_t size = (size_t)rng_below(&rng, round % 2 ? 64 : sizeof data);
        fill(&rng, data, size, round % 3 == 0);
        struct buf out = {0};
        ck_ok(buf_append_str(&out, "head", &err), &err);
        ck_ok(codec_lz4_compress(lam_slice_of(data, size), &out, &err), &err);
        struct lam_slice packed = lam_slice_of(out.data + 4, out.size - 4);
        ck_assert_mem_eq(out.data, "head", 4);
        ck_ok(codec_lz4_decompress(packed, back, size, &err), &err);
        ck_assert(size == 0 || memcmp(data, back, size) == 0);
        buf_fini(&out);
    }
}
END_TEST

START_TEST(repetition_is_compressed) {
    static uint8_t zeros[100000];
    struct buf out = {0};
    ck_ok(codec_lz4_compress(lam_slice_of(zeros, sizeof zeros), &out, &err), &err);
    ck_assert_uint_lt(out.size, 1000);
    buf_fini(&out);
}
END_TEST

START_TEST(wrong_size_or_cut_block_is_corrupt) {
    static uint8_t zeros[1000], back[2000];
    struct buf out = {0};
    ck_ok(codec_lz4_compress(lam_slice_of(zeros, sizeof zeros), &out, &err), &err);
    ck_code(codec_lz4_decompress(buf_slice(&out), back, 999, &err), LAM_CORRUPT);
    ck_code(codec_lz4_decompress(buf_slice(&out), back, 1001, &err), LAM_CORRUPT);
    ck_contains(err.message, "1001 bytes");
    ck_code(codec_lz4_decompress(SLICE_EMPTY, back, 0, &err), LAM_CORRUPT);
    for (size_t cut = 1; cut < out.size; cut++)
        ck_code(codec_lz4_decompress(lam_slice_of(out.data, cut), back, 1000, &err), LAM_CORRUPT);
    buf_fini(&out);
}
END_TEST

START_TEST(damaged_blocks_never_write_past_the_output) {
    struct rng rng;
    rng_init(&rng, test_seed("damaged_blocks_never_write_past_the_output"));
    static uint8_t data[3000];
    fill(&rng, data, sizeof data, true);
    struct buf out = {0};
    ck_ok(codec_lz4_compress(lam_slice_of(data, sizeof data), &out, &err), &err);
    for (int round = 0; round < 5000; round++) {
        size_t at = (size_t)rng_below(&rng, out.size);
        uint8_t before = out.data[at];
        out.data[at] = (uint8_t)rng_next(&rng);
        uint8_t *back = malloc(sizeof data + 1);
        back[sizeof data] = 0x5A;
        enum lam_code rc = codec_lz4_decompress(buf_slice(&out), back, sizeof data, &err);
        ck_assert(rc == LAM_OK || rc == LAM_CORRUPT);
        ck_assert_uint_eq(back[sizeof data], 0x5A);
        free(back);
        out.data[at] = before;
    }
    buf_fini(&out);
}
END_TEST

START_TEST(too_large_input_is_a_limit_and_no_memory_is_told) {
    struct buf out = {0};
    uint8_t byte = 0;
    ck_code(codec_lz4_compress(lam_slice_of(&byte, SIZE_MAX / 2), &out, &err), LAM_LIMIT);
    oom_arm(1);
    ck_code(codec_lz4_compress(lam_slice_of(&byte, 1), &out, &err), LAM_NO_MEMORY);
    oom_arm(0);
    ck_assert_uint_eq(out.size, 0);
}
END_TEST

TEST_MAIN("base/codec", round_trip_at_every_kind_of_size, repetition_is_compressed,
          wrong_size_or_cut_block_is_corrupt, damaged_blocks_never_write_past_the_output,
          too_large_input_is_a_limit_and_no_memory_is_told)
