/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: options, directory, lock; recover.c does the rest. Also the checks shared by all calls.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

#define MEMORY_DEFAULT (256ull << 20)
#define MEMORY_LEAST   (4ull << 20)
#define BLOCK_DEFAULT  (8u << 10)
#define BLOCK_LEAST    512u
#define BLOCK_MOST     (1u << 20)
#define FILTER_DEFAULT 10u
#define FILTER_MOST    64u
#define FILES_DEFAULT  500u
#define FILES_LEAST    16u

/* --- shared checks -------------------------------------------------------------------------- */

bool db_is_foreign(const lam_db *db) {
    return db->env->ops->process_id(db->env) != db->process_id;
}

enum lam_code db_check_process(const lam_db *db, struct lam_error *err) {
    if (!db_is_foreign(db))
        return LAM_OK;
    return ERR(err, LAM_INVALID, "%s was opened by another process: a forked child can't use it",
               db->path);
}

enum lam_code db_check_key(struct lam_slice key, struct lam_error *err) {
    if (key.size == 0)
        return ERR(err, LAM_INVALID, "the key is empty");
    if (!key.data)
        return ERR(err, LAM_INVALID, "key of %zu bytes is NULL", key.size);
    if (key.size > LAM_KEY_MAX)
        return ERR(err, LAM_LIMIT, "key of %zu bytes, at most %u are allowed", key.size,
                   LAM_KEY_MAX);
    return LAM_OK;
}

enum lam_code db_check_writable(lam_db *db, struct lam_error *err) {
    if (db->options.read_only)
        return ERR(err, LAM_READ_ONLY, "%s is open read-only", db->path);
    if (!atomic_load_explicit(&db->failed, memory_order_acquire))
        return LAM_OK;
    mutex_lock(&db->sync);
    struct lam_error cause = db_sync(db)->failure;
    mutex_unlock(&db->sync);
    if (err)
        err->os_errno = cause.os_errno;
    return ERR(err, LAM_READ_ONLY, "%s takes no writes until it is reopened, since: %s", db->path,
               cause.message);
}

enum lam_code db_not_done(lam_db *db, enum lam_code rc, struct lam_error *err) {
    if (rc != LAM_UNKNOWN_OUTCOME)
        return rc;
    enum lam_code refused = db_check_writable(db, err);
    LAM_ASSERT(refused != LAM_OK); /* every unknown outcome is sticky */
    return refused;
}

enum lam_code db_check_partition(const lam_db *db, const lam_partition *p, const char *call,
                                 struct lam_error *err) {
    if (!db || !p)
        return ERR(err, LAM_INVALID, "%s: db and partition must not be NULL", call);
    if (p->db != db)
        return ERR(err, LAM_INVALID, "%s: the partition belongs to another database", call);
    return db_check_process(db, err);
}

uint64_t db_next_number(lam_db *db) {
    return atomic_fetch_add(&db->next_number, 1);
}

void db_close_idle_files(lam_db *db) {
    sst_cache_halve(&db->ssts);
    mutex_lock(&db->idle_files);
    const struct db_idle_files *i = db_idle_files(db);
    if (i->fn)
        i->fn(i->arg);
    mutex_unlock(&db->idle_files);
}

void db_set_idle_files(lam_db *db, void (*fn)(void *arg), void *arg) {
    mutex_lock(&db->idle_files);
    *db_idle_files(db) = (struct db_idle_files){fn, arg};
    mutex_unlock(&db->idle_files);
}

lam_env *db_env(const lam_db *db) {
    return db->env;
}

const char *db_path(const lam_db *db) {
    return db->path;
}

bool db_is_read_only(const lam_db *db) {
    return db->options.read_only;
}

void db_identity(const lam_db *db, uint8_t *id_out) {
    memcpy(id_out, db->id, sizeof db->id);
}

/* --- options -------------------------------------------------------------------------------- */

static enum lam_code check_options(const struct lam_options *o, struct lam_error *err) {
    if (o->must_exist && o->must_not_exist)
        return ERR(err, LAM_INVALID,
                   "lam_db_open: must_exist and must_not_exist exclude each other");
    if (o->memory_budget && o->memory_budget < MEMORY_LEAST)
        return ERR(err, LAM_INVALID, "lam_db_open: memory_budget %llu is below %llu",
                   (unsigned long long)o->memory_budget, MEMORY_LEAST);
    if ((unsigned)o->durability > LAM_DURABILITY_SYNC)
        return ERR(err, LAM_INVALID, "lam_db_open: durability %d is unknown", (int)o->durability);
    if ((unsigned)o->compression > LAM_COMPRESSION_LZ4)
        return ERR(err, LAM_INVALID, "lam_db_open: compression %d is unknown", (int)o->compression);
    if (o->block_bytes && (o->block_bytes < BLOCK_LEAST || o->block_bytes > BLOCK_MOST))
        return ERR(err, LAM_INVALID, "lam_db_open: block_bytes %u is not between %u and %u",
                   o->block_bytes, BLOCK_LEAST, BLOCK_MOST);
    if (o->filter_bits_per_key > FILTER_MOST)
        return ERR(err, LAM_INVALID, "lam_db_open: filter_bits_per_key %u is above %u",
                   o->filter_bits_per_key, FILTER_MOST);
    if (o->open_files && o->open_files < FILES_LEAST)
        return ERR(err, LAM_INVALID, "lam_db_open: open_files %u is below %u", o->open_files,
                   FILES_LEAST);
    return LAM_OK;
}

