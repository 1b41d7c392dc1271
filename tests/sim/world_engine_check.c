/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking an image: it opens, holds one of the states it may hold, nothing else lies in its
 * directory, it takes writes, and a crash in the middle of all that leaves the same state again.
 * The image's own crashes are checked in the same way, WORLD_DEPTH deep. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/world_engine_impl.h"

#define PROBE_WRITES 4u

struct probe {
    struct world *w;
    struct image *image;
    struct simfs *fs;
    struct choice *c;
    lam_db *db;
    struct lam_error err;
    struct taker taker;
    struct queue nested;
    bool top;               /* its states are the model's */
    struct model_view view; /* what the open showed */
    struct ttl_rows ttl;    /* the same, rows with a TTL */
    bool has_ttl;
    const char *misfit; /* NULL, or what is wrong with them where all else is right */
    /* State 0 is what the open showed, then one a write. */
    struct model_hash hashes[PROBE_WRITES + 2];
    size_t acked, synced, high;
    uint64_t sequence;
};

/* --- the directory --------------------------------------------------------------------------- */

void ew_listing_take(struct listing *l, const struct simfs *fs) {
    memset(l, 0, sizeof *l);
    size_t n = simfs_file_count(fs);
    for (size_t i = 0; i < n; i++) {
        const char *path = simfs_file_path(fs, i);
        if (!ew_is_database_path(path))
            continue;
        const char *name = strrchr(path, '/');
        name = name ? name + 1 : path;
        size_t length = strlen(name);
        const char *end = length > 4 ? name + length - 4 : name;
        if (strcmp(end, ".tmp") == 0)
            l->temporaries++;
        else if (strcmp(end, ".sst") == 0)
            l->ssts++;
        else if (strcmp(end, ".wal") == 0)
            l->wals++;
        else if (strncmp(name, "MANIFEST-", 9) == 0)
            l->manifests++;
        else if (strcmp(name, "ROOT") == 0)
            l->root = true;
        else if (strcmp(name, "LOCK") != 0)
            l->others++;
        if (l->count < sizeof l->names / sizeof l->names[0])
            snprintf(l->names[l->count++].name, sizeof l->names[0].name, "%s", name);
    }
}

bool ew_listing_has(const struct listing *l, const char *name) {
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->names[i].name, name) == 0)
            return true;
    return false;
}

static bool is_sst(const char *name) {
    return strstr(name, ".sst") != NULL;
}

bool ew_listing_check_open(struct world *w, const struct listing *before, const struct simfs *fs,
                           lam_db *db, bool was_clean) {
    struct listing now;
    struct lam_stats s;
    ew_listing_take(&now, fs);
    lam_db_stats(db, &s);
    for (size_t i = 0; i < before->count; i++) {
        const char *name = before->names[i].name;
        bool same = strcmp(name, "ROOT") == 0 || strcmp(name, "LOCK") == 0 ||
                    (!before->root && strcmp(name, "MANIFEST-000001") == 0);
        /* R6: nothing of an earlier session is appended to, so it is not needed. */
        if (!same && !is_sst(name) && ew_listing_has(&now, name))
            return ew_fail(w, "orphan", "%s is still there after an open", name);
        if (was_clean && is_sst(name) && !ew_listing_has(&now, name))
            return ew_fail(w, "orphan", "a clean close left %s, which the next open removed", name);
    }
    if (now.ssts != s.sst_files || now.manifests != 1 || now.temporaries != 0 || now.others != 0 ||
        !now.root)
        return ew_fail(w, "orphan",
                       "after an open: %zu SST files of %llu, %zu manifests, %zu temporary files, "
                       "%zu others",
                       now.ssts, (unsigned long long)s.sst_files, now.manifests, now.temporaries,
                       now.others);
    return true;
}

/* --- opening --------------------------------------------------------------------------------- */

static void set_bounds(struct probe *p, enum place place) {
    struct taker *t = &p->taker;
    t->place = place;
    t->kill_low = p->acked;
    t->power_low = p->synced;
    t->high = p->high;
    t->sequence = p->sequence;
}

