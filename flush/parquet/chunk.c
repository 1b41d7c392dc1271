/* SPDX-License-Identifier: Apache-2.0
 *
 * The decisions for one column chunk and the pages that come of them. */
#include "flush/parquet/chunk.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/delta.h"
#include "flush/parquet/hybrid.h"
#include "flush/parquet/meta.h"

/* Compression must save this share, or reading pays more than disk gains. */
#define MIN_GAIN_PERCENT 5
/* After this many bytes without the gain, the chunk is not compressed. */
#define TRIAL_BYTES (128u << 10)

void pq_chunk_encoder_fini(struct pq_chunk_encoder *e) {
    buf_fini(&e->out);
    buf_fini(&e->bloom);
    buf_fini(&e->offset_index);
    buf_fini(&e->column_index);
    arena_fini(&e->arena);
    pq_values_scratch_fini(&e->scratch);
    pq_dict_fini(&e->dict);
    mem_free(e->plans);
    mem_free(e->refs);
    mem_free(e->stats);
    mem_free(e->levels);
    buf_fini(&e->body);
    buf_fini(&e->packed);
    buf_fini(&e->page_hashes);
    *e = (struct pq_chunk_encoder){0};
}

static bool suits_delta(enum lam_type type) {
    return type == LAM_TYPE_SMALLINT || type == LAM_TYPE_INT || type == LAM_TYPE_BIGINT ||
           type == LAM_TYPE_TIMESTAMP || type == LAM_TYPE_DATE || type == LAM_TYPE_TIME;
}

/* Chooses the smallest encoding. A dictionary wins ties with deltas, since readers can prune by it,
 * but must clearly beat PLAIN. `*size_out` is the size of the data pages' values. */
static enum lam_code choose_encoding(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                                     enum pq_encoding *encoding_out, uint64_t *size_out,
                                     struct lam_error *err) {
    const struct pq_values *v = &e->values;
    uint64_t plain = pq_values_plain_size(v, 0, v->count);
    uint64_t best = plain;
    *encoding_out = PQ_PLAIN;
    *size_out = plain;
    if (v->count == 0 || plan->leaf.physical == PQ_BOOLEAN)
        return LAM_OK;
    bool built;
    TRY(pq_dict_build(&e->dict, v, &built, err));
    if (built && pq_dict_size(&e->dict, v->count) * 10 < plain * 9) {
        best = pq_dict_size(&e->dict, v->count);
        *encoding_out = PQ_RLE_DICTIONARY;
        *size_out = best - e->dict.plain.size;
    }
    if (suits_delta(plan->type)) {
        uint64_t delta = pq_delta_size(v->data, v->count, v->width);
        if (delta < best) {
            *encoding_out = PQ_DELTA_BINARY_PACKED;
            *size_out = delta;
        }
    }
    return LAM_OK;
}

/* Rows of the page that begins at `row`: by bytes of PLAIN text, else by the average. */
static uint32_t page_rows(const struct pq_chunk_plan *plan, const struct column *c, uint32_t row,
                          uint64_t average_bits, bool is_plain_text) {
    uint32_t left = c->rows - row;
    uint32_t most = left < plan->page_rows ? left : plan->page_rows;
    if (is_plain_text) {
        uint32_t rows = 0;
        uint64_t bytes = 0;
        while (rows < most && bytes < plan->page_bytes) {
            bytes += 4 + (uint64_t)(c->offsets[row + rows + 1] - c->offsets[row + rows]);
            rows++;
        }
        return rows;
    }
    uint64_t rows = (uint64_t)plan->page_bytes * 8 / (average_bits ? average_bits : 1);
    rows = rows ? rows : 1;
    return rows < most ? (uint32_t)rows : most;
}

static uint32_t count_values(const struct column *c, uint32_t first, uint32_t rows) {
    if (c->null_count == 0)
        return rows;
    uint32_t values = 0;
    for (uint32_t i = first; i < first + rows; i++)
        values += bitmap_get(c->validity, i);
    return values;
}

