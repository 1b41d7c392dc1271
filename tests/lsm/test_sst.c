/* SPDX-License-Identifier: Apache-2.0 */
#include "lsm/sst.h"

#include "lamina/db.h"
#include "lsm/sst_reader.h"
#include "tests/lsm/entries.h"
#include "tests/lsm/files.h"
#include "tests/support/env_fault.h"

#define SST    DIR "/000031.sst"
#define NUMBER 31

static struct epochs epochs;
static uint64_t cached_gets; /* that sst_get_cached could answer */

struct made {
    struct sst_summary summary;
    struct sst *sst;
};

static struct sst_builder_options options_of(uint32_t block_bytes, bool lz4) {
    struct sst_builder_options o = {.number = NUMBER,
                                    .block_bytes = block_bytes,
                                    .filter_bits_per_key = 10,
                                    .lz4 = lz4,
                                    .written_us = 77};
    memcpy(o.db_id, db_id, 16);
    return o;
}

static enum lam_code open_sst(const struct sst_summary *s, struct block_cache *cache,
                              struct sst **out) {
    return sst_open(env, SST, db_id, NUMBER, s->size_bytes, s->footer_checksum, cache, out, &err);
}

static void build(const struct model *m, const struct range_tombstone *ranges, size_t range_count,
                  uint32_t block_bytes, bool lz4, struct sst_summary *summary) {
    struct sst_builder_options o = options_of(block_bytes, lz4);
    struct sst_builder *b;
    ck_ok(sst_builder_open(env, SST, &o, &b, &err), &err);
    for (size_t i = 0; i < m->count; i++)
        ck_ok(sst_builder_add(b, &m->items[i], &err), &err);
    for (size_t i = 0; i < range_count; i++)
        ck_ok(sst_builder_add_range(b, &ranges[i], &err), &err);
    uint64_t estimate = sst_builder_size(b);
    ck_ok(sst_builder_finish(b, summary, &err), &err);
    /* What is not packed yet counts as it is: never more than the content and its framing. */
    ck_assert_uint_lt(estimate, summary->properties.raw_bytes + m->count * 64 + 4096);
    ck_assert_uint_ge(estimate, m->count ? 1 : 0);
}

static void expect_found(const struct sst_found *found, const struct entry *want) {
    ck_assert(found->some == (want != NULL));
    if (!want)
        return;
    ck_assert_int_eq(found->kind, want->kind);
    ck_assert_uint_eq(found->sequence, want->sequence);
    ck_assert(slice_eq(found->value, want->value));
}

static void expect_get(struct sst *s, const struct model *m, struct lam_slice key,
                       uint64_t sequence) {
    const struct entry *want = model_get(m, key, sequence);
    uint64_t hash = sst_key_hash(sst_key_seed(db_id), key);
    struct sst_found found;
    struct cached_block *block;
    ck_ok(sst_get(s, key, hash, sequence, &found, &block, &err), &err);
    expect_found(&found, want);
    ck_assert(!want || sst_may_contain(s, hash));
    sst_block_unref(block);
    if (!s->blocks)
        return;
    /* From the cache alone it is the same or not to be had. */
    struct epoch_reader *r = epoch_enter(&epochs);
    if (sst_may_contain(s, hash) && sst_get_cached(s, r, key, hash, sequence, &found)) {
        expect_found(&found, want);
        cached_gets++;
    }
    epoch_leave(&epochs, r);
}

/* Looks a key up whose value is not wanted. */
static enum lam_code get_newest(struct sst *s, struct lam_slice key) {
    struct sst_found found;
    struct cached_block *block;
    enum lam_code rc = sst_get(s, key, sst_key_hash(sst_key_seed(db_id), key), LAM_SEQUENCE_MAX,
                               &found, &block, &err);
    sst_block_unref(block);
    return rc;
}

static void expect_at(const struct cursor_iter *it, const struct model *m, size_t i) {
    ck_assert_int_eq(it->code, LAM_OK);
    ck_assert(it->valid == (i < m->count));
    if (!it->valid)
        return;
    const struct entry *e = &m->items[i];
    ck_assert(slice_eq(it->entry.key, e->key) && slice_eq(it->entry.value, e->value));
    ck_assert_uint_eq(it->entry.sequence, e->sequence);
    ck_assert_int_eq(it->entry.kind, e->kind);
}

