/* SPDX-License-Identifier: Apache-2.0
 *
 * Images of an in-memory environment after a crash. Each directory keeps a set of names by mode,
 * each file a content; an inode reached by several names is copied once. The image is as durable
 * as a disk after a reboot: all of it counts as synced. */
#include "base/assert.h"
#include "base/env_mem.h"
#include "base/rng.h"

struct crash {
    struct mem_env_guarded *image;
    enum lam_crash_mode mode;
    struct rng rng;
    struct lam_error *err;
};

static bool coin(struct crash *c) {
    return rng_next(&c->rng) >> 63;
}

static size_t crash_size(struct crash *c, const struct inode *n) {
    if (c->mode == LAM_CRASH_PROCESS || n->size == n->synced_size)
        return n->size;
    if (c->mode == LAM_CRASH_POWER)
        return n->synced_size;
    size_t low = n->size < n->synced_size ? n->size : n->synced_size;
    size_t high = n->size < n->synced_size ? n->synced_size : n->size;
    switch (rng_below(&c->rng, 3)) {
    case 0:
        return n->synced_size;
    case 1:
        return n->size;
    default:
        return low + (size_t)rng_below(&c->rng, high - low + 1);
    }
}

/* Whether a unit that differs from its synced state comes out as it was synced. */
static bool loses_unit(struct crash *c) {
    return c->mode == LAM_CRASH_POWER || coin(c);
}

static enum lam_code crash_content(struct crash *c, const struct inode *from, struct inode *to) {
    size_t size = crash_size(c, from);
    TRY(mem_inode_resize(to, size, c->err));
    if (size == 0)
        return LAM_OK;
    size_t kept = size < from->size ? size : from->size;
    if (kept > 0)
        memcpy(to->data, from->data, kept);
    if (c->mode != LAM_CRASH_PROCESS) {
        for (size_t i = 0; i < from->undo_count; i++) {
            const struct unit_undo *u = &from->undo[i];
            size_t at = (size_t)u->unit * MEM_UNIT;
            if (at < size && loses_unit(c))
                memcpy(to->data + at, u->bytes, size - at < MEM_UNIT ? size - at : MEM_UNIT);
        }
        /* Units past the synced size were zeros or nothing. */
        size_t at = (from->synced_size + MEM_UNIT - 1) / MEM_UNIT * MEM_UNIT;
        for (; at < kept; at += MEM_UNIT)
            if (loses_unit(c))
                memset(to->data + at, 0, kept - at < MEM_UNIT ? kept - at : MEM_UNIT);
    }
    mem_inode_sync(to);
    return LAM_OK;
}

static enum lam_code crash_names(struct crash *c, struct inode *from, struct inode *to);

/* Makes the image's counterpart of `n` unless it is there. `n->image` holds a reference: a kept
 * removal must not free what a later name brings back. */
static enum lam_code make_image(struct crash *c, struct inode *n) {
    if (n->image)
        return LAM_OK;
    n->image = mem_inode_new(c->image, n->kind);
    if (!n->image)
        return mem_fail(c->err, sizeof *n);
    return n->kind == LAM_PATH_FILE ? crash_content(c, n, n->image) : crash_names(c, n, n->image);
}

static enum lam_code copy_entry(struct crash *c, struct inode *to, const char *name,
                                struct inode *n) {
    TRY(make_image(c, n));
    TRY(mem_table_put(c->image, &to->entries, lam_slice_str(name), n->image, c->err));
    return mem_table_put(c->image, &to->synced, lam_slice_str(name), n->image, c->err);
}

static enum lam_code copy_table(struct crash *c, const struct dir_table *from, struct inode *to) {
    for (size_t i = 0; i < from->count; i++)
        TRY(copy_entry(c, to, from->items[i].name, from->items[i].inode));
    return LAM_OK;
}

/* The synced names, then a prefix of the changes since. */
static enum lam_code crash_names(struct crash *c, struct inode *from, struct inode *to) {
    if (c->mode == LAM_CRASH_PROCESS)
        return copy_table(c, &from->entries, to);
    TRY(copy_table(c, &from->synced, to));
    if (c->mode == LAM_CRASH_POWER)
        return LAM_OK;
    size_t kept = (size_t)rng_below(&c->rng, from->pending_count + 1);
    for (size_t i = 0; i < kept; i++) {
        const struct name_change *change = &from->pending[i];
        if (change->added)
            TRY(copy_entry(c, to, change->added, change->inode));
        if (change->removed) {
            mem_table_remove(c->image, &to->entries, lam_slice_str(change->removed));
            mem_table_remove(c->image, &to->synced, lam_slice_str(change->removed));
        }
    }
    return LAM_OK;
}

enum lam_code lam_env_mem_crash(lam_env *base, enum lam_crash_mode mode, uint64_t seed,
                                lam_env **image_out, struct lam_error *err) {
    if (!base || !image_out || (unsigned)mode > LAM_CRASH_POWER_ANY)
        return ERR(err, LAM_INVALID, "lam_env_mem_crash: no environment, no image or mode %d",
                   (int)mode);
    struct mem_env *env = mem_env_of(base);
    lam_env *image_base = NULL;
    TRY(lam_env_mem_new(&image_base, err));
    struct mem_env *image = mem_env_of(image_base);
    struct crash c = {.mode = mode, .err = err};
    rng_init(&c.rng, seed);
    mutex_lock(&env->mu);
    /* Nobody else knows the image, so its mutex, of the same rank, is not taken. */
    c.image = &image->guarded_;
    for (struct inode *n = mem_state(env)->inodes; n; n = n->next)
        n->image = NULL;
    mem_state(env)->root->image = c.image->root;
    c.image->root->refs++;
    enum lam_code rc = crash_names(&c, mem_state(env)->root, c.image->root);
    for (struct inode *n = mem_state(env)->inodes; n; n = n->next)
        if (n->image)
            mem_inode_unref(c.image, n->image);
    mutex_unlock(&env->mu);
    if (rc == LAM_OK)
        *image_out = image_base;
    else
        lam_env_mem_free(image_base);
    return rc;
}
