/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the concurrent world (tests/sim/world_threads.h) under many schedules.
 *
 *     threads [--count N] [--seed HEX] [--long] [--only I]
 *
 * Worlds are run until N distinct schedules are reached. Every hundredth is run twice and must take
 * the same course. `--only I` runs the I-th world of the seed, twice. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "tests/sim/world_threads.h"
#include "tests/support/gate.h"

#define FAST_COUNT 20000u
#define LONG_COUNT 200000u
#define TWICE      100u
/* From so many schedules on each rare event must have been met. */
#define REACH_COUNT 2000u

static struct {
    uint64_t seed, count, only;
    bool has_only;
    uint64_t at;    /* the world being run */
    uint64_t twice; /* worlds that took the same course again */
    uint64_t distinct;
    uint64_t *seen; /* hash set of schedules; 0: free */
    uint64_t mask;
    struct threads_report report;
} run = {.seed = 1, .count = FAST_COUNT};

/* --- results ---------------------------------------------------------------------------------- */

static uint64_t events_missing(void) {
    uint64_t missing = 0;
    for (unsigned i = 0; i < THREADS_REACHED_COUNT; i++) {
        printf("  %10" PRIu64 "  %s\n", run.report.reached[i],
               threads_reached_text((enum threads_reached)i));
        missing += run.report.reached[i] == 0;
    }
    return missing;
}

static bool report_gates(uint64_t failed) {
    const struct threads_report *r = &run.report;
    uint64_t worlds = run.has_only ? 1 : run.count;
    /* What is so on the average may not be of a few. */
    uint64_t average = worlds < TWICE ? 0 : worlds;
    bool ok = gate_report("threads: distinct schedules", worlds, run.distinct, failed, run.seed);
    ok &= gate_report("threads: concurrent operations checked", 100 * average, r->operations,
                      failed, run.seed);
    ok &= gate_report("threads: crash images under threads", average, r->images, failed, run.seed);
    ok &= gate_report("threads: replays identical", run.has_only ? 1 : worlds / TWICE, run.twice,
                      failed, run.seed);
    if (!run.has_only && run.count >= REACH_COUNT)
        ok &= gate_report("threads: rare events met", THREADS_REACHED_COUNT,
                          THREADS_REACHED_COUNT - events_missing(), failed, run.seed);
    return ok;
}

static void replay(void) {
    gate_replay("make sim-programs && build/release/sim/threads --seed 0x%" PRIx64
                " --only %" PRIu64,
                run.seed, run.at);
}

static void failed(void) {
    report_gates(1);
    replay();
    _exit(1);
}

/* An assert of the product's, a deadlock or worse. */
static void crashed(int sig) {
    signal(sig, SIG_DFL);
    printf("signal %d\n", sig);
    failed();
}

/* --- runs ------------------------------------------------------------------------------------- */

static void note_schedule(uint64_t hash) {
    hash += hash == 0;
    uint64_t i = hash & run.mask;
    while (run.seen[i] != 0 && run.seen[i] != hash)
        i = (i + 1) & run.mask;
    run.distinct += run.seen[i] == 0;
    run.seen[i] = hash;
}

static void run_world(uint64_t index, bool again) {
    struct threads_trace first, second;
    struct threads_report none = {0};
    uint64_t seed = hash_mix(run.seed, index);
    run.at = index;
    threads_world(seed, &run.report, &first, failed);
    note_schedule(first.schedule);
    if (!again)
        return;
    threads_world(seed, &none, &second, failed);
    if (memcmp(&first, &second, sizeof first) != 0) {
        printf("world %" PRIu64 " took another course: schedule %016" PRIx64 " and %016" PRIx64
               ", files %016" PRIx64 " and %016" PRIx64 ", content %016" PRIx64 " and %016" PRIx64
               "\n",
               index, first.schedule, second.schedule, first.files, second.files, first.content,
               second.content);
        failed();
    }
    run.twice++;
}

static void read_args(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--long") == 0) {
            run.count = LONG_COUNT;
            continue;
        }
        if (strcmp(argv[i], "--count") == 0) {
            run.count = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--seed") == 0) {
            run.seed = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--only") == 0) {
            run.only = strtoull(value, NULL, 0);
            run.has_only = true;
        } else {
            fprintf(stderr, "usage: threads [--count N] [--seed HEX] [--long] [--only I]\n");
            exit(2);
        }
        i++;
    }
}

int main(int argc, char **argv) {
    read_args(argc, argv);
    signal(SIGABRT, crashed);
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    signal(SIGFPE, crashed);
    run.mask = 1023;
    while (run.mask < 4 * run.count)
        run.mask = 2 * run.mask + 1;
    run.seen = calloc(run.mask + 1, sizeof *run.seen);
    if (!run.seen)
        return 2;
    if (run.has_only)
        run_world(run.only, true);
    else
        for (uint64_t i = 0; run.distinct < run.count && i < 2 * run.count; i++)
            run_world(i, i % TWICE == 0);
    const struct threads_report *r = &run.report;
    printf("threads: %" PRIu64 " worlds, %" PRIu64 " commits, %" PRIu64 " points, %" PRIu64
           " switches, %" PRIu64 " faults\n",
           r->worlds, r->commits, r->points, r->switches, r->faults);
    bool ok = report_gates(0);
    free(run.seen);
    return ok ? 0 : 1;
}
