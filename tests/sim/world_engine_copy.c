/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies beside the database: checkpoints, backups and what is restored from them. Each holds the
 * state at its call. In every image a copy is whole or not there; one whose call has returned is
 * there; and an unfinished one is in nobody's way. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/env.h"
#include "lamina/backup.h"
#include "tests/sim/sched.h"
#include "tests/sim/world_engine_impl.h"

#define PROBE "/probe"

/* --- looking at copies ----------------------------------------------------------------------- */

struct look {
    struct world *w;
    struct simfs *fs; /* a clone; may be changed */
    struct choice *c;
    struct lam_error err;
};

static bool exists(struct look *l, const char *path) {
    enum lam_path_kind kind = LAM_PATH_NONE;
    enum lam_code rc = env_path_kind(simfs_env(l->fs), path, &kind, &l->err);
    LAM_ASSERT(rc == LAM_OK);
    return kind != LAM_PATH_NONE;
}

static bool check_whole(struct look *l, const char *path, const struct copy *want) {
    struct lam_options o = {.env = simfs_env(l->fs),
                            .must_exist = true,
                            .manual_background = true,
                            .memory_budget = 4u << 20,
                            .read_only = choose(l->c, 2)};
    struct model_view view;
    struct ttl_rows ttl;
    lam_db *db = NULL;
    enum lam_code rc = lam_db_open(path, &o, &db, &l->err);
    if (rc != LAM_OK)
        return ew_fail(l->w, "copy-open", "%s: %s: %s", path, lam_code_name(rc), l->err.message);
    model_view_init(&view, false);
    rc = ew_scan_database(db, &view, &l->err);
    bool same = model_hash_eq(view.hash, want->hash);
    if (rc == LAM_OK)
        rc = ew_ttl_read(l->w, db, &ttl, &l->err);
    if (rc == LAM_OK && !same)
        ew_report_state(l->w, db, l->w->model, 0, model_commits(l->w->model), path);
    model_view_fini(&view);
    if (rc != LAM_OK)
        ew_fail(l->w, "copy-scan", "%s: %s: %s", path, lam_code_name(rc), l->err.message);
    else if (same && ew_ttl_check_copy(l->w, &ttl, &want->ttl, simfs_now_us(l->fs), path) &&
             ttl.exists[0])
        ew_reach(l->w, REACHED_TTL_COPIED);
    rc = lam_db_close(db, &l->err);
    if (rc == LAM_OK && choose_one_in(l->c, 4))
        rc = lam_check(path, simfs_env(l->fs), NULL, NULL, &l->err);
    if (rc != LAM_OK)
        ew_fail(l->w, "copy-check", "%s: %s: %s", path, lam_code_name(rc), l->err.message);
    return !ew_failed(l->w);
}

static bool check_copy(struct look *l, const struct copy *c, const char *path) {
    if (c->state == COPY_NONE)
        return true;
    if (exists(l, path)) {
        if (c->state == COPY_MAYBE)
            ew_reach(l->w, REACHED_COPY_EARLY);
        return check_whole(l, path, c);
    }
    return c->state == COPY_MAYBE || ew_fail(l->w, "copy-lost", "%s is not there", path);
}

struct ids {
    uint64_t list[2 * BACKUPS_MAX];
    unsigned count;
    bool shared; /* the newest has files of another */
};

static bool note_id(void *arg, const struct lam_backup *b) {
    struct ids *ids = arg;
    LAM_ASSERT(ids->count < 2 * BACKUPS_MAX);
    ids->list[ids->count++] = b->id;
    ids->shared = b->own_bytes < b->bytes;
    return true;
}

/* Numbers of the backups there; none if there is no directory of backups yet. */
static bool list_ids(struct look *l, struct ids *ids) {
    *ids = (struct ids){.count = 0};
    enum lam_code rc = lam_backup_list(WORLD_BACKUPS, simfs_env(l->fs), note_id, ids, &l->err);
    return rc == LAM_OK || rc == LAM_NOT_FOUND ||
           ew_fail(l->w, "backup-list", "%s: %s", lam_code_name(rc), l->err.message);
}

static bool has_id(const struct ids *ids, uint64_t id) {
    for (unsigned i = 0; i < ids->count; i++)
        if (ids->list[i] == id)
            return true;
    return false;
}

