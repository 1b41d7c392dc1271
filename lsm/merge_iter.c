/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap of the sources that stand on an entry, smallest first going forward and largest
 * first going back. Each slot caches the first eight key bytes as a number, so steps within one
 * source compare numbers with the second best only, and whether another source has the same key is
 * mostly known without looking at keys. One source alone needs no merge and stands for it. */
#include "lsm/merge_iter.h"

#include "base/assert.h"
#include "base/mem.h"

struct merge_slot {
    struct cursor_iter *it; /* in `sources` */
    uint64_t prefix;        /* first 8 key bytes of its entry, big-endian, zero-padded */
    uint32_t rank;          /* index in `sources`: lower is newer */
};

struct merge_iter {
    struct cursor_iter base;
    struct cursor_iter **sources; /* each owned; behind the heap */
    size_t count;
    size_t heap_count;
    bool reverse;             /* the way the heap is ordered */
    struct buf key;           /* copy of the current key while sources turn round */
    struct merge_slot heap[]; /* room for `count` */
};

/* Order of two slots, as for going forward. */
static int slot_cmp(const struct merge_slot *a, const struct merge_slot *b) {
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int c =
        entry_cmp(a->it->entry.key, a->it->entry.sequence, b->it->entry.key, b->it->entry.sequence);
    if (c != 0)
        return c;
    return a->rank < b->rank ? -1 : 1;
}

static bool goes_first(const struct merge_iter *m, const struct merge_slot *a,
                       const struct merge_slot *b) {
    int c = slot_cmp(a, b);
    return m->reverse ? c > 0 : c < 0;
}

static void sift_down(struct merge_iter *m, size_t at) {
    struct merge_slot moving = m->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m->heap_count)
            break;
        if (child + 1 < m->heap_count && goes_first(m, &m->heap[child + 1], &m->heap[child]))
            child++;
        if (!goes_first(m, &m->heap[child], &moving))
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = moving;
}

static void fail(struct merge_iter *m, const struct cursor_iter *source) {
    m->base.valid = false;
    m->base.code = source->code;
    m->base.error = source->error;
    m->heap_count = 0;
}

static void show_top(struct merge_iter *m) {
    m->base.valid = m->heap_count > 0;
    if (m->base.valid) {
        m->base.entry = m->heap[0].it->entry;
        m->base.passed = m->heap[0].it->passed;
    }
}

/* Makes the heap from where the sources stand. */
static void rebuild(struct merge_iter *m, bool reverse) {
    m->reverse = reverse;
    m->heap_count = 0;
    m->base.code = LAM_OK;
    for (size_t i = 0; i < m->count; i++) {
        struct cursor_iter *it = m->sources[i];
        if (it->code != LAM_OK) {
            fail(m, it);
            return;
        }
        if (it->valid)
            m->heap[m->heap_count++] =
                (struct merge_slot){it, key_head(it->entry.key), (uint32_t)i};
    }
    for (size_t i = m->heap_count / 2; i-- > 0;)
        sift_down(m, i);
    show_top(m);
}

/* The top source has moved: restores the heap. */
static void settle_top(struct merge_iter *m) {
    struct merge_slot *top = &m->heap[0];
    if (top->it->valid) {
        top->prefix = key_head(top->it->entry.key);
    } else if (top->it->code != LAM_OK) {
        fail(m, top->it);
        return;
    } else {
        m->heap[0] = m->heap[--m->heap_count];
    }
    if (m->heap_count > 1)
        sift_down(m, 0);
    show_top(m);
}

static struct merge_iter *merge_of(struct cursor_iter *it) {
    return (struct merge_iter *)it;
}

static void merge_seek_first(struct cursor_iter *it) {
    struct merge_iter *m = merge_of(it);
    for (size_t i = 0; i < m->count; i++)
        m->sources[i]->ops->seek_first(m->sources[i]);
    rebuild(m, false);
}

static void merge_seek_last(struct cursor_iter *it) {
    struct merge_iter *m = merge_of(it);
    for (size_t i = 0; i < m->count; i++)
        m->sources[i]->ops->seek_last(m->sources[i]);
    rebuild(m, true);
}

static void merge_seek(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct merge_iter *m = merge_of(it);
    for (int step = 0; step < 3; step++)
        for (size_t i = 0; i < m->count; i++)
            if (m->sources[i]->ops->aim)
                m->sources[i]->ops->aim(m->sources[i], key, sequence);
    for (size_t i = 0; i < m->count; i++)
        m->sources[i]->ops->seek(m->sources[i], key, sequence);
    rebuild(m, false);
}

static void merge_seek_before(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct merge_iter *m = merge_of(it);
    for (size_t i = 0; i < m->count; i++)
        m->sources[i]->ops->seek_before(m->sources[i], key, sequence);
    rebuild(m, true);
}

/* Copies the current position, since turning the sources round moves what its slices borrow. */
static bool keep_position(struct merge_iter *m, uint64_t *sequence_out) {
    buf_reset(&m->key);
    m->base.code = buf_append_slice(&m->key, m->base.entry.key, &m->base.error);
    *sequence_out = m->base.entry.sequence;
    if (m->base.code != LAM_OK)
        m->base.valid = false;
    return m->base.valid;
}

