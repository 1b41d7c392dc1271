/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine stores: versioned entries and range tombstones, and the one order of entries:
 * key ascending (bytewise), then sequence descending, so a key's newest version comes first. */
#ifndef LAMINA_LSM_ENTRY_H
#define LAMINA_LSM_ENTRY_H

#include <stdatomic.h>
#include <stddef.h>

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

/* As slice_eq, for keys that mostly differ near their ends. */
static inline bool key_eq(struct lam_slice a, struct lam_slice b) {
    if (a.size != b.size)
        return false;
    if (a.size < 8)
        return slice_eq(a, b);
    return get_le64(a.data + a.size - 8) == get_le64(b.data + b.size - 8) &&
           get_le64(a.data) == get_le64(b.data) &&
           (a.size <= 16 || memcmp(a.data, b.data, a.size) == 0);
}

/* The first eight bytes as a number, a shorter key filled up with zeros: order of heads that differ
 * is the order of their keys. */
static inline uint64_t key_head(struct lam_slice key) {
    if (key.size >= 8)
        return get_be64(key.data);
    uint8_t padded[8] = {0};
    if (key.size)
        memcpy(padded, key.data, key.size);
    return get_be64(padded);
}

/* Internal iterator: memtable, SST, level, merge. Positioned entries are read from `entry`; their
 * slices live until the iterator moves. `code` is LAM_OK at an end, else what failed (in `error`).
 * One thread at a time. */
struct cursor_iter;
struct iter_ops {
    void (*seek_first)(struct cursor_iter *it);
    void (*seek_last)(struct cursor_iter *it);
    /* One step of three towards the `seek` to there that comes next: each fetches what the next
     * will look at, so that an iterator of many sources waits for the misses of all at once. NULL:
     * it has none. */
    void (*aim)(struct cursor_iter *it, struct lam_slice key, uint64_t sequence);
    /* First entry at or after (key, sequence) in entry order. */
    void (*seek)(struct cursor_iter *it, struct lam_slice key, uint64_t sequence);
    /* Last entry before (key, sequence) in entry order. */
    void (*seek_before)(struct cursor_iter *it, struct lam_slice key, uint64_t sequence);
    void (*next)(struct cursor_iter *it);
    void (*prev)(struct cursor_iter *it);
    /* To the first entry of the next key, past what there is of the present one. */
    void (*next_key)(struct cursor_iter *it);
    /* Whether prev surely leaves the key: no newer version of it stands before. False may also mean
     * that only moving would tell. */
    bool (*is_newest)(const struct cursor_iter *it);
    /* Moves past entries of which it knows that they stand before `bound` (forward; empty: to the
     * end) or from `bound` on (backward) and have sequences up to `upto`: as far as it can tell
     * without looking at each. False if it did not move. NULL: it never can. */
    bool (*skip)(struct cursor_iter *it, struct lam_slice bound, uint64_t upto, bool forward);
    /* Releases what it holds and itself, unless it is embedded. */
    void (*free)(struct cursor_iter *it);
};
struct cursor_iter {
    const struct iter_ops *ops;
    bool valid;
    struct entry entry;
    /* Counts entries of where it stands that its user had to step over; NULL: nobody asks. */
    _Atomic uint64_t *passed;
    enum lam_code code;
    bool embedded;          /* in memory of who made it: `free` leaves that alone */
    struct lam_error error; /* undefined while `code` is LAM_OK: it is large */
};
static inline void cursor_iter_init(struct cursor_iter *it, const struct iter_ops *ops) {
    memset(it, 0, offsetof(struct cursor_iter, error));
    it->ops = ops;
}
/* For OWNED; NULL is allowed. */
static inline void cursor_iter_drop(struct cursor_iter **at) {
    if (*at)
        (*at)->ops->free(*at);
}
/* What ended an iterator that is not valid; LAM_OK: there is no more. */
static inline enum lam_code cursor_iter_status(const struct cursor_iter *it,
                                               struct lam_error *err) {
    return it->code == LAM_OK ? LAM_OK : error_pass(err, it->code, &it->error);
}

#endif
