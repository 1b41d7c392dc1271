/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL statements on a simulated file system, crashed all the way.
 *
 *     sql [--count IMAGES] [--seed HEX] [--only HISTORY] [--long] [--verbose]
 *     sql --canonical      one fixed history, crashed at every operation
 *     sql --faults         the same, with every operation failing once
 *
 * Without either, random histories run first, then both. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/world_sql.h"
#include "tests/support/gate.h"

#define FAST_IMAGES 60000
#define LONG_FACTOR 10
/* Images at an operation of the canonical history, and times it is run. */
#define CANON_IMAGES      8
#define CANON_ROUNDS_LONG 8
/* The canonical history's statements. */
#define CANON_SEED 7

struct args {
    uint64_t count, seed, only;
    bool has_only, is_long, verbose, canonical, faults;
};

static char running[240];

/* An assertion of the product or a crash: says how to see it again. */
static void on_abort(int number) {
    ssize_t n = write(1, "replay: ", 8) + write(1, running, strlen(running)) + write(1, "\n", 1);
    signal(number, SIG_DFL);
    if (n > 0)
        raise(number);
}

static bool read_args(struct args *a, int argc, char **argv) {
    *a = (struct args){.seed = 0x5a1};
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--long"))
            a->is_long = true;
        else if (!strcmp(argv[i], "--verbose"))
            a->verbose = true;
        else if (!strcmp(argv[i], "--canonical"))
            a->canonical = true;
        else if (!strcmp(argv[i], "--faults"))
            a->faults = true;
        else if (!strcmp(argv[i], "--count") && more)
            a->count = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--seed") && more)
            a->seed = strtoull(argv[++i], NULL, 16);
        else if (!strcmp(argv[i], "--only") && more) {
            a->only = strtoull(argv[++i], NULL, 0);
            a->has_only = true;
        } else
            return false;
    }
    return true;
}

static void say_running(const struct args *a, const char *what, uint64_t number) {
    snprintf(running, sizeof running,
             "make sim-programs && build/release/sim/sql %s --seed 0x%" PRIx64 " --only %" PRIu64
             " --verbose",
             what, a->seed, number);
}

static bool end_world(struct wsql *w, uint64_t number) {
    bool good = !w->failed;
    if (!good)
        printf("run %" PRIu64 ": %s\nreplay: %s\n", number, w->message, running);
    fflush(stdout);
    wsql_free(w);
    return good;
}

/* --- random ---------------------------------------------------------------------------------- */

static bool run_history(const struct args *a, uint64_t number, struct wsql_stats *stats) {
    struct choice c;
    struct wsql_options options = {
        .images = 6, .depth = 2, .verbose = a->verbose, .faults = number % 3 == 2 ? 8 : 0};
    say_running(a, "", number);
    choice_seed(&c, a->seed * UINT64_C(0x9e3779b97f4a7c15) + number);
    c.keep = false;
    struct wsql *w = wsql_new(&c, NULL, &options, stats);
    wsql_history(w, 40 + choose(&c, 100));
    wsql_end(w);
    bool good = end_world(w, number);
    choice_fini(&c);
    return good;
}

static uint64_t run_histories(const struct args *a, struct wsql_stats *stats, uint64_t wanted) {
    uint64_t failed = 0;
    for (uint64_t i = a->has_only ? a->only : 0; stats->images < wanted && failed < 3; i++) {
        failed += !run_history(a, i, stats);
        if (a->has_only)
            break;
    }
    return failed;
}

/* --- canonical ------------------------------------------------------------------------------- */

/* The statements are the same in every round, the images are not. */
static bool run_canonical(const struct args *a, uint64_t round, struct wsql_stats *stats) {
    struct choice c, images;
    struct wsql_options options = {.every = CANON_IMAGES, .depth = 1, .verbose = a->verbose};
    say_running(a, "--canonical", round);
    choice_seed(&c, CANON_SEED);
    choice_seed(&images, a->seed + round);
    c.keep = images.keep = false;
    struct wsql *w = wsql_new(&c, &images, &options, stats);
    wsql_canonical(w, NULL);
    wsql_end(w);
    bool good = end_world(w, round);
    choice_fini(&c);
    choice_fini(&images);
    return good;
}

/* --- faults ---------------------------------------------------------------------------------- */

