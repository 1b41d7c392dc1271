/* SPDX-License-Identifier: Apache-2.0
 *
 * Text functions. Positions and lengths count characters. Case mapping knows ASCII, Latin-1, Greek
 * and Cyrillic letters. */
#include "base/assert.h"
#include "base/utf8.h"
#include "sql/func.h"
#include "sql/like.h"

#define FUNC(name)                                                                                 \
    static enum lam_code name(struct call *c, const struct value *args, struct value *out,         \
                              struct lam_error *err)
#define UNUSED_CALL ((void)c, (void)args, (void)err)

enum lam_code func_out_of_range(struct lam_error *err) {
    return ERR_SQL(err, "22003", 0, "value out of range");
}

enum lam_code func_too_long(struct lam_error *err) {
    return ERR_SQL(err, "54000", 0, "a function's text would pass %u bytes", FUNC_TEXT_MAX);
}

static enum lam_code append(struct call *c, struct lam_slice s, struct lam_error *err) {
    if (s.size > FUNC_TEXT_MAX - c->scratch->size)
        return func_too_long(err);
    return buf_append_slice(c->scratch, s, err);
}

static void take_scratch(struct call *c, struct value *out) {
    out->as.bytes = buf_slice(c->scratch);
}

static struct lam_slice part(struct lam_slice s, size_t from, size_t to) {
    LAM_ASSERT(from <= to && to <= s.size);
    return lam_slice_of(s.data + from, to - from);
}

FUNC(text_length) {
    UNUSED_CALL;
    out->as.i64 = (int64_t)utf8_length(args[0].as.bytes);
    return LAM_OK;
}

FUNC(byte_length) {
    UNUSED_CALL;
    out->as.i64 = (int64_t)args[0].as.bytes.size;
    return LAM_OK;
}

