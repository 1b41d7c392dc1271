/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine protocol: one JSON object a line in, JSON lines out.
 *
 *   in   {"id":"s1","sql":"SELECT 1; SELECT a FROM t WHERE k = $1","params":[7],"conn":"c1"}
 *   out  [1]                                      a row: one array
 *        {"ok":true,"rows":1}                     end of a statement with result columns
 *        {"ok":true,"changes":3}                  end of any other
 *        {"error":"..","code":"42P01","pos":7,"hint":".."}   the rest of "sql" is not run
 *        {"sync":"s1"}                            flushed; ends the frame
 *
 * "conn" names a session that is kept; "user:NAME" opens it as that user with the role that
 * system.users gives him, looked up for each frame. "pos" counts characters of the whole "sql" from
 * 1. Members beside these four are passed over; of two of one name the last counts. A line that is
 * not such an object is answered by an error of code 08P01 and a sync. */
#ifndef LAMINA_SHELL_BATCH_H
#define LAMINA_SHELL_BATCH_H

#include <stdio.h>

#include "shell/options.h"

/* Serves frames until the end of `in`. False if the streams or a session failed; errors of
 * statements are answers. */
bool batch_run(lam_db *db, const struct shell_options *options, FILE *in);

#endif
