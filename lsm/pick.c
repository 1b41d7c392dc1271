/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction choice. Order of preference: what can be dropped unread; the level with the highest
 * score; single files full of tombstones that no snapshot needs, or in which iterators stepped over
 * more than it costs to write them anew. */
#include "lsm/pick.h"

#include "base/assert.h"
#include "base/mem.h"

#define BOTTOM        (VERSION_LEVELS - 1)
#define FAN_OUT       10u
#define L0_JOB_FILES  6u  /* most bytes of level 0 in one job, in output files */
#define DENSE_ENTRIES 64u /* files with fewer entries are not worth a job of their own */

void pick_job_fini(struct pick_job *job) {
    mem_free(job->inputs[0].files);
    mem_free(job->inputs[1].files);
    mem_free(job->levels);
    memset(job, 0, sizeof *job);
}

static enum lam_code add_file(struct pick_files *list, struct file_meta *f, struct lam_error *err) {
    TRY(MEM_GROW(&list->files, &list->capacity, list->count + 1, err));
    list->files[list->count++] = f;
    list->bytes += f->size_bytes;
    return LAM_OK;
}

uint32_t pick_targets(const struct version *v, uint64_t base_bytes,
                      uint64_t targets[VERSION_LEVELS]) {
    memset(targets, 0, VERSION_LEVELS * sizeof *targets);
    uint64_t size = base_bytes;
    for (uint32_t level = 1; level < VERSION_LEVELS; level++)
        if (v->levels[level]->bytes > size)
            size = v->levels[level]->bytes;
    uint32_t base = BOTTOM;
    targets[BOTTOM] = size;
    while (base > 1 && size / FAN_OUT >= base_bytes) {
        size /= FAN_OUT;
        targets[--base] = size;
    }
    return base;
}

/* Bytes of a file plus what its tombstones hold back. */
static uint64_t weight_of(const struct file_meta *f, uint64_t file_bytes) {
    uint64_t weight = f->size_bytes;
    if (f->properties.entries)
        weight += f->size_bytes * f->properties.deletes / f->properties.entries;
    if (f->properties.range_tombstones)
        weight += file_bytes;
    return weight;
}

static double level_score(const struct pick_input *in, uint32_t level, uint32_t base,
                          const uint64_t *targets) {
    const struct version_level *l = in->version->levels[level];
    if (l->count == 0 || level == BOTTOM)
        return 0;
    if (level == 0) {
        double files = 0;
        for (size_t i = 0; i < l->count; i++)
            files += 1.0 + (l->files[i]->properties.range_tombstones ? 0.5 : 0.0);
        return files / PICK_L0_FILES;
    }
    if (level < base)
        return 2.0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < l->count; i++)
        bytes += weight_of(l->files[i], in->file_bytes);
    return (double)bytes / (double)targets[level];
}

uint64_t pick_debt(const struct version *v, uint64_t base_bytes) {
    uint64_t targets[VERSION_LEVELS];
    uint32_t base = pick_targets(v, base_bytes, targets);
    uint64_t debt = v->levels[0]->count > PICK_L0_FILES ? v->levels[0]->bytes : 0;
    for (uint32_t level = 1; level < BOTTOM; level++) {
        uint64_t allowed = level < base ? 0 : targets[level];
        if (v->levels[level]->bytes > allowed)
            debt += v->levels[level]->bytes - allowed;
    }
    return debt;
}

static bool overlaps_file(const struct file_meta *a, const struct file_meta *b) {
    return file_meta_overlaps(a, b->smallest, b->largest, b->largest_open);
}

/* Every reader sees `t`, and it hides all that is in `f`. */
static bool hides_file(const struct range_tombstone *t, const struct file_meta *f,
                       uint64_t oldest_snapshot) {
    if (t->upto < f->properties.sequence_max || t->sequence > oldest_snapshot)
        return false;
    if (slice_cmp(t->from, f->smallest) > 0)
        return false;
    return t->to.size == 0 || (!f->largest_open && slice_cmp(f->largest, t->to) < 0);
}

static bool in_job(const struct pick_job *job, const struct file_meta *f) {
    for (size_t i = 0; i < job->inputs[0].count; i++)
        if (job->inputs[0].files[i] == f)
            return true;
    return false;
}

static enum lam_code add_drop(struct pick_job *job, struct file_meta *f, uint32_t level,
                              struct lam_error *err) {
    if (in_job(job, f))
        return LAM_OK;
    TRY(MEM_GROW(&job->levels, &job->levels_capacity, job->inputs[0].count + 1, err));
    job->levels[job->inputs[0].count] = level;
    TRY(add_file(&job->inputs[0], f, err));
    job->kind = PICK_DROP;
    return LAM_OK;
}

