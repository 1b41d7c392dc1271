/* SPDX-License-Identifier: Apache-2.0
 *
 * Verification of the catalog: its records decode, agree with their indexes and with each other.
 * Nobody writes meanwhile. */
#include "catalog/catalog_impl.h"
#include "catalog/entity_api.h"

struct records_check {
    struct catalog *c;
    struct db_check *check;
    struct arena arena; /* the record at hand */
    struct buf stored, made, definition, json;
};

/* --- what else must be true of a record --- */

/* Records that say the same twice are made again from the one place. */
static enum lam_code compare(struct records_check *k, enum entity_id id, const struct value *record,
                             const struct value *made, const struct provider *p,
                             struct lam_error *err) {
    buf_reset(&k->stored);
    buf_reset(&k->made);
    TRY(record_encode(entity_definition(id), record, &k->stored, err));
    TRY(record_encode(entity_definition(id), made, &k->made, err));
    if (slice_eq(buf_slice(&k->stored), buf_slice(&k->made)))
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "system.%s: the record of %s.%s disagrees with its definition",
               entity_definition(id)->name, p->namespace_name, p->name);
}

static bool count_table(void *arg, struct provider *p) {
    struct value *wanted = arg;
    wanted[1].as.i64 += slice_eq_str(wanted[0].as.bytes, p->namespace_name);
    return true;
}

static enum lam_code check_namespace(struct records_check *k, const struct value *record,
                                     struct lam_error *err) {
    struct lam_slice name = record[NAMESPACES_NAMESPACE_ID].as.bytes;
    struct value found[2] = {record[NAMESPACES_NAMESPACE_ID], value_i64(LAM_TYPE_INT, 0)};
    TRY(catalog_each_provider(k->c, count_table, found, err));
    if (found[1].as.i64 == record[NAMESPACES_TABLE_COUNT].as.i64 &&
        slice_eq(name, record[NAMESPACES_NAME].as.bytes))
        return LAM_OK;
    return ERR(err, LAM_CORRUPT,
               "system.namespaces: the record of %.*s says %lld tables, it has %lld",
               (int)name.size, (const char *)name.data,
               (long long)record[NAMESPACES_TABLE_COUNT].as.i64, (long long)found[1].as.i64);
}

static bool indexes_differ(const struct provider *p) {
    for (uint32_t i = 0; i < p->index_count; i++) {
        if (p->indexes[i].number >= p->next_index_number)
            return false;
        for (uint32_t n = 0; n < i; n++)
            if (p->indexes[n].number == p->indexes[i].number ||
                strcmp(p->indexes[n].name, p->indexes[i].name) == 0)
                return false;
    }
    return true;
}

static enum lam_code check_table(struct records_check *k, struct provider *p,
                                 const struct value *record, struct lam_error *err) {
    struct value made[ENTITY_FIELDS_MAX], storage[ENTITY_FIELDS_MAX];
    TRY(table_record_make(p, &k->definition, &k->json, made, err));
    made[TABLES_UPDATED_AT] = record[TABLES_UPDATED_AT];
    TRY(compare(k, ENTITY_TABLES, record, made, p, err));
    enum lam_code rc = entity_get(k->c->stores[ENTITY_STORAGES], NULL, &record[TABLES_STORAGE_ID],
                                  &k->arena, storage, err);
    bool has_namespace = registry_has_namespace(&k->c->registry, record[TABLES_NAMESPACE].as.bytes);
    if (rc == LAM_NOT_FOUND || (rc == LAM_OK && (!has_namespace || !indexes_differ(p))))
        return ERR(err, LAM_CORRUPT, "system.tables: %s.%s has no %s", p->namespace_name, p->name,
                   rc == LAM_NOT_FOUND ? "storage"
                   : has_namespace     ? "numbers and names of its own for its indexes"
                                       : "namespace");
    return rc;
}

