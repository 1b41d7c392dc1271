/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of a memtable: chunks that grow from small to large and are freed all at once. Room is
 * reserved first, which may fail; taking reserved room can't. One writer; what was taken never
 * moves, so readers may follow published pointers. All-zero is the empty pool.
 *
 * The two chunks with most room are open. What is taken comes from the first as long as it fits,
 * so reserving far more than is taken in the end wastes nothing: it only opens the second. */
#ifndef LAMINA_LSM_POOL_H
#define LAMINA_LSM_POOL_H

#include "base/error.h"
#include "base/mem.h"

struct pool_chunk;
struct pool_room {
    uint8_t *at; /* free part of an open chunk */
    uint8_t *end;
};
struct pool {
    struct pool_chunk *chunks; /* newest first; owned */
    struct pool_room rooms[2]; /* either may be empty; the second is of the newer chunk */
    size_t next_bytes;         /* size of the next chunk, doubling; 0: the first */
    size_t bytes;              /* taken from the heap */
};

void pool_fini(struct pool *p);
/* Makes the next pool_take calls of together `bytes` (each rounded up to 8) succeed. */
MUST_CHECK enum lam_code pool_reserve(struct pool *p, size_t bytes, struct lam_error *err);
/* Reserved memory, aligned to 8, not zeroed. */
void *pool_take(struct pool *p, size_t bytes);
/* The same in whole cache lines, from the other end of a chunk. */
#define POOL_LINE 64u
void *pool_take_lines(struct pool *p, size_t lines);

#endif
