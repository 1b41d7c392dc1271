/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that change something. A commit goes into the model before the call, so that images taken
 * inside of it know it; what the call answers decides whether it stays. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

/* --- commits --------------------------------------------------------------------------------- */

bool ew_is_writable(const struct world *w, unsigned partition) {
    return w->handles[partition] && model_exists(w->model, w->live, partition);
}

static uint64_t upto_of(const struct world *w, const struct write_op *op) {
    if (op->back == UINT64_MAX)
        return LAM_SEQUENCE_MAX;
    uint64_t upto = w->sequence > op->back ? w->sequence - op->back : 0;
    /* Of older rows it is not known which sequences they have. */
    return upto < w->safe_upto ? LAM_SEQUENCE_MAX : upto;
}

static void plan_op(struct world *w, const struct write_op *op, struct lam_slice value,
                    uint64_t sequence) {
    struct lam_slice key = ew_key(w, op->key);
    struct lam_slice to = op->to == WORLD_KEYS ? (struct lam_slice){0} : ew_key(w, op->to);
    if (op->kind == STEP_PUT)
        model_put(w->model, op->partition, key, value, sequence);
    else if (op->kind == STEP_DELETE)
        model_delete(w->model, op->partition, key, sequence);
    else
        model_delete_range(w->model, op->partition, key, to, upto_of(w, op), sequence);
}

static enum lam_code add_op(struct world *w, lam_batch *b, const struct write_op *op,
                            struct lam_slice value) {
    lam_partition *p = w->handles[op->partition];
    struct lam_slice key = ew_key(w, op->key);
    struct lam_slice to = op->to == WORLD_KEYS ? (struct lam_slice){0} : ew_key(w, op->to);
    if (op->kind == STEP_PUT)
        return lam_batch_put(b, p, key, value, &w->err);
    if (op->kind == STEP_DELETE)
        return lam_batch_delete(b, p, key, &w->err);
    return lam_batch_delete_range(b, p, key, to, upto_of(w, op), &w->err);
}

/* What a commit that was acknowledged has changed. */
static void touch_op(struct world *w, const struct write_op *op) {
    struct lam_slice to = op->to == WORLD_KEYS ? (struct lam_slice){0} : ew_key(w, op->to);
    ew_txn_touch(w, op->partition, ew_key(w, op->key), op->kind == STEP_DELETE_RANGE ? &to : NULL);
}

/* The outcome is not known: from now on only the next open tells. */
static void leave_unknown(struct world *w) {
    w->unknown = true;
    w->live2 = model_commits(w->model);
}

bool ew_conclude(struct world *w, enum lam_code rc, bool durable, const char *what) {
    size_t n = model_commits(w->model);
    if (!ew_call_end(w, rc, what))
        return false;
    w->report->operations++;
    if (rc == LAM_OK) {
        w->acked = w->live = w->live2 = n;
        if (durable)
            w->synced = n;
        if (w->clean_failure)
            ew_reach(w, REACHED_WENT_ON_AFTER_ERROR);
        if (w->out_of_space && !w->quota_on)
            ew_reach(w, REACHED_SPACE_CAME_BACK);
        w->clean_failure = w->out_of_space = false;
        return ew_drain(w);
    }
    if (rc == LAM_UNKNOWN_OUTCOME) {
        leave_unknown(w);
        return ew_drain(w);
    }
    /* Failed cleanly: it must never show from now on. Images of the call may still have it. */
    if (!ew_drain(w))
        return false;
    if (w->chosen)
        return true;
    model_truncate(w->model, n - 1);
    ew_ttl_truncate(w, n - 1);
    w->taker.high = n - 1; /* files also go when a reader is let go between calls */
    w->clean_failure = true;
    w->out_of_space = w->out_of_space || rc == LAM_NO_SPACE;
    ew_reach(w, REACHED_FAILED_CLEAN);
    return true;
}

