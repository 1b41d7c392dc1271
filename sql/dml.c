/* SPDX-License-Identifier: Apache-2.0
 *
 * What INSERT, UPDATE and DELETE share: the stripe, the batch, uniqueness within the statement, the
 * commit. Everything a statement reads to decide is read at a snapshot taken under the stripe, so
 * no other writer of these rows can come between the decision and the commit. */
#include "base/assert.h"
#include "base/mem.h"
#include "sql/exec.h"

static enum lam_code open_run(struct dml *d, struct lam_error *err) {
    struct provider *p = d->p;
    TRY(provider_write_lock(p, d->stmt->identity.user, &d->stripe, err));
    d->locked = true;
    d->uniques = mem_calloc(p->index_count + 1, sizeof *d->uniques);
    d->unique_removed = mem_calloc(p->index_count + 1, sizeof *d->unique_removed);
    d->pending = mem_calloc(p->index_count + 1, sizeof *d->pending);
    if (!d->uniques || !d->unique_removed || !d->pending)
        return mem_fail(err, (p->index_count + 1) * sizeof *d->uniques);
    TRY(lam_batch_new(d->stmt->session->db, &d->batch, err));
    return lam_snapshot_new(d->stmt->session->db, &d->snapshot, err);
}

enum lam_code dml_begin(struct dml *d, lam_stmt *stmt, struct provider *p, struct lam_error *err) {
    *d = (struct dml){.stmt = stmt, .p = p, .owner = row_owner(p, stmt->identity.user)};
    d->stamps.catalog = stmt->session->catalog;
    enum lam_code rc = open_run(d, err);
    if (rc != LAM_OK)
        dml_end(d);
    return rc;
}

static void unlock(struct dml *d) {
    if (d->locked)
        provider_write_unlock(d->p, d->stripe);
    d->locked = false;
}

void dml_end(struct dml *d) {
    unlock(d);
    lam_snapshot_free(d->snapshot);
    lam_batch_free(d->batch);
    seq_stamps_fini(&d->stamps);
    bytes_map_fini(&d->keys);
    bytes_map_fini(&d->removed);
    for (uint32_t i = 0; d->uniques && i < d->p->index_count; i++)
        bytes_map_fini(&d->uniques[i]);
    for (uint32_t i = 0; d->unique_removed && i < d->p->index_count; i++)
        bytes_map_fini(&d->unique_removed[i]);
    mem_free(d->uniques);
    mem_free(d->unique_removed);
    for (uint32_t i = 0; d->pending && i < d->p->index_count; i++)
        buf_fini(&d->pending[i]);
    mem_free(d->pending);
    colbatch_fini(&d->kept);
    mem_free(d->kept_stamps);
    buf_fini(&d->key);
    *d = (struct dml){0};
}

enum lam_code dml_commit(struct dml *d, uint64_t rows, struct lam_error *err) {
    if (lam_batch_count(d->batch) == 0)
        return LAM_OK;
    lam_session *s = d->stmt->session;
    bool sync = s->durability == LAM_DURABILITY_SYNC;
    uint64_t sequence;
    TRY(catalog_commit(s->catalog, d->batch, &d->stamps, sync ? LAM_DURABILITY_OS : s->durability,
                       &sequence, err));
    /* The wait for the disk is outside the stripe, so that writers of one table share a sync. */
    unlock(d);
    if (sync)
        TRY(lam_sync(s->db, sequence, err));
    flush_note_rows(s->flush, d->p, d->stmt->identity.user, rows);
    return LAM_OK;
}

enum lam_code dml_check_nulls(const struct provider *p, const struct value *values,
                              struct lam_error *err) {
    for (uint32_t i = 0; i < p->schema->column_count; i++) {
        const struct schema_column *c = &p->schema->columns[i];
        if (values[i].is_null && !c->nullable)
            return ERR_SQL(err, "23502", 0,
                           "null value in column \"%s\" of table \"%s.%s\" violates not-null "
                           "constraint",
                           c->name, p->namespace_name, p->name);
    }
    return LAM_OK;
}

/* Encodes the index's values of a row; false if one is NULL: such rows never conflict. */
static enum lam_code unique_values(struct dml *d, const struct table_index *index,
                                   const struct value *values, bool *complete_out,
                                   struct lam_error *err) {
    buf_reset(&d->key);
    *complete_out = true;
    for (uint32_t i = 0; i < index->column_count; i++) {
        int column = schema_find_id(d->p->schema, index->column_ids[i]);
        LAM_ASSERT(column >= 0);
        if (values[column].is_null)
            *complete_out = false;
        TRY(key_put_value(&d->key, &values[column], true, false, err));
    }
    return LAM_OK;
}

