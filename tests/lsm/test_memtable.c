/* SPDX-License-Identifier: Apache-2.0
 *
 * Memtables against sorted arrays, and with readers beside the writer. */
#include "lsm/memtable.h"

#include <stdatomic.h>

#include "base/thread.h"
#include "tests/lsm/entries.h"

static struct lam_error err;

static void insert(struct memtable *m, const struct entry *e) {
    ck_ok(memtable_reserve(m, memtable_put_bound(e->key.size, e->value.size), 0, &err), &err);
    memtable_insert(m, e);
}

static void check_entry(const struct entry *a, const struct entry *b) {
    ck_assert(slice_eq(a->key, b->key));
    ck_assert_uint_eq(a->sequence, b->sequence);
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert(slice_eq(a->value, b->value));
}

START_TEST(entries_come_back_in_order_whatever_order_they_came_in) {
    struct rng rng;
    rng_init(&rng, test_seed("memtable"));
    struct model_options o = {.count = 3000,
                              .key_max = 12,
                              .prefix = "k",
                              .alphabet = 4,
                              .value_max = 40,
                              .sequence_max = 1000,
                              .versions = 4};
    struct model model;
    model_make(&model, &rng, &o);
    size_t *order = calloc(model.count, sizeof *order);
    for (size_t i = 0; i < model.count; i++) {
        size_t j = rng_below(&rng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    struct memtable *m;
    ck_ok(memtable_new(&m, &err), &err);
    ck_assert_uint_eq(memtable_entries(m), 0);
    for (size_t i = 0; i < model.count; i++)
        insert(m, &model.items[order[i]]);
    insert(m, &model.items[0]); /* there already */
    ck_assert_uint_gt(memtable_entries(m), 0);
    struct cursor_iter *it;
    ck_ok(memtable_iter_new(m, &it, &err), &err);
    size_t n = 0;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        check_entry(&it->entry, &model.items[n++]);
    ck_assert_uint_eq(n, model.count);
    for (it->ops->seek_last(it); it->valid; it->ops->prev(it))
        check_entry(&it->entry, &model.items[--n]);
    ck_assert_uint_eq(n, 0);
    for (int i = 0; i < 2000; i++) {
        size_t at = rng_below(&rng, model.count);
        uint64_t snapshot = rng_below(&rng, 1100);
        struct lam_slice key = model.items[at].key;
        size_t want = 0;
        while (want < model.count &&
               entry_cmp(model.items[want].key, model.items[want].sequence, key, snapshot) < 0)
            want++;
        struct entry got;
        bool found = memtable_get(m, key, snapshot, &got);
        bool expected = want < model.count && slice_eq(model.items[want].key, key);
        ck_assert_int_eq(found, expected);
        if (found)
            check_entry(&got, &model.items[want]);
        it->ops->seek(it, key, snapshot);
        ck_assert_int_eq(it->valid, want < model.count);
        if (it->valid)
            check_entry(&it->entry, &model.items[want]);
        it->ops->seek_before(it, key, snapshot);
        ck_assert_int_eq(it->valid, want > 0);
        if (it->valid)
            check_entry(&it->entry, &model.items[want - 1]);
    }
    it->ops->free(it);
    memtable_unref(m);
    free(order);
    model_fini(&model);
}
END_TEST

START_TEST(range_tombstones_hide_as_a_walk_over_them_says) {
    struct rng rng;
    rng_init(&rng, test_seed("memtable/ranges"));
    struct memtable *m;
    ck_ok(memtable_new(&m, &err), &err);
    struct range_tombstone all[700];
    uint8_t bytes[700][2];
    for (uint32_t i = 0; i < 700; i++) {
        bytes[i][0] = (uint8_t)rng_below(&rng, 200);
        bytes[i][1] = (uint8_t)(bytes[i][0] + 1 + rng_below(&rng, 40));
        all[i] = (struct range_tombstone){lam_slice_of(&bytes[i][0], 1),
                                          i % 50 ? lam_slice_of(&bytes[i][1], 1) : SLICE_EMPTY,
                                          rng_below(&rng, i + 1), i + 1};
        ck_ok(memtable_reserve(m, 0, memtable_range_bound(1, 1), &err), &err);
        memtable_insert_range(m, &all[i]);
        ck_assert_uint_eq(memtable_range_count(m), i + 1);
        ck_assert_uint_eq(memtable_range(m, i)->sequence, i + 1);
        for (int k = 0; k < 5; k++) {
            uint8_t key = (uint8_t)rng_below(&rng, 256);
            uint64_t snapshot = rng_below(&rng, i + 3), want = 0;
            for (uint32_t j = 0; j <= i; j++)
                if (all[j].sequence <= snapshot && all[j].upto > want &&
                    range_tombstone_covers(&all[j], lam_slice_of(&key, 1)))
                    want = all[j].upto;
            ck_assert_uint_eq(memtable_hidden_upto(m, lam_slice_of(&key, 1), snapshot), want);
        }
    }
    memtable_unref(m);
}
END_TEST

static struct memtable *shared;
static _Atomic uint64_t published;
#define WRITES 20000

static void write_shared(void *arg) {
    (void)arg;
    for (uint64_t i = 1; i <= WRITES; i++) {
        uint64_t key = i * 0x9e3779b97f4a7c15ull % 997;
        struct entry e = {lam_slice_of(&key, 8), i, ENTRY_PUT, lam_slice_of(&i, 8)};
        insert(shared, &e);
        if (i % 64 == 0) {
            uint64_t upto = i / 2;
            struct range_tombstone t = {lam_slice_of(&key, 1), SLICE_EMPTY, upto, i};
            ck_ok(memtable_reserve(shared, 0, memtable_range_bound(1, 0), &err), &err);
            memtable_insert_range(shared, &t);
        }
        atomic_store_explicit(&published, i, memory_order_release);
    }
}

START_TEST(readers_beside_the_writer_see_whole_entries) {
    ck_ok(memtable_new(&shared, &err), &err);
    struct thread t;
    ck_ok(thread_start(&t, write_shared, NULL, &err), &err);
    uint64_t seen = 0, sequence = 0;
    while (sequence < WRITES) {
        sequence = atomic_load_explicit(&published, memory_order_acquire);
        if (sequence == 0)
            continue;
        uint64_t key = sequence * 0x9e3779b97f4a7c15ull % 997;
        struct entry e;
        ck_assert(memtable_get(shared, lam_slice_of(&key, 8), sequence, &e));
        ck_assert_uint_eq(e.sequence, sequence);
        ck_assert_uint_eq(get_le64(e.value.data), sequence);
        ck_assert_uint_lt(memtable_hidden_upto(shared, e.key, sequence), sequence);
        seen++;
    }
    thread_join(&t);
    ck_assert_uint_gt(seen, 0);
    memtable_unref(shared);
}
END_TEST

/* Thousands of partitions have one each. */
START_TEST(a_memtable_with_little_in_it_is_small) {
    struct memtable *m;
    ck_ok(memtable_new(&m, &err), &err);
    ck_assert_uint_lt(memtable_bytes(m), 512);
    struct entry e = {lam_slice_str("some key"), 1, ENTRY_PUT, lam_slice_str("some value")};
    insert(m, &e);
    ck_assert_uint_lt(memtable_bytes(m), 1600);
    memtable_unref(m);
}
END_TEST

TEST_MAIN("lsm/memtable", entries_come_back_in_order_whatever_order_they_came_in,
          range_tombstones_hide_as_a_walk_over_them_says,
          readers_beside_the_writer_see_whole_entries, a_memtable_with_little_in_it_is_small)
