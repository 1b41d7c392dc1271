/* SPDX-License-Identifier: Apache-2.0
 *
 * Bulk ingest: rows go into SSTs under sequence 0; when all are written they get, by one manifest
 * edit, the sequence of a commit made for them.
 *
 * That commit, under `commit` so that none comes in between: all before it is synced; a record
 * without effect takes the sequence in the log, which so has no hole (D2), and is synced; the edit
 * names the files with the sequence; then it is published. A crash before the edit leaves the
 * record and no rows, one after it both. Readers of older snapshots pass the rows over by their
 * sequence.
 *
 * What is newer must lie above what is older: memtables that hold keys in the range are dumped
 * first, and the files go to the deepest level above and in which nothing overlaps them. No
 * compaction runs meanwhile, whose outputs could come to lie there. `partitions` is held, so that a
 * copy of the database does not fall between the last dump and the ingest. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/sst_output.h"

/* Dumps of memtables that are in the way before BUSY. */
#define ATTEMPTS_MAX 64

struct lam_ingest {
    lam_db *db;
    lam_partition *partition; /* owned reference */
    struct sst_output out;
    struct buf last; /* key */
    uint64_t rows;
    bool failed; /* only abort is left */
    struct lam_batch mark;
    struct version_added *added; /* as many as the files; owned */
    struct manifest_file *files; /* the same */
    uint64_t sequence;
};

/* Does without the handle's end: the caller may have more to do with the database. */
static void ingest_free(lam_ingest *g) {
    sst_output_fini(&g->out);
    buf_fini(&g->last);
    write_batch_fini(&g->mark);
    mem_free(g->added);
    mem_free(g->files);
    db_partition_unref(g->partition);
    gc_drain(&g->db->gc);
    mem_free(g);
}

enum lam_code lam_ingest_new(lam_db *db, lam_partition *partition, lam_ingest **ingest_out,
                             struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_ingest_new", err));
    if (!ingest_out)
        return ERR(err, LAM_INVALID, "lam_ingest_new: ingest_out must not be NULL");
    TRY(db_check_writable(db, err));
    if (atomic_load(&partition->dropping))
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", partition->name);
    lam_ingest *g = mem_calloc(1, sizeof *g);
    if (!g)
        return mem_fail(err, sizeof *g);
    struct sst_output_options options;
    dump_output_options(db, partition, &options);
    db_handle_begin(db, DB_INGESTS);
    g->db = db;
    g->partition = db_partition_ref(partition);
    sst_output_init(&g->out, &options, NULL, 0);
    enum lam_code rc = write_batch_init(&g->mark, db, err);
    /* A range that covers nothing: what the log keeps of the ingest. */
    if (rc == LAM_OK)
        rc = lam_batch_delete_range(&g->mark, partition, lam_slice_str("-"), lam_slice_str("-"), 0,
                                    err);
    if (rc != LAM_OK) {
        ingest_free(g);
        db_handle_end(db, DB_INGESTS);
        return rc;
    }
    *ingest_out = g;
    return LAM_OK;
}

static enum lam_code check_row(const lam_ingest *g, struct lam_slice key, struct lam_slice value,
                               struct lam_error *err) {
    unsigned long long number = g->rows + 1;
    enum lam_code rc = db_check_key(key, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "ingest: row %llu", number);
    if (value.size > LAM_VALUE_MAX)
        return ERR(err, LAM_LIMIT, "ingest: row %llu: value of %zu bytes, at most %u are allowed",
                   number, value.size, LAM_VALUE_MAX);
    if (value.size && !value.data)
        return ERR(err, LAM_INVALID, "ingest: row %llu: a value with a size is NULL", number);
    if (g->rows > 0 && slice_cmp(key, buf_slice(&g->last)) <= 0)
        return ERR(err, LAM_INVALID, "ingest: the key of row %llu is not above that of row %llu",
                   number, number - 1);
    return LAM_OK;
}

static enum lam_code add_row(lam_ingest *g, struct lam_slice key, struct lam_slice value,
                             struct lam_error *err) {
    struct entry e = {key, 0, ENTRY_PUT, value};
    bool cut = sst_output_size(&g->out) >= g->db->tuning.base_bytes / 2;
    if (cut)
        sst_output_set_written(&g->out, db_clock_us(g->db));
    buf_reset(&g->last);
    TRY(buf_append_slice(&g->last, key, err));
    TRY(sst_output_add(&g->out, &e, cut, err));
    g->rows++;
    return LAM_OK;
}

