/* SPDX-License-Identifier: Apache-2.0
 *
 * The concurrent world: writers, a reader of snapshots, a holder of iterators and a thread that
 * dumps, compacts, makes and drops partitions, with background lanes, on one database under the
 * scheduler and a simulated file system.
 *
 * No order of commits is known beforehand. Each writer has keys of its own in the partitions that
 * all share, and its n-th batch is a function of the seed; so what a partition holds is a function
 * of how many batches of each writer there are: the vector. Whatever is read, from a snapshot, by
 * an iterator, out of a crash image, must be the content of one vector to the last byte, in all
 * partitions; and the vector must agree with what was acknowledged, what was issued and, as soon as
 * they are known, the sequences of the commits:
 *
 *   T1  A commit that returned before another was called has the smaller sequence.
 *   T2  A snapshot has all that was acknowledged before it, and just the commits up to its
 * sequence. T3  What a snapshot or an iterator shows never changes. T4  An image holds what was
 * acknowledged (for a power loss: as synced) and nothing not issued. T5  If an image lacks a
 * commit, it lacks all with higher sequences, whoever's. T6  A commit that failed cleanly is never
 * seen; one of unknown outcome whole or not at all. T7  A partition whose making or end was
 * acknowledged is there or not there in every image. T8  Transactions
 * lose no update, serialisable ones do not skew, an ingest is there as a whole, and durable when it
 * returned (world_threads_shared.c). T9  A checkpoint is such a vector, too, and a backup; one that
 * was acknowledged is in every image. T10  A range delete up to a snapshot's sequence hides what
 * the snapshot showed and nothing else (world_threads_queue.c). T11  A write into a partition that
 * is being dropped is done or refused, whoever made it (world_threads_guest.c). */
#ifndef LAMINA_TESTS_SIM_WORLD_THREADS_H
#define LAMINA_TESTS_SIM_WORLD_THREADS_H

#include "tests/sim/sched.h"

/* What a run that is long enough must have met. */
#define THREADS_REACHED(X)                                                                         \
    X(GROUP, "one sync of the log served several commits")                                         \
    X(STALL, "a writer waited for room")                                                           \
    X(DUMP, "a background dump")                                                                   \
    X(COMPACTION, "a background compaction")                                                       \
    X(SNAPSHOT_AGAIN, "a snapshot was read again after a dump or compaction")                      \
    X(SNAPSHOT_BETWEEN, "a snapshot lay between commits of several writers")                       \
    X(ITER_OVER_DROP, "an iterator was read after its partition was dropped")                      \
    X(IN_FLIGHT_KEPT, "an image holds a commit not acknowledged yet")                              \
    X(IN_FLIGHT_LOST, "an image lacks a commit in flight")                                         \
    X(TAIL_LOST, "an image lacks commits acknowledged at OS durability")                           \
    X(NESTED, "an image from the recovery of an image")                                            \
    X(FAULT, "an injected fault hit the log")                                                      \
    X(GROUP_FAILED, "several commits failed by one sync")                                          \
    X(FAILED_CLEAN, "a commit failed cleanly and was tried again")                                 \
    X(UNKNOWN_KEPT, "a commit of unknown outcome was there after the reopen")                      \
    X(UNKNOWN_GONE, "a commit of unknown outcome was gone after the reopen")                       \
    X(NO_THREADS, "background work in the threads that asked for it")                              \
    X(TXN_CONFLICT, "a transaction met a conflict")                                                \
    X(TXN_NO_SKEW, "a serialisable transaction met a conflict by what it read")                    \
    X(TXN_BATCH, "a writer's batch was a transaction")                                             \
    X(INGEST, "an ingest was published among writers")                                             \
    X(QUEUE_CUT, "a range delete up to a snapshot left what came after it")                        \
    X(CHECKPOINT, "a checkpoint was made among writers")                                           \
    X(BACKUP, "a backup was made among writers")                                                   \
    X(GUEST, "a partition that comes and goes was written to by another thread")                   \
    X(GUEST_LATE, "a write came too late for a partition that was being dropped")                  \
    X(CRASHED, "the process died among running threads and went on from the image")

enum threads_reached {
#define THREADS_REACHED_ENUM(name, text) THREADS_##name,
    THREADS_REACHED(THREADS_REACHED_ENUM)
#undef THREADS_REACHED_ENUM
        THREADS_REACHED_COUNT
};
const char *threads_reached_text(enum threads_reached what);

/* Sums over worlds. */
struct threads_report {
    uint64_t worlds;
    uint64_t commits;
    uint64_t operations; /* commits, and entries read that were compared */
    uint64_t images;     /* crash images opened and compared */
    uint64_t points, switches;
    uint64_t faults; /* fired */
    uint64_t reached[THREADS_REACHED_COUNT];
};

/* Two runs of one seed must give the same. */
struct threads_trace {
    uint64_t schedule; /* of all runs of the world */
    uint64_t files;    /* of every call to the file system */
    uint64_t content;  /* at the end */
};

/* Runs the world of a seed. What is wrong goes to stdout, then `failed` is called, which does not
 * return. */
void threads_world(uint64_t seed, struct threads_report *report, struct threads_trace *trace_out,
                   void (*failed)(void));

#endif
