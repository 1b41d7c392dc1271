/* SPDX-License-Identifier: Apache-2.0
 *
 * Building, decoding and searching an SST's index. */
#include "lsm/sst_index.h"

#include "base/assert.h"
#include "lamina/db.h"

void sst_index_builder_fini(struct sst_index_builder *b) {
    mem_free(b->items);
    buf_fini(&b->keys);
    memset(b, 0, sizeof *b);
}

static size_t shared_bytes(struct lam_slice a, struct lam_slice b) {
    size_t most = a.size < b.size ? a.size : b.size;
    size_t n = 0;
    while (n < most && a.data[n] == b.data[n])
        n++;
    return n;
}

enum lam_code sst_index_builder_add(struct sst_index_builder *b, struct lam_slice before,
                                    struct lam_slice first_key, uint64_t first_sequence,
                                    uint64_t size, struct lam_error *err) {
    LAM_ASSERT(b->count == 0 || slice_cmp(before, first_key) <= 0);
    bool continues = b->count > 0 && slice_eq(before, first_key);
    struct lam_slice separator = first_key;
    /* The shortest prefix of the key that is greater than the key before. The first block keeps its
     * whole key: it is the file's smallest. */
    if (b->count > 0 && !continues)
        separator.size = shared_bytes(before, first_key) + 1;
    TRY(MEM_GROW(&b->items, &b->capacity, b->count + 1, err));
    size_t key_at = b->keys.size;
    TRY(buf_append_slice(&b->keys, separator, err));
    b->items[b->count++] = (struct sst_index_item){
        .sequence = continues ? first_sequence : SST_INDEX_NO_SEQUENCE,
        .size = size,
        .key_at = key_at,
        .key_bytes = (uint32_t)separator.size,
    };
    return LAM_OK;
}

static struct lam_slice item_key(const struct sst_index_builder *b, size_t i) {
    return lam_slice_of(b->keys.data + b->items[i].key_at, b->items[i].key_bytes);
}

enum lam_code sst_index_builder_finish(const struct sst_index_builder *b, struct buf *out,
                                       struct lam_error *err) {
    struct lam_slice prefix = SLICE_EMPTY;
    if (b->count > 0) {
        prefix = item_key(b, 0);
        prefix.size = shared_bytes(prefix, item_key(b, b->count - 1));
    }
    TRY(buf_append_varint(out, b->count, err));
    TRY(buf_append_prefixed(out, prefix, err));
    for (size_t i = 0; i < b->count; i++) {
        const struct sst_index_item *item = &b->items[i];
        struct lam_slice key = item_key(b, i);
        TRY(buf_append_varint(out, item->size, err));
        TRY(buf_append_varint(out, item->sequence + 1, err));
        TRY(buf_append_prefixed(out, lam_slice_of(key.data + prefix.size, key.size - prefix.size),
                                err));
    }
    return LAM_OK;
}

#define HEADS_A_STEP 2u

void sst_index_fini(struct sst_index *x) {
    mem_free(x->heads);
    mem_free(x->starts);
    mem_free(x->offsets);
    mem_free(x->keys);
    mem_free(x->sequences);
    memset(x, 0, sizeof *x);
}

size_t sst_index_memory(const struct sst_index *x) {
    size_t each = sizeof *x->heads + sizeof *x->offsets + sizeof *x->keys;
    return x->count * (each + (x->sequences ? sizeof *x->sequences : 0)) +
           x->steps * sizeof *x->starts;
}

static uint64_t head_of(struct lam_slice s) {
    uint8_t bytes[8] = {0};
    if (s.size >= sizeof bytes)
        return get_be64(s.data);
    if (s.size > 0)
        memcpy(bytes, s.data, s.size);
    return get_be64(bytes);
}

static uint64_t sequence_of(const struct sst_index *x, uint32_t i) {
    return x->sequences ? x->sequences[i] : SST_INDEX_NO_SEQUENCE;
}

