/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of struct lam_db, shared by the db_*.c files. By the life of an operation: db_open.c and
 * recover.c, db_write.c with db_wal.c and db_sync.c, db_read.c, db_iter.c, snapshot.c, db_bg.c with
 * dump.c, compact.c and db_passed.c, db_memory.c, ingest.c, db_manifest.c, db_partition.c,
 * db_stat.c, db_check.c, db_close.c.
 *
 * Locks, in the order they are taken (base/thread.h). No I/O happens under state or sync.
 *
 *   open      RANK_DB_OPEN      objects of the layers above
 *   partitions RANK_DB_PARTS    one making, dropping or bulk ingest at a time; a copy of the
 *                               database keeps them off while it dumps and looks
 *   commit    RANK_DB_COMMIT    the write path: active memtables, log segment, sequences
 *   log       RANK_DB_LOG       making of log segments, one at a time and by rising number
 *   manifest  RANK_DB_MANIFEST  one manifest edit at a time; who changes a version or the set of
 *                               partitions holds it from reading the old to installing the new
 *   state     RANK_DB_STATE     what readers pick up: partitions, read states, snapshots
 *   sync      RANK_DB_SYNC      log segments, the group of waiting commits, the sticky failure
 *   idle_files RANK_DB_IDLE     who else is asked for descriptors
 *
 * Invariants, cited by asserts and comments:
 *
 *   D1  A record is in the log before its operations are in a memtable, and all its operations
 *       are in memtables before `published` covers them. Nothing can fail in between.
 *
 *   D2  Sequences in the log have no holes: record n+1 begins where record n ends.
 *
 *   D3  A memtable is sealed under `commit`, so all in it is published, and together with a
 *       switch to a fresh segment: segments before `wal_floor` hold nothing that is not in SSTs.
 *
 *   D4  Sealed sets are dumped in order of sealing.
 *
 *   D5  A reader takes the read state first and the published sequence after it, the sequence of
 *       a snapshot was registered before. So whatever wrote the files of the state kept for that
 *       sequence: compaction keeps for the sequence published when it began, which is no newer
 *       than the reader's, and for every registered one. What is committed between the two steps
 *       into a memtable that the state lacks the reader does not see, at all: a state shows a
 *       prefix of the partition's commits up to where its active memtable was sealed (D3).
 *
 *   D8  Point reads hold a read state by an epoch instead of a reference: the partition's own
 *       reference is given up through `epochs` after the state was replaced. Inside the epoch a
 *       reader does no I/O; when it must, it takes a reference and leaves.
 *
 *   D6  An SST is named by a durable manifest edit before any older copy of its content goes.
 *
 *   D7  A file that an edit names is not removed because the edit failed: its bytes may be on
 *       disk all the same, and the next open decides. */
#ifndef LAMINA_LSM_DB_IMPL_H
#define LAMINA_LSM_DB_IMPL_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/env.h"
#include "base/thread.h"
#include "lsm/counters.h"
#include "lsm/epoch.h"
#include "lsm/gc.h"
#include "lsm/lsm.h"
#include "lsm/manifest.h"
#include "lsm/memtable.h"
#include "lsm/notify.h"
#include "lsm/pick.h"
#include "lsm/progress.h"
#include "lsm/sst_cache.h"
#include "lsm/tuning.h"
#include "lsm/version.h"
#include "lsm/wal.h"
#include "lsm/write_batch.h"

/* Sealed memtable sets that may wait for their dump before writers wait. */
#define DB_SEALED_MAX 2u

/* What a reader needs of a partition; immutable but for the reference count. */
struct read_state {
    struct epoch_node waiting; /* for readers, after it was replaced */
    _Atomic uint32_t refs;
    uint32_t sealed_count;
    struct memtable *active;                /* NULL until written to; owned reference */
    struct memtable *sealed[DB_SEALED_MAX]; /* newest first; owned references */
    struct version *version;                /* owned reference */
};

