/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that read. Each result is compared with the model at the prefix it belongs to. After a
 * commit of unknown outcome readers may see it or not, but all of it. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

static bool same(struct lam_slice a, struct lam_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool ew_read_failed(struct world *w, enum lam_code rc, const char *what) {
    if (!ew_call_end(w, LAM_OK, what))
        return false;
    ew_say(w, "    %s: %s: %s", what, lam_code_name(rc), w->err.message);
    bool shortened = w->fault.effect == SIMFS_SHORT;
    if (ew_call_fired(w) &&
        (rc == LAM_IO || rc == LAM_NO_SPACE || (rc == LAM_CORRUPT && shortened))) {
        ew_reach(w, REACHED_READ_FAILED);
        return true;
    }
    return ew_fail(w, "read-error", "%s: %s: %s", what, lam_code_name(rc), w->err.message);
}

size_t ew_seen_at(const struct world *w, size_t prefix, unsigned partition) {
    size_t born = model_born(w->model, w->live, partition);
    return born > prefix ? born : prefix;
}

/* --- gets ------------------------------------------------------------------------------------ */

static bool get_matches(const struct world *w, size_t prefix, unsigned partition,
                        struct lam_slice key, enum lam_code rc, struct lam_slice got) {
    struct lam_slice want;
    bool there = model_get(w->model, prefix, partition, key, &want);
    return there ? rc == LAM_OK && same(got, want) : rc == LAM_NOT_FOUND;
}

/* Every second key is read in place. */
static bool check_get(struct world *w, const struct lam_read_options *o, size_t a, size_t b,
                      unsigned partition, unsigned index) {
    struct lam_value v = {0};
    struct lam_pinned pinned = {0};
    struct lam_slice key = ew_key(w, index);
    bool in_place = index % 2;
    ew_call_begin(w, IN_STEP, STEP_GET);
    enum lam_code rc = in_place
                           ? lam_get_pinned(w->db, o, w->handles[partition], key, &pinned, &w->err)
                           : lam_get(w->db, o, w->handles[partition], key, &v, &w->err);
    struct lam_slice got = in_place ? pinned.bytes : v.bytes;
    w->report->operations++;
    bool ok = true;
    if (rc != LAM_OK && rc != LAM_NOT_FOUND)
        ok = ew_read_failed(w, rc, "get");
    else if (!get_matches(w, a, partition, key, rc, got) &&
             !get_matches(w, b, partition, key, rc, got)) {
        struct lam_slice want;
        bool there = model_get(w->model, a, partition, key, &want);
        ok = ew_fail(w, "get", "partition %u key %s at %zu: got %s, expected %s", partition,
                     model_text(key), a, rc == LAM_OK ? model_text(got) : "nothing",
                     there ? model_text(want) : "nothing");
    } else {
        ok = ew_call_end(w, LAM_OK, "get");
    }
    lam_value_release(&v);
    lam_pinned_release(&pinned);
    return ok;
}

bool ew_read_get(struct world *w, unsigned partition, unsigned key, unsigned slot) {
    if (slot < WORLD_HELD && w->snapshots[slot].snapshot) {
        const struct held_snapshot *h = &w->snapshots[slot];
        if (!w->handles[partition])
            return true;
        struct lam_read_options o = {.snapshot = h->snapshot};
        size_t prefix = ew_seen_at(w, h->prefix, partition);
        return check_get(w, &o, prefix, prefix, partition, key);
    }
    if (!w->handles[partition])
        return true;
    return check_get(w, NULL, w->live, w->live2, partition, key);
}

#define MULTI_MAX 12u

bool ew_read_multi_get(struct world *w, const struct step *s) {
    const struct held_snapshot *h = &w->snapshots[s->slot];
    struct lam_slice keys[MULTI_MAX];
    struct lam_value values[MULTI_MAX];
    enum lam_code codes[MULTI_MAX];
    unsigned count = s->what % (MULTI_MAX + 1);
    if (!w->handles[s->partition])
        return true;
    struct lam_read_options o = {.snapshot = h->snapshot};
    size_t a = h->snapshot ? ew_seen_at(w, h->prefix, s->partition) : w->live;
    size_t b = h->snapshot ? a : w->live2;
    memset(values, 0, sizeof values);
    for (unsigned i = 0; i < count; i++)
        keys[i] = ew_key(w, (s->key + choose(w->choice, 8)) % w->config.keys);
    ew_call_begin(w, IN_STEP, STEP_MULTI_GET);
    enum lam_code rc =
        lam_multi_get(w->db, &o, w->handles[s->partition], keys, count, values, codes, &w->err);
    unsigned as_a = 0, as_b = 0;
    for (unsigned i = 0; i < count && rc == LAM_OK; i++) {
        as_a += get_matches(w, a, s->partition, keys[i], codes[i], values[i].bytes);
        as_b += get_matches(w, b, s->partition, keys[i], codes[i], values[i].bytes);
    }
    for (unsigned i = 0; i < count; i++)
        lam_value_release(&values[i]);
    w->report->operations++;
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "multi_get");
    if (as_a != count && as_b != count)
        return ew_fail(w, "multi-get", "of %u keys of partition %u %u are those of %zu", count,
                       s->partition, as_a, a);
    ew_reach(w, REACHED_MULTI_GET);
    return ew_call_end(w, LAM_OK, "multi_get");
}

