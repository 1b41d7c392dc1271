/* SPDX-License-Identifier: Apache-2.0
 *
 * parquet_reader_verify: every byte of a known file counts; what checksums can't tell, since they
 * were made to fit, is told by the values. */
#include "base/hash.h"
#include "flush/parquet/meta.h"
#include "flush/parquet/reader.h"
#include "tests/parquet/table.h"

static const struct parquet_field three[] = {
    {.name = "id", .type = {.type = LAM_TYPE_BIGINT}, .field_id = 1, .is_bloom = true},
    {.name = "name",
     .type = {.type = LAM_TYPE_TEXT},
     .nullable = true,
     .field_id = 2,
     .is_bloom = true},
    {.name = "d", .type = {.type = LAM_TYPE_DOUBLE}, .nullable = true, .field_id = 3},
};
#define FIRST UINT64_C(0x1122334455667788) /* id of the first row */

static struct table t;
static struct parquet_identity identity;
static struct buf file; /* as written, then changed */

/* Two row groups of several pages. */
static void start(void) {
    struct parquet_write_options options = {.lz4 = true, .row_group_rows = 12, .page_rows = 4};
    table_init(&t, three, 3);
    for (uint32_t i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "name %u", i / 4);
        ck_ok(column_append_i64(&t.rows.columns[0], (int64_t)(FIRST + i), &err), &err);
        ck_ok(i % 5 == 0 ? column_append_null(&t.rows.columns[1], &err)
                         : column_append_bytes(&t.rows.columns[1], lam_slice_str(text), &err),
              &err);
        ck_ok(column_append_f64(&t.rows.columns[2], i * 0.5, &err), &err);
    }
    t.rows.rows = 20;
    table_save(&t, &options, 20);
    identity = (struct parquet_identity){t.summary.bytes, t.summary.rows, t.summary.footer_hash};
    file = table_bytes(&t);
}

static void finish(void) {
    buf_fini(&file);
    table_fini(&t);
}

static enum lam_code verify(bool is_known) {
    struct parquet_reader *r;
    struct parquet_summary actual;
    put_bytes(t.env, table_path, buf_slice(&file));
    memset(&err, 0, sizeof err);
    TRY(parquet_reader_open(t.env, table_path, is_known ? &identity : NULL, &r, &err));
    enum lam_code rc = parquet_reader_verify(r, &actual, &err);
    parquet_summary_fini(&actual);
    parquet_reader_close(r);
    return rc;
}

START_TEST(every_bit_of_a_known_file_counts) {
    start();
    ck_ok(verify(true), &err);
    for (size_t i = 0; i < file.size; i++) {
        file.data[i] ^= (uint8_t)(1u << i % 8);
        ck_assert_msg(verify(true) == LAM_CORRUPT, "byte %zu of %zu", i, file.size);
        ck_contains(err.message, table_path);
        file.data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t size = file.size - 1; size > 0; size -= size > 16 ? 16 : 1) {
        struct buf whole = file;
        file.size = size;
        ck_code(verify(true), LAM_CORRUPT);
        file = whole;
    }
    finish();
}
END_TEST

START_TEST(the_actual_bounds_are_whole_and_exact) {
    struct parquet_reader *r;
    struct parquet_summary actual;
    start();
    r = table_open(&t);
    ck_ok(parquet_reader_verify(r, &actual, &err), &err);
    ck_assert_uint_eq(actual.field_count, 3);
    ck_assert_uint_eq((uint64_t)actual.bounds[0].min.i64, FIRST);
    ck_assert_uint_eq((uint64_t)actual.bounds[0].max.i64, FIRST + 19);
    ck_assert(slice_eq_str(actual.bounds[1].min.bytes, "name 0"));
    ck_assert(slice_eq_str(actual.bounds[1].max.bytes, "name 4"));
    ck_assert_uint_eq(actual.bounds[1].null_count, 4);
    ck_assert(actual.bounds[2].present && actual.bounds[2].max.f64 == 9.5);
    ck_assert_uint_eq(actual.footer_hash, identity.footer_hash);
    parquet_summary_fini(&actual);
    parquet_reader_close(r);
    finish();
}
END_TEST

/* --- files whose checksums were made to fit --------------------------------------------------- */

static void replace_hex(uint64_t from, uint64_t to) {
    char a[20], b[20];
    snprintf(a, sizeof a, "%016llx", (unsigned long long)from);
    snprintf(b, sizeof b, "%016llx", (unsigned long long)to);
    uint8_t *at = memmem(file.data, file.size, a, 16);
    ck_assert_ptr_nonnull(at);
    memcpy(at, b, 16);
}