static void expect_iteration(struct sst *s, const struct model *m, bool fill_cache, struct rng *rng,
                             const struct model_options *o) {
    struct cursor_iter *it;
    ck_ok(sst_iter_new(s, fill_cache, &it, &err), &err);
    size_t i = 0;
    for (it->ops->seek_first(it); it->valid; it->ops->next(it))
        expect_at(it, m, i++);
    ck_assert_uint_eq(i, m->count);
    for (it->ops->seek_last(it); it->valid; it->ops->prev(it))
        expect_at(it, m, --i);
    ck_assert_uint_eq(i, 0);
    for (int round = 0; round < 200; round++) {
        const struct entry *e = &m->items[rng_below(rng, m->count)];
        bool known = rng_below(rng, 2);
        struct lam_slice key = known ? e->key : model_key(rng, (struct arena *)&m->arena, o);
        uint64_t sequence = known ? e->sequence + rng_below(rng, 3) - 1 : rng_below(rng, 1000);
        size_t at = model_lower_bound(m, key, sequence);
        if (rng_below(rng, 2)) {
            it->ops->seek(it, key, sequence);
        } else {
            it->ops->seek_before(it, key, sequence);
            at--; /* SIZE_MAX, so invalid, when nothing is before */
        }
        expect_at(it, m, at);
        /* Wander from there, changing direction. */
        for (int step = 0; step < 12 && it->valid; step++) {
            bool forward = rng_below(rng, 2);
            (forward ? it->ops->next : it->ops->prev)(it);
            at += forward ? 1 : (size_t)-1;
            expect_at(it, m, at);
        }
    }
    it->ops->free(it);
}

static void expect_model(const struct model *m, const struct model_options *o, uint32_t block_bytes,
                         bool lz4, struct block_cache *cache, struct rng *rng) {
    struct sst_summary sum;
    build(m, NULL, 0, block_bytes, lz4, &sum);
    struct sst *s;
    ck_ok(open_sst(&sum, cache, &s), &err);
    ck_ok(sst_verify(s, SST, &err), &err);
    ck_assert_uint_eq(sst_get_properties(s)->entries, m->count);
    ck_assert(slice_eq(buf_slice(&sum.smallest), m->items[0].key));
    ck_assert(slice_eq(buf_slice(&sum.largest), m->items[m->count - 1].key));
    for (size_t i = 0; i < m->count; i += 1 + rng_below(rng, 5)) {
        const struct entry *e = &m->items[i];
        expect_get(s, m, e->key, e->sequence);
        expect_get(s, m, e->key, e->sequence + 1);
        expect_get(s, m, e->key, e->sequence - (e->sequence > 0));
    }
    for (int i = 0; i < 50; i++)
        expect_get(s, m, model_key(rng, (struct arena *)&m->arena, o), rng_below(rng, 1000));
    expect_iteration(s, m, true, rng, o);
    expect_iteration(s, m, false, rng, o);
    ck_assert_uint_gt(sst_memory(s), 0);
    sst_unref(s);
    sst_summary_fini(&sum);
    ck_ok(env_file_remove(env, SST, &err), &err);
}

START_TEST(ssts_agree_with_a_sorted_array) {
    epochs_init(&epochs);
    uint64_t seed = test_seed("ssts_agree_with_a_sorted_array");
    struct rng rng;
    rng_init(&rng, seed);
    env_start();
    for (int round = 0; round < 24; round++) {
        struct model_options o = {
            .count = 1 + rng_below(&rng, 1500),
            .key_max = 1 + rng_below(&rng, 12),
            .prefix = round % 2 ? "table/7/" : "",
            .alphabet = 2 + (unsigned)rng_below(&rng, 250),
            .value_max = rng_below(&rng, round % 8 ? 100 : 3000),
            .sequence_max = round % 3 ? 1000 : LAM_SEQUENCE_MAX - 5,
            .versions = 1 + (unsigned)rng_below(&rng, round % 4 ? 4 : 60),
        };
        struct model m;
        model_make(&m, &rng, &o);
        struct block_cache *cache = NULL;
        if (round % 3 > 0)
            ck_ok(block_cache_new(round % 3 == 1 ? 1u << 20 : 8192, &epochs, &cache, &err), &err);
        uint32_t block_bytes = 64u << rng_below(&rng, 9);
        expect_model(&m, &o, block_bytes, rng_below(&rng, 2), cache, &rng);
        block_cache_free(cache);
        model_fini(&m);
    }
    ck_assert_uint_gt(cached_gets, 1000);
    epochs_fini(&epochs);
    env_end();
}
END_TEST

