/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys order as their values do, prefixes are prefixes, and bytes that no encoder makes are
 * refused. */
#include "catalog/key.h"
#include "tests/catalog/values.h"
#include "tests/support/test.h"

static struct lam_error err;
static struct arena arena;

#define PARTS_MAX 4

struct tuple_shape {
    unsigned count;
    struct coltype types[PARTS_MAX];
    bool nullable[PARTS_MAX];
    bool descending[PARTS_MAX];
};

static struct tuple_shape random_shape(struct rng *r) {
    struct tuple_shape s = {.count = 1 + (unsigned)rng_below(r, PARTS_MAX)};
    for (unsigned i = 0; i < s.count; i++) {
        s.types[i] = random_coltype(r);
        s.nullable[i] = rng_below(r, 2);
        s.descending[i] = rng_below(r, 2);
    }
    return s;
}

static void random_tuple(struct rng *r, const struct tuple_shape *s, struct value *values) {
    for (unsigned i = 0; i < s->count; i++)
        values[i] = s->nullable[i] && rng_below(r, 4) == 0 ? value_null(s->types[i])
                                                           : random_value(r, s->types[i], &arena);
}

/* As ORDER BY has it: nulls last ascending, first descending. */
static int cmp_tuples(const struct tuple_shape *s, const struct value *a, const struct value *b) {
    for (unsigned i = 0; i < s->count; i++) {
        int c = a[i].is_null || b[i].is_null ? (int)a[i].is_null - (int)b[i].is_null
                                             : value_cmp(&a[i], &b[i]);
        if (c != 0)
            return s->descending[i] ? (c < 0) - (c > 0) : (c > 0) - (c < 0);
    }
    return 0;
}

static void encode(const struct tuple_shape *s, const struct value *values, unsigned count,
                   struct buf *out) {
    buf_reset(out);
    for (unsigned i = 0; i < count; i++)
        ck_ok(key_put_value(out, &values[i], s->nullable[i], s->descending[i], &err), &err);
}

START_TEST(bytes_order_as_tuples_and_decode_to_them) {
    struct rng r;
    struct buf a = {0}, b = {0}, prefix = {0};
    rng_init(&r, test_seed("tuples"));
    for (int round = 0; round < 30000; round++) {
        struct tuple_shape s = random_shape(&r);
        struct value x[PARTS_MAX], y[PARTS_MAX];
        random_tuple(&r, &s, x);
        random_tuple(&r, &s, y);
        for (unsigned i = 0; i + 1 < s.count; i++)
            if (rng_below(&r, 2))
                y[i] = x[i]; /* so that later parts decide */
        encode(&s, x, s.count, &a);
        encode(&s, y, s.count, &b);
        int c = slice_cmp(buf_slice(&a), buf_slice(&b));
        ck_assert_int_eq((c > 0) - (c < 0), cmp_tuples(&s, x, y));

        unsigned first = (unsigned)rng_below(&r, s.count + 1);
        encode(&s, x, first, &prefix);
        ck_assert(slice_starts_with(buf_slice(&a), buf_slice(&prefix)));
        key_prefix_end(&prefix);
        if (prefix.size)
            ck_assert_int_lt(slice_cmp(buf_slice(&a), buf_slice(&prefix)), 0);

        struct cursor c1 = cursor_of(buf_slice(&a));
        for (unsigned i = 0; i < s.count; i++) {
            struct value v;
            ck_ok(key_get_value(&c1, s.types[i], s.nullable[i], s.descending[i], &arena, &v, &err),
                  &err);
            ck_assert_int_eq(v.is_null, x[i].is_null);
            ck_assert(v.is_null || value_cmp(&v, &x[i]) == 0);
        }
        ck_assert_uint_eq(cursor_left(&c1), 0);
        if (round % 1000 == 0)
            arena_reset(&arena);
    }
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&prefix);
    arena_fini(&arena);
}
END_TEST

START_TEST(every_cut_of_a_key_is_corrupt) {
    struct rng r;
    struct buf a = {0};
    rng_init(&r, test_seed("cuts"));
    for (int round = 0; round < 3000; round++) {
        struct tuple_shape s = random_shape(&r);
        struct value x[PARTS_MAX], v;
        s.count = 1;
        random_tuple(&r, &s, x);
        encode(&s, x, 1, &a);
        for (size_t size = 0; size < a.size; size++) {
            struct cursor c = cursor_of(lam_slice_of(a.data, size));
            ck_code(key_get_value(&c, s.types[0], s.nullable[0], s.descending[0], &arena, &v, &err),
                    LAM_CORRUPT);
        }
        arena_reset(&arena);
    }
    buf_fini(&a);
    arena_fini(&arena);
}
END_TEST