FUNC(lower) {
    TRY(text_lower(args[0].as.bytes, c->scratch, err));
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(upper) {
    TRY(text_upper(args[0].as.bytes, c->scratch, err));
    take_scratch(c, out);
    return LAM_OK;
}

/* --- trim --- */

static bool has_char(struct lam_slice set, uint32_t ch) {
    for (size_t i = 0; i < set.size;)
        if (utf8_next(set, &i) == ch)
            return true;
    return false;
}

static void trim(const struct value *args, uint32_t count, bool left, bool right,
                 struct value *out) {
    struct lam_slice s = args[0].as.bytes;
    struct lam_slice set = count > 1 ? args[1].as.bytes : lam_slice_str(" ");
    size_t from = 0, to = s.size;
    while (left && from < to) {
        size_t next = from;
        if (!has_char(set, utf8_next(s, &next)))
            break;
        from = next;
    }
    while (right && to > from) {
        size_t start = to - 1, next;
        while (start > from && (s.data[start] & 0xC0) == 0x80)
            start--;
        next = start;
        if (!has_char(set, utf8_next(s, &next)))
            break;
        to = start;
    }
    out->as.bytes = part(s, from, to);
}

FUNC(btrim) {
    (void)err;
    trim(args, c->arg_count, true, true, out);
    return LAM_OK;
}

FUNC(ltrim) {
    (void)err;
    trim(args, c->arg_count, true, false, out);
    return LAM_OK;
}

FUNC(rtrim) {
    (void)err;
    trim(args, c->arg_count, false, true, out);
    return LAM_OK;
}

/* --- parts --- */

/* Characters from `start` (1-based, may lie before the text) up to `end` (exclusive). */
static struct lam_slice substring(struct lam_slice s, int64_t start, int64_t end) {
    if (start < 1)
        start = 1;
    if (end <= start)
        return lam_slice_of(s.data, 0);
    size_t from = (uint64_t)start - 1 > s.size ? s.size : utf8_offset(s, (size_t)start - 1);
    struct lam_slice rest = part(s, from, s.size);
    uint64_t chars = (uint64_t)(end - start);
    return chars > rest.size ? rest : part(rest, 0, utf8_offset(rest, (size_t)chars));
}

FUNC(substr_text) {
    int64_t start = args[1].as.i64, end = INT64_MAX;
    if (c->arg_count > 2) {
        if (args[2].as.i64 < 0)
            return ERR_SQL(err, "22011", 0, "negative substring length not allowed");
        if (__builtin_add_overflow(start, args[2].as.i64, &end))
            end = INT64_MAX;
    }
    out->as.bytes = substring(args[0].as.bytes, start, end);
    return LAM_OK;
}

FUNC(substr_bytes) {
    struct lam_slice s = args[0].as.bytes;
    int64_t start = args[1].as.i64, end = INT64_MAX;
    if (c->arg_count > 2) {
        if (args[2].as.i64 < 0)
            return ERR_SQL(err, "22011", 0, "negative substring length not allowed");
        if (__builtin_add_overflow(start, args[2].as.i64, &end))
            end = INT64_MAX;
    }
    uint64_t from = start < 1 ? 0 : (uint64_t)start - 1, to = end < 1 ? 0 : (uint64_t)end - 1;
    from = from > s.size ? s.size : from;
    to = to > s.size ? s.size : to < from ? from : to;
    out->as.bytes = part(s, (size_t)from, (size_t)to);
    return LAM_OK;
}

FUNC(left_text) {
    UNUSED_CALL;
    struct lam_slice s = args[0].as.bytes;
    int64_t n = args[1].as.i64;
    if (n < 0)
        n += (int64_t)utf8_length(s);
    out->as.bytes = n <= 0 ? part(s, 0, 0) : substring(s, 1, n < INT64_MAX ? n + 1 : n);
    return LAM_OK;
}

FUNC(right_text) {
    UNUSED_CALL;
    struct lam_slice s = args[0].as.bytes;
    int64_t length = (int64_t)utf8_length(s), n = args[1].as.i64;
    int64_t skip = n < 0 ? (n < -length ? length : -n) : n > length ? 0 : length - n;
    out->as.bytes = part(s, utf8_offset(s, (size_t)skip), s.size);
    return LAM_OK;
}

FUNC(split_part) {
    UNUSED_CALL;
    struct lam_slice s = args[0].as.bytes, mark = args[1].as.bytes;
    int64_t n = args[2].as.i64, fields = 1;
    if (n == 0)
        return ERR_SQL(err, "22023", 0, "field position must not be zero");
    size_t from = 0;
    out->as.bytes = part(s, 0, 0);
    if (mark.size == 0) {
        if (n == 1 || n == -1)
            out->as.bytes = s;
        return LAM_OK;
    }
    if (n < 0) {
        for (size_t i = 0; i + mark.size <= s.size;) {
            const uint8_t *hit = memmem(s.data + i, s.size - i, mark.data, mark.size);
            if (!hit)
                break;
            fields++;
            i = (size_t)(hit - s.data) + mark.size;
        }
        n = n < -fields ? 0 : n + fields + 1;
        if (n == 0)
            return LAM_OK;
    }
    for (int64_t field = 1;; field++) {
        const uint8_t *hit = from + mark.size > s.size
                                 ? NULL
                                 : memmem(s.data + from, s.size - from, mark.data, mark.size);
        size_t to = hit ? (size_t)(hit - s.data) : s.size;
        if (field == n) {
            out->as.bytes = part(s, from, to);
            return LAM_OK;
        }
        if (!hit)
            return LAM_OK;
        from = to + mark.size;
    }
}

/* --- search --- */

static int64_t position_of(struct lam_slice s, struct lam_slice wanted) {
    if (wanted.size == 0)
        return 1;
    const uint8_t *hit =
        s.size < wanted.size ? NULL : memmem(s.data, s.size, wanted.data, wanted.size);
    return hit ? (int64_t)utf8_length(part(s, 0, (size_t)(hit - s.data))) + 1 : 0;
}

FUNC(strpos) {
    UNUSED_CALL;
    out->as.i64 = position_of(args[0].as.bytes, args[1].as.bytes);
    return LAM_OK;
}

FUNC(position) {
    UNUSED_CALL;
    out->as.i64 = position_of(args[1].as.bytes, args[0].as.bytes);
    return LAM_OK;
}

FUNC(starts_with) {
    UNUSED_CALL;
    out->as.boolean = slice_starts_with(args[0].as.bytes, args[1].as.bytes);
    return LAM_OK;
}

FUNC(ends_with) {
    UNUSED_CALL;
    struct lam_slice s = args[0].as.bytes, end = args[1].as.bytes;
    out->as.boolean = s.size >= end.size && slice_eq(part(s, s.size - end.size, s.size), end);
    return LAM_OK;
}

FUNC(contains) {
    UNUSED_CALL;
    out->as.boolean = position_of(args[0].as.bytes, args[1].as.bytes) > 0;
    return LAM_OK;
}

/* --- making text --- */

FUNC(replace) {
    struct lam_slice s = args[0].as.bytes, from = args[1].as.bytes, to = args[2].as.bytes;
    size_t at = 0;
    while (from.size && at + from.size <= s.size) {
        const uint8_t *hit = memmem(s.data + at, s.size - at, from.data, from.size);
        if (!hit)
            break;
        TRY(append(c, part(s, at, (size_t)(hit - s.data)), err));
        TRY(append(c, to, err));
        at = (size_t)(hit - s.data) + from.size;
    }
    if (at == 0) {
        out->as.bytes = s;
        return LAM_OK;
    }
    TRY(append(c, part(s, at, s.size), err));
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(reverse) {
    struct lam_slice s = args[0].as.bytes;
    size_t end = s.size;
    while (end > 0) {
        size_t start = end - 1;
        while (start > 0 && (s.data[start] & 0xC0) == 0x80)
            start--;
        TRY(append(c, part(s, start, end), err));
        end = start;
    }
    take_scratch(c, out);
    return LAM_OK;
}

/* Appends `n` copies, each time as much as is there already. */
static enum lam_code append_times(struct call *c, struct lam_slice s, uint64_t n,
                                  struct lam_error *err) {
    if (n == 0 || s.size == 0)
        return LAM_OK;
    if (n > (FUNC_TEXT_MAX - c->scratch->size) / s.size)
        return func_too_long(err);
    size_t start = c->scratch->size, size = s.size * (size_t)n, done = s.size;
    TRY(buf_reserve(c->scratch, size, err));
    uint8_t *out = c->scratch->data + start;
    memcpy(out, s.data, s.size);
    while (done < size) {
        size_t more = done < size - done ? done : size - done;
        memcpy(out + done, out, more);
        done += more;
    }
    c->scratch->size = start + size;
    return LAM_OK;
}

FUNC(repeat) {
    struct lam_slice s = args[0].as.bytes;
    int64_t n = args[1].as.i64;
    if (n <= 0 || s.size == 0) {
        out->as.bytes = part(s, 0, 0);
        return LAM_OK;
    }
    TRY(append_times(c, s, (uint64_t)n, err));
    take_scratch(c, out);
    return LAM_OK;
}

static enum lam_code pad_text(struct call *c, const struct value *args, bool left,
                              struct value *out, struct lam_error *err) {
    struct lam_slice s = args[0].as.bytes;
    struct lam_slice fill = c->arg_count > 2 ? args[2].as.bytes : lam_slice_str(" ");
    int64_t want = args[1].as.i64 < 0 ? 0 : args[1].as.i64, length = (int64_t)utf8_length(s);
    if (want > FUNC_TEXT_MAX)
        return func_too_long(err);
    uint64_t characters = utf8_length(fill);
    if (want <= length || characters == 0) {
        out->as.bytes = want < length ? substring(s, 1, want + 1) : s;
        return LAM_OK;
    }
    if (!left)
        TRY(append(c, s, err));
    uint64_t missing = (uint64_t)(want - length);
    TRY(append_times(c, fill, missing / characters, err));
    TRY(append(c, part(fill, 0, utf8_offset(fill, (size_t)(missing % characters))), err));
    if (left)
        TRY(append(c, s, err));
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(lpad) {
    return pad_text(c, args, true, out, err);
}

FUNC(rpad) {
    return pad_text(c, args, false, out, err);
}

static enum lam_code append_value(struct call *c, const struct value *v, struct lam_error *err) {
    TRY(value_format(v, c->scratch, err));
    return c->scratch->size > FUNC_TEXT_MAX ? func_too_long(err) : LAM_OK;
}

/* || : NULL if one side is; at least one side is text. */
FUNC(concat_sides) {
    TRY(append_value(c, &args[0], err));
    TRY(append_value(c, &args[1], err));
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(concat_bytes) {
    TRY(append(c, args[0].as.bytes, err));
    TRY(append(c, args[1].as.bytes, err));
    take_scratch(c, out);
    return LAM_OK;
}

/* concat skips NULLs. */
FUNC(concat) {
    for (uint32_t i = 0; i < c->arg_count; i++)
        if (!args[i].is_null)
            TRY(append_value(c, &args[i], err));
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(concat_ws) {
    bool first = true;
    out->is_null = args[0].is_null;
    for (uint32_t i = 1; i < c->arg_count && !out->is_null; i++) {
        if (args[i].is_null)
            continue;
        if (!first)
            TRY(append(c, args[0].as.bytes, err));
        first = false;
        TRY(append_value(c, &args[i], err));
    }
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(ascii) {
    UNUSED_CALL;
    size_t at = 0;
    out->as.i64 = args[0].as.bytes.size ? (int64_t)utf8_next(args[0].as.bytes, &at) : 0;
    return LAM_OK;
}

FUNC(chr) {
    int64_t v = args[0].as.i64;
    uint8_t bytes[4];
    if (v == 0)
        return ERR_SQL(err, "54000", 0, "the NUL character is not permitted in TEXT");
    if (v < 0 || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
        return ERR_SQL(err, "22023", 0, "%lld is no character code", (long long)v);
    TRY(append(c, lam_slice_of(bytes, utf8_put(bytes, (uint32_t)v)), err));
    take_scratch(c, out);
    return LAM_OK;
}

static int hex_value(uint8_t ch) {
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 32;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

FUNC(to_hex) {
    TRY(buf_append_format(c->scratch, err, "%llx", (unsigned long long)args[0].as.i64));
    take_scratch(c, out);
    return LAM_OK;
}

static bool is_hex(struct lam_slice s) {
    return s.size == 3 && memcmp(s.data, "hex", 3) == 0;
}

FUNC(encode) {
    if (!is_hex(args[1].as.bytes))
        return ERR_SQL(err, "22023", 0, "encoding must be 'hex'");
    struct lam_slice s = args[0].as.bytes;
    if (s.size > FUNC_TEXT_MAX / 2)
        return func_too_long(err);
    for (size_t i = 0; i < s.size; i++)
        TRY(buf_append_format(c->scratch, err, "%02x", s.data[i]));
    take_scratch(c, out);
    return LAM_OK;
}

FUNC(decode) {
    struct lam_slice s = args[0].as.bytes;
    if (!is_hex(args[1].as.bytes))
        return ERR_SQL(err, "22023", 0, "encoding must be 'hex'");
    if (s.size % 2)
        return ERR_SQL(err, "22023", 0, "hexadecimal data has an odd number of digits");
    for (size_t i = 0; i < s.size; i += 2) {
        int high = hex_value(s.data[i]), low = hex_value(s.data[i + 1]);
        if (high < 0 || low < 0)
            return ERR_SQL(err, "22023", 0, "invalid hexadecimal digit");
        TRY(buf_append_u8(c->scratch, (uint8_t)(high * 16 + low), err));
    }
    take_scratch(c, out);
    return LAM_OK;
}

#define T  LAM_TYPE_TEXT
#define I  LAM_TYPE_BIGINT
#define B  LAM_TYPE_BYTES
#define L  LAM_TYPE_BOOLEAN
#define NY LAM_TYPE_NULL
#define F(name, n, flags, result, run, ...)                                                        \
    { name, n, flags, RESULT_FIXED, result, {__VA_ARGS__}, run }

static const struct func funcs[] = {
    F("length", 1, 0, I, text_length, T),
    F("length", 1, 0, I, byte_length, B),
    F("char_length", 1, 0, I, text_length, T),
    F("character_length", 1, 0, I, text_length, T),
    F("octet_length", 1, 0, I, byte_length, T),
    F("octet_length", 1, 0, I, byte_length, B),
    F("lower", 1, 0, T, lower, T),
    F("upper", 1, 0, T, upper, T),
    F("trim", 1, 0, T, btrim, T),
    F("trim", 2, 0, T, btrim, T, T),
    F("btrim", 1, 0, T, btrim, T),
    F("btrim", 2, 0, T, btrim, T, T),
    F("ltrim", 1, 0, T, ltrim, T),
    F("ltrim", 2, 0, T, ltrim, T, T),
    F("rtrim", 1, 0, T, rtrim, T),
    F("rtrim", 2, 0, T, rtrim, T, T),
    F("substr", 2, 0, T, substr_text, T, I),
    F("substr", 3, 0, T, substr_text, T, I, I),
    F("substr", 2, 0, B, substr_bytes, B, I),
    F("substr", 3, 0, B, substr_bytes, B, I, I),
    F("substring", 2, 0, T, substr_text, T, I),
    F("substring", 3, 0, T, substr_text, T, I, I),
    F("substring", 2, 0, B, substr_bytes, B, I),
    F("substring", 3, 0, B, substr_bytes, B, I, I),
    F("left", 2, 0, T, left_text, T, I),
    F("right", 2, 0, T, right_text, T, I),
    F("split_part", 3, 0, T, split_part, T, T, I),
    F("strpos", 2, 0, I, strpos, T, T),
    F("position", 2, 0, I, position, T, T),
    F("starts_with", 2, 0, L, starts_with, T, T),
    F("ends_with", 2, 0, L, ends_with, T, T),
    F("contains", 2, 0, L, contains, T, T),
    F("replace", 3, 0, T, replace, T, T, T),
    F("reverse", 1, 0, T, reverse, T),
    F("repeat", 2, 0, T, repeat, T, I),
    F("lpad", 2, 0, T, lpad, T, I),
    F("lpad", 3, 0, T, lpad, T, I, T),
    F("rpad", 2, 0, T, rpad, T, I),
    F("rpad", 3, 0, T, rpad, T, I, T),
    F("concat", 1, FUNC_NULLS | FUNC_VARIADIC, T, concat, NY),
    F("concat_ws", 2, FUNC_NULLS | FUNC_VARIADIC, T, concat_ws, T, NY),
    F("||", 2, 0, T, concat_sides, T, T),
    F("||", 2, 0, B, concat_bytes, B, B),
    F("||", 2, 0, T, concat_sides, T, NY),
    F("||", 2, 0, T, concat_sides, NY, T),
    F("ascii", 1, 0, I, ascii, T),
    F("chr", 1, 0, T, chr, I),
    F("to_hex", 1, 0, T, to_hex, I),
    F("encode", 2, 0, T, encode, B, T),
    F("decode", 2, 0, B, decode, T, T),
};

const struct func_table func_text_table = {funcs, sizeof funcs / sizeof funcs[0]};
