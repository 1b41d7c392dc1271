/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions: isolation, conflicts and their evidence, savepoints, limits, their place in the
 * life of a database, and memory that runs out. */
#include "base/env.h"
#include "lamina/txn.h"
#include "lsm/lsm.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

#define S(text) lam_slice_str(text)

static lam_env *mem;
static lam_db *db;
static lam_partition *part, *other;
static struct lam_error err;

static void start(void) {
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .memory_budget = 4u << 20, .manual_background = true};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_create(db, "p", NULL, &part, &err), &err);
    ck_ok(lam_partition_create(db, "q", NULL, &other, &err), &err);
}

static void stop(void) {
    lam_partition_release(part);
    lam_partition_release(other);
    ck_ok(lam_db_close(db, &err), &err);
    ck_ok(lam_check("/db", mem, NULL, NULL, &err), &err);
    lam_env_mem_free(mem);
}

static lam_txn *begin(bool serializable) {
    lam_txn *t;
    struct lam_txn_options o = {.serializable = serializable};
    ck_ok(lam_txn_begin(db, &o, &t, &err), &err);
    return t;
}

static void put(const char *key, const char *value) {
    ck_ok(lam_put(db, NULL, part, S(key), S(value), &err), &err);
}

static void txn_put(lam_txn *t, const char *key, const char *value) {
    ck_ok(lam_txn_put(t, part, S(key), S(value), &err), &err);
}

static void delete_range(const char *from, const char *to, uint64_t upto) {
    lam_batch *b;
    ck_ok(lam_batch_new(db, &b, &err), &err);
    ck_ok(lam_batch_delete_range(b, part, S(from), S(to), upto, &err), &err);
    ck_ok(lam_write(db, NULL, b, NULL, &err), &err);
    lam_batch_free(b);
}

static enum lam_code commit(lam_txn *t) {
    return lam_txn_commit(t, NULL, NULL, &err);
}

/* Value of a key, in the transaction or (NULL) the database; "-" if there is none. Static. */
static const char *has(lam_txn *t, const char *key) {
    static char text[64];
    struct lam_value v = {0};
    enum lam_code rc =
        t ? lam_txn_get(t, part, S(key), &v, &err) : lam_get(db, NULL, part, S(key), &v, &err);
    if (rc != LAM_NOT_FOUND)
        ck_ok(rc, &err);
    snprintf(text, sizeof text, "%.*s", rc == LAM_OK ? (int)v.bytes.size : 1,
             rc == LAM_OK ? (const char *)v.bytes.data : "-");
    lam_value_release(&v);
    return text;
}

static void for_update(lam_txn *t, const char *key) {
    struct lam_value v = {0};
    enum lam_code rc = lam_txn_get_for_update(t, part, S(key), &v, &err);
    ck_assert(rc == LAM_OK || rc == LAM_NOT_FOUND);
    lam_value_release(&v);
}

/* --- isolation ------------------------------------------------------------------------------ */

START_TEST(transaction_reads_its_moment_and_its_own_writes) {
    start();
    put("a", "1");
    put("b", "1");
    lam_txn *t = begin(false);
    put("a", "2");
    put("c", "2");
    txn_put(t, "b", "mine");
    ck_assert_str_eq(has(t, "a"), "1");
    ck_assert_str_eq(has(t, "b"), "mine");
    ck_assert_str_eq(has(t, "c"), "-");
    ck_assert_str_eq(has(NULL, "b"), "1");
    lam_iter *it;
    ck_ok(lam_txn_iter_new(t, NULL, part, &it, &err), &err);
    lam_iter_seek_last(it);
    ck_assert(lam_iter_valid(it) && slice_eq_str(lam_iter_value(it), "mine"));
    lam_iter_prev(it);
    ck_assert(lam_iter_valid(it) && slice_eq_str(lam_iter_value(it), "1"));
    lam_iter_prev(it);
    ck_assert(!lam_iter_valid(it));
    uint64_t sequence = 0;
    ck_ok(lam_txn_commit(t, NULL, &sequence, &err), &err);
    struct lam_stats stats;
    lam_db_stats(db, &stats);
    ck_assert_uint_eq(sequence, stats.sequence);
    ck_assert_str_eq(has(NULL, "b"), "mine");
    lam_iter_seek_first(it); /* it outlives the transaction */
    ck_assert(lam_iter_valid(it) && slice_eq_str(lam_iter_value(it), "1"));
    lam_iter_free(it);
    stop();
}
END_TEST

