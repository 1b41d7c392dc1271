/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks from file to file; files that hold range tombstones only are stepped over. */
#include "lsm/level_iter.h"

#include "base/assert.h"
#include "base/mem.h"

struct level_iter {
    struct cursor_iter base;
    struct sst_cache *cache;        /* borrowed */
    struct file_meta *const *files; /* borrowed */
    size_t count;
    size_t at;                /* index of `file`'s file */
    struct cursor_iter *file; /* over files[at]; NULL: none open; owned */
    bool fill_cache;
};

static struct level_iter *level_of(struct cursor_iter *it) {
    return (struct level_iter *)it;
}

static void close_file(struct level_iter *l) {
    if (l->file)
        l->file->ops->free(l->file);
    l->file = NULL;
}

/* Makes `file` stand for files[at]. */
static bool open_file(struct level_iter *l, size_t at) {
    if (l->file && l->at == at)
        return true;
    close_file(l);
    struct sst *s;
    l->base.code = sst_cache_get(l->cache, l->files[at], &s, &l->base.error);
    if (l->base.code == LAM_OK) {
        l->base.code = sst_iter_new(s, l->fill_cache, &l->file, &l->base.error);
        sst_unref(s);
    }
    if (l->base.code != LAM_OK) {
        l->base.valid = false;
        return false;
    }
    l->at = at;
    return true;
}

/* Takes over the file iterator's position, going on to the next (or previous) file while it is at
 * its end. */
static void settle(struct level_iter *l, bool forward) {
    for (;;) {
        if (l->file->code != LAM_OK) {
            l->base.code = l->file->code;
            l->base.error = l->file->error;
            l->base.valid = false;
            return;
        }
        if (l->file->valid)
            break;
        if (forward ? l->at + 1 >= l->count : l->at == 0) {
            l->base.valid = false;
            return;
        }
        if (!open_file(l, forward ? l->at + 1 : l->at - 1))
            return;
        if (forward)
            l->file->ops->seek_first(l->file);
        else
            l->file->ops->seek_last(l->file);
    }
    l->base.valid = true;
    l->base.entry = l->file->entry;
}

/* Clears the state for a new seek; false if there is nothing to stand on. */
static bool begin(struct level_iter *l) {
    l->base.code = LAM_OK;
    l->base.valid = false;
    return l->count > 0;
}

static void level_seek_first(struct cursor_iter *it) {
    struct level_iter *l = level_of(it);
    if (!begin(l) || !open_file(l, 0))
        return;
    l->file->ops->seek_first(l->file);
    settle(l, true);
}

static void level_seek_last(struct cursor_iter *it) {
    struct level_iter *l = level_of(it);
    if (!begin(l) || !open_file(l, l->count - 1))
        return;
    l->file->ops->seek_last(l->file);
    settle(l, false);
}

/* Last file whose smallest is <= key; `count` if none. */
static size_t floor_of(const struct level_iter *l, struct lam_slice key) {
    struct version_level all = {(struct file_meta **)l->files, l->count, 0};
    return version_floor(&all, key);
}

static void level_seek(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct level_iter *l = level_of(it);
    if (!begin(l))
        return;
    size_t at = floor_of(l, key);
    if (at == l->count)
        at = 0;
    if (!open_file(l, at))
        return;
    l->file->ops->seek(l->file, key, sequence);
    settle(l, true);
}

static void level_seek_before(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct level_iter *l = level_of(it);
    if (!begin(l))
        return;
    size_t at = floor_of(l, key);
    if (at == l->count || !open_file(l, at))
        return;
    l->file->ops->seek_before(l->file, key, sequence);
    settle(l, false);
}

static void level_next(struct cursor_iter *it) {
    struct level_iter *l = level_of(it);
    LAM_ASSERT(it->valid);
    l->file->ops->next(l->file);
    settle(l, true);
}

static void level_prev(struct cursor_iter *it) {
    struct level_iter *l = level_of(it);
    LAM_ASSERT(it->valid);
    l->file->ops->prev(l->file);
    settle(l, false);
}

static void level_free(struct cursor_iter *it) {
    close_file(level_of(it));
    mem_free(it);
}

static const struct iter_ops level_ops = {
    level_seek_first, level_seek_last, level_seek, level_seek_before,
    level_next,       level_prev,      level_free,
};

enum lam_code level_iter_new(struct sst_cache *cache, struct file_meta *const *files, size_t count,
                             bool fill_cache, struct cursor_iter **it_out, struct lam_error *err) {
    struct level_iter *l = mem_calloc(1, sizeof *l);
    if (!l)
        return mem_fail(err, sizeof *l);
    l->base.ops = &level_ops;
    l->cache = cache;
    l->files = files;
    l->count = count;
    l->fill_cache = fill_cache;
    *it_out = &l->base;
    return LAM_OK;
}
