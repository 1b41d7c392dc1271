/* SPDX-License-Identifier: Apache-2.0
 *
 * An image is opened, compared, and then something more is done to it: another crash, a close, a
 * flush, new statements. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check_sql.h"

/* Crashes within the opening of an image. */
struct within {
    struct wsql *w;
    struct simfs *fs;
    struct wsql_image form;
    struct wsql_images images;
};

static void observe_within(void *arg, const struct simfs_event *event) {
    struct within *n = arg;
    if (event->phase == 0)
        wsql_offer(n->w, &n->images, 1, n->fs,
                   choose(n->w->choice, 3) ? WSQL_POWER_LOSS : WSQL_KILL, &n->form);
}

static struct wsql_image form_within(const struct wsql_image *image) {
    struct wsql_image form = *image;
    form.fs = NULL;
    form.killed = form.pending = false;
    /* What only the dead process knew may go with the power, or it was shown already. */
    form.from = 0;
    snprintf(form.what, sizeof form.what, "%.120s, crash in recovery", image->what);
    return form;
}

/* Compares all there is with a state; NULL: failed. */
static struct msql_state *compare(struct wsql_view *v, const struct msql_state *wanted) {
    struct msql_state *only = (struct msql_state *)(uintptr_t)wanted;
    struct wsql_image form = {.may = &only, .count = 1};
    struct msql_state *found = wsql_read(v, v->w->has_things);
    if (!found || wsql_match(&form, found))
        return found;
    wsql_fail(v->w, "%s: not the same state", v->what);
    wsql_explain(v->w, found, wanted);
    msql_state_unref(found);
    return NULL;
}

static bool is_same(struct wsql_view *v, const struct msql_state *wanted) {
    struct msql_state *found = compare(v, wanted);
    msql_state_unref(found);
    return found != NULL;
}

/* What was shown stays, whatever happens now. */
static void crash_again(struct wsql_view *v, struct msql_state *state, unsigned depth,
                        const char *after) {
    struct wsql *w = v->w;
    struct wsql_image form = {.may = &state, .count = 1};
    struct wsql_images images = {0};
    snprintf(form.what, sizeof form.what, "%.110s, crash after %s", v->what, after);
    wsql_offer(w, &images, 1, v->fs, choose(w->choice, 3) ? WSQL_POWER_LOSS : WSQL_KILL, &form);
    for (size_t i = 0; i < images.count && !w->failed; i++) {
        w->stats->nested++;
        wsql_check_image(w, &images.items[i], depth - 1);
    }
    wsql_images_fini(&images);
}

static void note_finding(void *arg, const char *file, uint64_t offset, const char *problem) {
    struct wsql_view *v = arg;
    wsql_fail(v->w, "%s: checked while closed: %s at %llu: %s", v->what, file,
              (unsigned long long)offset, problem);
}

static enum lam_code check_closed(struct wsql_view *v, struct lam_error *err) {
    struct lam_check_options options = {.env = simfs_env(v->fs), .finding = note_finding, .arg = v};
    return lam_check_full("/db", &options, err);
}

static void close_and_reopen(struct wsql_view *v, const struct msql_state *state) {
    struct wsql *w = v->w;
    struct lam_error err = {0};
    enum lam_code rc = wsql_view_close(v, &err);
    if (rc == LAM_OK)
        rc = check_closed(v, &err);
    if (rc == LAM_OK)
        rc = wsql_view_open(v, &err);
    if (rc != LAM_OK)
        wsql_fail(w, "%s: close and reopen: %s: %s", v->what, lam_code_name(rc), err.message);
    else if (is_same(v, state))
        wsql_check_tidy(v, WSQL_FRESH);
}

/* The flush is run again, twice: the second has nothing to do, and neither changes a row. */
static void flush_again(struct wsql_view *v, struct msql_state *state, unsigned depth) {
    struct wsql *w = v->w;
    struct wsql_step step = {.kind = WSQL_FLUSH_ALL, .who = -1};
    struct lam_error err = {0};
    uint64_t flushed[2] = {0};
    wsql_put(&step.sql, "STORAGE FLUSH ALL");
    for (int i = 0; i < 2 && !w->failed; i++) {
        enum lam_code rc = wsql_run(v, &step, &flushed[i], &err);
        if (rc != LAM_OK)
            wsql_fail(w, "%s: flush: %s: %s", v->what, lam_code_name(rc), err.message);
    }
    wsql_step_fini(&step);
    if (!w->failed && flushed[1])
        wsql_fail(w, "%s: a second flush had still something to do", v->what);
    struct msql_state *after = msql_state_copy(state);
    after->flushes = wsql_flushes(v);
    if (!w->failed && after->flushes != state->flushes + flushed[0])
        wsql_fail(w, "%s: %llu flushes were done, and jobs tell of %llu", v->what,
                  (unsigned long long)flushed[0],
                  (unsigned long long)(after->flushes - state->flushes));
    if (!w->failed && is_same(v, after)) {
        wsql_check_indexes(v, after, false);
        wsql_check_tidy(v, WSQL_FRESH);
    }
    if (!w->failed && depth > 0)
        crash_again(v, after, depth, "another flush");
    msql_state_unref(after);
}

