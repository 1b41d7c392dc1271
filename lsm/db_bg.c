/* SPDX-License-Identifier: Apache-2.0
 *
 * Background work: what is due, who does it, how fast writers may go meanwhile, and what happens
 * after a failure. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

/* Failed work is tried again after this long, doubling. */
#define RETRY_FIRST_NS 200000000ull
#define RETRY_MOST_NS  60000000000ull
/* Writers are slowed from this many files in level 0, and from this much debt. */
#define PACE_LEVEL0_FILES 8u
#define PACE_DEBT_BYTES   (2ull << 30)
#define PACE_DEBT_STEP    (256ull << 20)
#define PACE_NS           200u

int64_t db_clock_us(lam_db *db) {
    int64_t now = env_now_us(db->env);
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    if (now > s->clock_us)
        s->clock_us = now;
    now = s->clock_us;
    mutex_unlock(&db->state);
    return now;
}

enum lam_code db_copy_snapshots(lam_db *db, uint64_t **out, size_t *count_out,
                                struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&db->state);
    const struct db_state *s = db_state(db);
    size_t n = 0;
    uint64_t *list = mem_calloc(s->snapshot_count + 1, sizeof *list);
    if (!list)
        rc = mem_fail(err, (s->snapshot_count + 1) * sizeof *list);
    for (const struct lam_snapshot *i = s->snapshots; list && i; i = i->next)
        if (n == 0 || list[n - 1] != i->sequence)
            list[n++] = i->sequence;
    mutex_unlock(&db->state);
    *out = list;
    *count_out = n;
    return rc;
}

void db_pick_input(lam_db *db, const lam_partition *p, const struct version *v,
                   struct pick_input *out) {
    *out = (struct pick_input){
        .version = v,
        .oldest_snapshot = UINT64_MAX,
        .now_us = db_clock_us(db),
        .ttl_seconds = p->options.ttl_seconds,
        .base_bytes = db->tuning.base_bytes,
        .file_bytes = db->tuning.base_bytes / 2,
        .passed_steps = db->tuning.passed_steps,
        .rest_share =
            atomic_load_explicit(&db->resting, memory_order_relaxed) ? db->tuning.rest_share : 0,
    };
    mutex_lock(&db->state);
    if (db_state(db)->snapshots)
        out->oldest_snapshot = db_state(db)->snapshots->sequence;
    mutex_unlock(&db->state);
}

void db_score_compute(lam_db *db, const lam_partition *p, const struct version *v,
                      struct db_score *out) {
    struct pick_input in;
    db_pick_input(db, p, v, &in);
    out->score = pick_score(&in);
    out->debt = pick_debt(v, db->tuning.base_bytes);
    out->level0_files = (uint32_t)v->levels[0]->count;
}

void db_unscore_locked(lam_db *db, lam_partition *p) {
    p->score = (struct db_score){0};
    if (!p->is_due)
        return;
    if (p->due_prev)
        p->due_prev->due_next = p->due_next;
    else
        db_state(db)->due = p->due_next;
    if (p->due_next)
        p->due_next->due_prev = p->due_prev;
    p->due_next = p->due_prev = NULL;
    p->is_due = false;
}

void db_score_locked(lam_db *db, lam_partition *p, const struct db_score *score) {
    if (score->score < 1) {
        db_unscore_locked(db, p);
    } else if (!p->is_due) {
        p->due_prev = NULL;
        p->due_next = db_state(db)->due;
        if (p->due_next)
            p->due_next->due_prev = p;
        db_state(db)->due = p;
        p->is_due = true;
    }
    p->score = *score;
    db_pace_locked(db);
}

void db_rescore(lam_db *db, lam_partition *p) {
    struct version *v = db_version_of(p);
    struct db_score score;
    if (!v)
        return;
    db_score_compute(db, p, v, &score);
    mutex_lock(&db->state);
    if (p->state && p->state->version == v)
        db_score_locked(db, p, &score);
    mutex_unlock(&db->state);
    version_unref(v);
}

static uint64_t square(uint64_t x) {
    return x * x;
}