/* Verifies and restores a backup; it holds what one of its number should. */
static bool check_backup(struct look *l, const struct copies *k, uint64_t id) {
    const struct backup_copy *last = NULL;
    unsigned same = 0;
    for (unsigned i = 0; i < k->backup_count; i++)
        if (k->backups[i].id == id) {
            last = &k->backups[i];
            same++;
        }
    if (!last)
        return ew_fail(l->w, "backup", "nobody made backup %llu", (unsigned long long)id);
    enum lam_code rc = lam_backup_verify(WORLD_BACKUPS, simfs_env(l->fs), id, NULL, NULL, &l->err);
    if (rc == LAM_OK)
        rc = lam_backup_restore(WORLD_BACKUPS, simfs_env(l->fs), id, PROBE, NULL, NULL, &l->err);
    if (rc != LAM_OK)
        return ew_fail(l->w, "backup", "backup %llu: %s: %s", (unsigned long long)id,
                       lam_code_name(rc), l->err.message);
    return same > 1 || check_whole(l, PROBE, &last->copy);
}

static bool check_backups(struct look *l, const struct copies *k) {
    struct ids ids;
    if (!list_ids(l, &ids))
        return false;
    for (unsigned i = 0; i < k->backup_count; i++)
        if (k->backups[i].copy.state == COPY_THERE && !has_id(&ids, k->backups[i].id))
            return ew_fail(l->w, "backup-lost", "backup %llu is not there",
                           (unsigned long long)k->backups[i].id);
    if (ids.count == 0)
        return true;
    unsigned at = choose(l->c, 3) ? ids.count - 1 : choose(l->c, ids.count);
    return check_backup(l, k, ids.list[at]);
}

static struct simfs *clone_in_peace(struct simfs *fs) {
    struct simfs *clone = simfs_clone(fs);
    simfs_set_quota(clone, 0);
    return clone;
}

bool ew_copy_check(struct world *w, struct simfs *fs, const struct copies *k, struct choice *c) {
    bool threads = sched_active();
    if (threads)
        sched_suspend();
    struct look l = {.w = w, .fs = clone_in_peace(fs), .c = c};
    bool ok = check_copy(&l, &k->checkpoint, WORLD_CHECKPOINT) &&
              check_copy(&l, &k->restored, WORLD_RESTORED) &&
              (k->backup_count == 0 || check_backups(&l, k));
    if (ok && simfs_open_handles(l.fs) != 0)
        ok = ew_fail(w, "leak", "%zu files of copies are open", simfs_open_handles(l.fs));
    if (!ok)
        simfs_abandon(l.fs);
    simfs_free(l.fs);
    if (threads)
        sched_resume();
    return ok;
}

/* What is there, in peace. */
static bool peek_ids(struct world *w, struct ids *ids) {
    bool threads = sched_active();
    if (threads)
        sched_suspend();
    struct look l = {.w = w, .fs = clone_in_peace(w->fs), .c = w->choice};
    bool ok = list_ids(&l, ids);
    simfs_free(l.fs);
    if (threads)
        sched_resume();
    return ok;
}

static bool peek_exists(struct world *w, const char *path) {
    bool threads = sched_active();
    if (threads)
        sched_suspend();
    struct look l = {.w = w, .fs = clone_in_peace(w->fs), .c = w->choice};
    bool there = exists(&l, path);
    simfs_free(l.fs);
    if (threads)
        sched_resume();
    return there;
}

/* --- around calls ---------------------------------------------------------------------------- */

/* Images right after a call that succeeded, then a look at what is there. */
static bool after_call(struct world *w, enum lam_code rc, const char *what) {
    w->report->operations++;
    if (!ew_call_end(w, rc, what))
        return false;
    if (rc == LAM_OK)
        ew_taker_take_each(&w->taker);
    return ew_copy_check(w, w->fs, &w->copies, w->choice) && ew_drain(w);
}

struct names {
    char items[256][64];
    unsigned count;
};

static bool note_name(void *arg, const char *name) {
    struct names *n = arg;
    LAM_ASSERT(n->count < 256 && strlen(name) < 64);
    strcpy(n->items[n->count++], name);
    return true;
}

