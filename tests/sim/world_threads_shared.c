/* SPDX-License-Identifier: Apache-2.0
 *
 * The partition that several threads of the concurrent world change by transactions, and one by
 * ingests:
 *
 *   Counters, raised by read-modify-write and merged by range deletes. Their sum is the number of
 *   raises: one less is a lost update.
 *   A pair of flags, each cleared by a serialisable transaction that has seen both set: both clear
 *   is write skew.
 *   Bulk rows, all replaced by each ingest: they are of one generation.
 *   Queues (world_threads_queue.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "lamina/txn.h"
#include "tests/sim/world_threads_impl.h"

#define COUNTERS 3u
#define BULK     12u

static uint32_t pick(struct world *w, uint32_t n) {
    return choose(&w->choice, n);
}

static struct lam_slice counter_key(uint32_t i) {
    static const char *const keys[COUNTERS] = {"c0", "c1", "c2"};
    return lam_slice_str(keys[i]);
}
static struct lam_slice flag_key(uint32_t i) {
    return lam_slice_str(i ? "f1" : "f0");
}

static lam_txn *begin(struct world *w, bool serializable) {
    struct lam_txn_options o = {.serializable = serializable};
    struct lam_error err = {0};
    lam_txn *t = NULL;
    wt_must(w, lam_txn_begin(w->db, &o, &t, &err), &err, "lam_txn_begin");
    return t;
}

/* 0 where there is no row. */
static uint64_t read_number(struct world *w, lam_txn *t, struct lam_slice key, bool for_update) {
    struct lam_error err = {0};
    struct lam_value v = {0};
    enum lam_code rc = for_update ? lam_txn_get_for_update(t, w->shared, key, &v, &err)
                                  : lam_txn_get(t, w->shared, key, &v, &err);
    if (rc != LAM_NOT_FOUND)
        wt_must(w, rc, &err, "a transaction's get");
    uint64_t n = rc == LAM_OK ? get_le64(v.bytes.data) : 0;
    lam_value_release(&v);
    return n;
}

static void write_number(struct world *w, lam_txn *t, struct lam_slice key, uint64_t n) {
    struct lam_error err = {0};
    uint8_t bytes[120] = {0};
    put_le64(bytes, n);
    wt_must(w, lam_txn_put(t, w->shared, key, lam_slice_of(bytes, 8 + pick(w, 112)), &err), &err,
            "a transaction's put");
}

static bool commit(struct world *w, lam_txn *t, bool *sync_out, enum lam_code *rc_out) {
    struct lam_write_options options = {wt_draw_durability(w)};
    struct lam_error err = {0};
    uint64_t before = w->acked_sequence, sequence = 0;
    *sync_out = options.durability == LAM_DURABILITY_SYNC;
    *rc_out = lam_txn_commit(t, &options, &sequence, &err);
    w->report->operations++;
    if (*rc_out == LAM_CONFLICT) {
        wt_reached(w, THREADS_TXN_CONFLICT);
        return false;
    }
    if (!wt_went_well(w, *rc_out, &err, "lam_txn_commit"))
        return false;
    if (sequence <= before)
        wt_fail(w, "T1: a transaction got sequence %" PRIu64 " after %" PRIu64, sequence, before);
    wt_note_sequence(w, sequence, *sync_out);
    w->report->commits++;
    return true;
}

/* --- what they do ---------------------------------------------------------------------------- */

/* All counters into one; the others vanish. */
static void merge(struct world *w) {
    bool sync;
    enum lam_code rc;
    struct lam_error err = {0};
    uint64_t sum = 0;
    lam_txn *t = begin(w, false);
    for (uint32_t i = 0; i < COUNTERS; i++)
        sum += read_number(w, t, counter_key(i), true);
    wt_must(w, lam_txn_delete_range(t, w->shared, counter_key(0), lam_slice_str("d"), &err), &err,
            "a transaction's range delete");
    write_number(w, t, counter_key(pick(w, COUNTERS)), sum);
    commit(w, t, &sync, &rc);
}

static void raise_counter(struct world *w) {
    bool sync;
    enum lam_code rc;
    struct lam_error err = {0};
    uint32_t i = pick(w, COUNTERS), savepoint = 0;
    lam_txn *t = begin(w, pick(w, 2));
    if (pick(w, 4) == 0) {
        wt_must(w, lam_txn_savepoint(t, &savepoint, &err), &err, "lam_txn_savepoint");
        write_number(w, t, counter_key(i), UINT64_MAX / 2);
        wt_must(w, lam_txn_rollback_to(t, savepoint, &err), &err, "lam_txn_rollback_to");
    }
    write_number(w, t, counter_key(i), read_number(w, t, counter_key(i), pick(w, 2)) + 1);
    uint64_t acked = w->acked.raises;
    w->issued.raises++;
    if (commit(w, t, &sync, &rc)) {
        w->acked.raises++;
        if (sync && w->synced.raises < acked + 1)
            w->synced.raises = acked + 1;
    } else if (rc != LAM_UNKNOWN_OUTCOME) {
        w->issued.raises--;
    }
}

/* Clears a flag if both are set (0, as at first), or sets both. */
static void turn_flag(struct world *w) {
    bool sync;
    enum lam_code rc;
    lam_txn *t = begin(w, true);
    uint64_t clear = read_number(w, t, flag_key(0), false) + read_number(w, t, flag_key(1), false);
    if (clear == 0) {
        write_number(w, t, flag_key(pick(w, 2)), 1);
    } else {
        write_number(w, t, flag_key(0), 0);
        write_number(w, t, flag_key(1), 0);
    }
    if (!commit(w, t, &sync, &rc) && rc == LAM_CONFLICT)
        wt_reached(w, THREADS_TXN_NO_SKEW);
}

