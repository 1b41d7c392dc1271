/* SPDX-License-Identifier: Apache-2.0
 *
 * A database's life in a history: opened, closed, failed, crashed, opened again. After every open
 * what is there must be one of the states that may be, and from then on it is the state. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/sched.h"
#include "tests/sim/world_engine_impl.h"

/* --- around calls ---------------------------------------------------------------------------- */

bool ew_lossy(const struct world *w) {
    return w->armed && w->fault.effect == SIMFS_FSYNC_BTRFS && simfs_fired(w->fs, 0) > 0;
}

bool ew_fired_in_call(const struct world *w) {
    return w->armed && simfs_fired(w->fs, 0) > w->call_fired_before;
}

static void note_fired(struct world *w) {
    uint64_t n = w->armed ? simfs_fired(w->fs, 0) : 0;
    if (n > w->fired_before) {
        w->report->faults += n - w->fired_before;
        w->fired_before = n;
        w->fired = true;
        if (w->crashed_session)
            ew_reach(w, REACHED_FAULT_AFTER_CRASH);
    }
    w->lossy = w->lossy || ew_lossy(w);
    w->fired = w->fired || w->quota_on;
}

void ew_call_begin(struct world *w, enum place place, enum step_kind step) {
    struct taker *t = &w->taker;
    t->place = place;
    t->step = step;
    t->kill_low = w->lossy ? w->synced : w->acked;
    t->power_low = w->synced;
    t->high = model_commits(w->model);
    w->given = w->sequence > w->given ? w->sequence : w->given;
    t->sequence = w->given;
    t->exists = w->exists;
    w->call_fired_before = w->fired_before;
}

bool ew_call_fired(const struct world *w) {
    return w->quota_on || w->fired_before > w->call_fired_before;
}

bool ew_call_end(struct world *w, enum lam_code rc, const char *what) {
    note_fired(w);
    ew_trace(w, rc);
    const char *violation = simfs_violation(w->fs);
    if (violation)
        return ew_fail(w, "protocol", "%s: %s", what, violation);
    if (ew_failed(w))
        return false;
    if (rc == LAM_OK)
        return true;
    ew_say(w, "    %s: %s: %s", what, lam_code_name(rc), w->err.message);
    if (!w->fired)
        return ew_fail(w, "error-without-fault", "%s: %s: %s", what, lam_code_name(rc),
                       w->err.message);
    bool shortened = w->fault.effect == SIMFS_SHORT && w->fault.ops & SIMFS_READ;
    if (rc != LAM_IO && rc != LAM_NO_SPACE && rc != LAM_UNKNOWN_OUTCOME && rc != LAM_READ_ONLY &&
        !(rc == LAM_CORRUPT && shortened))
        return ew_fail(w, "error-code", "%s after a fault: %s: %s", what, lam_code_name(rc),
                       w->err.message);
    if (!w->err.message[0])
        return ew_fail(w, "error-message", "%s: %s without a message", what, lam_code_name(rc));
    if (rc == LAM_UNKNOWN_OUTCOME || rc == LAM_READ_ONLY) {
        w->sticky = true;
    } else if (!w->armed && !w->quota_on && ++w->healing > 1) {
        return ew_fail(w, "not-healed", "%s still fails though faults are off: %s: %s", what,
                       lam_code_name(rc), w->err.message);
    }
    return true;
}

/* --- faults ---------------------------------------------------------------------------------- */

void ew_faults_rearm(struct world *w) {
    simfs_arm(w->fs, 0, &w->fault);
    /* The last thing that a dying disk does may be done. */
    if (w->fault.effect == SIMFS_FAIL_DONE && !w->fault.sticky && choose(w->choice, 3) > 0) {
        struct simfs_fault rest = w->fault;
        rest.effect = SIMFS_FAIL;
        rest.sticky = true;
        rest.nth++;
        simfs_arm(w->fs, 2, &rest);
    }
    w->armed = true;
    w->fired_before = 0;
    w->healing = 0;
}

void ew_faults_arm(struct world *w) {
    ew_draw_fault(w->choice, &w->fault);
    ew_faults_rearm(w);
    ew_say(w, "    fault: ops %u of %s, number %llu%s, effect %d", w->fault.ops,
           w->fault.pattern ? w->fault.pattern : "any", (unsigned long long)w->fault.nth,
           w->fault.sticky ? " and on" : "", (int)w->fault.effect);
}