static int64_t newest_seq(const struct msql_state *s) {
    int64_t seq = 0;
    for (unsigned i = 0; i < MSQL_TABLES; i++)
        for (unsigned o = 0; s->tables[i] && o < MSQL_OWNERS; o++)
            for (size_t r = 0; r < s->tables[i]->rows[o].count; r++)
                if (s->tables[i]->rows[o].items[r]->seq > seq)
                    seq = s->tables[i]->rows[o].items[r]->seq;
    return seq;
}

/* Versions never come back: each row of `after` that `before` has not is newer than all of it. */
static void check_versions(struct wsql_view *v, const struct msql_state *before,
                           const struct msql_state *after) {
    int64_t newest = newest_seq(before);
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *t = after->tables[i];
        const struct msql_table *b = t ? msql_table_find(before, t->space, t->name) : NULL;
        for (unsigned o = 0; b && o < MSQL_OWNERS; o++)
            for (size_t r = 0; r < t->rows[o].count; r++) {
                const struct msql_row *row = t->rows[o].items[r];
                bool old = row->seq > newest;
                for (size_t k = 0; !old && k < b->rows[o].count; k++)
                    old = msql_hash_eq(b->rows[o].items[k]->hash, row->hash);
                if (!old)
                    wsql_fail(v->w, "%s: a new row of %s has version %lld, there was %lld", v->what,
                              t->name, (long long)row->seq, (long long)newest);
            }
    }
}

/* A few statements on the image, as if life went on there. */
static void go_on(struct wsql_view *v, struct msql_state *state, unsigned depth) {
    static const enum wsql_kind kinds[] = {WSQL_INSERT, WSQL_UPSERT, WSQL_UPDATE, WSQL_DELETE,
                                           WSQL_CREATE_TABLE};
    struct wsql *w = v->w;
    struct msql_state *now = msql_state_ref(state);
    for (int i = 0; i < 3 && !w->failed; i++) {
        struct wsql_step step;
        struct lam_error err = {0};
        uint64_t flushed;
        w->base = now;
        bool made = wsql_generate(w, kinds[choose(w->choice, 5)], &step);
        w->base = NULL;
        if (!made)
            continue;
        enum lam_code rc = wsql_run(v, &step, &flushed, &err);
        if ((rc == LAM_OK) != (step.expect != WSQL_REFUSED))
            wsql_fail(w, "%s: %s: %s: %s", v->what, step.sql.data, lam_code_name(rc), err.message);
        if (rc == LAM_OK && step.after) {
            msql_state_unref(now);
            now = msql_state_ref(step.after);
        }
        wsql_step_fini(&step);
    }
    struct msql_state *found = w->failed ? NULL : compare(v, now);
    if (found) {
        check_versions(v, state, found);
        wsql_check_indexes(v, found, true);
    }
    msql_state_unref(found);
    if (!w->failed && choose_one_in(w->choice, 2))
        close_and_reopen(v, now);
    (void)depth;
    msql_state_unref(now);
}

/* The rows of STREAM tables go, and only they; then what has expired may go from the files. */
static void expire(struct wsql_view *v, struct msql_state *state, unsigned depth) {
    struct wsql *w = v->w;
    struct lam_error err = {0};
    if (msql_state_stream_rows(state) == 0)
        return;
    w->stats->expired++;
    simfs_advance_us(v->fs, WSQL_EXPIRY_US);
    struct msql_state *after = msql_state_expired(state);
    bool good = is_same(v, after);
    enum lam_code rc = good && choose(w->choice, 2) ? lam_db_compact(v->db, NULL, &err) : LAM_OK;
    if (rc != LAM_OK)
        wsql_fail(w, "%s: compaction: %s: %s", v->what, lam_code_name(rc), err.message);
    if (!w->failed && is_same(v, after))
        wsql_check_indexes(v, after, true);
    if (!w->failed && choose_one_in(w->choice, 2))
        close_and_reopen(v, after);
    if (!w->failed && depth > 0)
        crash_again(v, after, depth, "expiry");
    msql_state_unref(after);
}

