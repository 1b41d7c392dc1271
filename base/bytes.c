/* SPDX-License-Identifier: Apache-2.0
 *
 * LEB128 varints and what is built on them. */
#include "base/bytes.h"

#include "base/assert.h"

static uint64_t fail(struct cursor *c) {
    c->failed = true;
    return 0;
}

/* One byte is by far the most frequent length. */
uint64_t cursor_varint_long_(struct cursor *c) {
    if (c->failed)
        return 0;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && c->at < c->end; shift += 7) {
        uint64_t byte = *c->at++;
        /* The tenth byte holds bit 63 alone. */
        if (shift == 63 && byte > 1)
            return fail(c);
        v |= (byte & 0x7F) << shift;
        if (byte < 0x80)
            return byte == 0 ? fail(c) : v;
    }
    return fail(c);
}

uint32_t cursor_varint32(struct cursor *c) {
    uint64_t v = cursor_varint(c);
    return v > UINT32_MAX ? (uint32_t)fail(c) : (uint32_t)v;
}

struct lam_slice cursor_prefixed(struct cursor *c) {
    uint64_t size = cursor_varint(c);
    if (size > cursor_left(c)) {
        c->failed = true;
        return SLICE_EMPTY;
    }
    return cursor_bytes(c, (size_t)size);
}

size_t varint_put(uint8_t *out, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    DEBUG_ASSERT(n <= VARINT_MAX);
    return n;
}

size_t varint_size(uint64_t v) {
    size_t bits = 64 - (size_t)__builtin_clzll(v | 1);
    return (bits + 6) / 7;
}
