/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of the whole database: the engine copies its own files and, by the callback here, the cold
 * ones. While a copy is under way no cold file is removed, so what the copied state names is there.
 *
 * The engine chooses the state first and asks then, so the files named are those of the catalog as
 * it is then and those of tables dropped in between, which the catalog still lists as doomed. What
 * is younger than the state is an orphan in the copy and goes at its first opening. */
#include "flush/cold_set.h"
#include "flush/path.h"
#include "lamina/backup.h"

/* --- removals and copies keep out of each other's way --- */

bool flush_removal_begin(struct flush *f) {
    mutex_lock(&f->copies_mu);
    bool may = flush_copies(f)->copies == 0;
    flush_copies(f)->removals += may;
    mutex_unlock(&f->copies_mu);
    return may;
}

void flush_removal_end(struct flush *f) {
    mutex_lock(&f->copies_mu);
    LAM_ASSERT(flush_copies(f)->removals > 0);
    if (--flush_copies(f)->removals == 0)
        cond_broadcast(&f->copies_cond);
    mutex_unlock(&f->copies_mu);
}

static void begin_copy(struct flush *f) {
    mutex_lock(&f->copies_mu);
    flush_copies(f)->copies++;
    while (flush_copies(f)->removals > 0)
        cond_wait(&f->copies_cond, &f->copies_mu);
    mutex_unlock(&f->copies_mu);
}

static void end_copy(struct flush *f) {
    mutex_lock(&f->copies_mu);
    LAM_ASSERT(flush_copies(f)->copies > 0);
    bool last = --flush_copies(f)->copies == 0;
    mutex_unlock(&f->copies_mu);
    if (last)
        IGNORE(doomed_remove(f, NULL), "what stays is removed at the next open");
}

/* --- the files --- */

struct listing {
    lam_db *db;
    struct flush *flush; /* NULL: the database had no catalog when the copy began */
    db_outer_file_fn fn;
    void *arg;
    struct arena arena;
    struct buf path;
    struct lam_error *err;
    enum lam_code code;
};

/* Two databases of one id would write and remove the same files there. */
static bool refuse_outside(void *arg, const struct value *record) {
    struct listing *l = arg;
    struct lam_slice base = record[STORAGES_BASE_DIRECTORY].as.bytes;
    struct lam_slice id = record[STORAGES_STORAGE_ID].as.bytes;
    arena_reset(&l->arena);
    const char *text = arena_strdup_slice(&l->arena, base);
    if (!text)
        l->code = mem_fail(l->err, base.size);
    else if (!path_base_is_ours(text))
        l->code = ERR(l->err, LAM_UNSUPPORTED,
                      "%s can't be copied: storage %.*s lies outside of it, in %s", db_path(l->db),
                      (int)id.size, (const char *)id.data, text);
    return l->code == LAM_OK;
}

static enum lam_code list_segment(void *arg, const struct segment *s, const char *base,
                                  struct lam_error *err) {
    struct listing *l = arg;
    const char *text;
    TRY(path_below_database(base, s->path, &l->path, &text, err));
    struct db_outer_file file = {text, s->bytes, s->footer_hash, false};
    return l->fn(l->arg, &file, err);
}

static bool list_table(void *arg, struct provider *p) {
    struct listing *l = arg;
    struct lam_error failed = {0};
    if (p->segments)
        l->code = segments_each(l->flush, p, list_segment, l, &failed);
    if (l->code == LAM_NOT_FOUND) /* dropped: its files are doomed */
        l->code = LAM_OK;
    l->code = error_pass(l->err, l->code, &failed);
    return l->code == LAM_OK;
}

static enum lam_code list_doomed(void *arg, const char *path, struct lam_error *err) {
    struct listing *l = arg;
    struct db_outer_file file = {path, 0, 0, true};
    return path_base_is_ours(path) ? l->fn(l->arg, &file, err) : LAM_OK;
}

static enum lam_code list_files(void *arg, db_outer_file_fn fn, void *fn_arg,
                                struct lam_error *err) {
    struct listing *l = arg;
    bool there = true;
    l->fn = fn;
    l->arg = fn_arg;
    l->err = err;
    if (!l->flush)
        TRY(catalog_is_there(l->db, &there, err));
    if (!l->flush && there)
        return ERR(err, LAM_BUSY, "%s got its catalog while it was copied: try again",
                   db_path(l->db));
    if (!l->flush)
        return LAM_OK;
    struct catalog *c = l->flush->catalog;
    TRY(entity_scan(catalog_entity(c, ENTITY_STORAGES), NULL, NULL, 0, refuse_outside, l, err));
    TRY(l->code);
    TRY(catalog_each_provider(c, list_table, l, err));
    TRY(l->code);
    /* Second: a table that was dropped meanwhile had its files doomed before it went. */
    return catalog_each_doomed(c, list_doomed, l, err);
}

/* --- the calls --- */

static enum lam_code begin(lam_db *db, struct listing *l, struct lam_error *err) {
    bool there;
    l->db = db;
    if (db_is_read_only(db))
        return ERR(err, LAM_READ_ONLY, "%s is open read-only: copy it with cp", db_path(db));
    TRY(catalog_is_there(db, &there, err));
    if (there)
        TRY(flush_object(db, &l->flush, err));
    if (there)
        begin_copy(l->flush);
    return LAM_OK;
}

static void end(struct listing *l) {
    if (l->flush)
        end_copy(l->flush);
    arena_fini(&l->arena);
    buf_fini(&l->path);
}

enum lam_code lam_db_checkpoint(lam_db *db, const char *path, struct lam_error *err) {
    OWNED(end) struct listing l = {0};
    const struct db_outer_files outer = {list_files, &l};
    if (!db || !path || !*path)
        return ERR(err, LAM_INVALID, "lam_db_checkpoint: db and path must not be NULL or empty");
    TRY(db_check_process(db, err));
    TRY(begin(db, &l, err));
    return db_checkpoint(db, path, &outer, err);
}

enum lam_code lam_db_backup(lam_db *db, const char *dir, lam_progress_fn progress, void *arg,
                            uint64_t *id_out, struct lam_error *err) {
    OWNED(end) struct listing l = {0};
    const struct db_outer_files outer = {list_files, &l};
    if (!db || !dir || !*dir)
        return ERR(err, LAM_INVALID, "lam_db_backup: db and dir must not be NULL or empty");
    TRY(db_check_process(db, err));
    TRY(begin(db, &l, err));
    return db_backup(db, dir, &outer, progress, arg, id_out, err);
}
