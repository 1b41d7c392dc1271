/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that a flush left without naming them in a manifest.
 *
 * What is removed as an orphan has a segment's name, is named by no manifest and is ours: in a base
 * directory inside the database directory everything is; elsewhere, where other databases may keep
 * files too, the tag in the name must be the one of this database, table and number. Half-written
 * derived files go from where everything is ours. */
#include <stdlib.h>

#include "base/hash.h"
#include "flush/cold_set.h"
#include "flush/path.h"

/* Directories inside of each other that are looked through below a base directory of ours. */
#define DEPTH_MAX 64

uint32_t segment_file_tag(const struct flush *f, struct table_id table, uint64_t number) {
    uint8_t bytes[32];
    memcpy(bytes, f->identity, 16);
    put_le64(bytes + 16, table.number);
    put_le64(bytes + 24, number);
    return (uint32_t)hash_xxh3(bytes, sizeof bytes, 0);
}

struct sweep {
    struct flush *flush;
    struct arena arena;     /* per table */
    struct buf path;        /* scratch */
    struct env_names live;  /* full paths that manifests name; sorted */
    struct db_check *check; /* gets them told; NULL: they are removed */
    const uint64_t *table;  /* the tag must be this table's; NULL: any name of ours will do */
    bool removed;           /* a file of the directory at hand */
    enum lam_code code;
    struct lam_error *err;
};

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_live(const struct sweep *s, const char *path) {
    return s->live.count &&
           bsearch(&path, s->live.items, s->live.count, sizeof path, compare_paths);
}

static enum lam_code note_live(void *arg, const struct segment *segment, const char *base,
                               struct lam_error *err) {
    struct sweep *s = arg;
    const char *text;
    buf_reset(&s->path);
    TRY(path_in_base(s->flush->directory, base, segment->path, &s->path, err));
    TRY(buf_cstr(&s->path, &text, err));
    return env_names_add(&s->live, text, err);
}

static bool note_table(void *arg, struct provider *p) {
    struct sweep *s = arg;
    if (p->segments)
        s->code = segments_each(s->flush, p, note_live, s, s->err);
    return s->code == LAM_OK;
}

static bool is_orphan(const struct sweep *s, const char *full, const char *name) {
    uint64_t number;
    uint32_t tag;
    bool unfinished;
    /* Derived files have no tag to tell whose they are: elsewhere the next export replaces them. */
    if (!s->table && path_is_export(name, &unfinished) && unfinished)
        return true;
    if (!path_file_name_parse(name, &number, &tag) || is_live(s, full))
        return false;
    return !s->table || tag == segment_file_tag(s->flush, (struct table_id){*s->table}, number);
}

static void sweep_name(struct sweep *s, const char *full, const char *name) {
    if (!is_orphan(s, full, name))
        return;
    if (s->check)
        db_check_note(s->check, full, "a file that nothing names; the next open removes it");
    else if (env_file_remove(s->flush->env, full, NULL) == LAM_OK)
        s->removed = true; /* else it stays an orphan until the next open */
}

static enum lam_code sweep_directory(struct sweep *s, const char *directory, unsigned depth,
                                     struct lam_error *err);

static enum lam_code sweep_entry(struct sweep *s, const char *directory, const char *name,
                                 unsigned depth, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    enum lam_path_kind kind;
    const char *full;
    TRY(env_path_join(&path, directory, name, &full, err));
    if (env_path_kind(s->flush->env, full, &kind, NULL) != LAM_OK)
        return LAM_OK; /* what can't be looked at stays, as in sweep_directory */
    if (kind == LAM_PATH_FILE)
        sweep_name(s, full, name);
    else if (kind == LAM_PATH_DIRECTORY && depth > 0)
        return sweep_directory(s, full, depth - 1, err);
    return LAM_OK;
}

