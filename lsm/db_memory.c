/* SPDX-License-Identifier: Apache-2.0
 *
 * Sharing the memory budget. Memtables and what dumps and compactions work with have one half of
 * it, the caches the other. What the first half is passed by, the block cache lends for as long. */
#include "lsm/db_impl.h"

/* Buffers, index and hashes of a file being written, but for what grows with it. */
#define OUTPUT_BYTES (1u << 20)
/* Of a source that is merged: what is read ahead, and a block. */
#define SOURCE_BYTES (160u << 10)

void db_share_memory(lam_db *db) {
    uint64_t half = db->options.memory_budget - db->options.memory_budget / 2;
    /* The active memtables at their fullest: their last chunks (lsm/pool.h) may be a quarter. */
    uint64_t all = db->tuning.rotate_bytes + db->tuning.rotate_bytes / 4;
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    for (size_t i = 0; i < s->sealed_count; i++)
        all += s->sealed[i]->bytes;
    if (s->dump_running)
        all += OUTPUT_BYTES + s->sealed[0]->bytes / 16;
    if (s->compact_sources > 0)
        all += OUTPUT_BYTES + s->compact_sources * SOURCE_BYTES + db->tuning.base_bytes / 16;
    mutex_unlock(&db->state);
    block_cache_set_work(db->blocks, all > half ? (size_t)(all - half) : 0);
}
