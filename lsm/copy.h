/* SPDX-License-Identifier: Apache-2.0
 *
 * What checkpoints and backups share: choosing the state that is copied, and moving files.
 *
 * A state is chosen so: making and dropping of partitions is kept off; memtables are dumped; then,
 * under `manifest`, partitions and files are written down. They are the database at its last dump,
 * which is a prefix of all commits over all partitions, needs no log, and has all that was
 * committed before the call. References on the versions keep the files. */
#ifndef LAMINA_LSM_COPY_H
#define LAMINA_LSM_COPY_H

#include "lsm/db_impl.h"
#include "lsm/progress.h"

struct copy_file {
    const char *name;                  /* below the database directory; in the arena */
    const struct manifest_file *about; /* of an SST; NULL: a layer above has it */
    uint64_t size;                     /* 0: not known */
    uint64_t fingerprint;              /* 0: not known */
    bool optional;
};

struct copy_state {
    lam_db *db;              /* NULL: not chosen */
    struct db_whole whole;   /* the edit; its arena holds the names */
    struct copy_file *files; /* by name; owned */
    size_t count, capacity;
};
/* READ_ONLY if the database takes no writes. `outer` NULL: there are no such files. */
MUST_CHECK enum lam_code copy_state_choose(struct copy_state *c, lam_db *db,
                                           const struct db_outer_files *outer,
                                           struct lam_error *err);
void copy_state_fini(struct copy_state *c); /* also of an all-zero one */

/* Checksum of a file: starts as 0; each run of COPY_RUN_BYTES, the last one shorter, makes it
 * xxh3(run, checksum). */
#define COPY_RUN_BYTES (256u << 10)
struct copy_result {
    uint64_t size;
    uint64_t checksum;
};
/* Copies a file to a path that has none, and syncs it (its name is the caller's). NOT_FOUND if
 * `from` is absent. A failure leaves nothing. */
MUST_CHECK enum lam_code copy_file(lam_env *env, const char *from, const char *to,
                                   struct progress *progress, struct copy_result *out,
                                   struct lam_error *err);
/* Reads a file. */
MUST_CHECK enum lam_code copy_checksum(lam_env *env, const char *path, struct progress *progress,
                                       struct copy_result *out, struct lam_error *err);
/* Makes and syncs the directories that files below `dir` need. Files come by name. */
struct copy_dirs {
    lam_env *env;
    const char *dir;
    struct buf last; /* path of the directory at hand; empty: `dir` */
};
/* The full path of `name`, whose directory is made; valid until the next call. */
MUST_CHECK enum lam_code copy_dirs_enter(struct copy_dirs *d, const char *name, struct buf *path,
                                         const char **text_out, struct lam_error *err);
/* After the last file. */
MUST_CHECK enum lam_code copy_dirs_finish(struct copy_dirs *d, struct lam_error *err);
void copy_dirs_fini(struct copy_dirs *d);

/* Makes the database in `dir`, which holds its files, durable: manifest and ROOT, closed cleanly.
 */
MUST_CHECK enum lam_code copy_make_root(lam_env *env, const char *dir, const uint8_t *db_id,
                                        const struct manifest_edit *state, struct lam_error *err);

#endif
