/* SPDX-License-Identifier: Apache-2.0
 *
 * Building batches in log form, and reading them back. */
#include "lsm/write_batch.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/memtable.h"

/* From this many partitions on they are found by hash. */
#define SLOTS_FROM 8u

enum lam_code write_batch_init(struct lam_batch *b, lam_db *db, struct lam_error *err) {
    memset(b, 0, sizeof *b);
    b->db = db;
    return buf_append_le32(&b->payload, 0, err);
}

static void fill_slot(struct lam_batch *b, size_t index) {
    size_t at = hash_mix(b->touched[index].number, 0) & (b->slot_count - 1);
    while (b->slots[at])
        at = (at + 1) & (b->slot_count - 1);
    b->slots[at] = (uint32_t)index + 1;
}

static void fill_slots(struct lam_batch *b) {
    for (size_t i = 0; b->slot_count > 0 && i < b->touched_count; i++)
        fill_slot(b, i);
}

void write_batch_untouch(struct lam_batch *b, size_t count) {
    for (size_t i = count; i < b->touched_count; i++) {
        memtable_unref(b->touched[i].index);
        db_partition_unref(b->touched[i].partition);
    }
    b->touched_count = count;
    b->last = 0;
    if (b->slots)
        memset(b->slots, 0, b->slot_count * sizeof *b->slots);
    fill_slots(b);
}

void write_batch_fini(struct lam_batch *b) {
    write_batch_untouch(b, 0);
    mem_free(b->touched);
    mem_free(b->slots);
    buf_fini(&b->payload);
}

enum lam_code lam_batch_new(lam_db *db, lam_batch **batch_out, struct lam_error *err) {
    if (!db || !batch_out)
        return ERR(err, LAM_INVALID, "lam_batch_new: db and batch_out must not be NULL");
    TRY(db_check_process(db, err));
    OWNED(mem_free_at) struct lam_batch *b = mem_calloc(1, sizeof *b);
    if (!b)
        return mem_fail(err, sizeof *b);
    TRY(write_batch_init(b, db, err));
    db_handle_begin(db, DB_BATCHES);
    *batch_out = b;
    b = NULL;
    return LAM_OK;
}

void lam_batch_free(lam_batch *batch) {
    if (!batch || db_is_foreign(batch->db))
        return;
    lam_db *db = batch->db;
    write_batch_fini(batch);
    mem_free(batch);
    db_handle_end(db, DB_BATCHES);
}

void lam_batch_reset(lam_batch *batch) {
    if (!batch || !batch->payload.data || db_is_foreign(batch->db))
        return;
    write_batch_untouch(batch, 0);
    batch->payload.size = WRITE_BATCH_HEAD;
    put_le32(batch->payload.data, 0);
    batch->count = 0;
    batch->value_offset = 0;
}

uint32_t lam_batch_count(const lam_batch *batch) {
    return batch ? batch->count : 0;
}

uint64_t lam_batch_bytes(const lam_batch *batch) {
    return batch ? batch->payload.size - WRITE_BATCH_HEAD : 0;
}

static enum lam_code grow_slots(struct lam_batch *b, struct lam_error *err) {
    size_t want = b->slot_count ? b->slot_count * 2 : 64;
    uint32_t *slots = mem_calloc(want, sizeof *slots);
    if (!slots)
        return mem_fail(err, want * sizeof *slots);
    mem_free(b->slots);
    b->slots = slots;
    b->slot_count = want;
    fill_slots(b);
    return LAM_OK;
}

struct batch_partition *write_batch_find(struct lam_batch *b, uint64_t number) {
    if (b->last < b->touched_count && b->touched[b->last].number == number)
        return &b->touched[b->last];
    if (b->touched_count <= SLOTS_FROM || b->slot_count == 0) {
        for (size_t i = 0; i < b->touched_count; i++)
            if (b->touched[i].number == number)
                return &b->touched[i];
        return NULL;
    }
    size_t at = hash_mix(number, 0) & (b->slot_count - 1);
    for (; b->slots[at]; at = (at + 1) & (b->slot_count - 1))
        if (b->touched[b->slots[at] - 1].number == number)
            return &b->touched[b->slots[at] - 1];
    return NULL;
}

