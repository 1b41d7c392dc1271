/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of the operating system. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/env_posix.h"
#include "base/env_posix_log.h"

struct posix_file {
    struct lam_file base;
    int fd;               /* owned */
    bool writable;        /* opened with LAM_OPEN_WRITE */
    bool log;             /* with LAM_OPEN_LOG: mapped where it can be */
    struct posix_map map; /* of a log */
    char path[];          /* for messages */
};

static struct posix_file *of(lam_file *file) {
    return (struct posix_file *)file;
}

/* Descriptors 0 to 2 are never a database's: in a process that had closed them, whoever prints to
 * stdout or stderr would write into our file. */
int posix_above_standard(int fd) {
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int number = errno;
    close(fd);
    errno = number;
    return high;
}

/* Whatever the umask, the owner may use what he made. */
static bool give_to_owner(int fd, const struct stat *st) {
    return (st->st_mode & 0600) == 0600 || fchmod(fd, (st->st_mode & 0777) | 0600) == 0;
}

/* O_NONBLOCK keeps a FIFO from blocking the open; regular files ignore it. */
int posix_open_regular(int dir, const char *name, const char *path, int flags,
                       struct lam_error *err, enum lam_code *code) {
    flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int fd = posix_above_standard(POSIX_RETRY(openat(dir, name, flags, 0600)));
    if (fd < 0) {
        *code = posix_fail(err, errno, flags & O_CREAT ? "creating" : "opening", path);
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0)
        *code = posix_fail(err, errno, "looking at", path);
    else if (!S_ISREG(st.st_mode))
        *code = ERR(err, LAM_INVALID, "opening %s: not a regular file", path);
    else if ((flags & O_CREAT) && !give_to_owner(fd, &st))
        *code = posix_fail(err, errno, "setting the mode of", path);
    else
        return fd;
    close(fd);
    return -1;
}

/* A file of two names is somebody's copy, made by linking: it is read but not written. */
static bool check_single_name(int fd, const char *path, struct lam_error *err,
                              enum lam_code *code) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        *code = posix_fail(err, errno, "looking at", path);
    else if (st.st_nlink > 1)
        *code = ERR(err, LAM_INVALID, "opening %s for writing: the file has another name", path);
    else
        return true;
    return false;
}

static int open_at_path(const char *path, int flags, struct lam_error *err, enum lam_code *code) {
    struct posix_place p;
    if (!posix_place_find(path, &p)) {
        *code = posix_fail(err, errno, flags & O_CREAT ? "creating" : "opening", path);
        return -1;
    }
    int fd = posix_open_regular(p.dir, p.name, path, flags, err, code);
    posix_place_leave(&p);
    if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY || check_single_name(fd, path, err, code))
        return fd;
    close(fd);
    return -1;
}

static int truncate_to(int fd, uint64_t size) {
    return POSIX_RETRY(ftruncate(fd, (off_t)size));
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
    int fd = open_at_path(path,
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
    f->log = flags & LAM_OPEN_LOG;
    memset(&f->map, 0, sizeof f->map);
    memcpy(f->path, path, path_size);
    *file_out = &f->base;
    return LAM_OK;
}

/* Linux frees the descriptor even when close fails, so it is never tried again. */
enum lam_code posix_file_close(lam_file *file, struct lam_error *err) {
    struct posix_file *f = of(file);
    enum lam_code code = LAM_OK;
    posix_map_end(&f->map);
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
        ssize_t got =
            POSIX_RETRY(pread(f->fd, (uint8_t *)data + done, size - done, (off_t)(offset + done)));
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
    if (f->map.limit > 0 && posix_map_write(&f->map, f->fd, offset, data, size))
        return LAM_OK;
    for (size_t done = 0; done < size;) {
        ssize_t put = POSIX_RETRY(
            pwrite(f->fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done)));
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
    if (POSIX_RETRY(fdatasync(f->fd)) != 0)
        return posix_fail(err, errno, "syncing", f->path);
    posix_map_synced(&f->map);
    return LAM_OK;
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
    posix_map_end(&f->map);
    return truncate_to(f->fd, size) == 0 ? LAM_OK : posix_fail(err, errno, "truncating", f->path);
}

enum lam_code posix_file_allocate(lam_file *file, uint64_t size, struct lam_error *err) {
    struct posix_file *f = of(file);
    TRY(check_writable(f, err));
    if (size == 0)
        return LAM_OK;
    if (POSIX_RETRY(fallocate(f->fd, 0, 0, (off_t)size)) == 0) {
        if (f->log)
            posix_map_begin(&f->map, f->fd, size);
        return LAM_OK;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return posix_fail(err, errno, "allocating", f->path);
    uint64_t current = 0;
    TRY(posix_file_size(file, &current, err));
    return size > current ? posix_file_truncate(file, size, err) : LAM_OK;
}