START_TEST(versions_of_one_key_span_blocks) {
    env_start();
    struct entry entries[402];
    uint8_t value[50] = {7};
    entries[0] = (struct entry){lam_slice_str("before"), 5, ENTRY_PUT, lam_slice_of(value, 3)};
    for (size_t i = 1; i <= 400; i++)
        entries[i] = (struct entry){lam_slice_str("key"), 1000 - 2 * i, ENTRY_PUT,
                                    lam_slice_of(value, i % 50)};
    entries[401] = (struct entry){lam_slice_str("key2"), 5, ENTRY_PUT, lam_slice_of(value, 3)};
    struct model m = {.items = entries, .count = 402};
    struct sst_summary sum;
    build(&m, NULL, 0, 256, false, &sum);
    struct sst *s;
    ck_ok(open_sst(&sum, NULL, &s), &err);
    ck_ok(sst_verify(s, SST, &err), &err);
    for (uint64_t sequence = 190; sequence < 1005; sequence++)
        expect_get(s, &m, lam_slice_str("key"), sequence);
    expect_get(s, &m, lam_slice_str("key2"), 5);
    expect_get(s, &m, lam_slice_str("before"), 5);
    sst_unref(s);
    sst_summary_fini(&sum);
    env_end();
}
END_TEST

START_TEST(large_values_have_blocks_of_their_own_and_bypass_the_cache) {
    epochs_init(&epochs);
    env_start();
    struct buf large = {0};
    ck_ok(buf_append_zeros(&large, 5u << 20, &err), &err);
    for (size_t i = 0; i < large.size; i += 1000)
        large.data[i] = (uint8_t)i;
    struct entry entries[] = {
        {lam_slice_str("a"), 9, ENTRY_PUT, lam_slice_str("small")},
        {lam_slice_str("b"), 9, ENTRY_PUT, buf_slice(&large)},
        {lam_slice_str("b"), 8, ENTRY_PUT, lam_slice_of(large.data, 100000)},
        {lam_slice_str("c"), 3, ENTRY_DELETE, {NULL, 0}},
    };
    struct model m = {.items = entries, .count = 4};
    for (int lz4 = 0; lz4 < 2; lz4++) {
        struct sst_summary sum;
        build(&m, NULL, 0, 8192, lz4, &sum);
        ck_assert(lz4 ? sum.size_bytes < 1u << 20 : sum.size_bytes > 5u << 20);
        struct block_cache *cache;
        ck_ok(block_cache_new(4u << 20, &epochs, &cache, &err), &err);
        struct sst *s;
        ck_ok(open_sst(&sum, cache, &s), &err);
        ck_ok(sst_verify(s, SST, &err), &err);
        for (int pass = 0; pass < 2; pass++)
            for (size_t i = 0; i < 4; i++)
                expect_get(s, &m, entries[i].key, entries[i].sequence);
        struct block_cache_stats stats;
        block_cache_get_stats(cache, &stats);
        ck_assert_uint_lt(stats.bytes, 200000);
        ck_assert_uint_gt(stats.hits, 0);
        sst_unref(s);
        block_cache_free(cache);
        sst_summary_fini(&sum);
        ck_ok(env_file_remove(env, SST, &err), &err);
    }
    buf_fini(&large);
    epochs_fini(&epochs);
    env_end();
}
END_TEST

