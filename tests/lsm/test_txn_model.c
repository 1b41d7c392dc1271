/* SPDX-License-Identifier: Apache-2.0
 *
 * Random interleaved transactions and plain writes over several partitions, with dumps and
 * compactions in between, against an oracle that knows all states: what a transaction reads, when
 * its commit conflicts, and that a commit without conflict could have run alone at that moment. */
#include "base/bytes.h"
#include "base/env.h"
#include "base/rng.h"
#include "lamina/txn.h"
#include "tests/support/test.h"

#define PARTITIONS 3
#define KEYS       14 /* few, so that transactions meet */
#define CELLS      (PARTITIONS * KEYS)
#define OPEN       6 /* transactions at a time */
#define SAVEPOINTS 5
#define STEPS      30000

static lam_env *mem;
static lam_db *db;
static lam_partition *parts[PARTITIONS];
static struct lam_error err;
static struct rng rng;
static uint32_t next_value = 1;

/* Cell p * KEYS + k is key k of partition p; value 0: there is none. */
struct state {
    uint32_t values[CELLS];
};
static struct state committed;
static uint64_t changed[CELLS]; /* sequence of the last commit that changed it */
static uint64_t version[CELLS]; /* of the last put or delete */

struct point {
    struct state state;
    bool written[CELLS];
};
static struct session {
    lam_txn *txn; /* NULL: none */
    bool serializable;
    bool for_update;
    uint64_t sequence; /* of its snapshot */
    struct state seen; /* the snapshot */
    struct point now;  /* with its writes */
    bool read[CELLS];  /* must not change */
    bool wrote;
    uint32_t writes;
    struct point saved[SAVEPOINTS];
    uint32_t saved_writes[SAVEPOINTS];
    uint32_t saved_count;
} sessions[OPEN];

static uint64_t conflicts, commits;

static uint64_t below(uint64_t n) {
    return rng_below(&rng, n);
}

/* Keys of several lengths; the order is that of `k`. */
static struct lam_slice key_of(size_t k) {
    static char keys[KEYS][40];
    int n = snprintf(keys[k], sizeof keys[k], "k%02d", (int)k);
    if (k % 3 == 1)
        n += snprintf(keys[k] + n, sizeof keys[k] - (size_t)n, "-with-a-long-tail-of-bytes");
    return lam_slice_of(keys[k], (size_t)n);
}

/* Values of some length, so that dumps give files of more than one block. */
static struct lam_slice value_of(uint32_t value, uint8_t out[300]) {
    memset(out, (int)(value * 7), 300);
    memcpy(out, &value, 4);
    return lam_slice_of(out, 4 + value % 296);
}

static uint32_t number_of(struct lam_slice value) {
    uint8_t want[300];
    uint32_t v;
    ck_assert_uint_ge(value.size, 4);
    memcpy(&v, value.data, 4);
    ck_assert(slice_eq(value, value_of(v, want)));
    return v;
}

/* --- plain writes --------------------------------------------------------------------------- */

/* Keys [from, to); `to` KEYS means no end. */
struct span {
    size_t from, to;
    struct lam_slice from_key, to_key;
};

static struct span draw_span(void) {
    struct span s;
    s.from = below(KEYS);
    s.to = s.from + 1 + below(below(3) ? 3 : KEYS);
    if (s.to > KEYS)
        s.to = KEYS;
    s.from_key = s.from == 0 && below(2) ? SLICE_EMPTY : key_of(s.from);
    s.to_key = s.to == KEYS ? SLICE_EMPTY : key_of(s.to);
    return s;
}

static void plain_write(void) {
    size_t p = below(PARTITIONS);
    lam_batch *b;
    uint64_t sequence, bound = LAM_SEQUENCE_MAX;
    uint8_t bytes[300];
    size_t k = below(KEYS);
    struct span s = draw_span();
    ck_ok(lam_batch_new(db, &b, &err), &err);
    uint64_t what = below(4);
    if (what == 0) {
        struct session *other = &sessions[below(OPEN)];
        bound = other->txn && below(2) ? other->sequence : LAM_SEQUENCE_MAX;
        ck_ok(lam_batch_delete_range(b, parts[p], s.from_key, s.to_key, bound, &err), &err);
    } else if (what == 1) {
        ck_ok(lam_batch_delete(b, parts[p], key_of(k), &err), &err);
    } else {
        ck_ok(lam_batch_put(b, parts[p], key_of(k), value_of(next_value, bytes), &err), &err);
    }
    ck_ok(lam_write(db, NULL, b, &sequence, &err), &err);
    lam_batch_free(b);
    for (size_t i = what == 0 ? s.from : k; i < (what == 0 ? s.to : k + 1); i++) {
        size_t cell = p * KEYS + i;
        changed[cell] = sequence;
        if (what != 0)
            version[cell] = sequence;
        if (what <= 1 && version[cell] <= (what == 0 ? bound : sequence))
            committed.values[cell] = 0;
        if (what > 1)
            committed.values[cell] = next_value;
    }
    next_value++;
}

