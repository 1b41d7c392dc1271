/* SPDX-License-Identifier: Apache-2.0
 *
 * The in-memory environment's operations. Paths start at one root, with or without a leading '/';
 * ".." is refused. Clock, randomness and background work are the operating system's. */
#include "base/env_mem.h"

#include "base/assert.h"

struct mem_file {
    struct lam_file base;
    struct inode *inode; /* a reference */
    bool writable;       /* opened with LAM_OPEN_WRITE */
    char path[];         /* for messages */
};

struct lam_file_lock {
    struct mem_env *env;
    struct inode *inode; /* a reference */
};

/* A path taken apart. */
struct place {
    struct inode *dir;   /* directory of the last component; the root itself for "/" */
    struct inode *inode; /* what the whole path names, or NULL */
    char *name;          /* last component; owned; empty for "/" */
};

static struct mem_file *of(lam_file *file) {
    return (struct mem_file *)file;
}

static enum lam_code missing(struct lam_error *err, const char *attempt, const char *path) {
    return ERR(err, LAM_NOT_FOUND, "%s %s: no such file or directory", attempt, path);
}

/* --- paths ----------------------------------------------------------------------------------- */

/* Moves past '/' and "." to the next component; false at the end of the path. */
static bool next_component(const char **at, size_t *length) {
    for (;;) {
        while (**at == '/')
            (*at)++;
        *length = strcspn(*at, "/");
        if (*length != 1 || **at != '.')
            return *length > 0;
        (*at)++;
    }
}

/* Fills `p` (free p->name). NOT_FOUND if a directory on the way is missing; a missing last
 * component is no error. */
static enum lam_code resolve(struct mem_env_guarded *s, const char *path, const char *attempt,
                             struct place *p, struct lam_error *err) {
    *p = (struct place){s->root, s->root, mem_calloc(1, strlen(path) + 1)};
    if (!p->name)
        return mem_fail(err, strlen(path) + 1);
    size_t length;
    for (const char *at = path; next_component(&at, &length); at += length) {
        if (length == 2 && at[0] == '.' && at[1] == '.')
            return ERR(err, LAM_UNSUPPORTED, "%s %s: '..' in an in-memory path", attempt, path);
        if (!p->inode)
            return missing(err, attempt, path);
        if (p->inode->kind != LAM_PATH_DIRECTORY)
            return ERR(err, LAM_INVALID, "%s %s: not a directory on the way", attempt, path);
        p->dir = p->inode;
        memcpy(p->name, at, length);
        p->name[length] = '\0';
        p->inode = mem_table_get(&p->dir->entries, p->name);
    }
    return LAM_OK;
}

static enum lam_code resolve_existing(struct mem_env_guarded *s, const char *path,
                                      const char *attempt, struct place *p, struct lam_error *err) {
    TRY(resolve(s, path, attempt, p, err));
    return p->inode ? LAM_OK : missing(err, attempt, path);
}

static enum lam_code resolve_directory(struct mem_env_guarded *s, const char *path,
                                       const char *attempt, struct place *p,
                                       struct lam_error *err) {
    TRY(resolve_existing(s, path, attempt, p, err));
    if (p->inode->kind != LAM_PATH_DIRECTORY)
        return ERR(err, LAM_INVALID, "%s %s: not a directory", attempt, path);
    return LAM_OK;
}

/* --- files ----------------------------------------------------------------------------------- */

static enum lam_code check_open(const struct place *p, const char *path, unsigned flags,
                                struct lam_error *err) {
    if (!p->inode && !(flags & (LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE)))
        return missing(err, "opening", path);
    if (p->inode && (flags & LAM_OPEN_EXCLUSIVE))
        return ERR(err, LAM_EXISTS, "creating %s: it exists", path);
    if (p->inode && p->inode->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "opening %s: not a regular file", path);
    return LAM_OK;
}

