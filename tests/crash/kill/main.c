/* SPDX-License-Identifier: Apache-2.0
 *
 * kill [--count N] [--seed HEX] [--disk N] [--dir DIR] [--long]: kills N lives, one after another
 * in one database after another, each verified by the next. A third dies while it opens, others at
 * any moment, others in a dump, a compaction, a flush, a schema change or a close. What SIGKILL
 * leaves does not depend on the disk, so files are in memory (/dev/shm) if there is room, but for
 * the last `--disk` kills. The seed gives the changes, the parts and the delays; moments are the
 * scheduler's. */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/kill/kill.h"
#include "tests/support/gate.h"

/* A fresh database is begun so often: nothing compacts segments, and creation is to be killed too.
 */
#define LIVES_PER_DATABASE 40
/* A whole check, unkilled, after so many. */
#define LIVES_PER_CHECK 20
#define THREADS_MAX     32
#define ROOM_BYTES      (256ull << 20)
/* A life that does not come as far as this is stuck. */
#define STUCK_S 300

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

void *must_alloc(size_t size) {
    void *p = calloc(1, size);
    if (!p)
        fail("out of memory");
    return p;
}

void rng_for(struct rng *r, const struct shared *s, uint64_t kind, uint64_t a, uint64_t b) {
    r->x = s->seed;
    r->x = rng_next(r) ^ kind;
    r->x = rng_next(r) ^ a;
    r->x = rng_next(r) ^ b;
}

void work_begin(struct load *l, enum work work) {
    atomic_fetch_add(&l->shared->at_work[work], 1);
}

void work_end(struct load *l, enum work work) {
    atomic_fetch_sub(&l->shared->at_work[work], 1);
    atomic_fetch_add(&l->shared->done[work], 1);
}

/* --- lives ---------------------------------------------------------------------------------- */

static char path[300];
static pthread_t threads[THREADS_MAX];
static size_t thread_count;

void start(void *(*work)(void *), void *arg) {
    if (thread_count == THREADS_MAX || pthread_create(&threads[thread_count], NULL, work, arg) != 0)
        fail("no more threads");
    thread_count++;
}

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void open_database(struct load *l) {
    struct lam_error err;
    struct lam_options options = {.memory_budget = 4u << 20};
    lam_session *session;
    uint64_t before = now_us();
    work_begin(l, WORK_OPEN);
    must(lam_db_open(path, &options, &l->db, &err), &err, "open");
    /* The layers above recover with the first session. */
    must(lam_session_open(l->db, "root", LAM_ROLE_SYSTEM, &session, &err), &err, "session");
    must(lam_session_close(session, &err), &err, "session");
    work_end(l, WORK_OPEN);
    atomic_store(&l->shared->open_us, now_us() - before);
}

/* On a copy of the model, which then takes its place. */
static void verify(struct load *l) {
    struct shared *s = l->shared;
    uint32_t now = atomic_load(&s->current), next = !now;
    work_begin(l, WORK_VERIFY);
    memcpy(&s->models[next], &s->models[now], sizeof s->models[now]);
    l->model = &s->models[next];
    engine_verify(l);
    sql_verify(l);
    entity_verify(l);
    atomic_store(&s->current, next);
    work_end(l, WORK_VERIFY);
}

static void *upkeep(void *arg) {
    struct load *l = arg;
    struct lam_error err;
    struct rng r;
    rng_for(&r, l->shared, 100, l->number, 0);
    while (!stopping(l)) {
        enum work work = rng_below(&r, 3) ? WORK_DUMP : WORK_COMPACT;
        work_begin(l, work);
        must(work == WORK_DUMP ? lam_db_dump(l->db, &err) : lam_db_compact(l->db, NULL, &err), &err,
             "upkeep");
        work_end(l, work);
    }
    return NULL;
}

