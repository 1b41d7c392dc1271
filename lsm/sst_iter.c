/* SPDX-License-Identifier: Apache-2.0
 *
 * Iterating an SST both ways. Reads of users go through the block cache and pin the current block.
 * Compactions and verification read ahead into a window of their own and leave the cache alone; a
 * user's scan does so, too, once it has missed the cache for several blocks on end.
 *
 * No allocation per step: the key buffer is sized when a block is entered. Where a block's keys
 * share no prefix, keys are handed out as they stand in the block. */
#include "lsm/sst_iter.h"

#include "base/assert.h"

#define READ_AHEAD_BYTES (128u << 10)
/* Of a user's scan: from its third missed block on, doubled with each. */
#define SCAN_AHEAD_FIRST (8u << 10)
#define SCAN_AHEAD_MOST  (64u << 10)

/* Block numbers that stand for none. */
#define NO_BLOCK UINT32_MAX
/* Copied at once, so the key buffer has that much more room. */
#define KEY_COPY 16u

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

/* Gives the stored bytes of block `i` out of the window, read with what follows up to `want` bytes
 * if need be. */
static enum lam_code window_hold(struct sst_iter *it, uint32_t i, size_t want,
                                 struct lam_slice *stored_out, struct lam_error *err) {
    struct sst *s = it->sst;
    uint64_t offset = s->index.offsets[i];
    size_t size = (size_t)(s->index.offsets[i + 1] - offset);
    bool held = offset >= it->window_start && offset - it->window_start <= it->window.size &&
                size <= it->window.size - (size_t)(offset - it->window_start);
    if (!held) {
        uint64_t left = s->index.offsets[s->index.count] - offset;
        want = want < size ? size : want > left ? (size_t)left : want;
        buf_reset(&it->window);
        TRY(buf_reserve(&it->window, want, err));
        TRY(env_file_read_exact(s->file, s->path, offset, it->window.data, want, err));
        it->window.size = want;
        it->window_start = offset;
    }
    *stored_out = lam_slice_of(it->window.data + (size_t)(offset - it->window_start), size);
    return LAM_OK;
}

static enum lam_code window_load(struct sst_iter *it, uint32_t i, bool ahead) {
    struct lam_error *err = &it->base.error;
    struct lam_slice stored;
    uint64_t checksum;
    TRY(window_hold(it, i, ahead ? READ_AHEAD_BYTES : 0, &stored, err));
    return sst_open_block(it->sst, i, stored, &it->scratch, &it->view, &checksum, err);
}

/* The stored bytes of a block that the cache lacks, if they were read ahead or should be now. A
 * block that can't be read with its neighbours may be read alone. */
static struct lam_slice scan_ahead(struct sst_iter *it, uint32_t i, bool ahead) {
    const uint64_t *at = &it->sst->index.offsets[i];
    size_t want = ahead ? it->ahead_bytes : 0;
    struct lam_slice stored;
    it->ahead_bytes =
        want == 0 ? (ahead ? SCAN_AHEAD_FIRST : 0) : (want < SCAN_AHEAD_MOST ? 2 * want : want);
    if (at[1] - at[0] > want / 2 || window_hold(it, i, want, &stored, NULL) != LAM_OK)
        return SLICE_EMPTY;
    return stored;
}

static enum lam_code cache_load(struct sst_iter *it, uint32_t i, bool ahead) {
    struct lam_error *err = &it->base.error;
    TRY(sst_find_block(it->sst, i, &it->pinned, err));
    if (it->pinned)
        it->ahead_bytes = 0;
    else
        TRY(sst_take_block(it->sst, i, scan_ahead(it, i, ahead), &it->pinned, err));
    it->view = it->pinned->view;
    return LAM_OK;
}

static void free_key(struct sst_iter *it) {
    if (it->key != it->key_room)
        mem_free(it->key);
}

/* Makes room for the longest key of the block and puts the common prefix there. */
static enum lam_code prepare_key(struct sst_iter *it) {
    const struct block_view *v = &it->view;
    if (v->prefix.size == 0)
        return LAM_OK;
    size_t room = v->max_key_bytes + KEY_COPY;
    if (room > it->key_capacity) {
        uint8_t *key = mem_alloc(room);
        if (!key)
            return mem_fail(&it->base.error, room);
        free_key(it);
        it->key = key;
        it->key_capacity = room;
    }
    memcpy(it->key, v->prefix.data, v->prefix.size);
    return LAM_OK;
}

