/* SPDX-License-Identifier: Apache-2.0
 *
 * The write-ahead log: preallocated, recycled segments of flat records. Bytes: docs/FORMAT.md
 * "WAL".
 *
 * A record is { marker, length, sequence, durable_upto, durable_end, payload, checksums }; the
 * checksums are xxh3-64, salted with database id, segment number, the segment's random salt and the
 * record's offset, so bytes of a recycled file, of another database, or of a value that holds a
 * copy of a record never parse (lsm/log_format.h). `durable_upto` is the highest sequence,
 * `durable_end` the length of the segment, known to be synced when the record was appended: on the
 * first record that does not parse the reader looks for readable record headers at every later
 * offset, and one that claims the missing bytes or the missing sequence durable means corruption;
 * otherwise the tail is torn and dropped.
 *
 * Never appended to by a later session (recovery starts a fresh segment). */
#ifndef LAMINA_LSM_WAL_H
#define LAMINA_LSM_WAL_H

#include "lsm/log_format.h"

#define WAL_SEGMENT_BYTES (32u << 20)
/* Bytes a record adds to its payload. */
#define WAL_RECORD_OVERHEAD 40

struct wal_writer;
/* Makes segment file `path` (EXISTS if there is one), or overwrites `recycle_from` (renamed to
 * `path`; NULL: none), with a fresh header and salt, preallocated for `min_bytes` of
 * records (0: WAL_SEGMENT_BYTES in all). Synced: header, size, and the directory. Returns owned. */
MUST_CHECK enum lam_code wal_writer_open(lam_env *env, const char *dir, const char *path,
                                         const char *recycle_from, const uint8_t *db_id,
                                         uint64_t number, uint64_t min_bytes,
                                         struct wal_writer **writer_out, struct lam_error *err);
/* Whether a record with this payload still fits; a segment takes at least one record. */
bool wal_writer_fits(const struct wal_writer *w, uint64_t payload_bytes);
/* Gives the blocks past `bytes` back, or tries; false: it has records or no blocks there. The
 * appender's. */
bool wal_writer_trim(struct wal_writer *w, uint64_t bytes);
/* Appends one record; no sync. After a failure the writer takes no more (the caller opens another
 * segment): `*clean_out` is true when not a byte of the record can be read back. */
MUST_CHECK enum lam_code wal_writer_append(struct wal_writer *w, uint64_t sequence,
                                           uint64_t durable_upto, struct lam_slice payload,
                                           bool *clean_out, struct lam_error *err);
/* Makes all records appended so far durable; thread-safe against append by another thread. Works
 * after a failed append, never again after a failed sync (READ_ONLY). */
MUST_CHECK enum lam_code wal_writer_sync(struct wal_writer *w, struct lam_error *err);
/* End of the last record; with wal_writer_checksum (running hash over all record checksums) what a
 * seal records. */
uint64_t wal_writer_end(const struct wal_writer *w);
uint64_t wal_writer_checksum(const struct wal_writer *w);
void wal_writer_close(struct wal_writer *w); /* NULL is allowed; no sync */

/* Reads a segment. CORRUPT (file and offset) when a record is missing that a later one of the same
 * segment claims durable, or when `sealed_end` is not 0 and the good records end elsewhere. */
MUST_CHECK enum lam_code wal_read(lam_env *env, const char *path, const uint8_t *db_id,
                                  uint64_t number, uint64_t sealed_end, log_record_fn fn, void *arg,
                                  struct log_read_result *result_out, struct lam_error *err);

#endif
