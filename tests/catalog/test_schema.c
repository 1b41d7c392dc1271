/* SPDX-License-Identifier: Apache-2.0
 *
 * Schemas: looking up, records on disk, JSON, and what is refused. */
#include "tests/catalog/schemas.h"
#include "tests/support/oom.h"
#include "tests/support/test.h"

static struct lam_error err;

static bool same_value(const struct value *a, const struct value *b) {
    return a->is_null || b->is_null ? a->is_null && b->is_null : value_same(a, b);
}

static void check_same(const struct schema *a, const struct schema *b) {
    ck_assert_uint_eq(a->table.number, b->table.number);
    ck_assert_uint_eq(a->version, b->version);
    ck_assert_uint_eq(a->column_count, b->column_count);
    ck_assert_uint_eq(a->next_column_id, b->next_column_id);
    ck_assert_uint_eq(a->next_ordinal, b->next_ordinal);
    ck_assert_uint_eq(a->key_count, b->key_count);
    ck_assert_int_eq(memcmp(a->key, b->key, a->key_count * sizeof a->key[0]), 0);
    for (uint32_t i = 0; i < a->column_count; i++) {
        const struct schema_column *x = &a->columns[i], *y = &b->columns[i];
        ck_assert_uint_eq(x->id, y->id);
        ck_assert_uint_eq(x->ordinal, y->ordinal);
        ck_assert_str_eq(x->name, y->name);
        ck_assert(coltype_eq(x->type, y->type));
        ck_assert_int_eq(x->nullable, y->nullable);
        ck_assert_int_eq(x->key_position, y->key_position);
        ck_assert_int_eq((int)x->on_insert.kind, (int)y->on_insert.kind);
        if (x->on_insert.kind == DEFAULT_VALUE)
            ck_assert(same_value(&x->on_insert.value, &y->on_insert.value));
        ck_assert(same_value(&x->initial, &y->initial));
    }
}

START_TEST(records_come_back_as_they_were) {
    struct rng r;
    struct buf record = {0};
    rng_init(&r, test_seed("records"));
    for (int round = 0; round < 500; round++) {
        struct schema *s = random_schema(&r), *back;
        ck_ok(schema_seal(s, &err), &err);
        buf_reset(&record);
        ck_ok(schema_encode(s, &record, &err), &err);
        ck_ok(schema_decode(buf_slice(&record), &back, &err), &err);
        check_same(s, back);
        schema_unref(s);
        schema_unref(back);
    }
    buf_fini(&record);
}
END_TEST

START_TEST(cut_and_flipped_records_are_corrupt_or_another_right_schema) {
    struct rng r;
    struct buf record = {0};
    rng_init(&r, test_seed("flips"));
    for (int round = 0; round < 60; round++) {
        struct schema *s = random_schema(&r), *back;
        ck_ok(schema_seal(s, &err), &err);
        buf_reset(&record);
        ck_ok(schema_encode(s, &record, &err), &err);
        schema_unref(s);
        for (size_t size = 0; size < record.size; size++)
            ck_code(schema_decode(lam_slice_of(record.data, size), &back, &err), LAM_CORRUPT);
        for (size_t i = 0; i < record.size * 4; i++) {
            size_t at = rng_below(&r, record.size);
            uint8_t was = record.data[at];
            record.data[at] ^= (uint8_t)(1u << rng_below(&r, 8));
            if (schema_decode(buf_slice(&record), &back, &err) == LAM_OK) {
                ck_ok(schema_check(back, &err), &err);
                schema_unref(back);
            } else {
                ck_assert_int_eq(err.code, LAM_CORRUPT);
            }
            record.data[at] = was;
        }
        ck_ok(buf_append_u8(&record, 0, &err), &err);
        ck_code(schema_decode(buf_slice(&record), &back, &err), LAM_CORRUPT);
    }
    buf_fini(&record);
}
END_TEST

START_TEST(columns_are_found_by_name_and_id_sealed_or_not) {
    struct coltype types[200];
    for (int i = 0; i < 200; i++)
        types[i] = coltype_of(LAM_TYPE_INT);
    struct schema *s = schema_of(types, 200);
    s->columns[100].id = 1000;
    s->next_column_id = 1001;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 200; i++) {
            ck_assert_int_eq(schema_find(s, lam_slice_str(s->columns[i].name)), i);
            ck_assert_int_eq(schema_find_id(s, s->columns[i].id), i);
        }
        ck_assert_int_eq(schema_find(s, lam_slice_str("c0")), -1);
        ck_assert_int_eq(schema_find(s, lam_slice_str("c")), -1);
        ck_assert_int_eq(schema_find(s, lam_slice_str("c1000")), -1);
        ck_assert_int_eq(schema_find(s, SLICE_EMPTY), -1);
        ck_assert_int_eq(schema_find_id(s, 101), -1);
        ck_assert_int_eq(schema_find_id(s, COLUMN_ID_SEQ), -1);
        ck_ok(schema_seal(s, &err), &err);
    }
    schema_unref(s);
}
END_TEST

/* Builds a right schema of two columns, lets `spoil` ruin it, and expects refusal. */
static void refuse(void (*spoil)(struct schema *s), const char *why) {
    struct coltype types[] = {coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_TEXT)};
    struct schema *s = schema_of(types, 2);
    struct buf out = {0};
    ck_ok(schema_seal(s, &err), &err);
    ck_ok(schema_check(s, &err), &err);
    spoil(s);
    ck_ok(schema_seal(s, &err), &err);
    ck_code(schema_encode(s, &out, &err), LAM_INVALID);
    ck_contains(err.message, why);
    ck_assert_uint_eq(out.size, 0);
    schema_unref(s);
    buf_fini(&out);
}

