/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments of the log: opening, naming in the manifest, recycling, removal. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/filename.h"

/* Room for the segment's header beside one record. */
#define SEGMENT_SLACK 1024u
/* Of a segment that nobody writes to one part in so many stays reserved. */
#define REST_SHARE 32u
/* The next segment is asked for when so much of one is written: making it takes as long as the
 * disk is busy, and a small database has one. */
#define NEXT_SHARE 8u

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

static enum lam_code list_segment(lam_db *db, struct db_segment *segment, struct lam_error *err) {
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    LAM_ASSERT(s->count == 0 || s->segments[s->count - 1]->number < segment->number);
    enum lam_code rc = MEM_GROW(&s->segments, &s->capacity, s->count + 1, err);
    if (rc == LAM_OK) {
        atomic_fetch_add(&segment->refs, 1);
        s->segments[s->count++] = segment;
    }
    mutex_unlock(&db->sync);
    return rc;
}

static void unlist_segment(lam_db *db, struct db_segment *last) {
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    LAM_ASSERT(s->count > 0 && s->segments[s->count - 1] == last);
    s->count--;
    mutex_unlock(&db->sync);
    db_segment_unref(last);
}

/* Makes the file of the next number. */
static enum lam_code open_segment(lam_db *db, uint64_t min_bytes, struct db_segment **segment_out,
                                  struct lam_error *err) REQUIRES(&db->log) {
    struct db_segment *segment = mem_calloc(1, sizeof *segment);
    if (!segment)
        return mem_fail(err, sizeof *segment);
    atomic_init(&segment->refs, 1);
    segment->number = db_next_number(db);
    segment->bytes = min_bytes > db->tuning.segment_bytes ? min_bytes : db->tuning.segment_bytes;
    struct lam_error cause = {0};
    enum lam_code rc = open_writer(db, segment, &cause);
    if (rc != LAM_OK && error_is_out_of_files(&cause)) {
        db_close_idle_files(db);
        memset(&cause, 0, sizeof cause);
        rc = open_writer(db, segment, &cause);
    }
    if (rc != LAM_OK) {
        if (err)
            *err = cause;
        db_segment_unref(segment);
        return rc;
    }
    *segment_out = segment;
    return LAM_OK;
}

enum lam_code db_wal_open(lam_db *db, uint64_t min_bytes, struct db_segment **segment_out,
                          struct lam_error *err) {
    struct db_segment *segment;
    TRY(open_segment(db, min_bytes, &segment, err));
    enum lam_code rc = list_segment(db, segment, err);
    if (rc != LAM_OK) {
        db_segment_unref(segment);
        return rc;
    }
    *segment_out = segment;
    return LAM_OK;
}

/* Lists the segment and names it. A manifest rewrite names what is listed, so it sees neither or
 * both. */
static enum lam_code name_segment(lam_db *db, struct db_segment *fresh, struct lam_error *err)
    REQUIRES(&db->log) {
    struct manifest_wal wal = {fresh->number, 0, 0};
    struct manifest_edit edit = {.wals = &wal, .wals_count = 1};
    mutex_lock(&db->manifest);
    enum lam_code rc = list_segment(db, fresh, err);
    if (rc == LAM_OK) {
        rc = db_manifest_append_locked(db, &edit, err);
        if (rc != LAM_OK && rc != LAM_UNKNOWN_OUTCOME)
            unlist_segment(db, fresh);
    }
    mutex_unlock(&db->manifest);
    return rc;
}

/* Gives up the file of a segment that no edit names. */
static void forget_segment(lam_db *db, const struct db_segment *fresh) {
    struct buf path = {0};
    const char *text;
    if (filename_path(&path, db->path, FILE_WAL, fresh->number, &text, NULL) == LAM_OK)
        IGNORE(env_file_remove(db->env, text, NULL), "an orphan goes at the next open");
    buf_fini(&path);
}

/* A segment that may be written to. */
static enum lam_code make_segment(lam_db *db, uint64_t min_bytes, struct db_segment **out,
                                  struct lam_error *err) REQUIRES(&db->log) {
    struct db_segment *fresh;
    TRY(open_segment(db, min_bytes, &fresh, err));
    /* Named before its first record: what recovery finds unnamed holds nothing. */
    enum lam_code rc = name_segment(db, fresh, err);
    if (rc != LAM_OK) {
        if (rc != LAM_UNKNOWN_OUTCOME)
            forget_segment(db, fresh);
        db_segment_unref(fresh);
        return rc;
    }
    *out = fresh;
    return LAM_OK;
}

