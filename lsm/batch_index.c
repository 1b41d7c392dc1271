/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches that can be read: beside its log form, what the batch does to a partition stands in a
 * memtable of its own, which gets and iterators see as the newest of their sources. */
#include "base/assert.h"
#include "base/mem.h"
#include "lamina/txn.h"
#include "lsm/db_impl.h"

enum lam_code lam_batch_new_indexed(lam_db *db, lam_batch **batch_out, struct lam_error *err) {
    TRY(lam_batch_new(db, batch_out, err));
    (*batch_out)->indexed = true;
    return LAM_OK;
}

void batch_index_add(const struct lam_batch *b, struct memtable *index, const struct batch_op *op,
                     uint32_t ordinal) {
    uint64_t sequence = BATCH_INDEX_FROM + ordinal;
    if (op->kind == ENTRY_DELETE_RANGE) {
        /* A bound above all there is reaches into the batch, as if it were committed now. */
        uint64_t upto = op->upto, published = db_published(b->db);
        if (upto > published)
            upto = BATCH_INDEX_FROM + (upto - published - 1);
        struct range_tombstone t = {op->key, op->to, batch_clamp_upto(upto, sequence), sequence};
        memtable_insert_range(index, &t);
    } else {
        struct entry e = {op->key, sequence, op->kind, op->value};
        memtable_insert(index, &e);
    }
}

void batch_index_mark(const struct lam_batch *b, struct batch_mark *mark_out) {
    LAM_ASSERT(b->indexed);
    *mark_out = (struct batch_mark){b->payload.size, b->touched_count, b->count};
}

/* Builds what `touched` is after the first operations of the batch. */
static enum lam_code rebuild(struct lam_batch *b, const struct batch_mark *mark,
                             struct batch_partition *fresh, struct lam_error *err) {
    for (size_t i = 0; i < mark->touched_count; i++) {
        fresh[i] = b->touched[i];
        fresh[i].bytes = fresh[i].range_bytes = 0;
        fresh[i].index = NULL;
        TRY(memtable_new(&fresh[i].index, err));
    }
    struct batch_reader r;
    TRY(batch_reader_init(&r, lam_slice_of(b->payload.data, mark->bytes), err));
    for (uint32_t i = 0; i < mark->count; i++) {
        struct batch_op op;
        TRY(batch_reader_next(&r, &op, err));
        struct batch_partition *t = write_batch_find(b, op.partition);
        LAM_ASSERT(t && (size_t)(t - b->touched) < mark->touched_count);
        t = &fresh[t - b->touched];
        size_t bytes = 0, range_bytes = 0;
        if (op.kind == ENTRY_DELETE_RANGE)
            range_bytes = memtable_range_bound(op.key.size, op.to.size);
        else
            bytes = memtable_put_bound(op.key.size, op.value.size);
        TRY(memtable_reserve(t->index, bytes, range_bytes, err));
        t->bytes += bytes;
        t->range_bytes += range_bytes;
        batch_index_add(b, t->index, &op, i);
    }
    return batch_reader_finish(&r, err);
}

enum lam_code batch_index_rewind(struct lam_batch *b, const struct batch_mark *mark,
                                 struct lam_error *err) {
    LAM_ASSERT(b->indexed && mark->count <= b->count && mark->touched_count <= b->touched_count);
    if (mark->count == b->count)
        return LAM_OK;
    struct batch_partition *fresh = mem_calloc(mark->touched_count + 1, sizeof *fresh);
    if (!fresh)
        return mem_fail(err, (mark->touched_count + 1) * sizeof *fresh);
    enum lam_code rc = rebuild(b, mark, fresh, err);
    for (size_t i = 0; i < mark->touched_count; i++) {
        struct memtable *goes = rc == LAM_OK ? b->touched[i].index : fresh[i].index;
        if (rc == LAM_OK)
            b->touched[i] = fresh[i];
        memtable_unref(goes);
    }
    mem_free(fresh);
    if (rc != LAM_OK)
        return rc;
    write_batch_untouch(b, mark->touched_count);
    b->payload.size = mark->bytes;
    b->count = mark->count;
    put_le32(b->payload.data, b->count);
    b->value_offset = 0;
    return LAM_OK;
}

