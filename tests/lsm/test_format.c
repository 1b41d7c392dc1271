/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders of small parts against bytes that no encoder of ours makes, though their checksums hold:
 * one lie at a time. */
#include "base/arena.h"
#include "base/hash.h"
#include "lsm/block_format.h"
#include "lsm/block_reader.h"
#include "lsm/log_format.h"
#include "lsm/manifest.h"
#include "lsm/sst_format.h"
#include "lsm/sst_index.h"
#include "lsm/superblock.h"
#include "tests/lsm/files.h"
#include "tests/lsm/tight.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct lam_slice key_of_bytes(size_t size) {
    static uint8_t long_key[LAM_KEY_MAX + 1];
    memset(long_key, 'k', sizeof long_key);
    return lam_slice_of(long_key, size);
}

/* --- blocks of an SST ------------------------------------------------------------------------ */

#define SEED   11u
#define OFFSET 4096u

/* `size` bytes of content with a trailer that says the rest. */
static enum lam_code check_block(size_t size, uint64_t raw_bytes, unsigned type,
                                 unsigned compression, unsigned zero, struct sst_stored *out) {
    static uint8_t block[2048 + SST_TRAILER_BYTES];
    ck_assert_uint_le(size, 2048);
    memset(block, 7, size);
    put_le32(block + size, (uint32_t)raw_bytes);
    block[size + 4] = (uint8_t)type;
    block[size + 5] = (uint8_t)compression;
    put_le16(block + size + 6, (uint16_t)zero);
    put_le64(block + size + 8, hash_xxh3(block, size + 8, hash_mix(SEED, OFFSET)));
    return sst_block_check(SEED, OFFSET, lam_slice_of(block, size + SST_TRAILER_BYTES),
                           SST_BLOCK_DATA, out, &err);
}

