/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors against acknowledgements and sequences; crash images of the concurrent world. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/world_threads_impl.h"

/* --- vectors --------------------------------------------------------------------------------- */

/* The lowest and highest sequence of what is missing and present. */
struct reach {
    uint64_t missing, present;
};

static void reach(struct reach *r, uint64_t sequence, bool there) {
    if (sequence == 0)
        return;
    if (there && sequence > r->present)
        r->present = sequence;
    if (!there && sequence < r->missing)
        r->missing = sequence;
}

/* By the sequences known. Of a temporary partition that is not there nothing can be said, nor of a
 * batch of which an earlier attempt was seen. `attempts` may be NULL: what is so now. */
static struct reach reach_of(const struct world *w, const struct vector *v,
                             const uint16_t *attempts) {
    struct reach r = {.missing = UINT64_MAX};
    for (uint32_t writer = 0; writer < w->writers; writer++)
        for (uint32_t n = 1; n <= w->issued.n[writer]; n++) {
            const struct commit *c = &w->commits[writer][n];
            bool other = attempts && n == v->n[writer] && c->attempt != attempts[writer];
            reach(&r, other ? 0 : c->sequence, n <= v->n[writer]);
        }
    for (uint32_t i = 0; i < w->temp_count; i++)
        for (uint32_t put = 0; v->temps[i] != ABSENT && put < w->temps[i].issued; put++)
            reach(&r, w->temps[i].sequences[put], put < v->temps[i]);
    for (uint32_t i = 0; i < TRANSACTORS_MAX; i++)
        for (uint32_t n = 1; n <= w->issued.queued[i]; n++)
            reach(&r, w->queue_sequences[i][n], n <= v->queued[i]);
    return r;
}

/* T5: what is missing lies behind all that is there. */
static void check_prefix(struct world *w, const struct vector *v, const uint16_t *attempts,
                         const char *what) {
    struct reach r = reach_of(w, v, attempts);
    if (r.missing < r.present)
        wt_fail(w,
                "%s: the commit of sequence %" PRIu64 " is missing, that of %" PRIu64 " is there",
                what, r.missing, r.present);
}

/* T7: the making or end of a partition comes after what was committed before it. */
static void check_temp(struct world *w, uint32_t i, const struct vector *v, enum bound bound,
                       const char *what) {
    const struct temp *t = &w->temps[i];
    uint32_t puts = v->temps[i], least = bound == BOUND_POWER ? t->synced : t->acked;
    bool there = puts != ABSENT;
    if (there && (t->state == TEMP_NONE || t->state == TEMP_GONE))
        wt_fail(w, "%s: temporary partition %u is there, %s", what, i,
                t->state == TEMP_NONE ? "but was not made" : "but was dropped");
    if (!there && t->state == TEMP_THERE)
        wt_fail(w, "%s: temporary partition %u is lost", what, i);
    if (there && (puts > t->issued || puts < least))
        wt_fail(w, "%s: temporary partition %u holds %u puts of %u to %u", what, i, puts, least,
                t->issued);
    uint64_t after = there ? t->made_after : t->ended_after;
    uint64_t missing = reach_of(w, v, NULL).missing;
    if (missing <= after)
        wt_fail(w,
                "%s: temporary partition %u is %s, but the commit of sequence %" PRIu64
                " is lost, which was acknowledged before",
                what, i, there ? "made" : "dropped", missing);
}

static void check_writer(struct world *w, uint32_t writer, const struct vector *v, enum bound bound,
                         const char *what) {
    uint32_t n = v->n[writer];
    if (n > w->issued.n[writer])
        wt_fail(w, "%s: batch %u of writer %u is there, only %u were issued", what, n, writer,
                w->issued.n[writer]);
    if (n < w->floor.n[writer])
        wt_fail(w, "%s: batch %u of writer %u is gone, which the session began with", what, n + 1,
                writer);
    uint32_t least = bound == BOUND_POWER ? w->synced.n[writer] : w->acked.n[writer];
    if (n < least)
        wt_fail(w, "%s: batch %u of writer %u is lost, which was acknowledged", what, least,
                writer);
    if (bound == BOUND_EXACT && n != w->acked.n[writer])
        wt_fail(w, "%s: %u batches of writer %u are there, %u were acknowledged", what, n, writer,
                w->acked.n[writer]);
}

