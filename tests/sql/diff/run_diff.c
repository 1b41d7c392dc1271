/* SPDX-License-Identifier: Apache-2.0
 *
 * Random statements on Lamina and SQLite, in rounds of a fresh database each:
 *
 *     run_diff [-n STATEMENTS] [-s SEED] [-v]
 *
 * A divergence prints the round's seed, both answers and the shortest script found that shows it;
 * `run_diff -n 1 -s SEED` runs that round again. */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "tests/sql/diff/diff.h"
#include "tests/support/gate.h"

#define ROUND_STEPS 300
#define REPLAYS_MAX 1500

struct totals {
    long statements, compared, with_rows, skipped, nonsense;
};

static uint64_t round_seed;
static const char *volatile current = "";

/* A crash inside Lamina: says what was running. */
static void on_crash(int number) {
    char text[100];
    int n = snprintf(text, sizeof text, "\ndiff: signal %d in the round of seed %llu:\n", number,
                     (unsigned long long)round_seed);
    if (write(2, text, (size_t)n) < 0 || write(2, current, strlen(current)) < 0 ||
        write(2, "\n", 1) < 0)
        _exit(3);
    signal(number, SIG_DFL);
    raise(number);
}

static enum verdict run_step(struct world *w, const struct step *s, struct text *report) {
    current = s->lam ? s->lam : "flush or reopen";
    return world_run(w, s, report);
}

/* Whether the steps that `wanted` marks, and then the last one, still diverge. */
static bool reproduces(const struct step *steps, int count, const bool *wanted) {
    struct world w = {0};
    struct text report = {0};
    enum verdict verdict = AGREE;
    int i = 0;
    world_open(&w);
    for (; i < count && verdict != DIVERGE; i++)
        if (wanted[i] || i == count - 1)
            verdict = run_step(&w, &steps[i], &report);
    world_close(&w);
    text_clear(&report);
    return verdict == DIVERGE && i == count;
}

/* Drops runs of steps, long ones first, as long as the divergence stays. */
static void shorten(const struct step *steps, int count, bool *wanted) {
    int replays = 0;
    for (int run = count / 2; run >= 1; run /= 2)
        for (int start = 0; start < count - 1 && replays < REPLAYS_MAX; start += run) {
            bool before[ROUND_STEPS];
            memcpy(before, wanted, sizeof before);
            int left = 0;
            for (int i = start; i < start + run && i < count - 1; i++) {
                left += wanted[i];
                wanted[i] = false;
            }
            replays += left > 0;
            if (left && !reproduces(steps, count, wanted))
                memcpy(wanted, before, sizeof before);
        }
}

static void print_step(const struct step *s) {
    if (s->kind == STEP_FLUSH) {
        printf("STORAGE FLUSH ALL;\n");
    } else if (s->kind == STEP_REOPEN) {
        printf("-- reopen\n");
    } else {
        printf("-- user%d\n%s;\n", s->session, s->lam);
        for (int i = 0; i < s->parameters; i++)
            printf("-- $%d = %s\n", i + 1, s->parameter[i].value);
    }
}

static void report_divergence(const struct step *steps, int count, const char *report) {
    bool wanted[ROUND_STEPS];
    for (int i = 0; i < ROUND_STEPS; i++)
        wanted[i] = i < count;
    printf("diff: seed %llu, statement %d:\n%s\n%s\n", (unsigned long long)round_seed, count,
           steps[count - 1].lam, report);
    fflush(stdout);
    shorten(steps, count, wanted);
    printf("-- script:\n");
    for (int i = 0; i < count; i++)
        if (wanted[i])
            print_step(&steps[i]);
    printf("-- in SQLite:\n%s;\n\n", steps[count - 1].lite);
}

/* One round; false: it diverged. */
static bool run_round(bool verbose, struct totals *totals) {
    static struct step steps[ROUND_STEPS];
    static struct generator g;
    struct world w = {0};
    struct text report = {0};
    enum verdict verdict = AGREE;
    int count = 0;
    generator_init(&g, round_seed);
    world_open(&w);
    while (count < ROUND_STEPS && verdict != DIVERGE) {
        struct step *s = &steps[count++];
        generate(&g, s);
        if (verbose)
            print_step(s);
        report.size = 0;
        verdict = run_step(&w, s, &report);
        totals->statements += s->kind == STEP_SQL;
        totals->compared +=
            s->kind == STEP_SQL && (verdict == AGREE || verdict == CONSTRAINT_IN_BOTH);
        totals->skipped += verdict == SKIPPED;
        totals->nonsense += verdict == BOTH_FAIL;
        if (verbose && verdict == BOTH_FAIL)
            printf("-- both failed: %s\n", report.data);
        if (verdict == AGREE)
            generated_ok(&g);
    }
    totals->with_rows += w.with_rows;
    world_close(&w);
    if (verdict == DIVERGE)
        report_divergence(steps, count, report.data);
    text_clear(&report);
    for (int i = 0; i < count; i++)
        step_free(&steps[i]);
    generator_free(&g);
    return verdict != DIVERGE;
}

int main(int argc, char **argv) {
    struct totals totals = {0};
    long wanted = 20000;
    bool verbose = false;
    int option, diverged = 0;
    uint64_t seed = (uint64_t)time(NULL) * 1000003;
    while ((option = getopt(argc, argv, "n:s:v")) != -1) {
        if (option == 'n')
            wanted = atol(optarg);
        else if (option == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (option == 'v')
            verbose = true;
        else
            return 2;
    }
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    printf("diff: seed %llu\n", (unsigned long long)seed);
    for (round_seed = seed; totals.compared < wanted && diverged < 10; round_seed++)
        diverged += !run_round(verbose, &totals);
    printf("diff: %ld statements, %ld skipped, %ld failed in both, %d diverged\n",
           totals.statements, totals.skipped, totals.nonsense, diverged);
    /* A generator that makes nonsense, or asks for nothing, tests nothing. */
    bool nonsense = totals.nonsense * 20 > totals.statements;
    bool ok = gate_report("sql answers equal to SQLite's", (uint64_t)wanted,
                          (uint64_t)totals.compared, (uint64_t)diverged + nonsense, seed);
    ok &= gate_report("sql answers equal to SQLite's that have rows",
                      wanted < ROUND_STEPS ? 0 : (uint64_t)wanted / 4, (uint64_t)totals.with_rows,
                      (uint64_t)diverged, seed);
    return ok ? 0 : 1;
}
