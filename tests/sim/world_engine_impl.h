/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the engine's world, shared by world_engine*.c: _draw (features and steps), _ops (steps
 * that write and upkeep), _read (steps that read), _life (open, close, crash), _image (taking
 * images), _check (checking them). */
#ifndef LAMINA_TESTS_SIM_WORLD_ENGINE_IMPL_H
#define LAMINA_TESTS_SIM_WORLD_ENGINE_IMPL_H

#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "lamina/txn.h"
#include "tests/sim/model.h"
#include "tests/sim/tuning.h"
#include "tests/sim/world_engine.h"

#define WORLD_DIR       "/db"
#define WORLD_KEYS      512u
#define WORLD_BATCH     12u
#define WORLD_HELD      4u
#define WORLD_QUEUE     4096u
#define WORLD_VALUE_MAX (80u << 10)

/* --- steps ----------------------------------------------------------------------------------- */

enum step_kind {
    STEP_GET, /* the tame one */
    STEP_PUT,
    STEP_DELETE,
    STEP_DELETE_RANGE,
    STEP_BATCH,
    STEP_SYNC,
    STEP_SCAN,
    STEP_SNAPSHOT, /* makes, reads or frees one */
    STEP_ITERATOR, /* makes, moves or frees one */
    STEP_VERIFY,   /* the whole state */
    STEP_DUMP,
    STEP_COMPACT,
    STEP_CREATE,
    STEP_DROP,
    STEP_REOPEN,
    STEP_READ_ONLY, /* reopen, read, reopen */
    STEP_CRASH,     /* the history goes on upon an image */
    STEP_CHECK,     /* lam_db_check */
    STEP_CLOCK,
    STEP_FAULT, /* arms or disarms */
    STEP_QUOTA, /* fills the disk, then gives space back */
    STEP_TASKS,
    STEP_MULTI_GET,
    STEP_CREATE_MANY,
    STEP_COMPACT_RANGE,
    STEP_TXN,        /* begins one, or goes on with it */
    STEP_INGEST,     /* the same */
    STEP_CHECKPOINT, /* makes a copy */
    STEP_BACKUP,     /* makes, removes or verifies one */
    STEP_RESTORE,
    STEP_TTL, /* changes or reads rows with a TTL, or moves the clock */
    STEP_KINDS
};

struct write_op {
    enum step_kind kind; /* PUT, DELETE, DELETE_RANGE */
    unsigned partition;
    unsigned key, to; /* `to` == WORLD_KEYS: no end */
    unsigned size;    /* of the value */
    uint64_t back;    /* upto is this much before now; UINT64_MAX: LAM_SEQUENCE_MAX */
};
struct step {
    enum step_kind kind;
    bool sync;
    unsigned count;
    struct write_op ops[WORLD_BATCH];
    unsigned partition, key, slot; /* of steps that take one */
    unsigned what;                 /* variant */
};

/* --- features -------------------------------------------------------------------------------- */

enum background {
    BACKGROUND_INLINE,  /* manual_background */
    BACKGROUND_REFUSED, /* tasks are refused, so they run in the submitting call */
    BACKGROUND_QUEUED,  /* run between calls */
    BACKGROUND_THREADS, /* simulated threads */
};

struct config {
    unsigned steps;
    unsigned partitions;
    unsigned keys;
    unsigned key_style;
    unsigned value_style;
    unsigned weights[STEP_KINDS];
    unsigned weight_sum;
    unsigned sync_of_8; /* share of SYNC writes */
    enum background background;
    struct simfs_options fs;
    struct lam_options options; /* of lam_db_open, at first */
    struct db_tuning tuning;
    bool vary;             /* each open draws others */
    unsigned image_one_in; /* at a call that changes files */
    unsigned nested_one_in;
    bool faults;
    bool many_faults;
    bool quota;
    bool ttl; /* partitions with a TTL beside the others */
};

/* --- rows with a TTL ------------------------------------------------------------------------- */

#define TTL_PARTS 2u
#define TTL_KEYS  8u

/* Which rows there are; 0: none under that key. */
struct ttl_rows {
    bool exists[TTL_PARTS];
    uint32_t ids[TTL_PARTS][TTL_KEYS];
};
struct ttl_row {
    int64_t low;  /* of the wall clock, since it was written */
    int64_t rise; /* most by which the clock was above what it was before, since then */
    bool gone;    /* seen to be */
};
struct ttl {
    struct ttl_rows *states; /* by prefix, the last one for all that follow; owned */
    size_t count, capacity;
    struct ttl_row *ids; /* by number; owned */
    uint32_t id_count, id_capacity;
    lam_partition *handles[TTL_PARTS];
    unsigned incarnations[TTL_PARTS]; /* drops so far */
};
/* What a snapshot has shown. */
struct ttl_seen {
    bool known;
    struct ttl_rows rows;
    unsigned incarnations[TTL_PARTS];
};