void ew_faults_off(struct world *w) {
    note_fired(w);
    static const struct simfs_fault none = {.code = LAM_IO};
    simfs_arm(w->fs, 0, &none);
    simfs_arm(w->fs, 2, &none);
    simfs_set_quota(w->fs, 0);
    w->quota_on = false;
    w->armed = false;
    w->fired_before = w->call_fired_before = 0;
    w->healing = 0;
}

/* --- the file system ------------------------------------------------------------------------- */

static void adopt(struct world *w) {
    const struct simfs_fault *permanent = w->options->permanent;
    static const struct simfs_fault refusal = {
        .ops = SIMFS_SUBMIT, .nth = 1, .sticky = true, .code = LAM_BUSY};
    if (permanent)
        simfs_arm(w->fs, 3, permanent);
    if (w->config.background == BACKGROUND_REFUSED)
        simfs_arm(w->fs, 1, &refusal);
    struct taker *t = &w->taker;
    *t = (struct taker){.w = w,
                        .fs = w->fs,
                        .choice = w->choice,
                        .queue = &w->queue,
                        .one_in = w->config.image_one_in,
                        .every = w->options->mode == WORLD_SWARM ? 0 : w->options->every,
                        .exhaustive = w->options->mode == WORLD_SCRIPT,
                        .limit = UINT64_MAX};
    simfs_observe(w->fs, ew_taker_observe, t);
    ew_ttl_note_clock(w);
    w->armed = w->quota_on = false;
    w->fired_before = w->call_fired_before = 0;
}

static void retire(struct world *w) {
    ew_trace(w, simfs_trace(w->fs));
    simfs_free(w->fs);
    w->fs = NULL;
}

bool ew_drain(struct world *w) {
    struct queue q = w->queue;
    w->queue = (struct queue){0};
    if (w->crash_wanted && q.count > 0 && !w->chosen && !ew_failed(w)) {
        size_t at = choose(w->choice, (uint32_t)q.count);
        w->chosen = q.list[at];
        q.list[at] = q.list[--q.count];
        w->crash_wanted = false;
    }
    bool threads = sched_active();
    if (threads)
        sched_suspend();
    for (size_t i = 0; i < q.count && !ew_failed(w); i++)
        ew_check_image(w, q.list[i], model_hashes(w->model), NULL);
    if (threads)
        sched_resume();
    ew_queue_clear(&q);
    return !ew_failed(w);
}

/* --- opening --------------------------------------------------------------------------------- */

static enum lam_code open_once(struct world *w, bool read_only) {
    struct lam_options options;
    struct db_tuning tuning;
    if (w->exists)
        ew_draw_open(w->choice, &w->config, &options, &tuning);
    else {
        options = w->config.options;
        tuning = w->config.tuning;
    }
    options.env = simfs_env(w->fs);
    options.read_only = read_only;
    options.must_exist = w->exists;
    sim_tuning_set(&tuning);
    ew_call_begin(w, IN_OPEN, STEP_REOPEN);
    enum lam_code rc = lam_db_open(WORLD_DIR, &options, &w->db, &w->err);
    if (rc != LAM_OK)
        w->db = NULL;
    if (ew_call_end(w, rc, "open") && rc != LAM_OK)
        ew_reach(w, REACHED_OPEN_FAILED);
    return rc;
}

static bool open_handles(struct world *w) {
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++) {
        if (!model_exists(w->model, w->live, p))
            continue;
        enum lam_code rc = lam_partition_open(w->db, ew_partition_name(p), &w->handles[p], &w->err);
        if (rc != LAM_OK)
            return ew_fail(w, "partition-open", "%s: %s", lam_code_name(rc), w->err.message);
    }
    return ew_ttl_open(w);
}

static void note_recovery(struct world *w, size_t prefix) {
    struct lam_stats s;
    lam_db_stats(w->db, &s);
    if (s.recovered_torn_tail)
        ew_reach(w, REACHED_TORN_TAIL);
    if (w->unknown && prefix == model_commits(w->model))
        ew_reach(w, REACHED_UNKNOWN_KEPT);
    if (w->unknown && prefix < model_commits(w->model))
        ew_reach(w, REACHED_UNKNOWN_GONE);
}

