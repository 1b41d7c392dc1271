/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizing of bloom filters, and the test of all bits of a key at once. */
#include "lsm/bloom.h"

#ifdef SIMD_HAS_AVX2
#include <immintrin.h>
#endif

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

#ifdef SIMD_HAS_AVX2
/* The line as sixteen words of 32 bits: of the nine bits of a probe four pick the word, the highest
 * of them its half of the line, and five the bit. */
__attribute__((target("avx2"))) bool bloom_test_avx2(const uint8_t *line, uint32_t probes,
                                                     uint32_t hash) {
    int steps[BLOOM_VECTOR_PROBES];
    uint32_t step = 1;
    for (uint32_t i = 0; i < BLOOM_VECTOR_PROBES; i++)
        steps[i] = (int)(step *= BLOOM_STEP);
    __m256i h = _mm256_mullo_epi32(_mm256_set1_epi32((int)hash),
                                   _mm256_loadu_si256((const __m256i *)(const void *)steps));
    __m256i at = _mm256_srli_epi32(h, 28);
    const __m256i *halves = (const __m256i *)(const void *)line;
    __m256i low = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(halves), at);
    __m256i high = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(halves + 1), at);
    __m256i words = _mm256_castps_si256(_mm256_blendv_ps(
        _mm256_castsi256_ps(low), _mm256_castsi256_ps(high), _mm256_castsi256_ps(h)));
    __m256i place = _mm256_and_si256(_mm256_srli_epi32(h, 23), _mm256_set1_epi32(31));
    __m256i bits = _mm256_sllv_epi32(_mm256_set1_epi32(1), place);
    __m256i unset = _mm256_cmpeq_epi32(_mm256_and_si256(words, bits), _mm256_setzero_si256());
    unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(unset));
    return (mask & ((1u << probes) - 1)) == 0;
}
#endif
