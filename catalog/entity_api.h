/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the public entity store: cells to values (entity_cell.c), descriptions
 * (entity_describe.c) and the calls (entity_api.c), all over the catalog's own entity store. */
#ifndef LAMINA_CATALOG_ENTITY_API_H
#define LAMINA_CATALOG_ENTITY_API_H

#include "catalog/entity_impl.h"
#include "lamina/entity.h"

#define ENTITY_PREFIX "entity:"
/* The partition that holds the descriptions by name: u8 format 1, u8 state, text. */
#define ENTITY_DESCRIPTIONS ENTITY_PREFIX "#descriptions"

/* What an index orders by. */
struct index_part {
    uint32_t field; /* of the entity */
    bool descending;
};
/* Context of an index's extractor. In the entity's arena. */
struct index_plan {
    const struct entity_def *def;
    bool unique;
    uint32_t part_count;
    struct index_part *parts;
    bool (*wants)(void *arg, const struct lam_cell *record); /* NULL: every record */
    void *arg;
};

struct lam_entity {
    struct entity_layer *layer; /* borrowed */
    struct lam_entity *next;    /* in the layer's list; guarded by its mutex */
    struct arena memory;        /* the description */
    struct entity_def def;
    struct index_plan *plans; /* [def.index_count]; in the arena */
    struct entity_store *store;
};

/* --- entity_cell.c --- */

/* INVALID names the entity and the field. Bytes borrow the cell or the arena. */
MUST_CHECK enum lam_code cell_to_value(const struct entity_def *def,
                                       const struct entity_field *field,
                                       const struct lam_cell *cell, struct arena *arena,
                                       struct value *out, struct lam_error *err);
/* Bytes borrow the value or the arena. */
MUST_CHECK enum lam_code cell_from_value(const struct value *v, struct arena *arena,
                                         struct lam_cell *out, struct lam_error *err);
/* A record's cells, in the arena. */
MUST_CHECK enum lam_code cells_of_record(const struct entity_def *def, const struct value *record,
                                         struct arena *arena, struct lam_cell **out,
                                         struct lam_error *err);

/* --- entity_describe.c --- */

/* Checks a description and copies it into `e` (memory, def, plans). INVALID, LIMIT. */
MUST_CHECK enum lam_code entity_describe(struct lam_entity *e, const struct lam_entity_desc *desc,
                                         struct lam_error *err);
/* Appends the description as text, a line a field or index: equal texts are equal descriptions. */
MUST_CHECK enum lam_code entity_description(const struct lam_entity *e, struct buf *out,
                                            struct lam_error *err);
/* A description that has this text, if any has: without the callbacks of partial indexes, whose
 * entries are only known to belong to records. Everything is of the arena. */
MUST_CHECK enum lam_code entity_description_parse(const char *name, struct lam_slice text,
                                                  struct arena *arena, struct lam_entity_desc *out,
                                                  struct lam_error *err);
bool entity_wants_unknown(void *arg, const struct lam_cell *record);
/* INVALID naming the first line in which the texts differ. Each of their lines is ended. */
MUST_CHECK enum lam_code entity_compare(const char *name, struct lam_slice given,
                                        struct lam_slice stored, struct lam_error *err);
/* Whether a name has the form that names have here. */
bool entity_name_valid(const char *name);

#endif
