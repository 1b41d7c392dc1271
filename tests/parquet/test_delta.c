/* SPDX-License-Identifier: Apache-2.0
 *
 * DELTA_BINARY_PACKED. */
#include "base/rng.h"
#include "flush/parquet/delta.h"
#include "tests/support/test.h"

static struct lam_error err;

static void put(uint8_t *values, size_t i, int64_t v, size_t width) {
    if (width == 4)
        put_le32(values + i * 4, (uint32_t)v);
    else
        put_le64(values + i * 8, (uint64_t)v);
}

static int64_t get(const uint8_t *values, size_t i, size_t width) {
    return width == 4 ? (int32_t)get_le32(values + i * 4) : (int64_t)get_le64(values + i * 8);
}

static void check_values(const uint8_t *values, size_t count, size_t width, struct rng *rng) {
    struct buf b = {0};
    ck_ok(pq_delta_encode(values, count, width, &b, &err), &err);
    ck_assert_uint_le(b.size, pq_delta_size(values, count, width) + 16);
    uint8_t *exact = malloc(b.size);
    memcpy(exact, b.data, b.size);
    struct pq_delta d;
    ck_assert(pq_delta_start(&d, lam_slice_of(exact, b.size), width));
    ck_assert_uint_eq(d.total, count);
    for (size_t done = 0; done < count;) {
        int64_t out[70];
        size_t n = 1 + rng_below(rng, 70);
        n = n < count - done ? n : count - done;
        ck_assert(pq_delta_next(&d, out, n));
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(out[i], get(values, done + i, width));
        done += n;
    }
    int64_t more;
    ck_assert(!pq_delta_next(&d, &more, 1));
    ck_assert_uint_eq(cursor_left(&d.in), 0);
    free(exact);
    buf_fini(&b);
}

START_TEST(values_of_every_spread_are_read_back) {
    struct rng rng;
    rng_init(&rng, test_seed("values_of_every_spread_are_read_back"));
    static uint8_t values[1000 * 8];
    for (size_t width = 4; width <= 8; width += 4) {
        for (uint32_t bits = 0; bits <= width * 8; bits++) {
            size_t count = rng_below(&rng, 1000);
            uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
            for (size_t i = 0; i < count; i++)
                put(values, i, (int64_t)((rng_next(&rng) & mask) - mask / 2), width);
            check_values(values, count, width, &rng);
        }
    }
}
END_TEST

START_TEST(extremes_wrap_and_come_back) {
    struct rng rng;
    rng_init(&rng, 1);
    uint8_t values[300 * 8];
    for (size_t i = 0; i < 300; i++)
        put(values, i, i % 2 ? INT64_MAX : INT64_MIN, 8);
    check_values(values, 300, 8, &rng);
    for (size_t i = 0; i < 300; i++)
        put(values, i, i % 3 == 1 ? INT32_MAX : i % 3 ? 0 : INT32_MIN, 4);
    check_values(values, 300, 4, &rng);
}
END_TEST

START_TEST(counts_around_block_ends_are_read_back) {
    struct rng rng;
    rng_init(&rng, 1);
    static const size_t counts[] = {0, 1, 2, 32, 33, 34, 128, 129, 130, 160, 161, 256, 257, 258};
    uint8_t values[300 * 8];
    for (size_t i = 0; i < 300; i++)
        put(values, i, (int64_t)(i * i), 8);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        check_values(values, counts[i], 8, &rng);
}
END_TEST

START_TEST(rising_numbers_take_next_to_nothing) {
    static uint8_t values[20000 * 8];
    struct buf b = {0};
    for (size_t i = 0; i < 20000; i++)
        put(values, i, (int64_t)(1000000 + i), 8);
    ck_ok(pq_delta_encode(values, 20000, 8, &b, &err), &err);
    ck_assert_uint_lt(b.size, 20000 / 128 * 6);
    buf_fini(&b);
}
END_TEST

START_TEST(widths_of_int32_stay_within_32_bits) {
    uint8_t values[129 * 4];
    struct buf b = {0};
    for (size_t i = 0; i < 129; i++)
        put(values, i, i % 2 ? INT32_MAX : INT32_MIN, 4);
    ck_ok(pq_delta_encode(values, 129, 4, &b, &err), &err);
    struct pq_delta d;
    int64_t out[2];
    ck_assert(pq_delta_start(&d, buf_slice(&b), 4));
    ck_assert(pq_delta_next(&d, out, 2));
    for (size_t i = 0; i < d.widths.size; i++)
        ck_assert_uint_le(d.widths.data[i], 32);
    buf_fini(&b);
}
END_TEST

START_TEST(cut_stream_fails) {
    uint8_t values[300 * 8];
    int64_t out[300];
    struct buf b = {0};
    for (size_t i = 0; i < 300; i++)
        put(values, i, (int64_t)(i * 77 % 1001), 8);
    ck_ok(pq_delta_encode(values, 300, 8, &b, &err), &err);
    for (size_t size = 0; size < b.size; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, b.data, size);
        struct pq_delta d;
        bool good = pq_delta_start(&d, lam_slice_of(exact, size), 8) && pq_delta_next(&d, out, 300);
        ck_assert(!good);
        free(exact);
    }
    buf_fini(&b);
}
END_TEST

START_TEST(impossible_blocks_fail) {
    static const uint8_t no_block[] = {0, 4, 1, 0};
    static const uint8_t odd_block[] = {100, 4, 1, 0};
    static const uint8_t no_miniblocks[] = {0x80, 1, 0, 1, 0};
    static const uint8_t small_miniblocks[] = {0x80, 1, 16, 1, 0};
    struct pq_delta d;
    ck_assert(!pq_delta_start(&d, lam_slice_of(no_block, sizeof no_block), 8));
    ck_assert(!pq_delta_start(&d, lam_slice_of(odd_block, sizeof odd_block), 8));
    ck_assert(!pq_delta_start(&d, lam_slice_of(no_miniblocks, sizeof no_miniblocks), 8));
    ck_assert(!pq_delta_start(&d, lam_slice_of(small_miniblocks, sizeof small_miniblocks), 8));
}
END_TEST

TEST_MAIN("parquet/delta", values_of_every_spread_are_read_back, extremes_wrap_and_come_back,
          counts_around_block_ends_are_read_back, rising_numbers_take_next_to_nothing,
          widths_of_int32_stay_within_32_bits, cut_stream_fails, impossible_blocks_fail)
