/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of an SST: one separator a data block, at or before the block's first entry and after
 * the last entry of the block before. A separator is a key, shortened where it can be; when
 * versions of one key go on from the block before, it is that key with the first entry's sequence.
 * In memory it is searched through an array of the separators' first 8 bytes after their common
 * prefix. Where in it to look is told by a table of even steps between the first and the last of
 * these numbers: keys are mostly spread so evenly that a few are left to choose from. */
#ifndef LAMINA_LSM_SST_INDEX_H
#define LAMINA_LSM_SST_INDEX_H

#include "lsm/entry.h"

/* Sequence of a separator that sorts before all versions of its key. */
#define SST_INDEX_NO_SEQUENCE UINT64_MAX

/* --- writing ------------------------------------------------------------------------------- */

struct sst_index_item {
    uint64_t sequence; /* or SST_INDEX_NO_SEQUENCE */
    uint64_t size;     /* of the block as stored */
    size_t key_at;     /* in `keys` */
    uint32_t key_bytes;
};
struct sst_index_builder {
    struct sst_index_item *items; /* owned */
    size_t count;
    size_t capacity;
    struct buf keys;
};

void sst_index_builder_fini(struct sst_index_builder *b);
/* Adds the next block: its first entry, the key of the last entry before it (empty: none) and its
 * size as stored. */
MUST_CHECK enum lam_code sst_index_builder_add(struct sst_index_builder *b, struct lam_slice before,
                                               struct lam_slice first_key, uint64_t first_sequence,
                                               uint64_t size, struct lam_error *err);
MUST_CHECK enum lam_code sst_index_builder_finish(const struct sst_index_builder *b,
                                                  struct buf *out, struct lam_error *err);

/* --- reading ------------------------------------------------------------------------------- */

struct sst_index {
    uint32_t count;          /* blocks */
    struct lam_slice prefix; /* begins every separator; borrows */
    uint64_t *heads;         /* first 8 bytes after the prefix, big-endian, zero-filled; owned */
    uint32_t *starts;        /* for each step and the end: heads in the steps before; owned */
    uint32_t steps;          /* at least one */
    uint32_t shift;          /* a step is 2^shift wide; the last one has no end */
    uint64_t *offsets;       /* count + 1: of each block and of the end; owned */
    struct lam_slice *keys;  /* separators without the prefix; owned, borrow */
    uint64_t *sequences;     /* NULL if no separator has one; owned */
};

/* Decodes and checks order; blocks must fill `data_bytes` and be at most `block_max` as stored.
 * Borrows `bytes`. CORRUPT without file and offset. */
MUST_CHECK enum lam_code sst_index_decode(struct lam_slice bytes, uint64_t data_bytes,
                                          uint64_t block_max, struct sst_index *out,
                                          struct lam_error *err);
void sst_index_fini(struct sst_index *x);
size_t sst_index_memory(const struct sst_index *x);
/* The last block whose separator is at or before (key, sequence), or the first: the one that holds
 * the entry before that place, if any does. There is at least one block. */
uint32_t sst_index_find(const struct sst_index *x, struct lam_slice key, uint64_t sequence);
/* The same for several keys, each in an index, side by side, so that none waits alone. */
struct sst_index_ask {
    const struct sst_index *index;
    struct lam_slice key;
    uint32_t block; /* the answer */
    bool decided;   /* by the prefix */
    uint32_t step;
    uint64_t head; /* of the key's rest */
};
void sst_index_find_many(struct sst_index_ask *asks, size_t n, uint64_t sequence);
/* Whether block `i` begins with a further version of `key`, which ended the block before. */
bool sst_index_continues(const struct sst_index *x, uint32_t i, struct lam_slice key);
/* Order of separator `i` against (key, sequence). */
int sst_index_cmp(const struct sst_index *x, uint32_t i, struct lam_slice key, uint64_t sequence);

#endif
