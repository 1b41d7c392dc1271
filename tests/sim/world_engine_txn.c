/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions and batches that are read before they are written. A transaction is held over steps
 * of all kinds: it must read its moment with its own writes over it, and its commit must fail just
 * when something that it depends on has changed. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

#define READS_MAX      64u
#define SAVEPOINTS_MAX 6u

/* A key, or the keys [from, to); an empty `to` is no end. Borrows the world's keys. */
struct span {
    unsigned partition, incarnation;
    bool single;
    struct lam_slice from, to;
};

struct held_txn {
    lam_txn *txn;
    bool serializable;
    bool for_update; /* a read counts even if nothing is written */
    bool rewound;
    struct overlay writes;
    struct span reads[READS_MAX]; /* those that count */
    unsigned read_count;
    struct span *touched; /* by others since the begin; owned */
    size_t touched_count, touched_capacity;
    unsigned savepoints[SAVEPOINTS_MAX]; /* writes at each */
    unsigned savepoint_count;
    uint64_t dumps; /* before it began */
};

/* --- spans ----------------------------------------------------------------------------------- */

static bool span_has(const struct span *s, struct lam_slice key) {
    if (s->single)
        return slice_eq(s->from, key);
    return slice_cmp(s->from, key) <= 0 && (s->to.size == 0 || slice_cmp(key, s->to) < 0);
}

/* The later of two beginnings lies in both, or nothing does. */
static bool spans_meet(const struct span *a, const struct span *b) {
    if (a->partition != b->partition || a->incarnation != b->incarnation)
        return false;
    struct lam_slice from = slice_cmp(a->from, b->from) < 0 ? b->from : a->from;
    return span_has(a, from) && span_has(b, from);
}

static struct span span_of(const struct world *w, const struct overlay_op *o) {
    struct span s = {o->op.partition,
                     o->incarnation,
                     o->op.kind != STEP_DELETE_RANGE,
                     ew_key(w, o->op.key),
                     {0}};
    if (!s.single && o->op.to != WORLD_KEYS)
        s.to = ew_key(w, o->op.to);
    return s;
}

void ew_txn_touch(struct world *w, unsigned partition, struct lam_slice from,
                  const struct lam_slice *to) {
    struct span s = {partition, w->incarnations[partition], !to, from,
                     to ? *to : (struct lam_slice){0}};
    for (unsigned i = 0; i < WORLD_HELD; i++) {
        struct held_txn *t = w->txns[i];
        if (!t)
            continue;
        if (t->touched_count == t->touched_capacity) {
            t->touched_capacity = t->touched_capacity ? 2 * t->touched_capacity : 32;
            t->touched = realloc(t->touched, t->touched_capacity * sizeof *t->touched);
            LAM_ASSERT(t->touched);
        }
        t->touched[t->touched_count++] = s;
    }
}

/* --- what writes over a prefix show ---------------------------------------------------------- */

void ew_overlay_add(struct world *w, struct overlay *o, const struct write_op *op,
                    struct lam_slice value, uint64_t upto) {
    LAM_ASSERT(o->count < OVERLAY_OPS);
    struct overlay_op *x = &o->ops[o->count++];
    *x = (struct overlay_op){*op, w->incarnations[op->partition], upto, NULL};
    if (op->kind != STEP_PUT)
        return;
    x->value = malloc(value.size + 1);
    LAM_ASSERT(x->value);
    if (value.size)
        memcpy(x->value, value.data, value.size);
    x->op.size = (unsigned)value.size;
}

void ew_overlay_cut(struct overlay *o, unsigned count) {
    while (o->count > count)
        free(o->ops[--o->count].value);
}