/* What is there must be a state between `low` and all that was tried. */
static bool find_state(struct world *w, size_t low, bool was_clean, size_t *prefix,
                       struct ttl_rows *ttl) {
    struct model_view view;
    size_t high = model_commits(w->model);
    model_view_init(&view, false);
    enum lam_code rc = ew_scan_database(w->db, &view, &w->err);
    if (rc == LAM_OK)
        rc = ew_ttl_read(w, w->db, ttl, &w->err);
    bool found = rc == LAM_OK && ew_ttl_find(w, &view, ttl, low, high, prefix);
    if (rc == LAM_OK && !found)
        ew_report_state(w, w->db, w->model, low, high, "after an open");
    model_view_fini(&view);
    if (rc != LAM_OK)
        return ew_fail(w, "scan", "after an open: %s: %s", lam_code_name(rc), w->err.message);
    if (!found)
        return false;
    struct lam_stats s;
    lam_db_stats(w->db, &s);
    /* Who only reads gives none out. */
    if (s.sequence < w->given && !(w->read_only && w->lossy))
        return ew_fail(w, "sequence", "sequence %llu after an open, %llu was given out before",
                       (unsigned long long)s.sequence, (unsigned long long)w->given);
    if (was_clean && s.sequence != w->given)
        return ew_fail(w, "sequence", "sequence %llu after a clean close at %llu",
                       (unsigned long long)s.sequence, (unsigned long long)w->given);
    ew_say(w, "    state %zu of %zu to %zu, sequence %llu", *prefix, low, high,
           (unsigned long long)s.sequence);
    return true;
}

/* It is the state from now on. */
static bool settle(struct world *w, size_t low, size_t prefix, const struct ttl_rows *ttl) {
    struct lam_stats s;
    lam_db_stats(w->db, &s);
    note_recovery(w, prefix);
    for (size_t other = low; other < prefix; other++)
        if (model_hash_eq(model_hash_at(w->model, other), model_hash_at(w->model, prefix)))
            w->safe_upto = s.sequence;
    model_truncate(w->model, prefix);
    ew_ttl_truncate(w, prefix);
    ew_ttl_settle(w, ttl, prefix);
    w->sequence = s.sequence;
    w->acked = w->live = w->live2 = prefix;
    w->synced = w->read_only && w->synced < prefix ? w->synced : prefix;
    w->unknown = false;
    w->exists = true;
    w->fired = w->sticky = w->lossy = w->clean_failure = w->out_of_space = false;
    w->range_in_memory = false;
    w->writes_waiting = 0;
    return open_handles(w);
}

/* Images of a recovery from wholly durable files show what it exposed. */
static void narrow(struct world *w, size_t prefix) {
    for (size_t i = 0; i < w->queue.count; i++)
        w->queue.list[i]->low = w->queue.list[i]->high = prefix;
}

static bool open_and_settle(struct world *w, size_t low, bool read_only, bool was_clean,
                            bool all_durable) {
    struct listing before;
    ew_listing_take(&before, w->fs);
    enum lam_code rc = LAM_OK;
    unsigned tries = 0;
    w->read_only = read_only;
    do {
        if (tries == 2)
            ew_faults_off(w);
        rc = open_once(w, read_only);
        if (ew_failed(w))
            return false;
        if (rc != LAM_OK)
            w->name_count = 0;
    } while (rc != LAM_OK && tries++ < 4);
    if (rc != LAM_OK)
        return ew_fail(w, "open", "%s: %s", lam_code_name(rc), w->err.message);
    bool armed = w->armed || w->quota_on, fired = w->fired;
    /* Reads may fail by a fault; what is there is asked in peace. */
    if (armed)
        ew_faults_off(w);
    struct ttl_rows ttl;
    size_t prefix;
    if (!find_state(w, low, was_clean && !fired, &prefix, &ttl))
        return false;
    if (all_durable && !fired)
        narrow(w, prefix);
    if (!fired && !read_only && !ew_listing_check_open(w, &before, w->fs, w->db, was_clean))
        return false;
    w->litter = fired || (read_only && w->litter);
    if (!ew_drain(w))
        return false;
    return w->chosen || settle(w, low, prefix, &ttl);
}

bool ew_life_start(struct world *w) {
    w->fs = simfs_new(&w->config.fs, w->choice);
    w->model = model_new();
    adopt(w);
    if (w->config.faults && choose_one_in(w->choice, 4))
        ew_faults_arm(w);
    return open_and_settle(w, 0, false, false, true);
}

/* --- closing --------------------------------------------------------------------------------- */

