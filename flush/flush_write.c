/* SPDX-License-Identifier: Apache-2.0
 *
 * Hot rows into Parquet files. Hot keys are ordered by user, so one file is written at a time,
 * however many users there are. Finished files are published some at a time: all are synced, then
 * all renamed, then their directories synced, so that a file system's journal commits once for
 * many. */
#include <stdio.h>

#include "flush/cold_keys.h"
#include "flush/flush_job.h"
#include "flush/hot_scan.h"
#include "flush/path.h"

/* The file being written. */
struct file_writer {
    struct flush_job *job;
    struct parquet_writer *writer; /* owned; NULL: none is open */
    struct colbatch batch;         /* rows on their way */
    uint32_t *ids;                 /* columns: the schema's, then the system's; owned */
    uint32_t id_count;
    struct parquet_field *fields; /* owned */
    uint32_t *sort;               /* fields of the key; owned */
    uint32_t sort_count;          /* 0: the file's order is not Parquet's */

    struct buf prefix; /* key_put_string of the user */
    struct lam_slice user;
    char *directory; /* of the job's arena */
    char *full_path;
    char *tmp_path;
    struct segment entry;
    struct buf first_key, last_key;
};

enum lam_code flush_check_stop(const struct flush_job *job, struct lam_error *err) {
    if (job->by_policy && atomic_load(&job->flush->stopping))
        return ERR(err, LAM_BUSY, "the database is closing");
    if (atomic_load(&job->provider->shared->dropped))
        return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", job->provider->namespace_name,
                       job->provider->name);
    return LAM_OK;
}

/* --- columns --- */

/* Whether the bytewise order of encoded keys is that of Parquet for a type. Floats: NaN and the
 * two zeros differ. */
static bool order_is_parquets(enum lam_type t) {
    return !coltype_is_float(t);
}

static bool is_indexed(const struct provider *p, uint32_t id) {
    for (uint32_t i = 0; i < p->index_count; i++) {
        for (uint32_t k = 0; k < p->indexes[i].column_count; k++) {
            if (p->indexes[i].column_ids[k] == id)
                return true;
        }
    }
    return false;
}

static void add_field(struct file_writer *w, uint32_t id, const char *name, struct coltype type,
                      bool nullable, bool is_bloom) {
    w->fields[w->id_count] = (struct parquet_field){.name = name,
                                                    .type = type,
                                                    .nullable = nullable,
                                                    .field_id = (int32_t)id,
                                                    .is_bloom = is_bloom};
    w->ids[w->id_count++] = id;
}

static enum lam_code make_fields(struct file_writer *w, struct lam_error *err) {
    const struct provider *p = w->job->provider;
    const struct schema *s = p->schema;
    size_t most = s->column_count + 3u;
    w->ids = mem_calloc(most, sizeof *w->ids);
    w->fields = mem_calloc(most, sizeof *w->fields);
    w->sort = mem_calloc(s->key_count + 1u, sizeof *w->sort);
    OWNED(mem_free_at) struct coltype *types = mem_calloc(most, sizeof *types);
    if (!w->ids || !w->fields || !w->sort || !types)
        return mem_fail(err, most * sizeof *w->fields);
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct schema_column *c = &s->columns[i];
        bool key = c->key_position >= 0;
        add_field(w, c->id, c->name, c->type, !key, key || is_indexed(p, c->id));
    }
    add_field(w, COLUMN_ID_SEQ, "_seq", coltype_of(LAM_TYPE_BIGINT), false, false);
    add_field(w, COLUMN_ID_UPDATED, "_updated", coltype_of(LAM_TYPE_TIMESTAMP), true, false);
    add_field(w, COLUMN_ID_DELETED, "_deleted", coltype_of(LAM_TYPE_BOOLEAN), true, false);
    bool ordered = true;
    for (uint32_t i = 0; i < s->key_count; i++) {
        w->sort[i] = s->key[i];
        ordered = ordered && order_is_parquets(s->columns[s->key[i]].type.type);
    }
    w->sort_count = ordered ? s->key_count : 0;
    for (uint32_t i = 0; i < w->id_count; i++)
        types[i] = w->fields[i].type;
    return colbatch_init(&w->batch, types, w->id_count, err);
}

/* --- names --- */

