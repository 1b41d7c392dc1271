/* SPDX-License-Identifier: Apache-2.0
 *
 * Flush jobs: one live flush per table, its row in system.jobs, and its steps. A flush that fails
 * leaves the table as it was and no file. */
#include "flush/flush_job.h"

#include <stdio.h>

#include "flush/path.h"

/* Snapshots tried when indexes are made meanwhile. */
#define ATTEMPTS_MAX 4

/* --- one live flush per table --- */

static struct flush_run *find_run(struct flush *f, uint64_t table) REQUIRES(f->jobs_mu) {
    struct flush_run *r = flush_jobs(f)->runs;
    while (r && r->table != table)
        r = r->next;
    return r;
}

/* Joins the table's flush if one is running: waits for it and copies its result. */
static bool join_run(struct flush *f, struct flush_run *mine, struct flush_result *result_out,
                     enum lam_code *code_out, struct lam_error *err) {
    mutex_lock(&f->jobs_mu);
    struct flush_run *r = find_run(f, mine->table);
    if (!r) {
        mine->next = flush_jobs(f)->runs;
        flush_jobs(f)->runs = mine;
        mutex_unlock(&f->jobs_mu);
        return false;
    }
    r->waiters++;
    while (!r->done)
        cond_wait(&f->jobs_cond, &f->jobs_mu);
    *result_out = r->result;
    *code_out = r->code;
    if (r->code != LAM_OK && err)
        *err = r->error;
    r->waiters--;
    cond_broadcast(&f->jobs_cond);
    mutex_unlock(&f->jobs_mu);
    return true;
}

/* Ends a run: hands the result to those who wait, and returns when they have it. */
static void end_run(struct flush *f, struct flush_run *mine) {
    mutex_lock(&f->jobs_mu);
    struct flush_run **link = &flush_jobs(f)->runs;
    while (*link != mine)
        link = &(*link)->next;
    *link = mine->next;
    mine->done = true;
    cond_broadcast(&f->jobs_cond);
    while (mine->waiters)
        cond_wait(&f->jobs_cond, &f->jobs_mu);
    mutex_unlock(&f->jobs_mu);
}

/* --- counts of the policies --- */

/* From now on rows count for the next flush. Called before the snapshot, so that none is missed. */
static void reset_counts(struct flush_job *job) {
    struct table_cold *t = job->table;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    if (job->user_count == 0)
        g->all_known = true;
    for (size_t i = 0; i < g->slot_count && job->user_count == 0; i++) {
        g->slots[i].rows = 0;
        g->slots[i].counted = true;
    }
    for (size_t i = 0; i < job->user_count; i++) {
        struct user_state *u = table_cold_user(t, job->users[i]);
        if (u) {
            u->rows = 0;
            u->counted = true;
        }
    }
    g->rows_due = false;
    g->interval_from_us = flush_clock_us(job->flush);
    mutex_unlock(&t->mu);
}

/* After a failure: rows are counted again when they are next asked for. */
static void forget_counts(struct flush_job *job) {
    struct table_cold *t = job->table;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    g->all_known = false;
    for (size_t i = 0; i < g->slot_count; i++)
        g->slots[i].counted = false;
    mutex_unlock(&t->mu);
}

/* --- the files --- */

static void clear_pending(struct table_cold *t) {
    mutex_lock(&t->mu);
    env_names_fini(&table_cold_state(t)->pending);
    mutex_unlock(&t->mu);
}

/* Back to before the snapshot. */
static void reset_attempt(struct flush_job *job) {
    flush_remove_files(job);
    clear_pending(job->table);
    lam_snapshot_free(job->snapshot);
    job->snapshot = NULL;
    provider_unref(job->provider);
    job->provider = NULL;
    mem_free(job->files);
    mem_free(job->dead);
    mem_free(job->parents);
    job->files = NULL;
    job->dead = NULL;
    job->parents = NULL;
    job->file_count = job->file_capacity = job->dead_count = job->dead_capacity = 0;
    job->parent_count = job->parent_capacity = 0;
    job->last_parent = NULL;
    job->rows = job->bytes = 0;
    arena_reset(&job->arena);
}

static enum lam_code provider_now(const struct flush_job *job, struct table_id table,
                                  struct provider **out, struct lam_error *err) {
    enum lam_code rc = catalog_provider_by_id(job->flush->catalog, table, out, err);
    if (rc == LAM_NOT_FOUND)
        return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", job->row.namespace_name,
                       job->row.table);
    return rc;
}

/* A snapshot and the table's version at it: one taken before and the same after, so that it has
 * every schema of a row and every index that the snapshot knows. */
static enum lam_code take_snapshot(struct flush_job *job, struct table_id table,
                                   struct lam_error *err) {
    struct flush *f = job->flush;
    for (;;) {
        struct provider *before, *after;
        TRY(provider_now(job, table, &before, err));
        uint64_t generation = before->generation;
        provider_unref(before);
        TRY(lam_snapshot_new(f->db, &job->snapshot, err));
        enum lam_code rc = provider_now(job, table, &after, err);
        if (rc == LAM_OK && after->generation == generation) {
            job->provider = after;
            job->sequence = lam_snapshot_sequence(job->snapshot);
            return LAM_OK;
        }
        lam_snapshot_free(job->snapshot);
        job->snapshot = NULL;
        TRY(rc);
        provider_unref(after);
    }
}

