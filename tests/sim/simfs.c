/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a simulated file system; its files as a whole: list, edit, hash, print. */
#include "tests/sim/simfs.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/simfs_impl.h"

#define EPOCH_US INT64_C(1750000000000000)

struct simfs *simfs_alloc(void) {
    struct simfs *fs = calloc(1, sizeof *fs);
    LAM_ASSERT(fs);
    fs->base.ops = &simfs_ops;
    fs->free_ino = NO_INO;
    fs->inflight.ino = NO_INO;
    return fs;
}

struct simfs *simfs_new(const struct simfs_options *options, struct choice *choice) {
    struct simfs *fs = simfs_alloc();
    fs->options = *options;
    if (fs->options.granule == 0)
        fs->options.granule = 512;
    uint32_t granule = fs->options.granule;
    LAM_ASSERT(granule >= 16 && granule <= PAGE_BYTES && (granule & (granule - 1)) == 0);
    fs->choice = choice;
    fs->wall_us = EPOCH_US;
    fs->mono_ns = UINT64_C(1000000000);
    uint32_t root = slot_take(fs, node_new(LAM_PATH_DIRECTORY));
    LAM_ASSERT(root == ROOT_INO);
    return fs;
}

static void free_paths(struct simfs *fs) {
    for (uint32_t i = 0; i < fs->path_count; i++)
        free(fs->paths[i]);
    free(fs->paths);
}

void simfs_free(struct simfs *fs) {
    if (!fs)
        return;
    LAM_ASSERT(fs->abandoned || (fs->open_files == 0 && fs->locks == 0));
    for (uint32_t i = 0; i < fs->slot_count; i++)
        if (fs->slots[i].node)
            node_unref(fs->slots[i].node);
    while (fs->held) {
        struct lam_file_lock *l = fs->held;
        fs->held = l->next;
        free(l);
    }
    while (fs->handles) {
        struct handle *h = fs->handles;
        fs->handles = h->next;
        free(h);
    }
    free(fs->slots);
    free(fs->tasks);
    free_paths(fs);
    free(fs);
}

struct simfs *simfs_clone(const struct simfs *from) {
    struct simfs *fs = simfs_alloc();
    fs->options = from->options;
    fs->choice = from->choice;
    fs->slots = sim_grow(NULL, &fs->slot_capacity, from->slot_count, sizeof *fs->slots);
    fs->slot_count = from->slot_count;
    fs->used = from->used;
    for (uint32_t i = 0; i < from->slot_count; i++) {
        const struct slot *s = &from->slots[i];
        fs->slots[i] = (struct slot){.node = s->node, .links = s->links, .next_free = s->next_free};
        if (!s->node)
            continue;
        s->node->refs++;
        if (s->links == 0 && s->opens > 0)
            fs->used -= s->node->data.size;
    }
    fs->free_ino = from->free_ino;
    fs->change_id = from->change_id;
    fs->wall_us = from->wall_us;
    fs->mono_ns = from->mono_ns;
    fs->random_count = from->random_count;
    return fs;
}

lam_env *simfs_env(struct simfs *fs) {
    return &fs->base;
}

void simfs_set_choice(struct simfs *fs, struct choice *choice) {
    fs->choice = choice;
}

void simfs_set_quota(struct simfs *fs, uint64_t bytes) {
    fs->options.quota = bytes;
}

uint64_t simfs_used(const struct simfs *fs) {
    return fs->used;
}

size_t simfs_open_handles(const struct simfs *fs) {
    return (size_t)fs->open_files + fs->locks;
}

/* --- hash ------------------------------------------------------------------------------------ */

static uint64_t hash_node(const struct simfs *fs, uint32_t ino) {
    const struct node *n = node_of(fs, ino);
    if (n->kind == LAM_PATH_FILE)
        return content_hash(&n->data);
    uint64_t h = 1;
    for (uint32_t i = 0; i < table_count(n->entries); i++) {
        const struct entry *e = &n->entries->items[i];
        h = hash_mix(h, hash_xxh3(e->name->text, e->name->length, 0));
        h = hash_mix(h, hash_node(fs, e->ino));
    }
    return hash_mix(h, table_count(n->entries));
}

uint64_t simfs_hash(const struct simfs *fs) {
    return hash_node(fs, ROOT_INO);
}

/* --- files by path --------------------------------------------------------------------------- */

static void list_files(struct simfs *fs, uint32_t dir, const char *prefix) {
    const struct table *t = node_of(fs, dir)->entries;
    for (uint32_t i = 0; i < table_count(t); i++) {
        const struct name *name = t->items[i].name;
        size_t size = strlen(prefix) + 1 + name->length + 1;
        char *path = sim_alloc(size);
        snprintf(path, size, "%s/%s", prefix, name->text);
        if (node_of(fs, t->items[i].ino)->kind == LAM_PATH_DIRECTORY) {
            list_files(fs, t->items[i].ino, path);
            free(path);
            continue;
        }
        fs->paths = sim_grow(fs->paths, &fs->path_capacity, fs->path_count + 1u, sizeof *fs->paths);
        fs->paths[fs->path_count++] = path;
    }
}

