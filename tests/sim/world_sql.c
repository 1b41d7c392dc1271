/* SPDX-License-Identifier: Apache-2.0
 *
 * The world: its history of states, the statements run against it, the images taken meanwhile. */
#include "tests/sim/world_sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/tuning.h"

void wsql_fail(struct wsql *w, const char *format, ...) {
    va_list args;
    if (w->failed)
        return;
    w->failed = true;
    w->check = format;
    va_start(args, format);
    vsnprintf(w->message, sizeof w->message, format, args);
    va_end(args);
}

/* --- history --------------------------------------------------------------------------------- */

static struct msql_state *state_at(const struct wsql *w, size_t index) {
    return w->states[index - w->first];
}

static size_t newest(const struct wsql *w) {
    return w->first + w->count - 1;
}

const struct msql_state *wsql_now(const struct wsql *w) {
    return w->base ? w->base : state_at(w, newest(w));
}

/* Takes the reference. */
static void push_state(struct wsql *w, struct msql_state *s) {
    if (w->count == w->capacity) {
        w->capacity = w->capacity ? w->capacity * 2 : 16;
        w->states = realloc(w->states, w->capacity * sizeof(struct msql_state *));
        if (!w->states)
            abort();
    }
    w->states[w->count++] = s;
}

/* From now on a crash keeps at least these states. */
static void set_floors(struct wsql *w, size_t floor, size_t kill_floor) {
    w->floor = floor;
    w->kill_floor = kill_floor;
    size_t least = floor < kill_floor ? floor : kill_floor, drop = least - w->first;
    for (size_t i = 0; i < drop; i++)
        msql_state_unref(w->states[i]);
    memmove(w->states, w->states + drop, (w->count - drop) * sizeof *w->states);
    w->first += drop;
    w->count -= drop;
}

/* The history ends with `state`, which is all that is durable. */
static void restart_history(struct wsql *w, struct msql_state *state) {
    msql_state_ref(state);
    for (size_t i = 0; i < w->count; i++)
        msql_state_unref(w->states[i]);
    w->first += w->count;
    w->count = 0;
    push_state(w, state);
    w->floor = w->kill_floor = w->first;
    w->flush_failed = false;
}

struct msql_state *wsql_match(const struct wsql_image *image, const struct msql_state *found) {
    for (size_t i = image->from; i < image->count; i++) {
        struct msql_state *s = image->may[i];
        /* Flushes change nothing else: some of those that follow may be there. */
        uint64_t most =
            i + 1 < image->count ? image->may[i + 1]->flushes : s->flushes + image->flushes_more;
        most = (most > s->flushes ? most : s->flushes) + image->flushes_lost;
        if (!msql_hash_eq(s->plain, found->plain) || found->flushes < s->flushes ||
            found->flushes > most || found->audits < s->audits)
            continue;
        if (!s->seq_known || msql_hash_eq(s->with_seq, found->with_seq))
            return s;
    }
    return NULL;
}

void wsql_expire(struct wsql *w) {
    simfs_advance_us(w->live.fs, WSQL_EXPIRY_US);
    w->expiries++;
    for (size_t i = 0; i < w->count; i++) {
        struct msql_state *s = msql_state_expired(w->states[i]);
        msql_state_unref(w->states[i]);
        w->states[i] = s;
    }
}

/* --- images ---------------------------------------------------------------------------------- */

static void image_fini(struct wsql_image *image) {
    if (image->fs)
        simfs_free(image->fs);
    for (size_t i = 0; i < image->count; i++)
        msql_state_unref(image->may[i]);
    free(image->may);
    *image = (struct wsql_image){0};
}

/* Borrows the states of `form`. */
static void image_init(struct wsql_image *image, const struct wsql_image *form, struct simfs *fs) {
    *image = *form;
    image->fs = fs;
    image->may = calloc(form->count, sizeof(struct msql_state *));
    if (!image->may)
        abort();
    for (size_t i = 0; i < form->count; i++)
        image->may[i] = msql_state_ref(form->may[i]);
}

void wsql_images_fini(struct wsql_images *images) {
    for (size_t i = 0; i < images->count; i++)
        image_fini(&images->items[i]);
    free(images->items);
    *images = (struct wsql_images){0};
}

