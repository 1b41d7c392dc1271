/* SPDX-License-Identifier: Apache-2.0
 *
 * What a partition counts, and when a call is timed.
 *
 * Iterators and seeks count with one relaxed atomic of their partition. So do gets, until there
 * were many: then each place of readers (epoch.h) has counts of its own, so that none costs a
 * locked instruction or a cache line that others write. The count says which calls are timed, so
 * one that is not takes no clock. Commits are counted under the commit mutex; the published
 * sequence says which are timed. A partition gets a histogram with the first call of the kind that
 * is timed: memory follows use, and without memory nothing but the time is lost. */
#ifndef LAMINA_LSM_COUNTERS_H
#define LAMINA_LSM_COUNTERS_H

#include "base/env.h"
#include "lsm/epoch.h"
#include "lsm/histogram.h"

enum counters_kind { COUNTERS_PUT = 0, COUNTERS_GET = 1, COUNTERS_SEEK = 2, COUNTERS_KINDS = 3 };

/* What commits have done, under `commit`. */
struct write_counters {
    uint64_t puts;
    uint64_t deletes;
    uint64_t range_deletes;
    uint64_t put_bytes; /* keys, values, bounds */
    uint64_t wal_bytes; /* operations as logged */
};
/* What background work has done, under `state`. */
struct work_counters {
    uint64_t dumps;
    uint64_t dump_bytes;
    uint64_t compactions;
    uint64_t compaction_us;
    uint64_t compaction_read_bytes;
    uint64_t compaction_write_bytes;
    uint64_t trivial_moves;
};
/* Gets: relaxed. */
struct get_counters {
    _Atomic uint64_t gets;
    _Atomic uint64_t filter_checks;
    _Atomic uint64_t filter_negatives;
};
/* Those of a place, written by who is inside. */
struct get_stripe {
    struct get_counters counts;
    uint64_t apart[16 - 3]; /* no two of them in a pair of cache lines */
};
#define COUNTERS_MANY_GETS 4096u
/* Reads: relaxed, from any thread. */
struct read_counters {
    struct get_counters gets; /* of whom has no stripe */
    /* One for each of the first EPOCH_READERS places; made once, with release; owned */
    struct get_stripe *_Atomic stripes;
    _Atomic uint64_t iterators;
    _Atomic uint64_t seeks;
};
struct counters {
    struct write_counters write;
    struct work_counters work;
    struct read_counters read;
    struct histogram *_Atomic latency[COUNTERS_KINDS]; /* made once, with release; owned */
};

void counters_fini(struct counters *c);
void counters_record(struct counters *c, enum counters_kind kind, uint64_t ns);

/* Counts a call; the time now if it is to be timed, else 0. */
static inline uint64_t counters_begin(lam_env *env, _Atomic uint64_t *count) {
    uint64_t before = atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    return before % LAM_LATENCY_EVERY ? 0 : env_monotonic_ns(env);
}
/* Where the gets of who is in a place are counted; `*own_out`: by it alone. */
static inline struct get_counters *counters_of_place(struct counters *c, const struct epochs *e,
                                                     const struct epoch_reader *r, bool *own_out) {
    struct get_stripe *stripes = atomic_load_explicit(&c->read.stripes, memory_order_acquire);
    size_t place = stripes ? epoch_place(e, r) : EPOCH_READERS;
    *own_out = place < EPOCH_READERS;
    return *own_out ? &stripes[place].counts : &c->read.gets;
}
/* Of a get that begins in a place: the time now if it is to be timed, else 0. */
static inline uint64_t counters_begin_get(lam_env *env, struct counters *c, const struct epochs *e,
                                          const struct epoch_reader *r) {
    bool own;
    const struct get_counters *of = counters_of_place(c, e, r, &own);
    uint64_t before = atomic_load_explicit(&of->gets, memory_order_relaxed);
    return before % LAM_LATENCY_EVERY ? 0 : env_monotonic_ns(env);
}
/* Counts gets that end in a place. */
void counters_add_gets(struct counters *c, const struct epochs *e, const struct epoch_reader *r,
                       uint64_t gets, uint64_t filter_checks, uint64_t filter_negatives);
/* The sums over all places. */
void counters_gets(const struct counters *c, uint64_t *gets_out, uint64_t *filter_checks_out,
                   uint64_t *filter_negatives_out);
/* Whether the commit after `published` is timed: a scrambled choice, since sequences may go in
 * steps. */
static inline bool counters_is_timed(uint64_t published) {
    return published * 0x9e3779b97f4a7c15ull < UINT64_MAX / LAM_LATENCY_EVERY;
}

#endif