START_TEST(what_decodes_encodes_to_the_same_bytes) {
    struct rng r;
    struct buf out = {0};
    unsigned taken = 0;
    rng_init(&r, test_seed("canonical"));
    for (int round = 0; round < 200000; round++) {
        uint8_t bytes[20];
        struct coltype type = random_coltype(&r);
        bool nullable = rng_below(&r, 2), descending = rng_below(&r, 2);
        for (size_t i = 0; i < sizeof bytes; i++) {
            static const uint8_t pool[] = {0x00, 0x01, 0x02, 0x80, 0xfe, 0xff, 0xfd, 0x7f};
            bytes[i] = rng_below(&r, 4) ? pool[rng_below(&r, 8)] : (uint8_t)rng_next(&r);
        }
        struct cursor c = cursor_of(lam_slice_of(bytes, sizeof bytes));
        struct value v;
        if (key_get_value(&c, type, nullable, descending, &arena, &v, &err) != LAM_OK) {
            ck_assert_int_eq(err.code, LAM_CORRUPT);
            continue;
        }
        taken++;
        buf_reset(&out);
        ck_ok(key_put_value(&out, &v, nullable, descending, &err), &err);
        ck_assert(slice_eq(buf_slice(&out), lam_slice_of(bytes, cursor_offset(&c))));
        if (round % 1000 == 0)
            arena_reset(&arena);
    }
    ck_assert_uint_gt(taken, 1000);
    buf_fini(&out);
    arena_fini(&arena);
}
END_TEST

static enum lam_code decode(const char *bytes, size_t size, enum lam_type type, bool nullable) {
    struct cursor c = cursor_of(lam_slice_of(bytes, size));
    struct value v;
    return key_get_value(&c, coltype_of(type), nullable, false, &arena, &v, &err);
}

START_TEST(forms_that_are_never_written_are_corrupt) {
    ck_code(decode("\x02", 1, LAM_TYPE_BOOLEAN, false), LAM_CORRUPT);
    ck_code(decode("\x03\x01", 2, LAM_TYPE_BOOLEAN, true), LAM_CORRUPT);
    ck_code(decode("\x00\x01", 2, LAM_TYPE_BOOLEAN, true), LAM_CORRUPT);
    ck_code(decode("a\x00\x02", 3, LAM_TYPE_TEXT, false), LAM_CORRUPT);
    ck_code(decode("a\x00\x00", 3, LAM_TYPE_TEXT, false), LAM_CORRUPT);
    ck_code(decode("a\x00\xff", 3, LAM_TYPE_TEXT, false), LAM_CORRUPT);
    /* -0, a NaN with another payload, a negative NaN. */
    ck_code(decode("\x7f\xff\xff\xff", 4, LAM_TYPE_FLOAT, false), LAM_CORRUPT);
    ck_code(decode("\xff\xc0\x00\x01", 4, LAM_TYPE_FLOAT, false), LAM_CORRUPT);
    ck_code(decode("\x00\x3f\xff\xff", 4, LAM_TYPE_FLOAT, false), LAM_CORRUPT);
    ck_code(decode("\x7f\xff\xff\xff\xff\xff\xff\xff", 8, LAM_TYPE_DOUBLE, false), LAM_CORRUPT);
    ck_code(decode("\xff\xf8\0\0\0\0\0\1", 8, LAM_TYPE_DOUBLE, false), LAM_CORRUPT);
    ck_code(decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16,
                   LAM_TYPE_DECIMAL, false),
            LAM_CORRUPT);
    ck_ok(decode("\xff\xc0\x00\x00", 4, LAM_TYPE_FLOAT, false), &err);
    ck_ok(decode("\x80\x00\x00\x00", 4, LAM_TYPE_FLOAT, false), &err);
    ck_ok(decode("a\x00\x01", 3, LAM_TYPE_TEXT, false), &err);
    arena_fini(&arena);
}
END_TEST

