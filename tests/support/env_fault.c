/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/env_fault.h"

#include "base/env.h"
#include "base/thread.h"

struct fault_env {
    struct lam_env base;
    lam_env *inner; /* borrowed */
    struct mutex mu;
    struct fault_guarded {
        unsigned kinds;
        uint64_t nth; /* 0: none */
        enum lam_code code;
        bool sticky;
        uint64_t seen;  /* operations of `kinds` since armed */
        uint64_t fired; /* failures since armed */
    } guarded_;         /* by mu */
};

struct fault_file {
    struct lam_file base;
    lam_file *inner; /* owned */
};

struct lam_file_lock {
    lam_env *env;
    lam_file_lock *inner; /* owned; of the inner environment's type */
};

static inline struct fault_guarded *state(struct fault_env *e) REQUIRES(e->mu) {
    return &e->guarded_;
}
static struct fault_env *env_of(lam_env *env) {
    return (struct fault_env *)env;
}
static lam_env *inner_of(lam_env *env) {
    return env_of(env)->inner;
}
static lam_file *file_of(lam_file *file) {
    return ((struct fault_file *)file)->inner;
}

/* Counts one operation; the code it must fail with, or LAM_OK. `torn_out` may be NULL. */
static enum lam_code check(lam_env *env, enum fault_kind kind, const char *what, bool *torn_out,
                           struct lam_error *err) {
    struct fault_env *e = env_of(env);
    enum lam_code code = LAM_OK;
    mutex_lock(&e->mu);
    struct fault_guarded *s = state(e);
    if (s->kinds & kind) {
        s->seen++;
        if (s->nth && (s->seen == s->nth || (s->sticky && s->seen > s->nth))) {
            code = s->code;
            if (torn_out)
                *torn_out = (s->kinds & FAULT_TORN) && s->fired == 0;
            s->fired++;
        }
    }
    uint64_t seen = s->seen;
    mutex_unlock(&e->mu);
    if (code != LAM_OK)
        ERR(err, code, "injected fault: %s, operation %llu", what, (unsigned long long)seen);
    return code;
}

static enum lam_code file_open(lam_env *env, const char *path, unsigned flags, lam_file **out,
                               struct lam_error *err) {
    bool mutates = flags & (LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE | LAM_OPEN_TRUNCATE);
    TRY(check(env, mutates ? FAULT_NAME : FAULT_OPEN, "open", NULL, err));
    struct fault_file *f = mem_calloc(1, sizeof *f);
    if (!f)
        return mem_fail(err, sizeof *f);
    enum lam_code rc = env_file_open(inner_of(env), path, flags, &f->inner, err);
    if (rc != LAM_OK) {
        mem_free(f);
        return rc;
    }
    f->base.env = env;
    *out = &f->base;
    return LAM_OK;
}

static enum lam_code file_close(lam_file *file, struct lam_error *err) {
    enum lam_code fault = check(file->env, FAULT_CLOSE, "close", NULL, err);
    enum lam_code rc = env_file_close(file_of(file), fault == LAM_OK ? err : NULL);
    mem_free(file);
    return fault == LAM_OK ? rc : fault;
}

static enum lam_code file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                               size_t *read_out, struct lam_error *err) {
    TRY(check(file->env, FAULT_READ, "read", NULL, err));
    bool flip = check(file->env, FAULT_FLIP, "read", NULL, NULL) != LAM_OK;
    enum lam_code rc = env_file_read(file_of(file), offset, data, size, read_out, err);
    if (flip && rc == LAM_OK && *read_out > 0)
        ((uint8_t *)data)[*read_out / 2] ^= 4;
    return rc;
}

static enum lam_code file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                                struct lam_error *err) {
    bool torn = false;
    enum lam_code fault = check(file->env, FAULT_WRITE, "write", &torn, err);
    if (fault == LAM_OK)
        return env_file_write(file_of(file), offset, data, size, err);
    if (torn)
        IGNORE(env_file_write(file_of(file), offset, data, size / 2, NULL), "fails anyway");
    return fault;
}

static enum lam_code file_sync(lam_file *file, struct lam_error *err) {
    TRY(check(file->env, FAULT_SYNC, "sync", NULL, err));
    return env_file_sync(file_of(file), err);
}

static enum lam_code file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
    TRY(check(file->env, FAULT_READ, "size", NULL, err));
    return env_file_size(file_of(file), size_out, err);
}

static enum lam_code file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    TRY(check(file->env, FAULT_WRITE, "truncate", NULL, err));
    return env_file_truncate(file_of(file), size, err);
}

static enum lam_code file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    TRY(check(file->env, FAULT_WRITE, "allocate", NULL, err));
    return env_file_allocate(file_of(file), size, err);
}

