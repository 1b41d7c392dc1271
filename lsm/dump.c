/* SPDX-License-Identifier: Apache-2.0
 *
 * Dumps: a set of memtables sealed together becomes SSTs of level 0, published by one manifest edit
 * that also lets go of the log segments they were in.
 *
 * Order: SSTs written and synced, their directory synced, the edit appended and synced, then the
 * read states swapped and segments released. The log need not be synced before: all memtables are
 * sealed together, so the SSTs hold every commit up to the set's newest sequence. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/retain.h"
#include "lsm/sst_output.h"

static uint64_t next_number(void *arg) {
    return db_next_number(arg);
}

void dump_output_options(lam_db *db, const lam_partition *p, struct sst_output_options *out) {
    enum lam_compression compression =
        p->options.compression ? p->options.compression : db->options.compression;
    memset(out, 0, sizeof *out);
    out->env = db->env;
    out->dir = db->path;
    memcpy(out->builder.db_id, db->id, sizeof db->id);
    out->builder.block_bytes = db->options.block_bytes;
    out->builder.filter_bits_per_key = db->options.filter_bits_per_key;
    out->builder.lz4 = compression != LAM_COMPRESSION_NONE;
    out->builder.written_us = db_clock_us(db);
    out->partition = p->number;
    out->number = next_number;
    out->number_arg = db;
    out->cache = &db->ssts;
    out->gc = &db->gc;
}

/* The memtable's range tombstones that hide anything; owned array in `out`. */
static enum lam_code copy_ranges(const struct memtable *m, const struct retain *r,
                                 struct range_tombstone **out, size_t *count_out,
                                 struct lam_error *err) {
    uint32_t count = memtable_range_count(m);
    size_t n = 0;
    if (count > 0) {
        *out = mem_calloc(count, sizeof **out);
        if (!*out)
            return mem_fail(err, count * sizeof **out);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct range_tombstone *t = memtable_range(m, i);
        if (t->to.size == 0 || slice_cmp(t->from, t->to) < 0)
            (*out)[n++] = *t;
    }
    *count_out = retain_ranges(r, *out, n);
    return LAM_OK;
}

static enum lam_code write_entries(struct memtable *m, struct retain *r, uint64_t cut_bytes,
                                   struct sst_output *out, struct lam_error *err) {
    struct cursor_iter *it;
    TRY(memtable_iter_new(m, &it, err));
    enum lam_code rc = LAM_OK;
    bool cut = false;
    for (it->ops->seek_first(it); it->valid && rc == LAM_OK; it->ops->next(it)) {
        enum retain_step step;
        rc = retain_next(r, &it->entry, &step, err);
        if (rc != LAM_OK)
            break;
        LAM_ASSERT(step != RETAIN_DISORDER);
        bool new_key = step == RETAIN_NEW_KEY;
        cut = cut || (new_key && sst_output_size(out) >= cut_bytes);
        if (!retain_entry(r, &it->entry, new_key, false))
            continue;
        /* A cut waits for the first kept entry of a new key. */
        bool now = cut && new_key;
        rc = sst_output_add(out, &it->entry, now, err);
        cut = cut && !now;
    }
    it->ops->free(it);
    return rc;
}

enum lam_code dump_memtable(lam_db *db, lam_partition *p, struct memtable *m,
                            struct sst_output *out, struct lam_error *err) {
    struct sst_output_options options;
    struct retain r;
    struct range_tombstone *ranges = NULL;
    size_t range_count = 0;
    struct range_set *set = NULL;
    uint64_t *snapshots = NULL;
    size_t snapshot_count = 0;
    dump_output_options(db, p, &options);
    sst_output_init(out, &options, NULL, 0);
    enum lam_code rc;
    TRY_GOTO(db_copy_snapshots(db, &snapshots, &snapshot_count, err));
    retain_init(&r, snapshots, snapshot_count, NULL);
    rc = copy_ranges(m, &r, &ranges, &range_count, err);
    if (rc == LAM_OK && range_count > 0)
        rc = range_set_new(ranges, range_count, &set, err);
    if (rc == LAM_OK) {
        r.ranges = set;
        out->ranges = ranges;
        out->range_count = range_count;
        rc = write_entries(m, &r, db->tuning.dump_file_bytes, out, err);
    }
    if (rc == LAM_OK)
        rc = sst_output_finish(out, err);
    retain_fini(&r);
out:
    out->ranges = NULL;
    out->range_count = 0;
    range_set_free(set);
    mem_free(ranges);
    mem_free(snapshots);
    return rc;
}

struct dump_item {
    struct sst_output output;
    struct version_added *added; /* owned */
    struct db_change change;
    bool skipped; /* its partition was dropped, or it came out empty */
};
struct dump {
    lam_db *db;
    struct sealed_set *set;
    struct dump_item *items; /* one for each memtable of the set */
    struct manifest_file *files;
    size_t file_count;
    uint64_t bytes;
};

