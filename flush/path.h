/* SPDX-License-Identifier: Apache-2.0
 *
 * Where cold files lie: path templates and file names. A template is a relative directory whose
 * parts may hold {namespace}, {table} (also {tableName}, {table_name}) and, for USER tables,
 * ${user_id} (also ${userId}); each with or without '$'. */
#ifndef LAMINA_FLUSH_PATH_H
#define LAMINA_FLUSH_PATH_H

#include "flush/flush.h"

/* Room for a segment's file name with ".tmp" and NUL. */
#define SEGMENT_NAME_BYTES 64

/* Template of a table: its LOCATION, else that of its storage (empty: the default of its kind).
 * Borrows its arguments. */
const char *path_template(const struct provider *p, const char *storage_template);
/* Appends the directory of a table (and user, if not empty), without a '/' at the end; empty when
 * the template has no parts. */
MUST_CHECK enum lam_code path_expand(const char *template_text, const struct provider *p,
                                     struct lam_slice user, struct buf *out, struct lam_error *err);
/* Appends the expanded parts before the first one that names the user: a directory that holds all
 * of the table's. `*levels_out` (may be NULL) gets the number of parts after it. */
MUST_CHECK enum lam_code path_expand_root(const char *template_text, const struct provider *p,
                                          struct buf *out, unsigned *levels_out,
                                          struct lam_error *err);
/* "batch-<number>-<tag as 8 hex digits>.parquet". */
void path_file_name(uint64_t number, uint32_t tag, char out[SEGMENT_NAME_BYTES]);
/* Whether a name is one of those, or one with ".tmp" behind. */
bool path_file_name_parse(const char *name, uint64_t *number_out, uint32_t *tag_out);
/* Whether a name is that of a derived file, or (`*unfinished_out`) of one that a crash left
 * half-written. */
bool path_is_export(const char *name, bool *unfinished_out);
/* Whether a storage's base directory lies inside of the database directory, so that nobody else has
 * files there. */
bool path_base_is_ours(const char *base);
/* "<base>/<relative>", where a relative base lies in the database directory. */
MUST_CHECK enum lam_code path_in_base(const char *db_directory, const char *base,
                                      struct lam_slice relative, struct buf *out,
                                      struct lam_error *err);

/* "<base>/<relative>" as the catalog names a file: relative to the database directory unless the
 * base is absolute. `out` is emptied first; the text is its. */
MUST_CHECK enum lam_code path_below_database(const char *base, struct lam_slice relative,
                                             struct buf *out, const char **text_out,
                                             struct lam_error *err);

#endif
