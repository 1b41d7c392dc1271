/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata structs to Thrift. Optional fields are left out where they say nothing; which ones
 * other readers need is told by the format's own notes and by their bug reports (DESIGN.md). */
#include "flush/parquet/meta.h"

#include <stdio.h>

#include "base/assert.h"
#include "flush/parquet/thrift.h"

/* The writer always claims version 1; readers decide by encodings, not by this number. */
#define FOOTER_VERSION 1

static void put_unit(struct pq_thrift_writer *w, const struct pq_leaf *leaf) {
    int16_t time = pq_thrift_begin(w, (int16_t)leaf->logical);
    pq_thrift_bool(w, 1, leaf->utc);
    int16_t unit = pq_thrift_begin(w, 2);
    pq_thrift_empty(w, leaf->unit);
    pq_thrift_end(w, unit);
    pq_thrift_end(w, time);
}

static void put_logical(struct pq_thrift_writer *w, const struct pq_leaf *leaf) {
    if (leaf->logical == PQ_LOGICAL_NONE)
        return;
    int16_t outer = pq_thrift_begin(w, 10);
    if (leaf->logical == PQ_LOGICAL_TIME || leaf->logical == PQ_LOGICAL_TIMESTAMP) {
        put_unit(w, leaf);
    } else if (leaf->logical == PQ_LOGICAL_DECIMAL || leaf->logical == PQ_LOGICAL_INTEGER) {
        int16_t inner = pq_thrift_begin(w, (int16_t)leaf->logical);
        if (leaf->logical == PQ_LOGICAL_DECIMAL) {
            pq_thrift_i32(w, 1, (int32_t)leaf->scale);
            pq_thrift_i32(w, 2, (int32_t)leaf->precision);
        } else {
            pq_thrift_i8(w, 1, (int8_t)leaf->int_bits);
            pq_thrift_bool(w, 2, leaf->int_signed);
        }
        pq_thrift_end(w, inner);
    } else {
        pq_thrift_empty(w, (int16_t)leaf->logical);
    }
    pq_thrift_end(w, outer);
}

static void put_leaf(struct pq_thrift_writer *w, const struct pq_leaf *leaf) {
    int16_t outer = pq_thrift_begin(w, 0);
    pq_thrift_i32(w, 1, (int32_t)leaf->physical);
    if (leaf->physical == PQ_FIXED)
        pq_thrift_i32(w, 2, (int32_t)leaf->type_length);
    pq_thrift_i32(w, 3, leaf->optional ? 1 : 0);
    pq_thrift_binary(w, 4, lam_slice_str(leaf->name));
    if (leaf->converted != PQ_NONE)
        pq_thrift_i32(w, 6, leaf->converted);
    if (leaf->logical == PQ_LOGICAL_DECIMAL) {
        pq_thrift_i32(w, 7, (int32_t)leaf->scale);
        pq_thrift_i32(w, 8, (int32_t)leaf->precision);
    }
    if (leaf->field_id != PARQUET_NO_FIELD_ID)
        pq_thrift_i32(w, 9, leaf->field_id);
    put_logical(w, leaf);
    pq_thrift_end(w, outer);
}

static void put_schema(struct pq_thrift_writer *w, const struct pq_meta *m) {
    pq_thrift_list(w, 2, PQ_THRIFT_STRUCT, (size_t)m->leaf_count + 1);
    int16_t root = pq_thrift_begin(w, 0);
    pq_thrift_binary(w, 4, lam_slice_str("schema"));
    pq_thrift_i32(w, 5, (int32_t)m->leaf_count);
    pq_thrift_end(w, root);
    for (uint32_t i = 0; i < m->leaf_count; i++)
        put_leaf(w, &m->leaves[i]);
}

static void put_stats(struct pq_thrift_writer *w, const struct pq_stats *s) {
    int16_t outer = pq_thrift_begin(w, 12);
    if (s->null_count != PQ_NONE)
        pq_thrift_i64(w, 3, s->null_count);
    if (s->distinct != PQ_NONE)
        pq_thrift_i64(w, 4, s->distinct);
    if (s->has_bounds) {
        pq_thrift_binary(w, 5, s->max);
        pq_thrift_binary(w, 6, s->min);
        pq_thrift_bool(w, 7, s->max_exact);
        pq_thrift_bool(w, 8, s->min_exact);
    }
    pq_thrift_end(w, outer);
}

static void put_encoding_stats(struct pq_thrift_writer *w, const struct pq_chunk *c) {
    pq_thrift_list(w, 13, PQ_THRIFT_STRUCT, c->dictionary_offset ? 2 : 1);
    if (c->dictionary_offset) {
        int16_t dictionary = pq_thrift_begin(w, 0);
        pq_thrift_i32(w, 1, PQ_DICTIONARY_PAGE);
        pq_thrift_i32(w, 2, PQ_PLAIN);
        pq_thrift_i32(w, 3, 1);
        pq_thrift_end(w, dictionary);
    }
    int16_t data = pq_thrift_begin(w, 0);
    pq_thrift_i32(w, 1, PQ_DATA_PAGE);
    pq_thrift_i32(w, 2, (int32_t)c->data_encoding);
    pq_thrift_i32(w, 3, (int32_t)c->data_pages);
    pq_thrift_end(w, data);
}