/* Makes block `i` current; false (with the error kept) if it can't be read. */
static bool enter_block(struct sst_iter *it, uint32_t i) {
    if (it->block == i)
        return true;
    bool ahead = it->block != NO_BLOCK && i == it->block + 1;
    leave_block(it);
    enum lam_code rc = it->use_cache ? cache_load(it, i, ahead) : window_load(it, i, ahead);
    if (rc == LAM_OK)
        rc = prepare_key(it);
    if (rc != LAM_OK) {
        fail(it, rc);
        return false;
    }
    it->block = i;
    return true;
}

/* Stands on entry `position` of the current block, which is `e`. */
static inline void stand_on(struct sst_iter *it, uint32_t position, const struct block_entry *e) {
    struct entry *out = &it->base.entry;
    size_t prefix = it->view.prefix.size;
    it->suffix = e->suffix;
    if (prefix == 0) {
        out->key = e->suffix;
    } else {
        const uint8_t *end = it->view.entries + it->view.entries_bytes;
        uint8_t *to = it->key + prefix;
        if (e->suffix.size <= KEY_COPY && (size_t)(end - e->suffix.data) >= KEY_COPY)
            memcpy(to, e->suffix.data, KEY_COPY);
        else
            memcpy(to, e->suffix.data, e->suffix.size);
        out->key = lam_slice_of(it->key, prefix + e->suffix.size);
    }
    out->sequence = e->sequence;
    out->kind = e->kind;
    out->value = e->value;
    it->position = position;
    it->base.valid = true;
}

/* Index of the first entry of the current block at or after (key, sequence). */
static uint32_t lower_bound(struct sst_iter *it, struct lam_slice key, uint64_t sequence) {
    if (it->pinned && !it->view.heads)
        it->view.heads = cached_block_heads(it->pinned);
    return block_view_lower_bound(&it->view, key, sequence);
}

static inline void stand_at(struct sst_iter *it, uint32_t position) {
    struct block_entry e;
    block_view_entry(&it->view, position, &e);
    stand_on(it, position, &e);
}

/* Starts a positioning: clears state of the last one. False if there is nothing to stand on. */
static bool begin(struct sst_iter *it) {
    it->base.valid = false;
    it->base.code = LAM_OK;
    it->aim = SST_AIM_NONE;
    return it->sst && it->sst->index.count > 0;
}

void sst_iter_seek_first(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    if (begin(it) && enter_block(it, 0))
        stand_at(it, 0);
}

