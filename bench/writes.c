/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills: batches, synced commits, sustained random writes and large values. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

#define BATCH         100
#define SYNC_OPS_MAX  2000
#define SYNC_THREADS  8
#define SUSTAINED_MIB 64

/* --- batches --- */

static void batches(struct run *r, const char *name, size_t batch, unsigned partitions) {
    static uint8_t keys[BATCH][KEY_SIZE], scratch[BATCH][4096];
    struct write_op ops[BATCH];
    struct meter m;
    if (!run_wants(r, name) || (partitions > 1 && !r->ops->partition_make))
        return;
    run_open(r, true);
    uint64_t count = at_most(r, r->config->n) / batch;
    struct row row = row_begin(name, count);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        for (size_t k = 0; k < batch; k++) {
            uint64_t number = i * batch + k;
            random_key(keys[k], number, 0);
            ops[k] = (struct write_op){keys[k], KEY_SIZE, value_of(r, scratch[k], number, 0),
                                       r->value_size, (unsigned)k % partitions};
        }
        r->ops->write(r->engine, ops, batch, false);
        if (!meter_tick(&m))
            break;
    }
    row.settles = true;
    row.per_tick = batch;
    row.user_bytes = m.operations * batch * (KEY_SIZE + r->value_size);
    row_end(r, &row, &m);
    /* Partition 0 has its share, each entry as written. */
    struct touched t = {0};
    uint64_t tags = 0, there = m.operations * batch / partitions;
    for (uint64_t i = 0; i < m.operations * batch; i += partitions)
        tags += tag_of(i, 0);
    expect(r, name, "entries", scan(r, NULL, SIZE_MAX, false, &t), there);
    expect(r, name, "sum of tags", t.tags, tags);
    run_close(r);
}

void group_batch(struct run *r) {
    batches(r, "batch100", BATCH, 1);
    batches(r, "batch4part", PARTITIONS, PARTITIONS);
}

/* --- synced commits --- */

struct sync_fill {
    struct run *run;
    uint64_t per_thread;
};

static void sync_thread(void *arg, unsigned thread, struct meter *m) {
    struct sync_fill *f = arg;
    uint8_t key[KEY_SIZE];
    for (uint64_t i = 0; i < f->per_thread; i++) {
        uint64_t number = thread * f->per_thread + i;
        random_key(key, number, 0);
        put_key(f->run, key, number, 0, true);
        if (!meter_tick(m))
            break;
    }
}

static void synced(struct run *r, const char *name, unsigned threads) {
    if (!run_wants(r, name))
        return;
    run_open(r, true);
    uint64_t count = r->config->n < SYNC_OPS_MAX ? r->config->n : SYNC_OPS_MAX;
    struct sync_fill f = {r, count};
    struct row row = row_begin(name, count * threads);
    struct meter *meters = run_threads(threads, sync_thread, &f, r->config->limit_ns);
    struct meter m = meters_merged(meters, threads);
    uint64_t syncs = usage_now().syncs - row.begin.syncs;
    free(meters);
    row_end(r, &row, &m);
    /* A sync can cover one commit of each thread at most. */
    if (syncs * threads < m.operations)
        fatal("%s: %s: %llu syncs cannot have covered %llu commits of %u threads", r->ops->name,
              name, (unsigned long long)syncs, (unsigned long long)m.operations, threads);
    struct touched t = {0};
    expect(r, name, "entries", scan(r, NULL, SIZE_MAX, false, &t), m.operations);
    run_close(r);
}

void group_sync(struct run *r) {
    synced(r, "fillsync", 1);
    synced(r, "fillsync8", SYNC_THREADS);
}

/* --- sustained --- */

/* Twice as many random puts as there are keys, with memory for a part of them, so that background
 * work must keep up; then everything goes to sorted files. */
void group_sustained(struct run *r) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    uint64_t n = r->config->n, count = 2 * n;
    struct timeline *timeline = need(sizeof *timeline);
    r->memory_bytes = (size_t)SUSTAINED_MIB << 20;
    run_open(r, true);
    struct row row = row_begin("sustained", count);
    meter_start(&m, 3 * r->config->limit_ns, timeline);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = permuted(i % n, n);
        random_key(key, number, 0);
        put_key(r, key, number, (unsigned)(i / n), false);
        if (!meter_tick(&m))
            break;
    }
    if (r->ops->dump)
        r->ops->dump(r->engine);
    row.settles = true;
    row.timeline = timeline;
    row.user_bytes = m.operations * (KEY_SIZE + r->value_size);
    row_end(r, &row, &m);
    struct touched t = {0};
    uint64_t live = m.operations < n ? m.operations : n, tags = 0;
    for (uint64_t i = 0; i < live; i++)
        tags += tag_of(permuted(i, n), i + n < m.operations);
    expect(r, "sustained", "entries", scan(r, NULL, SIZE_MAX, false, &t), live);
    expect(r, "sustained", "sum of tags", t.tags, tags);
    run_close(r);
    for (unsigned i = 0; i < TIMELINE_SECONDS; i++)
        free(timeline->seconds[i]);
    free(timeline);
}

/* --- large values --- */

static void large(struct run *r, size_t value_size, uint64_t count, const char *const names[3]) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    if (!run_wants(r, names[0]) && !run_wants(r, names[1]) && !run_wants(r, names[2]))
        return;
    run_values(r, value_size);
    run_open(r, true);
    load(r, names[0], count, true);
    if (r->ops->dump)
        r->ops->dump(r->engine);
    settle(r->config->fill_limit_ns);
    uint64_t reads = at_most(r, count);
    struct row row = row_begin(names[1], reads);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < reads && run_wants(r, names[1]); i++) {
        uint64_t number = scramble(i) % r->loaded;
        struct touched t = {0};
        random_key(key, number, 0);
        expect(r, names[1], "found", r->ops->get(r->engine, key, KEY_SIZE, &t), true);
        expect(r, names[1], "tag", t.tags, tag_of(number, 0));
        if (!meter_tick(&m))
            break;
    }
    if (run_wants(r, names[1]))
        row_end(r, &row, &m);
    if (run_wants(r, names[2])) {
        struct touched t = {0};
        row = row_begin(names[2], r->loaded);
        size_t seen = scan(r, NULL, SIZE_MAX, false, &t);
        row_end_call(r, &row, seen);
        expect(r, names[2], "entries", seen, r->loaded);
        expect(r, names[2], "sum of tags", t.tags, tag_sum(0, r->loaded, 0));
    }
    run_close(r);
}

void group_large(struct run *r) {
    static const char *const names_4k[] = {"fill4k", "read4k", "scan4k"};
    static const char *const names_64k[] = {"fill64k", "read64k", "scan64k"};
    uint64_t n = r->config->n;
    large(r, 4 << 10, n / 20 > 100 ? n / 20 : 100, names_4k);
    large(r, 64 << 10, n / 200 > 20 ? n / 200 : 20, names_64k);
}
