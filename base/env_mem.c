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
    struct inode *dir;     /* directory of the last component; the root itself for "/" */
    struct inode *inode;   /* what the whole path names, or NULL */
    struct lam_slice name; /* last component, borrowed from the path; empty for "/" */
};

static struct mem_file *of(lam_file *file) {
    return (struct mem_file *)file;
}

static struct mem_env *env_of(lam_file *file) {
    return mem_env_of(file->env);
}

static enum lam_code missing(struct lam_error *err, const char *attempt, const char *path) {
    return ERR(err, LAM_NOT_FOUND, "%s %s: no such file or directory", attempt, path);
}

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

/* NOT_FOUND if a directory on the way is missing; a missing last component is no error. */
static enum lam_code resolve(struct mem_env_guarded *s, const char *path, const char *attempt,
                             struct place *p, struct lam_error *err) {
    *p = (struct place){s->root, s->root, lam_slice_str("")};
    size_t length;
    for (const char *at = path; next_component(&at, &length); at += length) {
        if (length == 2 && at[0] == '.' && at[1] == '.')
            return ERR(err, LAM_UNSUPPORTED, "%s %s: '..' in an in-memory path", attempt, path);
        if (!p->inode)
            return missing(err, attempt, path);
        if (p->inode->kind != LAM_PATH_DIRECTORY)
            return ERR(err, LAM_INVALID, "%s %s: not a directory on the way", attempt, path);
        struct lam_slice name = lam_slice_of(at, length);
        *p = (struct place){p->inode, mem_table_get(&p->inode->entries, name), name};
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

/* A new inode under the name of `p`, referenced. */
static enum lam_code make_inode(struct mem_env_guarded *s, const struct place *p,
                                enum lam_path_kind kind, struct inode **out,
                                struct lam_error *err) {
    *out = mem_inode_new(s, kind);
    if (!*out)
        return mem_fail(err, sizeof **out);
    enum lam_code rc = mem_dir_change(s, p->dir, SLICE_EMPTY, p->name, *out, err);
    if (rc != LAM_OK)
        mem_inode_unref(s, *out);
    return rc;
}

/* Finds or makes the file; `*out` gains a reference. */
static enum lam_code open_inode(struct mem_env_guarded *s, const char *path, unsigned flags,
                                struct inode **out, struct lam_error *err) {
    struct place p;
    TRY(resolve(s, path, "opening", &p, err));
    if (!p.inode && !(flags & (LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE)))
        return missing(err, "opening", path);
    if (!p.inode) {
        s->ops++;
        return make_inode(s, &p, LAM_PATH_FILE, out, err);
    }
    if (flags & LAM_OPEN_EXCLUSIVE)
        return ERR(err, LAM_EXISTS, "creating %s: it exists", path);
    if (p.inode->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "opening %s: not a regular file", path);
    if (flags & LAM_OPEN_TRUNCATE) {
        s->ops++;
        TRY(mem_inode_resize(p.inode, 0, err));
    }
    p.inode->refs++;
    *out = p.inode;
    return LAM_OK;
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

static void drop_inode(struct mem_env *env, struct inode *n) {
    mutex_lock(&env->mu);
    mem_inode_unref(mem_state(env), n);
    mutex_unlock(&env->mu);
}

static enum lam_code file_close(lam_file *file, struct lam_error *err) {
    (void)err;
    drop_inode(env_of(file), of(file)->inode);
    mem_free(file);
    return LAM_OK;
}

static enum lam_code file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                               size_t *read_out, struct lam_error *err) {
    (void)err;
    struct mem_env *env = env_of(file);
    mutex_lock(&env->mu);
    const struct inode *n = of(file)->inode;
    size_t left = offset < n->size ? n->size - (size_t)offset : 0;
    *read_out = size < left ? size : left;
    if (*read_out > 0)
        memcpy(data, n->data + offset, *read_out);
    mutex_unlock(&env->mu);
    return LAM_OK;
}

static enum lam_code check_writable(lam_file *file, struct lam_error *err) {
    if (!of(file)->writable)
        return ERR(err, LAM_INVALID, "writing %s: opened for reading only", of(file)->path);
    return LAM_OK;
}

static enum lam_code file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                                struct lam_error *err) {
    struct mem_env *env = env_of(file);
    TRY(check_writable(file, err));
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    enum lam_code rc = mem_inode_write(of(file)->inode, offset, data, size, err);
    mutex_unlock(&env->mu);
    return rc;
}

static enum lam_code file_sync(lam_file *file, struct lam_error *err) {
    (void)err;
    struct mem_env *env = env_of(file);
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    mem_inode_sync(of(file)->inode);
    mutex_unlock(&env->mu);
    return LAM_OK;
}

static enum lam_code file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
    (void)err;
    struct mem_env *env = env_of(file);
    mutex_lock(&env->mu);
    *size_out = of(file)->inode->size;
    mutex_unlock(&env->mu);
    return LAM_OK;
}