static int by_path(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The list is a cache: it changes nothing that anybody sees. */
static void refresh_paths(const struct simfs *constant) {
    struct simfs *fs = (struct simfs *)(uintptr_t)constant;
    if (fs->paths_valid)
        return;
    free_paths(fs);
    fs->paths = NULL;
    fs->path_count = fs->path_capacity = 0;
    list_files(fs, ROOT_INO, "");
    if (fs->path_count > 1)
        qsort(fs->paths, fs->path_count, sizeof *fs->paths, by_path);
    fs->paths_valid = true;
}

size_t simfs_file_count(const struct simfs *fs) {
    refresh_paths(fs);
    return fs->path_count;
}

const char *simfs_file_path(const struct simfs *fs, size_t index) {
    refresh_paths(fs);
    LAM_ASSERT(index < fs->path_count);
    return fs->paths[index];
}

/* Directory and last component of a path; directories on the way are made if `make`, durable at
 * once. NO_INO: there is no such directory. */
static uint32_t walk(struct simfs *fs, const char *path, const char **name, size_t *length,
                     bool make) {
    uint32_t dir = ROOT_INO;
    for (const char *at = path;;) {
        at += strspn(at, "/");
        *name = at;
        *length = strcspn(at, "/");
        at += *length;
        if (at[strspn(at, "/")] == '\0')
            return dir;
        uint32_t next = table_get(node_of(fs, dir)->entries, *name, *length);
        if (next == NO_INO) {
            if (!make)
                return NO_INO;
            next = slot_take(fs, node_new(LAM_PATH_DIRECTORY));
            struct change change = {.added = name_new(*name, *length), .ino = next, .peer = NO_INO};
            dir_change(fs, dir, change);
            change_drop(&change);
            dir_sync_names(fs, dir);
        }
        if (node_of(fs, next)->kind != LAM_PATH_DIRECTORY)
            return NO_INO;
        dir = next;
    }
}

static uint32_t find_file(struct simfs *fs, const char *path) {
    const char *name;
    size_t length;
    uint32_t dir = walk(fs, path, &name, &length, false);
    uint32_t ino = dir == NO_INO ? NO_INO : table_get(node_of(fs, dir)->entries, name, length);
    return ino != NO_INO && node_of(fs, ino)->kind == LAM_PATH_FILE ? ino : NO_INO;
}

static void set_durable(struct node *n) {
    content_drop(&n->synced);
    content_drop(&n->mid);
    n->synced = content_ref(&n->data);
    n->dirty_count = 0;
    n->lost = false;
}

uint8_t *simfs_file_bytes(struct simfs *fs, const char *path, size_t *size_out) {
    uint32_t ino = find_file(fs, path);
    if (ino == NO_INO)
        return NULL;
    struct node *n = node_edit(fs, ino);
    uint8_t *bytes = content_flatten(&n->data);
    set_durable(n);
    *size_out = (size_t)n->data.size;
    return bytes;
}

void simfs_file_set(struct simfs *fs, const char *path, const void *bytes, size_t size) {
    const char *name;
    size_t length;
    uint32_t dir = walk(fs, path, &name, &length, true);
    LAM_ASSERT(dir != NO_INO && length > 0);
    uint32_t ino = table_get(node_of(fs, dir)->entries, name, length);
    if (ino == NO_INO) {
        ino = slot_take(fs, node_new(LAM_PATH_FILE));
        struct change change = {.added = name_new(name, length), .ino = ino, .peer = NO_INO};
        dir_change(fs, dir, change);
        change_drop(&change);
        dir_sync_names(fs, dir);
    }
    LAM_ASSERT(node_of(fs, ino)->kind == LAM_PATH_FILE);
    file_resize(fs, ino, 0);
    file_write_at(fs, ino, 0, bytes, size);
    set_durable(node_edit(fs, ino));
}

void simfs_file_drop(struct simfs *fs, const char *path) {
    const char *name;
    size_t length;
    uint32_t dir = walk(fs, path, &name, &length, false);
    uint32_t ino = find_file(fs, path);
    LAM_ASSERT(ino != NO_INO);
    struct change change = {.removed = name_new(name, length), .ino = ino, .peer = NO_INO};
    dir_change(fs, dir, change);
    change_drop(&change);
    dir_sync_names(fs, dir);
}

/* --- print ----------------------------------------------------------------------------------- */

static void print_file(const struct node *n) {
    printf(" %" PRIu64 " bytes", n->data.size);
    if (n->synced.size != n->data.size)
        printf(", %" PRIu64 " durable", n->synced.size);
    for (uint32_t i = 0; i < n->dirty_count; i++)
        printf("%s[%" PRIu64 ", %" PRIu64 ")", i ? " " : ", unsynced ", n->dirty[i].from,
               n->dirty[i].to);
    printf("%s\n", n->lost ? ", parts lost by a failed sync" : "");
}

static void print_dir(const struct simfs *fs, uint32_t dir, unsigned depth) {
    const struct node *n = node_of(fs, dir);
    for (uint32_t i = 0; i < table_count(n->entries); i++) {
        const struct entry *e = &n->entries->items[i];
        const struct node *child = node_of(fs, e->ino);
        printf("%*s%s%s #%" PRIu32, (int)(2 * depth), "", e->name->text,
               child->kind == LAM_PATH_DIRECTORY ? "/" : "", e->ino);
        if (child->kind == LAM_PATH_FILE) {
            print_file(child);
            continue;
        }
        printf("\n");
        print_dir(fs, e->ino, depth + 1);
    }
    for (uint32_t i = 0; i < n->pending_count; i++) {
        const struct change *c = &n->pending[i];
        printf("%*spending: %s%s%s #%" PRIu32 "\n", (int)(2 * depth), "",
               c->removed ? c->removed->text : "", c->removed && c->added ? " -> " : "",
               c->added ? c->added->text : " removed", c->ino);
    }
}

void simfs_print(const struct simfs *fs) {
    printf("%" PRIu64 " bytes in all, %" PRIu32 " files open, %" PRIu32 " locks\n", fs->used,
           fs->open_files, fs->locks);
    print_dir(fs, ROOT_INO, 0);
    fflush(stdout);
}