static enum lam_code find_place(struct flush_job *job, struct lam_error *err) {
    const struct provider *p = job->provider;
    TRY(storage_place_get(job->flush, lam_slice_str(p->options.storage), &job->arena, &job->place,
                          err));
    job->template_text = path_template(p, p->kind == TABLE_USER ? job->place.user_template
                                                                : job->place.shared_template);
    return LAM_OK;
}

static enum lam_code write_files(struct flush_job *job, struct lam_error *err) {
    OWNED(buf_fini) struct buf lower = {0}, upper = {0};
    if (job->user_count == 0)
        return flush_write_range(job, SLICE_EMPTY, SLICE_EMPTY, err);
    for (size_t i = 0; i < job->user_count; i++) {
        buf_reset(&lower);
        buf_reset(&upper);
        TRY(key_put_string(&lower, job->users[i], err));
        TRY(buf_append_slice(&upper, buf_slice(&lower), err));
        key_prefix_end(&upper);
        TRY(flush_write_range(job, buf_slice(&lower), buf_slice(&upper), err));
    }
    return LAM_OK;
}

static enum lam_code set_message(struct flush_job *job, const char *more, struct lam_error *err) {
    job->row.message = arena_format(
        &job->arena, "Flushed %s.%s successfully (%llu rows, %zu files)%s", job->row.namespace_name,
        job->row.table, (unsigned long long)job->rows, job->file_count, more);
    return job->row.message ? LAM_OK : mem_fail(err, 200);
}

static void finish_row(struct flush_job *job, enum job_status status) {
    job->row.status = status;
    job->row.finished_us = catalog_now_us(job->flush->catalog);
    job->row.rows = (int64_t)job->rows;
    job->row.files = (int64_t)job->file_count;
    job->row.bytes = (int64_t)job->bytes;
    job->row.ms = (job->row.finished_us - job->row.started_us) / 1000;
}

/* One try; `*none_out`: there was nothing to flush. */
static enum lam_code attempt(struct flush_job *job, struct table_id table, bool *none_out,
                             struct lam_error *err) {
    *none_out = false;
    TRY(take_snapshot(job, table, err));
    TRY(find_place(job, err));
    TRY(write_files(job, err));
    if (job->file_count == 0) {
        *none_out = true;
        return LAM_OK;
    }
    TRY(flush_supersede(job, err));
    TRY(flush_sync_parents(job, err));
    finish_row(job, JOB_COMPLETED);
    TRY(set_message(job, "", err));
    return flush_commit(job, err);
}

/* --- the job's row --- */

static enum lam_code create_row(struct flush_job *job, const struct provider *p, const char *key,
                                struct lam_error *err) {
    struct flush *f = job->flush;
    struct job *row = &job->row;
    row->type = "flush";
    row->status = JOB_NEW;
    row->created_us = catalog_now_us(f->catalog);
    snprintf(row->namespace_name, sizeof row->namespace_name, "%s", p->namespace_name);
    snprintf(row->table, sizeof row->table, "%s", p->name);
    row->idempotency_key = (char *)(uintptr_t)key;
    enum lam_code rc = catalog_job_create(f->catalog, row, err);
    if (rc != LAM_EXISTS)
        return rc;
    /* This process runs one flush of a table at a time: that job's end could not be written. */
    struct arena arena = {0};
    struct job stale;
    rc = catalog_job_find_live(f->catalog, lam_slice_str(key), &arena, &stale, err);
    if (rc == LAM_OK) {
        stale.status = JOB_FAILED;
        stale.finished_us = catalog_now_us(f->catalog);
        stale.exception_trace = (char *)(uintptr_t) "the end of this job could not be recorded";
        rc = catalog_job_update(f->catalog, &stale, err);
    }
    arena_fini(&arena);
    return rc == LAM_OK ? catalog_job_create(f->catalog, row, err) : rc;
}

static void fail_row(struct flush_job *job, enum lam_code code, const struct lam_error *error) {
    struct arena arena = {0};
    finish_row(job, job->by_policy && code == LAM_BUSY ? JOB_CANCELLED : JOB_FAILED);
    job->row.rows = job->row.files = job->row.bytes = 0;
    job->row.message = NULL;
    job->row.exception_trace =
        arena_format(&arena, "%s: %s (%s:%d)", lam_code_name(code), error->message,
                     error->file ? error->file : "?", error->line);
    IGNORE(catalog_job_update(job->flush->catalog, &job->row, NULL),
           "the error itself is returned; at the next open the job is failed");
    arena_fini(&arena);
}

