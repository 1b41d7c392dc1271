/* SPDX-License-Identifier: Apache-2.0
 *
 * Laying out a data block: sizes first, so that the block is written in one pass. */
#include "lsm/block_builder.h"

#include "base/assert.h"
#include "lamina/db.h"
#include "lsm/block_format.h"

void block_builder_fini(struct block_builder *b) {
    mem_free(b->items);
    buf_fini(&b->bytes);
    memset(b, 0, sizeof *b);
}

void block_builder_reset(struct block_builder *b) {
    b->count = 0;
    b->entry_bytes = 0;
    buf_reset(&b->bytes);
}

enum lam_code block_builder_add(struct block_builder *b, const struct entry *entry, uint8_t tag,
                                bool borrow_value, struct lam_error *err) {
    LAM_ASSERT(entry->key.size > 0 && entry->key.size <= LAM_KEY_MAX);
    LAM_ASSERT(entry->kind == ENTRY_PUT || (entry->kind == ENTRY_DELETE && !entry->value.size));
    LAM_ASSERT(entry->sequence <= LAM_SEQUENCE_MAX && entry->value.size <= LAM_VALUE_MAX);
    TRY(MEM_GROW(&b->items, &b->capacity, b->count + 1, err));
    TRY(buf_reserve(&b->bytes, entry->key.size + (borrow_value ? 0 : entry->value.size), err));
    struct block_item *item = &b->items[b->count++];
    *item = (struct block_item){
        .key_at = b->bytes.size,
        .key_bytes = (uint32_t)entry->key.size,
        .value_bytes = entry->value.size,
        .value = borrow_value ? entry->value.data : NULL,
        .sequence = entry->sequence,
        .is_delete = entry->kind == ENTRY_DELETE,
        .tag = tag,
    };
    IGNORE(buf_append_slice(&b->bytes, entry->key, NULL), "reserved above");
    if (!borrow_value)
        IGNORE(buf_append_slice(&b->bytes, entry->value, NULL), "reserved above");
    if (b->count == 1 || entry->sequence < b->sequence_min)
        b->sequence_min = entry->sequence;
    b->entry_bytes += entry->key.size + entry->value.size + BLOCK_ENTRY_COST;
    return LAM_OK;
}

/* Keys are sorted, so what the first and the last share all share. */
static size_t common_prefix(const struct block_builder *b) {
    const struct block_item *first = &b->items[0];
    const struct block_item *last = &b->items[b->count - 1];
    const uint8_t *x = b->bytes.data + first->key_at;
    const uint8_t *y = b->bytes.data + last->key_at;
    size_t most = first->key_bytes < last->key_bytes ? first->key_bytes : last->key_bytes;
    size_t n = 0;
    while (n < most && x[n] == y[n])
        n++;
    return n;
}

static uint64_t packed_sequence(const struct block_builder *b, const struct block_item *item) {
    return (item->sequence - b->sequence_min) << 1 | item->is_delete;
}

static size_t item_size(const struct block_builder *b, const struct block_item *item,
                        size_t prefix) {
    size_t suffix = item->key_bytes - prefix;
    return varint_size(suffix) + varint_size(packed_sequence(b, item)) + suffix + item->value_bytes;
}

static uint8_t *put_item(const struct block_builder *b, const struct block_item *item,
                         size_t prefix, uint8_t *at) {
    size_t suffix = item->key_bytes - prefix;
    const uint8_t *key = b->bytes.data + item->key_at;
    at += varint_put(at, suffix);
    at += varint_put(at, packed_sequence(b, item));
    memcpy(at, key + prefix, suffix);
    at += suffix;
    if (item->value_bytes > 0)
        memcpy(at, item->value ? item->value : key + item->key_bytes, item->value_bytes);
    return at + item->value_bytes;
}

enum lam_code block_builder_finish(struct block_builder *b, struct buf *out,
                                   struct lam_error *err) {
    LAM_ASSERT(b->count > 0);
    size_t prefix = common_prefix(b);
    size_t entries = 0;
    for (size_t i = 0; i < b->count; i++)
        entries += item_size(b, &b->items[i], prefix);
    LAM_ASSERT(entries <= UINT32_MAX && b->count <= UINT32_MAX);
    bool wide = entries > UINT16_MAX;
    size_t offset_bytes = wide ? 4 : 2;
    size_t size = BLOCK_HEADER_BYTES + b->count * (1 + offset_bytes) + prefix + entries;
    /* The writer of the block's trailer and the varints' overshoot want room too. */
    TRY(buf_reserve(out, size + VARINT_MAX, err));
    uint8_t *block = out->data + out->size;
    memset(block, 0, BLOCK_HEADER_BYTES);
    put_le32(block + BLOCK_COUNT, (uint32_t)b->count);
    put_le32(block + BLOCK_PREFIX_BYTES, (uint32_t)prefix);
    put_le64(block + BLOCK_BASE_SEQUENCE, b->sequence_min);
    put_le32(block + BLOCK_ENTRIES_BYTES, (uint32_t)entries);
    block[BLOCK_FLAGS] = wide ? BLOCK_FLAG_WIDE : 0;
    uint8_t *tags = block + BLOCK_HEADER_BYTES;
    uint8_t *offsets = tags + b->count;
    uint8_t *start = offsets + b->count * offset_bytes + prefix;
    memcpy(start - prefix, b->bytes.data + b->items[0].key_at, prefix);
    uint8_t *at = start;
    for (size_t i = 0; i < b->count; i++) {
        tags[i] = b->items[i].tag;
        if (wide)
            put_le32(offsets + 4 * i, (uint32_t)(at - start));
        else
            put_le16(offsets + 2 * i, (uint16_t)(at - start));
        at = put_item(b, &b->items[i], prefix, at);
    }
    LAM_ASSERT((size_t)(at - block) == size);
    out->size += size;
    return LAM_OK;
}
