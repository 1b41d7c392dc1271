/* SPDX-License-Identifier: Apache-2.0
 *
 * What the threads of the concurrent world do. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "lamina/txn.h"
#include "tests/sim/world_threads_impl.h"

#define ATTEMPTS      3
#define SNAPSHOTS_MAX 6
#define JOBS_MAX      (WRITERS_MAX + TRANSACTORS_MAX + 4)

static uint32_t pick(struct world *w, uint32_t n) {
    return choose(&w->choice, n);
}

/* Lets others go on for a while. */
static void linger(struct world *w) {
    if (pick(w, 4) == 0)
        sched_sleep_us(1 + pick(w, 200));
    for (uint32_t i = pick(w, 4); i > 0; i--)
        thread_yield();
}

/* --- writers --------------------------------------------------------------------------------- */

struct writer {
    struct world *w;
    uint32_t number;
};

/* Into a batch or, if that is NULL, a transaction. */
static void fill_batch(struct world *w, lam_batch *b, lam_txn *t, uint32_t writer, uint32_t n) {
    struct step steps[STEPS_MAX];
    struct lam_error err = {0};
    uint32_t count = wt_steps(w, writer, n, steps);
    if (b)
        lam_batch_reset(b);
    for (uint32_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        char key[24], to[24];
        uint8_t value[VALUE_MAX];
        struct lam_slice k = wt_key(writer, s->key, key);
        lam_partition *p = w->parts[s->part];
        struct lam_slice v = {0}, end = {0};
        enum lam_code rc;
        if (s->kind == STEP_PUT)
            v = wt_value(w, writer, n, s->part, s->key, value);
        else if (s->kind == STEP_RANGE)
            end = wt_key(writer, s->to, to);
        if (s->kind == STEP_PUT)
            rc = b ? lam_batch_put(b, p, k, v, &err) : lam_txn_put(t, p, k, v, &err);
        else if (s->kind == STEP_DELETE)
            rc = b ? lam_batch_delete(b, p, k, &err) : lam_txn_delete(t, p, k, &err);
        else
            rc = b ? lam_batch_delete_range(b, p, k, end, LAM_SEQUENCE_MAX, &err)
                   : lam_txn_delete_range(t, p, k, end, &err);
        wt_must(w, rc, &err, "filling a batch");
    }
}

void wt_note_sequence(struct world *w, uint64_t sequence, bool synced) {
    if (sequence > w->acked_sequence)
        w->acked_sequence = sequence;
    if (synced && sequence > w->synced_sequence)
        w->synced_sequence = sequence;
}

static void note_ack(struct world *w, uint32_t writer, uint32_t n, uint64_t before) {
    struct commit *c = &w->commits[writer][n];
    if (c->sequence != 0 && c->sequence <= before)
        wt_fail(w,
                "T1: batch %u of writer %u got sequence %" PRIu64 ", %" PRIu64
                " had returned before it was called",
                n, writer, c->sequence, before);
    c->acked = true;
    w->acked.n[writer] = n;
    if (c->synced)
        w->synced.n[writer] = n;
    wt_note_sequence(w, c->sequence, c->synced);
    w->report->commits++;
    w->report->operations++;
}

/* The same in a transaction, which reads the writer's counter: nobody else writes its keys. */
static enum lam_code write_txn(struct world *w, const struct lam_write_options *options,
                               uint32_t writer, uint32_t n, uint64_t *sequence,
                               struct lam_error *err) {
    struct lam_txn_options o = {.serializable = pick(w, 2)};
    struct lam_value v = {0};
    char key[24];
    lam_txn *t = NULL;
    wt_must(w, lam_txn_begin(w->db, &o, &t, err), err, "lam_txn_begin");
    enum lam_code rc = lam_txn_get(t, w->parts[0], wt_key(writer, 0, key), &v, err);
    if (rc != LAM_NOT_FOUND)
        wt_must(w, rc, err, "a transaction's get");
    lam_value_release(&v);
    fill_batch(w, NULL, t, writer, n);
    wt_reached(w, THREADS_TXN_BATCH);
    return lam_txn_commit(t, options, sequence, err);
}