static enum lam_code write_files(struct dump *d, struct lam_error *err) {
    for (size_t i = 0; i < d->set->count; i++) {
        lam_partition *p = d->set->items[i].partition;
        if (atomic_load(&p->dropped)) {
            d->items[i].skipped = true;
            continue;
        }
        TRY(dump_memtable(d->db, p, d->set->items[i].memtable, &d->items[i].output, err));
        d->bytes += d->items[i].output.bytes;
        d->file_count += d->items[i].output.file_count;
    }
    if (d->file_count > 0)
        TRY(env_dir_sync(d->db->env, d->db->path, err));
    return LAM_OK;
}

/* Drops are edits too: under `manifest` a partition is there or it is not. */
static enum lam_code prepare_item_locked(lam_db *db, struct dump *d, size_t index,
                                         struct lam_error *err) REQUIRES(&db->manifest) {
    struct dump_item *item = &d->items[index];
    lam_partition *p = d->set->items[index].partition;
    item->skipped = item->skipped || atomic_load(&p->dropped);
    if (item->skipped)
        return LAM_OK;
    size_t n = item->output.file_count;
    item->added = mem_calloc(n ? n : 1, sizeof *item->added);
    if (!item->added)
        return mem_fail(err, n * sizeof *item->added);
    for (size_t i = 0; i < n; i++) {
        item->added[i] = (struct version_added){item->output.files[i], 0};
        file_meta_describe(item->output.files[i], 0, &d->files[d->file_count++]);
    }
    item->change = (struct db_change){.partition = p,
                                      .added = item->added,
                                      .added_count = n,
                                      .dumped = d->set->items[index].memtable};
    return db_change_prepare_locked(db, &item->change, err);
}

static enum lam_code publish_locked(lam_db *db, struct dump *d, struct lam_error *err)
    REQUIRES(&db->manifest) {
    d->files = mem_calloc(d->file_count ? d->file_count : 1, sizeof *d->files);
    if (!d->files)
        return mem_fail(err, d->file_count * sizeof *d->files);
    d->file_count = 0;
    for (size_t i = 0; i < d->set->count; i++)
        TRY(prepare_item_locked(db, d, i, err));
    struct manifest_edit edit = {
        .has_last_sequence = true,
        .last_sequence = d->set->last_sequence,
        .has_wal_floor = true,
        .wal_floor = d->set->next_wal,
        .added = d->files,
        .added_count = d->file_count,
    };
    enum lam_code rc = db_manifest_append_locked(db, &edit, err);
    /* D7: also when it may have failed. */
    for (size_t i = 0; i < d->set->count && (rc == LAM_OK || rc == LAM_UNKNOWN_OUTCOME); i++)
        if (!d->items[i].skipped)
            sst_output_keep(&d->items[i].output);
    TRY(rc);
    db_manifest(db)->wal_floor = d->set->next_wal;
    db_manifest(db)->dumped_sequence = d->set->last_sequence;
    for (size_t i = 0; i < d->set->count; i++)
        if (!d->items[i].skipped)
            db_change_install_locked(db, &d->items[i].change);
    return LAM_OK;
}

static void dump_fini(struct dump *d) {
    for (size_t i = 0; d->items && i < d->set->count; i++) {
        db_change_fini(&d->items[i].change);
        mem_free(d->items[i].added);
        sst_output_fini(&d->items[i].output);
    }
    mem_free(d->items);
    mem_free(d->files);
}

static void count_dump(lam_db *db, const struct dump *d) {
    mutex_lock(&db->state);
    db_state(db)->stats.dumps++;
    db_state(db)->stats.dump_bytes += d->bytes;
    for (size_t i = 0; i < d->set->count; i++) {
        struct work_counters *w = &d->set->items[i].partition->counters.work;
        w->dumps += !d->items[i].skipped;
        w->dump_bytes += d->items[i].output.bytes;
    }
    mutex_unlock(&db->state);
}

static enum lam_code dump_set(lam_db *db, struct sealed_set *set, struct lam_event *done,
                              struct lam_error *err) {
    struct dump d = {.db = db, .set = set};
    size_t n = set->count ? set->count : 1;
    d.items = mem_calloc(n, sizeof *d.items);
    if (!d.items)
        return mem_fail(err, n * sizeof *d.items);
    enum lam_code rc = write_files(&d, err);
    if (rc == LAM_OK) {
        mutex_lock(&db->manifest);
        rc = publish_locked(db, &d, err);
        if (rc == LAM_OK)
            IGNORE(db_manifest_trim_locked(db, NULL), "it is tried again, or sticky by itself");
        mutex_unlock(&db->manifest);
    }
    if (rc == LAM_OK) {
        count_dump(db, &d);
        done->output_files = d.file_count;
        done->output_bytes = d.bytes;
        db_sync_note(db, set->last_sequence);
        db_wal_release(db, set->next_wal);
    }
    dump_fini(&d);
    gc_drain(&db->gc);
    return rc;
}

