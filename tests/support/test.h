/* SPDX-License-Identifier: Apache-2.0
 *
 * What every test file includes: Check, a one-line main and checks of result codes.
 *
 *     START_TEST(put_is_read_back) { ... ck_ok(lam_put(..., &err), &err); ... } END_TEST
 *     TEST_MAIN("lsm/db", put_is_read_back, ...)
 *
 * Each test runs in its own process (CK_FORK=no turns that off for debuggers). */
#ifndef LAMINA_TESTS_SUPPORT_TEST_H
#define LAMINA_TESTS_SUPPORT_TEST_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lamina/error.h"

/* Runs the tests; returns the exit status for main. */
int test_run(const char *suite, const TTest **tests, size_t count);

#define TEST_MAIN(suite, ...)                                                                      \
    int main(void) {                                                                               \
        const TTest *tests[] = {__VA_ARGS__};                                                      \
        return test_run((suite), tests, sizeof tests / sizeof tests[0]);                           \
    }

/* `expr` gives LAM_OK; else the test fails with the error's message. */
#define ck_ok(expr, error)                                                                         \
    do {                                                                                           \
        enum lam_code ck_code_ = (expr);                                                           \
        if (ck_code_ != LAM_OK)                                                                    \
            ck_abort_msg("%s: %s: %s", #expr, lam_code_name(ck_code_), (error)->message);          \
    } while (0)

/* `expr` gives just this code. */
#define ck_code(expr, expected)                                                                    \
    do {                                                                                           \
        enum lam_code ck_code_ = (expr);                                                           \
        if (ck_code_ != (expected))                                                                \
            ck_abort_msg("%s: expected %s, got %s", #expr, lam_code_name(expected),                \
                         lam_code_name(ck_code_));                                                 \
    } while (0)

/* `needle` occurs in `text`. */
#define ck_contains(text, needle)                                                                  \
    do {                                                                                           \
        if (!strstr((text), (needle)))                                                             \
            ck_abort_msg("\"%s\" does not contain \"%s\"", (text), (needle));                      \
    } while (0)

/* A fresh directory under $TMPDIR (or /tmp), removed with all in it when the process ends well.
 * Static storage; one per test process. */
const char *test_dir(void);

/* Seed for random tests: $LAM_SEED, else the clock; printed, so that a failure can be replayed. */
uint64_t test_seed(const char *test);

#endif
