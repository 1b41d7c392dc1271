/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation that the canonical workload makes fails: once, for a while and for ever. And no
 * byte of uninitialised memory gets into a file.
 *
 *     oom [OPTION] ...         (sweep_options in sweep.h)
 *
 * The short run fails each allocation once (those of SQL statements in turn, until the statement
 * succeeds), and lets the first of each call site fail in all ways with everything looked at
 * afterwards. The long one looks at everything after each failure, and lets every eighth allocation
 * fail in all ways and the workload go on to its end, where the others go on for some steps. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/fault/heap.h"
#include "tests/fault/sweep.h"
#include "tests/support/gate.h"

enum gate { ONCE, STICKY, GATES };
static struct sweep_gate gates[GATES] = {
    {.name = "every allocation failed once"},
    {.name = "allocations failed for a while and for ever"},
};

/* Of what the short run reaches, somewhat less; the long one reaches more. A workload that shrinks
 * without a word is noticed. */
static const struct least {
    uint64_t allocations, sticky, sites, steps;
} least[SCRIPT_PARTS] = {
    [SCRIPT_ENGINE] = {6500, 1600, 760, 76},
    [SCRIPT_SQL] = {17000, 3600, 1800, 90},
};

static struct sweep_options asked;
static struct {
    uint64_t sites; /* required */
    uint64_t steps; /* the same */
    uint64_t fills, fills_differ;
} o;

/* How far the workload goes on, and one in how many allocations is tried at length. */
#define TAIL_SHORT 8u
#define AT_LENGTH  8u

static bool met[SITES_MAX];

static void fail(struct sweep *s, enum gate gate, unsigned step, uint64_t nth, uint64_t count,
                 bool first, bool wanted) {
    uint64_t before = s->run, failures = s->failures;
    bool at_length = asked.long_run && (first || (nth + step) % AT_LENGTH == 0);
    struct sweep_case c = {
        .step = step,
        .what = SWEEP_HEAP,
        .nth = nth,
        .count = count,
        .tail = at_length        ? SWEEP_STEPS_MAX
                : asked.long_run ? TAIL_SHORT
                                 : 1,
        .care = asked.long_run || first ? SWEEP_WHOLLY : SWEEP_BRIEFLY,
        .power = asked.long_run && nth % 4 == 0,
    };
    bool skip = !(first || at_length || wanted) || s->number % asked.stride != 0;
    sweep_case(s, &c, skip);
    sweep_tally(s, before, failures, &gates[gate]);
}

static void fail_in_turn(struct sweep *s, unsigned step) {
    uint64_t before = s->run, failures = s->failures;
    struct sweep_case c = {.step = step, .what = SWEEP_HEAP, .count = 1, .care = SWEEP_BRIEFLY};
    sweep_ladder(s, &c, s->plan->step[step].allocations);
    sweep_tally(s, before, failures, &gates[ONCE]);
}

static void visit(void *arg, struct sweep *s, unsigned step) {
    const struct sweep_step *p = &s->plan->step[step];
    bool slow = script_step_slow(s->plan->part, step);
    bool in_turn = !asked.long_run && s->plan->part == SCRIPT_SQL;
    (void)arg;
    if (in_turn)
        fail_in_turn(s, step);
    for (uint64_t nth = 1; nth <= p->allocations; nth++) {
        uint32_t site = p->heap_sites.ids[nth - 1] & (SITES_MAX - 1);
        bool first = !met[site];
        met[site] = true;
        fail(s, ONCE, step, nth, 1, first, asked.long_run || (!in_turn && !slow));
        fail(s, STICKY, step, nth, 40, first, false);
        fail(s, STICKY, step, nth, UINT64_MAX, first, false);
    }
}

/* The same run with fresh memory filled otherwise writes the same files. */
static void compare_fills(const struct sweep_plan *plan) {
    struct sweep_plan other;
    heap_set_lazy(false);
    heap_set_fill(0x5A);
    sweep_plan_make(&other, plan->part, asked.seed);
    heap_set_fill(0xA5);
    for (unsigned i = 0; i < plan->steps; i++) {
        o.fills++;
        if (plan->step[i].hash == other.step[i].hash)
            continue;
        o.fills_differ++;
        printf("step %u (%s): files differ with the bytes of fresh memory\n", i,
               script_step_name(plan->part, i));
    }
    if (plan->trace != other.trace)
        printf("the calls differ with the bytes of fresh memory\n");
    o.fills_differ += plan->trace != other.trace;
    sweep_plan_fini(&other);
}

static void sweep_part(enum script_part part) {
    static struct sweep_plan plan;
    struct sweep s = {.options = asked,
                      .program = part == SCRIPT_ENGINE ? "oom --part engine" : "oom --part sql"};
    heap_set_lazy(false);
    sweep_plan_make(&plan, part, asked.seed);
    compare_fills(&plan);
    heap_set_lazy(true);
    const struct least *l = &least[part];
    gates[ONCE].required += plan.allocations > l->allocations ? plan.allocations : l->allocations;
    gates[STICKY].required += l->sticky;
    if (l->sites > o.sites)
        o.sites = l->sites;
    o.steps += l->steps;
    printf("%s: %u steps, %" PRIu64 " allocations\n", s.program, plan.steps, plan.allocations);
    fflush(stdout);
    memset(met, 0, sizeof met);
    sweep_run(&s, &plan, visit, NULL);
    sweep_plan_fini(&plan);
}

int main(int argc, char **argv) {
    sweep_begin(&asked, argc, argv);
    sweep_parts(&asked, sweep_part);
    bool ok = sweep_report(&asked, gates, GATES, "allocation sites failed", SITES_HEAP, o.sites);
    ok &=
        gate_report("files with other fresh memory", o.steps, o.fills, o.fills_differ, asked.seed);
    return ok ? 0 : 1;
}
