/* SPDX-License-Identifier: Apache-2.0
 *
 * Between sweep.c and sweep_case.c. */
#ifndef LAMINA_TESTS_FAULT_SWEEP_IMPL_H
#define LAMINA_TESTS_FAULT_SWEEP_IMPL_H

#include "base/assert.h"
#include "tests/fault/sweep.h"

/* Runs the case in this process, which is of no use for anything else after it. `show`: says what
 * is wrong. */
bool case_holds(struct sweep *s, const struct sweep_case *c, bool show);
/* Lets the `at`th failure come, the next one and so on, until the step succeeds or the `end`th has
 * come; `at` becomes the last that came. */
bool ladder_holds(struct sweep *s, struct sweep_case *c, uint64_t *at, uint64_t end, bool show);

#endif