static enum lam_code unique_violation(const struct dml *d, const struct table_index *index,
                                      struct lam_error *err) {
    return ERR_SQL(err, "23505", 0, "duplicate key value violates unique index \"%s\" of \"%s.%s\"",
                   index->name, d->p->namespace_name, d->p->name);
}

/* Leaves the row's values in `pending`, empty if they cannot conflict. */
static enum lam_code check_index(struct dml *d, uint32_t i, const struct value *values,
                                 struct lam_slice own_key, bool *conflict, struct lam_error *err) {
    const struct table_index *index = &d->p->indexes[i];
    bool complete;
    uint32_t number;
    *conflict = false;
    buf_reset(&d->pending[i]);
    TRY(unique_values(d, index, values, &complete, err));
    if (!complete)
        return LAM_OK;
    TRY(buf_append_slice(&d->pending[i], buf_slice(&d->key), err));
    if (bytes_map_find(&d->uniques[i], buf_slice(&d->key), &number)) {
        *conflict = true;
        return LAM_OK;
    }
    if (bytes_map_find(&d->unique_removed[i], buf_slice(&d->key), &number))
        return LAM_OK;
    return unique_conflict(d->p, index, d->snapshot, d->owner, values, own_key, conflict, err);
}

static enum lam_code note_uniques(struct dml *d, struct lam_error *err) {
    for (uint32_t i = 0; i < d->p->index_count; i++) {
        uint32_t number;
        bool added;
        if (d->p->indexes[i].unique && d->pending[i].size > 0)
            TRY(bytes_map_add(&d->uniques[i], buf_slice(&d->pending[i]), &number, &added, err));
    }
    return LAM_OK;
}

enum lam_code dml_check_unique(struct dml *d, const struct value *values, struct lam_slice own_key,
                               bool *conflict_out, struct lam_error *err) {
    if (conflict_out)
        *conflict_out = false;
    for (uint32_t i = 0; i < d->p->index_count; i++) {
        bool conflict;
        if (!d->p->indexes[i].unique)
            continue;
        TRY(check_index(d, i, values, own_key, &conflict, err));
        if (!conflict)
            continue;
        if (!conflict_out)
            return unique_violation(d, &d->p->indexes[i], err);
        *conflict_out = true;
        return LAM_OK;
    }
    return note_uniques(d, err);
}

enum lam_code dml_give_up_unique(struct dml *d, const struct value *values, struct lam_error *err) {
    for (uint32_t i = 0; i < d->p->index_count; i++) {
        bool complete, added;
        uint32_t number;
        if (!d->p->indexes[i].unique)
            continue;
        TRY(unique_values(d, &d->p->indexes[i], values, &complete, err));
        if (complete)
            TRY(bytes_map_add(&d->unique_removed[i], buf_slice(&d->key), &number, &added, err));
    }
    return LAM_OK;
}

enum lam_code dml_duplicate_key(const struct provider *p, const struct value *values,
                                struct lam_error *err) {
    const struct schema *s = p->schema;
    OWNED(buf_fini) struct buf text = {0};
    enum lam_code rc = LAM_OK;
    for (uint32_t i = 0; i < s->key_count && rc == LAM_OK; i++) {
        if (i > 0)
            rc = buf_append_str(&text, ", ", err);
        if (rc == LAM_OK)
            rc = buf_append_format(&text, err, "%s=", s->columns[s->key[i]].name);
        if (rc == LAM_OK)
            rc = value_format(&values[s->key[i]], &text, err);
    }
    if (rc == LAM_OK)
        rc =
            ERR_SQL(err, "23505", 0, "Primary key violation: a row with (%.*s) exists in \"%s.%s\"",
                    text.size > 200 ? 200 : (int)text.size, (const char *)text.data,
                    p->namespace_name, p->name);
    return rc;
}

enum lam_code dml_scope_row(const struct provider *p, const struct value *values, int64_t seq,
                            bool deleted, struct colbatch *out, struct lam_error *err) {
    uint32_t n = p->schema->column_count;
    for (uint32_t i = 0; i < n; i++)
        TRY(values[i].is_null ? column_append_null(&out->columns[i], err)
                              : column_append_value(&out->columns[i], &values[i], err));
    TRY(column_append_i64(&out->columns[n], seq, err));
    if (p->kind != TABLE_STREAM) {
        TRY(column_append_i64(&out->columns[n + 1], seq_time_us(seq), err));
        TRY(column_append_bool(&out->columns[n + 2], deleted, err));
    }
    out->rows++;
    return LAM_OK;
}