static bool overlay_get(const struct world *w, const struct overlay *o, unsigned partition,
                        struct lam_slice key, struct lam_slice *value) {
    size_t prefix = ew_seen_at(w, o->prefix, partition);
    uint64_t sequence = model_sequence(w->model, prefix, partition, key);
    bool there = model_get(w->model, prefix, partition, key, value);
    for (unsigned i = 0; i < o->count; i++) {
        const struct overlay_op *x = &o->ops[i];
        struct span s = span_of(w, x);
        if (s.partition != partition || s.incarnation != w->incarnations[partition] ||
            !span_has(&s, key))
            continue;
        if (x->op.kind == STEP_PUT) {
            *value = lam_slice_of(x->value, x->op.size);
            sequence = w->sequence + 1 + i;
            there = true;
        } else if (x->op.kind == STEP_DELETE || sequence <= x->upto) {
            there = false;
        }
    }
    return there;
}

static bool check_value(struct world *w, const struct overlay *o, unsigned partition, unsigned key,
                        enum lam_code rc, struct lam_slice got, const char *what) {
    struct lam_slice want;
    bool there = overlay_get(w, o, partition, ew_key(w, key), &want);
    if (there ? rc == LAM_OK && slice_eq(got, want) : rc == LAM_NOT_FOUND)
        return true;
    return ew_fail(w, what, "partition %u key %s over %zu and %u writes: got %s, expected %s",
                   partition, model_text(ew_key(w, key)), o->prefix, o->count,
                   rc == LAM_OK ? model_text(got) : "nothing",
                   there ? model_text(want) : "nothing");
}

/* The whole of an iterator within its bounds, in one direction or the other. */
static bool check_iterator(struct world *w, const struct overlay *o, lam_iter *it,
                           const struct span *bounds, bool forward, const char *what) {
    if (forward)
        lam_iter_seek_first(it);
    else
        lam_iter_seek_last(it);
    for (unsigned i = 0; i < w->config.keys; i++) {
        struct lam_slice key = ew_key(w, w->key_order[forward ? i : w->config.keys - 1 - i]), value;
        if (!span_has(bounds, key) || !overlay_get(w, o, bounds->partition, key, &value))
            continue;
        if (lam_iter_status(it, &w->err) != LAM_OK)
            return ew_read_failed(w, w->err.code, what);
        if (!lam_iter_valid(it) || !slice_eq(lam_iter_key(it), key) ||
            !slice_eq(lam_iter_value(it), value))
            return ew_fail(w, what, "partition %u over %zu and %u writes: at %s, expected %s = %s",
                           bounds->partition, o->prefix, o->count,
                           lam_iter_valid(it) ? model_text(lam_iter_key(it)) : "the end",
                           model_text(key), model_text(value));
        if (forward)
            lam_iter_next(it);
        else
            lam_iter_prev(it);
    }
    if (lam_iter_status(it, &w->err) != LAM_OK)
        return ew_read_failed(w, w->err.code, what);
    if (lam_iter_valid(it))
        return ew_fail(w, what, "partition %u over %zu and %u writes: at %s, expected the end",
                       bounds->partition, o->prefix, o->count, model_text(lam_iter_key(it)));
    return true;
}

static struct span draw_bounds(struct world *w, unsigned partition) {
    struct span s = {partition, w->incarnations[partition], false, {0}, {0}};
    unsigned how = choose(w->choice, 4);
    struct lam_slice a = ew_key(w, choose(w->choice, w->config.keys));
    struct lam_slice b = ew_key(w, choose(w->choice, w->config.keys));
    if (slice_cmp(a, b) > 0) {
        struct lam_slice t = a;
        a = b;
        b = t;
    }
    if (how != 1)
        s.from = a;
    if (how != 2 && !slice_eq(a, b))
        s.to = b;
    return s;
}

