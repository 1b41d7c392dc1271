/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done with backups that are there: listing, removing, verifying, restoring. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lamina/backup.h"
#include "lsm/backup_dir.h"
#include "lsm/copy.h"
#include "lsm/staging.h"

static enum lam_code check_dir(const char *dir, const char *call, struct lam_error *err) {
    if (dir && *dir)
        return LAM_OK;
    return ERR(err, LAM_INVALID, "%s: dir must not be NULL or empty", call);
}

static lam_env *or_posix(lam_env *env) {
    return env ? env : lam_env_posix();
}

/* `id` 0: the newest. */
static enum lam_code find_id(const struct backup_dir *d, uint64_t id, uint64_t *out,
                             struct lam_error *err) {
    *out = id ? id : backup_last(&d->ids);
    if (*out == 0)
        return ERR(err, LAM_NOT_FOUND, "%s: no backup here", d->path);
    for (size_t i = 0; i < d->ids.count; i++)
        if (d->ids.items[i] == *out)
            return LAM_OK;
    return ERR(err, LAM_NOT_FOUND, "%s: no backup %" PRIu64 " here", d->path, id);
}

struct use {
    uint64_t stored;
    uint64_t backup; /* of the only backup that has it; 0: several have */
    uint64_t size;
};

struct overview {
    struct lam_backup *items; /* owned */
    size_t count;
    struct use *uses; /* of data files, one for each that a backup names; owned */
    size_t use_count, use_capacity;
};

static int by_stored(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    return x->stored < y->stored ? -1 : x->stored > y->stored;
}

static enum lam_code look_at(struct overview *o, size_t i, const struct backup_dir *d,
                             struct lam_error *err) {
    OWNED(backup_loaded_fini) struct backup_loaded l = {0};
    TRY(backup_load(d, d->ids.items[i], &l, err));
    TRY(MEM_GROW(&o->uses, &o->use_capacity, o->use_count + l.about.count + 1, err));
    struct lam_backup *b = &o->items[i];
    b->id = l.about.id;
    b->created_us = l.about.created_us;
    b->sequence = l.about.sequence;
    b->files = l.about.count;
    memcpy(b->database, l.about.db_id, sizeof b->database);
    for (size_t f = 0; f < l.about.count; f++) {
        b->bytes += l.about.files[f].size;
        o->uses[o->use_count++] =
            (struct use){l.about.files[f].stored, i + 1, l.about.files[f].size};
    }
    return LAM_OK;
}

static void count_own(struct overview *o) {
    if (o->use_count > 0)
        qsort(o->uses, o->use_count, sizeof *o->uses, by_stored);
    for (size_t i = 0, end; i < o->use_count; i = end) {
        for (end = i + 1; end < o->use_count && o->uses[end].stored == o->uses[i].stored;)
            end++;
        if (end == i + 1)
            o->items[o->uses[i].backup - 1].own_bytes += o->uses[i].size;
    }
}

static void overview_fini(struct overview *o) {
    mem_free(o->items);
    mem_free(o->uses);
}

static enum lam_code look_at_all(struct overview *o, lam_env *env, const char *dir,
                                 struct lam_error *err) {
    OWNED(backup_dir_close) struct backup_dir d = {0};
    TRY(backup_dir_open(&d, env, dir, false, err));
    o->items = mem_calloc(d.ids.count + 1, sizeof *o->items);
    if (!o->items)
        return mem_fail(err, d.ids.count * sizeof *o->items);
    for (; o->count < d.ids.count; o->count++)
        TRY(look_at(o, o->count, &d, err));
    count_own(o);
    return LAM_OK;
}

enum lam_code lam_backup_list(const char *dir, lam_env *env, lam_backup_fn fn, void *arg,
                              struct lam_error *err) {
    OWNED(overview_fini) struct overview o = {0};
    TRY(check_dir(dir, "lam_backup_list", err));
    if (!fn)
        return ERR(err, LAM_INVALID, "lam_backup_list: fn must not be NULL");
    TRY(look_at_all(&o, or_posix(env), dir, err));
    for (size_t i = 0; i < o.count; i++)
        if (!fn(arg, &o.items[i]))
            break;
    return LAM_OK;
}

enum lam_code lam_backup_delete(const char *dir, lam_env *env, uint64_t id, struct lam_error *err) {
    OWNED(backup_dir_close) struct backup_dir d = {0};
    TRY(check_dir(dir, "lam_backup_delete", err));
    if (id == 0)
        return ERR(err, LAM_INVALID, "lam_backup_delete: id must not be 0");
    TRY(backup_dir_open(&d, or_posix(env), dir, true, err));
    TRY(find_id(&d, id, &id, err));
    TRY(backup_dir_forget(&d, id, err));
    return backup_dir_clean(&d, err);
}

