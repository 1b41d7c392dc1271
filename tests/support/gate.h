/* SPDX-License-Identifier: Apache-2.0
 *
 * How a fault test tells its result: one JSON line on stdout a gate, which tests/fault/run.py
 * gathers into the table at the end of a tier. */
#ifndef LAMINA_TESTS_SUPPORT_GATE_H
#define LAMINA_TESTS_SUPPORT_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* `reached` of at least `required` trials, `failed` of them failures. Returns whether the gate
 * holds. `seed` 0: none was used. */
bool gate_report(const char *gate, uint64_t required, uint64_t reached, uint64_t failed,
                 uint64_t seed);
/* Prints "replay: <command>", what to type to see a failure again. */
void gate_replay(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends a child of the test without its parent's exit handlers; what it covered counts. */
void gate_child_exit(int status) __attribute__((noreturn));
/* Waits for a child: whether it ended with status 0. A signal that ended it is named if `show`. */
bool gate_child_held(pid_t child, bool show);

#endif
