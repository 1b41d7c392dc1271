/* SPDX-License-Identifier: Apache-2.0
 *
 * Optimistic transactions: a snapshot and two indexed batches. One holds the writes; the other,
 * which is never written, holds as deletes and range deletes what was read and must not change.
 *
 * The commit looks for changes since the snapshot without a lock, in memtables and SSTs, and then,
 * under the commit mutex, for those of the moments between. These are in memtables if the partition
 * still has the version that was looked at; if a dump or a compaction has come between, the first
 * part is done again, the last time under the mutex. */
#include "lamina/txn.h"

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/conflict.h"
#include "lsm/db_impl.h"

/* Looks without the mutex before one with it. */
#define ATTEMPTS 2u

struct lam_txn {
    lam_db *db;
    lam_snapshot *snapshot;  /* owned */
    struct lam_batch writes; /* indexed */
    struct lam_batch reads;  /* indexed; what must not change */
    bool serializable;
    bool read_for_update; /* what was read counts even if nothing is written */
    struct batch_mark *savepoints;
    uint32_t savepoint_count;
    size_t savepoint_capacity;
};

static void txn_free(struct lam_txn *txn) {
    if (!txn)
        return;
    write_batch_fini(&txn->writes);
    write_batch_fini(&txn->reads);
    lam_snapshot_free(txn->snapshot);
    mem_free(txn->savepoints);
    mem_free(txn);
}
OWNED_POINTER(struct lam_txn, txn_free)

enum lam_code lam_txn_begin(lam_db *db, const struct lam_txn_options *options, lam_txn **txn_out,
                            struct lam_error *err) {
    if (!db || !txn_out)
        return ERR(err, LAM_INVALID, "lam_txn_begin: db and txn_out must not be NULL");
    TRY(db_check_process(db, err));
    OWNED(txn_free_at) struct lam_txn *txn = mem_calloc(1, sizeof *txn);
    if (!txn)
        return mem_fail(err, sizeof *txn);
    TRY(write_batch_init(&txn->writes, db, err));
    TRY(write_batch_init(&txn->reads, db, err));
    TRY(lam_snapshot_new(db, &txn->snapshot, err));
    txn->db = db;
    txn->writes.indexed = txn->reads.indexed = true;
    txn->serializable = options && options->serializable;
    db_handle_begin(db, DB_TRANSACTIONS);
    *txn_out = txn;
    txn = NULL;
    return LAM_OK;
}

void lam_txn_rollback(lam_txn *txn) {
    if (!txn || db_is_foreign(txn->db))
        return;
    lam_db *db = txn->db;
    txn_free(txn);
    db_handle_end(db, DB_TRANSACTIONS);
}

const lam_snapshot *lam_txn_snapshot(const lam_txn *txn) {
    return txn ? txn->snapshot : NULL;
}

static enum lam_code check_txn(const lam_txn *txn, const lam_partition *p, const char *call,
                               struct lam_error *err) {
    if (!txn)
        return ERR(err, LAM_INVALID, "%s: txn must not be NULL", call);
    return db_check_partition(txn->db, p, call, err);
}

static enum lam_code track_key(lam_txn *txn, lam_partition *p, struct lam_slice key,
                               struct lam_error *err) {
    TRY(db_check_key(key, err));
    struct batch_partition *t = write_batch_find(&txn->reads, p->number);
    struct entry e;
    if (t && memtable_get(t->index, key, LAM_SEQUENCE_MAX, &e))
        return LAM_OK;
    return lam_batch_delete(&txn->reads, p, key, err);
}

static enum lam_code get(lam_txn *txn, lam_partition *p, struct lam_slice key,
                         struct lam_value *value, struct lam_error *err) {
    struct lam_read_options o = {.snapshot = txn->snapshot};
    return lam_batch_get(&txn->writes, &o, p, key, value, err);
}

enum lam_code lam_txn_get(lam_txn *txn, lam_partition *partition, struct lam_slice key,
                          struct lam_value *value, struct lam_error *err) {
    TRY(check_txn(txn, partition, "lam_txn_get", err));
    if (txn->serializable)
        TRY(track_key(txn, partition, key, err));
    return get(txn, partition, key, value, err);
}

enum lam_code lam_txn_get_for_update(lam_txn *txn, lam_partition *partition, struct lam_slice key,
                                     struct lam_value *value, struct lam_error *err) {
    TRY(check_txn(txn, partition, "lam_txn_get_for_update", err));
    TRY(track_key(txn, partition, key, err));
    txn->read_for_update = true;
    return get(txn, partition, key, value, err);
}

