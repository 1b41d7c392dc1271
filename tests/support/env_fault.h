/* SPDX-License-Identifier: Apache-2.0
 *
 * An environment for tests that forwards to another one and fails on order. A failed operation does
 * not reach the inner environment, so that arming a sticky failure of FAULT_MUTATE at operation n
 * freezes the inner environment just before it: a lam_env_mem can then be crashed at that point.
 *
 *     lam_env *env = env_fault_new(inner);
 *     env_fault_arm(env, FAULT_MUTATE, 0, LAM_IO, false);     count only
 *     ... run ...    n = env_fault_count(env);
 *     env_fault_arm(env, FAULT_MUTATE, i, LAM_NO_SPACE, true); for each i in 1..n
 *
 * Thread-safe. Clock, randomness and background work are the inner environment's. */
#ifndef LAMINA_TESTS_SUPPORT_ENV_FAULT_H
#define LAMINA_TESTS_SUPPORT_ENV_FAULT_H

#include <stdbool.h>

#include "lamina/env.h"

enum fault_kind {
    FAULT_READ = 1,  /* file_read, file_size, path_kind, dir_list */
    FAULT_OPEN = 2,  /* file_open without CREATE or TRUNCATE, file_lock */
    FAULT_WRITE = 4, /* file_write, file_truncate, file_allocate */
    FAULT_SYNC = 8,  /* file_sync, dir_sync */
    FAULT_NAME =
        16, /* file_open with CREATE or TRUNCATE, rename, link, remove, dir_create/remove */
    FAULT_CLOSE = 32,  /* file_close: closes all the same */
    FAULT_SUBMIT = 64, /* submit */
    FAULT_MUTATE = FAULT_WRITE | FAULT_SYNC | FAULT_NAME,
    FAULT_ALL = 127,
    FAULT_TORN = 128, /* with FAULT_WRITE: the first failing write leaves its first half behind */
    FAULT_FLIP = 256, /* file_read: does not fail, but one bit of what it gives is another */
};

/* Borrows `inner`. Returns owned; free with env_fault_free when no file of it is open. */
lam_env *env_fault_new(lam_env *inner);
void env_fault_free(lam_env *env);
/* Counts operations of `kinds` (a mask of fault_kind) from 1 again and fails the `nth` with `code`
 * and, if sticky, all of them after it. `nth` 0 only counts. */
void env_fault_arm(lam_env *env, unsigned kinds, uint64_t nth, enum lam_code code, bool sticky);
/* Operations of the armed kinds since the last arming (all kinds before the first). */
uint64_t env_fault_count(lam_env *env);
/* Failures injected since the last arming. */
uint64_t env_fault_fired(lam_env *env);

#endif
