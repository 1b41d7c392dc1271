/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing Apache Parquet files of flat columns
 * (https://github.com/apache/parquet-format). Door of flush/parquet; knows nothing of tables.
 *
 * Writing: open, append batches, finish. Rows gather in memory until a row group is full; then each
 * column of it is encoded on its own: dictionary, DELTA_BINARY_PACKED or PLAIN, whichever is
 * smallest, in pages of data page v1, LZ4_RAW where that saves 5 %. The file carries chunk and page
 * bounds, null counts, a page index, page CRCs and, for chosen fields, bloom filters.
 *
 * Reading: a reader is immutable once open and may be shared by threads; a cursor belongs to one
 * thread and streams one column of one row group, decoding each page once. All lengths, offsets and
 * counts of a file are checked before use; page bytes are held against their CRC before they are
 * decompressed. What is wrong gives LAM_CORRUPT with file and offset; what is right but not
 * handled here (nested columns, other codecs, encryption) gives LAM_UNSUPPORTED. */
#ifndef LAMINA_FLUSH_PARQUET_PARQUET_H
#define LAMINA_FLUSH_PARQUET_PARQUET_H

#include "base/colbatch.h"
#include "lamina/env.h"

#define PARQUET_ROW_GROUP_ROWS  122880
#define PARQUET_ROW_GROUP_BYTES (128u << 20)
#define PARQUET_PAGE_ROWS       20000
#define PARQUET_PAGE_BYTES      (64u << 10)
/* Longest stored bound of a TEXT, JSON or BYTES value; longer ones are cut and flagged inexact. */
#define PARQUET_BOUND_BYTES 64
#define PARQUET_NO_FIELD_ID (-1)

struct parquet_field {
    const char *name; /* NUL-terminated UTF-8 */
    /* JSON is stored as a Parquet STRING and comes back as TEXT; the length of VARCHAR is not
     * stored. Readers take a JSON column for such a field all the same. */
    struct coltype type;
    bool nullable;
    int32_t field_id; /* unique in the file and >= 0, or PARQUET_NO_FIELD_ID */
    bool is_bloom;    /* writer: a key or lookup column; honoured for INT, BIGINT, TIMESTAMP, DATE,
                         TIME, SMALLINT and TEXT. Reader: some row group has a filter. */
};

struct parquet_pair {
    struct lam_slice key;
    struct lam_slice value;
};

/* All-zero means the defaults. */
struct parquet_write_options {
    bool lz4;                /* false: nothing is compressed */
    uint32_t row_group_rows; /* 0: PARQUET_ROW_GROUP_ROWS */
    size_t row_group_bytes;  /* cut a row group after this much raw data; 0: the default */
    uint32_t page_rows;      /* most rows of a page; 0: PARQUET_PAGE_ROWS */
    uint32_t page_bytes;     /* a page's size before compression; 0: PARQUET_PAGE_BYTES */
    const uint32_t *sort;    /* fields that the rows are sorted by, ascending, nulls last */
    uint32_t sort_count;     /* of those; 0: unsorted or unknown. Must be the truth. */
    const struct parquet_pair *pairs; /* key-value metadata; keys "lamina.index" are reserved */
    uint32_t pair_count;
};

/* A value of a field's type. */
struct parquet_value {
    union {
        int64_t i64;            /* BOOLEAN (0, 1), SMALLINT, INT, BIGINT, TIMESTAMP, DATE, TIME */
        double f64;             /* FLOAT, DOUBLE */
        int128 i128;            /* DECIMAL, scaled */
        struct lam_slice bytes; /* TEXT, JSON, BYTES, UUID */
    };
};

/* What is known of the non-null values of a column. */
struct parquet_bounds {
    bool present;        /* min and max are there. False too if a NaN occurs. */
    bool min_exact;      /* min is a value that occurs, not one below all of them */
    bool max_exact;      /* the same for max */
    bool has_null_count; /* null_count is known */
    uint64_t null_count;
    struct parquet_value min; /* no value is smaller; bytes live as long as the owner */
    struct parquet_value max; /* no value is greater */
};

/* Which member a type's values are in. */
enum parquet_member { PARQUET_I64, PARQUET_F64, PARQUET_I128, PARQUET_BYTES };
enum parquet_member parquet_member_of(enum lam_type type);
/* Order of two values of a type; floats compare as numbers and must not be NaN. */
int parquet_value_compare(enum lam_type type, struct parquet_value a, struct parquet_value b);
/* The value in a row of a column; must not be null. Bytes live as long as the column's. */
struct parquet_value parquet_value_of(const struct column *c, uint32_t row);

/* What parquet_writer_release tells of the file. */
struct parquet_summary {
    uint64_t rows;
    uint64_t bytes;                /* size of the file */
    uint64_t footer_hash;          /* XXH3 of the footer; see parquet_reader_footer_hash */
    uint32_t row_groups;           /* in the file */
    uint32_t field_count;          /* entries of `bounds` */
    struct parquet_bounds *bounds; /* over the whole file, by field; owned */
    struct arena *arena;           /* holds what `bounds` points to; owned */
};
void parquet_summary_fini(struct parquet_summary *s);

struct parquet_writer;

/* Begins a file at `path`, replacing one that is there. Fields, options and all they point to are
 * copied. INVALID if the fields make no sense. Returns owned; end with release or abort. */
MUST_CHECK enum lam_code parquet_writer_open(lam_env *env, const char *path,
                                             const struct parquet_field *fields, uint32_t count,
                                             const struct parquet_write_options *options,
                                             struct parquet_writer **writer_out,
                                             struct lam_error *err);
/* Adds all rows of a batch, whose columns are the fields in order. INVALID if a column does not
 * suit its field, holds a null that the field forbids or a decimal with too many digits. After a
 * failure the writer can only be aborted. */
MUST_CHECK enum lam_code parquet_writer_append(struct parquet_writer *w, const struct colbatch *b,
                                               struct lam_error *err);
/* Adds to the key-value metadata what is known only after the rows. Both are copied. */
MUST_CHECK enum lam_code parquet_writer_add_pair(struct parquet_writer *w, struct lam_slice key,
                                                 struct lam_slice value, struct lam_error *err);
/* Bytes of the file so far, without the rows still gathering. */
uint64_t parquet_writer_bytes(const struct parquet_writer *w);
/* Writes what is left, indexes and footer, frees the writer and hands the file over, open and not
 * synced: the caller syncs and closes it, so that many files can share the disk's work. On failure
 * the writer is aborted. `summary_out` may be NULL; else release it with parquet_summary_fini. */
MUST_CHECK enum lam_code parquet_writer_release(struct parquet_writer *w,
                                                struct parquet_summary *summary_out,
                                                lam_file **file_out, struct lam_error *err);
/* Closes and removes the file and frees the writer; NULL is allowed. */
void parquet_writer_abort(struct parquet_writer *w);
OWNED_POINTER(struct parquet_writer, parquet_writer_abort)

struct parquet_reader;

/* What is known of a file from elsewhere. */
struct parquet_identity {
    uint64_t bytes; /* of the file */
    uint64_t rows;
    uint64_t footer_hash; /* as parquet_reader_footer_hash tells it */
};
/* Opens a file and checks its footer and page indexes. Returns owned. `known` (NULL: nothing is) is
 * of a file that was written here: whatever in it is not as this writer makes it is CORRUPT, also
 * what would be UNSUPPORTED in a foreign file; a whole footer of a later writer still is that. */
MUST_CHECK enum lam_code parquet_reader_open(lam_env *env, const char *path,
                                             const struct parquet_identity *known,
                                             struct parquet_reader **reader_out,
                                             struct lam_error *err);
/* NULL is allowed. All cursors must be closed before. */
void parquet_reader_close(struct parquet_reader *r);
OWNED_POINTER(struct parquet_reader, parquet_reader_close)
/* All below is valid until the reader closes. */
const struct parquet_field *parquet_reader_fields(const struct parquet_reader *r,
                                                  uint32_t *count_out);
/* Index of the field with this id, or -1. */
int32_t parquet_reader_find_field(const struct parquet_reader *r, int32_t field_id);
/* XXH3 of the footer's bytes. Equal to the summary's means that nothing in the footer has changed
 * and, by the hashes it carries, that no page index or bloom filter has. */
uint64_t parquet_reader_footer_hash(const struct parquet_reader *r);
uint32_t parquet_reader_group_count(const struct parquet_reader *r);
uint32_t parquet_reader_group_rows(const struct parquet_reader *r, uint32_t group);
/* Value of a key of the key-value metadata; false if the key is absent. */
bool parquet_reader_pair(const struct parquet_reader *r, const char *key,
                         struct lam_slice *value_out);
/* Rows to ask of a group at a time, so that a batch of all its fields stays near COLBATCH_BYTES; at
 * most COLBATCH_ROWS, at least 1. */
uint32_t parquet_reader_batch_rows(const struct parquet_reader *r, uint32_t group);

/* Appends rows [first, first + count) of a field to `out`, a column of the field's type (any of
 * TEXT, JSON and BYTES for a TEXT or JSON field). Reads only the pages that hold them. */
MUST_CHECK enum lam_code parquet_reader_read(const struct parquet_reader *r, uint32_t group,
                                             uint32_t field, uint32_t first, uint32_t count,
                                             struct column *out, struct lam_error *err);
/* Whether a value may occur in a chunk by its bloom filter; true if it has none. */
MUST_CHECK enum lam_code parquet_reader_may_contain(const struct parquet_reader *r, uint32_t group,
                                                    uint32_t field, struct parquet_value value,
                                                    bool *may_out, struct lam_error *err);

/* Reads a whole file that this writer made and holds it against itself: no byte is outside of a
 * checksum, each page has its hash and its CRC, no value is missing from a bloom filter, and sizes,
 * counts and bounds of chunks and pages are those of the values. `actual_out` gets what the writer
 * would leave, the bounds being whole and exact; parquet_summary_fini. CORRUPT names the first
 * place that is wrong. Takes the memory of a page and of parquet_reader_batch_rows. */
MUST_CHECK enum lam_code parquet_reader_verify(const struct parquet_reader *r,
                                               struct parquet_summary *actual_out,
                                               struct lam_error *err);

struct parquet_cursor;

/* A cursor over one field, at row 0 of `group`. Returns owned. */
MUST_CHECK enum lam_code parquet_cursor_open(const struct parquet_reader *r, uint32_t group,
                                             uint32_t field, struct parquet_cursor **cursor_out,
                                             struct lam_error *err);
/* NULL is allowed. */
void parquet_cursor_close(struct parquet_cursor *c);
OWNED_POINTER(struct parquet_cursor, parquet_cursor_close)
/* Moves to a row of any group. Stays in the page if it can; buffers are kept. */
MUST_CHECK enum lam_code parquet_cursor_seek(struct parquet_cursor *c, uint32_t group, uint32_t row,
                                             struct lam_error *err);
/* Appends the next `count` rows, which the group must have (else INVALID), as parquet_reader_read
 * does. After a failure the cursor must be sought and `out` reset. */
MUST_CHECK enum lam_code parquet_cursor_next(struct parquet_cursor *c, uint32_t count,
                                             struct column *out, struct lam_error *err);
/* What a scan looks for in one field. */
struct parquet_range {
    const struct parquet_value *lower; /* least value wanted, or NULL. A NaN wants nothing. */
    const struct parquet_value *upper; /* greatest value wanted, or NULL */
    bool lower_open;                   /* `lower` itself is not wanted */
    bool upper_open;                   /* `upper` itself is not wanted */
    bool no_values;                    /* no non-null value is wanted (IS NULL) */
    bool nulls;                        /* nulls are wanted too */
};

struct parquet_row_range {
    uint32_t first;
    uint32_t count;
};

/* Ascending, disjoint, not empty. All-zero is the empty list. */
struct parquet_row_ranges {
    struct parquet_row_range *items; /* owned */
    size_t count;
    size_t capacity;
};
void parquet_row_ranges_fini(struct parquet_row_ranges *l);
/* Adds rows at the end, joining them to the last range if they touch. */
MUST_CHECK enum lam_code parquet_row_ranges_add(struct parquet_row_ranges *l, uint32_t first,
                                                uint32_t count, struct lam_error *err);
/* Rows in both lists into `out` (emptied first). */
MUST_CHECK enum lam_code parquet_row_ranges_intersect(const struct parquet_row_ranges *a,
                                                      const struct parquet_row_ranges *b,
                                                      struct parquet_row_ranges *out,
                                                      struct lam_error *err);

/* Whether a row group may hold a wanted row, by the chunk's bounds and null count. */
bool parquet_prune(const struct parquet_reader *r, uint32_t group, uint32_t field,
                   const struct parquet_range *range);
/* Rows of a group that may be wanted, by its pages' bounds, into `out` (emptied first). All rows
 * if the chunk has no page index. */
MUST_CHECK enum lam_code parquet_prune_pages(const struct parquet_reader *r, uint32_t group,
                                             uint32_t field, const struct parquet_range *range,
                                             struct parquet_row_ranges *out, struct lam_error *err);

#endif