static enum lam_code take_number(struct flush_job *job, uint64_t *number_out,
                                 struct lam_error *err) {
    struct table_cold *t = job->table;
    uint32_t reserved = job->flush->tuning.numbers_reserved;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    uint64_t number = g->next_number;
    bool reserve = number >= g->reserved_number;
    mutex_unlock(&t->mu);
    /* One flush of a table runs at a time: nobody else takes numbers. */
    if (reserve) {
        uint8_t next[8];
        put_le64(next, number + reserved);
        TRY(lam_put(job->flush->db, NULL, job->provider->segments, segment_next_key(),
                    lam_slice_of(next, sizeof next), err));
    }
    mutex_lock(&t->mu);
    g = table_cold_state(t);
    g->next_number = number + 1;
    if (reserve)
        g->reserved_number = number + reserved;
    mutex_unlock(&t->mu);
    *number_out = number;
    return LAM_OK;
}

/* Names a file to DROP TABLE before it exists. */
static enum lam_code announce(struct flush_job *job, const char *path, struct lam_error *err) {
    struct table_cold *t = job->table;
    mutex_lock(&t->mu);
    bool doomed = atomic_load(&t->doomed);
    enum lam_code rc = doomed ? LAM_OK : env_names_add(&table_cold_state(t)->pending, path, err);
    mutex_unlock(&t->mu);
    if (doomed)
        return ERR_SQL(err, "42P01", 0, "table %s.%s was dropped", job->provider->namespace_name,
                       job->provider->name);
    return rc;
}

static enum lam_code note_parent(struct flush_job *job, const char *path, struct lam_error *err) {
    TRY(MEM_GROW(&job->parents, &job->parent_capacity, job->parent_count + 1, err));
    char *copy = arena_strdup(&job->arena, path);
    if (!copy)
        return mem_fail(err, strlen(path));
    job->parents[job->parent_count++] = copy;
    return LAM_OK;
}

/* Notes the directories above `directory` for one sync at the job's end, up to the database
 * directory or, for a storage outside of it, to the root. Also those that exist already: an earlier
 * job may have made them, and failed or been killed before it synced. */
static enum lam_code note_parents(struct flush_job *job, const char *directory,
                                  struct lam_error *err) {
    bool ours = path_base_is_ours(job->place.base);
    size_t stop = ours ? strlen(job->flush->directory) : 1;
    OWNED(buf_fini) struct buf parent = {0};
    const char *at = directory, *text;
    size_t first = job->parent_count;
    while (strlen(at) > stop) {
        TRY(env_path_parent(&parent, at, &text, err));
        /* The users of a table mostly share a parent: then all above it is noted too. */
        if (at == directory && job->last_parent && !strcmp(job->last_parent, text))
            break;
        TRY(note_parent(job, text, err));
        at = job->parents[job->parent_count - 1];
    }
    if (job->parent_count > first)
        job->last_parent = job->parents[first];
    return LAM_OK;
}

static enum lam_code make_directory(struct flush_job *job, const char *directory,
                                    struct lam_error *err) {
    lam_env *env = job->flush->env;
    enum lam_path_kind kind;
    OWNED(buf_fini) struct buf parent = {0};
    const char *text;
    TRY(note_parents(job, directory, err));
    TRY(env_path_kind(env, directory, &kind, err));
    if (kind == LAM_PATH_DIRECTORY)
        return LAM_OK;
    TRY(env_path_parent(&parent, directory, &text, err));
    TRY(env_path_kind(env, text, &kind, err));
    return kind == LAM_PATH_DIRECTORY ? env->ops->dir_create(env, directory, err)
                                      : env_dir_create_all(env, directory, err);
}

enum lam_code flush_sync_parents(struct flush_job *job, struct lam_error *err) {
    bool ours = path_base_is_ours(job->place.base);
    for (size_t i = 0; i < job->parent_count; i++) {
        struct lam_error local = {0};
        enum lam_code rc = env_dir_sync(job->flush->env, job->parents[i], &local);
        /* A folder that we may not read, above a storage, is none that we have made. */
        if (rc == LAM_OK || (rc == LAM_DENIED && !ours))
            continue;
        return error_pass(err, rc, &local);
    }
    return LAM_OK;
}

static enum lam_code make_paths(struct file_writer *w, struct lam_error *err) {
    struct flush_job *job = w->job;
    struct flush *f = job->flush;
    OWNED(buf_fini) struct buf path = {0};
    char name[SEGMENT_NAME_BYTES];
    TRY(path_expand(job->template_text, job->provider, w->user, &path, err));
    size_t directory_bytes = path.size;
    TRY(take_number(job, &w->entry.number, err));
    path_file_name(w->entry.number, segment_file_tag(f, job->provider->table, w->entry.number),
                   name);
    if (directory_bytes)
        TRY(buf_append_u8(&path, '/', err));
    TRY(buf_append_str(&path, name, err));
    w->entry.path = lam_slice_str(arena_strdup_slice(&job->arena, buf_slice(&path)));
    buf_reset(&path);
    TRY(path_in_base(f->directory, job->place.base, w->entry.path, &path, err));
    w->full_path = arena_strdup_slice(&job->arena, buf_slice(&path));
    w->tmp_path = w->full_path ? arena_format(&job->arena, "%s.tmp", w->full_path) : NULL;
    w->directory =
        arena_strdup_slice(&job->arena, lam_slice_of(path.data, path.size - strlen(name) - 1));
    if (!w->entry.path.data || !w->full_path || !w->tmp_path || !w->directory)
        return mem_fail(err, path.size);
    return LAM_OK;
}

