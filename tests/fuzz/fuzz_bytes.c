/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoders at the bottom: varints, UTF-8 and LZ4 blocks. What is taken encodes to the very same
 * bytes (LZ4: to bytes that say the same). */
#include "base/codec.h"
#include "base/utf8.h"
#include "tests/fuzz/fuzz.h"

static void try_varints(struct lam_slice bytes) {
    struct cursor c = cursor_of(bytes), narrow = cursor_of(bytes);
    uint8_t again[VARINT_MAX];
    while (cursor_left(&c) > 0) {
        const uint8_t *start = c.at;
        uint64_t v = cursor_varint(&c);
        uint32_t v32 = cursor_varint32(&narrow);
        REQUIRE(narrow.failed == (c.failed || v > UINT32_MAX));
        if (c.failed || narrow.failed)
            break;
        REQUIRE(v == v32 && c.at == narrow.at);
        size_t size = varint_put(again, v);
        REQUIRE(size == varint_size(v) && size == (size_t)(c.at - start));
        REQUIRE(memcmp(again, start, size) == 0);
        REQUIRE(zigzag_encode(zigzag_decode(v)) == v);
    }
    REQUIRE(c.at <= c.end && narrow.at <= narrow.end);
}

static void try_prefixed(struct lam_slice bytes) {
    struct cursor c = cursor_of(bytes);
    struct buf again = {0};
    while (cursor_left(&c) > 0) {
        const uint8_t *start = c.at;
        struct lam_slice s = cursor_prefixed(&c);
        if (c.failed)
            break;
        buf_reset(&again);
        REQUIRE(buf_append_prefixed(&again, s, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&again), lam_slice_of(start, (size_t)(c.at - start))));
    }
    buf_fini(&again);
}

/* Length of the character that starts here by RFC 3629, 0 if there is none. */
static size_t sound_length(const uint8_t *s, size_t left) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
    if (n > left || (s[0] >= 0x80 && s[0] < 0xC0) || s[0] >= 0xF8)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3F);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least[n] || code > 0x10FFFF || surrogate ? 0 : n;
}

static void try_utf8(struct lam_slice text) {
    size_t bad = SIZE_MAX, at = 0, count = 0;
    bool valid = utf8_valid(text, &bad);
    for (; at < text.size; count++) {
        size_t n = sound_length(text.data + at, text.size - at), next = at;
        uint32_t code = utf8_next(text, &next);
        uint8_t again[4];
        if (n == 0) {
            REQUIRE(!valid && (bad >= at || count == SIZE_MAX));
            REQUIRE(code == 0xFFFD && next == at + 1);
            break;
        }
        REQUIRE(next == at + n && utf8_put(again, code) == n);
        REQUIRE(memcmp(again, text.data + at, n) == 0);
        if (valid)
            REQUIRE(utf8_offset(text, count) == at);
        at = next;
    }
    REQUIRE(valid == (at == text.size));
    REQUIRE(valid ? utf8_length(text) == count : bad == at);
}

static void try_lz4(struct cursor *c) {
    size_t size = cursor_le16(c);
    struct lam_slice packed = fuzz_rest(c);
    struct buf plain = {0}, again = {0}, back = {0};
    fuzz_ok(buf_append_zeros(&plain, size + 1, NULL), NULL);
    fuzz_ok(buf_append_zeros(&back, size + 1, NULL), NULL);
    enum lam_code rc = codec_lz4_decompress(packed, plain.data, size, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT);
    REQUIRE(plain.data[size] == 0);
    if (rc == LAM_OK) {
        REQUIRE(codec_lz4_compress(lam_slice_of(plain.data, size), &again, NULL) == LAM_OK);
        REQUIRE(codec_lz4_decompress(buf_slice(&again), back.data, size, NULL) == LAM_OK);
        REQUIRE(memcmp(plain.data, back.data, size) == 0);
    }
    buf_fini(&plain);
    buf_fini(&again);
    buf_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    uint8_t what = cursor_u8(&c) % 4;
    if (what == 3) {
        try_lz4(&c);
        return 0;
    }
    struct lam_slice rest = fuzz_rest(&c);
    if (what == 0)
        try_varints(rest);
    else if (what == 1)
        try_prefixed(rest);
    else
        try_utf8(rest);
    return 0;
}
