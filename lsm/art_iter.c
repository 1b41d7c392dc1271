/* SPDX-License-Identifier: Apache-2.0
 *
 * Iterators. A step looks for the next greater or smaller byte in a node, not for the next place,
 * so what a node gains meanwhile, in whatever order it keeps it, does not disturb the way. Leaves
 * lie scattered, and to stand on one costs a cache miss: a walk goes over several at once and
 * fetches them side by side. */
#include "base/assert.h"
#include "lsm/art_node.h"

/* Smallest byte with a child from `byte` on; 256: none. */
static int used_above(const struct art_48 *n, int byte) {
    const uint64_t *words = (const uint64_t *)n->places;
    for (int i = byte / 8; byte < 256 && i < 32; i++) {
        uint64_t used = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
        if (i == byte / 8)
            used &= UINT64_MAX << (8 * (byte % 8));
        if (used)
            return 8 * i + __builtin_ctzll(used) / 8;
    }
    return 256;
}

/* Greatest byte with a child up to `byte`; -1: none. */
static int used_below(const struct art_48 *n, int byte) {
    const uint64_t *words = (const uint64_t *)n->places;
    for (int i = byte / 8; byte >= 0 && i >= 0; i--) {
        uint64_t used = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
        if (i == byte / 8)
            used &= UINT64_MAX >> (8 * (7 - byte % 8));
        if (used)
            return 8 * i + 7 - __builtin_clzll(used) / 8;
    }
    return -1;
}

/* Child at the smallest byte above `at`, or 0. */
static uintptr_t child_above(const struct art_node *n, int at, int *at_out) {
    if (n->type <= ART_16) {
        const struct art_linear *l = (const struct art_linear *)n;
        uint64_t words[2];
        unsigned count = art_linear_bytes(l, words);
        int lane = ART_LANE(art_lane_above, words, count, at);
        if (lane < 0)
            return 0;
        *at_out = (uint8_t)(words[lane / 8] >> (8 * (lane % 8)));
        return art_load(&art_linear_links(l)[lane]);
    }
    int byte = at + 1;
    if (n->type == ART_48)
        byte = used_above((const struct art_48 *)n, byte);
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
        int lane = ART_LANE(art_lane_below, words, count, at);
        if (lane < 0)
            return 0;
        *at_out = (uint8_t)(words[lane / 8] >> (8 * (lane % 8)));
        return art_load(&art_linear_links(l)[lane]);
    }
    int byte = at - 1;
    if (n->type == ART_48)
        byte = used_below((const struct art_48 *)n, byte);
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

/* What a walk comes to when it is done with the part below `f`: the beginning of a node. */
static void prefetch_beside(const struct art_frame *f, bool forward) {
    int at;
    uintptr_t link = forward ? link_after(f->node, f->at, &at) : link_before(f->node, f->at, &at);
    if (link == 0 || art_is_leaf(link))
        return;
    for (unsigned line = 0; line < 4; line++)
        __builtin_prefetch((const char *)art_node_of(link) + 64 * line);
}

/* A leaf's first line has its key, mostly, and the beginning of its value is in it or the next. */
static void prefetch_leaf(const struct art_leaf *l) {
    __builtin_prefetch(l);
    __builtin_prefetch((const char *)l + 64);
}

/* To the first or last leaf below a link. */
static bool descend(struct art_iter *it, uintptr_t link, bool forward) {
    while (!art_is_leaf(link)) {
        const struct art_node *n = art_node_of(link);
        int at;
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
                if (!art_is_leaf(link))
                    prefetch_beside(f, forward);
                return descend(it, link, forward);
            }
        } while (pop(it));
    }
    it->leaf = NULL;
    return false;
}

/* Forgets the walk. */
static void halt(struct art_iter *it) {
    it->height = it->kept = 0;
    it->ahead_at = it->ahead_count = 0;
    it->stride = ART_AHEAD / 4;
}

/* To the leaf of `key`, which is `equal_out`, else to the first after or the last before it. */
static bool locate(struct art_iter *it, struct lam_slice key, bool forward, bool *equal_out) {
    *equal_out = false;
    halt(it);
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
    it->leaf = art_leaf_of(link);
    int c = slice_cmp(art_leaf_key(it->leaf), key);
    *equal_out = c == 0;
    return c == 0 || (c > 0) == forward || step(it, forward);
}

/* From the leaf it stands on to the next one: the walk's, which runs ahead. */
static bool move(struct art_iter *it, bool forward) {
    /* The walk has gone on, or to its end. */
    if (it->forward != forward && (it->ahead_at < it->ahead_count || it->height == 0)) {
        bool equal;
        locate(it, art_leaf_key(it->leaf), forward, &equal);
        LAM_ASSERT(equal);
    }
    if (it->ahead_at == it->ahead_count) {
        uint8_t count = 0;
        while (count < it->stride && step(it, forward)) {
            prefetch_leaf(it->leaf);
            it->ahead[count++] = it->leaf;
        }
        it->ahead_at = 0;
        it->ahead_count = count;
        it->forward = forward;
        it->stride = it->stride < ART_AHEAD / 2 ? (uint8_t)(2 * it->stride) : ART_AHEAD;
        it->leaf = NULL;
        if (count == 0)
            return false;
    }
    it->leaf = it->ahead[it->ahead_at++];
    if (it->ahead_at + 2 < it->ahead_count)
        __builtin_prefetch(
            atomic_load_explicit(&it->ahead[it->ahead_at + 2]->newest, memory_order_relaxed));
    return true;
}

void art_iter_init(struct art_iter *it, const struct art *t) {
    it->tree = t;
    it->leaf = NULL;
    it->forward = true;
    halt(it);
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
    halt(it);
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
    return stand_newest(it, move(it, true));
}

bool art_iter_prev(struct art_iter *it) {
    LAM_ASSERT(it->leaf);
    const struct art_version *newer = art_version_above(it->leaf, it->version->sequence);
    if (newer) {
        it->version = newer;
        return true;
    }
    return stand_oldest(it, move(it, false));
}

bool art_iter_next_key(struct art_iter *it) {
    LAM_ASSERT(it->leaf);
    return stand_newest(it, move(it, true));
}

bool art_iter_is_newest(const struct art_iter *it) {
    LAM_ASSERT(it->leaf);
    return !art_version_above(it->leaf, it->version->sequence);
}

void art_iter_entry(const struct art_iter *it, struct entry *out) {
    art_entry_of(it->leaf, it->version, out);
}
