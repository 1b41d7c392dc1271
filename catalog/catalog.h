/* SPDX-License-Identifier: Apache-2.0
 *
 * Door of the catalog: typed values, keys, rows and schemas; entities and their indexed stores; the
 * registry of table providers; schema changes; users, roles and access rules; ids.
 *
 * Everything here is thread-safe unless it says otherwise. Functions that fail on behalf of a
 * statement raise LAM_SQL with an SQLSTATE, and LAM_DENIED (42501) for access. */
#ifndef LAMINA_CATALOG_CATALOG_H
#define LAMINA_CATALOG_CATALOG_H

#include "base/thread.h"
#include "catalog/access.h"
#include "catalog/entity.h"
#include "catalog/schema.h"
#include "lsm/lsm.h"

struct catalog;

/* The catalog of a database; attached on first use: makes the system partitions, the built-in
 * storage `local` and namespace `default`, fails jobs left running, removes partitions no table
 * owns. Valid until lam_db_close. */
MUST_CHECK enum lam_code catalog_of(lam_db *db, struct catalog **catalog_out,
                                    struct lam_error *err);
lam_db *catalog_db(const struct catalog *c);
/* Rises with every schema change; statement caches compare it. */
uint64_t catalog_version(const struct catalog *c);

/* --- tables -------------------------------------------------------------------------------- */

struct table_options {
    char storage[IDENTIFIER_MAX + 1]; /* "local" by default */
    char *location;                   /* path template of LOCATION, or NULL; owned */
    uint64_t flush_rows;              /* 0: no such trigger */
    uint64_t flush_interval_s;        /* 0: no such trigger */
    uint32_t deleted_retention_hours; /* default 168; 0: none kept past compaction */
    uint64_t ttl_seconds;             /* STREAM only */
    enum access_level access;
    bool lz4; /* cold files; default true */
};
/* The defaults: storage local, retention 168 hours, lz4; no policy, no location, access by kind. */
void table_options_init(struct table_options *o);

struct table_index {
    uint32_t number; /* never reused in its table */
    char name[IDENTIFIER_MAX + 1];
    bool unique;
    uint32_t column_count;
    uint32_t column_ids[INDEX_COLUMNS_MAX];
    lam_partition *partition; /* "{hot partition}#{name}"; owned by the provider */
};

#define WRITE_STRIPES 32 /* schema changes hold all: below the 64 that lock checkers follow */

/* One table for everybody: what a statement needs to scan or change it, holding nothing of a user.
 * Immutable but for the fields said otherwise; ALTER publishes another provider. Reference-counted.
 */
struct provider {
    atomic_uint refs;
    struct catalog *catalog; /* borrowed */
    struct table_id table;
    char namespace_name[IDENTIFIER_MAX + 1];
    char name[IDENTIFIER_MAX + 1];
    enum table_kind kind;
    struct table_options options;
    int64_t created_us;
    struct schema *schema;   /* current; owned reference */
    struct schema **schemas; /* version v at [v - 1]; owned references */
    uint32_t schema_count;
    lam_partition *hot;      /* rows; owned */
    lam_partition *segments; /* cold files' entries and dead-row bitmaps ("{hot}@segments"); owned;
                                NULL for STREAM */
    struct table_index *indexes; /* owned */
    uint32_t index_count;
    uint32_t next_index_number;
    uint64_t generation; /* of `shared` when this version was published */
    struct table_shared
        *shared; /* lives as long as the table, over all its versions; owned reference */
};

/* State that all versions of a table share. */
struct table_shared {
    atomic_uint refs;
    struct mutex stripes[WRITE_STRIPES]; /* RANK_STRIPE; writers hold that of their user or key */
    atomic_uint current_version; /* schema version; DDL writes, statements check after locking */
    atomic_bool dropped;         /* set by DROP TABLE while all stripes are held */
    _Atomic(void *) cold;        /* the flush layer's; it sets `cold_free` with it */
    void (*cold_free)(void *cold);
    atomic_ullong generation; /* rises with each provider published for the table */
};

/* The provider of a table by folded names; a reference the caller gives back. Allocates nothing
 * when the table is known. 3F000 (no such namespace, with hint), 42P01 (no such table). */