/* --- scans ----------------------------------------------------------------------------------- */

struct scan {
    unsigned partition;
    size_t prefix;
    const struct lam_snapshot *snapshot;
    struct lam_slice lower, upper, start;
    bool by_prefix; /* `lower` is a prefix of all keys wanted */
    unsigned how;   /* where to begin */
    unsigned moves; /* how many, with a turn in the middle */
    bool keys_only;
};

static bool in_bounds(const struct scan *s, struct lam_slice key) {
    if (s->by_prefix)
        return key.size >= s->lower.size &&
               (s->lower.size == 0 || memcmp(key.data, s->lower.data, s->lower.size) == 0);
    return (s->lower.size == 0 || slice_cmp(key, s->lower) >= 0) &&
           (s->upper.size == 0 || slice_cmp(key, s->upper) < 0);
}

/* The cursor within the bounds, looking in the given direction; keys are in order. */
static void confine(struct model_cursor *c, const struct scan *s, bool forward) {
    while (c->valid && !in_bounds(s, c->key)) {
        if (forward)
            model_cursor_next(c);
        else
            model_cursor_prev(c);
    }
}

static void place(lam_iter *it, struct model_cursor *c, const struct scan *s) {
    switch (s->how) {
    case 0:
        lam_iter_seek_first(it);
        model_cursor_first(c);
        confine(c, s, true);
        break;
    case 1:
        lam_iter_seek_last(it);
        model_cursor_last(c);
        confine(c, s, false);
        break;
    case 2:
        lam_iter_seek(it, s->start);
        model_cursor_seek(c, s->start);
        confine(c, s, true);
        break;
    default:
        lam_iter_seek_for_prev(it, s->start);
        model_cursor_seek_for_prev(c, s->start);
        confine(c, s, false);
        break;
    }
}

static void move(lam_iter *it, struct model_cursor *c, const struct scan *s, bool forward) {
    if (forward) {
        lam_iter_next(it);
        model_cursor_next(c);
    } else {
        lam_iter_prev(it);
        model_cursor_prev(c);
    }
    if (c->valid && !in_bounds(s, c->key))
        c->valid = false;
}

enum outcome { SAME, OTHER, FAILED };

/* Whether both stand at the same row. */
static enum outcome compare(struct world *w, lam_iter *it, const struct model_cursor *c,
                            bool keys_only, char *text, size_t room) {
    enum lam_code rc = lam_iter_status(it, &w->err);
    if (rc != LAM_OK)
        return FAILED;
    bool valid = lam_iter_valid(it);
    if (valid == c->valid && (!valid || (same(lam_iter_key(it), c->key) &&
                                         (keys_only || same(lam_iter_value(it), c->value)))))
        return SAME;
    snprintf(text, room, "stands at %s = %s, expected %s = %s",
             valid ? model_text(lam_iter_key(it)) : "no row",
             valid ? model_text(lam_iter_value(it)) : "", c->valid ? model_text(c->key) : "no row",
             c->valid ? model_text(c->value) : "");
    return OTHER;
}

