/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions with a TTL. Their rows may vanish, so they stand beside the model: of each prefix it
 * is kept which rows there are, and of each row how far the clock has risen since it was written.
 *
 * A row must be there until that is more than the TTL; then it may be gone, and what is gone stays
 * so, nor does anything older that it hid come back. The clock may step back: what counts is the
 * highest rise from any moment since the write to a later one, for a file's time is taken when it
 * is written, and neither that time nor the present is older than the newest file. A snapshot keeps
 * what it has shown. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

#define VALUE_ROOM 512u

static const uint32_t ttl_seconds[TTL_PARTS] = {5, 3600};
static const char *const names[TTL_PARTS] = {"ttl-short", "ttl-long"};

bool ew_ttl_is_name(const char *name) {
    return strcmp(name, names[0]) == 0 || strcmp(name, names[1]) == 0;
}

static struct lam_slice key_of(unsigned key, char room[8]) {
    return lam_slice_of(room, (size_t)snprintf(room, 8, "row-%u", key));
}

/* What a row holds tells which it is. */
static struct lam_slice value_of(uint32_t id, uint8_t room[VALUE_ROOM]) {
    size_t size = 4 + id * 2654435761u % (id % 8 ? 60u : VALUE_ROOM - 4);
    put_le32(room, id);
    for (size_t i = 4; i < size; i++)
        room[i] = (uint8_t)(id * 7 + i);
    return lam_slice_of(room, size);
}

/* --- states ---------------------------------------------------------------------------------- */

static const struct ttl_rows *rows_at(const struct world *w, size_t prefix) {
    static const struct ttl_rows none;
    const struct ttl *t = &w->ttl;
    return t->count == 0 ? &none : &t->states[prefix < t->count ? prefix : t->count - 1];
}

const struct ttl_rows *ew_ttl_rows(const struct world *w, size_t prefix) {
    return rows_at(w, prefix);
}

/* Of the newest commit of the model. */
static void set_rows(struct world *w, const struct ttl_rows *rows) {
    struct ttl *t = &w->ttl;
    struct ttl_rows set = *rows, last = *rows_at(w, SIZE_MAX - 1);
    size_t prefix = model_commits(w->model);
    if (prefix >= t->capacity) {
        t->capacity = 2 * prefix + 16;
        t->states = realloc(t->states, t->capacity * sizeof *t->states);
        LAM_ASSERT(t->states);
    }
    while (t->count < prefix)
        t->states[t->count++] = last;
    t->states[prefix] = set;
    t->count = prefix + 1;
}

void ew_ttl_truncate(struct world *w, size_t commits) {
    if (w->ttl.count > commits + 1)
        w->ttl.count = commits + 1;
}

void ew_ttl_free(struct world *w) {
    free(w->ttl.states);
    free(w->ttl.ids);
}

void ew_ttl_note_clock(struct world *w) {
    int64_t now = simfs_now_us(w->fs);
    for (uint32_t i = 0; i < w->ttl.id_count; i++) {
        struct ttl_row *r = &w->ttl.ids[i];
        r->low = now < r->low ? now : r->low;
        r->rise = now - r->low > r->rise ? now - r->low : r->rise;
    }
}

/* A row that is written now. */
static uint32_t new_id(struct world *w) {
    struct ttl *t = &w->ttl;
    if (t->id_count == t->id_capacity) {
        t->id_capacity = 2 * t->id_capacity + 64;
        t->ids = realloc(t->ids, t->id_capacity * sizeof *t->ids);
        LAM_ASSERT(t->ids);
    }
    if (t->id_count == 0)
        t->ids[t->id_count++] = (struct ttl_row){0}; /* 0 is no row */
    t->ids[t->id_count] = (struct ttl_row){.low = simfs_now_us(w->fs)};
    return t->id_count++;
}

