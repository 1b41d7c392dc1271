/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequential keys: the fill, the first key behind many tombstones, a queue, a range delete. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

#define TOMBSTONES_MAX 250000
#define FIRST_KEYS     10000
#define QUEUE_STEPS    100000

static uint64_t first_key(struct run *r, const char *row) {
    struct touched t = {0};
    expect(r, row, "entries at the start", scan(r, NULL, 1, false, &t), 1);
    return __builtin_bswap64(t.keys);
}

static void first_keys(struct run *r, const char *name, uint64_t first) {
    struct meter m;
    if (!run_wants(r, name))
        return;
    struct row row = row_begin(name, 0);
    meter_start(&m, r->config->limit_ns / 2, NULL);
    for (unsigned i = 0; i < FIRST_KEYS; i++) {
        expect(r, name, "first key", first_key(r, name), first);
        if (!meter_tick(&m))
            break;
    }
    row_end(r, &row, &m);
}

/* Deletes the oldest `count` keys; returns how many time allowed. */
static uint64_t delete_oldest(struct run *r, uint64_t count) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    struct row row = row_begin("deleteseq", count);
    meter_start(&m, r->config->fill_limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        sequential_key(key, i);
        delete_key(r, key);
        if (!meter_tick(&m))
            break;
    }
    row.settles = true;
    row_end(r, &row, &m);
    return m.operations;
}

/* Takes the first entry, deletes it, adds one at the end. Returns how many steps were done. */
static uint64_t queue(struct run *r, uint64_t first) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    uint64_t steps = r->config->n < QUEUE_STEPS ? r->config->n : QUEUE_STEPS;
    struct row row = row_begin("queue", steps);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < steps; i++) {
        expect(r, "queue", "oldest key", first_key(r, "queue"), first + i);
        sequential_key(key, first + i);
        delete_key(r, key);
        sequential_key(key, r->loaded);
        put_key(r, key, r->loaded++, 0, false);
        if (!meter_tick(&m))
            break;
    }
    row.settles = true;
    row_end(r, &row, &m);
    return m.operations;
}

/* Deletes the middle half of first .. loaded-1 and reads the rest. */
static void range(struct run *r, uint64_t first) {
    uint8_t from[KEY_SIZE], to[KEY_SIZE];
    struct touched t = {0};
    uint64_t quarter = (r->loaded - first) / 4, a = first + quarter, b = r->loaded - quarter;
    sequential_key(from, a);
    sequential_key(to, b);
    struct row row = row_begin("deleterange", b - a);
    if (r->ops->delete_range) {
        r->ops->delete_range(r->engine, from, to, KEY_SIZE);
        row.settles = true;
        row_end_call(r, &row, b - a);
    } else {
        struct meter m;
        meter_start(&m, r->config->limit_ns, NULL);
        for (uint64_t i = a; i < b; i++) {
            sequential_key(from, i);
            delete_key(r, from);
            if (!meter_tick(&m))
                break;
        }
        row.settles = true;
        row_end(r, &row, &m);
        b = a + m.operations;
    }
    uint64_t left = r->loaded - first - (b - a);
    row = row_begin("scan_rangedeleted", left);
    size_t seen = scan(r, NULL, SIZE_MAX, false, &t);
    row_end_call(r, &row, seen);
    expect(r, "scan_rangedeleted", "entries", seen, left);
    expect(r, "scan_rangedeleted", "sum of tags", t.tags,
           tag_sum(first, a, 0) + tag_sum(b, r->loaded, 0));
}

void group_seq(struct run *r) {
    uint64_t n = r->config->n;
    run_open(r, true);
    load(r, "fillseq", n, false);
    if (run_wants(r, "deleteseq") || run_wants(r, "firstkey") || run_wants(r, "firstkey_dumped") ||
        run_wants(r, "queue") || run_wants(r, "deleterange")) {
        uint64_t wanted = r->loaded / 2 < TOMBSTONES_MAX ? r->loaded / 2 : TOMBSTONES_MAX;
        uint64_t first = delete_oldest(r, wanted);
        first_keys(r, "firstkey", first);
        if (r->ops->dump) {
            r->ops->dump(r->engine);
            settle(r->config->fill_limit_ns);
            first_keys(r, "firstkey_dumped", first);
        }
        if (run_wants(r, "queue"))
            first += queue(r, first);
        if (run_wants(r, "deleterange"))
            range(r, first);
    }
    run_close(r);
}