MUST_CHECK enum lam_code catalog_provider(struct catalog *c, struct lam_slice namespace_name,
                                          struct lam_slice name, struct provider **provider_out,
                                          struct lam_error *err);
/* The current provider of a table by number; NOT_FOUND once it is dropped. */
MUST_CHECK enum lam_code catalog_provider_by_id(struct catalog *c, struct table_id table,
                                                struct provider **provider_out,
                                                struct lam_error *err);
/* Calls `fn` with each current provider (borrowed during the call), by namespace and name. */
typedef bool (*provider_fn)(void *arg, struct provider *p);
MUST_CHECK enum lam_code catalog_each_provider(struct catalog *c, provider_fn fn, void *arg,
                                               struct lam_error *err);
struct provider *provider_ref(struct provider *p);
void provider_unref(struct provider *p);
OWNED_POINTER(struct provider, provider_unref)
/* Providers alive, for statistics and tests. */
uint64_t catalog_provider_count(const struct catalog *c);
/* Schema under which a row was written; NULL if there is no such version. Borrowed. */
const struct schema *provider_schema(const struct provider *p, uint32_t version);

/* Locks the stripe of a user (USER, STREAM) or of the table (SHARED) against other writers, then
 * checks that `p` is still current: 42P01 if dropped, LAM_CONFLICT if altered (prepare again). */
MUST_CHECK enum lam_code provider_write_lock(struct provider *p, struct lam_slice user,
                                             unsigned *stripe_out,
                                             struct lam_error *err) NO_THREAD_SAFETY;
void provider_write_unlock(struct provider *p, unsigned stripe) NO_THREAD_SAFETY;

/* --- rows with their indexes --------------------------------------------------------------- */

/* row_batch_put adds to a batch: put the row (values in schema order, `deleted`), remove those
 * index entries of `old_values` that the row no longer has (NULL: there was no hot version) and put
 * those of the row unless it is deleted. `old_values` has the same key. `stamps` collects where the
 * commit stamps _seq and must outlive it. row_batch_remove removes row and entries physically. The
 * caller holds the stripe and has checked uniqueness. */
struct seq_stamps { /* all-zero is empty */
    uint64_t *offsets;
    size_t count, capacity;
    struct catalog *catalog;
    int64_t first_seq, last_seq;           /* set by the commit */
    struct buf key, row, entry, old_entry; /* scratch of row_batch_put, kept between rows */
};
void seq_stamps_fini(struct seq_stamps *s);
/* Forgets the stamps, keeps memory; with lam_batch_reset. */
void seq_stamps_reset(struct seq_stamps *s);
MUST_CHECK enum lam_code row_batch_put(struct provider *p, lam_batch *batch,
                                       struct seq_stamps *stamps, struct lam_slice user,
                                       const struct value *values, bool deleted,
                                       const struct value *old_values, struct lam_error *err);
MUST_CHECK enum lam_code row_batch_remove(struct provider *p, lam_batch *batch,
                                          struct lam_slice user, const struct value *old_values,
                                          struct lam_error *err);
/* Commits a batch, giving each stamped row its _seq in commit order. Releases no lock. */
MUST_CHECK enum lam_code catalog_commit(struct catalog *c, lam_batch *batch,
                                        struct seq_stamps *stamps, enum lam_durability durability,
                                        uint64_t *sequence_out, struct lam_error *err);
/* Appends the key prefix of an index: [user] then `count` leading column values. */
MUST_CHECK enum lam_code index_prefix(const struct provider *p, const struct table_index *index,
                                      struct lam_slice user, const struct value *values,
                                      uint32_t count, struct buf *out, struct lam_error *err);
/* The key of a row's entry into `out` (emptied first); `row` in schema order. */
MUST_CHECK enum lam_code index_entry(const struct provider *p, const struct table_index *index,
                                     struct lam_slice user, const struct value *row,
                                     struct buf *out, struct lam_error *err);
/* The front of an index entry: user and columns, without the primary key. */
MUST_CHECK enum lam_code index_entry_columns(const struct provider *p,
                                             const struct table_index *index, struct lam_slice key,
                                             struct lam_slice *columns_out, bool *has_null_out,
                                             struct lam_error *err);
