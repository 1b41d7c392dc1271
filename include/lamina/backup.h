/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of whole databases: checkpoints (a second directory at once, by hard links) and backups (a
 * directory that keeps many, sharing what did not change).
 *
 * A copy holds all that was committed before the call, over all partitions, tables and cold files,
 * and nothing of a commit that it holds not whole. Writers and readers go on meanwhile; making and
 * dropping partitions waits while memtables are dumped. A copy keeps the database's id: it is the
 * same database at an earlier time, so let only one of them go on in the place of the other.
 *
 * Cold files of storages whose base directory lies inside of the database directory belong to a
 * copy. While a storage lies outside, copies are UNSUPPORTED: two databases would write and remove
 * the same files there.
 *
 * The target directories are the caller's: nobody else may change them. All calls may be made from
 * any thread; paths are copied. */
#ifndef LAMINA_BACKUP_H
#define LAMINA_BACKUP_H

#include "lamina/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes directory `path` (its parent must exist) a copy of the open database that opens as one, for
 * reading or writing, also while `db` goes on. Files that never change are shared by hard links, or
 * copied where the file system has none. Durable on return. EXISTS if `path` is there; READ_ONLY if
 * `db` takes no writes. What fails leaves nothing at `path` (or, if it could not be taken back, a
 * whole copy whose name may not be durable); a crash may leave `<path>.unfinished`,
 * which the next call for `path` removes. BUSY: another call makes the same checkpoint. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_checkpoint(lam_db *db, const char *path,
                                                       struct lam_error *err);

/* Adds a backup of the open database to directory `dir`, which is made if its parent exists and
 * holds backups of one database only. Files that an earlier backup there has are not copied again;
 * each one that is copied is read back and compared, and verified if it is an SST. `*id_out` (may
 * be NULL) gets the number of the backup, above all earlier ones. `progress` (may be NULL) is
 * called with `arg` in this thread; when it returns false the call ends with BUSY. What fails adds
 * nothing: what it had copied goes with the next backup, delete or purge. BUSY: another call works
 * on `dir`. EXISTS: `dir` holds something else, or another database's backups. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_backup(lam_db *db, const char *dir,
                                                   lam_progress_fn progress, void *arg,
                                                   uint64_t *id_out, struct lam_error *err);

/* One backup. */
struct lam_backup {
    uint64_t id;          /* from 1, rising */
    int64_t created_us;   /* wall clock, microseconds since 1970 */
    uint64_t sequence;    /* newest commit in it */
    uint64_t files;       /* count */
    uint64_t bytes;       /* of all its files, shared ones too */
    uint64_t own_bytes;   /* of files that no other backup here has */
    uint8_t database[16]; /* id of the database */
};
/* Calls `fn` for each backup of `dir`, oldest first, until it returns false; the struct is valid in
 * the call. NOT_FOUND: `dir` is no directory of backups. A damaged description is CORRUPT. `env`
 * NULL: lam_env_posix(). */
typedef bool (*lam_backup_fn)(void *arg, const struct lam_backup *backup);
LAM_API LAM_MUST_CHECK enum lam_code
lam_backup_list(const char *dir, lam_env *env, lam_backup_fn fn, void *arg, struct lam_error *err);
/* Removes backup `id`, and the files that only it had. NOT_FOUND if there is none. */
LAM_API LAM_MUST_CHECK enum lam_code lam_backup_delete(const char *dir, lam_env *env, uint64_t id,
                                                       struct lam_error *err);
/* Removes all but the newest `keep` backups; INVALID for 0. */
LAM_API LAM_MUST_CHECK enum lam_code lam_backup_purge(const char *dir, lam_env *env, uint64_t keep,
                                                      struct lam_error *err);
/* Reads all files of backup `id` (0: the newest) and compares their checksums; CORRUPT names the
 * first damaged or missing file. */
LAM_API LAM_MUST_CHECK enum lam_code lam_backup_verify(const char *dir, lam_env *env, uint64_t id,
                                                       lam_progress_fn progress, void *arg,
                                                       struct lam_error *err);
/* Makes directory `target` (its parent must exist) the database of backup `id` (0: the newest).
 * Durable on return; atomic and in other ways as lam_db_checkpoint. CORRUPT names a damaged or
 * missing file, and leaves no database. NOT_FOUND: there is no such backup. */
LAM_API LAM_MUST_CHECK enum lam_code lam_backup_restore(const char *dir, lam_env *env, uint64_t id,
                                                        const char *target,
                                                        lam_progress_fn progress, void *arg,
                                                        struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
