/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions of the concurrent world: drawn, run under the scheduler, ended by a close or by the
 * death of all threads, and followed by another on what is left. */
#include "tests/sim/world_threads.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tests/sim/tuning.h"
#include "tests/sim/world_threads_impl.h"

static void (*on_failure)(void);

const char *threads_reached_text(enum threads_reached what) {
    static const char *const texts[] = {
#define THREADS_REACHED_TEXT(name, text) text,
        THREADS_REACHED(THREADS_REACHED_TEXT)
#undef THREADS_REACHED_TEXT
    };
    return texts[what];
}

void wt_reached(struct world *w, enum threads_reached what) {
    w->report->reached[what]++;
}

enum lam_durability wt_draw_durability(struct world *w) {
    return choose(&w->choice, w->sync_of) < w->sync_num ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS;
}

/* --- failures -------------------------------------------------------------------------------- */

void wt_fail(const struct world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("session %u of %u: ", w->session + 1, w->sessions);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    on_failure();
    abort();
}

bool wt_fault_hit(const struct world *w) {
    return w->fault_armed && simfs_fired(w->fs, 0) > 0;
}

bool wt_went_well(struct world *w, enum lam_code rc, const struct lam_error *err,
                  const char *what) {
    if (rc == LAM_OK)
        return true;
    bool of_fault =
        rc == LAM_IO || rc == LAM_NO_SPACE || rc == LAM_UNKNOWN_OUTCOME || rc == LAM_READ_ONLY;
    if (!wt_fault_hit(w) || !of_fault)
        wt_fail(w, "%s: %s: %s", what, lam_code_name(rc), err->message);
    return false;
}

void wt_must(struct world *w, enum lam_code rc, const struct lam_error *err, const char *what) {
    if (rc != LAM_OK)
        wt_fail(w, "%s: %s: %s", what, lam_code_name(rc), err->message);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Before each block of the product's. */
struct block {
    struct block *next, *prev;
};
static struct block blocks = {&blocks, &blocks};
static size_t live;

static void link_block(struct block *b) {
    b->next = blocks.next;
    b->prev = &blocks;
    b->next->prev = b->prev->next = b;
    live++;
}

static void unlink_block(struct block *b) {
    b->next->prev = b->prev;
    b->prev->next = b->next;
    live--;
}

static void *resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    struct block *b = ptr ? (struct block *)ptr - 1 : NULL;
    if (b)
        unlink_block(b);
    if (size == 0) {
        free(b);
        return NULL;
    }
    b = realloc(b, size + sizeof *b);
    LAM_ASSERT(b);
    link_block(b);
    return b + 1;
}

void wt_memory_watch(void) {
    static bool watched;
    static const struct lam_allocator allocator = {resize, NULL};
    if (!watched)
        lam_set_allocator(&allocator);
    watched = true;
}

size_t wt_memory_live(void) {
    return live;
}

void wt_memory_drop(void) {
    while (blocks.next != &blocks)
        resize(NULL, blocks.next + 1, 0);
}

/* --- what is drawn --------------------------------------------------------------------------- */

static void draw_world(struct world *w) {
    struct choice *c = &w->choice;
    struct db_tuning tuning;
    w->salt = choose_salt(c);
    w->writers = 2 + choose(c, WRITERS_MAX - 1);
    w->part_count = 1 + choose(c, PARTS_MAX);
    w->sessions = 1 + choose(c, 2);
    w->depth = choose(c, 3);
    sim_tuning_draw(c, &tuning);
    sim_tuning_set(&tuning);
    struct simfs_options options = {.granule = 16u << choose(c, 9),
                                    .names = choose(c, 2) ? SIMFS_SUBSET : SIMFS_PREFIX,
                                    .garbage = choose(c, 2)};
    w->fs = simfs_new(&options, c);
    wt_make_states(w);
}

static void draw_session(struct world *w) {
    static const uint32_t gaps[] = {0, 40, 160, 500};
    struct choice *c = &w->choice;
    uint32_t some = choose(c, 3);
    w->sync_num = some < 2 ? 1 : 4;
    w->sync_of = some == 0 ? 2 : some == 1 ? 6 : 4;
    w->batches = 2 + choose(c, 6);
    w->rounds = 1 + choose(c, 3);
    w->slow_syncs = choose(c, 2);
    w->transactors = choose_one_in(c, 3) ? 1 + choose(c, TRANSACTORS_MAX) : 0;
    w->copy_failed = false;
    w->with_reader = choose(c, 4) > 0;
    w->with_holder = choose(c, 3) > 0;
    w->with_upkeep = choose(c, 4) > 0;
    w->with_guest = choose(c, 3) > 0 && w->with_upkeep;
    w->with_lanes = choose(c, 6) > 0;
    w->image_gap = gaps[choose(c, 4)];
    w->next_image = w->image_gap ? 1 + choose(c, w->image_gap) : 0;
    bool dies = choose(c, 3) == 2;
    w->crash_at = dies ? 1 + choose(c, 250) : 0;
    w->end = !dies ? END_CLOSE : choose(c, 2) ? END_POWER : END_KILL;
    w->events = w->reorganised = w->failed_by_sync = 0;
    w->crashed = w->fault_armed = false;
}