static enum lam_code resize(lam_file *file, uint64_t size, bool cut, struct lam_error *err) {
    struct mem_env *env = env_of(file);
    enum lam_code rc = LAM_OK;
    TRY(check_writable(file, err));
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    if (cut || size > of(file)->inode->size)
        rc = mem_inode_resize(of(file)->inode, size, err);
    mutex_unlock(&env->mu);
    return rc;
}

static enum lam_code file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    return resize(file, size, true, err);
}

static enum lam_code file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    return resize(file, size, false, err);
}

static enum lam_code path_kind(lam_env *base, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct place p;
    struct lam_error own; /* a success leaves the caller's as it was */
    mutex_lock(&env->mu);
    enum lam_code rc = resolve(mem_state(env), path, "looking at", &p, &own);
    *kind_out = rc == LAM_OK && p.inode ? p.inode->kind : LAM_PATH_NONE;
    mutex_unlock(&env->mu);
    /* Nothing is at a path that leads through a missing directory or a file. */
    if (rc == LAM_OK || rc == LAM_NOT_FOUND || rc == LAM_INVALID)
        return LAM_OK;
    return error_pass(err, rc, &own);
}

/* A change of names: of `path`, which rename and link give the name `to`. */
typedef enum lam_code (*change_fn)(struct mem_env_guarded *s, const char *path, const char *to,
                                   struct lam_error *err);

static enum lam_code change(lam_env *base, change_fn fn, const char *path, const char *to,
                            struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    mutex_lock(&env->mu);
    mem_state(env)->ops++;
    enum lam_code rc = fn(mem_state(env), path, to, err);
    mutex_unlock(&env->mu);
    return rc;
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
    if (from->name.size == 0 || to->name.size == 0 || (dir && contains(from->inode, to->dir)))
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

static enum lam_code do_rename(struct mem_env_guarded *s, const char *from_path,
                               const char *to_path, struct lam_error *err) {
    struct place from, to;
    TRY(resolve_existing(s, from_path, "renaming", &from, err));
    TRY(resolve(s, to_path, "renaming to", &to, err));
    if (from.inode == to.inode)
        return LAM_OK;
    TRY(check_rename(&from, &to, from_path, to_path, err));
    if (from.dir == to.dir)
        return mem_dir_change(s, from.dir, from.name, to.name, from.inode, err);
    /* Across directories the name is added before it goes, so that a failure loses nothing. */
    TRY(mem_dir_change(s, to.dir, SLICE_EMPTY, to.name, from.inode, err));
    return mem_dir_change(s, from.dir, from.name, SLICE_EMPTY, NULL, err);
}

static enum lam_code path_rename(lam_env *env, const char *from, const char *to,
                                 struct lam_error *err) {
    return change(env, do_rename, from, to, err);
}

static enum lam_code do_link(struct mem_env_guarded *s, const char *from_path, const char *to_path,
                             struct lam_error *err) {
    struct place from, to;
    TRY(resolve_existing(s, from_path, "linking", &from, err));
    TRY(resolve(s, to_path, "linking to", &to, err));
    if (from.inode->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "linking %s to %s: not a regular file", from_path, to_path);
    if (to.inode)
        return ERR(err, LAM_EXISTS, "linking %s to %s: it exists", from_path, to_path);
    return mem_dir_change(s, to.dir, SLICE_EMPTY, to.name, from.inode, err);
}

static enum lam_code path_link(lam_env *env, const char *from, const char *to,
                               struct lam_error *err) {
    return change(env, do_link, from, to, err);
}

static enum lam_code do_remove(struct mem_env_guarded *s, const char *path, const char *to,
                               struct lam_error *err) {
    struct place p;
    (void)to;
    TRY(resolve_existing(s, path, "removing", &p, err));
    if (p.inode->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "removing %s: is a directory", path);
    return mem_dir_change(s, p.dir, p.name, SLICE_EMPTY, NULL, err);
}

static enum lam_code file_remove(lam_env *env, const char *path, struct lam_error *err) {
    return change(env, do_remove, path, NULL, err);
}

static enum lam_code do_dir_create(struct mem_env_guarded *s, const char *path, const char *to,
                                   struct lam_error *err) {
    struct place p;
    struct inode *n;
    (void)to;
    TRY(resolve(s, path, "making directory", &p, err));
    if (p.inode)
        return ERR(err, LAM_EXISTS, "making directory %s: it exists", path);
    TRY(make_inode(s, &p, LAM_PATH_DIRECTORY, &n, err));
    mem_inode_unref(s, n);
    return LAM_OK;
}

static enum lam_code dir_create(lam_env *env, const char *path, struct lam_error *err) {
    return change(env, do_dir_create, path, NULL, err);
}

static enum lam_code do_dir_remove(struct mem_env_guarded *s, const char *path, const char *to,
                                   struct lam_error *err) {
    struct place p;
    (void)to;
    TRY(resolve_directory(s, path, "removing directory", &p, err));
    if (p.name.size == 0)
        return ERR(err, LAM_INVALID, "removing directory %s: it is the root", path);
    if (p.inode->entries.count > 0)
        return ERR(err, LAM_EXISTS, "removing directory %s: not empty", path);
    return mem_dir_change(s, p.dir, p.name, SLICE_EMPTY, NULL, err);
}

static enum lam_code dir_remove(lam_env *env, const char *path, struct lam_error *err) {
    return change(env, do_dir_remove, path, NULL, err);
}

static enum lam_code do_dir_sync(struct mem_env_guarded *s, const char *path, const char *to,
                                 struct lam_error *err) {
    struct place p;
    (void)to;
    TRY(resolve_directory(s, path, "syncing directory", &p, err));
    return mem_dir_sync(s, p.inode, err);
}

static enum lam_code dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    return change(env, do_dir_sync, path, NULL, err);
}

