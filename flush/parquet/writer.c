/* SPDX-License-Identifier: Apache-2.0
 *
 * File layout: magic; row groups, each its column chunks and then its bloom filters; all column
 * indexes, all offset indexes; footer. One row group's rows are in memory at a time, and of the
 * groups written only metadata. */
#include <stdio.h>

#include "base/assert.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/chunk.h"
#include "flush/parquet/meta.h"

struct parquet_writer {
    lam_env *env;
    lam_file *file;              /* owned */
    char *path;                  /* of the arena */
    uint64_t offset;             /* bytes written */
    struct arena arena;          /* names, options, chunks' metadata */
    struct pq_chunk_plan *plans; /* by field; of the arena */
    uint32_t field_count;
    uint32_t group_rows;     /* most rows of a row group */
    size_t group_bytes;      /* most raw bytes of a row group */
    struct colbatch staging; /* rows of the group to come */
    uint64_t rows;           /* appended */
    uint64_t flushed_rows;   /* of those, written */
    struct pq_group *groups; /* owned; chunks of the arena */
    size_t groups_capacity;
    uint32_t group_count;
    struct pq_bounds *bounds;  /* by field, of the whole file; of the arena */
    uint64_t *null_counts;     /* by field; of the arena */
    struct buf column_indexes; /* of all chunks so far; their offsets count from here */
    struct buf offset_indexes;
    struct buf page_hashes; /* of all pages so far */
    struct pq_chunk_encoder encoder;
    const uint32_t *sort; /* of the arena */
    uint32_t sort_count;
    struct parquet_pair *pairs; /* of the arena; two free places at the end */
    uint32_t pair_count;
    bool failed; /* an append failed: only abort is left */
};

static void writer_free(struct parquet_writer *w) {
    colbatch_fini(&w->staging);
    buf_fini(&w->column_indexes);
    buf_fini(&w->offset_indexes);
    buf_fini(&w->page_hashes);
    pq_chunk_encoder_fini(&w->encoder);
    mem_free(w->groups);
    arena_fini(&w->arena);
    mem_free(w);
}

static enum lam_code check_type(const struct parquet_field *f, struct lam_error *err) {
    const struct coltype *t = &f->type;
    if (t->type <= LAM_TYPE_NULL || t->type > LAM_TYPE_JSON)
        return ERR(err, LAM_INVALID, "Parquet field \"%s\": no type %d", f->name, (int)t->type);
    if (t->type == LAM_TYPE_DECIMAL &&
        (t->precision < 1 || t->precision > 38 || t->scale > t->precision))
        return ERR(err, LAM_INVALID, "Parquet field \"%s\": decimal(%u, %u) is out of range",
                   f->name, t->precision, t->scale);
    return LAM_OK;
}

static enum lam_code check_fields(const struct parquet_field *fields, uint32_t count,
                                  struct lam_error *err) {
    if (count == 0)
        return ERR(err, LAM_INVALID, "a Parquet file needs at least one field");
    for (uint32_t i = 0; i < count; i++) {
        const struct parquet_field *f = &fields[i];
        if (!f->name || f->name[0] == 0 || !utf8_valid(lam_slice_str(f->name), NULL))
            return ERR(err, LAM_INVALID, "Parquet field %u has no valid name", i);
        TRY(check_type(f, err));
        if (f->field_id < PARQUET_NO_FIELD_ID)
            return ERR(err, LAM_INVALID, "Parquet field \"%s\": id %d is negative", f->name,
                       f->field_id);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(f->name, fields[k].name) == 0)
                return ERR(err, LAM_INVALID, "two Parquet fields are named \"%s\"", f->name);
            if (f->field_id != PARQUET_NO_FIELD_ID && f->field_id == fields[k].field_id)
                return ERR(err, LAM_INVALID, "Parquet fields \"%s\" and \"%s\" both have id %d",
                           fields[k].name, f->name, f->field_id);
        }
    }
    return LAM_OK;
}

