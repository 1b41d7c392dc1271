/* SPDX-License-Identifier: Apache-2.0
 *
 * Attaching the catalog to a database: stores, clock, built-in records, providers; then upkeep of
 * what the last process left: orphan partitions and unfinished jobs. */
#include <stdlib.h>

#include "catalog/catalog_impl.h"

lam_db *catalog_db(const struct catalog *c) {
    return c->db;
}

uint64_t catalog_version(const struct catalog *c) {
    return atomic_load_explicit(&c->version, memory_order_acquire);
}

struct entity_store *catalog_entity(struct catalog *c, enum entity_id id) {
    LAM_ASSERT((unsigned)id < ENTITY_COUNT);
    return c->stores[id];
}

void catalog_set_flush_hooks(struct catalog *c, const struct catalog_flush_hooks *hooks) {
    c->hooks = *hooks;
    atomic_store_explicit(&c->hooks_set, &c->hooks, memory_order_release);
}

static void catalog_free(void *object) {
    struct catalog *c = object;
    registry_fini(&c->registry);
    role_cache_fini(&c->roles);
    for (unsigned i = 0; i < ENTITY_COUNT; i++)
        entity_store_close(c->stores[i]);
    lam_partition_release(c->meta);
    lam_partition_release(c->doomed);
    clock_fini(&c->clock);
    mutex_fini(&c->ddl);
    mem_free(c);
}

/* --- stores --- */

static enum lam_code open_or_make(struct catalog *c, const char *name, lam_partition **out,
                                  struct lam_error *err) {
    struct lam_error missing = {0};
    enum lam_code rc = lam_partition_open(c->db, name, out, &missing);
    if (rc == LAM_NOT_FOUND && db_is_read_only(c->db))
        return ERR(err, LAM_READ_ONLY, "%s has no catalog yet, and is open read-only",
                   db_path(c->db));
    if (rc == LAM_NOT_FOUND)
        return lam_partition_create(c->db, name, NULL, out, err);
    return error_pass(err, rc, &missing);
}

static enum lam_code open_stores(struct catalog *c, struct lam_error *err) {
    TRY(open_or_make(c, PARTITION_META, &c->meta, err));
    TRY(open_or_make(c, PARTITION_DOOMED, &c->doomed, err));
    for (unsigned i = 0; i < ENTITY_COUNT; i++)
        TRY(entity_store_open(c->db, entity_definition((enum entity_id)i), &c->stores[i], err));
    return LAM_OK;
}

