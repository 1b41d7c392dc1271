/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's only door to the heap; defined in env_posix_mem.c over the allocator of
 * lam_set_allocator. malloc, free and friends are used nowhere else (lint checks with nm). */
#ifndef LAMINA_BASE_MEM_H
#define LAMINA_BASE_MEM_H

#include "base/error.h"

/* `size` bytes, uninitialised; NULL if there are none (or size is 0). Returns owned. */
void *mem_alloc(size_t size) __attribute__((malloc));
/* `count * size` zero bytes, overflow-checked; NULL if there are none. Returns owned. */
void *mem_calloc(size_t count, size_t size) __attribute__((malloc));
/* What is read at random all over goes into huge pages, where the system has them and the heap is
 * the C library's: `size` bytes as of mem_alloc, aligned to MEM_HUGE_BYTES then. Returns owned; to
 * be freed with mem_free_huge and the same size, and not grown. */
#define MEM_HUGE_BYTES ((size_t)2 << 20)
void *mem_alloc_huge(size_t size) __attribute__((malloc));
void mem_free_huge(void *ptr, size_t size); /* NULL is allowed */
/* Like realloc for a non-zero size: NULL leaves `ptr` as it was. */
void *mem_realloc(void *ptr, size_t size);
/* NULL is allowed. */
void mem_free(void *ptr);
/* For OWNED pointers of any type. */
static inline void mem_free_at(void *at) {
    mem_free(*(void **)at);
}
/* Gives the system back what was freed, where the heap is the C library's. For who has just freed a
 * lot that lay among what stays: it walks the heap. */
void mem_trim(void);
/* Copies of bytes and strings; NULL if there is no memory. Return owned. */
void *mem_dup(const void *data, size_t size);
char *mem_strdup(const char *text);
/* Raises LAM_NO_MEMORY naming the size; returns it. */
enum lam_code mem_fail(struct lam_error *err, size_t size);

/* Makes room for `need` elements of `elem` bytes in the array `*items` with capacity `*capacity`,
 * at least doubling. On failure the array is as it was. */
MUST_CHECK enum lam_code mem_grow(void **items, size_t *capacity, size_t need, size_t elem,
                                  struct lam_error *err);
/* Typed use: `TRY(MEM_GROW(&list->items, &list->cap, list->count + 1, err));` */
#define MEM_GROW(items, capacity, need, err)                                                       \
    mem_grow((void **)(items), (capacity), (need), sizeof(**(items)), (err))

/* Checked size arithmetic: false on overflow. */
static inline bool size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

#endif
