/* SPDX-License-Identifier: Apache-2.0
 *
 * Inserting and point reads. What inserts take of the pool:
 *
 * A1. A leaf or version takes what leaf_bound says, and an insert that makes an inner node makes an
 *     ART_5, which costs no more than GROWTH_SHARE.
 * A2. A node grows at the insert of its 6th, 17th and 49th child. Between becoming what it is and
 *     growing again it gets at least 4, 11 and 32 children, whose shares pay for the larger node.
 * A3. A node's first growth after a reservation has no such shares behind it, so art_reserve adds
 *     the larger nodes of as many nodes of the dearest kinds as inserts may come. */
#include "lsm/art.h"

#include "base/assert.h"
#include "lsm/art_node.h"

#define GROWTH_SHARE 72u

/* Nodes begin with a cache line, so that a small one takes just one and of others the head with the
 * bytes does. */
#define LINES(bytes) (((bytes) + POOL_LINE - 1) / POOL_LINE)
static const size_t node_lines[ART_TYPES] = {
    LINES(sizeof(struct art_linear) + (1 + 5) * sizeof(uintptr_t)),
    LINES(sizeof(struct art_linear) + (2 + 16) * sizeof(uintptr_t)),
    LINES(sizeof(struct art_48)),
    LINES(sizeof(struct art_256)),
};
static const uint8_t node_room[] = {5, ART_LINEAR_MAX, ART_48_MAX};

#define SHARES(n) ((n)*GROWTH_SHARE / POOL_LINE) /* lines they pay for */
_Static_assert(LINES(sizeof(struct art_linear) + 6 * sizeof(uintptr_t)) <= SHARES(1), "A1");
_Static_assert(LINES(sizeof(struct art_linear) + 18 * sizeof(uintptr_t)) <= SHARES(4), "A2");
_Static_assert(LINES(sizeof(struct art_48)) <= SHARES(11), "A2");
_Static_assert(LINES(sizeof(struct art_256)) <= SHARES(32), "A2");
_Static_assert(sizeof(struct art_version) % 8 == 0 && sizeof(struct art_below) % 8 == 0, "aligned");

void art_init(struct art *t, struct pool *pool) {
    memset(t, 0, sizeof *t);
    t->pool = pool;
}

/* A leaf with its first version, or another version with its way down and no key. */
static size_t leaf_bound(size_t key_size, size_t value_size) {
    size_t leaf = sizeof(struct art_leaf) + key_size;
    size_t version = sizeof(struct art_version) + sizeof(struct art_below);
    return (leaf > version ? leaf : version) + value_size + 7;
}

size_t art_put_bound(size_t key_size, size_t value_size) {
    return leaf_bound(key_size, value_size) + GROWTH_SHARE;
}

enum lam_code art_reserve(struct art *t, size_t bytes, size_t more, struct lam_error *err) {
    size_t inserts = bytes / art_put_bound(0, 0);
    size_t growth = 0;
    for (int type = ART_48; type >= ART_5; type--) { /* A3 */
        size_t n = inserts < t->counts[type] ? inserts : t->counts[type];
        growth += n * node_lines[type + 1] * POOL_LINE;
        inserts -= n;
    }
    size_t total;
    if (!size_add(bytes, growth, &total) || !size_add(total, more, &total))
        return mem_fail(err, bytes);
    return pool_reserve(t->pool, total, err);
}

/* Of a version in a chain. */
static struct art_below *below_of(const struct art_version *v) {
    return (struct art_below *)v->data;
}

static struct art_version *older_of(const struct art_version *v) {
    return atomic_load_explicit(&below_of(v)->older, memory_order_acquire);
}

static struct art_version *chain_of(const struct art_leaf *l) {
    return atomic_load_explicit(&l->newest, memory_order_acquire);
}

/* Fills the jump of a version that comes on top of `older`: it skips as many versions as the last
 * two jumps together if these are equally long, else one (Myers: An Applicative Random-Access
 * Stack, 1983). Versions that came out of order make jumps shorter or longer, never wrong: each
 * leads down. */
static void make_jump(struct art_below *b, const struct art_version *older) {
    if (!older) {
        b->jump = NULL;
        b->rank = 0;
        return;
    }
    const struct art_version *one = below_of(older)->jump;
    const struct art_version *two = one ? below_of(one)->jump : NULL;
    uint32_t rank = below_of(older)->rank;
    bool equal = two && rank - below_of(one)->rank == below_of(one)->rank - below_of(two)->rank;
    b->jump = equal ? two : older;
    b->rank = rank + 1;
}

