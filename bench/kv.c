/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#define POOL_BYTES ((size_t)1 << 20) /* stays in the processor's cache */

static bool listed(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, name, n) == 0)
            return true;
    return false;
}

bool run_wants(const struct run *r, const char *row) {
    return !r->config->only || listed(r->config->only, r->group) || listed(r->config->only, row);
}

uint64_t at_most(const struct run *r, uint64_t count) {
    return count < r->config->most ? count : r->config->most;
}

void run_values(struct run *r, size_t value_size) {
    free(r->pool);
    r->value_size = value_size;
    r->slots = POOL_BYTES / value_size > 8 ? POOL_BYTES / value_size : 8;
    r->pool = need(r->slots * value_size);
    for (size_t i = 0; i < r->slots; i++)
        half_compressible(r->pool + i * value_size, value_size, i << 32);
}

void run_open(struct run *r, bool fresh) {
    if (fresh) {
        remove_tree(r->path);
        r->loaded = 0;
        r->oldest = r->newest = 0;
    }
    struct engine_options options = {.dir = r->path, .memory_bytes = r->memory_bytes};
    r->engine = r->ops->open(&options);
}

void run_close(struct run *r) {
    if (r->engine)
        r->ops->close(r->engine);
    r->engine = NULL;
}

static void put_be(uint8_t *out, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(out, &v, 8);
}

void sequential_key(uint8_t *out, uint64_t i) {
    put_be(out, i);
    put_be(out + 8, i);
}

void random_key(uint8_t *out, uint64_t i, uint64_t salt) {
    put_be(out, scramble(i));
    put_be(out + 8, salt);
}

uint64_t permuted(uint64_t i, uint64_t n) {
    return i * 2654435761u % n; /* a prime above any n that fits in 32 bits */
}

uint64_t tag_of(uint64_t i, unsigned version) {
    return scramble(i * 64 + version);
}

const uint8_t *value_of(struct run *r, uint8_t *scratch, uint64_t i, unsigned version) {
    uint8_t *slot = r->pool + i % r->slots * r->value_size, *value = slot;
    uint64_t tag = tag_of(i, version);
    if (r->value_size <= 4096)
        value = memcpy(scratch, slot, r->value_size);
    memcpy(value, &tag, 8);
    return value;
}

bool tag_fits(const struct run *r, uint64_t i, uint64_t tag) {
    for (unsigned v = r->newest + 1; v-- > r->oldest;)
        if (tag == tag_of(i, v))
            return true;
    return false;
}

uint64_t tag_sum(uint64_t from, uint64_t to, unsigned version) {
    uint64_t sum = 0;
    for (uint64_t i = from; i < to; i++)
        sum += tag_of(i, version);
    return sum;
}

void put_key(struct run *r, const uint8_t *key, uint64_t i, unsigned version, bool sync) {
    uint8_t scratch[4096];
    struct write_op op = {key, KEY_SIZE, value_of(r, scratch, i, version), r->value_size, 0};
    r->ops->write(r->engine, &op, 1, sync);
}

void delete_key(struct run *r, const uint8_t *key) {
    struct write_op op = {key, KEY_SIZE, NULL, 0, 0};
    r->ops->write(r->engine, &op, 1, false);
}

size_t scan(struct run *r, const uint8_t *key, size_t count, bool backward, struct touched *t) {
    struct cursor *c = r->ops->cursor_open(r->engine, key, KEY_SIZE, backward);
    size_t seen = r->ops->cursor_read(c, count, t);
    r->ops->cursor_close(c);
    return seen;
}

void expect(const struct run *r, const char *row, const char *what, uint64_t seen,
            uint64_t wanted) {
    if (seen != wanted)
        fatal("%s: %s: %s is %llu, expected %llu", r->ops->name, row, what,
              (unsigned long long)seen, (unsigned long long)wanted);
}

/* --- rows --- */

struct row row_begin(const char *name, uint64_t wanted) {
    reset_peak_rss();
    return (struct row){.name = name, .wanted = wanted, .begin = usage_now()};
}

#define MIB (1024.0 * 1024)

static FILE *append(const char *path, const char *header) {
    FILE *f = fopen(path, "a");
    if (!f)
        fatal("%s: cannot open", path);
    fseek(f, 0, SEEK_END);
    if (ftell(f) == 0)
        fputs(header, f);
    return f;
}

static void write_timeline(const struct run *r, const struct row *row) {
    if (!r->config->timeline || !row->timeline)
        return;
    FILE *f = append(r->config->timeline, "engine,workload,round,tenth,operations,second_p999_us,"
                                          "second_max_us\n");
    for (unsigned i = 0; i <= row->timeline->last_tenth; i++) {
        const struct histogram *h = row->timeline->seconds[i / 10];
        fprintf(f, "%s,%s,%u,%u,%u,%.1f,%.1f\n", r->ops->name, row->name, r->config->round, i,
                row->timeline->tenths[i], h ? (double)histogram_quantile(h, 0.999) / 1e3 : 0,
                h ? (double)h->max / 1e3 : 0);
    }
    fclose(f);
}

/* What is printed and stored of a row. */
struct result {
    uint64_t operations;
    bool cut;
    double wall_s, rate, cpu_us, p50_us, p99_us, p999_us, max_us;
    double peak_mib, anon_mib, written_mib, read_mib, disk_mib, user_mib, settle_s;
    unsigned long long syncs;
};

