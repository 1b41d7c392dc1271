/* SPDX-License-Identifier: Apache-2.0
 *
 * Codecs of an SST's small parts: trailer, footer, properties and range tombstones. */
#include "lsm/sst_format.h"

#include "base/assert.h"
#include "base/hash.h"

/* Field offsets of the trailer and of the footer. */
enum {
    TRAILER_RAW_BYTES = 0,
    TRAILER_TYPE = 4,
    TRAILER_COMPRESSION = 5,
    TRAILER_ZERO = 6,
    TRAILER_CHECKSUM = 8,

    FOOTER_VERSION = 8,
    FOOTER_SIZE = 12,
    FOOTER_DB_ID = 16,
    FOOTER_NUMBER = 32,
    FOOTER_HANDLES = 40,
    FOOTER_DIGEST = 104,
    FOOTER_FILE_BYTES = 112,
    FOOTER_CHECKSUM = 120,
};

uint64_t sst_key_seed(const uint8_t *db_id) {
    return hash_mix(get_le64(db_id), get_le64(db_id + 8));
}

uint64_t sst_file_seed(const uint8_t *db_id, uint64_t number) {
    return hash_mix(sst_key_seed(db_id), number);
}

uint64_t sst_trailer_encode(uint64_t file_seed, uint64_t offset, struct lam_slice stored,
                            uint32_t raw_bytes, enum sst_block_type type,
                            enum sst_compression compression, uint8_t *out) {
    LAM_ASSERT(out == stored.data + stored.size);
    put_le32(out + TRAILER_RAW_BYTES, raw_bytes);
    out[TRAILER_TYPE] = (uint8_t)type;
    out[TRAILER_COMPRESSION] = (uint8_t)compression;
    put_le16(out + TRAILER_ZERO, 0);
    uint64_t checksum =
        hash_xxh3(stored.data, stored.size + TRAILER_CHECKSUM, hash_mix(file_seed, offset));
    put_le64(out + TRAILER_CHECKSUM, checksum);
    return checksum;
}

enum lam_code sst_block_check(uint64_t file_seed, uint64_t offset, struct lam_slice block,
                              enum sst_block_type type, struct sst_stored *out,
                              struct lam_error *err) {
    if (block.size < SST_TRAILER_BYTES)
        return ERR(err, LAM_CORRUPT, "a block of %zu bytes is too short", block.size);
    size_t size = block.size - SST_TRAILER_BYTES;
    const uint8_t *trailer = block.data + size;
    uint64_t checksum = get_le64(trailer + TRAILER_CHECKSUM);
    uint64_t found = hash_xxh3(block.data, size + TRAILER_CHECKSUM, hash_mix(file_seed, offset));
    if (found != checksum)
        return ERR(err, LAM_CORRUPT, "checksum of block is %016llx, expected %016llx",
                   (unsigned long long)found, (unsigned long long)checksum);
    out->bytes = lam_slice_of(block.data, size);
    out->raw_bytes = get_le32(trailer + TRAILER_RAW_BYTES);
    out->checksum = checksum;
    uint8_t compression = trailer[TRAILER_COMPRESSION];
    out->compression = (enum sst_compression)compression;
    if (trailer[TRAILER_TYPE] != type || get_le16(trailer + TRAILER_ZERO) != 0)
        return ERR(err, LAM_CORRUPT, "block is of type %u, expected %d", trailer[TRAILER_TYPE],
                   type);
    if (compression == SST_PLAIN && out->raw_bytes == size)
        return LAM_OK;
    /* LZ4 makes at most 255 bytes of one; only data blocks are compressed. */
    if ((compression == SST_LZ4 || compression == SST_LZ4_FOLDED) && type == SST_BLOCK_DATA &&
        out->raw_bytes <= SST_BLOCK_MAX && out->raw_bytes > size && out->raw_bytes / 256 <= size)
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "block of %zu bytes says it has %u bytes in compression %u", size,
               out->raw_bytes, compression);
}

