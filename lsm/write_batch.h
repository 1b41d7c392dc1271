/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch in the form that goes to the log: a 32-bit count, then the operations
 *     { kind, partition number varint, key, value }          PUT
 *     { kind, partition number varint, key }                 DELETE
 *     { kind, partition number varint, from, to, upto varint }   DELETE_RANGE
 * where keys and values have a varint length before them. Operation i of a batch whose record has
 * sequence s gets sequence s + i. */
#ifndef LAMINA_LSM_WRITE_BATCH_H
#define LAMINA_LSM_WRITE_BATCH_H

#include "base/buf.h"
#include "lamina/db.h"
#include "lsm/entry.h"

#define WRITE_BATCH_HEAD 4u

/* A partition that a batch writes to. */
struct batch_partition {
    lam_partition *partition; /* owned reference */
    uint64_t number;
    size_t bytes;           /* memtable bounds of its puts and deletes */
    size_t range_bytes;     /* memtable bounds of its range deletes */
    struct memtable *index; /* indexed batches: its operations; NULL otherwise; owned */
};

struct lam_batch {
    lam_db *db;         /* borrowed */
    struct buf payload; /* count and operations; at least WRITE_BATCH_HEAD bytes */
    uint32_t count;
    struct batch_partition *touched; /* owned array, in order of first use */
    size_t touched_count;
    size_t touched_capacity;
    size_t last;           /* index in `touched` of the newest operation's partition */
    uint32_t *slots;       /* hash of number -> index + 1, once there are many; owned */
    size_t slot_count;     /* power of two, or 0 */
    uint64_t value_offset; /* in `payload`: where the newest put's value starts */
    bool indexed;          /* can be read (batch_index.c) */
};

/* One operation read back; slices borrow the payload. */
struct batch_op {
    enum entry_kind kind;
    uint64_t partition;
    struct lam_slice key;   /* or `from` */
    struct lam_slice value; /* PUT */
    struct lam_slice to;    /* DELETE_RANGE; empty: no end */
    uint64_t upto;          /* DELETE_RANGE, as given */
};
struct batch_reader {
    struct cursor cursor;
    uint32_t count; /* operations the head announces */
};

/* CORRUPT for what write_batch functions cannot make. */
MUST_CHECK enum lam_code batch_reader_init(struct batch_reader *r, struct lam_slice payload,
                                           struct lam_error *err);
/* Reads the next operation; call it `count` times, then batch_reader_finish. */
MUST_CHECK enum lam_code batch_reader_next(struct batch_reader *r, struct batch_op *op_out,
                                           struct lam_error *err);
MUST_CHECK enum lam_code batch_reader_finish(struct batch_reader *r, struct lam_error *err);

/* Embedded life cycle of a batch; lam_batch_new and _free are the heap one. */
MUST_CHECK enum lam_code write_batch_init(struct lam_batch *b, lam_db *db, struct lam_error *err);
void write_batch_fini(struct lam_batch *b);
/* The entry of `touched` for a partition number that the batch holds; NULL: it does not. */
struct batch_partition *write_batch_find(struct lam_batch *b, uint64_t number);
/* The same, made if it is not there. */
MUST_CHECK enum lam_code write_batch_touch(struct lam_batch *b, lam_partition *p,
                                           struct batch_partition **out, struct lam_error *err);
/* Forgets the partitions after the first `count`. */
void write_batch_untouch(struct lam_batch *b, size_t count);

/* --- indexed batches (batch_index.c) ---------------------------------------------------------- */

/* Operation i has sequence BATCH_INDEX_FROM + i in the index: above what any reader of the
 * database sees. */
#define BATCH_INDEX_FROM (1ull << 55)
/* Puts operation `ordinal` of `b` into an index that has room for it. */
void batch_index_add(const struct lam_batch *b, struct memtable *index, const struct batch_op *op,
                     uint32_t ordinal);
/* A moment of a batch, to go back to. */
struct batch_mark {
    size_t bytes; /* of the payload */
    size_t touched_count;
    uint32_t count;
};
void batch_index_mark(const struct lam_batch *b, struct batch_mark *mark_out);
/* Forgets the operations since. Iterators made before keep what they show. On failure nothing has
 * changed. */
MUST_CHECK enum lam_code batch_index_rewind(struct lam_batch *b, const struct batch_mark *mark,
                                            struct lam_error *err);
/* `upto` of a range delete that committed with `sequence`: never its own sequence or later. */
static inline uint64_t batch_clamp_upto(uint64_t upto, uint64_t sequence) {
    return upto < sequence ? upto : sequence - 1;
}

#endif
