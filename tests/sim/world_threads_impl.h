/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the concurrent world: world_threads.c (sessions), world_threads_work.c (what each
 * thread does), world_threads_guest.c (writers into partitions that come and go),
 * world_threads_content.c (what there must be), world_threads_check.c (vectors and images),
 * world_threads_shared.c, _queue.c and _copy.c (what several threads share). */
#ifndef LAMINA_TESTS_SIM_WORLD_THREADS_IMPL_H
#define LAMINA_TESTS_SIM_WORLD_THREADS_IMPL_H

#include "base/thread.h"
#include "lamina/db.h"
#include "tests/sim/simfs.h"
#include "tests/sim/world_threads.h"

#define WRITERS_MAX 5u
#define PARTS_MAX   3u
#define BATCHES_MAX 24u
#define KEYS        6u /* of a writer: its counter, then slots */
#define TEMPS_MAX   8u
#define PUTS_MAX    12u /* into one temporary partition */
#define VALUE_MAX   4096u
#define STEPS_MAX   16u
#define COPY_NAMES  1024u
#define QUEUE_MAX   64u /* rows of one queue */
#define CUTS_MAX    24u /* range deletes over the queues in a session */

#define TRANSACTORS_MAX 2u

/* One operation of a batch. */
enum step_kind { STEP_PUT, STEP_DELETE, STEP_RANGE };
struct step {
    enum step_kind kind;
    uint32_t part;
    uint32_t key, to; /* RANGE: slots [key, to) */
};

/* What a writer's keys hold after some number of its batches. */
struct writer_state {
    uint8_t last[PARTS_MAX][KEYS]; /* the batch that put it; 0: absent */
};

/* A writer's n-th batch. */
struct commit {
    uint64_t sequence; /* its last; 0: not known */
    uint32_t count;    /* operations */
    uint16_t attempt;  /* written into its values; a clean failure leads to another */
    bool acked, synced, unknown;
};

/* How many batches of each writer, and puts into each temporary partition. */
#define ABSENT UINT32_MAX
struct vector {
    uint32_t n[WRITERS_MAX];
    uint32_t temps[TEMPS_MAX];        /* ABSENT: not there, or not looked at */
    uint64_t raises;                  /* of counters, by transactions */
    uint32_t generation;              /* ingests of the bulk rows */
    uint32_t queued[TRANSACTORS_MAX]; /* rows that each queue has been given */
    uint32_t hidden[TRANSACTORS_MAX]; /* of what was read: as many of them are deleted */
    uint32_t cuts;                    /* of what was done: range deletes over the queues */
};

/* Entries read from the shared partitions; memory is kept between uses. */
struct content_item {
    uint32_t key_at, key_size, value_at, value_size; /* in bytes */
};
struct content {
    struct content_item *items;
    size_t count, capacity;
    size_t begin[PARTS_MAX + 1]; /* where each partition's items begin */
    uint8_t *bytes;
    size_t bytes_size, bytes_capacity;
};

/* A partition that comes and goes. While it is made or ended, and if that failed until the next
 * open, it is there or not. */
enum temp_state { TEMP_NONE, TEMP_MAKING, TEMP_THERE, TEMP_ENDING, TEMP_GONE };
struct temp {
    enum temp_state state;
    bool busy;                        /* one is under way */
    uint32_t issued;                  /* puts of keys 0, 1, ... */
    uint32_t acked, synced;           /* of these */
    bool full;                        /* a put failed: no more are made */
    uint64_t sequences[PUTS_MAX];     /* of the puts; 0: not known */
    uint64_t made_after, ended_after; /* highest sequence acknowledged before that was called */
    lam_partition *partition;         /* upkeep's handle */
};

/* A vector that was seen, to be compared with the sequences that get known later: those of the
 * attempts that were under way or done then, not of one made again. */
struct shot {
    uint64_t sequence; /* a snapshot's; 0: an image */
    struct vector v;
    uint16_t attempts[WRITERS_MAX]; /* of the last batch of each writer */
};

