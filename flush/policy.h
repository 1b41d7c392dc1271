/* SPDX-License-Identifier: Apache-2.0
 *
 * When to flush by itself: pure decisions. Times are monotonic microseconds. */
#ifndef LAMINA_FLUSH_POLICY_H
#define LAMINA_FLUSH_POLICY_H

#include "flush/flush_impl.h"

/* How long a table waits after a flush that failed. */
#define POLICY_RETRY_US (30u * 1000000u)

enum policy_reason {
    POLICY_NONE = 0,
    POLICY_ROWS,     /* somebody has reached rows:N */
    POLICY_INTERVAL, /* interval:S has passed */
};
struct policy_input {
    uint64_t flush_rows;       /* N; 0: no such trigger */
    uint64_t flush_interval_s; /* S; 0: no such trigger */
    bool rows_due;             /* somebody has N rows */
    uint64_t interval_from_us; /* the interval counts from here */
    uint64_t retry_at_us;      /* not before; 0: at once */
    uint64_t now_us;
};
enum policy_reason policy_decide(const struct policy_input *in);
/* When to decide again; FLUSH_NEVER if only rows can bring it about. */
uint64_t policy_next_us(const struct policy_input *in);

#endif
