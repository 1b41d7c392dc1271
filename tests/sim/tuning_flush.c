/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked in place of flush/tuning.c. */
#include "tests/sim/tuning.h"

static void product_flush_tuning_get(struct flush_tuning *out);
#define flush_tuning_get product_flush_tuning_get
#include "flush/tuning.c"
#undef flush_tuning_get

static struct flush_tuning flush_set;
static bool flush_is_set;

void sim_flush_tuning_set(const struct flush_tuning *tuning) {
    flush_is_set = tuning != 0;
    if (tuning)
        flush_set = *tuning;
}

void sim_flush_tuning_draw(struct choice *c, struct flush_tuning *out) {
    product_flush_tuning_get(out);
    out->batch_rows = 1 + choose(c, 6);
    out->cut_rows = choose_one_in(c, 3) ? out->cut_rows : 2 + choose(c, 12);
    out->row_group_rows = choose_one_in(c, 3) ? 0 : 1 + choose(c, 8);
    out->page_rows = 1 + choose(c, 8);
    out->publish_files = 1 + choose(c, 4);
    out->numbers_reserved = 1 + choose(c, 6);
    out->lookups_max = choose(c, 6);
}

void flush_tuning_get(struct flush_tuning *out) {
    if (flush_is_set)
        *out = flush_set;
    else
        product_flush_tuning_get(out);
}
