/* SPDX-License-Identifier: Apache-2.0
 *
 * Result codes and the optional, caller-owned explanation of a failure. */
#ifndef LAMINA_ERROR_H
#define LAMINA_ERROR_H

#include "lamina/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A code exists only where some caller acts differently on it.  X(name, number, text) */
#define LAM_CODES(X)                                                                               \
    X(OK, 0, "ok")                                                                                 \
    X(NOT_FOUND, 1, "not found")                                                                   \
    X(EXISTS, 2, "already exists")                                                                 \
    X(INVALID, 3, "invalid argument")                                                              \
    X(CORRUPT, 4, "corrupt data")                                                                  \
    X(IO, 5, "input/output error")                                                                 \
    X(NO_SPACE, 6, "no space left")                                                                \
    X(NO_MEMORY, 7, "out of memory")                                                               \
    X(BUSY, 8, "busy")                                                                             \
    X(CONFLICT, 9, "conflict")                                                                     \
    X(LIMIT, 10, "limit exceeded")                                                                 \
    X(UNSUPPORTED, 11, "not supported")                                                            \
    X(READ_ONLY, 12, "read only")                                                                  \
    X(DENIED, 13, "permission denied")                                                             \
    X(UNKNOWN_OUTCOME, 14, "outcome unknown")                                                      \
    X(SQL, 15, "statement error")

enum lam_code {
#define LAM_CODE_ENUM(name, number, text) LAM_##name = number,
    LAM_CODES(LAM_CODE_ENUM)
#undef LAM_CODE_ENUM
};

/* What went wrong. Owned by the caller, filled by the failing call, needs neither initialisation
 * (it is 1.3 KB that a loop need not clear) nor release. All-zero is the empty error. A successful
 * call leaves it as it was. Every function that takes one accepts NULL. */
struct lam_error {
    enum lam_code code;
    char sqlstate[6];   /* five characters as PostgreSQL has them; empty outside SQL */
    int os_errno;       /* errno of the failed system call, or 0 */
    uint32_t pos;       /* SQL: 1-based character position in the statement; 0: none */
    char message[1024]; /* what was attempted, on what, what was expected and found */
    char hint[256];     /* how to mend it; may be empty */
    const char *file;   /* source line that raised it; static */
    int line;
};

/* Short English text of a code; static. */
LAM_API const char *lam_code_text(enum lam_code code);
/* Name of a code, such as "LAM_BUSY"; static. */
LAM_API const char *lam_code_name(enum lam_code code);

#ifdef __cplusplus
}
#endif
#endif
