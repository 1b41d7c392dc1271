/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated file system behind a lam_env, for crash and fault tests. It keeps, for every file,
 * what is synced and what is not in units of `granule` bytes, for every directory the changes of
 * names since its last sync, and makes from any moment the states that a crash may leave. It knows
 * nothing of what the bytes mean.
 *
 * Crash rules (research: ALICE, CuttleFS, LazyFS). A successful file_sync makes content and size of
 * that file durable, not its name; a successful dir_sync makes the names of that directory durable
 * (a directory whose own name is not is still out of reach). Nothing else is. Of what is not
 * durable a power loss keeps anything:
 *   - each unit that was written since is old, new, torn (a mix of the two cut at a byte) or, if
 *     unsynced bytes were written over, what it was before that; old is zeros where the file was
 *     never synced. With `garbage`, bytes past the synced size in units written may be noise.
 *     Bytes that were synced once are the synced ones or the written ones, never anything else;
 *     units not written are untouched.
 *   - the size is old, new or between. A truncation that is lost gives back the old bytes.
 *   - names: PREFIX keeps a prefix of each directory's changes (a journal), SUBSET any subset, each
 *     applied in order to the synced names. A creation or link puts its name, whatever has it. A
 *     removal takes the name away, whatever it names: so it may be durable before an earlier
 *     rename. A rename needs its source: it is lost where the creation or rename that made the
 *     source is; else it is atomic, the file has the old name or the new one, and what had the new
 *     name is there or replaced (also a file whose own rename away from that name is lost). Across
 *     directories it is atomic as well: a sync of either directory makes both sides durable, with
 *     all changes before them.
 * A process kill keeps everything issued so far and a cut of the write being issued.
 *
 * Clock, randomness and background tasks: by `choice` and by the scheduler when one runs
 * (tests/sim/sched.h); without it the clock advances a little with every operation, and tasks queue
 * until simfs_run_tasks. Who waits for a task then waits for ever: outside of the scheduler arm
 * SIMFS_SUBMIT with BUSY, so that the caller does the work, or run tasks before a wait is due.
 *
 * Paths are absolute or relative to the root, '/'-separated. All calls are made by one thread at a
 * time (the baton's holder). Memory is the C library's, so a failing product allocator does no
 * harm here. */
#ifndef LAMINA_TESTS_SIM_SIMFS_H
#define LAMINA_TESTS_SIM_SIMFS_H

#include "lamina/env.h"
#include "tests/sim/choice.h"

struct simfs;

enum simfs_names { SIMFS_PREFIX, SIMFS_SUBSET };

struct simfs_options {
    uint32_t granule;       /* bytes of a unit: 16 to 4096, a power of two; 0: 512 */
    enum simfs_names names; /* which changes of names a power loss may keep */
    bool garbage;           /* never-synced units may come out as noise */
    uint64_t quota;         /* sizes of all files together; a write past it leaves nothing, all
                               that fits or some of it, and is NO_SPACE; 0: no limit */
};

/* Operations, as a mask. */
enum simfs_op {
    SIMFS_OPEN = 1,   /* file_open without CREATE or TRUNCATE; file_lock */
    SIMFS_CREATE = 2, /* file_open with CREATE or TRUNCATE */
    SIMFS_READ = 4,
    SIMFS_WRITE = 8,
    SIMFS_SYNC = 16,     /* file_sync */
    SIMFS_TRUNCATE = 32, /* and file_allocate */
    SIMFS_RENAME = 64,   /* and path_link */
    SIMFS_REMOVE = 128,  /* and dir_remove */
    SIMFS_DIR_CREATE = 256,
    SIMFS_DIR_SYNC = 512,
    SIMFS_LOOK = 1024, /* path_kind, dir_list, file_size */
    SIMFS_CLOSE = 2048,
    SIMFS_SUBMIT = 4096, /* background task */
    SIMFS_MUTATE = SIMFS_CREATE | SIMFS_WRITE | SIMFS_SYNC | SIMFS_TRUNCATE | SIMFS_RENAME |
                   SIMFS_REMOVE | SIMFS_DIR_CREATE | SIMFS_DIR_SYNC,
    SIMFS_ALL = 8191,
};

/* What an armed fault does to the operation it hits. */
enum simfs_effect {
    SIMFS_FAIL,        /* the error `code`, nothing done */
    SIMFS_SHORT,       /* a write leaves a prefix and fails with `code`; a read gives fewer bytes
                          than there are (as a truncated file would) without an error */
    SIMFS_FAIL_DONE,   /* the error `code`, though it was done */
    SIMFS_FSYNC_EXT4,  /* a failed sync: units count as clean, memory keeps the new content, the
                          disk the old; later syncs succeed and do not write them. On a dir_sync
                          and all else: as FAIL */
    SIMFS_FSYNC_BTRFS, /* the same, and memory goes back to the old content */
    SIMFS_SKIP,        /* success is reported and nothing is done: seeded bugs, lying disks. A
                          created file has no name, a lock keeps nobody out, a read gives zeros */
    SIMFS_MISDIRECT,   /* a write or read goes to another place: a multiple of 512 bytes away, or
                          another file whose name ends in the same ".kind" */
    SIMFS_FLIP,        /* a read gives one flipped bit; the disk is right */
};

struct simfs_fault {
    unsigned ops;        /* mask of enum simfs_op */
    const char *pattern; /* the path contains this; NULL: any. Borrowed */
    uint64_t nth;        /* the nth such operation from arming, from 1; 0: none, count only */
    bool sticky;         /* and all after it */
    enum simfs_effect effect;
    enum lam_code code; /* LAM_IO, LAM_NO_SPACE, ... */
};

/* One operation, given to the observer before it is done (phase 0) and after (phase 1). */
struct simfs_event {
    enum simfs_op op;
    unsigned phase;
    uint64_t number;       /* operations of SIMFS_MUTATE so far, this one included */
    const char *path;      /* of a handle: as it was opened */
    const char *to;        /* rename and link: the other name */
    uint64_t offset, size; /* read, write */
    enum lam_code result;  /* phase 1 */
};
typedef void (*simfs_observer)(void *arg, const struct simfs_event *event);

/* Borrows `choice`, which may be replaced later. Aborts when the machine has no memory. */
struct simfs *simfs_new(const struct simfs_options *options, struct choice *choice);
/* Aborts if a file is open or a lock held, unless simfs_abandon was called. */
void simfs_free(struct simfs *fs);
lam_env *simfs_env(struct simfs *fs);
void simfs_set_choice(struct simfs *fs, struct choice *choice);
void simfs_set_quota(struct simfs *fs, uint64_t bytes);
uint64_t simfs_used(const struct simfs *fs);
/* Only SIMFS_MUTATE operations are shown, also those that a fault then fails; in a phase-0 call the
 * file system is as before. An observer may call simfs_crash, simfs_crash_width, simfs_clone,
 * simfs_hash and simfs_freeze (then the operation is not done), nothing else. */
void simfs_observe(struct simfs *fs, simfs_observer fn, void *arg);

/* Sets the `slot`th of 4 independent faults and zeroes its counts. */
void simfs_arm(struct simfs *fs, unsigned slot, const struct simfs_fault *fault);
void simfs_disarm(struct simfs *fs);
uint64_t simfs_seen(const struct simfs *fs, unsigned slot);  /* operations that matched */
uint64_t simfs_fired(const struct simfs *fs, unsigned slot); /* and were hit */
/* From now on every operation but close, unlock and cancel fails with LAM_IO: the process is dead,
 * what it still does reaches nothing. */
void simfs_freeze(struct simfs *fs);
/* Files may stay open at simfs_free: their holders are gone. */
void simfs_abandon(struct simfs *fs);

enum simfs_crash { SIMFS_KILL, SIMFS_POWER };
/* Makes the file system that a reboot finds. `choice` decides what stays: half of the images are
 * simple (all old, all new, one file or directory apart from the others, contents without sizes or
 * names without contents), half are mixtures. With an odometer all images are enumerated: each
 * changed unit old, new or as before it was written over, sizes old or new, names as the options
 * say; nothing torn, no noise, no sizes between. For SIMFS_KILL inside a phase-0 write event a
 * prefix of that write, also empty or whole, may be there. The image has its own clock (later), no
 * faults, no locks, the choice given (which an odometer does not serve: it then answers 0), and
 * everything in it is durable. Owned. */
struct simfs *simfs_crash(struct simfs *fs, enum simfs_crash kind, struct choice *choice);
/* What the next process finds when this one has died: all that was issued, with a prefix of the
 * write under way, and what was pending is still pending, so that a power loss may take it yet.
 * Clock, faults, locks and choice as of simfs_crash. Owned. */
struct simfs *simfs_die(struct simfs *fs, struct choice *choice);
/* Images that an odometer makes of a power loss now; UINT64_MAX: very many. Costs as much as an
 * image for each combination of names. */
uint64_t simfs_crash_width(const struct simfs *fs);
/* A power loss at its simplest: exactly what is durable. */
struct simfs *simfs_crash_old(struct simfs *fs);
/* An exact copy with pending changes, without open files; `choice` as the original's. */
struct simfs *simfs_clone(const struct simfs *fs);
/* Content and names, not clock; equal images have equal hashes. */
uint64_t simfs_hash(const struct simfs *fs);
/* Of every operation with its arguments and results so far: a trace to compare two runs by. */
uint64_t simfs_trace(const struct simfs *fs);
/* A readable list: path, size, durable size, pending changes. */
void simfs_print(const struct simfs *fs);

/* For corruption: files by path in sorted order. A path is valid until names change. */
size_t simfs_file_count(const struct simfs *fs);
const char *simfs_file_path(const struct simfs *fs, size_t index);
/* The file's bytes, for reading and editing in place until the next operation on `fs` or clone or
 * image of it; makes them durable. NULL: absent. */
uint8_t *simfs_file_bytes(struct simfs *fs, const char *path, size_t *size_out);
/* Makes or replaces a file, with the directories on its way; durable. */
void simfs_file_set(struct simfs *fs, const char *path, const void *bytes, size_t size);
void simfs_file_drop(struct simfs *fs, const char *path);

/* Virtual time. */
int64_t simfs_now_us(const struct simfs *fs);
void simfs_advance_us(struct simfs *fs, int64_t wall_us); /* may be negative: wall clock only */
/* Without scheduler: runs queued tasks that are due and, with `all`, those queued for later (the
 * clock goes there). A task that is queued for later by one that runs now stays. */
void simfs_run_tasks(struct simfs *fs, bool all);
/* Open files and held locks: 0 when nothing leaked. */
size_t simfs_open_handles(const struct simfs *fs);
/* Violations of the protocol seen on the way: a sync of a file after one that failed while it was
 * open, the use of a closed file. NULL or the first one's text. */
const char *simfs_violation(const struct simfs *fs);

#endif
