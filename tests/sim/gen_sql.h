/* SPDX-License-Identifier: Apache-2.0
 *
 * How statements are made: rows in gen_sql.c, everything else in gen_sql_ddl.c. */
#ifndef LAMINA_TESTS_SIM_GEN_SQL_H
#define LAMINA_TESTS_SIM_GEN_SQL_H

#include "tests/sim/world_sql.h"

struct msql_value gen_value(struct wsql *w, const struct msql_type *type);
/* A table of one of these kinds (bits by enum msql_kind), or NULL. */
struct msql_table *gen_table(struct wsql *w, const struct msql_state *s, unsigned kinds);
void gen_refuse(struct wsql_step *step);
bool gen_rows(struct wsql *w, enum wsql_kind kind, struct wsql_step *step);
bool gen_execute_as(struct wsql *w, struct wsql_step *step);

#endif