/* What DROP TABLE is to be told: relative to the database directory where the base is. */
static enum lam_code announce_file(struct file_writer *w, struct lam_error *err) {
    struct flush *f = w->job->flush;
    size_t skip = w->job->place.base[0] == '/' ? 0 : strlen(f->directory) + 1;
    return announce(w->job, w->full_path + skip, err);
}

/* --- a file --- */

static enum lam_code open_writer(struct file_writer *w, struct lam_error *err) {
    struct flush_job *job = w->job;
    const struct provider *p = job->provider;
    char table[24], version[16];
    snprintf(table, sizeof table, "%llu", (unsigned long long)p->table.number);
    snprintf(version, sizeof version, "%u", p->schema->version);
    struct parquet_pair pairs[3] = {
        {lam_slice_str("lamina.table_id"), lam_slice_str(table)},
        {lam_slice_str("lamina.schema_version"), lam_slice_str(version)},
        {lam_slice_str("lamina.user"), w->user},
    };
    struct parquet_write_options options = {.lz4 = p->options.lz4,
                                            .row_group_rows = job->flush->tuning.row_group_rows,
                                            .page_rows = job->flush->tuning.page_rows,
                                            .sort = w->sort,
                                            .sort_count = w->sort_count,
                                            .pairs = pairs,
                                            .pair_count = w->user.size ? 3 : 2};
    return parquet_writer_open(job->flush->env, w->tmp_path, w->fields, w->id_count, &options,
                               &w->writer, err);
}

/* The files of a dropped table with the same folder may be removed meanwhile, and the folder with
 * them, as long as it is empty. */
#define FOLDER_TRIES 3
static enum lam_code open_in_folder(struct file_writer *w, struct lam_error *err) {
    enum lam_code rc = LAM_NOT_FOUND;
    for (int i = 0; rc == LAM_NOT_FOUND && i < FOLDER_TRIES; i++) {
        rc = make_directory(w->job, w->directory, err);
        if (rc == LAM_OK)
            rc = open_writer(w, err);
    }
    return rc;
}

static enum lam_code open_file(struct file_writer *w, struct lam_error *err) {
    struct flush_job *job = w->job;
    LAM_ASSERT(!w->writer && w->batch.rows == 0);
    TRY(flush_check_stop(job, err));
    TRY(MEM_GROW(&job->files, &job->file_capacity, job->file_count + 1, err));
    memset(&w->entry, 0, sizeof w->entry);
    w->entry.user = w->user;
    w->entry.min_seq = INT64_MAX;
    w->entry.max_seq = INT64_MIN;
    buf_reset(&w->first_key);
    TRY(make_paths(w, err));
    TRY(announce_file(w, err));
    /* On the list before there is one: who removes the job's files looks for both names. */
    job->files[job->file_count++] = (struct flush_file){
        .full_path = w->full_path, .tmp_path = w->tmp_path, .directory = w->directory};
    return open_in_folder(w, err);
}

static enum lam_code put_batch(struct file_writer *w, struct lam_error *err) {
    if (w->batch.rows == 0)
        return LAM_OK;
    TRY(parquet_writer_append(w->writer, &w->batch, err));
    colbatch_reset(&w->batch);
    return LAM_OK;
}

static enum lam_code put_seq_pair(struct file_writer *w, const char *key, int64_t seq,
                                  struct lam_error *err) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)seq);
    return parquet_writer_add_pair(w->writer, lam_slice_str(key), lam_slice_str(text), err);
}

static enum lam_code keep_bytes(struct flush_job *job, const struct buf *bytes,
                                struct lam_slice *out, struct lam_error *err) {
    void *copy = arena_dup(&job->arena, bytes->data, bytes->size);
    *out = lam_slice_of(copy, bytes->size);
    return copy ? LAM_OK : mem_fail(err, bytes->size);
}