/* Writes a batch, or what it holds as a single put: no sequence is told then. */
static enum lam_code write_batch(struct world *w, const struct lam_write_options *options,
                                 lam_batch *b, uint32_t writer, uint32_t n, uint64_t *sequence,
                                 struct lam_error *err) {
    if (pick(w, 4) == 0)
        return write_txn(w, options, writer, n, sequence, err);
    if (lam_batch_count(b) > 1 || pick(w, 2))
        return lam_write(w->db, options, b, sequence, err);
    char key[24];
    uint8_t value[VALUE_MAX];
    return lam_put(w->db, options, w->parts[0], wt_key(writer, 0, key),
                   wt_value(w, writer, n, 0, 0, value), err);
}

/* Commits batch `n` of a writer; false: the database takes no more. */
static bool commit(struct world *w, lam_batch *b, uint32_t writer, uint32_t n) {
    struct commit *c = &w->commits[writer][n];
    struct lam_write_options options = {wt_draw_durability(w)};
    bool sync = options.durability == LAM_DURABILITY_SYNC;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        c->attempt++;
        fill_batch(w, b, NULL, writer, n);
        struct lam_error err = {0};
        uint64_t before = w->acked_sequence, sequence = 0;
        c->count = lam_batch_count(b);
        w->issued.n[writer] = n;
        enum lam_code rc = write_batch(w, &options, b, writer, n, &sequence, &err);
        c->sequence = sequence;
        c->synced = sync;
        if (wt_went_well(w, rc, &err, "lam_write")) {
            note_ack(w, writer, n, before);
            return true;
        }
        if (rc == LAM_UNKNOWN_OUTCOME) {
            c->unknown = true;
            if (sequence != 0 && ++w->failed_by_sync == 2)
                wt_reached(w, THREADS_GROUP_FAILED);
            return false;
        }
        /* T6: from here on nobody may see it. */
        if (sequence != 0)
            wt_fail(w, "a write that failed cleanly gave sequence %" PRIu64, sequence);
        w->issued.n[writer] = n - 1;
        if (rc == LAM_READ_ONLY)
            return false;
        wt_reached(w, THREADS_FAILED_CLEAN);
    }
    return false;
}

/* Only this thread writes these keys, so it reads just what it wrote. */
static void read_own(struct world *w, uint32_t writer, uint32_t n) {
    uint32_t part = pick(w, w->part_count), key = pick(w, KEYS);
    char room[24];
    uint8_t want[VALUE_MAX];
    struct lam_error err = {0};
    struct lam_value value = {0};
    uint32_t by = w->states[writer][n].last[part][key];
    enum lam_code rc =
        lam_get(w->db, NULL, w->parts[part], wt_key(writer, key, room), &value, &err);
    if (rc != LAM_NOT_FOUND)
        wt_must(w, rc, &err, "lam_get");
    if ((rc == LAM_OK) != (by != 0) ||
        (by && !slice_eq(value.bytes, wt_value(w, writer, by, part, key, want))))
        wt_fail(w, "writer %u does not read its batch %u in key %u of partition %u", writer, by,
                key, part);
    lam_value_release(&value);
    w->report->operations++;
}

static void run_writer(void *arg) {
    struct writer *me = arg;
    struct world *w = me->w;
    struct lam_error err = {0};
    lam_batch *b = NULL;
    wt_must(w, lam_batch_new(w->db, &b, &err), &err, "lam_batch_new");
    uint32_t first = w->acked.n[me->number] + 1;
    for (uint32_t n = first; n < first + w->batches && n <= BATCHES_MAX; n++) {
        if (!commit(w, b, me->number, n))
            break;
        if (pick(w, 3) == 0)
            read_own(w, me->number, n);
    }
    lam_batch_free(b);
}

