/* SPDX-License-Identifier: Apache-2.0
 *
 * The flush layer of a database: made on first use, started once, closed with the database. */
#include "flush/flush.h"

#include "flush/cold_set.h"
#include "flush/path.h"

/* --- what DROP TABLE asks --- */

/* Copies of the running flush's files; no more are made from here on. */
static enum lam_code take_pending(struct table_cold *t, char ***items_out, size_t *count_out,
                                  struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    char **items = NULL;
    size_t count = 0;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    atomic_store(&t->doomed, true);
    if (g->pending_count) {
        items = mem_calloc(g->pending_count, sizeof *items);
        if (!items)
            rc = mem_fail(err, g->pending_count * sizeof *items);
    }
    for (; rc == LAM_OK && count < g->pending_count; count++) {
        items[count] = mem_strdup(g->pending[count]);
        if (!items[count])
            rc = mem_fail(err, strlen(g->pending[count]));
    }
    mutex_unlock(&t->mu);
    *items_out = items;
    *count_out = count;
    return rc;
}

static enum lam_code name_pending(struct table_cold *t, doomed_fn fn, void *arg,
                                  struct lam_error *err) {
    char **items;
    size_t count;
    struct buf tmp = {0};
    const char *text;
    enum lam_code rc = take_pending(t, &items, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == LAM_OK)
            rc = fn(arg, items[i], err);
        buf_reset(&tmp);
        if (rc == LAM_OK)
            rc = buf_append_format(&tmp, err, "%s.tmp", items[i]);
        if (rc == LAM_OK)
            rc = buf_cstr(&tmp, &text, err);
        if (rc == LAM_OK)
            rc = fn(arg, text, err);
        mem_free(items[i]);
    }
    mem_free(items);
    buf_fini(&tmp);
    return rc;
}

static enum lam_code name_segment(struct flush *f, const struct provider *p, lam_iter *it,
                                  struct arena *arena, struct buf *path, doomed_fn fn, void *arg,
                                  struct lam_error *err) {
    const char *where = lam_partition_name(p->segments), *text;
    struct storage_place place;
    struct lam_slice user;
    struct segment s;
    uint64_t number;
    char kind;
    TRY(segment_key_decode(lam_iter_key(it), p->kind == TABLE_USER, where, arena, &user, &kind,
                           &number, err));
    if (kind != SEGMENT_KIND_ENTRY)
        return LAM_OK;
    TRY(segment_decode(lam_iter_value(it), where, arena, &s, err));
    TRY(storage_place_get(f, s.storage, arena, &place, err));
    TRY(path_below_database(place.base, s.path, path, &text, err));
    return fn(arg, text, err);
}

/* Hook: all stripes of the table are held, so no flush commits meanwhile. */
static enum lam_code cold_files(struct provider *p, doomed_fn fn, void *arg,
                                struct lam_error *err) {
    struct flush *f;
    struct table_cold *t;
    lam_iter *it = NULL;
    struct arena arena = {0};
    struct buf path = {0};
    enum lam_code rc = LAM_OK;
    if (!p->segments)
        return LAM_OK;
    TRY(flush_object(catalog_db(p->catalog), &f, err));
    TRY(table_cold_of(p, &t, err));
    TRY(name_pending(t, fn, arg, err));
    TRY_GOTO(lam_iter_new(f->db, NULL, p->segments, &it, err));
    for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
        arena_reset(&arena);
        TRY_GOTO(name_segment(f, p, it, &arena, &path, fn, arg, err));
    }
    rc = lam_iter_status(it, err);
out:
    lam_iter_free(it);
    arena_fini(&arena);
    buf_fini(&path);
    return rc;
}

static void dropped(struct catalog *c) {
    struct flush *f;
    if (flush_object(catalog_db(c), &f, NULL) == LAM_OK)
        IGNORE(doomed_remove(f, NULL), "what stays is removed at the next open");
}

/* --- life --- */

