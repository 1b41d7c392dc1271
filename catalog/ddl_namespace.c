/* SPDX-License-Identifier: Apache-2.0
 *
 * CREATE and DROP NAMESPACE. */
#include <stdio.h>

#include "catalog/catalog_impl.h"

#define NAMES_LISTED 10

bool namespace_is_reserved(struct lam_slice name) {
    static const char *const reserved[] = {
        "system", "information_schema", "pg_catalog", "sys", "root", "lamina"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (slice_eq_str(name, reserved[i]))
            return true;
    }
    return false;
}

/* Names in messages are cut at the longest that could exist. */
static int shown(struct lam_slice name) {
    return name.size > IDENTIFIER_MAX ? IDENTIFIER_MAX : (int)name.size;
}

static enum lam_code refuse_reserved(struct lam_slice name, struct lam_error *err) {
    return ERR_SQL(err, "42939", 0, "namespace \"%.*s\" is reserved", shown(name), name.data);
}

static enum lam_code namespace_missing(struct lam_slice name, struct lam_error *err) {
    enum lam_code rc =
        ERR_SQL(err, "3F000", 0, "namespace \"%.*s\" does not exist", shown(name), name.data);
    return error_hint(err, rc, "create it first with CREATE NAMESPACE %.*s", shown(name),
                      (const char *)name.data);
}

enum lam_code namespace_require(struct catalog *c, struct lam_slice name, struct lam_error *err) {
    if (namespace_is_reserved(name))
        return refuse_reserved(name, err);
    return registry_has_namespace(&c->registry, name) ? LAM_OK : namespace_missing(name, err);
}

enum lam_code table_missing(struct catalog *c, struct lam_slice namespace_name,
                            struct lam_slice name, struct lam_error *err) {
    struct provider **tables = NULL;
    size_t count = 0;
    if (!registry_has_namespace(&c->registry, namespace_name) &&
        !namespace_is_reserved(namespace_name))
        return namespace_missing(namespace_name, err);
    TRY(registry_collect(&c->registry, namespace_name, &tables, &count, err));
    enum lam_code rc = ERR_SQL(err, "42P01", 0, "table %.*s.%.*s does not exist",
                               shown(namespace_name), namespace_name.data, shown(name), name.data);
    struct nearest near = {.wanted = name};
    for (size_t i = 0; i < count; i++)
        nearest_offer(&near, lam_slice_str(tables[i]->name));
    if (near.name.size > 0)
        rc = error_hint(err, rc, "did you mean \"%.*s\"?", (int)near.name.size, near.name.data);
    providers_free(tables, count);
    return rc;
}

enum lam_code namespace_record_put(struct catalog *c, lam_batch *batch, struct lam_slice name,
                                   int delta, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct value key = value_slice(name);
    OWNED(arena_fini) struct arena arena = {0};
    struct entity_store *store = c->stores[ENTITY_NAMESPACES];
    enum lam_code rc = entity_get(store, NULL, &key, &arena, record, err);
    if (rc == LAM_OK) {
        int64_t count = record[NAMESPACES_TABLE_COUNT].as.i64;
        record[NAMESPACES_TABLE_COUNT].as.i64 = count + delta;
        if (count < -(int64_t)delta || count > INT32_MAX - 1)
            rc = ERR(err, LAM_CORRUPT, "system.namespaces: \"%.*s\" can't have %lld tables",
                     shown(name), name.data, (long long)count);
        else
            rc = entity_batch_put(store, batch, record, err);
    }
    return rc;
}

/* --- create --- */

