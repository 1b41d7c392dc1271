/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/harness.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static FILE *csv;

void fatal(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t peak_rss(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

void reset_peak_rss(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f)
        return;
    fputs("5", f);
    fclose(f);
}

static unsigned step_of(uint64_t ns) {
    if (ns < HISTOGRAM_STEPS)
        return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    unsigned within = (unsigned)(ns >> (power - 4)) & (HISTOGRAM_STEPS - 1);
    return power * HISTOGRAM_STEPS + within;
}

static uint64_t step_end(unsigned step) {
    if (step < HISTOGRAM_STEPS)
        return step;
    unsigned power = step / HISTOGRAM_STEPS, within = step % HISTOGRAM_STEPS;
    return ((uint64_t)(HISTOGRAM_STEPS + within + 1) << (power - 4)) - 1;
}

void histogram_add(struct histogram *h, uint64_t ns) {
    h->counts[step_of(ns)]++;
    h->total++;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (size_t i = 0; i < sizeof into->counts / sizeof into->counts[0]; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
}

uint64_t histogram_quantile(const struct histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
    for (unsigned i = 0; i < sizeof h->counts / sizeof h->counts[0]; i++) {
        seen += h->counts[i];
        if (seen > rank)
            return step_end(i);
    }
    return 0;
}

void report_csv(const char *path) {
    csv = fopen(path, "a");
    if (!csv)
        fatal("%s: cannot open", path);
    fseek(csv, 0, SEEK_END);
    if (ftell(csv) == 0)
        fprintf(csv, "engine,workload,operations,ops_per_s,cpu_us_per_op,p50_us,p99_us,p999_us,"
                     "peak_mib,written_mib\n");
}

void report(const struct result *r) {
    static bool headed;
    double seconds = (double)r->wall_ns / 1e9, ops = (double)r->operations;
    double rate = seconds > 0 ? ops / seconds : 0;
    double cpu = ops > 0 ? (double)r->cpu_ns / 1e3 / ops : 0;
    double p50 = (double)histogram_quantile(&r->latency, 0.5) / 1e3;
    double p99 = (double)histogram_quantile(&r->latency, 0.99) / 1e3;
    double p999 = (double)histogram_quantile(&r->latency, 0.999) / 1e3;
    double peak = (double)r->peak_bytes / (1 << 20), written = (double)r->written_bytes / (1 << 20);
    if (!headed)
        printf("%-8s %-16s %10s %12s %10s %9s %9s %9s %9s %11s\n", "engine", "workload", "ops",
               "ops/s", "CPU us/op", "p50 us", "p99 us", "p99.9 us", "peak MiB", "written MiB");
    headed = true;
    printf("%-8s %-16s %10llu %12.0f %10.3f ", r->engine, r->workload,
           (unsigned long long)r->operations, rate, cpu);
    if (r->latency.total > 0)
        printf("%9.1f %9.1f %9.1f ", p50, p99, p999);
    else
        printf("%9s %9s %9s ", "-", "-", "-");
    printf("%9.0f %11.1f\n", peak, written);
    fflush(stdout);
    if (csv) {
        fprintf(csv, "%s,%s,%llu,%.0f,%.4f,%.2f,%.2f,%.2f,%.1f,%.1f\n", r->engine, r->workload,
                (unsigned long long)r->operations, rate, cpu, p50, p99, p999, peak, written);
        fflush(csv);
    }
}

struct worker {
    pthread_t thread;
    unsigned number;
    void (*fn)(void *arg, unsigned thread, struct histogram *h);
    void *arg;
    struct histogram latency;
};

static void *work(void *p) {
    struct worker *w = p;
    w->fn(w->arg, w->number, &w->latency);
    return NULL;
}

void run_threads(unsigned threads, void (*fn)(void *arg, unsigned thread, struct histogram *h),
                 void *arg, struct histogram *latency) {
    struct worker *workers = calloc(threads, sizeof *workers);
    if (!workers)
        fatal("no memory");
    for (unsigned i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].fn = fn;
        workers[i].arg = arg;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fatal("cannot start a thread");
    }
    work(&workers[0]);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    memset(latency, 0, sizeof *latency);
    for (unsigned i = 0; i < threads; i++)
        histogram_merge(latency, &workers[i].latency);
    free(workers);
}

uint64_t scramble(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void half_compressible(uint8_t *out, size_t size, uint64_t seed) {
    for (size_t i = 0; i < size / 2; i += 8) {
        uint64_t r = scramble(seed + i);
        memcpy(out + i, &r, size / 2 - i < 8 ? size / 2 - i : 8);
    }
    memset(out + size / 2, 'x', size - size / 2);
}