/* Appends to `out` the key in the hot partition ([user], then primary key) that an index entry
 * leads to. */
MUST_CHECK enum lam_code index_entry_row_key(const struct provider *p,
                                             const struct table_index *index, struct lam_slice key,
                                             struct lam_slice value, struct buf *out,
                                             struct lam_error *err);

/* --- ids ----------------------------------------------------------------------------------- */

/* The next snowflake: strictly rising over all threads, restarts and clock changes. */
MUST_CHECK enum lam_code catalog_next_id(struct catalog *c, int64_t *id_out, struct lam_error *err);
void catalog_uuid_v7(struct catalog *c, uint8_t *out16);
void catalog_ulid(struct catalog *c, char *out27); /* 26 characters and NUL */
int64_t catalog_now_us(struct catalog *c);
/* What rows of STREAM tables expire by: the wall clock, but never before the time of the newest
 * `_seq`, so that a clock set back makes no expired row show again beside later ones. */
int64_t catalog_expiry_us(struct catalog *c);
/* Value of a column default for a session. Bytes from the arena. */
MUST_CHECK enum lam_code column_default_value(struct catalog *c, const struct schema_column *column,
                                              struct lam_slice user, enum lam_role role,
                                              struct arena *arena, struct value *out,
                                              struct lam_error *err);

/* --- schema changes: each durable and atomic on return; checks roles of the actor ---------- */

struct actor {
    struct lam_slice user;
    enum lam_role role;
};

MUST_CHECK enum lam_code catalog_create_namespace(struct catalog *c, const struct actor *who,
                                                  struct lam_slice name, bool if_not_exists,
                                                  bool *created_out, struct lam_error *err);
/* 2BP01 listing the tables unless cascade. */
MUST_CHECK enum lam_code catalog_drop_namespace(struct catalog *c, const struct actor *who,
                                                struct lam_slice name, bool if_exists, bool cascade,
                                                bool *dropped_out, struct lam_error *err);
bool catalog_has_namespace(struct catalog *c, struct lam_slice name);
/* The nearest by edit distance of the names offered, for hints; names over 64 bytes are near to
 * nothing. Set `wanted`, the rest zero; `name` stays empty as long as none was near enough. */
struct nearest {
    struct lam_slice wanted; /* borrowed */
    struct lam_slice name;   /* borrowed */
    size_t distance;         /* from `wanted` to `name` */
};
void nearest_offer(struct nearest *n, struct lam_slice candidate);
/* The nearest of an array; false, and `out` as it was, if none is near. */
bool nearest_name(struct lam_slice wanted, const struct lam_slice *names, size_t count,
                  struct lam_slice *out);

struct column_spec {
    struct lam_slice name;
    struct coltype type;
    bool nullable;
    struct column_default on_insert;
};
struct table_spec {
    struct lam_slice namespace_name;
    struct lam_slice name;
    enum table_kind kind;
    const struct column_spec *columns;
    uint32_t column_count;
    uint32_t key_count; /* 0: the `id` column, else one is added (BRIEF section 4) */
    uint32_t key[KEY_COLUMNS_MAX];
    struct table_options options;
    bool if_not_exists;
};
MUST_CHECK enum lam_code catalog_create_table(struct catalog *c, const struct actor *who,
                                              const struct table_spec *spec, bool *created_out,
                                              struct lam_error *err);
/* `kind` 0: any. Its cold files are queued in system.jobs' cleanup and removed by the flush layer.
 */
MUST_CHECK enum lam_code catalog_drop_table(struct catalog *c, const struct actor *who,
                                            struct lam_slice namespace_name, struct lam_slice name,
                                            enum table_kind kind, bool if_exists, bool *dropped_out,
                                            struct lam_error *err);