/* --- the reader of snapshots ------------------------------------------------------------------ */

static void check_seen(struct world *w, const struct vector *v, const struct vector *acked,
                       const char *what) {
    for (uint32_t i = 0; i < w->writers; i++)
        if (v->n[i] < acked->n[i] || v->n[i] > w->issued.n[i])
            wt_fail(w, "%s shows %u batches of writer %u; %u were acknowledged before, %u issued",
                    what, v->n[i], i, acked->n[i], w->issued.n[i]);
}

static void get_at(struct world *w, const lam_snapshot *snapshot, const struct vector *v) {
    uint32_t writer = pick(w, w->writers), part = pick(w, w->part_count), key = pick(w, KEYS);
    struct lam_read_options options = {.snapshot = snapshot};
    struct lam_error err = {0};
    struct lam_value value = {0};
    char room[24];
    uint8_t want[VALUE_MAX];
    uint32_t by = w->states[writer][v->n[writer]].last[part][key];
    enum lam_code rc =
        lam_get(w->db, &options, w->parts[part], wt_key(writer, key, room), &value, &err);
    if (rc != LAM_NOT_FOUND)
        wt_must(w, rc, &err, "lam_get at a snapshot");
    if ((rc == LAM_OK) != (by != 0) ||
        (by && !slice_eq(value.bytes, wt_value(w, writer, by, part, key, want))))
        wt_fail(w, "a get at a snapshot differs from its scan: writer %u, key %u, partition %u",
                writer, key, part);
    lam_value_release(&value);
    w->report->operations++;
}

/* A counter only grows, so it lies between what was acknowledged before and what is issued. */
static void read_counter(struct world *w, uint32_t writer, const lam_snapshot *snapshot,
                         const struct vector *acked) {
    uint32_t before = acked->n[writer], got = 0;
    char room[24];
    struct lam_read_options options = {.snapshot = snapshot};
    struct lam_error err = {0};
    struct lam_value value = {0};
    enum lam_code rc = lam_get(w->db, &options, w->parts[pick(w, w->part_count)],
                               wt_key(writer, 0, room), &value, &err);
    if (rc == LAM_OK && value.bytes.size >= 4)
        got = get_le32(value.bytes.data);
    else if (rc != LAM_NOT_FOUND)
        wt_must(w, rc, &err, "lam_get");
    if (got < before || got > w->issued.n[writer])
        wt_fail(w, "a get shows batch %u of writer %u; %u were acknowledged before, %u issued", got,
                writer, before, w->issued.n[writer]);
    lam_value_release(&value);
    w->report->operations++;
}

static lam_snapshot *take_snapshot(struct world *w) {
    struct lam_error err = {0};
    uint64_t before = w->acked_sequence;
    lam_snapshot *snapshot = NULL;
    wt_must(w, lam_snapshot_new(w->db, &snapshot, &err), &err, "lam_snapshot_new");
    uint64_t sequence = lam_snapshot_sequence(snapshot);
    if (sequence < before)
        wt_fail(w, "T2: a snapshot of sequence %" PRIu64 " after %" PRIu64 " was acknowledged",
                sequence, before);
    return snapshot;
}

