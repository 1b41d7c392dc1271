/* SPDX-License-Identifier: Apache-2.0
 *
 * Merges internal iterators into one in entry order. Sources earlier in the list are newer: of
 * entries with the same key and sequence (a row carried forward) the earlier source's comes first.
 * A source's failure is the merge's. */
#ifndef LAMINA_LSM_MERGE_ITER_H
#define LAMINA_LSM_MERGE_ITER_H

#include "lsm/entry.h"

/* Takes over the `count` iterators (not the array), also on failure. Returns owned. */
MUST_CHECK enum lam_code merge_iter_new(struct cursor_iter **sources, size_t count,
                                        struct cursor_iter **it_out, struct lam_error *err);
/* The same in `at`, which has merge_iter_bytes(count) and outlives it. */
size_t merge_iter_bytes(size_t count);
struct cursor_iter *merge_iter_init(void *at, struct cursor_iter **sources, size_t count);

#endif