/* --- copies ---------------------------------------------------------------------------------- */

#define WORLD_CHECKPOINT "/copy"
#define WORLD_RESTORED   "/restored"
#define WORLD_BACKUPS    "/backups"
#define BACKUPS_MAX      8u

/* A copy whose making or end was not acknowledged is there as a whole, or not at all. */
enum copy_state { COPY_NONE, COPY_MAYBE, COPY_THERE };
struct copy {
    enum copy_state state;
    struct model_hash hash; /* what it holds */
    struct ttl_rows ttl;    /* and may hold of these */
};
struct backup_copy {
    uint64_t id;
    struct copy copy;
};
/* What lies beside the database. */
struct copies {
    struct copy checkpoint, restored;
    struct backup_copy backups[BACKUPS_MAX]; /* two may have one number while neither is sure */
    unsigned backup_count;
};

/* --- images ---------------------------------------------------------------------------------- */

/* Where an image comes from, for messages. */
enum place { IN_STEP, IN_OPEN, IN_CLOSE, IN_PROBE };

/* Of a DEATH what was pending stays so. */
enum how { HOW_KILL, HOW_OLD, HOW_POWER, HOW_DEATH };

struct image {
    struct simfs *fs;
    struct choice choice; /* of the image's own life */
    enum simfs_crash kind;
    enum how how;
    uint64_t seed;    /* of choice */
    uint64_t event;   /* number of the call in its file system; 0: between calls */
    enum simfs_op op; /* of that call */
    char path[40];    /* end of its path */
    enum place place;
    enum step_kind step;
    unsigned depth;
    size_t low, high;  /* it shows a prefix of these */
    size_t power_low;  /* DEATH: until it has been opened a power loss leaves this at least */
    bool below;        /* a power loss in the opening of a DEATH: it may show what that one may */
    size_t acked;      /* newest acknowledged at all */
    uint64_t sequence; /* a recovered database is not behind this */
    bool exists;       /* the making of the database was acknowledged */
    bool faulted;      /* a fault had fired in the session */
    bool ingesting;    /* an ingest was under way */
    struct copies copies;
};

struct queue {
    struct image **list; /* owned, also the images */
    size_t count, capacity;
};
void ew_queue_clear(struct queue *q);
void ew_image_free(struct image *image); /* NULL is allowed */
/* Where it comes from; static storage. */
const char *ew_image_text(const struct image *image);

struct world;
/* Observer of one file system. */
struct taker {
    struct world *w;
    struct simfs *fs;
    struct choice *choice; /* decides when and how */
    struct queue *queue;   /* NULL: no images */
    unsigned one_in;       /* chance; 0: none */
    unsigned every;        /* or this many each time */
    bool exhaustive;       /* or all, up to `every` */
    unsigned depth;
    bool below; /* in the opening of a DEATH */
    enum place place;
    enum step_kind step;
    /* Bounds of what an image may show. */
    size_t kill_low, power_low, high;
    uint64_t sequence;
    bool exists;
    uint64_t limit; /* images still wanted */
};
void ew_taker_observe(void *arg, const struct simfs_event *event);
/* The path, of an observer's, lies in the database's directory. */
bool ew_is_database_path(const char *path);
/* Images of this moment, between calls: perhaps some; of each kind one. */
void ew_taker_take_now(struct taker *t);
void ew_taker_take_each(struct taker *t);

/* --- the world ------------------------------------------------------------------------------- */

struct held_snapshot {
    lam_snapshot *snapshot;
    size_t prefix;
    uint64_t compactions; /* stats when it was made */
    struct ttl_seen ttl;
};
struct held_iterator {
    lam_iter *iter;
    struct model_cursor cursor;
    size_t prefix;
    unsigned partition;
    bool placed;      /* cursor and iterator stand at the same row */
    bool prefix_only; /* bounds of the iterator */
    uint8_t lower[64], upper[64];
    size_t lower_size, upper_size;
    uint64_t dumps, compactions;
    bool dropped;
};
struct held_txn;
struct held_ingest;

