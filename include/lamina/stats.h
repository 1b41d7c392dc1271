/* SPDX-License-Identifier: Apache-2.0
 *
 * What a database and its partitions have done and hold: as structs, as text, and as estimates of
 * a range. All calls are thread-safe. Counters begin at open; sizes are those of the call. Values
 * that belong together are read under one lock, but not all of them under the same. */
#ifndef LAMINA_STATS_H
#define LAMINA_STATS_H

#include "lamina/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAM_LEVELS 7

/* SSTs of one level, as their metadata says. Versions and tombstones count as entries until a
 * compaction leaves them out. */
struct lam_level_stats {
    uint64_t files;
    uint64_t bytes;   /* on disk */
    uint64_t entries; /* puts and deletes in the files */
    uint64_t deletes; /* of entries */
    uint64_t range_tombstones;
};

/* How long one kind of call took, in nanoseconds. Of calls that take less than a microsecond or so
 * one in LAM_LATENCY_EVERY is timed. Percentiles are the middle of a histogram's bucket, at most
 * 1/16 off; what took over 17 minutes is in one bucket. */
#define LAM_LATENCY_EVERY 64
struct lam_latency {
    uint64_t count; /* calls timed */
    uint64_t mean_ns;
    uint64_t p50_ns;
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t max_ns; /* exact */
};

/* A database. */
struct lam_stats {
    uint64_t sequence;    /* newest committed */
    uint64_t partitions;  /* count */
    uint64_t writes;      /* batches committed */
    uint64_t operations;  /* operations in them */
    uint64_t put_bytes;   /* keys, values and bounds in them */
    uint64_t gets;        /* point reads; each key of lam_multi_get is one */
    uint64_t iterators;   /* made */
    uint64_t seeks;       /* of iterators, every kind */
    uint64_t wal_bytes;   /* appended */
    uint64_t wal_syncs;   /* fdatasync calls on the log */
    uint64_t sync_waits;  /* sync commits that waited; sync_waits / wal_syncs is the group */
    uint64_t dumps;       /* memtable rotations written */
    uint64_t dump_bytes;  /* SST bytes they wrote */
    uint64_t compactions; /* done, those that drop files unread included */
    uint64_t compaction_read_bytes;
    uint64_t compaction_write_bytes;
    uint64_t trivial_moves;  /* files moved a level down unread */
    uint64_t stalls;         /* commits that waited for room or were slowed by compaction debt */
    uint64_t stall_us;       /* time they took */
    uint64_t memtable_bytes; /* now, all memtables */
    uint64_t cache_bytes;    /* now, block cache */
    uint64_t table_bytes;    /* now, indexes and filters of open SSTs */
    uint64_t table_files;    /* now, open SSTs */
    uint64_t memory_bytes;   /* the sum of the three: what memory_budget limits */
    uint64_t memory_budget;  /* of the options */
    uint64_t cache_hits;
    uint64_t cache_misses;
    uint64_t filter_checks;
    uint64_t filter_negatives;     /* reads of a file saved */
    uint64_t sst_files;            /* now */
    uint64_t sst_bytes;            /* now */
    uint64_t debt_bytes;           /* now, what compaction is behind by */
    uint64_t background_errors;    /* failed dumps and compactions */
    uint64_t events_lost;          /* notices that a slow callback did not get */
    uint64_t snapshots;            /* open */
    uint64_t oldest_sequence;      /* of the oldest snapshot; 0: none is open */
    uint64_t oldest_age_us;        /* since it was made */
    uint64_t recovered_operations; /* replayed from the log at open */
    bool recovered_torn_tail;      /* open dropped an unfinished end of the log or the manifest */
    double write_amplification;    /* (log + dumps + compactions) / put_bytes; 0: nothing put */
    struct lam_level_stats levels[LAM_LEVELS]; /* all partitions */
    struct lam_latency put;                    /* commits without their wait for a sync */
    struct lam_latency get;
    struct lam_latency seek;
    struct lam_latency sync;       /* waits of sync commits and lam_sync; all are timed */
    struct lam_latency dump;       /* all are timed */
    struct lam_latency compaction; /* all are timed, moves and drops included */
};
/* Nothing but zeros if `db` is NULL. */
LAM_API void lam_db_stats(lam_db *db, struct lam_stats *stats_out);

