/* SPDX-License-Identifier: Apache-2.0
 *
 * First bytes of a block's keys, side by side, so that a seek in a cached block comes near its
 * place without touching entries: each one that a binary search looks at is a cache miss, and
 * these lines are fetched at once. Blocks of many entries have a head for every second, fourth, ...
 * of them. */
#ifndef LAMINA_LSM_BLOCK_HEADS_H
#define LAMINA_LSM_BLOCK_HEADS_H

#include "base/bytes.h"

#define BLOCK_HEADS 62u /* with what stands beside them, whole cache lines */
struct block_view;
struct block_heads {
    /* Four bytes after the common prefix, big-endian, zero-filled, less 2^31 so that their order is
     * that of signed numbers. Those from `count` on are the largest. */
    int32_t heads[BLOCK_HEADS];
    uint32_t count;
    uint32_t shift; /* head i is of entry i << shift */
};

void block_heads_make(struct block_heads *h, const struct block_view *v);
/* Narrows [0, entries of the block] to where the first entry at or after a key may be, of which
 * `suffix` follows the common prefix. */
void block_heads_narrow(const struct block_heads *h, struct lam_slice suffix, uint32_t *lo,
                        uint32_t *hi);

#endif
