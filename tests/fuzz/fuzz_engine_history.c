/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories of the engine by the input's choices: calls, faults, crashes and recoveries in the
 * simulator's world (tests/sim/world_engine.h), which compares all results with its model. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/sim/world_engine.h"

#define IMAGES 24 /* crash images a history */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world_report report;
    struct world_options options = {.images_max = IMAGES,
                                    .verbose = getenv("FUZZ_VERBOSE") != NULL};
    struct choice c;
    report = (struct world_report){0};
    choice_bytes(&c, data, size);
    bool good = world_engine_run(&c, &options, &report);
    choice_fini(&c);
    if (!good)
        fprintf(stderr, "%s: %s\n", report.check, report.message);
    REQUIRE(good);
    return 0;
}
