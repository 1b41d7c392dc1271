/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "tests/support/test.h"

START_TEST(every_scalar_comes_back_and_is_valid) {
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        uint8_t out[4];
        size_t size = utf8_put(out, c), at = 0;
        struct lam_slice s = lam_slice_of(out, size);
        if (!utf8_valid(s, NULL) || utf8_next(s, &at) != c || at != size || utf8_length(s) != 1)
            ck_abort_msg("U+%X", c);
    }
}
END_TEST

START_TEST(ill_formed_sequences_are_refused_where_they_start) {
    static const char *const bad[] = {
        "\x80",     /* a continuation byte alone */
        "\xC0\x80", /* overlong */
        "\xC1\xBF",
        "\xE0\x9F\xBF",
        "\xF0\x8F\xBF\xBF",
        "\xED\xA0\x80", /* a surrogate */
        "\xED\xBF\xBF",
        "\xF4\x90\x80\x80", /* past U+10FFFF */
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xC3", /* cut */
        "\xE2\x82",
        "\xF0\x9F\x98",
        "\xC3(", /* not continued */
        "\xE2\x28\xA1",
        "\xE2\x82(",
        "\xF0\x9F\x98(",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        for (int before = 0; before < 20; before++) {
            int length =
                snprintf(text, sizeof text, "%.*s%s", before, "aaaaaaaaaaaaaaaaaaaa", bad[i]);
            size_t offset = 99;
            ck_assert_msg(!utf8_valid(lam_slice_of(text, (size_t)length), &offset), "case %zu", i);
            ck_assert_uint_eq(offset, (size_t)before);
        }
        size_t at = 0;
        ck_assert_uint_eq(utf8_next(lam_slice_str(bad[i]), &at), 0xFFFD);
        ck_assert_uint_eq(at, 1);
    }
}
END_TEST

START_TEST(lengths_and_offsets_count_characters) {
    struct lam_slice s = lam_slice_str("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80zzzzzzzzzz");
    ck_assert(utf8_valid(s, NULL));
    ck_assert_uint_eq(utf8_length(s), 14);
    const size_t offsets[] = {0, 1, 3, 6, 10, 11};
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(utf8_offset(s, i), offsets[i]);
    ck_assert_uint_eq(utf8_offset(s, 14), s.size);
    ck_assert_uint_eq(utf8_offset(s, 1000), s.size);
    ck_assert_uint_eq(utf8_length(SLICE_EMPTY), 0);
    ck_assert(utf8_valid(SLICE_EMPTY, NULL));
}
END_TEST

TEST_MAIN("base/utf8", every_scalar_comes_back_and_is_valid,
          ill_formed_sequences_are_refused_where_they_start, lengths_and_offsets_count_characters)
