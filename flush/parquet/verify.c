/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole file held against itself. What opening has proven (footer, page indexes, hashes) is taken
 * for granted; the rest is read here, and shown to leave no byte between that nothing covers: the
 * chunks touch each other, then come their filters, and behind the last group what is hashed with
 * the page indexes. */
#include <math.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"
#include "flush/parquet/schema.h"

/* Values that went by. All-zero is none. */
struct extent {
    uint64_t values, nulls;
    bool has_nan, has_bounds;
    struct parquet_value min, max; /* bytes are in the buffers */
    struct buf low, high;
};

struct verifying {
    const struct parquet_reader *r;
    uint64_t at; /* no byte before is unproven */
    struct pq_page page;
    struct column rows; /* some of a page */
    struct extent of_page, of_chunk;
    struct extent *of_file; /* by field; owned */
    struct buf filter;      /* of the chunk at hand, with its header; empty: none */
    struct lam_slice bits;  /* of it */
    uint64_t raw_bytes;     /* of the chunk's byte arrays */
};

static enum lam_code bad(const struct verifying *v, uint32_t field, uint64_t offset,
                         struct lam_error *err, const char *what) {
    return ERR(err, LAM_CORRUPT, "%s: offset %llu: %s of Parquet column \"%s\"", v->r->path,
               (unsigned long long)offset, what, v->r->fields[field].name);
}

/* --- extents --- */

static void extent_reset(struct extent *e) {
    e->values = e->nulls = 0;
    e->has_nan = e->has_bounds = false;
}

static void extent_fini(struct extent *e) {
    buf_fini(&e->low);
    buf_fini(&e->high);
}

static bool has_bytes(enum lam_type type) {
    return coltype_is_variable(type) || type == LAM_TYPE_UUID;
}

static enum lam_code keep(enum lam_type type, struct parquet_value v, struct buf *room,
                          struct parquet_value *out, struct lam_error *err) {
    *out = v;
    if (!has_bytes(type))
        return LAM_OK;
    buf_reset(room);
    TRY(buf_append_slice(room, v.bytes, err));
    out->bytes = buf_slice(room);
    return LAM_OK;
}

static enum lam_code widen(struct extent *e, enum lam_type type, struct parquet_value v,
                           struct lam_error *err) {
    bool is_float = type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE;
    if (is_float && isnan(v.f64)) {
        e->has_nan = true;
        return LAM_OK;
    }
    if (!e->has_bounds || parquet_value_compare(type, v, e->min) < 0)
        TRY(keep(type, v, &e->low, &e->min, err));
    if (!e->has_bounds || parquet_value_compare(type, v, e->max) > 0)
        TRY(keep(type, v, &e->high, &e->max, err));
    e->has_bounds = true;
    return LAM_OK;
}

static enum lam_code merge(struct extent *into, enum lam_type type, const struct extent *e,
                           struct lam_error *err) {
    into->values += e->values;
    into->nulls += e->nulls;
    into->has_nan |= e->has_nan;
    if (!e->has_bounds)
        return LAM_OK;
    TRY(widen(into, type, e->min, err));
    return widen(into, type, e->max, err);
}

/* Whether bounds are true of the values. */
static bool holds(const struct extent *e, enum lam_type type, struct parquet_value min,
                  bool min_exact, struct parquet_value max, bool max_exact) {
    if (!e->has_bounds || e->has_nan)
        return false;
    int low = parquet_value_compare(type, e->min, min);
    int high = parquet_value_compare(type, max, e->max);
    return low >= 0 && high >= 0 && !(min_exact && low) && !(max_exact && high);
}

/* --- pages as bytes --- */

/* Reads the page that begins at v->at and moves behind it. */
static enum lam_code prove_page(struct verifying *v, const struct pq_chunk *m, uint32_t field,
                                uint64_t bytes, const uint8_t *hash, uint64_t *plain_bytes,
                                struct lam_error *err) {
    struct pq_page *p = &v->page;
    const struct pq_page_header *h = &p->header;
    if (bytes == 0 || bytes > UINT32_MAX)
        return bad(v, field, v->at, err, "impossible size of a page");
    TRY(pq_page_load(v->r, m->codec, v->at, (uint32_t)bytes, pq_chunk_end(m), hash, p, err));
    const uint8_t *stored = p->raw.data + (p->raw.size - h->compressed_bytes);
    if (p->end != v->at + bytes)
        return bad(v, field, p->end, err, "bytes that belong to no page");
    if (!h->has_crc || hash_crc32(0, stored, h->compressed_bytes) != h->crc)
        return bad(v, field, v->at, err, "wrong CRC of a page");
    *plain_bytes += p->raw.size - h->compressed_bytes + h->uncompressed_bytes;
    v->at += bytes;
    return LAM_OK;
}

