/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading the manifest's edits into one state. An edit that contradicts the state is corruption:
 * checksums only prove that the bytes are those written. */
#include "lsm/recover_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/version.h"

void recovered_init(struct recovered *r, lam_env *env, const char *dir) {
    memset(r, 0, sizeof *r);
    r->env = env;
    r->dir = dir;
}

void recovered_fini(struct recovered *r) {
    for (size_t i = 0; i < r->partition_count; i++)
        mem_free(r->partitions[i].files);
    mem_free(r->partitions);
    mem_free(r->wals);
    mem_free(r->listed);
    arena_fini(&r->arena);
}

static enum lam_code contradiction(const struct recovered *r, struct lam_error *err,
                                   const char *what, uint64_t number) {
    return ERR(err, LAM_CORRUPT, "%s: manifest: %s %" PRIu64, r->dir, what, number);
}

static enum lam_code copy_slice(struct recovered *r, struct lam_slice *s, struct lam_error *err) {
    if (s->size == 0) {
        *s = SLICE_EMPTY;
        return LAM_OK;
    }
    uint8_t *data = arena_dup(&r->arena, s->data, s->size);
    if (!data)
        return mem_fail(err, s->size);
    s->data = data;
    return LAM_OK;
}

struct recovered_partition *recovered_find(struct recovered *r, uint64_t number) {
    size_t low = 0, high = r->partition_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->partitions[mid].about.number < number)
            low = mid + 1;
        else
            high = mid;
    }
    bool found = low < r->partition_count && r->partitions[low].about.number == number;
    return found ? &r->partitions[low] : NULL;
}

/* Numbers only rise, so a created partition comes last. */
static enum lam_code create_partition(struct recovered *r, const struct manifest_partition *p,
                                      struct lam_error *err) {
    if (r->partition_count > 0 && r->partitions[r->partition_count - 1].about.number >= p->number)
        return contradiction(r, err, "creates a partition out of order,", p->number);
    TRY(MEM_GROW(&r->partitions, &r->partition_capacity, r->partition_count + 1, err));
    struct recovered_partition *to = &r->partitions[r->partition_count];
    memset(to, 0, sizeof *to);
    to->about = *p;
    TRY(copy_slice(r, &to->about.name, err));
    r->partition_count++;
    return LAM_OK;
}

static enum lam_code drop_partition(struct recovered *r, uint64_t number, struct lam_error *err) {
    struct recovered_partition *p = recovered_find(r, number);
    if (!p)
        return contradiction(r, err, "drops an unknown partition,", number);
    mem_free(p->files);
    size_t at = (size_t)(p - r->partitions);
    r->partition_count--;
    memmove(p, p + 1, (r->partition_count - at) * sizeof *p);
    return LAM_OK;
}

static enum lam_code add_file(struct recovered *r, const struct manifest_file *f,
                              struct lam_error *err) {
    struct recovered_partition *p = recovered_find(r, f->partition);
    if (!p)
        return contradiction(r, err, "adds a file to an unknown partition,", f->partition);
    if (f->level >= VERSION_LEVELS)
        return contradiction(r, err, "puts a file on an unknown level,", f->number);
    TRY(MEM_GROW(&p->files, &p->file_capacity, p->file_count + 1, err));
    struct manifest_file *to = &p->files[p->file_count];
    *to = *f;
    TRY(copy_slice(r, &to->smallest, err));
    TRY(copy_slice(r, &to->largest, err));
    p->file_count++;
    return LAM_OK;
}

static enum lam_code remove_file(struct recovered *r, const struct manifest_removed *f,
                                 struct lam_error *err) {
    struct recovered_partition *p = recovered_find(r, f->partition);
    if (!p)
        return contradiction(r, err, "removes a file from an unknown partition,", f->partition);
    for (size_t i = 0; i < p->file_count; i++)
        if (p->files[i].number == f->number && p->files[i].level == f->level) {
            p->files[i] = p->files[--p->file_count];
            return LAM_OK;
        }
    return contradiction(r, err, "removes an unknown file,", f->number);
}

static enum lam_code note_wal(struct recovered *r, const struct manifest_wal *w,
                              struct lam_error *err) {
    for (size_t i = 0; i < r->wal_count; i++)
        if (r->wals[i].number == w->number) {
            r->wals[i] = *w;
            return LAM_OK;
        }
    if (r->wal_count > 0 && r->wals[r->wal_count - 1].number > w->number)
        return contradiction(r, err, "names a log segment out of order,", w->number);
    TRY(MEM_GROW(&r->wals, &r->wal_capacity, r->wal_count + 1, err));
    r->wals[r->wal_count++] = *w;
    return LAM_OK;
}

