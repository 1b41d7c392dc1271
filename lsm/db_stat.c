/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics: noting what took how long, and putting together what a caller is given. */
#include "base/assert.h"
#include "lsm/db_impl.h"

void db_note_latency(lam_db *db, lam_partition *p, enum counters_kind kind, uint64_t start_ns) {
    if (start_ns == 0)
        return;
    uint64_t ns = env_monotonic_ns(db->env) - start_ns;
    histogram_record(&db->latency[kind], ns);
    if (p)
        counters_record(&p->counters, kind, ns);
}

uint64_t db_note_work_us(lam_db *db, enum db_latency kind, uint64_t start_ns) {
    uint64_t ns = env_monotonic_ns(db->env) - start_ns;
    histogram_record(&db->latency[kind], ns);
    return ns / 1000;
}

static void add_reads(struct lam_stats *out, const struct read_counters *r) {
    out->iterators += atomic_load_explicit(&r->iterators, memory_order_relaxed);
    out->seeks += atomic_load_explicit(&r->seeks, memory_order_relaxed);
}

void db_note_gone_locked(lam_db *db, const lam_partition *p) {
    add_reads(&db_state(db)->stats, &p->counters.read);
}

void db_note_failure(lam_db *db, const char *what, const struct lam_error *error) {
    mutex_lock(&db->state);
    db_state(db)->stats.background_errors++;
    mutex_unlock(&db->state);
    notify_event(&db->notify, &(struct lam_event){.kind = LAM_EVENT_BACKGROUND_ERROR,
                                                  .code = error->code,
                                                  .message = error->message});
    notify_log(&db->notify, LAM_LOG_ERROR, "%s: %s failed: %s", db->path, what, error->message);
    notify_kick(&db->notify);
}

_Static_assert(VERSION_LEVELS == LAM_LEVELS, "levels in the public header");

static void add_level(struct lam_level_stats *out, const struct version_level *l) {
    out->files += l->count;
    out->bytes += l->bytes;
    out->entries += l->entries;
    out->deletes += l->deletes;
    out->range_tombstones += l->range_tombstones;
}

static uint64_t memtables_of(const struct read_state *r) {
    uint64_t bytes = r->active ? memtable_bytes(r->active) : 0;
    for (uint32_t i = 0; i < r->sealed_count; i++)
        bytes += memtable_bytes(r->sealed[i]);
    return bytes;
}

static double amplification(uint64_t log, uint64_t dump, uint64_t compaction, uint64_t put) {
    return put ? (double)(log + dump + compaction) / (double)put : 0;
}

static void add_partitions_locked(lam_db *db, struct lam_stats *out) REQUIRES(&db->state) {
    const struct db_state *s = db_state(db);
    out->partitions = s->count;
    for (size_t i = 0; i < s->count; i++) {
        const lam_partition *p = s->by_number[i];
        const struct version *v = p->state->version;
        add_reads(out, &p->counters.read);
        out->memtable_bytes += memtables_of(p->state);
        out->debt_bytes += pick_debt(v, db->tuning.base_bytes);
        for (uint32_t level = 0; level < VERSION_LEVELS; level++)
            add_level(&out->levels[level], v->levels[level]);
    }
}

static void add_state(lam_db *db, struct lam_stats *out) {
    uint64_t now = env_monotonic_ns(db->env);
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    *out = s->stats;
    out->snapshots = s->snapshot_count;
    if (s->snapshots) {
        out->oldest_sequence = s->snapshots->sequence;
        out->oldest_age_us = now > s->snapshots->made_ns ? (now - s->snapshots->made_ns) / 1000 : 0;
    }
    add_partitions_locked(db, out);
    mutex_unlock(&db->state);
    for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
        out->sst_files += out->levels[level].files;
        out->sst_bytes += out->levels[level].bytes;
    }
}

static void add_log(lam_db *db, struct lam_stats *out) {
    mutex_lock(&db->commit);
    const struct db_commit *c = db_commit(db);
    out->writes = c->writes;
    out->operations = c->operations;
    out->put_bytes = c->put_bytes;
    out->wal_bytes = c->wal_bytes;
    out->stalls = c->stalls;
    out->stall_us = c->stall_us;
    mutex_unlock(&db->commit);
    mutex_lock(&db->sync);
    out->wal_syncs = db_sync(db)->wal_syncs;
    out->sync_waits = db_sync(db)->sync_waits;
    mutex_unlock(&db->sync);
}

static void add_memory(lam_db *db, struct lam_stats *out) {
    struct block_cache_stats blocks = {0};
    block_cache_get_stats(db->blocks, &blocks);
    out->cache_bytes = blocks.bytes;
    out->cache_hits = blocks.hits;
    out->cache_misses = blocks.misses;
    sst_cache_usage(&db->ssts, &out->table_files, &out->table_bytes);
    out->memory_bytes = out->memtable_bytes + out->cache_bytes + out->table_bytes;
    out->memory_budget = db->options.memory_budget;
}

