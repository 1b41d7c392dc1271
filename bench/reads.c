/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads of what fillrandom made: in memory, as it fell into sorted files, and compacted; beside a
 * writer; with the page cache cold. The group main goes on with the same database to overwrites,
 * a long iterator, YCSB and deletes. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"

#define MEM_KEYS_MAX  200000
#define MULTI         32
#define SEEKS_DIVISOR 10
#define SEEK_ENTRIES  11
#define COLD_DROP     1000 /* reads between two drops of the page cache */
#define COLD_TIMES    5    /* data to memory */
#define COLD_LEAST    ((size_t)8 << 20)

/* A row's name: `name` and `suffix`, valid until the next call. */
static const char *named(const char *name, const char *suffix) {
    static char buffer[64];
    snprintf(buffer, sizeof buffer, "%s%s", name, suffix);
    return buffer;
}

static void check_get(struct run *r, const char *name, uint64_t number) {
    uint8_t key[KEY_SIZE];
    struct touched t = {0};
    random_key(key, number, 0);
    if (!r->ops->get(r->engine, key, KEY_SIZE, &t))
        fatal("%s: %s: key %llu is not found", r->ops->name, name, (unsigned long long)number);
    if (!tag_fits(r, number, t.tags))
        fatal("%s: %s: key %llu has a value that was never written", r->ops->name, name,
              (unsigned long long)number);
}

static void read_random(struct run *r, const char *name, bool missing) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    if (!run_wants(r, name))
        return;
    uint64_t count = at_most(r, r->loaded);
    struct row row = row_begin(name, count);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = scramble(i + 1000003) % r->loaded;
        if (!missing) {
            check_get(r, name, number);
        } else {
            struct touched t = {0};
            random_key(key, number, 1);
            expect(r, name, "found", r->ops->get(r->engine, key, KEY_SIZE, &t), false);
        }
        if (!meter_tick(&m))
            break;
    }
    row_end(r, &row, &m);
}

static void read_multi(struct run *r, const char *name) {
    uint8_t keys[MULTI * KEY_SIZE];
    struct meter m;
    if (!run_wants(r, name) || !r->ops->multi_get)
        return;
    uint64_t count = at_most(r, r->loaded) / MULTI;
    struct row row = row_begin(name, count);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        struct touched t = {0};
        uint64_t tags = 0;
        for (unsigned k = 0; k < MULTI; k++) {
            uint64_t number = scramble(i * MULTI + k + 2000003) % r->loaded;
            random_key(keys + k * KEY_SIZE, number, 0);
            tags += tag_of(number, r->newest);
        }
        expect(r, name, "found", r->ops->multi_get(r->engine, keys, KEY_SIZE, MULTI, &t), MULTI);
        expect(r, name, "sum of tags", t.tags, tags);
        if (!meter_tick(&m))
            break;
    }
    row.per_tick = MULTI;
    row_end(r, &row, &m);
}

static void read_seeks(struct run *r, const char *name) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    uint64_t short_ones = 0;
    if (!run_wants(r, name))
        return;
    uint64_t count = at_most(r, r->loaded) / SEEKS_DIVISOR;
    struct row row = row_begin(name, count);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        struct touched t = {0};
        random_key(key, scramble(i + 3000003) % r->loaded, 0);
        short_ones += scan(r, key, SEEK_ENTRIES, false, &t) < SEEK_ENTRIES;
        if (!meter_tick(&m))
            break;
    }
    row_end(r, &row, &m);
    /* Only the ten last keys have fewer behind them. */
    if (short_ones > 20 + count * 40 / r->loaded)
        fatal("%s: %s: %llu of %llu seeks ended early", r->ops->name, name,
              (unsigned long long)short_ones, (unsigned long long)count);
}

static void read_all(struct run *r, const char *name, bool backward) {
    struct touched t = {0};
    if (!run_wants(r, name))
        return;
    struct row row = row_begin(name, r->loaded);
    size_t seen = scan(r, NULL, SIZE_MAX, backward, &t);
    row_end_call(r, &row, seen);
    expect(r, name, "entries", seen, r->loaded);
    if (r->oldest == r->newest)
        expect(r, name, "sum of tags", t.tags, tag_sum(0, r->loaded, r->newest));
}

