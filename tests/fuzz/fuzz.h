/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz harnesses share. A harness is deterministic: the same input does the same whatever
 * ran before it, so that a corpus file is a test and a finding is replayed by its file alone. */
#ifndef LAMINA_TESTS_FUZZ_FUZZ_H
#define LAMINA_TESTS_FUZZ_FUZZ_H

#include "base/buf.h"
#include "base/env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold; a finding if it does not. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)
void fuzz_fail(const char *file, int line, const char *condition) __attribute__((noreturn));
/* `code` is LAM_OK; prints the error if not. */
void fuzz_ok(enum lam_code code, const struct lam_error *err);
/* Whether hostile bytes may be answered so: success, or what says that the bytes are at fault. */
bool fuzz_is_answer(enum lam_code code);

/* Files in memory; clock, randomness and process are the same in every run. Tasks without delay run
 * where they are submitted, others are forgotten. */
lam_env *fuzz_env_new(void);
/* What a kill of the process would leave: an exact copy, nothing open. */
lam_env *fuzz_env_copy(lam_env *env);
void fuzz_env_free(lam_env *env);
/* Clock and randomness as they were at the start. */
void fuzz_env_rewind(void);

/* Whole files; `out` is emptied first. */
void fuzz_file_write(lam_env *env, const char *path, struct lam_slice content);
void fuzz_file_read(lam_env *env, const char *path, struct buf *out);
/* Appends, or dies without memory. */
void fuzz_put(struct buf *out, const void *data, size_t size);

/* The next `n` bytes of an input, fewer at its end. */
struct lam_slice fuzz_take(struct cursor *c, size_t n);
/* What is left of it. */
struct lam_slice fuzz_rest(struct cursor *c);

#endif
