/* SPDX-License-Identifier: Apache-2.0
 *
 * Streaming one column: finds pages, decodes each once, and lays nulls between values. */
#include "base/assert.h"
#include "base/utf8.h"
#include "flush/parquet/decode.h"
#include "flush/parquet/schema.h"

struct parquet_cursor {
    const struct parquet_reader *reader;
    uint32_t field;
    const struct pq_leaf *leaf;
    enum lam_type type;   /* of the field */
    int128 decimal_limit; /* DECIMAL: 10^precision */
    uint32_t group;
    uint32_t rows; /* of the group */
    uint32_t row;  /* next one */
    const struct pq_reader_chunk *chunk;
    const struct pq_page_ref *pages; /* the chunk's, or `walked` */
    uint32_t page_count;
    struct pq_page_ref *walked; /* owned */
    size_t walked_capacity;
    struct pq_dictionary dict;
    struct pq_page page;
    bool has_page; /* `page` is decompressed and holds rows [page_first, page_end) */
    uint32_t page_first;
    uint32_t page_end;
    uint32_t page_row;    /* row that decoder and levels stand at */
    uint32_t page_values; /* non-null values of the page */
    bool has_nulls;       /* the page holds nulls; else its levels are not looked at */
    struct lam_slice levels;
    struct lam_slice values;
    struct pq_hybrid level_stream;
    struct pq_decoder decoder;
};

static enum lam_code bad_page(const struct parquet_cursor *c, struct lam_error *err,
                              const char *what) {
    return pq_corrupt(c->reader, c->page.offset, err, what);
}

static enum lam_code set_group(struct parquet_cursor *c, uint32_t group, struct lam_error *err) {
    c->group = group;
    c->rows = (uint32_t)c->reader->meta.groups[group].rows;
    c->row = 0;
    c->chunk = pq_reader_chunk(c->reader, group, c->field);
    c->pages = c->chunk->pages;
    c->page_count = c->chunk->page_count;
    c->has_page = false;
    c->dict.is_loaded = false;
    if (!c->pages) {
        TRY(pq_pages_walk(c->reader, c->chunk, c->rows, &c->walked, &c->walked_capacity,
                          &c->page_count, err));
        c->pages = c->walked;
    }
    return LAM_OK;
}

static enum lam_code check_text(const struct parquet_cursor *c, struct lam_slice s, uint64_t offset,
                                struct lam_error *err) {
    if (c->type != LAM_TYPE_TEXT && c->type != LAM_TYPE_JSON)
        return LAM_OK;
    if (!utf8_valid(s, NULL))
        return pq_corrupt(c->reader, offset, err, "Parquet text is not UTF-8");
    return LAM_OK;
}

static enum lam_code load_dictionary(struct parquet_cursor *c, struct lam_error *err) {
    const struct pq_chunk *m = c->chunk->meta;
    struct pq_dictionary *d = &c->dict;
    uint64_t limit = pq_chunk_end(m), bytes = 0;
    bool good;
    if (d->is_loaded)
        return LAM_OK;
    /* Some writers leave the dictionary's offset out and let the data begin with it. */
    uint64_t offset = (uint64_t)(m->dictionary_offset ? m->dictionary_offset : m->data_offset);
    if (m->dictionary_offset && m->dictionary_offset < m->data_offset)
        bytes = (uint64_t)(m->data_offset - m->dictionary_offset);
    TRY(pq_page_load(c->reader, m->codec, offset, bytes <= UINT32_MAX ? (uint32_t)bytes : 0, limit,
                     m->dictionary_offset ? c->chunk->page_hashes : NULL, &d->page, err));
    TRY(pq_dictionary_take(d, c->leaf, &good, err));
    if (!good)
        return pq_corrupt(c->reader, offset, err, "malformed Parquet dictionary");
    for (uint32_t i = 0; c->leaf->physical == PQ_BYTE_ARRAY && i < d->count; i++) {
        const uint8_t *p = d->page.body.data + d->starts[i];
        TRY(check_text(c, lam_slice_of(p + 4, get_le32(p)), offset, err));
    }
    d->is_loaded = true;
    return LAM_OK;
}

