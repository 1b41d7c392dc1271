/* SPDX-License-Identifier: Apache-2.0
 *
 * CREATE and DROP STORAGE: named places of cold files. */
#include <stdio.h>

#include "base/utf8.h"
#include "catalog/catalog_impl.h"

#define NAMES_LISTED 10

static enum lam_code check_text(struct lam_slice text, const char *what, struct lam_error *err) {
    if (!utf8_valid(text, NULL) || (text.size && memchr(text.data, 0, text.size)))
        return ERR_SQL(err, "22023", 0, "%s is not valid text", what);
    return LAM_OK;
}

static bool has(struct lam_slice text, const char *needle) {
    return text.size && memmem(text.data, text.size, needle, strlen(needle)) != NULL;
}

static enum lam_code check_template(struct lam_slice text, const char *what, bool per_user,
                                    struct lam_error *err) {
    TRY(check_text(text, what, err));
    if (text.size == 0)
        return LAM_OK;
    if (text.data[0] == '/' || has(text, "..") || has(text, "\\"))
        return ERR_SQL(err, "22023", 0,
                       "%s must stay below the base directory: no leading /, no "
                       ".. and no \\",
                       what);
    if (!has(text, "{namespace}") || !has(text, "{table}"))
        return ERR_SQL(err, "22023", 0, "%s must contain {namespace} and {table}", what);
    if (per_user && !has(text, "${user_id}"))
        return ERR_SQL(err, "22023", 0, "%s must contain ${user_id}", what);
    if (!per_user && has(text, "${user_id}"))
        return ERR_SQL(err, "22023", 0, "%s may not contain ${user_id}", what);
    return LAM_OK;
}

static enum lam_code check_spec(const struct storage_spec *spec, struct lam_error *err) {
    TRY(identifier_check(spec->id, "storage", err));
    if (!slice_eq_str(spec->type, "filesystem"))
        return ERR_SQL(err, "0A000", 0, "storage type '%.*s' is not supported, only 'filesystem'",
                       spec->type.size > 50 ? 50 : (int)spec->type.size, spec->type.data);
    TRY(check_text(spec->base_directory, "BASE_DIRECTORY", err));
    if (spec->base_directory.size == 0 || has(spec->base_directory, "://"))
        return ERR_SQL(err, "22023", 0, "BASE_DIRECTORY must name a directory");
    TRY(check_template(spec->shared_template, "SHARED_TABLES_TEMPLATE", false, err));
    return check_template(spec->user_template, "USER_TABLES_TEMPLATE", true, err);
}

enum lam_code storage_check(const struct value *record, struct lam_error *err) {
    struct storage_spec spec = {
        .id = record[STORAGES_STORAGE_ID].as.bytes,
        .type = record[STORAGES_STORAGE_TYPE].as.bytes,
        .base_directory = record[STORAGES_BASE_DIRECTORY].as.bytes,
        .shared_template = record[STORAGES_SHARED_TABLES_TEMPLATE].as.bytes,
        .user_template = record[STORAGES_USER_TABLES_TEMPLATE].as.bytes,
    };
    struct lam_error e = {0};
    if (check_spec(&spec, &e) == LAM_OK)
        return LAM_OK;
    return ERR(err, LAM_CORRUPT, "system.storages: %s", e.message);
}

static enum lam_code create_locked(struct catalog *c, const struct storage_spec *spec,
                                   bool *created_out, struct lam_error *err) REQUIRES(c->ddl) {
    struct value record[ENTITY_FIELDS_MAX];
    struct lam_error exists = {0};
    int64_t now = env_now_us(c->env);
    entity_record_init(entity_definition(ENTITY_STORAGES), record);
    record[STORAGES_STORAGE_ID] = value_slice(spec->id);
    record[STORAGES_STORAGE_TYPE] = value_slice(spec->type);
    record[STORAGES_BASE_DIRECTORY] = value_slice(spec->base_directory);
    record[STORAGES_SHARED_TABLES_TEMPLATE] = spec->shared_template.size
                                                  ? value_slice(spec->shared_template)
                                                  : value_text(TEMPLATE_SHARED);
    record[STORAGES_USER_TABLES_TEMPLATE] =
        spec->user_template.size ? value_slice(spec->user_template) : value_text(TEMPLATE_USER);
    record[STORAGES_CREATED_AT] = value_timestamp(now);
    record[STORAGES_UPDATED_AT] = value_timestamp(now);
    enum lam_code rc =
        entity_insert(c->stores[ENTITY_STORAGES], record, LAM_DURABILITY_SYNC, &exists);
    if (rc == LAM_EXISTS && spec->if_not_exists)
        return LAM_OK;
    if (rc == LAM_EXISTS)
        return ERR_SQL(err, "42710", 0, "storage \"%.*s\" exists already", (int)spec->id.size,
                       spec->id.data);
    if (rc != LAM_OK && err)
        *err = exists;
    *created_out = rc == LAM_OK;
    return rc;
}

