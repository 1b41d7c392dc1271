/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening for real: from what recover_state.c found to a database in use.
 *
 * Files of an earlier session are never appended to. For writing, what the log held goes to new
 * files first: after a clean close its records are copied to a fresh segment (they are few), else
 * they become SSTs. Both are durable before a fresh manifest names them, and only then old files
 * go. A crash at any point finds the old state or the new one, and both say the same.
 *
 * After a crash sequences go on behind all that the lost end of the log can have held, so that none
 * is ever given out twice. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/recover_state.h"
#include "lsm/sst_output.h"

/* Fewest bytes an operation takes in the log. */
#define OPERATION_BYTES 4u

/* What recovery had in its arena, from which on thousands of partitions or files are likely: their
 * lists lie below what was made from them. */
#define TRIM_BYTES (256u << 10)

struct recovery {
    lam_db *db;
    struct recovered found;
    struct recovered_log log;
    bool copy_log;       /* records go to a fresh segment, else to SSTs */
    lam_partition *last; /* of the last operation replayed */
};

static enum lam_code make_parts(lam_db *db, struct lam_error *err) {
    TRY(version_apply(NULL, NULL, 0, NULL, 0, &db->empty_version, err));
    size_t cached = (size_t)(db->options.memory_budget / 2);
    TRY(block_cache_new(cached, &db->epochs, &db->blocks, err));
    sst_cache_init(&db->ssts, db->env, db->path, db->id, db->blocks, &db->epochs,
                   db->options.open_files, block_cache_most_taken(cached));
    db->ssts.notify = &db->notify;
    gc_init(&db->gc, db->env, db->path);
    db->key_seed = sst_key_seed(db->id);
    db->has_files = true;
    return LAM_OK;
}

/* The file_meta of a file; its range tombstones are read, if it has any. */
static enum lam_code load_file(lam_db *db, const struct manifest_file *f, struct file_meta **out,
                               struct lam_error *err) {
    struct sst *s = NULL;
    const struct range_tombstone *ranges = NULL;
    size_t count = 0;
    struct buf path = {0};
    const char *text;
    enum lam_code rc = LAM_OK;
    if (f->properties.range_tombstones > 0) {
        rc = filename_path(&path, db->path, FILE_SST, f->number, &text, err);
        if (rc == LAM_OK)
            rc = sst_open(db->env, text, db->id, f->number, f->size_bytes, f->footer_checksum,
                          db->blocks, &s, err);
        if (rc == LAM_OK)
            ranges = sst_ranges(s, &count);
    }
    if (rc == LAM_OK)
        rc = file_meta_new(f, ranges, count, &db->ssts, &db->gc, out, err);
    sst_unref(s);
    buf_fini(&path);
    return rc;
}

static enum lam_code load_version(lam_db *db, const struct recovered_partition *rp,
                                  struct version **out, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    size_t n = 0;
    struct version_added *added = mem_calloc(rp->file_count + 1, sizeof *added);
    if (!added)
        return mem_fail(err, rp->file_count * sizeof *added);
    for (; n < rp->file_count; n++) {
        rc = load_file(db, &rp->files[n], &added[n].file, err);
        if (rc != LAM_OK)
            break;
        added[n].level = rp->files[n].level;
    }
    if (rc == LAM_OK)
        rc = version_apply(NULL, added, n, NULL, 0, out, err);
    for (size_t i = 0; i < n; i++)
        file_meta_unref(added[i].file);
    mem_free(added);
    if (rc == LAM_OK)
        rc = version_check(*out, err);
    return rc;
}

static enum lam_code load_partition(struct recovery *v, const struct recovered_partition *rp,
                                    struct lam_error *err) {
    lam_db *db = v->db;
    struct version *version = NULL;
    lam_partition *p;
    for (size_t i = 0; i < rp->file_count; i++)
        TRY(recovered_check_file(&v->found, FILE_SST, rp->files[i].number, rp->files[i].size_bytes,
                                 err));
    TRY(db_partition_new(db, rp->about.number, rp->about.name, &rp->about.options, &p, err));
    enum lam_code rc = LAM_OK;
    if (rp->file_count > 0)
        rc = load_version(db, rp, &version, err);
    struct db_score score = {0};
    if (rc == LAM_OK && version)
        db_score_compute(db, p, version, &score);
    mutex_lock(&db->state);
    if (rc == LAM_OK)
        rc = db_register_locked(db, p, err);
    if (rc == LAM_OK && version) {
        version_unref(p->state->version);
        p->state->version = version;
        version = NULL;
        db_score_locked(db, p, &score);
    }
    for (size_t i = 0; i < rp->file_count; i++)
        if (rp->files[i].properties.written_us > db_state(db)->clock_us)
            db_state(db)->clock_us = rp->files[i].properties.written_us;
    mutex_unlock(&db->state);
    version_unref(version);
    if (rc != LAM_OK)
        db_partition_unref(p);
    return rc;
}

