/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading of SSTs. A small good file is made, changed by the input, and its checksums are put
 * right, so that what lies behind them is reached. Then everything a reader can do is done to it.
 * The input is also parsed as a data block. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "lsm/block_reader.h"
#include "lsm/sst_reader.h"

#define PATH   "/000031.sst"
#define NUMBER 31

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t db_id[16] = "0123456789abcdef";

static void require(bool condition) {
    if (!condition)
        abort();
}

static void parse_block(struct lam_slice bytes) {
    struct block_view v;
    if (block_view_parse(bytes, &v, NULL) != LAM_OK)
        return;
    for (uint32_t i = 0; i < v.count; i++) {
        struct block_entry e;
        block_view_entry(&v, i, &e);
        require(e.suffix.size + v.prefix.size <= v.max_key_bytes);
        hash_xxh3(e.suffix.data, e.suffix.size, 0);
        hash_xxh3(e.value.data, e.value.size, 0);
    }
    struct block_entry e;
    block_view_lower_bound(&v, lam_slice_str("key"), 3);
    block_view_find(&v, lam_slice_str("key"), v.tags[0], 3, &e);
}

static void build(lam_env *env, uint8_t shape, struct sst_summary *sum) {
    struct sst_builder_options o = {.number = NUMBER, .block_bytes = 128, .lz4 = shape & 1};
    memcpy(o.db_id, db_id, sizeof db_id);
    struct sst_builder *b;
    require(sst_builder_open(env, PATH, &o, &b, NULL) == LAM_OK);
    for (unsigned i = 0; i < 24u + shape / 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%03u", i / (1 + (shape >> 1 & 1) * 8));
        struct entry e = {lam_slice_str(key), 1000 - i, i % 5 ? ENTRY_PUT : ENTRY_DELETE,
                          i % 5 ? lam_slice_str("valuevaluevalue") : SLICE_EMPTY};
        require(sst_builder_add(b, &e, NULL) == LAM_OK);
    }
    struct range_tombstone t = {lam_slice_str("key001"), lam_slice_str("key2"), 5, 6};
    require(sst_builder_add_range(b, &t, NULL) == LAM_OK);
    require(sst_builder_finish(b, sum, NULL) == LAM_OK);
}

/* Puts the checksum of the block [offset, offset + size) right. */
static void mend_block(struct buf *file, uint64_t offset, uint64_t size) {
    uint64_t seed = hash_mix(sst_file_seed(db_id, NUMBER), offset);
    uint8_t *block = file->data + offset;
    put_le64(block + size - 8, hash_xxh3(block, (size_t)size - 8, seed));
}

/* `x` and `f` are the good file's. Gives the footer's checksum. */
static uint64_t mend(struct buf *file, const struct sst_index *x, const struct sst_footer *f) {
    for (uint32_t i = 0; i < x->count; i++)
        mend_block(file, x->offsets[i], x->offsets[i + 1] - x->offsets[i]);
    mend_block(file, f->ranges.offset, f->ranges.size);
    mend_block(file, f->filter.offset, f->filter.size);
    mend_block(file, f->index.offset, f->index.size);
    mend_block(file, f->properties.offset, f->properties.size);
    uint8_t *footer = file->data + file->size - SST_FOOTER_BYTES;
    uint64_t checksum =
        hash_xxh3(footer, SST_FOOTER_BYTES - 8, sst_file_seed(footer + 16, get_le64(footer + 32)));
    put_le64(footer + SST_FOOTER_BYTES - 8, checksum);
    return checksum;
}

static void expect_clean(const struct cursor_iter *it) {
    require(it->code == LAM_OK || it->code == LAM_CORRUPT);
    require(!it->valid || it->code == LAM_OK);
}

static void use(struct sst *s) {
    struct cursor_iter *it;
    struct buf value = {0};
    for (int cached = 0; cached < 2; cached++) {
        require(sst_iter_new(s, cached, &it, NULL) == LAM_OK);
        uint64_t steps = 0;
        for (it->ops->seek_first(it); it->valid; it->ops->next(it), steps++)
            hash_xxh3(it->entry.key.data, it->entry.key.size, 0);
        expect_clean(it);
        for (it->ops->seek_last(it); it->valid; it->ops->prev(it), steps++)
            hash_xxh3(it->entry.value.data, it->entry.value.size, 0);
        expect_clean(it);
        require(steps < 100000);
        it->ops->seek(it, lam_slice_str("key003"), 990);
        expect_clean(it);
        it->ops->seek_before(it, lam_slice_str("key003"), 990);
        expect_clean(it);
        it->ops->free(it);
    }
    for (unsigned i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%03u", i);
        bool found;
        enum entry_kind kind;
        uint64_t sequence;
        enum lam_code rc =
            sst_get(s, lam_slice_str(key), 995, &found, &kind, &sequence, &value, NULL, NULL);
        require(rc == LAM_OK || rc == LAM_CORRUPT);
    }
    buf_fini(&value);
    enum lam_code rc = sst_verify(s, PATH, NULL);
    require(rc == LAM_OK || rc == LAM_CORRUPT);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    parse_block(lam_slice_of(data, size));
    struct cursor c = cursor_of(lam_slice_of(data, size));
    lam_env *env;
    struct sst_summary sum;
    struct block_cache *cache;
    struct sst *s;
    require(lam_env_mem_new(&env, NULL) == LAM_OK);
    require(block_cache_new(1u << 20, &cache, NULL) == LAM_OK);
    build(env, cursor_u8(&c), &sum);
    require(sst_open(env, PATH, db_id, NUMBER, sum.size_bytes, sum.footer_checksum, cache, &s,
                     NULL) == LAM_OK);
    struct buf file = {0};
    require(env_read_file(env, PATH, SIZE_MAX, &file, NULL) == LAM_OK);
    bool changed = patch(&file, &c);
    uint64_t checksum = mend(&file, &s->index, &s->footer);
    sst_unref(s);
    lam_file *f;
    require(env_file_open(env, PATH, LAM_OPEN_WRITE, &f, NULL) == LAM_OK);
    require(env_file_write(f, 0, file.data, file.size, NULL) == LAM_OK);
    require(env_file_close(f, NULL) == LAM_OK);
    enum lam_code rc =
        sst_open(env, PATH, db_id, NUMBER, sum.size_bytes, checksum, cache, &s, NULL);
    require(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED);
    if (rc == LAM_OK) {
        require(changed || sst_verify(s, PATH, NULL) == LAM_OK);
        use(s);
        sst_unref(s);
    }
    block_cache_free(cache);
    lam_env_mem_free(env);
    sst_summary_fini(&sum);
    buf_fini(&file);
    return 0;
}
