/* SPDX-License-Identifier: Apache-2.0
 *
 * From a place in the file to a page's decompressed bytes. A page is checked in this order: header,
 * sizes, CRC of what is stored, decompression to just the size promised. */
#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"

/* Bytes read to find a header's end; headers with long statistics take more attempts. */
#define HEADER_BYTES     512
#define MAX_HEADER_BYTES (1u << 20)
/* LZ4 can't make more of a byte than this. */
#define LZ4_MAX_RATIO 255

enum lam_code pq_corrupt(const struct parquet_reader *r, uint64_t offset, struct lam_error *err,
                         const char *what) {
    return ERR(err, LAM_CORRUPT, "%s: offset %llu: %s", r->path, (unsigned long long)offset, what);
}

enum lam_code pq_unsupported_page(const struct parquet_reader *r, uint64_t offset,
                                  struct lam_error *err, const char *what) {
    return ERR(err, r->is_known ? LAM_CORRUPT : LAM_UNSUPPORTED,
               "%s: offset %llu: Parquet page with %s", r->path, (unsigned long long)offset, what);
}

enum lam_code pq_read_bytes(const struct parquet_reader *r, uint64_t offset, size_t size,
                            struct buf *out, struct lam_error *err) {
    LAM_ASSERT(offset <= r->file_bytes && size <= r->file_bytes - offset);
    buf_reset(out);
    TRY(buf_reserve(out, size ? size : 1, err));
    if (size)
        TRY(env_file_read_exact(r->file, r->path, offset, out->data, size, err));
    out->size = size;
    return LAM_OK;
}

void pq_page_fini(struct pq_page *p) {
    buf_fini(&p->raw);
    buf_fini(&p->plain);
    *p = (struct pq_page){0};
}

static enum lam_code check_sizes(const struct parquet_reader *r, enum pq_codec codec,
                                 const struct pq_page *p, size_t stored, struct lam_error *err) {
    const struct pq_page_header *h = &p->header;
    if (h->compressed_bytes > stored)
        return pq_corrupt(r, p->offset, err, "Parquet page is longer than its place");
    if (h->uncompressed_bytes > PQ_MAX_PAGE)
        return pq_unsupported_page(r, p->offset, err, "more bytes than are read at once");
    bool same = h->uncompressed_bytes == h->compressed_bytes;
    if (codec == PQ_UNCOMPRESSED && !same)
        return pq_corrupt(r, p->offset, err, "uncompressed Parquet page of two sizes");
    if (h->uncompressed_bytes > ((uint64_t)h->compressed_bytes + 16) * LZ4_MAX_RATIO)
        return pq_corrupt(r, p->offset, err, "impossible size of a compressed Parquet page");
    return LAM_OK;
}

/* In v2 the levels stand before the body, never compressed, and both sizes count them. */
static enum lam_code split_levels(const struct parquet_reader *r, struct pq_page *p,
                                  struct lam_slice *stored, struct lam_error *err) {
    const struct pq_page_header *h = &p->header;
    p->levels = SLICE_EMPTY;
    if (h->type != PQ_DATA_PAGE_V2)
        return LAM_OK;
    if (h->repetition_bytes != 0)
        return pq_unsupported_page(r, p->offset, err, "repetition levels");
    if (h->definition_bytes > stored->size || h->definition_bytes > h->uncompressed_bytes)
        return pq_corrupt(r, p->offset, err, "Parquet levels are longer than their page");
    p->levels = lam_slice_of(stored->data, h->definition_bytes);
    *stored = lam_slice_of(stored->data + h->definition_bytes, stored->size - h->definition_bytes);
    return LAM_OK;
}

static enum lam_code decompress(const struct parquet_reader *r, enum pq_codec codec,
                                struct pq_page *p, struct lam_slice stored, struct lam_error *err) {
    size_t size = p->header.uncompressed_bytes - p->levels.size;
    bool is_plain = codec == PQ_UNCOMPRESSED ||
                    (p->header.type == PQ_DATA_PAGE_V2 && (!p->header.is_compressed || size == 0));
    p->body = stored;
    if (is_plain)
        return stored.size == size
                   ? LAM_OK
                   : pq_corrupt(r, p->offset, err, "uncompressed Parquet page of two sizes");
    buf_reset(&p->plain);
    TRY(buf_reserve(&p->plain, size ? size : 1, err));
    enum lam_code rc = codec_lz4_decompress(stored, p->plain.data, size, err);
    if (rc != LAM_OK)
        return error_context(err, rc, "%s: offset %llu", r->path, (unsigned long long)p->offset);
    p->plain.size = size;
    p->body = buf_slice(&p->plain);
    return LAM_OK;
}

