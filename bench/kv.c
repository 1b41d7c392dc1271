/* SPDX-License-Identifier: Apache-2.0
 *
 * The key-value workloads: 16-byte keys (8 bytes of number, big-endian, twice mixed for random
 * order), values half compressible. Each fill starts with a fresh database; the reads that follow
 * use the one that fillrandom made. OS durability except fillsync. */
#include "bench/kv.h"

#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"

#define KEY_SIZE      16
#define BATCH         100
#define PARTITIONS    4
#define SYNC_OPS_MAX  2000
#define SEEKS_DIVISOR 10
#define VALUES        64 /* distinct values, made beforehand */

struct run {
    const struct engine_ops *ops;
    const struct bench_config *config;
    struct engine *engine;
    uint8_t *values; /* VALUES of config->value_size */
    char path[4096];
    uint64_t per_thread;
    bool missing;
    atomic_ullong found;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_tree(const char *path) {
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

bool bench_wants(const struct bench_config *c, const char *workload) {
    size_t n = strlen(workload);
    for (const char *p = c->only; p && *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, workload, n) == 0)
            return true;
    return c->only == NULL;
}

static void put_be(uint8_t *out, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(out, &v, 8);
}

static void sequential_key(uint8_t *out, uint64_t i) {
    put_be(out, i);
    put_be(out + 8, i);
}

/* Key number i in random order; `salt` 1 gives keys that were never written. */
static void random_key(uint8_t *out, uint64_t i, uint64_t salt) {
    put_be(out, scramble(i));
    put_be(out + 8, salt);
}

static const uint8_t *value_of(const struct run *r, uint64_t i) {
    return r->values + (i % VALUES) * r->config->value_size;
}

static void open_run(struct run *r, bool fresh) {
    snprintf(r->path, sizeof r->path, "%s/bench-%s", r->config->dir, r->ops->name);
    if (fresh)
        remove_tree(r->path);
    struct engine_options options = {r->path, r->config->memory_bytes};
    r->engine = r->ops->open(&options);
}

static void close_run(struct run *r) {
    if (r->engine)
        r->ops->close(r->engine);
    r->engine = NULL;
}

struct timer {
    uint64_t wall, cpu, written;
};

static struct timer start(struct run *r) {
    reset_peak_rss();
    return (struct timer){now_ns(), cpu_ns(), r->ops->bytes_written(r->engine)};
}

static void finish(struct run *r, const char *workload, struct timer t, uint64_t operations,
                   const struct histogram *latency) {
    struct result result = {
        .engine = r->ops->name,
        .workload = workload,
        .operations = operations,
        .wall_ns = now_ns() - t.wall,
        .cpu_ns = cpu_ns() - t.cpu,
        .peak_bytes = peak_rss(),
        .written_bytes = r->ops->bytes_written(r->engine) - t.written,
    };
    if (latency)
        result.latency = *latency;
    report(&result);
}

/* --- writes --- */

static void fill(struct run *r, const char *workload, bool random, uint64_t count, size_t batch,
                 unsigned partitions, bool sync) {
    struct histogram *latency = calloc(1, sizeof *latency);
    uint8_t keys[BATCH][KEY_SIZE];
    struct write_op ops[BATCH];
    if (!latency)
        fatal("no memory");
    struct timer t = start(r);
    for (uint64_t i = 0; i < count; i += batch) {
        for (size_t k = 0; k < batch; k++) {
            if (random)
                random_key(keys[k], i + k, 0);
            else
                sequential_key(keys[k], i + k);
            ops[k] = (struct write_op){keys[k], KEY_SIZE, value_of(r, i + k), r->config->value_size,
                                       (unsigned)k % partitions};
        }
        uint64_t before = now_ns();
        r->ops->write(r->engine, ops, batch, sync);
        histogram_add(latency, now_ns() - before);
    }
    finish(r, workload, t, count, latency);
    free(latency);
}

static void fresh_fill(struct run *r, const char *workload, bool random, size_t batch,
                       unsigned partitions) {
    if (!bench_wants(r->config, workload) || (partitions > 1 && !r->ops->has_partitions))
        return;
    open_run(r, true);
    fill(r, workload, random, r->config->n / batch * batch, batch, partitions, false);
    close_run(r);
}

static void sync_thread(void *arg, unsigned thread, struct histogram *h) {
    struct run *r = arg;
    uint8_t key[KEY_SIZE];
    for (uint64_t i = 0; i < r->per_thread; i++) {
        random_key(key, thread * r->per_thread + i, 2);
        struct write_op op = {key, KEY_SIZE, value_of(r, i), r->config->value_size, 0};
        uint64_t before = now_ns();
        r->ops->write(r->engine, &op, 1, true);
        histogram_add(h, now_ns() - before);
    }
}

static void threaded(struct run *r, const char *workload, uint64_t count,
                     void (*fn)(void *, unsigned, struct histogram *)) {
    struct histogram *latency = calloc(1, sizeof *latency);
    if (!latency)
        fatal("no memory");
    r->per_thread = count / r->config->threads;
    struct timer t = start(r);
    run_threads(r->config->threads, fn, r, latency);
    finish(r, workload, t, r->per_thread * r->config->threads, latency);
    free(latency);
}

static void fillsync(struct run *r) {
    if (!bench_wants(r->config, "fillsync"))
        return;
    open_run(r, true);
    uint64_t count = r->config->n < SYNC_OPS_MAX ? r->config->n : SYNC_OPS_MAX;
    threaded(r, "fillsync", count, sync_thread);
    close_run(r);
}

/* --- reads --- */

static void get_thread(void *arg, unsigned thread, struct histogram *h) {
    struct run *r = arg;
    uint8_t key[KEY_SIZE];
    uint64_t state = thread + 1, found = 0;
    for (uint64_t i = 0; i < r->per_thread; i++) {
        state = scramble(state);
        random_key(key, state % r->config->n, r->missing);
        uint64_t before = now_ns();
        found += r->ops->get(r->engine, key, KEY_SIZE);
        histogram_add(h, now_ns() - before);
    }
    atomic_fetch_add(&r->found, found);
}

static void gets(struct run *r, const char *workload, bool missing) {
    if (!bench_wants(r->config, workload))
        return;
    r->missing = missing;
    atomic_store(&r->found, 0);
    threaded(r, workload, r->config->n, get_thread);
    uint64_t expected = missing ? 0 : r->per_thread * r->config->threads;
    if (atomic_load(&r->found) != expected)
        fatal("%s: %s found %llu keys, expected %llu", r->ops->name, workload,
              (unsigned long long)atomic_load(&r->found), (unsigned long long)expected);
}

static void read_all(struct run *r, const char *workload, bool backward) {
    if (!bench_wants(r->config, workload))
        return;
    struct timer t = start(r);
    size_t count = r->ops->scan(r->engine, NULL, 0, SIZE_MAX, backward);
    finish(r, workload, t, count, NULL);
    if (count != r->config->n)
        fatal("%s: %s saw %zu keys, expected %llu", r->ops->name, workload, count,
              (unsigned long long)r->config->n);
}

static void seek_thread(void *arg, unsigned thread, struct histogram *h) {
    struct run *r = arg;
    uint8_t key[KEY_SIZE];
    uint64_t state = thread + 77;
    for (uint64_t i = 0; i < r->per_thread; i++) {
        state = scramble(state);
        random_key(key, state % r->config->n, 0);
        uint64_t before = now_ns();
        r->ops->scan(r->engine, key, KEY_SIZE, 11, false);
        histogram_add(h, now_ns() - before);
    }
}

static void reads(struct run *r) {
    static const char *const names[] = {"overwrite", "readrandom",  "readmissing",
                                        "readseq",   "readreverse", "seek10"};
    bool any = bench_wants(r->config, "fillrandom");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        any |= bench_wants(r->config, names[i]);
    if (!any)
        return;
    open_run(r, true);
    fill(r, "fillrandom", true, r->config->n, 1, 1, false);
    gets(r, "readrandom", false);
    gets(r, "readmissing", true);
    read_all(r, "readseq", false);
    read_all(r, "readreverse", true);
    if (bench_wants(r->config, "seek10"))
        threaded(r, "seek10", r->config->n / SEEKS_DIVISOR, seek_thread);
    if (bench_wants(r->config, "overwrite"))
        fill(r, "overwrite", true, r->config->n, 1, 1, false);
    close_run(r);
}

void bench_kv(const struct engine_ops *ops, const struct bench_config *config) {
    struct run r = {.ops = ops, .config = config};
    r.values = malloc(VALUES * config->value_size);
    if (!r.values)
        fatal("no memory");
    for (size_t i = 0; i < VALUES; i++)
        half_compressible(r.values + i * config->value_size, config->value_size, i);
    fresh_fill(&r, "fillseq", false, 1, 1);
    reads(&r);
    fresh_fill(&r, "batch100", true, BATCH, 1);
    fresh_fill(&r, "batch4part", true, PARTITIONS, PARTITIONS);
    fillsync(&r);
    remove_tree(r.path);
    free(r.values);
}
