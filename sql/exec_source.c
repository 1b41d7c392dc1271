/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a table: by key, key range, index or scan. The access path names comparisons; their
 * values are found when the statement runs, in the column's own type. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

/* Batches have the layout of the table's scope; the scan reads the used columns only. */
struct source_op {
    struct exec_operator base;
    const struct source_plan *plan; /* borrowed */
    lam_stmt *stmt;                 /* borrowed */
    struct scan *scan;              /* owned; open once the first batch was asked for */
    struct colbatch view;           /* columns borrowed from the scan's batch; array owned */
    uint32_t *wanted;               /* scope indexes of the scan's columns; owned */
    uint32_t *ids;                  /* their column ids; owned */
    uint32_t wanted_count;
    struct buf lower, upper, prefix;
    struct scan_predicate *predicates; /* owned */
    uint32_t predicate_count;
    struct colbatch point; /* the row of a key lookup; owned */
    bool done;
};

static void source_free(struct exec_operator *op) {
    struct source_op *self = (struct source_op *)op;
    scan_close(self->scan);
    buf_fini(&self->lower);
    buf_fini(&self->upper);
    buf_fini(&self->prefix);
    colbatch_fini(&self->point);
    mem_free(self->predicates);
    mem_free(self->wanted);
    mem_free(self->ids);
    mem_free(self->view.columns);
    mem_free(self);
}

enum term_result {
    TERM_USABLE,
    TERM_UNUSABLE, /* the value does not fit the column's type: filter instead */
    TERM_NEVER,    /* compared with NULL: no row */
};

static enum lam_code term_value(struct source_op *self, struct run_context *run, uint32_t term,
                                struct value *out, enum term_result *result,
                                struct lam_error *err) {
    const struct access_term *t = &self->plan->terms[term];
    bool usable;
    TRY(bound_key_value(run, t->value, self->plan->ref.types[t->column], &usable, out, err));
    *result = !usable ? TERM_UNUSABLE : out->is_null ? TERM_NEVER : TERM_USABLE;
    return LAM_OK;
}

static bool is_per_user(const struct provider *p) {
    return p->kind == TABLE_USER || p->kind == TABLE_STREAM;
}

/* What the run-time values make of the planned path. */
struct resolved {
    enum path_kind kind;
    bool never; /* no row can match */
    struct value values[PATH_COLUMNS_MAX];
    uint32_t count;
};

static enum lam_code resolve_equalities(struct source_op *self, struct run_context *run,
                                        struct resolved *r, struct lam_error *err) {
    const struct access_path *path = &self->plan->path;
    r->kind = path->kind;
    for (uint32_t i = 0; i < path->eq_count; i++) {
        enum term_result result;
        TRY(term_value(self, run, path->eq[i], &r->values[i], &result, err));
        if (result == TERM_NEVER)
            r->never = true;
        if (result == TERM_UNUSABLE) {
            r->kind = i == 0 ? PATH_SCAN : path->kind == PATH_KEY ? PATH_KEY_RANGE : path->kind;
            return LAM_OK;
        }
        r->count++;
    }
    return LAM_OK;
}

static enum lam_code user_prefix(struct source_op *self, struct run_context *run, struct buf *out,
                                 struct lam_error *err) {
    buf_reset(out);
    if (is_per_user(self->plan->ref.provider))
        return key_put_string(out, run->user, err);
    return LAM_OK;
}

/* Bounds [lower, upper) from the equality prefix and the bounds on the next key column. */
static enum lam_code key_range(struct source_op *self, struct run_context *run,
                               const struct resolved *r, struct lam_error *err) {
    const struct access_path *path = &self->plan->path;
    TRY(user_prefix(self, run, &self->lower, err));
    for (uint32_t i = 0; i < r->count; i++)
        TRY(key_put_value(&self->lower, &r->values[i], false, false, err));
    buf_reset(&self->upper);
    TRY(buf_append_slice(&self->upper, buf_slice(&self->lower), err));
    bool bounded_above = false;
    int ends[2] = {path->lower, path->upper};
    for (int side = 0; side < 2; side++) {
        if (ends[side] < 0 || r->count < path->eq_count)
            continue;
        struct value v;
        enum term_result result;
        TRY(term_value(self, run, (uint32_t)ends[side], &v, &result, err));
        if (result != TERM_USABLE)
            continue;
        struct buf *bound = side == 0 ? &self->lower : &self->upper;
        enum expr_op op = self->plan->terms[ends[side]].op;
        TRY(key_put_value(bound, &v, false, false, err));
        if (op == OP_GT || op == OP_LE)
            key_prefix_end(bound);
        bounded_above |= side == 1;
    }
    if (!bounded_above)
        key_prefix_end(&self->upper);
    return LAM_OK;
}

