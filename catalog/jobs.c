/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of system.jobs. An idempotency key is unique among the jobs that may still run (a partial
 * unique index), so two callers cannot start the same work. */
#include <stdio.h>
#include <stdlib.h>

#include "catalog/catalog_impl.h"

static const char *const status_names[] = {"new",       "queued", "running",   "retrying",
                                           "completed", "failed", "cancelled", "skipped"};

const char *job_status_name(enum job_status status) {
    LAM_ASSERT((unsigned)status <= JOB_SKIPPED);
    return status_names[status];
}

bool job_status_lookup(struct lam_slice name, enum job_status *status_out) {
    for (unsigned i = 0; i <= JOB_SKIPPED; i++) {
        if (slice_eq_str(name, status_names[i])) {
            *status_out = (enum job_status)i;
            return true;
        }
    }
    return false;
}

bool job_status_is_live(enum job_status status) {
    return status <= JOB_RETRYING;
}

static const struct {
    const char *type, *prefix;
} job_types[] = {
    {"flush", "FL"}, {"compact", "CO"}, {"cleanup", "CL"}, {"retention", "RT"}, {"backup", "BK"},
};

static int type_position(struct lam_slice type) {
    for (size_t i = 0; i < sizeof job_types / sizeof job_types[0]; i++) {
        if (slice_eq_str(type, job_types[i].type))
            return (int)i;
    }
    return -1;
}

/* --- job to record --- */

static void set_text(struct value *field, enum lam_type type, const char *text) {
    if (text)
        *field = value_bytes(type, lam_slice_str(text));
}

/* `metrics` has room for METRICS_BYTES and lives as long as the record. */
#define METRICS_BYTES 128
static void to_record(const struct job *job, struct value *record, char *metrics) {
    snprintf(metrics, METRICS_BYTES, "{\"rows\":%lld,\"files\":%lld,\"bytes\":%lld,\"ms\":%lld}",
             (long long)job->rows, (long long)job->files, (long long)job->bytes,
             (long long)job->ms);
    entity_record_init(entity_definition(ENTITY_JOBS), record);
    record[JOBS_JOB_ID] = value_text(job->id);
    record[JOBS_JOB_TYPE] = value_text(job->type);
    record[JOBS_STATUS] = value_text(job_status_name(job->status));
    set_text(&record[JOBS_NAMESPACE], LAM_TYPE_TEXT,
             job->namespace_name[0] ? job->namespace_name : NULL);
    set_text(&record[JOBS_TABLE_NAME], LAM_TYPE_TEXT, job->table[0] ? job->table : NULL);
    set_text(&record[JOBS_PARAMETERS], LAM_TYPE_JSON, job->parameters);
    set_text(&record[JOBS_MESSAGE], LAM_TYPE_TEXT, job->message);
    set_text(&record[JOBS_METRICS], LAM_TYPE_JSON, metrics);
    set_text(&record[JOBS_EXCEPTION_TRACE], LAM_TYPE_TEXT, job->exception_trace);
    set_text(&record[JOBS_IDEMPOTENCY_KEY], LAM_TYPE_TEXT, job->idempotency_key);
    record[JOBS_RETRY_COUNT] = value_i64(LAM_TYPE_INT, job->retry_count);
    record[JOBS_CREATED_AT] = value_timestamp(job->created_us);
    if (job->started_us)
        record[JOBS_STARTED_AT] = value_timestamp(job->started_us);
    if (job->finished_us)
        record[JOBS_FINISHED_AT] = value_timestamp(job->finished_us);
}

enum lam_code catalog_job_create(struct catalog *c, struct job *job, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    char metrics[METRICS_BYTES];
    int64_t number = 0;
    int type = job->type ? type_position(lam_slice_str(job->type)) : -1;
    if (type < 0)
        return ERR(err, LAM_INVALID, "there is no job type \"%s\"", job->type ? job->type : "");
    TRY(catalog_next_id(c, &number, err));
    snprintf(job->id, sizeof job->id, "%s-%lld", job_types[type].prefix, (long long)number);
    if (!job->created_us)
        job->created_us = env_now_us(c->env);
    to_record(job, record, metrics);
    return entity_insert(c->stores[ENTITY_JOBS], record, LAM_DURABILITY_DEFAULT, err);
}

