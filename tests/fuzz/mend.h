/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts the checksums of changed files right: what stands behind a checksum must be as safe to read
 * as what stands before it, for whoever forges a file makes them hold. */
#ifndef LAMINA_TESTS_FUZZ_MEND_H
#define LAMINA_TESTS_FUZZ_MEND_H

#include "base/buf.h"

/* Both slots of a ROOT; with `sealed_bytes` not 0, sealed slots come to say that of the manifest.
 */
void mend_root(struct buf *root, uint64_t sealed_bytes, uint64_t sealed_hash);

/* A log segment or manifest: its header, and as many records as `before`, the good file, has, one
 * behind the other as their lengths now say. */
struct mended_log {
    uint64_t end;  /* after the last record */
    uint64_t hash; /* running */
};
struct mended_log mend_log(struct buf *log, struct lam_slice before);

/* An SST of the size of `before`, the good file: every block, the digest and the footer. Gives the
 * footer's checksum, 0 if the sizes differ. */
uint64_t mend_sst(struct buf *sst, struct lam_slice before);

/* What a manifest is to say of a file; false: leave what it says. */
typedef bool (*mend_sst_fn)(void *arg, uint64_t number, uint64_t *size_out, uint64_t *checksum_out);
typedef bool (*mend_wal_fn)(void *arg, uint64_t number, struct mended_log *out);
/* Makes a mended manifest's edits name the files as they are, writing it anew. Edits that do not
 * decode stay. */
struct mended_log mend_manifest(struct buf *manifest, mend_sst_fn sst, mend_wal_fn wal, void *arg);

#endif
