/* SPDX-License-Identifier: Apache-2.0
 *
 * The dry run, the run that forks, and the book of cases. */
#include "tests/fault/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fault/heap.h"
#include "tests/fault/sweep_impl.h"
#include "tests/sim/tuning.h"
#include "tests/support/gate.h"

/* A case that takes longer hangs. */
#define CASE_SECONDS 120

/* --- worlds --------------------------------------------------------------------------------- */

/* A fault that was armed before the machine died is armed on the next, less what it has seen. */
static void carry_fault(struct watch *w, struct simfs *from, struct simfs *to) {
    bool armed = w->fault_armed;
    struct simfs_fault fault = w->fault;
    uint64_t seen = armed ? simfs_seen(from, 0) : 0, fired = watch_fired(w);
    watch_set_fs(w, to);
    if (!armed)
        return;
    if (seen < fault.nth)
        fault.nth -= seen;
    else if (fault.sticky)
        fault.nth = 1;
    else
        fault.nth = 0;
    watch_arm(w, &fault);
    w->fired_before = fired;
}

static void die(void *arg, bool power) {
    struct sweep_world *w = arg;
    struct simfs *old = w->fs;
    simfs_abandon(old);
    watch_forget_tasks(&w->watch);
    w->fs = simfs_crash(old, power ? SIMFS_POWER : SIMFS_KILL, &w->choice);
    carry_fault(&w->watch, old, w->fs);
    simfs_free(old);
}

static void advance(void *arg, int64_t us) {
    struct sweep_world *w = arg;
    simfs_advance_us(w->fs, us);
    watch_run_due(&w->watch);
}

/* The engine is to do all it can do in a few dozen writes; under SQL it does so now and then. */
static const struct db_tuning tunings[SCRIPT_PARTS] = {
    [SCRIPT_ENGINE] = {.rotate_bytes = 6000,
                       .segment_bytes = 8192,
                       .base_bytes = 4096,
                       .dump_file_bytes = 2048,
                       .close_dump_bytes = 3000,
                       .manifest_rewrite_bytes = 1500},
    [SCRIPT_SQL] = {.rotate_bytes = 40000,
                    .segment_bytes = 32768,
                    .base_bytes = 16384,
                    .dump_file_bytes = 8192,
                    .close_dump_bytes = 6000,
                    .manifest_rewrite_bytes = 6000},
};

void sweep_world_init(struct sweep_world *w, enum script_part part, uint64_t seed) {
    struct simfs_options o = {.granule = 512};
    memset(w, 0, sizeof *w);
    choice_seed(&w->choice, seed);
    w->fs = simfs_new(&o, &w->choice);
    watch_init(&w->watch, w->fs);
    script_init(&w->script, part, &w->watch.base);
    w->script.hooks = (struct script_hooks){die, advance, w};
    sim_tuning_set(&tunings[part]);
}

void sweep_world_fini(struct sweep_world *w) {
    script_fini(&w->script);
    simfs_free(w->fs);
    choice_fini(&w->choice);
}

/* --- the dry run ---------------------------------------------------------------------------- */

static void note_allocation(bool fails) {
    if (fails || sites_wanted(SITES_HEAP))
        sites_note(SITES_HEAP, 0, fails);
}

static void must(struct sweep_world *w, unsigned step, enum lam_code rc) {
    if (rc == LAM_OK)
        return;
    fprintf(stderr, "step %u (%s) without any failure: %s: %s %s\n", step,
            script_step_name(w->script.part, step), lam_code_name(rc), w->script.err.message,
            w->script.err.sqlstate);
    abort();
}

/* One log of all calls becomes one a kind. */
static void sort_sites(struct sweep_step *p, const struct sites_log *all) {
    for (size_t i = 0; i < all->count; i++)
        sites_log_add(&p->env_sites[all->ids[i] >> 16], all->ids[i] & 0xffff);
}

static void dry_step(struct sweep_plan *plan, struct sweep_world *w, unsigned step) {
    struct sweep_step *p = &plan->step[step];
    memset(w->watch.counts, 0, sizeof w->watch.counts);
    p->used_before = w->watch.used_most = simfs_used(w->fs);
    heap_arm(0, 0);
    struct sites_log all = {0};
    sites_log(SITES_HEAP, &p->heap_sites);
    sites_log(SITES_ENV, &all);
    sites_record(true);
    sites_set_top(__builtin_frame_address(0));
    must(w, step, script_step(&w->script, step));
    sites_record(false);
    sites_log(SITES_HEAP, NULL);
    sites_log(SITES_ENV, NULL);
    sort_sites(p, &all);
    free(all.ids);
    memcpy(p->counts, w->watch.counts, sizeof p->counts);
    p->allocations = heap_seen();
    p->used_most = w->watch.used_most;
    p->hash = simfs_hash(w->fs);
    for (unsigned i = 0; i < WATCH_KINDS; i++)
        plan->env_calls += p->counts[i];
    plan->allocations += p->allocations;
}

