/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a data block. Parsing checks every offset, size and sequence in the block once, so that
 * searching and decoding afterwards need no checks and cannot fail. */
#ifndef LAMINA_LSM_BLOCK_READER_H
#define LAMINA_LSM_BLOCK_READER_H

#include "lsm/block_format.h"
#include "lsm/entry.h"

/* A parsed block; borrows its bytes. */
struct block_view {
    const uint8_t *tags;
    const uint8_t *offsets;
    const uint8_t *entries;
    uint32_t entries_bytes;
    uint32_t count; /* entries; at least one */
    bool wide;      /* offsets of 4 bytes */
    uint32_t max_key_bytes;
    uint64_t base_sequence;
    struct lam_slice prefix; /* begins every key */
};
struct block_entry {
    struct lam_slice suffix; /* of the key */
    uint64_t sequence;
    enum entry_kind kind;
    struct lam_slice value;
};

/* CORRUPT (without file and offset, which the caller adds) for anything a builder can't make,
 * except for wrong order and wrong tags: those take keys to check, see sst_verify. */
MUST_CHECK enum lam_code block_view_parse(struct lam_slice bytes, struct block_view *view_out,
                                          struct lam_error *err);
/* Entry `i` < count. */
void block_view_entry(const struct block_view *v, uint32_t i, struct block_entry *out);
/* Index of the first entry at or after (key, sequence) in entry order; count if there is none. */
uint32_t block_view_lower_bound(const struct block_view *v, struct lam_slice key,
                                uint64_t sequence);
/* Fetches the entry that block_view_find will look at first. */
void block_view_prefetch(const struct block_view *v, uint8_t tag);
/* Newest version of `key`, whose tag is given, with sequence <= `sequence`. */
bool block_view_find(const struct block_view *v, struct lam_slice key, uint8_t tag,
                     uint64_t sequence, struct block_entry *out);

#endif
