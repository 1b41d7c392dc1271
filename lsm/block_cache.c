/* SPDX-License-Identifier: Apache-2.0
 *
 * Block cache: shards picked by hash, each an own mutex, a chained hash table and a list in order
 * of use. A shard never keeps more than its share of the capacity. */
#include "lsm/block_cache.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/thread.h"

#define SHARDS_MAX      16u
#define SHARD_BYTES_MIN (512u << 10) /* fewer shards rather than smaller ones */
#define BUCKETS_MIN     64u

struct shard {
    struct mutex mu;
    struct {
        struct cached_block **buckets; /* owned; bucket_count is a power of two */
        size_t bucket_count;
        size_t blocks;
        size_t bytes;                /* charges of the blocks kept */
        struct cached_block *newest; /* used last */
        struct cached_block *oldest; /* evicted first */
        uint64_t hits;
        uint64_t misses;
    } guarded_;
};
struct block_cache {
    size_t shard_capacity; /* bytes */
    uint32_t shard_count;  /* power of two */
    struct shard shards[SHARDS_MAX];
};
typedef __typeof__(((struct shard *)0)->guarded_) shard_state;

static inline shard_state *state(struct shard *s) REQUIRES(s->mu);
static inline shard_state *state(struct shard *s) {
    return &s->guarded_;
}

struct cached_block *cached_block_new(size_t size) {
    size_t total;
    if (!size_add(sizeof(struct cached_block), size, &total))
        return NULL;
    struct cached_block *b = mem_alloc(total);
    if (!b)
        return NULL;
    memset(b, 0, sizeof *b);
    atomic_init(&b->references, 1);
    b->charge = total;
    return b;
}

void cached_block_unref(struct cached_block *b) {
    if (!b)
        return;
    /* The last holder must see all that others did with the block before it frees it. */
    uint32_t before = atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel);
    LAM_ASSERT(before > 0);
    if (before == 1)
        mem_free(b);
}

enum lam_code block_cache_new(size_t capacity_bytes, struct block_cache **cache_out,
                              struct lam_error *err) {
    struct block_cache *c = mem_calloc(1, sizeof *c);
    if (!c)
        return mem_fail(err, sizeof *c);
    c->shard_count = SHARDS_MAX;
    while (c->shard_count > 1 && capacity_bytes / c->shard_count < SHARD_BYTES_MIN)
        c->shard_count /= 2;
    c->shard_capacity = capacity_bytes / c->shard_count;
    for (uint32_t i = 0; i < SHARDS_MAX; i++)
        mutex_init(&c->shards[i].mu, RANK_CACHE);
    *cache_out = c;
    return LAM_OK;
}

static struct shard *shard_of(struct block_cache *c, uint64_t hash) {
    return &c->shards[(hash >> 58) & (c->shard_count - 1)];
}

static struct cached_block **find_link(shard_state *st, uint64_t hash, uint64_t number,
                                       uint64_t offset) {
    struct cached_block **link = &st->buckets[hash & (st->bucket_count - 1)];
    while (*link && ((*link)->number != number || (*link)->offset != offset))
        link = &(*link)->chain;
    return link;
}

static void list_remove(shard_state *st, struct cached_block *b) {
    *(b->newer ? &b->newer->older : &st->newest) = b->older;
    *(b->older ? &b->older->newer : &st->oldest) = b->newer;
    b->newer = NULL;
    b->older = NULL;
}

static void list_add_newest(shard_state *st, struct cached_block *b) {
    b->older = st->newest;
    b->newer = NULL;
    *(st->newest ? &st->newest->newer : &st->oldest) = b;
    st->newest = b;
}

/* Takes the block out of table and list; the cache's reference goes to the caller. */
static void take_out(shard_state *st, struct cached_block *b) {
    struct cached_block **link = find_link(st, b->hash, b->number, b->offset);
    LAM_ASSERT(*link == b);
    *link = b->chain;
    b->chain = NULL;
    list_remove(st, b);
    LAM_ASSERT(st->bytes >= b->charge && st->blocks > 0);
    st->bytes -= b->charge;
    st->blocks--;
}

