/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction: merges SSTs into the next level, leaving out what nobody can see any more. Choice is
 * pick.c's, visibility retain.c's. */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"
#include "lsm/filename.h"
#include "lsm/level_iter.h"
#include "lsm/merge_iter.h"
#include "lsm/retain.h"
#include "lsm/sst_output.h"

/* Entries between two looks at whether the database closes. */
#define CLOSING_CHECK 1024u

struct compaction {
    lam_db *db;
    lam_partition *partition;
    struct version *version; /* that the job was picked from; owned reference */
    struct pick_job job;
    struct compact_range *range; /* NULL: what is due; borrowed */
    uint64_t *snapshots;         /* owned */
    size_t snapshot_count;
    struct retain retain;
    struct range_tombstone *ranges; /* of the inputs, kept ones first; owned */
    size_t range_count;
    size_t below[VERSION_LEVELS]; /* per level under the target: files wholly before the key */
    size_t grandparent;           /* files of the level under the target passed by the output */
    uint64_t grandparent_bytes;   /* of those the current output file overlaps */
    struct sst_output output;
};

/* Whether no level under the target may hold `key`. Keys come in order. */
static bool nothing_below(struct compaction *c, struct lam_slice key) {
    for (uint32_t level = c->job.target + 1; level < VERSION_LEVELS; level++) {
        const struct version_level *l = c->version->levels[level];
        size_t *at = &c->below[level];
        while (*at < l->count && !l->files[*at]->largest_open &&
               slice_cmp(l->files[*at]->largest, key) < 0)
            (*at)++;
        if (*at < l->count && slice_cmp(l->files[*at]->smallest, key) <= 0)
            return false;
    }
    return true;
}

/* Whether a range tombstone of the inputs still hides something under the target. */
static bool hides_below(const struct compaction *c, const struct range_tombstone *t) {
    for (uint32_t level = c->job.target + 1; level < VERSION_LEVELS; level++) {
        const struct version_level *l = c->version->levels[level];
        for (size_t i = 0; i < l->count; i++)
            if (l->files[i]->properties.sequence_min <= t->upto &&
                file_meta_overlaps(l->files[i], t->from, t->to, t->to.size == 0))
                return true;
    }
    return false;
}

static enum lam_code gather_ranges(struct compaction *c, struct lam_error *err) {
    size_t total = 0, n = 0;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < c->job.inputs[side].count; i++)
            total += c->job.inputs[side].files[i]->range_count;
    if (total == 0)
        return LAM_OK;
    c->ranges = mem_calloc(total, sizeof *c->ranges);
    if (!c->ranges)
        return mem_fail(err, total * sizeof *c->ranges);
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < c->job.inputs[side].count; i++) {
            const struct file_meta *f = c->job.inputs[side].files[i];
            for (size_t j = 0; j < f->range_count; j++) {
                const struct range_tombstone *t = &f->ranges[j];
                if (!retain_seen_by_all(&c->retain, t->sequence) || hides_below(c, t))
                    c->ranges[n++] = *t;
            }
        }
    c->range_count = retain_ranges(&c->retain, c->ranges, n);
    return LAM_OK;
}

static enum lam_code open_inputs(struct compaction *c, struct cursor_iter **merge_out,
                                 struct lam_error *err) {
    const struct pick_job *j = &c->job;
    struct cursor_iter **list = mem_calloc(j->inputs[0].count + 1, sizeof *list);
    size_t n = 0;
    enum lam_code rc = LAM_OK;
    if (!list)
        return mem_fail(err, (j->inputs[0].count + 1) * sizeof *list);
    if (j->level == 0) {
        for (size_t i = 0; i < j->inputs[0].count && rc == LAM_OK; i++) {
            rc = level_iter_new(&c->db->ssts, &j->inputs[0].files[i], 1, false, &list[n], err);
            n += rc == LAM_OK;
        }
    } else {
        rc = level_iter_new(&c->db->ssts, j->inputs[0].files, j->inputs[0].count, false, &list[n],
                            err);
        n += rc == LAM_OK;
    }
    if (rc == LAM_OK && j->inputs[1].count > 0) {
        rc = level_iter_new(&c->db->ssts, j->inputs[1].files, j->inputs[1].count, false, &list[n],
                            err);
        n += rc == LAM_OK;
    }
    if (rc == LAM_OK)
        rc = merge_iter_new(list, n, merge_out, err);
    else
        while (n > 0) {
            n--;
            list[n]->ops->free(list[n]);
        }
    mem_free(list);
    return rc;
}

/* Whether the output file should end before `key`: it is full, or half full and a file boundary of
 * the level below was crossed, or it overlaps too much there. */