/* --- steps of a transaction ----------------------------------------------------------------- */

static void begin(struct session *s) {
    memset(s, 0, sizeof *s);
    s->serializable = below(2);
    struct lam_txn_options o = {.serializable = s->serializable};
    ck_ok(lam_txn_begin(db, s->serializable || below(2) ? &o : NULL, &s->txn, &err), &err);
    s->sequence = lam_snapshot_sequence(lam_txn_snapshot(s->txn));
    s->seen = committed;
    s->now.state = committed;
}

static void get(struct session *s) {
    size_t p = below(PARTITIONS), k = below(KEYS), cell = p * KEYS + k;
    bool update = below(3) == 0;
    struct lam_value value = {0};
    enum lam_code rc = update ? lam_txn_get_for_update(s->txn, parts[p], key_of(k), &value, &err)
                              : lam_txn_get(s->txn, parts[p], key_of(k), &value, &err);
    uint32_t want = s->now.state.values[cell];
    ck_code(rc, want ? LAM_OK : LAM_NOT_FOUND);
    if (want)
        ck_assert_uint_eq(number_of(value.bytes), want);
    lam_value_release(&value);
    s->for_update |= update;
    if (update || s->serializable)
        s->read[cell] = true;
}

static void write_key(struct session *s) {
    size_t p = below(PARTITIONS), k = below(KEYS), cell = p * KEYS + k;
    uint8_t bytes[300];
    bool put = below(3) > 0;
    if (put)
        ck_ok(lam_txn_put(s->txn, parts[p], key_of(k), value_of(next_value, bytes), &err), &err);
    else
        ck_ok(lam_txn_delete(s->txn, parts[p], key_of(k), &err), &err);
    s->now.state.values[cell] = put ? next_value++ : 0;
    s->now.written[cell] = true;
    s->writes++;
}

static void delete_range(struct session *s) {
    size_t p = below(PARTITIONS);
    struct span span = draw_span();
    ck_ok(lam_txn_delete_range(s->txn, parts[p], span.from_key, span.to_key, &err), &err);
    for (size_t k = span.from; k < span.to; k++) {
        s->now.state.values[p * KEYS + k] = 0;
        s->now.written[p * KEYS + k] = true;
    }
    s->writes++;
}

/* Index of the first present key at or after `k`, below `end`; `end` if there is none. */
static size_t present_from(const uint32_t *values, size_t k, size_t end) {
    while (k < end && values[k] == 0)
        k++;
    return k;
}

/* One past the last present key below `k`, at or above `begin`; `begin` if there is none. */
static size_t present_before(const uint32_t *values, size_t k, size_t begin) {
    while (k > begin && values[k - 1] == 0)
        k--;
    return k;
}

static void expect_at(lam_iter *it, const uint32_t *values, size_t k) {
    ck_assert(lam_iter_valid(it));
    ck_assert(slice_eq(lam_iter_key(it), key_of(k)));
    ck_assert_uint_eq(number_of(lam_iter_value(it)), values[k]);
}

/* Walks at random between bounds. */
static void iterate(struct session *s) {
    size_t p = below(PARTITIONS);
    struct span span = draw_span();
    struct lam_read_options o = {.lower = span.from_key, .upper = span.to_key};
    lam_iter *it;
    ck_ok(lam_txn_iter_new(s->txn, &o, parts[p], &it, &err), &err);
    const uint32_t *values = s->now.state.values + p * KEYS;
    for (size_t k = span.from; k < span.to && s->serializable; k++)
        s->read[p * KEYS + k] = true;
    size_t begin_at = span.from, end_at = span.to, at = end_at;
    for (int step = 0; step < 12; step++) {
        size_t k = below(KEYS);
        switch (lam_iter_valid(it) ? below(6) : below(4)) {
        case 0:
            lam_iter_seek_first(it);
            at = present_from(values, begin_at, end_at);
            break;
        case 1:
            lam_iter_seek_last(it);
            at = present_before(values, end_at, begin_at);
            at = at == begin_at ? end_at : at - 1;
            break;
        case 2:
            lam_iter_seek(it, key_of(k));
            at = present_from(values, k < begin_at ? begin_at : k, end_at);
            break;
        case 3:
            lam_iter_seek_for_prev(it, key_of(k));
            at = present_before(values, k + 1 > end_at ? end_at : k + 1, begin_at);
            at = k < begin_at || at == begin_at ? end_at : at - 1;
            break;
        case 4:
            lam_iter_next(it);
            at = present_from(values, at + 1, end_at);
            break;
        default:
            lam_iter_prev(it);
            at = present_before(values, at, begin_at);
            at = at == begin_at ? end_at : at - 1;
            break;
        }
        ck_ok(lam_iter_status(it, &err), &err);
        if (at < end_at)
            expect_at(it, values, at);
        else
            ck_assert(!lam_iter_valid(it));
    }
    lam_iter_free(it);
}

