/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"

extern char **environ;

/* The program's own definitions come before the C library's, for every library it uses: so syncs
 * are counted where they are asked for, whoever asks. */
#define EXPORTED __attribute__((visibility("default")))
static atomic_ullong syncs;

EXPORTED int fsync(int fd) {
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd) {
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

EXPORTED int msync(void *p, size_t size, int flags) {
    atomic_fetch_add(&syncs, (flags & MS_SYNC) != 0);
    return (int)syscall(SYS_msync, p, size, flags);
}

static uint64_t proc_number(const char *path, const char *name) {
    FILE *f = fopen(path, "r");
    char line[256];
    unsigned long long n = 0;
    size_t length = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, length) == 0 && sscanf(line + length, " %llu", &n) == 1)
            break;
    if (f)
        fclose(f);
    return n;
}

struct usage usage_now(void) {
    return (struct usage){
        .wall_ns = now_ns(),
        .cpu_ns = cpu_ns(),
        .written_bytes = proc_number("/proc/self/io", "write_bytes:"),
        .read_bytes = proc_number("/proc/self/io", "read_bytes:"),
        .syncs = atomic_load(&syncs),
    };
}

uint64_t peak_rss(void) {
    return proc_number("/proc/self/status", "VmHWM:") * 1024;
}

uint64_t anonymous_rss(void) {
    return proc_number("/proc/self/status", "RssAnon:") * 1024;
}

void reset_peak_rss(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f)
        return;
    fputs("5", f);
    fclose(f);
}

double load_average(void) {
    double load = 0;
    return getloadavg(&load, 1) == 1 ? load : 0;
}

/* Whether a thread other than the caller is running, about to, or in the disk. */
static bool others_busy(void) {
    DIR *d = opendir("/proc/self/task");
    bool busy = false;
    struct dirent *entry;
    while (d && !busy && (entry = readdir(d))) {
        char path[300], state = 'S';
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)syscall(SYS_gettid))
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 'S';
        if (f)
            fclose(f);
        busy = state == 'R' || state == 'D';
    }
    if (d)
        closedir(d);
    return busy;
}

void settle(uint64_t limit_ns) {
    uint64_t deadline = now_ns() + limit_ns;
    for (int quiet = 0; quiet < 5 && now_ns() < deadline;) {
        uint64_t cpu = cpu_ns();
        usleep(10000);
        quiet = !others_busy() && cpu_ns() - cpu < 2000000 ? quiet + 1 : 0;
    }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_tree(const char *path) {
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t disk_sum;

static int add_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)path;
    (void)ftw;
    if (type == FTW_F)
        disk_sum += (uint64_t)st->st_blocks * 512;
    return 0;
}

uint64_t disk_bytes(const char *path) {
    disk_sum = 0;
    nftw(path, add_entry, 16, FTW_PHYS);
    return disk_sum;
}

static int drop_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)ftw;
    int fd = type == FTW_F ? open(path, O_RDONLY) : -1;
    if (fd < 0)
        return 0;
    syscall(SYS_fdatasync, fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

void drop_page_cache(const char *path) {
    nftw(path, drop_entry, 16, FTW_PHYS);
}

/* --- a limited page cache --- */

#define SYS_CACHESTAT 451 /* Linux 6.5 */
#define DROP_BYTES    ((off_t)256 << 10)

static uint64_t cached_bytes;
static double drop_share;

static int each_cached(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    struct {
        uint64_t from, size;
    } all = {0, 0};
    uint64_t pages[5]; /* cached, dirty, in writeback, evicted, evicted of late */
    (void)ftw;
    int fd = type == FTW_F ? open(path, O_RDONLY) : -1;
    if (fd < 0)
        return 0;
    if (drop_share > 0) {
        for (off_t at = 0; at < st->st_size; at += DROP_BYTES)
            if (drand48() < drop_share)
                posix_fadvise(fd, at, DROP_BYTES, POSIX_FADV_DONTNEED);
    } else if (syscall(SYS_CACHESTAT, fd, &all, pages, 0) == 0) {
        cached_bytes += pages[0] * (uint64_t)sysconf(_SC_PAGESIZE);
    } else {
        fatal("the size of the page cache is unknown: cachestat came with Linux 6.5");
    }
    close(fd);
    return 0;
}

static void keep_limit(const char *path, size_t bytes) {
    for (;; usleep(5000)) {
        cached_bytes = 0;
        drop_share = 0;
        nftw(path, each_cached, 16, FTW_PHYS);
        if (cached_bytes <= bytes)
            continue;
        drop_share = 1 - (double)bytes / (double)cached_bytes;
        nftw(path, each_cached, 16, FTW_PHYS);
    }
}

int page_limit_begin(const char *path, size_t bytes) {
    pid_t pid = fork();
    if (pid < 0)
        fatal("cannot start another process");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        keep_limit(path, bytes);
    }
    return pid;
}

void page_limit_end(int process) {
    int status;
    if (kill(process, SIGKILL) != 0 || waitpid(process, &status, 0) != process ||
        !WIFSIGNALED(status))
        fatal("the page cache was not limited all the time");
}

int run_self(const char *const *arguments) {
    const char *argv[32] = {"lamina-bench"};
    pid_t pid;
    int status;
    for (int i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, (char **)argv, environ) != 0)
        fatal("cannot run this program again");
    if (waitpid(pid, &status, 0) != pid)
        fatal("cannot wait for a child");
    return status;
}
