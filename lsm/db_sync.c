/* SPDX-License-Identifier: Apache-2.0
 *
 * Grouped syncs of the log. The first waiter leads: it syncs every segment that is not known to be
 * durable, oldest first, for all records published before it began; who comes meanwhile waits for
 * the next round. Writers that a round sets free come back for the next one, the first of them well
 * before the others: so a leader waits a little for as many as the last round had. A failed sync is
 * final: the kernel may have dropped the pages, so asking again could report success for data that
 * is gone. */
#include "base/assert.h"
#include "lsm/db_impl.h"

static void fail_locked(lam_db *db, const struct lam_error *failure) REQUIRES(&db->sync) {
    db_sync(db)->failure = *failure;
    atomic_store(&db->failed, true);
    notify_event(&db->notify, &(struct lam_event){.kind = LAM_EVENT_WRITES_STOPPED,
                                                  .code = failure->code,
                                                  .message = failure->message});
    notify_log(&db->notify, LAM_LOG_ERROR, "%s takes no more writes: %s", db->path,
               failure->message);
}

void db_fail(lam_db *db, const struct lam_error *failure) {
    LAM_ASSERT(failure->code != LAM_OK);
    mutex_lock(&db->sync);
    if (db_sync(db)->failure.code == LAM_OK)
        fail_locked(db, failure);
    cond_broadcast(&db->synced);
    mutex_unlock(&db->sync);
}

/* First segment with records that may not be durable; a reference. */
static struct db_segment *first_unsynced_locked(lam_db *db, bool *finished_out)
    REQUIRES(&db->sync) {
    struct db_sync *s = db_sync(db);
    for (size_t i = 0; i < s->count; i++) {
        if (s->segments[i]->synced)
            continue;
        atomic_fetch_add(&s->segments[i]->refs, 1);
        *finished_out = s->segments[i]->finished;
        return s->segments[i];
    }
    return NULL;
}

/* Waits until as many have come as were in the last round, for at most half of what that took: more
 * would be lost for nothing when they do not come. */
static void gather_locked(lam_db *db) REQUIRES(&db->sync) {
    struct db_sync *s = db_sync(db);
    if (s->joined < s->group) {
        uint64_t now = env_monotonic_ns(db->env), until = now + s->round_ns / 2;
        while (s->joined < s->group && now < until) {
            cond_wait_for(&db->gathered, &db->sync, (until - now) / 1000 + 1);
            now = env_monotonic_ns(db->env);
        }
    }
    s->group = s->joined;
    s->joined = 0;
}

/* Syncs as leader, leaving the mutex meanwhile. */
static void lead_locked(lam_db *db) REQUIRES(&db->sync) {
    struct db_sync *s = db_sync(db);
    s->running = true;
    gather_locked(db);
    uint64_t start = env_monotonic_ns(db->env);
    /* Read before the segments: all these records are in segments listed by now, and the first
     * unsynced one that is not finished holds the last of them. */
    uint64_t target = db_published(db);
    bool finished = true;
    enum lam_code rc = LAM_OK;
    struct lam_error cause = {0};
    while (rc == LAM_OK && finished) {
        struct db_segment *segment = first_unsynced_locked(db, &finished);
        if (!segment)
            break;
        s->wal_syncs++;
        mutex_unlock(&db->sync);
        rc = wal_writer_sync(segment->writer, &cause);
        mutex_lock(&db->sync);
        if (rc == LAM_OK && finished)
            segment->synced = true;
        db_segment_unref(segment);
    }
    s->round_ns = env_monotonic_ns(db->env) - start;
    s->running = false;
    if (rc == LAM_OK) {
        if (target > atomic_load(&db->durable))
            atomic_store(&db->durable, target);
    } else if (s->failure.code == LAM_OK) {
        cause.code = rc;
        fail_locked(db, &cause);
    }
    cond_broadcast(&db->synced);
}

enum lam_code db_sync_to(lam_db *db, uint64_t sequence, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    if (atomic_load(&db->durable) >= sequence)
        return LAM_OK;
    uint64_t start_ns = env_monotonic_ns(db->env);
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    s->sync_waits++;
    if (++s->joined == s->group)
        cond_signal(&db->gathered);
    while (atomic_load(&db->durable) < sequence) {
        if (s->failure.code != LAM_OK) {
            rc = ERR(err, LAM_UNKNOWN_OUTCOME, "the commit may not survive a power loss: %s",
                     s->failure.message);
            break;
        }
        if (s->running)
            cond_wait(&db->synced, &db->sync);
        else
            lead_locked(db);
    }
    mutex_unlock(&db->sync);
    if (rc == LAM_OK)
        (void)db_note_work_us(db, DB_LATENCY_SYNC, start_ns);
    return rc;
}

void db_sync_note(lam_db *db, uint64_t sequence) {
    mutex_lock(&db->sync);
    if (sequence > atomic_load(&db->durable))
        atomic_store(&db->durable, sequence);
    cond_broadcast(&db->synced);
    mutex_unlock(&db->sync);
}

enum lam_code lam_sync(lam_db *db, uint64_t sequence, struct lam_error *err) {
    if (!db)
        return ERR(err, LAM_INVALID, "lam_sync: db must not be NULL");
    TRY(db_check_process(db, err));
    if (db->options.read_only)
        return LAM_OK;
    uint64_t published = db_published(db);
    enum lam_code rc = db_sync_to(db, sequence < published ? sequence : published, err);
    notify_end_call(&db->notify);
    return rc;
}
