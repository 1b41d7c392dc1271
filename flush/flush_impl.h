/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of flush share: the layer's object and what it keeps per table.
 *
 * Locks: `jobs_mu` (RANK_FLUSH) is taken with nothing held; the others are RANK_COLD, or RANK_CACHE
 * for the open files, which the engine asks for under its own locks. They are never nested and are
 * never held over a call of the engine or the environment's files. Reading paths take no others,
 * since writers call them under a table's stripe. */
#ifndef LAMINA_FLUSH_FLUSH_IMPL_H
#define LAMINA_FLUSH_FLUSH_IMPL_H

#include "base/assert.h"
#include "base/env.h"
#include "flush/flush.h"
#include "flush/parquet/parquet.h"
#include "flush/segment.h"
#include "flush/tuning.h"

#define FLUSH_NEVER UINT64_MAX

struct table_cold;
struct cold_file;

/* A flush that is running, and those who wait for it. */
struct flush_run {
    struct flush_run *next;
    uint64_t table;
    bool done;
    unsigned waiters;
    enum lam_code code;
    struct lam_error error; /* if code is not LAM_OK */
    struct flush_result result;
};

struct flush {
    lam_db *db;                        /* borrowed; outlives this */
    _Atomic(struct catalog *) catalog; /* borrowed; outlives this; set right after the making */
    lam_env *env;
    const char *directory; /* of the database */
    bool read_only;
    uint8_t identity[16]; /* of the database */
    struct flush_tuning tuning;

    struct mutex jobs_mu; /* RANK_FLUSH */
    struct cond jobs_cond;
    struct flush_jobs_guarded {
        struct flush_run *runs; /* owned by their runners */
        bool starting, started; /* the work of attaching */
    } jobs_guarded_;

    struct mutex tables_mu; /* RANK_COLD */
    struct flush_tables_guarded {
        struct table_cold **items; /* those seen since open; owned references */
        size_t count, capacity;
    } tables_guarded_;

    struct mutex files_mu; /* RANK_CACHE: files are given up under the engine's locks */
    struct flush_files_guarded {
        struct cold_file **items; /* open segment files; owned references */
        size_t count, capacity;
        uint64_t clock; /* rises with each use */
    } files_guarded_;

    struct mutex timer_mu; /* RANK_COLD */
    struct flush_timer_guarded {
        uint64_t tick_at; /* monotonic us of the earliest tick submitted; FLUSH_NEVER: none */
    } timer_guarded_;
    struct mutex copies_mu; /* RANK_COLD */
    struct cond copies_cond;
    struct flush_copies_guarded {
        unsigned copies;   /* of the database under way: no cold file is removed */
        unsigned removals; /* of cold files under way */
    } copies_guarded_;
    atomic_bool stopping; /* policies' flushes give up: set while the database tries to close */
};

static inline struct flush_jobs_guarded *flush_jobs(struct flush *f) REQUIRES(f->jobs_mu) {
    return &f->jobs_guarded_;
}
static inline struct flush_tables_guarded *flush_tables(struct flush *f) REQUIRES(f->tables_mu) {
    return &f->tables_guarded_;
}
static inline struct flush_files_guarded *flush_files(struct flush *f) REQUIRES(f->files_mu) {
    return &f->files_guarded_;
}
static inline struct flush_timer_guarded *flush_timer(struct flush *f) REQUIRES(f->timer_mu) {
    return &f->timer_guarded_;
}

static inline struct flush_copies_guarded *flush_copies(struct flush *f) REQUIRES(f->copies_mu) {
    return &f->copies_guarded_;
}

static inline bool table_has_users(const struct provider *p) {
    return p->kind == TABLE_USER || p->kind == TABLE_STREAM;
}
static inline uint64_t flush_clock_us(struct flush *f) {
    return env_monotonic_ns(f->env) / 1000;
}

/* The layer's object without the work of attaching; takes no lock below RANK_DB_OPEN. */
MUST_CHECK enum lam_code flush_object(lam_db *db, struct flush **flush_out, struct lam_error *err);

/* Base directory and templates of a storage, in the arena. */
struct storage_place {
    const char *base;
    const char *shared_template; /* may be empty */
    const char *user_template;   /* may be empty */
};
MUST_CHECK enum lam_code storage_place_get(struct flush *f, struct lam_slice storage,
                                           struct arena *arena, struct storage_place *out,
                                           struct lam_error *err);

/* --- flush_job.c --- */
/* flush_table for some users only (a USER table; sorted by bytes), or for all with user_count 0.
 * `by_policy`: gives up when the database closes. */
MUST_CHECK enum lam_code flush_table_users(struct flush *f, struct provider *p,
                                           const struct lam_slice *users, size_t user_count,
                                           bool by_policy, struct flush_result *result_out,
                                           struct lam_error *err);

/* --- policy.c --- */
/* Schedules the interval policies of all tables. */
MUST_CHECK enum lam_code policy_start(struct flush *f, struct lam_error *err);

/* --- dropped.c --- */
/* Removes files of dropped tables unless one of those tables is being read. */
MUST_CHECK enum lam_code doomed_remove(struct flush *f, struct lam_error *err);

/* --- orphan.c --- */
/* Removes files of ours that no manifest names; with `check` it only tells them. Nothing may be
 * flushing. */
MUST_CHECK enum lam_code orphans_remove(struct flush *f, struct db_check *check,
                                        struct lam_error *err);
/* The part of a file's name that marks it as this table's of this database. */
uint32_t segment_file_tag(const struct flush *f, struct table_id table, uint64_t number);

/* --- check_segment.c --- */
/* Whether a segment's file is the one that was written, whole, and what its entry says of it.
 * CORRUPT names the file, and the place in it where there is one. */
MUST_CHECK enum lam_code segment_check(struct flush *f, struct provider *p, const struct segment *s,
                                       struct lam_error *err);

/* --- copy.c --- */
/* Begins removing cold files that the catalog names no more; false while the database is copied:
 * then they stay until that is over, or until the next open. */
bool flush_removal_begin(struct flush *f);
void flush_removal_end(struct flush *f);

/* --- export_json.c --- */
/* Rewrites schema_v<N>.json, current.json and the manifest.json of the users' folders, as of now.
 * Derived from the catalog and read by nobody here. */
MUST_CHECK enum lam_code export_json(struct flush *f, struct provider *p,
                                     const struct lam_slice *users, size_t user_count,
                                     struct lam_error *err);

#endif