/* Commits are slowed from now on, or no more. */
static void note_pace_locked(lam_db *db, bool slowed) REQUIRES(&db->state) {
    struct db_state *s = db_state(db);
    uint64_t now = env_monotonic_ns(db->env);
    struct lam_event e = {.kind = slowed ? LAM_EVENT_STALL_BEGIN : LAM_EVENT_STALL_END,
                          .stall = LAM_STALL_DEBT,
                          .duration_us = slowed ? 0 : (now - s->slowed_ns) / 1000};
    s->slowed_ns = now;
    notify_event(&db->notify, &e);
}

void db_pace_locked(lam_db *db) {
    uint64_t files = 0, debt = 0, pace = 0;
    bool slowed = atomic_load_explicit(&db->pace, memory_order_relaxed) > 0;
    for (const lam_partition *p = db_state(db)->due; p; p = p->due_next) {
        files = p->score.level0_files > files ? p->score.level0_files : files;
        debt += p->score.debt;
    }
    if (files > PACE_LEVEL0_FILES)
        pace += PACE_NS * square(files - PACE_LEVEL0_FILES);
    if (debt > PACE_DEBT_BYTES)
        pace += PACE_NS * square((debt - PACE_DEBT_BYTES) / PACE_DEBT_STEP);
    atomic_store_explicit(&db->pace, pace < 1000000 ? (uint32_t)pace : 1000000u,
                          memory_order_relaxed);
    if (slowed != (pace > 0))
        note_pace_locked(db, pace > 0);
}

lam_partition *db_most_due(lam_db *db) {
    lam_partition *best = NULL;
    mutex_lock(&db->state);
    for (lam_partition *p = db_state(db)->due; p; p = p->due_next)
        if (!best || p->score.score > best->score.score)
            best = p;
    if (best)
        db_partition_ref(best);
    mutex_unlock(&db->state);
    return best;
}

enum { WORK_DUMP = 1, WORK_COMPACT = 2 };

/* `work` went well or failed; what failed waits for its next try. */
static void note_outcome(lam_db *db, uint32_t work, bool good) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    uint32_t failed = atomic_load(&db->retry);
    failed = good ? failed & ~work : failed | work;
    if (failed == 0) {
        s->retry_delay_ns = 0;
    } else if (!good) {
        s->retry_delay_ns = s->retry_delay_ns ? s->retry_delay_ns * 2 : RETRY_FIRST_NS;
        if (s->retry_delay_ns > RETRY_MOST_NS)
            s->retry_delay_ns = RETRY_MOST_NS;
        s->retry_at_ns = env_monotonic_ns(db->env) + s->retry_delay_ns;
    }
    atomic_store(&db->retry, failed);
    mutex_unlock(&db->state);
}

void db_bg_dump_done(lam_db *db, enum lam_code code, const struct lam_error *error) {
    note_outcome(db, WORK_DUMP, code == LAM_OK);
    mutex_lock(&db->commit);
    struct db_commit *c = db_commit(db);
    mutex_lock(&db->state);
    bool resting = code == LAM_OK && c->active_count == 0 && db_state(db)->sealed_count == 0;
    mutex_unlock(&db->state);
    atomic_store_explicit(&db->resting, resting, memory_order_relaxed);
    if (resting)
        db_wal_rest_locked(db);
    c->dump_attempts++;
    memset(&c->dump_error, 0, sizeof c->dump_error);
    if (code != LAM_OK)
        c->dump_error = *error;
    cond_broadcast(&db->room);
    mutex_unlock(&db->commit);
}

/* Ends a task unless more came up meanwhile: whoever queued that saw the task still scheduled. */
static bool end_dump_task(lam_db *db, bool failed) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    bool more = s->sealed_count > 0 || atomic_load(&db->seal_wanted);
    bool end = failed || !more || atomic_load(&db->closing);
    if (end)
        s->dump_scheduled = false;
    mutex_unlock(&db->state);
    return end;
}

static void dump_task(void *arg) {
    lam_db *db = ((struct db_task *)arg)->db;
    bool failed = false;
    do {
        bool done;
        db_seal_passed(db);
        struct lam_error cause = {0};
        failed = dump_oldest(db, &done, &cause) != LAM_OK;
        if (failed)
            db_note_failure(db, "a dump", &cause);
    } while (!end_dump_task(db, failed));
    /* Who waits counts on a task that is scheduled: this one is no more. */
    mutex_lock(&db->commit);
    cond_broadcast(&db->room);
    mutex_unlock(&db->commit);
    if (!failed)
        db_bg_kick(db, false);
}

