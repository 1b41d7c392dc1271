/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening an SST and point reads. */
#include "lsm/sst_reader.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "lsm/block_format.h"
#include "lsm/bloom.h"

enum lam_code sst_context(const struct sst *s, uint64_t offset, enum lam_code code,
                          struct lam_error *err) {
    return error_context(err, code, "%s: offset %llu", s->path, (unsigned long long)offset);
}

static void sst_free(struct sst *s) {
    if (s->blocks)
        block_cache_drop(s->cache, s->blocks, s->index.count);
    mem_free(s->blocks);
    IGNORE(env_file_close(s->file, NULL), "opened for reading only");
    sst_index_fini(&s->index);
    mem_free(s->ranges);
    mem_free(s->path);
    buf_fini(&s->ranges_bytes);
    buf_fini(&s->filter_bytes);
    buf_fini(&s->index_bytes);
    buf_fini(&s->properties_bytes);
    mem_free(s);
}

static enum lam_code read_footer(struct sst *s, const uint8_t *db_id, uint64_t size_bytes,
                                 uint64_t footer_checksum, struct lam_error *err) {
    uint64_t found;
    TRY(env_file_size(s->file, &found, err));
    if (found != size_bytes || size_bytes < SST_FOOTER_BYTES)
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: file ends, expected at %llu", s->path,
                   (unsigned long long)found, (unsigned long long)size_bytes);
    uint8_t bytes[SST_FOOTER_BYTES];
    uint64_t offset = size_bytes - SST_FOOTER_BYTES;
    TRY(env_file_read_exact(s->file, s->path, offset, bytes, sizeof bytes, err));
    enum lam_code rc = sst_footer_decode(bytes, db_id, s->number, size_bytes, &s->footer, err);
    if (rc != LAM_OK)
        return sst_context(s, offset, rc, err);
    if (s->footer.checksum != footer_checksum)
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: footer is not the one the manifest names",
                   s->path, (unsigned long long)offset);
    return LAM_OK;
}

/* Reads a part into `out`, at `pad` bytes from its start; checks it and gives what it holds. */
static enum lam_code read_part(struct sst *s, struct sst_handle handle, enum sst_block_type type,
                               size_t pad, struct buf *out, struct lam_slice *content,
                               struct lam_error *err) {
    if (handle.size > SIZE_MAX - pad)
        return ERR(err, LAM_LIMIT, "%s: a part of the file does not fit memory", s->path);
    size_t size = (size_t)handle.size;
    TRY(buf_reserve(out, pad + size, err));
    TRY(env_file_read_exact(s->file, s->path, handle.offset, out->data + pad, size, err));
    out->size = pad + size;
    struct sst_stored stored;
    enum lam_code rc = sst_block_check(s->file_seed, handle.offset,
                                       lam_slice_of(out->data + pad, size), type, &stored, err);
    if (rc != LAM_OK)
        return sst_context(s, handle.offset, rc, err);
    *content = stored.bytes;
    return LAM_OK;
}

static enum lam_code read_filter(struct sst *s, struct lam_error *err) {
    /* The lines follow 8 bytes; moved to a line boundary, a test touches one cache line. */
    const struct sst_handle *h = &s->footer.filter;
    struct lam_slice content;
    TRY(read_part(s, *h, SST_BLOCK_FILTER, BLOOM_LINE_BYTES, &s->filter_bytes, &content, err));
    struct cursor c = cursor_of(content);
    s->filter_lines = cursor_le32(&c);
    s->filter_probes = cursor_le32(&c);
    if (c.failed || cursor_left(&c) != (uint64_t)s->filter_lines * BLOOM_LINE_BYTES ||
        s->filter_probes == 0 || s->filter_probes > 16)
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: filter is malformed", s->path,
                   (unsigned long long)h->offset);
    uint8_t *base = s->filter_bytes.data;
    uint8_t *aligned = base + (-(uintptr_t)base & (BLOOM_LINE_BYTES - 1));
    memmove(aligned, c.at, cursor_left(&c));
    s->filter = aligned;
    return LAM_OK;
}

static enum lam_code read_parts(struct sst *s, struct lam_error *err) {
    struct lam_slice content;
    const struct sst_footer *f = &s->footer;
    TRY(read_part(s, f->ranges, SST_BLOCK_RANGES, 0, &s->ranges_bytes, &content, err));
    enum lam_code rc = sst_ranges_decode(content, &s->ranges, &s->range_count, err);
    if (rc != LAM_OK)
        return sst_context(s, f->ranges.offset, rc, err);
    TRY(read_filter(s, err));
    TRY(read_part(s, f->index, SST_BLOCK_INDEX, 0, &s->index_bytes, &content, err));
    rc = sst_index_decode(content, f->ranges.offset, SST_BLOCK_MAX + SST_TRAILER_BYTES, &s->index,
                          err);
    if (rc != LAM_OK)
        return sst_context(s, f->index.offset, rc, err);
    TRY(read_part(s, f->properties, SST_BLOCK_PROPERTIES, 0, &s->properties_bytes, &content, err));
    rc = sst_properties_decode(content, &s->properties, &s->bounds, err);
    if (rc != LAM_OK)
        return sst_context(s, f->properties.offset, rc, err);
    if (s->properties.range_tombstones != s->range_count ||
        (s->properties.entries > 0) != (s->index.count > 0) ||
        (s->filter_lines > 0) != (s->index.count > 0))
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: properties contradict the other parts",
                   s->path, (unsigned long long)f->properties.offset);
    return LAM_OK;
}