static void read_snapshot(struct world *w, const lam_snapshot *snapshot,
                          const struct vector *acked) {
    uint64_t sequence = lam_snapshot_sequence(snapshot);
    wt_content_read(w, &w->reader_content, w->db, w->parts, snapshot);
    struct vector v = wt_content_vector(w, &w->reader_content, 0, w->part_count);
    check_seen(w, &v, acked, "a snapshot");
    wt_note_shot(w, sequence, &v);
    for (uint32_t again = pick(w, 3); again > 0; again--) {
        uint64_t reorganised = w->reorganised;
        linger(w);
        for (uint32_t i = pick(w, 4); i > 0; i--)
            get_at(w, snapshot, &v);
        wt_content_read(w, &w->reader_again, w->db, w->parts, snapshot);
        if (!wt_content_equal(&w->reader_content, &w->reader_again)) {
            wt_content_vector(w, &w->reader_again, 0, w->part_count);
            wt_fail(w, "T3: a snapshot of sequence %" PRIu64 " has changed", sequence);
        }
        w->report->operations += w->reader_again.count;
        if (reorganised != w->reorganised)
            wt_reached(w, THREADS_SNAPSHOT_AGAIN);
    }
}

/* Takes some and reads one of them to the end. */
static void read_snapshots(struct world *w) {
    lam_snapshot *taken[SNAPSHOTS_MAX];
    struct vector acked[SNAPSHOTS_MAX];
    uint32_t count = 1 + pick(w, SNAPSHOTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        acked[i] = w->acked;
        taken[i] = take_snapshot(w);
    }
    uint32_t one = pick(w, count);
    read_snapshot(w, taken[one], &acked[one]);
    for (uint32_t i = 0; i < count; i++)
        lam_snapshot_free(taken[i]);
}

static void run_reader(void *arg) {
    struct world *w = arg;
    for (uint32_t i = 0; i < w->rounds; i++) {
        linger(w);
        for (uint32_t n = pick(w, 24); n > 0; n--) {
            struct vector acked = w->acked;
            lam_snapshot *snapshot = pick(w, 2) ? take_snapshot(w) : NULL;
            for (uint32_t k = snapshot ? 0 : pick(w, w->writers); k < w->writers; k++)
                read_counter(w, k, snapshot, &acked);
            lam_snapshot_free(snapshot);
        }
        if (pick(w, 3))
            read_snapshots(w);
    }
}

/* --- the holder of iterators ----------------------------------------------------------------- */

static struct lam_slice item_bytes(const struct content *c, uint32_t at, uint32_t size) {
    return lam_slice_of(c->bytes + at, size);
}

static void compare_position(struct world *w, const struct content *c, lam_iter *iter, size_t i) {
    const struct content_item *item = &c->items[i];
    if (!lam_iter_valid(iter) ||
        !slice_eq(lam_iter_key(iter), item_bytes(c, item->key_at, item->key_size)) ||
        !slice_eq(lam_iter_value(iter), item_bytes(c, item->value_at, item->value_size)))
        wt_fail(w, "T3: an iterator has changed at entry %zu of %zu", i, c->count);
    w->report->operations++;
}

/* All of it backwards, or some of it by seeking. */
static void walk_again(struct world *w, const struct content *c, lam_iter *iter) {
    struct lam_error err = {0};
    if (pick(w, 2)) {
        lam_iter_seek_last(iter);
        for (size_t i = c->count; i-- > 0; lam_iter_prev(iter))
            compare_position(w, c, iter, i);
        if (lam_iter_valid(iter))
            wt_fail(w, "T3: an iterator has got more entries than %zu", c->count);
    } else {
        for (uint32_t n = pick(w, 5); n > 0 && c->count > 0; n--) {
            size_t i = pick(w, (uint32_t)c->count);
            lam_iter_seek(iter, item_bytes(c, c->items[i].key_at, c->items[i].key_size));
            compare_position(w, c, iter, i);
        }
    }
    wt_must(w, lam_iter_status(iter, &err), &err, "an iterator held for long");
}

static void hold_shared(struct world *w) {
    struct lam_error err = {0};
    struct vector acked = w->acked;
    uint32_t part = pick(w, w->part_count);
    lam_iter *iter = NULL;
    wt_must(w, lam_iter_new(w->db, NULL, w->parts[part], &iter, &err), &err, "lam_iter_new");
    linger(w);
    struct content *c = &w->holder_content;
    wt_content_begin(c);
    wt_content_add(w, c, iter, part);
    struct vector v = wt_content_vector(w, c, part, 1);
    check_seen(w, &v, &acked, "an iterator");
    for (uint32_t again = 1 + pick(w, 2); again > 0; again--) {
        linger(w);
        walk_again(w, c, iter);
    }
    lam_iter_free(iter);
}

