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
    OWNED(env_file_drop) lam_file *f = NULL;
    uint64_t size = 0;
    TRY(env_file_open(env, path, LAM_OPEN_READ, &f, err));
    TRY(env_file_size(f, &size, err));
    if (size > max)
        return ERR(err, LAM_LIMIT, "%s: file of %llu bytes, at most %zu are allowed", path,
                   (unsigned long long)size, max);
    if (size == 0)
        return LAM_OK;
    TRY(buf_reserve(out, (size_t)size, err));
    TRY(env_file_read_exact(f, path, 0, out->data + out->size, (size_t)size, err));
    out->size += (size_t)size;
    return LAM_OK;
}

enum lam_code env_file_end(lam_file *f, enum lam_code rc, struct lam_error *err) {
    if (rc == LAM_OK)
        rc = env_file_sync(f, err);
    enum lam_code closed = env_file_close(f, rc == LAM_OK ? err : NULL);
    return rc == LAM_OK ? closed : rc;
}

enum lam_code env_path_size(lam_env *env, const char *path, uint64_t *size_out,
                            struct lam_error *err) {
    OWNED(env_file_drop) lam_file *f = NULL;
    TRY(env_file_open(env, path, LAM_OPEN_READ, &f, err));
    return env_file_size(f, size_out, err);
}

static enum lam_code write_synced(lam_env *env, const char *path, struct lam_slice content,
                                  struct lam_error *err) {
    lam_file *f = NULL;
    unsigned flags = LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE;
    TRY(env_file_open(env, path, flags, &f, err));
    enum lam_code rc =
        content.size > 0 ? env_file_write(f, 0, content.data, content.size, err) : LAM_OK;
    return env_file_end(f, rc, err);
}

enum lam_code env_write_file(lam_env *env, const char *path, struct lam_slice content,
                             struct lam_error *err) {
    OWNED(buf_fini) struct buf temp = {0};
    const char *temp_path;
    TRY(buf_append_format(&temp, err, "%s.tmp", path));
    TRY(buf_cstr(&temp, &temp_path, err));
    enum lam_code rc = write_synced(env, temp_path, content, err);
    if (rc == LAM_OK)
        rc = env_path_rename(env, temp_path, path, err);
    if (rc == LAM_OK)
        return env_parent_sync(env, path, err);
    IGNORE(env_file_remove(env, temp_path, NULL), "the next write replaces it anyway");
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
    OWNED(buf_fini) struct buf parent = {0};
    const char *parent_path;
    TRY(env_path_parent(&parent, path, &parent_path, err));
    if (strcmp(parent_path, path) != 0)
        TRY(env_dir_create_all(env, parent_path, err));
    return create_dir(env, path, err);
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
    OWNED(buf_fini) struct buf parent = {0};
    const char *text;
    TRY(env_path_parent(&parent, path, &text, err));
    return env_dir_sync(env, text, err);
}

enum lam_code env_lock_in(lam_env *env, const char *dir, const char *name, bool only_if_there,
                          lam_file_lock **lock_out, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    enum lam_path_kind kind = LAM_PATH_FILE;
    TRY(env_path_join(&path, dir, name, &text, err));
    if (only_if_there)
        TRY(env_path_kind(env, text, &kind, err));
    return kind == LAM_PATH_NONE ? LAM_OK : env->ops->file_lock(env, text, lock_out, err);
}

enum lam_code env_names_add(struct env_names *l, const char *name, struct lam_error *err) {
    TRY(MEM_GROW(&l->items, &l->capacity, l->count + 1, err));
    l->items[l->count] = mem_strdup(name);
    if (!l->items[l->count])
        return mem_fail(err, strlen(name) + 1);
    l->count++;
    return LAM_OK;
}

void env_names_fini(struct env_names *l) {
    for (size_t i = 0; i < l->count; i++)
        mem_free(l->items[i]);
    mem_free(l->items);
    *l = (struct env_names){0};
}

struct listing {
    struct env_names *names;
    enum lam_code code;
    struct lam_error *err;
};

static bool note_name(void *arg, const char *name) {
    struct listing *l = arg;
    l->code = env_names_add(l->names, name, l->err);
    return l->code == LAM_OK;
}

enum lam_code env_dir_names(lam_env *env, const char *path, struct env_names *out,
                            struct lam_error *err) {
    struct listing l = {out, LAM_OK, err};
    TRY(env_dir_list(env, path, note_name, &l, err));
    return l.code;
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
