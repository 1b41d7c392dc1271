/* SPDX-License-Identifier: Apache-2.0
 *
 * Iterators. A step looks for the next greater or smaller byte in a node, not for the next place,
 * so what a node gains meanwhile, in whatever order it keeps it, does not disturb the way. */
#include "base/assert.h"
#include "lsm/art_node.h"

/* Child at the smallest byte above `at`, or 0. */
static uintptr_t child_above(const struct art_node *n, int at, int *at_out) {
    if (n->type <= ART_16) {
        const struct art_linear *l = (const struct art_linear *)n;
        uint64_t words[2];
        unsigned count = art_linear_bytes(l, words);
        int lane = art_lane_above(words, count, at);
        if (lane < 0)
            return 0;
        *at_out = (uint8_t)(words[lane / 8] >> (8 * (lane % 8)));
        return art_load(&art_linear_links(l)[lane]);
    }
    int byte = at + 1;
    if (n->type == ART_48)
        while (byte < 256 && !art_48_place((const struct art_48 *)n, (uint8_t)byte))
            byte++;
    for (; byte < 256; byte++) {
        uintptr_t link = art_child(n, (uint8_t)byte);
        if (link) {
            *at_out = byte;
            return link;
        }
    }
    return 0;
}

static uintptr_t child_below(const struct art_node *n, int at, int *at_out) {
    if (n->type <= ART_16) {
        const struct art_linear *l = (const struct art_linear *)n;
        uint64_t words[2];
        unsigned count = art_linear_bytes(l, words);
        int lane = art_lane_below(words, count, at);
        if (lane < 0)
            return 0;
        *at_out = (uint8_t)(words[lane / 8] >> (8 * (lane % 8)));
        return art_load(&art_linear_links(l)[lane]);
    }
    int byte = at - 1;
    if (n->type == ART_48)
        while (byte >= 0 && !art_48_place((const struct art_48 *)n, (uint8_t)byte))
            byte--;
    for (; byte >= 0; byte--) {
        uintptr_t link = art_child(n, (uint8_t)byte);
        if (link) {
            *at_out = byte;
            return link;
        }
    }
    return 0;
}

/* What follows `at` in the node, where the node's own leaf is at -1; 0: nothing. */
static uintptr_t link_after(const struct art_node *n, int at, int *at_out) {
    uintptr_t own = at < -1 ? art_own_leaf(n) : 0;
    if (own) {
        *at_out = -1;
        return own;
    }
    return child_above(n, at < -1 ? -1 : at, at_out);
}

static uintptr_t link_before(const struct art_node *n, int at, int *at_out) {
    uintptr_t link = child_below(n, at, at_out);
    if (link || at < 0)
        return link;
    *at_out = -1;
    return art_own_leaf(n);
}

/* --- the way up and down -------------------------------------------------------------------- */

static struct art_frame *frame_of(struct art_iter *it, uint32_t i) {
    return &it->frames[i % ART_FRAMES];
}

static void push(struct art_iter *it, const struct art_node *n, int at) {
    *frame_of(it, it->height++) = (struct art_frame){n, at};
    if (it->kept < ART_FRAMES)
        it->kept++;
}

/* Looks up the nodes above `n` again: the ring has none of them. Nodes put there meanwhile are
 * among them, which is right, since what they add lies beside all that `n` has. */
static void find_above(struct art_iter *it, const struct art_node *n) {
    struct lam_slice key = art_sample_key(n);
    it->height = it->kept = 0;
    uintptr_t link = art_load(&it->tree->root);
    while (link && !art_is_leaf(link) && art_node_of(link)->depth < n->depth) {
        const struct art_node *above = art_node_of(link);
        push(it, above, key.data[above->depth]);
        link = art_child(above, key.data[above->depth]);
    }
    LAM_ASSERT(it->height > 0);
}

/* Leaves the lowest node; false: it was the root. */
static bool pop(struct art_iter *it) {
    const struct art_node *n = frame_of(it, it->height - 1)->node;
    it->height--;
    it->kept--;
    if (it->height == 0)
        return false;
    if (it->kept == 0)
        find_above(it, n);
    return true;
}

/* The leaves side by side in a lower node are what a walk comes to next, and each is a cache miss.
 */
static void prefetch_children(const struct art_node *n) {
    if (n->type > ART_16)
        return;
    const struct art_linear *l = (const struct art_linear *)n;
    const _Atomic(uintptr_t) *links = art_linear_links(l);
    unsigned count = atomic_load_explicit(&n->count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++)
        __builtin_prefetch((const void *)atomic_load_explicit(&links[i], memory_order_relaxed));
}

/* What the next step comes to in a node. */
static void prefetch_beside(const struct art_frame *f, bool forward) {
    int at;
    uintptr_t link = forward ? link_after(f->node, f->at, &at) : link_before(f->node, f->at, &at);
    __builtin_prefetch((const void *)link);
}