enum lam_code catalog_job_batch(struct catalog *c, const struct job *job, lam_batch *batch,
                                struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    char metrics[METRICS_BYTES];
    to_record(job, record, metrics);
    return entity_batch_put(c->stores[ENTITY_JOBS], batch, record, err);
}

enum lam_code catalog_job_update(struct catalog *c, const struct job *job, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    char metrics[METRICS_BYTES];
    to_record(job, record, metrics);
    return entity_update(c->stores[ENTITY_JOBS], record, LAM_DURABILITY_DEFAULT, err);
}

/* --- record to job --- */

static enum lam_code dup_text(const struct value *v, struct arena *arena, char **out,
                              struct lam_error *err) {
    *out = NULL;
    if (v->is_null)
        return LAM_OK;
    *out = arena_strdup_slice(arena, v->as.bytes);
    return *out ? LAM_OK : mem_fail(err, v->as.bytes.size + 1);
}

static bool copy_name(const struct value *v, char *out, size_t room) {
    out[0] = 0;
    if (v->is_null)
        return true;
    if (v->as.bytes.size >= room)
        return false;
    memcpy(out, v->as.bytes.data, v->as.bytes.size);
    out[v->as.bytes.size] = 0;
    return true;
}

/* One number of the metrics as to_record writes them. */
static int64_t metric(const char *metrics, const char *name) {
    const char *at = metrics ? strstr(metrics, name) : NULL;
    return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

static int64_t time_or_zero(const struct value *v) {
    return v->is_null ? 0 : v->as.i64;
}

static enum lam_code from_record(const struct value *record, struct arena *arena, struct job *out,
                                 struct lam_error *err) {
    char *metrics = NULL;
    memset(out, 0, sizeof *out);
    int type = type_position(record[JOBS_JOB_TYPE].as.bytes);
    if (type < 0 || !job_status_lookup(record[JOBS_STATUS].as.bytes, &out->status) ||
        !copy_name(&record[JOBS_JOB_ID], out->id, sizeof out->id) ||
        !copy_name(&record[JOBS_NAMESPACE], out->namespace_name, sizeof out->namespace_name) ||
        !copy_name(&record[JOBS_TABLE_NAME], out->table, sizeof out->table))
        return ERR(err, LAM_CORRUPT, "system.jobs: a record is malformed");
    out->type = job_types[type].type;
    TRY(dup_text(&record[JOBS_PARAMETERS], arena, &out->parameters, err));
    TRY(dup_text(&record[JOBS_MESSAGE], arena, &out->message, err));
    TRY(dup_text(&record[JOBS_EXCEPTION_TRACE], arena, &out->exception_trace, err));
    TRY(dup_text(&record[JOBS_IDEMPOTENCY_KEY], arena, &out->idempotency_key, err));
    TRY(dup_text(&record[JOBS_METRICS], arena, &metrics, err));
    out->rows = metric(metrics, "\"rows\":");
    out->files = metric(metrics, "\"files\":");
    out->bytes = metric(metrics, "\"bytes\":");
    out->ms = metric(metrics, "\"ms\":");
    out->retry_count = (int32_t)record[JOBS_RETRY_COUNT].as.i64;
    out->created_us = record[JOBS_CREATED_AT].as.i64;
    out->started_us = time_or_zero(&record[JOBS_STARTED_AT]);
    out->finished_us = time_or_zero(&record[JOBS_FINISHED_AT]);
    return LAM_OK;
}

enum lam_code catalog_job_get(struct catalog *c, struct lam_slice id, struct arena *arena,
                              struct job *out, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct value key = value_slice(id);
    TRY(entity_get(c->stores[ENTITY_JOBS], NULL, &key, arena, record, err));
    return from_record(record, arena, out, err);
}

struct job_search {
    struct arena *arena;
    struct job *out;
    struct lam_error *err;
    bool found;
    enum lam_code rc;
};

static bool take_job(void *arg, const struct value *record) {
    struct job_search *s = arg;
    s->found = true;
    s->rc = from_record(record, s->arena, s->out, s->err);
    return false;
}

enum lam_code catalog_job_find_live(struct catalog *c, struct lam_slice idempotency_key,
                                    struct arena *arena, struct job *out, struct lam_error *err) {
    struct job_search s = {.arena = arena, .out = out, .err = err};
    struct buf prefix = {0};
    enum lam_code rc = LAM_OK;
    TRY_GOTO(key_put_string(&prefix, idempotency_key, err));
    TRY_GOTO(entity_scan_index(c->stores[ENTITY_JOBS], NULL, "idempotency_key", buf_slice(&prefix),
                               take_job, &s, err));
    rc = s.found ? s.rc : ERR(err, LAM_NOT_FOUND, "no live job has this idempotency key");
out:
    buf_fini(&prefix);
    return rc;
}

enum lam_code job_check(const struct value *record, struct arena *arena, struct lam_error *err) {
    struct job job;
    TRY(from_record(record, arena, &job, err));
    const char *prefix = job_types[type_position(record[JOBS_JOB_TYPE].as.bytes)].prefix;
    bool ended = !job_status_is_live(job.status);
    bool began = job.status == JOB_RUNNING || job.status == JOB_COMPLETED;
    if (strncmp(job.id, prefix, strlen(prefix)) != 0 || ended != (job.finished_us != 0) ||
        (began && job.started_us == 0) || job.rows < 0 || job.files < 0 || job.bytes < 0)
        return ERR(err, LAM_CORRUPT, "job %s can't be %s as it stands", job.id,
                   job_status_name(job.status));
    return LAM_OK;
}

/* --- many at once --- */

struct job_list {
    struct arena *arena;
    struct job **jobs; /* owned array */
    size_t count, capacity;
    enum lam_code rc;
    struct lam_error *err;
};

static enum lam_code list_job(struct job_list *list, const struct value *record) {
    struct job job;
    TRY(from_record(record, list->arena, &job, list->err));
    if (!job_status_is_live(job.status))
        return LAM_OK;
    struct job *copy = arena_dup(list->arena, &job, sizeof job);
    if (!copy)
        return mem_fail(list->err, sizeof job);
    TRY(MEM_GROW(&list->jobs, &list->capacity, list->count + 1, list->err));
    list->jobs[list->count++] = copy;
    return LAM_OK;
}

static bool list_one(void *arg, const struct value *record) {
    struct job_list *list = arg;
    list->rc = list_job(list, record);
    return list->rc == LAM_OK;
}

/* Live jobs through the index by status: a long history costs nothing at open. */
static enum lam_code scan_live_jobs(struct catalog *c, struct job_list *list,
                                    struct lam_error *err) {
    list->err = err;
    for (unsigned status = JOB_NEW; status <= JOB_RETRYING; status++) {
        struct buf prefix = {0};
        enum lam_code rc = key_put_string(&prefix, lam_slice_str(status_names[status]), err);
        if (rc == LAM_OK)
            rc = entity_scan_index(c->stores[ENTITY_JOBS], NULL, "status_created_at",
                                   buf_slice(&prefix), list_one, list, err);
        buf_fini(&prefix);
        TRY(rc);
        TRY(list->rc);
    }
    return LAM_OK;
}

enum lam_code jobs_fail_interrupted(struct catalog *c, struct lam_error *err) {
    struct arena arena = {0};
    struct job_list list = {.arena = &arena};
    static char message[] = "interrupted by a restart";
    enum lam_code rc = scan_live_jobs(c, &list, err);
    for (size_t i = 0; rc == LAM_OK && i < list.count; i++) {
        struct job *job = list.jobs[i];
        job->status = JOB_FAILED;
        job->message = message;
        job->finished_us = env_now_us(c->env);
        rc = catalog_job_update(c, job, err);
    }
    mem_free(list.jobs);
    arena_fini(&arena);
    return rc;
}