/* Whether an image of this hash was opened before. */
static bool is_known(struct wsql *w, uint64_t hash) {
    for (size_t i = 0; i < w->seen_count; i++)
        if (w->seen[i] == hash)
            return true;
    if (w->seen_count == w->seen_capacity) {
        w->seen_capacity = w->seen_capacity ? w->seen_capacity * 2 : 64;
        w->seen = realloc(w->seen, w->seen_capacity * sizeof *w->seen);
        if (!w->seen)
            abort();
    }
    w->seen[w->seen_count++] = hash;
    return false;
}

static struct simfs *crash_of(struct simfs *fs, enum wsql_crash kind, struct choice *c) {
    return kind == WSQL_DEATH ? simfs_die(fs, c)
                              : simfs_crash(fs, kind == WSQL_KILL ? SIMFS_KILL : SIMFS_POWER, c);
}

static enum wsql_crash draw_crash(struct choice *c) {
    static const enum wsql_crash kinds[] = {WSQL_KILL, WSQL_DEATH, WSQL_POWER_LOSS,
                                            WSQL_POWER_LOSS};
    return kinds[choose(c, 4)];
}

void wsql_offer(struct wsql *w, struct wsql_images *images, unsigned most, struct simfs *fs,
                enum wsql_crash kind, const struct wsql_image *form) {
    size_t at = images->count;
    images->offered++;
    if (at >= most) {
        at = choose(w->image_choice, (uint32_t)images->offered);
        if (at >= most)
            return;
    }
    struct simfs *image = crash_of(fs, kind, w->image_choice);
    simfs_set_quota(image, 0);
    uint64_t key = simfs_hash(image) * 31 + form->may[0]->plain.low * 7 + form->count;
    key += kind == WSQL_DEATH;
    if (is_known(w, key)) {
        w->stats->same++;
        simfs_free(image);
        return;
    }
    if (images->count == images->capacity) {
        images->capacity = images->capacity ? images->capacity * 2 : 16;
        images->items = realloc(images->items, images->capacity * sizeof *images->items);
        if (!images->items)
            abort();
    }
    if (at < images->count)
        image_fini(&images->items[at]);
    else
        at = images->count++;
    image_init(&images->items[at], form, image);
}

/* What may be there if the world ends now. The states are borrowed, the array is the caller's. */
static struct wsql_image form_now(const struct wsql *w, enum wsql_crash kind) {
    const struct wsql_step *step = w->step;
    size_t low = kind == WSQL_POWER_LOSS || (kind == WSQL_DEATH && w->floor < w->kill_floor)
                     ? w->floor
                     : w->kill_floor;
    size_t skip = low - w->first;
    struct wsql_image form = {
        .count = w->count - skip, .killed = kind != WSQL_POWER_LOSS, .pending = kind == WSQL_DEATH};
    form.from = form.killed ? w->kill_floor - low : 0;
    form.may = calloc(form.count + 1, sizeof(struct msql_state *));
    if (!form.may)
        abort();
    memcpy(form.may, w->states + skip, form.count * sizeof(struct msql_state *));
    if (step && step->after && step->expect != WSQL_REFUSED)
        form.may[form.count++] = step->after;
    if (step && (step->kind == WSQL_FLUSH || step->kind == WSQL_FLUSH_ALL))
        form.flushes_more = MSQL_TABLES;
    if (step && step->kind == WSQL_TICK)
        form.flushes_more = 1000;
    form.flushes_lost = w->flush_failed ? 1000 : 0;
    return form;
}

static void offer_now(struct wsql *w, enum wsql_crash kind, const char *where) {
    struct wsql_image form = form_now(w, kind);
    unsigned most = w->options.every ? UINT32_MAX : w->options.images;
    static const char *const kinds[] = {"power loss", "kill", "death"};
    const char *text = w->step && w->step->sql.data ? w->step->sql.data : "at rest";
    snprintf(form.what, sizeof form.what, "%s of statement %llu (%.60s), %s %llu", kinds[kind],
             (unsigned long long)w->number, text, where, (unsigned long long)w->step_ops);
    wsql_offer(w, &w->images, most, w->live.fs, kind, &form);
    free(form.may);
}

