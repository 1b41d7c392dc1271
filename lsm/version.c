/* SPDX-License-Identifier: Apache-2.0
 *
 * Making versions from versions, and finding files in them. */
#include "lsm/version.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/gc.h"
#include "lsm/sst_cache.h"

static struct lam_slice copy_to(uint8_t **at, struct lam_slice s) {
    uint8_t *to = *at;
    if (s.size)
        memcpy(to, s.data, s.size);
    *at += s.size;
    return lam_slice_of(to, s.size);
}

enum lam_code file_meta_new(const struct manifest_file *file, const struct range_tombstone *ranges,
                            size_t range_count, struct sst_cache *cache, struct gc *gc,
                            struct file_meta **out, struct lam_error *err) {
    size_t bytes = sizeof(struct file_meta) + range_count * sizeof *ranges + file->smallest.size +
                   file->largest.size;
    for (size_t i = 0; i < range_count; i++)
        bytes += ranges[i].from.size + ranges[i].to.size;
    struct file_meta *f = mem_calloc(1, bytes);
    if (!f)
        return mem_fail(err, bytes);
    uint8_t *at = (uint8_t *)&f->ranges[range_count];
    atomic_init(&f->refs, 1);
    f->partition = file->partition;
    f->number = file->number;
    f->size_bytes = file->size_bytes;
    f->footer_checksum = file->footer_checksum;
    f->smallest = copy_to(&at, file->smallest);
    f->largest = copy_to(&at, file->largest);
    f->largest_open = file->largest_open;
    f->smallest_head = key_head(f->smallest);
    f->largest_head = key_head(f->largest);
    f->properties = file->properties;
    f->range_count = range_count;
    for (size_t i = 0; i < range_count; i++) {
        f->ranges[i] = ranges[i];
        f->ranges[i].from = copy_to(&at, ranges[i].from);
        f->ranges[i].to = copy_to(&at, ranges[i].to);
    }
    f->cache = cache;
    f->gc = gc;
    *out = f;
    return LAM_OK;
}

struct file_meta *file_meta_ref(struct file_meta *f) {
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void file_meta_unref(struct file_meta *f) {
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (f->cache)
        sst_cache_forget(f->cache, f);
    if (f->gc && atomic_load_explicit(&f->obsolete, memory_order_acquire))
        gc_push(f->gc, f);
    else
        mem_free(f);
}

void file_meta_describe(const struct file_meta *f, uint32_t level, struct manifest_file *out) {
    *out = (struct manifest_file){
        .partition = f->partition,
        .level = level,
        .number = f->number,
        .size_bytes = f->size_bytes,
        .footer_checksum = f->footer_checksum,
        .smallest = f->smallest,
        .largest = f->largest,
        .largest_open = f->largest_open,
        .properties = f->properties,
    };
}

bool file_meta_overlaps(const struct file_meta *f, struct lam_slice from, struct lam_slice to,
                        bool open) {
    if (!f->largest_open && slice_cmp(f->largest, from) < 0)
        return false;
    return open || slice_cmp(f->smallest, to) <= 0;
}

/* Sequences of files that share a key do not mix; what an ingest wrote has a number from before it
 * had its sequence. */
static int newest_first(const void *a, const void *b) {
    const struct file_meta *x = *(struct file_meta *const *)a, *y = *(struct file_meta *const *)b;
    if (x->properties.sequence_max != y->properties.sequence_max)
        return x->properties.sequence_max > y->properties.sequence_max ? -1 : 1;
    return x->number > y->number ? -1 : x->number < y->number;
}

static int by_smallest(const void *a, const void *b) {
    const struct file_meta *x = *(struct file_meta *const *)a, *y = *(struct file_meta *const *)b;
    return slice_cmp(x->smallest, y->smallest);
}

static bool is_removed(const struct file_meta *f, uint32_t level,
                       const struct manifest_removed *removed, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (removed[i].number == f->number && removed[i].level == level)
            return true;
    return false;
}

static void fill_level(struct version_level *l, uint32_t level, const struct version *base,
                       const struct version_added *added, size_t added_count,
                       const struct manifest_removed *removed, size_t removed_count) {
    for (size_t i = 0; base && i < base->levels[level]->count; i++)
        if (!is_removed(base->levels[level]->files[i], level, removed, removed_count))
            l->files[l->count++] = file_meta_ref(base->levels[level]->files[i]);
    for (size_t i = 0; i < added_count; i++)
        if (added[i].level == level)
            l->files[l->count++] = file_meta_ref(added[i].file);
    for (size_t i = 0; i < l->count; i++) {
        const struct sst_properties *p = &l->files[i]->properties;
        l->bytes += l->files[i]->size_bytes;
        l->entries += p->entries;
        l->deletes += p->deletes;
        l->range_tombstones += p->range_tombstones;
    }
    if (l->count > 1)
        qsort(l->files, l->count, sizeof *l->files, level == 0 ? newest_first : by_smallest);
}

static int by_sequence_then_from(const void *a, const void *b) {
    const struct range_tombstone *x = a, *y = b;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    return slice_cmp(x->from, y->from);
}

/* Joins what cutting files had cut: touching pieces of one tombstone. Returns the new count. */
static size_t join_pieces(struct range_tombstone *items, size_t count) {
    qsort(items, count, sizeof *items, by_sequence_then_from);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct range_tombstone *last = kept ? &items[kept - 1] : NULL;
        if (!last || last->sequence != items[i].sequence || last->upto != items[i].upto ||
            (last->to.size && slice_cmp(last->to, items[i].from) < 0)) {
            items[kept++] = items[i];
            continue;
        }
        if (last->to.size && (!items[i].to.size || slice_cmp(items[i].to, last->to) > 0))
            last->to = items[i].to;
    }
    return kept;
}

