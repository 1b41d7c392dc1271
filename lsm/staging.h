/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory made under a temporary name: whole under its own, or not there.
 *
 * `<target>.unfinished` holds the empty file UNFINISHED from before anything else is in it until
 * everything is, and its maker holds a lock on that file. A crash leaves it behind; who makes the
 * same target next removes it. Between the end of UNFINISHED and the rename it is told by the
 * identity in its ROOT. */
#ifndef LAMINA_LSM_STAGING_H
#define LAMINA_LSM_STAGING_H

#include "base/env.h"

struct staging {
    lam_env *env;
    struct buf target_bytes; /* owned */
    struct buf temp_bytes;   /* owned */
    const char *target;
    const char *dir;     /* where it is made; NULL: not begun */
    lam_file_lock *lock; /* NULL: not held */
    bool finished;
};

/* Makes the directory, empty but for UNFINISHED. EXISTS if `target` is there, or something under
 * the temporary name that is no such directory of database `db_id`. BUSY: it is being made. */
MUST_CHECK enum lam_code staging_begin(struct staging *s, lam_env *env, const char *target,
                                       const uint8_t *db_id, struct lam_error *err);
/* Gives it its name, durably. The caller has synced the files and directories in it. */
MUST_CHECK enum lam_code staging_finish(struct staging *s, struct lam_error *err);
/* Removes what is not finished, and frees. Of an all-zero one as well. */
void staging_fini(struct staging *s);

#endif