static void merge_next(struct cursor_iter *it) {
    struct merge_iter *m = merge_of(it);
    LAM_ASSERT(it->valid);
    if (!m->reverse) {
        m->heap[0].it->ops->next(m->heap[0].it);
        settle_top(m);
        return;
    }
    uint64_t sequence;
    if (!keep_position(m, &sequence))
        return;
    struct lam_slice key = buf_slice(&m->key);
    merge_seek(it, key, sequence);
    while (it->valid && it->entry.sequence == sequence && slice_eq(it->entry.key, key)) {
        m->heap[0].it->ops->next(m->heap[0].it);
        settle_top(m);
    }
}

static void merge_prev(struct cursor_iter *it) {
    struct merge_iter *m = merge_of(it);
    LAM_ASSERT(it->valid);
    if (m->reverse) {
        m->heap[0].it->ops->prev(m->heap[0].it);
        settle_top(m);
        return;
    }
    uint64_t sequence;
    if (keep_position(m, &sequence))
        merge_seek_before(it, buf_slice(&m->key), sequence);
}

/* Whether a source but the top one may stand on the same key. */
static bool top_has_company(const struct merge_iter *m) {
    uint64_t prefix = m->heap[0].prefix;
    return (m->heap_count > 1 && m->heap[1].prefix == prefix) ||
           (m->heap_count > 2 && m->heap[2].prefix == prefix);
}

static void merge_next_key(struct cursor_iter *it) {
    struct merge_iter *m = merge_of(it);
    LAM_ASSERT(it->valid);
    if (!m->reverse && !top_has_company(m)) {
        m->heap[0].it->ops->next_key(m->heap[0].it);
        settle_top(m);
        return;
    }
    uint64_t sequence;
    if (!keep_position(m, &sequence))
        return;
    struct lam_slice key = buf_slice(&m->key);
    if (m->reverse)
        merge_seek(it, key, 0);
    while (it->valid && key_eq(it->entry.key, key)) {
        m->heap[0].it->ops->next_key(m->heap[0].it);
        settle_top(m);
    }
}

static bool merge_is_newest(const struct cursor_iter *it) {
    const struct merge_iter *m = (const struct merge_iter *)it;
    LAM_ASSERT(it->valid);
    return m->reverse && !top_has_company(m) && m->heap[0].it->ops->is_newest(m->heap[0].it);
}

static void free_sources(struct cursor_iter **sources, size_t count) {
    for (size_t i = 0; i < count; i++)
        sources[i]->ops->free(sources[i]);
}

static void merge_free(struct cursor_iter *it) {
    struct merge_iter *m = merge_of(it);
    free_sources(m->sources, m->count);
    buf_fini(&m->key);
    if (!it->embedded)
        mem_free(m);
}

static bool merge_skip(struct cursor_iter *it, struct lam_slice bound, uint64_t upto,
                       bool forward) {
    struct merge_iter *m = merge_of(it);
    LAM_ASSERT(it->valid && m->reverse != forward);
    bool moved = false;
    for (size_t i = 0; i < m->heap_count; i++) {
        struct cursor_iter *source = m->heap[i].it;
        moved |= source->ops->skip && source->ops->skip(source, bound, upto, forward);
    }
    if (moved)
        rebuild(m, m->reverse);
    return moved;
}

static const struct iter_ops merge_ops = {
    .seek_first = merge_seek_first,
    .seek_last = merge_seek_last,
    .seek = merge_seek,
    .seek_before = merge_seek_before,
    .next = merge_next,
    .prev = merge_prev,
    .next_key = merge_next_key,
    .is_newest = merge_is_newest,
    .skip = merge_skip,
    .free = merge_free,
};

size_t merge_iter_bytes(size_t count) {
    return sizeof(struct merge_iter) +
           count * (sizeof(struct merge_slot) + sizeof(struct cursor_iter *));
}

struct cursor_iter *merge_iter_init(void *at, struct cursor_iter **sources, size_t count) {
    if (count == 1)
        return sources[0];
    struct merge_iter *m = at;
    cursor_iter_init(&m->base, &merge_ops);
    m->base.embedded = true;
    m->sources = (struct cursor_iter **)(m->heap + count);
    m->count = count;
    m->heap_count = 0;
    m->reverse = false;
    m->key = (struct buf){0};
    for (size_t i = 0; i < count; i++)
        m->sources[i] = sources[i];
    return &m->base;
}

enum lam_code merge_iter_new(struct cursor_iter **sources, size_t count,
                             struct cursor_iter **it_out, struct lam_error *err) {
    size_t bytes = merge_iter_bytes(count);
    void *at = count == 1 ? NULL : mem_alloc(bytes);
    if (!at && count != 1) {
        free_sources(sources, count);
        return mem_fail(err, bytes);
    }
    *it_out = merge_iter_init(at, sources, count);
    if (at)
        (*it_out)->embedded = false;
    return LAM_OK;
}
