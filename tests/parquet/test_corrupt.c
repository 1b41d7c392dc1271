/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged files: every byte changed, every length cut. Reading gives the same rows or an error,
 * never other rows and never a crash. A footer has no checksum of its own, so changes to it count
 * as noticed if its hash differs from the writer's, as the cold tier's manifest does it. */
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"
#include "tests/parquet/table.h"

/* Reads all there is, by whatever schema the file now claims. `*same_out`: all rows are as
 * written. */
static enum lam_code read_claimed(lam_env *env, const struct table *t, bool *same_out) {
    struct parquet_reader *r;
    uint32_t count;
    *same_out = false;
    TRY(parquet_reader_open(env, table_path, NULL, &r, &err));
    const struct parquet_field *fields = parquet_reader_fields(r, &count);
    bool trusted = parquet_reader_footer_hash(r) == t->summary.footer_hash;
    enum lam_code rc = LAM_OK;
    for (uint32_t f = 0; f < count && rc == LAM_OK; f++) {
        uint32_t first = 0;
        for (uint32_t g = 0; g < parquet_reader_group_count(r) && rc == LAM_OK; g++) {
            uint32_t rows = parquet_reader_group_rows(r, g);
            struct column c;
            struct parquet_row_ranges ranges = {0};
            struct parquet_range range = {.nulls = true};
            bool may = false;
            column_init(&c, fields[f].type);
            /* A changed footer may claim any number of rows; they need not be made up. */
            uint32_t step = rows < 5000 ? rows : 5000;
            rc = parquet_reader_read(r, g, f, 0, step, &c, &err);
            if (rc == LAM_OK && trusted)
                check_rows(t, f, first, &c);
            if (rc == LAM_OK)
                rc = parquet_prune_pages(r, g, f, &range, &ranges, &err);
            if (rc == LAM_OK && trusted && c.rows > 0 && !column_is_null(&c, 0)) {
                rc = parquet_reader_may_contain(r, g, f, parquet_value_of(&c, 0), &may, &err);
                ck_assert(rc != LAM_OK || may);
            }
            parquet_row_ranges_fini(&ranges);
            column_fini(&c);
            first += rows;
        }
    }
    parquet_reader_close(r);
    *same_out = rc == LAM_OK && trusted;
    return rc;
}

static void small_table(struct table *t, enum sample_kind kind, bool lz4) {
    struct rng r;
    rng_init(&r, 21);
    table_sample(t, &r, kind, 12);
    table_save(t, &(struct parquet_write_options){.lz4 = lz4, .page_rows = 7}, 12);
}

static void check_changes(enum sample_kind kind, bool lz4, uint8_t change) {
    struct table t;
    small_table(&t, kind, lz4);
    struct buf file = table_bytes(&t);
    uint32_t noticed = 0;
    for (size_t i = 0; i < file.size; i++) {
        bool same;
        file.data[i] ^= change;
        put_bytes(t.env, table_path, buf_slice(&file));
        enum lam_code rc = read_claimed(t.env, &t, &same);
        ck_assert_msg(rc == LAM_OK || rc == LAM_CORRUPT || rc == LAM_UNSUPPORTED || rc == LAM_LIMIT,
                      "byte %zu: %s", i, err.message);
        noticed += !same;
        file.data[i] ^= change;
    }
    /* What passes unnoticed is equal in meaning. */
    ck_assert_uint_gt(noticed, file.size * 9 / 10);
    buf_fini(&file);
    table_fini(&t);
}

START_TEST(every_changed_byte_is_noticed_or_harmless) {
    check_changes(SAMPLE_WILD, true, 0xff);
    check_changes(SAMPLE_WILD, false, 0x01);
    check_changes(SAMPLE_FEW, true, 0x10);
    check_changes(SAMPLE_CONSTANT, false, 0x80);
}
END_TEST

START_TEST(every_cut_file_is_refused) {
    struct table t;
    small_table(&t, SAMPLE_WILD, true);
    struct buf file = table_bytes(&t);
    for (size_t size = 0; size < file.size; size++) {
        bool same;
        put_bytes(t.env, table_path, lam_slice_of(file.data, size));
        enum lam_code rc = read_claimed(t.env, &t, &same);
        ck_assert_msg(rc == LAM_CORRUPT, "%zu bytes: %s", size, lam_code_name(rc));
    }
    buf_fini(&file);
    table_fini(&t);
}
END_TEST

