/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the options of CREATE TABLE. */
#ifndef LAMINA_SQL_TABLE_OPTIONS_H
#define LAMINA_SQL_TABLE_OPTIONS_H

#include <stdio.h>

#include "sql/ast.h"

/* Checks and reads all options; defaults where there are none. Unknown, repeated or misplaced ones
 * and bad values are errors that name the option and what is allowed. Strings live in the arena. */
MUST_CHECK enum lam_code table_options_read(const struct create_table_stmt *ast,
                                            struct arena *arena, enum table_kind *kind_out,
                                            struct table_options *out, struct lam_error *err);
/* USER, SHARED or STREAM by name. */
bool table_kind_from(struct lam_slice text, enum table_kind *out);

#endif
