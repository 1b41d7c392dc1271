/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions for tests: parsed, bound over a small batch of every type, run to text. */
#ifndef LAMINA_TESTS_SQL_EXPR_H
#define LAMINA_TESTS_SQL_EXPR_H

#include "base/env.h"
#include "sql/bound.h"
#include "tests/support/test.h"

/* Rows of the batch: row 0 plain, row 1 other values, row 2 all NULL, row 3 extremes. */
#define EXPR_ROWS 4

struct expr_fixture {
    struct arena arena;
    struct colbatch batch;
    struct scope scope;
    struct run_context run;
    struct coltype parameter_types[8];
    struct value parameters[8];
};

#define UNUSED __attribute__((unused))

static const struct {
    const char *name;
    struct coltype type;
    const char *rows[EXPR_ROWS];
} expr_columns[] = {
    {"s", {.type = LAM_TYPE_SMALLINT}, {"7", "-7", NULL, "32767"}},
    {"i", {.type = LAM_TYPE_INT}, {"10", "20", NULL, "2147483647"}},
    {"b", {.type = LAM_TYPE_BIGINT}, {"100", "-3", NULL, "9223372036854775807"}},
    {"f", {.type = LAM_TYPE_FLOAT}, {"1.5", "0.1", NULL, "Infinity"}},
    {"d", {.type = LAM_TYPE_DOUBLE}, {"2.5", "-0.25", NULL, "NaN"}},
    {"n",
     {.type = LAM_TYPE_DECIMAL, .precision = 10, .scale = 2},
     {"12.34", "-0.05", NULL, "99999999.99"}},
    {"t", {.type = LAM_TYPE_TEXT}, {"hello", "W\xc3\xb6rld", NULL, ""}},
    {"v", {.type = LAM_TYPE_TEXT, .length = 5}, {"abc", "b%_", NULL, "xyz"}},
    {"o", {.type = LAM_TYPE_BOOLEAN}, {"true", "false", NULL, "true"}},
    {"ts",
     {.type = LAM_TYPE_TIMESTAMP},
     {"2024-02-29 13:45:56.789012", "1969-12-31 23:59:59", NULL, "9999-12-31 23:59:59.999999"}},
    {"dt", {.type = LAM_TYPE_DATE}, {"2024-02-29", "1970-01-01", NULL, "9999-12-31"}},
    {"tm", {.type = LAM_TYPE_TIME}, {"13:45:56", "00:00:00", NULL, "23:59:59.999999"}},
    {"u",
     {.type = LAM_TYPE_UUID},
     {"00112233-4455-6677-8899-aabbccddeeff", "ffffffff-ffff-ffff-ffff-ffffffffffff", NULL,
      "00000000-0000-0000-0000-000000000000"}},
    {"j",
     {.type = LAM_TYPE_JSON},
     {"{\"a\": 1, \"b\": [10, \"x\", null, {\"c\": true}], \"k\\u0065y\": \"q\\\"\\u00e9\"}",
      "[1, 2, 3]", NULL, "null"}},
    {"by", {.type = LAM_TYPE_BYTES}, {"\\x0102ff", "\\x", NULL, "\\x00"}},
    {"user", {.type = LAM_TYPE_TEXT}, {"ann", "bob", NULL, "eve"}},
};
#define COLUMNS (sizeof expr_columns / sizeof expr_columns[0])

