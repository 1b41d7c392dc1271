/* SPDX-License-Identifier: Apache-2.0
 *
 * Schemas for tests of the catalog. */
#ifndef LAMINA_TESTS_CATALOG_SCHEMAS_H
#define LAMINA_TESTS_CATALOG_SCHEMAS_H

#include "catalog/schema.h"
#include "tests/catalog/values.h"

static struct lam_error schemas_err;

/* Columns c1, c2, ... of the given types with ids 1, 2, ...; the first is the key. Not sealed. */
static inline struct schema *schema_of(const struct coltype *types, uint32_t count) {
    struct schema *s;
    if (schema_new(count, &s, &schemas_err) != LAM_OK)
        return NULL;
    s->table.number = 77;
    s->column_count = count;
    for (uint32_t i = 0; i < count; i++) {
        s->columns[i] = (struct schema_column){
            .id = i + 1,
            .name = arena_format(&s->arena, "c%u", i + 1),
            .type = types[i],
            .nullable = i > 0,
            .key_position = i == 0 ? 0 : -1,
            .initial = value_null(types[i]),
            .ordinal = i + 1,
        };
    }
    s->key_count = 1;
    s->next_column_id = count + 1;
    s->next_ordinal = count + 1;
    return s;
}

static inline struct schema *random_schema(struct rng *r) {
    struct coltype types[40];
    uint32_t count = 1 + (uint32_t)rng_below(r, 40);
    for (uint32_t i = 0; i < count; i++)
        types[i] = random_coltype(r);
    struct schema *s = schema_of(types, count);
    s->version = 1 + (uint32_t)rng_below(r, 300);
    for (uint32_t i = 1; i < count; i++) {
        struct schema_column *c = &s->columns[i];
        c->nullable = rng_below(r, 2);
        c->on_insert.kind = (enum default_kind)rng_below(r, DEFAULT_ULID + 1);
        if (c->on_insert.kind == DEFAULT_VALUE)
            c->on_insert.value =
                rng_below(r, 3) ? random_value(r, c->type, &s->arena) : value_null(c->type);
        if (rng_below(r, 3) == 0)
            c->initial = random_value(r, c->type, &s->arena);
    }
    return s;
}

#endif