enum lam_code lam_ingest_put(lam_ingest *g, struct lam_slice key, struct lam_slice value,
                             struct lam_error *err) {
    if (!g)
        return ERR(err, LAM_INVALID, "lam_ingest_put: ingest must not be NULL");
    TRY(db_check_process(g->db, err));
    if (g->failed)
        return ERR(err, LAM_INVALID, "lam_ingest_put: an earlier call has failed");
    TRY(check_row(g, key, value, err));
    enum lam_code rc = add_row(g, key, value, err);
    g->failed = rc != LAM_OK;
    return rc;
}

void lam_ingest_abort(lam_ingest *g) {
    if (!g || db_is_foreign(g->db))
        return;
    lam_db *db = g->db;
    ingest_free(g);
    db_handle_end(db, DB_INGESTS);
}

static struct lam_slice first_key(const lam_ingest *g) {
    return g->out.files[0]->smallest;
}
static struct lam_slice last_key(const lam_ingest *g) {
    return g->out.files[g->out.file_count - 1]->largest;
}

static enum lam_code memtable_overlaps(struct memtable *m, const lam_ingest *g, bool *out,
                                       struct lam_error *err) {
    OWNED(cursor_iter_drop) struct cursor_iter *it = NULL;
    TRY(memtable_iter_new(m, &it, err));
    it->ops->seek(it, first_key(g), LAM_SEQUENCE_MAX);
    *out = *out || (it->valid && slice_cmp(it->entry.key, last_key(g)) <= 0);
    return LAM_OK;
}

/* Whether a memtable of the partition holds a key in the range. No commit comes in between. */
static enum lam_code is_in_memory(lam_db *db, const lam_ingest *g, bool *out, struct lam_error *err)
    REQUIRES(&db->commit) {
    mutex_lock(&db->state);
    /* Nobody has begun to drop it, and `partitions` is held. */
    LAM_ASSERT(g->partition->state);
    OWNED(read_state_unref_at) struct read_state *s = read_state_ref(g->partition->state);
    mutex_unlock(&db->state);
    *out = false;
    if (s->active)
        TRY(memtable_overlaps(s->active, g, out, err));
    for (uint32_t i = 0; i < s->sealed_count; i++)
        TRY(memtable_overlaps(s->sealed[i], g, out, err));
    return LAM_OK;
}

static bool level_overlaps(const struct version_level *level, const lam_ingest *g) {
    for (size_t i = 0; i < level->count; i++)
        if (file_meta_overlaps(level->files[i], first_key(g), last_key(g), false))
            return true;
    return false;
}

static uint32_t choose_level(const struct version *v, const lam_ingest *g) {
    uint32_t level = 0;
    if (level_overlaps(v->levels[0], g))
        return 0;
    while (level + 1 < VERSION_LEVELS && !level_overlaps(v->levels[level + 1], g))
        level++;
    return level;
}

static enum lam_code install_locked(lam_db *db, lam_ingest *g, struct lam_error *err)
    REQUIRES(&db->manifest) {
    struct version *v = db_version_of(g->partition);
    LAM_ASSERT(v); /* it was there under `commit`, and `partitions` is held */
    uint32_t level = choose_level(v, g);
    version_unref(v);
    for (size_t i = 0; i < g->out.file_count; i++) {
        struct file_meta *f = g->out.files[i];
        f->properties.sequence_min = f->properties.sequence_max = g->sequence;
        g->added[i] = (struct version_added){f, level};
        file_meta_describe(f, level, &g->files[i]);
    }
    OWNED(db_change_fini)
    struct db_change change = {
        .partition = g->partition, .added = g->added, .added_count = g->out.file_count};
    struct manifest_edit edit = {.added = g->files, .added_count = g->out.file_count};
    enum lam_code rc = db_change_prepare_locked(db, &change, err);
    if (rc == LAM_OK)
        rc = db_manifest_append_locked(db, &edit, err);
    if (rc == LAM_OK || rc == LAM_UNKNOWN_OUTCOME) /* D7 */
        sst_output_keep(&g->out);
    if (rc == LAM_OK)
        db_change_install_locked(db, &change);
    return rc;
}

static enum lam_code sync_mark_locked(lam_db *db, struct lam_error *err) REQUIRES(&db->commit) {
    struct lam_error cause = {0};
    enum lam_code rc = wal_writer_sync(db_commit(db)->segment->writer, &cause);
    if (rc == LAM_OK)
        return LAM_OK;
    cause.code = rc;
    db_fail(db, &cause);
    return db_check_writable(db, err);
}

