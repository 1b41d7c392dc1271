/* SPDX-License-Identifier: Apache-2.0
 *
 * Which versions somebody can still see. The open snapshots cut the sequences into stripes: all
 * versions of a key between two neighbouring snapshots are seen by the same readers, so only the
 * newest of a stripe counts, and not even that one if a range tombstone of the stripe or an older
 * one hides it. A tombstone in the oldest stripe, seen by everybody, goes when nothing older can
 * lie below. */
#ifndef LAMINA_LSM_RETAIN_H
#define LAMINA_LSM_RETAIN_H

#include "lsm/entry.h"
#include "lsm/range_set.h"

struct retain {
    const uint64_t *snapshots; /* ascending; borrowed */
    size_t snapshot_count;
    const struct range_set *ranges; /* may be NULL; borrowed */
    struct buf key;                 /* of the last entry */
    bool has_key;
    uint64_t sequence; /* of the last entry */
    uint64_t stripe;   /* of the last entry */
};

void retain_init(struct retain *r, const uint64_t *snapshots, size_t count,
                 const struct range_set *ranges);
void retain_fini(struct retain *r);
enum retain_step {
    RETAIN_NEW_KEY,  /* a file may be cut before the entry */
    RETAIN_SAME_KEY, /* an older version of the last one's, or that same version */
    RETAIN_DISORDER, /* it does not come after the last one: nothing was noted */
};
/* Entries come in entry order. */
MUST_CHECK enum lam_code retain_next(struct retain *r, const struct entry *e,
                                     enum retain_step *step_out, struct lam_error *err);
/* Whether the entry last given to retain_next must be kept. */
bool retain_entry(struct retain *r, const struct entry *e, bool new_key, bool nothing_below);
/* Whether every reader, now or later, sees what has this sequence. */
bool retain_seen_by_all(const struct retain *r, uint64_t sequence);
/* Removes tombstones that another one of the same range and stripe makes superfluous; returns the
 * new count. Reorders. */
size_t retain_ranges(const struct retain *r, struct range_tombstone *items, size_t count);

#endif
