/* SPDX-License-Identifier: Apache-2.0
 *
 * Indexes of entity stores: entries follow the records in the same batch, so the two never
 * disagree; an entry that leads nowhere is corruption, never skipped. */
#include <stdio.h>

#include "base/assert.h"
#include "catalog/entity_impl.h"

/* Entry of a record in an index, or none. */
static enum lam_code entry_key(const struct entity_index *index, const struct value *record,
                               struct lam_slice key, struct buf *out, bool *none_out,
                               struct lam_error *err) {
    buf_reset(out);
    *none_out = record == NULL;
    if (!record)
        return LAM_OK;
    TRY(index->extract(index->context, record, out, none_out, err));
    if (*none_out || index->unique)
        return LAM_OK;
    return buf_append_slice(out, key, err);
}

static enum lam_code check_free(struct entity_store *s, uint32_t i, struct lam_slice entry,
                                struct lam_slice key, struct lam_error *err) {
    struct lam_value value = {0};
    struct lam_error missing = {0};
    enum lam_code rc = lam_get(s->db, NULL, s->indexes[i], entry, &value, &missing);
    if (rc == LAM_NOT_FOUND)
        return LAM_OK;
    TRY(error_pass(err, rc, &missing));
    bool own = slice_eq(value.bytes, key);
    lam_value_release(&value);
    if (own)
        return LAM_OK;
    return ERR(err, LAM_EXISTS, "%s%s: another record has this key in unique index \"%s\"",
               entity_label(s->def), s->def->name, s->def->indexes[i].name);
}

enum lam_code entity_index_change(struct entity_store *s, lam_batch *batch, struct lam_slice key,
                                  const struct value *old, const struct value *now,
                                  struct lam_error *err) {
    struct buf before = {0}, after = {0};
    enum lam_code rc = LAM_OK;
    for (uint32_t i = 0; i < s->def->index_count; i++) {
        const struct entity_index *index = &s->def->indexes[i];
        bool none_before = true, none_after = true;
        TRY_GOTO(entry_key(index, old, key, &before, &none_before, err));
        TRY_GOTO(entry_key(index, now, key, &after, &none_after, err));
        if (!none_before && !none_after && slice_eq(buf_slice(&before), buf_slice(&after)))
            continue;
        if (!none_before)
            TRY_GOTO(lam_batch_delete(batch, s->indexes[i], buf_slice(&before), err));
        if (none_after)
            continue;
        if (index->unique)
            TRY_GOTO(check_free(s, i, buf_slice(&after), key, err));
        TRY_GOTO(lam_batch_put(batch, s->indexes[i], buf_slice(&after), key, err));
    }
out:
    buf_fini(&before);
    buf_fini(&after);
    return rc;
}

/* The record an entry leads to, at the same snapshot. */
static enum lam_code follow(struct entity_store *s, const lam_snapshot *snapshot,
                            lam_partition *index, struct lam_slice key, struct lam_value *value,
                            struct arena *arena, struct value *record, struct lam_error *err) {
    struct lam_read_options options = {.snapshot = snapshot};
    /* No record has a key that the engine refuses. */
    bool possible = key.size > 0 && key.size <= LAM_KEY_MAX;
    enum lam_code rc =
        possible ? lam_get(s->db, &options, s->partition, key, value, err) : LAM_NOT_FOUND;
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "partition %s: an entry leads to no record of %s",
                   lam_partition_name(index), lam_partition_name(s->partition));
    if (rc != LAM_OK)
        return rc;
    return record_decode(s->def, lam_partition_name(s->partition), key, value->bytes, arena, record,
                         err);
}

static lam_partition *find_index(struct entity_store *s, const char *name) {
    for (uint32_t i = 0; i < s->def->index_count; i++) {
        if (strcmp(s->def->indexes[i].name, name) == 0)
            return s->indexes[i];
    }
    return NULL;
}