/* Looking is apart from the step: it reads, and opens files for it. */
static void look_after(struct sweep_plan *plan, struct sweep_world *w, unsigned step) {
    struct sweep_step *p = &plan->step[step];
    if (w->script.db) {
        p->seen = script_dump(&w->script);
        if (!p->seen)
            must(w, step, w->script.err.code);
    } else {
        LAM_ASSERT(step > 0);
        p->seen = strdup(plan->step[step - 1].seen);
    }
}

void sweep_plan_make(struct sweep_plan *plan, enum script_part part, uint64_t seed) {
    struct sweep_world w;
    memset(plan, 0, sizeof *plan);
    plan->part = part;
    plan->seed = seed;
    plan->steps = script_steps(part);
    LAM_ASSERT(plan->steps <= SWEEP_STEPS_MAX);
    sweep_world_init(&w, part, seed);
    heap_observe(note_allocation);
    for (unsigned step = 0; step < plan->steps; step++) {
        dry_step(plan, &w, step);
        look_after(plan, &w, step);
    }
    must(&w, plan->steps - 1, script_close(&w.script));
    plan->done = w.script.done;
    plan->trace = simfs_trace(w.fs);
    if (w.script.leaked || simfs_violation(w.fs)) {
        fprintf(stderr, "without any failure: %" PRIu64 " blocks leaked; %s\n", w.script.leaked,
                simfs_violation(w.fs) ? simfs_violation(w.fs) : "");
        abort();
    }
    sweep_world_fini(&w);
}

void sweep_plan_fini(struct sweep_plan *plan) {
    for (unsigned i = 0; i < plan->steps; i++) {
        free(plan->step[i].seen);
        free(plan->step[i].heap_sites.ids);
        for (unsigned kind = 0; kind < WATCH_KINDS; kind++)
            free(plan->step[i].env_sites[kind].ids);
    }
}

static uint64_t *shared_counter(void) {
    void *at =
        mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        abort();
    return at;
}

/* --- the run with cases --------------------------------------------------------------------- */

static void parse(struct sweep_options *o, int argc, char **argv) {
    *o = (struct sweep_options){.part = -1, .seed = 1, .only = UINT64_MAX, .show = 10, .stride = 1};
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--long") == 0)
            o->long_run = true;
        else if (strcmp(argv[i], "--list") == 0)
            o->list = true;
        else if (more && strcmp(argv[i], "--part") == 0)
            o->part = strcmp(argv[++i], "sql") == 0 ? SCRIPT_SQL : SCRIPT_ENGINE;
        else if (more && strcmp(argv[i], "--show") == 0)
            o->show = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--ladder") == 0)
            o->only_ladder = argv[++i];
        else if (more && strcmp(argv[i], "--stride") == 0)
            o->stride = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--seed") == 0)
            o->seed = strtoull(argv[++i], NULL, 16);
        else if (more && strcmp(argv[i], "--only") == 0)
            o->only = strtoull(argv[++i], NULL, 10);
        else
            fprintf(stderr, "%s: %s is unknown\n", argv[0], argv[i]), exit(2);
    }
}

void sweep_begin(struct sweep_options *o, int argc, char **argv) {
    parse(o, argc, argv);
    heap_install(0xA5);
    sites_init();
}

void sweep_parts(const struct sweep_options *o, void (*part)(enum script_part part)) {
    for (int p = 0; p < SCRIPT_PARTS; p++)
        if (o->part < 0 || o->part == p)
            part((enum script_part)p);
}

void sweep_tally(const struct sweep *s, uint64_t run, uint64_t failures, struct sweep_gate *g) {
    g->reached += s->run - run;
    g->failed += s->failures - failures;
}

bool sweep_report(const struct sweep_options *o, const struct sweep_gate *gates, size_t count,
                  const char *sites_name, enum sites_table table, uint64_t least) {
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok &= gate_report(gates[i].name, gates[i].required, gates[i].reached, gates[i].failed,
                          o->seed);
    struct sites_totals sites = sites_count(table);
    ok &= gate_report(sites_name, sites.reached > least ? sites.reached : least, sites.failed, 0,
                      o->seed);
    if (sites.failed < sites.reached)
        sites_print_missed(table);
    return ok;
}

