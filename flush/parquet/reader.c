/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a file: footer, schema, row groups and page indexes are read and checked once, so that
 * cursors can rely on them. */
#include "flush/parquet/reader.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/schema.h"

/* Read from the end at once; most footers with their indexes fit. */
#define TAIL_BYTES (64u << 10)
/* Gap before the footer that is read along with the indexes rather than each by itself. */
#define SLACK_BYTES (1u << 20)

/* The end of the file in memory. */
struct tail {
    struct buf bytes;
    uint64_t offset; /* of the bytes in the file */
};

static void tail_fini(struct tail *t) {
    buf_fini(&t->bytes);
}

/* Makes the tail begin at `offset` or before. */
static enum lam_code load_tail(const struct parquet_reader *r, struct tail *t, uint64_t offset,
                               struct lam_error *err) {
    if (t->bytes.size > 0 && t->offset <= offset)
        return LAM_OK;
    TRY(pq_read_bytes(r, offset, (size_t)(r->file_bytes - offset), &t->bytes, err));
    t->offset = offset;
    return LAM_OK;
}

static struct lam_slice tail_slice(const struct tail *t, uint64_t offset, size_t size) {
    LAM_ASSERT(offset >= t->offset && offset - t->offset <= t->bytes.size &&
               size <= t->bytes.size - (offset - t->offset));
    return lam_slice_of(t->bytes.data + (offset - t->offset), size);
}

/* A copy in the reader's arena, which what is decoded from it may point into. */
static enum lam_code keep_bytes(struct parquet_reader *r, struct lam_slice s, struct lam_slice *out,
                                struct lam_error *err) {
    const uint8_t *copy =
        arena_dup(&r->arena, s.size ? s.data : (const uint8_t *)"", s.size + !s.size);
    if (!copy)
        return mem_fail(err, s.size);
    *out = lam_slice_of(copy, s.size);
    return LAM_OK;
}

/* Before anything in the footer is believed. */
static enum lam_code check_known(struct parquet_reader *r, struct lam_error *err) {
    if (!r->known)
        return LAM_OK;
    if (r->file_bytes != r->known->bytes)
        return ERR(err, LAM_CORRUPT, "%s: %llu bytes, %llu were written", r->path,
                   (unsigned long long)r->file_bytes, (unsigned long long)r->known->bytes);
    if (r->footer_hash != r->known->footer_hash)
        return pq_corrupt(r, r->footer_offset, err, "not the footer that was written");
    r->is_known = true;
    return LAM_OK;
}

static enum lam_code read_footer(struct parquet_reader *r, struct tail *t, struct lam_error *err) {
    if (r->file_bytes < PQ_MAGIC_BYTES + PQ_TAIL_BYTES)
        return ERR(err, LAM_CORRUPT, "%s: %llu bytes are too few for a Parquet file", r->path,
                   (unsigned long long)r->file_bytes);
    uint64_t guess = r->file_bytes > TAIL_BYTES ? r->file_bytes - TAIL_BYTES : 0;
    TRY(load_tail(r, t, guess, err));
    struct lam_slice end = tail_slice(t, r->file_bytes - PQ_TAIL_BYTES, PQ_TAIL_BYTES);
    if (!r->known && memcmp(end.data + 4, PQ_MAGIC_CRYPT, PQ_MAGIC_BYTES) == 0)
        return ERR(err, LAM_UNSUPPORTED, "%s: encrypted Parquet files are not supported", r->path);
    if (memcmp(end.data + 4, PQ_MAGIC, PQ_MAGIC_BYTES) != 0)
        return pq_corrupt(r, r->file_bytes - PQ_MAGIC_BYTES, err, "no Parquet magic at the end");
    uint64_t size = get_le32(end.data);
    if (size > r->file_bytes - PQ_MAGIC_BYTES - PQ_TAIL_BYTES)
        return pq_corrupt(r, r->file_bytes - PQ_TAIL_BYTES, err,
                          "Parquet footer is longer than the file");
    r->footer_offset = r->file_bytes - PQ_TAIL_BYTES - size;
    TRY(load_tail(r, t, r->footer_offset, err));
    struct lam_slice footer;
    TRY(keep_bytes(r, tail_slice(t, r->footer_offset, (size_t)size), &footer, err));
    r->footer_hash = hash_xxh3(footer.data, footer.size, 0);
    TRY(check_known(r, err));
    TRY(pq_meta_decode(footer, r->path, r->footer_offset, &r->arena, &r->meta, err));
    r->is_ours = slice_starts_with(r->meta.created_by, lam_slice_str(PQ_CREATOR));
    return LAM_OK;
}

