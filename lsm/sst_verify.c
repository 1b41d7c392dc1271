/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking all of an SST: every block's checksum, the order of entries, separators, tags, filter,
 * and that counts, bounds and digest are what the file says. */
#include "base/assert.h"
#include "base/hash.h"
#include "lsm/bloom.h"
#include "lsm/sst_reader.h"

struct verify {
    struct sst *sst;
    const char *path;
    uint32_t block;     /* being read */
    struct buf stored;  /* its bytes */
    struct buf scratch; /* decompressed */
    struct buf key;     /* of the current entry */
    struct buf last;    /* key of the entry before */
    uint64_t last_sequence;
    uint64_t digest;
    struct sst_properties seen;
};

static enum lam_code wrong(const struct verify *v, struct lam_error *err, const char *what) {
    uint64_t offset = v->sst->index.offsets[v->block];
    return ERR(err, LAM_CORRUPT, "%s: offset %llu: %s", v->path, (unsigned long long)offset, what);
}

static void count_sequence(struct sst_properties *p, uint64_t sequence) {
    bool first = p->entries == 0 && p->range_tombstones == 0;
    if (first || sequence < p->sequence_min)
        p->sequence_min = sequence;
    if (sequence > p->sequence_max)
        p->sequence_max = sequence;
}

static enum lam_code verify_entry(struct verify *v, const struct block_view *view, uint32_t i,
                                  struct lam_error *err) {
    struct sst *s = v->sst;
    struct block_entry e;
    block_view_entry(view, i, &e);
    buf_reset(&v->key);
    TRY(buf_append_slice(&v->key, view->prefix, err));
    TRY(buf_append_slice(&v->key, e.suffix, err));
    struct lam_slice key = buf_slice(&v->key);
    bool first = v->seen.entries == 0;
    if (!first && entry_cmp(buf_slice(&v->last), v->last_sequence, key, e.sequence) >= 0)
        return wrong(v, err, "entries are not in order");
    if (i == 0 && sst_index_cmp(&s->index, v->block, key, e.sequence) > 0)
        return wrong(v, err, "the index's separator is after the block's first entry");
    if (i == 0 && !first &&
        sst_index_cmp(&s->index, v->block, buf_slice(&v->last), v->last_sequence) <= 0)
        return wrong(v, err, "the index's separator is not after the entry before the block");
    uint64_t hash = hash_xxh3(key.data, key.size, s->key_seed);
    if (view->tags[i] != block_tag(hash))
        return wrong(v, err, "a key's tag is wrong");
    if (!bloom_test(s->filter, s->filter_lines, s->filter_probes, hash))
        return wrong(v, err, "the filter denies a key");
    if (slice_cmp(key, s->bounds.smallest) < 0 ||
        (!s->bounds.largest_open && slice_cmp(key, s->bounds.largest) > 0))
        return wrong(v, err, "a key is outside the file's bounds");
    count_sequence(&v->seen, e.sequence);
    v->seen.entries++;
    v->seen.deletes += e.kind == ENTRY_DELETE;
    v->seen.raw_bytes += key.size + e.value.size;
    v->last_sequence = e.sequence;
    struct buf swap = v->last;
    v->last = v->key;
    v->key = swap;
    return LAM_OK;
}

static enum lam_code verify_block(struct verify *v, struct lam_error *err) {
    struct sst *s = v->sst;
    uint64_t offset = s->index.offsets[v->block];
    size_t size = (size_t)(s->index.offsets[v->block + 1] - offset);
    buf_reset(&v->stored);
    TRY(buf_reserve(&v->stored, size, err));
    TRY(env_file_read_exact(s->file, v->path, offset, v->stored.data, size, err));
    struct block_view view;
    uint64_t checksum;
    TRY(sst_open_block(s, v->block, lam_slice_of(v->stored.data, size), &v->scratch, &view,
                       &checksum, err));
    v->digest = hash_mix(v->digest, checksum);
    for (uint32_t i = 0; i < view.count; i++)
        TRY(verify_entry(v, &view, i, err));
    return LAM_OK;
}

/* Checks again on disk a part that open keeps in memory. */
static enum lam_code verify_part(struct verify *v, struct sst_handle handle,
                                 enum sst_block_type type, struct lam_error *err) {
    struct sst *s = v->sst;
    size_t size = (size_t)handle.size;
    buf_reset(&v->stored);
    TRY(buf_reserve(&v->stored, size, err));
    TRY(env_file_read_exact(s->file, v->path, handle.offset, v->stored.data, size, err));
    struct sst_stored stored;
    enum lam_code rc = sst_block_check(s->file_seed, handle.offset,
                                       lam_slice_of(v->stored.data, size), type, &stored, err);
    if (rc != LAM_OK)
        return sst_context(s, handle.offset, rc, err);
    v->digest = hash_mix(v->digest, stored.checksum);
    return LAM_OK;
}

static enum lam_code verify_ranges(struct verify *v, struct lam_error *err) {
    const struct sst *s = v->sst;
    for (size_t i = 0; i < s->range_count; i++) {
        const struct range_tombstone *t = &s->ranges[i];
        count_sequence(&v->seen, t->sequence);
        v->seen.range_tombstones++;
        bool open = t->to.size == 0;
        if (slice_cmp(t->from, s->bounds.smallest) < 0 || (open && !s->bounds.largest_open) ||
            (!s->bounds.largest_open && slice_cmp(t->to, s->bounds.largest) > 0))
            return ERR(err, LAM_CORRUPT, "%s: offset %llu: a range tombstone is outside the bounds",
                       v->path, (unsigned long long)s->footer.ranges.offset);
    }
    return LAM_OK;
}

static enum lam_code verify_all(struct verify *v, struct lam_error *err) {
    const struct sst *s = v->sst;
    const struct sst_footer *f = &s->footer;
    for (v->block = 0; v->block < s->index.count; v->block++)
        TRY(verify_block(v, err));
    TRY(verify_ranges(v, err));
    TRY(verify_part(v, f->ranges, SST_BLOCK_RANGES, err));
    TRY(verify_part(v, f->filter, SST_BLOCK_FILTER, err));
    TRY(verify_part(v, f->index, SST_BLOCK_INDEX, err));
    TRY(verify_part(v, f->properties, SST_BLOCK_PROPERTIES, err));
    const struct sst_properties *p = &s->properties;
    const struct sst_properties *seen = &v->seen;
    if (seen->entries != p->entries || seen->deletes != p->deletes ||
        seen->range_tombstones != p->range_tombstones || seen->raw_bytes != p->raw_bytes ||
        seen->sequence_min != p->sequence_min || seen->sequence_max != p->sequence_max)
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: properties do not match the content",
                   v->path, (unsigned long long)f->properties.offset);
    if (v->digest != f->digest)
        return ERR(err, LAM_CORRUPT, "%s: offset %llu: digest does not match the blocks", v->path,
                   (unsigned long long)f->properties.offset);
    return LAM_OK;
}

static void verify_fini(struct verify *v) {
    buf_fini(&v->stored);
    buf_fini(&v->scratch);
    buf_fini(&v->key);
    buf_fini(&v->last);
}

enum lam_code sst_verify(struct sst *s, const char *path, struct lam_error *err) {
    OWNED(verify_fini) struct verify v = {.sst = s, .path = path, .digest = s->file_seed};
    return verify_all(&v, err);
}
