/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction on demand: steps on the caller's thread, each a turn among the due ones. */
#include "base/assert.h"
#include "lsm/db_impl.h"

enum lam_code compact_check_end(lam_db *db, const struct compact_range *range,
                                struct lam_error *err) {
    if (atomic_load(&db->closing))
        return ERR(err, LAM_BUSY, "compaction: the database is closing");
    if (range && atomic_load(&db->cancels) != range->cancels)
        return ERR(err, LAM_BUSY, "compaction of a range: cancelled");
    return LAM_OK;
}

/* Steps until nothing of the range is left to do. After each, due work has its turn, so that
 * writers do not fall behind for it. */
static enum lam_code run_steps(lam_db *db, lam_partition *p, struct compact_range *range,
                               struct lam_error *err) {
    bool more = true, due;
    while (more) {
        TRY(compact_check_end(db, range, err));
        TRY(compact_range_step(db, p, range, &more, err));
        TRY(progress_tell(&range->progress, p->name, err));
        if (more)
            TRY(compact_due(db, &due, err));
    }
    return atomic_load(&p->dropped)
               ? ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name)
               : LAM_OK;
}

static enum lam_code run_each(lam_db *db, struct compact_range *range, struct lam_error *err) {
    uint64_t number = 0;
    lam_partition *p;
    enum lam_code rc = LAM_OK;
    while (rc == LAM_OK && (p = db_partition_after(db, &number)) != NULL) {
        rc = run_steps(db, p, range, err);
        if (rc == LAM_NOT_FOUND && atomic_load(&p->dropped))
            rc = LAM_OK;
        db_partition_unref(p);
    }
    return rc;
}

/* A call that close waits for begins or ends. */
static void count_call(lam_db *db, bool begin) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    s->long_calls += begin ? 1 : -1u;
    cond_broadcast(&db->idle);
    mutex_unlock(&db->state);
}

enum lam_code lam_db_compact(lam_db *db, lam_partition *partition, struct lam_error *err) {
    return lam_db_compact_range(db, partition, SLICE_EMPTY, SLICE_EMPTY, NULL, NULL, err);
}

enum lam_code lam_db_compact_range(lam_db *db, lam_partition *partition, struct lam_slice from,
                                   struct lam_slice to, lam_progress_fn progress, void *arg,
                                   struct lam_error *err) {
    if (!db)
        return ERR(err, LAM_INVALID, "lam_db_compact: db must not be NULL");
    TRY(db_check_process(db, err));
    if (partition)
        TRY(db_check_partition(db, partition, "lam_db_compact", err));
    if ((from.size && !from.data) || (to.size && !to.data))
        return ERR(err, LAM_INVALID, "lam_db_compact_range: a bound with a size is NULL");
    TRY(db_check_writable(db, err));
    struct compact_range range = {.keys = {from, to, db_published(db)},
                                  .cancels = atomic_load(&db->cancels),
                                  .progress = {.fn = progress, .arg = arg}};
    count_call(db, true);
    enum lam_code rc = LAM_OK;
    if (to.size == 0 || slice_cmp(from, to) < 0) {
        rc = db_dump_all(db, err);
        if (rc == LAM_OK)
            rc = partition ? run_steps(db, partition, &range, err) : run_each(db, &range, err);
        notify_end_call(&db->notify);
    }
    count_call(db, false); /* from here on the database may be gone */
    return rc;
}

void lam_db_compact_cancel(lam_db *db) {
    if (db && !db_is_foreign(db))
        atomic_fetch_add(&db->cancels, 1);
}

/* One turn of dumping and one of compacting; each waits for who has it. */
static enum lam_code work_off(lam_db *db, bool *more_out, struct lam_error *err) {
    bool dumped, compacted;
    TRY(compact_check_end(db, NULL, err));
    TRY(db_check_writable(db, err));
    db_seal_passed(db);
    TRY(dump_oldest(db, &dumped, err));
    TRY(compact_due(db, &compacted, err));
    *more_out = dumped || compacted;
    return LAM_OK;
}

enum lam_code lam_db_wait_idle(lam_db *db, struct lam_error *err) {
    if (!db)
        return ERR(err, LAM_INVALID, "lam_db_wait_idle: db must not be NULL");
    TRY(db_check_process(db, err));
    if (db->options.read_only)
        return LAM_OK;
    count_call(db, true);
    enum lam_code rc = LAM_OK;
    for (bool more = true; more && rc == LAM_OK;)
        rc = work_off(db, &more, err);
    notify_end_call(&db->notify);
    count_call(db, false);
    return rc;
}