/* How much a partition needs compaction. */
struct db_score {
    double score; /* pick_score; >= 1: in the due list */
    uint64_t debt;
    uint32_t level0_files;
};

struct lam_partition {
    lam_db *db;
    uint64_t number;
    struct lam_partition_options options;
    _Atomic uint32_t refs;   /* registry, handles, batches, iterators, sealed sets */
    _Atomic bool dropping;   /* set under `commit`: takes no more writes */
    _Atomic bool dropped;    /* set under `state`: gone */
    bool is_active;          /* under `commit`: in the list of active partitions */
    struct memtable *active; /* under `commit`: the read state's, for the writer; borrowed */
    _Atomic(struct read_state *) state; /* replaced under the db's `state`, loaded there or in an
                                           epoch (D8); NULL when dropped; owned reference */
    struct db_score score;              /* under `state`; >= 1: in the due list */
    struct lam_partition *due_next, *due_prev; /* under `state` */
    bool is_due;                               /* under `state` */
    struct lam_partition *all_next, *all_prev; /* under `state`: every one not yet freed */
    struct counters counters;                  /* its members say who writes them */
    char name[];                               /* ends with NUL */
};

/* A call that makes partitions. */
struct db_creation {
    const char *const *names;
    size_t count;
    const struct lam_partition_options *options; /* NULL: defaults */
    lam_partition **out;                         /* room for `count` references; NULL: not wanted */
    struct lam_error *err;                       /* of the caller; may be NULL */
    enum lam_code rc;                            /* under `partitions`: once done */
    bool done;                                   /* under `partitions` */
    struct db_creation *next;                    /* in the list of db_state */
};

struct lam_snapshot {
    lam_db *db;
    uint64_t sequence;
    uint64_t made_ns;                 /* on the monotonic clock */
    struct lam_snapshot *next, *prev; /* under `state`; ascending sequences */
};

/* Memtables sealed together, waiting for their dump. */
struct sealed_memtable {
    lam_partition *partition;  /* owned reference */
    struct memtable *memtable; /* owned reference */
};
struct sealed_set {
    struct sealed_memtable *items; /* owned array */
    size_t count;
    uint64_t last_sequence; /* newest in it */
    uint64_t next_wal;      /* first log segment that holds later records */
    size_t bytes;
};

/* A segment of the log that may still be needed. */
struct db_segment {
    _Atomic uint32_t refs;
    uint64_t number;
    uint64_t bytes;            /* preallocated */
    struct wal_writer *writer; /* owned */
    bool synced;               /* under `sync`: finished, and all of it durable */
    bool finished;             /* under `sync`: takes no more records */
};

/* Guarded by `commit`. */
struct db_commit {
    struct db_segment *segment; /* current; NULL after a failed append; owned reference */
    bool next_asked;            /* a segment to follow it was asked for */
    struct lam_batch scratch;   /* of lam_put and lam_delete */
    lam_partition **active;     /* partitions with an active memtable; owned references */
    size_t active_count;
    size_t active_capacity;
    uint64_t active_bytes;       /* of their memtables */
    uint64_t last_sequence;      /* newest given out */
    uint64_t sealed_sequence;    /* newest when memtables were sealed last */
    uint64_t dump_attempts;      /* finished dumps, good or bad */
    struct lam_error dump_error; /* of the last dump; code LAM_OK if it went well */
    uint64_t owed_ns;            /* delay that pacing has summed up */
    uint64_t full_room_at_ns;    /* lam_db.room_at_ns that the next two are about */
    uint64_t full_since_ns;      /* when it was seen first, */
    uint64_t full_since_bytes;   /* and active_bytes then */
    uint64_t writes;             /* counters of lam_db_stats */
    uint64_t operations;
    uint64_t put_bytes;
    uint64_t wal_bytes;
    uint64_t stalls;
    uint64_t stall_us;
};

/* Guarded by `log`. */
struct db_log {
    struct db_segment *next; /* empty, named by the manifest, to be the current one after the next
                                roll; NULL: none; owned reference */
};