static bool read_batch_once(struct world *w, lam_batch *b, const struct overlay *o, unsigned p) {
    unsigned key = choose(w->choice, w->config.keys);
    struct lam_value v = {0};
    ew_call_begin(w, IN_STEP, STEP_BATCH);
    enum lam_code rc = lam_batch_get(b, NULL, w->handles[p], ew_key(w, key), &v, &w->err);
    bool ok = rc == LAM_OK || rc == LAM_NOT_FOUND
                  ? check_value(w, o, p, key, rc, v.bytes, "batch-get")
                  : ew_read_failed(w, rc, "batch-get");
    lam_value_release(&v);
    if (!ok || choose(w->choice, 2))
        return ok && ew_call_end(w, LAM_OK, "batch-get");
    struct span bounds = draw_bounds(w, p);
    struct lam_read_options options = {.lower = bounds.from, .upper = bounds.to};
    lam_iter *it;
    rc = lam_batch_iter_new(b, &options, w->handles[p], &it, &w->err);
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "batch-iterator");
    ok = check_iterator(w, o, it, &bounds, choose(w->choice, 2), "batch-iterator");
    lam_iter_free(it);
    return ok && ew_call_end(w, LAM_OK, "batch-iterator");
}

bool ew_txn_read_batch(struct world *w, lam_batch *b, const struct overlay *o) {
    unsigned n = 1 + choose(w->choice, 3);
    for (unsigned i = 0; i < n; i++) {
        unsigned p = choose(w->choice, w->config.partitions);
        if (ew_is_writable(w, p) && !read_batch_once(w, b, o, p))
            return false;
        w->report->operations++;
    }
    ew_reach(w, REACHED_BATCH_READ);
    return true;
}

/* --- a transaction's life -------------------------------------------------------------------- */

static void forget(struct world *w, unsigned slot) {
    struct held_txn *t = w->txns[slot];
    ew_overlay_cut(&t->writes, 0);
    free(t->touched);
    free(t);
    w->txns[slot] = NULL;
}

void ew_txn_free_held(struct world *w) {
    for (unsigned i = 0; i < WORLD_HELD; i++) {
        if (!w->txns[i])
            continue;
        lam_txn_rollback(w->txns[i]->txn);
        forget(w, i);
    }
}

static bool begin(struct world *w, unsigned slot) {
    struct held_txn *t = calloc(1, sizeof *t);
    struct lam_stats stats;
    LAM_ASSERT(t);
    t->serializable = choose(w->choice, 2);
    struct lam_txn_options o = {.serializable = t->serializable};
    enum lam_code rc = lam_txn_begin(w->db, &o, &t->txn, &w->err);
    if (rc != LAM_OK) {
        free(t);
        return ew_fail(w, "txn", "begin: %s: %s", lam_code_name(rc), w->err.message);
    }
    lam_db_stats(w->db, &stats);
    t->dumps = stats.dumps;
    t->writes.prefix = w->live;
    w->txns[slot] = t;
    ew_say(w, "  txn %u at %zu%s", slot, w->live, t->serializable ? ", serialisable" : "");
    if (lam_snapshot_sequence(lam_txn_snapshot(t->txn)) != w->sequence)
        return ew_fail(w, "txn", "it begins at sequence %llu, the newest is %llu",
                       (unsigned long long)lam_snapshot_sequence(lam_txn_snapshot(t->txn)),
                       (unsigned long long)w->sequence);
    return true;
}

static bool write(struct world *w, struct held_txn *t) {
    static const enum step_kind kinds[] = {STEP_PUT, STEP_PUT, STEP_DELETE, STEP_DELETE_RANGE};
    struct write_op op;
    ew_draw_write(w, kinds[choose(w->choice, 4)], &op);
    if (!ew_is_writable(w, op.partition) || t->writes.count == OVERLAY_OPS)
        return true;
    if (op.kind == STEP_DELETE_RANGE && op.to == op.key)
        op.kind = STEP_DELETE;
    lam_partition *p = w->handles[op.partition];
    struct lam_slice key = ew_key(w, op.key), value = {0};
    struct lam_slice to = op.to == WORLD_KEYS ? (struct lam_slice){0} : ew_key(w, op.to);
    if (op.kind == STEP_PUT)
        value = ew_value(w, op.size);
    ew_say(w, "    %s %u.%s", ew_step_name(op.kind), op.partition, model_text(key));
    enum lam_code rc = op.kind == STEP_PUT      ? lam_txn_put(t->txn, p, key, value, &w->err)
                       : op.kind == STEP_DELETE ? lam_txn_delete(t->txn, p, key, &w->err)
                                                : lam_txn_delete_range(t->txn, p, key, to, &w->err);
    if (rc != LAM_OK)
        return ew_fail(w, "txn", "%s: %s: %s", ew_step_name(op.kind), lam_code_name(rc),
                       w->err.message);
    ew_overlay_add(w, &t->writes, &op, value, LAM_SEQUENCE_MAX);
    return true;
}

