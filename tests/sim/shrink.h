/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a failing list of choices short: pieces are left out, numbers made zero or smaller, as
 * long as the same check fails. Each attempt runs in a child process, so that it may abort, hang or
 * leak. Also the files that such lists are kept in. */
#ifndef LAMINA_TESTS_SIM_SHRINK_H
#define LAMINA_TESTS_SIM_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/choice.h"

/* Runs with these choices and names the check that failed; "" if all held. An abort has a name of
 * its own. The name is valid until the next call. */
typedef const char *(*shrink_run)(void *arg, struct choice *choice);

struct shrink_list {
    uint32_t *values; /* owned */
    size_t count;
};
void shrink_list_fini(struct shrink_list *l);

/* Shrinks `list`, for which `run` fails with `check`, in place; at most `attempts` runs. */
void shrink(struct shrink_list *list, const char *check, shrink_run run, void *arg,
            unsigned attempts);
/* Runs in a child; the result as of `run`, or "abort" or "timeout". Static storage. */
const char *shrink_try(const uint32_t *values, size_t count, shrink_run run, void *arg);

/* A file: lines of "# ..." with what it is about, then numbers. False: can't be read or written. */
bool shrink_save(const char *path, const struct shrink_list *list, const char *about);
bool shrink_load(const char *path, struct shrink_list *list_out);

#endif
