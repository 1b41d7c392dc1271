/* SPDX-License-Identifier: Apache-2.0
 *
 * The system tables, each declared once: the field lists below give the enumerators that index a
 * record and the descriptions in entities.c. X(enumerator, column name, type, flags). */
#ifndef LAMINA_CATALOG_ENTITIES_H
#define LAMINA_CATALOG_ENTITIES_H

enum entity_field_flags {
    FIELD_PLAIN = 0,
    FIELD_KEY = 1,
    FIELD_NULLABLE = 2,
    FIELD_SECRET = 4,
    FIELD_HIDDEN = 8,
};

#define NAMESPACES_FIELDS_OF(X)                                                                    \
    X(NAMESPACES_NAMESPACE_ID, "namespace_id", TEXT, FIELD_KEY)                                    \
    X(NAMESPACES_NAME, "name", TEXT, FIELD_PLAIN)                                                  \
    X(NAMESPACES_OPTIONS, "options", JSON, FIELD_NULLABLE)                                         \
    X(NAMESPACES_TABLE_COUNT, "table_count", INT, FIELD_PLAIN)                                     \
    X(NAMESPACES_CREATED_AT, "created_at", TIMESTAMP, FIELD_PLAIN)

/* `definition`: kind, options and indexes in binary (catalog/table_record.c). */
#define TABLES_FIELDS_OF(X)                                                                        \
    X(TABLES_TABLE_ID, "table_id", BIGINT, FIELD_KEY)                                              \
    X(TABLES_NAMESPACE, "namespace", TEXT, FIELD_PLAIN)                                            \
    X(TABLES_TABLE_NAME, "table_name", TEXT, FIELD_PLAIN)                                          \
    X(TABLES_TABLE_TYPE, "table_type", TEXT, FIELD_PLAIN)                                          \
    X(TABLES_STORAGE_ID, "storage_id", TEXT, FIELD_PLAIN)                                          \
    X(TABLES_ACCESS_LEVEL, "access_level", TEXT, FIELD_NULLABLE)                                   \
    X(TABLES_SCHEMA_VERSION, "schema_version", INT, FIELD_PLAIN)                                   \
    X(TABLES_OPTIONS, "options", JSON, FIELD_PLAIN)                                                \
    X(TABLES_CREATED_AT, "created_at", TIMESTAMP, FIELD_PLAIN)                                     \
    X(TABLES_UPDATED_AT, "updated_at", TIMESTAMP, FIELD_PLAIN)                                     \
    X(TABLES_DEFINITION, "definition", BYTES, FIELD_HIDDEN)

/* `definition`: schema_encode. */
#define TABLE_SCHEMAS_FIELDS_OF(X)                                                                 \
    X(TABLE_SCHEMAS_TABLE_ID, "table_id", BIGINT, FIELD_KEY)                                       \
    X(TABLE_SCHEMAS_SCHEMA_VERSION, "schema_version", INT, FIELD_KEY)                              \
    X(TABLE_SCHEMAS_NAMESPACE, "namespace", TEXT, FIELD_PLAIN)                                     \
    X(TABLE_SCHEMAS_TABLE_NAME, "table_name", TEXT, FIELD_PLAIN)                                   \
    X(TABLE_SCHEMAS_COLUMNS, "columns", JSON, FIELD_PLAIN)                                         \
    X(TABLE_SCHEMAS_IS_LATEST, "is_latest", BOOLEAN, FIELD_PLAIN)                                  \
    X(TABLE_SCHEMAS_CREATED_AT, "created_at", TIMESTAMP, FIELD_PLAIN)                              \
    X(TABLE_SCHEMAS_DEFINITION, "definition", BYTES, FIELD_HIDDEN)

#define USERS_FIELDS_OF(X)                                                                         \
    X(USERS_USER_ID, "user_id", TEXT, FIELD_KEY)                                                   \
    X(USERS_USERNAME, "username", TEXT, FIELD_PLAIN)                                               \
    X(USERS_PASSWORD_HASH, "password_hash", TEXT, FIELD_NULLABLE | FIELD_SECRET)                   \
    X(USERS_ROLE, "role", TEXT, FIELD_PLAIN)                                                       \
    X(USERS_EMAIL, "email", TEXT, FIELD_NULLABLE)                                                  \
    X(USERS_AUTH_TYPE, "auth_type", TEXT, FIELD_PLAIN)                                             \
    X(USERS_CREATED_AT, "created_at", TIMESTAMP, FIELD_PLAIN)                                      \
    X(USERS_UPDATED_AT, "updated_at", TIMESTAMP, FIELD_PLAIN)                                      \
    X(USERS_LAST_LOGIN_AT, "last_login_at", TIMESTAMP, FIELD_NULLABLE)                             \
    X(USERS_DELETED_AT, "deleted_at", TIMESTAMP, FIELD_NULLABLE)

