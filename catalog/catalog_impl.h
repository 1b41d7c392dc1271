/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the catalog share among themselves. */
#ifndef LAMINA_CATALOG_CATALOG_IMPL_H
#define LAMINA_CATALOG_CATALOG_IMPL_H

#include "base/assert.h"
#include "base/hash.h"
#include "catalog/catalog.h"

#define PARTITION_META     "system_meta"
#define PARTITION_DOOMED   "system_doomed"
#define NAMESPACE_BUILT_IN "default"
#define STORAGE_BUILT_IN   "local"

#define TEMPLATE_SHARED "{namespace}/{table}/"
#define TEMPLATE_USER   "{namespace}/{table}/${user_id}/"

/* --- snowflake.c: the one source of ids. An id is 41 bits of milliseconds since 2024-01-01 UTC,
 * 10 bits of worker, 12 of counter. Invariant: every id that left has its milliseconds at or below
 * a bound that is in the log before the id can be, so a restart that begins above the bound never
 * repeats one. --- */
struct clock {
    struct mutex mu; /* RANK_CLOCK */
    struct {
        int64_t last;     /* (ms << 12 | counter) of the newest id */
        int64_t bound_ms; /* the newest bound known to be committed */
    } guarded_;
    int64_t worker; /* 0 to 1023, from the database's identity */
};
void clock_init(struct clock *clock);
/* Reads the bound; before any id is taken. */
MUST_CHECK enum lam_code clock_open(struct catalog *c, struct lam_error *err);
void clock_fini(struct clock *clock);
/* Writes the exact bound, so that a clean reopen starts right behind the last id. */
MUST_CHECK enum lam_code clock_save(struct catalog *c, struct lam_error *err);

/* --- registry.c: current providers by name and by number, and the namespaces' names --- */
struct registry_entry {
    struct provider *provider; /* owned reference */
    uint64_t name_hash;
    struct registry_entry *next_by_name;
    struct registry_entry *next_by_id;
};
struct namespace_name {
    char name[IDENTIFIER_MAX + 1];
};
struct registry {
    struct mutex mu; /* RANK_REGISTRY */
    struct registry_guarded {
        struct registry_entry **by_name; /* buckets; owned */
        struct registry_entry **by_id;   /* buckets; owned */
        size_t bucket_count;             /* power of two, or 0 */
        size_t count;
        struct registry_entry *spare;      /* for the publish that is prepared; owned */
        struct namespace_name *namespaces; /* sorted; owned */
        size_t namespace_count;
        size_t namespace_capacity;
    } guarded_;
};
void registry_init(struct registry *r);
void registry_fini(struct registry *r);
/* Makes sure that the next publish, or the next new namespace, needs no memory. */
MUST_CHECK enum lam_code registry_reserve(struct registry *r, struct lam_error *err);
/* Makes `p` (a reference is taken over) the current provider of its table. */
void registry_publish(struct registry *r, struct provider *p);
void registry_remove(struct registry *r, struct table_id table);
/* Reference or NULL. */
struct provider *registry_find(struct registry *r, struct lam_slice namespace_name,
                               struct lam_slice name);
struct provider *registry_find_id(struct registry *r, struct table_id table);
bool registry_has_namespace(struct registry *r, struct lam_slice name);
void registry_add_namespace(struct registry *r, struct lam_slice name);
void registry_remove_namespace(struct registry *r, struct lam_slice name);
/* References of all providers, or those of one namespace (empty: all), sorted by namespace and
 * name. Free with providers_free. */
MUST_CHECK enum lam_code registry_collect(struct registry *r, struct lam_slice namespace_name,
                                          struct provider ***providers_out, size_t *count_out,
                                          struct lam_error *err);
void providers_free(struct provider **providers, size_t count);

/* --- users.c: roles read lately --- */
#define ROLE_CACHE_SLOTS 1024
struct role_cache {
    struct mutex mu; /* RANK_REGISTRY */
    struct role_cache_guarded {
        struct role_slot {
            uint8_t *name; /* owned; NULL: empty slot */
            size_t name_size;
            enum lam_role role;
        } slots[ROLE_CACHE_SLOTS];
        uint64_t version; /* rises with each change to a user, so that a slow reader's stale
                             role is not put in */
    } guarded_;
};
void role_cache_init(struct role_cache *cache);
void role_cache_fini(struct role_cache *cache);