void wt_check_vector(struct world *w, const struct vector *v, enum bound bound, const char *what) {
    uint64_t must = bound == BOUND_POWER ? w->synced_sequence : w->acked_sequence;
    for (uint32_t writer = 0; writer < w->writers; writer++)
        check_writer(w, writer, v, bound, what);
    uint64_t missing = reach_of(w, v, NULL).missing;
    if (missing <= must)
        wt_fail(w,
                "%s: the commit of sequence %" PRIu64 " is lost, though all up to %" PRIu64
                " was acknowledged%s",
                what, missing, must, bound == BOUND_POWER ? " as synced" : "");
    for (uint32_t i = 0; i < TEMPS_MAX; i++)
        check_temp(w, i, v, bound, what);
    check_prefix(w, v, NULL, what);
    const struct vector *least = bound == BOUND_POWER ? &w->synced : &w->acked;
    wt_shared_check(w, v, least, bound == BOUND_EXACT ? &w->acked : &w->issued, what);
    wt_shared_check(w, v, &w->floor, &w->issued, what);
}

void wt_note_shot(struct world *w, uint64_t sequence, const struct vector *v) {
    if (w->shot_count == w->shot_capacity) {
        w->shot_capacity = 2 * w->shot_capacity + 16;
        w->shots = realloc(w->shots, w->shot_capacity * sizeof *w->shots);
        LAM_ASSERT(w->shots);
    }
    struct shot *shot = &w->shots[w->shot_count++];
    *shot = (struct shot){.sequence = sequence, .v = *v};
    for (uint32_t writer = 0; writer < w->writers; writer++)
        shot->attempts[writer] = w->commits[writer][v->n[writer]].attempt;
}

struct known {
    uint64_t first, last;
    uint32_t writer, n;
};

static int compare_known(const void *a, const void *b) {
    const struct known *x = a, *y = b;
    return x->last < y->last ? -1 : x->last > y->last;
}

static size_t known_commits(const struct world *w, struct known *out) {
    size_t count = 0;
    for (uint32_t writer = 0; writer < w->writers; writer++)
        for (uint32_t n = 1; n <= w->issued.n[writer]; n++) {
            const struct commit *c = &w->commits[writer][n];
            if (c->sequence != 0)
                out[count++] = (struct known){c->sequence - c->count + 1, c->sequence, writer, n};
        }
    qsort(out, count, sizeof *out, compare_known);
    return count;
}

/* Sequences of commits do not overlap, and each writer's rise. */
static void check_order(struct world *w, const struct known *known, size_t count) {
    uint32_t last[WRITERS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && known[i].first <= known[i - 1].last)
            wt_fail(w, "sequence %" PRIu64 " was given out twice", known[i].first);
        if (known[i].n <= last[known[i].writer])
            wt_fail(w, "batch %u of writer %u has a sequence after that of batch %u", known[i].n,
                    known[i].writer, last[known[i].writer]);
        last[known[i].writer] = known[i].n;
    }
}

/* T2: just the commits up to the snapshot's sequence, and no half of one. */
static void check_snapshot(struct world *w, const struct shot *shot, const struct known *known,
                           size_t count) {
    uint64_t s = shot->sequence;
    uint32_t writers_before = 0, writers_after = 0;
    for (size_t i = 0; i < count; i++) {
        bool there = known[i].n <= shot->v.n[known[i].writer];
        if (there != (known[i].last <= s))
            wt_fail(w,
                    "a snapshot of sequence %" PRIu64 " shows%s batch %u of writer %u, committed "
                    "as %" PRIu64,
                    s, there ? "" : " not", known[i].n, known[i].writer, known[i].last);
        if (known[i].first <= s && s < known[i].last)
            wt_fail(w,
                    "a snapshot of sequence %" PRIu64 " cuts the commit of %" PRIu64 " to %" PRIu64,
                    s, known[i].first, known[i].last);
        *(there ? &writers_before : &writers_after) |= 1u << known[i].writer;
    }
    if ((writers_before & (writers_before - 1)) && (writers_after & (writers_after - 1)))
        wt_reached(w, THREADS_SNAPSHOT_BETWEEN);
}

