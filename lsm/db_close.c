/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing. A short log is synced and sealed by its exact end and checksum; a long one is dumped.
 * Then the manifest is sealed, so that at the next open any loss or change of a byte is noticed. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

static void free_sealed(struct db_state *s) {
    for (size_t i = 0; i < s->sealed_count; i++) {
        for (size_t j = 0; j < s->sealed[i]->count; j++) {
            memtable_unref(s->sealed[i]->items[j].memtable);
            db_partition_unref(s->sealed[i]->items[j].partition);
        }
        mem_free(s->sealed[i]->items);
        mem_free(s->sealed[i]);
    }
    s->sealed_count = 0;
}

/* Nobody else uses the database any more, so the guarded parts are reached without their locks. */
NO_THREAD_SAFETY void db_teardown(lam_db *db) {
    struct db_commit *c = &db->commit_guarded_;
    struct db_state *s = &db->state_guarded_;
    struct db_sync *y = &db->sync_guarded_;
    if (c->scratch.payload.data)
        write_batch_fini(&c->scratch);
    for (size_t i = 0; i < c->active_count; i++)
        db_partition_unref(c->active[i]);
    mem_free(c->active);
    free_sealed(s);
    /* Handles may be out still: they are void now. */
    while (s->all)
        db_partition_free(s->all);
    epochs_drain(&db->epochs);
    mem_free(s->by_number);
    mem_free(s->by_name);
    db_segment_unref(c->segment);
    db_segment_unref(db->log_guarded_.next);
    for (size_t i = 0; i < y->count; i++)
        db_segment_unref(y->segments[i]);
    mem_free(y->segments);
    manifest_close(db->manifest_guarded_.log);
    version_unref(db->empty_version);
    if (db->has_files) {
        gc_fini(&db->gc);
        sst_cache_fini(&db->ssts);
        block_cache_free(db->blocks);
    }
}

static enum lam_code check_unused(lam_db *db, struct lam_error *err) {
    mutex_lock(&db->state);
    unsigned long long snapshots = db_state(db)->snapshot_count, open[DB_HANDLES], all = snapshots;
    mutex_unlock(&db->state);
    for (int i = 0; i < DB_HANDLES; i++)
        all += open[i] = atomic_load_explicit(&db->handles[i], memory_order_acquire);
    if (all == 0)
        return LAM_OK;
    return ERR(
        err, LAM_BUSY,
        "%s can't be closed: %llu transactions, %llu snapshots, %llu iterators, %llu batches, "
        "%llu ingests and %llu pinned values are open",
        db->path, open[DB_TRANSACTIONS], snapshots - open[DB_TRANSACTIONS], open[DB_ITERATORS],
        open[DB_BATCHES], open[DB_INGESTS], open[DB_PINNED]);
}

/* Bytes of log that the next open would replay. */
static uint64_t log_bytes(lam_db *db) {
    uint64_t bytes = 0;
    mutex_lock(&db->sync);
    const struct db_sync *s = db_sync(db);
    for (size_t i = 0; i < s->count; i++)
        bytes += wal_writer_end(s->segments[i]->writer);
    mutex_unlock(&db->sync);
    return bytes;
}

static enum lam_code seal(lam_db *db, struct lam_error *err) {
    TRY(db_check_writable(db, err));
    if (log_bytes(db) > db->tuning.close_dump_bytes)
        TRY(db_dump_all(db, err));
    TRY(db_sync_to(db, db_published(db), err));
    gc_drain(&db->gc);
    db_wal_remove_recyclable(db);
    struct manifest_wal *wals;
    size_t count;
    TRY(db_wal_list(db, true, &wals, &count, err));
    struct manifest_edit edit = {
        .has_next_number = true,
        .next_number = atomic_load(&db->next_number),
        .clean_close = true,
        .wals = wals,
        .wals_count = count,
    };
    mutex_lock(&db->manifest);
    enum lam_code rc = manifest_seal(db_manifest(db)->log, &edit, err);
    mutex_unlock(&db->manifest);
    mem_free(wals);
    if (rc == LAM_OK)
        db_wal_cut_sealed(db);
    return rc;
}

/* What is written from here on would be lost. */
static void refuse_writes(lam_db *db) {
    mutex_lock(&db->sync);
    if (db_sync(db)->failure.code == LAM_OK)
        IGNORE(ERR(&db_sync(db)->failure, LAM_READ_ONLY, "it is being closed"), "it is kept");
    atomic_store(&db->failed, true);
    mutex_unlock(&db->sync);
}

static void note_close(lam_db *db, enum lam_code rc, const struct lam_error *cause) {
    if (rc == LAM_OK)
        notify_log(&db->notify, LAM_LOG_INFO, "%s is closed", db->path);
    else
        notify_log(&db->notify, LAM_LOG_ERROR, "%s was not closed cleanly: %s", db->path,
                   cause->message);
    notify_deliver(&db->notify);
}

enum lam_code lam_db_close(lam_db *db, struct lam_error *err) {
    if (!db)
        return LAM_OK;
    TRY(db_check_process(db, err));
    if (notify_is_inside(&db->notify))
        return ERR(err, LAM_BUSY, "%s can't be closed by one of its callbacks", db->path);
    TRY(attach_closing(db, err));
    /* Callbacks use the database: they come to their end first, and again after the last commit
     * that they could make. */
    notify_stop(&db->notify);
    notify_deliver(&db->notify);
    enum lam_code rc = check_unused(db, err);
    if (rc != LAM_OK) {
        notify_go_live(&db->notify);
        notify_kick(&db->notify);
        return rc;
    }
    attach_close(db);
    db_bg_stop(db);
    struct lam_error cause = {0};
    rc = db->options.read_only ? LAM_OK : seal(db, &cause);
    refuse_writes(db);
    note_close(db, rc, &cause);
    if (rc != LAM_OK && err)
        *err = cause;
    db_teardown(db);
    db_free(db);
    return rc;
}
