/* SPDX-License-Identifier: Apache-2.0
 *
 * DELTA_BINARY_PACKED: encoder in blocks of 128 as four miniblocks, decoder for any block shape. */
#include "flush/parquet/delta.h"

#include "base/assert.h"
#include "flush/parquet/hybrid.h"

/* Foreign writers' blocks may be larger than ours, within reason. */
#define MAX_BLOCK (1u << 20)

/* One block's differences, less the smallest of them. */
struct block {
    uint64_t deltas[PQ_DELTA_BLOCK];
    uint8_t widths[PQ_DELTA_MINIBLOCKS];
    int64_t min_delta;
};

static inline int64_t load(const uint8_t *values, size_t i, bool is_32) {
    return is_32 ? (int32_t)get_le32(values + i * 4) : (int64_t)get_le64(values + i * 8);
}

static inline int64_t difference(int64_t a, int64_t b, bool is_32) {
    uint64_t d = (uint64_t)a - (uint64_t)b;
    return is_32 ? (int32_t)(uint32_t)d : (int64_t)d;
}

static inline uint32_t width_of(uint64_t v) {
    return v ? 64 - (uint32_t)__builtin_clzll(v) : 0;
}

/* Fills `b` with the differences of values [at, at + count), at > 0. */
static inline void fill_block(struct block *b, const uint8_t *values, size_t at, size_t count,
                              bool is_32) {
    int64_t previous = load(values, at - 1, is_32);
    b->min_delta = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t v = load(values, at + i, is_32);
        int64_t d = difference(v, previous, is_32);
        b->deltas[i] = (uint64_t)d;
        b->min_delta = d < b->min_delta ? d : b->min_delta;
        previous = v;
    }
    for (size_t m = 0; m < PQ_DELTA_MINIBLOCKS; m++) {
        uint64_t all = 0;
        for (size_t i = m * PQ_DELTA_MINI; i < (m + 1) * PQ_DELTA_MINI; i++) {
            b->deltas[i] = i < count ? b->deltas[i] - (uint64_t)b->min_delta : 0;
            all |= b->deltas[i];
        }
        b->widths[m] = (uint8_t)width_of(all);
        LAM_ASSERT(!is_32 || b->widths[m] <= 32);
    }
}

static void load_block(struct block *b, const uint8_t *values, size_t at, size_t count,
                       bool is_32) {
    if (is_32)
        fill_block(b, values, at, count, true);
    else
        fill_block(b, values, at, count, false);
}

/* Miniblocks that hold any of `count` differences; the others have no body. */
static size_t used_miniblocks(size_t count) {
    return (count + PQ_DELTA_MINI - 1) / PQ_DELTA_MINI;
}

enum lam_code pq_delta_encode(const uint8_t *values, size_t count, size_t width, struct buf *out,
                              struct lam_error *err) {
    LAM_ASSERT(width == 4 || width == 8);
    bool is_32 = width == 4;
    struct block b;
    TRY(buf_append_varint(out, PQ_DELTA_BLOCK, err));
    TRY(buf_append_varint(out, PQ_DELTA_MINIBLOCKS, err));
    TRY(buf_append_varint(out, count, err));
    TRY(buf_append_varint(out, zigzag_encode(count ? load(values, 0, is_32) : 0), err));
    for (size_t at = 1; at < count; at += PQ_DELTA_BLOCK) {
        size_t n = count - at < PQ_DELTA_BLOCK ? count - at : PQ_DELTA_BLOCK;
        load_block(&b, values, at, n, is_32);
        TRY(buf_append_varint(out, zigzag_encode(b.min_delta), err));
        TRY(buf_append(out, b.widths, sizeof b.widths, err));
        for (size_t m = 0; m < used_miniblocks(n); m++)
            TRY(pq_bits_pack(b.deltas + m * PQ_DELTA_MINI, PQ_DELTA_MINI, b.widths[m], out, err));
    }
    return LAM_OK;
}

uint64_t pq_delta_size(const uint8_t *values, size_t count, size_t width) {
    LAM_ASSERT(width == 4 || width == 8);
    bool is_32 = width == 4;
    struct block b;
    uint64_t size = 16;
    for (size_t at = 1; at < count; at += PQ_DELTA_BLOCK) {
        size_t n = count - at < PQ_DELTA_BLOCK ? count - at : PQ_DELTA_BLOCK;
        load_block(&b, values, at, n, is_32);
        size += varint_size(zigzag_encode(b.min_delta)) + sizeof b.widths;
        for (size_t m = 0; m < used_miniblocks(n); m++)
            size += (uint64_t)b.widths[m] * PQ_DELTA_MINI / 8;
    }
    return size;
}

bool pq_delta_start(struct pq_delta *d, struct lam_slice bytes, size_t width) {
    LAM_ASSERT(width == 4 || width == 8);
    *d = (struct pq_delta){.in = cursor_of(bytes), .is_32 = width == 4, .is_first = true};
    uint32_t block = cursor_varint32(&d->in);
    d->miniblocks = cursor_varint32(&d->in);
    d->total = d->left = cursor_varint(&d->in);
    d->value = (uint64_t)zigzag_decode(cursor_varint(&d->in));
    if (d->in.failed || block == 0 || block % 128 != 0 || block > MAX_BLOCK || d->miniblocks == 0 ||
        block % d->miniblocks != 0)
        return false;
    d->mini_values = block / d->miniblocks;
    d->mini = d->miniblocks;
    return d->mini_values % 32 == 0;
}

static bool start_block(struct pq_delta *d) {
    d->min_delta = (uint64_t)zigzag_decode(cursor_varint(&d->in));
    d->widths = cursor_bytes(&d->in, d->miniblocks);
    d->mini = 0;
    return !d->in.failed;
}

static bool start_miniblock(struct pq_delta *d) {
    if (d->mini == d->miniblocks && !start_block(d))
        return false;
    d->width = d->widths.data[d->mini++];
    if (d->width > (d->is_32 ? 32u : 64u))
        return false;
    d->packed = cursor_bytes(&d->in, (size_t)d->mini_values * d->width / 8);
    d->mini_left = d->mini_values;
    return !d->in.failed;
}

static size_t take_deltas(struct pq_delta *d, int64_t *out, size_t count) {
    uint64_t deltas[PQ_DELTA_MINI];
    size_t n = count < d->mini_left ? count : d->mini_left;
    n = n < PQ_DELTA_MINI ? n : PQ_DELTA_MINI;
    uint64_t bit = (uint64_t)(d->mini_values - d->mini_left) * d->width;
    pq_bits_unpack(d->packed.data, d->packed.size, bit, d->width, deltas, n);
    for (size_t i = 0; i < n; i++) {
        d->value += d->min_delta + deltas[i];
        out[i] = d->is_32 ? (int32_t)(uint32_t)d->value : (int64_t)d->value;
    }
    d->mini_left -= (uint32_t)n;
    return n;
}

bool pq_delta_next(struct pq_delta *d, int64_t *out, size_t count) {
    if (count > d->left)
        return false;
    d->left -= count;
    if (d->is_first && count > 0) {
        d->is_first = false;
        *out++ = d->is_32 ? (int32_t)(uint32_t)d->value : (int64_t)d->value;
        count--;
    }
    while (count > 0) {
        if (d->mini_left == 0 && !start_miniblock(d))
            return false;
        size_t n = take_deltas(d, out, count);
        out += n;
        count -= n;
    }
    return true;
}