static bool end_compact_task(lam_db *db, bool failed) {
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    bool end = failed || !s->due || atomic_load(&db->closing);
    if (end)
        s->compact_scheduled = false;
    mutex_unlock(&db->state);
    return end;
}

static void compact_task(void *arg) {
    lam_db *db = ((struct db_task *)arg)->db;
    bool failed = false;
    do {
        bool done;
        struct lam_error cause = {0};
        failed = compact_due(db, &done, &cause) != LAM_OK;
        if (failed && !atomic_load(&db->closing))
            db_note_failure(db, "a compaction", &cause);
        note_outcome(db, WORK_COMPACT, !failed);
    } while (!end_compact_task(db, failed));
}

/* What is to be started; the flags say that it is. */
struct due_work {
    bool dump, compact;
};

static struct due_work claim_work(lam_db *db, bool now) {
    struct due_work due = {0};
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    bool wait = !now && !db->options.manual_background &&
                atomic_load_explicit(&db->retry, memory_order_relaxed) &&
                env_monotonic_ns(db->env) < s->retry_at_ns;
    if (!wait && !atomic_load(&db->closing) && !atomic_load(&db->failed)) {
        due.dump = (s->sealed_count > 0 || atomic_load(&db->seal_wanted)) && !s->dump_scheduled;
        due.compact = s->due && !s->compact_scheduled;
        s->dump_scheduled = s->dump_scheduled || due.dump;
        s->compact_scheduled = s->compact_scheduled || due.compact;
    }
    mutex_unlock(&db->state);
    return due;
}

void db_bg_tell(lam_db *db) {
    if (db->options.manual_background)
        return;
    struct due_work due = claim_work(db, false);
    bool no_dump = due.dump &&
                   env_submit(db->env, LAM_LANE_DUMP, 0, dump_task, &db->dump_task, NULL) != LAM_OK;
    bool no_compact = due.compact && env_submit(db->env, LAM_LANE_COMPACT, 0, compact_task,
                                                &db->compact_task, NULL) != LAM_OK;
    if (!no_dump && !no_compact)
        return;
    mutex_lock(&db->state);
    struct db_state *s = db_state(db);
    s->dump_scheduled = s->dump_scheduled && !no_dump;
    s->compact_scheduled = s->compact_scheduled && !no_compact;
    mutex_unlock(&db->state);
}

static void submit(lam_db *db, enum lam_lane lane, lam_task_fn fn, struct db_task *task) {
    /* Without an executor the work is done here: somebody may be waiting for it. */
    if (env_submit(db->env, lane, 0, fn, task, NULL) != LAM_OK)
        fn(task);
}

void db_bg_kick(lam_db *db, bool now) {
    if (!atomic_load_explicit(&db->retry, memory_order_relaxed))
        db_ttl_look(db);
    struct due_work due = claim_work(db, now);
    if (db->options.manual_background) {
        if (due.dump)
            dump_task(&db->dump_task);
        if (due.compact)
            compact_task(&db->compact_task);
        return;
    }
    if (due.dump)
        submit(db, LAM_LANE_DUMP, dump_task, &db->dump_task);
    if (due.compact)
        submit(db, LAM_LANE_COMPACT, compact_task, &db->compact_task);
}

void db_bg_prepare_log(lam_db *db) {
    if (!atomic_load(&db->closing) && !db->options.manual_background)
        submit(db, LAM_LANE_LOG, db_wal_prepare, &db->log_task);
}

void db_bg_stop(lam_db *db) {
    atomic_store(&db->closing, true);
    mutex_lock(&db->state);
    while (db_state(db)->long_calls > 0)
        cond_wait(&db->idle, &db->state);
    mutex_unlock(&db->state);
    db->env->ops->cancel(db->env, &db->dump_task);
    db->env->ops->cancel(db->env, &db->compact_task);
    db->env->ops->cancel(db->env, &db->log_task);
    db->env->ops->cancel(db->env, &db->ttl_task);
}
