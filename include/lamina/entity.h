/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed records without SQL: an entity is described once - fields, key, indexes - and the store
 * keeps records of it, each change atomic with all its index entries.
 *
 *     static const struct lam_entity_field fields[] = {
 *         {.name = "id", .type = LAM_TYPE_BIGINT, .key = true},
 *         {.name = "email", .type = LAM_TYPE_TEXT, .nullable = true},
 *     };
 *     static const struct lam_entity_part email[] = {{.field = "email"}};
 *     static const struct lam_entity_index indexes[] = {
 *         {.name = "by_email", .unique = true, .parts = email, .part_count = 1},
 *     };
 *     static const struct lam_entity_desc contacts = {"contacts", fields, 2, indexes, 1};
 *
 *     lam_entity_open(db, &contacts, &store, &err);
 *     struct lam_cell row[] = {lam_cell_int64(LAM_TYPE_BIGINT, 1), lam_cell_text("ann@example")};
 *     lam_entity_insert(store, row, LAM_DURABILITY_DEFAULT, &err);
 *
 * Records live in partitions whose names start with "entity:"; leave those alone. There are no
 * sessions, users or roles here: the application is trusted.
 *
 * Threads: a lam_entity may be used by any number of threads at once. Writers of one entity go one
 * at a time, so that two of them can't both take a unique key nor leave a stale index entry;
 * readers wait for nobody. A record is an array of cells in field order. */
#ifndef LAMINA_ENTITY_H
#define LAMINA_ENTITY_H

#include "lamina/db.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAM_ENTITY_FIELDS_MAX  1000
#define LAM_ENTITY_INDEXES_MAX 64
#define LAM_ENTITY_NAME_MAX    64

typedef struct lam_entity lam_entity;

/* One value. A cell given to a call is borrowed for the call. */
struct lam_cell {
    enum lam_type type; /* the field's; of no account where is_null is set */
    bool is_null;
    union {
        bool boolean;
        int64_t int64;  /* SMALLINT, INT, BIGINT; TIMESTAMP, DATE, TIME as enum lam_type says */
        double float64; /* DOUBLE; FLOAT, rounded to the nearest */
        uint8_t uuid[16];
        struct lam_slice bytes; /* TEXT (UTF-8), BYTES, JSON; DECIMAL as text: "-12.50" */
    } as;
};

static inline struct lam_cell lam_cell_null(void) {
    struct lam_cell c;
    memset(&c, 0, sizeof c);
    c.is_null = true;
    return c;
}
static inline struct lam_cell lam_cell_bool(bool v) {
    struct lam_cell c;
    memset(&c, 0, sizeof c);
    c.type = LAM_TYPE_BOOLEAN;
    c.as.boolean = v;
    return c;
}
/* SMALLINT, INT, BIGINT, TIMESTAMP, DATE, TIME. */
static inline struct lam_cell lam_cell_int64(enum lam_type type, int64_t v) {
    struct lam_cell c;
    memset(&c, 0, sizeof c);
    c.type = type;
    c.as.int64 = v;
    return c;
}
/* FLOAT, DOUBLE. */
static inline struct lam_cell lam_cell_double(enum lam_type type, double v) {
    struct lam_cell c;
    memset(&c, 0, sizeof c);
    c.type = type;
    c.as.float64 = v;
    return c;
}
/* TEXT, BYTES, JSON, DECIMAL; borrows the bytes. */
static inline struct lam_cell lam_cell_bytes(enum lam_type type, struct lam_slice v) {
    struct lam_cell c;
    memset(&c, 0, sizeof c);
    c.type = type;
    c.as.bytes = v;
    return c;
}
static inline struct lam_cell lam_cell_text(const char *v) {
    return lam_cell_bytes(LAM_TYPE_TEXT, lam_slice_str(v));
}
/* 16 bytes, copied. */
static inline struct lam_cell lam_cell_uuid(const void *v) {
    struct lam_cell c;
    memset(&c, 0, sizeof c);
    c.type = LAM_TYPE_UUID;
    memcpy(c.as.uuid, v, sizeof c.as.uuid);
    return c;
}

/* --- descriptions --- */

