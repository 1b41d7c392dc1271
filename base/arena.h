/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory freed all at once: a statement, a version edit, a memtable. One thread at a time. All-zero
 * is the empty arena (blocks of ARENA_BLOCK_BYTES). Pointers live until reset or fini. */
#ifndef LAMINA_BASE_ARENA_H
#define LAMINA_BASE_ARENA_H

#include "base/bytes.h"
#include "base/error.h"

#define ARENA_BLOCK_BYTES (32u << 10)

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first; owned */
    uint8_t *at;                /* free part of the newest block */
    uint8_t *end;
    size_t bytes; /* taken from the heap */
};

void arena_fini(struct arena *a);
/* Forgets all content; keeps one block. */
void arena_reset(struct arena *a);
/* `size` bytes aligned to 16, zeroed; NULL if there is no memory. */
void *arena_alloc(struct arena *a, size_t size);
/* `count * size`, overflow-checked. */
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* Copies; NULL if there is no memory. arena_strdup_slice adds a NUL. */
void *arena_dup(struct arena *a, const void *data, size_t size);
char *arena_strdup(struct arena *a, const char *text);
char *arena_strdup_slice(struct arena *a, struct lam_slice s);
/* printf into the arena; NULL if there is no memory. */
char *arena_format(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
