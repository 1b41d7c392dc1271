/* SPDX-License-Identifier: Apache-2.0
 *
 * Grouped syncs of the log, in rounds. Who leads a round syncs every segment that is not known to
 * be durable, oldest first, for all records published before it began; who comes meanwhile waits
 * for the next round. Writers that a round sets free come back for the next one, the first of them
 * well before the others: so it waits a little for as many as are about, and the last to come
 * leads. Waiters sleep on the number of rounds and leave without the mutex. A failed sync is final:
 * the kernel may have dropped the pages, so asking again could report success for data that is
 * gone. */
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

/* What waiters look at has changed: they are to be woken when the mutex is free. */
static void end_round_locked(lam_db *db) REQUIRES(&db->sync) {
    db_sync(db)->gather_until_ns = 0;
    atomic_fetch_add(&db->rounds, 1);
}

void db_fail(lam_db *db, const struct lam_error *failure) {
    LAM_ASSERT(failure->code != LAM_OK);
    mutex_lock(&db->sync);
    if (db_sync(db)->failure.code == LAM_OK)
        fail_locked(db, failure);
    end_round_locked(db);
    mutex_unlock(&db->sync);
    word_wake_all(&db->rounds);
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

/* Whether the caller is to lead now: no round runs, and as many have come as are about or the time
 * for it is over, half of what the last round took: more would be lost for nothing when they do not
 * come. Else how long it may sleep: the first to wait looks after the time, which `*watches`
 * tells. */
static bool is_turn_locked(lam_db *db, bool *watches, uint64_t *wait_us_out) REQUIRES(&db->sync) {
    struct db_sync *s = db_sync(db);
    *wait_us_out = UINT64_MAX;
    if (s->running)
        return false;
    if (s->joined >= s->group)
        return true;
    uint64_t now = env_monotonic_ns(db->env);
    if (s->gather_until_ns == 0) {
        s->gather_until_ns = now + s->round_ns / 2;
        *watches = true;
    }
    if (now >= s->gather_until_ns)
        return true;
    if (*watches)
        *wait_us_out = (s->gather_until_ns - now) / 1000 + 1;
    return false;
}

/* Syncs as leader, leaving the mutex meanwhile. Then the waiters are to be woken. */
static void lead_locked(lam_db *db) REQUIRES(&db->sync) {
    struct db_sync *s = db_sync(db);
    LAM_ASSERT(!s->running);
    s->running = true;
    s->group = s->joined;
    s->joined = 0;
    uint64_t start = env_monotonic_ns(db->env);
    /* Read before the segments: all these records are in segments listed by now, and the first
     * unsynced one that is not finished holds the last of them. */
    uint64_t target = db_published(db);
    s->target = target;
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
    /* Whom it served may come back, beside those who wait by now. */
    s->group += s->joined;
    if (rc == LAM_OK) {
        if (target > atomic_load(&db->durable))
            atomic_store(&db->durable, target);
    } else if (s->failure.code == LAM_OK) {
        cause.code = rc;
        fail_locked(db, &cause);
    }
    end_round_locked(db);
}

/* Waits for a round that covers `sequence`, or leads it. `*led`: the waiters are to be woken. */
static enum lam_code join_rounds(lam_db *db, uint64_t sequence, bool *led, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    bool watches = false;
    uint64_t wait_us;
    mutex_lock(&db->sync);
    struct db_sync *s = db_sync(db);
    s->sync_waits++;
    if (s->running && sequence <= s->target)
        s->group++;
    else
        s->joined++;
    while (rc == LAM_OK && atomic_load(&db->durable) < sequence) {
        if (s->failure.code != LAM_OK) {
            rc = ERR(err, LAM_UNKNOWN_OUTCOME, "the commit may not survive a power loss: %s",
                     s->failure.message);
        } else if (is_turn_locked(db, &watches, &wait_us)) {
            lead_locked(db);
            *led = true;
        } else {
            uint32_t round = atomic_load(&db->rounds);
            mutex_unlock(&db->sync);
            word_wait(&db->rounds, round, wait_us);
            if (atomic_load(&db->durable) >= sequence)
                return LAM_OK;
            mutex_lock(&db->sync);
        }
    }
    mutex_unlock(&db->sync);
    return rc;
}

enum lam_code db_sync_to(lam_db *db, uint64_t sequence, struct lam_error *err) {
    if (atomic_load(&db->durable) >= sequence)
        return LAM_OK;
    uint64_t start_ns = env_monotonic_ns(db->env);
    bool led = false;
    enum lam_code rc = join_rounds(db, sequence, &led, err);
    if (led)
        word_wake_all(&db->rounds);
    if (rc == LAM_OK)
        (void)db_note_work_us(db, DB_LATENCY_SYNC, start_ns);
    return rc;
}

void db_sync_note(lam_db *db, uint64_t sequence) {
    mutex_lock(&db->sync);
    if (sequence > atomic_load(&db->durable))
        atomic_store(&db->durable, sequence);
    end_round_locked(db);
    mutex_unlock(&db->sync);
    word_wake_all(&db->rounds);
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
