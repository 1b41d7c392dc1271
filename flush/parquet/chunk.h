/* SPDX-License-Identifier: Apache-2.0
 *
 * Encodes one column of one row group: chooses encoding and codec for the whole chunk, cuts it into
 * pages, and makes its statistics, page index and bloom filter. Mixed encodings inside a chunk are
 * never written, so a dictionary, if there is one, names all its values. */
#ifndef LAMINA_FLUSH_PARQUET_CHUNK_H
#define LAMINA_FLUSH_PARQUET_CHUNK_H

#include "flush/parquet/bounds.h"
#include "flush/parquet/dict.h"

/* What does not change from chunk to chunk of a column. */
struct pq_chunk_plan {
    struct pq_leaf leaf;
    enum lam_type type;
    bool lz4;            /* try compression */
    bool is_bloom;       /* make a bloom filter */
    bool no_bounds;      /* bounds would prune nothing and mislead some readers (UUID) */
    uint32_t page_rows;  /* most rows of a page */
    uint32_t page_bytes; /* aim for the encoded size of a page */
};

/* Rows of one page. */
struct pq_page_plan {
    uint32_t first_row;
    uint32_t rows;
    uint32_t first_value; /* among the non-null ones */
    uint32_t values;
};

/* Results and working memory; reused from chunk to chunk. All-zero to begin. */
struct pq_chunk_encoder {
    struct buf out;          /* result: the chunk's pages */
    struct buf bloom;        /* result: the filter with its header; empty if there is none */
    struct buf offset_index; /* result */
    struct buf column_index; /* result; empty if there is none */
    struct buf page_hashes;  /* result: pq_page_hash of the pages, the dictionary's first */
    struct pq_chunk chunk;   /* result; offsets are those in the file, indexes' and bloom's unset */
    struct pq_bounds bounds; /* result: of the chunk, settled */
    uint32_t null_count;     /* result */
    struct arena arena;      /* holds the results' bounds; emptied by the next chunk */
    struct pq_values_scratch scratch;
    struct pq_values values;
    struct pq_dict dict;
    struct pq_page_plan *plans; /* owned */
    size_t plans_capacity;
    uint32_t plan_count;
    struct pq_page_ref *refs; /* by plan; owned */
    size_t refs_capacity;
    struct pq_page_stats *stats; /* by plan; owned */
    size_t stats_capacity;
    uint32_t *levels; /* of one page; owned */
    size_t levels_capacity;
    struct buf body;   /* of one page */
    struct buf packed; /* the same, compressed */
};

void pq_chunk_encoder_fini(struct pq_chunk_encoder *e);
/* Encodes a column of at least one row into the results. `offset` is where the chunk will stand in
 * the file. */
MUST_CHECK enum lam_code pq_chunk_encode(struct pq_chunk_encoder *e,
                                         const struct pq_chunk_plan *plan, const struct column *c,
                                         uint64_t offset, struct lam_error *err);

#endif
