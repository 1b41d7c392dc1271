/* SPDX-License-Identifier: Apache-2.0
 *
 * The queues of the concurrent world: each transactor appends rows to its own, by plain batches,
 * and one of them deletes, by a range up to the sequence of a snapshot, what the snapshot showed of
 * all of them. Rows that came since stay, although the range covers them and the delete comes after
 * them. What is hidden of the queues at any moment was hidden by one such delete. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "tests/sim/world_threads_impl.h"

static struct lam_slice header_key(uint32_t queue) {
    static const char *const keys[TRANSACTORS_MAX] = {"n0", "n1"};
    return lam_slice_str(keys[queue]);
}

static struct lam_slice row_key(uint32_t queue, uint32_t n, char room[16]) {
    return lam_slice_of(room, (size_t)snprintf(room, 16, "q%u/%03u", queue, n));
}

/* --- writing --------------------------------------------------------------------------------- */

static lam_batch *new_batch(struct world *w) {
    struct lam_error err = {0};
    lam_batch *b = NULL;
    wt_must(w, lam_batch_new(w->db, &b, &err), &err, "lam_batch_new");
    return b;
}

/* Commits and frees it; `*sequence_out` is 0 if none was given. */
static enum lam_code commit(struct world *w, lam_batch *b, bool *sync_out, uint64_t *sequence_out,
                            const char *what) {
    struct lam_write_options options = {wt_draw_durability(w)};
    struct lam_error err = {0};
    uint64_t before = w->acked_sequence;
    *sync_out = options.durability == LAM_DURABILITY_SYNC;
    *sequence_out = 0;
    enum lam_code rc = lam_write(w->db, &options, b, sequence_out, &err);
    lam_batch_free(b);
    w->report->operations++;
    if (!wt_went_well(w, rc, &err, what))
        return rc;
    if (*sequence_out <= before)
        wt_fail(w, "T1: %s got sequence %" PRIu64 " after %" PRIu64, what, *sequence_out, before);
    wt_note_sequence(w, *sequence_out, *sync_out);
    w->report->commits++;
    return LAM_OK;
}

void wt_queue_append(struct world *w, uint32_t queue) {
    uint32_t n = w->issued.queued[queue] + 1;
    /* An attempt that failed cleanly is not made again: images may have shown it. */
    if (w->queue_full[queue] || n > QUEUE_MAX || w->acked.queued[queue] + 1 != n)
        return;
    struct lam_error err = {0};
    uint8_t value[64] = {0};
    char key[16];
    bool sync;
    uint64_t sequence;
    put_le32(value, n);
    lam_batch *b = new_batch(w);
    wt_must(w, lam_batch_put(b, w->shared, header_key(queue), lam_slice_of(value, 4), &err), &err,
            "lam_batch_put");
    wt_must(w,
            lam_batch_put(b, w->shared, row_key(queue, n, key), lam_slice_of(value, sizeof value),
                          &err),
            &err, "lam_batch_put");
    w->issued.queued[queue] = n;
    enum lam_code rc = commit(w, b, &sync, &sequence, "a queue's append");
    w->queue_sequences[queue][n] = sequence;
    if (rc == LAM_OK) {
        w->acked.queued[queue] = n;
        if (sync)
            w->synced.queued[queue] = n;
    } else {
        w->queue_full[queue] = true;
        if (rc != LAM_UNKNOWN_OUTCOME)
            w->issued.queued[queue] = n - 1;
    }
}

void wt_queue_cut(struct world *w) {
    uint32_t k = w->issued.cuts + 1;
    if (w->cuts_full || k == CUTS_MAX || w->acked.cuts + 1 != k)
        return;
    struct lam_error err = {0};
    struct vector seen;
    lam_snapshot *s = NULL;
    bool sync;
    uint64_t sequence;
    wt_must(w, lam_snapshot_new(w->db, &s, &err), &err, "lam_snapshot_new");
    wt_shared_read(w, w->db, w->shared, s, &seen);
    lam_batch *b = new_batch(w);
    wt_must(w,
            lam_batch_delete_range(b, w->shared, lam_slice_str("q"), lam_slice_str("r"),
                                   lam_snapshot_sequence(s), &err),
            &err, "lam_batch_delete_range");
    lam_snapshot_free(s);
    memcpy(w->queue_cuts[k], seen.queued, sizeof w->queue_cuts[k]);
    w->issued.cuts = k;
    enum lam_code rc = commit(w, b, &sync, &sequence, "a queue's range delete");
    if (rc == LAM_OK) {
        w->acked.cuts = k;
        if (sync)
            w->synced.cuts = k;
        for (uint32_t i = 0; i < TRANSACTORS_MAX; i++)
            if (w->acked.queued[i] > seen.queued[i])
                wt_reached(w, THREADS_QUEUE_CUT);
    } else {
        w->cuts_full = true;
        if (rc != LAM_UNKNOWN_OUTCOME)
            w->issued.cuts = k - 1;
    }
}