static enum lam_code check_magic(struct parquet_reader *r, struct tail *t, struct lam_error *err) {
    uint8_t magic[PQ_MAGIC_BYTES];
    if (t->offset == 0)
        memcpy(magic, t->bytes.data, sizeof magic);
    else
        TRY(env_file_read_exact(r->file, r->path, 0, magic, sizeof magic, err));
    if (memcmp(magic, PQ_MAGIC, PQ_MAGIC_BYTES) != 0)
        return pq_corrupt(r, 0, err, "no Parquet magic at the start");
    return LAM_OK;
}

static enum lam_code make_fields(struct parquet_reader *r, struct lam_error *err) {
    uint32_t count = r->meta.leaf_count;
    if (count == 0)
        return pq_corrupt(r, r->footer_offset, err, "Parquet schema without columns");
    r->fields = arena_calloc(&r->arena, count, sizeof *r->fields);
    if (!r->fields)
        return mem_fail(err, count * sizeof *r->fields);
    for (uint32_t i = 0; i < count; i++) {
        const struct pq_leaf *leaf = &r->meta.leaves[i];
        struct parquet_field *f = &r->fields[i];
        f->name = leaf->name;
        f->nullable = leaf->optional;
        f->field_id = leaf->field_id;
        if (!pq_leaf_type(leaf, &f->type))
            return ERR(err, LAM_UNSUPPORTED,
                       "%s: Parquet column \"%s\" of physical type %d, logical type %d, converted "
                       "type %d is not supported",
                       r->path, leaf->name, (int)leaf->physical, (int)leaf->logical,
                       (int)leaf->converted);
    }
    return LAM_OK;
}

/* Whether `bytes` bytes at `offset` lie between the magic and the footer. */
static bool lies_inside(const struct parquet_reader *r, int64_t offset, int64_t bytes) {
    return offset >= PQ_MAGIC_BYTES && bytes >= 0 && (uint64_t)offset <= r->footer_offset &&
           (uint64_t)bytes <= r->footer_offset - (uint64_t)offset;
}

static enum lam_code check_chunk(const struct parquet_reader *r, const struct pq_group *g,
                                 const struct pq_chunk *c, uint32_t field, struct lam_error *err) {
    if (c->codec != PQ_UNCOMPRESSED && c->codec != PQ_LZ4_RAW)
        return ERR(err, LAM_UNSUPPORTED,
                   "%s: Parquet column \"%s\": compression codec %d is not supported (only none "
                   "and LZ4_RAW)",
                   r->path, r->fields[field].name, (int)c->codec);
    if (c->physical != r->meta.leaves[field].physical)
        return pq_corrupt(r, r->footer_offset, err, "Parquet chunk's type differs from its column");
    if (c->values != g->rows)
        return pq_corrupt(r, r->footer_offset, err, "Parquet chunk's values differ from its rows");
    if (c->stats.null_count > c->values || c->stats.null_count < PQ_NONE)
        return pq_corrupt(r, r->footer_offset, err, "Parquet chunk has more nulls than values");
    /* Groups without rows may have chunks without pages, at no offset. */
    bool bad_place = c->data_offset < PQ_MAGIC_BYTES || c->dictionary_offset < 0 ||
                     c->compressed_bytes < 0 ||
                     !lies_inside(r, (int64_t)pq_chunk_start(c), c->compressed_bytes) ||
                     (uint64_t)c->data_offset > pq_chunk_end(c);
    if (g->rows > 0 && bad_place)
        return pq_corrupt(r, r->footer_offset, err, "Parquet chunk lies outside of the file");
    bool bad_bloom = c->bloom_offset != 0 && !lies_inside(r, c->bloom_offset, c->bloom_bytes);
    bool bad_index =
        (c->offset_index_offset &&
         !lies_inside(r, c->offset_index_offset, c->offset_index_bytes)) ||
        (c->column_index_offset && !lies_inside(r, c->column_index_offset, c->column_index_bytes));
    if (bad_bloom || bad_index)
        return pq_corrupt(r, r->footer_offset, err, "Parquet index lies outside of the file");
    return LAM_OK;
}

