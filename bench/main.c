/* SPDX-License-Identifier: Apache-2.0
 *
 * The benchmark program. With -e it runs a peer that it was built with instead of Lamina. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"

static const struct engine_ops *const engines[] = {
    &engine_lamina,
#ifdef HAVE_rocksdb
    &engine_rocksdb,
#endif
#ifdef HAVE_leveldb
    &engine_leveldb,
#endif
#ifdef HAVE_lmdb
    &engine_lmdb,
#endif
#ifdef HAVE_wiredtiger
    &engine_wiredtiger,
#endif
#ifdef HAVE_sqlite
    &engine_sqlite,
#endif
};
#define ENGINES (sizeof engines / sizeof engines[0])

static const struct group {
    const char *name, *rows;
    void (*run)(struct run *r);
} groups[] = {
    {"mem", "readrandom_mem readmissing_mem multiget32_mem seek10_mem readseq_mem readreverse_mem",
     group_mem},
    {"main",
     "fillrandom dump readrandom readmissing multiget32 seek10 readseq readreverse compact "
     "readrandom_compacted readmissing_compacted multiget32_compacted seek10_compacted "
     "readseq_compacted readreverse_compacted overwrite longiter_write longiter_read rww_read "
     "rww_write ycsbA ycsbB ycsbC ycsbF ycsbD ycsbE deleterandom scan_halfdeleted",
     group_main},
    {"seq", "fillseq deleteseq firstkey firstkey_dumped queue deleterange scan_rangedeleted",
     group_seq},
    {"batch", "batch100 batch4part", group_batch},
    {"sync", "fillsync fillsync8", group_sync},
    {"recover", "recover open", group_recover},
    {"partitions", "part_create part_open", group_partitions},
    {"large", "fill4k read4k scan4k fill64k read64k scan64k", group_large},
    {"cold", "cold_fill cold_read cold_scan", group_cold},
    {"limited", "limited_fill limited_read limited_seek10 limited_scan limited_write",
     group_limited},
    {"sustained", "sustained", group_sustained},
    {"sql",
     "sql-insert sql-insert-1000 sql-point-select hot-scan-sum flush-parquet cold-scan-sum "
     "cold-scan-group cold-point-select",
     group_sql},
};
#define GROUPS (sizeof groups / sizeof groups[0])

static void usage(FILE *out) {
    fputs("usage: lamina-bench [-n KEYS] [-e ENGINE] [-w GROUP|ROW,...] [-d DIR] [-m MEMORY_MIB]\n"
          "                    [-k OPERATIONS] [-v VALUE_BYTES] [-l SECONDS] [-o CSV]\n"
          "                    [-T TIMELINE_CSV] [-r ROUND]\n"
          "       lamina-bench -L        lists engines, groups and rows\n"
          "A row is cut short after SECONDS (a fill that others build upon after ten times\n"
          "that); a row that no other builds upon does OPERATIONS at most.\n",
          out);
}

static void list(void) {
    for (size_t i = 0; i < ENGINES; i++)
        printf("engine %s %s\n", engines[i]->name, engines[i]->version());
    for (size_t i = 0; i < GROUPS; i++)
        printf("group %s %s\n", groups[i].name, groups[i].rows);
}

static const struct engine_ops *find_engine(const char *name) {
    for (size_t i = 0; i < ENGINES; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    fatal("no engine %s in this build", name);
}

/* Whether the group or one of its rows was asked for. */
static bool group_wanted(struct run *r, const struct group *g) {
    char row[64];
    r->group = g->name;
    for (const char *p = g->rows; *p; p += strcspn(p, " "), p += *p == ' ') {
        snprintf(row, sizeof row, "%.*s", (int)strcspn(p, " "), p);
        if (run_wants(r, row))
            return true;
    }
    return false;
}

static void run_groups(const struct engine_ops *ops, const struct bench_config *config,
                       const char *phase) {
    for (size_t i = 0; i < GROUPS; i++) {
        struct run r = {.ops = ops, .config = config, .memory_bytes = config->memory_bytes};
        if (!group_wanted(&r, &groups[i]))
            continue;
        snprintf(r.path, sizeof r.path, "%s/bench-%s", config->dir, ops->name);
        run_values(&r, config->value_size);
        if (phase)
            child_phase(&r, phase);
        else
            groups[i].run(&r);
        free(r.pool);
        if (!phase)
            remove_tree(r.path);
    }
}

