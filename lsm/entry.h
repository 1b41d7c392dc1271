/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine stores: versioned entries and range tombstones, and the one order of entries:
 * key ascending (bytewise), then sequence descending, so a key's newest version comes first. */
#ifndef LAMINA_LSM_ENTRY_H
#define LAMINA_LSM_ENTRY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

/* Stored in logs and SSTs; never renumbered. */
enum entry_kind {
    ENTRY_PUT = 1,
    ENTRY_DELETE = 2,
    ENTRY_DELETE_RANGE = 3, /* in batches only: SSTs and memtables keep range tombstones apart */
};

struct entry {
    struct lam_slice key;
    uint64_t sequence; /* 56 bits */
    enum entry_kind kind;
    struct lam_slice value; /* empty for DELETE */
};

/* Hides versions of keys in [from, to) with sequence <= upto, for readers at or above `sequence`.
 * An empty `to` has no end. */
struct range_tombstone {
    struct lam_slice from;
    struct lam_slice to;
    uint64_t upto;     /* bound, < sequence */
    uint64_t sequence; /* its own commit */
};

static inline int entry_cmp(struct lam_slice a_key, uint64_t a_sequence, struct lam_slice b_key,
                            uint64_t b_sequence) {
    int c = slice_cmp(a_key, b_key);
    if (c != 0)
        return c;
    return a_sequence > b_sequence ? -1 : a_sequence < b_sequence;
}
static inline bool range_tombstone_covers(const struct range_tombstone *t, struct lam_slice key) {
    return slice_cmp(t->from, key) <= 0 && (t->to.size == 0 || slice_cmp(key, t->to) < 0);
}

/* Internal iterator: memtable, SST, level, merge. Positioned entries are read from `entry`; their
 * slices live until the iterator moves. `code` is LAM_OK at an end, else what failed (in `error`).
 * One thread at a time. */
struct cursor_iter;
struct iter_ops {
    void (*seek_first)(struct cursor_iter *it);
    void (*seek_last)(struct cursor_iter *it);
    /* First entry at or after (key, sequence) in entry order. */
    void (*seek)(struct cursor_iter *it, struct lam_slice key, uint64_t sequence);
    /* Last entry before (key, sequence) in entry order. */
    void (*seek_before)(struct cursor_iter *it, struct lam_slice key, uint64_t sequence);
    void (*next)(struct cursor_iter *it);
    void (*prev)(struct cursor_iter *it);
    /* Releases what it holds and itself. */
    void (*free)(struct cursor_iter *it);
};
struct cursor_iter {
    const struct iter_ops *ops;
    bool valid;
    struct entry entry;
    enum lam_code code;
    struct lam_error error;
};

#endif