static enum lam_code plan_pages(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                                const struct column *c, enum pq_encoding encoding, uint64_t size,
                                struct lam_error *err) {
    bool is_plain_text = encoding == PQ_PLAIN && plan->leaf.physical == PQ_BYTE_ARRAY;
    uint64_t average_bits = (size * 8 + c->rows - 1) / c->rows;
    uint32_t value = 0;
    e->plan_count = 0;
    for (uint32_t row = 0; row < c->rows;) {
        uint32_t rows = page_rows(plan, c, row, average_bits, is_plain_text);
        uint32_t values = count_values(c, row, rows);
        TRY(MEM_GROW(&e->plans, &e->plans_capacity, (size_t)e->plan_count + 1, err));
        e->plans[e->plan_count++] = (struct pq_page_plan){row, rows, value, values};
        row += rows;
        value += values;
    }
    LAM_ASSERT(value == e->values.count);
    TRY(MEM_GROW(&e->refs, &e->refs_capacity, e->plan_count, err));
    return MEM_GROW(&e->stats, &e->stats_capacity, e->plan_count, err);
}

/* Definition levels: length, then one bit a row as a hybrid stream. */
static enum lam_code put_levels(struct pq_chunk_encoder *e, const struct column *c,
                                const struct pq_page_plan *page, struct lam_error *err) {
    size_t start = e->body.size;
    TRY(buf_append_le32(&e->body, 0, err));
    TRY(MEM_GROW(&e->levels, &e->levels_capacity, page->rows, err));
    for (uint32_t i = 0; i < page->rows; i++)
        e->levels[i] = c->null_count ? bitmap_get(c->validity, (size_t)page->first_row + i) : 1;
    TRY(pq_hybrid_encode(e->levels, page->rows, 1, &e->body, err));
    put_le32(e->body.data + start, (uint32_t)(e->body.size - start - 4));
    return LAM_OK;
}

static enum lam_code put_values(struct pq_chunk_encoder *e, enum pq_encoding encoding,
                                const struct pq_page_plan *page, struct lam_error *err) {
    const struct pq_values *v = &e->values;
    switch (encoding) {
    case PQ_PLAIN:
        return pq_values_plain(v, page->first_value, page->values, &e->body, err);
    case PQ_RLE_DICTIONARY:
        TRY(buf_append_u8(&e->body, (uint8_t)e->dict.bits, err));
        return pq_hybrid_encode(e->dict.codes + page->first_value, page->values, e->dict.bits,
                                &e->body, err);
    case PQ_DELTA_BINARY_PACKED: {
        const uint8_t *data = page->values ? v->data + (size_t)page->first_value * v->width : NULL;
        return pq_delta_encode(data, page->values, v->width, &e->body, err);
    }
    case PQ_PLAIN_DICTIONARY:
    case PQ_RLE:
    case PQ_BIT_PACKED:
        break;
    }
    UNREACHABLE();
}

/* Appends the page whose body is in e->body, after its header. */
static enum lam_code put_page(struct pq_chunk_encoder *e, struct pq_page_header *h,
                              enum pq_codec codec, struct lam_error *err) {
    struct lam_slice stored = buf_slice(&e->body);
    if (e->body.size > PQ_MAX_PAGE)
        return ERR(err, LAM_LIMIT, "Parquet page of %zu bytes, at most %u are possible",
                   e->body.size, PQ_MAX_PAGE);
    if (codec == PQ_LZ4_RAW) {
        buf_reset(&e->packed);
        TRY(codec_lz4_compress(stored, &e->packed, err));
        stored = buf_slice(&e->packed);
    }
    h->uncompressed_bytes = (uint32_t)e->body.size;
    h->compressed_bytes = (uint32_t)stored.size;
    h->crc = hash_crc32(0, stored.data, stored.size);
    size_t start = e->out.size;
    TRY(pq_page_header_encode(h, &e->out, err));
    e->chunk.uncompressed_bytes += (int64_t)(e->out.size - start + e->body.size);
    return buf_append_slice(&e->out, stored, err);
}

/* Of the page that was put last, at `start` of the output. */
static enum lam_code put_page_hash(struct pq_chunk_encoder *e, uint64_t offset, size_t start,
                                   struct lam_error *err) {
    struct lam_slice page = lam_slice_of(e->out.data + start, e->out.size - start);
    return buf_append_le64(&e->page_hashes, pq_page_hash(page, offset + start), err);
}

static enum lam_code put_dictionary(struct pq_chunk_encoder *e, enum pq_codec codec,
                                    uint64_t offset, struct lam_error *err) {
    struct pq_page_header h = {
        .type = PQ_DICTIONARY_PAGE, .values = e->dict.count, .encoding = PQ_PLAIN};
    e->chunk.dictionary_offset = (int64_t)offset;
    buf_reset(&e->body);
    TRY(buf_append_slice(&e->body, buf_slice(&e->dict.plain), err));
    TRY(put_page(e, &h, codec, err));
    return put_page_hash(e, offset, 0, err);
}

