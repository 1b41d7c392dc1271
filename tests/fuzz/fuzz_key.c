/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary bytes as parts of a key: what is taken encodes to the very same bytes. */
#include "catalog/key.h"
#include "tests/fuzz/fuzz.h"

static struct coltype part_type(uint8_t pick) {
    struct coltype type = coltype_of((enum lam_type)(1 + pick % LAM_TYPE_JSON));
    if (type.type == LAM_TYPE_DECIMAL)
        type.precision = DECIMAL_PRECISION_MAX;
    return type;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    struct arena arena = {0};
    struct buf out = {0};
    while (cursor_left(&c) > 1) {
        uint8_t pick = cursor_u8(&c);
        bool nullable = pick & 0x80, descending = pick & 0x40;
        struct coltype type = part_type(pick & 0x3F);
        struct cursor start = c;
        struct value v;
        if (key_get_value(&c, type, nullable, descending, &arena, &v, NULL) != LAM_OK)
            break;
        buf_reset(&out);
        REQUIRE(key_put_value(&out, &v, nullable, descending, NULL) == LAM_OK);
        REQUIRE(slice_eq(buf_slice(&out), lam_slice_of(start.at, (size_t)(c.at - start.at))));
    }
    buf_fini(&out);
    arena_fini(&arena);
    return 0;
}
