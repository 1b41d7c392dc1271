/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest in somebody's process: signals, standard streams and the environment are the host's. */
#include <dirent.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tests/process/process.h"

/* Everything that starts our threads and gives them work. */
static void work(const char *path) {
    lam_db *db = open_db(path);
    fill_db(db);
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    exec(s, "STORAGE FLUSH ALL");
    exec(s, "CREATE USER 'guest' WITH PASSWORD 'long enough' ROLE 'user'");
    ck_code(exec_code(s, "SELECT nothing FROM nowhere"), LAM_SQL);
    ck_code(exec_code(s, "SELECT 1 / 0"), LAM_SQL);
    ck_ok(lam_session_close(s, &err), &err);
    ck_assert(filled_db_is_whole(db));
    check_db(db);
    close_db(db);
}

/* --- signals -------------------------------------------------------------------------------- */

/* What /proc says of a thread's blocked signals; of those, KILL and STOP can't be. */
static uint64_t blocked_of(const char *tid) {
    char name[100], line[200];
    unsigned long long blocked = 0;
    snprintf(name, sizeof name, "/proc/self/task/%.20s/status", tid);
    FILE *f = fopen(name, "r");
    ck_assert_msg(f != NULL, "%s", name);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
            break;
    fclose(f);
    return blocked;
}

START_TEST(our_threads_block_every_signal) {
    lam_db *db = open_db(at("db"));
    fill_db(db);
    /* Writes in the background until a lane has its thread. */
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    size_t ours = 0;
    for (int i = 0; i < 1000000 && ours == 0; i++) {
        char sql[3100];
        snprintf(sql, sizeof sql, "INSERT INTO app.s VALUES (%d, 1, '%03000d')", 800000 + i, i);
        exec(s, sql);
        DIR *dir = i % 100 == 99 ? opendir("/proc/self/task") : NULL;
        for (struct dirent *e; dir && (e = readdir(dir));) {
            if (e->d_name[0] == '.' || atol(e->d_name) == syscall(SYS_gettid))
                continue;
            ours++;
            /* All of 1 to 64 but KILL, STOP and the C library's own two. */
            ck_assert_uint_eq(blocked_of(e->d_name) | 0x180000000u | 1u << 8 | 1u << 18,
                              UINT64_MAX);
        }
        if (dir)
            closedir(dir);
    }
    ck_assert_uint_gt(ours, 0);
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

START_TEST(no_disposition_and_no_mask_of_the_host_changes) {
    struct sigaction before[65], after;
    sigset_t mask, mask_after;
    for (int sig = 1; sig <= 64; sig++)
        if (sigaction(sig, NULL, &before[sig]) != 0)
            before[sig].sa_handler = SIG_ERR;
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    work(at("db"));
    for (int sig = 1; sig <= 64; sig++)
        if (before[sig].sa_handler != SIG_ERR) {
            ck_assert_int_eq(sigaction(sig, NULL, &after), 0);
            ck_assert_msg(after.sa_handler == before[sig].sa_handler, "signal %d", sig);
        }
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask_after), 0);
    for (int sig = 1; sig <= 64; sig++)
        ck_assert_int_eq(sigismember(&mask, sig), sigismember(&mask_after, sig));
}
END_TEST

static _Atomic unsigned interruptions;
static void note_interruption(int sig) {
    (void)sig;
    interruptions++;
}

/* System calls that a signal interrupts are taken up again. */
START_TEST(a_storm_of_signals_disturbs_nothing) {
    struct sigaction action = {.sa_handler = note_interruption}; /* without SA_RESTART */
    struct itimerval often = {{0, 300}, {0, 300}}, never = {0};
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    work(at("db"));
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    ck_assert_uint_gt(interruptions, 0);
}
END_TEST

/* --- standard streams and environment ------------------------------------------------------- */

static int work_without_streams(void *arg) {
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    work(arg);
    /* Nor did a file take their place. */
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 10 + fd;
    return 0;
}

START_TEST(works_without_standard_streams_and_leaves_their_numbers_free) {
    ck_assert_int_eq(in_child(work_without_streams, (void *)at("db")), 0);
}
END_TEST

static int work_noting_output(void *arg) {
    int fd = open(at("output"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || dup2(fd, 1) != 1 || dup2(fd, 2) != 2)
        return 1;
    work(arg);
    return lseek(fd, 0, SEEK_END) == 0 ? 0 : 2;
}

START_TEST(writes_nothing_to_the_standard_streams) {
    ck_assert_int_eq(in_child(work_noting_output, (void *)at("db")), 0);
}
END_TEST

/* An empty environment, and one with odd values of what libraries like to read. */
static int work_in_environment(void *arg) {
    const bool *odd = arg;
    clearenv();
    if (*odd) {
        setenv("TMPDIR", "/nonexistent", 1);
        setenv("TZ", ":/etc/passwd", 1);
        setenv("LC_ALL", "tr_TR.UTF-8", 1);
        setenv("HOME", "/nonexistent", 1);
        setenv("LAMINA_DEBUG", "1", 1);
    }
    work(at(*odd ? "odd" : "empty"));
    return 0;
}

START_TEST(works_alike_in_any_environment) {
    test_dir();
    ck_assert_int_eq(in_child(work_in_environment, &(bool){false}), 0);
    ck_assert_int_eq(in_child(work_in_environment, &(bool){true}), 0);
}
END_TEST

/* --- descriptors ---------------------------------------------------------------------------- */

START_TEST(descriptors_close_at_exec_and_with_the_database) {
    size_t before = 0, within = 0;
    for (int fd = 0; fd < 1000; fd++)
        before += fcntl(fd, F_GETFD) >= 0;
    lam_db *db = open_db(at("db"));
    fill_db(db);
    ck_assert(filled_db_is_whole(db));
    for (int fd = 3; fd < 1000; fd++) {
        struct stat st;
        int flags = fcntl(fd, F_GETFD);
        char name[50], target[PATH_MAX];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(name, target, sizeof target - 1);
        if (flags < 0 || size < 0 || fstat(fd, &st) != 0)
            continue;
        target[size] = 0;
        if (strncmp(target, test_dir(), strlen(test_dir())) != 0)
            continue;
        within++;
        ck_assert_msg(flags & FD_CLOEXEC, "%s stays open over exec", target);
    }
    ck_assert_uint_gt(within, 3);
    close_db(db);
    size_t after = 0;
    for (int fd = 0; fd < 1000; fd++)
        after += fcntl(fd, F_GETFD) >= 0;
    ck_assert_uint_eq(after, before);
}
END_TEST

TEST_MAIN("process/signals", our_threads_block_every_signal,
          no_disposition_and_no_mask_of_the_host_changes, a_storm_of_signals_disturbs_nothing,
          works_without_standard_streams_and_leaves_their_numbers_free,
          writes_nothing_to_the_standard_streams, works_alike_in_any_environment,
          descriptors_close_at_exec_and_with_the_database)
