/* SPDX-License-Identifier: Apache-2.0
 *
 * The entries of a run of sorted, disjoint files as one internal iterator; a file is opened when
 * the iterator gets there. */
#ifndef LAMINA_LSM_LEVEL_ITER_H
#define LAMINA_LSM_LEVEL_ITER_H

#include "lsm/sst_cache.h"
#include "lsm/version.h"

/* `files` (sorted by `smallest`) and the cache are borrowed and must outlive it. Returns owned. */
MUST_CHECK enum lam_code level_iter_new(struct sst_cache *cache, struct file_meta *const *files,
                                        size_t count, bool fill_cache, struct cursor_iter **it_out,
                                        struct lam_error *err);
/* The same in `at`, which has level_iter_bytes() and outlives it. */
size_t level_iter_bytes(void);
struct cursor_iter *level_iter_init(void *at, struct sst_cache *cache,
                                    struct file_meta *const *files, size_t count, bool fill_cache);

#endif
