/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows: every way to read them, changes of their schema, and bytes that are no row. */
#include "tests/catalog/schemas.h"
#include "tests/support/test.h"

static struct lam_error err;
static struct arena arena;

#define COLUMNS 40

static void random_row(struct rng *r, const struct schema *s, struct value *values) {
    for (uint32_t i = 0; i < s->column_count; i++)
        values[i] = s->columns[i].nullable && rng_below(r, 3) == 0
                        ? value_null(s->columns[i].type)
                        : random_value(r, s->columns[i].type, &arena);
}

static struct schema *sealed(struct schema *s) {
    ck_ok(schema_seal(s, &err), &err);
    return s;
}

/* Reads a row in each of the ways there are. */
static void check_row(struct lam_slice row, const struct schema *written, const struct schema *now,
                      const struct value *expected) {
    struct value all[COLUMNS + 3], one;
    struct column columns[COLUMNS + 3];
    uint32_t ids[COLUMNS + 3], n = now->column_count;
    ck_ok(row_decode(row, written, now, all, &err), &err);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = now->columns[n - 1 - i].id; /* any order */
        column_init(&columns[i], now->columns[n - 1 - i].type);
    }
    ids[n] = COLUMN_ID_DELETED;
    column_init(&columns[n], coltype_of(LAM_TYPE_BOOLEAN));
    ck_ok(row_append_columns(row, written, now, ids, n + 1, columns, &err), &err);
    for (uint32_t i = 0; i < n; i++) {
        ck_ok(row_column(row, written, now, i, &one, &err), &err);
        ck_assert(value_same(&one, &expected[i]));
        ck_assert(value_same(&all[i], &expected[i]));
        ck_assert(coltype_eq(one.type, now->columns[i].type));
        struct value first = column_value(&columns[n - 1 - i], 0);
        ck_assert(value_same(&first, &expected[i]));
    }
    for (uint32_t i = 0; i <= n; i++)
        column_fini(&columns[i]);
}

START_TEST(rows_come_back_in_every_way_of_reading) {
    struct rng r;
    struct buf row = {0};
    rng_init(&r, test_seed("rows"));
    for (int round = 0; round < 1500; round++) {
        struct schema *s = sealed(random_schema(&r));
        struct value values[COLUMNS];
        struct row_header header;
        int64_t seq = (int64_t)rng_next(&r);
        bool deleted = rng_below(&r, 2);
        random_row(&r, s, values);
        buf_reset(&row);
        ck_ok(row_encode(s, values, seq, deleted, &row, &err), &err);
        ck_ok(row_header_decode(buf_slice(&row), &header, &err), &err);
        ck_assert(header.seq == seq && header.deleted == deleted);
        ck_assert_uint_eq(header.schema_version, s->version);
        check_row(buf_slice(&row), s, s, values);
        schema_unref(s);
        arena_reset(&arena);
    }
    buf_fini(&row);
    arena_fini(&arena);
}
END_TEST

START_TEST(a_commit_can_stamp_the_sequence) {
    struct coltype types[] = {coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_TEXT)};
    struct schema *s = sealed(schema_of(types, 2));
    struct value values[] = {value_i64(LAM_TYPE_INT, 1), value_text("x")}, v;
    struct column columns[3];
    struct buf row = {0};
    uint32_t ids[] = {COLUMN_ID_SEQ, COLUMN_ID_UPDATED, COLUMN_ID_DELETED};
    ck_ok(row_encode(s, values, 0, true, &row, &err), &err);
    int64_t seq = ((INT64_C(1767225600000) - SEQ_EPOCH_MS) << SEQ_TIME_SHIFT) + 5;
    put_le64(row.data + ROW_SEQ_OFFSET, (uint64_t)seq);
    column_init(&columns[0], coltype_of(LAM_TYPE_BIGINT));
    column_init(&columns[1], coltype_of(LAM_TYPE_TIMESTAMP));
    column_init(&columns[2], coltype_of(LAM_TYPE_BOOLEAN));
    ck_ok(row_append_columns(buf_slice(&row), s, s, ids, 3, columns, &err), &err);
    v = column_value(&columns[0], 0);
    ck_assert(v.type.type == LAM_TYPE_BIGINT && v.as.i64 == seq);
    v = column_value(&columns[1], 0);
    ck_assert(v.type.type == LAM_TYPE_TIMESTAMP && v.as.i64 == INT64_C(1767225600000000));
    v = column_value(&columns[2], 0);
    ck_assert(v.type.type == LAM_TYPE_BOOLEAN && v.as.boolean);
    for (int i = 0; i < 3; i++)
        column_fini(&columns[i]);
    buf_fini(&row);
    schema_unref(s);
}
END_TEST

