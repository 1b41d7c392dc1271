/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of file formats: an in-memory environment with one directory, and files as bytes that
 * can be read, changed and put back. */
#ifndef LAMINA_TESTS_LSM_FILES_H
#define LAMINA_TESTS_LSM_FILES_H

#include "base/buf.h"
#include "base/env.h"
#include "tests/support/test.h"

#define DIR "/db"

static lam_env *env;
static struct lam_error err;
static const uint8_t db_id[16] = "0123456789abcdef";
static const uint8_t other_id[16] = "fedcba9876543210";

static inline void env_start(void) {
    ck_ok(lam_env_mem_new(&env, &err), &err);
    ck_ok(env->ops->dir_create(env, DIR, &err), &err);
    ck_ok(env_dir_sync(env, "/", &err), &err);
}

static inline void env_end(void) {
    lam_env_mem_free(env);
}

/* Content of a file, at most `most` bytes of it. The caller frees it with buf_fini. */
static inline struct buf file_bytes(const char *path, size_t most) {
    struct buf out = {0};
    lam_file *f;
    ck_ok(env_file_open(env, path, LAM_OPEN_READ, &f, &err), &err);
    ck_ok(buf_reserve(&out, most, &err), &err);
    ck_ok(env_file_read(f, 0, out.data, most, &out.size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
    return out;
}

static inline void set_file(const char *path, const void *data, size_t size) {
    lam_file *f;
    ck_ok(env_file_open(env, path, LAM_OPEN_WRITE | LAM_OPEN_CREATE | LAM_OPEN_TRUNCATE, &f, &err),
          &err);
    if (size > 0)
        ck_ok(env_file_write(f, 0, data, size, &err), &err);
    ck_ok(env_file_close(f, &err), &err);
}

static inline bool file_exists(const char *path) {
    enum lam_path_kind kind;
    ck_ok(env_path_kind(env, path, &kind, &err), &err);
    return kind == LAM_PATH_FILE;
}

#endif
