/* SPDX-License-Identifier: Apache-2.0
 *
 * The flush layer of a database: made on first use, started once, closed with the database. */
#include "flush/flush.h"

#include "flush/cold_set.h"
#include "flush/path.h"

/* --- what DROP TABLE asks --- */

/* Copies of the running flush's files; no more are made from here on. */
static enum lam_code take_pending(struct table_cold *t, struct env_names *out,
                                  struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&t->mu);
    const struct env_names *pending = &table_cold_state(t)->pending;
    atomic_store(&t->doomed, true);
    for (size_t i = 0; rc == LAM_OK && i < pending->count; i++)
        rc = env_names_add(out, pending->items[i], err);
    mutex_unlock(&t->mu);
    return rc;
}

static enum lam_code name_pending(struct table_cold *t, doomed_fn fn, void *arg,
                                  struct lam_error *err) {
    OWNED(env_names_fini) struct env_names pending = {0};
    OWNED(buf_fini) struct buf tmp = {0};
    const char *text;
    TRY(take_pending(t, &pending, err));
    for (size_t i = 0; i < pending.count; i++) {
        TRY(fn(arg, pending.items[i], err));
        buf_reset(&tmp);
        TRY(buf_append_format(&tmp, err, "%s.tmp", pending.items[i]));
        TRY(buf_cstr(&tmp, &text, err));
        TRY(fn(arg, text, err));
    }
    return LAM_OK;
}

struct naming {
    doomed_fn fn;
    void *arg;
    struct buf path;
};

static void naming_fini(struct naming *n) {
    buf_fini(&n->path);
}

static enum lam_code name_segment(void *arg, const struct segment *s, const char *base,
                                  struct lam_error *err) {
    struct naming *n = arg;
    const char *text;
    TRY(path_below_database(base, s->path, &n->path, &text, err));
    return n->fn(n->arg, text, err);
}

/* Hook: all stripes of the table are held, so no flush commits meanwhile. */
static enum lam_code cold_files(struct provider *p, doomed_fn fn, void *arg,
                                struct lam_error *err) {
    struct flush *f;
    struct table_cold *t;
    OWNED(naming_fini) struct naming n = {.fn = fn, .arg = arg};
    if (!p->segments)
        return LAM_OK;
    TRY(flush_object(catalog_db(p->catalog), &f, err));
    TRY(table_cold_of(p, &t, err));
    TRY(name_pending(t, fn, arg, err));
    return segments_each(f, p, name_segment, &n, err);
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
