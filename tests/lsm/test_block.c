/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "lamina/db.h"
#include "lsm/block_builder.h"
#include "lsm/block_format.h"
#include "lsm/block_reader.h"
#include "tests/lsm/entries.h"

static struct lam_error err;

static uint8_t tag_of(struct lam_slice key) {
    return block_tag(hash_xxh3(key.data, key.size, 9));
}

static void build(const struct model *m, struct buf *out) {
    struct block_builder b = {0};
    for (size_t i = 0; i < m->count; i++)
        ck_ok(block_builder_add(&b, &m->items[i], tag_of(m->items[i].key), i % 3 == 0, &err), &err);
    ck_ok(block_builder_finish(&b, out, &err), &err);
    block_builder_fini(&b);
}

static void expect_entry(const struct block_view *v, uint32_t i, const struct entry *e) {
    struct block_entry found;
    block_view_entry(v, i, &found);
    struct lam_slice key = e->key;
    ck_assert(slice_starts_with(key, v->prefix));
    struct lam_slice suffix = lam_slice_of(key.data + v->prefix.size, key.size - v->prefix.size);
    ck_assert(slice_eq(found.suffix, suffix));
    ck_assert(slice_eq(found.value, e->value));
    ck_assert_uint_eq(found.sequence, e->sequence);
    ck_assert_int_eq(found.kind, e->kind);
    ck_assert_uint_le(key.size, v->max_key_bytes);
}

static void expect_searches(const struct block_view *v, const struct model *m, struct lam_slice key,
                            uint64_t sequence) {
    struct block_view plain = *v;
    plain.heads = NULL;
    ck_assert_uint_eq(block_view_lower_bound(v, key, sequence),
                      model_lower_bound(m, key, sequence));
    ck_assert_uint_eq(block_view_lower_bound(&plain, key, sequence),
                      model_lower_bound(m, key, sequence));
    const struct entry *want = model_get(m, key, sequence);
    struct block_entry got;
    bool found = block_view_find(v, key, block_view_tagged(v, tag_of(key)), sequence, &got);
    ck_assert(found == (want != NULL));
    if (found) {
        ck_assert_uint_eq(got.sequence, want->sequence);
        ck_assert_int_eq(got.kind, want->kind);
        ck_assert(slice_eq(got.value, want->value));
    }
}

START_TEST(blocks_agree_with_a_sorted_array) {
    uint64_t seed = test_seed("blocks_agree_with_a_sorted_array");
    struct rng rng;
    rng_init(&rng, seed);
    for (int round = 0; round < 150; round++) {
        struct model_options o = {
            .count = 1 + rng_below(&rng, round % 20 ? 120 : 500),
            .key_max = 1 + rng_below(&rng, 12),
            .prefix = round % 2 ? "table/7/" : "",
            .alphabet = 2 + (unsigned)rng_below(&rng, 250),
            .value_max = rng_below(&rng, round % 10 ? 100 : 3000),
            .sequence_max = round % 3 ? 1000 : LAM_SEQUENCE_MAX,
            .versions = 1 + (unsigned)rng_below(&rng, 5),
        };
        struct model m;
        model_make(&m, &rng, &o);
        struct buf bytes = {0};
        build(&m, &bytes);
        struct block_view v;
        ck_ok(block_view_parse(buf_slice(&bytes), &v, &err), &err);
        ck_assert_uint_eq(v.count, m.count);
        struct block_heads heads;
        block_heads_make(&heads, &v);
        v.heads = &heads;
        for (uint32_t i = 0; i < v.count; i++)
            expect_entry(&v, i, &m.items[i]);
        for (size_t i = 0; i < m.count; i++) {
            const struct entry *e = &m.items[i];
            expect_searches(&v, &m, e->key, e->sequence);
            expect_searches(&v, &m, e->key, e->sequence + 1);
            expect_searches(&v, &m, e->key, e->sequence - (e->sequence > 0));
            expect_searches(&v, &m, e->key, UINT64_MAX);
        }
        o.key_max += 2;
        for (int i = 0; i < 60; i++)
            expect_searches(&v, &m, model_key(&rng, &m.arena, &o), rng_below(&rng, 1000));
        expect_searches(&v, &m, lam_slice_str("a"), 5);
        expect_searches(&v, &m, lam_slice_str("zzzzzzzzzzz"), 5);
        expect_searches(&v, &m, lam_slice_str("table"), 5);
        buf_fini(&bytes);
        model_fini(&m);
    }
}
END_TEST