START_TEST(lost_update_is_a_conflict_that_names_the_key) {
    start();
    put("count\x01", "1");
    lam_txn *a = begin(false), *b = begin(false);
    txn_put(a, "count\x01", "2");
    txn_put(b, "count\x01", "3");
    ck_ok(lam_txn_put(b, other, S("x"), S("y"), &err), &err);
    ck_ok(commit(a), &err);
    ck_code(commit(b), LAM_CONFLICT);
    ck_contains(err.message, "key \"count\\x01\" of partition \"p\"");
    ck_assert_str_eq(has(NULL, "count\x01"), "2");
    struct lam_value v = {0};
    ck_code(lam_get(db, NULL, other, S("x"), &v, &err), LAM_NOT_FOUND);
    char long_key[101] = {0};
    memset(long_key, 'k', 100);
    a = begin(false);
    txn_put(a, long_key, "1");
    put(long_key, "2");
    ck_code(commit(a), LAM_CONFLICT);
    ck_contains(err.message, "kkkk...\"");
    stop();
}
END_TEST

START_TEST(write_skew_is_possible_unless_serializable) {
    for (int serializable = 0; serializable < 2; serializable++) {
        start();
        put("x", "1");
        put("y", "1");
        lam_txn *a = begin(serializable), *b = begin(serializable);
        ck_assert_str_eq(has(a, "y"), "1");
        ck_assert_str_eq(has(b, "x"), "1");
        txn_put(a, "x", "0");
        txn_put(b, "y", "0");
        ck_ok(commit(a), &err);
        ck_code(commit(b), serializable ? LAM_CONFLICT : LAM_OK);
        stop();
    }
}
END_TEST

START_TEST(read_for_update_counts_without_a_write) {
    start();
    lam_txn *t = begin(false);
    for_update(t, "absent");
    ck_ok(commit(t), &err);
    t = begin(false);
    for_update(t, "absent");
    put("absent", "made");
    ck_code(commit(t), LAM_CONFLICT);
    t = begin(false);
    ck_assert_str_eq(has(t, "absent"), "made");
    put("absent", "again");
    ck_ok(commit(t), &err);
    t = begin(true);
    ck_assert_str_eq(has(t, "absent"), "again");
    put("absent", "later");
    ck_ok(commit(t), &err); /* it wrote nothing: it has seen one moment */
    stop();
}
END_TEST

START_TEST(range_deletes_conflict_with_keys_and_each_other) {
    start();
    lam_txn *t = begin(false);
    txn_put(t, "m", "1");
    delete_range("k", "n", LAM_SEQUENCE_MAX);
    ck_code(commit(t), LAM_CONFLICT);
    t = begin(false);
    txn_put(t, "n", "1");
    delete_range("k", "n", LAM_SEQUENCE_MAX);
    ck_ok(commit(t), &err);
    t = begin(false);
    ck_ok(lam_txn_delete_range(t, part, S("a"), S("f"), &err), &err);
    put("f", "1");
    ck_ok(commit(t), &err);
    t = begin(false);
    ck_ok(lam_txn_delete_range(t, part, S("a"), S("f"), &err), &err);
    put("e", "1");
    ck_code(commit(t), LAM_CONFLICT);
    ck_contains(err.message, "key \"e\"");
    t = begin(false);
    ck_ok(lam_txn_delete_range(t, part, S("a"), S(""), &err), &err);
    delete_range("c", "d", 1);
    ck_code(commit(t), LAM_CONFLICT);
    ck_contains(err.message, "key \"c\"");
    stop();
}
END_TEST

START_TEST(iterators_of_serializable_transactions_guard_their_bounds) {
    start();
    put("b", "1");
    for (int inside = 0; inside < 2; inside++) {
        lam_txn *t = begin(true);
        lam_iter *it;
        struct lam_read_options o = {.prefix = S("b")};
        ck_ok(lam_txn_iter_new(t, &o, part, &it, &err), &err);
        lam_iter_free(it);
        txn_put(t, "z", "1");
        put(inside ? "bb" : "c", "phantom");
        ck_code(commit(t), inside ? LAM_CONFLICT : LAM_OK);
    }
    stop();
}
END_TEST

/* --- evidence ------------------------------------------------------------------------------- */

