/* SPDX-License-Identifier: Apache-2.0
 *
 * The hot part of a scan: rows of a key range, or by an index, at one snapshot. */
#ifndef LAMINA_FLUSH_HOT_SCAN_H
#define LAMINA_FLUSH_HOT_SCAN_H

#include "flush/flush_impl.h"

struct hot_scan {
    const struct scan_request *request; /* borrowed */
    lam_iter *it;                       /* over the hot partition or the index; owned */
    struct lam_slice lower, upper;      /* bounds of row keys; borrowed */
    bool started;
    struct buf key;         /* an index entry's row key */
    struct lam_value value; /* an index entry's row */
};

/* Opens over [lower, upper), both borrowed. */
MUST_CHECK enum lam_code hot_scan_open(struct hot_scan *h, const struct scan_request *request,
                                       struct lam_slice lower, struct lam_slice upper,
                                       struct lam_error *err);
/* Appends rows to an empty batch until it is full or there are no more. */
MUST_CHECK enum lam_code hot_scan_fill(struct hot_scan *h, struct colbatch *batch,
                                       struct lam_error *err);
void hot_scan_fini(struct hot_scan *h);

/* Whether a row of a STREAM table is past its time to live. */
bool hot_row_expired(const struct provider *p, int64_t seq, int64_t now_us);
/* The schema a row was written under; CORRUPT if there is none. */
MUST_CHECK enum lam_code hot_row_schema(const struct provider *p, const struct row_header *header,
                                        const struct schema **schema_out, struct lam_error *err);

#endif