/* After the commit: derived files. Their failure is a remark on the job. */
static void export(struct flush_job *job) {
    struct lam_error error = {0};
    struct lam_slice *users = mem_calloc(job->file_count, sizeof *users);
    size_t count = 0;
    for (size_t i = 0; users && i < job->file_count; i++) {
        struct lam_slice user = job->files[i].entry.user;
        if (count == 0 || !slice_eq(users[count - 1], user))
            users[count++] = user;
    }
    enum lam_code rc = users ? export_json(job->flush, job->provider, users, count, &error)
                             : mem_fail(&error, job->file_count * sizeof *users);
    mem_free(users);
    if (rc == LAM_OK)
        return;
    char more[300];
    snprintf(more, sizeof more, "; JSON not exported: %.250s", error.message);
    if (set_message(job, more, NULL) == LAM_OK)
        IGNORE(catalog_job_update(job->flush->catalog, &job->row, NULL), "a remark only");
}

static enum lam_code run_steps(struct flush_job *job, struct table_id table, bool *none_out,
                               struct lam_error *err) {
    job->row.status = JOB_RUNNING;
    job->row.started_us = catalog_now_us(job->flush->catalog);
    TRY(catalog_job_update(job->flush->catalog, &job->row, err));
    for (int i = 1;; i++) {
        enum lam_code rc = attempt(job, table, none_out, err);
        if (rc != LAM_CONFLICT || i == ATTEMPTS_MAX)
            return rc;
        reset_attempt(job);
    }
}

static enum lam_code run_job(struct flush_job *job, const struct provider *p,
                             struct flush_result *out, struct lam_error *err) {
    char key[48];
    bool none = false;
    struct lam_error failed = {0};
    snprintf(key, sizeof key, "flush:%llu", (unsigned long long)p->table.number);
    TRY(create_row(job, p, key, err));
    snprintf(out->job_id, sizeof out->job_id, "%s", job->row.id);
    reset_counts(job);
    enum lam_code rc = run_steps(job, p->table, &none, &failed);
    if (rc == LAM_OK && none) {
        finish_row(job, JOB_SKIPPED);
        job->row.message = (char *)(uintptr_t) "no hot rows";
        rc = catalog_job_update(job->flush->catalog, &job->row, &failed);
    }
    if (rc != LAM_OK) {
        forget_counts(job);
        if (!job->keep_files)
            fail_row(job, rc, &failed);
        return error_pass(err, rc, &failed);
    }
    out->status = none ? "skipped" : "completed";
    out->rows = job->rows;
    out->files = job->file_count;
    out->bytes = job->bytes;
    if (!none) {
        job->keep_files = true;
        export(job);
    }
    return LAM_OK;
}

/* A DROP TABLE that asked for the files and then failed. One that is under way holds all stripes.
 */
static enum lam_code clear_doom(struct flush_job *job, struct provider *p, struct lam_error *err) {
    struct provider *now;
    unsigned stripe;
    if (!atomic_load(&job->table->doomed))
        return LAM_OK;
    struct lam_slice any = table_has_users(p) ? lam_slice_str("-") : SLICE_EMPTY;
    TRY(flush_lock_table(job->flush, p, any, &now, &stripe, err));
    atomic_store(&job->table->doomed, false);
    provider_write_unlock(now, stripe);
    provider_unref(now);
    return LAM_OK;
}

static enum lam_code run(struct flush *f, struct provider *p, const struct lam_slice *users,
                         size_t user_count, bool by_policy, struct flush_result *out,
                         struct lam_error *err) {
    struct flush_job job = {
        .flush = f, .users = users, .user_count = user_count, .by_policy = by_policy};
    TRY(table_cold_of(p, &job.table, err));
    table_cold_ref(job.table);
    enum lam_code rc = clear_doom(&job, p, err);
    if (rc == LAM_OK)
        rc = run_job(&job, p, out, err);
    reset_attempt(&job);
    arena_fini(&job.arena);
    table_cold_unref(job.table);
    return rc;
}

enum lam_code flush_table_users(struct flush *f, struct provider *p, const struct lam_slice *users,
                                size_t user_count, bool by_policy, struct flush_result *result_out,
                                struct lam_error *err) {
    struct flush_run mine = {.table = p->table.number};
    enum lam_code code;
    memset(result_out, 0, sizeof *result_out);
    if (p->kind != TABLE_USER && p->kind != TABLE_SHARED)
        return ERR_SQL(err, "0A000", 0, "%s table %s.%s cannot be flushed",
                       table_kind_name(p->kind), p->namespace_name, p->name);
    if (f->read_only)
        return ERR(err, LAM_READ_ONLY, "table %s.%s cannot be flushed: the database is read only",
                   p->namespace_name, p->name);
    if (join_run(f, &mine, result_out, &code, err))
        return code;
    mine.code = run(f, p, users, user_count, by_policy, &mine.result, &mine.error);
    *result_out = mine.result;
    code = mine.code;
    if (code != LAM_OK && err)
        *err = mine.error;
    end_run(f, &mine);
    return code;
}

enum lam_code flush_table(struct flush *f, struct provider *p, struct flush_result *result_out,
                          struct lam_error *err) {
    return flush_table_users(f, p, NULL, 0, false, result_out, err);
}