static bool get(struct world *w, struct held_txn *t, unsigned p) {
    unsigned key = choose(w->choice, w->config.keys);
    bool for_update = choose(w->choice, 2);
    struct lam_value v = {0};
    if (t->read_count == READS_MAX)
        return true;
    ew_call_begin(w, IN_STEP, STEP_TXN);
    enum lam_code rc =
        for_update ? lam_txn_get_for_update(t->txn, w->handles[p], ew_key(w, key), &v, &w->err)
                   : lam_txn_get(t->txn, w->handles[p], ew_key(w, key), &v, &w->err);
    ew_say(w, "    get %u.%s%s", p, model_text(ew_key(w, key)), for_update ? " for update" : "");
    t->for_update = t->for_update || for_update;
    if (for_update || t->serializable)
        t->reads[t->read_count++] = (struct span){p, w->incarnations[p], true, ew_key(w, key), {0}};
    bool ok = rc == LAM_OK || rc == LAM_NOT_FOUND
                  ? check_value(w, &t->writes, p, key, rc, v.bytes, "txn-get") &&
                        ew_call_end(w, LAM_OK, "txn-get")
                  : ew_read_failed(w, rc, "txn-get");
    lam_value_release(&v);
    return ok;
}

static bool iterate(struct world *w, struct held_txn *t, unsigned p) {
    struct span bounds = draw_bounds(w, p);
    struct lam_read_options o = {.lower = bounds.from, .upper = bounds.to};
    lam_iter *it;
    if (t->read_count == READS_MAX)
        return true;
    ew_say(w, "    iterate %u from %s to %s", p, model_text(bounds.from), model_text(bounds.to));
    ew_call_begin(w, IN_STEP, STEP_TXN);
    enum lam_code rc = lam_txn_iter_new(t->txn, &o, w->handles[p], &it, &w->err);
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "txn-iterator");
    if (t->serializable)
        t->reads[t->read_count++] = bounds;
    bool ok = check_iterator(w, &t->writes, it, &bounds, choose(w->choice, 2), "txn-iterator");
    lam_iter_free(it);
    return ok && ew_call_end(w, LAM_OK, "txn-iterator");
}

static bool mark(struct world *w, struct held_txn *t) {
    uint32_t number = 0;
    if (t->savepoint_count == SAVEPOINTS_MAX)
        return true;
    enum lam_code rc = lam_txn_savepoint(t->txn, &number, &w->err);
    if (rc != LAM_OK || number != t->savepoint_count)
        return ew_fail(w, "txn", "savepoint %u: %s", number, lam_code_name(rc));
    ew_say(w, "    savepoint %u", number);
    t->savepoints[t->savepoint_count++] = t->writes.count;
    return true;
}

static bool rewind_to_mark(struct world *w, struct held_txn *t) {
    unsigned number = choose(w->choice, SAVEPOINTS_MAX);
    enum lam_code rc = lam_txn_rollback_to(t->txn, number, &w->err);
    bool there = number < t->savepoint_count;
    ew_say(w, "    back to savepoint %u: %s", number, lam_code_name(rc));
    if (rc != (there ? LAM_OK : LAM_INVALID))
        return ew_fail(w, "txn", "back to savepoint %u of %u: %s", number, t->savepoint_count,
                       lam_code_name(rc));
    if (!there)
        return true;
    ew_overlay_cut(&t->writes, t->savepoints[number]);
    t->savepoint_count = number + 1;
    t->rewound = true;
    return true;
}

