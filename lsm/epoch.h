/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs: readers use shared things without counting references; what is taken out of sight is
 * given back only when all who may have seen it have left (Fraser: Practical Lock-Freedom, 2004).
 *
 * A reader enters, follows pointers, leaves, and keeps nothing. Inside it does no I/O and waits for
 * nothing, so others wait for memory only as long as a lookup takes. What must live longer gets a
 * reference while inside.
 *
 * Why it holds. Whoever takes a thing away first replaces the pointer to it (R1), then defers it,
 * which raises `now` from n to n + 1 and marks the thing with n (R2). Who reclaims reads `now`
 * (C1), then each reader's place (C2), and takes what is marked with less than what C1 and all
 * occupied places say. A reader reads `now` and writes that to its place (E1), then loads pointers
 * (E2). All are sequentially consistent. If C2 found the place empty, E1 comes after C2, so E2
 * after R1: it does not find the thing. If C2 found more than n, the reader's load of `now` came
 * after R2: the same. Otherwise the thing stays. Leaving is a release that C2 acquires. */
#ifndef LAMINA_LSM_EPOCH_H
#define LAMINA_LSM_EPOCH_H

#include <stdatomic.h>

#include "base/thread.h"

/* What readers count; each place has its own counters, so counting shares no cache line. */
enum epoch_count {
    EPOCH_GETS,
    EPOCH_FILTER_CHECKS,
    EPOCH_FILTER_NEGATIVES,
    EPOCH_CACHE_HITS,
    EPOCH_CACHE_MISSES,
    EPOCH_COUNTS,
};

/* A place for one reader at a time. */
struct epoch_reader {
    _Atomic uint64_t entered;              /* epoch of who is inside; 0: free */
    _Atomic uint64_t counts[EPOCH_COUNTS]; /* written by who is inside */
    uint64_t apart[16 - 1 - EPOCH_COUNTS]; /* no two places in a pair of cache lines */
};
#define EPOCH_READERS 32u
struct epoch_readers {
    struct epoch_reader readers[EPOCH_READERS];
    _Atomic(struct epoch_readers *) more; /* when all were taken; kept until the end; owned */
};

/* Part of what is given back later. */
struct epoch_node {
    struct epoch_node *next;
    uint64_t epoch;
    void (*fn)(struct epoch_node *node); /* gives it back; no lock is held */
};

struct epochs {
    _Atomic uint64_t now;      /* from 1; raised with each deferral */
    _Atomic bool some_waiting; /* written with the mutex */
    struct mutex mu;           /* RANK_LEAF */
    struct epoch_waiting {
        struct epoch_node *head; /* rising epochs */
        struct epoch_node **tail;
    } guarded_;
    struct epoch_readers readers;
};

void epochs_init(struct epochs *e);
/* Gives back all that waits. There are no readers any more. */
void epochs_drain(struct epochs *e);
/* Drains too. */
void epochs_fini(struct epochs *e);

/* Never fails. Not to be called inside. */
struct epoch_reader *epoch_enter(struct epochs *e);
/* Reclaims if this reader may have been the one waited for. */
void epoch_leave(struct epochs *e, struct epoch_reader *r);
/* Which of the first EPOCH_READERS places it is; EPOCH_READERS: a later one. */
static inline size_t epoch_place(const struct epochs *e, const struct epoch_reader *r) {
    uintptr_t at = (uintptr_t)r - (uintptr_t)e->readers.readers;
    return at < sizeof e->readers.readers ? at / sizeof *r : EPOCH_READERS;
}
/* Adds to a counter of the place one has entered. */
static inline void epoch_count(struct epoch_reader *r, enum epoch_count which, uint64_t n) {
    uint64_t before = atomic_load_explicit(&r->counts[which], memory_order_relaxed);
    atomic_store_explicit(&r->counts[which], before + n, memory_order_relaxed);
}
/* Sum over all places. */
uint64_t epochs_total(struct epochs *e, enum epoch_count which);

/* Calls `fn` once no reader can hold what `node` is part of, which no pointer shows any more. It
 * runs in some later epoch_reclaim or epoch_leave, of any thread. */
void epoch_defer(struct epochs *e, struct epoch_node *node, void (*fn)(struct epoch_node *node));
/* Gives back what nobody can hold. No lock above RANK_DB_MANIFEST is held. */
void epoch_reclaim(struct epochs *e);

#endif
