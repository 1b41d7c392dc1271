/* SPDX-License-Identifier: Apache-2.0
 *
 * Mistakes that other hand-written Parquet writers have made and that no round trip through the
 * same library shows. Each test looks at the bytes of a file; the names say what must hold. */
#include "base/hash.h"
#include "flush/parquet/bloom.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"
#include "tests/parquet/table.h"

static void save_sample(struct table *t, enum sample_kind kind, uint32_t rows,
                        const struct parquet_write_options *o) {
    struct rng r;
    rng_init(&r, 11);
    table_sample(t, &r, kind, rows);
    table_save(t, o, rows);
}

static struct pq_page_header header_at(const struct buf *file, uint64_t offset, size_t *size_out) {
    struct pq_page_header h;
    ck_assert_uint_lt(offset, file->size);
    ck_assert(pq_page_header_decode(lam_slice_of(file->data + offset, file->size - (size_t)offset),
                                    &h, size_out));
    return h;
}

typedef void chunk_fn(const struct table *t, const struct parquet_reader *r, const struct buf *file,
                      uint32_t group, uint32_t field, const struct pq_chunk *c);

static void each_chunk(struct table *t, chunk_fn *fn) {
    struct parquet_reader *r = table_open(t);
    struct buf file = table_bytes(t);
    for (uint32_t g = 0; g < parquet_reader_group_count(r); g++)
        for (uint32_t f = 0; f < t->field_count; f++)
            fn(t, r, &file, g, f, pq_reader_chunk(r, g, f)->meta);
    buf_fini(&file);
    parquet_reader_close(r);
}

static void check_bit_width(const struct table *t, const struct parquet_reader *r,
                            const struct buf *file, uint32_t group, uint32_t field,
                            const struct pq_chunk *c) {
    size_t size;
    struct pq_page_header h = header_at(file, (uint64_t)c->data_offset, &size);
    (void)r;
    (void)group;
    if (h.encoding != PQ_RLE_DICTIONARY || c->codec != PQ_UNCOMPRESSED)
        return;
    const uint8_t *body = file->data + c->data_offset + size;
    size_t levels = t->fields[field].nullable ? 4 + get_le32(body) : 0;
    ck_assert_uint_ge(body[levels], 1);
    ck_assert_uint_gt(h.compressed_bytes, levels + 1);
}