/* Counts the page's values by its definition levels, which also proves these sound. */
static bool count_values(struct parquet_cursor *c, uint32_t rows) {
    uint32_t levels[PQ_CHUNK_VALUES];
    struct pq_hybrid stream = pq_hybrid_of(c->levels, 1);
    c->page_values = 0;
    for (uint32_t done = 0; done < rows;) {
        uint32_t n = rows - done < PQ_CHUNK_VALUES ? rows - done : PQ_CHUNK_VALUES;
        if (!pq_hybrid_next(&stream, levels, n))
            return false;
        for (uint32_t i = 0; i < n; i++)
            c->page_values += levels[i];
        done += n;
    }
    return true;
}

/* Parts levels and values of the page at hand. */
static enum lam_code split_page(struct parquet_cursor *c, struct lam_error *err) {
    const struct pq_page_header *h = &c->page.header;
    struct lam_slice body = c->page.body;
    c->levels = c->page.levels;
    c->page_values = h->values;
    if (h->type == PQ_DATA_PAGE && c->leaf->optional) {
        if (h->levels != PQ_RLE)
            return pq_unsupported_page(c->reader, c->page.offset, err,
                                       "definition levels that are not RLE");
        if (body.size < 4 || get_le32(body.data) > body.size - 4)
            return bad_page(c, err, "Parquet levels are longer than their page");
        c->levels = lam_slice_of(body.data + 4, get_le32(body.data));
        body = lam_slice_of(c->levels.data + c->levels.size, body.size - 4 - c->levels.size);
    }
    c->values = body;
    if (c->leaf->optional && !count_values(c, h->values))
        return bad_page(c, err, "malformed Parquet definition levels");
    if (h->type == PQ_DATA_PAGE_V2 &&
        (h->rows != h->values || h->nulls != h->values - c->page_values))
        return bad_page(c, err, "Parquet page's counts do not agree");
    c->has_nulls = c->page_values < h->values;
    return LAM_OK;
}

/* Puts decoder and levels at the page's first row. */
static enum lam_code rewind_page(struct parquet_cursor *c, struct lam_error *err) {
    c->level_stream = pq_hybrid_of(c->levels, 1);
    c->page_row = c->page_first;
    if (!pq_decoder_start(&c->decoder, c->leaf, c->page.header.encoding, c->values, c->page_values,
                          c->dict.is_loaded ? &c->dict : NULL))
        return bad_page(c, err, "malformed values in a Parquet page");
    return LAM_OK;
}