/* A partition that may be dropped meanwhile. */
static void hold_temp(struct world *w) {
    if (w->temp_count == 0)
        return;
    uint32_t i = w->temp_count - 1;
    struct temp *t = &w->temps[i];
    enum temp_state before = t->state;
    uint32_t acked = t->acked;
    char name[16];
    struct lam_error err = {0};
    lam_partition *p = NULL;
    lam_iter *iter = NULL;
    wt_temp_name(i, name);
    enum lam_code rc = lam_partition_open(w->db, name, &p, &err);
    if (rc == LAM_OK)
        rc = lam_iter_new(w->db, NULL, p, &iter, &err);
    if (rc == LAM_NOT_FOUND && !(before == TEMP_THERE && t->state == TEMP_THERE)) {
        lam_partition_release(p);
        return;
    }
    wt_must(w, rc, &err, "an iterator of a temporary partition");
    if (before == TEMP_GONE)
        wt_fail(w, "temporary partition %u can be opened after its drop", i);
    uint32_t puts = wt_read_temp(w, iter, i);
    if (puts < acked || puts > t->issued)
        wt_fail(w, "an iterator shows %u puts; %u were acknowledged before, %u issued", puts, acked,
                t->issued);
    for (int again = 0; again < 4 && (again == 0 || t->state != TEMP_GONE); again++) {
        linger(w);
        bool gone = t->state == TEMP_GONE;
        if (wt_read_temp(w, iter, i) != puts)
            wt_fail(w, "T3: an iterator of temporary partition %u has changed", i);
        if (gone)
            wt_reached(w, THREADS_ITER_OVER_DROP);
    }
    lam_iter_free(iter);
    lam_partition_release(p);
}

static void run_holder(void *arg) {
    struct world *w = arg;
    for (uint32_t i = 0; i < w->rounds; i++) {
        linger(w);
        if (pick(w, 2))
            hold_shared(w);
        else
            hold_temp(w);
    }
}

/* --- upkeep ---------------------------------------------------------------------------------- */

static void make_temp(struct world *w) {
    if (w->temp_count == TEMPS_MAX)
        return;
    uint32_t i = w->temp_count;
    struct temp *t = &w->temps[i];
    char name[16];
    struct lam_error err = {0};
    wt_temp_name(i, name);
    *t = (struct temp){.state = TEMP_MAKING, .made_after = w->acked_sequence};
    w->temp_count++;
    enum lam_code rc = lam_partition_create(w->db, name, NULL, &t->partition, &err);
    if (wt_went_well(w, rc, &err, "lam_partition_create"))
        t->state = TEMP_THERE;
}

static void end_temp(struct world *w) {
    for (uint32_t i = 0; i < w->temp_count; i++) {
        struct temp *t = &w->temps[i];
        if (t->state != TEMP_THERE || !t->partition)
            continue;
        struct lam_error err = {0};
        t->state = TEMP_ENDING;
        t->ended_after = w->acked_sequence;
        enum lam_code rc = lam_partition_drop(w->db, t->partition, &err);
        if (wt_went_well(w, rc, &err, "lam_partition_drop")) {
            char key[24];
            struct lam_value value = {0};
            t->state = TEMP_GONE;
            w->reorganised++;
            rc = lam_get(w->db, NULL, t->partition, wt_temp_key(0, key), &value, &err);
            if (rc != LAM_NOT_FOUND)
                wt_fail(w, "temporary partition %u is read after its drop: %s", i,
                        lam_code_name(rc));
            lam_value_release(&value);
        }
        lam_partition_release(t->partition);
        t->partition = NULL;
        return;
    }
}

