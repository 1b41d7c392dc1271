/* SPDX-License-Identifier: Apache-2.0
 *
 * Writers into temporary partitions, which another thread makes and drops meanwhile. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "lamina/txn.h"
#include "tests/sim/world_threads_impl.h"

static uint32_t pick(struct world *w, uint32_t n) {
    return choose(&w->choice, n);
}

/* The ways of putting one row. */
static enum lam_code put_batch(struct world *w, const struct lam_write_options *options,
                               lam_partition *p, struct lam_slice key, struct lam_slice value,
                               uint64_t *sequence, struct lam_error *err) {
    lam_batch *b = NULL;
    wt_must(w, lam_batch_new(w->db, &b, err), err, "lam_batch_new");
    enum lam_code rc = lam_batch_put(b, p, key, value, err);
    if (rc == LAM_OK)
        rc = lam_write(w->db, options, b, sequence, err);
    lam_batch_free(b);
    return rc;
}

static enum lam_code put_txn(struct world *w, const struct lam_write_options *options,
                             lam_partition *p, struct lam_slice key, struct lam_slice value,
                             uint64_t *sequence, struct lam_error *err) {
    struct lam_txn_options o = {.serializable = pick(w, 2)};
    struct lam_value v = {0};
    lam_txn *t = NULL;
    wt_must(w, lam_txn_begin(w->db, &o, &t, err), err, "lam_txn_begin");
    enum lam_code rc = lam_txn_get(t, p, key, &v, err);
    if (rc == LAM_OK)
        wt_fail(w, "a row of a temporary partition is there before its put");
    if (rc == LAM_NOT_FOUND)
        rc = lam_txn_put(t, p, key, value, err);
    if (rc == LAM_OK)
        return lam_txn_commit(t, options, sequence, err);
    lam_txn_rollback(t);
    return rc;
}

static enum lam_code put_ingest(struct world *w, lam_partition *p, struct lam_slice key,
                                struct lam_slice value, uint64_t *sequence, struct lam_error *err) {
    lam_ingest *g = NULL;
    enum lam_code rc = lam_ingest_new(w->db, p, &g, err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_ingest_put(g, key, value, err);
    if (rc == LAM_OK)
        return lam_ingest_finish(g, sequence, err);
    lam_ingest_abort(g);
    return rc;
}

static bool is_being_dropped(const struct temp *t) {
    return t->state == TEMP_ENDING || t->state == TEMP_GONE;
}

static void put_row(struct world *w, struct temp *t, uint32_t temp, lam_partition *p) {
    struct lam_write_options options = {wt_draw_durability(w)};
    struct lam_error err = {0};
    char key_room[24];
    uint8_t value_room[VALUE_MAX];
    uint64_t before = w->acked_sequence, sequence = 0;
    uint32_t put = t->issued, how = pick(w, 6);
    struct lam_slice key = wt_temp_key(put, key_room);
    struct lam_slice value = wt_temp_value(w, temp, put, value_room);
    t->issued++;
    enum lam_code rc = how == 0   ? put_ingest(w, p, key, value, &sequence, &err)
                       : how == 1 ? put_txn(w, &options, p, key, value, &sequence, &err)
                                  : put_batch(w, &options, p, key, value, &sequence, &err);
    bool sync = how == 0 || options.durability == LAM_DURABILITY_SYNC;
    w->report->operations++;
    t->sequences[put] = sequence;
    if (rc == LAM_NOT_FOUND && is_being_dropped(t)) {
        wt_reached(w, THREADS_GUEST_LATE);
        t->issued--;
        t->full = true;
    } else if (wt_went_well(w, rc, &err, "a put into a temporary partition")) {
        if (sequence <= before)
            wt_fail(w, "T1: a put got sequence %" PRIu64 " after %" PRIu64, sequence, before);
        t->acked = t->issued;
        t->synced = sync ? t->issued : t->synced;
        wt_note_sequence(w, sequence, sync);
    } else if (rc != LAM_UNKNOWN_OUTCOME) {
        t->issued--;
        t->full = true;
    }
}

void wt_put_temp(struct world *w, lam_partition *p) {
    if (w->temp_count == 0)
        return;
    uint32_t i = w->temp_count - 1;
    struct temp *t = &w->temps[i];
    struct lam_error err = {0};
    lam_partition *own = NULL;
    char name[16];
    if (t->busy || t->state != TEMP_THERE || t->issued == PUTS_MAX || t->issued != t->acked ||
        t->full)
        return;
    t->busy = true;
    wt_temp_name(i, name);
    enum lam_code rc = p ? LAM_OK : lam_partition_open(w->db, name, &own, &err);
    if (rc != LAM_NOT_FOUND || !is_being_dropped(t))
        wt_must(w, rc, &err, "opening a temporary partition");
    if (rc == LAM_OK) {
        if (!p)
            wt_reached(w, THREADS_GUEST);
        put_row(w, t, i, p ? p : own);
    }
    lam_partition_release(own);
    t->busy = false;
}

void wt_run_guest(void *arg) {
    struct world *w = arg;
    for (uint32_t i = 0; i < 6 * w->rounds; i++) {
        wt_put_temp(w, NULL);
        if (pick(w, 4) == 0)
            sched_sleep_us(1 + pick(w, 200));
        thread_yield();
    }
}