static enum lam_code create_locked(struct catalog *c, struct lam_slice name, bool if_not_exists,
                                   bool *created_out, struct lam_error *err) REQUIRES(c->ddl) {
    struct value record[ENTITY_FIELDS_MAX];
    if (registry_has_namespace(&c->registry, name)) {
        if (if_not_exists)
            return LAM_OK;
        return ERR_SQL(err, "42P06", 0, "namespace \"%.*s\" exists already", shown(name),
                       name.data);
    }
    TRY(registry_reserve(&c->registry, err));
    entity_record_init(entity_definition(ENTITY_NAMESPACES), record);
    record[NAMESPACES_NAMESPACE_ID] = value_slice(name);
    record[NAMESPACES_NAME] = value_slice(name);
    record[NAMESPACES_TABLE_COUNT] = value_i64(LAM_TYPE_INT, 0);
    record[NAMESPACES_CREATED_AT] = value_timestamp(env_now_us(c->env));
    TRY(entity_insert(c->stores[ENTITY_NAMESPACES], record, LAM_DURABILITY_SYNC, err));
    registry_add_namespace(&c->registry, name);
    catalog_bump(c);
    *created_out = true;
    return LAM_OK;
}

enum lam_code catalog_create_namespace(struct catalog *c, const struct actor *who,
                                       struct lam_slice name, bool if_not_exists, bool *created_out,
                                       struct lam_error *err) {
    bool created = false;
    if (!access_may(who->role, ACTION_MANAGE_NAMESPACE, TABLE_SHARED))
        return access_denied(err, who->user, who->role, "create namespaces");
    if (namespace_is_reserved(name))
        return refuse_reserved(name, err);
    TRY(identifier_check(name, "namespace", err));
    mutex_lock(&c->ddl);
    enum lam_code rc = create_locked(c, name, if_not_exists, &created, err);
    mutex_unlock(&c->ddl);
    if (rc == LAM_OK && created_out)
        *created_out = created;
    return rc;
}

/* --- drop --- */

static enum lam_code refuse_full(struct lam_slice name, struct provider **tables, size_t count,
                                 struct lam_error *err) {
    char list[NAMES_LISTED * (IDENTIFIER_MAX + 2) + 32];
    size_t at = 0;
    for (size_t i = 0; i < count && i < NAMES_LISTED; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", tables[i]->name);
    if (count > NAMES_LISTED)
        snprintf(list + at, sizeof list - at, " and %zu more", count - NAMES_LISTED);
    enum lam_code rc = ERR_SQL(err, "2BP01", 0, "namespace \"%.*s\" holds %zu table%s: %s",
                               shown(name), name.data, count, count == 1 ? "" : "s", list);
    return error_hint(err, rc, "drop them first or say CASCADE");
}

static enum lam_code drop_locked(struct catalog *c, struct lam_slice name, bool if_exists,
                                 bool cascade, bool *dropped_out, struct lam_error *err)
    REQUIRES(c->ddl) {
    struct provider **tables = NULL;
    size_t count = 0;
    if (!registry_has_namespace(&c->registry, name))
        return if_exists ? LAM_OK : namespace_missing(name, err);
    TRY(registry_collect(&c->registry, name, &tables, &count, err));
    enum lam_code rc = count && !cascade ? refuse_full(name, tables, count, err)
                                         : tables_drop_locked(c, tables, count, name, err);
    *dropped_out = rc == LAM_OK;
    providers_free(tables, count);
    return rc;
}

enum lam_code catalog_drop_namespace(struct catalog *c, const struct actor *who,
                                     struct lam_slice name, bool if_exists, bool cascade,
                                     bool *dropped_out, struct lam_error *err) {
    bool dropped = false;
    if (!access_may(who->role, ACTION_MANAGE_NAMESPACE, TABLE_SHARED))
        return access_denied(err, who->user, who->role, "drop namespaces");
    if (namespace_is_reserved(name))
        return refuse_reserved(name, err);
    if (slice_eq_str(name, NAMESPACE_BUILT_IN))
        return ERR_SQL(err, "2BP01", 0, "namespace \"%s\" is built in and cannot be dropped",
                       NAMESPACE_BUILT_IN);
    mutex_lock(&c->ddl);
    enum lam_code rc = drop_locked(c, name, if_exists, cascade, &dropped, err);
    mutex_unlock(&c->ddl);
    struct catalog_flush_hooks *hooks = atomic_load_explicit(&c->hooks_set, memory_order_acquire);
    if (dropped && hooks && hooks->dropped)
        hooks->dropped(c);
    if (rc == LAM_OK && dropped_out)
        *dropped_out = dropped;
    return rc;
}
