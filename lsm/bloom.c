/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizing of bloom filters. */
#include "lsm/bloom.h"

uint32_t bloom_lines(uint64_t keys, uint32_t bits_per_key) {
    uint64_t line_bits = BLOOM_LINE_BYTES * 8;
    uint64_t bits;
    if (__builtin_mul_overflow(keys, (uint64_t)bits_per_key, &bits))
        return UINT32_MAX;
    uint64_t lines = bits / line_bits + (bits % line_bits != 0);
    if (lines == 0)
        return 1;
    return lines > UINT32_MAX ? UINT32_MAX : (uint32_t)lines;
}

uint32_t bloom_probes(uint32_t bits_per_key) {
    uint64_t probes = ((uint64_t)bits_per_key * 5 + 4) / 8;
    if (probes < 1)
        return 1;
    return probes > 16 ? 16 : (uint32_t)probes;
}
