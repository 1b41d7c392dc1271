/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a backup: data files for what no earlier backup has, each read back and verified, then the
 * description, by which the backup begins to be. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/backup_dir.h"
#include "lsm/copy.h"

struct backup {
    lam_db *db;
    struct backup_dir dir;
    struct copy_state state;
    struct arena arena;
    struct backup_file *files; /* as many as the state has; of the arena */
    size_t count;
    uint64_t next_stored;
    struct progress progress;
};

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct backup_file *)a)->name, ((const struct backup_file *)b)->name);
}

/* Notes which files of the state an earlier backup has: those of one name, size and fingerprint. */
static void share_with(struct backup *b, const struct backup_description *earlier) {
    for (size_t i = 0; i < b->count && earlier->count > 0; i++) {
        const struct copy_file *want = &b->state.files[i];
        struct backup_file key = {.name = want->name};
        const struct backup_file *have =
            bsearch(&key, earlier->files, earlier->count, sizeof key, by_name);
        if (!have || !want->size || have->size != want->size || !want->fingerprint ||
            have->fingerprint != want->fingerprint || !backup_dir_find(&b->dir, have->stored))
            continue;
        b->files[i].stored = have->stored;
        b->files[i].checksum = have->checksum;
        b->files[i].size = have->size;
    }
}

/* What a damaged description names is copied again. */
static enum lam_code find_shared(struct backup *b, struct lam_error *err) {
    for (size_t i = 0; i < b->dir.ids.count; i++) {
        OWNED(backup_loaded_fini) struct backup_loaded l = {0};
        struct lam_error cause;
        enum lam_code rc = backup_load(&b->dir, b->dir.ids.items[i], &l, &cause);
        if (rc == LAM_OK)
            share_with(b, &l.about);
        else if (rc != LAM_CORRUPT && rc != LAM_UNSUPPORTED)
            return error_pass(err, rc, &cause);
    }
    return LAM_OK;
}

/* A shared file has lost nothing that its size would show. */
static enum lam_code check_shared(struct backup *b, struct backup_file *f, const char *path,
                                  struct lam_error *err) {
    uint64_t size = 0;
    TRY(env_path_size(b->db->env, path, &size, err));
    if (size != f->size)
        f->stored = 0;
    return LAM_OK;
}

static enum lam_code verify_sst(struct backup *b, const char *path, const struct manifest_file *f,
                                struct lam_error *err) {
    OWNED(sst_unref_at) struct sst *s = NULL;
    TRY(sst_open(b->db->env, path, b->db->id, f->number, f->size_bytes, f->footer_checksum, NULL,
                 &s, err));
    TRY(sst_state_sequences(s, &f->properties, err));
    return sst_verify(s, path, err);
}

static enum lam_code verify_copy(struct backup *b, const struct copy_file *from, const char *path,
                                 const struct copy_result *written, struct lam_error *err) {
    struct copy_result back;
    TRY(copy_checksum(b->db->env, path, NULL, &back, err));
    if (back.size != written->size || back.checksum != written->checksum)
        return ERR(err, LAM_CORRUPT, "%s: offset 0: reads differently from what was written", path);
    if (from->size && written->size != from->size)
        return ERR(err, LAM_CORRUPT, "%s/%s: offset %llu: %llu bytes, expected %llu", b->db->path,
                   from->name, (unsigned long long)written->size, (unsigned long long)written->size,
                   (unsigned long long)from->size);
    if (!from->about)
        return LAM_OK;
    enum lam_code rc = verify_sst(b, path, from->about, err);
    return rc == LAM_OK ? rc : error_context(err, rc, "copy of %s/%s", b->db->path, from->name);
}

static enum lam_code copy_one(struct backup *b, const struct copy_file *from,
                              struct backup_file *to, struct lam_error *err) {
    OWNED(buf_fini) struct buf source = {0}, target = {0};
    const char *source_text, *target_text;
    struct copy_result written;
    TRY(env_path_join(&source, b->db->path, from->name, &source_text, err));
    TRY(backup_data_path(&b->dir, b->next_stored, &target, &target_text, err));
    TRY(copy_file(b->db->env, source_text, target_text, &b->progress, &written, err));
    to->stored = b->next_stored++;
    to->size = written.size;
    to->checksum = written.checksum;
    return verify_copy(b, from, target_text, &written, err);
}

