/* SPDX-License-Identifier: Apache-2.0
 *
 * Layout of an uncompressed data block. Bytes: docs/FORMAT.md "SST", "Data block".
 *
 *     header | tag of each entry | offset of each entry | common prefix | entries
 *
 * Entries stand in entry order; each is { varint suffix size, varint (sequence - base) * 2 +
 * delete, key suffix, value }, and the value runs to the next entry. Tags are one byte of the key's
 * hash: a point search looks for its tag with one vectorised scan instead of a binary search. */
#ifndef LAMINA_LSM_BLOCK_FORMAT_H
#define LAMINA_LSM_BLOCK_FORMAT_H

#include "base/bytes.h"

#define BLOCK_HEADER_BYTES 24
/* Field offsets of the header. */
enum {
    BLOCK_COUNT = 0,
    BLOCK_PREFIX_BYTES = 4,
    BLOCK_BASE_SEQUENCE = 8,
    BLOCK_ENTRIES_BYTES = 16,
    BLOCK_FLAGS = 20, /* three zero bytes follow */
};
#define BLOCK_FLAG_WIDE 1 /* offsets take 4 bytes instead of 2 */

/* Makes a block, in place, one that compresses better, and back: gaps between entries in place of
 * their offsets, if those take two bytes, and a header of inverted bytes. Any bytes may come. */
void block_fold(uint8_t *block, size_t size);
void block_unfold(uint8_t *block, size_t size);

static inline uint8_t block_tag(uint64_t key_hash) {
    return (uint8_t)(key_hash >> 24);
}

#endif
