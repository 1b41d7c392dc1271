/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump allocation in blocks. A request too large to share a block gets one of its own, put behind
 * the newest block so that the newest one's free part stays in use. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#define ALIGN 16
/* Larger requests get a block of their own: at most this much of a block is left unused. */
#define LARGE (ARENA_BLOCK_BYTES / 4)

struct arena_block {
    struct arena_block *next; /* older; owned */
    size_t size;              /* of the whole block */
};
_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "content starts aligned");

static void free_blocks(struct arena_block *b) {
    while (b) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
}

void arena_fini(struct arena *a) {
    free_blocks(a->blocks);
    *a = (struct arena){0};
}

void arena_reset(struct arena *a) {
    /* The newest block is a shared one whenever one exists. */
    struct arena_block *keep = a->at ? a->blocks : NULL;
    if (!keep) {
        arena_fini(a);
        return;
    }
    free_blocks(keep->next);
    keep->next = NULL;
    a->at = (uint8_t *)(keep + 1);
    a->end = (uint8_t *)keep + keep->size;
    a->bytes = keep->size;
}

static struct arena_block *new_block(struct arena *a, size_t size) {
    struct arena_block *b = mem_alloc(size);
    if (!b)
        return NULL;
    b->next = NULL;
    b->size = size;
    a->bytes += size;
    return b;
}

static void *alloc_large(struct arena *a, size_t size) {
    struct arena_block *b = new_block(a, sizeof *b + size);
    if (!b)
        return NULL;
    struct arena_block **link = a->at ? &a->blocks->next : &a->blocks;
    b->next = *link;
    *link = b;
    return memset(b + 1, 0, size);
}

static bool start_block(struct arena *a) {
    struct arena_block *b = new_block(a, ARENA_BLOCK_BYTES);
    if (!b)
        return false;
    b->next = a->blocks;
    a->blocks = b;
    a->at = (uint8_t *)(b + 1);
    a->end = (uint8_t *)b + b->size;
    return true;
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = size ? (size + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (rounded > (size_t)(a->end - a->at)) {
        if (rounded > LARGE)
            return alloc_large(a, rounded);
        if (!start_block(a))
            return NULL;
    }
    void *p = a->at;
    a->at += rounded;
    DEBUG_ASSERT(a->at <= a->end);
    return memset(p, 0, rounded);
}

void *arena_calloc(struct arena *a, size_t count, size_t size) {
    size_t bytes;
    return size_mul(count, size, &bytes) ? arena_alloc(a, bytes) : NULL;
}

void *arena_dup(struct arena *a, const void *data, size_t size) {
    void *p = arena_alloc(a, size);
    if (p && size)
        memcpy(p, data, size);
    return p;
}

char *arena_strdup(struct arena *a, const char *text) {
    return arena_dup(a, text, strlen(text) + 1);
}

char *arena_strdup_slice(struct arena *a, struct lam_slice s) {
    size_t size;
    char *p = size_add(s.size, 1, &size) ? arena_alloc(a, size) : NULL;
    if (p && s.size)
        memcpy(p, s.data, s.size);
    return p;
}

char *arena_format(struct arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    LAM_ASSERT(length >= 0);
    char *text = arena_alloc(a, (size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}