/* A bound as the entry keeps it; left out if it is long. */
static enum lam_code encode_bound(struct flush_job *job, struct coltype type,
                                  struct parquet_value v, struct lam_slice *out, bool *kept_out,
                                  struct lam_error *err) {
    OWNED(buf_fini) struct buf key = {0};
    TRY(segment_bound_encode(type, v, &key, err));
    *kept_out = key.size <= SEGMENT_BOUND_BYTES;
    return *kept_out ? keep_bytes(job, &key, out, err) : LAM_OK;
}

static enum lam_code describe_columns(struct file_writer *w, const struct parquet_summary *summary,
                                      struct lam_error *err) {
    struct flush_job *job = w->job;
    LAM_ASSERT(summary->field_count == w->id_count);
    w->entry.columns = arena_calloc(&job->arena, w->id_count, sizeof *w->entry.columns);
    if (!w->entry.columns)
        return mem_fail(err, w->id_count * sizeof *w->entry.columns);
    w->entry.column_count = w->id_count;
    for (uint32_t i = 0; i < w->id_count; i++) {
        const struct parquet_bounds *b = &summary->bounds[i];
        struct segment_column *c = &w->entry.columns[i];
        bool min_kept = false, max_kept = false;
        c->column_id = w->ids[i];
        c->type = w->fields[i].type;
        c->type.length = 0;
        c->has_null_count = b->has_null_count;
        c->null_count = b->null_count;
        if (!b->present)
            continue;
        TRY(encode_bound(job, c->type, b->min, &c->min, &min_kept, err));
        TRY(encode_bound(job, c->type, b->max, &c->max, &max_kept, err));
        c->has_bounds = min_kept && max_kept;
        c->min_exact = b->min_exact;
        c->max_exact = b->max_exact;
    }
    return LAM_OK;
}

static enum lam_code describe(struct file_writer *w, const struct parquet_summary *summary,
                              struct lam_error *err) {
    struct flush_job *job = w->job;
    struct segment *e = &w->entry;
    LAM_ASSERT(summary->rows == e->rows);
    e->storage = lam_slice_str(job->provider->options.storage);
    e->bytes = summary->bytes;
    e->footer_hash = summary->footer_hash;
    e->schema_version = job->provider->schema->version;
    e->created_us = job->row.started_us;
    TRY(keep_bytes(job, &w->first_key, &e->first_key, err));
    TRY(keep_bytes(job, &w->last_key, &e->last_key, err));
    return describe_columns(w, summary, err);
}

static enum lam_code sync_and_close(struct flush_file *f, struct lam_error *err) {
    lam_file *file = f->file;
    f->file = NULL;
    enum lam_code rc = env_file_sync(file, err);
    enum lam_code closed = env_file_close(file, rc == LAM_OK ? err : NULL);
    return rc == LAM_OK ? closed : rc;
}

static enum lam_code publish_files(struct flush_job *job, struct lam_error *err) {
    lam_env *env = job->flush->env;
    if (job->file_count == job->published_count)
        return LAM_OK;
    struct flush_file *first = job->files + job->published_count;
    struct flush_file *end = job->files + job->file_count;
    for (struct flush_file *f = first; f < end; f++)
        TRY(sync_and_close(f, err));
    for (struct flush_file *f = first; f < end; f++)
        TRY(env_path_rename(env, f->tmp_path, f->full_path, err));
    for (struct flush_file *f = first; f < end; f++)
        if (f == first || strcmp(f->directory, f[-1].directory) != 0)
            TRY(env_dir_sync(env, f->directory, err));
    job->published_count = job->file_count;
    return LAM_OK;
}

static enum lam_code close_file(struct file_writer *w, struct lam_error *err) {
    struct flush_job *job = w->job;
    OWNED(parquet_summary_fini) struct parquet_summary summary = {0};
    if (!w->writer)
        return LAM_OK;
    TRY(put_batch(w, err));
    TRY(put_seq_pair(w, "lamina.min_seq", w->entry.min_seq, err));
    TRY(put_seq_pair(w, "lamina.max_seq", w->entry.max_seq, err));
    struct parquet_writer *writer = w->writer;
    struct flush_file *f = &job->files[job->file_count - 1];
    w->writer = NULL;
    TRY(parquet_writer_release(writer, &summary, &f->file, err));
    TRY(describe(w, &summary, err));
    f->entry = w->entry;
    job->rows += w->entry.rows;
    job->bytes += w->entry.bytes;
    bool wait = job->file_count - job->published_count < job->flush->tuning.publish_files;
    return wait ? LAM_OK : publish_files(job, err);
}

