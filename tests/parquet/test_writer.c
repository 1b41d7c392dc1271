/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that is written is read back: types, kinds of values, shapes of files. Also refused
 * input, faults, and what the summary says. */
#include "base/hash.h"
#include "tests/parquet/table.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"

static void check_kind(enum sample_kind kind, uint32_t rows,
                       const struct parquet_write_options *options, uint32_t batch) {
    struct table t;
    struct rng r;
    rng_init(&r, test_seed("check_kind"));
    table_sample(&t, &r, kind, rows);
    table_save(&t, options, batch);
    ck_assert_uint_eq(t.summary.rows, rows);
    check_table(&t, 2048);
    check_table(&t, 61);
    table_fini(&t);
}

START_TEST(wild_values_are_read_back) {
    check_kind(SAMPLE_WILD, 3000,
               &(struct parquet_write_options){.lz4 = true, .row_group_rows = 999}, 700);
}
END_TEST

START_TEST(sorted_values_are_read_back) {
    check_kind(SAMPLE_SORTED, 5000,
               &(struct parquet_write_options){.lz4 = true, .page_bytes = 1000}, 2048);
}
END_TEST

START_TEST(repeated_values_are_read_back) {
    check_kind(SAMPLE_FEW, 5000,
               &(struct parquet_write_options){.row_group_rows = 1234, .page_rows = 100}, 77);
}
END_TEST

START_TEST(constant_values_are_read_back) {
    check_kind(SAMPLE_CONSTANT, 2000, &(struct parquet_write_options){.lz4 = true}, 2000);
}
END_TEST

START_TEST(nothing_but_nulls_is_read_back) {
    check_kind(SAMPLE_NULLS, 1500, &(struct parquet_write_options){.lz4 = true, .page_rows = 400},
               100);
}
END_TEST

START_TEST(long_values_are_read_back) {
    check_kind(SAMPLE_LONG, 600, &(struct parquet_write_options){.lz4 = true}, 50);
    check_kind(SAMPLE_LONG, 200, NULL, 200);
}
END_TEST

START_TEST(pages_of_one_row_are_read_back) {
    check_kind(SAMPLE_WILD, 120, &(struct parquet_write_options){.page_rows = 1}, 7);
}
END_TEST

START_TEST(row_groups_of_one_row_are_read_back) {
    check_kind(SAMPLE_SIGNED, 40, &(struct parquet_write_options){.lz4 = true, .row_group_rows = 1},
               40);
}
END_TEST

START_TEST(no_rows_are_read_back) {
    check_kind(SAMPLE_WILD, 0, &(struct parquet_write_options){.lz4 = true}, 1);
}
END_TEST

START_TEST(random_shapes_are_read_back) {
    struct rng r;
    rng_init(&r, test_seed("random_shapes_are_read_back"));
    for (int round = 0; round < 40; round++) {
        struct table t;
        struct parquet_write_options o = {.lz4 = rng_below(&r, 2),
                                          .row_group_rows = 1 + (uint32_t)rng_below(&r, 700),
                                          .row_group_bytes = 1000 + rng_below(&r, 1 << 20),
                                          .page_rows = 1 + (uint32_t)rng_below(&r, 300),
                                          .page_bytes = 1 + (uint32_t)rng_below(&r, 3000)};
        table_sample(&t, &r, (enum sample_kind)rng_below(&r, 7), (uint32_t)rng_below(&r, 900));
        table_save(&t, &o, 1 + (uint32_t)rng_below(&r, 900));
        check_table(&t, 1 + (uint32_t)rng_below(&r, 900));
        table_fini(&t);
    }
}
END_TEST