/* The page that holds c->row. */
static uint32_t find_page(const struct parquet_cursor *c) {
    uint32_t low = 0, high = c->page_count;
    LAM_ASSERT(c->page_count > 0 && c->pages[0].first_row == 0);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (c->pages[middle].first_row <= c->row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A page's header is under no checksum, so that a damaged encoding might decode to other values.
 * Lamina's writer gives all pages of a chunk one encoding, which the footer names. */
static bool is_encoding_of(const struct parquet_reader *r, const struct pq_chunk *m,
                           enum pq_encoding encoding) {
    if (!r->is_ours)
        return true;
    if (m->dictionary_offset)
        return encoding == PQ_RLE_DICTIONARY;
    return (unsigned)encoding < 32 && (m->encodings & ~(1u << PQ_RLE)) == 1u << encoding;
}

static enum lam_code load_page(struct parquet_cursor *c, struct lam_error *err) {
    uint32_t index = find_page(c);
    const struct pq_page_ref *p = &c->pages[index];
    const struct pq_chunk *m = c->chunk->meta;
    const struct pq_page_header *h = &c->page.header;
    const uint8_t *hash = c->chunk->page_hashes;
    if (hash)
        hash += 8 * ((size_t)index + (m->dictionary_offset != 0));
    c->has_page = false;
    TRY(pq_page_load(c->reader, m->codec, p->offset, p->bytes, pq_chunk_end(m), hash, &c->page,
                     err));
    c->page_first = p->first_row;
    c->page_end = index + 1 < c->page_count ? c->pages[index + 1].first_row : c->rows;
    if (h->type != PQ_DATA_PAGE && h->type != PQ_DATA_PAGE_V2)
        return bad_page(c, err, "no Parquet data page where one should be");
    if (h->values != c->page_end - c->page_first)
        return bad_page(c, err, "Parquet page holds other rows than its index says");
    if (!is_encoding_of(c->reader, m, h->encoding))
        return bad_page(c, err, "Parquet page of another encoding than the footer says");
    if (!pq_decoder_knows(c->leaf, h->encoding))
        return ERR(err, LAM_UNSUPPORTED,
                   "%s: offset %llu: Parquet encoding %d of column \"%s\" is not supported",
                   c->reader->path, (unsigned long long)c->page.offset, (int)h->encoding,
                   c->leaf->name);
    TRY(split_page(c, err));
    if ((h->encoding == PQ_RLE_DICTIONARY || h->encoding == PQ_PLAIN_DICTIONARY) &&
        c->page_values > 0)
        TRY(load_dictionary(c, err));
    TRY(rewind_page(c, err));
    c->has_page = true;
    return LAM_OK;
}

/* Definition levels of the next `count` rows and how many are set. */
static bool next_levels(struct parquet_cursor *c, uint32_t *levels, uint32_t count,
                        uint32_t *values_out) {
    *values_out = count;
    if (!c->has_nulls)
        return true;
    if (!pq_hybrid_next(&c->level_stream, levels, count))
        return false;
    *values_out = 0;
    for (uint32_t i = 0; i < count; i++)
        *values_out += levels[i];
    return true;
}

/* Moves decoder and levels on to c->row, which lies in the page. */
static enum lam_code catch_up(struct parquet_cursor *c, struct lam_error *err) {
    uint32_t levels[PQ_CHUNK_VALUES], values;
    if (c->page_row > c->row)
        TRY(rewind_page(c, err));
    while (c->page_row < c->row) {
        uint32_t n = c->row - c->page_row;
        n = n < PQ_CHUNK_VALUES ? n : PQ_CHUNK_VALUES;
        if (!next_levels(c, levels, n, &values) || !pq_decoder_skip(&c->decoder, values))
            return bad_page(c, err, "malformed values in a Parquet page");
        c->page_row += n;
    }
    return LAM_OK;
}

static enum lam_code ready_page(struct parquet_cursor *c, struct lam_error *err) {
    LAM_ASSERT(c->row < c->rows);
    if (!c->has_page || c->row < c->page_first || c->row >= c->page_end)
        TRY(load_page(c, err));
    return catch_up(c, err);
}

/* Moves values that stand one after another to their rows, last first, and zeroes the others. */
static inline void spread(uint8_t *at, const uint32_t *levels, uint32_t rows, uint32_t values,
                          size_t width) {
    for (uint32_t i = rows; i-- > 0;) {
        if (levels[i])
            memmove(at + i * width, at + --values * width, width);
        else
            memset(at + i * width, 0, width);
    }
}

static void spread_fixed(uint8_t *at, const uint32_t *levels, uint32_t rows, uint32_t values,
                         size_t width) {
    if (width == 4)
        spread(at, levels, rows, values, 4);
    else if (width == 8)
        spread(at, levels, rows, values, 8);
    else
        spread(at, levels, rows, values, width);
}

static enum lam_code widen_decimals(const struct parquet_cursor *c, const uint8_t *from,
                                    uint32_t count, uint8_t *to, struct lam_error *err) {
    uint32_t width = pq_leaf_width(c->leaf);
    for (uint32_t i = 0; i < count; i++, from += width, to += 16) {
        int128 v = c->leaf->physical == PQ_INT32   ? (int32_t)get_le32(from)
                   : c->leaf->physical == PQ_INT64 ? (int64_t)get_le64(from)
                                                   : pq_decimal_load(from, width);
        if (!pq_decimal_fits(v, c->decimal_limit))
            return bad_page(c, err, "Parquet decimal with more digits than its type");
        memcpy(to, &v, 16);
    }
    return LAM_OK;
}

static enum lam_code narrow_smallints(const struct parquet_cursor *c, const uint8_t *from,
                                      uint32_t count, uint8_t *to, struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        int32_t v = (int32_t)get_le32(from + (size_t)i * 4);
        if (v < INT16_MIN || v > INT16_MAX)
            return bad_page(c, err, "Parquet value beyond 16 bits");
        put_le16(to + (size_t)i * 2, (uint16_t)v);
    }
    return LAM_OK;
}

static enum lam_code next_fixed(struct parquet_cursor *c, const uint32_t *levels, uint32_t rows,
                                uint32_t values, struct column *out, struct lam_error *err) {
    uint8_t room[PQ_CHUNK_VALUES * 16];
    size_t width = coltype_width(out->type.type);
    uint8_t *to = out->data + (size_t)out->rows * width;
    bool converts = c->type == LAM_TYPE_DECIMAL || c->type == LAM_TYPE_SMALLINT;
    if (!pq_decoder_fixed(&c->decoder, converts ? room : to, values))
        return bad_page(c, err, "malformed values in a Parquet page");
    if (c->type == LAM_TYPE_DECIMAL)
        TRY(widen_decimals(c, room, values, to, err));
    else if (c->type == LAM_TYPE_SMALLINT)
        TRY(narrow_smallints(c, room, values, to, err));
    if (values < rows)
        spread_fixed(to, levels, rows, values, width);
    return LAM_OK;
}

static enum lam_code next_bools(struct parquet_cursor *c, const uint32_t *levels, uint32_t rows,
                                uint32_t values, struct column *out, struct lam_error *err) {
    uint8_t bools[PQ_CHUNK_VALUES];
    uint32_t at = 0;
    if (!pq_decoder_bools(&c->decoder, bools, values))
        return bad_page(c, err, "malformed values in a Parquet page");
    for (uint32_t i = 0; i < rows; i++)
        if ((values == rows || levels[i]) && bools[at++])
            bitmap_set(out->data, (size_t)out->rows + i);
    return LAM_OK;
}

/* The text that was appended from `start` on, as one run; each value must begin a character. */
static enum lam_code check_appended(const struct parquet_cursor *c, const struct column *out,
                                    uint32_t rows, struct lam_error *err) {
    int32_t start = out->offsets[out->rows], end = out->offsets[out->rows + rows];
    TRY(check_text(c, lam_slice_of(out->data + start, (size_t)(end - start)), c->page.offset, err));
    for (uint32_t i = 0; i < rows; i++) {
        int32_t at = out->offsets[out->rows + i];
        if (at < end && (out->data[at] & 0xc0) == 0x80)
            return bad_page(c, err, "Parquet text is not UTF-8");
    }
    return LAM_OK;
}

static enum lam_code next_variable(struct parquet_cursor *c, const uint32_t *levels, uint32_t rows,
                                   uint32_t values, struct column *out, struct lam_error *err) {
    struct lam_slice slices[PQ_CHUNK_VALUES];
    int32_t *offsets = out->offsets + out->rows;
    size_t bytes = (size_t)offsets[0];
    uint32_t at = 0;
    if (!pq_decoder_slices(&c->decoder, slices, values))
        return bad_page(c, err, "malformed values in a Parquet page");
    for (uint32_t i = 0; i < values; i++)
        bytes += slices[i].size;
    if (bytes > INT32_MAX)
        return ERR(err, LAM_LIMIT, "column of %zu variable bytes, at most %d are possible", bytes,
                   INT32_MAX);
    TRY(MEM_GROW(&out->data, &out->data_capacity, bytes + !bytes, err));
    for (uint32_t i = 0; i < rows; i++) {
        offsets[i + 1] = offsets[i];
        if (values < rows && !levels[i])
            continue;
        struct lam_slice s = slices[at++];
        if (s.size)
            memcpy(out->data + offsets[i], s.data, s.size);
        offsets[i + 1] += (int32_t)s.size;
    }
    bool is_checked = c->decoder.encoding == PQ_RLE_DICTIONARY;
    bool is_text = c->type == LAM_TYPE_TEXT || c->type == LAM_TYPE_JSON;
    return is_text && !is_checked ? check_appended(c, out, rows, err) : LAM_OK;
}

static void put_validity(struct column *out, const uint32_t *levels, uint32_t rows,
                         uint32_t values) {
    if (out->validity)
        for (uint32_t i = 0; i < rows; i++)
            if (values == rows || levels[i])
                bitmap_set(out->validity, (size_t)out->rows + i);
    out->rows += rows;
    out->null_count += rows - values;
}

/* Appends rows of the page at hand, at most PQ_CHUNK_VALUES. */
static enum lam_code next_rows(struct parquet_cursor *c, uint32_t rows, struct column *out,
                               struct lam_error *err) {
    uint32_t levels[PQ_CHUNK_VALUES], values;
    if (!next_levels(c, levels, rows, &values) || values > c->decoder.left)
        return bad_page(c, err, "malformed Parquet definition levels");
    TRY(column_reserve(out, rows, values < rows, err));
    if (c->leaf->physical == PQ_BOOLEAN)
        TRY(next_bools(c, levels, rows, values, out, err));
    else if (c->leaf->physical == PQ_BYTE_ARRAY)
        TRY(next_variable(c, levels, rows, values, out, err));
    else
        TRY(next_fixed(c, levels, rows, values, out, err));
    put_validity(out, levels, rows, values);
    c->page_row += rows;
    c->row += rows;
    return LAM_OK;
}

static enum lam_code check_column(const struct parquet_cursor *c, const struct column *out,
                                  struct lam_error *err) {
    const struct parquet_field *f = &c->reader->fields[c->field];
    bool is_text = c->type == LAM_TYPE_TEXT || c->type == LAM_TYPE_JSON;
    bool suits = out->type.type == c->type || (is_text && coltype_is_variable(out->type.type));
    if (c->type == LAM_TYPE_DECIMAL)
        suits &= out->type.scale == f->type.scale;
    if (!suits)
        return ERR(err, LAM_INVALID, "%s: column of type %d for field \"%s\" of type %d",
                   c->reader->path, (int)out->type.type, f->name, (int)c->type);
    return LAM_OK;
}

enum lam_code parquet_cursor_open(const struct parquet_reader *r, uint32_t group, uint32_t field,
                                  struct parquet_cursor **cursor_out, struct lam_error *err) {
    *cursor_out = NULL;
    TRY(pq_check_rows(r, group, field, 0, 0, err));
    OWNED(parquet_cursor_close_at) struct parquet_cursor *c = mem_calloc(1, sizeof *c);
    if (!c)
        return mem_fail(err, sizeof *c);
    c->reader = r;
    c->field = field;
    c->leaf = &r->meta.leaves[field];
    c->type = r->fields[field].type.type;
    if (c->type == LAM_TYPE_DECIMAL)
        c->decimal_limit = pq_power_of_ten(r->fields[field].type.precision);
    TRY(set_group(c, group, err));
    *cursor_out = c;
    c = NULL;
    return LAM_OK;
}

void parquet_cursor_close(struct parquet_cursor *c) {
    if (!c)
        return;
    pq_dictionary_fini(&c->dict);
    pq_page_fini(&c->page);
    mem_free(c->walked);
    mem_free(c);
}

enum lam_code parquet_cursor_seek(struct parquet_cursor *c, uint32_t group, uint32_t row,
                                  struct lam_error *err) {
    TRY(pq_check_rows(c->reader, group, c->field, row, 0, err));
    if (group != c->group || !c->pages)
        TRY(set_group(c, group, err));
    c->row = row;
    return LAM_OK;
}

static enum lam_code next_in_page(struct parquet_cursor *c, uint32_t count, struct column *out,
                                  struct lam_error *err) {
    TRY(ready_page(c, err));
    uint32_t rows = c->page_end - c->row;
    rows = rows < count ? rows : count;
    return next_rows(c, rows < PQ_CHUNK_VALUES ? rows : PQ_CHUNK_VALUES, out, err);
}

enum lam_code parquet_cursor_next(struct parquet_cursor *c, uint32_t count, struct column *out,
                                  struct lam_error *err) {
    TRY(pq_check_rows(c->reader, c->group, c->field, c->row, count, err));
    TRY(check_column(c, out, err));
    for (uint32_t end = c->row + count; c->row < end;) {
        enum lam_code rc = next_in_page(c, end - c->row, out, err);
        if (rc != LAM_OK)
            /* Whatever state the decoders are in, the next call starts the page anew. */
            c->has_page = false;
        TRY(rc);
    }
    return LAM_OK;
}

enum lam_code parquet_reader_read(const struct parquet_reader *r, uint32_t group, uint32_t field,
                                  uint32_t first, uint32_t count, struct column *out,
                                  struct lam_error *err) {
    OWNED(parquet_cursor_close_at) struct parquet_cursor *c = NULL;
    TRY(pq_check_rows(r, group, field, first, count, err));
    TRY(parquet_cursor_open(r, group, field, &c, err));
    TRY(parquet_cursor_seek(c, group, first, err));
    return parquet_cursor_next(c, count, out, err);
}