struct catalog {
    lam_db *db;                                /* borrowed; outlives this */
    lam_env *env;                              /* borrowed */
    struct entity_store *stores[ENTITY_COUNT]; /* owned */
    lam_partition *meta;                       /* clock's bound; owned */
    lam_partition *doomed;                     /* cold files of dropped tables; owned */
    struct mutex ddl;                          /* RANK_DDL: one schema or user change at a time */
    struct clock clock;
    struct registry registry;
    struct role_cache roles;
    atomic_ullong version;   /* DDL writes, anybody reads; relaxed but for the publish before it */
    atomic_ullong providers; /* alive; statistics */
    struct catalog_flush_hooks hooks;                /* set once, before hooks_set */
    _Atomic(struct catalog_flush_hooks *) hooks_set; /* NULL or &hooks; release-acquire */
};

/* --- provider.c --- */
/* All-zero provider with one reference and fresh shared state. */
MUST_CHECK enum lam_code provider_new(struct catalog *c, struct provider **provider_out,
                                      struct lam_error *err);
/* A next version of `from` with its own handles, sharing schemas and shared state: to be changed by
 * its maker, then published. */
MUST_CHECK enum lam_code provider_clone(const struct provider *from, struct provider **provider_out,
                                        struct lam_error *err);
/* Appends schema version schema_count + 1 and makes it current; takes over the reference, also on
 * failure. */
MUST_CHECK enum lam_code provider_add_schema(struct provider *p, struct schema *schema,
                                             struct lam_error *err);
/* Takes over the index's partition on success. */
MUST_CHECK enum lam_code provider_add_index(struct provider *p, const struct table_index *index,
                                            struct lam_error *err);
void provider_remove_index(struct provider *p, uint32_t position);
/* Opens the partitions that are not open yet. CORRUPT if the catalog names one that is gone. */
MUST_CHECK enum lam_code provider_open_partitions(struct provider *p, struct lam_error *err);
void provider_lock_all(struct provider *p) NO_THREAD_SAFETY;
void provider_unlock_all(struct provider *p) NO_THREAD_SAFETY;
/* Numbers a version and tells `shared`; the caller holds all stripes and publishes it next. */
void provider_advance(struct provider *p);
int provider_find_index(const struct provider *p, struct lam_slice name);

#define PARTITION_NAME_BYTES (LAM_PARTITION_NAME_MAX + 1)
void hot_partition_name(const struct provider *p, char *out);
void segments_partition_name(const struct provider *p, char *out);
void index_partition_name(const struct provider *p, const char *index, char *out);

/* --- table_record.c: providers as records of system.tables and system.table_schemas --- */
MUST_CHECK enum lam_code table_record_put(struct provider *p, lam_batch *batch,
                                          struct lam_error *err);
MUST_CHECK enum lam_code table_schema_record_put(struct provider *p, const struct schema *schema,
                                                 bool is_latest, lam_batch *batch,
                                                 struct lam_error *err);
/* The records as they are put, but for when they were made; bytes are in the buffers. */
MUST_CHECK enum lam_code table_record_make(const struct provider *p, struct buf *definition,
                                           struct buf *json, struct value *record,
                                           struct lam_error *err);
MUST_CHECK enum lam_code table_schema_record_make(const struct provider *p,
                                                  const struct schema *schema, bool is_latest,
                                                  struct buf *definition, struct buf *json,
                                                  struct value *record, struct lam_error *err);
/* Makes the provider of a record, reading its schemas and opening its partitions. */
MUST_CHECK enum lam_code table_record_load(struct catalog *c, const struct value *record,
                                           struct provider **provider_out, struct lam_error *err);

/* --- ddl_*.c --- */
/* Commits durably. `*visible_out` (may be NULL): readers see it, also where a failed sync leaves it
 * unknown whether a power loss would take it; what is kept in memory then follows it. */
MUST_CHECK enum lam_code ddl_commit(struct catalog *c, lam_batch *batch, bool *visible_out,
                                    struct lam_error *err);