static const struct simfs_fault forms[] = {
    {.ops = SIMFS_ALL & ~(SIMFS_CLOSE | SIMFS_SUBMIT), .effect = SIMFS_FAIL, .code = LAM_IO},
    {.ops = SIMFS_MUTATE, .sticky = true, .effect = SIMFS_FAIL, .code = LAM_NO_SPACE},
    {.ops = SIMFS_WRITE, .effect = SIMFS_SHORT, .code = LAM_NO_SPACE},
    {.ops = SIMFS_SYNC, .effect = SIMFS_FSYNC_EXT4, .code = LAM_IO},
    {.ops = SIMFS_MUTATE, .effect = SIMFS_FAIL_DONE, .code = LAM_IO},
};
#define FORMS (sizeof forms / sizeof forms[0])

static const struct simfs_fault *form;
static uint64_t swept;

static void sweep_step(struct wsql *w, struct wsql_step *step) {
    if (step->kind != WSQL_CRASH && step->kind != WSQL_CLOCK && step->kind != WSQL_TICK)
        swept += wsql_sweep(w, step, form);
}

static bool run_faults(const struct args *a, uint64_t number, struct wsql_stats *stats) {
    struct choice c, others;
    struct wsql_options options = {.verbose = a->verbose};
    say_running(a, "--faults", number);
    choice_seed(&c, CANON_SEED);
    choice_seed(&others, a->seed + number);
    c.keep = others.keep = false;
    form = &forms[number];
    struct wsql *w = wsql_new(&c, &others, &options, stats);
    wsql_canonical(w, sweep_step);
    wsql_end(w);
    bool good = end_world(w, number);
    choice_fini(&c);
    choice_fini(&others);
    return good;
}

/* --- all ------------------------------------------------------------------------------------- */

static void print_kinds(const struct wsql_stats *stats) {
    printf("%" PRIu64 " images (%" PRIu64 " nested, %" PRIu64 " equal ones left out), %" PRIu64
           " cold files, %" PRIu64 " faults (%" PRIu64 " survived, %" PRIu64
           " of unknown outcome), %" PRIu64 " index scans\n",
           stats->images, stats->nested, stats->same, stats->cold_files, stats->faults,
           stats->faults_survived, stats->unknown, stats->index_paths);
    for (unsigned k = 0; k < WSQL_KIND_COUNT; k++)
        printf("  %-20s %8" PRIu64 " done %8" PRIu64 " refused\n", wsql_kind_name(k),
               stats->done[k], stats->refused[k]);
}

int main(int argc, char **argv) {
    struct args a;
    struct wsql_stats stats = {0};
    uint64_t failed = 0, canon_failed = 0, fault_failed = 0;
    if (!read_args(&a, argc, argv)) {
        fprintf(stderr, "usage: sql [--canonical | --faults] [--count IMAGES] [--seed HEX] "
                        "[--only NUMBER] [--long] [--verbose]\n");
        return 2;
    }
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    bool all = !a.canonical && !a.faults, good = true;
    uint64_t wanted = a.count ? a.count : a.is_long ? FAST_IMAGES * LONG_FACTOR : FAST_IMAGES;
    uint64_t rounds = a.is_long ? CANON_ROUNDS_LONG : 1;
    if (all)
        failed = run_histories(&a, &stats, wanted);
    uint64_t first = a.has_only ? a.only : 0;
    for (uint64_t i = first; (a.canonical || (all && !a.has_only && !a.count)) && i < rounds; i++)
        canon_failed += !run_canonical(&a, i, &stats);
    for (uint64_t i = first; (a.faults || (all && !a.has_only && !a.count)) && i < FORMS; i++)
        fault_failed += !run_faults(&a, i, &stats);
    print_kinds(&stats);
    failed += canon_failed;
    good &= gate_report("sql crash images checked", a.has_only ? 0 : stats.images, stats.images,
                        failed, a.seed);
    good &=
        gate_report("flush and schema steps crashed", 0, stats.flush_points, canon_failed, a.seed);
    good &= gate_report("operations of sql statements failed", 0, swept, fault_failed, a.seed);
    good &= gate_report("index = table checks", 0, stats.index_checks, 0, a.seed);
    good &= gate_report("cross-user leaks in rows read", 0, stats.user_rows, stats.leaks, a.seed);
    return good && !failed && !fault_failed ? 0 : 1;
}