START_TEST(random_damage_is_survived) {
    struct table t;
    struct rng r;
    rng_init(&r, test_seed("random_damage_is_survived"));
    small_table(&t, SAMPLE_SIGNED, true);
    struct buf file = table_bytes(&t);
    for (int round = 0; round < 1000; round++) {
        struct buf copy = {0};
        bool same;
        ck_ok(buf_append_slice(&copy, buf_slice(&file), &err), &err);
        for (uint64_t n = 1 + rng_below(&r, 8); n > 0; n--) {
            /* Half of the damage hits the footer. */
            size_t at = rng_below(&r, 2) ? rng_below(&r, copy.size)
                                         : copy.size - 1 - rng_below(&r, copy.size / 3);
            copy.data[at] = (uint8_t)rng_next(&r);
        }
        put_bytes(t.env, table_path, buf_slice(&copy));
        (void)read_claimed(t.env, &t, &same);
        buf_fini(&copy);
    }
    buf_fini(&file);
    table_fini(&t);
}
END_TEST

START_TEST(damaged_page_is_named_with_file_and_offset) {
    struct table t;
    bool same;
    small_table(&t, SAMPLE_WILD, false);
    struct buf file = table_bytes(&t);
    struct parquet_reader *r = table_open(&t);
    file.data[pq_chunk_end(pq_reader_chunk(r, 0, 0)->meta) - 1] ^= 1;
    parquet_reader_close(r);
    put_bytes(t.env, table_path, buf_slice(&file));
    ck_code(read_claimed(t.env, &t, &same), LAM_CORRUPT);
    ck_contains(err.message, "file.parquet: offset ");
    buf_fini(&file);
    table_fini(&t);
}
END_TEST

/* Reads one field of a file that is known. LAM_OK: all rows are as written. */
static enum lam_code read_known(const struct table *t, uint32_t field) {
    struct parquet_reader *r;
    struct parquet_identity id = {t->summary.bytes, t->rows.rows, t->summary.footer_hash};
    TRY(parquet_reader_open(t->env, table_path, &id, &r, &err));
    struct column c;
    column_init(&c, t->fields[field].type);
    enum lam_code rc =
        parquet_reader_read(r, 0, field, 0, parquet_reader_group_rows(r, 0), &c, &err);
    if (rc == LAM_OK)
        check_rows(t, field, 0, &c);
    column_fini(&c);
    parquet_reader_close(r);
    return rc;
}

/* Every value of every byte of a chunk's first page headers. */
static void change_headers(struct table *t, struct buf *file, uint32_t field) {
    struct parquet_reader *r = table_open(t);
    const struct pq_chunk *c = pq_reader_chunk(r, 0, field)->meta;
    struct pq_page_header h;
    uint64_t starts[2] = {(uint64_t)c->data_offset, (uint64_t)c->dictionary_offset};
    size_t size;
    for (int k = 0; k < 2; k++) {
        struct lam_slice rest =
            lam_slice_of(file->data + starts[k], file->size - (size_t)starts[k]);
        if (starts[k] == 0)
            continue;
        ck_assert(pq_page_header_decode(rest, &h, &size));
        for (size_t at = (size_t)starts[k]; at < starts[k] + size; at++) {
            uint8_t was = file->data[at];
            for (unsigned change = 1; change < 256; change++) {
                file->data[at] = was ^ (uint8_t)change;
                put_bytes(t->env, table_path, buf_slice(file));
                enum lam_code rc = read_known(t, field);
                ck_assert_msg(rc == LAM_OK || rc == LAM_CORRUPT, "field %u, byte %zu: %s", field,
                              at, err.message);
            }
            file->data[at] = was;
        }
    }
    parquet_reader_close(r);
}

/* Page headers are under no checksum: the encoding in one could make other values of the same
 * bytes. */
START_TEST(changed_page_header_is_corrupt_or_harmless) {
    static const enum sample_kind kinds[] = {SAMPLE_FEW, SAMPLE_SORTED};
    for (size_t k = 0; k < 2; k++) {
        struct table t;
        struct rng r;
        rng_init(&r, 5 + k);
        table_sample(&t, &r, kinds[k], 40);
        table_save(&t, &(struct parquet_write_options){.page_rows = 40}, 40);
        struct buf file = table_bytes(&t);
        for (uint32_t f = 0; f < t.field_count; f += 2)
            change_headers(&t, &file, f);
        buf_fini(&file);
        table_fini(&t);
    }
}
END_TEST