static enum outcome walk(struct world *w, lam_iter *it, const struct scan *s, char *text,
                         size_t room) {
    struct model_cursor c;
    bool forward = s->how % 2 == 0;
    model_cursor_init(&c, w->model, s->prefix, s->partition);
    place(it, &c, s);
    for (unsigned i = 0; i < s->moves; i++) {
        enum outcome o = compare(w, it, &c, s->keys_only, text, room);
        if (o != SAME || !c.valid)
            return o;
        if (i % 7 == 4)
            forward = !forward;
        move(it, &c, s, forward);
    }
    return compare(w, it, &c, s->keys_only, text, room);
}

static bool run_scan(struct world *w, struct scan *s, size_t other) {
    struct lam_read_options o = {.snapshot = s->snapshot, .keys_only = s->keys_only};
    if (s->by_prefix)
        o.prefix = s->lower;
    else {
        o.lower = s->lower;
        o.upper = s->upper;
    }
    char text[400] = "";
    lam_iter *it;
    ew_call_begin(w, IN_STEP, STEP_SCAN);
    enum lam_code rc = lam_iter_new(w->db, &o, w->handles[s->partition], &it, &w->err);
    if (rc != LAM_OK)
        return ew_read_failed(w, rc, "iterator");
    enum outcome found = walk(w, it, s, text, sizeof text);
    if (found == OTHER && other != s->prefix) {
        s->prefix = other;
        found = walk(w, it, s, text, sizeof text);
    }
    rc = lam_iter_status(it, &w->err);
    lam_iter_free(it);
    w->report->operations++;
    if (found == FAILED)
        return ew_read_failed(w, rc, "scan");
    if (found == OTHER)
        return ew_fail(w, "scan", "partition %u at %zu, begun by %u: %s", s->partition, s->prefix,
                       s->how, text);
    return ew_call_end(w, LAM_OK, "scan");
}

bool ew_read_scan(struct world *w, const struct step *step) {
    struct scan s = {.partition = step->partition, .prefix = w->live, .how = step->what % 4};
    size_t other = w->live2;
    if (!w->handles[s.partition])
        return true;
    const struct held_snapshot *h = &w->snapshots[step->slot];
    if (h->snapshot && step->what & 4) {
        s.snapshot = h->snapshot;
        s.prefix = other = ew_seen_at(w, h->prefix, s.partition);
    }
    struct lam_slice a = ew_key(w, step->key), b = ew_key(w, (step->key + 3) % w->config.keys);
    s.start = ew_key(w, (step->key + step->what) % w->config.keys);
    if (step->what & 8)
        s.lower = slice_cmp(a, b) < 0 ? a : b;
    if (step->what & 16)
        s.upper = slice_cmp(a, b) < 0 ? b : a;
    if ((step->what & 24) == 24 && step->key % 2) {
        s.by_prefix = true;
        s.lower = lam_slice_of(a.data, 1 + a.size / 2);
    }
    s.keys_only = step->what & 32;
    s.moves = 4 + step->what * 2;
    return run_scan(w, &s, other);
}

/* --- snapshots and iterators that are held --------------------------------------------------- */

bool ew_read_snapshot(struct world *w, const struct step *s) {
    struct held_snapshot *h = &w->snapshots[s->slot];
    struct lam_stats stats;
    lam_db_stats(w->db, &stats);
    if (!h->snapshot) {
        if (w->unknown)
            return true;
        enum lam_code rc = lam_snapshot_new(w->db, &h->snapshot, &w->err);
        if (rc != LAM_OK)
            return ew_fail(w, "snapshot", "%s: %s", lam_code_name(rc), w->err.message);
        h->prefix = w->live;
        h->compactions = stats.compactions;
        ew_say(w, "  snapshot %u at %zu", s->slot, h->prefix);
        if (lam_snapshot_sequence(h->snapshot) != w->sequence)
            return ew_fail(w, "snapshot", "its sequence is %llu, the newest is %llu",
                           (unsigned long long)lam_snapshot_sequence(h->snapshot),
                           (unsigned long long)w->sequence);
        return ew_ttl_snapshot(w, h->snapshot, &h->ttl);
    }
    if (s->what % 3 == 0) {
        ew_say(w, "  snapshot %u freed", s->slot);
        lam_snapshot_free(h->snapshot);
        h->snapshot = NULL;
        return true;
    }
    if (stats.compactions > h->compactions)
        ew_reach(w, REACHED_SNAPSHOT_OVER_COMPACTION);
    for (unsigned p = 0; p < w->config.partitions; p++) {
        if (!w->handles[p])
            continue;
        struct scan all = {.partition = p,
                           .prefix = ew_seen_at(w, h->prefix, p),
                           .snapshot = h->snapshot,
                           .how = s->what % 2,
                           .moves = 100000};
        if (!run_scan(w, &all, all.prefix))
            return false;
    }
    return ew_ttl_snapshot_again(w, h->snapshot, &h->ttl);
}

