/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of a row as JSON. */
#ifndef LAMINA_SHELL_VALUE_H
#define LAMINA_SHELL_VALUE_H

#include "lamina/lamina.h"
#include "shell/text.h"

/* Appends a column of the current row: integers, DECIMAL and finite floats as numbers, booleans,
 * null; all else, NaN and infinity too, as strings. */
void value_add_json(struct text *out, lam_stmt *stmt, uint32_t column);
/* Appends a JSON string; bytes that are not UTF-8 become U+FFFD. */
void json_add_string(struct text *out, const char *data, size_t size);

static inline bool type_is_number(enum lam_type type) {
    return type >= LAM_TYPE_SMALLINT && type <= LAM_TYPE_DECIMAL;
}

#endif
