/* SPDX-License-Identifier: Apache-2.0
 *
 * The storage engine: ordered, durable, snapshotted byte keys to byte values in named partitions.
 *
 * Keys are 1 byte to LAM_KEY_MAX, compared bytewise; values are up to LAM_VALUE_MAX; larger is
 * LAM_LIMIT. A lam_db and its partitions may be used from any thread; a batch, an iterator and a
 * lam_value are one thread's at a time. After fork() the child must not use the handle (INVALID).
 *
 * Failure: once a sync of the log or the manifest has failed, the database takes no more writes
 * (READ_ONLY) until it is reopened; the commit that met the failure returns UNKNOWN_OUTCOME. */
#ifndef LAMINA_DB_H
#define LAMINA_DB_H

#include "lamina/options.h"
#include "lamina/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAM_KEY_MAX   (64u << 10)
#define LAM_VALUE_MAX (1u << 30)
/* Operations of one batch take at most this many bytes together. */
#define LAM_BATCH_MAX          ((2ull << 30) - (1u << 20))
#define LAM_PARTITION_NAME_MAX 512
/* "No bound" for lam_batch_delete_range. */
#define LAM_SEQUENCE_MAX ((1ull << 56) - 1)

/* Opens or makes the database in directory `path` (made if its parent exists). Returns owned;
 * lam_db_close. BUSY if it is open already, here or in another process; CORRUPT names file and
 * offset; VERSION mismatches are UNSUPPORTED. A directory that holds our files but no root is
 * CORRUPT, never a new database. `path` is copied. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_open(const char *path,
                                                 const struct lam_options *options, lam_db **db_out,
                                                 struct lam_error *err);

/* Closes and frees. BUSY, with nothing changed, while sessions, entities, transactions, iterators,
 * snapshots, batches, ingests or pinned values are open (the message counts them); partition
 * handles may remain and become invalid, values keep what they hold. No other call may be under way
 * but compactions on demand and lam_db_wait_idle. Any other result: the handle is gone, and an
 * error says what could not be written. NULL is allowed. */
LAM_API enum lam_code lam_db_close(lam_db *db, struct lam_error *err);

/* --- partitions ---------------------------------------------------------------------------- */

/* Makes a partition; durable on return. Name: 1 to LAM_PARTITION_NAME_MAX bytes of UTF-8 without
 * NUL. `options` may be NULL. EXISTS if it is there, unless the options say may_exist: then it is
 * opened. The handle is owned: lam_partition_release. Calls of several threads at the same time
 * share one sync. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_partition_create(lam_db *db, const char *name, const struct lam_partition_options *options,
                     lam_partition **partition_out, struct lam_error *err);
/* Makes `count` partitions by one manifest edit, all or none: one sync for all of them is what
 * makes a thousand as cheap as one. EXISTS, naming it, if one is there and may not be, INVALID if a
 * name comes twice. `partitions_out` gets `count` handles, owned, in the order of the names; NULL:
 * none are wanted. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_partition_create_many(lam_db *db, const char *const *names, size_t count,
                          const struct lam_partition_options *options,
                          lam_partition **partitions_out, struct lam_error *err);
/* NOT_FOUND if there is none. Owned as above. */
LAM_API LAM_MUST_CHECK enum lam_code lam_partition_open(lam_db *db, const char *name,
                                                        lam_partition **partition_out,
                                                        struct lam_error *err);
/* Drops it with all its data, in constant time and durably; its number is never reused. Open
 * iterators keep reading; later reads and writes through handles give NOT_FOUND. The caller's
 * handle still wants its release. */
LAM_API LAM_MUST_CHECK enum lam_code lam_partition_drop(lam_db *db, lam_partition *partition,
                                                        struct lam_error *err);
/* Gives a handle back. NULL is allowed. Not after lam_db_close. */
LAM_API void lam_partition_release(lam_partition *partition);
/* Valid as long as the handle. */
LAM_API const char *lam_partition_name(const lam_partition *partition);
typedef bool (*lam_partition_fn)(void *arg, const char *name);
/* Calls `fn` for each partition, by name, until it returns false. The name is valid in the call. */
LAM_API LAM_MUST_CHECK enum lam_code lam_partition_list(lam_db *db, lam_partition_fn fn, void *arg,
                                                        struct lam_error *err);

/* --- writing ------------------------------------------------------------------------------- */

