/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths and names of a simulated environment. ".." in a path is refused. */
#include "tests/sim/simfs_impl.h"

/* A path taken apart. */
struct place {
    uint32_t dir;     /* directory of the last component; the root itself for "/" */
    uint32_t ino;     /* what the whole path names, or NO_INO */
    const char *name; /* last component, borrowed from the path */
    size_t length;    /* 0 for "/" */
};

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

/* NOT_FOUND if a directory on the way is missing; a missing last component is no error. */
static enum lam_code resolve(const struct simfs *fs, const char *path, const char *attempt,
                             struct place *p, struct lam_error *err) {
    *p = (struct place){.dir = ROOT_INO, .ino = ROOT_INO, .name = ""};
    size_t length;
    for (const char *at = path; next_component(&at, &length); at += length) {
        if (length == 2 && at[0] == '.' && at[1] == '.')
            return ERR(err, LAM_UNSUPPORTED, "%s %s: '..' in a simulated path", attempt, path);
        if (p->ino == NO_INO)
            return missing(err, attempt, path);
        const struct node *n = node_of(fs, p->ino);
        if (n->kind != LAM_PATH_DIRECTORY)
            return ERR(err, LAM_INVALID, "%s %s: not a directory on the way", attempt, path);
        *p = (struct place){p->ino, table_get(n->entries, at, length), at, length};
    }
    return LAM_OK;
}

static enum lam_code resolve_existing(const struct simfs *fs, const char *path, const char *attempt,
                                      struct place *p, struct lam_error *err) {
    TRY(resolve(fs, path, attempt, p, err));
    return p->ino == NO_INO ? missing(err, attempt, path) : LAM_OK;
}

static enum lam_code resolve_directory(const struct simfs *fs, const char *path,
                                       const char *attempt, struct place *p,
                                       struct lam_error *err) {
    TRY(resolve_existing(fs, path, attempt, p, err));
    if (node_of(fs, p->ino)->kind != LAM_PATH_DIRECTORY)
        return ERR(err, LAM_INVALID, "%s %s: not a directory", attempt, path);
    return LAM_OK;
}

/* Names `ino` there. */
static void add_name(struct simfs *fs, const struct place *p, uint32_t ino) {
    struct name *name = name_new(p->name, p->length);
    struct change change = {.added = name, .ino = ino, .peer = NO_INO};
    dir_change(fs, p->dir, change);
    change_drop(&change);
}

static void remove_name(struct simfs *fs, const struct place *p) {
    struct name *name = name_new(p->name, p->length);
    struct change change = {.removed = name, .ino = p->ino, .peer = NO_INO};
    dir_change(fs, p->dir, change);
    change_drop(&change);
}

/* --- opening --------------------------------------------------------------------- */

static enum lam_code check_open(const struct simfs *fs, const struct place *p, const char *path,
                                unsigned flags, struct lam_error *err) {
    if (p->ino == NO_INO)
        return flags & (LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE) ? LAM_OK
                                                              : missing(err, "opening", path);
    if (flags & LAM_OPEN_EXCLUSIVE)
        return ERR(err, LAM_EXISTS, "creating %s: it exists", path);
    if (node_of(fs, p->ino)->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "opening %s: not a regular file", path);
    return LAM_OK;
}

/* Finds or makes the file. With `skip` the change is not made: what is to be created stays without
 * a name. */
static enum lam_code open_node(struct simfs *fs, const char *path, unsigned flags, bool skip,
                               uint32_t *ino_out, struct lam_error *err) {
    struct place p;
    TRY(resolve(fs, path, "opening", &p, err));
    TRY(check_open(fs, &p, path, flags, err));
    if (p.ino == NO_INO) {
        p.ino = slot_take(fs, node_new(LAM_PATH_FILE));
        if (!skip)
            add_name(fs, &p, p.ino);
    } else if ((flags & LAM_OPEN_TRUNCATE) && !skip) {
        file_resize(fs, p.ino, 0);
    }
    *ino_out = p.ino;
    return LAM_OK;
}