/* A page's CRC says that it is whole, not that it is the one that was written there. */
START_TEST(page_of_another_place_is_corrupt) {
    struct table t;
    struct rng rng;
    rng_init(&rng, 8);
    table_sample(&t, &rng, SAMPLE_WILD, 56);
    table_save(&t, &(struct parquet_write_options){.page_rows = 7}, 56);
    struct buf file = table_bytes(&t);
    struct parquet_reader *r = table_open(&t);
    unsigned tried = 0;
    for (uint32_t f = 0; f < t.field_count; f++) {
        const struct pq_reader_chunk *c = pq_reader_chunk(r, 0, f);
        for (uint32_t i = 1; i < c->page_count; i++) {
            const struct pq_page_ref *to = &c->pages[i - 1], *from = &c->pages[i];
            uint8_t was[4096];
            if (to->bytes != from->bytes || to->bytes > sizeof was ||
                memcmp(file.data + to->offset, file.data + from->offset, to->bytes) == 0)
                continue;
            memcpy(was, file.data + to->offset, to->bytes);
            memcpy(file.data + to->offset, file.data + from->offset, to->bytes);
            put_bytes(t.env, table_path, buf_slice(&file));
            ck_code(read_known(&t, f), LAM_CORRUPT);
            ck_contains(err.message, "not the Parquet page that was written");
            memcpy(file.data + to->offset, was, to->bytes);
            tried++;
        }
    }
    ck_assert_uint_gt(tried, 20);
    parquet_reader_close(r);
    buf_fini(&file);
    table_fini(&t);
}
END_TEST

/* What a damaged footer claims - encryption, nesting, unknown types - is not told as a feature that
 * is missing. */
START_TEST(damaged_footer_of_a_known_file_is_corrupt) {
    struct table t;
    small_table(&t, SAMPLE_FEW, true);
    struct buf file = table_bytes(&t);
    struct parquet_reader *r = table_open(&t);
    size_t footer = (size_t)r->footer_offset, foreign = 0;
    parquet_reader_close(r);
    for (size_t at = footer; at < file.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            file.data[at] ^= (uint8_t)(1u << bit);
            put_bytes(t.env, table_path, buf_slice(&file));
            ck_code(read_known(&t, 0), LAM_CORRUPT);
            ck_contains(err.message, table_path);
            enum lam_code rc = parquet_reader_open(t.env, table_path, NULL, &r, NULL);
            foreign += rc == LAM_UNSUPPORTED;
            if (rc == LAM_OK)
                parquet_reader_close(r);
            file.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    ck_assert_uint_gt(foreign, 0); /* of the same bytes when nothing is known of the file */
    buf_fini(&file);
    table_fini(&t);
}
END_TEST

/* Small enough as a file, the indexes of all its chunks would fill any memory. */
START_TEST(page_indexes_that_overlap_are_refused) {
    struct table t;
    bool same;
    small_table(&t, SAMPLE_FEW, true);
    struct buf file = table_bytes(&t);
    struct parquet_reader *r = table_open(&t);
    struct pq_chunk *chunks = r->meta.groups[0].chunks;
    ck_assert_uint_gt(r->meta.leaf_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        chunks[i].offset_index_offset = PQ_MAGIC_BYTES;
        chunks[i].offset_index_bytes = (int64_t)r->footer_offset - PQ_MAGIC_BYTES;
    }
    file.size = (size_t)r->footer_offset;
    ck_ok(pq_meta_encode(&r->meta, &file, &err), &err);
    size_t footer = file.size - (size_t)r->footer_offset;
    ck_ok(buf_append_le32(&file, (uint32_t)footer, &err), &err);
    ck_ok(buf_append_str(&file, PQ_MAGIC, &err), &err);
    parquet_reader_close(r);
    put_bytes(t.env, table_path, buf_slice(&file));
    ck_code(read_claimed(t.env, &t, &same), LAM_CORRUPT);
    ck_contains(err.message, "overlap");
    buf_fini(&file);
    table_fini(&t);
}
END_TEST

TEST_MAIN("parquet/corrupt", every_changed_byte_is_noticed_or_harmless, every_cut_file_is_refused,
          random_damage_is_survived, damaged_page_is_named_with_file_and_offset,
          changed_page_header_is_corrupt_or_harmless, page_of_another_place_is_corrupt,
          damaged_footer_of_a_known_file_is_corrupt, page_indexes_that_overlap_are_refused)
