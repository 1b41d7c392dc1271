/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of entity stores: shared by the store (entity.c), the record codec (entity_codec.c) and
 * the indexes (entity_index.c).
 *
 * Record, the value of a key: u8 format 1, varint count of the fields outside the key, a bitmap of
 * those that are present (least significant bit first), then the present ones in field order:
 * BOOLEAN one byte; SMALLINT, INT, BIGINT, TIMESTAMP, DATE, TIME zigzag varint; FLOAT, DOUBLE 8
 * bytes IEEE; DECIMAL and UUID 16; TEXT, BYTES, JSON varint length and bytes. Fields that a later
 * release adds behind the last one read as NULL from older records. Index entry: extracted key,
 * behind it the primary key unless the index is unique; the value is the primary key. */
#ifndef LAMINA_CATALOG_ENTITY_IMPL_H
#define LAMINA_CATALOG_ENTITY_IMPL_H

#include "base/thread.h"
#include "catalog/entity.h"

struct entity_store {
    lam_db *db;                   /* borrowed */
    const struct entity_def *def; /* borrowed */
    lam_partition *partition;     /* "<prefix><name>"; owned */
    lam_partition **indexes;      /* "<prefix><name>#<index>", in order of the definition; owned */
    struct mutex mu;              /* RANK_STORE: one read-then-write at a time */
};

/* What a message calls the entity: "system.users" is label and name. */
static inline const char *entity_label(const struct entity_def *def) {
    return def->prefix ? def->prefix : "system.";
}

/* --- entity_codec.c --- */
MUST_CHECK enum lam_code record_encode(const struct entity_def *def, const struct value *record,
                                       struct buf *out, struct lam_error *err);
/* Bytes borrow `value`; those of the key come from the arena. `where` names the partition. */
MUST_CHECK enum lam_code record_decode(const struct entity_def *def, const char *where,
                                       struct lam_slice key, struct lam_slice value,
                                       struct arena *arena, struct value *record_out,
                                       struct lam_error *err);
/* Key of a record; `record` has all fields. */
MUST_CHECK enum lam_code record_key(const struct entity_def *def, const struct value *record,
                                    struct buf *out, struct lam_error *err);
/* Key, or the front of one, from `count` values of the key fields. */
MUST_CHECK enum lam_code record_key_prefix(const struct entity_def *def, const struct value *key,
                                           uint32_t count, struct buf *out, struct lam_error *err);
uint32_t record_key_count(const struct entity_def *def);

/* --- entity_index.c: adds to a batch what takes the indexes from `old` to `now` (NULL: absent);
 * EXISTS if a unique key is another record's. --- */
MUST_CHECK enum lam_code entity_index_change(struct entity_store *s, lam_batch *batch,
                                             struct lam_slice key, const struct value *old,
                                             const struct value *now, struct lam_error *err);

/* Whether each index has the entry of a record. */
MUST_CHECK enum lam_code entity_index_check_record(struct entity_store *s, struct lam_slice key,
                                                   const struct value *record,
                                                   struct lam_error *err);
/* Whether an entry of an index is that of the record it leads to. */
MUST_CHECK enum lam_code entity_index_check_entry(struct entity_store *s, uint32_t index,
                                                  struct lam_slice entry, struct lam_slice key,
                                                  struct arena *arena, struct lam_error *err);

#endif
