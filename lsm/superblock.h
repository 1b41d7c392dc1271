/* SPDX-License-Identifier: Apache-2.0
 *
 * The superblock: file ROOT with two 4 KiB slots that take turns by generation. Bytes:
 * docs/FORMAT.md "ROOT".
 *
 * Rules, which make any one damaged slot harmless or noticed:
 * S1. What is published is written twice, each time synced: first over the older slot, then over
 *     the other one. At rest both slots say the same, so either can stand in for the other.
 * S2. In a sealed database nothing may be damaged: both slots must be whole and say the same, but
 *     for what a crash can leave while a slot is written (S3).
 * S3. The only write over a slot of a sealed pair keeps the manifest and clears the seal; the only
 *     write that seals keeps the manifest. So a torn slot is a mixture of two contents computable
 *     from the whole slot: each 16-byte unit is one of them, or begins as one and ends as the
 *     other. (Of a pair that a crash left half sealed the open slot is written over, by an open
 *     one.) Anything else is damage. Damage that looks like that does no harm: the whole slot
 *     says all that the damaged one did.
 * S4. Of the slot written last it is not known whether it is on the disk until its sync succeeded.
 *     The other one may be written over only after that: who finds a superblock confirms the newest
 *     slot first. */
#ifndef LAMINA_LSM_SUPERBLOCK_H
#define LAMINA_LSM_SUPERBLOCK_H

#include "base/env.h"

#define SUPERBLOCK_VERSION    1
#define SUPERBLOCK_SLOT_BYTES 4096u
#define SUPERBLOCK_BYTES      (2 * SUPERBLOCK_SLOT_BYTES)

struct superblock {
    uint8_t db_id[16];
    uint64_t generation; /* of this write; its slot is generation % 2 */
    uint64_t manifest_number;
    uint64_t manifest_bytes;    /* sealed: length of the manifest; else 0 */
    uint64_t manifest_checksum; /* sealed: running hash over its records; else 0 */
};
static inline bool superblock_is_sealed(const struct superblock *sb) {
    return sb->manifest_bytes != 0;
}

/* Makes ROOT with `sb`, durably; fills in the generation. Replaces a ROOT that is there. */
MUST_CHECK enum lam_code superblock_create(lam_env *env, const char *dir, struct superblock *sb,
                                           struct lam_error *err);
/* Gives the newest whole slot. NOT_FOUND if there is no ROOT, CORRUPT when the rules above say so.
 */
MUST_CHECK enum lam_code superblock_read(lam_env *env, const char *dir, struct superblock *sb_out,
                                         struct lam_error *err);
/* Writes what was read once more over its own slot, synced: after a sync that failed the system may
 * show bytes that are not on the disk and that no later sync would write (S4). */
MUST_CHECK enum lam_code superblock_confirm(lam_env *env, const char *dir,
                                            const struct superblock *sb, struct lam_error *err);
/* Writes `sb` as the next generation over the older slot, synced; fills in the generation. */
MUST_CHECK enum lam_code superblock_write(lam_env *env, const char *dir, struct superblock *sb,
                                          struct lam_error *err);
/* Writes `sb` over both slots, one after the other (S1). */
MUST_CHECK enum lam_code superblock_publish(lam_env *env, const char *dir, struct superblock *sb,
                                            struct lam_error *err);

#endif
