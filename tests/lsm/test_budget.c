/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap of a database stays within its memory_budget, whatever it does: all that the library
 * allocates is counted, at its highest. */
#include <malloc.h>
#include <stdatomic.h>

#include "base/rng.h"
#include "lamina/db.h"
#include "lamina/env.h"
#include "tests/support/test.h"

#define KEYS       150000u
#define VALUE      100u
#define SPACES     2u /* partitions */
#define READS      100000u
#define WIDE_EVERY 997u /* keys whose value is WIDE bytes */
#define WIDE       20000u

/* --- counting ------------------------------------------------------------------------------- */

static _Atomic size_t held, highest;

static void note(size_t more) {
    size_t now = atomic_fetch_add(&held, more) + more, before = atomic_load(&highest);
    while (now > before && !atomic_compare_exchange_weak(&highest, &before, now))
        ;
}

/* What grows is copied, as the heap may do it: for a moment both are there. */
static void *resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    size_t before = ptr ? malloc_usable_size(ptr) : 0;
    void *fresh = size ? malloc(size) : NULL;
    if (size && !fresh)
        return NULL;
    note(fresh ? malloc_usable_size(fresh) : 0);
    if (fresh && ptr)
        memcpy(fresh, ptr, before < size ? before : size);
    free(ptr);
    atomic_fetch_sub(&held, before);
    return fresh;
}

static size_t budget;

static void end_phase(const char *what) {
    size_t most = atomic_exchange(&highest, atomic_load(&held));
    ck_assert_msg(most <= budget, "%s: %zu KiB of %zu", what, most >> 10, budget >> 10);
}

/* --- use ------------------------------------------------------------------------------------ */

static lam_db *db;
static lam_partition *space[SPACES];
static struct lam_error err;

static struct lam_slice key_of(uint32_t i, char out[24]) {
    return lam_slice_of(out, (size_t)snprintf(out, 24, "key-%012u", i));
}

static void put(uint32_t i, uint64_t round) {
    static uint8_t value[WIDE];
    char key[24];
    struct rng rng;
    size_t size = i % WIDE_EVERY ? VALUE : WIDE;
    rng_init(&rng, i * 31 + round);
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(value + at, &word, size - at < 8 ? size - at : 8);
    }
    ck_ok(lam_put(db, NULL, space[i % SPACES], key_of(i, key), lam_slice_of(value, size), &err),
          &err);
}

static void fill(uint64_t round) {
    struct rng rng;
    rng_init(&rng, round);
    for (uint32_t i = 0; i < KEYS; i++)
        put(round == 1 ? i : (uint32_t)rng_below(&rng, KEYS), round);
}

static void read_some(void) {
    struct rng rng;
    rng_init(&rng, 7);
    for (uint32_t i = 0; i < READS; i++) {
        uint32_t at = (uint32_t)rng_below(&rng, KEYS);
        char key[24];
        struct lam_value v = {0};
        ck_ok(lam_get(db, NULL, space[at % SPACES], key_of(at, key), &v, &err), &err);
        ck_assert_uint_eq(v.bytes.size, at % WIDE_EVERY ? VALUE : WIDE);
        lam_value_release(&v);
    }
}

static void scan(void) {
    for (uint32_t s = 0; s < SPACES; s++) {
        lam_iter *it;
        size_t seen = 0;
        ck_ok(lam_iter_new(db, NULL, space[s], &it, &err), &err);
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
            seen++;
        ck_ok(lam_iter_status(it, &err), &err);
        lam_iter_free(it);
        ck_assert_uint_eq(seen, KEYS / SPACES);
    }
}

/* Writes with caches and memtables full, while dumps and compactions run. */
static void mix(void) {
    struct rng rng;
    struct lam_value v = {0};
    char key[24];
    rng_init(&rng, 11);
    for (uint32_t i = 0; i < KEYS; i++) {
        put((uint32_t)rng_below(&rng, KEYS), 11);
        uint32_t at = (uint32_t)rng_below(&rng, KEYS);
        ck_ok(lam_get(db, NULL, space[at % SPACES], key_of(at, key), &v, &err), &err);
    }
    lam_value_release(&v);
}

static void live(size_t bytes) {
    struct lam_options o = {.memory_budget = bytes};
    char path[4200];
    budget = bytes;
    lam_set_allocator(&(struct lam_allocator){resize, NULL});
    snprintf(path, sizeof path, "%s/db-%zu", test_dir(), bytes);
    ck_ok(lam_db_open(path, &o, &db, &err), &err);
    for (uint32_t s = 0; s < SPACES; s++)
        ck_ok(lam_partition_create(db, s ? "b" : "a", NULL, &space[s], &err), &err);
    fill(1);
    end_phase("fill");
    fill(2);
    end_phase("overwrite");
    read_some();
    end_phase("read");
    scan();
    end_phase("scan");
    fill(3);
    end_phase("overwrite with caches full");
    mix();
    end_phase("mix");
    ck_ok(lam_db_compact(db, NULL, &err), &err);
    end_phase("compact");
    read_some();
    end_phase("read again");
    for (uint32_t s = 0; s < SPACES; s++)
        lam_partition_release(space[s]);
    ck_ok(lam_db_close(db, &err), &err);
    end_phase("close");
    ck_assert_uint_eq(atomic_load(&held), 0);
}

START_TEST(heap_stays_within_16_mib) {
    live(16u << 20);
}
END_TEST

START_TEST(heap_stays_within_32_mib) {
    live(32u << 20);
}
END_TEST

TEST_MAIN("lsm/budget", heap_stays_within_16_mib, heap_stays_within_32_mib)
