/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations of a simulated environment. ".." in a path is refused. */
#include "tests/sim/simfs_impl.h"

/* A path taken apart. */
struct place {
    uint32_t dir;     /* directory of the last component; the root itself for "/" */
    uint32_t ino;     /* what the whole path names, or NO_INO */
    const char *name; /* last component, borrowed from the path */
    size_t length;    /* 0 for "/" */
};

static struct handle *of(lam_file *file) {
    return (struct handle *)file;
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

/* --- opening and closing --------------------------------------------------------------------- */

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

/* The handle leaves the table of open ones. */
static void release_handle(struct handle *h) {
    struct simfs *fs = h->fs;
    struct slot *s = &fs->slots[h->ino];
    LAM_ASSERT(!h->closed && s->opens > 0);
    h->closed = true;
    fs->open_files--;
    if (--s->opens == 0)
        s->sync_failed = false;
    slot_release(fs, h->ino);
}

/* Closed handles are kept for a while, so that their use is noticed and not just undefined. */
#define CLOSED_MAX 4096

static void drop_old_handles(struct simfs *fs) {
    uint32_t closed = fs->handle_count - fs->open_files;
    if (closed < CLOSED_MAX)
        return;
    uint32_t kept = 0;
    for (struct handle **link = &fs->handles; *link;) {
        struct handle *h = *link;
        if (!h->closed || kept++ < CLOSED_MAX / 2) {
            link = &h->next;
            continue;
        }
        *link = h->next;
        fs->handle_count--;
        free(h);
    }
}

static struct handle *handle_new(struct simfs *fs, const char *path, uint32_t ino, bool writable) {
    drop_old_handles(fs);
    size_t path_size = strlen(path) + 1;
    struct handle *h = sim_alloc(sizeof *h + path_size);
    *h = (struct handle){
        .base.env = &fs->base, .fs = fs, .next = fs->handles, .ino = ino, .writable = writable};
    memcpy(h->path, path, path_size);
    fs->handles = h;
    fs->handle_count++;
    fs->open_files++;
    fs->slots[ino].opens++;
    return h;
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
        release_handle(h);
    return rc;
}

/* A handle that is still one; else notes the violation. */
static enum lam_code check_handle(struct handle *h, const char *attempt, struct lam_error *err) {
    if (!h->closed)
        return LAM_OK;
    violate(h->fs, "%s %s after it was closed", attempt, h->path);
    return ERR(err, LAM_INVALID, "%s %s: it was closed", attempt, h->path);
}

static enum lam_code file_close(lam_file *file, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_handle(h, "closing", err));
    struct call c = {.fs = h->fs, .op = SIMFS_CLOSE, .path = h->path};
    enum lam_code rc = call_begin(&c, err);
    /* Closing a dead process's handle can't fail. */
    if (c.dead)
        rc = LAM_OK;
    release_handle(h);
    return call_end(&c, rc, err);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Where a misdirected transfer goes: a multiple of 512 bytes away in the same file, or the same
 * place of another file whose name ends alike. */
static void misdirect(struct simfs *fs, const struct handle *h, uint32_t *ino, uint64_t *offset,
                      uint64_t size);

static enum lam_code do_read(struct call *c, const struct handle *h, void *data, size_t size,
                             size_t *read_out) {
    struct simfs *fs = c->fs;
    uint32_t ino = h->ino;
    uint64_t offset = c->offset;
    if (c->hit && c->effect == SIMFS_MISDIRECT)
        misdirect(fs, h, &ino, &offset, size);
    const struct content *content = &node_of(fs, ino)->data;
    uint64_t left = offset < content->size ? content->size - offset : 0;
    size_t got = size < left ? size : (size_t)left;
    if (c->hit && c->effect == SIMFS_SHORT && got > 0)
        got = sim_choose(fs, (uint32_t)got);
    if (call_skips(c)) {
        memset(data, 0, got);
    } else if (got > 0) {
        content_read(content, offset, data, got);
        if (c->hit && c->effect == SIMFS_FLIP) {
            uint32_t at = sim_choose(fs, (uint32_t)got);
            ((uint8_t *)data)[at] ^= (uint8_t)(1u << sim_choose(fs, 8));
        }
    }
    c->detail = got ? hash_xxh3(data, got, got) : 0;
    *read_out = got;
    return LAM_OK;
}

static enum lam_code file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                               size_t *read_out, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_handle(h, "reading", err));
    LAM_ASSERT(size <= FILE_BYTES_MAX / 2);
    struct call c = {
        .fs = h->fs, .op = SIMFS_READ, .path = h->path, .offset = offset, .size = size};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_read(&c, h, data, size, read_out);
    return call_end(&c, rc, err);
}