START_TEST(range_tombstones_are_kept_sorted_and_count_in_bounds) {
    env_start();
    struct entry entries[] = {{lam_slice_str("m"), 9, ENTRY_PUT, lam_slice_str("v")}};
    struct model m = {.items = entries, .count = 1};
    struct range_tombstone ranges[] = {
        {lam_slice_str("x"), lam_slice_str("z"), 3, 20},
        {lam_slice_str("c"), lam_slice_str("d"), 3, 4},
        {lam_slice_str("c"), lam_slice_str("e"), 3, 7},
        {lam_slice_str("q"), lam_slice_str("q"), 3, 30},
    };
    struct sst_summary sum;
    build(&m, ranges, 4, 8192, false, &sum);
    ck_assert(slice_eq_str(buf_slice(&sum.smallest), "c"));
    ck_assert(slice_eq_str(buf_slice(&sum.largest), "z"));
    ck_assert(!sum.largest_open);
    ck_assert_uint_eq(sum.properties.range_tombstones, 3);
    ck_assert_uint_eq(sum.properties.sequence_min, 4);
    ck_assert_uint_eq(sum.properties.sequence_max, 20);
    ck_assert_int_eq(sum.properties.written_us, 77);
    struct sst *s;
    ck_ok(open_sst(&sum, NULL, &s), &err);
    ck_ok(sst_verify(s, SST, &err), &err);
    size_t count;
    const struct range_tombstone *got = sst_ranges(s, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert(got[0].sequence == 7 && got[1].sequence == 4 && got[2].sequence == 20);
    ck_assert(slice_eq_str(got[2].from, "x") && slice_eq_str(got[2].to, "z"));
    ck_assert_uint_eq(got[2].upto, 3);
    sst_unref(s);
    sst_summary_fini(&sum);
    ck_ok(env_file_remove(env, SST, &err), &err);
    /* Only range tombstones, one without an end and one from the very start. */
    struct range_tombstone open[] = {{lam_slice_str("b"), {NULL, 0}, 3, 4},
                                     {{NULL, 0}, lam_slice_str("a"), 5, 6}};
    struct model none = {0};
    build(&none, open, 2, 8192, false, &sum);
    ck_assert(sum.largest_open);
    ck_assert_uint_eq(sum.smallest.size, 0);
    ck_ok(open_sst(&sum, NULL, &s), &err);
    ck_ok(sst_verify(s, SST, &err), &err);
    expect_get(s, &none, lam_slice_str("a"), 5);
    struct cursor_iter *it;
    ck_ok(sst_iter_new(s, true, &it, &err), &err);
    it->ops->seek_first(it);
    ck_assert(!it->valid && it->code == LAM_OK);
    it->ops->seek_before(it, lam_slice_str("x"), 1);
    ck_assert(!it->valid && it->code == LAM_OK);
    it->ops->free(it);
    sst_unref(s);
    sst_summary_fini(&sum);
    env_end();
}
END_TEST

/* Reads everything there is; the first error, or LAM_OK. `*same` tells whether all agreed. */
static enum lam_code read_all(struct sst *s, const struct model *m, bool fill_cache, bool *same) {
    struct cursor_iter *it;
    size_t i = 0;
    *same = true;
    ck_ok(sst_iter_new(s, fill_cache, &it, &err), &err);
    for (it->ops->seek_first(it); it->valid; it->ops->next(it), i++)
        *same = *same && i < m->count && model_cmp(&it->entry, &m->items[i]) == 0 &&
                slice_eq(it->entry.value, m->items[i].value);
    enum lam_code rc = it->code;
    *same = *same && (rc != LAM_OK || i == m->count);
    if (rc != LAM_OK)
        err = it->error;
    it->ops->free(it);
    return rc;
}

START_TEST(every_flip_and_truncation_is_detected) {
    env_start();
    struct rng rng;
    rng_init(&rng, 5);
    for (int lz4 = 0; lz4 < 2; lz4++) {
        struct model_options o = {60, 6, "k", 3, 30, 1000, 3};
        struct model m;
        model_make(&m, &rng, &o);
        struct range_tombstone range = {lam_slice_str("k"), lam_slice_str("kz"), 3, 4};
        struct sst_summary sum;
        build(&m, &range, 1, 512, lz4, &sum);
        struct buf bytes = file_bytes(SST, 1u << 20);
        ck_assert_uint_eq(bytes.size, sum.size_bytes);
        struct sst *s;
        for (size_t bit = 0; bit < bytes.size * 8; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            set_file(SST, bytes.data, bytes.size);
            enum lam_code rc = open_sst(&sum, NULL, &s);
            if (rc == LAM_OK) {
                bool same;
                rc = read_all(s, &m, false, &same);
                ck_assert_msg(rc == LAM_CORRUPT && same, "bit %zu", bit);
                ck_code(sst_verify(s, SST, &err), LAM_CORRUPT);
                sst_unref(s);
            }
            ck_assert_msg(rc == LAM_CORRUPT, "bit %zu", bit);
            ck_contains(err.message, "000031.sst");
            ck_contains(err.message, "offset");
            bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t size = 0; size < bytes.size; size++) {
            set_file(SST, bytes.data, size);
            ck_code(open_sst(&sum, NULL, &s), LAM_CORRUPT);
        }
        ck_ok(buf_append_zeros(&bytes, 1, &err), &err);
        set_file(SST, bytes.data, bytes.size);
        ck_code(open_sst(&sum, NULL, &s), LAM_CORRUPT);
        buf_fini(&bytes);
        sst_summary_fini(&sum);
        model_fini(&m);
        ck_ok(env_file_remove(env, SST, &err), &err);
    }
    env_end();
}
END_TEST

START_TEST(file_of_another_database_number_or_generation_is_corrupt) {
    env_start();
    struct entry entries[] = {{lam_slice_str("m"), 9, ENTRY_PUT, lam_slice_str("v")}};
    struct model m = {.items = entries, .count = 1};
    struct sst_summary sum;
    build(&m, NULL, 0, 8192, false, &sum);
    struct sst *s;
    uint64_t size = sum.size_bytes, check = sum.footer_checksum;
    ck_code(sst_open(env, SST, other_id, NUMBER, size, check, NULL, &s, &err), LAM_CORRUPT);
    ck_code(sst_open(env, SST, db_id, NUMBER + 1, size, check, NULL, &s, &err), LAM_CORRUPT);
    ck_code(sst_open(env, SST, db_id, NUMBER, size, check + 1, NULL, &s, &err), LAM_CORRUPT);
    ck_code(sst_open(env, SST, db_id, NUMBER, size + 1, check, NULL, &s, &err), LAM_CORRUPT);
    ck_code(sst_open(env, DIR "/none", db_id, NUMBER, size, check, NULL, &s, &err), LAM_NOT_FOUND);
    ck_ok(sst_open(env, SST, db_id, NUMBER, size, check, NULL, &s, &err), &err);
    struct sst *second = sst_ref(s);
    sst_unref(s);
    ck_ok(sst_verify(second, SST, &err), &err);
    sst_unref(second);
    sst_unref(NULL);
    sst_summary_fini(&sum);
    env_end();
}
END_TEST

/* --- blocks in a wrong place ----------------------------------------------------------------- */

#define ROWS 40

/* Rows whose keys and values are of one size, so that most blocks are of one size too. */
struct rows {
    char keys[ROWS][4], values[ROWS][40];
    struct entry items[ROWS];
    struct model model;
};

static void rows_make(struct rows *r, char fill) {
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(r->keys[i], sizeof r->keys[i], "k%02u", (unsigned)i);
        memset(r->values[i], fill + (int)(i % 7), sizeof r->values[i]);
        r->items[i] = (struct entry){lam_slice_of(r->keys[i], 3), i + 1, ENTRY_PUT,
                                     lam_slice_of(r->values[i], sizeof r->values[i])};
    }
    r->model = (struct model){.items = r->items, .count = ROWS};
}

