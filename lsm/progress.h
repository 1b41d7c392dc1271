/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress of a long call, told to its caller. */
#ifndef LAMINA_LSM_PROGRESS_H
#define LAMINA_LSM_PROGRESS_H

#include "base/error.h"
#include "lamina/db.h"

struct progress {
    lam_progress_fn fn; /* NULL: nobody looks */
    void *arg;
    struct lam_progress now;
};
/* Tells it; BUSY if the caller wants no more. Totals rise with what is done. */
MUST_CHECK enum lam_code progress_tell(struct progress *p, const char *file, struct lam_error *err);

#endif
