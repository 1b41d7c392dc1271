/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics. */
#include "lsm/db_impl.h"

static void add_files(struct lam_stats *out, const struct version *v) {
    for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
        out->sst_files += v->levels[level].count;
        out->sst_bytes += v->levels[level].bytes;
    }
}

void lam_db_stats(lam_db *db, struct lam_stats *out) {
    if (!out)
        return;
    memset(out, 0, sizeof *out);
    if (!db || db_check_process(db, NULL) != LAM_OK)
        return;
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    *out = s->stats;
    out->partitions = s->count;
    out->snapshots = s->snapshot_count;
    for (size_t i = 0; i < s->count; i++) {
        const struct read_state *r = s->by_number[i]->state;
        add_files(out, r->version);
        if (r->active)
            out->memtable_bytes += memtable_bytes(r->active);
        for (uint32_t j = 0; j < r->sealed_count; j++)
            out->memtable_bytes += memtable_bytes(r->sealed[j]);
    }
    mutex_unlock(&db->state);
    mutex_lock(&db->commit);
    const struct db_commit *c = db_commit(db);
    out->writes = c->writes;
    out->operations = c->operations;
    out->wal_bytes = c->wal_bytes;
    out->stall_us = c->stall_us;
    mutex_unlock(&db->commit);
    mutex_lock(&db->sync);
    out->wal_syncs = db_sync(db)->wal_syncs;
    out->sync_waits = db_sync(db)->sync_waits;
    mutex_unlock(&db->sync);
    out->sequence = db_published(db);
    out->gets = epochs_total(&db->epochs, EPOCH_GETS);
    out->filter_checks = epochs_total(&db->epochs, EPOCH_FILTER_CHECKS);
    out->filter_negatives = epochs_total(&db->epochs, EPOCH_FILTER_NEGATIVES);
    struct block_cache_stats blocks = {0};
    block_cache_get_stats(db->blocks, &blocks);
    out->cache_bytes = blocks.bytes;
    out->cache_hits = blocks.hits;
    out->cache_misses = blocks.misses;
}
