/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors, ranges of rows, threads, and files that are refused. */
#include "base/thread.h"
#include "flush/parquet/meta.h"
#include "tests/parquet/table.h"

static void make(struct table *t, struct rng *r, enum sample_kind kind, uint32_t rows) {
    table_sample(t, r, kind, rows);
    table_save(t, &(struct parquet_write_options){.lz4 = true, .page_rows = 37}, rows ? rows : 1);
}

START_TEST(random_ranges_of_rows_are_read) {
    struct rng r;
    struct table t;
    rng_init(&r, test_seed("random_ranges_of_rows_are_read"));
    make(&t, &r, SAMPLE_WILD, 700);
    struct parquet_reader *reader = table_open(&t);
    for (int round = 0; round < 2000; round++) {
        uint32_t field = (uint32_t)rng_below(&r, t.field_count);
        uint32_t first = (uint32_t)rng_below(&r, 701);
        uint32_t count = (uint32_t)rng_below(&r, 701 - first);
        struct column c = column_like(&t, field);
        ck_ok(parquet_reader_read(reader, 0, field, first, count, &c, &err), &err);
        ck_assert_uint_eq(c.rows, count);
        check_rows(&t, field, first, &c);
        column_fini(&c);
    }
    parquet_reader_close(reader);
    table_fini(&t);
}
END_TEST

/* Random walks of a cursor against the table in memory, appending to columns that hold rows. */
START_TEST(cursor_walks_anywhere) {
    struct rng r;
    rng_init(&r, test_seed("cursor_walks_anywhere"));
    for (int kind = SAMPLE_WILD; kind <= SAMPLE_SIGNED; kind++) {
        struct table t;
        make(&t, &r, (enum sample_kind)kind, 500);
        struct parquet_reader *reader = table_open(&t);
        for (uint32_t f = 0; f < t.field_count; f++) {
            struct parquet_cursor *cursor;
            struct column c = column_like(&t, f);
            ck_ok(parquet_cursor_open(reader, 0, f, &cursor, &err), &err);
            uint32_t at = 0;
            for (int step = 0; step < 60; step++) {
                uint32_t left = 500 - at, before = c.rows;
                switch (rng_below(&r, 4)) {
                case 0:
                    at = (uint32_t)rng_below(&r, 501);
                    ck_ok(parquet_cursor_seek(cursor, 0, at, &err), &err);
                    break;
                case 1:
                    at += (uint32_t)rng_below(&r, left + 1);
                    ck_ok(parquet_cursor_seek(cursor, 0, at, &err), &err);
                    break;
                default: {
                    uint32_t count = (uint32_t)rng_below(&r, left + 1);
                    ck_ok(parquet_cursor_next(cursor, count, &c, &err), &err);
                    ck_assert_uint_eq(c.rows, before + count);
                    for (uint32_t i = 0; i < count; i++)
                        ck_assert(same_value(&c, before + i, &t.rows.columns[f], at + i));
                    at += count;
                }
                }
                if (c.rows > 1500)
                    column_reset(&c);
            }
            parquet_cursor_close(cursor);
            column_fini(&c);
        }
        parquet_reader_close(reader);
        table_fini(&t);
    }
}
END_TEST

struct scan {
    struct table *t;
    struct parquet_reader *reader;
};

static void scan_all(void *arg) {
    struct scan *s = arg;
    for (uint32_t f = 0; f < s->t->field_count; f++) {
        struct lam_error mine = {0};
        struct column c = column_like(s->t, f);
        uint32_t first = 0;
        for (uint32_t g = 0; g < parquet_reader_group_count(s->reader); g++) {
            uint32_t rows = parquet_reader_group_rows(s->reader, g);
            column_reset(&c);
            ck_ok(parquet_reader_read(s->reader, g, f, 0, rows, &c, &mine), &mine);
            check_rows(s->t, f, first, &c);
            first += rows;
        }
        column_fini(&c);
    }
}

START_TEST(threads_share_a_reader) {
    struct rng r;
    struct table t;
    struct thread threads[4];
    rng_init(&r, 8);
    table_sample(&t, &r, SAMPLE_WILD, 600);
    table_save(&t, &(struct parquet_write_options){.lz4 = true, .row_group_rows = 200}, 600);
    struct scan s = {&t, table_open(&t)};
    for (int i = 0; i < 4; i++)
        ck_ok(thread_start(&threads[i], scan_all, &s, &err), &err);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    parquet_reader_close(s.reader);
    table_fini(&t);
}
END_TEST

