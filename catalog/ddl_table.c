/* SPDX-License-Identifier: Apache-2.0
 *
 * CREATE and DROP TABLE.
 *
 * Order, so that a crash anywhere leaves a whole table or none: create makes the partitions first,
 * each durable, then commits all catalog records in one synced batch; drop commits the removal of
 * the records first, then drops the partitions. What lies between is a partition that no table
 * names; the next attach removes it. */
#include "catalog/catalog_impl.h"

#define FLUSH_ROWS_MAX       1000000000u
#define FLUSH_INTERVAL_MAX_S 31536000u

/* --- partitions --- */

enum lam_code partition_discard(struct catalog *c, const char *name, struct lam_error *err) {
    lam_partition *partition = NULL;
    struct lam_error missing = {0};
    enum lam_code rc = lam_partition_open(c->db, name, &partition, &missing);
    if (rc == LAM_NOT_FOUND)
        return LAM_OK;
    TRY(error_pass(err, rc, &missing));
    rc = lam_partition_drop(c->db, partition, err);
    lam_partition_release(partition);
    return rc;
}

enum lam_code partition_make(struct catalog *c, const char *name,
                             const struct lam_partition_options *options, lam_partition **out,
                             struct lam_error *err) {
    struct lam_error exists = {0};
    enum lam_code rc = lam_partition_create(c->db, name, options, out, &exists);
    if (rc == LAM_EXISTS) {
        TRY(partition_discard(c, name, err));
        return lam_partition_create(c->db, name, options, out, err);
    }
    return error_pass(err, rc, &exists);
}

static enum lam_code make_partitions(struct provider *p, struct lam_error *err) {
    char name[PARTITION_NAME_BYTES];
    struct lam_partition_options options = {.ttl_seconds = (uint32_t)p->options.ttl_seconds};
    hot_partition_name(p, name);
    TRY(partition_make(p->catalog, name, &options, &p->hot, err));
    if (p->kind == TABLE_STREAM)
        return LAM_OK;
    segments_partition_name(p, name);
    return partition_make(p->catalog, name, NULL, &p->segments, err);
}

static void drop_partition(struct catalog *c, lam_partition *partition) {
    if (partition)
        IGNORE(lam_partition_drop(c->db, partition, NULL),
               "no table names it any more: the next attach, or a table of its name, removes it");
}

static void drop_partitions(struct provider *p) {
    for (uint32_t i = 0; i < p->index_count; i++)
        drop_partition(p->catalog, p->indexes[i].partition);
    drop_partition(p->catalog, p->hot);
    drop_partition(p->catalog, p->segments);
}

/* --- options --- */

static enum lam_code misplaced(const char *option, enum table_kind kind, const char *allowed,
                               struct lam_error *err) {
    return ERR_SQL(err, "42P16", 0, "option %s is not for %s tables, only for %s", option,
                   table_kind_name(kind), allowed);
}

static enum lam_code check_location(enum table_kind kind, const char *location,
                                    struct lam_error *err) {
    bool per_user = strstr(location, "${user_id}") != NULL;
    if (!*location)
        return ERR_SQL(err, "22023", 0, "LOCATION is empty");
    if (strstr(location, "://"))
        return ERR_SQL(err, "0A000", 0, "LOCATION '%s': only directories are supported", location);
    if (strstr(location, "..") || strchr(location, '\\'))
        return ERR_SQL(err, "22023", 0, "LOCATION '%s' may not contain .. or \\", location);
    if (kind == TABLE_USER && !per_user)
        return ERR_SQL(err, "22023", 0,
                       "LOCATION '%s' of a USER table must contain ${user_id}, so that users do "
                       "not share files",
                       location);
    if (kind == TABLE_SHARED && per_user)
        return ERR_SQL(err, "22023", 0,
                       "LOCATION '%s' of a SHARED table may not contain ${user_id}", location);
    return LAM_OK;
}

static enum lam_code check_stream(const struct table_options *o, struct lam_error *err) {
    if (o->ttl_seconds == 0)
        return ERR_SQL(err, "42P16", 0, "a STREAM table needs option ttl_seconds of at least 1");
    if (o->ttl_seconds > UINT32_MAX)
        return ERR_SQL(err, "22023", 0, "option ttl_seconds is at most %u", UINT32_MAX);
    if (o->flush_rows || o->flush_interval_s)
        return misplaced("flush_policy", TABLE_STREAM, "user and shared ones", err);
    if (o->location)
        return misplaced("LOCATION", TABLE_STREAM, "user and shared ones", err);
    return LAM_OK;
}

