/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading of SSTs. A small good file is made, changed by the input, and its checksums are put
 * right, so that what lies behind them is reached. Then everything a reader can do is done to it.
 * The input is also parsed as a data block. */
#include <stdio.h>

#include "base/hash.h"
#include "lsm/block_reader.h"
#include "lsm/sst_reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mend.h"

#define PATH   "/000031.sst"
#define NUMBER 31

static const uint8_t db_id[16] = "0123456789abcdef";
static struct epochs epochs;

static void parse_block(struct lam_slice bytes) {
    struct block_view v;
    if (block_view_parse(bytes, &v, NULL) != LAM_OK)
        return;
    for (uint32_t i = 0; i < v.count; i++) {
        struct block_entry e;
        block_view_entry(&v, i, &e);
        REQUIRE(e.suffix.size + v.prefix.size <= v.max_key_bytes);
        hash_xxh3(e.suffix.data, e.suffix.size, 0);
        hash_xxh3(e.value.data, e.value.size, 0);
    }
    struct block_entry e;
    block_view_lower_bound(&v, lam_slice_str("key"), 3);
    block_view_find(&v, lam_slice_str("key"), block_view_tagged(&v, v.tags[0]), 3, &e);
}

static void build(lam_env *env, uint8_t shape, struct sst_summary *sum) {
    struct sst_builder_options o = {.number = NUMBER, .block_bytes = 128, .lz4 = shape & 1};
    memcpy(o.db_id, db_id, sizeof db_id);
    struct sst_builder *b;
    REQUIRE(sst_builder_open(env, PATH, &o, &b, NULL) == LAM_OK);
    for (unsigned i = 0; i < 24u + shape / 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%03u", i / (1 + (shape >> 1 & 1) * 8));
        struct entry e = {lam_slice_str(key), 1000 - i, i % 5 ? ENTRY_PUT : ENTRY_DELETE,
                          i % 5 ? lam_slice_str("valuevaluevalue") : SLICE_EMPTY};
        REQUIRE(sst_builder_add(b, &e, NULL) == LAM_OK);
    }
    struct range_tombstone t = {lam_slice_str("key001"), lam_slice_str("key2"), 5, 6};
    REQUIRE(sst_builder_add_range(b, &t, NULL) == LAM_OK);
    REQUIRE(sst_builder_finish(b, sum, NULL) == LAM_OK);
}

static void expect_clean(const struct cursor_iter *it) {
    REQUIRE(it->code == LAM_OK || it->code == LAM_CORRUPT);
    REQUIRE(!it->valid || it->code == LAM_OK);
}

static void use(struct sst *s) {
    struct cursor_iter *it;
    for (int cached = 0; cached < 2; cached++) {
        REQUIRE(sst_iter_new(s, cached, &it, NULL) == LAM_OK);
        uint64_t steps = 0;
        for (it->ops->seek_first(it); it->valid; it->ops->next(it), steps++)
            hash_xxh3(it->entry.key.data, it->entry.key.size, 0);
        expect_clean(it);
        for (it->ops->seek_last(it); it->valid; it->ops->prev(it), steps++)
            hash_xxh3(it->entry.value.data, it->entry.value.size, 0);
        expect_clean(it);
        REQUIRE(steps < 100000);
        it->ops->seek(it, lam_slice_str("key003"), 990);
        expect_clean(it);
        it->ops->seek_before(it, lam_slice_str("key003"), 990);
        expect_clean(it);
        it->ops->free(it);
    }
    for (unsigned i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%03u", i);
        struct lam_slice k = lam_slice_str(key);
        uint64_t hash = sst_key_hash(sst_key_seed(db_id), k);
        struct sst_found found, cached;
        struct cached_block *block;
        enum lam_code rc = sst_get(s, k, hash, 995, &found, &block, NULL);
        REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT);
        struct epoch_reader *r = epoch_enter(&epochs);
        if (rc == LAM_OK && sst_may_contain(s, hash) && sst_get_cached(s, r, k, hash, 995, &cached))
            REQUIRE(cached.some == found.some && cached.sequence == found.sequence &&
                    slice_eq(cached.value, found.value));
        epoch_leave(&epochs, r);
        sst_block_unref(block);
    }
    enum lam_code rc = sst_verify(s, PATH, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT);
}

/* Changes the file: each three bytes say where (16 bits, from the end if odd) and by what. */
static bool patch(struct buf *file, struct cursor *c) {
    bool changed = false;
    while (cursor_left(c) >= 3) {
        uint16_t where = cursor_le16(c);
        uint8_t what = cursor_u8(c);
        size_t at = (size_t)(where >> 1) % file->size;
        file->data[where & 1 ? file->size - 1 - at : at] ^= what;
        changed = changed || what != 0;
    }
    return changed;
}

/* The good file of a shape, made when it is first wanted. */
static struct lam_slice good_file(uint8_t shape) {
    static struct buf files[256];
    struct sst_summary sum;
    if (files[shape].size == 0) {
        lam_env *env = fuzz_env_new();
        build(env, shape, &sum);
        fuzz_file_read(env, PATH, &files[shape]);
        sst_summary_fini(&sum);
        fuzz_env_free(env);
    }
    return buf_slice(&files[shape]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lam_env *env;
    struct cursor c = cursor_of(lam_slice_of(data, size));
    struct block_cache *cache;
    struct buf file = {0};
    struct sst *s;
    if (!env) {
        env = fuzz_env_new();
        epochs_init(&epochs);
    }
    parse_block(lam_slice_of(data, size));
    struct lam_slice good = good_file(cursor_u8(&c));
    fuzz_put(&file, good.data, good.size);
    bool changed = patch(&file, &c);
    uint64_t checksum = mend_sst(&file, good);
    fuzz_file_write(env, PATH, buf_slice(&file));
    fuzz_ok(block_cache_new(1u << 20, &epochs, &cache, NULL), NULL);
    enum lam_code rc = sst_open(env, PATH, db_id, NUMBER, good.size, checksum, cache, &s, NULL);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    REQUIRE(changed || rc == LAM_OK);
    if (rc == LAM_OK) {
        REQUIRE(changed || sst_verify(s, PATH, NULL) == LAM_OK);
        use(s);
        sst_unref(s);
    }
    block_cache_free(cache);
    buf_fini(&file);
    return 0;
}