static bool is_own_key(struct lam_slice key) {
    return slice_eq_str(key, PQ_KEY_INDEX) || slice_eq_str(key, PQ_KEY_PAGES);
}

static enum lam_code check_options(const struct parquet_write_options *o, uint32_t count,
                                   struct lam_error *err) {
    for (uint32_t i = 0; i < o->sort_count; i++)
        if (o->sort[i] >= count)
            return ERR(err, LAM_INVALID, "Parquet sort field %u of %u fields", o->sort[i], count);
    for (uint32_t i = 0; i < o->pair_count; i++)
        if (is_own_key(o->pairs[i].key))
            return ERR(err, LAM_INVALID, "Parquet metadata key \"%.*s\" is reserved",
                       (int)o->pairs[i].key.size, (const char *)o->pairs[i].key.data);
    return LAM_OK;
}

static void *take(struct parquet_writer *w, size_t count, size_t size, enum lam_code *rc,
                  struct lam_error *err) {
    void *p = arena_calloc(&w->arena, count ? count : 1, size);
    if (!p && *rc == LAM_OK)
        *rc = mem_fail(err, count * size);
    return p;
}

static struct lam_slice keep(struct parquet_writer *w, struct lam_slice s, enum lam_code *rc,
                             struct lam_error *err) {
    uint8_t *copy = take(w, s.size, 1, rc, err);
    if (copy && s.size)
        memcpy(copy, s.data, s.size);
    return lam_slice_of(copy, copy ? s.size : 0);
}

static bool is_sorted_by(const struct parquet_write_options *o, uint32_t field) {
    for (uint32_t i = 0; i < o->sort_count; i++)
        if (o->sort[i] == field)
            return true;
    return false;
}

static enum lam_code make_plans(struct parquet_writer *w, const struct parquet_field *fields,
                                const struct parquet_write_options *o, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    w->plans = take(w, w->field_count, sizeof *w->plans, &rc, err);
    w->bounds = take(w, w->field_count, sizeof *w->bounds, &rc, err);
    w->null_counts = take(w, w->field_count, sizeof *w->null_counts, &rc, err);
    struct coltype *types = take(w, w->field_count, sizeof *types, &rc, err);
    TRY(rc);
    for (uint32_t i = 0; i < w->field_count; i++) {
        struct pq_chunk_plan *p = &w->plans[i];
        p->leaf = pq_leaf_of(&fields[i]);
        p->leaf.name = arena_strdup(&w->arena, fields[i].name);
        if (!p->leaf.name)
            return mem_fail(err, strlen(fields[i].name) + 1);
        types[i] = fields[i].type;
        p->type = types[i].type;
        p->lz4 = o->lz4;
        p->is_bloom = fields[i].is_bloom && pq_bloom_suits(p->type);
        p->no_bounds = p->type == LAM_TYPE_UUID && !is_sorted_by(o, i);
        p->page_rows = o->page_rows ? o->page_rows : PARQUET_PAGE_ROWS;
        p->page_bytes = o->page_bytes ? o->page_bytes : PARQUET_PAGE_BYTES;
    }
    return colbatch_init(&w->staging, types, w->field_count, err);
}

static enum lam_code copy_options(struct parquet_writer *w, const struct parquet_write_options *o,
                                  struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    w->group_rows = o->row_group_rows ? o->row_group_rows : PARQUET_ROW_GROUP_ROWS;
    w->group_bytes = o->row_group_bytes ? o->row_group_bytes : PARQUET_ROW_GROUP_BYTES;
    uint32_t *sort = take(w, o->sort_count, sizeof *sort, &rc, err);
    if (sort && o->sort_count)
        memcpy(sort, o->sort, o->sort_count * sizeof *sort);
    w->sort = sort;
    w->sort_count = o->sort_count;
    w->pairs = take(w, (size_t)o->pair_count + 2, sizeof *w->pairs, &rc, err);
    w->pair_count = o->pair_count;
    for (uint32_t i = 0; i < o->pair_count && rc == LAM_OK; i++) {
        w->pairs[i].key = keep(w, o->pairs[i].key, &rc, err);
        w->pairs[i].value = keep(w, o->pairs[i].value, &rc, err);
    }
    return rc;
}

