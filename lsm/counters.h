/* SPDX-License-Identifier: Apache-2.0
 *
 * What a partition counts, and when a call is timed.
 *
 * Reads count with one relaxed atomic of their partition, and the count says which of them are
 * timed, so a read that is not takes no clock. Commits are counted under the commit mutex; the
 * published sequence says which are timed. A partition gets a histogram with the first call of the
 * kind that is timed: memory follows use, and without memory nothing but the time is lost. */
#ifndef LAMINA_LSM_COUNTERS_H
#define LAMINA_LSM_COUNTERS_H

#include "base/env.h"
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
/* Reads: relaxed, from any thread. */
struct read_counters {
    _Atomic uint64_t gets;
    _Atomic uint64_t iterators;
    _Atomic uint64_t seeks;
    _Atomic uint64_t filter_checks;
    _Atomic uint64_t filter_negatives;
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
/* The same for a call that is counted when it ends. */
static inline uint64_t counters_peek(lam_env *env, const _Atomic uint64_t *count) {
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
    return before % LAM_LATENCY_EVERY ? 0 : env_monotonic_ns(env);
}
/* Whether the commit after `published` is timed: a scrambled choice, since sequences may go in
 * steps. */
static inline bool counters_is_timed(uint64_t published) {
    return published * 0x9e3779b97f4a7c15ull < UINT64_MAX / LAM_LATENCY_EVERY;
}

#endif