static enum lam_code commit_locked(lam_db *db, lam_ingest *g, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    TRY(db_check_writable(db, err));
    if (c->last_sequence == LAM_SEQUENCE_MAX)
        return ERR(err, LAM_LIMIT, "all %llu sequences are used", LAM_SEQUENCE_MAX);
    TRY(db_not_done(db, db_sync_to(db, c->last_sequence, err), err));
    g->sequence = c->last_sequence + 1;
    TRY(db_not_done(db, db_log_append_locked(db, &g->mark, g->sequence, err), err));
    enum lam_code rc = sync_mark_locked(db, err);
    if (rc == LAM_OK) {
        mutex_lock(&db->manifest);
        rc = install_locked(db, g, err);
        mutex_unlock(&db->manifest);
    }
    /* Without the edit the sequence is that of a commit without effect. */
    c->last_sequence = g->sequence;
    c->writes++;
    c->operations++;
    atomic_store_explicit(&db->published, g->sequence, memory_order_release);
    return rc;
}

/* A reader may take the read state just before the files are in it, and the sequence just after:
 * the commits that follow must not show in that state, so they go to another memtable (D5). */
static enum lam_code part_locked(lam_db *db, lam_ingest *g, bool *again_out, struct lam_error *err)
    REQUIRES(&db->commit) {
    if (!g->partition->active)
        return LAM_OK;
    enum lam_code rc = db_seal_locked(db, err);
    *again_out = rc == LAM_BUSY;
    return rc == LAM_BUSY ? LAM_OK : db_not_done(db, rc, err);
}

/* `*again_out`: memtables were in the way. */
static enum lam_code try_commit(lam_db *db, lam_ingest *g, bool *again_out, struct lam_error *err) {
    *again_out = false;
    mutex_lock(&db->commit);
    enum lam_code rc = LAM_OK;
    if (atomic_load(&g->partition->dropping))
        rc = ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", g->partition->name);
    if (rc == LAM_OK)
        rc = is_in_memory(db, g, again_out, err);
    if (rc == LAM_OK && !*again_out)
        rc = part_locked(db, g, again_out, err);
    if (rc == LAM_OK && !*again_out)
        rc = commit_locked(db, g, err);
    mutex_unlock(&db->commit);
    return rc;
}

static enum lam_code publish(lam_db *db, lam_ingest *g, struct lam_error *err)
    REQUIRES(&db->partitions) {
    bool again = true;
    enum lam_code rc = LAM_OK;
    for (int i = 0; i < ATTEMPTS_MAX && again && rc == LAM_OK; i++) {
        if (i > 0)
            rc = db_not_done(db, db_dump_all(db, err), err);
        if (rc != LAM_OK)
            break;
        compact_begin_turn(db);
        rc = try_commit(db, g, &again, err);
        compact_end_turn(db);
    }
    if (rc == LAM_OK && again)
        return ERR(err, LAM_BUSY, "partition \"%s\" is written to all the time where it ingests",
                   g->partition->name);
    return rc;
}

static enum lam_code finish(lam_db *db, lam_ingest *g, struct lam_error *err) {
    sst_output_set_written(&g->out, db_clock_us(db)); /* its rows live as long as others (TTL) */
    TRY(sst_output_finish(&g->out, err));
    size_t n = g->out.file_count;
    g->added = mem_calloc(n, sizeof *g->added);
    g->files = mem_calloc(n, sizeof *g->files);
    if (!g->added || !g->files)
        return mem_fail(err, n * sizeof *g->files);
    TRY(env_dir_sync(db->env, db->path, err));
    mutex_lock(&db->partitions);
    enum lam_code rc = publish(db, g, err);
    mutex_unlock(&db->partitions);
    return rc;
}

enum lam_code lam_ingest_finish(lam_ingest *g, uint64_t *sequence_out, struct lam_error *err) {
    if (!g)
        return ERR(err, LAM_INVALID, "lam_ingest_finish: ingest must not be NULL");
    lam_db *db = g->db;
    TRY(db_check_process(db, err));
    enum lam_code rc = LAM_OK;
    g->sequence = db_published(db);
    if (g->failed)
        rc = ERR(err, LAM_INVALID, "lam_ingest_finish: an earlier call has failed");
    else if (g->rows > 0)
        rc = finish(db, g, err);
    if (rc == LAM_OK && sequence_out)
        *sequence_out = g->sequence;
    ingest_free(g);
    db_bg_kick(db, false);
    notify_end_call(&db->notify);
    db_handle_end(db, DB_INGESTS);
    return rc;
}