static enum lam_code put_bytes(struct parquet_writer *w, struct lam_slice s,
                               struct lam_error *err) {
    if (s.size == 0)
        return LAM_OK;
    TRY(env_file_write(w->file, w->offset, s.data, s.size, err));
    w->offset += s.size;
    return LAM_OK;
}

enum lam_code parquet_writer_open(lam_env *env, const char *path,
                                  const struct parquet_field *fields, uint32_t count,
                                  const struct parquet_write_options *options,
                                  struct parquet_writer **writer_out, struct lam_error *err) {
    static const struct parquet_write_options defaults = {0};
    const struct parquet_write_options *o = options ? options : &defaults;
    *writer_out = NULL;
    TRY(check_fields(fields, count, err));
    TRY(check_options(o, count, err));
    OWNED(parquet_writer_abort_at) struct parquet_writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return mem_fail(err, sizeof *w);
    w->env = env;
    w->field_count = count;
    TRY(make_plans(w, fields, o, err));
    TRY(copy_options(w, o, err));
    w->path = arena_strdup(&w->arena, path);
    if (!w->path)
        return mem_fail(err, strlen(path) + 1);
    TRY(env_file_open(env, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE, &w->file,
                      err));
    TRY(put_bytes(w, lam_slice_of(PQ_MAGIC, PQ_MAGIC_BYTES), err));
    *writer_out = w;
    w = NULL;
    return LAM_OK;
}

enum lam_code parquet_writer_add_pair(struct parquet_writer *w, struct lam_slice key,
                                      struct lam_slice value, struct lam_error *err) {
    size_t count = w->pair_count;
    /* Three more: this one, and the free places for the writer's own. */
    struct parquet_pair *pairs = arena_calloc(&w->arena, count + 3, sizeof *pairs);
    const void *key_copy = arena_dup(&w->arena, key.data, key.size);
    const void *value_copy = arena_dup(&w->arena, value.data, value.size);
    if (!pairs || !key_copy || !value_copy)
        return mem_fail(err, key.size + value.size + (count + 3) * sizeof *pairs);
    LAM_ASSERT(key.size > 0 && !is_own_key(key));
    if (count)
        memcpy(pairs, w->pairs, count * sizeof *pairs);
    pairs[count] = (struct parquet_pair){lam_slice_of(key_copy, key.size),
                                         lam_slice_of(value_copy, value.size)};
    w->pairs = pairs;
    w->pair_count++;
    return LAM_OK;
}

void parquet_writer_abort(struct parquet_writer *w) {
    if (!w)
        return;
    if (w->file) {
        IGNORE(env_file_close(w->file, NULL), "the file goes away");
        IGNORE(env_file_remove(w->env, w->path, NULL), "a leftover is the caller's orphan");
    }
    writer_free(w);
}

uint64_t parquet_writer_bytes(const struct parquet_writer *w) {
    return w->offset;
}

static size_t staged_bytes(const struct colbatch *b) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < b->column_count; i++)
        bytes += (size_t)b->rows * coltype_width(b->columns[i].type.type) +
                 column_var_bytes(&b->columns[i]);
    return bytes;
}

