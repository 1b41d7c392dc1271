/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes Parquet files of every type into a directory, and beside each `x.parquet` the values it
 * must show: `x.jsonl` (one JSON array a row) and `x.types` (name, type and field id a line).
 * check.py reads them with foreign readers. `--dump` shows any file in the same form.
 * Usage: alltypes DIR | alltypes --dump FILE */
#include "tests/parquet/sample.h"

struct sample_file {
    const char *name;
    enum sample_kind kind;
    uint32_t rows;
    uint32_t batch; /* rows appended at a time */
    struct parquet_write_options options;
};

static const uint32_t sort_bigint[] = {6}; /* field "bigint" */

static const struct sample_file files[] = {
    {"wild", SAMPLE_WILD, 3000, 777, {.lz4 = true, .row_group_rows = 1000, .page_rows = 100}},
    {"wild_none", SAMPLE_WILD, 1500, 1500, {.page_bytes = 512}},
    {"sorted",
     SAMPLE_SORTED,
     9000,
     2048,
     {.lz4 = true, .row_group_rows = 4000, .page_rows = 300, .sort = sort_bigint, .sort_count = 1}},
    {"sorted_none", SAMPLE_SORTED, 2500, 13, {.row_group_rows = 700, .page_rows = 64}},
    {"few", SAMPLE_FEW, 5000, 2048, {.lz4 = true, .row_group_rows = 2100, .page_rows = 250}},
    {"few_none", SAMPLE_FEW, 3000, 100, {0}},
    {"constant", SAMPLE_CONSTANT, 2000, 2000, {.lz4 = true, .row_group_rows = 900}},
    {"constant_tiny", SAMPLE_CONSTANT, 9, 1, {.page_rows = 1}},
    {"nulls", SAMPLE_NULLS, 1200, 500, {.lz4 = true, .row_group_rows = 500, .page_rows = 77}},
    {"signed", SAMPLE_SIGNED, 2000, 999, {.lz4 = true, .row_group_rows = 64, .page_rows = 16}},
    {"long", SAMPLE_LONG, 400, 64, {.lz4 = true, .row_group_rows = 130}},
    {"long_none", SAMPLE_LONG, 150, 50, {.page_rows = 10}},
    {"one_row_pages", SAMPLE_WILD, 60, 7, {.page_rows = 1, .row_group_rows = 25}},
    {"one_row", SAMPLE_WILD, 1, 1, {.lz4 = true}},
    {"empty", SAMPLE_WILD, 0, 1, {.lz4 = true}},
};

static void check(enum lam_code rc, const struct lam_error *err) {
    if (rc == LAM_OK)
        return;
    fprintf(stderr, "%s: %s\n", lam_code_name(rc), err->message);
    exit(1);
}

static void put_hex(FILE *f, struct lam_slice s) {
    fputc('"', f);
    for (size_t i = 0; i < s.size; i++)
        fprintf(f, "%02x", s.data[i]);
    fputc('"', f);
}

static void put_text(FILE *f, struct lam_slice s) {
    fputc('"', f);
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\')
            fprintf(f, "\\%c", s.data[i]);
        else if (s.data[i] < 0x20)
            fprintf(f, "\\u%04x", s.data[i]);
        else
            fputc(s.data[i], f);
    }
    fputc('"', f);
}

static void put_decimal(FILE *f, int128 v, uint32_t scale) {
    char digits[64];
    size_t n = 0;
    unsigned __int128 rest = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    do {
        digits[n++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
        if (n == scale)
            digits[n++] = '.';
    } while (rest != 0 || n < scale || (n > 0 && digits[n - 1] == '.'));
    fprintf(f, "\"%s", v < 0 ? "-" : "");
    while (n > 0)
        fputc(digits[--n], f);
    fputc('"', f);
}

static void put_double(FILE *f, double v) {
    if (isnan(v))
        fprintf(f, "\"NaN\"");
    else
        fprintf(f, "\"%.17g\"", v);
}

static void put_value(FILE *f, const struct column *c, uint32_t row) {
    if (column_is_null(c, row)) {
        fprintf(f, "null");
        return;
    }
    switch (c->type.type) {
    case LAM_TYPE_BOOLEAN:
        fprintf(f, column_bool(c, row) ? "true" : "false");
        return;
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        put_double(f, column_f64(c, row));
        return;
    case LAM_TYPE_DECIMAL:
        put_decimal(f, column_i128(c, row), c->type.scale);
        return;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_JSON:
        put_text(f, column_bytes(c, row));
        return;
    case LAM_TYPE_BYTES:
    case LAM_TYPE_UUID:
        put_hex(f, column_bytes(c, row));
        return;
    default:
        fprintf(f, "%lld", (long long)column_i64(c, row));
    }
}

static FILE *open_text(const char *dir, const char *name, const char *end) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, end);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    return f;
}

