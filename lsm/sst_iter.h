/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the iterator over an SST, so that a level's iterator can hold one and carry it from
 * file to file. */
#ifndef LAMINA_LSM_SST_ITER_H
#define LAMINA_LSM_SST_ITER_H

#include "lsm/sst_reader.h"

enum sst_aim { SST_AIM_NONE, SST_AIM_INDEX, SST_AIM_BLOCK, SST_AIM_ENTRY };
struct sst_iter {
    struct cursor_iter base;
    struct sst *sst;             /* one reference; NULL: none yet */
    bool fill_cache;             /* as wanted */
    bool use_cache;              /* else `window` */
    uint32_t block;              /* current block or none */
    uint32_t position;           /* entry in it, when base.valid */
    enum sst_aim aim;            /* how far a seek has got */
    uint32_t aim_at;             /* where to: the block, then the entry in the current one */
    struct block_view view;      /* of the current block */
    struct lam_slice suffix;     /* of the current key, in the block */
    struct cached_block *pinned; /* current block, when it came through the cache */
    uint8_t *key; /* current block's prefix, then the current suffix; owned unless key_room */
    size_t key_capacity;
    struct buf window;     /* stored bytes of whole blocks, from window_start */
    uint64_t window_start; /* offset in the file */
    size_t ahead_bytes;    /* a scan through the cache reads next; 0: it has just begun */
    struct buf scratch;    /* current block decompressed, when it came through the window */
    uint8_t key_room[64];  /* for `key`, if that is enough */
};

void sst_iter_init(struct sst_iter *it, const struct iter_ops *ops, bool fill_cache);
/* Goes over to another file, of which it takes over a reference; it stands nowhere. */
void sst_iter_attach(struct sst_iter *it, struct sst *s);
/* Lets go of all but itself. */
void sst_iter_fini(struct sst_iter *it);

/* The steps of struct iter_ops, within the one file. */
void sst_iter_seek_first(struct cursor_iter *base);
void sst_iter_seek_last(struct cursor_iter *base);
void sst_iter_aim(struct cursor_iter *base, struct lam_slice key, uint64_t sequence);
void sst_iter_seek(struct cursor_iter *base, struct lam_slice key, uint64_t sequence);
void sst_iter_seek_before(struct cursor_iter *base, struct lam_slice key, uint64_t sequence);
void sst_iter_next(struct cursor_iter *base);
void sst_iter_prev(struct cursor_iter *base);
void sst_iter_next_key(struct cursor_iter *base);
bool sst_iter_is_newest(const struct cursor_iter *base);

#endif
