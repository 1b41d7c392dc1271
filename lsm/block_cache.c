/* SPDX-License-Identifier: Apache-2.0
 *
 * Block cache: shards picked by the slot's address, each an own mutex and a ring in order of
 * arrival. Only loading and evicting take the mutex. A shard never keeps more than its share of the
 * capacity; what waits for readers is counted until it is freed. */
#include "lsm/block_cache.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/thread.h"
#include "lsm/slab.h"

#define SHARDS_MAX       16u
#define SHARD_BYTES_MIN  (512u << 10) /* fewer shards rather than smaller ones */
#define EVICT_BATCH      16u          /* blocks: one wait for readers serves so many */
#define SLABS_FROM_BYTES (32u << 20)
#define SCAN_LINES       6u /* of a block that is walked through: those behind follow by themselves */
#define PASSED_MAX       64u /* marked blocks passed over in one go */

struct shard {
    struct mutex mu;
    struct {
        struct cached_block *oldest; /* whose turn is next; the ring's newest is before it */
        size_t bytes;                /* charges of the blocks kept */
    } guarded_;
};
struct block_cache {
    size_t shard_capacity; /* bytes, of which an equal part of `taken` is not for blocks */
    uint32_t shard_count;  /* power of two */
    struct epochs *epochs; /* borrowed */
    bool has_slabs;        /* it is so large that slabs which are not full do not matter */
    struct slabs slabs;
    _Atomic size_t taken;   /* by open files; this and the others are relaxed: each for itself */
    _Atomic size_t work;    /* by other work */
    _Atomic size_t waiting; /* bytes taken out that wait for readers */
    _Atomic size_t loose;   /* bytes of blocks kept that are no pieces of slabs */
    struct shard shards[SHARDS_MAX];
};
typedef __typeof__(((struct shard *)0)->guarded_) shard_state;

static inline shard_state *state(struct shard *s) REQUIRES(s->mu);
static inline shard_state *state(struct shard *s) {
    return &s->guarded_;
}

/* Bytes that blocks may take. */
static size_t room_of(struct block_cache *c) {
    size_t capacity = c->shard_capacity * c->shard_count;
    size_t taken = atomic_load_explicit(&c->taken, memory_order_relaxed) +
                   atomic_load_explicit(&c->work, memory_order_relaxed);
    size_t most = block_cache_most_taken(capacity);
    return capacity - (taken < most ? taken : most);
}

/* A slab with few pieces in use takes as much memory as a full one: all of them, and what is in
 * none, are no more than the blocks may take. */
static struct cached_block *take_piece(struct block_cache *c, size_t *total, struct slab **slab) {
    size_t room = room_of(c), loose = atomic_load_explicit(&c->loose, memory_order_relaxed);
    return slabs_take(&c->slabs, room > loose ? (room - loose) / MEM_HUGE_BYTES : 0, total, slab);
}

struct cached_block *cached_block_new(struct block_cache *c, size_t size) {
    size_t total;
    struct slab *slab = NULL;
    if (!size_add(sizeof(struct cached_block), size, &total))
        return NULL;
    struct cached_block *b = c && c->has_slabs ? take_piece(c, &total, &slab) : NULL;
    if (!b)
        b = mem_alloc(total);
    if (!b)
        return NULL;
    memset((uint8_t *)b + sizeof b->heads, 0, sizeof *b - sizeof b->heads);
    atomic_init(&b->references, 1);
    b->charge = total;
    b->slab = slab;
    return b;
}

void cached_block_unref(struct cached_block *b) {
    if (!b)
        return;
    /* The last holder must see all that others did with the block before it frees it. */
    uint32_t before = atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel);
    LAM_ASSERT(before > 0);
    if (before > 1)
        return;
    if (b->slab)
        slab_give_back(b->slab, b);
    else
        mem_free(b);
}

