/* SPDX-License-Identifier: Apache-2.0
 *
 * Time, latencies, memory and results of a benchmark. */
#ifndef LAMINA_BENCH_HARNESS_H
#define LAMINA_BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Log-linear histogram of nanoseconds: 64 powers of two, 16 steps each (6 % wide). */
#define HISTOGRAM_STEPS 16
struct histogram {
    uint64_t counts[64 * HISTOGRAM_STEPS];
    uint64_t total;
};
void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* Upper end of the step that holds the quantile, in ns. */
uint64_t histogram_quantile(const struct histogram *h, double q);

uint64_t now_ns(void);     /* monotonic */
uint64_t cpu_ns(void);     /* of all threads of the process */
uint64_t peak_rss(void);   /* bytes, of the process so far */
void reset_peak_rss(void); /* where the kernel allows */

/* What one workload gave. */
struct result {
    const char *engine, *workload;
    uint64_t operations;
    uint64_t wall_ns, cpu_ns;
    uint64_t peak_bytes, written_bytes;
    struct histogram latency; /* empty: not taken one by one */
};
/* Prints the header once, then a line each; appends to the CSV file if one is set. */
void report(const struct result *r);
void report_csv(const char *path);

/* Runs `fn(arg, thread, histogram)` on `threads` threads and waits; sums latencies into `latency`.
 */
void run_threads(unsigned threads, void (*fn)(void *arg, unsigned thread, struct histogram *h),
                 void *arg, struct histogram *latency);

void fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* splitmix64: a fixed permutation of numbers, for keys in random order. */
uint64_t scramble(uint64_t x);
/* Fills `out` with bytes of which lz4 can save about half. */
void half_compressible(uint8_t *out, size_t size, uint64_t seed);

#endif