UNUSED static void expr_setup(struct expr_fixture *f) {
    struct lam_error err = {0};
    struct coltype types[COLUMNS];
    *f = (struct expr_fixture){0};
    for (size_t c = 0; c < COLUMNS; c++)
        types[c] = expr_columns[c].type;
    ck_ok(colbatch_init(&f->batch, types, COLUMNS, &err), &err);
    struct scope_column *scope = arena_calloc(&f->arena, COLUMNS, sizeof *scope);
    for (size_t c = 0; c < COLUMNS; c++) {
        scope[c] = (struct scope_column){.table = lam_slice_str("x"),
                                         .name = lam_slice_str(expr_columns[c].name),
                                         .type = expr_columns[c].type,
                                         .nullable = true,
                                         .column = (uint32_t)c};
        for (int row = 0; row < EXPR_ROWS; row++) {
            const char *text = expr_columns[c].rows[row];
            struct value v = value_null(expr_columns[c].type);
            if (text)
                ck_ok(value_parse(lam_slice_str(text), expr_columns[c].type, &f->arena, &v, &err),
                      &err);
            ck_ok(column_append_value(&f->batch.columns[c], &v, &err), &err);
        }
    }
    f->batch.rows = EXPR_ROWS;
    f->scope = (struct scope){scope, COLUMNS};
    f->run = (struct run_context){.user = lam_slice_str("alice"),
                                  .role = LAM_ROLE_SERVICE,
                                  .now_us = 1700000000123456,
                                  .parameters = f->parameters,
                                  .parameter_count = 8,
                                  .arena = &f->arena};
    for (int i = 0; i < 8; i++)
        f->parameters[i] = value_null(coltype_of(LAM_TYPE_NULL));
}

UNUSED static void expr_teardown(struct expr_fixture *f) {
    colbatch_fini(&f->batch);
    arena_fini(&f->arena);
}

/* Binds `text` over the batch. */
UNUSED static enum lam_code expr_bind(struct expr_fixture *f, const char *text, struct bound **out,
                                      struct lam_error *err) {
    struct expr *e = NULL;
    struct bind_context ctx = {.arena = &f->arena,
                               .scope = &f->scope,
                               .parameter_types = f->parameter_types,
                               .parameter_count = 8};
    enum lam_code rc = parse_expression(lam_slice_str(text), &f->arena, &e, err);
    return rc != LAM_OK ? rc : bind_expr(&ctx, e, out, err);
}

static const char *failure(struct expr_fixture *f, enum lam_code rc, const struct lam_error *err) {
    return rc == LAM_SQL ? arena_format(&f->arena, "!%s", err->sqlstate)
                         : arena_format(&f->arena, "!%s", lam_code_name(rc));
}

static enum lam_code run_text(struct expr_fixture *f, const char *text, const uint32_t *sel,
                              uint32_t count, struct buf *out, struct lam_error *err) {
    struct bound *b = NULL;
    struct evaluator *e = NULL;
    const struct column *result = NULL;
    enum lam_code rc = expr_bind(f, text, &b, err);
    if (rc == LAM_OK)
        rc = evaluator_new(b, &e, err);
    if (rc == LAM_OK)
        rc = evaluator_run(e, &f->run, &f->batch, sel, count, &result, err);
    for (uint32_t i = 0; rc == LAM_OK && i < count; i++) {
        struct value v = column_value(result, i);
        if (i > 0)
            rc = buf_append_u8(out, '|', err);
        if (rc == LAM_OK)
            rc = v.is_null ? buf_append_str(out, "NULL", err) : value_format(&v, out, err);
    }
    evaluator_free(e);
    return rc;
}

static const char *to_text(struct expr_fixture *f, const char *text, const uint32_t *sel,
                           uint32_t count, struct lam_error *err) {
    struct buf out = {0};
    *err = (struct lam_error){0};
    enum lam_code rc = run_text(f, text, sel, count, &out, err);
    const char *result =
        rc == LAM_OK ? arena_strdup_slice(&f->arena, buf_slice(&out)) : failure(f, rc, err);
    buf_fini(&out);
    return result;
}

/* Value of `text` in row `row` as text in the arena: "NULL", or "!22012" for an error's SQLSTATE.
 */
UNUSED static const char *expr_text(struct expr_fixture *f, const char *text, uint32_t row,
                                    struct lam_error *err) {
    return to_text(f, text, &row, 1, err);
}

/* The same for `text` over all rows at once: values joined by '|'. */
UNUSED static const char *expr_all(struct expr_fixture *f, const char *text,
                                   struct lam_error *err) {
    return to_text(f, text, NULL, EXPR_ROWS, err);
}

#endif
