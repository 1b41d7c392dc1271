/* SPDX-License-Identifier: Apache-2.0
 *
 * Sweeps over the canonical workload (script.h) on a simulated file system. A dry run tells what
 * each step does and what readers see after it; then the workload is run again, and at the start of
 * each step a child is forked for every failure of that step: it does the step with the failure
 * armed, looks, goes on as an application would, loses the power or not, opens again, and compares
 * all it sees with the dry run. So one failure costs a step, and a crash is one failed case.
 *
 * What holds after a failure (numbers of research/reliability.md):
 *   - the step gives an allowed code and a message, or survives;
 *   - it has happened wholly or not at all; UNKNOWN_OUTCOME: one of both;
 *   - the handle is fully usable, or refuses writes with READ_ONLY and says since when (INV-10);
 *     reads that succeed are right either way;
 *   - when the failure is over, the database opens, and writes succeed (INV-11);
 *   - what was acknowledged is there; over a power loss, what was synced;
 *   - no block of memory, handle or file is left over (INV-9), lam_check finds nothing. */
#ifndef LAMINA_TESTS_FAULT_SWEEP_H
#define LAMINA_TESTS_FAULT_SWEEP_H

#include "tests/fault/script.h"
#include "tests/fault/watch.h"

#define SWEEP_STEPS_MAX 160

/* What a step does in a run without failures. */
struct sweep_step {
    uint64_t counts[WATCH_KINDS]; /* calls of the environment */
    uint64_t allocations;
    struct sites_log heap_sites;             /* of the allocations, in order */
    struct sites_log env_sites[WATCH_KINDS]; /* of the calls of each kind */
    uint64_t used_before;                    /* bytes of files */
    uint64_t used_most;
    char *seen;    /* what readers see after it; owned */
    uint64_t hash; /* of all files after it */
};

struct sweep_plan {
    enum script_part part;
    uint64_t seed;
    unsigned steps;
    struct sweep_step step[SWEEP_STEPS_MAX];
    struct script_counters done;
    uint64_t env_calls, allocations;
    uint64_t trace; /* of all calls with their results */
};

enum sweep_what { SWEEP_ENV, SWEEP_HEAP, SWEEP_QUOTA };

/* How much is looked at after a failure. */
enum sweep_care {
    SWEEP_WHOLLY,  /* steps that follow, upkeep, lam_check, files, a reopen */
    SWEEP_PLAINLY, /* steps that follow and a reopen */
    SWEEP_BRIEFLY, /* the step again, and a close */
};

struct sweep_case {
    unsigned step;
    enum sweep_what what;
    struct simfs_fault fault; /* ENV: armed when the step begins */
    uint64_t nth, count;      /* HEAP: allocations that fail */
    uint64_t quota;           /* QUOTA: bytes that fit, until the end of the failure */
    unsigned tail;            /* steps done after the failed one */
    enum sweep_care care;
    bool power; /* power is lost right after the failure, and after the tail */
};

/* What the programs are asked for, of the words behind their name:
 *     [--part engine|sql] [--long] [--seed HEX] [--only NUMBER] [--ladder STEP:KIND:FROM] [--show
 * N]
 *     [--stride N] [--list] */
struct sweep_options {
    bool long_run;
    bool list;               /* say from which number each step's cases run */
    int part;                /* -1: both */
    uint64_t seed;           /* 1 */
    uint64_t only;           /* the case to run alone, in this process; UINT64_MAX: all */
    uint64_t show;           /* so many failures are shown in full; 10 */
    uint64_t stride;         /* of the numbers every so many-th is run; 1 */
    const char *only_ladder; /* KIND 13: allocations; NULL: all */
};
/* Reads them, and makes ready for sweeps. Ends the process on a word that it does not know. */
void sweep_begin(struct sweep_options *o, int argc, char **argv);
/* `part` for each that is asked for. */
void sweep_parts(const struct sweep_options *o, void (*part)(enum script_part part));

/* What a program's trials are counted by. */
struct sweep_gate {
    const char *name;
    uint64_t required, reached, failed;
};
/* Prints the gates and that of the call sites: all that were reached were failed, `least` at the
 * least. Whether they hold. */
bool sweep_report(const struct sweep_options *o, const struct sweep_gate *gates, size_t count,
                  const char *sites_name, enum sites_table table, uint64_t least);

struct sweep;

/* One database in progress, on a file system of its own. */
struct sweep_world {
    struct choice choice;
    struct simfs *fs;
    struct watch watch;
    struct script script;
};

/* The dry run. Aborts if a step fails. */
void sweep_plan_make(struct sweep_plan *plan, enum script_part part, uint64_t seed);
void sweep_plan_fini(struct sweep_plan *plan);

/* Runs the workload; `visit` is called before each step and may run cases. */
typedef void (*sweep_visitor)(void *arg, struct sweep *sweep, unsigned step);
struct sweep {
    struct sweep_options options;
    const char *program; /* for replay: "io --part engine" */
    const struct sweep_plan *plan;
    struct sweep_world world;
    uint64_t number;   /* of the case to come, from 0 */
    uint64_t run;      /* cases run */
    uint64_t failures; /* of them */
    uint64_t *refused; /* handles that took no more writes until reopened; shared memory */
};
/* Prints what came of it. */
void sweep_run(struct sweep *s, const struct sweep_plan *plan, sweep_visitor visit, void *arg);
/* Takes the next number, and runs the case unless `skip` or another is wanted. Whether it held. */
bool sweep_case(struct sweep *s, const struct sweep_case *c, bool skip);

/* Fails calls 1 to `count` of the step one after the other: as long as the step fails cleanly, the
 * next is tried in the same process, else in a fork. Cheaper than a case for each, and less exact:
 * what one try has opened the next finds open. Counts as a case each. */
void sweep_ladder(struct sweep *s, const struct sweep_case *c, uint64_t count);
/* Counts what has run and failed since there were so many. */
void sweep_tally(const struct sweep *s, uint64_t run, uint64_t failures, struct sweep_gate *g);

void sweep_world_init(struct sweep_world *w, enum script_part part, uint64_t seed);
void sweep_world_fini(struct sweep_world *w);

#endif