static void forget_wals(struct recovered *r) {
    size_t kept = 0;
    for (size_t i = 0; i < r->wal_count; i++)
        if (r->wals[i].number >= r->wal_floor)
            r->wals[kept++] = r->wals[i];
    r->wal_count = kept;
}

static enum lam_code apply_edit(void *arg, const struct manifest_edit *e, struct lam_error *err) {
    struct recovered *r = arg;
    for (size_t i = 0; i < e->created_count; i++)
        TRY(create_partition(r, &e->created[i], err));
    for (size_t i = 0; i < e->removed_count; i++)
        TRY(remove_file(r, &e->removed[i], err));
    for (size_t i = 0; i < e->added_count; i++)
        TRY(add_file(r, &e->added[i], err));
    for (size_t i = 0; i < e->dropped_count; i++)
        TRY(drop_partition(r, e->dropped[i], err));
    for (size_t i = 0; i < e->wals_count; i++)
        TRY(note_wal(r, &e->wals[i], err));
    if (e->has_next_number) {
        if (e->next_number < r->next_number)
            return contradiction(r, err, "number counter goes back to", e->next_number);
        r->next_number = e->next_number;
    }
    if (e->has_last_sequence) {
        if (e->last_sequence < r->last_sequence)
            return contradiction(r, err, "sequence goes back to", e->last_sequence);
        r->last_sequence = e->last_sequence;
    }
    if (e->has_wal_floor) {
        if (e->wal_floor < r->wal_floor)
            return contradiction(r, err, "log floor goes back to", e->wal_floor);
        r->wal_floor = e->wal_floor;
    }
    forget_wals(r);
    r->closed = e->clean_close;
    return LAM_OK;
}

struct listing {
    struct recovered *r;
    enum lam_code code;
    struct lam_error *err;
};

static bool note_name(void *arg, const char *name) {
    struct listing *l = arg;
    struct recovered *r = l->r;
    uint64_t number = 0;
    enum file_type type = filename_parse(name, &number);
    if (type == FILE_OTHER)
        return true;
    l->code = MEM_GROW(&r->listed, &r->listed_capacity, r->listed_count + 1, l->err);
    char *copy = l->code == LAM_OK ? arena_strdup(&r->arena, name) : NULL;
    if (l->code == LAM_OK && !copy)
        l->code = mem_fail(l->err, strlen(name) + 1);
    if (l->code != LAM_OK)
        return false;
    r->listed[r->listed_count++] = (struct listed_file){type, number, copy};
    return true;
}

static int by_type_and_number(const void *a, const void *b) {
    const struct listed_file *x = a, *y = b;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

enum lam_code recovered_load(struct recovered *r, struct lam_error *err) {
    TRY(manifest_load(r->env, r->dir, &r->root, apply_edit, r, err));
    r->granted_number = r->next_number;
    struct listing l = {r, LAM_OK, err};
    TRY(env_dir_list(r->env, r->dir, note_name, &l, err));
    TRY(l.code);
    qsort(r->listed, r->listed_count, sizeof *r->listed, by_type_and_number);
    /* Numbers of files that only a crash has left are burnt, too. */
    for (size_t i = 0; i < r->listed_count; i++)
        if (r->listed[i].number >= r->next_number)
            r->next_number = r->listed[i].number + 1;
    if (r->root.manifest_number >= r->next_number)
        r->next_number = r->root.manifest_number + 1;
    return LAM_OK;
}

static bool is_listed(const struct recovered *r, enum file_type type, uint64_t number) {
    struct listed_file key = {type, number, NULL};
    return r->listed_count > 0 &&
           bsearch(&key, r->listed, r->listed_count, sizeof *r->listed, by_type_and_number) != NULL;
}

enum lam_code recovered_check_file(const struct recovered *r, enum file_type type, uint64_t number,
                                   uint64_t size_bytes, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    uint64_t size = 0;
    TRY(filename_path(&path, r->dir, type, number, &text, err));
    if (!is_listed(r, type, number))
        return ERR(err, LAM_CORRUPT, "%s: offset 0: missing, but the manifest names it", text);
    if (size_bytes > 0)
        TRY(env_path_size(r->env, text, &size, err));
    if (size_bytes > 0 && size != size_bytes)
        return ERR(err, LAM_CORRUPT, "%s: offset %" PRIu64 ": %" PRIu64 " bytes, expected %" PRIu64,
                   text, size < size_bytes ? size : size_bytes, size, size_bytes);
    return LAM_OK;
}