static enum lam_code file_open(lam_env *base, const char *path, unsigned flags, lam_file **file_out,
                               struct lam_error *err) {
    struct simfs *fs = simfs_of(base);
    LAM_ASSERT(flags & (LAM_OPEN_READ | LAM_OPEN_WRITE));
    LAM_ASSERT((flags & LAM_OPEN_WRITE) || !(flags & LAM_OPEN_TRUNCATE));
    bool changes = flags & (LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE | LAM_OPEN_TRUNCATE);
    struct call c = {.fs = fs, .op = changes ? SIMFS_CREATE : SIMFS_OPEN, .path = path};
    struct handle *h = NULL;
    enum lam_code rc;
    TRY_GOTO(call_begin(&c, err));
    uint32_t ino;
    TRY_GOTO(open_node(fs, path, flags, call_skips(&c), &ino, err));
    h = handle_new(fs, path, ino, flags & LAM_OPEN_WRITE);
out:
    rc = call_end(&c, rc, err);
    if (rc == LAM_OK)
        *file_out = &h->base;
    else if (h)
        handle_release(h);
    return rc;
}

/* --- looking at names ------------------------------------------------------------------------ */

static enum lam_code path_kind(lam_env *base, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err) {
    struct simfs *fs = simfs_of(base);
    struct call c = {.fs = fs, .op = SIMFS_LOOK, .path = path};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK) {
        struct place p;
        struct lam_error own; /* a success leaves the caller's as it was */
        rc = resolve(fs, path, "looking at", &p, &own);
        bool there = rc == LAM_OK && p.ino != NO_INO && !call_skips(&c);
        *kind_out = there ? node_of(fs, p.ino)->kind : LAM_PATH_NONE;
        c.detail = (uint64_t)*kind_out;
        /* Nothing is at a path that leads through a missing directory or a file. */
        if (rc == LAM_NOT_FOUND || rc == LAM_INVALID)
            rc = LAM_OK;
        if (rc != LAM_OK && err)
            *err = own;
    }
    return call_end(&c, rc, err);
}

/* Order in which a directory is listed: sorted, backwards, or rotated. */
static uint32_t listed_at(uint32_t i, uint32_t count, uint32_t order) {
    if (order == 1)
        return count - 1 - i;
    return order == 0 ? i : (i + order) % count;
}

static void list_names(struct call *c, const struct table *t, lam_dir_fn fn, void *arg) {
    uint32_t count = table_count(t);
    if (c->hit && c->effect == SIMFS_SHORT && count > 0)
        count = sim_choose(c->fs, count);
    uint32_t order = count > 1 ? sim_choose(c->fs, 4) : 0;
    bool go_on = !call_skips(c);
    for (uint32_t i = 0; i < count && go_on; i++)
        go_on = fn(arg, t->items[listed_at(i, count, order)].name->text);
    c->detail = hash_mix(count, order);
}

static enum lam_code dir_list(lam_env *base, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err) {
    struct simfs *fs = simfs_of(base);
    struct call c = {.fs = fs, .op = SIMFS_LOOK, .path = path};
    struct table *names = NULL;
    struct place p;
    enum lam_code rc;
    TRY_GOTO(call_begin(&c, err));
    TRY_GOTO(resolve_directory(fs, path, "listing directory", &p, err));
    /* The directory may change while `fn` looks at what it was. */
    names = table_ref(node_of(fs, p.ino)->entries);
    list_names(&c, names, fn, arg);
    table_drop(&names);
out:
    return call_end(&c, rc, err);
}

/* --- changing names -------------------------------------------------------------------------- */

static bool contains(const struct simfs *fs, uint32_t dir, uint32_t ino) {
    if (dir == ino)
        return true;
    const struct table *t = node_of(fs, dir)->entries;
    for (uint32_t i = 0; i < table_count(t); i++)
        if (node_of(fs, t->items[i].ino)->kind == LAM_PATH_DIRECTORY &&
            contains(fs, t->items[i].ino, ino))
            return true;
    return false;
}

