/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/base/env_conformance.h"
#include "tests/sim/simfs.h"

static struct choice choice;
static struct simfs *fs;

static lam_env *conformance_env(void) {
    choice_seed(&choice, 1);
    fs = simfs_new(&(struct simfs_options){.granule = 64}, &choice);
    ck_ok(env_dir_create_all(simfs_env(fs), "/root", &err), &err);
    return simfs_env(fs);
}

static const char *conformance_root(void) {
    return "/root";
}
TEST_MAIN("sim/simfs", CONFORMANCE_TESTS)