/* Files inside the range of a tombstone that hides all of them. */
static enum lam_code drop_hidden(const struct pick_input *in, struct pick_job *job,
                                 struct lam_error *err) {
    size_t count;
    const struct range_tombstone *items = range_set_items(in->version->ranges, &count);
    for (size_t i = 0; i < count; i++) {
        const struct range_tombstone *t = &items[i];
        for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
            const struct version_level *l = in->version->levels[level];
            size_t at = level ? version_floor(l, t->from) : 0;
            if (at == l->count)
                at = 0;
            for (; at < l->count; at++) {
                struct file_meta *f = l->files[at];
                if (level && t->to.size && slice_cmp(f->smallest, t->to) >= 0)
                    break;
                if (hides_file(t, f, in->oldest_snapshot))
                    TRY(add_drop(job, f, level, err));
            }
        }
    }
    return LAM_OK;
}

static bool is_expired(const struct pick_input *in, const struct file_meta *f) {
    int64_t end;
    return !__builtin_add_overflow(f->properties.written_us, (int64_t)in->ttl_seconds * 1000000,
                                   &end) &&
           end < in->now_us;
}

/* Whether everything older that the file overlaps goes in the same job: what stayed would show
 * again. Level 0 stands newest first, whatever the numbers: an ingested file is older by its number
 * than what was dumped to make room for it. */
static bool all_older_go(const struct pick_input *in, const struct pick_job *job, uint32_t level,
                         size_t at) {
    const struct file_meta *f = in->version->levels[level]->files[at];
    for (uint32_t below = level; below < VERSION_LEVELS; below++) {
        if (below == level && level > 0)
            continue;
        const struct version_level *l = in->version->levels[below];
        for (size_t i = below == level ? at + 1 : 0; i < l->count; i++)
            if (overlaps_file(l->files[i], f) && !in_job(job, l->files[i]))
                return false;
    }
    return true;
}

/* Oldest first - from the last level up, level 0 from its end - so that a file finds those it
 * depends on in the job, or held back by what they depend on. */
static enum lam_code drop_expired(const struct pick_input *in, struct pick_job *job,
                                  struct lam_error *err) {
    if (in->ttl_seconds == 0 || in->oldest_snapshot != UINT64_MAX)
        return LAM_OK;
    for (uint32_t level = VERSION_LEVELS; level-- > 0;) {
        const struct version_level *l = in->version->levels[level];
        for (size_t i = l->count; i-- > 0;)
            if (is_expired(in, l->files[i]) && all_older_go(in, job, level, i))
                TRY(add_drop(job, l->files[i], level, err));
    }
    return LAM_OK;
}

static enum lam_code choose_drops(const struct pick_input *in, struct pick_job *job,
                                  struct lam_error *err) {
    TRY(drop_hidden(in, job, err));
    return drop_expired(in, job, err);
}

static uint64_t overlap_bytes(const struct version_level *l, const struct file_meta *f) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < l->count; i++)
        if (overlaps_file(l->files[i], f))
            bytes += l->files[i]->size_bytes;
    return bytes;
}

static bool nothing_below(const struct version *v, uint32_t level, const struct file_meta *f) {
    for (uint32_t below = level + 1; below < VERSION_LEVELS; below++)
        if (overlap_bytes(v->levels[below], f) > 0)
            return false;
    return true;
}

/* Whether a file can go to `target` as it is. */
static bool can_move(const struct pick_input *in, const struct file_meta *f, uint32_t target) {
    if (overlap_bytes(in->version->levels[target], f) > 0)
        return false;
    if (target == BOTTOM && in->joins)
        return false;
    bool has_tombstones = f->properties.deletes || f->properties.range_tombstones;
    if (has_tombstones && nothing_below(in->version, target, f))
        return false;
    uint64_t below = target < BOTTOM ? overlap_bytes(in->version->levels[target + 1], f) : 0;
    return below <= FAN_OUT * in->file_bytes;
}

/* All files of the level between the ends of inputs[0], also where those leave a gap: an output
 * file may reach across it. */
static enum lam_code add_overlapping(struct pick_job *job, const struct version_level *l,
                                     struct lam_error *err) {
    struct file_meta *const *files = job->inputs[0].files;
    struct lam_slice from = files[0]->smallest, to = files[0]->largest;
    bool open = files[0]->largest_open;
    for (size_t i = 1; i < job->inputs[0].count; i++) {
        if (slice_cmp(files[i]->smallest, from) < 0)
            from = files[i]->smallest;
        if (slice_cmp(files[i]->largest, to) > 0)
            to = files[i]->largest;
        open = open || files[i]->largest_open;
    }
    for (size_t i = 0; i < l->count; i++)
        if (file_meta_overlaps(l->files[i], from, to, open))
            TRY(add_file(&job->inputs[1], l->files[i], err));
    return LAM_OK;
}

