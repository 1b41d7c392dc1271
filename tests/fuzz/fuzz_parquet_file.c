/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole Parquet files of ours, changed anywhere. The checksums of page indexes and bloom filters
 * are put right, so that what lies behind them is reached (for pages: fuzz_parquet_page.c). Then
 * everything a reader can do is done. */
#include <stdio.h>

#include "base/hash.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/parquet.h"

#define SHAPES 4
#define FIELDS 8
#define ROWS   90

static const struct parquet_field fields[FIELDS] = {
    {.name = "id", .type = {.type = LAM_TYPE_BIGINT}, .field_id = 1, .is_bloom = true},
    {.name = "t",
     .type = {.type = LAM_TYPE_TEXT},
     .nullable = true,
     .field_id = 2,
     .is_bloom = true},
    {.name = "b", .type = {.type = LAM_TYPE_BOOLEAN}, .nullable = true, .field_id = 3},
    {.name = "d",
     .type = {.type = LAM_TYPE_DECIMAL, .precision = 20, .scale = 2},
     .nullable = true,
     .field_id = 4},
    {.name = "f", .type = {.type = LAM_TYPE_DOUBLE}, .nullable = true, .field_id = 5},
    {.name = "u", .type = {.type = LAM_TYPE_UUID}, .nullable = true, .field_id = 6},
    {.name = "s",
     .type = {.type = LAM_TYPE_SMALLINT},
     .nullable = true,
     .field_id = 7,
     .is_bloom = true},
    {.name = "y", .type = {.type = LAM_TYPE_BYTES}, .nullable = true, .field_id = 8},
};

/* A good file, and where its checksums stand. */
struct good {
    struct buf bytes;
    uint64_t index_start, footer_offset;
    size_t index_hash_at; /* 16 hex digits in the footer */
    struct bloom {
        uint64_t offset, bytes;
        size_t hash_at;
    } blooms[64];
    size_t bloom_count;
};
static struct good goods[SHAPES];
static lam_env *env;

static void add_value(struct column *c, uint32_t field, uint32_t row) {
    char text[32];
    if (fields[field].nullable && (row * 7 + field) % 5 == 0) {
        fuzz_ok(column_append_null(c, NULL), NULL);
        return;
    }
    snprintf(text, sizeof text, "value %02u of sixteen", row % (field == 1 ? 9 : 40));
    switch (c->type.type) {
    case LAM_TYPE_BOOLEAN:
        fuzz_ok(column_append_bool(c, row / 3 & 1, NULL), NULL);
        break;
    case LAM_TYPE_DECIMAL:
        fuzz_ok(column_append_i128(c, (int128)row * row * 1000003 - 77, NULL), NULL);
        break;
    case LAM_TYPE_DOUBLE:
        fuzz_ok(column_append_f64(c, row * 0.25 - 3, NULL), NULL);
        break;
    case LAM_TYPE_UUID:
        fuzz_ok(column_append_bytes(c, lam_slice_of(text, 16), NULL), NULL);
        break;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
        fuzz_ok(column_append_bytes(c, lam_slice_of(text, 8 + row % 9), NULL), NULL);
        break;
    default:
        fuzz_ok(column_append_i64(c, (int64_t)row * 31 % 1000, NULL), NULL);
        break;
    }
}

static void fill(struct colbatch *b) {
    struct coltype types[FIELDS];
    for (uint32_t f = 0; f < FIELDS; f++)
        types[f] = fields[f].type;
    fuzz_ok(colbatch_init(b, types, FIELDS, NULL), NULL);
    for (b->rows = 0; b->rows < ROWS; b->rows++)
        for (uint32_t f = 0; f < FIELDS; f++)
            add_value(&b->columns[f], f, b->rows);
}

/* Where the digits behind a key of the footer's metadata stand, from `from` on. */
static size_t find_text(const struct buf *file, size_t from, const char *key, size_t skip) {
    const uint8_t *hit = memmem(file->data + from, file->size - from, key, strlen(key));
    REQUIRE(hit);
    return (size_t)(hit - file->data) + strlen(key) + skip;
}

static void locate(struct good *g) {
    struct parquet_reader *r;
    struct lam_slice value;
    fuzz_ok(parquet_reader_open(env, "f", NULL, &r, NULL), NULL);
    g->footer_offset = r->footer_offset;
    REQUIRE(parquet_reader_pair(r, PQ_KEY_INDEX, &value));
    char text[64] = {0};
    memcpy(text, value.data, value.size);
    unsigned long long start = 0;
    REQUIRE(sscanf(text, "%llu:", &start) == 1);
    g->index_start = start;
    g->index_hash_at = find_text(&g->bytes, (size_t)r->footer_offset, text, 0) - 16;
    /* Another name for the pages' hashes: decoding is what damage is to reach. */
    g->bytes.data[find_text(&g->bytes, (size_t)r->footer_offset, PQ_KEY_PAGES, 0) - 1] ^= 1;
    size_t at = (size_t)r->footer_offset;
    for (uint32_t i = 0; i < r->meta.group_count * r->meta.leaf_count; i++) {
        const struct pq_chunk *c = r->chunks[i].meta;
        if (!c->has_bloom_hash)
            continue;
        at = find_text(&g->bytes, at, PQ_KEY_BLOOM, 2);
        REQUIRE(g->bloom_count < sizeof g->blooms / sizeof g->blooms[0]);
        g->blooms[g->bloom_count++] =
            (struct bloom){(uint64_t)c->bloom_offset, (uint64_t)c->bloom_bytes, at};
    }
    parquet_reader_close(r);
}

