/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions made, listed and dropped by several threads while others write to them, read and
 * iterate, under dumps and compactions, among ten thousand that stay and are written to. Each name
 * belongs to one thread, which knows what must be there; everybody uses all of them. */
#include "base/env.h"
#include "base/rng.h"
#include "base/thread.h"
#include "lamina/txn.h"
#include "lsm/filename.h"
#include "tests/support/test.h"

#define MAKERS  3
#define NAMES   6 /* of each maker */
#define ROUNDS  40
#define RECORDS 8
#define CROWD   10000u
#define WRITTEN 200u /* of the crowd, each 50th */
#define THREADS (MAKERS + 4)

static lam_env *mem;
static lam_db *db;
static struct lam_error err;
static uint64_t seed;
static _Atomic int making;
static _Atomic uint64_t reads; /* records that strangers found */

static const char *name_of(size_t maker, size_t i, char out[24]) {
    snprintf(out, 24, "m%u-%u", (unsigned)maker, (unsigned)i);
    return out;
}

static const char *crowd_name(uint32_t i, char out[24]) {
    snprintf(out, 24, "c%05u", i);
    return out;
}

static struct lam_slice record_of(size_t i, char out[24]) {
    return lam_slice_of(out, (size_t)snprintf(out, 24, "record-%03u", (unsigned)i));
}

struct listing {
    char prefix[8];
    char last[32];
    size_t mine;
    size_t crowd;
};

static bool count_mine(void *arg, const char *name) {
    struct listing *l = arg;
    ck_assert_int_lt(strcmp(l->last, name), 0); /* by name, each once */
    snprintf(l->last, sizeof l->last, "%s", name);
    l->crowd += name[0] == 'c';
    l->mine += strncmp(name, l->prefix, strlen(l->prefix)) == 0;
    return true;
}

static void check_list(size_t maker, size_t there) {
    struct lam_error e;
    struct listing l = {0};
    snprintf(l.prefix, sizeof l.prefix, "m%u-", (unsigned)maker);
    ck_ok(lam_partition_list(db, count_mine, &l, &e), &e);
    ck_assert_uint_eq(l.mine, there);
    ck_assert_uint_eq(l.crowd, CROWD);
}

/* A partition that was there before this one must not show through. */
static void fill(lam_partition *p, uint64_t round) {
    struct lam_error e;
    lam_batch *b;
    char key[24];
    uint8_t value[600] = {0};
    memcpy(value, &round, sizeof round);
    ck_ok(lam_batch_new(db, &b, &e), &e);
    for (size_t i = 0; i < RECORDS; i++)
        ck_ok(lam_batch_put(b, p, record_of(i, key), lam_slice_of(value, sizeof value), &e), &e);
    ck_ok(lam_write(db, NULL, b, NULL, &e), &e);
    lam_batch_free(b);
}

static void expect_round(lam_iter *it, uint64_t round) {
    struct lam_error e;
    size_t seen = 0;
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        uint64_t found;
        memcpy(&found, lam_iter_value(it).data, sizeof found);
        ck_assert_uint_eq(found, round);
        seen += lam_iter_key(it).data[0] == 'r';
    }
    ck_ok(lam_iter_status(it, &e), &e);
    ck_assert_uint_eq(seen, RECORDS);
}

/* Makes all names, singly or at once, fills them, drops them with an iterator open. */
static void make(void *arg) {
    size_t maker = (uintptr_t)arg;
    struct rng rng;
    struct lam_error e;
    rng_init(&rng, seed + maker);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        lam_partition *p[NAMES];
        char text[NAMES][24];
        const char *names[NAMES];
        bool many = rng_below(&rng, 2);
        for (size_t i = 0; i < NAMES; i++) {
            names[i] = name_of(maker, NAMES - 1 - i, text[i]);
            if (!many)
                ck_ok(lam_partition_create(db, names[i], NULL, &p[i], &e), &e);
        }
        if (many)
            ck_ok(lam_partition_create_many(db, names, NAMES, NULL, p, &e), &e);
        check_list(maker, NAMES);
        for (size_t i = 0; i < NAMES; i++) {
            ck_assert_str_eq(lam_partition_name(p[i]), names[i]);
            fill(p[i], round);
        }
        for (size_t i = 0; i < NAMES; i++) {
            lam_iter *it;
            ck_ok(lam_iter_new(db, NULL, p[i], &it, &e), &e);
            if (rng_below(&rng, 2))
                expect_round(it, round);
            ck_ok(lam_partition_drop(db, p[i], &e), &e);
            expect_round(it, round);
            lam_iter_free(it);
            lam_partition_release(p[i]);
        }
        check_list(maker, 0);
    }
    atomic_fetch_sub(&making, 1);
}

/* All records are of one round, whenever one comes. */
static void read_whole(lam_partition *p) {
    struct lam_error e;
    lam_iter *it;
    enum lam_code rc = lam_iter_new(db, NULL, p, &it, &e);
    if (rc == LAM_NOT_FOUND)
        return;
    ck_ok(rc, &e);
    uint64_t first = 0, found;
    size_t seen = 0;
    for (lam_iter_seek_last(it); lam_iter_valid(it); lam_iter_prev(it)) {
        memcpy(&found, lam_iter_value(it).data, sizeof found);
        if (lam_iter_key(it).data[0] != 'r')
            continue;
        first = seen++ ? first : found;
        ck_assert_uint_eq(found, first);
    }
    ck_ok(lam_iter_status(it, &e), &e);
    ck_assert(seen == 0 || seen == RECORDS);
    lam_iter_free(it);
    atomic_fetch_add(&reads, seen);
}

