/* SPDX-License-Identifier: Apache-2.0
 *
 * Which type may become which, and how. */
#include <math.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "catalog/value_impl.h"

/* --- which --- */

static bool is_civil(enum lam_type type) {
    return type == LAM_TYPE_TIMESTAMP || type == LAM_TYPE_DATE || type == LAM_TYPE_TIME;
}

/* The weakest cast between two different types; CAST_EXPLICIT + 1 if there is none. */
#define CAST_NONE (CAST_EXPLICIT + 1)

static int number_cast(enum lam_type from, enum lam_type to) {
    static const uint8_t width[] = {
        [LAM_TYPE_SMALLINT] = 1, [LAM_TYPE_INT] = 2,   [LAM_TYPE_BIGINT] = 3,
        [LAM_TYPE_DECIMAL] = 4,  [LAM_TYPE_FLOAT] = 5, [LAM_TYPE_DOUBLE] = 6,
    };
    return width[from] < width[to] ? CAST_IMPLICIT : CAST_ASSIGNMENT;
}

static int weakest_cast(enum lam_type from, enum lam_type to) {
    if (from == to || from == LAM_TYPE_NULL)
        return CAST_IMPLICIT;
    if (coltype_is_number(from) && coltype_is_number(to))
        return number_cast(from, to);
    if (to == LAM_TYPE_TEXT)
        return from == LAM_TYPE_JSON || from == LAM_TYPE_BYTES ? CAST_EXPLICIT : CAST_ASSIGNMENT;
    if (from == LAM_TYPE_TEXT && to != LAM_TYPE_NULL)
        return to == LAM_TYPE_JSON ? CAST_ASSIGNMENT : CAST_EXPLICIT;
    if (from == LAM_TYPE_DATE && to == LAM_TYPE_TIMESTAMP)
        return CAST_IMPLICIT;
    if (from == LAM_TYPE_TIMESTAMP && is_civil(to))
        return CAST_ASSIGNMENT;
    if ((from == LAM_TYPE_BOOLEAN && coltype_is_integer(to)) ||
        (coltype_is_integer(from) && to == LAM_TYPE_BOOLEAN))
        return CAST_EXPLICIT;
    if ((from == LAM_TYPE_UUID && to == LAM_TYPE_BYTES) ||
        (from == LAM_TYPE_BYTES && to == LAM_TYPE_UUID))
        return CAST_EXPLICIT;
    return CAST_NONE;
}

bool cast_allowed(enum lam_type from, enum lam_type to, enum cast_kind kind) {
    return weakest_cast(from, to) <= (int)kind;
}

/* --- how --- */

static enum lam_code fail_range(struct lam_error *err, const struct value *v, struct coltype to) {
    char name[32];
    coltype_name(to, name);
    OWNED(buf_fini) struct buf text = {0};
    const char *shown = "value";
    if (value_format(v, &text, NULL) == LAM_OK)
        IGNORE(buf_cstr(&text, &shown, NULL), "only the message is poorer");
    return ERR_SQL(err, "22003", 0, "%s is out of range for type %s", shown, name);
}

static enum lam_code fail_cast(struct lam_error *err, enum lam_type from, struct coltype to,
                               enum cast_kind kind) {
    char from_name[32], to_name[32];
    coltype_name(coltype_of(from), from_name);
    coltype_name(to, to_name);
    if (kind == CAST_EXPLICIT)
        return ERR_SQL(err, "42846", 0, "can't cast type %s to %s", from_name, to_name);
    enum lam_code rc = ERR_SQL(err, "42804", 0, "expected type %s, found %s", to_name, from_name);
    if (cast_allowed(from, to.type, CAST_EXPLICIT))
        rc = error_hint(err, rc, "write CAST(... AS %s)", to_name);
    return rc;
}

static bool fits_integer(int64_t v, enum lam_type type) {
    return type == LAM_TYPE_SMALLINT ? v >= INT16_MIN && v <= INT16_MAX
           : type == LAM_TYPE_INT    ? v >= INT32_MIN && v <= INT32_MAX
                                     : true;
}