static bool make_iterator(struct world *w, struct held_iterator *h, const struct step *s) {
    struct lam_stats stats;
    if (!w->handles[s->partition] || w->unknown)
        return true;
    ew_call_begin(w, IN_STEP, STEP_ITERATOR);
    enum lam_code rc = lam_iter_new(w->db, NULL, w->handles[s->partition], &h->iter, &w->err);
    if (rc != LAM_OK) {
        h->iter = NULL;
        return ew_read_failed(w, rc, "iterator");
    }
    lam_db_stats(w->db, &stats);
    ew_say(w, "  iterator %u on %u at %zu", s->slot, s->partition, w->live);
    h->partition = s->partition;
    h->dumps = stats.dumps;
    h->compactions = stats.compactions;
    h->dropped = h->placed = false;
    model_cursor_init(&h->cursor, w->model, w->live, s->partition);
    return ew_call_end(w, LAM_OK, "iterator");
}

static bool move_iterator(struct world *w, struct held_iterator *h, const struct step *s) {
    struct scan whole = {.partition = h->partition, .how = s->what % 4};
    struct lam_stats stats;
    lam_db_stats(w->db, &stats);
    whole.start = ew_key(w, s->key);
    char text[400] = "";
    ew_call_begin(w, IN_STEP, STEP_ITERATOR);
    if (!h->placed || s->what % 5 == 0)
        place(h->iter, &h->cursor, &whole);
    h->placed = true;
    enum outcome o = compare(w, h->iter, &h->cursor, false, text, sizeof text);
    for (unsigned i = 0; i < s->what && o == SAME && h->cursor.valid; i++) {
        move(h->iter, &h->cursor, &whole, (s->what / 8 + i / 5) % 2 == 0);
        o = compare(w, h->iter, &h->cursor, false, text, sizeof text);
    }
    w->report->operations++;
    if (!h->cursor.valid || o != SAME)
        h->placed = false;
    if (o == FAILED)
        return ew_read_failed(w, lam_iter_status(h->iter, &w->err), "held iterator");
    if (o == OTHER)
        return ew_fail(w, "iterator", "partition %u at %zu: %s", h->partition, h->cursor.prefix,
                       text);
    if (stats.dumps > h->dumps)
        ew_reach(w, REACHED_ITER_OVER_DUMP);
    if (stats.compactions > h->compactions)
        ew_reach(w, REACHED_ITER_OVER_COMPACTION);
    if (h->dropped)
        ew_reach(w, REACHED_ITER_OVER_DROP);
    return ew_call_end(w, LAM_OK, "held iterator");
}

bool ew_read_iterator(struct world *w, const struct step *s) {
    struct held_iterator *h = &w->iterators[s->slot];
    if (!h->iter)
        return make_iterator(w, h, s);
    if (s->what % 8 == 7) {
        ew_say(w, "  iterator %u freed", s->slot);
        lam_iter_free(h->iter);
        h->iter = NULL;
        return true;
    }
    if (s->what % 16 == 6 && (!ew_ops_drop(w, h->partition) || w->chosen))
        return !ew_failed(w);
    return move_iterator(w, h, s);
}

void ew_read_free_held(struct world *w) {
    for (unsigned i = 0; i < WORLD_HELD; i++) {
        lam_iter_free(w->iterators[i].iter);
        lam_snapshot_free(w->snapshots[i].snapshot);
        w->iterators[i].iter = NULL;
        w->snapshots[i].snapshot = NULL;
    }
    ew_txn_free_held(w);
    ew_bulk_free_held(w);
}

/* --- whole states ---------------------------------------------------------------------------- */

struct names {
    struct model_view *view;
    unsigned list[MODEL_PARTITIONS];
    unsigned count;
    bool unknown;
};

static bool note_name(void *arg, const char *name) {
    struct names *n = arg;
    unsigned p = ew_partition_number(name);
    if (ew_ttl_is_name(name))
        return true;
    if (p == MODEL_PARTITIONS || n->count == MODEL_PARTITIONS) {
        n->unknown = true;
        return false;
    }
    n->list[n->count++] = p;
    model_view_partition(n->view, p);
    return true;
}

