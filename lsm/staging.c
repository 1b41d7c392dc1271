/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a directory under a temporary name. */
#include "lsm/staging.h"

#include "base/assert.h"
#include "lsm/superblock.h"

#define SUFFIX "unfinished"
#define MARKER "UNFINISHED"
/* Directories in directories, deeper than any path of ours. */
#define DEPTH_MAX 64

static enum lam_code empty_dir(lam_env *env, const char *dir, const char *but, unsigned depth,
                               struct lam_error *err);

static enum lam_code remove_path(lam_env *env, const char *path, unsigned depth,
                                 struct lam_error *err) {
    enum lam_path_kind kind;
    TRY(env_path_kind(env, path, &kind, err));
    if (kind != LAM_PATH_DIRECTORY)
        return env_file_remove(env, path, err);
    if (depth == 0)
        return ERR(err, LAM_LIMIT, "%s: more than %d directories in each other", path, DEPTH_MAX);
    TRY(empty_dir(env, path, NULL, depth - 1, err));
    return env->ops->dir_remove(env, path, err);
}

/* Removes all in a directory except `but`. */
static enum lam_code empty_dir(lam_env *env, const char *dir, const char *but, unsigned depth,
                               struct lam_error *err) {
    OWNED(env_names_fini) struct env_names names = {0};
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    TRY(env_dir_names(env, dir, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        if (but && strcmp(names.items[i], but) == 0)
            continue;
        TRY(env_path_join(&path, dir, names.items[i], &text, err));
        TRY(remove_path(env, text, depth, err));
    }
    return LAM_OK;
}

static enum lam_code name_paths(struct staging *s, const char *target, struct lam_error *err) {
    size_t size = strlen(target);
    while (size > 1 && target[size - 1] == '/')
        size--;
    size_t suffix = strlen("." SUFFIX);
    if (size > suffix && memcmp(target + size - suffix, "." SUFFIX, suffix) == 0)
        return ERR(err, LAM_INVALID,
                   "%s: a name that ends in ." SUFFIX " is kept for unfinished "
                   "directories",
                   target);
    TRY(buf_append(&s->target_bytes, target, size, err));
    TRY(buf_cstr(&s->target_bytes, &s->target, err));
    TRY(buf_append_format(&s->temp_bytes, err, "%s." SUFFIX, s->target));
    const char *text;
    return buf_cstr(&s->temp_bytes, &text, err);
}

/* Whether a directory of the temporary name is what a crash has left of one of ours. */
static enum lam_code is_ours(struct staging *s, const char *temp, const uint8_t *db_id, bool *out,
                             struct lam_error *err) {
    OWNED(env_names_fini) struct env_names names = {0};
    struct superblock sb;
    TRY(env_dir_names(s->env, temp, &names, err));
    *out = names.count == 0;
    for (size_t i = 0; i < names.count; i++)
        *out = *out || strcmp(names.items[i], MARKER) == 0;
    if (!*out && superblock_read(s->env, temp, &sb, NULL) == LAM_OK)
        *out = memcmp(sb.db_id, db_id, sizeof sb.db_id) == 0;
    return LAM_OK;
}

static enum lam_code make_dir(struct staging *s, const char *temp, const uint8_t *db_id,
                              struct lam_error *err) {
    struct lam_error there = {0};
    bool ours = false;
    enum lam_code rc = s->env->ops->dir_create(s->env, temp, &there);
    if (rc == LAM_OK)
        return LAM_OK;
    if (rc != LAM_EXISTS)
        return error_pass(err, rc, &there);
    enum lam_path_kind kind;
    TRY(env_path_kind(s->env, temp, &kind, err));
    if (kind == LAM_PATH_DIRECTORY)
        TRY(is_ours(s, temp, db_id, &ours, err));
    return ours ? LAM_OK
                : ERR(err, LAM_EXISTS, "%s is there, and is not what an unfinished call has left",
                      temp);
}

static enum lam_code take_lock(struct staging *s, const char *temp, struct lam_error *err) {
    enum lam_code rc = env_lock_in(s->env, temp, MARKER, false, &s->lock, err);
    return rc == LAM_BUSY ? ERR(err, rc, "%s is being made by another call", s->target) : rc;
}

/* The mark is durable before anything that it is for is made, or goes. */
static enum lam_code mark(struct staging *s, const char *temp, struct lam_error *err) {
    TRY(take_lock(s, temp, err));
    return env_dir_sync(s->env, temp, err);
}

static void unlock(struct staging *s) {
    if (s->lock)
        s->env->ops->file_unlock(s->lock);
    s->lock = NULL;
}

enum lam_code staging_begin(struct staging *s, lam_env *env, const char *target,
                            const uint8_t *db_id, struct lam_error *err) {
    enum lam_path_kind kind;
    memset(s, 0, sizeof *s);
    s->env = env;
    TRY(name_paths(s, target, err));
    const char *temp = (const char *)s->temp_bytes.data;
    TRY(env_path_kind(env, s->target, &kind, err));
    if (kind != LAM_PATH_NONE)
        return ERR(err, LAM_EXISTS, "%s exists", s->target);
    TRY(make_dir(s, temp, db_id, err));
    enum lam_code rc = mark(s, temp, err);
    if (rc != LAM_OK) {
        IGNORE(env->ops->dir_remove(env, temp, NULL), "the next call takes it over");
        return rc;
    }
    s->dir = temp;
    return empty_dir(env, temp, MARKER, DEPTH_MAX, err);
}

static enum lam_code remove_marker(struct staging *s, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    TRY(env_path_join(&path, s->dir, MARKER, &text, err));
    TRY(env_file_remove(s->env, text, err));
    return env_dir_sync(s->env, s->dir, err);
}

enum lam_code staging_finish(struct staging *s, struct lam_error *err) {
    LAM_ASSERT(s->dir && s->lock && !s->finished);
    TRY(remove_marker(s, err));
    /* A directory is locked under its name, so it is not renamed before. */
    unlock(s);
    TRY(env_path_rename(s->env, s->dir, s->target, err));
    enum lam_code rc = env_parent_sync(s->env, s->target, err);
    /* Nobody may rely on a name that a power loss takes away. */
    s->finished = rc == LAM_OK || env_path_rename(s->env, s->target, s->dir, NULL) != LAM_OK;
    return rc;
}

static void remove_unfinished(struct staging *s) {
    if (!s->lock && mark(s, s->dir, NULL) != LAM_OK)
        return;
    if (empty_dir(s->env, s->dir, MARKER, DEPTH_MAX, NULL) != LAM_OK ||
        remove_marker(s, NULL) != LAM_OK)
        return;
    unlock(s);
    IGNORE(s->env->ops->dir_remove(s->env, s->dir, NULL), "the next call takes it over");
}

void staging_fini(struct staging *s) {
    if (s->dir && !s->finished)
        remove_unfinished(s);
    unlock(s);
    buf_fini(&s->target_bytes);
    buf_fini(&s->temp_bytes);
    memset(s, 0, sizeof *s);
}
