/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/rng.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static bool all_are(const uint8_t *data, size_t size, uint8_t value) {
    for (size_t i = 0; i < size; i++)
        if (data[i] != value)
            return false;
    return true;
}

START_TEST(allocations_are_aligned_zeroed_and_apart) {
    uint64_t seed = test_seed("allocations_are_aligned_zeroed_and_apart");
    struct rng rng;
    rng_init(&rng, seed);
    struct arena a = {0};
    enum { COUNT = 2000 };
    static uint8_t *items[COUNT];
    static size_t sizes[COUNT];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            sizes[i] = (size_t)rng_below(&rng, rng_below(&rng, 50) == 0 ? 70000 : 200);
            items[i] = arena_alloc(&a, sizes[i]);
            ck_assert_ptr_nonnull(items[i]);
            ck_assert_uint_eq((uintptr_t)items[i] % 16, 0);
            ck_assert(all_are(items[i], sizes[i], 0));
            memset(items[i], (int)(i & 0xFF), sizes[i]);
        }
        for (size_t i = 0; i < COUNT; i++)
            ck_assert(all_are(items[i], sizes[i], (uint8_t)i));
        arena_reset(&a);
        ck_assert_uint_le(a.bytes, ARENA_BLOCK_BYTES);
    }
    arena_fini(&a);
    ck_assert_uint_eq(a.bytes, 0);
}
END_TEST

START_TEST(large_requests_do_not_end_the_shared_block) {
    struct arena a = {0};
    char *before = arena_alloc(&a, 16);
    ck_assert_ptr_nonnull(arena_alloc(&a, 1 << 20));
    char *after = arena_alloc(&a, 16);
    ck_assert_ptr_eq(after, before + 16);
    ck_assert_uint_ge(a.bytes, (1u << 20) + ARENA_BLOCK_BYTES);
    arena_fini(&a);
}
END_TEST

START_TEST(reset_of_an_arena_with_only_large_blocks_frees_them) {
    struct arena a = {0};
    ck_assert_ptr_nonnull(arena_alloc(&a, 1 << 20));
    arena_reset(&a);
    ck_assert_uint_eq(a.bytes, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 8));
    arena_fini(&a);
}
END_TEST

START_TEST(strings_are_copied_and_formatted) {
    struct arena a = {0};
    ck_assert_str_eq(arena_strdup(&a, "one"), "one");
    ck_assert_str_eq(arena_strdup_slice(&a, lam_slice_of("twoXX", 3)), "two");
    ck_assert_str_eq(arena_strdup_slice(&a, SLICE_EMPTY), "");
    ck_assert_str_eq(arena_format(&a, "%s-%05d", "n", 42), "n-00042");
    ck_assert_mem_eq(arena_dup(&a, "\0\1", 2), "\0\1", 2);
    arena_fini(&a);
}
END_TEST

START_TEST(no_memory_gives_null_and_an_arena_that_works_on) {
    struct arena a = {0};
    oom_arm(1);
    ck_assert_ptr_null(arena_alloc(&a, 1));
    ck_assert_ptr_null(arena_alloc(&a, 100000));
    ck_assert_ptr_null(arena_strdup(&a, "x"));
    ck_assert_ptr_null(arena_format(&a, "x"));
    oom_arm(0);
    ck_assert_ptr_null(arena_calloc(&a, SIZE_MAX / 2, 4));
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 4));
    ck_assert_str_eq(arena_strdup(&a, "x"), "x");
    arena_fini(&a);
}
END_TEST

TEST_MAIN("base/arena", allocations_are_aligned_zeroed_and_apart,
          large_requests_do_not_end_the_shared_block,
          reset_of_an_arena_with_only_large_blocks_frees_them, strings_are_copied_and_formatted,
          no_memory_gives_null_and_an_arena_that_works_on)