/* The change of "k" goes through dump and compaction to the last level, or vanishes there. */
static enum lam_code change_and_settle(void (*change)(void), bool dump, bool compact) {
    put("k", "old");
    put("l", "old");
    ck_ok(lam_db_dump(db, &err), &err);
    ck_ok(lam_db_compact(db, part, &err), &err);
    lam_txn *t = begin(false);
    txn_put(t, "k", "mine");
    change();
    if (dump)
        ck_ok(lam_db_dump(db, &err), &err);
    put("zz", "later");
    if (dump)
        ck_ok(lam_db_dump(db, &err), &err);
    if (compact)
        ck_ok(lam_db_compact(db, part, &err), &err);
    return commit(t);
}

static void change_by_put(void) {
    put("k", "new");
}
static void change_by_delete(void) {
    ck_ok(lam_delete(db, NULL, part, S("k"), &err), &err);
}
static void change_by_range(void) {
    delete_range("j", "l", LAM_SEQUENCE_MAX);
}
/* Puts and takes away again: nothing is left that a reader sees. */
static void change_for_nothing(void) {
    put("k", "new");
    delete_range("a", "", LAM_SEQUENCE_MAX);
    put("k", "again");
    ck_ok(lam_delete(db, NULL, part, S("k"), &err), &err);
}
/* Rows of an ingest are in no memtable, and their files give them another sequence than they have.
 */
static void ingest(const char *first, const char *last) {
    lam_ingest *g;
    ck_ok(lam_ingest_new(db, part, &g, &err), &err);
    ck_ok(lam_ingest_put(g, S(first), S("new"), &err), &err);
    ck_ok(lam_ingest_put(g, S(last), S("new"), &err), &err);
    ck_ok(lam_ingest_finish(g, NULL, &err), &err);
}
static void change_by_ingest(void) {
    ingest("a", "k");
}
static void change_another(void) {
    ingest("a", "x");
    put("j", "new");
    ck_ok(lam_delete(db, NULL, part, S("l"), &err), &err);
    delete_range("l", "m", LAM_SEQUENCE_MAX);
}

START_TEST(change_is_found_wherever_it_went) {
    void (*const changes[])(void) = {change_by_put,      change_by_delete, change_by_range,
                                     change_for_nothing, change_by_ingest, change_another};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        for (int stage = 0; stage < 3; stage++) {
            start();
            ck_code(change_and_settle(changes[i], stage > 0, stage > 1),
                    changes[i] == change_another ? LAM_OK : LAM_CONFLICT);
            stop();
        }
}
END_TEST

static int64_t clock_us = 1000000000000;

static int64_t test_now(lam_env *env) {
    (void)env;
    return clock_us;
}

START_TEST(expired_files_stay_while_a_transaction_may_ask_for_them) {
    start();
    struct lam_env_ops ops = *mem->ops;
    ops.now_us = test_now;
    mem->ops = &ops;
    lam_partition *p;
    struct lam_partition_options o = {.ttl_seconds = 10};
    ck_ok(lam_partition_create(db, "ttl", &o, &p, &err), &err);
    lam_txn *t = begin(false);
    ck_ok(lam_txn_put(t, p, S("k"), S("mine"), &err), &err);
    ck_ok(lam_put(db, NULL, p, S("k"), S("theirs"), &err), &err);
    ck_ok(lam_db_dump(db, &err), &err);
    clock_us += 3600 * 1000000ll;
    ck_ok(lam_db_compact(db, p, &err), &err);
    ck_code(commit(t), LAM_CONFLICT);
    ck_ok(lam_db_compact(db, p, &err), &err);
    struct lam_stats s;
    lam_db_stats(db, &s);
    ck_assert_uint_eq(s.sst_files, 0);
    lam_partition_release(p);
    stop();
}
END_TEST

/* Something else happens when the process id is asked for the n-th time from now. */
static uint64_t (*plain_process_id)(lam_env *env);
static struct {
    int calls;
    void (*at[4])(void);
} meanwhile;

static uint64_t interrupt(lam_env *env) {
    void (*fn)(void) = NULL;
    if (meanwhile.calls < 4) {
        fn = meanwhile.at[meanwhile.calls++];
        meanwhile.at[meanwhile.calls - 1] = NULL;
    }
    int calls = meanwhile.calls;
    meanwhile.calls = 4; /* what `fn` asks does not count */
    if (fn)
        fn();
    meanwhile.calls = calls;
    return plain_process_id(env);
}