enum alter_kind {
    ALTER_ADD_COLUMN,
    ALTER_DROP_COLUMN,
    ALTER_RENAME_COLUMN,
    ALTER_SET_DEFAULT,
    ALTER_DROP_DEFAULT,
    ALTER_SET_NOT_NULL, /* the caller has verified that no NULL exists, under alter_begin's locks */
    ALTER_DROP_NOT_NULL,
    ALTER_COLUMN_TYPE, /* widening only */
    ALTER_ACCESS_LEVEL,
};
struct alter_spec {
    enum alter_kind kind;
    struct lam_slice column;
    struct lam_slice new_name;
    struct column_spec added;
    bool if_not_exists, if_exists;
    struct coltype type;
    struct column_default on_insert;
    enum access_level access;
    /* ADD NOT NULL without DEFAULT and SET NOT NULL ask this under the table's locks: true if a row
     * (live or not) stands in the way. */
    enum lam_code (*blocked)(void *arg, struct provider *p, const struct alter_spec *spec,
                             bool *blocked_out, struct lam_error *err);
    void *blocked_arg;
};
MUST_CHECK enum lam_code catalog_alter_table(struct catalog *c, const struct actor *who,
                                             struct lam_slice namespace_name, struct lam_slice name,
                                             const struct alter_spec *spec, bool *changed_out,
                                             struct lam_error *err);

struct index_spec {
    struct lam_slice name;
    struct lam_slice namespace_name;
    struct lam_slice table;
    bool unique;
    bool if_not_exists;
    const struct lam_slice *columns;
    uint32_t column_count;
    /* For unique indexes: whether two live rows, hot or cold, share the values. Asked under the
     * table's locks. */
    enum lam_code (*duplicate)(void *arg, struct provider *p, const struct table_index *index,
                               bool *duplicate_out, struct lam_error *err);
    void *duplicate_arg;
};
/* Builds the entries of all hot rows and publishes the index in one step for readers. Index names
 * are unique in a namespace. */
MUST_CHECK enum lam_code catalog_create_index(struct catalog *c, const struct actor *who,
                                              const struct index_spec *spec, bool *created_out,
                                              struct lam_error *err);
MUST_CHECK enum lam_code catalog_drop_index(struct catalog *c, const struct actor *who,
                                            struct lam_slice namespace_name, struct lam_slice name,
                                            bool if_exists, bool *dropped_out,
                                            struct lam_error *err);

/* --- storages ------------------------------------------------------------------------------ */

struct storage_spec {
    struct lam_slice id;
    struct lam_slice type;            /* filesystem */
    struct lam_slice base_directory;  /* absolute, or relative to the database directory */
    struct lam_slice shared_template; /* empty: "{namespace}/{table}/" */
    struct lam_slice user_template;   /* empty: "{namespace}/{table}/${user_id}/" */
    bool if_not_exists;
};
MUST_CHECK enum lam_code catalog_create_storage(struct catalog *c, const struct actor *who,
                                                const struct storage_spec *spec, bool *created_out,
                                                struct lam_error *err);
/* 2BP01 naming the tables that use it; `local` stays. */
MUST_CHECK enum lam_code catalog_drop_storage(struct catalog *c, const struct actor *who,
                                              struct lam_slice id, bool if_exists,
                                              bool *dropped_out, struct lam_error *err);

/* --- users --------------------------------------------------------------------------------- */

struct user_spec {
    struct lam_slice name;     /* also the user id */
    struct lam_slice password; /* empty: none; hashed with Argon2id (RFC 9106) */
    enum lam_role role;
    struct lam_slice email;
    bool if_not_exists;
};
MUST_CHECK enum lam_code catalog_create_user(struct catalog *c, const struct actor *who,
                                             const struct user_spec *spec, bool *created_out,
                                             struct lam_error *err);
enum user_change {
    USER_SET_PASSWORD,
    USER_SET_ROLE,
    USER_SET_EMAIL,
};
/* Takes the changed part from `spec`. */
MUST_CHECK enum lam_code catalog_alter_user(struct catalog *c, const struct actor *who,
                                            enum user_change change, const struct user_spec *spec,
                                            struct lam_error *err);
/* Soft: the id stays reserved. */
MUST_CHECK enum lam_code catalog_drop_user(struct catalog *c, const struct actor *who,
                                           struct lam_slice name, bool if_exists, bool *dropped_out,
                                           struct lam_error *err);
