/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in one file of a database, for tools that look at it. Nothing is written and no lock is
 * taken: a file that an open database writes to may be read up to where it is whole.
 *
 * Each call gives what is readable, front to back, and then an error if there was damage: CORRUPT
 * names file and offset. `env` NULL: lam_env_posix(). NOT_FOUND: there is no such file.
 * Thread-safe. Formats: docs/FORMAT.md. */
#ifndef LAMINA_INSPECT_H
#define LAMINA_INSPECT_H

#include "lamina/db.h"

#ifdef __cplusplus
extern "C" {
#endif

enum lam_operation_kind {
    LAM_OPERATION_PUT = 1,
    LAM_OPERATION_DELETE = 2,
    LAM_OPERATION_DELETE_RANGE = 3,
};
/* One operation, as it was written; slices are valid in the call. */
struct lam_operation {
    enum lam_operation_kind kind;
    uint64_t sequence;
    uint64_t partition; /* its number; 0 in an SST, which holds one partition's and does not say */
    struct lam_slice key;   /* DELETE_RANGE: first key */
    struct lam_slice value; /* PUT */
    struct lam_slice to;    /* DELETE_RANGE: end, exclusive; empty: none */
    uint64_t upto;          /* DELETE_RANGE: hides versions up to this sequence */
};
/* False ends the reading; the call answers LAM_OK. */
typedef bool (*lam_operation_fn)(void *arg, const struct lam_operation *operation);

struct lam_sst_info {
    uint8_t database[16];
    uint64_t number; /* of the file */
    uint64_t bytes;  /* size of the file */
    uint64_t entries;
    uint64_t deletes; /* of entries */
    uint64_t range_deletes;
    uint64_t raw_bytes; /* of keys and values */
    uint64_t sequence_min, sequence_max;
    int64_t written_us; /* wall clock of the newest write, microseconds since 1970 */
};
/* Range deletions, then entries by key and falling sequence. `info_out` (may be NULL) is filled
 * before the first call of `fn` (may be NULL). */
LAM_API LAM_MUST_CHECK enum lam_code lam_inspect_sst(const char *path, lam_env *env,
                                                     struct lam_sst_info *info_out,
                                                     lam_operation_fn fn, void *arg,
                                                     struct lam_error *err);

struct lam_wal_info {
    uint8_t database[16];
    uint64_t number;  /* of the segment */
    uint64_t bytes;   /* size of the file; it is made longer than what it holds */
    uint64_t batches; /* records that are whole */
    uint64_t end;     /* offset after the last of them */
    bool torn;        /* another one begins there, unfinished */
};
/* Operations in order of commit. `info_out` (may be NULL) is filled when the call returns, with
 * what was read. */
LAM_API LAM_MUST_CHECK enum lam_code lam_inspect_wal(const char *path, lam_env *env,
                                                     struct lam_wal_info *info_out,
                                                     lam_operation_fn fn, void *arg,
                                                     struct lam_error *err);

/* One line of text for each change that a manifest records, without its newline; valid in the call.
 * A line is "edit <number> <what> <name>=<value> ...", the names and their order as in
 * docs/FORMAT.md; keys and names are printable ASCII, other bytes, '\' and blanks as \xHH. */
typedef bool (*lam_line_fn)(void *arg, const char *line);
LAM_API LAM_MUST_CHECK enum lam_code lam_inspect_manifest(const char *path, lam_env *env,
                                                          lam_line_fn fn, void *arg,
                                                          struct lam_error *err);

struct lam_root_info {
    uint8_t database[16];
    uint64_t generation;
    uint64_t manifest; /* number of the manifest that counts */
    bool sealed;       /* the database was closed cleanly */
};
/* The root of the database in directory `path`. */
LAM_API LAM_MUST_CHECK enum lam_code lam_inspect_root(const char *path, lam_env *env,
                                                      struct lam_root_info *info_out,
                                                      struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