/* Finds or makes the file; `*out` gains a reference. */
static enum lam_code open_inode(struct mem_env_guarded *s, const char *path, unsigned flags,
                                struct inode **out, struct lam_error *err) {
    struct place p;
    enum lam_code rc;
    TRY_GOTO(resolve(s, path, "opening", &p, err));
    TRY_GOTO(check_open(&p, path, flags, err));
    if (!p.inode) {
        struct inode *n = mem_inode_new(s, LAM_PATH_FILE);
        if (!n) {
            rc = mem_fail(err, sizeof *n);
            goto out;
        }
        s->ops++;
        rc = mem_dir_change(s, p.dir, NULL, p.name, n, err);
        if (rc == LAM_OK)
            *out = n;
        else
            mem_inode_unref(s, n);
        goto out;
    }
    if (flags & LAM_OPEN_TRUNCATE) {
        s->ops++;
        TRY_GOTO(mem_inode_resize(p.inode, 0, err));
    }
    p.inode->refs++;
    *out = p.inode;
out:
    mem_free(p.name);
    return rc;
}

static enum lam_code file_open(lam_env *base, const char *path, unsigned flags, lam_file **file_out,
                               struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    LAM_ASSERT(flags & (LAM_OPEN_READ | LAM_OPEN_WRITE));
    LAM_ASSERT((flags & LAM_OPEN_WRITE) || !(flags & LAM_OPEN_TRUNCATE));
    size_t path_size = strlen(path) + 1;
    struct mem_file *f = mem_alloc(sizeof *f + path_size);
    if (!f)
        return mem_fail(err, sizeof *f + path_size);
    f->base.env = base;
    f->inode = NULL;
    f->writable = flags & LAM_OPEN_WRITE;
    memcpy(f->path, path, path_size);
    mutex_lock(&env->mu);
    enum lam_code rc = open_inode(mem_state(env), path, flags, &f->inode, err);
    mutex_unlock(&env->mu);
    if (rc == LAM_OK)
        *file_out = &f->base;
    else
        mem_free(f);
    return rc;
}

static enum lam_code file_close(lam_file *file, struct lam_error *err) {
    (void)err;
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    mutex_lock(&env->mu);
    mem_inode_unref(mem_state(env), f->inode);
    mutex_unlock(&env->mu);
    mem_free(f);
    return LAM_OK;
}

static enum lam_code file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                               size_t *read_out, struct lam_error *err) {
    (void)err;
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    mutex_lock(&env->mu);
    const struct inode *n = f->inode;
    size_t left = offset < n->size ? n->size - (size_t)offset : 0;
    size_t got = size < left ? size : left;
    if (got > 0)
        memcpy(data, n->data + offset, got);
    mutex_unlock(&env->mu);
    *read_out = got;
    return LAM_OK;
}

static enum lam_code check_writable(const struct mem_file *f, struct lam_error *err) {
    if (!f->writable)
        return ERR(err, LAM_INVALID, "writing %s: opened for reading only", f->path);
    return LAM_OK;
}

static enum lam_code file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                                struct lam_error *err) {
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    TRY(check_writable(f, err));
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    enum lam_code rc = mem_inode_write(f->inode, offset, data, size, err);
    mutex_unlock(&env->mu);
    return rc;
}

static enum lam_code file_sync(lam_file *file, struct lam_error *err) {
    (void)err;
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    mem_inode_sync(f->inode);
    mutex_unlock(&env->mu);
    return LAM_OK;
}

static enum lam_code file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
    (void)err;
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    mutex_lock(&env->mu);
    *size_out = f->inode->size;
    mutex_unlock(&env->mu);
    return LAM_OK;
}

static enum lam_code file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    TRY(check_writable(f, err));
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    enum lam_code rc = mem_inode_resize(f->inode, size, err);
    mutex_unlock(&env->mu);
    return rc;
}

