/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the decoders of Parquet pages. The input gives type, codec, encoding and counts in its
 * first bytes and then the bodies of a dictionary page and of two data pages, around which a sound
 * file is built: headers, CRCs, sizes and footer are right, so that every input reaches the
 * decoders. */
#include "base/codec.h"
#include "base/hash.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/schema.h"
#include "flush/parquet/thrift.h"
#include "tests/fuzz/fuzz.h"

static const struct coltype types[] = {
    {.type = LAM_TYPE_BOOLEAN},
    {.type = LAM_TYPE_SMALLINT},
    {.type = LAM_TYPE_INT},
    {.type = LAM_TYPE_BIGINT},
    {.type = LAM_TYPE_FLOAT},
    {.type = LAM_TYPE_DOUBLE},
    {.type = LAM_TYPE_DECIMAL, .precision = 5, .scale = 2},
    {.type = LAM_TYPE_DECIMAL, .precision = 20},
    {.type = LAM_TYPE_TEXT},
    {.type = LAM_TYPE_BYTES},
    {.type = LAM_TYPE_UUID},
    {.type = LAM_TYPE_TIMESTAMP},
};
static const enum pq_encoding encodings[] = {PQ_PLAIN, PQ_RLE_DICTIONARY, PQ_DELTA_BINARY_PACKED,
                                             PQ_RLE, PQ_PLAIN_DICTIONARY};

struct input {
    struct coltype type;
    bool nullable;
    bool v2;         /* data pages are of version 2 */
    uint8_t levels;  /* of those: bytes of definition levels */
    uint8_t claimed; /* of those: nulls that the header tells of */
    enum pq_codec codec;
    enum pq_encoding encoding;
    uint32_t values[2];         /* of the data pages */
    uint32_t entries;           /* of the dictionary */
    struct lam_slice bodies[3]; /* dictionary, then data pages */
};

static struct input parse(struct cursor *in) {
    struct input p = {.type = types[cursor_u8(in) % (sizeof types / sizeof types[0])]};
    uint8_t flags = cursor_u8(in);
    p.nullable = flags & 1;
    p.codec = flags & 2 ? PQ_LZ4_RAW : PQ_UNCOMPRESSED;
    p.v2 = flags & 4;
    p.levels = p.v2 ? cursor_u8(in) : 0;
    p.claimed = p.v2 ? cursor_u8(in) : 0;
    p.encoding = encodings[cursor_u8(in) % 5];
    p.values[0] = cursor_le16(in) % 5000 + 1;
    p.values[1] = cursor_u8(in) + 1u;
    p.entries = cursor_le16(in) % 3000;
    size_t first = cursor_le16(in), second = cursor_le16(in), left = cursor_left(in);
    first = left ? first % (left + 1) : 0;
    second = left - first ? second % (left - first + 1) : 0;
    p.bodies[0] = cursor_bytes(in, first);
    p.bodies[1] = cursor_bytes(in, second);
    p.bodies[2] = cursor_bytes(in, cursor_left(in));
    return p;
}

static enum lam_code put_v2_header(const struct input *p, const struct pq_page_header *h,
                                   struct buf *out) {
    struct pq_thrift_writer w = pq_thrift_writer_of(out, NULL);
    int16_t outer = pq_thrift_begin(&w, 0);
    pq_thrift_i32(&w, 1, PQ_DATA_PAGE_V2);
    pq_thrift_i32(&w, 2, (int32_t)h->uncompressed_bytes);
    pq_thrift_i32(&w, 3, (int32_t)h->compressed_bytes);
    pq_thrift_i32(&w, 4, (int32_t)h->crc);
    int16_t data = pq_thrift_begin(&w, 8);
    pq_thrift_i32(&w, 1, (int32_t)h->values);
    pq_thrift_i32(&w, 2, p->claimed);
    pq_thrift_i32(&w, 3, (int32_t)h->values);
    pq_thrift_i32(&w, 4, (int32_t)h->encoding);
    pq_thrift_i32(&w, 5, p->levels);
    pq_thrift_i32(&w, 6, 0);
    pq_thrift_bool(&w, 7, p->codec == PQ_LZ4_RAW);
    pq_thrift_end(&w, data);
    pq_thrift_end(&w, outer);
    return w.code;
}

