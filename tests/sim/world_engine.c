/* SPDX-License-Identifier: Apache-2.0
 *
 * One history from its features to its end. */
#include "tests/sim/world_engine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/sched.h"
#include "tests/sim/world_engine_impl.h"

const char *world_reached_text(enum world_reached what) {
    static const char *const texts[] = {
#define WORLD_REACHED_TEXT(name, text) text,
        WORLD_REACHED(WORLD_REACHED_TEXT)
#undef WORLD_REACHED_TEXT
    };
    return texts[what];
}

/* --- telling --------------------------------------------------------------------------------- */

bool ew_fail(struct world *w, const char *check, const char *format, ...) {
    struct world_report *r = w->report;
    if (r->failed)
        return false;
    r->failed = true;
    snprintf(r->check, sizeof r->check, "%s", check);
    int n = snprintf(r->message, sizeof r->message, "step %u: ", w->step_number);
    va_list args;
    va_start(args, format);
    vsnprintf(r->message + n, sizeof r->message - (size_t)n, format, args);
    va_end(args);
    return false;
}

void ew_fail_context(struct world *w, const char *text) {
    struct world_report *r = w->report;
    size_t n = strlen(r->message);
    snprintf(r->message + n, sizeof r->message - n, "\n  in an image of a %s", text);
}

void ew_say(const struct world *w, const char *format, ...) {
    if (!w->options->verbose)
        return;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

void ew_trace(struct world *w, uint64_t value) {
    uint64_t t = (w->report->trace ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    w->report->trace = t ^ t >> 29;
}

/* --- keys, values, names --------------------------------------------------------------------- */

struct lam_slice ew_key(const struct world *w, unsigned index) {
    LAM_ASSERT(index < w->config.keys);
    return lam_slice_of(w->key_bytes[index], w->key_sizes[index]);
}

struct lam_slice ew_value(struct world *w, unsigned size) {
    LAM_ASSERT(size <= WORLD_VALUE_MAX);
    struct rng r;
    uint64_t id = ++w->value_id;
    rng_init(&r, id);
    for (unsigned i = 0; i < size; i += 8) {
        /* Half of it compresses. */
        uint64_t word = i == 0 ? id : i % 64 < 32 ? rng_next(&r) : id;
        memcpy(w->value + i, &word, size - i < 8 ? size - i : 8);
    }
    return lam_slice_of(w->value, size);
}

const char *ew_partition_name(unsigned partition) {
    static char names[MODEL_PARTITIONS][LAM_PARTITION_NAME_MAX + 1];
    LAM_ASSERT(partition < MODEL_PARTITIONS);
    char *name = names[partition];
    if (name[0])
        return name;
    if (partition == 2)
        memset(name, 'n', LAM_PARTITION_NAME_MAX);
    else if (partition == 4)
        snprintf(name, sizeof names[0], "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9a");
    else
        snprintf(name, sizeof names[0], "%c%u", "zyxa"[partition % 4], partition);
    return name;
}

unsigned ew_partition_number(const char *name) {
    unsigned p = 0;
    while (p < MODEL_PARTITIONS && strcmp(ew_partition_name(p), name) != 0)
        p++;
    return p;
}

/* --- running --------------------------------------------------------------------------------- */

static bool is_done(const struct world *w) {
    return ew_failed(w) || (w->options->images_max && w->report->images >= w->options->images_max);
}

/* The last session is closed and opened once more, with nothing failing. */
static bool wind_up(struct world *w) {
    ew_faults_off(w);
    w->crash_wanted = false;
    return ew_life_reopen(w, false) && ew_read_verify(w) && ew_life_close(w);
}

static void live(void *arg) {
    struct world *w = arg;
    bool ok = ew_life_start(w);
    for (unsigned p = 0; ok && p < w->config.partitions && !w->chosen; p++)
        if (w->options->mode == WORLD_SCRIPT ? p == 0 : !choose_one_in(w->choice, 3))
            ok = ew_ops_create(w, p);
    ok = ok && ew_ops_crash(w);
    struct step s;
    for (w->step_number = 1; ok && w->step_number <= w->config.steps && !is_done(w);
         w->step_number++) {
        if (w->options->mode == WORLD_SCRIPT)
            ew_script_step(w, w->options->script[w->step_number - 1], &s);
        else
            ew_draw_step(w, &s);
        ok = ew_ops_step(w, &s);
    }
    if (ok)
        ok = wind_up(w);
    ew_trace(w, model_commits(w->model));
    ew_life_end(w);
}

static void run(struct world *w) {
    if (w->config.background != BACKGROUND_THREADS) {
        live(w);
        return;
    }
    struct sched_options o = {.policy = (enum sched_policy)choose(w->choice, SCHED_POLICIES),
                              .depth = 1 + choose(w->choice, 3)};
    ew_reach(w, REACHED_THREADS);
    sched_run(w->choice, &o, live, w);
}

/* --- memory ---------------------------------------------------------------------------------- */

static struct {
    bool on;
    _Atomic int64_t blocks; /* not given back yet */
} memory;

static void *resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size == 0) {
        atomic_fetch_sub_explicit(&memory.blocks, ptr != NULL, memory_order_relaxed);
        free(ptr);
        return NULL;
    }
    void *got = realloc(ptr, size);
    if (got && !ptr)
        atomic_fetch_add_explicit(&memory.blocks, 1, memory_order_relaxed);
    return got;
}

void world_engine_count_memory(void) {
    memory.on = true;
    lam_set_allocator(&(struct lam_allocator){resize, NULL});
}

bool world_engine_run(struct choice *choice, const struct world_options *options,
                      struct world_report *report) {
    struct world *w = calloc(1, sizeof *w);
    LAM_ASSERT(w);
    w->choice = choice;
    w->options = options;
    w->report = report;
    ew_draw_config(w);
    ew_say(w, "%u steps, %u partitions, %u keys, granule %u, background %d, sync %u of 8",
           w->config.steps, w->config.partitions, w->config.keys, w->config.fs.granule,
           (int)w->config.background, w->config.sync_of_8);
    report->histories++;
    for (unsigned i = 0; i < 9; i++)
        report->granules[i] += w->config.fs.granule == 16u << i;
    report->subset += w->config.fs.names == SIMFS_SUBSET;
    int64_t blocks = atomic_load(&memory.blocks);
    run(w);
    int64_t lost = atomic_load(&memory.blocks) - blocks;
    if (memory.on && lost != 0)
        ew_fail(w, "memory", "%lld blocks of memory were not given back", (long long)lost);
    bool ok = !report->failed;
    free(w);
    return ok;
}