static void draw_schedule(struct world *w, struct sched_options *out) {
    static const enum sched_policy policies[] = {
        SCHED_RANDOM,     SCHED_RANDOM,     SCHED_RUN_TO_BLOCK, SCHED_PRIORITIES,
        SCHED_PRIORITIES, SCHED_PRIORITIES, SCHED_STALL,        SCHED_STALL,
        SCHED_STALL,      SCHED_STALL,      SCHED_ROUND_ROBIN,  SCHED_STARVE};
    struct choice *c = &w->choice;
    *out = (struct sched_options){
        .policy = policies[choose(c, 12)],
        .one_in = 1u << choose(c, 6),
        .depth = 1 + choose(c, 5),
        .length = 500u << choose(c, 4),
        .no_threads = choose_one_in(c, 20),
    };
}

/* One call fails that the log makes, or another of the engine's. */
static void draw_fault(struct world *w) {
    static const char *const patterns[] = {".wal", ".wal", ".sst", NULL};
    static const enum simfs_effect on_write[] = {SIMFS_FAIL, SIMFS_SHORT, SIMFS_FAIL_DONE};
    static const enum simfs_effect on_sync[] = {SIMFS_FAIL, SIMFS_FSYNC_EXT4, SIMFS_FSYNC_BTRFS,
                                                SIMFS_FAIL_DONE};
    struct choice *c = &w->choice;
    if (choose(c, 4) < 3)
        return;
    struct simfs_fault fault = {
        .ops = choose(c, 2) ? SIMFS_SYNC : SIMFS_WRITE,
        .pattern = patterns[choose(c, 4)],
        .nth = 1 + choose(c, 24),
        .sticky = choose_one_in(c, 4),
        .code = choose(c, 2) ? LAM_NO_SPACE : LAM_IO,
    };
    fault.effect = fault.ops == SIMFS_SYNC ? on_sync[choose(c, 4)] : on_write[choose(c, 3)];
    w->fault_on_sync = fault.ops == SIMFS_SYNC;
    if (w->fault_on_sync)
        fault.nth = 1 + choose(c, 8);
    w->fault_armed = true;
    simfs_arm(w->fs, 0, &fault);
}

/* --- a session ------------------------------------------------------------------------------- */

static void make_parts(struct world *w) {
    static const char *const names[] = {"shared", "part-0", "part-1", "part-2"};
    lam_partition *made[1 + PARTS_MAX];
    struct lam_error err = {0};
    wt_must(w, lam_partition_create_many(w->db, names, 1 + w->part_count, NULL, made, &err), &err,
            "lam_partition_create_many");
    w->shared = made[0];
    for (uint32_t p = 0; p < w->part_count; p++)
        w->parts[p] = made[1 + p];
}

/* What was found at an open is there to stay; what is not will never be. */
static void adopt(struct world *w, const struct vector *v) {
    w->acked_sequence = 0;
    for (uint32_t writer = 0; writer < w->writers; writer++) {
        for (uint32_t n = 1; n <= w->issued.n[writer]; n++) {
            struct commit *c = &w->commits[writer][n];
            bool there = n <= v->n[writer];
            if (c->unknown)
                wt_reached(w, there ? THREADS_UNKNOWN_KEPT : THREADS_UNKNOWN_GONE);
            if (there && c->sequence > w->acked_sequence)
                w->acked_sequence = c->sequence;
            *c = (struct commit){
                .sequence = there ? c->sequence : 0, .count = c->count, .attempt = c->attempt};
        }
    }
    w->synced_sequence = w->acked_sequence;
    w->issued = w->acked = w->synced = w->floor = *v;
    wt_queue_adopt(w, v);
    for (uint32_t i = 0; i < w->temp_count; i++) {
        struct temp *t = &w->temps[i];
        bool there = v->temps[i] != ABSENT;
        *t = (struct temp){.state = there ? TEMP_THERE : TEMP_GONE};
        if (there)
            t->issued = t->acked = t->synced = v->temps[i];
    }
}

static void open_temps(struct world *w) {
    for (uint32_t i = 0; i < w->temp_count; i++) {
        char name[16];
        struct lam_error err = {0};
        wt_temp_name(i, name);
        if (w->temps[i].state == TEMP_THERE)
            wt_must(w, lam_partition_open(w->db, name, &w->temps[i].partition, &err), &err,
                    "opening a temporary partition");
    }
}

/* How the last session ended says what must be there. */
static enum bound bound_of_end(const struct world *w) {
    if (w->fault_armed && w->fault_on_sync)
        return BOUND_POWER;
    if (w->crashed)
        return w->end == END_POWER ? BOUND_POWER : BOUND_KILL;
    return w->fault_armed ? BOUND_KILL : BOUND_EXACT;
}