/* An atomic batch over any number of partitions of one database. Operations apply in order; a later
 * one wins. Keys and values are copied in. Returns owned. */
LAM_API LAM_MUST_CHECK enum lam_code lam_batch_new(lam_db *db, lam_batch **batch_out,
                                                   struct lam_error *err);
LAM_API void lam_batch_free(lam_batch *batch);
/* Empty again, memory kept. */
LAM_API void lam_batch_reset(lam_batch *batch);
LAM_API uint32_t lam_batch_count(const lam_batch *batch);
/* Bytes of operations so far; at most LAM_BATCH_MAX. */
LAM_API uint64_t lam_batch_bytes(const lam_batch *batch);
/* Adding operations: after an error the batch is as it was. */
LAM_API LAM_MUST_CHECK enum lam_code lam_batch_put(lam_batch *batch, lam_partition *partition,
                                                   struct lam_slice key, struct lam_slice value,
                                                   struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_batch_delete(lam_batch *batch, lam_partition *partition,
                                                      struct lam_slice key, struct lam_error *err);
/* Hides the versions of keys in [from, to) whose sequence is at most `upto_sequence`
 * (LAM_SEQUENCE_MAX: all committed before this operation). An empty `from` is the start of the
 * partition, an empty `to` its end; INVALID if `from` lies above `to`. Visible at its own commit:
 * older snapshots still see what it hides. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_batch_delete_range(lam_batch *batch, lam_partition *partition, struct lam_slice from,
                       struct lam_slice to, uint64_t upto_sequence, struct lam_error *err);

/* Commits a batch: all of it, for readers and after a crash, or nothing. `options` may be NULL.
 * `sequence_out` (may be NULL) gets the last sequence of the batch. With SYNC it is visible to
 * readers before it is durable, and acknowledged after. The batch stays the caller's, unchanged. */
LAM_API LAM_MUST_CHECK enum lam_code lam_write(lam_db *db, const struct lam_write_options *options,
                                               lam_batch *batch, uint64_t *sequence_out,
                                               struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_put(lam_db *db, const struct lam_write_options *options,
                                             lam_partition *partition, struct lam_slice key,
                                             struct lam_slice value, struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_delete(lam_db *db, const struct lam_write_options *options,
                                                lam_partition *partition, struct lam_slice key,
                                                struct lam_error *err);
/* Deletes the keys of [from, to), however many, in constant time; ends as for
 * lam_batch_delete_range. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_delete_range(lam_db *db, const struct lam_write_options *options, lam_partition *partition,
                 struct lam_slice from, struct lam_slice to, struct lam_error *err);
/* Waits until everything committed up to `sequence` survives a power loss. */
LAM_API LAM_MUST_CHECK enum lam_code lam_sync(lam_db *db, uint64_t sequence, struct lam_error *err);

/* --- reading ------------------------------------------------------------------------------- */

/* A value read. All-zero is empty. `bytes` is valid until lam_value_release, which also may be
 * called on an empty value. May be reused for the next lam_get without release. */
struct lam_value {
    struct lam_slice bytes;
    void *memory;    /* the library's */
    size_t capacity; /* the library's */
};
LAM_API void lam_value_release(struct lam_value *value);

/* Newest visible value of a key. NOT_FOUND if there is none; a read that fails is an error, never
 * NOT_FOUND. `options` may be NULL. An empty value stays empty unless the result is OK. */
LAM_API LAM_MUST_CHECK enum lam_code lam_get(lam_db *db, const struct lam_read_options *options,
                                             lam_partition *partition, struct lam_slice key,
                                             struct lam_value *value, struct lam_error *err);

/* A value read where it lies. `bytes` is valid until lam_pinned_release, whatever is written,
 * compacted or dropped meanwhile. The rest is the library's. It must not be moved in memory while
 * it holds a value. */
#define LAM_PINNED_SMALL 256
struct lam_pinned {
    struct lam_slice bytes;
    lam_db *db;
    void *block;
    void *memory;
    uint8_t small[LAM_PINNED_SMALL];
};
/* lam_get without a copy where that is dear: of a value of more than LAM_PINNED_SMALL bytes in an
 * SST the block is kept in memory, beside the cache, until the release. Smaller values, and those
 * not yet in an SST, are copied. Fills all of `pinned`, which may hold anything but a value that
 * was not released; unless the result is OK it is empty. The release comes before lam_db_close,
 * which is BUSY otherwise where a block is kept, and may be done by any thread. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_get_pinned(lam_db *db, const struct lam_read_options *options, lam_partition *partition,
               struct lam_slice key, struct lam_pinned *pinned, struct lam_error *err);
/* NULL and an empty one are allowed; leaves it empty. */
LAM_API void lam_pinned_release(struct lam_pinned *pinned);

/* lam_get of `count` keys of one partition, all at one moment, in much less time. Keys may repeat
 * and come in any order. For each, `codes[i]` gets LAM_OK and `values[i]` the value, or NOT_FOUND,
 * or what reading it failed with; the values are `count` distinct ones, each as in lam_get. Returns
 * LAM_OK if all codes are LAM_OK or NOT_FOUND, else the first that is neither, told in `err`; the
 * other keys are read all the same. A bad argument (INVALID, LIMIT) or a dropped partition
 * (NOT_FOUND) leaves values and codes as they were. `count` 0 is allowed. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_multi_get(lam_db *db, const struct lam_read_options *options, lam_partition *partition,
              const struct lam_slice *keys, size_t count, struct lam_value *values,
              enum lam_code *codes, struct lam_error *err);

/* A moment of the whole database: all partitions, as of the newest commit. Returns owned. */
LAM_API LAM_MUST_CHECK enum lam_code lam_snapshot_new(lam_db *db, lam_snapshot **snapshot_out,
                                                      struct lam_error *err);
LAM_API uint64_t lam_snapshot_sequence(const lam_snapshot *snapshot);
LAM_API void lam_snapshot_free(lam_snapshot *snapshot);

/* An iterator over one partition, not positioned. Sees one moment: the snapshot's or that of this
 * call. Returns owned; lam_iter_free. `options` may be NULL. */
LAM_API LAM_MUST_CHECK enum lam_code lam_iter_new(lam_db *db,
                                                  const struct lam_read_options *options,
                                                  lam_partition *partition, lam_iter **iter_out,
                                                  struct lam_error *err);
LAM_API void lam_iter_free(lam_iter *iter);
LAM_API void lam_iter_seek_first(lam_iter *iter);
LAM_API void lam_iter_seek_last(lam_iter *iter);
/* To the first key >= `key` that its options allow: a `key` below the lower bound means the bound,
 * an empty one the first. */
LAM_API void lam_iter_seek(lam_iter *iter, struct lam_slice key);
/* To the last key <= `key` that its options allow. */
LAM_API void lam_iter_seek_for_prev(lam_iter *iter, struct lam_slice key);
/* Only while valid. */
LAM_API void lam_iter_next(lam_iter *iter);
LAM_API void lam_iter_prev(lam_iter *iter);
/* False before the first seek, past either end, and after an error: ask lam_iter_status. */
LAM_API bool lam_iter_valid(const lam_iter *iter);
/* Only while valid; live until the iterator moves or is freed. */
LAM_API struct lam_slice lam_iter_key(const lam_iter *iter);
LAM_API struct lam_slice lam_iter_value(const lam_iter *iter);
/* LAM_OK at an end; the first error otherwise, sticky until the next seek. */
LAM_API LAM_MUST_CHECK enum lam_code lam_iter_status(const lam_iter *iter, struct lam_error *err);

/* --- bulk ingest --------------------------------------------------------------------------- */

/* Takes sorted rows past log and memtables: SSTs are written as they come, in memory of one block,
 * and all of them become visible at once, for readers and after a crash, by lam_ingest_finish. One
 * thread at a time; any number of ingests, also of one partition, may be under way. Returns owned:
 * finish or abort it. READ_ONLY if the database takes no writes. */
LAM_API LAM_MUST_CHECK enum lam_code lam_ingest_new(lam_db *db, lam_partition *partition,
                                                    lam_ingest **ingest_out, struct lam_error *err);
/* Adds a row. Keys rise strictly: another one is INVALID, names the row's number (from 1), and
 * leaves the ingest as it was. After any other error only abort is left. */
LAM_API LAM_MUST_CHECK enum lam_code lam_ingest_put(lam_ingest *ingest, struct lam_slice key,
                                                    struct lam_slice value, struct lam_error *err);
/* Makes all rows visible, as one commit at this moment: they are newer than all that was committed
 * before, and hide it. Durable on return. `sequence_out` (may be NULL) gets the commit's sequence.
 * Other writers wait for two syncs meanwhile. BUSY: the partition was written to in the range of
 * the keys again and again. Frees the ingest whatever it returns; what fails adds nothing. */
LAM_API LAM_MUST_CHECK enum lam_code lam_ingest_finish(lam_ingest *ingest, uint64_t *sequence_out,
                                                       struct lam_error *err);
/* Removes what was written, and frees. NULL is allowed. */
LAM_API void lam_ingest_abort(lam_ingest *ingest);

/* --- upkeep -------------------------------------------------------------------------------- */

/* Writes what was committed before the call to SSTs and returns when done, whatever is written
 * meanwhile. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_dump(lam_db *db, struct lam_error *err);

/* How far a long call has come; valid in the call. Totals may still grow. */
struct lam_progress {
    const char *file; /* being worked on; compactions name the partition */
    uint64_t files_done, files_total;
    uint64_t bytes_done, bytes_total;
};
/* Called on the thread of the long call, without a lock: it may call any function on the database
 * but lam_db_close. Returns false to end the work, which answers BUSY. */
typedef bool (*lam_progress_fn)(void *arg, const struct lam_progress *progress);

/* Moves what a partition (NULL: each) held in [from, to) before the call down to its last level,
 * and drops there what nobody sees; an empty `from` or `to` is no bound, `from` above `to` an empty
 * range. Bounded: what is written meanwhile is only taken along where it shares a file. Works in
 * steps of a few files on the caller's thread, with `progress` (may be NULL) called after each; due
 * compactions come between, and writers are not slowed. BUSY if `progress` or lam_db_compact_cancel
 * ended it, or lam_db_close, which waits for it: steps done stay done. NOT_FOUND once `partition`
 * is dropped. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_compact_range(lam_db *db, lam_partition *partition,
                                                          struct lam_slice from,
                                                          struct lam_slice to,
                                                          lam_progress_fn progress, void *arg,
                                                          struct lam_error *err);
/* The same without bounds. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_compact(lam_db *db, lam_partition *partition,
                                                    struct lam_error *err);
/* Ends the compactions on demand under way, soon; does not wait for them. */
LAM_API void lam_db_compact_cancel(lam_db *db);
/* Returns when no dump and no compaction is due or under way, having done what was due itself;
 * while others write that may last. Fails as the work that could not be done, READ_ONLY if the
 * database takes no writes any more. BUSY if lam_db_close ended it, which waits for it. Memtables
 * stay as they are: lam_db_dump first makes all of it SSTs. */
LAM_API LAM_MUST_CHECK enum lam_code lam_db_wait_idle(lam_db *db, struct lam_error *err);

/* One finding of lam_check; the strings are valid in the call. */
typedef void (*lam_check_fn)(void *arg, const char *file, uint64_t offset, const char *problem);
/* Verifies a database that is not open elsewhere (or `db` itself through lam_db_check): root,
 * manifest, directory against manifest, every block checksum, order and overlap, index and filter
 * of each SST, the log. What tables keep in all that is lam_check_full's (check.h). CORRUPT if
 * there was any finding, IO if all of them are reads that failed; `fn` (may be NULL) gets each. */
LAM_API LAM_MUST_CHECK enum lam_code lam_check(const char *path, lam_env *env, lam_check_fn fn,
                                               void *arg, struct lam_error *err);
/* The same with more to say; all-zero or NULL is lam_check's default. */
struct lam_check_options {
    lam_env *env;         /* NULL: lam_env_posix() */
    lam_check_fn finding; /* may be NULL; gets `arg` */
    /* May be NULL; gets `arg`, at least before each file and at the end. */
    lam_progress_fn progress;
    void *arg;
    lam_check_fn note; /* of lam_check_full: what is left over and no damage; may be NULL */
};
LAM_API LAM_MUST_CHECK enum lam_code
lam_check_with(const char *path, const struct lam_check_options *options, struct lam_error *err);
LAM_API LAM_MUST_CHECK enum lam_code lam_db_check(lam_db *db, lam_check_fn fn, void *arg,
                                                  struct lam_error *err);
/* The `env` of the options is not looked at. */
LAM_API LAM_MUST_CHECK enum lam_code
lam_db_check_with(lam_db *db, const struct lam_check_options *options, struct lam_error *err);

#ifdef __cplusplus
}
#endif
#endif