static enum lam_code file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_handle(h, "looking at", err));
    struct call c = {.fs = h->fs, .op = SIMFS_LOOK, .path = h->path};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        *size_out = c.detail = node_of(h->fs, h->ino)->data.size;
    return call_end(&c, rc, err);
}

/* --- writing --------------------------------------------------------------------------------- */

static enum lam_code check_writable(struct handle *h, struct lam_error *err) {
    TRY(check_handle(h, "writing", err));
    if (!h->writable)
        return ERR(err, LAM_INVALID, "writing %s: opened for reading only", h->path);
    return LAM_OK;
}

/* Bytes that a file may grow by. */
static uint64_t room(const struct simfs *fs) {
    if (fs->options.quota == 0)
        return FILE_BYTES_MAX;
    return fs->used < fs->options.quota ? fs->options.quota - fs->used : 0;
}

static enum lam_code no_space(const struct call *c, struct lam_error *err) {
    return ERR(err, LAM_NO_SPACE, "%s: no space left on the simulated disk", c->path);
}

/* The disk is full within this write: nothing of it, all that fits, or something between stays. */
static size_t fitting(struct simfs *fs, uint64_t end_max, uint64_t offset) {
    size_t fits = end_max > offset ? (size_t)(end_max - offset) : 0;
    switch (sim_choose(fs, 3)) {
    case 0:
        return 0;
    case 1:
        return fits;
    default:
        return fits ? sim_choose(fs, (uint32_t)fits) : 0;
    }
}

static enum lam_code do_write(struct call *c, struct handle *h, const void *data, size_t size,
                              struct lam_error *err) {
    struct simfs *fs = c->fs;
    uint32_t ino = h->ino;
    uint64_t offset = c->offset, end;
    if (call_skips(c))
        return LAM_OK;
    if (c->hit && c->effect == SIMFS_MISDIRECT)
        misdirect(fs, h, &ino, &offset, size);
    if (__builtin_add_overflow(offset, size, &end) || end > FILE_BYTES_MAX)
        return no_space(c, err);
    bool shorter = c->hit && c->effect == SIMFS_SHORT;
    uint64_t have = node_of(fs, ino)->data.size;
    if (end > have && end - have > room(fs)) {
        file_write_at(fs, ino, offset, data, fitting(fs, have + room(fs), offset));
        return no_space(c, err);
    }
    if (shorter && size > 0)
        size = sim_choose(fs, (uint32_t)size);
    file_write_at(fs, ino, offset, data, size);
    return shorter ? ERR(err, c->code, "%s: injected failure after %zu bytes", c->path, size)
                   : LAM_OK;
}

static enum lam_code file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                                struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_writable(h, err));
    struct call c = {
        .fs = h->fs,
        .op = SIMFS_WRITE,
        .path = h->path,
        .offset = offset,
        .size = size,
        .detail = size ? hash_xxh3(data, size, 1) : 0,
        .ino = h->ino,
        .data = data,
    };
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = do_write(&c, h, data, size, err);
    return call_end(&c, rc, err);
}

static enum lam_code resize(struct call *c, struct handle *h, bool only_grow,
                            struct lam_error *err) {
    uint64_t have = node_of(c->fs, h->ino)->data.size;
    if (call_skips(c) || (only_grow && c->size <= have))
        return LAM_OK;
    if (c->size > FILE_BYTES_MAX || (c->size > have && c->size - have > room(c->fs)))
        return no_space(c, err);
    file_resize(c->fs, h->ino, c->size);
    return LAM_OK;
}

static enum lam_code file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_writable(h, err));
    struct call c = {.fs = h->fs, .op = SIMFS_TRUNCATE, .path = h->path, .size = size};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = resize(&c, h, false, err);
    return call_end(&c, rc, err);
}