/* Guarded by `manifest`. */
struct db_manifest {
    struct manifest *log; /* NULL when read-only; owned */
    struct manifest_root root;
    uint64_t wal_floor;
    uint64_t dumped_sequence; /* everything up to here is in SSTs */
    uint64_t fresh_bytes;     /* size of the manifest when it was started */
};

/* Guarded by `state`. */
struct db_state {
    lam_partition **by_number; /* owned array of references, ascending */
    lam_partition **by_name;   /* the same, by name; borrowed */
    size_t count;
    size_t by_number_capacity;
    size_t by_name_capacity;
    struct lam_snapshot *snapshots; /* ascending sequences */
    struct lam_snapshot *snapshots_last;
    uint64_t snapshot_count;
    struct sealed_set *sealed[DB_SEALED_MAX]; /* oldest first; owned */
    size_t sealed_count;
    struct db_creation *creations; /* calls that wait for `partitions`, newest first */
    lam_partition *due;            /* partitions with a compaction due; borrowed */
    bool dump_scheduled;
    bool compact_scheduled;
    bool dump_running;         /* one thread dumps at a time */
    bool compact_running;      /* one thread compacts at a time */
    size_t compact_sources;    /* that a compaction merges now; 0: none does */
    uint64_t dump_started_ns;  /* of the dump that runs */
    uint64_t dump_ns_per_kib;  /* what dumps took lately; 0: there was none */
    uint32_t long_calls;       /* of db_compact.c under way: close waits for them */
    uint64_t retry_delay_ns;   /* 0: the last background work went well */
    uint64_t retry_at_ns;      /* failed background work is not tried again before */
    int64_t clock_us;          /* highest wall clock seen */
    int64_t ttl_look_us;       /* wall clock of the next look at expired files; INT64_MAX: none */
    uint64_t slowed_ns;        /* when pacing began or ended to slow commits */
    struct lam_partition *all; /* every partition object */
    struct lam_stats stats;    /* the counters kept here, and the reads of dropped partitions */
};

/* Guarded by `sync`. */
struct db_sync {
    struct db_segment **segments; /* ascending numbers, current one and a prepared one last; owned
                                     references */
    size_t count;
    size_t capacity;
    bool running;      /* a leader is syncing */
    uint64_t target;   /* sequence up to which that makes durable */
    uint32_t joined;   /* callers whom the next round is for */
    uint32_t group;    /* callers whom the round is for that runs; then, how many are about */
    uint64_t round_ns; /* time the last round took */
    uint64_t gather_until_ns; /* the next round begins by then; 0: nobody waits for it alone */
    uint64_t recyclable[2];   /* numbers of segment files to write over; 0: none */
    struct lam_error failure; /* sticky; code LAM_OK: none */
    uint64_t wal_syncs;
    uint64_t sync_waits;
};

/* Guarded by `idle_files`: how a layer above gives up descriptors. */
struct db_idle_files {
    void (*fn)(void *arg); /* NULL: no layer keeps files open */
    void *arg;
};

/* Kinds of handles that a caller may hold, besides snapshots; close refuses while there are any. */
enum db_handle { DB_BATCHES, DB_ITERATORS, DB_TRANSACTIONS, DB_INGESTS, DB_PINNED, DB_HANDLES };

/* Handed to the executor; its address is the task's name for cancel. */
struct db_task {
    lam_db *db;
};

/* Kinds of calls timed for the whole database; the first are those of a partition. */
enum db_latency {
    DB_LATENCY_SYNC = COUNTERS_KINDS,
    DB_LATENCY_DUMP,
    DB_LATENCY_COMPACTION,
    DB_LATENCIES,
};

enum db_object_state { DB_OBJECT_NONE = 0, DB_OBJECT_OPENING = 1, DB_OBJECT_READY = 2 };
/* Guarded by `open`. */
struct db_objects {
    struct {
        enum db_object_state state;
        uint64_t thread; /* OPENING: who */
        void *object;
        struct db_attachment attachment;
    } layers[DB_LAYER_COUNT];
};