static enum lam_code check_indexed(const lam_batch *b, const lam_partition *p, const char *call,
                                   struct lam_error *err) {
    if (!b)
        return ERR(err, LAM_INVALID, "%s: batch must not be NULL", call);
    TRY(db_check_partition(b->db, p, call, err));
    if (!b->indexed)
        return ERR(err, LAM_INVALID, "%s: the batch was made without an index", call);
    if (atomic_load_explicit(&p->dropped, memory_order_relaxed))
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
    if (db_published(b->db) >= BATCH_INDEX_FROM)
        return ERR(err, LAM_LIMIT, "%s: sequences have come to %llu, batches can't be read", call,
                   BATCH_INDEX_FROM);
    return LAM_OK;
}

static enum lam_code hand_out(struct lam_value *value, struct lam_slice from,
                              struct lam_error *err) {
    struct buf bytes = {value->memory, 0, value->capacity};
    enum lam_code rc = buf_append_slice(&bytes, from, err);
    value->memory = bytes.data;
    value->capacity = bytes.capacity;
    value->bytes = rc == LAM_OK ? buf_slice(&bytes) : SLICE_EMPTY;
    return rc;
}

/* A range delete with a bound may hide what the partition has: an iterator weighs that. */
static enum lam_code get_by_iterator(lam_batch *b, const struct lam_read_options *options,
                                     struct batch_partition *t, struct lam_slice key,
                                     struct lam_value *value, struct lam_error *err) {
    struct lam_read_options o = {.snapshot = options ? options->snapshot : NULL, .lower = key};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    TRY(db_iter_new(b->db, &o, t->partition, t->index, &it, err));
    lam_iter_seek(it, key);
    TRY(lam_iter_status(it, err));
    return lam_iter_valid(it) && slice_eq(lam_iter_key(it), key)
               ? hand_out(value, lam_iter_value(it), err)
               : ERR(err, LAM_NOT_FOUND, "no such key");
}

enum lam_code lam_batch_get(lam_batch *batch, const struct lam_read_options *options,
                            lam_partition *partition, struct lam_slice key, struct lam_value *value,
                            struct lam_error *err) {
    TRY(check_indexed(batch, partition, "lam_batch_get", err));
    TRY(db_check_key(key, err));
    if (!value)
        return ERR(err, LAM_INVALID, "lam_batch_get: value must not be NULL");
    if (options && options->snapshot && options->snapshot->db != batch->db)
        return ERR(err, LAM_INVALID, "lam_batch_get: the snapshot belongs to another database");
    struct batch_partition *t = write_batch_find(batch, partition->number);
    uint64_t hidden = t ? memtable_hidden_upto(t->index, key, LAM_SEQUENCE_MAX) : 0;
    struct entry e;
    enum lam_code rc;
    value->bytes = SLICE_EMPTY;
    if (t && memtable_get(t->index, key, LAM_SEQUENCE_MAX, &e))
        rc = e.kind == ENTRY_PUT && e.sequence > hidden ? hand_out(value, e.value, err)
                                                        : ERR(err, LAM_NOT_FOUND, "no such key");
    else if (hidden == 0)
        rc = lam_get(batch->db, options, partition, key, value, err);
    else if (hidden >= BATCH_INDEX_FROM - 1)
        rc = ERR(err, LAM_NOT_FOUND, "no such key");
    else
        rc = get_by_iterator(batch, options, t, key, value, err);
    return rc;
}

enum lam_code lam_batch_iter_new(lam_batch *batch, const struct lam_read_options *options,
                                 lam_partition *partition, lam_iter **iter_out,
                                 struct lam_error *err) {
    TRY(check_indexed(batch, partition, "lam_batch_iter_new", err));
    struct batch_partition *t;
    TRY(write_batch_touch(batch, partition, &t, err));
    return db_iter_new(batch->db, options, partition, t->index, iter_out, err);
}