static enum lam_code file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct mem_file *f = of(file);
    struct mem_env *env = mem_env_of(f->base.env);
    TRY(check_writable(f, err));
    enum lam_code rc = LAM_OK;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    if (size > f->inode->size)
        rc = mem_inode_resize(f->inode, size, err);
    mutex_unlock(&env->mu);
    return rc;
}

/* --- names ----------------------------------------------------------------------------------- */

static enum lam_code path_kind(lam_env *base, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place p;
    struct lam_error own; /* a success leaves the caller's as it was */
    mutex_lock(&env->mu);
    enum lam_code rc = resolve(mem_state(env), path, "looking at", &p, &own);
    *kind_out = rc == LAM_OK && p.inode ? p.inode->kind : LAM_PATH_NONE;
    mutex_unlock(&env->mu);
    mem_free(p.name);
    /* Nothing is at a path that leads through a missing directory or a file. */
    if (rc == LAM_OK || rc == LAM_NOT_FOUND || rc == LAM_INVALID)
        return LAM_OK;
    return error_pass(err, rc, &own);
}

static bool contains(const struct inode *dir, const struct inode *n) {
    if (dir == n)
        return true;
    for (size_t i = 0; i < dir->entries.count; i++) {
        const struct inode *child = dir->entries.items[i].inode;
        if (child->kind == LAM_PATH_DIRECTORY && contains(child, n))
            return true;
    }
    return false;
}

/* What POSIX refuses to rename. */
static enum lam_code check_rename(const struct place *from, const struct place *to,
                                  const char *from_path, const char *to_path,
                                  struct lam_error *err) {
    bool dir = from->inode->kind == LAM_PATH_DIRECTORY;
    if (from->name[0] == '\0' || to->name[0] == '\0' || (dir && contains(from->inode, to->dir)))
        return ERR(err, LAM_INVALID, "renaming %s to %s: into itself", from_path, to_path);
    if (!to->inode)
        return LAM_OK;
    if (dir != (to->inode->kind == LAM_PATH_DIRECTORY))
        return ERR(err, LAM_INVALID, "renaming %s to %s: one is a directory, one is not", from_path,
                   to_path);
    if (to->inode->entries.count > 0)
        return ERR(err, LAM_EXISTS, "renaming %s to %s: directory not empty", from_path, to_path);
    return LAM_OK;
}

/* Across directories the name is added before it goes, so that a failure loses nothing. */
static enum lam_code move_name(struct mem_env_guarded *s, struct place *from, struct place *to,
                               struct lam_error *err) {
    if (from->inode == to->inode)
        return LAM_OK;
    if (from->dir == to->dir)
        return mem_dir_change(s, from->dir, from->name, to->name, from->inode, err);
    TRY(mem_dir_change(s, to->dir, NULL, to->name, from->inode, err));
    return mem_dir_change(s, from->dir, from->name, NULL, NULL, err);
}

static enum lam_code path_rename(lam_env *base, const char *from_path, const char *to_path,
                                 struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place from = {0}, to = {0};
    enum lam_code rc;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    TRY_GOTO(resolve_existing(mem_state(env), from_path, "renaming", &from, err));
    TRY_GOTO(resolve(mem_state(env), to_path, "renaming to", &to, err));
    if (from.inode != to.inode)
        TRY_GOTO(check_rename(&from, &to, from_path, to_path, err));
    TRY_GOTO(move_name(mem_state(env), &from, &to, err));
out:
    mutex_unlock(&env->mu);
    mem_free(from.name);
    mem_free(to.name);
    return rc;
}