START_TEST(bytes_of_known_keys_stay) {
    struct buf out = {0};
    struct value v = value_i64(LAM_TYPE_INT, -1);
    ck_ok(key_put_value(&out, &v, false, false, &err), &err);
    v = value_i64(LAM_TYPE_SMALLINT, 1);
    ck_ok(key_put_value(&out, &v, true, false, &err), &err);
    v = value_bytes(LAM_TYPE_TEXT, lam_slice_of("a\0b", 3));
    ck_ok(key_put_value(&out, &v, false, false, &err), &err);
    v = value_null(coltype_of(LAM_TYPE_TEXT));
    ck_ok(key_put_value(&out, &v, true, true, &err), &err);
    v = value_f64(LAM_TYPE_DOUBLE, -1.0);
    ck_ok(key_put_value(&out, &v, false, false, &err), &err);
    static const uint8_t expected[] = {0x7f, 0xff, 0xff, 0xff, 0x01, 0x80, 0x01, 'a',
                                       0x00, 0xff, 'b',  0x00, 0x01, 0xfd, 0x40, 0x0f,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    ck_assert(slice_eq(buf_slice(&out), lam_slice_of(expected, sizeof expected)));
    buf_fini(&out);
}
END_TEST

START_TEST(a_prefix_of_all_ff_has_no_end) {
    struct buf key = {0};
    ck_ok(buf_append(&key, "\x01\xff\xff", 3, &err), &err);
    key_prefix_end(&key);
    ck_assert(slice_eq(buf_slice(&key), lam_slice_of("\x02", 1)));
    buf_reset(&key);
    ck_ok(buf_append(&key, "\xff\xff", 2, &err), &err);
    key_prefix_end(&key);
    ck_assert_uint_eq(key.size, 0);
    buf_fini(&key);
}
END_TEST

START_TEST(user_ids_that_are_prefixes_do_not_mix) {
    struct buf a = {0}, b = {0};
    static const char *const ids[] = {"a", "a\x01", "a\xc3\xbf", "ab", "aa", "b"};
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 6; j++) {
            buf_reset(&a);
            buf_reset(&b);
            ck_ok(key_put_string(&a, lam_slice_str(ids[i]), &err), &err);
            ck_ok(key_put_string(&b, lam_slice_str(ids[j]), &err), &err);
            ck_assert_int_eq(slice_starts_with(buf_slice(&a), buf_slice(&b)), i == j);
            int c = slice_cmp(buf_slice(&a), buf_slice(&b));
            int d = slice_cmp(lam_slice_str(ids[i]), lam_slice_str(ids[j]));
            ck_assert_int_eq((c > 0) - (c < 0), (d > 0) - (d < 0));
        }
    }
    buf_fini(&a);
    buf_fini(&b);
}
END_TEST

START_TEST(strings_with_escapes_in_them_come_back) {
    static const char *const texts[] = {"\0", "\xff\0", "\0\xff", "\0\1", "\0\0", "\xff\xff"};
    static const size_t sizes[] = {1, 2, 2, 2, 2, 2};
    for (size_t i = 0; i < 6; i++) {
        struct buf out = {0};
        struct lam_slice back;
        ck_ok(key_put_string(&out, lam_slice_of(texts[i], sizes[i]), &err), &err);
        struct cursor c = cursor_of(buf_slice(&out));
        ck_ok(key_get_string(&c, &arena, &back, &err), &err);
        ck_assert(slice_eq(back, lam_slice_of(texts[i], sizes[i])));
        ck_assert_uint_eq(cursor_left(&c), 0);
        buf_fini(&out);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(user_ids_have_1_to_256_bytes_of_utf8) {
    char id[258];
    memset(id, 'x', sizeof id);
    ck_ok(user_id_check(lam_slice_of(id, 256), &err), &err);
    ck_code(user_id_check(lam_slice_of(id, 257), &err), LAM_INVALID);
    ck_contains(err.message, "257");
    ck_code(user_id_check(SLICE_EMPTY, &err), LAM_INVALID);
    ck_code(user_id_check(lam_slice_of("a\0b", 3), &err), LAM_INVALID);
    ck_code(user_id_check(lam_slice_str("\xff"), &err), LAM_INVALID);
    ck_ok(user_id_check(lam_slice_str("../\\'; \xf0\x9f\x98\x80"), &err), &err);
}
END_TEST

START_TEST(identifiers_are_short_lower_case_words) {
    char name[66];
    memset(name, 'n', sizeof name);
    ck_ok(identifier_check(lam_slice_of(name, 64), "table", &err), &err);
    ck_ok(identifier_check(lam_slice_str("a_1"), "table", &err), &err);
    static const char *const bad[] = {"", "1a", "_a", "A", "a-b", "a b", "\xc3\xa4", "a.b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_code(identifier_check(lam_slice_str(bad[i]), "table", &err), LAM_SQL);
        ck_assert_str_eq(err.sqlstate, "42602");
        ck_contains(err.message, "table");
    }
    ck_code(identifier_check(lam_slice_of(name, 65), "column", &err), LAM_SQL);
    ck_contains(err.message, "65");
    ck_code(identifier_check(lam_slice_of("a\0b", 3), "column", &err), LAM_SQL);
}
END_TEST

TEST_MAIN("catalog/key", bytes_order_as_tuples_and_decode_to_them, every_cut_of_a_key_is_corrupt,
          what_decodes_encodes_to_the_same_bytes, forms_that_are_never_written_are_corrupt,
          bytes_of_known_keys_stay, a_prefix_of_all_ff_has_no_end,
          user_ids_that_are_prefixes_do_not_mix, strings_with_escapes_in_them_come_back,
          user_ids_have_1_to_256_bytes_of_utf8, identifiers_are_short_lower_case_words)
