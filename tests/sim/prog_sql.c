/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL statements on a simulated file system, crashed all the way.
 *
 *     sql [--count IMAGES] [--seed HEX] [--only HISTORY] [--long] [--verbose]
 *     sql --only HISTORY --shrink FILE     makes it short; --case FILE runs what was left
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

#include "tests/sim/shrink.h"
#include "tests/sim/world_sql.h"
#include "tests/support/gate.h"

#define FAST_IMAGES 60000
#define LONG_FACTOR 10
/* Images at an operation of the canonical history, and times it is run. */
#define CANON_IMAGES      8
#define CANON_ROUNDS_LONG 8
/* The fast tier fails each so many-th operation. */
#define FAULT_STRIDE 2
/* From so many images on random histories are held to what they reach on the average. */
#define MANY_IMAGES 10000
/* The canonical history's statements. */
#define CANON_SEED 7

struct args {
    uint64_t count, seed, only;
    bool has_only, is_long, verbose, canonical, faults;
    const char *shrink_file, *case_file;
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
        } else if (!strcmp(argv[i], "--shrink") && more)
            a->shrink_file = argv[++i];
        else if (!strcmp(argv[i], "--case") && more)
            a->case_file = argv[++i];
        else
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

static struct wsql *make_history(struct choice *c, bool verbose, struct wsql_stats *stats) {
    struct wsql_options options = {.images = 6, .depth = 2, .verbose = verbose};
    options.faults = choose_one_in(c, 3) ? 8 : 0;
    uint32_t steps = 1 + choose(c, 140);
    struct wsql *w = wsql_new(c, NULL, &options, stats);
    wsql_history(w, steps);
    wsql_end(w);
    return w;
}

static void seed_history(const struct args *a, uint64_t number, struct choice *c) {
    choice_seed(c, a->seed * UINT64_C(0x9e3779b97f4a7c15) + number);
}

static bool run_history(const struct args *a, uint64_t number, struct wsql_stats *stats) {
    struct choice c;
    say_running(a, "", number);
    seed_history(a, number, &c);
    bool good = end_world(make_history(&c, a->verbose, stats), number);
    choice_fini(&c);
    return good;
}

/* --- shrinking ------------------------------------------------------------------------------- */

static const char *run_for_shrink(void *arg, struct choice *c) {
    struct wsql_stats stats = {0};
    (void)arg;
    struct wsql *w = make_history(c, false, &stats);
    const char *check = w->failed ? w->check : "";
    wsql_free(w);
    return check;
}

static int make_short(const struct args *a) {
    struct choice c;
    struct shrink_list list = {0};
    seed_history(a, a->only, &c);
    c.keep = true;
    const char *check = run_for_shrink(NULL, &c);
    list.values = malloc((c.made_count + 1) * sizeof *list.values);
    if (!list.values)
        abort();
    for (; list.count < c.made_count; list.count++)
        list.values[list.count] = c.made[list.count].value;
    choice_fini(&c);
    printf("%zu choices, %s\n", list.count, *check ? check : "nothing fails");
    if (*check)
        shrink(&list, check, run_for_shrink, NULL, 3000);
    bool saved = *check && shrink_save(a->shrink_file, &list, check);
    printf("%zu choices left\n", list.count);
    shrink_list_fini(&list);
    return saved ? 0 : 1;
}

static int run_case(const struct args *a) {
    struct choice c;
    struct shrink_list list;
    struct wsql_stats stats = {0};
    if (!shrink_load(a->case_file, &list))
        return 2;
    snprintf(running, sizeof running, "build/release/sim/sql --case %.150s", a->case_file);
    choice_list(&c, list.values, list.count);
    bool good = end_world(make_history(&c, true, &stats), 0);
    choice_fini(&c);
    shrink_list_fini(&list);
    return good ? 0 : 1;
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
    {.ops = SIMFS_WRITE | SIMFS_SYNC, .sticky = true, .effect = SIMFS_FAIL_DONE, .code = LAM_IO},
};
#define FORMS (sizeof forms / sizeof forms[0])

static const struct simfs_fault *form;
static uint64_t swept;
static unsigned stride;

static void sweep_step(struct wsql *w, struct wsql_step *step) {
    if (step->kind != WSQL_CRASH && step->kind != WSQL_CLOCK && step->kind != WSQL_TICK &&
        step->kind != WSQL_EXPIRE)
        swept += wsql_sweep(w, step, form, stride);
}

