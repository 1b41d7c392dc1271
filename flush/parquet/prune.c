/* SPDX-License-Identifier: Apache-2.0
 *
 * What need not be read: row groups and pages whose bounds miss a range, and chunks whose bloom
 * filter lacks a value. Pruning errs only to one side: doubt means that a row may match. */
#include <math.h>

#include "base/assert.h"
#include "base/hash.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"
#include "flush/parquet/schema.h"

/* A bloom filter's header is shorter than this. */
#define BLOOM_HEADER_BYTES 64

void parquet_row_ranges_fini(struct parquet_row_ranges *l) {
    mem_free(l->items);
    *l = (struct parquet_row_ranges){0};
}

enum lam_code parquet_row_ranges_add(struct parquet_row_ranges *l, uint32_t first, uint32_t count,
                                     struct lam_error *err) {
    if (count == 0)
        return LAM_OK;
    if (l->count > 0) {
        struct parquet_row_range *last = &l->items[l->count - 1];
        LAM_ASSERT(first >= last->first + last->count);
        if (first == last->first + last->count) {
            last->count += count;
            return LAM_OK;
        }
    }
    TRY(MEM_GROW(&l->items, &l->capacity, l->count + 1, err));
    l->items[l->count++] = (struct parquet_row_range){first, count};
    return LAM_OK;
}

enum lam_code parquet_row_ranges_intersect(const struct parquet_row_ranges *a,
                                           const struct parquet_row_ranges *b,
                                           struct parquet_row_ranges *out, struct lam_error *err) {
    LAM_ASSERT(out != a && out != b);
    out->count = 0;
    for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
        const struct parquet_row_range *x = &a->items[i], *y = &b->items[k];
        uint32_t x_end = x->first + x->count, y_end = y->first + y->count;
        uint32_t first = x->first > y->first ? x->first : y->first;
        uint32_t end = x_end < y_end ? x_end : y_end;
        if (first < end)
            TRY(parquet_row_ranges_add(out, first, end - first, err));
        if (x_end <= y_end)
            i++;
        if (y_end <= x_end)
            k++;
    }
    return LAM_OK;
}

static bool is_nan(enum lam_type type, const struct parquet_value *v) {
    return v && (type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE) && isnan(v->f64);
}

/* Whether values between `min` and `max` can lie in the range. */
static bool overlaps(enum lam_type type, const struct parquet_range *range,
                     struct parquet_value min, struct parquet_value max) {
    if (range->lower) {
        int c = parquet_value_compare(type, max, *range->lower);
        if (c < 0 || (c == 0 && range->lower_open))
            return false;
    }
    if (range->upper) {
        int c = parquet_value_compare(type, min, *range->upper);
        if (c > 0 || (c == 0 && range->upper_open))
            return false;
    }
    return true;
}

/* A range with a NaN for a limit can't be compared with bounds. */
static bool is_comparable(enum lam_type type, const struct parquet_range *range) {
    return !is_nan(type, range->lower) && !is_nan(type, range->upper);
}

bool parquet_prune(const struct parquet_reader *r, uint32_t group, uint32_t field,
                   const struct parquet_range *range) {
    LAM_ASSERT(group < r->meta.group_count && field < r->meta.leaf_count);
    const struct parquet_bounds *b = &pq_reader_chunk(r, group, field)->bounds;
    enum lam_type type = r->fields[field].type.type;
    uint64_t rows = (uint64_t)r->meta.groups[group].rows;
    if (range->nulls && (!b->has_null_count || b->null_count > 0))
        return true;
    if (range->no_values || (b->has_null_count && b->null_count == rows))
        return false;
    return !b->present || !is_comparable(type, range) || overlaps(type, range, b->min, b->max);
}

static bool page_may_match(const struct pq_page_bounds *b, enum lam_type type,
                           const struct parquet_range *range) {
    if (range->nulls && b->nulls != 0)
        return true;
    if (range->no_values || b->is_null)
        return false;
    return !b->present || !is_comparable(type, range) || overlaps(type, range, b->min, b->max);
}

