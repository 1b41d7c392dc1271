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
    if (id == 0 && d->id_count == 0)
        return ERR(err, LAM_NOT_FOUND, "%s: no backup here", d->path);
    *out = id ? id : d->ids[d->id_count - 1];
    for (size_t i = 0; i < d->id_count; i++)
        if (d->ids[i] == *out)
            return LAM_OK;
    return ERR(err, LAM_NOT_FOUND, "%s: no backup %" PRIu64 " here", d->path, id);
}

/* --- listing -------------------------------------------------------------------------------- */

struct use {
    uint64_t stored;
    uint64_t backup; /* of the only backup that has it; 0: several have */
    uint64_t size;
};

struct overview {
    struct lam_backup *items; /* owned */
    struct use *uses;         /* of data files, one for each that a backup names; owned */
    size_t use_count, use_capacity;
};

static int by_stored(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    return x->stored < y->stored ? -1 : x->stored > y->stored;
}

static enum lam_code look_at(struct overview *o, size_t i, const struct backup_dir *d,
                             struct lam_error *err) {
    struct backup_loaded l;
    enum lam_code rc = backup_load(d, d->ids[i], &l, err);
    if (rc == LAM_OK)
        rc = MEM_GROW(&o->uses, &o->use_capacity, o->use_count + l.about.count + 1, err);
    if (rc == LAM_OK) {
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
    }
    backup_loaded_fini(&l);
    return rc;
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

enum lam_code lam_backup_list(const char *dir, lam_env *env, lam_backup_fn fn, void *arg,
                              struct lam_error *err) {
    struct backup_dir d = {0};
    struct overview o = {0};
    TRY(check_dir(dir, "lam_backup_list", err));
    if (!fn)
        return ERR(err, LAM_INVALID, "lam_backup_list: fn must not be NULL");
    enum lam_code rc = backup_dir_open(&d, or_posix(env), dir, false, err);
    if (rc == LAM_OK && !(o.items = mem_calloc(d.id_count + 1, sizeof *o.items)))
        rc = mem_fail(err, d.id_count * sizeof *o.items);
    for (size_t i = 0; rc == LAM_OK && i < d.id_count; i++)
        rc = look_at(&o, i, &d, err);
    size_t count = d.id_count;
    backup_dir_close(&d);
    if (rc == LAM_OK)
        count_own(&o);
    for (size_t i = 0; rc == LAM_OK && i < count; i++)
        if (!fn(arg, &o.items[i]))
            break;
    mem_free(o.items);
    mem_free(o.uses);
    return rc;
}

/* --- removal -------------------------------------------------------------------------------- */

enum lam_code lam_backup_delete(const char *dir, lam_env *env, uint64_t id, struct lam_error *err) {
    struct backup_dir d = {0};
    TRY(check_dir(dir, "lam_backup_delete", err));
    if (id == 0)
        return ERR(err, LAM_INVALID, "lam_backup_delete: id must not be 0");
    enum lam_code rc = backup_dir_open(&d, or_posix(env), dir, true, err);
    if (rc == LAM_OK)
        rc = find_id(&d, id, &id, err);
    if (rc == LAM_OK)
        rc = backup_dir_forget(&d, id, err);
    if (rc == LAM_OK)
        rc = backup_dir_clean(&d, err);
    backup_dir_close(&d);
    return rc;
}

enum lam_code lam_backup_purge(const char *dir, lam_env *env, uint64_t keep,
                               struct lam_error *err) {
    struct backup_dir d = {0};
    TRY(check_dir(dir, "lam_backup_purge", err));
    if (keep == 0)
        return ERR(err, LAM_INVALID, "lam_backup_purge: keep must not be 0");
    enum lam_code rc = backup_dir_open(&d, or_posix(env), dir, true, err);
    while (rc == LAM_OK && d.id_count > keep)
        rc = backup_dir_forget(&d, d.ids[0], err);
    if (rc == LAM_OK)
        rc = backup_dir_clean(&d, err);
    backup_dir_close(&d);
    return rc;
}

/* --- reading files -------------------------------------------------------------------------- */

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
    struct buf path = {0};
    const char *text;
    struct copy_result got = {0};
    TRY(progress_tell(&r->progress, f->name, err));
    enum lam_code rc = backup_data_path(&r->dir, f->stored, &path, &text, err);
    if (rc == LAM_OK)
        rc = to ? copy_file(r->dir.env, text, to, &r->progress, &got, err)
                : copy_checksum(r->dir.env, text, &r->progress, &got, err);
    if (rc == LAM_NOT_FOUND)
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: missing; it is %s of backup %" PRIu64, text,
                 f->name, r->backup.about.id);
    if (rc == LAM_OK && (got.size != f->size || got.checksum != f->checksum))
        rc = ERR(err, LAM_CORRUPT,
                 "%s: offset %" PRIu64
                 ": not the bytes that were backed up as %s in backup %" PRIu64,
                 text, got.size < f->size ? got.size : 0, f->name, r->backup.about.id);
    r->progress.now.files_done++;
    buf_fini(&path);
    return rc;
}

static enum lam_code read_all(struct reading *r, struct copy_dirs *dirs, struct lam_error *err) {
    struct buf path = {0};
    const char *to = NULL;
    enum lam_code rc = LAM_OK;
    for (size_t i = 0; i < r->backup.about.count && rc == LAM_OK; i++) {
        const struct backup_file *f = &r->backup.about.files[i];
        if (dirs)
            rc = copy_dirs_enter(dirs, f->name, &path, &to, err);
        if (rc == LAM_OK)
            rc = read_data(r, f, to, err);
    }
    if (rc == LAM_OK)
        rc = progress_tell(&r->progress, "", err);
    buf_fini(&path);
    return rc;
}

enum lam_code lam_backup_verify(const char *dir, lam_env *env, uint64_t id,
                                lam_progress_fn progress, void *arg, struct lam_error *err) {
    struct reading r = {.progress = {.fn = progress, .arg = arg}};
    TRY(check_dir(dir, "lam_backup_verify", err));
    enum lam_code rc = reading_begin(&r, dir, or_posix(env), id, err);
    if (rc == LAM_OK)
        rc = read_all(&r, NULL, err);
    reading_fini(&r);
    return rc;
}

enum lam_code lam_backup_restore(const char *dir, lam_env *env, uint64_t id, const char *target,
                                 lam_progress_fn progress, void *arg, struct lam_error *err) {
    struct reading r = {.progress = {.fn = progress, .arg = arg}};
    struct staging staging = {0};
    struct copy_dirs dirs = {.env = or_posix(env)};
    enum lam_code rc;
    TRY(check_dir(dir, "lam_backup_restore", err));
    if (!target || !*target)
        return ERR(err, LAM_INVALID, "lam_backup_restore: target must not be NULL or empty");
    TRY_GOTO(reading_begin(&r, dir, dirs.env, id, err));
    TRY_GOTO(staging_begin(&staging, dirs.env, target, r.backup.about.db_id, err));
    dirs.dir = staging.dir;
    TRY_GOTO(read_all(&r, &dirs, err));
    TRY_GOTO(copy_dirs_finish(&dirs, err));
    TRY_GOTO(
        copy_make_root(dirs.env, staging.dir, r.backup.about.db_id, &r.backup.about.edit, err));
    rc = staging_finish(&staging, err);
out:
    copy_dirs_fini(&dirs);
    staging_fini(&staging);
    reading_fini(&r);
    return rc;
}
