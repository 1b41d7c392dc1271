/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions of several threads beside dumps and compactions: transfers keep the sum of all
 * accounts, at every moment that a reader sees, and no increment is lost. */
#include "base/env.h"
#include "base/rng.h"
#include "base/thread.h"
#include "lamina/txn.h"
#include "tests/support/test.h"

#define ACCOUNTS  24
#define WORKERS   3
#define TRANSFERS 400
#define START     1000

static lam_env *mem;
static lam_db *db;
static lam_partition *parts[2], *totals;
static struct lam_error err;
static uint64_t seed;
static _Atomic int working;
static _Atomic uint64_t conflicts;
static _Atomic uint64_t done; /* transfers committed */

/* Odd accounts live in another partition; long values make memtables rotate. */
struct account {
    int64_t balance;
    uint8_t padding[2000];
};

static lam_partition *home_of(uint64_t i) {
    return parts[i % 2];
}

static struct lam_slice key_of(uint64_t i, char out[24]) {
    return lam_slice_of(out, (size_t)snprintf(out, 24, "account-%06llu", (unsigned long long)i));
}

static struct lam_slice bytes_of(const struct account *a) {
    return lam_slice_of(a, sizeof *a);
}

static enum lam_code add(lam_txn *t, lam_partition *p, struct lam_slice key, int64_t amount,
                         bool for_update, struct lam_error *e) {
    struct lam_value v = {0};
    struct account a = {0};
    enum lam_code rc =
        for_update ? lam_txn_get_for_update(t, p, key, &v, e) : lam_txn_get(t, p, key, &v, e);
    if (rc == LAM_OK)
        memcpy(&a, v.bytes.data, sizeof a);
    lam_value_release(&v);
    if (rc != LAM_OK)
        return rc;
    a.balance += amount;
    return lam_txn_put(t, p, key, bytes_of(&a), e);
}

/* One transfer and one increment of a counter that all share. */
static enum lam_code transfer(struct rng *rng, struct lam_error *e) {
    char key[24];
    uint64_t from = rng_below(rng, ACCOUNTS),
             to = (from + 1 + rng_below(rng, ACCOUNTS - 1)) % ACCOUNTS;
    int64_t amount = (int64_t)rng_below(rng, 50);
    lam_txn *t;
    struct lam_txn_options o = {.serializable = rng_below(rng, 2)};
    ck_ok(lam_txn_begin(db, &o, &t, e), e);
    ck_ok(add(t, home_of(from), key_of(from, key), -amount, true, e), e);
    if (rng_below(rng, 8) == 0)
        thread_yield();
    ck_ok(add(t, home_of(to), key_of(to, key), amount, true, e), e);
    if (rng_below(rng, 4) == 0)
        ck_ok(add(t, totals, lam_slice_str("transfers"), 1, false, e), e);
    else
        ck_ok(lam_txn_put(t, totals, key_of(rng_next(rng) % 1000, key), key_of(from, key), e), e);
    return lam_txn_commit(t, NULL, NULL, e);
}

static void work(void *arg) {
    struct rng rng;
    struct lam_error e = {0};
    rng_init(&rng, seed + (uintptr_t)arg);
    for (int i = 0; i < TRANSFERS;) {
        enum lam_code rc = transfer(&rng, &e);
        if (rc == LAM_OK) {
            i++;
            atomic_fetch_add(&done, 1);
        } else {
            ck_code(rc, LAM_CONFLICT);
            ck_contains(e.message, "partition");
        }
    }
    atomic_fetch_sub(&working, 1);
}

static int64_t sum_of(lam_txn *t, struct lam_error *e) {
    int64_t sum = 0, count = 0;
    for (int p = 0; p < 2; p++) {
        lam_iter *it;
        ck_ok(lam_txn_iter_new(t, NULL, parts[p], &it, e), e);
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it), count++) {
            int64_t balance;
            memcpy(&balance, lam_iter_value(it).data, 8);
            sum += balance;
        }
        ck_ok(lam_iter_status(it, e), e);
        lam_iter_free(it);
    }
    ck_assert_int_eq(count, ACCOUNTS);
    return sum;
}

static void audit(void *arg) {
    struct lam_error e = {0};
    (void)arg;
    while (atomic_load(&working) > 0) {
        lam_txn *t;
        ck_ok(lam_txn_begin(db, NULL, &t, &e), &e);
        ck_assert_int_eq(sum_of(t, &e), ACCOUNTS * START);
        ck_ok(lam_txn_commit(t, NULL, NULL, &e), &e);
    }
}

