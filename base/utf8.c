/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding by the table of well-formed byte sequences in RFC 3629, section 4; runs of ASCII are
 * skipped eight bytes at a time. */
#include "base/utf8.h"

#include "base/assert.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Offset of the first byte at or after `at` that may not be ASCII. */
static size_t skip_ascii(struct lam_slice s, size_t at) {
    while (s.size - at >= 8 && (get_le64(s.data + at) & HIGH_BITS) == 0)
        at += 8;
    while (at < s.size && s.data[at] < 0x80)
        at++;
    return at;
}

/* Bytes of the well-formed character at `p`, of `left` bytes; 0 if it is not well-formed. */
static size_t char_size(const uint8_t *p, size_t left) {
    uint8_t b = p[0];
    size_t size = b < 0x80 ? 1 : b < 0xC2 ? 0 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : b < 0xF5 ? 4 : 0;
    if (size <= 1)
        return size;
    if (left < size)
        return 0;
    uint8_t low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
    uint8_t high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

bool utf8_valid(struct lam_slice s, size_t *bad_out) {
    for (size_t at = skip_ascii(s, 0); at < s.size; at = skip_ascii(s, at)) {
        size_t size = char_size(s.data + at, s.size - at);
        if (size == 0) {
            if (bad_out)
                *bad_out = at;
            return false;
        }
        at += size;
    }
    return true;
}

/* A character starts at each byte that is not a continuation byte (10xxxxxx). */
size_t utf8_length(struct lam_slice s) {
    size_t count = 0, at = 0;
    for (; s.size - at >= 8; at += 8) {
        uint64_t word = get_le64(s.data + at);
        uint64_t continuation = word & ~(word << 1) & HIGH_BITS;
        count += 8 - (size_t)__builtin_popcountll(continuation);
    }
    for (; at < s.size; at++)
        count += (s.data[at] & 0xC0) != 0x80;
    return count;
}

size_t utf8_offset(struct lam_slice s, size_t index) {
    for (size_t at = 0; at < s.size; at++) {
        if ((s.data[at] & 0xC0) == 0x80)
            continue;
        if (index-- == 0)
            return at;
    }
    return s.size;
}

uint32_t utf8_next(struct lam_slice s, size_t *at) {
    DEBUG_ASSERT(*at < s.size);
    const uint8_t *p = s.data + *at;
    size_t size = char_size(p, s.size - *at);
    *at += size ? size : 1;
    switch (size) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3Fu);
    case 3:
        return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3Fu);
    case 4:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
               (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3Fu);
    default:
        return 0xFFFD;
    }
}

size_t utf8_put(uint8_t *out, uint32_t c) {
    LAM_ASSERT(c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF));
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (uint8_t)(lead[size] | c);
    return size;
}
