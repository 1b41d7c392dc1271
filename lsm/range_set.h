/* SPDX-License-Identifier: Apache-2.0
 *
 * Immutable index of range tombstones: answers in logarithmic time which versions of a key they
 * hide. A segment tree over the ends of the ranges: each tombstone hangs at O(log n) nodes, so
 * nested and staggered ranges cost no more than disjoint ones. */
#ifndef LAMINA_LSM_RANGE_SET_H
#define LAMINA_LSM_RANGE_SET_H

#include "lsm/entry.h"

struct range_set;
/* `tombstones` in any order; the array is copied, the slices are borrowed. Returns owned. */
MUST_CHECK enum lam_code range_set_new(const struct range_tombstone *tombstones, size_t count,
                                       struct range_set **set_out, struct lam_error *err);
void range_set_free(struct range_set *s); /* NULL is allowed */
OWNED_POINTER(struct range_set, range_set_free)
/* Highest `upto` among the tombstones that cover `key` and have a sequence <= `snapshot`; 0 if
 * there is none. NULL set: 0. */
uint64_t range_set_upto(const struct range_set *s, struct lam_slice key, uint64_t snapshot);
/* Highest sequence of a tombstone that covers `key`; 0 if there is none. NULL set: 0. */
uint64_t range_set_newest(const struct range_set *s, struct lam_slice key);
/* Keys from `from` up to `to` (empty: no end), of which versions up to `upto` are hidden. */
struct range_cover {
    struct lam_slice from;
    struct lam_slice to;
    uint64_t upto;
};
/* As range_set_upto; if it is not 0, `out` is where around `key` it is the same. The slices borrow
 * as the tombstones do. */
uint64_t range_set_cover(const struct range_set *s, struct lam_slice key, uint64_t snapshot,
                         struct range_cover *out);
/* The tombstones, by sequence; valid as long as the set. */
const struct range_tombstone *range_set_items(const struct range_set *s, size_t *count_out);

#endif