/* Last version on the way down the chain whose sequence is above `snapshot`, or NULL. */
static const struct art_version *chain_above(const struct art_leaf *l, uint64_t snapshot) {
    const struct art_version *v = chain_of(l);
    if (!v || v->sequence <= snapshot)
        return NULL;
    for (;;) {
        const struct art_version *next = below_of(v)->jump;
        if (!next || next->sequence <= snapshot)
            next = older_of(v);
        if (!next || next->sequence <= snapshot)
            return v;
        v = next;
    }
}

static const struct art_version *chain_upto(const struct art_leaf *l, uint64_t snapshot) {
    const struct art_version *v = chain_of(l);
    while (v && v->sequence > snapshot) {
        const struct art_version *jump = below_of(v)->jump;
        v = jump && jump->sequence > snapshot ? jump : older_of(v);
    }
    return v;
}

const struct art_version *art_version_above(const struct art_leaf *l, uint64_t snapshot) {
    const struct art_version *v = chain_above(l, snapshot), *first = &l->first;
    return first->sequence > snapshot && (!v || first->sequence < v->sequence) ? first : v;
}

const struct art_version *art_version_upto(const struct art_leaf *l, uint64_t snapshot) {
    const struct art_version *v = chain_upto(l, snapshot), *first = &l->first;
    return first->sequence <= snapshot && (!v || first->sequence > v->sequence) ? first : v;
}

const struct art_version *art_version_newest(const struct art_leaf *l) {
    return art_version_upto(l, UINT64_MAX);
}

const struct art_version *art_version_oldest(const struct art_leaf *l) {
    const struct art_version *v = chain_of(l), *next = v;
    while (next) {
        v = next;
        next = below_of(v)->jump;
        if (!next)
            next = older_of(v);
    }
    return v && v->sequence < l->first.sequence ? v : &l->first;
}

const struct art_version *art_version_older(const struct art_leaf *l, const struct art_version *v) {
    const struct art_version *first = &l->first;
    if (v == first)
        return chain_upto(l, v->sequence);
    const struct art_version *older = older_of(v);
    bool between = first->sequence < v->sequence && (!older || first->sequence > older->sequence);
    return between ? first : older;
}

void art_entry_of(const struct art_leaf *l, const struct art_version *v, struct entry *out) {
    out->key = art_leaf_key(l);
    out->sequence = v->sequence;
    out->kind = (enum entry_kind)v->kind;
    out->value = lam_slice_of(v->data + v->skip, v->value_size);
}

/* All but what comes before the value, which takes `skip` bytes. */
static void fill_version(struct art_version *v, const struct entry *e, size_t skip) {
    v->sequence = e->sequence;
    v->kind = (unsigned)e->kind;
    v->value_size = (uint32_t)e->value.size;
    v->skip = (uint32_t)skip;
    if (e->value.size)
        memcpy(v->data + skip, e->value.data, e->value.size);
}

static uintptr_t make_leaf(struct art *t, const struct entry *e) {
    struct art_leaf *l = pool_take(t->pool, sizeof *l + e->key.size + e->value.size);
    if (e->key.size)
        memcpy(l->first.data, e->key.data, e->key.size);
    fill_version(&l->first, e, e->key.size);
    atomic_init(&l->newest, NULL);
    return (uintptr_t)l | 1;
}

/* False: there is one with that sequence. */
static bool add_version(struct art *t, struct art_leaf *l, const struct entry *e) {
    const struct art_version *above = chain_above(l, e->sequence);
    struct art_version *older = above ? older_of(above) : chain_of(l);
    if (l->first.sequence == e->sequence || (older && older->sequence == e->sequence))
        return false;
    struct art_version *v =
        pool_take(t->pool, sizeof *v + sizeof(struct art_below) + e->value.size);
    struct art_below *b = below_of(v);
    make_jump(b, older);
    atomic_init(&b->older, older);
    fill_version(v, e, sizeof *b);
    DEBUG_ASSERT(!older || older->sequence < v->sequence);
    /* Pairs with the acquire loads in chain_of and older_of. */
    atomic_store_explicit(above ? &below_of(above)->older : &l->newest, v, memory_order_release);
    return true;
}

static void publish(_Atomic(uintptr_t) *place, uintptr_t link) {
    atomic_store_explicit(place, link, memory_order_release);
}