/* Whether a column's bounds have an order that is known here. Other writers leave NaNs out of the
 * bounds of floats, and a scan that sorts NaN above all numbers would miss them. */
static bool has_order(const struct parquet_reader *r, uint32_t field) {
    enum lam_type type = r->fields[field].type.type;
    bool is_float = type == LAM_TYPE_FLOAT || type == LAM_TYPE_DOUBLE;
    return r->meta.type_ordered && r->meta.type_ordered[field] && (!is_float || r->is_ours);
}

static void load_bounds(const struct parquet_reader *r, const struct pq_chunk *c, uint32_t field,
                        struct parquet_bounds *out) {
    const struct pq_leaf *leaf = &r->meta.leaves[field];
    enum lam_type type = r->fields[field].type.type;
    *out = (struct parquet_bounds){.has_null_count = c->stats.null_count != PQ_NONE,
                                   .null_count =
                                       c->stats.null_count > 0 ? (uint64_t)c->stats.null_count : 0};
    if (!r->fields[field].nullable)
        out->has_null_count = true;
    if (!c->stats.has_bounds || !has_order(r, field))
        return;
    out->present = pq_value_load(leaf, type, c->stats.min, &out->min) &&
                   pq_value_load(leaf, type, c->stats.max, &out->max) &&
                   parquet_value_compare(type, out->min, out->max) <= 0;
    out->min_exact = c->stats.min_exact;
    out->max_exact = c->stats.max_exact;
}

static enum lam_code make_chunks(struct parquet_reader *r, struct lam_error *err) {
    uint32_t count = r->meta.leaf_count;
    uint64_t rows = 0;
    r->chunks = arena_calloc(&r->arena, (size_t)r->meta.group_count * count + 1, sizeof *r->chunks);
    if (!r->chunks)
        return mem_fail(err, (size_t)r->meta.group_count * count * sizeof *r->chunks);
    for (uint32_t g = 0; g < r->meta.group_count; g++) {
        const struct pq_group *group = &r->meta.groups[g];
        if (group->rows < 0 || group->rows > INT32_MAX)
            return ERR(err, group->rows < 0 ? LAM_CORRUPT : LAM_UNSUPPORTED,
                       "%s: Parquet row group %u has %lld rows", r->path, g,
                       (long long)group->rows);
        rows += (uint64_t)group->rows;
        for (uint32_t i = 0; i < count; i++) {
            struct pq_reader_chunk *c = &r->chunks[(size_t)g * count + i];
            c->meta = &group->chunks[i];
            TRY(check_chunk(r, group, c->meta, i, err));
            load_bounds(r, c->meta, i, &c->bounds);
            r->fields[i].is_bloom |= c->meta->bloom_offset != 0;
        }
    }
    if (r->meta.rows < 0 || rows != (uint64_t)r->meta.rows)
        return pq_corrupt(r, r->footer_offset, err, "Parquet rows differ from the groups' sum");
    return LAM_OK;
}

static enum lam_code load_offset_index(struct parquet_reader *r, struct pq_reader_chunk *c,
                                       int64_t rows, struct lam_slice bytes,
                                       struct lam_error *err) {
    uint64_t offset = (uint64_t)c->meta->offset_index_offset;
    if (!pq_offset_index_decode(bytes, &r->arena, &c->pages, &c->page_count))
        return pq_corrupt(r, offset, err, "malformed Parquet offset index");
    if (!c->pages)
        return mem_fail(err, bytes.size);
    uint64_t start = pq_chunk_start(c->meta), end = pq_chunk_end(c->meta);
    bool good = rows == 0 || (c->page_count > 0 && c->pages[0].first_row == 0);
    for (uint32_t i = 0; i < c->page_count && good; i++) {
        const struct pq_page_ref *p = &c->pages[i];
        good = p->offset >= start && p->offset <= end && p->bytes > 0 &&
               p->bytes <= end - p->offset && p->first_row < rows &&
               (i == 0 || p->first_row > p[-1].first_row);
    }
    return good ? LAM_OK : pq_corrupt(r, offset, err, "Parquet offset index makes no sense");
}