static bool act(struct world *w, struct held_txn *t) {
    unsigned p = choose(w->choice, w->config.partitions);
    bool there = ew_is_writable(w, p);
    w->report->operations++;
    switch (choose(w->choice, 10)) {
    case 4:
    case 5:
        return !there || get(w, t, p);
    case 6:
    case 7:
        return !there || iterate(w, t, p);
    case 8:
        return mark(w, t);
    case 9:
        return t->savepoint_count > 0 || choose_one_in(w->choice, 4) ? rewind_to_mark(w, t)
                                                                     : mark(w, t);
    default:
        return write(w, t);
    }
}

/* --- commits --------------------------------------------------------------------------------- */

struct forecast {
    bool writes;   /* or nothing is checked but reads for update */
    bool checked;  /* at all */
    bool conflict; /* something that it depends on has changed */
    bool by_reads; /* and nothing that it writes */
    bool dropped;  /* a partition that it depends on is gone */
};

static bool is_touched(const struct held_txn *t, const struct span *s) {
    for (size_t i = 0; i < t->touched_count; i++)
        if (spans_meet(&t->touched[i], s))
            return true;
    return false;
}

static struct forecast predict(const struct world *w, const struct held_txn *t) {
    struct forecast f = {.writes = t->writes.count > 0};
    f.checked = f.writes || t->for_update;
    bool wrote = false;
    for (unsigned i = 0; i < t->writes.count; i++) {
        struct span s = span_of(w, &t->writes.ops[i]);
        wrote = wrote || is_touched(t, &s);
        f.dropped = f.dropped || s.incarnation != w->incarnations[s.partition];
    }
    f.conflict = wrote;
    for (unsigned i = 0; i < t->read_count; i++) {
        const struct span *s = &t->reads[i];
        f.conflict = f.conflict || is_touched(t, s);
        f.dropped = f.dropped || s->incarnation != w->incarnations[s->partition];
    }
    f.by_reads = f.conflict && !wrote;
    return f;
}

/* Ends it where nothing is to be written, or nothing may be. */
static bool commit_nothing(struct world *w, struct held_txn *t, const struct forecast *f) {
    uint64_t began = lam_snapshot_sequence(lam_txn_snapshot(t->txn)), sequence = 0;
    ew_call_begin(w, IN_STEP, STEP_TXN);
    enum lam_code rc = lam_txn_commit(t->txn, NULL, &sequence, &w->err);
    ew_say(w, "    commit: %s", lam_code_name(rc));
    w->report->operations++;
    bool expected =
        f->checked && ((rc == LAM_CONFLICT && (f->conflict || w->unknown)) ||
                       (rc == LAM_NOT_FOUND && f->dropped) || (rc == LAM_READ_ONLY && w->unknown));
    if (!ew_call_end(w, expected ? LAM_OK : rc, "txn"))
        return false;
    bool must_fail = f->checked && (f->conflict || f->dropped || (f->writes && w->unknown));
    if (rc == LAM_OK && must_fail)
        return ew_fail(w, "txn-conflict", "a transaction of %u writes and %u reads committed: %s",
                       t->writes.count, t->read_count,
                       f->conflict  ? "what it depends on has changed"
                       : f->dropped ? "a partition is gone"
                                    : "the database takes no writes");
    if (rc == LAM_OK && sequence != began)
        return ew_fail(w, "sequence", "a commit of nothing gave %llu, it began at %llu",
                       (unsigned long long)sequence, (unsigned long long)began);
    struct lam_stats stats;
    lam_db_stats(w->db, &stats);
    if (rc == LAM_CONFLICT) {
        ew_reach(w, REACHED_TXN_CONFLICT);
        if (f->by_reads && t->serializable)
            ew_reach(w, REACHED_TXN_READ_CONFLICT);
        if (stats.dumps > t->dumps)
            ew_reach(w, REACHED_TXN_CONFLICT_OVER_DUMP);
    }
    if (rc == LAM_NOT_FOUND)
        ew_reach(w, REACHED_TXN_DROPPED);
    return ew_drain(w);
}

