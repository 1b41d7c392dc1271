/* SPDX-License-Identifier: Apache-2.0
 *
 * Segment entries: a version byte, then varints and length-prefixed bytes in the order of the
 * struct. Dead rows: version, form, then bits or the gaps between numbers as varints. */
#include "flush/segment.h"

#include "base/assert.h"
#include "base/coder.h"

#define ENTRY_VERSION 1
#define DEAD_VERSION  1
#define DEAD_BITS     0
#define DEAD_GAPS     1
/* A file of ours has far fewer; what claims more is damaged. */
#define SEGMENT_ROWS_MAX (1ull << 32)

enum column_flag {
    COLUMN_BOUNDS = 1,
    COLUMN_MIN_EXACT = 2,
    COLUMN_MAX_EXACT = 4,
    COLUMN_NULL_COUNT = 8,
    COLUMN_FLAGS = 15,
};

static bool type_is_known(struct coltype t) {
    if (t.type < LAM_TYPE_BOOLEAN || t.type > LAM_TYPE_JSON)
        return false;
    if (t.type == LAM_TYPE_DECIMAL)
        return t.precision >= 1 && t.precision <= DECIMAL_PRECISION_MAX && t.scale <= t.precision;
    return t.precision == 0 && t.scale == 0;
}

static void code_column(struct coder *k, struct segment_column *c) {
    uint8_t type = (uint8_t)c->type.type;
    uint8_t flags = (uint8_t)((c->has_bounds ? COLUMN_BOUNDS : 0) |
                              (c->has_bounds && c->min_exact ? COLUMN_MIN_EXACT : 0) |
                              (c->has_bounds && c->max_exact ? COLUMN_MAX_EXACT : 0) |
                              (c->has_null_count ? COLUMN_NULL_COUNT : 0));
    code_varint32(k, &c->column_id);
    code_u8(k, &type);
    code_u8(k, &c->type.precision);
    code_u8(k, &c->type.scale);
    code_u8(k, &flags);
    k->in.failed |= flags & ~COLUMN_FLAGS;
    c->type.type = (enum lam_type)type;
    c->has_bounds = flags & COLUMN_BOUNDS;
    c->min_exact = flags & COLUMN_MIN_EXACT;
    c->max_exact = flags & COLUMN_MAX_EXACT;
    c->has_null_count = flags & COLUMN_NULL_COUNT;
    if (c->has_null_count)
        code_varint(k, &c->null_count);
    if (c->has_bounds) {
        code_prefixed(k, &c->min);
        code_prefixed(k, &c->max);
    }
}

/* All but the columns. */
static void code_head(struct coder *k, struct segment *s) {
    code_varint(k, &s->number);
    code_prefixed(k, &s->path);
    code_prefixed(k, &s->storage);
    code_prefixed(k, &s->user);
    code_varint(k, &s->rows);
    code_varint(k, &s->deleted_rows);
    code_varint(k, &s->bytes);
    code_le64(k, &s->footer_hash);
    code_varint32(k, &s->schema_version);
    code_zigzag(k, &s->min_seq);
    code_zigzag(k, &s->max_seq);
    code_zigzag(k, &s->created_us);
    code_prefixed(k, &s->first_key);
    code_prefixed(k, &s->last_key);
    code_varint32(k, &s->column_count);
}

enum lam_code segment_encode(const struct segment *s, struct buf *out, struct lam_error *err) {
    LAM_ASSERT(s->rows > 0 && s->rows <= SEGMENT_ROWS_MAX && s->deleted_rows <= s->rows);
    LAM_ASSERT(slice_cmp(s->first_key, s->last_key) <= 0);
    struct coder k = coder_to(out, err);
    struct segment head = *s;
    uint8_t version = ENTRY_VERSION;
    code_u8(&k, &version);
    code_head(&k, &head);
    for (uint32_t i = 0; i < s->column_count; i++) {
        struct segment_column column = s->columns[i];
        code_column(&k, &column);
    }
    return k.code;
}

static bool head_is_sound(const struct segment *s) {
    return s->rows > 0 && s->rows <= SEGMENT_ROWS_MAX && s->deleted_rows <= s->rows &&
           s->min_seq <= s->max_seq && s->path.size > 0 && !memchr(s->path.data, 0, s->path.size) &&
           s->path.data[0] != '/' && slice_cmp(s->first_key, s->last_key) <= 0;
}

enum lam_code segment_decode(struct lam_slice bytes, const char *where, struct arena *arena,
                             struct segment *out, struct lam_error *err) {
    struct coder k = coder_from(bytes);
    memset(out, 0, sizeof *out);
    uint8_t version = cursor_u8(&k.in);
    if (version != ENTRY_VERSION)
        return ERR(err, LAM_CORRUPT, "%s: segment entry of version %u, expected %u", where, version,
                   ENTRY_VERSION);
    code_head(&k, out);
    /* Each column takes at least five bytes: a claim beyond that is not worth memory. */
    if (k.in.failed || !head_is_sound(out) || out->column_count > cursor_left(&k.in) / 5)
        return ERR(err, LAM_CORRUPT, "%s: malformed segment entry of %zu bytes", where, bytes.size);
    out->columns = arena_calloc(arena, out->column_count + 1u, sizeof *out->columns);
    if (!out->columns)
        return mem_fail(err, (out->column_count + 1u) * sizeof *out->columns);
    for (uint32_t i = 0; i < out->column_count; i++) {
        struct segment_column *c = &out->columns[i];
        code_column(&k, c);
        if (k.in.failed || !type_is_known(c->type) || slice_cmp(c->min, c->max) > 0)
            return ERR(err, LAM_CORRUPT, "%s: malformed column %u in segment entry at byte %zu",
                       where, i, cursor_offset(&k.in));
    }
    if (cursor_left(&k.in) != 0)
        return ERR(err, LAM_CORRUPT, "%s: %zu bytes after a segment entry", where,
                   cursor_left(&k.in));
    return LAM_OK;
}