static bool should_cut(struct compaction *c, struct lam_slice key) {
    bool crossed = false;
    if (c->job.target + 1 < VERSION_LEVELS) {
        const struct version_level *l = c->version->levels[c->job.target + 1];
        while (c->grandparent < l->count && !l->files[c->grandparent]->largest_open &&
               slice_cmp(l->files[c->grandparent]->largest, key) < 0) {
            c->grandparent_bytes += l->files[c->grandparent]->size_bytes;
            c->grandparent++;
            crossed = true;
        }
    }
    uint64_t size = sst_output_size(&c->output);
    if (size == 0) {
        c->grandparent_bytes = 0;
        return false;
    }
    uint64_t full = c->db->tuning.base_bytes / 2;
    return size >= full || (crossed && size >= full / 2) || c->grandparent_bytes > 10 * full;
}

static enum lam_code verify_input(struct compaction *c, struct file_meta *f,
                                  struct lam_error *err) {
    struct buf path = {0};
    const char *text;
    struct sst *s = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(filename_path(&path, c->db->path, FILE_SST, f->number, &text, err));
    TRY_GOTO(sst_cache_get(&c->db->ssts, f, &s, err));
    rc = sst_verify(s, text, err);
out:
    sst_unref(s);
    buf_fini(&path);
    return rc;
}

/* Entries came out of order though each block's checksum held: says where. */
static enum lam_code find_disorder(struct compaction *c, struct lam_error *err) {
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < c->job.inputs[side].count; i++)
            TRY(verify_input(c, c->job.inputs[side].files[i], err));
    return ERR(err, LAM_CORRUPT, "%s: the SSTs of a level overlap", c->db->path);
}

static enum lam_code merge_entries(struct compaction *c, struct cursor_iter *merge,
                                   struct lam_error *err) {
    bool cut = false;
    uint64_t seen = 0;
    for (merge->ops->seek_first(merge); merge->valid; merge->ops->next(merge)) {
        const struct entry *e = &merge->entry;
        enum retain_step step;
        if (++seen % CLOSING_CHECK == 0)
            TRY(compact_check_end(c->db, c->range, err));
        TRY(retain_next(&c->retain, e, &step, err));
        if (step == RETAIN_DISORDER)
            return find_disorder(c, err);
        bool new_key = step == RETAIN_NEW_KEY;
        if (new_key)
            cut = should_cut(c, e->key) || cut;
        bool lowest = e->kind == ENTRY_DELETE && nothing_below(c, e->key);
        if (!retain_entry(&c->retain, e, new_key, lowest))
            continue;
        bool now = cut && new_key;
        if (now)
            c->grandparent_bytes = 0;
        TRY(sst_output_add(&c->output, e, now, err));
        cut = cut && !now;
    }
    return error_pass(err, merge->code, &merge->error);
}

static void output_options(const struct compaction *c, struct sst_output_options *out) {
    dump_output_options(c->db, c->partition, out);
    out->builder.written_us = INT64_MIN;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < c->job.inputs[side].count; i++)
            if (c->job.inputs[side].files[i]->properties.written_us > out->builder.written_us)
                out->builder.written_us = c->job.inputs[side].files[i]->properties.written_us;
}

static enum lam_code write_outputs(struct compaction *c, struct lam_error *err) {
    struct cursor_iter *merge;
    struct sst_output_options options;
    output_options(c, &options);
    TRY(gather_ranges(c, err));
    sst_output_init(&c->output, &options, c->ranges, c->range_count);
    TRY(open_inputs(c, &merge, err));
    enum lam_code rc = merge_entries(c, merge, err);
    merge->ops->free(merge);
    if (rc == LAM_OK)
        rc = sst_output_finish(&c->output, err);
    if (rc == LAM_OK && c->output.file_count > 0)
        rc = env_dir_sync(c->db->env, c->db->path, err);
    return rc;
}

struct change_lists {
    struct version_added *added;
    struct manifest_file *files;
    size_t added_count;
    struct manifest_removed *removed;
    size_t removed_count;
};

static enum lam_code make_lists(const struct compaction *c, struct change_lists *l,
                                struct lam_error *err) {
    const struct pick_job *j = &c->job;
    bool move = j->kind == PICK_MOVE;
    size_t adds = move ? j->inputs[0].count : c->output.file_count;
    size_t removes = j->inputs[0].count + j->inputs[1].count;
    l->added = mem_calloc(adds + 1, sizeof *l->added);
    l->files = mem_calloc(adds + 1, sizeof *l->files);
    l->removed = mem_calloc(removes + 1, sizeof *l->removed);
    if (!l->added || !l->files || !l->removed)
        return mem_fail(err, (adds + removes + 1) * sizeof *l->files);
    for (size_t i = 0; i < adds; i++) {
        struct file_meta *f = move ? j->inputs[0].files[i] : c->output.files[i];
        l->added[i] = (struct version_added){f, j->target};
        file_meta_describe(f, j->target, &l->files[i]);
    }
    l->added_count = adds;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < j->inputs[side].count; i++) {
            uint32_t level = side == 1 ? j->target : j->kind == PICK_DROP ? j->levels[i] : j->level;
            l->removed[l->removed_count++] = (struct manifest_removed){
                c->partition->number, level, j->inputs[side].files[i]->number};
        }
    return LAM_OK;
}