static void observe(struct probe *p) {
    struct taker *t = &p->taker;
    *t = (struct taker){.w = p->w,
                        .fs = p->fs,
                        .choice = p->c,
                        .queue = &p->nested,
                        .depth = p->image->depth + 1,
                        .step = p->image->step,
                        .exists = p->image->exists,
                        .limit = 5};
    if (t->depth >= WORLD_DEPTH)
        return;
    t->one_in = p->w->config.nested_one_in << p->image->depth;
    simfs_observe(p->fs, ew_taker_observe, t);
}

static enum lam_code open_probe(struct probe *p, bool read_only) {
    struct lam_options options;
    struct db_tuning tuning;
    ew_draw_open(p->c, &p->w->config, &options, &tuning);
    options.env = simfs_env(p->fs);
    options.manual_background = true;
    options.read_only = read_only;
    options.must_exist = p->taker.exists;
    sim_tuning_set(&tuning);
    return lam_db_open(WORLD_DIR, &options, &p->db, &p->err);
}

static bool close_probe(struct probe *p, const char *what) {
    enum lam_code rc = lam_db_close(p->db, &p->err);
    p->db = NULL;
    if (rc != LAM_OK)
        return ew_fail(p->w, "close", "%s: %s: %s", what, lam_code_name(rc), p->err.message);
    if (simfs_open_handles(p->fs) != 0)
        return ew_fail(p->w, "leak", "%s: %zu files or locks are open after it", what,
                       simfs_open_handles(p->fs));
    return true;
}

/* What one open showed to be gone another does not show. */
static bool keep_ttl(struct probe *p, const struct ttl_rows *ttl, int64_t now) {
    if (p->has_ttl && !ew_ttl_fits(p->w, ttl, &p->ttl, now))
        return ew_fail(p->w, "ttl", "an image opened again has other rows with a TTL");
    p->ttl = *ttl;
    p->has_ttl = true;
    return true;
}

/* Which state the open database holds. */
static bool find_state(struct probe *p, const struct model_hash *hashes, size_t low, size_t high,
                       size_t *found) {
    model_view_fini(&p->view);
    model_view_init(&p->view, false);
    enum lam_code rc = ew_scan_database(p->db, &p->view, &p->err);
    struct ttl_rows ttl;
    if (rc == LAM_OK)
        rc = ew_ttl_read(p->w, p->db, &ttl, &p->err);
    if (rc != LAM_OK)
        return ew_fail(p->w, "scan", "%s: %s", lam_code_name(rc), p->err.message);
    int64_t now = simfs_now_us(p->fs);
    for (size_t i = high + 1; i-- > low;) {
        const struct ttl_rows *want =
            ew_ttl_rows(p->w, hashes == model_hashes(p->w->model) ? i : p->w->base);
        if (!model_hash_eq(hashes[i], p->view.hash))
            continue;
        if (!ew_ttl_fits(p->w, &ttl, want, now)) {
            p->misfit = ew_ttl_text(p->w, &ttl, want, now);
            continue;
        }
        if (memcmp(want, &ttl, sizeof ttl) != 0)
            ew_reach(p->w, REACHED_TTL_EXPIRED_IMAGE);
        *found = i;
        return keep_ttl(p, &ttl, now);
    }
    return false;
}

static bool wrong_state(struct probe *p, size_t low, size_t high, const char *when) {
    struct world *w = p->w;
    bool top = p->top;
    if (p->misfit && !ew_failed(w))
        ew_fail(w, "ttl", "%s: %s", when, p->misfit);
    if (!ew_failed(w))
        ew_report_state(w, p->db, w->model, top ? low : w->base, top ? high : w->base, when);
    return false;
}