/* A partition. Block cache, log syncs and pacing are the database's. */
struct lam_partition_stats {
    uint64_t puts; /* operations committed */
    uint64_t deletes;
    uint64_t range_deletes;
    uint64_t put_bytes; /* keys, values and bounds in them */
    uint64_t gets;
    uint64_t iterators; /* made */
    uint64_t seeks;
    uint64_t wal_bytes;  /* of its operations, without the heads of their records */
    uint64_t dumps;      /* memtables written */
    uint64_t dump_bytes; /* SST bytes they wrote */
    uint64_t compactions;
    uint64_t compaction_us; /* time they took */
    uint64_t compaction_read_bytes;
    uint64_t compaction_write_bytes;
    uint64_t trivial_moves;
    uint64_t filter_checks;
    uint64_t filter_negatives;
    uint64_t memtable_bytes;    /* now */
    uint64_t memtable_entries;  /* now: puts and deletes in them */
    uint64_t sst_files;         /* now */
    uint64_t sst_bytes;         /* now */
    uint64_t debt_bytes;        /* now */
    uint64_t pinned_bytes;      /* now, of SSTs that may keep what only the oldest snapshot sees */
    double write_amplification; /* (log + dumps + compactions) / put_bytes; 0: nothing put */
    struct lam_level_stats levels[LAM_LEVELS];
    struct lam_latency put; /* commits that write to it only */
    struct lam_latency get;
    struct lam_latency seek;
};
/* NOT_FOUND once the partition is dropped. */
LAM_API LAM_MUST_CHECK enum lam_code lam_partition_stats(lam_db *db, lam_partition *partition,
                                                         struct lam_partition_stats *stats_out,
                                                         struct lam_error *err);

/* The same as text, one thing a line, in the order of the structs: a field's name and its number;
 * "level" with its number and "latency" with its kind, then names and numbers in turn. Words are
 * separated by blanks; lines and words are only ever added. Writes at most `capacity` bytes with
 * a NUL (nothing if it is 0) and gives in `*size_out` the length of the whole text without NUL: if
 * that is `capacity` or more, the text was cut. LAM_STATS_TEXT_MAX is always enough. */
#define LAM_STATS_TEXT_MAX 8192
LAM_API LAM_MUST_CHECK enum lam_code lam_db_stats_text(lam_db *db, char *text, size_t capacity,
                                                       size_t *size_out, struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_partition_stats_text(lam_db *db, lam_partition *partition,
                                                              char *text, size_t capacity,
                                                              size_t *size_out,
                                                              struct lam_error *err);

/* About how much of a partition lies in [from, to); an empty `from` or `to` is no bound, `from`
 * above `to` an empty range. Reads no data block: files wholly inside count as their metadata says,
 * of a file that the range cuts the index tells which blocks. `bytes_out`: bytes on disk, and keys
 * and values in memtables. `entries_out`: puts and deletes, versions that are hidden included; the
 * entries of a cut file go by its share of bytes. Either may be NULL.
 *
 * Memtables are counted exactly, in a pass over their part of the range. Each end of the range that
 * falls into a file adds at most the bytes of one block (of level 0 there may be many files) and
 * the entries that these bytes hold on the file's average. Where entries of a file vary in size the
 * entries of a cut file vary with it. NOT_FOUND once the partition is dropped. */
LAM_API LAM_MUST_CHECK enum lam_code lam_partition_size(lam_db *db, lam_partition *partition,
                                                        struct lam_slice from, struct lam_slice to,
                                                        uint64_t *bytes_out, uint64_t *entries_out,
                                                        struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
