/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of an open SST, shared by reading, iterating and verifying. */
#ifndef LAMINA_LSM_SST_READER_H
#define LAMINA_LSM_SST_READER_H

#include <stdatomic.h>

#include "lsm/block_cache.h"
#include "lsm/sst_format.h"
#include "lsm/sst_index.h"

/* Immutable after open, but for the count of references and the slots. */
struct sst {
    /* What lookups use comes first. */
    const uint8_t *filter; /* cache-line aligned, in filter_bytes */
    uint32_t filter_lines;
    uint32_t filter_probes;
    uint32_t block_lines;   /* cached_block_lines of a usual block */
    struct sst_index index; /* borrows index_bytes */
    block_slot *blocks;     /* a slot each data block; NULL without `cache`; owned */
    _Atomic uint32_t references;
    struct epoch_node waiting; /* for readers, with a reference given up */
    lam_file *file;
    char *path;                /* owned; for messages */
    uint64_t process_id;       /* of who opened it */
    struct block_cache *cache; /* borrowed; NULL: none */
    uint64_t number;
    uint64_t key_seed;
    uint64_t file_seed;
    struct sst_footer footer;
    struct sst_properties properties;
    uint64_t shift;                 /* added to the sequence of every entry: sst_state_sequences */
    struct sst_bounds bounds;       /* borrow properties_bytes */
    struct range_tombstone *ranges; /* owned; borrow ranges_bytes */
    size_t range_count;
    struct buf ranges_bytes;
    struct buf filter_bytes;
    struct buf index_bytes;
    struct buf properties_bytes;
};

/* Puts "<path>: offset <n>: " before an error that lacks them; returns `code`. */
enum lam_code sst_context(const struct sst *s, uint64_t offset, enum lam_code code,
                          struct lam_error *err);
/* Data block `i` from the cache, with a reference for the caller; NULL: it is not there. */
MUST_CHECK enum lam_code sst_find_block(struct sst *s, uint32_t i, struct cached_block **out,
                                        struct lam_error *err);
/* The same from its stored bytes, which are read if `stored` is empty; put into the cache. */
MUST_CHECK enum lam_code sst_take_block(struct sst *s, uint32_t i, struct lam_slice stored,
                                        struct cached_block **out, struct lam_error *err);
/* Checks and parses data block `i` from its stored bytes, decompressing it into `scratch` if need
 * be. The view borrows from either. */
MUST_CHECK enum lam_code sst_open_block(const struct sst *s, uint32_t i, struct lam_slice stored,
                                        struct buf *scratch, struct block_view *view_out,
                                        uint64_t *checksum_out, struct lam_error *err);

#endif
