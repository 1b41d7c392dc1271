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

#define ROOT_NAME "BACKUPS"
#define LOCK_NAME "LOCK"

/* --- names ---------------------------------------------------------------------------------- */

enum backup_name { NAME_OTHER, NAME_BACKUP, NAME_DATA, NAME_TEMP, NAME_ROOT, NAME_LOCK };

/* Numbers are written in one form, so that no two names mean one file. */
static enum backup_name parse_name(const char *name, uint64_t *number) {
    uint64_t n = 0;
    const char *at = name;
    *number = 0;
    if (strcmp(name, ROOT_NAME) == 0)
        return NAME_ROOT;
    if (strcmp(name, LOCK_NAME) == 0)
        return NAME_LOCK;
    if (strcmp(name, ROOT_NAME ".tmp") == 0)
        return NAME_TEMP;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *at - '0', &n))
            return NAME_OTHER;
    size_t digits = (size_t)(at - name);
    if (digits < 6 || (digits > 6 && name[0] == '0') || n == 0)
        return NAME_OTHER;
    *number = n;
    if (strcmp(at, ".backup") == 0)
        return NAME_BACKUP;
    if (strcmp(at, ".data") == 0)
        return NAME_DATA;
    return strcmp(at, ".backup.tmp") == 0 ? NAME_TEMP : NAME_OTHER;
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

/* --- opening -------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

const uint64_t *backup_dir_find(const struct backup_dir *d, uint64_t stored) {
    return d->stored_count == 0
               ? NULL
               : bsearch(&stored, d->stored, d->stored_count, sizeof *d->stored, by_number);
}

struct listing {
    struct backup_dir *d;
    bool others; /* names that are none of ours */
    bool temps;
    enum lam_code code;
    struct lam_error *err;
};

static bool note_name(void *arg, const char *name) {
    struct listing *l = arg;
    struct backup_dir *d = l->d;
    uint64_t number;
    enum backup_name kind = parse_name(name, &number);
    l->others = l->others || kind == NAME_OTHER;
    l->temps = l->temps || kind == NAME_TEMP;
    if (kind == NAME_BACKUP) {
        l->code = MEM_GROW(&d->ids, &d->id_capacity, d->id_count + 1, l->err);
        if (l->code == LAM_OK)
            d->ids[d->id_count++] = number;
    } else if (kind == NAME_DATA) {
        l->code = MEM_GROW(&d->stored, &d->stored_capacity, d->stored_count + 1, l->err);
        if (l->code == LAM_OK)
            d->stored[d->stored_count++] = number;
    }
    return l->code == LAM_OK;
}

static enum lam_code list(struct backup_dir *d, struct listing *l, struct lam_error *err) {
    *l = (struct listing){.d = d, .err = err};
    d->id_count = d->stored_count = 0;
    TRY(env_dir_list(d->env, d->path, note_name, l, err));
    TRY(l->code);
    if (d->id_count > 0)
        qsort(d->ids, d->id_count, sizeof *d->ids, by_number);
    if (d->stored_count > 0)
        qsort(d->stored, d->stored_count, sizeof *d->stored, by_number);
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
    struct buf path = {0}, bytes = {0};
    const char *text;
    enum lam_code rc = env_path_join(&path, d->path, ROOT_NAME, &text, err);
    if (rc == LAM_OK)
        rc = env_read_file(d->env, text, BACKUP_ROOT_BYTES, &bytes, err);
    if (rc == LAM_LIMIT)
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: not the root of a directory of backups", text);
    if (rc == LAM_OK)
        rc = backup_root_decode(buf_slice(&bytes), text, d->db_id, err);
    buf_fini(&bytes);
    buf_fini(&path);
    return rc;
}

static enum lam_code write_root(struct backup_dir *d, const uint8_t *db_id, struct lam_error *err) {
    struct buf path = {0}, bytes = {0};
    const char *text;
    enum lam_code rc = env_path_join(&path, d->path, ROOT_NAME, &text, err);
    if (rc == LAM_OK)
        rc = backup_root_encode(db_id, &bytes, err);
    if (rc == LAM_OK)
        rc = env_write_file(d->env, text, buf_slice(&bytes), err);
    if (rc == LAM_OK)
        memcpy(d->db_id, db_id, sizeof d->db_id);
    buf_fini(&bytes);
    buf_fini(&path);
    return rc;
}

static enum lam_code no_backups(const char *path, struct lam_error *err) {
    return ERR(err, LAM_NOT_FOUND, "%s: no directory of backups", path);
}