static lam_partition *find_partition(struct recovery *v, uint64_t number) {
    if (v->last && v->last->number == number)
        return v->last;
    mutex_lock(&v->db->state);
    lam_partition *p = db_find_number_locked(v->db, number);
    mutex_unlock(&v->db->state);
    if (p)
        v->last = p;
    return p;
}

static enum lam_code replay_op_locked(lam_db *db, struct recovery *v, const struct batch_op *op,
                                      uint64_t sequence, struct lam_error *err)
    REQUIRES(&db->commit) {
    lam_partition *p = find_partition(v, op->partition);
    if (!p)
        return LAM_OK; /* dropped since */
    if (!p->active)
        TRY(db_activate_locked(db, p, err));
    struct db_commit *c = db_commit(db);
    size_t before = memtable_bytes(p->active);
    if (op->kind == ENTRY_DELETE_RANGE) {
        TRY(memtable_reserve(p->active, 0, memtable_range_bound(op->key.size, op->to.size), err));
        struct range_tombstone t = {op->key, op->to, batch_clamp_upto(op->upto, sequence),
                                    sequence};
        memtable_insert_range(p->active, &t);
    } else {
        TRY(memtable_reserve(p->active, memtable_put_bound(op->key.size, op->value.size), 0, err));
        struct entry e = {op->key, sequence, op->kind, op->value};
        memtable_insert(p->active, &e);
    }
    c->active_bytes += memtable_bytes(p->active) - before;
    return LAM_OK;
}

static enum lam_code replay_payload_locked(lam_db *db, struct recovery *v, uint64_t sequence,
                                           struct lam_slice payload, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct batch_reader b;
    struct batch_op op;
    TRY(batch_reader_init(&b, payload, err));
    for (uint32_t i = 0; i < b.count; i++) {
        TRY(batch_reader_next(&b, &op, err));
        TRY(replay_op_locked(db, v, &op, sequence + i, err));
    }
    return LAM_OK;
}

/* Adds a dumped memtable's files to its partition and takes the memtable away. */
static enum lam_code adopt_files(struct recovery *v, lam_partition *p, struct sst_output *out,
                                 struct lam_error *err) {
    lam_db *db = v->db;
    struct version_added *added = mem_calloc(out->file_count + 1, sizeof *added);
    if (!added)
        return mem_fail(err, (out->file_count + 1) * sizeof *added);
    for (size_t i = 0; i < out->file_count; i++)
        added[i] = (struct version_added){out->files[i], 0};
    struct db_change change = {.partition = p, .added = added, .added_count = out->file_count};
    mutex_lock(&db->manifest);
    enum lam_code rc = db_change_prepare_locked(db, &change, err);
    if (rc == LAM_OK) {
        sst_output_keep(out);
        db_change_install_locked(db, &change);
        mutex_lock(&db->state);
        memtable_unref(p->state->active);
        p->state->active = NULL;
        mutex_unlock(&db->state);
    }
    mutex_unlock(&db->manifest);
    db_change_fini(&change);
    mem_free(added);
    return rc;
}

/* Turns all active memtables into SSTs, which the manifest will name later. */
static enum lam_code dump_active_locked(lam_db *db, struct recovery *v, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    while (c->active_count > 0) {
        lam_partition *p = c->active[c->active_count - 1];
        struct sst_output out;
        enum lam_code rc = dump_memtable(db, p, p->active, &out, err);
        if (rc == LAM_OK)
            rc = adopt_files(v, p, &out, err);
        sst_output_fini(&out);
        TRY(rc);
        p->active = NULL;
        p->is_active = false;
        c->active_count--;
        db_partition_unref(p);
    }
    c->active_bytes = 0;
    return LAM_OK;
}

/* A fresh segment for copied records, to be named by the fresh manifest. */
static enum lam_code next_segment_locked(lam_db *db, uint64_t payload_bytes, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    struct db_segment *fresh;
    mutex_lock(&db->log);
    enum lam_code rc = db_wal_open(db, payload_bytes, &fresh, err);
    mutex_unlock(&db->log);
    TRY(rc);
    if (c->segment) {
        mutex_lock(&db->sync);
        c->segment->finished = true;
        mutex_unlock(&db->sync);
        db_segment_unref(c->segment);
    }
    c->segment = fresh;
    return LAM_OK;
}

