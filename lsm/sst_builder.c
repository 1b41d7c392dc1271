/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing an SST front to back through one buffer. After an error only abandon (or finish, which
 * then abandons) may be called. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "lsm/block_builder.h"
#include "lsm/block_format.h"
#include "lsm/bloom.h"
#include "lsm/sst_format.h"
#include "lsm/sst_index.h"

#define WRITE_BYTES      (256u << 10) /* collected before a write */
#define BORROW_BYTES     (64u << 10)  /* values from here on are not copied before their block */
#define KEEP_BYTES       (4u << 20)   /* buffers grown past this are given back */
#define DEFAULT_BLOCK    (8u << 10)
#define DEFAULT_KEY_BITS 10

struct sst_builder {
    lam_env *env;
    lam_file *file;
    char *path; /* owned */
    struct sst_builder_options options;
    uint64_t key_seed;
    uint64_t file_seed;
    struct buf pending; /* bytes not written yet */
    uint64_t written;   /* bytes written: where `pending` goes */
    uint64_t digest;    /* running hash over block checksums */
    bool failed;        /* an add failed half way */
    struct block_builder block;
    struct buf raw;         /* a block before compression */
    struct buf before;      /* last key of the block before the current one */
    struct buf block_first; /* first key of the current block */
    uint64_t block_first_sequence;
    struct sst_index_builder index;
    uint64_t *hashes; /* of distinct keys; owned */
    size_t hash_count;
    size_t hash_capacity;
    struct arena range_bytes;       /* keys of the range tombstones */
    struct range_tombstone *ranges; /* owned; keys in `range_bytes` */
    size_t range_count;
    size_t range_capacity;
    struct buf first_key;
    struct buf last_key;
    uint64_t last_sequence;
    struct sst_properties properties;
};

static void builder_free(struct sst_builder *b) {
    if (!b)
        return;
    mem_free(b->path);
    buf_fini(&b->pending);
    block_builder_fini(&b->block);
    buf_fini(&b->raw);
    buf_fini(&b->before);
    buf_fini(&b->block_first);
    sst_index_builder_fini(&b->index);
    mem_free(b->hashes);
    arena_fini(&b->range_bytes);
    mem_free(b->ranges);
    buf_fini(&b->first_key);
    buf_fini(&b->last_key);
    mem_free(b);
}
OWNED_POINTER(struct sst_builder, builder_free)

enum lam_code sst_builder_open(lam_env *env, const char *path,
                               const struct sst_builder_options *options,
                               struct sst_builder **builder_out, struct lam_error *err) {
    OWNED(builder_free_at) struct sst_builder *b = mem_calloc(1, sizeof *b);
    if (!b)
        return mem_fail(err, sizeof *b);
    b->env = env;
    b->options = *options;
    if (b->options.block_bytes == 0)
        b->options.block_bytes = DEFAULT_BLOCK;
    if (b->options.filter_bits_per_key == 0)
        b->options.filter_bits_per_key = DEFAULT_KEY_BITS;
    LAM_ASSERT(b->options.block_bytes < SST_BLOCK_MAX / 2);
    b->key_seed = sst_key_seed(options->db_id);
    b->file_seed = sst_file_seed(options->db_id, options->number);
    b->digest = b->file_seed;
    b->properties.written_us = options->written_us;
    b->properties.sequence_min = UINT64_MAX;
    b->path = mem_strdup(path);
    if (!b->path)
        return mem_fail(err, strlen(path));
    TRY(env_file_open(env, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_EXCLUSIVE, &b->file,
                      err));
    *builder_out = b;
    b = NULL;
    return LAM_OK;
}

/* Empties a buffer; gives memory back if it grew for one huge entry. */
static void buf_recycle(struct buf *b) {
    buf_reset(b);
    if (b->capacity > KEEP_BYTES)
        buf_fini(b);
}

static enum lam_code write_pending(struct sst_builder *b, struct lam_error *err) {
    if (b->pending.size == 0)
        return LAM_OK;
    TRY(env_file_write(b->file, b->written, b->pending.data, b->pending.size, err));
    b->written += b->pending.size;
    buf_recycle(&b->pending);
    return LAM_OK;
}

/* Offset in the file of what is appended to `pending` next. */
static uint64_t position(const struct sst_builder *b) {
    return b->written + b->pending.size;
}