START_TEST(older_rows_are_read_under_the_altered_schema) {
    struct coltype old_types[] = {coltype_of(LAM_TYPE_SMALLINT), coltype_of(LAM_TYPE_FLOAT),
                                  {LAM_TYPE_DECIMAL, 5, 2, 0},   {LAM_TYPE_TEXT, 0, 0, 3},
                                  coltype_of(LAM_TYPE_INT),      coltype_of(LAM_TYPE_TEXT)};
    struct coltype new_types[] = {coltype_of(LAM_TYPE_BIGINT),  coltype_of(LAM_TYPE_DOUBLE),
                                  {LAM_TYPE_DECIMAL, 38, 2, 0}, coltype_of(LAM_TYPE_TEXT),
                                  coltype_of(LAM_TYPE_INT),     coltype_of(LAM_TYPE_TEXT)};
    struct schema *written = sealed(schema_of(old_types, 6));
    struct schema *now = schema_of(new_types, 6);
    now->version = 300;
    /* c5 was dropped and added again, which is another column; c6 was renamed. */
    now->columns[4].id = 7;
    now->columns[4].initial = value_i64(LAM_TYPE_INT, 99);
    now->columns[5].name = "renamed";
    now->next_column_id = 8;
    sealed(now);
    struct value values[] = {value_i64(LAM_TYPE_SMALLINT, -5), value_f64(LAM_TYPE_FLOAT, 0.1),
                             value_decimal(12345, 5, 2),       value_text("abc"),
                             value_i64(LAM_TYPE_INT, 1),       value_text("kept")};
    struct value expected[] = {
        value_i64(LAM_TYPE_BIGINT, -5), value_f64(LAM_TYPE_DOUBLE, (double)0.1F),
        value_decimal(12345, 38, 2),    value_text("abc"),
        value_i64(LAM_TYPE_INT, 99),    value_text("kept")};
    struct buf row = {0};
    ck_ok(row_encode(written, values, 1, false, &row, &err), &err);
    check_row(buf_slice(&row), written, now, expected);
    /* What is not in the row, in reverse: a newer row read by a statement that began before. */
    buf_reset(&row);
    ck_ok(row_encode(now, expected, 1, false, &row, &err), &err);
    struct value v;
    ck_ok(row_column(buf_slice(&row), now, written, 4, &v, &err), &err);
    ck_assert(v.is_null);
    ck_code(row_column(buf_slice(&row), now, written, 0, &v, &err), LAM_CORRUPT);
    buf_fini(&row);
    schema_unref(written);
    schema_unref(now);
}
END_TEST

START_TEST(rows_of_another_version_are_refused) {
    struct coltype type = coltype_of(LAM_TYPE_INT);
    struct schema *one = sealed(schema_of(&type, 1)), *two = schema_of(&type, 1);
    two->version = 2;
    sealed(two);
    struct value values[] = {value_i64(LAM_TYPE_INT, 1)}, v;
    struct buf row = {0};
    ck_ok(row_encode(one, values, 1, false, &row, &err), &err);
    ck_code(row_column(buf_slice(&row), two, two, 0, &v, &err), LAM_CORRUPT);
    ck_contains(err.message, "version 1 read as version 2");
    buf_fini(&row);
    schema_unref(one);
    schema_unref(two);
}
END_TEST

START_TEST(unknown_columns_are_refused) {
    struct coltype type = coltype_of(LAM_TYPE_INT);
    struct schema *s = sealed(schema_of(&type, 1));
    uint32_t id = 9;
    struct column column;
    struct buf row = {0};
    struct value one = value_i64(LAM_TYPE_INT, 1);
    column_init(&column, type);
    ck_ok(row_encode(s, &one, 0, false, &row, &err), &err);
    ck_code(row_append_columns(buf_slice(&row), s, s, &id, 1, &column, &err), LAM_INVALID);
    column_fini(&column);
    buf_fini(&row);
    schema_unref(s);
}
END_TEST

