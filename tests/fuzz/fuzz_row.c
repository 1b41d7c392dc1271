/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary bytes as a row of an arbitrary schema: never outside the row, and what is taken encodes
 * to a row that reads the same. */
#include "catalog/schema.h"
#include "tests/fuzz/fuzz.h"

#define COLUMNS_TRIED 16

static struct schema *make_schema(struct cursor *c) {
    uint32_t count = 1 + cursor_u8(c) % COLUMNS_TRIED;
    struct schema *s;
    if (schema_new(count, &s, NULL) != LAM_OK)
        return NULL;
    s->version = 1 + cursor_u8(c);
    s->column_count = count;
    s->next_column_id = s->next_ordinal = count + 1;
    for (uint32_t i = 0; i < count; i++) {
        struct coltype type = coltype_of((enum lam_type)(1 + cursor_u8(c) % LAM_TYPE_JSON));
        if (type.type == LAM_TYPE_DECIMAL)
            type.precision = 1 + cursor_u8(c) % DECIMAL_PRECISION_MAX;
        s->columns[i] = (struct schema_column){.id = i + 1,
                                               .name = arena_format(&s->arena, "c%u", i),
                                               .type = type,
                                               .nullable = true,
                                               .key_position = -1,
                                               .ordinal = i + 1};
    }
    REQUIRE(schema_seal(s, NULL) == LAM_OK);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    struct schema *s = make_schema(&c);
    struct lam_slice row = cursor_bytes(&c, cursor_left(&c));
    struct value values[COLUMNS_TRIED], again[COLUMNS_TRIED];
    struct row_header header;
    struct buf out = {0};
    if (s && row_decode(row, s, s, values, NULL) == LAM_OK) {
        REQUIRE(row_header_decode(row, &header, NULL) == LAM_OK);
        REQUIRE(row_encode(s, values, header.seq, header.deleted, &out, NULL) == LAM_OK);
        REQUIRE(row_decode(buf_slice(&out), s, s, again, NULL) == LAM_OK);
        for (uint32_t i = 0; i < s->column_count; i++) {
            REQUIRE(values[i].is_null == again[i].is_null);
            REQUIRE(values[i].is_null || value_cmp(&values[i], &again[i]) == 0);
        }
    }
    buf_fini(&out);
    schema_unref(s);
    return 0;
}
