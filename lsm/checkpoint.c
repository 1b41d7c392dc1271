/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: the files of a chosen state (copy.h) under second names in another directory, with a
 * manifest and a ROOT of their own. Files with several names are never written, only unlinked, so
 * neither database can change the other.
 *
 * Order: files linked, their directories synced, manifest and ROOT written and synced, the mark of
 * the unfinished removed, the directory renamed, its parent synced. */
#include "lsm/copy.h"
#include "lsm/staging.h"

static enum lam_code copy_instead(lam_db *db, const char *from, const char *to,
                                  struct lam_error *err) {
    struct copy_result result;
    /* A link that failed may be there. */
    enum lam_code rc = env_file_remove(db->env, to, err);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND)
        return rc;
    return copy_file(db->env, from, to, NULL, &result, err);
}

/* Links a file, or copies it where that is refused. */
static enum lam_code place_file(lam_db *db, const char *from, const char *to,
                                struct lam_error *err) {
    struct lam_error local = {0};
    enum lam_code rc = db->env->ops->path_link(db->env, from, to, &local);
    if (rc != LAM_OK && error_is_out_of_files(&local)) {
        db_close_idle_files(db);
        rc = db->env->ops->path_link(db->env, from, to, &local);
    }
    if (rc == LAM_OK)
        return LAM_OK;
    if (rc != LAM_NO_SPACE && rc != LAM_NO_MEMORY && rc != LAM_NOT_FOUND)
        return copy_instead(db, from, to, err);
    return error_pass(err, rc, &local);
}

static enum lam_code place_files(const struct copy_state *c, struct copy_dirs *dirs,
                                 struct lam_error *err) {
    OWNED(buf_fini) struct buf from = {0}, to = {0};
    const char *from_text, *to_text;
    for (size_t i = 0; i < c->count; i++) {
        TRY(env_path_join(&from, c->db->path, c->files[i].name, &from_text, err));
        TRY(copy_dirs_enter(dirs, c->files[i].name, &to, &to_text, err));
        enum lam_code rc = place_file(c->db, from_text, to_text, err);
        if (rc == LAM_NOT_FOUND && c->files[i].optional)
            continue;
        if (rc == LAM_NOT_FOUND)
            return ERR(err, LAM_CORRUPT, "%s: offset 0: missing, but the database names it",
                       from_text);
        TRY(rc);
    }
    return copy_dirs_finish(dirs, err);
}

static enum lam_code make_checkpoint(lam_db *db, const char *path,
                                     const struct db_outer_files *outer, struct lam_error *err) {
    OWNED(copy_state_fini) struct copy_state state = {0};
    OWNED(staging_fini) struct staging staging = {0};
    OWNED(copy_dirs_fini) struct copy_dirs dirs = {.env = db->env};
    TRY(db_check_writable(db, err));
    TRY(staging_begin(&staging, db->env, path, db->id, err));
    TRY(copy_state_choose(&state, db, outer, err));
    dirs.dir = staging.dir;
    TRY(place_files(&state, &dirs, err));
    TRY(copy_make_root(db->env, staging.dir, db->id, &state.whole.edit, err));
    return staging_finish(&staging, err);
}

enum lam_code db_checkpoint(lam_db *db, const char *path, const struct db_outer_files *outer,
                            struct lam_error *err) {
    enum lam_code rc = make_checkpoint(db, path, outer, err);
    notify_end_call(&db->notify);
    return rc;
}
