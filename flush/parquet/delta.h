/* SPDX-License-Identifier: Apache-2.0
 *
 * DELTA_BINARY_PACKED (https://github.com/apache/parquet-format/blob/master/Encodings.md): blocks
 * of differences, each less the block's smallest, bit-packed in miniblocks of their own width. All
 * arithmetic wraps, in 32 bits for INT32 and in 64 bits for INT64. */
#ifndef LAMINA_FLUSH_PARQUET_DELTA_H
#define LAMINA_FLUSH_PARQUET_DELTA_H

#include "base/buf.h"

#define PQ_DELTA_BLOCK      128
#define PQ_DELTA_MINIBLOCKS 4
#define PQ_DELTA_MINI       (PQ_DELTA_BLOCK / PQ_DELTA_MINIBLOCKS)

/* Appends `count` little-endian values of 4 or 8 bytes. */
MUST_CHECK enum lam_code pq_delta_encode(const uint8_t *values, size_t count, size_t width,
                                         struct buf *out, struct lam_error *err);
/* Bytes that pq_delta_encode would append, but for a few of each page's header. */
uint64_t pq_delta_size(const uint8_t *values, size_t count, size_t width);

/* A stream being decoded. Borrows the bytes. */
struct pq_delta {
    struct cursor in;
    bool is_32;              /* INT32 */
    uint32_t miniblocks;     /* of a block */
    uint32_t mini_values;    /* of a miniblock */
    uint64_t total;          /* values in the stream, as its header says */
    uint64_t left;           /* values not yet handed out */
    uint64_t value;          /* last one handed out, or the first */
    bool is_first;           /* the first value is still to be handed out */
    uint64_t min_delta;      /* of the block */
    struct lam_slice widths; /* of the block's miniblocks */
    uint32_t mini;           /* next miniblock of the block */
    struct lam_slice packed; /* the miniblock at hand */
    uint32_t width;          /* its bits a value */
    uint32_t mini_left;      /* its values not yet handed out */
};

/* Reads a stream's header; false if it is malformed. */
bool pq_delta_start(struct pq_delta *d, struct lam_slice bytes, size_t width);
/* Decodes the next `count` values; false if the stream is malformed or ends before. */
bool pq_delta_next(struct pq_delta *d, int64_t *out, size_t count);

#endif