const struct block_heads *cached_block_heads(struct cached_block *b) {
    /* Pairs with the release below. */
    uint8_t have = atomic_load_explicit(&b->heads_state, memory_order_acquire);
    if (have == CACHED_HEADS_MADE)
        return &b->heads;
    if (have != CACHED_HEADS_NONE ||
        !atomic_compare_exchange_strong_explicit(&b->heads_state, &have, CACHED_HEADS_TAKEN,
                                                 memory_order_relaxed, memory_order_relaxed))
        return NULL;
    block_heads_make(&b->heads, &b->view);
    atomic_store_explicit(&b->heads_state, CACHED_HEADS_MADE, memory_order_release);
    return &b->heads;
}

enum lam_code block_cache_new(size_t capacity_bytes, struct epochs *epochs,
                              struct block_cache **cache_out, struct lam_error *err) {
    struct block_cache *c = mem_calloc(1, sizeof *c);
    if (!c)
        return mem_fail(err, sizeof *c);
    c->epochs = epochs;
    c->shard_count = SHARDS_MAX;
    while (c->shard_count > 1 && capacity_bytes / c->shard_count < SHARD_BYTES_MIN)
        c->shard_count /= 2;
    c->shard_capacity = capacity_bytes / c->shard_count;
    c->has_slabs = capacity_bytes >= SLABS_FROM_BYTES;
    slabs_init(&c->slabs);
    for (uint32_t i = 0; i < SHARDS_MAX; i++)
        mutex_init(&c->shards[i].mu, RANK_CACHE);
    *cache_out = c;
    return LAM_OK;
}

size_t block_cache_most_taken(size_t capacity_bytes) {
    return capacity_bytes - capacity_bytes / 8;
}

void block_cache_set_taken(struct block_cache *c, size_t bytes) {
    if (c)
        atomic_store_explicit(&c->taken, bytes, memory_order_relaxed);
}

size_t block_cache_work(struct block_cache *c) {
    return c ? atomic_load_explicit(&c->work, memory_order_relaxed) : 0;
}

static struct shard *shard_of(struct block_cache *c, const block_slot *slot) {
    uint64_t hash = hash_mix((uintptr_t)slot / sizeof *slot, 0);
    return &c->shards[(hash >> 58) & (c->shard_count - 1)];
}

static void ring_add(struct block_cache *c, shard_state *st, struct cached_block *b) {
    b->cache = c;
    if (!b->slab)
        atomic_fetch_add_explicit(&c->loose, b->charge, memory_order_relaxed);
    struct cached_block *oldest = st->oldest;
    b->next = oldest ? oldest : b;
    b->prev = oldest ? oldest->prev : b;
    b->prev->next = b;
    b->next->prev = b;
    if (!oldest)
        st->oldest = b;
    st->bytes += b->charge;
}

static void ring_remove(shard_state *st, struct cached_block *b) {
    LAM_ASSERT(st->bytes >= b->charge);
    st->bytes -= b->charge;
    if (!b->slab)
        atomic_fetch_sub_explicit(&b->cache->loose, b->charge, memory_order_relaxed);
    if (st->oldest == b)
        st->oldest = b->next == b ? NULL : b->next;
    b->prev->next = b->next;
    b->next->prev = b->prev;
    b->next = b->prev = NULL;
}

/* Takes out blocks until `more` bytes fit, and some more to come back here less often; returns them
 * chained by `next`. */
static struct cached_block *make_room(shard_state *st, size_t capacity, size_t more) {
    struct cached_block *out = NULL;
    if (st->bytes + more <= capacity)
        return NULL;
    size_t taken = 0, passed = 0, enough = capacity - capacity / 32;
    while (st->oldest &&
           (st->bytes + more > capacity || (st->bytes + more > enough && taken < EVICT_BATCH))) {
        struct cached_block *b = st->oldest;
        if (atomic_exchange_explicit(&b->used, false, memory_order_relaxed) &&
            passed++ < PASSED_MAX) {
            st->oldest = b->next;
            continue;
        }
        ring_remove(st, b);
        atomic_store(b->slot, NULL);
        b->next = out;
        out = b;
        taken++;
    }
    return out;
}