static void ingest(struct world *w) {
    struct lam_error err = {0};
    uint64_t sequence = 0, before = w->acked_sequence;
    uint32_t generation = w->acked.generation + 1;
    lam_ingest *g = NULL;
    /* After one of unknown outcome nothing is taken. */
    if (w->issued.generation != w->acked.generation ||
        !wt_went_well(w, lam_ingest_new(w->db, w->shared, &g, &err), &err, "lam_ingest_new"))
        return;
    for (uint32_t i = 0; i < BULK; i++) {
        char key[8];
        uint8_t value[100] = {0};
        int size = snprintf(key, sizeof key, "b%02u", i);
        put_le32(value, generation);
        enum lam_code rc = lam_ingest_put(g, lam_slice_of(key, (size_t)size),
                                          lam_slice_of(value, sizeof value), &err);
        if (!wt_went_well(w, rc, &err, "lam_ingest_put")) {
            lam_ingest_abort(g);
            return;
        }
    }
    if (pick(w, 8) == 0) {
        lam_ingest_abort(g);
        return;
    }
    w->issued.generation = generation;
    enum lam_code rc = lam_ingest_finish(g, &sequence, &err);
    w->report->operations++;
    if (wt_went_well(w, rc, &err, "lam_ingest_finish")) {
        if (sequence <= before)
            wt_fail(w, "T1: an ingest got sequence %" PRIu64 " after %" PRIu64, sequence, before);
        w->acked.generation = w->synced.generation = generation;
        wt_note_sequence(w, sequence, true);
        wt_reached(w, THREADS_INGEST);
    } else if (rc != LAM_UNKNOWN_OUTCOME) {
        w->issued.generation = generation - 1;
    }
}

/* --- what there is --------------------------------------------------------------------------- */

static void add_row(struct world *w, lam_iter *it, uint64_t *clear, uint32_t *bulk,
                    struct queue_view *queues, struct vector *v) {
    struct lam_slice key = lam_iter_key(it), value = lam_iter_value(it);
    char kind = (char)key.data[0];
    if (wt_queue_row(w, key, value, queues))
        return;
    if (kind == 'c') {
        v->raises += get_le64(value.data);
    } else if (kind == 'f') {
        *clear += get_le64(value.data);
    } else {
        uint32_t generation = get_le32(value.data);
        if (*bulk > 0 && generation != v->generation)
            wt_fail(w, "bulk row %u is of ingest %u, the one before of %u", *bulk, generation,
                    v->generation);
        v->generation = generation;
        ++*bulk;
    }
}

void wt_shared_read(struct world *w, lam_db *db, lam_partition *p, const lam_snapshot *snapshot,
                    struct vector *v) {
    struct lam_read_options o = {.snapshot = snapshot};
    struct lam_error err = {0};
    uint64_t clear = 0;
    uint32_t bulk = 0;
    struct queue_view queues = {0};
    lam_iter *it = NULL;
    v->raises = v->generation = 0;
    wt_must(w, lam_iter_new(db, &o, p, &it, &err), &err, "lam_iter_new");
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it))
        add_row(w, it, &clear, &bulk, &queues, v);
    wt_must(w, lam_iter_status(it, &err), &err, "reading the transactions' partition");
    lam_iter_free(it);
    if (clear > 1)
        wt_fail(w, "write skew: both flags are clear");
    if (bulk != 0 && bulk != BULK)
        wt_fail(w, "%u of %u rows of ingest %u are there", bulk, BULK, v->generation);
    wt_queue_end(w, &queues, v);
}

static void check_range(struct world *w, const char *what, const char *of, uint64_t n,
                        uint64_t least, uint64_t most) {
    if (n < least || n > most)
        wt_fail(w, "%s: %" PRIu64 " %s are there, of %" PRIu64 " to %" PRIu64, what, n, of, least,
                most);
}

void wt_shared_check(struct world *w, const struct vector *v, const struct vector *least,
                     const struct vector *most, const char *what) {
    check_range(w, what, "raises of counters", v->raises, least->raises, most->raises);
    check_range(w, what, "ingests", v->generation, least->generation, most->generation);
    wt_queue_check(w, v, least, most, what);
}

static void look(struct world *w) {
    struct vector acked = w->acked, first = {0}, again = {0};
    struct lam_error err = {0};
    lam_snapshot *s = NULL;
    wt_must(w, lam_snapshot_new(w->db, &s, &err), &err, "lam_snapshot_new");
    wt_shared_read(w, w->db, w->shared, s, &first);
    wt_shared_check(w, &first, &acked, &w->issued, "a snapshot");
    wt_queue_check_snapshot(w, &first, lam_snapshot_sequence(s));
    thread_yield();
    wt_shared_read(w, w->db, w->shared, s, &again);
    if (memcmp(&again, &first, sizeof first) != 0)
        wt_fail(w, "T3: a snapshot of sequence %" PRIu64 " has changed", lam_snapshot_sequence(s));
    lam_snapshot_free(s);
}

void wt_run_transactor(void *arg) {
    struct transactor *me = arg;
    struct world *w = me->w;
    for (uint32_t i = 0; i < 4 * w->rounds; i++) {
        uint32_t what = pick(w, 18);
        if (what >= 16 && me->number == 0)
            wt_queue_cut(w);
        else if (what >= 12)
            wt_queue_append(w, me->number);
        else if (what < 6)
            raise_counter(w);
        else if (what < 9)
            turn_flag(w);
        else if (what < 10)
            merge(w);
        else if (what < 11 && me->number == 0)
            ingest(w);
        else
            look(w);
        thread_yield();
    }
}
