/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of cold rows: a segment's rows are sorted by encoded primary key, the order of the hot
 * partition. So the rows whose key is hot, or is being flushed, come out of a merge; and one row is
 * found by bounds, bloom filters, page index and binary search. */
#ifndef LAMINA_FLUSH_COLD_KEYS_H
#define LAMINA_FLUSH_COLD_KEYS_H

#include "flush/flush_impl.h"

/* The key columns of some consecutive rows of a segment. */
struct key_reader {
    const struct schema *schema; /* borrowed */
    const struct parquet_reader *reader;
    uint32_t fields[KEY_COLUMNS_MAX];
    struct parquet_cursor *cursors[KEY_COLUMNS_MAX]; /* owned; NULL before the first fetch */
    struct column columns[KEY_COLUMNS_MAX];          /* the rows fetched; owned */
    uint32_t rows;                                   /* fetched */
    struct buf key, last;                            /* scratch */
};
MUST_CHECK enum lam_code key_reader_init(struct key_reader *k, const struct schema *schema,
                                         const struct parquet_reader *reader, const char *path,
                                         struct lam_error *err);
void key_reader_fini(struct key_reader *k);
MUST_CHECK enum lam_code key_reader_fetch(struct key_reader *k, uint32_t group, uint32_t first,
                                          uint32_t count, struct lam_error *err);
/* Encoded key of a fetched row into `out` (emptied first). */
MUST_CHECK enum lam_code key_reader_encode(struct key_reader *k, uint32_t row, struct buf *out,
                                           struct lam_error *err);
/* First fetched row whose key is >= `key`; `rows` if there is none. */
MUST_CHECK enum lam_code key_reader_lower_bound(struct key_reader *k, struct lam_slice key,
                                                uint32_t *row_out, struct lam_error *err);
/* Sets bits of `hits` (room for the fetched rows) for rows whose key the iterator meets. The
 * iterator's keys have `skip` bytes before the primary key; it may be anywhere and ends behind the
 * last fetched row's key. `prefix` are those bytes. */
MUST_CHECK enum lam_code key_reader_match(struct key_reader *k, lam_iter *it,
                                          struct lam_slice prefix, uint8_t *hits, bool *any_out,
                                          struct lam_error *err);

/* Leaves of `rows` of a group those that one condition may leave; none: no row has such a value
 * (cold_prune.c). */
MUST_CHECK enum lam_code cold_narrow(const struct parquet_reader *reader, uint32_t group,
                                     uint32_t field, enum scan_op op, const struct value *value,
                                     struct parquet_row_ranges *rows, struct lam_error *err);
/* Appends a value of a segment's column as its entry keeps bounds. */
MUST_CHECK enum lam_code segment_bound_encode(struct coltype type, struct parquet_value v,
                                              struct buf *out, struct lam_error *err);

/* A key taken apart for lookups in segments. */
struct key_probe {
    struct lam_slice key; /* encoded, without user */
    struct value values[KEY_COLUMNS_MAX];
};
MUST_CHECK enum lam_code key_probe_init(struct key_probe *probe, const struct schema *schema,
                                        struct lam_slice key, struct arena *arena,
                                        struct lam_error *err);
/* The row of a segment with a key: its group and its row there, and its number in the file. */
struct row_place {
    bool found;
    uint32_t group;
    uint32_t row;
    uint64_t number;
};
MUST_CHECK enum lam_code segment_find(const struct segment *s, const struct schema *schema,
                                      const struct parquet_reader *reader,
                                      const struct key_probe *probe, struct row_place *out,
                                      struct lam_error *err);

#endif
