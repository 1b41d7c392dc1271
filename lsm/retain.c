/* SPDX-License-Identifier: Apache-2.0
 *
 * Visibility by stripes. */
#include "lsm/retain.h"

#include <stdlib.h>

void retain_init(struct retain *r, const uint64_t *snapshots, size_t count,
                 const struct range_set *ranges) {
    memset(r, 0, sizeof *r);
    r->snapshots = snapshots;
    r->snapshot_count = count;
    r->ranges = ranges;
}

void retain_fini(struct retain *r) {
    buf_fini(&r->key);
}

/* The oldest snapshot that sees `sequence`; UINT64_MAX stands for readers of the newest state. */
static uint64_t stripe_of(const struct retain *r, uint64_t sequence) {
    size_t low = 0, high = r->snapshot_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->snapshots[mid] < sequence)
            low = mid + 1;
        else
            high = mid;
    }
    return low < r->snapshot_count ? r->snapshots[low] : UINT64_MAX;
}

bool retain_seen_by_all(const struct retain *r, uint64_t sequence) {
    return r->snapshot_count == 0 || sequence <= r->snapshots[0];
}

enum lam_code retain_next(struct retain *r, const struct entry *e, enum retain_step *step_out,
                          struct lam_error *err) {
    int c = r->has_key ? slice_cmp(buf_slice(&r->key), e->key) : -1;
    *step_out = c < 0 ? RETAIN_NEW_KEY : RETAIN_SAME_KEY;
    if (c > 0 || (c == 0 && r->sequence < e->sequence)) {
        *step_out = RETAIN_DISORDER;
        return LAM_OK;
    }
    r->sequence = e->sequence;
    if (c == 0)
        return LAM_OK;
    buf_reset(&r->key);
    r->has_key = true;
    return buf_append_slice(&r->key, e->key, err);
}

bool retain_entry(struct retain *r, const struct entry *e, bool new_key, bool nothing_below) {
    uint64_t stripe = stripe_of(r, e->sequence);
    if (!new_key && stripe == r->stripe)
        return false;
    r->stripe = stripe;
    if (r->ranges && range_set_upto(r->ranges, e->key, stripe) >= e->sequence)
        return false;
    return !(e->kind == ENTRY_DELETE && nothing_below && retain_seen_by_all(r, e->sequence));
}

static int by_range_then_newest(const void *a, const void *b) {
    const struct range_tombstone *x = a, *y = b;
    int c = slice_cmp(x->from, y->from);
    if (c == 0)
        c = slice_cmp(x->to, y->to);
    if (c != 0)
        return c;
    return x->sequence > y->sequence ? -1 : x->sequence < y->sequence;
}

size_t retain_ranges(const struct retain *r, struct range_tombstone *items, size_t count) {
    if (count == 0)
        return 0;
    qsort(items, count, sizeof *items, by_range_then_newest);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct range_tombstone *t = &items[i];
        bool needed = true;
        for (size_t j = kept; j-- > 0 && needed;) {
            const struct range_tombstone *newer = &items[j];
            if (!slice_eq(newer->from, t->from) || !slice_eq(newer->to, t->to) ||
                stripe_of(r, newer->sequence) != stripe_of(r, t->sequence))
                break;
            needed = newer->upto < t->upto;
        }
        if (needed)
            items[kept++] = *t;
    }
    return kept;
}
