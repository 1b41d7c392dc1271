/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics as text: a table of the structs' fields, and how levels and latencies are written. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "lsm/db_impl.h"

struct field {
    const char *name;
    size_t offset;
};
#define FIELD(type, name)                                                                          \
    { #name, offsetof(struct type, name) }
#define DB_FIELD(name)        FIELD(lam_stats, name)
#define PARTITION_FIELD(name) FIELD(lam_partition_stats, name)

static const struct field db_fields[] = {
    DB_FIELD(sequence),
    DB_FIELD(partitions),
    DB_FIELD(writes),
    DB_FIELD(operations),
    DB_FIELD(put_bytes),
    DB_FIELD(gets),
    DB_FIELD(iterators),
    DB_FIELD(seeks),
    DB_FIELD(wal_bytes),
    DB_FIELD(wal_syncs),
    DB_FIELD(sync_waits),
    DB_FIELD(dumps),
    DB_FIELD(dump_bytes),
    DB_FIELD(compactions),
    DB_FIELD(compaction_read_bytes),
    DB_FIELD(compaction_write_bytes),
    DB_FIELD(trivial_moves),
    DB_FIELD(stalls),
    DB_FIELD(stall_us),
    DB_FIELD(memtable_bytes),
    DB_FIELD(cache_bytes),
    DB_FIELD(table_bytes),
    DB_FIELD(table_files),
    DB_FIELD(memory_bytes),
    DB_FIELD(memory_budget),
    DB_FIELD(cache_hits),
    DB_FIELD(cache_misses),
    DB_FIELD(filter_checks),
    DB_FIELD(filter_negatives),
    DB_FIELD(sst_files),
    DB_FIELD(sst_bytes),
    DB_FIELD(debt_bytes),
    DB_FIELD(background_errors),
    DB_FIELD(events_lost),
    DB_FIELD(snapshots),
    DB_FIELD(oldest_sequence),
    DB_FIELD(oldest_age_us),
    DB_FIELD(recovered_operations),
};
static const struct field partition_fields[] = {
    PARTITION_FIELD(puts),
    PARTITION_FIELD(deletes),
    PARTITION_FIELD(range_deletes),
    PARTITION_FIELD(put_bytes),
    PARTITION_FIELD(gets),
    PARTITION_FIELD(iterators),
    PARTITION_FIELD(seeks),
    PARTITION_FIELD(wal_bytes),
    PARTITION_FIELD(dumps),
    PARTITION_FIELD(dump_bytes),
    PARTITION_FIELD(compactions),
    PARTITION_FIELD(compaction_us),
    PARTITION_FIELD(compaction_read_bytes),
    PARTITION_FIELD(compaction_write_bytes),
    PARTITION_FIELD(trivial_moves),
    PARTITION_FIELD(filter_checks),
    PARTITION_FIELD(filter_negatives),
    PARTITION_FIELD(memtable_bytes),
    PARTITION_FIELD(memtable_entries),
    PARTITION_FIELD(sst_files),
    PARTITION_FIELD(sst_bytes),
    PARTITION_FIELD(debt_bytes),
    PARTITION_FIELD(pinned_bytes),
};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/* The caller's buffer, and how long the text would be. */
struct text {
    char *at;
    size_t capacity;
    size_t size;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    LAM_ASSERT(n >= 0 && (size_t)n < sizeof line);
    for (int i = 0; i < n; i++, t->size++)
        if (t->size + 1 < t->capacity)
            t->at[t->size] = line[i];
}

static void finish(struct text *t, size_t *size_out) {
    LAM_ASSERT(t->size < LAM_STATS_TEXT_MAX);
    if (t->capacity > 0)
        t->at[t->size < t->capacity ? t->size : t->capacity - 1] = 0;
    if (size_out)
        *size_out = t->size;
}

static void add_fields(struct text *t, const struct field *fields, size_t count, const void *of) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)of + fields[i].offset, sizeof value);
        add(t, "%s %" PRIu64 "\n", fields[i].name, value);
    }
}

static void add_levels(struct text *t, const struct lam_level_stats *levels) {
    for (int i = 0; i < LAM_LEVELS; i++)
        add(t,
            "level %d files %" PRIu64 " bytes %" PRIu64 " entries %" PRIu64 " deletes %" PRIu64
            " range_tombstones %" PRIu64 "\n",
            i, levels[i].files, levels[i].bytes, levels[i].entries, levels[i].deletes,
            levels[i].range_tombstones);
}

static void add_latency(struct text *t, const char *kind, const struct lam_latency *l) {
    add(t,
        "latency %s count %" PRIu64 " mean_ns %" PRIu64 " p50_ns %" PRIu64 " p90_ns %" PRIu64
        " p99_ns %" PRIu64 " p999_ns %" PRIu64 " max_ns %" PRIu64 "\n",
        kind, l->count, l->mean_ns, l->p50_ns, l->p90_ns, l->p99_ns, l->p999_ns, l->max_ns);
}

/* Two decimals without the locale's sign. */
static void add_ratio(struct text *t, const char *name, double value) {
    uint64_t hundredths = (uint64_t)(value * 100 + 0.5);
    add(t, "%s %" PRIu64 ".%02u\n", name, hundredths / 100, (unsigned)(hundredths % 100));
}

static enum lam_code check_text(const char *call, const char *text, size_t capacity,
                                struct lam_error *err) {
    if (!text && capacity > 0)
        return ERR(err, LAM_INVALID, "%s: text of %zu bytes is NULL", call, capacity);
    return LAM_OK;
}

enum lam_code lam_db_stats_text(lam_db *db, char *text, size_t capacity, size_t *size_out,
                                struct lam_error *err) {
    struct lam_stats s;
    struct text t = {text, capacity, 0};
    if (!db)
        return ERR(err, LAM_INVALID, "lam_db_stats_text: db must not be NULL");
    TRY(db_check_process(db, err));
    TRY(check_text("lam_db_stats_text", text, capacity, err));
    lam_db_stats(db, &s);
    add_fields(&t, db_fields, COUNT(db_fields), &s);
    add(&t, "recovered_torn_tail %d\n", s.recovered_torn_tail);
    add_ratio(&t, "write_amplification", s.write_amplification);
    add_levels(&t, s.levels);
    add_latency(&t, "put", &s.put);
    add_latency(&t, "get", &s.get);
    add_latency(&t, "seek", &s.seek);
    add_latency(&t, "sync", &s.sync);
    add_latency(&t, "dump", &s.dump);
    add_latency(&t, "compaction", &s.compaction);
    finish(&t, size_out);
    return LAM_OK;
}

enum lam_code lam_partition_stats_text(lam_db *db, lam_partition *partition, char *text,
                                       size_t capacity, size_t *size_out, struct lam_error *err) {
    struct lam_partition_stats s;
    struct text t = {text, capacity, 0};
    TRY(check_text("lam_partition_stats_text", text, capacity, err));
    TRY(lam_partition_stats(db, partition, &s, err));
    add_fields(&t, partition_fields, COUNT(partition_fields), &s);
    add_ratio(&t, "write_amplification", s.write_amplification);
    add_levels(&t, s.levels);
    add_latency(&t, "put", &s.put);
    add_latency(&t, "get", &s.get);
    add_latency(&t, "seek", &s.seek);
    finish(&t, size_out);
    return LAM_OK;
}
