/* SPDX-License-Identifier: Apache-2.0
 *
 * The radix tree against a skip list, with iterators held over inserts, and with what its bounds
 * promise and no byte more. */
#include "lsm/art.h"

#include "base/rng.h"
#include "lsm/art_node.h"
#include "tests/lsm/skiplist.h"

static struct lam_error err;

/* --- keys ------------------------------------------------------------------------------------ */

#define KEY_ROOM 400
enum keys {
    SHORT,    /* 0 to 3 bytes of any value */
    SHARED,   /* long prefixes in common, which part at few places */
    ZEROS,    /* bytes 0 and 1 only, any length to 12 */
    NESTED,   /* each a prefix of others: deep trees */
    DENSE,    /* integers in order of their number */
    RANDOM,   /* 16 bytes */
    PAIRS,    /* two bytes: large nodes */
    DECIMALS, /* padded text */
    KEYS_COUNT,
};

static struct lam_slice make_key(struct rng *rng, enum keys kind, uint8_t *out) {
    size_t n = 0;
    switch (kind) {
    case SHORT:
        for (n = 0; n < 3 && rng_below(rng, 4); n++)
            out[n] = (uint8_t)rng_next(rng);
        break;
    case SHARED:
        n = 1 + rng_below(rng, 3) * 130;
        memset(out, 'p', n);
        out[rng_below(rng, n)] += (uint8_t)(rng_below(rng, 20) == 0);
        for (uint64_t tail = rng_below(rng, 3); tail > 0; tail--)
            out[n++] = (uint8_t)rng_next(rng);
        break;
    case ZEROS:
        for (n = rng_below(rng, 13); n > 0; n--)
            out[n - 1] = (uint8_t)rng_below(rng, 2);
        return lam_slice_of(out, rng_below(rng, 13));
    case NESTED:
        n = rng_below(rng, 90);
        memset(out, 0, n);
        if (rng_below(rng, 3) == 0)
            out[n++] = (uint8_t)rng_below(rng, 3);
        break;
    case DENSE:
        n = 8;
        put_be64(out, 0xfff000 + rng_below(rng, 3000));
        break;
    case RANDOM:
        n = 16;
        put_be64(out, rng_next(rng));
        put_be64(out + 8, rng_next(rng));
        break;
    case PAIRS:
        n = 2;
        out[0] = (uint8_t)rng_below(rng, 20);
        out[1] = (uint8_t)rng_next(rng);
        break;
    default:
        n = (size_t)snprintf((char *)out, KEY_ROOM, "user%08u", (unsigned)rng_below(rng, 100000));
        break;
    }
    return lam_slice_of(out, n);
}

/* Keys of one kind, or of all together. */
static struct lam_slice draw_key(struct rng *rng, int kind, uint8_t *out) {
    memset(out, 0, KEY_ROOM);
    return make_key(
        rng, kind == KEYS_COUNT ? (enum keys)rng_below(rng, KEYS_COUNT) : (enum keys)kind, out);
}

/* --- both maps ------------------------------------------------------------------------------- */

struct twins {
    struct art art;
    struct skiplist list;
    struct pool pool;
    uint64_t inserted; /* numbers inserts; an entry's value begins with its number */
};

static void twins_init(struct twins *t) {
    memset(t, 0, sizeof *t);
    art_init(&t->art, &t->pool);
    skiplist_init(&t->list);
}

static void twins_fini(struct twins *t) {
    skiplist_fini(&t->list);
    pool_fini(&t->pool);
}

static void twins_insert(struct twins *t, struct rng *rng, struct lam_slice key,
                         uint64_t sequence) {
    uint8_t value[64] = {0};
    put_le64(value, ++t->inserted);
    struct entry e = {key, sequence, rng_below(rng, 8) ? ENTRY_PUT : ENTRY_DELETE,
                      lam_slice_of(value, 8 + rng_below(rng, 50))};
    ck_ok(art_reserve(&t->art, art_put_bound(key.size, e.value.size), 0, &err), &err);
    ck_assert_int_eq(art_insert(&t->art, &e), skiplist_insert(&t->list, &e));
}

