/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap: the C library's, or the allocator an application set before it used the library. */
#include <stdlib.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

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

/* Sizes in whole huge pages; 0: there is no such size. */
static size_t whole_pages(size_t size) {
    return size > SIZE_MAX - 2 * MEM_HUGE_BYTES
               ? 0
               : (size + MEM_HUGE_BYTES - 1) & ~(MEM_HUGE_BYTES - 1);
}

#ifdef __SANITIZE_ADDRESS__
/* Watched like any other memory. */
static void *take_pages(size_t whole) {
    return aligned_alloc(MEM_HUGE_BYTES, whole);
}
static void give_pages(void *at, size_t whole) {
    (void)whole;
    free(at);
}
#else
/* From the system and back to it: the C library would come to keep blocks of this size among its
 * small ones, and their holes with them. */
static void *take_pages(size_t whole) {
    size_t more = whole + MEM_HUGE_BYTES;
    uint8_t *at = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)at & (MEM_HUGE_BYTES - 1);
    if (before > 0)
        (void)munmap(at, before);
    (void)munmap(at + before + whole, MEM_HUGE_BYTES - before);
    return at + before;
}
static void give_pages(void *at, size_t whole) {
    (void)munmap(at, whole);
}
#endif

void *mem_alloc_huge(size_t size) {
    if (allocator.resize != libc_resize)
        return mem_alloc(size);
    size_t whole = whole_pages(size);
    void *p = whole ? take_pages(whole) : NULL;
#ifdef MADV_HUGEPAGE
    if (p)
        (void)madvise(p, whole, MADV_HUGEPAGE); /* a wish: without it there are small pages */
#endif
    return p;
}

void mem_free_huge(void *ptr, size_t size) {
    if (allocator.resize != libc_resize)
        mem_free(ptr);
    else if (ptr)
        give_pages(ptr, whole_pages(size));
}

void *mem_realloc(void *ptr, size_t size) {
    LAM_ASSERT(size > 0);
    return allocator.resize(allocator.arg, ptr, size);
}

void mem_free(void *ptr) {
    if (ptr)
        allocator.resize(allocator.arg, ptr, 0);
}

void mem_trim(void) {
#ifdef __GLIBC__
    if (allocator.resize == libc_resize)
        (void)malloc_trim(0);
#endif
}
