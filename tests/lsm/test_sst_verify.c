/* SPDX-License-Identifier: Apache-2.0
 *
 * SSTs of which every checksum holds and which lie all the same: taken apart, changed in one place
 * and put together again. Opening or verifying must say what is wrong. */
#include "base/codec.h"
#include "base/hash.h"
#include "lsm/block_builder.h"
#include "lsm/block_format.h"
#include "lsm/sst_reader.h"
#include "tests/lsm/files.h"
#include "tests/support/env_fault.h"
#include "tests/support/oom.h"

#define SST    DIR "/000031.sst"
#define NUMBER 31u
#define BLOCKS 2

/* --- a file in parts ------------------------------------------------------------------------- */

struct parts {
    struct buf data[BLOCKS]; /* as stored */
    uint32_t raw_bytes;      /* of the first block, if it is compressed; else 0 */
    enum sst_compression compression;
    struct buf ranges, filter, index;
    struct sst_properties properties;
    struct sst_bounds bounds; /* borrow constant text */
    uint64_t digest_error;    /* added to the digest */
};

static const struct range_tombstone tombstone = {
    {(const uint8_t *)"b", 1}, {(const uint8_t *)"c", 1}, 3, 7};

static void add_block(struct parts *p, size_t i, const struct entry *entries, size_t n) {
    struct block_builder b = {0};
    uint64_t seed = sst_key_seed(db_id);
    for (size_t j = 0; j < n; j++) {
        uint64_t hash = hash_xxh3(entries[j].key.data, entries[j].key.size, seed);
        ck_ok(block_builder_add(&b, &entries[j], block_tag(hash), false, &err), &err);
        p->properties.entries++;
        p->properties.deletes += entries[j].kind == ENTRY_DELETE;
        p->properties.raw_bytes += entries[j].key.size + entries[j].value.size;
    }
    ck_ok(block_builder_finish(&b, &p->data[i], &err), &err);
    block_builder_fini(&b);
}

static void put_index(struct parts *p, const char *first, const char *second) {
    buf_reset(&p->index);
    ck_ok(buf_append_varint(&p->index, BLOCKS, &err), &err);
    ck_ok(buf_append_prefixed(&p->index, SLICE_EMPTY, &err), &err);
    for (size_t i = 0; i < BLOCKS; i++) {
        ck_ok(buf_append_varint(&p->index, p->data[i].size + SST_TRAILER_BYTES, &err), &err);
        ck_ok(buf_append_varint(&p->index, 0, &err), &err);
        ck_ok(buf_append_prefixed(&p->index, lam_slice_str(i ? second : first), &err), &err);
    }
}

/* A filter that passes everything. */
static void put_filter(struct parts *p, uint32_t lines, uint32_t probes, uint8_t bits) {
    buf_reset(&p->filter);
    ck_ok(buf_append_le32(&p->filter, lines, &err), &err);
    ck_ok(buf_append_le32(&p->filter, probes, &err), &err);
    for (size_t i = 0; i < 64u * (lines ? 1 : 0); i++)
        ck_ok(buf_append_u8(&p->filter, bits, &err), &err);
}

static const struct entry first_entries[] = {
    {{(const uint8_t *)"a", 1}, 4, ENTRY_PUT, {(const uint8_t *)"one", 3}},
    {{(const uint8_t *)"b", 1}, 5, ENTRY_PUT, {(const uint8_t *)"two", 3}}};
static const struct entry second_entries[] = {
    {{(const uint8_t *)"d", 1}, 6, ENTRY_PUT, {(const uint8_t *)"four", 4}},
    {{(const uint8_t *)"f", 1}, 2, ENTRY_DELETE, {NULL, 0}}};

static struct parts good_parts(void) {
    struct parts p = {0};
    add_block(&p, 0, first_entries, 2);
    add_block(&p, 1, second_entries, 2);
    ck_ok(sst_ranges_encode(&tombstone, 1, &p.ranges, &err), &err);
    put_filter(&p, 1, 5, 0xff);
    put_index(&p, "a", "c");
    p.properties.range_tombstones = 1;
    p.properties.sequence_min = 2;
    p.properties.sequence_max = 7;
    p.bounds = (struct sst_bounds){true, false, lam_slice_str("a"), lam_slice_str("f")};
    return p;
}

static void parts_fini(struct parts *p) {
    for (size_t i = 0; i < BLOCKS; i++)
        buf_fini(&p->data[i]);
    buf_fini(&p->ranges);
    buf_fini(&p->filter);
    buf_fini(&p->index);
}