static void mark_inputs_obsolete(const struct pick_job *j) {
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < j->inputs[side].count; i++)
            atomic_store_explicit(&j->inputs[side].files[i]->obsolete, true, memory_order_release);
}

static enum lam_code publish_locked(lam_db *db, struct compaction *c, const struct change_lists *l,
                                    struct db_change *change, struct lam_error *err)
    REQUIRES(&db->manifest) {
    if (atomic_load(&c->partition->dropped))
        return ERR(err, LAM_NOT_FOUND, "partition \"%s\" is dropped", c->partition->name);
    TRY(db_change_prepare_locked(db, change, err));
    struct manifest_edit edit = {.added = l->files,
                                 .added_count = l->added_count,
                                 .removed = l->removed,
                                 .removed_count = l->removed_count};
    enum lam_code rc = db_manifest_append_locked(db, &edit, err);
    if (rc == LAM_OK || rc == LAM_UNKNOWN_OUTCOME)
        sst_output_keep(&c->output); /* D7: also when it may have failed */
    TRY(rc);
    if (c->job.kind != PICK_MOVE)
        mark_inputs_obsolete(&c->job);
    db_change_install_locked(db, change);
    return LAM_OK;
}

static enum lam_code publish(struct compaction *c, struct lam_error *err) {
    struct change_lists l = {0};
    struct db_change change = {.partition = c->partition};
    enum lam_code rc = make_lists(c, &l, err);
    if (rc == LAM_OK) {
        change.added = l.added;
        change.added_count = l.added_count;
        change.removed = l.removed;
        change.removed_count = l.removed_count;
        lam_db *db = c->db;
        mutex_lock(&db->manifest);
        rc = publish_locked(db, c, &l, &change, err);
        if (rc == LAM_OK)
            IGNORE(db_manifest_trim_locked(db, NULL), "it is tried again, or sticky by itself");
        mutex_unlock(&db->manifest);
    }
    db_change_fini(&change);
    mem_free(l.added);
    mem_free(l.files);
    mem_free(l.removed);
    return rc;
}

static void count_job(const struct compaction *c, uint64_t duration_us) {
    bool merge = c->job.kind == PICK_MERGE, move = c->job.kind == PICK_MOVE;
    struct work_counters done = {
        .compactions = !move,
        .compaction_us = duration_us,
        .compaction_read_bytes = merge ? c->job.inputs[0].bytes + c->job.inputs[1].bytes : 0,
        .compaction_write_bytes = c->output.bytes,
        .trivial_moves = move ? c->job.inputs[0].count : 0,
    };
    mutex_lock(&c->db->state);
    struct lam_stats *s = &db_state(c->db)->stats;
    struct work_counters *w = &c->partition->counters.work;
    s->trivial_moves += done.trivial_moves;
    s->compactions += done.compactions;
    s->compaction_read_bytes += done.compaction_read_bytes;
    s->compaction_write_bytes += done.compaction_write_bytes;
    w->trivial_moves += done.trivial_moves;
    w->compactions += done.compactions;
    w->compaction_us += done.compaction_us;
    w->compaction_read_bytes += done.compaction_read_bytes;
    w->compaction_write_bytes += done.compaction_write_bytes;
    mutex_unlock(&c->db->state);
}

/* Tells of the job's begin, or of its end. */
static void tell(const struct compaction *c, enum lam_event_kind kind, uint64_t duration_us,
                 enum lam_code code, const struct lam_error *cause) {
    const struct pick_job *j = &c->job;
    bool done = kind == LAM_EVENT_COMPACTION_END && code == LAM_OK;
    bool move = j->kind == PICK_MOVE;
    struct lam_event e = {
        .kind = kind,
        .partition = c->partition->name,
        .job = j->kind == PICK_MERGE ? LAM_COMPACTION_MERGE
               : move                ? LAM_COMPACTION_MOVE
                                     : LAM_COMPACTION_DROP,
        .level = j->level,
        .target = j->target,
        .input_files = j->inputs[0].count + j->inputs[1].count,
        .input_bytes = j->inputs[0].bytes + j->inputs[1].bytes,
        .output_files = !done  ? 0
                        : move ? j->inputs[0].count
                               : c->output.file_count,
        .output_bytes = !done  ? 0
                        : move ? j->inputs[0].bytes
                               : c->output.bytes,
        .duration_us = duration_us,
        .code = code,
        .message = cause ? cause->message : NULL,
    };
    notify_event(&c->db->notify, &e);
    notify_kick(&c->db->notify);
}