static void tidy(void *arg) {
    struct lam_error e = {0};
    (void)arg;
    for (int i = 0; atomic_load(&working) > 0; i++) {
        ck_ok(lam_db_dump(db, &e), &e);
        if (i % 4 == 0)
            ck_ok(lam_db_compact(db, parts[i / 4 % 2], &e), &e);
    }
}

static int64_t counter(void) {
    struct lam_value v = {0};
    int64_t n;
    ck_ok(lam_get(db, NULL, totals, lam_slice_str("transfers"), &v, &err), &err);
    memcpy(&n, v.bytes.data, 8);
    lam_value_release(&v);
    return n;
}

static void start(void) {
    char key[24];
    struct account a = {.balance = START}, zero = {0};
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .memory_budget = 4u << 20};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "even", NULL, &parts[0], &err), &err);
    ck_ok(lam_partition_create(db, "odd", NULL, &parts[1], &err), &err);
    ck_ok(lam_partition_create(db, "totals", NULL, &totals, &err), &err);
    for (uint64_t i = 0; i < ACCOUNTS; i++)
        ck_ok(lam_put(db, NULL, home_of(i), key_of(i, key), bytes_of(&a), &err), &err);
    ck_ok(lam_put(db, NULL, totals, lam_slice_str("transfers"), bytes_of(&zero), &err), &err);
}

static void stop(void) {
    lam_partition_release(parts[0]);
    lam_partition_release(parts[1]);
    lam_partition_release(totals);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
    lam_env_mem_free(mem);
}

START_TEST(transfers_keep_the_sum_that_every_reader_sees) {
    struct thread threads[WORKERS], auditor, tidier;
    seed = test_seed("txn_threads");
    start();
    atomic_store(&working, WORKERS);
    ck_ok(thread_start(&auditor, audit, NULL, &err), &err);
    ck_ok(thread_start(&tidier, tidy, NULL, &err), &err);
    for (uintptr_t i = 0; i < WORKERS; i++)
        ck_ok(thread_start(&threads[i], work, (void *)(i + 1), &err), &err);
    for (int i = 0; i < WORKERS; i++)
        thread_join(&threads[i]);
    thread_join(&auditor);
    thread_join(&tidier);
    ck_assert_uint_eq(atomic_load(&done), WORKERS * TRANSFERS);
    lam_txn *t;
    ck_ok(lam_txn_begin(db, NULL, &t, &err), &err);
    ck_assert_int_eq(sum_of(t, &err), ACCOUNTS * START);
    lam_txn_rollback(t);
    stop();
}
END_TEST

/* Waits until all workers have come here. */
static void meet(void) {
    static _Atomic int met;
    atomic_fetch_add(&met, 1);
    while (atomic_load(&met) < WORKERS)
        thread_yield();
}

static void increment(void *arg) {
    struct lam_error e = {0};
    bool first = true;
    (void)arg;
    for (int i = 0; i < TRANSFERS;) {
        lam_txn *t;
        ck_ok(lam_txn_begin(db, NULL, &t, &e), &e);
        ck_ok(add(t, totals, lam_slice_str("transfers"), 1, false, &e), &e);
        if (first)
            meet(); /* all have read the same: one of them can commit */
        first = false;
        enum lam_code rc = lam_txn_commit(t, NULL, NULL, &e);
        i += rc == LAM_OK;
        if (rc != LAM_OK) {
            ck_code(rc, LAM_CONFLICT);
            atomic_fetch_add(&conflicts, 1);
        }
    }
    atomic_fetch_sub(&working, 1);
}

START_TEST(no_increment_is_lost) {
    struct thread threads[WORKERS], tidier;
    start();
    atomic_store(&working, WORKERS);
    ck_ok(thread_start(&tidier, tidy, NULL, &err), &err);
    for (uintptr_t i = 0; i < WORKERS; i++)
        ck_ok(thread_start(&threads[i], increment, NULL, &err), &err);
    for (int i = 0; i < WORKERS; i++)
        thread_join(&threads[i]);
    thread_join(&tidier);
    ck_assert_int_eq(counter(), WORKERS * TRANSFERS);
    ck_assert_uint_ge(atomic_load(&conflicts), WORKERS - 1);
    stop();
}
END_TEST

TEST_MAIN("lsm/txn_threads", transfers_keep_the_sum_that_every_reader_sees, no_increment_is_lost)