/* What POSIX refuses to rename. */
static enum lam_code check_rename(const struct simfs *fs, const struct place *from,
                                  const struct place *to, const struct call *c,
                                  struct lam_error *err) {
    bool dir = node_of(fs, from->ino)->kind == LAM_PATH_DIRECTORY;
    if (from->length == 0 || to->length == 0 || (dir && contains(fs, from->ino, to->dir)))
        return ERR(err, LAM_INVALID, "renaming %s to %s: into itself", c->path, c->to);
    if (to->ino == NO_INO)
        return LAM_OK;
    const struct node *target = node_of(fs, to->ino);
    if (dir != (target->kind == LAM_PATH_DIRECTORY))
        return ERR(err, LAM_INVALID, "renaming %s to %s: one is a directory, one is not", c->path,
                   c->to);
    if (table_count(target->entries) > 0)
        return ERR(err, LAM_EXISTS, "renaming %s to %s: directory not empty", c->path, c->to);
    return LAM_OK;
}

static void move_name(struct simfs *fs, const struct place *from, const struct place *to) {
    struct name *removed = name_new(from->name, from->length);
    struct name *added = name_new(to->name, to->length);
    struct change whole = {removed, added, from->ino, NO_INO, 0, false};
    if (from->dir == to->dir) {
        dir_change(fs, from->dir, whole);
    } else {
        uint64_t id = ++fs->change_id;
        struct change there = {NULL, added, from->ino, from->dir, id, false};
        struct change here = {removed, NULL, from->ino, to->dir, id, true};
        dir_change(fs, to->dir, there);
        dir_change(fs, from->dir, here);
    }
    change_drop(&whole);
}

static enum lam_code do_rename(struct call *c, struct lam_error *err) {
    struct place from, to;
    TRY(resolve_existing(c->fs, c->path, "renaming", &from, err));
    TRY(resolve(c->fs, c->to, "renaming to", &to, err));
    if (from.ino == to.ino)
        return LAM_OK;
    TRY(check_rename(c->fs, &from, &to, c, err));
    if (!call_skips(c))
        move_name(c->fs, &from, &to);
    return LAM_OK;
}

static enum lam_code path_rename(lam_env *base, const char *from, const char *to,
                                 struct lam_error *err) {
    struct call c = {.fs = simfs_of(base), .op = SIMFS_RENAME, .path = from, .to = to};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_rename(&c, err);
    return call_end(&c, rc, err);
}

static enum lam_code do_link(struct call *c, struct lam_error *err) {
    struct place from, to;
    TRY(resolve_existing(c->fs, c->path, "linking", &from, err));
    TRY(resolve(c->fs, c->to, "linking to", &to, err));
    if (node_of(c->fs, from.ino)->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "linking %s to %s: not a regular file", c->path, c->to);
    if (to.ino != NO_INO)
        return ERR(err, LAM_EXISTS, "linking %s to %s: it exists", c->path, c->to);
    if (!call_skips(c))
        add_name(c->fs, &to, from.ino);
    return LAM_OK;
}

static enum lam_code path_link(lam_env *base, const char *from, const char *to,
                               struct lam_error *err) {
    struct call c = {.fs = simfs_of(base), .op = SIMFS_RENAME, .path = from, .to = to};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_link(&c, err);
    return call_end(&c, rc, err);
}

static enum lam_code do_remove(struct call *c, struct lam_error *err) {
    struct place p;
    TRY(resolve_existing(c->fs, c->path, "removing", &p, err));
    if (node_of(c->fs, p.ino)->kind != LAM_PATH_FILE)
        return ERR(err, LAM_INVALID, "removing %s: is a directory", c->path);
    if (!call_skips(c))
        remove_name(c->fs, &p);
    return LAM_OK;
}

static enum lam_code file_remove(lam_env *base, const char *path, struct lam_error *err) {
    struct call c = {.fs = simfs_of(base), .op = SIMFS_REMOVE, .path = path};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_remove(&c, err);
    return call_end(&c, rc, err);
}

static enum lam_code do_dir_create(struct call *c, struct lam_error *err) {
    struct place p;
    TRY(resolve(c->fs, c->path, "making directory", &p, err));
    if (p.ino != NO_INO)
        return ERR(err, LAM_EXISTS, "making directory %s: it exists", c->path);
    if (!call_skips(c))
        add_name(c->fs, &p, slot_take(c->fs, node_new(LAM_PATH_DIRECTORY)));
    return LAM_OK;
}