void sst_iter_seek_last(struct cursor_iter *base) {
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

void sst_iter_aim(struct cursor_iter *base, struct lam_slice key, uint64_t sequence) {
    struct sst_iter *it = from_base(base);
    switch (it->aim) {
    case SST_AIM_NONE:
        if (!begin(it))
            return;
        it->aim_at = sst_index_find(&it->sst->index, key, sequence);
        if (it->use_cache)
            __builtin_prefetch(&it->sst->blocks[it->aim_at]);
        it->aim = SST_AIM_INDEX;
        break;
    case SST_AIM_INDEX:
        if (it->use_cache)
            block_cache_prefetch(&it->sst->blocks[it->aim_at]);
        it->aim = SST_AIM_BLOCK;
        break;
    case SST_AIM_BLOCK:
        if (!enter_block(it, it->aim_at)) {
            it->aim = SST_AIM_NONE;
            return;
        }
        it->aim_at = lower_bound(it, key, sequence);
        if (it->aim_at < it->view.count)
            block_view_fetch(&it->view, it->aim_at);
        it->aim = SST_AIM_ENTRY;
        break;
    case SST_AIM_ENTRY:
        break;
    }
}

void sst_iter_seek(struct cursor_iter *base, struct lam_slice key, uint64_t sequence) {
    struct sst_iter *it = from_base(base);
    do
        sst_iter_aim(base, key, sequence);
    while (it->aim != SST_AIM_NONE && it->aim != SST_AIM_ENTRY);
    bool arrived = it->aim == SST_AIM_ENTRY;
    it->aim = SST_AIM_NONE;
    if (arrived && it->aim_at < it->view.count)
        stand_at(it, it->aim_at);
    else if (arrived)
        enter_next(it);
}

void sst_iter_seek_before(struct cursor_iter *base, struct lam_slice key, uint64_t sequence) {
    struct sst_iter *it = from_base(base);
    if (!begin(it) || !enter_block(it, sst_index_find(&it->sst->index, key, sequence)))
        return;
    uint32_t i = lower_bound(it, key, sequence);
    if (i > 0)
        stand_at(it, i - 1);
    else
        enter_prev(it);
}

void sst_iter_next(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    LAM_ASSERT(base->valid);
    if (it->position + 1 < it->view.count)
        stand_at(it, it->position + 1);
    else
        enter_next(it);
}

void sst_iter_prev(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    LAM_ASSERT(base->valid);
    if (it->position > 0)
        stand_at(it, it->position - 1);
    else
        enter_prev(it);
}

/* Past the versions of the present key in the blocks that follow: it ends the current one. */
static void next_key_in_next_blocks(struct sst_iter *it) {
    struct buf key = {0};
    enum lam_code rc = buf_append_slice(&key, it->base.entry.key, &it->base.error);
    if (rc != LAM_OK)
        fail(it, rc);
    while (it->base.valid && slice_eq(it->base.entry.key, buf_slice(&key)))
        sst_iter_next(&it->base);
    buf_fini(&key);
}

void sst_iter_next_key(struct cursor_iter *base) {
    struct sst_iter *it = from_base(base);
    LAM_ASSERT(base->valid);
    struct block_entry e;
    for (uint32_t i = it->position + 1; i < it->view.count; i++) {
        block_view_entry(&it->view, i, &e);
        if (!key_eq(e.suffix, it->suffix)) {
            stand_on(it, i, &e);
            return;
        }
    }
    uint32_t next = it->block + 1;
    if (next < it->sst->index.count && sst_index_continues(&it->sst->index, next, base->entry.key))
        next_key_in_next_blocks(it);
    else
        enter_next(it);
}

bool sst_iter_is_newest(const struct cursor_iter *base) {
    const struct sst_iter *it = (const struct sst_iter *)base;
    LAM_ASSERT(base->valid);
    if (it->position == 0)
        return it->block == 0 || !sst_index_continues(&it->sst->index, it->block, base->entry.key);
    struct block_entry e;
    block_view_entry(&it->view, it->position - 1, &e);
    return !key_eq(e.suffix, it->suffix);
}

void sst_iter_init(struct sst_iter *it, const struct iter_ops *ops, bool fill_cache) {
    cursor_iter_init(&it->base, ops);
    memset((uint8_t *)it + sizeof it->base, 0,
           offsetof(struct sst_iter, key_room) - sizeof it->base);
    it->fill_cache = fill_cache;
    it->block = NO_BLOCK;
    it->key = it->key_room;
    it->key_capacity = sizeof it->key_room;
}

void sst_iter_attach(struct sst_iter *it, struct sst *s) {
    leave_block(it);
    buf_reset(&it->window);
    it->window_start = 0;
    sst_unref(it->sst);
    it->sst = s;
    it->use_cache = it->fill_cache && s->cache;
}

void sst_iter_fini(struct sst_iter *it) {
    leave_block(it);
    free_key(it);
    buf_fini(&it->window);
    buf_fini(&it->scratch);
    sst_unref(it->sst);
}

static void iter_free(struct cursor_iter *base) {
    sst_iter_fini(from_base(base));
    mem_free(base);
}

static const struct iter_ops sst_iter_ops = {
    .seek_first = sst_iter_seek_first,
    .seek_last = sst_iter_seek_last,
    .aim = sst_iter_aim,
    .seek = sst_iter_seek,
    .seek_before = sst_iter_seek_before,
    .next = sst_iter_next,
    .prev = sst_iter_prev,
    .next_key = sst_iter_next_key,
    .is_newest = sst_iter_is_newest,
    .free = iter_free,
};

enum lam_code sst_iter_new(struct sst *s, bool fill_cache, struct cursor_iter **it_out,
                           struct lam_error *err) {
    struct sst_iter *it = mem_alloc(sizeof *it);
    if (!it)
        return mem_fail(err, sizeof *it);
    sst_iter_init(it, &sst_iter_ops, fill_cache);
    sst_iter_attach(it, sst_ref(s));
    *it_out = &it->base;
    return LAM_OK;
}
