/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical workload of the fault sweeps, in two parts: ENGINE goes through everything the
 * storage engine does with its environment, SQL through every class of statement over hot and cold
 * rows, and through entities and Arrow results. It is a list of steps. A step makes at most one
 * change that readers can see (one batch, one statement), so a step that fails has happened wholly
 * or not at all, and may be tried again.
 *
 * script_dump writes down all that readers can see. Since steps are always done in order, the
 * dumps of a run without faults tell what any other run must show: after k steps the k-th dump, and
 * after a power loss one between the last synced step and the last tried one.
 *
 * One thread. Memory of its own is the C library's. */
#ifndef LAMINA_TESTS_FAULT_SCRIPT_H
#define LAMINA_TESTS_FAULT_SCRIPT_H

#include "lamina/lamina.h"

enum script_part { SCRIPT_ENGINE, SCRIPT_SQL, SCRIPT_PARTS };

#define SCRIPT_PARTITIONS 3
#define SCRIPT_DIR        "/db"

/* What a script needs besides an environment; all may be NULL. */
struct script_hooks {
    /* The process dies (power false) or the machine does: what was open is given up, and the
     * environment is as a reboot finds it. NULL: the script closes instead. */
    void (*crash)(void *arg, bool power);
    /* Time goes by. */
    void (*advance)(void *arg, int64_t us);
    void *arg;
};

/* What a part of the product did, summed over all times the database was open. */
struct script_counters {
    uint64_t dumps, compactions, trivial_moves, wal_syncs, torn_tails, replayed;
};

struct script {
    enum script_part part;
    const char *dir; /* of the database */
    lam_env *env;    /* borrowed */
    struct script_hooks hooks;
    bool background; /* the environment runs what is submitted before submit returns */
    lam_db *db;      /* NULL: closed */
    bool read_only;  /* open so */
    struct script_counters done;
    uint64_t live_before;   /* heap_live before the database was opened */
    uint64_t serial_before; /* heap_serial then */
    uint64_t leaked;        /* blocks that were live after a close or a failed open */
    struct lam_error err;   /* of the last call that failed */
    /* ENGINE */
    lam_partition *partitions[SCRIPT_PARTITIONS]; /* NULL: absent */
    lam_partition *probe_partition;
    lam_snapshot *snapshot;
    lam_iter *iter;
    lam_iter *dropped_iter; /* over a partition that was dropped */
    uint64_t mark;          /* a sequence to delete up to */
    char *held;             /* dump of what `snapshot` shows */
    /* SQL */
    lam_session *sessions[3]; /* root, ann, bob */
    lam_entity *entity;
    uint64_t probe; /* last value written by script_probe and acknowledged */
    uint64_t probe_tried;
};

void script_init(struct script *s, enum script_part part, lam_env *env);
unsigned script_steps(enum script_part part);
const char *script_step_name(enum script_part part, unsigned step);
/* When the step has succeeded, all steps up to it survive a power loss. */
bool script_step_syncs(enum script_part part, unsigned step);
/* The step works slowly on purpose (passwords). */
bool script_step_slow(enum script_part part, unsigned step);
/* A failure may come after the effect: documented of what is done in several changes. */
bool script_step_marked(enum script_part part, unsigned step);
/* Opens the database if it is closed, and does the step. */
enum lam_code script_step(struct script *s, unsigned step);
enum lam_code script_open(struct script *s);
/* Closes all there is; what else it gives, the database is closed then. */
enum lam_code script_close(struct script *s);
/* The holder of the database is dead: handles are forgotten, their memory is given up. */
void script_abandon(struct script *s);
void script_fini(struct script *s);

/* Text of all that readers can see, to be freed; NULL with s->err when a read failed. Wrong bytes
 * in a row show in the text. */
char *script_dump(struct script *s);
/* Writes a number of its own, apart from what the steps do; once the database has a place for it
 * (NOT_FOUND before). */
enum lam_code script_probe(struct script *s);
/* The last number that is stored: NOT_FOUND if there is none. */
enum lam_code script_probe_read(struct script *s, uint64_t *value_out);
/* Dumps memtables, compacts or flushes: work that a failure before must not have spoilt. */
enum lam_code script_upkeep(struct script *s);
/* Checks a closed database: lam_check_full, and that no file is left over. */
bool script_check_files(struct script *s);

#endif
