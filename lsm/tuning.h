/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes by which a database works, from its memory budget. In an object of their own so that a
 * simulator can link another: with sizes of a few kilobytes a short history passes through
 * rotations, dumps, every level and manifest rewrites. */
#ifndef LAMINA_LSM_TUNING_H
#define LAMINA_LSM_TUNING_H

#include <stdint.h>

struct db_tuning {
    uint64_t rotate_bytes;     /* active memtables are sealed when they pass this */
    uint64_t segment_bytes;    /* preallocated size of a log segment */
    uint64_t base_bytes;       /* target of the base level; outputs are cut at half of it */
    uint64_t dump_file_bytes;  /* dumps cut their SSTs at about this size */
    uint64_t close_dump_bytes; /* a log this long is dumped at close; a shorter one is sealed
                                  and replayed; up to four times as long, copied */
    uint64_t passed_steps;     /* deleted rows that iterators step over in one place before it
                                  is thought about writing them anew */
    uint64_t rest_share;       /* while nothing is written, what stands above the last level is
                                  merged if it is over one in so many of that; 0: as always */
    uint64_t manifest_rewrite_bytes; /* a manifest is rewritten when it is this long and four times
                                        what a fresh one is */
};

/* Thread-safe. */
void db_tuning_for(uint64_t memory_budget, struct db_tuning *out);

#endif
