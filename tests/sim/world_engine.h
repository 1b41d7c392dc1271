/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's world: one writer on lam_db over a simulated file system, every result compared with
 * a model, and at the engine's own calls that change files, images of what a crash would leave
 * there, opened and compared as a whole (research: INV-1 to INV-6, 9 to 11).
 *
 * A history draws its features (which operations, sizes, durability, faults, how background work
 * runs) first, then steps. Images are taken inside of engine calls and checked when the call has
 * returned. An image's own recovery is imaged, too, three deep; and some histories go on upon an
 * image, as a database that has crashed before. */
#ifndef LAMINA_TESTS_SIM_WORLD_ENGINE_H
#define LAMINA_TESTS_SIM_WORLD_ENGINE_H

#include "tests/sim/simfs.h"

/* Rare events, as seen from outside: a run that is long enough must have met each. */
#define WORLD_REACHED(X)                                                                           \
    X(IN_FLIGHT_KEPT, "an image holds a commit not acknowledged yet")                              \
    X(TAIL_LOST, "an image lacks commits acknowledged at OS durability")                           \
    X(TORN_TAIL, "open dropped a torn end of the log")                                             \
    X(LOG_COPIED, "a sealed log was copied")                                                       \
    X(LOG_DUMPED, "a log was recovered to SSTs")                                                   \
    X(MANIFEST_REWRITTEN, "a manifest was rewritten in a session")                                 \
    X(SEGMENT_RECYCLED, "a log segment was recycled")                                              \
    X(LARGE_RECORD, "a batch larger than the log's staging buffer")                                \
    X(UNKNOWN_KEPT, "a commit of unknown outcome was there after the reopen")                      \
    X(UNKNOWN_GONE, "a commit of unknown outcome was gone after the reopen")                       \
    X(FAILED_CLEAN, "a commit failed cleanly")                                                     \
    X(WENT_ON_AFTER_ERROR, "writes went on after a clean failure without a reopen")                \
    X(SPACE_CAME_BACK, "writes went on after the disk had been full")                              \
    X(OPEN_FAILED, "an open failed by a fault, a later one succeeded")                             \
    X(CLOSE_FAILED, "a close failed by a fault, the open after it succeeded")                      \
    X(READ_FAILED, "a read failed by a fault and said so")                                         \
    X(RANGE_DUMPED, "a range tombstone was dumped")                                                \
    X(DROPPED_WITH_DATA, "a partition was dropped with data")                                      \
    X(RECREATED, "a partition was made again under its old name")                                  \
    X(ITER_OVER_DUMP, "an iterator was read after a dump")                                         \
    X(ITER_OVER_COMPACTION, "an iterator was read after a compaction")                             \
    X(ITER_OVER_DROP, "an iterator was read after its partition was dropped")                      \
    X(SNAPSHOT_OVER_COMPACTION, "a snapshot was read after a compaction")                          \
    X(TRIVIAL_MOVE, "files moved a level down unread")                                             \
    X(READ_ONLY, "a read-only session")                                                            \
    X(READ_ONLY_IMAGE, "an image was opened read-only first, and left as it was")                  \
    X(TASKS, "background tasks ran between calls")                                                 \
    X(THREADS, "background work in simulated threads")                                             \
    X(CRASH_IN_CREATE, "an image from the making of the database")                                 \
    X(CRASH_IN_RECOVERY, "an image from a recovery")                                               \
    X(CRASH_IN_DUMP, "an image from a dump")                                                       \
    X(CRASH_IN_COMPACTION, "an image from a compaction")                                           \
    X(CRASH_IN_DROP, "an image from a partition's drop")                                           \
    X(CRASH_IN_CLOSE, "an image from a close")                                                     \
    X(CRASH_AFTER_FAULT, "an image from a session in which a call had failed")                     \
    X(GENERATIONS, "three crashes in one history")                                                 \
    X(MULTI_GET, "several keys were read at once")                                                 \
    X(CREATED_MANY, "several partitions were made at once")                                        \
    X(RANGE_COMPACTED, "a range was compacted")                                                    \
    X(BATCH_READ, "an indexed batch was read before it was written")                               \
    X(TXN_COMMITTED, "a transaction committed")                                                    \
    X(TXN_CONFLICT, "a transaction met a conflict")                                                \
    X(TXN_READ_CONFLICT, "a serialisable transaction met a conflict of its reads alone")           \
    X(TXN_OVER_DUMP, "a transaction committed after a dump")                                       \
    X(TXN_CONFLICT_OVER_DUMP, "a transaction met a conflict after a dump")                         \
    X(TXN_REWOUND, "a transaction committed that had gone back to a savepoint")                    \
    X(TXN_DROPPED, "a transaction depended on a partition that was dropped")                       \
    X(TXN_FAILED, "a transaction's commit failed by a fault")                                      \
    X(CRASH_IN_TXN, "an image from a transaction's commit")                                        \
    X(INGESTED, "an ingest was published")                                                         \
    X(INGEST_HID, "an ingest hid rows")                                                            \
    X(INGEST_ABORTED, "an ingest was given up")                                                    \
    X(INGEST_DROPPED, "an ingest ended after its partition was dropped")                           \
    X(INGEST_FAILED, "an ingest failed by a fault")                                                \
    X(CRASH_IN_INGEST, "an image from an ingest")                                                  \
    X(CRASH_OVER_INGEST, "a crash while an ingest was under way")                                  \
    X(CHECKPOINT, "a checkpoint")                                                                  \
    X(CHECKPOINT_FAILED, "a checkpoint failed by a fault")                                         \
    X(CHECKPOINT_OVER, "a checkpoint over what an unfinished one had left")                        \
    X(CRASH_IN_CHECKPOINT, "an image from a checkpoint")                                           \
    X(COPY_EARLY, "an image from within the call has the whole copy")                              \
    X(BACKUP, "a backup")                                                                          \
    X(BACKUP_SHARED, "a backup shared files with an earlier one")                                  \
    X(BACKUP_CANCELLED, "a backup was ended by its caller")                                        \
    X(BACKUP_REMOVED, "a backup was removed")                                                      \
    X(BACKUP_FAILED, "a backup failed by a fault")                                                 \
    X(CRASH_IN_BACKUP, "an image from a call on backups")                                          \
    X(RESTORED, "a backup was restored")                                                           \
    X(CRASH_IN_RESTORE, "an image from a restore")                                                 \
    X(DEATH_THEN_POWER, "a power loss in the opening of what a dead process left")                 \
    X(DEATH_THEN_LOSS, "and it took what was pending")                                             \
    X(TTL_EXPIRED, "rows with a TTL were gone")                                                    \
    X(TTL_EXPIRED_IMAGE, "rows with a TTL were gone in an image")                                  \
    X(TTL_HELD, "a snapshot showed rows that had expired")                                         \
    X(TTL_CLOCK_BACK, "the clock stepped back beside rows with a TTL")                             \
    X(TTL_INGESTED, "rows with a TTL were ingested")                                               \
    X(TTL_COPIED, "a copy held rows with a TTL")                                                   \
    X(CRASH_IN_TTL, "an image from a change of rows with a TTL")                                   \
    X(FAULT_AFTER_CRASH, "a fault in a session that began with a crash")

