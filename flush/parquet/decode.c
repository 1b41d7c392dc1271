/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders for each encoding. Counts come from the page's header and have been held against the
 * row group; sizes are checked here, as far as an encoding tells them up front. */
#include "flush/parquet/decode.h"

#include "base/assert.h"
#include "flush/parquet/schema.h"

void pq_dictionary_fini(struct pq_dictionary *d) {
    pq_page_fini(&d->page);
    mem_free(d->starts);
    *d = (struct pq_dictionary){0};
}

static enum lam_code find_starts(struct pq_dictionary *d, bool *good_out, struct lam_error *err) {
    struct cursor in = cursor_of(d->page.body);
    *good_out = false;
    if (d->count > d->page.body.size / 4)
        return LAM_OK;
    TRY(MEM_GROW(&d->starts, &d->starts_capacity, (size_t)d->count + 1, err));
    for (uint32_t i = 0; i < d->count; i++) {
        d->starts[i] = (uint32_t)cursor_offset(&in);
        uint32_t size = cursor_le32(&in);
        (void)cursor_bytes(&in, size);
    }
    *good_out = !in.failed && cursor_left(&in) == 0;
    return LAM_OK;
}

enum lam_code pq_dictionary_take(struct pq_dictionary *d, const struct pq_leaf *leaf,
                                 bool *good_out, struct lam_error *err) {
    const struct pq_page_header *h = &d->page.header;
    uint32_t width = pq_leaf_width(leaf);
    *good_out = false;
    if (h->type != PQ_DICTIONARY_PAGE ||
        (h->encoding != PQ_PLAIN && h->encoding != PQ_PLAIN_DICTIONARY))
        return LAM_OK;
    d->count = h->values;
    if (leaf->physical == PQ_BYTE_ARRAY)
        return find_starts(d, good_out, err);
    *good_out = width > 0 && (uint64_t)d->count * width == d->page.body.size;
    return LAM_OK;
}

bool pq_decoder_knows(const struct pq_leaf *leaf, enum pq_encoding encoding) {
    switch (encoding) {
    case PQ_PLAIN:
        return true;
    case PQ_PLAIN_DICTIONARY:
    case PQ_RLE_DICTIONARY:
        return leaf->physical != PQ_BOOLEAN;
    case PQ_DELTA_BINARY_PACKED:
        return leaf->physical == PQ_INT32 || leaf->physical == PQ_INT64;
    case PQ_RLE:
        return leaf->physical == PQ_BOOLEAN;
    case PQ_BIT_PACKED:
    default:
        return false;
    }
}

static bool start_plain(struct pq_decoder *d, struct lam_slice body) {
    d->at = body.data;
    d->end = body.data ? body.data + body.size : NULL;
    d->bit = 0;
    if (d->physical == PQ_BYTE_ARRAY)
        return d->left > 0 || body.size == 0;
    if (d->physical == PQ_BOOLEAN)
        return ((uint64_t)d->left + 7) / 8 == body.size;
    return (uint64_t)d->left * d->width == body.size;
}

static bool start_dictionary(struct pq_decoder *d, struct lam_slice body) {
    if (body.size == 0 || !d->dict)
        return d->left == 0;
    if (body.data[0] > 32)
        return false;
    d->codes = pq_hybrid_of(lam_slice_of(body.data + 1, body.size - 1), body.data[0]);
    /* Indexes of no bits into a dictionary of one entry: some writers leave the runs out. */
    if (body.data[0] == 0)
        d->codes.repeats = d->left;
    return true;
}

static bool start_rle(struct pq_decoder *d, struct lam_slice body) {
    if (body.size < 4 || get_le32(body.data) != body.size - 4)
        return false;
    d->codes = pq_hybrid_of(lam_slice_of(body.data + 4, body.size - 4), 1);
    return true;
}

bool pq_decoder_start(struct pq_decoder *d, const struct pq_leaf *leaf, enum pq_encoding encoding,
                      struct lam_slice body, uint32_t values, const struct pq_dictionary *dict) {
    LAM_ASSERT(pq_decoder_knows(leaf, encoding));
    if (encoding == PQ_PLAIN_DICTIONARY)
        encoding = PQ_RLE_DICTIONARY;
    *d = (struct pq_decoder){.encoding = encoding,
                             .physical = leaf->physical,
                             .width = pq_leaf_width(leaf),
                             .left = values,
                             .dict = dict};
    switch (encoding) {
    case PQ_PLAIN:
        return start_plain(d, body);
    case PQ_RLE_DICTIONARY:
        return start_dictionary(d, body);
    case PQ_DELTA_BINARY_PACKED:
        return pq_delta_start(&d->delta, body, d->width) && d->delta.total == values;
    case PQ_RLE:
        return start_rle(d, body);
    case PQ_PLAIN_DICTIONARY:
    case PQ_BIT_PACKED:
        break;
    }
    UNREACHABLE();
}

