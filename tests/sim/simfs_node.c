/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes in their slots, names in their tables, changes since the last sync. */
#include "tests/sim/simfs_impl.h"

/* --- names and tables ------------------------------------------------------------------------ */

struct name *name_new(const char *text, size_t length) {
    struct name *n = sim_alloc(sizeof *n + length + 1);
    *n = (struct name){.refs = 1, .length = (uint32_t)length};
    memcpy(n->text, text, length);
    n->text[length] = '\0';
    return n;
}

static struct name *name_ref(struct name *n) {
    if (n)
        n->refs++;
    return n;
}

static void name_drop(struct name *n) {
    if (n && --n->refs == 0)
        free(n);
}

struct table *table_ref(struct table *t) {
    if (t)
        t->refs++;
    return t;
}

void table_drop(struct table **t) {
    struct table *gone = *t;
    *t = NULL;
    if (!gone || --gone->refs > 0)
        return;
    for (uint32_t i = 0; i < gone->count; i++)
        name_drop(gone->items[i].name);
    free(gone);
}

/* The table, no longer shared, with room for one more. */
static struct table *table_edit(struct table **t) {
    struct table *have = *t;
    uint32_t count = table_count(have);
    if (have && have->refs == 1 && have->capacity > count)
        return have;
    uint32_t capacity = count < 6 ? 8 : count + count / 2;
    struct table *own = sim_alloc(sizeof *own + capacity * sizeof own->items[0]);
    *own = (struct table){.refs = 1, .count = count, .capacity = capacity};
    for (uint32_t i = 0; i < count; i++) {
        own->items[i] = have->items[i];
        own->items[i].name->refs++;
    }
    table_drop(t);
    return *t = own;
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* Index of the name, or of where it belongs. */
static uint32_t table_find(const struct table *t, const char *name, size_t length, bool *found) {
    uint32_t low = 0, high = table_count(t);
    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct name *n = t->items[mid].name;
        int order = compare_names(n->text, n->length, name, length);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint32_t table_get(const struct table *t, const char *name, size_t length) {
    bool found;
    uint32_t i = table_find(t, name, length, &found);
    return found ? t->items[i].ino : NO_INO;
}

void table_put(struct table **t, struct name *name, uint32_t ino) {
    bool found;
    uint32_t i = table_find(*t, name->text, name->length, &found);
    struct table *own = table_edit(t);
    if (found) {
        own->items[i].ino = ino;
        return;
    }
    memmove(own->items + i + 1, own->items + i, (own->count - i) * sizeof own->items[0]);
    own->items[i] = (struct entry){name_ref(name), ino};
    own->count++;
}

void table_remove(struct table **t, const struct name *name) {
    bool found;
    uint32_t i = table_find(*t, name->text, name->length, &found);
    if (!found)
        return;
    struct table *own = table_edit(t);
    struct name *gone = own->items[i].name;
    memmove(own->items + i, own->items + i + 1, (own->count - i - 1) * sizeof own->items[0]);
    own->count--;
    name_drop(gone);
}

/* --- nodes ----------------------------------------------------------------------------------- */

struct node *node_new(enum lam_path_kind kind) {
    struct node *n = sim_alloc(sizeof *n);
    *n = (struct node){.refs = 1, .kind = kind};
    return n;
}

void change_drop(struct change *change) {
    name_drop(change->removed);
    name_drop(change->added);
    change->removed = change->added = NULL;
}

void node_unref(struct node *n) {
    if (--n->refs > 0)
        return;
    content_drop(&n->data);
    content_drop(&n->synced);
    content_drop(&n->mid);
    free(n->dirty);
    table_drop(&n->entries);
    table_drop(&n->synced_names);
    for (uint32_t i = 0; i < n->pending_count; i++)
        change_drop(&n->pending[i]);
    free(n->pending);
    free(n);
}

static void *copy_items(const void *items, size_t size) {
    return size ? memcpy(sim_alloc(size), items, size) : NULL;
}

struct node *node_edit(struct simfs *fs, uint32_t ino) {
    struct node *n = node_of(fs, ino);
    if (n->refs == 1)
        return n;
    struct node *own = node_new(n->kind);
    own->data = content_ref(&n->data);
    own->synced = content_ref(&n->synced);
    own->mid = content_ref(&n->mid);
    own->dirty = copy_items(n->dirty, n->dirty_count * sizeof *n->dirty);
    own->dirty_count = own->dirty_capacity = n->dirty_count;
    own->lost = n->lost;
    own->entries = table_ref(n->entries);
    own->synced_names = table_ref(n->synced_names);
    own->pending = copy_items(n->pending, n->pending_count * sizeof *n->pending);
    own->pending_count = own->pending_capacity = n->pending_count;
    for (uint32_t i = 0; i < own->pending_count; i++) {
        name_ref(own->pending[i].removed);
        name_ref(own->pending[i].added);
    }
    node_unref(n);
    return fs->slots[ino].node = own;
}

/* --- slots ----------------------------------------------------------------------------------- */

static void mark_slot(struct simfs *fs, uint32_t ino);

static void mark_table(struct simfs *fs, const struct table *t) {
    for (uint32_t i = 0; i < table_count(t); i++)
        mark_slot(fs, t->items[i].ino);
}

static void mark_slot(struct simfs *fs, uint32_t ino) {
    struct slot *s = &fs->slots[ino];
    if (s->mark == fs->sweep)
        return;
    s->mark = fs->sweep;
    const struct node *n = node_of(fs, ino);
    mark_table(fs, n->entries);
    mark_table(fs, n->synced_names);
    for (uint32_t i = 0; i < n->pending_count; i++)
        if (n->pending[i].added)
            mark_slot(fs, n->pending[i].ino);
}

static void slot_free(struct simfs *fs, uint32_t ino) {
    struct slot *s = &fs->slots[ino];
    LAM_ASSERT(s->opens == 0 && s->links == 0);
    node_unref(s->node);
    *s = (struct slot){.next_free = fs->free_ino, .mark = s->mark};
    fs->free_ino = ino;
}

/* Frees what neither a name that is, was synced or is pending leads to, nor a handle. */
static void collect(struct simfs *fs) {
    fs->sweep++;
    fs->since_sweep = 0;
    mark_slot(fs, ROOT_INO);
    for (uint32_t i = 0; i < fs->slot_count; i++)
        if (fs->slots[i].node && fs->slots[i].opens > 0)
            mark_slot(fs, i);
    for (uint32_t i = 0; i < fs->slot_count; i++)
        if (fs->slots[i].node && fs->slots[i].mark != fs->sweep)
            slot_free(fs, i);
}

uint32_t slot_take(struct simfs *fs, struct node *n) {
    if (fs->free_ino == NO_INO && fs->since_sweep > 16 && fs->since_sweep > fs->slot_count / 2)
        collect(fs);
    fs->since_sweep++;
    uint32_t ino = fs->free_ino;
    if (ino == NO_INO) {
        fs->slots = sim_grow(fs->slots, &fs->slot_capacity, fs->slot_count + 1u, sizeof *fs->slots);
        ino = fs->slot_count++;
    } else {
        fs->free_ino = fs->slots[ino].next_free;
    }
    fs->slots[ino] = (struct slot){.node = n, .next_free = NO_INO};
    return ino;
}

void slot_release(struct simfs *fs, uint32_t ino) {
    const struct slot *s = &fs->slots[ino];
    if (s->links == 0 && s->opens == 0)
        fs->used -= s->node->data.size;
}

/* --- changes of names ------------------------------------------------------------------------ */

bool change_apply(struct table **t, const struct change *change) {
    const struct name *gone = change->removed;
    uint32_t ino = gone ? table_get(*t, gone->text, gone->length) : NO_INO;
    if (gone && (change->added || change->follows) && ino != change->ino)
        return false;
    if (gone)
        table_remove(t, gone);
    if (change->added)
        table_put(t, change->added, change->ino);
    return true;
}

static void unlink_name(struct simfs *fs, const struct table *t, const struct name *name) {
    uint32_t ino = table_get(t, name->text, name->length);
    if (ino == NO_INO)
        return;
    LAM_ASSERT(fs->slots[ino].links > 0);
    fs->slots[ino].links--;
    slot_release(fs, ino);
}

void dir_change(struct simfs *fs, uint32_t dir, struct change change) {
    struct node *n = node_edit(fs, dir);
    LAM_ASSERT(n->kind == LAM_PATH_DIRECTORY && (change.removed || change.added));
    if (change.added)
        fs->slots[change.ino].links++;
    if (change.removed)
        unlink_name(fs, n->entries, change.removed);
    if (change.added)
        unlink_name(fs, n->entries, change.added);
    bool applied = change_apply(&n->entries, &change);
    LAM_ASSERT(applied);
    name_ref(change.removed);
    name_ref(change.added);
    n->pending =
        sim_grow(n->pending, &n->pending_capacity, n->pending_count + 1u, sizeof *n->pending);
    n->pending[n->pending_count++] = change;
    fs->paths_valid = false;
}

static void sync_prefix(struct simfs *fs, uint32_t dir, uint32_t count);

/* The other half of a rename across directories becomes durable with this one. */
static void sync_peer(struct simfs *fs, uint32_t peer, uint64_t id) {
    const struct node *n = fs->slots[peer].node;
    for (uint32_t i = 0; n && i < n->pending_count; i++)
        if (n->pending[i].id == id)
            sync_prefix(fs, peer, i + 1);
}

static void sync_prefix(struct simfs *fs, uint32_t dir, uint32_t count) {
    struct node *n = node_edit(fs, dir);
    struct change *done = n->pending;
    uint32_t left = n->pending_count - count;
    struct change *rest = copy_items(done + count, left * sizeof *done);
    n->pending = rest;
    n->pending_count = n->pending_capacity = left;
    for (uint32_t i = 0; i < count; i++) {
        change_apply(&n->synced_names, &done[i]);
        if (done[i].peer != NO_INO)
            sync_peer(fs, done[i].peer, done[i].id);
        change_drop(&done[i]);
    }
    free(done);
}

void dir_sync_names(struct simfs *fs, uint32_t dir) {
    const struct node *n = node_of(fs, dir);
    if (n->pending_count == 0)
        return;
    sync_prefix(fs, dir, n->pending_count);
    /* S4, and cheaper to compare and to share. */
    struct node *own = node_edit(fs, dir);
    table_drop(&own->synced_names);
    own->synced_names = table_ref(own->entries);
}

/* --- content of files ------------------------------------------------------------------------ */

static bool overlaps_dirty(const struct node *n, uint64_t from, uint64_t to) {
    for (uint32_t i = 0; i < n->dirty_count; i++)
        if (n->dirty[i].from < to && from < n->dirty[i].to)
            return true;
    return false;
}

void file_mark_dirty(struct node *n, uint64_t from, uint64_t to) {
    if (from >= to)
        return;
    uint32_t first = 0;
    while (first < n->dirty_count && n->dirty[first].to < from)
        first++;
    uint32_t end = first;
    while (end < n->dirty_count && n->dirty[end].from <= to) {
        if (n->dirty[end].from < from)
            from = n->dirty[end].from;
        if (n->dirty[end].to > to)
            to = n->dirty[end].to;
        end++;
    }
    uint32_t after = n->dirty_count - end;
    n->dirty = sim_grow(n->dirty, &n->dirty_capacity, first + 1u + after, sizeof *n->dirty);
    memmove(n->dirty + first + 1, n->dirty + end, after * sizeof *n->dirty);
    n->dirty[first] = (struct extent){from, to};
    n->dirty_count = first + 1 + after;
}

/* Unsynced bytes are about to be written over: that version may be what the disk got. */
static void keep_version(struct node *n, uint64_t from, uint64_t to) {
    if (to > n->data.size)
        to = n->data.size;
    if (from >= to || !overlaps_dirty(n, from, to))
        return;
    content_drop(&n->mid);
    n->mid = content_ref(&n->data);
}

void file_write_at(struct simfs *fs, uint32_t ino, uint64_t offset, const void *data, size_t size) {
    struct node *n = node_edit(fs, ino);
    uint64_t end = offset + size;
    if (size == 0)
        return;
    keep_version(n, offset, end);
    if (end > n->data.size) {
        fs->used += end - n->data.size;
        content_resize(&n->data, end);
    }
    content_write(&n->data, offset, data, size);
    file_mark_dirty(n, offset, end);
}

void file_resize(struct simfs *fs, uint32_t ino, uint64_t size) {
    struct node *n = node_edit(fs, ino);
    if (size < n->data.size) {
        keep_version(n, size, n->data.size);
        file_mark_dirty(n, size, n->data.size);
    }
    fs->used += size - n->data.size;
    content_resize(&n->data, size);
}

/* Whole units go to the disk, with what was lost in them. */
static void write_back(struct node *n, uint64_t granule) {
    content_resize(&n->synced, n->data.size);
    for (uint32_t i = 0; i < n->dirty_count; i++) {
        uint64_t from = n->dirty[i].from - n->dirty[i].from % granule;
        uint64_t to = (n->dirty[i].to + granule - 1) / granule * granule;
        if (to > n->data.size)
            to = n->data.size;
        if (from < to)
            content_copy(&n->synced, &n->data, from, to);
    }
}

void file_make_durable(struct simfs *fs, uint32_t ino) {
    struct node *n = node_of(fs, ino);
    if (!file_is_dirty(n))
        return;
    n = node_edit(fs, ino);
    if (n->lost) {
        write_back(n, fs->options.granule);
    } else {
        content_drop(&n->synced);
        n->synced = content_ref(&n->data);
    }
    content_drop(&n->mid);
    n->dirty_count = 0;
}
