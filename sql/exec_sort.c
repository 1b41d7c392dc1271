/* SPDX-License-Identifier: Apache-2.0
 *
 * Sort and DISTINCT. Both work on order-preserving encodings of values, so a comparison of rows is
 * one memcmp. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

#define ROW_AT(set, i) ((set)->sel ? (set)->sel[i] : (i))

/* --- sort --- */

struct sort_entry {
    struct lam_slice key; /* in the arena; ends in the arrival number: the sort is stable */
    uint32_t row;         /* of the gathered rows */
};

struct sort_op {
    struct exec_operator base;
    const struct sort_key *keys; /* borrowed */
    uint32_t key_count;
    struct colbatch rows; /* all rows of the child; owned */
    bool gathered;
    struct arena arena; /* keys */
    struct sort_entry *entries;
    size_t count, capacity;
    struct buf key;
    size_t at;       /* next entry */
    uint32_t *order; /* rows of the next batch */
    size_t order_capacity;
};

static enum lam_code encode_sort_key(struct sort_op *self, const struct colbatch *batch,
                                     uint32_t row, struct lam_error *err) {
    buf_reset(&self->key);
    for (uint32_t i = 0; i < self->key_count; i++) {
        const struct sort_key *k = &self->keys[i];
        struct value v = column_value(&batch->columns[k->column], row);
        TRY(buf_append_u8(&self->key, v.is_null ? (k->nulls_first ? 0 : 2) : 1, err));
        if (!v.is_null)
            TRY(key_put_value(&self->key, &v, false, k->descending, err));
    }
    return key_put_u64(&self->key, self->count, err);
}

static enum lam_code gather_batch(struct sort_op *self, const struct rowset *in,
                                  struct lam_error *err) {
    if (self->count + in->count > UINT32_MAX)
        return ERR(err, LAM_LIMIT, "sort of more than %u rows", UINT32_MAX);
    TRY(MEM_GROW(&self->entries, &self->capacity, self->count + in->count, err));
    for (uint32_t i = 0; i < in->count; i++) {
        TRY(encode_sort_key(self, in->batch, ROW_AT(in, i), err));
        uint8_t *key = arena_dup(&self->arena, self->key.data, self->key.size);
        if (!key)
            return mem_fail(err, self->key.size);
        self->entries[self->count] =
            (struct sort_entry){lam_slice_of(key, self->key.size), (uint32_t)self->count};
        self->count++;
    }
    for (uint32_t c = 0; c < in->batch->column_count; c++)
        TRY(column_append_rows(&self->rows.columns[c], &in->batch->columns[c], in->sel, in->count,
                               err));
    self->rows.rows += in->count;
    return LAM_OK;
}

static enum lam_code init_like(struct colbatch *b, const struct colbatch *like,
                               struct lam_error *err) {
    OWNED(mem_free_at) struct coltype *types = mem_calloc(like->column_count + 1, sizeof *types);
    if (!types)
        return mem_fail(err, (like->column_count + 1) * sizeof *types);
    for (uint32_t i = 0; i < like->column_count; i++)
        types[i] = like->columns[i].type;
    return colbatch_init(b, types, like->column_count, err);
}

static int compare_entries(const void *a, const void *b) {
    return slice_cmp(((const struct sort_entry *)a)->key, ((const struct sort_entry *)b)->key);
}

static enum lam_code gather(struct sort_op *self, struct run_context *run, struct lam_error *err) {
    for (;;) {
        struct rowset in;
        TRY(operator_next(self->base.child, run, &in, err));
        if (!in.batch)
            break;
        if (!self->rows.columns)
            TRY(init_like(&self->rows, in.batch, err));
        TRY(gather_batch(self, &in, err));
    }
    if (self->count > 1)
        qsort(self->entries, self->count, sizeof *self->entries, compare_entries);
    self->gathered = true;
    return LAM_OK;
}

static enum lam_code sort_next(struct exec_operator *op, struct run_context *run,
                               struct rowset *out, struct lam_error *err) {
    struct sort_op *self = (struct sort_op *)op;
    *out = (struct rowset){0};
    TRY(run_check(run, err));
    if (!self->gathered)
        TRY(gather(self, run, err));
    if (self->at == self->count)
        return LAM_OK;
    size_t count = self->count - self->at;
    if (count > COLBATCH_ROWS)
        count = COLBATCH_ROWS;
    TRY(MEM_GROW(&self->order, &self->order_capacity, count, err));
    for (size_t i = 0; i < count; i++)
        self->order[i] = self->entries[self->at + i].row;
    self->at += count;
    *out = (struct rowset){&self->rows, self->order, (uint32_t)count};
    return LAM_OK;
}

static void sort_free(struct exec_operator *op) {
    struct sort_op *self = (struct sort_op *)op;
    operator_free(op->child);
    colbatch_fini(&self->rows);
    arena_fini(&self->arena);
    buf_fini(&self->key);
    mem_free(self->entries);
    mem_free(self->order);
    mem_free(self);
}

enum lam_code sort_operator(struct exec_operator *child, const struct sort_key *keys,
                            uint32_t key_count, struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {sort_next, sort_free};
    struct sort_op *self = operator_new(sizeof *self, &ops, child, err);
    if (!self)
        return LAM_NO_MEMORY;
    self->keys = keys;
    self->key_count = key_count;
    *out = &self->base;
    return LAM_OK;
}

/* --- distinct --- */

struct distinct_op {
    struct exec_operator base;
    uint32_t columns;      /* leading ones that must differ */
    struct bytes_map seen; /* encodings of rows handed over */
    struct buf key;
    uint32_t *sel;
    size_t capacity;
};

static enum lam_code distinct_next(struct exec_operator *op, struct run_context *run,
                                   struct rowset *out, struct lam_error *err) {
    struct distinct_op *self = (struct distinct_op *)op;
    for (;;) {
        TRY(operator_next(op->child, run, out, err));
        if (!out->batch)
            return LAM_OK;
        TRY(MEM_GROW(&self->sel, &self->capacity, out->count, err));
        uint32_t count = 0;
        for (uint32_t i = 0; i < out->count; i++) {
            uint32_t row = ROW_AT(out, i), number;
            bool added;
            buf_reset(&self->key);
            for (uint32_t c = 0; c < self->columns; c++) {
                struct value v = column_value(&out->batch->columns[c], row);
                TRY(key_put_value(&self->key, &v, true, false, err));
            }
            TRY(bytes_map_add(&self->seen, buf_slice(&self->key), &number, &added, err));
            if (added)
                self->sel[count++] = row;
        }
        if (count == 0)
            continue;
        out->sel = self->sel;
        out->count = count;
        return LAM_OK;
    }
}

static void distinct_free(struct exec_operator *op) {
    struct distinct_op *self = (struct distinct_op *)op;
    operator_free(op->child);
    bytes_map_fini(&self->seen);
    buf_fini(&self->key);
    mem_free(self->sel);
    mem_free(self);
}

enum lam_code distinct_operator(struct exec_operator *child, uint32_t columns,
                                struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {distinct_next, distinct_free};
    struct distinct_op *self = operator_new(sizeof *self, &ops, child, err);
    if (!self)
        return LAM_NO_MEMORY;
    self->columns = columns;
    *out = &self->base;
    return LAM_OK;
}
