/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may open a database: one at a time, whoever else tries, by whatever path, and whatever became
 * of the lock file. */
#include <sys/syscall.h>

#include "tests/process/process.h"

#define PROCESSES 5
#define THREADS   10
#define RACERS    (PROCESSES * THREADS)
#define RACES     20

static struct race {
    pthread_barrier_t start;
    _Atomic unsigned opened, busy, other, settled;
    char paths[4][PATH_MAX];
} * race;

/* The winner keeps it open until all have an answer, then counts the races in it. */
static void win(lam_db *db) {
    lam_session *s;
    atomic_fetch_add(&race->settled, 1);
    while (atomic_load(&race->settled) < RACERS)
        sched_yield();
    child_check(lam_session_open(db, "root", LAM_ROLE_SYSTEM, &s, &err) == LAM_OK);
    child_check(exec_code(s, "UPDATE races SET n = n + 1 WHERE id = 1") == LAM_OK);
    child_check(lam_session_close(s, &err) == LAM_OK);
    child_check(lam_db_close(db, &err) == LAM_OK);
}

static void *run_racer(void *arg) {
    size_t path = (size_t)arg % 4;
    lam_db *db = NULL;
    pthread_barrier_wait(&race->start);
    enum lam_code rc = lam_db_open(race->paths[path], NULL, &db, NULL);
    if (rc == LAM_OK) {
        atomic_fetch_add(&race->opened, 1);
        win(db);
        return NULL;
    }
    atomic_fetch_add(rc == LAM_BUSY ? &race->busy : &race->other, 1);
    atomic_fetch_add(&race->settled, 1);
    return NULL;
}