/* False out of range. */
static bool to_integer(const struct value *v, struct value *out) {
    int128 wide = 0;
    if (coltype_is_float(v->type.type)) {
        double rounded = rint(v->as.f64); /* to even, the rounding mode of every thread */
        if (!(rounded >= -0x1p63 && rounded < 0x1p63))
            return false;
        wide = (int64_t)rounded;
    } else if (v->type.type == LAM_TYPE_DECIMAL) {
        if (!decimal_rescale(v->as.i128, v->type.scale, 0, &wide))
            return false;
    } else {
        wide = v->type.type == LAM_TYPE_BOOLEAN ? v->as.boolean : v->as.i64;
    }
    if (wide < INT64_MIN || wide > INT64_MAX || !fits_integer((int64_t)wide, out->type.type))
        return false;
    out->as.i64 = (int64_t)wide;
    return true;
}

static unsigned integer_digits(enum lam_type type) {
    return type == LAM_TYPE_SMALLINT ? 5 : type == LAM_TYPE_INT ? 10 : 19;
}

/* Shortest digits of a float as a decimal; precision 0 in `out` takes what they need. */
static bool float_to_decimal(const struct value *v, struct value *out) {
    if (!isfinite(v->as.f64))
        return false;
    struct float_digits d;
    float_shortest(v->as.f64, v->type.type == LAM_TYPE_FLOAT, &d);
    int scale = out->type.scale;
    if (out->type.precision == 0)
        scale = d.exponent < 0 ? -d.exponent : 0;
    if (scale > DECIMAL_PRECISION_MAX || !decimal_from_digits(&d, (unsigned)scale, &out->as.i128))
        return false;
    if (out->type.precision == 0) {
        unsigned digits = decimal_digits(out->as.i128);
        out->type.scale = (uint8_t)scale;
        out->type.precision = (uint8_t)(digits > (unsigned)scale ? digits : (unsigned)scale);
    }
    return true;
}

static bool to_decimal(const struct value *v, struct value *out) {
    if (coltype_is_float(v->type.type))
        return float_to_decimal(v, out) && decimal_fits(out->as.i128, out->type.precision);
    bool decimal = v->type.type == LAM_TYPE_DECIMAL;
    if (out->type.precision == 0) {
        out->type.precision = (uint8_t)(decimal ? v->type.precision : integer_digits(v->type.type));
        out->type.scale = decimal ? v->type.scale : 0;
    }
    int128 from = decimal ? v->as.i128 : v->as.i64;
    return decimal_rescale(from, decimal ? v->type.scale : 0, out->type.scale, &out->as.i128) &&
           decimal_fits(out->as.i128, out->type.precision);
}

/* A double rounds to a float; what leaves its range on either side is an error. */
static bool to_float(const struct value *v, struct value *out) {
    double d = coltype_is_float(v->type.type)     ? v->as.f64
               : v->type.type == LAM_TYPE_DECIMAL ? decimal_to_double(v->as.i128, v->type.scale)
                                                  : (double)v->as.i64;
    out->as.f64 = d;
    if (out->type.type == LAM_TYPE_DOUBLE)
        return true;
    out->as.f64 = (double)(float)d;
    return isinf(out->as.f64) == isinf(d) && (out->as.f64 == 0) == (d == 0);
}

static enum lam_code to_text(const struct value *v, enum cast_kind kind, struct arena *arena,
                             struct value *out, struct lam_error *err) {
    struct lam_slice text = v->as.bytes;
    OWNED(buf_fini) struct buf formatted = {0};
    enum lam_code rc = LAM_OK;
    if (v->type.type != LAM_TYPE_TEXT && v->type.type != LAM_TYPE_JSON) {
        TRY(value_format(v, &formatted, err));
        text = buf_slice(&formatted);
    }
    uint32_t most = out->type.length;
    size_t length = most ? utf8_length(text) : 0;
    if (length > most && kind != CAST_EXPLICIT)
        return ERR_SQL(err, "22001", 0, "value of %zu characters is too long for type VARCHAR(%u)",
                       length, most);
    if (length > most)
        text.size = utf8_offset(text, most);
    if (formatted.data) {
        void *copy = arena_dup(arena, text.data, text.size);
        if (!copy)
            rc = mem_fail(err, text.size);
        text.data = copy;
    }
    out->as.bytes = text;
    return rc;
}

