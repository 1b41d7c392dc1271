/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of a database, a partition, a write and a read: all there are. All-zero means defaults
 * everywhere, and so does NULL in the place of any of them. */
#ifndef LAMINA_OPTIONS_H
#define LAMINA_OPTIONS_H

#include "lamina/env.h"
#include "lamina/event.h"

#ifdef __cplusplus
extern "C" {
#endif

enum lam_compression {
    LAM_COMPRESSION_DEFAULT = 0, /* the database's; of the database: LZ4 */
    LAM_COMPRESSION_NONE = 1,
    LAM_COMPRESSION_LZ4 = 2, /* in every level */
};

/* How a database is opened; copied by lam_db_open. The defaults need no tuning: what is worth a
 * look is memory_budget, durability, and the callbacks. A value or a combination that is not
 * allowed is INVALID and named with what is, before anything is made. */
struct lam_options {
    lam_env *env;        /* NULL: lam_env_posix(); must outlive the database */
    bool must_exist;     /* fail with NOT_FOUND instead of making a database */
    bool must_not_exist; /* fail with EXISTS instead of opening one; not with the other two */
    bool read_only; /* no write, no background work; files are left as they are. A database whose
                       directory has no LOCK file, such as a checkpoint nobody wrote to, may be
                       open so many times at once. Batches and transactions can be made and read;
                       what writes is READ_ONLY */
    uint64_t memory_budget; /* bytes for memtables and caches: more of it means fewer reads and less
                               compaction. 0: 256 MiB; at least 4 MiB */
    enum lam_durability durability;   /* of writes that do not say; DEFAULT: OS */
    enum lam_compression compression; /* of partitions that do not say */
    uint32_t block_bytes;         /* uncompressed size of an SST block: what a cold read fetches.
                                     0: 8 KiB; 512 to 1 MiB, at most a 32nd of memory_budget */
    uint32_t filter_bits_per_key; /* bloom filter: more bits save more needless reads. 0: 10; at
 most 64 */
    uint32_t open_files;    /* SSTs held open at most. 0: 500, or half of what the process may have
                               open; at least 16, and 32 below what the process may */
    bool manual_background; /* no background tasks: dumps and compactions run inside the write that
                               makes them due, or when asked for. For tests and tools */
    lam_event_fn on_event;  /* NULL: none; lamina/event.h says when and where they are called */
    void *event_arg;
    lam_log_fn on_log; /* NULL: nothing is logged */
    void *log_arg;
};

/* How a partition is made; all but may_exist is stored with it, and stays. */
struct lam_partition_options {
    enum lam_compression compression;
    uint32_t ttl_seconds; /* 0: none. Else whole SSTs go soon after their newest write is older than
                             this: meant for keys that rise with time, since a compaction that takes
                             a new entry makes all beside it new. The owner hides single expired
                             entries himself */
    bool may_exist;       /* open one that is there, whatever its options, instead of EXISTS */
};

struct lam_write_options {
    enum lam_durability durability;
};

/* What a read or an iterator sees. Slices are borrowed for the duration of the call that takes
 * them; lam_iter_new copies them. Bounds and prefix hold together: an iterator shows the keys that
 * all of them allow, and none where that leaves none. */
struct lam_read_options {
    const lam_snapshot *snapshot; /* NULL: the newest committed state */
    struct lam_slice lower;       /* iterators: first key, inclusive; empty: none */
    struct lam_slice upper;       /* iterators: end, exclusive; empty: none */
    struct lam_slice prefix;      /* iterators: only keys that start with this; empty: all */
    bool keys_only;               /* iterators: values are not wanted, and empty */
};

#ifdef __cplusplus
}
#endif
#endif
