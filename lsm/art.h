/* SPDX-License-Identifier: Apache-2.0
 *
 * Ordered map of versioned entries: an adaptive radix tree (Leis, Kemper, Neumann: The Adaptive
 * Radix Tree, ICDE 2013) whose leaves are keys, each with its versions newest first. One writer,
 * any number of readers without locks, all memory in a pool that is freed whole.
 *
 * Shape. An inner node stands at a depth: what lies below it shares that many key bytes, and the
 * byte there tells its children apart. Depths rise by more than one where keys share bytes; what
 * is skipped is not stored, any leaf below has it. A key that ends at a node's depth is the node's
 * own leaf, before its children in order. Keys hold any bytes and have any length, 0 included.
 *
 * Readers. A thing is filled before the release store that links it, and links are followed with
 * acquire loads. Nodes only gain children; a full one is copied into a larger one that takes its
 * place, and a node never changes its depth, so one is put above another without touching it. What
 * was replaced stays as it was. A reader that still stands on it lacks only what came later:
 *
 * - art_get, and an iterator from its last art_iter_first, _last, _seek or _before on, see all
 *   that was inserted before the call (in the sense of happens-before). A reader that takes its
 *   sequence from the writer's publication and then seeks misses nothing up to that sequence.
 * - What is inserted later an iterator may show or not; and show when it goes back over a place
 *   where it did not show it before.
 * - Each step of an iterator goes strictly forward, or back, in entry order, whatever is inserted
 *   meanwhile, and what it stands on stays as long as the pool. */
#ifndef LAMINA_LSM_ART_H
#define LAMINA_LSM_ART_H

#include <stdatomic.h>

#include "lsm/entry.h"
#include "lsm/pool.h"

enum art_type {
    ART_5, /* up to 5 or 16 children in the order they came */
    ART_16,
    ART_48,  /* children found by a table of 256 bytes */
    ART_256, /* one place a byte */
    ART_TYPES,
};

struct art_node;
struct art_leaf;
struct art_version;

struct art {
    struct pool *pool;        /* borrowed; memory of all there is */
    _Atomic(uintptr_t) root;  /* a link as in art_node.h; release by the writer */
    size_t counts[ART_TYPES]; /* nodes in use; the writer's */
};

void art_init(struct art *t, struct pool *pool);
/* Pool bytes to reserve for an entry. The sum over entries covers the nodes they make too, but not
 * the growth of nodes that are there already: art_reserve adds that. */
size_t art_put_bound(size_t key_size, size_t value_size);
/* After it, inserts can't fail whose bounds together are at most `bytes`, and `more` bytes of pool
 * can be taken besides. */
MUST_CHECK enum lam_code art_reserve(struct art *t, size_t bytes, size_t more,
                                     struct lam_error *err);
/* Copies the entry in; its memory must be reserved. False: that key and sequence is there. A key's
 * versions may come in any order of sequence; rising is quick. */
bool art_insert(struct art *t, const struct entry *e);

/* Newest version of `key` with sequence <= `snapshot`; the slices live as long as the pool. */
bool art_get(const struct art *t, struct lam_slice key, uint64_t snapshot, struct entry *out);
/* The same for several keys side by side. */
struct art_ask {
    struct lam_slice key;
    uintptr_t link;     /* how far it has got */
    bool found;         /* the answer */
    struct entry entry; /* if found */
};
void art_get_many(const struct art *t, struct art_ask *asks, size_t n, uint64_t snapshot);

/* The nodes above where an iterator stands: the lowest ones in a ring. Higher ones are looked up
 * again when they are needed, so trees of any height are walked without allocation. */
#define ART_FRAMES 16
struct art_frame {
    const struct art_node *node;
    int at; /* the byte of the child taken; -1: the node's own leaf */
};
/* A walk runs ahead of where the iterator stands by so many leaves at most, so that their cache
 * misses come together; by fewer when it has just begun. */
#define ART_AHEAD 16
struct art_iter {
    const struct art *tree;
    const struct art_leaf *leaf; /* NULL: at an end */
    const struct art_version *version;
    const struct art_leaf *ahead[ART_AHEAD]; /* leaves walked over, in order */
    uint8_t ahead_at;                        /* the next of them to stand on */
    uint8_t ahead_count;
    uint8_t stride;                      /* how many to walk next time */
    bool forward;                        /* the way of the walk */
    uint32_t height;                     /* nodes above the leaf walked to */
    uint32_t kept;                       /* how many of them are in the ring */
    struct art_frame frames[ART_FRAMES]; /* node i from the root at i % ART_FRAMES */
};

void art_iter_init(struct art_iter *it, const struct art *t);
/* Each gives whether it stands on an entry. */
bool art_iter_first(struct art_iter *it);
bool art_iter_last(struct art_iter *it);
/* First at or after, last before (key, sequence) in entry order. */
bool art_iter_seek(struct art_iter *it, struct lam_slice key, uint64_t sequence);
bool art_iter_before(struct art_iter *it, struct lam_slice key, uint64_t sequence);
/* Only from an entry. */
bool art_iter_next(struct art_iter *it);
bool art_iter_prev(struct art_iter *it);
/* To the newest version of the next key. */
bool art_iter_next_key(struct art_iter *it);
/* Whether the version it stands on is the newest of its key. */
bool art_iter_is_newest(const struct art_iter *it);
/* Where it stands; the slices live as long as the pool. */
void art_iter_entry(const struct art_iter *it, struct entry *out);

#endif
