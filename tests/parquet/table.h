/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole table in memory, written to a file and compared with what is read back. Included by the
 * tests of writer and reader. */
#ifndef LAMINA_TESTS_PARQUET_TABLE_H
#define LAMINA_TESTS_PARQUET_TABLE_H

#include "base/env.h"
#include "tests/parquet/sample.h"
#include "tests/support/test.h"

struct table {
    lam_env *env; /* keeps the file */
    struct parquet_field fields[SAMPLE_FIELD_COUNT];
    uint32_t field_count;
    struct colbatch rows;
    struct parquet_summary summary;
};

static struct lam_error err;
static const char *const table_path = "file.parquet";

static inline void table_init(struct table *t, const struct parquet_field *fields, uint32_t count) {
    struct coltype types[SAMPLE_FIELD_COUNT];
    memset(t, 0, sizeof *t);
    ck_assert_uint_le(count, SAMPLE_FIELD_COUNT);
    ck_ok(lam_env_mem_new(&t->env, &err), &err);
    t->field_count = count;
    for (uint32_t i = 0; i < count; i++) {
        t->fields[i] = fields[i];
        types[i] = fields[i].type;
    }
    ck_ok(colbatch_init(&t->rows, types, count, &err), &err);
}

/* All types, `rows` rows of a kind. */
static inline void table_sample(struct table *t, struct rng *r, enum sample_kind kind,
                                uint32_t rows) {
    struct parquet_field fields[SAMPLE_FIELD_COUNT];
    sample_fields(fields);
    table_init(t, fields, SAMPLE_FIELD_COUNT);
    ck_ok(sample_batch(&t->rows, t->fields, r, kind, 0, rows, rows, false, &err), &err);
}

static inline void table_fini(struct table *t) {
    parquet_summary_fini(&t->summary);
    colbatch_fini(&t->rows);
    lam_env_mem_free(t->env);
}

/* Copies rows [first, first + count) of the table to `b`. */
static inline void table_slice(const struct table *t, uint32_t first, uint32_t count,
                               struct colbatch *b) {
    uint32_t *sel = calloc(count ? count : 1, sizeof *sel);
    for (uint32_t i = 0; i < count; i++)
        sel[i] = first + i;
    colbatch_reset(b);
    for (uint32_t i = 0; i < t->field_count; i++)
        ck_ok(column_append_rows(&b->columns[i], &t->rows.columns[i], sel, count, &err), &err);
    b->rows = count;
    free(sel);
}

/* Writes the table in batches of `batch` rows. */
static inline enum lam_code table_write(struct table *t,
                                        const struct parquet_write_options *options, lam_env *env,
                                        uint32_t batch) {
    struct coltype types[SAMPLE_FIELD_COUNT];
    struct parquet_writer *w;
    struct colbatch b;
    for (uint32_t i = 0; i < t->field_count; i++)
        types[i] = t->fields[i].type;
    parquet_summary_fini(&t->summary);
    TRY(parquet_writer_open(env, table_path, t->fields, t->field_count, options, &w, &err));
    ck_ok(colbatch_init(&b, types, t->field_count, &err), &err);
    enum lam_code rc = LAM_OK;
    for (uint32_t row = 0; row < t->rows.rows && rc == LAM_OK; row += batch) {
        uint32_t count = t->rows.rows - row < batch ? t->rows.rows - row : batch;
        table_slice(t, row, count, &b);
        rc = parquet_writer_append(w, &b, &err);
    }
    colbatch_fini(&b);
    if (rc != LAM_OK) {
        parquet_writer_abort(w);
        return rc;
    }
    return parquet_finish(env, table_path, w, &t->summary, &err);
}

static inline void table_save(struct table *t, const struct parquet_write_options *options,
                              uint32_t batch) {
    ck_ok(table_write(t, options, t->env, batch), &err);
}