/* All that the iterator may show has been read. */
static enum lam_code track_iterator(lam_txn *txn, lam_partition *p, const lam_iter *it,
                                    struct lam_error *err) {
    struct lam_slice lower, upper;
    db_iter_bounds(it, &lower, &upper);
    if (upper.size && slice_cmp(lower, upper) >= 0)
        return LAM_OK;
    return lam_batch_delete_range(&txn->reads, p, lower, upper, LAM_SEQUENCE_MAX, err);
}

enum lam_code lam_txn_iter_new(lam_txn *txn, const struct lam_read_options *options,
                               lam_partition *partition, lam_iter **iter_out,
                               struct lam_error *err) {
    TRY(check_txn(txn, partition, "lam_txn_iter_new", err));
    if (!iter_out || (options && options->snapshot))
        return ERR(err, LAM_INVALID,
                   "lam_txn_iter_new: iter_out must not be NULL, and the snapshot must be: it is "
                   "the transaction's");
    struct lam_read_options o = options ? *options : (struct lam_read_options){0};
    o.snapshot = txn->snapshot;
    lam_iter *it;
    TRY(lam_batch_iter_new(&txn->writes, &o, partition, &it, err));
    enum lam_code rc = txn->serializable ? track_iterator(txn, partition, it, err) : LAM_OK;
    if (rc == LAM_OK)
        *iter_out = it;
    else
        lam_iter_free(it);
    return rc;
}

enum lam_code lam_txn_put(lam_txn *txn, lam_partition *partition, struct lam_slice key,
                          struct lam_slice value, struct lam_error *err) {
    TRY(check_txn(txn, partition, "lam_txn_put", err));
    return lam_batch_put(&txn->writes, partition, key, value, err);
}

enum lam_code lam_txn_delete(lam_txn *txn, lam_partition *partition, struct lam_slice key,
                             struct lam_error *err) {
    TRY(check_txn(txn, partition, "lam_txn_delete", err));
    return lam_batch_delete(&txn->writes, partition, key, err);
}

enum lam_code lam_txn_delete_range(lam_txn *txn, lam_partition *partition, struct lam_slice from,
                                   struct lam_slice to, struct lam_error *err) {
    TRY(check_txn(txn, partition, "lam_txn_delete_range", err));
    return lam_batch_delete_range(&txn->writes, partition, from, to, LAM_SEQUENCE_MAX, err);
}

enum lam_code lam_txn_savepoint(lam_txn *txn, uint32_t *savepoint_out, struct lam_error *err) {
    if (!txn || !savepoint_out)
        return ERR(err, LAM_INVALID, "lam_txn_savepoint: txn and savepoint_out must not be NULL");
    TRY(db_check_process(txn->db, err));
    if (txn->savepoint_count == UINT32_MAX)
        return ERR(err, LAM_LIMIT, "lam_txn_savepoint: no more than %u", UINT32_MAX);
    TRY(MEM_GROW(&txn->savepoints, &txn->savepoint_capacity, txn->savepoint_count + (size_t)1,
                 err));
    batch_index_mark(&txn->writes, &txn->savepoints[txn->savepoint_count]);
    *savepoint_out = txn->savepoint_count++;
    return LAM_OK;
}

enum lam_code lam_txn_rollback_to(lam_txn *txn, uint32_t savepoint, struct lam_error *err) {
    if (!txn)
        return ERR(err, LAM_INVALID, "lam_txn_rollback_to: txn must not be NULL");
    TRY(db_check_process(txn->db, err));
    if (savepoint >= txn->savepoint_count)
        return ERR(err, LAM_INVALID, "lam_txn_rollback_to: there is no savepoint %u", savepoint);
    TRY(batch_index_rewind(&txn->writes, &txn->savepoints[savepoint], err));
    txn->savepoint_count = savepoint + 1;
    return LAM_OK;
}

/* A partition of one of the batches, and what was looked at of it. */
struct watched {
    const struct batch_partition *touched;
    struct read_state *state; /* owned reference; NULL: not looked at yet */
    uint64_t upto;            /* commits up to here have been looked at */
};
struct check {
    lam_db *db;
    struct watched *watched; /* owned array */
    size_t count;
    uint64_t after; /* the snapshot's sequence */
    bool is_last;   /* no other attempt follows */
    bool is_stale;  /* out: a version has changed, nothing is decided */
};

static void check_fini(struct check *c) {
    for (size_t i = 0; i < c->count; i++)
        read_state_unref(c->watched[i].state);
    mem_free(c->watched);
    gc_drain(&c->db->gc); /* it may have been the last to hold a file */
}