static void check_entry(const struct entry *got, const struct entry *want) {
    if (!slice_eq(got->key, want->key) || got->sequence != want->sequence ||
        got->kind != want->kind || !slice_eq(got->value, want->value))
        ck_abort_msg("sequence %llu with a key of %zu bytes stands where %llu with %zu belongs",
                     (unsigned long long)got->sequence, got->key.size,
                     (unsigned long long)want->sequence, want->key.size);
}

static void check_at(const struct art_iter *it, bool stands, const struct skiplist_node *want) {
    if (stands != (want != NULL))
        ck_abort_msg("%s", stands ? "an entry beyond the end" : "the end before an entry");
    if (!want)
        return;
    struct entry e;
    art_iter_entry(it, &e);
    check_entry(&e, &want->entry);
}

static void check_whole(const struct twins *t) {
    struct art_iter it;
    art_iter_init(&it, &t->art);
    const struct skiplist_node *n = skiplist_first(&t->list), *last = NULL;
    bool stands = art_iter_first(&it);
    for (; stands && n; n = skiplist_next(n)) {
        check_at(&it, stands, n);
        stands = art_iter_next(&it);
        last = n;
    }
    check_at(&it, stands, n);
    n = last;
    stands = art_iter_last(&it);
    while (stands && n) {
        check_at(&it, stands, n);
        stands = art_iter_prev(&it);
        n = skiplist_before(&t->list, n->entry.key, n->entry.sequence);
    }
    check_at(&it, stands, n);
}

/* Seeks to a place and turns about there. */
static void check_place(const struct twins *t, struct rng *rng, struct lam_slice key,
                        uint64_t sequence) {
    struct art_iter it;
    struct entry e;
    art_iter_init(&it, &t->art);
    const struct skiplist_node *n = skiplist_seek(&t->list, key, sequence);
    bool found = art_get(&t->art, key, sequence, &e);
    ck_assert_int_eq(found, n && slice_eq(n->entry.key, key));
    if (found)
        check_entry(&e, &n->entry);
    /* Beside a shorter key and a longer one, which are mostly not there. */
    uint8_t longer[80] = {0};
    size_t size = key.size < sizeof longer - 1 ? key.size : sizeof longer - 1;
    if (size)
        memcpy(longer, key.data, size);
    struct art_ask asks[] = {{.key = lam_slice_of(longer, size + 1)},
                             {.key = key},
                             {.key = lam_slice_of(longer, size ? size - 1 : 0)}};
    art_get_many(&t->art, asks, 3, sequence);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(asks[i].found, art_get(&t->art, asks[i].key, sequence, &e));
        if (asks[i].found)
            check_entry(&asks[i].entry, &e);
    }
    bool stands;
    if (rng_below(rng, 2)) {
        check_at(&it, stands = art_iter_seek(&it, key, sequence), n);
    } else {
        n = skiplist_before(&t->list, key, sequence);
        check_at(&it, stands = art_iter_before(&it, key, sequence), n);
    }
    for (int i = 0; i < 40 && stands; i++) {
        bool forward = rng_below(rng, 20) < (i < 20 ? 15 : 5);
        stands = forward ? art_iter_next(&it) : art_iter_prev(&it);
        n = forward ? skiplist_next(n) : skiplist_before(&t->list, n->entry.key, n->entry.sequence);
        check_at(&it, stands, n);
    }
}

START_TEST(the_tree_is_what_a_skip_list_is) {
    struct rng rng;
    rng_init(&rng, test_seed("art"));
    static const unsigned sizes[] = {1, 2, 20, 300, 2000};
    for (int kind = 0; kind <= KEYS_COUNT; kind++) {
        for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct twins t;
            twins_init(&t);
            uint8_t key[KEY_ROOM];
            struct lam_slice drawn = {key, 0};
            check_place(&t, &rng, drawn, 5);
            check_whole(&t);
            for (unsigned i = 0; i < sizes[s]; i++) {
                if (rng_below(&rng, 4))
                    drawn = draw_key(&rng, kind, key);
                twins_insert(&t, &rng, drawn, rng_below(&rng, 60));
            }
            check_whole(&t);
            for (int i = 0; i < 200; i++)
                check_place(&t, &rng, draw_key(&rng, kind, key), rng_below(&rng, 62));
            twins_fini(&t);
        }
    }
}
END_TEST