static void put_z_and_dump(void) {
    put("z", "1");
    ck_ok(lam_db_dump(db, &err), &err);
}
static void put_k_and_dump(void) {
    put("k", "theirs");
    ck_ok(lam_db_dump(db, &err), &err);
}
static void put_k(void) {
    put("k", "theirs");
}
static void put_z(void) {
    put("z", "1");
}

/* A commit asks on entry and, after each look at the files, before it takes the mutex. */
START_TEST(what_comes_between_the_looks_of_a_commit_is_found) {
    static void (*const scripts[][3])(void) = {
        {put_k},
        {NULL, put_k},
        {NULL, put_k_and_dump},
        {NULL, put_z_and_dump, put_k},
        {put_z_and_dump, put_z_and_dump, put_k_and_dump},
        {NULL, put_z},
        {NULL, put_z_and_dump},
        {NULL, put_z_and_dump, put_z_and_dump},
    };
    size_t count = sizeof scripts / sizeof scripts[0];
    for (size_t n = 0; n < 2 * count; n++) {
        size_t i = n % count;
        bool by_range = n >= count;
        start();
        put("k", "old");
        ck_ok(lam_db_dump(db, &err), &err);
        struct lam_env_ops ops = *mem->ops;
        plain_process_id = ops.process_id;
        ops.process_id = interrupt;
        lam_txn *t = begin(false);
        if (by_range)
            ck_ok(lam_txn_delete_range(t, part, S("j"), S("l"), &err), &err);
        else
            txn_put(t, "k", "mine");
        memcpy(meanwhile.at, scripts[i], sizeof scripts[i]);
        meanwhile.calls = 0;
        const struct lam_env_ops *before = mem->ops;
        mem->ops = &ops;
        enum lam_code rc = commit(t);
        mem->ops = before;
        for (int j = 0; j < 3; j++)
            ck_assert(!meanwhile.at[j]); /* it came to that */
        ck_code(rc, i < 5 ? LAM_CONFLICT : LAM_OK);
        ck_assert_str_eq(has(NULL, "k"), i < 5 ? "theirs" : by_range ? "-" : "mine");
        stop();
    }
}
END_TEST

/* --- savepoints ----------------------------------------------------------------------------- */

START_TEST(savepoints_take_back_writes_and_their_conflicts) {
    start();
    uint32_t first, second;
    lam_txn *t = begin(false);
    txn_put(t, "a", "1");
    ck_ok(lam_txn_savepoint(t, &first, &err), &err);
    txn_put(t, "a", "2");
    txn_put(t, "b", "2");
    ck_ok(lam_txn_savepoint(t, &second, &err), &err);
    ck_ok(lam_txn_delete_range(t, part, S("a"), S(""), &err), &err);
    ck_assert_str_eq(has(t, "a"), "-");
    ck_ok(lam_txn_rollback_to(t, second, &err), &err);
    ck_assert_str_eq(has(t, "a"), "2");
    ck_ok(lam_txn_rollback_to(t, first, &err), &err);
    ck_assert_str_eq(has(t, "a"), "1");
    ck_assert_str_eq(has(t, "b"), "-");
    ck_code(lam_txn_rollback_to(t, second, &err), LAM_INVALID);
    ck_contains(err.message, "no savepoint 1");
    put("b", "theirs");
    ck_ok(lam_txn_rollback_to(t, first, &err), &err);
    ck_ok(commit(t), &err);
    ck_assert_str_eq(has(NULL, "a"), "1");
    ck_assert_str_eq(has(NULL, "b"), "theirs");
    stop();
}
END_TEST

/* --- life ----------------------------------------------------------------------------------- */

START_TEST(close_is_refused_while_transactions_are_open) {
    start();
    lam_txn *a = begin(false), *b = begin(true);
    lam_snapshot *s;
    ck_ok(lam_snapshot_new(db, &s, &err), &err);
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    ck_contains(err.message, "2 transactions, 1 snapshots, 0 iterators");
    lam_snapshot_free(s);
    lam_txn_rollback(a);
    ck_code(lam_db_close(db, &err), LAM_BUSY);
    ck_ok(commit(b), &err);
    stop();
}
END_TEST

