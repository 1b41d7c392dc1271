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

#define PQ_TEXT_LEAF                                                                               \
    .physical = PQ_BYTE_ARRAY, .logical = PQ_LOGICAL_STRING, .converted = PQ_CONVERTED_UTF8
/* What is written for each type but decimals. */
static const struct pq_leaf leaves[] = {
    [LAM_TYPE_BOOLEAN] = {.physical = PQ_BOOLEAN, .converted = PQ_NONE},
    [LAM_TYPE_SMALLINT] = {.physical = PQ_INT32,
                           .logical = PQ_LOGICAL_INTEGER,
                           .converted = PQ_CONVERTED_INT_16,
                           .int_bits = 16,
                           .int_signed = true},
    [LAM_TYPE_INT] = {.physical = PQ_INT32, .converted = PQ_NONE},
    [LAM_TYPE_BIGINT] = {.physical = PQ_INT64, .converted = PQ_NONE},
    [LAM_TYPE_FLOAT] = {.physical = PQ_FLOAT, .converted = PQ_NONE},
    [LAM_TYPE_DOUBLE] = {.physical = PQ_DOUBLE, .converted = PQ_NONE},
    [LAM_TYPE_TEXT] = {PQ_TEXT_LEAF},
    [LAM_TYPE_JSON] = {PQ_TEXT_LEAF},
    [LAM_TYPE_BYTES] = {.physical = PQ_BYTE_ARRAY, .converted = PQ_NONE},
    [LAM_TYPE_TIMESTAMP] = {.physical = PQ_INT64,
                            .logical = PQ_LOGICAL_TIMESTAMP,
                            .converted = PQ_CONVERTED_TIMESTAMP_MICROS,
                            .unit = PQ_UNIT_MICROS,
                            .utc = true},
    [LAM_TYPE_DATE] = {.physical = PQ_INT32,
                       .logical = PQ_LOGICAL_DATE,
                       .converted = PQ_CONVERTED_DATE},
    [LAM_TYPE_TIME] = {.physical = PQ_INT64,
                       .logical = PQ_LOGICAL_TIME,
                       .converted = PQ_CONVERTED_TIME_MICROS,
                       .unit = PQ_UNIT_MICROS},
    [LAM_TYPE_UUID] = {.physical = PQ_FIXED,
                       .logical = PQ_LOGICAL_UUID,
                       .converted = PQ_NONE,
                       .type_length = 16},
};

struct pq_leaf pq_leaf_of(const struct parquet_field *f) {
    LAM_ASSERT(f->type.type > LAM_TYPE_NULL && f->type.type <= LAM_TYPE_JSON);
    struct pq_leaf leaf = {0};
    if (f->type.type == LAM_TYPE_DECIMAL)
        decimal_leaf(&f->type, &leaf);
    else
        leaf = leaves[f->type.type];
    leaf.name = f->name;
    leaf.optional = f->nullable;
    leaf.field_id = f->field_id;
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

/* What is read. Where there is a logical type, the converted one is not looked at. */
static const struct {
    enum pq_physical physical;
    enum pq_logical logical;
    int32_t converted;
    uint8_t bits;
    enum lam_type type;
} readable[] = {
    {PQ_INT32, PQ_LOGICAL_NONE, PQ_NONE, 0, LAM_TYPE_INT},
    {PQ_INT32, PQ_LOGICAL_NONE, PQ_CONVERTED_INT_32, 0, LAM_TYPE_INT},
    {PQ_INT32, PQ_LOGICAL_NONE, PQ_CONVERTED_INT_16, 0, LAM_TYPE_SMALLINT},
    {PQ_INT32, PQ_LOGICAL_NONE, PQ_CONVERTED_INT_8, 0, LAM_TYPE_SMALLINT},
    {PQ_INT32, PQ_LOGICAL_NONE, PQ_CONVERTED_DATE, 0, LAM_TYPE_DATE},
    {PQ_INT32, PQ_LOGICAL_INTEGER, PQ_NONE, 32, LAM_TYPE_INT},
    {PQ_INT32, PQ_LOGICAL_INTEGER, PQ_NONE, 16, LAM_TYPE_SMALLINT},
    {PQ_INT32, PQ_LOGICAL_INTEGER, PQ_NONE, 8, LAM_TYPE_SMALLINT},
    {PQ_INT32, PQ_LOGICAL_DATE, PQ_NONE, 0, LAM_TYPE_DATE},
    {PQ_INT64, PQ_LOGICAL_NONE, PQ_NONE, 0, LAM_TYPE_BIGINT},
    {PQ_INT64, PQ_LOGICAL_NONE, PQ_CONVERTED_INT_64, 0, LAM_TYPE_BIGINT},
    {PQ_INT64, PQ_LOGICAL_NONE, PQ_CONVERTED_TIME_MICROS, 0, LAM_TYPE_TIME},
    {PQ_INT64, PQ_LOGICAL_NONE, PQ_CONVERTED_TIMESTAMP_MICROS, 0, LAM_TYPE_TIMESTAMP},
    {PQ_INT64, PQ_LOGICAL_INTEGER, PQ_NONE, 64, LAM_TYPE_BIGINT},
    {PQ_INT64, PQ_LOGICAL_TIME, PQ_NONE, 0, LAM_TYPE_TIME},
    {PQ_INT64, PQ_LOGICAL_TIMESTAMP, PQ_NONE, 0, LAM_TYPE_TIMESTAMP},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_NONE, PQ_NONE, 0, LAM_TYPE_BYTES},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_NONE, PQ_CONVERTED_BSON, 0, LAM_TYPE_BYTES},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_NONE, PQ_CONVERTED_UTF8, 0, LAM_TYPE_TEXT},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_NONE, PQ_CONVERTED_ENUM, 0, LAM_TYPE_TEXT},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_NONE, PQ_CONVERTED_JSON, 0, LAM_TYPE_JSON},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_STRING, PQ_NONE, 0, LAM_TYPE_TEXT},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_ENUM, PQ_NONE, 0, LAM_TYPE_TEXT},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_JSON, PQ_NONE, 0, LAM_TYPE_JSON},
    {PQ_BYTE_ARRAY, PQ_LOGICAL_BSON, PQ_NONE, 0, LAM_TYPE_BYTES},
};

