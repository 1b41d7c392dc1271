/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories of the engine until enough crash images have been checked.
 *
 *     engine [--count IMAGES] [--seed S] [--long]     cases, the canonical history, then histories
 *     engine --only I [--seed S] [--shrink FILE]      one of them, told step by step; made short
 *     engine --case FILE                              a list of choices
 *     engine --exhaustive [--long]                    all scripts of 2 (3) steps
 *     engine --replays N [--seed S]                   N histories twice, compared
 *     engine ... --skip OP:PATTERN                    with operations that do nothing: a seeded bug
 *
 * OP is one of sync, dir-sync, write, remove, rename, truncate. */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/sim/shrink.h"
#include "tests/sim/world_engine.h"
#include "tests/support/gate.h"

#define CASES "tests/sim/cases"

struct program {
    uint64_t count;
    uint64_t seed;
    bool is_long;
    bool only, exhaustive;
    uint64_t only_index;
    uint64_t replays;
    const char *shrink_file, *case_file;
    struct simfs_fault skip;
    bool skips;
    struct world_report report;
};

/* --- telling --------------------------------------------------------------------------------- */

static char replay[400];

static void on_abort(int signal_number) {
    ssize_t n = write(STDOUT_FILENO, replay, strlen(replay));
    (void)n;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void set_replay(const char *what) {
    snprintf(replay, sizeof replay,
             "\nreplay: make sim-programs MODE=release && build/release/sim/engine %s\n", what);
}

static void say_failure(const struct world_report *r) {
    printf("%s\nFAILED %s: %s\n", replay, r->check, r->message);
    fflush(stdout);
}

/* --- one history ----------------------------------------------------------------------------- */

static uint64_t history_seed(const struct program *p, uint64_t index) {
    struct rng r;
    rng_init(&r, p->seed * UINT64_C(0x9E3779B97F4A7C15) + index);
    return rng_next(&r);
}

static bool run_history(struct program *p, struct choice *c, struct world_options *o,
                        struct world_report *r) {
    o->permanent = p->skips ? &p->skip : NULL;
    bool ok = world_engine_run(c, o, r);
    if (!ok)
        say_failure(r);
    return ok;
}

static bool run_index(struct program *p, uint64_t index) {
    char what[100];
    struct choice c;
    struct world_options o = {.images_max = p->count};
    snprintf(what, sizeof what, "--seed 0x%" PRIx64 " --only %" PRIu64, p->seed, index);
    set_replay(what);
    choice_seed(&c, history_seed(p, index));
    bool ok = run_history(p, &c, &o, &p->report);
    choice_fini(&c);
    return ok;
}

static const char *run_for_shrink(void *arg, struct choice *c) {
    struct program *p = arg;
    static struct world_report r;
    struct world_options o = {.permanent = p->skips ? &p->skip : NULL};
    r = (struct world_report){0};
    return world_engine_run(c, &o, &r) ? "" : r.check;
}

static int make_short(struct program *p) {
    struct choice c;
    struct shrink_list list = {0};
    choice_seed(&c, history_seed(p, p->only_index));
    /* The choices made before an abort are in the child only: there a list too long is as good. */
    struct world_options o = {.permanent = p->skips ? &p->skip : NULL};
    struct world_report r = {0};
    c.keep = true;
    world_engine_run(&c, &o, &r);
    list.count = c.made_count;
    list.values = malloc((list.count + 1) * sizeof *list.values);
    LAM_ASSERT(list.values);
    for (size_t i = 0; i < c.made_count; i++)
        list.values[i] = c.made[i].value;
    choice_fini(&c);
    if (!r.failed) {
        printf("nothing fails\n");
        return 1;
    }
    printf("%zu choices, %s\n", list.count, r.check);
    shrink(&list, r.check, run_for_shrink, p, 4000);
    printf("%zu choices left\n", list.count);
    bool saved = shrink_save(p->shrink_file, &list, r.message);
    shrink_list_fini(&list);
    return saved ? 0 : 1;
}

static int run_one(struct program *p) {
    if (p->shrink_file)
        return make_short(p);
    struct choice c;
    struct world_options o = {.verbose = true};
    choice_seed(&c, history_seed(p, p->only_index));
    bool ok = run_history(p, &c, &o, &p->report);
    choice_fini(&c);
    return ok ? 0 : 1;
}

static bool run_case(struct program *p, const char *path, bool verbose) {
    struct shrink_list list;
    struct choice c;
    struct world_options o = {.verbose = verbose};
    char what[300];
    snprintf(what, sizeof what, "--case %s", path);
    set_replay(what);
    if (!shrink_load(path, &list)) {
        printf("FAILED to read %s\n", path);
        return false;
    }
    choice_list(&c, list.values, list.count);
    bool ok = run_history(p, &c, &o, &p->report);
    choice_fini(&c);
    shrink_list_fini(&list);
    return ok;
}

static bool run_cases(struct program *p) {
    DIR *d = opendir(CASES);
    struct dirent *e;
    bool ok = true;
    while (d && ok && (e = readdir(d)) != NULL) {
        char path[300];
        size_t n = strlen(e->d_name);
        if (n < 8 || strcmp(e->d_name + n - 8, ".choices") != 0)
            continue;
        snprintf(path, sizeof path, CASES "/%s", e->d_name);
        ok = run_case(p, path, false);
    }
    if (d)
        closedir(d);
    return ok;
}

/* --- runs ------------------------------------------------------------------------------------ */

static bool run_canonical(struct program *p, uint64_t *events) {
    struct choice c;
    unsigned every = p->is_long ? 64 : 8;
    struct world_options o = {.mode = WORLD_CANONICAL, .every = every};
    set_replay(p->is_long ? "--count 1 --long" : "--count 1");
    uint64_t before = p->report.events;
    choice_seed(&c, 20);
    bool ok = run_history(p, &c, &o, &p->report);
    choice_fini(&c);
    *events = p->report.events - before;
    return ok;
}

static void print_report(const struct world_report *r) {
    printf("%" PRIu64 " histories, %" PRIu64 " images (%" PRIu64
           " repeated ones left out): %" PRIu64 " kills, %" PRIu64
           " power losses; by depth %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
           r->histories, r->images, r->repeated, r->kills, r->powers, r->depth[0], r->depth[1],
           r->depth[2], r->depth[3]);
    printf("%" PRIu64 " calls that change files, %" PRIu64 " faults, names in any order in %" PRIu64
           " histories; by granule",
           r->events, r->faults, r->subset);
    for (unsigned i = 0; i < 9; i++)
        printf(" %u: %" PRIu64, 16u << i, r->granules[i]);
    printf("\n");
    for (int i = 0; i < REACHED_COUNT; i++)
        printf("%10" PRIu64 "  %s\n", r->reached[i], world_reached_text((enum world_reached)i));
}

static uint64_t reached(const struct world_report *r) {
    uint64_t n = 0;
    for (int i = 0; i < REACHED_COUNT; i++)
        n += r->reached[i] > 0;
    return n;
}

static int run_all(struct program *p) {
    uint64_t events = 0, canonical = 0;
    struct world_report *r = &p->report;
    bool ok = run_cases(p);
    if (ok && (p->count >= 10000 || p->count == 1)) {
        ok = run_canonical(p, &events);
        canonical = r->images;
    }
    for (uint64_t i = 0; ok && r->images < p->count; i++)
        ok = run_index(p, i);
    if (ok)
        print_report(r);
    uint64_t failed = !ok, nested = r->images - r->depth[0];
    ok = gate_report("engine: crash images checked", p->count, r->images, failed, p->seed) && ok;
    ok = gate_report("engine: operations checked against the model", p->count / 20, r->operations,
                     failed, p->seed) &&
         ok;
    if (p->count < 10000)
        return ok ? 0 : 1;
    ok = gate_report("engine: calls of the canonical history, all imaged", 2000, events, failed,
                     0) &&
         ok;
    ok = gate_report("engine: images of it", 2000 * (p->is_long ? 64 : 8) / 2, canonical, failed,
                     0) &&
         ok;
    ok = gate_report("engine: nested images", p->count / 5, nested, failed, p->seed) && ok;
    ok = gate_report("engine: images of crashes in recoveries of crashes in recoveries",
                     p->count / 200, r->depth[2] + r->depth[3], failed, p->seed) &&
         ok;
    if (p->count >= 100000)
        ok = gate_report("engine: rare events reached", REACHED_COUNT, reached(r), failed,
                         p->seed) &&
             ok;
    return ok ? 0 : 1;
}

static int run_exhaustive(struct program *p) {
    uint64_t scripts = 0;
    size_t longest = p->is_long ? 3 : 2;
    bool ok = true;
    for (size_t length = 0; ok && length <= longest; length++) {
        uint8_t script[3] = {0};
        for (bool more = true; ok && more; scripts++) {
            struct choice c;
            struct world_options o = {.mode = WORLD_SCRIPT,
                                      .every = p->is_long ? 128 : 64,
                                      .script = script,
                                      .script_count = length};
            set_replay(p->is_long ? "--exhaustive --long" : "--exhaustive");
            choice_seed(&c, 1);
            ok = run_history(p, &c, &o, &p->report);
            choice_fini(&c);
            if (!ok)
                printf("script of %zu: %u %u %u\n", length, script[0], script[1], script[2]);
            size_t at = 0;
            while (at < length && ++script[at] == WORLD_ALPHABET)
                script[at++] = 0;
            more = at < length;
        }
    }
    if (ok)
        print_report(&p->report);
    ok = gate_report("engine: scripts of few steps, all", p->is_long ? 1885 : 157, scripts, !ok,
                     0) &&
         ok;
    ok = gate_report("engine: images of them", p->is_long ? 600000 : 35000, p->report.images, !ok,
                     0) &&
         ok;
    return ok ? 0 : 1;
}

static int run_replays(struct program *p) {
    uint64_t differ = 0, images = 0, compared = 0;
    for (uint64_t i = 0; i < p->replays; i++) {
        struct world_report r[2] = {{0}, {0}};
        for (int turn = 0; turn < 2; turn++) {
            struct choice c;
            struct world_options o = {.images_max = 300};
            char what[100];
            snprintf(what, sizeof what, "--seed 0x%" PRIx64 " --only %" PRIu64, p->seed, i);
            set_replay(what);
            choice_seed(&c, history_seed(p, i));
            if (!run_history(p, &c, &o, &r[turn]))
                return 1;
            choice_fini(&c);
        }
        images += r[0].images;
        compared += r[0].images > 0 && r[0].trace != 0;
        if (r[0].trace == r[1].trace && r[0].images == r[1].images)
            continue;
        differ++;
        printf("history %" PRIu64 " differs when it is run again\n%s", i, replay);
    }
    printf("%" PRIu64 " images\n", images);
    return gate_report("engine: replays identical", p->replays - p->replays / 10, compared, differ,
                       p->seed)
               ? 0
               : 1;
}

/* --- arguments ------------------------------------------------------------------------------- */

static bool parse_skip(struct program *p, const char *text) {
    static const struct {
        const char *name;
        unsigned op;
    } ops[] = {{"sync:", SIMFS_SYNC},     {"dir-sync:", SIMFS_DIR_SYNC},
               {"write:", SIMFS_WRITE},   {"remove:", SIMFS_REMOVE},
               {"rename:", SIMFS_RENAME}, {"truncate:", SIMFS_TRUNCATE}};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        size_t n = strlen(ops[i].name);
        if (strncmp(text, ops[i].name, n) != 0)
            continue;
        p->skip = (struct simfs_fault){.ops = ops[i].op,
                                       .pattern = text[n] ? text + n : NULL,
                                       .nth = 1,
                                       .sticky = true,
                                       .effect = SIMFS_SKIP,
                                       .code = LAM_IO};
        p->skips = true;
        return true;
    }
    return false;
}

