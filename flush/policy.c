/* SPDX-License-Identifier: Apache-2.0
 *
 * Flush policies. Rows are counted as they are committed, per user of a USER table and for the
 * whole of a SHARED one; what was hot before the database was opened is counted when its user
 * writes again, up to the N that matters. One tick at a time is submitted for the whole database,
 * at the earliest moment that any table asks for. */
#include "flush/policy.h"

#include <stdlib.h>

#include "flush/cold_set.h"

enum policy_reason policy_decide(const struct policy_input *in) {
    if (in->now_us < in->retry_at_us)
        return POLICY_NONE;
    if (in->flush_rows && in->rows_due)
        return POLICY_ROWS;
    if (in->flush_interval_s && in->now_us - in->interval_from_us >= in->flush_interval_s * 1000000)
        return POLICY_INTERVAL;
    return POLICY_NONE;
}

uint64_t policy_next_us(const struct policy_input *in) {
    uint64_t next = FLUSH_NEVER;
    if (in->flush_interval_s)
        next = in->interval_from_us + in->flush_interval_s * 1000000;
    if (in->flush_rows && in->rows_due)
        next = in->now_us;
    if (next != FLUSH_NEVER && next < in->retry_at_us)
        next = in->retry_at_us;
    return next;
}

static void tick(void *arg);

/* Makes sure that a tick comes at `at_us` or before. Called with no lock held. */
static void schedule(struct flush *f, uint64_t at_us) {
    if (at_us == FLUSH_NEVER || atomic_load(&f->stopping))
        return;
    mutex_lock(&f->timer_mu);
    struct flush_timer_guarded *g = flush_timer(f);
    bool submit = at_us < g->tick_at;
    if (submit)
        g->tick_at = at_us;
    mutex_unlock(&f->timer_mu);
    if (!submit)
        return;
    uint64_t now = flush_clock_us(f);
    if (env_submit(f->env, LAM_LANE_FLUSH, at_us > now ? at_us - now : 0, tick, f, NULL) == LAM_OK)
        return;
    mutex_lock(&f->timer_mu);
    if (flush_timer(f)->tick_at == at_us)
        flush_timer(f)->tick_at = FLUSH_NEVER; /* the next note of rows tries again */
    mutex_unlock(&f->timer_mu);
}

static struct policy_input input_of(struct flush *f, struct table_cold *t,
                                    const struct provider *p) {
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    struct policy_input in = {.flush_rows = p->options.flush_rows,
                              .flush_interval_s =
                                  g->interval_armed ? p->options.flush_interval_s : 0,
                              .rows_due = g->rows_due,
                              .interval_from_us = g->interval_from_us,
                              .retry_at_us = g->retry_at_us,
                              .now_us = flush_clock_us(f)};
    mutex_unlock(&t->mu);
    return in;
}

/* --- counting --- */

/* Hot rows of a user, at most `limit`. */
static enum lam_code count_hot(struct provider *p, struct lam_slice user, uint64_t limit,
                               uint64_t *count_out) {
    OWNED(buf_fini) struct buf prefix = {0};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    *count_out = 0;
    if (user.size)
        TRY(key_put_string(&prefix, user, NULL));
    struct lam_read_options options = {.prefix = buf_slice(&prefix), .keys_only = true};
    TRY(lam_iter_new(catalog_db(p->catalog), &options, p->hot, &it, NULL));
    lam_iter_seek_first(it);
    for (; lam_iter_valid(it) && *count_out < limit; lam_iter_next(it))
        ++*count_out;
    return lam_iter_status(it, NULL);
}

/* Adds rows to a user's count; `*unknown_out`: what he had before is not known. Gives whether the
 * table has just become due. */
