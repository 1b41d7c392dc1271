/* SPDX-License-Identifier: Apache-2.0
 *
 * The framing that WAL segments and manifests share: a 64-byte file header with a random salt, then
 * records back to back. Bytes: docs/FORMAT.md "Logs".
 *
 * The seed of all checksums of a file is the checksum of its header, so it depends on the file's
 * kind, database, number and salt; each record also mixes in its offset. Hence bytes of a recycled
 * file, of another database, or of a value that holds a copy of a record never parse. The marker
 * that begins a record comes from the seed as well. */
#ifndef LAMINA_LSM_LOG_FORMAT_H
#define LAMINA_LSM_LOG_FORMAT_H

#include "base/bytes.h"
#include "base/env.h"

#define LOG_VERSION      1
#define LOG_HEADER_BYTES 64
#define LOG_RECORD_BYTES 40 /* what a record adds to its payload */
/* Offsets are stored in 32 bits. */
#define LOG_MAX_BYTES UINT32_MAX

#define LOG_MAGIC_WAL      "LAMWAL\r\n"
#define LOG_MAGIC_MANIFEST "LAMMAN\r\n"

struct log_identity {
    const char *magic;    /* 8 bytes */
    const uint8_t *db_id; /* 16 bytes; NULL when reading: any */
    uint64_t number;
};

enum log_header_state {
    LOG_HEADER_GOOD,
    LOG_HEADER_BAD,     /* damaged, never written, or of another file */
    LOG_HEADER_VERSION, /* whole, but of another format version */
};

/* Writes the header; returns the seed. */
uint64_t log_header_encode(const struct log_identity *id, uint64_t salt, uint8_t *out);
enum log_header_state log_header_decode(const struct log_identity *id, const uint8_t *in,
                                        uint64_t *seed_out);
/* The four bytes that begin each record of a file; the first is not zero. */
uint32_t log_marker(uint64_t seed);

struct log_record {
    uint64_t offset;       /* of its first byte in the file; not stored */
    uint32_t length;       /* of the payload */
    uint32_t durable_end;  /* bytes of this file known to be synced when it was appended */
    uint64_t sequence;     /* 56 bits: of the commit, or number of the edit */
    uint64_t durable_upto; /* highest sequence known to be synced when it was appended */
    uint64_t checksum;     /* over fields and payload */
};

/* Fills in `checksum` and writes the LOG_RECORD_BYTES before the payload. */
void log_record_encode(struct log_record *record, uint64_t seed, struct lam_slice payload,
                       uint8_t *out);
/* The same when `out` is followed by the payload: hashes both in one run. */
void log_record_encode_in_place(struct log_record *record, uint64_t seed, uint8_t *out);
/* Decodes the header of a record, whose marker the caller compared; false unless its own checksum
 * holds. `record->offset` is given. */
bool log_record_decode(struct log_record *record, uint64_t seed, const uint8_t *in);
/* Whether the payload, which follows the header at `in`, is what was written. */
bool log_record_verify(const struct log_record *record, uint64_t seed, const uint8_t *in);

/* --- reading ------------------------------------------------------------------------------- */

/* Gets each record in order; the payload is valid in the call. Not LAM_OK stops the reading. */
typedef enum lam_code (*log_record_fn)(void *arg, const struct log_record *record,
                                       struct lam_slice payload, struct lam_error *err);
struct log_read_result {
    uint64_t records;
    uint64_t end;           /* offset after the last good record */
    uint64_t file_bytes;    /* size of the file */
    uint64_t checksum;      /* running hash over the header's and all good records' checksums */
    uint64_t durable_claim; /* highest durable_upto seen anywhere, also after `end` */
    bool torn;              /* a record of this file begins after `end`, unfinished */
    bool header_missing;    /* no header of this file: nothing was read */
};
/* Reads records as far as they are good, then looks for readable record headers at every later
 * offset. CORRUPT when one of them claims that bytes after `end` were synced; without such a claim
 * what follows is a torn tail. A log that ends where it was sealed (`sealed_end`; 0: it was not) is
 * not looked at any further. NOT_FOUND if there is no file, UNSUPPORTED for another version. */
MUST_CHECK enum lam_code log_read(lam_env *env, const char *path, const struct log_identity *id,
                                  uint64_t sealed_end, log_record_fn fn, void *arg,
                                  struct log_read_result *result_out, struct lam_error *err);

#endif