/* Opened for reading only it shows the same and leaves no trace. */
static bool check_read_only(struct probe *p, const struct model_hash *hashes, size_t *found) {
    struct image *i = p->image;
    uint64_t before = simfs_hash(p->fs);
    enum lam_code rc = open_probe(p, true);
    if (rc == LAM_NOT_FOUND && !i->exists)
        return true;
    if (rc != LAM_OK)
        return ew_fail(p->w, "open-read-only", "%s: %s", lam_code_name(rc), p->err.message);
    if (!find_state(p, hashes, i->low, i->high, found))
        return wrong_state(p, i->low, i->high, "read-only");
    if (!close_probe(p, "close of a read-only image"))
        return false;
    if (simfs_hash(p->fs) != before)
        return ew_fail(p->w, "read-only-writes", "a read-only open changed files");
    ew_reach(p->w, REACHED_READ_ONLY_IMAGE);
    return true;
}

static void note_recovery(struct probe *p, size_t found, const struct listing *before) {
    struct world *w = p->w;
    struct image *i = p->image;
    struct lam_stats s;
    lam_db_stats(p->db, &s);
    if (found > i->acked)
        ew_reach(w, REACHED_IN_FLIGHT_KEPT);
    if (found < i->acked)
        ew_reach(w, REACHED_TAIL_LOST);
    if (s.recovered_torn_tail)
        ew_reach(w, REACHED_TORN_TAIL);
    if (s.recovered_operations > 0)
        ew_reach(w, s.sst_files > before->ssts ? REACHED_LOG_DUMPED : REACHED_LOG_COPIED);
    if (i->place == IN_OPEN)
        ew_reach(w,
                 i->depth == 0 && !i->exists ? REACHED_CRASH_IN_CREATE : REACHED_CRASH_IN_RECOVERY);
    else if (i->place == IN_CLOSE)
        ew_reach(w, REACHED_CRASH_IN_CLOSE);
    else if (i->step == STEP_DUMP)
        ew_reach(w, REACHED_CRASH_IN_DUMP);
    else if (i->step == STEP_COMPACT)
        ew_reach(w, REACHED_CRASH_IN_COMPACTION);
    else if (i->step == STEP_DROP)
        ew_reach(w, REACHED_CRASH_IN_DROP);
    static const struct {
        enum step_kind step;
        enum world_reached what;
    } inside[] = {{STEP_TXN, REACHED_CRASH_IN_TXN},
                  {STEP_INGEST, REACHED_CRASH_IN_INGEST},
                  {STEP_CHECKPOINT, REACHED_CRASH_IN_CHECKPOINT},
                  {STEP_BACKUP, REACHED_CRASH_IN_BACKUP},
                  {STEP_RESTORE, REACHED_CRASH_IN_RESTORE},
                  {STEP_TTL, REACHED_CRASH_IN_TTL}};
    for (size_t n = 0; n < sizeof inside / sizeof inside[0]; n++)
        if (i->place == IN_STEP && i->event > 0 && i->depth == 0 && i->step == inside[n].step)
            ew_reach(w, inside[n].what);
    if (i->ingesting)
        ew_reach(w, REACHED_CRASH_OVER_INGEST);
    if (i->below)
        ew_reach(w, found < i->high ? REACHED_DEATH_THEN_LOSS : REACHED_DEATH_THEN_POWER);
    if (i->faulted)
        ew_reach(w, REACHED_CRASH_AFTER_FAULT);
}

