/* SPDX-License-Identifier: Apache-2.0
 *
 * Which casts there are, and what they do at the edges. */
#include "catalog/value.h"
#include "tests/catalog/values.h"
#include "tests/support/test.h"

static struct lam_error err;
static struct arena arena;

static struct value cast(struct value v, struct coltype to, enum cast_kind kind) {
    struct value out;
    ck_ok(value_cast(&v, to, kind, &arena, &out, &err), &err);
    return out;
}

static struct value to(struct value v, enum lam_type type) {
    return cast(v, coltype_of(type), CAST_EXPLICIT);
}

static const char *refused(struct value v, struct coltype type, enum cast_kind kind) {
    struct value out;
    memset(&err, 0, sizeof err);
    ck_code(value_cast(&v, type, kind, &arena, &out, &err), LAM_SQL);
    return err.sqlstate;
}

static struct value dec(int64_t v, uint8_t precision, uint8_t scale) {
    return value_decimal(v, precision, scale);
}

#define DECIMAL(p, s) ((struct coltype){LAM_TYPE_DECIMAL, p, s, 0})
#define VARCHAR(n)    ((struct coltype){LAM_TYPE_TEXT, 0, 0, n})

START_TEST(implicit_casts_only_widen) {
    ck_assert(cast_allowed(LAM_TYPE_SMALLINT, LAM_TYPE_BIGINT, CAST_IMPLICIT));
    ck_assert(cast_allowed(LAM_TYPE_INT, LAM_TYPE_DECIMAL, CAST_IMPLICIT));
    ck_assert(cast_allowed(LAM_TYPE_DECIMAL, LAM_TYPE_DOUBLE, CAST_IMPLICIT));
    ck_assert(cast_allowed(LAM_TYPE_FLOAT, LAM_TYPE_DOUBLE, CAST_IMPLICIT));
    ck_assert(cast_allowed(LAM_TYPE_DATE, LAM_TYPE_TIMESTAMP, CAST_IMPLICIT));
    ck_assert(cast_allowed(LAM_TYPE_NULL, LAM_TYPE_UUID, CAST_IMPLICIT));
    ck_assert(!cast_allowed(LAM_TYPE_BIGINT, LAM_TYPE_INT, CAST_IMPLICIT));
    ck_assert(!cast_allowed(LAM_TYPE_DOUBLE, LAM_TYPE_DECIMAL, CAST_IMPLICIT));
    ck_assert(!cast_allowed(LAM_TYPE_TIMESTAMP, LAM_TYPE_DATE, CAST_IMPLICIT));
    ck_assert(!cast_allowed(LAM_TYPE_INT, LAM_TYPE_TEXT, CAST_IMPLICIT));
}
END_TEST

START_TEST(assignments_narrow_but_do_not_read_text) {
    ck_assert(cast_allowed(LAM_TYPE_BIGINT, LAM_TYPE_SMALLINT, CAST_ASSIGNMENT));
    ck_assert(cast_allowed(LAM_TYPE_DOUBLE, LAM_TYPE_INT, CAST_ASSIGNMENT));
    ck_assert(cast_allowed(LAM_TYPE_INT, LAM_TYPE_TEXT, CAST_ASSIGNMENT));
    ck_assert(cast_allowed(LAM_TYPE_TIMESTAMP, LAM_TYPE_TIME, CAST_ASSIGNMENT));
    ck_assert(cast_allowed(LAM_TYPE_TEXT, LAM_TYPE_JSON, CAST_ASSIGNMENT));
    ck_assert(!cast_allowed(LAM_TYPE_TEXT, LAM_TYPE_INT, CAST_ASSIGNMENT));
    ck_assert(!cast_allowed(LAM_TYPE_JSON, LAM_TYPE_TEXT, CAST_ASSIGNMENT));
    ck_assert(!cast_allowed(LAM_TYPE_BOOLEAN, LAM_TYPE_INT, CAST_ASSIGNMENT));
    ck_assert_str_eq(refused(value_text("1"), coltype_of(LAM_TYPE_INT), CAST_ASSIGNMENT), "42804");
    ck_contains(err.hint, "CAST(... AS INT)");
    ck_assert_str_eq(refused(value_bool(true), coltype_of(LAM_TYPE_DATE), CAST_ASSIGNMENT),
                     "42804");
    ck_assert_str_eq(err.hint, "");
}
END_TEST