/* Opens the file of `bytes`, of which blocks `a` and `b` are not those that were written: their
 * keys must be answered as corrupt, all others rightly. */
static void expect_strangers(const struct buf *bytes, const struct sst_summary *sum,
                             const struct model *m, uint32_t a, uint32_t b) {
    struct sst *s;
    set_file(SST, bytes->data, bytes->size);
    ck_ok(open_sst(sum, NULL, &s), &err);
    size_t refused = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct entry *e = &m->items[i];
        uint32_t block = sst_index_find(&s->index, e->key, LAM_SEQUENCE_MAX);
        if (block != a && block != b) {
            expect_get(s, m, e->key, LAM_SEQUENCE_MAX);
            continue;
        }
        char offset[40];
        ck_code(get_newest(s, e->key), LAM_CORRUPT);
        snprintf(offset, sizeof offset,
                 "offset %llu:", (unsigned long long)s->index.offsets[block]);
        ck_contains(err.message, SST);
        ck_contains(err.message, offset);
        refused++;
    }
    ck_assert_uint_ge(refused, 2);
    bool same;
    ck_code(read_all(s, m, false, &same), LAM_CORRUPT);
    ck_assert(same);
    ck_code(sst_verify(s, SST, &err), LAM_CORRUPT);
    ck_contains(err.message, "checksum");
    sst_unref(s);
}

