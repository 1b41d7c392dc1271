/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of the system tables, and of an embedder's entity with a field of every type. What is
 * taken encodes to the very same key and value, unless an older release wrote fewer fields. */
#include "catalog/entity_impl.h"
#include "tests/fuzz/fuzz.h"

static const struct entity_field fields[] = {
    {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
    {.name = "name", .type = LAM_TYPE_TEXT, .key = true},
    {.name = "b", .type = LAM_TYPE_BOOLEAN, .nullable = true},
    {.name = "s", .type = LAM_TYPE_SMALLINT, .nullable = true},
    {.name = "i", .type = LAM_TYPE_INT, .nullable = true},
    {.name = "f", .type = LAM_TYPE_FLOAT, .nullable = true},
    {.name = "d", .type = LAM_TYPE_DOUBLE, .nullable = true},
    {.name = "n", .type = LAM_TYPE_DECIMAL, .precision = 12, .scale = 3, .nullable = true},
    {.name = "y", .type = LAM_TYPE_BYTES, .nullable = true},
    {.name = "t", .type = LAM_TYPE_TIMESTAMP, .nullable = true},
    {.name = "a", .type = LAM_TYPE_DATE, .nullable = true},
    {.name = "c", .type = LAM_TYPE_TIME, .nullable = true},
    {.name = "u", .type = LAM_TYPE_UUID, .nullable = true},
    {.name = "j", .type = LAM_TYPE_JSON, .nullable = true},
};
static const struct entity_def every_type = {.name = "every",
                                             .prefix = "entity:",
                                             .fields = fields,
                                             .field_count = sizeof fields / sizeof fields[0]};

#define FIELDS_MAX 32

/* Whatever a scan of a system table does with the values. */
static void use(const struct entity_def *def, const struct value *record, struct arena *arena) {
    struct buf text = {0};
    struct value cast;
    for (uint32_t i = 0; i < def->field_count; i++) {
        struct column column;
        struct coltype type = entity_field_type(&def->fields[i]);
        column_init(&column, type);
        fuzz_ok(column_append_value(&column, &record[i], NULL), NULL);
        struct value back = column_value(&column, 0);
        REQUIRE(back.is_null == record[i].is_null);
        REQUIRE(back.is_null || value_cmp(&back, &record[i]) == 0);
        column_fini(&column);
        if (record[i].is_null)
            continue;
        fuzz_ok(value_format(&record[i], &text, NULL), NULL);
        enum lam_code rc =
            value_cast(&record[i], coltype_of(LAM_TYPE_TEXT), CAST_EXPLICIT, arena, &cast, NULL);
        REQUIRE(rc == LAM_OK || rc == LAM_SQL);
    }
    buf_fini(&text);
}

static void try_record(const struct entity_def *def, struct lam_slice key, struct lam_slice value) {
    struct arena arena = {0};
    struct value record[FIELDS_MAX];
    struct buf key_again = {0}, value_again = {0};
    struct lam_error err = {0};
    REQUIRE(def->field_count <= FIELDS_MAX);
    enum lam_code rc = record_decode(def, "fuzz", key, value, &arena, record, &err);
    REQUIRE(rc == LAM_OK || rc == LAM_CORRUPT);
    if (rc == LAM_OK) {
        fuzz_ok(record_key(def, record, &key_again, NULL), NULL);
        REQUIRE(slice_eq(buf_slice(&key_again), key));
        fuzz_ok(record_encode(def, record, &value_again, NULL), NULL);
        REQUIRE(value_again.data[1] != value.data[1] || slice_eq(buf_slice(&value_again), value));
        use(def, record, &arena);
    }
    buf_fini(&key_again);
    buf_fini(&value_again);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(lam_slice_of(data, size));
    uint8_t which = cursor_u8(&c) % (ENTITY_COUNT + 1);
    struct lam_slice key = fuzz_take(&c, cursor_u8(&c));
    const struct entity_def *def =
        which == ENTITY_COUNT ? &every_type : entity_definition((enum entity_id)which);
    try_record(def, key, fuzz_rest(&c));
    return 0;
}