static enum lam_code prove_pages(struct verifying *v, const struct pq_reader_chunk *c,
                                 uint32_t field, struct lam_error *err) {
    const struct pq_chunk *m = c->meta;
    const uint8_t *hash = c->page_hashes;
    uint64_t plain_bytes = 0;
    if (pq_chunk_start(m) != v->at)
        return bad(v, field, v->at, err, "bytes that nothing names, before a chunk");
    if (!c->pages || !hash)
        return bad(v, field, v->at, err, "no page index or hashes of a chunk");
    if (m->dictionary_offset) {
        uint64_t bytes = (uint64_t)m->data_offset - v->at;
        TRY(prove_page(v, m, field, bytes, hash, &plain_bytes, err));
        hash += 8;
        if (v->page.header.type != PQ_DICTIONARY_PAGE ||
            (m->stats.distinct != PQ_NONE && (uint64_t)m->stats.distinct != v->page.header.values))
            return bad(v, field, v->at - bytes, err, "another number of distinct values");
    }
    for (uint32_t i = 0; i < c->page_count; i++, hash += 8) {
        if (c->pages[i].offset != v->at)
            return bad(v, field, v->at, err, "bytes that nothing names, before a page");
        TRY(prove_page(v, m, field, c->pages[i].bytes, hash, &plain_bytes, err));
    }
    if (v->at != pq_chunk_end(m) || plain_bytes != (uint64_t)m->uncompressed_bytes)
        return bad(v, field, pq_chunk_start(m), err, "another size of a chunk");
    return LAM_OK;
}

static enum lam_code load_filter(struct verifying *v, const struct pq_chunk *m, uint32_t field,
                                 struct lam_error *err) {
    uint32_t bytes;
    size_t header_bytes;
    buf_reset(&v->filter);
    if (m->bloom_offset == 0)
        return LAM_OK;
    if (!m->has_bloom_hash)
        return bad(v, field, (uint64_t)m->bloom_offset, err, "no hash of a bloom filter");
    TRY(pq_filter_read(v->r, m, &v->filter, err));
    if (!pq_bloom_header_decode(buf_slice(&v->filter), &bytes, &header_bytes) ||
        bytes != v->filter.size - header_bytes)
        return bad(v, field, (uint64_t)m->bloom_offset, err, "malformed bloom filter");
    v->bits = lam_slice_of(v->filter.data + header_bytes, bytes);
    return LAM_OK;
}

/* --- values --- */

static enum lam_code add_value(struct verifying *v, uint32_t field, struct parquet_value value,
                               struct lam_error *err) {
    enum lam_type type = v->r->fields[field].type.type;
    uint8_t room[16];
    v->of_page.values++;
    if (coltype_is_variable(type))
        v->raw_bytes += value.bytes.size;
    if (v->filter.size) {
        struct lam_slice plain = pq_value_store(&v->r->meta.leaves[field], type, value, room);
        if (!pq_bloom_may_contain(v->bits.data, (uint32_t)v->bits.size, pq_bloom_hash(plain)))
            return bad(v, field, v->page.offset, err, "a value that the bloom filter lacks");
    }
    return widen(&v->of_page, type, value, err);
}

static enum lam_code add_rows(struct verifying *v, struct parquet_cursor *c, uint32_t field,
                              uint32_t rows, uint32_t step, struct lam_error *err) {
    for (uint32_t done = 0; done < rows;) {
        uint32_t n = rows - done < step ? rows - done : step;
        column_reset(&v->rows);
        TRY(parquet_cursor_next(c, n, &v->rows, err));
        v->of_page.nulls += v->rows.null_count;
        for (uint32_t i = 0; i < n; i++)
            if (!column_is_null(&v->rows, i))
                TRY(add_value(v, field, parquet_value_of(&v->rows, i), err));
        done += n;
    }
    return LAM_OK;
}

static bool page_holds(const struct extent *e, enum lam_type type, const struct pq_page_bounds *b) {
    return b->is_null == (e->values == 0) &&
           (b->nulls == PQ_NONE || (uint64_t)b->nulls == e->nulls) &&
           (!b->present || holds(e, type, b->min, false, b->max, false));
}

static enum lam_code check_values(struct verifying *v, struct parquet_cursor *cursor,
                                  const struct pq_reader_chunk *c, uint32_t group, uint32_t field,
                                  struct lam_error *err) {
    enum lam_type type = v->r->fields[field].type.type;
    uint32_t rows = (uint32_t)v->r->meta.groups[group].rows;
    uint32_t step = parquet_reader_batch_rows(v->r, group);
    const struct parquet_bounds *b = &c->bounds;
    extent_reset(&v->of_chunk);
    v->raw_bytes = 0;
    for (uint32_t i = 0; i < c->page_count; i++) {
        uint32_t end = i + 1 < c->page_count ? c->pages[i + 1].first_row : rows;
        extent_reset(&v->of_page);
        v->page.offset = c->pages[i].offset;
        TRY(add_rows(v, cursor, field, end - c->pages[i].first_row, step, err));
        if (c->page_bounds && !page_holds(&v->of_page, type, &c->page_bounds[i]))
            return bad(v, field, c->pages[i].offset, err, "a page index that is not of the values");
        TRY(merge(&v->of_chunk, type, &v->of_page, err));
    }
    if ((b->has_null_count && b->null_count != v->of_chunk.nulls) ||
        (b->present && !holds(&v->of_chunk, type, b->min, b->min_exact, b->max, b->max_exact)))
        return bad(v, field, pq_chunk_start(c->meta), err, "statistics that are not of the values");
    if (c->meta->raw_bytes != PQ_NONE && (uint64_t)c->meta->raw_bytes != v->raw_bytes)
        return bad(v, field, pq_chunk_start(c->meta), err, "another number of raw bytes");
    return merge(&v->of_file[field], type, &v->of_chunk, err);
}

