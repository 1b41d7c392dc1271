/* SPDX-License-Identifier: Apache-2.0
 *
 * What is built on the three heap calls of env_posix_mem.c. */
#include "base/mem.h"

#include "base/assert.h"

/* A first allocation of this many bytes spares small arrays several doublings. */
#define GROW_MIN_BYTES 64

void *mem_calloc(size_t count, size_t size) {
    size_t bytes;
    if (!size_mul(count, size, &bytes))
        return NULL;
    void *p = mem_alloc(bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *mem_dup(const void *data, size_t size) {
    void *p = mem_alloc(size ? size : 1);
    if (p && size)
        memcpy(p, data, size);
    return p;
}

char *mem_strdup(const char *text) {
    return (char *)mem_dup(text, strlen(text) + 1);
}

enum lam_code mem_fail(struct lam_error *err, size_t size) {
    return ERR(err, LAM_NO_MEMORY, "out of memory allocating %zu bytes", size);
}

enum lam_code mem_grow(void **items, size_t *capacity, size_t need, size_t elem,
                       struct lam_error *err) {
    LAM_ASSERT(elem > 0);
    DEBUG_ASSERT((*items != NULL) == (*capacity > 0));
    if (need <= *capacity)
        return LAM_OK;
    size_t wanted, bytes;
    if (!size_mul(*capacity, 2, &wanted) || wanted < need)
        wanted = need;
    if (wanted < GROW_MIN_BYTES / elem)
        wanted = GROW_MIN_BYTES / elem;
    if (!size_mul(wanted, elem, &bytes))
        return mem_fail(err, SIZE_MAX);
    void *grown = mem_realloc(*items, bytes);
    if (!grown)
        return mem_fail(err, bytes);
    *items = grown;
    *capacity = wanted;
    return LAM_OK;
}
