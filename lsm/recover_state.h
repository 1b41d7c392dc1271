/* SPDX-License-Identifier: Apache-2.0
 *
 * What the manifest says and the directory holds, and the reading of the log that follows from it.
 * Used by opening and by lam_check; reads only. */
#ifndef LAMINA_LSM_RECOVER_STATE_H
#define LAMINA_LSM_RECOVER_STATE_H

#include "base/arena.h"
#include "lsm/filename.h"
#include "lsm/manifest.h"
#include "lsm/wal.h"

struct recovered_partition {
    struct manifest_partition about; /* name in the arena */
    struct manifest_file *files;     /* slices in the arena; owned array */
    size_t file_count;
    size_t file_capacity;
};
/* A file of ours that the directory holds. */
struct listed_file {
    enum file_type type;
    uint64_t number;
    const char *name; /* in the arena */
};

struct recovered {
    lam_env *env;    /* borrowed */
    const char *dir; /* borrowed */
    struct arena arena;
    struct manifest_root root;
    struct recovered_partition *partitions; /* by number; owned */
    size_t partition_count;
    size_t partition_capacity;
    struct manifest_wal *wals; /* from the floor on, by number; owned */
    size_t wal_count;
    size_t wal_capacity;
    bool closed; /* the last edit is a clean close */
    uint64_t next_number;
    uint64_t granted_number; /* the same by the manifest alone: nothing above was ever in use */
    uint64_t last_sequence;  /* everything up to here is in SSTs */
    uint64_t wal_floor;
    struct listed_file *listed; /* owned */
    size_t listed_count;
    size_t listed_capacity;
};

void recovered_init(struct recovered *r, lam_env *env, const char *dir);
void recovered_fini(struct recovered *r);
/* Root, manifest and directory. NOT_FOUND: no database here. */
MUST_CHECK enum lam_code recovered_load(struct recovered *r, struct lam_error *err);
/* Every file the manifest names is there, with its size; a missing or short one is CORRUPT. */
MUST_CHECK enum lam_code recovered_check_file(const struct recovered *r, enum file_type type,
                                              uint64_t number, uint64_t size_bytes,
                                              struct lam_error *err);
struct recovered_partition *recovered_find(struct recovered *r, uint64_t number);

/* Gets each record of the log that counts, in order; `count` operations from `sequence` on. The
 * payload is well-formed and names partitions that are or were. */
typedef enum lam_code (*recovered_record_fn)(void *arg, uint64_t sequence, uint32_t count,
                                             struct lam_slice payload, struct lam_error *err);
struct recovered_log {
    uint64_t last_sequence; /* of the last record; the SSTs' if there was none */
    uint64_t operations;
    uint64_t bytes; /* sizes of the segment files together */
    uint64_t end;   /* bytes of good records and headers together */
    bool torn;      /* an unfinished end was dropped */
};
/* Reads the segments in order. The log is a prefix of what was written: it ends where a record is
 * missing. CORRUPT when anything that remains claims that the missing one was durable. */
MUST_CHECK enum lam_code recovered_read_log(struct recovered *r, recovered_record_fn fn, void *arg,
                                            struct recovered_log *out, struct lam_error *err);

#endif
