/* SPDX-License-Identifier: Apache-2.0
 *
 * Verification of a whole database: what lam_check does for the engine's files, and all that lies
 * above them. */
#ifndef LAMINA_CHECK_H
#define LAMINA_CHECK_H

#include "lamina/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Verifies the database in directory `path`, which must not be open elsewhere for writing, and
 * changes nothing: what lam_check does; then that
 *   - the catalog's records decode, agree with their indexes and with each other;
 *   - each row decodes and has its entry in every index of its table, each entry its row;
 *   - each segment's file is there and the one that was written, every byte of it under a checksum
 *     that holds; its statistics, page indexes and bloom filters are true of its rows, these are in
 *     order, and the segment's entry says what they are.
 * `options` may be NULL. `finding` gets each problem, with the path of the file or the name of the
 * partition (of which the first 16 are told, then the number of the others); `note` gets what is no
 * damage: files and partitions that a crash left and the next open for writing removes. All are
 * called on this thread without a lock, and may end the work through `progress`.
 *
 * CORRUPT if there was any finding, IO if all of them are reads that failed; the message has their
 * number and the first. BUSY if the database is open for writing, here or in another process, or
 * `progress` ended the work; NOT_FOUND and INVALID if there is no database at `path`. Reads all
 * there is once or twice; takes the memory of an open database and of the largest row or page. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_check_full(const char *path, const struct lam_check_options *options, struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
