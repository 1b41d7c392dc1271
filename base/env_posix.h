/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the operating system's environment: what its files share. */
#ifndef LAMINA_BASE_ENV_POSIX_H
#define LAMINA_BASE_ENV_POSIX_H

#include "base/env.h"

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
enum lam_code posix_file_lock(lam_env *env, const char *path, lam_file_lock **lock_out,
                              struct lam_error *err);
void posix_file_unlock(lam_file_lock *lock);

/* --- background work (env_posix_exec.c) --- */
enum lam_code posix_submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                           void *arg, struct lam_error *err);
void posix_cancel(lam_env *env, void *arg);

uint64_t posix_monotonic_ns(lam_env *env);

#endif