static void make_goods(void) {
    struct colbatch b;
    env = fuzz_env_new();
    fill(&b);
    for (uint32_t shape = 0; shape < SHAPES; shape++) {
        struct parquet_writer *w;
        struct parquet_write_options o = {.lz4 = shape & 1,
                                          .row_group_rows = shape & 2 ? 40 : 0,
                                          .page_rows = shape & 2 ? 16 : 0};
        fuzz_ok(parquet_writer_open(env, "f", fields, FIELDS, &o, &w, NULL), NULL);
        fuzz_ok(parquet_writer_append(w, &b, NULL), NULL);
        fuzz_ok(parquet_finish(env, "f", w, NULL, NULL), NULL);
        fuzz_file_read(env, "f", &goods[shape].bytes);
        locate(&goods[shape]);
    }
    colbatch_fini(&b);
}

static void put_hash(struct buf *file, size_t at, uint64_t from, uint64_t to) {
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx",
             (unsigned long long)hash_xxh3(file->data + from, (size_t)(to - from), 0));
    memcpy(file->data + at, hex, 16);
}

static void mend(const struct good *g, struct buf *file) {
    put_hash(file, g->index_hash_at, g->index_start, g->footer_offset);
    for (size_t i = 0; i < g->bloom_count; i++)
        put_hash(file, g->blooms[i].hash_at, g->blooms[i].offset,
                 g->blooms[i].offset + g->blooms[i].bytes);
}

/* Each three bytes say where (16 bits, from the end if odd) and by what. */
static bool patch(struct buf *file, struct cursor *c) {
    bool changed = false;
    while (cursor_left(c) >= 3) {
        uint16_t where = cursor_le16(c);
        uint8_t what = cursor_u8(c);
        size_t at = (size_t)(where >> 1) % file->size;
        file->data[where & 1 ? file->size - 1 - at : at] ^= what;
        changed = changed || what != 0;
    }
    return changed;
}

static void prune(const struct parquet_reader *r, uint32_t g, uint32_t f, const struct column *c) {
    struct parquet_row_ranges ranges = {0};
    struct parquet_value v = {.i64 = 0};
    bool may = true;
    for (uint32_t row = 0; row < c->rows; row += 13) {
        if (column_is_null(c, row))
            continue;
        v = parquet_value_of(c, row);
        struct parquet_range range = {.lower = &v, .upper = row & 1 ? &v : NULL};
        (void)parquet_prune(r, g, f, &range);
        enum lam_code rc = parquet_prune_pages(r, g, f, &range, &ranges, NULL);
        REQUIRE(fuzz_is_answer(rc));
        for (size_t i = 0; rc == LAM_OK && i < ranges.count; i++)
            REQUIRE(ranges.items[i].first + ranges.items[i].count <=
                    parquet_reader_group_rows(r, g));
        REQUIRE(fuzz_is_answer(parquet_reader_may_contain(r, g, f, v, &may, NULL)));
    }
    parquet_row_ranges_fini(&ranges);
}

static void read_all(const struct parquet_reader *r, bool must_succeed) {
    uint32_t count;
    const struct parquet_field *there = parquet_reader_fields(r, &count);
    for (uint32_t g = 0; g < parquet_reader_group_count(r); g++) {
        uint32_t rows = parquet_reader_group_rows(r, g), most = rows < 4000 ? rows : 4000;
        for (uint32_t f = 0; f < count; f++) {
            struct column c;
            column_init(&c, there[f].type);
            enum lam_code rc = parquet_reader_read(r, g, f, 0, most, &c, NULL);
            REQUIRE(fuzz_is_answer(rc) && (!must_succeed || rc == LAM_OK));
            if (rc == LAM_OK) {
                REQUIRE(c.rows == most);
                prune(r, g, f, &c);
            }
            column_fini(&c);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    struct buf file = {0};
    struct parquet_reader *r;
    if (!env)
        make_goods();
    uint8_t how = cursor_u8(&c);
    const struct good *g = &goods[how % SHAPES];
    fuzz_put(&file, g->bytes.data, g->bytes.size);
    bool changed = patch(&file, &c);
    if (!(how & 4))
        mend(g, &file);
    fuzz_file_write(env, "f", buf_slice(&file));
    enum lam_code rc = parquet_reader_open(env, "f", NULL, &r, NULL);
    REQUIRE(fuzz_is_answer(rc) && (changed || rc == LAM_OK));
    if (rc == LAM_OK) {
        read_all(r, !changed);
        parquet_reader_close(r);
    }
    buf_fini(&file);
    return 0;
}
