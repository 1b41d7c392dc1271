/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked in place of lsm/tuning.c. */
#include "tests/sim/tuning.h"

#include <stdbool.h>

static void product_tuning_for(uint64_t memory_budget, struct db_tuning *out);
#define db_tuning_for product_tuning_for
#include "lsm/tuning.c"
#undef db_tuning_for

static struct db_tuning set;
static bool is_set;

void sim_tuning_set(const struct db_tuning *tuning) {
    is_set = tuning != 0;
    if (tuning)
        set = *tuning;
}

void sim_tuning_draw(struct choice *c, struct db_tuning *out) {
    /* Mostly memtables are full before a log segment is; else the log has many segments. */
    unsigned rotate = choose(c, choose(c, 2) ? 8 : 5);
    *out = (struct db_tuning){
        .rotate_bytes = UINT64_C(512) << rotate,
        .segment_bytes = UINT64_C(1024) << choose(c, 4),
        .base_bytes = UINT64_C(1024) << choose(c, 5),
        .dump_file_bytes = UINT64_C(512) << choose(c, 6),
        .close_dump_bytes = UINT64_C(256) << choose(c, 5),
        .manifest_rewrite_bytes = UINT64_C(256) << choose(c, 6),
        .passed_steps = 8,
        .rest_share = rotate % 2 ? 16 : 0,
    };
}

void db_tuning_for(uint64_t memory_budget, struct db_tuning *out) {
    if (is_set)
        *out = set;
    else
        product_tuning_for(memory_budget, out);
}
