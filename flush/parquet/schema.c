/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of types, and single values as plain bytes. */
#include "flush/parquet/schema.h"

#include <math.h>

#include "base/assert.h"

int128 pq_power_of_ten(uint32_t digits) {
    LAM_ASSERT(digits <= 38);
    int128 v = 1;
    while (digits-- > 0)
        v *= 10;
    return v;
}

/* Fewest bytes whose two's complement holds all values of `precision` digits. */
static uint32_t decimal_bytes(uint32_t precision) {
    int128 greatest = pq_power_of_ten(precision) - 1;
    uint32_t n = 1;
    while (n < 16 && greatest >> (8 * n - 1) != 0)
        n++;
    return n;
}

static void decimal_leaf(const struct coltype *type, struct pq_leaf *leaf) {
    leaf->logical = PQ_LOGICAL_DECIMAL;
    leaf->converted = PQ_CONVERTED_DECIMAL;
    leaf->precision = type->precision;
    leaf->scale = type->scale;
    if (type->precision <= 9) {
        leaf->physical = PQ_INT32;
    } else if (type->precision <= 18) {
        leaf->physical = PQ_INT64;
    } else {
        leaf->physical = PQ_FIXED;
        leaf->type_length = decimal_bytes(type->precision);
    }
}

static void annotate(struct pq_leaf *leaf, enum pq_physical physical, enum pq_logical logical,
                     int32_t converted) {
    leaf->physical = physical;
    leaf->logical = logical;
    leaf->converted = converted;
}

struct pq_leaf pq_leaf_of(const struct parquet_field *f) {
    struct pq_leaf leaf = {
        .name = f->name, .optional = f->nullable, .field_id = f->field_id, .converted = PQ_NONE};
    switch (f->type.type) {
    case LAM_TYPE_BOOLEAN:
        leaf.physical = PQ_BOOLEAN;
        break;
    case LAM_TYPE_SMALLINT:
        annotate(&leaf, PQ_INT32, PQ_LOGICAL_INTEGER, PQ_CONVERTED_INT_16);
        leaf.int_bits = 16;
        leaf.int_signed = true;
        break;
    case LAM_TYPE_INT:
        leaf.physical = PQ_INT32;
        break;
    case LAM_TYPE_BIGINT:
        leaf.physical = PQ_INT64;
        break;
    case LAM_TYPE_FLOAT:
        leaf.physical = PQ_FLOAT;
        break;
    case LAM_TYPE_DOUBLE:
        leaf.physical = PQ_DOUBLE;
        break;
    case LAM_TYPE_DECIMAL:
        decimal_leaf(&f->type, &leaf);
        break;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_JSON:
        annotate(&leaf, PQ_BYTE_ARRAY, PQ_LOGICAL_STRING, PQ_CONVERTED_UTF8);
        break;
    case LAM_TYPE_BYTES:
        leaf.physical = PQ_BYTE_ARRAY;
        break;
    case LAM_TYPE_TIMESTAMP:
        annotate(&leaf, PQ_INT64, PQ_LOGICAL_TIMESTAMP, PQ_CONVERTED_TIMESTAMP_MICROS);
        leaf.unit = PQ_UNIT_MICROS;
        leaf.utc = true;
        break;
    case LAM_TYPE_DATE:
        annotate(&leaf, PQ_INT32, PQ_LOGICAL_DATE, PQ_CONVERTED_DATE);
        break;
    case LAM_TYPE_TIME:
        annotate(&leaf, PQ_INT64, PQ_LOGICAL_TIME, PQ_CONVERTED_TIME_MICROS);
        leaf.unit = PQ_UNIT_MICROS;
        break;
    case LAM_TYPE_UUID:
        annotate(&leaf, PQ_FIXED, PQ_LOGICAL_UUID, PQ_NONE);
        leaf.type_length = 16;
        break;
    case LAM_TYPE_NULL:
        UNREACHABLE();
    }
    return leaf;
}

static bool is_decimal(const struct pq_leaf *leaf) {
    return leaf->logical == PQ_LOGICAL_DECIMAL ||
           (leaf->logical == PQ_LOGICAL_NONE && leaf->converted == PQ_CONVERTED_DECIMAL);
}

static bool decimal_type(const struct pq_leaf *leaf, struct coltype *out) {
    bool stored = leaf->physical == PQ_INT32 || leaf->physical == PQ_INT64 ||
                  (leaf->physical == PQ_FIXED && leaf->type_length >= 1 && leaf->type_length <= 16);
    if (!stored || leaf->precision < 1 || leaf->precision > 38 || leaf->scale > leaf->precision)
        return false;
    *out = (struct coltype){.type = LAM_TYPE_DECIMAL,
                            .precision = (uint8_t)leaf->precision,
                            .scale = (uint8_t)leaf->scale};
    return true;
}

