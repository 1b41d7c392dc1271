/* SPDX-License-Identifier: Apache-2.0
 *
 * INSERT: every row is made and checked before anything is committed. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

struct insert {
    struct dml dml;
    lam_stmt *stmt;
    const struct insert_plan *plan;
    struct provider *p;
    struct buf key;                  /* of the row at hand */
    uint64_t affected;               /* rows inserted or updated */
    struct evaluator **conflict_set; /* [conflict_set_count]; owned */
    struct evaluator *conflict_where;
    struct colbatch conflict_row; /* target and excluded; owned */
};

static enum lam_code default_of(struct insert *in, uint32_t column, struct value *out,
                                struct lam_error *err) {
    return column_default_value(in->stmt->session->catalog, &in->p->schema->columns[column],
                                in->stmt->identity.user, in->stmt->identity.role,
                                &in->stmt->run_arena, out, err);
}

/* A value is asked for by place; NULL `bound` in VALUES means DEFAULT. */
static enum lam_code row_from_values(struct insert *in, uint32_t row, struct value *values,
                                     struct lam_error *err) {
    for (uint32_t i = 0; i < in->p->schema->column_count; i++) {
        int place = in->plan->targets[i];
        struct bound *b = place >= 0 ? in->plan->rows[row][place] : NULL;
        if (b)
            TRY(bound_value(&in->stmt->run, b, &values[i], err));
        else
            TRY(default_of(in, i, &values[i], err));
    }
    return LAM_OK;
}

/* Counts a row and keeps it for RETURNING. Its key is noted: no later row may have it. */
static enum lam_code affect_row(struct insert *in, const struct value *values, int64_t seq,
                                bool written, struct lam_error *err) {
    uint32_t number;
    bool added;
    in->affected++;
    TRY(bytes_map_add(&in->dml.keys, buf_slice(&in->key), &number, &added, err));
    LAM_ASSERT(added);
    return in->plan->returning.count > 0
               ? dml_keep(&in->dml, &in->plan->ref, values, seq, written, err)
               : LAM_OK;
}

static enum lam_code write_row(struct insert *in, const struct value *values,
                               const struct value *old_values, struct lam_error *err) {
    TRY(row_batch_put(in->p, in->dml.batch, &in->dml.stamps, in->stmt->identity.user, values, false,
                      old_values, err));
    return affect_row(in, values, 0, true, err);
}

/* Fills conflict_row with the row that stands and the one proposed. */
static enum lam_code conflict_input(struct insert *in, const struct row_found *old,
                                    const struct value *values, struct lam_error *err) {
    uint32_t n = in->p->schema->column_count, base = in->plan->ref.scope.count;
    if (!in->conflict_row.columns) {
        struct coltype *types = arena_calloc(&in->stmt->run_arena, base + n, sizeof *types);
        if (!types)
            return mem_fail(err, (base + n) * sizeof *types);
        memcpy(types, in->plan->ref.types, base * sizeof *types);
        memcpy(types + base, in->plan->ref.types, n * sizeof *types);
        TRY(colbatch_init(&in->conflict_row, types, base + n, err));
    }
    colbatch_reset(&in->conflict_row);
    TRY(dml_scope_row(in->p, old->values, old->seq, old->deleted, &in->conflict_row, err));
    for (uint32_t i = 0; i < n; i++) {
        struct column *c = &in->conflict_row.columns[base + i];
        TRY(values[i].is_null ? column_append_null(c, err)
                              : column_append_value(c, &values[i], err));
    }
    return LAM_OK;
}

static enum lam_code update_conflicting(struct insert *in, const struct row_found *old,
                                        const struct value *proposed, struct lam_error *err) {
    const struct insert_plan *plan = in->plan;
    struct run_context *run = &in->stmt->run;
    TRY(conflict_input(in, old, proposed, err));
    if (in->conflict_where) {
        uint32_t sel, count;
        TRY(evaluator_filter(in->conflict_where, run, &in->conflict_row, NULL, 1, &sel, &count,
                             err));
        if (count == 0)
            return LAM_OK;
    }
    uint32_t n = in->p->schema->column_count;
    struct value *values = arena_calloc(&in->stmt->run_arena, n, sizeof *values);
    if (!values)
        return mem_fail(err, n * sizeof *values);
    memcpy(values, old->values, n * sizeof *values);
    bool changed = false;
    for (uint32_t i = 0; i < plan->conflict_set_count; i++) {
        uint32_t column = plan->conflict_set[i].column;
        if (in->conflict_set[i]) {
            const struct column *result;
            TRY(evaluator_run(in->conflict_set[i], run, &in->conflict_row, NULL, 1, &result, err));
            TRY(dml_copy_value(&in->stmt->run_arena, column_value(result, 0), &values[column],
                               err));
        } else {
            TRY(default_of(in, column, &values[column], err));
        }
        changed |= !dml_same_value(&values[column], &old->values[column]);
    }
    if (!changed)
        return affect_row(in, old->values, old->seq, false, err);
    TRY(dml_check_nulls(in->p, values, err));
    TRY(dml_give_up_unique(&in->dml, old->values, err));
    TRY(dml_check_unique(&in->dml, values, buf_slice(&in->key), NULL, err));
    return write_row(in, values, old->hot ? old->values : NULL, err);
}