static bool open_and_compare(struct probe *p, const struct model_hash *hashes, size_t *found_out) {
    struct image *i = p->image;
    struct listing before;
    size_t read_only = SIZE_MAX, found;
    if (choose_one_in(p->c, 12) && !check_read_only(p, hashes, &read_only))
        return false;
    ew_listing_take(&before, p->fs);
    observe(p);
    set_bounds(p, IN_OPEN);
    p->taker.below = i->how == HOW_DEATH;
    enum lam_code rc = open_probe(p, false);
    p->taker.below = false;
    if (rc != LAM_OK)
        return ew_fail(p->w, "open", "%s: %s", lam_code_name(rc), p->err.message);
    if (!find_state(p, hashes, i->low, i->high, &found))
        return wrong_state(p, i->low, i->high, "an image");
    if (read_only != SIZE_MAX && !model_hash_eq(hashes[found], hashes[read_only]))
        return ew_fail(p->w, "read-only-differs", "read-only it was state %zu, then %zu", read_only,
                       found);
    struct lam_stats s;
    lam_db_stats(p->db, &s);
    if (s.sequence < i->sequence)
        return ew_fail(p->w, "sequence", "recovered at sequence %llu, %llu was given out before",
                       (unsigned long long)s.sequence, (unsigned long long)i->sequence);
    p->hashes[0] = hashes[found];
    p->sequence = s.sequence;
    p->taker.exists = true;
    note_recovery(p, found, &before);
    *found_out = found;
    return ew_listing_check_open(p->w, &before, p->fs, p->db, false);
}

/* --- going on -------------------------------------------------------------------------------- */

static enum lam_code replace_row(struct probe *p, struct model_hash *h, lam_partition *partition,
                                 unsigned number, struct lam_slice key,
                                 const struct lam_slice *value) {
    struct lam_value old = {0};
    enum lam_code rc = lam_get(p->db, NULL, partition, key, &old, &p->err);
    if (rc == LAM_OK)
        *h = model_hash_sub(*h, model_hash_row(number, key, old.bytes));
    lam_value_release(&old);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND)
        return rc;
    if (value)
        *h = model_hash_add(*h, model_hash_row(number, key, *value));
    return LAM_OK;
}

static unsigned pick_partition(struct probe *p) {
    unsigned there[MODEL_PARTITIONS], n = 0;
    for (unsigned i = 0; i < MODEL_PARTITIONS; i++)
        if (p->view.exists[i])
            there[n++] = i;
    return n ? there[choose(p->c, n)] : MODEL_PARTITIONS;
}

static enum lam_code create_partition(struct probe *p, struct model_hash *next, unsigned number) {
    lam_partition *made = NULL;
    *next = model_hash_add(*next, model_hash_partition(number));
    p->hashes[++p->high] = *next;
    set_bounds(p, IN_PROBE);
    enum lam_code rc = lam_partition_create(p->db, ew_partition_name(number), NULL, &made, &p->err);
    lam_partition_release(made);
    p->view.exists[number] = rc == LAM_OK;
    if (rc == LAM_OK)
        p->acked = p->synced = p->high;
    return rc;
}

/* INV-11: a put and a delete in one batch. */
static enum lam_code write_batch(struct probe *p, struct model_hash *next, unsigned number) {
    struct world *w = p->w;
    unsigned a = choose(p->c, w->config.keys), b = choose(p->c, w->config.keys);
    uint8_t bytes[700];
    size_t size = 8 + choose(p->c, choose_one_in(p->c, 4) ? 690 : 40);
    uint64_t salt = choose_salt(p->c);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(salt >> i % 8 * 8);
    struct lam_slice value = lam_slice_of(bytes, size);
    bool sync = choose(p->c, 2);
    struct lam_write_options o = {sync ? LAM_DURABILITY_SYNC : LAM_DURABILITY_OS};
    lam_partition *partition;
    lam_batch *batch = NULL;
    enum lam_code rc = lam_partition_open(p->db, ew_partition_name(number), &partition, &p->err);
    if (rc != LAM_OK)
        return rc;
    rc = lam_batch_new(p->db, &batch, &p->err);
    if (rc == LAM_OK)
        rc = lam_batch_put(batch, partition, ew_key(w, a), value, &p->err);
    if (rc == LAM_OK)
        rc = replace_row(p, next, partition, number, ew_key(w, a), &value);
    if (rc == LAM_OK && b != a) {
        rc = lam_batch_delete(batch, partition, ew_key(w, b), &p->err);
        if (rc == LAM_OK)
            rc = replace_row(p, next, partition, number, ew_key(w, b), NULL);
    }
    uint64_t sequence = 0;
    if (rc == LAM_OK) {
        p->hashes[++p->high] = *next;
        set_bounds(p, IN_PROBE);
        rc = lam_write(p->db, &o, batch, &sequence, &p->err);
    }
    if (rc == LAM_OK) {
        p->acked = p->high;
        p->synced = sync ? p->high : p->synced;
        if (sequence <= p->sequence)
            ew_fail(w, "sequence", "a batch ends at sequence %llu, the database was at %llu",
                    (unsigned long long)sequence, (unsigned long long)p->sequence);
        p->sequence = sequence;
    }
    lam_batch_free(batch);
    lam_partition_release(partition);
    return rc;
}

