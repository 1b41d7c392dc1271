/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches that can be read before they are written, and optimistic transactions over any number of
 * partitions of one database. */
#ifndef LAMINA_TXN_H
#define LAMINA_TXN_H

#include "lamina/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- indexed batches ----------------------------------------------------------------------- */

/* A batch as lam_batch_new makes it, whose operations can be read back over the database. It keeps
 * keys and values a second time. Returns owned; lam_batch_free. */
LAM_API LAM_MUST_CHECK enum lam_code lam_batch_new_indexed(lam_db *db, lam_batch **batch_out,
                                                           struct lam_error *err);
/* lam_get as if the batch were committed over what `options` sees. INVALID for a batch without
 * index. */
LAM_API LAM_MUST_CHECK enum lam_code lam_batch_get(lam_batch *batch,
                                                   const struct lam_read_options *options,
                                                   lam_partition *partition, struct lam_slice key,
                                                   struct lam_value *value, struct lam_error *err);
/* lam_iter_new as if the batch were committed. What the batch gets while the iterator is open shows
 * after its next seek, and may show before; after lam_batch_reset or lam_batch_free it goes on with
 * what there was. Used by the batch's thread. */
LAM_API LAM_MUST_CHECK enum lam_code lam_batch_iter_new(lam_batch *batch,
                                                        const struct lam_read_options *options,
                                                        lam_partition *partition,
                                                        lam_iter **iter_out, struct lam_error *err);

/* --- transactions -------------------------------------------------------------------------- */

/* An optimistic transaction: it reads one moment, that of its begin, with its own writes over it,
 * takes no lock, and writes all at its commit, unless somebody else changed what it depends on.
 *
 * A commit is a CONFLICT when after the begin another commit, of a transaction or not, put or
 * deleted a key, or deleted a range with the key in it, that this transaction wrote or read for
 * update; or any key inside a range that it deletes. That is snapshot isolation: no lost update,
 * but write skew is possible between transactions that read what the other writes. With
 * `serializable` every key read, found or not, and every range that an iterator may show are
 * checked, too, and transactions are as if they had run one after the other, in the order of their
 * commits.
 *
 * A conflict is reported, though nothing of importance happened, when: a key was written with the
 * value it had; a range delete hid nothing of the key (the key was not there, or it lies above the
 * delete's bound); a range delete's own range holds keys of the other commit that a reader
 * never saw; an iterator did not come to the changed key within its bounds. Give iterators of
 * serialisable transactions bounds.
 *
 * A transaction is one thread's at a time. It is made for short lives: its snapshot makes
 * compaction keep every version since, and keeps files of expired partitions; what it reads and
 * writes is in memory, some hundred bytes and the data a key. What is checked at the commit costs
 * about a read each, and a walk over what was written lately for each range; only what was
 * committed during that check is looked at with other commits waiting. */
typedef struct lam_txn lam_txn;

struct lam_txn_options {
    bool serializable; /* reads count for conflicts */
};

/* Begins. `options` may be NULL. Returns owned: each transaction ends with lam_txn_commit or
 * lam_txn_rollback, and while it has not, lam_db_close is BUSY. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_begin(lam_db *db,
                                                   const struct lam_txn_options *options,
                                                   lam_txn **txn_out, struct lam_error *err);
/* The moment it reads; valid until its end. */
LAM_API const lam_snapshot *lam_txn_snapshot(const lam_txn *txn);

/* lam_get of its snapshot with its writes. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_get(lam_txn *txn, lam_partition *partition,
                                                 struct lam_slice key, struct lam_value *value,
                                                 struct lam_error *err);
/* The same, and the commit is a CONFLICT if the key changes before it, even if this transaction
 * does not write it. NOT_FOUND is tracked as well: it may be made by somebody else. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_get_for_update(lam_txn *txn, lam_partition *partition,
                                                            struct lam_slice key,
                                                            struct lam_value *value,
                                                            struct lam_error *err);
/* lam_iter_new of its snapshot with its writes; writes made later show after a seek, as in
 * lam_batch_iter_new. `options` may be NULL; its snapshot must be NULL. The iterator may outlive
 * the transaction; after a rollback it goes on with what there was when it was made. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_iter_new(lam_txn *txn,
                                                      const struct lam_read_options *options,
                                                      lam_partition *partition, lam_iter **iter_out,
                                                      struct lam_error *err);

/* As the operations of a batch, with their limits; after an error the transaction is as it was. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_put(lam_txn *txn, lam_partition *partition,
                                                 struct lam_slice key, struct lam_slice value,
                                                 struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_delete(lam_txn *txn, lam_partition *partition,
                                                    struct lam_slice key, struct lam_error *err);
/* Deletes the keys in [from, to); an empty `to` means to the end of the partition. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_delete_range(lam_txn *txn, lam_partition *partition,
                                                          struct lam_slice from,
                                                          struct lam_slice to,
                                                          struct lam_error *err);

/* Names the present moment: its writes so far. The number is good until an older savepoint is
 * rolled back to. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_savepoint(lam_txn *txn, uint32_t *savepoint_out,
                                                       struct lam_error *err);
/* Takes back the writes since; the savepoint stays. Reads stay tracked. Costs as much as making the
 * writes that remain. INVALID if there is no such savepoint; on failure nothing has changed. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_rollback_to(lam_txn *txn, uint32_t savepoint,
                                                         struct lam_error *err);

/* Ends the transaction and frees it, whatever it returns, but for INVALID. OK: all its writes are
 * committed as one batch (lam_write). CONFLICT: nothing is written; the message names partition,
 * key and commit; begin again. NOT_FOUND: a partition it wrote or depends on is dropped.
 * `options` and `sequence_out` may be NULL; `*sequence_out` gets the sequence of its last write,
 * its snapshot's if it has none. */
LAM_API LAM_MUST_CHECK enum lam_code lam_txn_commit(lam_txn *txn,
                                                    const struct lam_write_options *options,
                                                    uint64_t *sequence_out, struct lam_error *err);
/* Ends it with nothing written, and frees it. NULL is allowed. */
LAM_API void lam_txn_rollback(lam_txn *txn);

#ifdef __cplusplus
}
#endif
#endif