START_TEST(drop_of_a_partition_ends_the_transactions_that_need_it) {
    start();
    lam_txn *writer = begin(false), *reader = begin(true), *neither = begin(true);
    struct lam_value v = {0};
    ck_ok(lam_txn_put(writer, other, S("k"), S("v"), &err), &err);
    txn_put(writer, "k", "writer");
    ck_code(lam_txn_get(reader, other, S("k"), &v, &err), LAM_NOT_FOUND);
    txn_put(reader, "k", "reader");
    txn_put(neither, "k", "neither");
    ck_ok(lam_partition_drop(db, other, &err), &err);
    ck_code(lam_txn_get(writer, other, S("k"), &v, &err), LAM_NOT_FOUND);
    ck_contains(err.message, "dropped");
    ck_code(commit(writer), LAM_NOT_FOUND);
    ck_contains(err.message, "\"q\" is dropped");
    ck_code(commit(reader), LAM_NOT_FOUND);
    ck_assert_str_eq(has(NULL, "k"), "-");
    lam_partition_release(other);
    ck_ok(lam_partition_create(db, "q", NULL, &other, &err), &err);
    ck_ok(commit(neither), &err);
    ck_assert_str_eq(has(NULL, "k"), "neither");
    stop();
}
END_TEST

START_TEST(limits_leave_the_transaction_usable) {
    start();
    lam_txn *t = begin(false);
    static uint8_t big[LAM_KEY_MAX + 1];
    struct lam_slice value = {big, (size_t)LAM_VALUE_MAX + 1};
    txn_put(t, "a", "1");
    ck_code(lam_txn_put(t, part, lam_slice_of(big, sizeof big), S("v"), &err), LAM_LIMIT);
    ck_code(lam_txn_put(t, part, S("k"), value, &err), LAM_LIMIT);
    ck_code(lam_txn_delete_range(t, part, S("b"), S("a"), &err), LAM_INVALID);
    ck_code(lam_txn_put(t, part, SLICE_EMPTY, S("v"), &err), LAM_INVALID);
    lam_iter *it;
    struct lam_read_options o = {.snapshot = lam_txn_snapshot(t)};
    ck_code(lam_txn_iter_new(t, &o, part, &it, &err), LAM_INVALID);
    struct lam_write_options bad = {.durability = (enum lam_durability)9};
    ck_code(lam_txn_commit(t, &bad, NULL, &err), LAM_INVALID);
    ck_assert_str_eq(has(t, "a"), "1");
    ck_ok(commit(t), &err);
    ck_assert_str_eq(has(NULL, "a"), "1");
    stop();
}
END_TEST

START_TEST(read_only_database_serves_transactions_that_only_read) {
    start();
    put("a", "1");
    lam_partition_release(part);
    lam_partition_release(other);
    ck_ok(lam_db_close(db, &err), &err);
    struct lam_options o = {.env = mem, .read_only = true};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    ck_ok(lam_partition_open(db, "p", &part, &err), &err);
    ck_ok(lam_partition_open(db, "q", &other, &err), &err);
    lam_txn *t = begin(true);
    ck_assert_str_eq(has(t, "a"), "1");
    for_update(t, "a");
    ck_ok(commit(t), &err);
    t = begin(false);
    txn_put(t, "a", "2");
    ck_assert_str_eq(has(t, "a"), "2");
    ck_code(commit(t), LAM_READ_ONLY);
    stop();
}
END_TEST

/* --- memory --------------------------------------------------------------------------------- */

static size_t failures;