static enum lam_code sweep_directory(struct sweep *s, const char *directory, unsigned depth,
                                     struct lam_error *err) {
    OWNED(env_names_fini) struct env_names names = {0};
    enum lam_path_kind kind;
    if (env_path_kind(s->flush->env, directory, &kind, NULL) != LAM_OK ||
        kind != LAM_PATH_DIRECTORY)
        return LAM_OK;
    enum lam_code rc = env_dir_names(s->flush->env, directory, &names, NULL);
    if (rc != LAM_OK)
        return rc == LAM_NO_MEMORY ? mem_fail(err, names.count * sizeof *names.items) : LAM_OK;
    s->removed = false;
    for (size_t i = 0; i < names.count; i++)
        TRY(sweep_entry(s, directory, names.items[i], depth, err));
    /* A power loss must not bring back what nobody would look for once its table is dropped. */
    if (s->table && s->removed)
        IGNORE(env_dir_sync(s->flush->env, directory, NULL), "as good as not removed");
    return LAM_OK;
}

/* Sweeps the folder of a table whose storage lies outside of the database directory. */
static enum lam_code sweep_outside(struct sweep *s, struct provider *p, struct lam_error *err) {
    struct storage_place place;
    struct buf relative = {0}, full = {0};
    const char *text;
    unsigned levels;
    enum lam_code rc = LAM_OK;
    arena_reset(&s->arena);
    TRY_GOTO(
        storage_place_get(s->flush, lam_slice_str(p->options.storage), &s->arena, &place, err));
    if (path_base_is_ours(place.base))
        goto out;
    const char *template_text =
        path_template(p, p->kind == TABLE_USER ? place.user_template : place.shared_template);
    TRY_GOTO(path_expand_root(template_text, p, &relative, &levels, err));
    TRY_GOTO(path_in_base(s->flush->directory, place.base, buf_slice(&relative), &full, err));
    TRY_GOTO(buf_cstr(&full, &text, err));
    s->table = &p->table.number;
    rc = sweep_directory(s, text, levels, err);
out:
    s->table = NULL;
    buf_fini(&relative);
    buf_fini(&full);
    return rc;
}

static bool sweep_table(void *arg, struct provider *p) {
    struct sweep *s = arg;
    if (p->segments)
        s->code = sweep_outside(s, p, s->err);
    return s->code == LAM_OK;
}

static bool sweep_storage(void *arg, const struct value *record) {
    struct sweep *s = arg;
    struct lam_slice base = record[STORAGES_BASE_DIRECTORY].as.bytes;
    OWNED(buf_fini) struct buf full = {0};
    const char *text;
    arena_reset(&s->arena);
    const char *base_text = arena_strdup_slice(&s->arena, base);
    if (base_text && !path_base_is_ours(base_text))
        return true;
    s->code = base_text ? path_in_base(s->flush->directory, base_text, SLICE_EMPTY, &full, s->err)
                        : mem_fail(s->err, base.size);
    if (s->code == LAM_OK)
        s->code = buf_cstr(&full, &text, s->err);
    if (s->code == LAM_OK)
        s->code = sweep_directory(s, text, DEPTH_MAX, s->err);
    return s->code == LAM_OK;
}

static void sweep_fini(struct sweep *s) {
    flush_removal_end(s->flush);
    env_names_fini(&s->live);
    arena_fini(&s->arena);
    buf_fini(&s->path);
}

enum lam_code orphans_remove(struct flush *f, struct db_check *check, struct lam_error *err) {
    if (!flush_removal_begin(f))
        return LAM_OK;
    OWNED(sweep_fini) struct sweep s = {.flush = f, .check = check, .err = err};
    TRY(catalog_each_provider(f->catalog, note_table, &s, err));
    TRY(s.code);
    if (s.live.count)
        qsort(s.live.items, s.live.count, sizeof *s.live.items, compare_paths);
    TRY(entity_scan(catalog_entity(f->catalog, ENTITY_STORAGES), NULL, NULL, 0, sweep_storage, &s,
                    err));
    TRY(s.code);
    TRY(catalog_each_provider(f->catalog, sweep_table, &s, err));
    return s.code;
}