/* Puts what the encoder has made of a chunk into the group's metadata. */
static enum lam_code keep_chunk(struct parquet_writer *w, uint32_t field, struct pq_chunk *out,
                                struct lam_error *err) {
    struct pq_chunk_encoder *e = &w->encoder;
    enum lam_code rc = LAM_OK;
    struct pq_bounds bounds = e->bounds;
    *out = e->chunk;
    if (out->stats.has_bounds) {
        out->stats.min = keep(w, e->chunk.stats.min, &rc, err);
        out->stats.max = keep(w, e->chunk.stats.max, &rc, err);
        enum lam_type type = w->plans[field].type;
        if (coltype_is_variable(type) || type == LAM_TYPE_UUID) {
            bounds.min.bytes = out->stats.min;
            bounds.max.bytes = out->stats.max;
        }
    }
    TRY(rc);
    pq_bounds_merge(&w->bounds[field], w->plans[field].type, &bounds);
    w->null_counts[field] += e->null_count;
    out->offset_index_offset = (int64_t)w->offset_indexes.size;
    out->offset_index_bytes = (int64_t)e->offset_index.size;
    TRY(buf_append_slice(&w->offset_indexes, buf_slice(&e->offset_index), err));
    TRY(buf_append_slice(&w->page_hashes, buf_slice(&e->page_hashes), err));
    out->column_index_offset = (int64_t)w->column_indexes.size;
    out->column_index_bytes = (int64_t)e->column_index.size;
    return buf_append_slice(&w->column_indexes, buf_slice(&e->column_index), err);
}

static enum lam_code flush_group(struct parquet_writer *w, struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    struct pq_chunk_encoder *e = &w->encoder;
    OWNED(buf_fini) struct buf blooms = {0};
    if (w->staging.rows == 0)
        return LAM_OK;
    TRY(MEM_GROW(&w->groups, &w->groups_capacity, (size_t)w->group_count + 1, err));
    struct pq_group g = {.rows = w->staging.rows, .file_offset = (int64_t)w->offset};
    g.chunks = take(w, w->field_count, sizeof *g.chunks, &rc, err);
    TRY(rc);
    for (uint32_t i = 0; i < w->field_count; i++) {
        TRY(pq_chunk_encode(e, &w->plans[i], &w->staging.columns[i], w->offset, err));
        TRY(put_bytes(w, buf_slice(&e->out), err));
        TRY(keep_chunk(w, i, &g.chunks[i], err));
        g.uncompressed_bytes += e->chunk.uncompressed_bytes;
        g.compressed_bytes += e->chunk.compressed_bytes;
        /* Filters follow the group's last chunk; until then their place among them is kept. */
        g.chunks[i].bloom_offset = (int64_t)blooms.size;
        g.chunks[i].bloom_bytes = (int64_t)e->bloom.size;
        TRY(buf_append_slice(&blooms, buf_slice(&e->bloom), err));
    }
    for (uint32_t i = 0; i < w->field_count; i++) {
        bool has_bloom = g.chunks[i].bloom_bytes > 0;
        g.chunks[i].bloom_offset = has_bloom ? g.chunks[i].bloom_offset + (int64_t)w->offset : 0;
    }
    TRY(put_bytes(w, buf_slice(&blooms), err));
    w->groups[w->group_count++] = g;
    w->flushed_rows += w->staging.rows;
    colbatch_reset(&w->staging);
    return rc;
}

static enum lam_code check_batch(const struct parquet_writer *w, const struct colbatch *b,
                                 struct lam_error *err) {
    if (b->column_count != w->field_count)
        return ERR(err, LAM_INVALID, "%s: batch of %u columns for %u fields", w->path,
                   b->column_count, w->field_count);
    for (uint32_t i = 0; i < b->column_count; i++) {
        const struct column *c = &b->columns[i];
        const struct coltype *type = &w->staging.columns[i].type;
        const struct pq_leaf *leaf = &w->plans[i].leaf;
        if (c->type.type != type->type || c->rows != b->rows ||
            (type->type == LAM_TYPE_DECIMAL && c->type.scale != type->scale))
            return ERR(err, LAM_INVALID, "%s: column %u does not suit field \"%s\"", w->path, i,
                       leaf->name);
        if (!leaf->optional && c->null_count > 0)
            return ERR(err, LAM_INVALID, "%s: null in field \"%s\", which forbids it", w->path,
                       leaf->name);
    }
    return LAM_OK;
}

