/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks from file to file; files that hold range tombstones only are stepped over. It is the
 * iterator of the file it is in, carried on to the next one at its end, so a step within a file
 * costs no more than there. */
#include "lsm/level_iter.h"

#include "base/assert.h"
#include "base/mem.h"
#include "lamina/db.h"
#include "lsm/sst_iter.h"

struct level_iter {
    struct sst_iter file;           /* first: its base is the level's */
    struct sst_cache *cache;        /* borrowed */
    struct file_meta *const *files; /* borrowed */
    size_t count;
    size_t at; /* index of the file `file` is in; `count`: none yet */
};

static struct level_iter *level_of(struct cursor_iter *it) {
    return (struct level_iter *)it;
}

/* Goes over to files[at]. */
static bool open_file(struct level_iter *l, size_t at) {
    struct cursor_iter *base = &l->file.base;
    if (l->at == at)
        return true;
    struct sst *s;
    base->valid = false;
    base->code = sst_cache_get(l->cache, l->files[at], &s, &base->error);
    if (base->code != LAM_OK)
        return false;
    sst_iter_attach(&l->file, s);
    l->at = at;
    base->passed = &l->files[at]->passed;
    return true;
}

/* Goes on to the next (or previous) file while the present one is at its end. */
static void settle(struct level_iter *l, bool forward) {
    struct cursor_iter *base = &l->file.base;
    while (!base->valid && base->code == LAM_OK) {
        if (forward ? l->at + 1 >= l->count : l->at == 0)
            return;
        if (!open_file(l, forward ? l->at + 1 : l->at - 1))
            return;
        if (forward)
            sst_iter_seek_first(base);
        else
            sst_iter_seek_last(base);
    }
}

/* Clears the state for a new seek; false if there is nothing to stand on. */
static bool begin(struct level_iter *l) {
    l->file.base.code = LAM_OK;
    l->file.base.valid = false;
    return l->count > 0;
}

static void level_seek_first(struct cursor_iter *it) {
    struct level_iter *l = level_of(it);
    if (!begin(l) || !open_file(l, 0))
        return;
    sst_iter_seek_first(it);
    settle(l, true);
}

static void level_seek_last(struct cursor_iter *it) {
    struct level_iter *l = level_of(it);
    if (!begin(l) || !open_file(l, l->count - 1))
        return;
    sst_iter_seek_last(it);
    settle(l, false);
}

/* Last file whose smallest is <= key; `count` if none. */
static size_t floor_of(const struct level_iter *l, struct lam_slice key) {
    struct version_level all = {.files = (struct file_meta **)l->files, .count = l->count};
    return version_floor(&all, key);
}

/* Goes over to the file that may hold what comes before the key; false: there is none, or it failed
 * to open. */
static bool open_for(struct level_iter *l, struct lam_slice key) {
    size_t at = l->count > 1 ? floor_of(l, key) : 0;
    return open_file(l, at == l->count ? 0 : at);
}

static void level_aim(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct level_iter *l = level_of(it);
    if (l->file.aim != SST_AIM_NONE || (begin(l) && open_for(l, key)))
        sst_iter_aim(it, key, sequence);
}

static void level_seek(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct level_iter *l = level_of(it);
    if (l->file.aim == SST_AIM_NONE && (!begin(l) || !open_for(l, key)))
        return;
    sst_iter_seek(it, key, sequence);
    settle(l, true);
}

static void level_seek_before(struct cursor_iter *it, struct lam_slice key, uint64_t sequence) {
    struct level_iter *l = level_of(it);
    if (!begin(l))
        return;
    size_t at = floor_of(l, key);
    if (at == l->count || !open_file(l, at))
        return;
    sst_iter_seek_before(it, key, sequence);
    settle(l, false);
}

static void level_next(struct cursor_iter *it) {
    sst_iter_next(it);
    if (!it->valid)
        settle(level_of(it), true);
}

static void level_prev(struct cursor_iter *it) {
    sst_iter_prev(it);
    if (!it->valid)
        settle(level_of(it), false);
}

/* Versions of a key stand in one file. */
static void level_next_key(struct cursor_iter *it) {
    sst_iter_next_key(it);
    if (!it->valid)
        settle(level_of(it), true);
}

/* Whether nothing in the present file reaches to the bound, going that way. */
static bool ends_before(const struct file_meta *f, struct lam_slice bound, bool forward) {
    if (!forward)
        return slice_cmp(f->smallest, bound) >= 0;
    return bound.size == 0 || (!f->largest_open && slice_cmp(f->largest, bound) < 0);
}

static bool level_skip(struct cursor_iter *it, struct lam_slice bound, uint64_t upto,
                       bool forward) {
    struct level_iter *l = level_of(it);
    bool moved = false;
    while (it->valid && l->files[l->at]->properties.sequence_max <= upto) {
        int c = forward && bound.size == 0 ? -1 : slice_cmp(it->entry.key, bound);
        if (forward ? c >= 0 : c < 0)
            break;
        moved = true;
        if (ends_before(l->files[l->at], bound, forward)) {
            it->valid = false;
            settle(l, forward);
        } else if (forward) {
            level_seek(it, bound, LAM_SEQUENCE_MAX);
        } else {
            level_seek_before(it, bound, LAM_SEQUENCE_MAX);
        }
    }
    return moved;
}

static void level_free(struct cursor_iter *it) {
    sst_iter_fini(&level_of(it)->file);
    if (!it->embedded)
        mem_free(it);
}

static const struct iter_ops level_ops = {
    .seek_first = level_seek_first,
    .seek_last = level_seek_last,
    .aim = level_aim,
    .seek = level_seek,
    .seek_before = level_seek_before,
    .next = level_next,
    .prev = level_prev,
    .next_key = level_next_key,
    .is_newest = sst_iter_is_newest,
    .skip = level_skip,
    .free = level_free,
};

size_t level_iter_bytes(void) {
    return sizeof(struct level_iter);
}

struct cursor_iter *level_iter_init(void *at, struct sst_cache *cache,
                                    struct file_meta *const *files, size_t count, bool fill_cache) {
    struct level_iter *l = at;
    sst_iter_init(&l->file, &level_ops, fill_cache);
    l->file.base.embedded = true;
    l->cache = cache;
    l->files = files;
    l->count = count;
    l->at = count;
    return &l->file.base;
}

enum lam_code level_iter_new(struct sst_cache *cache, struct file_meta *const *files, size_t count,
                             bool fill_cache, struct cursor_iter **it_out, struct lam_error *err) {
    void *at = mem_alloc(sizeof(struct level_iter));
    if (!at)
        return mem_fail(err, sizeof(struct level_iter));
    *it_out = level_iter_init(at, cache, files, count, fill_cache);
    (*it_out)->embedded = false;
    return LAM_OK;
}
