/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap: the C library's, or the allocator an application set before it used the library. */
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lamina/env.h"

static void *libc_resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size > 0)
        return realloc(ptr, size);
    free(ptr);
    return NULL;
}

/* Written by lam_set_allocator only, which comes before every other call; read by all threads. */
static struct lam_allocator allocator = {libc_resize, NULL};

void lam_set_allocator(const struct lam_allocator *a) {
    if (a && a->resize)
        allocator = *a;
    else
        allocator = (struct lam_allocator){libc_resize, NULL};
}

void *mem_alloc(size_t size) {
    return size ? allocator.resize(allocator.arg, NULL, size) : NULL;
}

void *mem_alloc_huge(size_t size) {
    if (allocator.resize != libc_resize || size > SIZE_MAX - MEM_HUGE_BYTES)
        return mem_alloc(size);
    size_t whole = (size + MEM_HUGE_BYTES - 1) & ~(MEM_HUGE_BYTES - 1);
    void *p = whole ? aligned_alloc(MEM_HUGE_BYTES, whole) : NULL;
#ifdef MADV_HUGEPAGE
    if (p)
        (void)madvise(p, whole, MADV_HUGEPAGE); /* a wish: without it there are small pages */
#endif
    return p;
}

void *mem_realloc(void *ptr, size_t size) {
    LAM_ASSERT(size > 0);
    return allocator.resize(allocator.arg, ptr, size);
}

void mem_free(void *ptr) {
    if (ptr)
        allocator.resize(allocator.arg, ptr, 0);
}