static bool gains(const struct pq_chunk_encoder *e) {
    return e->out.size * 100 <= (uint64_t)e->chunk.uncompressed_bytes * (100 - MIN_GAIN_PERCENT);
}

/* Writes all pages. With LZ4, `*gained_out` says whether it was worth it; the attempt ends early
 * when it is not. */
static enum lam_code put_pages(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                               const struct column *c, enum pq_encoding encoding,
                               enum pq_codec codec, uint64_t offset, bool *gained_out,
                               struct lam_error *err) {
    buf_reset(&e->out);
    buf_reset(&e->page_hashes);
    e->chunk.uncompressed_bytes = 0;
    *gained_out = false;
    if (encoding == PQ_RLE_DICTIONARY)
        TRY(put_dictionary(e, codec, offset, err));
    e->chunk.data_offset = (int64_t)(offset + e->out.size);
    for (uint32_t i = 0; i < e->plan_count; i++) {
        const struct pq_page_plan *page = &e->plans[i];
        struct pq_page_header h = {
            .type = PQ_DATA_PAGE, .values = page->rows, .encoding = encoding};
        size_t start = e->out.size;
        buf_reset(&e->body);
        if (plan->leaf.optional)
            TRY(put_levels(e, c, page, err));
        TRY(put_values(e, encoding, page, err));
        TRY(put_page(e, &h, codec, err));
        TRY(put_page_hash(e, offset, start, err));
        e->refs[i] =
            (struct pq_page_ref){offset + start, (uint32_t)(e->out.size - start), page->first_row};
        if (codec == PQ_LZ4_RAW && e->chunk.uncompressed_bytes >= TRIAL_BYTES && !gains(e))
            return LAM_OK;
    }
    *gained_out = gains(e);
    return LAM_OK;
}

/* Bounds of all pages and of the chunk, as stored. `*index_out`: the chunk gets a ColumnIndex. */
static enum lam_code put_bounds(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                                enum pq_boundary_order *order_out, bool *index_out,
                                struct lam_error *err) {
    struct pq_bounds whole = {.state = PQ_BOUNDS_EMPTY};
    struct pq_order order = {0};
    *index_out = true;
    for (uint32_t i = 0; i < e->plan_count; i++) {
        const struct pq_page_plan *page = &e->plans[i];
        struct pq_page_stats *s = &e->stats[i];
        struct pq_bounds b = {.state = PQ_BOUNDS_UNKNOWN}, stored;
        if (!plan->no_bounds || page->values == 0)
            b = pq_bounds_of(&e->values, plan->type, &plan->leaf, page->first_value, page->values);
        pq_bounds_merge(&whole, plan->type, &b);
        TRY(pq_bounds_settle(&b, plan->type, &e->arena, &stored, err));
        *s = (struct pq_page_stats){.is_null = page->values == 0,
                                    .null_count = (int64_t)page->rows - page->values};
        *index_out &= stored.state != PQ_BOUNDS_UNKNOWN;
        if (stored.state != PQ_BOUNDS_KNOWN)
            continue;
        pq_order_add(&order, plan->type, &stored);
        uint8_t *room = arena_alloc(&e->arena, 32);
        if (!room)
            return mem_fail(err, 32);
        s->min = pq_value_store(&plan->leaf, plan->type, stored.min, room);
        s->max = pq_value_store(&plan->leaf, plan->type, stored.max, room + 16);
    }
    *order_out = pq_order_result(&order);
    return pq_bounds_settle(&whole, plan->type, &e->arena, &e->bounds, err);
}

static enum lam_code put_stats(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                               bool is_dictionary, struct lam_error *err) {
    struct pq_stats *s = &e->chunk.stats;
    bool is_float = plan->type == LAM_TYPE_FLOAT || plan->type == LAM_TYPE_DOUBLE;
    *s = (struct pq_stats){.null_count = e->null_count, .distinct = PQ_NONE};
    /* Floats may be equal and differ in bits. */
    if (is_dictionary && !is_float)
        s->distinct = e->dict.count;
    if (e->bounds.state != PQ_BOUNDS_KNOWN)
        return LAM_OK;
    uint8_t *room = arena_alloc(&e->arena, 32);
    if (!room)
        return mem_fail(err, 32);
    s->has_bounds = true;
    s->min_exact = e->bounds.min_exact;
    s->max_exact = e->bounds.max_exact;
    s->min = pq_value_store(&plan->leaf, plan->type, e->bounds.min, room);
    s->max = pq_value_store(&plan->leaf, plan->type, e->bounds.max, room + 16);
    return LAM_OK;
}