enum lam_code parquet_prune_pages(const struct parquet_reader *r, uint32_t group, uint32_t field,
                                  const struct parquet_range *range, struct parquet_row_ranges *out,
                                  struct lam_error *err) {
    TRY(pq_check_rows(r, group, field, 0, 0, err));
    const struct pq_reader_chunk *c = pq_reader_chunk(r, group, field);
    enum lam_type type = r->fields[field].type.type;
    uint32_t rows = (uint32_t)r->meta.groups[group].rows;
    out->count = 0;
    if (!parquet_prune(r, group, field, range))
        return LAM_OK;
    if (!c->page_bounds)
        return parquet_row_ranges_add(out, 0, rows, err);
    for (uint32_t i = 0; i < c->page_count; i++) {
        uint32_t first = c->pages[i].first_row;
        uint32_t end = i + 1 < c->page_count ? c->pages[i + 1].first_row : rows;
        if (page_may_match(&c->page_bounds[i], type, range))
            TRY(parquet_row_ranges_add(out, first, end - first, err));
    }
    return LAM_OK;
}

enum lam_code pq_filter_read(const struct parquet_reader *r, const struct pq_chunk *c,
                             struct buf *raw, struct lam_error *err) {
    uint64_t offset = (uint64_t)c->bloom_offset;
    uint64_t room = r->footer_offset - offset;
    uint64_t bytes = c->has_bloom_hash ? (uint64_t)c->bloom_bytes : BLOOM_HEADER_BYTES;
    TRY(pq_read_bytes(r, offset, (size_t)(bytes < room ? bytes : room), raw, err));
    if (c->has_bloom_hash && hash_xxh3(raw->data, raw->size, 0) != c->bloom_hash)
        return pq_corrupt(r, offset, err, "checksum mismatch in a Parquet bloom filter");
    return LAM_OK;
}

static enum lam_code probe(const struct parquet_reader *r, const struct pq_chunk *c, uint64_t hash,
                           struct buf *raw, bool *may_out, struct lam_error *err) {
    uint64_t offset = (uint64_t)c->bloom_offset;
    uint32_t bytes;
    size_t header_bytes;
    TRY(pq_filter_read(r, c, raw, err));
    if (!pq_bloom_header_decode(buf_slice(raw), &bytes, &header_bytes) ||
        bytes > r->footer_offset - offset - header_bytes)
        return pq_corrupt(r, offset, err, "malformed Parquet bloom filter");
    if (raw->size >= header_bytes + bytes) {
        *may_out = pq_bloom_may_contain(raw->data + header_bytes, bytes, hash);
        return LAM_OK;
    }
    if (c->has_bloom_hash)
        return pq_corrupt(r, offset, err, "Parquet bloom filter of the wrong size");
    uint64_t block = (uint64_t)pq_bloom_block(bytes, hash) * PQ_BLOOM_BLOCK;
    TRY(pq_read_bytes(r, offset + header_bytes + block, PQ_BLOOM_BLOCK, raw, err));
    *may_out = pq_bloom_may_contain(raw->data, PQ_BLOOM_BLOCK, hash);
    return LAM_OK;
}

enum lam_code parquet_reader_may_contain(const struct parquet_reader *r, uint32_t group,
                                         uint32_t field, struct parquet_value value, bool *may_out,
                                         struct lam_error *err) {
    TRY(pq_check_rows(r, group, field, 0, 0, err));
    const struct pq_chunk *c = pq_reader_chunk(r, group, field)->meta;
    enum lam_type type = r->fields[field].type.type;
    uint8_t room[16];
    OWNED(buf_fini) struct buf raw = {0};
    *may_out = true;
    if (c->bloom_offset == 0 || !pq_bloom_suits(type))
        return LAM_OK;
    struct lam_slice plain = pq_value_store(&r->meta.leaves[field], type, value, room);
    return probe(r, c, pq_bloom_hash(plain), &raw, may_out, err);
}
