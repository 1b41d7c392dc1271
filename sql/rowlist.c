/* SPDX-License-Identifier: Apache-2.0
 *
 * Ready-made rows, and the operator that hands them over. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

enum lam_code rowlist_init(struct rowlist *r, const struct coltype *types, uint32_t column_count,
                           struct lam_error *err) {
    *r = (struct rowlist){.column_count = column_count};
    if (column_count == 0)
        return LAM_OK;
    r->types = mem_dup(types, column_count * sizeof *types);
    return r->types ? LAM_OK : mem_fail(err, column_count * sizeof *types);
}

void rowlist_fini(struct rowlist *r) {
    for (size_t i = 0; i < r->count; i++)
        colbatch_fini(&r->batches[i]);
    mem_free(r->batches);
    mem_free(r->types);
    *r = (struct rowlist){0};
}

enum lam_code rowlist_batch(struct rowlist *r, struct colbatch **out, struct lam_error *err) {
    if (r->count == 0 || colbatch_is_full(&r->batches[r->count - 1])) {
        TRY(MEM_GROW(&r->batches, &r->capacity, r->count + 1, err));
        TRY(colbatch_init(&r->batches[r->count], r->types, r->column_count, err));
        r->count++;
    }
    *out = &r->batches[r->count - 1];
    return LAM_OK;
}

enum lam_code rowlist_add(struct rowlist *r, const struct value *values, struct lam_error *err) {
    struct colbatch *b;
    TRY(rowlist_batch(r, &b, err));
    for (uint32_t i = 0; i < r->column_count; i++)
        TRY(values[i].is_null ? column_append_null(&b->columns[i], err)
                              : column_append_value(&b->columns[i], &values[i], err));
    rowlist_added(b);
    return LAM_OK;
}

uint64_t rowlist_rows(const struct rowlist *r) {
    uint64_t rows = 0;
    for (size_t i = 0; i < r->count; i++)
        rows += r->batches[i].rows;
    return rows;
}

struct rows_op {
    struct exec_operator base;
    struct rowlist rows; /* owned */
    size_t at;           /* next batch */
};

/* Never fails, nor heeds an interrupt: the rows may tell of changes that are done. */
static enum lam_code rows_next(struct exec_operator *op, struct run_context *run,
                               struct rowset *out, struct lam_error *err) {
    struct rows_op *self = (struct rows_op *)op;
    (void)run;
    (void)err;
    *out = (struct rowset){0};
    while (self->at < self->rows.count) {
        const struct colbatch *b = &self->rows.batches[self->at++];
        if (b->rows == 0)
            continue;
        *out = (struct rowset){b, NULL, b->rows};
        break;
    }
    return LAM_OK;
}

static void rows_free(struct exec_operator *op) {
    struct rows_op *self = (struct rows_op *)op;
    rowlist_fini(&self->rows);
    mem_free(self);
}

enum lam_code rows_operator(struct rowlist *rows, struct exec_operator **out,
                            struct lam_error *err) {
    static const struct operator_ops ops = {rows_next, rows_free};
    struct rows_op *op = mem_calloc(1, sizeof *op);
    if (!op)
        return mem_fail(err, sizeof *op);
    op->base.ops = &ops;
    *out = &op->base;
    rows_operator_fill(*out, rows);
    return LAM_OK;
}

void rows_operator_fill(struct exec_operator *op, struct rowlist *rows) {
    struct rows_op *self = (struct rows_op *)op;
    LAM_ASSERT(self->rows.count == 0 && self->at == 0);
    rowlist_fini(&self->rows);
    self->rows = *rows;
    *rows = (struct rowlist){0};
}
