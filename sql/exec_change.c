/* SPDX-License-Identifier: Apache-2.0
 *
 * UPDATE and DELETE: first all matching rows are collected at one snapshot, then changed in one
 * batch, so no change can make a row match again. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

struct change {
    struct dml dml;
    lam_stmt *stmt;
    const struct change_plan *plan;
    struct provider *p;
    struct colbatch rows;              /* matching rows in the scope's layout; owned */
    struct evaluator **set;            /* [set_count]; NULL entry: DEFAULT; owned */
    const struct column **results;     /* [set_count] over `rows` */
    struct value *old_values, *values; /* [column_count] of the row at hand */
    struct buf key, new_key;
};

/* Reads under the stripe: at the snapshot of the batch, not at that of the statement. */
static enum lam_code collect(struct change *c, struct lam_error *err) {
    const struct table_ref *ref = &c->plan->source.ref;
    lam_stmt *stmt = c->stmt;
    lam_snapshot *statement_snapshot = stmt->snapshot;
    stmt->snapshot = c->dml.snapshot;
    struct exec_operator *op = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(colbatch_init(&c->rows, ref->types, ref->scope.count, err));
    TRY_GOTO(source_operator(&c->plan->source, stmt, &op, err));
    for (;;) {
        struct rowset in;
        TRY_GOTO(operator_next(op, &stmt->run, &in, err));
        if (!in.batch)
            break;
        for (uint32_t i = 0; i < ref->scope.count; i++)
            TRY_GOTO(column_append_rows(&c->rows.columns[i], &in.batch->columns[i], in.sel,
                                        in.count, err));
        c->rows.rows += in.count;
    }
out:
    operator_free(op);
    stmt->snapshot = statement_snapshot;
    return rc;
}

static enum lam_code evaluate_set(struct change *c, struct lam_error *err) {
    uint32_t n = c->plan->set_count;
    c->set = mem_calloc(n + 1, sizeof *c->set);
    c->results = mem_calloc(n + 1, sizeof *c->results);
    if (!c->set || !c->results)
        return mem_fail(err, (n + 1) * sizeof *c->set);
    for (uint32_t i = 0; i < n; i++) {
        if (!c->plan->set[i].value)
            continue;
        TRY(evaluator_new(c->plan->set[i].value, &c->set[i], err));
        TRY(evaluator_run(c->set[i], &c->stmt->run, &c->rows, NULL, c->rows.rows, &c->results[i],
                          err));
    }
    return LAM_OK;
}

static void load_old(struct change *c, uint32_t row) {
    for (uint32_t i = 0; i < c->p->schema->column_count; i++)
        c->old_values[i] = column_value(&c->rows.columns[i], row);
}

static enum lam_code load_values(struct change *c, uint32_t row, bool *changed_out,
                                 struct lam_error *err) {
    uint32_t n = c->p->schema->column_count;
    memcpy(c->values, c->old_values, n * sizeof *c->values);
    *changed_out = false;
    for (uint32_t i = 0; i < c->plan->set_count; i++) {
        uint32_t column = c->plan->set[i].column;
        if (c->results[i])
            c->values[column] = column_value(c->results[i], row);
        else
            TRY(column_default_value(c->stmt->session->catalog, &c->p->schema->columns[column],
                                     c->stmt->identity.user, c->stmt->identity.role,
                                     &c->stmt->run_arena, &c->values[column], err));
        *changed_out |= !dml_same_value(&c->values[column], &c->old_values[column]);
    }
    return LAM_OK;
}

static enum lam_code make_key(struct change *c, const struct value *values, struct buf *out,
                              struct lam_error *err) {
    buf_reset(out);
    return row_key(c->p->schema, c->p->kind, c->stmt->identity.user, values, out, err);
}

