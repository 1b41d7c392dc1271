/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/block_cache.h"

#include "base/rng.h"
#include "base/thread.h"
#include "tests/support/test.h"

static struct lam_error err;

/* A block of `size` bytes that says where it belongs. */
static struct cached_block *block_of(uint64_t number, uint64_t offset, size_t size) {
    struct cached_block *b = cached_block_new(size);
    ck_assert_ptr_nonnull(b);
    memset(b->data, (int)(number + offset), size);
    return b;
}

static void put(struct block_cache *c, uint64_t number, uint64_t offset, size_t size) {
    struct cached_block *b = block_of(number, offset, size);
    block_cache_put(c, number, offset, b);
    cached_block_unref(b);
}

static bool holds(struct block_cache *c, uint64_t number, uint64_t offset) {
    struct cached_block *b = block_cache_get(c, number, offset);
    if (b)
        ck_assert_uint_eq(b->data[0], (uint8_t)(number + offset));
    cached_block_unref(b);
    return b != NULL;
}

static struct block_cache_stats stats_of(struct block_cache *c) {
    struct block_cache_stats s;
    block_cache_get_stats(c, &s);
    return s;
}

START_TEST(blocks_are_found_by_file_and_offset) {
    struct block_cache *c;
    ck_ok(block_cache_new(8u << 20, &c, &err), &err);
    for (uint64_t n = 0; n < 10; n++)
        for (uint64_t i = 0; i < 50; i++)
            put(c, n, i * 100, 64);
    for (uint64_t n = 0; n < 10; n++)
        for (uint64_t i = 0; i < 50; i++)
            ck_assert(holds(c, n, i * 100) && !holds(c, n, i * 100 + 1));
    ck_assert_uint_eq(stats_of(c).hits, 500);
    ck_assert_uint_eq(stats_of(c).misses, 500);
    block_cache_drop_file(c, 3);
    for (uint64_t n = 0; n < 10; n++)
        ck_assert(holds(c, n, 100) == (n != 3));
    block_cache_free(c);
}
END_TEST

START_TEST(capacity_is_respected_and_least_used_go_first) {
    struct block_cache *c;
    size_t capacity = 256u << 10; /* one shard */
    ck_ok(block_cache_new(capacity, &c, &err), &err);
    for (uint64_t i = 0; i < 1000; i++) {
        put(c, 1, i, 8192);
        ck_assert_uint_le(stats_of(c).bytes, capacity);
        ck_assert(holds(c, 1, 0)); /* keeps it the most recently used */
    }
    ck_assert(holds(c, 1, 999) && !holds(c, 1, 500));
    ck_assert_uint_gt(stats_of(c).bytes, capacity - 2 * 9000);
    block_cache_free(c);
    capacity = 16u << 20;
    ck_ok(block_cache_new(capacity, &c, &err), &err);
    for (uint64_t i = 0; i < 5000; i++)
        put(c, 1, i * 4096, 8192);
    ck_assert_uint_le(stats_of(c).bytes, capacity);
    ck_assert_uint_gt(stats_of(c).bytes, capacity * 9 / 10);
    block_cache_free(c);
}
END_TEST

START_TEST(pinned_block_outlives_eviction_and_the_cache) {
    struct block_cache *c;
    ck_ok(block_cache_new(128u << 10, &c, &err), &err);
    put(c, 1, 7, 8192);
    struct cached_block *pinned = block_cache_get(c, 1, 7);
    ck_assert_ptr_nonnull(pinned);
    for (uint64_t i = 100; i < 200; i++)
        put(c, 2, i, 8192);
    ck_assert(!holds(c, 1, 7));
    ck_assert_uint_eq(pinned->data[8191], 8);
    block_cache_free(c);
    ck_assert_uint_eq(pinned->data[0], 8);
    cached_block_unref(pinned);
}
END_TEST

START_TEST(huge_blocks_and_second_copies_are_not_kept) {
    struct block_cache *c;
    ck_ok(block_cache_new(1u << 20, &c, &err), &err);
    put(c, 1, 0, 512u << 10);
    ck_assert(!holds(c, 1, 0));
    put(c, 1, 1, 100);
    put(c, 1, 1, 200);
    struct cached_block *b = block_cache_get(c, 1, 1);
    ck_assert_uint_lt(b->charge, sizeof *b + 200);
    cached_block_unref(b);
    block_cache_free(c);
    ck_ok(block_cache_new(0, &c, &err), &err);
    put(c, 1, 1, 1);
    ck_assert(!holds(c, 1, 1));
    block_cache_free(c);
    block_cache_free(NULL);
}
END_TEST

struct worker {
    struct thread thread;
    struct block_cache *cache;
    uint64_t seed;
    uint64_t wrong;
};

static void work(void *arg) {
    struct worker *w = arg;
    struct rng rng;
    rng_init(&rng, w->seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t number = rng_below(&rng, 4);
        uint64_t offset = rng_below(&rng, 100);
        struct cached_block *b = block_cache_get(w->cache, number, offset);
        if (!b) {
            b = block_of(number, offset, 4096);
            block_cache_put(w->cache, number, offset, b);
        }
        w->wrong += b->data[rng_below(&rng, 4096)] != (uint8_t)(number + offset);
        cached_block_unref(b);
        if (rng_below(&rng, 500) == 0)
            block_cache_drop_file(w->cache, number);
    }
}

START_TEST(threads_share_the_cache) {
    uint64_t seed = test_seed("threads_share_the_cache");
    struct block_cache *c;
    ck_ok(block_cache_new(1u << 20, &c, &err), &err);
    struct worker workers[4];
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.cache = c, .seed = seed + i};
        ck_ok(thread_start(&workers[i].thread, work, &workers[i], &err), &err);
    }
    uint64_t wrong = 0;
    for (size_t i = 0; i < 4; i++) {
        thread_join(&workers[i].thread);
        wrong += workers[i].wrong;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(stats_of(c).hits + stats_of(c).misses, 80000);
    ck_assert_uint_le(stats_of(c).bytes, 1u << 20);
    block_cache_free(c);
}
END_TEST

TEST_MAIN("lsm/block_cache", blocks_are_found_by_file_and_offset,
          capacity_is_respected_and_least_used_go_first,
          pinned_block_outlives_eviction_and_the_cache, huge_blocks_and_second_copies_are_not_kept,
          threads_share_the_cache)
