/* SPDX-License-Identifier: Apache-2.0
 *
 * What the checks of an open database share. */
#ifndef LAMINA_TESTS_SIM_CHECK_SQL_H
#define LAMINA_TESTS_SIM_CHECK_SQL_H

#include "tests/sim/world_sql.h"

/* SELECT of all columns and _seq, without condition. */
void check_put_select(struct wsql_text *sql, const struct msql_table *t);
/* The row at hand of such a query. Owned. */
struct msql_row *check_row_of(lam_stmt *stmt, const struct msql_table *t);
/* Whose session reads the rows of an owner. */
lam_session *check_session(const struct wsql_view *v, const struct msql_table *t, unsigned owner);
/* Runs a query that must succeed. */
bool check_query(struct wsql_view *v, lam_session *s, const char *sql, lam_row_fn fn, void *arg);

#endif