/* Ends the block whose stored bytes are `pending` from `start` on. */
static enum lam_code end_block(struct sst_builder *b, size_t start, size_t raw_bytes,
                               enum sst_block_type type, enum sst_compression compression,
                               struct sst_handle *handle, struct lam_error *err) {
    if (raw_bytes > UINT32_MAX)
        return ERR(err, LAM_LIMIT, "%s: a part of %zu bytes is too large for an SST", b->path,
                   raw_bytes);
    TRY(buf_reserve(&b->pending, SST_TRAILER_BYTES, err));
    struct lam_slice stored = lam_slice_of(b->pending.data + start, b->pending.size - start);
    uint64_t offset = b->written + start;
    uint64_t checksum = sst_trailer_encode(b->file_seed, offset, stored, (uint32_t)raw_bytes, type,
                                           compression, b->pending.data + b->pending.size);
    b->pending.size += SST_TRAILER_BYTES;
    b->digest = hash_mix(b->digest, checksum);
    handle->offset = offset;
    handle->size = stored.size + SST_TRAILER_BYTES;
    return b->pending.size >= WRITE_BYTES ? write_pending(b, err) : LAM_OK;
}

static enum lam_code end_plain(struct sst_builder *b, size_t start, enum sst_block_type type,
                               struct sst_handle *handle, struct lam_error *err) {
    return end_block(b, start, b->pending.size - start, type, SST_PLAIN, handle, err);
}

/* Worth the reader's time from 12 % gain on. */
static bool is_worth_it(size_t compressed, size_t raw) {
    return (uint64_t)compressed * 100 <= (uint64_t)raw * 88;
}

static enum lam_code store_data_block(struct sst_builder *b, struct sst_handle *handle,
                                      struct lam_error *err) {
    size_t start = b->pending.size;
    if (!b->options.lz4) {
        TRY(block_builder_finish(&b->block, &b->pending, err));
        return end_plain(b, start, SST_BLOCK_DATA, handle, err);
    }
    buf_reset(&b->raw);
    TRY(block_builder_finish(&b->block, &b->raw, err));
    block_fold(b->raw.data, b->raw.size);
    TRY(codec_lz4_compress(buf_slice(&b->raw), &b->pending, err));
    size_t raw_bytes = b->raw.size;
    enum sst_compression compression = SST_LZ4_FOLDED;
    if (!is_worth_it(b->pending.size - start, raw_bytes)) {
        b->pending.size = start;
        block_unfold(b->raw.data, raw_bytes);
        TRY(buf_append_slice(&b->pending, buf_slice(&b->raw), err));
        compression = SST_PLAIN;
    }
    buf_recycle(&b->raw);
    return end_block(b, start, raw_bytes, SST_BLOCK_DATA, compression, handle, err);
}

/* Writes the current block, if it has entries. */
static enum lam_code cut_block(struct sst_builder *b, struct lam_error *err) {
    if (b->block.count == 0)
        return LAM_OK;
    struct sst_handle handle;
    TRY(store_data_block(b, &handle, err));
    TRY(sst_index_builder_add(&b->index, buf_slice(&b->before), buf_slice(&b->block_first),
                              b->block_first_sequence, handle.size, err));
    block_builder_reset(&b->block);
    if (b->block.bytes.capacity > KEEP_BYTES)
        buf_fini(&b->block.bytes);
    buf_reset(&b->before);
    return buf_append_slice(&b->before, buf_slice(&b->last_key), err);
}

static enum lam_code set_buf(struct buf *b, struct lam_slice s, struct lam_error *err) {
    buf_reset(b);
    return buf_append_slice(b, s, err);
}

/* Counts the entry and remembers its key; gives the key's hash. */
static enum lam_code note_entry(struct sst_builder *b, const struct entry *entry, uint64_t *hash,
                                struct lam_error *err) {
    struct sst_properties *p = &b->properties;
    int c = p->entries == 0 ? -1 : slice_cmp(buf_slice(&b->last_key), entry->key);
    LAM_ASSERT(c < 0 || (c == 0 && b->last_sequence > entry->sequence));
    *hash = hash_xxh3(entry->key.data, entry->key.size, b->key_seed);
    if (p->entries == 0)
        TRY(set_buf(&b->first_key, entry->key, err));
    if (c < 0) {
        TRY(MEM_GROW(&b->hashes, &b->hash_capacity, b->hash_count + 1, err));
        b->hashes[b->hash_count++] = *hash;
        TRY(set_buf(&b->last_key, entry->key, err));
    }
    b->last_sequence = entry->sequence;
    p->entries++;
    p->deletes += entry->kind == ENTRY_DELETE;
    p->raw_bytes += entry->key.size + entry->value.size;
    if (entry->sequence < p->sequence_min)
        p->sequence_min = entry->sequence;
    if (entry->sequence > p->sequence_max)
        p->sequence_max = entry->sequence;
    return LAM_OK;
}

