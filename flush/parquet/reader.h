/* SPDX-License-Identifier: Apache-2.0
 *
 * An open file, and fetching its pages. Nothing in a reader changes after open. */
#ifndef LAMINA_FLUSH_PARQUET_READER_H
#define LAMINA_FLUSH_PARQUET_READER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/env.h"
#include "flush/parquet/format.h"

/* Bounds of one page. */
struct pq_page_bounds {
    bool is_null;  /* no value but nulls */
    bool present;  /* min and max are there */
    int64_t nulls; /* or PQ_NONE */
    struct parquet_value min;
    struct parquet_value max;
};

struct pq_reader_chunk {
    const struct pq_chunk *meta;
    struct parquet_bounds bounds;
    struct pq_page_ref *pages;          /* data pages by rising row; NULL without an offset index */
    uint32_t page_count;                /* of `pages` */
    const uint8_t *page_hashes;         /* 8 bytes a page, the dictionary's first; NULL: unknown */
    struct pq_page_bounds *page_bounds; /* by page; NULL without a column index */
};

struct parquet_reader {
    lam_file *file; /* owned */
    char *path;     /* of the arena */
    uint64_t file_bytes;
    uint64_t footer_offset; /* everything else ends here */
    uint64_t footer_hash;
    uint64_t index_offset; /* a hash in the footer covers all from here to the footer */
    const struct parquet_identity *known; /* what the caller expects, during open; else NULL */
    bool is_known;                        /* the footer is the expected one */
    bool is_ours;                         /* Lamina's writer made it, the footer says */
    struct arena arena;                   /* all below */
    struct pq_meta meta;
    struct parquet_field *fields;
    struct pq_reader_chunk *chunks; /* by group, then field */
};

static inline const struct pq_reader_chunk *pq_reader_chunk(const struct parquet_reader *r,
                                                            uint32_t group, uint32_t field) {
    return &r->chunks[(size_t)group * r->meta.leaf_count + field];
}

/* Raises LAM_CORRUPT for a place in a reader's file. */
enum lam_code pq_corrupt(const struct parquet_reader *r, uint64_t offset, struct lam_error *err,
                         const char *what);
/* Raises LAM_UNSUPPORTED for a page, or CORRUPT in a known file: its footer names all that its
 * pages need. */
enum lam_code pq_unsupported_page(const struct parquet_reader *r, uint64_t offset,
                                  struct lam_error *err, const char *what);
/* Reads bytes [offset, offset + size), which lie in the file, into `out` (emptied first). */
MUST_CHECK enum lam_code pq_read_bytes(const struct parquet_reader *r, uint64_t offset, size_t size,
                                       struct buf *out, struct lam_error *err);
/* Checks field and group numbers and a range of rows. */
MUST_CHECK enum lam_code pq_check_rows(const struct parquet_reader *r, uint32_t group,
                                       uint32_t field, uint64_t first, uint64_t count,
                                       struct lam_error *err);

/* A page, decompressed. */
struct pq_page {
    struct pq_page_header header;
    uint64_t offset;         /* of the header in the file, for messages */
    uint64_t end;            /* where the next page begins */
    struct lam_slice levels; /* v2: definition levels, outside of `body`; else empty */
    struct lam_slice body;   /* the rest; valid as long as the buffers */
    struct buf raw;          /* as read; owned */
    struct buf plain;        /* decompressed; owned */
    bool is_proven;          /* its hash was right: its CRC need not be looked at */
};
void pq_page_fini(struct pq_page *p);
/* Reads the page at `offset`, of `bytes` with its header, or 0 if that is not known. Checks its
 * hash (8 bytes; NULL if it is not known), sizes and CRC and decompresses. It must end by `limit`.
 */
MUST_CHECK enum lam_code pq_page_load(const struct parquet_reader *r, enum pq_codec codec,
                                      uint64_t offset, uint32_t bytes, uint64_t limit,
                                      const uint8_t *hash, struct pq_page *out,
                                      struct lam_error *err);
/* What pq_page_load does once the bytes are in `p->raw`; `p->offset` is set. For fuzzers, too. */
MUST_CHECK enum lam_code pq_page_unpack(const struct parquet_reader *r, enum pq_codec codec,
                                        struct pq_page *p, struct lam_error *err);
/* Finds a chunk's data pages by their headers, for files without an offset index. */
MUST_CHECK enum lam_code pq_pages_walk(const struct parquet_reader *r,
                                       const struct pq_reader_chunk *c, uint32_t rows,
                                       struct pq_page_ref **pages, size_t *capacity,
                                       uint32_t *count_out, struct lam_error *err);
/* Reads a chunk's bloom filter with its header; whole, and proven, if its hash is known, else up to
 * its first bytes. */
MUST_CHECK enum lam_code pq_filter_read(const struct parquet_reader *r, const struct pq_chunk *c,
                                        struct buf *raw, struct lam_error *err);
/* Where a chunk's pages end in the file. */
static inline uint64_t pq_chunk_start(const struct pq_chunk *c) {
    return (uint64_t)(c->dictionary_offset && c->dictionary_offset < c->data_offset
                          ? c->dictionary_offset
                          : c->data_offset);
}
static inline uint64_t pq_chunk_end(const struct pq_chunk *c) {
    return pq_chunk_start(c) + (uint64_t)c->compressed_bytes;
}

#endif
