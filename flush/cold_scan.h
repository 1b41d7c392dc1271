/* SPDX-License-Identifier: Apache-2.0
 *
 * The cold part of a scan: a user's segments one after another, pruned by key range, bounds, bloom
 * filters and page index; rows that are dead, deleted or hot are left out before any column but the
 * key is read. */
#ifndef LAMINA_FLUSH_COLD_SCAN_H
#define LAMINA_FLUSH_COLD_SCAN_H

#include "flush/cold_keys.h"
#include "flush/cold_set.h"

/* How one wanted column comes out of the open segment. */
struct cold_column {
    struct coltype type;           /* as wanted */
    const struct value *initial;   /* of the schema, for segments without it; NULL: system column */
    int32_t field;                 /* in the segment, or -1 */
    bool is_direct;                /* the file's type is the wanted one */
    struct parquet_cursor *cursor; /* owned; NULL before use */
    struct column scratch;         /* of the file's type; owned */
};

struct cold_scan {
    const struct scan_request *request; /* borrowed */
    struct table_cold *table;           /* borrowed */
    struct scan_stats *stats;           /* borrowed */
    struct segment_set *set;            /* reference */
    struct lam_slice lower, upper;      /* bounds of encoded keys without user; empty: none */
    struct buf prefix;                  /* user part of keys in the hot partition */
    lam_iter *hot;                      /* all hot keys of the user; owned; NULL without segments */
    struct cold_column *columns;        /* [column_count]; owned */
    struct arena arena;                 /* decoded key bounds */
    const struct value *first_lower;    /* of the first key column, from the bounds, or NULL */
    const struct value *first_upper;

    /* The segment at hand. */
    size_t next_segment;
    const struct segment *segment; /* NULL: none */
    struct cold_file *file;        /* reference */
    struct key_reader keys;
    bool is_cut;        /* the bounds end inside of it */
    bool needs_mask;    /* a hot key lies in its key range */
    bool needs_deleted; /* deleted rows must be left out */
    struct parquet_cursor *deleted_cursor;
    struct column deleted;
    uint32_t group;
    uint64_t group_first;             /* number of the group's first row in the file */
    struct parquet_row_ranges ranges; /* rows of the group still wanted */
    size_t range;                     /* at hand */
    struct buf key;
    uint32_t *sel; /* [COLBATCH_ROWS] rows of a chunk that are wanted; owned */
};

/* `lower` and `upper` without the user part. The table has been entered. */
MUST_CHECK enum lam_code cold_scan_open(struct cold_scan *c, const struct scan_request *request,
                                        struct table_cold *table, struct lam_slice lower,
                                        struct lam_slice upper, struct scan_stats *stats,
                                        struct lam_error *err);
/* Appends rows of one segment to an empty batch; none is left if it stays empty. */
MUST_CHECK enum lam_code cold_scan_fill(struct cold_scan *c, struct colbatch *batch,
                                        struct lam_error *err);
void cold_scan_fini(struct cold_scan *c);

/* Type of a column by its id, and the value of rows written before it was added (NULL: system
 * column); false: there is none. */
bool cold_column_type(const struct schema *s, uint32_t id, struct coltype *type_out,
                      const struct value **initial_out);
/* Field and type of such a column in a file; -1: it came later. CORRUPT if the file's type can't be
 * shown as the wanted one. */
MUST_CHECK enum lam_code cold_column_find(const struct parquet_reader *reader,
                                          const struct segment *s, uint32_t id,
                                          struct coltype wanted, const struct value *initial,
                                          int32_t *field_out, struct coltype *stored_out,
                                          struct lam_error *err);

/* --- cold_prune.c --- */
/* Whether a segment may have rows that meet the predicates, by its entry. */
MUST_CHECK enum lam_code segment_may_match(const struct segment *s,
                                           const struct scan_predicate *predicates, uint32_t count,
                                           bool *may_out, struct lam_error *err);
/* Rows of a row group that may meet predicates and bounds of the first key column (NULL: none). */
MUST_CHECK enum lam_code group_candidates(const struct parquet_reader *reader, uint32_t group,
                                          const struct scan_predicate *predicates, uint32_t count,
                                          uint32_t first_key_field, const struct value *first_lower,
                                          const struct value *first_upper,
                                          struct parquet_row_ranges *out, struct lam_error *err);
/* Whether values of type `from` in a file show as `to` without loss (a widened column). */
bool cold_type_fits(struct coltype from, struct coltype to);

#endif