struct cached_block *block_cache_get(struct block_cache *c, uint64_t number, uint64_t offset) {
    uint64_t hash = hash_mix(number, offset);
    struct shard *s = shard_of(c, hash);
    struct cached_block *found = NULL;
    mutex_lock(&s->mu);
    shard_state *st = state(s);
    if (st->bucket_count > 0)
        found = *find_link(st, hash, number, offset);
    if (found) {
        atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
        if (st->newest != found) {
            list_remove(st, found);
            list_add_newest(st, found);
        }
        st->hits++;
    } else {
        st->misses++;
    }
    mutex_unlock(&s->mu);
    return found;
}

/* Doubles the table once it holds a block a bucket. False if there is no table at all. */
static bool grow_table(shard_state *st) {
    if (st->blocks < st->bucket_count)
        return true;
    size_t count = st->bucket_count ? st->bucket_count * 2 : BUCKETS_MIN;
    struct cached_block **buckets = mem_calloc(count, sizeof *buckets);
    if (!buckets)
        return st->bucket_count > 0;
    for (size_t i = 0; i < st->bucket_count; i++) {
        for (struct cached_block *b = st->buckets[i], *next; b; b = next) {
            next = b->chain;
            b->chain = buckets[b->hash & (count - 1)];
            buckets[b->hash & (count - 1)] = b;
        }
    }
    mem_free(st->buckets);
    st->buckets = buckets;
    st->bucket_count = count;
    return true;
}

/* Takes out the oldest blocks until `more` bytes fit; returns them chained, to be released without
 * the mutex. */
static struct cached_block *make_room(shard_state *st, size_t capacity, size_t more) {
    struct cached_block *out = NULL;
    while (st->oldest && st->bytes + more > capacity) {
        struct cached_block *b = st->oldest;
        take_out(st, b);
        b->chain = out;
        out = b;
    }
    return out;
}

static void release_chain(struct cached_block *b) {
    for (struct cached_block *next; b; b = next) {
        next = b->chain;
        cached_block_unref(b);
    }
}

void block_cache_put(struct block_cache *c, uint64_t number, uint64_t offset,
                     struct cached_block *block) {
    if (block->charge > c->shard_capacity / 8)
        return;
    uint64_t hash = hash_mix(number, offset);
    struct shard *s = shard_of(c, hash);
    struct cached_block *evicted = NULL;
    mutex_lock(&s->mu);
    shard_state *st = state(s);
    if (grow_table(st) && !*find_link(st, hash, number, offset)) {
        evicted = make_room(st, c->shard_capacity, block->charge);
        block->number = number;
        block->offset = offset;
        block->hash = hash;
        struct cached_block **bucket = &st->buckets[hash & (st->bucket_count - 1)];
        block->chain = *bucket;
        *bucket = block;
        list_add_newest(st, block);
        st->bytes += block->charge;
        st->blocks++;
        atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    }
    mutex_unlock(&s->mu);
    release_chain(evicted);
}

/* Takes out all blocks of file `number`, or all blocks if `all`. */
static void drop(struct shard *s, uint64_t number, bool all) {
    struct cached_block *out = NULL;
    mutex_lock(&s->mu);
    shard_state *st = state(s);
    for (struct cached_block *b = st->newest, *older; b; b = older) {
        older = b->older;
        if (!all && b->number != number)
            continue;
        take_out(st, b);
        b->chain = out;
        out = b;
    }
    mutex_unlock(&s->mu);
    release_chain(out);
}

void block_cache_drop_file(struct block_cache *c, uint64_t number) {
    for (uint32_t i = 0; i < c->shard_count; i++)
        drop(&c->shards[i], number, false);
}

void block_cache_get_stats(struct block_cache *c, struct block_cache_stats *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        mutex_lock(&s->mu);
        out->bytes += state(s)->bytes;
        out->hits += state(s)->hits;
        out->misses += state(s)->misses;
        mutex_unlock(&s->mu);
    }
}

static void free_table(struct shard *s) {
    mutex_lock(&s->mu);
    mem_free(state(s)->buckets);
    state(s)->buckets = NULL;
    state(s)->bucket_count = 0;
    mutex_unlock(&s->mu);
}

void block_cache_free(struct block_cache *c) {
    if (!c)
        return;
    for (uint32_t i = 0; i < SHARDS_MAX; i++) {
        drop(&c->shards[i], 0, true);
        free_table(&c->shards[i]);
        mutex_fini(&c->shards[i].mu);
    }
    mem_free(c);
}
