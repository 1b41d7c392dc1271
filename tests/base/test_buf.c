/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "tests/support/oom.h"
#include "tests/support/test.h"

static struct lam_error err;

START_TEST(appends_come_out_in_order) {
    struct buf b = {0};
    ck_ok(buf_append_u8(&b, 'a', &err), &err);
    ck_ok(buf_append_le16(&b, 0x0201, &err), &err);
    ck_ok(buf_append_le32(&b, 0x06050403, &err), &err);
    ck_ok(buf_append_le64(&b, UINT64_C(0x0E0D0C0B0A090807), &err), &err);
    ck_ok(buf_append_varint(&b, 300, &err), &err);
    ck_ok(buf_append_prefixed(&b, lam_slice_str("xyz"), &err), &err);
    ck_ok(buf_append_zeros(&b, 2, &err), &err);
    ck_ok(buf_append_str(&b, "end", &err), &err);
    ck_ok(buf_append_slice(&b, SLICE_EMPTY, &err), &err);
    const char expected[] = "a\1\2\3\4\5\6\7\x8\x9\xA\xB\xC\xD\xE\xAC\2\3xyz\0\0end";
    ck_assert_uint_eq(b.size, sizeof expected - 1);
    ck_assert_mem_eq(b.data, expected, b.size);
    buf_reset(&b);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_gt(b.capacity, 0);
    buf_fini(&b);
    ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(growth_keeps_the_content) {
    struct buf b = {0};
    for (uint32_t i = 0; i < 100000; i++)
        ck_ok(buf_append_le32(&b, i, &err), &err);
    for (uint32_t i = 0; i < 100000; i++)
        ck_assert_uint_eq(get_le32(b.data + i * 4), i);
    ck_assert_uint_le(b.capacity, 2 * b.size + 64);
    buf_fini(&b);
}
END_TEST

START_TEST(format_fits_exactly_at_every_room) {
    for (int width = 0; width < 200; width++) {
        struct buf b = {0};
        ck_ok(buf_append_str(&b, "<", &err), &err);
        ck_ok(buf_append_format(&b, &err, "%*s|%d", width, "", 42), &err);
        ck_assert_uint_eq(b.size, 1 + (size_t)width + 3);
        ck_assert_mem_eq(b.data + b.size - 3, "|42", 3);
        const char *text;
        ck_ok(buf_cstr(&b, &text, &err), &err);
        ck_assert_uint_eq(strlen(text), b.size);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(impossible_sizes_are_out_of_memory) {
    struct buf b = {0};
    ck_ok(buf_append_str(&b, "x", &err), &err);
    ck_code(buf_reserve(&b, SIZE_MAX, &err), LAM_NO_MEMORY);
    ck_code(buf_append_prefixed(&b, lam_slice_of(b.data, SIZE_MAX - 3), &err), LAM_NO_MEMORY);
    ck_assert_uint_eq(b.size, 1);
    buf_fini(&b);
}
END_TEST

/* Appends of each kind until the buffer must grow, which fails: size and content stay. */
START_TEST(failed_append_leaves_the_buffer_as_it_was) {
    struct buf b = {0};
    ck_ok(buf_append_zeros(&b, 64, &err), &err);
    ck_assert_uint_eq(b.capacity, 64);
    oom_arm(1);
    const char *text;
    ck_code(buf_append_u8(&b, 1, &err), LAM_NO_MEMORY);
    ck_contains(err.message, "128 bytes");
    ck_code(buf_append_le64(&b, 1, &err), LAM_NO_MEMORY);
    ck_code(buf_append_varint(&b, 1, &err), LAM_NO_MEMORY);
    ck_code(buf_append_str(&b, "a", &err), LAM_NO_MEMORY);
    ck_code(buf_append_prefixed(&b, lam_slice_str("a"), &err), LAM_NO_MEMORY);
    ck_code(buf_append_zeros(&b, 1, &err), LAM_NO_MEMORY);
    ck_code(buf_append_format(&b, &err, "%d", 1), LAM_NO_MEMORY);
    ck_code(buf_cstr(&b, &text, &err), LAM_NO_MEMORY);
    oom_arm(0);
    ck_assert_uint_eq(b.size, 64);
    ck_ok(buf_append_u8(&b, 1, &err), &err);
    ck_assert_uint_eq(b.data[64], 1);
    buf_fini(&b);
}
END_TEST

START_TEST(arrays_at_least_double) {
    uint64_t *items = NULL;
    size_t capacity = 0;
    ck_ok(MEM_GROW(&items, &capacity, 1, &err), &err);
    ck_assert_uint_eq(capacity, 8);
    ck_ok(MEM_GROW(&items, &capacity, 9, &err), &err);
    ck_assert_uint_eq(capacity, 16);
    ck_ok(MEM_GROW(&items, &capacity, 100, &err), &err);
    ck_assert_uint_eq(capacity, 100);
    ck_code(MEM_GROW(&items, &capacity, SIZE_MAX / 4, &err), LAM_NO_MEMORY);
    ck_assert_uint_eq(capacity, 100);
    mem_free(items);
}
END_TEST

START_TEST(heap_helpers_check_overflow_and_copy) {
    ck_assert_ptr_null(mem_calloc(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(mem_alloc(0));
    uint8_t *zeros = mem_calloc(10, 10);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(zeros[i], 0);
    char *text = mem_strdup("text");
    ck_assert_str_eq(text, "text");
    void *none = mem_dup(NULL, 0);
    ck_assert_ptr_nonnull(none);
    mem_free(zeros);
    mem_free(text);
    mem_free(none);
    mem_free(NULL);
}
END_TEST

TEST_MAIN("base/buf", appends_come_out_in_order, growth_keeps_the_content,
          format_fits_exactly_at_every_room, impossible_sizes_are_out_of_memory,
          failed_append_leaves_the_buffer_as_it_was, arrays_at_least_double,
          heap_helpers_check_overflow_and_copy)