/* Whether row `a` of `x` is row `b` of `y`, bit for bit. */
static inline bool same_value(const struct column *x, uint32_t a, const struct column *y,
                              uint32_t b) {
    if (column_is_null(x, a) || column_is_null(y, b))
        return column_is_null(x, a) == column_is_null(y, b);
    if (x->type.type == LAM_TYPE_BOOLEAN)
        return column_bool(x, a) == column_bool(y, b);
    if (x->offsets)
        return slice_eq(column_bytes(x, a), column_bytes(y, b));
    size_t width = coltype_width(x->type.type);
    return memcmp(x->data + a * width, y->data + b * width, width) == 0;
}

/* Rows of a column that were read must be rows [first, ...) of the table's. */
static inline void check_rows(const struct table *t, uint32_t field, uint32_t first,
                              const struct column *found) {
    const struct column *expected = &t->rows.columns[field];
    uint32_t nulls = 0;
    ck_assert_uint_le(first + found->rows, expected->rows);
    for (uint32_t i = 0; i < found->rows; i++) {
        nulls += column_is_null(found, i);
        if (!same_value(found, i, expected, first + i))
            ck_abort_msg("field %s: row %u differs", t->fields[field].name, first + i);
    }
    ck_assert_uint_eq(found->null_count, nulls);
}

/* The table's type of a field that the reader may show as another. */
static inline struct column column_like(const struct table *t, uint32_t field) {
    struct column c;
    column_init(&c, t->fields[field].type);
    return c;
}

static inline struct parquet_reader *table_open(struct table *t) {
    struct parquet_reader *r;
    ck_ok(parquet_reader_open(t->env, table_path, NULL, &r, &err), &err);
    return r;
}

/* Reads everything with cursors, `step` rows at a time, and compares; then lets it be verified. */
static inline void check_table(struct table *t, uint32_t step) {
    struct parquet_reader *r = table_open(t);
    ck_assert_uint_eq((uint64_t)r->meta.rows, t->rows.rows);
    for (uint32_t f = 0; f < t->field_count; f++) {
        struct column c = column_like(t, f);
        struct parquet_cursor *cursor = NULL;
        uint32_t first = 0;
        for (uint32_t g = 0; g < parquet_reader_group_count(r); g++) {
            uint32_t rows = parquet_reader_group_rows(r, g);
            if (!cursor)
                ck_ok(parquet_cursor_open(r, g, f, &cursor, &err), &err);
            else
                ck_ok(parquet_cursor_seek(cursor, g, 0, &err), &err);
            for (uint32_t done = 0; done < rows; done += c.rows) {
                column_reset(&c);
                uint32_t count = rows - done < step ? rows - done : step;
                ck_ok(parquet_cursor_next(cursor, count, &c, &err), &err);
                ck_assert_uint_eq(c.rows, count);
                check_rows(t, f, first + done, &c);
            }
            first += rows;
        }
        parquet_cursor_close(cursor);
        column_fini(&c);
    }
    struct parquet_summary actual;
    ck_ok(parquet_reader_verify(r, &actual, &err), &err);
    ck_assert_uint_eq(actual.rows, t->summary.rows);
    for (uint32_t f = 0; f < t->field_count; f++)
        ck_assert_uint_eq(actual.bounds[f].null_count, t->summary.bounds[f].null_count);
    parquet_summary_fini(&actual);
    parquet_reader_close(r);
}

/* One field without options: the smallest table. */
static inline void table_one(struct table *t, struct coltype type, bool nullable) {
    struct parquet_field f = {
        .name = "f", .type = type, .nullable = nullable, .field_id = 1, .is_bloom = true};
    table_init(t, &f, 1);
}

/* The file's bytes. */
static inline struct buf table_bytes(const struct table *t) {
    struct buf b = {0};
    ck_ok(env_read_file(t->env, table_path, 1u << 30, &b, &err), &err);
    return b;
}

static inline void put_bytes(lam_env *env, const char *path, struct lam_slice bytes) {
    lam_file *f;
    ck_ok(env_file_open(env, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE, &f, &err),
          &err);
    if (bytes.size)
        ck_ok(env_file_write(f, 0, bytes.data, bytes.size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

#endif