enum world_reached {
#define WORLD_REACHED_ENUM(name, text) REACHED_##name,
    WORLD_REACHED(WORLD_REACHED_ENUM)
#undef WORLD_REACHED_ENUM
        REACHED_COUNT
};
const char *world_reached_text(enum world_reached what);

#define WORLD_DEPTH 4u

/* Sums over the histories of a run. */
struct world_report {
    uint64_t histories;
    uint64_t images;             /* opened and compared */
    uint64_t depth[WORLD_DEPTH]; /* by depth: 0 from a running database, 1 from the recovery of
                                    such an image, and so on */
    uint64_t repeated;           /* images equal to one just checked, not counted */
    uint64_t kills, powers;      /* images by kind */
    uint64_t operations;         /* compared with the model */
    uint64_t events;             /* environment calls that change files */
    uint64_t faults;             /* fired */
    uint64_t granules[9];        /* histories by granule: 16 << i */
    uint64_t subset;             /* histories with names in any order */
    uint64_t reached[REACHED_COUNT];
    uint64_t trace; /* of all that happened; for comparing two runs */
    /* The first failure. */
    bool failed;
    char check[32];     /* what kind of check failed */
    char message[4096]; /* what was found */
};

enum world_mode {
    WORLD_SWARM,     /* features drawn */
    WORLD_CANONICAL, /* a fixed history with all operations, images at every call */
    WORLD_SCRIPT,    /* the steps given, all images of small states */
};

struct world_options {
    enum world_mode mode;
    bool verbose;          /* tell each step */
    unsigned every;        /* CANONICAL: images at each call. SCRIPT: at most, if there are
                              more possible ones than that */
    const uint8_t *script; /* SCRIPT: numbers below WORLD_ALPHABET */
    size_t script_count;
    const struct simfs_fault *permanent; /* armed for good in slot 3 of every file system; NULL:
                                            none. A seeded bug */
    uint64_t images_max; /* ends the history when the report has this many; 0: no limit */
};

#define WORLD_ALPHABET 12u

/* From now on histories notice memory that the product does not give back. Once, before any other
 * call of the product. */
void world_engine_count_memory(void);
/* Runs one history and adds to the report; false if a check failed, which also ends it. */
bool world_engine_run(struct choice *choice, const struct world_options *options,
                      struct world_report *report);

#endif