enum bound { BOUND_KILL, BOUND_POWER, BOUND_EXACT };
enum end { END_CLOSE, END_KILL, END_POWER };

struct world {
    uint64_t seed, salt;
    struct choice choice;
    struct threads_report *report;
    struct threads_trace trace;
    struct simfs *fs; /* owned */
    lam_db *db;
    lam_partition *parts[PARTS_MAX];
    lam_partition *shared; /* the transactions' */
    uint32_t writers, part_count, sessions, session;
    struct writer_state states[WRITERS_MAX][BATCHES_MAX + 1];
    struct commit commits[WRITERS_MAX][BATCHES_MAX + 1];
    struct temp temps[TEMPS_MAX];
    uint32_t temp_count;
    struct vector issued, acked, synced; /* synced: acknowledged as such */
    struct vector floor;                 /* there when the session began */
    uint64_t acked_sequence;             /* highest acknowledged */
    uint64_t synced_sequence;            /* highest that a power loss must leave */
    uint64_t queue_sequences[TRANSACTORS_MAX]
                            [QUEUE_MAX + 1];        /* of each row's batch; 0: not known */
    uint32_t queue_cuts[CUTS_MAX][TRANSACTORS_MAX]; /* what each range delete hides, and those
                                                       before; the first: what was hidden already */
    uint64_t backup;                                /* the newest acknowledged; 0: none */
    struct shot *shots;                             /* owned */
    size_t shot_count, shot_capacity;

    /* --- this session --- */
    uint32_t sync_num, sync_of; /* so many of so many commits are SYNC */
    uint32_t batches;           /* of each writer */
    uint32_t rounds;            /* of the others */
    bool slow_syncs;
    uint32_t transactors;
    bool queue_full[TRANSACTORS_MAX], cuts_full; /* no more in this session */
    char copy_names[COPY_NAMES][64];             /* files of a checkpoint that is removed */
    uint32_t copy_name_count;
    bool copy_failed; /* no more copies in this session */
    bool with_reader, with_holder, with_upkeep, with_guest, with_lanes;
    bool live;    /* events count and images are made */
    bool crashed; /* it ended by a crash */
    enum end end;
    uint64_t events;     /* since `live` */
    uint64_t next_image; /* the event of the next image; 0: none */
    uint64_t crash_at;   /* the event at which all die; 0: none */
    uint32_t image_gap;
    bool fault_armed, fault_on_sync;
    uint32_t depth;       /* of images */
    uint64_t reorganised; /* dumps, compactions and drops that have ended */
    uint32_t failed_by_sync;
    struct content main_content, reader_content, reader_again, holder_content, image_content;
    struct content copy_content;
};

