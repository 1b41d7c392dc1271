/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting slabs into pieces. */
#include "lsm/slab.h"

#include "base/assert.h"
#include "base/mem.h"

#define HEADER_BYTES 64u

struct free_piece {
    struct free_piece *next;
};
struct slab {
    struct slabs *owner;
    struct slab *next; /* in the owner's list, while it has free pieces */
    struct slab *prev;
    struct free_piece *free; /* given back */
    uint32_t piece;          /* bytes of each */
    uint32_t cut;            /* pieces cut so far; what lies behind was never used */
    uint32_t used;           /* pieces in use */
};
_Static_assert(sizeof(struct slab) <= HEADER_BYTES, "pieces stand on cache lines");

static inline struct slabs_lists *lists(struct slabs *s) REQUIRES(&s->mu) {
    return &s->guarded_;
}

void slabs_init(struct slabs *s) {
    memset(s, 0, sizeof *s);
    mutex_init(&s->mu, RANK_LEAF);
}

void slabs_fini(struct slabs *s) {
    mutex_lock(&s->mu);
    LAM_ASSERT(lists(s)->count == (lists(s)->spare != NULL));
    mem_free_huge(lists(s)->spare, MEM_HUGE_BYTES);
    mutex_unlock(&s->mu);
    mutex_fini(&s->mu);
}

size_t slabs_count(struct slabs *s) {
    mutex_lock(&s->mu);
    size_t count = lists(s)->count;
    mutex_unlock(&s->mu);
    return count;
}

static struct slab **list_of(struct slabs_lists *l, uint32_t piece) {
    return &l->open[(piece - SLAB_LEAST) / SLAB_STEP];
}

static uint32_t pieces_of(const struct slab *slab) {
    return (uint32_t)((MEM_HUGE_BYTES - HEADER_BYTES) / slab->piece);
}

static void link_slab(struct slabs_lists *l, struct slab *slab) {
    struct slab **first = list_of(l, slab->piece);
    slab->prev = NULL;
    slab->next = *first;
    if (*first)
        (*first)->prev = slab;
    *first = slab;
}

static void unlink_slab(struct slabs_lists *l, struct slab *slab) {
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        *list_of(l, slab->piece) = slab->next;
    if (slab->next)
        slab->next->prev = slab->prev;
}

static struct slab *open_slab(struct slabs *s, struct slabs_lists *l, size_t most, uint32_t piece) {
    struct slab *slab = l->spare;
    if (!slab && l->count < most && (slab = mem_alloc_huge(MEM_HUGE_BYTES)))
        l->count++;
    if (!slab)
        return NULL;
    l->spare = NULL;
    *slab = (struct slab){.owner = s, .piece = piece};
    link_slab(l, slab);
    return slab;
}

static void *take_piece(struct slabs_lists *l, struct slab *slab) {
    struct free_piece *p = slab->free;
    if (p)
        slab->free = p->next;
    else
        p = (struct free_piece *)((uint8_t *)slab + HEADER_BYTES +
                                  (size_t)slab->piece * slab->cut++);
    if (++slab->used == pieces_of(slab))
        unlink_slab(l, slab);
    return p;
}

void *slabs_take(struct slabs *s, size_t most, size_t *size, struct slab **slab_out) {
    if (!slab_has_class(*size))
        return NULL;
    uint32_t piece = (uint32_t)((*size + SLAB_STEP - 1) / SLAB_STEP * SLAB_STEP);
    void *out = NULL;
    mutex_lock(&s->mu);
    struct slabs_lists *l = lists(s);
    struct slab *slab = *list_of(l, piece);
    if (!slab)
        slab = open_slab(s, l, most, piece);
    if (slab) {
        out = take_piece(l, slab);
        *size = piece;
        *slab_out = slab;
    }
    mutex_unlock(&s->mu);
    return out;
}

void slab_give_back(struct slab *slab, void *piece) {
    struct slabs *s = slab->owner;
    mutex_lock(&s->mu);
    struct slabs_lists *l = lists(s);
    LAM_ASSERT(slab->used > 0);
    if (slab->used == pieces_of(slab))
        link_slab(l, slab);
    struct free_piece *p = piece;
    p->next = slab->free;
    slab->free = p;
    struct slab *gone = NULL;
    if (--slab->used == 0) {
        unlink_slab(l, slab);
        gone = l->spare;
        l->count -= gone != NULL;
        l->spare = slab;
    }
    mutex_unlock(&s->mu);
    mem_free_huge(gone, MEM_HUGE_BYTES);
}