bool ew_check_sequence(struct world *w, uint64_t expected, const char *what) {
    struct lam_stats s;
    lam_db_stats(w->db, &s);
    if (s.sequence != expected)
        return ew_fail(w, "sequence", "%s: the database is at sequence %llu, expected %llu", what,
                       (unsigned long long)s.sequence, (unsigned long long)expected);
    return true;
}

static const char *op_text(const struct world *w, const struct write_op *op) {
    static char text[160];
    snprintf(text, sizeof text, "%s %u.%s", ew_step_name(op->kind), op->partition,
             model_text(ew_key(w, op->key)));
    size_t n = strlen(text);
    if (op->kind == STEP_PUT)
        snprintf(text + n, sizeof text - n, " %u bytes", op->size);
    if (op->kind == STEP_DELETE_RANGE)
        snprintf(text + n, sizeof text - n, " to %s upto %llu",
                 op->to == WORLD_KEYS ? "end" : model_text(ew_key(w, op->to)),
                 (unsigned long long)upto_of(w, op));
    return text;
}

static bool write_single(struct world *w, const struct step *s) {
    const struct write_op *op = &s->ops[0];
    struct lam_write_options o = {s->sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    struct lam_slice key = ew_key(w, op->key), value = {0};
    if (op->kind == STEP_PUT)
        value = ew_value(w, op->size);
    ew_say(w, "  %s%s", op_text(w, op), s->sync ? ", sync" : "");
    model_begin(w->model);
    plan_op(w, op, value, w->sequence + 1);
    model_end(w->model);
    ew_call_begin(w, IN_STEP, op->kind);
    enum lam_code rc = op->kind == STEP_PUT
                           ? lam_put(w->db, &o, w->handles[op->partition], key, value, &w->err)
                           : lam_delete(w->db, &o, w->handles[op->partition], key, &w->err);
    if (rc == LAM_OK) {
        w->sequence++;
        touch_op(w, op);
        if (!ew_check_sequence(w, w->sequence, ew_step_name(op->kind)))
            return false;
    }
    return ew_conclude(w, rc, s->sync, ew_step_name(op->kind));
}

static bool write_batch(struct world *w, const struct step *s) {
    struct lam_write_options o = {s->sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    lam_batch *b;
    bool indexed = choose_one_in(w->choice, 4);
    struct overlay overlay = {.prefix = w->live};
    enum lam_code rc =
        indexed ? lam_batch_new_indexed(w->db, &b, &w->err) : lam_batch_new(w->db, &b, &w->err);
    if (rc != LAM_OK)
        return ew_fail(w, "batch", "%s: %s", lam_code_name(rc), w->err.message);
    uint64_t sequence = w->sequence, last = 0;
    bool ranges = false;
    ew_say(w, "  batch of %u%s", s->count, s->sync ? ", sync" : "");
    model_begin(w->model);
    for (unsigned i = 0; i < s->count && rc == LAM_OK; i++) {
        const struct write_op *op = &s->ops[i];
        if (!ew_is_writable(w, op->partition))
            continue;
        struct lam_slice value = {0};
        if (op->kind == STEP_PUT)
            value = ew_value(w, op->size);
        ew_say(w, "    %s", op_text(w, op));
        plan_op(w, op, value, ++sequence);
        rc = add_op(w, b, op, value);
        if (indexed)
            ew_overlay_add(w, &overlay, op, value, upto_of(w, op));
        ranges = ranges || op->kind == STEP_DELETE_RANGE;
    }
    model_end(w->model);
    if (rc != LAM_OK) {
        lam_batch_free(b);
        return ew_fail(w, "batch", "%s: %s", lam_code_name(rc), w->err.message);
    }
    if (lam_batch_bytes(b) > 65536)
        ew_reach(w, REACHED_LARGE_RECORD);
    bool read = !indexed || ew_txn_read_batch(w, b, &overlay);
    ew_overlay_cut(&overlay, 0);
    if (!read) {
        lam_batch_free(b);
        return false;
    }
    ew_call_begin(w, IN_STEP, STEP_BATCH);
    rc = lam_write(w->db, &o, b, &last, &w->err);
    lam_batch_free(b);
    if (rc == LAM_OK) {
        w->sequence = sequence;
        w->range_in_memory = w->range_in_memory || ranges;
        for (unsigned i = 0; i < s->count; i++)
            if (ew_is_writable(w, s->ops[i].partition))
                touch_op(w, &s->ops[i]);
        if (last != sequence)
            return ew_fail(w, "sequence", "a batch ends at sequence %llu, expected %llu",
                           (unsigned long long)last, (unsigned long long)sequence);
    }
    return ew_conclude(w, rc, s->sync, "batch");
}

/* A database that has failed takes nothing. */
static bool write_refused(struct world *w) {
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++) {
        if (!w->handles[p])
            continue;
        ew_call_begin(w, IN_STEP, STEP_PUT);
        enum lam_code rc =
            lam_put(w->db, NULL, w->handles[p], ew_key(w, 0), lam_slice_str("refused"), &w->err);
        if (rc != LAM_READ_ONLY)
            return ew_fail(w, "not-read-only", "a put gave %s", lam_code_name(rc));
        return ew_drain(w);
    }
    return true;
}

static bool write_step(struct world *w, const struct step *s) {
    if (w->read_only || w->unknown)
        return write_refused(w);
    w->writes_waiting++;
    if (s->kind == STEP_BATCH || s->kind == STEP_DELETE_RANGE)
        return write_batch(w, s);
    return ew_is_writable(w, s->ops[0].partition) ? write_single(w, s) : true;
}

/* --- partitions ------------------------------------------------------------------------------ */

bool ew_ops_create(struct world *w, unsigned partition) {
    if (w->read_only || w->unknown)
        return true;
    struct lam_partition_options o = {.compression = (enum lam_compression)(partition % 3)};
    const char *name = ew_partition_name(partition);
    lam_partition *p = NULL;
    ew_say(w, "  create %u", partition);
    if (model_exists(w->model, w->live, partition)) {
        enum lam_code rc = lam_partition_create(w->db, name, &o, &p, &w->err);
        if (rc != LAM_EXISTS && !((w->fired || ew_fired_in_call(w)) && rc == LAM_READ_ONLY))
            return ew_fail(w, "create", "an existing partition: %s", lam_code_name(rc));
        return true;
    }
    model_begin(w->model);
    model_create(w->model, partition);
    model_end(w->model);
    ew_call_begin(w, IN_STEP, STEP_CREATE);
    enum lam_code rc = lam_partition_create(w->db, name, &o, &p, &w->err);
    if (rc == LAM_OK) {
        w->handles[partition] = p;
        if (w->was_there[partition])
            ew_reach(w, REACHED_RECREATED);
    }
    return ew_conclude(w, rc, true, "create");
}

bool ew_ops_drop(struct world *w, unsigned partition) {
    if (w->read_only || w->unknown || !ew_is_writable(w, partition))
        return true;
    ew_say(w, "  drop %u", partition);
    bool data = model_rows(w->model, w->live, partition) > 0;
    model_begin(w->model);
    model_drop(w->model, partition);
    model_end(w->model);
    ew_call_begin(w, IN_STEP, STEP_DROP);
    enum lam_code rc = lam_partition_drop(w->db, w->handles[partition], &w->err);
    if (rc == LAM_OK) {
        struct lam_value v = {0};
        enum lam_code gone = lam_get(w->db, NULL, w->handles[partition], ew_key(w, 0), &v, &w->err);
        lam_value_release(&v);
        if (gone != LAM_NOT_FOUND)
            return ew_fail(w, "dropped", "a get gives %s", lam_code_name(gone));
        lam_partition_release(w->handles[partition]);
        w->handles[partition] = NULL;
        w->was_there[partition] = true;
        w->incarnations[partition]++;
        for (unsigned i = 0; i < WORLD_HELD; i++)
            if (w->iterators[i].iter && w->iterators[i].partition == partition)
                w->iterators[i].dropped = true;
        if (data)
            ew_reach(w, REACHED_DROPPED_WITH_DATA);
    }
    return ew_conclude(w, rc, true, "drop");
}

/* --- upkeep ---------------------------------------------------------------------------------- */

bool ew_holds_anything(const struct world *w) {
    for (unsigned i = 0; i < WORLD_HELD; i++)
        if (w->snapshots[i].snapshot || w->iterators[i].iter || w->txns[i])
            return true;
    return w->ingest != NULL;
}

/* INV-9: the files there are the database's, when nobody reads older ones. */
bool ew_check_tidy(struct world *w, const char *what) {
    if (w->fired || w->litter || ew_holds_anything(w) ||
        w->config.background == BACKGROUND_QUEUED || w->config.background == BACKGROUND_THREADS)
        return true;
    struct listing l;
    struct lam_stats s;
    ew_listing_take(&l, w->fs);
    lam_db_stats(w->db, &s);
    if (l.ssts != s.sst_files || l.manifests != 1 || l.temporaries != 0)
        return ew_fail(w, "orphan",
                       "after a %s: %zu SST files of %llu, %zu manifests, %zu temporary files",
                       what, l.ssts, (unsigned long long)s.sst_files, l.manifests, l.temporaries);
    return true;
}

static bool upkeep(struct world *w, enum step_kind kind, unsigned partition) {
    if (w->read_only)
        return true;
    if (kind == STEP_COMPACT && partition != MODEL_PARTITIONS && !ew_is_writable(w, partition))
        return true;
    const char *name = ew_step_name(kind);
    ew_say(w, "  %s", name);
    struct lam_stats before, after;
    lam_db_stats(w->db, &before);
    lam_partition *p = partition == MODEL_PARTITIONS ? NULL : w->handles[partition];
    ew_call_begin(w, IN_STEP, kind);
    enum lam_code rc =
        kind == STEP_DUMP ? lam_db_dump(w->db, &w->err) : lam_db_compact(w->db, p, &w->err);
    if (!ew_call_end(w, rc, name))
        return false;
    lam_db_stats(w->db, &after);
    if (after.trivial_moves > before.trivial_moves)
        ew_reach(w, REACHED_TRIVIAL_MOVE);
    if (rc == LAM_OK) {
        if (w->unknown)
            return ew_fail(w, "not-read-only", "%s after an unknown outcome", name);
        w->synced = w->acked;
        if (w->range_in_memory && after.dumps > before.dumps)
            ew_reach(w, REACHED_RANGE_DUMPED);
        w->range_in_memory = false;
        if (!ew_check_tidy(w, name))
            return false;
    }
    w->report->operations++;
    return ew_drain(w);
}

bool ew_ops_upkeep(struct world *w, enum step_kind kind) {
    return upkeep(w, kind, MODEL_PARTITIONS);
}

bool ew_patience(void *arg, const struct lam_progress *progress) {
    unsigned *left = arg;
    (void)progress;
    if (*left == 0)
        return false;
    *left -= *left != UINT32_MAX;
    return true;
}

static bool compact_range(struct world *w, const struct step *s) {
    if (w->read_only || !ew_is_writable(w, s->partition))
        return true;
    struct lam_slice none = {0}, a = ew_key(w, s->key);
    struct lam_slice b = ew_key(w, (s->key + s->what) % w->config.keys);
    struct lam_slice from = slice_cmp(a, b) < 0 ? a : b, to = slice_cmp(a, b) < 0 ? b : a;
    from = s->what % 8 == 1 ? none : from;
    to = s->what % 8 == 2 || slice_eq(a, b) ? none : to;
    ew_say(w, "  compact_range %u", s->partition);
    ew_call_begin(w, IN_STEP, STEP_COMPACT_RANGE);
    unsigned steps = choose_one_in(w->choice, 4) ? choose(w->choice, 4) : UINT32_MAX;
    lam_partition *p = s->what % 16 == 3 ? NULL : w->handles[s->partition];
    enum lam_code rc = lam_db_compact_range(w->db, p, from, to, ew_patience, &steps, &w->err);
    if (!ew_call_end(w, rc == LAM_BUSY && steps == 0 ? LAM_OK : rc, "compact_range"))
        return false;
    if (rc == LAM_OK) {
        ew_reach(w, REACHED_RANGE_COMPACTED);
        if (!ew_check_tidy(w, "compact_range"))
            return false;
    }
    w->report->operations++;
    return ew_drain(w);
}

static bool sync_step(struct world *w, const struct step *s) {
    if (w->read_only || w->unknown)
        return true;
    /* The newest state, or all. */
    uint64_t upto = s->what % 2 ? w->sequence : LAM_SEQUENCE_MAX;
    ew_say(w, "  sync");
    ew_call_begin(w, IN_STEP, STEP_SYNC);
    enum lam_code rc = lam_sync(w->db, upto, &w->err);
    if (!ew_call_end(w, rc, "sync"))
        return false;
    if (rc == LAM_OK)
        w->synced = w->acked;
    return ew_drain(w);
}

static void print_finding(void *arg, const char *file, uint64_t offset, const char *problem) {
    ew_say(arg, "    %s at %llu: %s", file, (unsigned long long)offset, problem);
}

static bool check_step(struct world *w) {
    ew_say(w, "  check");
    ew_call_begin(w, IN_STEP, STEP_CHECK);
    enum lam_code rc = lam_db_check(w->db, print_finding, w, &w->err);
    bool excused = w->unknown || ew_lossy(w) || w->lossy;
    if (!ew_call_end(w, LAM_OK, "check"))
        return false;
    if (rc != LAM_OK && !ew_call_fired(w) && !excused)
        return ew_fail(w, "check", "%s: %s", lam_code_name(rc), w->err.message);
    return ew_drain(w);
}

static bool run_tasks(struct world *w) {
    if (w->config.background != BACKGROUND_QUEUED)
        return true;
    ew_say(w, "  tasks");
    ew_reach(w, REACHED_TASKS);
    ew_call_begin(w, IN_STEP, STEP_TASKS);
    simfs_run_tasks(w->fs, true);
    w->writes_waiting = 0;
    return ew_call_end(w, LAM_OK, "tasks") && ew_drain(w);
}

bool ew_ops_make_room(struct world *w) {
    return w->writes_waiting < 2 || run_tasks(w);
}

bool ew_ops_write(struct world *w) {
    struct step s;
    ew_draw_commit(w, &s);
    return ew_ops_make_room(w) && (w->chosen || write_step(w, &s));
}

static bool clock_step(struct world *w, const struct step *s) {
    static const int64_t years[] = {0, 10, -10, 1, -1, 100, -60};
    int64_t us = years[s->what % 7] * INT64_C(31557600000000) + s->slot * INT64_C(1000003);
    ew_ttl_note_clock(w);
    simfs_advance_us(w->fs, s->what % 2 ? us : -us);
    ew_ttl_note_clock(w);
    return true;
}

/* What is read when a read is to fail must not be in memory. */
static bool reads_under_fault(struct world *w, const struct step *s) {
    ew_faults_off(w);
    if (!w->unknown && (!upkeep(w, STEP_DUMP, 0) || w->chosen))
        return !ew_failed(w);
    ew_faults_rearm(w);
    struct step scan = *s;
    for (unsigned i = 0; i < 6; i++) {
        scan.what = choose(w->choice, 64);
        scan.partition = i % w->config.partitions;
        if (i % 2 ? !ew_read_scan(w, &scan)
                  : !ew_read_get(w, scan.partition, scan.what % w->config.keys, s->slot))
            return false;
    }
    return true;
}

static bool do_step(struct world *w, const struct step *s);

/* There must be something to dump, or for a compaction two files to merge: what it had to dump
 * first would take the fault upon itself. */
static bool prepare_upkeep(struct world *w, struct step *victim) {
    struct step put;
    ew_draw_put(w, &put);
    if (!do_step(w, &put) || w->chosen || victim->kind == STEP_DUMP || w->unknown ||
        choose_one_in(w->choice, 4))
        return !ew_failed(w);
    if (choose(w->choice, 4) > 0)
        victim->partition = put.ops[0].partition;
    return upkeep(w, STEP_DUMP, 0) && !w->chosen && do_step(w, &put) && !w->chosen &&
           upkeep(w, STEP_DUMP, 0);
}

static bool fault_step(struct world *w, const struct step *s) {
    if (w->read_only || w->quota_on)
        return true;
    if (w->armed) {
        ew_say(w, "  faults off");
        ew_faults_off(w);
        return true;
    }
    ew_faults_arm(w);
    const char *p = w->fault.pattern;
    if (w->fault.ops & SIMFS_READ && (!p || strcmp(p, ".sst") == 0) && s->what % 4)
        return reads_under_fault(w, s);
    struct step victim, put;
    ew_draw_victim(w, &w->fault, &victim);
    if (victim.kind == STEP_DUMP || victim.kind == STEP_COMPACT) {
        ew_faults_off(w);
        if (!prepare_upkeep(w, &victim) || w->chosen)
            return !ew_failed(w);
        ew_faults_rearm(w);
    }
    if (!do_step(w, &victim) || w->chosen)
        return !ew_failed(w);
    /* The manifest is written anew when there were enough edits. */
    bool root = p && strcmp(p, "ROOT") == 0 && victim.kind == STEP_DUMP;
    for (unsigned i = 0; root && i < 40 && simfs_fired(w->fs, 0) == 0; i++) {
        ew_draw_put(w, &put);
        if (!do_step(w, &put) || w->chosen || !do_step(w, &victim) || w->chosen)
            return !ew_failed(w);
    }
    if (choose(w->choice, 3) < 2) {
        ew_say(w, "  faults off");
        ew_faults_off(w);
    }
    return true;
}

static bool quota_step(struct world *w, const struct step *s) {
    if (w->read_only || w->armed)
        return true;
    if (w->quota_on) {
        ew_say(w, "  space again");
        ew_faults_off(w);
        return true;
    }
    uint64_t used = simfs_used(w->fs);
    uint64_t more = s->what < 8 ? 0 : (uint64_t)s->what * s->what * 2;
    ew_say(w, "  %llu bytes left", (unsigned long long)more);
    simfs_set_quota(w->fs, used + more > 0 ? used + more : 1);
    w->quota_on = true;
    w->healing = 0;
    return true;
}

static bool crash_step(struct world *w, const struct step *s) {
    if (s->what % 4 == 0 || w->options->mode == WORLD_SCRIPT)
        return ew_life_crash(w);
    ew_say(w, "  crash soon");
    w->crash_wanted = true;
    return true;
}

/* Closing is refused while something is held. */
static bool close_refused(struct world *w) {
    ew_bulk_free_held(w);
    if (!ew_holds_anything(w))
        return true;
    ew_call_begin(w, IN_CLOSE, STEP_REOPEN);
    enum lam_code rc = lam_db_close(w->db, &w->err);
    if (rc != LAM_BUSY)
        return ew_fail(w, "close", "with something held: %s", lam_code_name(rc));
    return ew_drain(w);
}

static bool reopen_step(struct world *w, const struct step *s) {
    ew_say(w, "  %s", ew_step_name(s->kind));
    if (s->what % 4 == 1 && !close_refused(w))
        return false;
    if (w->chosen)
        return true;
    if (s->kind == STEP_REOPEN)
        return ew_life_reopen(w, false);
    if (!ew_life_reopen(w, true))
        return false;
    if (w->chosen)
        return true;
    for (unsigned i = 0; i < 4; i++)
        if (!ew_read_get(w, i % w->config.partitions, (s->key + i) % w->config.keys, WORLD_HELD))
            return false;
    return write_refused(w) && ew_life_reopen(w, false);
}

/* --- steps ----------------------------------------------------------------------------------- */

static bool do_step(struct world *w, const struct step *s) {
    switch (s->kind) {
    case STEP_GET:
        return ew_read_get(w, s->partition, s->key, s->slot);
    case STEP_PUT:
    case STEP_DELETE:
    case STEP_DELETE_RANGE:
    case STEP_BATCH:
        return write_step(w, s);
    case STEP_SYNC:
        return sync_step(w, s);
    case STEP_SCAN:
        return ew_read_scan(w, s);
    case STEP_SNAPSHOT:
        return ew_read_snapshot(w, s);
    case STEP_ITERATOR:
        return ew_read_iterator(w, s);
    case STEP_VERIFY:
        return ew_read_verify(w);
    case STEP_DUMP:
        return upkeep(w, STEP_DUMP, 0);
    case STEP_COMPACT:
        return upkeep(w, STEP_COMPACT, s->what % 3 ? s->partition : MODEL_PARTITIONS);
    case STEP_CREATE:
        return ew_ops_create(w, s->partition);
    case STEP_DROP:
        return ew_ops_drop(w, s->partition);
    case STEP_REOPEN:
    case STEP_READ_ONLY:
        return reopen_step(w, s);
    case STEP_CRASH:
        return crash_step(w, s);
    case STEP_CHECK:
        return check_step(w);
    case STEP_CLOCK:
        return clock_step(w, s);
    case STEP_FAULT:
        return fault_step(w, s);
    case STEP_QUOTA:
        return quota_step(w, s);
    case STEP_TASKS:
        return run_tasks(w);
    case STEP_MULTI_GET:
        return ew_read_multi_get(w, s);
    case STEP_CREATE_MANY:
        return ew_bulk_create(w, s);
    case STEP_COMPACT_RANGE:
        return compact_range(w, s);
    case STEP_TXN:
        return ew_txn_step(w, s);
    case STEP_INGEST:
        return ew_bulk_ingest(w, s);
    case STEP_CHECKPOINT:
        return ew_copy_checkpoint(w);
    case STEP_BACKUP:
        return ew_copy_backup(w, s);
    case STEP_RESTORE:
        return ew_copy_restore(w);
    case STEP_TTL:
        return ew_ttl_step(w, s);
    case STEP_KINDS:
        break;
    }
    return true;
}

bool ew_ops_crash(struct world *w) {
    while (w->chosen)
        if (!ew_life_crash(w))
            return false;
    return true;
}

/* A database that has failed may do nothing more at which an image would be taken. */
static bool crash_after_fault(struct world *w, enum step_kind kind) {
    ew_call_begin(w, IN_STEP, kind);
    ew_taker_take_each(&w->taker);
    return ew_drain(w) && ew_ops_crash(w);
}

bool ew_ops_step(struct world *w, const struct step *s) {
    uint64_t faults = w->report->faults;
    if (!do_step(w, s) || !ew_ops_crash(w))
        return false;
    if (w->report->faults > faults && !crash_after_fault(w, s->kind))
        return false;
    if (!ew_ops_make_room(w) || !ew_ops_crash(w))
        return false;
    /* A database that has failed is of little use. */
    if (w->sticky && choose(w->choice, 3) == 0) {
        if (choose_one_in(w->choice, 2))
            ew_faults_off(w);
        ew_say(w, "  reopen after a failure");
        return ew_life_reopen(w, false) && ew_ops_crash(w);
    }
    return true;
}
