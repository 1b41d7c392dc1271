/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress of a long call. */
#include "lsm/progress.h"

enum lam_code progress_tell(struct progress *p, const char *file, struct lam_error *err) {
    struct lam_progress *now = &p->now;
    if (!p->fn)
        return LAM_OK;
    now->file = file;
    if (now->files_total < now->files_done)
        now->files_total = now->files_done;
    if (now->bytes_total < now->bytes_done)
        now->bytes_total = now->bytes_done;
    if (p->fn(p->arg, now))
        return LAM_OK;
    return ERR(err, LAM_BUSY, "ended by the caller's progress function after %llu of %llu files",
               (unsigned long long)now->files_done, (unsigned long long)now->files_total);
}
