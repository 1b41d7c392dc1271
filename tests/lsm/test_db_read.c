/* SPDX-License-Identifier: Apache-2.0
 *
 * Point reads: many keys at once and values in place against one by one, and all against threads
 * that write, dump, compact and drop meanwhile. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/rng.h"
#include "base/thread.h"
#include "lsm/lsm.h"
#include "tests/support/env_fault.h"
#include "tests/support/test.h"

static lam_env *mem, *env;
static lam_db *db;
static lam_partition *part;
static struct lam_error err;

#define S(text) lam_slice_str(text)

static void start(bool manual) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    env = env_fault_new(mem);
    struct lam_options o = {
        .env = env, .manual_background = manual, .memory_budget = 4u << 20, .block_bytes = 512};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &err), &err);
    env_fault_free(env);
    lam_env_mem_free(mem);
}

/* --- many keys against one by one ------------------------------------------------------------ */

#define KEYS 300
#define MOST 100

static struct lam_slice key_text(char *out, uint64_t k) {
    return lam_slice_of(out, (size_t)snprintf(out, 16, "key%03u", (unsigned)k));
}

static void change(struct rng *rng) {
    char from[16], to[16];
    uint8_t value[2 * LAM_PINNED_SMALL];
    struct lam_slice key = key_text(from, rng_below(rng, KEYS));
    uint64_t what = rng_below(rng, 100);
    if (what < 70) {
        size_t size = rng_below(rng, sizeof value);
        memset(value, (int)rng_below(rng, 256), size);
        ck_ok(lam_put(db, NULL, part, key, lam_slice_of(value, size), &err), &err);
    } else if (what < 95) {
        ck_ok(lam_delete(db, NULL, part, key, &err), &err);
    } else {
        lam_batch *b;
        ck_ok(lam_batch_new(db, &b, &err), &err);
        struct lam_slice end = key_text(to, rng_below(rng, KEYS));
        if (slice_cmp(key, end) > 0)
            end = SLICE_EMPTY;
        uint64_t upto = rng_below(rng, 2) ? LAM_SEQUENCE_MAX : rng_below(rng, 2000);
        ck_ok(lam_batch_delete_range(b, part, key, end, upto, &err), &err);
        ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
        lam_batch_free(b);
    }
}

static uint64_t held; /* values that were kept in their block */

static void expect_in_place(const struct lam_read_options *o, struct lam_slice key,
                            enum lam_code want, struct lam_slice bytes) {
    struct lam_pinned p;
    memset(&p, 0xa5, sizeof p); /* it is told nothing */
    ck_assert_int_eq(lam_get_pinned(db, o, part, key, &p, &err), want);
    ck_assert(slice_eq(p.bytes, bytes));
    held += p.block != NULL;
    lam_pinned_release(&p);
    ck_assert(p.bytes.size == 0 && !p.block && !p.memory);
    lam_pinned_release(&p);
}

/* Returns how many were found. */
static size_t compare(struct rng *rng, const lam_snapshot *snapshot, struct lam_value *values) {
    struct lam_read_options o = {.snapshot = snapshot};
    char text[MOST][16];
    struct lam_slice keys[MOST];
    enum lam_code codes[MOST];
    size_t n = rng_below(rng, MOST + 1), found = 0;
    for (size_t i = 0; i < n; i++)
        keys[i] = key_text(text[i], rng_below(rng, KEYS + 50)); /* repeated and missing ones */
    ck_ok(lam_multi_get(db, &o, part, keys, n, values, codes, &err), &err);
    for (size_t i = 0; i < n; i++) {
        struct lam_value one = {0};
        enum lam_code rc = lam_get(db, &o, part, keys[i], &one, &err);
        ck_assert_int_eq(rc, codes[i]);
        ck_assert(slice_eq(one.bytes, values[i].bytes));
        expect_in_place(&o, keys[i], rc, one.bytes);
        found += rc == LAM_OK;
        lam_value_release(&one);
    }
    return found;
}

START_TEST(many_keys_are_read_as_one_by_one) {
    struct rng rng;
    rng_init(&rng, test_seed("many_keys_are_read_as_one_by_one"));
    struct lam_value values[MOST] = {0};
    size_t found = 0;
    start(true);
    lam_snapshot *old = NULL;
    for (int round = 0; round < 300; round++) {
        for (uint64_t n = rng_below(&rng, 60); n > 0; n--)
            change(&rng);
        uint64_t what = rng_below(&rng, 20);
        if (what < 4)
            ck_ok(lam_db_dump(db, &err), &err);
        if (what == 0)
            ck_ok(lam_db_compact(db, part, &err), &err);
        if (what > 16) {
            lam_snapshot_free(old);
            ck_ok(lam_snapshot_new(db, &old, &err), &err);
        }
        found += compare(&rng, NULL, values) + compare(&rng, old, values);
    }
    ck_assert_uint_gt(found, 3000);
    ck_assert_uint_gt(held, 1000);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_gt(s.compactions, 5);
    ck_assert_uint_gt(s.cache_hits, 1000);
    ck_assert_uint_gt(s.filter_negatives, 100);
    for (size_t i = 0; i < MOST; i++)
        lam_value_release(&values[i]);
    lam_snapshot_free(old);
    stop();
}
END_TEST