static bool may_be_gone(const struct world *w, unsigned part, uint32_t id, int64_t now) {
    const struct ttl_row *r = &w->ttl.ids[id];
    int64_t rise = now - r->low > r->rise ? now - r->low : r->rise;
    return rise > (int64_t)ttl_seconds[part] * 1000000;
}

/* --- comparing ------------------------------------------------------------------------------- */

/* NULL: what was found is what there may be, at this time; else why not. */
static const char *misfit(const struct world *w, const struct ttl_rows *found,
                          const struct ttl_rows *want, int64_t now, bool is_copy) {
    static char text[200];
    for (unsigned p = 0; p < TTL_PARTS; p++) {
        if (found->exists[p] != want->exists[p]) {
            snprintf(text, sizeof text, "%s is%s there", names[p], found->exists[p] ? "" : " not");
            return text;
        }
        for (unsigned k = 0; k < TTL_KEYS; k++) {
            uint32_t f = found->ids[p][k], id = want->ids[p][k];
            bool gone = id && !is_copy && w->ttl.ids[id].gone;
            bool fits = f == 0 ? id == 0 || may_be_gone(w, p, id, now) : f == id && !gone;
            if (fits)
                continue;
            snprintf(text, sizeof text,
                     "key %u of %s: row %u was found, expected %u%s; the clock rose by %lld us, by "
                     "%lld now",
                     k, names[p], f, id, gone ? ", which had been gone" : "",
                     id ? (long long)w->ttl.ids[id].rise : 0,
                     id ? (long long)(now - w->ttl.ids[id].low) : 0);
            return text;
        }
    }
    return NULL;
}

bool ew_ttl_fits(const struct world *w, const struct ttl_rows *found, const struct ttl_rows *want,
                 int64_t now) {
    return !w->config.ttl || !misfit(w, found, want, now, false);
}

bool ew_ttl_check_copy(struct world *w, const struct ttl_rows *found, const struct ttl_rows *want,
                       int64_t now, const char *path) {
    const char *why = w->config.ttl ? misfit(w, found, want, now, true) : NULL;
    return !why || ew_fail(w, "ttl-copy", "%s: %s", path, why);
}

bool ew_ttl_find(struct world *w, const struct model_view *view, const struct ttl_rows *found,
                 size_t low, size_t high, size_t *prefix_out) {
    const struct model_hash *hashes = model_hashes(w->model);
    for (size_t i = high + 1; i-- > low;)
        if (model_hash_eq(view->hash, hashes[i]) &&
            ew_ttl_fits(w, found, rows_at(w, i), simfs_now_us(w->fs))) {
            *prefix_out = i;
            return true;
        }
    return false;
}

const char *ew_ttl_text(const struct world *w, const struct ttl_rows *found,
                        const struct ttl_rows *want, int64_t now) {
    const char *why = w->config.ttl ? misfit(w, found, want, now, false) : NULL;
    return why ? why : "its rows with a TTL are as they should";
}

/* What is not there any more, though it was written, must not come back. */
void ew_ttl_settle(struct world *w, const struct ttl_rows *found, size_t prefix) {
    const struct ttl_rows *want = rows_at(w, prefix);
    for (unsigned p = 0; p < TTL_PARTS; p++)
        for (unsigned k = 0; k < TTL_KEYS; k++)
            if (want->ids[p][k] && !found->ids[p][k]) {
                w->ttl.ids[want->ids[p][k]].gone = true;
                ew_reach(w, REACHED_TTL_EXPIRED);
            }
}

/* --- reading --------------------------------------------------------------------------------- */

static enum lam_code note_row(struct ttl_rows *out, unsigned part, unsigned key,
                              struct lam_slice value, struct lam_error *err) {
    uint8_t room[VALUE_ROOM];
    uint32_t id = value.size >= 4 ? get_le32(value.data) : 0;
    if (key >= TTL_KEYS || !slice_eq(value, value_of(id, room)))
        return ERR(err, LAM_CORRUPT, "key %u of %s holds %s, which nobody wrote", key, names[part],
                   model_text(value));
    out->ids[part][key] = id;
    return LAM_OK;
}