static void close_database(struct load *l) {
    struct lam_error err;
    atomic_store(&l->stop, true);
    for (size_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    entity_stop();
    uint64_t before = now_us();
    work_begin(l, WORK_CLOSE);
    must(lam_db_close(l->db, &err), &err, "close");
    work_end(l, WORK_CLOSE);
    atomic_store(&l->shared->close_us, now_us() - before);
}

static void live(struct shared *s, uint64_t number, unsigned parts) {
    struct load l = {.shared = s, .number = number, .parts = parts};
    open_database(&l);
    verify(&l);
    work_begin(&l, WORK_LOAD);
    if (parts & PART_ENGINE)
        engine_start(&l);
    if (parts & PART_SQL)
        sql_start(&l);
    if (parts & PART_ENTITY)
        entity_start(&l);
    start(upkeep, &l);
    while (!atomic_load(&s->close_asked))
        usleep(200);
    close_database(&l);
    for (;;)
        pause();
}

static void report(void *arg, const char *file, uint64_t offset, const char *problem) {
    fprintf(stderr, "kill: check: %s: offset %llu: %s\n", file, (unsigned long long)offset,
            problem);
    ++*(int *)arg;
}

/* Everything by every path; then it closes, or dies open. */
static void check(struct shared *s, uint64_t number, unsigned parts) {
    struct load l = {.shared = s, .number = number, .full = true};
    struct lam_error err;
    int problems = 0;
    (void)parts;
    open_database(&l);
    verify(&l);
    must(lam_db_check(l.db, report, &problems, &err), &err, "check");
    if (number % 2) {
        close_database(&l);
        struct lam_check_options options = {.finding = report, .arg = &problems};
        must(lam_check_full(path, &options, &err), &err, "check");
    }
    if (problems)
        fail("the check has findings");
    _exit(0);
}

/* --- the parent ----------------------------------------------------------------------------- */

static struct {
    struct shared *shared;
    struct rng rng;
    uint64_t count, seed; /* as asked for */
    uint64_t kills;
    uint64_t hits[WORK_COUNT]; /* kills while the life was at it */
    uint64_t nested;           /* kills of an opening after a kill */
    uint64_t checks;
    uint64_t changes; /* of earlier databases */
    bool after_kill;
    uint64_t done_before[WORK_COUNT]; /* the living one */
    char replay[200];
} run;

static const char *const work_names[WORK_COUNT] = {"open",    "verify", "load",   "dump",
                                                   "compact", "flush",  "schema", "close"};

static _Noreturn void give_up(const char *what) {
    fprintf(stderr, "kill: FAILED after %llu kills: %s; the database is %s\n",
            (unsigned long long)run.kills, what, path);
    gate_replay("%s", run.replay);
    gate_report("kill -9 runs", run.count, run.kills, 1, run.seed);
    exit(1);
}

static void give_up_on(int status) {
    char what[80];
    snprintf(what, sizeof what, "status %x", (unsigned)status);
    give_up(what);
}

static pid_t begin(void (*work)(struct shared *, uint64_t, unsigned), unsigned parts) {
    struct shared *s = run.shared;
    for (int i = 0; i < WORK_COUNT; i++) {
        atomic_store(&s->at_work[i], 0);
        run.done_before[i] = atomic_load(&s->done[i]);
    }
    atomic_store(&s->close_asked, false);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        give_up("fork");
    if (child == 0) {
        work(s, run.kills + run.checks, parts);
        _exit(2);
    }
    return child;
}

static int reap(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            give_up("waitpid");
    return status;
}

static void sleep_us(uint64_t us) {
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

/* Until the life is at some work, or was meanwhile; it must not end before. */
static void await(pid_t child, enum work work) {
    uint64_t begun = now_us();
    bool once = work == WORK_OPEN || work == WORK_CLOSE;
    uint64_t done = once ? run.done_before[work] : atomic_load(&run.shared->done[work]);
    int status;
    while (atomic_load(&run.shared->at_work[work]) == 0 &&
           atomic_load(&run.shared->done[work]) == done) {
        if (waitpid(child, &status, WNOHANG) == child)
            give_up_on(status);
        if (now_us() - begun > STUCK_S * 1000000ull) {
            kill(child, SIGABRT);
            give_up(work_names[work]);
        }
        sleep_us(30);
    }
}

/* Exponential, at most eight times the mean. */
static uint64_t draw_us(uint64_t mean) {
    double u = ((double)rng_below(&run.rng, 1u << 30) + 1) / (1u << 30);
    double us = -log(u) * (double)mean;
    return us > 8.0 * (double)mean ? 8 * mean : (uint64_t)us;
}

static enum work draw_work(bool fresh) {
    static const enum work works[] = {WORK_DUMP,  WORK_COMPACT, WORK_FLUSH,
                                      WORK_FLUSH, WORK_SCHEMA,  WORK_CLOSE};
    uint64_t share = rng_below(&run.rng, 5);
    if (share < 2 || fresh)
        return WORK_OPEN;
    return share == 2 ? WORK_LOAD : works[rng_below(&run.rng, sizeof works / sizeof works[0])];
}

static void await_moment(pid_t child, enum work work) {
    struct shared *s = run.shared;
    if (work == WORK_OPEN) {
        await(child, WORK_OPEN);
        sleep_us(rng_below(&run.rng, atomic_load(&s->open_us) * 3 / 4 + 50));
        return;
    }
    await(child, WORK_LOAD);
    if (work == WORK_LOAD) {
        sleep_us(draw_us(rng_below(&run.rng, 8) ? 8000 : 100000));
        return;
    }
    sleep_us(draw_us(2000));
    atomic_store(&s->close_asked, work == WORK_CLOSE);
    await(child, work);
    sleep_us(
        rng_below(&run.rng, work == WORK_CLOSE ? atomic_load(&s->close_us) * 5 / 4 + 100 : 600));
}

static void live_and_die(bool fresh) {
    struct shared *s = run.shared;
    enum work work = draw_work(fresh);
    unsigned parts = 1 + (unsigned)rng_below(&run.rng, PART_ALL);
    if (work == WORK_FLUSH || work == WORK_SCHEMA)
        parts |= PART_SQL;
    pid_t child = begin(live, parts);
    await_moment(child, work);
    kill(child, SIGKILL);
    int status = reap(child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        give_up_on(status);
    for (int i = 0; i < WORK_COUNT; i++)
        run.hits[i] += atomic_load(&s->at_work[i]) > 0;
    run.nested += run.after_kill && atomic_load(&s->at_work[WORK_OPEN]) > 0;
    run.after_kill = true;
    run.kills++;
}

static void live_and_check(void) {
    int status = reap(begin(check, 0));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        give_up_on(status);
    run.checks++;
    run.after_kill = false;
}

static int remove_one(const char *name, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(name);
}

static uint64_t changes_of(const struct shared *s) {
    const struct model *m = &s->models[atomic_load(&s->current)];
    uint64_t n = atomic_load(&m->churn.acked) + atomic_load(&m->schema.acked);
    for (int i = 0; i < ENGINE_WRITERS; i++)
        n += m->engine_applied[i];
    for (int i = 0; i < SQL_WRITERS; i++)
        n += m->sql_applied[i];
    for (int i = 0; i < ENTITY_WRITERS; i++)
        n += m->entity_applied[i];
    return n;
}

static void run_database(uint64_t kills) {
    struct shared *s = run.shared;
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    memset(s->models, 0, sizeof s->models);
    s->seed++;
    run.after_kill = false;
    for (uint64_t i = 0; i < kills; i++) {
        live_and_die(i < 3 && rng_below(&run.rng, 2));
        if (i % LIVES_PER_CHECK == LIVES_PER_CHECK - 1 || i + 1 == kills)
            live_and_check();
    }
    run.changes += changes_of(s);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void run_in(const char *dir, uint64_t kills) {
    if (kills == 0)
        return;
    snprintf(path, sizeof path, "%s/lamina-kill.%d", dir, (int)getpid());
    printf("kill: %llu in %s\n", (unsigned long long)kills, dir);
    for (uint64_t done = 0; done < kills; done += LIVES_PER_DATABASE)
        run_database(kills - done < LIVES_PER_DATABASE ? kills - done : LIVES_PER_DATABASE);
}

static const char *disk_dir(void) {
    const char *dir = getenv("TMPDIR");
    return dir && *dir ? dir : "/tmp";
}

static const char *memory_dir(void) {
    struct statvfs room;
    if (access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &room) == 0 &&
        room.f_bavail * room.f_frsize >= ROOM_BYTES)
        return "/dev/shm";
    return disk_dir();
}

static void print_counts(void) {
    const struct shared *s = run.shared;
    printf("kill: %llu changes, %llu found without an acknowledgement, %llu whole checks\n",
           (unsigned long long)run.changes, (unsigned long long)s->unacked,
           (unsigned long long)run.checks);
    printf("kill: done, and killed at:");
    for (int i = 0; i < WORK_COUNT; i++)
        printf(" %s %llu/%llu", work_names[i], (unsigned long long)s->done[i],
               (unsigned long long)run.hits[i]);
    printf("; killed while recovering from a kill: %llu\n", (unsigned long long)run.nested);
}

/* A kind of kill that never happened makes the test worthless. */
static bool all_happened(void) {
    bool all = run.changes > 0 && run.nested > 0 && run.shared->unacked > 0;
    for (int i = 0; i < WORK_COUNT; i++)
        all &= run.hits[i] > 0;
    return all;
}

static struct shared *share(void) {
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        perror("kill: mmap");
        exit(2);
    }
    return s;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},
        {"disk", required_argument, NULL, 'd'},  {"dir", required_argument, NULL, 'D'},
        {"long", no_argument, NULL, 'l'},        {0},
    };
    uint64_t count = 1000, disk = 0, seed = 0x1a;
    const char *dir = memory_dir();
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 'c':
            count = strtoull(optarg, NULL, 0);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 16);
            break;
        case 'd':
            disk = strtoull(optarg, NULL, 0);
            break;
        case 'D':
            dir = optarg;
            break;
        case 'l':
            count = 10000;
            disk = 500;
            break;
        default:
            return 2;
        }
    if (disk > count)
        disk = count;
    run.shared = share();
    run.count = count;
    run.seed = run.rng.x = seed;
    run.shared->seed = seed * 1000003;
    snprintf(run.replay, sizeof run.replay,
             "make test-kill ROUNDS=%llu SEED=%llx    (changes and delays, not the very moments)",
             (unsigned long long)count, (unsigned long long)seed);
    run_in(dir, count - disk);
    run_in(disk_dir(), disk);
    print_counts();
    if (count >= 500 && !all_happened())
        give_up("some kind of kill never happened");
    return gate_report("kill -9 runs", count, run.kills, 0, seed) ? 0 : 1;
}