static bool write_on(struct probe *p) {
    unsigned writes = 1 + choose(p->c, PROBE_WRITES - 1);
    struct model_hash next = p->hashes[0];
    for (unsigned i = 0; i < writes; i++) {
        unsigned number = pick_partition(p);
        enum lam_code rc = number == MODEL_PARTITIONS
                               ? create_partition(p, &next, choose(p->c, MODEL_PARTITIONS))
                               : write_batch(p, &next, number);
        if (ew_failed(p->w))
            return false;
        if (rc != LAM_OK)
            return ew_fail(p->w, "write", "after a recovery: %s: %s", lam_code_name(rc),
                           p->err.message);
    }
    unsigned then = choose(p->c, 8);
    if (then < 2) {
        set_bounds(p, IN_PROBE);
        p->taker.step = then ? STEP_DUMP : STEP_COMPACT;
        enum lam_code rc =
            then ? lam_db_dump(p->db, &p->err) : lam_db_compact(p->db, NULL, &p->err);
        if (rc != LAM_OK)
            return ew_fail(p->w, "write", "a dump after a recovery: %s: %s", lam_code_name(rc),
                           p->err.message);
        p->synced = p->acked;
    }
    size_t found;
    if (!find_state(p, p->hashes, p->acked, p->acked, &found))
        return wrong_state(p, 0, 0, "after writes to an image");
    return true;
}

static void print_finding(void *arg, const char *file, uint64_t offset, const char *problem) {
    ew_say(arg, "    %s at %llu: %s", file, (unsigned long long)offset, problem);
}

/* INV-5: open and close change nothing. */
static bool reopen(struct probe *p) {
    struct listing before;
    set_bounds(p, IN_CLOSE);
    if (!close_probe(p, "close of an image"))
        return false;
    p->synced = p->acked;
    if (choose_one_in(p->c, 4)) {
        enum lam_code rc = lam_check(WORLD_DIR, simfs_env(p->fs), print_finding, p->w, &p->err);
        if (rc != LAM_OK)
            return ew_fail(p->w, "check", "a closed image: %s: %s", lam_code_name(rc),
                           p->err.message);
    }
    ew_listing_take(&before, p->fs);
    set_bounds(p, IN_OPEN);
    enum lam_code rc = open_probe(p, false);
    if (rc != LAM_OK)
        return ew_fail(p->w, "open", "again: %s: %s", lam_code_name(rc), p->err.message);
    size_t found;
    if (!find_state(p, p->hashes, p->acked, p->acked, &found))
        return wrong_state(p, 0, 0, "after a close and another open");
    return ew_listing_check_open(p->w, &before, p->fs, p->db, true);
}

