/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting runs into SSTs. */
#include "lsm/sst_output.h"

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/filename.h"
#include "lsm/gc.h"

void sst_output_init(struct sst_output *o, const struct sst_output_options *options,
                     const struct range_tombstone *ranges, size_t range_count) {
    memset(o, 0, sizeof *o);
    o->options = *options;
    o->ranges = ranges;
    o->range_count = range_count;
}

void sst_output_fini(struct sst_output *o) {
    if (o->builder)
        sst_builder_abandon(o->builder);
    for (size_t i = 0; i < o->file_count; i++)
        file_meta_unref(o->files[i]);
    mem_free(o->files);
    buf_fini(&o->lower);
    memset(o, 0, sizeof *o);
}

uint64_t sst_output_size(const struct sst_output *o) {
    return o->builder ? sst_builder_size(o->builder) : 0;
}

static enum lam_code open_builder(struct sst_output *o, struct lam_error *err) {
    OWNED(buf_fini) struct buf path = {0};
    const char *text;
    o->number = o->options.number(o->options.number_arg);
    o->options.builder.number = o->number;
    TRY(filename_path(&path, o->options.dir, FILE_SST, o->number, &text, err));
    return sst_builder_open(o->options.env, text, &o->options.builder, &o->builder, err);
}

/* The part of `t` in [lower, upper); an empty `upper` has no end. False: nothing is left. */
static bool clip(const struct sst_output *o, const struct range_tombstone *t,
                 struct lam_slice upper, struct range_tombstone *out) {
    *out = *t;
    if (o->has_lower && slice_cmp(out->from, buf_slice(&o->lower)) < 0)
        out->from = buf_slice(&o->lower);
    if (upper.size && (out->to.size == 0 || slice_cmp(upper, out->to) < 0))
        out->to = upper;
    return out->to.size == 0 || slice_cmp(out->from, out->to) < 0;
}

/* Adds the clipped tombstones to the builder (or only counts them); `kept` (may be NULL) gets
 * them. */
static enum lam_code add_ranges(struct sst_output *o, struct lam_slice upper,
                                struct range_tombstone *kept, size_t *count_out,
                                struct lam_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < o->range_count; i++) {
        struct range_tombstone t;
        if (!clip(o, &o->ranges[i], upper, &t))
            continue;
        if (kept) {
            kept[n] = t;
            TRY(sst_builder_add_range(o->builder, &t, err));
        }
        n++;
    }
    *count_out = n;
    return LAM_OK;
}

/* Finishes the builder and appends the file's meta. */
static enum lam_code seal_builder(struct sst_output *o, const struct range_tombstone *ranges,
                                  size_t range_count, struct lam_error *err) {
    OWNED(sst_summary_fini) struct sst_summary s = {0};
    struct sst_builder *b = o->builder;
    o->builder = NULL;
    enum lam_code rc = MEM_GROW(&o->files, &o->file_capacity, o->file_count + 1, err);
    if (rc != LAM_OK) {
        sst_builder_abandon(b);
        return rc;
    }
    rc = sst_builder_finish(b, &s, err);
    struct manifest_file f = {
        .partition = o->options.partition,
        .number = o->number,
        .size_bytes = s.size_bytes,
        .footer_checksum = s.footer_checksum,
        .smallest = buf_slice(&s.smallest),
        .largest = buf_slice(&s.largest),
        .largest_open = s.largest_open,
        .properties = s.properties,
    };
    struct file_meta *meta = NULL;
    if (rc == LAM_OK)
        rc = file_meta_new(&f, ranges, range_count, o->options.cache, o->options.gc, &meta, err);
    if (rc != LAM_OK) {
        filename_remove(o->options.env, o->options.dir, FILE_SST, o->number);
        return rc;
    }
    /* Until a manifest names it, losing the last reference removes it. */
    atomic_store_explicit(&meta->obsolete, true, memory_order_release);
    o->files[o->file_count++] = meta;
    o->bytes += f.size_bytes;
    return LAM_OK;
}

/* Ends the current file's stretch at `upper` (empty: at the end of the key space). */
static enum lam_code end_file(struct sst_output *o, struct lam_slice upper, struct lam_error *err) {
    size_t n = 0;
    if (o->range_count)
        TRY(add_ranges(o, upper, NULL, &n, err));
    if (!o->builder && n == 0)
        return LAM_OK;
    if (!o->builder)
        TRY(open_builder(o, err));
    OWNED(mem_free_at) struct range_tombstone *kept = n ? mem_calloc(n, sizeof *kept) : NULL;
    if (n && !kept)
        return mem_fail(err, n * sizeof *kept);
    TRY(n ? add_ranges(o, upper, kept, &n, err) : LAM_OK);
    return seal_builder(o, kept, n, err);
}

enum lam_code sst_output_add(struct sst_output *o, const struct entry *e, bool cut,
                             struct lam_error *err) {
    if (cut && o->builder) {
        TRY(end_file(o, e->key, err));
        buf_reset(&o->lower);
        TRY(buf_append_slice(&o->lower, e->key, err));
        o->has_lower = true;
    }
    if (!o->builder)
        TRY(open_builder(o, err));
    return sst_builder_add(o->builder, e, err);
}

void sst_output_set_written(struct sst_output *o, int64_t written_us) {
    o->options.builder.written_us = written_us;
    if (o->builder)
        sst_builder_set_written(o->builder, written_us);
}

enum lam_code sst_output_finish(struct sst_output *o, struct lam_error *err) {
    return end_file(o, SLICE_EMPTY, err);
}

void sst_output_keep(struct sst_output *o) {
    for (size_t i = 0; i < o->file_count; i++)
        atomic_store_explicit(&o->files[i]->obsolete, false, memory_order_release);
}
