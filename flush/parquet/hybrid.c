/* SPDX-License-Identifier: Apache-2.0
 *
 * Bit packing, and the hybrid of repeated and literal runs built on it. */
#include "flush/parquet/hybrid.h"

#include "base/assert.h"

/* Literals handed to the packer at a time; a multiple of 8, so that groups end on whole bytes. */
#define PACK_BLOCK 256
/* A repeated run pays from this length on; literal runs are whole groups of as many. */
#define GROUP 8

enum lam_code pq_bits_pack(const uint64_t *values, size_t count, uint32_t width, struct buf *out,
                           struct lam_error *err) {
    LAM_ASSERT(width <= 64);
    size_t bytes = (count * width + 7) / 8;
    TRY(buf_reserve(out, bytes + 1, err));
    uint8_t *p = out->data + out->size;
    unsigned __int128 pending = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        DEBUG_ASSERT(width == 64 || values[i] >> width == 0);
        pending |= (unsigned __int128)values[i] << bits;
        bits += width;
        if (bits >= 64) {
            put_le64(p, (uint64_t)pending);
            p += 8;
            pending >>= 64;
            bits -= 64;
        }
    }
    for (; bits > 0; bits = bits > 8 ? bits - 8 : 0, pending >>= 8)
        *p++ = (uint8_t)pending;
    LAM_ASSERT(p == out->data + out->size + bytes);
    out->size += bytes;
    return LAM_OK;
}

/* Packs at most 32 bits a value; far faster than the general form. */
static uint8_t *pack32(const uint32_t *values, size_t count, uint32_t width, uint8_t *p) {
    uint64_t pending = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        pending |= (uint64_t)values[i] << bits;
        bits += width;
        if (bits >= 32) {
            put_le32(p, (uint32_t)pending);
            p += 4;
            pending >>= 32;
            bits -= 32;
        }
    }
    for (; bits > 0; bits = bits > 8 ? bits - 8 : 0, pending >>= 8)
        *p++ = (uint8_t)pending;
    return p;
}

static enum lam_code put_literals(const uint32_t *values, size_t count, uint32_t width,
                                  struct buf *out, struct lam_error *err) {
    if (count == 0)
        return LAM_OK;
    size_t groups = (count + GROUP - 1) / GROUP;
    TRY(buf_append_varint(out, groups << 1 | 1, err));
    TRY(buf_reserve(out, groups * width, err));
    uint8_t *p = out->data + out->size;
    size_t whole = count / GROUP * GROUP;
    for (size_t i = 0; i < whole; i += PACK_BLOCK)
        p = pack32(values + i, whole - i < PACK_BLOCK ? whole - i : PACK_BLOCK, width, p);
    if (whole < count) {
        uint32_t last[GROUP] = {0};
        memcpy(last, values + whole, (count - whole) * sizeof *values);
        p = pack32(last, GROUP, width, p);
    }
    LAM_ASSERT(p == out->data + out->size + groups * width);
    out->size += groups * width;
    return LAM_OK;
}

static enum lam_code put_run(uint32_t value, size_t count, uint32_t width, struct buf *out,
                             struct lam_error *err) {
    uint8_t bytes[4];
    put_le32(bytes, value);
    TRY(buf_append_varint(out, (uint64_t)count << 1, err));
    return buf_append(out, bytes, (width + 7) / 8, err);
}

enum lam_code pq_hybrid_encode(const uint32_t *values, size_t count, uint32_t width,
                               struct buf *out, struct lam_error *err) {
    LAM_ASSERT(width >= 1 && width <= 32 && count < (1u << 30));
    size_t pending = 0; /* first value not yet written */
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && values[end] == values[i])
            end++;
        /* A literal run ends on a whole group: the run before fills it up. */
        size_t fill = (GROUP - (i - pending) % GROUP) % GROUP;
        bool is_all = i == pending && end == count;
        if (end - i >= fill + GROUP || is_all) {
            TRY(put_literals(values + pending, i + fill - pending, width, out, err));
            TRY(put_run(values[i], end - i - fill, width, out, err));
            pending = end;
        }
        i = end;
    }
    return put_literals(values + pending, count - pending, width, out, err);
}

struct pq_hybrid pq_hybrid_of(struct lam_slice bytes, uint32_t width) {
    LAM_ASSERT(width <= 32);
    return (struct pq_hybrid){
        .at = bytes.data, .end = bytes.data ? bytes.data + bytes.size : bytes.data, .width = width};
}

