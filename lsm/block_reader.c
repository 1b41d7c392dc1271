/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing, searching and decoding data blocks. */
#include "lsm/block_reader.h"

#include "base/assert.h"
#include "lamina/db.h"

static uint32_t entry_end(const struct block_view *v, uint32_t i) {
    return i + 1 < v->count ? block_view_offset(v, i + 1) : v->entries_bytes;
}

/* Checks entry `i` and counts its key into max_key_bytes. */
static bool entry_is_sound(struct block_view *v, uint32_t i) {
    uint32_t start = block_view_offset(v, i);
    uint32_t end = entry_end(v, i);
    if (start >= end || end > v->entries_bytes)
        return false;
    struct cursor c = cursor_of(lam_slice_of(v->entries + start, end - start));
    uint64_t suffix = cursor_varint(&c);
    uint64_t packed = cursor_varint(&c);
    if (c.failed || suffix > cursor_left(&c))
        return false;
    uint64_t key_bytes = v->prefix.size + suffix;
    uint64_t value_bytes = cursor_left(&c) - suffix;
    if (key_bytes == 0 || key_bytes > LAM_KEY_MAX || value_bytes > LAM_VALUE_MAX)
        return false;
    if ((packed >> 1) > LAM_SEQUENCE_MAX - v->base_sequence || ((packed & 1) && value_bytes > 0))
        return false;
    if (key_bytes > v->max_key_bytes)
        v->max_key_bytes = (uint32_t)key_bytes;
    return true;
}

enum lam_code block_view_parse(struct lam_slice bytes, struct block_view *view_out,
                               struct lam_error *err) {
    struct block_view v = {0};
    struct cursor c = cursor_of(bytes);
    v.count = cursor_le32(&c);
    uint32_t prefix_bytes = cursor_le32(&c);
    v.base_sequence = cursor_le64(&c);
    v.entries_bytes = cursor_le32(&c);
    uint32_t flags = cursor_le32(&c);
    v.wide = flags == BLOCK_FLAG_WIDE;
    if (c.failed || v.count == 0 || flags > BLOCK_FLAG_WIDE || v.base_sequence > LAM_SEQUENCE_MAX ||
        v.wide != (v.entries_bytes > UINT16_MAX))
        return ERR(err, LAM_CORRUPT, "bad block header");
    v.tags = cursor_bytes(&c, v.count).data;
    v.offsets = cursor_bytes(&c, (size_t)v.count * (v.wide ? 4 : 2)).data;
    v.prefix = cursor_bytes(&c, prefix_bytes);
    v.entries = cursor_bytes(&c, v.entries_bytes).data;
    if (c.failed || cursor_left(&c) != 0)
        return ERR(err, LAM_CORRUPT, "parts of a block of %zu bytes do not add up", bytes.size);
    if (block_view_offset(&v, 0) != 0)
        return ERR(err, LAM_CORRUPT, "first entry of a block is not at its start");
    for (uint32_t i = 0; i < v.count; i++) {
        if (!entry_is_sound(&v, i))
            return ERR(err, LAM_CORRUPT, "entry %u of a block is malformed", i);
    }
    *view_out = v;
    return LAM_OK;
}

uint32_t block_view_lower_bound(const struct block_view *v, struct lam_slice key,
                                uint64_t sequence) {
    size_t shared = key.size < v->prefix.size ? key.size : v->prefix.size;
    int c = shared ? memcmp(key.data, v->prefix.data, shared) : 0;
    if (c != 0)
        return c < 0 ? 0 : v->count;
    if (key.size < v->prefix.size)
        return 0;
    struct lam_slice suffix = lam_slice_of(key.data + shared, key.size - shared);
    uint32_t lo = 0;
    uint32_t hi = v->count;
    if (v->heads)
        block_heads_narrow(v->heads, suffix, &lo, &hi);
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct block_entry e;
        block_view_entry(v, mid, &e);
        if (entry_cmp(e.suffix, e.sequence, suffix, sequence) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool block_view_find(const struct block_view *v, struct lam_slice key, uint32_t first,
                     uint64_t sequence, struct block_entry *out) {
    if (!slice_starts_with(key, v->prefix))
        return false;
    struct lam_slice suffix = lam_slice_of(key.data + v->prefix.size, key.size - v->prefix.size);
    for (uint32_t i = first; i < v->count;) {
        block_view_entry(v, i, out);
        if (out->sequence <= sequence && key_eq(out->suffix, suffix))
            return true;
        const uint8_t *at = memchr(v->tags + i + 1, v->tags[i], v->count - i - 1);
        i = at ? (uint32_t)(at - v->tags) : v->count;
    }
    return false;
}