static void print_result(const struct run *r, const char *name, const struct result *x) {
    static bool headed;
    if (!headed)
        printf("%-10s %-18s %10s %11s %10s %8s %8s %9s %8s %9s\n", "engine", "workload", "ops",
               "ops/s", "CPU us/op", "p50 us", "p99 us", "p99.9 us", "peak MiB", "wrote MiB");
    headed = true;
    printf("%-10s %-18s %10llu %11.0f %10.3f ", r->ops->name, name,
           (unsigned long long)x->operations, x->rate, x->cpu_us);
    if (x->max_us > 0)
        printf("%8.1f %8.1f %9.1f ", x->p50_us, x->p99_us, x->p999_us);
    else
        printf("%8s %8s %9s ", "-", "-", "-");
    printf("%8.0f %9.1f%s\n", x->peak_mib, x->written_mib, x->cut ? "  cut short" : "");
    fflush(stdout);
}

static void store_result(const struct run *r, const char *name, const struct result *x) {
    if (!r->config->csv)
        return;
    FILE *f = append(r->config->csv,
                     "engine,version,group,workload,round,keys,value_bytes,memory_mib,operations,"
                     "cut,wall_s,ops_per_s,cpu_us_per_op,p50_us,p99_us,p999_us,max_us,peak_mib,"
                     "anonymous_mib,written_mib,read_mib,disk_mib,user_mib,syncs,settle_s,load\n");
    fprintf(f, "%s,%s,%s,%s,%u,%llu,%zu,%zu,%llu,%d,%.6f,%.1f,%.4f,%.2f,%.2f,%.2f,%.2f,", //
            r->ops->name, r->ops->version(), r->group, name, r->config->round,
            (unsigned long long)r->config->n, r->value_size, r->memory_bytes >> 20,
            (unsigned long long)x->operations, x->cut, x->wall_s, x->rate, x->cpu_us, x->p50_us,
            x->p99_us, x->p999_us, x->max_us);
    fprintf(f, "%.1f,%.1f,%.2f,%.2f,%.1f,%.2f,%llu,%.2f,%.1f\n", x->peak_mib, x->anon_mib,
            x->written_mib, x->read_mib, x->disk_mib, x->user_mib, x->syncs, x->settle_s,
            load_average());
    fclose(f);
}

void row_end(struct run *r, struct row *row, const struct meter *m) {
    uint64_t end = now_ns();
    if (row->settles)
        settle(r->config->fill_limit_ns);
    struct usage u = usage_now();
    uint64_t cpu = row->cpu_ns ? row->cpu_ns : u.cpu_ns - row->begin.cpu_ns - m->skipped_cpu_ns;
    double wall = (double)(m->last - m->begin) / 1e9;
    const struct histogram *h = &m->latency;
    struct result x = {
        .operations = m->operations * (row->per_tick ? row->per_tick : 1),
        .cut = m->operations < row->wanted,
        .wall_s = wall,
        .p50_us = (double)histogram_quantile(h, 0.5) / 1e3,
        .p99_us = (double)histogram_quantile(h, 0.99) / 1e3,
        .p999_us = (double)histogram_quantile(h, 0.999) / 1e3,
        .max_us = (double)h->max / 1e3,
        .peak_mib = (double)peak_rss() / MIB,
        .anon_mib = (double)(row->anon_bytes ? row->anon_bytes : anonymous_rss()) / MIB,
        .written_mib = (double)(u.written_bytes - row->begin.written_bytes) / MIB,
        .read_mib = (double)(u.read_bytes - row->begin.read_bytes) / MIB,
        .disk_mib = (double)disk_bytes(r->path) / MIB,
        .user_mib = (double)row->user_bytes / MIB,
        .settle_s = row->settles ? (double)(u.wall_ns - end) / 1e9 : 0,
        .syncs = u.syncs - row->begin.syncs,
    };
    if (x.operations == 0)
        fatal("%s: %s did nothing", r->ops->name, row->name);
    x.rate = wall > 0 ? (double)x.operations / wall : 0;
    x.cpu_us = (double)cpu / 1e3 / (double)x.operations;
    print_result(r, row->name, &x);
    store_result(r, row->name, &x);
    write_timeline(r, row);
}

void row_end_call(struct run *r, struct row *row, uint64_t operations) {
    struct meter m = {.begin = row->begin.wall_ns, .last = now_ns(), .operations = operations};
    row_end(r, row, &m);
}

void load(struct run *r, const char *name, uint64_t count, bool random) {
    uint8_t key[KEY_SIZE];
    struct row row = row_begin(name, count);
    struct meter m;
    meter_start(&m, r->config->fill_limit_ns, NULL);
    for (uint64_t i = 0; i < count; i++) {
        if (random)
            random_key(key, i, 0);
        else
            sequential_key(key, i);
        put_key(r, key, i, 0, false);
        if (!meter_tick(&m))
            break;
    }
    r->loaded = m.operations;
    row.settles = true;
    row.user_bytes = m.operations * (KEY_SIZE + r->value_size);
    if (name && run_wants(r, name))
        row_end(r, &row, &m);
    else
        settle(r->config->fill_limit_ns);
}
