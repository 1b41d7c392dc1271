/* SPDX-License-Identifier: Apache-2.0
 *
 * A writer of a radix tree with readers beside it: each insert is published by its sequence, and
 * who has read a sequence sees all up to it, by point reads and by walks in both directions. */
#include <stdatomic.h>

#include "base/rng.h"
#include "base/thread.h"
#include "lsm/art.h"
#include "tests/support/test.h"

#define INSERTS 6000u
#define BATCH   50u
#define READERS 2u
#define KEY_MAX 40u

static struct lam_error err;
static uint64_t seed;
static struct pool pool;
static struct art tree;
static _Atomic uint64_t published; /* by the writer */
static _Atomic uint64_t walks;     /* begun, by readers; the writer keeps in step with them */

/* Key of insert `i`: the third insert of a key is of another length. */
static struct lam_slice key_of(uint64_t i, uint8_t *out) {
    struct rng rng;
    rng_init(&rng, seed + i / 3);
    uint64_t alphabet = rng_below(&rng, 3) ? 3 : 256;
    size_t shared = rng_below(&rng, 3) * 9;
    memset(out, (int)rng_below(&rng, 2), shared);
    size_t size = shared + rng_below(&rng, KEY_MAX - shared);
    for (size_t j = shared; j < size; j++)
        out[j] = (uint8_t)rng_below(&rng, alphabet);
    return lam_slice_of(out, i % 3 == 2 ? size / 2 : size);
}

static void write_all(void *arg) {
    (void)arg;
    struct lam_error e;
    uint8_t key[KEY_MAX];
    for (uint64_t i = 1; i <= INSERTS; i++) {
        while (atomic_load(&walks) < i / BATCH)
            thread_yield();
        struct entry entry = {key_of(i, key), i, i % 5 ? ENTRY_PUT : ENTRY_DELETE,
                              lam_slice_of(&i, 8)};
        ck_ok(art_reserve(&tree, art_put_bound(entry.key.size, 8), 0, &e), &e);
        ck_assert(art_insert(&tree, &entry));
        atomic_store_explicit(&published, i, memory_order_release);
    }
}

static bool is_whole(const struct entry *e) {
    uint8_t key[KEY_MAX];
    return get_le64(e->value.data) == e->sequence && slice_eq(e->key, key_of(e->sequence, key)) &&
           (e->kind == ENTRY_PUT) == (e->sequence % 5 != 0);
}

static void check_get(struct rng *rng, uint64_t snapshot) {
    uint8_t key[KEY_MAX];
    struct entry e;
    uint64_t i = 1 + rng_below(rng, snapshot);
    if (!art_get(&tree, key_of(i, key), snapshot, &e))
        ck_abort_msg("insert %llu is missing at %llu", (unsigned long long)i,
                     (unsigned long long)snapshot);
    ck_assert(is_whole(&e) && e.sequence >= i && e.sequence <= snapshot);
}

/* Every entry up to the snapshot comes once, in order. */
static void check_walk(uint64_t snapshot, bool forward) {
    struct art_iter it;
    struct entry e, last = {0};
    uint64_t seen = 0;
    bool is_first = true;
    art_iter_init(&it, &tree);
    bool stands = forward ? art_iter_first(&it) : art_iter_last(&it);
    atomic_fetch_add(&walks, 1);
    for (; stands; stands = forward ? art_iter_next(&it) : art_iter_prev(&it)) {
        art_iter_entry(&it, &e);
        int c = is_first ? 0 : entry_cmp(e.key, e.sequence, last.key, last.sequence);
        if (!is_whole(&e) || (!is_first && (forward ? c <= 0 : c >= 0)))
            ck_abort_msg("sequence %llu is broken or in a wrong place",
                         (unsigned long long)e.sequence);
        seen += e.sequence <= snapshot;
        last = e;
        is_first = false;
    }
    ck_assert_uint_eq(seen, snapshot);
}

/* Turns about at a place, where seeks must not give what lies on the other side of it. */
static void check_seek(struct rng *rng, uint64_t snapshot) {
    struct art_iter it;
    struct entry e;
    uint8_t bytes[KEY_MAX];
    struct lam_slice key = key_of(1 + rng_below(rng, INSERTS), bytes);
    art_iter_init(&it, &tree);
    if (art_iter_seek(&it, key, snapshot)) {
        art_iter_entry(&it, &e);
        ck_assert(is_whole(&e) && entry_cmp(e.key, e.sequence, key, snapshot) >= 0);
    }
    if (art_iter_before(&it, key, snapshot)) {
        art_iter_entry(&it, &e);
        ck_assert(is_whole(&e) && entry_cmp(e.key, e.sequence, key, snapshot) < 0);
    }
}

static void read_all(void *arg) {
    struct rng rng;
    rng_init(&rng, seed ^ (uintptr_t)arg);
    uint64_t snapshot = 0;
    while (snapshot < INSERTS) {
        snapshot = atomic_load_explicit(&published, memory_order_acquire);
        for (int i = 0; i < 20 && snapshot > 0; i++) {
            check_get(&rng, snapshot);
            check_seek(&rng, snapshot);
        }
        check_walk(snapshot, rng_below(&rng, 2));
    }
}

START_TEST(readers_beside_the_writer_see_all_that_is_published) {
    seed = test_seed("art/threads");
    art_init(&tree, &pool);
    struct thread writer, readers[READERS];
    ck_ok(thread_start(&writer, write_all, NULL, &err), &err);
    for (uintptr_t i = 0; i < READERS; i++)
        ck_ok(thread_start(&readers[i], read_all, (void *)(i + 1), &err), &err);
    thread_join(&writer);
    for (uintptr_t i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    ck_assert_uint_ge(atomic_load(&walks), INSERTS / BATCH);
    pool_fini(&pool);
}
END_TEST

TEST_MAIN("lsm/art_threads", readers_beside_the_writer_see_all_that_is_published)
