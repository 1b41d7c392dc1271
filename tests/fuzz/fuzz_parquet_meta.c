/* SPDX-License-Identifier: Apache-2.0
 *
 * Parquet's Thrift structs by themselves: footer, page header, offset and column index, header of a
 * bloom filter. What is taken encodes to bytes that are taken again and say the same. Also the
 * streams inside of pages: hybrid runs and deltas, against a second way of decoding them. */
#include "flush/parquet/delta.h"
#include "flush/parquet/hybrid.h"
#include "flush/parquet/meta.h"
#include "tests/fuzz/fuzz.h"

#define VALUES_MAX 600

static void try_footer(struct lam_slice bytes) {
    struct arena arena = {0};
    struct pq_meta m, n;
    struct buf again = {0}, third = {0};
    enum lam_code rc = pq_meta_decode(bytes, "fuzz", 0, &arena, &m, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    /* The encoder writes what the writer makes: no bounds of NULL, counts that fit. */
    if (rc == LAM_OK && m.leaf_count > 0 && m.pair_count == 0 &&
        pq_meta_encode(&m, &again, NULL) == LAM_OK &&
        pq_meta_decode(buf_slice(&again), "fuzz", 0, &arena, &n, NULL) == LAM_OK) {
        REQUIRE(n.leaf_count == m.leaf_count && n.group_count == m.group_count && n.rows == m.rows);
        REQUIRE(pq_meta_encode(&n, &third, NULL) == LAM_OK);
    }
    buf_fini(&again);
    buf_fini(&third);
    arena_fini(&arena);
}

static void try_page_header(struct lam_slice bytes) {
    struct pq_page_header h, again;
    struct buf out = {0};
    size_t size, size_again;
    if (pq_page_header_decode(bytes, &h, &size)) {
        REQUIRE(size <= bytes.size);
        if (h.type == PQ_DATA_PAGE || h.type == PQ_DICTIONARY_PAGE) {
            fuzz_ok(pq_page_header_encode(&h, &out, NULL), NULL);
            REQUIRE(pq_page_header_decode(buf_slice(&out), &again, &size_again));
            REQUIRE(size_again == out.size && again.values == h.values && again.type == h.type);
            REQUIRE(again.uncompressed_bytes == h.uncompressed_bytes);
        }
    }
    buf_fini(&out);
}

static void try_offset_index(struct lam_slice bytes) {
    struct arena arena = {0};
    struct pq_page_ref *pages, *again;
    uint32_t count, recount;
    struct buf out = {0};
    if (pq_offset_index_decode(bytes, &arena, &pages, &count)) {
        REQUIRE(count <= bytes.size);
        bool small = true;
        for (uint32_t i = 0; i < count; i++)
            small = small && pages[i].bytes <= INT32_MAX;
        fuzz_ok(pq_offset_index_encode(pages, count, &out, NULL), NULL);
        if (small) {
            REQUIRE(pq_offset_index_decode(buf_slice(&out), &arena, &again, &recount));
            REQUIRE(recount == count && memcmp(pages, again, count * sizeof *pages) == 0);
        }
    }
    buf_fini(&out);
    arena_fini(&arena);
}

static void try_column_index(struct lam_slice bytes) {
    struct arena arena = {0};
    struct pq_page_stats *pages, *again;
    uint32_t count, recount;
    struct buf out = {0};
    if (pq_column_index_decode(bytes, &arena, &pages, &count)) {
        REQUIRE(count <= bytes.size);
        fuzz_ok(pq_column_index_encode(pages, count, PQ_UNORDERED, &out, NULL), NULL);
        REQUIRE(pq_column_index_decode(buf_slice(&out), &arena, &again, &recount));
        REQUIRE(recount == count);
        for (uint32_t i = 0; i < count; i++)
            REQUIRE(pages[i].is_null == again[i].is_null && slice_eq(pages[i].min, again[i].min) &&
                    slice_eq(pages[i].max, again[i].max));
    }
    buf_fini(&out);
    arena_fini(&arena);
}

static void try_bloom_header(struct lam_slice bytes) {
    uint32_t filter, filter_again;
    size_t size, size_again;
    struct buf out = {0};
    if (pq_bloom_header_decode(bytes, &filter, &size)) {
        REQUIRE(size <= bytes.size && filter % 32 == 0);
        fuzz_ok(pq_bloom_header_encode(filter, &out, NULL), NULL);
        REQUIRE(pq_bloom_header_decode(buf_slice(&out), &filter_again, &size_again));
        REQUIRE(filter_again == filter || filter > INT32_MAX);
    }
    buf_fini(&out);
}

/* Decodes a stream of runs in one go and in steps. */
static void try_hybrid(struct cursor *c) {
    uint32_t width = cursor_u8(c) % 33, whole[VALUES_MAX], pieces[VALUES_MAX];
    size_t count = cursor_le16(c) % VALUES_MAX + 1, step = cursor_u8(c) % 17 + 1, done = 0;
    struct lam_slice bytes = fuzz_rest(c);
    struct pq_hybrid one = pq_hybrid_of(bytes, width), many = pq_hybrid_of(bytes, width);
    bool good = pq_hybrid_next(&one, whole, count), still = true;
    while (done < count && still) {
        size_t n = count - done < step ? count - done : step;
        still = pq_hybrid_next(&many, pieces + done, n);
        done += n;
    }
    REQUIRE(good == still);
    for (size_t i = 0; good && i < count; i++) {
        REQUIRE(whole[i] == pieces[i]);
        REQUIRE(width == 32 || whole[i] >> width == 0);
    }
    struct buf again = {0};
    if (good && width > 0) {
        fuzz_ok(pq_hybrid_encode(whole, count, width, &again, NULL), NULL);
        struct pq_hybrid back = pq_hybrid_of(buf_slice(&again), width);
        REQUIRE(pq_hybrid_next(&back, pieces, count));
        REQUIRE(memcmp(whole, pieces, count * sizeof *whole) == 0);
    }
    buf_fini(&again);
}

static void try_delta(struct cursor *c) {
    static int64_t whole[VALUES_MAX], pieces[VALUES_MAX];
    size_t width = cursor_u8(c) & 1 ? 4 : 8, step = cursor_u8(c) % 17 + 1;
    size_t count = cursor_le16(c) % VALUES_MAX + 1, done = 0;
    struct lam_slice bytes = fuzz_rest(c);
    struct pq_delta one, many;
    if (!pq_delta_start(&one, bytes, width))
        return;
    REQUIRE(pq_delta_start(&many, bytes, width));
    bool good = pq_delta_next(&one, whole, count), still = true;
    while (done < count && still) {
        size_t n = count - done < step ? count - done : step;
        still = pq_delta_next(&many, pieces + done, n);
        done += n;
    }
    REQUIRE(good == still);
    REQUIRE(!good || memcmp(whole, pieces, count * sizeof *whole) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    switch (cursor_u8(&c) % 7) {
    case 0:
        try_footer(fuzz_rest(&c));
        break;
    case 1:
        try_page_header(fuzz_rest(&c));
        break;
    case 2:
        try_offset_index(fuzz_rest(&c));
        break;
    case 3:
        try_column_index(fuzz_rest(&c));
        break;
    case 4:
        try_bloom_header(fuzz_rest(&c));
        break;
    case 5:
        try_hybrid(&c);
        break;
    default:
        try_delta(&c);
        break;
    }
    return 0;
}