/* To the first or last leaf below a link. */
static bool descend(struct art_iter *it, uintptr_t link, bool forward) {
    while (!art_is_leaf(link)) {
        const struct art_node *n = art_node_of(link);
        int at;
        prefetch_children(n);
        link = forward ? link_after(n, -2, &at) : link_before(n, 256, &at);
        LAM_ASSERT(link);
        push(it, n, at);
    }
    it->leaf = art_leaf_of(link);
    return true;
}

/* To the first leaf after, or the last before, all below where the lowest node's `at` leads. */
static bool step(struct art_iter *it, bool forward) {
    if (it->height > 0) {
        do {
            struct art_frame *f = frame_of(it, it->height - 1);
            uintptr_t link =
                forward ? link_after(f->node, f->at, &f->at) : link_before(f->node, f->at, &f->at);
            if (link) {
                prefetch_beside(f, forward);
                return descend(it, link, forward);
            }
        } while (pop(it));
    }
    it->leaf = NULL;
    return false;
}

/* To the leaf of `key`, which is `equal_out`, else to the first after or the last before it. */
static bool locate(struct art_iter *it, struct lam_slice key, bool forward, bool *equal_out) {
    *equal_out = false;
    it->height = it->kept = 0;
    uintptr_t link = art_load(&it->tree->root);
    size_t known = 0; /* key bytes that agree with what `link` leads to */
    while (link && !art_is_leaf(link)) {
        const struct art_node *n = art_node_of(link);
        if (n->depth > known) {
            struct lam_slice sample = art_sample_key(n);
            known = art_common(sample, key, known);
            if (known < n->depth) {
                bool after = known == key.size || sample.data[known] > key.data[known];
                return after == forward ? descend(it, link, forward) : step(it, forward);
            }
        }
        if (key.size == n->depth) {
            push(it, n, -1);
            link = art_own_leaf(n);
        } else {
            uint8_t byte = key.data[n->depth];
            push(it, n, byte);
            link = art_child(n, byte);
            known = (size_t)n->depth + 1;
        }
    }
    if (link == 0)
        return step(it, forward);
    if (it->height > 0)
        prefetch_beside(frame_of(it, it->height - 1), forward);
    it->leaf = art_leaf_of(link);
    int c = slice_cmp(art_leaf_key(it->leaf), key);
    *equal_out = c == 0;
    return c == 0 || (c > 0) == forward || step(it, forward);
}

/* --- public --------------------------------------------------------------------------------- */

void art_iter_init(struct art_iter *it, const struct art *t) {
    it->tree = t;
    it->leaf = NULL;
    it->height = it->kept = 0;
}

static bool stand_newest(struct art_iter *it, bool found) {
    if (found)
        it->version = art_version_newest(it->leaf);
    return found;
}

static bool stand_oldest(struct art_iter *it, bool found) {
    if (found)
        it->version = art_version_oldest(it->leaf);
    return found;
}

static bool to_end(struct art_iter *it, bool forward) {
    it->height = it->kept = 0;
    it->leaf = NULL;
    uintptr_t root = art_load(&it->tree->root);
    return root && descend(it, root, forward);
}

bool art_iter_first(struct art_iter *it) {
    return stand_newest(it, to_end(it, true));
}

bool art_iter_last(struct art_iter *it) {
    return stand_oldest(it, to_end(it, false));
}

bool art_iter_seek(struct art_iter *it, struct lam_slice key, uint64_t sequence) {
    bool equal;
    if (!locate(it, key, true, &equal))
        return false;
    if (!equal)
        return stand_newest(it, true);
    it->version = art_version_upto(it->leaf, sequence);
    return it->version || stand_newest(it, step(it, true));
}

bool art_iter_before(struct art_iter *it, struct lam_slice key, uint64_t sequence) {
    bool equal;
    if (!locate(it, key, false, &equal))
        return false;
    if (!equal)
        return stand_oldest(it, true);
    it->version = art_version_above(it->leaf, sequence);
    return it->version || stand_oldest(it, step(it, false));
}

bool art_iter_next(struct art_iter *it) {
    LAM_ASSERT(it->leaf);
    const struct art_version *older = art_version_older(it->leaf, it->version);
    if (older) {
        it->version = older;
        return true;
    }
    return stand_newest(it, step(it, true));
}

bool art_iter_prev(struct art_iter *it) {
    LAM_ASSERT(it->leaf);
    const struct art_version *newer = art_version_above(it->leaf, it->version->sequence);
    if (newer) {
        it->version = newer;
        return true;
    }
    return stand_oldest(it, step(it, false));
}

void art_iter_entry(const struct art_iter *it, struct entry *out) {
    art_entry_of(it->leaf, it->version, out);
}