/* The engines that lie: each breaks one promise, which a row must notice. For the self-test. */
static struct engine_ops lying;
static const struct engine_ops *honest;
static unsigned calls;

static void write_some(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    if (calls++ % 500 != 499)
        honest->write(e, ops, count, sync);
}

static void write_unsynced(struct engine *e, const struct write_op *ops, size_t count, bool sync) {
    (void)sync;
    honest->write(e, ops, count, false);
}

static bool get_nothing(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    (void)e;
    (void)key;
    (void)key_size;
    (void)t;
    return true;
}

static bool get_first(struct engine *e, const void *key, size_t key_size, struct touched *t) {
    static uint8_t first[KEY_SIZE];
    if (calls++ == 0)
        memcpy(first, key, key_size);
    return honest->get(e, first, key_size, t);
}

static size_t read_fewer(struct cursor *c, size_t count, struct touched *t) {
    size_t seen = honest->cursor_read(c, count == SIZE_MAX ? 100 : count, t);
    return seen;
}

static size_t read_untouched(struct cursor *c, size_t count, struct touched *t) {
    struct touched unseen = {0};
    (void)t;
    return honest->cursor_read(c, count, &unseen);
}

static void delete_range_not(struct engine *e, const void *from, const void *to, size_t size) {
    (void)e;
    (void)from;
    (void)to;
    (void)size;
}

static const struct engine_ops *liar(const struct engine_ops *ops, const char *lie) {
    honest = ops;
    lying = *ops;
    if (strcmp(lie, "write-some") == 0)
        lying.write = write_some;
    else if (strcmp(lie, "write-unsynced") == 0)
        lying.write = write_unsynced;
    else if (strcmp(lie, "get-nothing") == 0)
        lying.get = get_nothing;
    else if (strcmp(lie, "get-first") == 0)
        lying.get = get_first;
    else if (strcmp(lie, "read-fewer") == 0)
        lying.cursor_read = read_fewer;
    else if (strcmp(lie, "read-untouched") == 0)
        lying.cursor_read = read_untouched;
    else if (strcmp(lie, "delete-range-not") == 0)
        lying.delete_range = delete_range_not;
    else
        fatal("no lie %s", lie);
    return &lying;
}

static uint64_t number(const char *text, uint64_t least, uint64_t most) {
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end || n < least || n > most)
        fatal("%s: expected a number from %llu to %llu", text, (unsigned long long)least,
              (unsigned long long)most);
    return n;
}

int main(int argc, char **argv) {
    struct bench_config config = {.n = 1000000,
                                  .most = UINT64_MAX,
                                  .engine = "lamina",
                                  .dir = "/tmp",
                                  .value_size = 100,
                                  .memory_bytes = (size_t)512 << 20,
                                  .round = 1};
    const char *phase = NULL, *lie = NULL;
    uint64_t limit_s = 30;
    for (int c; (c = getopt(argc, argv, "n:k:d:w:e:m:v:l:o:T:r:P:Z:Lh")) != -1;) {
        switch (c) {
        case 'n':
            config.n = number(optarg, 1000, 1u << 31);
            break;
        case 'k':
            config.most = number(optarg, 1000, UINT64_MAX);
            break;
        case 'd':
            config.dir = optarg;
            break;
        case 'w':
            config.only = optarg;
            break;
        case 'e':
            config.engine = optarg;
            break;
        case 'm':
            config.memory_bytes = number(optarg, 8, 1 << 20) << 20;
            break;
        case 'v':
            config.value_size = number(optarg, 8, 1 << 20);
            break;
        case 'l':
            limit_s = number(optarg, 1, 86400);
            break;
        case 'o':
            config.csv = optarg;
            break;
        case 'T':
            config.timeline = optarg;
            break;
        case 'r':
            config.round = (unsigned)number(optarg, 0, 1000000);
            break;
        case 'P':
            phase = optarg;
            break; /* what lifecycle.c starts */
        case 'Z':
            lie = optarg;
            break; /* what selftest.py starts */
        case 'L':
            list();
            return 0;
        default:
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    config.limit_ns = limit_s * 1000000000u;
    config.fill_limit_ns = 10 * config.limit_ns;
    const struct engine_ops *ops = find_engine(config.engine);
    run_groups(lie ? liar(ops, lie) : ops, &config, phase);
    return 0;
}