void wt_settle(struct world *w) {
    struct known known[WRITERS_MAX * BATCHES_MAX];
    size_t count = known_commits(w, known);
    check_order(w, known, count);
    for (size_t i = 0; i < w->shot_count; i++) {
        if (w->shots[i].sequence)
            check_snapshot(w, &w->shots[i], known, count);
        else
            check_prefix(w, &w->shots[i].v, w->shots[i].attempts, "an image of before");
    }
    w->shot_count = 0;
}

/* --- partitions ------------------------------------------------------------------------------ */

struct listing {
    struct world *w;
    uint32_t parts; /* mask of the shared ones */
    uint32_t temps; /* mask */
};

static bool note_name(void *arg, const char *name) {
    struct listing *l = arg;
    unsigned i;
    if (sscanf(name, "part-%u", &i) == 1 && i < l->w->part_count)
        l->parts |= 1u << i;
    else if (sscanf(name, "temp-%u", &i) == 1 && i < TEMPS_MAX)
        l->temps |= 1u << i;
    else if (strcmp(name, "shared") != 0)
        wt_fail(l->w, "a partition \"%s\" that nobody made", name);
    return true;
}

static lam_partition *open_part(struct world *w, lam_db *db, const char *name) {
    struct lam_error err = {0};
    lam_partition *p = NULL;
    wt_must(w, lam_partition_open(db, name, &p, &err), &err, "opening a listed partition");
    return p;
}

static uint32_t count_temp(struct world *w, lam_db *db, uint32_t i) {
    char name[16];
    struct lam_error err = {0};
    lam_iter *iter = NULL;
    wt_temp_name(i, name);
    lam_partition *p = open_part(w, db, name);
    wt_must(w, lam_iter_new(db, NULL, p, &iter, &err), &err, "lam_iter_new");
    uint32_t puts = wt_read_temp(w, iter, i);
    lam_iter_free(iter);
    lam_partition_release(p);
    return puts;
}

struct vector wt_read_all(struct world *w, lam_db *db, struct content *c, lam_partition **parts) {
    struct lam_error err = {0};
    struct listing l = {.w = w};
    wt_must(w, lam_partition_list(db, note_name, &l, &err), &err, "lam_partition_list");
    if (l.parts != (1u << w->part_count) - 1)
        wt_fail(w, "a shared partition is lost: mask %x", l.parts);
    for (uint32_t p = 0; p < w->part_count; p++) {
        char name[16];
        snprintf(name, sizeof name, "part-%u", p);
        parts[p] = open_part(w, db, name);
    }
    wt_content_read(w, c, db, parts, NULL);
    struct vector v = wt_content_vector(w, c, 0, w->part_count);
    for (uint32_t i = 0; i < TEMPS_MAX; i++)
        if (l.temps >> i & 1)
            v.temps[i] = count_temp(w, db, i);
    lam_partition *shared = open_part(w, db, "shared");
    wt_shared_read(w, db, shared, NULL, &v);
    lam_partition_release(shared);
    return v;
}

/* --- images ---------------------------------------------------------------------------------- */

struct lam_options wt_options(struct world *w, struct simfs *fs) {
    return (struct lam_options){
        .env = simfs_env(fs),
        .memory_budget = 4u << 20,
        .block_bytes = 512,
        .manual_background = !w->with_lanes,
    };
}

struct nested {
    struct world *w;
    struct simfs *fs;
    uint64_t at; /* phase-0 events until the image of the image */
    struct simfs *image;
    enum simfs_crash kind;
};

static void observe_nested(void *arg, const struct simfs_event *event) {
    struct nested *n = arg;
    if (event->phase == 0 && !n->image && --n->at == 0)
        n->image = simfs_crash(n->fs, n->kind, &n->w->choice);
}

static void look_at_flight(struct world *w, const struct vector *v, enum bound bound) {
    for (uint32_t writer = 0; writer < w->writers; writer++) {
        if (v->n[writer] > w->acked.n[writer])
            wt_reached(w, THREADS_IN_FLIGHT_KEPT);
        else if (w->issued.n[writer] > w->acked.n[writer])
            wt_reached(w, THREADS_IN_FLIGHT_LOST);
        if (v->n[writer] < w->acked.n[writer] && bound == BOUND_POWER)
            wt_reached(w, THREADS_TAIL_LOST);
    }
}

