/* SPDX-License-Identifier: Apache-2.0
 *
 * The commit path: room, stamp, memory, log, memtables, publication; then the wait for a sync. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

/* The batch of lam_put keeps its memory up to this size. */
#define SCRATCH_BYTES (1u << 20)
/* Pacing delays are slept in portions of at least this. */
#define PACE_PORTION_NS 1000000u
#define PACE_MOST_NS    100000000u
#define ROOM_MOST_NS    5000000u

static void sealed_set_free(struct sealed_set *set) {
    if (!set)
        return;
    mem_free(set->items);
    mem_free(set);
}

static enum lam_code sealed_set_new(size_t count, struct sealed_set **out, struct lam_error *err) {
    struct sealed_set *set = mem_calloc(1, sizeof *set);
    if (set)
        set->items = mem_calloc(count, sizeof *set->items);
    if (!set || !set->items) {
        sealed_set_free(set);
        return mem_fail(err, count * sizeof *set->items);
    }
    *out = set;
    return LAM_OK;
}

static bool sealed_is_full(lam_db *db) {
    mutex_lock(&db->state);
    bool full = db_state(db)->sealed_count == DB_SEALED_MAX;
    mutex_unlock(&db->state);
    return full;
}

static void free_states(lam_db *db, struct read_state **states, size_t count) {
    for (size_t i = 0; i < count; i++)
        read_state_defer_unref(db, states[i]);
    epoch_reclaim(&db->epochs);
    mem_free(states);
}

static enum lam_code make_states(lam_db *db, size_t count, struct read_state ***out,
                                 struct lam_error *err) {
    struct read_state **states = mem_calloc(count, sizeof *states);
    if (!states)
        return mem_fail(err, count * sizeof *states);
    for (size_t i = 0; i < count; i++) {
        states[i] = read_state_new(err);
        if (!states[i]) {
            free_states(db, states, i);
            return LAM_NO_MEMORY;
        }
    }
    *out = states;
    return LAM_OK;
}

/* Moves the active memtable of `p` to its sealed ones, in the blank state `fresh`; gives the old
 * state. */
static struct read_state *seal_partition_locked(lam_db *db, lam_partition *p,
                                                struct read_state *fresh) REQUIRES(&db->state) {
    struct read_state *old = p->state;
    LAM_ASSERT(p->db == db && old->active == p->active && old->sealed_count < DB_SEALED_MAX);
    fresh->version = version_ref(old->version);
    fresh->sealed[0] = memtable_ref(old->active);
    for (uint32_t i = 0; i < old->sealed_count; i++)
        fresh->sealed[i + 1] = memtable_ref(old->sealed[i]);
    fresh->sealed_count = old->sealed_count + 1;
    p->state = fresh;
    return old;
}

enum lam_code db_seal_locked(lam_db *db, struct lam_error *err) {
    struct db_commit *c = db_commit(db);
    if (c->active_count == 0)
        return LAM_OK;
    if (sealed_is_full(db))
        return ERR(err, LAM_BUSY, "%u memtable sets wait to be written", DB_SEALED_MAX);
    struct sealed_set *set = NULL;
    struct read_state **states = NULL;
    TRY(sealed_set_new(c->active_count, &set, err));
    enum lam_code rc = make_states(db, c->active_count, &states, err);
    if (rc == LAM_OK) {
        rc = db_wal_roll_locked(db, 0, err); /* D3 */
        if (rc != LAM_OK)
            free_states(db, states, c->active_count);
    }
    if (rc != LAM_OK) {
        sealed_set_free(set);
        return rc;
    }
    set->last_sequence = c->last_sequence;
    set->next_wal = c->segment->number;
    set->bytes = c->active_bytes;
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    for (size_t i = 0; i < c->active_count; i++) {
        lam_partition *p = c->active[i];
        if (p->state) {
            set->items[set->count++] = (struct sealed_memtable){p, memtable_ref(p->active)};
            states[i] = seal_partition_locked(db, p, states[i]);
            c->active[i] = NULL; /* the set has the reference now */
        }
        p->active = NULL;
        p->is_active = false;
    }
    /* From here on the set is the dump's: it may be gone as soon as the mutex is free. */
    s->sealed[s->sealed_count++] = set;
    if (s->sealed_count == DB_SEALED_MAX && s->dump_running)
        atomic_store_explicit(
            &db->room_at_ns, s->dump_started_ns + s->dump_ns_per_kib * (s->sealed[0]->bytes / 1024),
            memory_order_relaxed);
    mutex_unlock(&db->state);
    for (size_t i = 0; i < c->active_count; i++)
        db_partition_unref(c->active[i]);
    free_states(db, states, c->active_count);
    c->active_count = 0;
    c->active_bytes = 0;
    c->sealed_sequence = c->last_sequence;
    return LAM_OK;
}

