/* SPDX-License-Identifier: Apache-2.0
 *
 * Which vector instructions are used: what the processor has, asked at run time, up to a level that
 * a build (-DSIMD_MOST=SIMD_PLAIN) or a test lowers, so that every path meets the same checks. The
 * plain path is there on every machine. */
#ifndef LAMINA_BASE_SIMD_H
#define LAMINA_BASE_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* AVX2 takes GCC: for others it would want flags of its own. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SIMD_HAS_AVX2 1
#endif

enum simd_level {
    SIMD_PLAIN,
    SIMD_SSE2, /* every x86-64 has it */
    SIMD_AVX2,
};

/* The highest level used. Written by tests only, while nothing else runs. */
extern enum simd_level simd_most_;

static inline bool simd_use_sse2(void) {
    return simd_most_ >= SIMD_SSE2;
}
/* A load and two tests: no state to set up. */
static inline bool simd_use_avx2(void) {
#ifdef SIMD_HAS_AVX2
    return simd_most_ >= SIMD_AVX2 && __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

#ifdef SIMD_HAS_AVX2
/* XXH3-64 by AVX2; only where simd_use_avx2(). */
uint64_t simd_xxh3_avx2(const void *data, size_t size, uint64_t seed);
#endif

#endif
