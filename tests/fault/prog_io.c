/* SPDX-License-Identifier: Apache-2.0
 *
 * Every call that the canonical workload makes of its environment fails: once and from then on,
 * with each error that fits, before or after it was done, in part, or by a lie. And the disk is
 * full at every size.
 *
 *     io [OPTION] ...          (sweep_options in sweep.h)
 *
 * The short run fails each call once (those of SQL statements in turn, until the statement
 * succeeds), each sync in both manners with a power loss after it, and each call site in each way;
 * the long run fails each call in each way, always loses the power, and does all the rest of the
 * workload after each failure. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/fault/heap.h"
#include "tests/fault/sweep.h"
#include "tests/support/gate.h"

enum gate { ONCE, STICKY, FSYNC, SHORT, LIE, QUOTA, GATES };
static struct sweep_gate gates[GATES] = {
    {.name = "every env call failed once"},
    {.name = "every env call failed from then on"},
    {.name = "every fsync failed (ext4, btrfs)"},
    {.name = "short transfers and torn writes"},
    {.name = "reads that lie"},
    {.name = "quota sweep"},
};

/* Of what the short run reaches, somewhat less; the long one reaches more. A workload that shrinks
 * without a word is noticed. */
static const uint64_t least[SCRIPT_PARTS][GATES] = {
    [SCRIPT_ENGINE] = {[ONCE] = 4200,
                       [STICKY] = 4600,
                       [FSYNC] = 770,
                       [SHORT] = 1350,
                       [LIE] = 1150,
                       [QUOTA] = 1600},
    [SCRIPT_SQL] =
        {[ONCE] = 5300, [STICKY] = 1100, [FSYNC] = 750, [SHORT] = 230, [LIE] = 210, [QUOTA] = 245},
};
static const uint64_t least_sites[SCRIPT_PARTS] = {450, 500};

static struct sweep_options asked;
static uint64_t sites_least;

/* Which sites a gate has met, by effect and code: the short run of SQL takes the first call of a
 * site where it does not take all. */
static uint8_t met[SITES_MAX][32];

static bool is_first(uint32_t site, enum gate gate, enum simfs_effect effect, enum lam_code code) {
    unsigned what = (unsigned)(gate == STICKY) << 8 | (unsigned)effect << 4 | (unsigned)code;
    uint8_t *byte = &met[site][what * 2654435761u >> 24 & 31], bit = (uint8_t)(1u << (what & 7));
    bool first = !(*byte & bit);
    *byte |= bit;
    return first;
}

static void run(struct sweep *s, enum gate gate, struct sweep_case *c, bool first, bool all) {
    uint64_t before = s->run, failures = s->failures;
    c->tail = asked.long_run ? SWEEP_STEPS_MAX : 1;
    c->care = asked.long_run || first ? SWEEP_WHOLLY : SWEEP_PLAINLY;
    bool skip = !(asked.long_run || first || all) || s->number % asked.stride != 0;
    sweep_case(s, c, skip);
    sweep_tally(s, before, failures, &gates[gate]);
}

struct call {
    unsigned step, kind;
    uint64_t nth;
    uint32_t site;
};

/* `all`: at every call, not just at every site. */
static void fail_call(struct sweep *s, const struct call *at, enum gate gate,
                      enum simfs_effect effect, enum lam_code code, bool all) {
    bool first = is_first(at->site, gate, effect, code);
    struct sweep_case c = {
        .step = at->step,
        .fault = {.ops = 1u << at->kind,
                  .nth = at->nth,
                  .sticky = gate == STICKY,
                  .effect = effect,
                  .code = code},
        .power = asked.long_run || gate == FSYNC || (first && s->number % 4 == 0),
    };
    run(s, gate, &c, first, all);
}

