/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue of notices. Names and messages are copied into it, so that nothing has to outlive its
 * delivery. */
#include "lsm/notify.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lamina/db.h"

struct notice {
    enum lam_log_level level; /* 0: an event */
    struct lam_event event;
    char partition[LAM_PARTITION_NAME_MAX + 1];
    char text[sizeof((struct lam_error *)0)->message]; /* of the log line, or the failure */
};

static inline struct notify_queue *queue(struct notify *n) REQUIRES(n->mu);
static inline struct notify_queue *queue(struct notify *n) {
    return &n->guarded_;
}

enum lam_code notify_init(struct notify *n, const struct lam_options *options,
                          struct lam_error *err) {
    memset(n, 0, sizeof *n);
    n->env = options->env;
    n->event = options->on_event;
    n->event_arg = options->event_arg;
    n->log = options->on_log;
    n->log_arg = options->log_arg;
    n->manual = options->manual_background;
    mutex_init(&n->mu, RANK_LEAF);
    if (!n->event && !n->log)
        return LAM_OK;
    struct notice *ring = mem_calloc(LAM_EVENT_QUEUE, sizeof *ring);
    if (!ring)
        return mem_fail(err, LAM_EVENT_QUEUE * sizeof *ring);
    mutex_lock(&n->mu);
    queue(n)->ring = ring;
    mutex_unlock(&n->mu);
    return LAM_OK;
}

void notify_fini(struct notify *n) {
    mutex_lock(&n->mu);
    LAM_ASSERT(!queue(n)->scheduled && !queue(n)->deliverer);
    mem_free(queue(n)->ring);
    queue(n)->ring = NULL;
    mutex_unlock(&n->mu);
    mutex_fini(&n->mu);
}

/* The next free place with number and time set; NULL: there is none. */
static struct notice *place_locked(struct notify *n, int64_t now_us) REQUIRES(n->mu) {
    struct notify_queue *q = queue(n);
    LAM_ASSERT(q->ring); /* somebody listens */
    q->number++;
    if (q->count == LAM_EVENT_QUEUE) {
        q->lost++;
        return NULL;
    }
    struct notice *to = &q->ring[(q->first + q->count++) % LAM_EVENT_QUEUE];
    atomic_store_explicit(&n->waiting, true, memory_order_relaxed);
    memset(to, 0, sizeof *to);
    to->event.number = q->number;
    to->event.time_us = now_us;
    return to;
}

void notify_event(struct notify *n, const struct lam_event *e) {
    if (!n->event)
        return;
    int64_t now_us = env_now_us(n->env);
    mutex_lock(&n->mu);
    struct notice *to = place_locked(n, now_us);
    if (to) {
        uint64_t number = to->event.number;
        to->event = *e;
        to->event.number = number;
        to->event.time_us = now_us;
        if (e->partition)
            snprintf(to->partition, sizeof to->partition, "%s", e->partition);
        if (e->message)
            snprintf(to->text, sizeof to->text, "%s", e->message);
    }
    mutex_unlock(&n->mu);
}

void notify_log(struct notify *n, enum lam_log_level level, const char *format, ...) {
    if (!n->log)
        return;
    char text[sizeof((struct notice *)0)->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mutex_lock(&n->mu);
    struct notice *to = place_locked(n, 0);
    if (to) {
        to->level = level;
        memcpy(to->text, text, sizeof text);
    }
    mutex_unlock(&n->mu);
}

/* Takes the oldest notice out and the right to deliver it; `mine`: the caller has the right. */
static bool take(struct notify *n, bool mine, struct notice *out) {
    uint64_t self = thread_self();
    mutex_lock(&n->mu);
    struct notify_queue *q = queue(n);
    bool may = mine || q->deliverer == 0;
    bool taken = may && q->count > 0;
    if (taken) {
        *out = q->ring[q->first];
        q->first = (q->first + 1) % LAM_EVENT_QUEUE;
        q->count--;
        atomic_store_explicit(&n->waiting, q->count > 0, memory_order_relaxed);
    }
    if (may)
        q->deliverer = taken ? self : 0;
    mutex_unlock(&n->mu);
    return taken;
}

static void call(const struct notify *n, struct notice *from) {
    if (from->level) {
        n->log(n->log_arg, from->level, from->text);
        return;
    }
    from->event.partition = from->event.partition ? from->partition : NULL;
    from->event.message = from->text;
    n->event(n->event_arg, &from->event);
}

void notify_deliver(struct notify *n) {
    struct notice notice;
    if (!n->event && !n->log)
        return;
    for (bool mine = false; take(n, mine, &notice); mine = true)
        call(n, &notice);
}

static void deliver_task(void *arg) {
    struct notify *n = arg;
    bool more = true;
    while (more) {
        notify_deliver(n);
        mutex_lock(&n->mu);
        /* Who delivers at the moment takes all that is there. */
        more = queue(n)->count > 0 && queue(n)->deliverer == 0;
        queue(n)->scheduled = more;
        mutex_unlock(&n->mu);
    }
}

void notify_kick(struct notify *n) {
    if (n->manual || !atomic_load_explicit(&n->waiting, memory_order_relaxed))
        return;
    mutex_lock(&n->mu);
    struct notify_queue *q = queue(n);
    bool due = q->live && q->count > 0 && !q->scheduled;
    q->scheduled = q->scheduled || due;
    mutex_unlock(&n->mu);
    if (due && env_submit(n->env, LAM_LANE_EVENT, 0, deliver_task, n, NULL) != LAM_OK)
        deliver_task(n);
}

void notify_end_call(struct notify *n) {
    if (n->manual && atomic_load_explicit(&n->waiting, memory_order_relaxed))
        notify_deliver(n);
    else
        notify_kick(n);
}

void notify_go_live(struct notify *n) {
    mutex_lock(&n->mu);
    queue(n)->live = true;
    mutex_unlock(&n->mu);
}

void notify_stop(struct notify *n) {
    mutex_lock(&n->mu);
    queue(n)->live = false;
    mutex_unlock(&n->mu);
    if (n->event || n->log)
        n->env->ops->cancel(n->env, n);
    mutex_lock(&n->mu);
    queue(n)->scheduled = false;
    mutex_unlock(&n->mu);
}

bool notify_is_inside(struct notify *n) {
    mutex_lock(&n->mu);
    bool inside = queue(n)->deliverer == thread_self();
    mutex_unlock(&n->mu);
    return inside;
}

uint64_t notify_lost(struct notify *n) {
    mutex_lock(&n->mu);
    uint64_t lost = queue(n)->lost;
    mutex_unlock(&n->mu);
    return lost;
}
