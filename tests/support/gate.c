/* SPDX-License-Identifier: Apache-2.0
 *
 * Results of fault tests. */
#include "tests/support/gate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool gate_report(const char *gate, uint64_t required, uint64_t reached, uint64_t failed,
                 uint64_t seed) {
    bool holds = failed == 0 && reached >= required;
    printf("{\"gate\":\"%s\",\"required\":%" PRIu64 ",\"reached\":%" PRIu64 ",\"failed\":%" PRIu64
           ",\"seed\":\"0x%" PRIx64 "\",\"ok\":%s}\n",
           gate, required, reached, failed, seed, holds ? "true" : "false");
    fflush(stdout);
    return holds;
}

/* Of the compiler's coverage runtime, in programs that have it. */
extern void __gcov_dump(void) __attribute__((weak));

void gate_child_exit(int status) {
    fflush(stdout);
    if (__gcov_dump)
        __gcov_dump();
    _exit(status);
}

bool gate_child_held(pid_t child, bool show) {
    int status;
    if (waitpid(child, &status, 0) != child)
        abort();
    if (WIFSIGNALED(status) && show)
        printf("killed by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void gate_replay(const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("replay: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
}
