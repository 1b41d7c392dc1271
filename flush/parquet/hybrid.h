/* SPDX-License-Identifier: Apache-2.0
 *
 * Parquet's RLE / bit-packing hybrid, for definition levels and dictionary indexes
 * (https://github.com/apache/parquet-format/blob/master/Encodings.md). */
#ifndef LAMINA_FLUSH_PARQUET_HYBRID_H
#define LAMINA_FLUSH_PARQUET_HYBRID_H

#include "base/buf.h"

/* Appends `count` values of at most `width` bits (1 to 32). */
MUST_CHECK enum lam_code pq_hybrid_encode(const uint32_t *values, size_t count, uint32_t width,
                                          struct buf *out, struct lam_error *err);

/* A stream being decoded. Borrows the bytes. */
struct pq_hybrid {
    const uint8_t *at; /* next unread byte; in a literal run: its first byte */
    const uint8_t *end;
    uint32_t width;    /* bits of a value */
    uint32_t value;    /* of the repeated run */
    uint64_t repeats;  /* left in the repeated run */
    uint64_t literals; /* left in the literal run */
    uint64_t bit;      /* of the next literal, from `at` */
};

struct pq_hybrid pq_hybrid_of(struct lam_slice bytes, uint32_t width);
/* Decodes the next `count` values; false if the stream is malformed or ends before. */
bool pq_hybrid_next(struct pq_hybrid *h, uint32_t *out, size_t count);

/* `count` values of `width` bits each (0 to 64) from bit `bit` of `bytes`, which must be there. */
void pq_bits_unpack(const uint8_t *bytes, size_t size, uint64_t bit, uint32_t width, uint64_t *out,
                    size_t count);
/* Appends values of `width` bits (0 to 64), padded with zero bits to a whole byte. */
MUST_CHECK enum lam_code pq_bits_pack(const uint64_t *values, size_t count, uint32_t width,
                                      struct buf *out, struct lam_error *err);

#endif
