/* SPDX-License-Identifier: Apache-2.0
 *
 * Thrift to structs for what stands outside of the footer: page headers, offset and column indexes,
 * headers of bloom filters. */
#include "flush/parquet/meta.h"
#include "flush/parquet/thrift.h"

#define HEADER(id, get, member)                                                                    \
    { id, get, offsetof(struct pq_page_header, member), NULL, NULL }
static const struct pq_thrift_field dictionary_fields[] = {
    HEADER(1, PQ_GET_U32, values), HEADER(2, PQ_GET_U32, encoding), {0}};
static const struct pq_thrift_field data_fields[] = {HEADER(1, PQ_GET_U32, values),
                                                     HEADER(2, PQ_GET_U32, encoding),
                                                     HEADER(3, PQ_GET_U32, levels),
                                                     {0}};
static const struct pq_thrift_field data_v2_fields[] = {HEADER(1, PQ_GET_U32, values),
                                                        HEADER(2, PQ_GET_U32, nulls),
                                                        HEADER(3, PQ_GET_U32, rows),
                                                        HEADER(4, PQ_GET_U32, encoding),
                                                        HEADER(5, PQ_GET_U32, definition_bytes),
                                                        HEADER(6, PQ_GET_U32, repetition_bytes),
                                                        HEADER(7, PQ_GET_BOOL, is_compressed),
                                                        {0}};
static const struct pq_thrift_field header_fields[] = {
    HEADER(1, PQ_GET_U32, type),
    HEADER(2, PQ_GET_U32, uncompressed_bytes),
    HEADER(3, PQ_GET_U32, compressed_bytes),
    HEADER(4, PQ_GET_I32, crc),
    {5, PQ_GET_STRUCT, 0, NULL, data_fields},
    {7, PQ_GET_STRUCT, 0, NULL, dictionary_fields},
    {8, PQ_GET_STRUCT, 0, NULL, data_v2_fields},
    {0}};

bool pq_page_header_decode(struct lam_slice bytes, struct pq_page_header *out, size_t *size_out) {
    struct pq_thrift_reader r = pq_thrift_reader_of(bytes);
    *out = (struct pq_page_header){.is_compressed = true};
    uint64_t seen = pq_thrift_get_struct(&r, header_fields, out);
    *size_out = cursor_offset(&r.in);
    out->has_crc = pq_thrift_has(seen, 4);
    if (out->type == PQ_DATA_PAGE_V2)
        out->levels = PQ_RLE;
    /* Besides the sizes it has the header of its own type, and no other's. */
    uint64_t body = out->type == PQ_DATA_PAGE         ? 1u << 5
                    : out->type == PQ_DICTIONARY_PAGE ? 1u << 7
                    : out->type == PQ_DATA_PAGE_V2    ? 1u << 8
                                                      : 0;
    const uint64_t needed = 1u << 1 | 1u << 2 | 1u << 3, bodies = 1u << 5 | 1u << 7 | 1u << 8;
    return !r.in.failed && (seen & needed) == needed && body != 0 && (seen & bodies) == body;
}

#define REF(id, get, member)                                                                       \
    { id, get, offsetof(struct pq_page_ref, member), NULL, NULL }
static const struct pq_thrift_field ref_fields[] = {
    REF(1, PQ_GET_I64, offset), REF(2, PQ_GET_U32, bytes), REF(3, PQ_GET_U32, first_row), {0}};

static void get_page_ref(struct pq_thrift_reader *r, struct pq_page_ref *p) {
    pq_thrift_get_struct(r, ref_fields, p);
    if (p->offset > INT64_MAX)
        r->in.failed = true;
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

struct bloom_header {
    uint32_t bytes;
    uint32_t choices; /* unions with their first member, the one that is known */
};

static void count_choice(struct pq_thrift_reader *r, void *out) {
    struct bloom_header *h = out;
    if (pq_thrift_is_struct(r))
        h->choices += pq_thrift_get_choice(r) == 1;
}

bool pq_bloom_header_decode(struct lam_slice bytes, uint32_t *bytes_out, size_t *size_out) {
    static const struct pq_thrift_field fields[] = {
        {1, PQ_GET_U32, offsetof(struct bloom_header, bytes), NULL, NULL},
        {2, PQ_GET_CALL, 0, count_choice, NULL},
        {3, PQ_GET_CALL, 0, count_choice, NULL},
        {4, PQ_GET_CALL, 0, count_choice, NULL},
        {0}};
    struct pq_thrift_reader r = pq_thrift_reader_of(bytes);
    struct bloom_header h = {0};
    pq_thrift_get_struct(&r, fields, &h);
    *bytes_out = h.bytes;
    *size_out = cursor_offset(&r.in);
    return !r.in.failed && h.choices == 3 && h.bytes >= 32 && h.bytes % 32 == 0;
}