START_TEST(the_empty_key_and_the_longest_are_keys) {
    struct rng rng;
    rng_init(&rng, test_seed("art/long"));
    struct twins t;
    twins_init(&t);
    size_t most = 64u << 10;
    uint8_t *key = calloc(1, most);
    for (size_t size = most; size > 0; size = size * 2 / 3)
        twins_insert(&t, &rng, lam_slice_of(key, size), size);
    twins_insert(&t, &rng, SLICE_EMPTY, 7);
    twins_insert(&t, &rng, lam_slice_of(key, 0), 9);
    key[most - 1] = 1;
    twins_insert(&t, &rng, lam_slice_of(key, most), 3);
    check_whole(&t);
    check_place(&t, &rng, SLICE_EMPTY, 8);
    check_place(&t, &rng, lam_slice_of(key, most), 3);
    check_place(&t, &rng, lam_slice_of(key, most - 1), 3);
    free(key);
    twins_fini(&t);
}
END_TEST

/* A thousand nodes above each other. */
START_TEST(trees_higher_than_the_ring_are_walked) {
    struct rng rng;
    rng_init(&rng, test_seed("art/high"));
    struct twins t;
    twins_init(&t);
    uint8_t key[1001];
    memset(key, 'h', sizeof key);
    for (size_t i = 0; i <= 1000; i++) {
        twins_insert(&t, &rng, lam_slice_of(key, i), i + 1);
        key[i] = (uint8_t)('h' + 1 - 2 * (i % 2));
        twins_insert(&t, &rng, lam_slice_of(key, i + 1), i + 1);
        key[i] = 'h';
    }
    check_whole(&t);
    for (int i = 0; i < 300; i++)
        check_place(&t, &rng, lam_slice_of(key, rng_below(&rng, 1001)), rng_below(&rng, 1001));
    twins_fini(&t);
}
END_TEST

/* --- versions -------------------------------------------------------------------------------- */

static unsigned steps_to(const struct art_leaf *l, uint64_t snapshot) {
    unsigned steps = 0;
    const struct art_version *v = atomic_load(&l->newest);
    for (; v && v->sequence > snapshot; steps++) {
        const struct art_below *b = (const struct art_below *)v->data;
        v = b->jump && b->jump->sequence > snapshot ? b->jump : atomic_load(&b->older);
    }
    return steps;
}

START_TEST(an_old_version_among_many_is_near) {
    struct rng rng;
    rng_init(&rng, test_seed("art/versions"));
    struct twins t;
    twins_init(&t);
    struct lam_slice key = lam_slice_str("hot");
    for (uint64_t i = 1; i <= 20000; i++)
        twins_insert(&t, &rng, key, i * 2);
    for (int i = 0; i < 500; i++) {
        uint64_t snapshot = 2 + rng_below(&rng, 40000);
        check_place(&t, &rng, key, snapshot);
        ck_assert_uint_lt(steps_to(art_leaf_of(atomic_load(&t.art.root)), snapshot), 60);
    }
    for (int i = 0; i < 200; i++) /* between them */
        twins_insert(&t, &rng, key, 1 + 2 * rng_below(&rng, 20000));
    check_whole(&t);
    twins_fini(&t);
}
END_TEST

/* --- iterators held over inserts ------------------------------------------------------------- */

struct held {
    struct art_iter it;
    bool stands;
    bool forward;
    uint64_t since; /* inserts that its last seek saw */
    struct entry at;
};

static uint64_t number_of(const struct entry *e) {
    return get_le64(e->value.data);
}

/* What lies between the two places came after the seek. */
static void check_gap(const struct twins *t, const struct held *h, const struct entry *from,
                      const struct entry *to) {
    const struct skiplist_node *n =
        from ? skiplist_next(skiplist_seek(&t->list, from->key, from->sequence))
             : skiplist_first(&t->list);
    for (; n && (!to || entry_cmp(n->entry.key, n->entry.sequence, to->key, to->sequence) < 0);
         n = skiplist_next(n))
        if (number_of(&n->entry) <= h->since)
            ck_abort_msg("insert %llu was passed over", (unsigned long long)number_of(&n->entry));
}

