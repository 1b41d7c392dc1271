/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the operating system's environment: what its files share. */
#ifndef LAMINA_BASE_ENV_POSIX_H
#define LAMINA_BASE_ENV_POSIX_H

#include <errno.h>

#include "base/env.h"

/* Makes a call again as long as signals interrupt it. */
#define POSIX_RETRY(call)                                                                          \
    ({                                                                                             \
        __typeof__(call) retry_;                                                                   \
        do {                                                                                       \
            retry_ = (call);                                                                       \
        } while (retry_ < 0 && errno == EINTR);                                                    \
        retry_;                                                                                    \
    })

/* What an errno value means. */
enum lam_code posix_code(int number);
/* Raises what errno value `number` means, as "<attempt> <path>: <strerror>"; returns the code. */
enum lam_code posix_fail(struct lam_error *err, int number, const char *attempt, const char *path);

/* --- files (env_posix_file.c); contracts in lamina/env.h --- */
enum lam_code posix_file_open(lam_env *env, const char *path, unsigned flags, lam_file **file_out,
                              struct lam_error *err);
enum lam_code posix_file_close(lam_file *file, struct lam_error *err);
enum lam_code posix_file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                              size_t *read_out, struct lam_error *err);
enum lam_code posix_file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                               struct lam_error *err);
enum lam_code posix_file_sync(lam_file *file, struct lam_error *err);
enum lam_code posix_file_size(lam_file *file, uint64_t *size_out, struct lam_error *err);
enum lam_code posix_file_truncate(lam_file *file, uint64_t size, struct lam_error *err);
enum lam_code posix_file_allocate(lam_file *file, uint64_t size, struct lam_error *err);
/* A regular file's descriptor, above those of the standard streams, or -1 with an error that calls
 * it `path`. */
int posix_open_regular(int dir, const char *name, const char *path, int flags,
                       struct lam_error *err, enum lam_code *code);
/* A descriptor of the same opening that is none of the standard streams', or -1 with errno; `fd`
 * (which may be -1) is the caller's no more. */
int posix_above_standard(int fd);

/* --- names, directories and locks (env_posix_dir.c); contracts in lamina/env.h --- */
enum lam_code posix_path_kind(lam_env *env, const char *path, enum lam_path_kind *kind_out,
                              struct lam_error *err);
enum lam_code posix_path_rename(lam_env *env, const char *from, const char *to,
                                struct lam_error *err);
enum lam_code posix_path_link(lam_env *env, const char *from, const char *to,
                              struct lam_error *err);
enum lam_code posix_file_remove(lam_env *env, const char *path, struct lam_error *err);
enum lam_code posix_dir_create(lam_env *env, const char *path, struct lam_error *err);
enum lam_code posix_dir_remove(lam_env *env, const char *path, struct lam_error *err);
enum lam_code posix_dir_sync(lam_env *env, const char *path, struct lam_error *err);
enum lam_code posix_dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                             struct lam_error *err);
enum lam_code posix_file_lock(lam_env *env, const char *path, lam_file_lock **lock_out,
                              struct lam_error *err);
void posix_file_unlock(lam_file_lock *lock);

/* Where a path leads: `name` in the directory `dir`, for the calls that end in "at". */
struct posix_place {
    int dir;                    /* AT_FDCWD: the path is used as it stands */
    int opened;                 /* `dir`, if it was opened for this; else -1 */
    struct lam_file_lock *hold; /* the held directory that the path lies in; NULL: none */
    const char *name;
};
/* False with errno. On success it must be left after use. */
bool posix_place_find(const char *path, struct posix_place *place);
/* Keeps errno. */
void posix_place_leave(struct posix_place *place);

/* --- at a fork; called by posix_init's handlers --- */
/* Before any use of the parts below. Cheap after the first time. */
void posix_init(void);
void posix_dir_init(void);
void posix_dir_before_fork(void);
void posix_dir_after_fork(bool child);
void posix_exec_init(void);
void posix_exec_before_fork(void);
void posix_exec_after_fork(bool child);

/* --- background work (env_posix_exec.c) --- */
enum lam_code posix_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                           void *arg, struct lam_error *err);
void posix_cancel(lam_env *env, void *arg);

uint64_t posix_monotonic_ns(lam_env *env);

#endif