static enum lam_code check_init(struct check *c, const lam_txn *txn, struct lam_error *err) {
    const struct lam_batch *batches[] = {&txn->writes, &txn->reads};
    size_t most = txn->writes.touched_count + txn->reads.touched_count;
    *c = (struct check){.db = txn->db, .after = txn->snapshot->sequence};
    c->watched = mem_calloc(most + 1, sizeof *c->watched);
    if (!c->watched)
        return mem_fail(err, (most + 1) * sizeof *c->watched);
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < batches[b]->touched_count; i++)
            if (batches[b]->touched[i].bytes + batches[b]->touched[i].range_bytes > 0)
                c->watched[c->count++].touched = &batches[b]->touched[i];
    return LAM_OK;
}

/* Looks at all that is committed now. */
static enum lam_code look(struct check *c, struct watched *w, struct lam_error *err) {
    struct read_state *state;
    uint64_t sequence;
    /* Before the state, which so has all that was committed up to there. */
    uint64_t upto = db_published(c->db);
    TRY(db_read_begin(c->db, w->touched->partition, NULL, &state, &sequence, err));
    read_state_unref(w->state);
    w->state = state;
    w->upto = upto;
    return conflict_check(c->db, w->touched, state, CONFLICT_ALL, c->after, err);
}

/* Looks at what came since `look`, under the commit mutex. */
static enum lam_code look_again(struct check *c, struct watched *w, struct lam_error *err) {
    lam_partition *p = w->touched->partition;
    if (atomic_load_explicit(&p->dropping, memory_order_relaxed))
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
    if (db_published(c->db) == w->upto)
        return LAM_OK;
    OWNED(read_state_unref_at) struct read_state *state = NULL;
    uint64_t upto;
    TRY(db_read_begin(c->db, p, NULL, &state, &upto, err));
    /* What is in these files was in the memtables looked at, or in files looked at. */
    if (state->version == w->state->version)
        return conflict_check(c->db, w->touched, state, CONFLICT_MEMORY, w->upto, err);
    if (c->is_last)
        return conflict_check(c->db, w->touched, state, CONFLICT_ALL, c->after, err);
    c->is_stale = true;
    return ERR(err, LAM_BUSY, "transaction: files have changed during its check");
}

static enum lam_code stamp(void *arg, lam_batch *batch, struct lam_error *err) {
    struct check *c = arg;
    (void)batch;
    for (size_t i = 0; i < c->count; i++)
        TRY(look_again(c, &c->watched[i], err));
    return LAM_OK;
}

static enum lam_code attempt(struct check *c, lam_txn *txn, const struct lam_write_options *options,
                             uint64_t *sequence_out, struct lam_error *err) {
    for (size_t i = 0; i < c->count; i++)
        TRY(look(c, &c->watched[i], err));
    c->is_stale = false;
    return db_write_stamped(txn->db, options, &txn->writes, stamp, c, sequence_out, err);
}

static enum lam_code commit(lam_txn *txn, const struct lam_write_options *options,
                            uint64_t *sequence_out, struct lam_error *err) {
    *sequence_out = txn->snapshot->sequence;
    /* It has seen one moment, whatever came after; or nothing can have come. */
    if (txn->writes.count == 0 && (!txn->read_for_update || txn->db->options.read_only))
        return LAM_OK;
    OWNED(check_fini) struct check c = {.db = txn->db};
    TRY(check_init(&c, txn, err));
    enum lam_code rc;
    struct lam_error cause;
    unsigned attempts = 0;
    uint64_t sequence;
    do {
        memset(&cause, 0, sizeof cause);
        c.is_last = ++attempts == ATTEMPTS;
        rc = attempt(&c, txn, options, &sequence, &cause);
    } while (rc == LAM_BUSY && c.is_stale);
    if (rc == LAM_OK && txn->writes.count > 0)
        *sequence_out = sequence;
    return error_pass(err, rc, &cause);
}

enum lam_code lam_txn_commit(lam_txn *txn, const struct lam_write_options *options,
                             uint64_t *sequence_out, struct lam_error *err) {
    uint64_t sequence;
    if (!txn)
        return ERR(err, LAM_INVALID, "lam_txn_commit: txn must not be NULL");
    TRY(db_check_process(txn->db, err));
    enum lam_code rc = commit(txn, options, &sequence, err);
    if (rc == LAM_INVALID)
        return rc;
    if (rc == LAM_OK && sequence_out)
        *sequence_out = sequence;
    lam_txn_rollback(txn);
    return rc;
}
