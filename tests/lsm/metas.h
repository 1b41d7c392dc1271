/* SPDX-License-Identifier: Apache-2.0
 *
 * Files for tests of versions and of compaction choice: no bytes behind them. */
#ifndef LAMINA_TESTS_LSM_METAS_H
#define LAMINA_TESTS_LSM_METAS_H

#include "lsm/version.h"
#include "tests/support/test.h"

#define FILE_BYTES 1000u

static inline struct file_meta *make_file_with(uint64_t number, const char *smallest,
                                               const char *largest,
                                               const struct range_tombstone *ranges, size_t n) {
    struct lam_error e = {0};
    struct file_meta *out;
    struct manifest_file f = {
        .partition = 1,
        .number = number,
        .size_bytes = FILE_BYTES,
        .smallest = lam_slice_str(smallest),
        .largest = lam_slice_str(largest),
        .properties = {.entries = 100,
                       .sequence_min = 1,
                       .sequence_max = 10,
                       .range_tombstones = n},
    };
    ck_ok(file_meta_new(&f, ranges, n, NULL, NULL, &out, &e), &e);
    return out;
}

static inline struct file_meta *make_file(uint64_t number, const char *smallest,
                                          const char *largest) {
    return make_file_with(number, smallest, largest, NULL, 0);
}

#endif