static bool is_schema_or_flush(enum wsql_kind k) {
    return k <= WSQL_SET_NULL || (k >= WSQL_FLUSH && k <= WSQL_DROP_STORAGE);
}

static void observe(void *arg, const struct simfs_event *event) {
    struct wsql *w = arg;
    if (event->phase != 0 || !w->step)
        return;
    w->step_ops++;
    if (w->options.every) {
        for (unsigned i = 0; i < w->options.every; i++)
            offer_now(w,
                      i % 4 != 3             ? WSQL_POWER_LOSS
                      : i % 8 == 3           ? WSQL_KILL
                      : w->step_ops % 4 == 0 ? WSQL_DEATH
                                             : WSQL_POWER_LOSS,
                      "before operation");
    } else if (w->options.images) {
        offer_now(w, draw_crash(w->image_choice), "before operation");
    }
    if (w->options.every || w->options.images) {
        w->stats->points++;
        w->stats->flush_points += is_schema_or_flush(w->step->kind);
    }
}

static void check_images(struct wsql *w) {
    struct choice *choice = w->choice;
    w->choice = w->image_choice;
    for (size_t i = 0; i < w->images.count && !w->failed; i++)
        wsql_check_image(w, &w->images.items[i], w->options.depth);
    w->choice = choice;
    wsql_images_fini(&w->images);
    w->seen_count = 0;
}

/* Takes faults back, but for those that are the world's. */
static void disarm(struct wsql *w) {
    simfs_disarm(w->live.fs);
    if (!w->options.skip)
        return;
    struct simfs_fault lie = {.ops = w->options.skip,
                              .pattern = w->options.skip_pattern,
                              .nth = 1,
                              .sticky = true,
                              .effect = SIMFS_SKIP,
                              .code = LAM_IO};
    simfs_arm(w->live.fs, 3, &lie);
}

/* --- opening and closing --------------------------------------------------------------------- */

/* Compares what is there with the states that may be, which leaves one. */
static void settle(struct wsql *w, enum wsql_crash kind) {
    struct msql_state *found = wsql_read(&w->live, w->has_things);
    if (!found)
        return;
    struct wsql_image form = form_now(w, kind);
    struct msql_state *state = wsql_match(&form, found);
    free(form.may);
    if (state) {
        /* Jobs beyond those of the state may have ended. */
        struct msql_state *now = msql_state_copy(state);
        now->flushes = found->flushes;
        now->audits = found->audits;
        restart_history(w, now);
        msql_state_unref(now);
        wsql_check_indexes(&w->live, found, true);
        wsql_check_tidy(&w->live, WSQL_FRESH);
        wsql_check_system(&w->live, found);
    } else {
        wsql_fail(w, "%s: none of the states that may be there (%zu flushes found, %zu wanted)",
                  w->live.what, (size_t)found->flushes, (size_t)wsql_now(w)->flushes);
        wsql_explain(w, found, wsql_now(w));
    }
    msql_state_unref(found);
}

static void open_live(struct wsql *w, enum wsql_crash kind, bool may_fail) {
    struct lam_error err = {0};
    enum lam_code rc = wsql_view_open(&w->live, &err);
    if (rc != LAM_OK && may_fail) {
        disarm(w);
        simfs_set_quota(w->live.fs, 0);
        rc = wsql_view_open(&w->live, &err);
    }
    if (rc != LAM_OK) {
        wsql_fail(w, "open: %s: %s", lam_code_name(rc), err.message);
        return;
    }
    disarm(w);
    w->broken = false;
    settle(w, kind);
}

static void do_reopen(struct wsql *w, bool faulty) {
    struct lam_error err = {0};
    bool broken = w->broken;
    enum lam_code rc = wsql_view_close(&w->live, &err);
    if (rc == LAM_OK)
        set_floors(w, w->kill_floor, w->kill_floor);
    else if (!broken && !faulty)
        wsql_fail(w, "close: %s: %s", lam_code_name(rc), err.message);
    if (!w->failed)
        open_live(w, WSQL_KILL, faulty);
}

