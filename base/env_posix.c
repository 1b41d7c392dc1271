/* SPDX-License-Identifier: Apache-2.0
 *
 * The operating system's environment: names and directories, clock, randomness, and the line a
 * failed assert leaves behind. */
#include "base/env_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

void assert_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "lamina: %s:%d: assert failed: %s\n", file, line, condition);
    abort();
}

static enum lam_code code_of(int number) {
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
    enum lam_code code = ERR(err, code_of(number), "%s %s: %s", attempt, path, strerror(number));
    if (err)
        err->os_errno = number;
    return code;
}

static enum lam_code path_kind(lam_env *env, const char *path, enum lam_path_kind *kind_out,
                               struct lam_error *err) {
    (void)env;
    struct stat st;
    if (lstat(path, &st) != 0) {
        *kind_out = LAM_PATH_NONE;
        if (errno == ENOENT || errno == ENOTDIR)
            return LAM_OK;
        return posix_fail(err, errno, "looking at", path);
    }
    if (S_ISREG(st.st_mode)) {
        *kind_out = LAM_PATH_FILE;
    } else if (S_ISDIR(st.st_mode) ||
               (S_ISLNK(st.st_mode) && stat(path, &st) == 0 && S_ISDIR(st.st_mode))) {
        /* A link to a directory is as good as the directory; one to a file is refused by open. */
        *kind_out = LAM_PATH_DIRECTORY;
    } else {
        *kind_out = LAM_PATH_OTHER;
    }
    return LAM_OK;
}

static enum lam_code fail_pair(struct lam_error *err, const char *attempt, const char *from,
                               const char *to) {
    int number = errno;
    enum lam_code code =
        ERR(err, code_of(number), "%s %s to %s: %s", attempt, from, to, strerror(number));
    if (err)
        err->os_errno = number;
    return code;
}

static enum lam_code path_rename(lam_env *env, const char *from, const char *to,
                                 struct lam_error *err) {
    (void)env;
    return rename(from, to) == 0 ? LAM_OK : fail_pair(err, "renaming", from, to);
}

static enum lam_code path_link(lam_env *env, const char *from, const char *to,
                               struct lam_error *err) {
    (void)env;
    struct stat st;
    if (lstat(from, &st) != 0)
        return fail_pair(err, "linking", from, to);
    if (!S_ISREG(st.st_mode))
        return ERR(err, LAM_INVALID, "linking %s to %s: not a regular file", from, to);
    return link(from, to) == 0 ? LAM_OK : fail_pair(err, "linking", from, to);
}

static enum lam_code file_remove(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    return unlink(path) == 0 ? LAM_OK : posix_fail(err, errno, "removing", path);
}

static enum lam_code dir_create(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    return mkdir(path, 0700) == 0 ? LAM_OK : posix_fail(err, errno, "making directory", path);
}

static enum lam_code dir_remove(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    return rmdir(path) == 0 ? LAM_OK : posix_fail(err, errno, "removing directory", path);
}

static int open_dir(const char *path) {
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum lam_code dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    int fd = open_dir(path);
    if (fd < 0)
        return posix_fail(err, errno, "opening directory", path);
    int number = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return number == 0 ? LAM_OK : posix_fail(err, number, "syncing directory", path);
}

static enum lam_code dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
                              struct lam_error *err) {
    (void)env;
    int fd = open_dir(path);
    if (fd < 0)
        return posix_fail(err, errno, "opening directory", path);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int number = errno;
        close(fd);
        return posix_fail(err, number, "listing directory", path);
    }
    int number = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            number = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !fn(arg, entry->d_name))
            break;
    }
    closedir(dir);
    return number == 0 ? LAM_OK : posix_fail(err, number, "listing directory", path);
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
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        LAM_ASSERT(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

/* Asked for by every call of the engine, so the system is asked once: 0 until then, and again in a
 * forked child. Relaxed: all writers of one process write the same. */
static _Atomic uint64_t known_pid;

static void forget_pid(void) {
    atomic_store_explicit(&known_pid, 0, memory_order_relaxed);
}

static void watch_forks(void) {
    int rc = pthread_atfork(NULL, NULL, forget_pid);
    LAM_ASSERT(rc == 0);
}

static uint64_t process_id(lam_env *env) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)env;
    uint64_t pid = atomic_load_explicit(&known_pid, memory_order_relaxed);
    if (pid == 0) {
        int rc = pthread_once(&once, watch_forks);
        LAM_ASSERT(rc == 0);
        pid = (uint64_t)getpid();
        atomic_store_explicit(&known_pid, pid, memory_order_relaxed);
    }
    return pid;
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
    .path_kind = path_kind,
    .path_rename = path_rename,
    .path_link = path_link,
    .file_remove = file_remove,
    .dir_create = dir_create,
    .dir_remove = dir_remove,
    .dir_sync = dir_sync,
    .dir_list = dir_list,
    .file_lock = posix_file_lock,
    .file_unlock = posix_file_unlock,
    .now_us = now_us,
    .monotonic_ns = posix_monotonic_ns,
    .random_bytes = random_bytes,
    .submit = posix_submit,
    .cancel = posix_cancel,
    .process_id = process_id,
};

lam_env *lam_env_posix(void) {
    static struct lam_env env = {&ops};
    return &env;
}