struct lam_db {
    lam_env *env;               /* borrowed */
    char *path;                 /* owned */
    struct lam_options options; /* defaults filled in */
    uint8_t id[16];
    uint64_t process_id;
    lam_file_lock *lock; /* NULL: none (read-only without a LOCK file) */
    struct block_cache *blocks;
    struct sst_cache ssts;
    struct gc gc;
    struct version *empty_version;
    bool has_files; /* blocks, ssts and gc are made */
    struct db_tuning tuning;
    struct db_task dump_task;
    struct db_task compact_task;
    struct db_task log_task;
    struct db_task ttl_task;

    _Atomic uint64_t published;   /* newest sequence readers see; release by the committer */
    _Atomic uint64_t durable;     /* newest sequence known synced; written under `sync` */
    _Atomic uint64_t next_number; /* of files and partitions */
    _Atomic bool failed;          /* db_sync.failure is set */
    /* When the running dump should be done, while all places for sealed sets are taken; else 0.
     * Written under `state`. */
    _Atomic uint64_t room_at_ns;
    _Atomic uint32_t pace;    /* nanoseconds of delay per KiB written */
    _Atomic bool seal_wanted; /* db_seal_passed_locked has something to do */
    _Atomic bool resting;     /* the last dump left nothing to dump; written under `commit` */
    _Atomic bool closing;     /* background work ends as soon as it can */
    _Atomic uint32_t retry;   /* kinds of background work that failed, for another try */
    _Atomic uint64_t cancels; /* calls of lam_db_compact_cancel */
    _Atomic uint64_t handles[DB_HANDLES];   /* given out; db_handle_end pairs with close */
    struct histogram latency[DB_LATENCIES]; /* of enum db_latency */
    struct notify notify;
    struct epochs epochs; /* of point reads (D8), the file cache and the block cache */
    uint64_t key_seed;    /* of key hashes in filters and blocks */

    struct mutex open;
    struct cond opened; /* with `open` */
    struct db_objects objects_guarded_;
    struct mutex partitions; /* guards no data: keeps the set of them as it is */
    struct mutex commit;
    struct cond room; /* with `commit`: a dump ended, or pacing */
    struct db_commit commit_guarded_;
    struct mutex log;
    struct db_log log_guarded_;
    struct mutex manifest;
    struct db_manifest manifest_guarded_;
    struct mutex state;
    struct cond idle; /* with `state`: a dump or compaction ended */
    struct db_state state_guarded_;
    struct mutex sync;
    _Atomic uint32_t rounds; /* of syncs that ended; raised under `sync`, slept on without it */
    struct db_sync sync_guarded_;
    struct mutex idle_files;
    struct db_idle_files idle_files_guarded_;
};

static inline struct db_objects *db_objects(lam_db *db) REQUIRES(&db->open) {
    return &db->objects_guarded_;
}
static inline struct db_commit *db_commit(lam_db *db) REQUIRES(&db->commit) {
    return &db->commit_guarded_;
}
static inline struct db_log *db_log(lam_db *db) REQUIRES(&db->log) {
    return &db->log_guarded_;
}
static inline struct db_manifest *db_manifest(lam_db *db) REQUIRES(&db->manifest) {
    return &db->manifest_guarded_;
}
static inline struct db_state *db_state(lam_db *db) REQUIRES(&db->state) {
    return &db->state_guarded_;
}
static inline struct db_sync *db_sync(lam_db *db) REQUIRES(&db->sync) {
    return &db->sync_guarded_;
}
static inline struct db_idle_files *db_idle_files(lam_db *db) REQUIRES(&db->idle_files) {
    return &db->idle_files_guarded_;
}

