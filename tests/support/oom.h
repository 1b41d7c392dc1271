/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator that fails on order: for sweeps over every allocation of an operation. One thread.
 */
#ifndef LAMINA_TESTS_SUPPORT_OOM_H
#define LAMINA_TESTS_SUPPORT_OOM_H

#include <stdbool.h>
#include <stdlib.h>

#include "lamina/env.h"

static struct {
    size_t nth; /* fails this allocation from arming on; 0: none */
    bool once;  /* and no other; else all after it, too */
    size_t seen;
} oom;

static inline void *oom_resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    oom.seen++;
    bool fails = oom.once ? oom.seen == oom.nth : oom.nth && oom.seen >= oom.nth;
    return fails ? NULL : realloc(ptr, size);
}

/* From now on the `nth` allocation and those after it fail; 0 restores. Call before any use of the
 * heap or keep the allocator set: its memory is the C library's either way. */
static inline void oom_arm(size_t nth) {
    oom.nth = nth;
    oom.once = false;
    oom.seen = 0;
    lam_set_allocator(nth ? &(struct lam_allocator){oom_resize, NULL} : NULL);
}

/* The same for the `nth` allocation alone. */
static inline void oom_arm_once(size_t nth) {
    oom_arm(nth);
    oom.once = true;
}

/* Whether the failure came about; disarms. */
static inline bool oom_fired(void) {
    bool fired = oom.nth && oom.seen >= oom.nth;
    oom_arm(0);
    return fired;
}

#endif
