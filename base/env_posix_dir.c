/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and directories of the operating system, and the locks of directories.
 *
 * A lock holds the directory that its file lies in by a descriptor, and as long as it is held every
 * path that begins with that directory's is resolved from the descriptor, one part after another,
 * following no symbolic link: a directory that is renamed goes on in use, one that is removed gives
 * errors, and one that somebody puts in its place, or that a later chdir makes the path mean, is
 * never touched. Paths that lead elsewhere are the operating system's as they stand.
 *
 * Two locks do one work: an open-file-description lock on the file, and flock on the directory,
 * which stays when the file is removed. Both conflict between any two openings of one inode, in
 * one process or two, by whatever path. A forked child gives up its copies at once, so that its
 * life does not prolong the lock. */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/env_posix.h"
#include "base/thread.h"

struct lam_file_lock {
    struct lam_file_lock *next; /* under `holds.mu` */
    unsigned refs;              /* under `holds.mu`: its holder and the calls that use `dir` */
    int file;                   /* of the lock file; -1 in a forked child; owned */
    int dir;                    /* of the directory, the same */
    size_t prefix_size;
    char prefix[]; /* the directory's path as given, without '/' at the end; not empty */
};

static struct holds {
    struct mutex mu; /* RANK_LEAF */
    struct holds_guarded {
        struct lam_file_lock *first;
    } guarded_; /* by mu */
} holds;

static inline struct holds_guarded *holds_list(struct holds *h) REQUIRES(h->mu) {
    return &h->guarded_;
}

void posix_dir_init(void) {
    mutex_init(&holds.mu, RANK_LEAF);
}

NO_THREAD_SAFETY void posix_dir_before_fork(void) {
    mutex_lock(&holds.mu);
}
NO_THREAD_SAFETY void posix_dir_after_fork(bool child) {
    struct lam_file_lock *l = child ? holds.guarded_.first : NULL;
    for (; l; l = l->next) {
        close(l->file);
        close(l->dir);
        l->file = l->dir = -1;
    }
    if (child)
        holds.guarded_.first = NULL;
    mutex_unlock(&holds.mu);
    if (child)
        posix_dir_init();
}

/* Opens a directory; a signal does not keep it from that. */
static int open_dir_at(int dir, const char *name, int flags) {
    return POSIX_RETRY(openat(dir, name, flags | O_DIRECTORY | O_CLOEXEC));
}

/* Whether `path` lies in the directory `prefix`; gives what comes after it. A path that climbs out
 * again is none of the directory's. */
static bool lies_in(const struct lam_file_lock *l, const char *path, const char **rest_out) {
    if (strncmp(path, l->prefix, l->prefix_size) != 0)
        return false;
    const char *rest = path + l->prefix_size;
    if (*rest != '/' && *rest != 0)
        return false;
    while (*rest == '/')
        rest++;
    for (const char *part = rest; part; part = strchr(part, '/')) {
        while (*part == '/')
            part++;
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0))
            return false;
    }
    *rest_out = rest;
    return true;
}

/* The innermost directory held that `path` lies in, referenced; NULL if there is none. */
static struct lam_file_lock *find_hold(const char *path, const char **rest_out) {
    struct lam_file_lock *best = NULL;
    const char *rest;
    posix_init();
    mutex_lock(&holds.mu);
    for (struct lam_file_lock *l = holds_list(&holds)->first; l; l = l->next)
        if ((!best || l->prefix_size > best->prefix_size) && lies_in(l, path, &rest)) {
            best = l;
            *rest_out = rest;
        }
    if (best)
        best->refs++;
    mutex_unlock(&holds.mu);
    return best;
}

static void drop_hold(struct lam_file_lock *l) {
    mutex_lock(&holds.mu);
    bool last = --l->refs == 0;
    mutex_unlock(&holds.mu);
    if (!last)
        return;
    if (l->dir >= 0)
        close(l->dir);
    mem_free(l);
}

