/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and searching the heads of a block. */
#include "lsm/block_heads.h"

#include "lsm/block_reader.h"

static int32_t head_of(struct lam_slice suffix) {
    return (int32_t)((uint32_t)(key_head(suffix) >> 32) ^ 0x80000000u);
}

void block_heads_make(struct block_heads *h, const struct block_view *v) {
    h->shift = 0;
    while (v->count > BLOCK_HEADS << h->shift)
        h->shift++;
    h->count = ((v->count - 1) >> h->shift) + 1;
    for (uint32_t i = 0; i < BLOCK_HEADS; i++) {
        struct block_entry e;
        if (i < h->count)
            block_view_entry(v, i << h->shift, &e);
        h->heads[i] = i < h->count ? head_of(e.suffix) : INT32_MAX;
    }
}

void block_heads_narrow(const struct block_heads *h, struct lam_slice suffix, uint32_t *lo,
                        uint32_t *hi) {
    int32_t head = head_of(suffix);
    uint32_t below = 0;
    /* All of them: this becomes a few vector instructions, without branches to mispredict. */
    for (uint32_t i = 0; i < BLOCK_HEADS; i++)
        below += h->heads[i] < head;
    uint32_t above = below;
    while (above < h->count && h->heads[above] == head)
        above++;
    if (below > 0)
        *lo = ((below - 1) << h->shift) + 1;
    if (above < h->count)
        *hi = above << h->shift;
}
