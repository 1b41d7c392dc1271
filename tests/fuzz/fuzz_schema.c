/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary bytes as a schema record: what is taken is a right schema whose record reads back. */
#include "catalog/schema.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct schema *s, *again;
    if (schema_decode(lam_slice_of(data, size), &s, NULL) != LAM_OK)
        return 0;
    struct buf record = {0}, json = {0};
    REQUIRE(schema_encode(s, &record, NULL) == LAM_OK);
    REQUIRE(schema_decode(buf_slice(&record), &again, NULL) == LAM_OK);
    REQUIRE(again->column_count == s->column_count && again->version == s->version);
    REQUIRE(schema_to_json(s, &json, NULL) == LAM_OK);
    REQUIRE(json_valid(buf_slice(&json), NULL));
    schema_unref(again);
    schema_unref(s);
    buf_fini(&record);
    buf_fini(&json);
    return 0;
}
