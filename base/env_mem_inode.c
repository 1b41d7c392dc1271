/* SPDX-License-Identifier: Apache-2.0
 *
 * Inodes of the in-memory environment: content with its undo units, directories with their pending
 * changes. */
#include "base/assert.h"
#include "base/env_mem.h"

struct inode *mem_inode_new(struct mem_env_guarded *s, enum lam_path_kind kind) {
    struct inode *n = mem_calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->kind = kind;
    n->refs = 1;
    n->next = s->inodes;
    if (n->next)
        n->next->prev = n;
    s->inodes = n;
    return n;
}

static void free_table(struct dir_table *t) {
    for (size_t i = 0; i < t->count; i++)
        mem_free(t->items[i].name);
    mem_free(t->items);
    *t = (struct dir_table){0};
}

void mem_inode_free(struct mem_env_guarded *s, struct inode *n) {
    if (n->next)
        n->next->prev = n->prev;
    if (n->prev)
        n->prev->next = n->next;
    else
        s->inodes = n->next;
    free_table(&n->entries);
    free_table(&n->synced);
    for (size_t i = 0; i < n->pending_count; i++) {
        mem_free(n->pending[i].removed);
        mem_free(n->pending[i].added);
    }
    mem_free(n->pending);
    mem_free(n->data);
    mem_free(n->undo);
    mem_free(n->changed);
    mem_free(n);
}

void mem_inode_unref(struct mem_env_guarded *s, struct inode *n) {
    LAM_ASSERT(n->refs > 0);
    if (--n->refs > 0)
        return;
    for (size_t i = 0; i < n->entries.count; i++)
        mem_inode_unref(s, n->entries.items[i].inode);
    for (size_t i = 0; i < n->synced.count; i++)
        mem_inode_unref(s, n->synced.items[i].inode);
    for (size_t i = 0; i < n->pending_count; i++)
        if (n->pending[i].inode)
            mem_inode_unref(s, n->pending[i].inode);
    mem_inode_free(s, n);
}

static size_t units_of(size_t size) {
    return size / MEM_UNIT + (size % MEM_UNIT != 0);
}

static bool is_changed(const struct inode *n, size_t unit) {
    return (n->changed[unit / 8] >> (unit % 8)) & 1;
}

/* Room for an undo entry of every synced unit in [from, to). */
static enum lam_code reserve_undo(struct inode *n, size_t from, size_t to, struct lam_error *err) {
    size_t before = n->changed_capacity;
    TRY(MEM_GROW(&n->changed, &n->changed_capacity, to / 8 + 1, err));
    memset(n->changed + before, 0, n->changed_capacity - before);
    size_t missing = 0;
    for (size_t unit = from; unit < to; unit++)
        missing += !is_changed(n, unit);
    return MEM_GROW(&n->undo, &n->undo_capacity, n->undo_count + missing, err);
}

static void save_unit(struct inode *n, size_t unit) {
    DEBUG_ASSERT(n->undo_count < n->undo_capacity);
    size_t start = unit * MEM_UNIT;
    size_t size = n->synced_size - start < MEM_UNIT ? n->synced_size - start : MEM_UNIT;
    /* M1: not changed since, so not cut off either. */
    LAM_ASSERT(start + size <= n->size);
    struct unit_undo *u = &n->undo[n->undo_count++];
    u->unit = unit;
    memcpy(u->bytes, n->data + start, size);
    memset(u->bytes + size, 0, MEM_UNIT - size);
    n->changed[unit / 8] |= (uint8_t)(1u << (unit % 8));
}

/* Keeps the synced units that [from, to) touches before they change. */
static enum lam_code save_units(struct inode *n, size_t from, size_t to, struct lam_error *err) {
    size_t first = from / MEM_UNIT, end = units_of(to);
    if (end > units_of(n->synced_size))
        end = units_of(n->synced_size);
    if (first >= end)
        return LAM_OK;
    TRY(reserve_undo(n, first, end, err));
    for (size_t unit = first; unit < end; unit++)
        if (!is_changed(n, unit))
            save_unit(n, unit);
    return LAM_OK;
}

static enum lam_code reserve_size(struct inode *n, uint64_t size, struct lam_error *err) {
    if (size > INT64_MAX)
        return ERR(err, LAM_INVALID, "in-memory file: size %llu is too large",
                   (unsigned long long)size);
    return MEM_GROW(&n->data, &n->capacity, (size_t)size, err);
}

enum lam_code mem_inode_write(struct inode *n, uint64_t offset, const void *data, size_t size,
                              struct lam_error *err) {
    if (size == 0)
        return LAM_OK;
    uint64_t end;
    if (__builtin_add_overflow(offset, size, &end))
        end = UINT64_MAX;
    TRY(reserve_size(n, end, err));
    TRY(save_units(n, (size_t)offset, (size_t)end, err));
    if (offset > n->size)
        memset(n->data + n->size, 0, (size_t)offset - n->size);
    memcpy(n->data + offset, data, size);
    if (end > n->size)
        n->size = (size_t)end;
    return LAM_OK;
}