/* Prints what is wrong and ends the program. */
void wt_fail(const struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
/* `what` went well; or it failed by an injected fault, as such calls may: false. */
bool wt_went_well(struct world *w, enum lam_code rc, const struct lam_error *err, const char *what);
/* It went well whatever has been injected. */
void wt_must(struct world *w, enum lam_code rc, const struct lam_error *err, const char *what);
bool wt_fault_hit(const struct world *w);
void wt_reached(struct world *w, enum threads_reached what);
enum lam_durability wt_draw_durability(struct world *w);

/* --- content --------------------------------------------------------------------------------- */

/* The steps of a writer's n-th batch, the same each time. */
uint32_t wt_steps(const struct world *w, uint32_t writer, uint32_t n, struct step *out);
/* What the keys hold after each number of batches. */
void wt_make_states(struct world *w);
struct lam_slice wt_key(uint32_t writer, uint32_t key, char *room);
struct lam_slice wt_value(const struct world *w, uint32_t writer, uint32_t n, uint32_t part,
                          uint32_t key, uint8_t *room);
void wt_temp_name(uint32_t temp, char *room);
struct lam_slice wt_temp_key(uint32_t put, char *room);
struct lam_slice wt_temp_value(const struct world *w, uint32_t temp, uint32_t put, uint8_t *room);

void wt_content_fini(struct content *c);
/* Reads all of the shared partitions. */
void wt_content_read(struct world *w, struct content *c, lam_db *db, lam_partition *const *parts,
                     const lam_snapshot *snapshot);
/* Adds what the iterator gives, forwards, as the items of the next partition. */
void wt_content_begin(struct content *c);
void wt_content_add(struct world *w, struct content *c, lam_iter *iter, uint32_t part);
bool wt_content_equal(const struct content *a, const struct content *b);
/* The vector by the counters of one partition, and that it is the content of just that, in
 * partitions [part, part + count). */
struct vector wt_content_vector(struct world *w, const struct content *c, uint32_t part,
                                uint32_t count);
uint64_t wt_content_hash(const struct content *c);
/* How many puts there are in a temporary partition: those of keys 0, 1, ... */
uint32_t wt_read_temp(struct world *w, lam_iter *iter, uint32_t temp);

/* --- what transactions share ------------------------------------------------------------------ */

struct transactor {
    struct world *w;
    uint32_t number;
};
void wt_run_transactor(void *arg);
/* Reads the transactions' partition: `raises` and `generation` of the vector. */
void wt_shared_read(struct world *w, lam_db *db, lam_partition *p, const lam_snapshot *snapshot,
                    struct vector *v);
void wt_shared_check(struct world *w, const struct vector *v, const struct vector *least,
                     const struct vector *most, const char *what);
/* What was met of the queues, in the order of keys. */
struct queue_view {
    uint32_t header[TRANSACTORS_MAX];
    uint32_t first[TRANSACTORS_MAX], last[TRANSACTORS_MAX]; /* rows; 0: none */
};
void wt_queue_append(struct world *w, uint32_t queue);
void wt_queue_cut(struct world *w);
/* Takes note of a row; false: it is none of a queue. */
bool wt_queue_row(struct world *w, struct lam_slice key, struct lam_slice value,
                  struct queue_view *q);
void wt_queue_end(struct world *w, const struct queue_view *q, struct vector *v);
void wt_queue_check(struct world *w, const struct vector *v, const struct vector *least,
                    const struct vector *most, const char *what);
void wt_queue_check_snapshot(struct world *w, const struct vector *v, uint64_t sequence);
/* A session begins with these. */
void wt_queue_adopt(struct world *w, const struct vector *v);
/* Makes a checkpoint, compares and removes it; a backup, which is restored at times. */
void wt_checkpoint(struct world *w);
void wt_backup(struct world *w);
/* The newest backup that was acknowledged is there, and whole. */
void wt_check_backup(struct world *w, struct simfs *fs);
/* A commit of that sequence was acknowledged. */
void wt_note_sequence(struct world *w, uint64_t sequence, bool synced);

/* --- vectors and images ---------------------------------------------------------------------- */

/* T4, T7 and what is known of T5. */
void wt_check_vector(struct world *w, const struct vector *v, enum bound bound, const char *what);
void wt_note_shot(struct world *w, uint64_t sequence, const struct vector *v);
/* T2, T5 and the order of commits by all that has got known; forgets the shots. */
void wt_settle(struct world *w);
/* Opens the shared partitions of a database and reads all there is. */
struct vector wt_read_all(struct world *w, lam_db *db, struct content *c, lam_partition **parts);
/* Takes the image that a crash would leave now, opens and compares it, and frees it. */
void wt_check_image(struct world *w, struct simfs *fs);
void wt_observe(void *arg, const struct simfs_event *event);
struct lam_options wt_options(struct world *w, struct simfs *fs);

/* --- threads --------------------------------------------------------------------------------- */

/* Puts the next row into the newest temporary partition, if it is there; `p` may be NULL: through
 * a handle of its own. */
void wt_put_temp(struct world *w, lam_partition *p);
void wt_run_guest(void *arg);
/* Starts the session's threads and waits for their end. */
void wt_work(struct world *w);

/* --- memory ---------------------------------------------------------------------------------- */

/* The product's allocations are listed from now on. */
void wt_memory_watch(void);
size_t wt_memory_live(void);
/* Frees what the dead have left. */
void wt_memory_drop(void);

#endif