void sst_footer_encode(struct sst_footer *footer, uint8_t *out) {
    const struct sst_handle handles[] = {footer->ranges, footer->filter, footer->index,
                                         footer->properties};
    memcpy(out, SST_MAGIC, 8);
    put_le32(out + FOOTER_VERSION, SST_VERSION);
    put_le32(out + FOOTER_SIZE, SST_FOOTER_BYTES);
    memcpy(out + FOOTER_DB_ID, footer->db_id, 16);
    put_le64(out + FOOTER_NUMBER, footer->number);
    for (size_t i = 0; i < 4; i++) {
        put_le64(out + FOOTER_HANDLES + 16 * i, handles[i].offset);
        put_le64(out + FOOTER_HANDLES + 16 * i + 8, handles[i].size);
    }
    put_le64(out + FOOTER_DIGEST, footer->digest);
    put_le64(out + FOOTER_FILE_BYTES, footer->file_bytes);
    footer->checksum =
        hash_xxh3(out, FOOTER_CHECKSUM, sst_file_seed(footer->db_id, footer->number));
    put_le64(out + FOOTER_CHECKSUM, footer->checksum);
}

/* The parts stand in order, touch each other and end at the footer. */
static bool handles_fill_file(const struct sst_footer *f, uint64_t file_bytes) {
    const struct sst_handle handles[] = {f->ranges, f->filter, f->index, f->properties};
    uint64_t at = f->ranges.offset;
    for (size_t i = 0; i < 4; i++) {
        if (handles[i].offset != at || handles[i].size < SST_TRAILER_BYTES ||
            __builtin_add_overflow(at, handles[i].size, &at))
            return false;
    }
    return at == file_bytes - SST_FOOTER_BYTES;
}

enum lam_code sst_footer_decode(const uint8_t *in, const uint8_t *db_id, uint64_t number,
                                uint64_t file_bytes, struct sst_footer *out,
                                struct lam_error *err) {
    struct sst_handle handles[4];
    if (memcmp(in, SST_MAGIC, 8) != 0)
        return ERR(err, LAM_CORRUPT, "no SST footer");
    memcpy(out->db_id, in + FOOTER_DB_ID, 16);
    out->number = get_le64(in + FOOTER_NUMBER);
    out->checksum = get_le64(in + FOOTER_CHECKSUM);
    if (hash_xxh3(in, FOOTER_CHECKSUM, sst_file_seed(out->db_id, out->number)) != out->checksum)
        return ERR(err, LAM_CORRUPT, "checksum of the footer does not match");
    if (get_le32(in + FOOTER_VERSION) != SST_VERSION)
        return ERR(err, LAM_UNSUPPORTED, "SST format version %u, expected %d",
                   get_le32(in + FOOTER_VERSION), SST_VERSION);
    if (out->number != number || memcmp(out->db_id, db_id, 16) != 0)
        return ERR(err, LAM_CORRUPT, "footer is of file %llu or of another database",
                   (unsigned long long)out->number);
    for (size_t i = 0; i < 4; i++) {
        handles[i].offset = get_le64(in + FOOTER_HANDLES + 16 * i);
        handles[i].size = get_le64(in + FOOTER_HANDLES + 16 * i + 8);
    }
    out->ranges = handles[0];
    out->filter = handles[1];
    out->index = handles[2];
    out->properties = handles[3];
    out->digest = get_le64(in + FOOTER_DIGEST);
    out->file_bytes = get_le64(in + FOOTER_FILE_BYTES);
    if (get_le32(in + FOOTER_SIZE) != SST_FOOTER_BYTES || out->file_bytes != file_bytes ||
        !handles_fill_file(out, file_bytes))
        return ERR(err, LAM_CORRUPT, "parts named by the footer do not fill the file");
    return LAM_OK;
}

enum {
    PROPERTY_OPEN = 1, /* a range tombstone has no end */
    PROPERTY_SOME = 2, /* there are bounds */
};