static enum lam_type annotated_type(const struct pq_leaf *leaf) {
    bool is_time = leaf->logical == PQ_LOGICAL_TIME || leaf->logical == PQ_LOGICAL_TIMESTAMP;
    if (is_time && leaf->unit != PQ_UNIT_MICROS)
        return LAM_TYPE_NULL;
    for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++)
        if (readable[i].physical == leaf->physical && readable[i].logical == leaf->logical &&
            (leaf->logical != PQ_LOGICAL_NONE || readable[i].converted == leaf->converted) &&
            (!readable[i].bits || (leaf->int_signed && readable[i].bits == leaf->int_bits)))
            return readable[i].type;
    return LAM_TYPE_NULL;
}

bool pq_leaf_type(const struct pq_leaf *leaf, struct coltype *out) {
    *out = (struct coltype){0};
    if (is_decimal(leaf))
        return decimal_type(leaf, out);
    switch (leaf->physical) {
    case PQ_BOOLEAN:
        out->type = LAM_TYPE_BOOLEAN;
        break;
    case PQ_FLOAT:
        out->type = LAM_TYPE_FLOAT;
        break;
    case PQ_DOUBLE:
        out->type = LAM_TYPE_DOUBLE;
        break;
    case PQ_FIXED:
        if (leaf->logical == PQ_LOGICAL_UUID && leaf->type_length == 16)
            out->type = LAM_TYPE_UUID;
        break;
    default:
        out->type = annotated_type(leaf);
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
    float f = (float)v.f64;
    switch (parquet_member_of(type)) {
    case PARQUET_BYTES:
        return v.bytes;
    case PARQUET_I128:
        return store_integer(leaf, v.i128, room);
    case PARQUET_I64:
        return store_integer(leaf, v.i64, room);
    case PARQUET_F64:
        break;
    }
    size_t width = type == LAM_TYPE_FLOAT ? sizeof f : sizeof v.f64;
    memcpy(room, type == LAM_TYPE_FLOAT ? (const void *)&f : &v.f64, width);
    return lam_slice_of(room, width);
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
    switch (parquet_member_of(type)) {
    case PARQUET_BYTES:
        out->bytes = bytes;
        return type != LAM_TYPE_UUID || bytes.size == 16;
    case PARQUET_I128:
        return load_integer(leaf, bytes, &out->i128);
    case PARQUET_I64:
        if (!load_integer(leaf, bytes, &integer))
            return false;
        out->i64 = (int64_t)integer;
        return true;
    case PARQUET_F64:
        break;
    }
    if (bytes.size != (type == LAM_TYPE_FLOAT ? sizeof f : sizeof out->f64))
        return false;
    if (type == LAM_TYPE_FLOAT) {
        memcpy(&f, bytes.data, sizeof f);
        out->f64 = f;
    } else {
        memcpy(&out->f64, bytes.data, sizeof out->f64);
    }
    return !isnan(out->f64);
}