static void run_process(size_t number) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        child_check(pthread_create(&threads[i], NULL, run_racer, (void *)(number + i)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        child_check(pthread_join(threads[i], NULL) == 0);
    _exit(0);
}

static void run_race(void) {
    pthread_barrierattr_t attr;
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    ck_assert_int_eq(pthread_barrier_init(&race->start, &attr, RACERS), 0);
    race->opened = race->busy = race->other = race->settled = 0;
    pid_t children[PROCESSES];
    for (size_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            run_process(i);
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(race->opened, 1);
    ck_assert_uint_eq(race->busy, RACERS - 1);
    ck_assert_uint_eq(race->other, 0);
}

START_TEST(of_fifty_openers_one_wins_and_the_others_are_busy) {
    race = shared_memory(sizeof *race);
    char base[PATH_MAX];
    snprintf(base, sizeof base, "%.3000s", test_dir());
    snprintf(race->paths[0], PATH_MAX, "%.3000s/db", base);
    snprintf(race->paths[1], PATH_MAX, "%.3000s/link", base);
    snprintf(race->paths[2], PATH_MAX, "%.3000s/db/../db/", base);
    snprintf(race->paths[3], PATH_MAX, "%.3000s//./db//", base);
    lam_db *db = open_db(race->paths[0]);
    ck_assert_int_eq(symlink(race->paths[0], race->paths[1]), 0);
    exec_as(db, "root", LAM_ROLE_SYSTEM,
            "CREATE TABLE races (id INT PRIMARY KEY, n INT); INSERT INTO races VALUES (1, 0)");
    close_db(db);
    for (int i = 0; i < RACES; i++)
        run_race();
    db = open_db(race->paths[0]);
    lam_session *s = session_of(db, "root", LAM_ROLE_SYSTEM);
    char expected[20];
    snprintf(expected, sizeof expected, "%d;", RACES);
    ck_assert_str_eq(rows(s, "SELECT n FROM races"), expected);
    ck_ok(lam_session_close(s, &err), &err);
    close_db(db);
}
END_TEST

static int open_and_close(void *arg) {
    lam_db *db = NULL;
    enum lam_code rc = open_code(arg, &db);
    if (rc == LAM_OK)
        rc = lam_db_close(db, &err);
    return (int)rc;
}

static void assert_busy(const char *path) {
    lam_db *second = NULL;
    ck_code(open_code(path, &second), LAM_BUSY);
    ck_contains(err.message, "open already");
    ck_assert_int_eq(in_child(open_and_close, (void *)path), LAM_BUSY);
    ck_code(lam_check(path, NULL, NULL, NULL, &err), LAM_BUSY);
}

START_TEST(open_database_is_busy_by_any_path) {
    const char *path = at("db");
    lam_db *db = open_db(path);
    fill_db(db);
    ck_assert_int_eq(symlink("db", at("link")), 0);
    ck_assert_int_eq(symlink("link", at("link2")), 0);
    static const char *const names[] = {"db",   "db/",      "./db",      "db/.",
                                        "link", "link2/./", "db/../db/", "db/cold/../../db"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_busy(at(names[i]));
    ck_assert_int_eq(chdir(test_dir()), 0);
    assert_busy("db");
    assert_busy("link");
    ck_assert_int_eq(chdir("db"), 0);
    assert_busy(".");
    assert_busy("../db");
    ck_assert(filled_db_is_whole(db));
    close_db(db);
    ck_assert_int_eq(open_and_close((void *)at("link2")), LAM_OK);
}
END_TEST

/* Without the file the directory itself is locked. */
START_TEST(lock_outlives_the_lock_file) {
    const char *path = at("db");
    lam_db *db = open_db(path);
    fill_db(db);
    ck_assert_int_eq(unlink(at("db/LOCK")), 0);
    assert_busy(path);
    /* The one that the second opener left there locks nothing either. */
    assert_busy(path);
    ck_assert(filled_db_is_whole(db));
    check_db(db);
    close_db(db);
    ck_assert_int_eq(in_child(open_and_close, (void *)path), LAM_OK);
}
END_TEST

START_TEST(left_over_lock_file_locks_nothing) {
    const char *path = at("db");
    close_db(open_db(path));
    FILE *f = fopen(at("db/LOCK"), "w");
    ck_assert(f != NULL);
    fprintf(f, "%d\n", (int)getppid());
    fclose(f);
    ck_assert_int_eq(open_and_close((void *)path), LAM_OK);
}
END_TEST

/* Starts a child that opens the database and, if `orphan_out`, forks one of its own that does not
 * care; returns when it has, and the latter's fork has returned too: until then it holds copies. */
static pid_t start_opener(const char *path, pid_t *orphan_out) {
    int told[2];
    pid_t orphan = 0;
    ck_assert_int_eq(pipe(told), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        lam_db *db = NULL;
        child_check(open_code(path, &db) == LAM_OK);
        if (orphan_out)
            orphan = fork() == 0 ? getpid() : 0;
        if (orphan_out == NULL || orphan > 0)
            child_check(write(told[1], &orphan, sizeof orphan) == sizeof orphan);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(told[0], &orphan, sizeof orphan), sizeof orphan);
    close(told[0]);
    close(told[1]);
    if (orphan_out)
        *orphan_out = orphan;
    return child;
}

static void kill_child(pid_t child) {
    int status;
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
}

START_TEST(kill_ends_the_lock_at_once) {
    const char *path = at("db");
    for (int i = 0; i < 10; i++) {
        pid_t child = start_opener(path, NULL);
        ck_assert_int_eq(open_and_close((void *)path), LAM_BUSY);
        kill_child(child);
        ck_assert_int_eq(open_and_close((void *)path), LAM_OK);
    }
}
END_TEST

START_TEST(what_the_owner_forked_does_not_hold_the_lock) {
    const char *path = at("db");
    pid_t orphan;
    pid_t child = start_opener(path, &orphan);
    ck_assert_int_eq(open_and_close((void *)path), LAM_BUSY);
    kill_child(child);
    ck_assert_int_eq(kill(orphan, 0), 0);
    ck_assert_int_eq(open_and_close((void *)path), LAM_OK);
    ck_assert_int_eq(kill(orphan, SIGKILL), 0);
}
END_TEST

/* The same with an owner that closes, and children that began anyhow: by fork or by clone without
 * the library's knowledge, of which the latter have copies of the descriptors. */
START_TEST(close_ends_the_lock_though_children_live) {
    const char *path = at("db");
    lam_db *db = open_db(path);
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = i ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) : fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            for (;;)
                pause();
    }
    close_db(db);
    ck_assert_int_eq(open_and_close((void *)path), LAM_OK);
    ck_assert_int_eq(in_child(open_and_close, (void *)path), LAM_OK);
    kill_child(children[0]);
    kill_child(children[1]);
}
END_TEST

TEST_MAIN("process/openers", of_fifty_openers_one_wins_and_the_others_are_busy,
          open_database_is_busy_by_any_path, lock_outlives_the_lock_file,
          left_over_lock_file_locks_nothing, kill_ends_the_lock_at_once,
          what_the_owner_forked_does_not_hold_the_lock, close_ends_the_lock_though_children_live)
