/* SPDX-License-Identifier: Apache-2.0 */
#include "base/colbatch.h"

#include "base/rng.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static struct lam_error err;

static const enum lam_type types[] = {
    LAM_TYPE_BOOLEAN, LAM_TYPE_SMALLINT, LAM_TYPE_INT,  LAM_TYPE_BIGINT, LAM_TYPE_FLOAT,
    LAM_TYPE_DOUBLE,  LAM_TYPE_DECIMAL,  LAM_TYPE_TEXT, LAM_TYPE_BYTES,  LAM_TYPE_TIMESTAMP,
    LAM_TYPE_DATE,    LAM_TYPE_TIME,     LAM_TYPE_UUID, LAM_TYPE_JSON,
};
enum { TYPES = sizeof types / sizeof types[0] };

/* A value is a number; each type shows some of its bits. Negative: null. */
static enum lam_code append_value(struct column *c, int64_t v) {
    uint8_t bytes[16] = {0};
    if (v < 0)
        return column_append_null(c, &err);
    switch (c->type.type) {
    case LAM_TYPE_BOOLEAN:
        return column_append_bool(c, v & 1, &err);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return column_append_f64(c, (double)(v & 0xFFFF) / 2, &err);
    case LAM_TYPE_DECIMAL:
        return column_append_i128(c, -(int128)v * (INT64_C(1) << 60), &err);
    case LAM_TYPE_UUID:
        put_le64(bytes, (uint64_t)v);
        put_le64(bytes + 8, (uint64_t)v * 3);
        return column_append_bytes(c, lam_slice_of(bytes, 16), &err);
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        memset(bytes, (int)(v & 0xFF), sizeof bytes);
        return column_append_bytes(c, lam_slice_of(bytes, (size_t)(v % 17)), &err);
    case LAM_TYPE_SMALLINT:
        return column_append_i64(c, (int16_t)v, &err);
    default:
        return column_append_i64(c, (int32_t)v, &err);
    }
}

static void check_value(const struct column *c, uint32_t row, int64_t v) {
    uint8_t bytes[16] = {0};
    ck_assert_int_eq(column_is_null(c, row), v < 0);
    bool null = v < 0;
    if (null)
        v = 0;
    switch (c->type.type) {
    case LAM_TYPE_BOOLEAN:
        ck_assert_int_eq(column_bool(c, row), v & 1);
        return;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        ck_assert(column_f64(c, row) == (double)(v & 0xFFFF) / 2);
        return;
    case LAM_TYPE_DECIMAL:
        ck_assert(column_i128(c, row) == -(int128)v * (INT64_C(1) << 60));
        return;
    case LAM_TYPE_UUID:
        put_le64(bytes, (uint64_t)v);
        put_le64(bytes + 8, (uint64_t)v * 3);
        ck_assert(slice_eq(column_bytes(c, row), lam_slice_of(bytes, 16)));
        return;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        memset(bytes, (int)(v & 0xFF), sizeof bytes);
        ck_assert(slice_eq(column_bytes(c, row), lam_slice_of(bytes, null ? 0 : (size_t)(v % 17))));
        return;
    case LAM_TYPE_SMALLINT:
        ck_assert_int_eq(column_i64(c, row), (int16_t)v);
        return;
    default:
        ck_assert_int_eq(column_i64(c, row), (int32_t)v);
    }
}

static int64_t random_value(struct rng *rng, unsigned null_percent) {
    return rng_below(rng, 100) < null_percent ? -1 : (int64_t)(rng_next(rng) >> 33);
}

static void check_column(const struct column *c, const int64_t *values, uint32_t count) {
    ck_assert_uint_eq(c->rows, count);
    uint32_t nulls = 0;
    for (uint32_t i = 0; i < count; i++) {
        check_value(c, i, values[i]);
        nulls += values[i] < 0;
    }
    ck_assert_uint_eq(c->null_count, nulls);
    if (c->validity)
        ck_assert_uint_eq(bitmap_count(c->validity, count), count - nulls);
    else
        ck_assert_uint_eq(nulls, 0);
}

START_TEST(values_of_every_type_are_read_back_and_again_after_reset) {
    struct rng rng;
    rng_init(&rng, test_seed("values_of_every_type_are_read_back"));
    static int64_t values[3000];
    for (size_t t = 0; t < TYPES; t++) {
        struct column c;
        column_init(&c, (struct coltype){.type = types[t]});
        for (int round = 0; round < 4; round++) {
            uint32_t count = (uint32_t)rng_below(&rng, 3000);
            for (uint32_t i = 0; i < count; i++) {
                values[i] = random_value(&rng, round % 2 ? 0 : 30);
                ck_ok(append_value(&c, values[i]), &err);
            }
            check_column(&c, values, count);
            column_reset(&c);
            ck_assert_uint_eq(c.rows + c.null_count, 0);
        }
        column_fini(&c);
    }
}
END_TEST

/* Model: an array of values. Appends of whole runs and selections, from columns with and without
 * nulls, in random order. */