/* Removes a copy, which nobody watches; false: the fault that is armed was met. */
static bool remove_copy(struct world *w, struct copy *c, const char *path) {
    static struct names names;
    lam_env *env = simfs_env(w->fs);
    char file[128];
    simfs_observe(w->fs, NULL, NULL);
    names.count = 0;
    enum lam_code rc = env_dir_list(env, path, note_name, &names, &w->err);
    for (unsigned i = 0; i < names.count && rc == LAM_OK; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names.items[i]);
        rc = env_file_remove(env, file, &w->err);
    }
    if (rc == LAM_OK)
        rc = env->ops->dir_remove(env, path, &w->err);
    if (rc == LAM_OK)
        rc = env_dir_sync(env, "/", &w->err);
    simfs_observe(w->fs, ew_taker_observe, &w->taker);
    c->state = COPY_NONE;
    return rc == LAM_OK;
}

/* The place of a copy is free; false: it is not, and nothing is done in this step. */
static bool make_room(struct world *w, struct copy *c, const char *path) {
    if (c->state == COPY_NONE && !peek_exists(w, path))
        return true;
    if (!peek_exists(w, path))
        return true;
    return !w->armed && !w->quota_on && remove_copy(w, c, path);
}

/* Of the present state, not acknowledged yet. */
static struct copy copy_of(const struct world *w) {
    return (struct copy){COPY_MAYBE, model_hash_at(w->model, w->live), *ew_ttl_rows(w, w->live)};
}

static bool can_copy(const struct world *w) {
    return !w->read_only && !w->unknown;
}

/* --- checkpoints ----------------------------------------------------------------------------- */

bool ew_copy_checkpoint(struct world *w) {
    struct copy *c = &w->copies.checkpoint;
    if (!can_copy(w) || !make_room(w, c, WORLD_CHECKPOINT))
        return true;
    if (peek_exists(w, WORLD_CHECKPOINT ".unfinished"))
        ew_reach(w, REACHED_CHECKPOINT_OVER);
    *c = copy_of(w);
    ew_say(w, "  checkpoint");
    ew_call_begin(w, IN_STEP, STEP_CHECKPOINT);
    enum lam_code rc = lam_db_checkpoint(w->db, WORLD_CHECKPOINT, &w->err);
    if (rc == LAM_OK)
        c->state = COPY_THERE;
    ew_reach(w, rc == LAM_OK ? REACHED_CHECKPOINT : REACHED_CHECKPOINT_FAILED);
    if (!after_call(w, rc, "checkpoint"))
        return false;
    if (rc != LAM_OK || w->chosen)
        return true;
    rc = lam_db_checkpoint(w->db, WORLD_CHECKPOINT, &w->err);
    return rc == LAM_EXISTS || w->fired ||
           ew_fail(w, "checkpoint", "over another one: %s", lam_code_name(rc));
}

/* --- backups --------------------------------------------------------------------------------- */

static void drop_entry(struct copies *k, unsigned at) {
    k->backups[at] = k->backups[--k->backup_count];
}

/* Backup `id` is gone for sure, or another has its number. */
static void drop_id(struct copies *k, uint64_t id) {
    for (unsigned i = k->backup_count; i-- > 0;)
        if (k->backups[i].id == id)
            drop_entry(k, i);
}

static bool make_backup(struct world *w, bool cancel) {
    struct copies *k = &w->copies;
    struct ids ids;
    if (!peek_ids(w, &ids))
        return false;
    uint64_t id = 0, want = ids.count ? ids.list[ids.count - 1] + 1 : 1;
    unsigned patience = cancel ? choose(w->choice, 6) : UINT32_MAX;
    k->backups[k->backup_count++] = (struct backup_copy){want, copy_of(w)};
    ew_say(w, "  backup %llu%s", (unsigned long long)want, cancel ? ", ended early" : "");
    ew_call_begin(w, IN_STEP, STEP_BACKUP);
    enum lam_code rc = lam_db_backup(w->db, WORLD_BACKUPS, ew_patience, &patience, &id, &w->err);
    if (rc == LAM_OK) {
        struct copy made = k->backups[k->backup_count - 1].copy;
        made.state = COPY_THERE;
        if (id != want)
            return ew_fail(w, "backup", "it has number %llu, expected %llu", (unsigned long long)id,
                           (unsigned long long)want);
        drop_id(k, id);
        k->backups[k->backup_count++] = (struct backup_copy){id, made};
        if (peek_ids(w, &ids) && ids.shared)
            ew_reach(w, REACHED_BACKUP_SHARED);
    }
    bool cancelled = cancel && rc == LAM_BUSY;
    ew_reach(w, cancelled      ? REACHED_BACKUP_CANCELLED
                : rc == LAM_OK ? REACHED_BACKUP
                               : REACHED_BACKUP_FAILED);
    if (!after_call(w, cancelled ? LAM_OK : rc, "backup"))
        return false;
    if (cancelled && peek_ids(w, &ids) && has_id(&ids, want))
        return ew_fail(w, "backup", "one that was ended is there");
    return !ew_failed(w);
}

