/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of types and what follows from a type. */
#include "catalog/value.h"
#include "tests/support/test.h"

static enum lam_type found(const char *name) {
    enum lam_type type = LAM_TYPE_NULL;
    return coltype_lookup(lam_slice_str(name), &type) ? type : LAM_TYPE_NULL;
}

START_TEST(names_and_aliases_are_known_in_any_case) {
    ck_assert_int_eq(found("INT"), LAM_TYPE_INT);
    ck_assert_int_eq(found("integer"), LAM_TYPE_INT);
    ck_assert_int_eq(found("Int4"), LAM_TYPE_INT);
    ck_assert_int_eq(found("INT8"), LAM_TYPE_BIGINT);
    ck_assert_int_eq(found("int2"), LAM_TYPE_SMALLINT);
    ck_assert_int_eq(found("bool"), LAM_TYPE_BOOLEAN);
    ck_assert_int_eq(found("real"), LAM_TYPE_FLOAT);
    ck_assert_int_eq(found("float8"), LAM_TYPE_DOUBLE);
    ck_assert_int_eq(found("double precision"), LAM_TYPE_DOUBLE);
    ck_assert_int_eq(found("DOUBLE  \n PRECISION "), LAM_TYPE_DOUBLE);
    ck_assert_int_eq(found("NUMERIC"), LAM_TYPE_DECIMAL);
    ck_assert_int_eq(found("varchar"), LAM_TYPE_TEXT);
    ck_assert_int_eq(found("string"), LAM_TYPE_TEXT);
    ck_assert_int_eq(found("character varying"), LAM_TYPE_TEXT);
    ck_assert_int_eq(found("bytea"), LAM_TYPE_BYTES);
    ck_assert_int_eq(found("BLOB"), LAM_TYPE_BYTES);
    ck_assert_int_eq(found("datetime"), LAM_TYPE_TIMESTAMP);
    ck_assert_int_eq(found("timestamp with time zone"), LAM_TYPE_TIMESTAMP);
    ck_assert_int_eq(found("timestamptz"), LAM_TYPE_TIMESTAMP);
    ck_assert_int_eq(found("jsonb"), LAM_TYPE_JSON);
    ck_assert_int_eq(found("uuid"), LAM_TYPE_UUID);
    ck_assert_int_eq(found("date"), LAM_TYPE_DATE);
    ck_assert_int_eq(found("time"), LAM_TYPE_TIME);
}
END_TEST

START_TEST(other_names_are_unknown) {
    enum lam_type type;
    ck_assert(!coltype_lookup(lam_slice_str(""), &type));
    ck_assert(!coltype_lookup(lam_slice_str("null"), &type));
    ck_assert(!coltype_lookup(lam_slice_str("intt"), &type));
    ck_assert(!coltype_lookup(lam_slice_str("int 4"), &type));
    ck_assert(!coltype_lookup(lam_slice_of("int\0x", 5), &type));
    ck_assert(!coltype_lookup(lam_slice_of("int\0", 4), &type));
    ck_assert(!coltype_lookup(lam_slice_str("timestamp with time zone and much more"), &type));
}
END_TEST

START_TEST(every_name_that_is_printed_is_read) {
    for (int t = LAM_TYPE_BOOLEAN; t <= LAM_TYPE_JSON; t++) {
        char name[32];
        coltype_name(coltype_of((enum lam_type)t), name);
        ck_assert_int_eq(found(name), t);
    }
}
END_TEST

START_TEST(names_carry_their_parameters) {
    char name[32];
    coltype_name((struct coltype){LAM_TYPE_DECIMAL, 38, 10, 0}, name);
    ck_assert_str_eq(name, "DECIMAL(38,10)");
    coltype_name((struct coltype){LAM_TYPE_TEXT, 0, 0, UINT32_MAX}, name);
    ck_assert_str_eq(name, "VARCHAR(4294967295)");
    coltype_name(coltype_of(LAM_TYPE_TEXT), name);
    ck_assert_str_eq(name, "TEXT");
    coltype_name(coltype_of(LAM_TYPE_NULL), name);
    ck_assert_str_eq(name, "NULL");
}
END_TEST

START_TEST(parameters_count_in_equality) {
    struct coltype d = {LAM_TYPE_DECIMAL, 10, 2, 0}, e = {LAM_TYPE_DECIMAL, 10, 3, 0};
    struct coltype v = {LAM_TYPE_TEXT, 0, 0, 5};
    ck_assert(coltype_eq(d, d));
    ck_assert(!coltype_eq(d, e));
    ck_assert(!coltype_eq(v, coltype_of(LAM_TYPE_TEXT)));
    ck_assert(!coltype_eq(coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_BIGINT)));
}
END_TEST

START_TEST(only_lossless_changes_widen) {
    struct coltype small = coltype_of(LAM_TYPE_SMALLINT), big = coltype_of(LAM_TYPE_BIGINT);
    struct coltype single = coltype_of(LAM_TYPE_FLOAT), twice = coltype_of(LAM_TYPE_DOUBLE);
    struct coltype d10 = {LAM_TYPE_DECIMAL, 10, 2, 0}, d12 = {LAM_TYPE_DECIMAL, 12, 2, 0};
    struct coltype d12_3 = {LAM_TYPE_DECIMAL, 12, 3, 0};
    struct coltype v5 = {LAM_TYPE_TEXT, 0, 0, 5}, v9 = {LAM_TYPE_TEXT, 0, 0, 9};
    struct coltype text = coltype_of(LAM_TYPE_TEXT);
    ck_assert(coltype_widens(small, big) && !coltype_widens(big, small));
    ck_assert(coltype_widens(single, twice) && !coltype_widens(twice, single));
    ck_assert(coltype_widens(d10, d12) && !coltype_widens(d12, d10));
    ck_assert(!coltype_widens(d10, d12_3));
    ck_assert(coltype_widens(v5, v9) && !coltype_widens(v9, v5));
    ck_assert(coltype_widens(v5, text) && !coltype_widens(text, v5));
    ck_assert(!coltype_widens(big, twice) && !coltype_widens(text, coltype_of(LAM_TYPE_JSON)));
}
END_TEST

START_TEST(impossible_types_are_told) {
    ck_assert(coltype_valid((struct coltype){LAM_TYPE_DECIMAL, 38, 38, 0}));
    ck_assert(!coltype_valid((struct coltype){LAM_TYPE_DECIMAL, 39, 0, 0}));
    ck_assert(!coltype_valid((struct coltype){LAM_TYPE_DECIMAL, 0, 0, 0}));
    ck_assert(!coltype_valid((struct coltype){LAM_TYPE_DECIMAL, 5, 6, 0}));
    ck_assert(!coltype_valid((struct coltype){LAM_TYPE_INT, 1, 0, 0}));
    ck_assert(!coltype_valid((struct coltype){LAM_TYPE_BYTES, 0, 0, 5}));
    ck_assert(!coltype_valid(coltype_of(LAM_TYPE_NULL)));
    ck_assert(!coltype_valid(coltype_of((enum lam_type)15)));
}
END_TEST

TEST_MAIN("catalog/type", names_and_aliases_are_known_in_any_case, other_names_are_unknown,
          every_name_that_is_printed_is_read, names_carry_their_parameters,
          parameters_count_in_equality, only_lossless_changes_widen, impossible_types_are_told)
