/* SPDX-License-Identifier: Apache-2.0
 *
 * Times in log-linear buckets: eight to each power of two, so a bucket is at most an eighth as wide
 * as it is high. Recording is lock-free, from any thread; a reader sees each recorded time in one
 * place or not yet. */
#ifndef LAMINA_LSM_HISTOGRAM_H
#define LAMINA_LSM_HISTOGRAM_H

#include <stdatomic.h>

#include "lamina/stats.h"

#define HISTOGRAM_TOP     39u /* power of two of the last buckets: 2^39 ns is 9 minutes */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_TOP - 1) * 8)

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t max_ns;
};

void histogram_record(struct histogram *h, uint64_t ns);
/* NULL: nothing recorded. */
void histogram_read(const struct histogram *h, struct lam_latency *out);

/* For tests: the bucket of a time, and the least time of a bucket. */
uint32_t histogram_bucket(uint64_t ns);
uint64_t histogram_floor(uint32_t bucket);

#endif