static struct sst_handle put_stored(struct buf *file, struct lam_slice content,
                                    enum sst_block_type type, uint32_t raw_bytes,
                                    enum sst_compression compression, uint64_t *digest) {
    struct sst_handle handle = {file->size, content.size + SST_TRAILER_BYTES};
    ck_ok(buf_append_slice(file, content, &err), &err);
    ck_ok(buf_reserve(file, SST_TRAILER_BYTES, &err), &err);
    uint64_t checksum = sst_trailer_encode(sst_file_seed(db_id, NUMBER), handle.offset,
                                           lam_slice_of(file->data + handle.offset, content.size),
                                           raw_bytes, type, compression, file->data + file->size);
    file->size += SST_TRAILER_BYTES;
    *digest = hash_mix(*digest, checksum);
    return handle;
}

static struct sst_handle put_block(struct buf *file, struct lam_slice content,
                                   enum sst_block_type type, uint64_t *digest) {
    return put_stored(file, content, type, (uint32_t)content.size, SST_PLAIN, digest);
}

/* Writes the file and opens it; `checksum` says which one it is. */
static enum lam_code forge(const struct parts *p, struct sst **out) {
    struct buf file = {0}, properties = {0};
    struct sst_footer f = {.number = NUMBER};
    uint64_t digest = sst_file_seed(db_id, NUMBER);
    for (size_t i = 0; i < BLOCKS; i++)
        if (i == 0 && p->raw_bytes > 0)
            put_stored(&file, buf_slice(&p->data[0]), SST_BLOCK_DATA, p->raw_bytes, p->compression,
                       &digest);
        else if (p->data[i].size > 0)
            put_block(&file, buf_slice(&p->data[i]), SST_BLOCK_DATA, &digest);
    f.ranges = put_block(&file, buf_slice(&p->ranges), SST_BLOCK_RANGES, &digest);
    f.filter = put_block(&file, buf_slice(&p->filter), SST_BLOCK_FILTER, &digest);
    f.index = put_block(&file, buf_slice(&p->index), SST_BLOCK_INDEX, &digest);
    ck_ok(sst_properties_encode(&p->properties, &p->bounds, &properties, &err), &err);
    f.properties = put_block(&file, buf_slice(&properties), SST_BLOCK_PROPERTIES, &digest);
    f.digest = digest + p->digest_error;
    f.file_bytes = file.size + SST_FOOTER_BYTES;
    memcpy(f.db_id, db_id, 16);
    uint8_t footer[SST_FOOTER_BYTES];
    sst_footer_encode(&f, footer);
    ck_ok(buf_append(&file, footer, sizeof footer, &err), &err);
    set_file(SST, file.data, file.size);
    enum lam_code rc = sst_open(env, SST, db_id, NUMBER, file.size, f.checksum, NULL, out, &err);
    buf_fini(&properties);
    buf_fini(&file);
    return rc;
}

/* The file opens, and verifying it finds what `says` tells. */
static void expect_verdict(struct parts *p, const char *says) {
    struct sst *s;
    ck_ok(forge(p, &s), &err);
    memset(&err, 0, sizeof err);
    enum lam_code rc = sst_verify(s, SST, &err);
    if (says) {
        ck_code(rc, LAM_CORRUPT);
        ck_contains(err.message, says);
        ck_contains(err.message, SST);
        ck_contains(err.message, "offset");
    } else {
        ck_ok(rc, &err);
    }
    sst_unref(s);
    parts_fini(p);
}

/* The file does not even open. */
static void expect_refusal(struct parts *p, const char *says) {
    struct sst *s;
    ck_code(forge(p, &s), LAM_CORRUPT);
    ck_contains(err.message, says);
    ck_contains(err.message, SST);
    parts_fini(p);
}

/* --- what verifying finds -------------------------------------------------------------------- */

START_TEST(file_put_together_rightly_is_whole) {
    env_start();
    struct parts p = good_parts();
    expect_verdict(&p, NULL);
    env_end();
}
END_TEST

START_TEST(entries_out_of_order_are_found) {
    env_start();
    struct parts p = good_parts();
    struct entry twice[] = {first_entries[0], first_entries[1]};
    buf_reset(&p.data[1]);
    p.properties.entries -= 2;
    p.properties.deletes--;
    add_block(&p, 1, twice, 2); /* the first block's keys again */
    put_index(&p, "a", "c");
    expect_verdict(&p, "not in order");
    env_end();
}
END_TEST

