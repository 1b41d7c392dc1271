/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages on stderr: errors with SQLSTATE, line, column, the line itself and a caret. */
#ifndef LAMINA_SHELL_DIAG_H
#define LAMINA_SHELL_DIAG_H

#include "lamina/lamina.h"

/* Where a text stands in its source. */
struct place {
    const char *name; /* file; NULL: none to name */
    size_t line;      /* from 1 */
    size_t column;    /* characters, from 1 */
};

/* Moves over `size` bytes of text. */
void place_advance(struct place *p, const char *text, size_t size);

/* Prints the error of a statement. `sql` is the text that starts at `place`; `err->pos` counts its
 * characters from 1, 0 points nowhere; `start` is the offset of the failed statement in it. */
void diag_statement(const char *sql, size_t size, size_t start, const struct place *place,
                    const struct lam_error *err);
/* Prints an error that belongs to no text. */
void diag_error(const struct lam_error *err);
/* Its message and hint alone. */
void diag_text(const struct lam_error *err);
/* The error's SQLSTATE; one that fits where the engine gave none. */
const char *diag_sqlstate(const struct lam_error *err);

#endif