static void savepoint(struct session *s) {
    uint32_t number;
    if (s->saved_count == SAVEPOINTS)
        return;
    ck_ok(lam_txn_savepoint(s->txn, &number, &err), &err);
    ck_assert_uint_eq(number, s->saved_count);
    s->saved_writes[number] = s->writes;
    s->saved[s->saved_count++] = s->now;
}

static void roll_back_to(struct session *s) {
    if (s->saved_count == 0) {
        ck_code(lam_txn_rollback_to(s->txn, 0, &err), LAM_INVALID);
        return;
    }
    uint32_t to = (uint32_t)below(s->saved_count);
    ck_ok(lam_txn_rollback_to(s->txn, to, &err), &err);
    s->now = s->saved[to];
    s->writes = s->saved_writes[to];
    s->saved_count = to + 1;
}

static bool must_conflict(const struct session *s) {
    if (s->writes == 0 && !s->for_update)
        return false;
    for (size_t i = 0; i < CELLS; i++)
        if ((s->now.written[i] || s->read[i]) && changed[i] > s->sequence)
            return true;
    return false;
}

/* A commit that went well might have run whole at this moment: what it depends on is as it saw it.
 */
static void check_serial(const struct session *s) {
    for (size_t i = 0; i < CELLS; i++)
        if (s->now.written[i] || (s->read[i] && s->writes > 0))
            ck_assert_uint_eq(committed.values[i], s->seen.values[i]);
}

static void commit(struct session *s) {
    bool conflict = must_conflict(s);
    uint64_t sequence = 0;
    enum lam_code rc = lam_txn_commit(s->txn, NULL, &sequence, &err);
    s->txn = NULL;
    ck_code(rc, conflict ? LAM_CONFLICT : LAM_OK);
    conflicts += conflict;
    commits += !conflict;
    if (conflict)
        return;
    check_serial(s);
    ck_assert(s->writes > 0 ? sequence > s->sequence : sequence == s->sequence);
    for (size_t i = 0; i < CELLS; i++)
        if (s->now.written[i]) {
            committed.values[i] = s->now.state.values[i];
            changed[i] = version[i] = sequence;
        }
}

static void step_of(struct session *s) {
    switch (below(14)) {
    case 0:
        commit(s);
        break;
    case 1:
        if (below(3) == 0) {
            lam_txn_rollback(s->txn);
            s->txn = NULL;
        }
        break;
    case 2:
        if (below(2))
            delete_range(s);
        break;
    case 3:
        savepoint(s);
        break;
    case 4:
        roll_back_to(s);
        break;
    case 5:
    case 6:
        iterate(s);
        break;
    case 7:
    case 8:
    case 9:
        write_key(s);
        break;
    default:
        get(s);
        break;
    }
}

static void check_committed(void) {
    for (size_t p = 0; p < PARTITIONS; p++) {
        lam_iter *it;
        ck_ok(lam_iter_new(db, NULL, parts[p], &it, &err), &err);
        const uint32_t *values = committed.values + p * KEYS;
        lam_iter_seek_first(it);
        for (size_t k = 0; k < KEYS; k++)
            if (values[k]) {
                expect_at(it, values, k);
                lam_iter_next(it);
            }
        ck_assert(!lam_iter_valid(it));
        ck_ok(lam_iter_status(it, &err), &err);
        lam_iter_free(it);
    }
}

START_TEST(interleaved_transactions_agree_with_the_oracle) {
    rng_init(&rng, test_seed("txn_model"));
    ck_ok(lam_env_mem_new(&mem, &err), &err);
    struct lam_options o = {.env = mem, .memory_budget = 4u << 20, .manual_background = true};
    ck_ok(lam_db_open("/db", &o, &db, &err), &err);
    for (size_t p = 0; p < PARTITIONS; p++) {
        char name[8];
        snprintf(name, sizeof name, "p%zu", p);
        ck_ok(lam_partition_create(db, name, NULL, &parts[p], &err), &err);
    }
    for (int i = 0; i < STEPS; i++) {
        struct session *s = &sessions[below(OPEN)];
        uint64_t other = below(60);
        if (other == 0)
            ck_ok(lam_db_dump(db, &err), &err);
        else if (other == 1 && below(2))
            ck_ok(lam_db_compact(db, parts[below(PARTITIONS)], &err), &err);
        else if (other < 6)
            plain_write();
        else if (other == 6)
            check_committed();
        else if (!s->txn)
            begin(s);
        else
            step_of(s);
    }
    for (size_t i = 0; i < OPEN; i++)
        lam_txn_rollback(sessions[i].txn);
    check_committed();
    ck_assert_uint_gt(conflicts, STEPS / 200);
    ck_assert_uint_gt(commits, STEPS / 200);
    for (size_t p = 0; p < PARTITIONS; p++)
        lam_partition_release(parts[p]);
    ck_ok(lam_db_close(db, &err), &err);
    lam_env_mem_free(mem);
}
END_TEST

TEST_MAIN("lsm/txn_model", interleaved_transactions_agree_with_the_oracle)