static void fail_everything(struct sweep *s, const struct call *at) {
    unsigned op = 1u << at->kind;
    bool all = s->plan->part == SCRIPT_ENGINE;
    fail_call(s, at, ONCE, SIMFS_FAIL, LAM_IO, all);
    fail_call(s, at, STICKY, SIMFS_FAIL, LAM_IO, all);
    if (op & SIMFS_MUTATE) {
        fail_call(s, at, ONCE, SIMFS_FAIL, LAM_NO_SPACE, false);
        fail_call(s, at, STICKY, SIMFS_FAIL, LAM_NO_SPACE, all);
        fail_call(s, at, ONCE, SIMFS_FAIL_DONE, LAM_IO, false);
    }
    if (op & (SIMFS_OPEN | SIMFS_CREATE | SIMFS_SUBMIT)) {
        fail_call(s, at, ONCE, SIMFS_FAIL, LAM_BUSY, false);
        fail_call(s, at, STICKY, SIMFS_FAIL, LAM_BUSY, false);
    }
    if (op & (SIMFS_SYNC | SIMFS_DIR_SYNC)) {
        fail_call(s, at, FSYNC, SIMFS_FSYNC_EXT4, LAM_IO, true);
        fail_call(s, at, FSYNC, SIMFS_FSYNC_BTRFS, LAM_IO, true);
    }
    if (op & (SIMFS_READ | SIMFS_WRITE))
        fail_call(s, at, SHORT, SIMFS_SHORT, LAM_IO, all);
    if (op & SIMFS_READ) {
        fail_call(s, at, LIE, SIMFS_MISDIRECT, LAM_IO, false);
        fail_call(s, at, LIE, SIMFS_FLIP, LAM_IO, all);
    }
}

/* Full at every sector that a step comes to need. */
static void fill_disk(struct sweep *s, unsigned step) {
    const struct sweep_step *p = &s->plan->step[step];
    for (uint64_t quota = p->used_before / 512 * 512; quota < p->used_most; quota += 512) {
        struct sweep_case c = {.step = step, .what = SWEEP_QUOTA, .quota = quota};
        bool all = s->plan->part == SCRIPT_ENGINE || quota / 512 % 4 == 0;
        run(s, QUOTA, &c, quota / 512 % 8 == 0, all);
    }
}

/* Every call of a kind in turn. */
static void fail_in_turn(struct sweep *s, unsigned step, unsigned kind) {
    uint64_t before = s->run, failures = s->failures;
    struct sweep_case c = {
        .step = step,
        .fault = {.ops = 1u << kind, .effect = SIMFS_FAIL, .code = LAM_IO},
        .care = SWEEP_BRIEFLY,
    };
    sweep_ladder(s, &c, s->plan->step[step].counts[kind]);
    sweep_tally(s, before, failures, &gates[ONCE]);
}

static void visit(void *arg, struct sweep *s, unsigned step) {
    (void)arg;
    bool in_turn = !asked.long_run && s->plan->part == SCRIPT_SQL;
    for (unsigned kind = 0; kind < WATCH_KINDS && in_turn; kind++)
        fail_in_turn(s, step, kind);
    for (unsigned kind = 0; kind < WATCH_KINDS; kind++)
        for (uint64_t n = 1; n <= s->plan->step[step].counts[kind]; n++) {
            struct call at = {step, kind, n, s->plan->step[step].env_sites[kind].ids[n - 1]};
            fail_everything(s, &at);
        }
    fill_disk(s, step);
}

static void sweep_part(enum script_part part) {
    static struct sweep_plan plan;
    struct sweep s = {.options = asked,
                      .program = part == SCRIPT_ENGINE ? "io --part engine" : "io --part sql"};
    sweep_plan_make(&plan, part, asked.seed);
    for (int g = 0; g < GATES; g++)
        gates[g].required += least[part][g];
    if (least_sites[part] > sites_least)
        sites_least = least_sites[part];
    printf("%s: %u steps, %" PRIu64 " calls, %" PRIu64 " dumps, %" PRIu64 " compactions, %" PRIu64
           " moves\n",
           s.program, plan.steps, plan.env_calls, plan.done.dumps, plan.done.compactions,
           plan.done.trivial_moves);
    sweep_run(&s, &plan, visit, NULL);
    sweep_plan_fini(&plan);
}

int main(int argc, char **argv) {
    sweep_begin(&asked, argc, argv);
    heap_set_lazy(true);
    sweep_parts(&asked, sweep_part);
    return sweep_report(&asked, gates, GATES, "call sites failed", SITES_ENV, sites_least) ? 0 : 1;
}