static enum lam_code allocate(struct sst_index *x, struct lam_error *err) {
    size_t n = x->count;
    x->heads = mem_calloc(n, sizeof *x->heads);
    x->offsets = mem_calloc(n + 1, sizeof *x->offsets);
    x->keys = mem_calloc(n, sizeof *x->keys);
    x->steps = x->count / HEADS_A_STEP + 1;
    x->starts = mem_calloc((size_t)x->steps + 1, sizeof *x->starts);
    if ((n > 0 && (!x->heads || !x->keys)) || !x->offsets || !x->starts)
        return mem_fail(err, n * sizeof *x->keys);
    return LAM_OK;
}

static enum lam_code set_sequence(struct sst_index *x, uint32_t i, uint64_t sequence,
                                  struct lam_error *err) {
    if (!x->sequences) {
        x->sequences = mem_alloc(x->count * sizeof *x->sequences);
        if (!x->sequences)
            return mem_fail(err, x->count * sizeof *x->sequences);
        memset(x->sequences, 0xff, x->count * sizeof *x->sequences);
    }
    x->sequences[i] = sequence;
    return LAM_OK;
}

static enum lam_code decode_item(struct sst_index *x, struct cursor *c, uint32_t i,
                                 uint64_t block_max, struct lam_error *err) {
    uint64_t size = cursor_varint(c);
    uint64_t sequence = cursor_varint(c);
    x->keys[i] = cursor_prefixed(c);
    if (c->failed || size == 0 || size > block_max || sequence > LAM_SEQUENCE_MAX + 1 ||
        x->prefix.size + x->keys[i].size > LAM_KEY_MAX || (sequence != 0 && i == 0))
        return ERR(err, LAM_CORRUPT, "index entry %u is malformed", i);
    /* No overflow: a block is at most 2^32 bytes, and there are at most 2^32. */
    x->offsets[i + 1] = x->offsets[i] + size;
    x->heads[i] = head_of(x->keys[i]);
    if (sequence != 0)
        TRY(set_sequence(x, i, sequence - 1, err));
    if (i > 0 &&
        entry_cmp(x->keys[i - 1], sequence_of(x, i - 1), x->keys[i], sequence_of(x, i)) >= 0)
        return ERR(err, LAM_CORRUPT, "index entry %u is not in order", i);
    return LAM_OK;
}

static enum lam_code decode_items(struct sst_index *x, struct cursor *c, uint64_t data_bytes,
                                  uint64_t block_max, struct lam_error *err) {
    for (uint32_t i = 0; i < x->count; i++)
        TRY(decode_item(x, c, i, block_max, err));
    if (cursor_left(c) != 0 || x->offsets[x->count] != data_bytes)
        return ERR(err, LAM_CORRUPT, "index covers %llu bytes of data blocks, expected %llu",
                   (unsigned long long)x->offsets[x->count], (unsigned long long)data_bytes);
    return LAM_OK;
}

/* In which step a head is, or would be: rising with the heads. */
static uint32_t step_of(const struct sst_index *x, uint64_t head) {
    uint64_t step = head <= x->heads[0] ? 0 : (head - x->heads[0]) >> x->shift;
    return step < x->steps ? (uint32_t)step : x->steps - 1;
}

static void fill_steps(struct sst_index *x) {
    uint32_t step = 0;
    x->shift = 0;
    while (x->count > 0 && (x->heads[x->count - 1] - x->heads[0]) >> x->shift >= x->steps)
        x->shift++;
    for (uint32_t i = 0; i < x->count; i++)
        while (step < step_of(x, x->heads[i]))
            x->starts[++step] = i;
    while (step < x->steps)
        x->starts[++step] = x->count;
}

enum lam_code sst_index_decode(struct lam_slice bytes, uint64_t data_bytes, uint64_t block_max,
                               struct sst_index *out, struct lam_error *err) {
    struct sst_index x = {0};
    struct cursor c = cursor_of(bytes);
    LAM_ASSERT(block_max <= UINT32_MAX);
    x.count = cursor_varint32(&c);
    x.prefix = cursor_prefixed(&c);
    /* One takes at least three bytes. */
    if (c.failed || x.count > cursor_left(&c) / 3)
        return ERR(err, LAM_CORRUPT, "impossible number of index entries");
    enum lam_code rc = allocate(&x, err);
    if (rc == LAM_OK)
        rc = decode_items(&x, &c, data_bytes, block_max, err);
    if (rc != LAM_OK) {
        sst_index_fini(&x);
        return rc;
    }
    fill_steps(&x);
    *out = x;
    return LAM_OK;
}