static enum lam_code path_link(lam_env *base, const char *from_path, const char *to_path,
                               struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place from = {0}, to = {0};
    enum lam_code rc;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    TRY_GOTO(resolve_existing(mem_state(env), from_path, "linking", &from, err));
    TRY_GOTO(resolve(mem_state(env), to_path, "linking to", &to, err));
    if (from.inode->kind != LAM_PATH_FILE)
        rc = ERR(err, LAM_INVALID, "linking %s to %s: not a regular file", from_path, to_path);
    else if (to.inode)
        rc = ERR(err, LAM_EXISTS, "linking %s to %s: it exists", from_path, to_path);
    else
        rc = mem_dir_change(mem_state(env), to.dir, NULL, to.name, from.inode, err);
out:
    mutex_unlock(&env->mu);
    mem_free(from.name);
    mem_free(to.name);
    return rc;
}

static enum lam_code file_remove(lam_env *base, const char *path, struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place p = {0};
    enum lam_code rc;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    TRY_GOTO(resolve_existing(mem_state(env), path, "removing", &p, err));
    if (p.inode->kind != LAM_PATH_FILE)
        rc = ERR(err, LAM_INVALID, "removing %s: is a directory", path);
    else
        rc = mem_dir_change(mem_state(env), p.dir, p.name, NULL, NULL, err);
out:
    mutex_unlock(&env->mu);
    mem_free(p.name);
    return rc;
}

static enum lam_code create_directory(struct mem_env_guarded *s, const struct place *p,
                                      struct lam_error *err) {
    struct inode *n = mem_inode_new(s, LAM_PATH_DIRECTORY);
    if (!n)
        return mem_fail(err, sizeof *n);
    enum lam_code rc = mem_dir_change(s, p->dir, NULL, p->name, n, err);
    mem_inode_unref(s, n);
    return rc;
}

static enum lam_code dir_create(lam_env *base, const char *path, struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place p = {0};
    enum lam_code rc;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    TRY_GOTO(resolve(mem_state(env), path, "making directory", &p, err));
    if (p.inode)
        rc = ERR(err, LAM_EXISTS, "making directory %s: it exists", path);
    else
        rc = create_directory(mem_state(env), &p, err);
out:
    mutex_unlock(&env->mu);
    mem_free(p.name);
    return rc;
}

static enum lam_code dir_remove(lam_env *base, const char *path, struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place p = {0};
    enum lam_code rc;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    TRY_GOTO(resolve_directory(mem_state(env), path, "removing directory", &p, err));
    if (p.name[0] == '\0')
        rc = ERR(err, LAM_INVALID, "removing directory %s: it is the root", path);
    else if (p.inode->entries.count > 0)
        rc = ERR(err, LAM_EXISTS, "removing directory %s: not empty", path);
    else
        rc = mem_dir_change(mem_state(env), p.dir, p.name, NULL, NULL, err);
out:
    mutex_unlock(&env->mu);
    mem_free(p.name);
    return rc;
}

static enum lam_code dir_sync(lam_env *base, const char *path, struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place p = {0};
    enum lam_code rc;
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    TRY_GOTO(resolve_directory(mem_state(env), path, "syncing directory", &p, err));
    rc = mem_dir_sync(mem_state(env), p.inode, err);
out:
    mutex_unlock(&env->mu);
    mem_free(p.name);
    return rc;
}

/* Appends the directory's names, each with its NUL. */
static enum lam_code copy_names(struct mem_env_guarded *s, const char *path, struct buf *names,
                                struct lam_error *err) {
    struct place p = {0};
    enum lam_code rc;
    TRY_GOTO(resolve_directory(s, path, "listing directory", &p, err));
    for (size_t i = 0; i < p.inode->entries.count; i++) {
        const char *name = p.inode->entries.items[i].name;
        TRY_GOTO(buf_append(names, name, strlen(name) + 1, err));
    }
out:
    mem_free(p.name);
    return rc;
}

/* `fn` is called without the mutex: it may use the environment. */
static enum lam_code dir_list(lam_env *base, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct buf names = {0};
    mutex_lock(&env->mu);
    enum lam_code rc = copy_names(mem_state(env), path, &names, err);
    mutex_unlock(&env->mu);
    if (rc == LAM_OK) {
        size_t at = 0;
        while (at < names.size && fn(arg, (const char *)names.data + at))
            at += strlen((const char *)names.data + at) + 1;
    }
    buf_fini(&names);
    return rc;
}

