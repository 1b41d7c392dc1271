/* SPDX-License-Identifier: Apache-2.0
 *
 * Random sorted entries and a naive search over them: the model that blocks and SSTs are compared
 * with. */
#ifndef LAMINA_TESTS_LSM_ENTRIES_H
#define LAMINA_TESTS_LSM_ENTRIES_H

#include "base/arena.h"
#include "base/rng.h"
#include "lsm/entry.h"
#include "tests/support/test.h"

struct model {
    struct entry *items; /* in entry order; in the arena */
    size_t count;
    struct arena arena;
};
struct model_options {
    size_t count;       /* entries asked for; duplicates are dropped */
    size_t key_max;     /* bytes of the random part */
    const char *prefix; /* begins each key */
    unsigned alphabet;  /* distinct bytes in the random part: few make shared prefixes */
    size_t value_max;   /* bytes */
    uint64_t sequence_max;
    unsigned versions; /* up to so many versions of a key */
};

static inline int model_cmp(const void *a, const void *b) {
    const struct entry *x = a;
    const struct entry *y = b;
    return entry_cmp(x->key, x->sequence, y->key, y->sequence);
}

static inline struct lam_slice model_key(struct rng *rng, struct arena *arena,
                                         const struct model_options *o) {
    size_t prefix = strlen(o->prefix);
    size_t size = prefix + 1 + rng_below(rng, o->key_max);
    uint8_t *key = arena_alloc(arena, size);
    memcpy(key, o->prefix, prefix);
    for (size_t i = prefix; i < size; i++)
        key[i] = (uint8_t)(rng_below(rng, o->alphabet) * (255 / o->alphabet));
    return lam_slice_of(key, size);
}

static inline struct lam_slice model_value(struct rng *rng, struct arena *arena, size_t max) {
    size_t size = rng_below(rng, max + 1);
    uint8_t *value = arena_alloc(arena, size + 1);
    uint8_t fill = (uint8_t)rng_next(rng);
    bool random = rng_below(rng, 2);
    for (size_t i = 0; i < size; i++)
        value[i] = random ? (uint8_t)rng_next(rng) : fill;
    return lam_slice_of(value, size);
}

static inline void model_make(struct model *m, struct rng *rng, const struct model_options *o) {
    memset(m, 0, sizeof *m);
    struct entry *all = arena_calloc(&m->arena, o->count, sizeof *all);
    for (size_t i = 0; i < o->count;) {
        struct lam_slice key = model_key(rng, &m->arena, o);
        for (uint64_t n = 1 + rng_below(rng, o->versions); n > 0 && i < o->count; n--) {
            struct entry *e = &all[i++];
            e->key = key;
            e->sequence = rng_below(rng, o->sequence_max + 1);
            e->kind = rng_below(rng, 5) == 0 ? ENTRY_DELETE : ENTRY_PUT;
            if (e->kind == ENTRY_PUT)
                e->value = model_value(rng, &m->arena, o->value_max);
        }
    }
    qsort(all, o->count, sizeof *all, model_cmp);
    m->items = all;
    for (size_t i = 0; i < o->count; i++)
        if (m->count == 0 || model_cmp(&all[m->count - 1], &all[i]) != 0)
            all[m->count++] = all[i];
}

static inline void model_fini(struct model *m) {
    arena_fini(&m->arena);
}

/* Index of the first entry at or after the place; count if there is none. */
static inline size_t model_lower_bound(const struct model *m, struct lam_slice key,
                                       uint64_t sequence) {
    size_t i = 0;
    while (i < m->count && entry_cmp(m->items[i].key, m->items[i].sequence, key, sequence) < 0)
        i++;
    return i;
}

/* Newest version of a key at a sequence, or NULL. */
static inline const struct entry *model_get(const struct model *m, struct lam_slice key,
                                            uint64_t sequence) {
    size_t i = model_lower_bound(m, key, sequence);
    return i < m->count && slice_eq(m->items[i].key, key) ? &m->items[i] : NULL;
}

#endif
