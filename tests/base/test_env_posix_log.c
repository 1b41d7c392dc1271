/* SPDX-License-Identifier: Apache-2.0
 *
 * Logs written through a mapped window and by pwrite: the same bytes, whatever the system refuses.
 * This program defines the calls by which base/env_posix_log.c maps (a program's symbols come
 * before the library's), so what the file system under the tests is does not matter. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "base/rng.h"
#include "tests/support/test.h"

#define LOG_BYTES (3u << 20)
#define MARGIN    100000u /* written behind the reserved range */
#define POPULATE  23      /* MADV_POPULATE_WRITE */

enum { MAGIC_EXT4 = 0xEF53, MAGIC_BTRFS = (int)0x9123683E };

/* What the system says. */
static struct {
    int magic;
    int fstatfs_errno, mmap_errno, madvise_errno, fallocate_errno; /* 0: it does what it is asked */
    unsigned refuse_from; /* the first so many calls of mmap and madvise succeed */
    unsigned maps, populates;
} sys;

int fstatfs(int fd, struct statfs *out) {
    if (sys.fstatfs_errno) {
        errno = sys.fstatfs_errno;
        return -1;
    }
    int rc = (int)syscall(SYS_fstatfs, fd, out);
    out->f_type = sys.magic;
    return rc;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && ++sys.maps > sys.refuse_from && sys.mmap_errno) {
        errno = sys.mmap_errno;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

int madvise(void *at, size_t size, int advice) {
    if (advice == POPULATE && ++sys.populates > sys.refuse_from && sys.madvise_errno) {
        errno = sys.madvise_errno;
        return -1;
    }
    return (int)syscall(SYS_madvise, at, size, advice);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
    errno = sys.fallocate_errno;
    return sys.fallocate_errno ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

static struct lam_error err;
static lam_env *env;

static const char *at(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static void start(int magic) {
    env = lam_env_posix();
    memset(&sys, 0, sizeof sys);
    sys.magic = magic;
}

static lam_file *make_log(const char *name, unsigned flags) {
    lam_file *f = NULL;
    flags |= LAM_OPEN_WRITE | LAM_OPEN_CREATE;
    ck_ok(env_file_open(env, at(name), flags, &f, &err), &err);
    ck_ok(env_file_allocate(f, LOG_BYTES, &err), &err);
    return f;
}

/* Most records are of a log's usual size; some are large. */
static size_t draw_size(struct rng *r) {
    switch (rng_below(r, 20)) {
    case 0:
        return (size_t)rng_below(r, 70000);
    case 1:
        return 8190 + (size_t)rng_below(r, 5);
    default:
        return (size_t)rng_below(r, 400);
    }
}

/* Writes front to back past the reserved range, going back now and then, with syncs; compares the
 * file with what was written, meanwhile and at the end. `expected` has LOG_BYTES + MARGIN. */
static void write_log(lam_file *f, uint64_t seed, uint8_t *expected) {
    static uint8_t record[70000], seen[LOG_BYTES + MARGIN];
    struct rng r;
    size_t got = 0;
    uint64_t end = 0;
    rng_init(&r, seed);
    memset(expected, 0, LOG_BYTES + MARGIN);
    for (unsigned i = 0; end < LOG_BYTES + MARGIN / 2; i++) {
        size_t size = draw_size(&r);
        if (end + size > LOG_BYTES + MARGIN)
            break;
        uint64_t offset = end;
        if (rng_below(&r, 50) == 0)
            offset = end - rng_below(&r, end < 200000 ? end + 1 : 200000);
        for (size_t k = 0; k < size; k++)
            record[k] = (uint8_t)rng_next(&r);
        ck_ok(env_file_write(f, offset, record, size, &err), &err);
        memcpy(expected + offset, record, size);
        end = offset + size > end ? offset + size : end;
        if (rng_below(&r, 100) == 0)
            ck_ok(env_file_sync(f, &err), &err);
        if (rng_below(&r, 200) == 0) {
            ck_ok(env_file_read(f, 0, seen, end, &got, &err), &err);
            ck_assert_uint_eq(got, end);
            ck_assert_msg(memcmp(seen, expected, end) == 0, "seed %llx, write %u",
                          (unsigned long long)seed, i);
        }
    }
    ck_ok(env_file_read(f, 0, seen, sizeof seen, &got, &err), &err);
    ck_assert_uint_eq(got, end > LOG_BYTES ? end : LOG_BYTES);
    ck_assert(memcmp(seen, expected, got) == 0);
}

static struct buf bytes_of(const char *name) {
    struct buf b = {0};
    ck_ok(env_read_file(env, at(name), 1u << 30, &b, &err), &err);
    return b;
}

/* Mappings of the file in this process: their bytes together. */
static size_t mapped_bytes(const char *name) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1000];
    size_t total = 0;
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long from, to;
        if (strstr(line, name) && sscanf(line, "%llx-%llx", &from, &to) == 2)
            total += (size_t)(to - from);
    }
    fclose(maps);
    return total;
}