static void do_crash(struct wsql *w) {
    enum wsql_crash kind = draw_crash(w->choice);
    struct simfs *old = w->live.fs;
    struct simfs *image = crash_of(old, kind, w->choice);
    simfs_observe(old, NULL, NULL);
    simfs_freeze(old);
    wsql_view_close(&w->live, NULL);
    simfs_free(old);
    w->live.fs = image;
    disarm(w);
    simfs_observe(image, observe, w);
    if (kind == WSQL_POWER_LOSS)
        set_floors(w, w->floor, w->floor);
    open_live(w, kind, false);
}

/* --- statements ------------------------------------------------------------------------------ */

static bool note_flush(void *arg, lam_stmt *stmt) {
    uint64_t *completed = arg;
    struct lam_slice status = lam_column_text(stmt, 3);
    *completed += status.size == 9 && memcmp(status.data, "completed", 9) == 0;
    return true;
}

static void cells_of(const struct msql_row *row, struct lam_cell *cells) {
    cells[0] = lam_cell_int64(LAM_TYPE_BIGINT, row->values[0].n);
    if (row->count < 3)
        return;
    cells[1] = lam_cell_null();
    if (!row->values[1].null)
        cells[1] =
            lam_cell_bytes(LAM_TYPE_TEXT, lam_slice_of(row->values[1].text, row->values[1].size));
    cells[2] = lam_cell_int64(LAM_TYPE_INT, row->values[2].n);
}

static enum lam_code run_thing(struct wsql_view *v, const struct wsql_step *step,
                               struct lam_error *err) {
    struct lam_cell cells[3];
    if (step->kind == WSQL_THING_DROP) {
        lam_entity_close(v->things);
        v->things = NULL;
        return lam_entity_drop(v->db, "things", err);
    }
    v->w->has_things = true;
    enum lam_code rc = v->things ? LAM_OK : lam_entity_open(v->db, wsql_things(), &v->things, err);
    if (rc != LAM_OK)
        return rc;
    cells_of(step->thing, cells);
    if (step->kind == WSQL_THING_DELETE)
        return lam_entity_delete(v->things, cells, step->durability, err);
    return step->insert ? lam_entity_insert(v->things, cells, step->durability, err)
                        : lam_entity_put(v->things, cells, step->durability, err);
}

enum lam_code wsql_run(struct wsql_view *v, const struct wsql_step *step, uint64_t *flushed_out,
                       struct lam_error *err) {
    struct wsql *w = v->w;
    *flushed_out = 0;
    switch (step->kind) {
    case WSQL_THING_PUT:
    case WSQL_THING_DELETE:
    case WSQL_THING_DROP:
        return run_thing(v, step, err);
    case WSQL_DUMP:
        return lam_db_dump(v->db, err);
    case WSQL_COMPACT:
        return lam_db_compact(v->db, NULL, err);
    case WSQL_TICK:
        simfs_run_tasks(v->fs, true);
        return LAM_OK;
    case WSQL_EXPIRE:
        wsql_expire(w);
        return LAM_OK;
    case WSQL_CLOCK:
        simfs_advance_us(v->fs, ((int64_t)choose(w->choice, 2000) - 1000) * 3600000000);
        return LAM_OK;
    default:
        break;
    }
    lam_session *s = step->who < 0 ? v->root : v->sessions[step->who];
    bool flush = step->kind == WSQL_FLUSH || step->kind == WSQL_FLUSH_ALL;
    lam_session_set_durability(s, step->durability);
    return lam_exec(s, step->sql.data, step->sql.size, flush ? note_flush : NULL, flushed_out, NULL,
                    err);
}

/* Versions of rows become known once they have been read. */
static void learn_versions(struct msql_state *model, const struct msql_state *found) {
    for (unsigned i = 0; i < MSQL_TABLES; i++) {
        const struct msql_table *t = model->tables[i];
        const struct msql_table *f = t ? msql_table_find(found, t->space, t->name) : NULL;
        for (unsigned o = 0; f && o < MSQL_OWNERS; o++)
            for (size_t r = 0; r < t->rows[o].count; r++) {
                struct msql_row *row = t->rows[o].items[r];
                for (size_t k = 0; !row->seq && k < f->rows[o].count; k++)
                    if (msql_hash_eq(f->rows[o].items[k]->hash, row->hash))
                        row->seq = f->rows[o].items[k]->seq;
            }
    }
    msql_state_seal(model);
}