static void same_name(struct schema *s) {
    s->columns[1].name = "c1";
}
static void same_id(struct schema *s) {
    s->columns[1].id = 1;
}
static void same_ordinal(struct schema *s) {
    s->columns[1].ordinal = 1;
}
static void bad_name(struct schema *s) {
    s->columns[1].name = "_seq";
}
static void late_id(struct schema *s) {
    s->columns[1].id = 3;
}
static void bad_type(struct schema *s) {
    s->columns[1].type.precision = 1;
}
static void nullable_key(struct schema *s) {
    s->columns[0].nullable = true;
}
static void no_key(struct schema *s) {
    s->key_count = 0;
    s->columns[0].key_position = -1;
}
static void stray_key(struct schema *s) {
    s->columns[1].key_position = 1;
}
static void wrong_default(struct schema *s) {
    s->columns[1].on_insert.kind = DEFAULT_VALUE;
    s->columns[1].on_insert.value = value_i64(LAM_TYPE_INT, 1);
}
static void long_default(struct schema *s) {
    s->columns[1].type.length = 2;
    s->columns[1].on_insert.kind = DEFAULT_VALUE;
    s->columns[1].on_insert.value = value_text("abc");
}
static void bad_initial(struct schema *s) {
    s->columns[1].initial = value_bytes(LAM_TYPE_TEXT, lam_slice_str("\xff"));
}

START_TEST(wrong_schemas_are_not_encoded) {
    refuse(same_name, "named c1");
    refuse(same_id, "id 1");
    refuse(same_ordinal, "ordinal 1");
    refuse(bad_name, "_seq");
    refuse(late_id, "id 3");
    refuse(bad_type, "type");
    refuse(nullable_key, "nullable");
    refuse(no_key, "key has 0 columns");
    refuse(stray_key, "2 columns");
    refuse(wrong_default, "default");
    refuse(long_default, "default");
    refuse(bad_initial, "initial");
}
END_TEST

START_TEST(json_lists_the_columns) {
    struct coltype types[] = {
        coltype_of(LAM_TYPE_BIGINT), {LAM_TYPE_DECIMAL, 10, 2, 0}, {LAM_TYPE_TEXT, 0, 0, 9}};
    struct schema *s = schema_of(types, 3);
    struct buf out = {0};
    s->columns[0].on_insert.kind = DEFAULT_SNOWFLAKE;
    s->columns[1].on_insert.kind = DEFAULT_VALUE;
    s->columns[1].on_insert.value = value_decimal(150, 10, 2);
    s->columns[2].initial = value_text("a\"b");
    ck_ok(schema_seal(s, &err), &err);
    ck_ok(schema_to_json(s, &out, &err), &err);
    ck_assert(json_valid(buf_slice(&out), NULL));
    const char *text;
    ck_ok(buf_cstr(&out, &text, &err), &err);
    ck_assert_str_eq(text, "[{\"id\":1,\"ordinal\":1,\"name\":\"c1\",\"type\":\"BIGINT\","
                           "\"nullable\":false,\"primary_key\":1,"
                           "\"default_function\":\"SNOWFLAKE_ID()\"},"
                           "{\"id\":2,\"ordinal\":2,\"name\":\"c2\",\"type\":\"DECIMAL(10,2)\","
                           "\"nullable\":true,\"default\":\"1.50\"},"
                           "{\"id\":3,\"ordinal\":3,\"name\":\"c3\",\"type\":\"VARCHAR(9)\","
                           "\"nullable\":true,\"initial\":\"a\\\"b\"}]");
    schema_unref(s);
    buf_fini(&out);
}
END_TEST

START_TEST(the_last_reference_frees) {
    struct coltype type = coltype_of(LAM_TYPE_INT);
    struct schema *s = schema_of(&type, 1);
    ck_assert_ptr_eq(schema_ref(s), s);
    schema_unref(s);
    ck_assert_str_eq(s->columns[0].name, "c1");
    schema_unref(s);
    schema_unref(NULL);
}
END_TEST

START_TEST(decoding_survives_every_failed_allocation) {
    struct rng r;
    struct buf record = {0};
    struct schema *s, *back = NULL;
    rng_init(&r, 42);
    s = random_schema(&r);
    ck_ok(schema_seal(s, &err), &err);
    ck_ok(schema_encode(s, &record, &err), &err);
    schema_unref(s);
    enum lam_code code = LAM_NO_MEMORY;
    size_t nth;
    for (nth = 1; code != LAM_OK; nth++) {
        oom_arm(nth);
        code = schema_decode(buf_slice(&record), &back, &err);
        oom_arm(0);
        if (code != LAM_OK)
            ck_assert_int_eq(code, LAM_NO_MEMORY);
    }
    ck_assert_uint_gt(nth, 3);
    schema_unref(back);
    buf_fini(&record);
}
END_TEST

TEST_MAIN("catalog/schema", records_come_back_as_they_were,
          cut_and_flipped_records_are_corrupt_or_another_right_schema,
          columns_are_found_by_name_and_id_sealed_or_not, wrong_schemas_are_not_encoded,
          json_lists_the_columns, the_last_reference_frees,
          decoding_survives_every_failed_allocation)
