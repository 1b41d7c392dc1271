/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/block_cache.h"

#include "base/rng.h"
#include "base/thread.h"
#include "lsm/block_builder.h"
#include "tests/support/test.h"

#define FILES  4
#define BLOCKS 1000

static struct lam_error err;
static struct epochs epochs;
static struct block_cache *cache;
static block_slot slots[FILES][BLOCKS];

static void start(size_t capacity) {
    epochs_init(&epochs);
    ck_ok(block_cache_new(capacity, &epochs, &cache, &err), &err);
}

static void end(void) {
    for (size_t i = 0; i < FILES; i++)
        block_cache_drop(cache, slots[i], BLOCKS);
    block_cache_free(cache);
    epochs_fini(&epochs);
}

/* A block of `size` bytes that says where it belongs. */
static struct cached_block *block_of(size_t file, size_t i, size_t size) {
    struct cached_block *b = cached_block_new(cache, size);
    ck_assert_ptr_nonnull(b);
    memset(b->data, (int)(file + i), size);
    return b;
}

static void put(size_t file, size_t i, size_t size) {
    struct cached_block *b = block_of(file, i, size);
    block_cache_put(cache, &slots[file][i], b);
    cached_block_unref(b);
}

static bool holds(size_t file, size_t i) {
    struct cached_block *b = block_cache_get(cache, &slots[file][i]);
    if (b)
        ck_assert_uint_eq(b->data[0], (uint8_t)(file + i));
    cached_block_unref(b);
    return b != NULL;
}

static struct block_cache_stats stats_now(void) {
    struct block_cache_stats s;
    block_cache_get_stats(cache, &s);
    return s;
}

START_TEST(blocks_are_found_in_their_slots) {
    start(8u << 20);
    for (size_t n = 0; n < FILES; n++)
        for (size_t i = 0; i < 50; i++)
            put(n, i * 2, 64);
    for (size_t n = 0; n < FILES; n++)
        for (size_t i = 0; i < 50; i++)
            ck_assert(holds(n, i * 2) && !holds(n, i * 2 + 1));
    ck_assert_uint_eq(stats_now().hits, FILES * 50);
    ck_assert_uint_eq(stats_now().misses, FILES * 50);
    size_t before = stats_now().bytes;
    block_cache_drop(cache, slots[3], BLOCKS);
    ck_assert_uint_eq(stats_now().bytes, before - before / FILES);
    for (size_t n = 0; n < FILES; n++)
        ck_assert(holds(n, 2) == (n != 3));
    end();
}
END_TEST

START_TEST(capacity_is_respected_and_what_is_hit_stays) {
    size_t capacity = 256u << 10; /* one shard */
    start(capacity);
    for (size_t i = 0; i < BLOCKS; i++) {
        put(1, i, 8192);
        ck_assert_uint_le(stats_now().bytes, capacity);
        ck_assert(holds(1, 0));
    }
    ck_assert(holds(1, BLOCKS - 1) && !holds(1, 500));
    ck_assert_uint_gt(stats_now().bytes, capacity - 3 * 9000);
    end();
    capacity = 16u << 20;
    start(capacity);
    for (size_t n = 0; n < FILES; n++)
        for (size_t i = 0; i < BLOCKS; i++)
            put(n, i, 8192);
    ck_assert_uint_le(stats_now().bytes, capacity);
    ck_assert_uint_gt(stats_now().bytes, capacity * 9 / 10);
    end();
}
END_TEST

START_TEST(blocks_that_are_all_hit_still_make_room) {
    start(256u << 10);
    for (size_t i = 0; i < BLOCKS; i++) {
        put(0, i, 1024);
        for (size_t j = 0; j <= i; j++)
            holds(0, j);
        ck_assert(holds(0, i));
    }
    ck_assert_uint_le(stats_now().bytes, 256u << 10);
    end();
}
END_TEST

START_TEST(referenced_block_outlives_eviction_and_the_cache) {
    start(128u << 10);
    put(1, 7, 8192);
    struct cached_block *kept = block_cache_get(cache, &slots[1][7]);
    ck_assert_ptr_nonnull(kept);
    for (size_t i = 100; i < 200; i++)
        put(2, i, 8192);
    ck_assert(!holds(1, 7));
    ck_assert_uint_eq(kept->data[8191], 8);
    end();
    ck_assert_uint_eq(kept->data[0], 8);
    cached_block_unref(kept);
}
END_TEST

START_TEST(reader_inside_an_epoch_keeps_what_is_evicted_and_the_cache_stays_small) {
    start(128u << 10);
    put(1, 7, 8192);
    struct epoch_reader *r = epoch_enter(&epochs);
    const struct cached_block *seen = atomic_load(&slots[1][7]); /* without marking it */
    ck_assert_ptr_nonnull(seen);
    size_t there = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        put(2, i, 8192);
        there += atomic_load(&slots[2][i]) != NULL;
    }
    ck_assert_ptr_null(atomic_load(&slots[1][7]));
    ck_assert_uint_eq(seen->data[8191], 8); /* the sanitizer knows if it is freed */
    /* What waits for the reader is bounded: from then on nothing is taken in. */
    ck_assert_uint_lt(there, 40);
    ck_assert_uint_gt(there, 10);
    epoch_leave(&epochs, r);
    put(3, 1, 8192);
    ck_assert(holds(3, 1));
    end();
}
END_TEST

