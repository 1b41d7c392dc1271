/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door to the outside: files, directories, locks, clock, randomness and background work.
 * `lam_env_posix()` is the product's; `lam_env_mem_new()` keeps files in memory. An embedder may
 * supply his own table of operations, as the fault tests do.
 *
 * Paths are NUL-terminated, '/'-separated and used as given. All operations are thread-safe, except
 * that one file's writes and truncations are the caller's to serialise. */
#ifndef LAMINA_ENV_H
#define LAMINA_ENV_H

#include "lamina/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lam_file lam_file;
typedef struct lam_file_lock lam_file_lock;

enum lam_open_flags {
    LAM_OPEN_READ = 1,      /* for reading */
    LAM_OPEN_WRITE = 2,     /* for reading and writing */
    LAM_OPEN_CREATE = 4,    /* make it if absent */
    LAM_OPEN_EXCLUSIVE = 8, /* with CREATE: fail with EXISTS if present */
    LAM_OPEN_TRUNCATE = 16, /* cut to zero length */
    LAM_OPEN_LOG = 32, /* written front to back by one appender, possibly over recycled bytes, after
                          file_allocate: may be written through mapped memory */
};

enum lam_path_kind {
    LAM_PATH_NONE = 0,
    LAM_PATH_FILE = 1,
    LAM_PATH_DIRECTORY = 2,
    LAM_PATH_OTHER = 3,
};

/* Queues of background work. Tasks of one lane run one after another, in order of submission;
 * tasks of different lanes may run at the same time. */
enum lam_lane {
    LAM_LANE_DUMP = 0,
    LAM_LANE_COMPACT = 1,
    LAM_LANE_FLUSH = 2,
    LAM_LANE_LOG = 3,
    LAM_LANE_EVENT = 4, /* the embedder's callbacks */
    LAM_LANE_COUNT = 5,
};

typedef void (*lam_task_fn)(void *arg);
/* Gets each name in a directory ('.' and '..' left out); false stops the walk. The name is valid
 * during the call only. */
typedef bool (*lam_dir_fn)(void *arg, const char *name);

struct lam_env_ops {
    /* --- files --------------------------------------------------------------------------- */
    /* Opens a regular file; refuses anything else, and symbolic links. NOT_FOUND if absent without
     * CREATE; EXISTS with EXCLUSIVE. New files get mode 0600. May refuse to write to a file of
     * several names, as lam_env_posix() does. */
    enum lam_code (*file_open)(lam_env *env, const char *path, unsigned flags, lam_file **file_out,
                               struct lam_error *err);
    /* Closes and frees the handle whatever it returns. */
    enum lam_code (*file_close)(lam_file *file, struct lam_error *err);
    /* Reads up to `size` bytes at `offset`; `*read_out` is less than `size` only at end of file. */
    enum lam_code (*file_read)(lam_file *file, uint64_t offset, void *data, size_t size,
                               size_t *read_out, struct lam_error *err);
    /* Writes all of `data` at `offset`, growing the file as needed. */
    enum lam_code (*file_write)(lam_file *file, uint64_t offset, const void *data, size_t size,
                                struct lam_error *err);
    /* Makes content and size durable, not the name (that is dir_sync of its directory). */
    enum lam_code (*file_sync)(lam_file *file, struct lam_error *err);
    enum lam_code (*file_size)(lam_file *file, uint64_t *size_out, struct lam_error *err);
    enum lam_code (*file_truncate)(lam_file *file, uint64_t size, struct lam_error *err);
    /* Reserves disk blocks up to `size`; new bytes read as zero, size becomes at least `size`.
     * May do nothing but grow the file where the file system cannot reserve. */
    enum lam_code (*file_allocate)(lam_file *file, uint64_t size, struct lam_error *err);