static enum lam_code file_lock(lam_env *base, const char *path, lam_file_lock **lock_out,
                               struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct lam_file_lock *lock = mem_calloc(1, sizeof *lock);
    if (!lock)
        return mem_fail(err, sizeof *lock);
    lock->env = env;
    mutex_lock(&env->mu);
    enum lam_code rc =
        open_inode(mem_state(env), path, LAM_OPEN_WRITE | LAM_OPEN_CREATE, &lock->inode, err);
    if (rc == LAM_OK && lock->inode->locked) {
        rc = ERR(err, LAM_BUSY, "locking %s: held by this or another process", path);
        mem_inode_unref(mem_state(env), lock->inode);
    } else if (rc == LAM_OK) {
        lock->inode->locked = true;
    }
    mutex_unlock(&env->mu);
    if (rc == LAM_OK)
        *lock_out = lock;
    else
        mem_free(lock);
    return rc;
}

static void file_unlock(lam_file_lock *lock) {
    if (!lock)
        return;
    struct mem_env *env = lock->env;
    mutex_lock(&env->mu);
    LAM_ASSERT(lock->inode->locked);
    lock->inode->locked = false;
    mem_inode_unref(mem_state(env), lock->inode);
    mutex_unlock(&env->mu);
    mem_free(lock);
}

/* --- borrowed from the operating system ------------------------------------------------------ */

static int64_t now_us(lam_env *env) {
    (void)env;
    return env_now_us(lam_env_posix());
}
static uint64_t monotonic_ns(lam_env *env) {
    (void)env;
    return env_monotonic_ns(lam_env_posix());
}
static void random_bytes(lam_env *env, void *data, size_t size) {
    (void)env;
    lam_env_posix()->ops->random_bytes(lam_env_posix(), data, size);
}
static enum lam_code submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                            void *arg, struct lam_error *err) {
    (void)env;
    return env_submit(lam_env_posix(), lane, delay_us, fn, arg, err);
}
static void cancel(lam_env *env, void *arg) {
    (void)env;
    lam_env_posix()->ops->cancel(lam_env_posix(), arg);
}
static uint64_t process_id(lam_env *env) {
    (void)env;
    return lam_env_posix()->ops->process_id(lam_env_posix());
}

static const struct lam_env_ops mem_ops = {
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

NO_THREAD_SAFETY enum lam_code lam_env_mem_new(lam_env **env_out, struct lam_error *err) {
    if (!env_out)
        return ERR(err, LAM_INVALID, "lam_env_mem_new: env_out is NULL");
    struct mem_env *env = mem_calloc(1, sizeof *env);
    if (!env)
        return mem_fail(err, sizeof *env);
    env->base.ops = &mem_ops;
    env->guarded_.root = mem_inode_new(&env->guarded_, LAM_PATH_DIRECTORY);
    if (!env->guarded_.root) {
        mem_free(env);
        return mem_fail(err, sizeof(struct inode));
    }
    mutex_init(&env->mu, RANK_ENV);
    *env_out = &env->base;
    return LAM_OK;
}

NO_THREAD_SAFETY void lam_env_mem_free(lam_env *base) {
    if (!base)
        return;
    struct mem_env *env = mem_env_of(base);
    while (env->guarded_.inodes)
        mem_inode_free(&env->guarded_, env->guarded_.inodes);
    mutex_fini(&env->mu);
    mem_free(env);
}

uint64_t env_mem_op_count(lam_env *base) {
    struct mem_env *env = mem_env_of(base);
    mutex_lock(&env->mu);
    uint64_t ops = mem_state(env)->ops;
    mutex_unlock(&env->mu);
    return ops;
}
