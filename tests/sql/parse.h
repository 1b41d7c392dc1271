/* SPDX-License-Identifier: Apache-2.0
 *
 * One parsed statement for tests. */
#ifndef LAMINA_TESTS_SQL_PARSE_H
#define LAMINA_TESTS_SQL_PARSE_H

#include "sql/ast.h"
#include "tests/sql/expr_print.h"
#include "tests/support/test.h"

#define UNUSED __attribute__((unused))

static struct arena parse_arena;

/* The statement; fails the test if there is an error. Valid until the next call. */
UNUSED static struct stmt *parsed(const char *sql) {
    struct lam_error err = {0};
    struct stmt *s = NULL;
    arena_fini(&parse_arena);
    enum lam_code rc = parse_statement(lam_slice_str(sql), &parse_arena, &s, NULL, &err);
    ck_assert_msg(rc == LAM_OK && s, "%s: %s at %u: %s", sql, err.sqlstate, err.pos, err.message);
    return s;
}

/* SQLSTATE and position of the error that must come: "42601@5". */
UNUSED static void expect_error(const char *sql, const char *expected, const char *in_message,
                                const char *in_hint) {
    struct lam_error err = {0};
    struct stmt *s = NULL;
    char got[32];
    arena_fini(&parse_arena);
    enum lam_code rc = parse_statement(lam_slice_str(sql), &parse_arena, &s, NULL, &err);
    ck_assert_msg(rc == LAM_SQL, "%s: parses", sql);
    snprintf(got, sizeof got, "%s@%u", err.sqlstate, err.pos);
    ck_assert_msg(strcmp(got, expected) == 0, "%s: expected %s, got %s: %s", sql, expected, got,
                  err.message);
    ck_assert_msg(!in_message || strstr(err.message, in_message), "%s: message \"%s\"", sql,
                  err.message);
    ck_assert_msg(!in_hint || strstr(err.hint, in_hint), "%s: hint \"%s\"", sql, err.hint);
}

UNUSED static void expect_name(struct lam_slice name, const char *text) {
    ck_assert_msg(slice_eq_str(name, text), "expected %s, got %.*s", text, (int)name.size,
                  (const char *)name.data);
}

/* An expression as text. */
UNUSED static void expect_expr(const struct expr *e, const char *text) {
    struct buf out = {0};
    struct lam_error err = {0};
    ck_assert(e != NULL);
    ck_ok(expr_print(e, &out, &err), &err);
    ck_assert_msg(slice_eq_str(buf_slice(&out), text), "expected %s, got %.*s", text, (int)out.size,
                  (const char *)out.data);
    buf_fini(&out);
}

#endif
