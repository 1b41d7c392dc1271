/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of an SST apart from each other: footer, properties, range tombstones, index, data
 * block. What is taken encodes to the very same bytes, and searching agrees with a walk. */
#include "base/hash.h"
#include "lsm/block_reader.h"
#include "lsm/sst_format.h"
#include "lsm/sst_index.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t db_id[16] = "0123456789abcdef";

#define NUMBER 31
#define EACH   256 /* searches a part at most: the walks that they are compared with are linear */

static void try_footer(struct cursor *c) {
    struct sst_footer f;
    uint8_t bytes[SST_FOOTER_BYTES] = {0}, again[SST_FOOTER_BYTES] = {0};
    uint64_t file_bytes = cursor_le16(c);
    struct lam_slice given = fuzz_take(c, sizeof bytes - 8);
    memcpy(bytes, "LAMSST\r\n\1\0\0\0\x80\0\0", 16);
    memcpy(bytes + 16, db_id, 16);
    put_le64(bytes + 32, NUMBER);
    for (size_t i = 0; i < given.size; i++)
        bytes[i] ^= given.data[i];
    uint64_t seed = sst_file_seed(bytes + 16, get_le64(bytes + 32));
    put_le64(bytes + sizeof bytes - 8, hash_xxh3(bytes, sizeof bytes - 8, seed));
    enum lam_code rc = sst_footer_decode(bytes, db_id, NUMBER, file_bytes, &f, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    if (rc != LAM_OK)
        return;
    REQUIRE(f.properties.offset + f.properties.size + SST_FOOTER_BYTES == file_bytes);
    sst_footer_encode(&f, again);
    REQUIRE(memcmp(again, bytes, sizeof again) == 0);
}

static void try_properties(struct lam_slice bytes) {
    struct sst_properties p;
    struct sst_bounds b;
    struct buf again = {0};
    if (sst_properties_decode(bytes, &p, &b, NULL) == LAM_OK) {
        REQUIRE(p.deletes <= p.entries && p.sequence_max <= LAM_SEQUENCE_MAX);
        REQUIRE(sst_properties_encode(&p, &b, &again, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&again), bytes));
    }
    buf_fini(&again);
}

static void try_ranges(struct lam_slice bytes) {
    struct range_tombstone *ranges;
    size_t count;
    struct buf again = {0};
    if (sst_ranges_decode(bytes, &ranges, &count, NULL) == LAM_OK) {
        for (size_t i = 0; i < count; i++)
            REQUIRE(ranges[i].to.size == 0 || slice_cmp(ranges[i].from, ranges[i].to) < 0);
        REQUIRE(sst_ranges_encode(ranges, count, &again, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&again), bytes));
        mem_free(ranges);
    }
    buf_fini(&again);
}

/* The last block at or before a place, by trying all. */
static uint32_t walk_index(const struct sst_index *x, struct lam_slice key, uint64_t sequence) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < x->count; i++)
        if (sst_index_cmp(x, i, key, sequence) <= 0)
            found = i;
    return found;
}

/* One by one or side by side, a place is the same. */
static void expect_place(struct sst_index_ask *asks, size_t n, uint64_t sequence) {
    sst_index_find_many(asks, n, sequence);
    for (size_t i = 0; i < n; i++)
        REQUIRE(asks[i].block == sst_index_find(asks[i].index, asks[i].key, sequence));
}