enum lam_code catalog_is_there(lam_db *db, bool *there_out, struct lam_error *err) {
    lam_partition *p = NULL;
    struct lam_error local = {0};
    enum lam_code rc = lam_partition_open(db, PARTITION_META, &p, &local);
    *there_out = rc == LAM_OK;
    lam_partition_release(p);
    if (rc != LAM_OK && rc != LAM_NOT_FOUND && err)
        *err = local;
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

/* --- built-in records --- */

static enum lam_code is_absent(struct catalog *c, enum entity_id id, const char *key_text,
                               bool *absent_out, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    struct value key = value_text(key_text);
    struct arena arena = {0};
    struct lam_error missing = {0};
    enum lam_code rc = entity_get(c->stores[id], NULL, &key, &arena, record, &missing);
    arena_fini(&arena);
    *absent_out = rc == LAM_NOT_FOUND;
    if (rc != LAM_OK && rc != LAM_NOT_FOUND && err)
        *err = missing;
    return rc == LAM_NOT_FOUND ? LAM_OK : rc;
}

static void built_in_storage(int64_t now, struct value *record) {
    entity_record_init(entity_definition(ENTITY_STORAGES), record);
    record[STORAGES_STORAGE_ID] = value_text(STORAGE_BUILT_IN);
    record[STORAGES_STORAGE_TYPE] = value_text("filesystem");
    record[STORAGES_BASE_DIRECTORY] = value_text("cold/");
    record[STORAGES_SHARED_TABLES_TEMPLATE] = value_text(TEMPLATE_SHARED);
    record[STORAGES_USER_TABLES_TEMPLATE] = value_text(TEMPLATE_USER);
    record[STORAGES_CREATED_AT] = value_timestamp(now);
    record[STORAGES_UPDATED_AT] = value_timestamp(now);
}

static void built_in_namespace(int64_t now, struct value *record) {
    entity_record_init(entity_definition(ENTITY_NAMESPACES), record);
    record[NAMESPACES_NAMESPACE_ID] = value_text(NAMESPACE_BUILT_IN);
    record[NAMESPACES_NAME] = value_text(NAMESPACE_BUILT_IN);
    record[NAMESPACES_TABLE_COUNT] = value_i64(LAM_TYPE_INT, 0);
    record[NAMESPACES_CREATED_AT] = value_timestamp(now);
}

enum lam_code ddl_commit(struct catalog *c, lam_batch *batch, bool *visible_out,
                         struct lam_error *err) {
    static const struct lam_write_options options = {.durability = LAM_DURABILITY_SYNC};
    uint64_t sequence = 0;
    enum lam_code rc = lam_write(c->db, &options, batch, &sequence, err);
    if (visible_out)
        *visible_out = sequence != 0;
    return rc;
}

static enum lam_code make_built_ins(struct catalog *c, struct lam_error *err) {
    struct value record[ENTITY_FIELDS_MAX];
    bool storage = false, namespace_ = false;
    int64_t now = env_now_us(c->env);
    lam_batch *batch = NULL;
    TRY(is_absent(c, ENTITY_STORAGES, STORAGE_BUILT_IN, &storage, err));
    TRY(is_absent(c, ENTITY_NAMESPACES, NAMESPACE_BUILT_IN, &namespace_, err));
    if (!storage && !namespace_)
        return LAM_OK;
    if (db_is_read_only(c->db))
        return ERR(err, LAM_READ_ONLY, "%s has no catalog yet, and is open read-only",
                   db_path(c->db));
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_batch_new(c->db, &batch, err));
    if (storage) {
        built_in_storage(now, record);
        TRY_GOTO(entity_batch_put(c->stores[ENTITY_STORAGES], batch, record, err));
    }
    if (namespace_) {
        built_in_namespace(now, record);
        TRY_GOTO(entity_batch_put(c->stores[ENTITY_NAMESPACES], batch, record, err));
    }
    rc = ddl_commit(c, batch, NULL, err);
out:
    lam_batch_free(batch);
    return rc;
}

/* --- loading --- */

struct loading {
    struct catalog *c;
    enum lam_code rc;
    struct lam_error *err;
};

static bool load_namespace(void *arg, const struct value *record) {
    struct loading *l = arg;
    struct lam_slice name = record[NAMESPACES_NAMESPACE_ID].as.bytes;
    l->rc = identifier_check(name, "namespace", l->err);
    if (l->rc == LAM_OK)
        l->rc = registry_reserve(&l->c->registry, l->err);
    if (l->rc == LAM_OK)
        registry_add_namespace(&l->c->registry, name);
    return l->rc == LAM_OK;
}

static bool load_table(void *arg, const struct value *record) {
    struct loading *l = arg;
    struct provider *p = NULL;
    l->rc = registry_reserve(&l->c->registry, l->err);
    if (l->rc == LAM_OK)
        l->rc = table_record_load(l->c, record, &p, l->err);
    if (l->rc != LAM_OK)
        return false;
    provider_advance(p);
    registry_publish(&l->c->registry, p);
    return true;
}

static enum lam_code load_all(struct catalog *c, struct lam_error *err) {
    struct loading l = {.c = c, .rc = LAM_OK, .err = err};
    TRY(entity_scan(c->stores[ENTITY_NAMESPACES], NULL, NULL, 0, load_namespace, &l, err));
    TRY(l.rc);
    TRY(entity_scan(c->stores[ENTITY_TABLES], NULL, NULL, 0, load_table, &l, err));
    return l.rc;
}

/* --- orphan partitions --- */