static inline void db_handle_begin(lam_db *db, enum db_handle kind) {
    atomic_fetch_add_explicit(&db->handles[kind], 1, memory_order_relaxed);
}
/* The last that a handle does with its database, which may be closed from here on. */
static inline void db_handle_end(lam_db *db, enum db_handle kind) {
    uint64_t before = atomic_fetch_sub_explicit(&db->handles[kind], 1, memory_order_release);
    LAM_ASSERT(before > 0);
}

/* --- shared checks (db_open.c) --------------------------------------------------------------- */

/* INVALID for what is not allowed (db_options.c). */
MUST_CHECK enum lam_code db_options_check(const struct lam_options *o, struct lam_error *err);
MUST_CHECK enum lam_code db_options_check_partition(const struct lam_partition_options *o,
                                                    const char *call, struct lam_error *err);
/* Puts defaults in the place of zeros. */
void db_options_fill(struct lam_options *o);
/* Empty, missing and oversize keys. */
MUST_CHECK enum lam_code db_check_key(struct lam_slice key, struct lam_error *err);
/* READ_ONLY for a database opened so, or after a failed sync (with that failure's message). */
MUST_CHECK enum lam_code db_check_writable(lam_db *db, struct lam_error *err);
/* What a change answers when something that had to come before it gave `rc`: it has not happened,
 * so an unknown outcome is none of its own. */
MUST_CHECK enum lam_code db_not_done(lam_db *db, enum lam_code rc, struct lam_error *err);
/* NULL handles, a forked child, a partition of another database, a dropped partition. */
MUST_CHECK enum lam_code db_check_partition(const lam_db *db, const lam_partition *p,
                                            const char *call, struct lam_error *err);
/* A number no file or partition has had. */
uint64_t db_next_number(lam_db *db);
static inline uint64_t db_published(lam_db *db) {
    return atomic_load_explicit(&db->published, memory_order_acquire);
}

/* --- counting (db_stat.c) --------------------------------------------------------------------- */

/* A call that began at `start_ns` (0: not timed) has ended, on a partition (NULL: several). */
void db_note_latency(lam_db *db, lam_partition *p, enum counters_kind kind, uint64_t start_ns);
/* Work that began then has ended; how long it took. */
uint64_t db_note_work_us(lam_db *db, enum db_latency kind, uint64_t start_ns);
/* The reads of a partition that goes are the database's from now on. */
void db_note_gone_locked(lam_db *db, const lam_partition *p) REQUIRES(&db->state);
/* Work that nobody waits for failed. */
void db_note_failure(lam_db *db, const char *what, const struct lam_error *error);

/* --- partitions and read states (db_partition.c) ---------------------------------------------- */

MUST_CHECK enum lam_code db_partition_new(lam_db *db, uint64_t number, struct lam_slice name,
                                          const struct lam_partition_options *options,
                                          lam_partition **out, struct lam_error *err);
lam_partition *db_partition_ref(lam_partition *p);
void db_partition_unref(lam_partition *p);
void db_partition_free(lam_partition *p);
/* Puts a partition into the registry, which takes over the reference. */
MUST_CHECK enum lam_code db_register_locked(lam_db *db, lam_partition *p, struct lam_error *err)
    REQUIRES(&db->state);
lam_partition *db_find_name_locked(lam_db *db, const char *name) REQUIRES(&db->state);
lam_partition *db_find_number_locked(lam_db *db, uint64_t number) REQUIRES(&db->state);
/* The partition of the least number above `*number`, which becomes its; referenced. NULL: there is
 * none. So a walk from 0 meets each that stays, whatever is made or dropped meanwhile. */
lam_partition *db_partition_after(lam_db *db, uint64_t *number);

struct read_state *read_state_new(struct lam_error *err);
void read_state_unref(struct read_state *s); /* NULL is allowed */
OWNED_POINTER(struct read_state, read_state_unref)
/* The same for the reference of a partition, where readers may have found it (D8). Then
 * epoch_reclaim is due. */
void read_state_defer_unref(lam_db *db, struct read_state *s);
static inline struct read_state *read_state_ref(struct read_state *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}
/* Fills a blank state with references to the partition's current parts. */
void read_state_copy_locked(lam_db *db, struct read_state *to, const lam_partition *p)
    REQUIRES(&db->state);