static enum lam_code open_layer(lam_db *db, void **object_out, struct lam_error *err) {
    struct flush *f = mem_calloc(1, sizeof *f);
    if (!f)
        return mem_fail(err, sizeof *f);
    f->db = db;
    f->env = db_env(db);
    f->directory = db_path(db);
    f->read_only = db_is_read_only(db);
    db_identity(db, f->identity);
    flush_tuning_get(&f->tuning);
    mutex_init(&f->jobs_mu, RANK_FLUSH);
    cond_init(&f->jobs_cond);
    mutex_init(&f->tables_mu, RANK_COLD);
    mutex_init(&f->files_mu, RANK_CACHE);
    mutex_init(&f->timer_mu, RANK_COLD);
    mutex_init(&f->copies_mu, RANK_COLD);
    cond_init(&f->copies_cond);
    f->timer_guarded_.tick_at = FLUSH_NEVER;
    db_set_idle_files(db, cold_files_close_idle, f);
    *object_out = f;
    return LAM_OK;
}

/* Policies' flushes give up and their ticks are taken back, so that no snapshot or iterator of ours
 * keeps the database open. If it stays open for another reason, the next written row or session
 * sets the ticks up again. */
static enum lam_code closing_layer(void *object, struct lam_error *err) {
    struct flush *f = object;
    (void)err;
    atomic_store(&f->stopping, true);
    f->env->ops->cancel(f->env, f);
    atomic_store(&f->stopping, false);
    mutex_lock(&f->timer_mu);
    flush_timer(f)->tick_at = FLUSH_NEVER;
    mutex_unlock(&f->timer_mu);
    return LAM_OK;
}

static void free_tables(struct flush *f) NO_THREAD_SAFETY {
    struct flush_tables_guarded *g = flush_tables(f);
    for (size_t i = 0; i < g->count; i++)
        table_cold_unref(g->items[i]);
    mem_free(g->items);
}

static void close_layer(void *object) {
    struct flush *f = object;
    atomic_store(&f->stopping, true);
    f->env->ops->cancel(f->env, f);
    db_set_idle_files(f->db, NULL, NULL);
    cold_files_fini(f);
    free_tables(f);
    mutex_fini(&f->jobs_mu);
    cond_fini(&f->jobs_cond);
    mutex_fini(&f->tables_mu);
    mutex_fini(&f->files_mu);
    mutex_fini(&f->timer_mu);
    mutex_fini(&f->copies_mu);
    cond_fini(&f->copies_cond);
    mem_free(f);
}

enum lam_code flush_object(lam_db *db, struct flush **flush_out, struct lam_error *err) {
    static const struct db_attachment attachment = {
        .layer = DB_LAYER_FLUSH,
        .open = open_layer,
        .closing = closing_layer,
        .close = close_layer,
    };
    void *object;
    struct catalog *catalog;
    TRY(catalog_of(db, &catalog, err));
    TRY(db_attach(db, &attachment, &object, err));
    struct flush *f = object;
    if (!atomic_load_explicit(&f->catalog, memory_order_acquire))
        atomic_store_explicit(&f->catalog, catalog, memory_order_release);
    *flush_out = f;
    return LAM_OK;
}

/* The work of attaching. Nobody reads or flushes through this layer yet. */
static enum lam_code start(struct flush *f, struct lam_error *err) {
    const struct catalog_flush_hooks hooks = {cold_files, dropped};
    if (f->read_only)
        return LAM_OK;
    catalog_set_flush_hooks(f->catalog, &hooks);
    TRY(doomed_remove(f, err));
    return orphans_remove(f, NULL, err);
}

static enum lam_code start_once(struct flush *f, struct lam_error *err) {
    mutex_lock(&f->jobs_mu);
    struct flush_jobs_guarded *g = flush_jobs(f);
    while (g->starting)
        cond_wait(&f->jobs_cond, &f->jobs_mu);
    bool started = g->started;
    g->starting = !started;
    mutex_unlock(&f->jobs_mu);
    if (started)
        return LAM_OK;
    enum lam_code rc = start(f, err);
    mutex_lock(&f->jobs_mu);
    g = flush_jobs(f);
    g->starting = false;
    g->started = rc == LAM_OK;
    cond_broadcast(&f->jobs_cond);
    mutex_unlock(&f->jobs_mu);
    return rc;
}

enum lam_code flush_of(lam_db *db, struct flush **flush_out, struct lam_error *err) {
    struct flush *f;
    TRY(flush_object(db, &f, err));
    TRY(start_once(f, err));
    TRY(policy_start(f, err));
    *flush_out = f;
    return LAM_OK;
}