static struct art_node *make_node(struct art *t, enum art_type type, size_t depth,
                                  uintptr_t sample) {
    struct art_node *n = pool_take_lines(t->pool, node_lines[type]);
    memset(n, 0, node_lines[type] * POOL_LINE);
    n->depth = (uint32_t)depth;
    n->type = (uint8_t)type;
    atomic_init(&n->sample, sample);
    t->counts[type]++;
    return n;
}

static bool is_full(const struct art_node *n) {
    return n->type != ART_256 &&
           atomic_load_explicit(&n->count, memory_order_relaxed) == node_room[n->type];
}

/* Adds a child at a byte that has none, to a node with room. */
static void put_child(struct art_node *n, uint8_t byte, uintptr_t link) {
    DEBUG_ASSERT(!is_full(n) && art_child(n, byte) == 0);
    if (n->type == ART_256) {
        publish(&((struct art_256 *)n)->links[byte], link);
        return;
    }
    unsigned i = atomic_load_explicit(&n->count, memory_order_relaxed);
    if (n->type == ART_48) {
        struct art_48 *m = (struct art_48 *)n;
        atomic_store_explicit(&m->links[i], link, memory_order_relaxed);
        atomic_store_explicit(&m->places[byte], (uint8_t)(i + 1), memory_order_release);
        atomic_store_explicit(&n->count, (uint8_t)(i + 1), memory_order_relaxed);
        return;
    }
    struct art_linear *l = (struct art_linear *)n;
    _Atomic(uintptr_t) *place = (_Atomic(uintptr_t) *)&art_linear_links(l)[i];
    uintptr_t word = atomic_load_explicit(&l->words[i / 8], memory_order_relaxed);
    word |= (uintptr_t)byte << (8 * (i % 8));
    atomic_store_explicit(&l->words[i / 8], word, memory_order_relaxed);
    atomic_store_explicit(place, link, memory_order_relaxed);
    /* Pairs with the acquire load in art_linear_bytes. */
    atomic_store_explicit(&n->count, (uint8_t)(i + 1), memory_order_release);
}

static void copy_children(struct art_node *to, const struct art_node *from) {
    for (unsigned byte = 0; byte < 256; byte++) {
        uintptr_t link = art_child(from, (uint8_t)byte);
        if (link)
            put_child(to, (uint8_t)byte, link);
    }
}

static void copy_linear(struct art_node *to, const struct art_linear *from) {
    uint64_t words[2];
    unsigned count = art_linear_bytes(from, words);
    for (unsigned i = 0; i < count; i++)
        put_child(to, (uint8_t)(words[i / 8] >> (8 * (i % 8))),
                  art_load(&art_linear_links(from)[i]));
}

/* `place` links the node. */
static void add_child(struct art *t, _Atomic(uintptr_t) *place, struct art_node *n, uint8_t byte,
                      uintptr_t link) {
    if (!is_full(n)) {
        put_child(n, byte, link);
        return;
    }
    enum art_type type = (enum art_type)n->type;
    struct art_node *grown = make_node(t, type + 1, n->depth, art_load(&n->sample));
    if (type == ART_48)
        copy_children(grown, n);
    else
        copy_linear(grown, (const struct art_linear *)n);
    put_child(grown, byte, link);
    t->counts[type]--;
    publish(place, (uintptr_t)grown);
}

/* Hangs a link below a node in the making: `key` is that of a leaf there. */
static void hang(struct art_node *n, struct lam_slice key, uintptr_t link) {
    if (key.size == n->depth) {
        LAM_ASSERT(art_is_leaf(link));
        atomic_store_explicit(&n->sample, link, memory_order_relaxed);
    } else {
        put_child(n, key.data[n->depth], link);
    }
}

/* Puts a node where the entry's key parts from `key`, that of a leaf below what `place` links. */
static void split(struct art *t, _Atomic(uintptr_t) *place, struct lam_slice key, size_t depth,
                  const struct entry *e) {
    uintptr_t below = art_load(place);
    uintptr_t leaf = make_leaf(t, e);
    struct art_node *n = make_node(t, ART_5, depth, leaf & ~(uintptr_t)1);
    hang(n, key, below);
    hang(n, e->key, leaf);
    publish(place, (uintptr_t)n);
}

/* At a leaf; the first `known` key bytes agree. */
static bool insert_at_leaf(struct art *t, _Atomic(uintptr_t) *place, size_t known,
                           const struct entry *e) {
    struct art_leaf *l = (struct art_leaf *)art_leaf_of(art_load(place));
    struct lam_slice key = art_leaf_key(l);
    size_t same = art_common(key, e->key, known);
    if (same == key.size && same == e->key.size)
        return add_version(t, l, e);
    split(t, place, key, same, e);
    return true;
}

