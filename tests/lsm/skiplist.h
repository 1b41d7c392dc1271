/* SPDX-License-Identifier: Apache-2.0
 *
 * Slow twin of lsm/art.h: the same ordered map as a skip list (Pugh), far simpler, whose nodes show
 * an entry each. Tests compare the two. One thread. */
#ifndef LAMINA_TESTS_LSM_SKIPLIST_H
#define LAMINA_TESTS_LSM_SKIPLIST_H

#include "lsm/entry.h"
#include "tests/support/test.h"

#define SKIPLIST_HEIGHT 12

struct skiplist_node {
    struct entry entry; /* its slices follow the links */
    unsigned height;
    struct skiplist_node *next[];
};
struct skiplist {
    struct skiplist_node *head; /* before all */
    uint64_t random;
};

static inline struct skiplist_node *skiplist_node_new(unsigned height, const struct entry *e) {
    size_t head = sizeof(struct skiplist_node) + height * sizeof(void *);
    struct skiplist_node *n = calloc(1, head + e->key.size + e->value.size + 1);
    uint8_t *at = (uint8_t *)n + head;
    n->entry = *e;
    n->entry.key.data = at;
    n->entry.value.data = at + e->key.size;
    n->height = height;
    if (e->key.size)
        memcpy(at, e->key.data, e->key.size);
    if (e->value.size)
        memcpy(at + e->key.size, e->value.data, e->value.size);
    return n;
}

static inline void skiplist_init(struct skiplist *s) {
    struct entry none = {0};
    s->head = skiplist_node_new(SKIPLIST_HEIGHT, &none);
    s->random = 0x9e3779b97f4a7c15ull;
}

static inline void skiplist_fini(struct skiplist *s) {
    for (struct skiplist_node *n = s->head, *next; n; n = next) {
        next = n->next[0];
        free(n);
    }
}

/* First node at or after the place; fills `prev` with the last before it on each level. */
static inline struct skiplist_node *skiplist_find(const struct skiplist *s, struct lam_slice key,
                                                  uint64_t sequence, struct skiplist_node **prev) {
    struct skiplist_node *at = s->head;
    for (unsigned level = SKIPLIST_HEIGHT; level-- > 0;) {
        struct skiplist_node *next;
        while ((next = at->next[level]) != NULL &&
               entry_cmp(next->entry.key, next->entry.sequence, key, sequence) < 0)
            at = next;
        prev[level] = at;
    }
    return prev[0]->next[0];
}

/* False: that key and sequence is there. */
static inline bool skiplist_insert(struct skiplist *s, const struct entry *e) {
    struct skiplist_node *prev[SKIPLIST_HEIGHT];
    struct skiplist_node *after = skiplist_find(s, e->key, e->sequence, prev);
    if (after && entry_cmp(after->entry.key, after->entry.sequence, e->key, e->sequence) == 0)
        return false;
    unsigned height = 1;
    s->random = s->random * 6364136223846793005ull + 1442695040888963407ull;
    for (uint64_t bits = s->random >> 33; height < SKIPLIST_HEIGHT && (bits & 3) == 0; bits >>= 2)
        height++;
    struct skiplist_node *n = skiplist_node_new(height, e);
    for (unsigned i = 0; i < height; i++) {
        n->next[i] = prev[i]->next[i];
        prev[i]->next[i] = n;
    }
    return true;
}

/* NULL stands for the end. */
static inline const struct skiplist_node *skiplist_first(const struct skiplist *s) {
    return s->head->next[0];
}
static inline const struct skiplist_node *skiplist_next(const struct skiplist_node *n) {
    return n->next[0];
}
/* First at or after, last before (key, sequence) in entry order. */
static inline const struct skiplist_node *skiplist_seek(const struct skiplist *s,
                                                        struct lam_slice key, uint64_t sequence) {
    struct skiplist_node *prev[SKIPLIST_HEIGHT];
    return skiplist_find(s, key, sequence, prev);
}
static inline const struct skiplist_node *skiplist_before(const struct skiplist *s,
                                                          struct lam_slice key, uint64_t sequence) {
    struct skiplist_node *prev[SKIPLIST_HEIGHT];
    skiplist_find(s, key, sequence, prev);
    return prev[0] == s->head ? NULL : prev[0];
}

#endif