/* No reader holds the chain any more. */
static void release_chain(struct epoch_node *node) {
    struct cached_block *b =
        (struct cached_block *)((uint8_t *)node - offsetof(struct cached_block, waiting));
    while (b) {
        struct cached_block *next = b->next;
        atomic_fetch_sub_explicit(&b->cache->waiting, b->charge, memory_order_relaxed);
        cached_block_unref(b);
        b = next;
    }
}

static void let_go(struct block_cache *c, struct cached_block *chain) {
    if (!chain)
        return;
    for (struct cached_block *b = chain; b; b = b->next)
        atomic_fetch_add_explicit(&c->waiting, b->charge, memory_order_relaxed);
    epoch_defer(c->epochs, &chain->waiting, release_chain);
    epoch_reclaim(c->epochs);
}

void block_cache_set_work(struct block_cache *c, size_t bytes) {
    if (atomic_exchange_explicit(&c->work, bytes, memory_order_relaxed) >= bytes)
        return;
    size_t room = room_of(c) / c->shard_count;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        mutex_lock(&c->shards[i].mu);
        struct cached_block *evicted = make_room(state(&c->shards[i]), room, 0);
        mutex_unlock(&c->shards[i].mu);
        let_go(c, evicted);
    }
}

struct cached_block *block_cache_get(struct block_cache *c, block_slot *slot) {
    struct epoch_reader *r = epoch_enter(c->epochs);
    struct cached_block *b = block_cache_peek(slot);
    if (b) {
        cached_block_fetch(b, SCAN_LINES);
        cached_block_mark(b);
        cached_block_ref(b);
    }
    epoch_count(r, b ? EPOCH_CACHE_HITS : EPOCH_CACHE_MISSES, 1);
    epoch_leave(c->epochs, r);
    return b;
}

void block_cache_put(struct block_cache *c, block_slot *slot, struct cached_block *block) {
    /* Readers that stand still in an epoch must not make the cache outgrow its capacity. */
    if (block->charge > c->shard_capacity / 8 ||
        atomic_load_explicit(&c->waiting, memory_order_relaxed) >
            c->shard_capacity * c->shard_count / 4)
        return;
    struct shard *s = shard_of(c, slot);
    struct cached_block *evicted = NULL;
    /* There was no slab for it: others make room for the next one, this one is not kept. */
    bool refused = c->has_slabs && !block->slab && slab_has_class(block->charge);
    mutex_lock(&s->mu);
    shard_state *st = state(s);
    if (refused) {
        evicted = make_room(st, st->bytes - st->bytes / 32, 0);
    } else if (!atomic_load_explicit(slot, memory_order_relaxed)) {
        evicted = make_room(st, room_of(c) / c->shard_count, block->charge);
        block->slot = slot;
        ring_add(c, st, block);
        atomic_store(slot, cached_block_ref(block));
    }
    mutex_unlock(&s->mu);
    let_go(c, evicted);
}

void block_cache_drop(struct block_cache *c, block_slot *slots, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!atomic_load_explicit(&slots[i], memory_order_relaxed))
            continue;
        struct shard *s = shard_of(c, &slots[i]);
        mutex_lock(&s->mu);
        /* Gone if it was evicted meanwhile. */
        struct cached_block *b = atomic_exchange(&slots[i], NULL);
        if (b)
            ring_remove(state(s), b);
        mutex_unlock(&s->mu);
        cached_block_unref(b);
    }
}

void block_cache_get_stats(struct block_cache *c, struct block_cache_stats *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        mutex_lock(&s->mu);
        out->bytes += state(s)->bytes;
        mutex_unlock(&s->mu);
    }
    out->hits = epochs_total(c->epochs, EPOCH_CACHE_HITS);
    out->misses = epochs_total(c->epochs, EPOCH_CACHE_MISSES);
}

void block_cache_free(struct block_cache *c) {
    if (!c)
        return;
    epochs_drain(c->epochs);
    for (uint32_t i = 0; i < SHARDS_MAX; i++) {
        struct shard *s = &c->shards[i];
        mutex_lock(&s->mu);
        LAM_ASSERT(!state(s)->oldest); /* the files went before */
        mutex_unlock(&s->mu);
        mutex_fini(&s->mu);
    }
    slabs_fini(&c->slabs);
    mem_free(c);
}