/* Repeats a call until its allocations go through. Its first `nth` - 1 do. */
#define PRESSED(call)                                                                              \
    do {                                                                                           \
        for (size_t nth_ = 1;; nth_++) {                                                           \
            oom_arm_once(nth_);                                                                    \
            enum lam_code rc_ = (call);                                                            \
            bool fired_ = oom_fired();                                                             \
            if (rc_ == LAM_OK)                                                                     \
                break;                                                                             \
            ck_assert(fired_);                                                                     \
            ck_code(rc_, LAM_NO_MEMORY);                                                           \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

static enum lam_code walk(lam_txn *t, int *count_out) {
    lam_iter *it;
    *count_out = 0;
    enum lam_code rc = lam_txn_iter_new(t, NULL, part, &it, &err);
    if (rc != LAM_OK)
        return rc;
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        ++*count_out;
    rc = lam_iter_status(it, &err);
    lam_iter_free(it);
    return rc;
}

static enum lam_code get(lam_txn *t, const char *key) {
    struct lam_value v = {0};
    enum lam_code rc = lam_txn_get_for_update(t, part, S(key), &v, &err);
    lam_value_release(&v);
    return rc;
}

static enum lam_code get_only(lam_txn *t, const char *key) {
    struct lam_value v = {0};
    enum lam_code rc = lam_txn_get(t, part, S(key), &v, &err);
    lam_value_release(&v);
    return rc;
}

START_TEST(every_allocation_of_a_transaction_may_fail) {
    start();
    char key[16];
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        put(key, "db");
        if (i % 20 == 0)
            ck_ok(lam_db_dump(db, &err), &err);
    }
    delete_range("k50", "k52", LAM_SEQUENCE_MAX);
    lam_txn *t = NULL;
    uint32_t savepoint;
    int count;
    PRESSED(lam_txn_begin(db, &(struct lam_txn_options){.serializable = true}, &t, &err));
    put("x", "theirs");
    ck_ok(lam_db_dump(db, &err), &err);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        PRESSED(get(t, key));
        PRESSED(get_only(t, key));
        PRESSED(lam_txn_put(t, part, S(key), S("mine"), &err));
    }
    PRESSED(lam_txn_delete(t, other, S("q"), &err));
    PRESSED(lam_txn_savepoint(t, &savepoint, &err));
    PRESSED(lam_txn_delete_range(t, part, S("k10"), S("k40"), &err));
    PRESSED(lam_txn_put(t, part, S("k11"), S("gone again"), &err));
    PRESSED(lam_txn_rollback_to(t, savepoint, &err));
    PRESSED(lam_txn_delete_range(t, part, S("k00"), S("k10"), &err));
    ck_assert_str_eq(has(t, "k00"), "-");
    ck_assert_str_eq(has(t, "k11"), "mine");
    ck_assert_uint_gt(failures, 60);
    /* A commit ends it, so each try is of a transaction of its own. */
    lam_txn_rollback(t);
    ck_assert_str_eq(has(NULL, "k11"), "db");
    size_t nth = 1;
    for (;; nth++) {
        t = begin(true);
        ck_ok(walk(t, &count), &err);
        ck_assert_int_eq(count, 59);
        txn_put(t, "k11", "mine");
        ck_ok(lam_txn_delete_range(t, part, S("k00"), S("k10"), &err), &err);
        oom_arm_once(nth);
        enum lam_code rc = commit(t);
        bool fired = oom_fired();
        if (rc == LAM_OK)
            break;
        ck_assert(fired);
        ck_code(rc, LAM_NO_MEMORY);
        ck_assert_str_eq(has(NULL, "k11"), "db");
    }
    ck_assert_uint_gt(nth, 4);
    ck_assert_str_eq(has(NULL, "k11"), "mine");
    ck_assert_str_eq(has(NULL, "k00"), "-");
    stop();
}
END_TEST

START_TEST(reading_without_memory_is_no_answer) {
    start();
    char key[16];
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        put(key, "db");
    }
    ck_ok(lam_db_dump(db, &err), &err);
    lam_txn *t = begin(true);
    txn_put(t, "k00", "mine");
    int count;
    failures = 0;
    PRESSED(walk(t, &count));
    ck_assert_int_eq(count, 30);
    ck_assert_uint_gt(failures, 3);
    ck_ok(commit(t), &err);
    stop();
}
END_TEST

TEST_MAIN("lsm/txn", transaction_reads_its_moment_and_its_own_writes,
          lost_update_is_a_conflict_that_names_the_key, write_skew_is_possible_unless_serializable,
          read_for_update_counts_without_a_write, range_deletes_conflict_with_keys_and_each_other,
          iterators_of_serializable_transactions_guard_their_bounds,
          change_is_found_wherever_it_went, what_comes_between_the_looks_of_a_commit_is_found,
          expired_files_stay_while_a_transaction_may_ask_for_them,
          savepoints_take_back_writes_and_their_conflicts,
          close_is_refused_while_transactions_are_open,
          drop_of_a_partition_ends_the_transactions_that_need_it,
          limits_leave_the_transaction_usable,
          read_only_database_serves_transactions_that_only_read,
          every_allocation_of_a_transaction_may_fail, reading_without_memory_is_no_answer)