static enum lam_code scan_partition(lam_db *db, unsigned number, struct model_view *view,
                                    struct lam_error *err) {
    lam_partition *p;
    lam_iter *it = NULL;
    uint8_t last[1200];
    size_t last_size = 0;
    enum lam_code rc = lam_partition_open(db, ew_partition_name(number), &p, err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_iter_new(db, NULL, p, &it, err);
    if (rc == LAM_OK) {
        for (lam_iter_seek_first(it); lam_iter_valid(it); lam_iter_next(it)) {
            struct lam_slice k = lam_iter_key(it);
            LAM_ASSERT(k.size <= sizeof last);
            if (last_size > 0 && slice_cmp(lam_slice_of(last, last_size), k) >= 0) {
                rc = ERR(err, LAM_CORRUPT, "key %s does not come after %s", model_text(k),
                         model_text(lam_slice_of(last, last_size)));
                break;
            }
            memcpy(last, k.data, k.size);
            last_size = k.size;
            model_view_row(view, number, k, lam_iter_value(it));
        }
        if (rc == LAM_OK)
            rc = lam_iter_status(it, err);
        lam_iter_free(it);
    }
    lam_partition_release(p);
    return rc;
}

enum lam_code ew_scan_database(lam_db *db, struct model_view *view, struct lam_error *err) {
    struct names n = {.view = view};
    enum lam_code rc = lam_partition_list(db, note_name, &n, err);
    if (rc == LAM_OK && n.unknown)
        rc = ERR(err, LAM_CORRUPT, "there is a partition that nobody made");
    for (unsigned i = 0; i < n.count && rc == LAM_OK; i++)
        rc = scan_partition(db, n.list[i], view, err);
    return rc;
}

void ew_report_state(struct world *w, lam_db *db, const struct model *m, size_t low, size_t high,
                     const char *when) {
    struct model_view view;
    struct lam_error err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    LAM_ASSERT(out);
    model_view_init(&view, true);
    enum lam_code rc = ew_scan_database(db, &view, &err);
    if (rc != LAM_OK) {
        fprintf(out, "  %s: %s\n", lam_code_name(rc), err.message);
    } else {
        size_t nearest = model_nearest(m, &view, low, high);
        fprintf(out, "the nearest is %zu:\n", nearest);
        model_diff(m, nearest, &view, out);
        struct ttl_rows ttl;
        rc = ew_ttl_read(w, db, &ttl, &err);
        fprintf(out, "  %s\n",
                rc == LAM_OK ? ew_ttl_text(w, &ttl, ew_ttl_rows(w, nearest), simfs_now_us(w->fs))
                             : err.message);
        size_t all = model_nearest(m, &view, 0, model_commits(m));
        if (model_diff(m, all, &view, NULL) == 0)
            fprintf(out, "  (it is state %zu)\n", all);
    }
    fclose(out);
    model_view_fini(&view);
    ew_fail(w, "state", "%s: no state between %zu and %zu; %s", when, low, high, text);
    free(text);
}

bool ew_read_verify(struct world *w) {
    struct model_view view;
    struct ttl_rows ttl;
    size_t prefix;
    ew_say(w, "  verify");
    if (w->armed || w->quota_on)
        ew_faults_off(w);
    model_view_init(&view, false);
    ew_call_begin(w, IN_STEP, STEP_VERIFY);
    enum lam_code rc = ew_scan_database(w->db, &view, &w->err);
    if (rc == LAM_OK)
        rc = ew_ttl_read(w, w->db, &ttl, &w->err);
    bool found = rc == LAM_OK && ew_ttl_find(w, &view, &ttl, w->live, w->live2, &prefix);
    model_view_fini(&view);
    w->report->operations++;
    if (rc != LAM_OK)
        return ew_fail(w, "scan", "%s: %s", lam_code_name(rc), w->err.message);
    if (!found) {
        ew_report_state(w, w->db, w->model, w->live, w->live2, "the running database");
        return false;
    }
    if (!w->unknown)
        prefix = w->live;
    ew_ttl_settle(w, &ttl, prefix);
    w->live = w->live2 = prefix;
    return ew_call_end(w, LAM_OK, "verify");
}