/* Descends to the directory of the last part of `rest`. */
static bool descend(struct posix_place *p, const char *rest) {
    char part[NAME_MAX + 1];
    const char *slash;
    while ((slash = strchr(rest, '/')) != NULL) {
        size_t size = (size_t)(slash - rest);
        if (size > NAME_MAX) {
            errno = ENAMETOOLONG;
            return false;
        }
        memcpy(part, rest, size);
        part[size] = 0;
        int next = open_dir_at(p->dir, part, O_PATH | O_NOFOLLOW);
        if (next < 0)
            return false;
        if (p->opened >= 0)
            close(p->opened);
        p->dir = p->opened = next;
        for (rest = slash; *rest == '/'; rest++)
            continue;
    }
    p->name = *rest ? rest : ".";
    return true;
}

bool posix_place_find(const char *path, struct posix_place *p) {
    const char *rest;
    *p = (struct posix_place){.dir = AT_FDCWD, .opened = -1, .name = path};
    p->hold = find_hold(path, &rest);
    if (!p->hold)
        return true;
    p->dir = p->hold->dir;
    if (descend(p, rest))
        return true;
    posix_place_leave(p);
    return false;
}

void posix_place_leave(struct posix_place *p) {
    int number = errno;
    if (p->opened >= 0)
        close(p->opened);
    if (p->hold)
        drop_hold(p->hold);
    *p = (struct posix_place){.dir = -1, .opened = -1};
    errno = number;
}

static enum lam_path_kind kind_at(const struct posix_place *p, const struct stat *st) {
    struct stat target;
    if (S_ISREG(st->st_mode))
        return LAM_PATH_FILE;
    if (S_ISDIR(st->st_mode))
        return LAM_PATH_DIRECTORY;
    /* Outside of a held directory a link to a directory is as good as the directory; a link to a
     * file is refused by open. */
    if (S_ISLNK(st->st_mode) && !p->hold && fstatat(p->dir, p->name, &target, 0) == 0 &&
        S_ISDIR(target.st_mode))
        return LAM_PATH_DIRECTORY;
    return LAM_PATH_OTHER;
}