static enum lam_code scan_part(lam_db *db, lam_partition *p, const lam_snapshot *snapshot,
                               unsigned part, struct ttl_rows *out, struct lam_error *err) {
    struct lam_read_options o = {.snapshot = snapshot};
    lam_iter *it;
    enum lam_code rc = lam_iter_new(db, &o, p, &it, err);
    if (rc != LAM_OK)
        return rc;
    for (lam_iter_seek_first(it); rc == LAM_OK && lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_slice k = lam_iter_key(it);
        unsigned key = k.size == 5 ? (unsigned)(k.data[4] - '0') : TTL_KEYS;
        rc = note_row(out, part, key, lam_iter_value(it), err);
    }
    if (rc == LAM_OK)
        rc = lam_iter_status(it, err);
    lam_iter_free(it);
    return rc;
}

static enum lam_code get_part(lam_db *db, lam_partition *p, const lam_snapshot *snapshot,
                              unsigned part, struct ttl_rows *out, struct lam_error *err) {
    struct lam_read_options o = {.snapshot = snapshot};
    for (unsigned k = 0; k < TTL_KEYS; k++) {
        struct lam_value v = {0};
        char room[8];
        enum lam_code rc = lam_get(db, &o, p, key_of(k, room), &v, err);
        if (rc == LAM_OK)
            rc = note_row(out, part, k, v.bytes, err);
        lam_value_release(&v);
        if (rc != LAM_OK && rc != LAM_NOT_FOUND)
            return rc;
    }
    return LAM_OK;
}

enum lam_code ew_ttl_read(const struct world *w, lam_db *db, struct ttl_rows *out,
                          struct lam_error *err) {
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; w->config.ttl && i < TTL_PARTS; i++) {
        lam_partition *p;
        enum lam_code rc = lam_partition_open(db, names[i], &p, err);
        if (rc == LAM_NOT_FOUND)
            continue;
        out->exists[i] = rc == LAM_OK;
        if (rc == LAM_OK)
            rc = scan_part(db, p, NULL, i, out, err);
        if (out->exists[i])
            lam_partition_release(p);
        if (rc != LAM_OK)
            return rc;
    }
    return LAM_OK;
}

/* Through the world's handles. */
static enum lam_code read_held(struct world *w, const lam_snapshot *snapshot, bool by_get,
                               struct ttl_rows *out) {
    enum lam_code rc = LAM_OK;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < TTL_PARTS && rc == LAM_OK; i++) {
        lam_partition *p = w->ttl.handles[i];
        out->exists[i] = p;
        if (p)
            rc = by_get ? get_part(w->db, p, snapshot, i, out, &w->err)
                        : scan_part(w->db, p, snapshot, i, out, &w->err);
    }
    return rc;
}

/* --- snapshots ------------------------------------------------------------------------------- */

bool ew_ttl_snapshot(struct world *w, const lam_snapshot *snapshot, struct ttl_seen *seen) {
    seen->known = false;
    if (!w->config.ttl)
        return true;
    ew_call_begin(w, IN_STEP, STEP_SNAPSHOT);
    enum lam_code rc = read_held(w, snapshot, false, &seen->rows);
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "rows with a TTL of a snapshot");
    memcpy(seen->incarnations, w->ttl.incarnations, sizeof seen->incarnations);
    seen->known = true;
    const char *why = misfit(w, &seen->rows, rows_at(w, w->live), simfs_now_us(w->fs), false);
    return why ? ew_fail(w, "ttl-snapshot", "%s", why) : ew_call_end(w, LAM_OK, "ttl snapshot");
}

