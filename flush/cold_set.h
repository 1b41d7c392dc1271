/* SPDX-License-Identifier: Apache-2.0
 *
 * What flush keeps per table, over all versions of its provider: segment sets by user, the open
 * files shared by all tables, numbers of files, and the counts that policies look at.
 *
 * A segment set is what the segments partition says of one user at one snapshot: immutable and
 * shared. It is cached: between two flushes of a table its sets do not change, so a set read at one
 * snapshot holds for all snapshots at or after the last flush's commit. `epoch` is odd while a
 * flush commits. A reader took his snapshot before he looks at `epoch`; if his snapshot has the
 * commit, he therefore sees the epoch odd or the commit's sequence in `last_commit`. */
#ifndef LAMINA_FLUSH_COLD_SET_H
#define LAMINA_FLUSH_COLD_SET_H

#include "flush/flush_impl.h"

struct segment_set {
    atomic_uint refs;
    struct arena arena;
    struct segment *items; /* by number; of the arena */
    size_t count;
};

struct user_state {
    uint8_t *user; /* owned; NULL: free slot. SHARED tables have one, of size 0 */
    size_t user_size;
    uint64_t rows; /* written since the last flush, as far as `counted` */
    bool counted;
    struct segment_set *set; /* reference or NULL */
    uint64_t set_epoch;      /* the set holds while epoch is this */
};

struct table_cold {
    atomic_uint refs;
    struct flush *flush; /* not to be used once the database closes */
    struct table_id table;
    atomic_uint readers;       /* scans and lookups under way */
    atomic_ullong epoch;       /* the flush's commit writes; acquire-release */
    atomic_ullong last_commit; /* sequence of the last flush; UINT64_MAX: not known */
    atomic_bool has_segments;  /* false: no user has one */
    atomic_bool doomed;        /* DROP TABLE has asked for the files: no more of them. Set by mu */
    struct mutex mu;           /* RANK_COLD */
    struct table_cold_guarded {
        struct user_state *slots; /* hash table; owned */
        size_t slot_count;        /* power of two, or 0 */
        size_t used;
        bool all_known; /* users without a slot have no rows to count */

        uint64_t next_number;     /* of a segment */
        uint64_t reserved_number; /* numbers below are noted as taken in the partition */

        struct env_names pending; /* files of the running flush, as DROP TABLE wants them named */

        bool rows_due;             /* some user has reached the policy's rows */
        bool interval_armed;       /* interval_from_us is set */
        uint64_t interval_from_us; /* monotonic: last flush, or first sight */
        uint64_t retry_at_us;      /* after a failure: not before; 0: none */
    } guarded_;
};

static inline struct table_cold_guarded *table_cold_state(struct table_cold *t) REQUIRES(t->mu) {
    return &t->guarded_;
}

/* The table's object, made on first use; a borrow as long as the provider. Not for STREAM. */
MUST_CHECK enum lam_code table_cold_of(struct provider *p, struct table_cold **out,
                                       struct lam_error *err);
struct table_cold *table_cold_ref(struct table_cold *t);
void table_cold_unref(struct table_cold *t);
/* The slot of a user, made if need be; NULL if there is no memory. */
struct user_state *table_cold_user(struct table_cold *t, struct lam_slice user) REQUIRES(t->mu);

/* A reader announces himself, so that files of a dropped table stay until he is done. 42P01 if the
 * table is dropped. */
MUST_CHECK enum lam_code table_cold_enter(struct table_cold *t, struct provider *p,
                                          struct lam_error *err);
void table_cold_leave(struct table_cold *t, struct provider *p);

/* The segments of a user (empty for a SHARED table) at a snapshot; NULL when there are none. */
MUST_CHECK enum lam_code segment_set_get(struct table_cold *t, struct provider *p,
                                         const lam_snapshot *snapshot, struct lam_slice user,
                                         struct segment_set **set_out, struct lam_error *err);
/* The same past the cache. */
MUST_CHECK enum lam_code segment_set_load(struct flush *f, struct provider *p,
                                          const lam_snapshot *snapshot, struct lam_slice user,
                                          struct segment_set **set_out, struct lam_error *err);
void segment_set_unref(struct segment_set *s);
OWNED_POINTER(struct segment_set, segment_set_unref)

/* Calls `fn` for each segment that the table has now, of all users, with its storage's base
 * directory; both are valid in the call. */
typedef enum lam_code (*segment_fn)(void *arg, const struct segment *s, const char *base,
                                    struct lam_error *err);
MUST_CHECK enum lam_code segments_each(struct flush *f, struct provider *p, segment_fn fn,
                                       void *arg, struct lam_error *err);

/* An open segment file. */
struct cold_file {
    atomic_uint refs;
    uint64_t table;
    uint64_t number;
    uint64_t used;                 /* clock of the last use; by files_mu */
    struct parquet_reader *reader; /* owned */
};
/* Opens a segment's file or shares an open one; checks that it is the file that was written. A file
 * that is missing or differs is CORRUPT, naming it. */
MUST_CHECK enum lam_code cold_file_get(struct flush *f, struct table_id table,
                                       const struct segment *segment, struct cold_file **out,
                                       struct lam_error *err);
void cold_file_unref(struct cold_file *file);
OWNED_POINTER(struct cold_file, cold_file_unref)
/* Lets go of a table's files. */
void cold_files_forget(struct flush *f, struct table_id table);
/* Closes those that nobody reads; `flush` is the layer. Takes files_mu only. */
void cold_files_close_idle(void *flush);
void cold_files_fini(struct flush *f);

#endif
