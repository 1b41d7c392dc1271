/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking images. The observer runs inside of engine calls, with the engine's locks held: it only
 * takes images and notes what they may show; they are checked when the call has returned. What is
 * acknowledged can't change meanwhile, since the caller is in the call. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

void ew_queue_clear(struct queue *q) {
    for (size_t i = 0; i < q->count; i++)
        ew_image_free(q->list[i]);
    free(q->list);
    *q = (struct queue){0};
}

void ew_image_free(struct image *image) {
    if (!image)
        return;
    simfs_free(image->fs);
    choice_fini(&image->choice);
    free(image);
}

static void push(struct queue *q, struct image *image) {
    if (q->count == q->capacity) {
        q->capacity = q->capacity ? 2 * q->capacity : 32;
        q->list = realloc(q->list, q->capacity * sizeof *q->list);
        LAM_ASSERT(q->list);
    }
    q->list[q->count++] = image;
}

/* An image whose file system is still to be made. */
static struct image *image_new(const struct taker *t, const struct simfs_event *e,
                               enum simfs_crash kind, uint64_t seed) {
    const struct world *w = t->w;
    struct image *i = calloc(1, sizeof *i);
    LAM_ASSERT(i);
    i->kind = kind;
    i->seed = seed;
    i->place = t->place;
    i->step = t->step;
    i->depth = t->depth;
    bool lossy = t->depth == 0 && ew_lossy(w);
    i->low = kind == SIMFS_KILL && !lossy ? t->kill_low : t->power_low;
    i->high = t->high;
    i->power_low = t->power_low;
    i->below = t->below && kind == SIMFS_POWER;
    i->acked = t->kill_low;
    i->sequence = t->sequence;
    i->exists = t->exists;
    i->faulted = t->depth == 0 && w->fired;
    i->ingesting = t->depth == 0 && w->ingest;
    if (t->depth == 0)
        i->copies = w->copies;
    choice_seed(&i->choice, seed);
    if (e) {
        i->event = e->number;
        i->op = e->op;
        size_t n = strlen(e->path);
        snprintf(i->path, sizeof i->path, "%s", n < sizeof i->path ? e->path : e->path + n - 39);
    }
    return i;
}

static void finish(struct taker *t, struct image *i) {
    simfs_set_choice(i->fs, &i->choice);
    simfs_set_quota(i->fs, 0);
    push(t->queue, i);
    if (t->limit > 0)
        t->limit--;
}

static void take(struct taker *t, const struct simfs_event *e, enum how how, uint64_t seed) {
    /* One that dies in the opening of what a dead one left is enough. */
    how = how == HOW_DEATH && t->below ? HOW_KILL : how;
    bool kill = how == HOW_KILL || how == HOW_DEATH;
    struct image *i = image_new(t, e, kill ? SIMFS_KILL : SIMFS_POWER, seed);
    i->how = how;
    i->fs = how == HOW_OLD     ? simfs_crash_old(t->fs)
            : how == HOW_DEATH ? simfs_die(t->fs, &i->choice)
                               : simfs_crash(t->fs, i->kind, &i->choice);
    finish(t, i);
}

/* Of many at one moment the nth. */
static enum how how_of(unsigned n, unsigned kill_at) {
    return n % 4 != kill_at ? HOW_POWER : n % 8 == kill_at ? HOW_KILL : HOW_DEATH;
}

/* All images of a power loss at this moment, unless there are too many. */
static bool take_all(struct taker *t, const struct simfs_event *e) {
    if (simfs_crash_width(t->fs) > t->every)
        return false;
    struct choice odometer;
    uint64_t n = 0;
    choice_odometer(&odometer);
    do {
        struct image *i = image_new(t, e, SIMFS_POWER, n);
        i->how = HOW_POWER;
        i->fs = simfs_crash(t->fs, SIMFS_POWER, &odometer);
        finish(t, i);
    } while (++n < 4 * (uint64_t)t->every && choice_next(&odometer));
    choice_fini(&odometer);
    return true;
}

