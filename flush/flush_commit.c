/* SPDX-License-Identifier: Apache-2.0
 *
 * The one atomic event: segment entries, dead rows of older segments, removal of the flushed
 * versions from the hot partition and all index partitions, the job's row. Before it nothing has
 * happened, after it everything.
 *
 * It is made under one stripe of the table, which DDL takes all of: so no index and no DROP can
 * come between the look at the table's present version and the commit. Writers of other stripes go
 * on; what they write has a higher sequence than the snapshot and stays. */
#include "flush/flush_job.h"

static enum lam_code put_entries(struct flush_job *job, lam_batch *batch, struct buf *key,
                                 struct buf *bytes, struct lam_error *err) {
    lam_partition *segments = job->provider->segments;
    for (size_t i = 0; i < job->file_count; i++) {
        const struct segment *e = &job->files[i].entry;
        buf_reset(key);
        buf_reset(bytes);
        TRY(segment_key(e->user, SEGMENT_KIND_ENTRY, e->number, key, err));
        TRY(segment_encode(e, bytes, err));
        TRY(lam_batch_put(batch, segments, buf_slice(key), buf_slice(bytes), err));
    }
    for (size_t i = 0; i < job->dead_count; i++) {
        const struct dead_update *u = &job->dead[i];
        buf_reset(key);
        buf_reset(bytes);
        TRY(segment_key(u->user, SEGMENT_KIND_DEAD, u->number, key, err));
        TRY(dead_rows_encode(u->bits, u->rows, bytes, err));
        TRY(lam_batch_put(batch, segments, buf_slice(key), buf_slice(bytes), err));
    }
    return LAM_OK;
}

/* The next number as it is; frees what was reserved beyond. */
static enum lam_code put_next_number(struct flush_job *job, lam_batch *batch, uint64_t *next_out,
                                     struct lam_error *err) {
    uint8_t next[8];
    mutex_lock(&job->table->mu);
    *next_out = table_cold_state(job->table)->next_number;
    mutex_unlock(&job->table->mu);
    put_le64(next, *next_out);
    return lam_batch_put(batch, job->provider->segments, segment_next_key(),
                         lam_slice_of(next, sizeof next), err);
}

/* Removes the flushed versions of a key range from the hot tier. */
static enum lam_code remove_range(const struct provider *now, uint64_t sequence,
                                  struct lam_slice from, struct lam_slice to, lam_batch *batch,
                                  struct lam_error *err) {
    TRY(lam_batch_delete_range(batch, now->hot, from, to, sequence, err));
    for (uint32_t i = 0; i < now->index_count; i++)
        TRY(lam_batch_delete_range(batch, now->indexes[i].partition, from, to, sequence, err));
    return LAM_OK;
}

static enum lam_code remove_hot(struct flush_job *job, const struct provider *now, lam_batch *batch,
                                struct buf *from, struct buf *to, struct lam_error *err) {
    if (job->user_count == 0)
        return remove_range(now, job->sequence, lam_slice_of("\0", 1), SLICE_EMPTY, batch, err);
    for (size_t i = 0; i < job->user_count; i++) {
        buf_reset(from);
        buf_reset(to);
        TRY(key_put_string(from, job->users[i], err));
        TRY(buf_append_slice(to, buf_slice(from), err));
        key_prefix_end(to);
        TRY(remove_range(now, job->sequence, buf_slice(from), buf_slice(to), batch, err));
    }
    return LAM_OK;
}

static bool had_index(const struct provider *p, uint32_t number) {
    for (uint32_t i = 0; i < p->index_count; i++) {
        if (p->indexes[i].number == number)
            return true;
    }
    return false;
}

/* The entries of an index made after the snapshot are younger than it: they would outlive their
 * rows. */
static enum lam_code check_indexes(const struct flush_job *job, const struct provider *now,
                                   struct lam_error *err) {
    for (uint32_t i = 0; i < now->index_count; i++) {
        if (!had_index(job->provider, now->indexes[i].number))
            return ERR(err, LAM_CONFLICT, "index %s was made while the table was flushed",
                       now->indexes[i].name);
    }
    return LAM_OK;
}

enum lam_code flush_lock_table(struct flush *f, const struct provider *p, struct lam_slice user,
                               struct provider **now_out, unsigned *stripe_out,
                               struct lam_error *err) {
    for (;;) {
        struct provider *now;
        enum lam_code rc = catalog_provider_by_id(f->catalog, p->table, &now, err);
        if (rc == LAM_NOT_FOUND)
            return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", p->namespace_name, p->name);
        if (rc != LAM_OK)
            return rc;
        rc = provider_write_lock(now, user, stripe_out, err);
        if (rc == LAM_OK) {
            *now_out = now;
            return LAM_OK;
        }
        provider_unref(now);
        if (rc != LAM_CONFLICT)
            return rc;
    }
}

static enum lam_code write_batch(struct flush_job *job, lam_batch *batch, uint64_t next_number,
                                 uint64_t *sequence_out, struct lam_error *err) {
    struct table_cold *t = job->table;
    struct lam_write_options options = {.durability = LAM_DURABILITY_OS};
    uint64_t epoch = atomic_load(&t->epoch);
    atomic_store(&t->has_segments, true);
    atomic_store(&t->epoch, epoch + 1);
    enum lam_code rc = lam_write(job->flush->db, &options, batch, sequence_out, err);
    if (rc == LAM_OK)
        atomic_store(&t->last_commit, *sequence_out);
    else if (rc == LAM_UNKNOWN_OUTCOME)
        atomic_store(&t->last_commit, UINT64_MAX);
    atomic_store(&t->epoch, epoch + 2);
    if (rc == LAM_OK) {
        mutex_lock(&t->mu);
        table_cold_state(t)->reserved_number = next_number;
        mutex_unlock(&t->mu);
    }
    return rc;
}

enum lam_code flush_commit(struct flush_job *job, struct lam_error *err) {
    struct flush *f = job->flush;
    OWNED(buf_fini) struct buf a = {0}, b = {0};
    OWNED(provider_unref_at) struct provider *now = NULL;
    OWNED(lam_batch_free_at) lam_batch *batch = NULL;
    unsigned stripe = 0;
    uint64_t sequence = 0, next_number;
    bool written = false;
    enum lam_code rc = LAM_OK;
    LAM_ASSERT(job->file_count > 0 && job->row.status == JOB_COMPLETED);
    TRY(lam_batch_new(f->db, &batch, err));
    TRY(put_entries(job, batch, &a, &b, err));
    TRY(put_next_number(job, batch, &next_number, err));
    TRY(catalog_job_batch(f->catalog, &job->row, batch, err));
    TRY(flush_lock_table(f, job->provider, job->files[0].entry.user, &now, &stripe, err));
    rc = check_indexes(job, now, err);
    if (rc == LAM_OK)
        rc = remove_hot(job, now, batch, &a, &b, err);
    if (rc == LAM_OK) {
        rc = write_batch(job, batch, next_number, &sequence, err);
        written = rc == LAM_OK || rc == LAM_UNKNOWN_OUTCOME;
    }
    provider_write_unlock(now, stripe);
    /* From here on files may be named by the catalog: they stay whatever happens. */
    job->keep_files = written;
    if (rc == LAM_OK)
        rc = lam_sync(f->db, sequence, err);
    return rc;
}