enum lam_code sst_properties_encode(const struct sst_properties *p, const struct sst_bounds *bounds,
                                    struct buf *out, struct lam_error *err) {
    const uint64_t numbers[] = {
        p->entries,      p->deletes,      p->range_tombstones,       p->raw_bytes,
        p->sequence_min, p->sequence_max, (uint64_t)(p->written_us),
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        TRY(buf_append_le64(out, numbers[i], err));
    uint8_t flags = (bounds->largest_open ? PROPERTY_OPEN : 0) | (bounds->some ? PROPERTY_SOME : 0);
    TRY(buf_append_u8(out, flags, err));
    TRY(buf_append_prefixed(out, bounds->smallest, err));
    return buf_append_prefixed(out, bounds->largest, err);
}

enum lam_code sst_properties_decode(struct lam_slice bytes, struct sst_properties *p,
                                    struct sst_bounds *bounds, struct lam_error *err) {
    struct cursor c = cursor_of(bytes);
    p->entries = cursor_le64(&c);
    p->deletes = cursor_le64(&c);
    p->range_tombstones = cursor_le64(&c);
    p->raw_bytes = cursor_le64(&c);
    p->sequence_min = cursor_le64(&c);
    p->sequence_max = cursor_le64(&c);
    p->written_us = (int64_t)cursor_le64(&c);
    uint8_t flags = cursor_u8(&c);
    bounds->some = flags & PROPERTY_SOME;
    bounds->largest_open = flags & PROPERTY_OPEN;
    bounds->smallest = cursor_prefixed(&c);
    bounds->largest = cursor_prefixed(&c);
    bool some = p->entries > 0 || p->range_tombstones > 0;
    if (c.failed || cursor_left(&c) != 0 || flags > (PROPERTY_OPEN | PROPERTY_SOME) ||
        p->deletes > p->entries || p->sequence_min > p->sequence_max ||
        p->sequence_max > LAM_SEQUENCE_MAX || bounds->some != some ||
        (bounds->largest_open && p->range_tombstones == 0) ||
        (!bounds->largest_open && slice_cmp(bounds->smallest, bounds->largest) > 0) ||
        bounds->smallest.size > LAM_KEY_MAX || bounds->largest.size > LAM_KEY_MAX)
        return ERR(err, LAM_CORRUPT, "properties are malformed at byte %zu", cursor_offset(&c));
    return LAM_OK;
}

int sst_range_cmp(const void *a, const void *b) {
    const struct range_tombstone *x = a;
    const struct range_tombstone *y = b;
    return entry_cmp(x->from, x->sequence, y->from, y->sequence);
}

enum lam_code sst_ranges_encode(const struct range_tombstone *ranges, size_t count, struct buf *out,
                                struct lam_error *err) {
    TRY(buf_append_varint(out, count, err));
    for (size_t i = 0; i < count; i++) {
        TRY(buf_append_prefixed(out, ranges[i].from, err));
        TRY(buf_append_prefixed(out, ranges[i].to, err));
        TRY(buf_append_varint(out, ranges[i].sequence, err));
        TRY(buf_append_varint(out, ranges[i].upto, err));
    }
    return LAM_OK;
}

static bool range_is_sound(const struct range_tombstone *t) {
    return t->from.size <= LAM_KEY_MAX && t->to.size <= LAM_KEY_MAX &&
           (t->to.size == 0 || slice_cmp(t->from, t->to) < 0) && t->sequence <= LAM_SEQUENCE_MAX &&
           t->upto <= LAM_SEQUENCE_MAX;
}

static enum lam_code decode_ranges(struct cursor *c, struct range_tombstone *ranges, size_t count,
                                   struct lam_error *err) {
    for (size_t i = 0; i < count; i++) {
        struct range_tombstone *t = &ranges[i];
        t->from = cursor_prefixed(c);
        t->to = cursor_prefixed(c);
        t->sequence = cursor_varint(c);
        t->upto = cursor_varint(c);
        if (c->failed || !range_is_sound(t) || (i > 0 && sst_range_cmp(t - 1, t) > 0))
            return ERR(err, LAM_CORRUPT, "range tombstone %zu is malformed", i);
    }
    if (cursor_left(c) != 0)
        return ERR(err, LAM_CORRUPT, "bytes follow the last range tombstone");
    return LAM_OK;
}

enum lam_code sst_ranges_decode(struct lam_slice bytes, struct range_tombstone **ranges_out,
                                size_t *count_out, struct lam_error *err) {
    struct cursor c = cursor_of(bytes);
    uint64_t count = cursor_varint(&c);
    *ranges_out = NULL;
    *count_out = 0;
    /* One takes at least four bytes. */
    if (c.failed || count > cursor_left(&c) / 4)
        return ERR(err, LAM_CORRUPT, "impossible number of range tombstones");
    OWNED(mem_free_at)
    struct range_tombstone *ranges = count ? mem_calloc((size_t)count, sizeof *ranges) : NULL;
    if (count > 0 && !ranges)
        return mem_fail(err, (size_t)count * sizeof *ranges);
    TRY(decode_ranges(&c, ranges, (size_t)count, err));
    *ranges_out = ranges;
    *count_out = (size_t)count;
    ranges = NULL;
    return LAM_OK;
}
