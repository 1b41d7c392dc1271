/* SPDX-License-Identifier: Apache-2.0
 *
 * Entities: typed records, of the system tables and of the embedder. One description (a C table of
 * fields) gives the record codec, the key codec, the SQL columns and the `system.*` table; one
 * description of each index (a key extractor that may say none) keeps it in step with the records.
 *
 * A record is an array of values in field order. */
#ifndef LAMINA_CATALOG_ENTITY_H
#define LAMINA_CATALOG_ENTITY_H

#include "catalog/entities.h"
#include "catalog/schema.h"
#include "lsm/lsm.h"

enum entity_id {
    ENTITY_NAMESPACES = 0,
    ENTITY_TABLES,
    ENTITY_TABLE_SCHEMAS,
    ENTITY_USERS,
    ENTITY_STORAGES,
    ENTITY_JOBS,
    ENTITY_AUDIT_LOG,
    ENTITY_COUNT,
};

struct entity_field {
    const char *name;
    enum lam_type type;
    uint8_t precision, scale; /* DECIMAL */
    bool nullable;
    bool key;    /* part of the primary key, in field order */
    bool secret; /* never leaves through SQL (shown as NULL to all but role system) */
    bool hidden; /* no column of the SQL table: binary records of the catalog's own */
};
struct entity_index {
    const char *name;
    bool unique;
    /* Appends the index key of a record, or sets `*none_out` where the record is not in the index
     * (partial index). Depends on nothing but the record. */
    enum lam_code (*extract)(const void *context, const struct value *record, struct buf *key_out,
                             bool *none_out, struct lam_error *err);
    const void *context; /* for `extract`; borrowed, lives as long as the store */
    bool is_guess;       /* `extract` may give a key where none is wanted: for verification only */
};
struct entity_def {
    const char *name; /* "users": partition system_users, table system.users */
    /* Before the name in partitions and messages, for entities that are no system tables; NULL:
     * "system_" and "system.". */
    const char *prefix;
    const struct entity_field *fields;
    uint32_t field_count;
    const struct entity_index *indexes;
    uint32_t index_count;
};

struct entity_store;

/* Type of a field with its parameters. */
static inline struct coltype entity_field_type(const struct entity_field *field) {
    return (struct coltype){
        .type = field->type, .precision = field->precision, .scale = field->scale};
}
/* All fields NULL of their types, to be filled. */
void entity_record_init(const struct entity_def *def, struct value *record);

MUST_CHECK enum lam_code entity_store_open(lam_db *db, const struct entity_def *def,
                                           struct entity_store **store_out, struct lam_error *err);
void entity_store_close(struct entity_store *s);

/* All of these keep the indexes in step in one batch, one writer of a store at a time, so
 * concurrent writers can't leave a stale entry. insert: EXISTS on a taken key or unique index (the
 * message names it). update: NOT_FOUND if absent; `put` does either. */
MUST_CHECK enum lam_code entity_insert(struct entity_store *s, const struct value *record,
                                       enum lam_durability durability, struct lam_error *err);
MUST_CHECK enum lam_code entity_update(struct entity_store *s, const struct value *record,
                                       enum lam_durability durability, struct lam_error *err);
MUST_CHECK enum lam_code entity_put(struct entity_store *s, const struct value *record,
                                    enum lam_durability durability, struct lam_error *err);
/* `key`: values of the key fields. NOT_FOUND if absent. */
MUST_CHECK enum lam_code entity_delete(struct entity_store *s, const struct value *key,
                                       enum lam_durability durability, struct lam_error *err);
/* The same as parts of a larger batch: the caller serialises writers of these records himself, from
 * this call to the commit. A taken unique index is EXISTS here too. */
MUST_CHECK enum lam_code entity_batch_put(struct entity_store *s, lam_batch *batch,
                                          const struct value *record, struct lam_error *err);
MUST_CHECK enum lam_code entity_batch_delete(struct entity_store *s, lam_batch *batch,
                                             const struct value *key, struct lam_error *err);
/* Reads one record into values[field_count]; bytes from the arena. NOT_FOUND. `snapshot` may be
 * NULL. */
MUST_CHECK enum lam_code entity_get(struct entity_store *s, const lam_snapshot *snapshot,
                                    const struct value *key, struct arena *arena,
                                    struct value *record_out, struct lam_error *err);
/* Calls `fn` for records in key order whose leading key fields equal key_prefix[0..prefix_count);
 * false stops. The record's bytes are valid in the call. */
typedef bool (*entity_fn)(void *arg, const struct value *record);
MUST_CHECK enum lam_code entity_scan(struct entity_store *s, const lam_snapshot *snapshot,
                                     const struct value *key_prefix, uint32_t prefix_count,
                                     entity_fn fn, void *arg, struct lam_error *err);
/* The same through an index: entries whose index key starts with `prefix`. */
MUST_CHECK enum lam_code entity_scan_index(struct entity_store *s, const lam_snapshot *snapshot,
                                           const char *index, struct lam_slice prefix, entity_fn fn,
                                           void *arg, struct lam_error *err);

/* The catalog's own stores and their definitions. */
struct catalog;
struct entity_store *catalog_entity(struct catalog *c, enum entity_id id);
/* Entity of a `system.<name>` table; false if there is none. */
bool entity_lookup(struct lam_slice name, enum entity_id *id_out);
const struct entity_def *entity_definition(enum entity_id id);

#endif