bool ew_ttl_snapshot_again(struct world *w, const lam_snapshot *snapshot,
                           const struct ttl_seen *seen) {
    struct ttl_rows found;
    if (!seen->known)
        return true;
    ew_call_begin(w, IN_STEP, STEP_SNAPSHOT);
    enum lam_code rc = read_held(w, snapshot, choose(w->choice, 2), &found);
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "rows with a TTL of a snapshot");
    for (unsigned p = 0; p < TTL_PARTS; p++) {
        if (!found.exists[p] || !seen->rows.exists[p] ||
            seen->incarnations[p] != w->ttl.incarnations[p])
            continue;
        for (unsigned k = 0; k < TTL_KEYS; k++) {
            uint32_t id = seen->rows.ids[p][k];
            if (id != found.ids[p][k])
                return ew_fail(w, "ttl-snapshot", "key %u of %s: row %u was seen, now %u", k,
                               names[p], id, found.ids[p][k]);
            if (id && may_be_gone(w, p, id, simfs_now_us(w->fs)))
                ew_reach(w, REACHED_TTL_HELD);
        }
    }
    return ew_call_end(w, LAM_OK, "ttl snapshot");
}

static bool look(struct world *w) {
    struct ttl_rows found;
    ew_call_begin(w, IN_STEP, STEP_TTL);
    enum lam_code rc = read_held(w, NULL, choose(w->choice, 2), &found);
    w->report->operations++;
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "rows with a TTL");
    int64_t now = simfs_now_us(w->fs);
    bool other = ew_ttl_fits(w, &found, rows_at(w, w->live2), now);
    if (!ew_ttl_fits(w, &found, rows_at(w, w->live), now) && !other)
        return ew_fail(w, "ttl", "%s", ew_ttl_text(w, &found, rows_at(w, w->live), now));
    if (!w->unknown)
        ew_ttl_settle(w, &found, w->live);
    const struct held_snapshot *h = &w->snapshots[choose(w->choice, WORLD_HELD)];
    return ew_call_end(w, LAM_OK, "rows with a TTL") &&
           (!h->snapshot || ew_ttl_snapshot_again(w, h->snapshot, &h->ttl));
}

/* --- changing -------------------------------------------------------------------------------- */

/* Plans that the partition is there without rows, or not, by the call that begins. */
static void plan_empty(struct world *w, unsigned part, bool exists) {
    struct ttl_rows rows = *rows_at(w, w->live);
    ew_say(w, "  %s %s", exists ? "create" : "drop", names[part]);
    rows.exists[part] = exists;
    memset(rows.ids[part], 0, sizeof rows.ids[part]);
    model_begin(w->model);
    model_end(w->model);
    set_rows(w, &rows);
    ew_call_begin(w, IN_STEP, STEP_TTL);
}

static bool create(struct world *w, unsigned part) {
    struct lam_partition_options o = {.ttl_seconds = ttl_seconds[part]};
    lam_partition *p = NULL;
    plan_empty(w, part, true);
    enum lam_code rc = lam_partition_create(w->db, names[part], &o, &p, &w->err);
    if (rc == LAM_OK)
        w->ttl.handles[part] = p;
    return ew_conclude(w, rc, true, "create ttl");
}

static bool drop(struct world *w, unsigned part) {
    plan_empty(w, part, false);
    enum lam_code rc = lam_partition_drop(w->db, w->ttl.handles[part], &w->err);
    if (rc == LAM_OK) {
        lam_partition_release(w->ttl.handles[part]);
        w->ttl.handles[part] = NULL;
        w->ttl.incarnations[part]++;
    }
    return ew_conclude(w, rc, true, "drop ttl");
}

/* Changes a row or a range of them, and plans it. */
static enum lam_code add_op(struct world *w, lam_batch *b, unsigned part, struct ttl_rows *rows) {
    unsigned how = choose(w->choice, 8), key = choose(w->choice, TTL_KEYS);
    lam_partition *p = w->ttl.handles[part];
    uint32_t *ids = rows->ids[part];
    char room[8], end[8];
    uint8_t value[VALUE_ROOM];
    if (how < 6) {
        ids[key] = new_id(w);
        ew_say(w, "    put row %u as key %u", ids[key], key);
        return lam_batch_put(b, p, key_of(key, room), value_of(ids[key], value), &w->err);
    }
    ids[key] = 0;
    ew_say(w, "    delete key %u%s", key, how == 6 ? "" : " and those behind it");
    if (how == 6)
        return lam_batch_delete(b, p, key_of(key, room), &w->err);
    unsigned to = key + 1 + choose(w->choice, TTL_KEYS - key);
    for (unsigned k = key; k < to; k++)
        ids[k] = 0;
    w->range_in_memory = true;
    return lam_batch_delete_range(b, p, key_of(key, room), key_of(to, end), LAM_SEQUENCE_MAX,
                                  &w->err);
}

