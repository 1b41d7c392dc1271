/* SPDX-License-Identifier: Apache-2.0
 *
 * Open files of a simulated environment: what is read and written through a handle. */
#include "tests/sim/simfs_impl.h"

static struct handle *of(lam_file *file) {
    return (struct handle *)file;
}

/* --- handles --------------------------------------------------------------------------------- */

void handle_release(struct handle *h) {
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

struct handle *handle_new(struct simfs *fs, const char *path, uint32_t ino, bool writable) {
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

/* A handle that is still one; else notes the violation. */
static enum lam_code check_handle(struct handle *h, const char *attempt, struct lam_error *err) {
    if (!h->closed)
        return LAM_OK;
    violate(h->fs, "%s %s after it was closed", attempt, h->path);
    return ERR(err, LAM_INVALID, "%s %s: it was closed", attempt, h->path);
}

enum lam_code sim_file_close(lam_file *file, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_handle(h, "closing", err));
    struct call c = {.fs = h->fs, .op = SIMFS_CLOSE, .path = h->path};
    enum lam_code rc = call_begin(&c, err);
    /* Closing a dead process's handle can't fail. */
    if (c.dead)
        rc = LAM_OK;
    handle_release(h);
    return call_end(&c, rc, err);
}

/* --- misdirected transfers ------------------------------------------------------------------- */

/* What follows the last '.' of a name, or the whole of it. */
static const char *kind_of_name(const char *name) {
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    return dot ? dot : base;
}

/* A file whose name is of the same kind; NO_INO: there is none. */
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

/* Where a misdirected transfer goes: a multiple of 512 bytes away in the same file, or the same
 * place of another file whose name ends alike. */
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

/* --- reading --------------------------------------------------------------------------------- */

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

enum lam_code sim_file_read(lam_file *file, uint64_t offset, void *data, size_t size,
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

enum lam_code sim_file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
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

enum lam_code sim_file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
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

enum lam_code sim_file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct handle *h = of(file);
    TRY(check_writable(h, err));
    struct call c = {.fs = h->fs, .op = SIMFS_TRUNCATE, .path = h->path, .size = size};
    enum lam_code rc = call_begin(&c, err);
    if (rc == LAM_OK)
        rc = resize(&c, h, false, err);
    return call_end(&c, rc, err);
}

enum lam_code sim_file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
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

enum lam_code sim_file_sync(lam_file *file, struct lam_error *err) {
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