/* Checks options against the kind and completes the access level. */
static enum lam_code check_options(enum table_kind kind, struct table_options *o,
                                   struct lam_error *err) {
    if (kind != TABLE_SHARED && o->access != ACCESS_NONE)
        return misplaced("access_level", kind, "shared ones", err);
    if (kind == TABLE_SHARED && o->access == ACCESS_NONE)
        o->access = ACCESS_PRIVATE;
    if (kind == TABLE_STREAM)
        return check_stream(o, err);
    if (o->ttl_seconds)
        return misplaced("ttl_seconds", kind, "stream ones", err);
    if (o->flush_rows > FLUSH_ROWS_MAX)
        return ERR_SQL(err, "22023", 0, "option flush_policy: rows is 1 to %u", FLUSH_ROWS_MAX);
    if (o->flush_interval_s > FLUSH_INTERVAL_MAX_S)
        return ERR_SQL(err, "22023", 0, "option flush_policy: interval is 1 to %u seconds",
                       FLUSH_INTERVAL_MAX_S);
    return o->location ? check_location(kind, o->location, err) : LAM_OK;
}

static enum lam_code require_storage(struct catalog *c, const char *id, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct value key = value_text(id);
    struct arena arena = {0};
    struct lam_error missing = {0};
    enum lam_code rc = entity_get(c->stores[ENTITY_STORAGES], NULL, &key, &arena, record, &missing);
    arena_fini(&arena);
    if (rc == LAM_NOT_FOUND) {
        rc = ERR_SQL(err, "42704", 0, "storage \"%s\" does not exist", id);
        return error_hint(err, rc, "create it first with CREATE STORAGE, or use \"%s\"",
                          STORAGE_BUILT_IN);
    }
    return error_pass(err, rc, &missing);
}

/* --- schema --- */

static enum lam_code set_key(struct schema *s, const uint32_t *key, uint32_t count,
                             struct lam_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        if (key[i] >= s->column_count)
            return ERR_SQL(err, "42703", 0, "the primary key names a column that is not there");
        struct schema_column *column = &s->columns[key[i]];
        if (column->key_position >= 0)
            return ERR_SQL(err, "42701", 0, "column \"%s\" is twice in the primary key",
                           column->name);
        if (column->type.type == LAM_TYPE_JSON)
            return ERR_SQL(err, "42P16", 0, "column \"%s\" is JSON and can't be in the primary key",
                           column->name);
        column->key_position = (int)i;
        column->nullable = false;
        s->key[i] = key[i];
    }
    s->key_count = count;
    return LAM_OK;
}

static const struct column_spec generated_id = {
    .type = {.type = LAM_TYPE_BIGINT},
    .nullable = false,
    .on_insert = {.kind = DEFAULT_SNOWFLAKE},
};

static enum lam_code fill_schema(const struct table_spec *spec, struct schema *s,
                                 struct lam_error *err) {
    struct schema_column *column;
    uint32_t id_position = 0;
    bool has_id = false;
    for (uint32_t i = 0; i < spec->column_count && !has_id; i++) {
        has_id = slice_eq_str(spec->columns[i].name, "id");
        id_position = i;
    }
    s->version = 1;
    s->column_count = 0;
    s->next_column_id = 1;
    s->next_ordinal = 1;
    if (spec->key_count == 0 && !has_id) {
        struct column_spec id = generated_id;
        if (spec->column_count == COLUMNS_MAX)
            return ERR_SQL(err, "54011", 0,
                           "with its id, the table would have more than %u columns", COLUMNS_MAX);
        id.name = lam_slice_str("id");
        id_position = 0;
        TRY(schema_append(s, &id, &column, err));
    }
    for (uint32_t i = 0; i < spec->column_count; i++)
        TRY(schema_append(s, &spec->columns[i], &column, err));
    return spec->key_count ? set_key(s, spec->key, spec->key_count, err)
                           : set_key(s, &id_position, 1, err);
}

static enum lam_code make_schema(const struct table_spec *spec, struct table_id table,
                                 struct schema **schema_out, struct lam_error *err) {
    struct schema *s = NULL;
    if (spec->column_count == 0)
        return ERR_SQL(err, "42P16", 0, "a table needs at least one column");
    if (spec->column_count > COLUMNS_MAX)
        return ERR_SQL(err, "54011", 0, "%u columns; a table has at most %u", spec->column_count,
                       COLUMNS_MAX);
    if (spec->key_count > KEY_COLUMNS_MAX)
        return ERR_SQL(err, "54011", 0, "%u columns in the primary key; at most %u",
                       spec->key_count, KEY_COLUMNS_MAX);
    TRY(schema_new(spec->column_count + 1, &s, err));
    s->table = table;
    enum lam_code rc = fill_schema(spec, s, err);
    if (rc != LAM_OK) {
        schema_unref(s);
        return rc;
    }
    *schema_out = s;
    return LAM_OK;
}

/* --- create --- */

static void set_name(char *out, struct lam_slice name) {
    LAM_ASSERT(name.size <= IDENTIFIER_MAX);
    memcpy(out, name.data, name.size);
    out[name.size] = 0;
}

