/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocked bloom filter: a key sets and tests bits in one 64-byte line only, so a test costs one
 * cache miss (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007). The
 * upper half of a 64-bit hash picks the line, the lower half the bits. */
#ifndef LAMINA_LSM_BLOOM_H
#define LAMINA_LSM_BLOOM_H

#include "base/bytes.h"
#include "base/simd.h"

#define BLOOM_LINE_BYTES 64
/* From bit to bit the lower half is multiplied by this; its highest nine bits are the bit. */
#define BLOOM_STEP 0x9e3779b9u

/* Lines for so many keys: at least one; saturates at UINT32_MAX. */
uint32_t bloom_lines(uint64_t keys, uint32_t bits_per_key);
/* Bits a key sets: about 0.6 of the bits per key, 1 to 16. */
uint32_t bloom_probes(uint32_t bits_per_key);

static inline uint8_t *bloom_line_(uint8_t *bits, uint32_t lines, uint64_t hash) {
    return bits + (size_t)(((hash >> 32) * lines) >> 32) * BLOOM_LINE_BYTES;
}

/* `bits` holds `lines` lines. */
static inline void bloom_add(uint8_t *bits, uint32_t lines, uint32_t probes, uint64_t hash) {
    uint8_t *line = bloom_line_(bits, lines, hash);
    uint32_t h = (uint32_t)hash;
    for (uint32_t i = 0; i < probes; i++) {
        h *= BLOOM_STEP;
        line[h >> 26] |= (uint8_t)(1u << ((h >> 23) & 7));
    }
}

static inline void bloom_prefetch(const uint8_t *bits, uint32_t lines, uint64_t hash) {
    __builtin_prefetch(bloom_line_((uint8_t *)bits, lines, hash));
}

#ifdef SIMD_HAS_AVX2
#define BLOOM_VECTOR_PROBES 8
/* At most BLOOM_VECTOR_PROBES bits of a line, all at once; only where simd_use_avx2(). */
bool bloom_test_avx2(const uint8_t *line, uint32_t probes, uint32_t hash);
#endif

static inline bool bloom_test(const uint8_t *bits, uint32_t lines, uint32_t probes, uint64_t hash) {
    const uint8_t *line = bloom_line_((uint8_t *)bits, lines, hash);
    uint32_t h = (uint32_t)hash;
#ifdef SIMD_HAS_AVX2
    if (probes <= BLOOM_VECTOR_PROBES && simd_use_avx2())
        return bloom_test_avx2(line, probes, h);
#endif
    for (uint32_t i = 0; i < probes; i++) {
        h *= BLOOM_STEP;
        if (!(line[h >> 26] & (1u << ((h >> 23) & 7))))
            return false;
    }
    return true;
}

#endif
