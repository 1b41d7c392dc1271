/* SPDX-License-Identifier: Apache-2.0
 *
 * A value sets one bit in each of the eight words of one block. */
#include "flush/parquet/bloom.h"

#include "base/assert.h"
#include "base/hash.h"

static const uint32_t salts[8] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
                                  0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};

bool pq_bloom_suits(enum lam_type type) {
    switch (type) {
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
    case LAM_TYPE_TEXT:
        return true;
    case LAM_TYPE_NULL:
    case LAM_TYPE_BOOLEAN:
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
    case LAM_TYPE_DECIMAL:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_UUID:
    case LAM_TYPE_JSON:
        return false;
    }
    return false;
}

uint32_t pq_bloom_size(uint32_t distinct) {
    uint64_t wanted = (uint64_t)distinct * 21 / 16; /* 10.5 bits each */
    uint32_t size = PQ_BLOOM_BLOCK;
    while (size < wanted && size < PQ_BLOOM_MAX)
        size *= 2;
    return size;
}

uint64_t pq_bloom_hash(struct lam_slice plain) {
    return hash_xxh64(plain.data ? plain.data : (const uint8_t *)"", plain.size);
}

uint32_t pq_bloom_block(uint32_t bytes, uint64_t hash) {
    LAM_ASSERT(bytes >= PQ_BLOOM_BLOCK && bytes % PQ_BLOOM_BLOCK == 0);
    return (uint32_t)((hash >> 32) * (bytes / PQ_BLOOM_BLOCK) >> 32);
}

void pq_bloom_add(uint8_t *filter, uint32_t bytes, uint64_t hash) {
    uint8_t *block = filter + (size_t)pq_bloom_block(bytes, hash) * PQ_BLOOM_BLOCK;
    for (int i = 0; i < 8; i++) {
        uint32_t bit = (uint32_t)hash * salts[i] >> 27;
        put_le32(block + i * 4, get_le32(block + i * 4) | 1u << bit);
    }
}

bool pq_bloom_may_contain(const uint8_t *filter, uint32_t bytes, uint64_t hash) {
    const uint8_t *block = filter + (size_t)pq_bloom_block(bytes, hash) * PQ_BLOOM_BLOCK;
    for (int i = 0; i < 8; i++) {
        uint32_t bit = (uint32_t)hash * salts[i] >> 27;
        if ((get_le32(block + i * 4) >> bit & 1) == 0)
            return false;
    }
    return true;
}