void lam_db_stats(lam_db *db, struct lam_stats *out) {
    if (!out)
        return;
    memset(out, 0, sizeof *out);
    if (!db || db_check_process(db, NULL) != LAM_OK)
        return;
    add_state(db, out);
    add_log(db, out);
    add_memory(db, out);
    out->sequence = db_published(db);
    out->gets = epochs_total(&db->epochs, EPOCH_GETS);
    out->filter_checks = epochs_total(&db->epochs, EPOCH_FILTER_CHECKS);
    out->filter_negatives = epochs_total(&db->epochs, EPOCH_FILTER_NEGATIVES);
    out->events_lost = notify_lost(&db->notify);
    out->write_amplification =
        amplification(out->wal_bytes, out->dump_bytes, out->compaction_write_bytes, out->put_bytes);
    histogram_read(&db->latency[COUNTERS_PUT], &out->put);
    histogram_read(&db->latency[COUNTERS_GET], &out->get);
    histogram_read(&db->latency[COUNTERS_SEEK], &out->seek);
    histogram_read(&db->latency[DB_LATENCY_SYNC], &out->sync);
    histogram_read(&db->latency[DB_LATENCY_DUMP], &out->dump);
    histogram_read(&db->latency[DB_LATENCY_COMPACTION], &out->compaction);
}

static void add_work(struct lam_partition_stats *out, const struct work_counters *w) {
    out->dumps = w->dumps;
    out->dump_bytes = w->dump_bytes;
    out->compactions = w->compactions;
    out->compaction_us = w->compaction_us;
    out->compaction_read_bytes = w->compaction_read_bytes;
    out->compaction_write_bytes = w->compaction_write_bytes;
    out->trivial_moves = w->trivial_moves;
}

static void add_writes(lam_db *db, const lam_partition *p, struct lam_partition_stats *out) {
    mutex_lock(&db->commit);
    const struct write_counters *w = &p->counters.write;
    out->puts = w->puts;
    out->deletes = w->deletes;
    out->range_deletes = w->range_deletes;
    out->put_bytes = w->put_bytes;
    out->wal_bytes = w->wal_bytes;
    mutex_unlock(&db->commit);
}

/* Files with versions from both sides of the oldest snapshot: which of the older ones only it sees
 * is known to a compaction alone. */
static uint64_t pinned_bytes(const struct version *v, uint64_t oldest) {
    uint64_t bytes = 0;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++) {
            const struct file_meta *f = v->levels[level]->files[i];
            if (f->properties.sequence_min <= oldest && f->properties.sequence_max > oldest)
                bytes += f->size_bytes;
        }
    return bytes;
}

static void add_sizes(lam_db *db, const struct read_state *r, uint64_t oldest,
                      struct lam_partition_stats *out) {
    const struct version *v = r->version;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
        add_level(&out->levels[level], v->levels[level]);
        out->sst_files += v->levels[level]->count;
        out->sst_bytes += v->levels[level]->bytes;
    }
    out->memtable_bytes = memtables_of(r);
    out->memtable_entries = r->active ? memtable_entries(r->active) : 0;
    for (uint32_t i = 0; i < r->sealed_count; i++)
        out->memtable_entries += memtable_entries(r->sealed[i]);
    out->debt_bytes = pick_debt(v, db->tuning.base_bytes);
    out->pinned_bytes = oldest ? pinned_bytes(v, oldest) : 0;
}

enum lam_code lam_partition_stats(lam_db *db, lam_partition *partition,
                                  struct lam_partition_stats *out, struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_partition_stats", err));
    if (!out)
        return ERR(err, LAM_INVALID, "lam_partition_stats: stats_out must not be NULL");
    struct read_state *r = NULL;
    uint64_t oldest = 0;
    struct lam_partition_stats s = {0};
    mutex_lock(&db->state);
    if (partition->state) {
        r = read_state_ref(partition->state);
        add_work(&s, &partition->counters.work);
        if (db_state(db)->snapshots)
            oldest = db_state(db)->snapshots->sequence;
    }
    mutex_unlock(&db->state);
    if (!r)
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", partition->name);
    add_writes(db, partition, &s);
    add_sizes(db, r, oldest, &s);
    read_state_unref(r);
    const struct read_counters *c = &partition->counters.read;
    counters_gets(&partition->counters, &s.gets, &s.filter_checks, &s.filter_negatives);
    s.iterators = atomic_load_explicit(&c->iterators, memory_order_relaxed);
    s.seeks = atomic_load_explicit(&c->seeks, memory_order_relaxed);
    s.write_amplification =
        amplification(s.wal_bytes, s.dump_bytes, s.compaction_write_bytes, s.put_bytes);
    struct lam_latency *to[COUNTERS_KINDS] = {&s.put, &s.get, &s.seek};
    for (int i = 0; i < COUNTERS_KINDS; i++)
        histogram_read(atomic_load_explicit(&partition->counters.latency[i], memory_order_acquire),
                       to[i]);
    *out = s;
    return LAM_OK;
}