static bool dump_is_coming(lam_db *db) {
    mutex_lock(&db->state);
    bool coming = db_state(db)->dump_scheduled || db_state(db)->dump_running;
    mutex_unlock(&db->state);
    return coming;
}

/* Waits for a dump to end, or to fail, when both sealed sets are taken. Asks for one if none is on
 * its way: the last one may have failed just before. */
static enum lam_code wait_for_dump_locked(lam_db *db, uint64_t attempts, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    TRY(db_check_writable(db, err));
    if (c->dump_attempts != attempts && c->dump_error.code != LAM_OK) {
        if (err)
            *err = c->dump_error;
        return c->dump_error.code;
    }
    if (!dump_is_coming(db)) {
        mutex_unlock(&db->commit);
        db_bg_kick(db, true);
        mutex_lock(&db->commit);
        return LAM_OK;
    }
    cond_wait(&db->room, &db->commit);
    return LAM_OK;
}

/* While all places for sealed sets are taken, writers fill the active memtables no faster than the
 * running dump should come to its end: rather than to stop at once and for long when they are
 * full. */
static void pace_to_room_locked(lam_db *db, uint64_t room_at) REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    uint64_t now = env_monotonic_ns(db->env);
    if (c->full_room_at_ns != room_at) {
        c->full_room_at_ns = room_at;
        c->full_since_ns = now;
        c->full_since_bytes = c->active_bytes;
    }
    if (room_at <= c->full_since_ns || c->active_bytes < c->full_since_bytes ||
        c->active_bytes >= db->tuning.rotate_bytes)
        return;
    double filled = (double)(c->active_bytes - c->full_since_bytes) /
                    (double)(db->tuning.rotate_bytes - c->full_since_bytes);
    uint64_t due = c->full_since_ns + (uint64_t)(filled * (double)(room_at - c->full_since_ns));
    if (due < now + PACE_PORTION_NS)
        return;
    uint64_t sleep = due - now < ROOM_MOST_NS ? due - now : ROOM_MOST_NS;
    cond_wait_for(&db->room, &db->commit, sleep / 1000);
    c->stall_us += (env_monotonic_ns(db->env) - now) / 1000;
}

/* Sleeps off what pacing has asked for. */
static void pace_locked(lam_db *db, uint64_t bytes) REQUIRES(&db->commit) {
    uint32_t pace = atomic_load_explicit(&db->pace, memory_order_relaxed);
    struct db_commit *c = db_commit(db);
    uint64_t room_at = atomic_load_explicit(&db->room_at_ns, memory_order_relaxed);
    if (room_at != 0 && !db->options.manual_background)
        pace_to_room_locked(db, room_at);
    if (pace == 0 || db->options.manual_background) {
        c->owed_ns = 0;
        return;
    }
    c->owed_ns += (bytes + 64) * pace / 1024;
    if (c->owed_ns < PACE_PORTION_NS)
        return;
    uint64_t sleep = c->owed_ns < PACE_MOST_NS ? c->owed_ns : PACE_MOST_NS;
    c->owed_ns = 0;
    uint64_t start = env_monotonic_ns(db->env);
    cond_wait_for(&db->room, &db->commit, sleep / 1000);
    c->stalls++;
    c->stall_us += (env_monotonic_ns(db->env) - start) / 1000;
}

