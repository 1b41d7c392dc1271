/* SPDX-License-Identifier: Apache-2.0
 *
 * Raising and passing on errors. A fallible function returns `enum lam_code` and takes an optional
 * `struct lam_error *` last. Two macros propagate; no other macro hides control flow. */
#ifndef LAMINA_BASE_ERROR_H
#define LAMINA_BASE_ERROR_H

#include "lamina/error.h"

/* Fills `err` (may be NULL) and returns `code`. Text that does not fit ends in "...". */
enum lam_code error_set(struct lam_error *err, const char *file, int line, enum lam_code code,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same with fixed text and little work: for answers that are no surprise. */
enum lam_code error_set_text(struct lam_error *err, const char *file, int line, enum lam_code code,
                             const char *text);
/* The same as error_set with an SQLSTATE and a 1-based character position (0: none). */
enum lam_code error_set_sql(struct lam_error *err, const char *file, int line, const char *sqlstate,
                            uint32_t pos, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* Adds a hint to an error just raised; returns err->code, or `code` if err is NULL. */
enum lam_code error_hint(struct lam_error *err, enum lam_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "<context>: " before the message of an error just raised; returns `code`. */
enum lam_code error_context(struct lam_error *err, enum lam_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Hands on what an inner call, which returned `code`, said in `cause`; returns `code`. LAM_OK
 * hands on nothing, so that an error of no importance leaves `err` as it was. */
static inline enum lam_code error_pass(struct lam_error *err, enum lam_code code,
                                       const struct lam_error *cause) {
    if (code != LAM_OK && err)
        *err = *cause;
    return code;
}

/* The process or the system has no descriptor left. */
bool error_is_out_of_files(const struct lam_error *err);

/* `code`, whatever the setter gave. */
static inline enum lam_code error_is(enum lam_code code, enum lam_code set) {
    (void)set;
    return code;
}

/* The value is the code itself, so that the compiler knows that it is no LAM_OK.
 * Raise: `return ERR(err, LAM_CORRUPT, "%s: ...", path);` */
#define ERR(err, code, ...)                                                                        \
    error_is((code), error_set((err), __FILE__, __LINE__, (code), __VA_ARGS__))
#define ERR_TEXT(err, code, text)                                                                  \
    error_is((code), error_set_text((err), __FILE__, __LINE__, (code), (text)))
/* Raise a statement error (LAM_SQL): `return ERR_SQL(err, "42P01", pos, "table ...");` */
#define ERR_SQL(err, sqlstate, pos, ...)                                                           \
    error_is(LAM_SQL, error_set_sql((err), __FILE__, __LINE__, (sqlstate), (pos), __VA_ARGS__))

/* Returns from the calling function unless `expr` is LAM_OK. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum lam_code try_code_ = (expr);                                                          \
        if (try_code_ != LAM_OK)                                                                   \
            return try_code_;                                                                      \
    } while (0)

/* Sets local `rc` and jumps to label `out` unless `expr` is LAM_OK. */
#define TRY_GOTO(expr)                                                                             \
    do {                                                                                           \
        rc = (expr);                                                                               \
        if (rc != LAM_OK)                                                                          \
            goto out;                                                                              \
    } while (0)

/* Before a declaration: `fini(&variable)` runs when the variable's scope is left, however that is.
 * What a function owns and always gives back is declared so; it then returns from anywhere. */
#define OWNED(fini) __attribute__((cleanup(fini)))
/* Defines free_at for OWNED pointers of a type whose `free` takes NULL. */
#define OWNED_POINTER(type, free)                                                                  \
    static inline void free##_at(type **at) {                                                      \
        free(*at);                                                                                 \
    }

/* Drops the result of a fallible call on purpose; `reason` is for the reader. */
#define IGNORE(expr, reason)                                                                       \
    do {                                                                                           \
        enum lam_code ignored_ = (expr);                                                           \
        (void)ignored_;                                                                            \
        (void)(reason);                                                                            \
    } while (0)

#define MUST_CHECK LAM_MUST_CHECK

#endif
