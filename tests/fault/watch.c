/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"

struct watch_file {
    struct lam_file base;
    lam_file *inner; /* owned */
};

struct lam_file_lock {
    struct watch *watch;
    lam_file_lock *inner; /* owned; of the inner environment's type */
};

static const char *const kind_names[WATCH_KINDS] = {
    "open",   "create", "read",       "write", "sync",  "truncate", "rename",
    "remove", "mkdir",  "sync a dir", "look",  "close", "submit"};

const char *watch_kind_name(unsigned kind) {
    return kind < WATCH_KINDS ? kind_names[kind] : "?";
}

static struct watch *of(lam_env *env) {
    return (struct watch *)env;
}
static lam_file *file_of(lam_file *file) {
    return ((struct watch_file *)file)->inner;
}

/* The caller of the environment is this function's caller's caller. */
static inline __attribute__((always_inline)) void note(struct watch *w, enum simfs_op op) {
    unsigned kind = (unsigned)__builtin_ctz(op);
    uint64_t fired = w->fault_armed ? simfs_fired(w->fs, 0) : 0;
    w->counts[kind]++;
    if (fired > w->fired || sites_wanted(SITES_ENV))
        sites_note(SITES_ENV, kind, fired > w->fired);
    w->fired = fired;
    uint64_t used = simfs_used(w->fs);
    if (used > w->used_most)
        w->used_most = used;
}

static enum lam_code file_open(lam_env *env, const char *path, unsigned flags, lam_file **out,
                               struct lam_error *err) {
    struct watch *w = of(env);
    struct watch_file *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    uint64_t fired = w->fault_armed ? simfs_fired(w->fs, 0) : 0;
    enum lam_code rc = env_file_open(w->inner, path, flags, &f->inner, err);
    bool hit = w->fault_armed && simfs_fired(w->fs, 0) > fired;
    note(w, flags & (LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE) ? SIMFS_CREATE : SIMFS_OPEN);
    if (rc != LAM_OK) {
        free(f);
        if (rc == LAM_BUSY && hit) {
            rc = ERR(err, LAM_IO, "opening %s: too many open files", path);
            if (err)
                err->os_errno = EMFILE;
        }
        return rc;
    }
    f->base.env = env;
    *out = &f->base;
    return LAM_OK;
}

static enum lam_code file_close(lam_file *file, struct lam_error *err) {
    struct watch *w = of(file->env);
    enum lam_code rc = env_file_close(file_of(file), err);
    note(w, SIMFS_CLOSE);
    free(file);
    return rc;
}

static enum lam_code file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                               size_t *read_out, struct lam_error *err) {
    enum lam_code rc = env_file_read(file_of(file), offset, data, size, read_out, err);
    note(of(file->env), SIMFS_READ);
    return rc;
}

static enum lam_code file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                                struct lam_error *err) {
    enum lam_code rc = env_file_write(file_of(file), offset, data, size, err);
    note(of(file->env), SIMFS_WRITE);
    return rc;
}

static enum lam_code file_sync(lam_file *file, struct lam_error *err) {
    enum lam_code rc = env_file_sync(file_of(file), err);
    note(of(file->env), SIMFS_SYNC);
    return rc;
}

static enum lam_code file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
    enum lam_code rc = env_file_size(file_of(file), size_out, err);
    note(of(file->env), SIMFS_LOOK);
    return rc;
}

static enum lam_code file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    enum lam_code rc = env_file_truncate(file_of(file), size, err);
    note(of(file->env), SIMFS_TRUNCATE);
    return rc;
}

static enum lam_code file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    enum lam_code rc = env_file_allocate(file_of(file), size, err);
    note(of(file->env), SIMFS_TRUNCATE);
    return rc;
}

static enum lam_code path_kind(lam_env *env, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err) {
    enum lam_code rc = env_path_kind(of(env)->inner, path, kind_out, err);
    note(of(env), SIMFS_LOOK);
    return rc;
}

static enum lam_code path_rename(lam_env *env, const char *from, const char *to,
                                 struct lam_error *err) {
    enum lam_code rc = env_path_rename(of(env)->inner, from, to, err);
    note(of(env), SIMFS_RENAME);
    return rc;
}

static enum lam_code path_link(lam_env *env, const char *from, const char *to,
                               struct lam_error *err) {
    enum lam_code rc = of(env)->inner->ops->path_link(of(env)->inner, from, to, err);
    note(of(env), SIMFS_RENAME);
    return rc;
}

static enum lam_code file_remove(lam_env *env, const char *path, struct lam_error *err) {
    enum lam_code rc = env_file_remove(of(env)->inner, path, err);
    note(of(env), SIMFS_REMOVE);
    return rc;
}

static enum lam_code dir_create(lam_env *env, const char *path, struct lam_error *err) {
    enum lam_code rc = of(env)->inner->ops->dir_create(of(env)->inner, path, err);
    note(of(env), SIMFS_DIR_CREATE);
    return rc;
}

static enum lam_code dir_remove(lam_env *env, const char *path, struct lam_error *err) {
    enum lam_code rc = of(env)->inner->ops->dir_remove(of(env)->inner, path, err);
    note(of(env), SIMFS_REMOVE);
    return rc;
}

static enum lam_code dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    enum lam_code rc = env_dir_sync(of(env)->inner, path, err);
    note(of(env), SIMFS_DIR_SYNC);
    return rc;
}