#define STORAGES_FIELDS_OF(X)                                                                      \
    X(STORAGES_STORAGE_ID, "storage_id", TEXT, FIELD_KEY)                                          \
    X(STORAGES_STORAGE_TYPE, "storage_type", TEXT, FIELD_PLAIN)                                    \
    X(STORAGES_BASE_DIRECTORY, "base_directory", TEXT, FIELD_PLAIN)                                \
    X(STORAGES_SHARED_TABLES_TEMPLATE, "shared_tables_template", TEXT, FIELD_PLAIN)                \
    X(STORAGES_USER_TABLES_TEMPLATE, "user_tables_template", TEXT, FIELD_PLAIN)                    \
    X(STORAGES_CREATED_AT, "created_at", TIMESTAMP, FIELD_PLAIN)                                   \
    X(STORAGES_UPDATED_AT, "updated_at", TIMESTAMP, FIELD_PLAIN)

#define JOBS_FIELDS_OF(X)                                                                          \
    X(JOBS_JOB_ID, "job_id", TEXT, FIELD_KEY)                                                      \
    X(JOBS_JOB_TYPE, "job_type", TEXT, FIELD_PLAIN)                                                \
    X(JOBS_STATUS, "status", TEXT, FIELD_PLAIN)                                                    \
    X(JOBS_NAMESPACE, "namespace", TEXT, FIELD_NULLABLE)                                           \
    X(JOBS_TABLE_NAME, "table_name", TEXT, FIELD_NULLABLE)                                         \
    X(JOBS_PARAMETERS, "parameters", JSON, FIELD_NULLABLE)                                         \
    X(JOBS_MESSAGE, "message", TEXT, FIELD_NULLABLE)                                               \
    X(JOBS_METRICS, "metrics", JSON, FIELD_NULLABLE)                                               \
    X(JOBS_EXCEPTION_TRACE, "exception_trace", TEXT, FIELD_NULLABLE)                               \
    X(JOBS_IDEMPOTENCY_KEY, "idempotency_key", TEXT, FIELD_NULLABLE)                               \
    X(JOBS_RETRY_COUNT, "retry_count", INT, FIELD_PLAIN)                                           \
    X(JOBS_CREATED_AT, "created_at", TIMESTAMP, FIELD_PLAIN)                                       \
    X(JOBS_STARTED_AT, "started_at", TIMESTAMP, FIELD_NULLABLE)                                    \
    X(JOBS_FINISHED_AT, "finished_at", TIMESTAMP, FIELD_NULLABLE)

#define AUDIT_LOG_FIELDS_OF(X)                                                                     \
    X(AUDIT_LOG_AUDIT_ID, "audit_id", BIGINT, FIELD_KEY)                                           \
    X(AUDIT_LOG_TIMESTAMP, "timestamp", TIMESTAMP, FIELD_PLAIN)                                    \
    X(AUDIT_LOG_ACTOR, "actor", TEXT, FIELD_PLAIN)                                                 \
    X(AUDIT_LOG_SUBJECT, "subject", TEXT, FIELD_NULLABLE)                                          \
    X(AUDIT_LOG_ACTION, "action", TEXT, FIELD_PLAIN)                                               \
    X(AUDIT_LOG_TARGET, "target", TEXT, FIELD_NULLABLE)

#define FIELD_ENUMERATOR(id, name, type, flags) id,
enum namespaces_field { NAMESPACES_FIELDS_OF(FIELD_ENUMERATOR) NAMESPACES_FIELDS };
enum tables_field { TABLES_FIELDS_OF(FIELD_ENUMERATOR) TABLES_FIELDS };
enum table_schemas_field { TABLE_SCHEMAS_FIELDS_OF(FIELD_ENUMERATOR) TABLE_SCHEMAS_FIELDS };
enum users_field { USERS_FIELDS_OF(FIELD_ENUMERATOR) USERS_FIELDS };
enum storages_field { STORAGES_FIELDS_OF(FIELD_ENUMERATOR) STORAGES_FIELDS };
enum jobs_field { JOBS_FIELDS_OF(FIELD_ENUMERATOR) JOBS_FIELDS };
enum audit_log_field { AUDIT_LOG_FIELDS_OF(FIELD_ENUMERATOR) AUDIT_LOG_FIELDS };
#undef FIELD_ENUMERATOR

/* Most fields of an entity of the catalog, for records on the stack. */
#define ENTITY_FIELDS_MAX 16

#endif