/* An optional file that is gone is no file of the backup. */
static enum lam_code take_file(struct backup *b, size_t i, bool *gone_out, struct lam_error *err) {
    const struct copy_file *from = &b->state.files[i];
    struct backup_file *to = &b->files[i];
    struct lam_error local = {0};
    *gone_out = false;
    TRY(progress_tell(&b->progress, from->name, err));
    enum lam_code rc = LAM_OK;
    if (to->stored == 0)
        rc = copy_one(b, from, to, &local);
    if (rc != LAM_OK && error_is_out_of_files(&local)) {
        db_close_idle_files(b->db);
        rc = copy_one(b, from, to, &local);
    }
    b->progress.now.files_done++;
    *gone_out = rc == LAM_NOT_FOUND && from->optional;
    if (rc == LAM_OK || *gone_out)
        return LAM_OK;
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "%s/%s: offset 0: missing, but the database names it",
                   b->db->path, from->name);
    return error_pass(err, rc, &local);
}

static enum lam_code plan(struct backup *b, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    b->count = b->state.count;
    b->files = arena_calloc(&b->arena, b->count + 1, sizeof *b->files);
    if (!b->files)
        return mem_fail(err, b->count * sizeof *b->files);
    for (size_t i = 0; i < b->count; i++) {
        b->files[i].name = b->state.files[i].name;
        b->files[i].fingerprint = b->state.files[i].fingerprint;
        if (!backup_name_is_safe(b->files[i].name))
            return ERR(err, LAM_UNSUPPORTED, "%s: file %s can't be part of a backup", b->db->path,
                       b->files[i].name);
    }
    TRY(find_shared(b, err));
    for (size_t i = 0; i < b->count; i++) {
        if (b->files[i].stored) {
            TRY(backup_data_path(&b->dir, b->files[i].stored, &path, &text, err));
            TRY(check_shared(b, &b->files[i], text, err));
        }
        if (!b->files[i].stored)
            b->progress.now.bytes_total += b->state.files[i].size;
    }
    b->progress.now.files_total = b->count;
    b->next_stored = backup_last(&b->dir.stored) + 1;
    return LAM_OK;
}

static enum lam_code copy_files(struct backup *b, struct lam_error *err) {
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        bool gone;
        TRY(take_file(b, i, &gone, err));
        if (!gone)
            b->files[kept++] = b->files[i];
    }
    b->count = kept;
    TRY(progress_tell(&b->progress, "", err));
    return env_dir_sync(b->db->env, b->dir.path, err);
}

static enum lam_code describe(struct backup *b, uint64_t id, struct lam_error *err) {
    struct backup_description d = {
        .id = id,
        .created_us = env_now_us(b->db->env),
        .sequence = b->state.whole.edit.last_sequence,
        .files = b->files,
        .count = b->count,
        .edit = b->state.whole.edit,
    };
    OWNED(buf_fini) struct buf path = {0}, bytes = {0};
    const char *text;
    enum lam_code rc;
    memcpy(d.db_id, b->db->id, sizeof d.db_id);
    TRY(backup_path(&b->dir, id, &path, &text, err));
    TRY(backup_encode(&d, &bytes, err));
    rc = env_write_file(b->db->env, text, buf_slice(&bytes), err);
    if (rc != LAM_OK) /* it may have its name by then */
        IGNORE(backup_dir_forget(&b->dir, id, NULL), "then it is a whole backup, or none");
    return rc;
}

static enum lam_code run(struct backup *b, const struct db_outer_files *outer, uint64_t *id_out,
                         struct lam_error *err) {
    TRY(backup_dir_clean(&b->dir, err));
    TRY(copy_state_choose(&b->state, b->db, outer, err));
    TRY(plan(b, err));
    TRY(copy_files(b, err));
    uint64_t id = backup_last(&b->dir.ids) + 1;
    TRY(describe(b, id, err));
    if (id_out)
        *id_out = id;
    return LAM_OK;
}

enum lam_code db_backup(lam_db *db, const char *dir, const struct db_outer_files *outer,
                        lam_progress_fn progress, void *arg, uint64_t *id_out,
                        struct lam_error *err) {
    struct backup b = {.db = db, .progress = {.fn = progress, .arg = arg}};
    TRY(db_check_writable(db, err));
    enum lam_code rc = backup_dir_make(&b.dir, db->env, dir, db->id, err);
    if (rc == LAM_OK)
        rc = run(&b, outer, id_out, err);
    copy_state_fini(&b.state);
    backup_dir_close(&b.dir);
    arena_fini(&b.arena);
    notify_end_call(&db->notify);
    return rc;
}