static enum lam_code check_schema(struct records_check *k, struct provider *p,
                                  const struct value *record, struct lam_error *err) {
    struct value made[ENTITY_FIELDS_MAX];
    int64_t version = record[TABLE_SCHEMAS_SCHEMA_VERSION].as.i64;
    /* Loading has asked for all versions from 1 on, and no others. */
    const struct schema *s = provider_schema(p, (uint32_t)version);
    TRY(table_schema_record_make(p, s, s == p->schema, &k->definition, &k->json, made, err));
    made[TABLE_SCHEMAS_CREATED_AT] = record[TABLE_SCHEMAS_CREATED_AT];
    return compare(k, ENTITY_TABLE_SCHEMAS, record, made, p, err);
}

/* Both lead with the table's number. */
static enum lam_code check_of_table(struct records_check *k, enum entity_id id,
                                    const struct value *record, struct lam_error *err) {
    struct provider *p = NULL;
    struct table_id table = {(uint64_t)record[TABLES_TABLE_ID].as.i64};
    enum lam_code rc = catalog_provider_by_id(k->c, table, &p, err);
    if (rc == LAM_NOT_FOUND)
        return ERR(err, LAM_CORRUPT, "system.%s: there is no table %llu",
                   entity_definition(id)->name, (unsigned long long)table.number);
    TRY(rc);
    buf_reset(&k->definition);
    buf_reset(&k->json);
    rc = id == ENTITY_TABLES ? check_table(k, p, record, err) : check_schema(k, p, record, err);
    provider_unref(p);
    return rc;
}

static enum lam_code check_user(const struct value *record, struct lam_error *err) {
    struct lam_slice name = record[USERS_USER_ID].as.bytes;
    const struct value *hash = &record[USERS_PASSWORD_HASH];
    const char *by = hash->is_null ? "internal" : "password";
    enum lam_role role;
    if (user_id_check(name, NULL) == LAM_OK && slice_eq(name, record[USERS_USERNAME].as.bytes) &&
        role_lookup(record[USERS_ROLE].as.bytes, &role) &&
        slice_eq_str(record[USERS_AUTH_TYPE].as.bytes, by) &&
        (hash->is_null || slice_starts_with(hash->as.bytes, lam_slice_str("$argon2id$"))))
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "system.users: the record of \"%.*s\" is none of a user",
               name.size > USER_ID_MAX ? USER_ID_MAX : (int)name.size, (const char *)name.data);
}

static enum lam_code check_rules(struct records_check *k, enum entity_id id,
                                 const struct value *record, struct lam_error *err) {
    switch (id) {
    case ENTITY_NAMESPACES:
        return check_namespace(k, record, err);
    case ENTITY_TABLES:
    case ENTITY_TABLE_SCHEMAS:
        return check_of_table(k, id, record, err);
    case ENTITY_USERS:
        return check_user(record, err);
    case ENTITY_JOBS:
        return job_check(record, &k->arena, err);
    case ENTITY_STORAGES:
        return storage_check(record, err);
    case ENTITY_AUDIT_LOG:
    case ENTITY_COUNT:
        break;
    }
    return LAM_OK;
}

/* --- walks --- */

static enum lam_code check_record(struct records_check *k, struct entity_store *s,
                                  enum entity_id id, lam_iter *it, struct lam_error *err) {
    arena_reset(&k->arena);
    struct value *record = arena_calloc(&k->arena, s->def->field_count, sizeof *record);
    if (!record)
        return mem_fail(err, s->def->field_count * sizeof *record);
    TRY(record_decode(s->def, lam_partition_name(s->partition), lam_iter_key(it),
                      lam_iter_value(it), &k->arena, record, err));
    TRY(entity_index_check_record(s, lam_iter_key(it), record, err));
    return check_rules(k, id, record, err);
}

/* All of a partition: the records, or (`index`) the entries that lead to them. */
static void walk(struct records_check *k, struct entity_store *s, enum entity_id id,
                 const uint32_t *index) {
    lam_partition *partition = index ? s->indexes[*index] : s->partition;
    struct db_check_place place = {.check = k->check, .name = lam_partition_name(partition)};
    struct lam_error e = {0};
    lam_iter *it = NULL;
    enum lam_code rc = lam_iter_new(s->db, NULL, partition, &it, &e);
    if (rc == LAM_OK)
        lam_iter_seek_first(it);
    while (rc == LAM_OK && lam_iter_valid(it)) {
        struct lam_error problem = {0};
        arena_reset(&k->arena);
        enum lam_code found =
            index ? entity_index_check_entry(s, *index, lam_iter_key(it), lam_iter_value(it),
                                             &k->arena, &problem)
                  : check_record(k, s, id, it, &problem);
        if (!db_check_record(&place, found, &problem))
            break;
        lam_iter_next(it);
    }
    if (rc == LAM_OK && !lam_iter_valid(it))
        rc = lam_iter_status(it, &e);
    db_check_record(&place, rc, &e);
    db_check_place_end(&place);
    lam_iter_free(it);
}

