/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifest edits of a running database, and installing what they say. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/filename.h"

enum lam_code db_manifest_append_locked(lam_db *db, struct manifest_edit *edit,
                                        struct lam_error *err) {
    struct db_manifest *m = db_manifest(db);
    struct lam_error cause = {0};
    LAM_ASSERT(m->log);
    /* After a rewrite of unknown outcome this may not be the manifest that the next open reads. */
    TRY(db_check_writable(db, err));
    edit->has_next_number = true;
    edit->next_number = atomic_load(&db->next_number);
    enum lam_code rc = manifest_append(m->log, edit, &cause);
    if (rc == LAM_OK)
        return LAM_OK;
    if (manifest_is_open(m->log))
        return error_pass(err, rc, &cause);
    cause.code = rc;
    db_fail(db, &cause);
    return ERR(err, LAM_UNKNOWN_OUTCOME, "the manifest could not be written: %s", cause.message);
}

void db_whole_fini(struct db_whole *w) {
    for (size_t i = 0; i < w->count; i++)
        version_unref(w->versions[i]);
    arena_fini(&w->arena);
}

/* Names are copied: a partition may be gone before the edit is written. */
static enum lam_code list_partitions_locked(lam_db *db, struct db_whole *w, struct lam_error *err)
    REQUIRES(&db->state) {
    const struct db_state *s = db_state(db);
    size_t n = s->count ? s->count : 1;
    struct manifest_partition *created = arena_calloc(&w->arena, n, sizeof *created);
    w->versions = arena_calloc(&w->arena, n, sizeof *w->versions);
    if (!w->versions || !created)
        return mem_fail(err, n * sizeof *created);
    for (size_t i = 0; i < s->count; i++) {
        const lam_partition *p = s->by_number[i];
        const char *name = arena_strdup(&w->arena, p->name);
        if (!name)
            return mem_fail(err, strlen(p->name));
        created[i] = (struct manifest_partition){p->number, lam_slice_str(name), p->options};
        w->versions[i] = version_ref(p->state->version);
        w->count++;
    }
    w->edit.created = created;
    w->edit.created_count = w->count;
    return LAM_OK;
}

static enum lam_code list_files(struct db_whole *w, struct lam_error *err) {
    size_t total = 0, n = 0;
    for (size_t i = 0; i < w->count; i++)
        for (uint32_t level = 0; level < VERSION_LEVELS; level++)
            total += w->versions[i]->levels[level]->count;
    struct manifest_file *files = arena_calloc(&w->arena, total ? total : 1, sizeof *files);
    if (!files)
        return mem_fail(err, total * sizeof *files);
    for (size_t i = 0; i < w->count; i++)
        for (uint32_t level = 0; level < VERSION_LEVELS; level++)
            for (size_t j = 0; j < w->versions[i]->levels[level]->count; j++)
                file_meta_describe(w->versions[i]->levels[level]->files[j], level, &files[n++]);
    w->edit.added = files;
    w->edit.added_count = n;
    return LAM_OK;
}

enum lam_code db_whole_describe_locked(lam_db *db, struct db_whole *w, struct lam_error *err) {
    const struct db_manifest *m = db_manifest(db);
    mutex_lock(&db->state);
    enum lam_code rc = list_partitions_locked(db, w, err);
    mutex_unlock(&db->state);
    TRY(rc);
    w->edit.has_next_number = w->edit.has_last_sequence = w->edit.has_wal_floor = true;
    w->edit.next_number = atomic_load(&db->next_number);
    w->edit.last_sequence = m->dumped_sequence;
    w->edit.wal_floor = m->wal_floor;
    return list_files(w, err);
}

