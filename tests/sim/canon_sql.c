/* SPDX-License-Identifier: Apache-2.0
 *
 * One fixed history with every kind of statement over rows hot and cold, and the same with each
 * operation of the environment failing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world_sql.h"

/* Kinds, with a word on what is wanted of the statement. */
enum wish {
    ANY,
    USER_TABLE,
    OUTSIDE_TABLE,
    SHARED_TABLE,
    STREAM_TABLE,
    STREAM_ROWS,
    UNIQUE,
    INSIDE,
    OUTSIDE
};
struct line {
    enum wsql_kind kind;
    enum wish wish;
    unsigned times;
};

static const struct line lines[] = {
    {WSQL_CREATE_STORAGE, INSIDE, 1},
    {WSQL_CREATE_STORAGE, OUTSIDE, 1},
    {WSQL_CREATE_NAMESPACE, ANY, 2},
    {WSQL_CREATE_USER, ANY, 3},
    {WSQL_CREATE_TABLE, USER_TABLE, 1},
    {WSQL_CREATE_TABLE, OUTSIDE_TABLE, 1},
    {WSQL_CREATE_TABLE, SHARED_TABLE, 1},
    {WSQL_CREATE_TABLE, STREAM_TABLE, 1},
    {WSQL_CREATE_INDEX, ANY, 2},
    {WSQL_CREATE_INDEX, UNIQUE, 1},
    {WSQL_INSERT, ANY, 10},
    {WSQL_UPSERT, ANY, 3},
    {WSQL_UPDATE, ANY, 3},
    {WSQL_DELETE, ANY, 2},
    {WSQL_EXECUTE_AS, ANY, 2},
    {WSQL_THING_PUT, ANY, 3},
    {WSQL_THING_DELETE, ANY, 1},
    {WSQL_FLUSH, ANY, 2},
    {WSQL_INSERT, ANY, 4},
    {WSQL_UPDATE, ANY, 4},
    {WSQL_DELETE, ANY, 2},
    {WSQL_FLUSH_ALL, ANY, 1},
    {WSQL_ADD_COLUMN, ANY, 2},
    {WSQL_RENAME_COLUMN, ANY, 1},
    {WSQL_RETYPE_COLUMN, ANY, 1},
    {WSQL_SET_DEFAULT, ANY, 1},
    {WSQL_SET_NULL, ANY, 1},
    {WSQL_UPSERT, ANY, 3},
    {WSQL_UPDATE, ANY, 3},
    {WSQL_DUMP, ANY, 1},
    {WSQL_FLUSH, ANY, 2},
    {WSQL_DROP_COLUMN, ANY, 1},
    {WSQL_DROP_INDEX, ANY, 1},
    {WSQL_INSERT, ANY, 3},
    {WSQL_CREATE_INDEX, ANY, 2},
    {WSQL_DELETE, ANY, 3},
    {WSQL_INSERT, STREAM_ROWS, 2},
    {WSQL_DUMP, ANY, 1},
    {WSQL_INSERT, STREAM_ROWS, 1},
    {WSQL_EXPIRE, ANY, 1},
    {WSQL_INSERT, STREAM_ROWS, 1},
    {WSQL_COMPACT, ANY, 1},
    {WSQL_REOPEN, ANY, 1},
    {WSQL_INSERT, ANY, 4},
    {WSQL_UPDATE, ANY, 2},
    {WSQL_TICK, ANY, 1},
    {WSQL_COMPACT, ANY, 1},
    {WSQL_FLUSH_ALL, ANY, 1},
    {WSQL_CRASH, ANY, 1},
    {WSQL_DROP_TABLE, OUTSIDE_TABLE, 1},
    {WSQL_DROP_TABLE, ANY, 1},
    {WSQL_CREATE_TABLE, USER_TABLE, 2},
    {WSQL_INSERT, ANY, 3},
    {WSQL_FLUSH, ANY, 1},
    {WSQL_THING_DROP, ANY, 1},
    {WSQL_DROP_USER, ANY, 1},
    {WSQL_DROP_NAMESPACE, ANY, 1},
    {WSQL_DROP_STORAGE, ANY, 1},
    {WSQL_CLOCK, ANY, 1},
    {WSQL_REOPEN, ANY, 1},
};