START_TEST(bad_arguments_leave_values_and_codes_alone) {
    start(true);
    ck_ok(lam_put(db, NULL, part, S("a"), S("1"), &err), &err);
    struct lam_value v[2] = {0};
    enum lam_code codes[2] = {LAM_BUSY, LAM_BUSY};
    struct lam_slice keys[2] = {S("a"), SLICE_EMPTY};
    ck_ok(lam_multi_get(db, NULL, part, NULL, 0, NULL, NULL, &err), &err);
    ck_code(lam_multi_get(db, NULL, part, keys, 2, v, codes, &err), LAM_INVALID);
    keys[1] = S("b");
    ck_code(lam_multi_get(db, NULL, part, NULL, 2, v, codes, &err), LAM_INVALID);
    ck_code(lam_multi_get(db, NULL, part, keys, 2, NULL, codes, &err), LAM_INVALID);
    ck_code(lam_multi_get(db, NULL, part, keys, 2, v, NULL, &err), LAM_INVALID);
    ck_code(lam_multi_get(db, NULL, NULL, keys, 2, v, codes, &err), LAM_INVALID);
    ck_code(lam_multi_get(NULL, NULL, part, keys, 2, v, codes, NULL), LAM_INVALID);
    ck_assert(codes[0] == LAM_BUSY && codes[1] == LAM_BUSY && !v[0].memory && !v[1].memory);
    ck_code(lam_multi_get(db, NULL, part, keys, 2, v, codes, NULL), LAM_OK);
    ck_assert(codes[0] == LAM_OK && codes[1] == LAM_NOT_FOUND);
    ck_assert(slice_eq(v[0].bytes, S("1")) && v[1].bytes.size == 0 && !v[1].memory);
    ck_ok(lam_partition_drop(db, part, &err), &err);
    codes[0] = LAM_BUSY;
    ck_code(lam_multi_get(db, NULL, part, keys, 2, v, codes, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "dropped");
    ck_assert(codes[0] == LAM_BUSY && slice_eq(v[0].bytes, S("1")));
    lam_value_release(&v[0]);
    stop();
}
END_TEST

START_TEST(key_that_cannot_be_read_has_its_own_code_and_the_others_are_read) {
    start(true);
    char text[64][16];
    struct lam_slice keys[64];
    struct lam_value v[64] = {0};
    enum lam_code codes[64];
    uint8_t value[400] = {7};
    for (size_t i = 0; i < 64; i++) {
        keys[i] = key_text(text[i], i);
        ck_ok(lam_put(db, NULL, part, keys[i], lam_slice_of(value, sizeof value), &err), &err);
    }
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_get(db, NULL, part, keys[0], &v[0], &err), &err); /* the file is open now */
    env_fault_arm(env, FAULT_READ, 5, LAM_IO, false);
    ck_code(lam_multi_get(db, NULL, part, keys, 64, v, codes, &err), LAM_IO);
    ck_assert_uint_eq(env_fault_fired(env), 1);
    ck_assert_int_eq(err.code, LAM_IO);
    size_t failed = 0;
    for (size_t i = 0; i < 64; i++) {
        failed += codes[i] == LAM_IO;
        ck_assert(codes[i] == LAM_OK ? v[i].bytes.size == sizeof value
                                     : codes[i] == LAM_IO && v[i].bytes.size == 0);
    }
    ck_assert_uint_eq(failed, 1);
    ck_ok(lam_multi_get(db, NULL, part, keys, 64, v, codes, &err), &err);
    for (size_t i = 0; i < 64; i++) {
        ck_assert_int_eq(codes[i], LAM_OK);
        lam_value_release(&v[i]);
    }
    stop();
}
END_TEST

/* --- in place -------------------------------------------------------------------------------- */

static bool all_are(struct lam_slice bytes, uint8_t what, size_t size) {
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] != what)
            return false;
    return bytes.size == size;
}

static void put_filled(const char *key, uint8_t what, size_t size) {
    uint8_t *value = malloc(size);
    ck_assert_ptr_nonnull(value);
    memset(value, what, size);
    ck_ok(lam_put(db, NULL, part, S(key), lam_slice_of(value, size), &err), &err);
    free(value);
}

