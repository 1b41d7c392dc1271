/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator's lsm/tuning.c and flush/tuning.c: sizes are the product's until a test sets
 * others.
 */
#ifndef LAMINA_TESTS_SIM_TUNING_H
#define LAMINA_TESTS_SIM_TUNING_H

#include "flush/tuning.h"
#include "lsm/tuning.h"
#include "tests/sim/choice.h"

/* Databases opened from now on take these sizes; NULL: the product's own. Copied. Not thread-safe.
 */
void sim_tuning_set(const struct db_tuning *tuning);
/* Tiny sizes, drawn anew for each run: a rotation every few hundred bytes up to a few kilobytes. */
void sim_tuning_draw(struct choice *c, struct db_tuning *out);

/* The same of the flush layer: files of a few rows, pages of fewer. */
void sim_flush_tuning_set(const struct flush_tuning *tuning);
void sim_flush_tuning_draw(struct choice *c, struct flush_tuning *out);

#endif