START_TEST(every_cut_of_a_row_is_corrupt) {
    struct rng r;
    struct buf row = {0};
    rng_init(&r, test_seed("cuts"));
    for (int round = 0; round < 100; round++) {
        struct schema *s = sealed(random_schema(&r));
        struct value values[COLUMNS], back[COLUMNS];
        random_row(&r, s, values);
        buf_reset(&row);
        ck_ok(row_encode(s, values, 1, false, &row, &err), &err);
        for (size_t size = 0; size < row.size; size++)
            ck_code(row_decode(lam_slice_of(row.data, size), s, s, back, &err), LAM_CORRUPT);
        ck_ok(buf_append_u8(&row, 0, &err), &err);
        ck_code(row_decode(buf_slice(&row), s, s, back, &err), LAM_CORRUPT);
        schema_unref(s);
        arena_reset(&arena);
    }
    buf_fini(&row);
    arena_fini(&arena);
}
END_TEST

START_TEST(flipped_bits_never_read_outside_the_row) {
    struct rng r;
    struct buf row = {0};
    rng_init(&r, test_seed("flips"));
    for (int round = 0; round < 300; round++) {
        struct schema *s = sealed(random_schema(&r));
        struct value values[COLUMNS], back[COLUMNS];
        random_row(&r, s, values);
        buf_reset(&row);
        ck_ok(row_encode(s, values, 1, false, &row, &err), &err);
        for (int i = 0; i < 200; i++) {
            uint8_t *copy = malloc(row.size); /* so that sanitizers see its ends */
            memcpy(copy, row.data, row.size);
            for (uint64_t flips = 1 + rng_below(&r, 3); flips > 0; flips--)
                copy[rng_below(&r, row.size)] ^= (uint8_t)(1u << rng_below(&r, 8));
            if (row_decode(lam_slice_of(copy, row.size), s, s, back, &err) == LAM_OK) {
                for (uint32_t c = 0; c < s->column_count; c++)
                    value_hash(&back[c], 0); /* reads all bytes of the value */
            } else {
                ck_assert_int_eq(err.code, LAM_CORRUPT);
            }
            free(copy);
        }
        schema_unref(s);
        arena_reset(&arena);
    }
    buf_fini(&row);
    arena_fini(&arena);
}
END_TEST

START_TEST(values_no_type_has_are_corrupt) {
    struct coltype types[] = {coltype_of(LAM_TYPE_BOOLEAN), {LAM_TYPE_DECIMAL, 2, 0, 0}};
    struct schema *s = sealed(schema_of(types, 2));
    struct value values[] = {value_bool(true), value_decimal(99, 2, 0)}, v;
    struct buf row = {0};
    ck_ok(row_encode(s, values, 1, false, &row, &err), &err);
    /* Head 1 + 8 + 1, bitmap 1, then the boolean and 16 bytes of decimal. */
    ck_assert_uint_eq(row.size, 28);
    row.data[11] = 2;
    ck_code(row_column(buf_slice(&row), s, s, 0, &v, &err), LAM_CORRUPT);
    row.data[12] = 100;
    ck_code(row_column(buf_slice(&row), s, s, 1, &v, &err), LAM_CORRUPT);
    buf_fini(&row);
    schema_unref(s);
}
END_TEST

START_TEST(deleted_rows_may_be_older_than_not_null) {
    struct coltype types[] = {coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_INT)};
    struct schema *s = schema_of(types, 2);
    s->columns[1].nullable = false;
    sealed(s);
    struct value values[] = {value_i64(LAM_TYPE_INT, 1), value_null(types[1])}, v;
    struct buf row = {0};
    ck_ok(row_encode(s, values, 1, true, &row, &err), &err);
    ck_ok(row_column(buf_slice(&row), s, s, 1, &v, &err), &err);
    ck_assert(v.is_null);
    buf_fini(&row);
    schema_unref(s);
}
END_TEST

