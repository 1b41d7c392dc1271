/* SPDX-License-Identifier: Apache-2.0
 *
 * The one source of randomness of a simulation: workload, faults, schedule and crash images all
 * ask here, so a run is replayed by its seed, shrunk by editing the list of what was chosen, driven
 * by a fuzzer's bytes, or enumerated. One thread at a time (the scheduler's baton). */
#ifndef LAMINA_TESTS_SIM_CHOICE_H
#define LAMINA_TESTS_SIM_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

enum choice_source { CHOICE_SEED, CHOICE_LIST, CHOICE_BYTES, CHOICE_ODOMETER };

struct choice_made {
    uint32_t value;
    uint32_t of; /* it was chosen from [0, of) */
};

struct choice {
    enum choice_source source;
    struct rng rng;       /* SEED */
    const uint32_t *list; /* LIST: values to give out, reduced to the range; then zeros */
    size_t list_count;
    const uint8_t *bytes; /* BYTES: one or two or four a choice; then zeros */
    size_t bytes_count;
    struct choice_made *made; /* what was chosen; owned. ODOMETER: also the present setting */
    size_t made_count;
    size_t made_capacity;
    size_t at; /* next to give out of list, bytes or setting */
    bool keep; /* record into `made` (SEED, LIST, BYTES) */
};

void choice_seed(struct choice *c, uint64_t seed);
/* Borrows the list or the bytes. */
void choice_list(struct choice *c, const uint32_t *list, size_t count);
void choice_bytes(struct choice *c, const uint8_t *bytes, size_t count);
/* First of all combinations; choice_next goes to the next, false after the last. A run must choose
 * the same way given the same earlier choices. */
void choice_odometer(struct choice *c);
bool choice_next(struct choice *c);
void choice_fini(struct choice *c);

/* A number in [0, n), n >= 1. 0 is the tame choice: shrinking goes towards it. */
uint32_t choose(struct choice *c, uint32_t n);
/* True once in n; false is the tame choice. */
bool choose_one_in(struct choice *c, uint32_t n);
/* 64 bits of a number that is not worth shrinking (salts, ids): one choice of 2^32 expanded. */
uint64_t choose_salt(struct choice *c);

#endif
