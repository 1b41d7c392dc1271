/* SPDX-License-Identifier: Apache-2.0
 *
 * RLE / bit-packing hybrid. */
#include "base/rng.h"
#include "flush/parquet/hybrid.h"
#include "tests/support/test.h"

static struct lam_error err;

/* Decodes in uneven steps and compares. */
static void check_stream(struct lam_slice bytes, const uint32_t *values, size_t count,
                         uint32_t width, struct rng *rng) {
    uint32_t out[64];
    struct pq_hybrid h = pq_hybrid_of(bytes, width);
    for (size_t done = 0; done < count;) {
        size_t n = 1 + rng_below(rng, 64);
        n = n < count - done ? n : count - done;
        ck_assert(pq_hybrid_next(&h, out, n));
        ck_assert_mem_eq(out, values + done, n * sizeof *out);
        done += n;
    }
}

START_TEST(all_widths_and_shapes_are_read_back) {
    struct rng rng;
    rng_init(&rng, test_seed("all_widths_and_shapes_are_read_back"));
    static uint32_t values[3000];
    for (uint32_t width = 1; width <= 32; width++) {
        for (int round = 0; round < 30; round++) {
            size_t count = 1 + rng_below(&rng, 3000);
            uint64_t longest = 1 + rng_below(&rng, 40);
            uint32_t mask = width == 32 ? UINT32_MAX : (1u << width) - 1;
            for (size_t i = 0; i < count;) {
                uint32_t v = (uint32_t)rng_next(&rng) & mask;
                for (uint64_t run = 1 + rng_below(&rng, longest); run > 0 && i < count; run--)
                    values[i++] = v;
            }
            struct buf b = {0};
            ck_ok(pq_hybrid_encode(values, count, width, &b, &err), &err);
            /* Exactly as long as the heap block, so that a read past it is seen. */
            uint8_t *exact = malloc(b.size);
            memcpy(exact, b.data, b.size);
            check_stream(lam_slice_of(exact, b.size), values, count, width, &rng);
            free(exact);
            buf_fini(&b);
        }
    }
}
END_TEST

START_TEST(constant_page_is_one_run) {
    uint32_t ones[20000];
    struct buf b = {0};
    for (size_t i = 0; i < 20000; i++)
        ones[i] = 1;
    ck_ok(pq_hybrid_encode(ones, 20000, 1, &b, &err), &err);
    static const uint8_t expected[] = {0xc0, 0xb8, 0x02, 0x01};
    ck_assert_uint_eq(b.size, sizeof expected);
    ck_assert_mem_eq(b.data, expected, sizeof expected);
    buf_reset(&b);
    ck_ok(pq_hybrid_encode(ones, 3, 1, &b, &err), &err);
    static const uint8_t few[] = {0x06, 0x01};
    ck_assert_uint_eq(b.size, sizeof few);
    ck_assert_mem_eq(b.data, few, sizeof few);
    buf_fini(&b);
}
END_TEST

START_TEST(last_group_is_padded_with_zeros) {
    static const uint32_t values[] = {1, 2, 3};
    struct buf b = {0};
    ck_ok(pq_hybrid_encode(values, 3, 4, &b, &err), &err);
    static const uint8_t expected[] = {0x03, 0x21, 0x03, 0x00, 0x00};
    ck_assert_uint_eq(b.size, sizeof expected);
    ck_assert_mem_eq(b.data, expected, sizeof expected);
    buf_fini(&b);
}
END_TEST

START_TEST(cut_stream_fails) {
    uint32_t values[500], out[500];
    struct buf b = {0};
    for (uint32_t i = 0; i < 500; i++)
        values[i] = i % 97 < 30 ? 5 : i % 61;
    ck_ok(pq_hybrid_encode(values, 500, 6, &b, &err), &err);
    for (size_t size = 0; size < b.size; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, b.data, size);
        struct pq_hybrid h = pq_hybrid_of(lam_slice_of(exact, size), 6);
        /* Padding of the last group may be missing; more may not. */
        bool good = pq_hybrid_next(&h, out, 500);
        ck_assert(!good || memcmp(out, values, sizeof out) == 0);
        if (size + 6 < b.size)
            ck_assert(!good);
        free(exact);
    }
    buf_fini(&b);
}
END_TEST

START_TEST(run_of_nothing_fails) {
    static const uint8_t bytes[] = {0x00, 0x01, 0x04, 0x01};
    uint32_t out[2];
    struct pq_hybrid h = pq_hybrid_of(lam_slice_of(bytes, sizeof bytes), 1);
    ck_assert(!pq_hybrid_next(&h, out, 2));
}
END_TEST

START_TEST(repeated_value_wider_than_its_bits_fails) {
    static const uint8_t bytes[] = {0x04, 0x02};
    uint32_t out[2];
    struct pq_hybrid h = pq_hybrid_of(lam_slice_of(bytes, sizeof bytes), 1);
    ck_assert(!pq_hybrid_next(&h, out, 2));
}
END_TEST

START_TEST(bits_of_every_width_are_read_back) {
    struct rng rng;
    rng_init(&rng, test_seed("bits_of_every_width_are_read_back"));
    for (uint32_t width = 0; width <= 64; width++) {
        uint64_t values[77], out[77];
        struct buf b = {0};
        for (size_t i = 0; i < 77; i++)
            values[i] = width == 0    ? 0
                        : width == 64 ? rng_next(&rng)
                                      : rng_next(&rng) & ((UINT64_C(1) << width) - 1);
        ck_ok(pq_bits_pack(values, 77, width, &b, &err), &err);
        ck_assert_uint_eq(b.size, (77 * width + 7) / 8);
        uint8_t *exact = malloc(b.size + 1);
        memcpy(exact, b.data, b.size);
        for (size_t first = 0; first < 77; first += 7) {
            pq_bits_unpack(exact, b.size, (uint64_t)first * width, width, out, 77 - first);
            ck_assert_mem_eq(out, values + first, (77 - first) * sizeof *out);
        }
        free(exact);
        buf_fini(&b);
    }
}
END_TEST

TEST_MAIN("parquet/hybrid", all_widths_and_shapes_are_read_back, constant_page_is_one_run,
          last_group_is_padded_with_zeros, cut_stream_fails, run_of_nothing_fails,
          repeated_value_wider_than_its_bits_fails, bits_of_every_width_are_read_back)