/* Appends rows [first, first + count) to the group at hand. */
static enum lam_code stage_rows(struct parquet_writer *w, const struct colbatch *b, uint32_t first,
                                uint32_t count, uint32_t *sel, struct lam_error *err) {
    for (uint32_t i = 0; sel && i < count; i++)
        sel[i] = first + i;
    for (uint32_t i = 0; i < w->field_count; i++)
        TRY(column_append_rows(&w->staging.columns[i], &b->columns[i], sel, count, err));
    w->staging.rows += count;
    w->rows += count;
    return LAM_OK;
}

/* Rows from `first` on that the group at hand can take without passing its limits by more than one
 * row; at least 1. */
static uint32_t rows_that_fit(const struct parquet_writer *w, const struct colbatch *b,
                              uint32_t first) {
    uint32_t left = b->rows - first;
    uint32_t room = w->group_rows - w->staging.rows;
    uint32_t most = left < room ? left : room;
    size_t bytes = staged_bytes(&w->staging);
    if (bytes + staged_bytes(b) <= w->group_bytes)
        return most;
    uint32_t rows = 0;
    while (rows < most && bytes < w->group_bytes) {
        for (uint32_t i = 0; i < w->field_count; i++) {
            const struct column *c = &b->columns[i];
            uint32_t row = first + rows;
            bytes += coltype_width(c->type.type);
            if (c->offsets)
                bytes += (size_t)(c->offsets[row + 1] - c->offsets[row]);
        }
        rows++;
    }
    return rows ? rows : 1;
}

static enum lam_code append_batch(struct parquet_writer *w, const struct colbatch *b,
                                  struct lam_error *err) {
    OWNED(mem_free_at) uint32_t *sel = NULL;
    for (uint32_t first = 0; first < b->rows;) {
        uint32_t count = rows_that_fit(w, b, first);
        if (first > 0 && !sel) {
            sel = mem_calloc(b->rows, sizeof *sel);
            if (!sel)
                return mem_fail(err, b->rows * sizeof *sel);
        }
        TRY(stage_rows(w, b, first, count, sel, err));
        first += count;
        if (w->staging.rows >= w->group_rows || staged_bytes(&w->staging) >= w->group_bytes)
            TRY(flush_group(w, err));
    }
    return LAM_OK;
}

enum lam_code parquet_writer_append(struct parquet_writer *w, const struct colbatch *b,
                                    struct lam_error *err) {
    LAM_ASSERT(!w->failed);
    TRY(check_batch(w, b, err));
    enum lam_code rc = append_batch(w, b, err);
    w->failed = rc != LAM_OK;
    return rc;
}

/* Writes the pages' hashes and indexes and turns the chunks' places among these into places in the
 * file. */
static enum lam_code put_indexes(struct parquet_writer *w, struct lam_error *err) {
    uint64_t start = w->offset;
    uint64_t column_start = start + w->page_hashes.size;
    unsigned long long pages = w->page_hashes.size / 8;
    uint64_t offset_start = column_start + w->column_indexes.size;
    for (uint32_t g = 0; g < w->group_count; g++) {
        for (uint32_t i = 0; i < w->field_count; i++) {
            struct pq_chunk *c = &w->groups[g].chunks[i];
            c->offset_index_offset += (int64_t)offset_start;
            c->column_index_offset =
                c->column_index_bytes ? c->column_index_offset + (int64_t)column_start : 0;
        }
    }
    struct buf *all = &w->page_hashes;
    TRY(buf_append_slice(all, buf_slice(&w->column_indexes), err));
    TRY(buf_append_slice(all, buf_slice(&w->offset_indexes), err));
    TRY(put_bytes(w, buf_slice(all), err));
    /* Page indexes have no checksum; a wrong one would hide rows. */
    char *index = arena_format(&w->arena, "%llu:%016llx", (unsigned long long)start,
                               (unsigned long long)hash_xxh3(all->data, all->size, 0));
    char *count = arena_format(&w->arena, "%llu", pages);
    if (!index || !count)
        return mem_fail(err, 40);
    struct parquet_pair *own = w->pairs + w->pair_count;
    own[0] = (struct parquet_pair){lam_slice_str(PQ_KEY_INDEX), lam_slice_str(index)};
    own[1] = (struct parquet_pair){lam_slice_str(PQ_KEY_PAGES), lam_slice_str(count)};
    return LAM_OK;
}