/* The key ends at the node. */
static bool insert_own(struct art *t, struct art_node *n, const struct entry *e) {
    uintptr_t own = art_own_leaf(n);
    if (own)
        return add_version(t, (struct art_leaf *)art_leaf_of(own), e);
    publish(&n->sample, make_leaf(t, e));
    return true;
}

bool art_insert(struct art *t, const struct entry *e) {
    LAM_ASSERT(e->sequence >> 56 == 0 && e->value.size <= UINT32_MAX);
    _Atomic(uintptr_t) *place = &t->root;
    size_t known = 0; /* key bytes that agree with what `place` links */
    for (;;) {
        uintptr_t link = art_load(place);
        if (link == 0) {
            publish(place, make_leaf(t, e)); /* the first key, or a byte of an ART_256 */
            return true;
        }
        if (art_is_leaf(link))
            return insert_at_leaf(t, place, known, e);
        struct art_node *n = (struct art_node *)art_node_of(link);
        size_t depth = n->depth;
        if (depth > known) {
            struct lam_slice key = art_sample_key(n);
            known = art_common(key, e->key, known);
            if (known < depth) {
                split(t, place, key, known, e);
                return true;
            }
        }
        if (e->key.size == depth)
            return insert_own(t, n, e);
        uint8_t byte = e->key.data[depth];
        _Atomic(uintptr_t) *next = (_Atomic(uintptr_t) *)art_place(n, byte);
        if (!next) {
            add_child(t, place, n, byte, make_leaf(t, e));
            return true;
        }
        place = next;
        known = depth + 1;
    }
}

/* Skipped bytes are not looked at on the way down: the leaf has the whole key. */
/* The link below `n` on the way to `key`, or 0. */
static uintptr_t link_towards(const struct art_node *n, struct lam_slice key) {
    if (key.size <= n->depth)
        return key.size == n->depth ? art_own_leaf(n) : 0;
    return art_child(n, key.data[n->depth]);
}

/* What the way has led to: whether it is the key, with a version to see. */
static bool read_leaf(uintptr_t link, struct lam_slice key, uint64_t snapshot, struct entry *out) {
    if (link == 0)
        return false;
    const struct art_leaf *l = art_leaf_of(link);
    if (!slice_eq(art_leaf_key(l), key))
        return false;
    const struct art_version *v = art_version_upto(l, snapshot);
    if (v)
        art_entry_of(l, v, out);
    return v != NULL;
}

bool art_get(const struct art *t, struct lam_slice key, uint64_t snapshot, struct entry *out) {
    uintptr_t link = art_load(&t->root);
    while (link && !art_is_leaf(link))
        link = link_towards(art_node_of(link), key);
    return read_leaf(link, key, snapshot, out);
}

/* Fetches what link_towards will look at past the node's beginning. */
static void prefetch_place(const struct art_node *n, struct lam_slice key) {
    if (n->type <= ART_16 || key.size <= n->depth)
        return;
    uint8_t byte = key.data[n->depth];
    if (n->type == ART_48)
        __builtin_prefetch((const void *)&((const struct art_48 *)n)->places[byte]);
    else
        __builtin_prefetch((const void *)&((const struct art_256 *)n)->links[byte]);
}

static bool is_inner(const struct art_ask *a) {
    return a->link && !art_is_leaf(a->link);
}

/* All keys make a step before any makes the next, so that their cache misses overlap. */
void art_get_many(const struct art *t, struct art_ask *asks, size_t n, uint64_t snapshot) {
    uintptr_t root = art_load(&t->root);
    for (size_t i = 0; i < n; i++)
        asks[i].link = root;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++)
            if (is_inner(&asks[i]))
                prefetch_place(art_node_of(asks[i].link), asks[i].key);
        for (size_t i = 0; i < n; i++) {
            struct art_ask *a = &asks[i];
            if (!is_inner(a))
                continue;
            a->link = link_towards(art_node_of(a->link), a->key);
            const char *at = (const char *)(a->link & ~(uintptr_t)1);
            for (unsigned line = 0; a->link && line < 3; line++)
                __builtin_prefetch(at + 64 * line);
            more |= is_inner(a);
        }
    }
    for (size_t i = 0; i < n; i++)
        asks[i].found = read_leaf(asks[i].link, asks[i].key, snapshot, &asks[i].entry);
}
