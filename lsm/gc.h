/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that no manifest names and no reader holds any more. Whoever lets go of one last queues it
 * (no I/O, no memory needed); background work and iterator ends remove what is queued. */
#ifndef LAMINA_LSM_GC_H
#define LAMINA_LSM_GC_H

#include "base/env.h"
#include "base/thread.h"

struct file_meta;
struct gc {
    lam_env *env;      /* borrowed */
    const char *dir;   /* borrowed */
    _Atomic bool some; /* the queue is not empty; written with the mutex */
    struct mutex mu;   /* RANK_LEAF */
    struct gc_queue {
        struct file_meta *head; /* linked by next; owned */
    } guarded_;
};

void gc_init(struct gc *g, lam_env *env, const char *dir);
/* Frees what is queued without removing files: the next open does that. */
void gc_fini(struct gc *g);
/* Takes over an unreferenced, obsolete file. */
void gc_push(struct gc *g, struct file_meta *file);
/* Removes the queued files. A failure leaves an orphan for the next open. */
void gc_drain(struct gc *g);

#endif