/* Everything of a provider but its partitions, from a checked spec. */
static enum lam_code describe(struct catalog *c, const struct table_spec *spec, struct provider *p,
                              struct lam_error *err) {
    struct schema *schema = NULL;
    int64_t number = 0;
    set_name(p->namespace_name, spec->namespace_name);
    set_name(p->name, spec->name);
    p->kind = spec->kind;
    p->options = spec->options;
    p->options.location = NULL;
    if (spec->options.location) {
        p->options.location = mem_strdup(spec->options.location);
        if (!p->options.location)
            return mem_fail(err, strlen(spec->options.location));
    }
    if (!p->options.storage[0])
        set_name(p->options.storage, lam_slice_str(STORAGE_BUILT_IN));
    TRY(check_options(p->kind, &p->options, err));
    TRY(catalog_next_id(c, &number, err));
    p->table.number = (uint64_t)number;
    p->created_us = env_now_us(c->env);
    TRY(make_schema(spec, p->table, &schema, err));
    return provider_add_schema(p, schema, err);
}

static enum lam_code commit_create(struct provider *p, bool *visible_out, struct lam_error *err) {
    struct catalog *c = p->catalog;
    lam_batch *batch = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_batch_new(c->db, &batch, err));
    TRY_GOTO(schema_seal(p->schema, err));
    TRY_GOTO(table_record_put(p, batch, err));
    TRY_GOTO(table_schema_record_put(p, p->schema, true, batch, err));
    TRY_GOTO(namespace_record_put(c, batch, lam_slice_str(p->namespace_name), 1, err));
    rc = ddl_commit(c, batch, visible_out, err);
out:
    lam_batch_free(batch);
    return rc;
}

/* Publishes `p`, taking over the reference, or leaves it to the caller. */
static enum lam_code create_locked(struct catalog *c, struct provider *p, bool if_not_exists,
                                   bool *created_out, struct lam_error *err) REQUIRES(c->ddl) {
    struct lam_slice ns = lam_slice_str(p->namespace_name), name = lam_slice_str(p->name);
    TRY(namespace_require(c, ns, err));
    struct provider *existing = registry_find(&c->registry, ns, name);
    if (existing) {
        provider_unref(existing);
        if (if_not_exists)
            return LAM_OK;
        return ERR_SQL(err, "42P07", 0, "table %s.%s exists already", p->namespace_name, p->name);
    }
    TRY(require_storage(c, p->options.storage, err));
    TRY(registry_reserve(&c->registry, err));
    bool visible = false;
    enum lam_code rc = make_partitions(p, err);
    if (rc == LAM_OK)
        rc = commit_create(p, &visible, err);
    if (!visible) {
        /* Where the outcome is unknown the records may be there, and need their partitions. */
        if (rc != LAM_UNKNOWN_OUTCOME)
            drop_partitions(p);
        return rc;
    }
    provider_advance(p);
    registry_publish(&c->registry, p);
    catalog_bump(c);
    *created_out = true;
    return rc;
}

enum lam_code catalog_create_table(struct catalog *c, const struct actor *who,
                                   const struct table_spec *spec, bool *created_out,
                                   struct lam_error *err) {
    struct provider *p = NULL;
    bool created = false;
    if (spec->kind != TABLE_USER && spec->kind != TABLE_SHARED && spec->kind != TABLE_STREAM)
        return ERR(err, LAM_INVALID, "tables of kind %d can't be created", (int)spec->kind);
    enum action action =
        spec->kind == TABLE_SHARED ? ACTION_CREATE_SHARED_TABLE : ACTION_CREATE_USER_TABLE;
    if (!access_may(who->role, action, spec->kind))
        return access_denied(err, who->user, who->role, "create %s tables",
                             table_kind_name(spec->kind));
    TRY(namespace_require(c, spec->namespace_name, err));
    TRY(identifier_check(spec->name, "table", err));
    TRY(provider_new(c, &p, err));
    enum lam_code rc = describe(c, spec, p, err);
    if (rc == LAM_OK) {
        mutex_lock(&c->ddl);
        rc = create_locked(c, p, spec->if_not_exists, &created, err);
        mutex_unlock(&c->ddl);
    }
    if (!created)
        provider_unref(p);
    if (rc == LAM_OK && created_out)
        *created_out = created;
    return rc;
}

/* --- drop --- */

struct dooming {
    struct catalog *c;
    lam_batch *batch;
};

static enum lam_code doom_file(void *arg, const char *path, struct lam_error *err) {
    struct dooming *d = arg;
    uint8_t now[8];
    put_le64(now, (uint64_t)env_now_us(d->c->env));
    return lam_batch_put(d->batch, d->c->doomed, lam_slice_str(path), lam_slice_of(now, sizeof now),
                         err);
}

