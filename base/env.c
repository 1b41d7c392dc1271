/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers over any environment's table of operations. */
#include "base/env.h"

#include "base/assert.h"

enum lam_code env_file_read_exact(lam_file *f, const char *path, uint64_t offset, void *data,
                                  size_t size, struct lam_error *err) {
    size_t got = 0;
    TRY(env_file_read(f, offset, data, size, &got, err));
    LAM_ASSERT(got <= size);
    if (got < size)
        return ERR(err, LAM_CORRUPT,
                   "%s: file ends at offset %llu, %zu bytes wanted at offset %llu", path,
                   (unsigned long long)(offset + got), size, (unsigned long long)offset);
    return LAM_OK;
}

enum lam_code env_read_file(lam_env *env, const char *path, size_t max, struct buf *out,
                            struct lam_error *err) {
    lam_file *f = NULL;
    size_t before = out->size;
    TRY(env_file_open(env, path, LAM_OPEN_READ, &f, err));
    uint64_t size = 0;
    enum lam_code rc;
    TRY_GOTO(env_file_size(f, &size, err));
    if (size > max) {
        rc = ERR(err, LAM_LIMIT, "%s: file of %llu bytes, at most %zu are allowed", path,
                 (unsigned long long)size, max);
        goto out;
    }
    if (size > 0) {
        TRY_GOTO(buf_reserve(out, (size_t)size, err));
        TRY_GOTO(env_file_read_exact(f, path, 0, out->data + before, (size_t)size, err));
        out->size = before + (size_t)size;
    }
out:
    IGNORE(env_file_close(f, NULL), "nothing was written");
    return rc;
}

static enum lam_code write_synced(lam_env *env, const char *path, struct lam_slice content,
                                  struct lam_error *err) {
    lam_file *f = NULL;
    unsigned flags = LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE;
    TRY(env_file_open(env, path, flags, &f, err));
    enum lam_code rc = LAM_OK;
    if (content.size > 0)
        TRY_GOTO(env_file_write(f, 0, content.data, content.size, err));
    TRY_GOTO(env_file_sync(f, err));
    rc = env_file_close(f, err);
    f = NULL;
out:
    IGNORE(env_file_close(f, NULL), "an earlier failure is being reported");
    return rc;
}

enum lam_code env_write_file(lam_env *env, const char *path, struct lam_slice content,
                             struct lam_error *err) {
    struct buf temp = {0};
    const char *temp_path;
    enum lam_code rc;
    TRY_GOTO(buf_append_format(&temp, err, "%s.tmp", path));
    TRY_GOTO(buf_cstr(&temp, &temp_path, err));
    rc = write_synced(env, temp_path, content, err);
    if (rc == LAM_OK)
        rc = env_path_rename(env, temp_path, path, err);
    if (rc != LAM_OK) {
        IGNORE(env_file_remove(env, temp_path, NULL), "the next write replaces it anyway");
        goto out;
    }
    rc = env_parent_sync(env, path, err);
out:
    buf_fini(&temp);
    return rc;
}

static enum lam_code create_dir(lam_env *env, const char *path, struct lam_error *err) {
    enum lam_code rc = env->ops->dir_create(env, path, err);
    if (rc != LAM_EXISTS)
        return rc;
    /* Another thread or process may have been faster, which is as good. */
    enum lam_path_kind kind;
    TRY(env_path_kind(env, path, &kind, err));
    if (kind != LAM_PATH_DIRECTORY)
        return ERR(err, LAM_EXISTS, "making directory %s: something else has that name", path);
    return LAM_OK;
}

enum lam_code env_dir_create_all(lam_env *env, const char *path, struct lam_error *err) {
    enum lam_path_kind kind;
    TRY(env_path_kind(env, path, &kind, err));
    if (kind == LAM_PATH_DIRECTORY)
        return LAM_OK;
    if (kind != LAM_PATH_NONE)
        return ERR(err, LAM_EXISTS, "making directory %s: something else has that name", path);
    struct buf parent = {0};
    const char *parent_path;
    enum lam_code rc;
    TRY_GOTO(env_path_parent(&parent, path, &parent_path, err));
    if (strcmp(parent_path, path) != 0)
        TRY_GOTO(env_dir_create_all(env, parent_path, err));
    rc = create_dir(env, path, err);
out:
    buf_fini(&parent);
    return rc;
}

enum lam_code env_path_join(struct buf *out, const char *dir, const char *name,
                            const char **text_out, struct lam_error *err) {
    size_t length = strlen(dir);
    buf_reset(out);
    TRY(buf_append(out, dir, length, err));
    if (length > 0 && dir[length - 1] != '/')
        TRY(buf_append_u8(out, '/', err));
    TRY(buf_append_str(out, name, err));
    return buf_cstr(out, text_out, err);
}

enum lam_code env_parent_sync(lam_env *env, const char *path, struct lam_error *err) {
    struct buf parent = {0};
    const char *text;
    enum lam_code rc = env_path_parent(&parent, path, &text, err);
    if (rc == LAM_OK)
        rc = env_dir_sync(env, text, err);
    buf_fini(&parent);
    return rc;
}

enum lam_code env_lock_in(lam_env *env, const char *dir, const char *name, bool only_if_there,
                          lam_file_lock **lock_out, struct lam_error *err) {
    struct buf path = {0};
    const char *text;
    enum lam_path_kind kind = LAM_PATH_FILE;
    enum lam_code rc = env_path_join(&path, dir, name, &text, err);
    if (rc == LAM_OK && only_if_there)
        rc = env_path_kind(env, text, &kind, err);
    if (rc == LAM_OK && kind != LAM_PATH_NONE)
        rc = env->ops->file_lock(env, text, lock_out, err);
    buf_fini(&path);
    return rc;
}

enum lam_code env_path_parent(struct buf *out, const char *path, const char **text_out,
                              struct lam_error *err) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    buf_reset(out);
    TRY(length > 0 ? buf_append(out, path, length, err) : buf_append_str(out, ".", err));
    return buf_cstr(out, text_out, err);
}