static enum lam_code copy_record_locked(lam_db *db, uint64_t sequence, struct lam_slice payload,
                                        struct lam_error *err) REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    bool clean;
    if (!wal_writer_fits(c->segment->writer, payload.size))
        TRY(next_segment_locked(db, payload.size + (64u << 10), err));
    return wal_writer_append(c->segment->writer, sequence, 0, payload, &clean, err);
}

static enum lam_code replay_record(void *arg, uint64_t sequence, uint32_t count,
                                   struct lam_slice payload, struct lam_error *err) {
    struct recovery *v = arg;
    lam_db *db = v->db;
    enum lam_code rc = LAM_OK;
    mutex_lock(&db->commit);
    bool dumps = !v->copy_log && !db->options.read_only;
    if (dumps && db_commit(db)->active_bytes >= db->tuning.rotate_bytes)
        rc = dump_active_locked(db, v, err);
    if (rc == LAM_OK && v->copy_log)
        rc = copy_record_locked(db, sequence, payload, err);
    if (rc == LAM_OK)
        rc = replay_payload_locked(db, v, sequence, payload, err);
    if (rc == LAM_OK)
        db_commit(db)->last_sequence = sequence + count - 1;
    mutex_unlock(&db->commit);
    return rc;
}

static void publish(lam_db *db, uint64_t sequence) {
    mutex_lock(&db->commit);
    db_commit(db)->last_sequence = sequence;
    mutex_unlock(&db->commit);
    atomic_store(&db->published, sequence);
}

static uint64_t sealed_log_bytes(const struct recovered *f) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->wal_count; i++)
        bytes += f->wals[i].end;
    return bytes;
}

static enum lam_code open_segment(struct recovery *v, struct lam_error *err) {
    lam_db *db = v->db;
    mutex_lock(&db->commit);
    enum lam_code rc = next_segment_locked(db, 0, err);
    mutex_unlock(&db->commit);
    return rc;
}