START_TEST(casts_that_mean_nothing_do_not_exist) {
    ck_assert_str_eq(refused(value_bool(true), coltype_of(LAM_TYPE_DATE), CAST_EXPLICIT), "42846");
    ck_assert_str_eq(refused(value_i64(LAM_TYPE_INT, 1), coltype_of(LAM_TYPE_UUID), CAST_EXPLICIT),
                     "42846");
    ck_assert_str_eq(
        refused(value_i64(LAM_TYPE_TIME, 1), coltype_of(LAM_TYPE_TIMESTAMP), CAST_EXPLICIT),
        "42846");
    ck_assert_str_eq(
        refused(value_f64(LAM_TYPE_DOUBLE, 1), coltype_of(LAM_TYPE_BOOLEAN), CAST_EXPLICIT),
        "42846");
}
END_TEST

START_TEST(null_keeps_null_and_gets_the_type) {
    struct value v = cast((struct value){.is_null = true}, DECIMAL(5, 2), CAST_IMPLICIT);
    ck_assert(v.is_null && coltype_eq(v.type, DECIMAL(5, 2)));
    v = cast(value_null(coltype_of(LAM_TYPE_TEXT)), coltype_of(LAM_TYPE_INT), CAST_EXPLICIT);
    ck_assert(v.is_null && v.type.type == LAM_TYPE_INT);
}
END_TEST

START_TEST(integers_are_range_checked) {
    struct value v = value_i64(LAM_TYPE_BIGINT, 40000);
    ck_assert_int_eq(to(v, LAM_TYPE_INT).as.i64, 40000);
    ck_assert_str_eq(refused(v, coltype_of(LAM_TYPE_SMALLINT), CAST_EXPLICIT), "22003");
    ck_contains(err.message, "40000");
    v = value_i64(LAM_TYPE_BIGINT, INT64_MIN);
    ck_assert_str_eq(refused(v, coltype_of(LAM_TYPE_INT), CAST_ASSIGNMENT), "22003");
    ck_assert_int_eq(to(value_i64(LAM_TYPE_BIGINT, INT32_MIN), LAM_TYPE_INT).as.i64, INT32_MIN);
    ck_assert_str_eq(refused(value_i64(LAM_TYPE_BIGINT, INT64_C(2147483648)),
                             coltype_of(LAM_TYPE_INT), CAST_EXPLICIT),
                     "22003");
}
END_TEST

START_TEST(decimals_round_half_away_from_zero_to_integers) {
    ck_assert_int_eq(to(dec(25, 3, 1), LAM_TYPE_INT).as.i64, 3);
    ck_assert_int_eq(to(dec(-25, 3, 1), LAM_TYPE_INT).as.i64, -3);
    ck_assert_int_eq(to(dec(249, 3, 2), LAM_TYPE_SMALLINT).as.i64, 2);
    struct value big = value_decimal((int128)INT64_MAX * 10 + 4, 38, 1);
    ck_assert(to(big, LAM_TYPE_BIGINT).as.i64 == INT64_MAX);
    big.as.i128 += 1;
    ck_assert_str_eq(refused(big, coltype_of(LAM_TYPE_BIGINT), CAST_EXPLICIT), "22003");
}
END_TEST