static enum lam_code dir_create(lam_env *base, const char *path, struct lam_error *err) {
    struct call c = {.fs = simfs_of(base), .op = SIMFS_DIR_CREATE, .path = path};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_dir_create(&c, err);
    return call_end(&c, rc, err);
}

static enum lam_code do_dir_remove(struct call *c, struct lam_error *err) {
    struct place p;
    TRY(resolve_directory(c->fs, c->path, "removing directory", &p, err));
    if (p.length == 0)
        return ERR(err, LAM_INVALID, "removing directory %s: it is the root", c->path);
    if (table_count(node_of(c->fs, p.ino)->entries) > 0)
        return ERR(err, LAM_EXISTS, "removing directory %s: not empty", c->path);
    if (!call_skips(c))
        remove_name(c->fs, &p);
    return LAM_OK;
}

static enum lam_code dir_remove(lam_env *base, const char *path, struct lam_error *err) {
    struct call c = {.fs = simfs_of(base), .op = SIMFS_REMOVE, .path = path};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_dir_remove(&c, err);
    return call_end(&c, rc, err);
}

static enum lam_code dir_sync(lam_env *base, const char *path, struct lam_error *err) {
    struct call c = {.fs = simfs_of(base), .op = SIMFS_DIR_SYNC, .path = path};
    struct place p;
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = resolve_directory(c.fs, path, "syncing directory", &p, err);
    if (rc == LAM_OK && !call_skips(&c))
        dir_sync_names(c.fs, p.ino);
    return call_end(&c, rc, err);
}

/* --- locks ----------------------------------------------------------------------------------- */

static enum lam_code do_lock(struct call *c, uint32_t *ino_out, struct lam_error *err) {
    unsigned flags = LAM_OPEN_WRITE | LAM_OPEN_CREATE;
    TRY(open_node(c->fs, c->path, flags, false, ino_out, err));
    struct slot *s = &c->fs->slots[*ino_out];
    if (s->locked && !call_skips(c))
        return ERR(err, LAM_BUSY, "locking %s: held by this or another process", c->path);
    if (call_skips(c))
        *ino_out = NO_INO;
    return LAM_OK;
}

static enum lam_code file_lock(lam_env *base, const char *path, lam_file_lock **lock_out,
                               struct lam_error *err) {
    struct simfs *fs = simfs_of(base);
    struct call c = {.fs = fs, .op = SIMFS_OPEN, .path = path};
    uint32_t ino = NO_INO;
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_lock(&c, &ino, err);
    rc = call_end(&c, rc, err);
    if (rc != LAM_OK)
        return rc;
    struct lam_file_lock *lock = sim_alloc(sizeof *lock);
    *lock = (struct lam_file_lock){fs, ino, fs->held};
    fs->held = lock;
    fs->locks++;
    if (ino != NO_INO) {
        fs->slots[ino].locked = true;
        fs->slots[ino].opens++;
    }
    *lock_out = lock;
    return LAM_OK;
}

static void file_unlock(lam_file_lock *lock) {
    if (!lock)
        return;
    struct simfs *fs = lock->fs;
    LAM_ASSERT(fs->locks > 0);
    fs->locks--;
    struct lam_file_lock **link = &fs->held;
    while (*link != lock)
        link = &(*link)->next;
    *link = lock->next;
    if (lock->ino != NO_INO) {
        struct slot *s = &fs->slots[lock->ino];
        LAM_ASSERT(s->locked && s->opens > 0);
        s->locked = false;
        s->opens--;
        slot_release(fs, lock->ino);
    }
    free(lock);
}

static uint64_t process_id(lam_env *env) {
    (void)env;
    return 1;
}

const struct lam_env_ops simfs_ops = {
    .file_open = file_open,
    .file_close = sim_file_close,
    .file_read = sim_file_read,
    .file_write = sim_file_write,
    .file_sync = sim_file_sync,
    .file_size = sim_file_size,
    .file_truncate = sim_file_truncate,
    .file_allocate = sim_file_allocate,
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
    .now_us = sim_now_us,
    .monotonic_ns = sim_monotonic_ns,
    .random_bytes = sim_random_bytes,
    .submit = sim_submit,
    .cancel = sim_cancel,
    .process_id = process_id,
};
