/* SPDX-License-Identifier: Apache-2.0
 *
 * Places of readers, and the queue of what waits for them. */
#include "lsm/epoch.h"

#include "base/assert.h"
#include "base/mem.h"

static inline struct epoch_waiting *waiting(struct epochs *e) REQUIRES(&e->mu) {
    return &e->guarded_;
}

void epochs_init(struct epochs *e) {
    memset(e, 0, sizeof *e);
    atomic_init(&e->now, 1);
    mutex_init(&e->mu, RANK_LEAF);
    mutex_lock(&e->mu);
    waiting(e)->tail = &waiting(e)->head;
    mutex_unlock(&e->mu);
}

void epochs_fini(struct epochs *e) {
    epochs_drain(e);
    struct epoch_readers *next = atomic_load(&e->readers.more);
    while (next) {
        struct epoch_readers *block = next;
        next = atomic_load(&block->more);
        mem_free(block);
    }
    mutex_fini(&e->mu);
}

/* The block after `block`, made if need be; the first again if there is no memory. */
static struct epoch_readers *more_places(struct epochs *e, struct epoch_readers *block) {
    struct epoch_readers *next = atomic_load(&block->more);
    if (next)
        return next;
    struct epoch_readers *fresh = mem_calloc(1, sizeof *fresh);
    if (!fresh) {
        thread_yield(); /* those inside leave soon */
        return &e->readers;
    }
    if (atomic_compare_exchange_strong(&block->more, &next, fresh))
        return fresh;
    mem_free(fresh);
    return next;
}

struct epoch_reader *epoch_enter(struct epochs *e) {
    /* Threads begin at different places, and mostly find theirs free and in their cache. */
    size_t first = (size_t)thread_self();
    for (struct epoch_readers *block = &e->readers;; block = more_places(e, block)) {
        for (size_t i = 0; i < EPOCH_READERS; i++) {
            struct epoch_reader *r = &block->readers[(first + i) % EPOCH_READERS];
            uint64_t none = 0;
            if (atomic_load_explicit(&r->entered, memory_order_relaxed) == 0 &&
                atomic_compare_exchange_strong(&r->entered, &none, atomic_load(&e->now)))
                return r;
        }
    }
}

void epoch_leave(struct epochs *e, struct epoch_reader *r) {
    uint64_t entered = atomic_load_explicit(&r->entered, memory_order_relaxed);
    DEBUG_ASSERT(entered > 0);
    /* Sequentially consistent, as is what follows: either this reader sees that something waits,
     * or whoever made it wait sees that this reader has left. */
    atomic_store(&r->entered, 0);
    if (atomic_load(&e->some_waiting) && atomic_load(&e->now) != entered)
        epoch_reclaim(e);
}

uint64_t epochs_total(struct epochs *e, enum epoch_count which) {
    uint64_t sum = 0;
    for (struct epoch_readers *b = &e->readers; b; b = atomic_load(&b->more))
        for (size_t i = 0; i < EPOCH_READERS; i++)
            sum += atomic_load_explicit(&b->readers[i].counts[which], memory_order_relaxed);
    return sum;
}

void epoch_defer(struct epochs *e, struct epoch_node *node, void (*fn)(struct epoch_node *node)) {
    node->next = NULL;
    node->fn = fn;
    mutex_lock(&e->mu);
    struct epoch_waiting *w = waiting(e);
    node->epoch = atomic_fetch_add(&e->now, 1);
    *w->tail = node;
    w->tail = &node->next;
    atomic_store(&e->some_waiting, true);
    mutex_unlock(&e->mu);
}

/* Gives back what was deferred before epoch `end`. */
static void give_back(struct epochs *e, uint64_t end) {
    mutex_lock(&e->mu);
    struct epoch_waiting *w = waiting(e);
    struct epoch_node *first = w->head, **link = &w->head;
    while (*link && (*link)->epoch < end)
        link = &(*link)->next;
    struct epoch_node *rest = *link;
    *link = NULL;
    w->head = rest;
    if (!rest)
        w->tail = &w->head;
    atomic_store(&e->some_waiting, rest != NULL);
    mutex_unlock(&e->mu);
    if (first == rest)
        return;
    while (first) {
        struct epoch_node *next = first->next;
        first->fn(first);
        first = next;
    }
}

void epoch_reclaim(struct epochs *e) {
    uint64_t end = atomic_load(&e->now);
    for (struct epoch_readers *b = &e->readers; b; b = atomic_load(&b->more)) {
        for (size_t i = 0; i < EPOCH_READERS; i++) {
            uint64_t entered = atomic_load(&b->readers[i].entered);
            if (entered != 0 && entered < end)
                end = entered;
        }
    }
    give_back(e, end);
}

void epochs_drain(struct epochs *e) {
    /* What is given back may hold what then waits in turn. */
    while (atomic_load(&e->some_waiting))
        give_back(e, UINT64_MAX);
}