static void read_one(lam_partition *p, size_t record) {
    struct lam_error e;
    struct lam_value v = {0};
    char key[24];
    enum lam_code rc = lam_get(db, NULL, p, record_of(record, key), &v, &e);
    if (rc != LAM_NOT_FOUND)
        ck_ok(rc, &e);
    lam_value_release(&v);
    atomic_fetch_add(&reads, rc == LAM_OK);
}

/* Deletes what is not there: for the maker nothing changes. */
static void write_nothing(lam_partition *p) {
    struct lam_error e;
    lam_txn *t;
    ck_ok(lam_txn_begin(db, NULL, &t, &e), &e);
    ck_ok(lam_txn_delete(t, p, lam_slice_str("absent"), &e), &e);
    enum lam_code rc = lam_txn_commit(t, NULL, NULL, &e);
    if (rc != LAM_NOT_FOUND && rc != LAM_CONFLICT)
        ck_ok(rc, &e);
}

static void use_strangers(void *arg) {
    struct rng rng;
    struct lam_error e;
    char name[24];
    rng_init(&rng, seed * 31 + (uintptr_t)arg);
    while (atomic_load(&making) > 0) {
        lam_partition *p;
        enum lam_code rc = lam_partition_open(
            db, name_of(1 + rng_below(&rng, MAKERS), rng_below(&rng, NAMES), name), &p, &e);
        if (rc == LAM_NOT_FOUND)
            continue;
        ck_ok(rc, &e);
        for (int i = 0; i < 4; i++)
            switch (rng_below(&rng, 3)) {
            case 0:
                read_whole(p);
                break;
            case 1:
                read_one(p, rng_below(&rng, RECORDS));
                break;
            default:
                write_nothing(p);
                break;
            }
        lam_partition_release(p);
    }
}

/* Each of the crowd may come to hold its own number and nothing else. */
static void write_crowd(void *arg) {
    struct rng rng;
    struct lam_error e;
    (void)arg;
    rng_init(&rng, seed * 17);
    while (atomic_load(&making) > 0) {
        lam_partition *p;
        char name[24];
        uint32_t i = (uint32_t)rng_below(&rng, WRITTEN) * (CROWD / WRITTEN);
        ck_ok(lam_partition_open(db, crowd_name(i, name), &p, &e), &e);
        ck_ok(lam_put(db, NULL, p, lam_slice_str("number"), lam_slice_of(&i, sizeof i), &e), &e);
        lam_partition_release(p);
    }
}

static void make_crowd(void) {
    static char text[CROWD][24];
    static const char *names[CROWD];
    for (uint32_t i = 0; i < CROWD; i++)
        names[i] = crowd_name(i, text[i]);
    ck_ok(lam_partition_create_many(db, names, CROWD, NULL, NULL, &err), &err);
}

static bool check_one(void *arg, const char *name) {
    uint32_t *at = arg;
    char expected[24];
    lam_partition *p;
    lam_iter *it;
    ck_assert_str_eq(name, crowd_name(*at % CROWD, expected));
    ck_ok(lam_partition_open(db, name, &p, &err), &err);
    ck_ok(lam_iter_new(db, NULL, p, &it, &err), &err);
    lam_iter_seek_first(it);
    if (lam_iter_valid(it)) {
        uint32_t number = *at % CROWD;
        ck_assert(slice_eq(lam_iter_value(it), lam_slice_of(&number, sizeof number)));
        lam_iter_next(it);
        *at += CROWD;
    }
    ck_assert(!lam_iter_valid(it));
    ck_ok(lam_iter_status(it, &err), &err);
    lam_iter_free(it);
    lam_partition_release(p);
    (*at)++;
    return true;
}

/* They are as they should be, and some were written to. */
static void check_crowd(void) {
    uint32_t at = 0;
    ck_ok(lam_partition_list(db, check_one, &at, &err), &err);
    ck_assert_uint_eq(at % CROWD, 0);
    ck_assert_uint_gt(at, CROWD);
}

static void tidy(void *arg) {
    struct lam_error e;
    (void)arg;
    while (atomic_load(&making) > 0) {
        ck_ok(lam_db_dump(db, &e), &e);
        enum lam_code rc = lam_db_compact(db, NULL, &e);
        if (rc != LAM_NOT_FOUND) /* dropped meanwhile */
            ck_ok(rc, &e);
    }
}

static bool is_sst(void *arg, const char *name) {
    uint64_t number;
    *(size_t *)arg += filename_parse(name, &number) == FILE_SST;
    return true;
}

START_TEST(partitions_come_and_go_under_load) {
    struct thread threads[THREADS];
    seed = test_seed("partition_threads");
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .memory_budget = 4u << 20};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    make_crowd();
    atomic_store(&making, MAKERS);
    for (uintptr_t i = 0; i < MAKERS; i++)
        ck_ok(thread_start(&threads[i], make, (void *)(i + 1), &err), &err);
    ck_ok(thread_start(&threads[MAKERS], use_strangers, (void *)1, &err), &err);
    ck_ok(thread_start(&threads[MAKERS + 1], use_strangers, (void *)2, &err), &err);
    ck_ok(thread_start(&threads[MAKERS + 2], tidy, NULL, &err), &err);
    ck_ok(thread_start(&threads[MAKERS + 3], write_crowd, NULL, &err), &err);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    check_crowd();
    ck_assert_uint_gt(atomic_load(&reads), 0);
    ck_ok(lam_db_check(db, NULL, NULL, &err), &err);
    ck_ok(lam_db_close(db, &err), &err);
    size_t ssts = 0;
    ck_ok(env_dir_list(mem, "/db", is_sst, &ssts, &err), &err);
    o.read_only = true;
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.partitions, CROWD);
    ck_assert_uint_eq(s.sst_files, ssts);
    check_crowd();
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}
END_TEST

TEST_MAIN("lsm/partition_threads", partitions_come_and_go_under_load)