static void take_some(struct taker *t, const struct simfs_event *e) {
    if (!t->queue || t->limit == 0)
        return;
    if (t->exhaustive) {
        bool all = take_all(t, e);
        take(t, e, HOW_KILL, 1);
        take(t, e, HOW_DEATH, 2);
        for (unsigned i = 0; !all && i < t->every; i++)
            take(t, e, i == 0 ? HOW_OLD : how_of(i, 3), i);
        return;
    }
    if (t->every > 0) {
        for (unsigned i = 0; i < t->every; i++)
            take(t, e, i < 2 ? (enum how)i : how_of(i, 2),
                 (uint64_t)i * 1000003 + (e ? e->number : 0));
        return;
    }
    /* How many: the tame choice is none. One is likelier after a fault, most in the same call. */
    unsigned one_in = t->one_in;
    if (t->depth == 0 && t->w->fired && one_in > 16)
        one_in = 16;
    if (t->depth == 0 && (ew_is_copy_step(t->step) || t->step == STEP_INGEST) && one_in > 16)
        one_in = 16;
    if (t->depth == 0 && ew_fired_in_call(t->w) && one_in != 1)
        one_in = 2;
    if (one_in == 0 || !choose_one_in(t->choice, one_in))
        return;
    unsigned n = 1 + choose(t->choice, 3);
    for (unsigned i = 0; i < n; i++) {
        static const enum how hows[] = {HOW_OLD,   HOW_KILL,  HOW_POWER,
                                        HOW_POWER, HOW_POWER, HOW_DEATH};
        enum how how = hows[choose(t->choice, 6)];
        take(t, e, how, choose(t->choice, UINT32_MAX));
    }
}

void ew_taker_take_now(struct taker *t) {
    take_some(t, NULL);
}

void ew_taker_take_each(struct taker *t) {
    for (unsigned how = 0; t->queue && how <= HOW_DEATH; how++)
        take(t, NULL, (enum how)how, choose(t->choice, UINT32_MAX));
}

/* --- what goes by ---------------------------------------------------------------------------- */

bool ew_is_database_path(const char *path) {
    path += path[0] == '/';
    return strncmp(path, &WORLD_DIR[1], sizeof WORLD_DIR - 2) == 0 &&
           path[sizeof WORLD_DIR - 2] == '/';
}

static bool has(const char *path, const char *part) {
    return strstr(path, part) != NULL;
}

static uint64_t name_hash(const char *path) {
    struct model_hash h = model_hash_row(0, lam_slice_str(path), lam_slice_str("name"));
    return h.low;
}

/* R7: a number that a file has had is not used again. */
static void note_created(struct world *w, const char *path) {
    if (!has(path, ".sst") && !has(path, ".wal") && !has(path, "MANIFEST-"))
        return;
    if (has(path, "MANIFEST-000001"))
        return; /* a making that failed is made again */
    uint64_t hash = name_hash(path);
    for (size_t i = 0; i < w->name_count; i++)
        if (w->names[i] == hash)
            ew_fail(w, "number-reused", "%s is made a second time", path);
    if (w->name_count < sizeof w->names / sizeof w->names[0])
        w->names[w->name_count++] = hash;
}

static void note_event(struct taker *t, const struct simfs_event *e) {
    struct world *w = t->w;
    if (e->phase == 0 || e->result != LAM_OK)
        return;
    if (!ew_is_database_path(e->path))
        return;
    if (e->op == SIMFS_CREATE)
        note_created(w, e->path);
    if (e->op == SIMFS_RENAME && e->to && has(e->to, ".wal")) {
        note_created(w, e->to);
        ew_reach(w, REACHED_SEGMENT_RECYCLED);
    }
    if (e->op == SIMFS_CREATE && t->place == IN_STEP && has(e->path, "MANIFEST-"))
        ew_reach(w, REACHED_MANIFEST_REWRITTEN);
}

void ew_taker_observe(void *arg, const struct simfs_event *e) {
    struct taker *t = arg;
    if (t->depth == 0) {
        t->w->report->events += e->phase == 0;
        note_event(t, e);
    }
    if (e->phase == 0)
        take_some(t, e);
}
