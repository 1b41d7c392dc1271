/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator that fails on order: for sweeps over every allocation of an operation. One thread.
 */
#ifndef LAMINA_TESTS_SUPPORT_OOM_H
#define LAMINA_TESTS_SUPPORT_OOM_H

#include <stdlib.h>

#include "lamina/env.h"

static struct {
    size_t nth; /* fails this allocation from arming on and all after it; 0: none */
    size_t seen;
} oom;

static inline void *oom_resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    oom.seen++;
    return oom.nth && oom.seen >= oom.nth ? NULL : realloc(ptr, size);
}

/* From now on the `nth` allocation and those after it fail; 0 restores. Call before any use of the
 * heap or keep the allocator set: its memory is the C library's either way. */
static inline void oom_arm(size_t nth) {
    oom.nth = nth;
    oom.seen = 0;
    lam_set_allocator(nth ? &(struct lam_allocator){oom_resize, NULL} : NULL);
}

#endif
