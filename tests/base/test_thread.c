/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

static struct lam_error err;

static struct {
    struct mutex mu;
    struct cond cond;
    uint64_t count;
    bool go;
} shared;

static NO_THREAD_SAFETY void add_many(void *arg) {
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        mutex_lock(&shared.mu);
        shared.count++;
        mutex_unlock(&shared.mu);
    }
}

START_TEST(mutex_serialises_threads) {
    mutex_init(&shared.mu, RANK_LEAF);
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        ck_ok(thread_start(&threads[i], add_many, NULL, &err), &err);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    ck_assert_uint_eq(shared.count, 80000);
    mutex_fini(&shared.mu);
}
END_TEST

static NO_THREAD_SAFETY void set_go(void *arg) {
    (void)arg;
    mutex_lock(&shared.mu);
    shared.go = true;
    cond_broadcast(&shared.cond);
    mutex_unlock(&shared.mu);
}

START_TEST(cond_wakes_its_waiter) {
    mutex_init(&shared.mu, RANK_LEAF);
    cond_init(&shared.cond);
    struct thread t;
    ck_ok(thread_start(&t, set_go, NULL, &err), &err);
    mutex_lock(&shared.mu);
    while (!shared.go)
        cond_wait(&shared.cond, &shared.mu);
    mutex_unlock(&shared.mu);
    thread_join(&t);
    cond_fini(&shared.cond);
    mutex_fini(&shared.mu);
}
END_TEST

START_TEST(cond_wait_for_tells_a_timeout) {
    mutex_init(&shared.mu, RANK_LEAF);
    cond_init(&shared.cond);
    mutex_lock(&shared.mu);
    bool woken = true;
    for (int i = 0; i < 100 && woken; i++)
        woken = cond_wait_for(&shared.cond, &shared.mu, 1000);
    ck_assert(!woken);
    mutex_unlock(&shared.mu);
    struct thread t;
    mutex_lock(&shared.mu);
    ck_ok(thread_start(&t, set_go, NULL, &err), &err);
    while (!shared.go)
        ck_assert(cond_wait_for(&shared.cond, &shared.mu, UINT64_MAX));
    mutex_unlock(&shared.mu);
    thread_join(&t);
    cond_fini(&shared.cond);
    mutex_fini(&shared.mu);
}
END_TEST

static _Atomic uint32_t word;

static void raise_word(void *arg) {
    (void)arg;
    atomic_store(&word, 1);
    word_wake_all(&word);
}

START_TEST(word_wakes_all_who_sleep_on_its_value) {
    atomic_store(&word, 0);
    struct thread t;
    ck_ok(thread_start(&t, raise_word, NULL, &err), &err);
    while (atomic_load(&word) == 0)
        word_wait(&word, 0, UINT64_MAX);
    thread_join(&t);
    word_wait(&word, 0, UINT64_MAX); /* another value: no sleep */
    word_wait(&word, 1, 1000);       /* ends by the timeout */
    ck_assert_uint_eq(atomic_load(&word), 1);
}
END_TEST

static void note_self_and_mask(void *arg) {
    uint64_t *out = arg;
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    out[0] = thread_self();
    out[1] = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1;
}

START_TEST(threads_block_signals_and_have_their_own_number) {
    uint64_t seen[2] = {0};
    struct thread t;
    ck_ok(thread_start(&t, note_self_and_mask, seen, &err), &err);
    thread_join(&t);
    ck_assert_uint_ne(seen[0], 0);
    ck_assert_uint_ne(seen[0], thread_self());
    ck_assert_uint_eq(thread_self(), thread_self());
    ck_assert_uint_eq(seen[1], 1);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    ck_assert_int_eq(sigismember(&mask, SIGINT), 0);
}
END_TEST

/* Locks two mutexes of these ranks in a child process; its wait status. */
static NO_THREAD_SAFETY int lock_two(enum mutex_rank first, enum mutex_rank second) {
    fflush(stdout);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
        struct mutex a, b;
        mutex_init(&a, first);
        mutex_init(&b, second);
        mutex_lock(&a);
        mutex_lock(&b);
        /* Released in the order taken: any order is allowed. */
        mutex_unlock(&a);
        mutex_unlock(&b);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void ck_aborts(enum mutex_rank first, enum mutex_rank second) {
    int status = lock_two(first, second);
#ifdef LAM_DEBUG
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%d then %d: status %d",
                  first, second, status);
#else
    ck_assert_int_eq(status, 0);
#endif
}

START_TEST(debug_builds_abort_on_a_rank_that_does_not_rise) {
    ck_assert_int_eq(lock_two(RANK_DB_STATE, RANK_ENV), 0);
    ck_assert_int_eq(lock_two(RANK_STRIPE, RANK_STRIPE), 0);
    ck_aborts(RANK_ENV, RANK_DB_STATE);
    ck_aborts(RANK_ENV, RANK_ENV);
}
END_TEST

TEST_MAIN("base/thread", mutex_serialises_threads, cond_wakes_its_waiter,
          cond_wait_for_tells_a_timeout, word_wakes_all_who_sleep_on_its_value,
          threads_block_signals_and_have_their_own_number,
          debug_builds_abort_on_a_rank_that_does_not_rise)