static enum lam_code dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err) {
    enum lam_code rc = env_dir_list(of(env)->inner, path, fn, arg, err);
    note(of(env), SIMFS_LOOK);
    return rc;
}

static enum lam_code file_lock(lam_env *env, const char *path, lam_file_lock **lock_out,
                               struct lam_error *err) {
    struct lam_file_lock *lock = calloc(1, sizeof *lock);
    if (!lock)
        abort();
    lock->watch = of(env);
    enum lam_code rc = of(env)->inner->ops->file_lock(of(env)->inner, path, &lock->inner, err);
    note(of(env), SIMFS_OPEN);
    if (rc == LAM_OK)
        *lock_out = lock;
    else
        free(lock);
    return rc;
}

static void file_unlock(lam_file_lock *lock) {
    if (!lock)
        return;
    lock->watch->inner->ops->file_unlock(lock->inner);
    free(lock);
}

static int64_t now_us(lam_env *env) {
    return env_now_us(of(env)->inner);
}
static uint64_t monotonic_ns(lam_env *env) {
    return env_monotonic_ns(of(env)->inner);
}
static void random_bytes(lam_env *env, void *data, size_t size) {
    of(env)->inner->ops->random_bytes(of(env)->inner, data, size);
}

static struct watch_task *take_due(struct watch *w, enum lam_lane lane) {
    for (struct watch_task **link = &w->tasks; *link; link = &(*link)->next) {
        struct watch_task *t = *link;
        if (t->lane != lane || t->due_ns > monotonic_ns(&w->base))
            continue;
        *link = t->next;
        return t;
    }
    return NULL;
}

/* Lanes are threads of their own: a task may wait for one of another lane, never of its own. */
static void run_lane(struct watch *w, enum lam_lane lane) {
    struct watch_task *t;
    if (w->running[lane])
        return;
    w->running[lane] = true;
    while ((t = take_due(w, lane)) != NULL) {
        struct watch_task task = *t;
        free(t);
        task.fn(task.arg);
    }
    w->running[lane] = false;
}

void watch_run_due(struct watch *w) {
    for (int lane = 0; lane < LAM_LANE_COUNT; lane++)
        run_lane(w, (enum lam_lane)lane);
}

static void do_nothing(void *arg) {
    (void)arg;
}

/* The simulated queue only says whether the task can be queued. */
static enum lam_code submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                            void *arg, struct lam_error *err) {
    struct watch *w = of(env);
    enum lam_code rc = env_submit(w->inner, lane, 0, do_nothing, w, err);
    note(w, SIMFS_SUBMIT);
    if (rc != LAM_OK)
        return rc;
    simfs_run_tasks(w->fs, false);
    struct watch_task *t = malloc(sizeof *t), **link = &w->tasks;
    if (!t)
        abort();
    *t = (struct watch_task){NULL, fn, arg, lane, monotonic_ns(env) + delay_us * 1000};
    while (*link)
        link = &(*link)->next;
    *link = t;
    run_lane(w, lane);
    return LAM_OK;
}

static void cancel(lam_env *env, void *arg) {
    for (struct watch_task **link = &of(env)->tasks; *link;) {
        struct watch_task *t = *link;
        if (t->arg != arg) {
            link = &t->next;
            continue;
        }
        *link = t->next;
        free(t);
    }
}

/* The same in forked children, which go on with the parent's databases. */
static uint64_t process_id(lam_env *env) {
    (void)env;
    return 1;
}

static const struct lam_env_ops ops = {
    .file_open = file_open,
    .file_close = file_close,
    .file_read = file_read,
    .file_write = file_write,
    .file_sync = file_sync,
    .file_size = file_size,
    .file_truncate = file_truncate,
    .file_allocate = file_allocate,
    .path_kind = path_kind,
    .path_rename = path_rename,
    .path_link = path_link,
    .file_remove = file_remove,
    .dir_create = dir_create,
    .dir_remove = dir_remove,
    .dir_sync = dir_sync,
    .dir_list = dir_list,
    .file_lock = file_lock,
    .file_unlock = file_unlock,
    .now_us = now_us,
    .monotonic_ns = monotonic_ns,
    .random_bytes = random_bytes,
    .submit = submit,
    .cancel = cancel,
    .process_id = process_id,
};

void watch_init(struct watch *w, struct simfs *fs) {
    *w = (struct watch){.base = {&ops}};
    watch_set_fs(w, fs);
}

void watch_set_fs(struct watch *w, struct simfs *fs) {
    w->fs = fs;
    w->inner = simfs_env(fs);
    w->fault_armed = false;
    w->fired = 0;
}

/* What was queued dies with its process. */
void watch_forget_tasks(struct watch *w) {
    while (w->tasks) {
        struct watch_task *t = w->tasks;
        w->tasks = t->next;
        free(t);
    }
    memset(w->running, 0, sizeof w->running);
}

void watch_arm(struct watch *w, const struct simfs_fault *fault) {
    simfs_arm(w->fs, 0, fault);
    w->fault = *fault;
    w->fault_armed = true;
    w->fired = w->fired_before = 0;
}

void watch_disarm(struct watch *w) {
    w->fired_before = watch_fired(w);
    simfs_disarm(w->fs);
    w->fault_armed = false;
    w->fired = 0;
}

uint64_t watch_fired(const struct watch *w) {
    return w->fired_before + (w->fault_armed ? simfs_fired(w->fs, 0) : 0);
}
