/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: directory, lock; recover.c does the rest. Also the checks shared by all calls.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "lsm/db_impl.h"

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
    enum lam_code rc = ERR(err, LAM_READ_ONLY, "%s takes no writes until it is reopened, since: %s",
                           db->path, cause.message);
    if (err)
        err->os_errno = cause.os_errno;
    return rc;
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
    notify_log(&db->notify, LAM_LOG_WARNING,
               "%s: the process has no descriptor left; half of the open SSTs are closed",
               db->path);
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
    enum lam_code rc =
        env_lock_in(db->env, db->path, "LOCK", db->options.read_only, &db->lock, err);
    return rc == LAM_BUSY ? ERR(err, rc, "%s is open already, here or in another process", db->path)
                          : rc;
}

static void init_locks(lam_db *db) {
    mutex_init(&db->open, RANK_DB_OPEN);
    mutex_init(&db->partitions, RANK_DB_PARTS);
    mutex_init(&db->commit, RANK_DB_COMMIT);
    mutex_init(&db->log, RANK_DB_LOG);
    mutex_init(&db->manifest, RANK_DB_MANIFEST);
    mutex_init(&db->state, RANK_DB_STATE);
    mutex_init(&db->sync, RANK_DB_SYNC);
    mutex_init(&db->idle_files, RANK_DB_IDLE);
    cond_init(&db->opened);
    cond_init(&db->room);
    cond_init(&db->idle);
    epochs_init(&db->epochs);
}

static void fini_locks(lam_db *db) {
    mutex_fini(&db->open);
    mutex_fini(&db->partitions);
    mutex_fini(&db->commit);
    mutex_fini(&db->log);
    mutex_fini(&db->manifest);
    mutex_fini(&db->state);
    mutex_fini(&db->sync);
    mutex_fini(&db->idle_files);
    cond_fini(&db->opened);
    cond_fini(&db->room);
    cond_fini(&db->idle);
    epochs_fini(&db->epochs);
}

void db_free(lam_db *db) {
    if (db->lock)
        db->env->ops->file_unlock(db->lock);
    fini_locks(db);
    notify_fini(&db->notify);
    mem_free(db->path);
    mem_free(db);
}

static enum lam_code db_new(const char *path, const struct lam_options *options, lam_db **out,
                            struct lam_error *err) {
    lam_db *db = mem_calloc(1, sizeof *db);
    if (!db)
        return mem_fail(err, sizeof *db);
    db->path = mem_strdup(path);
    enum lam_code rc =
        db->path ? notify_init(&db->notify, options, err) : mem_fail(err, strlen(path) + 1);
    if (rc != LAM_OK) {
        mem_free(db->path);
        mem_free(db);
        return rc;
    }
    db->options = *options;
    db->env = options->env;
    db->process_id = db->env->ops->process_id(db->env);
    db_tuning_for(options->memory_budget, &db->tuning);
    db->dump_task.db = db;
    db->compact_task.db = db;
    db->log_task.db = db;
    db->ttl_task.db = db;
    db->state_guarded_.ttl_look_us = INT64_MAX;
    init_locks(db);
    *out = db;
    return LAM_OK;
}

/* Tells what opening found, or why it failed. */
static void note_open(lam_db *db, uint64_t start_ns, enum lam_code rc, const struct lam_error *e) {
    struct notify *n = &db->notify;
    struct lam_stats s;
    uint64_t ms = (env_monotonic_ns(db->env) - start_ns) / 1000000;
    if (rc != LAM_OK) {
        notify_log(n, LAM_LOG_ERROR, "%s was not opened: %s", db->path, e->message);
    } else if (n->log) {
        lam_db_stats(db, &s);
        if (s.recovered_torn_tail)
            notify_log(n, LAM_LOG_WARNING,
                       "%s: an unfinished record at the end of the log or the manifest was dropped",
                       db->path);
        notify_log(n, LAM_LOG_INFO,
                   "%s is open after %llu ms: %llu partitions, %llu SSTs of %llu bytes, %llu "
                   "operations replayed from the log",
                   db->path, (unsigned long long)ms, (unsigned long long)s.partitions,
                   (unsigned long long)s.sst_files, (unsigned long long)s.sst_bytes,
                   (unsigned long long)s.recovered_operations);
    }
    notify_deliver(n);
}

enum lam_code lam_db_open(const char *path, const struct lam_options *options, lam_db **db_out,
                          struct lam_error *err) {
    if (!path || !*path || !db_out)
        return ERR(err, LAM_INVALID, "lam_db_open: path and db_out must not be NULL or empty");
    struct lam_options o = {0};
    if (options)
        o = *options;
    TRY(db_options_check(&o, err));
    db_options_fill(&o);
    lam_db *db = NULL;
    TRY(db_new(path, &o, &db, err));
    uint64_t start_ns = env_monotonic_ns(db->env);
    struct lam_error cause = {0};
    enum lam_code rc = ensure_directory(db, &cause);
    if (rc == LAM_OK)
        rc = take_lock(db, &cause);
    if (rc == LAM_OK) {
        rc = recover_run(db, &cause);
        if (rc != LAM_OK)
            db_teardown(db);
    }
    note_open(db, start_ns, rc, &cause);
    if (rc != LAM_OK) {
        if (err)
            *err = cause;
        db_free(db);
        return rc;
    }
    notify_go_live(&db->notify);
    if (!o.read_only && !o.manual_background)
        db_ttl_look(db);
    *db_out = db;
    return LAM_OK;
}
