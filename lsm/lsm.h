/* SPDX-License-Identifier: Apache-2.0
 *
 * Door of the engine for the layers above: the public calls plus what only they need. */
#ifndef LAMINA_LSM_LSM_H
#define LAMINA_LSM_LSM_H

#include "base/env.h"
#include "base/error.h"
#include "lamina/db.h"

OWNED_POINTER(lam_iter, lam_iter_free)
OWNED_POINTER(lam_batch, lam_batch_free)
OWNED_POINTER(lam_snapshot, lam_snapshot_free)

/* Called under the commit mutex, in commit order, before the batch gets its sequence and goes to
 * the log. May change bytes of values through db_batch_value and append operations. Must not block,
 * nor take a mutex below RANK_CLOCK. Failing aborts the write cleanly. */
typedef enum lam_code (*db_stamp_fn)(void *arg, lam_batch *batch, struct lam_error *err);

/* lam_write with a stamp. */
MUST_CHECK enum lam_code db_write_stamped(lam_db *db, const struct lam_write_options *options,
                                          lam_batch *batch, db_stamp_fn stamp, void *stamp_arg,
                                          uint64_t *sequence_out, struct lam_error *err);
/* The value bytes of the newest put in a batch start here; lets a stamp patch them in place later.
 * The offset stays good while the batch grows. */
uint64_t db_batch_value_offset(const lam_batch *batch);
uint8_t *db_batch_value(lam_batch *batch, uint64_t offset);

/* Environment and directory of the database; valid until it closes. */
lam_env *db_env(const lam_db *db);
const char *db_path(const lam_db *db);
bool db_is_read_only(const lam_db *db);
/* 128-bit identity made at creation; `id_out` gets 16 bytes. */
void db_identity(const lam_db *db, uint8_t *id_out);

/* INVALID in a forked child, of which no call may take a lock that another thread of the parent may
 * have held at the fork: asked first by every public call. */
MUST_CHECK enum lam_code db_check_process(const lam_db *db, struct lam_error *err);
/* The same question for calls that return nothing: they do nothing in a forked child. */
bool db_is_foreign(const lam_db *db);

/* Closes files that are open for nobody, for a caller that the process refuses another descriptor:
 * half of the SSTs, and what the layer above keeps open. Under any lock below RANK_DB_IDLE. */
void db_close_idle_files(lam_db *db);
/* `fn(arg)` closes what a layer above keeps open; it is called under the engine's locks and takes
 * no mutex below RANK_CACHE. NULL: nothing. On return no call of the one before is under way. */
void db_set_idle_files(lam_db *db, void (*fn)(void *arg), void *arg);

/* --- copies of the database (checkpoint.c, backup.c) --- */

/* A file that a layer above keeps below the database directory, and never changes. */
struct db_outer_file {
    const char *name;     /* path below the database directory, in a folder there */
    uint64_t size;        /* in bytes; 0: not known */
    uint64_t fingerprint; /* differs between files that had this name; 0: not known */
    bool optional;        /* needed by older states only, and may be gone */
};
typedef enum lam_code (*db_outer_file_fn)(void *arg, const struct db_outer_file *file,
                                          struct lam_error *err);
/* How a copy gets at those files. */
struct db_outer_files {
    /* Calls `fn` for each file that a state of the database since the copy began may name. Called
     * after the copied state was chosen, without a lock. */
    enum lam_code (*list)(void *arg, db_outer_file_fn fn, void *fn_arg, struct lam_error *err);
    void *arg;
};
/* lam_db_checkpoint and lam_db_backup for a caller who keeps the files of `outer` (NULL: there are
 * none) from being removed during the call. */
MUST_CHECK enum lam_code db_checkpoint(lam_db *db, const char *path,
                                       const struct db_outer_files *outer, struct lam_error *err);
MUST_CHECK enum lam_code db_backup(lam_db *db, const char *dir, const struct db_outer_files *outer,
                                   lam_progress_fn progress, void *arg, uint64_t *id_out,
                                   struct lam_error *err);

/* --- verification (db_check.c): what the engine's check shares with that of the layers above ---
 */

struct db_check {
    lam_env *env;
    const char *dir;      /* of the database */
    const uint8_t *db_id; /* of the engine's own */
    struct lam_check_options options;
    struct lam_progress now;
    uint64_t findings;
    bool corrupt;           /* not all of them are reads that failed */
    struct lam_error first; /* the first finding */
    enum lam_code stop;     /* what ended the walk early: no memory, the caller; else LAM_OK */
};
/* The engine's check of a database that is not open. OK: carried out, its findings are in `c`,
 * which it fills. NOT_FOUND, INVALID, BUSY as lam_check. */
MUST_CHECK enum lam_code db_check_directory(const char *path,
                                            const struct lam_check_options *options,
                                            struct db_check *c, struct lam_error *err);
/* Tells how far it has come; false: it ends here. */
bool db_check_tell(struct db_check *c, const char *file);
/* Takes in the result of one check: whatever is not LAM_OK is a finding, want of memory the end. */
void db_check_judge(struct db_check *c, const char *file, enum lam_code code,
                    const struct lam_error *e);
/* A place with many records: its first problems are told, and the number of the others. */
struct db_check_place {
    struct db_check *check; /* borrowed */
    const char *name;       /* borrowed */
    uint64_t records;       /* judged */
    uint64_t problems;
};
/* Takes in the result for one record; false: the walk ends here. */
bool db_check_record(struct db_check_place *p, enum lam_code code, const struct lam_error *e);
void db_check_place_end(struct db_check_place *p);
/* Tells what is left over and no damage. */
void db_check_note(struct db_check *c, const char *file, const char *what);
/* The front of a key in hexadecimal digits, for messages. */
#define DB_KEY_TEXT 72
const char *db_key_text(struct lam_slice key, char out[DB_KEY_TEXT]);
/* The result of the whole. */
MUST_CHECK enum lam_code db_check_conclude(const struct db_check *c, struct lam_error *err);

/* What a layer above keeps per database. */
enum db_layer {
    DB_LAYER_CATALOG = 0,
    DB_LAYER_FLUSH = 1,
    DB_LAYER_SQL = 2,
    DB_LAYER_ENTITY = 3, /* records of the embedder; no layer above knows them */
    DB_LAYER_COUNT = 4,
};
struct db_attachment {
    enum db_layer layer;
    /* Makes the layer's object; runs once, under RANK_DB_OPEN. May use the engine freely. */
    enum lam_code (*open)(lam_db *db, void **object_out, struct lam_error *err);
    /* BUSY keeps the database open (sessions exist). Called by lam_db_close, highest layer first,
     * before anything is torn down. May be NULL. */
    enum lam_code (*closing)(void *object, struct lam_error *err);
    /* Frees the object; highest layer first. */
    void (*close)(void *object);
};
/* Gives the layer's object, making it on first use. Valid until lam_db_close. */
MUST_CHECK enum lam_code db_attach(lam_db *db, const struct db_attachment *attachment,
                                   void **object_out, struct lam_error *err);

#endif