static void finish_segment(lam_db *db, struct db_segment *s) {
    if (!s)
        return;
    mutex_lock(&db->sync);
    s->finished = true;
    mutex_unlock(&db->sync);
    db_segment_unref(s);
}

/* The prepared segment, if it is large enough; one that is not stays in the log without a record,
 * since numbers go by the order of records. */
static struct db_segment *take_next(lam_db *db, uint64_t min_bytes) REQUIRES(&db->log) {
    struct db_segment *next = db_log(db)->next;
    db_log(db)->next = NULL;
    if (next && next->bytes < min_bytes) {
        finish_segment(db, next);
        next = NULL;
    }
    return next;
}

bool db_wal_wants_next_locked(lam_db *db) {
    struct db_commit *c = db_commit(db);
    bool soon = wal_writer_end(c->segment->writer) >= c->segment->bytes / NEXT_SHARE ||
                c->active_bytes >= db->tuning.rotate_bytes / 4 * 3;
    if (!soon || c->next_asked)
        return false;
    c->next_asked = true;
    return true;
}

void db_wal_prepare(void *arg) {
    lam_db *db = ((struct db_task *)arg)->db;
    mutex_lock(&db->log);
    struct db_log *l = db_log(db);
    if (!l->next && !atomic_load(&db->closing) && !atomic_load(&db->failed))
        IGNORE(make_segment(db, 0, &l->next, NULL), "the roll tries itself, and tells");
    mutex_unlock(&db->log);
}

enum lam_code db_wal_roll_locked(lam_db *db, uint64_t payload_bytes, struct lam_error *err) {
    struct db_commit *c = db_commit(db);
    uint64_t need = payload_bytes + WAL_RECORD_OVERHEAD + SEGMENT_SLACK;
    enum lam_code rc = LAM_OK;
    mutex_lock(&db->log);
    struct db_segment *fresh = take_next(db, need);
    if (!fresh)
        rc = make_segment(db, need, &fresh, err);
    mutex_unlock(&db->log);
    TRY(rc);
    finish_segment(db, c->segment);
    c->segment = fresh;
    c->next_asked = false;
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

void db_wal_remove_recyclable(lam_db *db) {
    struct buf path = {0};
    const char *text;
    uint64_t number;
    while ((number = take_recyclable(db)) != 0)
        if (filename_path(&path, db->path, FILE_WAL, number, &text, NULL) == LAM_OK)
            IGNORE(env_file_remove(db->env, text, NULL), "an orphan goes at the next open");
    buf_fini(&path);
}

void db_wal_rest_locked(lam_db *db) {
    struct db_segment *current = db_commit(db)->segment;
    uint64_t rest = db->tuning.segment_bytes / REST_SHARE;
    db_wal_remove_recyclable(db);
    if (current && wal_writer_trim(current->writer, rest))
        current->bytes = rest;
}

void db_wal_cut_sealed(lam_db *db) {
    for (size_t i = 0;; i++) {
        mutex_lock(&db->sync);
        const struct db_sync *s = db_sync(db);
        struct wal_writer *w = i < s->count ? s->segments[i]->writer : NULL;
        mutex_unlock(&db->sync);
        if (!w)
            return;
        wal_writer_trim(w, wal_writer_end(w));
    }
}

enum lam_code db_wal_list(lam_db *db, bool ends, struct manifest_wal **out, size_t *count_out,
                          struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&db->sync);
    const struct db_sync *s = db_sync(db);
    struct manifest_wal *wals = mem_calloc(s->count + 1, sizeof *wals);
    if (!wals)
        rc = mem_fail(err, (s->count + 1) * sizeof *wals);
    for (size_t i = 0; wals && i < s->count; i++) {
        const struct db_segment *segment = s->segments[i];
        wals[i].number = segment->number;
        if (ends) {
            wals[i].end = wal_writer_end(segment->writer);
            wals[i].checksum = wal_writer_checksum(segment->writer);
        }
    }
    *out = wals;
    *count_out = s->count;
    mutex_unlock(&db->sync);
    return rc;
}