enum lam_code lam_backup_purge(const char *dir, lam_env *env, uint64_t keep,
                               struct lam_error *err) {
    OWNED(backup_dir_close) struct backup_dir d = {0};
    TRY(check_dir(dir, "lam_backup_purge", err));
    if (keep == 0)
        return ERR(err, LAM_INVALID, "lam_backup_purge: keep must not be 0");
    TRY(backup_dir_open(&d, or_posix(env), dir, true, err));
    while (d.ids.count > keep)
        TRY(backup_dir_forget(&d, d.ids.items[0], err));
    return backup_dir_clean(&d, err);
}

struct reading {
    struct backup_dir dir;
    struct backup_loaded backup;
    struct progress progress;
};

static enum lam_code reading_begin(struct reading *r, const char *dir, lam_env *env, uint64_t id,
                                   struct lam_error *err) {
    TRY(backup_dir_open(&r->dir, env, dir, false, err));
    TRY(find_id(&r->dir, id, &id, err));
    TRY(backup_load(&r->dir, id, &r->backup, err));
    r->progress.now.files_total = r->backup.about.count;
    for (size_t i = 0; i < r->backup.about.count; i++)
        r->progress.now.bytes_total += r->backup.about.files[i].size;
    return LAM_OK;
}

static void reading_fini(struct reading *r) {
    backup_loaded_fini(&r->backup);
    backup_dir_close(&r->dir);
}

/* Reads a data file, to a new file `to` if that is not NULL, and compares. */
static enum lam_code read_data(struct reading *r, const struct backup_file *f, const char *to,
                               struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    struct copy_result got = {0};
    TRY(progress_tell(&r->progress, f->name, err));
    TRY(backup_data_path(&r->dir, f->stored, &path, &text, err));
    enum lam_code rc = to ? copy_file(r->dir.env, text, to, &r->progress, &got, err)
                          : copy_checksum(r->dir.env, text, &r->progress, &got, err);
    r->progress.now.files_done++;
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: missing; it is %s of backup %" PRIu64, text,
                   f->name, r->backup.about.id);
    TRY(rc);
    if (got.size != f->size || got.checksum != f->checksum)
        return ERR(err, LAM_CORRUPT,
                   "%s: offset %" PRIu64
                   ": not the bytes that were backed up as %s in backup %" PRIu64,
                   text, got.size < f->size ? got.size : 0, f->name, r->backup.about.id);
    return LAM_OK;
}

static enum lam_code read_all(struct reading *r, struct copy_dirs *dirs, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *to = NULL;
    for (size_t i = 0; i < r->backup.about.count; i++) {
        const struct backup_file *f = &r->backup.about.files[i];
        if (dirs)
            TRY(copy_dirs_enter(dirs, f->name, &path, &to, err));
        TRY(read_data(r, f, to, err));
    }
    return progress_tell(&r->progress, "", err);
}

enum lam_code lam_backup_verify(const char *dir, lam_env *env, uint64_t id,
                                lam_progress_fn progress, void *arg, struct lam_error *err) {
    OWNED(reading_fini) struct reading r = {.progress = {.fn = progress, .arg = arg}};
    TRY(check_dir(dir, "lam_backup_verify", err));
    TRY(reading_begin(&r, dir, or_posix(env), id, err));
    return read_all(&r, NULL, err);
}

enum lam_code lam_backup_restore(const char *dir, lam_env *env, uint64_t id, const char *target,
                                 lam_progress_fn progress, void *arg, struct lam_error *err) {
    OWNED(reading_fini) struct reading r = {.progress = {.fn = progress, .arg = arg}};
    OWNED(staging_fini) struct staging staging = {0};
    OWNED(copy_dirs_fini) struct copy_dirs dirs = {.env = or_posix(env)};
    TRY(check_dir(dir, "lam_backup_restore", err));
    if (!target || !*target)
        return ERR(err, LAM_INVALID, "lam_backup_restore: target must not be NULL or empty");
    TRY(reading_begin(&r, dir, dirs.env, id, err));
    TRY(staging_begin(&staging, dirs.env, target, r.backup.about.db_id, err));
    dirs.dir = staging.dir;
    TRY(read_all(&r, &dirs, err));
    TRY(copy_dirs_finish(&dirs, err));
    TRY(copy_make_root(dirs.env, staging.dir, r.backup.about.db_id, &r.backup.about.edit, err));
    return staging_finish(&staging, err);
}