static void compare_live(struct wsql *w) {
    /* Records that can't be opened for want of a writable database are looked at later. */
    if (w->broken && w->has_things && !w->live.things)
        return;
    struct msql_state *found = wsql_read(&w->live, w->has_things);
    if (!found)
        return;
    struct wsql_image form = form_now(w, WSQL_KILL);
    form.flushes_more = w->broken ? 1000 : 0;
    struct msql_state *state = wsql_match(&form, found);
    free(form.may);
    if (!state) {
        wsql_fail(w,
                  "after statement %llu: not the state that it leads to (%zu completed flushes "
                  "found, %zu wanted)",
                  (unsigned long long)w->number, (size_t)found->flushes,
                  (size_t)wsql_now(w)->flushes);
        wsql_explain(w, found, wsql_now(w));
    } else if (w->kill_floor == newest(w)) {
        learn_versions(state, found);
    }
    if (!w->failed)
        wsql_check_indexes(&w->live, found, choose_one_in(w->choice, 4));
    if (!w->failed && !w->broken)
        wsql_check_tidy(&w->live, WSQL_RUNNING);
    if (!w->failed && !w->broken && choose_one_in(w->choice, 4))
        wsql_check_system(&w->live, found);
    msql_state_unref(found);
}

/* A statement succeeded: the history has its state. */
static void succeed(struct wsql *w, struct wsql_step *step, uint64_t flushed) {
    const struct msql_state *before = wsql_now(w);
    struct msql_state *after = step->after;
    if (step->kind == WSQL_DUMP || step->kind == WSQL_COMPACT)
        set_floors(w, newest(w), newest(w));
    if (!after)
        return;
    bool changed = !msql_hash_eq(before->plain, after->plain) || flushed > 0;
    bool synced = changed && (step->synced || step->durability == LAM_DURABILITY_SYNC || flushed);
    if (step->kind == WSQL_FLUSH || step->kind == WSQL_FLUSH_ALL)
        after->flushes = before->flushes + flushed;
    if (step->kind == WSQL_TICK)
        after->flushes = wsql_flushes(&w->live);
    push_state(w, msql_state_ref(after));
    set_floors(w, synced ? newest(w) : w->floor,
               w->kill_floor + 1 == newest(w) ? newest(w) : w->kill_floor);
}

/* A statement failed. Where its outcome is not known, it may come to be seen. The drop of an
 * entity, once begun, is finished at the next opening. */
static void not_succeed(struct wsql *w, struct wsql_step *step, enum lam_code rc) {
    if (rc != LAM_UNKNOWN_OUTCOME && step->kind != WSQL_THING_DROP)
        return;
    w->stats->unknown++;
    w->broken = true;
    if (step->after)
        push_state(w, msql_state_ref(step->after));
}

static bool is_refusal(enum lam_code rc) {
    return rc == LAM_SQL || rc == LAM_DENIED || rc == LAM_EXISTS || rc == LAM_NOT_FOUND;
}

static void judge(struct wsql *w, struct wsql_step *step, enum lam_code rc, bool faulty,
                  uint64_t flushed, const struct lam_error *err) {
    bool uncertain = w->kill_floor != newest(w);
    bool excused = faulty || (w->broken && rc == LAM_READ_ONLY) || (uncertain && is_refusal(rc));
    bool refused = is_refusal(rc) && step->expect != WSQL_OK;
    if (rc == LAM_OK && step->expect == WSQL_REFUSED)
        wsql_fail(w, "statement %llu was accepted: %s", (unsigned long long)w->number,
                  step->sql.data);
    else if (rc != LAM_OK && !excused && !refused)
        wsql_fail(w, "statement %llu failed: %s: %s: %s", (unsigned long long)w->number,
                  step->sql.data, lam_code_name(rc), err->message);
    else if (rc == LAM_OK)
        succeed(w, step, flushed);
    else
        not_succeed(w, step, rc);
    if (rc != LAM_OK && (step->kind == WSQL_FLUSH || step->kind == WSQL_FLUSH_ALL))
        w->flush_failed = true;
    w->stats->done[step->kind] += rc == LAM_OK;
    w->stats->refused[step->kind] += rc != LAM_OK;
}

