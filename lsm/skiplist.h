/* SPDX-License-Identifier: Apache-2.0
 *
 * Ordered map of versioned entries (Pugh's skip list): one writer, any number of readers without
 * locks. Nodes are never removed and never move; a node is filled before the release store that
 * links it, and readers follow links with acquire loads, so whoever sees a node sees it whole. */
#ifndef LAMINA_LSM_SKIPLIST_H
#define LAMINA_LSM_SKIPLIST_H

#include <stdatomic.h>

#include "lsm/entry.h"
#include "lsm/pool.h"

#define SKIPLIST_HEIGHT 12

struct skiplist_node;
struct skiplist {
    struct pool *pool;          /* borrowed; memory of the nodes */
    struct skiplist_node *head; /* before all; in the pool */
    _Atomic uint32_t height;    /* levels in use; written by the writer, a hint for readers */
    uint64_t random;            /* the writer's */
    struct skiplist_node *tail[SKIPLIST_HEIGHT]; /* the writer's: last node of each level */
};

/* Bytes of pool that inserting takes at most. */
size_t skiplist_node_bound(size_t key_size, size_t value_size);
MUST_CHECK enum lam_code skiplist_init(struct skiplist *s, struct pool *pool,
                                       struct lam_error *err);
/* Copies the entry in; its memory must be reserved. False: that key and sequence is there. */
bool skiplist_insert(struct skiplist *s, const struct entry *e);

/* NULL stands for the end. */
const struct skiplist_node *skiplist_first(const struct skiplist *s);
const struct skiplist_node *skiplist_last(const struct skiplist *s);
const struct skiplist_node *skiplist_next(const struct skiplist_node *n);
/* First at or after, last before (key, sequence) in entry order. */
const struct skiplist_node *skiplist_seek(const struct skiplist *s, struct lam_slice key,
                                          uint64_t sequence);
const struct skiplist_node *skiplist_before(const struct skiplist *s, struct lam_slice key,
                                            uint64_t sequence);
/* Borrowed as long as the pool lives. */
void skiplist_entry(const struct skiplist_node *n, struct entry *out);

#endif
