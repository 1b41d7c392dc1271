/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the block cache, for the SST reader. A cached block is parsed once, reference-counted
 * and immutable; the cache holds one reference while it keeps the block, so evicting a block never
 * touches one in use. The public part stands in lsm/sst.h. */
#ifndef LAMINA_LSM_BLOCK_CACHE_H
#define LAMINA_LSM_BLOCK_CACHE_H

#include <stdatomic.h>

#include "lsm/block_reader.h"
#include "lsm/sst.h"

struct cached_block {
    _Atomic uint32_t references;
    struct block_view view; /* of `data`; set by the loader before the block is shared */
    uint64_t number;        /* file */
    uint64_t offset;        /* in the file */
    size_t charge;          /* bytes of the allocation */
    uint64_t hash;          /* of number and offset; with the links guarded by the shard's mutex */
    struct cached_block *chain; /* next in the bucket */
    struct cached_block *newer; /* towards the most recently used */
    struct cached_block *older;
    uint8_t data[];
};

/* A block with room for `size` bytes and one reference; NULL if there is no memory. */
struct cached_block *cached_block_new(size_t size);
void cached_block_unref(struct cached_block *b); /* NULL is allowed */

/* The block with one more reference for the caller; NULL if it is not kept. Counts hit or miss. */
struct cached_block *block_cache_get(struct block_cache *c, uint64_t number, uint64_t offset);
/* Offers a loaded block. The caller keeps its reference. Not kept if it takes more than an eighth
 * of a shard, if one for the same place is there, or if there is no memory for the table. */
void block_cache_put(struct block_cache *c, uint64_t number, uint64_t offset,
                     struct cached_block *block);

#endif