static enum lam_code collect_predicates(struct source_op *self, struct run_context *run,
                                        struct lam_error *err) {
    static const enum scan_op ops[] = {
        [OP_EQ] = SCAN_EQ, [OP_LT] = SCAN_LT, [OP_LE] = SCAN_LE,
        [OP_GT] = SCAN_GT, [OP_GE] = SCAN_GE,
    };
    uint32_t count = self->plan->term_count;
    if (count == 0)
        return LAM_OK;
    self->predicates = mem_calloc(count, sizeof *self->predicates);
    if (!self->predicates)
        return mem_fail(err, count * sizeof *self->predicates);
    for (uint32_t i = 0; i < count; i++) {
        const struct access_term *t = &self->plan->terms[i];
        struct value v;
        enum term_result result;
        TRY(term_value(self, run, i, &v, &result, err));
        if (result == TERM_USABLE)
            self->predicates[self->predicate_count++] =
                (struct scan_predicate){self->plan->ref.column_ids[t->column], ops[t->op], v};
    }
    return LAM_OK;
}

static enum lam_code open_scan(struct source_op *self, struct run_context *run,
                               const struct resolved *r, struct lam_error *err) {
    const struct source_plan *plan = self->plan;
    struct provider *p = plan->ref.provider;
    TRY(collect_predicates(self, run, err));
    struct scan_request request = {
        .provider = p,
        .user = row_owner(p, run->user),
        .snapshot = self->stmt->snapshot,
        .column_ids = self->ids,
        .column_count = self->wanted_count,
        .predicates = self->predicates,
        .predicate_count = self->predicate_count,
        .with_deleted = plan->with_deleted,
        .now_us = run_expiry_us(run, p),
    };
    if (r->kind == PATH_INDEX) {
        const struct table_index *index = &p->indexes[plan->path.index];
        buf_reset(&self->prefix);
        TRY(index_prefix(p, index, run->user, r->values, r->count, &self->prefix, err));
        request.index = index;
        request.index_prefix = buf_slice(&self->prefix);
    } else if (r->kind != PATH_SCAN) {
        TRY(key_range(self, run, r, err));
        request.key_lower = buf_slice(&self->lower);
        request.key_upper = buf_slice(&self->upper);
    }
    return scan_open(&request, &self->scan, err);
}

static enum lam_code point_row(struct source_op *self, struct run_context *run,
                               const struct row_found *row, struct rowset *out,
                               struct lam_error *err) {
    const struct table_ref *ref = &self->plan->ref;
    TRY(colbatch_init(&self->point, ref->types, ref->scope.count, err));
    TRY(dml_scope_row(ref->provider, row->values, row->seq, row->deleted, &self->point, err));
    (void)run;
    *out = (struct rowset){&self->point, NULL, 1};
    return LAM_OK;
}

static enum lam_code lookup_key(struct source_op *self, struct run_context *run,
                                const struct resolved *r, struct rowset *out,
                                struct lam_error *err) {
    TRY(user_prefix(self, run, &self->lower, err));
    for (uint32_t i = 0; i < r->count; i++)
        TRY(key_put_value(&self->lower, &r->values[i], false, false, err));
    struct provider *p = self->plan->ref.provider;
    struct row_found row;
    TRY(row_find(p, self->stmt->snapshot, row_owner(p, run->user), buf_slice(&self->lower),
                 run_expiry_us(run, p), run->arena, &row, err));
    if (!row.found || (row.deleted && !self->plan->with_deleted))
        return LAM_OK;
    return point_row(self, run, &row, out, err);
}