static bool has_word(const struct wsql_step *step, const char *word) {
    return strstr(step->sql.data, word) != NULL;
}

/* The index that a state has more than the one before is of a USER table and not of its key. */
static bool indexes_users(const struct msql_state *s, const struct msql_state *before) {
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *t = s->tables[i], *b = before->tables[i];
        if (t && b && t->index_count > b->index_count)
            return t->kind == MSQL_USER &&
                   !t->columns[t->indexes[t->index_count - 1].columns[0]].is_key;
    }
    return false;
}

/* Of the tables of USER kind whose files lie outside of the database one more or less is there. */
static bool changes_outside(const struct msql_state *s, const struct msql_state *before) {
    unsigned count[2] = {0};
    const struct msql_state *both[2] = {s, before};
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < MSQL_TABLES; i++) {
            const struct msql_table *t = both[k]->tables[i];
            count[k] += t && t->kind == MSQL_USER && t->storage == MSQL_STORAGES - 1;
        }
    return count[0] != count[1];
}

static bool is_wished(const struct wsql *w, const struct wsql_step *step, enum wish wish) {
    bool changes = step->after && !msql_hash_eq(step->after->plain, wsql_now(w)->plain);
    bool rows = step->kind >= WSQL_INSERT && step->kind <= WSQL_EXECUTE_AS;
    bool made = step->kind <= WSQL_RETYPE_COLUMN;
    if (step->expect != WSQL_OK || ((rows || made) && !changes))
        return false;
    if (step->kind == WSQL_CREATE_INDEX && !indexes_users(step->after, wsql_now(w)))
        return false;
    switch (wish) {
    case ANY:
        return true;
    case USER_TABLE:
        return has_word(step, "CREATE USER TABLE");
    case OUTSIDE_TABLE:
        return changes_outside(step->after, wsql_now(w));
    case SHARED_TABLE:
        return has_word(step, "CREATE SHARED TABLE");
    case STREAM_TABLE:
        return has_word(step, "CREATE STREAM TABLE");
    case STREAM_ROWS:
        return msql_state_stream_rows(step->after) > msql_state_stream_rows(wsql_now(w));
    case UNIQUE:
        return has_word(step, "CREATE UNIQUE INDEX");
    case INSIDE:
        return has_word(step, "'cold2/deep'");
    case OUTSIDE:
        return has_word(step, "'/outside'");
    }
    abort();
}

/* Draws until the statement is one that does something. */
static bool find_step(struct wsql *w, const struct line *line, struct wsql_step *step) {
    for (int tries = 0; tries < 2000; tries++) {
        if (!wsql_generate(w, line->kind, step))
            continue;
        if (is_wished(w, step, line->wish))
            return true;
        wsql_step_fini(step);
    }
    wsql_fail(w, "the canonical history finds no %s to do", wsql_kind_name(line->kind));
    return false;
}

void wsql_canonical(struct wsql *w, void (*fn)(struct wsql *w, struct wsql_step *step)) {
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        for (unsigned k = 0; k < lines[i].times && !w->failed; k++) {
            struct wsql_step step;
            if (!find_step(w, &lines[i], &step))
                return;
            if (fn)
                fn(w, &step);
            wsql_do(w, &step);
            wsql_step_fini(&step);
        }
}

/* --- each operation fails once --------------------------------------------------------------- */