static bool add_rows(struct table_cold *t, struct lam_slice user, uint64_t rows, uint64_t known,
                     bool is_known, uint64_t limit, bool *unknown_out) {
    bool due = false;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    struct user_state *u = table_cold_user(t, user);
    *unknown_out = u && !u->counted && !is_known;
    if (u && !u->counted && is_known) {
        u->rows = known;
        u->counted = true;
    } else if (u && u->counted) {
        u->rows += rows;
    }
    if (u && u->counted && u->rows >= limit && !g->rows_due) {
        g->rows_due = true;
        due = true;
    }
    mutex_unlock(&t->mu);
    return due;
}

static bool note_rows(struct provider *p, struct table_cold *t, struct lam_slice user,
                      uint64_t rows) {
    uint64_t limit = p->options.flush_rows, known = 0;
    bool unknown;
    bool due = add_rows(t, user, rows, 0, false, limit, &unknown);
    if (!unknown)
        return due;
    /* The count has the rows just committed. If it fails, the next commit counts. */
    if (count_hot(p, user, limit, &known) != LAM_OK)
        return false;
    return add_rows(t, user, rows, known, true, limit, &unknown);
}

/* Starts the interval of a table that is seen for the first time. */
static void arm_interval(struct flush *f, struct table_cold *t) {
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    if (!g->interval_armed) {
        g->interval_armed = true;
        g->interval_from_us = flush_clock_us(f);
    }
    mutex_unlock(&t->mu);
}

void flush_note_rows(struct flush *f, struct provider *p, struct lam_slice user, uint64_t rows) {
    struct table_cold *t;
    bool has_policy = p->options.flush_rows || p->options.flush_interval_s;
    if (!has_policy || rows == 0 || p->kind == TABLE_STREAM || f->read_only)
        return;
    /* Without memory the next commit tells again. */
    if (table_cold_of(p, &t, NULL) != LAM_OK)
        return;
    if (p->options.flush_interval_s)
        arm_interval(f, t);
    if (p->kind == TABLE_SHARED)
        user = SLICE_EMPTY;
    if (p->options.flush_rows)
        note_rows(p, t, user, rows);
    struct policy_input in = input_of(f, t, p);
    schedule(f, policy_next_us(&in));
}

/* --- ticks --- */

struct due_users {
    struct lam_slice *items; /* owned, as are the bytes; sorted */
    size_t count, capacity;
};

static void due_users_fini(struct due_users *d) {
    for (size_t i = 0; i < d->count; i++)
        mem_free((void *)(uintptr_t)d->items[i].data);
    mem_free(d->items);
}

static int compare_users(const void *a, const void *b) {
    return slice_cmp(*(const struct lam_slice *)a, *(const struct lam_slice *)b);
}

/* Users who have reached `limit`. */
static enum lam_code collect_due(struct table_cold *t, uint64_t limit, struct due_users *d) {
    enum lam_code rc = LAM_OK;
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    g->rows_due = false;
    for (size_t i = 0; i < g->slot_count && rc == LAM_OK; i++) {
        const struct user_state *u = &g->slots[i];
        if (!u->user || !u->counted || u->rows < limit || u->user_size == 0)
            continue;
        rc = MEM_GROW(&d->items, &d->capacity, d->count + 1, NULL);
        void *copy = rc == LAM_OK ? mem_dup(u->user, u->user_size) : NULL;
        if (copy)
            d->items[d->count++] = lam_slice_of(copy, u->user_size);
        else
            rc = LAM_NO_MEMORY;
    }
    mutex_unlock(&t->mu);
    if (d->count)
        qsort(d->items, d->count, sizeof *d->items, compare_users);
    return rc;
}

static bool has_hot_rows(struct provider *p) {
    struct lam_read_options options = {.keys_only = true};
    lam_iter *it;
    if (lam_iter_new(catalog_db(p->catalog), &options, p->hot, &it, NULL) != LAM_OK)
        return true; /* the flush will say what is wrong */
    lam_iter_seek_first(it);
    bool has = lam_iter_valid(it) || lam_iter_status(it, NULL) != LAM_OK;
    lam_iter_free(it);
    return has;
}