/* State and sequence for a read at `snapshot` (may be NULL) that outlives a call or does I/O.
 * What is committed up to that sequence may lack in the state (D5). NOT_FOUND for a dropped
 * partition. Release with read_state_unref. */
MUST_CHECK enum lam_code db_read_begin(lam_db *db, lam_partition *p, const lam_snapshot *snapshot,
                                       struct read_state **state_out, uint64_t *sequence_out,
                                       struct lam_error *err);
/* lam_iter_new with what an indexed batch did to the partition (may be NULL) shown over it. */
MUST_CHECK enum lam_code db_iter_new(lam_db *db, const struct lam_read_options *options,
                                     lam_partition *partition, struct memtable *overlay,
                                     lam_iter **iter_out, struct lam_error *err);
/* First key and end of what it may show; empty: none. They live as long as the iterator. */
void db_iter_bounds(const lam_iter *it, struct lam_slice *lower_out, struct lam_slice *upper_out);
/* A partition's version, referenced; NULL if it is dropped. */
struct version *db_version_of(lam_partition *p);

/* --- the log (db_wal.c, db_sync.c) --- */

void db_segment_unref(struct db_segment *s); /* NULL is allowed */
/* Makes a segment of the next number and lists it for syncing; the manifest does not know it yet.
 */
MUST_CHECK enum lam_code db_wal_open(lam_db *db, uint64_t min_bytes,
                                     struct db_segment **segment_out, struct lam_error *err)
    REQUIRES(&db->log);
/* Whether it is time to prepare the segment that will follow the current one; true once for each.
 */
bool db_wal_wants_next_locked(lam_db *db) REQUIRES(&db->commit);
/* Prepares it, as far as that can be: a roll that finds none makes its own. A task of the log's
 * lane; `arg` is the db_task. */
void db_wal_prepare(void *arg);
/* Ends the current segment and begins one with room for `payload_bytes`, named by the manifest: the
 * prepared one, if it is there and large enough. */
MUST_CHECK enum lam_code db_wal_roll_locked(lam_db *db, uint64_t payload_bytes,
                                            struct lam_error *err) REQUIRES(&db->commit);
/* The segments in use, with where they end if `ends`: then nobody may append. An owned array. */
MUST_CHECK enum lam_code db_wal_list(lam_db *db, bool ends, struct manifest_wal **out,
                                     size_t *count_out, struct lam_error *err);
/* Segments below `floor` are not needed any more: keeps some for recycling, removes the rest. */
void db_wal_release(lam_db *db, uint64_t floor);
/* Removes the files kept for recycling. */
void db_wal_remove_recyclable(lam_db *db);
/* Nothing is being written: gives back what the log has in reserve. */
void db_wal_rest_locked(lam_db *db) REQUIRES(&db->commit);
/* Gives back what segments have past their ends, which a seal has recorded. Nobody else uses the
 * database. */
void db_wal_cut_sealed(lam_db *db);
/* Waits until all up to `sequence` is durable; UNKNOWN_OUTCOME if that failed. */
MUST_CHECK enum lam_code db_sync_to(lam_db *db, uint64_t sequence, struct lam_error *err);
/* All commits up to `sequence` are durable by other means than the log. */
void db_sync_note(lam_db *db, uint64_t sequence);
/* Makes the database take no more writes. */
void db_fail(lam_db *db, const struct lam_error *failure);

/* --- writing (db_write.c) --- */

/* Gives a partition an active memtable. */
MUST_CHECK enum lam_code db_activate_locked(lam_db *db, lam_partition *p, struct lam_error *err)
    REQUIRES(&db->commit);
/* Appends a batch to the log, in a fresh segment if need be. UNKNOWN_OUTCOME, and sticky, if it may
 * be on disk; after any other failure it is not. */