/* --- faults ---------------------------------------------------------------------------------- */

/* A full disk for the time of a statement. */
static bool arm_quota(struct wsql *w) {
    if (!choose_one_in(w->choice, 5))
        return false;
    simfs_set_quota(w->live.fs, simfs_used(w->live.fs) + choose(w->choice, 64) * 64 + 1);
    return true;
}

static void arm(struct wsql *w, struct simfs_fault *fault) {
    struct choice *c = w->choice;
    static const enum simfs_effect changes[] = {SIMFS_FAIL, SIMFS_SHORT, SIMFS_FAIL_DONE};
    static const enum simfs_effect syncs[] = {SIMFS_FAIL, SIMFS_FSYNC_EXT4, SIMFS_FSYNC_BTRFS};
    static const enum simfs_effect reads[] = {SIMFS_FAIL, SIMFS_SHORT, SIMFS_FLIP};
    *fault = (struct simfs_fault){.nth = 1 + choose(c, 12),
                                  .sticky = choose_one_in(c, 4),
                                  .code = choose(c, 2) ? LAM_NO_SPACE : LAM_IO};
    switch (choose(c, 4)) {
    case 0:
        fault->ops = SIMFS_MUTATE;
        break;
    case 1:
        fault->ops = SIMFS_WRITE;
        fault->effect = changes[choose(c, 3)];
        break;
    case 2:
        fault->ops = choose(c, 2) ? SIMFS_SYNC : SIMFS_SYNC | SIMFS_DIR_SYNC;
        fault->effect = fault->ops == SIMFS_SYNC ? syncs[choose(c, 3)] : SIMFS_FAIL;
        break;
    default:
        fault->ops = choose(c, 2) ? SIMFS_READ : SIMFS_OPEN | SIMFS_LOOK | SIMFS_READ;
        fault->effect = fault->ops == SIMFS_READ ? reads[choose(c, 3)] : SIMFS_FAIL;
        fault->code = LAM_IO;
        break;
    }
    simfs_arm(w->live.fs, 0, fault);
}

/* --- one step -------------------------------------------------------------------------------- */

static void log_step(const struct wsql *w, const struct wsql_step *step, enum lam_code rc,
                     bool faulty, const struct lam_error *err) {
    static const char *const expects[] = {"", " [to be refused]", " [either]"};
    printf("%4llu %s%s%s: %s%s%s%s\n", (unsigned long long)w->number,
           step->who < 0 ? "root" : w->owners[step->who],
           step->durability == LAM_DURABILITY_SYNC ? " sync" : "", expects[step->expect],
           step->sql.data ? step->sql.data : "", faulty ? " [fault]" : "",
           rc == LAM_OK ? "" : " => ", rc == LAM_OK ? "" : err->message);
    fflush(stdout);
}

static void run_step(struct wsql *w, struct wsql_step *step, bool fault_wanted) {
    struct lam_error err = {0};
    struct simfs_fault fault = {0};
    enum lam_code rc = LAM_OK;
    uint64_t flushed = 0;
    bool quota = fault_wanted && arm_quota(w);
    if (fault_wanted && !quota)
        arm(w, &fault);
    if (step->kind == WSQL_CRASH) {
        do_crash(w);
    } else if (step->kind == WSQL_REOPEN) {
        if (fault_wanted && fault.effect == SIMFS_FSYNC_BTRFS)
            set_floors(w, w->floor, w->floor);
        do_reopen(w, fault_wanted);
    } else {
        rc = wsql_run(&w->live, step, &flushed, &err);
    }
    bool faulty = quota || (fault_wanted && simfs_fired(w->live.fs, 0) > 0);
    disarm(w);
    simfs_set_quota(w->live.fs, 0);
    if (w->options.verbose)
        log_step(w, step, rc, faulty, &err);
    if (faulty) {
        w->stats->faults++;
        w->stats->faults_survived += rc == LAM_OK;
        w->broken = step->kind != WSQL_REOPEN;
        /* The kernel gave up what was written but not synced: as after a power loss. */
        if (fault.effect == SIMFS_FSYNC_BTRFS && step->kind != WSQL_REOPEN)
            set_floors(w, w->floor, w->floor);
    }
    if (!w->failed)
        judge(w, step, rc, faulty, flushed, &err);
}

