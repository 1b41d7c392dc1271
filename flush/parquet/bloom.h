/* SPDX-License-Identifier: Apache-2.0
 *
 * Split-block bloom filters over XXH64
 * (https://github.com/apache/parquet-format/blob/master/BloomFilter.md). */
#ifndef LAMINA_FLUSH_PARQUET_BLOOM_H
#define LAMINA_FLUSH_PARQUET_BLOOM_H

#include "flush/parquet/values.h"

#define PQ_BLOOM_BLOCK 32 /* bytes */
#define PQ_BLOOM_MAX   (1u << 20)

/* Whether fields of this type may have a filter: others' hashes are disputed among readers. */
bool pq_bloom_suits(enum lam_type type);
/* Bytes of a filter for so many distinct values at 1 % false positives, at most PQ_BLOOM_MAX. */
uint32_t pq_bloom_size(uint32_t distinct);
uint64_t pq_bloom_hash(struct lam_slice plain);
void pq_bloom_add(uint8_t *filter, uint32_t bytes, uint64_t hash);
bool pq_bloom_may_contain(const uint8_t *filter, uint32_t bytes, uint64_t hash);
/* The block of a filter that a hash falls in. */
uint32_t pq_bloom_block(uint32_t bytes, uint64_t hash);

#endif