void read_rows(struct run *r, const char *suffix) {
    read_all(r, named("readseq", suffix), false);
    read_all(r, named("readreverse", suffix), true);
    read_random(r, named("readrandom", suffix), false);
    read_random(r, named("readmissing", suffix), true);
    read_multi(r, named("multiget32", suffix));
    read_seeks(r, named("seek10", suffix));
}

/* So few keys that every engine's write buffer holds them. */
void group_mem(struct run *r) {
    run_open(r, true);
    load(r, NULL, r->config->n < MEM_KEYS_MAX ? r->config->n : MEM_KEYS_MAX, true);
    read_rows(r, "_mem");
    run_close(r);
}

/* --- beside a writer --- */

struct beside {
    struct run *run;
    unsigned version;
    atomic_bool done;
};

static void beside_thread(void *arg, unsigned thread, struct meter *m) {
    struct beside *b = arg;
    struct run *r = b->run;
    uint8_t key[KEY_SIZE];
    if (thread == 0) {
        for (uint64_t i = 0; i < at_most(r, r->loaded); i++) {
            check_get(r, "rww_read", scramble(i + 4000003) % r->loaded);
            if (!meter_tick(m))
                break;
        }
        atomic_store(&b->done, true);
        return;
    }
    for (uint64_t i = 0; i == 0 || !atomic_load_explicit(&b->done, memory_order_relaxed); i++) {
        uint64_t number = permuted(i % r->loaded, r->loaded);
        random_key(key, number, 0);
        put_key(r, key, number, b->version, false);
        meter_tick(m);
    }
}

static void read_while_writing(struct run *r) {
    if (!run_wants(r, "rww_read") && !run_wants(r, "rww_write"))
        return;
    struct beside b = {.run = r, .version = ++r->newest};
    struct row reader = row_begin("rww_read", at_most(r, r->loaded)), writer = reader;
    struct meter *meters = run_threads(2, beside_thread, &b, r->config->limit_ns);
    settle(r->config->fill_limit_ns);
    /* Background work is the writer's. */
    reader.cpu_ns = meters[0].cpu_ns;
    writer.cpu_ns = cpu_ns() - reader.begin.cpu_ns - reader.cpu_ns;
    writer.name = "rww_write";
    writer.wanted = 0;
    row_end(r, &reader, &meters[0]);
    row_end(r, &writer, &meters[1]);
    free(meters);
}

/* --- overwrites and an iterator that lives through them --- */

static bool overwrite(struct run *r, const char *name, struct meter *m) {
    uint8_t key[KEY_SIZE];
    uint64_t count = at_most(r, r->loaded);
    struct row row = row_begin(name, count);
    r->newest++;
    meter_start(m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = permuted(i, r->loaded);
        random_key(key, number, 0);
        put_key(r, key, number, r->newest, false);
        if (!meter_tick(m))
            break;
    }
    row.settles = true;
    row.user_bytes = m->operations * (KEY_SIZE + r->value_size);
    row_end(r, &row, m);
    if (m->operations == r->loaded)
        r->oldest = r->newest;
    return r->oldest == r->newest;
}

static void long_iterator(struct run *r) {
    struct touched t = {0};
    struct meter m;
    if (!run_wants(r, "longiter_write") && !run_wants(r, "longiter_read"))
        return;
    bool known = r->oldest == r->newest;
    uint64_t tags = known ? tag_sum(0, r->loaded, r->newest) : 0;
    struct cursor *c = r->ops->cursor_open(r->engine, NULL, 0, false);
    size_t seen = r->ops->cursor_read(c, r->loaded / 2, &t);
    overwrite(r, "longiter_write", &m);
    struct row row = row_begin("longiter_read", r->loaded - seen);
    size_t rest = r->ops->cursor_read(c, SIZE_MAX, &t);
    row_end_call(r, &row, rest);
    r->ops->cursor_close(c);
    expect(r, "longiter_read", "entries", seen + rest, r->loaded);
    if (known)
        expect(r, "longiter_read", "sum of tags of before the writes", t.tags, tags);
}

/* --- deletes --- */

