/* SPDX-License-Identifier: Apache-2.0
 *
 * Iterating an SST both ways. Reads of users go through the block cache and pin the current block.
 * Compactions and verification read ahead into a window of their own and leave the cache alone.
 *
 * No allocation per step: the key buffer is sized when a block is entered. */
#include "base/assert.h"
#include "lsm/sst_reader.h"

#define READ_AHEAD_BYTES (256u << 10)

/* Block numbers that stand for none. */
#define NO_BLOCK UINT32_MAX

struct sst_iter {
    struct cursor_iter base;
    struct sst *sst;             /* one reference */
    bool use_cache;              /* else `window` */
    uint32_t block;              /* current block or NO_BLOCK */
    uint32_t position;           /* entry in it, when base.valid */
    struct block_view view;      /* of the current block */
    struct cached_block *pinned; /* current block, when it came through the cache */
    uint8_t *key;                /* current block's prefix, then the current suffix; owned */
    size_t key_capacity;
    struct buf window;     /* stored bytes of whole blocks, from window_start */
    uint64_t window_start; /* offset in the file */
    struct buf scratch;    /* current block decompressed, when it came through the window */
};

static struct sst_iter *from_base(struct cursor_iter *it) {
    return (struct sst_iter *)it;
}

static void leave_block(struct sst_iter *it) {
    it->base.valid = false;
    it->block = NO_BLOCK;
    cached_block_unref(it->pinned);
    it->pinned = NULL;
}

/* Remembers an error; the iterator stands nowhere. */
static void fail(struct sst_iter *it, enum lam_code code) {
    leave_block(it);
    it->base.code = code;
}

static enum lam_code window_load(struct sst_iter *it, uint32_t i, bool ahead) {
    struct sst *s = it->sst;
    struct lam_error *err = &it->base.error;
    uint64_t offset = s->index.offsets[i];
    size_t size = (size_t)(s->index.offsets[i + 1] - offset);
    bool held = offset >= it->window_start && offset - it->window_start <= it->window.size &&
                size <= it->window.size - (size_t)(offset - it->window_start);
    if (!held) {
        uint64_t left = s->index.offsets[s->index.count] - offset;
        size_t want = ahead && size < READ_AHEAD_BYTES ? READ_AHEAD_BYTES : size;
        if (want > left)
            want = (size_t)left;
        buf_reset(&it->window);
        TRY(buf_reserve(&it->window, want, err));
        TRY(env_file_read_exact(s->file, s->path, offset, it->window.data, want, err));
        it->window.size = want;
        it->window_start = offset;
    }
    uint64_t checksum;
    struct lam_slice stored =
        lam_slice_of(it->window.data + (size_t)(offset - it->window_start), size);
    return sst_open_block(s, i, stored, &it->scratch, &it->view, &checksum, err);
}

static enum lam_code cache_load(struct sst_iter *it, uint32_t i) {
    TRY(sst_load_block(it->sst, i, &it->pinned, &it->base.error));
    it->view = it->pinned->view;
    return LAM_OK;
}

/* Makes room for the longest key of the block and puts the common prefix there. */
static enum lam_code prepare_key(struct sst_iter *it) {
    const struct block_view *v = &it->view;
    if (v->max_key_bytes > it->key_capacity) {
        uint8_t *key = mem_alloc(v->max_key_bytes);
        if (!key)
            return mem_fail(&it->base.error, v->max_key_bytes);
        mem_free(it->key);
        it->key = key;
        it->key_capacity = v->max_key_bytes;
    }
    if (v->prefix.size > 0)
        memcpy(it->key, v->prefix.data, v->prefix.size);
    return LAM_OK;
}

/* Makes block `i` current; false (with the error kept) if it can't be read. */
static bool enter_block(struct sst_iter *it, uint32_t i) {
    if (it->block == i)
        return true;
    bool ahead = it->block != NO_BLOCK && i == it->block + 1;
    leave_block(it);
    enum lam_code rc = it->use_cache ? cache_load(it, i) : window_load(it, i, ahead);
    if (rc == LAM_OK)
        rc = prepare_key(it);
    if (rc != LAM_OK) {
        fail(it, rc);
        return false;
    }
    it->block = i;
    return true;
}

