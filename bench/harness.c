/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/harness.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void fatal(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void *need(size_t size) {
    void *p = calloc(1, size);
    if (!p)
        fatal("no memory for %zu bytes", size);
    return p;
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

uint64_t thread_cpu_ns(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
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
    if (ns > h->max)
        h->max = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (size_t i = 0; i < sizeof into->counts / sizeof into->counts[0]; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
    for (unsigned i = 0; i < sizeof h->counts / sizeof h->counts[0]; i++) {
        seen += h->counts[i];
        if (seen > rank)
            return step_end(i) < h->max ? step_end(i) : h->max;
    }
    return h->max;
}

static void timeline_add(struct timeline *t, uint64_t since_ns, uint64_t ns) {
    uint64_t tenth = since_ns / 100000000u;
    if (tenth >= TIMELINE_SECONDS * 10)
        return;
    t->tenths[tenth]++;
    t->last_tenth = (unsigned)tenth;
    if (!t->seconds[tenth / 10])
        t->seconds[tenth / 10] = need(sizeof *t->seconds[0]);
    histogram_add(t->seconds[tenth / 10], ns);
}

void meter_start(struct meter *m, uint64_t limit_ns, struct timeline *timeline) {
    memset(m, 0, sizeof *m);
    m->timeline = timeline;
    m->begin = m->last = now_ns();
    m->deadline = m->begin + limit_ns;
}

bool meter_tick(struct meter *m) {
    uint64_t now = now_ns(), ns = now - m->last;
    histogram_add(&m->latency, ns);
    m->operations++;
    m->last = now;
    if (m->timeline)
        timeline_add(m->timeline, now - m->begin, ns);
    m->cut = now >= m->deadline;
    return !m->cut;
}

void meter_stop(struct meter *m) {
    m->skipped_cpu_ns -= cpu_ns();
}

void meter_go_on(struct meter *m) {
    uint64_t passed = now_ns() - m->last;
    m->skipped_cpu_ns += cpu_ns();
    m->begin += passed;
    m->last += passed;
    m->deadline += passed;
}

struct worker {
    pthread_t thread;
    unsigned number;
    thread_fn fn;
    void *arg;
    uint64_t limit_ns;
    struct meter meter;
};

static void *work(void *p) {
    struct worker *w = p;
    uint64_t cpu = thread_cpu_ns();
    meter_start(&w->meter, w->limit_ns, NULL);
    w->fn(w->arg, w->number, &w->meter);
    w->meter.cpu_ns = thread_cpu_ns() - cpu;
    return NULL;
}

struct meter *run_threads(unsigned threads, thread_fn fn, void *arg, uint64_t limit_ns) {
    struct worker *workers = need(threads * sizeof *workers);
    struct meter *meters = need(threads * sizeof *meters);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].fn = fn;
        workers[i].arg = arg;
        workers[i].limit_ns = limit_ns;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fatal("cannot start a thread");
    }
    work(&workers[0]);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < threads; i++)
        meters[i] = workers[i].meter;
    free(workers);
    return meters;
}

struct meter meters_merged(const struct meter *meters, unsigned count) {
    struct meter sum = meters[0];
    for (unsigned i = 1; i < count; i++) {
        const struct meter *m = &meters[i];
        histogram_merge(&sum.latency, &m->latency);
        sum.operations += m->operations;
        sum.cpu_ns += m->cpu_ns;
        sum.cut |= m->cut;
        sum.begin = m->begin < sum.begin ? m->begin : sum.begin;
        sum.last = m->last > sum.last ? m->last : sum.last;
    }
    return sum;
}

void half_compressible(uint8_t *out, size_t size, uint64_t seed) {
    for (size_t i = 0; i < size / 2; i += 8) {
        uint64_t r = scramble(seed + i);
        memcpy(out + i, &r, size / 2 - i < 8 ? size / 2 - i : 8);
    }
    memset(out + size / 2, 'x', size - size / 2);
}

/* Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994), as YCSB has
 * it. */
uint32_t *zipf_draws(uint64_t n, size_t count, uint64_t seed) {
    const double theta = 0.99;
    uint32_t *draws = need(count * sizeof *draws);
    double zeta = 0, zeta2 = 1 + pow(0.5, theta);
    for (uint64_t i = 1; i <= n; i++)
        zeta += 1 / pow((double)i, theta);
    double alpha = 1 / (1 - theta);
    double eta = (1 - pow(2.0 / (double)n, 1 - theta)) / (1 - zeta2 / zeta);
    for (size_t i = 0; i < count; i++) {
        seed = scramble(seed);
        double u = (double)(seed >> 11) / 9007199254740992.0, uz = u * zeta;
        double rank = uz < 1 ? 0 : uz < zeta2 ? 1 : (double)n * pow(eta * u - eta + 1, alpha);
        draws[i] = rank >= (double)n ? (uint32_t)n - 1 : (uint32_t)rank;
    }
    return draws;
}
