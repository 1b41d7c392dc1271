/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the engine's files in the database directory. */
#ifndef LAMINA_LSM_FILENAME_H
#define LAMINA_LSM_FILENAME_H

#include "base/env.h"

enum file_type {
    FILE_OTHER = 0,    /* not ours */
    FILE_ROOT = 1,     /* ROOT */
    FILE_LOCK = 2,     /* LOCK */
    FILE_MANIFEST = 3, /* MANIFEST-<n> */
    FILE_WAL = 4,      /* <n>.wal */
    FILE_SST = 5,      /* <n>.sst */
    FILE_TEMP = 6,     /* anything of ours ending in .tmp */
};
#define FILENAME_MAX_BYTES 40

/* Numbers are written with at least six decimal digits. `out` has room for FILENAME_MAX_BYTES. */
void filename_make(enum file_type type, uint64_t number, char *out);
/* Type and number (0 where there is none) of a name without its directory. */
enum file_type filename_parse(const char *name, uint64_t *number_out);
/* Reads a number in the form in which names have it; the text after it, or NULL if malformed. */
const char *filename_number(const char *text, uint64_t *out);
/* Removes a file; one that stays goes at the next open. */
void filename_remove(lam_env *env, const char *dir, enum file_type type, uint64_t number);
/* "<dir>/<name>" into `out` (emptied first), NUL-terminated in memory; returns it through text. */
MUST_CHECK enum lam_code filename_path(struct buf *out, const char *dir, enum file_type type,
                                       uint64_t number, const char **text_out,
                                       struct lam_error *err);

#endif
