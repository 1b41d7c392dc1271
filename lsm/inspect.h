/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a log whose identity only its own header tells. */
#ifndef LAMINA_LSM_INSPECT_H
#define LAMINA_LSM_INSPECT_H

#include "lsm/log_format.h"

/* As log_read; `fn` stops the reading by an error, which is none if `*ended` is set by then. */
MUST_CHECK enum lam_code inspect_log(lam_env *env, const char *path, const char *magic,
                                     log_record_fn fn, void *arg, const bool *ended, uint8_t *db_id,
                                     uint64_t *number_out, struct log_read_result *out,
                                     struct lam_error *err);

#endif