static enum lam_code load_column_index(struct parquet_reader *r, struct pq_reader_chunk *c,
                                       uint32_t field, struct lam_slice bytes,
                                       struct lam_error *err) {
    uint64_t offset = (uint64_t)c->meta->column_index_offset;
    enum lam_type type = r->fields[field].type.type;
    const struct pq_leaf *leaf = &r->meta.leaves[field];
    struct pq_page_stats *stats;
    uint32_t count;
    struct lam_slice kept;
    if (!c->pages || !has_order(r, field))
        return LAM_OK;
    TRY(keep_bytes(r, bytes, &kept, err));
    if (!pq_column_index_decode(kept, &r->arena, &stats, &count))
        return pq_corrupt(r, offset, err, "malformed Parquet column index");
    if (count != c->page_count)
        return pq_corrupt(r, offset, err, "Parquet column index of the wrong length");
    c->page_bounds = arena_calloc(&r->arena, (size_t)count + 1, sizeof *c->page_bounds);
    if (!stats || !c->page_bounds)
        return mem_fail(err, bytes.size);
    for (uint32_t i = 0; i < count; i++) {
        struct pq_page_bounds *b = &c->page_bounds[i];
        b->is_null = stats[i].is_null;
        b->nulls = stats[i].null_count < 0 ? PQ_NONE : stats[i].null_count;
        b->present = !b->is_null && pq_value_load(leaf, type, stats[i].min, &b->min) &&
                     pq_value_load(leaf, type, stats[i].max, &b->max) &&
                     parquet_value_compare(type, b->min, b->max) <= 0;
    }
    return LAM_OK;
}

/* Lamina's files name the start of their page hashes and indexes and the hash of all bytes from
 * there to the footer. `*hashed_out`: these bytes; empty if there are none. */
static enum lam_code check_index_hash(struct parquet_reader *r, struct tail *t,
                                      struct lam_slice *hashed_out, struct lam_error *err) {
    struct lam_slice value;
    char text[64] = {0};
    unsigned long long start = 0, hash = 0;
    int used = 0;
    *hashed_out = SLICE_EMPTY;
    r->index_offset = r->footer_offset;
    /* Other writers copy metadata of files they rewrite. */
    if (!r->is_ours || !parquet_reader_pair(r, PQ_KEY_INDEX, &value))
        return LAM_OK;
    if (value.size > 0 && value.size < sizeof text)
        memcpy(text, value.data, value.size);
    if (sscanf(text, "%20llu:%16llx%n", &start, &hash, &used) != 2 || text[used] != 0 ||
        start < PQ_MAGIC_BYTES || start > r->footer_offset)
        return pq_corrupt(r, r->footer_offset, err, "malformed metadata \"" PQ_KEY_INDEX "\"");
    TRY(load_tail(r, t, start, err));
    struct lam_slice bytes = tail_slice(t, start, (size_t)(r->footer_offset - start));
    if (hash_xxh3(bytes.data, bytes.size, 0) != hash)
        return pq_corrupt(r, start, err, "checksum mismatch in the Parquet page indexes");
    *hashed_out = bytes;
    r->index_offset = start;
    return LAM_OK;
}

/* Gives each chunk its pages' hashes, which stand first in the hashed bytes. A page's own CRC says
 * only that it is whole, not that it belongs there, and leaves out its header. */
static enum lam_code load_page_hashes(struct parquet_reader *r, struct lam_slice hashed,
                                      struct lam_error *err) {
    struct lam_slice value, kept = SLICE_EMPTY;
    char text[24] = {0};
    unsigned long long count = 0, pages = 0;
    size_t chunks = (size_t)r->meta.group_count * r->meta.leaf_count;
    int used = 0;
    if (!r->is_ours || !parquet_reader_pair(r, PQ_KEY_PAGES, &value))
        return LAM_OK;
    if (value.size > 0 && value.size < sizeof text)
        memcpy(text, value.data, value.size);
    for (size_t i = 0; i < chunks; i++)
        pages += r->chunks[i].page_count + (r->chunks[i].meta->dictionary_offset != 0);
    if (sscanf(text, "%20llu%n", &count, &used) != 1 || text[used] != 0 || count != pages ||
        hashed.size / 8 < pages)
        return pq_corrupt(r, r->footer_offset, err, "malformed metadata \"" PQ_KEY_PAGES "\"");
    TRY(keep_bytes(r, lam_slice_of(hashed.data, (size_t)pages * 8), &kept, err));
    for (size_t i = 0; i < chunks; i++) {
        struct pq_reader_chunk *c = &r->chunks[i];
        c->page_hashes = kept.data;
        kept.data += 8 * (c->page_count + (c->meta->dictionary_offset != 0 ? 1u : 0u));
    }
    return LAM_OK;
}