/* From here on no writer commits to the table; its cold files go to the batch. */
static enum lam_code doom_table(struct provider *p, lam_batch *batch, struct lam_error *err) {
    struct catalog *c = p->catalog;
    struct dooming d = {.c = c, .batch = batch};
    struct catalog_flush_hooks *hooks = atomic_load_explicit(&c->hooks_set, memory_order_acquire);
    enum lam_code rc = LAM_OK;
    provider_lock_all(p);
    atomic_store_explicit(&p->shared->dropped, true, memory_order_release);
    if (hooks && hooks->cold_files && p->segments)
        rc = hooks->cold_files(p, doom_file, &d, err);
    provider_unlock_all(p);
    return rc;
}

static enum lam_code remove_records(struct provider *p, lam_batch *batch, struct lam_error *err) {
    struct catalog *c = p->catalog;
    struct value key[2] = {value_i64(LAM_TYPE_BIGINT, (int64_t)p->table.number)};
    TRY(entity_batch_delete(c->stores[ENTITY_TABLES], batch, key, err));
    for (uint32_t version = 1; version <= p->schema_count; version++) {
        key[1] = value_i64(LAM_TYPE_INT, version);
        TRY(entity_batch_delete(c->stores[ENTITY_TABLE_SCHEMAS], batch, key, err));
    }
    return LAM_OK;
}

static enum lam_code commit_drop(struct catalog *c, struct provider **tables, size_t count,
                                 struct lam_slice namespace_name, bool *visible_out,
                                 struct lam_error *err) {
    lam_batch *batch = NULL;
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_batch_new(c->db, &batch, err));
    for (size_t i = 0; i < count; i++) {
        TRY_GOTO(doom_table(tables[i], batch, err));
        TRY_GOTO(remove_records(tables[i], batch, err));
    }
    if (namespace_name.size) {
        struct value key = value_slice(namespace_name);
        TRY_GOTO(entity_batch_delete(c->stores[ENTITY_NAMESPACES], batch, &key, err));
    } else {
        TRY_GOTO(namespace_record_put(c, batch, lam_slice_str(tables[0]->namespace_name),
                                      -(int)count, err));
    }
    rc = ddl_commit(c, batch, visible_out, err);
out:
    lam_batch_free(batch);
    return rc;
}

enum lam_code tables_drop_locked(struct catalog *c, struct provider **tables, size_t count,
                                 struct lam_slice namespace_name, struct lam_error *err) {
    LAM_ASSERT(count > 0 || namespace_name.size > 0);
    bool visible = false;
    enum lam_code rc = commit_drop(c, tables, count, namespace_name, &visible, err);
    if (!visible) {
        for (size_t i = 0; i < count; i++)
            atomic_store_explicit(&tables[i]->shared->dropped, false, memory_order_release);
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        registry_remove(&c->registry, tables[i]->table);
        if (rc == LAM_OK) /* else the tables may come back, and need them */
            drop_partitions(tables[i]);
    }
    if (namespace_name.size)
        registry_remove_namespace(&c->registry, namespace_name);
    catalog_bump(c);
    return rc;
}

static enum lam_code drop_locked(struct catalog *c, struct provider *p, enum table_kind kind,
                                 struct lam_error *err) REQUIRES(c->ddl) {
    if (kind && kind != p->kind)
        return ERR_SQL(err, "42809", 0, "table %s.%s is a %s table, not a %s table",
                       p->namespace_name, p->name, table_kind_name(p->kind), table_kind_name(kind));
    return tables_drop_locked(c, &p, 1, SLICE_EMPTY, err);
}

enum lam_code catalog_drop_table(struct catalog *c, const struct actor *who,
                                 struct lam_slice namespace_name, struct lam_slice name,
                                 enum table_kind kind, bool if_exists, bool *dropped_out,
                                 struct lam_error *err) {
    if (!access_may(who->role, ACTION_DROP_TABLE, kind ? kind : TABLE_SHARED))
        return access_denied(err, who->user, who->role, "drop tables");
    if (!if_exists || namespace_is_reserved(namespace_name))
        TRY(namespace_require(c, namespace_name, err));
    mutex_lock(&c->ddl);
    enum lam_code rc = LAM_OK;
    struct provider *p = registry_find(&c->registry, namespace_name, name);
    if (p)
        rc = drop_locked(c, p, kind, err);
    mutex_unlock(&c->ddl);
    bool dropped = p && rc == LAM_OK;
    if (!p && !if_exists)
        rc = table_missing(c, namespace_name, name, err);
    provider_unref(p);
    struct catalog_flush_hooks *hooks = atomic_load_explicit(&c->hooks_set, memory_order_acquire);
    if (dropped && hooks && hooks->dropped)
        hooks->dropped(c);
    if (rc == LAM_OK && dropped_out)
        *dropped_out = dropped;
    return rc;
}