static bool next_codes(struct pq_decoder *d, uint32_t *codes, uint32_t count) {
    uint32_t greatest = 0;
    if (!pq_hybrid_next(&d->codes, codes, count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        greatest = codes[i] > greatest ? codes[i] : greatest;
    return count == 0 || greatest < d->dict->count;
}

static inline void gather(const uint8_t *entries, const uint32_t *codes, uint32_t count,
                          uint32_t width, uint8_t *out) {
    for (uint32_t i = 0; i < count; i++, out += width)
        memcpy(out, entries + (size_t)codes[i] * width, width);
}

static bool fixed_from_dictionary(struct pq_decoder *d, uint8_t *out, uint32_t count) {
    uint32_t codes[PQ_CHUNK_VALUES];
    const uint8_t *entries = d->dict->page.body.data;
    if (!next_codes(d, codes, count))
        return false;
    if (d->width == 4)
        gather(entries, codes, count, 4, out);
    else if (d->width == 8)
        gather(entries, codes, count, 8, out);
    else
        gather(entries, codes, count, d->width, out);
    return true;
}

static bool fixed_from_delta(struct pq_decoder *d, uint8_t *out, uint32_t count) {
    int64_t values[PQ_CHUNK_VALUES];
    if (!pq_delta_next(&d->delta, values, count))
        return false;
    if (d->width == 8) {
        memcpy(out, values, (size_t)count * 8);
        return true;
    }
    for (uint32_t i = 0; i < count; i++)
        put_le32(out + (size_t)i * 4, (uint32_t)values[i]);
    return true;
}

bool pq_decoder_fixed(struct pq_decoder *d, uint8_t *out, uint32_t count) {
    LAM_ASSERT(count <= d->left && count <= PQ_CHUNK_VALUES && d->width > 0);
    d->left -= count;
    if (count == 0)
        return true;
    if (d->encoding == PQ_RLE_DICTIONARY)
        return fixed_from_dictionary(d, out, count);
    if (d->encoding == PQ_DELTA_BINARY_PACKED)
        return fixed_from_delta(d, out, count);
    memcpy(out, d->at, (size_t)count * d->width);
    d->at += (size_t)count * d->width;
    return true;
}

bool pq_decoder_bools(struct pq_decoder *d, uint8_t *out, uint32_t count) {
    uint32_t bits[PQ_CHUNK_VALUES];
    LAM_ASSERT(count <= d->left && count <= PQ_CHUNK_VALUES && d->physical == PQ_BOOLEAN);
    d->left -= count;
    if (d->encoding == PQ_PLAIN) {
        for (uint32_t i = 0; i < count; i++, d->bit++)
            out[i] = bitmap_get(d->at, d->bit);
        return true;
    }
    if (!pq_hybrid_next(&d->codes, bits, count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (uint8_t)bits[i];
    return true;
}

static bool slices_from_dictionary(struct pq_decoder *d, struct lam_slice *out, uint32_t count) {
    uint32_t codes[PQ_CHUNK_VALUES];
    const uint8_t *entries = d->dict->page.body.data;
    if (!next_codes(d, codes, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = entries + d->dict->starts[codes[i]];
        out[i] = lam_slice_of(p + 4, get_le32(p));
    }
    return true;
}

bool pq_decoder_slices(struct pq_decoder *d, struct lam_slice *out, uint32_t count) {
    LAM_ASSERT(count <= d->left && count <= PQ_CHUNK_VALUES && d->physical == PQ_BYTE_ARRAY);
    d->left -= count;
    if (count == 0)
        return true;
    if (d->encoding == PQ_RLE_DICTIONARY)
        return slices_from_dictionary(d, out, count);
    for (uint32_t i = 0; i < count; i++) {
        if ((size_t)(d->end - d->at) < 4)
            return false;
        uint32_t size = get_le32(d->at);
        if (size > (size_t)(d->end - d->at) - 4)
            return false;
        out[i] = lam_slice_of(d->at + 4, size);
        d->at += 4 + (size_t)size;
    }
    return d->left > 0 || d->at == d->end;
}

bool pq_decoder_skip(struct pq_decoder *d, uint32_t count) {
    struct lam_slice slices[PQ_CHUNK_VALUES];
    uint32_t codes[PQ_CHUNK_VALUES];
    int64_t values[PQ_CHUNK_VALUES];
    LAM_ASSERT(count <= d->left);
    if (d->encoding == PQ_PLAIN && d->physical != PQ_BYTE_ARRAY) {
        d->left -= count;
        d->bit += count;
        d->at += (size_t)count * d->width;
        return true;
    }
    while (count > 0) {
        uint32_t n = count < PQ_CHUNK_VALUES ? count : PQ_CHUNK_VALUES;
        bool good;
        if (d->encoding == PQ_PLAIN) {
            good = pq_decoder_slices(d, slices, n);
        } else {
            d->left -= n;
            good = d->encoding == PQ_DELTA_BINARY_PACKED ? pq_delta_next(&d->delta, values, n)
                                                         : pq_hybrid_next(&d->codes, codes, n);
        }
        if (!good)
            return false;
        count -= n;
    }
    return true;
}