static void swap_bytes(uint8_t *a, uint8_t *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

/* Where the blocks of the file are; the caller frees it. */
static struct sst *open_whole(const struct sst_summary *sum, const struct model *m) {
    struct sst *s;
    bool same;
    ck_ok(open_sst(sum, NULL, &s), &err);
    ck_ok(read_all(s, m, false, &same), &err);
    ck_assert(same);
    return s;
}

START_TEST(blocks_swapped_in_place_are_corrupt) {
    env_start();
    static struct rows rows;
    struct sst_summary sum;
    rows_make(&rows, 'a');
    build(&rows.model, NULL, 0, 300, false, &sum);
    struct sst *whole = open_whole(&sum, &rows.model);
    const uint64_t *at = whole->index.offsets;
    uint32_t count = whole->index.count;
    struct buf bytes = file_bytes(SST, 1u << 20);
    size_t pairs = 0;
    for (uint32_t a = 0; a < count; a++)
        for (uint32_t b = a + 1; b < count; b++) {
            size_t size = (size_t)(at[a + 1] - at[a]);
            if (at[b + 1] - at[b] != size)
                continue;
            swap_bytes(bytes.data + at[a], bytes.data + at[b], size);
            expect_strangers(&bytes, &sum, &rows.model, a, b);
            swap_bytes(bytes.data + at[a], bytes.data + at[b], size);
            pairs++;
        }
    ck_assert_uint_ge(pairs, 3);
    sst_unref(whole);
    buf_fini(&bytes);
    sst_summary_fini(&sum);
    env_end();
}
END_TEST

START_TEST(block_of_another_file_in_the_same_place_is_corrupt) {
    env_start();
    static struct rows rows, other;
    struct sst_summary sum, other_sum;
    rows_make(&rows, 'a');
    rows_make(&other, 'n');
    struct sst_builder_options o = options_of(300, false);
    struct sst_builder *b;
    o.number = NUMBER + 1;
    ck_ok(sst_builder_open(env, DIR "/000032.sst", &o, &b, &err), &err);
    for (size_t i = 0; i < ROWS; i++)
        ck_ok(sst_builder_add(b, &other.items[i], &err), &err);
    ck_ok(sst_builder_finish(b, &other_sum, &err), &err);
    build(&rows.model, NULL, 0, 300, false, &sum);
    struct sst *whole = open_whole(&sum, &rows.model);
    const uint64_t *at = whole->index.offsets;
    struct buf bytes = file_bytes(SST, 1u << 20);
    struct buf others = file_bytes(DIR "/000032.sst", 1u << 20);
    ck_assert_uint_eq(bytes.size, others.size);
    for (uint32_t i = 0; i < whole->index.count; i++) {
        swap_bytes(bytes.data + at[i], others.data + at[i], (size_t)(at[i + 1] - at[i]));
        expect_strangers(&bytes, &sum, &rows.model, i, i);
        swap_bytes(bytes.data + at[i], others.data + at[i], (size_t)(at[i + 1] - at[i]));
    }
    sst_unref(whole);
    buf_fini(&bytes);
    buf_fini(&others);
    sst_summary_fini(&sum);
    sst_summary_fini(&other_sum);
    env_end();
}
END_TEST

START_TEST(same_input_makes_same_bytes) {
    env_start();
    struct rng rng;
    rng_init(&rng, 11);
    struct model_options o = {500, 8, "k", 20, 60, 1000, 3};
    struct model m;
    model_make(&m, &rng, &o);
    struct sst_summary a, b;
    build(&m, NULL, 0, 1024, true, &a);
    struct buf first = file_bytes(SST, 1u << 20);
    ck_ok(env_file_remove(env, SST, &err), &err);
    build(&m, NULL, 0, 1024, true, &b);
    struct buf second = file_bytes(SST, 1u << 20);
    ck_assert(slice_eq(buf_slice(&first), buf_slice(&second)));
    ck_assert_uint_eq(a.footer_checksum, b.footer_checksum);
    buf_fini(&first);
    buf_fini(&second);
    sst_summary_fini(&a);
    sst_summary_fini(&b);
    model_fini(&m);
    env_end();
}
END_TEST

START_TEST(failing_writes_leave_no_file_and_failing_reads_are_errors) {
    env_start();
    struct rng rng;
    rng_init(&rng, 12);
    struct model_options o = {3000, 8, "k", 200, 400, 1000, 1};
    struct model m;
    model_make(&m, &rng, &o);
    lam_env *mem = env;
    env = env_fault_new(mem);
    bool reached_end = false;
    for (uint64_t nth = 1; !reached_end; nth++) {
        struct sst_builder_options bo = options_of(4096, false);
        struct sst_builder *b = NULL;
        struct sst_summary sum;
        env_fault_arm(env, FAULT_MUTATE, nth, LAM_NO_SPACE, false);
        enum lam_code rc = sst_builder_open(env, SST, &bo, &b, &err);
        for (size_t i = 0; i < m.count && rc == LAM_OK; i++)
            rc = sst_builder_add(b, &m.items[i], &err);
        if (rc == LAM_OK) {
            rc = sst_builder_finish(b, &sum, &err);
            if (rc == LAM_OK)
                sst_summary_fini(&sum);
        } else {
            sst_builder_abandon(b);
        }
        reached_end = env_fault_fired(env) == 0;
        env_fault_arm(env, FAULT_MUTATE, 0, LAM_OK, false);
        ck_assert(rc == (reached_end ? LAM_OK : LAM_NO_SPACE));
        ck_assert(file_exists(SST) == reached_end);
    }
    ck_ok(env_file_remove(env, SST, &err), &err);
    struct sst_summary sum;
    build(&m, NULL, 0, 4096, false, &sum);
    struct sst *s;
    for (uint64_t nth = 1;; nth++) {
        env_fault_arm(env, FAULT_READ, nth, LAM_IO, false);
        enum lam_code rc = open_sst(&sum, NULL, &s);
        if (rc == LAM_OK)
            break;
        ck_assert_int_eq(rc, LAM_IO);
    }
    env_fault_arm(env, FAULT_READ, 1, LAM_IO, false);
    ck_code(get_newest(s, m.items[5].key), LAM_IO);
    env_fault_arm(env, FAULT_READ, 2, LAM_IO, true);
    bool same;
    ck_code(read_all(s, &m, false, &same), LAM_IO);
    ck_assert(same);
    sst_unref(s);
    sst_summary_fini(&sum);
    model_fini(&m);
    env_fault_free(env);
    env = mem;
    env_end();
}
END_TEST

START_TEST(scan_that_misses_the_cache_reads_ahead_and_alone_where_that_fails) {
    env_start();
    epochs_init(&epochs);
    struct rng rng;
    rng_init(&rng, 31);
    struct model_options o = {2000, 8, "k", 200, 100, 1000, 1};
    struct model m;
    model_make(&m, &rng, &o);
    lam_env *mem = env;
    env = env_fault_new(mem);
    for (int lz4 = 0; lz4 < 2; lz4++) {
        struct sst_summary sum;
        struct sst *s;
        struct block_cache *cache;
        bool same;
        build(&m, NULL, 0, 1024, lz4, &sum);
        ck_ok(block_cache_new(0, &epochs, &cache, &err), &err); /* keeps nothing */
        ck_ok(open_sst(&sum, cache, &s), &err);
        env_fault_arm(env, FAULT_READ, 0, LAM_OK, false);
        ck_ok(read_all(s, &m, true, &same), &err);
        ck_assert(same);
        uint64_t reads = env_fault_count(env);
        ck_assert_uint_lt(reads, s->index.count / 5);
        ck_assert_uint_gt(reads, 3);
        /* The first two are of one block each; what is read ahead can be read again. */
        for (uint64_t nth = 1; nth <= reads; nth++) {
            env_fault_arm(env, FAULT_READ, nth, LAM_IO, false);
            enum lam_code rc = read_all(s, &m, true, &same);
            ck_assert_uint_eq(env_fault_fired(env), 1);
            ck_assert_int_eq(rc, nth <= 2 ? LAM_IO : LAM_OK);
            ck_assert(same);
        }
        env_fault_arm(env, FAULT_READ, reads, LAM_IO, true);
        ck_code(read_all(s, &m, true, &same), LAM_IO);
        ck_assert(same);
        sst_unref(s);
        block_cache_free(cache);
        sst_summary_fini(&sum);
        env_fault_arm(env, FAULT_READ, 0, LAM_OK, false);
        ck_ok(env_file_remove(env, SST, &err), &err);
    }
    model_fini(&m);
    env_fault_free(env);
    env = mem;
    epochs_fini(&epochs);
    env_end();
}
END_TEST

START_TEST(abandoned_file_is_removed_and_existing_one_is_kept) {
    env_start();
    struct sst_builder_options o = options_of(0, false);
    struct sst_builder *b;
    ck_ok(sst_builder_open(env, SST, &o, &b, &err), &err);
    struct sst_builder *second;
    ck_code(sst_builder_open(env, SST, &o, &second, &err), LAM_EXISTS);
    struct entry e = {lam_slice_str("m"), 9, ENTRY_PUT, lam_slice_str("v")};
    ck_ok(sst_builder_add(b, &e, &err), &err);
    ck_assert(file_exists(SST));
    sst_builder_abandon(b);
    ck_assert(!file_exists(SST));
    env_end();
}
END_TEST

START_TEST(finished_file_survives_power_loss_with_its_directory) {
    env_start();
    struct entry entries[] = {{lam_slice_str("m"), 9, ENTRY_PUT, lam_slice_str("v")}};
    struct model m = {.items = entries, .count = 1};
    struct sst_summary sum;
    build(&m, NULL, 0, 8192, false, &sum);
    ck_ok(env_dir_sync(env, DIR, &err), &err);
    lam_env *image;
    ck_ok(lam_env_mem_crash(env, LAM_CRASH_POWER, 0, &image, &err), &err);
    struct sst *s;
    ck_ok(sst_open(image, SST, db_id, NUMBER, sum.size_bytes, sum.footer_checksum, NULL, &s, &err),
          &err);
    ck_ok(sst_verify(s, SST, &err), &err);
    sst_unref(s);
    lam_env_mem_free(image);
    sst_summary_fini(&sum);
    env_end();
}
END_TEST

TEST_MAIN("lsm/sst", ssts_agree_with_a_sorted_array, versions_of_one_key_span_blocks,
          large_values_have_blocks_of_their_own_and_bypass_the_cache,
          range_tombstones_are_kept_sorted_and_count_in_bounds,
          every_flip_and_truncation_is_detected,
          file_of_another_database_number_or_generation_is_corrupt,
          blocks_swapped_in_place_are_corrupt, block_of_another_file_in_the_same_place_is_corrupt,
          same_input_makes_same_bytes, failing_writes_leave_no_file_and_failing_reads_are_errors,
          scan_that_misses_the_cache_reads_ahead_and_alone_where_that_fails,
          abandoned_file_is_removed_and_existing_one_is_kept,
          finished_file_survives_power_loss_with_its_directory)
