/* SPDX-License-Identifier: Apache-2.0
 *
 * kill [ROUNDS [MS]]: in each round a child loads the database and is killed with SIGKILL after up
 * to MS milliseconds; half of the time others that only open it are killed after it; then one more
 * child opens it, compares everything with the model, checks it and closes it or dies. LAM_SEED
 * replays the same changes (not the same moments). */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/kill/kill.h"

#define ROUNDS_DEFAULT 60
#define MS_DEFAULT     250
/* A fresh database is begun so often: nothing compacts segments, and creation is to be killed too.
 */
#define ROUNDS_PER_DATABASE 25

void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    flockfile(stderr);
    fputs("kill: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(args);
    _exit(2);
}

void must(enum lam_code code, const struct lam_error *err, const char *what) {
    if (code != LAM_OK)
        fail("%.200s: %s %s: %s", what, lam_code_name(code), err ? err->sqlstate : "",
             err ? err->message : "");
}

void rng_for(struct rng *r, const struct shared *s, uint64_t kind, uint64_t a, uint64_t b) {
    r->x = s->seed;
    r->x = rng_next(r) ^ kind;
    r->x = rng_next(r) ^ a;
    r->x = rng_next(r) ^ b;
}

void start(void *(*work)(void *), void *arg) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, arg) != 0)
        fail("no more threads");
    pthread_detach(thread);
}

static char path[300];
static uint64_t rounds_run;

static void open_database(struct load *l) {
    struct lam_error err;
    struct lam_options options = {.memory_budget = 4u << 20};
    must(lam_db_open(path, &options, &l->db, &err), &err, "open");
}

/* --- children ------------------------------------------------------------------------------- */

static void load(struct shared *s) {
    struct load l = {.shared = s, .round = rounds_run};
    open_database(&l);
    sql_start(&l);
    engine_start(&l);
    for (;;)
        pause();
}

static void only_open(struct shared *s) {
    struct load l = {.shared = s};
    struct lam_error err;
    lam_session *session;
    open_database(&l);
    must(lam_session_open(l.db, "root", LAM_ROLE_SYSTEM, &session, &err), &err, "session");
    for (;;)
        pause();
}

static void report(void *arg, const char *file, uint64_t offset, const char *problem) {
    fprintf(stderr, "kill: check: %s: offset %llu: %s\n", file, (unsigned long long)offset,
            problem);
    ++*(int *)arg;
}

static void verify(struct shared *s) {
    struct load l = {.shared = s};
    struct lam_error err;
    int problems = 0;
    open_database(&l);
    engine_verify(&l);
    sql_verify(&l);
    must(lam_db_check(l.db, report, &problems, &err), &err, "check");
    if (problems)
        fail("the check has findings");
    if (rounds_run % 4 == 0)
        _exit(0);
    must(lam_db_close(l.db, &err), &err, "close");
    if (rounds_run % 4 == 1) {
        must(lam_check(path, NULL, report, &problems, &err), &err, "check");
        if (problems)
            fail("the check has findings");
    }
    _exit(0);
}

/* --- the parent ----------------------------------------------------------------------------- */

/* Runs a child; kills it after `ms` if that is not 0. A child that ends by itself must have been
 * told nothing else. */
static void run_child(struct shared *s, void (*work)(struct shared *), uint64_t us) {
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("kill: fork");
        exit(2);
    }
    if (child == 0) {
        work(s);
        _exit(2);
    }
    if (us) {
        struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
        nanosleep(&t, NULL);
        kill(child, SIGKILL);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    bool killed = us && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool ended = !us && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (killed || ended)
        return;
    fprintf(stderr, "kill: FAILED in round %llu, seed %llu, status %x; the database is %s\n",
            (unsigned long long)rounds_run, (unsigned long long)s->seed, (unsigned)status, path);
    exit(1);
}

static int remove_one(const char *name, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(name);
}

static void begin_database(struct shared *s) {
    uint64_t seed = s->seed, dumps = s->dumps, compactions = s->compactions, flushes = s->flushes;
    uint64_t schema = s->schema_changes, unacked = s->unacked;
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    memset(s, 0, sizeof *s);
    s->seed = seed + 1;
    atomic_store(&s->dumps, dumps);
    atomic_store(&s->compactions, compactions);
    atomic_store(&s->flushes, flushes);
    atomic_store(&s->schema_changes, schema);
    atomic_store(&s->unacked, unacked);
}

static uint64_t acked(const struct shared *s) {
    uint64_t n = 0;
    for (int i = 0; i < ENGINE_WRITERS; i++)
        n += s->engine_applied[i];
    for (int i = 0; i < SQL_WRITERS; i++)
        n += s->sql_applied[i];
    return n;
}

int main(int argc, char **argv) {
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    uint64_t most_us = (argc > 2 ? strtoull(argv[2], NULL, 10) : MS_DEFAULT) * 1000 + 1;
    const char *seed = getenv("LAM_SEED"), *dir = getenv("TMPDIR");
    /* What SIGKILL leaves does not depend on the disk. */
    if (!dir)
        dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/lamina-kill.%d", dir, (int)getpid());
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        perror("kill: mmap");
        return 2;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    s->seed = seed ? strtoull(seed, NULL, 10)
                   : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    printf("kill: %llu rounds, LAM_SEED=%llu\n", (unsigned long long)rounds,
           (unsigned long long)s->seed);
    struct rng r = {s->seed};
    uint64_t changes = 0;
    for (rounds_run = 1; rounds_run <= rounds; rounds_run++) {
        if (rounds_run % ROUNDS_PER_DATABASE == 1) {
            changes += acked(s);
            begin_database(s);
        }
        run_child(s, load, 500 + rng_below(&r, rng_below(&r, 4) ? most_us : 15000));
        for (uint64_t i = rng_below(&r, 2) ? rng_below(&r, 4) : 0; i > 0; i--)
            run_child(s, only_open, 200 + rng_below(&r, 12000));
        run_child(s, verify, 0);
    }
    changes += acked(s);
    printf("kill: ok: %llu changes, %llu kept without an acknowledgement, %llu dumps, "
           "%llu compactions, %llu flushes, %llu schema changes\n",
           (unsigned long long)changes, (unsigned long long)s->unacked,
           (unsigned long long)s->dumps, (unsigned long long)s->compactions,
           (unsigned long long)s->flushes, (unsigned long long)s->schema_changes);
    if (rounds >= 20 &&
        !(changes && s->dumps && s->compactions && s->flushes && s->schema_changes)) {
        fprintf(stderr, "kill: FAILED: something never happened\n");
        return 1;
    }
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
