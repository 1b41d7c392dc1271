/* SPDX-License-Identifier: Apache-2.0
 *
 * YCSB A to F over the keys that are loaded, one operation a call, keys zipfian with 0.99. The core
 * mixes: A half updates, B 5 % updates, C reads, D reads of the latest with 5 % inserts, E scans of
 * 1 to 100 entries with 5 % inserts, F half read-modify-write. Run as A, B, C, F, D, E. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

struct mix {
    const char *name;
    unsigned update, insert, scan, modify; /* per cent; the rest are reads */
    bool latest;                           /* keys near the newest, not all over */
    unsigned divisor;                      /* operations: keys / divisor */
};

static const struct mix mixes[] = {
    {"ycsbA", 50, 0, 0, 0, false, 1}, {"ycsbB", 5, 0, 0, 0, false, 1},
    {"ycsbC", 0, 0, 0, 0, false, 1},  {"ycsbF", 0, 0, 0, 50, false, 1},
    {"ycsbD", 0, 5, 0, 0, true, 1},   {"ycsbE", 0, 5, 95, 0, false, 10},
};

static void read_one(struct run *r, const struct mix *x, const uint8_t *key, uint64_t number) {
    struct touched t = {0};
    if (!r->ops->get(r->engine, key, KEY_SIZE, &t))
        fatal("%s: %s: key %llu is not found", r->ops->name, x->name, (unsigned long long)number);
    if (!tag_fits(r, number, t.tags))
        fatal("%s: %s: key %llu has a value that was never written", r->ops->name, x->name,
              (unsigned long long)number);
}

static void operate(struct run *r, const struct mix *x, uint64_t chance, uint32_t draw) {
    uint8_t key[KEY_SIZE];
    struct touched t = {0};
    unsigned percent = (unsigned)(chance % 100);
    if (percent < x->insert) {
        random_key(key, r->loaded, 0);
        put_key(r, key, r->loaded, r->newest, false);
        r->loaded++;
        return;
    }
    uint64_t number = x->latest ? r->loaded - 1 - draw : scramble(draw) % r->loaded;
    random_key(key, number, 0);
    if (percent < x->insert + x->scan) {
        size_t length = 1 + (chance >> 32) % 100;
        if (scan(r, key, length, false, &t) == 0)
            fatal("%s: %s: a scan from key %llu saw nothing", r->ops->name, x->name,
                  (unsigned long long)number);
    } else if (percent < x->update) {
        put_key(r, key, number, r->newest, false);
    } else {
        read_one(r, x, key, number);
        if (percent < x->modify)
            put_key(r, key, number, r->newest, false);
    }
}

static void run_mix(struct run *r, const struct mix *x) {
    struct meter m;
    uint64_t count = at_most(r, r->loaded) / x->divisor;
    uint32_t *draws = zipf_draws(r->loaded, count, 99);
    struct row row = row_begin(x->name, count);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        operate(r, x, scramble(i + 6000003), draws[i]);
        if (!meter_tick(&m))
            break;
    }
    row.settles = true;
    row_end(r, &row, &m);
    free(draws);
}

void ycsb_rows(struct run *r) {
    r->newest++;
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
        if (run_wants(r, mixes[i].name))
            run_mix(r, &mixes[i]);
}
