/* SPDX-License-Identifier: Apache-2.0
 *
 * Notices on their way to the embedder's callbacks (lamina/event.h): a bounded queue, filled under
 * any lock, emptied by one thread at a time with no lock held. Without callbacks nothing is kept
 * and every call returns at once. */
#ifndef LAMINA_LSM_NOTIFY_H
#define LAMINA_LSM_NOTIFY_H

#include "base/env.h"
#include "base/thread.h"
#include "lamina/options.h"

struct notice;
struct notify {
    lam_env *env;       /* borrowed */
    lam_event_fn event; /* may be NULL */
    lam_log_fn log;     /* may be NULL */
    void *event_arg;
    void *log_arg;
    bool manual;          /* no task: who did the work delivers */
    _Atomic bool waiting; /* something is queued; written under `mu` */
    struct mutex mu;      /* RANK_LEAF */
    struct notify_queue {
        struct notice *ring; /* LAM_EVENT_QUEUE of them; NULL: no callbacks; owned */
        uint32_t first;
        uint32_t count;
        uint64_t number;    /* of the last notice */
        uint64_t lost;      /* for want of room */
        bool live;          /* open has ended: tasks may be queued */
        bool scheduled;     /* a task will come, or runs */
        uint64_t deliverer; /* thread_self of who delivers; 0: nobody */
    } guarded_;
};

MUST_CHECK enum lam_code notify_init(struct notify *n, const struct lam_options *options,
                                     struct lam_error *err);
/* Lets go of what is queued; no task is queued any more. */
void notify_fini(struct notify *n);
/* Queues a notice; under any lock. The event is copied with its strings; number and time are set
 * here. */
void notify_event(struct notify *n, const struct lam_event *e);
void notify_log(struct notify *n, enum lam_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sees to it that what is queued is delivered by a task; not if manual. No lock held. */
void notify_kick(struct notify *n);
/* The same where a public call ends and no work is under way: delivers, if manual. */
void notify_end_call(struct notify *n);
/* Delivers here and now what is queued, unless another thread is at it. No lock held. */
void notify_deliver(struct notify *n);
/* From here on kicks queue tasks. */
void notify_go_live(struct notify *n);
/* No tasks from here on, and none runs; not from a callback. */
void notify_stop(struct notify *n);
/* Whether the calling thread is in a callback. */
bool notify_is_inside(struct notify *n);
uint64_t notify_lost(struct notify *n);

#endif
