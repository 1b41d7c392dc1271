/* SPDX-License-Identifier: Apache-2.0
 *
 * Open SSTs, at most `limit` of them, least recently used closed first. When the process runs out
 * of file descriptors half of them are closed and the open is tried again. The handle of a file
 * hangs at its file_meta, so a lookup is one short lock and no hashing. */
#ifndef LAMINA_LSM_SST_CACHE_H
#define LAMINA_LSM_SST_CACHE_H

#include "base/env.h"
#include "base/thread.h"
#include "lsm/sst.h"

struct file_meta;
struct sst_cache {
    lam_env *env;        /* borrowed */
    uint64_t process_id; /* of who opened the database */
    const char *dir;     /* borrowed */
    uint8_t db_id[16];
    struct block_cache *blocks; /* borrowed; may be NULL */
    size_t limit;
    struct mutex mu; /* RANK_CACHE */
    struct sst_cache_list {
        struct file_meta *newest; /* most recently used first, linked by lru_next/lru_prev */
        struct file_meta *oldest;
        size_t count;
    } guarded_;
};

void sst_cache_init(struct sst_cache *c, lam_env *env, const char *dir, const uint8_t *db_id,
                    struct block_cache *blocks, size_t limit);
/* All file_metas must be gone. */
void sst_cache_fini(struct sst_cache *c);
/* Gives a reference to the open file; opens it if need be. Release with sst_unref. */
MUST_CHECK enum lam_code sst_cache_get(struct sst_cache *c, struct file_meta *file,
                                       struct sst **sst_out, struct lam_error *err);
/* Closes the half that was not used for longest. */
void sst_cache_halve(struct sst_cache *c);
/* Lets go of the handle of a file that dies. */
void sst_cache_forget(struct sst_cache *c, struct file_meta *file);

#endif
