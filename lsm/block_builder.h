/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects entries and lays out a data block. All-zero is empty. */
#ifndef LAMINA_LSM_BLOCK_BUILDER_H
#define LAMINA_LSM_BLOCK_BUILDER_H

#include "lsm/entry.h"

struct block_item {
    size_t key_at; /* of the key in `bytes` */
    uint32_t key_bytes;
    size_t value_bytes;
    const uint8_t *value; /* borrowed; NULL: the value follows the key in `bytes` */
    uint64_t sequence;
    bool is_delete;
    uint8_t tag;
};
struct block_builder {
    struct block_item *items; /* owned */
    size_t count;
    size_t capacity;
    struct buf bytes;   /* keys, each with its value */
    size_t entry_bytes; /* keys and values, plus an allowance for what each entry costs */
    uint64_t sequence_min;
};

/* What an entry takes apart from key and value: tag, offset and two varints. */
#define BLOCK_ENTRY_COST 7

void block_builder_fini(struct block_builder *b);
void block_builder_reset(struct block_builder *b);
/* Appends the next entry in entry order. A borrowed value must live until finish or reset. */
MUST_CHECK enum lam_code block_builder_add(struct block_builder *b, const struct entry *entry,
                                           uint8_t tag, bool borrow_value, struct lam_error *err);
/* Estimate of the block's size. */
static inline size_t block_builder_size(const struct block_builder *b) {
    return b->entry_bytes;
}
/* Appends the block to `out`. There is at least one entry. */
MUST_CHECK enum lam_code block_builder_finish(struct block_builder *b, struct buf *out,
                                              struct lam_error *err);

#endif
