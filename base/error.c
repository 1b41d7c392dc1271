/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling a caller's error. All text is formatted aside first, so that an error's own message may
 * be among the arguments. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

const char *lam_code_text(enum lam_code code) {
    switch (code) {
#define LAM_CODE_TEXT(name, number, text)                                                          \
    case LAM_##name:                                                                               \
        return text;
        LAM_CODES(LAM_CODE_TEXT)
#undef LAM_CODE_TEXT
    }
    return "unknown code";
}

const char *lam_code_name(enum lam_code code) {
    switch (code) {
#define LAM_CODE_NAME(name, number, text)                                                          \
    case LAM_##name:                                                                               \
        return "LAM_" #name;
        LAM_CODES(LAM_CODE_NAME)
#undef LAM_CODE_NAME
    }
    return "LAM_?";
}

/* Ends `text`, a full buffer of `size` bytes, in "..." without splitting a UTF-8 character. */
static void mark_cut(char *text, size_t size) {
    size_t at = size - 4;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    memcpy(text + at, "...", 4);
}

static void copy_text(char *out, size_t size, const char *text) {
    size_t length = strlen(text);
    if (length < size) {
        memcpy(out, text, length + 1);
        return;
    }
    memcpy(out, text, size - 1);
    out[size - 1] = '\0';
    mark_cut(out, size);
}

__attribute__((format(printf, 3, 0))) static void format_text(char *out, size_t size,
                                                              const char *format, va_list args) {
    int length = vsnprintf(out, size, format, args);
    LAM_ASSERT(length >= 0);
    if ((size_t)length >= size)
        mark_cut(out, size);
}

__attribute__((format(printf, 5, 0))) static void fill(struct lam_error *err, const char *file,
                                                       int line, enum lam_code code,
                                                       const char *format, va_list args) {
    char text[sizeof err->message];
    format_text(text, sizeof text, format, args);
    memset(err, 0, sizeof *err);
    err->code = code;
    err->file = file;
    err->line = line;
    memcpy(err->message, text, strlen(text) + 1);
}

enum lam_code error_set(struct lam_error *err, const char *file, int line, enum lam_code code,
                        const char *format, ...) {
    LAM_ASSERT(code != LAM_OK);
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    fill(err, file, line, code, format, args);
    va_end(args);
    return code;
}

enum lam_code error_set_text(struct lam_error *err, const char *file, int line, enum lam_code code,
                             const char *text) {
    LAM_ASSERT(code != LAM_OK);
    if (!err)
        return code;
    err->code = code;
    memset(err->sqlstate, 0, sizeof err->sqlstate);
    err->os_errno = 0;
    err->pos = 0;
    err->hint[0] = '\0';
    err->file = file;
    err->line = line;
    copy_text(err->message, sizeof err->message, text);
    return code;
}

enum lam_code error_set_sql(struct lam_error *err, const char *file, int line, const char *sqlstate,
                            uint32_t pos, const char *format, ...) {
    LAM_ASSERT(strlen(sqlstate) == 5);
    if (!err)
        return LAM_SQL;
    char state[sizeof err->sqlstate];
    memcpy(state, sqlstate, sizeof state);
    va_list args;
    va_start(args, format);
    fill(err, file, line, LAM_SQL, format, args);
    va_end(args);
    memcpy(err->sqlstate, state, sizeof state);
    err->pos = pos;
    return LAM_SQL;
}

enum lam_code error_hint(struct lam_error *err, enum lam_code code, const char *format, ...) {
    if (!err)
        return code;
    char text[sizeof err->hint];
    va_list args;
    va_start(args, format);
    format_text(text, sizeof text, format, args);
    va_end(args);
    memcpy(err->hint, text, sizeof text);
    return err->code;
}

enum lam_code error_context(struct lam_error *err, enum lam_code code, const char *format, ...) {
    if (!err)
        return code;
    char text[2 * sizeof err->message + 2];
    va_list args;
    va_start(args, format);
    format_text(text, sizeof err->message, format, args);
    va_end(args);
    size_t at = strlen(text);
    snprintf(text + at, sizeof text - at, ": %s", err->message);
    copy_text(err->message, sizeof err->message, text);
    return code;
}

bool error_is_out_of_files(const struct lam_error *err) {
    return err->os_errno == EMFILE || err->os_errno == ENFILE;
}