START_TEST(block_trailers_are_believed_only_as_far_as_they_can_be_true) {
    struct sst_stored s;
    ck_ok(check_block(10, 10, SST_BLOCK_DATA, SST_PLAIN, 0, &s), &err);
    ck_assert_uint_eq(s.bytes.size, 10);
    ck_assert_uint_eq(s.raw_bytes, 10);
    ck_ok(check_block(10, 11, SST_BLOCK_DATA, SST_LZ4, 0, &s), &err);
    ck_assert_int_eq(s.compression, SST_LZ4);
    ck_ok(check_block(10, 2560 + 255, SST_BLOCK_DATA, SST_LZ4, 0, &s), &err);
    ck_ok(check_block(10, 11, SST_BLOCK_DATA, SST_LZ4_FOLDED, 0, &s), &err);
    static const struct {
        size_t size;
        uint64_t raw_bytes;
        unsigned type, compression, zero;
    } bad[] = {
        {10, 9, SST_BLOCK_DATA, SST_PLAIN, 0},              /* plain, of another size */
        {10, 10, SST_BLOCK_INDEX, SST_PLAIN, 0},            /* another part */
        {10, 10, SST_BLOCK_DATA, SST_PLAIN, 1},             /* a byte that is always zero */
        {10, 10, SST_BLOCK_DATA, SST_LZ4, 0},               /* compressed to no gain */
        {10, 2816, SST_BLOCK_DATA, SST_LZ4, 0},             /* to less than LZ4 can */
        {10, 10, SST_BLOCK_DATA, SST_LZ4_FOLDED, 0},        /* the same */
        {10, 11, SST_BLOCK_DATA, SST_LZ4_FOLDED + 1, 0},    /* unknown compression */
        {10, SST_BLOCK_MAX + 1, SST_BLOCK_DATA, SST_LZ4, 0} /* of what no block can be */
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(check_block(bad[i].size, bad[i].raw_bytes, bad[i].type, bad[i].compression,
                                  bad[i].zero, &s) == LAM_CORRUPT,
                      "case %zu", i);
    uint8_t few[SST_TRAILER_BYTES - 1] = {0};
    ck_code(sst_block_check(SEED, OFFSET, lam_slice_of(few, sizeof few), SST_BLOCK_DATA, &s, &err),
            LAM_CORRUPT);
    /* Only data blocks are compressed. */
    uint8_t filter[26] = {0};
    put_le32(filter + 10, 20);
    filter[14] = SST_BLOCK_FILTER;
    filter[15] = SST_LZ4;
    put_le64(filter + 18, hash_xxh3(filter, 18, hash_mix(SEED, OFFSET)));
    ck_code(sst_block_check(SEED, OFFSET, lam_slice_of(filter, sizeof filter), SST_BLOCK_FILTER, &s,
                            &err),
            LAM_CORRUPT);
}
END_TEST

#define FILE_BYTES 1000u

static struct sst_footer good_footer(void) {
    struct sst_footer f = {
        .number = 31,
        .ranges = {700, 20},
        .filter = {720, 30},
        .index = {750, 50},
        .properties = {800, FILE_BYTES - SST_FOOTER_BYTES - 800},
        .digest = 5,
        .file_bytes = FILE_BYTES,
    };
    memcpy(f.db_id, db_id, 16);
    return f;
}

static enum lam_code decode_footer(struct sst_footer f) {
    uint8_t bytes[SST_FOOTER_BYTES];
    struct sst_footer out;
    sst_footer_encode(&f, bytes);
    return sst_footer_decode(bytes, db_id, 31, FILE_BYTES, &out, &err);
}

/* A good footer with one field of 4 bytes replaced and the checksum made right. */
static enum lam_code decode_footer_with(size_t at, uint32_t value) {
    uint8_t bytes[SST_FOOTER_BYTES];
    struct sst_footer f = good_footer(), out;
    sst_footer_encode(&f, bytes);
    put_le32(bytes + at, value);
    put_le64(bytes + 120, hash_xxh3(bytes, 120, sst_file_seed(db_id, 31)));
    return sst_footer_decode(bytes, db_id, 31, FILE_BYTES, &out, &err);
}

START_TEST(footers_name_parts_that_fill_the_file) {
    struct sst_footer f = good_footer();
    ck_ok(decode_footer(f), &err);
    f.number = 32;
    ck_code(decode_footer(f), LAM_CORRUPT);
    f = good_footer();
    memcpy(f.db_id, other_id, 16);
    ck_code(decode_footer(f), LAM_CORRUPT);
    f = good_footer();
    f.file_bytes++;
    ck_code(decode_footer(f), LAM_CORRUPT);
    f = good_footer();
    f.index.offset++; /* a gap */
    ck_code(decode_footer(f), LAM_CORRUPT);
    f = good_footer();
    f.filter.size = SST_TRAILER_BYTES - 1; /* no room for a trailer */
    f.index.offset = f.filter.offset + f.filter.size;
    ck_code(decode_footer(f), LAM_CORRUPT);
    f = good_footer();
    f.ranges.size = UINT64_MAX; /* past the end of all files */
    ck_code(decode_footer(f), LAM_CORRUPT);
    f = good_footer();
    f.properties.size--; /* a gap before the footer */
    ck_code(decode_footer(f), LAM_CORRUPT);
    ck_ok(decode_footer_with(8, SST_VERSION), &err);
    ck_code(decode_footer_with(8, SST_VERSION + 1), LAM_UNSUPPORTED);
    ck_code(decode_footer_with(12, SST_FOOTER_BYTES + 1), LAM_CORRUPT);
    ck_code(decode_footer_with(0, 0x12345678), LAM_CORRUPT);
}
END_TEST

struct properties {
    struct sst_properties p;
    struct sst_bounds bounds;
};

static struct properties good_properties(void) {
    return (struct properties){
        .p = {.entries = 5,
              .deletes = 2,
              .range_tombstones = 1,
              .raw_bytes = 50,
              .sequence_min = 3,
              .sequence_max = 9},
        .bounds = {true, false, lam_slice_str("a"), lam_slice_str("q")},
    };
}

static enum lam_code encode_properties(const void *arg, struct buf *out, struct lam_error *e) {
    const struct properties *x = arg;
    return sst_properties_encode(&x->p, &x->bounds, out, e);
}

static enum lam_code decode_properties(struct properties x) {
    struct buf bytes = {0};
    struct properties back;
    ck_ok(encode_properties(&x, &bytes, &err), &err);
    enum lam_code rc = sst_properties_decode(buf_slice(&bytes), &back.p, &back.bounds, &err);
    if (rc == LAM_OK) {
        ck_assert_int_eq(memcmp(&back.p, &x.p, sizeof x.p), 0);
        ck_assert(back.bounds.some == x.bounds.some);
        ck_assert(back.bounds.largest_open == x.bounds.largest_open);
        ck_assert(slice_eq(back.bounds.smallest, x.bounds.smallest));
        ck_assert(slice_eq(back.bounds.largest, x.bounds.largest));
    }
    buf_fini(&bytes);
    return rc;
}

START_TEST(properties_that_contradict_themselves_are_corrupt) {
    struct properties x = good_properties();
    ck_ok(decode_properties(x), &err);
    x.bounds.largest_open = true;
    ck_ok(decode_properties(x), &err);
    x.bounds.largest = SLICE_EMPTY; /* no bound: nothing to compare */
    ck_ok(decode_properties(x), &err);
    x.p.range_tombstones = 0; /* open, by which tombstone? */
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.p.deletes = 6;
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.p.sequence_min = 10;
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.p.sequence_max = LAM_SEQUENCE_MAX + 1;
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.bounds.some = false;
    ck_code(decode_properties(x), LAM_CORRUPT);
    x.p = (struct sst_properties){0}; /* of an empty file */
    x.bounds = (struct sst_bounds){0};
    ck_ok(decode_properties(x), &err);
    x.bounds.some = true;
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.p.entries = x.p.deletes = 0;
    ck_ok(decode_properties(x), &err);
    x = good_properties();
    x.bounds.smallest = lam_slice_str("r");
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.bounds.largest_open = true;
    x.bounds.smallest = key_of_bytes(LAM_KEY_MAX);
    ck_ok(decode_properties(x), &err);
    x.bounds.smallest = key_of_bytes(LAM_KEY_MAX + 1);
    ck_code(decode_properties(x), LAM_CORRUPT);
    x = good_properties();
    x.bounds.largest = key_of_bytes(LAM_KEY_MAX + 1);
    ck_code(decode_properties(x), LAM_CORRUPT);
}
END_TEST

START_TEST(properties_end_where_they_must) {
    struct properties x = good_properties(), back;
    struct buf bytes = {0};
    ck_ok(encode_properties(&x, &bytes, &err), &err);
    for (size_t size = 0; size < bytes.size; size++)
        ck_code(sst_properties_decode(lam_slice_of(bytes.data, size), &back.p, &back.bounds, &err),
                LAM_CORRUPT);
    bytes.data[56] |= 4; /* an unknown flag */
    ck_code(sst_properties_decode(buf_slice(&bytes), &back.p, &back.bounds, &err), LAM_CORRUPT);
    bytes.data[56] &= 3;
    ck_ok(buf_append_u8(&bytes, 0, &err), &err);
    ck_code(sst_properties_decode(buf_slice(&bytes), &back.p, &back.bounds, &err), LAM_CORRUPT);
    buf_fini(&bytes);
    tight_sweep(encode_properties, &x);
}
END_TEST

/* --- range tombstones ------------------------------------------------------------------------ */

struct ranges {
    struct range_tombstone items[3];
    size_t count;
};

static struct ranges good_ranges(void) {
    return (struct ranges){
        .items = {{lam_slice_str("a"), lam_slice_str("c"), 5, 9},
                  {lam_slice_str("a"), lam_slice_str("b"), 5, 8},
                  {lam_slice_str("b"), SLICE_EMPTY, LAM_SEQUENCE_MAX, LAM_SEQUENCE_MAX}},
        .count = 3,
    };
}

static enum lam_code encode_ranges(const void *arg, struct buf *out, struct lam_error *e) {
    const struct ranges *r = arg;
    return sst_ranges_encode(r->items, r->count, out, e);
}

static enum lam_code decode_ranges(struct ranges r) {
    struct buf bytes = {0};
    struct range_tombstone *list = NULL;
    size_t count = 0;
    ck_ok(encode_ranges(&r, &bytes, &err), &err);
    enum lam_code rc = sst_ranges_decode(buf_slice(&bytes), &list, &count, &err);
    if (rc == LAM_OK)
        ck_assert_uint_eq(count, r.count);
    mem_free(list);
    buf_fini(&bytes);
    return rc;
}

START_TEST(range_tombstones_that_no_builder_writes_are_corrupt) {
    struct ranges r = good_ranges();
    ck_ok(decode_ranges(r), &err);
    r.items[0].from = key_of_bytes(LAM_KEY_MAX + 1);
    r.count = 1;
    ck_code(decode_ranges(r), LAM_CORRUPT);
    r = good_ranges();
    r.items[0].to = key_of_bytes(LAM_KEY_MAX + 1);
    ck_code(decode_ranges(r), LAM_CORRUPT);
    r = good_ranges();
    r.items[1].to = lam_slice_str("a"); /* covers nothing */
    ck_code(decode_ranges(r), LAM_CORRUPT);
    r = good_ranges();
    r.items[2].sequence++;
    ck_code(decode_ranges(r), LAM_CORRUPT);
    r = good_ranges();
    r.items[2].upto++;
    ck_code(decode_ranges(r), LAM_CORRUPT);
    r = good_ranges();
    r.items[1].sequence = 10; /* newest first */
    ck_code(decode_ranges(r), LAM_CORRUPT);
    r.count = 0;
    ck_ok(decode_ranges(r), &err);
    r = good_ranges();
    tight_sweep(encode_ranges, &r);
}
END_TEST

START_TEST(range_tombstones_end_where_they_must) {
    struct ranges r = good_ranges();
    struct buf bytes = {0};
    struct range_tombstone *list = NULL;
    size_t count;
    ck_ok(encode_ranges(&r, &bytes, &err), &err);
    for (size_t size = 0; size < bytes.size; size++)
        ck_code(sst_ranges_decode(lam_slice_of(bytes.data, size), &list, &count, &err),
                LAM_CORRUPT);
    ck_ok(buf_append_u8(&bytes, 0, &err), &err);
    ck_code(sst_ranges_decode(buf_slice(&bytes), &list, &count, &err), LAM_CORRUPT);
    bytes.size--;
    oom_arm(1);
    enum lam_code rc = sst_ranges_decode(buf_slice(&bytes), &list, &count, &err);
    oom_arm(0);
    ck_code(rc, LAM_NO_MEMORY);
    buf_fini(&bytes);
}
END_TEST

/* --- the index of an SST --------------------------------------------------------------------- */

struct index_item {
    uint64_t size;
    uint64_t sequence; /* as stored: one more, or 0 for none */
    const char *key;   /* NULL: `long_key` bytes */
    size_t long_key;
};
struct index {
    const char *prefix;
    struct index_item items[3];
    uint64_t count;      /* as stored */
    size_t real_count;   /* items that follow */
    uint64_t data_bytes; /* that the reader expects */
};

#define BLOCK_MAX 1000u

static struct index good_index(void) {
    return (struct index){
        .prefix = "key",
        .items = {{100, 0, "", 0}, {200, 0, "b", 0}, {BLOCK_MAX, 6, "b", 0}},
        .count = 3,
        .real_count = 3,
        .data_bytes = 300 + BLOCK_MAX,
    };
}

static void encode_index(const struct index *x, struct buf *out) {
    ck_ok(buf_append_varint(out, x->count, &err), &err);
    ck_ok(buf_append_prefixed(out, lam_slice_str(x->prefix), &err), &err);
    for (size_t i = 0; i < x->real_count; i++) {
        const struct index_item *item = &x->items[i];
        ck_ok(buf_append_varint(out, item->size, &err), &err);
        ck_ok(buf_append_varint(out, item->sequence, &err), &err);
        struct lam_slice key = item->key ? lam_slice_str(item->key) : key_of_bytes(item->long_key);
        ck_ok(buf_append_prefixed(out, key, &err), &err);
    }
}

static enum lam_code decode_index(struct index x) {
    struct buf bytes = {0};
    struct sst_index out;
    encode_index(&x, &bytes);
    enum lam_code rc = sst_index_decode(buf_slice(&bytes), x.data_bytes, BLOCK_MAX, &out, &err);
    if (rc == LAM_OK)
        sst_index_fini(&out);
    buf_fini(&bytes);
    return rc;
}

START_TEST(index_entries_are_ordered_and_cover_the_data) {
    struct index x = good_index();
    ck_ok(decode_index(x), &err);
    x.items[0].size = 0;
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.items[2].size++;
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.items[2].sequence = LAM_SEQUENCE_MAX + 1;
    ck_ok(decode_index(x), &err);
    x.items[2].sequence++;
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.items[2] = (struct index_item){BLOCK_MAX, 6, NULL, LAM_KEY_MAX - 3};
    ck_ok(decode_index(x), &err);
    x.items[2].long_key++; /* with the prefix longer than any key */
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.items[0].sequence = 1; /* goes on from a block before the first */
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.items[1].key = "";
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.data_bytes++;
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.count = 2; /* bytes of a third follow */
    x.data_bytes = 300;
    ck_code(decode_index(x), LAM_CORRUPT);
    x = good_index();
    x.count = UINT32_MAX;
    ck_code(decode_index(x), LAM_CORRUPT);
    x.count = (uint64_t)UINT32_MAX + 1;
    ck_code(decode_index(x), LAM_CORRUPT);
    x = (struct index){.prefix = ""};
    ck_ok(decode_index(x), &err);
}
END_TEST

START_TEST(index_cut_short_or_without_memory_is_no_index) {
    struct index x = good_index();
    struct buf bytes = {0};
    struct sst_index out;
    encode_index(&x, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        ck_code(
            sst_index_decode(lam_slice_of(bytes.data, size), x.data_bytes, BLOCK_MAX, &out, &err),
            LAM_CORRUPT);
    for (size_t nth = 1;; nth++) {
        oom_arm_once(nth);
        enum lam_code rc = sst_index_decode(buf_slice(&bytes), x.data_bytes, BLOCK_MAX, &out, &err);
        if (!oom_fired()) {
            ck_ok(rc, &err);
            ck_assert_uint_eq(nth, 6); /* four arrays, and that of sequences */
            break;
        }
        ck_code(rc, LAM_NO_MEMORY);
    }
    sst_index_fini(&out);
    buf_fini(&bytes);
}
END_TEST

START_TEST(index_places_keys_that_lack_its_prefix) {
    struct index x = good_index();
    struct buf bytes = {0};
    struct sst_index out;
    encode_index(&x, &bytes);
    ck_ok(sst_index_decode(buf_slice(&bytes), x.data_bytes, BLOCK_MAX, &out, &err), &err);
    ck_assert_uint_eq(sst_index_find(&out, lam_slice_str("ke"), 1), 0);
    ck_assert_uint_eq(sst_index_find(&out, lam_slice_str("ka"), 1), 0);
    ck_assert_uint_eq(sst_index_find(&out, lam_slice_str("kz"), 1), 2);
    ck_assert_uint_eq(sst_index_find(&out, lam_slice_str("keyb"), 5), 2);
    ck_assert_uint_eq(sst_index_find(&out, lam_slice_str("keyb"), 6), 1);
    ck_assert_int_gt(sst_index_cmp(&out, 0, lam_slice_str("ke"), 1), 0);
    ck_assert_int_gt(sst_index_cmp(&out, 0, lam_slice_str("ka"), 1), 0);
    ck_assert_int_lt(sst_index_cmp(&out, 2, lam_slice_str("kz"), 1), 0);
    ck_assert_int_eq(sst_index_cmp(&out, 2, lam_slice_str("keyb"), 5), 0);
    ck_assert(sst_index_continues(&out, 2, lam_slice_str("keyb")));
    ck_assert(!sst_index_continues(&out, 2, lam_slice_str("keyc")));
    ck_assert(!sst_index_continues(&out, 2, lam_slice_str("kex")));
    ck_assert(!sst_index_continues(&out, 1, lam_slice_str("keyb")));
    sst_index_fini(&out);
    buf_fini(&bytes);
}
END_TEST

static enum lam_code finish_index(const void *arg, struct buf *out, struct lam_error *e) {
    return sst_index_builder_finish(arg, out, e);
}

START_TEST(index_is_written_whole_or_not_at_all) {
    struct sst_index_builder b = {0};
    static const char *const keys[] = {"key/a", "key/b", "key/long/c"};
    for (size_t i = 0; i < COUNT(keys); i++)
        ck_ok(sst_index_builder_add(&b, i ? lam_slice_str(keys[i - 1]) : SLICE_EMPTY,
                                    lam_slice_str(keys[i]), 5, 300 + i, &err),
              &err);
    tight_sweep(finish_index, &b);
    sst_index_builder_fini(&b);
    for (size_t nth = 1; nth <= 2; nth++) {
        oom_arm_once(nth);
        enum lam_code rc = sst_index_builder_add(&b, SLICE_EMPTY, lam_slice_str("k"), 5, 300, &err);
        ck_assert(oom_fired());
        ck_code(rc, LAM_NO_MEMORY);
        ck_assert_uint_eq(b.count, 0);
        sst_index_builder_fini(&b);
        memset(&b, 0, sizeof b);
    }
}
END_TEST

/* --- data blocks ----------------------------------------------------------------------------- */

/* A block of one entry. */
struct block {
    uint32_t count, flags;
    uint64_t base_sequence;
    const char *prefix;
    uint64_t suffix_bytes, packed; /* as stored */
    struct lam_slice rest;         /* suffix and value */
    uint32_t offset;               /* of the entry */
};

static struct block good_block(void) {
    return (struct block){
        .count = 1,
        .base_sequence = 4,
        .prefix = "p",
        .suffix_bytes = 3,
        .packed = 2,
        .rest = lam_slice_str("keyvalue"),
    };
}

static enum lam_code parse_block(struct block b, size_t cut) {
    struct buf bytes = {0}, entry = {0};
    struct block_view view;
    ck_ok(buf_append_varint(&entry, b.suffix_bytes, &err), &err);
    ck_ok(buf_append_varint(&entry, b.packed, &err), &err);
    ck_ok(buf_append_slice(&entry, b.rest, &err), &err);
    ck_ok(buf_append_le32(&bytes, b.count, &err), &err);
    ck_ok(buf_append_le32(&bytes, (uint32_t)strlen(b.prefix), &err), &err);
    ck_ok(buf_append_le64(&bytes, b.base_sequence, &err), &err);
    ck_ok(buf_append_le32(&bytes, (uint32_t)entry.size, &err), &err);
    ck_ok(buf_append_le32(&bytes, b.flags, &err), &err);
    ck_ok(buf_append_u8(&bytes, 9, &err), &err);
    if (b.flags & BLOCK_FLAG_WIDE)
        ck_ok(buf_append_le32(&bytes, b.offset, &err), &err);
    else
        ck_ok(buf_append_le16(&bytes, (uint16_t)b.offset, &err), &err);
    ck_ok(buf_append_str(&bytes, b.prefix, &err), &err);
    ck_ok(buf_append_slice(&bytes, buf_slice(&entry), &err), &err);
    enum lam_code rc = block_view_parse(lam_slice_of(bytes.data, bytes.size - cut), &view, &err);
    buf_fini(&entry);
    buf_fini(&bytes);
    return rc;
}

START_TEST(blocks_of_impossible_entries_are_corrupt) {
    struct block b = good_block();
    ck_ok(parse_block(b, 0), &err);
    ck_code(parse_block(b, 8), LAM_CORRUPT);
    b.count = 0;
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b = good_block();
    b.flags = 2;
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b.flags = BLOCK_FLAG_WIDE; /* for a few bytes */
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b = good_block();
    b.rest = key_of_bytes(LAM_KEY_MAX); /* narrow, for many */
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b.flags = BLOCK_FLAG_WIDE;
    ck_ok(parse_block(b, 0), &err);
    b.suffix_bytes = LAM_KEY_MAX - 1;
    ck_ok(parse_block(b, 0), &err);
    b.suffix_bytes++; /* longer than any key, with the prefix */
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b = good_block();
    b.offset = 1;
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b = good_block();
    b.suffix_bytes = 9; /* past the entry */
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b = good_block();
    b.suffix_bytes = 0;
    ck_ok(parse_block(b, 0), &err);
    b.prefix = ""; /* no key at all */
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b = good_block();
    b.packed = 3; /* a deletion with a value */
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b.suffix_bytes = 8;
    ck_ok(parse_block(b, 0), &err);
    b = good_block();
    b.base_sequence = LAM_SEQUENCE_MAX - 1;
    ck_ok(parse_block(b, 0), &err);
    b.packed = 4;
    ck_code(parse_block(b, 0), LAM_CORRUPT);
    b.base_sequence = LAM_SEQUENCE_MAX + 1;
    b.packed = 0;
    ck_code(parse_block(b, 0), LAM_CORRUPT);
}
END_TEST

/* --- logs ------------------------------------------------------------------------------------ */

static enum log_header_state decode_header_with(size_t at, uint64_t value, const uint8_t *id) {
    struct log_identity who = {LOG_MAGIC_WAL, db_id, 7};
    uint8_t header[LOG_HEADER_BYTES];
    uint64_t seed;
    log_header_encode(&who, 99, header);
    put_le32(header + at, (uint32_t)value);
    put_le64(header + 56, hash_xxh3(header, 56, 0));
    who.db_id = id;
    return log_header_decode(&who, header, &seed);
}

START_TEST(log_headers_are_of_this_file_or_bad) {
    ck_assert_int_eq(decode_header_with(8, LOG_VERSION, db_id), LOG_HEADER_GOOD);
    ck_assert_int_eq(decode_header_with(8, LOG_VERSION, NULL), LOG_HEADER_GOOD);
    ck_assert_int_eq(decode_header_with(8, LOG_VERSION, other_id), LOG_HEADER_BAD);
    ck_assert_int_eq(decode_header_with(8, LOG_VERSION + 1, db_id), LOG_HEADER_VERSION);
    ck_assert_int_eq(decode_header_with(0, 0x12345678, db_id), LOG_HEADER_BAD);
    ck_assert_int_eq(decode_header_with(12, LOG_HEADER_BYTES + 1, db_id), LOG_HEADER_BAD);
    ck_assert_int_eq(decode_header_with(32, 8, db_id), LOG_HEADER_BAD);
    ck_assert_int_eq(decode_header_with(48, 1, db_id), LOG_HEADER_BAD);
}
END_TEST

/* A record's header with fields that the encoder would not take. */
static bool decode_record(uint64_t sequence, uint32_t durable_end) {
    struct log_record r = {.offset = 64, .sequence = 1};
    uint8_t bytes[LOG_RECORD_BYTES];
    log_record_encode(&r, SEED, SLICE_EMPTY, bytes);
    put_le32(bytes + 20, durable_end);
    put_le64(bytes + 24, sequence);
    uint64_t check = hash_xxh3(bytes + 16, LOG_RECORD_BYTES - 16, hash_mix(SEED, r.offset));
    put_le32(bytes + 4, (uint32_t)check);
    return log_record_decode(&r, SEED, bytes);
}

START_TEST(log_records_claim_no_more_than_there_can_be) {
    ck_assert(decode_record(LAM_SEQUENCE_MAX, 64));
    ck_assert(!decode_record(LAM_SEQUENCE_MAX + 1, 64));
    ck_assert(!decode_record(1, 65)); /* of what comes after it */
}
END_TEST

/* --- manifest edits -------------------------------------------------------------------------- */

static const struct manifest_partition created[] = {{2, {(const uint8_t *)"p", 1}, {0}},
                                                    {3, {(const uint8_t *)"q", 1}, {0}}};
static const uint64_t dropped[] = {2, 300};
static const struct manifest_file added[] = {
    {.partition = 3, .level = 6, .number = 900, .size_bytes = 1u << 20, .smallest = {NULL, 0}}};
static const struct manifest_removed removed[] = {{3, 1, 700}};
static const struct manifest_wal wals[] = {{5, 600, 42}};
static const struct manifest_edit everything = {
    .has_next_number = true,
    .next_number = 1000,
    .has_last_sequence = true,
    .last_sequence = 10000,
    .has_wal_floor = true,
    .wal_floor = 5,
    .clean_close = true,
    .created = created,
    .created_count = 2,
    .dropped = dropped,
    .dropped_count = 2,
    .added = added,
    .added_count = 1,
    .removed = removed,
    .removed_count = 1,
    .wals = wals,
    .wals_count = 1,
};

static enum lam_code encode_edit(const void *arg, struct buf *out, struct lam_error *e) {
    return manifest_edit_encode(arg, out, e);
}

START_TEST(edits_are_written_whole_or_not_at_all) {
    tight_sweep(encode_edit, &everything);
}
END_TEST

START_TEST(edits_of_unknown_options_are_not_written) {
    struct manifest_partition p = created[0];
    struct manifest_edit e = {.created = &p, .created_count = 1};
    struct buf out = {0};
    p.options.compression = (enum lam_compression)(LAM_COMPRESSION_LZ4 + 1);
    ck_code(manifest_edit_encode(&e, &out, &err), LAM_INVALID);
    p = created[0];
    p.name = lam_slice_of("a\0b", 3);
    ck_code(manifest_edit_encode(&e, &out, &err), LAM_INVALID);
    p.name = key_of_bytes(LAM_PARTITION_NAME_MAX + 1);
    ck_code(manifest_edit_encode(&e, &out, &err), LAM_INVALID);
    buf_reset(&out);
    p.name.size--;
    ck_ok(manifest_edit_encode(&e, &out, &err), &err);
    buf_fini(&out);
}
END_TEST

START_TEST(edits_are_read_whole_or_not_at_all) {
    struct arena arena = {0};
    struct buf bytes = {0};
    struct manifest_edit back;
    ck_ok(manifest_edit_encode(&everything, &bytes, &err), &err);
    ck_ok(manifest_edit_decode(buf_slice(&bytes), &arena, &back, &err), &err);
    ck_assert_uint_eq(back.wals_count, 1);
    size_t failed = 0;
    for (size_t nth = 1;; nth++) {
        arena_fini(&arena);
        memset(&arena, 0, sizeof arena);
        oom_arm_once(nth);
        enum lam_code rc = manifest_edit_decode(buf_slice(&bytes), &arena, &back, &err);
        if (!oom_fired())
            break;
        ck_code(rc, LAM_NO_MEMORY);
        failed++;
    }
    ck_assert_uint_ge(failed, 1);
    /* A file that is open at 2, and a tag that does not end. */
    const uint8_t tag[] = {0x80};
    ck_code(manifest_edit_decode(lam_slice_of(tag, 1), &arena, &back, &err), LAM_CORRUPT);
    buf_reset(&bytes);
    struct manifest_edit one = {.added = added, .added_count = 1};
    ck_ok(manifest_edit_encode(&one, &bytes, &err), &err);
    size_t open_at = bytes.size - 8; /* seven properties of one byte each follow */
    ck_assert_uint_eq(bytes.data[open_at], 0);
    bytes.data[open_at] = 1;
    ck_ok(manifest_edit_decode(buf_slice(&bytes), &arena, &back, &err), &err);
    ck_assert(back.added[0].largest_open);
    bytes.data[open_at] = 2;
    ck_code(manifest_edit_decode(buf_slice(&bytes), &arena, &back, &err), LAM_CORRUPT);
    buf_fini(&bytes);
    arena_fini(&arena);
}
END_TEST

/* --- superblock ------------------------------------------------------------------------------ */

struct slot {
    uint32_t version;
    const uint8_t *id;
    uint64_t generation, number, bytes, checksum;
    uint8_t stray; /* in a byte that is always zero */
};

static struct slot good_slot(uint64_t generation) {
    return (struct slot){SUPERBLOCK_VERSION, db_id, generation, 4, 0, 0, 0};
}

static void put_slot(const struct slot *s, uint8_t *out) {
    memset(out, 0, SUPERBLOCK_SLOT_BYTES);
    memcpy(out, "LAMROOT\n", 8);
    put_le32(out + 8, s->version);
    memcpy(out + 16, s->id, 16);
    put_le64(out + 32, s->generation);
    put_le64(out + 48, s->bytes);
    put_le64(out + 56, s->checksum);
    put_le64(out + 64, s->number);
    out[SUPERBLOCK_SLOT_BYTES - 1] = s->stray;
    uint64_t before = hash_xxh3(out, 40, 0);
    put_le64(out + 40, hash_xxh3(out + 48, SUPERBLOCK_SLOT_BYTES - 48, before));
}

static enum lam_code read_slots(struct slot zero, struct slot one, struct superblock *out) {
    static uint8_t bytes[SUPERBLOCK_BYTES];
    put_slot(&zero, bytes);
    put_slot(&one, bytes + SUPERBLOCK_SLOT_BYTES);
    set_file(DIR "/ROOT", bytes, sizeof bytes);
    return superblock_read(env, DIR, out, &err);
}

START_TEST(slots_of_a_superblock_belong_together) {
    struct superblock sb;
    env_start();
    struct slot zero = good_slot(8), one = good_slot(9);
    ck_ok(read_slots(zero, one, &sb), &err);
    ck_assert_uint_eq(sb.generation, 9);
    ck_ok(read_slots(good_slot(10), one, &sb), &err);
    ck_assert_uint_eq(sb.generation, 10);
    ck_code(read_slots(good_slot(12), one, &sb), LAM_CORRUPT);
    zero.id = other_id;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    zero = good_slot(8);
    zero.version++;
    ck_code(read_slots(zero, one, &sb), LAM_UNSUPPORTED);
    zero = good_slot(8);
    one.version++;
    ck_code(read_slots(zero, one, &sb), LAM_UNSUPPORTED);
    /* A slot with a stray byte, or in the other's place, counts as damaged: the other one stands.
     */
    one = good_slot(9);
    one.stray = 1;
    ck_ok(read_slots(zero, one, &sb), &err);
    ck_assert_uint_eq(sb.generation, 8);
    ck_ok(read_slots(zero, good_slot(10), &sb), &err);
    ck_assert_uint_eq(sb.generation, 8);
    zero.stray = 1;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    env_end();
}
END_TEST

START_TEST(slots_of_a_sealed_superblock_say_the_same) {
    struct superblock sb;
    env_start();
    struct slot zero = good_slot(8), one = good_slot(9);
    one.bytes = zero.bytes = 500;
    one.checksum = zero.checksum = 77;
    ck_ok(read_slots(zero, one, &sb), &err);
    ck_assert(superblock_is_sealed(&sb));
    zero.checksum++;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    ck_contains(err.message, "offset 0");
    zero.checksum--;
    zero.bytes++;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    zero.bytes--;
    zero.number++;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    zero.number--;
    zero.generation = 10;
    one.checksum++;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    ck_contains(err.message, "offset 4096");
    /* Sealed in the newer slot only, as a crash between the two writes leaves it. */
    one = good_slot(9);
    ck_ok(read_slots(zero, one, &sb), &err);
    ck_assert(superblock_is_sealed(&sb));
    one.number++;
    ck_code(read_slots(zero, one, &sb), LAM_CORRUPT);
    env_end();
}
END_TEST

TEST_MAIN("lsm/format", block_trailers_are_believed_only_as_far_as_they_can_be_true,
          footers_name_parts_that_fill_the_file, properties_that_contradict_themselves_are_corrupt,
          properties_end_where_they_must, range_tombstones_that_no_builder_writes_are_corrupt,
          range_tombstones_end_where_they_must, index_entries_are_ordered_and_cover_the_data,
          index_cut_short_or_without_memory_is_no_index, index_places_keys_that_lack_its_prefix,
          index_is_written_whole_or_not_at_all, blocks_of_impossible_entries_are_corrupt,
          log_headers_are_of_this_file_or_bad, log_records_claim_no_more_than_there_can_be,
          edits_are_written_whole_or_not_at_all, edits_of_unknown_options_are_not_written,
          edits_are_read_whole_or_not_at_all, slots_of_a_superblock_belong_together,
          slots_of_a_sealed_superblock_say_the_same)