static bool parse(struct program *p, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--long") == 0) {
            p->is_long = true;
            continue;
        }
        if (strcmp(a, "--exhaustive") == 0) {
            p->exhaustive = true;
            continue;
        }
        if (!value)
            return false;
        i++;
        if (strcmp(a, "--count") == 0)
            p->count = strtoull(value, NULL, 0);
        else if (strcmp(a, "--seed") == 0)
            p->seed = strtoull(value, NULL, 0);
        else if (strcmp(a, "--replays") == 0)
            p->replays = strtoull(value, NULL, 0);
        else if (strcmp(a, "--only") == 0) {
            p->only = true;
            p->only_index = strtoull(value, NULL, 0);
        } else if (strcmp(a, "--shrink") == 0)
            p->shrink_file = value;
        else if (strcmp(a, "--case") == 0)
            p->case_file = value;
        else if (strcmp(a, "--skip") != 0 || !parse_skip(p, value))
            return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct program p = {.count = 100000, .seed = 1};
    if (!parse(&p, argc, argv)) {
        fprintf(stderr, "engine: see the head of tests/sim/prog_engine.c\n");
        return 2;
    }
    world_engine_count_memory();
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (p.only || p.case_file)
        setvbuf(stdout, NULL, _IOLBF, 0);
    if (p.only)
        return run_one(&p);
    if (p.case_file)
        return run_case(&p, p.case_file, true) ? 0 : 1;
    if (p.exhaustive)
        return run_exhaustive(&p);
    if (p.replays)
        return run_replays(&p);
    return run_all(&p);
}
