/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets 0 to 7 are one nanosecond each; from there on bucket 8 (e - 2) + s holds the times
 * from 2^e + s 2^(e-3) on. */
#include "lsm/histogram.h"

#include "base/assert.h"

uint32_t histogram_bucket(uint64_t ns) {
    if (ns < 8)
        return (uint32_t)ns;
    uint32_t power = 63u - (uint32_t)__builtin_clzll(ns);
    if (power > HISTOGRAM_TOP)
        return HISTOGRAM_BUCKETS - 1;
    return (power - 2) * 8 + (uint32_t)(ns >> (power - 3) & 7);
}

uint64_t histogram_floor(uint32_t bucket) {
    LAM_ASSERT(bucket < HISTOGRAM_BUCKETS);
    if (bucket < 8)
        return bucket;
    return (8ull + bucket % 8) << (bucket / 8 - 1);
}

void histogram_record(struct histogram *h, uint64_t ns) {
    atomic_fetch_add_explicit(&h->counts[histogram_bucket(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&h->max_ns, memory_order_relaxed);
    while (ns > max && !atomic_compare_exchange_weak_explicit(
                           &h->max_ns, &max, ns, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* Middle of the bucket that holds the time of rank `rank` (from 1). */
static uint64_t time_at(const uint64_t *counts, uint64_t rank, uint64_t max) {
    uint32_t i = 0;
    for (uint64_t seen = counts[0]; seen < rank; seen += counts[++i])
        LAM_ASSERT(i + 1 < HISTOGRAM_BUCKETS); /* `counts` are at least `rank` */
    uint64_t floor = histogram_floor(i);
    uint64_t width = i < 16 ? 1 : 1ull << (i / 8 - 1);
    uint64_t middle = floor + width / 2;
    return middle < max ? middle : max;
}

void histogram_read(const struct histogram *h, struct lam_latency *out) {
    uint64_t counts[HISTOGRAM_BUCKETS];
    *out = (struct lam_latency){0};
    if (!h)
        return;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        counts[i] = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        out->count += counts[i];
    }
    if (out->count == 0)
        return;
    uint64_t n = out->count, max = atomic_load_explicit(&h->max_ns, memory_order_relaxed);
    out->mean_ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed) / n;
    out->max_ns = max;
    out->p50_ns = time_at(counts, n - n / 2, max);
    out->p90_ns = time_at(counts, n - n / 10, max);
    out->p99_ns = time_at(counts, n - n / 100, max);
    out->p999_ns = time_at(counts, n - n / 1000, max);
}