struct name_list {
    char **names; /* owned, each too */
    size_t count, capacity;
    enum lam_code rc;
    struct lam_error *err;
};

static void name_list_fini(struct name_list *list) {
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->names[i]);
    mem_free(list->names);
}

static bool add_name(struct name_list *list, const char *name) {
    list->rc = MEM_GROW(&list->names, &list->capacity, list->count + 1, list->err);
    if (list->rc != LAM_OK)
        return false;
    list->names[list->count] = mem_strdup(name);
    if (!list->names[list->count])
        list->rc = mem_fail(list->err, strlen(name));
    else
        list->count++;
    return list->rc == LAM_OK;
}

static bool list_partition(void *arg, const char *name) {
    static const char *const kinds[] = {"user:", "shared:", "stream:"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0)
            return add_name(arg, name);
    }
    return true;
}

static bool list_owned(void *arg, struct provider *p) {
    struct name_list *list = arg;
    if (!add_name(list, lam_partition_name(p->hot)) ||
        (p->segments && !add_name(list, lam_partition_name(p->segments))))
        return false;
    for (uint32_t i = 0; i < p->index_count; i++) {
        if (!add_name(list, lam_partition_name(p->indexes[i].partition)))
            return false;
    }
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum lam_code catalog_orphans(struct catalog *c, struct db_check *check, struct lam_error *err) {
    struct name_list there = {.err = err}, owned = {.err = err};
    enum lam_code rc = LAM_OK;
    TRY_GOTO(lam_partition_list(c->db, list_partition, &there, err));
    TRY_GOTO(there.rc);
    TRY_GOTO(catalog_each_provider(c, list_owned, &owned, err));
    TRY_GOTO(owned.rc);
    if (owned.count)
        qsort(owned.names, owned.count, sizeof(char *), by_name);
    for (size_t i = 0; i < there.count; i++) {
        bool has_owner = owned.count && bsearch(&there.names[i], owned.names, owned.count,
                                                sizeof(char *), by_name) != NULL;
        if (!has_owner && check)
            db_check_note(check, there.names[i],
                          "a partition of no table; the next open removes it");
        else if (!has_owner)
            TRY_GOTO(partition_discard(c, there.names[i], err));
    }
out:
    name_list_fini(&there);
    name_list_fini(&owned);
    return rc;
}

/* --- attaching --- */

static enum lam_code attach(struct catalog *c, struct lam_error *err) {
    TRY(open_stores(c, err));
    TRY(clock_open(c, err));
    TRY(make_built_ins(c, err));
    TRY(load_all(c, err));
    if (db_is_read_only(c->db))
        return LAM_OK;
    TRY(catalog_orphans(c, NULL, err));
    return jobs_fail_interrupted(c, err);
}

static enum lam_code catalog_open(lam_db *db, void **object_out, struct lam_error *err) {
    struct catalog *c = mem_calloc(1, sizeof *c);
    if (!c)
        return mem_fail(err, sizeof *c);
    c->db = db;
    c->env = db_env(db);
    mutex_init(&c->ddl, RANK_DDL);
    clock_init(&c->clock);
    registry_init(&c->registry);
    role_cache_init(&c->roles);
    atomic_init(&c->version, 1);
    enum lam_code rc = attach(c, err);
    if (rc != LAM_OK) {
        catalog_free(c);
        return error_context(err, rc, "catalog");
    }
    *object_out = c;
    return LAM_OK;
}

static enum lam_code catalog_closing(void *object, struct lam_error *err) {
    (void)err;
    IGNORE(clock_save(object, NULL),
           "without it the next open begins at the older bound, which is a later time");
    return LAM_OK;
}

enum lam_code catalog_of(lam_db *db, struct catalog **catalog_out, struct lam_error *err) {
    static const struct db_attachment attachment = {
        .layer = DB_LAYER_CATALOG,
        .open = catalog_open,
        .closing = catalog_closing,
        .close = catalog_free,
    };
    void *object = NULL;
    TRY(db_attach(db, &attachment, &object, err));
    *catalog_out = object;
    return LAM_OK;
}
