/* SPDX-License-Identifier: Apache-2.0
 *
 * What iterators had to step over comes back to dumps and compactions. Deleted rows in front of
 * live ones make each walk pay again; here the steps are weighed against what it costs to write
 * the rows anew without them. A memtable full of tombstones is dumped before its time, a file goes
 * into the next compaction (lsm/pick.c). */
#include "lsm/db_impl.h"

static uint64_t level_bytes(const struct version *v) {
    uint64_t bytes = 0;
    for (uint32_t level = 1; level < VERSION_LEVELS && bytes == 0; level++)
        bytes = v->levels[level]->bytes;
    return bytes;
}

static bool memtable_is_due(const lam_db *db, const struct memtable *m, const struct version *v) {
    uint64_t passed = memtable_passed(m);
    return passed >= db->tuning.passed_steps && passed >= db->tuning.passed_steps +
                                                              memtable_entries(m) +
                                                              level_bytes(v) / PICK_STEP_BYTES;
}

static bool file_is_due(const lam_db *db, const struct version *v) {
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++)
            if (file_meta_passed(v->levels[level]->files[i]) >= db->tuning.passed_steps)
                return true;
    return false;
}

void db_note_passed(lam_db *db, lam_partition *p, const struct read_state *s) {
    bool dump = s->active && memtable_is_due(db, s->active, s->version);
    bool compact = file_is_due(db, s->version);
    if (db->options.read_only || (!dump && !compact))
        return;
    if (dump)
        atomic_store_explicit(&db->seal_wanted, true, memory_order_relaxed);
    if (compact)
        db_rescore(db, p);
    db_bg_tell(db);
}

bool db_seal_passed_locked(lam_db *db) {
    struct db_commit *c = db_commit(db);
    bool due = false;
    atomic_store_explicit(&db->seal_wanted, false, memory_order_relaxed);
    for (size_t i = 0; i < c->active_count; i++)
        due |= memtable_passed(c->active[i]->active) >= db->tuning.passed_steps;
    return due && db_seal_locked(db, NULL) == LAM_OK;
}

void db_seal_passed(lam_db *db) {
    if (!atomic_load(&db->seal_wanted))
        return;
    mutex_lock(&db->commit);
    db_seal_passed_locked(db);
    mutex_unlock(&db->commit);
}
