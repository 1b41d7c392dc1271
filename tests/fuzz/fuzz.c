/* SPDX-License-Identifier: Apache-2.0
 *
 * An in-memory environment whose outside world is fixed, and small helpers. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"

#define START_US INT64_C(1750000000000000)

static struct {
    uint64_t ticks; /* how often the time was asked for */
    struct rng rng;
} world;

void fuzz_fail(const char *file, int line, const char *condition) {
    fflush(stdout);
    fprintf(stderr, "%s:%d: required: %s\n", file, line, condition);
    abort();
}

void fuzz_ok(enum lam_code code, const struct lam_error *err) {
    if (code == LAM_OK)
        return;
    fprintf(stderr, "unexpected %s: %s\n", lam_code_name(code), err ? err->message : "");
    abort();
}

bool fuzz_is_answer(enum lam_code code) {
    return code == LAM_OK || code == LAM_CORRUPT || code == LAM_UNSUPPORTED || code == LAM_LIMIT;
}

/* --- the world ------------------------------------------------------------------------------ */

void fuzz_env_rewind(void) {
    world.ticks = 0;
    rng_init(&world.rng, 1);
}

static int64_t now_us(lam_env *env) {
    (void)env;
    return START_US + (int64_t)++world.ticks * 10;
}

static uint64_t monotonic_ns(lam_env *env) {
    (void)env;
    return ++world.ticks * 10000;
}

static void random_bytes(lam_env *env, void *data, size_t size) {
    (void)env;
    for (uint8_t *at = data; size > 0; at++, size--)
        *at = (uint8_t)rng_next(&world.rng);
}

static enum lam_code submit(lam_env *env, enum lam_lane lane, uint64_t delay_us, lam_task_fn fn,
                            void *arg, struct lam_error *err) {
    (void)env;
    (void)lane;
    (void)err;
    if (delay_us == 0)
        fn(arg);
    return LAM_OK;
}

static void cancel(lam_env *env, void *arg) {
    (void)env;
    (void)arg;
}

static uint64_t process_id(lam_env *env) {
    (void)env;
    return 1;
}

/* The environment's own operations but for those above. */
static lam_env *settle(lam_env *env) {
    static struct lam_env_ops ops;
    ops = *env->ops;
    ops.now_us = now_us;
    ops.monotonic_ns = monotonic_ns;
    ops.random_bytes = random_bytes;
    ops.submit = submit;
    ops.cancel = cancel;
    ops.process_id = process_id;
    env->ops = &ops;
    return env;
}

lam_env *fuzz_env_new(void) {
    lam_env *env;
    fuzz_ok(lam_env_mem_new(&env, NULL), NULL);
    return settle(env);
}

lam_env *fuzz_env_copy(lam_env *env) {
    lam_env *copy;
    fuzz_ok(lam_env_mem_crash(env, LAM_CRASH_PROCESS, 0, &copy, NULL), NULL);
    return settle(copy);
}

void fuzz_env_free(lam_env *env) {
    lam_env_mem_free(env);
}

/* --- files ---------------------------------------------------------------------------------- */

void fuzz_file_write(lam_env *env, const char *path, struct lam_slice content) {
    lam_file *f;
    struct lam_error err = {0};
    unsigned flags = LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE;
    fuzz_ok(env_file_open(env, path, flags, &f, &err), &err);
    if (content.size > 0)
        fuzz_ok(env_file_write(f, 0, content.data, content.size, &err), &err);
    fuzz_ok(env_file_sync(f, &err), &err);
    fuzz_ok(env_file_close(f, &err), &err);
}

void fuzz_file_read(lam_env *env, const char *path, struct buf *out) {
    struct lam_error err = {0};
    buf_reset(out);
    fuzz_ok(env_read_file(env, path, SIZE_MAX, out, &err), &err);
}

void fuzz_put(struct buf *out, const void *data, size_t size) {
    if (size > 0)
        fuzz_ok(buf_append(out, data, size, NULL), NULL);
}

/* --- inputs --------------------------------------------------------------------------------- */

struct lam_slice fuzz_take(struct cursor *c, size_t n) {
    size_t left = cursor_left(c);
    return cursor_bytes(c, n < left ? n : left);
}

struct lam_slice fuzz_rest(struct cursor *c) {
    return cursor_bytes(c, cursor_left(c));
}
