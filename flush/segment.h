/* SPDX-License-Identifier: Apache-2.0
 *
 * Segment entries and dead-row bitmaps: their bytes in a table's segments partition, and the keys
 * of that partition. Format: docs/FORMAT.md "Segments". Decoders take any bytes and answer CORRUPT
 * for what no encoder makes; the engine has checksummed what they get. */
#ifndef LAMINA_FLUSH_SEGMENT_H
#define LAMINA_FLUSH_SEGMENT_H

#include "catalog/catalog.h"

#define SEGMENT_KIND_ENTRY 'S'
#define SEGMENT_KIND_DEAD  'D'
/* Longest bound of a column kept in an entry; longer ones are left out. */
#define SEGMENT_BOUND_BYTES 512

/* What is known of one column of a segment, from the file's footer. */
struct segment_column {
    uint32_t column_id;
    struct coltype type; /* as written */
    bool has_bounds;     /* min and max are there; no NaN occurs */
    bool min_exact;      /* min occurs */
    bool max_exact;      /* max occurs */
    bool has_null_count; /* null_count is known */
    uint64_t null_count;
    struct lam_slice min; /* key_put_value without null marker: no value is smaller */
    struct lam_slice max; /* no value is greater */
};

/* One flushed file. */
struct segment {
    uint64_t number;            /* in its table; never reused */
    struct lam_slice path;      /* relative to the storage's base directory */
    struct lam_slice storage;   /* storage id */
    struct lam_slice user;      /* USER tables: whose rows; else empty */
    uint64_t rows;              /* in the file */
    uint64_t deleted_rows;      /* of those with _deleted = true */
    uint64_t bytes;             /* size of the file */
    uint64_t footer_hash;       /* parquet_reader_footer_hash */
    uint32_t schema_version;    /* under which it was written */
    int64_t min_seq, max_seq;   /* of its rows */
    int64_t created_us;         /* when it was flushed */
    struct lam_slice first_key; /* encoded primary key of the first row, without user */
    struct lam_slice last_key;  /* of the last row */
    struct segment_column *columns;
    uint32_t column_count;
    /* Not in the entry; set when a segment set is loaded. */
    const char *full_path; /* for the environment */
    const uint8_t *dead;   /* bitmap of `rows` bits, 1 = dead; NULL: none is */
    uint64_t dead_rows;    /* ones in it */
};

MUST_CHECK enum lam_code segment_encode(const struct segment *s, struct buf *out,
                                        struct lam_error *err);
/* Slices borrow `bytes`; the array is of the arena. `where` names the partition in errors. */
MUST_CHECK enum lam_code segment_decode(struct lam_slice bytes, const char *where,
                                        struct arena *arena, struct segment *out,
                                        struct lam_error *err);

/* Appends the encoding of a bitmap of `rows` bits: runs of numbers if few are set, else the bits.
 */
MUST_CHECK enum lam_code dead_rows_encode(const uint8_t *bits, uint64_t rows, struct buf *out,
                                          struct lam_error *err);
/* Decodes into a fresh bitmap of the arena; `rows` is the segment's row count. */
MUST_CHECK enum lam_code dead_rows_decode(struct lam_slice bytes, uint64_t rows, const char *where,
                                          struct arena *arena, uint8_t **bits_out,
                                          uint64_t *count_out, struct lam_error *err);

/* Keys: [key_put_string(user), USER tables] kind number; prefix without the number. */
MUST_CHECK enum lam_code segment_key_prefix(struct lam_slice user, char kind, struct buf *out,
                                            struct lam_error *err);
MUST_CHECK enum lam_code segment_key(struct lam_slice user, char kind, uint64_t number,
                                     struct buf *out, struct lam_error *err);
/* Takes a key apart; the user is unescaped into the arena. The table's own keys (a leading 00) have
 * kind 0. */
MUST_CHECK enum lam_code segment_key_decode(struct lam_slice key, bool has_user, const char *where,
                                            struct arena *arena, struct lam_slice *user_out,
                                            char *kind_out, uint64_t *number_out,
                                            struct lam_error *err);
/* Key of the next segment number (8 bytes little-endian): 00 'N'. No user's key starts with 00. */
static inline struct lam_slice segment_next_key(void) {
    return lam_slice_of("\0N", 2);
}

#endif
