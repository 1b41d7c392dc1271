/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of dropped tables, which the catalog lists: files, then folders that hold nothing but
 * derived files, then a sync of what is left above them, then the list's entries. An entry goes
 * only when its file can't come back: after a power loss nobody else would look for it. */
#include "flush/cold_set.h"
#include "flush/path.h"

struct removal {
    struct flush *flush;
    struct env_names doomed;  /* as the catalog has them */
    bool *gone;               /* [doomed.count]: there is no such file any more; owned */
    struct env_names folders; /* of those files, full */
    struct env_names above;   /* folders of folders that were removed */
    struct env_names changed; /* folders to be synced */
    struct buf path;          /* scratch */
};

static void removal_fini(struct removal *r) {
    flush_removal_end(r->flush);
    env_names_fini(&r->doomed);
    env_names_fini(&r->folders);
    env_names_fini(&r->above);
    env_names_fini(&r->changed);
    mem_free(r->gone);
    buf_fini(&r->path);
}

/* The list is in order of paths: most repetitions follow each other. */
static enum lam_code add_once(struct env_names *l, const char *path, struct lam_error *err) {
    if (l->count && !strcmp(l->items[l->count - 1], path))
        return LAM_OK;
    return env_names_add(l, path, err);
}

static enum lam_code add_parent(struct removal *r, struct env_names *l, const char *path,
                                struct lam_error *err) {
    const char *text;
    TRY(env_path_parent(&r->path, path, &text, err));
    return add_once(l, text, err);
}

/* --- files --- */

static enum lam_code note_doomed(void *arg, const char *path, struct lam_error *err) {
    return env_names_add(arg, path, err);
}

static enum lam_code remove_file(struct removal *r, const char *path, bool *gone_out,
                                 struct lam_error *err) {
    struct flush *f = r->flush;
    OWNED(buf_fini) struct buf full = {0};
    const char *text;
    TRY(path_in_base(f->directory, path, SLICE_EMPTY, &full, err));
    TRY(buf_cstr(&full, &text, err));
    enum lam_code removed = env_file_remove(f->env, text, NULL);
    *gone_out = removed == LAM_OK || removed == LAM_NOT_FOUND;
    return *gone_out ? add_parent(r, &r->folders, text, err) : LAM_OK;
}

static enum lam_code remove_files(struct removal *r, struct lam_error *err) {
    r->gone = mem_calloc(r->doomed.count, sizeof *r->gone);
    if (!r->gone)
        return mem_fail(err, r->doomed.count);
    for (size_t i = 0; i < r->doomed.count; i++)
        TRY(remove_file(r, r->doomed.items[i], &r->gone[i], err));
    return LAM_OK;
}

/* --- folders --- */

/* Removes one name in a folder: a derived file, or a folder that is empty. */
static bool remove_name(struct flush *f, const char *folder, const char *name, bool is_file) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    return env_path_join(&path, folder, name, &text, NULL) == LAM_OK &&
           (is_file ? env_file_remove(f->env, text, NULL)
                    : f->env->ops->dir_remove(f->env, text, NULL)) == LAM_OK;
}

/* Removes a folder that holds nothing but derived files and the empty folders of users, which a
 * flush that failed leaves. False if it stays, with its derived files. */
static bool remove_if_empty(struct flush *f, const char *folder) {
    OWNED(env_names_fini) struct env_names names = {0};
    bool unfinished;
    bool removed = env_dir_names(f->env, folder, &names, NULL) == LAM_OK;
    for (size_t i = 0; removed && i < names.count; i++)
        removed = path_is_export(names.items[i], &unfinished) ||
                  remove_name(f, folder, names.items[i], false);
    for (size_t i = 0; removed && i < names.count; i++)
        if (path_is_export(names.items[i], &unfinished))
            removed = remove_name(f, folder, names.items[i], true);
    return removed && f->env->ops->dir_remove(f->env, folder, NULL) == LAM_OK;
}

/* The files' folders and, for those of users, the table's. */
static enum lam_code remove_folders(struct removal *r, struct lam_error *err) {
    for (size_t i = 0; i < r->folders.count; i++) {
        const char *folder = r->folders.items[i];
        if (remove_if_empty(r->flush, folder))
            TRY(add_parent(r, &r->above, folder, err));
        else
            TRY(add_once(&r->changed, folder, err));
    }
    for (size_t i = 0; i < r->above.count; i++) {
        const char *folder = r->above.items[i];
        if (remove_if_empty(r->flush, folder))
            TRY(add_parent(r, &r->changed, folder, err));
        else
            TRY(add_once(&r->changed, folder, err));
    }
    return LAM_OK;
}

/* Syncs a folder, or the nearest above it that is there. */
static enum lam_code sync_folder(struct removal *r, const char *folder, struct lam_error *err) {
    lam_env *env = r->flush->env;
    enum lam_path_kind kind;
    OWNED(buf_fini) struct buf at = {0};
    const char *text = folder;
    for (;;) {
        TRY(env_path_kind(env, text, &kind, err));
        if (kind != LAM_PATH_NONE)
            break;
        TRY(env_path_parent(&r->path, text, &text, err));
        buf_reset(&at);
        TRY(buf_append_str(&at, text, err));
        TRY(buf_cstr(&at, &text, err));
    }
    return env_dir_sync(env, text, err);
}

/* --- the list --- */

static enum lam_code forget_files(struct removal *r, struct lam_error *err) {
    for (size_t i = 0; i < r->doomed.count; i++)
        if (r->gone[i])
            TRY(catalog_forget_doomed(r->flush->catalog, r->doomed.items[i], err));
    return LAM_OK;
}

/* What can't be removed or synced stays on the list and is tried again at the next open. */
static enum lam_code remove_all(struct removal *r, struct lam_error *err) {
    TRY(remove_files(r, err));
    TRY(remove_folders(r, err));
    for (size_t i = 0; i < r->changed.count; i++)
        if (sync_folder(r, r->changed.items[i], NULL) != LAM_OK)
            return LAM_OK;
    return forget_files(r, err);
}

/* Takes a table that was dropped and has no reader off the list of tables, or tells that one has.
 */
static struct table_cold *take_dropped(struct flush *f, bool *read_out) {
    struct table_cold *taken = NULL;
    *read_out = false;
    mutex_lock(&f->tables_mu);
    struct flush_tables_guarded *g = flush_tables(f);
    for (size_t i = 0; i < g->count && !taken; i++) {
        struct table_cold *t = g->items[i];
        if (!atomic_load(&t->doomed))
            continue;
        if (atomic_load(&t->readers) > 0) {
            *read_out = true;
        } else {
            taken = t;
            g->items[i] = g->items[--g->count];
        }
    }
    mutex_unlock(&f->tables_mu);
    return taken;
}

/* Forgets tables that are gone; whether one of them is being read. */
static bool dropped_are_read(struct flush *f) {
    struct table_cold *t;
    bool read;
    while ((t = take_dropped(f, &read))) {
        cold_files_forget(f, t->table);
        table_cold_unref(t);
    }
    return read;
}

enum lam_code doomed_remove(struct flush *f, struct lam_error *err) {
    if (f->read_only || dropped_are_read(f) || !flush_removal_begin(f))
        return LAM_OK;
    OWNED(removal_fini) struct removal r = {.flush = f};
    TRY(catalog_each_doomed(f->catalog, note_doomed, &r.doomed, err));
    return r.doomed.count > 0 ? remove_all(&r, err) : LAM_OK;
}
