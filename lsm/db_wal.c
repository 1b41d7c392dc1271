/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments of the log: opening, naming in the manifest, recycling, removal. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/filename.h"

/* Room for the segment's header beside one record. */
#define SEGMENT_SLACK 1024u

void db_segment_unref(struct db_segment *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    wal_writer_close(s->writer);
    mem_free(s);
}

static uint64_t take_recyclable(lam_db *db) {
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    uint64_t number = s->recyclable[0];
    s->recyclable[0] = s->recyclable[1];
    s->recyclable[1] = 0;
    mutex_unlock(&db->sync);
    return number;
}

static enum lam_code open_writer(lam_db *db, struct db_segment *segment, struct lam_error *err) {
    struct buf path = {0}, from = {0};
    const char *path_text, *from_text = NULL;
    uint64_t old = segment->bytes == db->tuning.segment_bytes ? take_recyclable(db) : 0;
    enum lam_code rc = filename_path(&path, db->path, FILE_WAL, segment->number, &path_text, err);
    if (rc == LAM_OK && old)
        rc = filename_path(&from, db->path, FILE_WAL, old, &from_text, err);
    if (rc == LAM_OK)
        rc = wal_writer_open(db->env, db->path, path_text, from_text, db->id, segment->number,
                             segment->bytes, &segment->writer, err);
    buf_fini(&path);
    buf_fini(&from);
    return rc;
}

enum lam_code db_wal_open(lam_db *db, uint64_t number, uint64_t min_bytes,
                          struct db_segment **segment_out, struct lam_error *err) {
    struct db_segment *segment = mem_calloc(1, sizeof *segment);
    if (!segment)
        return mem_fail(err, sizeof *segment);
    atomic_init(&segment->refs, 1);
    segment->number = number;
    segment->bytes = min_bytes > db->tuning.segment_bytes ? min_bytes : db->tuning.segment_bytes;
    struct lam_error cause = {0};
    enum lam_code rc = open_writer(db, segment, &cause);
    if (rc != LAM_OK && error_is_out_of_files(&cause)) {
        db_close_idle_files(db);
        memset(&cause, 0, sizeof cause);
        rc = open_writer(db, segment, &cause);
    }
    if (rc != LAM_OK && err)
        *err = cause;
    if (rc == LAM_OK) {
        mutex_lock(&db->sync);
        struct db_sync *s = db_sync(db);
        LAM_ASSERT(s->count == 0 || s->segments[s->count - 1]->number < number);
        rc = MEM_GROW(&s->segments, &s->capacity, s->count + 1, err);
        if (rc == LAM_OK) {
            atomic_fetch_add(&segment->refs, 1);
            s->segments[s->count++] = segment;
        }
        mutex_unlock(&db->sync);
    }
    if (rc != LAM_OK) {
        db_segment_unref(segment);
        return rc;
    }
    *segment_out = segment;
    return LAM_OK;
}

/* Gives up a segment that was opened last and that no edit names. */
static void forget_segment(lam_db *db, struct db_segment *fresh) {
    struct buf path = {0};
    const char *text;
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    LAM_ASSERT(s->count > 0 && s->segments[s->count - 1] == fresh);
    s->count--;
    mutex_unlock(&db->sync);
    if (filename_path(&path, db->path, FILE_WAL, fresh->number, &text, NULL) == LAM_OK)
        IGNORE(env_file_remove(db->env, text, NULL), "an orphan goes at the next open");
    buf_fini(&path);
    db_segment_unref(fresh);
}

enum lam_code db_wal_roll_locked(lam_db *db, uint64_t payload_bytes, struct lam_error *err) {
    struct db_commit *c = db_commit(db);
    struct db_segment *fresh;
    uint64_t need = payload_bytes + WAL_RECORD_OVERHEAD + SEGMENT_SLACK;
    uint64_t number = db_next_number(db);
    TRY(db_wal_open(db, number, need, &fresh, err));
    /* Named before its first record: what recovery finds unnamed holds nothing. */
    struct manifest_wal wal = {number, 0, 0};
    struct manifest_edit edit = {.wals = &wal, .wals_count = 1};
    mutex_lock(&db->manifest);
    enum lam_code rc = db_manifest_append_locked(db, &edit, err);
    mutex_unlock(&db->manifest);
    if (rc != LAM_OK) {
        if (rc != LAM_UNKNOWN_OUTCOME)
            forget_segment(db, fresh);
        db_segment_unref(fresh);
        return rc;
    }
    struct db_segment *old = c->segment;
    c->segment = fresh;
    if (old) {
        mutex_lock(&db->sync);
        old->finished = true;
        mutex_unlock(&db->sync);
        db_segment_unref(old);
    }
    return LAM_OK;
}

/* Takes the first segment below `floor` out of the list; NULL if there is none. One that a leader
 * still syncs is not recycled: its failing sync could be that of the file's next life, and the
 * other way round. */
static struct db_segment *take_released(lam_db *db, uint64_t floor, bool *recycle_out) {
    struct db_segment *first = NULL;
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    if (s->count > 0 && s->segments[0]->number < floor) {
        first = s->segments[0];
        s->count--;
        memmove(s->segments, s->segments + 1, s->count * sizeof *s->segments);
        *recycle_out = false;
        bool fit = first->bytes == db->tuning.segment_bytes && atomic_load(&first->refs) == 1;
        for (int i = 0; i < 2 && fit && !*recycle_out; i++)
            if (s->recyclable[i] == 0) {
                s->recyclable[i] = first->number;
                *recycle_out = true;
            }
    }
    mutex_unlock(&db->sync);
    return first;
}

void db_wal_release(lam_db *db, uint64_t floor) {
    struct buf path = {0};
    const char *text;
    struct db_segment *segment;
    bool recycle;
    while ((segment = take_released(db, floor, &recycle)) != NULL) {
        if (!recycle &&
            filename_path(&path, db->path, FILE_WAL, segment->number, &text, NULL) == LAM_OK)
            IGNORE(env_file_remove(db->env, text, NULL), "an orphan goes at the next open");
        db_segment_unref(segment);
    }
    buf_fini(&path);
}