static enum lam_code put_footer(struct parquet_writer *w, uint64_t *hash_out,
                                struct lam_error *err) {
    enum lam_code rc = LAM_OK;
    OWNED(buf_fini) struct buf footer = {0};
    struct pq_leaf *leaves = take(w, w->field_count, sizeof *leaves, &rc, err);
    TRY(rc);
    for (uint32_t i = 0; i < w->field_count; i++)
        leaves[i] = w->plans[i].leaf;
    struct pq_meta m = {.leaves = leaves,
                        .leaf_count = w->field_count,
                        .groups = w->groups,
                        .group_count = w->group_count,
                        .rows = (int64_t)w->rows,
                        .pairs = w->pairs,
                        .pair_count = w->pair_count + (w->group_count > 0 ? 2 : 0),
                        .created_by = lam_slice_str(PQ_CREATED_BY),
                        .sort = w->sort,
                        .sort_count = w->sort_count};
    TRY(pq_meta_encode(&m, &footer, err));
    if (footer.size > INT32_MAX)
        return ERR(err, LAM_LIMIT, "%s: Parquet footer of %zu bytes", w->path, footer.size);
    *hash_out = hash_xxh3(footer.data, footer.size, 0);
    TRY(buf_append_le32(&footer, (uint32_t)footer.size, err));
    TRY(buf_append(&footer, PQ_MAGIC, PQ_MAGIC_BYTES, err));
    TRY(put_bytes(w, buf_slice(&footer), err));
    return rc;
}

/* Bounds of the file in the caller's own memory: the writer's arena goes over to him. */
static enum lam_code summarize(struct parquet_writer *w, uint64_t footer_hash,
                               struct parquet_summary *out, struct lam_error *err) {
    struct arena *arena = mem_calloc(1, sizeof *arena);
    enum lam_code rc = LAM_OK;
    if (!arena)
        return mem_fail(err, sizeof *arena);
    struct parquet_bounds *bounds = take(w, w->field_count, sizeof *bounds, &rc, err);
    if (!bounds) {
        mem_free(arena);
        return rc;
    }
    for (uint32_t i = 0; i < w->field_count; i++) {
        const struct pq_bounds *b = &w->bounds[i];
        bounds[i] = (struct parquet_bounds){.present = b->state == PQ_BOUNDS_KNOWN,
                                            .min_exact = b->min_exact,
                                            .max_exact = b->max_exact,
                                            .has_null_count = true,
                                            .null_count = w->null_counts[i],
                                            .min = b->min,
                                            .max = b->max};
    }
    *arena = w->arena;
    w->arena = (struct arena){0};
    *out = (struct parquet_summary){.rows = w->rows,
                                    .bytes = w->offset,
                                    .footer_hash = footer_hash,
                                    .row_groups = w->group_count,
                                    .field_count = w->field_count,
                                    .bounds = bounds,
                                    .arena = arena};
    return LAM_OK;
}

void parquet_summary_fini(struct parquet_summary *s) {
    if (s->arena)
        arena_fini(s->arena);
    mem_free(s->arena);
    *s = (struct parquet_summary){0};
}

enum lam_code parquet_writer_release(struct parquet_writer *writer,
                                     struct parquet_summary *summary_out, lam_file **file_out,
                                     struct lam_error *err) {
    OWNED(parquet_writer_abort_at) struct parquet_writer *w = writer;
    uint64_t footer_hash = 0;
    LAM_ASSERT(!w->failed);
    *file_out = NULL;
    TRY(flush_group(w, err));
    LAM_ASSERT(w->flushed_rows == w->rows);
    TRY(put_indexes(w, err));
    TRY(put_footer(w, &footer_hash, err));
    if (summary_out)
        TRY(summarize(w, footer_hash, summary_out, err));
    *file_out = w->file;
    w->file = NULL; /* the rest of the writer goes */
    return LAM_OK;
}