static enum lam_code add_entry(struct sst_builder *b, const struct entry *entry,
                               struct lam_error *err) {
    size_t size = entry->key.size + entry->value.size + BLOCK_ENTRY_COST;
    if (block_builder_size(&b->block) + size > b->options.block_bytes)
        TRY(cut_block(b, err));
    uint64_t hash;
    TRY(note_entry(b, entry, &hash, err));
    if (b->block.count == 0) {
        TRY(set_buf(&b->block_first, entry->key, err));
        b->block_first_sequence = entry->sequence;
    }
    bool borrow = entry->value.size >= BORROW_BYTES;
    TRY(block_builder_add(&b->block, entry, block_tag(hash), borrow, err));
    return borrow ? cut_block(b, err) : LAM_OK;
}

enum lam_code sst_builder_add(struct sst_builder *b, const struct entry *entry,
                              struct lam_error *err) {
    LAM_ASSERT(!b->failed);
    enum lam_code rc = add_entry(b, entry, err);
    b->failed = rc != LAM_OK;
    return rc;
}

enum lam_code sst_builder_add_range(struct sst_builder *b, const struct range_tombstone *t,
                                    struct lam_error *err) {
    struct sst_properties *p = &b->properties;
    LAM_ASSERT(t->sequence <= LAM_SEQUENCE_MAX && t->upto <= LAM_SEQUENCE_MAX);
    LAM_ASSERT(t->from.size <= LAM_KEY_MAX && t->to.size <= LAM_KEY_MAX);
    /* An empty range hides nothing, so leaving it out loses nothing. */
    if (t->to.size > 0 && slice_cmp(t->from, t->to) >= 0)
        return LAM_OK;
    TRY(MEM_GROW(&b->ranges, &b->range_capacity, b->range_count + 1, err));
    uint8_t *keys = arena_alloc(&b->range_bytes, t->from.size + t->to.size + 1);
    if (!keys)
        return mem_fail(err, t->from.size + t->to.size + 1);
    if (t->from.size > 0)
        memcpy(keys, t->from.data, t->from.size);
    if (t->to.size > 0)
        memcpy(keys + t->from.size, t->to.data, t->to.size);
    b->ranges[b->range_count++] = (struct range_tombstone){
        .from = lam_slice_of(keys, t->from.size),
        .to = lam_slice_of(keys + t->from.size, t->to.size),
        .upto = t->upto,
        .sequence = t->sequence,
    };
    p->range_tombstones++;
    if (t->sequence < p->sequence_min)
        p->sequence_min = t->sequence;
    if (t->sequence > p->sequence_max)
        p->sequence_max = t->sequence;
    return LAM_OK;
}

void sst_builder_set_written(struct sst_builder *b, int64_t written_us) {
    b->properties.written_us = written_us;
}

uint64_t sst_builder_size(const struct sst_builder *b) {
    return position(b) + block_builder_size(&b->block);
}

void sst_summary_fini(struct sst_summary *s) {
    buf_fini(&s->smallest);
    buf_fini(&s->largest);
}

static enum lam_code write_ranges(struct sst_builder *b, struct sst_handle *handle,
                                  struct lam_error *err) {
    if (b->range_count > 1)
        qsort(b->ranges, b->range_count, sizeof *b->ranges, sst_range_cmp);
    size_t start = b->pending.size;
    TRY(sst_ranges_encode(b->ranges, b->range_count, &b->pending, err));
    return end_plain(b, start, SST_BLOCK_RANGES, handle, err);
}