/* A copy of the world's database, opened. */
static bool open_copy(struct wsql_view *v, struct simfs *from) {
    struct lam_error err = {0};
    v->fs = simfs_clone(from);
    enum lam_code rc = wsql_view_open(v, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s: open: %s: %s", v->what, lam_code_name(rc), err.message);
    return rc == LAM_OK;
}

/* What a statement did, or what closing and opening again did. */
static enum lam_code run_faulty(struct wsql_view *v, const struct wsql_step *step,
                                uint64_t *flushed_out, struct lam_error *err) {
    *flushed_out = 0;
    if (step->kind != WSQL_REOPEN)
        return wsql_run(v, step, flushed_out, err);
    enum lam_code closed = wsql_view_close(v, err);
    enum lam_code opened = wsql_view_open(v, closed == LAM_OK ? err : NULL);
    return closed == LAM_OK ? opened : closed;
}

static bool is_flush(enum wsql_kind kind) {
    return kind == WSQL_FLUSH || kind == WSQL_FLUSH_ALL;
}

/* The states that may be there after a statement with a fault in it: `before`, or the one that it
 * leads to, or either. The drop of an entity, once begun, is finished at the next opening. */
static struct wsql_image form_after(struct msql_state *before, const struct wsql_step *step,
                                    enum lam_code rc, struct msql_state **may) {
    struct wsql_image form = {.may = may, .count = 1};
    may[0] = before;
    if (is_flush(step->kind))
        form.flushes_more = MSQL_TABLES;
    else if (step->after && (rc == LAM_UNKNOWN_OUTCOME || step->kind == WSQL_THING_DROP))
        may[form.count++] = step->after;
    else if (step->after && rc == LAM_OK)
        may[0] = step->after;
    return form;
}

static void compare_faulty(struct wsql_view *v, const struct wsql_image *form, bool fresh) {
    struct wsql *w = v->w;
    /* What can't be opened for want of a writable database is looked at after the reopening. */
    if (!fresh && w->has_things && !v->things)
        return;
    struct msql_state *found = wsql_read(v, w->has_things);
    if (!found)
        return;
    if (wsql_match(form, found)) {
        wsql_check_indexes(v, found, fresh && choose_one_in(w->choice, 4));
        if (fresh)
            wsql_check_tidy(v, WSQL_FRESH);
    } else {
        wsql_fail(w, "%s%s: none of the %zu states that may be there (%zu completed flushes)",
                  v->what, fresh ? ", reopened" : "", form->count, (size_t)found->flushes);
        wsql_explain(w, found, form->may[form->count - 1]);
    }
    msql_state_unref(found);
}

/* What was acknowledged as durable is there if the power fails now. `before` may be there else. */
static void lose_power(struct wsql_view *v, const struct wsql_step *step, enum lam_code rc,
                       struct msql_state *before, uint64_t flushed) {
    struct wsql *w = v->w;
    char what[240];
    struct wsql_view image = {.w = w, .fs = simfs_crash_old(v->fs), .what = what};
    struct msql_state *may[2] = {before, step->after};
    struct wsql_image form = {.may = may, .count = 1};
    struct lam_error err = {0};
    bool changed = step->after && !msql_hash_eq(step->after->plain, before->plain);
    bool synced = step->synced || step->durability == LAM_DURABILITY_SYNC;
    snprintf(what, sizeof what, "%s, then power loss", v->what);
    if (is_flush(step->kind))
        form.flushes_more = MSQL_TABLES;
    else if (changed && synced && rc == LAM_OK)
        may[0] = step->after;
    else if (changed)
        form.count = 2;
    before->flushes -= rc == LAM_OK ? 0 : flushed;
    enum lam_code opened = wsql_view_open(&image, &err);
    if (opened != LAM_OK)
        wsql_fail(w, "%s: open: %s: %s", what, lam_code_name(opened), err.message);
    else
        compare_faulty(&image, &form, true);
    before->flushes += rc == LAM_OK ? 0 : flushed;
    simfs_freeze(image.fs);
    if (image.db)
        wsql_view_close(&image, NULL);
    simfs_free(image.fs);
}

static void reopen_after_fault(struct wsql_view *v, const struct wsql_image *form) {
    struct lam_error err = {0};
    wsql_view_close(v, NULL);
    enum lam_code rc = wsql_view_open(v, &err);
    if (rc != LAM_OK)
        wsql_fail(v->w, "%s, reopened: %s: %s", v->what, lam_code_name(rc), err.message);
    else
        compare_faulty(v, form, true);
}

/* After an error that changed nothing the same statement runs as if nothing had been, unless the
 * database has given up writing. */
static void try_again(struct wsql_view *v, const struct wsql_step *step, struct wsql_image *form,
                      struct msql_state *before) {
    struct lam_error err = {0};
    uint64_t flushed = 0;
    enum lam_code rc = wsql_run(v, step, &flushed, &err);
    if (rc == LAM_OK && step->after && !is_flush(step->kind))
        form->may[0] = step->after;
    else if (rc != LAM_OK && rc != LAM_READ_ONLY && step->expect == WSQL_OK)
        wsql_fail(v->w, "%s: nor later: %s: %s", v->what, lam_code_name(rc), err.message);
    before->flushes += flushed;
}

static bool may_try_again(const struct wsql_step *step, enum lam_code rc) {
    return rc != LAM_OK && rc != LAM_UNKNOWN_OUTCOME && step->kind != WSQL_REOPEN &&
           step->kind != WSQL_THING_DROP;
}

/* A fault that lasts and is done is the last thing that a dying disk does. */
static void arm(struct simfs *fs, const struct simfs_fault *fault) {
    struct simfs_fault first = *fault, rest = *fault;
    if (fault->sticky && fault->effect == SIMFS_FAIL_DONE) {
        first.sticky = false;
        rest.effect = SIMFS_FAIL;
        rest.nth++;
        simfs_arm(fs, 1, &rest);
    }
    simfs_arm(fs, 0, &first);
}

/* One trial; false: the fault came too late for the statement. */
static bool try_fault(struct wsql *w, struct wsql_step *step, struct simfs *from,
                      const struct simfs_fault *fault) {
    char what[200];
    struct wsql_view v = {.w = w, .what = what};
    struct msql_state *may[2];
    struct lam_error err = {0};
    uint64_t flushed;
    snprintf(what, sizeof what, "statement %llu (%.60s) with operation %llu of %x failing",
             (unsigned long long)w->number, step->sql.data, (unsigned long long)fault->nth,
             fault->ops);
    bool fired = false;
    if (open_copy(&v, from)) {
        arm(v.fs, fault);
        enum lam_code rc = run_faulty(&v, step, &flushed, &err);
        fired = simfs_fired(v.fs, 0) > 0;
        simfs_disarm(v.fs);
        struct msql_state *before = msql_state_copy(wsql_now(w));
        before->flushes += flushed;
        struct wsql_image form = form_after(before, step, rc, may);
        if (!fired && rc != LAM_OK && step->expect == WSQL_OK)
            wsql_fail(w, "%s: failed without a fault: %s", what, err.message);
        if (rc != LAM_OK && !err.message[0])
            wsql_fail(w, "%s: an error without words", what);
        if (fired && !w->failed && v.root)
            compare_faulty(&v, &form, false);
        /* With one fault only, what failed has cleaned up. */
        if (fired && !w->failed && rc != LAM_OK && is_flush(step->kind) && !fault->sticky)
            wsql_check_tidy(&v, rc == LAM_UNKNOWN_OUTCOME ? WSQL_RUNNING : WSQL_ENDED);
        if (fired && !w->failed)
            lose_power(&v, step, rc, before, flushed);
        if (fired && !w->failed && may_try_again(step, rc))
            try_again(&v, step, &form, before);
        if (fired && !w->failed)
            reopen_after_fault(&v, &form);
        msql_state_unref(before);
        w->stats->faults += fired;
        w->stats->faults_survived += fired && rc == LAM_OK;
        w->stats->unknown += rc == LAM_UNKNOWN_OUTCOME;
    }
    simfs_freeze(v.fs);
    if (v.db)
        wsql_view_close(&v, NULL);
    simfs_abandon(v.fs);
    simfs_free(v.fs);
    return fired;
}

uint64_t wsql_sweep(struct wsql *w, struct wsql_step *step, const struct simfs_fault *form,
                    unsigned stride) {
    struct simfs *from = simfs_clone(w->live.fs);
    struct choice *choice = w->choice;
    struct simfs_fault fault = *form;
    uint64_t count = 0;
    w->choice = w->image_choice;
    simfs_set_choice(from, w->image_choice);
    fault.nth = 1 + choose(w->choice, stride);
    for (; !w->failed && try_fault(w, step, from, &fault); fault.nth += stride)
        count++;
    w->choice = choice;
    simfs_free(from);
    return count;
}