static bool may_fault(enum wsql_kind k) {
    return k != WSQL_CRASH && k != WSQL_TICK && k != WSQL_CLOCK && k != WSQL_EXPIRE;
}

void wsql_do(struct wsql *w, struct wsql_step *step) {
    if (w->failed)
        return;
    bool fault =
        w->options.faults && may_fault(step->kind) && choose_one_in(w->choice, w->options.faults);
    w->step = step;
    w->step_ops = 0;
    run_step(w, step, fault);
    w->step = NULL;
    bool quiet = step->kind == WSQL_CRASH || step->kind == WSQL_REOPEN;
    if (!w->failed && !quiet)
        compare_live(w);
    if (!w->failed && (w->options.images || w->options.every)) {
        offer_now(w, choose(w->image_choice, 2) ? WSQL_DEATH : WSQL_KILL, "after operation");
        offer_now(w, WSQL_POWER_LOSS, "after operation");
    }
    check_images(w);
    const char *violation = simfs_violation(w->live.fs);
    if (violation)
        wsql_fail(w, "after statement %llu: %s", (unsigned long long)w->number, violation);
}

/* --- life ------------------------------------------------------------------------------------ */

static const char *const hostile[] = {
    "a", "ab", "..",        ".",           "%",        "%2E%2E", "A",   "a/b", "_a",
    "ü", "ü",  "a\x01\x02", "' OR '1'='1", "a\\..\\b", "NUL",    " a ", "𝒂𝒃",  "",
};
#define HOSTILE (sizeof hostile / sizeof hostile[0])

/* Ids that are parts of each other, that paths and SQL could take for something else, and the
 * longest. */
static void draw_owners(struct wsql *w) {
    for (unsigned o = 0; o < MSQL_OWNERS; o++) {
        uint32_t at = choose(w->choice, HOSTILE);
        bool again;
        do {
            snprintf(w->owners[o], sizeof w->owners[o], "%s", hostile[at % HOSTILE]);
            if (!w->owners[o][0])
                memset(w->owners[o], 'x', 255);
            again = false;
            for (unsigned k = 0; k < o; k++)
                again = again || !strcmp(w->owners[o], w->owners[k]);
            at++;
        } while (again);
    }
}

struct wsql *wsql_new(struct choice *choice, struct choice *image_choice,
                      const struct wsql_options *options, struct wsql_stats *stats) {
    struct wsql *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    struct db_tuning tuning;
    struct flush_tuning flush_tuning;
    struct simfs_options fs = {.granule = 16u << 2 * choose(choice, 5),
                               .names = choose(choice, 2) ? SIMFS_SUBSET : SIMFS_PREFIX,
                               .garbage = choose(choice, 2)};
    w->choice = choice;
    w->image_choice = image_choice ? image_choice : choice;
    w->options = *options;
    w->stats = stats;
    w->manual = true;
    w->durability = choose_one_in(choice, 8) ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS;
    draw_owners(w);
    sim_tuning_draw(choice, &tuning);
    sim_tuning_set(options->plain ? NULL : &tuning);
    sim_flush_tuning_draw(choice, &flush_tuning);
    sim_flush_tuning_set(options->plain ? NULL : &flush_tuning);
    w->live = (struct wsql_view){.w = w, .fs = simfs_new(&fs, choice), .what = "live"};
    w->begun_us = simfs_now_us(w->live.fs);
    disarm(w);
    simfs_observe(w->live.fs, observe, w);
    struct msql_state *empty = msql_state_new();
    push_state(w, empty);
    struct wsql_step step = {.kind = WSQL_REOPEN, .who = -1};
    wsql_put(&step.sql, "first open");
    w->step = &step;
    open_live(w, WSQL_KILL, false);
    w->step = NULL;
    check_images(w);
    w->made = true;
    wsql_step_fini(&step);
    return w;
}