/* The oldest files of level 0: whatever they overlap in it is older and among them. */
static enum lam_code choose_level0(const struct pick_input *in, uint32_t base, struct pick_job *job,
                                   struct lam_error *err) {
    const struct version_level *l = in->version->levels[0];
    struct file_meta *oldest = l->files[l->count - 1];
    job->level = 0;
    /* Not past older files that stand above the base level since it moved down. */
    for (uint32_t level = base - 1; level > 0; level--)
        if (in->version->levels[level]->count > 0)
            base = level;
    job->target = base;
    bool alone = true;
    for (size_t i = 0; i + 1 < l->count; i++)
        alone = alone && !overlaps_file(l->files[i], oldest);
    if (alone && can_move(in, oldest, base)) {
        job->kind = PICK_MOVE;
        return add_file(&job->inputs[0], oldest, err);
    }
    size_t first = l->count - 1;
    uint64_t bytes = oldest->size_bytes;
    while (first > 0 && bytes + l->files[first - 1]->size_bytes <= L0_JOB_FILES * in->file_bytes)
        bytes += l->files[--first]->size_bytes;
    for (size_t i = first; i < l->count; i++)
        TRY(add_file(&job->inputs[0], l->files[i], err));
    job->kind = PICK_MERGE;
    return add_overlapping(job, in->version->levels[base], err);
}

static enum lam_code choose_file(const struct pick_input *in, uint32_t level, struct file_meta *f,
                                 struct pick_job *job, struct lam_error *err) {
    job->level = level;
    job->target = level < BOTTOM ? level + 1 : BOTTOM;
    job->kind = level < BOTTOM && can_move(in, f, job->target) ? PICK_MOVE : PICK_MERGE;
    TRY(add_file(&job->inputs[0], f, err));
    if (job->kind == PICK_MOVE || level == BOTTOM)
        return LAM_OK;
    return add_overlapping(job, in->version->levels[job->target], err);
}

/* The file that frees most for the least rewriting below. */
static struct file_meta *cheapest_file(const struct pick_input *in, uint32_t level) {
    const struct version_level *l = in->version->levels[level];
    struct file_meta *best = NULL;
    double best_cost = 0;
    for (size_t i = 0; i < l->count; i++) {
        double cost = (double)overlap_bytes(in->version->levels[level + 1], l->files[i]) /
                      (double)weight_of(l->files[i], in->file_bytes);
        if (!best || cost < best_cost) {
            best = l->files[i];
            best_cost = cost;
        }
    }
    return best;
}

/* Tombstones that only cost: rewriting the file drops them or brings them nearer to the bottom. */
static bool is_wasteful(const struct pick_input *in, uint32_t level, const struct file_meta *f) {
    const struct sst_properties *p = &f->properties;
    if (p->sequence_max > in->oldest_snapshot)
        return false;
    if (level == BOTTOM && p->range_tombstones)
        return true;
    return p->entries >= DENSE_ENTRIES && p->deletes * 2 > p->entries;
}

/* Whether iterators stepped over so many hidden rows of the file that rewriting it, and what it
 * overlaps below, has paid for itself. */
static bool is_passed(const struct pick_input *in, uint32_t level, const struct file_meta *f) {
    const struct sst_properties *p = &f->properties;
    uint64_t passed = file_meta_passed(f);
    if (passed == 0 || passed < in->passed_steps || p->sequence_max > in->oldest_snapshot ||
        (p->deletes == 0 && !in->version->ranges))
        return false;
    uint32_t below = level + 1;
    while (level == 0 && below < BOTTOM && in->version->levels[below]->count == 0)
        below++;
    uint64_t cost = in->passed_steps + p->entries;
    if (level < BOTTOM)
        cost += overlap_bytes(in->version->levels[below], f) / PICK_STEP_BYTES;
    return passed >= cost;
}

/* A file whose rewriting gains; of level 0, where all go together, only for is_passed. */
static struct file_meta *find_wasteful(const struct pick_input *in, uint32_t *level_out) {
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < in->version->levels[level]->count; i++)
            if ((level > 0 && is_wasteful(in, level, in->version->levels[level]->files[i])) ||
                is_passed(in, level, in->version->levels[level]->files[i])) {
                *level_out = level;
                return in->version->levels[level]->files[i];
            }
    return NULL;
}