/* Uses all that a parsed block offers; sanitizers watch. */
static void walk(const struct block_view *v) {
    for (uint32_t i = 0; i < v->count; i++) {
        struct block_entry e;
        block_view_entry(v, i, &e);
        ck_assert(e.suffix.size + v->prefix.size <= v->max_key_bytes);
        ck_assert(e.value.size <= v->entries_bytes);
        ck_assert(e.sequence <= LAM_SEQUENCE_MAX);
        hash_xxh3(e.value.data, e.value.size, 0);
    }
    struct block_view with = *v;
    struct block_heads heads;
    block_heads_make(&heads, v);
    with.heads = &heads;
    ck_assert_uint_le(block_view_lower_bound(v, lam_slice_str("table/7/abc"), 5), v->count);
    ck_assert_uint_le(block_view_lower_bound(&with, lam_slice_str("table/7/abc"), 5), v->count);
}

START_TEST(any_bytes_parse_safely_or_are_corrupt) {
    uint64_t seed = test_seed("any_bytes_parse_safely_or_are_corrupt");
    struct rng rng;
    rng_init(&rng, seed);
    struct model_options o = {20, 6, "table/7/", 4, 10, 300, 3};
    struct model m;
    model_make(&m, &rng, &o);
    struct buf bytes = {0};
    build(&m, &bytes);
    struct block_view v;
    uint64_t refused = 0;
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        /* A copy of exact size, so that a sanitizer sees any read past its end. */
        uint8_t *copy = malloc(bytes.size);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, bytes.data, bytes.size);
        enum lam_code rc = block_view_parse(lam_slice_of(copy, bytes.size), &v, &err);
        ck_assert(rc == LAM_OK || rc == LAM_CORRUPT);
        if (rc == LAM_OK)
            walk(&v);
        refused += rc == LAM_CORRUPT;
        free(copy);
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    ck_assert_uint_gt(refused, 200);
    for (size_t size = 0; size < bytes.size; size++)
        ck_code(block_view_parse(lam_slice_of(bytes.data, size), &v, &err), LAM_CORRUPT);
    buf_fini(&bytes);
    model_fini(&m);
}
END_TEST

START_TEST(large_value_makes_wide_offsets) {
    struct block_builder b = {0};
    struct buf bytes = {0};
    struct buf value = {0};
    ck_ok(buf_append_zeros(&value, 3u << 20, &err), &err);
    struct entry entries[] = {
        {lam_slice_str("a"), 9, ENTRY_PUT, buf_slice(&value)},
        {lam_slice_str("a"), 3, ENTRY_DELETE, {NULL, 0}},
        {lam_slice_str("b"), 4, ENTRY_PUT, lam_slice_str("small")},
    };
    struct model m = {.items = entries, .count = 3};
    build(&m, &bytes);
    struct block_view v;
    ck_ok(block_view_parse(buf_slice(&bytes), &v, &err), &err);
    ck_assert(v.wide);
    for (uint32_t i = 0; i < 3; i++)
        expect_entry(&v, i, &entries[i]);
    buf_fini(&bytes);
    buf_fini(&value);
    block_builder_fini(&b);
}
END_TEST

START_TEST(folded_blocks_unfold_whatever_the_bytes) {
    struct rng rng;
    rng_init(&rng, test_seed("folded_blocks_unfold_whatever_the_bytes"));
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[200], before[sizeof bytes];
        size_t size = rng_below(&rng, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)rng_below(&rng, 256);
        if (size >= BLOCK_HEADER_BYTES) {
            put_le32(bytes + BLOCK_COUNT, (uint32_t)rng_below(&rng, round % 2 ? 70 : 20));
            bytes[BLOCK_FLAGS] = round % 5 == 0;
        }
        memcpy(before, bytes, size);
        block_fold(bytes, size);
        block_unfold(bytes, size);
        ck_assert(size == 0 || memcmp(bytes, before, size) == 0);
    }
}
END_TEST

START_TEST(folded_entries_of_one_size_have_one_gap) {
    struct block_builder b = {0};
    struct buf bytes = {0};
    for (int i = 0; i < 9; i++) {
        uint8_t key[] = {'k', (uint8_t)('0' + i)};
        struct entry e = {lam_slice_of(key, 2), 5, ENTRY_PUT, lam_slice_str("value")};
        ck_ok(block_builder_add(&b, &e, 0, false, &err), &err);
    }
    ck_ok(block_builder_finish(&b, &bytes, &err), &err);
    block_fold(bytes.data, bytes.size);
    const uint8_t *gaps = bytes.data + BLOCK_HEADER_BYTES + 9;
    for (int i = 0; i < 9; i++)
        ck_assert_uint_eq(get_le16(gaps + 2 * i), i ? 8 : 0); /* two varints, a byte, the value */
    buf_fini(&bytes);
    block_builder_fini(&b);
}
END_TEST

TEST_MAIN("lsm/block", blocks_agree_with_a_sorted_array, any_bytes_parse_safely_or_are_corrupt,
          large_value_makes_wide_offsets, folded_blocks_unfold_whatever_the_bytes,
          folded_entries_of_one_size_have_one_gap)