/* `state`: what the image holds. */
static void follow(struct wsql_view *v, struct msql_state *state, unsigned depth) {
    switch (choose(v->w->choice, 10)) {
    case 5:
        expire(v, state, depth);
        break;
    case 6:
        crash_again(v, state, depth, "recovery");
        break;
    case 7:
        close_and_reopen(v, state);
        break;
    case 8:
        flush_again(v, state, depth);
        break;
    case 9:
        go_on(v, state, depth);
        break;
    default:
        break;
    }
}

static void examine(struct wsql_view *v, const struct wsql_image *image, unsigned depth) {
    struct wsql *w = v->w;
    struct msql_state *found = wsql_read(v, w->has_things);
    if (!found)
        return;
    struct msql_state *state = wsql_match(image, found);
    if (!state) {
        const struct msql_state *wanted = image->may[image->count - 1];
        wsql_fail(w,
                  "%s: none of the %zu states that may be there (%zu completed flushes found, "
                  "%zu wanted); the difference to the last:",
                  v->what, image->count, (size_t)found->flushes, (size_t)wanted->flushes);
        wsql_explain(w, found, wanted);
        msql_state_unref(found);
        return;
    }
    wsql_check_indexes(v, found, choose_one_in(w->choice, 6));
    wsql_check_tidy(v, WSQL_FRESH);
    if (!w->failed && choose_one_in(w->choice, 8))
        wsql_check_system(v, found);
    if (!w->failed && depth > 0) {
        struct msql_state *exact = msql_state_copy(state);
        exact->flushes = found->flushes;
        exact->audits = found->audits;
        msql_state_unref(found);
        follow(v, exact, depth);
        msql_state_unref(exact);
    } else {
        msql_state_unref(found);
    }
}

/* Looking changes nothing: the image is checked and opened read-only, and stays as it is. */
static void look(struct wsql *w, struct wsql_image *image) {
    struct wsql_view v = {.w = w, .fs = image->fs, .what = image->what, .read_only = true};
    struct lam_error err = {0};
    uint64_t before = simfs_hash(image->fs);
    enum lam_code rc = check_closed(&v, &err);
    if (rc == LAM_OK)
        rc = wsql_view_open(&v, &err);
    struct msql_state *found = rc == LAM_OK ? wsql_read(&v, w->has_things) : NULL;
    if (rc != LAM_OK)
        wsql_fail(w, "%s: read-only: %s: %s", v.what, lam_code_name(rc), err.message);
    else if (found && !wsql_match(image, found)) {
        wsql_fail(w, "%s: read-only: none of the states that may be there", v.what);
        wsql_explain(w, found, image->may[image->count - 1]);
    }
    msql_state_unref(found);
    if (v.db)
        wsql_view_close(&v, NULL);
    if (simfs_hash(image->fs) != before)
        wsql_fail(w, "%s: looking at it has changed it", v.what);
    w->stats->read_only++;
}

void wsql_check_image(struct wsql *w, struct wsql_image *image, unsigned depth) {
    struct wsql_view v = {.w = w, .fs = image->fs, .what = image->what};
    struct within within = {.w = w, .fs = image->fs, .form = form_within(image)};
    struct wsql_numbers numbers = {0};
    struct lam_error err = {0};
    if (choose_one_in(w->choice, 4)) /* ids and versions rise even if the clock was set back */
        simfs_advance_us(image->fs, -(int64_t)choose(w->choice, 9000) * 3600000000);
    if (w->made && choose_one_in(w->choice, 12))
        look(w, image);
    if (image->killed)
        wsql_note_numbers(image->fs, &numbers);
    if (depth > 0 && choose_one_in(w->choice, 4))
        simfs_observe(image->fs, observe_within, &within);
    enum lam_code rc = wsql_view_open(&v, &err);
    simfs_observe(image->fs, NULL, NULL);
    w->stats->images++;
    w->stats->deaths += image->pending;
    if (rc != LAM_OK)
        wsql_fail(w, "%s: open: %s: %s", v.what, lam_code_name(rc), err.message);
    else
        wsql_check_numbers(&v, &numbers);
    if (!w->failed)
        examine(&v, image, depth);
    free(numbers.items);
    if (v.db) {
        simfs_freeze(image->fs);
        wsql_view_close(&v, NULL);
    }
    for (size_t i = 0; i < within.images.count && !w->failed; i++) {
        w->stats->nested++;
        w->stats->deaths_power += image->pending;
        wsql_check_image(w, &within.images.items[i], depth - 1);
    }
    wsql_images_fini(&within.images);
}