enum lam_code write_batch_touch(struct lam_batch *b, lam_partition *p, struct batch_partition **out,
                                struct lam_error *err) {
    struct batch_partition *t = write_batch_find(b, p->number);
    if (!t) {
        TRY(MEM_GROW(&b->touched, &b->touched_capacity, b->touched_count + 1, err));
        bool hashed = b->touched_count + 1 > SLOTS_FROM;
        if ((hashed || b->slot_count > 0) && (b->touched_count + 1) * 2 > b->slot_count)
            TRY(grow_slots(b, err));
        struct memtable *index = NULL;
        if (b->indexed)
            TRY(memtable_new(&index, err));
        t = &b->touched[b->touched_count++];
        *t = (struct batch_partition){
            .partition = db_partition_ref(p), .number = p->number, .index = index};
        if (b->slot_count > 0)
            fill_slot(b, b->touched_count - 1);
    }
    b->last = (size_t)(t - b->touched);
    *out = t;
    return LAM_OK;
}

static enum lam_code check_target(const struct lam_batch *b, const lam_partition *p,
                                  struct lam_error *err) {
    if (!b || !p)
        return ERR(err, LAM_INVALID, "batch: batch and partition must not be NULL");
    if (p->db != b->db)
        return ERR(err, LAM_INVALID, "batch: partition \"%s\" belongs to another database",
                   p->name);
    return db_check_process(b->db, err);
}

static enum lam_code check_room(const struct lam_batch *b, size_t more, struct lam_error *err) {
    size_t total;
    if (!size_add(b->payload.size - WRITE_BATCH_HEAD, more, &total) || total > LAM_BATCH_MAX)
        return ERR(err, LAM_LIMIT, "batch: %zu + %zu bytes of operations, at most %llu fit",
                   b->payload.size - WRITE_BATCH_HEAD, more, (unsigned long long)LAM_BATCH_MAX);
    if (b->count == UINT32_MAX)
        return ERR(err, LAM_LIMIT, "batch: %u operations, no more fit", b->count);
    return LAM_OK;
}

/* Reserved room makes the appends below sure to succeed. */
static void append_raw(struct buf *p, const void *data, size_t size) {
    LAM_ASSERT(p->capacity - p->size >= size);
    if (size)
        memcpy(p->data + p->size, data, size);
    p->size += size;
}

static void append_varint(struct buf *p, uint64_t v) {
    LAM_ASSERT(p->capacity - p->size >= VARINT_MAX);
    p->size += varint_put(p->data + p->size, v);
}

static void append_prefixed(struct buf *p, struct lam_slice s) {
    append_varint(p, s.size);
    append_raw(p, s.data, s.size);
}

/* Room for an operation, and its head and key. Nothing of it can fail any more. */
static enum lam_code begin_op(struct lam_batch *b, lam_partition *p, const struct batch_op *op,
                              struct batch_partition **t_out, struct lam_error *err) {
    size_t most = op->key.size + op->value.size + op->to.size + 1 + 4 * VARINT_MAX;
    bool range = op->kind == ENTRY_DELETE_RANGE;
    size_t bound = range ? 0 : memtable_put_bound(op->key.size, op->value.size);
    size_t range_bound = range ? memtable_range_bound(op->key.size, op->to.size) : 0;
    struct batch_partition *t;
    TRY(check_room(b, most, err));
    TRY(buf_reserve(&b->payload, most, err));
    TRY(write_batch_touch(b, p, &t, err));
    if (t->index)
        TRY(memtable_reserve(t->index, bound, range_bound, err));
    t->bytes += bound;
    t->range_bytes += range_bound;
    uint8_t k = (uint8_t)op->kind;
    append_raw(&b->payload, &k, 1);
    append_varint(&b->payload, p->number);
    append_prefixed(&b->payload, op->key);
    *t_out = t;
    return LAM_OK;
}

static void end_op(struct lam_batch *b, struct batch_partition *t, const struct batch_op *op) {
    if (t->index)
        batch_index_add(b, t->index, op, b->count);
    b->count++;
    put_le32(b->payload.data, b->count);
}

enum lam_code lam_batch_put(lam_batch *batch, lam_partition *partition, struct lam_slice key,
                            struct lam_slice value, struct lam_error *err) {
    TRY(check_target(batch, partition, err));
    TRY(db_check_key(key, err));
    if (value.size > LAM_VALUE_MAX)
        return ERR(err, LAM_LIMIT, "value of %zu bytes, at most %u are allowed", value.size,
                   LAM_VALUE_MAX);
    if (value.size && !value.data)
        return ERR(err, LAM_INVALID, "value of %zu bytes is NULL", value.size);
    struct batch_op op = {.kind = ENTRY_PUT, .key = key, .value = value};
    struct batch_partition *t;
    TRY(begin_op(batch, partition, &op, &t, err));
    append_varint(&batch->payload, value.size);
    batch->value_offset = batch->payload.size;
    append_raw(&batch->payload, value.data, value.size);
    end_op(batch, t, &op);
    return LAM_OK;
}