enum lam_code sst_open(lam_env *env, const char *path, const uint8_t *db_id, uint64_t number,
                       uint64_t size_bytes, uint64_t footer_checksum, struct block_cache *cache,
                       struct sst **sst_out, struct lam_error *err) {
    struct sst *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    atomic_init(&s->references, 1);
    s->cache = cache;
    s->number = number;
    s->process_id = env->ops->process_id(env);
    s->key_seed = sst_key_seed(db_id);
    s->file_seed = sst_file_seed(db_id, number);
    enum lam_code rc;
    s->path = mem_strdup(path);
    if (!s->path)
        TRY_GOTO(mem_fail(err, strlen(path)));
    TRY_GOTO(env_file_open(env, path, LAM_OPEN_READ, &s->file, err));
    TRY_GOTO(read_footer(s, db_id, size_bytes, footer_checksum, err));
    TRY_GOTO(read_parts(s, err));
    if (s->index.count > 0)
        s->block_lines = cached_block_lines(s->properties.entries / s->index.count);
    if (cache && s->index.count > 0) {
        s->blocks = mem_calloc(s->index.count, sizeof *s->blocks);
        if (!s->blocks)
            TRY_GOTO(mem_fail(err, s->index.count * sizeof *s->blocks));
    }
    *sst_out = s;
    return LAM_OK;
out:
    sst_free(s);
    return rc;
}

enum lam_code sst_state_sequences(struct sst *s, const struct sst_properties *stated,
                                  struct lam_error *err) {
    struct sst_properties *own = &s->properties;
    if (own->sequence_max > 0 || own->entries == 0)
        return LAM_OK;
    if (stated->sequence_min == 0 || stated->sequence_min != stated->sequence_max ||
        stated->sequence_max > LAM_SEQUENCE_MAX || s->range_count > 0)
        return ERR(err, LAM_CORRUPT,
                   "%s: offset 0: the manifest states no sequence of what was ingested", s->path);
    s->shift = own->sequence_min = own->sequence_max = stated->sequence_min;
    return LAM_OK;
}

struct sst *sst_ref(struct sst *s) {
    uint32_t before = atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    LAM_ASSERT(before > 0);
    return s;
}

void sst_unref(struct sst *s) {
    if (!s)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel);
    LAM_ASSERT(before > 0);
    if (before == 1)
        sst_free(s);
}

static void unref_waiting(struct epoch_node *node) {
    sst_unref((struct sst *)((uint8_t *)node - offsetof(struct sst, waiting)));
}

void sst_defer_unref(struct sst *s, struct epochs *epochs) {
    epoch_defer(epochs, &s->waiting, unref_waiting);
}

const struct sst_properties *sst_get_properties(const struct sst *s) {
    return &s->properties;
}

const struct range_tombstone *sst_ranges(const struct sst *s, size_t *count_out) {
    *count_out = s->range_count;
    return s->ranges;
}

size_t sst_memory(const struct sst *s) {
    return sizeof *s + sst_index_memory(&s->index) + s->range_count * sizeof *s->ranges +
           s->ranges_bytes.capacity + s->filter_bytes.capacity + s->index_bytes.capacity +
           s->properties_bytes.capacity + strlen(s->path) + 1 +
           (s->blocks ? s->index.count * sizeof *s->blocks : 0);
}

uint64_t sst_range_bytes(const struct sst *s, struct lam_slice from, struct lam_slice to,
                         uint64_t *all_out) {
    const struct sst_index *x = &s->index;
    *all_out = 0;
    if (x->count == 0)
        return 0;
    *all_out = x->offsets[x->count];
    uint32_t first = sst_index_find(x, from, LAM_SEQUENCE_MAX);
    uint32_t end = x->count;
    if (to.size > 0) {
        /* The block of what comes before `to` is the last. */
        if (sst_index_cmp(x, 0, to, LAM_SEQUENCE_MAX) >= 0)
            return 0;
        end = sst_index_find(x, to, LAM_SEQUENCE_MAX) + 1;
    }
    return end > first ? x->offsets[end] - x->offsets[first] : 0;
}

