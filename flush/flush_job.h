/* SPDX-License-Identifier: Apache-2.0
 *
 * One flush, from snapshot to commit. flush_job.c runs it, flush_write.c makes the files,
 * supersede.c finds older versions, flush_commit.c makes it one event. */
#ifndef LAMINA_FLUSH_FLUSH_JOB_H
#define LAMINA_FLUSH_FLUSH_JOB_H

#include "flush/cold_set.h"

/* A file of the job; strings of its arena. Written under its temporary name, then published with
 * others: synced, closed, renamed, its directory synced. */
struct flush_file {
    struct segment entry;
    const char *full_path;
    const char *tmp_path;
    const char *directory;
    lam_file *file; /* open until it is published; owned */
};

/* New dead rows of an older segment. */
struct dead_update {
    struct lam_slice user;
    uint64_t number;
    uint64_t rows;
    uint8_t *bits; /* old and new ones; of the arena */
};

struct flush_job {
    struct flush *flush;
    struct provider *provider; /* reference; as of the snapshot */
    struct table_cold *table;
    const struct lam_slice *users; /* only theirs; NULL: all */
    size_t user_count;
    bool by_policy;
    struct job row;

    lam_snapshot *snapshot;
    uint64_t sequence; /* of the snapshot: what the flush may take */
    struct arena arena;
    struct storage_place place;
    const char *template_text;

    struct flush_file *files; /* by user, then key; owned array */
    size_t file_count, file_capacity;
    size_t published_count;   /* the first so many are durable under their names */
    struct dead_update *dead; /* owned array */
    size_t dead_count, dead_capacity;
    char **parents; /* directories above the files', to be synced; owned array */
    size_t parent_count, parent_capacity;
    const char *last_parent; /* of the newest file's directory */
    uint64_t rows, bytes;
    bool keep_files; /* the commit may have happened */
};

/* flush_write.c: streams the rows of [lower, upper) (empty: no bound) into files. */
MUST_CHECK enum lam_code flush_write_range(struct flush_job *job, struct lam_slice lower,
                                           struct lam_slice upper, struct lam_error *err);
/* Makes the names of new directories durable. */
MUST_CHECK enum lam_code flush_sync_parents(struct flush_job *job, struct lam_error *err);
/* Removes the files again. */
void flush_remove_files(struct flush_job *job);
/* LAM_BUSY if the job should give up. */
MUST_CHECK enum lam_code flush_check_stop(const struct flush_job *job, struct lam_error *err);

/* supersede.c: fills `dead`. */
MUST_CHECK enum lam_code flush_supersede(struct flush_job *job, struct lam_error *err);

/* flush_commit.c: the one batch. `job->row` is the completed one. CONFLICT: an index was made
 * meanwhile; the flush must start over. */
MUST_CHECK enum lam_code flush_commit(struct flush_job *job, struct lam_error *err);
/* Takes a stripe of the table's present version: until provider_write_unlock and provider_unref no
 * DDL of the table comes through. 42P01 if it is dropped. */
MUST_CHECK enum lam_code flush_lock_table(struct flush *f, const struct provider *p,
                                          struct lam_slice user, struct provider **now_out,
                                          unsigned *stripe_out, struct lam_error *err);

#endif
