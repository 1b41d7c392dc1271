/* SPDX-License-Identifier: Apache-2.0
 *
 * Asserts state invariants; a failed one is a bug of ours, never bad input. LAM_ASSERT stays on in
 * every build; DEBUG_ASSERT may cost and is on in debug and sanitizer builds (LAM_DEBUG). */
#ifndef LAMINA_BASE_ASSERT_H
#define LAMINA_BASE_ASSERT_H

/* Writes one line to stderr and aborts. In env_posix. */
void assert_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

#define LAM_ASSERT(cond)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            assert_failed(__FILE__, __LINE__, #cond);                                              \
    } while (0)

#ifdef LAM_DEBUG
#define DEBUG_ASSERT(cond) LAM_ASSERT(cond)
#else
#define DEBUG_ASSERT(cond)                                                                         \
    do {                                                                                           \
    } while (0)
#endif

#define UNREACHABLE() assert_failed(__FILE__, __LINE__, "unreachable")

#endif