static void put_pair(struct pq_thrift_writer *w, struct lam_slice key, struct lam_slice value) {
    int16_t outer = pq_thrift_begin(w, 0);
    pq_thrift_binary(w, 1, key);
    pq_thrift_binary(w, 2, value);
    pq_thrift_end(w, outer);
}

/* A bloom filter has no checksum of its own, and a lost bit would lose rows; its hash rides in the
 * chunk's key-value metadata. */
static void put_bloom_hash(struct pq_thrift_writer *w, const struct pq_chunk *c) {
    if (!c->has_bloom_hash)
        return;
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)c->bloom_hash);
    pq_thrift_list(w, 8, PQ_THRIFT_STRUCT, 1);
    put_pair(w, lam_slice_str(PQ_KEY_BLOOM), lam_slice_str(hex));
}

static void put_chunk_meta(struct pq_thrift_writer *w, const struct pq_chunk *c,
                           const struct pq_leaf *leaf) {
    int16_t outer = pq_thrift_begin(w, 3);
    pq_thrift_i32(w, 1, (int32_t)c->physical);
    pq_thrift_list(w, 2, PQ_THRIFT_I32, (size_t)__builtin_popcount(c->encodings));
    for (int e = 0; e < 32; e++)
        if (c->encodings >> e & 1)
            pq_thrift_item_int(w, e);
    pq_thrift_list(w, 3, PQ_THRIFT_BINARY, 1);
    pq_thrift_item_binary(w, lam_slice_str(leaf->name));
    pq_thrift_i32(w, 4, (int32_t)c->codec);
    pq_thrift_i64(w, 5, c->values);
    pq_thrift_i64(w, 6, c->uncompressed_bytes);
    pq_thrift_i64(w, 7, c->compressed_bytes);
    put_bloom_hash(w, c);
    pq_thrift_i64(w, 9, c->data_offset);
    if (c->dictionary_offset)
        pq_thrift_i64(w, 11, c->dictionary_offset);
    put_stats(w, &c->stats);
    put_encoding_stats(w, c);
    if (c->bloom_offset) {
        pq_thrift_i64(w, 14, c->bloom_offset);
        pq_thrift_i32(w, 15, (int32_t)c->bloom_bytes);
    }
    if (c->raw_bytes != PQ_NONE) {
        int16_t sizes = pq_thrift_begin(w, 16);
        pq_thrift_i64(w, 1, c->raw_bytes);
        pq_thrift_end(w, sizes);
    }
    pq_thrift_end(w, outer);
}

static void put_chunk(struct pq_thrift_writer *w, const struct pq_chunk *c,
                      const struct pq_leaf *leaf) {
    int16_t outer = pq_thrift_begin(w, 0);
    pq_thrift_i64(w, 2, 0);
    put_chunk_meta(w, c, leaf);
    if (c->offset_index_offset) {
        pq_thrift_i64(w, 4, c->offset_index_offset);
        pq_thrift_i32(w, 5, (int32_t)c->offset_index_bytes);
    }
    if (c->column_index_offset) {
        pq_thrift_i64(w, 6, c->column_index_offset);
        pq_thrift_i32(w, 7, (int32_t)c->column_index_bytes);
    }
    pq_thrift_end(w, outer);
}

static void put_sorting(struct pq_thrift_writer *w, const struct pq_meta *m) {
    if (m->sort_count == 0)
        return;
    pq_thrift_list(w, 4, PQ_THRIFT_STRUCT, m->sort_count);
    for (uint32_t i = 0; i < m->sort_count; i++) {
        int16_t outer = pq_thrift_begin(w, 0);
        pq_thrift_i32(w, 1, (int32_t)m->sort[i]);
        pq_thrift_bool(w, 2, false);
        pq_thrift_bool(w, 3, false);
        pq_thrift_end(w, outer);
    }
}

static void put_group(struct pq_thrift_writer *w, const struct pq_meta *m, uint32_t index) {
    const struct pq_group *g = &m->groups[index];
    int16_t outer = pq_thrift_begin(w, 0);
    pq_thrift_list(w, 1, PQ_THRIFT_STRUCT, m->leaf_count);
    for (uint32_t i = 0; i < m->leaf_count; i++)
        put_chunk(w, &g->chunks[i], &m->leaves[i]);
    pq_thrift_i64(w, 2, g->uncompressed_bytes);
    pq_thrift_i64(w, 3, g->rows);
    put_sorting(w, m);
    pq_thrift_i64(w, 5, g->file_offset);
    pq_thrift_i64(w, 6, g->compressed_bytes);
    if (index <= INT16_MAX)
        pq_thrift_i16(w, 7, (int16_t)index);
    pq_thrift_end(w, outer);
}