static void note_sources(lam_db *db, size_t sources) {
    mutex_lock(&db->state);
    db_state(db)->compact_sources = sources;
    mutex_unlock(&db->state);
    db_share_memory(db);
}

static enum lam_code work(struct compaction *c, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    TRY(db_copy_snapshots(c->db, &c->snapshots, &c->snapshot_count, err));
    /* Every tombstone in a file may speak, also one that is not in the job: it is as durable. */
    retain_init(&c->retain, c->snapshots, c->snapshot_count, c->version->ranges);
    if (c->job.kind == PICK_MERGE) {
        note_sources(c->db, (c->job.level == 0 ? c->job.inputs[0].count : 1) + 1);
        rc = write_outputs(c, err);
        note_sources(c->db, 0);
    }
    if (rc == LAM_OK)
        rc = publish(c, err);
    return rc;
}

static enum lam_code run_job(struct compaction *c, struct lam_error *err) {
    struct lam_error cause = {0};
    tell(c, LAM_EVENT_COMPACTION_BEGIN, 0, LAM_OK, NULL);
    uint64_t start_ns = env_monotonic_ns(c->db->env);
    enum lam_code rc = work(c, &cause);
    uint64_t us = db_note_work_us(c->db, DB_LATENCY_COMPACTION, start_ns);
    if (rc == LAM_OK)
        count_job(c, us);
    else if (err)
        *err = cause;
    tell(c, LAM_EVENT_COMPACTION_END, us, rc, &cause);
    return rc;
}

/* Adds what a job has read to the progress of its range, and what is left to that. */
static void note_progress(const struct compaction *c, const struct pick_input *in) {
    struct lam_progress *now = &c->range->progress.now;
    uint64_t files, bytes;
    pick_range_left(in, &c->range->keys, &files, &bytes);
    now->files_total = now->files_done + files;
    now->bytes_total = now->bytes_done + bytes;
    now->files_done += c->job.inputs[0].count + c->job.inputs[1].count;
    now->bytes_done += c->job.inputs[0].bytes + c->job.inputs[1].bytes;
}

/* Picks for one partition and does it. The compaction turn is the caller's. */
static enum lam_code compact_partition(lam_db *db, lam_partition *p, struct compact_range *range,
                                       bool *done_out, struct lam_error *err) {
    struct compaction c = {.db = db, .partition = p, .range = range, .version = db_version_of(p)};
    *done_out = false;
    if (!c.version)
        return LAM_OK;
    struct pick_input in;
    db_pick_input(db, p, c.version, &in);
    enum lam_code rc =
        range ? pick_in_range(&in, &range->keys, &c.job, err) : pick_choose(&in, &c.job, err);
    if (rc == LAM_OK && range)
        note_progress(&c, &in);
    if (rc == LAM_OK && c.job.kind != PICK_NONE) {
        rc = run_job(&c, err);
        *done_out = rc == LAM_OK;
    }
    retain_fini(&c.retain);
    sst_output_fini(&c.output);
    mem_free(c.ranges);
    mem_free(c.snapshots);
    pick_job_fini(&c.job);
    version_unref(c.version);
    gc_drain(&db->gc);
    return rc;
}

void compact_begin_turn(lam_db *db) {
    mutex_lock(&db->state);
    while (db_state(db)->compact_running)
        cond_wait(&db->idle, &db->state);
    db_state(db)->compact_running = true;
    mutex_unlock(&db->state);
}

void compact_end_turn(lam_db *db) {
    mutex_lock(&db->state);
    db_state(db)->compact_running = false;
    cond_broadcast(&db->idle);
    mutex_unlock(&db->state);
}

enum lam_code compact_due(lam_db *db, bool *done_out, struct lam_error *err) {
    *done_out = false;
    enum lam_code rc = LAM_OK;
    compact_begin_turn(db);
    lam_partition *p = db_most_due(db);
    if (p) {
        rc = compact_partition(db, p, NULL, done_out, err);
        if (rc == LAM_OK && !*done_out) {
            /* Its score promised more than there is to do. */
            mutex_lock(&db->state);
            db_unscore_locked(db, p);
            mutex_unlock(&db->state);
            *done_out = true;
        }
        if (rc == LAM_NOT_FOUND && atomic_load(&p->dropped))
            rc = LAM_OK;
        db_partition_unref(p);
    }
    compact_end_turn(db);
    return rc;
}

enum lam_code compact_range_step(lam_db *db, lam_partition *p, struct compact_range *range,
                                 bool *done_out, struct lam_error *err) {
    compact_begin_turn(db);
    enum lam_code rc = compact_partition(db, p, range, done_out, err);
    compact_end_turn(db);
    return rc;
}
