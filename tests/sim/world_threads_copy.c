/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies made while the threads of the concurrent world run: each holds all that was acknowledged
 * before its call, nothing that was not issued by its end, no half of a commit. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "lamina/backup.h"
#include "tests/sim/world_threads_impl.h"

#define COPY     "/copy"
#define RESTORED "/restored"
#define BACKUPS  "/backups"

struct removal {
    struct world *w;
    const char *dir;
};

static bool note_name(void *arg, const char *name) {
    struct removal *r = arg;
    struct world *w = r->w;
    LAM_ASSERT(w->copy_name_count < COPY_NAMES);
    snprintf(w->copy_names[w->copy_name_count++], sizeof w->copy_names[0], "%s/%s", r->dir, name);
    return true;
}

static void remove_copy(struct world *w, const char *dir) {
    struct removal r = {w, dir};
    lam_env *env = simfs_env(w->fs);
    struct lam_error err = {0};
    w->copy_name_count = 0;
    enum lam_code rc = env->ops->dir_list(env, dir, note_name, &r, &err);
    for (uint32_t i = 0; rc == LAM_OK && i < w->copy_name_count; i++)
        rc = env->ops->file_remove(env, w->copy_names[i], &err);
    if (rc == LAM_OK)
        rc = env->ops->dir_remove(env, dir, &err);
    w->copy_failed = !wt_went_well(w, rc, &err, "removing a copy");
}

static bool is_free(struct world *w, const char *path) {
    struct lam_error err = {0};
    enum lam_path_kind kind = LAM_PATH_NONE;
    lam_env *env = simfs_env(w->fs);
    return !w->copy_failed && env->ops->path_kind(env, path, &kind, &err) == LAM_OK &&
           kind == LAM_PATH_NONE;
}

static void compare_copy(struct world *w, const char *path, const struct vector *acked,
                         const struct vector *issued) {
    struct lam_error err = {0};
    struct lam_options options = wt_options(w, w->fs);
    lam_partition *parts[PARTS_MAX];
    lam_db *db = NULL;
    options.must_exist = options.read_only = true;
    wt_must(w, lam_db_open(path, &options, &db, &err), &err, "opening a copy");
    struct vector v = wt_read_all(w, db, &w->copy_content, parts);
    for (uint32_t i = 0; i < w->writers; i++)
        if (v.n[i] < acked->n[i] || v.n[i] > issued->n[i])
            wt_fail(w, "%s has %u batches of writer %u, of %u to %u", path, v.n[i], i, acked->n[i],
                    issued->n[i]);
    wt_shared_check(w, &v, acked, issued, path);
    wt_note_shot(w, 0, &v);
    for (uint32_t p = 0; p < w->part_count; p++)
        lam_partition_release(parts[p]);
    wt_must(w, lam_db_close(db, &err), &err, "closing a copy");
}

void wt_checkpoint(struct world *w) {
    struct lam_error err = {0};
    struct vector acked = w->acked;
    if (!is_free(w, COPY))
        return;
    enum lam_code rc = lam_db_checkpoint(w->db, COPY, &err);
    if (!wt_went_well(w, rc, &err, "lam_db_checkpoint")) {
        w->copy_failed = true;
        return;
    }
    struct vector issued = w->issued;
    compare_copy(w, COPY, &acked, &issued);
    wt_reached(w, THREADS_CHECKPOINT);
    remove_copy(w, COPY);
}

static void restore(struct world *w, uint64_t id, const struct vector *acked,
                    const struct vector *issued) {
    struct lam_error err = {0};
    enum lam_code rc =
        lam_backup_restore(BACKUPS, simfs_env(w->fs), id, RESTORED, NULL, NULL, &err);
    if (!wt_went_well(w, rc, &err, "lam_backup_restore")) {
        w->copy_failed = true;
        return;
    }
    compare_copy(w, RESTORED, acked, issued);
    remove_copy(w, RESTORED);
}

void wt_backup(struct world *w) {
    struct lam_error err = {0};
    struct vector acked = w->acked;
    uint64_t id = 0;
    if (!is_free(w, RESTORED))
        return;
    enum lam_code rc = lam_db_backup(w->db, BACKUPS, NULL, NULL, &id, &err);
    if (!wt_went_well(w, rc, &err, "lam_db_backup")) {
        w->copy_failed = true;
        return;
    }
    struct vector issued = w->issued;
    if (id <= w->backup)
        wt_fail(w, "a backup has number %" PRIu64 " after %" PRIu64, id, w->backup);
    w->backup = id;
    wt_reached(w, THREADS_BACKUP);
    if (choose(&w->choice, 2))
        restore(w, id, &acked, &issued);
    if (!w->copy_failed && choose_one_in(&w->choice, 3)) {
        rc = lam_backup_purge(BACKUPS, simfs_env(w->fs), 1 + choose(&w->choice, 2), &err);
        w->copy_failed = !wt_went_well(w, rc, &err, "lam_backup_purge");
    }
}

void wt_check_backup(struct world *w, struct simfs *fs) {
    struct lam_error err = {0};
    if (w->backup == 0)
        return;
    wt_must(w, lam_backup_verify(BACKUPS, simfs_env(fs), w->backup, NULL, NULL, &err), &err,
            "a backup in an image");
}
