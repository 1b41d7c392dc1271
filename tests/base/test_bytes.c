/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/rng.h"
#include "tests/support/test.h"

START_TEST(slices_order_bytewise_prefix_first) {
    ck_assert_int_lt(slice_cmp(lam_slice_str("a"), lam_slice_str("b")), 0);
    ck_assert_int_lt(slice_cmp(lam_slice_str("a"), lam_slice_str("a0")), 0);
    ck_assert_int_gt(slice_cmp(lam_slice_str("\xFF"), lam_slice_str("a")), 0);
    ck_assert_int_lt(slice_cmp(SLICE_EMPTY, lam_slice_str("a")), 0);
    ck_assert_int_eq(slice_cmp(SLICE_EMPTY, lam_slice_str("")), 0);
    ck_assert(slice_eq(SLICE_EMPTY, lam_slice_str("")));
    ck_assert(!slice_eq_str(lam_slice_str("ab"), "ac"));
    ck_assert(slice_starts_with(lam_slice_str("abc"), lam_slice_str("ab")));
    ck_assert(!slice_starts_with(lam_slice_str("a"), lam_slice_str("ab")));
}
END_TEST

START_TEST(fixed_integers_have_their_byte_order) {
    uint8_t b[8];
    put_le32(b, 0x01020304);
    ck_assert_mem_eq(b, "\x04\x03\x02\x01", 4);
    put_be32(b, 0x01020304);
    ck_assert_mem_eq(b, "\x01\x02\x03\x04", 4);
    ck_assert_uint_eq(get_be32(b), 0x01020304);
    put_be64(b, UINT64_C(0x0102030405060708));
    ck_assert_uint_eq(b[0], 1);
    ck_assert(get_be64(b) == UINT64_C(0x0102030405060708));
    put_le16(b, 0xABCD);
    ck_assert_uint_eq(get_le16(b), 0xABCD);
}
END_TEST

START_TEST(cursor_fails_at_the_end_and_stays_failed) {
    struct cursor c = cursor_of(lam_slice_of("\x01\x02\x03", 3));
    ck_assert_uint_eq(cursor_u8(&c), 1);
    ck_assert_uint_eq(cursor_left(&c), 2);
    ck_assert_uint_eq(cursor_le32(&c), 0);
    ck_assert(c.failed);
    ck_assert_uint_eq(cursor_offset(&c), 1);
    ck_assert_uint_eq(cursor_u8(&c), 0);
    ck_assert_uint_eq(cursor_left(&c), 0);
    ck_assert(cursor_varint(&c) == 0);
    ck_assert_uint_eq(cursor_prefixed(&c).size, 0);
    struct cursor empty = cursor_of(SLICE_EMPTY);
    ck_assert_uint_eq(cursor_left(&empty), 0);
    ck_assert_uint_eq(cursor_bytes(&empty, 0).size, 0);
    ck_assert(!empty.failed);
}
END_TEST

START_TEST(varints_come_back_at_every_length) {
    for (int bit = 0; bit <= 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t v = (bit == 64 ? 0 : UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            uint8_t out[VARINT_MAX];
            size_t size = varint_put(out, v);
            ck_assert_uint_eq(size, varint_size(v));
            struct cursor c = cursor_of(lam_slice_of(out, size));
            ck_assert(cursor_varint(&c) == v && !c.failed && cursor_left(&c) == 0);
            struct cursor cut = cursor_of(lam_slice_of(out, size - 1));
            ck_assert(cursor_varint(&cut) == 0 && cut.failed);
        }
    }
}
END_TEST

START_TEST(varints_must_be_short_and_fit) {
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x80\x00", 2},
        {"\xFF\x80\x00", 3},
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cursor c = cursor_of(lam_slice_of(bad[i].bytes, bad[i].size));
        ck_assert_msg(cursor_varint(&c) == 0 && c.failed, "case %zu", i);
    }
    struct cursor zero = cursor_of(lam_slice_of("\x00", 1));
    ck_assert(cursor_varint(&zero) == 0 && !zero.failed);
    struct cursor fits = cursor_of(lam_slice_of("\xFF\xFF\xFF\xFF\x0F", 5));
    ck_assert(cursor_varint32(&fits) == UINT32_MAX && !fits.failed);
    struct cursor wide = cursor_of(lam_slice_of("\x80\x80\x80\x80\x10", 5));
    ck_assert(cursor_varint32(&wide) == 0 && wide.failed);
}
END_TEST

START_TEST(prefixed_length_is_checked_against_the_rest) {
    struct cursor c = cursor_of(lam_slice_of("\x02hi!", 4));
    ck_assert(slice_eq_str(cursor_prefixed(&c), "hi"));
    ck_assert_uint_eq(cursor_left(&c), 1);
    struct cursor lie = cursor_of(lam_slice_of("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01x", 11));
    ck_assert_uint_eq(cursor_prefixed(&lie).size, 0);
    ck_assert(lie.failed);
}
END_TEST

START_TEST(zigzag_keeps_small_magnitudes_small) {
    ck_assert(zigzag_encode(0) == 0 && zigzag_encode(-1) == 1 && zigzag_encode(1) == 2);
    const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 5; i++)
        ck_assert(zigzag_decode(zigzag_encode(values[i])) == values[i]);
}
END_TEST

TEST_MAIN("base/bytes", slices_order_bytewise_prefix_first, fixed_integers_have_their_byte_order,
          cursor_fails_at_the_end_and_stays_failed, varints_come_back_at_every_length,
          varints_must_be_short_and_fit, prefixed_length_is_checked_against_the_rest,
          zigzag_keeps_small_magnitudes_small)