static enum lam_code insert_row(struct insert *in, const struct value *values,
                                struct lam_error *err) {
    const struct insert_plan *plan = in->plan;
    TRY(dml_check_nulls(in->p, values, err));
    buf_reset(&in->key);
    TRY(row_key(in->p->schema, in->p->kind, in->stmt->identity.user, values, &in->key, err));
    uint32_t number;
    if (bytes_map_find(&in->dml.keys, buf_slice(&in->key), &number)) {
        if (plan->on_conflict == CONFLICT_NOTHING)
            return LAM_OK;
        if (plan->on_conflict == CONFLICT_UPDATE)
            return ERR_SQL(err, "21000", 0,
                           "ON CONFLICT DO UPDATE can't change the same row of \"%s.%s\" twice",
                           in->p->namespace_name, in->p->name);
        return dml_duplicate_key(in->p, values, err);
    }
    struct row_found old;
    TRY(row_find(in->p, in->dml.snapshot, in->dml.owner, buf_slice(&in->key),
                 run_expiry_us(&in->stmt->run, in->p), &in->stmt->run_arena, &old, err));
    if (old.found && !old.deleted) {
        if (plan->on_conflict == CONFLICT_NOTHING)
            return LAM_OK;
        if (plan->on_conflict == CONFLICT_UPDATE)
            return update_conflicting(in, &old, values, err);
        return dml_duplicate_key(in->p, values, err);
    }
    bool conflict = false;
    bool skip = plan->on_conflict == CONFLICT_NOTHING && !plan->conflict_is_key;
    TRY(dml_check_unique(&in->dml, values, buf_slice(&in->key), skip ? &conflict : NULL, err));
    if (conflict)
        return LAM_OK;
    /* A hot version that is expired still has index entries; a deleted one has none. */
    bool stale = old.hot && !old.found;
    return write_row(in, values, stale ? old.values : NULL, err);
}

static enum lam_code insert_values(struct insert *in, struct lam_error *err) {
    uint32_t n = in->p->schema->column_count;
    for (uint32_t i = 0; i < in->plan->row_count; i++) {
        struct value *values = arena_calloc(&in->stmt->run_arena, n, sizeof *values);
        if (!values)
            return mem_fail(err, n * sizeof *values);
        TRY(row_from_values(in, i, values, err));
        TRY(insert_row(in, values, err));
    }
    return LAM_OK;
}

static enum lam_code insert_batch(struct insert *in, const struct rowset *rows,
                                  struct lam_error *err) {
    uint32_t n = in->p->schema->column_count;
    for (uint32_t r = 0; r < rows->count; r++) {
        struct value *values = arena_calloc(&in->stmt->run_arena, n, sizeof *values);
        if (!values)
            return mem_fail(err, n * sizeof *values);
        for (uint32_t i = 0; i < n; i++) {
            int place = in->plan->targets[i];
            if (place < 0)
                TRY(default_of(in, i, &values[i], err));
            else
                TRY(dml_copy_value(
                    &in->stmt->run_arena,
                    column_value(&rows->batch->columns[place], rows->sel ? rows->sel[r] : r),
                    &values[i], err));
        }
        TRY(insert_row(in, values, err));
    }
    return LAM_OK;
}

static enum lam_code insert_select(struct insert *in, struct lam_error *err) {
    struct exec_operator *op;
    TRY(select_operator(in->plan->select, in->stmt, &op, err));
    TRY(project_operator(op, in->plan->select_casts, in->plan->width, &op, err));
    enum lam_code rc = LAM_OK;
    for (;;) {
        struct rowset rows;
        TRY_GOTO(operator_next(op, &in->stmt->run, &rows, err));
        if (!rows.batch)
            break;
        TRY_GOTO(insert_batch(in, &rows, err));
    }
out:
    operator_free(op);
    return rc;
}

static enum lam_code open_conflict(struct insert *in, struct lam_error *err) {
    const struct insert_plan *plan = in->plan;
    in->conflict_set = mem_calloc(plan->conflict_set_count + 1, sizeof *in->conflict_set);
    if (!in->conflict_set)
        return mem_fail(err, (plan->conflict_set_count + 1) * sizeof *in->conflict_set);
    for (uint32_t i = 0; i < plan->conflict_set_count; i++)
        if (plan->conflict_set[i].value)
            TRY(evaluator_new(plan->conflict_set[i].value, &in->conflict_set[i], err));
    if (plan->conflict_where)
        TRY(evaluator_new(plan->conflict_where, &in->conflict_where, err));
    return LAM_OK;
}

static void insert_fini(struct insert *in) {
    for (uint32_t i = 0; in->conflict_set && i < in->plan->conflict_set_count; i++)
        evaluator_free(in->conflict_set[i]);
    mem_free(in->conflict_set);
    evaluator_free(in->conflict_where);
    colbatch_fini(&in->conflict_row);
    buf_fini(&in->key);
    dml_end(&in->dml);
}

enum lam_code insert_run(lam_stmt *stmt, const struct insert_plan *plan, struct rowlist *returned,
                         struct lam_error *err) {
    struct insert in = {.stmt = stmt, .plan = plan, .p = plan->ref.provider};
    TRY(dml_begin(&in.dml, stmt, in.p, err));
    enum lam_code rc = LAM_OK;
    TRY_GOTO(open_conflict(&in, err));
    TRY_GOTO(plan->select ? insert_select(&in, err) : insert_values(&in, err));
    TRY_GOTO(dml_returning(stmt, &plan->returning, &in.dml.kept, returned, err));
    TRY_GOTO(dml_commit(&in.dml, in.affected, err));
    dml_stamp_returned(&in.dml, &plan->returning, in.p->schema->column_count, returned);
    stmt->changes = in.affected;
out:
    insert_fini(&in);
    return rc;
}
