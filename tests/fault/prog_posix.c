/* SPDX-License-Identifier: Apache-2.0
 *
 * The operating system's environment under a hostile C library: this program defines the calls that
 * base/env_posix*.c makes (a program's symbols come before the library's) and lets them transfer
 * less than asked, be interrupted, or fail once and from then on; and pthread_create says that
 * there are no more threads. On real files in a directory of their own. Syncs do nothing, so that
 * it is quick.
 *
 *     posix [--long] [--seed HEX] [--only NAME]
 *
 * A run without failures tells what readers see after each step of the canonical workload
 * (script.h) and which bytes the files hold; each trial is a child process that must show the same.
 * Clock and randomness are made up, and no threads are had, but where threads are the point. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/rng.h"
#include "tests/fault/heap.h"
#include "tests/fault/script.h"
#include "tests/sim/tuning.h"
#include "tests/support/gate.h"

enum call {
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_SYNC_DIR,
    CALL_TRUNCATE,
    CALL_ALLOCATE,
    CALL_STAT,
    CALL_LOOK,
    CALL_RENAME,
    CALL_REMOVE,
    CALL_MKDIR,
    CALL_OPEN_DIR,
    CALL_READ_DIR,
    CALL_LOCK,
    CALL_LOCK_DIR,
    CALL_CLOSE,
    CALL_RANDOM,
    CALL_THREAD,
    CALL_STATFS,
    CALL_MAP,
    CALL_ADVISE,
    CALLS
};
static const char *const call_names[CALLS] = {
    "open",           "pread",   "pwrite",  "fdatasync", "fsync",    "ftruncate",
    "fallocate",      "fstat",   "fstatat", "renameat",  "unlinkat", "mkdirat",
    "fdopendir",      "readdir", "fcntl",   "flock",     "close",    "getrandom",
    "pthread_create", "fstatfs", "mmap",    "madvise"};

/* What was done to the calls in all children; shared memory. */
static struct tally {
    _Atomic uint64_t fired[CALLS];
    _Atomic uint64_t interrupted[CALLS];
    _Atomic uint64_t shortened;
    _Atomic uint64_t told[CALLS]; /* runs with a failed call of which the product told */
} * tally;

/* How the library behaves; set while there is one thread. */
static struct {
    bool on; /* else as the real one */
    bool short_transfers;
    bool interrupts;
    bool plain;         /* a file system whose files are not mapped */
    bool deterministic; /* clock and randomness; and no threads, tasks are done when submitted */
    enum call fails;    /* with `number`, at the `nth` such call */
    uint64_t nth;       /* 0: none */
    bool sticky;
    int number; /* errno; 0: a write makes no progress */
    struct rng rng;
    struct rng noise; /* what getrandom gives */
    uint64_t clock_ns;
    _Atomic uint64_t seen[CALLS];
    _Atomic uint64_t fired;
    _Atomic uint64_t closed_twice;
} lib;

/* Counts a call; whether it is to fail. */
static bool hit(enum call call) {
    if (!lib.on)
        return false;
    uint64_t n = atomic_fetch_add(&lib.seen[call], 1) + 1;
    if (lib.nth == 0 || call != lib.fails || n < lib.nth || (n > lib.nth && !lib.sticky))
        return false;
    atomic_fetch_add(&lib.fired, 1);
    atomic_fetch_add(&tally->fired[call], 1);
    errno = lib.number;
    return true;
}

/* One in three is interrupted by a signal. */
static bool interrupted(enum call call) {
    if (!lib.on || !lib.interrupts || rng_below(&lib.rng, 3) != 0)
        return false;
    atomic_fetch_add(&tally->interrupted[call], 1);
    errno = EINTR;
    return true;
}

/* It fails, by order or by a signal. */
static bool stopped(enum call call) {
    return hit(call) || interrupted(call);
}