static bool live_on(struct probe *p) {
    set_bounds(p, IN_PROBE);
    if (choose_one_in(p->c, 5)) {
        enum lam_code rc = lam_db_check(p->db, print_finding, p->w, &p->err);
        if (rc != LAM_OK)
            return ew_fail(p->w, "check", "an image: %s: %s", lam_code_name(rc), p->err.message);
    }
    if (choose_one_in(p->c, 3) && !write_on(p))
        return false;
    if (choose_one_in(p->c, 4) && !reopen(p))
        return false;
    if (choose_one_in(p->c, 3)) {
        set_bounds(p, IN_CLOSE);
        return close_probe(p, "close of an image");
    }
    return true;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool is_repeated(struct world *w, const struct image *i, const struct model_hash *hashes) {
    uint64_t hash = simfs_hash(i->fs);
    hash = (hash ^ hashes[i->low].low) * UINT64_C(0x9E3779B97F4A7C15);
    hash = (hash ^ hashes[i->high].high) * UINT64_C(0x9E3779B97F4A7C15) + i->depth + 1;
    hash += i->how == HOW_DEATH ? 4 * WORLD_DEPTH : 0;
    hash += 8u * i->copies.checkpoint.state + 32u * i->copies.restored.state;
    for (unsigned b = 0; b < i->copies.backup_count; b++)
        hash = hash * 5 + i->copies.backups[b].copy.state;
    uint64_t *slot = &w->seen[hash >> 52];
    bool repeated = *slot == hash;
    *slot = hash;
    return repeated;
}

const char *ew_image_text(const struct image *i) {
    static const char *const places[] = {"a step", "an open", "a close", "a recovered image"};
    static const char *const hows[] = {"kill", "power loss, nothing unsynced kept", "power loss",
                                       "death of the process"};
    static char text[300];
    snprintf(text, sizeof text,
             "%s in %s (%s), at call %llu (kind %d, %s), seed 0x%llx, depth %u, states %zu to %zu",
             hows[i->how], places[i->place], ew_step_name(i->step), (unsigned long long)i->event,
             (int)i->op, i->event ? i->path : "between calls", (unsigned long long)i->seed,
             i->depth, i->low, i->high);
    return text;
}

static void count(struct world *w, const struct image *i) {
    struct world_report *r = w->report;
    r->images++;
    r->depth[i->depth]++;
    r->kills += i->kind == SIMFS_KILL;
    r->powers += i->kind == SIMFS_POWER;
}

bool ew_check_image(struct world *w, struct image *image, const struct model_hash *hashes,
                    size_t *found_out) {
    if (is_repeated(w, image, hashes)) {
        w->report->repeated++;
        return true;
    }
    struct simfs *copy = w->options->verbose ? simfs_clone(image->fs) : NULL;
    struct probe p = {.w = w,
                      .image = image,
                      .fs = image->fs,
                      .c = &image->choice,
                      .top = hashes == model_hashes(w->model)};
    p.taker.exists = image->exists;
    if (w->options->permanent)
        simfs_arm(p.fs, 3, w->options->permanent);
    size_t found = 0;
    bool copies =
        ew_copies_any(&image->copies) && (ew_is_copy_step(image->step) || choose_one_in(p.c, 4));
    bool ok = !copies || ew_copy_check(w, image->fs, &image->copies, p.c);
    ok = ok && open_and_compare(&p, hashes, &found);
    if (ok && p.top)
        w->base = found;
    size_t base = w->base;
    ok = ok && live_on(&p);
    if (ok && simfs_violation(p.fs))
        ok = ew_fail(w, "protocol", "an image: %s", simfs_violation(p.fs));
    if (p.db) {
        /* The process is gone. */
        p.taker.queue = NULL;
        simfs_freeze(p.fs);
        if (lam_db_close(p.db, &p.err) == LAM_BUSY)
            LAM_ASSERT(!"nothing is held");
    }
    ew_trace(w, simfs_trace(p.fs));
    count(w, image);
    for (size_t i = 0; i < p.nested.count && ok; i++) {
        struct image *n = p.nested.list[i];
        if (n->below) {
            n->low = image->power_low;
            n->high = image->high; /* what was wiped without a sync may come back, too */
        }
        ok = ew_check_image(w, n, n->below ? hashes : p.hashes, NULL);
        w->base = base;
    }
    ew_queue_clear(&p.nested);
    model_view_fini(&p.view);
    if (!ok)
        ew_fail_context(w, ew_image_text(image));
    if (!ok && copy)
        simfs_print(copy);
    if (copy)
        simfs_free(copy);
    if (found_out)
        *found_out = found;
    return ok;
}