static void step_held(const struct twins *t, struct held *h) {
    struct entry was = h->at;
    h->stands = h->forward ? art_iter_next(&h->it) : art_iter_prev(&h->it);
    if (h->stands) {
        art_iter_entry(&h->it, &h->at);
        int c = entry_cmp(h->at.key, h->at.sequence, was.key, was.sequence);
        ck_assert(h->forward ? c > 0 : c < 0);
    }
    const struct entry *now = h->stands ? &h->at : NULL;
    if (h->forward)
        check_gap(t, h, &was, now);
    else
        check_gap(t, h, now, &was);
}

static void seek_held(const struct twins *t, struct held *h, struct rng *rng,
                      struct lam_slice key) {
    uint64_t sequence = rng_below(rng, 60);
    h->since = t->inserted;
    h->forward = rng_below(rng, 2);
    if (rng_below(rng, 3))
        h->stands = h->forward ? art_iter_seek(&h->it, key, sequence)
                               : art_iter_before(&h->it, key, sequence);
    else
        h->stands = h->forward ? art_iter_first(&h->it) : art_iter_last(&h->it);
    if (h->stands)
        art_iter_entry(&h->it, &h->at);
}

START_TEST(held_iterators_miss_nothing_that_was_there_and_keep_the_order) {
    struct rng rng;
    rng_init(&rng, test_seed("art/held"));
    for (int kind = 0; kind <= KEYS_COUNT; kind++) {
        struct twins t;
        twins_init(&t);
        struct held held[6];
        for (int i = 0; i < 6; i++) {
            held[i].stands = false;
            art_iter_init(&held[i].it, &t.art);
        }
        uint8_t key[KEY_ROOM];
        for (int i = 0; i < 8000; i++) {
            struct held *h = &held[rng_below(&rng, 6)];
            struct lam_slice drawn = draw_key(&rng, kind, key);
            if (rng_below(&rng, 3) == 0)
                twins_insert(&t, &rng, drawn, rng_below(&rng, 60));
            else if (!h->stands || rng_below(&rng, 200) == 0)
                seek_held(&t, h, &rng, drawn);
            else {
                if (rng_below(&rng, 30) == 0)
                    h->forward = !h->forward;
                step_held(&t, h);
            }
        }
        check_whole(&t);
        twins_fini(&t);
    }
}
END_TEST

/* --- bounds ---------------------------------------------------------------------------------- */

/* Reserves for entries of `bytes` together, into a chunk of just the size asked for. */
static void reserve_exactly(struct art *t, size_t bytes) {
    struct pool *p = t->pool;
    p->rooms[0] = p->rooms[1] = (struct pool_room){NULL, NULL};
    p->next_bytes = 1;
    ck_ok(art_reserve(t, bytes, 0, &err), &err);
}

START_TEST(inserts_fit_what_was_reserved_for_them) {
    struct rng rng;
    rng_init(&rng, test_seed("art/bounds"));
    static const unsigned batches[] = {1, 2, 3, 7, 40, 300};
    for (int kind = 0; kind <= KEYS_COUNT; kind++) {
        for (unsigned b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            struct pool pool = {0};
            struct art t;
            art_init(&t, &pool);
            uint8_t keys[300][KEY_ROOM];
            struct lam_slice drawn[300];
            for (unsigned done = 0; done < 1500; done += batches[b]) {
                size_t bytes = 0;
                for (unsigned i = 0; i < batches[b]; i++) {
                    drawn[i] = draw_key(&rng, kind, keys[i]);
                    bytes += art_put_bound(drawn[i].size, i % 9);
                }
                reserve_exactly(&t, bytes);
                for (unsigned i = 0; i < batches[b]; i++) {
                    struct entry e = {drawn[i], done + i, ENTRY_PUT,
                                      lam_slice_of("12345678", i % 9)};
                    art_insert(&t, &e); /* the pool asserts that there is room */
                }
            }
            pool_fini(&pool);
        }
    }
}
END_TEST