struct world {
    struct choice *choice;
    const struct world_options *options;
    struct world_report *report;
    struct config config;

    struct simfs *fs;
    struct choice fs_choice; /* of an image that the history goes on upon */
    struct taker taker;
    struct queue queue;
    struct model *model;
    lam_db *db;
    bool read_only;
    lam_partition *handles[MODEL_PARTITIONS];
    bool was_there[MODEL_PARTITIONS]; /* made and dropped before */
    struct held_snapshot snapshots[WORLD_HELD];
    struct held_iterator iterators[WORLD_HELD];
    struct held_txn *txns[WORLD_HELD];       /* owned; NULL: none */
    struct held_ingest *ingest;              /* owned; NULL: none */
    unsigned incarnations[MODEL_PARTITIONS]; /* drops of each so far */
    struct copies copies;
    struct ttl ttl;

    /* Prefixes of the model. */
    size_t acked;       /* everything acknowledged */
    size_t synced;      /* everything acknowledged as durable */
    size_t live, live2; /* what readers see: one of the two; different only after an unknown */
    bool unknown;       /* the last commit's outcome is not known */
    size_t base;        /* what the image being checked showed */
    uint64_t sequence;  /* newest of the database */
    uint64_t given;     /* the highest that was ever told */
    uint64_t safe_upto; /* sequences of rows from before are not known for sure */
    bool exists;        /* the first open was acknowledged */

    struct simfs_fault fault;   /* in slot 0 */
    bool armed;                 /* it is */
    bool quota_on;              /* the disk is full */
    bool fired;                 /* one fired in this session */
    bool lossy;                 /* a failed sync took written bytes back */
    bool sticky;                /* the database said READ_ONLY or UNKNOWN_OUTCOME */
    uint64_t fired_before;      /* known count of slot 0 */
    uint64_t call_fired_before; /* and at the begin of the call */
    unsigned healing;           /* errors seen since faults went off */
    struct image *chosen;       /* the history goes on upon this one; owned */
    bool crash_wanted;          /* and on one of the next that are taken */
    unsigned generations;       /* crashes gone on upon */
    bool crashed_session;       /* the session began with a crash */
    bool closed_clean;          /* the last close */
    bool litter;                /* a fault may have left files that nobody needs */
    bool range_in_memory;       /* a range tombstone was written since the last dump */
    bool clean_failure;         /* in this session */
    bool out_of_space;          /* in this session */
    unsigned writes_waiting;    /* since tasks ran */

    uint64_t names[512]; /* hashes of files made in this session and its clean successors */
    size_t name_count;
    uint64_t seen[4096]; /* hashes of images checked lately */

    size_t key_sizes[WORLD_KEYS];
    uint8_t *key_bytes[WORLD_KEYS]; /* owned */
    unsigned key_order[WORLD_KEYS]; /* their numbers, in order of bytes */
    uint64_t value_id;
    uint8_t value[WORLD_VALUE_MAX];
    struct lam_error err;
    unsigned step_number;
};