START_TEST(schema_and_metadata_are_read_back) {
    struct parquet_field fields[SAMPLE_FIELD_COUNT];
    struct parquet_pair pairs[2] = {{lam_slice_str("lamina.table"), lam_slice_str("t1")},
                                    {lam_slice_str("empty"), SLICE_EMPTY}};
    struct table t;
    struct lam_slice value;
    uint32_t count;
    sample_fields(fields);
    fields[3].field_id = PARQUET_NO_FIELD_ID;
    table_init(&t, fields, SAMPLE_FIELD_COUNT);
    struct rng r;
    rng_init(&r, 1);
    ck_ok(sample_batch(&t.rows, t.fields, &r, SAMPLE_WILD, 0, 10, 10, false, &err), &err);
    table_save(&t, &(struct parquet_write_options){.pairs = pairs, .pair_count = 2}, 10);
    struct parquet_reader *reader = table_open(&t);
    const struct parquet_field *found = parquet_reader_fields(reader, &count);
    ck_assert_uint_eq(count, SAMPLE_FIELD_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_str_eq(found[i].name, fields[i].name);
        ck_assert_int_eq(found[i].nullable, fields[i].nullable);
        ck_assert_int_eq(found[i].field_id, fields[i].field_id);
        enum lam_type type =
            fields[i].type.type == LAM_TYPE_JSON ? LAM_TYPE_TEXT : fields[i].type.type;
        ck_assert_int_eq(found[i].type.type, type);
        ck_assert_uint_eq(found[i].type.precision, fields[i].type.precision);
        ck_assert_uint_eq(found[i].type.scale, fields[i].type.scale);
    }
    ck_assert_int_eq(parquet_reader_find_field(reader, 105), 5);
    ck_assert_int_eq(parquet_reader_find_field(reader, 103), -1);
    ck_assert_int_eq(parquet_reader_find_field(reader, PARQUET_NO_FIELD_ID), -1);
    ck_assert(parquet_reader_pair(reader, "lamina.table", &value) && slice_eq_str(value, "t1"));
    ck_assert(parquet_reader_pair(reader, "empty", &value) && value.size == 0);
    ck_assert(!parquet_reader_pair(reader, "absent", &value));
    ck_assert_uint_eq(parquet_reader_footer_hash(reader), t.summary.footer_hash);
    ck_assert_uint_eq(reader->file_bytes, t.summary.bytes);
    parquet_reader_close(reader);
    table_fini(&t);
}
END_TEST

START_TEST(rows_and_fields_that_are_not_there_are_refused) {
    struct rng r;
    struct table t;
    rng_init(&r, 1);
    make(&t, &r, SAMPLE_FEW, 50);
    struct parquet_reader *reader = table_open(&t);
    struct parquet_cursor *cursor;
    struct column c = column_like(&t, 0);
    ck_code(parquet_reader_read(reader, 1, 0, 0, 1, &c, &err), LAM_INVALID);
    ck_code(parquet_reader_read(reader, 0, t.field_count, 0, 1, &c, &err), LAM_INVALID);
    ck_code(parquet_reader_read(reader, 0, 0, 50, 1, &c, &err), LAM_INVALID);
    ck_code(parquet_reader_read(reader, 0, 0, 1, UINT32_MAX, &c, &err), LAM_INVALID);
    ck_code(parquet_reader_read(reader, 0, 4, 0, 1, &c, &err), LAM_INVALID);
    ck_assert_uint_eq(c.rows, 0);
    ck_ok(parquet_cursor_open(reader, 0, 0, &cursor, &err), &err);
    ck_code(parquet_cursor_seek(cursor, 0, 51, &err), LAM_INVALID);
    ck_ok(parquet_cursor_seek(cursor, 0, 50, &err), &err);
    ck_ok(parquet_cursor_next(cursor, 0, &c, &err), &err);
    parquet_cursor_close(cursor);
    parquet_cursor_close(NULL);
    column_fini(&c);
    parquet_reader_close(reader);
    parquet_reader_close(NULL);
    table_fini(&t);
}
END_TEST

START_TEST(batches_of_large_values_are_kept_small) {
    struct table t;
    static uint8_t value[1 << 20];
    table_one(&t, (struct coltype){.type = LAM_TYPE_BYTES}, false);
    for (uint32_t i = 0; i < 8; i++)
        ck_ok(column_append_bytes(&t.rows.columns[0], lam_slice_of(value, sizeof value), &err),
              &err);
    t.rows.rows = 8;
    table_save(&t, &(struct parquet_write_options){.lz4 = true}, 8);
    struct parquet_reader *reader = table_open(&t);
    ck_assert_uint_eq(parquet_reader_batch_rows(reader, 0), 16);
    parquet_reader_close(reader);
    table_fini(&t);
}
END_TEST

