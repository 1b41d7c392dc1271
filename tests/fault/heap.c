/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/heap.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lamina/env.h"

#define CALLERS    8
#define LAZY_BYTES 512u

struct block {
    size_t size;
    struct block *prev, *next; /* all live ones, youngest first */
    uint64_t serial;
    uint32_t callers[CALLERS];
    size_t fill[1];
    size_t magic; /* of a live block */
};
_Static_assert(sizeof(struct block) % 16 == 0, "the bytes behind it are aligned");

#define LIVE_MAGIC 0x11fea11fe1a41f3cull
#define DEAD_MAGIC 0xdeadb10cdeadb10cull

static struct {
    _Atomic uint64_t seen, failed, live, live_bytes;
    _Atomic uint64_t first, last; /* allocations that fail; 0: none */
    _Atomic uint8_t fill;
    _Atomic bool lazy;
    heap_observer observer;
    pthread_mutex_t mu; /* of the list */
    struct block *youngest;
    uint64_t serial;
} heap = {.mu = PTHREAD_MUTEX_INITIALIZER};

extern const char __executable_start[];

/* Who allocates, by the chain of frame pointers. */
static void note_callers(uint32_t *callers) {
    void **frame = __builtin_frame_address(0);
    for (unsigned i = 0; i < CALLERS; i++) {
        void **next = frame[0];
        if (next <= frame || (uintptr_t)next % sizeof(void *) ||
            (uintptr_t)next - (uintptr_t)frame > 1u << 20)
            return;
        callers[i] = (uint32_t)((const char *)frame[1] - __executable_start);
        frame = next;
    }
}

static void link_block(struct block *b) {
    pthread_mutex_lock(&heap.mu);
    b->serial = ++heap.serial;
    b->next = heap.youngest;
    if (b->next)
        b->next->prev = b;
    heap.youngest = b;
    pthread_mutex_unlock(&heap.mu);
}

static void unlink_block(struct block *b) {
    pthread_mutex_lock(&heap.mu);
    if (b->prev)
        b->prev->next = b->next;
    else
        heap.youngest = b->next;
    if (b->next)
        b->next->prev = b->prev;
    pthread_mutex_unlock(&heap.mu);
}

uint64_t heap_serial(void) {
    return heap.serial;
}

void heap_print_since(uint64_t serial) {
    for (const struct block *b = heap.youngest; b && b->serial > serial; b = b->next) {
        printf("  %zu bytes, from", b->size);
        for (unsigned i = 0; i < CALLERS && b->callers[i]; i++)
            printf(" 0x%x", b->callers[i]);
        printf("\n");
    }
}

static bool take_turn(void) {
    uint64_t n = atomic_fetch_add(&heap.seen, 1) + 1;
    uint64_t first = atomic_load(&heap.first);
    bool fails = first && n >= first && n <= atomic_load(&heap.last);
    if (fails)
        atomic_fetch_add(&heap.failed, 1);
    /* One call for both, or the compiler makes two, and of each call site two. */
    __asm__ volatile("" : "+r"(fails));
    if (heap.observer)
        heap.observer(fails);
    return !fails;
}

static void fill(void *data, size_t size, uint8_t byte) {
    if (atomic_load(&heap.lazy) && size > 2 * LAZY_BYTES) {
        memset(data, byte, LAZY_BYTES);
        memset((uint8_t *)data + size - LAZY_BYTES, byte, LAZY_BYTES);
    } else {
        memset(data, byte, size);
    }
}

static struct block *block_of(void *ptr) {
    struct block *b = (struct block *)ptr - 1;
    if (b->magic != LIVE_MAGIC)
        abort(); /* freed twice, or never ours */
    return b;
}

static void *block_new(size_t size) {
    struct block *b = malloc(sizeof *b + size);
    if (!b)
        abort();
    *b = (struct block){.size = size, .magic = LIVE_MAGIC};
    note_callers(b->callers);
    link_block(b);
    fill(b + 1, size, atomic_load(&heap.fill));
    atomic_fetch_add(&heap.live, 1);
    atomic_fetch_add(&heap.live_bytes, size);
    return b + 1;
}

static void block_free(void *ptr) {
    struct block *b = block_of(ptr);
    unlink_block(b);
    atomic_fetch_sub(&heap.live, 1);
    atomic_fetch_sub(&heap.live_bytes, b->size);
    fill(ptr, b->size, (uint8_t)~atomic_load(&heap.fill));
    b->magic = DEAD_MAGIC;
    free(b);
}

static void *resize(void *arg, void *ptr, size_t size) {
    (void)arg;
    if (size == 0) {
        if (ptr)
            block_free(ptr);
        return NULL;
    }
    if (!take_turn())
        return NULL;
    void *fresh = block_new(size);
    if (ptr) {
        /* Always moved: a pointer kept over a growth shows. */
        size_t old = block_of(ptr)->size;
        memcpy(fresh, ptr, old < size ? old : size);
        block_free(ptr);
    }
    return fresh;
}

void heap_install(uint8_t fill) {
    /* Large blocks go back to the system: a forked child pays for every page that its parent has.
     */
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    atomic_store(&heap.fill, fill);
    lam_set_allocator(&(struct lam_allocator){resize, NULL});
}

void heap_set_fill(uint8_t fill) {
    atomic_store(&heap.fill, fill);
}

void heap_set_lazy(bool on) {
    atomic_store(&heap.lazy, on);
}

void heap_arm(uint64_t nth, uint64_t count) {
    uint64_t last = count > UINT64_MAX - nth ? UINT64_MAX : nth + count - 1;
    atomic_store(&heap.first, 0);
    atomic_store(&heap.seen, 0);
    atomic_store(&heap.failed, 0);
    atomic_store(&heap.last, last);
    atomic_store(&heap.first, nth);
}

uint64_t heap_seen(void) {
    return atomic_load(&heap.seen);
}
uint64_t heap_failed(void) {
    return atomic_load(&heap.failed);
}
uint64_t heap_live(void) {
    return atomic_load(&heap.live);
}
uint64_t heap_live_bytes(void) {
    return atomic_load(&heap.live_bytes);
}
void heap_observe(heap_observer fn) {
    heap.observer = fn;
}
