/* SPDX-License-Identifier: Apache-2.0
 *
 * A manifest begun anew in one step, as an open does in two. */
#ifndef LAMINA_TESTS_LSM_MANIFESTS_H
#define LAMINA_TESTS_LSM_MANIFESTS_H

#include "lsm/manifest.h"

static inline enum lam_code manifest_rewrite(lam_env *in, const char *dir,
                                             const struct manifest_root *root, uint64_t number,
                                             const struct manifest_edit *snapshot,
                                             struct manifest **out, struct lam_error *e) {
    OWNED(manifest_close_at) struct manifest *m = NULL;
    TRY(manifest_prepare(in, dir, root, number, snapshot, &m, e));
    TRY(manifest_make_current(m, e));
    *out = m;
    m = NULL;
    return LAM_OK;
}

#endif