static enum lam_code source_start(struct source_op *self, struct run_context *run,
                                  struct rowset *out, struct lam_error *err) {
    struct resolved r = {0};
    TRY(resolve_equalities(self, run, &r, err));
    if (r.never || r.kind == PATH_KEY) {
        self->done = true;
        return r.never ? LAM_OK : lookup_key(self, run, &r, out, err);
    }
    return open_scan(self, run, &r, err);
}

static enum lam_code source_next(struct exec_operator *op, struct run_context *run,
                                 struct rowset *out, struct lam_error *err) {
    struct source_op *self = (struct source_op *)op;
    *out = (struct rowset){0};
    TRY(run_check(run, err));
    if (!self->scan && !self->done) {
        TRY(source_start(self, run, out, err));
        if (out->batch)
            return LAM_OK;
    }
    if (self->done)
        return LAM_OK;
    struct colbatch *batch;
    TRY(scan_next(self->scan, &batch, err));
    if (!batch)
        return LAM_OK;
    for (uint32_t i = 0; i < self->wanted_count; i++)
        self->view.columns[self->wanted[i]] = batch->columns[i];
    self->view.rows = batch->rows;
    *out = (struct rowset){&self->view, NULL, batch->rows};
    return LAM_OK;
}

static enum lam_code choose_columns(struct source_op *self, struct lam_error *err) {
    const struct table_ref *ref = &self->plan->ref;
    uint32_t count = ref->scope.count;
    self->view.column_count = count;
    self->view.columns = mem_calloc(count, sizeof *self->view.columns);
    self->wanted = mem_calloc(count, sizeof *self->wanted);
    self->ids = mem_calloc(count, sizeof *self->ids);
    if (!self->view.columns || !self->wanted || !self->ids)
        return mem_fail(err, count * sizeof *self->view.columns);
    for (uint32_t i = 0; i < count; i++) {
        column_init(&self->view.columns[i], ref->types[i]);
        if (!self->plan->used[i])
            continue;
        self->wanted[self->wanted_count] = i;
        self->ids[self->wanted_count++] = ref->column_ids[i];
    }
    return LAM_OK;
}

static enum lam_code table_operator(const struct source_plan *plan, lam_stmt *stmt,
                                    struct exec_operator **out, struct lam_error *err) {
    static const struct operator_ops ops = {source_next, source_free};
    struct source_op *self = mem_calloc(1, sizeof *self);
    if (!self)
        return mem_fail(err, sizeof *self);
    self->base.ops = &ops;
    self->plan = plan;
    self->stmt = stmt;
    enum lam_code rc = choose_columns(self, err);
    if (rc != LAM_OK) {
        source_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return LAM_OK;
}

/* SELECT without FROM: one row of no columns. */
static enum lam_code one_row(struct exec_operator **out, struct lam_error *err) {
    OWNED(rowlist_fini) struct rowlist rows = {0};
    struct colbatch *batch;
    enum lam_code rc = rowlist_init(&rows, NULL, 0, err);
    if (rc == LAM_OK)
        rc = rowlist_batch(&rows, &batch, err);
    if (rc == LAM_OK) {
        rowlist_added(batch);
        rc = rows_operator(&rows, out, err);
    }
    return rc;
}

static enum lam_code ready_rows(const struct source_plan *plan, lam_stmt *stmt,
                                struct exec_operator **out, struct lam_error *err) {
    OWNED(rowlist_fini) struct rowlist rows = {0};
    TRY(system_rows(&plan->ref, stmt, &rows, err));
    return rows_operator(&rows, out, err);
}

enum lam_code source_operator(const struct source_plan *plan, lam_stmt *stmt,
                              struct exec_operator **out, struct lam_error *err) {
    struct exec_operator *op = NULL;
    if (plan->ref.kind == SOURCE_TABLE)
        TRY(table_operator(plan, stmt, &op, err));
    else if (plan->ref.kind == SOURCE_NONE)
        TRY(one_row(&op, err));
    else
        TRY(ready_rows(plan, stmt, &op, err));
    if (plan->filter)
        return filter_operator(op, plan->filter, out, err);
    *out = op;
    return LAM_OK;
}
