/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary bytes as parts of a key: what is taken encodes to the very same bytes, and moving over
 * it without decoding ends at the same place. */
#include "catalog/key.h"
#include "tests/fuzz/fuzz.h"

static struct coltype part_type(uint8_t pick) {
    struct coltype type = coltype_of((enum lam_type)(1 + pick % LAM_TYPE_JSON));
    if (type.type == LAM_TYPE_DECIMAL)
        type.precision = DECIMAL_PRECISION_MAX;
    return type;
}

static void try_typed(struct lam_slice bytes, struct arena *arena) {
    struct buf out = {0};
    struct user_row_id row;
    struct table_schema_id schema;
    if (user_row_id_decode(bytes, arena, &row, NULL) == LAM_OK) {
        REQUIRE(user_row_id_encode(row, &out, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&out), bytes));
    }
    buf_reset(&out);
    if (table_schema_id_decode(bytes, arena, &schema, NULL) == LAM_OK) {
        REQUIRE(table_schema_id_encode(schema, &out, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&out), bytes));
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    struct arena arena = {0};
    struct buf out = {0};
    try_typed(lam_slice_of(data, size), &arena);
    while (cursor_left(&c) > 1) {
        uint8_t pick = cursor_u8(&c);
        bool nullable = pick & 0x80, descending = pick & 0x40;
        struct coltype type = part_type(pick & 0x3F);
        struct cursor start = c, skipped = c;
        struct value v;
        if (key_get_value(&c, type, nullable, descending, &arena, &v, NULL) != LAM_OK)
            break;
        REQUIRE(key_skip_value(&skipped, type.type, nullable, descending, NULL) == LAM_OK);
        REQUIRE(skipped.at == c.at);
        buf_reset(&out);
        REQUIRE(key_put_value(&out, &v, nullable, descending, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&out), lam_slice_of(start.at, (size_t)(c.at - start.at))));
    }
    buf_fini(&out);
    arena_fini(&arena);
    return 0;
}
