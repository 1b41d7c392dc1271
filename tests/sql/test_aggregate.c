/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sql/expr.h"

/* The aggregate of `rows` (text forms, NULL for NULL) of `type`, in two batches. */
static const char *run(struct arena *arena, enum aggregate_kind kind, struct coltype type,
                       struct coltype result, const char *const *rows, uint32_t count,
                       struct lam_error *err) {
    struct column x, mark, out;
    struct value v = value_text(", ");
    struct bound *argument = NULL;
    struct buf text = {0};
    column_init(&x, type);
    column_init(&mark, coltype_of(LAM_TYPE_TEXT));
    column_init(&out, result);
    ck_ok(bound_new_column(arena, 0, type, &argument, err), err);
    struct bound_aggregate a = {.kind = kind, .argument = argument, .type = result, .pos = 3};
    void *state = arena_alloc(arena, aggregate_state_size(&a)), *states[64];
    aggregate_init(&a, state);
    for (uint32_t from = 0; from < count; from += 2) {
        column_reset(&x);
        column_reset(&mark);
        uint32_t n = count - from < 2 ? count - from : 2;
        for (uint32_t i = 0; i < n; i++) {
            struct value row = value_null(type);
            if (rows[from + i])
                ck_ok(value_parse(lam_slice_str(rows[from + i]), type, arena, &row, err), err);
            ck_ok(column_append_value(&x, &row, err), err);
            ck_ok(column_append_value(&mark, &v, err), err);
            states[i] = state;
        }
        ck_ok(
            aggregate_update(&a, states, kind == AGG_COUNT_STAR ? NULL : &x, &mark, n, arena, err),
            err);
    }
    enum lam_code rc = aggregate_result(&a, state, &out, err);
    const char *answer = arena_format(arena, "!%s@%u", err->sqlstate, err->pos);
    if (rc == LAM_OK) {
        v = column_value(&out, 0);
        ck_ok(v.is_null ? buf_append_str(&text, "NULL", err) : value_format(&v, &text, err), err);
        answer = arena_strdup_slice(arena, buf_slice(&text));
    }
    buf_fini(&text);
    column_fini(&x);
    column_fini(&mark);
    column_fini(&out);
    return answer;
}

#define ROWS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / 8

static void expect(enum aggregate_kind kind, enum lam_type type, enum lam_type result,
                   const char *const *rows, size_t count, const char *answer) {
    struct arena arena = {0};
    struct lam_error err = {0};
    struct coltype from = coltype_of(type), to = coltype_of(result);
    if (type == LAM_TYPE_DECIMAL)
        from = (struct coltype){.type = type, .precision = 38, .scale = 2};
    if (result == LAM_TYPE_DECIMAL)
        to = (struct coltype){
            .type = result, .precision = 38, .scale = kind == AGG_AVG ? 8 : from.scale};
    const char *got = run(&arena, kind, from, to, rows, (uint32_t)count, &err);
    ck_assert_msg(strcmp(got, answer) == 0, "expected %s, got %s", answer, got);
    arena_fini(&arena);
}

#define BIG "9223372036854775807"

START_TEST(nulls_are_skipped) {
    expect(AGG_COUNT, LAM_TYPE_INT, LAM_TYPE_BIGINT, ROWS("1", NULL, "2"), "2");
    expect(AGG_COUNT_STAR, LAM_TYPE_INT, LAM_TYPE_BIGINT, ROWS("1", NULL, "2"), "3");
    expect(AGG_SUM, LAM_TYPE_INT, LAM_TYPE_BIGINT, ROWS("1", NULL, "2"), "3");
    expect(AGG_AVG, LAM_TYPE_INT, LAM_TYPE_DOUBLE, ROWS("1", NULL, "2"), "1.5");
    expect(AGG_MIN, LAM_TYPE_INT, LAM_TYPE_INT, ROWS(NULL, "5", "2", "7"), "2");
    expect(AGG_MAX, LAM_TYPE_INT, LAM_TYPE_INT, ROWS(NULL, "5", "2", "7"), "7");
    expect(AGG_STRING_AGG, LAM_TYPE_TEXT, LAM_TYPE_TEXT, ROWS("a", NULL, "b", ""), "a, b, ");
    expect(AGG_BOOL_AND, LAM_TYPE_BOOLEAN, LAM_TYPE_BOOLEAN, ROWS("true", NULL, "true"), "true");
    expect(AGG_BOOL_OR, LAM_TYPE_BOOLEAN, LAM_TYPE_BOOLEAN, ROWS("false", NULL), "false");
}
END_TEST