void sweep_run(struct sweep *s, const struct sweep_plan *plan, sweep_visitor visit, void *arg) {
    s->plan = plan;
    s->refused = shared_counter();
    sweep_world_init(&s->world, plan->part, plan->seed);
    for (unsigned step = 0; step < plan->steps; step++) {
        if (s->options.list)
            printf("%s step %u (%s) from %" PRIu64 "\n", s->program, step,
                   script_step_name(plan->part, step), s->number);
        visit(arg, s, step);
        must(&s->world, step, script_step(&s->world.script, step));
        if (s->world.script.db)
            free(script_dump(&s->world.script)); /* as the dry run did */
    }
    must(&s->world, plan->steps - 1, script_close(&s->world.script));
    sweep_world_fini(&s->world);
    printf("%s: %" PRIu64 " cases, %" PRIu64 " failed, %" PRIu64 " took no writes until reopened\n",
           s->program, s->run, s->failures, *s->refused);
}

static void describe(const struct sweep *s, const struct sweep_case *c) {
    static const char *const effects[] = {"fails",
                                          "is short",
                                          "fails after it was done",
                                          "fails as on ext4",
                                          "fails as on Btrfs",
                                          "is skipped",
                                          "is misdirected",
                                          "has a bit flipped"};
    printf("step %u (%s): ", c->step, script_step_name(s->plan->part, c->step));
    if (c->what == SWEEP_HEAP)
        printf("allocation %" PRIu64 " and %" PRIu64 " after it fail", c->nth, c->count - 1);
    else if (c->what == SWEEP_QUOTA)
        printf("%" PRIu64 " bytes of disk", c->quota);
    else
        printf("%s %" PRIu64 "%s %s, %s", watch_kind_name((unsigned)__builtin_ctz(c->fault.ops)),
               c->fault.nth, c->fault.sticky ? " and all after it" : "", effects[c->fault.effect],
               lam_code_name(c->fault.code));
    printf("%s\n", c->power ? ", then the power" : "");
}

/* `ladder`: shared memory for where it stands, from there to `end`; NULL: one case. */
static bool in_child(struct sweep *s, const struct sweep_case *c, uint64_t *ladder, uint64_t end) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        alarm(CASE_SECONDS);
        struct sweep_case own = *c;
        bool show = s->failures < s->options.show;
        bool holds = ladder ? ladder_holds(s, &own, ladder, end, show) : case_holds(s, c, show);
        fflush(stdout);
        gate_child_exit(holds ? 0 : 1);
    }
    return gate_child_held(pid, s->failures < s->options.show);
}

bool sweep_case(struct sweep *s, const struct sweep_case *c, bool skip) {
    uint64_t number = s->number++;
    if (s->options.only_ladder)
        return true;
    if (s->options.only != UINT64_MAX) {
        if (number != s->options.only)
            return true;
        describe(s, c);
        s->run++;
        bool holds = case_holds(s, c, true);
        printf("%s\n", holds ? "holds" : "FAILED");
        fflush(stdout);
        gate_child_exit(holds ? 0 : 1);
    }
    if (skip)
        return true;
    s->run++;
    if (in_child(s, c, NULL, 0))
        return true;
    if (s->failures++ < s->options.show) {
        printf("FAILED ");
        describe(s, c);
        gate_replay("make sim-programs && build/release/fault/%s --only %" PRIu64, s->program,
                    number);
    }
    return false;
}

static unsigned kind_of(const struct sweep_case *c) {
    return c->what == SWEEP_HEAP ? WATCH_KINDS : (unsigned)__builtin_ctz(c->fault.ops);
}

void sweep_ladder(struct sweep *s, const struct sweep_case *c, uint64_t count) {
    unsigned step, kind;
    struct sweep_case own = *c;
    uint64_t *at = shared_counter();
    if (s->options.only_ladder &&
        sscanf(s->options.only_ladder, "%u:%u:%" SCNu64, &step, &kind, at) == 3) {
        if (step != c->step || kind != kind_of(c))
            return;
        bool holds = ladder_holds(s, &own, at, count, true);
        printf("%s at %" PRIu64 "\n", holds ? "holds, ends" : "FAILED", *at);
        fflush(stdout);
        _exit(holds ? 0 : 1);
    }
    for (uint64_t from = 1; from <= count && s->options.only == UINT64_MAX; from = *at + 1) {
        *at = from;
        bool holds = in_child(s, c, at, count);
        s->run += *at - from + 1;
        if (holds)
            continue;
        *(c->what == SWEEP_HEAP ? &own.nth : &own.fault.nth) = *at;
        if (s->failures++ < s->options.show) {
            printf("FAILED ");
            describe(s, &own);
            gate_replay("make sim-programs && build/release/fault/%s --ladder %u:%u:%" PRIu64,
                        s->program, c->step, kind_of(c), from);
        }
    }
    munmap(at, sizeof *at);
}
