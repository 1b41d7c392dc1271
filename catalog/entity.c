/* SPDX-License-Identifier: Apache-2.0
 *
 * Entity stores: records of one description in a partition of their own, each change made with its
 * index entries in one batch. A change reads the old record to know the old entries, so changes of
 * one store go one at a time under its mutex; reads take no lock. */
#include <stdio.h>

#include "base/assert.h"
#include "catalog/entity_impl.h"

static enum lam_code open_partition(lam_db *db, const char *name, bool may_make,
                                    lam_partition **out, struct lam_error *err) {
    struct lam_error missing = {0};
    enum lam_code rc = lam_partition_open(db, name, out, &missing);
    if (rc == LAM_OK)
        return LAM_OK;
    if (rc != LAM_NOT_FOUND)
        return error_pass(err, rc, &missing);
    if (!may_make)
        return ERR(err, LAM_CORRUPT, "partition %s is missing", name);
    if (db_is_read_only(db))
        return ERR(err, LAM_READ_ONLY, "partition %s cannot be made: opened read-only", name);
    return lam_partition_create(db, name, NULL, out, err);
}

static enum lam_code store_open(struct entity_store *s, struct lam_error *err) {
    char name[LAM_PARTITION_NAME_MAX + 1];
    char index[LAM_PARTITION_NAME_MAX + 1];
    const char *prefix = s->def->prefix ? s->def->prefix : "system_";
    snprintf(name, sizeof name, "%s%s", prefix, s->def->name);
    struct lam_error ignored = {0};
    enum lam_code rc = lam_partition_open(s->db, name, &s->partition, &ignored);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND)
        return error_pass(err, rc, &ignored);
    /* The indexes are made before the store's own partition: where that one is there, so are they,
     * and a crash in between is finished by the next open. */
    bool fresh = rc == LAM_NOT_FOUND;
    for (uint32_t i = 0; i < s->def->index_count; i++) {
        snprintf(index, sizeof index, "%s%s#%s", prefix, s->def->name, s->def->indexes[i].name);
        TRY(open_partition(s->db, index, fresh, &s->indexes[i], err));
    }
    return fresh ? open_partition(s->db, name, true, &s->partition, err) : LAM_OK;
}

enum lam_code entity_store_open(lam_db *db, const struct entity_def *def,
                                struct entity_store **store_out, struct lam_error *err) {
    LAM_ASSERT(record_key_count(def) > 0);
    struct entity_store *s = mem_calloc(1, sizeof *s);
    if (!s)
        return mem_fail(err, sizeof *s);
    s->db = db;
    s->def = def;
    mutex_init(&s->mu, RANK_STORE);
    enum lam_code rc = LAM_OK;
    if (def->index_count) {
        s->indexes = mem_calloc(def->index_count, sizeof(struct lam_partition *));
        if (!s->indexes)
            TRY_GOTO(mem_fail(err, def->index_count * sizeof(struct lam_partition *)));
    }
    TRY_GOTO(store_open(s, err));
    *store_out = s;
    return LAM_OK;
out:
    entity_store_close(s);
    return rc;
}

void entity_store_close(struct entity_store *s) {
    if (!s)
        return;
    if (s->indexes) {
        for (uint32_t i = 0; i < s->def->index_count; i++)
            lam_partition_release(s->indexes[i]);
    }
    mem_free(s->indexes);
    lam_partition_release(s->partition);
    mutex_fini(&s->mu);
    mem_free(s);
}

/* Reads and decodes; the arena gets a copy of the bytes. */
static enum lam_code get_record(struct entity_store *s, const lam_snapshot *snapshot,
                                struct lam_slice key, struct arena *arena, struct value *record_out,
                                struct lam_error *err) {
    struct lam_read_options options = {.snapshot = snapshot};
    struct lam_value value = {0};
    enum lam_code rc = lam_get(s->db, &options, s->partition, key, &value, err);
    if (rc != LAM_OK)
        return rc;
    uint8_t *copy = arena_dup(arena, value.bytes.data, value.bytes.size);
    struct lam_slice bytes = lam_slice_of(copy, value.bytes.size);
    lam_value_release(&value);
    if (!copy)
        return mem_fail(err, bytes.size);
    return record_decode(s->def, lam_partition_name(s->partition), key, bytes, arena, record_out,
                         err);
}

enum change_kind {
    CHANGE_INSERT,
    CHANGE_UPDATE,
    CHANGE_PUT,
    CHANGE_DELETE,
};

/* Adds one change to a batch. `record` is NULL for a delete. */
static enum lam_code add_change(struct entity_store *s, lam_batch *batch, enum change_kind kind,
                                struct lam_slice key, const struct value *record,
                                struct lam_error *err) {
    struct arena arena = {0};
    struct buf value = {0};
    struct lam_error missing = {0};
    enum lam_code rc = LAM_NO_MEMORY;
    struct value *old = arena_calloc(&arena, s->def->field_count, sizeof *old);
    if (!old)
        TRY_GOTO(mem_fail(err, s->def->field_count * sizeof *old));
    rc = get_record(s, NULL, key, &arena, old, &missing);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND) {
        if (err)
            *err = missing;
        goto out;
    }
    bool found = rc == LAM_OK;
    if (found && kind == CHANGE_INSERT)
        TRY_GOTO(ERR(err, LAM_EXISTS, "%s%s: a record of this key exists", entity_label(s->def),
                     s->def->name));
    if (!found && (kind == CHANGE_UPDATE || kind == CHANGE_DELETE))
        TRY_GOTO(ERR(err, LAM_NOT_FOUND, "%s%s: no record of this key", entity_label(s->def),
                     s->def->name));
    TRY_GOTO(entity_index_change(s, batch, key, found ? old : NULL, record, err));
    if (record) {
        TRY_GOTO(record_encode(s->def, record, &value, err));
        TRY_GOTO(lam_batch_put(batch, s->partition, key, buf_slice(&value), err));
    } else {
        TRY_GOTO(lam_batch_delete(batch, s->partition, key, err));
    }
