/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift to structs for what stands outside of the footer: page headers, offset and column indexes,
 * headers of bloom filters. */
#include "flush/parquet/meta.h"
#include "flush/parquet/thrift.h"

/* DataPageHeader, or DictionaryPageHeader, whose first two fields are the same. */
static void get_data_header(struct pq_thrift_reader *r, struct pq_page_header *h) {
    bool has_levels = r->id == 5;
    if (!pq_thrift_is_struct(r))
        return;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        if (r->id == 1)
            h->values = pq_thrift_get_u32(r);
        else if (r->id == 2)
            h->encoding = (enum pq_encoding)pq_thrift_get_u32(r);
        else if (r->id == 3 && has_levels)
            h->levels = (enum pq_encoding)pq_thrift_get_u32(r);
        else
            pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
}

static void get_data_header_v2(struct pq_thrift_reader *r, struct pq_page_header *h) {
    if (!pq_thrift_is_struct(r))
        return;
    h->is_compressed = true;
    h->levels = PQ_RLE;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        switch (r->id) {
        case 1:
            h->values = pq_thrift_get_u32(r);
            break;
        case 2:
            h->nulls = pq_thrift_get_u32(r);
            break;
        case 3:
            h->rows = pq_thrift_get_u32(r);
            break;
        case 4:
            h->encoding = (enum pq_encoding)pq_thrift_get_u32(r);
            break;
        case 5:
            h->definition_bytes = pq_thrift_get_u32(r);
            break;
        case 6:
            h->repetition_bytes = pq_thrift_get_u32(r);
            break;
        case 7:
            h->is_compressed = pq_thrift_get_bool(r);
            break;
        default:
            pq_thrift_skip(r);
        }
    }
    pq_thrift_leave(r, outer);
}

bool pq_page_header_decode(struct lam_slice bytes, struct pq_page_header *out, size_t *size_out) {
    struct pq_thrift_reader r = pq_thrift_reader_of(bytes);
    bool has_type = false, has_sizes[2] = {false, false};
    int16_t body = 0;
    *out = (struct pq_page_header){0};
    int16_t outer = pq_thrift_enter(&r);
    while (pq_thrift_next(&r)) {
        switch (r.id) {
        case 1:
            out->type = (enum pq_page_type)pq_thrift_get_u32(&r);
            has_type = true;
            break;
        case 2:
            out->uncompressed_bytes = pq_thrift_get_u32(&r);
            has_sizes[0] = true;
            break;
        case 3:
            out->compressed_bytes = pq_thrift_get_u32(&r);
            has_sizes[1] = true;
            break;
        case 4:
            out->crc = (uint32_t)pq_thrift_get_int(&r);
            out->has_crc = true;
            break;
        case 5:
        case 7:
            body = r.id;
            get_data_header(&r, out);
            break;
        case 8:
            body = r.id;
            get_data_header_v2(&r, out);
            break;
        default:
            pq_thrift_skip(&r);
        }
    }
    pq_thrift_leave(&r, outer);
    *size_out = cursor_offset(&r.in);
    int16_t expected = out->type == PQ_DATA_PAGE         ? 5
                       : out->type == PQ_DICTIONARY_PAGE ? 7
                       : out->type == PQ_DATA_PAGE_V2    ? 8
                                                         : 0;
    return !r.in.failed && has_type && has_sizes[0] && has_sizes[1] && body == expected;
}

static void get_page_ref(struct pq_thrift_reader *r, struct pq_page_ref *p) {
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        int64_t v = 0;
        if (r->id >= 1 && r->id <= 3)
            v = pq_thrift_get_int(r);
        else
            pq_thrift_skip(r);
        if (v < 0 || (r->id != 1 && v > UINT32_MAX))
            r->in.failed = true;
        else if (r->id == 1)
            p->offset = (uint64_t)v;
        else if (r->id == 2)
            p->bytes = (uint32_t)v;
        else if (r->id == 3)
            p->first_row = (uint32_t)v;
    }
    pq_thrift_leave(r, outer);
}