enum lam_code entity_scan_index(struct entity_store *s, const lam_snapshot *snapshot,
                                const char *index, struct lam_slice prefix, entity_fn fn, void *arg,
                                struct lam_error *err) {
    lam_partition *partition = find_index(s, index);
    if (!partition)
        return ERR(err, LAM_INVALID, "%s%s has no index \"%s\"", entity_label(s->def), s->def->name,
                   index);
    struct arena arena = {0}, keys = {0};
    struct lam_value value = {0};
    lam_snapshot *own = NULL;
    lam_iter *it = NULL;
    enum lam_code rc = LAM_OK;
    struct value *record = arena_calloc(&arena, s->def->field_count, sizeof *record);
    if (!record)
        TRY_GOTO(mem_fail(err, s->def->field_count * sizeof *record));
    /* Entries and records must be of one moment. */
    if (!snapshot) {
        TRY_GOTO(lam_snapshot_new(s->db, &own, err));
        snapshot = own;
    }
    struct lam_read_options options = {.snapshot = snapshot, .prefix = prefix};
    TRY_GOTO(lam_iter_new(s->db, &options, partition, &it, err));
    bool more = true;
    for (lam_iter_seek_first(it); more && lam_iter_valid(it); lam_iter_next(it)) {
        arena_reset(&keys);
        TRY_GOTO(follow(s, snapshot, partition, lam_iter_value(it), &value, &keys, record, err));
        more = fn(arg, record);
    }
    if (more)
        TRY_GOTO(lam_iter_status(it, err));
out:
    lam_iter_free(it);
    lam_snapshot_free(own);
    lam_value_release(&value);
    arena_fini(&keys);
    arena_fini(&arena);
    return rc;
}

/* --- verification --- */

enum lam_code entity_index_check_record(struct entity_store *s, struct lam_slice key,
                                        const struct value *record, struct lam_error *err) {
    struct buf entry = {0};
    struct lam_value value = {0};
    char text[DB_KEY_TEXT];
    enum lam_code rc = LAM_OK;
    for (uint32_t i = 0; i < s->def->index_count; i++) {
        struct lam_error missing = {0};
        bool none;
        TRY_GOTO(entry_key(&s->def->indexes[i], record, key, &entry, &none, err));
        if (none || s->def->indexes[i].is_guess)
            continue;
        rc = lam_get(s->db, NULL, s->indexes[i], buf_slice(&entry), &value, &missing);
        if (rc == LAM_NOT_FOUND || (rc == LAM_OK && !slice_eq(value.bytes, key)))
            TRY_GOTO(ERR(err, LAM_CORRUPT, "record %s has no entry of its own in index \"%s\"",
                         db_key_text(key, text), s->def->indexes[i].name));
        TRY_GOTO(error_pass(err, rc, &missing));
    }
out:
    lam_value_release(&value);
    buf_fini(&entry);
    return rc;
}

enum lam_code entity_index_check_entry(struct entity_store *s, uint32_t index,
                                       struct lam_slice entry, struct lam_slice key,
                                       struct arena *arena, struct lam_error *err) {
    struct lam_value value = {0};
    struct buf wanted = {0};
    bool none = false;
    enum lam_code rc = LAM_NO_MEMORY;
    struct value *record = arena_calloc(arena, s->def->field_count, sizeof *record);
    if (!record)
        TRY_GOTO(mem_fail(err, s->def->field_count * sizeof *record));
    TRY_GOTO(follow(s, NULL, s->indexes[index], key, &value, arena, record, err));
    TRY_GOTO(entry_key(&s->def->indexes[index], record, key, &wanted, &none, err));
    char text[DB_KEY_TEXT];
    if (none || !slice_eq(buf_slice(&wanted), entry))
        rc = ERR(err, LAM_CORRUPT, "entry %s is not that of the record it leads to",
                 db_key_text(entry, text));
out:
    lam_value_release(&value);
    buf_fini(&wanted);
    return rc;
}