START_TEST(one_entry_dictionary_has_bits_and_runs) {
    struct table t;
    save_sample(&t, SAMPLE_CONSTANT, 300, NULL);
    each_chunk(&t, check_bit_width);
    struct parquet_reader *r = table_open(&t);
    ck_assert(pq_reader_chunk(r, 0, 22)->meta->dictionary_offset != 0);
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

START_TEST(nulls_of_many_batches_share_one_stream_of_levels) {
    struct table t;
    table_one(&t, (struct coltype){.type = LAM_TYPE_BIGINT}, true);
    struct column *c = &t.rows.columns[0];
    for (int i = 0; i < 18; i++) {
        if (i % 3 == 0)
            ck_ok(column_append_null(c, &err), &err);
        else
            ck_ok(column_append_i64(c, i, &err), &err);
    }
    t.rows.rows = 18;
    table_save(&t, NULL, 6);
    check_table(&t, 18);
    struct parquet_reader *r = table_open(&t);
    ck_assert_uint_eq(pq_reader_chunk(r, 0, 0)->page_count, 1);
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

static void check_offsets(const struct table *t, const struct parquet_reader *r,
                          const struct buf *file, uint32_t group, uint32_t field,
                          const struct pq_chunk *c) {
    size_t size;
    (void)t;
    ck_assert_int_eq(header_at(file, (uint64_t)c->data_offset, &size).type, PQ_DATA_PAGE);
    bool is_dictionary = c->encodings >> PQ_RLE_DICTIONARY & 1;
    ck_assert_int_eq(c->dictionary_offset != 0, is_dictionary);
    if (is_dictionary)
        ck_assert_int_eq(header_at(file, (uint64_t)c->dictionary_offset, &size).type,
                         PQ_DICTIONARY_PAGE);
    if (field == 0)
        ck_assert_int_eq(r->meta.groups[group].file_offset, (int64_t)pq_chunk_start(c));
}

/* Walks a chunk's pages: they fill it, and its totals count headers too. */
static void check_sizes(const struct table *t, const struct parquet_reader *r,
                        const struct buf *file, uint32_t group, uint32_t field,
                        const struct pq_chunk *c) {
    const struct pq_reader_chunk *chunk = pq_reader_chunk(r, group, field);
    int64_t stored = 0, plain = 0, values = 0;
    uint32_t pages = 0;
    (void)t;
    for (uint64_t at = pq_chunk_start(c); at < pq_chunk_end(c);) {
        size_t size;
        struct pq_page_header h = header_at(file, at, &size);
        ck_assert(h.has_crc);
        ck_assert_uint_eq(h.crc, hash_crc32(0, file->data + at + size, h.compressed_bytes));
        if (h.type == PQ_DATA_PAGE) {
            ck_assert(c->encodings >> h.encoding & 1);
            ck_assert_int_eq(h.levels, PQ_RLE);
            ck_assert_uint_eq(chunk->pages[pages].offset, at);
            ck_assert_uint_eq(chunk->pages[pages].bytes, size + h.compressed_bytes);
            ck_assert_uint_eq(chunk->pages[pages].first_row, (uint64_t)values);
            values += h.values;
            pages++;
        }
        stored += (int64_t)size + h.compressed_bytes;
        plain += (int64_t)size + h.uncompressed_bytes;
        at += size + h.compressed_bytes;
    }
    ck_assert_int_eq(stored, c->compressed_bytes);
    ck_assert_int_eq(plain, c->uncompressed_bytes);
    ck_assert_int_eq(values, c->values);
    ck_assert_uint_eq(pages, chunk->page_count);
    ck_assert(c->codec == PQ_UNCOMPRESSED || c->codec == PQ_LZ4_RAW);
    if (c->codec == PQ_LZ4_RAW)
        ck_assert_int_le(stored * 100, plain * 95);
}

START_TEST(offsets_point_at_pages_of_their_kind) {
    struct table t;
    save_sample(&t, SAMPLE_FEW, 500, &(struct parquet_write_options){.row_group_rows = 200});
    each_chunk(&t, check_offsets);
    table_fini(&t);
    save_sample(&t, SAMPLE_WILD, 500, &(struct parquet_write_options){.lz4 = true});
    each_chunk(&t, check_offsets);
    table_fini(&t);
}
END_TEST

START_TEST(sizes_count_every_byte_and_pages_carry_crcs) {
    static const enum sample_kind kinds[] = {SAMPLE_FEW, SAMPLE_WILD, SAMPLE_SORTED, SAMPLE_LONG};
    for (int i = 0; i < 4; i++) {
        struct table t;
        save_sample(
            &t, kinds[i], 400,
            &(struct parquet_write_options){.lz4 = true, .row_group_rows = 150, .page_rows = 40});
        each_chunk(&t, check_sizes);
        table_fini(&t);
    }
}
END_TEST

START_TEST(group_totals_are_the_chunks_sums) {
    struct table t;
    save_sample(&t, SAMPLE_FEW, 400, &(struct parquet_write_options){.lz4 = true});
    struct parquet_reader *r = table_open(&t);
    int64_t plain = 0, stored = 0;
    for (uint32_t f = 0; f < t.field_count; f++) {
        plain += pq_reader_chunk(r, 0, f)->meta->uncompressed_bytes;
        stored += pq_reader_chunk(r, 0, f)->meta->compressed_bytes;
    }
    ck_assert_int_eq(r->meta.groups[0].uncompressed_bytes, plain);
    ck_assert_int_eq(r->meta.groups[0].compressed_bytes, stored);
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

START_TEST(created_by_parses) {
    struct table t;
    char app[32], hash[32];
    int major, minor, patch, used = 0;
    save_sample(&t, SAMPLE_FEW, 1, NULL);
    struct parquet_reader *r = table_open(&t);
    char text[64] = {0};
    memcpy(text, r->meta.created_by.data, r->meta.created_by.size);
    ck_assert_int_eq(sscanf(text, "%31s version %d.%d.%d (build %31[^)])%n", app, &major, &minor,
                            &patch, hash, &used),
                     5);
    ck_assert_uint_eq((size_t)used, strlen(text));
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

START_TEST(bounds_come_with_column_orders) {
    struct table t;
    save_sample(&t, SAMPLE_SORTED, 10, NULL);
    struct parquet_reader *r = table_open(&t);
    for (uint32_t f = 0; f < t.field_count; f++)
        ck_assert(r->meta.type_ordered[f]);
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

/* Pages: nulls only, "app", nulls only, "apple". */
START_TEST(null_pages_and_prefixes_are_indexed) {
    struct table t;
    struct pq_page_stats *pages;
    struct arena a = {0};
    uint32_t count;
    table_one(&t, (struct coltype){.type = LAM_TYPE_TEXT}, true);
    struct column *c = &t.rows.columns[0];
    ck_ok(column_append_null(c, &err), &err);
    ck_ok(column_append_bytes(c, lam_slice_str("app"), &err), &err);
    ck_ok(column_append_null(c, &err), &err);
    ck_ok(column_append_bytes(c, lam_slice_str("apple"), &err), &err);
    t.rows.rows = 4;
    table_save(&t, &(struct parquet_write_options){.page_rows = 1}, 4);
    struct parquet_reader *r = table_open(&t);
    struct buf file = table_bytes(&t);
    const struct pq_chunk *m = pq_reader_chunk(r, 0, 0)->meta;
    struct lam_slice bytes =
        lam_slice_of(file.data + m->column_index_offset, (size_t)m->column_index_bytes);
    ck_assert(pq_column_index_decode(bytes, &a, &pages, &count));
    ck_assert_uint_eq(count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pages[i].is_null, i % 2 == 0);
        ck_assert_int_eq(pages[i].null_count, i % 2 == 0);
    }
    ck_assert_uint_eq(pages[0].min.size + pages[0].max.size, 0);
    ck_assert(slice_eq_str(pages[1].min, "app") && slice_eq_str(pages[3].max, "apple"));
    struct parquet_value v = {.bytes = lam_slice_str("apple")};
    struct parquet_range range = {.lower = &v, .upper = &v};
    struct parquet_row_ranges ranges = {0};
    ck_ok(parquet_prune_pages(r, 0, 0, &range, &ranges, &err), &err);
    ck_assert(ranges.count == 1 && ranges.items[0].first == 3 && ranges.items[0].count == 1);
    parquet_row_ranges_fini(&ranges);
    parquet_reader_close(r);
    buf_fini(&file);
    arena_fini(&a);
    table_fini(&t);
}
END_TEST

START_TEST(page_with_a_nan_drops_the_column_index) {
    struct table t;
    table_one(&t, (struct coltype){.type = LAM_TYPE_DOUBLE}, false);
    for (int i = 0; i < 40; i++)
        ck_ok(column_append_f64(&t.rows.columns[0], i == 33 ? NAN : i, &err), &err);
    t.rows.rows = 40;
    table_save(&t, &(struct parquet_write_options){.page_rows = 10, .row_group_rows = 20}, 40);
    struct parquet_reader *r = table_open(&t);
    ck_assert_ptr_nonnull(pq_reader_chunk(r, 0, 0)->page_bounds);
    ck_assert(parquet_bounds_of(r, 0, 0)->present);
    ck_assert_ptr_null(pq_reader_chunk(r, 1, 0)->page_bounds);
    ck_assert(!parquet_bounds_of(r, 1, 0)->present);
    ck_assert_ptr_nonnull(pq_reader_chunk(r, 1, 0)->pages);
    ck_assert(!t.summary.bounds[0].present);
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

START_TEST(uuids_have_bounds_only_as_sort_keys) {
    static const uint32_t sort[] = {0};
    for (uint32_t sorted = 0; sorted < 2; sorted++) {
        struct table t;
        uint8_t uuid[16] = {0};
        table_one(&t, (struct coltype){.type = LAM_TYPE_UUID}, false);
        for (uint8_t i = 0; i < 10; i++) {
            uuid[0] = i;
            ck_ok(column_append_bytes(&t.rows.columns[0], lam_slice_of(uuid, 16), &err), &err);
        }
        t.rows.rows = 10;
        table_save(&t, &(struct parquet_write_options){.sort = sort, .sort_count = sorted}, 10);
        struct parquet_reader *r = table_open(&t);
        ck_assert_int_eq(parquet_bounds_of(r, 0, 0)->present, sorted);
        ck_assert_int_eq(pq_reader_chunk(r, 0, 0)->page_bounds != NULL, sorted);
        parquet_reader_close(r);
        table_fini(&t);
    }
}
END_TEST

static bool probe_hash(struct table *t, uint64_t hash) {
    struct parquet_reader *r = table_open(t);
    struct buf file = table_bytes(t);
    uint32_t bytes;
    size_t size;
    const struct pq_chunk *m = pq_reader_chunk(r, 0, 0)->meta;
    struct lam_slice raw =
        lam_slice_of(file.data + m->bloom_offset, file.size - (size_t)m->bloom_offset);
    ck_assert(pq_bloom_header_decode(raw, &bytes, &size));
    ck_assert_int_eq(m->bloom_bytes, (int64_t)(bytes + size));
    bool may = pq_bloom_may_contain(raw.data + size, bytes, hash);
    buf_fini(&file);
    parquet_reader_close(r);
    return may;
}

START_TEST(bloom_filters_hash_plain_bytes) {
    struct table t;
    uint8_t plain[4];
    table_one(&t, (struct coltype){.type = LAM_TYPE_SMALLINT}, false);
    ck_ok(column_append_i64(&t.rows.columns[0], -2, &err), &err);
    t.rows.rows = 1;
    table_save(&t, NULL, 1);
    put_le32(plain, (uint32_t)-2);
    ck_assert(probe_hash(&t, hash_xxh64(plain, 4)));
    table_fini(&t);
    table_one(&t, (struct coltype){.type = LAM_TYPE_TEXT}, false);
    ck_ok(column_append_bytes(&t.rows.columns[0], lam_slice_str("key"), &err), &err);
    t.rows.rows = 1;
    table_save(&t, NULL, 1);
    ck_assert(probe_hash(&t, hash_xxh64("key", 3)));
    ck_assert(!probe_hash(&t, hash_xxh64("\3\0\0\0key", 7)));
    table_fini(&t);
}
END_TEST

START_TEST(types_of_disputed_hashes_have_no_bloom_filter) {
    struct table t;
    save_sample(&t, SAMPLE_WILD, 50, NULL);
    struct parquet_reader *r = table_open(&t);
    for (uint32_t f = 0; f < t.field_count; f++) {
        enum lam_type type = t.fields[f].type.type;
        bool disputed = type == LAM_TYPE_DOUBLE || type == LAM_TYPE_FLOAT ||
                        type == LAM_TYPE_DECIMAL || type == LAM_TYPE_BYTES ||
                        type == LAM_TYPE_UUID || type == LAM_TYPE_BOOLEAN || type == LAM_TYPE_JSON;
        ck_assert_int_eq(pq_reader_chunk(r, 0, f)->meta->bloom_offset == 0, disputed);
    }
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

/* A footer over 100 zero bytes, as another writer might have made it. */
static enum lam_code open_rewritten(const char *created_by, int64_t dictionary_offset) {
    struct pq_leaf leaf = {.name = "c", .physical = PQ_INT64, .field_id = 1, .converted = PQ_NONE};
    struct pq_chunk chunk = {.physical = PQ_INT64,
                             .values = 1,
                             .data_offset = 50,
                             .compressed_bytes = 10,
                             .dictionary_offset = dictionary_offset,
                             .raw_bytes = PQ_NONE,
                             .stats = {.null_count = PQ_NONE, .distinct = PQ_NONE}};
    struct pq_group group = {.chunks = &chunk, .rows = 1, .file_offset = 50};
    struct parquet_pair pair = {lam_slice_str(PQ_KEY_INDEX), lam_slice_str("10:0123456789abcdef")};
    struct pq_meta m = {.leaves = &leaf,
                        .leaf_count = 1,
                        .groups = &group,
                        .group_count = 1,
                        .rows = 1,
                        .pairs = &pair,
                        .pair_count = 1,
                        .created_by = lam_slice_str(created_by)};
    struct buf b = {0};
    struct parquet_reader *r;
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    ck_ok(buf_append_str(&b, "PAR1", &err), &err);
    ck_ok(buf_append_zeros(&b, 100, &err), &err);
    size_t start = b.size;
    ck_ok(pq_meta_encode(&m, &b, &err), &err);
    ck_ok(buf_append_le32(&b, (uint32_t)(b.size - start), &err), &err);
    ck_ok(buf_append_str(&b, "PAR1", &err), &err);
    put_bytes(env, "f", buf_slice(&b));
    enum lam_code rc = parquet_reader_open(env, "f", NULL, &r, &err);
    if (rc == LAM_OK) {
        ck_assert_uint_eq(pq_chunk_start(pq_reader_chunk(r, 0, 0)->meta), 50);
        parquet_reader_close(r);
    }
    buf_fini(&b);
    lam_env_mem_free(env);
    return rc;
}

/* Opens a footer of one chunk of doubles with bounds and says whether they are believed. */
static bool believes_float_bounds(const char *created_by) {
    uint8_t min[8] = {0}, max[8] = {0};
    struct pq_leaf leaf = {.name = "d", .physical = PQ_DOUBLE, .field_id = 1, .converted = PQ_NONE};
    struct pq_chunk chunk = {.physical = PQ_DOUBLE,
                             .values = 1,
                             .data_offset = 50,
                             .compressed_bytes = 10,
                             .raw_bytes = PQ_NONE,
                             .stats = {.has_bounds = true,
                                       .min = lam_slice_of(min, 8),
                                       .max = lam_slice_of(max, 8),
                                       .null_count = 0,
                                       .distinct = PQ_NONE}};
    struct pq_group group = {.chunks = &chunk, .rows = 1, .file_offset = 50};
    struct pq_meta m = {.leaves = &leaf,
                        .leaf_count = 1,
                        .groups = &group,
                        .group_count = 1,
                        .rows = 1,
                        .created_by = lam_slice_str(created_by)};
    struct buf b = {0};
    struct parquet_reader *r;
    lam_env *env;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    ck_ok(buf_append_str(&b, "PAR1", &err), &err);
    ck_ok(buf_append_zeros(&b, 100, &err), &err);
    size_t start = b.size;
    ck_ok(pq_meta_encode(&m, &b, &err), &err);
    ck_ok(buf_append_le32(&b, (uint32_t)(b.size - start), &err), &err);
    ck_ok(buf_append_str(&b, "PAR1", &err), &err);
    put_bytes(env, "f", buf_slice(&b));
    ck_ok(parquet_reader_open(env, "f", NULL, &r, &err), &err);
    bool present = parquet_bounds_of(r, 0, 0)->present;
    parquet_reader_close(r);
    buf_fini(&b);
    lam_env_mem_free(env);
    return present;
}

START_TEST(float_bounds_of_other_writers_may_leave_out_nans) {
    ck_assert(!believes_float_bounds("parquet-cpp-arrow version 26.0.1"));
    ck_assert(believes_float_bounds(PQ_CREATED_BY));
}
END_TEST

START_TEST(index_hash_that_another_writer_copied_is_ignored) {
    ck_assert_int_eq(open_rewritten("other version 1.0", 0), LAM_OK);
    ck_assert_int_eq(open_rewritten(PQ_CREATED_BY, 0), LAM_CORRUPT);
}
END_TEST

START_TEST(dictionary_at_no_offset_is_no_dictionary) {
    ck_assert_int_eq(open_rewritten("other version 1.0", 3), LAM_OK);
}
END_TEST

START_TEST(more_row_groups_than_an_ordinal_counts) {
    struct table t;
    table_one(&t, (struct coltype){.type = LAM_TYPE_INT}, false);
    for (int i = 0; i < 33000; i++)
        ck_ok(column_append_i64(&t.rows.columns[0], i, &err), &err);
    t.rows.rows = 33000;
    table_save(&t, &(struct parquet_write_options){.row_group_rows = 1}, 33000);
    struct parquet_reader *r = table_open(&t);
    struct column c = column_like(&t, 0);
    ck_assert_uint_eq(parquet_reader_group_count(r), 33000);
    ck_ok(parquet_reader_read(r, 32999, 0, 0, 1, &c, &err), &err);
    ck_assert_int_eq(column_i64(&c, 0), 32999);
    column_fini(&c);
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

START_TEST(deltas_are_used_for_keys_and_times_only) {
    struct table t;
    save_sample(&t, SAMPLE_SORTED, 1000, NULL);
    struct parquet_reader *r = table_open(&t);
    for (uint32_t f = 0; f < t.field_count; f++) {
        enum lam_type type = t.fields[f].type.type;
        bool delta = pq_reader_chunk(r, 0, f)->meta->encodings >> PQ_DELTA_BINARY_PACKED & 1;
        bool expected = type == LAM_TYPE_SMALLINT || type == LAM_TYPE_INT ||
                        type == LAM_TYPE_BIGINT || type == LAM_TYPE_TIMESTAMP ||
                        type == LAM_TYPE_DATE || type == LAM_TYPE_TIME;
        ck_assert_msg(delta == expected, "%s", t.fields[f].name);
    }
    parquet_reader_close(r);
    table_fini(&t);
}
END_TEST

TEST_MAIN("parquet/regress", one_entry_dictionary_has_bits_and_runs,
          nulls_of_many_batches_share_one_stream_of_levels, offsets_point_at_pages_of_their_kind,
          sizes_count_every_byte_and_pages_carry_crcs, group_totals_are_the_chunks_sums,
          created_by_parses, bounds_come_with_column_orders, null_pages_and_prefixes_are_indexed,
          page_with_a_nan_drops_the_column_index, uuids_have_bounds_only_as_sort_keys,
          bloom_filters_hash_plain_bytes, types_of_disputed_hashes_have_no_bloom_filter,
          float_bounds_of_other_writers_may_leave_out_nans,
          index_hash_that_another_writer_copied_is_ignored,
          dictionary_at_no_offset_is_no_dictionary, more_row_groups_than_an_ordinal_counts,
          deltas_are_used_for_keys_and_times_only)