enum lam_code backup_dir_open(struct backup_dir *d, lam_env *env, const char *path, bool change,
                              struct lam_error *err) {
    struct listing l;
    struct lam_error local = {0};
    enum lam_path_kind kind;
    *d = (struct backup_dir){.env = env, .path = path};
    TRY(env_path_kind(env, path, &kind, err));
    if (kind != LAM_PATH_DIRECTORY)
        return no_backups(path, err);
    enum lam_code rc = read_root(d, &local);
    if (rc == LAM_NOT_FOUND)
        return no_backups(path, err);
    TRY(error_pass(err, rc, &local));
    TRY(take_lock(d, change, err));
    return list(d, &l, err);
}

/* An unfinished making leaves the lock's file and half of a root. */
static enum lam_code check_blank(struct backup_dir *d, struct lam_error *err) {
    struct listing l;
    TRY(list(d, &l, err));
    if (l.others || d->id_count > 0 || d->stored_count > 0)
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
    struct listing l;
    struct lam_error local = {0};
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
    return list(d, &l, err);
}

void backup_dir_close(struct backup_dir *d) {
    if (d->lock)
        d->env->ops->file_unlock(d->lock);
    mem_free(d->ids);
    mem_free(d->stored);
    memset(d, 0, sizeof *d);
}

/* --- descriptions --------------------------------------------------------------------------- */

enum lam_code backup_load(const struct backup_dir *d, uint64_t id, struct backup_loaded *out,
                          struct lam_error *err) {
    struct buf path = {0};
    const char *text;
    memset(out, 0, sizeof *out);
    enum lam_code rc = backup_path(d, id, &path, &text, err);
    if (rc == LAM_OK)
        rc = env_read_file(d->env, text, BACKUP_BYTES_MAX, &out->bytes, err);
    if (rc == LAM_LIMIT)
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: longer than any description", text);
    if (rc == LAM_OK)
        rc = backup_decode(buf_slice(&out->bytes), text, &out->arena, &out->about, err);
    if (rc == LAM_OK &&
        (out->about.id != id || memcmp(out->about.db_id, d->db_id, sizeof d->db_id) != 0))
        rc = ERR(err, LAM_CORRUPT, "%s: offset 0: describes another backup", text);
    buf_fini(&path);
    return rc;
}

void backup_loaded_fini(struct backup_loaded *l) {
    arena_fini(&l->arena);
    buf_fini(&l->bytes);
}

/* --- removal -------------------------------------------------------------------------------- */

/* Marks the data files that a description names. */
static enum lam_code mark_used(const struct backup_dir *d, uint64_t id, bool *used,
                               struct lam_error *err) {
    struct backup_loaded l;
    enum lam_code rc = backup_load(d, id, &l, err);
    for (size_t i = 0; rc == LAM_OK && i < l.about.count; i++) {
        const uint64_t *at = backup_dir_find(d, l.about.files[i].stored);
        if (at)
            used[at - d->stored] = true;
    }
    backup_loaded_fini(&l);
    return rc;
}

static enum lam_code remove_unused(struct backup_dir *d, const bool *used, struct lam_error *err) {
    struct buf path = {0};
    const char *text;
    enum lam_code rc = LAM_OK;
    size_t kept = 0;
    for (size_t i = 0; i < d->stored_count && rc == LAM_OK; i++) {
        if (used[i]) {
            d->stored[kept++] = d->stored[i];
            continue;
        }
        rc = backup_data_path(d, d->stored[i], &path, &text, err);
        if (rc == LAM_OK)
            rc = env_file_remove(d->env, text, err);
    }
    if (rc == LAM_OK)
        d->stored_count = kept;
    buf_fini(&path);
    return rc;
}

enum lam_code backup_dir_clean(struct backup_dir *d, struct lam_error *err) {
    struct lam_error cause;
    bool *used = mem_calloc(d->stored_count + 1, sizeof *used);
    enum lam_code rc = used ? LAM_OK : mem_fail(&cause, d->stored_count + 1);
    for (size_t i = 0; i < d->id_count && rc == LAM_OK; i++)
        rc = mark_used(d, d->ids[i], used, &cause);
    bool known = rc != LAM_CORRUPT && rc != LAM_UNSUPPORTED;
    if (rc == LAM_OK)
        rc = remove_unused(d, used, &cause);
    if (rc != LAM_OK && known && err)
        *err = cause;
    mem_free(used);
    return known ? rc : LAM_OK;
}

enum lam_code backup_dir_forget(struct backup_dir *d, uint64_t id, struct lam_error *err) {
    struct buf path = {0};
    const char *text;
    enum lam_code rc = backup_path(d, id, &path, &text, err);
    if (rc == LAM_OK)
        rc = env_file_remove(d->env, text, err);
    if (rc == LAM_OK)
        rc = env_dir_sync(d->env, d->path, err);
    buf_fini(&path);
    for (size_t i = 0; rc == LAM_OK && i < d->id_count; i++)
        if (d->ids[i] == id) {
            memmove(d->ids + i, d->ids + i + 1, (--d->id_count - i) * sizeof *d->ids);
            break;
        }
    return rc;
}