/* A commit begins to wait: whoever listens is told while it does. */
static uint64_t begin_stall_locked(lam_db *db) REQUIRES(&db->commit) {
    db_commit(db)->stalls++;
    notify_event(&db->notify,
                 &(struct lam_event){.kind = LAM_EVENT_STALL_BEGIN, .stall = LAM_STALL_MEMTABLES});
    if (db->notify.event) {
        mutex_unlock(&db->commit);
        notify_kick(&db->notify);
        mutex_lock(&db->commit);
    }
    return env_monotonic_ns(db->env);
}

static void end_stall_locked(lam_db *db, uint64_t start_ns) REQUIRES(&db->commit) {
    uint64_t us = (env_monotonic_ns(db->env) - start_ns) / 1000;
    db_commit(db)->stall_us += us;
    notify_event(&db->notify, &(struct lam_event){.kind = LAM_EVENT_STALL_END,
                                                  .stall = LAM_STALL_MEMTABLES,
                                                  .duration_us = us});
}

/* Whether memtables are to be sealed before `bytes` are logged: they are full, or nearly so when
 * the log goes to another segment anyhow. Else it would need two in short order, and wait for the
 * second. */
static bool is_full_locked(lam_db *db, uint64_t bytes) REQUIRES(&db->commit) {
    const struct db_commit *c = db_commit(db);
    return c->active_bytes >= db->tuning.rotate_bytes ||
           (c->active_bytes >= db->tuning.rotate_bytes / 4 * 3 && c->segment &&
            !wal_writer_fits(c->segment->writer, bytes) && !sealed_is_full(db));
}

/* Seals the active memtables if they are full. `sealed_out`: there is something to dump. */
static enum lam_code make_room_locked(lam_db *db, uint64_t bytes, bool *sealed_out,
                                      struct lam_error *err) REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    enum lam_code rc = LAM_OK;
    uint64_t attempts = c->dump_attempts, stalled_ns = 0;
    if (atomic_load_explicit(&db->seal_wanted, memory_order_relaxed))
        *sealed_out = db_seal_passed_locked(db);
    while (rc == LAM_OK && is_full_locked(db, bytes)) {
        if (!sealed_is_full(db)) {
            rc = db_not_done(db, db_seal_locked(db, err), err);
            *sealed_out = *sealed_out || rc == LAM_OK;
            break;
        }
        if (stalled_ns == 0)
            stalled_ns = begin_stall_locked(db);
        else
            rc = wait_for_dump_locked(db, attempts, err);
    }
    if (stalled_ns)
        end_stall_locked(db, stalled_ns);
    return rc;
}

enum lam_code db_activate_locked(lam_db *db, lam_partition *p, struct lam_error *err) {
    struct db_commit *c = db_commit(db);
    TRY(MEM_GROW(&c->active, &c->active_capacity, c->active_count + 1, err));
    struct memtable *m;
    TRY(memtable_new(&m, err));
    struct read_state *fresh = read_state_new(err);
    if (!fresh) {
        memtable_unref(m);
        return LAM_NO_MEMORY;
    }
    mutex_lock(&db->state);
    struct read_state *old = p->state;
    if (old) {
        read_state_copy_locked(db, fresh, p);
        LAM_ASSERT(!fresh->active);
        fresh->active = m;
        p->state = fresh;
    }
    mutex_unlock(&db->state);
    if (!old) {
        memtable_unref(m);
        read_state_unref(fresh);
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
    }
    read_state_defer_unref(db, old);
    epoch_reclaim(&db->epochs);
    p->active = m;
    p->is_active = true;
    atomic_store_explicit(&db->resting, false, memory_order_relaxed);
    c->active[c->active_count++] = db_partition_ref(p);
    c->active_bytes += memtable_bytes(m);
    return LAM_OK;
}