static enum lam_code check_chunk(struct verifying *v, uint32_t group, uint32_t field,
                                 struct lam_error *err) {
    const struct pq_reader_chunk *c = pq_reader_chunk(v->r, group, field);
    struct parquet_cursor *cursor = NULL;
    TRY(prove_pages(v, c, field, err));
    TRY(load_filter(v, c->meta, field, err));
    TRY(parquet_cursor_open(v->r, group, field, &cursor, err));
    column_init(&v->rows, v->r->fields[field].type);
    enum lam_code rc = check_values(v, cursor, c, group, field, err);
    column_fini(&v->rows);
    parquet_cursor_close(cursor);
    return rc;
}

/* --- the file --- */

static enum lam_code check_group(struct verifying *v, uint32_t group, struct lam_error *err) {
    const struct pq_group *g = &v->r->meta.groups[group];
    int64_t bytes = 0;
    for (uint32_t i = 0; i < v->r->meta.leaf_count; i++) {
        TRY(check_chunk(v, group, i, err));
        bytes += g->chunks[i].uncompressed_bytes;
    }
    if (bytes != g->uncompressed_bytes)
        return pq_corrupt(v->r, v->at, err, "another size of a Parquet row group");
    for (uint32_t i = 0; i < v->r->meta.leaf_count; i++) {
        if (g->chunks[i].bloom_offset == 0)
            continue;
        if ((uint64_t)g->chunks[i].bloom_offset != v->at)
            return bad(v, i, v->at, err, "bytes that nothing names, before a bloom filter");
        v->at += (uint64_t)g->chunks[i].bloom_bytes;
    }
    return LAM_OK;
}

static enum lam_code summarize(const struct verifying *v, struct parquet_summary *out,
                               struct lam_error *err) {
    uint32_t count = v->r->meta.leaf_count;
    out->arena = mem_calloc(1, sizeof *out->arena);
    out->bounds = out->arena ? arena_calloc(out->arena, count, sizeof *out->bounds) : NULL;
    if (!out->bounds)
        return mem_fail(err, count * sizeof *out->bounds);
    out->rows = (uint64_t)v->r->meta.rows;
    out->bytes = v->r->file_bytes;
    out->footer_hash = v->r->footer_hash;
    out->row_groups = v->r->meta.group_count;
    out->field_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct parquet_bounds *b = &out->bounds[i];
        const struct extent *e = &v->of_file[i];
        b->has_null_count = true;
        b->null_count = e->nulls;
        b->present = b->min_exact = b->max_exact = e->has_bounds && !e->has_nan;
        b->min = e->min;
        b->max = e->max;
        if (!e->has_bounds || !has_bytes(v->r->fields[i].type.type))
            continue;
        b->min.bytes.data = arena_dup(out->arena, e->low.data, e->low.size);
        b->max.bytes.data = arena_dup(out->arena, e->high.data, e->high.size);
        if (!b->min.bytes.data || !b->max.bytes.data)
            return mem_fail(err, e->low.size + e->high.size);
    }
    return LAM_OK;
}

enum lam_code parquet_reader_verify(const struct parquet_reader *r,
                                    struct parquet_summary *actual_out, struct lam_error *err) {
    struct verifying v = {.r = r, .at = PQ_MAGIC_BYTES};
    enum lam_code rc = LAM_OK;
    *actual_out = (struct parquet_summary){0};
    v.of_file = mem_calloc(r->meta.leaf_count, sizeof *v.of_file);
    if (!v.of_file)
        return mem_fail(err, r->meta.leaf_count * sizeof *v.of_file);
    for (uint32_t g = 0; g < r->meta.group_count; g++)
        TRY_GOTO(check_group(&v, g, err));
    if (v.at != r->index_offset)
        TRY_GOTO(pq_corrupt(r, v.at, err, "bytes that nothing names, before the page indexes"));
    rc = summarize(&v, actual_out, err);
out:
    if (rc != LAM_OK)
        parquet_summary_fini(actual_out);
    for (uint32_t i = 0; i < r->meta.leaf_count; i++)
        extent_fini(&v.of_file[i]);
    mem_free(v.of_file);
    extent_fini(&v.of_page);
    extent_fini(&v.of_chunk);
    pq_page_fini(&v.page);
    buf_fini(&v.filter);
    return rc;
}