/* --- reading --------------------------------------------------------------------------------- */

bool wt_queue_row(struct world *w, struct lam_slice key, struct lam_slice value,
                  struct queue_view *q) {
    uint32_t queue = (uint32_t)(key.data[1] - '0'), n = get_le32(value.data);
    if (key.data[0] == 'n') {
        q->header[queue] = n;
        return true;
    }
    char room[16];
    if (key.data[0] != 'q')
        return false;
    if (queue >= TRANSACTORS_MAX || !slice_eq(key, row_key(queue, n, room)))
        wt_fail(w, "queue row %.*s holds %u", (int)key.size, (const char *)key.data, n);
    if (q->last[queue] != 0 && n != q->last[queue] + 1)
        wt_fail(w, "queue %u: row %u comes after row %u", queue, n, q->last[queue]);
    if (q->last[queue] == 0)
        q->first[queue] = n;
    q->last[queue] = n;
    return true;
}

void wt_queue_end(struct world *w, const struct queue_view *q, struct vector *v) {
    for (uint32_t i = 0; i < TRANSACTORS_MAX; i++) {
        v->queued[i] = q->header[i];
        v->hidden[i] = q->last[i] ? q->first[i] - 1 : q->header[i];
        if (q->last[i] && q->last[i] != q->header[i])
            wt_fail(w, "queue %u has rows up to %u, its header says %u", i, q->last[i],
                    q->header[i]);
    }
}

void wt_queue_check(struct world *w, const struct vector *v, const struct vector *least,
                    const struct vector *most, const char *what) {
    for (uint32_t i = 0; i < TRANSACTORS_MAX; i++)
        if (v->queued[i] < least->queued[i] || v->queued[i] > most->queued[i])
            wt_fail(w, "%s: %u rows of queue %u are there, of %u to %u", what, v->queued[i], i,
                    least->queued[i], most->queued[i]);
    for (uint32_t k = least->cuts; k <= most->cuts; k++)
        if (memcmp(w->queue_cuts[k], v->hidden, sizeof v->hidden) == 0)
            return;
    wt_fail(w, "%s: %u and %u rows of the queues are hidden, as by none of range deletes %u to %u",
            what, v->hidden[0], v->hidden[1], least->cuts, most->cuts);
}

/* T2: just those up to the snapshot's sequence. */
void wt_queue_check_snapshot(struct world *w, const struct vector *v, uint64_t sequence) {
    for (uint32_t i = 0; i < TRANSACTORS_MAX; i++)
        for (uint32_t n = 1; n <= w->issued.queued[i]; n++) {
            uint64_t s = w->queue_sequences[i][n];
            if (s != 0 && (n <= v->queued[i]) != (s <= sequence))
                wt_fail(w,
                        "a snapshot of sequence %" PRIu64 " shows %u rows of queue %u; row %u is "
                        "of sequence %" PRIu64,
                        sequence, v->queued[i], i, n, s);
        }
}

void wt_queue_adopt(struct world *w, const struct vector *v) {
    memcpy(w->queue_cuts[0], v->hidden, sizeof v->hidden);
    w->issued.cuts = w->acked.cuts = w->synced.cuts = w->floor.cuts = 0;
    w->cuts_full = false;
    for (uint32_t i = 0; i < TRANSACTORS_MAX; i++) {
        w->queue_full[i] = false;
        for (uint32_t n = v->queued[i] + 1; n <= QUEUE_MAX; n++)
            w->queue_sequences[i][n] = 0;
    }
}
