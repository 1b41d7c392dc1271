/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices, fixed-width little- and big-endian integers, and the bounds-checked cursor that every
 * decoder reads through. Nothing here casts a pointer into a buffer to a wider type. */
#ifndef LAMINA_BASE_BYTES_H
#define LAMINA_BASE_BYTES_H

#include "lamina/types.h"

#define SLICE_EMPTY ((struct lam_slice){NULL, 0})

static inline bool slice_eq(struct lam_slice a, struct lam_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* Bytewise order: <0, 0, >0; a prefix sorts before what it is a prefix of. */
static inline int slice_cmp(struct lam_slice a, struct lam_slice b) {
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    if (c != 0)
        return c;
    return a.size < b.size ? -1 : a.size > b.size;
}
static inline bool slice_starts_with(struct lam_slice s, struct lam_slice prefix) {
    return s.size >= prefix.size &&
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}
/* What follows the first `n` bytes, of which there are so many. */
static inline struct lam_slice slice_from(struct lam_slice s, size_t n) {
    return n == 0 ? s : lam_slice_of(s.data + n, s.size - n);
}
static inline bool slice_eq_str(struct lam_slice s, const char *text) {
    return slice_eq(s, lam_slice_str(text));
}

#define LE_ACCESSORS(bits)                                                                         \
    static inline uint##bits##_t get_le##bits(const void *p) {                                     \
        uint##bits##_t v;                                                                          \
        memcpy(&v, p, sizeof v);                                                                   \
        return v;                                                                                  \
    }                                                                                              \
    static inline void put_le##bits(void *p, uint##bits##_t v) {                                   \
        memcpy(p, &v, sizeof v);                                                                   \
    }
LE_ACCESSORS(16)
LE_ACCESSORS(32)
LE_ACCESSORS(64)
#undef LE_ACCESSORS
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats are little-endian, hosts too");

static inline uint32_t get_be32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}
static inline uint64_t get_be64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}
static inline void put_be32(void *p, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}
static inline void put_be64(void *p, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

/* Reads a buffer front to back. The first read past the end sets `failed`; from then on all reads
 * give zero or empty. Check `failed` once after a group of reads. Borrows the bytes. */
struct cursor {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct cursor cursor_of(struct lam_slice s) {
    return (struct cursor){s.data, s.data, s.data ? s.data + s.size : s.data, false};
}
static inline size_t cursor_left(const struct cursor *c) {
    return c->failed ? 0 : (size_t)(c->end - c->at);
}
static inline size_t cursor_offset(const struct cursor *c) {
    return (size_t)(c->at - c->start);
}
/* The next `size` bytes; empty and failed if there are fewer. Valid as long as the buffer. */
static inline struct lam_slice cursor_bytes(struct cursor *c, size_t size) {
    if (c->failed || (size_t)(c->end - c->at) < size) {
        c->failed = true;
        return SLICE_EMPTY;
    }
    struct lam_slice s = lam_slice_of(c->at, size);
    c->at += size;
    return s;
}
static inline uint8_t cursor_u8(struct cursor *c) {
    struct lam_slice s = cursor_bytes(c, 1);
    return s.size ? s.data[0] : 0;
}
static inline uint16_t cursor_le16(struct cursor *c) {
    struct lam_slice s = cursor_bytes(c, 2);
    return s.size ? get_le16(s.data) : 0;
}
static inline uint32_t cursor_le32(struct cursor *c) {
    struct lam_slice s = cursor_bytes(c, 4);
    return s.size ? get_le32(s.data) : 0;
}
static inline uint64_t cursor_le64(struct cursor *c) {
    struct lam_slice s = cursor_bytes(c, 8);
    return s.size ? get_le64(s.data) : 0;
}
/* LEB128 varint, at most 10 bytes, shortest form only; anything else fails the cursor. */
uint64_t cursor_varint_long_(struct cursor *c);
static inline uint64_t cursor_varint(struct cursor *c) {
    if (!c->failed && c->at < c->end && *c->at < 0x80)
        return *c->at++;
    return cursor_varint_long_(c);
}
/* A varint that must fit 32 bits. */
uint32_t cursor_varint32(struct cursor *c);
/* A varint length followed by that many bytes. Valid as long as the buffer. */
struct lam_slice cursor_prefixed(struct cursor *c);

/* LEB128 into `out` (room for VARINT_MAX); returns the bytes used. */
#define VARINT_MAX 10
size_t varint_put(uint8_t *out, uint64_t v);
size_t varint_size(uint64_t v);
static inline uint64_t zigzag_encode(int64_t v) {
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t zigzag_decode(uint64_t v) {
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
