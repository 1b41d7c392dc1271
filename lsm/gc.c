/* SPDX-License-Identifier: Apache-2.0
 *
 * Queue of files to remove. */
#include "lsm/gc.h"

#include "lsm/filename.h"
#include "lsm/version.h"

static inline struct gc_queue *gc_queue(struct gc *g) REQUIRES(&g->mu) {
    return &g->guarded_;
}

void gc_init(struct gc *g, lam_env *env, const char *dir) {
    memset(g, 0, sizeof *g);
    g->env = env;
    g->dir = dir;
    mutex_init(&g->mu, RANK_LEAF);
}

static struct file_meta *take_all(struct gc *g) {
    mutex_lock(&g->mu);
    struct file_meta *head = gc_queue(g)->head;
    gc_queue(g)->head = NULL;
    atomic_store(&g->some, false);
    mutex_unlock(&g->mu);
    return head;
}

void gc_fini(struct gc *g) {
    for (struct file_meta *next, *f = take_all(g); f; f = next) {
        next = f->next;
        mem_free(f);
    }
    mutex_fini(&g->mu);
}

void gc_push(struct gc *g, struct file_meta *file) {
    mutex_lock(&g->mu);
    file->next = gc_queue(g)->head;
    gc_queue(g)->head = file;
    atomic_store(&g->some, true);
    mutex_unlock(&g->mu);
}

void gc_drain(struct gc *g) {
    if (!atomic_load(&g->some))
        return;
    for (struct file_meta *next, *f = take_all(g); f; f = next) {
        next = f->next;
        filename_remove(g->env, g->dir, FILE_SST, f->number);
        mem_free(f);
    }
}