static enum lam_type int32_type(const struct pq_leaf *leaf) {
    if (leaf->logical == PQ_LOGICAL_NONE) {
        switch (leaf->converted) {
        case PQ_NONE:
        case PQ_CONVERTED_INT_32:
            return LAM_TYPE_INT;
        case PQ_CONVERTED_INT_8:
        case PQ_CONVERTED_INT_16:
            return LAM_TYPE_SMALLINT;
        case PQ_CONVERTED_DATE:
            return LAM_TYPE_DATE;
        default:
            return LAM_TYPE_NULL;
        }
    }
    if (leaf->logical == PQ_LOGICAL_INTEGER && leaf->int_signed)
        return leaf->int_bits == 32                          ? LAM_TYPE_INT
               : leaf->int_bits == 16 || leaf->int_bits == 8 ? LAM_TYPE_SMALLINT
                                                             : LAM_TYPE_NULL;
    return leaf->logical == PQ_LOGICAL_DATE ? LAM_TYPE_DATE : LAM_TYPE_NULL;
}

static enum lam_type int64_type(const struct pq_leaf *leaf) {
    if (leaf->logical == PQ_LOGICAL_NONE) {
        switch (leaf->converted) {
        case PQ_NONE:
        case PQ_CONVERTED_INT_64:
            return LAM_TYPE_BIGINT;
        case PQ_CONVERTED_TIME_MICROS:
            return LAM_TYPE_TIME;
        case PQ_CONVERTED_TIMESTAMP_MICROS:
            return LAM_TYPE_TIMESTAMP;
        default:
            return LAM_TYPE_NULL;
        }
    }
    if (leaf->logical == PQ_LOGICAL_INTEGER)
        return leaf->int_signed && leaf->int_bits == 64 ? LAM_TYPE_BIGINT : LAM_TYPE_NULL;
    if (leaf->unit != PQ_UNIT_MICROS)
        return LAM_TYPE_NULL;
    return leaf->logical == PQ_LOGICAL_TIME        ? LAM_TYPE_TIME
           : leaf->logical == PQ_LOGICAL_TIMESTAMP ? LAM_TYPE_TIMESTAMP
                                                   : LAM_TYPE_NULL;
}

static enum lam_type byte_array_type(const struct pq_leaf *leaf) {
    if (leaf->logical == PQ_LOGICAL_STRING || leaf->logical == PQ_LOGICAL_ENUM)
        return LAM_TYPE_TEXT;
    if (leaf->logical == PQ_LOGICAL_JSON)
        return LAM_TYPE_JSON;
    if (leaf->logical == PQ_LOGICAL_BSON)
        return LAM_TYPE_BYTES;
    if (leaf->logical != PQ_LOGICAL_NONE)
        return LAM_TYPE_NULL;
    switch (leaf->converted) {
    case PQ_CONVERTED_UTF8:
    case PQ_CONVERTED_ENUM:
        return LAM_TYPE_TEXT;
    case PQ_CONVERTED_JSON:
        return LAM_TYPE_JSON;
    case PQ_NONE:
    case PQ_CONVERTED_BSON:
        return LAM_TYPE_BYTES;
    default:
        return LAM_TYPE_NULL;
    }
}

bool pq_leaf_type(const struct pq_leaf *leaf, struct coltype *out) {
    *out = (struct coltype){0};
    if (is_decimal(leaf))
        return decimal_type(leaf, out);
    switch (leaf->physical) {
    case PQ_BOOLEAN:
        out->type = LAM_TYPE_BOOLEAN;
        break;
    case PQ_INT32:
        out->type = int32_type(leaf);
        break;
    case PQ_INT64:
        out->type = int64_type(leaf);
        break;
    case PQ_FLOAT:
        out->type = LAM_TYPE_FLOAT;
        break;
    case PQ_DOUBLE:
        out->type = LAM_TYPE_DOUBLE;
        break;
    case PQ_BYTE_ARRAY:
        out->type = byte_array_type(leaf);
        break;
    case PQ_FIXED:
        if (leaf->logical == PQ_LOGICAL_UUID && leaf->type_length == 16)
            out->type = LAM_TYPE_UUID;
        break;
    case PQ_INT96:
    default:
        break;
    }
    return out->type != LAM_TYPE_NULL;
}

uint32_t pq_leaf_width(const struct pq_leaf *leaf) {
    switch (leaf->physical) {
    case PQ_INT32:
    case PQ_FLOAT:
        return 4;
    case PQ_INT64:
    case PQ_DOUBLE:
        return 8;
    case PQ_FIXED:
        return leaf->type_length;
    case PQ_BOOLEAN:
    case PQ_BYTE_ARRAY:
    case PQ_INT96:
    default:
        return 0;
    }
}