/* Reads the next run's header; false if there is none or it is malformed. */
static bool start_run(struct pq_hybrid *h) {
    if (!h->at)
        return false;
    struct cursor in = cursor_of(lam_slice_of(h->at, (size_t)(h->end - h->at)));
    uint64_t head = cursor_varint(&in);
    if (in.failed || head >> 1 == 0 || head > UINT32_MAX)
        return false;
    if (head & 1) {
        /* Some writers cut the zero padding of the last group. */
        uint64_t room = h->width ? cursor_left(&in) * 8 / h->width : UINT64_MAX;
        uint64_t literals = (head >> 1) * GROUP;
        h->literals = literals < room ? literals : room;
        h->bit = 0;
        h->at = in.at;
        return h->literals > 0;
    }
    struct lam_slice value = cursor_bytes(&in, (h->width + 7) / 8);
    if (in.failed)
        return false;
    h->value = 0;
    for (size_t i = 0; i < value.size; i++)
        h->value |= (uint32_t)value.data[i] << (8 * i);
    if (h->width < 32 && h->value >> h->width != 0)
        return false;
    h->repeats = head >> 1;
    h->at = in.at;
    return true;
}

/* One value of at most 32 bits near the end of the bytes, where a load of eight would overrun. */
static uint32_t unpack_slow(const uint8_t *p, const uint8_t *end, uint64_t bit, uint32_t width) {
    uint64_t v = 0;
    const uint8_t *at = p + (bit >> 3);
    for (uint32_t i = 0; i < 8 && at + i < end; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return (uint32_t)(v >> (bit & 7) & ((UINT64_C(1) << width) - 1));
}

static void take_literals(struct pq_hybrid *h, uint32_t *out, size_t count) {
    uint64_t mask = (UINT64_C(1) << h->width) - 1;
    uint64_t size = (uint64_t)(h->end - h->at);
    size_t fast = 0;
    if (size >= 8 && h->width > 0) {
        uint64_t last = (size - 8) * 8 + 7; /* greatest bit whose load stays inside */
        if (h->bit <= last)
            fast = (last - h->bit) / h->width + 1;
    }
    fast = fast < count ? fast : count;
    uint64_t bit = h->bit;
    for (size_t i = 0; i < fast; i++, bit += h->width)
        out[i] = (uint32_t)(get_le64(h->at + (bit >> 3)) >> (bit & 7) & mask);
    for (size_t i = fast; i < count; i++, bit += h->width)
        out[i] = unpack_slow(h->at, h->end, bit, h->width);
    h->bit = bit;
    h->literals -= count;
    if (h->literals == 0) {
        size_t used = (size_t)((h->bit + 7) / 8);
        h->at += used;
    }
}

bool pq_hybrid_next(struct pq_hybrid *h, uint32_t *out, size_t count) {
    while (count > 0) {
        size_t n;
        if (h->repeats > 0) {
            n = h->repeats < count ? (size_t)h->repeats : count;
            for (size_t i = 0; i < n; i++)
                out[i] = h->value;
            h->repeats -= n;
        } else if (h->literals > 0) {
            n = h->literals < count ? (size_t)h->literals : count;
            take_literals(h, out, n);
        } else {
            if (!start_run(h))
                return false;
            continue;
        }
        out += n;
        count -= n;
    }
    return true;
}

void pq_bits_unpack(const uint8_t *bytes, size_t size, uint64_t bit, uint32_t width, uint64_t *out,
                    size_t count) {
    LAM_ASSERT(width <= 64 && (bit + (uint64_t)width * count + 7) / 8 <= size);
    if (width == 0) {
        memset(out, 0, count * sizeof *out);
        return;
    }
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < count; i++, bit += width) {
        size_t at = (size_t)(bit >> 3);
        uint32_t shift = (uint32_t)(bit & 7);
        uint64_t v = 0;
        if (at + 8 <= size)
            v = get_le64(bytes + at) >> shift;
        else
            for (size_t k = 0; at + k < size; k++) {
                int place = (int)(8 * k) - (int)shift;
                v |= place < 0 ? (uint64_t)bytes[at + k] >> -place
                               : (uint64_t)bytes[at + k] << place;
            }
        if (shift + width > 64 && at + 8 < size)
            v |= (uint64_t)bytes[at + 8] << (64 - shift);
        out[i] = v & mask;
    }
}
