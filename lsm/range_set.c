/* SPDX-License-Identifier: Apache-2.0
 *
 * Points p[0] < p[1] < ... are all `from` and `to` keys; leaf i stands for keys in [p[i], p[i+1]),
 * the last one without end. A node's list is sorted by sequence and holds the running maximum of
 * `upto`, so one binary search answers for a snapshot. */
#include "lsm/range_set.h"

#include <stdlib.h>

#include "base/assert.h"

struct range_mark {
    uint64_t sequence;
    uint64_t upto; /* maximum of this and all before it in the list */
};

struct range_set {
    struct range_tombstone *items; /* by sequence; owned */
    size_t count;
    struct lam_slice *points; /* sorted, distinct; owned array, borrowed bytes */
    size_t point_count;
    size_t leaves;            /* power of two >= point_count */
    size_t *starts;           /* 2 * leaves + 1: node n's list is marks[starts[n], starts[n+1]) */
    struct range_mark *marks; /* owned */
};

static int by_sequence(const void *a, const void *b) {
    const struct range_tombstone *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static int by_key(const void *a, const void *b) {
    return slice_cmp(*(const struct lam_slice *)a, *(const struct lam_slice *)b);
}

/* Index of the last point <= key, or `point_count` if the key is below all. */
static size_t find_point(const struct range_set *s, struct lam_slice key) {
    size_t low = 0, high = s->point_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (slice_cmp(s->points[mid], key) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 ? s->point_count : low - 1;
}

/* Calls for each tree node that together make up the tombstone's leaves: with `marks` it appends
 * there at cursor[node]++, else it counts. */
static void hang(struct range_set *s, const struct range_tombstone *t, size_t *cursor,
                 struct range_mark *marks) {
    size_t low = find_point(s, t->from);
    size_t high = t->to.size ? find_point(s, t->to) : s->point_count;
    DEBUG_ASSERT(low < s->point_count && high <= s->point_count);
    size_t l = low + s->leaves, r = high + s->leaves;
    for (; l < r; l >>= 1, r >>= 1) {
        size_t nodes[2];
        int n = 0;
        if (l & 1)
            nodes[n++] = l++;
        if (r & 1)
            nodes[n++] = --r;
        for (int i = 0; i < n; i++) {
            size_t at = cursor[nodes[i]]++;
            if (!marks)
                continue;
            uint64_t before = at > s->starts[nodes[i]] ? marks[at - 1].upto : 0;
            marks[at] = (struct range_mark){t->sequence, before > t->upto ? before : t->upto};
        }
    }
}

static enum lam_code collect_points(struct range_set *s, struct lam_error *err) {
    s->points = mem_calloc(2 * s->count, sizeof *s->points);
    if (!s->points)
        return mem_fail(err, 2 * s->count * sizeof *s->points);
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->points[n++] = s->items[i].from;
        if (s->items[i].to.size)
            s->points[n++] = s->items[i].to;
    }
    qsort(s->points, n, sizeof *s->points, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !slice_eq(s->points[kept - 1], s->points[i]))
            s->points[kept++] = s->points[i];
    s->point_count = kept;
    s->leaves = 1;
    while (s->leaves < kept)
        s->leaves *= 2;
    return LAM_OK;
}

static enum lam_code build_tree(struct range_set *s, struct lam_error *err) {
    size_t nodes = 2 * s->leaves;
    s->starts = mem_calloc(nodes + 1, sizeof *s->starts);
    OWNED(mem_free_at) size_t *cursor = mem_calloc(nodes + 1, sizeof *cursor);
    if (!s->starts || !cursor)
        return mem_fail(err, (nodes + 1) * sizeof *cursor);
    for (size_t i = 0; i < s->count; i++)
        hang(s, &s->items[i], cursor, NULL);
    size_t total = 0;
    for (size_t n = 0; n < nodes; n++) {
        s->starts[n] = total;
        total += cursor[n];
        cursor[n] = s->starts[n];
    }
    s->starts[nodes] = total;
    s->marks = mem_calloc(total ? total : 1, sizeof *s->marks);
    if (!s->marks)
        return mem_fail(err, total * sizeof *s->marks);
    for (size_t i = 0; i < s->count; i++)
        hang(s, &s->items[i], cursor, s->marks);
    return LAM_OK;
}

enum lam_code range_set_new(const struct range_tombstone *tombstones, size_t count,
                            struct range_set **set_out, struct lam_error *err) {
    OWNED(range_set_free_at) struct range_set *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->items = mem_calloc(count ? count : 1, sizeof *s->items);
    if (!s->items)
        return mem_fail(err, count * sizeof *s->items);
    for (size_t i = 0; i < count; i++)
        if (tombstones[i].to.size == 0 || slice_cmp(tombstones[i].from, tombstones[i].to) < 0)
            s->items[s->count++] = tombstones[i];
    if (s->count > 0) {
        qsort(s->items, s->count, sizeof *s->items, by_sequence);
        TRY(collect_points(s, err));
        TRY(build_tree(s, err));
    }
    *set_out = s;
    s = NULL;
    return LAM_OK;
}

void range_set_free(struct range_set *s) {
    if (!s)
        return;
    mem_free(s->items);
    mem_free(s->points);
    mem_free(s->starts);
    mem_free(s->marks);
    mem_free(s);
}

/* Highest upto of one node's list for a snapshot. */
static uint64_t node_upto(const struct range_set *s, size_t node, uint64_t snapshot) {
    size_t low = s->starts[node], high = s->starts[node + 1], first = low;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->marks[mid].sequence <= snapshot)
            low = mid + 1;
        else
            high = mid;
    }
    return low == first ? 0 : s->marks[low - 1].upto;
}

/* The tree's node of the leaf that `key` lies in; 0: it lies below all points. */
static size_t leaf_node(const struct range_set *s, struct lam_slice key) {
    if (!s || s->count == 0)
        return 0;
    size_t leaf = find_point(s, key);
    if (leaf == s->point_count)
        return 0;
    return leaf + s->leaves;
}

uint64_t range_set_upto(const struct range_set *s, struct lam_slice key, uint64_t snapshot) {
    uint64_t best = 0;
    for (size_t n = leaf_node(s, key); n > 0; n >>= 1) {
        uint64_t upto = node_upto(s, n, snapshot);
        if (upto > best)
            best = upto;
    }
    return best;
}

uint64_t range_set_newest(const struct range_set *s, struct lam_slice key) {
    uint64_t best = 0;
    for (size_t n = leaf_node(s, key); n > 0; n >>= 1) {
        size_t end = s->starts[n + 1];
        if (end > s->starts[n] && s->marks[end - 1].sequence > best)
            best = s->marks[end - 1].sequence;
    }
    return best;
}

uint64_t range_set_cover(const struct range_set *s, struct lam_slice key, uint64_t snapshot,
                         struct range_cover *out) {
    size_t node = leaf_node(s, key);
    if (node == 0)
        return 0;
    size_t leaf = node - s->leaves;
    out->upto = range_set_upto(s, key, snapshot);
    out->from = s->points[leaf];
    out->to = leaf + 1 < s->point_count ? s->points[leaf + 1] : SLICE_EMPTY;
    return out->upto;
}

const struct range_tombstone *range_set_items(const struct range_set *s, size_t *count_out) {
    *count_out = s ? s->count : 0;
    return s ? s->items : NULL;
}
