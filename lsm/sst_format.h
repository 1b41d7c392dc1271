/* SPDX-License-Identifier: Apache-2.0
 *
 * Layout of an SST. Bytes: docs/FORMAT.md "SST".
 *
 *     data blocks | range tombstones | filter | index | properties | footer
 *
 * All parts but the footer are blocks: stored bytes, then a trailer with the size they decompress
 * to, what the block is, and a checksum. The parts touch each other and fill the file. */
#ifndef LAMINA_LSM_SST_FORMAT_H
#define LAMINA_LSM_SST_FORMAT_H

#include "base/buf.h"
#include "lamina/db.h"
#include "lsm/sst.h"

#define SST_MAGIC         "LAMSST\r\n"
#define SST_VERSION       1
#define SST_FOOTER_BYTES  128
#define SST_TRAILER_BYTES 16
/* A block decompresses to at most this: one entry of the largest size, and some. */
#define SST_BLOCK_MAX ((size_t)LAM_VALUE_MAX + (1u << 20))

/* Stored; never renumbered. */
enum sst_block_type {
    SST_BLOCK_DATA = 1,
    SST_BLOCK_RANGES = 2,
    SST_BLOCK_FILTER = 3,
    SST_BLOCK_INDEX = 4,
    SST_BLOCK_PROPERTIES = 5,
};
enum sst_compression {
    SST_PLAIN = 0,
    SST_LZ4 = 1,
    SST_LZ4_FOLDED = 2, /* of what block_fold made of the block */
};

struct sst_handle {
    uint64_t offset;
    uint64_t size; /* with the trailer */
};
struct sst_footer {
    uint8_t db_id[16];
    uint64_t number;
    struct sst_handle ranges;
    struct sst_handle filter;
    struct sst_handle index;
    struct sst_handle properties;
    uint64_t digest;     /* running hash over the checksums of all blocks, front to back */
    uint64_t file_bytes; /* size of the file */
    uint64_t checksum;   /* of the footer */
};

/* Seed of a file's checksums. */
uint64_t sst_file_seed(const uint8_t *db_id, uint64_t number);

/* --- blocks: stored bytes and trailer --- */

/* Writes the trailer of a block at `offset` whose stored bytes stand before `out`; returns the
 * checksum. */
uint64_t sst_trailer_encode(uint64_t file_seed, uint64_t offset, struct lam_slice stored,
                            uint32_t raw_bytes, enum sst_block_type type,
                            enum sst_compression compression, uint8_t *out);
struct sst_stored {
    struct lam_slice bytes; /* as stored, without the trailer */
    uint32_t raw_bytes;     /* size after decompression */
    enum sst_compression compression;
    uint64_t checksum;
};
/* Checks the checksum, then the trailer, of a whole block read from `offset`. CORRUPT without file
 * and offset. */
MUST_CHECK enum lam_code sst_block_check(uint64_t file_seed, uint64_t offset,
                                         struct lam_slice block, enum sst_block_type type,
                                         struct sst_stored *out, struct lam_error *err);

/* --- footer and properties --- */

/* Fills in `footer->checksum`. */
void sst_footer_encode(struct sst_footer *footer, uint8_t *out);
/* CORRUPT for anything but a whole footer of this file. */
MUST_CHECK enum lam_code sst_footer_decode(const uint8_t *in, const uint8_t *db_id, uint64_t number,
                                           uint64_t file_bytes, struct sst_footer *out,
                                           struct lam_error *err);

struct sst_bounds {
    bool some;         /* there is a key or a range tombstone */
    bool largest_open; /* a range tombstone has no end */
    struct lam_slice smallest;
    struct lam_slice largest;
};
MUST_CHECK enum lam_code sst_properties_encode(const struct sst_properties *p,
                                               const struct sst_bounds *bounds, struct buf *out,
                                               struct lam_error *err);
/* `bounds` borrow `bytes`. */
MUST_CHECK enum lam_code sst_properties_decode(struct lam_slice bytes, struct sst_properties *p,
                                               struct sst_bounds *bounds, struct lam_error *err);

/* --- range tombstones --- */

MUST_CHECK enum lam_code sst_ranges_encode(const struct range_tombstone *ranges, size_t count,
                                           struct buf *out, struct lam_error *err);
/* `*ranges_out` is owned and borrows `bytes`; NULL if there are none. */
MUST_CHECK enum lam_code sst_ranges_decode(struct lam_slice bytes,
                                           struct range_tombstone **ranges_out, size_t *count_out,
                                           struct lam_error *err);
/* The order they are stored in: by `from`, then newest first. For qsort. */
int sst_range_cmp(const void *a, const void *b);

#endif
