/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of cached blocks. Blocks are read at random, and in small pages each read would wait for
 * the translation of one or two addresses besides the bytes. So blocks of usual sizes are pieces of
 * slabs, a huge page each where the system has them (base/mem.h). All pieces of a slab have one
 * size; of those without a piece in use one is kept. Any thread. */
#ifndef LAMINA_LSM_SLAB_H
#define LAMINA_LSM_SLAB_H

#include "base/thread.h"

#define SLAB_STEP    1024u /* sizes of pieces are multiples */
#define SLAB_LEAST   (4u << 10)
#define SLAB_MOST    (16u << 10)
#define SLAB_CLASSES ((SLAB_MOST - SLAB_LEAST) / SLAB_STEP + 1)

struct slab;
struct slabs {
    struct mutex mu; /* RANK_LEAF */
    struct slabs_lists {
        struct slab *open[SLAB_CLASSES]; /* those with free pieces; doubly linked */
        size_t count;                    /* slabs, the spare one among them */
        struct slab *spare; /* an empty one; else a lone piece would make and free one */
    } guarded_;
};

void slabs_init(struct slabs *s);
/* All pieces must be back. */
void slabs_fini(struct slabs *s);
/* Whether pieces of such a size are cut. */
static inline bool slab_has_class(size_t size) {
    return size > SLAB_LEAST - SLAB_STEP && size <= SLAB_MOST;
}
/* A piece of at least `size` bytes, whose size is put there, and its slab; NULL if there is no
 * memory, `most` slabs are there and none has room, or the size is not a usual one. */
void *slabs_take(struct slabs *s, size_t most, size_t *size, struct slab **slab_out);
void slab_give_back(struct slab *slab, void *piece);
/* Slabs, the spare one among them. */
size_t slabs_count(struct slabs *s);

#endif
