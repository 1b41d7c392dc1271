/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories of statements by the input's choices: tables, rows, flushes, faults and crashes in the
 * simulator's world (tests/sim/world_sql.h), which compares all results with its model.
 * FUZZ_VERBOSE in the environment makes it tell each step. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/sim/world_sql.h"

#define STEPS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct wsql_stats stats;
    struct choice c;
    choice_bytes(&c, data, size);
    struct wsql_options options = {.images = choose(&c, 2),
                                   .depth = 1,
                                   .faults = choose(&c, 2) * 6,
                                   .verbose = getenv("FUZZ_VERBOSE") != NULL};
    struct wsql *w = wsql_new(&c, NULL, &options, &stats);
    wsql_history(w, 1 + choose(&c, STEPS_MAX));
    wsql_end(w);
    if (w->failed)
        fprintf(stderr, "%s\n", w->message);
    REQUIRE(!w->failed);
    wsql_free(w);
    choice_fini(&c);
    return 0;
}