static void fill_options(struct lam_options *o) {
    if (!o->env)
        o->env = lam_env_posix();
    if (!o->memory_budget)
        o->memory_budget = MEMORY_DEFAULT;
    if (o->durability == LAM_DURABILITY_DEFAULT)
        o->durability = LAM_DURABILITY_OS;
    if (!o->block_bytes)
        o->block_bytes = BLOCK_DEFAULT;
    if (!o->filter_bits_per_key)
        o->filter_bits_per_key = FILTER_DEFAULT;
    if (!o->open_files)
        o->open_files = FILES_DEFAULT;
}

/* --- directory and lock --------------------------------------------------------------------- */

enum lam_code db_sync_parent(lam_db *db, struct lam_error *err) {
    struct buf parent = {0};
    const char *text;
    enum lam_code rc = env_path_parent(&parent, db->path, err);
    if (rc == LAM_OK)
        rc = buf_cstr(&parent, &text, err);
    if (rc == LAM_OK)
        rc = env_dir_sync(db->env, text, err);
    buf_fini(&parent);
    return rc;
}

static enum lam_code ensure_directory(lam_db *db, struct lam_error *err) {
    enum lam_path_kind kind;
    TRY(env_path_kind(db->env, db->path, &kind, err));
    if (kind == LAM_PATH_DIRECTORY)
        return LAM_OK;
    if (kind != LAM_PATH_NONE)
        return ERR(err, LAM_INVALID, "%s is not a directory", db->path);
    if (db->options.must_exist || db->options.read_only)
        return ERR(err, LAM_NOT_FOUND, "%s: no such directory", db->path);
    enum lam_code rc = db->env->ops->dir_create(db->env, db->path, err);
    return rc == LAM_EXISTS ? LAM_OK : rc;
}

static enum lam_code take_lock(lam_db *db, struct lam_error *err) {
    struct buf path = {0};
    enum lam_path_kind kind = LAM_PATH_FILE;
    const char *text;
    enum lam_code rc = env_path_join(&path, db->path, "LOCK", err);
    if (rc == LAM_OK)
        rc = buf_cstr(&path, &text, err);
    if (rc == LAM_OK && db->options.read_only)
        rc = env_path_kind(db->env, text, &kind, err);
    if (rc == LAM_OK && kind != LAM_PATH_NONE)
        rc = db->env->ops->file_lock(db->env, text, &db->lock, err);
    if (rc == LAM_BUSY)
        rc = ERR(err, LAM_BUSY, "%s is open already, here or in another process", db->path);
    buf_fini(&path);
    return rc;
}

/* --- life ----------------------------------------------------------------------------------- */

static void init_locks(lam_db *db) {
    mutex_init(&db->open, RANK_DB_OPEN);
    mutex_init(&db->commit, RANK_DB_COMMIT);
    mutex_init(&db->log, RANK_DB_LOG);
    mutex_init(&db->manifest, RANK_DB_MANIFEST);
    mutex_init(&db->state, RANK_DB_STATE);
    mutex_init(&db->sync, RANK_DB_SYNC);
    mutex_init(&db->idle_files, RANK_DB_IDLE);
    cond_init(&db->opened);
    cond_init(&db->room);
    cond_init(&db->idle);
    cond_init(&db->synced);
    epochs_init(&db->epochs);
}

static void fini_locks(lam_db *db) {
    mutex_fini(&db->open);
    mutex_fini(&db->commit);
    mutex_fini(&db->log);
    mutex_fini(&db->manifest);
    mutex_fini(&db->state);
    mutex_fini(&db->sync);
    mutex_fini(&db->idle_files);
    cond_fini(&db->opened);
    cond_fini(&db->room);
    cond_fini(&db->idle);
    cond_fini(&db->synced);
    epochs_fini(&db->epochs);
}

void db_free(lam_db *db) {
    if (db->lock)
        db->env->ops->file_unlock(db->lock);
    fini_locks(db);
    mem_free(db->path);
    mem_free(db);
}

static enum lam_code db_new(const char *path, const struct lam_options *options, lam_db **out,
                            struct lam_error *err) {
    lam_db *db = mem_calloc(1, sizeof *db);
    if (!db)
        return mem_fail(err, sizeof *db);
    db->path = mem_strdup(path);
    if (!db->path) {
        mem_free(db);
        return mem_fail(err, strlen(path) + 1);
    }
    db->options = *options;
    db->env = options->env;
    db->process_id = db->env->ops->process_id(db->env);
    db_tuning_for(options->memory_budget, &db->tuning);
    db->dump_task.db = db;
    db->compact_task.db = db;
    db->log_task.db = db;
    init_locks(db);
    *out = db;
    return LAM_OK;
}

enum lam_code lam_db_open(const char *path, const struct lam_options *options, lam_db **db_out,
                          struct lam_error *err) {
    if (!path || !*path || !db_out)
        return ERR(err, LAM_INVALID, "lam_db_open: path and db_out must not be NULL or empty");
    struct lam_options o = {0};
    if (options)
        o = *options;
    TRY(check_options(&o, err));
    fill_options(&o);
    lam_db *db = NULL;
    TRY(db_new(path, &o, &db, err));
    enum lam_code rc = ensure_directory(db, err);
    if (rc == LAM_OK)
        rc = take_lock(db, err);
    if (rc == LAM_OK) {
        rc = recover_run(db, err);
        if (rc != LAM_OK)
            db_teardown(db);
    }
    if (rc != LAM_OK) {
        db_free(db);
        return rc;
    }
    *db_out = db;
    return LAM_OK;
}
