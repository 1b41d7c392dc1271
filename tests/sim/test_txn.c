/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions under every schedule: the check of a commit is in two parts, and dumps, compactions
 * and other commits come between them. Counters are raised and merged by range deletes; no
 * increment may be lost. */
#include "base/bytes.h"
#include "base/rng.h"
#include "base/thread.h"
#include "lamina/txn.h"
#include "tests/sim/sched.h"
#include "tests/sim/tuning.h"
#include "tests/support/test.h"

#define WORKERS  3
#define COUNTERS 3
#define STEPS    6
#define WORLDS   50

static lam_env *mem;
static lam_db *db;
static lam_partition *part;
static uint64_t seed;
static uint64_t increments; /* committed; only one thread runs at a time */
static uint64_t conflicts;
static int working;

static struct lam_slice key_of(uint64_t i) {
    static const char *keys[COUNTERS] = {"a", "b", "c"};
    return lam_slice_str(keys[i]);
}

/* Long enough that a few of them fill a memtable. */
struct cell {
    uint64_t count;
    uint8_t padding[100];
};

static uint64_t read_cell(lam_txn *t, uint64_t i, struct lam_error *e) {
    struct lam_value v = {0};
    struct cell c = {0};
    enum lam_code rc = lam_txn_get_for_update(t, part, key_of(i), &v, e);
    if (rc != LAM_NOT_FOUND)
        ck_ok(rc, e);
    if (rc == LAM_OK)
        memcpy(&c, v.bytes.data, sizeof c);
    lam_value_release(&v);
    return c.count;
}

static void write_cell(lam_txn *t, uint64_t i, uint64_t count, struct lam_error *e) {
    struct cell c = {.count = count};
    ck_ok(lam_txn_put(t, part, key_of(i), lam_slice_of(&c, sizeof c), e), e);
}

/* All counters into one; the others vanish. */
static void merge_into(lam_txn *t, uint64_t i, struct lam_error *e) {
    uint64_t sum = 0;
    for (uint64_t j = 0; j < COUNTERS; j++)
        sum += read_cell(t, j, e);
    ck_ok(lam_txn_delete_range(t, part, key_of(0), SLICE_EMPTY, e), e);
    write_cell(t, i, sum, e);
}

static void work(void *arg) {
    struct rng rng;
    struct lam_error e = {0};
    rng_init(&rng, seed * WORKERS + (uintptr_t)arg);
    for (int step = 0; step < STEPS; step++) {
        lam_txn *t;
        uint64_t i = rng_below(&rng, COUNTERS);
        bool merge = rng_below(&rng, 4) == 0;
        ck_ok(lam_txn_begin(db, NULL, &t, &e), &e);
        if (merge)
            merge_into(t, i, &e);
        else
            write_cell(t, i, read_cell(t, i, &e) + 1, &e);
        enum lam_code rc = lam_txn_commit(t, NULL, NULL, &e);
        if (rc != LAM_OK)
            ck_code(rc, LAM_CONFLICT);
        increments += rc == LAM_OK && !merge;
        conflicts += rc != LAM_OK;
    }
    working--;
}

static void tidy(void *arg) {
    struct rng rng;
    struct lam_error e = {0};
    (void)arg;
    rng_init(&rng, ~seed);
    for (int i = 0; working > 0 && i < 400; i++) {
        if (rng_below(&rng, 4))
            ck_ok(lam_db_dump(db, &e), &e);
        else
            ck_ok(lam_db_compact(db, part, &e), &e);
        sched_point();
    }
}

static void world(void *arg) {
    struct thread threads[WORKERS + 1];
    struct lam_error e = {0};
    struct choice c;
    struct db_tuning tuning;
    (void)arg;
    choice_seed(&c, seed);
    sim_tuning_draw(&c, &tuning);
    choice_fini(&c);
    sim_tuning_set(&tuning);
    ck_ok(lam_env_mem_new(&mem, &e), &e);
    struct lam_options o = {.env = mem, .manual_background = true};
    ck_ok(lam_db_open("/db", &o, &db, &e), &e);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &e), &e);
    increments = 0;
    working = WORKERS;
    for (uintptr_t i = 0; i < WORKERS; i++)
        ck_ok(thread_start(&threads[i], work, (void *)i, &e), &e);
    ck_ok(thread_start(&threads[WORKERS], tidy, NULL, &e), &e);
    for (int i = 0; i <= WORKERS; i++)
        thread_join(&threads[i]);
    lam_txn *t;
    uint64_t sum = 0;
    ck_ok(lam_txn_begin(db, NULL, &t, &e), &e);
    for (uint64_t i = 0; i < COUNTERS; i++)
        sum += read_cell(t, i, &e);
    lam_txn_rollback(t);
    ck_assert_uint_eq(sum, increments);
    lam_partition_release(part);
    ck_ok(lam_db_close(db, &e), &e);
    lam_env_mem_free(mem);
    sim_tuning_set(NULL);
}

START_TEST(no_increment_is_lost_under_any_schedule) {
    uint64_t first = test_seed("sim/txn");
    for (unsigned policy = 0; policy < SCHED_POLICIES; policy++) {
        struct sched_options options = {
            .policy = policy, .one_in = policy % 2 ? 4 : 1, .depth = 4, .length = 2000};
        for (uint64_t i = 0; i < WORLDS; i++) {
            struct choice c;
            seed = first + i;
            choice_seed(&c, seed * SCHED_POLICIES + policy);
            sched_run(&c, &options, world, NULL);
            choice_fini(&c);
        }
    }
    ck_assert_uint_gt(conflicts, WORLDS);
}
END_TEST

TEST_MAIN("sim/txn", no_increment_is_lost_under_any_schedule)