/* All but the newest `keep`, or the oldest. */
static bool remove_backups(struct world *w, uint64_t keep) {
    struct copies *k = &w->copies;
    struct ids ids;
    if (!peek_ids(w, &ids))
        return false;
    if (ids.count == 0)
        return true;
    unsigned gone = keep == 0 ? 1 : ids.count > keep ? ids.count - (unsigned)keep : 0;
    for (unsigned i = 0; i < k->backup_count; i++)
        for (unsigned g = 0; g < gone; g++)
            if (k->backups[i].id == ids.list[g])
                k->backups[i].copy.state = COPY_MAYBE;
    ew_say(w, "  remove %u backups from %llu on", gone, (unsigned long long)ids.list[0]);
    ew_call_begin(w, IN_STEP, STEP_BACKUP);
    enum lam_code rc =
        keep ? lam_backup_purge(WORLD_BACKUPS, simfs_env(w->fs), keep, &w->err)
             : lam_backup_delete(WORLD_BACKUPS, simfs_env(w->fs), ids.list[0], &w->err);
    for (unsigned g = 0; g < gone && rc == LAM_OK; g++) {
        drop_id(k, ids.list[g]);
        ew_reach(w, REACHED_BACKUP_REMOVED);
    }
    return after_call(w, rc, "backup's removal");
}

bool ew_copy_backup(struct world *w, const struct step *s) {
    if (!can_copy(w))
        return true;
    if (w->copies.backup_count == BACKUPS_MAX) {
        /* Of those that are not sure the oldest: their numbers are above the sure ones'. */
        struct ids ids;
        if (!peek_ids(w, &ids))
            return false;
        for (unsigned i = BACKUPS_MAX; i-- > 0;)
            if (!w->armed && !w->quota_on && !has_id(&ids, w->copies.backups[i].id))
                drop_entry(&w->copies, i);
        if (w->copies.backup_count == BACKUPS_MAX)
            return remove_backups(w, 1);
    }
    if (w->copies.backup_count > 3 && s->what % 2)
        return remove_backups(w, s->what % 4 == 1 ? 0 : 1 + s->what % 3);
    return make_backup(w, s->what % 8 == 7);
}

bool ew_copy_restore(struct world *w) {
    struct copies *k = &w->copies;
    struct ids ids;
    if (w->unknown || !peek_ids(w, &ids))
        return !ew_failed(w);
    if (ids.count == 0 || !make_room(w, &k->restored, WORLD_RESTORED))
        return true;
    uint64_t id = ids.list[choose(w->choice, ids.count)];
    unsigned same = 0;
    for (unsigned i = 0; i < k->backup_count; i++)
        if (k->backups[i].id == id) {
            k->restored = k->backups[i].copy;
            k->restored.state = COPY_MAYBE;
            same++;
        }
    if (same != 1) {
        k->restored.state = COPY_NONE;
        return true;
    }
    ew_say(w, "  restore %llu", (unsigned long long)id);
    ew_call_begin(w, IN_STEP, STEP_RESTORE);
    enum lam_code rc = lam_backup_restore(WORLD_BACKUPS, simfs_env(w->fs), id, WORLD_RESTORED, NULL,
                                          NULL, &w->err);
    if (rc == LAM_OK) {
        k->restored.state = COPY_THERE;
        ew_reach(w, REACHED_RESTORED);
    }
    return after_call(w, rc, "restore");
}
