/* SPDX-License-Identifier: Apache-2.0
 *
 * The level of vector instructions, and the code that only processors with AVX2 may run. */
#include "base/simd.h"

#ifndef SIMD_MOST
#define SIMD_MOST SIMD_AVX2
#endif
enum simd_level simd_most_ = SIMD_MOST;

#ifdef SIMD_HAS_AVX2
#pragma GCC target("avx2")
#define XXH_INLINE_ALL
#define XXH_VECTOR XXH_AVX2
#include <xxhash.h>

uint64_t simd_xxh3_avx2(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}
#endif
