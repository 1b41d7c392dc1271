/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that look at one batch at a time: filter, project, limit. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

void operator_free(struct exec_operator *op) {
    if (op)
        op->ops->free(op);
}

void *operator_new(size_t size, const struct operator_ops *ops, struct exec_operator *child,
                   struct lam_error *err) {
    struct exec_operator *op = mem_calloc(1, size);
    if (!op) {
        operator_free(child);
        (void)mem_fail(err, size);
        return NULL;
    }
    *op = (struct exec_operator){ops, child};
    return op;
}

/* --- filter --- */

struct filter_op {
    struct exec_operator base;
    struct evaluator *predicate; /* owned */
    uint32_t *sel;               /* survivors; owned, [capacity] */
    size_t capacity;
};

static enum lam_code filter_next(struct exec_operator *op, struct run_context *run,
                                 struct rowset *out, struct lam_error *err) {
    struct filter_op *self = (struct filter_op *)op;
    for (;;) {
        TRY(operator_next(op->child, run, out, err));
        if (!out->batch)
            return LAM_OK;
        TRY(MEM_GROW(&self->sel, &self->capacity, out->count, err));
        uint32_t count = 0;
        TRY(evaluator_filter(self->predicate, run, out->batch, out->sel, out->count, self->sel,
                             &count, err));
        if (count == 0)
            continue;
        out->sel = self->sel;
        out->count = count;
        return LAM_OK;
    }
}

static void filter_free(struct exec_operator *op) {
    struct filter_op *self = (struct filter_op *)op;
    operator_free(op->child);
    evaluator_free(self->predicate);
    mem_free(self->sel);
    mem_free(self);
}

enum lam_code filter_operator(struct exec_operator *child, const struct bound *predicate,
                              struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {filter_next, filter_free};
    struct filter_op *self = operator_new(sizeof *self, &ops, child, err);
    if (!self)
        return LAM_NO_MEMORY;
    enum lam_code rc = evaluator_new(predicate, &self->predicate, err);
    if (rc != LAM_OK) {
        filter_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return LAM_OK;
}

/* --- project --- */

struct project_op {
    struct exec_operator base;
    struct evaluator **items; /* owned */
    uint32_t count;
    struct colbatch view; /* columns borrowed from the evaluators; array owned */
};

static enum lam_code project_next(struct exec_operator *op, struct run_context *run,
                                  struct rowset *out, struct lam_error *err) {
    struct project_op *self = (struct project_op *)op;
    struct rowset in;
    *out = (struct rowset){0};
    TRY(operator_next(op->child, run, &in, err));
    if (!in.batch)
        return LAM_OK;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct column *result;
        TRY(evaluator_run(self->items[i], run, in.batch, in.sel, in.count, &result, err));
        self->view.columns[i] = *result;
    }
    self->view.rows = in.count;
    *out = (struct rowset){&self->view, NULL, in.count};
    return LAM_OK;
}

static void project_free(struct exec_operator *op) {
    struct project_op *self = (struct project_op *)op;
    operator_free(op->child);
    for (uint32_t i = 0; self->items && i < self->count; i++)
        evaluator_free(self->items[i]);
    mem_free(self->items);
    mem_free(self->view.columns);
    mem_free(self);
}

static enum lam_code project_init(struct project_op *self, struct bound *const *items,
                                  uint32_t count, struct lam_error *err) {
    self->items = mem_calloc(count + 1, sizeof *self->items);
    self->view.columns = mem_calloc(count + 1, sizeof *self->view.columns);
    if (!self->items || !self->view.columns)
        return mem_fail(err, (count + 1) * sizeof *self->view.columns);
    self->view.column_count = count;
    self->count = count;
    for (uint32_t i = 0; i < count; i++)
        TRY(evaluator_new(items[i], &self->items[i], err));
    return LAM_OK;
}

enum lam_code project_operator(struct exec_operator *child, struct bound *const *items,
                               uint32_t count, struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {project_next, project_free};
    struct project_op *self = operator_new(sizeof *self, &ops, child, err);
    if (!self)
        return LAM_NO_MEMORY;
    enum lam_code rc = project_init(self, items, count, err);
    if (rc != LAM_OK) {
        project_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return LAM_OK;
}

/* --- limit --- */

struct limit_op {
    struct exec_operator base;
    int64_t left; /* rows still to give; negative: no limit */
    int64_t skip; /* rows still to pass over */
    uint32_t *sel;
    size_t capacity;
};

static enum lam_code limit_next(struct exec_operator *op, struct run_context *run,
                                struct rowset *out, struct lam_error *err) {
    struct limit_op *self = (struct limit_op *)op;
    *out = (struct rowset){0};
    if (self->left == 0)
        return LAM_OK;
    for (;;) {
        TRY(operator_next(op->child, run, out, err));
        if (!out->batch)
            return LAM_OK;
        if (self->skip < out->count)
            break;
        self->skip -= out->count;
    }
    uint32_t from = (uint32_t)self->skip;
    uint32_t count = out->count - from;
    self->skip = 0;
    if (self->left >= 0 && count > self->left)
        count = (uint32_t)self->left;
    if (self->left >= 0)
        self->left -= count;
    if (from > 0) {
        TRY(MEM_GROW(&self->sel, &self->capacity, count, err));
        for (uint32_t i = 0; i < count; i++)
            self->sel[i] = out->sel ? out->sel[from + i] : from + i;
        out->sel = self->sel;
    }
    out->count = count;
    return LAM_OK;
}

static void limit_free(struct exec_operator *op) {
    struct limit_op *self = (struct limit_op *)op;
    operator_free(op->child);
    mem_free(self->sel);
    mem_free(self);
}

enum lam_code limit_operator(struct exec_operator *child, int64_t limit, int64_t offset,
                             struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {limit_next, limit_free};
    struct limit_op *self = operator_new(sizeof *self, &ops, child, err);
    if (!self)
        return LAM_NO_MEMORY;
    self->left = limit;
    self->skip = offset;
    *out = &self->base;
    return LAM_OK;
}