static void open_world(struct world *w, bool first, enum bound bound) {
    struct lam_error err = {0};
    struct lam_options options = wt_options(w, w->fs);
    options.must_exist = !first;
    wt_must(w, lam_db_open("db", &options, &w->db, &err), &err, "lam_db_open");
    if (first) {
        make_parts(w);
        return;
    }
    struct vector v = wt_read_all(w, w->db, &w->main_content, w->parts);
    wt_check_vector(w, &v, bound, "the database opened again");
    wt_must(w, lam_partition_open(w->db, "shared", &w->shared, &err), &err, "lam_partition_open");
    adopt(w, &v);
    w->trace.content = hash_mix(w->trace.content, wt_content_hash(&w->main_content));
}

static void look_at_stats(struct world *w) {
    struct lam_stats s;
    lam_db_stats(w->db, &s);
    const struct {
        bool met;
        enum threads_reached what;
    } seen[] = {{s.sync_waits > s.wal_syncs, THREADS_GROUP},
                {s.stall_us > 0, THREADS_STALL},
                {s.dumps > 0 && w->with_lanes, THREADS_DUMP},
                {s.compactions > 0 && w->with_lanes, THREADS_COMPACTION}};
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++)
        if (seen[i].met)
            wt_reached(w, seen[i].what);
}

static void close_world(struct world *w) {
    struct lam_error err = {0};
    for (uint32_t p = 0; p < w->part_count; p++)
        lam_partition_release(w->parts[p]);
    lam_partition_release(w->shared);
    lam_db *db = w->db;
    w->db = NULL;
    enum lam_code rc = lam_db_close(db, &err);
    w->live = false;
    wt_went_well(w, rc, &err, "lam_db_close");
}

struct session {
    struct world *w;
    enum bound bound; /* of the session before */
};

static void run_session(void *arg) {
    struct session *s = arg;
    struct world *w = s->w;
    open_world(w, w->session == 0, s->bound);
    if (w->with_upkeep)
        open_temps(w);
    draw_fault(w);
    simfs_observe(w->fs, wt_observe, w);
    w->live = true;
    wt_work(w);
    look_at_stats(w);
    close_world(w);
}

static void end_session(struct world *w) {
    if (w->crashed)
        wt_memory_drop();
    if (wt_fault_hit(w)) {
        w->report->faults++;
        wt_reached(w, THREADS_FAULT);
    } else {
        w->fault_armed = false;
    }
    simfs_disarm(w->fs);
    simfs_observe(w->fs, NULL, NULL);
    wt_settle(w);
    if (simfs_open_handles(w->fs) != 0)
        wt_fail(w, "%zu files were left open", simfs_open_handles(w->fs));
    if (wt_memory_live() != 0)
        wt_fail(w, "%zu allocations have leaked", wt_memory_live());
    if (simfs_violation(w->fs))
        wt_fail(w, "%s", simfs_violation(w->fs));
    w->report->points += sched_points();
    w->report->switches += sched_switches();
    w->trace.schedule = hash_mix(w->trace.schedule, sched_hash());
}

/* Everything is there, sound, and takes writes. */
static void verify_end(struct world *w) {
    struct lam_error err = {0};
    enum bound bound = bound_of_end(w);
    w->crashed = w->fault_armed = w->with_lanes = false;
    open_world(w, false, bound);
    char key[24];
    uint8_t value[VALUE_MAX];
    struct lam_write_options sync = {LAM_DURABILITY_SYNC};
    wt_must(w,
            lam_put(w->db, &sync, w->parts[0], wt_temp_key(99, key),
                    wt_temp_value(w, 99, 99, value), &err),
            &err, "writing to the database opened again");
    close_world(w);
    wt_must(w, lam_check("db", simfs_env(w->fs), NULL, NULL, &err), &err, "lam_check");
    if (simfs_open_handles(w->fs) != 0 || wt_memory_live() != 0)
        wt_fail(w, "%zu files were left open, %zu allocations have leaked",
                simfs_open_handles(w->fs), wt_memory_live());
    w->trace.files = hash_mix(w->trace.files, simfs_trace(w->fs));
}

static void free_world(struct world *w) {
    simfs_free(w->fs);
    choice_fini(&w->choice);
    free(w->shots);
    wt_content_fini(&w->main_content);
    wt_content_fini(&w->reader_content);
    wt_content_fini(&w->reader_again);
    wt_content_fini(&w->holder_content);
    wt_content_fini(&w->image_content);
    wt_content_fini(&w->copy_content);
    free(w);
    sim_tuning_set(NULL);
}

void threads_world(uint64_t seed, struct threads_report *report, struct threads_trace *trace_out,
                   void (*failed)(void)) {
    struct world *w = calloc(1, sizeof *w);
    LAM_ASSERT(w);
    on_failure = failed;
    w->seed = seed;
    w->report = report;
    choice_seed(&w->choice, seed);
    wt_memory_watch();
    draw_world(w);
    for (w->session = 0; w->session < w->sessions; w->session++) {
        struct session s = {w, bound_of_end(w)};
        struct sched_options options;
        draw_session(w);
        draw_schedule(w, &options);
        sched_run(&w->choice, &options, run_session, &s);
        end_session(w);
    }
    verify_end(w);
    report->worlds++;
    *trace_out = w->trace;
    free_world(w);
}