/* Levels stand uncompressed before the values of a page of version 2. */
static enum lam_code put_v2_page(const struct input *p, struct pq_page_header h,
                                 struct lam_slice body, struct buf *out) {
    struct buf stored = {0};
    enum lam_code rc = LAM_OK;
    size_t levels = p->levels < body.size ? p->levels : body.size;
    struct lam_slice values = slice_from(body, levels);
    TRY_GOTO(buf_append(&stored, body.data, levels, NULL));
    if (p->codec == PQ_LZ4_RAW)
        TRY_GOTO(codec_lz4_compress(values, &stored, NULL));
    else
        TRY_GOTO(buf_append_slice(&stored, values, NULL));
    h.uncompressed_bytes = (uint32_t)body.size;
    h.compressed_bytes = (uint32_t)stored.size;
    h.crc = hash_crc32(0, stored.data, stored.size);
    TRY_GOTO(put_v2_header(p, &h, out));
    TRY_GOTO(buf_append_slice(out, buf_slice(&stored), NULL));
out:
    buf_fini(&stored);
    return rc;
}

static enum lam_code put_page(const struct input *p, struct pq_page_header h, struct lam_slice body,
                              struct buf *out) {
    struct buf packed = {0};
    enum lam_code rc = LAM_OK;
    struct lam_slice stored = body;
    if (p->codec == PQ_LZ4_RAW) {
        TRY_GOTO(codec_lz4_compress(body, &packed, NULL));
        stored = buf_slice(&packed);
    }
    h.uncompressed_bytes = (uint32_t)body.size;
    h.compressed_bytes = (uint32_t)stored.size;
    h.crc = hash_crc32(0, stored.data, stored.size);
    TRY_GOTO(pq_page_header_encode(&h, out, NULL));
    TRY_GOTO(buf_append_slice(out, stored, NULL));
out:
    buf_fini(&packed);
    return rc;
}

static enum lam_code build(const struct input *p, struct buf *out) {
    struct parquet_field f = {.name = "f", .type = p->type, .nullable = p->nullable, .field_id = 1};
    struct pq_leaf leaf = pq_leaf_of(&f);
    struct pq_page_header h = {
        .type = PQ_DICTIONARY_PAGE, .values = p->entries, .encoding = PQ_PLAIN};
    struct pq_chunk c = {.physical = leaf.physical,
                         .codec = p->codec,
                         .raw_bytes = PQ_NONE,
                         .stats = {.null_count = PQ_NONE, .distinct = PQ_NONE}};
    struct pq_group g = {.chunks = &c, .file_offset = 4};
    struct pq_meta m = {.leaves = &leaf,
                        .leaf_count = 1,
                        .groups = &g,
                        .group_count = 1,
                        .created_by = lam_slice_str("fuzz")};
    TRY(buf_append_str(out, "PAR1", NULL));
    c.dictionary_offset = (int64_t)out->size;
    TRY(put_page(p, h, p->bodies[0], out));
    c.data_offset = (int64_t)out->size;
    h.type = PQ_DATA_PAGE;
    h.encoding = p->encoding;
    for (int i = 0; i < 2; i++) {
        h.values = p->values[i];
        TRY((p->v2 ? put_v2_page : put_page)(p, h, p->bodies[i + 1], out));
        m.rows += h.values;
    }
    g.rows = c.values = m.rows;
    c.compressed_bytes = (int64_t)out->size - 4;
    size_t start = out->size;
    TRY(pq_meta_encode(&m, out, NULL));
    TRY(buf_append_le32(out, (uint32_t)(out->size - start), NULL));
    return buf_append_str(out, "PAR1", NULL);
}

static void read_file(lam_env *env) {
    struct parquet_reader *r;
    struct parquet_cursor *cursor;
    struct column c;
    uint32_t count;
    fuzz_ok(parquet_reader_open(env, "f", NULL, &r, NULL), NULL);
    column_init(&c, parquet_reader_fields(r, &count)[0].type);
    fuzz_ok(parquet_cursor_open(r, 0, 0, &cursor, NULL), NULL);
    uint32_t rows = parquet_reader_group_rows(r, 0), row = 0;
    while (row < rows) {
        uint32_t left = rows - row;
        uint32_t step = left < 700 ? left : 700;
        if (parquet_cursor_next(cursor, step, &c, NULL) != LAM_OK)
            break;
        column_reset(&c);
        row += left > step + 3 ? step + 3 : step;
        if (parquet_cursor_seek(cursor, 0, row, NULL) != LAM_OK)
            break;
    }
    parquet_cursor_close(cursor);
    column_fini(&c);
    parquet_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lam_env *env;
    struct cursor in = cursor_of(lam_slice_of(data, size));
    struct input p = parse(&in);
    struct buf b = {0};
    if (in.failed)
        return 0;
    if (!env)
        env = fuzz_env_new();
    fuzz_ok(build(&p, &b), NULL);
    fuzz_file_write(env, "f", buf_slice(&b));
    read_file(env);
    buf_fini(&b);
    return 0;
}