/* The oldest set, with the right to dump it; NULL if there is none. */
static struct sealed_set *begin_dump(lam_db *db) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    while (s->dump_running)
        cond_wait(&db->idle, &db->state);
    struct sealed_set *set = s->sealed_count > 0 ? s->sealed[0] : NULL;
    s->dump_running = set != NULL;
    s->dump_started_ns = env_monotonic_ns(db->env);
    mutex_unlock(&db->state);
    if (set)
        db_share_memory(db);
    return set;
}

static void end_dump(lam_db *db, bool dumped) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    s->dump_running = false;
    atomic_store_explicit(&db->room_at_ns, 0, memory_order_relaxed);
    if (dumped) {
        uint64_t took = env_monotonic_ns(db->env) - s->dump_started_ns;
        uint64_t each = took / (s->sealed[0]->bytes / 1024 + 1);
        s->dump_ns_per_kib = s->dump_ns_per_kib ? (s->dump_ns_per_kib + each) / 2 : each;
        s->sealed_count--;
        memmove(s->sealed, s->sealed + 1, s->sealed_count * sizeof s->sealed[0]);
    }
    cond_broadcast(&db->idle);
    mutex_unlock(&db->state);
}

/* Lets go of a set that was dumped. Partitions whose files may have reason to be merged now that
 * there is time are scored again. */
static void sealed_set_end(lam_db *db, struct sealed_set *set) {
    bool resting = atomic_load_explicit(&db->resting, memory_order_relaxed);
    for (size_t i = 0; i < set->count; i++) {
        if (resting)
            db_rescore(db, set->items[i].partition);
        db_partition_unref(set->items[i].partition);
    }
    mem_free(set->items);
    mem_free(set);
}

enum lam_code dump_oldest(lam_db *db, bool *done_out, struct lam_error *err) {
    *done_out = false;
    struct sealed_set *set = begin_dump(db);
    if (!set)
        return LAM_OK;
    struct lam_error cause = {0};
    struct lam_event event = {
        .kind = LAM_EVENT_DUMP_BEGIN, .input_files = set->count, .input_bytes = set->bytes};
    notify_event(&db->notify, &event);
    notify_kick(&db->notify);
    uint64_t start_ns = env_monotonic_ns(db->env);
    enum lam_code rc = dump_set(db, set, &event, &cause);
    if (rc != LAM_OK && error_is_out_of_files(&cause)) {
        db_close_idle_files(db);
        memset(&cause, 0, sizeof cause);
        rc = dump_set(db, set, &event, &cause);
    }
    event.kind = LAM_EVENT_DUMP_END;
    event.duration_us = db_note_work_us(db, DB_LATENCY_DUMP, start_ns);
    event.code = rc;
    event.message = cause.message;
    notify_event(&db->notify, &event);
    end_dump(db, rc == LAM_OK);
    if (rc == LAM_OK) {
        for (size_t i = 0; i < set->count; i++)
            memtable_unref(set->items[i].memtable);
        *done_out = true;
    } else {
        cause.code = rc;
        if (err)
            *err = cause;
    }
    db_share_memory(db);
    db_bg_dump_done(db, rc, &cause);
    if (rc == LAM_OK)
        sealed_set_end(db, set);
    notify_kick(&db->notify);
    return rc;
}

/* Seals what was committed before the call, unless somebody has done so meanwhile. */
static enum lam_code seal_all(lam_db *db, struct lam_error *err) {
    enum lam_code rc;
    mutex_lock(&db->commit);
    uint64_t last = db_commit(db)->last_sequence;
    for (;;) {
        struct db_commit *c = db_commit(db);
        bool clean = c->active_count == 0 || c->sealed_sequence > last;
        rc = clean ? LAM_OK : db_seal_locked(db, err);
        mutex_unlock(&db->commit);
        if (rc != LAM_BUSY)
            return rc;
        bool done;
        TRY(dump_oldest(db, &done, err));
        mutex_lock(&db->commit);
    }
}

enum lam_code db_dump_all(lam_db *db, struct lam_error *err) {
    TRY(seal_all(db, err));
    mutex_lock(&db->state);
    size_t count = db_state(db)->sealed_count;
    mutex_unlock(&db->state);
    /* Always the oldest one goes, so after as many all that were there are gone. */
    bool done = true;
    while (count-- > 0 && done)
        TRY(dump_oldest(db, &done, err));
    return LAM_OK;
}

enum lam_code lam_db_dump(lam_db *db, struct lam_error *err) {
    if (!db)
        return ERR(err, LAM_INVALID, "lam_db_dump: db must not be NULL");
    TRY(db_check_process(db, err));
    TRY(db_check_writable(db, err));
    enum lam_code rc = db_dump_all(db, err);
    db_bg_kick(db, false);
    notify_end_call(&db->notify);
    return rc;
}