/* D1: whatever the inserts need is there before the log is written. */
static enum lam_code reserve_locked(lam_db *db, struct lam_batch *b, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    for (size_t i = 0; i < b->touched_count; i++) {
        struct batch_partition *t = &b->touched[i];
        lam_partition *p = t->partition;
        if (t->bytes + t->range_bytes == 0)
            continue; /* only read */
        if (atomic_load_explicit(&p->dropping, memory_order_relaxed))
            return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", p->name);
        if (!p->active)
            TRY(db_activate_locked(db, p, err));
        size_t before = memtable_bytes(p->active);
        enum lam_code rc = memtable_reserve(p->active, t->bytes, t->range_bytes, err);
        c->active_bytes += memtable_bytes(p->active) - before;
        TRY(rc);
    }
    return LAM_OK;
}

enum lam_code db_log_append_locked(lam_db *db, struct lam_batch *b, uint64_t sequence,
                                   struct lam_error *err) {
    struct db_commit *c = db_commit(db);
    if (!c->segment || !wal_writer_fits(c->segment->writer, b->payload.size))
        TRY(db_not_done(db, db_wal_roll_locked(db, b->payload.size, err), err));
    bool clean = false;
    struct lam_error cause = {0};
    enum lam_code rc = wal_writer_append(c->segment->writer, sequence, atomic_load(&db->durable),
                                         buf_slice(&b->payload), &clean, &cause);
    if (rc == LAM_OK) {
        c->wal_bytes += b->payload.size + WAL_RECORD_OVERHEAD;
        return LAM_OK;
    }
    if (err)
        *err = cause;
    if (clean) {
        /* Not a byte of it will be read back: the next commit goes to a fresh segment. */
        mutex_lock(&db->sync);
        c->segment->finished = true;
        mutex_unlock(&db->sync);
        db_segment_unref(c->segment);
        c->segment = NULL;
        return rc;
    }
    cause.code = rc;
    db_fail(db, &cause);
    return ERR(err, LAM_UNKNOWN_OUTCOME, "the log could not be written: %s", cause.message);
}

static void count_op_locked(lam_db *db, lam_partition *p, const struct batch_op *op,
                            uint64_t logged) REQUIRES(&db->commit) {
    struct write_counters *w = &p->counters.write;
    uint64_t bytes = op->key.size + op->value.size + op->to.size;
    w->puts += op->kind == ENTRY_PUT;
    w->deletes += op->kind == ENTRY_DELETE;
    w->range_deletes += op->kind == ENTRY_DELETE_RANGE;
    w->put_bytes += bytes;
    w->wal_bytes += logged;
    db_commit(db)->put_bytes += bytes;
}

static void insert_locked(lam_db *db, struct lam_batch *b, uint64_t sequence)
    REQUIRES(&db->commit) {
    struct batch_reader r;
    struct batch_op op;
    enum lam_code rc = batch_reader_init(&r, buf_slice(&b->payload), NULL);
    LAM_ASSERT(rc == LAM_OK && r.count == b->count);
    for (uint32_t i = 0; i < r.count; i++) {
        uint64_t left = cursor_left(&r.cursor);
        rc = batch_reader_next(&r, &op, NULL);
        LAM_ASSERT(rc == LAM_OK);
        struct batch_partition *t = write_batch_find(b, op.partition);
        LAM_ASSERT(t && t->partition->active);
        count_op_locked(db, t->partition, &op, left - cursor_left(&r.cursor));
        if (op.kind == ENTRY_DELETE_RANGE) {
            struct range_tombstone range = {op.key, op.to, batch_clamp_upto(op.upto, sequence + i),
                                            sequence + i};
            memtable_insert_range(t->partition->active, &range);
        } else {
            struct entry e = {op.key, sequence + i, op.kind, op.value};
            memtable_insert(t->partition->active, &e);
        }
    }
}