/* `id` ENTITY_COUNT: one of the embedder's. */
static void check_store(struct records_check *k, struct entity_store *s, enum entity_id id) {
    walk(k, s, id, NULL);
    for (uint32_t i = 0; i < s->def->index_count && k->check->stop == LAM_OK; i++)
        walk(k, s, id, &i);
}

static void records_check_fini(struct records_check *k) {
    arena_fini(&k->arena);
    buf_fini(&k->stored);
    buf_fini(&k->made);
    buf_fini(&k->definition);
    buf_fini(&k->json);
}

void catalog_check(struct catalog *c, struct db_check *check) {
    struct records_check k = {.c = c, .check = check};
    struct lam_error e = {0};
    for (unsigned id = 0; id < ENTITY_COUNT && check->stop == LAM_OK; id++)
        check_store(&k, c->stores[id], (enum entity_id)id);
    if (check->stop == LAM_OK)
        db_check_judge(check, check->dir, catalog_orphans(c, check, &e), &e);
    records_check_fini(&k);
}

/* --- entities of the embedder --- */

static enum lam_code check_entity(struct records_check *k, lam_db *db, lam_iter *it,
                                  struct lam_error *err) {
    struct lam_slice value = lam_iter_value(it);
    struct lam_entity_desc desc;
    lam_entity *e = NULL;
    struct arena arena = {0};
    char *name = arena_strdup_slice(&arena, lam_iter_key(it));
    enum lam_code rc = name ? LAM_OK : mem_fail(err, value.size);
    if (rc == LAM_OK && (value.size < 3 || value.data[value.size - 1] != '\n'))
        rc = ERR(err, LAM_CORRUPT, "the description of \"%s\" is cut off", name);
    if (rc == LAM_OK)
        rc = entity_description_parse(name, slice_from(value, 2), &arena, &desc, err);
    if (rc == LAM_OK)
        rc = lam_entity_open(db, &desc, &e, err);
    if (rc == LAM_OK)
        check_store(k, e->store, ENTITY_COUNT);
    lam_entity_close(e);
    arena_fini(&arena);
    if (rc != LAM_READ_ONLY)
        return rc;
    db_check_note(k->check, ENTITY_DESCRIPTIONS,
                  "an entity that is not made or dropped to the end; opening it does that");
    return LAM_OK;
}

void entities_check(lam_db *db, struct db_check *check) {
    struct records_check k = {.check = check};
    struct db_check_place place = {.check = check, .name = ENTITY_DESCRIPTIONS};
    struct lam_error e = {0};
    lam_partition *descriptions = NULL;
    lam_iter *it = NULL;
    enum lam_code rc = lam_partition_open(db, ENTITY_DESCRIPTIONS, &descriptions, &e);
    if (rc == LAM_NOT_FOUND)
        return;
    if (rc == LAM_OK)
        rc = lam_iter_new(db, NULL, descriptions, &it, &e);
    if (rc == LAM_OK)
        lam_iter_seek_first(it);
    bool more = true;
    for (; rc == LAM_OK && more && lam_iter_valid(it); lam_iter_next(it)) {
        struct lam_error problem = {0};
        enum lam_code found = check_entity(&k, db, it, &problem);
        more = db_check_record(&place, found, &problem);
    }
    if (rc == LAM_OK && more)
        rc = lam_iter_status(it, &e);
    db_check_record(&place, rc, &e);
    db_check_place_end(&place);
    lam_iter_free(it);
    lam_partition_release(descriptions);
    records_check_fini(&k);
}
