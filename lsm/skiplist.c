/* SPDX-License-Identifier: Apache-2.0
 *
 * A node carries the first eight key bytes as a number, so most comparisons on the way down touch
 * no other cache line of it. Appending at the end (sequential loads) needs no search at all. */
#include "lsm/skiplist.h"

#include "base/assert.h"

struct skiplist_node {
    uint64_t prefix; /* first 8 key bytes, big-endian, zero-padded */
    uint64_t sequence;
    uint32_t key_size;
    uint32_t value_size;
    uint8_t kind;
    uint8_t height;
    _Atomic(struct skiplist_node *) next[]; /* height links, then key, then value */
};

static uint64_t prefix_of(struct lam_slice key) {
    if (key.size >= 8)
        return get_be64(key.data);
    uint8_t padded[8] = {0};
    if (key.size)
        memcpy(padded, key.data, key.size);
    return get_be64(padded);
}

static const uint8_t *node_key(const struct skiplist_node *n) {
    return (const uint8_t *)&n->next[n->height];
}

static int node_cmp(const struct skiplist_node *n, uint64_t prefix, struct lam_slice key,
                    uint64_t sequence) {
    if (n->prefix != prefix)
        return n->prefix < prefix ? -1 : 1;
    /* Equal numbers mean equal first bytes, up to the zeros that pad a shorter key. */
    size_t skip = n->key_size >= 8 && key.size >= 8 ? 8 : 0;
    int c = slice_cmp(lam_slice_of(node_key(n) + skip, n->key_size - skip),
                      lam_slice_of(key.data + skip, key.size - skip));
    if (c != 0)
        return c;
    return n->sequence > sequence ? -1 : n->sequence < sequence;
}

static struct skiplist_node *link_of(const struct skiplist_node *n, uint32_t level) {
    return atomic_load_explicit(&n->next[level], memory_order_acquire);
}

size_t skiplist_node_bound(size_t key_size, size_t value_size) {
    return sizeof(struct skiplist_node) + SKIPLIST_HEIGHT * sizeof(void *) + key_size + value_size +
           8;
}

static struct skiplist_node *make_node(struct skiplist *s, uint32_t height, const struct entry *e) {
    size_t head = sizeof(struct skiplist_node) + height * sizeof(void *);
    struct skiplist_node *n = pool_take(s->pool, head + e->key.size + e->value.size);
    n->prefix = prefix_of(e->key);
    n->sequence = e->sequence;
    n->key_size = (uint32_t)e->key.size;
    n->value_size = (uint32_t)e->value.size;
    n->kind = (uint8_t)e->kind;
    n->height = (uint8_t)height;
    uint8_t *at = (uint8_t *)n + head;
    if (e->key.size)
        memcpy(at, e->key.data, e->key.size);
    if (e->value.size)
        memcpy(at + e->key.size, e->value.data, e->value.size);
    return n;
}

enum lam_code skiplist_init(struct skiplist *s, struct pool *pool, struct lam_error *err) {
    memset(s, 0, sizeof *s);
    s->pool = pool;
    TRY(pool_reserve(pool, skiplist_node_bound(0, 0), err));
    struct entry none = {0};
    s->head = make_node(s, SKIPLIST_HEIGHT, &none);
    for (uint32_t i = 0; i < SKIPLIST_HEIGHT; i++) {
        atomic_init(&s->head->next[i], NULL);
        s->tail[i] = s->head;
    }
    atomic_init(&s->height, 1);
    s->random = 0x9e3779b97f4a7c15ull;
    return LAM_OK;
}

/* One in four nodes of a level is in the next. */
static uint32_t random_height(struct skiplist *s) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    uint64_t bits = s->random >> 8;
    uint32_t height = 1;
    while (height < SKIPLIST_HEIGHT && (bits & 3) == 0) {
        height++;
        bits >>= 2;
    }
    return height;
}

/* Fills `prev` with the last node before the entry on each level; returns the node after it. */
static struct skiplist_node *find_splice(const struct skiplist *s, uint64_t prefix,
                                         struct lam_slice key, uint64_t sequence,
                                         struct skiplist_node **prev) {
    struct skiplist_node *at = s->head;
    struct skiplist_node *next = NULL;
    struct skiplist_node *known_after = NULL; /* compared already, one level up */
    uint32_t height = atomic_load_explicit(&s->height, memory_order_relaxed);
    for (uint32_t level = height; level-- > 0;) {
        for (;;) {
            next = link_of(at, level);
            if (!next || next == known_after || node_cmp(next, prefix, key, sequence) >= 0)
                break;
            at = next;
        }
        known_after = next;
        if (prev)
            prev[level] = at;
    }
    return next;
}

bool skiplist_insert(struct skiplist *s, const struct entry *e) {
    LAM_ASSERT(e->key.size > 0);
    struct skiplist_node *prev[SKIPLIST_HEIGHT];
    uint64_t prefix = prefix_of(e->key);
    if (s->tail[0] == s->head || node_cmp(s->tail[0], prefix, e->key, e->sequence) < 0) {
        memcpy(prev, s->tail, sizeof prev);
    } else {
        for (uint32_t i = 0; i < SKIPLIST_HEIGHT; i++)
            prev[i] = s->head;
        struct skiplist_node *after = find_splice(s, prefix, e->key, e->sequence, prev);
        if (after && node_cmp(after, prefix, e->key, e->sequence) == 0)
            return false;
    }
    uint32_t height = random_height(s);
    if (height > atomic_load_explicit(&s->height, memory_order_relaxed))
        atomic_store_explicit(&s->height, height, memory_order_relaxed);
    struct skiplist_node *n = make_node(s, height, e);
    for (uint32_t i = 0; i < height; i++) {
        struct skiplist_node *after = atomic_load_explicit(&prev[i]->next[i], memory_order_relaxed);
        atomic_init(&n->next[i], after);
        if (!after)
            s->tail[i] = n;
    }
    /* Pairs with the acquire load in link_of: the node's content and links come before it. */
    for (uint32_t i = 0; i < height; i++)
        atomic_store_explicit(&prev[i]->next[i], n, memory_order_release);
    return true;
}

const struct skiplist_node *skiplist_first(const struct skiplist *s) {
    return link_of(s->head, 0);
}

const struct skiplist_node *skiplist_last(const struct skiplist *s) {
    const struct skiplist_node *at = s->head;
    for (uint32_t level = SKIPLIST_HEIGHT; level-- > 0;) {
        const struct skiplist_node *next;
        while ((next = link_of(at, level)) != NULL)
            at = next;
    }
    return at == s->head ? NULL : at;
}

const struct skiplist_node *skiplist_next(const struct skiplist_node *n) {
    return link_of(n, 0);
}

const struct skiplist_node *skiplist_seek(const struct skiplist *s, struct lam_slice key,
                                          uint64_t sequence) {
    return find_splice(s, prefix_of(key), key, sequence, NULL);
}

const struct skiplist_node *skiplist_before(const struct skiplist *s, struct lam_slice key,
                                            uint64_t sequence) {
    struct skiplist_node *prev[SKIPLIST_HEIGHT];
    find_splice(s, prefix_of(key), key, sequence, prev);
    return prev[0] == s->head ? NULL : prev[0];
}

void skiplist_entry(const struct skiplist_node *n, struct entry *out) {
    const uint8_t *key = node_key(n);
    out->key = lam_slice_of(key, n->key_size);
    out->sequence = n->sequence;
    out->kind = (enum entry_kind)n->kind;
    out->value = lam_slice_of(key + n->key_size, n->value_size);
}