static void put_column_orders(struct pq_thrift_writer *w, const struct pq_meta *m) {
    pq_thrift_list(w, 7, PQ_THRIFT_STRUCT, m->leaf_count);
    for (uint32_t i = 0; i < m->leaf_count; i++) {
        int16_t outer = pq_thrift_begin(w, 0);
        pq_thrift_empty(w, 1);
        pq_thrift_end(w, outer);
    }
}

enum lam_code pq_meta_encode(const struct pq_meta *m, struct buf *out, struct lam_error *err) {
    struct pq_thrift_writer w = pq_thrift_writer_of(out, err);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_i32(&w, 1, FOOTER_VERSION);
    put_schema(&w, m);
    pq_thrift_i64(&w, 3, m->rows);
    pq_thrift_list(&w, 4, PQ_THRIFT_STRUCT, m->group_count);
    for (uint32_t i = 0; i < m->group_count; i++)
        put_group(&w, m, i);
    if (m->pair_count) {
        pq_thrift_list(&w, 5, PQ_THRIFT_STRUCT, m->pair_count);
        for (uint32_t i = 0; i < m->pair_count; i++)
            put_pair(&w, m->pairs[i].key, m->pairs[i].value);
    }
    pq_thrift_binary(&w, 6, m->created_by);
    put_column_orders(&w, m);
    pq_thrift_end(&w, outer);
    return w.code;
}

enum lam_code pq_page_header_encode(const struct pq_page_header *h, struct buf *out,
                                    struct lam_error *err) {
    LAM_ASSERT(h->type == PQ_DATA_PAGE || h->type == PQ_DICTIONARY_PAGE);
    struct pq_thrift_writer w = pq_thrift_writer_of(out, err);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_i32(&w, 1, (int32_t)h->type);
    pq_thrift_i32(&w, 2, (int32_t)h->uncompressed_bytes);
    pq_thrift_i32(&w, 3, (int32_t)h->compressed_bytes);
    pq_thrift_i32(&w, 4, (int32_t)h->crc);
    int16_t page = pq_thrift_begin(&w, h->type == PQ_DATA_PAGE ? 5 : 7);
    pq_thrift_i32(&w, 1, (int32_t)h->values);
    pq_thrift_i32(&w, 2, (int32_t)h->encoding);
    if (h->type == PQ_DATA_PAGE) {
        pq_thrift_i32(&w, 3, PQ_RLE);
        pq_thrift_i32(&w, 4, PQ_RLE);
    }
    pq_thrift_end(&w, page);
    pq_thrift_end(&w, outer);
    return w.code;
}

enum lam_code pq_offset_index_encode(const struct pq_page_ref *pages, uint32_t count,
                                     struct buf *out, struct lam_error *err) {
    struct pq_thrift_writer w = pq_thrift_writer_of(out, err);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_list(&w, 1, PQ_THRIFT_STRUCT, count);
    for (uint32_t i = 0; i < count; i++) {
        int16_t page = pq_thrift_begin(&w, 0);
        pq_thrift_i64(&w, 1, (int64_t)pages[i].offset);
        pq_thrift_i32(&w, 2, (int32_t)pages[i].bytes);
        pq_thrift_i64(&w, 3, pages[i].first_row);
        pq_thrift_end(&w, page);
    }
    pq_thrift_end(&w, outer);
    return w.code;
}

enum lam_code pq_column_index_encode(const struct pq_page_stats *pages, uint32_t count,
                                     enum pq_boundary_order order, struct buf *out,
                                     struct lam_error *err) {
    struct pq_thrift_writer w = pq_thrift_writer_of(out, err);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_list(&w, 1, PQ_THRIFT_TRUE, count);
    for (uint32_t i = 0; i < count; i++)
        pq_thrift_item_bool(&w, pages[i].is_null);
    pq_thrift_list(&w, 2, PQ_THRIFT_BINARY, count);
    for (uint32_t i = 0; i < count; i++)
        pq_thrift_item_binary(&w, pages[i].is_null ? SLICE_EMPTY : pages[i].min);
    pq_thrift_list(&w, 3, PQ_THRIFT_BINARY, count);
    for (uint32_t i = 0; i < count; i++)
        pq_thrift_item_binary(&w, pages[i].is_null ? SLICE_EMPTY : pages[i].max);
    pq_thrift_i32(&w, 4, (int32_t)order);
    pq_thrift_list(&w, 5, PQ_THRIFT_I64, count);
    for (uint32_t i = 0; i < count; i++)
        pq_thrift_item_int(&w, pages[i].null_count);
    pq_thrift_end(&w, outer);
    return w.code;
}

enum lam_code pq_bloom_header_encode(uint32_t bytes, struct buf *out, struct lam_error *err) {
    struct pq_thrift_writer w = pq_thrift_writer_of(out, err);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_i32(&w, 1, (int32_t)bytes);
    for (int16_t id = 2; id <= 4; id++) {
        /* Algorithm, hash and compression are unions whose first member is the only one. */
        int16_t choice = pq_thrift_begin(&w, id);
        pq_thrift_empty(&w, 1);
        pq_thrift_end(&w, choice);
    }
    pq_thrift_end(&w, outer);
    return w.code;
}