START_TEST(files_that_are_no_parquet_are_refused) {
    struct parquet_reader *reader;
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    ck_code(parquet_reader_open(env, "none", NULL, &reader, &err), LAM_NOT_FOUND);
    put_bytes(env, "f", SLICE_EMPTY);
    ck_code(parquet_reader_open(env, "f", NULL, &reader, &err), LAM_CORRUPT);
    put_bytes(env, "f", lam_slice_str("PAR1 and then nothing else"));
    ck_code(parquet_reader_open(env, "f", NULL, &reader, &err), LAM_CORRUPT);
    ck_contains(err.message, "f: offset");
    put_bytes(env, "f", lam_slice_of("PAR1\x00\x10\x00\x00PAR1", 12));
    ck_code(parquet_reader_open(env, "f", NULL, &reader, &err), LAM_CORRUPT);
    put_bytes(env, "f", lam_slice_of("PAR1\x00\x00\x00\x00PARE", 12));
    ck_code(parquet_reader_open(env, "f", NULL, &reader, &err), LAM_UNSUPPORTED);
    ck_contains(err.message, "encrypted");
    ck_assert_ptr_null(reader);
    lam_env_mem_free(env);
}
END_TEST

/* A file of just a footer. */
static enum lam_code open_meta(struct pq_meta *m, const char *expected) {
    struct buf b = {0};
    struct parquet_reader *reader;
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    ck_ok(buf_append_str(&b, "PAR1", &err), &err);
    ck_ok(buf_append_zeros(&b, 100, &err), &err);
    size_t start = b.size;
    ck_ok(pq_meta_encode(m, &b, &err), &err);
    ck_ok(buf_append_le32(&b, (uint32_t)(b.size - start), &err), &err);
    ck_ok(buf_append_str(&b, "PAR1", &err), &err);
    put_bytes(env, "f", buf_slice(&b));
    enum lam_code rc = parquet_reader_open(env, "f", NULL, &reader, &err);
    if (rc == LAM_OK)
        parquet_reader_close(reader);
    else
        ck_contains(err.message, expected);
    buf_fini(&b);
    lam_env_mem_free(env);
    return rc;
}

START_TEST(what_is_not_supported_is_said) {
    struct pq_leaf leaf = {.name = "c", .physical = PQ_INT64, .field_id = 1, .converted = PQ_NONE};
    struct pq_chunk chunk = {.physical = PQ_INT64,
                             .codec = PQ_UNCOMPRESSED,
                             .values = 1,
                             .data_offset = 4,
                             .compressed_bytes = 10,
                             .raw_bytes = PQ_NONE,
                             .stats = {.null_count = PQ_NONE, .distinct = PQ_NONE}};
    struct pq_group group = {.chunks = &chunk, .rows = 1, .file_offset = 4};
    struct pq_meta m = {.leaves = &leaf,
                        .leaf_count = 1,
                        .groups = &group,
                        .group_count = 1,
                        .rows = 1,
                        .created_by = lam_slice_str("test")};
    ck_assert_int_eq(open_meta(&m, ""), LAM_OK);
    chunk.codec = (enum pq_codec)1;
    ck_assert_int_eq(open_meta(&m, "codec 1"), LAM_UNSUPPORTED);
    chunk.codec = PQ_UNCOMPRESSED;
    leaf.physical = PQ_INT96;
    ck_assert_int_eq(open_meta(&m, "physical type 3"), LAM_UNSUPPORTED);
    leaf.physical = PQ_INT64;
    leaf.logical = PQ_LOGICAL_TIMESTAMP;
    leaf.unit = PQ_UNIT_NANOS;
    ck_assert_int_eq(open_meta(&m, "not supported"), LAM_UNSUPPORTED);
    leaf.logical = PQ_LOGICAL_NONE;
    chunk.values = 2;
    ck_assert_int_eq(open_meta(&m, "values differ"), LAM_CORRUPT);
    chunk.values = 1;
    m.rows = 2;
    ck_assert_int_eq(open_meta(&m, "sum"), LAM_CORRUPT);
    m.rows = 1;
    chunk.data_offset = INT64_MAX;
    ck_assert_int_eq(open_meta(&m, "outside"), LAM_CORRUPT);
    chunk.data_offset = 4;
    chunk.compressed_bytes = INT64_MAX;
    ck_assert_int_eq(open_meta(&m, "outside"), LAM_CORRUPT);
    chunk.compressed_bytes = 10;
    chunk.offset_index_offset = 50;
    chunk.offset_index_bytes = 1 << 20;
    ck_assert_int_eq(open_meta(&m, "outside"), LAM_CORRUPT);
    chunk.offset_index_offset = 0;
    chunk.physical = PQ_INT32;
    ck_assert_int_eq(open_meta(&m, "type differs"), LAM_CORRUPT);
}
END_TEST

TEST_MAIN("parquet/reader", random_ranges_of_rows_are_read, cursor_walks_anywhere,
          threads_share_a_reader, schema_and_metadata_are_read_back,
          rows_and_fields_that_are_not_there_are_refused, batches_of_large_values_are_kept_small,
          files_that_are_no_parquet_are_refused, what_is_not_supported_is_said)