MUST_CHECK enum lam_code db_log_append_locked(lam_db *db, struct lam_batch *b, uint64_t sequence,
                                              struct lam_error *err) REQUIRES(&db->commit);
/* Seals the active memtables, if there are any, as one set. LAM_BUSY: DB_SEALED_MAX are waiting. */
MUST_CHECK enum lam_code db_seal_locked(lam_db *db, struct lam_error *err) REQUIRES(&db->commit);

/* --- manifest (db_manifest.c) --- */

/* The whole state as one edit. */
struct db_whole {
    struct arena arena;
    struct version **versions; /* owned references: no file of theirs is removed */
    size_t count;
    struct manifest_edit edit; /* slices in the arena and the versions */
};
/* Fills an all-zero one with partitions, files, sequence and floor as of the last dump. */
MUST_CHECK enum lam_code db_whole_describe_locked(lam_db *db, struct db_whole *w,
                                                  struct lam_error *err) REQUIRES(&db->manifest);
void db_whole_fini(struct db_whole *w);
/* Appends an edit, with the number counter in it. READ_ONLY after a failure that is sticky;
 * UNKNOWN_OUTCOME, and sticky, if it may be on disk; after any other failure nothing has
 * changed. */
MUST_CHECK enum lam_code db_manifest_append_locked(lam_db *db, struct manifest_edit *edit,
                                                   struct lam_error *err) REQUIRES(&db->manifest);
/* Begins a fresh manifest with the whole state. `wals` are the live log segments. `*clean_out`: it
 * failed and the old one is still the manifest for certain. */
MUST_CHECK enum lam_code db_manifest_rewrite_locked(lam_db *db, const struct manifest_wal *wals,
                                                    size_t wals_count, bool *clean_out,
                                                    struct lam_error *err) REQUIRES(&db->manifest);
/* Does so if the manifest has grown too long; a failure that leaves it as it was is tried again
 * with a later edit, any other is sticky. */
MUST_CHECK enum lam_code db_manifest_trim_locked(lam_db *db, struct lam_error *err)
    REQUIRES(&db->manifest);

/* One partition's change of files. */
struct db_change {
    lam_partition *partition; /* borrowed */
    const struct version_added *added;
    size_t added_count;
    const struct manifest_removed *removed;
    size_t removed_count;
    struct memtable *dumped;  /* leaves the sealed list; may be NULL; borrowed */
    struct version *version;  /* made by db_change_prepare; owned */
    struct db_score score;    /* of that */
    struct read_state *state; /* the same; blank until installed; owned */
};
/* Makes what installing needs, so that it can't fail after the edit is durable. */
MUST_CHECK enum lam_code db_change_prepare_locked(lam_db *db, struct db_change *c,
                                                  struct lam_error *err) REQUIRES(&db->manifest);
/* Swaps the read state; the old one is left in c->state for db_change_fini. */
void db_change_install_locked(lam_db *db, struct db_change *c) REQUIRES(&db->manifest);
void db_change_fini(struct db_change *c);

/* Says how much of the caches' half of the memory budget is needed elsewhere now: what is written
 * to, sealed, dumped or merged has changed. No lock is held (db_memory.c). */
void db_share_memory(lam_db *db);

/* --- background (db_bg.c, dump.c, compact.c) --- */

/* Wall clock that never goes back. */
int64_t db_clock_us(lam_db *db);
/* Dumps the oldest sealed set, if there is one. */
MUST_CHECK enum lam_code dump_oldest(lam_db *db, bool *done_out, struct lam_error *err);
/* Writes one memtable to SSTs (kept in `out`, which the caller finishes with). */
struct sst_output;
MUST_CHECK enum lam_code dump_memtable(lam_db *db, lam_partition *p, struct memtable *m,
                                       struct sst_output *out, struct lam_error *err);