static void set_retry(struct flush *f, struct table_cold *t, bool failed, enum policy_reason why) {
    mutex_lock(&t->mu);
    struct table_cold_guarded *g = table_cold_state(t);
    g->retry_at_us = failed ? flush_clock_us(f) + POLICY_RETRY_US : 0;
    if (failed && why == POLICY_ROWS)
        g->rows_due = true;
    mutex_unlock(&t->mu);
}

static void restart_interval(struct flush *f, struct table_cold *t) {
    mutex_lock(&t->mu);
    table_cold_state(t)->interval_from_us = flush_clock_us(f);
    mutex_unlock(&t->mu);
}

static void flush_due(struct flush *f, struct table_cold *t, struct provider *p,
                      enum policy_reason why) {
    struct due_users due = {0};
    struct flush_result result;
    enum lam_code rc = LAM_OK;
    if (why == POLICY_ROWS)
        rc = collect_due(t, p->options.flush_rows, &due);
    bool all = why == POLICY_INTERVAL || p->kind == TABLE_SHARED;
    if (!has_hot_rows(p))
        restart_interval(f, t);
    else if (rc == LAM_OK && (all || due.count))
        rc = flush_table_users(f, p, all ? NULL : due.items, all ? 0 : due.count, true, &result,
                               NULL);
    set_retry(f, t, rc != LAM_OK, why);
    due_users_fini(&due);
}

/* Flushes a table if it is due; gives when to look again. */
static uint64_t tick_table(struct flush *f, struct table_cold *t) {
    struct provider *p;
    if (catalog_provider_by_id(f->catalog, t->table, &p, NULL) != LAM_OK)
        return FLUSH_NEVER;
    struct policy_input in = input_of(f, t, p);
    enum policy_reason why = policy_decide(&in);
    if (why != POLICY_NONE) {
        flush_due(f, t, p, why);
        in = input_of(f, t, p);
    }
    provider_unref(p);
    return policy_next_us(&in);
}

/* The i-th table seen since open, with a reference; NULL behind the last. */
static struct table_cold *table_at(struct flush *f, size_t i) {
    mutex_lock(&f->tables_mu);
    struct flush_tables_guarded *g = flush_tables(f);
    struct table_cold *t = i < g->count ? table_cold_ref(g->items[i]) : NULL;
    mutex_unlock(&f->tables_mu);
    return t;
}

static void tick(void *arg) {
    struct flush *f = arg;
    uint64_t next = FLUSH_NEVER, now = flush_clock_us(f);
    mutex_lock(&f->timer_mu);
    if (flush_timer(f)->tick_at <= now)
        flush_timer(f)->tick_at = FLUSH_NEVER; /* else this tick is one that another overtook */
    mutex_unlock(&f->timer_mu);
    struct table_cold *t;
    for (size_t i = 0; !atomic_load(&f->stopping) && (t = table_at(f, i)); i++) {
        uint64_t at = tick_table(f, t);
        next = at < next ? at : next;
        table_cold_unref(t);
    }
    schedule(f, next);
}

static bool start_table(void *arg, struct provider *p) {
    struct flush *f = arg;
    struct table_cold *t;
    if (!p->options.flush_interval_s || p->kind == TABLE_STREAM)
        return true;
    if (table_cold_of(p, &t, NULL) == LAM_OK) {
        arm_interval(f, t);
        struct policy_input in = input_of(f, t, p);
        schedule(f, policy_next_us(&in));
    }
    return true;
}

enum lam_code policy_start(struct flush *f, struct lam_error *err) {
    if (f->read_only)
        return LAM_OK;
    mutex_lock(&f->timer_mu);
    bool ticking = flush_timer(f)->tick_at != FLUSH_NEVER;
    mutex_unlock(&f->timer_mu);
    return ticking ? LAM_OK : catalog_each_provider(f->catalog, start_table, f, err);
}
