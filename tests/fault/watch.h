/* SPDX-License-Identifier: Apache-2.0
 *
 * An environment that forwards to a simulated file system and watches: it counts every call by
 * kind, knows from where in the product each was made, and which of those call sites were made to
 * fail. Background tasks that are due run before submit returns, unless one of their lane is
 * running already. An open that an armed fault fails with BUSY says that there are too many open
 * files.
 *
 * The table of call sites is shared memory: what forked children fail counts. A site is the kind of
 * the call with the addresses of the callers up to WATCH_DEPTH deep. */
#ifndef LAMINA_TESTS_FAULT_WATCH_H
#define LAMINA_TESTS_FAULT_WATCH_H

#include "tests/sim/simfs.h"

#define WATCH_KINDS 13
#define WATCH_DEPTH 8

struct watch_task {
    struct watch_task *next;
    lam_task_fn fn;
    void *arg;
    enum lam_lane lane;
    uint64_t due_ns;
};

struct watch {
    struct lam_env base;
    struct simfs *fs; /* borrowed; may be replaced while no file is open */
    lam_env *inner;
    uint64_t counts[WATCH_KINDS]; /* calls, by bit number of enum simfs_op */
    uint64_t used_most;           /* highest simfs_used */
    struct watch_task *tasks;     /* in order of submission; owned */
    bool running[LAM_LANE_COUNT]; /* a task of the lane is */
    bool fault_armed;             /* slot 0 is */
    struct simfs_fault fault;     /* as it was armed */
    uint64_t fired;               /* of slot 0, when last looked at */
    uint64_t fired_before;        /* on file systems before this one */
};

void watch_init(struct watch *w, struct simfs *fs);
void watch_set_fs(struct watch *w, struct simfs *fs);
/* Runs what is due by now. */
void watch_run_due(struct watch *w);
void watch_forget_tasks(struct watch *w);
/* Arms slot 0 of the file system, and forgets earlier counts of it. */
void watch_arm(struct watch *w, const struct simfs_fault *fault);
void watch_disarm(struct watch *w);
/* How often the fault was hit since it was armed. */
uint64_t watch_fired(const struct watch *w);
const char *watch_kind_name(unsigned kind);

/* --- call sites (sites.c) ------------------------------------------------------------------- */

enum sites_table { SITES_ENV, SITES_HEAP, SITES_TABLES };

/* Makes the shared tables; before forking. */
void sites_init(void);
/* Callers from this frame on do not count: it is not the product's. */
void sites_set_top(const void *frame);
/* Notes a call of `kind` made by the caller's callers. While recording, its site counts as reached;
 * `failed`: it was made to fail. Gives the site's number. */
uint32_t sites_note(enum sites_table table, unsigned kind, bool failed) __attribute__((noinline));
void sites_record(bool on);
/* Somebody wants to know of calls that do not fail. */
bool sites_wanted(enum sites_table table);

struct sites_totals {
    uint64_t reached; /* distinct sites, while recording */
    uint64_t failed;  /* of these failed at least once */
};
struct sites_totals sites_count(enum sites_table table);
/* Prints what was reached and never failed: kind and callers, for addr2line. */
void sites_print_missed(enum sites_table table);

#define SITES_MAX 65536u
/* Numbers of the sites of calls in their order, with the kind above the low 16 bits, while it is
 * set. */
struct sites_log {
    uint32_t *ids; /* owned: free */
    size_t count, capacity;
};
void sites_log(enum sites_table table, struct sites_log *log); /* NULL: none */
void sites_log_add(struct sites_log *log, uint32_t id);

#endif
