/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories of backups. */
#include "lsm/backup_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/env.h"
#include "base/mem.h"
#include "lsm/filename.h"

#define ROOT_NAME "BACKUPS"
#define LOCK_NAME "LOCK"

enum backup_name { NAME_OTHER, NAME_BACKUP, NAME_DATA, NAME_TEMP, NAME_ROOT, NAME_LOCK };

/* Numbers are written in one form, so that no two names mean one file. */
static enum backup_name parse_name(const char *name, uint64_t *number) {
    *number = 0;
    if (strcmp(name, ROOT_NAME) == 0)
        return NAME_ROOT;
    if (strcmp(name, LOCK_NAME) == 0)
        return NAME_LOCK;
    if (strcmp(name, ROOT_NAME ".tmp") == 0)
        return NAME_TEMP;
    const char *rest = filename_number(name, number);
    if (!rest || *number == 0)
        return NAME_OTHER;
    if (strcmp(rest, ".backup") == 0)
        return NAME_BACKUP;
    if (strcmp(rest, ".data") == 0)
        return NAME_DATA;
    return strcmp(rest, ".backup.tmp") == 0 ? NAME_TEMP : NAME_OTHER;
}

static enum lam_code numbered_path(const struct backup_dir *d, uint64_t number, const char *kind,
                                   struct buf *out, const char **text_out, struct lam_error *err) {
    char name[40];
    snprintf(name, sizeof name, "%06" PRIu64 ".%s", number, kind);
    return env_path_join(out, d->path, name, text_out, err);
}

enum lam_code backup_data_path(const struct backup_dir *d, uint64_t stored, struct buf *out,
                               const char **text_out, struct lam_error *err) {
    return numbered_path(d, stored, "data", out, text_out, err);
}

enum lam_code backup_path(const struct backup_dir *d, uint64_t id, struct buf *out,
                          const char **text_out, struct lam_error *err) {
    return numbered_path(d, id, "backup", out, text_out, err);
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

const uint64_t *backup_dir_find(const struct backup_dir *d, uint64_t stored) {
    const struct backup_numbers *n = &d->stored;
    return n->count == 0 ? NULL : bsearch(&stored, n->items, n->count, sizeof *n->items, by_number);
}

static void sort(struct backup_numbers *n) {
    if (n->count > 0)
        qsort(n->items, n->count, sizeof *n->items, by_number);
}

/* `*others_out`: there are names that are none of ours. */
static enum lam_code list(struct backup_dir *d, bool *others_out, struct lam_error *err) {
    OWNED(env_names_fini) struct env_names names = {0};
    TRY(env_dir_names(d->env, d->path, &names, err));
    d->ids.count = d->stored.count = 0;
    *others_out = false;
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        enum backup_name kind = parse_name(names.items[i], &number);
        *others_out |= kind == NAME_OTHER;
        if (kind != NAME_BACKUP && kind != NAME_DATA)
            continue;
        struct backup_numbers *n = kind == NAME_BACKUP ? &d->ids : &d->stored;
        TRY(MEM_GROW(&n->items, &n->capacity, n->count + 1, err));
        n->items[n->count++] = number;
    }
    sort(&d->ids);
    sort(&d->stored);
    return LAM_OK;
}

/* Who only looks takes the lock if there is its file: a directory that can't be written may lack
 * it. */
static enum lam_code take_lock(struct backup_dir *d, bool change, struct lam_error *err) {
    enum lam_code rc = env_lock_in(d->env, d->path, LOCK_NAME, !change, &d->lock, err);
    return rc == LAM_BUSY ? ERR(err, rc, "%s is in use by another call", d->path) : rc;
}

/* NOT_FOUND: there is no root. */
static enum lam_code read_root(struct backup_dir *d, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0}, bytes = {0};
    const char *text;
    TRY(env_path_join(&path, d->path, ROOT_NAME, &text, err));
    enum lam_code rc = env_read_file(d->env, text, BACKUP_ROOT_BYTES, &bytes, err);
    if (rc == LAM_LIMIT)
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: not the root of a directory of backups", text);
    TRY(rc);
    return backup_root_decode(buf_slice(&bytes), text, d->db_id, err);
}

static enum lam_code write_root(struct backup_dir *d, const uint8_t *db_id, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0}, bytes = {0};
    const char *text;
    TRY(env_path_join(&path, d->path, ROOT_NAME, &text, err));
    TRY(backup_root_encode(db_id, &bytes, err));
    TRY(env_write_file(d->env, text, buf_slice(&bytes), err));
    memcpy(d->db_id, db_id, sizeof d->db_id);
    return LAM_OK;
}

enum lam_code backup_dir_open(struct backup_dir *d, lam_env *env, const char *path, bool change,
                              struct lam_error *err) {
    struct lam_error local = {0};
    enum lam_path_kind kind;
    bool others;
    *d = (struct backup_dir){.env = env, .path = path};
    TRY(env_path_kind(env, path, &kind, err));
    enum lam_code rc = kind == LAM_PATH_DIRECTORY ? read_root(d, &local) : LAM_NOT_FOUND;
    if (rc == LAM_NOT_FOUND)
        return ERR(err, rc, "%s: no directory of backups", path);
    TRY(error_pass(err, rc, &local));
    TRY(take_lock(d, change, err));
    return list(d, &others, err);
}