static enum lam_code copy_names(struct mem_env_guarded *s, const char *path,
                                struct env_names *names, struct lam_error *err) {
    struct place p;
    TRY(resolve_directory(s, path, "listing directory", &p, err));
    for (size_t i = 0; i < p.inode->entries.count; i++)
        TRY(env_names_add(names, p.inode->entries.items[i].name, err));
    return LAM_OK;
}

/* `fn` is called without the mutex: it may use the environment. */
static enum lam_code dir_list(lam_env *base, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    OWNED(env_names_fini) struct env_names names = {0};
    mutex_lock(&env->mu);
    enum lam_code rc = copy_names(mem_state(env), path, &names, err);
    mutex_unlock(&env->mu);
    for (size_t i = 0; rc == LAM_OK && i < names.count && fn(arg, names.items[i]); i++)
        continue;
    return rc;
}

static enum lam_code lock_inode(struct mem_env_guarded *s, const char *path, struct inode **out,
                                struct lam_error *err) {
    TRY(open_inode(s, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE, out, err));
    if ((*out)->locked) {
        mem_inode_unref(s, *out);
        return ERR(err, LAM_BUSY, "locking %s: held by this or another process", path);
    }
    (*out)->locked = true;
    return LAM_OK;
}

static enum lam_code file_lock(lam_env *base, const char *path, lam_file_lock **lock_out,
                               struct lam_error *err) {
    struct mem_env *env = mem_env_of(base);
    struct lam_file_lock *lock = mem_calloc(1, sizeof *lock);
    if (!lock)
        return mem_fail(err, sizeof *lock);
    lock->env = env;
    mutex_lock(&env->mu);
    enum lam_code rc = lock_inode(mem_state(env), path, &lock->inode, err);
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
    mutex_lock(&lock->env->mu);
    LAM_ASSERT(lock->inode->locked);
    lock->inode->locked = false;
    mem_inode_unref(mem_state(lock->env), lock->inode);
    mutex_unlock(&lock->env->mu);
    mem_free(lock);
}

NO_THREAD_SAFETY enum lam_code lam_env_mem_new(lam_env **env_out, struct lam_error *err) {
    if (!env_out)
        return ERR(err, LAM_INVALID, "lam_env_mem_new: env_out is NULL");
    struct mem_env *env = mem_calloc(1, sizeof *env);
    if (!env)
        return mem_fail(err, sizeof *env);
    const struct lam_env_ops *os = lam_env_posix()->ops;
    env->ops = (struct lam_env_ops){
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
        /* The operating system's do not look at the environment that they are called with. */
        .now_us = os->now_us,
        .monotonic_ns = os->monotonic_ns,
        .random_bytes = os->random_bytes,
        .submit = os->submit,
        .cancel = os->cancel,
        .process_id = os->process_id,
    };
    env->base.ops = &env->ops;
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
