/* SPDX-License-Identifier: Apache-2.0
 *
 * An environment whose clock and background work the test drives: nothing runs before
 * clock_advance. Files are another environment's. One thread. */
#ifndef LAMINA_TESTS_FLUSH_ENV_CLOCK_H
#define LAMINA_TESTS_FLUSH_ENV_CLOCK_H

#include "base/env.h"
#include "tests/support/test.h"

#define CLOCK_TASKS 64

struct clock_env {
    struct lam_env base;
    lam_env *inner; /* borrowed */
    struct lam_env_ops ops;
    uint64_t now_us; /* since the start */
    struct clock_task {
        lam_task_fn fn;
        void *arg;
        uint64_t at_us;
    } tasks[CLOCK_TASKS];
    size_t task_count;
};

static inline struct clock_env *clock_of(lam_env *env) {
    return (struct clock_env *)env;
}
#define CLOCK_INNER(env) (clock_of(env)->inner)

static enum lam_code clock_file_open(lam_env *env, const char *path, unsigned flags, lam_file **out,
                                     struct lam_error *err) {
    return env_file_open(CLOCK_INNER(env), path, flags, out, err);
}
static enum lam_code clock_path_kind(lam_env *env, const char *path, enum lam_path_kind *out,
                                     struct lam_error *err) {
    return env_path_kind(CLOCK_INNER(env), path, out, err);
}
static enum lam_code clock_path_rename(lam_env *env, const char *from, const char *to,
                                       struct lam_error *err) {
    return env_path_rename(CLOCK_INNER(env), from, to, err);
}
static enum lam_code clock_path_link(lam_env *env, const char *from, const char *to,
                                     struct lam_error *err) {
    return CLOCK_INNER(env)->ops->path_link(CLOCK_INNER(env), from, to, err);
}
static enum lam_code clock_file_remove(lam_env *env, const char *path, struct lam_error *err) {
    return env_file_remove(CLOCK_INNER(env), path, err);
}
static enum lam_code clock_dir_create(lam_env *env, const char *path, struct lam_error *err) {
    return CLOCK_INNER(env)->ops->dir_create(CLOCK_INNER(env), path, err);
}
static enum lam_code clock_dir_remove(lam_env *env, const char *path, struct lam_error *err) {
    return CLOCK_INNER(env)->ops->dir_remove(CLOCK_INNER(env), path, err);
}
static enum lam_code clock_dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    return env_dir_sync(CLOCK_INNER(env), path, err);
}
static enum lam_code clock_dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                                    struct lam_error *err) {
    return env_dir_list(CLOCK_INNER(env), path, fn, arg, err);
}
static enum lam_code clock_file_lock(lam_env *env, const char *path, lam_file_lock **out,
                                     struct lam_error *err) {
    return CLOCK_INNER(env)->ops->file_lock(CLOCK_INNER(env), path, out, err);
}
static void clock_random(lam_env *env, void *data, size_t size) {
    CLOCK_INNER(env)->ops->random_bytes(CLOCK_INNER(env), data, size);
}
static int64_t clock_now_us(lam_env *env) {
    return 1750000000000000 + (int64_t)clock_of(env)->now_us;
}
static uint64_t clock_monotonic_ns(lam_env *env) {
    return (clock_of(env)->now_us + 1000000) * 1000;
}
static enum lam_code clock_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us,
                                  lam_task_fn fn, void *arg, struct lam_error *err) {
    struct clock_env *e = clock_of(env);
    (void)lane;
    (void)err;
    ck_assert_uint_lt(e->task_count, CLOCK_TASKS);
    e->tasks[e->task_count++] = (struct clock_task){fn, arg, e->now_us + delay_us};
    return LAM_OK;
}
static void clock_cancel(lam_env *env, void *arg) {
    struct clock_env *e = clock_of(env);
    size_t kept = 0;
    for (size_t i = 0; i < e->task_count; i++) {
        if (e->tasks[i].arg != arg)
            e->tasks[kept++] = e->tasks[i];
    }
    e->task_count = kept;
}
static uint64_t clock_process_id(lam_env *env) {
    return CLOCK_INNER(env)->ops->process_id(CLOCK_INNER(env));
}

static inline void clock_env_init(struct clock_env *e, lam_env *inner) {
    memset(e, 0, sizeof *e);
    e->inner = inner;
    e->ops = *inner->ops; /* files carry their own environment */
    e->ops.file_open = clock_file_open;
    e->ops.path_kind = clock_path_kind;
    e->ops.path_rename = clock_path_rename;
    e->ops.path_link = clock_path_link;
    e->ops.file_remove = clock_file_remove;
    e->ops.dir_create = clock_dir_create;
    e->ops.dir_remove = clock_dir_remove;
    e->ops.dir_sync = clock_dir_sync;
    e->ops.dir_list = clock_dir_list;
    e->ops.file_lock = clock_file_lock;
    e->ops.random_bytes = clock_random;
    e->ops.now_us = clock_now_us;
    e->ops.monotonic_ns = clock_monotonic_ns;
    e->ops.submit = clock_submit;
    e->ops.cancel = clock_cancel;
    e->ops.process_id = clock_process_id;
    e->base.ops = &e->ops;
}

/* Lets time go by; runs what falls due, earliest first. */
static inline void clock_advance(struct clock_env *e, uint64_t us) {
    uint64_t end = e->now_us + us;
    for (;;) {
        size_t next = e->task_count;
        for (size_t i = 0; i < e->task_count; i++) {
            if (e->tasks[i].at_us <= end &&
                (next == e->task_count || e->tasks[i].at_us < e->tasks[next].at_us))
                next = i;
        }
        if (next == e->task_count)
            break;
        struct clock_task task = e->tasks[next];
        e->tasks[next] = e->tasks[--e->task_count];
        e->now_us = task.at_us > e->now_us ? task.at_us : e->now_us;
        task.fn(task.arg);
    }
    e->now_us = end;
}

#endif