/* Notes the first failure and gives false. */
bool ew_fail(struct world *w, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds where it happened. */
void ew_fail_context(struct world *w, const char *text);
void ew_say(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool ew_failed(const struct world *w) {
    return w->report->failed;
}
static inline void ew_reach(struct world *w, enum world_reached what) {
    w->report->reached[what]++;
}
void ew_trace(struct world *w, uint64_t value);

struct lam_slice ew_key(const struct world *w, unsigned index);
/* A value nobody has written before (if it is long enough); in w->value. */
struct lam_slice ew_value(struct world *w, unsigned size);
const char *ew_partition_name(unsigned partition);
/* Number of a name; MODEL_PARTITIONS if there is none. */
unsigned ew_partition_number(const char *name);

/* --- _draw ----------------------------------------------------------------------------------- */

void ew_draw_config(struct world *w);
/* Options and sizes of the next open. */
void ew_draw_open(struct choice *c, const struct config *config, struct lam_options *options,
                  struct db_tuning *tuning);
void ew_draw_step(struct world *w, struct step *out);
void ew_draw_put(struct world *w, struct step *out);
void ew_draw_commit(struct world *w, struct step *out);
void ew_draw_write(struct world *w, enum step_kind kind, struct write_op *out);
void ew_draw_fault(struct choice *c, struct simfs_fault *out);
/* A step that the fault is likely to hit. */
void ew_draw_victim(struct world *w, const struct simfs_fault *fault, struct step *out);
void ew_script_step(struct world *w, uint8_t letter, struct step *out);
const char *ew_step_name(enum step_kind kind);

/* --- _life ----------------------------------------------------------------------------------- */

bool ew_life_start(struct world *w);
/* Frees what is held, closes, opens (until it works) and settles what is there. */
bool ew_life_reopen(struct world *w, bool read_only);
/* The history goes on upon one of the images in the queue, or one of this moment. */
bool ew_life_crash(struct world *w);
/* Ends it, whatever state it is in. */
void ew_life_end(struct world *w);
bool ew_life_close(struct world *w);
/* Around each engine call: where the taker is, what fired. */
void ew_call_begin(struct world *w, enum place place, enum step_kind step);
/* False if the result is no legal one at this moment. */
bool ew_call_end(struct world *w, enum lam_code rc, const char *what);
bool ew_call_fired(const struct world *w);
/* Checks the queued images. */
bool ew_drain(struct world *w);
/* A sync has failed in the manner that takes written bytes back. */
bool ew_lossy(const struct world *w);
/* A fault has fired in the call that is running. */
bool ew_fired_in_call(const struct world *w);
void ew_faults_arm(struct world *w);
void ew_faults_rearm(struct world *w); /* the same one again */
void ew_faults_off(struct world *w);

/* --- _ops, _read ----------------------------------------------------------------------------- */

bool ew_ops_step(struct world *w, const struct step *s);
/* Goes on upon the chosen image, if there is one. */
bool ew_ops_crash(struct world *w);
bool ew_ops_create(struct world *w, unsigned partition);
bool ew_ops_drop(struct world *w, unsigned partition);
/* A dump, or a compaction of all. */
bool ew_ops_upkeep(struct world *w, enum step_kind kind);
/* A writer must not wait for a task that nobody runs: runs them when it is time. */
bool ew_ops_make_room(struct world *w);
/* A lam_progress_fn: true as many times as the unsigned `arg` says; UINT32_MAX: always. */
bool ew_patience(void *arg, const struct lam_progress *progress);
/* A put or a batch, drawn. */
bool ew_ops_write(struct world *w);
bool ew_is_writable(const struct world *w, unsigned partition);
/* What the answer to the newest commit of the model makes of it. */
bool ew_conclude(struct world *w, enum lam_code rc, bool durable, const char *what);
/* Where the database is when only what is acknowledged has sequences. */
bool ew_check_sequence(struct world *w, uint64_t expected, const char *what);
bool ew_check_tidy(struct world *w, const char *what);
bool ew_holds_anything(const struct world *w);
/* A read that failed: only a fault in this very call excuses it, and never as NOT_FOUND. */
bool ew_read_failed(struct world *w, enum lam_code rc, const char *what);
/* What a reader of an older prefix sees of the partition that is there now: of one made since,
 * nothing. */
size_t ew_seen_at(const struct world *w, size_t prefix, unsigned partition);
bool ew_read_multi_get(struct world *w, const struct step *s);
bool ew_read_get(struct world *w, unsigned partition, unsigned key, unsigned slot);
bool ew_read_scan(struct world *w, const struct step *s);
bool ew_read_snapshot(struct world *w, const struct step *s);
bool ew_read_iterator(struct world *w, const struct step *s);
/* The whole state of the open database; settles what readers see after an unknown outcome. */
bool ew_read_verify(struct world *w);
void ew_read_free_held(struct world *w);
/* Fails with the differences between a database and the nearest state. */
void ew_report_state(struct world *w, lam_db *db, const struct model *m, size_t low, size_t high,
                     const char *when);
/* Adds up a whole database through handles of its own. */
enum lam_code ew_scan_database(lam_db *db, struct model_view *view, struct lam_error *err);

/* --- _txn ------------------------------------------------------------------------------------ */

#define OVERLAY_OPS 48u
/* Operations over a prefix of the model, not committed yet. */
struct overlay_op {
    struct write_op op;
    unsigned incarnation; /* of its partition */
    uint64_t upto;        /* of a DELETE_RANGE */
    uint8_t *value;       /* of a PUT; owned */
};
struct overlay {
    size_t prefix;
    struct overlay_op ops[OVERLAY_OPS];
    unsigned count;
};
void ew_overlay_add(struct world *w, struct overlay *o, const struct write_op *op,
                    struct lam_slice value, uint64_t upto);
/* Takes the operations after the first `count` back. */
void ew_overlay_cut(struct overlay *o, unsigned count);
/* Reads an indexed batch, some of it, and compares. */
bool ew_txn_read_batch(struct world *w, lam_batch *batch, const struct overlay *o);
bool ew_txn_step(struct world *w, const struct step *s);
/* A commit was acknowledged that changed keys [from, to) of a partition; `to` NULL: just `from`;
 * empty: no end. */
void ew_txn_touch(struct world *w, unsigned partition, struct lam_slice from,
                  const struct lam_slice *to);
void ew_txn_free_held(struct world *w);

/* --- _ttl ------------------------------------------------------------------------------------ */

bool ew_ttl_step(struct world *w, const struct step *s);
bool ew_ttl_is_name(const char *name);
/* Of a prefix of the model; until the next commit. */
const struct ttl_rows *ew_ttl_rows(const struct world *w, size_t prefix);
void ew_ttl_truncate(struct world *w, size_t commits);
/* Before and after the clock of w->fs is moved, and when w->fs is another. */
void ew_ttl_note_clock(struct world *w);
/* Reads all of them, through handles of its own. */
enum lam_code ew_ttl_read(const struct world *w, lam_db *db, struct ttl_rows *out,
                          struct lam_error *err);
/* At that time there may be just these where those were written. */
bool ew_ttl_fits(const struct world *w, const struct ttl_rows *found, const struct ttl_rows *want,
                 int64_t now);
bool ew_ttl_check_copy(struct world *w, const struct ttl_rows *found, const struct ttl_rows *want,
                       int64_t now, const char *path);
/* The newest prefix in [low, high] that is what was found, these rows included. */
bool ew_ttl_find(struct world *w, const struct model_view *view, const struct ttl_rows *found,
                 size_t low, size_t high, size_t *prefix_out);
/* What is wrong with them; static storage. */
const char *ew_ttl_text(const struct world *w, const struct ttl_rows *found,
                        const struct ttl_rows *want, int64_t now);
/* The database holds them from now on. */
void ew_ttl_settle(struct world *w, const struct ttl_rows *found, size_t prefix);
bool ew_ttl_snapshot(struct world *w, const lam_snapshot *snapshot, struct ttl_seen *seen);
bool ew_ttl_snapshot_again(struct world *w, const lam_snapshot *snapshot,
                           const struct ttl_seen *seen);
bool ew_ttl_open(struct world *w);
void ew_ttl_release(struct world *w);
void ew_ttl_free(struct world *w);

/* --- _bulk ----------------------------------------------------------------------------------- */

bool ew_bulk_ingest(struct world *w, const struct step *s);
bool ew_bulk_create(struct world *w, const struct step *s);
void ew_bulk_free_held(struct world *w);
/* Where the database is after an ingest's end, which gave `sequence`. */
bool ew_bulk_note_sequence(struct world *w, enum lam_code rc, uint64_t sequence);

/* --- _copy ----------------------------------------------------------------------------------- */

bool ew_copy_checkpoint(struct world *w);
bool ew_copy_backup(struct world *w, const struct step *s);
bool ew_copy_restore(struct world *w);
/* All copies in `fs` are whole, those that must be are there, and they open and hold what they
 * should. On a clone: nothing changes. */
bool ew_copy_check(struct world *w, struct simfs *fs, const struct copies *copies,
                   struct choice *c);
static inline bool ew_copies_any(const struct copies *c) {
    return c->checkpoint.state || c->restored.state || c->backup_count;
}
static inline bool ew_is_copy_step(enum step_kind kind) {
    return kind == STEP_CHECKPOINT || kind == STEP_BACKUP || kind == STEP_RESTORE;
}

/* --- _check ---------------------------------------------------------------------------------- */

/* Opens and compares an image; `hashes` are of the states by number. False: a check failed.
 * `found_out` (may be NULL) gets which state it was. */
bool ew_check_image(struct world *w, struct image *image, const struct model_hash *hashes,
                    size_t *found_out);
/* What lies in the directory: counts by kind. */
struct listing {
    size_t ssts, wals, manifests, temporaries, others;
    bool root;
    struct {
        char name[40];
    } names[256];
    size_t count;
};
void ew_listing_take(struct listing *l, const struct simfs *fs);
bool ew_listing_has(const struct listing *l, const char *name);
/* After an open for writing without faults: what was there before and is not the database's is
 * gone. */
bool ew_listing_check_open(struct world *w, const struct listing *before, const struct simfs *fs,
                           lam_db *db, bool was_clean);

#endif
