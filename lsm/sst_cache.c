/* SPDX-License-Identifier: Apache-2.0
 *
 * Open SSTs, in order of opening. Readers only mark what they use; a marked file that comes to its
 * turn goes to the end unmarked instead of being closed. Files are opened outside the lock; of two
 * threads that open the same file one keeps its handle and the other drops his. */
#include "lsm/sst_cache.h"

#include "base/assert.h"
#include "lsm/filename.h"
#include "lsm/notify.h"

static inline struct sst_cache_list *cache_list(struct sst_cache *c) REQUIRES(&c->mu) {
    return &c->guarded_;
}

void sst_cache_init(struct sst_cache *c, lam_env *env, const char *dir, const uint8_t *db_id,
                    struct block_cache *blocks, struct epochs *epochs, size_t limit,
                    size_t limit_bytes) {
    memset(c, 0, sizeof *c);
    c->env = env;
    c->dir = dir;
    c->process_id = env->ops->process_id(env);
    memcpy(c->db_id, db_id, sizeof c->db_id);
    c->blocks = blocks;
    c->epochs = epochs;
    c->limit = limit;
    c->limit_bytes = limit_bytes;
    mutex_init(&c->mu, RANK_CACHE);
}

void sst_cache_fini(struct sst_cache *c) {
    mutex_lock(&c->mu);
    LAM_ASSERT(cache_list(c)->count == 0);
    mutex_unlock(&c->mu);
    mutex_fini(&c->mu);
}

/* What open files hold is taken from the blocks' share. */
static void count_locked(struct sst_cache *c, struct file_meta *f, bool in) REQUIRES(&c->mu) {
    struct sst_cache_list *l = cache_list(c);
    size_t bytes = sst_memory(f->sst);
    l->count = in ? l->count + 1 : l->count - 1;
    l->bytes = in ? l->bytes + bytes : l->bytes - bytes;
    block_cache_set_taken(c->blocks, l->bytes);
}

static void unlink_locked(struct sst_cache_list *l, struct file_meta *f) {
    if (f->prev)
        f->prev->next = f->next;
    else
        l->newest = f->next;
    if (f->next)
        f->next->prev = f->prev;
    else
        l->oldest = f->prev;
    f->prev = f->next = NULL;
}

static void link_locked(struct sst_cache_list *l, struct file_meta *f) {
    f->prev = NULL;
    f->next = l->newest;
    if (l->newest)
        l->newest->prev = f;
    else
        l->oldest = f;
    l->newest = f;
}

/* Takes out the first that was not used since its last turn. */
static struct file_meta *take_victim(struct sst_cache_list *l) {
    for (size_t i = 0; i < l->count; i++) {
        struct file_meta *f = l->oldest;
        if (!atomic_exchange_explicit(&f->sst_used, false, memory_order_relaxed))
            break;
        unlink_locked(l, f);
        link_locked(l, f);
    }
    struct file_meta *f = l->oldest;
    unlink_locked(l, f);
    return f;
}

static bool is_over_locked(struct sst_cache *c, size_t keep) REQUIRES(&c->mu) {
    const struct sst_cache_list *l = cache_list(c);
    size_t work = block_cache_work(c->blocks);
    return l->count > keep || (l->bytes + work > c->limit_bytes && l->count > 1);
}

/* Closes files until at most `keep` are open, and they hold no more than they may. */
static void evict_to(struct sst_cache *c, size_t keep) {
    for (;;) {
        struct sst *victim = NULL;
        mutex_lock(&c->mu);
        if (is_over_locked(c, keep)) {
            struct file_meta *f = take_victim(cache_list(c));
            count_locked(c, f, false);
            victim = atomic_exchange(&f->sst, NULL);
        }
        mutex_unlock(&c->mu);
        if (!victim)
            break;
        sst_defer_unref(victim, c->epochs);
    }
    epoch_reclaim(c->epochs);
}

void sst_cache_halve(struct sst_cache *c) {
    mutex_lock(&c->mu);
    size_t keep = cache_list(c)->count / 2;
    mutex_unlock(&c->mu);
    evict_to(c, keep);
}

void sst_cache_usage(struct sst_cache *c, uint64_t *files_out, uint64_t *bytes_out) {
    mutex_lock(&c->mu);
    *files_out = cache_list(c)->count;
    *bytes_out = cache_list(c)->bytes;
    mutex_unlock(&c->mu);
}

static enum lam_code open_file(struct sst_cache *c, const struct file_meta *f, struct sst **out,
                               struct lam_error *err) {
    struct buf path = {0};
    const char *text = NULL;
    struct lam_error local = {0};
    enum lam_code rc = filename_path(&path, c->dir, FILE_SST, f->number, &text, err);
    for (int attempt = 0; rc == LAM_OK; attempt++) {
        rc = sst_open(c->env, text, c->db_id, f->number, f->size_bytes, f->footer_checksum,
                      c->blocks, out, &local);
        if (rc == LAM_OK && (rc = sst_state_sequences(*out, &f->properties, &local)) != LAM_OK)
            sst_unref(*out);
        if (rc == LAM_OK || attempt > 0 || !error_is_out_of_files(&local))
            break;
        if (c->notify)
            notify_log(c->notify, LAM_LOG_WARNING, "%s; half of the open SSTs are closed",
                       local.message);
        sst_cache_halve(c);
        memset(&local, 0, sizeof local);
        rc = LAM_OK;
    }
    if (rc != LAM_OK && local.code != LAM_OK && err)
        *err = local;
    /* A file the manifest names must be there. */
    if (rc == LAM_NOT_FOUND)
        rc = ERR(err, LAM_CORRUPT, "%s: missing, but the manifest names it", text);
    buf_fini(&path);
    return rc;
}

enum lam_code sst_cache_get(struct sst_cache *c, struct file_meta *f, struct sst **sst_out,
                            struct lam_error *err) {
    if (c->env->ops->process_id(c->env) != c->process_id)
        return ERR(err, LAM_INVALID, "%s was opened by another process", c->dir);
    struct epoch_reader *r = epoch_enter(c->epochs);
    struct sst *opened = sst_cache_peek(f), *extra = NULL;
    if (opened)
        *sst_out = sst_ref(opened);
    epoch_leave(c->epochs, r);
    if (opened)
        return LAM_OK;
    TRY(open_file(c, f, &opened, err));
    mutex_lock(&c->mu);
    if (f->sst) {
        extra = opened;
    } else {
        f->sst = opened;
        atomic_store_explicit(&f->sst_used, true, memory_order_relaxed);
        link_locked(cache_list(c), f);
        count_locked(c, f, true);
    }
    *sst_out = sst_ref(f->sst);
    bool full = is_over_locked(c, c->limit);
    mutex_unlock(&c->mu);
    sst_unref(extra);
    if (full)
        evict_to(c, c->limit);
    return LAM_OK;
}

void sst_cache_forget(struct sst_cache *c, struct file_meta *f) {
    mutex_lock(&c->mu);
    if (f->sst) {
        unlink_locked(cache_list(c), f);
        count_locked(c, f, false);
    }
    struct sst *s = atomic_exchange(&f->sst, NULL);
    mutex_unlock(&c->mu);
    sst_unref(s); /* who could find it through the file has left */
}
