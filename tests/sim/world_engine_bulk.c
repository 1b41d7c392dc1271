/* SPDX-License-Identifier: Apache-2.0
 *
 * Many rows or partitions by one commit: ingests, which are held over steps of all kinds, and
 * partitions made together. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

#define ROWS_MAX 96u

struct held_ingest {
    lam_ingest *ingest;
    unsigned partition, incarnation;
    unsigned at; /* in the order of keys: those before can't follow */
    bool failed; /* only abort is left */
    unsigned count;
    struct {
        unsigned key;
        size_t size;
        uint8_t *value; /* owned */
    } rows[ROWS_MAX];
};

/* --- ingests --------------------------------------------------------------------------------- */

static void forget(struct world *w) {
    struct held_ingest *g = w->ingest;
    for (unsigned i = 0; i < g->count; i++)
        free(g->rows[i].value);
    free(g);
    w->ingest = NULL;
}

void ew_bulk_free_held(struct world *w) {
    if (!w->ingest)
        return;
    lam_ingest_abort(w->ingest->ingest);
    forget(w);
}

static bool begin(struct world *w, unsigned partition) {
    struct held_ingest *g = calloc(1, sizeof *g);
    LAM_ASSERT(g);
    g->partition = partition;
    g->incarnation = w->incarnations[partition];
    ew_say(w, "  ingest into %u", partition);
    ew_call_begin(w, IN_STEP, STEP_INGEST);
    enum lam_code rc = lam_ingest_new(w->db, w->handles[partition], &g->ingest, &w->err);
    if (rc != LAM_OK)
        free(g);
    else
        w->ingest = g;
    return ew_call_end(w, rc, "ingest");
}

static bool put(struct world *w, struct held_ingest *g, unsigned at) {
    struct step s;
    ew_draw_put(w, &s);
    unsigned key = w->key_order[at];
    struct lam_slice value = ew_value(w, s.ops[0].size);
    ew_call_begin(w, IN_STEP, STEP_INGEST);
    enum lam_code rc = lam_ingest_put(g->ingest, ew_key(w, key), value, &w->err);
    if (rc != LAM_OK) {
        g->failed = true;
        return ew_call_end(w, rc, "ingest_put");
    }
    uint8_t *copy = malloc(value.size + 1);
    LAM_ASSERT(copy);
    if (value.size)
        memcpy(copy, value.data, value.size);
    g->rows[g->count].key = key;
    g->rows[g->count].size = value.size;
    g->rows[g->count++].value = copy;
    g->at = at + 1;
    return ew_call_end(w, LAM_OK, "ingest_put");
}

/* A key out of order is refused and changes nothing. */
static bool put_refused(struct world *w, struct held_ingest *g) {
    unsigned key = g->rows[choose(w->choice, g->count)].key;
    enum lam_code rc = lam_ingest_put(g->ingest, ew_key(w, key), lam_slice_str("late"), &w->err);
    return rc == LAM_INVALID || ew_fail(w, "ingest", "a key out of order: %s", lam_code_name(rc));
}

static bool add_rows(struct world *w, struct held_ingest *g) {
    unsigned n = choose(w->choice, 12), far = choose(w->choice, 2) ? 1 : 1 + w->config.keys / 8;
    for (unsigned i = 0; i < n && !g->failed && g->count < ROWS_MAX; i++) {
        unsigned at = g->at + choose(w->choice, far);
        if (at >= w->config.keys)
            break;
        if (!put(w, g, at))
            return false;
    }
    return g->failed || g->count == 0 || !choose_one_in(w->choice, 6) || put_refused(w, g);
}

static bool give_up(struct world *w) {
    ew_say(w, "    abort");
    ew_call_begin(w, IN_STEP, STEP_INGEST);
    lam_ingest_abort(w->ingest->ingest);
    forget(w);
    ew_reach(w, REACHED_INGEST_ABORTED);
    return ew_call_end(w, LAM_OK, "ingest_abort") &&
           (w->config.background == BACKGROUND_THREADS || ew_check_tidy(w, "ingest's abort")) &&
           ew_drain(w);
}

/* It can't be published, or has nothing to publish. */
static bool finish_nothing(struct world *w, struct held_ingest *g) {
    bool dropped = g->incarnation != w->incarnations[g->partition];
    enum lam_code want = g->failed ? LAM_INVALID : g->count && dropped ? LAM_NOT_FOUND : LAM_OK;
    uint64_t sequence = 0;
    ew_call_begin(w, IN_STEP, STEP_INGEST);
    enum lam_code rc = lam_ingest_finish(g->ingest, &sequence, &w->err);
    if (rc == LAM_NOT_FOUND && want == rc)
        ew_reach(w, REACHED_INGEST_DROPPED);
    unsigned count = g->count;
    forget(w);
    if (!ew_call_end(w, rc == want ? LAM_OK : rc, "ingest_finish"))
        return false;
    if (rc == LAM_OK && want != LAM_OK)
        return ew_fail(w, "ingest", "%u rows into nowhere: %s", count, lam_code_name(rc));
    if (rc == LAM_OK && sequence != w->sequence)
        return ew_fail(w, "sequence", "an ingest of nothing gave %llu, the newest is %llu",
                       (unsigned long long)sequence, (unsigned long long)w->sequence);
    return ew_drain(w);
}

