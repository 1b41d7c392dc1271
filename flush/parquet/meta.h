/* SPDX-License-Identifier: Apache-2.0
 *
 * Parquet's metadata structs to Thrift bytes and back: footer, page header, column index, offset
 * index. Decoders check form and bounds of the bytes; whether the numbers make sense together is
 * the reader's to check. */
#ifndef LAMINA_FLUSH_PARQUET_META_H
#define LAMINA_FLUSH_PARQUET_META_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "flush/parquet/format.h"

MUST_CHECK enum lam_code pq_meta_encode(const struct pq_meta *m, struct buf *out,
                                        struct lam_error *err);
/* Decodes a footer into `out`, allocating from `a`; slices borrow `bytes`. `path` and `offset` (of
 * `bytes` in the file) are for messages. */
MUST_CHECK enum lam_code pq_meta_decode(struct lam_slice bytes, const char *path, uint64_t offset,
                                        struct arena *a, struct pq_meta *out,
                                        struct lam_error *err);

MUST_CHECK enum lam_code pq_page_header_encode(const struct pq_page_header *h, struct buf *out,
                                               struct lam_error *err);
/* False if the bytes hold no whole header; `*size_out` gets the header's size. */
bool pq_page_header_decode(struct lam_slice bytes, struct pq_page_header *out, size_t *size_out);

MUST_CHECK enum lam_code pq_offset_index_encode(const struct pq_page_ref *pages, uint32_t count,
                                                struct buf *out, struct lam_error *err);
/* Decodes into an array from `a`; false if the bytes are no offset index. NULL array and true if
 * there is no memory. */
bool pq_offset_index_decode(struct lam_slice bytes, struct arena *a, struct pq_page_ref **pages_out,
                            uint32_t *count_out);

MUST_CHECK enum lam_code pq_column_index_encode(const struct pq_page_stats *pages, uint32_t count,
                                                enum pq_boundary_order order, struct buf *out,
                                                struct lam_error *err);
/* As pq_offset_index_decode; slices borrow `bytes`. Pages without null counts get PQ_NONE. */
bool pq_column_index_decode(struct lam_slice bytes, struct arena *a,
                            struct pq_page_stats **pages_out, uint32_t *count_out);

/* Header of a split-block bloom filter of `bytes` bytes. */
MUST_CHECK enum lam_code pq_bloom_header_encode(uint32_t bytes, struct buf *out,
                                                struct lam_error *err);
/* False if this is no header of a split-block, xxHash, uncompressed filter. */
bool pq_bloom_header_decode(struct lam_slice bytes, uint32_t *bytes_out, size_t *size_out);

/* What PQ_KEY_PAGES's hashes are: of a page with its header, bound to its place in the file. */
static inline uint64_t pq_page_hash(struct lam_slice page, uint64_t offset) {
    return hash_xxh3(page.data, page.size, offset);
}

#endif