/* Builders compress one way; what they wrote the other way is read as well. */
START_TEST(blocks_compressed_folded_or_not_are_read) {
    env_start();
    uint8_t value[300] = {0};
    struct entry three[] = {first_entries[0],
                            {lam_slice_str("aa"), 4, ENTRY_PUT, lam_slice_of(value, 300)},
                            first_entries[1]};
    const struct {
        enum sst_compression compression;
        bool folded;
        const char *says;
    } cases[] = {{SST_LZ4, false, NULL},
                 {SST_LZ4_FOLDED, true, NULL},
                 {SST_LZ4, true, "bad block header"},
                 {SST_LZ4_FOLDED, false, "bad block header"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parts p = good_parts();
        struct buf raw;
        p.properties.entries -= 2;
        p.properties.raw_bytes -= 8;
        buf_reset(&p.data[0]);
        add_block(&p, 0, three, 3);
        raw = p.data[0];
        p.data[0] = (struct buf){0};
        if (cases[i].folded)
            block_fold(raw.data, raw.size);
        p.raw_bytes = (uint32_t)raw.size;
        p.compression = cases[i].compression;
        ck_ok(codec_lz4_compress(buf_slice(&raw), &p.data[0], &err), &err);
        put_index(&p, "a", "c");
        expect_verdict(&p, cases[i].says);
        buf_fini(&raw);
    }
    env_end();
}
END_TEST

START_TEST(separators_that_do_not_separate_are_found) {
    env_start();
    struct parts p = good_parts();
    put_index(&p, "aa", "c");
    expect_verdict(&p, "separator is after the block's first entry");
    p = good_parts();
    put_index(&p, "a", "b");
    expect_verdict(&p, "separator is not after the entry before");
    p = good_parts();
    put_index(&p, "a", "d");
    expect_verdict(&p, NULL);
    env_end();
}
END_TEST

START_TEST(wrong_tags_and_filters_that_deny_are_found) {
    env_start();
    struct parts p = good_parts();
    p.data[1].data[BLOCK_HEADER_BYTES + 1] ^= 1;
    expect_verdict(&p, "tag is wrong");
    p = good_parts();
    put_filter(&p, 1, 5, 0);
    expect_verdict(&p, "filter denies");
    env_end();
}
END_TEST

START_TEST(keys_and_tombstones_outside_of_the_bounds_are_found) {
    env_start();
    struct parts p = good_parts();
    p.bounds.smallest = lam_slice_str("aa");
    expect_verdict(&p, "a key is outside");
    p = good_parts();
    p.bounds.largest = lam_slice_str("e");
    expect_verdict(&p, "a key is outside");
    /* With an open bound only the smallest key counts. */
    p = good_parts();
    p.bounds.largest_open = true;
    p.bounds.largest = SLICE_EMPTY;
    expect_verdict(&p, NULL);
    static const struct range_tombstone before = {
        {(const uint8_t *)"A", 1}, {(const uint8_t *)"c", 1}, 3, 7};
    static const struct range_tombstone after = {
        {(const uint8_t *)"b", 1}, {(const uint8_t *)"g", 1}, 3, 7};
    static const struct range_tombstone open = {{(const uint8_t *)"b", 1}, {NULL, 0}, 3, 7};
    const struct range_tombstone *const outside[] = {&before, &after, &open};
    for (size_t i = 0; i < 3; i++) {
        p = good_parts();
        buf_reset(&p.ranges);
        ck_ok(sst_ranges_encode(outside[i], 1, &p.ranges, &err), &err);
        expect_verdict(&p, "a range tombstone is outside");
    }
    env_end();
}
END_TEST

START_TEST(properties_that_count_wrongly_are_found) {
    env_start();
    for (int which = 0; which < 6; which++) {
        struct parts p = good_parts();
        struct sst_properties *x = &p.properties;
        x->entries += which == 0;
        x->deletes += which == 1;
        x->raw_bytes += which == 2;
        x->sequence_min -= which == 3;
        x->sequence_max += which == 4;
        p.digest_error = which == 5;
        expect_verdict(&p, which < 5 ? "properties do not match the content"
                                     : "digest does not match the blocks");
    }
    env_end();
}
END_TEST

START_TEST(blocks_that_do_not_parse_are_found) {
    env_start();
    struct parts p = good_parts();
    put_le32(p.data[1].data + BLOCK_COUNT, 0);
    expect_verdict(&p, "bad block header");
    env_end();
}
END_TEST

/* --- what opening finds ---------------------------------------------------------------------- */

START_TEST(parts_that_contradict_each_other_do_not_open) {
    env_start();
    struct parts p = good_parts();
    p.properties.range_tombstones = 2;
    expect_refusal(&p, "properties contradict");
    /* Entries, but no blocks. */
    p = good_parts();
    buf_reset(&p.data[0]);
    buf_reset(&p.data[1]);
    buf_reset(&p.index);
    ck_ok(buf_append_zeros(&p.index, 2, &err), &err);
    put_filter(&p, 0, 5, 0);
    expect_refusal(&p, "properties contradict");
    /* No entries, but a filter for some. */
    p = good_parts();
    buf_reset(&p.data[0]);
    buf_reset(&p.data[1]);
    buf_reset(&p.index);
    ck_ok(buf_append_zeros(&p.index, 2, &err), &err);
    p.properties.entries = p.properties.deletes = 0;
    expect_refusal(&p, "properties contradict");
    /* Range tombstones only: nothing to index, nothing to filter. */
    p = good_parts();
    buf_reset(&p.data[0]);
    buf_reset(&p.data[1]);
    buf_reset(&p.index);
    ck_ok(buf_append_zeros(&p.index, 2, &err), &err);
    put_filter(&p, 0, 5, 0);
    p.properties =
        (struct sst_properties){.range_tombstones = 1, .sequence_min = 7, .sequence_max = 7};
    expect_verdict(&p, NULL);
    env_end();
}
END_TEST

START_TEST(malformed_parts_do_not_open) {
    env_start();
    struct parts p = good_parts();
    put_filter(&p, 1, 0, 0xff);
    expect_refusal(&p, "filter is malformed");
    p = good_parts();
    put_filter(&p, 1, 17, 0xff);
    expect_refusal(&p, "filter is malformed");
    p = good_parts();
    put_filter(&p, 2, 5, 0xff);
    expect_refusal(&p, "filter is malformed");
    p = good_parts();
    p.filter.size = 7;
    expect_refusal(&p, "filter is malformed");
    p = good_parts();
    p.ranges.size--;
    expect_refusal(&p, "range tombstone");
    p = good_parts();
    p.index.size--;
    expect_refusal(&p, "index entry");
    p = good_parts();
    p.properties.sequence_min = 8;
    expect_refusal(&p, "properties are malformed");
    env_end();
}
END_TEST

/* --- failures on the way --------------------------------------------------------------------- */

/* Opens and verifies the good file. */
static enum lam_code open_and_verify(uint64_t size, uint64_t checksum) {
    struct sst *s;
    enum lam_code rc = sst_open(env, SST, db_id, NUMBER, size, checksum, NULL, &s, &err);
    if (rc != LAM_OK)
        return rc;
    rc = sst_verify(s, SST, &err);
    sst_unref(s);
    return rc;
}

START_TEST(reads_and_memory_that_fail_are_not_called_corrupt) {
    env_start();
    lam_env *mem = env;
    env = env_fault_new(mem);
    struct parts p = good_parts();
    struct sst *s;
    ck_ok(forge(&p, &s), &err);
    uint64_t size = s->footer.file_bytes, checksum = s->footer.checksum;
    sst_unref(s);
    for (uint64_t nth = 1;; nth++) {
        env_fault_arm(env, FAULT_READ | FAULT_OPEN, nth, LAM_IO, false);
        enum lam_code rc = open_and_verify(size, checksum);
        if (env_fault_fired(env) == 0) {
            ck_ok(rc, &err);
            ck_assert_uint_ge(nth, 12); /* footer, 4 parts twice, 2 blocks, size and open */
            break;
        }
        ck_code(rc, LAM_IO);
    }
    env_fault_arm(env, FAULT_READ, 0, LAM_OK, false);
    for (size_t nth = 1;; nth++) {
        oom_arm_once(nth);
        enum lam_code rc = open_and_verify(size, checksum);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
    }
    parts_fini(&p);
    env_fault_free(env);
    env = mem;
    env_end();
}
END_TEST

/* Between opening and verifying the disk may change under a file: what is in memory is not what is
 * on disk. */
START_TEST(parts_damaged_after_opening_are_found) {
    env_start();
    struct parts p = good_parts();
    struct sst *s;
    ck_ok(forge(&p, &s), &err);
    struct buf bytes = file_bytes(SST, 1u << 16);
    const struct sst_handle handles[] = {s->footer.ranges, s->footer.filter, s->footer.index,
                                         s->footer.properties};
    for (size_t i = 0; i < 4; i++) {
        bytes.data[handles[i].offset] ^= 1;
        lam_file *f;
        ck_ok(env_file_open(env, SST, LAM_OPEN_WRITE, &f, &err), &err);
        ck_ok(env_file_write(f, 0, bytes.data, bytes.size, &err), &err);
        ck_ok(env_file_close(f, &err), &err);
        ck_code(sst_verify(s, SST, &err), LAM_CORRUPT);
        ck_contains(err.message, "checksum");
        bytes.data[handles[i].offset] ^= 1;
    }
    sst_unref(s);
    buf_fini(&bytes);
    parts_fini(&p);
    env_end();
}
END_TEST

TEST_MAIN("lsm/sst_verify", file_put_together_rightly_is_whole, entries_out_of_order_are_found,
          blocks_compressed_folded_or_not_are_read, separators_that_do_not_separate_are_found,
          wrong_tags_and_filters_that_deny_are_found,
          keys_and_tombstones_outside_of_the_bounds_are_found,
          properties_that_count_wrongly_are_found, blocks_that_do_not_parse_are_found,
          parts_that_contradict_each_other_do_not_open, malformed_parts_do_not_open,
          reads_and_memory_that_fail_are_not_called_corrupt, parts_damaged_after_opening_are_found)
