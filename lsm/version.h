/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a partition at one moment: levels of SSTs. Immutable once made, reference-counted;
 * a change makes the next version, sharing the file_metas.
 *
 * Level 0 holds dumps, newest first, which may overlap. In a deeper level files are sorted and
 * disjoint: the part of the key space from one file's `smallest` up to the next one's is its own
 * (`largest` may be another file's `smallest` where it stems from the exclusive end of a range
 * tombstone). For every key, what is in a shallower source is newer than what is in a deeper one,
 * range tombstones included. */
#ifndef LAMINA_LSM_VERSION_H
#define LAMINA_LSM_VERSION_H

#include <stdatomic.h>

#include "lsm/manifest.h"
#include "lsm/range_set.h"

#define VERSION_LEVELS 7u

struct gc;
struct sst_cache;
/* One SST, whatever version or level holds it. */
struct file_meta {
    _Atomic uint32_t refs;
    bool largest_open;     /* holds a range tombstone without end */
    _Atomic bool obsolete; /* no manifest names it: remove the file when unreferenced */
    _Atomic bool sst_used; /* sst_cache's: used since its last turn to be closed */
    uint64_t partition;    /* number of the partition */
    uint64_t number;
    uint64_t size_bytes;
    uint64_t footer_checksum;
    struct lam_slice smallest; /* behind `ranges` */
    struct lam_slice largest;  /* the same */
    uint64_t smallest_head;    /* key_head of these */
    uint64_t largest_head;
    struct sst_properties properties;
    struct sst_cache *cache;   /* borrowed; may be NULL in tests */
    struct gc *gc;             /* borrowed; gets it when obsolete; may be NULL in tests */
    _Atomic uint64_t passed;   /* entries that iterators of users stepped over; a count to go by */
    _Atomic(struct sst *) sst; /* sst_cache's, written under its mutex: open handle or NULL */
    struct file_meta *next;    /* sst_cache's, under its mutex; in the end gc's */
    struct file_meta *prev;    /* sst_cache's, under its mutex */
    size_t range_count;
    struct range_tombstone ranges[]; /* copy of its range tombstones; their keys behind them */
};

/* Copies what it is given. Returns owned with one reference. */
MUST_CHECK enum lam_code file_meta_new(const struct manifest_file *file,
                                       const struct range_tombstone *ranges, size_t range_count,
                                       struct sst_cache *cache, struct gc *gc,
                                       struct file_meta **out, struct lam_error *err);
struct file_meta *file_meta_ref(struct file_meta *f);
void file_meta_unref(struct file_meta *f); /* NULL is allowed */
static inline uint64_t file_meta_passed(const struct file_meta *f) {
    return atomic_load_explicit(&f->passed, memory_order_relaxed);
}
/* The manifest's words for it; slices borrow the file_meta. */
void file_meta_describe(const struct file_meta *f, uint32_t level, struct manifest_file *out);

struct version_level {
    struct file_meta **files; /* references; part of the version */
    size_t count;
    uint64_t bytes;
    uint64_t entries; /* sums of the files' properties */
    uint64_t deletes;
    uint64_t range_tombstones;
};
/* One allocation: there may be thousands of partitions, most with files in one level. */
struct version {
    _Atomic uint32_t refs;
    uint32_t level_count;     /* levels up to the deepest that has files */
    struct range_set *ranges; /* range tombstones of all files; NULL: none; owned */
    const struct version_level *levels[VERSION_LEVELS]; /* among `filled`, or an empty one */
    struct version_level filled[]; /* those that may have files, and then their arrays of files */
};

struct version_added {
    struct file_meta *file; /* borrowed; the version takes its own reference */
    uint32_t level;
};
/* `base` (NULL: empty) without `removed` and with `added`. Returns owned with one reference. */
MUST_CHECK enum lam_code version_apply(const struct version *base,
                                       const struct version_added *added, size_t added_count,
                                       const struct manifest_removed *removed, size_t removed_count,
                                       struct version **out, struct lam_error *err);
struct version *version_ref(struct version *v);
void version_unref(struct version *v); /* NULL is allowed */

/* Whether the file may hold `key`, whose key_head is given: mostly the heads tell. */
static inline bool file_meta_spans(const struct file_meta *f, struct lam_slice key, uint64_t head) {
    if (head < f->smallest_head || (head > f->largest_head && !f->largest_open))
        return false;
    return (head > f->smallest_head || slice_cmp(f->smallest, key) <= 0) &&
           (f->largest_open || head < f->largest_head || slice_cmp(key, f->largest) <= 0);
}
/* The one file of a level > 0 that may hold `key`; NULL if none. */
struct file_meta *version_find(const struct version_level *level, struct lam_slice key);
/* Index of the last file whose smallest is <= key; `count` if there is none. */
size_t version_floor(const struct version_level *level, struct lam_slice key);
/* Whether the file holds anything in [from, to] (inclusive; `open`: no end). */
bool file_meta_overlaps(const struct file_meta *f, struct lam_slice from, struct lam_slice to,
                        bool open);
/* CORRUPT if a level > 0 is out of order. */
MUST_CHECK enum lam_code version_check(const struct version *v, struct lam_error *err);

#endif