enum lam_code posix_path_kind(lam_env *env, const char *path, enum lam_path_kind *kind_out,
                              struct lam_error *err) {
    (void)env;
    struct posix_place p;
    struct stat st;
    *kind_out = LAM_PATH_NONE;
    bool there = posix_place_find(path, &p);
    if (there) {
        there = fstatat(p.dir, p.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (there)
            *kind_out = kind_at(&p, &st);
        posix_place_leave(&p);
    }
    if (there || errno == ENOENT || errno == ENOTDIR)
        return LAM_OK;
    return posix_fail(err, errno, "looking at", path);
}

static enum lam_code fail_pair(struct lam_error *err, const char *attempt, const char *from,
                               const char *to) {
    int number = errno;
    enum lam_code code =
        ERR(err, posix_code(number), "%s %s to %s: %s", attempt, from, to, strerror(number));
    if (err)
        err->os_errno = number;
    return code;
}

static bool find_pair(const char *from, const char *to, struct posix_place *f,
                      struct posix_place *t) {
    if (!posix_place_find(from, f))
        return false;
    if (posix_place_find(to, t))
        return true;
    posix_place_leave(f);
    return false;
}

enum lam_code posix_path_rename(lam_env *env, const char *from, const char *to,
                                struct lam_error *err) {
    (void)env;
    struct posix_place f, t;
    if (!find_pair(from, to, &f, &t))
        return fail_pair(err, "renaming", from, to);
    bool done = renameat(f.dir, f.name, t.dir, t.name) == 0;
    posix_place_leave(&f);
    posix_place_leave(&t);
    return done ? LAM_OK : fail_pair(err, "renaming", from, to);
}

enum lam_code posix_path_link(lam_env *env, const char *from, const char *to,
                              struct lam_error *err) {
    (void)env;
    struct posix_place f, t;
    struct stat st;
    if (!find_pair(from, to, &f, &t))
        return fail_pair(err, "linking", from, to);
    bool seen = fstatat(f.dir, f.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    bool regular = seen && S_ISREG(st.st_mode);
    bool done = regular && linkat(f.dir, f.name, t.dir, t.name, 0) == 0;
    posix_place_leave(&f);
    posix_place_leave(&t);
    if (seen && !regular)
        return ERR(err, LAM_INVALID, "linking %s to %s: not a regular file", from, to);
    return done ? LAM_OK : fail_pair(err, "linking", from, to);
}

static enum lam_code remove_name(const char *path, int flags, const char *attempt,
                                 struct lam_error *err) {
    struct posix_place p;
    bool done = false;
    if (posix_place_find(path, &p)) {
        done = unlinkat(p.dir, p.name, flags) == 0;
        posix_place_leave(&p);
    }
    return done ? LAM_OK : posix_fail(err, errno, attempt, path);
}

enum lam_code posix_file_remove(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    return remove_name(path, 0, "removing", err);
}

enum lam_code posix_dir_remove(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    return remove_name(path, AT_REMOVEDIR, "removing directory", err);
}

/* Whatever the umask, the owner may use what he made. */
static bool give_to_owner(const struct posix_place *p) {
    struct stat st;
    if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    return (st.st_mode & 0700) == 0700 || fchmodat(p->dir, p->name, 0700, 0) == 0;
}

enum lam_code posix_dir_create(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    struct posix_place p;
    bool done = false;
    if (posix_place_find(path, &p)) {
        done = mkdirat(p.dir, p.name, 0700) == 0 && give_to_owner(&p);
        posix_place_leave(&p);
    }
    return done ? LAM_OK : posix_fail(err, errno, "making directory", path);
}

/* A directory's descriptor, or -1 with errno. */
static int open_place(const struct posix_place *p) {
    return open_dir_at(p->dir, p->name, O_RDONLY | (p->hold ? O_NOFOLLOW : 0));
}

static int open_dir(const char *path) {
    struct posix_place p;
    if (!posix_place_find(path, &p))
        return -1;
    int fd = open_place(&p);
    posix_place_leave(&p);
    return fd;
}

/* A held directory is synced by its own descriptor, so that it needs none of those that the process
 * may have run out of. */
static int sync_dir(const char *path) {
    struct posix_place p;
    if (!posix_place_find(path, &p))
        return -1;
    bool held = p.hold && p.opened < 0 && strcmp(p.name, ".") == 0;
    int fd = held ? p.dir : open_place(&p);
    int rc = fd < 0 ? -1 : POSIX_RETRY(fsync(fd));
    int number = errno;
    if (fd >= 0 && !held)
        close(fd);
    posix_place_leave(&p);
    errno = number;
    return rc;
}

enum lam_code posix_dir_sync(lam_env *env, const char *path, struct lam_error *err) {
    (void)env;
    return sync_dir(path) == 0 ? LAM_OK : posix_fail(err, errno, "syncing directory", path);
}

enum lam_code posix_dir_list(lam_env *env, const char *path, lam_dir_fn fn, void *arg,
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

/* The lock with the directory's path; `*name_out`: the file in it. */
static struct lam_file_lock *new_lock(const char *path, const char **name_out) {
    const char *slash = strrchr(path, '/');
    const char *directory = slash ? path : ".";
    size_t size = slash ? (size_t)(slash - path) : 1;
    while (size > 1 && directory[size - 1] == '/')
        size--;
    if (size == 0)
        size = 1; /* the root */
    struct lam_file_lock *l = mem_alloc(sizeof *l + size + 1);
    if (!l)
        return NULL;
    *l = (struct lam_file_lock){.refs = 1, .file = -1, .dir = -1, .prefix_size = size};
    memcpy(l->prefix, directory, size);
    l->prefix[size] = 0;
    *name_out = slash ? slash + 1 : path;
    return l;
}

static enum lam_code busy(const char *path, struct lam_error *err) {
    return ERR(err, LAM_BUSY, "locking %s: held by this or another process", path);
}

/* A lock file that can't be written allows a shared lock only: it keeps writers out, which is what
 * reading from a read-only place needs. */
static enum lam_code lock_file(struct lam_file_lock *l, const char *name, const char *path,
                               bool *shared_out, struct lam_error *err) {
    struct lam_error local = {0};
    enum lam_code code = LAM_OK;
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    l->file = posix_open_regular(l->dir, name, path, O_RDWR | O_CREAT, &local, &code);
    *shared_out = l->file < 0 && (local.os_errno == EROFS || local.os_errno == EACCES);
    if (*shared_out) {
        enum lam_code ignored;
        l->file = posix_open_regular(l->dir, name, path, O_RDONLY, NULL, &ignored);
        range.l_type = F_RDLCK;
    }
    if (l->file < 0)
        return error_pass(err, code, &local);
    if (fcntl(l->file, F_OFD_SETLK, &range) == 0)
        return LAM_OK;
    return errno == EAGAIN || errno == EACCES ? busy(path, err)
                                              : posix_fail(err, errno, "locking", path);
}

/* A file system that can't lock directories leaves it at the file. */
static enum lam_code lock_dir(const struct lam_file_lock *l, bool shared, const char *path,
                              struct lam_error *err) {
    if (flock(l->dir, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return LAM_OK;
    return busy(path, err);
}

/* A path means one directory at a time. */
static enum lam_code publish(struct lam_file_lock *l, const char *path, struct lam_error *err) {
    struct stat mine, other;
    bool same = true;
    if (fstat(l->dir, &mine) != 0)
        return posix_fail(err, errno, "looking at", l->prefix);
    mutex_lock(&holds.mu);
    struct holds_guarded *h = holds_list(&holds);
    for (const struct lam_file_lock *o = h->first; o; o = o->next)
        if (strcmp(o->prefix, l->prefix) == 0)
            same &= fstat(o->dir, &other) == 0 && other.st_dev == mine.st_dev &&
                    other.st_ino == mine.st_ino;
    if (same) {
        l->next = h->first;
        h->first = l;
    }
    mutex_unlock(&holds.mu);
    if (same)
        return LAM_OK;
    return ERR(err, LAM_BUSY,
               "locking %s: a database is open whose directory had this path and was moved", path);
}

static void free_lock(struct lam_file_lock *l) {
    if (l->file >= 0)
        close(l->file);
    l->file = -1;
    drop_hold(l);
}

enum lam_code posix_file_lock(lam_env *env, const char *path, lam_file_lock **lock_out,
                              struct lam_error *err) {
    (void)env;
    const char *name;
    bool shared;
    posix_init();
    struct lam_file_lock *l = new_lock(path, &name);
    if (!l)
        return mem_fail(err, sizeof *l + strlen(path));
    enum lam_code rc;
    /* Not by an earlier hold: that is a directory which may have been moved. */
    l->dir = posix_above_standard(open_dir_at(AT_FDCWD, l->prefix, O_RDONLY));
    if (l->dir < 0) {
        rc = posix_fail(err, errno, "opening directory", l->prefix);
        goto out;
    }
    TRY_GOTO(lock_file(l, name, path, &shared, err));
    TRY_GOTO(lock_dir(l, shared, path, err));
    TRY_GOTO(publish(l, path, err));
    *lock_out = l;
    return LAM_OK;
out:
    free_lock(l);
    return rc;
}

/* Unlocked by closing: whoever forked, spawned or was handed a descriptor has copies of it, so the
 * locks are ended first. In a forked child nothing is left to be ended. */
void posix_file_unlock(lam_file_lock *l) {
    if (!l)
        return;
    mutex_lock(&holds.mu);
    for (struct lam_file_lock **link = &holds_list(&holds)->first; *link; link = &(*link)->next)
        if (*link == l) {
            *link = l->next;
            break;
        }
    mutex_unlock(&holds.mu);
    if (l->file >= 0) {
        struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        flock(l->dir, LOCK_UN);
        fcntl(l->file, F_OFD_SETLK, &range);
    }
    free_lock(l);
}
