/* SPDX-License-Identifier: Apache-2.0
 *
 * Small deterministic generator (xoshiro256**, https://prng.di.unimi.it/xoshiro256starstar.c,
 * seeded by splitmix64). Not for secrets: those come from env random_bytes. */
#ifndef LAMINA_BASE_RNG_H
#define LAMINA_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, n); n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);

#endif