/* Checks the stored bytes; leaves decompressing to the caller. */
static enum lam_code check_data(const struct sst *s, uint32_t i, struct lam_slice block,
                                struct sst_stored *stored, struct lam_error *err) {
    uint64_t offset = s->index.offsets[i];
    enum lam_code rc = sst_block_check(s->file_seed, offset, block, SST_BLOCK_DATA, stored, err);
    return rc == LAM_OK ? LAM_OK : sst_context(s, offset, rc, err);
}

static enum lam_code decompress_and_parse(const struct sst *s, uint32_t i,
                                          const struct sst_stored *stored, uint8_t *room,
                                          struct block_view *view, struct lam_error *err) {
    struct lam_slice raw = stored->bytes;
    enum lam_code rc = LAM_OK;
    if (stored->compression != SST_PLAIN) {
        rc = codec_lz4_decompress(stored->bytes, room, stored->raw_bytes, err);
        raw = lam_slice_of(room, stored->raw_bytes);
    }
    if (rc == LAM_OK && stored->compression == SST_LZ4_FOLDED)
        block_unfold(room, stored->raw_bytes);
    if (rc == LAM_OK)
        rc = block_view_parse(raw, view, err);
    if (rc == LAM_OK)
        view->base_sequence += s->shift;
    return rc == LAM_OK ? LAM_OK : sst_context(s, s->index.offsets[i], rc, err);
}

enum lam_code sst_open_block(const struct sst *s, uint32_t i, struct lam_slice stored_block,
                             struct buf *scratch, struct block_view *view_out,
                             uint64_t *checksum_out, struct lam_error *err) {
    struct sst_stored stored;
    TRY(check_data(s, i, stored_block, &stored, err));
    if (stored.compression != SST_PLAIN) {
        buf_reset(scratch);
        TRY(buf_reserve(scratch, stored.raw_bytes, err));
    }
    *checksum_out = stored.checksum;
    return decompress_and_parse(s, i, &stored, scratch->data, view_out, err);
}

/* A fresh cached block that holds block `i` decompressed, from its stored bytes; `own` is the block
 * they stand in, which is given back if it is not the one. */
static enum lam_code make_block(const struct sst *s, uint32_t i, struct lam_slice stored_block,
                                struct cached_block *own, struct cached_block **out,
                                struct lam_error *err) {
    struct sst_stored stored;
    struct cached_block *made = NULL;
    enum lam_code rc;
    TRY_GOTO(check_data(s, i, stored_block, &stored, err));
    if (!own || stored.compression != SST_PLAIN) {
        made = cached_block_new(s->cache, stored.raw_bytes);
        if (!made)
            TRY_GOTO(mem_fail(err, stored.raw_bytes));
        if (stored.compression == SST_PLAIN) {
            memcpy(made->data, stored.bytes.data, stored.raw_bytes);
            stored.bytes.data = made->data;
        }
    }
    struct cached_block *result = made ? made : own;
    TRY_GOTO(decompress_and_parse(s, i, &stored, result->data, &result->view, err));
    if (made)
        cached_block_unref(own);
    *out = result;
    return LAM_OK;
out:
    cached_block_unref(made);
    cached_block_unref(own);
    return rc;
}

static enum lam_code read_block(const struct sst *s, uint32_t i, struct cached_block **out,
                                struct lam_error *err) {
    uint64_t offset = s->index.offsets[i];
    size_t size = (size_t)(s->index.offsets[i + 1] - offset);
    struct cached_block *block = cached_block_new(s->cache, size);
    if (!block)
        return mem_fail(err, size);
    enum lam_code rc = env_file_read_exact(s->file, s->path, offset, block->data, size, err);
    if (rc != LAM_OK) {
        cached_block_unref(block);
        return rc;
    }
    return make_block(s, i, lam_slice_of(block->data, size), block, out, err);
}

enum lam_code sst_find_block(struct sst *s, uint32_t i, struct cached_block **out,
                             struct lam_error *err) {
    LAM_ASSERT(i < s->index.count);
    lam_env *env = s->file->env;
    *out = NULL;
    /* A forked child may not wait for the cache's lock: its holder may be of the parent only. */
    if (env->ops->process_id(env) != s->process_id)
        return ERR(err, LAM_INVALID, "%s was opened by another process", s->path);
    if (s->blocks)
        *out = block_cache_get(s->cache, &s->blocks[i]);
    return LAM_OK;
}

enum lam_code sst_take_block(struct sst *s, uint32_t i, struct lam_slice stored,
                             struct cached_block **out, struct lam_error *err) {
    TRY(stored.size > 0 ? make_block(s, i, stored, NULL, out, err) : read_block(s, i, out, err));
    if (s->blocks)
        block_cache_put(s->cache, &s->blocks[i], *out);
    return LAM_OK;
}