/* Loads the tail so far ahead that it holds all page indexes, if they stand close together before
 * the footer. */
static enum lam_code load_index_tail(struct parquet_reader *r, struct tail *t,
                                     struct lam_error *err) {
    uint64_t first = r->footer_offset, sum = 0;
    size_t count = (size_t)r->meta.group_count * r->meta.leaf_count;
    for (size_t i = 0; i < count; i++) {
        const struct pq_chunk *c = r->chunks[i].meta;
        int64_t offsets[2] = {c->offset_index_offset, c->column_index_offset};
        for (int k = 0; k < 2; k++)
            if (offsets[k] && (uint64_t)offsets[k] < first)
                first = (uint64_t)offsets[k];
        sum += (uint64_t)(c->offset_index_offset ? c->offset_index_bytes : 0) +
               (uint64_t)(c->column_index_offset ? c->column_index_bytes : 0);
        /* Many chunks that share one index would take memory out of proportion to the file. */
        if (sum > r->footer_offset)
            return pq_corrupt(r, first, err, "Parquet page indexes overlap");
    }
    if (r->footer_offset - first > sum + SLACK_BYTES)
        return LAM_OK;
    return load_tail(r, t, first, err);
}

/* Bytes of an index: from the tail, else read into `scratch`. */
static enum lam_code index_bytes(const struct parquet_reader *r, const struct tail *t,
                                 int64_t offset, int64_t bytes, struct buf *scratch,
                                 struct lam_slice *out, struct lam_error *err) {
    if ((uint64_t)offset >= t->offset) {
        *out = tail_slice(t, (uint64_t)offset, (size_t)bytes);
        return LAM_OK;
    }
    TRY(pq_read_bytes(r, (uint64_t)offset, (size_t)bytes, scratch, err));
    *out = buf_slice(scratch);
    return LAM_OK;
}

static enum lam_code load_indexes(struct parquet_reader *r, struct tail *t, struct lam_error *err) {
    OWNED(buf_fini) struct buf scratch = {0};
    struct lam_slice bytes, hashed;
    TRY(load_index_tail(r, t, err));
    TRY(check_index_hash(r, t, &hashed, err));
    for (uint32_t g = 0; g < r->meta.group_count; g++) {
        for (uint32_t i = 0; i < r->meta.leaf_count; i++) {
            struct pq_reader_chunk *c = &r->chunks[(size_t)g * r->meta.leaf_count + i];
            const struct pq_chunk *m = c->meta;
            if (m->offset_index_offset == 0 || r->meta.groups[g].rows == 0)
                continue;
            TRY(index_bytes(r, t, m->offset_index_offset, m->offset_index_bytes, &scratch, &bytes,
                            err));
            TRY(load_offset_index(r, c, r->meta.groups[g].rows, bytes, err));
            if (m->column_index_offset == 0)
                continue;
            TRY(index_bytes(r, t, m->column_index_offset, m->column_index_bytes, &scratch, &bytes,
                            err));
            TRY(load_column_index(r, c, i, bytes, err));
        }
    }
    return load_page_hashes(r, hashed, err);
}

static enum lam_code load(struct parquet_reader *r, lam_env *env, const char *path,
                          struct lam_error *err) {
    OWNED(tail_fini) struct tail t = {0};
    r->path = arena_strdup(&r->arena, path);
    if (!r->path)
        return mem_fail(err, strlen(path) + 1);
    TRY(env_file_open(env, path, LAM_OPEN_READ, &r->file, err));
    TRY(env_file_size(r->file, &r->file_bytes, err));
    TRY(read_footer(r, &t, err));
    TRY(check_magic(r, &t, err));
    TRY(make_fields(r, err));
    TRY(make_chunks(r, err));
    TRY(load_indexes(r, &t, err));
    if (r->known && (uint64_t)r->meta.rows != r->known->rows)
        return pq_corrupt(r, r->footer_offset, err, "not as many rows as were written");
    r->known = NULL;
    return LAM_OK;
}

