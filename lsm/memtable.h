/* SPDX-License-Identifier: Apache-2.0
 *
 * Newest writes of one partition, in memory: point entries in an adaptive radix tree, range
 * tombstones in append order with sets built over them as they grow. One writer at a time (the
 * commit path); readers take no lock. Reference-counted; freed whole. */
#ifndef LAMINA_LSM_MEMTABLE_H
#define LAMINA_LSM_MEMTABLE_H

#include "lsm/range_set.h"

struct memtable;
MUST_CHECK enum lam_code memtable_new(struct memtable **out, struct lam_error *err);
struct memtable *memtable_ref(struct memtable *m);
void memtable_unref(struct memtable *m); /* NULL is allowed */

/* What memtable_reserve wants the sum of. */
size_t memtable_put_bound(size_t key_size, size_t value_size);
size_t memtable_range_bound(size_t from_size, size_t to_size);
/* After it, inserts can't fail whose put bounds together are at most `bytes` and whose range bounds
 * together are at most `range_bytes`. */
MUST_CHECK enum lam_code memtable_reserve(struct memtable *m, size_t bytes, size_t range_bytes,
                                          struct lam_error *err);
/* Copies in. An entry that is there already (same key and sequence) is left alone. */
void memtable_insert(struct memtable *m, const struct entry *e);
void memtable_insert_range(struct memtable *m, const struct range_tombstone *t);

/* Bytes of heap it holds. */
size_t memtable_bytes(const struct memtable *m);
/* Point entries. */
uint32_t memtable_entries(const struct memtable *m);
/* Entries that iterators of users stepped over, so far. */
uint64_t memtable_passed(const struct memtable *m);
/* Newest version of `key` with sequence <= `snapshot`; the slices live as long as the memtable. */
bool memtable_get(const struct memtable *m, struct lam_slice key, uint64_t snapshot,
                  struct entry *out);
/* The same for several keys: see art_get_many. */
struct art_ask;
void memtable_get_many(const struct memtable *m, struct art_ask *asks, size_t n, uint64_t snapshot);
/* As range_set_cover, over the range tombstones so far. */
uint64_t memtable_cover(const struct memtable *m, struct lam_slice key, uint64_t snapshot,
                        struct range_cover *out);
/* As range_set_upto, over the range tombstones so far. */
uint64_t memtable_hidden_upto(const struct memtable *m, struct lam_slice key, uint64_t snapshot);
/* As range_set_newest, over the range tombstones so far. */
uint64_t memtable_newest_range(const struct memtable *m, struct lam_slice key);
/* Range tombstones so far; memtable_range gives each, in commit order. */
uint32_t memtable_range_count(const struct memtable *m);
const struct range_tombstone *memtable_range(const struct memtable *m, uint32_t index);
/* Over the point entries; takes its own reference. It shows all that was inserted before its last
 * seek, and of what came later what it happens to meet (lsm/art.h). Returns owned. */
MUST_CHECK enum lam_code memtable_iter_new(struct memtable *m, struct cursor_iter **it_out,
                                           struct lam_error *err);
/* The same in `at`, which has memtable_iter_bytes() and, as the memtable, outlives it. */
size_t memtable_iter_bytes(void);
struct cursor_iter *memtable_iter_init(void *at, struct memtable *m);

#endif