static void delete_random(struct run *r) {
    uint8_t key[KEY_SIZE];
    struct meter m;
    if (!run_wants(r, "deleterandom") && !run_wants(r, "scan_halfdeleted"))
        return;
    uint64_t count = r->loaded / 2;
    struct row row = row_begin("deleterandom", count);
    meter_start(&m, r->config->fill_limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        random_key(key, permuted(i, r->loaded), 0);
        delete_key(r, key);
        if (!meter_tick(&m))
            break;
    }
    row.settles = true;
    row_end(r, &row, &m);
    uint64_t deleted = m.operations;
    struct touched t = {0};
    row = row_begin("scan_halfdeleted", r->loaded - deleted);
    size_t seen = scan(r, NULL, SIZE_MAX, false, &t);
    row_end_call(r, &row, seen);
    expect(r, "scan_halfdeleted", "entries", seen, r->loaded - deleted);
}

/* A dump or a compaction of all that is loaded. */
static void rewrite(struct run *r, const char *name, void (*call)(struct engine *e)) {
    struct row row = row_begin(name, r->loaded);
    call(r->engine);
    row.settles = true;
    if (run_wants(r, name))
        row_end_call(r, &row, r->loaded);
    else
        settle(r->config->fill_limit_ns);
}

void group_main(struct run *r) {
    struct meter m;
    run_open(r, true);
    load(r, "fillrandom", r->config->n, true);
    if (r->ops->dump)
        rewrite(r, "dump", r->ops->dump);
    read_rows(r, "");
    if (r->ops->compact) {
        rewrite(r, "compact", r->ops->compact);
        read_rows(r, "_compacted");
    }
    if (run_wants(r, "overwrite"))
        overwrite(r, "overwrite", &m);
    long_iterator(r);
    read_while_writing(r);
    ycsb_rows(r);
    delete_random(r);
    run_close(r);
}

/* --- cold --- */

/* Memory for a fifth of the data. */
static void little_memory(struct run *r) {
    size_t data = r->config->n * (KEY_SIZE + r->value_size);
    r->memory_bytes = data / COLD_TIMES > COLD_LEAST ? data / COLD_TIMES : COLD_LEAST;
}

/* Fills a fresh database, puts its files out of the page cache, and opens it again. */
static void fill_cold(struct run *r, const char *row) {
    run_open(r, true);
    load(r, row, r->config->n, true);
    if (r->ops->dump)
        r->ops->dump(r->engine);
    settle(r->config->fill_limit_ns);
    run_close(r);
    drop_page_cache(r->path);
    run_open(r, false);
}

/* Data five times the memory. The files are put out of the page cache before each row, and again
 * each COLD_DROP gets, with the clock stopped. */
void group_cold(struct run *r) {
    struct meter m;
    little_memory(r);
    fill_cold(r, "cold_fill");
    uint64_t count = r->config->n / 50 > 100 ? r->config->n / 50 : 100;
    struct row row = row_begin("cold_read", count);
    meter_start(&m, r->config->limit_ns, NULL);
    for (uint64_t i = 0; i < count && run_wants(r, "cold_read"); i++) {
        check_get(r, "cold_read", scramble(i + 5000003) % r->loaded);
        bool more = meter_tick(&m);
        if (!more)
            break;
        if (i % COLD_DROP == COLD_DROP - 1) {
            meter_stop(&m);
            drop_page_cache(r->path);
            meter_go_on(&m);
        }
    }
    if (run_wants(r, "cold_read"))
        row_end(r, &row, &m);
    run_close(r);
    drop_page_cache(r->path);
    run_open(r, false);
    read_all(r, "cold_scan", false);
    run_close(r);
}

/* Data five times the memory, and as much page cache as memory. */
void group_limited(struct run *r) {
    struct meter m;
    little_memory(r);
    int limiter = page_limit_begin(r->path, r->memory_bytes);
    fill_cold(r, "limited_fill");
    read_random(r, "limited_read", false);
    read_seeks(r, "limited_seek10");
    read_all(r, "limited_scan", false);
    if (run_wants(r, "limited_write"))
        overwrite(r, "limited_write", &m);
    run_close(r);
    page_limit_end(limiter);
}