/* How many heads are below `head`, which is in that step. */
static uint32_t heads_below(const struct sst_index *x, uint64_t head, uint32_t step) {
    const uint64_t *base = x->heads + x->starts[step];
    uint32_t n = x->starts[step + 1] - x->starts[step];
    if (n == 0)
        return x->starts[step];
    /* Without branches on what is compared: half of them would be predicted wrongly. */
    while (n > 1) {
        uint32_t half = n / 2;
        base += (base[half - 1] < head) * half;
        n -= half;
    }
    return (uint32_t)(base - x->heads) + (*base < head);
}

/* Whether the common prefix alone decides in which block a key is. */
static bool prefix_decides(const struct sst_index *x, struct lam_slice key, uint32_t *block_out) {
    LAM_ASSERT(x->count > 0);
    size_t shared = key.size < x->prefix.size ? key.size : x->prefix.size;
    int c = shared ? memcmp(key.data, x->prefix.data, shared) : 0;
    *block_out = c > 0 ? x->count - 1 : 0;
    return c != 0 || key.size < x->prefix.size;
}

/* The block, when `lo` heads are below the one of `key` and the next is equal. */
static uint32_t settle_equal(const struct sst_index *x, struct lam_slice key, uint64_t sequence,
                             uint64_t head, uint32_t lo) {
    struct lam_slice rest = slice_from(key, x->prefix.size);
    uint32_t hi = head == UINT64_MAX ? x->count : heads_below(x, head + 1, step_of(x, head + 1));
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (entry_cmp(x->keys[mid], sequence_of(x, mid), rest, sequence) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? 0 : lo - 1;
}

static inline uint32_t settle(const struct sst_index *x, struct lam_slice key, uint64_t sequence,
                              uint64_t head, uint32_t lo) {
    if (lo < x->count && x->heads[lo] == head)
        return settle_equal(x, key, sequence, head, lo);
    return lo == 0 ? 0 : lo - 1;
}

uint32_t sst_index_find(const struct sst_index *x, struct lam_slice key, uint64_t sequence) {
    uint32_t block;
    if (prefix_decides(x, key, &block))
        return block;
    uint64_t head = head_of(slice_from(key, x->prefix.size));
    return settle(x, key, sequence, head, heads_below(x, head, step_of(x, head)));
}

void sst_index_find_many(struct sst_index_ask *asks, size_t n, uint64_t sequence) {
    for (size_t i = 0; i < n; i++) {
        struct sst_index_ask *a = &asks[i];
        const struct sst_index *x = a->index;
        a->decided = prefix_decides(x, a->key, &a->block);
        if (a->decided)
            continue;
        a->head = head_of(slice_from(a->key, x->prefix.size));
        a->step = step_of(x, a->head);
        __builtin_prefetch(&x->starts[a->step]);
    }
    for (size_t i = 0; i < n; i++)
        if (!asks[i].decided)
            __builtin_prefetch(&asks[i].index->heads[asks[i].index->starts[asks[i].step]]);
    for (size_t i = 0; i < n; i++) {
        struct sst_index_ask *a = &asks[i];
        if (!a->decided)
            a->block = settle(a->index, a->key, sequence, a->head,
                              heads_below(a->index, a->head, a->step));
    }
}

bool sst_index_continues(const struct sst_index *x, uint32_t i, struct lam_slice key) {
    if (sequence_of(x, i) == SST_INDEX_NO_SEQUENCE || !slice_starts_with(key, x->prefix))
        return false;
    struct lam_slice rest = slice_from(key, x->prefix.size);
    return slice_eq(x->keys[i], rest);
}

int sst_index_cmp(const struct sst_index *x, uint32_t i, struct lam_slice key, uint64_t sequence) {
    size_t shared = key.size < x->prefix.size ? key.size : x->prefix.size;
    int c = shared ? memcmp(x->prefix.data, key.data, shared) : 0;
    if (c != 0)
        return c;
    if (key.size < x->prefix.size)
        return 1;
    struct lam_slice rest = slice_from(key, shared);
    return entry_cmp(x->keys[i], sequence_of(x, i), rest, sequence);
}