bool pq_offset_index_decode(struct lam_slice bytes, struct arena *a, struct pq_page_ref **pages_out,
                            uint32_t *count_out) {
    struct pq_thrift_reader r = pq_thrift_reader_of(bytes);
    bool found = false;
    *pages_out = NULL;
    *count_out = 0;
    int16_t outer = pq_thrift_enter(&r);
    while (pq_thrift_next(&r)) {
        if (r.id != 1 || found) {
            pq_thrift_skip(&r);
            continue;
        }
        found = true;
        *count_out = pq_thrift_get_list(&r, PQ_THRIFT_STRUCT);
        *pages_out = arena_calloc(a, *count_out ? *count_out : 1, sizeof **pages_out);
        if (!*pages_out)
            return true;
        for (uint32_t i = 0; i < *count_out && !r.in.failed; i++)
            get_page_ref(&r, &(*pages_out)[i]);
    }
    pq_thrift_leave(&r, outer);
    return !r.in.failed && found;
}

/* The lists of a ColumnIndex are parallel; the first one seen sets the length. */
static bool get_index_list(struct pq_thrift_reader *r, struct arena *a, enum pq_thrift_type type,
                           struct pq_page_stats **pages, uint32_t *count) {
    uint32_t n = pq_thrift_get_list(r, type);
    if (r->in.failed)
        return false;
    if (*pages) {
        if (n != *count)
            r->in.failed = true;
        return !r->in.failed;
    }
    *pages = arena_calloc(a, n ? n : 1, sizeof **pages);
    *count = n;
    for (uint32_t i = 0; i < n && *pages; i++)
        (*pages)[i].null_count = PQ_NONE;
    return *pages != NULL;
}

bool pq_column_index_decode(struct lam_slice bytes, struct arena *a,
                            struct pq_page_stats **pages_out, uint32_t *count_out) {
    struct pq_thrift_reader r = pq_thrift_reader_of(bytes);
    struct pq_page_stats *pages = NULL;
    uint32_t count = 0, lists = 0;
    int16_t outer = pq_thrift_enter(&r);
    while (pq_thrift_next(&r)) {
        enum pq_thrift_type type = r.id == 1   ? PQ_THRIFT_TRUE
                                   : r.id == 5 ? PQ_THRIFT_I64
                                               : PQ_THRIFT_BINARY;
        if (r.id != 1 && r.id != 2 && r.id != 3 && r.id != 5) {
            pq_thrift_skip(&r);
            continue;
        }
        lists |= 1u << r.id;
        if (!get_index_list(&r, a, type, &pages, &count))
            break;
        for (uint32_t i = 0; i < count && !r.in.failed; i++) {
            if (r.id == 1)
                pages[i].is_null = pq_thrift_get_item_bool(&r);
            else if (r.id == 2)
                pages[i].min = pq_thrift_get_item_binary(&r);
            else if (r.id == 3)
                pages[i].max = pq_thrift_get_item_binary(&r);
            else
                pages[i].null_count = pq_thrift_get_item_int(&r);
        }
    }
    pq_thrift_leave(&r, outer);
    *pages_out = pages;
    *count_out = count;
    if (!r.in.failed && lists && !pages)
        return true;
    return !r.in.failed && (lists & 0xe) == 0xe;
}

static bool get_first_choice(struct pq_thrift_reader *r) {
    bool first = false;
    if (!pq_thrift_is_struct(r))
        return false;
    int16_t outer = pq_thrift_enter(r);
    while (pq_thrift_next(r)) {
        first = r->id == 1;
        pq_thrift_skip(r);
    }
    pq_thrift_leave(r, outer);
    return first;
}

bool pq_bloom_header_decode(struct lam_slice bytes, uint32_t *bytes_out, size_t *size_out) {
    struct pq_thrift_reader r = pq_thrift_reader_of(bytes);
    uint32_t choices = 0;
    *bytes_out = 0;
    int16_t outer = pq_thrift_enter(&r);
    while (pq_thrift_next(&r)) {
        if (r.id == 1)
            *bytes_out = pq_thrift_get_u32(&r);
        else if (r.id >= 2 && r.id <= 4)
            choices += get_first_choice(&r);
        else
            pq_thrift_skip(&r);
    }
    pq_thrift_leave(&r, outer);
    *size_out = cursor_offset(&r.in);
    return !r.in.failed && choices == 3 && *bytes_out >= 32 && *bytes_out % 32 == 0;
}
