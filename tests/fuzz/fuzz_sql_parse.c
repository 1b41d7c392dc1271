/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary text as a statement and as an expression. What parses must print, parse again to the
 * same tree and print alike; an expression is then bound without columns, which folds its
 * constants, and run if it is one value. */
#include "sql/bound.h"
#include "sql/table_options.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sql/expr_print.h"

static void check_print(const struct expr *e) {
    struct arena arena = {0};
    struct buf first = {0}, second = {0};
    struct expr *again = NULL;
    struct lam_error err = {0};
    REQUIRE(expr_print(e, &first, NULL) == LAM_OK);
    REQUIRE(parse_expression(buf_slice(&first), &arena, &again, &err) == LAM_OK);
    REQUIRE(expr_print(again, &second, NULL) == LAM_OK);
    REQUIRE(slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
}

static void check_items(const struct select_item *items, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (items[i].expr->kind != EXPR_STAR) {
            (void)select_item_name(&items[i]);
            check_print(items[i].expr);
        }
}

static void check_optional(const struct expr *e) {
    if (e)
        check_print(e);
}

static void check_select(const struct select_stmt *s) {
    check_items(s->items, s->item_count);
    check_optional(s->where);
    check_optional(s->having);
    for (uint32_t i = 0; i < s->group_count; i++)
        check_print(s->group[i]);
    for (uint32_t i = 0; i < s->order_count; i++)
        check_print(s->order[i].expr);
}

static void check_options(const struct create_table_stmt *t, struct arena *arena) {
    enum table_kind kind;
    struct table_options options;
    struct lam_error err = {0};
    enum lam_code rc = table_options_read(t, arena, &kind, &options, &err);
    REQUIRE(rc == LAM_OK || (rc == LAM_SQL && err.sqlstate[0]));
    REQUIRE(rc != LAM_OK || (kind >= TABLE_USER && kind <= TABLE_STREAM));
}

static void try_statement(struct lam_slice text) {
    struct arena arena = {0};
    struct stmt *s = NULL;
    struct lam_error err = {0};
    size_t tail = 0;
    enum lam_code rc = parse_statement(text, &arena, &s, &tail, &err);
    if (rc == LAM_OK)
        REQUIRE(tail <= text.size);
    else
        REQUIRE(rc == LAM_SQL && err.sqlstate[0] && err.pos <= text.size + 1);
    if (rc == LAM_OK && s && s->kind == STMT_CREATE_TABLE)
        check_options(s->as.create_table, &arena);
    if (rc == LAM_OK && s && s->kind == STMT_SELECT)
        check_select(s->as.select);
    if (rc == LAM_OK && s && s->kind == STMT_INSERT && s->as.insert->select)
        check_select(s->as.insert->select);
    if (rc == LAM_OK && s && s->kind == STMT_UPDATE)
        check_optional(s->as.update->where);
    if (rc == LAM_OK && s && s->kind == STMT_DELETE)
        check_items(s->as.delete_->returning, s->as.delete_->returning_count);
    arena_fini(&arena);
}

/* Texts of up to 64 MiB are what lpad and its kind may make; a few in one expression take seconds
 * under sanitizers. */
static bool may_be_long(struct lam_slice text) {
    size_t digits = 0, most = 0;
    for (size_t i = 0; i < text.size; i++) {
        digits = text.data[i] >= '0' && text.data[i] <= '9' ? digits + 1 : 0;
        most = digits > most ? digits : most;
    }
    return most > 4 &&
           (memmem(text.data, text.size, "pad", 3) || memmem(text.data, text.size, "PAD", 3) ||
            memmem(text.data, text.size, "epeat", 5) || memmem(text.data, text.size, "EPEAT", 5));
}

static void try_expression(struct lam_slice text) {
    struct arena arena = {0};
    struct expr *e = NULL;
    struct bound *b = NULL;
    struct value v;
    struct coltype types[16] = {{0}};
    struct lam_error err = {0};
    struct scope none = {0};
    struct bind_context ctx = {
        .arena = &arena, .scope = &none, .parameter_types = types, .parameter_count = 16};
    struct run_context run = {.arena = &arena, .user = lam_slice_str("u")};
    if (parse_expression(text, &arena, &e, &err) == LAM_OK) {
        check_print(e);
        if (!may_be_long(text) && bind_expr(&ctx, e, &b, &err) == LAM_OK && bound_is_row_free(b)) {
            enum lam_code rc = bound_value(&run, b, &v, &err);
            REQUIRE(rc == LAM_OK || rc == LAM_SQL || rc == LAM_LIMIT || rc == LAM_NO_MEMORY);
        }
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct lam_slice text = lam_slice_of(data, size);
    try_statement(text);
    try_expression(text);
    return 0;
}
