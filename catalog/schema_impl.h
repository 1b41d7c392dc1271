/* SPDX-License-Identifier: Apache-2.0
 *
 * What schema_seal works out, for schema.c and row.c. Bytes: docs/FORMAT.md "Row". */
#ifndef LAMINA_CATALOG_SCHEMA_IMPL_H
#define LAMINA_CATALOG_SCHEMA_IMPL_H

#include "catalog/schema.h"

struct column_name {
    const char *name; /* of the schema's column */
    uint32_t index;
};
struct column_id {
    uint32_t id;
    uint32_t index;
};

/* Where the parts of a row lie; offsets count from its first byte. The schema version is part of
 * the row's head, so all but the variable bytes lies at offsets that the schema fixes. */
struct row_layout {
    uint8_t version[VARINT_MAX]; /* the schema version as rows have it */
    uint32_t version_size;
    uint32_t nulls;            /* offset of the null bitmap */
    uint32_t fixed;            /* offset of the fixed-width values */
    uint32_t ends;             /* offset of the u32 ends of variable columns */
    uint32_t variable;         /* offset of the variable bytes */
    uint32_t variable_count;   /* number of variable columns */
    uint32_t *slots;           /* per column: offset of its value, or of its end */
    struct column_name *names; /* sorted by name */
    struct column_id *ids;     /* sorted by id */
};

/* Bytes of a fixed-width value in a row; 0 for variable width. */
static inline size_t row_width(enum lam_type type) {
    return type == LAM_TYPE_BOOLEAN ? 1 : coltype_width(type);
}

#endif
