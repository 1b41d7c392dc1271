/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and file locks of the operating system. Locks are Linux's open-file-description locks: they
 * conflict between any two openings of one inode, in one process or two, by whatever path. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/env_posix.h"

struct posix_file {
    struct lam_file base;
    int fd;        /* owned */
    bool writable; /* opened with LAM_OPEN_WRITE */
    char path[];   /* for messages */
};

struct lam_file_lock {
    int fd; /* owned; closing it ends the lock */
};

static struct posix_file *of(lam_file *file) {
    return (struct posix_file *)file;
}

/* Descriptors 0 to 2 are never a database's: in a process that had closed them, whoever prints to
 * stdout or stderr would write into our file. Gives a descriptor of the same opening above them, or
 * -1 with errno; `fd` is the caller's no more. */
static int above_standard(int fd) {
    if (fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int number = errno;
    close(fd);
    errno = number;
    return high;
}

/* A regular file's descriptor, or -1 with an error. O_NONBLOCK keeps a FIFO from blocking the open;
 * regular files ignore it. */
static int open_regular(const char *path, int flags, struct lam_error *err, enum lam_code *code) {
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        fd = above_standard(fd);
    if (fd < 0) {
        *code = posix_fail(err, errno, flags & O_CREAT ? "creating" : "opening", path);
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0)
        *code = posix_fail(err, errno, "looking at", path);
    else if (!S_ISREG(st.st_mode))
        *code = ERR(err, LAM_INVALID, "opening %s: not a regular file", path);
    else
        return fd;
    close(fd);
    return -1;
}

static int truncate_to(int fd, uint64_t size) {
    int rc;
    do {
        rc = ftruncate(fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

enum lam_code posix_file_open(lam_env *env, const char *path, unsigned flags, lam_file **file_out,
                              struct lam_error *err) {
    LAM_ASSERT(flags & (LAM_OPEN_READ | LAM_OPEN_WRITE));
    bool writable = flags & LAM_OPEN_WRITE;
    LAM_ASSERT(writable || !(flags & LAM_OPEN_TRUNCATE));
    size_t path_size = strlen(path) + 1;
    struct posix_file *f = mem_alloc(sizeof *f + path_size);
    if (!f)
        return mem_fail(err, sizeof *f + path_size);
    enum lam_code code = LAM_OK;
    int fd = open_regular(path,
                          (writable ? O_RDWR : O_RDONLY) | (flags & LAM_OPEN_CREATE ? O_CREAT : 0) |
                              (flags & LAM_OPEN_EXCLUSIVE ? O_CREAT | O_EXCL : 0),
                          err, &code);
    if (fd >= 0 && (flags & LAM_OPEN_TRUNCATE) && truncate_to(fd, 0) != 0) {
        code = posix_fail(err, errno, "truncating", path);
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        mem_free(f);
        return code;
    }
    f->base.env = env;
    f->fd = fd;
    f->writable = writable;
    memcpy(f->path, path, path_size);
    *file_out = &f->base;
    return LAM_OK;
}

/* Linux frees the descriptor even when close fails, so it is never tried again. */
enum lam_code posix_file_close(lam_file *file, struct lam_error *err) {
    struct posix_file *f = of(file);
    enum lam_code code = LAM_OK;
    if (close(f->fd) != 0 && errno != EINTR)
        code = posix_fail(err, errno, "closing", f->path);
    mem_free(f);
    return code;
}

enum lam_code posix_file_read(lam_file *file, uint64_t offset, void *data, size_t size,
                              size_t *read_out, struct lam_error *err) {
    struct posix_file *f = of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(f->fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return posix_fail(err, errno, "reading", f->path);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *read_out = done;
    return LAM_OK;
}

static enum lam_code check_writable(const struct posix_file *f, struct lam_error *err) {
    if (!f->writable)
        return ERR(err, LAM_INVALID, "writing %s: opened for reading only", f->path);
    return LAM_OK;
}

enum lam_code posix_file_write(lam_file *file, uint64_t offset, const void *data, size_t size,
                               struct lam_error *err) {
    struct posix_file *f = of(file);
    TRY(check_writable(f, err));
    for (size_t done = 0; done < size;) {
        ssize_t put =
            pwrite(f->fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return posix_fail(err, errno, "writing", f->path);
        if (put == 0)
            return ERR(err, LAM_IO, "writing %s: no progress at offset %llu", f->path,
                       (unsigned long long)(offset + done));
        done += (size_t)put;
    }
    return LAM_OK;
}

/* Only an interrupted sync is tried again: after a failed one the kernel may have dropped the dirty
 * pages, and a second sync would call them safe. */
enum lam_code posix_file_sync(lam_file *file, struct lam_error *err) {
    struct posix_file *f = of(file);
    int rc;
    do {
        rc = fdatasync(f->fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? LAM_OK : posix_fail(err, errno, "syncing", f->path);
}

enum lam_code posix_file_size(lam_file *file, uint64_t *size_out, struct lam_error *err) {
    struct posix_file *f = of(file);
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return posix_fail(err, errno, "looking at", f->path);
    *size_out = (uint64_t)st.st_size;
    return LAM_OK;
}

enum lam_code posix_file_truncate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct posix_file *f = of(file);
    TRY(check_writable(f, err));
    return truncate_to(f->fd, size) == 0 ? LAM_OK : posix_fail(err, errno, "truncating", f->path);
}

enum lam_code posix_file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct posix_file *f = of(file);
    TRY(check_writable(f, err));
    if (size == 0)
        return LAM_OK;
    int rc;
    do {
        rc = fallocate(f->fd, 0, 0, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return LAM_OK;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return posix_fail(err, errno, "allocating", f->path);
    uint64_t current = 0;
    TRY(posix_file_size(file, &current, err));
    return size > current ? posix_file_truncate(file, size, err) : LAM_OK;
}

/* A lock file that can't be written allows a shared lock only: it keeps writers out, which is what
 * reading from a read-only place needs. */
static int open_lock(const char *path, struct flock *range, struct lam_error *err,
                     enum lam_code *code) {
    struct lam_error local = {0};
    int fd = open_regular(path, O_RDWR | O_CREAT, &local, code);
    if (fd < 0 && (local.os_errno == EROFS || local.os_errno == EACCES)) {
        enum lam_code ignored;
        fd = open_regular(path, O_RDONLY, NULL, &ignored);
        range->l_type = F_RDLCK;
    }
    if (fd < 0 && err)
        *err = local;
    return fd;
}

enum lam_code posix_file_lock(lam_env *env, const char *path, lam_file_lock **lock_out,
                              struct lam_error *err) {
    (void)env;
    struct lam_file_lock *lock = mem_alloc(sizeof *lock);
    if (!lock)
        return mem_fail(err, sizeof *lock);
    enum lam_code code = LAM_OK;
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    lock->fd = open_lock(path, &range, err, &code);
    if (lock->fd < 0)
        goto fail;
    if (fcntl(lock->fd, F_OFD_SETLK, &range) == 0) {
        *lock_out = lock;
        return LAM_OK;
    }
    if (errno == EAGAIN || errno == EACCES)
        code = ERR(err, LAM_BUSY, "locking %s: held by this or another process", path);
    else
        code = posix_fail(err, errno, "locking", path);
    close(lock->fd);
fail:
    mem_free(lock);
    return code;
}

/* Closing, not unlocking: in a forked child this leaves the parent's lock alone. */
void posix_file_unlock(lam_file_lock *lock) {
    if (!lock)
        return;
    close(lock->fd);
    mem_free(lock);
}