START_TEST(pinned_value_stays_while_all_that_held_it_goes) {
    /* In a block of the cache, in one too large for it, in none, and small. */
    static const size_t sizes[] = {4000, 1u << 20, 5000, LAM_PINNED_SMALL, 0};
    static const char *const keys[] = {"cached", "large", "memtable", "small", "empty"};
    struct lam_pinned p[5];
    start(true);
    for (size_t i = 0; i < 5; i++) {
        put_filled(keys[i], (uint8_t)(i + 1), sizes[i]);
        if (i == 1)
            ck_ok(lam_db_dump(db, &err), &err);
    }
    for (int again = 0; again < 2; again++) /* read from the file, then found in the cache */
        for (size_t i = 0; i < 5; i++) {
            if (again)
                lam_pinned_release(&p[i]);
            ck_ok(lam_get_pinned(db, NULL, part, S(keys[i]), &p[i], &err), &err);
            ck_assert_int_eq(p[i].block != NULL, i < 2);
            ck_assert_int_eq(p[i].memory != NULL, i == 2);
        }
    /* Other blocks take the cache, the files are compacted away, the partition is dropped. */
    for (int i = 0; i < 2000; i++) {
        char key[24];
        snprintf(key, sizeof key, "other%d", i);
        put_filled(key, 9, 2000);
    }
    for (size_t i = 0; i < 5; i++)
        ck_ok(lam_delete(db, NULL, part, S(keys[i]), &err), &err);
    ck_ok(lam_db_compact(db, part, &err), &err);
    for (int i = 0; i < 2000; i++) {
        struct lam_value v = {0};
        char key[24];
        snprintf(key, sizeof key, "other%d", i);
        ck_ok(lam_get(db, NULL, part, S(key), &v, &err), &err);
        lam_value_release(&v);
    }
    ck_ok(lam_partition_drop(db, part, &err), &err);
    for (size_t i = 0; i < 5; i++)
        ck_assert(all_are(p[i].bytes, (uint8_t)(i + 1), sizes[i]));
    lam_pinned_release(&p[0]);
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    ck_contains(err.message, "1 pinned values");
    lam_pinned_release(&p[1]);
    stop();
    /* What is no block is the value's own. */
    for (size_t i = 2; i < 5; i++) {
        ck_assert(all_are(p[i].bytes, (uint8_t)(i + 1), sizes[i]));
        lam_pinned_release(&p[i]);
    }
}
END_TEST

START_TEST(pinned_value_that_cannot_be_read_is_an_error_and_empty) {
    start(true);
    struct lam_pinned p;
    put_filled("a", 1, 3000);
    put_filled("b", 2, 3000);
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_get_pinned(db, NULL, part, S("a"), &p, &err), &err); /* the file is open now */
    lam_pinned_release(&p);
    env_fault_arm(env, FAULT_READ, 1, LAM_IO, false);
    ck_code(lam_get_pinned(db, NULL, part, S("b"), &p, &err), LAM_IO);
    ck_assert_uint_eq(env_fault_fired(env), 1);
    ck_assert(p.bytes.size == 0 && !p.block && !p.memory);
    ck_ok(lam_get_pinned(db, NULL, part, S("b"), &p, &err), &err);
    ck_assert(all_are(p.bytes, 2, 3000));
    lam_pinned_release(&p);
    ck_code(lam_get_pinned(db, NULL, part, S("c"), &p, &err), LAM_NOT_FOUND);
    ck_assert(p.bytes.size == 0 && !p.block);
    stop();
}
END_TEST

/* --- threads --------------------------------------------------------------------------------- */

#define PAIRS   200
#define READERS 3

static _Atomic uint64_t newest; /* every pair has been written with this or more */
static _Atomic uint64_t wrong, reads;
static _Atomic bool ending;

static void pair_keys(struct lam_slice *keys, char text[2][16], uint64_t pair) {
    keys[0] = lam_slice_of(text[0], (size_t)snprintf(text[0], 16, "a%u", (unsigned)pair));
    keys[1] = lam_slice_of(text[1], (size_t)snprintf(text[1], 16, "z%u", (unsigned)pair));
}

static uint64_t number_in(struct lam_slice bytes) {
    uint64_t n = 0;
    if (bytes.size >= sizeof n)
        memcpy(&n, bytes.data, sizeof n);
    return n;
}

