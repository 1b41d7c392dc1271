/* SPDX-License-Identifier: Apache-2.0
 *
 * What was changed after a sequence: the evidence for conflicts. A change of a key is a put, a
 * delete, or a range delete over it, whatever its bound.
 *
 * The evidence is there as long as a snapshot of that sequence is registered. Of the versions of a
 * key above the snapshot, compaction and dump keep the newest of each stripe, a tombstone too
 * (retain.h: it goes only when it is seen by all, and that snapshot does not see it), unless a
 * range tombstone hides it; and that one has a higher sequence still and is kept for the same
 * reason. Files are dropped whole only if a range tombstone that all snapshots see hides them, or
 * if they expire while there is no snapshot (pick.c). */
#ifndef LAMINA_LSM_CONFLICT_H
#define LAMINA_LSM_CONFLICT_H

#include "lsm/db_impl.h"

/* Where to look. */
enum conflict_scope {
    CONFLICT_MEMORY, /* the memtables: no I/O, can't fail but for memory */
    CONFLICT_ALL,    /* and the SSTs */
};
/* CONFLICT, naming partition and key, if one of the keys that `touched`, of an indexed batch, puts
 * or deletes, or a key in a range that it deletes, has changed in `state` after `after`. */
MUST_CHECK enum lam_code conflict_check(lam_db *db, const struct batch_partition *touched,
                                        const struct read_state *state, enum conflict_scope scope,
                                        uint64_t after, struct lam_error *err);

#endif