START_TEST(huge_blocks_and_second_copies_are_not_kept) {
    start(1u << 20);
    put(1, 0, 512u << 10);
    ck_assert(!holds(1, 0));
    put(1, 1, 100);
    put(1, 1, 200);
    struct cached_block *b = block_cache_get(cache, &slots[1][1]);
    ck_assert_uint_lt(b->charge, sizeof *b + 200);
    cached_block_unref(b);
    end();
    start(0);
    put(1, 1, 1);
    ck_assert(!holds(1, 1));
    end();
    block_cache_free(NULL);
}
END_TEST

struct worker {
    struct thread thread;
    uint64_t seed;
    uint64_t wrong;
};

static void work(void *arg) {
    struct worker *w = arg;
    struct rng rng;
    rng_init(&rng, w->seed);
    for (int i = 0; i < 20000; i++) {
        size_t file = rng_below(&rng, FILES), at = rng_below(&rng, 150);
        size_t byte = rng_below(&rng, 4096);
        if (i % 2) {
            struct epoch_reader *r = epoch_enter(&epochs);
            const struct cached_block *b = block_cache_peek(&slots[file][at]);
            w->wrong += b && b->data[byte] != (uint8_t)(file + at);
            epoch_leave(&epochs, r);
            continue;
        }
        struct cached_block *b = block_cache_get(cache, &slots[file][at]);
        if (!b) {
            b = block_of(file, at, 4096);
            block_cache_put(cache, &slots[file][at], b);
        }
        w->wrong += b->data[byte] != (uint8_t)(file + at);
        cached_block_unref(b);
    }
}

START_TEST(threads_share_the_cache) {
    uint64_t seed = test_seed("threads_share_the_cache");
    start(1u << 20);
    struct worker workers[4];
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.seed = seed + i};
        ck_ok(thread_start(&workers[i].thread, work, &workers[i], &err), &err);
    }
    uint64_t wrong = 0;
    for (size_t i = 0; i < 4; i++) {
        thread_join(&workers[i].thread);
        wrong += workers[i].wrong;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(stats_now().hits + stats_now().misses, 40000);
    ck_assert_uint_gt(stats_now().misses, 600);
    ck_assert_uint_le(stats_now().bytes, 1u << 20);
    end();
}
END_TEST

/* --- heads ----------------------------------------------------------------------------------- */

#define BLOCK_KEYS 100
#define SOUGHT     400

static struct cached_block *sought[SOUGHT];

static struct lam_slice sought_key(char *out, unsigned i) {
    return lam_slice_of(out, (size_t)snprintf(out, 16, "key%04u", i));
}

/* Holds every second key. */
static struct cached_block *block_to_seek(void) {
    struct block_builder b = {0};
    struct buf bytes = {0};
    char key[16];
    for (unsigned i = 0; i < BLOCK_KEYS; i++) {
        struct entry e = {.key = sought_key(key, 2 * i + 1), .sequence = 5, .kind = ENTRY_PUT};
        ck_ok(block_builder_add(&b, &e, 0, false, &err), &err);
    }
    ck_ok(block_builder_finish(&b, &bytes, &err), &err);
    struct cached_block *block = cached_block_new(cache, bytes.size);
    ck_assert_ptr_nonnull(block);
    memcpy(block->data, bytes.data, bytes.size);
    ck_ok(block_view_parse(lam_slice_of(block->data, bytes.size), &block->view, &err), &err);
    buf_fini(&bytes);
    block_builder_fini(&b);
    return block;
}

static void seek(void *arg) {
    struct worker *w = arg;
    char key[16];
    for (unsigned i = 0; i < SOUGHT; i++) {
        struct block_view v = sought[i]->view;
        v.heads = cached_block_heads(sought[i]);
        unsigned k = (unsigned)(w->seed * 7 + i) % BLOCK_KEYS;
        w->wrong += block_view_lower_bound(&v, sought_key(key, 2 * k), 9) != k;
    }
}

START_TEST(heads_are_made_once_and_seekers_beside_it_do_without) {
    start(1u << 20);
    struct worker workers[4];
    for (size_t i = 0; i < SOUGHT; i++) {
        sought[i] = block_to_seek();
        ck_assert_ptr_null(sought[i]->view.heads);
    }
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.seed = i};
        ck_ok(thread_start(&workers[i].thread, seek, &workers[i], &err), &err);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&workers[i].thread);
        ck_assert_uint_eq(workers[i].wrong, 0);
    }
    for (size_t i = 0; i < SOUGHT; i++) {
        ck_assert_ptr_eq(cached_block_heads(sought[i]), &sought[i]->heads);
        cached_block_unref(sought[i]);
    }
    struct cached_block *b = block_to_seek();
    atomic_store(&b->heads_state, CACHED_HEADS_TAKEN);
    ck_assert_ptr_null(cached_block_heads(b));
    cached_block_unref(b);
    end();
}
END_TEST

TEST_MAIN("lsm/block_cache", blocks_are_found_in_their_slots,
          capacity_is_respected_and_what_is_hit_stays, blocks_that_are_all_hit_still_make_room,
          referenced_block_outlives_eviction_and_the_cache,
          reader_inside_an_epoch_keeps_what_is_evicted_and_the_cache_stays_small,
          huge_blocks_and_second_copies_are_not_kept, threads_share_the_cache,
          heads_are_made_once_and_seekers_beside_it_do_without)
