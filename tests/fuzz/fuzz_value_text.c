/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary text as every type: what is taken prints as text that reads as the same value. */
#include "catalog/value.h"
#include "tests/fuzz/fuzz.h"

static void try_type(struct lam_slice text, struct coltype type, struct arena *arena) {
    struct value v, again;
    struct buf out = {0};
    if (value_parse(text, type, arena, &v, NULL) != LAM_OK)
        return;
    REQUIRE(value_format(&v, &out, NULL) == LAM_OK);
    REQUIRE(value_parse(buf_slice(&out), type, arena, &again, NULL) == LAM_OK);
    REQUIRE(coltype_eq(v.type, again.type));
    REQUIRE(value_cmp(&v, &again) == 0);
    REQUIRE(value_hash(&v, 1) == value_hash(&again, 1));
    buf_fini(&out);
}

static void try_casts(struct lam_slice text, struct arena *arena) {
    struct value from, to;
    if (value_parse(text, coltype_of(LAM_TYPE_DOUBLE), arena, &from, NULL) != LAM_OK)
        return;
    for (int t = LAM_TYPE_BOOLEAN; t <= LAM_TYPE_JSON; t++) {
        enum lam_code code =
            value_cast(&from, coltype_of((enum lam_type)t), CAST_EXPLICIT, arena, &to, NULL);
        REQUIRE(code == LAM_OK || code == LAM_SQL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct arena arena = {0};
    struct lam_slice text = lam_slice_of(data + 1, size - 1);
    struct coltype type = coltype_of((enum lam_type)(1 + data[0] % LAM_TYPE_JSON));
    try_type(text, type, &arena);
    if (type.type == LAM_TYPE_DECIMAL)
        try_type(text, (struct coltype){LAM_TYPE_DECIMAL, 38, data[0] % 39, 0}, &arena);
    if (type.type == LAM_TYPE_TEXT)
        try_type(text, (struct coltype){LAM_TYPE_TEXT, 0, 0, 1 + data[0]}, &arena);
    if (type.type == LAM_TYPE_DOUBLE)
        try_casts(text, &arena);
    arena_fini(&arena);
    return 0;
}