enum lam_code parquet_reader_open(lam_env *env, const char *path,
                                  const struct parquet_identity *known,
                                  struct parquet_reader **reader_out, struct lam_error *err) {
    *reader_out = NULL;
    OWNED(parquet_reader_close_at) struct parquet_reader *r = mem_calloc(1, sizeof *r);
    if (!r)
        return mem_fail(err, sizeof *r);
    r->known = known;
    TRY(load(r, env, path, err));
    *reader_out = r;
    r = NULL;
    return LAM_OK;
}

void parquet_reader_close(struct parquet_reader *r) {
    if (!r)
        return;
    IGNORE(env_file_close(r->file, NULL), "nothing was written");
    arena_fini(&r->arena);
    mem_free(r);
}

const struct parquet_field *parquet_reader_fields(const struct parquet_reader *r,
                                                  uint32_t *count_out) {
    *count_out = r->meta.leaf_count;
    return r->fields;
}

int32_t parquet_reader_find_field(const struct parquet_reader *r, int32_t field_id) {
    for (uint32_t i = 0; i < r->meta.leaf_count; i++)
        if (field_id != PARQUET_NO_FIELD_ID && r->fields[i].field_id == field_id)
            return (int32_t)i;
    return -1;
}

uint64_t parquet_reader_footer_hash(const struct parquet_reader *r) {
    return r->footer_hash;
}

uint32_t parquet_reader_group_count(const struct parquet_reader *r) {
    return r->meta.group_count;
}

uint32_t parquet_reader_group_rows(const struct parquet_reader *r, uint32_t group) {
    LAM_ASSERT(group < r->meta.group_count);
    return (uint32_t)r->meta.groups[group].rows;
}

bool parquet_reader_pair(const struct parquet_reader *r, const char *key,
                         struct lam_slice *value_out) {
    for (uint32_t i = 0; i < r->meta.pair_count; i++) {
        if (slice_eq_str(r->meta.pairs[i].key, key)) {
            *value_out = r->meta.pairs[i].value;
            return true;
        }
    }
    return false;
}

uint32_t parquet_reader_batch_rows(const struct parquet_reader *r, uint32_t group) {
    LAM_ASSERT(group < r->meta.group_count);
    uint64_t rows = (uint64_t)r->meta.groups[group].rows, bytes = 0;
    for (uint32_t i = 0; i < r->meta.leaf_count; i++) {
        const struct pq_chunk *c = &r->meta.groups[group].chunks[i];
        int64_t raw = c->raw_bytes != PQ_NONE ? c->raw_bytes : c->uncompressed_bytes;
        uint64_t add = raw > 0 ? (uint64_t)raw : 0;
        bytes = add > UINT64_MAX - bytes ? UINT64_MAX : bytes + add;
    }
    uint64_t average = rows ? bytes / rows : 0;
    uint64_t fit = average ? COLBATCH_BYTES / average : COLBATCH_ROWS;
    return fit > COLBATCH_ROWS ? COLBATCH_ROWS : fit < 1 ? 1 : (uint32_t)fit;
}

enum lam_code pq_check_rows(const struct parquet_reader *r, uint32_t group, uint32_t field,
                            uint64_t first, uint64_t count, struct lam_error *err) {
    if (group >= r->meta.group_count || field >= r->meta.leaf_count)
        return ERR(err, LAM_INVALID, "%s: no row group %u or field %u (%u and %u there)", r->path,
                   group, field, r->meta.group_count, r->meta.leaf_count);
    uint64_t rows = (uint64_t)r->meta.groups[group].rows;
    if (first > rows || count > rows - first)
        return ERR(err, LAM_INVALID, "%s: rows %llu to %llu of a row group of %llu", r->path,
                   (unsigned long long)first, (unsigned long long)(first + count),
                   (unsigned long long)rows);
    return LAM_OK;
}