/* Role of a user who exists and is not dropped; NOT_FOUND otherwise. */
MUST_CHECK enum lam_code catalog_user_role(struct catalog *c, struct lam_slice name,
                                           enum lam_role *role_out, struct lam_error *err);
/* LAM_OK if the password is the user's; LAM_DENIED otherwise, in the same time whether he exists.
 */
MUST_CHECK enum lam_code catalog_verify_password(struct catalog *c, struct lam_slice name,
                                                 struct lam_slice password, struct lam_error *err);
/* Writes an audit row. */
MUST_CHECK enum lam_code catalog_audit(struct catalog *c, struct lam_slice actor,
                                       struct lam_slice subject, const char *action,
                                       struct lam_slice target, struct lam_error *err);

/* --- jobs ---------------------------------------------------------------------------------- */

enum job_status {
    JOB_NEW = 0,
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_RETRYING,
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_SKIPPED,
};
struct job {
    char id[40];      /* "FL-" and a snowflake */
    const char *type; /* flush, compact, cleanup, retention, backup; static */
    enum job_status status;
    char namespace_name[IDENTIFIER_MAX + 1];
    char table[IDENTIFIER_MAX + 1];
    char *parameters, *message, *exception_trace, *idempotency_key; /* NULL or borrowed */
    int64_t rows, files, bytes, ms;                                 /* metrics */
    int32_t retry_count;
    int64_t created_us, started_us, finished_us; /* 0: not yet */
};
const char *job_status_name(enum job_status status);
bool job_status_lookup(struct lam_slice name, enum job_status *status_out);
/* New, queued, running or retrying. */
bool job_status_is_live(enum job_status status);
/* Gives `job` an id by its type and writes it. EXISTS if a live job has its idempotency key: that
 * is how one live flush per table is kept; catalog_job_find_live gives its id. */
MUST_CHECK enum lam_code catalog_job_create(struct catalog *c, struct job *job,
                                            struct lam_error *err);
/* Adds the job's row to a batch (so that a flush and its row are one event), or writes it alone. */
MUST_CHECK enum lam_code catalog_job_batch(struct catalog *c, const struct job *job,
                                           lam_batch *batch, struct lam_error *err);
MUST_CHECK enum lam_code catalog_job_update(struct catalog *c, const struct job *job,
                                            struct lam_error *err);

/* Reads a job; strings from the arena. NOT_FOUND. */
MUST_CHECK enum lam_code catalog_job_get(struct catalog *c, struct lam_slice id,
                                         struct arena *arena, struct job *out,
                                         struct lam_error *err);
/* The live job with an idempotency key; NOT_FOUND. */
MUST_CHECK enum lam_code catalog_job_find_live(struct catalog *c, struct lam_slice idempotency_key,
                                               struct arena *arena, struct job *out,
                                               struct lam_error *err);

/* Verifies the catalog of a database that is open read-only, and notes partitions without a table.
 * Findings name the partition. */
void catalog_check(struct catalog *c, struct db_check *check);
/* The same of the embedder's entities, which need no catalog. */
void entities_check(lam_db *db, struct db_check *check);

/* Whether the database has a catalog, without making one. */
MUST_CHECK enum lam_code catalog_is_there(lam_db *db, bool *there_out, struct lam_error *err);

/* Cold files of dropped tables: paths relative to the database directory or absolute. The catalog
 * keeps them until the flush layer has removed them. */
typedef enum lam_code (*doomed_fn)(void *arg, const char *path, struct lam_error *err);
MUST_CHECK enum lam_code catalog_each_doomed(struct catalog *c, doomed_fn fn, void *arg,
                                             struct lam_error *err);
MUST_CHECK enum lam_code catalog_forget_doomed(struct catalog *c, const char *path,
                                               struct lam_error *err);
/* Set by the flush layer when it attaches: called by DROP TABLE, under its locks, to name the
 * table's cold files, and after it to remove them. */
struct catalog_flush_hooks {
    enum lam_code (*cold_files)(struct provider *p, doomed_fn fn, void *arg, struct lam_error *err);
    void (*dropped)(struct catalog *c);
};
void catalog_set_flush_hooks(struct catalog *c, const struct catalog_flush_hooks *hooks);

#endif