START_TEST(same_rows_give_the_same_bytes_however_batched) {
    struct table t;
    struct rng r;
    rng_init(&r, 9);
    table_sample(&t, &r, SAMPLE_WILD, 1000);
    struct parquet_write_options o = {.lz4 = true, .row_group_rows = 300};
    table_save(&t, &o, 1000);
    struct buf first = table_bytes(&t);
    ck_assert_uint_eq(first.size, t.summary.bytes);
    table_save(&t, &o, 17);
    struct buf second = table_bytes(&t);
    ck_assert(slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_fini(&first);
    buf_fini(&second);
    table_fini(&t);
}
END_TEST

START_TEST(large_values_cut_row_groups_early) {
    struct table t;
    table_one(&t, (struct coltype){.type = LAM_TYPE_BYTES}, false);
    static uint8_t value[100000];
    for (uint32_t i = 0; i < 100; i++) {
        memset(value, (int)i, sizeof value);
        ck_ok(column_append_bytes(&t.rows.columns[0], lam_slice_of(value, sizeof value), &err),
              &err);
        t.rows.rows++;
    }
    table_save(&t, &(struct parquet_write_options){.row_group_bytes = 1000000}, 100);
    ck_assert_uint_eq(t.summary.row_groups, 10);
    check_table(&t, 3);
    table_fini(&t);
}
END_TEST

START_TEST(incompressible_chunks_are_not_compressed_and_others_are) {
    struct parquet_field fields[2] = {
        {.name = "random", .type = {.type = LAM_TYPE_DOUBLE}, .field_id = 1},
        {.name = "text", .type = {.type = LAM_TYPE_TEXT}, .field_id = 2},
    };
    struct table t;
    struct rng r;
    char text[100];
    rng_init(&r, 3);
    table_init(&t, fields, 2);
    for (uint32_t i = 0; i < 50000; i++) {
        int n = snprintf(text, sizeof text, "the quick brown fox number %u", i);
        ck_ok(column_append_f64(&t.rows.columns[0], (double)rng_next(&r) / 3, &err), &err);
        ck_ok(column_append_bytes(&t.rows.columns[1], lam_slice_of(text, (size_t)n), &err), &err);
        t.rows.rows++;
    }
    table_save(&t, &(struct parquet_write_options){0}, 50000);
    uint64_t plain = t.summary.bytes;
    table_save(&t, &(struct parquet_write_options){.lz4 = true}, 50000);
    ck_assert_uint_lt(t.summary.bytes, plain - 50000 * 15);
    ck_assert_uint_gt(t.summary.bytes, 50000 * 8);
    check_table(&t, 2048);
    table_fini(&t);
}
END_TEST

START_TEST(summary_bounds_hold_for_all_rows) {
    struct rng r;
    rng_init(&r, test_seed("summary_bounds_hold_for_all_rows"));
    for (int kind = SAMPLE_WILD; kind <= SAMPLE_SIGNED; kind++) {
        struct table t;
        table_sample(&t, &r, (enum sample_kind)kind, 500);
        table_save(&t, &(struct parquet_write_options){.row_group_rows = 60}, 500);
        for (uint32_t f = 0; f < t.field_count; f++) {
            const struct parquet_bounds *b = &t.summary.bounds[f];
            const struct column *c = &t.rows.columns[f];
            enum lam_type type = c->type.type;
            bool min_seen = false, max_seen = false, nan = false;
            ck_assert_uint_eq(b->null_count, c->null_count);
            for (uint32_t i = 0; i < c->rows; i++) {
                if (column_is_null(c, i))
                    continue;
                struct parquet_value v = parquet_value_of(c, i);
                nan |= (type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE) && isnan(v.f64);
                if (!b->present)
                    continue;
                ck_assert_int_le(parquet_value_compare(type, b->min, v), 0);
                ck_assert_int_ge(parquet_value_compare(type, b->max, v), 0);
                min_seen |= parquet_value_compare(type, b->min, v) == 0;
                max_seen |= parquet_value_compare(type, b->max, v) == 0;
            }
            ck_assert(!b->present || (b->min_exact == min_seen && b->max_exact == max_seen));
            bool expected = c->rows > c->null_count && !nan && type != LAM_TYPE_UUID;
            if (kind != SAMPLE_LONG)
                ck_assert_msg(b->present == expected, "%s", t.fields[f].name);
        }
        table_fini(&t);
    }
}
END_TEST

START_TEST(senseless_fields_are_refused) {
    struct parquet_writer *w;
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    struct parquet_field one = {.name = "a", .type = {.type = LAM_TYPE_INT}, .field_id = 1};
    struct parquet_field bad[2] = {one, one};
    ck_code(parquet_writer_open(env, "f", NULL, 0, NULL, &w, &err), LAM_INVALID);
    ck_code(parquet_writer_open(env, "f", bad, 2, NULL, &w, &err), LAM_INVALID);
    bad[1].name = "b";
    ck_code(parquet_writer_open(env, "f", bad, 2, NULL, &w, &err), LAM_INVALID);
    ck_contains(err.message, "id 1");
    bad[0].name = "";
    ck_code(parquet_writer_open(env, "f", bad, 1, NULL, &w, &err), LAM_INVALID);
    bad[0] =
        (struct parquet_field){.name = "d", .type = {.type = LAM_TYPE_DECIMAL, .precision = 39}};
    ck_code(parquet_writer_open(env, "f", bad, 1, NULL, &w, &err), LAM_INVALID);
    uint32_t sort[] = {1};
    struct parquet_write_options o = {.sort = sort, .sort_count = 1};
    ck_code(parquet_writer_open(env, "f", &one, 1, &o, &w, &err), LAM_INVALID);
    struct parquet_pair pair = {lam_slice_str("lamina.index"), lam_slice_str("x")};
    o = (struct parquet_write_options){.pairs = &pair, .pair_count = 1};
    ck_code(parquet_writer_open(env, "f", &one, 1, &o, &w, &err), LAM_INVALID);
    enum lam_path_kind kind;
    ck_ok(env_path_kind(env, "f", &kind, &err), &err);
    ck_assert_int_eq(kind, LAM_PATH_NONE);
    lam_env_mem_free(env);
}
END_TEST

START_TEST(batches_that_do_not_suit_are_refused) {
    struct table t;
    struct parquet_writer *w;
    struct colbatch b;
    table_one(&t, (struct coltype){.type = LAM_TYPE_INT}, false);
    ck_ok(parquet_writer_open(t.env, table_path, t.fields, 1, NULL, &w, &err), &err);
    struct coltype types[2] = {{.type = LAM_TYPE_INT}, {.type = LAM_TYPE_INT}};
    ck_ok(colbatch_init(&b, types, 2, &err), &err);
    ck_code(parquet_writer_append(w, &b, &err), LAM_INVALID);
    colbatch_fini(&b);
    types[0].type = LAM_TYPE_BIGINT;
    ck_ok(colbatch_init(&b, types, 1, &err), &err);
    ck_code(parquet_writer_append(w, &b, &err), LAM_INVALID);
    colbatch_fini(&b);
    types[0].type = LAM_TYPE_INT;
    ck_ok(colbatch_init(&b, types, 1, &err), &err);
    ck_ok(column_append_null(&b.columns[0], &err), &err);
    b.rows = 1;
    ck_code(parquet_writer_append(w, &b, &err), LAM_INVALID);
    ck_contains(err.message, "null");
    colbatch_fini(&b);
    parquet_writer_abort(w);
    table_fini(&t);
}
END_TEST

START_TEST(decimal_with_too_many_digits_is_refused) {
    struct table t;
    table_one(&t, (struct coltype){.type = LAM_TYPE_DECIMAL, .precision = 4, .scale = 2}, false);
    ck_ok(column_append_i128(&t.rows.columns[0], -10000, &err), &err);
    t.rows.rows = 1;
    ck_code(table_write(&t, NULL, t.env, 1), LAM_INVALID);
    ck_contains(err.message, "4 digits");
    table_fini(&t);
}
END_TEST

START_TEST(abort_removes_the_file) {
    struct table t;
    struct parquet_writer *w;
    enum lam_path_kind kind;
    table_one(&t, (struct coltype){.type = LAM_TYPE_INT}, false);
    ck_ok(parquet_writer_open(t.env, table_path, t.fields, 1, NULL, &w, &err), &err);
    ck_ok(env_path_kind(t.env, table_path, &kind, &err), &err);
    ck_assert_int_eq(kind, LAM_PATH_FILE);
    parquet_writer_abort(w);
    ck_ok(env_path_kind(t.env, table_path, &kind, &err), &err);
    ck_assert_int_eq(kind, LAM_PATH_NONE);
    parquet_writer_abort(NULL);
    table_fini(&t);
}
END_TEST

START_TEST(every_failing_operation_is_reported) {
    struct table t;
    struct rng r;
    rng_init(&r, 4);
    table_sample(&t, &r, SAMPLE_FEW, 200);
    struct parquet_write_options o = {.lz4 = true, .row_group_rows = 70};
    lam_env *env = env_fault_new(t.env);
    env_fault_arm(env, FAULT_ALL, 0, LAM_IO, false);
    ck_ok(table_write(&t, &o, env, 50), &err);
    uint64_t count = env_fault_count(env);
    ck_assert_uint_gt(count, 100);
    for (uint64_t i = 1; i <= count; i++) {
        env_fault_arm(env, FAULT_ALL, i, LAM_NO_SPACE, false);
        ck_code(table_write(&t, &o, env, 50), LAM_NO_SPACE);
    }
    env_fault_arm(env, FAULT_ALL, 0, LAM_IO, false);
    ck_ok(table_write(&t, &o, env, 50), &err);
    check_table(&t, 100);
    env_fault_free(env);
    table_fini(&t);
}
END_TEST

static enum lam_code read_all(lam_env *env, struct table *t) {
    struct parquet_reader *r;
    TRY(parquet_reader_open(env, table_path, NULL, &r, &err));
    enum lam_code rc = LAM_OK;
    for (uint32_t f = 0; f < t->field_count && rc == LAM_OK; f++) {
        for (uint32_t g = 0; g < parquet_reader_group_count(r) && rc == LAM_OK; g++) {
            struct column c = column_like(t, f);
            bool may;
            struct parquet_value v = {.i64 = 1};
            rc = parquet_reader_read(r, g, f, 0, parquet_reader_group_rows(r, g), &c, &err);
            if (rc == LAM_OK && t->fields[f].type.type == LAM_TYPE_BIGINT)
                rc = parquet_reader_may_contain(r, g, f, v, &may, &err);
            column_fini(&c);
        }
    }
    parquet_reader_close(r);
    return rc;
}

START_TEST(every_failing_read_is_reported) {
    struct table t;
    struct rng r;
    rng_init(&r, 4);
    table_sample(&t, &r, SAMPLE_FEW, 90);
    table_save(&t, &(struct parquet_write_options){.lz4 = true, .row_group_rows = 50}, 90);
    lam_env *env = env_fault_new(t.env);
    env_fault_arm(env, FAULT_READ | FAULT_OPEN, 0, LAM_IO, false);
    ck_ok(read_all(env, &t), &err);
    uint64_t count = env_fault_count(env);
    ck_assert_uint_gt(count, 50);
    for (uint64_t i = 1; i <= count; i++) {
        env_fault_arm(env, FAULT_READ | FAULT_OPEN, i, LAM_IO, false);
        ck_code(read_all(env, &t), LAM_IO);
    }
    env_fault_free(env);
    table_fini(&t);
}
END_TEST

/* Fails each allocation of writing and reading once; nothing leaks (the sanitizer looks) and the
 * error is told. */
START_TEST(every_failing_allocation_is_reported) {
    struct table t;
    struct rng r;
    rng_init(&r, 4);
    table_sample(&t, &r, SAMPLE_FEW, 60);
    struct parquet_write_options o = {.lz4 = true, .row_group_rows = 40};
    enum lam_code rc = LAM_NO_MEMORY;
    struct parquet_writer *w;
    struct parquet_summary s = {0};
    size_t nth = 0;
    while (rc == LAM_NO_MEMORY) {
        nth += 1 + nth / 50;
        oom_arm(nth);
        rc = parquet_writer_open(t.env, table_path, t.fields, t.field_count, &o, &w, &err);
        if (rc == LAM_OK) {
            rc = parquet_writer_append(w, &t.rows, &err);
            if (rc == LAM_OK)
                rc = parquet_finish(t.env, table_path, w, &s, &err);
            else
                parquet_writer_abort(w);
        }
        oom_arm(0);
    }
    ck_ok(rc, &err);
    ck_assert_uint_gt(nth, 100);
    parquet_summary_fini(&s);
    for (rc = LAM_NO_MEMORY, nth = 0; rc == LAM_NO_MEMORY;) {
        nth += 1 + nth / 50;
        oom_arm(nth);
        rc = read_all(t.env, &t);
        oom_arm(0);
    }
    ck_ok(rc, &err);
    ck_assert_uint_gt(nth, 100);
    table_fini(&t);
}
END_TEST

TEST_MAIN("parquet/writer", wild_values_are_read_back, sorted_values_are_read_back,
          repeated_values_are_read_back, constant_values_are_read_back,
          nothing_but_nulls_is_read_back, long_values_are_read_back, pages_of_one_row_are_read_back,
          row_groups_of_one_row_are_read_back, no_rows_are_read_back, random_shapes_are_read_back,
          same_rows_give_the_same_bytes_however_batched, large_values_cut_row_groups_early,
          incompressible_chunks_are_not_compressed_and_others_are, summary_bounds_hold_for_all_rows,
          senseless_fields_are_refused, batches_that_do_not_suit_are_refused,
          decimal_with_too_many_digits_is_refused, abort_removes_the_file,
          every_failing_operation_is_reported, every_failing_read_is_reported,
          every_failing_allocation_is_reported)