/* A forged row: a flush of it could not be written. */
START_TEST(a_key_column_is_never_null) {
    struct coltype types[] = {coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_INT)};
    struct schema *s = sealed(schema_of(types, 2));
    struct schema *without = schema_of(types + 1, 1);
    struct value values[] = {value_i64(LAM_TYPE_INT, 1), value_null(types[1])}, v;
    struct buf row = {0};
    struct column column;
    uint32_t id = 1;
    ck_ok(row_encode(s, values, 1, true, &row, &err), &err);
    ck_ok(row_column(buf_slice(&row), s, s, 0, &v, &err), &err);
    row.data[10] |= 1; /* behind a head of 1 + 8 + 1 bytes */
    ck_code(row_column(buf_slice(&row), s, s, 0, &v, &err), LAM_CORRUPT);
    column_init(&column, types[0]);
    ck_code(row_append_columns(buf_slice(&row), s, s, &id, 1, &column, &err), LAM_CORRUPT);
    column_fini(&column);
    /* Nor is there a version of the schema without it. */
    without->columns[0].id = 2;
    sealed(without);
    buf_reset(&row);
    ck_ok(row_encode(without, values + 1, 1, true, &row, &err), &err);
    ck_code(row_column(buf_slice(&row), without, s, 0, &v, &err), LAM_CORRUPT);
    buf_fini(&row);
    schema_unref(without);
    schema_unref(s);
}
END_TEST

START_TEST(row_bytes_stay) {
    struct coltype types[] = {coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_TEXT),
                              coltype_of(LAM_TYPE_BOOLEAN), coltype_of(LAM_TYPE_TEXT)};
    struct schema *s = sealed(schema_of(types, 4));
    struct value values[] = {value_i64(LAM_TYPE_INT, 258), value_text("ab"), value_null(types[2]),
                             value_text("c")};
    struct buf row = {0};
    ck_ok(row_encode(s, values, 3, true, &row, &err), &err);
    static const uint8_t expected[] = {
        0x11, 3,   0,   0, 0, 0, 0, 0, 0, 1, /* deleted, _seq, version */
        0x04,                                /* the third column is NULL */
        2,    1,   0,   0, 0,                /* fixed width */
        2,    0,   0,   0, 3, 0, 0, 0,       /* ends */
        'a',  'b', 'c',
    };
    ck_assert(slice_eq(buf_slice(&row), lam_slice_of(expected, sizeof expected)));
    buf_fini(&row);
    schema_unref(s);
}
END_TEST

START_TEST(keys_begin_with_the_user_but_in_shared_tables) {
    struct coltype types[] = {coltype_of(LAM_TYPE_INT), coltype_of(LAM_TYPE_TEXT)};
    struct schema *s = schema_of(types, 2);
    s->columns[1].nullable = false;
    s->key_count = 2;
    s->key[0] = 1;
    s->key[1] = 0;
    s->columns[1].key_position = 0;
    s->columns[0].key_position = 1;
    sealed(s);
    struct value values[] = {value_i64(LAM_TYPE_INT, 1), value_text("k")};
    struct buf key = {0};
    ck_ok(row_key(s, TABLE_SHARED, lam_slice_str("ignored"), values, &key, &err), &err);
    ck_assert(slice_eq(buf_slice(&key), lam_slice_of("k\0\1\x80\0\0\1", 7)));
    buf_reset(&key);
    ck_ok(row_key(s, TABLE_USER, lam_slice_str("u"), values, &key, &err), &err);
    ck_assert(slice_eq(buf_slice(&key), lam_slice_of("u\0\1k\0\1\x80\0\0\1", 10)));
    buf_fini(&key);
    schema_unref(s);
}
END_TEST

TEST_MAIN("catalog/row", rows_come_back_in_every_way_of_reading, a_commit_can_stamp_the_sequence,
          older_rows_are_read_under_the_altered_schema, rows_of_another_version_are_refused,
          unknown_columns_are_refused, every_cut_of_a_row_is_corrupt,
          flipped_bits_never_read_outside_the_row, values_no_type_has_are_corrupt,
          deleted_rows_may_be_older_than_not_null, a_key_column_is_never_null, row_bytes_stay,
          keys_begin_with_the_user_but_in_shared_tables)