/* With a row of an ordinary partition, by which it is known whether the batch is there. */
static bool write(struct world *w, unsigned part, unsigned beside) {
    bool sync = choose(w->choice, 8) >= 8 - w->config.sync_of_8;
    struct lam_write_options o = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    struct ttl_rows rows = *rows_at(w, w->live);
    unsigned count = 1 + choose(w->choice, 4), key = choose(w->choice, w->config.keys);
    lam_batch *b;
    enum lam_code rc = lam_batch_new(w->db, &b, &w->err);
    if (rc != LAM_OK)
        return ew_fail(w, "batch", "%s: %s", lam_code_name(rc), w->err.message);
    bool marked = ew_is_writable(w, beside);
    ew_say(w, "  batch into %s%s", names[part], sync ? ", sync" : "");
    model_begin(w->model);
    if (marked) {
        struct lam_slice value = ew_value(w, 40);
        model_put(w->model, beside, ew_key(w, key), value, w->sequence + 1);
        rc = lam_batch_put(b, w->handles[beside], ew_key(w, key), value, &w->err);
    }
    for (unsigned i = 0; i < count && rc == LAM_OK; i++)
        rc = add_op(w, b, part, &rows);
    model_end(w->model);
    set_rows(w, &rows);
    uint64_t sequence = 0;
    ew_call_begin(w, IN_STEP, STEP_TTL);
    w->writes_waiting++;
    if (rc == LAM_OK)
        rc = lam_write(w->db, &o, b, &sequence, &w->err);
    lam_batch_free(b);
    if (rc == LAM_OK) {
        w->sequence += count + marked;
        if (marked)
            ew_txn_touch(w, beside, ew_key(w, key), NULL);
        if (sequence != w->sequence)
            return ew_fail(w, "sequence", "a batch ends at sequence %llu, expected %llu",
                           (unsigned long long)sequence, (unsigned long long)w->sequence);
    }
    return ew_conclude(w, rc, sync, "ttl batch");
}

static void move_clock(struct world *w, unsigned part, int64_t quarters) {
    int64_t us = quarters * (int64_t)ttl_seconds[part] * 250000;
    ew_say(w, "  the clock steps by %lld us", (long long)us);
    ew_ttl_note_clock(w);
    simfs_advance_us(w->fs, us);
    ew_ttl_note_clock(w);
    if (us < 0 && w->ttl.id_count > 0)
        ew_reach(w, REACHED_TTL_CLOCK_BACK);
}

static void step_clock(struct world *w, unsigned part) {
    static const int64_t quarters[] = {1, 2, 5, 5, 12, -1, -2, -5};
    move_clock(w, part, quarters[choose(w->choice, 8)]);
}