struct commit_call {
    struct lam_batch *batch;
    db_stamp_fn stamp; /* may be NULL */
    void *stamp_arg;
    uint64_t start_ns;        /* when it began; 0: it is not timed */
    uint64_t sequence;        /* out: last of the batch */
    lam_partition *partition; /* out: that it writes to; NULL: several; borrowed */
    bool sealed;              /* out: background work is due */
    bool wants_next;          /* out: the log will need another segment */
};

static enum lam_code commit_locked(lam_db *db, struct commit_call *call, struct lam_error *err)
    REQUIRES(&db->commit) {
    struct db_commit *c = db_commit(db);
    struct lam_batch *b = call->batch;
    TRY(db_check_writable(db, err));
    TRY(make_room_locked(db, b->payload.size, &call->sealed, err));
    pace_locked(db, b->payload.size);
    TRY(db_check_writable(db, err));
    if (call->stamp)
        TRY(call->stamp(call->stamp_arg, b, err));
    call->sequence = c->last_sequence;
    if (b->count == 0)
        return LAM_OK;
    if (c->last_sequence + b->count > LAM_SEQUENCE_MAX)
        return ERR(err, LAM_LIMIT, "all %llu sequences are used", LAM_SEQUENCE_MAX);
    TRY(reserve_locked(db, b, err));
    uint64_t first = c->last_sequence + 1;
    TRY(db_log_append_locked(db, b, first, err));
    call->wants_next = db_wal_wants_next_locked(db);
    insert_locked(db, b, first);
    c->last_sequence += b->count;
    c->writes++;
    c->operations += b->count;
    call->sequence = c->last_sequence;
    call->partition = b->touched_count == 1 ? b->touched[0].partition : NULL;
    /* D1: pairs with the acquire load in db_published. */
    atomic_store_explicit(&db->published, c->last_sequence, memory_order_release);
    return LAM_OK;
}

/* What follows a commit, with no lock held. */
static enum lam_code finish_commit(lam_db *db, const struct lam_write_options *options,
                                   struct commit_call *call, enum lam_code rc,
                                   uint64_t *sequence_out, struct lam_error *err) {
    enum lam_durability d = options ? options->durability : LAM_DURABILITY_DEFAULT;
    if (d == LAM_DURABILITY_DEFAULT)
        d = db->options.durability;
    if (rc == LAM_OK && sequence_out)
        *sequence_out = call->sequence;
    if (rc == LAM_OK)
        db_note_latency(db, call->partition, COUNTERS_PUT, call->start_ns);
    if (rc == LAM_OK && d == LAM_DURABILITY_SYNC)
        rc = db_sync_to(db, call->sequence, err);
    if (call->sealed)
        db_share_memory(db);
    if (call->wants_next)
        db_bg_prepare_log(db);
    if (call->sealed || atomic_load_explicit(&db->retry, memory_order_relaxed))
        db_bg_kick(db, false);
    notify_end_call(&db->notify);
    return rc;
}

static uint64_t start_of_commit(lam_db *db) {
    return counters_is_timed(db_published(db)) ? env_monotonic_ns(db->env) : 0;
}

static enum lam_code check_options(const struct lam_write_options *options, const char *call,
                                   struct lam_error *err) {
    if (options && (unsigned)options->durability > LAM_DURABILITY_SYNC)
        return ERR(err, LAM_INVALID, "%s: durability %d is unknown", call,
                   (int)options->durability);
    return LAM_OK;
}