static enum lam_code file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_writable(h, err));
    struct call c = {.fs = h->fs, .op = SIMFS_TRUNCATE, .path = h->path, .size = size};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = resize(&c, h, true, err);
    return call_end(&c, rc, err);
}

/* The kernel gave up on the file's dirty pages: it counts them as clean, the disk never got them,
 * and no later sync will write them. Btrfs throws the pages away as well. */
static void lose_dirty(struct simfs *fs, uint32_t ino, bool revert) {
    struct node *n = node_edit(fs, ino);
    n->dirty_count = 0;
    content_drop(&n->mid);
    if (!revert) {
        n->lost = true;
        return;
    }
    fs->used += n->synced.size - n->data.size;
    content_drop(&n->data);
    n->data = content_ref(&n->synced);
}

static enum lam_code file_sync(lam_file *file, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_handle(h, "syncing", err));
    struct simfs *fs = h->fs;
    struct call c = {.fs = fs, .op = SIMFS_SYNC, .path = h->path};
    enum lam_code rc = call_begin(&c, err);
    if (!c.dead && fs->slots[h->ino].sync_failed)
        violate(fs, "%s is synced again after a failed sync", h->path);
    bool loses = c.hit && (c.effect == SIMFS_FSYNC_EXT4 || c.effect == SIMFS_FSYNC_BTRFS);
    if (rc == LAM_OK && loses) {
        lose_dirty(fs, h->ino, c.effect == SIMFS_FSYNC_BTRFS);
        rc = ERR(err, c.code, "%s: injected failure of a sync", h->path);
    } else if (rc == LAM_OK && !call_skips(&c)) {
        file_make_durable(fs, h->ino);
    }
    rc = call_end(&c, rc, err);
    if (!c.dead && rc != LAM_OK)
        fs->slots[h->ino].sync_failed = true;
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
    *lock = (struct lam_file_lock){fs, ino};
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
    if (lock->ino != NO_INO) {
        struct slot *s = &fs->slots[lock->ino];
        LAM_ASSERT(s->locked && s->opens > 0);
        s->locked = false;
        s->opens--;
        slot_release(fs, lock->ino);
    }
    free(lock);
}

/* --- misdirected transfers ------------------------------------------------------------------- */

/* What follows the last '.' of a name, or the whole of it. */
static const char *kind_of_name(const char *name) {
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    return dot ? dot : base;
}

/* A file with a name of the same kind in a directory that has one of `ino`; NO_INO: there is none.
 */
static uint32_t another_file(struct simfs *fs, const struct handle *h) {
    uint32_t found = NO_INO, count = 0;
    for (uint32_t dir = 0; dir < fs->slot_count; dir++) {
        const struct node *n = fs->slots[dir].node;
        if (!n || n->kind != LAM_PATH_DIRECTORY)
            continue;
        for (uint32_t i = 0; i < table_count(n->entries); i++) {
            const struct entry *e = &n->entries->items[i];
            if (e->ino == h->ino || node_of(fs, e->ino)->kind != LAM_PATH_FILE ||
                strcmp(kind_of_name(e->name->text), kind_of_name(h->path)) != 0)
                continue;
            count++;
            if (count == 1 || sim_choose(fs, count) == 0)
                found = e->ino;
        }
    }
    return found;
}

static void misdirect(struct simfs *fs, const struct handle *h, uint32_t *ino, uint64_t *offset,
                      uint64_t size) {
    uint32_t other = another_file(fs, h);
    if (other != NO_INO && sim_choose(fs, 2) == 1) {
        *ino = other;
        return;
    }
    uint64_t file = node_of(fs, *ino)->data.size;
    uint64_t places = file > size ? (file - size) / 512 + 1 : 1;
    uint64_t to = sim_choose(fs, (uint32_t)places) * UINT64_C(512) + *offset % 512;
    *offset = to != *offset ? to : *offset + 512;
}

static uint64_t process_id(lam_env *env) {
    (void)env;
    return 1;
}

const struct lam_env_ops simfs_ops = {
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
    .now_us = sim_now_us,
    .monotonic_ns = sim_monotonic_ns,
    .random_bytes = sim_random_bytes,
    .submit = sim_submit,
    .cancel = sim_cancel,
    .process_id = process_id,
};