START_TEST(floats_round_half_to_even_to_integers) {
    ck_assert_int_eq(to(value_f64(LAM_TYPE_DOUBLE, 2.5), LAM_TYPE_INT).as.i64, 2);
    ck_assert_int_eq(to(value_f64(LAM_TYPE_DOUBLE, 3.5), LAM_TYPE_INT).as.i64, 4);
    ck_assert_int_eq(to(value_f64(LAM_TYPE_DOUBLE, -2.5), LAM_TYPE_INT).as.i64, -2);
    ck_assert(to(value_f64(LAM_TYPE_DOUBLE, -0x1p63), LAM_TYPE_BIGINT).as.i64 == INT64_MIN);
    static const double bad[] = {0x1p63, -0x1.0000000000001p63, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_str_eq(
            refused(value_f64(LAM_TYPE_DOUBLE, bad[i]), coltype_of(LAM_TYPE_BIGINT), CAST_EXPLICIT),
            "22003");
    ck_assert_int_eq(to(value_f64(LAM_TYPE_DOUBLE, 32767.4), LAM_TYPE_SMALLINT).as.i64, 32767);
    ck_assert_str_eq(
        refused(value_f64(LAM_TYPE_DOUBLE, 32767.5), coltype_of(LAM_TYPE_SMALLINT), CAST_EXPLICIT),
        "22003");
}
END_TEST

START_TEST(numbers_become_decimals_of_the_scale_asked_for) {
    struct value v = cast(value_i64(LAM_TYPE_INT, -7), DECIMAL(5, 2), CAST_ASSIGNMENT);
    ck_assert(v.as.i128 == -700 && coltype_eq(v.type, DECIMAL(5, 2)));
    ck_assert_str_eq(refused(value_i64(LAM_TYPE_INT, 1000), DECIMAL(5, 2), CAST_ASSIGNMENT),
                     "22003");
    ck_assert(cast(dec(1235, 4, 3), DECIMAL(5, 2), CAST_ASSIGNMENT).as.i128 == 124);
    ck_assert_str_eq(refused(dec(99995, 5, 3), DECIMAL(3, 1), CAST_EXPLICIT), "22003");
    ck_assert(cast(value_f64(LAM_TYPE_DOUBLE, 0.1), DECIMAL(20, 18), CAST_EXPLICIT).as.i128 ==
              decimal_pow10(17));
    ck_assert(cast(value_f64(LAM_TYPE_FLOAT, 0.1), DECIMAL(20, 18), CAST_EXPLICIT).as.i128 ==
              decimal_pow10(17));
    ck_assert_str_eq(refused(value_f64(LAM_TYPE_DOUBLE, NAN), DECIMAL(5, 2), CAST_EXPLICIT),
                     "22003");
    ck_assert_str_eq(refused(value_f64(LAM_TYPE_DOUBLE, 1e30), DECIMAL(5, 2), CAST_EXPLICIT),
                     "22003");
}
END_TEST

START_TEST(decimals_without_precision_take_what_the_value_needs) {
    struct coltype any = coltype_of(LAM_TYPE_DECIMAL);
    ck_assert(
        coltype_eq(cast(value_i64(LAM_TYPE_BIGINT, 5), any, CAST_IMPLICIT).type, DECIMAL(19, 0)));
    ck_assert(coltype_eq(cast(dec(125, 9, 2), any, CAST_IMPLICIT).type, DECIMAL(9, 2)));
    struct value v = cast(value_f64(LAM_TYPE_DOUBLE, 2.75), any, CAST_EXPLICIT);
    ck_assert(v.as.i128 == 275 && coltype_eq(v.type, DECIMAL(3, 2)));
    v = cast(value_f64(LAM_TYPE_DOUBLE, 1e20), any, CAST_EXPLICIT);
    ck_assert(v.as.i128 == decimal_pow10(20) && coltype_eq(v.type, DECIMAL(21, 0)));
    ck_assert_str_eq(refused(value_f64(LAM_TYPE_DOUBLE, 1e-39), any, CAST_EXPLICIT), "22003");
}
END_TEST

START_TEST(doubles_narrow_to_floats_within_range) {
    ck_assert(to(value_f64(LAM_TYPE_DOUBLE, 0.1), LAM_TYPE_FLOAT).as.f64 == (double)0.1F);
    ck_assert(isinf(to(value_f64(LAM_TYPE_DOUBLE, INFINITY), LAM_TYPE_FLOAT).as.f64));
    ck_assert(isnan(to(value_f64(LAM_TYPE_DOUBLE, NAN), LAM_TYPE_FLOAT).as.f64));
    ck_assert_str_eq(
        refused(value_f64(LAM_TYPE_DOUBLE, 1e39), coltype_of(LAM_TYPE_FLOAT), CAST_EXPLICIT),
        "22003");
    ck_assert_str_eq(
        refused(value_f64(LAM_TYPE_DOUBLE, 1e-60), coltype_of(LAM_TYPE_FLOAT), CAST_EXPLICIT),
        "22003");
    ck_assert(to(value_i64(LAM_TYPE_BIGINT, INT64_MAX), LAM_TYPE_DOUBLE).as.f64 == 0x1p63);
    ck_assert(to(dec(15, 2, 1), LAM_TYPE_DOUBLE).as.f64 == 1.5);
}
END_TEST

START_TEST(booleans_and_integers_need_an_explicit_cast) {
    ck_assert_int_eq(to(value_bool(true), LAM_TYPE_INT).as.i64, 1);
    ck_assert(to(value_i64(LAM_TYPE_SMALLINT, -3), LAM_TYPE_BOOLEAN).as.boolean);
    ck_assert(!to(value_i64(LAM_TYPE_BIGINT, 0), LAM_TYPE_BOOLEAN).as.boolean);
}
END_TEST

START_TEST(text_is_read_when_asked_to) {
    ck_assert_int_eq(to(value_text(" 12 "), LAM_TYPE_INT).as.i64, 12);
    ck_assert_int_eq(to(value_text("1970-01-02"), LAM_TYPE_DATE).as.i64, 1);
    ck_assert_str_eq(refused(value_text("x"), coltype_of(LAM_TYPE_INT), CAST_EXPLICIT), "22P02");
    ck_assert_str_eq(refused(value_text("{"), coltype_of(LAM_TYPE_JSON), CAST_ASSIGNMENT), "22P02");
    ck_assert(slice_eq_str(
        cast(value_text("[1]"), coltype_of(LAM_TYPE_JSON), CAST_ASSIGNMENT).as.bytes, "[1]"));
}
END_TEST

START_TEST(everything_becomes_text) {
    ck_assert(slice_eq_str(to(value_bool(false), LAM_TYPE_TEXT).as.bytes, "false"));
    ck_assert(slice_eq_str(to(dec(150, 5, 2), LAM_TYPE_TEXT).as.bytes, "1.50"));
    ck_assert(slice_eq_str(to(value_i64(LAM_TYPE_DATE, 0), LAM_TYPE_TEXT).as.bytes, "1970-01-01"));
    ck_assert(slice_eq_str(
        to(value_bytes(LAM_TYPE_BYTES, lam_slice_str("\x01")), LAM_TYPE_TEXT).as.bytes, "\\x01"));
    ck_assert(slice_eq_str(
        to(value_bytes(LAM_TYPE_JSON, lam_slice_str("[1]")), LAM_TYPE_TEXT).as.bytes, "[1]"));
}
END_TEST

START_TEST(only_an_explicit_cast_cuts_text) {
    struct value v = value_text("\xc3\xa4\xc3\xb6\xc3\xbc");
    ck_assert(slice_eq_str(cast(v, VARCHAR(2), CAST_EXPLICIT).as.bytes, "\xc3\xa4\xc3\xb6"));
    ck_assert_str_eq(refused(v, VARCHAR(2), CAST_ASSIGNMENT), "22001");
    ck_assert(slice_eq(cast(v, VARCHAR(3), CAST_ASSIGNMENT).as.bytes, v.as.bytes));
    ck_assert_uint_eq(cast(v, VARCHAR(3), CAST_ASSIGNMENT).type.length, 3);
    ck_assert_str_eq(refused(value_text("ab "), VARCHAR(2), CAST_ASSIGNMENT), "22001");
    ck_assert_str_eq(refused(value_i64(LAM_TYPE_INT, 1234), VARCHAR(3), CAST_ASSIGNMENT), "22001");
    ck_assert(slice_eq_str(cast(value_i64(LAM_TYPE_INT, 1234), VARCHAR(3), CAST_EXPLICIT).as.bytes,
                           "123"));
}
END_TEST

START_TEST(timestamps_split_into_date_and_time) {
    struct value before = value_i64(LAM_TYPE_TIMESTAMP, -1);
    ck_assert_int_eq(to(before, LAM_TYPE_DATE).as.i64, -1);
    ck_assert_int_eq(to(before, LAM_TYPE_TIME).as.i64, DAY_MICROS - 1);
    ck_assert_int_eq(to(value_i64(LAM_TYPE_DATE, DATE_MIN), LAM_TYPE_TIMESTAMP).as.i64,
                     TIMESTAMP_MIN);
    ck_assert_str_eq(
        refused(value_i64(LAM_TYPE_DATE, INT32_MAX), coltype_of(LAM_TYPE_TIMESTAMP), CAST_IMPLICIT),
        "22008");
}
END_TEST

START_TEST(uuids_are_16_bytes) {
    uint8_t raw[16] = {1, 2, 3, 255};
    struct value bytes = to(value_uuid(raw), LAM_TYPE_BYTES);
    ck_assert(slice_eq(bytes.as.bytes, lam_slice_of(raw, 16)));
    ck_assert_int_eq(memcmp(to(bytes, LAM_TYPE_UUID).as.uuid, raw, 16), 0);
    bytes.as.bytes.size = 15;
    ck_assert_str_eq(refused(bytes, coltype_of(LAM_TYPE_UUID), CAST_EXPLICIT), "22P02");
}
END_TEST

START_TEST(allowed_casts_work_or_fail_as_statements_and_others_never_work) {
    struct rng r;
    rng_init(&r, test_seed("casts"));
    for (int i = 0; i < 50000; i++) {
        struct coltype from = random_coltype(&r), type = random_coltype(&r);
        enum cast_kind kind = (enum cast_kind)rng_below(&r, 3);
        struct value v = random_value(&r, from, &arena), out;
        enum lam_code code = value_cast(&v, type, kind, &arena, &out, &err);
        if (code == LAM_OK) {
            ck_assert(cast_allowed(from.type, type.type, kind));
            ck_assert(coltype_eq(out.type, type));
            if (type.type == LAM_TYPE_DECIMAL)
                ck_assert(decimal_fits(out.as.i128, type.precision));
        } else {
            ck_assert_int_eq(code, LAM_SQL);
        }
        if (i % 1000 == 0)
            arena_reset(&arena);
    }
    arena_fini(&arena);
}
END_TEST

TEST_MAIN("catalog/cast", implicit_casts_only_widen, assignments_narrow_but_do_not_read_text,
          casts_that_mean_nothing_do_not_exist, null_keeps_null_and_gets_the_type,
          integers_are_range_checked, decimals_round_half_away_from_zero_to_integers,
          floats_round_half_to_even_to_integers, numbers_become_decimals_of_the_scale_asked_for,
          decimals_without_precision_take_what_the_value_needs,
          doubles_narrow_to_floats_within_range, booleans_and_integers_need_an_explicit_cast,
          text_is_read_when_asked_to, everything_becomes_text, only_an_explicit_cast_cuts_text,
          timestamps_split_into_date_and_time, uuids_are_16_bytes,
          allowed_casts_work_or_fail_as_statements_and_others_never_work)