/* All nodes stand before their growth; then one batch makes all grow, or one node grow to the end.
 */
START_TEST(growth_of_all_nodes_at_once_fits) {
    static const unsigned rooms[] = {5, 16, 48};
    for (unsigned r = 0; r < 3; r++) {
        struct pool pool = {0};
        struct art t;
        art_init(&t, &pool);
        uint8_t key[2];
        struct entry e = {lam_slice_of(key, 2), 1, ENTRY_PUT, SLICE_EMPTY};
        size_t bound = art_put_bound(2, 0);
        for (unsigned i = 0; i < 100 * rooms[r]; i++) {
            key[0] = (uint8_t)(i % 100);
            key[1] = (uint8_t)(i / 100);
            reserve_exactly(&t, bound);
            ck_assert(art_insert(&t, &e));
        }
        key[1] = (uint8_t)rooms[r];
        reserve_exactly(&t, 100 * bound);
        for (key[0] = 0; key[0] < 100; key[0]++)
            ck_assert(art_insert(&t, &e));
        ck_assert_uint_ge(t.counts[r + 1], 100);
        key[0] = 50;
        reserve_exactly(&t, (255 - rooms[r]) * bound);
        for (unsigned byte = rooms[r] + 1; byte < 256; byte++) {
            key[1] = (uint8_t)byte;
            ck_assert(art_insert(&t, &e));
        }
        ck_assert_uint_ge(t.counts[ART_256], 1);
        pool_fini(&pool);
    }
}
END_TEST

START_TEST(a_reservation_that_is_too_large_fails) {
    struct pool pool = {0};
    struct art t;
    art_init(&t, &pool);
    ck_code(art_reserve(&t, SIZE_MAX - 4, 8, &err), LAM_NO_MEMORY);
    ck_code(art_reserve(&t, SIZE_MAX - 4, 0, &err), LAM_NO_MEMORY);
    pool_fini(&pool);
}
END_TEST

static size_t room_of(const struct pool *p) {
    return (size_t)(p->rooms[0].end - p->rooms[0].at) + (size_t)(p->rooms[1].end - p->rooms[1].at);
}

/* A batch is not charged more growth than it has entries, nor more than there are nodes. */
START_TEST(reservations_stay_in_proportion) {
    struct pool pool = {0};
    struct art t;
    art_init(&t, &pool);
    uint8_t key[3] = {0};
    struct entry e = {lam_slice_of(key, 3), 1, ENTRY_PUT, SLICE_EMPTY};
    for (unsigned i = 0; i < 200; i++)
        for (unsigned j = 0; j < (i < 100 ? 3 : 10); j++) {
            key[0] = (uint8_t)i;
            key[1] = (uint8_t)j;
            ck_ok(art_reserve(&t, art_put_bound(3, 0), 0, &err), &err);
            ck_assert(art_insert(&t, &e));
        }
    ck_assert_uint_eq(t.counts[ART_5], 100);
    ck_assert_uint_eq(t.counts[ART_16], 100);
    reserve_exactly(&t, 100 * art_put_bound(3, 0));
    ck_assert_uint_le(room_of(&pool), 100 * (art_put_bound(3, 0) + 704) + 3000);
    reserve_exactly(&t, 1000 * art_put_bound(3, 0));
    ck_assert_uint_le(room_of(&pool), 1000 * art_put_bound(3, 0) + 100 * (192 + 704) + 3000);
    pool_fini(&pool);
}
END_TEST

/* What batches leave of their reservations is used by the next ones. */
START_TEST(reserving_far_too_much_each_time_wastes_little) {
    struct pool pool = {0};
    size_t taken = 0;
    for (int i = 0; i < 4000; i++) {
        ck_ok(pool_reserve(&pool, 700 << 10, &err), &err);
        pool_take(&pool, 8000);
        pool_take_lines(&pool, 3);
        taken += 8000 + 3 * POOL_LINE;
    }
    ck_assert_uint_lt(pool.bytes, taken + (3u << 20));
    pool_fini(&pool);
}
END_TEST