static void plan(struct world *w, const struct overlay *o) {
    model_begin(w->model);
    for (unsigned i = 0; i < o->count; i++) {
        const struct overlay_op *x = &o->ops[i];
        struct lam_slice key = ew_key(w, x->op.key);
        uint64_t sequence = w->sequence + 1 + i;
        if (x->op.kind == STEP_PUT)
            model_put(w->model, x->op.partition, key, lam_slice_of(x->value, x->op.size), sequence);
        else if (x->op.kind == STEP_DELETE)
            model_delete(w->model, x->op.partition, key, sequence);
        else
            model_delete_range(w->model, x->op.partition, key,
                               x->op.to == WORLD_KEYS ? (struct lam_slice){0} : ew_key(w, x->op.to),
                               LAM_SEQUENCE_MAX, sequence);
    }
    model_end(w->model);
}

static bool committed(struct world *w, const struct held_txn *t, uint64_t sequence) {
    struct lam_stats stats;
    w->sequence += t->writes.count;
    if (sequence != w->sequence)
        return ew_fail(w, "sequence", "a transaction ends at sequence %llu, expected %llu",
                       (unsigned long long)sequence, (unsigned long long)w->sequence);
    for (unsigned i = 0; i < t->writes.count; i++) {
        struct span s = span_of(w, &t->writes.ops[i]);
        ew_txn_touch(w, s.partition, s.from, s.single ? NULL : &s.to);
        w->range_in_memory = w->range_in_memory || !s.single;
    }
    lam_db_stats(w->db, &stats);
    ew_reach(w, REACHED_TXN_COMMITTED);
    if (stats.dumps > t->dumps)
        ew_reach(w, REACHED_TXN_OVER_DUMP);
    if (t->rewound)
        ew_reach(w, REACHED_TXN_REWOUND);
    return ew_check_sequence(w, w->sequence, "a transaction");
}

static bool commit(struct world *w, unsigned slot) {
    struct held_txn *t = w->txns[slot];
    struct forecast f = predict(w, t);
    ew_say(w, "    commit of %u writes%s%s", t->writes.count, f.conflict ? ", conflict" : "",
           f.dropped ? ", dropped" : "");
    if (!f.writes || f.conflict || f.dropped || w->unknown) {
        bool ok = commit_nothing(w, t, &f);
        forget(w, slot);
        return ok;
    }
    bool sync = choose(w->choice, 8) >= 8 - w->config.sync_of_8;
    struct lam_write_options o = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    uint64_t sequence = 0;
    w->writes_waiting++;
    plan(w, &t->writes);
    ew_call_begin(w, IN_STEP, STEP_TXN);
    enum lam_code rc = lam_txn_commit(t->txn, &o, &sequence, &w->err);
    bool ok = rc != LAM_OK || committed(w, t, sequence);
    forget(w, slot);
    if (rc != LAM_OK && w->armed)
        ew_reach(w, REACHED_TXN_FAILED);
    return ok && ew_conclude(w, rc, sync, "txn");
}

bool ew_txn_step(struct world *w, const struct step *s) {
    unsigned slot = s->slot;
    if (w->read_only || (w->unknown && !w->txns[slot]))
        return true;
    bool held = w->txns[slot];
    if (!held && !begin(w, slot))
        return false;
    if (held)
        ew_say(w, "  txn %u goes on", slot);
    unsigned n = 1 + choose(w->choice, 5);
    for (unsigned i = 0; i < n && !w->unknown; i++)
        if (!act(w, w->txns[slot]))
            return false;
    /* Somebody else's commit. */
    if (s->what % 4 == 1 && !w->unknown && !ew_ops_write(w))
        return false;
    if (w->chosen || (!held && !w->armed && s->what % 3 == 0))
        return true;
    if (!w->unknown && choose_one_in(w->choice, 8)) {
        ew_say(w, "    rollback");
        lam_txn_rollback(w->txns[slot]->txn);
        forget(w, slot);
        return true;
    }
    if (!ew_ops_make_room(w))
        return false;
    return w->chosen || commit(w, slot);
}