static enum lam_code put_indexes(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                                 struct lam_error *err) {
    enum pq_boundary_order order = PQ_UNORDERED;
    bool has_index;
    buf_reset(&e->offset_index);
    buf_reset(&e->column_index);
    TRY(put_bounds(e, plan, &order, &has_index, err));
    TRY(pq_offset_index_encode(e->refs, e->plan_count, &e->offset_index, err));
    if (!has_index)
        return LAM_OK;
    return pq_column_index_encode(e->stats, e->plan_count, order, &e->column_index, err);
}

static enum lam_code put_bloom(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                               bool is_dictionary, struct lam_error *err) {
    const struct pq_values *v = &e->values;
    buf_reset(&e->bloom);
    e->chunk.has_bloom_hash = false;
    if (!plan->is_bloom || v->count == 0)
        return LAM_OK;
    uint32_t distinct = is_dictionary ? e->dict.count : v->count;
    uint32_t bytes = pq_bloom_size(distinct);
    TRY(pq_bloom_header_encode(bytes, &e->bloom, err));
    size_t start = e->bloom.size;
    TRY(buf_append_zeros(&e->bloom, bytes, err));
    uint8_t *filter = e->bloom.data + start;
    const uint8_t *entry = e->dict.plain.data;
    for (uint32_t i = 0; i < distinct; i++) {
        struct lam_slice s;
        if (!is_dictionary) {
            s = pq_values_bytes(v, i);
        } else if (v->width) {
            s = lam_slice_of(entry, v->width);
            entry += v->width;
        } else {
            s = lam_slice_of(entry + 4, get_le32(entry));
            entry += 4 + s.size;
        }
        pq_bloom_add(filter, bytes, pq_bloom_hash(s));
    }
    e->chunk.has_bloom_hash = true;
    e->chunk.bloom_hash = hash_xxh3(e->bloom.data, e->bloom.size, 0);
    return LAM_OK;
}

/* Pages in the codec that pays. */
static enum lam_code put_body(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                              const struct column *c, enum pq_encoding encoding, uint64_t offset,
                              struct lam_error *err) {
    bool gained = false;
    e->chunk.codec = PQ_LZ4_RAW;
    if (plan->lz4)
        TRY(put_pages(e, plan, c, encoding, PQ_LZ4_RAW, offset, &gained, err));
    if (gained)
        return LAM_OK;
    e->chunk.codec = PQ_UNCOMPRESSED;
    return put_pages(e, plan, c, encoding, PQ_UNCOMPRESSED, offset, &gained, err);
}

enum lam_code pq_chunk_encode(struct pq_chunk_encoder *e, const struct pq_chunk_plan *plan,
                              const struct column *c, uint64_t offset, struct lam_error *err) {
    LAM_ASSERT(c->rows > 0 && (plan->leaf.optional || c->null_count == 0));
    enum pq_encoding encoding;
    uint64_t size;
    arena_reset(&e->arena);
    e->chunk = (struct pq_chunk){.physical = plan->leaf.physical, .values = c->rows};
    e->null_count = c->null_count;
    TRY(pq_values_take(c, &plan->leaf, &e->scratch, &e->values, err));
    TRY(choose_encoding(e, plan, &encoding, &size, err));
    bool is_dictionary = encoding == PQ_RLE_DICTIONARY;
    TRY(plan_pages(e, plan, c, encoding, size, err));
    TRY(put_body(e, plan, c, encoding, offset, err));
    TRY(put_indexes(e, plan, err));
    TRY(put_stats(e, plan, is_dictionary, err));
    TRY(put_bloom(e, plan, is_dictionary, err));
    e->chunk.encodings = 1u << encoding | (plan->leaf.optional ? 1u << PQ_RLE : 0u) |
                         (is_dictionary ? 1u << PQ_PLAIN : 0u);
    e->chunk.data_encoding = encoding;
    e->chunk.data_pages = e->plan_count;
    e->chunk.compressed_bytes = (int64_t)e->out.size;
    e->chunk.raw_bytes =
        plan->leaf.physical == PQ_BYTE_ARRAY ? (int64_t)column_var_bytes(c) : PQ_NONE;
    return LAM_OK;
}