static enum lam_code to_uuid(const struct value *v, struct value *out, struct lam_error *err) {
    if (v->as.bytes.size != 16)
        return ERR_SQL(err, "22P02", 0, "a UUID has 16 bytes, not %zu", v->as.bytes.size);
    memcpy(out->as.uuid, v->as.bytes.data, 16);
    return LAM_OK;
}

static enum lam_code to_bytes(const struct value *v, struct arena *arena, struct value *out,
                              struct lam_error *err) {
    void *copy = arena_dup(arena, v->as.uuid, 16);
    if (!copy)
        return mem_fail(err, 16);
    out->as.bytes = lam_slice_of(copy, 16);
    return LAM_OK;
}

static enum lam_code to_civil(const struct value *v, struct value *out, struct lam_error *err) {
    if (out->type.type == LAM_TYPE_DATE) {
        out->as.i64 = timestamp_date(v->as.i64);
    } else if (out->type.type == LAM_TYPE_TIME) {
        out->as.i64 = timestamp_time(v->as.i64);
    } else {
        if (v->as.i64 < DATE_MIN || v->as.i64 > DATE_MAX)
            return ERR_SQL(err, "22008", 0, "date is out of range for type TIMESTAMP");
        out->as.i64 = v->as.i64 * DAY_MICROS;
    }
    return LAM_OK;
}

/* Different types that have a cast. */
static enum lam_code convert(const struct value *v, enum cast_kind kind, struct arena *arena,
                             struct value *out, struct lam_error *err) {
    switch (out->type.type) {
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
        return to_integer(v, out) ? LAM_OK : fail_range(err, v, out->type);
    case LAM_TYPE_DECIMAL:
        return to_decimal(v, out) ? LAM_OK : fail_range(err, v, out->type);
    case LAM_TYPE_FLOAT:
    case LAM_TYPE_DOUBLE:
        return to_float(v, out) ? LAM_OK : fail_range(err, v, out->type);
    case LAM_TYPE_BOOLEAN:
        out->as.boolean = v->as.i64 != 0;
        return LAM_OK;
    case LAM_TYPE_TEXT:
        return to_text(v, kind, arena, out, err);
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
    case LAM_TYPE_TIMESTAMP:
        return to_civil(v, out, err);
    case LAM_TYPE_UUID:
        return to_uuid(v, out, err);
    case LAM_TYPE_BYTES:
        return to_bytes(v, arena, out, err);
    case LAM_TYPE_JSON:
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

enum lam_code value_cast(const struct value *v, struct coltype to, enum cast_kind kind,
                         struct arena *arena, struct value *out, struct lam_error *err) {
    enum lam_type from = v->type.type;
    LAM_ASSERT(from != LAM_TYPE_NULL || v->is_null);
    if (to.type == LAM_TYPE_NULL || !cast_allowed(from, to.type, kind))
        return fail_cast(err, from, to, kind);
    struct value result = {.type = to};
    if (v->is_null) {
        result.is_null = true;
    } else if (from == LAM_TYPE_TEXT && to.type != LAM_TYPE_TEXT) {
        TRY(value_parse(v->as.bytes, to, arena, &result, err));
    } else if (from == to.type && to.type != LAM_TYPE_TEXT && to.type != LAM_TYPE_DECIMAL) {
        result.as = v->as;
    } else {
        TRY(convert(v, kind, arena, &result, err));
    }
    *out = result;
    return LAM_OK;
}