static enum lam_code collect_ranges(struct version *v, struct lam_error *err) {
    size_t total = 0;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++)
            total += v->levels[level]->files[i]->range_count;
    if (total == 0)
        return LAM_OK;
    struct range_tombstone *all = mem_calloc(total, sizeof *all);
    if (!all)
        return mem_fail(err, total * sizeof *all);
    size_t n = 0;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++) {
            const struct file_meta *f = v->levels[level]->files[i];
            for (size_t j = 0; j < f->range_count; j++)
                all[n++] = f->ranges[j];
        }
    n = join_pieces(all, n);
    enum lam_code rc = range_set_new(all, n, &v->ranges, err);
    mem_free(all);
    return rc;
}

enum lam_code version_apply(const struct version *base, const struct version_added *added,
                            size_t added_count, const struct manifest_removed *removed,
                            size_t removed_count, struct version **out, struct lam_error *err) {
    static const struct version_level none;
    size_t most[VERSION_LEVELS] = {0}, levels = 0, files = 0;
    for (uint32_t level = 0; base && level < VERSION_LEVELS; level++)
        most[level] = base->levels[level]->count;
    for (size_t i = 0; i < added_count; i++) {
        LAM_ASSERT(added[i].level < VERSION_LEVELS);
        most[added[i].level]++;
    }
    for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
        levels += most[level] > 0;
        files += most[level];
    }
    struct version_level *l;
    size_t bytes = sizeof **out + levels * sizeof *l + files * sizeof *l->files;
    struct version *v = mem_calloc(1, bytes);
    if (!v)
        return mem_fail(err, bytes);
    atomic_init(&v->refs, 1);
    struct file_meta **at = (struct file_meta **)&v->filled[levels];
    l = v->filled;
    for (uint32_t level = 0; level < VERSION_LEVELS; level++) {
        v->levels[level] = most[level] > 0 ? l : &none;
        if (most[level] == 0)
            continue;
        l->files = at;
        at += most[level];
        fill_level(l, level, base, added, added_count, removed, removed_count);
        if (l++->count > 0)
            v->level_count = level + 1;
    }
    enum lam_code rc = collect_ranges(v, err);
    if (rc != LAM_OK)
        version_unref(v);
    else
        *out = v;
    return rc;
}

struct version *version_ref(struct version *v) {
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void version_unref(struct version *v) {
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    /* The set borrows the files' slices. */
    range_set_free(v->ranges);
    for (uint32_t level = 0; level < VERSION_LEVELS; level++)
        for (size_t i = 0; i < v->levels[level]->count; i++)
            file_meta_unref(v->levels[level]->files[i]);
    mem_free(v);
}

size_t version_floor(const struct version_level *level, struct lam_slice key) {
    size_t low = 0, high = level->count;
    uint64_t head = key_head(key);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct file_meta *f = level->files[mid];
        if (f->smallest_head < head ||
            (f->smallest_head == head && slice_cmp(f->smallest, key) <= 0))
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 ? level->count : low - 1;
}

struct file_meta *version_find(const struct version_level *level, struct lam_slice key) {
    size_t i = version_floor(level, key);
    if (i == level->count)
        return NULL;
    struct file_meta *f = level->files[i];
    return file_meta_spans(f, key, key_head(key)) ? f : NULL;
}

enum lam_code version_check(const struct version *v, struct lam_error *err) {
    for (uint32_t level = 1; level < VERSION_LEVELS; level++) {
        const struct version_level *l = v->levels[level];
        for (size_t i = 1; i < l->count; i++) {
            const struct file_meta *a = l->files[i - 1], *b = l->files[i];
            if (a->largest_open || slice_cmp(a->largest, b->smallest) > 0 ||
                slice_eq(a->smallest, b->smallest))
                return ERR(err, LAM_CORRUPT,
                           "level %u of partition %llu: files %llu and %llu overlap", level,
                           (unsigned long long)a->partition, (unsigned long long)a->number,
                           (unsigned long long)b->number);
        }
    }
    return LAM_OK;
}