enum lam_code lam_batch_delete(lam_batch *batch, lam_partition *partition, struct lam_slice key,
                               struct lam_error *err) {
    TRY(check_target(batch, partition, err));
    TRY(db_check_key(key, err));
    struct batch_op op = {.kind = ENTRY_DELETE, .key = key};
    struct batch_partition *t;
    TRY(begin_op(batch, partition, &op, &t, err));
    end_op(batch, t, &op);
    return LAM_OK;
}

enum lam_code lam_batch_delete_range(lam_batch *batch, lam_partition *partition,
                                     struct lam_slice from, struct lam_slice to,
                                     uint64_t upto_sequence, struct lam_error *err) {
    TRY(check_target(batch, partition, err));
    if ((from.size && !from.data) || (to.size && !to.data))
        return ERR(err, LAM_INVALID, "delete_range: a bound with a size is NULL");
    if (from.size > LAM_KEY_MAX || to.size > LAM_KEY_MAX)
        return ERR(err, LAM_LIMIT, "delete_range: bound of %zu bytes, at most %u are allowed",
                   from.size > to.size ? from.size : to.size, LAM_KEY_MAX);
    if (upto_sequence > LAM_SEQUENCE_MAX)
        return ERR(err, LAM_INVALID, "delete_range: upto_sequence %llu is above LAM_SEQUENCE_MAX",
                   (unsigned long long)upto_sequence);
    if (to.size && slice_cmp(from, to) > 0)
        return ERR(err, LAM_INVALID, "delete_range: `from` lies after `to`");
    struct batch_op op = {.kind = ENTRY_DELETE_RANGE, .key = from, .to = to, .upto = upto_sequence};
    struct batch_partition *t;
    TRY(begin_op(batch, partition, &op, &t, err));
    append_prefixed(&batch->payload, to);
    append_varint(&batch->payload, upto_sequence);
    end_op(batch, t, &op);
    return LAM_OK;
}

uint64_t db_batch_value_offset(const lam_batch *batch) {
    return batch->value_offset;
}

uint8_t *db_batch_value(lam_batch *batch, uint64_t offset) {
    LAM_ASSERT(offset <= batch->payload.size);
    return batch->payload.data + offset;
}

enum lam_code batch_reader_init(struct batch_reader *r, struct lam_slice payload,
                                struct lam_error *err) {
    r->cursor = cursor_of(payload);
    r->count = cursor_le32(&r->cursor);
    if (r->cursor.failed)
        return ERR(err, LAM_CORRUPT, "batch of %zu bytes has no head", payload.size);
    return LAM_OK;
}

static bool key_is_good(struct lam_slice key) {
    return key.size > 0 && key.size <= LAM_KEY_MAX;
}

enum lam_code batch_reader_next(struct batch_reader *r, struct batch_op *op,
                                struct lam_error *err) {
    struct cursor *c = &r->cursor;
    size_t offset = cursor_offset(c);
    memset(op, 0, sizeof *op);
    uint8_t kind = cursor_u8(c);
    op->kind = (enum entry_kind)kind;
    op->partition = cursor_varint(c);
    op->key = cursor_prefixed(c);
    bool good = false;
    switch (kind) {
    case ENTRY_PUT:
        op->value = cursor_prefixed(c);
        good = key_is_good(op->key) && op->value.size <= LAM_VALUE_MAX;
        break;
    case ENTRY_DELETE:
        good = key_is_good(op->key);
        break;
    case ENTRY_DELETE_RANGE:
        op->to = cursor_prefixed(c);
        op->upto = cursor_varint(c);
        good = op->key.size <= LAM_KEY_MAX && op->to.size <= LAM_KEY_MAX &&
               op->upto <= LAM_SEQUENCE_MAX &&
               (op->to.size == 0 || slice_cmp(op->key, op->to) <= 0);
        break;
    default:
        break;
    }
    if (c->failed || !good)
        return ERR(err, LAM_CORRUPT, "batch: malformed operation of kind %u at byte %zu", kind,
                   offset);
    return LAM_OK;
}

enum lam_code batch_reader_finish(struct batch_reader *r, struct lam_error *err) {
    if (r->cursor.failed || cursor_left(&r->cursor) != 0)
        return ERR(err, LAM_CORRUPT, "batch: %zu bytes after its last operation",
                   cursor_left(&r->cursor));
    return LAM_OK;
}
