/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots: registered sequences that compaction keeps versions for. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

enum lam_code lam_snapshot_new(lam_db *db, lam_snapshot **snapshot_out, struct lam_error *err) {
    if (!db || !snapshot_out)
        return ERR(err, LAM_INVALID, "lam_snapshot_new: db and snapshot_out must not be NULL");
    TRY(db_check_process(db, err));
    struct lam_snapshot *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->db = db;
    s->made_ns = env_monotonic_ns(db->env);
    mutex_lock(&db->state);
    struct db_state *state = db_state(db);
    s->sequence = db_published(db); /* D5 */
    s->prev = state->snapshots_last;
    LAM_ASSERT(!s->prev || s->prev->sequence <= s->sequence);
    if (s->prev)
        s->prev->next = s;
    else
        state->snapshots = s;
    state->snapshots_last = s;
    state->snapshot_count++;
    mutex_unlock(&db->state);
    *snapshot_out = s;
    return LAM_OK;
}

uint64_t lam_snapshot_sequence(const lam_snapshot *snapshot) {
    return snapshot ? snapshot->sequence : 0;
}

void lam_snapshot_free(lam_snapshot *snapshot) {
    if (!snapshot || db_is_foreign(snapshot->db))
        return;
    lam_db *db = snapshot->db;
    mutex_lock(&db->state);
    struct db_state *state = db_state(db);
    if (snapshot->prev)
        snapshot->prev->next = snapshot->next;
    else
        state->snapshots = snapshot->next;
    if (snapshot->next)
        snapshot->next->prev = snapshot->prev;
    else
        state->snapshots_last = snapshot->prev;
    LAM_ASSERT(state->snapshot_count > 0);
    state->snapshot_count--;
    mutex_unlock(&db->state);
    mem_free(snapshot);
}