/* A pair is written in one batch: it is read as one, and never as it was before the call. */
static void read_pairs(void *arg) {
    struct rng rng;
    rng_init(&rng, *(uint64_t *)arg);
    struct lam_value v[2] = {0};
    struct lam_pinned kept = {0};
    uint64_t was = 0;
    while (!atomic_load(&ending)) {
        char text[2][16];
        struct lam_slice keys[2];
        enum lam_code codes[2];
        pair_keys(keys, text, rng_below(&rng, PAIRS));
        uint64_t least = atomic_load(&newest);
        bool bad;
        uint64_t how = rng_below(&rng, 4);
        if (how == 0) {
            /* Kept from now on; the one before is what it was. */
            bad = kept.bytes.size && number_in(kept.bytes) != was;
            lam_pinned_release(&kept);
            enum lam_code rc = lam_get_pinned(db, NULL, part, keys[0], &kept, NULL);
            was = number_in(kept.bytes);
            bad = bad || (rc != LAM_OK && (rc != LAM_NOT_FOUND || least > 0)) || was < least;
        } else if (how == 1) {
            bad = lam_multi_get(db, NULL, part, keys, 2, v, codes, NULL) != LAM_OK ||
                  codes[0] != codes[1] || number_in(v[0].bytes) != number_in(v[1].bytes) ||
                  number_in(v[0].bytes) < least;
        } else {
            enum lam_code rc = lam_get(db, NULL, part, keys[0], &v[0], NULL);
            bad = (rc != LAM_OK && (rc != LAM_NOT_FOUND || least > 0)) ||
                  number_in(v[0].bytes) < least;
        }
        atomic_fetch_add(&wrong, bad);
        atomic_fetch_add(&reads, 1);
    }
    lam_pinned_release(&kept);
    lam_value_release(&v[0]);
    lam_value_release(&v[1]);
}

static void write_rounds(uint64_t rounds) {
    uint8_t value[300] = {0};
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    for (uint64_t round = 1; round <= rounds; round++) {
        memcpy(value, &round, sizeof round);
        for (uint64_t pair = 0; pair < PAIRS; pair++) {
            char text[2][16];
            struct lam_slice keys[2];
            pair_keys(keys, text, pair);
            lam_batch_reset(b);
            for (int i = 0; i < 2; i++)
                ck_ok(lam_batch_put(b, part, keys[i], lam_slice_of(value, sizeof value), &err),
                      &err);
            ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
        }
        atomic_store(&newest, round);
        if (round % 8 == 0)
            ck_ok(lam_db_dump(db, &err), &err);
        if (round % 40 == 0)
            ck_ok(lam_db_compact(db, part, &err), &err);
    }
    lam_batch_free(b);
}

START_TEST(readers_beside_writes_dumps_and_compactions_see_whole_and_newest_batches) {
    struct thread readers[READERS];
    uint64_t seeds[READERS];
    uint64_t seed = test_seed("readers_beside_writes");
    start(false);
    for (size_t i = 0; i < READERS; i++) {
        seeds[i] = seed + i;
        ck_ok(thread_start(&readers[i], read_pairs, &seeds[i], &err), &err);
    }
    write_rounds(160);
    atomic_store(&ending, true);
    for (size_t i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(reads, 100);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_ge(s.dumps, 20);
    ck_assert_uint_ge(s.compactions, 4);
    stop();
}
END_TEST

/* Until it is told that the partition is dropped. */
static void read_until_dropped(void *arg) {
    struct lam_value v = {0};
    enum lam_code rc = LAM_OK;
    (void)arg;
    while (rc == LAM_OK) {
        rc = lam_get(db, NULL, part, S("k"), &v, NULL);
        atomic_fetch_add(&wrong, rc == LAM_OK && v.bytes.size != 5000);
        atomic_fetch_add(&reads, 1);
    }
    atomic_fetch_add(&wrong, rc != LAM_NOT_FOUND);
    lam_value_release(&v);
}

START_TEST(partition_is_dropped_under_its_readers) {
    static uint8_t value[5000];
    start(false);
    for (int round = 0; round < 20; round++) {
        struct thread readers[READERS];
        ck_ok(lam_put(db, NULL, part, S("k"), lam_slice_of(value, sizeof value), &err), &err);
        if (round % 2)
            ck_ok(lam_db_dump(db, &err), &err);
        atomic_store(&reads, 0);
        for (size_t i = 0; i < READERS; i++)
            ck_ok(thread_start(&readers[i], read_until_dropped, NULL, &err), &err);
        while (atomic_load(&reads) < 10)
            thread_yield();
        ck_ok(lam_partition_drop(db, part, &err), &err);
        for (size_t i = 0; i < READERS; i++)
            thread_join(&readers[i]);
        lam_partition_release(part);
        ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    }
    ck_assert_uint_eq(wrong, 0);
    stop();
}
END_TEST

TEST_MAIN("lsm/db_read", many_keys_are_read_as_one_by_one,
          bad_arguments_leave_values_and_codes_alone,
          key_that_cannot_be_read_has_its_own_code_and_the_others_are_read,
          pinned_value_stays_while_all_that_held_it_goes,
          pinned_value_that_cannot_be_read_is_an_error_and_empty,
          readers_beside_writes_dumps_and_compactions_see_whole_and_newest_batches,
          partition_is_dropped_under_its_readers)