/* Whether there is time to make the files above the last level less, and reason. */
static bool is_loose(const struct pick_input *in) {
    const struct version_level *const *levels = in->version->levels;
    uint64_t between = 0;
    for (uint32_t level = 1; level < BOTTOM; level++)
        between += levels[level]->bytes;
    uint64_t above = levels[0]->bytes + between / 2;
    return in->rest_share > 0 && above > levels[BOTTOM]->bytes / in->rest_share &&
           above > in->base_bytes / in->rest_share;
}

static uint32_t worst_level(const struct pick_input *in, uint32_t base, const uint64_t *targets,
                            double *score_out) {
    uint32_t worst = 0;
    bool all = is_loose(in);
    *score_out = 0;
    for (uint32_t level = 0; level < BOTTOM; level++) {
        double score = level_score(in, level, base, targets);
        if (all && in->version->levels[level]->count > 0 && score < 1)
            score = 1;
        if (score > *score_out) {
            *score_out = score;
            worst = level;
        }
    }
    return worst;
}

double pick_score(const struct pick_input *in) {
    uint64_t targets[VERSION_LEVELS];
    uint32_t base = pick_targets(in->version, in->base_bytes, targets);
    double score;
    uint32_t level;
    worst_level(in, base, targets, &score);
    if (score >= 1)
        return score;
    if (find_wasteful(in, &level))
        return 1;
    struct pick_job job = {0};
    enum lam_code rc = choose_drops(in, &job, NULL);
    if (job.inputs[0].count > 0 || rc != LAM_OK)
        score = 1;
    pick_job_fini(&job);
    return score;
}

enum lam_code pick_choose(const struct pick_input *in, struct pick_job *job,
                          struct lam_error *err) {
    memset(job, 0, sizeof *job);
    enum lam_code rc = choose_drops(in, job, err);
    if (rc != LAM_OK || job->kind == PICK_DROP)
        goto out;
    uint64_t targets[VERSION_LEVELS];
    uint32_t base = pick_targets(in->version, in->base_bytes, targets);
    uint32_t level = worst_level(in, base, targets, &job->score);
    if (job->score >= 1) {
        rc = level == 0 ? choose_level0(in, base, job, err)
                        : choose_file(in, level, cheapest_file(in, level), job, err);
        goto out;
    }
    struct file_meta *f = find_wasteful(in, &level);
    if (f) {
        job->score = 1;
        rc = level == 0 ? choose_level0(in, base, job, err) : choose_file(in, level, f, job, err);
    }
out:
    if (rc != LAM_OK)
        pick_job_fini(job);
    return rc;
}

/* Whether a range wants the file to move on, or, in the last level, to lose its tombstones. */
static bool is_wanted(const struct pick_input *in, const struct pick_range *r, uint32_t level,
                      const struct file_meta *f) {
    const struct sst_properties *p = &f->properties;
    if (p->sequence_min > r->sequence || (!f->largest_open && slice_cmp(f->largest, r->from) < 0) ||
        (r->to.size > 0 && slice_cmp(f->smallest, r->to) >= 0))
        return false;
    return level < BOTTOM ||
           ((p->deletes || p->range_tombstones) && p->sequence_max <= in->oldest_snapshot);
}

/* The first file that a range wants; NULL: none. */
static struct file_meta *find_wanted(const struct pick_input *in, const struct pick_range *r,
                                     uint32_t *level_out) {
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < in->version->levels[level]->count; i++)
            if (is_wanted(in, r, level, in->version->levels[level]->files[i])) {
                *level_out = level;
                return in->version->levels[level]->files[i];
            }
    return NULL;
}

enum lam_code pick_in_range(const struct pick_input *in, const struct pick_range *range,
                            struct pick_job *job, struct lam_error *err) {
    uint64_t targets[VERSION_LEVELS];
    uint32_t base = pick_targets(in->version, in->base_bytes, targets), level;
    memset(job, 0, sizeof *job);
    enum lam_code rc = choose_drops(in, job, err);
    struct file_meta *f = find_wanted(in, range, &level);
    struct pick_input joining = *in;
    joining.joins = true;
    if (rc == LAM_OK && job->kind == PICK_NONE && f)
        rc = level == 0 ? choose_level0(&joining, base, job, err)
                        : choose_file(&joining, level, f, job, err);
    if (rc != LAM_OK)
        pick_job_fini(job);
    return rc;
}

void pick_range_left(const struct pick_input *in, const struct pick_range *range,
                     uint64_t *files_out, uint64_t *bytes_out) {
    *files_out = *bytes_out = 0;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < in->version->levels[level]->count; i++) {
            const struct file_meta *f = in->version->levels[level]->files[i];
            if (!is_wanted(in, range, level, f))
                continue;
            ++*files_out;
            *bytes_out += f->size_bytes;
        }
}
