/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks as they are compressed. Offsets never repeat, the gaps between them do when entries are of
 * like size. The zeros of the header would be what LZ4 takes for those in keys and values, and go
 * on taking: matches of a few bytes, where the entry before has more. */
#include "lsm/block_format.h"

static void invert_header(uint8_t *block) {
    for (size_t i = 0; i < BLOCK_HEADER_BYTES; i++)
        block[i] = (uint8_t)~block[i];
}

/* Where the offsets stand; `*count_out` is 0 if there are none of two bytes. */
static uint8_t *narrow_offsets(uint8_t *block, size_t size, size_t *count_out) {
    size_t count = block[BLOCK_FLAGS] == 0 ? get_le32(block + BLOCK_COUNT) : 0;
    *count_out = count <= (size - BLOCK_HEADER_BYTES) / 3 ? count : 0;
    return block + BLOCK_HEADER_BYTES + *count_out;
}

void block_fold(uint8_t *block, size_t size) {
    if (size < BLOCK_HEADER_BYTES)
        return;
    size_t count;
    uint16_t before = 0;
    uint8_t *at = narrow_offsets(block, size, &count);
    for (size_t i = 0; i < count; i++, at += 2) {
        uint16_t offset = get_le16(at);
        put_le16(at, (uint16_t)(offset - before));
        before = offset;
    }
    invert_header(block);
}

void block_unfold(uint8_t *block, size_t size) {
    if (size < BLOCK_HEADER_BYTES)
        return;
    size_t count;
    uint16_t offset = 0;
    invert_header(block);
    uint8_t *at = narrow_offsets(block, size, &count);
    for (size_t i = 0; i < count; i++, at += 2) {
        offset = (uint16_t)(offset + get_le16(at));
        put_le16(at, offset);
    }
}
