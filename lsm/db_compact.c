/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction of a range on demand: steps on the caller's thread, each a turn among the due ones. */
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
static enum lam_code run_steps(lam_db *db, lam_partition *p, const struct compact_range *range,
                               struct lam_error *err) {
    bool more = true, due;
    while (more) {
        TRY(compact_check_end(db, range, err));
        TRY(compact_range_step(db, p, range, &more, err));
        if (more)
            TRY(compact_due(db, &due, err));
    }
    return atomic_load(&p->dropped)
               ? ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name)
               : LAM_OK;
}

static void count_call(lam_db *db, bool begin) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    s->range_calls += begin ? 1 : -1u;
    cond_broadcast(&db->idle);
    mutex_unlock(&db->state);
}

enum lam_code lam_db_compact_range(lam_db *db, lam_partition *partition, struct lam_slice from,
                                   struct lam_slice to, struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_db_compact_range", err));
    if ((from.size && !from.data) || (to.size && !to.data))
        return ERR(err, LAM_INVALID, "lam_db_compact_range: a bound with a size is NULL");
    TRY(db_check_writable(db, err));
    struct compact_range range = {.keys = {from, to, db_published(db)},
                                  .cancels = atomic_load(&db->cancels)};
    count_call(db, true);
    enum lam_code rc = LAM_OK;
    if (to.size == 0 || slice_cmp(from, to) < 0) {
        rc = db_dump_all(db, err);
        if (rc == LAM_OK)
            rc = run_steps(db, partition, &range, err);
        notify_end_call(&db->notify);
    }
    count_call(db, false); /* from here on the database may be gone */
    return rc;
}

void lam_db_compact_cancel(lam_db *db) {
    if (db && !db_is_foreign(db))
        atomic_fetch_add(&db->cancels, 1);
}