static void reorganise(struct world *w, bool compact) {
    struct lam_error err = {0};
    uint64_t acked = w->acked_sequence;
    lam_partition *p = pick(w, 2) ? w->parts[pick(w, w->part_count)] : NULL;
    enum lam_code rc = compact ? lam_db_compact(w->db, p, &err) : lam_db_dump(w->db, &err);
    if (!wt_went_well(w, rc, &err, compact ? "lam_db_compact" : "lam_db_dump"))
        return;
    w->reorganised++;
    if (acked > w->synced_sequence)
        w->synced_sequence = acked;
}

static void sync_all(struct world *w) {
    struct lam_error err = {0};
    uint64_t acked = w->acked_sequence;
    if (wt_went_well(w, lam_sync(w->db, acked, &err), &err, "lam_sync") &&
        acked > w->synced_sequence)
        w->synced_sequence = acked;
}

static void run_upkeep(void *arg) {
    struct world *w = arg;
    struct lam_error err = {0};
    for (uint32_t i = 0; i < 3 * w->rounds; i++) {
        linger(w);
        switch (pick(w, 15)) {
        case 0:
        case 1:
            reorganise(w, false);
            break;
        case 2:
        case 3:
            reorganise(w, true);
            break;
        case 4:
            sync_all(w);
            break;
        case 5:
            wt_must(w, lam_db_check(w->db, NULL, NULL, &err), &err, "lam_db_check");
            break;
        case 6:
        case 7:
            make_temp(w);
            break;
        case 8:
        case 9:
        case 10:
            if (w->temp_count > 0 && w->temps[w->temp_count - 1].partition)
                wt_put_temp(w, w->temps[w->temp_count - 1].partition);
            break;
        case 14:
            if (pick(w, 2))
                wt_checkpoint(w);
            else if (pick(w, 2))
                wt_backup(w);
            break;
        default:
            end_temp(w);
            break;
        }
    }
    for (uint32_t i = 0; i < w->temp_count; i++) {
        lam_partition_release(w->temps[i].partition);
        w->temps[i].partition = NULL;
    }
}

/* --- all of them ----------------------------------------------------------------------------- */

struct job {
    void (*fn)(void *arg);
    void *arg;
};

/* Where no thread can be had, one after another. */
static void run_jobs(struct world *w, const struct job *jobs, size_t count) {
    struct thread threads[JOBS_MAX];
    size_t started = 0;
    for (size_t i = 0; i < count; i++) {
        if (thread_start(&threads[started], jobs[i].fn, jobs[i].arg, NULL) == LAM_OK) {
            started++;
            continue;
        }
        jobs[i].fn(jobs[i].arg);
        wt_reached(w, THREADS_NO_THREADS);
    }
    for (size_t i = 0; i < started; i++)
        thread_join(&threads[i]);
}

void wt_work(struct world *w) {
    struct writer writers[WRITERS_MAX];
    struct transactor transactors[TRANSACTORS_MAX];
    struct job jobs[JOBS_MAX];
    size_t count = 0;
    if (w->with_upkeep)
        jobs[count++] = (struct job){run_upkeep, w};
    for (uint32_t i = 0; i < w->writers; i++) {
        writers[i] = (struct writer){w, i};
        jobs[count++] = (struct job){run_writer, &writers[i]};
    }
    for (uint32_t i = 0; i < w->transactors; i++) {
        transactors[i] = (struct transactor){w, i};
        jobs[count++] = (struct job){wt_run_transactor, &transactors[i]};
    }
    if (w->with_reader)
        jobs[count++] = (struct job){run_reader, w};
    if (w->with_holder)
        jobs[count++] = (struct job){run_holder, w};
    if (w->with_guest)
        jobs[count++] = (struct job){wt_run_guest, w};
    run_jobs(w, jobs, count);
}
