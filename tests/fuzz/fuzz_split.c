/* SPDX-License-Identifier: Apache-2.0
 *
 * Where statements end. The shell's splitter comes to the same whatever pieces the text arrives in,
 * and to the place where the parser ends a statement that it takes. */
#include "shell/split.h"
#include "sql/sql.h"
#include "tests/fuzz/fuzz.h"

struct end {
    enum split_result result;
    size_t at;
    bool content;
};

static struct end split_in_pieces(struct lam_slice text, size_t step) {
    struct splitter s = {0};
    enum split_result result = SPLIT_MORE;
    const char *bytes = (const char *)text.data;
    for (size_t given = step; result == SPLIT_MORE && given < text.size; given += step)
        result = split_scan(&s, bytes, given, false);
    if (result == SPLIT_MORE)
        result = split_scan(&s, bytes, text.size, true);
    REQUIRE(s.at <= text.size);
    return (struct end){result, s.at, s.content};
}

/* 0: no statement, or none that parses. */
static size_t parsed_end(struct lam_slice text, bool *error_out) {
    struct arena arena = {0};
    struct stmt *stmt;
    struct lam_error err = {0};
    size_t tail = 0;
    enum lam_code rc = parse_statement(text, &arena, &stmt, &tail, &err);
    REQUIRE(rc == LAM_OK || rc == LAM_SQL);
    *error_out = rc != LAM_OK;
    tail = rc == LAM_OK && stmt ? tail : 0;
    arena_fini(&arena);
    return tail;
}

/* A piece is a statement, or only semicolons and blanks before one. */
static void compare_with_parser(struct lam_slice text, struct end end) {
    bool whole_fails, piece_fails;
    size_t whole = parsed_end(text, &whole_fails);
    if (end.result != SPLIT_STATEMENT || whole == 0)
        return;
    size_t piece = parsed_end(lam_slice_of(text.data, end.at), &piece_fails);
    REQUIRE(!piece_fails);
    REQUIRE(piece == 0 || (piece == end.at && whole == end.at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || memchr(data + 1, 0, size - 1))
        return 0;
    struct lam_slice text = lam_slice_of(data + 1, size - 1);
    struct end whole = split_in_pieces(text, text.size);
    struct end pieces = split_in_pieces(text, 1 + data[0] % 7);
    REQUIRE(whole.result == pieces.result && whole.content == pieces.content);
    REQUIRE(whole.result == SPLIT_MORE || whole.at == pieces.at);
    compare_with_parser(text, whole);
    return 0;
}
