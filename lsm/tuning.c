/* SPDX-License-Identifier: Apache-2.0
 *
 * A database's sizes. */
#include "lsm/tuning.h"

static uint64_t at_most(uint64_t value, uint64_t most) {
    return value < most ? value : most;
}

void db_tuning_for(uint64_t memory_budget, struct db_tuning *out) {
    *out = (struct db_tuning){
        .rotate_bytes = memory_budget / 6,
        .segment_bytes = at_most(memory_budget / 8, 32u << 20),
        .base_bytes = at_most(memory_budget / 4, 64u << 20),
        .dump_file_bytes = 64u << 20,
        .close_dump_bytes = 1u << 20,
        .passed_steps = 20000,
        .rest_share = 16,
        .manifest_rewrite_bytes = 4u << 20,
    };
}