enum lam_code db_manifest_rewrite_locked(lam_db *db, const struct manifest_wal *wals,
                                         size_t wals_count, bool *clean_out,
                                         struct lam_error *err) {
    struct db_manifest *m = db_manifest(db);
    struct db_whole w = {0};
    struct manifest *log = NULL;
    uint64_t number = db_next_number(db);
    enum lam_code rc = db_whole_describe_locked(db, &w, err);
    w.edit.wals = wals;
    w.edit.wals_count = wals_count;
    if (rc == LAM_OK)
        rc = manifest_prepare(db->env, db->path, &m->root, number, &w.edit, &log, err);
    db_whole_fini(&w);
    *clean_out = rc != LAM_OK;
    if (rc == LAM_OK)
        rc = manifest_make_current(log, err);
    if (rc != LAM_OK) {
        manifest_close(log);
        return rc;
    }
    manifest_close(m->log);
    m->log = log;
    m->root.manifest_number = number;
    m->root.generation++;
    m->root.sealed = false;
    m->root.torn_tail = false;
    m->fresh_bytes = manifest_size(log);
    return LAM_OK;
}

static enum lam_code list_segments(lam_db *db, struct manifest_wal **wals, size_t *count,
                                   struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&db->sync);
    const struct db_sync *s = db_sync(db);
    *wals = mem_calloc(s->count ? s->count : 1, sizeof **wals);
    if (!*wals)
        rc = mem_fail(err, s->count * sizeof **wals);
    for (size_t i = 0; rc == LAM_OK && i < s->count; i++)
        (*wals)[i].number = s->segments[i]->number;
    *count = s->count;
    mutex_unlock(&db->sync);
    return rc;
}

enum lam_code db_manifest_trim_locked(lam_db *db, struct lam_error *err) {
    struct db_manifest *m = db_manifest(db);
    uint64_t size = manifest_size(m->log);
    if (size < db->tuning.manifest_rewrite_bytes || size < 4 * m->fresh_bytes)
        return LAM_OK;
    uint64_t old = m->root.manifest_number;
    struct manifest_wal *wals = NULL;
    size_t count = 0;
    bool clean = true;
    struct lam_error cause = {0};
    enum lam_code rc = list_segments(db, &wals, &count, &cause);
    if (rc == LAM_OK)
        rc = db_manifest_rewrite_locked(db, wals, count, &clean, &cause);
    mem_free(wals);
    if (rc != LAM_OK) {
        cause.code = rc;
        /* The superblock may name either file: nothing may be appended to one of them. */
        if (!clean)
            db_fail(db, &cause);
        return error_pass(err, rc, &cause);
    }
    struct buf path = {0};
    const char *text;
    if (filename_path(&path, db->path, FILE_MANIFEST, old, &text, NULL) == LAM_OK)
        IGNORE(env_file_remove(db->env, text, NULL), "an orphan goes at the next open");
    buf_fini(&path);
    return LAM_OK;
}

enum lam_code db_change_prepare_locked(lam_db *db, struct db_change *c, struct lam_error *err) {
    struct version *base = db_version_of(c->partition);
    LAM_ASSERT(base); /* whoever drops holds `manifest` */
    enum lam_code rc = version_apply(base, c->added, c->added_count, c->removed, c->removed_count,
                                     &c->version, err);
    version_unref(base);
    if (rc == LAM_OK)
        rc = version_check(c->version, err);
    if (rc == LAM_OK && !(c->state = read_state_new(err)))
        rc = LAM_NO_MEMORY;
    if (rc == LAM_OK)
        db_score_compute(db, c->partition, c->version, &c->score);
    return rc;
}

void db_change_install_locked(lam_db *db, struct db_change *c) {
    mutex_lock(&db->state);
    struct read_state *fresh = c->state, *old = c->partition->state;
    LAM_ASSERT(old);
    read_state_copy_locked(db, fresh, c->partition);
    version_unref(fresh->version); /* the old state holds it, too */
    fresh->version = c->version;
    c->version = NULL;
    if (c->dumped) {
        /* D4: the oldest leaves. */
        LAM_ASSERT(fresh->sealed_count > 0 && fresh->sealed[fresh->sealed_count - 1] == c->dumped);
        memtable_unref(fresh->sealed[--fresh->sealed_count]);
    }
    c->partition->state = fresh;
    c->state = old;
    db_score_locked(db, c->partition, &c->score);
    mutex_unlock(&db->state);
}

void db_change_fini(struct db_change *c) {
    version_unref(c->version);
    if (c->state) {
        read_state_defer_unref(c->partition->db, c->state);
        epoch_reclaim(&c->partition->db->epochs);
    }
    c->version = NULL;
    c->state = NULL;
}
