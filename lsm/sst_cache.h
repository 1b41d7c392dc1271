/* SPDX-License-Identifier: Apache-2.0
 *
 * Open SSTs, at most `limit` of them, and no more than hold `limit_bytes`; those not used for long
 * are closed first. What they hold is taken from the block cache's capacity. When the process
 * runs out of file descriptors half of them are closed and the open is tried again. The handle of a
 * file hangs at its file_meta, so a lookup inside an epoch (lsm/epoch.h) is one load. */
#ifndef LAMINA_LSM_SST_CACHE_H
#define LAMINA_LSM_SST_CACHE_H

#include "base/env.h"
#include "base/thread.h"
#include "lsm/epoch.h"
#include "lsm/sst.h"
#include "lsm/version.h"

struct notify;
struct sst_cache {
    lam_env *env;        /* borrowed */
    uint64_t process_id; /* of who opened the database */
    const char *dir;     /* borrowed */
    uint8_t db_id[16];
    struct block_cache *blocks; /* borrowed; may be NULL */
    struct epochs *epochs;      /* borrowed: of who uses sst_cache_peek */
    size_t limit;               /* files */
    size_t limit_bytes;         /* of memory that they hold, but for one */
    struct notify *notify;      /* hears of descriptors that ran out; borrowed; NULL: nobody */
    struct mutex mu;            /* RANK_CACHE */
    struct sst_cache_list {
        struct file_meta *newest; /* opened or found used last; linked by next/prev */
        struct file_meta *oldest;
        size_t count;
        size_t bytes; /* sst_memory of all */
    } guarded_;
};

void sst_cache_init(struct sst_cache *c, lam_env *env, const char *dir, const uint8_t *db_id,
                    struct block_cache *blocks, struct epochs *epochs, size_t limit,
                    size_t limit_bytes);
/* All file_metas must be gone. */
void sst_cache_fini(struct sst_cache *c);
/* The open file, to be used inside the epoch only; NULL if it is not open. */
static inline struct sst *sst_cache_peek(struct file_meta *file) {
    struct sst *s = atomic_load(&file->sst);
    /* Written only when it changes: readers share the line. */
    if (s && !atomic_load_explicit(&file->sst_used, memory_order_relaxed))
        atomic_store_explicit(&file->sst_used, true, memory_order_relaxed);
    return s;
}
/* Gives a reference to the open file; opens it if need be. Release with sst_unref. Not to be called
 * inside an epoch: it does I/O, and may have to close files that wait for readers. */
MUST_CHECK enum lam_code sst_cache_get(struct sst_cache *c, struct file_meta *file,
                                       struct sst **sst_out, struct lam_error *err);
/* Open SSTs and the bytes of memory they hold: indexes, filters, range tombstones. */
void sst_cache_usage(struct sst_cache *c, uint64_t *files_out, uint64_t *bytes_out);
/* Closes the half that was not used for longest. */
void sst_cache_halve(struct sst_cache *c);
/* Lets go of the handle of a file that dies, which no reader can reach any more. */
void sst_cache_forget(struct sst_cache *c, struct file_meta *file);

#endif
