/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the block cache, for the SST reader. A cached block is parsed once, reference-counted
 * and immutable, but for the heads of its keys, made by the first seek. It hangs in a slot of its
 * file's array, one slot a block, so finding it is one load and no hashing; a hit inside an epoch
 * counts no reference and takes no lock. The cache holds one reference while it keeps a block and
 * lets it go through the epochs. Which blocks to keep is decided by second chance: a hit marks a
 * block, and one found marked when its turn comes is passed over once. The public part stands in
 * lsm/sst.h. */
#ifndef LAMINA_LSM_BLOCK_CACHE_H
#define LAMINA_LSM_BLOCK_CACHE_H

#include <stdatomic.h>
#include <stddef.h>

#include "lsm/block_reader.h"
#include "lsm/epoch.h"
#include "lsm/sst.h"

typedef _Atomic(struct cached_block *) block_slot;
struct cached_block {
    struct block_heads heads;  /* once `heads_state` says so */
    struct slab *slab;         /* what it is a piece of; NULL: of the heap */
    block_slot *slot;          /* where it hangs; with the links guarded by the shard's mutex */
    struct cached_block *next; /* in the shard's ring, in order of arrival */
    struct cached_block *prev;
    struct epoch_node waiting; /* for readers, after it was taken out */
    struct block_cache *cache; /* that keeps it, or kept it last: who counts its bytes */
    /* From here to the offsets in the data is what a lookup reads: as few cache lines as may be. */
    struct block_view view; /* of `data`, without heads; set before the block is shared */
    _Atomic uint32_t references;
    _Atomic bool used;           /* hit since its last turn to go */
    _Atomic uint8_t heads_state; /* enum cached_heads: taken by one thread, made with release */
    size_t charge;               /* bytes of the allocation */
    uint8_t data[];
};
_Static_assert(offsetof(struct cached_block, view) % 64 == 0, "lines of a lookup");

enum cached_heads { CACHED_HEADS_NONE = 0, CACHED_HEADS_TAKEN, CACHED_HEADS_MADE };

/* A block with room for `size` bytes and one reference; NULL if there is no memory. The cache, if
 * there is one, must outlive it. */
struct cached_block *cached_block_new(struct block_cache *c, size_t size);
void cached_block_unref(struct cached_block *b); /* NULL is allowed */
/* One reference more, for who has one or is in an epoch where the block was found. */
static inline struct cached_block *cached_block_ref(struct cached_block *b) {
    atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
    return b;
}
/* For seeks in the block: the first makes them, since scans and gets need none. NULL: another
 * thread is about it. They live as long as the block. */
const struct block_heads *cached_block_heads(struct cached_block *b);

/* The block in the slot, to be used inside the epoch only; NULL if none is there. */
static inline struct cached_block *block_cache_peek(block_slot *slot) {
    return atomic_load(slot);
}
/* Cache lines of a block of so many entries that a lookup begins with: view, header, tags, offsets
 * of two bytes. */
static inline uint32_t cached_block_lines(uint64_t entries) {
    size_t bytes = offsetof(struct cached_block, data) - offsetof(struct cached_block, view);
    uint64_t lines = (bytes + BLOCK_HEADER_BYTES + 3 * entries + 63) / 64;
    return lines < 8 ? (uint32_t)lines : 8;
}
/* Fetches them all at once, where one after another would be waited for. */
static inline void cached_block_fetch(const struct cached_block *b, uint32_t lines) {
    for (size_t i = 0; i < lines; i++)
        __builtin_prefetch(
            (const void *)((uintptr_t)b + offsetof(struct cached_block, view) + 64 * i));
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