/* --- dead rows --- */

static size_t bitmap_bytes(uint64_t rows) {
    return (size_t)((rows + 7) / 8);
}

static enum lam_code append_gaps(const uint8_t *bits, uint64_t rows, struct buf *out,
                                 struct lam_error *err) {
    uint64_t next = 0;
    for (uint64_t i = 0; i < rows; i++) {
        if (!bitmap_get(bits, (size_t)i))
            continue;
        TRY(buf_append_varint(out, i - next, err));
        next = i + 1;
    }
    return LAM_OK;
}

enum lam_code dead_rows_encode(const uint8_t *bits, uint64_t rows, struct buf *out,
                               struct lam_error *err) {
    LAM_ASSERT(rows > 0 && rows <= SEGMENT_ROWS_MAX);
    uint64_t count = bitmap_count(bits, (size_t)rows);
    /* A gap takes two bytes at the usual densities below one in 16. */
    uint8_t form = count < rows / 16 ? DEAD_GAPS : DEAD_BITS;
    TRY(buf_append_u8(out, DEAD_VERSION, err));
    TRY(buf_append_u8(out, form, err));
    TRY(buf_append_varint(out, rows, err));
    TRY(buf_append_varint(out, count, err));
    if (form == DEAD_GAPS)
        return append_gaps(bits, rows, out, err);
    return buf_append(out, bits, bitmap_bytes(rows), err);
}

static bool read_gaps(struct cursor *c, uint64_t rows, uint64_t count, uint8_t *bits) {
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t gap = cursor_varint(c);
        if (c->failed || gap >= rows - at)
            return false;
        at += gap;
        bitmap_set(bits, (size_t)at);
        at++;
        if (at == rows && i + 1 < count)
            return false;
    }
    return true;
}

static bool read_bits(struct cursor *c, uint64_t rows, uint64_t count, uint8_t *bits) {
    size_t size = bitmap_bytes(rows);
    struct lam_slice raw = cursor_bytes(c, size);
    if (c->failed)
        return false;
    memcpy(bits, raw.data, size);
    bool clean = rows % 8 == 0 || (bits[size - 1] >> (rows % 8)) == 0;
    return clean && bitmap_count(bits, (size_t)rows) == count;
}

enum lam_code dead_rows_decode(struct lam_slice bytes, uint64_t rows, const char *where,
                               struct arena *arena, uint8_t **bits_out, uint64_t *count_out,
                               struct lam_error *err) {
    LAM_ASSERT(rows > 0 && rows <= SEGMENT_ROWS_MAX);
    struct cursor c = cursor_of(bytes);
    uint8_t version = cursor_u8(&c), form = cursor_u8(&c);
    uint64_t stored = cursor_varint(&c), count = cursor_varint(&c);
    if (c.failed || version != DEAD_VERSION || form > DEAD_GAPS || stored != rows || count > rows)
        return ERR(err, LAM_CORRUPT, "%s: malformed head of dead rows (%zu bytes, %llu rows)",
                   where, bytes.size, (unsigned long long)rows);
    uint8_t *bits = arena_alloc(arena, bitmap_bytes(rows));
    if (!bits)
        return mem_fail(err, bitmap_bytes(rows));
    bool good =
        form == DEAD_GAPS ? read_gaps(&c, rows, count, bits) : read_bits(&c, rows, count, bits);
    if (!good || cursor_left(&c) != 0)
        return ERR(err, LAM_CORRUPT, "%s: malformed dead rows at byte %zu of %zu", where,
                   cursor_offset(&c), bytes.size);
    *bits_out = bits;
    *count_out = count;
    return LAM_OK;
}

/* --- keys --- */

enum lam_code segment_key_prefix(struct lam_slice user, char kind, struct buf *out,
                                 struct lam_error *err) {
    if (user.size)
        TRY(key_put_string(out, user, err));
    return buf_append_u8(out, (uint8_t)kind, err);
}

enum lam_code segment_key(struct lam_slice user, char kind, uint64_t number, struct buf *out,
                          struct lam_error *err) {
    TRY(segment_key_prefix(user, kind, out, err));
    return key_put_u64(out, number, err);
}

enum lam_code segment_key_decode(struct lam_slice key, bool has_user, const char *where,
                                 struct arena *arena, struct lam_slice *user_out, char *kind_out,
                                 uint64_t *number_out, struct lam_error *err) {
    struct cursor c = cursor_of(key);
    *user_out = SLICE_EMPTY;
    *number_out = 0;
    *kind_out = 0;
    if (key.size && key.data[0] == 0)
        return LAM_OK;
    if (has_user)
        TRY(key_get_string(&c, arena, user_out, err));
    *kind_out = (char)cursor_u8(&c);
    if (c.failed || (*kind_out != SEGMENT_KIND_ENTRY && *kind_out != SEGMENT_KIND_DEAD))
        return ERR(err, LAM_CORRUPT, "%s: malformed key of %zu bytes", where, key.size);
    TRY(key_get_u64(&c, number_out, err));
    if (cursor_left(&c) != 0)
        return ERR(err, LAM_CORRUPT, "%s: %zu bytes after a key", where, cursor_left(&c));
    return LAM_OK;
}