void wsql_free(struct wsql *w) {
    simfs_observe(w->live.fs, NULL, NULL);
    if (w->failed)
        simfs_freeze(w->live.fs);
    if (w->live.db)
        wsql_view_close(&w->live, NULL);
    wsql_images_fini(&w->images);
    if (!w->failed && simfs_open_handles(w->live.fs))
        abort();
    simfs_abandon(w->live.fs);
    simfs_free(w->live.fs);
    for (size_t i = 0; i < w->count; i++)
        msql_state_unref(w->states[i]);
    free(w->states);
    free(w->seen);
    free(w);
    sim_tuning_set(NULL);
    sim_flush_tuning_set(NULL);
}

void wsql_draw(struct wsql *w, struct wsql_step *step) {
    static const uint8_t weights[WSQL_KIND_COUNT] = {
        [WSQL_CREATE_NAMESPACE] = 2, [WSQL_DROP_NAMESPACE] = 1, [WSQL_CREATE_TABLE] = 6,
        [WSQL_DROP_TABLE] = 4,       [WSQL_CREATE_INDEX] = 5,   [WSQL_DROP_INDEX] = 2,
        [WSQL_ADD_COLUMN] = 3,       [WSQL_DROP_COLUMN] = 2,    [WSQL_RENAME_COLUMN] = 2,
        [WSQL_RETYPE_COLUMN] = 2,    [WSQL_SET_DEFAULT] = 1,    [WSQL_SET_NULL] = 1,
        [WSQL_INSERT] = 18,          [WSQL_UPSERT] = 8,         [WSQL_UPDATE] = 14,
        [WSQL_DELETE] = 8,           [WSQL_EXECUTE_AS] = 3,     [WSQL_FLUSH] = 10,
        [WSQL_FLUSH_ALL] = 2,        [WSQL_CREATE_USER] = 2,    [WSQL_DROP_USER] = 1,
        [WSQL_CREATE_STORAGE] = 2,   [WSQL_DROP_STORAGE] = 1,   [WSQL_THING_PUT] = 3,
        [WSQL_THING_DELETE] = 1,     [WSQL_THING_DROP] = 1,     [WSQL_DUMP] = 2,
        [WSQL_COMPACT] = 1,          [WSQL_TICK] = 2,           [WSQL_CLOCK] = 1,
        [WSQL_EXPIRE] = 3,           [WSQL_REOPEN] = 2,         [WSQL_CRASH] = 2,
    };
    unsigned sum = 0;
    for (unsigned k = 0; k < WSQL_KIND_COUNT; k++)
        sum += weights[k];
    for (;;) {
        unsigned at = choose(w->choice, sum), kind = 0;
        while (at >= weights[kind])
            at -= weights[kind++];
        bool none = msql_table_find(wsql_now(w), 0, "t0") == NULL && choose_one_in(w->choice, 3);
        if (none)
            kind = WSQL_CREATE_TABLE;
        /* Files outside of the database have nobody but their table's drop to remove them. */
        if (!none && !wsql_now(w)->storages[MSQL_STORAGES - 1] && choose_one_in(w->choice, 4))
            kind = WSQL_CREATE_STORAGE;
        /* Of what may or may not have happened nothing more is asked. */
        bool uncertain = w->kill_floor != newest(w);
        if (uncertain || (w->broken && choose(w->choice, 2)))
            kind = choose_one_in(w->choice, 4) ? WSQL_CRASH : WSQL_REOPEN;
        if (wsql_generate(w, (enum wsql_kind)kind, step))
            return;
    }
}

void wsql_history(struct wsql *w, unsigned steps) {
    for (unsigned i = 0; i < steps && !w->failed; i++) {
        struct wsql_step step;
        wsql_draw(w, &step);
        wsql_do(w, &step);
        wsql_step_fini(&step);
    }
}

void wsql_end(struct wsql *w) {
    struct wsql_step step;
    if (!w->failed && wsql_generate(w, WSQL_REOPEN, &step)) {
        wsql_do(w, &step);
        wsql_step_fini(&step);
    }
    struct lam_error err = {0};
    enum lam_code rc = w->failed ? LAM_OK : wsql_view_close(&w->live, &err);
    if (rc != LAM_OK)
        wsql_fail(w, "the last close: %s: %s", lam_code_name(rc), err.message);
    if (!w->failed && simfs_open_handles(w->live.fs))
        wsql_fail(w, "%zu files are open after close", simfs_open_handles(w->live.fs));
}