/* Of the page indexes, after a change to them. */
static void mend_index(const struct parquet_reader *r, uint64_t before) {
    size_t size = (size_t)(r->footer_offset - r->index_offset);
    replace_hex(before, hash_xxh3(file.data + r->index_offset, size, 0));
}
static uint64_t index_hash(const struct parquet_reader *r) {
    return hash_xxh3(file.data + r->index_offset, (size_t)(r->footer_offset - r->index_offset), 0);
}

/* Changes the lowest byte of each place with the first id in [from, to), one at a time. */
static unsigned change_bounds(const struct parquet_reader *r, uint64_t from, uint64_t to,
                              bool is_index, const char *problem) {
    uint8_t bytes[8];
    unsigned found = 0;
    put_le64(bytes, FIRST);
    for (uint64_t at = from; at + 8 <= to; at++) {
        if (memcmp(file.data + at, bytes, 8) != 0)
            continue;
        uint64_t before = index_hash(r);
        file.data[at]++;
        uint64_t after = index_hash(r);
        if (is_index)
            replace_hex(before, after);
        ck_code(verify(false), LAM_CORRUPT);
        ck_contains(err.message, problem);
        file.data[at]--;
        if (is_index)
            replace_hex(after, before);
        found++;
    }
    return found;
}

START_TEST(bounds_that_are_not_of_the_values_are_told) {
    start();
    struct parquet_reader *r = table_open(&t);
    ck_assert_uint_gt(change_bounds(r, r->footer_offset, file.size, false,
                                    "statistics that are not of the values of Parquet column "
                                    "\"id\""),
                      0);
    ck_assert_uint_gt(change_bounds(r, r->index_offset, r->footer_offset, true,
                                    "a page index that is not of the values of Parquet column "
                                    "\"id\""),
                      0);
    ck_ok(verify(false), &err);
    parquet_reader_close(r);
    finish();
}
END_TEST

START_TEST(a_filter_that_lacks_a_value_is_told) {
    start();
    struct parquet_reader *r = table_open(&t);
    for (uint32_t f = 0; f < 2; f++) {
        const struct pq_chunk *c = pq_reader_chunk(r, 1, f)->meta;
        uint8_t *filter = file.data + c->bloom_offset;
        ck_assert_int_gt(c->bloom_bytes, 32);
        filter[c->bloom_bytes - 1] ^= 0xff;
        filter[c->bloom_bytes - 5] ^= 0xff;
        replace_hex(c->bloom_hash, hash_xxh3(filter, (size_t)c->bloom_bytes, 0));
    }
    ck_code(verify(false), LAM_CORRUPT);
    ck_contains(err.message, "a value that the bloom filter lacks of Parquet column \"id\"");
    parquet_reader_close(r);
    finish();
}
END_TEST

START_TEST(a_wrong_crc_is_told_though_the_hash_is_right) {
    start();
    struct parquet_reader *r = table_open(&t);
    const struct pq_reader_chunk *c = pq_reader_chunk(r, 0, 2);
    const struct pq_page_ref *p = &c->pages[c->page_count - 1];
    uint64_t before = index_hash(r);
    bool told = false;
    size_t place = (size_t)(c->page_hashes - pq_reader_chunk(r, 0, 0)->page_hashes) +
                   8 * (c->page_count - 1 + (c->meta->dictionary_offset != 0));
    for (uint32_t i = 0; i < 24; i++) {
        struct buf kept = {0};
        ck_ok(buf_append_slice(&kept, buf_slice(&file), &err), &err);
        file.data[p->offset + i] ^= 2;
        put_le64(file.data + r->index_offset + place,
                 pq_page_hash(lam_slice_of(file.data + p->offset, p->bytes), p->offset));
        mend_index(r, before);
        told |= verify(false) == LAM_CORRUPT && strstr(err.message, "wrong CRC of a page");
        buf_fini(&file);
        file = kept;
    }
    ck_assert(told);
    parquet_reader_close(r);
    finish();
}
END_TEST

TEST_MAIN("parquet/verify", every_bit_of_a_known_file_counts, the_actual_bounds_are_whole_and_exact,
          bounds_that_are_not_of_the_values_are_told, a_filter_that_lacks_a_value_is_told,
          a_wrong_crc_is_told_though_the_hash_is_right)
