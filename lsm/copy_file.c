/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving files for copies of a database. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lsm/copy.h"

/* Reads all of a file run by run; `to` (may be NULL) gets the bytes. */
static enum lam_code read_runs(lam_file *from, lam_file *to, uint8_t *run,
                               struct progress *progress, struct copy_result *out,
                               struct lam_error *err) {
    size_t got = COPY_RUN_BYTES;
    memset(out, 0, sizeof *out);
    while (got == COPY_RUN_BYTES) {
        TRY(env_file_read(from, out->size, run, COPY_RUN_BYTES, &got, err));
        if (got == 0)
            break;
        out->checksum = hash_xxh3(run, got, out->checksum);
        if (to)
            TRY(env_file_write(to, out->size, run, got, err));
        out->size += got;
        if (progress) {
            progress->now.bytes_done += got;
            TRY(progress_tell(progress, progress->now.file, err));
        }
    }
    return LAM_OK;
}

static enum lam_code read_all(lam_env *env, const char *path, lam_file *to,
                              struct progress *progress, struct copy_result *out,
                              struct lam_error *err) {
    OWNED(mem_free_at) uint8_t *run = mem_alloc(COPY_RUN_BYTES);
    OWNED(env_file_drop) lam_file *from = NULL;
    if (!run)
        return mem_fail(err, COPY_RUN_BYTES);
    TRY(env_file_open(env, path, LAM_OPEN_READ, &from, err));
    return read_runs(from, to, run, progress, out, err);
}

enum lam_code copy_checksum(lam_env *env, const char *path, struct progress *progress,
                            struct copy_result *out, struct lam_error *err) {
    return read_all(env, path, NULL, progress, out, err);
}

enum lam_code copy_file(lam_env *env, const char *from, const char *to, struct progress *progress,
                        struct copy_result *out, struct lam_error *err) {
    lam_file *file;
    /* EXCLUSIVE: what has the name may be a link to the file itself. */
    TRY(env_file_open(env, to, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE, &file, err));
    enum lam_code rc = env_file_end(file, read_all(env, from, file, progress, out, err), err);
    if (rc != LAM_OK)
        IGNORE(env_file_remove(env, to, NULL), "it lies in a directory that goes as a whole");
    return rc;
}

static bool is_inside(struct lam_slice path, struct lam_slice dir) {
    return slice_starts_with(path, dir) && (path.size == dir.size || path.data[dir.size] == '/');
}

/* Syncs the directories that `next` does not lie in: in the order of names, they get no more. */
static enum lam_code leave(struct copy_dirs *d, struct lam_slice next, struct lam_error *err) {
    const char *text;
    while (d->last.size > strlen(d->dir) && !is_inside(next, buf_slice(&d->last))) {
        TRY(buf_cstr(&d->last, &text, err));
        TRY(env_dir_sync(d->env, text, err));
        do
            d->last.size--;
        while (d->last.data[d->last.size] != '/');
    }
    return LAM_OK;
}

enum lam_code copy_dirs_enter(struct copy_dirs *d, const char *name, struct buf *path,
                              const char **text_out, struct lam_error *err) {
    const char *slash = strrchr(name, '/'), *text;
    TRY(env_path_join(path, d->dir, name, text_out, err));
    struct lam_slice next = lam_slice_of(path->data, slash ? path->size - strlen(slash) : 0);
    TRY(leave(d, next, err));
    if (next.size > 0 && next.size != d->last.size) {
        buf_reset(&d->last);
        TRY(buf_append_slice(&d->last, next, err));
        TRY(buf_cstr(&d->last, &text, err));
        TRY(env_dir_create_all(d->env, text, err));
    }
    return LAM_OK;
}

enum lam_code copy_dirs_finish(struct copy_dirs *d, struct lam_error *err) {
    TRY(leave(d, SLICE_EMPTY, err));
    return env_dir_sync(d->env, d->dir, err);
}

void copy_dirs_fini(struct copy_dirs *d) {
    buf_fini(&d->last);
}