static uint8_t expected[LOG_BYTES + MARGIN];

START_TEST(mapped_and_plain_logs_hold_the_same_bytes) {
    uint64_t seed = test_seed("mapped_and_plain_logs_hold_the_same_bytes");
    start(MAGIC_EXT4);
    lam_file *f = make_log("mapped", LAM_OPEN_LOG);
    write_log(f, seed, expected);
    ck_assert_uint_ge(sys.maps, 3);
    ck_ok(env_file_close(f, &err), &err);
    start(MAGIC_BTRFS);
    f = make_log("plain", LAM_OPEN_LOG);
    write_log(f, seed, expected);
    ck_assert_uint_eq(sys.maps, 0);
    ck_ok(env_file_close(f, &err), &err);
    struct buf mapped = bytes_of("mapped"), plain = bytes_of("plain");
    ck_assert_uint_eq(mapped.size, plain.size);
    ck_assert(memcmp(mapped.data, plain.data, plain.size) == 0);
    buf_fini(&mapped);
    buf_fini(&plain);
}
END_TEST

START_TEST(recycled_bytes_are_written_over) {
    start(MAGIC_EXT4);
    lam_file *f = make_log("f", LAM_OPEN_LOG);
    write_log(f, 1, expected);
    ck_ok(env_file_close(f, &err), &err);
    sys.maps = 0;
    f = make_log("f", LAM_OPEN_LOG);
    static uint8_t old[LOG_BYTES];
    memcpy(old, expected, sizeof old);
    ck_ok(env_file_write(f, 5, "over", 4, &err), &err);
    memcpy(old + 5, "over", 4);
    ck_assert_uint_eq(sys.maps, 1);
    ck_ok(env_file_close(f, &err), &err);
    struct buf b = bytes_of("f");
    ck_assert(memcmp(b.data, old, sizeof old) == 0);
    buf_fini(&b);
}
END_TEST

START_TEST(only_logs_with_reserved_blocks_are_mapped) {
    start(MAGIC_EXT4);
    lam_file *f = make_log("f", 0);
    write_log(f, 2, expected);
    ck_assert_uint_eq(sys.maps, 0);
    ck_ok(env_file_close(f, &err), &err);
    sys.fallocate_errno = EOPNOTSUPP;
    f = make_log("g", LAM_OPEN_LOG);
    write_log(f, 2, expected);
    ck_assert_uint_eq(sys.maps, 0);
    ck_ok(env_file_close(f, &err), &err);
    sys.fallocate_errno = 0;
    sys.fstatfs_errno = EIO;
    f = make_log("h", LAM_OPEN_LOG);
    write_log(f, 2, expected);
    ck_assert_uint_eq(sys.maps, 0);
    ck_ok(env_file_close(f, &err), &err);
}
END_TEST

/* At the first call and at later ones, in the middle of the log. */
START_TEST(refused_mapping_is_no_error) {
    static const int numbers[] = {ENOMEM, EINVAL, EFAULT, EIO, EAGAIN};
    for (unsigned i = 0; i < 5; i++)
        for (unsigned from = 0; from < 4; from++) {
            start(MAGIC_EXT4);
            sys.refuse_from = from;
            sys.madvise_errno = i > 0 ? numbers[i] : 0;
            sys.mmap_errno = i == 0 ? ENOMEM : 0;
            lam_file *f = make_log("f", LAM_OPEN_LOG);
            write_log(f, 10 * i + from, expected);
            ck_assert_uint_eq(i > 0 ? sys.populates : sys.maps, from + 1);
            ck_assert_uint_eq(mapped_bytes("/f"), 0);
            ck_ok(env_file_close(f, &err), &err);
            ck_ok(env_file_remove(env, at("f"), &err), &err);
        }
}
END_TEST

START_TEST(window_is_bounded_and_goes_with_the_file) {
    start(MAGIC_EXT4);
    lam_file *f = make_log("windowed", LAM_OPEN_LOG);
    uint8_t record[100] = {1};
    size_t most = 0;
    for (uint64_t offset = 0; offset + 100 <= LOG_BYTES; offset += 100) {
        ck_ok(env_file_write(f, offset, record, 100, &err), &err);
        if (offset % 100000 == 0) {
            size_t now = mapped_bytes("/windowed");
            most = now > most ? now : most;
        }
    }
    ck_assert_uint_gt(most, 0);
    ck_assert_uint_le(most, 1u << 20);
    ck_ok(env_file_close(f, &err), &err);
    ck_assert_uint_eq(mapped_bytes("/windowed"), 0);
}
END_TEST