enum lam_code db_write_stamped(lam_db *db, const struct lam_write_options *options,
                               lam_batch *batch, db_stamp_fn stamp, void *stamp_arg,
                               uint64_t *sequence_out, struct lam_error *err) {
    if (!db || !batch)
        return ERR(err, LAM_INVALID, "lam_write: db and batch must not be NULL");
    TRY(db_check_process(db, err));
    TRY(check_options(options, "lam_write", err));
    if (batch->db != db)
        return ERR(err, LAM_INVALID, "lam_write: the batch belongs to another database");
    struct commit_call call = {
        .batch = batch, .stamp = stamp, .stamp_arg = stamp_arg, .start_ns = start_of_commit(db)};
    mutex_lock(&db->commit);
    enum lam_code rc = commit_locked(db, &call, err);
    mutex_unlock(&db->commit);
    return finish_commit(db, options, &call, rc, sequence_out, err);
}

enum lam_code lam_write(lam_db *db, const struct lam_write_options *options, lam_batch *batch,
                        uint64_t *sequence_out, struct lam_error *err) {
    return db_write_stamped(db, options, batch, NULL, NULL, sequence_out, err);
}

static enum lam_code add_op(struct lam_batch *b, lam_partition *p, const struct batch_op *op,
                            struct lam_error *err) {
    if (op->kind == ENTRY_PUT)
        return lam_batch_put(b, p, op->key, op->value, err);
    if (op->kind == ENTRY_DELETE)
        return lam_batch_delete(b, p, op->key, err);
    return lam_batch_delete_range(b, p, op->key, op->to, op->upto, err);
}

/* Commits one operation through the database's own batch. It is taken out meanwhile: a commit that
 * waits leaves the mutex to others. */
static enum lam_code write_one(lam_db *db, const struct lam_write_options *options,
                               lam_partition *p, const struct batch_op *op, struct lam_error *err) {
    struct commit_call call = {.start_ns = start_of_commit(db)};
    mutex_lock(&db->commit);
    struct lam_batch b = db_commit(db)->scratch;
    memset(&db_commit(db)->scratch, 0, sizeof b);
    enum lam_code rc = b.payload.size ? LAM_OK : write_batch_init(&b, db, err);
    if (rc == LAM_OK)
        rc = add_op(&b, p, op, err);
    call.batch = &b;
    if (rc == LAM_OK)
        rc = commit_locked(db, &call, err);
    lam_batch_reset(&b);
    bool back = b.payload.data && b.payload.capacity <= SCRATCH_BYTES &&
                !db_commit(db)->scratch.payload.data;
    if (back)
        db_commit(db)->scratch = b;
    mutex_unlock(&db->commit);
    if (!back)
        write_batch_fini(&b);
    return finish_commit(db, options, &call, rc, NULL, err);
}

enum lam_code lam_put(lam_db *db, const struct lam_write_options *options, lam_partition *partition,
                      struct lam_slice key, struct lam_slice value, struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_put", err));
    TRY(check_options(options, "lam_put", err));
    struct batch_op op = {.kind = ENTRY_PUT, .key = key, .value = value};
    return write_one(db, options, partition, &op, err);
}

enum lam_code lam_delete(lam_db *db, const struct lam_write_options *options,
                         lam_partition *partition, struct lam_slice key, struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_delete", err));
    TRY(check_options(options, "lam_delete", err));
    struct batch_op op = {.kind = ENTRY_DELETE, .key = key};
    return write_one(db, options, partition, &op, err);
}

enum lam_code lam_delete_range(lam_db *db, const struct lam_write_options *options,
                               lam_partition *partition, struct lam_slice from, struct lam_slice to,
                               struct lam_error *err) {
    TRY(db_check_partition(db, partition, "lam_delete_range", err));
    TRY(check_options(options, "lam_delete_range", err));
    struct batch_op op = {
        .kind = ENTRY_DELETE_RANGE, .key = from, .to = to, .upto = LAM_SEQUENCE_MAX};
    return write_one(db, options, partition, &op, err);
}