struct sst_output_options;
void dump_output_options(lam_db *db, const lam_partition *p, struct sst_output_options *out);
/* Seals and dumps everything committed before the call; what comes meanwhile is not waited for. */
MUST_CHECK enum lam_code db_dump_all(lam_db *db, struct lam_error *err);
/* One thread compacts at a time: waits for the turn, gives it back. */
void compact_begin_turn(lam_db *db);
void compact_end_turn(lam_db *db);
/* Does the compaction most in need, if one is due. */
MUST_CHECK enum lam_code compact_due(lam_db *db, bool *done_out, struct lam_error *err);
/* A call of lam_db_compact_range. */
struct compact_range {
    struct pick_range keys;
    uint64_t cancels; /* calls of lam_db_compact_cancel before it */
    struct progress progress;
};
/* Does one step of that. */
MUST_CHECK enum lam_code compact_range_step(lam_db *db, lam_partition *p,
                                            struct compact_range *range, bool *done_out,
                                            struct lam_error *err);
/* BUSY if compactions are to end: the database closes, or `range` (may be NULL) is cancelled. */
MUST_CHECK enum lam_code compact_check_end(lam_db *db, const struct compact_range *range,
                                           struct lam_error *err);
/* Sequences of the open snapshots, ascending and distinct; an owned array. */
MUST_CHECK enum lam_code db_copy_snapshots(lam_db *db, uint64_t **out, size_t *count_out,
                                           struct lam_error *err);
void db_pick_input(lam_db *db, const lam_partition *p, const struct version *v,
                   struct pick_input *out);
/* Score of a partition with that version; then to be noted. */
void db_score_compute(lam_db *db, const lam_partition *p, const struct version *v,
                      struct db_score *out);
void db_score_locked(lam_db *db, lam_partition *p, const struct db_score *score)
    REQUIRES(&db->state);
/* Does both, for a reason other than a change of its files. */
void db_rescore(lam_db *db, lam_partition *p);
/* The partition most in need of compaction, referenced; NULL: none is due. */
lam_partition *db_most_due(lam_db *db);
/* Looks at which files have expired, and sees to the next look (db_ttl.c). No lock held. */
void db_ttl_look(lam_db *db);
/* A partition that goes is due no more. */
void db_unscore_locked(lam_db *db, lam_partition *p) REQUIRES(&db->state);
/* Sets the delay of writers from the partitions that are due. */
void db_pace_locked(lam_db *db) REQUIRES(&db->state);
/* Starts background work that is due: tasks, or inline with manual_background. Failed work is left
 * until its time comes unless `now`. No lock held. */
void db_bg_kick(lam_db *db, bool now);
/* The same for who may hold locks, or be in no hurry: it does no work itself. */
void db_bg_tell(lam_db *db);
/* Iterators of `p` stepped over hidden rows, and counted them where they are: see what is to be
 * done. No lock above `state` is needed, any may be held. */
void db_note_passed(lam_db *db, lam_partition *p, const struct read_state *s);
/* Seals the active memtables if iterators stepped over much in one of them; whether it did. */
bool db_seal_passed_locked(lam_db *db) REQUIRES(&db->commit);
/* The same where it was asked for. No lock held. */
void db_seal_passed(lam_db *db);
/* Has the segment after the current one prepared. No lock held. */
void db_bg_prepare_log(lam_db *db);
/* Waits until no background work runs and none will start. */
void db_bg_stop(lam_db *db);
/* Tells waiting writers how a dump went. */
void db_bg_dump_done(lam_db *db, enum lam_code code, const struct lam_error *error);

/* --- recovery (recover.c) --- */

/* Loads or makes the database in db->path; on return it is ready for use. */
MUST_CHECK enum lam_code recover_run(lam_db *db, struct lam_error *err);
/* Frees all that a database holds but its lock and path; for failed opens and for close. */
void db_teardown(lam_db *db);
/* Gives back lock and memory of a database that was torn down or never got that far. */
void db_free(lam_db *db);

/* Layers above (attach.c). */
MUST_CHECK enum lam_code attach_closing(lam_db *db, struct lam_error *err);
void attach_close(lam_db *db);

#endif
