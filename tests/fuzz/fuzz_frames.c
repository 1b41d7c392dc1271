/* SPDX-License-Identifier: Apache-2.0
 *
 * The shell's machine protocol: the input is what a client sends, on a small database. Each frame
 * is answered by lines of JSON, the last of them a sync. */
#include <stdio.h>
#include <stdlib.h>

#include "catalog/value.h"
#include "shell/batch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"

static size_t count_frames(const char *text, size_t size) {
    size_t frames = 0;
    for (size_t from = 0; from < size;) {
        const char *end = memchr(text + from, '\n', size - from);
        size_t to = end ? (size_t)(end - text) : size;
        bool blank = true;
        for (size_t i = from; i < to; i++)
            blank = blank && (text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r'));
        frames += !blank;
        from = to + 1;
    }
    return frames;
}

static size_t count_syncs(const char *text, size_t size) {
    static const char sync[] = "{\"sync\":";
    size_t syncs = 0;
    for (size_t from = 0; from < size;) {
        const char *end = memchr(text + from, '\n', size - from);
        REQUIRE(end);
        size_t line = (size_t)(end - text) - from;
        REQUIRE(json_valid(lam_slice_of(text + from, line), NULL));
        syncs += line >= sizeof sync && memcmp(text + from, sync, sizeof sync - 1) == 0;
        from += line + 1;
    }
    return syncs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct shell_options options = {.batch = true, .user = "u"};
    struct lam_error err = {0};
    char *answers = NULL;
    size_t answer_bytes = 0;
    lam_db *db;
    if (size == 0)
        return 0;
    lam_env *env = image_copy(IMAGE_SQL_SEALED);
    struct lam_options o = image_options(env);
    fuzz_ok(lam_db_open(IMAGE_DIR, &o, &db, &err), &err);
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r"), *terminal = stdout;
    stdout = open_memstream(&answers, &answer_bytes);
    REQUIRE(in && stdout);
    bool good = batch_run(db, &options, in);
    fclose(stdout);
    stdout = terminal;
    fclose(in);
    REQUIRE(good);
    REQUIRE(count_syncs(answers, answer_bytes) == count_frames((const char *)data, size));
    free(answers);
    fuzz_ok(lam_db_close(db, &err), &err);
    fuzz_env_free(env);
    return 0;
}