enum lam_code pq_page_unpack(const struct parquet_reader *r, enum pq_codec codec, struct pq_page *p,
                             struct lam_error *err) {
    size_t header_bytes;
    if (!pq_page_header_decode(buf_slice(&p->raw), &p->header, &header_bytes))
        return pq_corrupt(r, p->offset, err, "malformed Parquet page header");
    TRY(check_sizes(r, codec, p, p->raw.size - header_bytes, err));
    struct lam_slice stored = lam_slice_of(p->raw.data + header_bytes, p->header.compressed_bytes);
    p->end = p->offset + header_bytes + stored.size;
    if (p->header.has_crc && !p->is_proven &&
        hash_crc32(0, stored.data, stored.size) != p->header.crc)
        return pq_corrupt(r, p->offset, err, "checksum mismatch in a Parquet page");
    TRY(split_levels(r, p, &stored, err));
    return decompress(r, codec, p, stored, err);
}

/* Finds a page's whole size from its header. */
static enum lam_code measure(const struct parquet_reader *r, uint64_t offset, uint64_t limit,
                             struct buf *scratch, struct pq_page_header *header_out,
                             uint32_t *bytes_out, struct lam_error *err) {
    size_t header_bytes;
    for (uint64_t size = HEADER_BYTES;; size *= 8) {
        bool is_all = size >= limit - offset;
        TRY(pq_read_bytes(r, offset, (size_t)(is_all ? limit - offset : size), scratch, err));
        if (pq_page_header_decode(buf_slice(scratch), header_out, &header_bytes))
            break;
        if (is_all || size >= MAX_HEADER_BYTES)
            return pq_corrupt(r, offset, err, "malformed Parquet page header");
    }
    uint64_t bytes = header_bytes + (uint64_t)header_out->compressed_bytes;
    if (bytes > limit - offset || bytes > UINT32_MAX)
        return pq_corrupt(r, offset, err, "Parquet page is longer than its place");
    *bytes_out = (uint32_t)bytes;
    return LAM_OK;
}

enum lam_code pq_page_load(const struct parquet_reader *r, enum pq_codec codec, uint64_t offset,
                           uint32_t bytes, uint64_t limit, const uint8_t *hash, struct pq_page *out,
                           struct lam_error *err) {
    if (offset >= limit || limit > r->footer_offset || bytes > limit - offset)
        return pq_corrupt(r, offset, err, "Parquet page lies outside of its column chunk");
    if (bytes == 0)
        TRY(measure(r, offset, limit, &out->raw, &out->header, &bytes, err));
    out->offset = offset;
    TRY(pq_read_bytes(r, offset, bytes, &out->raw, err));
    if (hash && pq_page_hash(buf_slice(&out->raw), offset) != get_le64(hash))
        return pq_corrupt(r, offset, err, "not the Parquet page that was written");
    out->is_proven = hash != NULL;
    return pq_page_unpack(r, codec, out, err);
}

enum lam_code pq_pages_walk(const struct parquet_reader *r, const struct pq_reader_chunk *c,
                            uint32_t rows, struct pq_page_ref **pages, size_t *capacity,
                            uint32_t *count_out, struct lam_error *err) {
    uint64_t offset = (uint64_t)c->meta->data_offset, limit = pq_chunk_end(c->meta);
    uint32_t row = 0, bytes = 0;
    OWNED(buf_fini) struct buf scratch = {0};
    struct pq_page_header h;
    *count_out = 0;
    for (; row < rows; offset += bytes) {
        if (offset >= limit)
            return pq_corrupt(r, offset, err, "Parquet column chunk ends before its last row");
        TRY(measure(r, offset, limit, &scratch, &h, &bytes, err));
        if (h.type != PQ_DATA_PAGE && h.type != PQ_DATA_PAGE_V2)
            continue;
        if (h.values > rows - row)
            return pq_corrupt(r, offset, err, "Parquet pages hold more rows than their row group");
        TRY(MEM_GROW(pages, capacity, (size_t)*count_out + 1, err));
        if (h.values == 0)
            continue;
        (*pages)[(*count_out)++] = (struct pq_page_ref){offset, bytes, row};
        row += h.values;
    }
    return LAM_OK;
}
