/* SPDX-License-Identifier: Apache-2.0
 *
 * Time, latencies, what the kernel counts, and results of a benchmark. */
#ifndef LAMINA_BENCH_HARNESS_H
#define LAMINA_BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Zeroed; never NULL. */
void *need(size_t size);

/* Log-linear histogram of nanoseconds: 64 powers of two, 16 steps each (6 % wide). */
#define HISTOGRAM_STEPS 16
struct histogram {
    uint64_t counts[64 * HISTOGRAM_STEPS];
    uint64_t total, max;
};
void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* Upper end of the step that holds the quantile, in ns. */
uint64_t histogram_quantile(const struct histogram *h, double q);

uint64_t now_ns(void);        /* monotonic */
uint64_t cpu_ns(void);        /* of all threads of the process */
uint64_t thread_cpu_ns(void); /* of the calling thread */

/* One histogram a second and one count each 100 ms, for figures over time. */
#define TIMELINE_SECONDS 600
struct timeline {
    struct histogram *seconds[TIMELINE_SECONDS]; /* made when first used */
    uint32_t tenths[TIMELINE_SECONDS * 10];      /* operations */
    unsigned last_tenth;
};

/* Operations of one thread as they pass. Each costs one reading of the clock: an operation lasts
 * from the end of the one before, making its key included. */
struct meter {
    struct histogram latency;
    uint64_t begin, last, deadline;
    uint64_t operations;
    uint64_t cpu_ns;         /* of the thread, set when it ends */
    uint64_t skipped_cpu_ns; /* of the process, while the clock stood */
    bool cut;                /* the deadline came first */
    struct timeline *timeline;
};
void meter_start(struct meter *m, uint64_t limit_ns, struct timeline *timeline);
/* Counts one operation; false when time is up. */
bool meter_tick(struct meter *m);
/* What happens between the two is nobody's: the clock stands. */
void meter_stop(struct meter *m);
void meter_go_on(struct meter *m);

/* Runs `fn(arg, thread, meter)` on so many threads and waits. Returns their meters; freed by the
 * caller. */
typedef void (*thread_fn)(void *arg, unsigned thread, struct meter *m);
struct meter *run_threads(unsigned threads, thread_fn fn, void *arg, uint64_t limit_ns);
/* The sum of several: from the earliest begin to the latest end. */
struct meter meters_merged(const struct meter *meters, unsigned count);

/* splitmix64: a fixed permutation of numbers, for keys in random order. */
static inline uint64_t scramble(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
/* Fills `out` with bytes of which lz4 can save about half. */
void half_compressible(uint8_t *out, size_t size, uint64_t seed);

/* `count` draws from 0 .. n-1, zipfian with 0.99, rank 0 the most frequent; freed by the caller. */
uint32_t *zipf_draws(uint64_t n, size_t count, uint64_t seed);

#endif
