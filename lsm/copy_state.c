/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing what a copy of a running database holds. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/copy.h"
#include "lsm/filename.h"

static enum lam_code add_file(struct copy_state *c, const struct copy_file *file,
                              struct lam_error *err) {
    TRY(MEM_GROW(&c->files, &c->capacity, c->count + 1, err));
    c->files[c->count] = *file;
    c->files[c->count].name = arena_strdup(&c->whole.arena, file->name);
    if (!c->files[c->count].name)
        return mem_fail(err, strlen(file->name) + 1);
    c->count++;
    return LAM_OK;
}

static enum lam_code add_ssts(struct copy_state *c, struct lam_error *err) {
    char name[FILENAME_MAX_BYTES];
    for (size_t i = 0; i < c->whole.edit.added_count; i++) {
        const struct manifest_file *f = &c->whole.edit.added[i];
        filename_make(FILE_SST, f->number, name);
        struct copy_file file = {name, f, f->size_bytes, f->footer_checksum, false};
        TRY(add_file(c, &file, err));
    }
    return LAM_OK;
}

static enum lam_code add_outer(void *arg, const struct db_outer_file *file, struct lam_error *err) {
    struct copy_file copy = {file->name, NULL, file->size, file->fingerprint, file->optional};
    return add_file(arg, &copy, err);
}

static int by_name(const void *a, const void *b) {
    const struct copy_file *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (int)x->optional - (int)y->optional;
}

/* A file that is named twice is one. */
static void sort_files(struct copy_state *c) {
    size_t kept = 0;
    if (c->count > 0)
        qsort(c->files, c->count, sizeof *c->files, by_name);
    for (size_t i = 0; i < c->count; i++)
        if (kept == 0 || strcmp(c->files[kept - 1].name, c->files[i].name) != 0)
            c->files[kept++] = c->files[i];
    c->count = kept;
}

static enum lam_code describe_locked(lam_db *db, struct db_whole *w, struct lam_error *err)
    REQUIRES(&db->partitions) {
    TRY(db_dump_all(db, err));
    mutex_lock(&db->manifest);
    enum lam_code rc = db_check_writable(db, err);
    if (rc == LAM_OK)
        rc = db_whole_describe_locked(db, w, err);
    mutex_unlock(&db->manifest);
    /* An ingest leaves nothing to dump: its files alone say how far the state goes. */
    for (size_t i = 0; rc == LAM_OK && i < w->edit.added_count; i++)
        if (w->edit.added[i].properties.sequence_max > w->edit.last_sequence)
            w->edit.last_sequence = w->edit.added[i].properties.sequence_max;
    return rc;
}

enum lam_code copy_state_choose(struct copy_state *c, lam_db *db,
                                const struct db_outer_files *outer, struct lam_error *err) {
    memset(c, 0, sizeof *c);
    TRY(db_check_writable(db, err));
    c->db = db;
    mutex_lock(&db->partitions);
    enum lam_code rc = describe_locked(db, &c->whole, err);
    mutex_unlock(&db->partitions);
    TRY(db_not_done(db, rc, err));
    TRY(add_ssts(c, err));
    if (outer)
        TRY(outer->list(outer->arg, add_outer, c, err));
    sort_files(c);
    return LAM_OK;
}

void copy_state_fini(struct copy_state *c) {
    if (!c->db)
        return;
    db_whole_fini(&c->whole);
    mem_free(c->files);
    /* Files may have waited for these references. */
    gc_drain(&c->db->gc);
    db_bg_kick(c->db, false);
    memset(c, 0, sizeof *c);
}

enum lam_code copy_make_root(lam_env *env, const char *dir, const uint8_t *db_id,
                             const struct manifest_edit *state, struct lam_error *err) {
    OWNED(manifest_close_at) struct manifest *m = NULL;
    struct manifest_edit last = {.clean_close = true};
    LAM_ASSERT(state->wals_count == 0);
    TRY(manifest_create(env, dir, db_id, state, &m, err));
    return manifest_seal(m, &last, err);
}