static size_t some_of(size_t size) {
    if (!lib.on || !lib.short_transfers || size < 2)
        return size;
    size_t most = rng_below(&lib.rng, 2) || size < 9 ? size : 9;
    size_t part = 1 + (size_t)rng_below(&lib.rng, most);
    tally->shortened += part < size;
    return part;
}

/* --- the calls ------------------------------------------------------------------------------ */

ssize_t pread(int fd, void *data, size_t size, off_t offset) {
    if (stopped(CALL_READ))
        return -1;
    return syscall(SYS_pread64, fd, data, some_of(size), offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    if (hit(CALL_WRITE))
        return lib.number ? -1 : 0;
    if (interrupted(CALL_WRITE))
        return -1;
    return syscall(SYS_pwrite64, fd, data, some_of(size), offset);
}

int fdatasync(int fd) {
    (void)fd;
    return stopped(CALL_SYNC) ? -1 : 0;
}

int fsync(int fd) {
    (void)fd;
    return stopped(CALL_SYNC_DIR) ? -1 : 0;
}

int ftruncate(int fd, off_t size) {
    return stopped(CALL_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
    return stopped(CALL_ALLOCATE) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

static int open_any(int dir, const char *path, int flags, mode_t mode) {
    if (stopped(CALL_OPEN))
        return -1;
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(dir, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(AT_FDCWD, path, flags, mode);
}

/* What a fortified build calls where no mode is given. */
int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags) {
    return open_any(dir, path, flags, 0);
}
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags) {
    return open_any(AT_FDCWD, path, flags, 0);
}

int fstat(int fd, struct stat *st) {
    return hit(CALL_STAT) ? -1 : (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int fstatat(int dir, const char *path, struct stat *st, int flags) {
    return hit(CALL_LOOK) ? -1 : (int)syscall(SYS_newfstatat, dir, path, st, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return hit(CALL_RENAME) ? -1 : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int unlinkat(int dir, const char *path, int flags) {
    return hit(CALL_REMOVE) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode) {
    return hit(CALL_MKDIR) ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
}

/* Locks are taken by it; they are given up without failures, as by the kernel. */
int fcntl(int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (command == F_OFD_SETLK && ((struct flock *)arg)->l_type != F_UNLCK && hit(CALL_LOCK))
        return -1;
    return (int)syscall(SYS_fcntl, fd, command, arg);
}

int flock(int fd, int operation) {
    return !(operation & LOCK_UN) && hit(CALL_LOCK_DIR) ? -1
                                                        : (int)syscall(SYS_flock, fd, operation);
}

static void *real_of(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

DIR *fdopendir(int fd) {
    static DIR *(*real)(int);
    if (!real)
        *(void **)&real = real_of("fdopendir");
    return hit(CALL_OPEN_DIR) ? NULL : real(fd);
}

struct dirent *readdir(DIR *dir) {
    static struct dirent *(*real)(DIR *);
    if (!real)
        *(void **)&real = real_of("readdir");
    return hit(CALL_READ_DIR) ? NULL : real(dir);
}

/* The descriptor is gone whatever close says, as on Linux: whoever tries again closes another's. */
int close(int fd) {
    bool fails = hit(CALL_CLOSE);
    int number = errno;
    int rc = (int)syscall(SYS_close, fd);
    if (rc != 0 && errno == EBADF)
        atomic_fetch_add(&lib.closed_twice, 1);
    if (fails)
        errno = number;
    return fails ? -1 : rc;
}

int clock_gettime(clockid_t id, struct timespec *out) {
    if (!lib.deterministic)
        return (int)syscall(SYS_clock_gettime, id, out);
    if (lib.on)
        lib.clock_ns += 1000;
    *out = (struct timespec){1700000000 + (time_t)(lib.clock_ns / 1000000000),
                             (long)(lib.clock_ns % 1000000000)};
    return 0;
}

ssize_t getrandom(void *data, size_t size, unsigned flags) {
    if (!lib.on || !lib.deterministic)
        return syscall(SYS_getrandom, data, size, flags);
    if (interrupted(CALL_RANDOM))
        return -1;
    size_t part = some_of(size);
    for (size_t i = 0; i < part; i++)
        ((uint8_t *)data)[i] = (uint8_t)rng_next(&lib.noise);
    return (ssize_t)part;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real)
        *(void **)&real = real_of("pthread_create");
    if (hit(CALL_THREAD))
        return lib.number;
    return lib.deterministic ? EAGAIN : real(thread, attr, fn, arg);
}

/* Whatever the directory lies on, it is one or the other. */
int fstatfs(int fd, struct statfs *out) {
    if (hit(CALL_STATFS))
        return -1;
    int rc = (int)syscall(SYS_fstatfs, fd, out);
    out->f_type = lib.plain ? 0x9123683E /* btrfs */ : 0xEF53 /* ext4 */;
    return rc;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && hit(CALL_MAP))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

int madvise(void *at, size_t size, int advice) {
    return advice == 23 /* MADV_POPULATE_WRITE */ && stopped(CALL_ADVISE)
               ? -1
               : (int)syscall(SYS_madvise, at, size, advice);
}

/* --- directories ---------------------------------------------------------------------------- */

static char base[300], path[320];

static int remove_one(const char *at, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(at);
}

static void remove_tree(const char *at) {
    if (nftw(at, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        abort();
}

/* Of all files below, by name. */
static uint64_t hash_tree(const char *at) {
    struct dirent **names;
    uint64_t hash = 1;
    int n = scandir(at, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char file[600];
        struct stat st;
        const char *name = names[i]->d_name;
        int length = snprintf(file, sizeof file, "%s/%s", at, name);
        if (length > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            stat(file, &st) == 0) {
            hash = hash_mix(hash, hash_xxh3(name, strlen(name), 0));
            if (S_ISDIR(st.st_mode)) {
                hash = hash_mix(hash, hash_tree(file));
            } else {
                FILE *in = fopen(file, "rb");
                uint8_t *bytes = malloc((size_t)st.st_size + 1);
                size_t got = in && bytes ? fread(bytes, 1, (size_t)st.st_size, in) : 0;
                hash = hash_mix(hash, hash_xxh3(bytes, got, 1));
                free(bytes);
                if (in)
                    fclose(in);
            }
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return hash;
}

static unsigned open_descriptors(void) {
    unsigned n = 0;
    for (int fd = 3; fd < 256; fd++)
        n += syscall(SYS_fcntl, fd, F_GETFD) >= 0;
    return n;
}

/* --- runs ----------------------------------------------------------------------------------- */

#define STEPS_MAX 160

static struct plan {
    unsigned steps;
    char *seen[STEPS_MAX];
    uint64_t hash[STEPS_MAX];  /* of the files after the step */
    uint64_t counts[2][CALLS]; /* with mapped logs, and with plain ones */
} plans[SCRIPT_PARTS];

static struct {
    bool long_run;
    uint64_t seed;
    const char *only;
} o = {.seed = 1};

static void be_real(void) {
    lib.on = false;
    lib.short_transfers = lib.interrupts = lib.deterministic = lib.sticky = lib.plain = false;
    lib.nth = 0;
}

static void begin(enum script_part part, struct script *s) {
    static const struct db_tuning tuning = {.rotate_bytes = 6000,
                                            .segment_bytes = 8192,
                                            .base_bytes = 4096,
                                            .dump_file_bytes = 2048,
                                            .close_dump_bytes = 3000,
                                            .manifest_rewrite_bytes = 1500};
    sim_tuning_set(&tuning);
    remove_tree(path);
    script_init(s, part, lam_env_posix());
    s->dir = path;
    lib.clock_ns = 0;
    rng_init(&lib.noise, 77);
    for (int i = 0; i < CALLS; i++)
        lib.seen[i] = 0;
    lib.fired = lib.closed_twice = 0;
    lib.on = true;
}

static bool wrong(const struct script *s, unsigned step, const char *what) {
    printf("%s, step %u (%s): %s %s\n", what, step, script_step_name(s->part, step), s->err.message,
           s->err.sqlstate);
    return false;
}

/* What readers see is what they saw then; a closed database shows nothing. */
static bool shows(struct script *s, const char *expected) {
    if (!s->db)
        return true;
    bool on = lib.on;
    /* With threads of the product nothing is changed, and looking starts none. */
    if (lib.deterministic)
        lib.on = false;
    char *text = script_dump(s);
    lib.on = on;
    bool same = text && strcmp(text, expected) == 0;
    free(text);
    return same;
}

static bool run_plainly(enum script_part part, bool record) {
    struct plan *p = &plans[part];
    struct script s;
    unsigned before = open_descriptors();
    begin(part, &s);
    p->steps = script_steps(part);
    for (unsigned step = 0; step < p->steps; step++) {
        if (script_step(&s, step) != LAM_OK)
            return wrong(&s, step, "fails");
        if (record && !lib.plain) {
            lib.on = false;
            p->seen[step] = s.db ? script_dump(&s) : strdup(p->seen[step - 1]);
            p->hash[step] = hash_tree(path);
            lib.on = true;
        } else if (!shows(&s, p->seen[step])) {
            return wrong(&s, step, "shows something else");
        } else {
            lib.on = false;
            if (hash_tree(path) != p->hash[step])
                return wrong(&s, step, "the files differ");
            lib.on = true;
        }
    }
    if (script_close(&s) != LAM_OK)
        return wrong(&s, p->steps - 1, "close fails");
    if (record)
        for (int i = 0; i < CALLS; i++)
            p->counts[lib.plain][i] = lib.seen[i];
    lib.on = false;
    script_fini(&s);
    bool tidy = script_check_files(&s) && s.leaked == 0 && lib.closed_twice == 0;
    if (open_descriptors() != before)
        printf("%u descriptors before, %u after\n", before, open_descriptors());
    return tidy && open_descriptors() == before;
}

/* --- errors --------------------------------------------------------------------------------- */

static enum lam_code code_of(int number) {
    if (number == ENOSPC || number == EDQUOT)
        return LAM_NO_SPACE;
    return number == ENOMEM ? LAM_NO_MEMORY : LAM_IO;
}

/* The error is the injected one, or lam_check's, which tells of it. */
static bool error_fits(const struct script *s, enum lam_code rc) {
    if (rc == LAM_UNKNOWN_OUTCOME || rc == LAM_READ_ONLY)
        return s->err.message[0] != 0;
    return rc == code_of(lib.number) &&
           (lib.number == 0 || s->err.os_errno == lib.number ||
            strstr(s->err.message, "problems") || strstr(s->err.message, "not checked"));
}

/* After a failed step: reopened if need be, it shows what was there before, or after. */
static bool settle(struct script *s, const struct plan *p, unsigned step, enum lam_code rc,
                   bool *done_out) {
    const char *before = p->seen[step > 0 ? step - 1 : 0];
    *done_out = false;
    bool dead = rc == LAM_UNKNOWN_OUTCOME || rc == LAM_READ_ONLY;
    if (dead && s->db)
        (void)script_close(s);
    if (script_open(s) != LAM_OK)
        return wrong(s, step, "does not open after it");
    bool either = rc == LAM_UNKNOWN_OUTCOME || script_step_marked(s->part, step);
    /* What cannot be told apart is done: to do it again may find that. */
    *done_out = either && shows(s, p->seen[step]);
    return *done_out || shows(s, before) || wrong(s, step, "shows something else after it");
}

/* One call fails, or all from one on until a step has failed; the workload goes on as an
 * application would. */
static bool run_with_error(enum script_part part) {
    const struct plan *p = &plans[part];
    struct script s;
    bool told = false;
    unsigned before = open_descriptors();
    begin(part, &s);
    for (unsigned step = 0; step < p->steps; step++) {
        enum lam_code rc = script_step(&s, step);
        if (rc == LAM_OK && !shows(&s, p->seen[step]))
            return wrong(&s, step, "shows something else");
        if (rc == LAM_OK)
            continue;
        told = true;
        if (lib.fired == 0 || !error_fits(&s, rc)) {
            printf("%s, errno %d: ", lam_code_name(rc), s.err.os_errno);
            return wrong(&s, step, "an error that is not the injected one");
        }
        if (lib.sticky)
            lib.nth = 0;
        bool done;
        if (!settle(&s, p, step, rc, &done))
            return false;
        rc = done ? LAM_OK : script_step(&s, step);
        if (rc == LAM_READ_ONLY && settle(&s, p, step, rc, &done))
            rc = script_step(&s, step);
        if (rc != LAM_OK)
            return wrong(&s, step, "fails when tried again");
    }
    uint64_t fired = lib.fired;
    told = script_close(&s) != LAM_OK || told;
    lib.on = false;
    if (fired == 0)
        return wrong(&s, 0, "the call was not reached");
    /* What lies in the system's memory looks right until the power goes: most failed syncs must be
     * told of. The others are of background work, which is done again to other files. */
    if (told)
        atomic_fetch_add(&tally->told[lib.fails], 1);
    if (script_open(&s) != LAM_OK || !shows(&s, p->seen[p->steps - 1]))
        return wrong(&s, p->steps - 1, "shows something else at the end");
    if (script_close(&s) != LAM_OK || !script_check_files(&s))
        return wrong(&s, p->steps - 1, "is not whole at the end");
    if (s.leaked || lib.closed_twice || open_descriptors() != before)
        return wrong(&s, p->steps - 1, "leaks, or closes twice");
    return true;
}

/* --- children and gates --------------------------------------------------------------------- */

enum gate { GATE_SHORT, GATE_INTERRUPTED, GATE_ERRORS, GATE_THREADS, GATES };
static uint64_t run[GATES], failed[GATES];

static void in_child(enum gate gate, bool (*fn)(enum script_part), enum script_part part,
                     const char *name) {
    if (o.only && strcmp(o.only, name) != 0)
        return;
    fflush(stdout);
    run[gate]++;
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        alarm(300);
        snprintf(path, sizeof path, "%s/db", base);
        bool holds = fn(part);
        fflush(stdout);
        gate_child_exit(holds ? 0 : 1);
    }
    if (gate_child_held(pid, true))
        return;
    if (failed[gate]++ < 10) {
        printf("FAILED %s\n", name);
        gate_replay("make sim-programs && build/release/fault/posix --seed 0x%" PRIx64
                    " --only \"%s\"%s",
                    o.seed, name, o.long_run ? " --long" : "");
    }
}

static bool short_run(enum script_part part) {
    return run_plainly(part, false);
}

static const char *const part_names[SCRIPT_PARTS] = {"engine", "sql"};

/* Transfers cut short, calls interrupted, and both. */
static void short_transfers(void) {
    for (int part = 0; part < SCRIPT_PARTS; part++)
        for (uint64_t i = 0; i < (o.long_run ? 30 : 3); i++) {
            char name[64];
            lib.short_transfers = i % 3 != 1;
            lib.interrupts = i % 3 != 0;
            lib.plain = i % 3 != 2;
            lib.deterministic = true;
            snprintf(name, sizeof name, "%s %s %" PRIu64,
                     lib.short_transfers ? "short" : "interrupted", part_names[part], i);
            rng_init(&lib.rng, o.seed * 1000 + i);
            in_child(lib.short_transfers ? GATE_SHORT : GATE_INTERRUPTED, short_run,
                     (enum script_part)part, name);
            be_real();
        }
}

static const struct error {
    enum call call;
    int number;
} errors[] = {
    {CALL_OPEN, EMFILE},     {CALL_OPEN, ENFILE},
    {CALL_OPEN, EIO},        {CALL_OPEN, EACCES},
    {CALL_OPEN, ENOMEM},     {CALL_READ, EIO},
    {CALL_WRITE, EIO},       {CALL_WRITE, ENOSPC},
    {CALL_WRITE, EDQUOT},    {CALL_WRITE, EFBIG},
    {CALL_WRITE, 0},         {CALL_SYNC, EIO},
    {CALL_SYNC, ENOSPC},     {CALL_SYNC, EDQUOT},
    {CALL_SYNC_DIR, EIO},    {CALL_SYNC_DIR, EDQUOT},
    {CALL_TRUNCATE, EIO},    {CALL_ALLOCATE, ENOSPC},
    {CALL_ALLOCATE, EIO},    {CALL_ALLOCATE, EOPNOTSUPP},
    {CALL_STAT, EIO},        {CALL_LOOK, EIO},
    {CALL_LOOK, EACCES},     {CALL_RENAME, EIO},
    {CALL_RENAME, ENOSPC},   {CALL_REMOVE, EIO},
    {CALL_REMOVE, EACCES},   {CALL_MKDIR, ENOSPC},
    {CALL_MKDIR, EIO},       {CALL_OPEN_DIR, ENOMEM},
    {CALL_READ_DIR, EIO},    {CALL_LOCK, ENOLCK},
    {CALL_LOCK_DIR, ENOLCK}, {CALL_CLOSE, EIO},
    {CALL_CLOSE, EINTR},     {CALL_STATFS, EIO},
    {CALL_MAP, ENOMEM},      {CALL_ADVISE, ENOMEM},
    {CALL_ADVISE, EINVAL},   {CALL_ADVISE, EFAULT},
};

/* At calls spread evenly over the workload, other ones for another seed; once and from then on.
 * With mapped logs and plain ones by turns. */
static void fail_samples(enum script_part part, const struct error *e, bool sticky, uint64_t most) {
    for (uint64_t i = 0; i < most; i++) {
        char name[64];
        bool maps = e->call == CALL_MAP || e->call == CALL_ADVISE;
        lib.plain = !maps && (i + sticky) % 2;
        uint64_t count = plans[part].counts[lib.plain][e->call];
        lib.deterministic = true;
        lib.fails = e->call;
        lib.number = e->number;
        lib.sticky = sticky;
        lib.nth = 1 + (count * i / most + o.seed % count) % count;
        snprintf(name, sizeof name, "%s %s %" PRIu64 " errno %d%s%s", part_names[part],
                 call_names[e->call], lib.nth, e->number, sticky ? " and later" : "",
                 lib.plain ? " plain" : "");
        in_child(GATE_ERRORS, run_with_error, part, name);
        be_real();
    }
}

static void system_errors(void) {
    for (int part = 0; part < SCRIPT_PARTS; part++)
        for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
            for (int sticky = 0; sticky < 2; sticky++) {
                uint64_t samples = part == SCRIPT_SQL ? 1 : 4 - 2 * (uint64_t)sticky;
                fail_samples((enum script_part)part, &errors[e], sticky,
                             o.long_run ? 8 * samples : samples);
            }
}

/* With threads of the executor, all the time. */
static bool threads_run(enum script_part part) {
    struct script s;
    const struct plan *p = &plans[part];
    begin(part, &s);
    s.background = true;
    for (unsigned step = 0; step < p->steps; step++) {
        if (script_step(&s, step) != LAM_OK)
            return wrong(&s, step, "fails");
        if (!shows(&s, p->seen[step]))
            return wrong(&s, step, "shows something else");
    }
    if (script_close(&s) != LAM_OK)
        return wrong(&s, p->steps - 1, "close fails");
    if (lib.nth && lib.seen[CALL_THREAD] < lib.nth)
        return wrong(&s, 0, "no such thread is started");
    lib.on = false;
    if (!script_check_files(&s))
        return false;
    /* A thread that starts frees a block at a time of its own. */
    return s.leaked == 0 || lib.nth != 1 || !lib.sticky;
}

static void thread_creation(void) {
    for (int part = 0; part < SCRIPT_PARTS; part++)
        for (uint64_t nth = 0; nth <= 4; nth++)
            for (int sticky = 0; sticky <= (nth > 0); sticky++) {
                char name[64];
                /* Dump, compaction and log; flush policies, too. */
                if (nth > (part == SCRIPT_SQL ? 4 : 3))
                    continue;
                snprintf(name, sizeof name, "%s without thread %" PRIu64 "%s", part_names[part],
                         nth, sticky ? " and later" : "");
                lib.fails = CALL_THREAD;
                lib.number = EAGAIN;
                lib.nth = nth;
                lib.sticky = sticky;
                in_child(GATE_THREADS, threads_run, (enum script_part)part, name);
                be_real();
            }
}

static void parse(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--long") == 0)
            o.long_run = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            o.seed = strtoull(argv[++i], NULL, 16);
        else if (i + 1 < argc && strcmp(argv[i], "--only") == 0)
            o.only = argv[++i];
        else
            fprintf(stderr, "posix: %s is unknown\n", argv[i]), exit(2);
    }
}

/* Of what the workload gives today, somewhat less: one that shrinks without a word is noticed. A
 * replay of one trial has nothing to reach. */
static uint64_t at_least(uint64_t fast, uint64_t long_run) {
    return o.only ? 0 : o.long_run ? long_run : fast;
}

static bool report(void) {
    uint64_t signals = 0, fired = 0;
    for (int i = 0; i < CALLS; i++) {
        signals += tally->interrupted[i] > 0;
        fired += tally->fired[i] > 0;
    }
    bool ok = gate_report("transfers cut short", at_least(50000, 500000), tally->shortened,
                          failed[GATE_SHORT], o.seed);
    /* open, pread, pwrite, fdatasync, fsync, ftruncate, fallocate, getrandom, madvise */
    ok &= gate_report("calls interrupted by signals, of 9", at_least(9, 9), signals,
                      failed[GATE_INTERRUPTED], o.seed);
    /* All but getrandom. */
    ok &= gate_report("calls of the system failed, of 21", at_least(21, 21), fired, 0, o.seed);
    ok &= gate_report("failures of system calls", at_least(260, 1900), run[GATE_ERRORS],
                      failed[GATE_ERRORS], o.seed);
    ok &= gate_report("failed syncs of files told of", at_least(18, 150), tally->told[CALL_SYNC], 0,
                      o.seed);
    ok &= gate_report("failed syncs of directories told of", at_least(12, 90),
                      tally->told[CALL_SYNC_DIR], 0, o.seed);
    ok &= gate_report("threads not to be had", at_least(60, 60), tally->fired[CALL_THREAD],
                      failed[GATE_THREADS], o.seed);
    return ok;
}

static struct tally *shared_tally(void) {
    void *at =
        mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        abort();
    return at;
}

int main(int argc, char **argv) {
    const char *tmp = getenv("TMPDIR");
    bool ok = true;
    parse(argc, argv);
    tally = shared_tally();
    snprintf(base, sizeof base, "%s/lamina-posix-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(base))
        abort();
    snprintf(path, sizeof path, "%s/db", base);
    heap_install(0xA5);
    for (int part = 0; part < SCRIPT_PARTS && ok; part++) {
        lib.deterministic = true;
        ok = run_plainly((enum script_part)part, true);
        lib.plain = true;
        ok = ok && run_plainly((enum script_part)part, true);
        be_real();
    }
    if (ok) {
        short_transfers();
        system_errors();
        thread_creation();
    }
    remove_tree(base);
    return report() && ok ? 0 : 1;
}