static bool ingest(struct world *w, unsigned part) {
    struct ttl_rows rows = *rows_at(w, w->live);
    lam_ingest *g = NULL;
    unsigned count = 0;
    ew_say(w, "  ingest into %s", names[part]);
    ew_call_begin(w, IN_STEP, STEP_TTL);
    enum lam_code rc = lam_ingest_new(w->db, w->ttl.handles[part], &g, &w->err);
    if (rc != LAM_OK)
        return ew_call_end(w, rc, "ttl ingest") && ew_drain(w);
    for (unsigned k = choose(w->choice, TTL_KEYS); k < TTL_KEYS && rc == LAM_OK; k++) {
        char room[8];
        uint8_t value[VALUE_ROOM];
        if (choose_one_in(w->choice, 6))
            step_clock(w, part);
        if (choose(w->choice, 2))
            continue;
        rows.ids[part][k] = new_id(w);
        count++;
        rc = lam_ingest_put(g, key_of(k, room), value_of(rows.ids[part][k], value), &w->err);
    }
    if (rc != LAM_OK || count == 0) {
        lam_ingest_abort(g);
        return ew_call_end(w, rc, "ttl ingest") && ew_drain(w);
    }
    uint64_t sequence = 0;
    model_begin(w->model);
    model_end(w->model);
    set_rows(w, &rows);
    ew_call_begin(w, IN_STEP, STEP_TTL);
    w->writes_waiting++;
    rc = lam_ingest_finish(g, &sequence, &w->err);
    if (rc == LAM_OK)
        ew_reach(w, REACHED_TTL_INGESTED);
    return ew_bulk_note_sequence(w, rc, sequence) && ew_conclude(w, rc, true, "ttl ingest");
}

/* Files of many ages, merged with each other, each going when its time has come. */
static bool age(struct world *w, unsigned part, unsigned beside) {
    unsigned n = 4 + choose(w->choice, 12);
    bool ok = true;
    for (unsigned i = 0; i < n && ok && !w->chosen && !w->unknown; i++) {
        unsigned what = choose(w->choice, 8);
        if (what < 2)
            ok = write(w, part, beside) && (w->chosen || ew_ops_make_room(w));
        else if (what < 4)
            ok = ew_ops_upkeep(w, STEP_DUMP);
        else if (what < 5)
            ok = ew_ops_upkeep(w, STEP_COMPACT);
        else if (what < 7)
            move_clock(w, part, 1 + choose(w->choice, 2));
        else
            ok = look(w);
    }
    return ok;
}

/* Files come of age while a snapshot shows their rows, and work that would drop them is done. */
static bool age_under_snapshot(struct world *w, unsigned part) {
    struct step s = {.slot = choose(w->choice, WORLD_HELD), .what = 1};
    const struct held_snapshot *h = &w->snapshots[s.slot];
    if (!h->snapshot && !ew_read_snapshot(w, &s))
        return false;
    move_clock(w, part, 5);
    bool ok = ew_ops_upkeep(w, STEP_DUMP);
    if (ok && !w->chosen && !w->unknown)
        ok = ew_ops_upkeep(w, STEP_COMPACT);
    if (!ok || w->chosen || !h->snapshot)
        return ok;
    return ew_ttl_snapshot_again(w, h->snapshot, &h->ttl);
}

bool ew_ttl_open(struct world *w) {
    for (unsigned i = 0; i < TTL_PARTS; i++) {
        if (!rows_at(w, w->live)->exists[i])
            continue;
        enum lam_code rc = lam_partition_open(w->db, names[i], &w->ttl.handles[i], &w->err);
        if (rc != LAM_OK)
            return ew_fail(w, "partition-open", "%s: %s", lam_code_name(rc), w->err.message);
    }
    return true;
}

void ew_ttl_release(struct world *w) {
    for (unsigned i = 0; i < TTL_PARTS; i++) {
        lam_partition_release(w->ttl.handles[i]);
        w->ttl.handles[i] = NULL;
    }
}

bool ew_ttl_step(struct world *w, const struct step *s) {
    unsigned part = s->slot % TTL_PARTS, what = s->what % 16;
    if (w->read_only || w->unknown || what >= 12)
        return look(w);
    if (!w->ttl.handles[part])
        return create(w, part);
    if (what < 5)
        return write(w, part, s->partition);
    if (what < 7)
        return ingest(w, part);
    if (what < 9)
        return age(w, part, s->partition);
    if (what == 9)
        return age_under_snapshot(w, part);
    if (what == 11 && s->key == 0)
        return drop(w, part);
    step_clock(w, part);
    return look(w);
}