START_TEST(nothing_gives_null_and_counts_zero) {
    expect(AGG_COUNT, LAM_TYPE_INT, LAM_TYPE_BIGINT, ROWS(NULL), "0");
    expect(AGG_SUM, LAM_TYPE_INT, LAM_TYPE_BIGINT, ROWS(NULL, NULL), "NULL");
    expect(AGG_AVG, LAM_TYPE_DOUBLE, LAM_TYPE_DOUBLE, ROWS(NULL), "NULL");
    expect(AGG_MIN, LAM_TYPE_TEXT, LAM_TYPE_TEXT, ROWS(NULL), "NULL");
    expect(AGG_BOOL_AND, LAM_TYPE_BOOLEAN, LAM_TYPE_BOOLEAN, ROWS(NULL), "NULL");
    expect(AGG_STRING_AGG, LAM_TYPE_TEXT, LAM_TYPE_TEXT, ROWS(NULL), "NULL");
}
END_TEST

START_TEST(sums_are_checked_at_their_end) {
    expect(AGG_SUM, LAM_TYPE_BIGINT, LAM_TYPE_BIGINT, ROWS(BIG, "1"), "!22003@3");
    expect(AGG_SUM, LAM_TYPE_BIGINT, LAM_TYPE_BIGINT, ROWS(BIG, BIG, "-" BIG), BIG);
    expect(AGG_AVG, LAM_TYPE_BIGINT, LAM_TYPE_DOUBLE, ROWS(BIG, BIG), "9.223372036854776e+18");
    expect(AGG_SUM, LAM_TYPE_DECIMAL, LAM_TYPE_DECIMAL, ROWS("1.25", "2.50"), "3.75");
    expect(AGG_AVG, LAM_TYPE_DECIMAL, LAM_TYPE_DECIMAL, ROWS("1.00", "1.00", "0.00"), "0.66666667");
    expect(AGG_SUM, LAM_TYPE_DECIMAL, LAM_TYPE_DECIMAL,
           ROWS("999999999999999999999999999999999999.99", "0.01"), "!22003@3");
    expect(AGG_SUM, LAM_TYPE_DOUBLE, LAM_TYPE_DOUBLE, ROWS("0.5", "0.25"), "0.75");
    expect(AGG_SUM, LAM_TYPE_FLOAT, LAM_TYPE_DOUBLE, ROWS("0.5", "0.25"), "0.75");
    expect(AGG_SUM, LAM_TYPE_SMALLINT, LAM_TYPE_BIGINT, ROWS("32767", "32767"), "65534");
}
END_TEST

START_TEST(extremes_work_for_every_type) {
    expect(AGG_MAX, LAM_TYPE_TEXT, LAM_TYPE_TEXT, ROWS("b", "a", "ccccccccccccccccccccccccc", "c"),
           "ccccccccccccccccccccccccc");
    expect(AGG_MIN, LAM_TYPE_TEXT, LAM_TYPE_TEXT,
           ROWS("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "ab", "b"), "ab");
    expect(AGG_MIN, LAM_TYPE_TEXT, LAM_TYPE_TEXT, ROWS("b", ""), "");
    expect(AGG_MAX, LAM_TYPE_DOUBLE, LAM_TYPE_DOUBLE, ROWS("1", "NaN", "Infinity"), "NaN");
    expect(AGG_MIN, LAM_TYPE_DATE, LAM_TYPE_DATE, ROWS("2024-01-02", "2024-01-01"), "2024-01-01");
    expect(AGG_MAX, LAM_TYPE_BOOLEAN, LAM_TYPE_BOOLEAN, ROWS("false", "true"), "true");
    expect(AGG_MAX, LAM_TYPE_DECIMAL, LAM_TYPE_DECIMAL, ROWS("-1.00", "-1.01"), "-1.00");
    expect(AGG_MIN, LAM_TYPE_UUID, LAM_TYPE_UUID,
           ROWS("00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-000000000001"),
           "00000000-0000-0000-0000-000000000001");
}
END_TEST

TEST_MAIN("sql/aggregate", nulls_are_skipped, nothing_gives_null_and_counts_zero,
          sums_are_checked_at_their_end, extremes_work_for_every_type)
