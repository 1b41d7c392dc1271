/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the block cache, for the SST reader. A cached block is parsed once, reference-counted
 * and immutable. It hangs in a slot of its file's array, one slot a block, so finding it is one
 * load and no hashing; a hit inside an epoch counts no reference and takes no lock. The cache holds
 * one reference while it keeps a block and lets it go through the epochs. Which blocks to keep is
 * decided by second chance: a hit marks a block, and one found marked when its turn comes is passed
 * over once. The public part stands in lsm/sst.h. */
#ifndef LAMINA_LSM_BLOCK_CACHE_H
#define LAMINA_LSM_BLOCK_CACHE_H

#include <stdatomic.h>
#include <stddef.h>

#include "lsm/block_reader.h"
#include "lsm/epoch.h"
#include "lsm/sst.h"

typedef _Atomic(struct cached_block *) block_slot;
struct cached_block {
    struct block_heads heads;
    struct slab *slab;         /* what it is a piece of; NULL: of the heap */
    block_slot *slot;          /* where it hangs; with the links guarded by the shard's mutex */
    struct cached_block *next; /* in the shard's ring, in order of arrival */
    struct cached_block *prev;
    struct epoch_node waiting; /* for readers, after it was taken out */
    struct block_cache *cache; /* meanwhile: who counts its bytes */
    /* From here to the offsets in the data is what a lookup reads: as few cache lines as may be. */
    struct block_view view; /* of `data`; set with `heads` before the block is shared */
    _Atomic uint32_t references;
    _Atomic bool used; /* hit since its last turn to go */
    size_t charge;     /* bytes of the allocation */
    uint8_t data[];
};
_Static_assert(offsetof(struct cached_block, view) % 64 == 0, "lines of a lookup");

/* A block with room for `size` bytes and one reference; NULL if there is no memory. The cache, if
 * there is one, must outlive it. */
struct cached_block *cached_block_new(struct block_cache *c, size_t size);
void cached_block_unref(struct cached_block *b); /* NULL is allowed */

/* The block in the slot, to be used inside the epoch only; NULL if none is there. What a search in
 * it begins with - view, header, tags, offsets - is fetched all at once, where one after another
 * would be waited for. */
static inline struct cached_block *block_cache_peek(block_slot *slot) {
    struct cached_block *b = atomic_load(slot);
    for (size_t i = 0; i < 6; i++)
        __builtin_prefetch(
            (const void *)((uintptr_t)b + offsetof(struct cached_block, view) + 64 * i));
    return b;
}
/* Fetches what a seek in the block, if one is there, begins with. For who is not in an epoch. */
static inline void block_cache_prefetch(block_slot *slot) {
    uintptr_t b = (uintptr_t)atomic_load_explicit(slot, memory_order_relaxed);
    for (size_t i = 0; b && i < 10; i++)
        __builtin_prefetch((const void *)(b + 64 * i));
}
/* Says that the block is of use. Written only when it changes: readers share the line. */
static inline void cached_block_mark(struct cached_block *b) {
    if (!atomic_load_explicit(&b->used, memory_order_relaxed))
        atomic_store_explicit(&b->used, true, memory_order_relaxed);
}
/* The same with a reference for the caller, from outside of epochs. Counts hit or miss. */
struct cached_block *block_cache_get(struct block_cache *c, block_slot *slot);
/* Offers a loaded block. The caller keeps its reference. Not kept if it takes more than an eighth
 * of a shard or if one is there. */
void block_cache_put(struct block_cache *c, block_slot *slot, struct cached_block *block);
/* Empties the slots of a file whose last user is gone; no reader can reach them any more. */
void block_cache_drop(struct block_cache *c, block_slot *slots, size_t count);

#endif
