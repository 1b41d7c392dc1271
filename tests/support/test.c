/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <ftw.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

/* Seconds a test may take: sanitizer builds are slow, and two cores run four of them. */
#define TEST_TIMEOUT_S 300

#ifdef __SANITIZE_THREAD__
/* Children of tests that have had threads start some too, which ThreadSanitizer takes for a mistake
 * unless it is told. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}
#endif

static char dir_path[PATH_MAX];
static pid_t dir_owner;

int test_run(const char *suite, const TTest **tests, size_t count) {
    Suite *s = suite_create(suite);
    TCase *tc = tcase_create(suite);
    tcase_set_timeout(tc, TEST_TIMEOUT_S);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* What a test forks may exit too. */
static void remove_dir(void) {
    if (getpid() == dir_owner)
        nftw(dir_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_dir(void) {
    if (dir_path[0])
        return dir_path;
    const char *base = getenv("TMPDIR");
    snprintf(dir_path, sizeof dir_path, "%s/lamina-test-XXXXXX", base && *base ? base : "/tmp");
    ck_assert_msg(mkdtemp(dir_path) != NULL, "mkdtemp %s", dir_path);
    dir_owner = getpid();
    atexit(remove_dir);
    return dir_path;
}

uint64_t test_seed(const char *test) {
    const char *given = getenv("LAM_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed =
        given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    printf("%s: LAM_SEED=%llu\n", test, (unsigned long long)seed);
    fflush(stdout);
    return seed;
}