    /* --- names --------------------------------------------------------------------------- */
    enum lam_code (*path_kind)(lam_env *env, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err);
    /* Atomically gives `from` the name `to`, replacing a file of that name. */
    enum lam_code (*path_rename)(lam_env *env, const char *from, const char *to,
                                 struct lam_error *err);
    /* Makes a second name for a file. EXISTS if `to` is there. Where it fails with anything but
     * NOT_FOUND, NO_SPACE or NO_MEMORY, as on file systems without links, files are copied. */
    enum lam_code (*path_link)(lam_env *env, const char *from, const char *to,
                               struct lam_error *err);
    /* NOT_FOUND if absent. */
    enum lam_code (*file_remove)(lam_env *env, const char *path, struct lam_error *err);
    /* Mode 0700; EXISTS if something of that name is there; NOT_FOUND without a parent. */
    enum lam_code (*dir_create)(lam_env *env, const char *path, struct lam_error *err);
    /* Removes an empty directory. */
    enum lam_code (*dir_remove)(lam_env *env, const char *path, struct lam_error *err);
    /* Makes the names in the directory durable: creations, renames and removals so far. */
    enum lam_code (*dir_sync)(lam_env *env, const char *path, struct lam_error *err);
    enum lam_code (*dir_list)(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err);
    /* Takes an exclusive lock tied to the file, held until `file_unlock` or death of the process;
     * BUSY if this or another process holds it, by whatever path. Creates the file. Where a file
     * that is there can't be written, the lock is shared: it only keeps out those who can. At most
     * one file of a directory is locked. lam_env_posix() locks the directory as well, in case the
     * file is removed; and while the lock is held, paths that begin with the directory's as given
     * here mean this directory, whatever it is called by then, and lead through no symbolic link
     * below it. */
    enum lam_code (*file_lock)(lam_env *env, const char *path, lam_file_lock **lock_out,
                               struct lam_error *err);
    void (*file_unlock)(lam_file_lock *lock);

    /* --- clock and randomness ------------------------------------------------------------ */
    int64_t (*now_us)(lam_env *env);        /* wall clock, microseconds since 1970 UTC; may jump */
    uint64_t (*monotonic_ns)(lam_env *env); /* never goes back */
    /* Unpredictable bytes. */
    void (*random_bytes)(lam_env *env, void *data, size_t size);

    /* --- background work ----------------------------------------------------------------- */
    /* Runs `fn(arg)` once, `delay_us` from now or later, on the lane. The caller holds no lock: an
     * executor may run the task before it returns. NO_MEMORY or BUSY if it can't be queued. */
    enum lam_code (*submit)(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                            void *arg, struct lam_error *err);
    /* Takes back the tasks of `arg` that have not started and waits for those that have. */
    void (*cancel)(lam_env *env, void *arg);
    /* Number of processes' worth: the process id, to notice a fork. */
    uint64_t (*process_id)(lam_env *env);
    /* Files that the process may have open at once; 0: no limit is known. May be NULL. */
    uint64_t (*descriptor_limit)(lam_env *env);
};

/* Base of every environment; an implementation embeds it as its first member. */
struct lam_env {
    const struct lam_env_ops *ops;
};

/* The operating system's environment; one per process, static, never freed. */
LAM_API lam_env *lam_env_posix(void);

/* Makes an environment that keeps files in memory and borrows clock and background threads from
 * `lam_env_posix()`. Returns owned; free with lam_env_mem_free when no database uses it. */
LAM_API LAM_MUST_CHECK enum lam_code lam_env_mem_new(lam_env **env_out, struct lam_error *err);
LAM_API void lam_env_mem_free(lam_env *env);

/* What a crash of lam_env_mem loses. */
enum lam_crash_mode {
    LAM_CRASH_PROCESS = 0,  /* the process dies: everything written is kept */
    LAM_CRASH_POWER = 1,    /* nothing is kept but what was synced */
    LAM_CRASH_POWER_ANY = 2 /* each unsynced 512-byte unit, size and name change is kept or lost, by
                               the seed; names in order per directory */
};

/* Makes the environment that a crash at this moment would leave: files as a reboot finds them, no
 * locks held. `env` goes on unharmed and may be in use. Returns owned. */
LAM_API LAM_MUST_CHECK enum lam_code lam_env_mem_crash(lam_env *env, enum lam_crash_mode mode,
                                                       uint64_t seed, lam_env **image_out,
                                                       struct lam_error *err);

/* Replaces the process's allocator; NULLs restore the C library's. Call it before any other call of
 * the library. `resize(arg, ptr, size)` behaves as realloc, with `size` 0 as free. */
struct lam_allocator {
    void *(*resize)(void *arg, void *ptr, size_t size);
    void *arg;
};
LAM_API void lam_set_allocator(const struct lam_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