/* Names are [a-z][a-z0-9_]*, at most LAM_ENTITY_NAME_MAX. */
struct lam_entity_field {
    const char *name;
    enum lam_type type;
    uint8_t precision; /* DECIMAL: 1 to 38 digits; else 0 */
    uint8_t scale;     /* DECIMAL: 0 to precision; else 0 */
    bool nullable;
    bool key; /* part of the key, in field order; at least one field is; not nullable */
};
struct lam_entity_part {
    const char *field;
    bool descending;
};
struct lam_entity_index {
    const char *name;
    /* No two records of the index have the same values in all parts; a NULL is like no other. */
    bool unique;
    const struct lam_entity_part *parts; /* what it orders by; at least one */
    uint32_t part_count;
    /* Whether a record is in the index; NULL: all are. Called while the store is locked: it must
     * not call the library. Its answer may depend on the record only, and stay the same as long as
     * there are records: to change it, drop the entity or give the index another name. */
    bool (*wants)(void *arg, const struct lam_cell *record);
    void *arg; /* of `wants` */
};
struct lam_entity_desc {
    const char *name;
    const struct lam_entity_field *fields;
    uint32_t field_count;
    const struct lam_entity_index *indexes;
    uint32_t index_count;
};

/* Opens an entity, making it (durably) if the database has none of this name. The description is
 * copied. INVALID: the description is faulty, or it is not the one that the entity was made with;
 * the message names the first difference. BUSY: it is open already; share that handle. The
 * database can't be closed before: lam_entity_close. */
LAM_API LAM_MUST_CHECK enum lam_code lam_entity_open(lam_db *db, const struct lam_entity_desc *desc,
                                                     lam_entity **entity_out,
                                                     struct lam_error *err);
/* No call on the handle may be under way. NULL is allowed. */
LAM_API void lam_entity_close(lam_entity *entity);
/* Removes an entity with all its records. NOT_FOUND; BUSY while it is open. What a crash or
 * a failure leaves of a drop under way is finished when the entity is opened or dropped the next
 * time. */
LAM_API LAM_MUST_CHECK enum lam_code lam_entity_drop(lam_db *db, const char *name,
                                                     struct lam_error *err);

/* --- changes: each is one atomic batch with its index entries --- */

/* `record`: a cell a field. INVALID names the field whose cell has the wrong type, is out of range,
 * not UTF-8, not JSON, a NULL where none may be, or a DECIMAL of more digits than the field has. A
 * taken key (insert), or a taken unique index, is EXISTS and changes nothing; update of an absent
 * key is NOT_FOUND; put does either. */
LAM_API LAM_MUST_CHECK enum lam_code lam_entity_insert(lam_entity *entity,
                                                       const struct lam_cell *record,
                                                       enum lam_durability durability,
                                                       struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_entity_update(lam_entity *entity,
                                                       const struct lam_cell *record,
                                                       enum lam_durability durability,
                                                       struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_entity_put(lam_entity *entity,
                                                    const struct lam_cell *record,
                                                    enum lam_durability durability,
                                                    struct lam_error *err);
/* `key`: a cell a key field. NOT_FOUND if there is none. */
LAM_API LAM_MUST_CHECK enum lam_code lam_entity_delete(lam_entity *entity,
                                                       const struct lam_cell *key,
                                                       enum lam_durability durability,
                                                       struct lam_error *err);

/* --- reads; `snapshot` may be NULL: the newest state --- */

/* A record read. All-zero is empty. */
struct lam_record {
    const struct lam_cell *cells; /* valid until lam_record_release */
    uint32_t count;
    void *memory; /* the library's */
};
LAM_API void lam_record_release(struct lam_record *record);

/* NOT_FOUND if there is none. On success `*record_out` is overwritten and the caller's. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_entity_get(lam_entity *entity, const lam_snapshot *snapshot, const struct lam_cell *key,
               struct lam_record *record_out, struct lam_error *err);
/* Gets each record until it returns false. The cells are valid in the call. No lock is held: it may
 * call the library, and sees one moment of the store whatever it changes. */
typedef bool (*lam_entity_fn)(void *arg, const struct lam_cell *record);
/* Records whose first `prefix_count` key fields equal `prefix`, in key order. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_entity_scan(lam_entity *entity, const lam_snapshot *snapshot, const struct lam_cell *prefix,
                uint32_t prefix_count, lam_entity_fn fn, void *arg, struct lam_error *err);
/* Records of an index whose first `prefix_count` parts equal `prefix`, in the index's order (NULLs
 * last, first where descending), then by key. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_entity_scan_index(lam_entity *entity, const lam_snapshot *snapshot, const char *index,
                      const struct lam_cell *prefix, uint32_t prefix_count, lam_entity_fn fn,
                      void *arg, struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