static enum lam_code write_filter(struct sst_builder *b, struct sst_handle *handle,
                                  struct lam_error *err) {
    size_t start = b->pending.size;
    uint32_t bits = b->options.filter_bits_per_key;
    uint32_t lines = b->hash_count > 0 ? bloom_lines(b->hash_count, bits) : 0;
    uint32_t probes = bloom_probes(bits);
    TRY(buf_append_le32(&b->pending, lines, err));
    TRY(buf_append_le32(&b->pending, probes, err));
    size_t filter = b->pending.size;
    TRY(buf_append_zeros(&b->pending, (size_t)lines * BLOOM_LINE_BYTES, err));
    for (size_t i = 0; i < b->hash_count; i++)
        bloom_add(b->pending.data + filter, lines, probes, b->hashes[i]);
    return end_plain(b, start, SST_BLOCK_FILTER, handle, err);
}

/* Bounds over entries and range tombstones; they borrow the builder's bytes. */
static struct sst_bounds find_bounds(const struct sst_builder *b) {
    struct sst_bounds out = {0};
    if (b->properties.entries > 0)
        out = (struct sst_bounds){true, false, buf_slice(&b->first_key), buf_slice(&b->last_key)};
    for (size_t i = 0; i < b->range_count; i++) {
        const struct range_tombstone *t = &b->ranges[i];
        if (!out.some || slice_cmp(t->from, out.smallest) < 0)
            out.smallest = t->from;
        if (t->to.size == 0)
            out.largest_open = true;
        if (!out.some || slice_cmp(t->to, out.largest) > 0)
            out.largest = t->to;
        out.some = true;
    }
    return out;
}

static enum lam_code write_tail(struct sst_builder *b, const struct sst_bounds *bounds,
                                struct sst_footer *footer, struct lam_error *err) {
    memset(footer, 0, sizeof *footer);
    memcpy(footer->db_id, b->options.db_id, sizeof footer->db_id);
    footer->number = b->options.number;
    TRY(cut_block(b, err));
    TRY(write_ranges(b, &footer->ranges, err));
    TRY(write_filter(b, &footer->filter, err));
    size_t start = b->pending.size;
    TRY(sst_index_builder_finish(&b->index, &b->pending, err));
    TRY(end_plain(b, start, SST_BLOCK_INDEX, &footer->index, err));
    start = b->pending.size; /* a write may have emptied it */
    TRY(sst_properties_encode(&b->properties, bounds, &b->pending, err));
    TRY(end_plain(b, start, SST_BLOCK_PROPERTIES, &footer->properties, err));
    footer->digest = b->digest;
    footer->file_bytes = position(b) + SST_FOOTER_BYTES;
    TRY(buf_reserve(&b->pending, SST_FOOTER_BYTES, err));
    sst_footer_encode(footer, b->pending.data + b->pending.size);
    b->pending.size += SST_FOOTER_BYTES;
    return write_pending(b, err);
}

static enum lam_code finish(struct sst_builder *b, struct sst_summary *s, struct lam_error *err) {
    if (b->failed)
        return ERR(err, LAM_IO, "%s: an earlier write of this file failed", b->path);
    if (b->properties.sequence_min == UINT64_MAX)
        b->properties.sequence_min = 0;
    struct sst_bounds bounds = find_bounds(b);
    struct sst_footer footer;
    TRY(write_tail(b, &bounds, &footer, err));
    TRY(buf_append_slice(&s->smallest, bounds.smallest, err));
    TRY(buf_append_slice(&s->largest, bounds.largest, err));
    s->number = b->options.number;
    s->size_bytes = footer.file_bytes;
    s->footer_checksum = footer.checksum;
    s->largest_open = bounds.largest_open;
    s->properties = b->properties;
    TRY(env_file_sync(b->file, err));
    lam_file *file = b->file;
    b->file = NULL;
    return env_file_close(file, err);
}

enum lam_code sst_builder_finish(struct sst_builder *b, struct sst_summary *summary_out,
                                 struct lam_error *err) {
    struct sst_summary s = {0};
    enum lam_code rc = finish(b, &s, err);
    if (rc != LAM_OK) {
        sst_summary_fini(&s);
        sst_builder_abandon(b);
        return rc;
    }
    *summary_out = s;
    builder_free(b);
    return LAM_OK;
}

void sst_builder_abandon(struct sst_builder *b) {
    if (!b)
        return;
    IGNORE(env_file_close(b->file, NULL), "the file goes");
    IGNORE(env_file_remove(b->env, b->path, NULL), "if it stays, it is an orphan");
    builder_free(b);
}