enum lam_code mem_inode_resize(struct inode *n, uint64_t size, struct lam_error *err) {
    if (size > n->size) {
        TRY(reserve_size(n, size, err));
        memset(n->data + n->size, 0, (size_t)size - n->size);
    } else {
        TRY(save_units(n, (size_t)size, n->size, err));
    }
    n->size = (size_t)size;
    return LAM_OK;
}

void mem_inode_sync(struct inode *n) {
    if (n->changed)
        memset(n->changed, 0, n->changed_capacity);
    mem_free(n->undo);
    n->undo = NULL;
    n->undo_count = n->undo_capacity = 0;
    n->synced_size = n->size;
}

/* Index of `name`, or of where it belongs with *found_out false. */
static size_t find(const struct dir_table *t, struct lam_slice name, bool *found_out) {
    size_t low = 0, high = t->count;
    *found_out = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = slice_cmp(lam_slice_str(t->items[mid].name), name);
        if (order == 0) {
            *found_out = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct inode *mem_table_get(const struct dir_table *t, struct lam_slice name) {
    bool found;
    size_t i = find(t, name, &found);
    return found ? t->items[i].inode : NULL;
}

static enum lam_code copy_name(char **out, struct lam_slice name, struct lam_error *err) {
    *out = mem_calloc(1, name.size + 1);
    if (!*out)
        return mem_fail(err, name.size + 1);
    memcpy(*out, name.data, name.size);
    return LAM_OK;
}

enum lam_code mem_table_put(struct mem_env_guarded *s, struct dir_table *t, struct lam_slice name,
                            struct inode *n, struct lam_error *err) {
    bool found;
    size_t i = find(t, name, &found);
    if (found) {
        n->refs++;
        mem_inode_unref(s, t->items[i].inode);
        t->items[i].inode = n;
        return LAM_OK;
    }
    TRY(MEM_GROW(&t->items, &t->capacity, t->count + 1, err));
    char *copy;
    TRY(copy_name(&copy, name, err));
    memmove(t->items + i + 1, t->items + i, (t->count - i) * sizeof *t->items);
    t->items[i] = (struct dir_entry){copy, n};
    t->count++;
    n->refs++;
    return LAM_OK;
}

void mem_table_remove(struct mem_env_guarded *s, struct dir_table *t, struct lam_slice name) {
    bool found;
    size_t i = find(t, name, &found);
    if (!found)
        return;
    struct dir_entry gone = t->items[i];
    memmove(t->items + i, t->items + i + 1, (t->count - i - 1) * sizeof *t->items);
    t->count--;
    mem_free(gone.name);
    mem_inode_unref(s, gone.inode);
}

/* Adds first: that is the part that can fail, and the inode never goes without a reference. */
static enum lam_code apply(struct mem_env_guarded *s, struct dir_table *t,
                           const struct name_change *change, struct lam_error *err) {
    if (change->added)
        TRY(mem_table_put(s, t, lam_slice_str(change->added), change->inode, err));
    if (change->removed)
        mem_table_remove(s, t, lam_slice_str(change->removed));
    return LAM_OK;
}

static void drop_change(struct mem_env_guarded *s, struct name_change *change) {
    mem_free(change->removed);
    mem_free(change->added);
    if (change->inode)
        mem_inode_unref(s, change->inode);
}

static enum lam_code fill_change(struct mem_env_guarded *s, struct inode *dir,
                                 struct name_change *change, struct lam_slice removed,
                                 struct lam_slice added, struct lam_error *err) {
    if (removed.size > 0)
        TRY(copy_name(&change->removed, removed, err));
    if (added.size > 0)
        TRY(copy_name(&change->added, added, err));
    return apply(s, &dir->entries, change, err);
}

enum lam_code mem_dir_change(struct mem_env_guarded *s, struct inode *dir, struct lam_slice removed,
                             struct lam_slice added, struct inode *n, struct lam_error *err) {
    LAM_ASSERT(dir->kind == LAM_PATH_DIRECTORY && (added.size > 0) == (n != NULL));
    TRY(MEM_GROW(&dir->pending, &dir->pending_capacity, dir->pending_count + 1, err));
    struct name_change change = {.inode = n};
    if (n)
        n->refs++;
    enum lam_code rc = fill_change(s, dir, &change, removed, added, err);
    if (rc == LAM_OK)
        dir->pending[dir->pending_count++] = change;
    else
        drop_change(s, &change);
    return rc;
}

/* Each change is dropped as it is applied, so that a failure leaves M2 true. */
enum lam_code mem_dir_sync(struct mem_env_guarded *s, struct inode *dir, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    size_t done = 0;
    for (; done < dir->pending_count; done++) {
        rc = apply(s, &dir->synced, &dir->pending[done], err);
        if (rc != LAM_OK)
            break;
        drop_change(s, &dir->pending[done]);
    }
    dir->pending_count -= done;
    if (dir->pending_count > 0)
        memmove(dir->pending, dir->pending + done, dir->pending_count * sizeof *dir->pending);
    return rc;
}