static void verify_files(struct world *w, struct simfs *fs) {
    struct lam_error err = {0};
    wt_must(w, lam_check("db", simfs_env(fs), NULL, NULL, &err), &err, "lam_check of an image");
}

/* Opens and compares an image, which is freed; then, maybe, one of its recovery. */
static void check_image(struct world *w, struct simfs *fs, enum bound bound, uint32_t depth) {
    struct lam_error err = {0};
    struct lam_options options = wt_options(w, fs);
    struct nested nested = {.w = w, .fs = fs};
    options.must_exist = true;
    options.manual_background = true;
    if (depth < w->depth && choose_one_in(&w->choice, 3)) {
        nested.at = 1 + choose(&w->choice, 24);
        nested.kind = choose(&w->choice, 2) ? SIMFS_POWER : SIMFS_KILL;
        simfs_observe(fs, observe_nested, &nested);
    }
    lam_db *db = NULL;
    wt_must(w, lam_db_open("db", &options, &db, &err), &err, "opening an image");
    simfs_observe(fs, NULL, NULL);
    lam_partition *parts[PARTS_MAX];
    struct vector v = wt_read_all(w, db, &w->image_content, parts);
    const char *what = depth                  ? "an image of a recovery"
                       : bound == BOUND_POWER ? "an image of a power loss"
                                              : "an image of a kill";
    wt_check_vector(w, &v, bound, what);
    wt_note_shot(w, 0, &v);
    look_at_flight(w, &v, bound);
    for (uint32_t p = 0; p < w->part_count; p++)
        lam_partition_release(parts[p]);
    wt_must(w, lam_db_close(db, &err), &err, "closing an image");
    if (choose_one_in(&w->choice, 8))
        verify_files(w, fs);
    if (choose_one_in(&w->choice, 3))
        wt_check_backup(w, fs);
    if (simfs_open_handles(fs) != 0)
        wt_fail(w, "%zu files of an image were left open", simfs_open_handles(fs));
    if (simfs_violation(fs))
        wt_fail(w, "in an image: %s", simfs_violation(fs));
    simfs_free(fs);
    w->report->images++;
    if (nested.image) {
        wt_reached(w, THREADS_NESTED);
        check_image(w, nested.image, bound, depth + 1);
    }
}

void wt_check_image(struct world *w, struct simfs *fs) {
    bool power = choose(&w->choice, 3) > 0;
    struct simfs *image = simfs_crash(fs, power ? SIMFS_POWER : SIMFS_KILL, &w->choice);
    /* After a failed sync memory and disk differ, and what is in memory only may go at any time. */
    bool lost = w->fault_on_sync && wt_fault_hit(w);
    sched_suspend();
    check_image(w, image, power || lost ? BOUND_POWER : BOUND_KILL, 0);
    sched_resume();
}

static void crash(struct world *w) {
    struct simfs *old = w->fs;
    bool lost = w->fault_on_sync && wt_fault_hit(w);
    if (lost)
        w->end = END_POWER;
    w->fs = simfs_crash(old, w->end == END_POWER ? SIMFS_POWER : SIMFS_KILL, &w->choice);
    w->trace.files = w->trace.files * 31 + simfs_trace(old);
    w->crashed = true;
    w->live = false;
    simfs_abandon(old);
    simfs_free(old);
    wt_reached(w, THREADS_CRASHED);
    sched_kill_all();
}

void wt_observe(void *arg, const struct simfs_event *event) {
    struct world *w = arg;
    if (!w->live)
        return;
    /* Syncs are slow: others get far meanwhile, and wait for the next one together. */
    if (event->op == SIMFS_SYNC && event->phase == 0 && w->slow_syncs && choose(&w->choice, 2))
        sched_sleep_us(1 + choose(&w->choice, 100));
    w->events++;
    if (w->events == w->next_image) {
        w->next_image += 1 + choose(&w->choice, w->image_gap);
        wt_check_image(w, w->fs);
    }
    if (w->events == w->crash_at)
        crash(w);
}