static void write_types(const char *dir, const char *name, const struct parquet_field *fields) {
    FILE *f = open_text(dir, name, ".types");
    for (int i = 0; i < SAMPLE_FIELD_COUNT; i++)
        fprintf(f, "%s %d %u %u %d %d\n", fields[i].name, (int)fields[i].type.type,
                fields[i].type.precision, fields[i].type.scale, fields[i].field_id,
                fields[i].nullable);
    fclose(f);
}

static void write_file(const char *dir, const struct sample_file *s) {
    struct parquet_field fields[SAMPLE_FIELD_COUNT];
    struct coltype types[SAMPLE_FIELD_COUNT];
    struct lam_error err = {0};
    struct parquet_writer *w;
    struct colbatch b;
    struct rng r;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.parquet", dir, s->name);
    sample_fields(fields);
    for (int i = 0; i < SAMPLE_FIELD_COUNT; i++)
        types[i] = fields[i].type;
    write_types(dir, s->name, fields);
    FILE *f = open_text(dir, s->name, ".jsonl");
    rng_init(&r, 1);
    check(parquet_writer_open(lam_env_posix(), path, fields, SAMPLE_FIELD_COUNT, &s->options, &w,
                              &err),
          &err);
    check(colbatch_init(&b, types, SAMPLE_FIELD_COUNT, &err), &err);
    for (uint32_t row = 0; row < s->rows; row += s->batch) {
        uint32_t count = s->rows - row < s->batch ? s->rows - row : s->batch;
        colbatch_reset(&b);
        check(sample_batch(&b, fields, &r, s->kind, row, count, s->rows, true, &err), &err);
        check(parquet_writer_append(w, &b, &err), &err);
        for (uint32_t i = 0; i < count; i++) {
            for (int k = 0; k < SAMPLE_FIELD_COUNT; k++) {
                fputc(k ? ',' : '[', f);
                put_value(f, &b.columns[k], i);
            }
            fprintf(f, "]\n");
        }
    }
    check(parquet_finish(lam_env_posix(), path, w, NULL, &err), &err);
    colbatch_fini(&b);
    fclose(f);
}

static void put_group(const struct parquet_reader *r, uint32_t group, uint32_t field_count,
                      struct colbatch *b) {
    struct lam_error err = {0};
    uint32_t rows = parquet_reader_group_rows(r, group);
    colbatch_reset(b);
    for (uint32_t i = 0; i < field_count; i++)
        check(parquet_reader_read(r, group, i, 0, rows, &b->columns[i], &err), &err);
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t i = 0; i < field_count; i++) {
            putchar(i ? ',' : '[');
            put_value(stdout, &b->columns[i], row);
        }
        printf("]\n");
    }
}

static void dump_file(const char *path) {
    struct lam_error err = {0};
    struct parquet_reader *r;
    struct colbatch b;
    uint32_t count;
    check(parquet_reader_open(lam_env_posix(), path, NULL, &r, &err), &err);
    const struct parquet_field *fields = parquet_reader_fields(r, &count);
    struct coltype *types = calloc(count, sizeof *types);
    for (uint32_t i = 0; types && i < count; i++)
        types[i] = fields[i].type;
    check(colbatch_init(&b, types, count, &err), &err);
    for (uint32_t g = 0; g < parquet_reader_group_count(r); g++)
        put_group(r, g, count, &b);
    colbatch_fini(&b);
    free(types);
    parquet_reader_close(r);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--dump") == 0) {
        dump_file(argv[2]);
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: alltypes DIR | alltypes --dump FILE\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        write_file(argv[1], &files[i]);
    return 0;
}