static inline void catalog_bump(struct catalog *c) {
    atomic_fetch_add_explicit(&c->version, 1, memory_order_release);
}
bool namespace_is_reserved(struct lam_slice name);
/* 3F000 with its hint unless there is such a namespace; 42939 if it is a reserved one. */
MUST_CHECK enum lam_code namespace_require(struct catalog *c, struct lam_slice name,
                                           struct lam_error *err);
/* Adds the namespace's record with its table count changed by `delta`. */
MUST_CHECK enum lam_code namespace_record_put(struct catalog *c, lam_batch *batch,
                                              struct lam_slice name, int delta,
                                              struct lam_error *err);
/* Raises 42P01 with the nearest name as hint. */
enum lam_code table_missing(struct catalog *c, struct lam_slice namespace_name,
                            struct lam_slice name, struct lam_error *err);
/* Drops tables, and a namespace with them if `namespace_name` is not empty, in one event; the
 * caller holds the DDL mutex. */
MUST_CHECK enum lam_code tables_drop_locked(struct catalog *c, struct provider **tables,
                                            size_t count, struct lam_slice namespace_name,
                                            struct lam_error *err) REQUIRES(c->ddl);
/* Drops a partition of this name if there is one: what an earlier failure left. */
MUST_CHECK enum lam_code partition_discard(struct catalog *c, const char *name,
                                           struct lam_error *err);
/* Makes a partition, replacing an orphan of its name. */
MUST_CHECK enum lam_code partition_make(struct catalog *c, const char *name,
                                        const struct lam_partition_options *options,
                                        lam_partition **out, struct lam_error *err);

/* ddl_column.c: columns of schemas under construction. */
MUST_CHECK enum lam_code column_name_check(struct lam_slice name, struct lam_error *err);
MUST_CHECK enum lam_code column_type_check(struct lam_slice name, struct coltype type,
                                           struct lam_error *err);
/* Copies a default into the schema, cast to the column's type; checks that a function's result fits
 * the type. NULL constants become DEFAULT_NONE. */
MUST_CHECK enum lam_code column_default_set(struct schema *s, struct schema_column *column,
                                            const struct column_default *wanted,
                                            struct lam_error *err);
/* Copies a value with its bytes into an arena. */
MUST_CHECK enum lam_code value_copy(const struct value *v, struct arena *arena, struct value *out,
                                    struct lam_error *err);
/* Copy of a schema without column `skip` (-1: none), with room for `extra` more, one version on. */
MUST_CHECK enum lam_code schema_derive(const struct schema *from, int skip, uint32_t extra,
                                       struct schema **schema_out, struct lam_error *err);
/* Fills columns[column_count++] of a schema: id and ordinal are the next ones. */
MUST_CHECK enum lam_code schema_append(struct schema *s, const struct column_spec *spec,
                                       struct schema_column **column_out, struct lam_error *err);
/* Raises 42703 with the nearest column as hint. */
enum lam_code column_missing(const struct provider *p, struct lam_slice name,
                             struct lam_error *err);

/* --- rows.c --- */
/* The user's part at the front of a row key of a USER or STREAM table. */
MUST_CHECK enum lam_code row_key_user_part(struct lam_slice key, struct lam_slice *part_out,
                                           struct lam_error *err);

/* --- ddl_storage.c --- */
/* Whether a record is one of a storage that may be made. */
MUST_CHECK enum lam_code storage_check(const struct value *record, struct lam_error *err);

/* --- catalog.c --- */
/* Removes partitions of tables that no table owns; with `check` it only tells them. */
MUST_CHECK enum lam_code catalog_orphans(struct catalog *c, struct db_check *check,
                                         struct lam_error *err);

/* --- jobs.c --- */
/* Whether a record is a job in a state that there is. */
MUST_CHECK enum lam_code job_check(const struct value *record, struct arena *arena,
                                   struct lam_error *err);
/* Jobs that the last process left unfinished become failed. */
MUST_CHECK enum lam_code jobs_fail_interrupted(struct catalog *c, struct lam_error *err);

/* --- entities --- */
static inline struct value value_slice(struct lam_slice text) {
    return value_bytes(LAM_TYPE_TEXT, text);
}
static inline struct value value_timestamp(int64_t us) {
    return value_i64(LAM_TYPE_TIMESTAMP, us);
}

#endif