uint64_t sst_key_hash(uint64_t key_seed, struct lam_slice key) {
    return hash_xxh3(key.data, key.size, key_seed);
}

bool sst_may_contain(const struct sst *s, uint64_t hash) {
    return s->filter_lines > 0 && bloom_test(s->filter, s->filter_lines, s->filter_probes, hash);
}

void sst_prefetch_filter(const struct sst *s, uint64_t hash) {
    if (s->filter_lines > 0)
        bloom_prefetch(s->filter, s->filter_lines, hash);
}

/* Looks into one block. */
static bool look_in_block(struct cached_block *b, struct lam_slice key, uint32_t first,
                          uint64_t sequence, struct sst_found *out) {
    struct block_entry e;
    out->some = block_view_find(&b->view, key, first, sequence, &e);
    if (!out->some)
        return false;
    out->kind = e.kind;
    out->sequence = e.sequence;
    out->value = e.value;
    out->block = b;
    return true;
}

/* Whether versions of `key` go on in the block after `i`. */
static bool goes_on(const struct sst *s, uint32_t i, struct lam_slice key) {
    return i + 1 < s->index.count && sst_index_continues(&s->index, i + 1, key);
}

enum lam_code sst_get(struct sst *s, struct lam_slice key, uint64_t hash, uint64_t sequence,
                      struct sst_found *out, struct cached_block **block_out,
                      struct lam_error *err) {
    *out = (struct sst_found){0};
    *block_out = NULL;
    if (s->index.count == 0)
        return LAM_OK;
    for (uint32_t i = sst_index_find(&s->index, key, sequence);; i++) {
        struct cached_block *block;
        TRY(sst_find_block(s, i, &block, err));
        if (!block)
            TRY(sst_take_block(s, i, SLICE_EMPTY, &block, err));
        uint32_t first = block_view_tagged(&block->view, block_tag(hash));
        if (look_in_block(block, key, first, sequence, out)) {
            *block_out = block;
            return LAM_OK;
        }
        cached_block_unref(block);
        if (!goes_on(s, i, key))
            return LAM_OK;
    }
}

struct cached_block *sst_block_ref(struct cached_block *block) {
    return cached_block_ref(block);
}

void sst_block_unref(struct cached_block *block) {
    cached_block_unref(block);
}

#define PROBES_MAX 16u /* searches of indexes side by side: enough to hide their cache misses */

void sst_probe_index(struct sst_probe *const *probes, size_t n, uint64_t sequence) {
    struct sst_index_ask asks[PROBES_MAX];
    for (size_t at = 0; at < n; at += PROBES_MAX) {
        size_t some = n - at < PROBES_MAX ? n - at : PROBES_MAX;
        for (size_t i = 0; i < some; i++) {
            asks[i].index = &probes[at + i]->sst->index;
            asks[i].key = probes[at + i]->key;
        }
        sst_index_find_many(asks, some, sequence);
        for (size_t i = 0; i < some; i++) {
            struct sst_probe *p = probes[at + i];
            p->i = asks[i].block;
            if (p->sst->blocks)
                __builtin_prefetch(&p->sst->blocks[p->i]);
        }
    }
}

bool sst_probe_block(struct sst_probe *p) {
    p->block = p->sst->blocks ? block_cache_peek(&p->sst->blocks[p->i]) : NULL;
    cached_block_fetch(p->block, p->sst->block_lines);
    return p->block != NULL;
}

void sst_probe_entry(struct sst_probe *p) {
    const struct block_view *v = &p->block->view;
    p->entry = block_view_tagged(v, block_tag(p->hash));
    if (p->entry == v->count)
        return;
    const uint8_t *entry = v->entries + block_view_offset(v, p->entry);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
    __builtin_prefetch(entry + 128);
}

bool sst_probe_find(struct sst_probe *p, struct epoch_reader *r, uint64_t sequence,
                    struct sst_found *out) {
    *out = (struct sst_found){0};
    for (;;) {
        epoch_count(r, EPOCH_CACHE_HITS, 1);
        cached_block_mark(p->block);
        if (look_in_block(p->block, p->key, p->entry, sequence, out) ||
            !goes_on(p->sst, p->i, p->key))
            return true;
        p->i++;
        if (!sst_probe_block(p))
            return false;
        sst_probe_entry(p);
    }
}

bool sst_get_cached(const struct sst *s, struct epoch_reader *r, struct lam_slice key,
                    uint64_t hash, uint64_t sequence, struct sst_found *out) {
    struct sst_probe p = {.sst = s, .key = key, .hash = hash};
    if (s->index.count > 0)
        p.i = sst_index_find(&s->index, key, sequence);
    if (!sst_probe_block(&p))
        return false;
    sst_probe_entry(&p);
    return sst_probe_find(&p, r, sequence, out);
}