out:
    buf_fini(&value);
    arena_fini(&arena);
    return rc;
}

/* One change with its own commit. */
static enum lam_code change(struct entity_store *s, enum change_kind kind, struct lam_slice key,
                            const struct value *record, enum lam_durability durability,
                            struct lam_error *err) {
    struct lam_write_options options = {.durability = durability};
    OWNED(lam_batch_free_at) lam_batch *batch = NULL;
    TRY(lam_batch_new(s->db, &batch, err));
    mutex_lock(&s->mu);
    enum lam_code rc = add_change(s, batch, kind, key, record, err);
    if (rc == LAM_OK)
        rc = lam_write(s->db, &options, batch, NULL, err);
    mutex_unlock(&s->mu);
    return rc;
}

static enum lam_code change_record(struct entity_store *s, enum change_kind kind,
                                   const struct value *record, enum lam_durability durability,
                                   struct lam_error *err) {
    OWNED(buf_fini) struct buf key = {0};
    TRY(record_key(s->def, record, &key, err));
    return change(s, kind, buf_slice(&key), record, durability, err);
}

enum lam_code entity_insert(struct entity_store *s, const struct value *record,
                            enum lam_durability durability, struct lam_error *err) {
    return change_record(s, CHANGE_INSERT, record, durability, err);
}

enum lam_code entity_update(struct entity_store *s, const struct value *record,
                            enum lam_durability durability, struct lam_error *err) {
    return change_record(s, CHANGE_UPDATE, record, durability, err);
}

enum lam_code entity_put(struct entity_store *s, const struct value *record,
                         enum lam_durability durability, struct lam_error *err) {
    return change_record(s, CHANGE_PUT, record, durability, err);
}

enum lam_code entity_delete(struct entity_store *s, const struct value *key,
                            enum lam_durability durability, struct lam_error *err) {
    OWNED(buf_fini) struct buf bytes = {0};
    TRY(record_key_prefix(s->def, key, record_key_count(s->def), &bytes, err));
    return change(s, CHANGE_DELETE, buf_slice(&bytes), NULL, durability, err);
}

enum lam_code entity_batch_put(struct entity_store *s, lam_batch *batch, const struct value *record,
                               struct lam_error *err) {
    OWNED(buf_fini) struct buf key = {0};
    TRY(record_key(s->def, record, &key, err));
    return add_change(s, batch, CHANGE_PUT, buf_slice(&key), record, err);
}

enum lam_code entity_batch_delete(struct entity_store *s, lam_batch *batch, const struct value *key,
                                  struct lam_error *err) {
    OWNED(buf_fini) struct buf bytes = {0};
    TRY(record_key_prefix(s->def, key, record_key_count(s->def), &bytes, err));
    return add_change(s, batch, CHANGE_DELETE, buf_slice(&bytes), NULL, err);
}

enum lam_code entity_get(struct entity_store *s, const lam_snapshot *snapshot,
                         const struct value *key, struct arena *arena, struct value *record_out,
                         struct lam_error *err) {
    OWNED(buf_fini) struct buf bytes = {0};
    TRY(record_key_prefix(s->def, key, record_key_count(s->def), &bytes, err));
    return get_record(s, snapshot, buf_slice(&bytes), arena, record_out, err);
}

enum lam_code entity_scan(struct entity_store *s, const lam_snapshot *snapshot,
                          const struct value *key_prefix, uint32_t prefix_count, entity_fn fn,
                          void *arg, struct lam_error *err) {
    OWNED(buf_fini) struct buf prefix = {0};
    OWNED(arena_fini) struct arena arena = {0}, keys = {0};
    OWNED(lam_iter_free_at) lam_iter *it = NULL;
    struct value *record = arena_calloc(&arena, s->def->field_count, sizeof *record);
    if (!record)
        TRY(mem_fail(err, s->def->field_count * sizeof *record));
    TRY(record_key_prefix(s->def, key_prefix, prefix_count, &prefix, err));
    struct lam_read_options options = {.snapshot = snapshot, .prefix = buf_slice(&prefix)};
    TRY(lam_iter_new(s->db, &options, s->partition, &it, err));
    bool more = true;
    for (lam_iter_seek_first(it); more && lam_iter_valid(it); lam_iter_next(it)) {
        arena_reset(&keys);
        TRY(record_decode(s->def, lam_partition_name(s->partition), lam_iter_key(it),
                          lam_iter_value(it), &keys, record, err));
        more = fn(arg, record);
    }
    if (more)
        TRY(lam_iter_status(it, err));
    return LAM_OK;
}
