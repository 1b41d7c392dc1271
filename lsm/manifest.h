/* SPDX-License-Identifier: Apache-2.0
 *
 * The root of a database: a two-slot superblock ("ROOT") that names the current manifest, and the
 * manifest itself, one log of checksummed edits ("MANIFEST-<n>"). Bytes: docs/FORMAT.md.
 *
 * An edit is atomic: after a crash all of it counts or none. Edits carry `durable_upto` like WAL
 * records (here: the number of the last synced edit), to tell a torn tail from corruption.
 * Order of publishing a file: its data synced, its directory synced, edit appended, edit synced;
 * only then are files unlinked. */
#ifndef LAMINA_LSM_MANIFEST_H
#define LAMINA_LSM_MANIFEST_H

#include "lsm/sst.h"

struct manifest_partition {
    uint64_t number; /* never reused */
    struct lam_slice name;
    struct lam_partition_options options;
};
struct manifest_file {
    uint64_t partition;
    uint32_t level;
    uint64_t number;
    uint64_t size_bytes;
    uint64_t footer_checksum;
    struct lam_slice smallest;
    struct lam_slice largest;
    bool largest_open;
    struct sst_properties properties;
};
struct manifest_removed {
    uint64_t partition;
    uint32_t level;
    uint64_t number;
};
struct manifest_wal {
    uint64_t number;
    uint64_t end;      /* 0: not sealed, read as far as it goes */
    uint64_t checksum; /* of a sealed segment */
};

/* One edit; slices borrow. Flags say which scalars are set. */
struct manifest_edit {
    bool has_next_number;
    uint64_t next_number; /* files, partitions, WAL segments: one counter */
    bool has_last_sequence;
    uint64_t last_sequence; /* everything up to here is in SSTs, or lower bound at a clean close */
    bool has_wal_floor;
    uint64_t wal_floor; /* segments below hold nothing needed */
    bool clean_close;   /* this edit seals the database */
    const struct manifest_partition *created;
    size_t created_count;
    const uint64_t *dropped; /* partition numbers */
    size_t dropped_count;
    const struct manifest_file *added;
    size_t added_count;
    const struct manifest_removed *removed;
    size_t removed_count;
    const struct manifest_wal *wals; /* segments opened (end 0) or sealed */
    size_t wals_count;
};

/* Appends the bytes of an edit; decodes them (slices borrow `bytes`, arrays from the arena). The
 * decoder answers CORRUPT for anything an encoder cannot make. */
struct arena;
MUST_CHECK enum lam_code manifest_edit_encode(const struct manifest_edit *edit, struct buf *out,
                                              struct lam_error *err);
MUST_CHECK enum lam_code manifest_edit_decode(struct lam_slice bytes, struct arena *arena,
                                              struct manifest_edit *edit_out,
                                              struct lam_error *err);

struct manifest;
/* Makes a database's root: manifest number 1 holding `initial` (its next_number is above 1), then
 * the superblock; all durable. Before ROOT is durable it makes MANIFEST-000001 with one edit and
 * ROOT.tmp and nothing else, so that a crash in it leaves "no database" (NOT_FOUND of
 * manifest_load) and it can be tried again. Returns owned, open for appending. */
MUST_CHECK enum lam_code manifest_create(lam_env *env, const char *dir, const uint8_t *db_id,
                                         const struct manifest_edit *initial,
                                         struct manifest **manifest_out, struct lam_error *err);
typedef enum lam_code (*manifest_edit_fn)(void *arg, const struct manifest_edit *edit,
                                          struct lam_error *err);
struct manifest_root {
    uint8_t db_id[16];
    uint64_t manifest_number;
    uint64_t generation;
    bool sealed;    /* closed cleanly: superblock says so with the manifest's exact length */
    bool torn_tail; /* bytes of an unfinished edit were dropped */
};
/* Reads root and manifest, giving each edit to `fn` in order. NOT_FOUND if `dir` holds no file of a
 * database (LOCK and what an unfinished manifest_create leaves do not count); CORRUPT if it holds
 * some but no root. Reads only. */
MUST_CHECK enum lam_code manifest_load(lam_env *env, const char *dir,
                                       struct manifest_root *root_out, manifest_edit_fn fn,
                                       void *arg, struct lam_error *err);
/* Starts a fresh manifest file `number` (above the current one's) that holds `snapshot` (the whole
 * state as one edit), and makes the superblock name it, unsealed: what an open for writing, or a
 * manifest grown too long, does. What fails in the first step has changed nothing; from the second
 * on the superblock may name either file, whatever it returned: close the manifest then and append
 * to neither. Of `root` only the database id is used: the superblock is read again. The old file is
 * the caller's to remove, after both returned. Owned, open for appending. */
MUST_CHECK enum lam_code manifest_prepare(lam_env *env, const char *dir,
                                          const struct manifest_root *root, uint64_t number,
                                          const struct manifest_edit *snapshot,
                                          struct manifest **manifest_out, struct lam_error *err);
MUST_CHECK enum lam_code manifest_make_current(struct manifest *m, struct lam_error *err);
/* Appends one edit and syncs. After a failed write or sync the manifest takes no more. One caller
 * at a time. */
MUST_CHECK enum lam_code manifest_append(struct manifest *m, const struct manifest_edit *edit,
                                         struct lam_error *err);
/* Whether it takes edits: after a failed append, that not a byte of the edit was written. */
bool manifest_is_open(const struct manifest *m);
uint64_t manifest_size(const struct manifest *m);
uint64_t manifest_number(const struct manifest *m);
/* Appends the last edit and writes the superblock as sealed. */
MUST_CHECK enum lam_code manifest_seal(struct manifest *m, const struct manifest_edit *last,
                                       struct lam_error *err);
void manifest_close(struct manifest *m); /* NULL is allowed */
OWNED_POINTER(struct manifest, manifest_close)

#endif