START_TEST(the_pool_keeps_the_chunk_with_more_room_open) {
    struct pool pool = {0};
    ck_ok(pool_reserve(&pool, 1 << 20, &err), &err);
    pool_take(&pool, 1 << 10);
    ck_ok(pool_reserve(&pool, 3 << 20, &err), &err);
    pool_take(&pool, 3 << 20);
    ck_ok(pool_reserve(&pool, 3 << 20, &err), &err);
    pool_take(&pool, 3 << 20);
    size_t bytes = pool.bytes;
    ck_ok(pool_reserve(&pool, 1000 << 10, &err), &err);
    pool_take(&pool, 1000 << 10);
    ck_assert_uint_eq(pool.bytes, bytes);
    ck_assert_uint_eq((uintptr_t)pool_take_lines(&pool, 1) % POOL_LINE, 0);
    pool_fini(&pool);
}
END_TEST

/* --- bytes of a node ------------------------------------------------------------------------- */

#ifdef __SSE2__
START_TEST(vector_and_plain_search_agree) {
    struct rng rng;
    rng_init(&rng, test_seed("art/lanes"));
    for (int round = 0; round < 2000; round++) {
        unsigned count = (unsigned)rng_below(&rng, 17);
        uint8_t bytes[256], packed[16] = {0};
        for (unsigned i = 0; i < 256; i++) {
            unsigned j = (unsigned)rng_below(&rng, i + 1);
            bytes[i] = bytes[j];
            bytes[j] = (uint8_t)i;
        }
        memcpy(packed, bytes, count);
        uint64_t words[2] = {get_le64(packed), get_le64(packed + 8)};
        for (int k = 0; k < 10; k++) {
            int at = (int)rng_below(&rng, 258) - 1;
            if (count && rng_below(&rng, 2))
                at = bytes[rng_below(&rng, count)];
            ck_assert_int_eq(art_lane_sse2(words, count, (uint8_t)at),
                             art_lane_plain(words, count, (uint8_t)at));
            ck_assert_int_eq(art_lane_above_sse2(words, count, at),
                             art_lane_above_plain(words, count, at));
            ck_assert_int_eq(art_lane_below_sse2(words, count, at),
                             art_lane_below_plain(words, count, at));
        }
    }
}
END_TEST
#endif

/* The plain search by itself, where it is not compared. */
START_TEST(plain_search_finds_bytes_by_order) {
    uint64_t words[2] = {0x00ff05107f800901ull, 0x42ull};
    ck_assert_int_eq(art_lane_plain(words, 9, 0x42), 8);
    ck_assert_int_eq(art_lane_plain(words, 8, 0x42), -1);
    ck_assert_int_eq(art_lane_plain(words, 9, 0), 7);
    ck_assert_int_eq(art_lane_above_plain(words, 9, -1), 7);
    ck_assert_int_eq(art_lane_above_plain(words, 9, 0x10), 8);
    ck_assert_int_eq(art_lane_above_plain(words, 9, 0x80), 6);
    ck_assert_int_eq(art_lane_above_plain(words, 9, 0xff), -1);
    ck_assert_int_eq(art_lane_below_plain(words, 9, 256), 6);
    ck_assert_int_eq(art_lane_below_plain(words, 9, 0x42), 4);
    ck_assert_int_eq(art_lane_below_plain(words, 9, 0), -1);
}
END_TEST

#ifdef __SSE2__
#define VECTOR_TESTS vector_and_plain_search_agree,
#else
#define VECTOR_TESTS
#endif

TEST_MAIN("lsm/art", VECTOR_TESTS plain_search_finds_bytes_by_order,
          the_tree_is_what_a_skip_list_is, the_empty_key_and_the_longest_are_keys,
          trees_higher_than_the_ring_are_walked, an_old_version_among_many_is_near,
          held_iterators_miss_nothing_that_was_there_and_keep_the_order,
          inserts_fit_what_was_reserved_for_them, growth_of_all_nodes_at_once_fits,
          a_reservation_that_is_too_large_fails, reservations_stay_in_proportion,
          the_pool_keeps_the_chunk_with_more_room_open,
          reserving_far_too_much_each_time_wastes_little)