/* A sync takes the pages' leave back: the kernel is asked again, and may say no. */
START_TEST(pages_are_asked_for_again_after_a_sync) {
    start(MAGIC_EXT4);
    lam_file *f = make_log("f", LAM_OPEN_LOG);
    ck_ok(env_file_write(f, 0, "one ", 4, &err), &err);
    ck_ok(env_file_write(f, 4, "two ", 4, &err), &err);
    ck_assert_uint_eq(sys.populates, 1);
    ck_ok(env_file_sync(f, &err), &err);
    ck_ok(env_file_write(f, 8, "three ", 6, &err), &err);
    ck_assert_uint_eq(sys.populates, 2);
    ck_ok(env_file_sync(f, &err), &err);
    sys.madvise_errno = EIO;
    ck_ok(env_file_write(f, 14, "four", 4, &err), &err);
    ck_assert_uint_eq(sys.populates, 3);
    ck_assert_uint_eq(mapped_bytes("/f"), 0);
    ck_ok(env_file_close(f, &err), &err);
    struct buf b = bytes_of("f");
    ck_assert(memcmp(b.data, "one two three four", 18) == 0);
    buf_fini(&b);
}
END_TEST

START_TEST(truncated_log_is_written_plainly) {
    start(MAGIC_EXT4);
    lam_file *f = make_log("f", LAM_OPEN_LOG);
    ck_ok(env_file_write(f, 8000, "before", 6, &err), &err);
    ck_ok(env_file_truncate(f, 100, &err), &err);
    ck_assert_uint_eq(mapped_bytes("/f"), 0);
    ck_ok(env_file_write(f, 8000, "after", 5, &err), &err);
    uint64_t size = 0;
    ck_ok(env_file_size(f, &size, &err), &err);
    ck_assert_uint_eq(size, 8005);
    ck_ok(env_file_close(f, &err), &err);
}
END_TEST

/* Cut by somebody else, who may do so: what the kernel says is a plain write, not a signal. */
START_TEST(log_cut_by_another_process_does_not_kill_at_the_next_page) {
    start(MAGIC_EXT4);
    lam_file *f = make_log("f", LAM_OPEN_LOG);
    ck_ok(env_file_write(f, 0, "first", 5, &err), &err);
    ck_assert_int_eq(truncate(at("f"), 4096), 0);
    ck_ok(env_file_write(f, 500000, "later", 5, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    struct buf b = bytes_of("f");
    ck_assert_uint_eq(b.size, 500005);
    ck_assert(memcmp(b.data + 500000, "later", 5) == 0);
    buf_fini(&b);
}
END_TEST

/* Writes numbers and tells each one through the pipe when it is written. */
static void write_until_killed(int told) {
    lam_file *f = make_log("f", LAM_OPEN_LOG);
    for (uint64_t i = 1; i <= LOG_BYTES / 8; i++) {
        if (env_file_write(f, (i - 1) * 8, &i, 8, NULL) != LAM_OK)
            _exit(1);
        if (i % 1000 == 0 && write(told, &i, sizeof i) != sizeof i)
            _exit(1);
    }
    pause();
}

START_TEST(written_bytes_outlive_a_killed_process) {
    start(MAGIC_EXT4);
    int ends[2], status;
    (void)test_dir(); /* the parent's */
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        write_until_killed(ends[1]);
    uint64_t told = 0;
    while (told < 40000)
        ck_assert_int_eq(read(ends[0], &told, sizeof told), sizeof told);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    struct buf b = bytes_of("f");
    for (uint64_t i = 1; i <= told; i++) {
        uint64_t number;
        memcpy(&number, b.data + (i - 1) * 8, 8);
        ck_assert_uint_eq(number, i);
    }
    buf_fini(&b);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

TEST_MAIN("base/env_posix_log", mapped_and_plain_logs_hold_the_same_bytes,
          recycled_bytes_are_written_over, only_logs_with_reserved_blocks_are_mapped,
          refused_mapping_is_no_error, window_is_bounded_and_goes_with_the_file,
          pages_are_asked_for_again_after_a_sync, truncated_log_is_written_plainly,
          log_cut_by_another_process_does_not_kill_at_the_next_page,
          written_bytes_outlive_a_killed_process)
