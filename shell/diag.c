/* SPDX-License-Identifier: Apache-2.0
 *
 * Error messages. A long source line is shown as a window around the caret. */
#include "shell/diag.h"

#include <stdio.h>

#include "shell/text.h"

#define WINDOW 96 /* characters of a source line that are shown */

const char *diag_sqlstate(const struct lam_error *err) {
    if (err->sqlstate[0])
        return err->sqlstate;
    switch (err->code) {
    case LAM_NOT_FOUND:
        return "42704";
    case LAM_EXISTS:
        return "42710";
    case LAM_INVALID:
        return "22023";
    case LAM_CORRUPT:
        return "XX001";
    case LAM_IO:
        return "58030";
    case LAM_NO_SPACE:
        return "53100";
    case LAM_NO_MEMORY:
        return "53200";
    case LAM_BUSY:
        return "55006";
    case LAM_CONFLICT:
        return "40001";
    case LAM_LIMIT:
        return "54000";
    case LAM_UNSUPPORTED:
        return "0A000";
    case LAM_READ_ONLY:
        return "25006";
    case LAM_DENIED:
        return "42501";
    case LAM_UNKNOWN_OUTCOME:
        return "08007";
    default:
        return "XX000";
    }
}

void place_advance(struct place *p, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            p->line++;
            p->column = 1;
        } else {
            p->column += ((unsigned char)text[i] & 0xC0) != 0x80;
        }
    }
}

/* Source text with tabs as blanks; returns its columns. */
static size_t add_source(struct text *line, const char *text, size_t size) {
    size_t columns = 0;
    for (size_t i = 0; i < size;) {
        const char *tab = memchr(text + i, '\t', size - i);
        size_t end = tab ? (size_t)(tab - text) : size;
        columns += text_add_visible(line, text + i, end - i);
        if (tab) {
            text_add_char(line, ' ');
            columns++;
        }
        i = end + (tab != NULL);
    }
    return columns;
}

/* The line around byte `at` and a caret below it. */
static void print_line(const char *sql, size_t size, size_t at) {
    size_t from = at, to = at;
    while (from > 0 && sql[from - 1] != '\n')
        from--;
    while (to < size && sql[to] != '\n' && sql[to] != '\r')
        to++;
    size_t before = utf8_count(sql + from, at - from);
    bool cut_front = before > WINDOW * 2 / 3;
    if (cut_front)
        from += utf8_offset(sql + from, to - from, before - WINDOW * 2 / 3);
    bool cut_back = utf8_count(sql + from, to - from) > WINDOW;
    if (cut_back)
        to = from + utf8_offset(sql + from, to - from, WINDOW);
    struct text line = {0};
    text_add_str(&line, cut_front ? "  ..." : "  ");
    size_t column = line.size + add_source(&line, sql + from, at - from);
    add_source(&line, sql + at, to - at);
    fprintf(stderr, "%s%s\n%*s^\n", text_str(&line), cut_back ? "..." : "", (int)column, "");
    text_fini(&line);
}

static void print_text(const struct lam_error *err) {
    struct text message = {0};
    text_add_visible(&message, err->message, strlen(err->message));
    fprintf(stderr, "%s\n", message.size ? text_str(&message) : lam_code_text(err->code));
    text_fini(&message);
}

static void print_hint(const struct lam_error *err) {
    if (!err->hint[0])
        return;
    struct text hint = {0};
    text_add_visible(&hint, err->hint, strlen(err->hint));
    fprintf(stderr, "HINT: %s\n", text_str(&hint));
    text_fini(&hint);
}

/* First byte of the statement that is neither blank nor in a comment of the simple kind. */
static size_t first_word(const char *sql, size_t size, size_t at) {
    while (at < size) {
        if (sql[at] == ' ' || (sql[at] >= '\t' && sql[at] <= '\r')) {
            at++;
        } else if (size - at >= 2 && sql[at] == '-' && sql[at + 1] == '-') {
            const char *eol = memchr(sql + at, '\n', size - at);
            at = eol ? (size_t)(eol - sql) : size;
        } else {
            return at;
        }
    }
    return at;
}

void diag_statement(const char *sql, size_t size, size_t start, const struct place *place,
                    const struct lam_error *err) {
    fflush(stdout);
    size_t at = err->pos > 0 ? utf8_offset(sql, size, err->pos - 1) : first_word(sql, size, start);
    while (at == size && size > 0 &&
           (sql[size - 1] == ' ' || (sql[size - 1] >= '\t' && sql[size - 1] <= '\r')))
        at = --size; /* the end of the text is the end of its last line */
    struct place where = *place;
    place_advance(&where, sql, at);
    fprintf(stderr, "ERROR %s at %s%sline %zu, column %zu: ", diag_sqlstate(err),
            where.name ? where.name : "", where.name ? ", " : "", where.line, where.column);
    print_text(err);
    if (err->pos > 0)
        print_line(sql, size, at);
    print_hint(err);
}

void diag_error(const struct lam_error *err) {
    fflush(stdout);
    fprintf(stderr, "ERROR %s: ", diag_sqlstate(err));
    diag_text(err);
}

void diag_text(const struct lam_error *err) {
    print_text(err);
    print_hint(err);
}