/* An unfinished making leaves the lock's file and half of a root. */
static enum lam_code check_blank(struct backup_dir *d, struct lam_error *err) {
    bool others;
    TRY(list(d, &others, err));
    if (others || d->ids.count > 0 || d->stored.count > 0)
        return ERR(err, LAM_EXISTS, "%s holds something else than backups", d->path);
    return LAM_OK;
}

static enum lam_code make_dir(struct backup_dir *d, struct lam_error *err) {
    enum lam_path_kind kind;
    TRY(env_path_kind(d->env, d->path, &kind, err));
    if (kind != LAM_PATH_NONE && kind != LAM_PATH_DIRECTORY)
        return ERR(err, LAM_EXISTS, "%s is not a directory", d->path);
    if (kind == LAM_PATH_NONE)
        TRY(d->env->ops->dir_create(d->env, d->path, err));
    /* Also of one that is there: its making may have been cut short. */
    return env_parent_sync(d->env, d->path, err);
}

enum lam_code backup_dir_make(struct backup_dir *d, lam_env *env, const char *path,
                              const uint8_t *db_id, struct lam_error *err) {
    struct lam_error local = {0};
    bool others;
    *d = (struct backup_dir){.env = env, .path = path};
    TRY(make_dir(d, err));
    enum lam_code rc = read_root(d, &local);
    if (rc == LAM_NOT_FOUND) {
        TRY(check_blank(d, err)); /* before the lock's file is put into what is another's */
        TRY(take_lock(d, true, err));
        rc = read_root(d, &local); /* another call may have come between */
    } else if (rc == LAM_OK) {
        TRY(take_lock(d, true, err));
    }
    if (rc == LAM_NOT_FOUND)
        rc = write_root(d, db_id, &local);
    TRY(error_pass(err, rc, &local));
    if (memcmp(d->db_id, db_id, sizeof d->db_id) != 0)
        return ERR(err, LAM_EXISTS, "%s holds backups of another database", path);
    /* Names that an earlier call left pending are relied upon from here on. */
    TRY(env_dir_sync(env, path, err));
    return list(d, &others, err);
}

void backup_dir_close(struct backup_dir *d) {
    if (d->lock)
        d->env->ops->file_unlock(d->lock);
    mem_free(d->ids.items);
    mem_free(d->stored.items);
    memset(d, 0, sizeof *d);
}

enum lam_code backup_load(const struct backup_dir *d, uint64_t id, struct backup_loaded *out,
                          struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    memset(out, 0, sizeof *out);
    TRY(backup_path(d, id, &path, &text, err));
    enum lam_code rc = env_read_file(d->env, text, BACKUP_BYTES_MAX, &out->bytes, err);
    if (rc == LAM_LIMIT)
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: longer than any description", text);
    TRY(rc);
    TRY(backup_decode(buf_slice(&out->bytes), text, &out->arena, &out->about, err));
    if (out->about.id != id || memcmp(out->about.db_id, d->db_id, sizeof d->db_id) != 0)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: describes another backup", text);
    return LAM_OK;
}

void backup_loaded_fini(struct backup_loaded *l) {
    arena_fini(&l->arena);
    buf_fini(&l->bytes);
}

/* Marks the data files that a description names. */
static enum lam_code mark_used(const struct backup_dir *d, uint64_t id, bool *used,
                               struct lam_error *err) {
    OWNED(backup_loaded_fini) struct backup_loaded l = {0};
    TRY(backup_load(d, id, &l, err));
    for (size_t i = 0; i < l.about.count; i++) {
        const uint64_t *at = backup_dir_find(d, l.about.files[i].stored);
        if (at)
            used[at - d->stored.items] = true;
    }
    return LAM_OK;
}

static enum lam_code remove_unused(struct backup_dir *d, const bool *used, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    struct backup_numbers *n = &d->stored;
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++) {
        if (used[i]) {
            n->items[kept++] = n->items[i];
            continue;
        }
        TRY(backup_data_path(d, n->items[i], &path, &text, err));
        TRY(env_file_remove(d->env, text, err));
    }
    n->count = kept;
    return LAM_OK;
}

enum lam_code backup_dir_clean(struct backup_dir *d, struct lam_error *err) {
    OWNED(mem_free_at) bool *used = mem_calloc(d->stored.count + 1, sizeof *used);
    if (!used)
        return mem_fail(err, d->stored.count + 1);
    for (size_t i = 0; i < d->ids.count; i++) {
        struct lam_error cause;
        enum lam_code rc = mark_used(d, d->ids.items[i], used, &cause);
        if (rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED)
            return LAM_OK;
        TRY(error_pass(err, rc, &cause));
    }
    return remove_unused(d, used, err);
}

enum lam_code backup_dir_forget(struct backup_dir *d, uint64_t id, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    TRY(backup_path(d, id, &path, &text, err));
    TRY(env_file_remove(d->env, text, err));
    TRY(env_dir_sync(d->env, d->path, err));
    struct backup_numbers *n = &d->ids;
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++)
        if (n->items[i] != id)
            n->items[kept++] = n->items[i];
    n->count = kept;
    return LAM_OK;
}