/* Index entries stand in the hot tier only: without an index nobody asks where the old row is. */
static enum lam_code is_hot(struct change *c, struct lam_slice key, bool *hot_out,
                            struct lam_error *err) {
    *hot_out = false;
    if (c->p->index_count == 0)
        return LAM_OK;
    struct lam_value value = {0};
    struct lam_read_options options = {.snapshot = c->dml.snapshot};
    enum lam_code rc = lam_get(c->stmt->session->db, &options, c->p->hot, key, &value, err);
    lam_value_release(&value);
    *hot_out = rc == LAM_OK;
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

static enum lam_code keep(struct change *c, uint32_t row, bool written, struct lam_error *err) {
    if (c->plan->returning.count == 0)
        return LAM_OK;
    int64_t seq = column_i64(&c->rows.columns[c->p->schema->column_count], row);
    return dml_keep(&c->dml, &c->plan->source.ref, c->values, seq, written, err);
}

/* Takes the old row away: soft where rows go cold, else for good. */
static enum lam_code remove_row(struct change *c, struct lam_error *err) {
    bool hot;
    TRY(make_key(c, c->old_values, &c->key, err));
    if (c->p->kind == TABLE_STREAM)
        return row_batch_remove(c->p, c->dml.batch, c->stmt->identity.user, c->old_values, err);
    TRY(is_hot(c, buf_slice(&c->key), &hot, err));
    return row_batch_put(c->p, c->dml.batch, &c->dml.stamps, c->stmt->identity.user, c->old_values,
                         true, hot ? c->old_values : NULL, err);
}

/* First pass: rows that change give up their unique values and, if their key changes, their key. */
static enum lam_code give_up(struct change *c, struct lam_error *err) {
    for (uint32_t row = 0; row < c->rows.rows; row++) {
        bool changed, added;
        uint32_t number;
        load_old(c, row);
        TRY(load_values(c, row, &changed, err));
        if (!changed)
            continue;
        TRY(dml_check_nulls(c->p, c->values, err));
        TRY(dml_give_up_unique(&c->dml, c->old_values, err));
        TRY(make_key(c, c->old_values, &c->key, err));
        TRY(make_key(c, c->values, &c->new_key, err));
        if (slice_eq(buf_slice(&c->key), buf_slice(&c->new_key)))
            continue;
        TRY(bytes_map_add(&c->dml.removed, buf_slice(&c->key), &number, &added, err));
        TRY(remove_row(c, err));
    }
    return LAM_OK;
}

static enum lam_code check_free_key(struct change *c, struct lam_error *err) {
    uint32_t number;
    if (bytes_map_find(&c->dml.removed, buf_slice(&c->new_key), &number))
        return LAM_OK;
    struct row_found other;
    TRY(row_find(c->p, c->dml.snapshot, c->dml.owner, buf_slice(&c->new_key),
                 run_expiry_us(&c->stmt->run, c->p), &c->stmt->run_arena, &other, err));
    return other.found && !other.deleted ? dml_duplicate_key(c->p, c->values, err) : LAM_OK;
}

static enum lam_code update_row(struct change *c, uint32_t row, struct lam_error *err) {
    bool changed, added, hot = false;
    uint32_t number;
    load_old(c, row);
    TRY(load_values(c, row, &changed, err));
    TRY(make_key(c, c->old_values, &c->key, err));
    TRY(make_key(c, c->values, &c->new_key, err));
    bool moves = !slice_eq(buf_slice(&c->key), buf_slice(&c->new_key));
    TRY(bytes_map_add(&c->dml.keys, buf_slice(&c->new_key), &number, &added, err));
    if (!added)
        return dml_duplicate_key(c->p, c->values, err);
    if (!changed)
        return keep(c, row, false, err);
    if (moves)
        TRY(check_free_key(c, err));
    else
        TRY(is_hot(c, buf_slice(&c->key), &hot, err));
    TRY(dml_check_unique(&c->dml, c->values, buf_slice(&c->key), NULL, err));
    TRY(row_batch_put(c->p, c->dml.batch, &c->dml.stamps, c->stmt->identity.user, c->values, false,
                      hot ? c->old_values : NULL, err));
    return keep(c, row, true, err);
}

static enum lam_code update_rows(struct change *c, struct lam_error *err) {
    TRY(evaluate_set(c, err));
    TRY(give_up(c, err));
    for (uint32_t row = 0; row < c->rows.rows; row++)
        TRY(update_row(c, row, err));
    return LAM_OK;
}

static enum lam_code delete_rows(struct change *c, struct lam_error *err) {
    for (uint32_t row = 0; row < c->rows.rows; row++) {
        load_old(c, row);
        TRY(remove_row(c, err));
    }
    return LAM_OK;
}

static void change_fini(struct change *c) {
    for (uint32_t i = 0; c->set && i < c->plan->set_count; i++)
        evaluator_free(c->set[i]);
    mem_free(c->set);
    mem_free(c->results);
    colbatch_fini(&c->rows);
    buf_fini(&c->key);
    buf_fini(&c->new_key);
    dml_end(&c->dml);
}

enum lam_code change_run(lam_stmt *stmt, const struct change_plan *plan, struct rowlist *returned,
                         struct lam_error *err) {
    struct change c = {.stmt = stmt, .plan = plan, .p = plan->source.ref.provider};
    uint32_t n = c.p->schema->column_count;
    c.old_values = arena_calloc(&stmt->run_arena, n, sizeof *c.old_values);
    c.values = arena_calloc(&stmt->run_arena, n, sizeof *c.values);
    if (!c.old_values || !c.values)
        return mem_fail(err, n * sizeof *c.values);
    TRY(dml_begin(&c.dml, stmt, c.p, err));
    enum lam_code rc = LAM_OK;
    TRY_GOTO(collect(&c, err));
    TRY_GOTO(plan->is_delete ? delete_rows(&c, err) : update_rows(&c, err));
    TRY_GOTO(dml_returning(stmt, &plan->returning, plan->is_delete ? &c.rows : &c.dml.kept,
                           returned, err));
    TRY_GOTO(dml_commit(&c.dml, c.rows.rows, err));
    if (!plan->is_delete)
        dml_stamp_returned(&c.dml, &plan->returning, n, returned);
    stmt->changes = c.rows.rows;
out:
    change_fini(&c);
    return rc;
}
