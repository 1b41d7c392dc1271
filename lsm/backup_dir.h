/* SPDX-License-Identifier: Apache-2.0
 *
 * An open directory of backups: its lock, what it holds, and removing what nothing names.
 *
 * Order: data files and their names are durable before a description names them; a description's
 * end is durable before data files that only it named go. So every description that is there has
 * all its files, and what a crash leaves is data without a name. */
#ifndef LAMINA_LSM_BACKUP_DIR_H
#define LAMINA_LSM_BACKUP_DIR_H

#include "lsm/backup_format.h"

struct backup_numbers {
    uint64_t *items; /* ascending; owned */
    size_t count, capacity;
};
/* The highest one; 0: there is none. */
static inline uint64_t backup_last(const struct backup_numbers *n) {
    return n->count > 0 ? n->items[n->count - 1] : 0;
}

struct backup_dir {
    lam_env *env;
    const char *path; /* borrowed */
    lam_file_lock *lock;
    uint8_t db_id[16];
    struct backup_numbers ids;    /* of descriptions */
    struct backup_numbers stored; /* of data files */
};

/* Opens one for looking, or for changing; NOT_FOUND if `path` holds no backups. BUSY: locked. */
MUST_CHECK enum lam_code backup_dir_open(struct backup_dir *d, lam_env *env, const char *path,
                                         bool change, struct lam_error *err);
/* The same, made for database `db_id` if there is none. EXISTS: it holds something else, or backups
 * of another database. */
MUST_CHECK enum lam_code backup_dir_make(struct backup_dir *d, lam_env *env, const char *path,
                                         const uint8_t *db_id, struct lam_error *err);
void backup_dir_close(struct backup_dir *d); /* also of an all-zero one */

/* Place of a data file's number in `stored`; NULL if there is none. */
const uint64_t *backup_dir_find(const struct backup_dir *d, uint64_t stored);
/* Paths of the files, into `out`. */
MUST_CHECK enum lam_code backup_data_path(const struct backup_dir *d, uint64_t stored,
                                          struct buf *out, const char **text_out,
                                          struct lam_error *err);
MUST_CHECK enum lam_code backup_path(const struct backup_dir *d, uint64_t id, struct buf *out,
                                     const char **text_out, struct lam_error *err);

/* A description with the bytes that it borrows. */
struct backup_loaded {
    struct arena arena;
    struct buf bytes;
    struct backup_description about;
};
/* CORRUPT names the file. Fini it either way. */
MUST_CHECK enum lam_code backup_load(const struct backup_dir *d, uint64_t id,
                                     struct backup_loaded *out, struct lam_error *err);
void backup_loaded_fini(struct backup_loaded *l);

/* Removes data files that no description names, and unfinished ones. None, if a description can't
 * be read: what it names is not known. */
MUST_CHECK enum lam_code backup_dir_clean(struct backup_dir *d, struct lam_error *err);
/* Removes a description, durably. */
MUST_CHECK enum lam_code backup_dir_forget(struct backup_dir *d, uint64_t id,
                                           struct lam_error *err);

#endif