/* Makes the recovered state current: a fresh manifest over fresh files. */
static enum lam_code publish_root(struct recovery *v, uint64_t dumped_sequence,
                                  struct lam_error *err) {
    lam_db *db = v->db;
    struct manifest_wal *wals;
    size_t count;
    TRY(db_wal_list(db, false, &wals, &count, err));
    LAM_ASSERT(count > 0);
    mutex_lock(&db->manifest);
    struct db_manifest *m = db_manifest(db);
    m->root = v->found.root;
    m->wal_floor = wals[0].number;
    m->dumped_sequence = dumped_sequence;
    bool clean;
    enum lam_code rc = db_manifest_rewrite_locked(db, wals, count, &clean, err);
    mutex_unlock(&db->manifest);
    mem_free(wals);
    return rc;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Numbers of the SSTs that the old manifest named, sorted; owned. */
static enum lam_code live_ssts(const struct recovered *f, uint64_t **out, size_t *count_out,
                               struct lam_error *err) {
    size_t total = 0, n = 0;
    for (size_t i = 0; i < f->partition_count; i++)
        total += f->partitions[i].file_count;
    uint64_t *numbers = mem_calloc(total + 1, sizeof *numbers);
    if (!numbers)
        return mem_fail(err, (total + 1) * sizeof *numbers);
    for (size_t i = 0; i < f->partition_count; i++)
        for (size_t j = 0; j < f->partitions[i].file_count; j++)
            numbers[n++] = f->partitions[i].files[j].number;
    qsort(numbers, n, sizeof *numbers, by_number);
    *out = numbers;
    *count_out = n;
    return LAM_OK;
}

/* Removes what the directory held when it was listed and is not needed now: other manifests, all
 * log segments, SSTs that no version has, temporary files. */
static enum lam_code remove_old(struct recovery *v, struct lam_error *err) {
    struct recovered *f = &v->found;
    struct buf path = {0};
    const char *text;
    uint64_t *live = NULL;
    size_t live_count = 0;
    TRY(live_ssts(f, &live, &live_count, err));
    enum lam_code rc = LAM_OK;
    for (size_t i = 0; i < f->listed_count && rc == LAM_OK; i++) {
        const struct listed_file *l = &f->listed[i];
        if (l->type == FILE_ROOT || l->type == FILE_LOCK)
            continue;
        if (l->type == FILE_SST && bsearch(&l->number, live, live_count, sizeof *live, by_number))
            continue;
        rc = env_path_join(&path, f->dir, l->name, &text, err);
        if (rc == LAM_OK)
            IGNORE(env_file_remove(f->env, text, NULL), "the next open tries again");
    }
    mem_free(live);
    buf_fini(&path);
    return rc;
}

static enum lam_code go_live(struct recovery *v, struct lam_error *err) {
    lam_db *db = v->db;
    uint64_t dumped = v->found.last_sequence;
    uint64_t last = v->log.last_sequence;
    if (!v->copy_log) {
        mutex_lock(&db->commit);
        enum lam_code rc = dump_active_locked(db, v, err);
        mutex_unlock(&db->commit);
        TRY(rc);
        if (!v->found.root.sealed)
            last += v->log.bytes / OPERATION_BYTES + 1;
        dumped = last;
        atomic_store(&db->durable, last);
        TRY(open_segment(v, err));
    }
    publish(db, last);
    TRY(db_sync_to(db, last, err));
    /* Syncs the directory for the SSTs, too, before ROOT is written. */
    TRY(publish_root(v, dumped, err));
    return remove_old(v, err);
}

static enum lam_code recover_found(struct recovery *v, struct lam_error *err) {
    lam_db *db = v->db;
    struct recovered *f = &v->found;
    if (db->options.must_not_exist)
        return ERR(err, LAM_EXISTS, "%s: there is a database", db->path);
    /* An opening that failed or was killed may have left the names that this one found pending,
     * ROOT above all: they are made durable before anything is made that needs them. */
    if (!db->options.read_only)
        TRY(env_dir_sync(db->env, db->path, err));
    memcpy(db->id, f->root.db_id, sizeof db->id);
    atomic_store(&db->next_number, f->next_number);
    TRY(make_parts(db, err));
    for (size_t i = 0; i < f->partition_count; i++)
        TRY(load_partition(v, &f->partitions[i], err));
    v->copy_log = f->root.sealed && !db->options.read_only &&
                  sealed_log_bytes(f) / 4 <= db->tuning.close_dump_bytes;
    if (v->copy_log)
        TRY(open_segment(v, err));
    publish(db, f->last_sequence);
    atomic_store(&db->durable, f->last_sequence);
    TRY(recovered_read_log(f, replay_record, v, &v->log, err));
    mutex_lock(&db->state);
    db_state(db)->stats.recovered_operations = v->log.operations;
    db_state(db)->stats.recovered_torn_tail = v->log.torn || f->root.torn_tail;
    mutex_unlock(&db->state);
    if (db->options.read_only) {
        publish(db, v->log.last_sequence);
        atomic_store(&db->durable, v->log.last_sequence);
        return LAM_OK;
    }
    return go_live(v, err);
}

static enum lam_code create(struct recovery *v, struct lam_error *err) {
    lam_db *db = v->db;
    db->env->ops->random_bytes(db->env, db->id, sizeof db->id);
    atomic_store(&db->next_number, 2); /* the first manifest is number 1 */
    TRY(make_parts(db, err));
    /* First of all, since nobody does it for a database that is there. */
    TRY(env_parent_sync(db->env, db->path, err));
    struct manifest_edit initial = {.has_next_number = true,
                                    .next_number = 2,
                                    .has_last_sequence = true,
                                    .has_wal_floor = true};
    mutex_lock(&db->manifest);
    struct db_manifest *m = db_manifest(db);
    enum lam_code rc = manifest_create(db->env, db->path, db->id, &initial, &m->log, err);
    if (rc == LAM_OK) {
        memcpy(m->root.db_id, db->id, sizeof db->id);
        m->root.manifest_number = manifest_number(m->log);
        m->fresh_bytes = manifest_size(m->log);
    }
    mutex_unlock(&db->manifest);
    TRY(rc);
    mutex_lock(&db->commit);
    rc = db_wal_roll_locked(db, 0, err);
    mutex_unlock(&db->commit);
    return rc;
}

enum lam_code recover_run(lam_db *db, struct lam_error *err) {
    struct recovery v = {.db = db};
    struct lam_error local = {0};
    recovered_init(&v.found, db->env, db->path);
    enum lam_code rc = recovered_load(&v.found, &local);
    if (rc == LAM_NOT_FOUND) {
        if (db->options.must_exist || db->options.read_only)
            rc = ERR(err, LAM_NOT_FOUND, "%s: no database here", db->path);
        else
            rc = create(&v, err);
    } else if (rc != LAM_OK) {
        if (err)
            *err = local;
    } else {
        rc = recover_found(&v, err);
    }
    size_t bytes = v.found.arena.bytes;
    recovered_fini(&v.found);
    if (bytes > TRIM_BYTES)
        mem_trim();
    return rc;
}
