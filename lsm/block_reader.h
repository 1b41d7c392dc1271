/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a data block. Parsing checks every offset, size and sequence in the block once, so that
 * searching and decoding afterwards need no checks and cannot fail. */
#ifndef LAMINA_LSM_BLOCK_READER_H
#define LAMINA_LSM_BLOCK_READER_H

#include "lsm/block_format.h"
#include "lsm/block_heads.h"
#include "lsm/entry.h"

/* A parsed block; borrows its bytes. */
struct block_view {
    const uint8_t *tags;
    const uint8_t *offsets;
    const uint8_t *entries;
    uint32_t entries_bytes;
    uint32_t count; /* entries; at least one */
    bool wide;      /* offsets of 4 bytes */
    uint32_t max_key_bytes;
    uint64_t base_sequence;
    struct lam_slice prefix;         /* begins every key */
    const struct block_heads *heads; /* for searching; borrowed; NULL: none */
};
struct block_entry {
    struct lam_slice suffix; /* of the key */
    uint64_t sequence;
    enum entry_kind kind;
    struct lam_slice value;
};

/* CORRUPT (without file and offset, which the caller adds) for anything a builder can't make,
 * except for wrong order and wrong tags: those take keys to check, see sst_verify. */
MUST_CHECK enum lam_code block_view_parse(struct lam_slice bytes, struct block_view *view_out,
                                          struct lam_error *err);
static inline uint32_t block_view_offset(const struct block_view *v, uint32_t i) {
    return v->wide ? get_le32(v->offsets + 4 * (size_t)i) : get_le16(v->offsets + 2 * (size_t)i);
}
/* A varint that parsing found well-formed. */
static inline uint64_t block_varint(const uint8_t **at) {
    const uint8_t *p = *at;
    uint64_t v = *p++;
    if (v >= 0x80) {
        v &= 0x7f;
        for (unsigned shift = 7; p[-1] >= 0x80; shift += 7)
            v |= (uint64_t)(*p++ & 0x7f) << shift;
    }
    *at = p;
    return v;
}
/* Entry `i` < count. */
static inline void block_view_entry(const struct block_view *v, uint32_t i,
                                    struct block_entry *out) {
    const uint8_t *at = v->entries + block_view_offset(v, i);
    const uint8_t *end =
        v->entries + (i + 1 < v->count ? block_view_offset(v, i + 1) : v->entries_bytes);
    size_t suffix = (size_t)block_varint(&at);
    uint64_t packed = block_varint(&at);
    out->suffix = lam_slice_of(at, suffix);
    out->sequence = v->base_sequence + (packed >> 1);
    out->kind = packed & 1 ? ENTRY_DELETE : ENTRY_PUT;
    out->value = lam_slice_of(at + suffix, (size_t)(end - at) - suffix);
}
/* Fetches where a walk from entry `i` begins. */
static inline void block_view_fetch(const struct block_view *v, uint32_t i) {
    uintptr_t at = (uintptr_t)(v->entries + block_view_offset(v, i));
    for (size_t line = 0; line < 6; line++)
        __builtin_prefetch((const void *)(at + 64 * line));
}
/* Index of the first entry at or after (key, sequence) in entry order; count if there is none. */
uint32_t block_view_lower_bound(const struct block_view *v, struct lam_slice key,
                                uint64_t sequence);
/* The first entry with the tag; count if there is none. */
static inline uint32_t block_view_tagged(const struct block_view *v, uint8_t tag) {
    const uint8_t *at = memchr(v->tags, tag, v->count);
    return at ? (uint32_t)(at - v->tags) : v->count;
}
/* Newest version of `key` with sequence <= `sequence`; `first` is the first entry with its tag. */
bool block_view_find(const struct block_view *v, struct lam_slice key, uint32_t first,
                     uint64_t sequence, struct block_entry *out);

#endif
