/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunked memory with reservations. */
#include "lsm/pool.h"

#include "base/assert.h"

#define POOL_FIRST_BYTES (1u << 10)

struct pool_chunk {
    struct pool_chunk *next;
    size_t bytes; /* of all of it */
    uint8_t data[];
};
/* What is allocated besides room of a size. */
#define POOL_BESIDES (sizeof(struct pool_chunk) + POOL_LINE + 7)
/* Together a huge page. */
#define POOL_LARGE_BYTES (MEM_HUGE_BYTES - POOL_BESIDES)

void pool_fini(struct pool *p) {
    struct pool_chunk *c = p->chunks;
    while (c) {
        struct pool_chunk *next = c->next;
        if (c->bytes < MEM_HUGE_BYTES)
            mem_free(c);
        else
            mem_free_huge(c, c->bytes);
        c = next;
    }
    memset(p, 0, sizeof *p);
}

static size_t room_of(const struct pool *p, int i) {
    return (size_t)(p->rooms[i].end - p->rooms[i].at);
}

/* One of the rooms holds all of it, so what does not fit the other does. */
enum lam_code pool_reserve(struct pool *p, size_t bytes, struct lam_error *err) {
    if (room_of(p, 0) >= bytes || room_of(p, 1) >= bytes)
        return LAM_OK;
    size_t want = p->next_bytes ? p->next_bytes : POOL_FIRST_BYTES;
    size_t size = want > bytes ? want : bytes;
    size_t total;
    if (!size_add(size, POOL_BESIDES, &total))
        return mem_fail(err, size);
    size = (size + 7) & ~(size_t)7;
    struct pool_chunk *c = total < MEM_HUGE_BYTES ? mem_alloc(total) : mem_alloc_huge(total);
    if (!c)
        return mem_fail(err, total);
    c->next = p->chunks;
    c->bytes = total;
    p->chunks = c;
    if (room_of(p, 1) > room_of(p, 0))
        p->rooms[0] = p->rooms[1];
    /* Where the heap put the chunk must not tell how much fits: runs of a test would differ. */
    uint8_t *end = c->data + size + POOL_LINE;
    end -= (uintptr_t)end % POOL_LINE;
    p->rooms[1] = (struct pool_room){end - size, end};
    p->bytes += total;
    /* Not large before there is much: a chunk counts for all it has as soon as it is made. */
    size_t next = want < POOL_LARGE_BYTES / 2 ? want * 2 : POOL_LARGE_BYTES;
    p->next_bytes = next <= p->bytes / 4 ? next : want;
    return LAM_OK;
}

/* Of the room that has `size` bytes. */
static struct pool_room *room_for(struct pool *p, size_t size) {
    struct pool_room *r = &p->rooms[room_of(p, 0) < size];
    LAM_ASSERT((size_t)(r->end - r->at) >= size);
    return r;
}

void *pool_take(struct pool *p, size_t bytes) {
    size_t size = (bytes + 7) & ~(size_t)7;
    struct pool_room *r = room_for(p, size);
    void *out = r->at;
    r->at += size;
    return out;
}

void *pool_take_lines(struct pool *p, size_t lines) {
    struct pool_room *r = room_for(p, lines * POOL_LINE);
    r->end -= lines * POOL_LINE;
    return r->end;
}