enum lam_code catalog_create_storage(struct catalog *c, const struct actor *who,
                                     const struct storage_spec *spec, bool *created_out,
                                     struct lam_error *err) {
    bool created = false;
    if (!access_may(who->role, ACTION_MANAGE_STORAGE, TABLE_SYSTEM))
        return access_denied(err, who->user, who->role, "create storages");
    TRY(check_spec(spec, err));
    mutex_lock(&c->ddl);
    enum lam_code rc = create_locked(c, spec, &created, err);
    mutex_unlock(&c->ddl);
    if (rc == LAM_OK && created_out)
        *created_out = created;
    return rc;
}

struct users_of {
    struct lam_slice storage;
    char list[NAMES_LISTED * (2 * IDENTIFIER_MAX + 4) + 32];
    size_t at, count;
};

static bool note_user(void *arg, struct provider *p) {
    struct users_of *u = arg;
    if (!slice_eq_str(u->storage, p->options.storage))
        return true;
    if (u->count++ < NAMES_LISTED)
        u->at += (size_t)snprintf(u->list + u->at, sizeof u->list - u->at, "%s%s.%s",
                                  u->count > 1 ? ", " : "", p->namespace_name, p->name);
    return true;
}

static enum lam_code drop_locked(struct catalog *c, struct lam_slice id, bool if_exists,
                                 bool *dropped_out, struct lam_error *err) REQUIRES(c->ddl) {
    struct users_of users = {.storage = id};
    struct value key = value_slice(id);
    struct lam_error missing = {0};
    TRY(catalog_each_provider(c, note_user, &users, err));
    if (users.count > NAMES_LISTED)
        snprintf(users.list + users.at, sizeof users.list - users.at, " and %zu more",
                 users.count - NAMES_LISTED);
    if (users.count)
        return ERR_SQL(err, "2BP01", 0, "storage \"%.*s\" is used by %zu table%s: %s", (int)id.size,
                       id.data, users.count, users.count == 1 ? "" : "s", users.list);
    enum lam_code rc =
        entity_delete(c->stores[ENTITY_STORAGES], &key, LAM_DURABILITY_SYNC, &missing);
    if (rc == LAM_NOT_FOUND && if_exists)
        return LAM_OK;
    if (rc == LAM_NOT_FOUND)
        return ERR_SQL(err, "42704", 0, "storage \"%.*s\" does not exist", (int)id.size, id.data);
    if (rc != LAM_OK && err)
        *err = missing;
    *dropped_out = rc == LAM_OK;
    return rc;
}

enum lam_code catalog_drop_storage(struct catalog *c, const struct actor *who, struct lam_slice id,
                                   bool if_exists, bool *dropped_out, struct lam_error *err) {
    bool dropped = false;
    if (!access_may(who->role, ACTION_MANAGE_STORAGE, TABLE_SYSTEM))
        return access_denied(err, who->user, who->role, "drop storages");
    if (slice_eq_str(id, STORAGE_BUILT_IN))
        return ERR_SQL(err, "2BP01", 0, "storage \"%s\" is built in and cannot be dropped",
                       STORAGE_BUILT_IN);
    TRY(identifier_check(id, "storage", err));
    mutex_lock(&c->ddl);
    enum lam_code rc = drop_locked(c, id, if_exists, &dropped, err);
    mutex_unlock(&c->ddl);
    if (rc == LAM_OK && dropped_out)
        *dropped_out = dropped;
    return rc;
}
