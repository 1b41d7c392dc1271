/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes. XXH3 and XXH64: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 * (libxxhash). CRC-32: the reflected polynomial EDB88320 of gzip (RFC 1952), as Parquet pages want
 * it. */
#ifndef LAMINA_BASE_HASH_H
#define LAMINA_BASE_HASH_H

#include "lamina/types.h"

/* XXH3-64. */
uint64_t hash_xxh3(const void *data, size_t size, uint64_t seed);
/* XXH3-64 of `a` followed by `b`, as if they were one run of bytes. */
uint64_t hash_xxh3_pair(struct lam_slice a, struct lam_slice b, uint64_t seed);
/* XXH64 with seed 0, for Parquet bloom filters. */
uint64_t hash_xxh64(const void *data, size_t size);
/* CRC-32 continued from `crc` (0 to begin). */
uint32_t hash_crc32(uint32_t crc, const void *data, size_t size);
/* SHA-256 (FIPS 180-4), for what nobody may craft a second of. */
void hash_sha256(const void *data, size_t size, uint8_t *out32);
/* Mixes two numbers into one seed: for checksums salted with file identity and offset. */
uint64_t hash_mix(uint64_t a, uint64_t b);

#endif