void flush_remove_files(struct flush_job *job) {
    lam_env *env = job->flush->env;
    for (size_t i = 0; i < job->file_count; i++) {
        struct flush_file *f = &job->files[i];
        if (f->file)
            IGNORE(env_file_close(f->file, NULL), "the job has failed already");
        f->file = NULL;
        if (job->keep_files)
            continue;
        IGNORE(env_file_remove(env, f->full_path, NULL), "else an orphan at open");
        IGNORE(env_file_remove(env, f->tmp_path, NULL), "mostly renamed");
        /* A power loss must not bring it back where nobody would look once the table is dropped. */
        bool last = i + 1 == job->file_count || strcmp(f->directory, f[1].directory) != 0;
        if (last && !path_base_is_ours(job->place.base))
            IGNORE(env_dir_sync(env, f->directory, NULL), "as good as not removed");
    }
    job->file_count = job->published_count = 0;
}

/* --- rows --- */

static bool is_same_user(const struct file_writer *w, struct lam_slice key) {
    return slice_starts_with(key, buf_slice(&w->prefix));
}

static enum lam_code begin_user(struct file_writer *w, struct lam_slice key,
                                struct lam_error *err) {
    struct cursor c = cursor_of(key);
    TRY(close_file(w, err));
    TRY(key_get_string(&c, &w->job->arena, &w->user, err));
    if (user_id_check(w->user, NULL) != LAM_OK)
        return ERR(err, LAM_CORRUPT, "partition %s: a row's key begins with what is no user id",
                   lam_partition_name(w->job->provider->hot));
    void *copy = arena_dup(&w->job->arena, w->user.data, w->user.size);
    if (!copy)
        return mem_fail(err, w->user.size);
    w->user.data = copy;
    buf_reset(&w->prefix);
    return buf_append(&w->prefix, key.data, cursor_offset(&c), err);
}

static bool is_cut_due(const struct file_writer *w) {
    const struct flush_tuning *t = &w->job->flush->tuning;
    return w->entry.rows >= t->cut_rows || parquet_writer_bytes(w->writer) >= t->cut_bytes;
}

static enum lam_code add_row(struct file_writer *w, struct lam_slice key, struct lam_slice row,
                             struct lam_error *err) {
    struct provider *p = w->job->provider;
    struct row_header header;
    const struct schema *written;
    TRY(row_header_decode(row, &header, err));
    TRY(hot_row_schema(p, &header, &written, err));
    if (!w->writer)
        TRY(open_file(w, err));
    TRY(row_append_columns(row, written, p->schema, w->ids, w->id_count, w->batch.columns, err));
    w->batch.rows++;
    struct segment *e = &w->entry;
    struct buf *at = &w->last_key;
    buf_reset(at);
    TRY(buf_append(at, key.data + w->prefix.size, key.size - w->prefix.size, err));
    if (e->rows++ == 0)
        TRY(buf_append_slice(&w->first_key, buf_slice(at), err));
    e->deleted_rows += header.deleted;
    e->min_seq = header.seq < e->min_seq ? header.seq : e->min_seq;
    e->max_seq = header.seq > e->max_seq ? header.seq : e->max_seq;
    if (!colbatch_is_full(&w->batch) && w->batch.rows < w->job->flush->tuning.batch_rows)
        return LAM_OK;
    TRY(put_batch(w, err));
    TRY(flush_check_stop(w->job, err));
    return is_cut_due(w) ? close_file(w, err) : LAM_OK;
}

static enum lam_code write_rows(struct file_writer *w, lam_iter *it, struct lam_error *err) {
    bool has_users = table_has_users(w->job->provider);
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice key = lam_iter_key(it);
        if (has_users && (w->prefix.size == 0 || !is_same_user(w, key)))
            TRY(begin_user(w, key, err));
        TRY(add_row(w, key, lam_iter_value(it), err));
    }
    TRY(lam_iter_status(it, err));
    TRY(close_file(w, err));
    return publish_files(w->job, err);
}

static void file_writer_fini(struct file_writer *w) {
    parquet_writer_abort(w->writer);
    if (w->ids)
        colbatch_fini(&w->batch);
    mem_free(w->ids);
    mem_free(w->fields);
    mem_free(w->sort);
    buf_fini(&w->prefix);
    buf_fini(&w->first_key);
    buf_fini(&w->last_key);
}

enum lam_code flush_write_range(struct flush_job *job, struct lam_slice lower,
                                struct lam_slice upper, struct lam_error *err) {
    struct lam_read_options options = {.snapshot = job->snapshot, .lower = lower, .upper = upper};
    OWNED(file_writer_fini) struct file_writer w = {.job = job};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    TRY(make_fields(&w, err));
    TRY(lam_iter_new(job->flush->db, &options, job->provider->hot, &it, err));
    return write_rows(&w, it, err);
}