static enum lam_code path_kind(lam_env *env, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err) {
    TRY(check(env, FAULT_READ, "path_kind", NULL, err));
    return env_path_kind(inner_of(env), path, kind_out, err);
}

static enum lam_code path_rename(lam_env *env, const char *from, const char *to,
                                 struct lam_error *err) {
    TRY(check(env, FAULT_NAME, "rename", NULL, err));
    return env_path_rename(inner_of(env), from, to, err);
}

static enum lam_code path_link(lam_env *env, const char *from, const char *to,
                               struct lam_error *err) {
    TRY(check(env, FAULT_NAME, "link", NULL, err));
    return inner_of(env)->ops->path_link(inner_of(env), from, to, err);
}

static enum lam_code file_remove(lam_env *env, const char *path, struct lam_error *err) {
    TRY(check(env, FAULT_NAME, "remove", NULL, err));
    return env_file_remove(inner_of(env), path, err);
}

static enum lam_code dir_create(lam_env *env, const char *path, struct lam_error *err) {
    TRY(check(env, FAULT_NAME, "dir_create", NULL, err));
    return inner_of(env)->ops->dir_create(inner_of(env), path, err);
}

static enum lam_code dir_remove(lam_env *env, const char *path, struct lam_error *err) {
    TRY(check(env, FAULT_NAME, "dir_remove", NULL, err));
    return inner_of(env)->ops->dir_remove(inner_of(env), path, err);
}

static enum lam_code dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    TRY(check(env, FAULT_SYNC, "dir_sync", NULL, err));
    return env_dir_sync(inner_of(env), path, err);
}

static enum lam_code dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err) {
    TRY(check(env, FAULT_READ, "dir_list", NULL, err));
    return env_dir_list(inner_of(env), path, fn, arg, err);
}

static enum lam_code file_lock(lam_env *env, const char *path, lam_file_lock **lock_out,
                               struct lam_error *err) {
    TRY(check(env, FAULT_OPEN, "lock", NULL, err));
    struct lam_file_lock *lock = mem_calloc(1, sizeof *lock);
    if (!lock)
        return mem_fail(err, sizeof *lock);
    lock->env = env;
    enum lam_code rc = inner_of(env)->ops->file_lock(inner_of(env), path, &lock->inner, err);
    if (rc == LAM_OK)
        *lock_out = lock;
    else
        mem_free(lock);
    return rc;
}

static void file_unlock(lam_file_lock *lock) {
    if (!lock)
        return;
    inner_of(lock->env)->ops->file_unlock(lock->inner);
    mem_free(lock);
}

static int64_t now_us(lam_env *env) {
    return env_now_us(inner_of(env));
}
static uint64_t monotonic_ns(lam_env *env) {
    return env_monotonic_ns(inner_of(env));
}
static void random_bytes(lam_env *env, void *data, size_t size) {
    inner_of(env)->ops->random_bytes(inner_of(env), data, size);
}
static enum lam_code submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                            void *arg, struct lam_error *err) {
    TRY(check(env, FAULT_SUBMIT, "submit", NULL, err));
    return env_submit(inner_of(env), lane, delay_us, fn, arg, err);
}
static void cancel(lam_env *env, void *arg) {
    inner_of(env)->ops->cancel(inner_of(env), arg);
}
static uint64_t process_id(lam_env *env) {
    return inner_of(env)->ops->process_id(inner_of(env));
}

static const struct lam_env_ops fault_ops = {
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

NO_THREAD_SAFETY lam_env *env_fault_new(lam_env *inner) {
    struct fault_env *e = mem_calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->base.ops = &fault_ops;
    e->inner = inner;
    mutex_init(&e->mu, RANK_LEAF);
    e->guarded_.kinds = FAULT_ALL;
    return &e->base;
}

void env_fault_free(lam_env *env) {
    if (!env)
        return;
    mutex_fini(&env_of(env)->mu);
    mem_free(env);
}

void env_fault_arm(lam_env *env, unsigned kinds, uint64_t nth, enum lam_code code, bool sticky) {
    struct fault_env *e = env_of(env);
    mutex_lock(&e->mu);
    *state(e) = (struct fault_guarded){.kinds = kinds, .nth = nth, .code = code, .sticky = sticky};
    mutex_unlock(&e->mu);
}

uint64_t env_fault_count(lam_env *env) {
    struct fault_env *e = env_of(env);
    mutex_lock(&e->mu);
    uint64_t seen = state(e)->seen;
    mutex_unlock(&e->mu);
    return seen;
}

uint64_t env_fault_fired(lam_env *env) {
    struct fault_env *e = env_of(env);
    mutex_lock(&e->mu);
    uint64_t fired = state(e)->fired;
    mutex_unlock(&e->mu);
    return fired;
}