static enum lam_code append_results(struct exec_operator *op, lam_stmt *stmt, uint32_t columns,
                                    struct rowlist *returned, struct lam_error *err) {
    for (;;) {
        struct rowset in;
        TRY(operator_next(op, &stmt->run, &in, err));
        if (!in.batch)
            return LAM_OK;
        for (uint32_t r = 0; r < in.count; r++) {
            struct colbatch *batch;
            TRY(rowlist_batch(returned, &batch, err));
            for (uint32_t i = 0; i < columns; i++)
                TRY(column_append_row(&batch->columns[i], &in.batch->columns[i],
                                      in.sel ? in.sel[r] : r, err));
            rowlist_added(batch);
        }
    }
}

enum lam_code dml_returning(lam_stmt *stmt, const struct returning_plan *plan,
                            const struct colbatch *rows, struct rowlist *returned,
                            struct lam_error *err) {
    if (plan->count == 0 || rows->rows == 0)
        return LAM_OK;
    struct coltype *types = arena_calloc(&stmt->run_arena, plan->count, sizeof *types);
    if (!types)
        return mem_fail(err, plan->count * sizeof *types);
    for (uint32_t i = 0; i < plan->count; i++)
        types[i] = bound_type(plan->items[i]);
    if (!returned->types)
        TRY(rowlist_init(returned, types, plan->count, err));
    struct rowlist source = {0};
    struct exec_operator *op = NULL;
    enum lam_code rc = LAM_OK;
    struct coltype *scope_types =
        arena_calloc(&stmt->run_arena, rows->column_count, sizeof *scope_types);
    if (!scope_types)
        return mem_fail(err, rows->column_count * sizeof *scope_types);
    for (uint32_t i = 0; i < rows->column_count; i++)
        scope_types[i] = rows->columns[i].type;
    TRY_GOTO(rowlist_init(&source, scope_types, rows->column_count, err));
    for (uint32_t r = 0; r < rows->rows; r++) {
        struct colbatch *batch;
        TRY_GOTO(rowlist_batch(&source, &batch, err));
        for (uint32_t i = 0; i < rows->column_count; i++)
            TRY_GOTO(column_append_row(&batch->columns[i], &rows->columns[i], r, err));
        rowlist_added(batch);
    }
    TRY_GOTO(rows_operator(&source, &op, err));
    struct exec_operator *rows_op = op;
    op = NULL;
    TRY_GOTO(project_operator(rows_op, plan->items, plan->count, &op, err));
    rc = append_results(op, stmt, plan->count, returned, err);
out:
    operator_free(op);
    rowlist_fini(&source);
    return rc;
}

enum lam_code dml_copy_value(struct arena *arena, struct value v, struct value *out,
                             struct lam_error *err) {
    *out = v;
    if (!v.is_null && coltype_is_variable(v.type.type) && v.as.bytes.size > 0) {
        out->as.bytes.data = arena_dup(arena, v.as.bytes.data, v.as.bytes.size);
        if (!out->as.bytes.data)
            return mem_fail(err, v.as.bytes.size);
    }
    return LAM_OK;
}

bool dml_same_value(const struct value *a, const struct value *b) {
    if (a->is_null || b->is_null)
        return a->is_null && b->is_null;
    return value_cmp(a, b) == 0;
}

enum lam_code dml_keep(struct dml *d, const struct table_ref *ref, const struct value *values,
                       int64_t seq, bool written, struct lam_error *err) {
    if (!d->kept.columns)
        TRY(colbatch_init(&d->kept, ref->types, ref->scope.count, err));
    uint32_t row = d->kept.rows;
    TRY(MEM_GROW(&d->kept_stamps, &d->kept_capacity, (size_t)row + 1, err));
    LAM_ASSERT(!written || d->stamps.count > 0);
    d->kept_stamps[row] = written ? d->stamps.count - 1 : NO_STAMP;
    return dml_scope_row(d->p, values, seq, false, &d->kept, err);
}

static void stamp_column(const struct dml *d, bool is_time, uint32_t column,
                         struct rowlist *returned) {
    size_t row = 0;
    for (size_t b = 0; b < returned->count; b++) {
        struct column *c = &returned->batches[b].columns[column];
        for (uint32_t r = 0; r < returned->batches[b].rows; r++, row++) {
            size_t stamp = d->kept_stamps[row];
            if (stamp == NO_STAMP)
                continue;
            int64_t seq = (int64_t)get_le64(db_batch_value(d->batch, d->stamps.offsets[stamp]));
            if (is_time)
                seq = seq_time_us(seq);
            memcpy(c->data + (size_t)r * sizeof seq, &seq, sizeof seq);
        }
    }
}

void dml_stamp_returned(const struct dml *d, const struct returning_plan *plan, uint32_t seq_column,
                        struct rowlist *returned) {
    LAM_ASSERT(rowlist_rows(returned) == d->kept.rows);
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t column;
        if (bound_column(plan->items[i], &column) && column >= seq_column &&
            column <= seq_column + 1)
            stamp_column(d, column != seq_column, i, returned);
    }
}