START_TEST(rows_copied_from_columns_equal_a_model) {
    struct rng rng;
    rng_init(&rng, test_seed("rows_copied_from_columns_equal_a_model"));
    static int64_t source[500], model[20000];
    static uint32_t sel[300];
    for (size_t t = 0; t < TYPES; t++) {
        struct column c, from;
        column_init(&c, (struct coltype){.type = types[t]});
        column_init(&from, (struct coltype){.type = types[t]});
        uint32_t rows = 0;
        for (int round = 0; round < 40; round++) {
            column_reset(&from);
            uint32_t count = 1 + (uint32_t)rng_below(&rng, 499);
            unsigned null_percent = round < 5 ? 0 : (unsigned)rng_below(&rng, 3) * 40;
            for (uint32_t i = 0; i < count; i++) {
                source[i] = random_value(&rng, null_percent);
                ck_ok(append_value(&from, source[i]), &err);
            }
            bool whole = rng_below(&rng, 2);
            uint32_t taken = (uint32_t)rng_below(&rng, (whole ? count : 300) + 1);
            for (uint32_t i = 0; i < taken; i++) {
                if (!whole)
                    sel[i] = (uint32_t)rng_below(&rng, count);
                model[rows + i] = source[whole ? i : sel[i]];
            }
            ck_ok(column_append_rows(&c, &from, whole ? NULL : sel, taken, &err), &err);
            rows += taken;
            uint32_t one = (uint32_t)rng_below(&rng, count);
            ck_ok(column_append_row(&c, &from, one, &err), &err);
            model[rows++] = source[one];
        }
        check_column(&c, model, rows);
        column_fini(&c);
        column_fini(&from);
    }
}
END_TEST

START_TEST(column_without_nulls_has_no_bitmap) {
    struct column c;
    column_init(&c, (struct coltype){.type = LAM_TYPE_INT});
    for (int i = 0; i < 100; i++)
        ck_ok(column_append_i64(&c, i, &err), &err);
    ck_assert_ptr_null(c.validity);
    ck_ok(column_append_null(&c, &err), &err);
    ck_assert_uint_eq(bitmap_count(c.validity, 101), 100);
    column_fini(&c);
}
END_TEST

START_TEST(variable_bytes_past_two_gigabytes_are_a_limit) {
    struct column c;
    column_init(&c, (struct coltype){.type = LAM_TYPE_BYTES});
    ck_ok(column_append_bytes(&c, lam_slice_str("abc"), &err), &err);
    uint8_t byte = 0;
    ck_code(column_append_bytes(&c, lam_slice_of(&byte, INT32_MAX), &err), LAM_LIMIT);
    ck_contains(err.message, "2147483647");
    ck_assert_uint_eq(c.rows, 1);
    ck_assert_uint_eq(column_var_bytes(&c), 3);
    column_fini(&c);
}
END_TEST

/* Whatever allocation of an append fails, the column stays and the append can be done later. */
START_TEST(failed_append_leaves_the_column_as_it_was) {
    static int64_t values[600];
    for (size_t t = 0; t < TYPES; t++) {
        unsigned failures = 0;
        struct column c;
        column_init(&c, (struct coltype){.type = types[t]});
        for (uint32_t i = 0; i < 600; i++) {
            values[i] = i % 5 == 4 ? -1 : (int64_t)i;
            enum lam_code rc = LAM_NO_MEMORY;
            for (size_t nth = 1; rc != LAM_OK; nth++) {
                oom_arm(nth);
                rc = append_value(&c, values[i]);
                oom_arm(0);
                ck_assert(rc == LAM_OK || rc == LAM_NO_MEMORY);
                failures += rc != LAM_OK;
                ck_assert_uint_eq(c.rows, i + (rc == LAM_OK));
            }
        }
        ck_assert_uint_gt(failures, 2);
        check_column(&c, values, 600);
        struct column copy;
        column_init(&copy, c.type);
        oom_arm(1);
        ck_code(column_append_rows(&copy, &c, NULL, 600, &err), LAM_NO_MEMORY);
        oom_arm(0);
        ck_assert_uint_eq(copy.rows, 0);
        ck_ok(column_append_rows(&copy, &c, NULL, 600, &err), &err);
        check_column(&copy, values, 600);
        column_fini(&copy);
        column_fini(&c);
    }
}
END_TEST

START_TEST(bitmap_count_counts_the_first_bits_only) {
    struct rng rng;
    rng_init(&rng, test_seed("bitmap_count_counts_the_first_bits_only"));
    uint8_t bits[64];
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof bits; i++)
            bits[i] = (uint8_t)rng_next(&rng);
        size_t n = (size_t)rng_below(&rng, 513), expected = 0;
        for (size_t i = 0; i < n; i++)
            expected += bitmap_get(bits, i);
        ck_assert_uint_eq(bitmap_count(bits, n), expected);
    }
}
END_TEST

START_TEST(batch_is_full_by_rows_or_bytes) {
    struct colbatch b;
    const struct coltype of[] = {{.type = LAM_TYPE_INT}, {.type = LAM_TYPE_TEXT}};
    ck_ok(colbatch_init(&b, of, 2, &err), &err);
    ck_assert(!colbatch_is_full(&b));
    b.rows = COLBATCH_ROWS;
    ck_assert(colbatch_is_full(&b));
    colbatch_reset(&b);
    uint8_t *big = calloc(1, COLBATCH_BYTES);
    ck_ok(column_append_bytes(&b.columns[1], lam_slice_of(big, COLBATCH_BYTES), &err), &err);
    ck_ok(column_append_i64(&b.columns[0], 1, &err), &err);
    b.rows = 1;
    ck_assert(colbatch_is_full(&b));
    colbatch_reset(&b);
    ck_assert(!colbatch_is_full(&b));
    ck_assert_uint_eq(b.columns[1].rows, 0);
    free(big);
    colbatch_fini(&b);
    oom_arm(1);
    ck_code(colbatch_init(&b, of, 2, &err), LAM_NO_MEMORY);
    oom_arm(0);
    colbatch_fini(&b);
}
END_TEST

TEST_MAIN("base/colbatch", values_of_every_type_are_read_back_and_again_after_reset,
          rows_copied_from_columns_equal_a_model, column_without_nulls_has_no_bitmap,
          variable_bytes_past_two_gigabytes_are_a_limit, failed_append_leaves_the_column_as_it_was,
          bitmap_count_counts_the_first_bits_only, batch_is_full_by_rows_or_bytes)