static void plan(struct world *w, const struct held_ingest *g) {
    model_begin(w->model);
    for (unsigned i = 0; i < g->count; i++) {
        struct lam_slice key = ew_key(w, g->rows[i].key), old;
        if (model_get(w->model, w->live, g->partition, key, &old))
            ew_reach(w, REACHED_INGEST_HID);
        model_put(w->model, g->partition, key, lam_slice_of(g->rows[i].value, g->rows[i].size),
                  w->sequence + 1);
    }
    model_end(w->model);
}

/* One that failed may have used the sequence. */
bool ew_bulk_note_sequence(struct world *w, enum lam_code rc, uint64_t sequence) {
    struct lam_stats s;
    lam_db_stats(w->db, &s);
    if (rc == LAM_OK ? sequence != w->sequence + 1 || s.sequence != sequence
                     : s.sequence - w->sequence > 1)
        return ew_fail(w, "sequence", "an ingest gave %llu, the database is at %llu, was at %llu",
                       (unsigned long long)sequence, (unsigned long long)s.sequence,
                       (unsigned long long)w->sequence);
    w->sequence = s.sequence;
    return true;
}

static bool finish(struct world *w) {
    struct held_ingest *g = w->ingest;
    ew_say(w, "    finish %u rows", g->count);
    if (g->failed || g->count == 0 || g->incarnation != w->incarnations[g->partition])
        return finish_nothing(w, g);
    uint64_t sequence = 0;
    plan(w, g);
    w->writes_waiting++;
    ew_call_begin(w, IN_STEP, STEP_INGEST);
    enum lam_code rc = lam_ingest_finish(g->ingest, &sequence, &w->err);
    bool ok = ew_bulk_note_sequence(w, rc, sequence);
    if (rc == LAM_OK) {
        ew_reach(w, REACHED_INGESTED);
        for (unsigned i = 0; i < g->count; i++)
            ew_txn_touch(w, g->partition, ew_key(w, g->rows[i].key), NULL);
    } else if (w->armed) {
        ew_reach(w, REACHED_INGEST_FAILED);
    }
    forget(w);
    return ok && ew_conclude(w, rc, true, "ingest");
}

bool ew_bulk_ingest(struct world *w, const struct step *s) {
    if (w->read_only)
        return true;
    if (w->unknown && w->ingest)
        return give_up(w);
    if (w->unknown || (!w->ingest && !ew_is_writable(w, s->partition)))
        return true;
    bool held = w->ingest;
    if (!held && (!begin(w, s->partition) || !w->ingest))
        return !ew_failed(w) && ew_drain(w);
    if (held)
        ew_say(w, "  ingest goes on");
    if (!w->ingest->failed && !add_rows(w, w->ingest))
        return false;
    /* Somebody else's commit; and the process may die with the ingest under way. */
    if (s->what % 4 == 1 && (!ew_ops_write(w) || w->chosen || w->unknown))
        return !ew_failed(w);
    if (!held && !w->armed && s->what % 3 == 0)
        return ew_drain(w);
    if (choose_one_in(w->choice, 16) &&
        (!ew_ops_drop(w, w->ingest->partition) || w->chosen || w->unknown))
        return !ew_failed(w);
    return choose_one_in(w->choice, 6) ? give_up(w) : finish(w);
}

/* --- partitions ------------------------------------------------------------------------------ */

bool ew_bulk_create(struct world *w, const struct step *s) {
    const char *names[4];
    lam_partition *made[4] = {NULL};
    unsigned numbers[4], count = 1 + s->what % 4, there = 0;
    if (w->read_only || w->unknown)
        return true;
    count = count < w->config.partitions ? count : w->config.partitions;
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = (s->partition + i) % w->config.partitions;
        names[i] = ew_partition_name(numbers[i]);
        there += model_exists(w->model, w->live, numbers[i]);
    }
    ew_say(w, "  create_many %u from %u, %u are there", count, s->partition, there);
    if (there > 0) {
        enum lam_code rc = lam_partition_create_many(w->db, names, count, NULL, made, &w->err);
        bool faulted = w->fired || ew_fired_in_call(w);
        if (rc != LAM_EXISTS && !(faulted && rc == LAM_READ_ONLY))
            return ew_fail(w, "create", "%u of %u partitions exist: %s", there, count,
                           lam_code_name(rc));
        return true;
    }
    model_begin(w->model);
    for (unsigned i = 0; i < count; i++)
        model_create(w->model, numbers[i]);
    model_end(w->model);
    ew_call_begin(w, IN_STEP, STEP_CREATE_MANY);
    enum lam_code rc = lam_partition_create_many(w->db, names, count, NULL, made, &w->err);
    for (unsigned i = 0; i < count && rc == LAM_OK; i++)
        w->handles[numbers[i]] = made[i];
    if (rc == LAM_OK && count > 1)
        ew_reach(w, REACHED_CREATED_MANY);
    return ew_conclude(w, rc, true, "create_many");
}