/* Stands on entry `position` of the current block. */
static void stand_at(struct sst_iter *it, uint32_t position) {
    struct block_entry e;
    struct entry *out = &it->base.entry;
    block_view_entry(&it->view, position, &e);
    if (e.suffix.size > 0)
        memcpy(it->key + it->view.prefix.size, e.suffix.data, e.suffix.size);
    out->key = lam_slice_of(it->key, it->view.prefix.size + e.suffix.size);
    out->sequence = e.sequence;
    out->kind = e.kind;
    out->value = e.value;
    it->position = position;
    it->base.valid = true;
}

/* Starts a positioning: clears state of the last one. False if there is nothing to stand on. */
static bool begin(struct sst_iter *it) {
    it->base.valid = false;
    it->base.code = LAM_OK;
    return it->sst->index.count > 0;
}

static void seek_first(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    if (begin(it) && enter_block(it, 0))
        stand_at(it, 0);
}

static void seek_last(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    if (begin(it) && enter_block(it, it->sst->index.count - 1))
        stand_at(it, it->view.count - 1);
}

/* To the first entry after the current block, if there is one. */
static void enter_next(struct sst_iter *it) {
    uint32_t i = it->block + 1;
    it->base.valid = false;
    if (i < it->sst->index.count && enter_block(it, i))
        stand_at(it, 0);
}

/* To the last entry before the current block, if there is one. */
static void enter_prev(struct sst_iter *it) {
    uint32_t i = it->block;
    it->base.valid = false;
    if (i > 0 && enter_block(it, i - 1))
        stand_at(it, it->view.count - 1);
}

static void seek(struct cursor_iter *base, struct lam_slice key, uint64_t sequence) {
    struct sst_iter *it = from_base(base);
    if (!begin(it) || !enter_block(it, sst_index_find(&it->sst->index, key, sequence)))
        return;
    uint32_t i = block_view_lower_bound(&it->view, key, sequence);
    if (i < it->view.count)
        stand_at(it, i);
    else
        enter_next(it);
}

static void seek_before(struct cursor_iter *base, struct lam_slice key, uint64_t sequence) {
    struct sst_iter *it = from_base(base);
    if (!begin(it) || !enter_block(it, sst_index_find(&it->sst->index, key, sequence)))
        return;
    uint32_t i = block_view_lower_bound(&it->view, key, sequence);
    if (i > 0)
        stand_at(it, i - 1);
    else
        enter_prev(it);
}

static void next(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    LAM_ASSERT(base->valid);
    if (it->position + 1 < it->view.count)
        stand_at(it, it->position + 1);
    else
        enter_next(it);
}

static void prev(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    LAM_ASSERT(base->valid);
    if (it->position > 0)
        stand_at(it, it->position - 1);
    else
        enter_prev(it);
}

static void iter_free(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    leave_block(it);
    mem_free(it->key);
    buf_fini(&it->window);
    buf_fini(&it->scratch);
    sst_unref(it->sst);
    mem_free(it);
}

static const struct iter_ops sst_iter_ops = {
    .seek_first = seek_first,
    .seek_last = seek_last,
    .seek = seek,
    .seek_before = seek_before,
    .next = next,
    .prev = prev,
    .free = iter_free,
};

enum lam_code sst_iter_new(struct sst *s, bool fill_cache, struct cursor_iter **it_out,
                           struct lam_error *err) {
    struct sst_iter *it = mem_calloc(1, sizeof *it);
    if (!it)
        return mem_fail(err, sizeof *it);
    it->base.ops = &sst_iter_ops;
    it->sst = sst_ref(s);
    it->use_cache = fill_cache && s->cache;
    it->block = NO_BLOCK;
    *it_out = &it->base;
    return LAM_OK;
}
