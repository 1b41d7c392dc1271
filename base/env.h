/* SPDX-License-Identifier: Apache-2.0
 *
 * Thin calls over a lam_env's table, plus the helpers every layer needs on top of it: whole-file
 * reads, durable replacement of a small file, directory trees, path joining. */
#ifndef LAMINA_BASE_ENV_H
#define LAMINA_BASE_ENV_H

#include "base/buf.h"
#include "base/error.h"
#include "lamina/env.h"

/* Opaque file of an environment. Implementations embed it first. */
struct lam_file {
    lam_env *env;
};

static inline enum lam_code env_file_open(lam_env *env, const char *path, unsigned flags,
                                          lam_file **out, struct lam_error *err) {
    return env->ops->file_open(env, path, flags, out, err);
}
static inline enum lam_code env_file_close(lam_file *f, struct lam_error *err) {
    return f ? f->env->ops->file_close(f, err) : LAM_OK;
}
static inline enum lam_code env_file_write(lam_file *f, uint64_t offset, const void *data,
                                           size_t size, struct lam_error *err) {
    return f->env->ops->file_write(f, offset, data, size, err);
}
static inline enum lam_code env_file_sync(lam_file *f, struct lam_error *err) {
    return f->env->ops->file_sync(f, err);
}
static inline enum lam_code env_file_size(lam_file *f, uint64_t *out, struct lam_error *err) {
    return f->env->ops->file_size(f, out, err);
}
static inline enum lam_code env_file_truncate(lam_file *f, uint64_t size, struct lam_error *err) {
    return f->env->ops->file_truncate(f, size, err);
}
static inline enum lam_code env_file_allocate(lam_file *f, uint64_t size, struct lam_error *err) {
    return f->env->ops->file_allocate(f, size, err);
}
/* Reads up to `size` bytes; fewer only at end of file. */
static inline enum lam_code env_file_read(lam_file *f, uint64_t offset, void *data, size_t size,
                                          size_t *read_out, struct lam_error *err) {
    return f->env->ops->file_read(f, offset, data, size, read_out, err);
}
/* Reads exactly `size` bytes; LAM_CORRUPT naming `path` and offset if the file ends before. */
MUST_CHECK enum lam_code env_file_read_exact(lam_file *f, const char *path, uint64_t offset,
                                             void *data, size_t size, struct lam_error *err);
static inline enum lam_code env_path_kind(lam_env *env, const char *path, enum lam_path_kind *out,
                                          struct lam_error *err) {
    return env->ops->path_kind(env, path, out, err);
}
static inline enum lam_code env_path_rename(lam_env *env, const char *from, const char *to,
                                            struct lam_error *err) {
    return env->ops->path_rename(env, from, to, err);
}
static inline enum lam_code env_file_remove(lam_env *env, const char *path, struct lam_error *err) {
    return env->ops->file_remove(env, path, err);
}
static inline enum lam_code env_dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    return env->ops->dir_sync(env, path, err);
}
static inline enum lam_code env_dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                                         struct lam_error *err) {
    return env->ops->dir_list(env, path, fn, arg, err);
}
static inline int64_t env_now_us(lam_env *env) {
    return env->ops->now_us(env);
}
static inline uint64_t env_monotonic_ns(lam_env *env) {
    return env->ops->monotonic_ns(env);
}
static inline enum lam_code env_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us,
                                       lam_task_fn fn, void *arg, struct lam_error *err) {
    return env->ops->submit(env, lane, delay_us, fn, arg, err);
}

/* For OWNED: closes a file that was only read, or whose writing has failed. NULL is allowed. */
static inline void env_file_drop(lam_file **at) {
    IGNORE(env_file_close(*at, NULL), "nothing depends on it");
}

/* Appends a whole file to `out`; LAM_LIMIT if it is larger than `max`, NOT_FOUND if absent. */
MUST_CHECK enum lam_code env_read_file(lam_env *env, const char *path, size_t max, struct buf *out,
                                       struct lam_error *err);
/* Durably replaces a file: writes `<path>.tmp`, syncs it, renames, syncs the directory. */
MUST_CHECK enum lam_code env_write_file(lam_env *env, const char *path, struct lam_slice content,
                                        struct lam_error *err);
/* Size of the file at `path`; NOT_FOUND if absent. */
MUST_CHECK enum lam_code env_path_size(lam_env *env, const char *path, uint64_t *size_out,
                                       struct lam_error *err);
/* Ends the writing of a file: syncs it if `rc`, of what came before, is LAM_OK, and closes it.
 * Returns the first failure. */
MUST_CHECK enum lam_code env_file_end(lam_file *f, enum lam_code rc, struct lam_error *err);
/* Makes `path` and its missing parents. None of their names is synced. */
MUST_CHECK enum lam_code env_dir_create_all(lam_env *env, const char *path, struct lam_error *err);
/* "<dir>/<name>" into `out` (emptied first), whose text it gives. */
MUST_CHECK enum lam_code env_path_join(struct buf *out, const char *dir, const char *name,
                                       const char **text_out, struct lam_error *err);
/* The directory part of `path` ("." if none), in the same way. */
MUST_CHECK enum lam_code env_path_parent(struct buf *out, const char *path, const char **text_out,
                                         struct lam_error *err);
/* Makes the name `path` durable. */
MUST_CHECK enum lam_code env_parent_sync(lam_env *env, const char *path, struct lam_error *err);
/* Locks `dir`/`name`; `*lock_out` stays NULL if it need not be there and is not. */
MUST_CHECK enum lam_code env_lock_in(lam_env *env, const char *dir, const char *name,
                                     bool only_if_there, lam_file_lock **lock_out,
                                     struct lam_error *err);

/* Names, or paths. All-zero is empty. */
struct env_names {
    char **items; /* owned, as are the strings */
    size_t count, capacity;
};
MUST_CHECK enum lam_code env_names_add(struct env_names *l, const char *name,
                                       struct lam_error *err);
void env_names_fini(struct env_names *l);
/* Appends the names in a directory, which may change while they are worked on. */
MUST_CHECK enum lam_code env_dir_names(lam_env *env, const char *path, struct env_names *out,
                                       struct lam_error *err);

/* Number of unsynced and synced operations an env_mem has seen; for tests that crash at each. */
uint64_t env_mem_op_count(lam_env *env);

#endif
