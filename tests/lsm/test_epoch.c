/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/epoch.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/test.h"

static struct lam_error err;
static struct epochs epochs;
static _Atomic uint64_t given_back;

#define ALIVE 0x5ca1ab1eull

struct thing {
    struct epoch_node node;
    uint64_t alive;
};

static struct thing *thing_new(void) {
    struct thing *t = mem_calloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->alive = ALIVE;
    return t;
}

static void give_back(struct epoch_node *node) {
    struct thing *t = (struct thing *)node;
    ck_assert_uint_eq(t->alive, ALIVE);
    t->alive = 0;
    mem_free(t);
    atomic_fetch_add(&given_back, 1);
}

static void defer(void) {
    epoch_defer(&epochs, &thing_new()->node, give_back);
}

static void start(void) {
    epochs_init(&epochs);
    atomic_store(&given_back, 0);
}

START_TEST(thing_waits_for_who_was_inside_and_for_nobody_else) {
    start();
    defer();
    epoch_reclaim(&epochs);
    ck_assert_uint_eq(given_back, 1); /* nobody is inside */
    struct epoch_reader *before = epoch_enter(&epochs);
    defer();
    struct epoch_reader *after = epoch_enter(&epochs);
    ck_assert_ptr_ne(before, after);
    epoch_reclaim(&epochs);
    ck_assert_uint_eq(given_back, 1);
    epoch_leave(&epochs, before); /* reclaims by itself */
    ck_assert_uint_eq(given_back, 2);
    defer();
    epoch_reclaim(&epochs);
    ck_assert_uint_eq(given_back, 2);
    epoch_leave(&epochs, after);
    ck_assert_uint_eq(given_back, 3);
    epochs_fini(&epochs);
}
END_TEST

START_TEST(things_go_in_order_as_readers_leave) {
    start();
    struct epoch_reader *r[10];
    for (size_t i = 0; i < 10; i++) {
        r[i] = epoch_enter(&epochs);
        defer();
        epoch_reclaim(&epochs);
    }
    ck_assert_uint_eq(given_back, 0);
    epoch_leave(&epochs, r[1]);
    ck_assert_uint_eq(given_back, 0); /* the first is inside */
    epoch_leave(&epochs, r[0]);
    ck_assert_uint_eq(given_back, 2);
    for (size_t i = 2; i < 10; i++)
        epoch_leave(&epochs, r[i]);
    ck_assert_uint_eq(given_back, 10);
    defer();
    epochs_fini(&epochs); /* drains */
    ck_assert_uint_eq(given_back, 11);
}
END_TEST

START_TEST(there_is_a_place_for_any_number_of_readers) {
    start();
    struct epoch_reader *r[3 * EPOCH_READERS];
    for (size_t i = 0; i < 3 * EPOCH_READERS; i++) {
        r[i] = epoch_enter(&epochs);
        for (size_t j = 0; j < i; j++)
            ck_assert_ptr_ne(r[i], r[j]);
        epoch_count(r[i], EPOCH_GETS, i);
    }
    defer();
    for (size_t i = 3 * EPOCH_READERS; i > 0; i--) {
        ck_assert_uint_eq(given_back, 0);
        epoch_leave(&epochs, r[i - 1]);
    }
    ck_assert_uint_eq(given_back, 1);
    ck_assert_uint_eq(epochs_total(&epochs, EPOCH_GETS),
                      3 * EPOCH_READERS * (3 * EPOCH_READERS - 1) / 2);
    ck_assert_uint_eq(epochs_total(&epochs, EPOCH_CACHE_HITS), 0);
    epochs_fini(&epochs);
}
END_TEST

/* --- threads: readers look at what writers replace ------------------------------------------- */

#define PLACES  3
#define READERS 3
#define ROUNDS  20000

static _Atomic(struct thing *) places[PLACES];
static _Atomic uint64_t wrong;
static _Atomic bool stop;

static void read_places(void *arg) {
    struct rng rng;
    rng_init(&rng, *(uint64_t *)arg);
    while (!atomic_load(&stop)) {
        struct epoch_reader *r = epoch_enter(&epochs);
        for (size_t i = 0; i < 3; i++) {
            const struct thing *t = atomic_load(&places[rng_below(&rng, PLACES)]);
            if (t->alive != ALIVE)
                atomic_fetch_add(&wrong, 1);
        }
        epoch_count(r, EPOCH_GETS, 1);
        epoch_leave(&epochs, r);
    }
}

static void replace(void *arg) {
    struct rng rng;
    rng_init(&rng, *(uint64_t *)arg);
    for (int i = 0; i < ROUNDS; i++) {
        struct thing *old = atomic_exchange(&places[rng_below(&rng, PLACES)], thing_new());
        epoch_defer(&epochs, &old->node, give_back);
        if (i % 3)
            epoch_reclaim(&epochs);
    }
}

START_TEST(readers_never_see_what_was_given_back) {
    uint64_t seed = test_seed("readers_never_see_what_was_given_back");
    struct thread readers[READERS], writers[2];
    uint64_t seeds[READERS + 2];
    start();
    atomic_store(&stop, false);
    for (size_t i = 0; i < PLACES; i++)
        atomic_store(&places[i], thing_new());
    for (size_t i = 0; i < READERS + 2; i++)
        seeds[i] = seed + i;
    for (size_t i = 0; i < READERS; i++)
        ck_ok(thread_start(&readers[i], read_places, &seeds[i], &err), &err);
    for (size_t i = 0; i < 2; i++)
        ck_ok(thread_start(&writers[i], replace, &seeds[READERS + i], &err), &err);
    for (size_t i = 0; i < 2; i++)
        thread_join(&writers[i]);
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    ck_assert_uint_eq(wrong, 0);
    epoch_reclaim(&epochs);
    ck_assert_uint_eq(given_back, 2 * ROUNDS); /* nothing is left behind */
    for (size_t i = 0; i < PLACES; i++)
        mem_free(atomic_load(&places[i]));
    epochs_fini(&epochs);
}
END_TEST

TEST_MAIN("lsm/epoch", thing_waits_for_who_was_inside_and_for_nobody_else,
          things_go_in_order_as_readers_leave, there_is_a_place_for_any_number_of_readers,
          readers_never_see_what_was_given_back)
