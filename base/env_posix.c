/* SPDX-License-Identifier: Apache-2.0
 *
 * The operating system's environment: its table, clock, randomness, what happens at a fork, and the
 * line a failed assert leaves behind. */
#include "base/env_posix.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

void assert_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "lamina: %s:%d: assert failed: %s\n", file, line, condition);
    abort();
}

enum lam_code posix_code(int number) {
    switch (number) {
    case ENOENT:
        return LAM_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return LAM_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return LAM_NO_SPACE;
    case ENOMEM:
        return LAM_NO_MEMORY;
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case EINVAL:
    case ENAMETOOLONG:
        return LAM_INVALID;
    default:
        return LAM_IO;
    }
}

enum lam_code posix_fail(struct lam_error *err, int number, const char *attempt, const char *path) {
    enum lam_code code = ERR(err, posix_code(number), "%s %s: %s", attempt, path, strerror(number));
    if (err)
        err->os_errno = number;
    return code;
}

static int64_t now_us(lam_env *env) {
    (void)env;
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    LAM_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t posix_monotonic_ns(lam_env *env) {
    (void)env;
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    LAM_ASSERT(rc == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void random_bytes(lam_env *env, void *data, size_t size) {
    (void)env;
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = POSIX_RETRY(getrandom(at, size, 0));
        LAM_ASSERT(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

/* Asked for by every call of the engine, so the system is asked once: 0 until then, and again in a
 * forked child. Relaxed: all writers of one process write the same. */
static _Atomic uint64_t known_pid;

static uint64_t process_id(lam_env *env) {
    (void)env;
    uint64_t pid = atomic_load_explicit(&known_pid, memory_order_relaxed);
    if (pid == 0) {
        posix_init();
        pid = (uint64_t)getpid();
        atomic_store_explicit(&known_pid, pid, memory_order_relaxed);
    }
    return pid;
}

/* Mutexes are held across a fork so that the child's copies are whole; by rising rank. */
static void before_fork(void) {
    posix_exec_before_fork();
    posix_dir_before_fork();
}
static void after_fork_parent(void) {
    posix_dir_after_fork(false);
    posix_exec_after_fork(false);
}
static void after_fork_child(void) {
    posix_dir_after_fork(true);
    posix_exec_after_fork(true);
    atomic_store_explicit(&known_pid, 0, memory_order_relaxed);
}

static void init_once(void) {
    posix_exec_init();
    posix_dir_init();
    int rc = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    LAM_ASSERT(rc == 0);
}

void posix_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = pthread_once(&once, init_once);
    LAM_ASSERT(rc == 0);
}

static uint64_t descriptor_limit(lam_env *env) {
    (void)env;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur;
}

static const struct lam_env_ops ops = {
    .file_open = posix_file_open,
    .file_close = posix_file_close,
    .file_read = posix_file_read,
    .file_write = posix_file_write,
    .file_sync = posix_file_sync,
    .file_size = posix_file_size,
    .file_truncate = posix_file_truncate,
    .file_allocate = posix_file_allocate,
    .path_kind = posix_path_kind,
    .path_rename = posix_path_rename,
    .path_link = posix_path_link,
    .file_remove = posix_file_remove,
    .dir_create = posix_dir_create,
    .dir_remove = posix_dir_remove,
    .dir_sync = posix_dir_sync,
    .dir_list = posix_dir_list,
    .file_lock = posix_file_lock,
    .file_unlock = posix_file_unlock,
    .now_us = now_us,
    .monotonic_ns = posix_monotonic_ns,
    .random_bytes = random_bytes,
    .submit = posix_submit,
    .cancel = posix_cancel,
    .process_id = process_id,
    .descriptor_limit = descriptor_limit,
};

lam_env *lam_env_posix(void) {
    static struct lam_env env = {&ops};
    return &env;
}