static bool run_faults(const struct args *a, uint64_t number, struct wsql_stats *stats) {
    struct choice c, others;
    struct wsql_options options = {.verbose = a->verbose};
    say_running(a, "--faults", number);
    choice_seed(&c, CANON_SEED);
    choice_seed(&others, a->seed + number);
    c.keep = others.keep = false;
    form = &forms[number];
    stride = a->is_long || a->has_only ? 1 : FAULT_STRIDE;
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
           " of unknown outcome), %" PRIu64 " index scans, %" PRIu64 " deaths (%" PRIu64
           " with a power loss in the next opening), %" PRIu64 " expiries in images\n",
           stats->images, stats->nested, stats->same, stats->cold_files, stats->faults,
           stats->faults_survived, stats->unknown, stats->index_paths, stats->deaths,
           stats->deaths_power, stats->expired);
    for (unsigned k = 0; k < WSQL_KIND_COUNT; k++)
        printf("  %-20s %8" PRIu64 " done %8" PRIu64 " refused\n", wsql_kind_name(k),
               stats->done[k], stats->refused[k]);
}

/* --- gates ----------------------------------------------------------------------------------- */

static uint64_t kinds_done(const struct wsql_stats *stats) {
    uint64_t n = 0;
    for (unsigned k = 0; k < WSQL_KIND_COUNT; k++)
        n += stats->done[k] > 0;
    return n;
}

/* What is required: of random histories by their images, of which a few histories alone need not
 * have an even share; of a round of the canonical history and of its sweep somewhat less than they
 * reach. */
static bool report_gates(const struct args *a, const struct wsql_stats *stats, uint64_t wanted,
                         uint64_t failed, uint64_t canon_failed, uint64_t fault_failed) {
    bool whole = wanted && !a->count, many = wanted >= MANY_IMAGES;
    uint64_t rounds = a->canonical || whole ? a->is_long ? CANON_ROUNDS_LONG : 1 : 0;
    uint64_t sweeps = a->faults || whole ? a->is_long ? 2 : 1 : 0;
    uint64_t all_failed = failed + canon_failed + fault_failed, share = many ? wanted : 0;
    bool good = gate_report("sql: leaks to other users, of rows read",
                            share * 20 + rounds * 1000000 + sweeps * 1000000, stats->user_rows,
                            stats->leaks + all_failed, a->seed);
    if (wanted || rounds) {
        good &= gate_report("sql: crash images checked", wanted + rounds * 14000, stats->images,
                            failed + canon_failed, a->seed);
        good &= gate_report("sql: nested images", share / 5 + rounds * 4000, stats->nested,
                            failed + canon_failed, a->seed);
        good &=
            gate_report("sql: operations of flushes and schema changes crashed",
                        share + rounds * 3000, stats->flush_points, failed + canon_failed, a->seed);
    }
    if (sweeps)
        good &= gate_report("sql: operations of statements failed", sweeps * 7500, swept,
                            fault_failed, a->seed);
    if (many || rounds || sweeps)
        good &= gate_report("sql: index entries and answers checked",
                            share * 10 + rounds * 150000 + sweeps * 150000, stats->index_checks,
                            all_failed, a->seed);
    if (wanted >= FAST_IMAGES / 2 || rounds || sweeps)
        good &= gate_report("sql: kinds of statements done", WSQL_KIND_COUNT, kinds_done(stats),
                            all_failed, a->seed);
    if (many || rounds)
        good &= gate_report("sql: images in which rows expired", share / 1000 + rounds * 20,
                            stats->expired, failed + canon_failed, a->seed);
    if (many || rounds)
        good &= gate_report("sql: power losses before a dead process's successor had opened",
                            share / 200 + rounds * 100, stats->deaths_power, failed + canon_failed,
                            a->seed);
    if (many)
        good &= gate_report("sql: random statements with a fault", share / 500,
                            stats->faults - swept, failed, a->seed);
    return good;
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
    if (a.shrink_file && a.has_only)
        return make_short(&a);
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (a.case_file)
        return run_case(&a);
    bool all = !a.canonical && !a.faults;
    uint64_t wanted = a.count ? a.count : a.is_long ? FAST_IMAGES * LONG_FACTOR : FAST_IMAGES;
    uint64_t rounds = a.is_long ? CANON_ROUNDS_LONG : 1;
    bool whole = all && !a.has_only && !a.count;
    if (all)
        failed = run_histories(&a, &stats, wanted);
    for (uint64_t i = 0; (a.canonical || whole) && i < rounds; i++)
        if (!a.has_only || a.only == i)
            canon_failed += !run_canonical(&a, i, &stats);
    for (uint64_t i = 0; (a.faults || whole) && i < FORMS; i++)
        if (!a.has_only || a.only == i)
            fault_failed += !run_faults(&a, i, &stats);
    print_kinds(&stats);
    bool good = a.has_only ||
                report_gates(&a, &stats, all ? wanted : 0, failed, canon_failed, fault_failed);
    return good && !failed && !canon_failed && !fault_failed ? 0 : 1;
}