static void try_index(struct cursor *c) {
    struct sst_index x;
    struct buf key = {0};
    struct buf keys = {0};
    struct sst_index_ask asks[EACH];
    uint32_t asked = 0;
    uint64_t data_bytes = cursor_le16(c);
    struct lam_slice probe = fuzz_take(c, cursor_u8(c) % 8);
    if (sst_index_decode(fuzz_rest(c), data_bytes, 1u << 20, &x, NULL) != LAM_OK)
        return;
    REQUIRE(x.offsets[x.count] == data_bytes);
    for (uint32_t i = 0; i < x.count && i < EACH; i++) {
        uint64_t sequence = x.sequences ? x.sequences[i] : SST_INDEX_NO_SEQUENCE;
        buf_reset(&key);
        fuzz_put(&key, x.prefix.data, x.prefix.size);
        fuzz_put(&key, x.keys[i].data, x.keys[i].size);
        REQUIRE(sst_index_find(&x, buf_slice(&key), sequence) == i);
        fuzz_put(&key, probe.data, probe.size);
        REQUIRE(sst_index_find(&x, buf_slice(&key), 7) == walk_index(&x, buf_slice(&key), 7));
        REQUIRE(sst_index_continues(&x, i, buf_slice(&key)) ==
                (sequence != SST_INDEX_NO_SEQUENCE && probe.size == 0));
        /* Every fourth without the prefix. */
        struct lam_slice whole = i % 4 ? buf_slice(&key) : x.keys[i];
        fuzz_put(&keys, whole.data, whole.size);
        asks[asked++] = (struct sst_index_ask){.index = &x, .key.size = whole.size};
    }
    for (uint32_t i = 0, at = 0; i < asked; at += (uint32_t)asks[i++].key.size)
        asks[i].key.data = asks[i].key.size > 0 ? keys.data + at : NULL;
    expect_place(asks, asked, 7);
    expect_place(asks, asked, SST_INDEX_NO_SEQUENCE);
    if (x.count > 0 && x.count < EACH)
        REQUIRE(sst_index_find(&x, probe, 3) == walk_index(&x, probe, 3));
    buf_fini(&key);
    buf_fini(&keys);
    sst_index_fini(&x);
}

static void put_key(const struct block_view *v, const struct block_entry *e, struct buf *out) {
    buf_reset(out);
    fuzz_put(out, v->prefix.data, v->prefix.size);
    fuzz_put(out, e->suffix.data, e->suffix.size);
}

/* Searches a block whose entries stand in order. */
static void search_block(const struct block_view *v, struct lam_slice probe) {
    struct buf key = {0}, other = {0};
    struct block_entry e, hit;
    uint32_t below = 0;
    bool found = false;
    for (uint32_t i = 0; i < v->count; i++) {
        block_view_entry(v, i, &e);
        put_key(v, &e, &key);
        if (i < EACH)
            REQUIRE(block_view_lower_bound(v, buf_slice(&key), e.sequence) == i);
        below += entry_cmp(buf_slice(&key), e.sequence, probe, 9) < 0;
        found = found || (slice_eq(buf_slice(&key), probe) && e.sequence <= 9 && v->tags[i] == 7);
    }
    REQUIRE(block_view_lower_bound(v, probe, 9) == below);
    bool hits = block_view_find(v, probe, block_view_tagged(v, 7), 9, &hit);
    REQUIRE(hits == found);
    if (hits)
        put_key(v, &hit, &other);
    REQUIRE(!hits || (hit.sequence <= 9 && slice_eq(buf_slice(&other), probe)));
    buf_fini(&key);
    buf_fini(&other);
}

static void try_block(struct cursor *c) {
    struct lam_slice probe = fuzz_take(c, cursor_u8(c) % 8);
    struct block_view v;
    struct block_entry e, before = {0};
    struct buf scratch = {0};
    bool sorted = true;
    if (block_view_parse(fuzz_rest(c), &v, NULL) != LAM_OK)
        return;
    for (uint32_t i = 0; i < v.count; i++) {
        block_view_entry(&v, i, &e);
        REQUIRE(e.suffix.size + v.prefix.size <= v.max_key_bytes);
        REQUIRE(e.sequence >= v.base_sequence && e.sequence <= LAM_SEQUENCE_MAX);
        hash_xxh3(e.value.data, e.value.size, 0);
        if (i > 0)
            sorted = sorted && entry_cmp(before.suffix, before.sequence, e.suffix, e.sequence) < 0;
        before = e;
    }
    if (sorted)
        search_block(&v, probe);
    else
        REQUIRE(block_view_lower_bound(&v, probe, 9) <= v.count);
    buf_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    switch (cursor_u8(&c) % 5) {
    case 0:
        try_footer(&c);
        break;
    case 1:
        try_properties(fuzz_rest(&c));
        break;
    case 2:
        try_ranges(fuzz_rest(&c));
        break;
    case 3:
        try_index(&c);
        break;
    default:
        try_block(&c);
        break;
    }
    return 0;
}