static void release_handles(struct world *w) {
    for (unsigned p = 0; p < MODEL_PARTITIONS; p++) {
        lam_partition_release(w->handles[p]);
        w->handles[p] = NULL;
    }
    ew_ttl_release(w);
}

bool ew_life_close(struct world *w) {
    ew_read_free_held(w);
    release_handles(w);
    ew_call_begin(w, IN_CLOSE, STEP_REOPEN);
    enum lam_code rc = lam_db_close(w->db, &w->err);
    w->db = NULL;
    if (!ew_call_end(w, rc, "close"))
        return false;
    if (rc != LAM_OK)
        ew_reach(w, REACHED_CLOSE_FAILED);
    if (simfs_open_handles(w->fs) != 0)
        return ew_fail(w, "leak", "%zu files or locks are open after a close",
                       simfs_open_handles(w->fs));
    if (rc == LAM_OK && !w->read_only && !w->unknown)
        w->synced = w->acked;
    w->closed_clean = rc == LAM_OK && !w->fired;
    return ew_drain(w);
}

bool ew_life_reopen(struct world *w, bool read_only) {
    bool was_read_only = w->read_only;
    if (!ew_life_close(w))
        return false;
    if (w->chosen)
        return true;
    size_t low = w->lossy ? w->synced : w->acked;
    bool clean = w->closed_clean && !was_read_only;
    if (!clean)
        w->name_count = 0;
    w->crashed_session = false;
    if (read_only)
        ew_reach(w, REACHED_READ_ONLY);
    return open_and_settle(w, low, read_only, clean && !w->litter, clean);
}

/* --- crashing -------------------------------------------------------------------------------- */

/* The process is gone: nothing it still does reaches the files. */
static void bury(struct world *w) {
    if (w->fs)
        simfs_freeze(w->fs);
    ew_read_free_held(w);
    release_handles(w);
    w->taker.queue = NULL;
    if (w->db && lam_db_close(w->db, &w->err) == LAM_BUSY)
        LAM_ASSERT(!"nothing is held");
    w->db = NULL;
    ew_queue_clear(&w->queue);
    if (w->fs)
        retire(w);
}

static struct image *take_chosen(struct world *w) {
    struct image *i = w->chosen;
    w->chosen = NULL;
    if (i)
        return i;
    ew_call_begin(w, IN_STEP, STEP_CRASH);
    struct taker now = w->taker;
    struct queue q = {0};
    now.queue = &q;
    now.one_in = 1;
    now.every = 0;
    now.exhaustive = false;
    ew_taker_take_now(&now);
    LAM_ASSERT(q.count > 0);
    i = q.list[0];
    q.list[0] = q.list[--q.count];
    ew_queue_clear(&q);
    return i;
}

bool ew_life_crash(struct world *w) {
    struct image *i = take_chosen(w);
    ew_say(w, "    crash: %s", ew_image_text(i));
    bury(w);
    if (++w->generations == 3)
        ew_reach(w, REACHED_GENERATIONS);
    w->fs = i->fs;
    i->fs = NULL;
    choice_fini(&w->fs_choice);
    w->fs_choice = i->choice;
    memset(&i->choice, 0, sizeof i->choice);
    simfs_set_choice(w->fs, &w->fs_choice);
    size_t low = i->low;
    bool durable = i->how != HOW_DEATH;
    model_truncate(w->model, i->high);
    ew_ttl_truncate(w, i->high);
    w->acked = low;
    w->synced = durable ? low : i->power_low;
    w->sequence = w->given = i->sequence;
    w->exists = i->exists;
    w->unknown = w->fired = w->sticky = w->lossy = false;
    w->name_count = 0;
    w->crashed_session = true;
    w->crash_wanted = false;
    w->copies = i->copies;
    bool whole = ew_copy_check(w, w->fs, &w->copies, &w->fs_choice);
    ew_image_free(i);
    adopt(w);
    if (!whole)
        return false;
    if (w->config.faults && choose_one_in(w->choice, w->config.many_faults ? 2 : 4))
        ew_faults_arm(w);
    return open_and_settle(w, low, false, false, durable);
}

void ew_life_end(struct world *w) {
    bury(w);
    ew_image_free(w->chosen);
    model_free(w->model);
    ew_ttl_free(w);
    choice_fini(&w->fs_choice);
    for (unsigned i = 0; i < WORLD_KEYS; i++)
        free(w->key_bytes[i]);
    sim_tuning_set(NULL);
}