void pq_decimal_store(int128 v, uint8_t *out, uint32_t width) {
    LAM_ASSERT(width >= 1 && width <= 16);
    for (uint32_t i = width; i-- > 0; v >>= 8)
        out[i] = (uint8_t)v;
}

int128 pq_decimal_load(const uint8_t *bytes, uint32_t width) {
    LAM_ASSERT(width >= 1 && width <= 16);
    unsigned __int128 v = bytes[0] & 0x80 ? ~(unsigned __int128)0 : 0;
    for (uint32_t i = 0; i < width; i++)
        v = v << 8 | bytes[i];
    return (int128)v;
}

static struct lam_slice store_integer(const struct pq_leaf *leaf, int128 v, uint8_t room[16]) {
    switch (leaf->physical) {
    case PQ_BOOLEAN:
        room[0] = v != 0;
        return lam_slice_of(room, 1);
    case PQ_INT32:
        put_le32(room, (uint32_t)v);
        return lam_slice_of(room, 4);
    case PQ_INT64:
        put_le64(room, (uint64_t)v);
        return lam_slice_of(room, 8);
    case PQ_FIXED:
        pq_decimal_store(v, room, leaf->type_length);
        return lam_slice_of(room, leaf->type_length);
    case PQ_INT96:
    case PQ_FLOAT:
    case PQ_DOUBLE:
    case PQ_BYTE_ARRAY:
        break;
    }
    UNREACHABLE();
}

struct lam_slice pq_value_store(const struct pq_leaf *leaf, enum lam_type type,
                                struct parquet_value v, uint8_t room[16]) {
    switch (type) {
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
    case LAM_TYPE_UUID:
        return v.bytes;
    case LAM_TYPE_DECIMAL:
        return store_integer(leaf, v.i128, room);
    case LAM_TYPE_FLOAT: {
        float f = (float)v.f64;
        memcpy(room, &f, sizeof f);
        return lam_slice_of(room, sizeof f);
    }
    case LAM_TYPE_DOUBLE:
        memcpy(room, &v.f64, sizeof v.f64);
        return lam_slice_of(room, sizeof v.f64);
    case LAM_TYPE_BOOLEAN:
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        return store_integer(leaf, v.i64, room);
    case LAM_TYPE_NULL:
        break;
    }
    UNREACHABLE();
}

static bool load_integer(const struct pq_leaf *leaf, struct lam_slice bytes, int128 *out) {
    switch (leaf->physical) {
    case PQ_BOOLEAN:
        *out = bytes.size == 1 ? bytes.data[0] : 0;
        return bytes.size == 1 && bytes.data[0] <= 1;
    case PQ_INT32:
        *out = bytes.size == 4 ? (int32_t)get_le32(bytes.data) : 0;
        return bytes.size == 4;
    case PQ_INT64:
        *out = bytes.size == 8 ? (int64_t)get_le64(bytes.data) : 0;
        return bytes.size == 8;
    case PQ_FIXED:
        if (bytes.size != leaf->type_length || bytes.size == 0 || bytes.size > 16)
            return false;
        *out = pq_decimal_load(bytes.data, leaf->type_length);
        return true;
    case PQ_INT96:
    case PQ_FLOAT:
    case PQ_DOUBLE:
    case PQ_BYTE_ARRAY:
        break;
    }
    return false;
}

bool pq_value_load(const struct pq_leaf *leaf, enum lam_type type, struct lam_slice bytes,
                   struct parquet_value *out) {
    int128 integer = 0;
    float f;
    *out = (struct parquet_value){.i128 = 0};
    switch (type) {
    case LAM_TYPE_UUID:
        out->bytes = bytes;
        return bytes.size == 16;
    case LAM_TYPE_TEXT:
    case LAM_TYPE_BYTES:
    case LAM_TYPE_JSON:
        out->bytes = bytes;
        return true;
    case LAM_TYPE_DECIMAL:
        return load_integer(leaf, bytes, &out->i128);
    case LAM_TYPE_FLOAT:
        if (bytes.size != sizeof f)
            return false;
        memcpy(&f, bytes.data, sizeof f);
        out->f64 = f;
        return !isnan(f);
    case LAM_TYPE_DOUBLE:
        if (bytes.size != sizeof out->f64)
            return false;
        memcpy(&out->f64, bytes.data, sizeof out->f64);
        return !isnan(out->f64);
    case LAM_TYPE_BOOLEAN:
    case LAM_TYPE_SMALLINT:
    case LAM_TYPE_INT:
    case LAM_TYPE_BIGINT:
    case LAM_TYPE_TIMESTAMP:
    case LAM_TYPE_DATE:
    case LAM_TYPE_TIME:
        if (!load_integer(leaf, bytes, &integer))
            return false;
        out->i64 = (int64_t)integer;
        return true;
    case LAM_TYPE_NULL:
        break;
    }
    return false;
}
