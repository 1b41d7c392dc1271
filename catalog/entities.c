/* SPDX-License-Identifier: Apache-2.0
 *
 * Definitions of the system tables: fields from entities.h, indexes as key extractors. */
#include "base/assert.h"
#include "catalog/catalog.h"

#define FIELD(id, field_name, field_type, flags)                                                   \
    [id] = {.name = (field_name),                                                                  \
            .type = LAM_TYPE_##field_type,                                                         \
            .nullable = ((flags)&FIELD_NULLABLE) != 0,                                             \
            .key = ((flags)&FIELD_KEY) != 0,                                                       \
            .secret = ((flags)&FIELD_SECRET) != 0,                                                 \
            .hidden = ((flags)&FIELD_HIDDEN) != 0},

static const struct entity_field namespaces_fields[] = {NAMESPACES_FIELDS_OF(FIELD)};
static const struct entity_field tables_fields[] = {TABLES_FIELDS_OF(FIELD)};
static const struct entity_field table_schemas_fields[] = {TABLE_SCHEMAS_FIELDS_OF(FIELD)};
static const struct entity_field users_fields[] = {USERS_FIELDS_OF(FIELD)};
static const struct entity_field storages_fields[] = {STORAGES_FIELDS_OF(FIELD)};
static const struct entity_field jobs_fields[] = {JOBS_FIELDS_OF(FIELD)};
static const struct entity_field audit_log_fields[] = {AUDIT_LOG_FIELDS_OF(FIELD)};

static enum lam_code table_by_name(const void *context, const struct value *record,
                                   struct buf *key_out, bool *none_out, struct lam_error *err) {
    (void)context;
    (void)none_out;
    TRY(key_put_value(key_out, &record[TABLES_NAMESPACE], false, false, err));
    return key_put_value(key_out, &record[TABLES_TABLE_NAME], false, false, err);
}

static enum lam_code user_by_name(const void *context, const struct value *record,
                                  struct buf *key_out, bool *none_out, struct lam_error *err) {
    (void)context;
    (void)none_out;
    return key_put_value(key_out, &record[USERS_USERNAME], false, false, err);
}

static enum lam_code user_by_role(const void *context, const struct value *record,
                                  struct buf *key_out, bool *none_out, struct lam_error *err) {
    (void)context;
    (void)none_out;
    return key_put_value(key_out, &record[USERS_ROLE], false, false, err);
}

static enum lam_code job_by_status(const void *context, const struct value *record,
                                   struct buf *key_out, bool *none_out, struct lam_error *err) {
    (void)context;
    (void)none_out;
    TRY(key_put_value(key_out, &record[JOBS_STATUS], false, false, err));
    return key_put_value(key_out, &record[JOBS_CREATED_AT], false, false, err);
}

/* Only jobs that may still run: so the key is free again once one has ended. */
static enum lam_code job_by_idempotency_key(const void *context, const struct value *record,
                                            struct buf *key_out, bool *none_out,
                                            struct lam_error *err) {
    (void)context;
    enum job_status status;
    if (record[JOBS_IDEMPOTENCY_KEY].is_null ||
        !job_status_lookup(record[JOBS_STATUS].as.bytes, &status) || !job_status_is_live(status)) {
        *none_out = true;
        return LAM_OK;
    }
    return key_put_value(key_out, &record[JOBS_IDEMPOTENCY_KEY], false, false, err);
}

static const struct entity_index tables_indexes[] = {
    {.name = "name", .unique = true, .extract = table_by_name},
};
static const struct entity_index users_indexes[] = {
    {.name = "username", .unique = true, .extract = user_by_name},
    {.name = "role", .unique = false, .extract = user_by_role},
};
static const struct entity_index jobs_indexes[] = {
    {.name = "status_created_at", .unique = false, .extract = job_by_status},
    {.name = "idempotency_key", .unique = true, .extract = job_by_idempotency_key},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PLAIN_ENTITY(entity)                                                                       \
    { .name = #entity, .fields = entity##_fields, .field_count = COUNT_OF(entity##_fields) }
#define INDEXED_ENTITY(entity)                                                                     \
    {                                                                                              \
        .name = #entity, .fields = entity##_fields, .field_count = COUNT_OF(entity##_fields),      \
        .indexes = entity##_indexes, .index_count = COUNT_OF(entity##_indexes)                     \
    }

static const struct entity_def definitions[ENTITY_COUNT] = {
    [ENTITY_NAMESPACES] = PLAIN_ENTITY(namespaces),       [ENTITY_TABLES] = INDEXED_ENTITY(tables),
    [ENTITY_TABLE_SCHEMAS] = PLAIN_ENTITY(table_schemas), [ENTITY_USERS] = INDEXED_ENTITY(users),
    [ENTITY_STORAGES] = PLAIN_ENTITY(storages),           [ENTITY_JOBS] = INDEXED_ENTITY(jobs),
    [ENTITY_AUDIT_LOG] = PLAIN_ENTITY(audit_log),
};

const struct entity_def *entity_definition(enum entity_id id) {
    LAM_ASSERT((unsigned)id < ENTITY_COUNT);
    return &definitions[id];
}

bool entity_lookup(struct lam_slice name, enum entity_id *id_out) {
    for (unsigned i = 0; i < ENTITY_COUNT; i++) {
        if (slice_eq_str(name, definitions[i].name)) {
            *id_out = (enum entity_id)i;
            return true;
        }
    }
    return false;
}
