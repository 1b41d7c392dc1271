/* SPDX-License-Identifier: Apache-2.0
 *
 * Door of flush: settled rows into Parquet segments, and reading hot and cold rows as one table.
 *
 * Cold data holds one live version of a key: a flush marks the keys it moves dead in older segments
 * (dead-row bitmaps, "merge on write"). So a reader takes every hot row, and of the cold rows those
 * that are not dead and whose key is not hot at the same snapshot. All of it - hot rows, segment
 * entries, bitmaps, index entries - is read at one engine snapshot. */
#ifndef LAMINA_FLUSH_FLUSH_H
#define LAMINA_FLUSH_FLUSH_H

#include "catalog/catalog.h"

struct flush;

/* The flush layer of a database; attached on first use: sets the catalog's hooks, removes orphan
 * files and files of dropped tables, starts interval policies. Valid until lam_db_close. */
MUST_CHECK enum lam_code flush_of(lam_db *db, struct flush **flush_out, struct lam_error *err);

/* --- reading ------------------------------------------------------------------------------- */

enum scan_op { SCAN_EQ, SCAN_LT, SCAN_LE, SCAN_GT, SCAN_GE };
/* A conjunct that every wanted row meets: for pruning only, the caller tests rows himself. */
struct scan_predicate {
    uint32_t column_id;
    enum scan_op op;
    struct value value; /* not NULL, of the column's type */
};

struct scan_request {
    struct provider *provider; /* borrowed while the scan is open, as are all slices */
    struct lam_slice user;     /* USER and STREAM: whose rows; there is no scan without */
    const lam_snapshot *snapshot;
    const uint32_t *column_ids; /* wanted, in this order; user and system columns; may be none */
    uint32_t column_count;
    /* Bounds of row keys as row_key makes them, user part included: [lower, upper); empty: none
     * beyond the user's range. */
    struct lam_slice key_lower, key_upper;
    const struct scan_predicate *predicates;
    uint32_t predicate_count;
    /* Hot rows by an index: entries whose key starts with index_prefix (from index_prefix()). Cold
     * rows are pruned by the predicates. NULL: by key range. */
    const struct table_index *index;
    struct lam_slice index_prefix;
    bool with_deleted; /* rows with _deleted = true too */
    int64_t now_us;    /* STREAM: rows older than the TTL at this time are hidden */
};

struct scan;
/* What a scan did, for EXPLAIN ANALYZE and tests. */
struct scan_stats {
    uint64_t hot_rows, cold_rows;       /* handed out */
    uint64_t segments, segments_pruned; /* of the table and user */
    uint64_t row_groups, row_groups_pruned;
};
MUST_CHECK enum lam_code scan_open(const struct scan_request *request, struct scan **scan_out,
                                   struct lam_error *err);
/* The next batch of at most COLBATCH_ROWS rows in the wanted columns, or NULL at the end. Belongs
 * to the scan until the next call. Hot rows come in key order, each segment's rows too. */
MUST_CHECK enum lam_code scan_next(struct scan *s, struct colbatch **batch_out,
                                   struct lam_error *err);
void scan_get_stats(const struct scan *s, struct scan_stats *out);
void scan_close(struct scan *s); /* NULL is allowed */
OWNED_POINTER(struct scan, scan_close)

/* One row by its key, wherever it is. */
struct row_found {
    bool found; /* a version exists: live, or deleted and `deleted` says so */
    bool deleted;
    bool hot; /* the version lies in the hot tier (its index entries too) */
    int64_t seq;
    struct value *values; /* [schema->column_count], in the arena */
};
/* `key`: bytes of row_key. An expired STREAM row counts as not found but `hot`, with its values. */
MUST_CHECK enum lam_code row_find(struct provider *p, const lam_snapshot *snapshot,
                                  struct lam_slice user, struct lam_slice key, int64_t now_us,
                                  struct arena *arena, struct row_found *out,
                                  struct lam_error *err);
/* Whether a live row (hot or cold) other than the one with key `own_key` has these values in a
 * unique index's columns; false if one of them is NULL. */
MUST_CHECK enum lam_code unique_conflict(struct provider *p, const struct table_index *index,
                                         const lam_snapshot *snapshot, struct lam_slice user,
                                         const struct value *values, struct lam_slice own_key,
                                         bool *conflict_out, struct lam_error *err);
/* Whether any row (live or deleted; any user) satisfies what an ALTER asks: a NULL in column `id`
 * (id 0: any row at all). */
MUST_CHECK enum lam_code rows_exist(struct provider *p, uint32_t null_column_id, bool *exist_out,
                                    struct lam_error *err);
/* For CREATE UNIQUE INDEX: whether two live rows of one user (or of the table) share the values. */
MUST_CHECK enum lam_code index_has_duplicates(struct provider *p, const struct table_index *index,
                                              bool *duplicate_out, struct lam_error *err);

/* --- flushing ------------------------------------------------------------------------------ */

/* Flushes a table, all users, at a snapshot taken now, and waits: writes the segments, commits the
 * one atomic event, updates system.jobs. If a flush of the table is running, waits for it and gives
 * its job. `job_id_out` has room for 40. Also when it fails the job row tells; the error is
 * returned. */
struct flush_result {
    char job_id[40];
    const char *status; /* "completed", "skipped"; static */
    uint64_t rows, files, bytes;
};
MUST_CHECK enum lam_code flush_table(struct flush *f, struct provider *p,
                                     struct flush_result *result_out, struct lam_error *err);
/* Told after each commit of rows, to trigger rows:N policies in the background. */
void flush_note_rows(struct flush *f, struct provider *p, struct lam_slice user, uint64_t rows);

/* --- pieces with tests of their own -------------------------------------------------------- */

/* Encodes a user id for a path, one to one: [A-Za-z0-9-] and '_' not at the start stay, other bytes
 * become %XX; ids too long for a file name become a prefix and a hash that no plain id can have.
 * Never empty,
 * ".", "..", nor with '/'. */
MUST_CHECK enum lam_code flush_path_user(struct lam_slice user, struct buf *out,
                                         struct lam_error *err);
/* Checks a path template of a kind of table and says what is wrong (22023). */
MUST_CHECK enum lam_code flush_template_check(struct lam_slice template_text, bool user_table,
                                              struct lam_error *err);

#endif
