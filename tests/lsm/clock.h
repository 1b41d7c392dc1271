/* SPDX-License-Identifier: Apache-2.0
 *
 * An in-memory environment whose clocks a test sets: the monotonic one gains a microsecond with
 * each look at it, the wall clock stands still. For one thread at a time. */
#ifndef LAMINA_TESTS_LSM_CLOCK_H
#define LAMINA_TESTS_LSM_CLOCK_H

#include "base/env.h"
#include "tests/support/test.h"

static int64_t clock_wall_us = 1700000000000000;
static uint64_t clock_mono_ns = 1000000;
static struct lam_env_ops clock_ops;
static const struct lam_env_ops *clock_real_ops;

static int64_t clock_now_us(lam_env *env) {
    (void)env;
    return clock_wall_us;
}

static uint64_t clock_monotonic_ns(lam_env *env) {
    (void)env;
    return clock_mono_ns += 1000;
}

static inline lam_env *clock_env_new(void) {
    lam_env *env;
    struct lam_error err;
    ck_ok(lam_env_mem_new(&env, &err), &err);
    clock_real_ops = env->ops;
    clock_ops = *env->ops;
    clock_ops.now_us = clock_now_us;
    clock_ops.monotonic_ns = clock_monotonic_ns;
    env->ops = &clock_ops;
    return env;
}

static inline void clock_env_free(lam_env *env) {
    env->ops = clock_real_ops;
    lam_env_mem_free(env);
}

#endif
